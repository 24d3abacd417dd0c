//! The store thread: everything submitted within a short window of the last write becomes one write and one fsync.
//!
//! Submitting never waits. When more is queued than the limit, durable batches go to the spill file by a second
//! thread (started when first needed) and are replayed in order once the queue is empty; from the first spilled batch
//! to the end of the replay *every* durable submission takes that way, so that order is kept. Debug output is dropped
//! and counted instead. `write` waits for room.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::Done;
use super::kv::{Batch, Class, Kv, StoreError};
use super::spill::Spill;
use crate::host::{clock, task};

/// What the queues may hold, and how long a group gathers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The least time from one write to the next; what comes within it is gathered.
    pub(super) window: Duration,
    /// Bytes waiting for the store thread.
    pub(super) queue_bytes: usize,
    /// Bytes waiting for the spill thread.
    pub(super) spill_bytes: usize,
    /// After so long without a write the backend may give memory back.
    pub(super) idle: Duration,
    /// Longest pause between attempts to write to a failing disk.
    pub(super) retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: Duration::from_millis(5),
            queue_bytes: 32 << 20,
            spill_bytes: 32 << 20,
            idle: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A batch on its way to the disk. Batches get there in the order they were queued.
pub struct Queued(pub(super) oneshot::Receiver<Result<(), StoreError>>);

