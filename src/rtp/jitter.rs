//! The adaptive jitter buffer of one incoming stream. Holds encoded payloads; knows nothing of codecs.
//!
//! Playing follows timestamps, not arrivals: every packet has its place on the stream's own time line, a packet that
//! comes after its place is dropped, so the length of what is heard stays true. The delay between arrival and place is
//! what adapts: it follows the spread of recent transit times, grows by holding back a frame where one is missing
//! anyway, and shrinks by leaving out a frame at most once a second.

use std::time::Instant;

use super::packet::Packet;
use super::sequence::{RtpTime, Seq, extend};

/// Sizes of a jitter buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterConfig {
    /// RTP clock in Hz.
    pub clock_rate_hz: u32,
    /// Delay before anything is known of the path, in ms.
    pub initial_ms: u32,
    /// Least delay, in ms.
    pub min_ms: u32,
    /// Most delay, in ms.
    pub max_ms: u32,
    /// Bytes of a usual payload: room for it is made in advance.
    pub payload_bytes: usize,
}

impl Default for JitterConfig {
    fn default() -> Self {
        Self {
            clock_rate_hz: 8000,
            initial_ms: 60,
            min_ms: 20,
            max_ms: 200,
            payload_bytes: 160,
        }
    }
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Kept.
    Stored,
    /// Already here.
    Duplicate,
    /// Its place has been played.
    Late,
    /// Not believed yet: a new SSRC or a leap in sequence, until the next packet confirms it.
    Probation,
    /// Payload longer than any codec makes, or of no length at all.
    TooLong,
}

/// What to play next.
#[derive(Debug, PartialEq, Eq)]
pub enum Slot<'a> {
    /// A payload, lasting `ticks`.
    Payload {
        /// Its payload type.
        payload_type: u8,
        /// The encoded bytes.
        payload: &'a [u8],
        /// How long it lasts, in RTP clock ticks.
        ticks: u32,
    },
    /// A packet is missing: conceal `ticks`.
    Lost {
        /// How long, in RTP clock ticks.
        ticks: u32,
    },
    /// Nobody is sending, or the delay is being built up: silence for `ticks`.
    Empty {
        /// How long, in RTP clock ticks.
        ticks: u32,
    },
}

/// What a jitter buffer has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JitterCounts {
    /// Packets handed out.
    pub played: u64,
    /// Packets concealed.
    pub lost: u64,
    /// Packets that came too late.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets left out to shorten the delay.
    pub skipped: u64,
}

/// Puts packets in order and hands them out when they are due.
#[derive(Debug)]
pub struct JitterBuffer {
    config: JitterConfig,
    ring: Box<[Entry]>,
    stream: Option<Stream>,
    /// A stranger waiting for its second packet: SSRC and the sequence number to come.
    candidate: Option<(u32, Seq)>,
    delay: Delay,
    counts: JitterCounts,
}

/// One waiting packet; its buffer is kept for the next one.
#[derive(Debug, Default)]
struct Entry {
    content: Content,
    extended: u64,
    timestamp: RtpTime,
    ticks: u32,
    payload_type: u8,
    payload: Vec<u8>,
}

