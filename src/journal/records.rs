//! Call records in the store: open while the call is up, final when the leg ended, found by time, id or interaction.
//!
//! | key | value |
//! | --- | --- |
//! | `cdr`, account, end time, Call-ID | the record |
//! | `cdr-id`, account, `YYYYMM-<Call-ID>` | key of the record |
//! | `interaction`, account, interaction id, creation time, Call-ID | key of the record |
//! | `by`, … | see `index` |
//! | `open`, account, Call-ID | the record so far |
//! | `alive` | when the process last wrote, for the end of calls it took down with it |

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use super::causes::Code;
use super::cdr::{Cdr, OpenCall};
use super::fact::Fact;
use super::{Inner, index, mask};
use crate::base::cause::Cause;
use crate::base::time::UnixMicros;
use crate::host::clock;
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

const ALIVE: &[u8] = b"alive";
/// Records removed, or swept, in one batch.
const STEP: usize = 500;
/// The note in a record made after a crash.
const SWEPT: &str = "system restart";

/// A stretch of a time-ordered list, and how to walk it.
#[derive(Debug, Clone)]
pub struct TimeRange {
    /// Earliest time, included.
    pub from: UnixMicros,
    /// Latest time, included.
    pub to: UnixMicros,
    /// Oldest first instead of newest first.
    pub ascending: bool,
    /// Go on at this key (`next` of a row of the previous page), the row itself included.
    pub start: Option<Vec<u8>>,
    /// Most rows.
    pub limit: usize,
}

impl TimeRange {
    /// The newest `limit` rows of all time.
    pub fn newest(limit: usize) -> Self {
        Self {
            from: UnixMicros(0),
            to: UnixMicros(u64::MAX),
            ascending: false,
            start: None,
            limit,
        }
    }

    /// The keys of a table laid out as `<prefix>`, account, time, … and the direction to walk them in.
    pub fn keys(&self, prefix: &str, account: &str) -> (KeyRange, Direction) {
        let mut range = KeyRange {
            from: keys::join(&[prefix, account, &keys::time(self.from)]),
            to: KeyRange::prefix(keys::join(&[prefix, account, &keys::time(self.to)])).to,
        };
        match &self.start {
            Some(start) if self.ascending => range.from = range.from.max(start.clone()),
            Some(start) => {
                // The row itself is part of the page: the range ends just after it.
                let mut end = start.clone();
                end.push(0);
                range.to = Some(range.to.map_or(end.clone(), |to| to.min(end)));
            }
            None => {}
        }
        (
            range,
            if self.ascending {
                Direction::Forward
            } else {
                Direction::Backward
            },
        )
    }
}

/// A record with the key that continues a listing at it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// For [`TimeRange::start`].
    pub key: Vec<u8>,
    /// The record.
    pub cdr: Cdr,
}

/// When the process last noted that it is alive, so that it notes it at most once a second.
#[derive(Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    fn note(&self, batch: &mut Batch, now: UnixMicros) {
        let last = UnixMicros(self.0.load(Ordering::Relaxed));
        if now.since(last) >= Duration::from_secs(1) {
            self.0.store(now.0, Ordering::Relaxed);
            batch.put(Table::Cdr, ALIVE, keys::time(now));
        }
    }
}

/// Notes that the process is alive, without hurry.
pub(super) fn beat(inner: &Inner, now: UnixMicros) {
    let mut batch = Batch::droppable();
    inner.records.note(&mut batch, now);
    if !batch.is_empty() {
        inner.store.submit(batch, Box::new(|_| {}));
    }
}

pub(super) fn open(inner: &Inner, open: &OpenCall) -> oneshot::Receiver<()> {
    let (durable, told) = oneshot::channel();
    let Some(value) = encode(&open.0) else {
        return told;
    };
    let mut batch = Batch::new();
    batch.put(
        Table::Cdr,
        open_key(&open.0.account, &open.0.call_id),
        value,
    );
    inner.records.note(&mut batch, clock::unix_now());
    let done = move |result: Result<(), StoreError>| {
        report(&result);
        // A call that ended meanwhile no longer waits.
        if result.is_ok() && durable.send(()).is_err() {
            tracing::trace!("nobody waits for this open record");
        }
    };
    inner.store.submit(batch, Box::new(done));
    told
}

