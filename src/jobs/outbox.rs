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
const AT_ONCE: usize = 16;
/// Of these, for one account.
const PER_ACCOUNT: usize = 4;
/// Stored jobs looked at in one round.
const LOOK: usize = 2000;
/// Longest wait before the store is looked at again.
const IDLE: Duration = Duration::from_secs(5);

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

/// The durable outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    store: Store,
    /// Ids of new jobs, and when the last was stored; held for one id.
    next: Mutex<(Rng, UnixMicros)>,
    /// Looks at the store at once.
    wake: Notify,
}

impl Outbox {
    /// An outbox in `store`; `rng` names the jobs.
    pub fn new(store: Store, rng: Rng) -> Self {
        Self(Arc::new(Inner {
            store,
            next: Mutex::new((rng, UnixMicros(0))),
            wake: Notify::new(),
        }))
    }

    /// Adds a job to a batch; it exists once the batch is durable. Returns its id.
    pub fn enqueue(&self, batch: &mut Batch, job: NewJob, now: UnixMicros) -> String {
        let (id, now) = {
            let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
            // No two at one time: the time is what keeps a lane in order.
            next.1 = UnixMicros(next.1.0.saturating_add(1)).max(now);
            (document_id(&mut next.0), next.1)
        };
        let job = Job {
            id: id.clone(),
            kind: job.kind.to_owned(),
            account: job.account,
            lane: job.lane,
            payload: job.payload,
            created: now,
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

    /// Every stored job, oldest first.
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
        let read = |value: Vec<u8>| {
            serde_json::from_slice(&value).map_err(|e| StoreError::Corrupt {
                what: "job",
                reason: e.to_string(),
            })
        };
        rows.into_iter().map(|(_, value)| read(value)).collect()
    }

    /// Does jobs for ever. Dropping the future loses nothing: an attempt under way is made again.
    pub async fn run(self, runners: BTreeMap<&'static str, Arc<dyn Runner>>) {
        let mut running = FuturesUnordered::new();
        let mut busy: BTreeMap<String, Job> = BTreeMap::new();
        loop {
            let now = clock::unix_now();
            let wait = match self.pending().await {
                Ok(jobs) => {
                    let next = jobs
                        .iter()
                        .filter(|job| !busy.contains_key(&job.id))
                        .map(|job| job.due)
                        .min();
                    for job in choose(jobs, &busy, now) {
                        let attempt = attempt(&runners, &job, now);
                        busy.insert(job.id.clone(), job.clone());
                        running.push(async move { (job, attempt.await) });
                    }
                    next.map_or(IDLE, |due| {
                        due.since(now).clamp(Duration::from_millis(20), IDLE)
                    })
                }
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read");
                    IDLE
                }
            };
            tokio::select! {
                biased;
                Some((job, outcome)) = running.next() => {
                    busy.remove(&job.id);
                    if let Outcome::GiveUp(why) = &outcome
                        && let Some(runner) = runners.get(job.kind.as_str())
                    {
                        runner.given_up(&job, why).await;
                    }
                    self.settle(job, outcome).await;
                }
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn settle(&self, job: Job, outcome: Outcome) {
        let mut batch = Batch::new();
        match outcome {
            Outcome::Done => {
                metrics::counter!("swivel_jobs_done_total").increment(1);
                batch.delete(Table::Jobs, key_of(&job));
            }
            Outcome::Retry(error) => {
                store_job(&mut batch, &job.clone().postponed(clock::unix_now(), error))
            }
            Outcome::GiveUp(error) => {
                metrics::counter!("swivel_jobs_given_up_total").increment(1);
                tracing::warn!(
                    job = job.id,
                    kind = job.kind,
                    attempts = job.attempts,
                    error,
                    "a job was given up"
                );
                batch.delete(Table::Jobs, key_of(&job));
            }
        }
        if let Err(error) = self.0.store.write(batch).await {
            // It stays as it was, and is done again: at least once.
            tracing::error!(%error, job = job.id, "a job's outcome could not be stored");
        }
    }
}

fn attempt(
    runners: &BTreeMap<&'static str, Arc<dyn Runner>>,
    job: &Job,
    now: UnixMicros,
) -> BoxFuture<'static, Outcome> {
    if now >= job.expires {
        let text = format!(
            "expired after {} attempts; the last said: {}",
            job.attempts, job.last_error
        );
        return Box::pin(std::future::ready(Outcome::GiveUp(text)));
    }
    match runners.get(job.kind.as_str()) {
        Some(runner) => runner.run(job),
        // Of a newer version, perhaps: kept until it expires.
        None => Box::pin(std::future::ready(Outcome::Retry(format!(
            "nothing here does `{}`",
            job.kind
        )))),
    }
}

/// Which jobs start now: due, first of their lane, and within the limits.
fn choose(jobs: Vec<Job>, busy: &BTreeMap<String, Job>, now: UnixMicros) -> Vec<Job> {
    let mut lanes: BTreeSet<String> = BTreeSet::new();
    let mut accounts: BTreeMap<String, usize> = BTreeMap::new();
    for job in busy.values() {
        lanes.insert(job.lane.clone());
        *accounts.entry(job.account.clone()).or_default() += 1;
    }
    let mut chosen = Vec::new();
    for job in jobs {
        // The first of a lane, due or not, holds back the rest of it.
        let first = !busy.contains_key(&job.id) && lanes.insert(job.lane.clone());
        let of_account = accounts.entry(job.account.clone()).or_default();
        if first
            && job.due <= now
            && *of_account < PER_ACCOUNT
            && busy.len() + chosen.len() < AT_ONCE
        {
            *of_account += 1;
            chosen.push(job);
        }
    }
    chosen
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
