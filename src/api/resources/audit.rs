//! `/audit`: who wrote what and when in this account.

use super::{NONE, READ, Resource};
use crate::api::answer::{Answer, Paging};
use crate::api::audit;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::list::{self, Filters, Wanted};

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "audit",
    |args| if args.is_empty() { READ } else { NONE },
    |call| Box::pin(answer(call)),
);

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    if !call.principal.as_ref().is_some_and(|principal| principal.is_admin()) {
        return Err(ApiError::Forbidden("only administrators may read the audit log".to_owned()));
    }
    let wanted = Wanted::of(call)?;
    let filters = Filters::of(call)?.without_times();
    let range = list::time_range(call, &wanted)?;
    let store = call.api.directory().store();
    let mut found = audit::entries(store, &call.account()?.id, &range).await?;
    found.retain(|(_, entry)| filters.pass(entry));
    let size = wanted.page_size.unwrap_or(list::MOST);
    let next = found.get(size).map(|(key, _)| list::opaque(key));
    let first = found.first().map(|(key, _)| list::opaque(key));
    found.truncate(size);
    let paging = wanted.page_size.map(|_| Paging { rows: found.len(), start_key: first, next_start_key: next });
    Ok(Answer::page(found.into_iter().map(|(_, entry)| entry).collect(), paging))
}
