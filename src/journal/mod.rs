//! The only stream of facts: call events, SIP ladders, hook exchanges, call records, the Pivot debug log.
//!
//! - `fact`: the typed facts; `detail`: those that only a call's own trace shows. - `web`: exchanges with web servers.
//! - `trace`: the facts of each call, kept within bounds, written out when it ended. - `legs`: which legs are one call.
//! - `line`: a fact as a line of a trace. - `lens`: all of a call as one document. - `causes`: why a call failed, in plain words, and the problems of the last hour.
//! - `cdr`: a leg's record and its document. - `records`: writing and reading them, and sweeping after a crash.
//! - `index`: what records are found by.
//! - `debug`: documents of the Pivot debug log, written and read.
//! - `offer`: what session descriptions offer.
//! - `message`: SIP messages as text.
//! - `mask`: what never leaves this room: credentials, keys, digits.
//! - `retention`: how long each kind of log is kept.
//!
//! Subscribers read facts; nobody steers calls through them. Nothing here waits for the disk.

pub mod causes;
mod cdr;
mod debug;
mod detail;
mod fact;
mod index;
mod legs;
pub mod lens;
mod line;
pub mod mask;
mod message;
mod offer;
mod records;
mod retention;
mod trace;
mod web;

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, broadcast, oneshot};

use crate::base::time::UnixMicros;
use crate::store::{Batch, Store, StoreError};

pub use causes::{Cause, Code, Problem};
pub use cdr::{Cdr, OpenCall};
pub use debug::{DebugRow, PivotDebug, PivotDebugKind};
pub use detail::{Asked, Detail, Leg, Quality, Rtp, Timing, Told};
pub use fact::{Fact, Way};
pub use index::{Field, Found, Sought};
pub use records::{Stored, TimeRange};
pub use retention::{RetentionConfig, keep_as_debug};
use trace::Rings;
pub use web::OfCall;

/// Facts a slow subscriber may be behind before it misses some.
const BACKLOG: usize = 4096;
/// Traces that may wait to be written.
const WAITING: usize = 4096;
/// Traces of calls that end so soon after each other are written at once.
const GATHER: Duration = Duration::from_millis(200);

/// A handle to the journal. Cheap to clone; nothing here waits.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    store: Store,
    /// Server name shown in debug documents and records.
    node: String,
    retention: RetentionConfig,
    facts: broadcast::Sender<Arc<Fact>>,
    /// Recent facts of each call. Held for a push or a take.
    rings: Mutex<Rings>,
    /// Traces of calls that are over, until the store has them.
    finished: Mutex<Vec<Arc<trace::Finished>>>,
    /// Somebody writes them, elsewhere than where calls are.
    writer: Notify,
    /// Names exchanges with web servers.
    exchanges: AtomicU64,
    /// Why calls fail. Held for a fact or a question.
    watch: Mutex<causes::Watch>,
    records: records::Clock,
    /// Every record has its rows in the indexes.
    indexed: AtomicBool,
    debug: debug::Sequence,
}

impl Journal {
    /// A journal that writes to `store`, with the usual retention.
    pub fn new(store: Store) -> Self {
        Self::with(store, "swivel", RetentionConfig::default())
    }

    /// A journal that writes to `store` under the server name `node`.
    pub fn with(store: Store, node: impl Into<String>, retention: RetentionConfig) -> Self {
        Self(Arc::new(Inner {
            store,
            node: node.into(),
            retention,
            facts: broadcast::Sender::new(BACKLOG),
            rings: Mutex::default(),
            finished: Mutex::default(),
            writer: Notify::new(),
            exchanges: AtomicU64::new(1),
            watch: Mutex::default(),
            records: records::Clock::default(),
            indexed: AtomicBool::new(false),
            debug: debug::Sequence::default(),
        }))
    }

    /// The server name.
    pub fn node(&self) -> &str {
        &self.0.node
    }

    /// How many days traces are kept; 0 for ever. `None`: there are none.
    pub fn trace_days(&self) -> Option<u32> {
        self.traces().then_some(self.0.retention.trace_days)
    }

    /// Whether what happens in calls is kept for the lens, SIP messages before all.
    pub fn traces(&self) -> bool {
        self.0.retention.traces
    }

