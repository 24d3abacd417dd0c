//! `/problems`: what went wrong in the last hour, grouped by cause, in plain words (`docs/causes.md`). Administrators of
//! all accounts are also told what belongs to none: strangers.

use std::time::Duration;

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::base::time::UnixMicros;
use crate::host::clock;
use crate::journal::Problem;

const HOUR: Duration = Duration::from_secs(3600);

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "problems",
    |args| if args.is_empty() { READ } else { NONE },
    |call| Box::pin(async { answer(call) }),
);

fn answer(call: &Call) -> Result<Answer, ApiError> {
    let account = &call.account()?.id;
    let since = UnixMicros(clock::unix_now().0.saturating_sub(HOUR.as_micros() as u64));
    let mut all = call.api.journal().problems(account, since);
    if call
        .principal
        .as_ref()
        .is_some_and(|principal| principal.is_superduper())
    {
        all.extend(call.api.journal().problems("", since));
        all.sort_by_key(|problem| std::cmp::Reverse(problem.last_at));
    }
    Ok(Answer::ok(all.iter().map(Problem::to_json).collect()))
}
