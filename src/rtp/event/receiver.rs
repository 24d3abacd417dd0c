//! Digits heard.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::{Event, SEGMENT};
use crate::rtp::packet::Packet;
use crate::rtp::sequence::{RtpTime, Seq};

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

/// Updates come every 50 ms at most; three missing ones mean the end.
pub(super) const GIVE_UP: Duration = Duration::from_millis(150);
/// Audio this much after the last reported duration means that the key is up.
const RESUMED_MS: u32 = 40;
/// Events remembered to recognise what still comes of them.
const REMEMBERED: usize = 8;
/// A step back in sequence that is reordering.
const MAX_MISORDER: i16 = 100;
