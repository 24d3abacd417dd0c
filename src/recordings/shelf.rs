//! All recordings in the store: open while they run, final when their file is whole, found by time or id.
//!
//! | key | value |
//! | --- | --- |
//! | `rec`, account, start time, id | the recording |
//! | `rec-id`, account, id | key of the recording |
//! | `rec-open`, account, id | the recording so far |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::document::{Recording, UploadState};
use super::transcript::TranscriptRunner;
use super::upload::UploadRunner;
use crate::base::time::UnixMicros;
use crate::host::{clock, task};
use crate::jobs::{NewJob, Outbox};
use crate::journal::TimeRange;
use crate::media;
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

/// Rows read or removed at once.
const STEP: usize = 500;
/// How often what is too old is looked for.
const EVERY: Duration = Duration::from_secs(600);
/// How long an upload is worth trying.
const UPLOAD_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// All recordings. Cheap to clone.
#[derive(Clone)]
pub struct Shelf(Arc<Inner>);

struct Inner {
    store: Store,
    outbox: Outbox,
    /// The directory of all files.
    root: PathBuf,
    /// Reading and writing a document are one step.
    changing: tokio::sync::Mutex<()>,
    /// What stands before `/v2/` in the address of a recording.
    base: String,
}

/// A recording with the key that continues a listing at it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// For [`TimeRange::start`].
    pub key: Vec<u8>,
    /// The recording.
    pub recording: Recording,
}

/// What a start found of recordings that the last process did not finish.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Completed, with what was recorded until then.
    pub kept: usize,
    /// Of which there was nothing.
    pub gone: usize,
}

impl Shelf {
    /// Recordings in `store` with their files below `root`; jobs go to `outbox`. `base`: the API's address from outside.
    pub fn new(store: Store, outbox: Outbox, root: &Path, base: &str) -> Self {
        Self(Arc::new(Inner {
            store,
            outbox,
            root: root.to_owned(),
            changing: tokio::sync::Mutex::new(()),
            base: base.trim_end_matches('/').to_owned(),
        }))
    }

    /// A recording begins: its purpose is kept, so that a crash cannot lose it. Does not wait.
    pub fn open(&self, recording: &Recording) {
        let mut batch = Batch::new();
        let Some(value) = encode(recording) else {
            return;
        };
        batch.put(Table::Cdr, open_key(recording), value);
        let told = self.tell(&mut batch, recording, "in-progress");
        self.submit(batch, told);
    }

    /// Its file is whole: the recording is kept, with the jobs that follow. Does not wait.
    pub fn keep(&self, recording: &Recording) {
        let mut batch = Batch::new();
        self.put_kept(&mut batch, recording);
        metrics::counter!("swivel_recordings_total").increment(1);
        self.submit(batch, true);
    }

    /// There is no file: it was too short (`absent`), or could not be made (`failed`). Does not wait.
    pub fn forget(&self, recording: &Recording, status: &'static str) {
        let mut batch = Batch::new();
        batch.delete(Table::Cdr, open_key(recording));
        let told = self.tell(&mut batch, recording, status);
        self.submit(batch, told);
    }

    fn put_kept(&self, batch: &mut Batch, recording: &Recording) {
        put(batch, recording);
        batch.delete(Table::Cdr, open_key(recording));
        // One lane: what is sent elsewhere is no longer kept here, so the text is made first.
        let to = recording.upload.as_ref().map(|upload| upload.url.as_str());
        let lane = format!("{} {}", recording.call_id, to.unwrap_or("transcript"));
        let payload = json!({"account": recording.account, "id": recording.id});
        if recording.transcript.is_some() {
            let job = NewJob {
                kind: TranscriptRunner::KIND,
                account: recording.account.clone(),
                lane: lane.clone(),
                payload: payload.clone(),
                lifetime: UPLOAD_LIFETIME,
            };
            self.0.outbox.enqueue(batch, job, clock::unix_now());
        }
        if recording.upload.is_some() {
            let job = NewJob {
                kind: UploadRunner::KIND,
                account: recording.account.clone(),
                lane,
                payload,
                lifetime: UPLOAD_LIFETIME,
            };
            self.0.outbox.enqueue(batch, job, clock::unix_now());
        }
        self.tell(batch, recording, "completed");
    }

    /// Adds the callback that tells of a state; whether somebody wants to know.
    fn tell(&self, batch: &mut Batch, recording: &Recording, status: &str) -> bool {
        let notice = recording.notice.as_ref();
        let request = notice.and_then(|n| n.request(recording, status, &self.url(recording)));
        if let (Some(request), Some(notice)) = (&request, notice) {
            let lane = format!("{} {}", recording.call_id, notice.url);
            let outbox = &self.0.outbox;
            outbox.post(batch, &recording.account, &lane, request, clock::unix_now());
        }
        request.is_some()
    }

