//! `/directories`: users that may be found by name.

use super::{Resource, document_verbs};
use crate::api::documents::{self, Documents, Draft};
use crate::api::list;
use crate::directory::Kind;

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("directories", document_verbs, |call| {
        Box::pin(documents::answer(&DIRECTORIES, call))
    });

/// The kind.
pub(in crate::api) const DIRECTORIES: Documents = Documents {
    check,
    ..Documents::plain(Kind::Directory, "directory", "directories", |id, doc| {
        list::project(id, doc, &["name", "flags"])
    })
};

fn check(draft: &mut Draft<'_>) {
    let number = |key: &str| draft.fields.get(key).and_then(serde_json::Value::as_u64);
    if let (Some(least), Some(most @ 1..)) = (number("min_dtmf"), number("max_dtmf"))
        && most < least
    {
        draft.find("max_dtmf", "minimum", "is less than min_dtmf", most);
    }
}
