//! The schemas documents are checked against, made from structs and served as KAZOO serves its own.
//!
//! - `documents`: one struct a kind. `shared`: what several of them have.
//!
//! Callflows and their modules have theirs in `callflow`.

#[expect(
    dead_code,
    reason = "these structs are schemas; documents are kept as they came"
)]
mod documents;
#[expect(
    dead_code,
    reason = "these structs are schemas; documents are kept as they came"
)]
mod shared;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::base::finding::Finding;
use crate::callflow::{self, DocumentSchema};

static ALL: LazyLock<BTreeMap<&'static str, DocumentSchema>> = LazyLock::new(|| {
    let all = [
        (
            "accounts",
            DocumentSchema::of::<documents::Account>("accounts"),
        ),
        (
            "conferences",
            DocumentSchema::of::<callflow::ConferenceDocument>("conferences"),
        ),
        (
            "blacklists",
            DocumentSchema::of::<documents::Blacklist>("blacklists"),
        ),
        (
            "clicktocall",
            DocumentSchema::of::<documents::ClickToCall>("clicktocall"),
        ),
        (
            "directories",
            DocumentSchema::of::<documents::Directory>("directories"),
        ),
        (
            "documents",
            DocumentSchema::of::<documents::Hosted>("documents"),
        ),
        (
            "webhooks",
            DocumentSchema::of::<documents::Webhook>("webhooks"),
        ),
        (
            "devices",
            DocumentSchema::of::<documents::Device>("devices"),
        ),
        (
            "list_entries",
            DocumentSchema::of::<documents::ListEntry>("list_entries"),
        ),
        ("lists", DocumentSchema::of::<documents::List>("lists")),
        ("media", DocumentSchema::of::<documents::Media>("media")),
        ("menus", DocumentSchema::of::<documents::Menu>("menus")),
        ("groups", DocumentSchema::of::<documents::Group>("groups")),
        ("limits", DocumentSchema::of::<documents::Limits>("limits")),
        (
            "phone_numbers",
            DocumentSchema::of::<documents::PhoneNumber>("phone_numbers"),
        ),
        (
            "resources",
            DocumentSchema::of::<documents::Trunk>("resources"),
        ),
        (
            "temporal_rules",
            DocumentSchema::of::<documents::TemporalRule>("temporal_rules"),
        ),
        (
            "temporal_rules_sets",
            DocumentSchema::of::<documents::TemporalRuleSet>("temporal_rules_sets"),
        ),
        ("users", DocumentSchema::of::<documents::User>("users")),
    ];
    all.into_iter()
        .filter_map(|(id, schema)| Some((id, schema?)))
        .collect()
});

/// Ids of all schemas, sorted.
pub(super) fn ids() -> Vec<String> {
    let mut ids: Vec<String> = ALL
        .keys()
        .map(|id| (*id).to_owned())
        .chain(callflow::schema_ids())
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// The schema of that id, draft 04.
pub(super) fn served(id: &str) -> Option<Value> {
    ALL.get(id)
        .map(|schema| schema.json().clone())
        .or_else(|| callflow::schema(id))
}

/// Checks fields against a schema, turns strings into the numbers and booleans meant, inserts defaults. Gives every
/// rule that is broken.
pub(super) fn complete(id: &str, fields: &mut Map<String, Value>) -> Vec<Finding> {
    let mut document = Value::Object(std::mem::take(fields));
    let findings = match ALL.get(id) {
        Some(schema) => schema.complete(&mut document),
        None => match callflow::schema(id).and_then(DocumentSchema::from_json) {
            Some(schema) => schema.complete(&mut document),
            None => Vec::new(),
        },
    };
    if let Value::Object(completed) = document {
        *fields = completed;
    }
    findings
}

#[cfg(test)]
mod tests;