impl Entry {
    /// With room for a usual packet, so that the first one allocates nothing either.
    fn with_room(bytes: usize) -> Self {
        Self {
            payload: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Content {
    #[default]
    Nothing,
    Audio,
    /// A number that is accounted for, without sound.
    Other,
}

/// The stream that is being played.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    /// Highest extended sequence number seen.
    highest: u64,
    /// Everything before this one has been played or passed over.
    next: u64,
    /// The time line: what has this timestamp is due now.
    position: RtpTime,
    /// Length of the last packet.
    ticks: u32,
    state: State,
    /// Ticks since the delay was changed.
    since_change: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Silence; the next packet is placed anew, one delay from now.
    Idle,
    /// The first packet of a talkspurt waits for its place.
    Building,
    /// Sound, with so many ticks concealed since the last packet.
    Talking { concealed: u32 },
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(config: JitterConfig) -> Self {
        Self {
            config,
            ring: (0..RING)
                .map(|_| Entry::with_room(config.payload_bytes))
                .collect(),
            stream: None,
            candidate: None,
            delay: Delay::new(&config),
            counts: JitterCounts::default(),
        }
    }

    /// An audio packet lasting `ticks` arrived.
    pub fn push(&mut self, now: Instant, packet: &Packet<'_>, ticks: u32) -> Pushed {
        if packet.payload.is_empty()
            || packet.payload.len() > MAX_PAYLOAD
            || ticks == 0
            || ticks > self.ms(MAX_PACKET_MS)
        {
            return Pushed::TooLong;
        }
        let extended = match self.place(packet) {
            Ok(extended) => extended,
            Err(pushed) => {
                if pushed == Pushed::Late {
                    self.delay.arrived(now, packet.timestamp);
                }
                return pushed;
            }
        };
        let mut relative = self.delay.arrived(now, packet.timestamp);
        let (most, target) = (self.ms(self.config.max_ms), self.delay.target);
        let Some(stream) = &mut self.stream else {
            return Pushed::Late;
        };
        stream.ticks = ticks;
        if stream.state == State::Idle {
            if relative > most {
                // The sender's time stood still while it was silent, or the path has changed.
                self.delay.rebase(now, packet.timestamp);
                relative = 0;
            }
            stream.position = packet.timestamp.minus(target.saturating_sub(relative));
            stream.state = State::Building;
            stream.since_change = 0;
            self.delay.placed(target);
        }
        let margin = packet.timestamp.since(stream.position);
        if margin.saturating_add_unsigned(ticks) <= 0 {
            self.counts.late += 1;
            return Pushed::Late;
        }
        if margin > most.saturating_add(ticks).cast_signed() {
            // More waits than may ever wait: a burst after a stall, or a leap of the sender's time.
            stream.position = packet.timestamp.minus(target);
            self.delay.rebase(now, packet.timestamp);
            self.delay.placed(target);
        } else {
            self.delay
                .measured(margin.max(0).unsigned_abs().saturating_add(relative));
        }
        self.store(extended, packet, ticks, Content::Audio)
    }

    /// A packet of the same stream arrived that is not audio (an event, comfort noise): its number is not a loss.
    pub fn note(&mut self, packet: &Packet<'_>) {
        if let Ok(extended) = self.place(packet) {
            self.store(extended, packet, 0, Content::Other);
        }
    }

    /// What comes next. Call it whenever less than a frame of decoded sound is left; every call stands for the `ticks`
    /// it returns.
    pub fn pull(&mut self) -> Slot<'_> {
        let quiet = self.ms(SLOT_MS);
        let patience = self.ms(CONCEAL_MS);
        let (grow_after, shrink_after) = (self.ms(GROW_EVERY_MS), self.ms(SHRINK_EVERY_MS));
        let Some(stream) = &mut self.stream else {
            return Slot::Empty { ticks: quiet };
        };
        if stream.state == State::Idle {
            return Slot::Empty { ticks: quiet };
        }
        let mut told_silent = false;
        let (index, ahead) = loop {
            let Some((index, entry)) = head(&mut self.ring, stream) else {
                break (None, 0);
            };
            let ahead = entry.timestamp.since(stream.position);
            if entry.content == Content::Other {
                told_silent = true;
            } else if ahead.saturating_add_unsigned(entry.ticks) <= 0 {
                self.counts.skipped += 1; // the time line was moved past it
            } else if stream.since_change >= shrink_after && self.delay.excess() > 3 * entry.ticks {
                stream.position = entry.timestamp.plus(entry.ticks);
                stream.since_change = 0;
                self.delay.shrank(entry.ticks);
                self.counts.skipped += 1;
            } else {
                break (Some(index), ahead);
            }
            entry.content = Content::Nothing;
            stream.next = entry.extended + 1;
        };
        let concealed = match stream.state {
            State::Talking { concealed } => concealed,
            State::Building | State::Idle => patience,
        };
        let missing = match index.and_then(|index| self.ring.get(index)) {
            Some(entry) => entry.extended > stream.next,
            None => !told_silent,
        };
        if index.is_some() && ahead <= 0 {
            let Some(entry) = index.and_then(|index| self.ring.get_mut(index)) else {
                return Slot::Empty { ticks: quiet };
            };
            entry.content = Content::Nothing;
            stream.next = entry.extended + 1;
            stream.state = State::Talking { concealed: 0 };
            stream.position = entry.timestamp.plus(entry.ticks);
            stream.since_change = stream.since_change.saturating_add(entry.ticks);
            self.counts.played += 1;
            return Slot::Payload {
                payload_type: entry.payload_type,
                payload: &entry.payload,
                ticks: entry.ticks,
            };
        }
        // Nothing is due. `ahead` is the way to the packet that waits, if one does.
        let gap = if index.is_some() {
            ahead.unsigned_abs()
        } else {
            u32::MAX
        };
        if missing && concealed < patience {
            let ticks = stream.ticks.min(gap);
            stream.state = State::Talking {
                concealed: concealed.saturating_add(ticks),
            };
            stream.since_change = stream.since_change.saturating_add(ticks);
            if stream.since_change >= grow_after && self.delay.lacks() > ticks / 2 {
                // The time line stands still for a frame: what is missing gets another chance, what follows waits longer.
                self.delay.grew(ticks);
                stream.since_change = 0;
            } else {
                stream.position = stream.position.plus(ticks);
            }
            self.counts.lost += 1;
            return Slot::Lost { ticks };
        }
        if index.is_none() {
            stream.state = State::Idle;
            return Slot::Empty { ticks: quiet };
        }
        let ticks = quiet.min(gap);
        stream.position = stream.position.plus(ticks);
        stream.since_change = stream.since_change.saturating_add(ticks);
        if stream.state != State::Building
            && stream.since_change >= shrink_after
            && self.delay.excess() > 3 * stream.ticks / 2
        {
            // Silence is where shortening the delay is not heard.
            let more = stream.ticks.min(gap - ticks);
            stream.position = stream.position.plus(more);
            stream.since_change = 0;
            self.delay.shrank(more);
        }
        Slot::Empty { ticks }
    }

    /// Forgets everything that waits, and the stream: after a re-INVITE or a change of remote. What is known of the
    /// path's delay stays.
    pub fn reset(&mut self) {
        self.clear();
        self.stream = None;
        self.candidate = None;
        self.delay.forget_base();
    }

    /// The delay aimed at, in ms.
    pub fn target_ms(&self) -> u32 {
        self.delay.target / (self.config.clock_rate_hz / 1000).max(1)
    }

    /// What it has done so far.
    pub fn counts(&self) -> JitterCounts {
        self.counts
    }

    /// Whether a talkspurt is being played or built up.
    pub fn is_active(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|stream| stream.state != State::Idle)
    }

