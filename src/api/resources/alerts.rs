//! `/alerts`: what users of an account should know. There is never anything; interfaces ask when they start.

use serde_json::json;

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "alerts",
    |args| if args.is_empty() { READ } else { NONE },
    |_| Box::pin(async { Ok(Answer::ok(json!([]))) }),
);