    fn submit(&self, batch: Batch, with_jobs: bool) {
        let outbox = self.0.outbox.clone();
        let done = move |result: Result<(), StoreError>| match result {
            Ok(()) if with_jobs => outbox.wake(),
            Ok(()) => {}
            Err(error) => tracing::error!(%error, "a recording's document could not be stored"),
        };
        self.0.store.submit(batch, Box::new(done));
    }

    /// Where a recording can be had: where it is sent, else here.
    pub fn url(&self, recording: &Recording) -> String {
        match &recording.upload {
            Some(upload) => upload.shown(),
            None => format!(
                "{}/v2/accounts/{}/recordings/{}/raw",
                self.0.base, recording.account, recording.id
            ),
        }
    }

    /// A recording's file.
    pub fn file(&self, recording: &Recording) -> PathBuf {
        self.0.root.join(recording.path())
    }

    /// How many bytes a recording's file has, when it is here.
    pub async fn size(&self, recording: &Recording) -> Option<usize> {
        let file = self.file(recording);
        let look = move || usize::try_from(std::fs::metadata(file).ok()?.len()).ok();
        task::blocking("recording-size", look).await.flatten()
    }

    /// The bytes of a recording's file, when it is here.
    pub async fn bytes(&self, recording: &Recording) -> Option<Bytes> {
        let file = self.file(recording);
        let read = move || std::fs::read(file).ok().map(Bytes::from);
        task::blocking("recording-read", read).await.flatten()
    }

