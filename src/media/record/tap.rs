//! The worker's end of a recording: what a port hands over each 20 ms. Nothing here allocates on the tick.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rtrb::Producer;

use super::{MOST_FRAME, NARROW_HZ};
use crate::audio::{Rate, mix};
use crate::base::id::OpId;
use crate::base::keys::Keys;
use crate::media::command::{Pause, Sides};
use crate::media::event::RecordEnd;

/// The worker's end of a recording.
#[derive(Debug)]
pub(in crate::media) struct Tap {
    pub(super) op: OpId,
    pub(super) finish_on: Keys,
    pub(super) sides: Sides,
    pub(super) pause: Pause,
    /// What turns both sides into more than the usual rate, where that is wanted.
    pub(super) wide: Option<Box<Wide>>,
    pub(super) ring: Producer<i16>,
    pub(super) shared: Arc<TapState>,
}

/// Both sides on their way to another rate.
#[derive(Debug)]
pub(super) struct Wide {
    rate_hz: u32,
    peer: Rate,
    own: Rate,
    said: Vec<i16>,
    heard: Vec<i16>,
}

/// 20 ms of what the peer says and of what it hears: as they are, and at the usual rate.
#[derive(Debug, Clone, Copy)]
pub(in crate::media) struct BothSides<'a> {
    pub(in crate::media) peer: &'a [i16],
    pub(in crate::media) own: &'a [i16],
    pub(in crate::media) narrow_peer: &'a [i16],
    pub(in crate::media) narrow_own: &'a [i16],
}

#[derive(Debug, Default)]
pub(super) struct TapState {
    /// Samples the ring had no room for.
    pub(super) missed: AtomicU64,
    /// Why the worker ended it.
    pub(super) why: Mutex<Option<RecordEnd>>,
}

impl Tap {
    pub(in crate::media) fn op(&self) -> OpId {
        self.op
    }

    pub(in crate::media) fn finish_on(&self) -> Keys {
        self.finish_on
    }

    /// Whose voice it wants.
    pub(in crate::media) fn sides(&self) -> Sides {
        self.sides
    }

    /// Holds it back, or lets it go on.
    pub(in crate::media) fn pause(&mut self, how: Pause) {
        self.pause = how;
    }

    /// The rates the two sides come at from now on. Not on the tick.
    pub(in crate::media) fn tune(&mut self, peer_hz: u32, own_hz: u32) {
        if let Some(wide) = &mut self.wide {
            for (rate, from_hz) in [(&mut wide.peer, peer_hz), (&mut wide.own, own_hz)] {
                if rate.from_hz() != from_hz {
                    *rate = Rate::new(from_hz, wide.rate_hz);
                }
            }
        }
    }

    /// Takes a frame of what the peer says and one of what it hears, where both are wanted. `false`: the recorder has
    /// ended the recording.
    pub(in crate::media) fn push(&mut self, frame: BothSides<'_>, both: &mut Vec<i16>) -> bool {
        let (peer, own) = match self.wide.as_deref_mut() {
            Some(wide) => {
                wide.said.clear();
                wide.heard.clear();
                wide.peer.push(frame.peer, &mut wide.said);
                wide.own.push(frame.own, &mut wide.heard);
                (wide.said.as_slice(), wide.heard.as_slice())
            }
            None => (frame.narrow_peer, frame.narrow_own),
        };
        let wanted = peer.len() * usize::from(self.sides.channels());
        both.clear();
        match (self.pause, self.sides) {
            (Pause::Skip, _) => {}
            (Pause::Silence, _) => both.resize(wanted, 0),
            (Pause::No, Sides::Peer) => both.extend_from_slice(peer),
            (Pause::No, Sides::Own) => {
                both.extend_from_slice(own);
                both.resize(wanted, 0);
            }
            (Pause::No, Sides::Mixed) => {
                both.extend_from_slice(peer);
                mix::add(both, own);
            }
            (Pause::No, Sides::Apart) => {
                let heard = own.iter().copied().chain(std::iter::repeat(0));
                both.extend(peer.iter().zip(heard).flat_map(|(a, b)| [*a, b]));
            }
        }
        if self.ring.slots() < both.len() {
            let missed = both.len() as u64;
            self.shared.missed.fetch_add(missed, Ordering::Relaxed);
        } else {
            self.ring.push_entire_slice(both).ok();
        }
        !self.ring.is_abandoned()
    }

    /// Ends it from the port's side.
    pub(in crate::media) fn end(self, why: RecordEnd) {
        // Nobody else holds this lock until the ring is abandoned, which happens after it.
        if let Ok(mut place) = self.shared.why.try_lock() {
            *place = Some(why);
        }
    }
}

impl Wide {
    pub(super) fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            peer: Rate::new(NARROW_HZ, rate_hz),
            own: Rate::new(NARROW_HZ, rate_hz),
            said: Vec::with_capacity(2 * MOST_FRAME),
            heard: Vec::with_capacity(2 * MOST_FRAME),
        }
    }
}
