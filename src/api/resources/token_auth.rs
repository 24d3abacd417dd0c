//! `/token_auth` (`api.md` §2.3): what the token says (GET); end it (DELETE). Beyond KAZOO: another one before it ends (PUT).

use super::{NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::login;
use crate::api::verb::Verb;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    ..Resource::new(
        "token_auth",
        |args| if args.is_empty() { &[Verb::Get, Verb::Put, Verb::Delete] } else { NONE },
        |call| Box::pin(answer(call)),
    )
};

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    if call.verb == Verb::Delete {
        call.api.tokens().revoke(call.api.directory().store(), &principal.claims, call.now).await?;
    }
    if call.verb == Verb::Put {
        let seconds = call.api.config().token_seconds;
        let renewed = call.api.tokens().renew(&principal.claims, seconds, call.now, &mut call.api.rng());
        let (token, claims) = renewed.ok_or_else(|| ApiError::Forbidden("sign in again: this was too long ago".to_owned()))?;
        let mut data = login::told(&principal.account, principal.user.as_deref());
        data["exp"] = claims.exp.into();
        return Ok(Answer { auth_token: Some(token), ..Answer::created(data) });
    }
    let mut data = login::told(&principal.account, principal.user.as_deref());
    if let Some(data) = data.as_object_mut() {
        data.insert("method".into(), principal.claims.method.clone().into());
        data.insert("exp".into(), principal.claims.exp.into());
    }
    Ok(Answer::ok(data))
}
