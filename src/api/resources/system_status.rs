//! `GET /system_status` (`api.md` §3.21): the servers there are, which is this one. For the first account only.

use serde_json::json;

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    ..Resource::new(
        "system_status",
        |args| if args.is_empty() { READ } else { NONE },
        |call| Box::pin(answer(call)),
    )
};

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    if !principal.is_superduper() {
        return Err(ApiError::Forbidden("only the first account may see the servers".to_owned()));
    }
    let registered = call.api.registrations().list(None).await.len();
    let node = call.api.journal().node().to_owned();
    let state = json!({
        "node": node,
        "version": env!("CARGO_PKG_VERSION"),
        "zone": "local",
        "status": "available",
        "registrations": registered,
        "accounts": call.api.directory().accounts().len(),
    });
    Ok(Answer::ok(json!({"local": {"swivel": {node: state}}})))
}
