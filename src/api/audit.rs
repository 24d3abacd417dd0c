//! The audit log: who wrote what and when, in the same batch as the write itself (decision 26).

use serde_json::{Map, Value, json};

use super::documents::Who;
use super::verb::Verb;
use crate::directory::private;
use crate::host::clock;
use crate::journal::TimeRange;
use crate::store::{Batch, Store, StoreError, Table, keys};

/// One write.
pub(super) struct Entry<'a> {
    pub(super) who: &'a Who,
    pub(super) account: &'a str,
    pub(super) verb: Verb,
    /// Kind of document.
    pub(super) kind: &'static str,
    pub(super) id: &'a str,
    pub(super) old: Option<&'a Value>,
    pub(super) new: Option<&'a Value>,
}

/// Adds an entry to the batch of the write.
pub(super) fn record(batch: &mut Batch, entry: &Entry<'_>) {
    let at = clock::unix_now();
    let mut doc = Map::new();
    doc.insert(
        "id".into(),
        json!(format!("{}-{}-{}", at.month(), at.0, entry.id)),
    );
    doc.insert("created".into(), json!(at.gregorian()));
    doc.insert("verb".into(), json!(entry.verb.name().to_lowercase()));
    doc.insert("resource".into(), json!(entry.kind));
    doc.insert("resource_id".into(), json!(entry.id));
    // Names only: the values may be secrets.
    doc.insert("changed".into(), json!(changed(entry.old, entry.new)));
    doc.insert("authenticated_account_id".into(), json!(entry.who.account));
    if let Some(owner) = &entry.who.owner {
        doc.insert("authenticated_user_id".into(), json!(owner));
    }
    doc.insert("method".into(), json!(entry.who.how));
    doc.insert("client_ip".into(), json!(entry.who.client));
    let key = keys::join(&[
        "audit",
        entry.account,
        &keys::time(at),
        entry.kind,
        entry.id,
    ]);
    batch.put(Table::Log, key, Value::Object(doc).to_string());
}

/// Names of the public fields, and the kinds of private ones, that differ.
fn changed(old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let empty = Map::new();
    let fields =
        |doc: Option<&'_ Value>| doc.and_then(Value::as_object).cloned().unwrap_or_default();
    let (old, new) = (fields(old), if new.is_some() { fields(new) } else { empty });
    let mut names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| {
        let secret = name == private::MD5_AUTH;
        (!private::is_private(name) && old.get(name) != new.get(name))
            || (secret && new.contains_key(name) && old.get(name) != new.get(name))
    });
    for name in &mut names {
        if name == private::MD5_AUTH {
            *name = "password".to_owned();
        }
    }
    names
}

/// Entries of an account in a time range, with the key that continues at each.
pub(super) async fn entries(
    store: &Store,
    account: &str,
    range: &TimeRange,
) -> Result<Vec<(Vec<u8>, Value)>, StoreError> {
    let (keys, direction) = range.keys("audit", account);
    let rows = store.scan(Table::Log, keys, direction, range.limit).await?;
    Ok(rows
        .into_iter()
        .map(|(key, value)| (key, serde_json::from_slice(&value).unwrap_or_default()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_and_secrets_are_not_shown() {
        let old = json!({"a": 1, "b": 2, "pvt_md5_auth": "old", "pvt_revision": "1"});
        let new = json!({"a": 1, "b": 3, "c": 4, "pvt_md5_auth": "new"});
        assert_eq!(changed(Some(&old), Some(&new)), ["b", "c", "password"]);
        assert_eq!(changed(None, Some(&json!({"a": 1}))), ["a"]);
        assert_eq!(changed(Some(&json!({"a": 1})), None), ["a"]);
    }
}
