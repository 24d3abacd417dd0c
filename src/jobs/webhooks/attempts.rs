//! The log of attempts: who was asked what, and what came back. Kept as long as debug documents.

use serde_json::Value;

use crate::base::time::UnixMicros;
use crate::journal::{TimeRange, keep_as_debug};
use crate::store::{Batch, Store, StoreError, Table, keys};

const PREFIX: &str = "hook-attempt";

pub(super) fn keep(batch: &mut Batch, account: &str, at: UnixMicros, id: &str, row: &Value) {
    let key = keys::join(&[PREFIX, account, &keys::time(at), id]);
    keep_as_debug(batch, at, key, row.to_string().into_bytes());
}

/// The attempts of an account in a time range, with the key that continues at each.
///
/// # Errors
/// When the store fails.
pub async fn attempts(
    store: &Store,
    account: &str,
    range: &TimeRange,
) -> Result<Vec<(Vec<u8>, Value)>, StoreError> {
    let (keys, direction) = range.keys(PREFIX, account);
    let rows = store.scan(Table::Log, keys, direction, range.limit).await?;
    let read = |value: Vec<u8>| serde_json::from_slice(&value).unwrap_or_default();
    Ok(rows
        .into_iter()
        .map(|(key, value)| (key, read(value)))
        .collect())
}
