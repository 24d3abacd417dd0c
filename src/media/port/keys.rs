//! Keys being sent: as telephone-events, or as tones when none were agreed.

use std::collections::VecDeque;

use super::Note;
use crate::audio::dtmf_tone;
use crate::base::id::OpId;
use crate::media::event::Finish;
use crate::rtp::EventSender;
use crate::rtp::RtpTime;
use crate::rtp::event::{Event, EventSlot};

/// What the keys want of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeySlot {
    /// Nothing: play.
    Idle,
    /// Send nothing.
    Pause,
    /// Send this event packet.
    Packet {
        /// First packet of the event.
        marker: bool,
        /// Timestamp of the event's beginning.
        timestamp: RtpTime,
        /// The four bytes.
        payload: [u8; 4],
    },
    /// Send the samples in the buffer.
    Tone,
}

/// Sequences of keys, one after another.
#[derive(Debug, Default)]
pub(super) struct Keys {
    ops: VecDeque<Sequence>,
    /// Made with the first sequence.
    sender: Option<Box<EventSender>>,
    rest_ms: u32,
}

#[derive(Debug)]
struct Sequence {
    /// `None`: nobody waits for its end.
    op: Option<OpId>,
    keys: VecDeque<char>,
    duration_ms: u32,
    gap_ms: u32,
    /// The whole sequence as samples, and how much of them was sent; for peers without telephone-event.
    tones: Option<(Vec<i16>, usize)>,
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.ops.len()
    }

    /// Queues a sequence. `events`: the RTP clock of telephone-events, where they are agreed. `false`: too many wait
    /// already.
    pub(super) fn push(
        &mut self,
        op: Option<OpId>,
        keys: &str,
        duration_ms: u32,
        gap_ms: u32,
        events: Option<u32>,
    ) -> bool {
        if self.ops.len() >= WAITING_SEQUENCES {
            return false;
        }
        let duration_ms = duration_ms.clamp(LEAST_MS, MOST_MS);
        let gap_ms = gap_ms.clamp(LEAST_MS, MOST_MS);
        let keys: VecDeque<char> = keys.chars().take(MOST_KEYS).collect();
        let tones = events
            .is_none()
            .then(|| (render(&keys, duration_ms, gap_ms), 0));
        let clock_rate_hz = events.unwrap_or(TONE_RATE_HZ);
        let fits = |sender: &EventSender| sender.clock_rate_hz() == clock_rate_hz / 1000 * 1000;
        if self.ops.is_empty() && !self.sender.as_deref().is_some_and(fits) {
            self.sender = Some(Box::new(EventSender::new(clock_rate_hz)));
        }
        self.ops.push_back(Sequence {
            op,
            keys,
            duration_ms,
            gap_ms,
            tones,
        });
        true
    }

    pub(super) fn cancel(&mut self, op: OpId, notes: &mut VecDeque<Note>) {
        if self.ops.front().is_some_and(|s| s.op == Some(op)) {
            self.rest_ms = 0;
            if let Some(sender) = &mut self.sender {
                sender.cancel();
            }
        }
        self.ops.retain(|s| {
            let keep = s.op != Some(op);
            if !keep {
                notes.push_back(Note::Finished(op, Finish::Cancelled));
            }
            keep
        });
    }

    pub(super) fn cancel_all(&mut self, notes: &mut VecDeque<Note>) {
        notes.extend(
            self.ops
                .drain(..)
                .filter_map(|s| Some(Note::Finished(s.op?, Finish::Cancelled))),
        );
    }

    /// What to do in the slot that begins at `now`. `events`: telephone-events are agreed. Samples go to `pcm`.
    pub(super) fn slot(
        &mut self,
        now: RtpTime,
        slot_ms: u8,
        events: bool,
        notes: &mut VecDeque<Note>,
        pcm: &mut Vec<i16>,
    ) -> KeySlot {
        let Some(sender) = &mut self.sender else {
            return KeySlot::Idle;
        };
        let slot_ms = u32::from(slot_ms);
        if events {
            match sender.slot(now, slot_ms) {
                EventSlot::Packet {
                    marker,
                    timestamp,
                    payload,
                } => {
                    return KeySlot::Packet {
                        marker,
                        timestamp,
                        payload,
                    };
                }
                EventSlot::Pause => return KeySlot::Pause,
                EventSlot::Audio => {}
            }
        }
        if self.rest_ms > 0 {
            self.rest_ms = self.rest_ms.saturating_sub(slot_ms);
            return KeySlot::Pause;
        }
        while let Some(front) = self.ops.front_mut() {
            if let Some((tones, at)) = &mut front.tones {
                let rest = tones.get(*at..).unwrap_or_default();
                let want = slot_ms as usize * TONE_SAMPLES_PER_MS;
                pcm.clear();
                pcm.extend_from_slice(rest.get(..want).unwrap_or(rest));
                if !pcm.is_empty() {
                    *at += pcm.len();
                    pcm.resize(want, 0);
                    return KeySlot::Tone;
                }
            } else if !events {
                // Agreed when it was queued, and no longer: it cannot be sent.
                notes.extend(front.op.map(|op| Note::Finished(op, Finish::Failed)));
                self.ops.pop_front();
                continue;
            } else if let Some(key) = front.keys.pop_front() {
                if let Some(rest) = pause_ms(key) {
                    self.rest_ms = rest.saturating_sub(slot_ms);
                    return KeySlot::Pause;
                }
                let sending = Event::from_digit(key)
                    .is_some_and(|e| sender.push(e, front.duration_ms, front.gap_ms));
                if sending
                    && let EventSlot::Packet {
                        marker,
                        timestamp,
                        payload,
                    } = sender.slot(now, slot_ms)
                {
                    return KeySlot::Packet {
                        marker,
                        timestamp,
                        payload,
                    };
                }
                continue;
            }
            notes.extend(front.op.map(|op| Note::Finished(op, Finish::Done)));
            self.ops.pop_front();
        }
        KeySlot::Idle
    }
}

fn pause_ms(key: char) -> Option<u32> {
    match key {
        'w' => Some(500),
        'W' => Some(1000),
        _ => None,
    }
}

/// The whole sequence as samples.
fn render(keys: &VecDeque<char>, duration_ms: u32, gap_ms: u32) -> Vec<i16> {
    let mut out = Vec::new();
    let silence = |ms: u32| std::iter::repeat_n(0, ms as usize * TONE_SAMPLES_PER_MS);
    for key in keys {
        if let Some(rest) = pause_ms(*key) {
            out.extend(silence(rest));
        } else if Event::from_digit(*key).is_some() {
            out.extend(dtmf_tone(*key, duration_ms));
            out.extend(silence(gap_ms));
        }
        if out.len() > MOST_TONE_SAMPLES {
            break;
        }
    }
    out
}

/// The rate of keys made tones.
const TONE_RATE_HZ: u32 = 8000;
const TONE_SAMPLES_PER_MS: usize = 8;
/// Shortest key and shortest gap (sip.md §11).
const LEAST_MS: u32 = 40;
/// Longest key and longest gap.
const MOST_MS: u32 = 10_000;
/// Longest sequence.
const MOST_KEYS: usize = 256;
/// Two minutes of tones.
const MOST_TONE_SAMPLES: usize = 120 * 8000;
/// Sequences that may wait.
const WAITING_SEQUENCES: usize = 16;
