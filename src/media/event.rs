//! What ports report, and the one place it is collected.
//!
//! A worker keeps its ports' events as state on the port and publishes them through a ring with one wake a slot; while
//! the ring is full they stay where they are. The recorder and refused commands use the short locked list beside it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rtrb::Consumer;
use tokio::sync::Notify;

use crate::base::id::{OpId, PortId};
use crate::rtp::headers::Headers;

/// Something a port reports.
#[derive(Debug)]
pub enum MediaEvent {
    /// A source or a key sequence ended: one for each [`Play`](super::Command::Play) and
    /// [`SendDigits`](super::Command::SendDigits).
    Finished {
        /// Whose port.
        port: PortId,
        /// The operation it was given under.
        op: OpId,
        /// How it ended.
        why: Finish,
    },
    /// The peer pressed a key. Reported once, when it is recognised.
    Digit {
        /// Whose port.
        port: PortId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How it was sent.
        via: Via,
        /// How long it was held as far as known, in milliseconds.
        duration_ms: u32,
    },
    /// A member of a room whose [`Seating`](super::Seating) asks for it begins or ends to talk.
    Talking {
        /// Whose port.
        port: PortId,
        /// Begins.
        on: bool,
    },
    /// Nothing came from the peer for as long as the plan allows. Once, until something comes again.
    Silent {
        /// Whose port.
        port: PortId,
    },
    /// The keys of a WebRTC leg could not be agreed on, or the peer's certificate is not the one it announced. Once.
    Insecure {
        /// Whose port.
        port: PortId,
    },
    /// How media arrived since the sample before; with each report to the peer.
    Sampled {
        /// Whose port.
        port: PortId,
        /// The figures.
        sample: Sample,
    },
    /// A recording ended, and its file is complete.
    Recorded {
        /// Whose port.
        port: PortId,
        /// The operation it was given under.
        op: OpId,
        /// The length of the audio in the file.
        length: Duration,
        /// Why it ended.
        why: RecordEnd,
    },
    /// The port is gone; the last event it reports, except for `Recorded`.
    Closed {
        /// Whose port.
        port: PortId,
        /// What passed through it.
        stats: Box<PortStats>,
        /// Headers of what passed, if anything did.
        passed: Option<Box<Passed>>,
    },
}

/// How a source or a key sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// To its end.
    Done,
    /// By `Cancel`, `Flush`, or because the port closed.
    Cancelled,
    /// It could not be played: a stream broke off, or too much was queued.
    Failed,
}

/// How a key was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// As a telephone-event (RFC 4733).
    Event,
    /// As a tone in the audio.
    Inband,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordEnd {
    /// `StopRecord`.
    Stopped,
    /// It reached its longest length.
    MaxLength,
    /// The peer was silent for long enough.
    Silence,
    /// The peer pressed this key.
    Key(char),
    /// The port closed: the call is over.
    Closed,
    /// The disk is, or is nearly, full. What was recorded before is kept.
    DiskFull,
    /// The file could not be made or written, or its name is not allowed. There is no file.
    Failed,
    /// It was shorter than it had to be. There is no file.
    TooShort,
}

/// How media arrived in one interval, and counts of the whole life of the port.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// RTP packets received so far.
    pub received: u32,
    /// RTP packets that never came, so far.
    pub lost: u32,
    /// RTP packets sent so far.
    pub sent: u32,
    /// The share of the interval's packets that never came.
    pub loss: f32,
    /// Interarrival jitter, in milliseconds.
    pub jitter_ms: f32,
    /// Estimated mean opinion score of the interval; 0 when nothing was received in it.
    pub mos: f32,
    /// The share of our packets the peer says it lost.
    pub remote_loss: f32,
    /// The jitter the peer sees, in milliseconds.
    pub remote_jitter_ms: f32,
    /// The round trip by RTCP in milliseconds; 0 when it is not known.
    pub round_trip_ms: f32,
}

