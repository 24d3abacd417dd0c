//! Keypad digits as RTP packets: telephone-event (RFC 4733).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::packet::Packet;
use super::sequence::{RtpTime, Seq};

/// A key: event codes 0–16 of RFC 4733 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event(u8);

impl Event {
    /// Hook flash, the only event here that is no digit.
    pub const FLASH: Event = Event(16);

    /// The event of a code; `None` beyond 16.
    pub fn from_code(code: u8) -> Option<Self> {
        (code <= 16).then_some(Self(code))
    }

    /// The event of `0`–`9`, `*`, `#`, `A`–`D` in either case.
    pub fn from_digit(digit: char) -> Option<Self> {
        let code = match digit {
            '0'..='9' => digit as u8 - b'0',
            '*' => 10,
            '#' => 11,
            'A'..='D' => digit as u8 - b'A' + 12,
            'a'..='d' => digit as u8 - b'a' + 12,
            _ => return None,
        };
        Some(Self(code))
    }

    /// The code on the wire.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The digit; `None` for a hook flash.
    pub fn digit(self) -> Option<char> {
        match self.0 {
            code @ 0..=9 => Some((b'0' + code) as char),
            10 => Some('*'),
            11 => Some('#'),
            code @ 12..=15 => Some((b'A' + code - 12) as char),
            _ => None,
        }
    }
}

/// What the sender wants in this slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSlot {
    /// Nothing: send audio.
    Audio,
    /// Send nothing: the gap after a digit.
    Pause,
    /// Send this payload.
    Packet {
        /// First packet of the event.
        marker: bool,
        /// Timestamp of the event's beginning.
        timestamp: RtpTime,
        /// The four bytes.
        payload: [u8; 4],
    },
}

/// Sends digits one after another: one timestamp a digit, a duration that grows with every packet, the end three times
/// (RFC 4733 §2.5.1).
#[derive(Debug, Clone)]
pub struct EventSender {
    ticks_per_ms: u32,
    queue: VecDeque<Waiting>,
    state: Sending,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    event: Event,
    duration: u32,
    gap: u32,
}

#[derive(Debug, Clone, Copy)]
enum Sending {
    Nothing,
    Tone {
        event: Event,
        /// Timestamp of the running segment.
        segment: RtpTime,
        /// Ticks before the running segment.
        before: u32,
        /// Ticks so far, all segments.
        elapsed: u32,
        total: u32,
        gap: u32,
    },
    /// The end has been sent once; copies and gap follow.
    Ending {
        event: Event,
        segment: RtpTime,
        duration: u16,
        copies: u8,
        gap: u32,
    },
}

impl EventSender {
    /// For an RTP clock of `clock_rate_hz`.
    pub fn new(clock_rate_hz: u32) -> Self {
        Self {
            ticks_per_ms: (clock_rate_hz / 1000).max(1),
            queue: VecDeque::with_capacity(4),
            state: Sending::Nothing,
        }
    }

    /// The RTP clock it counts in.
    pub fn clock_rate_hz(&self) -> u32 {
        self.ticks_per_ms * 1000
    }

    /// Queues a digit: `duration_ms` of tone, then `gap_ms` of pause, both at least 40 ms and at most 60 s. False when
    /// the queue is full.
    pub fn push(&mut self, event: Event, duration_ms: u32, gap_ms: u32) -> bool {
        if self.queue.len() >= MAX_QUEUE {
            return false;
        }
        let ticks = |ms: u32| ms.clamp(MIN_MS, MAX_MS).saturating_mul(self.ticks_per_ms);
        self.queue.push_back(Waiting {
            event,
            duration: ticks(duration_ms),
            gap: ticks(gap_ms),
        });
        true
    }

