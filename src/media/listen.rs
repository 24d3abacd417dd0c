//! The sound of a call as it passes, for whoever listens: a bounded ring from a port to a reader on another thread.
//!
//! Frames of 20 ms, 8 kHz linear. The port never waits: a frame that finds no room is counted and gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::base::id::OpId;

/// Samples of a frame, of each channel.
pub const FRAME: usize = 160;

/// Makes both ends. With `both`, frames hold what the peer says and what it hears, sample by sample in turn.
pub fn listen(capacity: Duration, both: bool) -> (Tap, Listener) {
    let frames = usize::try_from(capacity.as_millis() / 20)
        .unwrap_or(usize::MAX)
        .clamp(5, 500);
    let channels = if both { 2 } else { 1 };
    let (producer, ring) = RingBuffer::new(frames * FRAME * channels);
    let missed = Arc::new(AtomicU64::new(0));
    (
        Tap {
            op: OpId(0),
            both,
            ring: producer,
            missed: Arc::clone(&missed),
        },
        Listener {
            ring,
            channels,
            missed,
        },
    )
}

/// The port's end.
#[derive(Debug)]
pub struct Tap {
    op: OpId,
    both: bool,
    ring: Producer<i16>,
    missed: Arc<AtomicU64>,
}

impl Tap {
    pub(super) fn under(self, op: OpId) -> Self {
        Self { op, ..self }
    }

    pub(super) fn op(&self) -> OpId {
        self.op
    }

    /// Whether it wants what the peer hears as well.
    pub(super) fn wants_own(&self) -> bool {
        self.both
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// Takes a frame of what the peer says and one of what it hears; either may be short.
    pub(super) fn push(&mut self, peer: &[i16], own: &[i16]) {
        let wanted = if self.both { 2 * FRAME } else { FRAME };
        let Ok(chunk) = self.ring.write_chunk_uninit(wanted) else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let peer = peer.iter().copied().chain(std::iter::repeat(0)).take(FRAME);
        if self.both {
            let own = own.iter().copied().chain(std::iter::repeat(0));
            chunk.fill_from_iter(peer.zip(own).flat_map(|(a, b)| [a, b]));
        } else {
            chunk.fill_from_iter(peer);
        }
    }
}

/// The reader's end.
#[derive(Debug)]
pub struct Listener {
    ring: Consumer<i16>,
    channels: usize,
    missed: Arc<AtomicU64>,
}

impl Listener {
    /// Takes the next frame into `peer` and, where both sides were asked for, `own`. `false`: there is none yet.
    pub fn frame(&mut self, peer: &mut Vec<i16>, own: &mut Vec<i16>) -> bool {
        let Ok(chunk) = self.ring.read_chunk(FRAME * self.channels) else {
            return false;
        };
        peer.clear();
        own.clear();
        for (at, sample) in chunk.into_iter().enumerate() {
            if at % self.channels == 0 {
                peer.push(sample);
            } else {
                own.push(sample);
            }
        }
        true
    }

    /// How many frames were lost, because they were not read in time, since this was asked last.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }

    /// Whether the port is gone, or has been told to stop, and every frame was read.
    pub fn is_over(&self) -> bool {
        self.ring.is_abandoned() && self.ring.slots() < FRAME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_both_sides_come_apart_again() {
        let (mut tap, mut listener) = listen(Duration::from_millis(100), true);
        tap.push(&[1; FRAME], &[2; 100]);
        let (mut peer, mut own) = (vec![9], vec![9]);
        assert!(listener.frame(&mut peer, &mut own));
        assert_eq!(peer, [1; FRAME]);
        assert_eq!((own.len(), own[99], own[100]), (FRAME, 2, 0));
        assert!(!listener.frame(&mut peer, &mut own));
        drop(tap);
        assert!(listener.is_over());
    }

    #[test]
    fn a_slow_reader_loses_frames_and_learns_how_many() {
        let (mut tap, mut listener) = listen(Duration::from_millis(100), false);
        for n in 0..8 {
            tap.push(&[n; FRAME], &[]);
        }
        assert_eq!((listener.missed(), listener.missed()), (3, 0));
        let (mut peer, mut own) = (Vec::new(), Vec::new());
        for n in 0..5 {
            assert!(listener.frame(&mut peer, &mut own));
            assert_eq!(peer[0], n);
        }
        assert!(!listener.frame(&mut peer, &mut own) && !listener.is_over());
        assert!(!tap.is_closed());
        drop(listener);
        assert!(tap.is_closed());
    }
}
