//! The one queue of timers: ordered, cancellable, exact.

use std::collections::BTreeMap;
use std::time::Instant;

/// Names one armed timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId {
    at: Instant,
    sequence: u64,
}

/// Timers of all kinds, each with a key that says whose it is. Every operation is O(log n).
#[derive(Debug)]
pub(crate) struct Schedule<K> {
    queue: BTreeMap<TimerId, K>,
    sequence: u64,
}

impl<K> Schedule<K> {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        Self {
            queue: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// When the earliest timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|(id, _)| id.at)
    }

    /// Takes the earliest timer when it is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let first = self.queue.first_entry()?;
        (first.key().at <= now).then(|| first.remove())
    }

    /// Makes `slot` hold exactly one timer, for `wanted`; moves, cancels or arms as needed.
    pub(crate) fn rearm(
        &mut self,
        slot: &mut Option<TimerId>,
        wanted: Option<Instant>,
        key: impl FnOnce() -> K,
    ) {
        if slot.map(|id| id.at) == wanted {
            return;
        }
        if let Some(old) = slot.take() {
            self.queue.remove(&old);
        }
        if let Some(at) = wanted {
            self.sequence += 1;
            let id = TimerId {
                at,
                sequence: self.sequence,
            };
            self.queue.insert(id, key());
            *slot = Some(id);
        }
    }

    /// How many timers are armed.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::tests::start;
    use std::time::Duration;

    #[test]
    fn timers_fire_in_order_and_at_their_time_only() {
        let t0 = start();
        let ms = |n| t0 + Duration::from_millis(n);
        let mut schedule = Schedule::new();
        let (mut a, mut b, mut c) = (None, None, None);
        schedule.rearm(&mut a, Some(ms(20)), || 'a');
        schedule.rearm(&mut b, Some(ms(10)), || 'b');
        schedule.rearm(&mut c, Some(ms(10)), || 'c');
        assert_eq!(schedule.next(), Some(ms(10)));
        assert_eq!(schedule.pop_due(ms(9)), None);
        assert_eq!(schedule.pop_due(ms(10)), Some('b'));
        assert_eq!(schedule.pop_due(ms(10)), Some('c'));
        assert_eq!(schedule.pop_due(ms(10)), None);
        schedule.rearm(&mut a, Some(ms(5)), || 'A');
        assert_eq!((schedule.len(), schedule.next()), (1, Some(ms(5))));
        schedule.rearm(&mut a, None, || 'x');
        assert_eq!((schedule.len(), schedule.next(), a), (0, None, None));
    }
}
