//! `GET /now`: what happens in an account right now, as the page's first view shows it. KAZOO has nothing like it.

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::now;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "now",
    |args| if args.is_empty() { READ } else { NONE },
    |call| Box::pin(answer(call)),
);

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    Ok(Answer::ok(now::whole(&call.api, call.account()?).await))
}
