//! Digits sent.

use std::collections::VecDeque;

use super::Event;
use crate::rtp::sequence::RtpTime;

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

/// −10 dBm0, as most devices send.
const VOLUME: u8 = 10;
/// Copies of the end after the first one.
const END_COPIES: u8 = 2;
/// Shortest tone and gap.
const MIN_MS: u32 = 40;
/// Longest tone and gap.
const MAX_MS: u32 = 60_000;
/// Digits that can wait.
pub(super) const MAX_QUEUE: usize = 256;