pub(super) fn close(inner: &Inner, mut cdr: Box<Cdr>, more: Batch) {
    let now = clock::unix_now();
    cdr.ended.get_or_insert(now);
    if cdr.node.is_empty() {
        cdr.node.clone_from(&inner.node);
    }
    let mut batch = Batch::new();
    if !put(&mut batch, &cdr) {
        return;
    }
    batch.delete(Table::Cdr, open_key(&cdr.account, &cdr.call_id));
    inner.records.note(&mut batch, now);
    batch.extend(more);
    let facts = inner.facts.clone();
    let (call_id, id, account) = (cdr.call_id.clone(), cdr.id(), cdr.account.clone());
    let done = move |result: Result<(), StoreError>| {
        report(&result);
        if result.is_ok() {
            metrics::counter!("swivel_cdrs_durable_total").increment(1);
            let fact = Fact::Recorded {
                call_id,
                at: clock::unix_now(),
                account,
                id,
            };
            drop(facts.send(std::sync::Arc::new(fact)));
        }
    };
    inner.store.submit(batch, Box::new(done));
}

/// Adds a final record with its indexes.
fn put(batch: &mut Batch, cdr: &Cdr) -> bool {
    let Some(value) = encode(cdr) else {
        return false;
    };
    let ended = cdr.ended.unwrap_or(cdr.created);
    let key = keys::join(&["cdr", &cdr.account, &keys::time(ended), &cdr.call_id]);
    batch.put(
        Table::Cdr,
        keys::join(&["cdr-id", &cdr.account, &cdr.id()]),
        key.clone(),
    );
    let leg = [
        "interaction",
        &cdr.account,
        &cdr.interaction(),
        &keys::time(cdr.created),
        &cdr.call_id,
    ];
    batch.put(Table::Cdr, keys::join(&leg), key.clone());
    index::put(batch, cdr, &key);
    batch.put(Table::Cdr, key, value);
    true
}

/// A call that was up when the process died has failed, and why.
fn cut_off(inner: &Inner, cdr: &Cdr) {
    let mut watch = inner.watch.lock().unwrap_or_else(PoisonError::into_inner);
    watch.note(&Fact::Trouble {
        call_id: cdr.call_id.clone(),
        at: clock::unix_now(),
        account: cdr.account.clone(),
        code: Code::Restarted,
        values: Vec::new(),
    });
}

pub(super) async fn sweep(
    inner: &Inner,
    more: impl Fn(&Cdr, &mut Batch) + Send + Sync,
) -> Result<usize, StoreError> {
    index::begin(inner).await?;
    let alive = inner.store.get(Table::Cdr, ALIVE).await?;
    let alive = alive
        .and_then(|text| String::from_utf8(text).ok()?.parse().ok())
        .map(UnixMicros);
    let mut swept = 0;
    loop {
        let range = KeyRange::prefix(keys::prefix(&["open"]));
        let rows = inner
            .store
            .scan(Table::Cdr, range, Direction::Forward, STEP)
            .await?;
        if rows.is_empty() {
            break;
        }
        let mut batch = Batch::new();
        for (key, value) in rows {
            match decode(&value) {
                Ok(cdr) => {
                    cut_off(inner, &cdr);
                    swept +=
                        usize::from(end_by_restart(inner, &mut batch, cdr, alive, &more).await?)
                }
                Err(error) => tracing::error!(%error, "the record of an open call cannot be read"),
            }
            batch.delete(Table::Cdr, key);
        }
        inner.store.write(batch).await?;
    }
    if swept > 0 {
        metrics::counter!("swivel_cdrs_durable_total").increment(swept as u64);
        tracing::warn!(
            swept,
            "calls were up when the server stopped; their records were written now"
        );
    }
    Ok(swept)
}