    fn ms(&self, ms: u32) -> u32 {
        (self.config.clock_rate_hz / 1000).saturating_mul(ms)
    }

    fn clear(&mut self) {
        for entry in &mut self.ring {
            entry.content = Content::Nothing;
        }
    }

    /// The extended sequence number of a packet that belongs to the stream and has room in the ring.
    fn place(&mut self, packet: &Packet<'_>) -> Result<u64, Pushed> {
        let Some(stream) = &mut self.stream else {
            return Ok(self.start(packet));
        };
        if stream.ssrc != packet.ssrc {
            return self.stranger(packet);
        }
        let extended = extend(stream.highest, packet.sequence);
        if extended > stream.highest + MAX_DROPOUT || extended + MAX_MISORDER < stream.highest {
            return self.stranger(packet);
        }
        self.candidate = None;
        if extended < stream.next {
            let played_twice = self
                .ring
                .get(slot(extended))
                .is_some_and(|entry| entry.extended == extended);
            return Err(if played_twice {
                self.counts.duplicate += 1;
                Pushed::Duplicate
            } else {
                self.counts.late += 1;
                Pushed::Late
            });
        }
        if self
            .ring
            .get(slot(extended))
            .is_some_and(|entry| entry.content != Content::Nothing && entry.extended == extended)
        {
            self.counts.duplicate += 1;
            return Err(Pushed::Duplicate);
        }
        if extended >= stream.next + RING {
            // The ring is too short for what is missing in between; the oldest places are given up.
            stream.next = extended + 1 - RING;
        }
        stream.highest = stream.highest.max(extended);
        Ok(extended)
    }

