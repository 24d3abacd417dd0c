//! `GET /health_check`: what `swivel check` looks at, of the server that runs, in words. KAZOO has nothing like it.

use serde_json::{Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    ..Resource::new(
        "health_check",
        |args| if args.is_empty() { READ } else { NONE },
        |call| Box::pin(answer(call)),
    )
};

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    if !principal.is_admin() {
        return Err(ApiError::Forbidden(
            "only administrators may see how the server stands".to_owned(),
        ));
    }
    let checks = match call.api.health() {
        Some(ask) => ask().await,
        None => Vec::new(),
    };
    let rows = checks
        .iter()
        .map(|check| json!({"what": check.what, "state": check.state, "words": check.words}));
    Ok(Answer::ok(Value::Array(rows.collect())))
}
