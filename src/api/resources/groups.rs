//! `/groups`: users and devices that are rung together, or may pick up for each other.

use serde_json::{Map, Value, json};

use super::{Resource, document_verbs};
use crate::api::documents::{self, Documents, Draft};
use crate::api::list;
use crate::directory::Kind;

pub(in crate::api) const RESOURCE: Resource = Resource::new("groups", document_verbs, |call| {
    Box::pin(documents::answer(&GROUPS, call))
});

/// The kind.
pub(in crate::api) const GROUPS: Documents = Documents {
    check,
    ..Documents::plain(Kind::Group, "group", "groups", row)
};

fn row(id: &str, doc: &Value) -> Map<String, Value> {
    let mut row = list::project(id, doc, &["name", "flags"]);
    let members = doc
        .get("endpoints")
        .and_then(Value::as_object)
        .map_or(0, Map::len);
    row.insert("endpoints".into(), json!(members));
    row
}

fn check(draft: &mut Draft<'_>) {
    let members = draft
        .fields
        .get("endpoints")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for (id, member) in members {
        let path = format!("endpoints.{id}");
        if id == draft.id {
            draft.find(
                &path,
                "disallow",
                "a group cannot be its own member",
                json!(id),
            );
        }
        match member.get("type").and_then(Value::as_str) {
            Some("user" | "device" | "group") | None => {}
            Some(other) => draft.find(
                &format!("{path}.type"),
                "enum",
                "is none of user, device, group",
                json!(other),
            ),
        }
    }
}
