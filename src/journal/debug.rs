//! What Pivot exchanges said, for the debug log (`pivot.md` §4): documents by call, and one row a call for the list.
//!
//! | key | value |
//! | --- | --- |
//! | `pivot`, account, Call-ID, time, number | a document |
//! | `pivot-list`, account, time, Call-ID | empty; one for each document with iteration 1 |

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};

use super::records::TimeRange;
use super::{Inner, mask, retention};
use crate::base::time::UnixMicros;
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

/// Documents of one call.
const DOCUMENTS: usize = 1000;
/// Index rows read at once.
const STEP: usize = 100;
/// A stored body is cut here.
const BODY: usize = 256 << 10;

/// One document of the Pivot debug log.
#[derive(Debug, Clone, PartialEq)]
pub struct PivotDebug {
    /// Account id.
    pub account: String,
    /// SIP Call-ID.
    pub call_id: String,
    /// 1 for the first request of a `pivot` node, one more for each follow-up.
    pub iteration: u32,
    /// When.
    pub at: UnixMicros,
    /// What happened.
    pub kind: PivotDebugKind,
}

/// What one document of the Pivot debug log holds.
#[derive(Debug, Clone, PartialEq)]
pub enum PivotDebugKind {
    /// What was asked.
    Request {
        /// Full URL, with the query of a GET.
        uri: String,
        /// `get` or `post`.
        method: String,
        /// Headers as sent; stored in lower case, secrets masked.
        headers: Vec<(String, String)>,
        /// Body as sent.
        body: String,
    },
    /// What was answered.
    Response {
        /// HTTP status.
        status: u16,
        /// Headers as received; stored in lower case, secrets masked.
        headers: Vec<(String, String)>,
        /// Body as received.
        body: String,
    },
    /// The flow broke rules.
    SchemaErrors {
        /// A list of `{path: {rule: {message, …}}}`.
        errors: Value,
        /// The body.
        body: String,
    },
    /// The body is not JSON.
    JsonErrors {
        /// Text before the place.
        before: String,
        /// Text after it.
        after: String,
        /// What is wrong.
        message: String,
        /// The body.
        body: String,
    },
    /// A remark: a failed request, a body that is recognised but not supported, a limit reached.
    Note {
        /// The remark.
        text: String,
    },
}

/// One row of the list of calls, merged of the call's first request and response.
#[derive(Debug, Clone)]
pub struct DebugRow {
    /// For [`TimeRange::start`].
    pub key: Vec<u8>,
    /// The row as the API shows it.
    pub row: Map<String, Value>,
}

/// Keeps documents of the same microsecond apart.
#[derive(Default)]
pub(super) struct Sequence(AtomicU32);

pub(super) fn write(inner: &Inner, debug: &PivotDebug) {
    let number = inner.debug.0.fetch_add(1, Ordering::Relaxed);
    let time = keys::time(debug.at);
    let key = keys::join(&[
        "pivot",
        &debug.account,
        &debug.call_id,
        &time,
        &format!("{number:010}"),
    ]);
    let mut doc = document(debug);
    if inner.retention.mask_digits {
        for (key, masked) in [
            ("uri", mask::digits_of_url as fn(&str) -> String),
            ("req_body", mask::digits),
        ] {
            if let Some(Value::String(text)) = doc.get_mut(key) {
                *text = masked(text);
            }
        }
    }
    doc.insert("node".into(), json!(inner.node));
    let id = hex::encode(Md5::digest(&key));
    doc.insert("id".into(), json!(format!("{}-{id}", debug.at.month())));
    let mut batch = Batch::droppable();
    retention::put(
        &mut batch,
        retention::Log::Debug,
        debug.at,
        key,
        Value::Object(doc).to_string().into_bytes(),
    );
    if debug.iteration == 1 {
        let entry = keys::join(&["pivot-list", &debug.account, &time, &debug.call_id]);
        retention::put(
            &mut batch,
            retention::Log::Debug,
            debug.at,
            entry,
            Vec::new(),
        );
    }
    inner.store.submit(
        batch,
        Box::new(|result| {
            if result.is_err() {
                metrics::counter!("swivel_pivot_debug_dropped_total").increment(1);
            }
        }),
    );
}

fn document(debug: &PivotDebug) -> Map<String, Value> {
    let mut doc = Map::new();
    doc.insert("call_id".into(), json!(debug.call_id));
    doc.insert(
        "debug_id".into(),
        json!(format!("{}-{}", debug.at.month(), debug.call_id)),
    );
    doc.insert("iteration".into(), json!(debug.iteration));
    doc.insert("created".into(), json!(debug.at.gregorian()));
    let mut set = |key: &str, value: Value| drop(doc.insert(key.to_owned(), value));
    match &debug.kind {
        PivotDebugKind::Request {
            uri,
            method,
            headers,
            body,
        } => {
            set("uri", json!(mask::url(uri)));
            set("method", json!(method.to_lowercase()));
            set("req_headers", headers_of(headers));
            set("req_body", json!(cut(body)));
        }
        PivotDebugKind::Response {
            status,
            headers,
            body,
        } => {
            // KAZOO's word for a document that no server has answered.
            let status = match status {
                0 => "PivotFlowDoc".to_owned(),
                status => status.to_string(),
            };
            set("resp_status_code", json!(status));
            set("resp_headers", headers_of(headers));
            set("resp_body", json!(cut(body)));
        }
        PivotDebugKind::SchemaErrors { errors, body } => {
            set("schema_errors", errors.clone());
            set("resp_body", json!(cut(body)));
        }
        PivotDebugKind::JsonErrors {
            before,
            after,
            message,
            body,
        } => {
            set(
                "json_errors",
                json!({"message": message, "before": cut(before), "after": cut(after)}),
            );
            set("resp_body", json!(cut(body)));
        }
        PivotDebugKind::Note { text } => set("note", json!(cut(text))),
    }
    doc
}