    /// Whether nothing is being sent or waits.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, Sending::Nothing) && self.queue.is_empty()
    }

    /// Forgets what waits and ends what is being sent.
    pub fn cancel(&mut self) {
        self.queue.clear();
        if let Sending::Tone { elapsed, total, .. } = &mut self.state {
            *total = *elapsed;
        }
    }

    /// What to send in a slot of `slot_ms` beginning at the stream's time `now`.
    pub fn slot(&mut self, now: RtpTime, slot_ms: u32) -> EventSlot {
        let slot = slot_ms.saturating_mul(self.ticks_per_ms);
        match self.state {
            Sending::Nothing => {
                let Some(next) = self.queue.pop_front() else {
                    return EventSlot::Audio;
                };
                let tone = Tone {
                    event: next.event,
                    segment: now,
                    before: 0,
                    elapsed: 0,
                    total: next.duration,
                    gap: next.gap,
                };
                self.tone(tone, slot, true)
            }
            Sending::Tone {
                event,
                segment,
                before,
                elapsed,
                total,
                gap,
            } => self.tone(
                Tone {
                    event,
                    segment,
                    before,
                    elapsed,
                    total,
                    gap,
                },
                slot,
                false,
            ),
            Sending::Ending {
                event,
                segment,
                duration,
                copies,
                gap,
            } => {
                let gap_left = gap.saturating_sub(slot);
                self.state = if gap_left == 0 && copies <= 1 {
                    Sending::Nothing
                } else {
                    Sending::Ending {
                        event,
                        segment,
                        duration,
                        copies: copies.saturating_sub(1),
                        gap: gap_left,
                    }
                };
                if copies == 0 {
                    return EventSlot::Pause;
                }
                EventSlot::Packet {
                    marker: false,
                    timestamp: segment,
                    payload: payload(event, true, duration),
                }
            }
        }
    }

    fn tone(&mut self, tone: Tone, slot: u32, marker: bool) -> EventSlot {
        let Tone {
            event,
            segment,
            before,
            elapsed,
            total,
            gap,
        } = tone;
        let elapsed = elapsed.saturating_add(slot).min(total);
        let duration = elapsed - before;
        let Ok(short) = u16::try_from(duration) else {
            // Longer than the field: this segment is closed at its largest, the next begins there (§2.5.1.3).
            let most = u32::from(u16::MAX);
            self.state = Sending::Tone {
                event,
                segment: segment.plus(most),
                before: before + most,
                elapsed,
                total,
                gap,
            };
            return EventSlot::Packet {
                marker,
                timestamp: segment,
                payload: payload(event, false, u16::MAX),
            };
        };
        let end = elapsed >= total;
        self.state = if end {
            Sending::Ending {
                event,
                segment,
                duration: short,
                copies: END_COPIES,
                gap,
            }
        } else {
            Sending::Tone {
                event,
                segment,
                before,
                elapsed,
                total,
                gap,
            }
        };
        EventSlot::Packet {
            marker,
            timestamp: segment,
            payload: payload(event, end, short),
        }
    }
}

/// A running tone, while it is worked on.
struct Tone {
    event: Event,
    segment: RtpTime,
    before: u32,
    elapsed: u32,
    total: u32,
    gap: u32,
}

fn payload(event: Event, end: bool, duration: u16) -> [u8; 4] {
    let [high, low] = duration.to_be_bytes();
    [
        event.code(),
        if end { 0x80 | VOLUME } else { VOLUME },
        high,
        low,
    ]
}

/// What a receiver noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A key went down. Exactly one a press.
    Down(Event),
    /// The same key came up, or was taken to be up.
    Up {
        /// Which.
        event: Event,
        /// How long it was down.
        duration_ms: u32,
    },
}

/// Hears digits: one a press, whatever is lost, repeated or reordered.
#[derive(Debug, Clone)]
pub struct EventReceiver {
    ticks_per_ms: u32,
    open: Option<Open>,
    /// Events that are over, newest first: what still comes of them is a repetition.
    over: [Option<Over>; REMEMBERED],
    /// SSRC and sequence number of the newest event packet.
    newest: Option<(u32, Seq)>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    ssrc: u32,
    event: Event,
    /// Timestamp of the running segment.
    segment: RtpTime,
    /// Ticks of earlier segments.
    before: u32,
    /// Ticks of the running segment.
    duration: u32,
    updated: Instant,
    sequence: Seq,
}

#[derive(Debug, Clone, Copy)]
struct Over {
    ssrc: u32,
    segment: RtpTime,
    /// The event, when its end was not seen: a further segment of it may come.
    unfinished: Option<Event>,
}

impl EventReceiver {
    /// For an RTP clock of `clock_rate_hz`.
    pub fn new(clock_rate_hz: u32) -> Self {
        Self {
            ticks_per_ms: (clock_rate_hz / 1000).max(1),
            open: None,
            over: [None; REMEMBERED],
            newest: None,
        }
    }

