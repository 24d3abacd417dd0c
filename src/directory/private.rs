//! Keys of a stored document that are the server's own: `pvt_…`. Clients neither see nor set them.

use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};

use super::kind::Kind;
use crate::base::time::UnixMicros;

/// Gregorian seconds of creation.
pub const CREATED: &str = "pvt_created";
/// Gregorian seconds of the last change.
pub const MODIFIED: &str = "pvt_modified";
/// `N-<32 hex>`, one higher with each change.
pub const REVISION: &str = "pvt_revision";
/// `true` once deleted.
pub const DELETED: &str = "pvt_deleted";
/// The kind's name.
pub const TYPE: &str = "pvt_type";
/// MD5 of `username:password`, lower-case hex.
pub const MD5_AUTH: &str = "pvt_md5_auth";
/// SHA-1 of `username:password`, lower-case hex.
pub const SHA1_AUTH: &str = "pvt_sha1_auth";
/// What requests to an account's web servers are signed with (`X-Twilio-Signature`).
pub const AUTH_TOKEN: &str = "pvt_auth_token";
/// Ids of the accounts above an account, the first account first.
pub const TREE: &str = "pvt_tree";
/// Marks the first account.
pub const SUPERDUPER: &str = "pvt_superduper_admin";
/// The key by which programs sign in to an account (`api_auth`).
pub const API_KEY: &str = "pvt_api_key";
/// State of a phone number (`in_service`, `reserved` …).
pub const NUMBER_STATE: &str = "pvt_state";

/// Marks a document that is in memory only: the page's own telephones.
pub const TEMPORARY: &str = "pvt_temporary";

/// Whether a document is in memory only, and nobody's to list, change or export.
pub fn is_temporary(doc: &Value) -> bool {
    doc.get(TEMPORARY).and_then(Value::as_bool).unwrap_or(false)
}

/// Whether a key is private or otherwise not the client's (`_…`, `pvt_…`).
pub fn is_private(key: &str) -> bool {
    key.starts_with("pvt_") || key.starts_with('_')
}

/// The document without private keys, `id` first.
pub fn public(id: &str, doc: &Value) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("id".into(), json!(id));
    let fields = doc.as_object().into_iter().flatten();
    shown.extend(
        fields
            .filter(|(key, _)| !is_private(key) && *key != "id")
            .map(|(k, v)| (k.clone(), v.clone())),
    );
    shown
}

/// The revision of a stored document.
pub fn revision(doc: &Value) -> &str {
    doc.get(REVISION).and_then(Value::as_str).unwrap_or("0-0")
}

/// Gregorian seconds of creation; 0 when unknown.
pub fn created(doc: &Value) -> u64 {
    doc.get(CREATED).and_then(Value::as_u64).unwrap_or(0)
}

/// Whether a stored document is marked deleted.
pub fn is_deleted(doc: &Value) -> bool {
    doc.get(DELETED).and_then(Value::as_bool).unwrap_or(false)
}

/// `doc` as it is stored: private keys of `old` that `doc` does not set are taken over, times and revision are new.
pub(super) fn stamped(
    doc: Value,
    old: Option<&Value>,
    kind: Kind,
    account: &str,
    at: UnixMicros,
) -> Value {
    let mut new = match doc {
        Value::Object(map) => map,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    for (key, value) in old.and_then(Value::as_object).into_iter().flatten() {
        if key.starts_with("pvt_") && !new.contains_key(key) {
            new.insert(key.clone(), value.clone());
        }
    }
    new.remove(DELETED);
    new.insert("pvt_account_id".into(), json!(account));
    new.insert(TYPE.into(), json!(kind.name()));
    new.entry(CREATED).or_insert_with(|| json!(at.gregorian()));
    finish(new, old, at)
}

/// `old` as it is stored once deleted.
pub(super) fn deleted(old: &Value, at: UnixMicros) -> Value {
    let mut new = old.as_object().cloned().unwrap_or_default();
    new.insert(DELETED.into(), json!(true));
    finish(new, Some(old), at)
}

fn finish(mut new: Map<String, Value>, old: Option<&Value>, at: UnixMicros) -> Value {
    new.insert(MODIFIED.into(), json!(at.gregorian()));
    let count: u64 = old
        .map_or("0", revision)
        .split('-')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    new.remove(REVISION);
    let hash = Md5::digest(Value::Object(new.clone()).to_string());
    new.insert(
        REVISION.into(),
        json!(format!("{}-{}", count.saturating_add(1), hex::encode(hash))),
    );
    Value::Object(new)
}
