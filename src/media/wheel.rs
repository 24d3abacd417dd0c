//! The slot wheel: which port is due in which 5 ms slot.
//!
//! A slot is a number counted from the wheel's beginning, so pacing cannot drift. Every packet length in use divides
//! one turn of the wheel (120 ms). A new port gets the phase of the 20 ms period with the fewest ports.

use std::time::{Duration, Instant};

/// The length of a slot.
pub(super) const SLOT: Duration = Duration::from_millis(SLOT_MS);
/// The same in milliseconds.
pub(super) const SLOT_MS: u64 = 5;

/// Slots in one turn: the least common multiple of 10, 20, 30, 40 and 60 ms.
const TURN: u64 = 24;
/// Slots in the usual period of 20 ms.
const PHASES: usize = 4;

/// Who is due when.
#[derive(Debug)]
pub(super) struct Wheel {
    begin: Instant,
    next: u64,
    buckets: [Vec<u32>; TURN as usize],
    /// The ports of the slot being done, and how many of them have been handed out.
    due: Vec<u32>,
    handed: usize,
    /// Ports by the phase they started in.
    phases: [usize; PHASES],
    ports: usize,
}

/// A port's place on the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// The slot it is due in.
    pub(super) due: u64,
    phase: usize,
}

impl Wheel {
    pub(super) fn new(begin: Instant) -> Self {
        Self {
            begin,
            next: 0,
            buckets: Default::default(),
            due: Vec::new(),
            handed: 0,
            phases: [0; PHASES],
            ports: 0,
        }
    }

    /// Takes a port in: due within the next 20 ms.
    pub(super) fn insert(&mut self, now: Instant, port: u32) -> Place {
        if self.ports == 0 {
            self.next = self.slot_at(now) + 1;
        }
        let offset = (0..PHASES as u64)
            .min_by_key(|o| self.phases[phase_of(self.next + o)])
            .unwrap_or(0);
        let place = Place {
            due: self.next + offset,
            phase: phase_of(self.next + offset),
        };
        self.ports += 1;
        self.phases[place.phase] += 1;
        // Room for every port in every bucket: putting a port back never allocates.
        for bucket in self.buckets.iter_mut().chain([&mut self.due]) {
            bucket.reserve(self.ports.saturating_sub(bucket.len()));
        }
        self.bucket(place.due).push(port);
        place
    }

    /// Takes a port out.
    pub(super) fn remove(&mut self, place: Place, port: u32) {
        let bucket = self.bucket(place.due);
        if let Some(at) = bucket.iter().position(|p| *p == port) {
            // The others keep their order, and with it their rhythm.
            bucket.remove(at);
            self.ports = self.ports.saturating_sub(1);
            self.phases[place.phase] = self.phases[place.phase].saturating_sub(1);
        }
    }

    /// Begins the next slot when its time has come.
    pub(super) fn begin_slot(&mut self, now: Instant) -> Option<u64> {
        if self.ports == 0 || self.time_of(self.next) > now {
            return None;
        }
        let slot = self.next;
        self.next += 1;
        self.due.clear();
        self.handed = 0;
        let bucket = &mut self.buckets[(slot % TURN) as usize];
        std::mem::swap(bucket, &mut self.due);
        Some(slot)
    }

    /// The next port of the slot begun last. Each must be put back.
    pub(super) fn next_due(&mut self) -> Option<u32> {
        let port = self.due.get(self.handed).copied();
        self.handed += 1;
        port
    }

    /// Puts a port back, due `period_ms` after the slot it was due in.
    pub(super) fn put_back(&mut self, place: &mut Place, port: u32, period_ms: u8) {
        place.due += u64::from(period_ms).div_ceil(SLOT_MS).clamp(1, TURN);
        self.bucket(place.due).push(port);
    }

    /// When the next slot begins; `None` without ports.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        (self.ports > 0).then(|| self.time_of(self.next))
    }

    /// When a slot begins.
    pub(super) fn time_of(&self, slot: u64) -> Instant {
        self.begin + Duration::from_millis(slot.saturating_mul(SLOT_MS))
    }

    pub(super) fn len(&self) -> usize {
        self.ports
    }

    fn slot_at(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.begin).as_millis()).unwrap_or(u64::MAX)
            / SLOT_MS
    }

    fn bucket(&mut self, slot: u64) -> &mut Vec<u32> {
        &mut self.buckets[(slot % TURN) as usize]
    }
}

fn phase_of(slot: u64) -> usize {
    (slot % PHASES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        wheel: &mut Wheel,
        places: &mut [Place],
        periods: &[u8],
        now: Instant,
        until: Duration,
    ) -> Vec<(u64, u32)> {
        let mut seen = Vec::new();
        while let Some(slot) = wheel.begin_slot(now + until) {
            while let Some(port) = wheel.next_due() {
                seen.push((slot, port));
                wheel.put_back(&mut places[port as usize], port, periods[port as usize]);
            }
        }
        seen
    }

    #[test]
    fn ports_spread_evenly_over_the_period() {
        let now = crate::host::clock::now();
        let mut wheel = Wheel::new(now);
        let mut places: Vec<Place> = (0..40).map(|p| wheel.insert(now, p)).collect();
        let seen = run(
            &mut wheel,
            &mut places,
            &[20; 40],
            now,
            Duration::from_millis(20),
        );
        for slot in 1..=4 {
            assert_eq!(seen.iter().filter(|(s, _)| *s == slot).count(), 10);
        }
    }

    #[test]
    fn every_length_of_packet_keeps_its_own_rhythm() {
        let now = crate::host::clock::now();
        let mut wheel = Wheel::new(now);
        let periods = [10, 20, 30, 40, 60];
        let mut places: Vec<Place> = (0..5).map(|p| wheel.insert(now, p)).collect();
        let seen = run(
            &mut wheel,
            &mut places,
            &periods,
            now,
            Duration::from_secs(12),
        );
        for (port, period) in periods.iter().enumerate() {
            let slots: Vec<u64> = seen
                .iter()
                .filter(|(_, p)| *p == port as u32)
                .map(|(s, _)| *s)
                .collect();
            assert!(
                slots
                    .windows(2)
                    .all(|w| (w[1] - w[0]) * SLOT_MS == u64::from(*period))
            );
            assert!((slots.len() as i64 - 12_000 / i64::from(*period)).abs() <= 1);
        }
    }

    #[test]
    fn a_wheel_without_ports_wants_no_ticks() {
        let now = crate::host::clock::now();
        let mut wheel = Wheel::new(now);
        assert_eq!(wheel.next_deadline(), None);
        let later = now + Duration::from_secs(3600);
        let place = wheel.insert(later, 7);
        assert_eq!(
            wheel.next_deadline(),
            Some(later + SLOT),
            "the hour before it is not made up for"
        );
        wheel.remove(place, 7);
        assert_eq!(wheel.next_deadline(), None);
    }
}