    /// The RTP clock it counts in.
    pub fn clock_rate_hz(&self) -> u32 {
        self.ticks_per_ms * 1000
    }

    /// A telephone-event packet from the believed source.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>) -> SmallVec<[Key; 4]> {
        let mut keys = SmallVec::new();
        let Some(&[code, flags, high, low]) = packet.payload.first_chunk() else {
            return keys;
        };
        let Some(event) = Event::from_code(code) else {
            return keys;
        };
        let end = flags & 0x80 != 0;
        let duration = u32::from(u16::from_be_bytes([high, low]));
        let (ssrc, timestamp) = (packet.ssrc, packet.timestamp);
        if let Some(open) = &mut self.open
            && open.ssrc == ssrc
        {
            let step = timestamp.since(open.segment).max(0).unsigned_abs();
            let continues = !packet.marker
                && open.event == event
                && step > 0
                && (step == SEGMENT || step == open.duration);
            if timestamp == open.segment || continues {
                if open.event != event {
                    return keys; // one event a timestamp
                }
                let ended_segment = open.segment;
                if continues {
                    open.before = open.before.saturating_add(step);
                    open.segment = timestamp;
                    open.duration = 0;
                }
                open.duration = open.duration.max(duration);
                open.updated = now;
                open.sequence = packet.sequence;
                self.newest = Some((ssrc, packet.sequence));
                if continues {
                    self.remember(Over {
                        ssrc,
                        segment: ended_segment,
                        unfinished: None,
                    });
                }
                if end {
                    keys.extend(self.close(true));
                }
                return keys;
            }
        }
        if self.is_old(packet, event) {
            return keys;
        }
        keys.extend(self.close(false));
        self.newest = Some((ssrc, packet.sequence));
        self.open = Some(Open {
            ssrc,
            event,
            segment: timestamp,
            before: 0,
            duration,
            updated: now,
            sequence: packet.sequence,
        });
        keys.push(Key::Down(event));
        if end {
            keys.extend(self.close(true));
        }
        keys
    }

    /// An audio packet of the same stream: ends an event whose end was lost.
    pub fn audio(&mut self, packet: &Packet<'_>) -> Option<Key> {
        let open = self.open.as_ref().filter(|open| open.ssrc == packet.ssrc)?;
        let end = open
            .segment
            .plus(open.duration)
            .plus(RESUMED_MS * self.ticks_per_ms);
        if packet.sequence.since(open.sequence) > 0 && packet.timestamp.since(end) >= 0 {
            self.close(false)
        } else {
            None
        }
    }

    /// When an event with lost end is taken to be over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.updated + GIVE_UP)
    }

    /// Ends an event whose updates stopped coming.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Key> {
        if self.poll_timeout()? <= now {
            self.close(false)
        } else {
            None
        }
    }

    /// The key that is down.
    pub fn down(&self) -> Option<Event> {
        self.open.as_ref().map(|open| open.event)
    }

    /// Whether a packet belongs to an event that is over, or has been overtaken by a newer one.
    fn is_old(&self, packet: &Packet<'_>, event: Event) -> bool {
        let known = self
            .over
            .iter()
            .flatten()
            .filter(|over| over.ssrc == packet.ssrc)
            .any(|over| {
                let step = packet.timestamp.since(over.segment);
                step == 0
                    || (over.unfinished == Some(event)
                        && !packet.marker
                        && step == SEGMENT.cast_signed())
            });
        let overtaken = self.newest.is_some_and(|(ssrc, newest)| {
            ssrc == packet.ssrc && (-MAX_MISORDER..0).contains(&packet.sequence.since(newest))
        });
        known || overtaken
    }

    fn close(&mut self, finished: bool) -> Option<Key> {
        let open = self.open.take()?;
        let unfinished = (!finished).then_some(open.event);
        self.remember(Over {
            ssrc: open.ssrc,
            segment: open.segment,
            unfinished,
        });
        let duration_ms = open.before.saturating_add(open.duration) / self.ticks_per_ms;
        Some(Key::Up {
            event: open.event,
            duration_ms,
        })
    }

    fn remember(&mut self, over: Over) {
        self.over.rotate_right(1);
        if let Some(first) = self.over.first_mut() {
            *first = Some(over);
        }
    }
}

