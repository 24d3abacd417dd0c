//! The runner of the outbox: takes what is due from the store, in order a lane, a few at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::http::HttpJob;
use super::job::{Job, NewJob};
use crate::base::id::document_id;
use crate::base::rng::Rng;
use crate::base::time::UnixMicros;
use crate::host::clock;
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

/// Attempts running at once.
const AT_ONCE: usize = 64;
/// Of these, for one account.
const PER_ACCOUNT: usize = 8;
/// Stored jobs read at once.
const LOOK: usize = 2000;
/// Jobs kept in mind; what is beyond is read when there is room again.
const IN_MIND: usize = 100_000;
/// Longest wait before the store is looked at again.
const IDLE: Duration = Duration::from_secs(5);
/// Batches may become durable in another order than their jobs were made in, but not by more than this.
const OVERLAP: Duration = Duration::from_secs(10);

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It may work later.
    Retry(String),
    /// It will never work.
    GiveUp(String),
}

/// Does jobs of one kind.
pub trait Runner: Send + Sync {
    /// One attempt.
    fn run(&self, job: &Job) -> BoxFuture<'static, Outcome>;

    /// The job has been given up: it has expired, or an attempt said that it will never work.
    fn given_up(&self, job: &Job, why: &str) -> BoxFuture<'static, ()> {
        tracing::trace!(job = job.id, why, "nothing is left to do");
        Box::pin(std::future::ready(()))
    }
}

/// Who does jobs, by kind.
pub type Runners = BTreeMap<&'static str, Arc<dyn Runner>>;

/// The durable outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    store: Store,
    /// Ids of new jobs, and when the last was made; held for one id.
    made: Mutex<(Rng, UnixMicros)>,
    /// Looks at the store at once.
    wake: Notify,
}

impl Outbox {
    /// An outbox in `store`; `rng` names the jobs.
    pub fn new(store: Store, rng: Rng) -> Self {
        Self(Arc::new(Inner {
            store,
            made: Mutex::new((rng, UnixMicros(0))),
            wake: Notify::new(),
        }))
    }

    /// Adds a job to a batch; it exists once the batch is durable. Returns its id.
    pub fn enqueue(&self, batch: &mut Batch, job: NewJob, now: UnixMicros) -> String {
        let (id, created) = {
            let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
            // No two at the same time, so that their keys keep the order they were made in.
            made.1 = UnixMicros(now.0.max(made.1.0.saturating_add(1)));
            (document_id(&mut made.0), made.1)
        };
        let job = Job {
            id: id.clone(),
            kind: job.kind.to_owned(),
            account: job.account,
            lane: job.lane,
            payload: job.payload,
            created,
            expires: now.plus(job.lifetime),
            attempts: 0,
            due: now,
            last_error: String::new(),
        };
        store_job(batch, &job);
        id
    }

    /// Adds the job of making an HTTP request: tried again with growing pauses until a server takes it, also by the
    /// next process. Requests of one lane are made one after the other. Returns its id, which goes with every attempt.
    pub fn post(
        &self,
        batch: &mut Batch,
        account: &str,
        lane: &str,
        request: &HttpJob,
        now: UnixMicros,
    ) -> String {
        let job = NewJob {
            kind: HttpJob::KIND,
            account: account.to_owned(),
            lane: lane.to_owned(),
            payload: serde_json::to_value(request).unwrap_or_default(),
            lifetime: HttpJob::LIFETIME,
        };
        self.enqueue(batch, job, now)
    }

    /// Stores a batch with jobs without waiting; they start once it is durable.
    pub fn submit(&self, batch: Batch) {
        let outbox = self.clone();
        let done = move |result: Result<(), StoreError>| match result {
            Ok(()) => outbox.wake(),
            Err(error) => tracing::error!(%error, "jobs could not be stored"),
        };
        self.0.store.submit(batch, Box::new(done));
    }