impl Queued {
    /// Waits until it is there.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn durable(self) -> Result<(), StoreError> {
        self.0.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// Bytes a queued batch costs besides its own.
const ITEM: usize = 128;
/// Failed attempts in a row after which the backend is asked to recover.
const RECOVER_AFTER: u32 = 3;

struct Item {
    batch: Batch,
    done: Done,
    /// Nobody can act on a failure: try again until it works.
    retry: bool,
}

impl Item {
    fn cost(&self) -> usize {
        self.batch.bytes + ITEM
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Item>,
    queue_bytes: usize,
    spill_queue: VecDeque<Item>,
    spill_bytes: usize,
    /// Durable submissions go to the spill queue.
    spilling: bool,
    /// The spill thread runs.
    spill_thread: bool,
    /// The spill thread is appending.
    appending: bool,
    /// The window ends now.
    urgent: bool,
    closed: bool,
}

struct Shared {
    backend: Arc<dyn Kv>,
    spill: Option<Spill>,
    limits: Limits,
    /// The one table of the store's threads; held for pushes and takes only.
    state: Mutex<State>,
    /// Wakes the store thread.
    work: Condvar,
    /// Wakes the spill thread.
    spill_work: Condvar,
    /// Wakes writers waiting for room.
    room: Notify,
}

/// Owner of the store thread. Dropping it writes what is queued and joins the thread.
pub(super) struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Option<()>>>>,
}

impl Committer {
    /// Replays what an earlier process spilled into `dir`, then starts the thread.
    pub(super) fn start(
        backend: Arc<dyn Kv>,
        dir: Option<&Path>,
        limits: Limits,
    ) -> Result<Committer, StoreError> {
        let spill = dir.map(Spill::beside);
        let shared = Arc::new(Shared {
            backend,
            spill,
            limits,
            state: Mutex::default(),
            work: Condvar::new(),
            spill_work: Condvar::new(),
            room: Notify::new(),
        });
        shared.replay()?;
        let inner = Arc::clone(&shared);
        let thread =
            task::thread("store", move || inner.run()).map_err(|e| StoreError::Backend {
                action: "start its thread",
                reason: e.to_string(),
            })?;
        Ok(Committer {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The engine, for reads.
    pub(super) fn backend(&self) -> &Arc<dyn Kv> {
        &self.shared.backend
    }

    /// Queues a batch without waiting.
    pub(super) fn submit(&self, batch: Batch, done: Done) {
        let item = Item {
            retry: batch.class == Class::Durable,
            batch,
            done,
        };
        if let Some((item, error)) = self.shared.push(item) {
            (item.done)(Err(error));
        }
    }

    /// Queues a batch, waiting for room, and waits until it is durable.
    pub(super) async fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.queue(batch).await?.durable().await
    }

    /// Queues a batch, waiting for room.
    pub(super) async fn queue(&self, batch: Batch) -> Result<Queued, StoreError> {
        let (sender, receiver) = oneshot::channel();
        // The caller may have given up waiting.
        let done: Done = Box::new(move |result| drop(sender.send(result)));
        let mut item = Item {
            batch,
            done,
            retry: false,
        };
        loop {
            let room = self.shared.room.notified();
            match self.shared.push_if_room(item)? {
                None => return Ok(Queued(receiver)),
                Some(back) => item = back,
            }
            room.await;
        }
    }

    /// Ends the current window at once.
    pub(super) fn hurry(&self) {
        self.shared.lock().urgent = true;
        self.shared.work.notify_one();
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        self.shared.spill_work.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // The last handle may die inside a `done` on the store thread itself, which cannot wait for itself.
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues or spills; gives the item back with the reason when neither is possible.
    fn push(self: &Arc<Self>, item: Item) -> Option<(Item, StoreError)> {
        let cost = item.cost();
        let mut state = self.lock();
        if state.closed {
            return Some((item, StoreError::Closed));
        }
        let full = state.queue_bytes.saturating_add(cost) > self.limits.queue_bytes;
        if !full && !state.spilling {
            self.enqueue(state, item);
            return None;
        }
        if item.batch.class == Class::Droppable {
            metrics::counter!("swivel_store_dropped_total").increment(1);
            return Some((item, StoreError::Full));
        }
        if self.spill.is_none() || state.spill_bytes.saturating_add(cost) > self.limits.spill_bytes
        {
            metrics::counter!("swivel_store_lost_total").increment(1);
            return Some((item, StoreError::Full));
        }
        if !state.spill_thread {
            let inner = Arc::clone(self);
            if let Err(error) = task::thread("store-spill", move || inner.run_spill()) {
                metrics::counter!("swivel_store_lost_total").increment(1);
                let reason = error.to_string();
                return Some((
                    item,
                    StoreError::Backend {
                        action: "start the spill thread",
                        reason,
                    },
                ));
            }
            state.spill_thread = true;
        }
        if !state.spilling {
            tracing::warn!(
                queued = state.queue_bytes,
                "the store does not keep up; records are spilled to a file"
            );
        }
        metrics::counter!("swivel_store_spilled_total").increment(1);
        state.spilling = true;
        state.spill_bytes += cost;
        state.spill_queue.push_back(item);
        self.spill_work.notify_one();
        None
    }

    fn push_if_room(&self, item: Item) -> Result<Option<Item>, StoreError> {
        let state = self.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        // A batch larger than the whole queue goes when the queue is empty.
        let fits =
            state.queue.is_empty() || state.queue_bytes + item.cost() <= self.limits.queue_bytes;
        if state.spilling || !fits {
            return Ok(Some(item));
        }
        self.enqueue(state, item);
        Ok(None)
    }

    fn enqueue(&self, mut state: MutexGuard<'_, State>, item: Item) {
        let was_empty = state.queue.is_empty();
        let before = state.queue_bytes;
        state.queue_bytes += item.cost();
        let half = self.limits.queue_bytes / 2;
        let crossed = before < half && state.queue_bytes >= half;
        state.urgent |= crossed;
        state.queue.push_back(item);
        drop(state);
        // One wake a window: the first batch opens it, the rest ride along.
        if was_empty || crossed {
            self.work.notify_one();
        }
    }

    fn run(&self) {
        let mut failures = 0_u32;
        let mut written = None;
        loop {
            let (items, closed) = self.gather(written);
            if !items.is_empty() {
                match self.commit(items, closed) {
                    Ok(()) => failures = 0,
                    Err(()) => {
                        failures += 1;
                        self.pause(failures);
                    }
                }
                written = Some(clock::now());
                self.room.notify_waiters();
                continue;
            }
            if self.lock().spilling {
                if self.replay().is_err() {
                    failures += 1;
                    self.pause(failures);
                } else {
                    self.end_spilling();
                }
                self.room.notify_waiters();
                if !closed {
                    continue;
                }
            }
            if closed {
                if let Err(error) = self.backend.flush() {
                    tracing::error!(%error, "the store could not be flushed at its end");
                }
                return;
            }
            if written.take().is_some() {
                self.backend.rest();
            }
        }
    }

    /// Waits for work, lets the window since the last write pass, and takes everything queued. Who comes when the disk
    /// has rested is written at once. Gives nothing when nothing came for long after a write.
    fn gather(&self, written: Option<Instant>) -> (Vec<Item>, bool) {
        let mut state = self.lock();
        let nothing =
            |state: &mut State| state.queue.is_empty() && !state.closed && !state.spilling;
        state = if written.is_some() {
            let waited = self
                .work
                .wait_timeout_while(state, self.limits.idle, nothing);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            let waited = self.work.wait_while(state, nothing);
            waited.unwrap_or_else(PoisonError::into_inner)
        };
        let rested = written.map_or(self.limits.window, |at| {
            clock::now().saturating_duration_since(at)
        });
        let rest = self.limits.window.saturating_sub(rested);
        if !state.queue.is_empty() && !rest.is_zero() {
            let waited = self
                .work
                .wait_timeout_while(state, rest, |state| !state.urgent && !state.closed);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.urgent = false;
        state.queue_bytes = 0;
        (state.queue.drain(..).collect(), state.closed)
    }

    fn commit(&self, items: Vec<Item>, closed: bool) -> Result<(), ()> {
        let sync = items.iter().any(|item| item.batch.class == Class::Durable);
        let batches: Vec<&Batch> = items.iter().map(|item| &item.batch).collect();
        let result = self.backend.write(&batches, sync);
        match result {
            Ok(()) => {
                metrics::counter!("swivel_store_commits_total").increment(1);
                metrics::counter!("swivel_store_batches_total").increment(batches.len() as u64);
                if sync {
                    metrics::counter!("swivel_store_fsyncs_total").increment(1);
                }
                items.into_iter().for_each(|item| (item.done)(Ok(())));
                Ok(())
            }
            Err(error) => {
                metrics::counter!("swivel_store_errors_total").increment(1);
                tracing::error!(%error, batches = batches.len(), "the store could not be written");
                let (again, given_up): (Vec<_>, Vec<_>) =
                    items.into_iter().partition(|item| item.retry && !closed);
                given_up
                    .into_iter()
                    .for_each(|item| (item.done)(Err(error.clone())));
                let mut state = self.lock();
                state.queue_bytes += again.iter().map(Item::cost).sum::<usize>();
                again
                    .into_iter()
                    .rev()
                    .for_each(|item| state.queue.push_front(item));
                Err(())
            }
        }
    }

    /// Waits before the next attempt, longer each time; asks the backend to recover when it keeps failing.
    fn pause(&self, failures: u32) {
        if failures.is_multiple_of(RECOVER_AFTER) {
            match self.backend.recover() {
                Ok(()) => tracing::info!("the store was reopened"),
                Err(error) => tracing::error!(%error, "the store could not be reopened"),
            }
        }
        let wait = Duration::from_millis(50 << failures.min(6)).min(self.limits.retry);
        let waited = self
            .work
            .wait_timeout_while(self.lock(), wait, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes everything in the spill files to the store, oldest first.
    fn replay(&self) -> Result<(), StoreError> {
        let Some(spill) = &self.spill else {
            return Ok(());
        };
        while let Some(batches) = spill.take()? {
            let count = batches.len();
            self.backend
                .write(&batches.iter().collect::<Vec<_>>(), true)?;
            metrics::counter!("swivel_store_fsyncs_total").increment(1);
            spill.replayed()?;
            tracing::info!(count, "spilled records were replayed");
        }
        Ok(())
    }

    /// Back to the queue when nothing is on its way to the file any more; otherwise waits for the spill thread.
    fn end_spilling(&self) {
        let state = self.lock();
        let idle = |state: &State| state.spill_queue.is_empty() && !state.appending;
        let waited = self
            .work
            .wait_timeout_while(state, Duration::from_millis(50), |state| !idle(state));
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if idle(&state) && self.spill.as_ref().is_none_or(Spill::is_empty) {
            state.spilling = false;
        }
    }

    fn run_spill(&self) {
        let Some(spill) = &self.spill else { return };
        loop {
            let mut state = self.lock();
            while state.spill_queue.is_empty() && !state.closed {
                state = self
                    .spill_work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.spill_queue.is_empty() {
                return;
            }
            let items: Vec<Item> = state.spill_queue.drain(..).collect();
            state.spill_bytes = 0;
            state.appending = true;
            drop(state);
            let result = spill.append(items.iter().map(|item| &item.batch));
            if let Err(error) = &result {
                metrics::counter!("swivel_store_lost_total").increment(items.len() as u64);
                tracing::error!(%error, records = items.len(), "records could be written neither to the store nor to the spill file");
            }
            items
                .into_iter()
                .for_each(|item| (item.done)(result.clone()));
            self.lock().appending = false;
            self.work.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::sync_channel;

    use super::super::kv::Table;
    use super::super::moody::Moody;
    use super::*;

    fn batch(key: &str, size: usize) -> Batch {
        let mut batch = Batch::new();
        batch.put(Table::Cdr, key, vec![0; size]);
        batch
    }

    fn small(queue: usize) -> Limits {
        Limits {
            queue_bytes: queue,
            spill_bytes: 1 << 20,
            retry: Duration::from_millis(5),
            ..Limits::default()
        }
    }

    #[test]
    fn batches_of_one_window_share_one_write_and_one_sync() {
        let moody = Arc::new(Moody::default());
        let committer = Committer::start(moody.clone(), None, Limits::default()).unwrap();
        moody.hold(true);
        let (sender, receiver) = sync_channel(200);
        for n in 0..100 {
            let sender = sender.clone();
            committer.submit(
                batch(&format!("{n:03}"), 10),
                Box::new(move |r| sender.send(r.is_ok()).unwrap()),
            );
        }
        moody.hold(false);
        assert!((0..100).all(|_| receiver.recv().unwrap()));
        assert!(
            moody.syncs.load(Ordering::SeqCst) <= 2,
            "the first may have gone alone"
        );
        assert_eq!(moody.keys().len(), 100);
    }

    #[test]
    fn debug_output_alone_is_not_synced() {
        let moody = Arc::new(Moody::default());
        let committer = Committer::start(moody.clone(), None, Limits::default()).unwrap();
        let (sender, receiver) = sync_channel(1);
        let mut line = Batch::droppable();
        line.put(Table::Cdr, "line", "1");
        committer.submit(line, Box::new(move |r| sender.send(r.is_ok()).unwrap()));
        assert!(receiver.recv().unwrap());
        assert_eq!(moody.syncs.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn the_backend_rests_once_after_the_last_write() {
        let moody = Arc::new(Moody::default());
        let limits = Limits {
            idle: Duration::from_millis(1),
            ..Limits::default()
        };
        let committer = Committer::start(moody.clone(), None, limits).unwrap();
        for rests in 1..3 {
            committer.submit(batch("one", 1), Box::new(|_| {}));
            let held = moody.held.lock().unwrap();
            let rested = |_: &mut bool| moody.rests.load(Ordering::SeqCst) < rests;
            drop(moody.released.wait_while(held, rested).unwrap());
            assert_eq!(moody.rests.load(Ordering::SeqCst), rests);
            assert_eq!(
                moody.writes.load(Ordering::SeqCst),
                rests,
                "a write came before"
            );
        }
    }

    #[test]
    fn a_full_queue_spills_records_drops_debug_output_and_replays_in_order() {
        let moody = Arc::new(Moody::default());
        let dir = tempfile::tempdir().unwrap();
        let committer = Committer::start(moody.clone(), Some(dir.path()), small(2000)).unwrap();
        moody.hold(true);
        let (sender, receiver) = sync_channel(2000);
        for n in 0..500 {
            let sender = sender.clone();
            // Each record first opens, then closes: an order that must survive.
            let mut record = batch(&format!("closed/{n:03}"), 50);
            record.delete(Table::Cdr, format!("open/{n:03}"));
            let open = batch(&format!("open/{n:03}"), 50);
            committer.submit(open, Box::new(|_| {}));
            committer.submit(record, Box::new(move |r| sender.send(r.is_ok()).unwrap()));
        }
        let (dropped, was_dropped) = sync_channel(1);
        let mut line = Batch::droppable();
        line.put(Table::Cdr, "zzz debug", "1");
        committer.submit(
            line,
            Box::new(move |r| dropped.send(matches!(r, Err(StoreError::Full))).unwrap()),
        );
        assert!(
            was_dropped.recv().unwrap(),
            "debug output is refused at once"
        );
        moody.hold(false);
        assert!((0..500).all(|_| receiver.recv().unwrap()));
        drop(committer);
        let keys = moody.keys();
        assert_eq!(
            keys.len(),
            500,
            "{:?}",
            keys.iter()
                .filter(|k| k.starts_with("open"))
                .collect::<Vec<_>>()
        );
        assert!(Spill::beside(dir.path()).is_empty());
    }

    #[test]
    fn what_an_earlier_process_spilled_is_replayed_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        Spill::beside(dir.path())
            .append([batch("left over", 1)].iter())
            .unwrap();
        let moody = Arc::new(Moody::default());
        let _committer =
            Committer::start(moody.clone(), Some(dir.path()), Limits::default()).unwrap();
        assert_eq!(moody.keys(), ["left over"]);
    }

    #[test]
    fn records_wait_out_a_failing_disk_and_writers_are_told() {
        let moody = Arc::new(Moody::default());
        let committer = Committer::start(moody.clone(), None, small(1 << 20)).unwrap();
        moody.failing.store(true, Ordering::SeqCst);
        let (sender, receiver) = sync_channel(1);
        committer.submit(
            batch("record", 1),
            Box::new(move |r| sender.send(r.is_ok()).unwrap()),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let refused = runtime.block_on(committer.write(batch("document", 1)));
        assert!(matches!(refused, Err(StoreError::Backend { .. })));
        moody.failing.store(false, Ordering::SeqCst);
        assert!(
            receiver.recv().unwrap(),
            "the record is written once the disk works again"
        );
        assert_eq!(moody.keys(), ["record"]);
    }

    #[test]
    fn writers_wait_for_room_and_all_arrive() {
        let moody = Arc::new(Moody::default());
        let committer = Committer::start(moody.clone(), None, small(500)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let writes = (0..50).map(|n| committer.write(batch(&format!("{n:02}"), 200)));
            for result in futures_util::future::join_all(writes).await {
                result.unwrap();
            }
        });
        assert_eq!(moody.keys().len(), 50);
    }

    #[test]
    fn the_last_handle_may_die_on_the_store_thread() {
        let moody = Arc::new(Moody::default());
        let committer = Arc::new(Committer::start(moody.clone(), None, Limits::default()).unwrap());
        let (sender, receiver) = sync_channel(1);
        let last = Arc::clone(&committer);
        committer.submit(
            batch("x", 1),
            Box::new(move |_| {
                drop(last);
                sender.send(()).unwrap();
            }),
        );
        drop(committer);
        receiver.recv().unwrap();
        assert_eq!(moody.keys(), ["x"]);
    }
}