/// Names and values in lower case, as KAZOO stores them; secrets masked.
fn headers_of(headers: &[(String, String)]) -> Value {
    let mut all = Map::new();
    for (name, value) in headers {
        let value = mask::http_header(name, value).to_lowercase();
        match all.entry(name.to_lowercase()) {
            serde_json::map::Entry::Vacant(entry) => drop(entry.insert(json!(value))),
            serde_json::map::Entry::Occupied(mut entry) => {
                let before = entry.get().as_str().unwrap_or_default().to_owned();
                entry.insert(json!(format!("{before}, {value}")));
            }
        }
    }
    Value::Object(all)
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(BODY)).unwrap_or(text)
}

pub(super) async fn documents(
    store: &Store,
    account: &str,
    call_id: &str,
    month: Option<&str>,
) -> Result<Vec<Value>, StoreError> {
    let range = KeyRange::prefix(keys::prefix(&["pivot", account, call_id]));
    let rows = store
        .scan(Table::Log, range, Direction::Forward, DOCUMENTS)
        .await?;
    let mut documents = Vec::with_capacity(rows.len());
    for (_, value) in rows {
        let doc: Value = serde_json::from_slice(&value).map_err(|e| StoreError::Corrupt {
            what: "debug document",
            reason: e.to_string(),
        })?;
        let of = doc
            .get("debug_id")
            .and_then(Value::as_str)
            .and_then(|id| id.split('-').next());
        if month.is_none() || month == of {
            documents.push(doc);
        }
    }
    Ok(documents)
}

pub(super) async fn calls(
    inner: &Inner,
    account: &str,
    range: TimeRange,
) -> Result<Vec<DebugRow>, StoreError> {
    let (mut keys_left, direction) = range.keys("pivot-list", account);
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    while rows.len() < range.limit {
        let found = inner
            .store
            .scan(Table::Log, keys_left.clone(), direction, STEP)
            .await?;
        let Some((last, _)) = found.last() else { break };
        let last = last.clone();
        let whole = found.len() < STEP;
        for (key, _) in found {
            let parts = keys::parts(&key);
            let [_, _, time, call_id] = parts.as_slice() else {
                continue;
            };
            // A call has an entry for each first request and response; the oldest stands for it.
            if rows.len() < range.limit && !seen.contains(call_id) {
                let documents = documents(&inner.store, account, call_id, None).await?;
                let first = documents
                    .iter()
                    .find(|doc| doc.get("iteration") == Some(&json!(1)));
                if first_time(&inner.store, account, call_id).await?.as_ref() == Some(time) {
                    seen.insert(call_id.clone());
                    rows.push(DebugRow {
                        key,
                        row: merged(first, &documents),
                    });
                }
            }
        }
        if whole {
            break;
        }
        match direction {
            Direction::Forward => {
                keys_left.from = last;
                keys_left.from.push(0);
            }
            Direction::Backward => keys_left.to = Some(last),
        }
    }
    Ok(rows)
}

/// The time part of the oldest document of a call with iteration 1, as in its key.
async fn first_time(
    store: &Store,
    account: &str,
    call_id: &str,
) -> Result<Option<String>, StoreError> {
    let range = KeyRange::prefix(keys::prefix(&["pivot", account, call_id]));
    for (key, value) in store
        .scan(Table::Log, range, Direction::Forward, DOCUMENTS)
        .await?
    {
        let doc: Value = serde_json::from_slice(&value).unwrap_or_default();
        if doc.get("iteration") == Some(&json!(1)) {
            return Ok(keys::parts(&key).into_iter().nth(3));
        }
    }
    Ok(None)
}

