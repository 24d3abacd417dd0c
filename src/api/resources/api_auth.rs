//! `PUT /api_auth` (`api.md` §2.2): from an account's key to a token of that account.

use super::{NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::login;
use crate::api::verb::Verb;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    costly: true,
    open: |verb, args| verb == Verb::Put && args.is_empty(),
    ..Resource::new(
        "api_auth",
        |args| if args.is_empty() { &[Verb::Put] } else { NONE },
        |call| Box::pin(async move { answer(call) }),
    )
};

/// Characters of a key.
const LENGTH: usize = 64;

fn answer(call: &Call) -> Result<Answer, ApiError> {
    let Some(key) = call.text("api_key") else {
        return Err(ApiError::field("api_key", "required", "Field is required but missing"));
    };
    let account = login::by_key(call.api.directory(), &key).filter(|_| key.len() == LENGTH);
    let Some(account) = account else {
        metrics::counter!("swivel_logins_refused_total").increment(1);
        tracing::info!(client = %call.client, "login by key refused");
        return Err(ApiError::Credentials);
    };
    if !account.enabled {
        return Err(ApiError::Disabled);
    }
    let seconds = call.api.config().token_seconds;
    let mut rng = call.api.rng();
    let issued = call.api.tokens().issue(&account.id, None, "cb_api_auth", seconds, call.now, &mut rng);
    let (token, _) = issued.ok_or(ApiError::Credentials)?;
    Ok(Answer { auth_token: Some(token), ..Answer::created(login::told(&account, None)) })
}
