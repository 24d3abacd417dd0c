//! `/callflows` (`api.md` §3.4): what happens when a number is called.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Resource, document_verbs};
use crate::api::documents::{self, Documents, Draft};
use crate::api::list;
use crate::callflow;
use crate::directory::{Account, Kind, private};

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("callflows", document_verbs, |call| Box::pin(documents::answer(&CALLFLOWS, call)));

/// The kind.
pub(in crate::api) const CALLFLOWS: Documents =
    Documents { check, show, ..Documents::plain(Kind::Callflow, "callflow", "", row) };

fn row(id: &str, doc: &Value) -> Map<String, Value> {
    let mut row = list::project(id, doc, &["name", "type", "numbers", "patterns", "owner_id", "group_id", "flags"]);
    row.insert("featurecode".into(), doc.get("featurecode").cloned().unwrap_or(Value::Bool(false)));
    let mut modules = BTreeSet::new();
    visit(doc.get("flow"), &mut |node| {
        if let Some(module) = node.get("module").and_then(Value::as_str) {
            modules.insert(module.to_owned());
        }
    });
    row.insert("modules".into(), json!(modules));
    row
}

fn check(draft: &mut Draft<'_>) {
    draft.judge_metaflows();
    draft.fields.remove("metadata");
    let document = Value::Object(draft.fields.clone());
    match callflow::validate_document(&document, &|url| (draft.guard)(url)) {
        Ok(checked) => {
            if let Some(account) = draft.account {
                draft.findings.extend(callflow::conflicts(&checked.document, Some(draft.id), &account.numbers));
            }
            draft.warnings.extend(checked.warnings);
            if let Value::Object(fields) = checked.document {
                draft.fields = fields;
            }
        }
        Err(findings) => draft.findings.extend(findings),
    }
}

/// What is known of the documents a flow names.
fn show(account: &Account, data: &mut Map<String, Value>, doc: &Value) {
    let mut metadata = Map::new();
    visit(doc.get("flow"), &mut |node| {
        let fields = node.get("data").and_then(Value::as_object).into_iter().flatten();
        let named = fields.filter(|(key, _)| *key == "id" || key.ends_with("_id")).filter_map(|(_, id)| id.as_str());
        let branches = node.get("children").and_then(Value::as_object).into_iter().flat_map(|c| c.keys().map(String::as_str));
        for id in named.chain(branches) {
            if let Some(about) = about(account, id) {
                metadata.insert(id.to_owned(), about);
            }
        }
    });
    data.insert("metadata".into(), Value::Object(metadata));
}

fn about(account: &Account, id: &str) -> Option<Value> {
    let kinds = Kind::ALL.iter().filter(|kind| **kind != Kind::Account);
    let doc = kinds.into_iter().find_map(|kind| account.document(*kind, id))?;
    let mut about = Map::new();
    for key in ["name", "numbers"] {
        if let Some(value) = doc.get(key) {
            about.insert(key.to_owned(), value.clone());
        }
    }
    let kind = doc.get(private::TYPE).and_then(Value::as_str).unwrap_or_default();
    about.insert("pvt_type".into(), json!(kind.trim_end_matches('s')));
    Some(Value::Object(about))
}

/// Every node of a tree, without recursion.
fn visit(flow: Option<&Value>, look: &mut dyn FnMut(&Value)) {
    let mut waiting: Vec<&Value> = flow.into_iter().collect();
    while let Some(node) = waiting.pop() {
        look(node);
        waiting.extend(node.get("children").and_then(Value::as_object).into_iter().flat_map(|c| c.values()));
    }
}