    /// Tells a fact. Never waits. Credentials and media keys in SIP messages are masked first.
    pub fn emit(&self, fact: Fact) {
        let fact = Arc::new(mask::fact(fact));
        self.why().note(&fact);
        if self.traces() {
            let finished = self.rings().push(&fact);
            self.keep_traces(finished);
        }
        // Without a subscriber there is nobody to tell, which is no error.
        drop(self.0.facts.send(fact));
    }

    /// Keeps what is known of a call that is up, so that a crash cannot lose its record. The receiver resolves once
    /// that is durable, or with an error when the store could not do it.
    pub fn open_call(&self, open: OpenCall) -> oneshot::Receiver<()> {
        records::open(&self.0, &open)
    }

    /// Writes a leg's record and forgets its open record, both at once.
    pub fn close_leg(&self, cdr: Box<Cdr>) {
        self.close_leg_and(cdr, Batch::new());
    }

    /// Like [`Journal::close_leg`], together with whatever else must be durable with the record (its jobs).
    pub fn close_leg_and(&self, cdr: Box<Cdr>, more: Batch) {
        records::close(&self.0, cdr, more);
    }

    /// Adds to the Pivot debug log.
    pub fn pivot_debug(&self, debug: PivotDebug) {
        debug::write(&self.0, &debug);
    }

