//! `/blacklists`: numbers that may not call. An account names those that count in its own document (`blacklists`).

use super::{Resource, document_verbs};
use crate::api::documents::{self, Documents, Draft};
use crate::api::list;
use crate::directory::Kind;

pub(in crate::api) const RESOURCE: Resource = Resource::new("blacklists", document_verbs, |call| {
    Box::pin(documents::answer(&BLACKLISTS, call))
});

/// The kind.
pub(in crate::api) const BLACKLISTS: Documents = Documents {
    check,
    ..Documents::plain(Kind::Blacklist, "blacklist", "blacklists", |id, doc| {
        list::project(id, doc, &["name", "flags"])
    })
};

fn check(draft: &mut Draft<'_>) {
    let numbers = draft.fields.get("numbers").and_then(|n| n.as_object());
    let odd: Vec<String> = numbers
        .into_iter()
        .flatten()
        .filter(|(number, _)| number.trim().is_empty())
        .map(|(number, _)| number.clone())
        .collect();
    for number in odd {
        draft.find("numbers", "minLength", "a number must not be empty", number);
    }
}
