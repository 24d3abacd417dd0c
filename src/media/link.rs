//! The way from handles to a worker: a short list swapped out between ticks, and a bell for an idle worker.
//!
//! A list instead of a ring, because instructions must not be lost and their number is bounded by what calls do. The
//! worker only tries the lock: when a handle holds it, the list waits for the next slot.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::command::{Pause, Plan, Seating};
use super::io::wait::Bell;
use super::listen;
use super::mixer::RoomOrder;
use super::pool::Pair;
use super::port::{Audio, PortState, Ready};
use super::record::Tap;
use crate::base::id::{OpId, PortId};
use crate::rtp::dtls::Identity;

/// One message to a worker: a [`Command`](super::Command) after the handle has prepared what takes time or memory.
#[derive(Debug)]
pub(super) enum Message {
    /// A port with its sockets.
    Attach(Box<PortState>, Pair),
    /// Where the peer is; our certificate where it is a browser.
    Configure(PortId, Box<Plan>, Option<Arc<Identity>>),
    /// Play behind what is queued.
    Play(PortId, OpId, Audio),
    /// The frames an earlier `Play` waits for.
    Prepared(PortId, u64, Ready),
    /// End an operation.
    Cancel(PortId, OpId),
    /// Send keys.
    SendDigits {
        /// Whose.
        port: PortId,
        /// Reported under.
        op: OpId,
        /// The keys.
        digits: String,
        /// Length of each.
        duration_ms: u32,
        /// Pause after each.
        gap_ms: u32,
    },
    /// Record.
    Record(PortId, Tap),
    /// End a recording.
    StopRecord(PortId, OpId),
    /// Hold a recording back, or let it go on.
    PauseRecord(PortId, OpId, Pause),
    /// Let somebody listen.
    Listen(PortId, listen::Tap),
    /// End that.
    Unlisten(PortId, OpId),
    /// Send silence.
    Mute(PortId, bool),
    /// Look for keys in the audio.
    Inband(PortId, bool),
    /// End everything that plays.
    Flush(PortId),
    /// What the one's peer says goes to the other's, both ways.
    Join(PortId, PortId),
    /// End that.
    Part(PortId, PortId),
    /// Something for a room.
    Room(PortId, RoomOrder),
    /// The first takes part in the room that is the second.
    Seat(PortId, PortId, Seating),
    /// It leaves its room, if it is that one.
    Leave(PortId, PortId),
    /// The port is on its way here from another worker: keep what is meant for it.
    Expect(PortId),
    /// Hand the port to another worker.
    Move(PortId, Arc<Link>),
    /// The handle is gone.
    Detach(PortId),
}

impl Message {
    /// Which port it is for.
    pub(super) fn port(&self) -> PortId {
        match self {
            Self::Attach(state, _) => state.id(),
            Self::Configure(port, ..)
            | Self::Play(port, ..)
            | Self::Prepared(port, ..)
            | Self::Cancel(port, _)
            | Self::SendDigits { port, .. }
            | Self::Record(port, _)
            | Self::StopRecord(port, _)
            | Self::PauseRecord(port, ..)
            | Self::Listen(port, _)
            | Self::Unlisten(port, _)
            | Self::Mute(port, _)
            | Self::Inband(port, _)
            | Self::Flush(port)
            | Self::Join(port, _)
            | Self::Part(port, _)
            | Self::Room(port, _)
            | Self::Seat(port, ..)
            | Self::Leave(port, _)
            | Self::Expect(port)
            | Self::Move(port, _)
            | Self::Detach(port) => *port,
        }
    }

    /// The second port of a message about two.
    pub(super) fn other(&self) -> Option<PortId> {
        match self {
            Self::Join(_, other) | Self::Part(_, other) => Some(*other),
            Self::Attach(..)
            | Self::Configure(..)
            | Self::Play(..)
            | Self::Prepared(..)
            | Self::Cancel(..)
            | Self::SendDigits { .. }
            | Self::Record(..)
            | Self::StopRecord(..)
            | Self::PauseRecord(..)
            | Self::Listen(..)
            | Self::Unlisten(..)
            | Self::Mute(..)
            | Self::Inband(..)
            | Self::Flush(_)
            | Self::Room(..)
            | Self::Seat(..)
            | Self::Leave(..)
            | Self::Expect(_)
            | Self::Move(..)
            | Self::Detach(_) => None,
        }
    }
}

/// The handles' end of one worker.
#[derive(Debug, Default)]
pub(super) struct Link {
    inbox: Mutex<Vec<Message>>,
    waiting: AtomicBool,
    asleep: AtomicBool,
    stopped: AtomicBool,
    bell: Option<Bell>,
    /// Ports given to this worker, for choosing the least busy.
    pub(super) ports: AtomicUsize,
    /// Slots that were more than one slot late.
    pub(super) overruns: AtomicUsize,
}

impl Link {
    pub(super) fn new(bell: Option<Bell>) -> Self {
        Self {
            bell,
            ..Self::default()
        }
    }

    pub(super) fn push(&self, message: Message) {
        self.inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
        self.waiting.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Ends the worker's thread once its inbox is empty.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Some(bell) = &self.bell
        {
            bell.ring();
        }
    }

    /// Swaps what came in for the empty `out`. `false`: nothing, or a handle is just writing.
    pub(super) fn collect(&self, out: &mut Vec<Message>) -> bool {
        if !self.waiting.load(Ordering::SeqCst) {
            return false;
        }
        let mut inbox = match self.inbox.try_lock() {
            Ok(inbox) => inbox,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        self.waiting.store(false, Ordering::SeqCst);
        std::mem::swap(&mut *inbox, out);
        true
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Announces that the worker is about to sleep without a timer. `false`: something came in, so it must not.
    pub(super) fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let empty = !self.waiting.load(Ordering::SeqCst) && !self.is_stopped();
        if !empty {
            self.asleep.store(false, Ordering::SeqCst);
        }
        empty
    }

    /// The worker is awake.
    pub(super) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::task;
    use crate::media::io::wait::{Waiter, Woken};

    #[test]
    fn a_sleeping_worker_misses_no_message_and_their_order_holds() {
        let (mut waiter, bell) = Waiter::new().unwrap();
        let link = Arc::new(Link::new(Some(bell)));
        let senders: Vec<_> = (0..3u64)
            .map(|sender| {
                let link = Arc::clone(&link);
                let send = move || {
                    for n in 0..2000 {
                        link.push(Message::Cancel(PortId(sender), OpId(n)));
                        if n % 7 == 0 {
                            std::thread::yield_now();
                        }
                    }
                };
                task::thread("sender", send).unwrap()
            })
            .collect();
        let mut woken = Woken::new();
        let (mut inbox, mut next) = (Vec::new(), [0u64; 3]);
        while next != [2000; 3] {
            if link.collect(&mut inbox) {
                for message in inbox.drain(..) {
                    let Message::Cancel(PortId(sender), OpId(n)) = message else {
                        panic!("not sent")
                    };
                    assert_eq!(n, next[usize::try_from(sender).unwrap()]);
                    next[usize::try_from(sender).unwrap()] += 1;
                }
            } else if link.may_sleep() {
                waiter.sleep(None, &mut woken);
                link.awake();
            }
        }
        senders.into_iter().for_each(|s| drop(s.join()));
    }
}
