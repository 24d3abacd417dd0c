//! `/temporal_rules_sets` (`api.md` §3.13): several temporal rules under one name.

use serde_json::{Map, Value, json};

use super::{Resource, document_verbs};
use crate::api::documents::{self, Documents};
use crate::api::list;
use crate::directory::Kind;

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("temporal_rules_sets", document_verbs, |call| {
        Box::pin(documents::answer(&SETS, call))
    });

/// The kind.
pub(in crate::api) const SETS: Documents = Documents::plain(
    Kind::TemporalRuleSet,
    "set of temporal rules",
    "temporal_rules_sets",
    row,
);

fn row(id: &str, doc: &Value) -> Map<String, Value> {
    let mut row = list::project(id, doc, &["name", "flags"]);
    row.insert("type".into(), json!("temporal_rule_set"));
    row
}
