//! How long each kind of log is kept. Every row that may expire has an entry in an index sorted by time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::UnixMicros;
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

/// How often the server tidies up.
pub(super) const EVERY: Duration = Duration::from_secs(30);
/// Rows removed in one batch.
const STEP: usize = 1000;
/// Between a row's length and the key of the row beside it, in the index.
const BESIDE: u8 = b' ';

/// `[retention]`: what is kept of calls, and how long. 0 days: for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days call records are kept.
    pub cdr_days: u32,
    /// Days recordings are kept.
    pub recording_days: u32,
    /// Days Pivot debug documents are kept.
    pub debug_days: u32,
    /// Whether traces are kept at all: what happens in each call, for the lens.
    pub traces: bool,
    /// Days traces are kept.
    pub trace_days: u32,
    /// Bytes all traces together may take; the oldest go first. 0: no limit.
    pub trace_bytes: u64,
    /// Whether keys that callers pressed are left out of the requests to web servers that traces and debug documents keep.
    pub mask_digits: bool,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            cdr_days: 0,
            recording_days: 0,
            debug_days: 30,
            traces: true,
            trace_days: 30,
            trace_bytes: 2 << 30,
            mask_digits: false,
        }
    }
}

/// A kind of log with its own retention.
#[derive(Debug, Clone, Copy)]
pub(super) enum Log {
    Debug,
    Trace,
}