    /// A packet that does not continue the stream is believed when the next one confirms it (RFC 3550 A.1).
    fn stranger(&mut self, packet: &Packet<'_>) -> Result<u64, Pushed> {
        if self.candidate == Some((packet.ssrc, packet.sequence)) {
            return Ok(self.start(packet));
        }
        self.candidate = Some((packet.ssrc, packet.sequence.plus(1)));
        Err(Pushed::Probation)
    }

    fn start(&mut self, packet: &Packet<'_>) -> u64 {
        self.clear();
        self.candidate = None;
        self.delay.forget_base();
        let extended = (1 << 32) + u64::from(packet.sequence.0);
        self.stream = Some(Stream {
            ssrc: packet.ssrc,
            highest: extended,
            next: extended,
            position: packet.timestamp,
            ticks: self.ms(SLOT_MS),
            state: State::Idle,
            since_change: 0,
        });
        extended
    }

    fn store(
        &mut self,
        extended: u64,
        packet: &Packet<'_>,
        ticks: u32,
        content: Content,
    ) -> Pushed {
        if let Some(entry) = self.ring.get_mut(slot(extended)) {
            entry.content = content;
            entry.extended = extended;
            entry.timestamp = packet.timestamp;
            entry.ticks = ticks;
            entry.payload_type = packet.payload_type;
            entry.payload.clear();
            if content == Content::Audio {
                entry.payload.extend_from_slice(packet.payload);
            }
        }
        Pushed::Stored
    }
}

/// The first waiting packet in sequence.
fn head<'a>(ring: &'a mut [Entry], stream: &Stream) -> Option<(usize, &'a mut Entry)> {
    let waits = |ring: &[Entry], extended: &u64| {
        ring.get(slot(*extended))
            .is_some_and(|entry| entry.content != Content::Nothing && entry.extended == *extended)
    };
    let extended = (stream.next..=stream.highest).find(|extended| waits(ring, extended))?;
    let index = slot(extended);
    ring.get_mut(index).map(|entry| (index, entry))
}

fn slot(extended: u64) -> usize {
    (extended % RING) as usize
}

/// How much delay the path needs, and how much there is. All in ticks.
#[derive(Debug)]
struct Delay {
    clock_rate_hz: u32,
    least: u32,
    most: u32,
    /// How long after the fastest packets the others come: weights of recent packets in steps of `BIN_MS`.
    spread: [f32; BINS],
    total: f32,
    /// Weight of the next packet; grows, so that the past fades.
    weight: f32,
    until_update: u32,
    /// The delay that is enough for all but a few packets.
    target: u32,
    /// The delay there is, averaged.
    actual: f32,
    base: Option<Base>,
}

/// Transit time of the fastest recent packets: arrival minus timestamp, on a scale of its own.
#[derive(Debug)]
struct Base {
    epoch: Instant,
    last: RtpTime,
    /// Ticks of the stream from its beginning to `last`.
    elapsed: i64,
    transit: f64,
}

impl Delay {
    fn new(config: &JitterConfig) -> Self {
        let ticks = |ms: u32| (config.clock_rate_hz / 1000).saturating_mul(ms);
        let mut spread = [0.0; BINS];
        let initial = config
            .initial_ms
            .clamp(config.min_ms, config.max_ms.max(config.min_ms));
        // As if so many packets had needed the initial delay: it fades as real ones come.
        if let Some(bin) = spread.get_mut(initial.saturating_sub(1) as usize / BIN_MS as usize) {
            *bin = PRIOR;
        }
        Self {
            clock_rate_hz: config.clock_rate_hz,
            least: ticks(config.min_ms),
            most: ticks(config.max_ms),
            spread,
            total: PRIOR,
            weight: 1.0,
            until_update: UPDATE_EVERY,
            target: ticks(initial),
            actual: ticks(initial) as f32,
            base: None,
        }
    }

    /// A packet arrived: how many ticks after the fastest ones.
    fn arrived(&mut self, now: Instant, timestamp: RtpTime) -> u32 {
        let clock = f64::from(self.clock_rate_hz);
        let Some(base) = &mut self.base else {
            self.rebase(now, timestamp);
            self.count(0);
            return 0;
        };
        let step = timestamp.since(base.last);
        base.elapsed += i64::from(step);
        base.last = timestamp;
        let arrival = now.saturating_duration_since(base.epoch).as_secs_f64() * clock;
        let transit = arrival - base.elapsed as f64;
        // The fastest packet sets the base; it rises slowly, for clocks that drift apart.
        base.transit = transit.min(base.transit + f64::from(step.max(0)) * BASE_RISE);
        let relative = (transit - base.transit).min(f64::from(u32::MAX / 2)) as u32;
        self.count(relative);
        relative
    }