/// Gives a call that was up when the process died its final record. `false` when it has one already.
async fn end_by_restart(
    inner: &Inner,
    batch: &mut Batch,
    mut cdr: Cdr,
    alive: Option<UnixMicros>,
    more: &(impl Fn(&Cdr, &mut Batch) + Send + Sync),
) -> Result<bool, StoreError> {
    let id = keys::join(&["cdr-id", &cdr.account, &cdr.id()]);
    if inner.store.get(Table::Cdr, &id).await?.is_some() {
        return Ok(false);
    }
    let last_seen = cdr
        .answered
        .unwrap_or(cdr.created)
        .max(alive.unwrap_or_default());
    cdr.ended = Some(last_seen);
    cdr.hangup_cause = Cause::NORMAL_TEMPORARY_FAILURE.name.to_owned();
    cdr.disposition = "send_bye".to_owned();
    cdr.custom_channel_vars
        .insert("hangup_note".into(), json!(SWEPT));
    if cdr.node.is_empty() {
        cdr.node.clone_from(&inner.node);
    }
    let written = put(batch, &cdr);
    more(&cdr, batch);
    Ok(written)
}

pub(super) async fn list(
    store: &Store,
    account: &str,
    range: TimeRange,
) -> Result<Vec<Stored>, StoreError> {
    let (keys, direction) = range.keys("cdr", account);
    let rows = store.scan(Table::Cdr, keys, direction, range.limit).await?;
    rows.into_iter()
        .map(|(key, value)| {
            Ok(Stored {
                key,
                cdr: decode(&value)?,
            })
        })
        .collect()
}

pub(super) async fn one(store: &Store, account: &str, id: &str) -> Result<Option<Cdr>, StoreError> {
    let Some(key) = store
        .get(Table::Cdr, &keys::join(&["cdr-id", account, id]))
        .await?
    else {
        return Ok(None);
    };
    store
        .get(Table::Cdr, &key)
        .await?
        .map(|value| decode(&value))
        .transpose()
}

/// Call-ID of the leg an interaction began with.
pub(super) async fn first_leg(
    store: &Store,
    account: &str,
    interaction: &str,
) -> Result<Option<String>, StoreError> {
    let range = KeyRange::prefix(keys::prefix(&["interaction", account, interaction]));
    let rows = store.scan(Table::Cdr, range, Direction::Forward, 1).await?;
    let first = rows.first().map(|(key, _)| keys::parts(key));
    Ok(first.and_then(|parts| parts.into_iter().next_back()))
}

pub(super) async fn legs(
    store: &Store,
    account: &str,
    interaction: &str,
) -> Result<Vec<Cdr>, StoreError> {
    let range = KeyRange::prefix(keys::prefix(&["interaction", account, interaction]));
    let rows = store
        .scan(Table::Cdr, range, Direction::Forward, STEP)
        .await?;
    let keys = rows.into_iter().map(|(_, key)| key).collect();
    let values = store.get_many(Table::Cdr, keys).await?;
    values
        .into_iter()
        .flatten()
        .map(|value| decode(&value))
        .collect()
}

/// Removes records that ended before `time`, of every account.
pub(super) async fn remove_before(store: &Store, time: UnixMicros) -> Result<usize, StoreError> {
    let mut removed = 0;
    let mut from = keys::prefix(&["cdr"]);
    let end = KeyRange::prefix(from.clone()).to;
    // Accounts one after the other: the first record of each names it.
    loop {
        let rest = KeyRange {
            from: from.clone(),
            to: end.clone(),
        };
        let Some((first, _)) = store
            .scan(Table::Cdr, rest, Direction::Forward, 1)
            .await?
            .pop()
        else {
            break;
        };
        let Some(account) = keys::parts(&first).into_iter().nth(1) else {
            break;
        };
        let old = KeyRange::between(
            keys::prefix(&["cdr", &account]),
            keys::join(&["cdr", &account, &keys::time(time)]),
        );
        loop {
            let rows = store
                .scan(Table::Cdr, old.clone(), Direction::Forward, STEP)
                .await?;
            let mut batch = Batch::new();
            for (key, value) in &rows {
                if let Ok(cdr) = decode(value) {
                    batch.delete(Table::Cdr, keys::join(&["cdr-id", &account, &cdr.id()]));
                    let leg = [
                        "interaction",
                        &account,
                        &cdr.interaction(),
                        &keys::time(cdr.created),
                        &cdr.call_id,
                    ];
                    batch.delete(Table::Cdr, keys::join(&leg));
                    index::remove(&mut batch, &cdr, key);
                }
                batch.delete(Table::Cdr, key.clone());
            }
            store.write(batch).await?;
            removed += rows.len();
            if rows.len() < STEP {
                break;
            }
        }
        match KeyRange::prefix(keys::prefix(&["cdr", &account])).to {
            Some(next) => from = next,
            None => break,
        }
    }
    Ok(removed)
}