    /// Says that a batch with jobs has become durable, so that they start at once.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Has whatever was handed to the store until now looked at once it is durable.
    pub fn wake_when_durable(&self) {
        let own = self.clone();
        self.0
            .store
            .submit(Batch::new(), Box::new(move |_| own.wake()));
    }

    /// The store the jobs are in.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Every stored job, oldest first, as far as one look goes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pending(&self) -> Result<Vec<Job>, StoreError> {
        let range = KeyRange::prefix(keys::prefix(&["job"]));
        let rows = self
            .0
            .store
            .scan(Table::Jobs, range, Direction::Forward, LOOK)
            .await?;
        rows.into_iter().map(|(_, value)| read(&value)).collect()
    }

    /// Does jobs for ever. Dropping the future loses nothing: an attempt under way is made again.
    pub async fn run(self, runners: Runners) {
        let runners = Arc::new(runners);
        let mut running = FuturesUnordered::new();
        let mut plan = Plan::default();
        loop {
            if let Err(error) = plan.look(&self.0.store).await {
                tracing::error!(%error, "the outbox cannot be read");
            }
            loop {
                let now = clock::unix_now();
                while let Some(key) = plan.next(now) {
                    running.push(attempt(self.0.store.clone(), Arc::clone(&runners), key));
                }
                let wait = plan.wait(clock::unix_now());
                tokio::select! {
                    biased;
                    Some((key, postponed)) = running.next() => {
                        plan.settled(&key, postponed);
                        if !plan.is_short() {
                            continue;
                        }
                    }
                    () = self.0.wake.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                }
                break;
            }
        }
    }
}

/// What is known of the stored jobs: enough to know whose turn it is.
#[derive(Default)]
struct Plan {
    known: BTreeMap<Vec<u8>, Waiting>,
    /// Keys of each lane's jobs, oldest first.
    lanes: BTreeMap<String, BTreeSet<Vec<u8>>>,
    /// The first of each lane that does not run, by account and by when it is due.
    due: BTreeMap<String, BTreeSet<(UnixMicros, Vec<u8>)>>,
    /// Running attempts of each account.
    accounts: BTreeMap<String, usize>,
    running: usize,
    /// Keys before this one are known, or done.
    seen: Vec<u8>,
    /// Whether there was no room for all.
    short: bool,
}

struct Waiting {
    lane: String,
    account: String,
    due: UnixMicros,
    running: bool,
}

impl Plan {
    /// Takes in what is new in the store.
    async fn look(&mut self, store: &Store) -> Result<(), StoreError> {
        let end = KeyRange::prefix(keys::prefix(&["job"])).to;
        let mut from = self.seen.clone().max(keys::prefix(&["job"]));
        self.short = false;
        loop {
            if self.known.len() >= IN_MIND {
                self.short = true;
                return Ok(());
            }
            let range = KeyRange {
                from: from.clone(),
                to: end.clone(),
            };
            let rows = store
                .scan(Table::Jobs, range, Direction::Forward, LOOK)
                .await?;
            let count = rows.len();
            for (key, value) in rows {
                from.clone_from(&key);
                from.push(0);
                if !self.known.contains_key(&key) {
                    match read(&value) {
                        Ok(job) => self.learn(key, &job),
                        Err(error) => tracing::error!(%error, "a job cannot be read"),
                    }
                }
            }
            if count < LOOK {
                break;
            }
        }
        let newest = self.known.last_key_value();
        if let Some(time) = newest.and_then(|(key, _)| keys::parts(key).into_iter().nth(1)) {
            let time = time.parse().unwrap_or(0_u64);
            let overlap = u64::try_from(OVERLAP.as_micros()).unwrap_or(0);
            let back = keys::time(UnixMicros(time.saturating_sub(overlap)));
            self.seen = self.seen.clone().max(keys::join(&["job", &back]));
        }
        Ok(())
    }