    /// Takes this packet as the fastest.
    fn rebase(&mut self, now: Instant, timestamp: RtpTime) {
        self.base = Some(Base {
            epoch: now,
            last: timestamp,
            elapsed: 0,
            transit: 0.0,
        });
    }

    fn forget_base(&mut self) {
        self.base = None;
    }

    fn count(&mut self, relative: u32) {
        let bin_ticks = (self.clock_rate_hz / 1000).max(1) * BIN_MS;
        let bin = ((relative / bin_ticks) as usize).min(BINS - 1);
        self.weight *= FADE;
        if let Some(bin) = self.spread.get_mut(bin) {
            *bin += self.weight;
        }
        self.total += self.weight;
        if self.weight > 1e6 {
            let scale = 1.0 / self.weight;
            self.spread.iter_mut().for_each(|bin| *bin *= scale);
            self.total *= scale;
            self.weight = 1.0;
        }
        self.until_update = self.until_update.saturating_sub(1);
        if self.until_update == 0 {
            self.until_update = UPDATE_EVERY;
            let enough = self.total * COVER;
            let mut sum = 0.0;
            let covered = self.spread.iter().take_while(|bin| {
                sum += **bin;
                sum < enough
            });
            let bins = covered.count() as u32 + 1;
            self.target = (bins * bin_ticks).clamp(self.least, self.most.max(self.least));
        }
    }

    /// The delay was set outright.
    fn placed(&mut self, ticks: u32) {
        self.actual = ticks as f32;
    }

    /// A packet was found to have this delay in all.
    fn measured(&mut self, ticks: u32) {
        self.actual += (ticks as f32 - self.actual) / 16.0;
    }

    fn grew(&mut self, ticks: u32) {
        self.actual += ticks as f32;
    }

    fn shrank(&mut self, ticks: u32) {
        self.actual = (self.actual - ticks as f32).max(0.0);
    }

    /// Ticks of delay beyond the target.
    fn excess(&self) -> u32 {
        (self.actual - self.target as f32).max(0.0) as u32
    }

    /// Ticks of delay short of the target.
    fn lacks(&self) -> u32 {
        (self.target as f32 - self.actual).max(0.0) as u32
    }
}

/// Packets that can wait: 200 ms of 10 ms packets and some. A power of two.
const RING: u64 = 32;
/// Bytes of the longest payload kept: 200 ms of G.711, 60 ms of L16.
const MAX_PAYLOAD: usize = 1920;
/// Longest packet kept.
const MAX_PACKET_MS: u32 = 200;
/// Silence is handed out in pieces of this length.
const SLOT_MS: u32 = 20;
/// After so much concealment it is silence (as in G.711 Appendix I).
const CONCEAL_MS: u32 = 60;
/// The delay grows at most this often.
const GROW_EVERY_MS: u32 = 100;
/// The delay shrinks at most this often.
const SHRINK_EVERY_MS: u32 = 1000;
/// Forward leap of the sequence that is still the same stream (RFC 3550 A.1).
const MAX_DROPOUT: u64 = 3000;
/// Backward step that is still reordering (RFC 3550 A.1).
const MAX_MISORDER: u64 = 100;
/// Resolution of the spread.
const BIN_MS: u32 = 5;
/// 240 ms of spread.
const BINS: usize = 48;
/// The part of the packets that shall be in time.
const COVER: f32 = 0.97;
/// Each packet weighs this much more than the one before: a memory of about 250 packets.
const FADE: f32 = 1.004;
/// Packets the initial delay counts for.
const PRIOR: f32 = 50.0;
/// The target is computed once in so many packets.
const UPDATE_EVERY: u32 = 10;
/// How fast the base follows a slower sender: 500 ppm.
const BASE_RISE: f64 = 0.0005;

#[cfg(test)]
mod tests;