    /// All facts from now on. A slow reader misses the oldest and is told how many.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Fact>> {
        self.0.facts.subscribe()
    }

    /// At start-up, before any call: every call that was up when the process died gets its record. Returns how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        records::sweep(&self.0, |_, _| {}).await
    }

    /// Like [`Journal::sweep`]; `more` may add to the batch that makes each record durable.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_and(
        &self,
        more: impl Fn(&Cdr, &mut Batch) + Send + Sync,
    ) -> Result<usize, StoreError> {
        records::sweep(&self.0, more).await
    }

    /// Everything kept of a call, oldest first: facts as JSON objects with `at` (Unix microseconds) and `fact`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn trace(&self, call_id: &str) -> Result<Vec<Value>, StoreError> {
        // From the newest place to the oldest: what moves on meanwhile is seen twice, never not at all.
        let mut lines = self.trace_in_memory(call_id);
        // A stored trace ends with its cause.
        let cause = self.cause(call_id).filter(|_| !lines.is_empty());
        lines.extend(trace::stored(&self.0.store, call_id).await?);
        let mut lines = trace::in_order(lines);
        if let Some(cause) = cause {
            lines.push(trace::cause_line(&cause, crate::host::clock::unix_now()));
        }
        Ok(lines)
    }

    /// The part of a call's trace that is not stored yet.
    fn trace_in_memory(&self, call_id: &str) -> Vec<Value> {
        let mut lines = self.rings().lines(call_id);
        let finished = self.finished().clone();
        for trace in finished.iter().filter(|trace| trace.is_of(call_id)) {
            lines.extend(trace.lines());
        }
        lines
    }

    /// Why a call failed that has just ended, or what has gone wrong so far in one that is up.
    pub fn cause(&self, call_id: &str) -> Option<Cause> {
        self.why().cause_of(call_id)
    }

    /// What went wrong in an account since then, an hour back at most: grouped by cause, newest first. The account
    /// without a name has what belongs to none: strangers.
    pub fn problems(&self, account: &str, since: UnixMicros) -> Vec<Problem> {
        let now = crate::host::clock::unix_now();
        self.why().problems(account, since, now)
    }

    /// Records of an account that ended in `range`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cdrs(&self, account: &str, range: TimeRange) -> Result<Vec<Stored>, StoreError> {
        records::list(&self.0.store, account, range).await
    }

    /// Up to `range.limit` records of an account that ended in `range` and satisfy all conditions, by indexes. Those of a
    /// long range cost what they are, not what else there is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(
        &self,
        account: &str,
        range: TimeRange,
        sought: &[Sought],
    ) -> Result<Found, StoreError> {
        index::find(&self.0, account, range, sought).await
    }

    /// Whether an interaction began with this leg.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_first_leg(&self, account: &str, cdr: &Cdr) -> Result<bool, StoreError> {
        let first = records::first_leg(&self.0.store, account, &cdr.interaction()).await?;
        Ok(first.is_none_or(|first| first == cdr.call_id))
    }

    /// Gives records of an older version's store their places in the indexes. Returns how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn index(&self) -> Result<usize, StoreError> {
        index::build(&self.0).await
    }

    /// One record by its id (`YYYYMM-<call id>`).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cdr(&self, account: &str, id: &str) -> Result<Option<Cdr>, StoreError> {
        records::one(&self.0.store, account, id).await
    }

    /// All legs of an interaction, in the order they began.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn legs(&self, account: &str, interaction: &str) -> Result<Vec<Cdr>, StoreError> {
        records::legs(&self.0.store, account, interaction).await
    }

    /// One row a call of the Pivot debug log.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn debug_calls(
        &self,
        account: &str,
        range: TimeRange,
    ) -> Result<Vec<DebugRow>, StoreError> {
        debug::calls(&self.0, account, range).await
    }

    /// The debug documents of one call, oldest first; with `month` (`YYYYMM`) those of that month only.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn debug_documents(
        &self,
        account: &str,
        call_id: &str,
        month: Option<&str>,
    ) -> Result<Vec<Value>, StoreError> {
        debug::documents(&self.0.store, account, call_id, month).await
    }

    /// Writes out traces of calls that ended, notes that the process lives, and removes what is older than the
    /// retention allows. For a task of the server to call now and then; [`Journal::housekeeping`] is that task.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tidy(&self, now: UnixMicros) -> Result<usize, StoreError> {
        {
            let mut why = self.why();
            why.settle(now);
            why.rest();
        }
        let finished = {
            let mut rings = self.rings();
            let finished = rings.settle(now);
            rings.rest();
            finished
        };
        self.keep_traces(finished);
        self.write_traces();
        records::beat(&self.0, now);
        retention::prune(&self.0.store, &self.0.retention, now).await
    }

    /// Calls [`Journal::tidy`] for ever, and writes traces of calls as they end. Records without an index get theirs.
    pub async fn housekeeping(self) {
        let index = async {
            if let Err(error) = self.index().await {
                tracing::warn!(%error, "call records could not be indexed; they are searched one by one");
            }
        };
        tokio::join!(index, self.tidy_for_ever());
    }

    async fn tidy_for_ever(&self) {
        let mut tidied = crate::host::clock::now();
        loop {
            tokio::select! {
                () = self.0.writer.notified() => {
                    tokio::time::sleep(GATHER).await;
                    self.write_traces();
                }
                () = tokio::time::sleep_until((tidied + retention::EVERY).into()) => {
                    tidied = crate::host::clock::now();
                    if let Err(error) = self.tidy(crate::host::clock::unix_now()).await {
                        tracing::warn!(%error, "old log entries could not be removed");
                    }
                }
            }
        }
    }

    /// Hands every trace still in memory to the store, whether its call has ended or not.
    pub fn finish(&self) {
        let all = self.rings().take_all();
        self.keep_traces(all);
        self.write_traces();
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.0.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn why(&self) -> MutexGuard<'_, causes::Watch> {
        self.0.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finished(&self) -> MutexGuard<'_, Vec<Arc<trace::Finished>>> {
        let finished = &self.0.finished;
        finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps traces until they are written, which is not done where calls are.
    fn keep_traces(&self, finished: Vec<trace::Finished>) {
        if finished.is_empty() {
            return;
        }
        let full = {
            let mut waiting = self.finished();
            waiting.extend(finished.into_iter().map(Arc::new));
            waiting.len() > WAITING
        };
        match full {
            true => self.write_traces(),
            false => self.0.writer.notify_one(),
        }
    }

    fn write_traces(&self) {
        let waiting: Vec<_> = {
            let waiting = self.finished();
            let mine = waiting.iter().filter(|trace| trace.begin_writing());
            mine.map(Arc::clone).collect()
        };
        let journal = self.clone();
        let cause = |call_id: &str| self.cause(call_id);
        trace::write(&self.0.store, waiting, cause, move || {
            journal.finished().retain(|trace| !trace.is_written());
        });
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({})", self.0.node)
    }
}