/// −10 dBm0, as most devices send.
const VOLUME: u8 = 10;
/// Copies of the end after the first one.
const END_COPIES: u8 = 2;
/// Shortest tone and gap.
const MIN_MS: u32 = 40;
/// Longest tone and gap.
const MAX_MS: u32 = 60_000;
/// Digits that can wait.
const MAX_QUEUE: usize = 256;
/// Ticks of a full segment.
const SEGMENT: u32 = 0xFFFF;
/// Updates come every 50 ms at most; three missing ones mean the end.
const GIVE_UP: Duration = Duration::from_millis(150);
/// Audio this much after the last reported duration means that the key is up.
const RESUMED_MS: u32 = 40;
/// Events remembered to recognise what still comes of them.
const REMEMBERED: usize = 8;
/// A step back in sequence that is reordering.
const MAX_MISORDER: i16 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::rtp::{RtpSender, some_instant};

    fn event(digit: char) -> Event {
        Event::from_digit(digit).unwrap()
    }

    /// One packet in wire terms.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Sent {
        at_ms: u64,
        marker: bool,
        seq: Seq,
        time: RtpTime,
        payload: [u8; 4],
    }

    impl Sent {
        fn end(&self) -> bool {
            self.payload[1] & 0x80 != 0
        }
        fn duration(&self) -> u16 {
            u16::from_be_bytes([self.payload[2], self.payload[3]])
        }
        fn packet(&self) -> Packet<'_> {
            Packet {
                marker: self.marker,
                payload_type: 101,
                sequence: self.seq,
                timestamp: self.time,
                ssrc: 9,
                payload: &self.payload,
            }
        }
    }

    /// Everything a sender sends until it is idle, and how many slots had audio.
    fn send(digits: &str, duration_ms: u32, gap_ms: u32) -> Vec<Sent> {
        let mut stream = RtpSender::new(&mut Rng::seeded(3));
        let mut sender = EventSender::new(8000);
        let mut waiting = digits.chars().peekable();
        let mut sent = Vec::new();
        let mut at_ms = 0;
        while waiting.peek().is_some() || !sender.is_idle() {
            while let Some(digit) = waiting.peek() {
                if !sender.push(event(*digit), duration_ms, gap_ms) {
                    break;
                }
                waiting.next();
            }
            if let EventSlot::Packet {
                marker,
                timestamp,
                payload,
            } = sender.slot(stream.timestamp(), 20)
            {
                let header = stream.header(marker, 101, timestamp, 4);
                sent.push(Sent {
                    at_ms,
                    marker,
                    seq: header.sequence,
                    time: timestamp,
                    payload,
                });
            }
            stream.advance(160);
            at_ms += 20;
        }
        sent
    }

    fn digits_down(keys: &[Key]) -> String {
        keys.iter()
            .filter_map(|key| {
                if let Key::Down(event) = key {
                    event.digit()
                } else {
                    None
                }
            })
            .collect()
    }

    #[test]
    fn codes_and_digits_are_those_of_the_rfc() {
        for (digit, code) in [
            ('0', 0),
            ('9', 9),
            ('*', 10),
            ('#', 11),
            ('A', 12),
            ('D', 15),
            ('d', 15),
        ] {
            assert_eq!(event(digit).code(), code);
            assert_eq!(
                Event::from_code(code).unwrap().digit(),
                Some(digit.to_ascii_uppercase())
            );
        }
        assert_eq!(
            (
                Event::FLASH.digit(),
                Event::from_code(17),
                Event::from_digit('x')
            ),
            (None, None, None)
        );
    }

    #[test]
    fn a_digit_is_sent_as_the_rfc_says() {
        let sent = send("5", 100, 40);
        assert_eq!(
            sent.iter().map(Sent::duration).collect::<Vec<_>>(),
            [160, 320, 480, 640, 800, 800, 800]
        );
        assert_eq!(
            sent.iter().map(|s| s.marker).collect::<Vec<_>>(),
            [true, false, false, false, false, false, false]
        );
        assert_eq!(
            sent.iter().map(Sent::end).collect::<Vec<_>>(),
            [false, false, false, false, true, true, true]
        );
        assert!(
            sent.iter()
                .all(|s| s.time == sent[0].time && s.payload[0] == 5 && s.payload[1] & 0x3F == 10)
        );
        assert!(sent.windows(2).all(|w| w[1].seq.since(w[0].seq) == 1));
    }

    #[test]
    fn tone_and_gap_are_at_least_40_ms() {
        let sent = send("12", 1, 1);
        let second = sent.iter().position(|s| s.payload[0] == 2).unwrap();
        assert_eq!(
            sent[second].time.since(sent[0].time),
            640,
            "40 ms of tone, 40 ms of gap"
        );
        assert_eq!(sent[second - 1].duration(), 320);
    }

    #[test]
    fn long_events_are_sent_in_segments_and_heard_as_one() {
        let sent = send("7", 20_000, 40);
        let markers = sent.iter().filter(|s| s.marker).count();
        let segments: Vec<RtpTime> = sent.iter().fold(Vec::new(), |mut all, s| {
            if all.last() != Some(&s.time) {
                all.push(s.time);
            }
            all
        });
        assert_eq!((markers, segments.len()), (1, 3));
        assert!(segments.windows(2).all(|w| w[1].since(w[0]) == 0xFFFF));
        let begin = some_instant();
        let mut receiver = EventReceiver::new(8000);
        let keys: Vec<Key> = sent
            .iter()
            .flat_map(|s| receiver.receive(begin + Duration::from_millis(s.at_ms), &s.packet()))
            .collect();
        assert_eq!(
            keys,
            [
                Key::Down(event('7')),
                Key::Up {
                    event: event('7'),
                    duration_ms: 20_000
                }
            ]
        );
    }

    #[test]
    fn cancelling_ends_the_digit_properly() {
        let mut sender = EventSender::new(8000);
        sender.push(event('1'), 1000, 40);
        sender.push(event('2'), 100, 40);
        sender.slot(RtpTime(0), 20);
        sender.cancel();
        let rest: Vec<EventSlot> = (0..6)
            .map(|i| sender.slot(RtpTime(160 * (i + 1)), 20))
            .collect();
        let ends = rest
            .iter()
            .filter(|s| matches!(s, EventSlot::Packet { payload, .. } if payload[1] & 0x80 != 0))
            .count();
        assert_eq!((ends, rest.last()), (3, Some(&EventSlot::Audio)));
    }

    #[test]
    fn the_queue_has_a_limit() {
        let mut sender = EventSender::new(8000);
        assert_eq!(
            (0..1000)
                .filter(|_| sender.push(event('1'), 100, 40))
                .count(),
            MAX_QUEUE
        );
    }

    #[test]
    fn a_clean_digit_is_one_press_with_its_length() {
        let begin = some_instant();
        let mut receiver = EventReceiver::new(8000);
        let sent = send("5", 100, 40);
        let keys: Vec<Key> = sent
            .iter()
            .flat_map(|s| receiver.receive(begin, &s.packet()))
            .collect();
        assert_eq!(
            keys,
            [
                Key::Down(event('5')),
                Key::Up {
                    event: event('5'),
                    duration_ms: 100
                }
            ]
        );
        assert_eq!(receiver.poll_timeout(), None);
    }

    #[test]
    fn a_lost_end_is_noticed_by_time_by_the_next_digit_and_by_audio() {
        let begin = some_instant();
        let sent = send("55", 100, 40);
        let unended: Vec<&Sent> = sent.iter().filter(|s| !s.end()).collect();
        let (first, second) = (unended[0], unended[4]);
        assert_ne!(first.time, second.time);

        let mut receiver = EventReceiver::new(8000);
        receiver.receive(begin, &first.packet());
        assert_eq!(
            receiver.handle_timeout(begin + Duration::from_millis(149)),
            None
        );
        assert_eq!(
            receiver.handle_timeout(begin + GIVE_UP),
            Some(Key::Up {
                event: event('5'),
                duration_ms: 20
            })
        );
        assert!(
            receiver.receive(begin, &unended[1].packet()).is_empty(),
            "no second digit from what comes later"
        );

        let mut receiver = EventReceiver::new(8000);
        receiver.receive(begin, &first.packet());
        let keys = receiver.receive(begin, &second.packet());
        assert_eq!(
            keys.as_slice(),
            [
                Key::Up {
                    event: event('5'),
                    duration_ms: 20
                },
                Key::Down(event('5'))
            ]
        );

        let mut receiver = EventReceiver::new(8000);
        receiver.receive(begin, &first.packet());
        let audio = |ahead: u32| Packet {
            marker: false,
            payload_type: 0,
            sequence: first.seq.plus(9),
            timestamp: first.time.plus(ahead),
            ssrc: 9,
            payload: &[],
        };
        assert_eq!(receiver.audio(&audio(160)), None, "audio beside the event");
        assert!(receiver.audio(&audio(800)).is_some());
    }

    #[test]
    fn repeated_ends_and_old_packets_are_not_digits() {
        let begin = some_instant();
        let sent = send("12", 100, 40);
        let mut receiver = EventReceiver::new(8000);
        let mut keys: Vec<Key> = sent
            .iter()
            .flat_map(|s| receiver.receive(begin, &s.packet()))
            .collect();
        keys.extend(
            sent.iter()
                .flat_map(|s| receiver.receive(begin, &s.packet())),
        );
        assert_eq!(digits_down(&keys), "12");
    }

    #[test]
    fn the_first_packets_may_be_lost_down_to_the_last_one() {
        let sent = send("8", 100, 40);
        for skip in 0..sent.len() {
            let mut receiver = EventReceiver::new(8000);
            let keys: Vec<Key> = sent
                .iter()
                .skip(skip)
                .flat_map(|s| receiver.receive(some_instant(), &s.packet()))
                .collect();
            assert_eq!(
                (digits_down(&keys).as_str(), keys.len()),
                ("8", 2),
                "{skip} lost"
            );
        }
    }

    #[test]
    fn strange_payloads_are_ignored() {
        let mut receiver = EventReceiver::new(8000);
        for payload in [&[][..], &[5], &[5, 10, 0], &[17, 10, 0, 160], &[255; 4]] {
            let packet = Packet {
                marker: true,
                payload_type: 101,
                sequence: Seq(1),
                timestamp: RtpTime(1),
                ssrc: 9,
                payload,
            };
            assert!(receiver.receive(some_instant(), &packet).is_empty());
        }
    }

    #[test]
    fn a_sender_that_restarts_its_timestamps_is_still_heard() {
        let mut receiver = EventReceiver::new(8000);
        let begin = some_instant();
        let mut heard = String::new();
        for (i, time) in [1_000_000u32, 500, 3_000_000_000, 0]
            .into_iter()
            .enumerate()
        {
            let payload = [i as u8, 0x8A, 3, 32];
            let packet = Packet {
                marker: true,
                payload_type: 101,
                sequence: Seq(i as u16 * 10),
                timestamp: RtpTime(time),
                ssrc: 9,
                payload: &payload,
            };
            heard += &digits_down(&receiver.receive(begin, &packet));
        }
        assert_eq!(heard, "0123");
    }

    /// 1,000 digits through 10 % random loss: at least 999 right, none twice (RFC 4733, issue figure).
    #[test]
    fn a_thousand_digits_survive_ten_percent_loss() {
        let keypad: Vec<char> = "0123456789*#ABCD".chars().collect();
        for seed in 0..40 {
            let mut rng = Rng::seeded(seed);
            let dialled: String = (0..1000).map(|_| keypad[rng.below(16) as usize]).collect();
            let (duration, gap) = [(100, 40), (160, 100), (60, 40)][(seed % 3) as usize];
            let sent = send(&dialled, duration, gap);
            let begin = some_instant();
            let mut receiver = EventReceiver::new(8000);
            let mut keys = Vec::new();
            for packet in &sent {
                let now = begin + Duration::from_millis(packet.at_ms);
                keys.extend(receiver.handle_timeout(now));
                if rng.unit() >= 0.10 {
                    keys.extend(receiver.receive(now, &packet.packet()));
                    if rng.below(50) == 0 {
                        keys.extend(receiver.receive(now, &packet.packet())); // the network may repeat as well
                    }
                }
            }
            let heard: Vec<char> = digits_down(&keys).chars().collect();
            // Every digit heard is one dialled, in order: what is heard is a subsequence of nearly full length.
            let mut rest = dialled.chars();
            let right = heard
                .iter()
                .take_while(|digit| rest.by_ref().any(|d| d == **digit))
                .count();
            assert_eq!(right, heard.len(), "seed {seed}: a digit too many");
            assert!(right >= 999, "seed {seed}: {right} of 1000");
        }
    }
}
