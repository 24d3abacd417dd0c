//! `/apps_store`: applications of the web interface, of which a server without one has none.

use serde_json::json;

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "apps_store",
    |args| if args.is_empty() { READ } else { NONE },
    |_| Box::pin(async { Ok(Answer::ok(json!([]))) }),
);
