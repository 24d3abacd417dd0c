//! `/external_numbers`: numbers of other providers that somebody has proved to be his, of which there are none.
//! Interfaces ask when they start.

use serde_json::json;

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "external_numbers",
    |args| if args.is_empty() { READ } else { NONE },
    |_| Box::pin(async { Ok(Answer::ok(json!([]))) }),
);
