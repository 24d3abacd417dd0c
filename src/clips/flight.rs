//! One piece of work for simultaneous equal requests: the first starts it, all wait for it, and it goes on even when
//! they no longer do, because its result is kept.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;

use crate::host::task;

/// Work under way, by what it is about.
pub(super) struct Flights<T>(Arc<Mutex<HashMap<String, Waiting<T>>>>);

/// Yields the result of shared work; `None` when it crashed.
pub(super) type Waiting<T> = Shared<BoxFuture<'static, Option<T>>>;

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Joins the work called `key`, or starts it on `io`.
    pub(super) fn join<F>(&self, io: &Handle, key: &str, start: impl FnOnce() -> F) -> Waiting<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = flights.get(key) {
            return waiting.clone();
        }
        let landed = Landed {
            flights: self.0.clone(),
            key: key.to_owned(),
        };
        let work = start();
        let task = task::spawn_on(io, "clip", async move {
            // Also when the work panics: the next request then starts anew.
            let _landed = landed;
            work.await
        });
        let waiting = async move { task.await.ok().flatten() }.boxed().shared();
        flights.insert(key.to_owned(), waiting.clone());
        waiting
    }
}

struct Landed<T> {
    flights: Arc<Mutex<HashMap<String, Waiting<T>>>>,
    key: String,
}

impl<T> Drop for Landed<T> {
    fn drop(&mut self) {
        let done = self
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
        // Outside the lock: this may be the last handle of the task.
        drop(done);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn equal_requests_share_one_piece_of_work() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (flights, runs) = (Flights::new(), Arc::new(AtomicU32::new(0)));
            let start = |runs: &Arc<AtomicU32>| {
                let runs = runs.clone();
                || async move {
                    tokio::task::yield_now().await;
                    runs.fetch_add(1, Ordering::SeqCst)
                }
            };
            let io = Handle::current();
            let (a, b) = (
                flights.join(&io, "x", start(&runs)),
                flights.join(&io, "x", start(&runs)),
            );
            let other = flights.join(&io, "y", start(&runs));
            assert_eq!(a.await, b.await);
            assert!(other.await.is_some());
            assert_eq!(runs.load(Ordering::SeqCst), 2);
            assert!(flights.0.lock().unwrap().is_empty());
            assert_eq!(
                flights.join(&io, "x", start(&runs)).await,
                Some(2),
                "later ones start anew"
            );
        });
    }

    #[test]
    fn work_goes_on_when_nobody_waits_and_a_panic_is_told() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (flights, io) = (Flights::<u32>::new(), Handle::current());
            let ran = Arc::new(AtomicU32::new(0));
            let mark = ran.clone();
            drop(flights.join(
                &io,
                "x",
                || async move { mark.fetch_add(1, Ordering::SeqCst) },
            ));
            assert_eq!(
                flights.join(&io, "p", || async { panic!("boom") }).await,
                None
            );
            assert_eq!(ran.load(Ordering::SeqCst), 1);
            assert!(flights.0.lock().unwrap().is_empty());
        });
    }
}
