//! The callflow document: which numbers it answers to, and its tree.

use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::schema::{self, ACTION, Compiled};
use super::validate::{Walk, missing};
use crate::base::finding::Finding;
use crate::directory::numbers::{NO_MATCH, compile};
use crate::routing::to_e164;

/// What happens when one of its numbers is called.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["flow"]))]
struct Callflow {
    /// Label of the callflow
    name: Option<String>,
    /// Numbers, extensions and feature codes, matched exactly; `no_match` takes what nothing else does
    #[schemars(inner(length(min = 1, max = 36)), extend("uniqueItems" = true))]
    numbers: Vec<String>,
    /// Regular expressions tested against the dialled string
    #[schemars(inner(length(min = 1)))]
    patterns: Vec<String>,
    /// The first node
    #[schemars(schema_with = "action")]
    flow: Option<Value>,
    /// In-call feature keys of this callflow
    metaflow: Option<Map<String, Value>>,
    /// For callflows that are feature codes: what they are
    featurecode: Option<FeatureCode>,
    /// Media played while the caller waits
    ringback: Option<Ringback>,
    /// Marks of other applications
    flags: Option<Vec<String>>,
    /// The user it belongs to
    owner_id: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct FeatureCode {
    /// Name of the feature
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    /// Its code
    #[schemars(length(min = 1, max = 30))]
    number: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Ringback {
    /// Media while the call rings
    early: Option<String>,
    /// Media while a transfer rings
    transfer: Option<String>,
}

fn action(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"$ref": ACTION})
}

/// The schema `callflows`, compiled.
pub(super) fn compiled() -> Option<&'static Compiled> {
    static SCHEMA: LazyLock<Option<Compiled>> =
        LazyLock::new(|| schema::compile(schema::draft04::<Callflow>("callflows")));
    SCHEMA.as_ref()
}

/// Checks and completes a callflow document; its numbers become E.164 where a converter knows them.
pub(super) fn check(document: &mut Value, walk: &mut Walk<'_>) {
    let Some(compiled) = compiled() else { return };
    walk.against(compiled, document, "");
    let Some(object) = document.as_object_mut() else {
        return;
    };
    if let Some(flow) = object.get_mut("flow") {
        walk.node(flow, "flow", 1);
    }
    let listed = |object: &Map<String, Value>, key: &str| {
        object
            .get(key)
            .and_then(Value::as_array)
            .is_some_and(|a| !a.is_empty())
    };
    if !listed(object, "numbers") && !listed(object, "patterns") {
        let mut finding = missing("", "numbers");
        finding.message = "callflows must be assigned at least one number or pattern".into();
        walk.find(finding);
    }
    if let Some(Value::Array(numbers)) = object.get_mut("numbers") {
        let mut seen: Vec<String> = Vec::with_capacity(numbers.len());
        for number in numbers.iter_mut() {
            let Some(text) = number.as_str().filter(|text| *text != NO_MATCH) else {
                continue;
            };
            let full = to_e164(text);
            if seen.contains(&full) {
                let message = format!("{full} is listed twice");
                walk.find(
                    Finding::new("numbers", "uniqueItems", message)
                        .with_value(json!(full.as_str())),
                );
            }
            seen.push(full.clone());
            *number = Value::String(full);
        }
    }
    for (n, pattern) in object
        .get("patterns")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        if let Some(Err(reason)) = pattern.as_str().map(compile) {
            let message = format!("the pattern does not compile and will be skipped: {reason}");
            walk.warn(
                Finding::new(format!("patterns.{n}"), "pattern", message)
                    .with_value(pattern.clone()),
            );
        }
    }
}