/// What passed through a port, counted over its whole life.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PortStats {
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP payload bytes sent.
    pub bytes_sent: u64,
    /// Packets the system would not send (buffer full, no route, peer's port closed).
    pub send_errors: u64,
    /// RTP packets accepted.
    pub packets_received: u64,
    /// RTP payload bytes accepted.
    pub bytes_received: u64,
    /// RTP packets that never came, by sequence number.
    pub packets_lost: u64,
    /// RTP packets that came twice.
    pub duplicates: u64,
    /// RTP packets that came after their moment had passed.
    pub late: u64,
    /// Interarrival jitter of what we received (RFC 3550 §6.4.1), in milliseconds.
    pub jitter_ms: f32,
    /// The share of our packets the peer says it lost, of its last report.
    pub remote_loss: f32,
    /// The jitter the peer sees, of its last report, in milliseconds.
    pub remote_jitter_ms: f32,
    /// The round trip by RTCP, when the peer sent reports.
    pub round_trip: Option<Duration>,
    /// Estimated mean opinion score of what we received (E-model), 1.0–4.5; 0 when nothing was received.
    pub mos: f32,
    /// Packets from sources that were not allowed to send here.
    pub strangers: u64,
    /// SRTP packets whose tag was wrong, or that came again.
    pub unauthentic: u64,
    /// Packets that were no RTP or RTCP at all.
    pub malformed: u64,
    /// 20 ms frames for which a stream had no audio in time.
    pub underruns: u64,
    /// Keys received.
    pub digits: u32,
}

/// Headers of the packets that passed through a port.
#[derive(Debug)]
pub struct Passed {
    /// What their times count from.
    pub begin: Instant,
    /// Of packets accepted.
    pub received: Headers,
    /// Of packets sent.
    pub sent: Headers,
}

impl Passed {
    /// Nothing has passed yet.
    pub(super) fn new(begin: Instant) -> Self {
        Self {
            begin,
            received: Headers::default(),
            sent: Headers::default(),
        }
    }

    /// How long after the begin a moment is.
    pub(super) fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begin)
    }
}

/// The reading end of all events. One consumer: the signalling thread.
#[derive(Debug)]
pub struct MediaEvents {
    pub(super) rings: Vec<Consumer<MediaEvent>>,
    pub(super) outside: Arc<Outside>,
}

impl MediaEvents {
    /// Waits until there is something to [`drain`](Self::drain). Safe to drop at any point.
    pub async fn ready(&mut self) {
        while self.is_empty() {
            self.outside.notify.notified().await;
        }
    }

    /// Takes everything that was published.
    pub fn drain(&mut self, mut f: impl FnMut(MediaEvent)) {
        for ring in &mut self.rings {
            while let Ok(event) = ring.pop() {
                f(event);
            }
        }
        if self.outside.waiting.swap(false, Ordering::AcqRel) {
            let taken = std::mem::take(
                &mut *self
                    .outside
                    .list
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            taken.into_iter().for_each(f);
        }
    }

    fn is_empty(&self) -> bool {
        self.rings.iter().all(Consumer::is_empty) && !self.outside.waiting.load(Ordering::Acquire)
    }
}

/// Events from outside the workers (recorder, refused commands), and the consumer's bell.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// Short: one entry a recording or refused command.
    list: Mutex<VecDeque<MediaEvent>>,
    waiting: AtomicBool,
    pub(super) notify: Notify,
}

impl Outside {
    pub(super) fn push(&self, event: MediaEvent) {
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(event);
        self.waiting.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_no_larger_than_a_cache_line() {
        assert!(size_of::<MediaEvent>() <= 64, "{}", size_of::<MediaEvent>());
    }

    #[test]
    fn events_from_outside_are_drained_once_in_order() {
        let outside = Arc::new(Outside::default());
        let mut events = MediaEvents {
            rings: Vec::new(),
            outside: Arc::clone(&outside),
        };
        outside.push(MediaEvent::Silent { port: PortId(1) });
        outside.push(MediaEvent::Silent { port: PortId(2) });
        let mut seen = Vec::new();
        events.drain(|e| seen.push(e));
        assert!(matches!(
            seen[..],
            [
                MediaEvent::Silent { port: PortId(1) },
                MediaEvent::Silent { port: PortId(2) }
            ]
        ));
        events.drain(|_| panic!("drained twice"));
    }
}
