//! Queues: callers of an account who wait in the order they came, and who takes them. Signalling thread only.
//!
//! `ops::queue` takes callers in and out.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::core::Core;
use super::handle::CallHandle;
use super::ops::waiting::{WaitFacts, WaitFlow};
use crate::host::clock;
use crate::journal::Fact;

/// The queues of all accounts, by account and name.
#[derive(Default)]
pub(super) struct Queues(BTreeMap<(String, String), Rc<Queue>>);

/// A queue as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueInfo {
    /// `QU` and 32 hexadecimal characters.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How many wait.
    pub size: usize,
    /// How long those waited who were taken so far.
    pub average: Duration,
}

/// A queue of an account.
pub(super) struct Queue {
    core: Core,
    pub(super) id: String,
    account: String,
    name: String,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    /// Who waits for somebody to come.
    takers: Vec<CallHandle>,
    next: u64,
    taken: u32,
    waited: Duration,
}

struct Waiting {
    ticket: u64,
    call: CallHandle,
    since: Instant,
}

/// A caller who was taken out of a queue, between the two who will talk.
pub(super) struct Handover {
    pub(super) caller: CallHandle,
    pub(super) taker: CallHandle,
    pub(super) queue_id: String,
    pub(super) waited: Duration,
    /// What the caller hears before.
    pub(super) announce: Option<WaitFlow>,
    ticket: u64,
    since: Instant,
    step: Cell<Step>,
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handover({:?}, {:?})", self.caller, self.step())
    }
}

/// How far a handover has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The caller is to come.
    Called,
    /// The caller listens no more to what it heard while it waited.
    Ready,
    /// Both talk.
    Talking,
    /// Both have parted, and the caller is free again.
    Parted,
    /// The caller talks with somebody else now.
    Moved,
    /// The caller is gone, or the taker is: they never talked.
    Off,
}

impl Handover {
    pub(super) fn step(&self) -> Step {
        self.step.get()
    }

    /// The next step; the other side looks again.
    pub(super) fn set(&self, step: Step) {
        self.step.set(step);
        for call in [&self.caller, &self.taker] {
            call.state_mut().wake();
        }
    }
}

impl Core {
    /// The queues of an account that were used.
    pub fn queues(&self, account: &str) -> Vec<QueueInfo> {
        let all = self.0.queues.borrow();
        let own = all.0.iter().filter(|((of, _), _)| of == account);
        own.map(|(_, queue)| queue.info()).collect()
    }

    /// The queue of that name, made when it is first wanted.
    pub(super) fn queue(&self, account: &str, name: &str) -> Rc<Queue> {
        let key = (account.to_owned(), name.to_owned());
        let mut all = self.0.queues.borrow_mut();
        if let Some(known) = all.0.get(&key) {
            return known.clone();
        }
        if all.0.len() >= KEPT_QUEUES {
            all.0.retain(|_, queue| !queue.is_idle());
        }
        let made = Rc::new(Queue {
            core: self.clone(),
            id: format!("QU{}", self.0.rng.borrow_mut().hex(16)),
            account: account.to_owned(),
            name: name.to_owned(),
            inner: RefCell::default(),
        });
        all.0.insert(key, made.clone());
        made
    }
}