    /// Recordings of an account that began in `range`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, account: &str, range: TimeRange) -> Result<Vec<Stored>, StoreError> {
        let (keys, direction) = range.keys("rec", account);
        let store = &self.0.store;
        let rows = store.scan(Table::Cdr, keys, direction, range.limit).await?;
        rows.into_iter()
            .map(|(key, value)| {
                let recording = decode(&value)?;
                Ok(Stored { key, recording })
            })
            .collect()
    }

    /// One recording by its id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn one(&self, account: &str, id: &str) -> Result<Option<Recording>, StoreError> {
        let store = &self.0.store;
        let Some(key) = store.get(Table::Cdr, &id_key(account, id)).await? else {
            return Ok(None);
        };
        let value = store.get(Table::Cdr, &key).await?;
        value.map(|value| decode(&value)).transpose()
    }

    /// Removes a recording and its file. `false` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove(&self, account: &str, id: &str, more: Batch) -> Result<bool, StoreError> {
        let _one_at_a_time = self.0.changing.lock().await;
        let Some(recording) = self.one(account, id).await? else {
            return Ok(false);
        };
        let mut batch = Batch::new();
        delete(&mut batch, &recording);
        batch.extend(more);
        self.0.store.write(batch).await?;
        self.remove_files(vec![self.file(&recording)]).await;
        Ok(true)
    }

    /// How the upload of a recording ended. What another server has taken is no longer kept here.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn uploaded(
        &self,
        account: &str,
        id: &str,
        state: UploadState,
    ) -> Result<(), StoreError> {
        let _one_at_a_time = self.0.changing.lock().await;
        let Some(mut recording) = self.one(account, id).await? else {
            return Ok(());
        };
        let taken = state == UploadState::Done;
        if let Some(upload) = &mut recording.upload {
            upload.state = state;
        }
        let mut batch = Batch::new();
        put(&mut batch, &recording);
        self.0.store.write(batch).await?;
        if taken {
            self.remove_files(vec![self.file(&recording)]).await;
        }
        Ok(())
    }

    /// At start-up, before any call: recordings that ran when the process died are completed with what there is of them,
    /// or forgotten.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        loop {
            let range = KeyRange::prefix(keys::prefix(&["rec-open"]));
            let store = &self.0.store;
            let rows = store
                .scan(Table::Cdr, range, Direction::Forward, STEP)
                .await?;
            if rows.is_empty() {
                return Ok(swept);
            }
            let mut batch = Batch::new();
            for (key, value) in rows {
                batch.delete(Table::Cdr, key);
                let Ok(mut recording) = decode(&value) else {
                    tracing::error!("an unfinished recording's document cannot be read");
                    continue;
                };
                let length = self.salvage(&recording).await;
                if let Some(length) = length {
                    recording.duration_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
                }
                if length.is_some() && recording.duration_ms >= recording.shortest_ms {
                    self.put_kept(&mut batch, &recording);
                    swept.kept += 1;
                } else {
                    self.remove_files(vec![self.file(&recording)]).await;
                    self.tell(&mut batch, &recording, "absent");
                    swept.gone += 1;
                }
            }
            self.0.store.write(batch).await?;
        }
    }

    /// Completes a file; how long it is.
    async fn salvage(&self, recording: &Recording) -> Option<Duration> {
        let (root, path) = (self.0.root.clone(), recording.path());
        let saved = task::blocking("salvage", move || media::salvage(&root, &path)).await?;
        saved
            .inspect_err(
                |error| tracing::error!(%error, id = recording.id, "cannot complete a recording"),
            )
            .ok()?
    }

    /// Removes recordings that began before `time`, of every account. Returns how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove_before(&self, time: UnixMicros) -> Result<usize, StoreError> {
        let mut removed = 0;
        let mut from = keys::prefix(&["rec"]);
        let end = KeyRange::prefix(from.clone()).to;
        let store = &self.0.store;
        loop {
            let rest = KeyRange {
                from: from.clone(),
                to: end.clone(),
            };
            let first = store.scan(Table::Cdr, rest, Direction::Forward, 1).await?;
            let account = first
                .first()
                .and_then(|(key, _)| keys::parts(key).into_iter().nth(1));
            let Some(account) = account else {
                return Ok(removed);
            };
            let old = KeyRange::between(
                keys::prefix(&["rec", &account]),
                keys::join(&["rec", &account, &keys::time(time)]),
            );
            loop {
                let rows = store
                    .scan(Table::Cdr, old.clone(), Direction::Forward, STEP)
                    .await?;
                let mut batch = Batch::new();
                let mut files = Vec::new();
                for (key, value) in &rows {
                    if let Ok(recording) = decode(value) {
                        delete(&mut batch, &recording);
                        files.push(self.file(&recording));
                    }
                    batch.delete(Table::Cdr, key.clone());
                }
                store.write(batch).await?;
                self.remove_files(files).await;
                removed += rows.len();
                if rows.len() < STEP {
                    break;
                }
            }
            match KeyRange::prefix(keys::prefix(&["rec", &account])).to {
                Some(next) => from = next,
                None => return Ok(removed),
            }
        }
    }

    /// Removes for ever what is older than `days`; 0: nothing.
    pub async fn housekeeping(self, days: u32) {
        if days == 0 {
            return;
        }
        loop {
            let age = u64::from(days) * 86_400_000_000;
            let before = UnixMicros(clock::unix_now().0.saturating_sub(age));
            match self.remove_before(before).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "old recordings were removed"),
                Err(error) => tracing::warn!(%error, "old recordings could not be removed"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn remove_files(&self, files: Vec<PathBuf>) {
        let remove = move || {
            for file in files {
                if let Err(error) = std::fs::remove_file(&file)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    tracing::error!(%error, file = %file.display(), "a recording's file cannot be removed");
                }
            }
        };
        if task::blocking("recording-remove", remove).await.is_none() {
            tracing::debug!("files of recordings could not be removed");
        }
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shelf({})", self.0.root.display())
    }
}

fn key(recording: &Recording) -> Vec<u8> {
    let start = keys::time(recording.start);
    keys::join(&["rec", &recording.account, &start, &recording.id])
}

fn id_key(account: &str, id: &str) -> Vec<u8> {
    keys::join(&["rec-id", account, id])
}

fn open_key(recording: &Recording) -> Vec<u8> {
    keys::join(&["rec-open", &recording.account, &recording.id])
}

fn put(batch: &mut Batch, recording: &Recording) {
    if let Some(value) = encode(recording) {
        let key = key(recording);
        let id = id_key(&recording.account, &recording.id);
        batch.put(Table::Cdr, id, key.clone());
        batch.put(Table::Cdr, key, value);
    }
}

fn delete(batch: &mut Batch, recording: &Recording) {
    batch.delete(Table::Cdr, id_key(&recording.account, &recording.id));
    batch.delete(Table::Cdr, key(recording));
}

fn encode(recording: &Recording) -> Option<Vec<u8>> {
    match serde_json::to_vec(recording) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::error!(%error, id = recording.id, "a recording's document cannot be encoded");
            None
        }
    }
}

fn decode(value: &[u8]) -> Result<Recording, StoreError> {
    serde_json::from_slice(value).map_err(|e| StoreError::Corrupt {
        what: "recording",
        reason: e.to_string(),
    })
}

#[cfg(test)]
mod tests;
