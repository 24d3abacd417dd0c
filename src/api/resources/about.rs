//! `GET /about` (`api.md` §3.21): which server this is.

use serde_json::json;

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    ..Resource::new(
        "about",
        |args| if args.is_empty() { READ } else { NONE },
        |call| Box::pin(async move { Ok(answer(call)) }),
    )
};

fn answer(call: &Call) -> Answer {
    Answer::ok(json!({
        "name": "swivel",
        "version": env!("CARGO_PKG_VERSION"),
        "node": call.api.journal().node(),
        // What KAZOO says of its virtual machine; kept for those who read it.
        "processes": 1,
        "ports": 0,
    }))
}