    fn learn(&mut self, key: Vec<u8>, job: &Job) {
        let waiting = Waiting {
            lane: job.lane.clone(),
            account: job.account.clone(),
            due: job.due,
            running: false,
        };
        let lane = self.lanes.entry(job.lane.clone()).or_default();
        let former = lane.first().cloned();
        lane.insert(key.clone());
        let leads = lane.first() == Some(&key);
        self.known.insert(key.clone(), waiting);
        let former = former.and_then(|key| self.known.get(&key).map(|w| (w.due, key, w.running)));
        let due = self.due.entry(job.account.clone()).or_default();
        match former {
            // The first of a lane, due or not, holds back the rest of it; one under way above all.
            Some((_, _, true)) => {}
            Some((at, former, false)) if leads => {
                due.remove(&(at, former));
                due.insert((job.due, key));
            }
            Some(_) => {}
            None => drop(due.insert((job.due, key))),
        }
    }

    /// The job whose turn it is; it counts as running from now on.
    fn next(&mut self, now: UnixMicros) -> Option<Vec<u8>> {
        if self.running >= AT_ONCE {
            return None;
        }
        let free = self
            .due
            .iter()
            .filter(|(account, _)| self.accounts.get(*account).copied().unwrap_or(0) < PER_ACCOUNT);
        let heads = free.filter_map(|(account, due)| due.first().map(|head| (head, account)));
        let (head, account) = heads.min()?;
        if head.0 > now {
            return None;
        }
        let (head, account) = (head.clone(), account.clone());
        self.due.get_mut(&account)?.remove(&head);
        let (_, key) = head;
        let waiting = self.known.get_mut(&key)?;
        waiting.running = true;
        *self.accounts.entry(waiting.account.clone()).or_default() += 1;
        self.running += 1;
        Some(key)
    }

    /// An attempt has ended: for good, or to be made again at that time.
    fn settled(&mut self, key: &[u8], postponed: Option<UnixMicros>) {
        let Some(waiting) = self.known.get_mut(key) else {
            return;
        };
        waiting.running = false;
        self.running = self.running.saturating_sub(1);
        if let Some(count) = self.accounts.get_mut(&waiting.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.accounts.remove(&waiting.account.clone());
            }
        }
        let (lane_name, account) = (waiting.lane.clone(), waiting.account.clone());
        match postponed {
            Some(due) => waiting.due = due,
            None => {
                self.known.remove(key);
                if let Some(lane) = self.lanes.get_mut(&lane_name) {
                    lane.remove(key);
                }
            }
        }
        let first = self.lanes.get(&lane_name).and_then(|lane| lane.first());
        match first.and_then(|key| Some((self.known.get(key)?.due, key.clone()))) {
            Some(head) => drop(self.due.entry(account.clone()).or_default().insert(head)),
            None => drop(self.lanes.remove(&lane_name)),
        }
        if self.due.get(&account).is_some_and(BTreeSet::is_empty) {
            self.due.remove(&account);
        }
    }

    /// How long nothing needs to be looked at, unless something happens.
    fn wait(&self, now: UnixMicros) -> Duration {
        let heads = self.due.values().filter_map(|due| due.first());
        let next = heads.map(|(at, _)| *at).filter(|at| *at > now).min();
        next.map_or(IDLE, |at| {
            at.since(now).clamp(Duration::from_millis(1), IDLE)
        })
    }

    /// Whether there is room again for what there was none for.
    fn is_short(&self) -> bool {
        self.short && self.known.len() < IN_MIND / 2
    }
}