impl Log {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Adds a row of the log, and its entry in the index.
pub(super) fn put(batch: &mut Batch, log: Log, at: UnixMicros, key: Vec<u8>, value: Vec<u8>) {
    put_with(batch, log, at, key, value, None);
}

/// Like [`put`]; `beside` is a row without a value that goes when this one does.
pub(super) fn put_with(
    batch: &mut Batch,
    log: Log,
    at: UnixMicros,
    key: Vec<u8>,
    value: Vec<u8>,
    beside: Option<Vec<u8>>,
) {
    let mut entry = keys::prefix(&["expiry", log.name(), &keys::time(at)]);
    entry.extend_from_slice(&key);
    let mut note = value.len().to_string().into_bytes();
    if let Some(beside) = beside {
        note.push(BESIDE);
        note.extend_from_slice(&beside);
        batch.put(Table::Log, beside, Vec::new());
    }
    batch.put(Table::Log, entry, note);
    batch.put(Table::Log, key, value);
}

/// What the index notes of a row: its length, and the key of the row beside it.
fn noted(note: &[u8]) -> (u64, Option<&[u8]>) {
    let mut parts = note.splitn(2, |b| *b == BESIDE);
    let length = parts.next().and_then(|text| std::str::from_utf8(text).ok());
    let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    (length, parts.next())
}

/// Adds a row that is kept as long as debug documents are, whoever reads it.
pub fn keep_as_debug(batch: &mut Batch, at: UnixMicros, key: Vec<u8>, value: Vec<u8>) {
    put(batch, Log::Debug, at, key, value);
}

/// Removes what is too old, or too much. Returns how many rows went.
pub(super) async fn prune(
    store: &Store,
    config: &RetentionConfig,
    now: UnixMicros,
) -> Result<usize, StoreError> {
    let mut removed = 0;
    for (log, days) in [
        (Log::Debug, config.debug_days),
        (Log::Trace, config.trace_days),
    ] {
        if days > 0 {
            removed += remove_before(store, log, cutoff(now, days)).await?;
        }
    }
    if config.trace_bytes > 0
        && store.size(Table::Log) > config.trace_bytes
        && let Some(from) = oldest_within(store, Log::Trace, config.trace_bytes).await?
    {
        removed += remove_before(store, Log::Trace, from).await?;
    }
    if config.cdr_days > 0 {
        removed += super::records::remove_before(store, cutoff(now, config.cdr_days)).await?;
    }
    Ok(removed)
}

fn cutoff(now: UnixMicros, days: u32) -> UnixMicros {
    UnixMicros(now.0.saturating_sub(u64::from(days) * 86_400_000_000))
}

async fn remove_before(store: &Store, log: Log, time: UnixMicros) -> Result<usize, StoreError> {
    let from = keys::prefix(&["expiry", log.name()]);
    let to = keys::join(&["expiry", log.name(), &keys::time(time)]);
    let mut removed = 0;
    loop {
        let range = KeyRange::between(from.clone(), to.clone());
        let rows = store
            .scan(Table::Log, range, Direction::Forward, STEP)
            .await?;
        let mut batch = Batch::new();
        for (entry, note) in &rows {
            if let Some(key) = key_of(entry, log) {
                batch.delete(Table::Log, key);
            }
            if let (_, Some(beside)) = noted(note) {
                batch.delete(Table::Log, beside);
            }
            batch.delete(Table::Log, entry.clone());
        }
        store.write(batch).await?;
        removed += rows.len();
        if rows.len() < STEP {
            return Ok(removed);
        }
    }
}

/// The time from which on the rows of a log fit into `limit` bytes; `None` when all do.
async fn oldest_within(
    store: &Store,
    log: Log,
    limit: u64,
) -> Result<Option<UnixMicros>, StoreError> {
    let from = keys::prefix(&["expiry", log.name()]);
    let mut to = KeyRange::prefix(from.clone()).to;
    let mut total = 0_u64;
    loop {
        let range = KeyRange {
            from: from.clone(),
            to: to.clone(),
        };
        let rows = store
            .scan(Table::Log, range, Direction::Backward, STEP)
            .await?;
        for (entry, note) in &rows {
            total = total.saturating_add(noted(note).0);
            if total > limit {
                let parts = keys::parts(entry);
                let time = parts.get(2).and_then(|t| t.parse().ok()).unwrap_or(0);
                return Ok(Some(UnixMicros(time + 1)));
            }
        }
        match rows.into_iter().next_back() {
            Some((entry, _)) => to = Some(entry),
            None => return Ok(None),
        }
    }
}

fn key_of(entry: &[u8], log: Log) -> Option<Vec<u8>> {
    let length = keys::prefix(&["expiry", log.name(), &keys::time(UnixMicros(0))]).len();
    entry.get(length..).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    async fn rows(store: &Store) -> Vec<String> {
        let all = store
            .scan(Table::Log, KeyRange::prefix("row"), Direction::Forward, 99)
            .await
            .unwrap();
        all.into_iter()
            .map(|(key, _)| String::from_utf8(key).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn rows_go_when_their_days_are_over() {
        let store = Store::memory();
        let mut batch = Batch::new();
        for day in [1, 20, 50] {
            let at = UnixMicros::from_secs(day * DAY);
            put(
                &mut batch,
                Log::Debug,
                at,
                format!("row debug {day}").into(),
                vec![0; 9],
            );
            put(
                &mut batch,
                Log::Trace,
                at,
                format!("row trace {day}").into(),
                vec![0; 9],
            );
        }
        store.write(batch).await.unwrap();
        let config = RetentionConfig::default();
        let removed = prune(&store, &config, UnixMicros::from_secs(51 * DAY))
            .await
            .unwrap();
        assert_eq!(removed, 4);
        assert_eq!(rows(&store).await, ["row debug 50", "row trace 50"]);
        let left = store
            .scan(
                Table::Log,
                KeyRange::prefix("expiry"),
                Direction::Forward,
                99,
            )
            .await
            .unwrap();
        assert_eq!(left.len(), 2, "the index went with them");
    }

    #[tokio::test]
    async fn a_row_takes_the_row_beside_it_along() {
        let store = Store::memory();
        let mut batch = Batch::new();
        let at = UnixMicros::from_secs(DAY);
        let (key, beside) = (b"row 1".to_vec(), b"row 2, beside it".to_vec());
        put_with(&mut batch, Log::Trace, at, key, vec![0; 9], Some(beside));
        store.write(batch).await.unwrap();
        assert_eq!(rows(&store).await, ["row 1", "row 2, beside it"]);
        let config = RetentionConfig::default();
        prune(&store, &config, UnixMicros::from_secs(51 * DAY))
            .await
            .unwrap();
        assert!(rows(&store).await.is_empty());
        assert_eq!(noted(b"120"), (120, None), "as earlier versions noted it");
    }

    #[tokio::test]
    async fn the_oldest_traces_go_when_there_are_too_many_bytes() {
        let store = Store::memory();
        let mut batch = Batch::new();
        for second in 1..=10 {
            let at = UnixMicros::from_secs(second);
            put(
                &mut batch,
                Log::Trace,
                at,
                format!("row {second:02}").into(),
                vec![0; 1000],
            );
        }
        store.write(batch).await.unwrap();
        let config = RetentionConfig {
            trace_bytes: 3500,
            trace_days: 0,
            ..RetentionConfig::default()
        };
        prune(&store, &config, UnixMicros::from_secs(11))
            .await
            .unwrap();
        assert_eq!(rows(&store).await, ["row 08", "row 09", "row 10"]);
    }
}
