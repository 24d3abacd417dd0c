//! `/menus` (`api.md` §3.12).

use super::{Resource, document_verbs};
use crate::api::documents::{self, Documents, Draft};
use crate::api::list;
use crate::directory::Kind;
use crate::directory::numbers::compile;

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("menus", document_verbs, |call| Box::pin(documents::answer(&MENUS, call)));

/// The kind.
pub(in crate::api) const MENUS: Documents = Documents {
    check,
    ..Documents::plain(Kind::Menu, "menu", "menus", |id, doc| list::project(id, doc, &["name", "flags"]))
};

fn check(draft: &mut Draft<'_>) {
    for key in ["hunt_allow", "hunt_deny"] {
        if let Some(pattern) = draft.text(key)
            && let Err(reason) = compile(&pattern)
        {
            draft.find(key, "pattern", format!("is not a regular expression: {reason}"), pattern);
        }
    }
}
