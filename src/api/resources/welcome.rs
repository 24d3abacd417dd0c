//! `PUT /welcome`: the key of a link that signs in once (`swivel demo`, `swivel link`) becomes a token, as `user_auth` gives
//! one. KAZOO has nothing like it.

use super::{NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::login;
use crate::api::verb::Verb;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    costly: true,
    open: |verb, _| verb == Verb::Put,
    ..Resource::new(
        "welcome",
        |args| if args.is_empty() { &[Verb::Put] } else { NONE },
        |call| Box::pin(async move { answer(call) }),
    )
};

fn answer(call: &Call) -> Result<Answer, ApiError> {
    let key = call.text("key");
    let key =
        key.ok_or_else(|| ApiError::field("key", "required", "Field is required but missing"))?;
    let link = call.api.links().take(&key, call.now);
    let link = link.ok_or(ApiError::Credentials)?;
    let account = call.api.directory().account(&link.account);
    let account = account.ok_or(ApiError::Credentials)?;
    if !account.enabled {
        return Err(ApiError::Disabled);
    }
    let user = account.users.get(&link.user).filter(|user| user.enabled);
    let user = user.ok_or(ApiError::Credentials)?;
    let seconds = call.api.config().token_seconds;
    let mut rng = call.api.rng();
    let issued = call.api.tokens().issue(
        &account.id,
        Some(user),
        "cb_user_auth",
        seconds,
        call.now,
        &mut rng,
    );
    let (token, _) = issued.ok_or(ApiError::Credentials)?;
    Ok(Answer {
        auth_token: Some(token),
        ..Answer::created(login::told(&account, Some(user)))
    })
}
