//! `/services`: what an account is billed for, which is nothing.

use serde_json::json;

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "services",
    |args| if args.is_empty() { READ } else { NONE },
    |_| Box::pin(async { Ok(Answer::ok(json!({"billing_cycle": {}, "quantities": {"account": {}, "cascade": {}}, "plans": {}, "status": {"good_standing": true}}))) }),
);