impl Queue {
    fn info(&self) -> QueueInfo {
        let inner = self.inner.borrow();
        QueueInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            size: inner.waiting.len(),
            average: inner.average(),
        }
    }

    fn is_idle(&self) -> bool {
        let inner = self.inner.borrow();
        inner.waiting.is_empty() && inner.takers.is_empty()
    }

    /// A caller begins to wait; its ticket. `None`: so many wait already.
    pub(super) fn join(&self, call: &CallHandle, most: usize) -> Option<u64> {
        let ticket = {
            let mut inner = self.inner.borrow_mut();
            if inner.waiting.len() >= most {
                return None;
            }
            inner.next += 1;
            let ticket = inner.next;
            inner.waiting.push_back(Waiting {
                ticket,
                call: call.clone(),
                since: clock::now(),
            });
            ticket
        };
        self.note(call, "joined", Duration::ZERO);
        let takers = self.inner.borrow().takers.clone();
        for taker in takers {
            taker.state_mut().wake();
        }
        Some(ticket)
    }

    /// A caller waits no more.
    pub(super) fn leave(&self, ticket: u64) {
        let gone = {
            let mut inner = self.inner.borrow_mut();
            let at = inner.waiting.iter().position(|w| w.ticket == ticket);
            at.and_then(|at| inner.waiting.remove(at))
        };
        if let Some(gone) = gone {
            let what = if gone.call.ended().is_some() {
                "abandoned"
            } else {
                "left"
            };
            let waited = clock::now().saturating_duration_since(gone.since);
            self.note(&gone.call, what, waited);
        }
    }

    /// Takes the caller who came first.
    pub(super) fn take(
        &self,
        taker: &CallHandle,
        announce: Option<&WaitFlow>,
    ) -> Option<Rc<Handover>> {
        let first = {
            let mut inner = self.inner.borrow_mut();
            let there = |w: &Waiting| !w.call.is(taker) && w.call.ended().is_none();
            let at = inner.waiting.iter().position(there)?;
            let first = inner.waiting.remove(at)?;
            inner.taken = inner.taken.saturating_add(1);
            inner.waited += clock::now().saturating_duration_since(first.since);
            first
        };
        let waited = clock::now().saturating_duration_since(first.since);
        self.note(&first.call, "taken", waited);
        let handover = Rc::new(Handover {
            caller: first.call.clone(),
            taker: taker.clone(),
            queue_id: self.id.clone(),
            waited,
            announce: announce.cloned(),
            ticket: first.ticket,
            since: first.since,
            step: Cell::new(Step::Called),
        });
        let mut state = first.call.state_mut();
        state.handover = Some(handover.clone());
        state.wake();
        drop(state);
        Some(handover)
    }

    /// Whoever took this caller went away: it is the first again.
    pub(super) fn take_back(&self, handover: &Handover) {
        let mut inner = self.inner.borrow_mut();
        inner.taken = inner.taken.saturating_sub(1);
        inner.waited = inner.waited.saturating_sub(handover.waited);
        inner.waiting.push_front(Waiting {
            ticket: handover.ticket,
            call: handover.caller.clone(),
            since: handover.since,
        });
        let takers = inner.takers.clone();
        drop(inner);
        for taker in takers {
            taker.state_mut().wake();
        }
    }

    /// Whether a handover is of the caller with that ticket.
    pub(super) fn is_of(&self, handover: &Handover, ticket: u64) -> bool {
        handover.ticket == ticket && handover.queue_id == self.id
    }

    /// Is woken when somebody comes, until it is taken out again.
    pub(super) fn watch(&self, taker: &CallHandle, on: bool) {
        let mut inner = self.inner.borrow_mut();
        inner.takers.retain(|known| !known.is(taker));
        if on {
            inner.takers.push(taker.clone());
        }
    }

    /// What a waiting caller may be told.
    pub(super) fn facts(&self, ticket: u64) -> WaitFacts {
        let inner = self.inner.borrow();
        let at = inner.waiting.iter().position(|w| w.ticket == ticket);
        let since = at.and_then(|at| inner.waiting.get(at)).map(|w| w.since);
        WaitFacts {
            queue_id: self.id.clone(),
            position: at.map_or(0, |at| at + 1),
            size: inner.waiting.len(),
            waited: since.map_or(Duration::ZERO, |since| {
                clock::now().saturating_duration_since(since)
            }),
            average: inner.average(),
        }
    }

    fn note(&self, call: &CallHandle, what: &'static str, waited: Duration) {
        let size = self.inner.borrow().waiting.len();
        let fact = Fact::Queue {
            call_id: call.own_facts().call_id.clone(),
            at: clock::unix_now(),
            account: self.account.clone(),
            name: self.name.clone(),
            what,
            waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            size,
        };
        self.core.services().journal.emit(fact);
    }
}

impl Inner {
    fn average(&self) -> Duration {
        self.waited.checked_div(self.taken).unwrap_or_default()
    }
}

/// Queues whose averages are remembered while nobody waits.
const KEPT_QUEUES: usize = 1000;
