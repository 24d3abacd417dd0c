//! `PUT /user_auth` (`api.md` §2.1): from name and password to a token. `GET /user_auth/{token}`: what a token says.

use super::{NONE, READ, Resource};
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
        "user_auth",
        |args| match args {
            [] => &[Verb::Put],
            [_] => READ,
            _ => NONE,
        },
        |call| Box::pin(async move { answer(call) }),
    )
};

fn answer(call: &Call) -> Result<Answer, ApiError> {
    match call.args().as_slice() {
        [] => {
            let (account, user) = match login::check(call) {
                Ok(found) => found,
                Err(error) => {
                    metrics::counter!("swivel_logins_refused_total").increment(1);
                    tracing::info!(client = %call.client, "login refused");
                    return Err(error);
                }
            };
            let seconds = call.api.config().token_seconds;
            let mut rng = call.api.rng();
            let issued = call.api.tokens().issue(&account.id, Some(&user), "cb_user_auth", seconds, call.now, &mut rng);
            let (token, _) = issued.ok_or(ApiError::Credentials)?;
            Ok(Answer { auth_token: Some(token), ..Answer::created(login::told(&account, Some(&user))) })
        }
        [token] => {
            let principal = call.principal.as_ref().filter(|principal| principal.token == *token);
            let principal = principal.ok_or_else(|| ApiError::Forbidden("a token may ask about itself only".to_owned()))?;
            Ok(Answer::ok(login::told(&principal.account, principal.user.as_deref())))
        }
        _ => Err(ApiError::NoPath),
    }
}