fn merged(first: Option<&Value>, documents: &[Value]) -> Map<String, Value> {
    let mut row = Map::new();
    let mut take = |key: &str, from: Option<&Value>, name: &str| {
        if let Some(value) = from.and_then(|doc| doc.get(name)) {
            row.insert(key.to_owned(), value.clone());
        }
    };
    let firsts = || {
        documents
            .iter()
            .filter(|doc| doc.get("iteration") == Some(&json!(1)))
    };
    take("call_id", first, "call_id");
    take("debug_id", first, "debug_id");
    take("created", first, "created");
    take("iteration", first, "iteration");
    take("node", first, "node");
    take("uri", firsts().find(|doc| doc.get("uri").is_some()), "uri");
    take(
        "status_code",
        firsts().find(|doc| doc.get("resp_status_code").is_some()),
        "resp_status_code",
    );
    let has = |key: &str| json!(firsts().any(|doc| doc.get(key).is_some()));
    row.insert("has_schema_errors".into(), has("schema_errors"));
    row.insert("has_json_errors".into(), has("json_errors"));
    row
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::*;

    fn request(call_id: &str, second: u64, iteration: u32) -> PivotDebug {
        let headers = vec![
            ("Authorization".into(), "Basic Canary".into()),
            ("Accept".into(), "Text/XML".into()),
        ];
        let kind = PivotDebugKind::Request {
            uri: "http://u:canary@app.test/ivr?To=1".into(),
            method: "GET".into(),
            headers,
            body: String::new(),
        };
        PivotDebug {
            account: "acc".into(),
            call_id: call_id.into(),
            iteration,
            at: UnixMicros::from_secs(second),
            kind,
        }
    }

    fn response(call_id: &str, second: u64, status: u16) -> PivotDebug {
        let kind = PivotDebugKind::Response {
            status,
            headers: vec![("Server".into(), "Demo/1".into())],
            body: "{}".into(),
        };
        PivotDebug {
            kind,
            ..request(call_id, second, 1)
        }
    }

    #[tokio::test]
    async fn request_and_response_make_one_row_newest_call_first() {
        let journal = Journal::new(Store::memory());
        journal.pivot_debug(request("a@x", 100, 1));
        journal.pivot_debug(response("a@x", 101, 200));
        journal.pivot_debug(request("a@x", 102, 2));
        journal.pivot_debug(request("b@x", 110, 1));
        journal.pivot_debug(request("a@x", 120, 1));
        let rows = journal
            .debug_calls("acc", TimeRange::newest(9))
            .await
            .unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].row["call_id"], "b@x");
        assert!(!rows[0].row.contains_key("status_code"));
        assert_eq!(
            Value::Object(rows[1].row.clone()),
            json!({"call_id": "a@x", "debug_id": "197001-a@x", "created": 62_167_219_300_u64, "iteration": 1,
                   "node": "swivel", "uri": "http://u:***@app.test/ivr?To=1", "status_code": "200",
                   "has_schema_errors": false, "has_json_errors": false})
        );
        let all = TimeRange {
            ascending: true,
            limit: 1,
            ..TimeRange::newest(1)
        };
        assert_eq!(
            journal.debug_calls("acc", all).await.unwrap()[0].row["call_id"],
            "a@x"
        );
        assert!(
            journal
                .debug_calls("other", TimeRange::newest(9))
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn documents_are_in_lower_case_without_secrets_and_in_order() {
        let journal = Journal::new(Store::memory());
        journal.pivot_debug(request("a@x", 100, 1));
        journal.pivot_debug(response("a@x", 100, 404));
        let found = journal.debug_documents("acc", "a@x", None).await.unwrap();
        assert_eq!(
            found[0]["req_headers"],
            json!({"authorization": "***", "accept": "text/xml"})
        );
        assert_eq!(found[1]["resp_status_code"], "404");
        assert_eq!(found[1]["resp_headers"], json!({"server": "demo/1"}));
        assert!(
            !found
                .iter()
                .any(|doc| doc.to_string().to_lowercase().contains("canary"))
        );
        assert_eq!(
            journal
                .debug_documents("acc", "a@x", Some("197001"))
                .await
                .unwrap()
                .len(),
            2
        );
        assert!(
            journal
                .debug_documents("acc", "a@x", Some("197002"))
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn errors_show_in_the_row() {
        let journal = Journal::new(Store::memory());
        let errors = json!([{"flow.module": {"required": {"message": "missing"}}}]);
        let schema = PivotDebugKind::SchemaErrors {
            errors,
            body: "{}".into(),
        };
        journal.pivot_debug(PivotDebug {
            kind: schema,
            ..request("a", 1, 1)
        });
        let broken = PivotDebugKind::JsonErrors {
            before: "{".into(),
            after: String::new(),
            message: "x".into(),
            body: "{".into(),
        };
        journal.pivot_debug(PivotDebug {
            kind: broken,
            ..request("b", 2, 1)
        });
        let rows = journal
            .debug_calls("acc", TimeRange::newest(9))
            .await
            .unwrap();
        assert_eq!(rows[0].row["has_json_errors"], true);
        assert_eq!(rows[1].row["has_schema_errors"], true);
        assert_eq!(rows[1].row["has_json_errors"], false);
    }

    #[tokio::test]
    async fn debug_documents_expire() {
        let store = Store::memory();
        let journal = Journal::new(store.clone());
        journal.pivot_debug(request("a", 100, 1));
        journal
            .tidy(UnixMicros::from_secs(100 + 31 * 86_400))
            .await
            .unwrap();
        let left = store
            .scan(Table::Log, KeyRange::all(), Direction::Forward, 9)
            .await
            .unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}