/// Makes an attempt and stores what became of it; when it is to be made again.
async fn attempt(
    store: Store,
    runners: Arc<Runners>,
    key: Vec<u8>,
) -> (Vec<u8>, Option<UnixMicros>) {
    let job = match store.get(Table::Jobs, &key).await {
        Ok(Some(value)) => read(&value),
        // Somebody has taken it back.
        Ok(None) => return (key, None),
        Err(error) => Err(error),
    };
    let job = match job {
        Ok(job) => job,
        Err(error) => {
            tracing::error!(%error, "a job cannot be read");
            return (key, Some(clock::unix_now().plus(IDLE)));
        }
    };
    let outcome = tried(&runners, &job).await;
    let mut batch = Batch::new();
    let postponed = match outcome {
        Outcome::Done => {
            metrics::counter!("swivel_jobs_done_total").increment(1);
            batch.delete(Table::Jobs, key.clone());
            None
        }
        Outcome::Retry(error) => {
            let job = job.postponed(clock::unix_now(), error);
            store_job(&mut batch, &job);
            Some(job.due)
        }
        Outcome::GiveUp(error) => {
            metrics::counter!("swivel_jobs_given_up_total").increment(1);
            let (id, kind, attempts) = (&job.id, &job.kind, job.attempts);
            tracing::warn!(job = id, kind, attempts, error, "a job was given up");
            if let Some(runner) = runners.get(job.kind.as_str()) {
                runner.given_up(&job, &error).await;
            }
            batch.delete(Table::Jobs, key.clone());
            None
        }
    };
    if let Err(error) = store.write(batch).await {
        // It stays as it was, and is done again: at least once.
        tracing::error!(%error, "a job's outcome could not be stored");
        return (key, Some(clock::unix_now().plus(IDLE)));
    }
    (key, postponed)
}

async fn tried(runners: &Runners, job: &Job) -> Outcome {
    if clock::unix_now() >= job.expires {
        return Outcome::GiveUp(format!(
            "expired after {} attempts; the last said: {}",
            job.attempts, job.last_error
        ));
    }
    match runners.get(job.kind.as_str()) {
        Some(runner) => runner.run(job).await,
        // Of a newer version, perhaps: kept until it expires.
        None => Outcome::Retry(format!("nothing here does `{}`", job.kind)),
    }
}

fn read(value: &[u8]) -> Result<Job, StoreError> {
    serde_json::from_slice(value).map_err(|e| StoreError::Corrupt {
        what: "job",
        reason: e.to_string(),
    })
}

fn key_of(job: &Job) -> Vec<u8> {
    keys::join(&["job", &keys::time(job.created), &job.id])
}

