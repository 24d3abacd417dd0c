//! `GET /about`: which server this is.

use serde_json::json;

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    ..Resource::new(
        "about",
        |args| if args.is_empty() { READ } else { NONE },
        |_| Box::pin(async { Ok(Answer::ok(json!({"version": env!("CARGO_PKG_VERSION"), "name": "swivel"}))) }),
    )
};
