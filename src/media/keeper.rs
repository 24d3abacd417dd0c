//! The keeper: one quiet thread for what must not happen on a worker's tick or on the signalling thread. It puts
//! sockets of closed ports into quarantine, frees what ports held, refills the pool's reserve and encodes clips.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rtrb::Consumer;

use super::pool::PortPool;
use super::worker::Retired;
use crate::host::clock;

/// Work that takes long.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The keeper's inbox.
#[derive(Default)]
pub(super) struct Keeper {
    inbox: Mutex<Inbox>,
    bell: Condvar,
    idle: AtomicBool,
    stirred: AtomicBool,
}

#[derive(Default)]
struct Inbox {
    /// Bounded by the clips being asked for at this moment.
    jobs: Vec<Job>,
    stop: bool,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keeper")
    }
}

impl Keeper {
    /// A port was taken: there will be something to keep. Wakes the thread only out of its long sleep.
    pub(super) fn stir(&self) {
        self.stirred.store(true, Ordering::SeqCst);
        if self.idle.swap(false, Ordering::SeqCst) {
            // Under the lock, so that the thread is either waiting already or will look at `stirred` first.
            drop(self.lock());
            self.bell.notify_one();
        }
    }

    /// Does a job (encoding a clip) soon.
    pub(super) fn prepare(&self, job: Job) {
        self.lock().jobs.push(job);
        self.bell.notify_one();
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.bell.notify_one();
    }

    /// The thread.
    pub(super) fn run(&self, pool: &PortPool, mut retired: Vec<Consumer<Retired>>) {
        let mut stopping = false;
        loop {
            let now = clock::now();
            for gone in retired
                .iter_mut()
                .flat_map(|ring| std::iter::from_fn(|| ring.pop().ok()))
            {
                if let Some(pair) = gone.pair {
                    pool.give_back(pair, now);
                }
            }
            if stopping {
                return;
            }
            let more = pool.maintain(now);
            let (jobs, stop) = self.wait(more);
            jobs.into_iter().for_each(|job| job());
            stopping = stop;
        }
    }

    fn wait(&self, more: bool) -> (Vec<Job>, bool) {
        let mut inbox = self.lock();
        if more {
            if inbox.jobs.is_empty() && !inbox.stop {
                inbox = self
                    .bell
                    .wait_timeout(inbox, ROUND)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        } else {
            self.idle.store(true, Ordering::SeqCst);
            while inbox.jobs.is_empty()
                && !inbox.stop
                && !self.stirred.swap(false, Ordering::SeqCst)
            {
                inbox = self
                    .bell
                    .wait(inbox)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            self.idle.store(false, Ordering::SeqCst);
        }
        (std::mem::take(&mut inbox.jobs), inbox.stop)
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often the keeper looks around while ports are in use or in quarantine.
const ROUND: Duration = Duration::from_millis(50);
