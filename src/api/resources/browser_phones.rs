//! `/browser_phones`: a telephone for the tab that asks (PUT), kept as long as it goes on asking (POST), taken away at its
//! end (DELETE). What it is let in with is told once, to that tab. KAZOO has nothing like it.

use serde_json::json;

use super::{NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::verb::Verb;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "browser_phones",
    |args| match args {
        [] => &[Verb::Put],
        [_] => &[Verb::Post, Verb::Delete],
        _ => NONE,
    },
    |call| Box::pin(answer(call)),
);

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    // Of another account's user there is no document here.
    let user = principal
        .user
        .as_deref()
        .filter(|user| account.users.contains_key(&user.id));
    let owner = user.map(|user| user.id.as_str());
    let (api, args) = (&call.api, call.args());
    let done = match (call.verb, args.as_slice()) {
        (Verb::Put, []) => return Ok(Answer::created(api.open_tab(account, user).await?)),
        (Verb::Post, [id]) => api.keep_tab(&account.id, id, owner),
        (Verb::Delete, [id]) => api.close_tab(&account.id, id, owner).await,
        _ => return Err(ApiError::NoPath),
    };
    let missing = || ApiError::NoDocument {
        what: "telephone of this browser",
        id: args.join("/"),
    };
    done.then(|| Answer::ok(json!({}))).ok_or_else(missing)
}
