//! `/pivot/debug` (`api.md` §3.9, `pivot.md` §4.2): what callflow servers were asked and answered.

use serde_json::Value;

use super::{NONE, READ, Resource};
use crate::api::answer::{Answer, Paging};
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::list::{self, Filters, Wanted};
use crate::api::replay;
use crate::api::verb::Verb;
use crate::journal::TimeRange;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "pivot",
    |args| match args {
        ["debug"] | ["debug", _] => READ,
        ["debug", _, n, "replay"] if n.bytes().all(|b| b.is_ascii_digit()) || *n == "{id}" => &[Verb::Post],
        _ => NONE,
    },
    |call| Box::pin(answer(call)),
);

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let args = call.args();
    match args.as_slice() {
        ["debug"] => calls(call).await,
        ["debug", id] => one(call, id).await,
        ["debug", id, n, _] => replay::answer(call, id, n).await,
        _ => Err(ApiError::NoPath),
    }
}

async fn calls(call: &Call) -> Result<Answer, ApiError> {
    let wanted = Wanted::of(call)?;
    let filters = Filters::of(call)?.without_times();
    let size = wanted.page_size.unwrap_or(list::MOST);
    let filtered = !filters.is_empty();
    // One more than the page tells where the next begins; with filters nobody knows how many that takes.
    let limit = if filtered { list::MOST } else { size.saturating_add(1) };
    let range = TimeRange { limit, ..list::time_range(call, &wanted)? };
    let mut found = call.api.journal().debug_calls(&call.account()?.id, range).await?;
    if filtered {
        found.retain(|row| filters.pass(&Value::Object(row.row.clone())));
    }
    let next = found.get(size).map(|row| list::opaque(&row.key));
    let first = found.first().map(|row| list::opaque(&row.key));
    found.truncate(size);
    let paging = wanted.page_size.map(|_| Paging { rows: found.len(), start_key: first, next_start_key: next });
    Ok(Answer::page(found.into_iter().map(|row| Value::Object(row.row)).collect(), paging))
}

async fn one(call: &Call, id: &str) -> Result<Answer, ApiError> {
    let account = &call.account()?.id;
    let journal = call.api.journal();
    let mut found = journal.debug_documents(account, id, None).await?;
    if found.is_empty()
        && let Some((month, call_id)) = id.split_once('-')
        && month.len() == 6
        && month.bytes().all(|b| b.is_ascii_digit())
    {
        found = journal.debug_documents(account, call_id, Some(month)).await?;
    }
    if found.is_empty() {
        return Err(ApiError::NoDocument { what: "debug log of call", id: id.to_owned() });
    }
    let rows = found.len();
    Ok(Answer::page(found, Some(Paging { rows, ..Paging::default() })))
}