fn store_job(batch: &mut Batch, job: &Job) {
    match serde_json::to_vec(job) {
        Ok(value) => drop(batch.put(Table::Jobs, key_of(job), value)),
        Err(error) => tracing::error!(%error, job = job.id, "a job cannot be encoded"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Writes down what it is given; fails as often as the payload says.
    #[derive(Default)]
    struct Notebook(Mutex<Vec<(String, u32)>>);

    impl Runner for Notebook {
        fn run(&self, job: &Job) -> BoxFuture<'static, Outcome> {
            let name = job.payload["name"].as_str().unwrap().to_owned();
            self.0.lock().unwrap().push((name, job.attempts));
            let failures = job.payload["failures"].as_u64().unwrap_or(0);
            let outcome = match u64::from(job.attempts) < failures {
                true => Outcome::Retry("not yet".into()),
                false => Outcome::Done,
            };
            Box::pin(std::future::ready(outcome))
        }
    }

    fn job(name: &str, lane: &str, failures: u64) -> NewJob {
        NewJob {
            kind: "note",
            account: "acc".into(),
            lane: lane.into(),
            payload: json!({"name": name, "failures": failures}),
            lifetime: Duration::from_secs(3600),
        }
    }

    async fn store_jobs(outbox: &Outbox, jobs: Vec<NewJob>) {
        let start = clock::unix_now();
        for (n, job) in (0..).zip(jobs) {
            let mut batch = Batch::new();
            outbox.enqueue(&mut batch, job, UnixMicros(start.0 + n));
            outbox.0.store.write(batch).await.unwrap();
        }
    }

    async fn run_until_empty(outbox: &Outbox, runner: Arc<dyn Runner>) {
        let work = outbox.clone().run(BTreeMap::from([("note", runner)]));
        tokio::pin!(work);
        while !outbox.pending().await.unwrap().is_empty() {
            tokio::select! {
                () = &mut work => {}
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_keeps_its_order_while_others_go_on() {
        let outbox = Outbox::new(Store::memory(), Rng::seeded(1));
        store_jobs(
            &outbox,
            vec![job("a1", "a", 2), job("a2", "a", 0), job("b1", "b", 0)],
        )
        .await;
        let notebook = Arc::new(Notebook::default());
        run_until_empty(&outbox, notebook.clone()).await;
        let names: Vec<_> = notebook
            .0
            .lock()
            .unwrap()
            .iter()
            .map(|(name, n)| format!("{name}:{n}"))
            .collect();
        assert_eq!(names, ["a1:0", "b1:0", "a1:1", "a1:2", "a2:0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_done_is_done_by_the_next_process() {
        let store = Store::memory();
        let first = Outbox::new(store.clone(), Rng::seeded(1));
        store_jobs(&first, vec![job("a", "a", 0)]).await;
        drop(first);
        let notebook = Arc::new(Notebook::default());
        run_until_empty(&Outbox::new(store, Rng::seeded(2)), notebook.clone()).await;
        assert_eq!(notebook.0.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_given_up_when_it_expires() {
        let outbox = Outbox::new(Store::memory(), Rng::seeded(1));
        store_jobs(
            &outbox,
            vec![NewJob {
                lifetime: Duration::from_secs(20),
                ..job("never", "a", u64::MAX)
            }],
        )
        .await;
        let notebook = Arc::new(Notebook::default());
        let start = tokio::time::Instant::now();
        run_until_empty(&outbox, notebook.clone()).await;
        // Attempts after 0, 1, 3, 7, 15 s; the next, at 31 s, is past the end.
        assert_eq!(notebook.0.lock().unwrap().len(), 5);
        assert!(start.elapsed() >= Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_party_that_never_answers_does_not_hold_up_the_others() {
        struct Stuck(Arc<Notebook>);
        impl Runner for Stuck {
            fn run(&self, job: &Job) -> BoxFuture<'static, Outcome> {
                if job.account == "slow" {
                    return Box::pin(std::future::pending());
                }
                self.0.run(job)
            }
        }
        let outbox = Outbox::new(Store::memory(), Rng::seeded(1));
        let slow = (0..3000).map(|n| NewJob {
            account: "slow".into(),
            ..job("stuck", &format!("slow{n}"), 0)
        });
        store_jobs(&outbox, slow.chain([job("b", "b", 0)]).collect()).await;
        let notebook = Arc::new(Notebook::default());
        let runner: Arc<dyn Runner> = Arc::new(Stuck(notebook.clone()));
        let work = outbox.clone().run(BTreeMap::from([("note", runner)]));
        assert!(
            tokio::time::timeout(Duration::from_secs(1), work)
                .await
                .is_err()
        );
        assert_eq!(notebook.0.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_made_at_one_time_keep_their_order() {
        let outbox = Outbox::new(Store::memory(), Rng::seeded(1));
        let mut batch = Batch::new();
        let now = clock::unix_now();
        for n in 0..50 {
            outbox.enqueue(&mut batch, job(&n.to_string(), "a", 0), now);
        }
        outbox.0.store.write(batch).await.unwrap();
        let names: Vec<_> = outbox.pending().await.unwrap();
        let names = names
            .iter()
            .map(|job| job.payload["name"].as_str().unwrap());
        assert!(names.eq((0..50).map(|n: i32| n.to_string()).collect::<Vec<_>>()));
    }

    #[test]
    fn waits_double_up_to_ten_minutes() {
        let new = Job {
            id: String::new(),
            kind: String::new(),
            account: String::new(),
            lane: String::new(),
            payload: json!(null),
            created: UnixMicros(0),
            expires: UnixMicros(0),
            attempts: 0,
            due: UnixMicros(0),
            last_error: String::new(),
        };
        let mut job = new;
        let mut waits = Vec::new();
        for _ in 0..40 {
            job = job.postponed(UnixMicros(0), String::new());
            waits.push(job.due.secs());
        }
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert!(waits[10..].iter().all(|wait| *wait == 600));
    }
}
