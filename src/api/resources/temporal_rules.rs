//! `/temporal_rules` (`api.md` §3.13): stretches of time that come again.

use serde_json::{Map, Value, json};

use super::{Resource, document_verbs};
use crate::api::documents::{self, Documents};
use crate::api::list;
use crate::directory::Kind;

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("temporal_rules", document_verbs, |call| {
        Box::pin(documents::answer(&RULES, call))
    });

/// The kind.
pub(in crate::api) const RULES: Documents =
    Documents::plain(Kind::TemporalRule, "temporal rule", "temporal_rules", row);

fn row(id: &str, doc: &Value) -> Map<String, Value> {
    let mut row = list::project(id, doc, &["name", "flags"]);
    row.insert("type".into(), json!("temporal_rule"));
    row
}