fn open_key(account: &str, call_id: &str) -> Vec<u8> {
    keys::join(&["open", account, call_id])
}

fn encode(cdr: &Cdr) -> Option<Vec<u8>> {
    let mut shown = std::borrow::Cow::Borrowed(cdr);
    for sdp in ["local", "remote"] {
        let text = if sdp == "local" {
            &cdr.local_sdp
        } else {
            &cdr.remote_sdp
        };
        if text.contains("a=crypto:") || text.contains("a=ice-pwd:") {
            let masked = String::from_utf8_lossy(&mask::sdp(text.as_bytes())).into_owned();
            let shown = shown.to_mut();
            *(if sdp == "local" {
                &mut shown.local_sdp
            } else {
                &mut shown.remote_sdp
            }) = masked;
        }
    }
    match serde_json::to_vec(&*shown) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::error!(%error, call_id = cdr.call_id, "a call record cannot be encoded");
            None
        }
    }
}

pub(super) fn decode(value: &[u8]) -> Result<Cdr, StoreError> {
    serde_json::from_slice(value).map_err(|e| StoreError::Corrupt {
        what: "call record",
        reason: e.to_string(),
    })
}

fn report(result: &Result<(), StoreError>) {
    if let Err(error) = result {
        metrics::counter!("swivel_cdrs_lost_total").increment(1);
        tracing::error!(%error, "a call record could not be stored");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::*;

    fn leg(call_id: &str, created: u64, ended: u64) -> Cdr {
        Cdr {
            account: "acc".into(),
            call_id: call_id.into(),
            direction: "inbound".into(),
            created: UnixMicros::from_secs(created),
            answered: Some(UnixMicros::from_secs(created + 1)),
            ended: Some(UnixMicros::from_secs(ended)),
            hangup_cause: "NORMAL_CLEARING".into(),
            hangup_code: 200,
            ..Cdr::default()
        }
    }

    async fn ids(journal: &Journal, range: TimeRange) -> Vec<String> {
        journal
            .cdrs("acc", range)
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.cdr.call_id)
            .collect()
    }

    #[tokio::test]
    async fn a_closed_leg_is_listed_found_by_id_and_no_longer_open() {
        let store = Store::memory();
        let journal = Journal::new(store.clone());
        let cdr = leg("a@b", 1_710_278_674, 1_710_278_684);
        journal.open_call(OpenCall(Cdr {
            ended: None,
            ..cdr.clone()
        }));
        journal.close_leg(Box::new(cdr.clone()));
        assert_eq!(ids(&journal, TimeRange::newest(9)).await, ["a@b"]);
        let found = journal.cdr("acc", "202403-a@b").await.unwrap().unwrap();
        assert_eq!(
            found,
            Cdr {
                node: "swivel".into(),
                ..cdr
            }
        );
        assert!(journal.cdr("other", "202403-a@b").await.unwrap().is_none());
        assert_eq!(journal.sweep().await.unwrap(), 0);
        let doc = found.to_doc();
        assert_eq!(doc["duration_seconds"], 10);
        assert_eq!(doc["billing_seconds"], 9);
        assert_eq!(doc["hangup_code"], "sip:200");
        assert_eq!(doc["timestamp"], 63_877_497_884_u64);
    }

    #[tokio::test]
    async fn a_call_that_was_up_when_the_process_died_gets_one_record() {
        let store = Store::memory();
        let before = Journal::new(store.clone());
        before.open_call(OpenCall(Cdr {
            ended: None,
            ..leg("up", 1_000, 0)
        }));
        before.open_call(OpenCall(Cdr {
            ended: None,
            ..leg("closed", 1_000, 0)
        }));
        // The final record was durable, the removal of the open one was lost to a replayed spill file.
        let mut batch = Batch::new();
        put(&mut batch, &leg("closed", 1_000, 1_010));
        batch.put(
            Table::Cdr,
            open_key("acc", "closed"),
            encode(&leg("closed", 1_000, 0)).unwrap(),
        );
        store.write(batch).await.unwrap();
        let after = Journal::new(store);
        assert_eq!(after.sweep().await.unwrap(), 1);
        assert_eq!(after.sweep().await.unwrap(), 0);
        let record = after.cdr("acc", "197001-up").await.unwrap().unwrap();
        assert_eq!(record.hangup_cause, "NORMAL_TEMPORARY_FAILURE");
        assert_eq!(record.custom_channel_vars["hangup_note"], "system restart");
        assert!(record.ended.unwrap() >= record.answered.unwrap());
        assert_eq!(ids(&after, TimeRange::newest(9)).await.len(), 2);
    }

    #[tokio::test]
    async fn records_are_paged_by_their_end_either_way() {
        let journal = Journal::new(Store::memory());
        for n in 1..=5 {
            journal.close_leg(Box::new(leg(&format!("c{n}"), 100 * n, 100 * n + 50)));
        }
        let range = |ascending, start, limit| TimeRange {
            from: UnixMicros::from_secs(250),
            to: UnixMicros::from_secs(550),
            ascending,
            start,
            limit,
        };
        assert_eq!(
            ids(&journal, range(false, None, 9)).await,
            ["c5", "c4", "c3", "c2"]
        );
        assert_eq!(ids(&journal, range(true, None, 2)).await, ["c2", "c3"]);
        for ascending in [true, false] {
            let page = journal
                .cdrs("acc", range(ascending, None, 3))
                .await
                .unwrap();
            let rest = ids(&journal, range(ascending, Some(page[2].key.clone()), 9)).await;
            assert_eq!(rest.len(), 2, "the page goes on at the row itself");
            assert_eq!(rest[0], page[2].cdr.call_id);
        }
    }

    #[tokio::test]
    async fn the_legs_of_an_interaction_come_in_order() {
        let journal = Journal::new(Store::memory());
        let of = |call_id: &str, created| Cdr {
            interaction_id: "63-ab".into(),
            ..leg(call_id, created, 900)
        };
        journal.close_leg(Box::new(of("second", 20)));
        journal.close_leg(Box::new(of("first", 10)));
        journal.close_leg(Box::new(leg("stranger", 10, 900)));
        let legs = journal.legs("acc", "63-ab").await.unwrap();
        assert_eq!(
            legs.iter().map(|l| l.call_id.as_str()).collect::<Vec<_>>(),
            ["first", "second"]
        );
    }

    #[tokio::test]
    async fn old_records_go_with_their_indexes() {
        let store = Store::memory();
        let journal = Journal::new(store.clone());
        for account in ["acc", "bcc"] {
            for (call_id, end) in [("old", 1_000), ("new", 9_000)] {
                journal.close_leg(Box::new(Cdr {
                    account: account.into(),
                    ..leg(call_id, end - 10, end)
                }));
            }
        }
        assert_eq!(
            remove_before(&store, UnixMicros::from_secs(5_000))
                .await
                .unwrap(),
            2
        );
        assert_eq!(ids(&journal, TimeRange::newest(9)).await, ["new"]);
        let left = store
            .scan(Table::Cdr, KeyRange::all(), Direction::Forward, 99)
            .await
            .unwrap();
        assert_eq!(
            left.len(),
            7,
            "two records with two index rows each, and the sign of life"
        );
    }

    #[tokio::test]
    async fn a_record_is_announced_once_it_is_durable() {
        let journal = Journal::new(Store::memory());
        let mut facts = journal.subscribe();
        journal.close_leg(Box::new(leg("c", 10, 20)));
        let fact = facts.recv().await.unwrap();
        assert!(matches!(&*fact, Fact::Recorded { id, .. } if id == "197001-c"));
    }

    #[tokio::test]
    async fn media_keys_do_not_reach_the_store() {
        let store = Store::memory();
        let journal = Journal::new(store.clone());
        journal.close_leg(Box::new(Cdr {
            remote_sdp: "v=0\r\na=crypto:1 X inline:canary\r\n".into(),
            ..leg("c", 1, 2)
        }));
        let rows = store
            .scan(Table::Cdr, KeyRange::all(), Direction::Forward, 99)
            .await
            .unwrap();
        assert!(
            rows.iter()
                .all(|(_, value)| !String::from_utf8_lossy(value).contains("canary"))
        );
    }
}
