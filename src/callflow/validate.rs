//! Checks callflow trees and callflow documents, and completes them with the schema defaults.
//!
//! Called by the API at save and by `pivot` for every callflow a server returns. All findings are reported at once.
//! A string where a number or a boolean is meant is turned into it (as KAZOO does). Keys a schema does not know pass.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Map, Value, json};

use super::document;
use super::modules::{self, Known};
use super::schema::{self, Compiled};
use crate::base::finding::{Finding, join};
use crate::directory::numbers::NumberIndex;

/// Says whether the server may be made to fetch a URL; the error is the reason it may not.
pub type UrlGuard<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// A document that passed, with schema defaults inserted and strings turned into the numbers and booleans meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The document to store or run.
    pub document: Value,
    /// What is accepted but will not do what its author may expect (modules that are not built yet, bad patterns).
    pub warnings: Vec<Finding>,
}

/// Deepest nesting of nodes.
pub const MAX_DEPTH: usize = 64;
/// Most nodes in one tree.
pub const MAX_TREE_NODES: usize = 1_000;

/// Checks one flow node and everything below it.
///
/// # Errors
/// All findings, paths relative to the node.
pub fn validate(node: &Value, guard: UrlGuard<'_>) -> Result<Checked, Vec<Finding>> {
    let mut walk = Walk::new(guard);
    let mut document = node.clone();
    walk.node(&mut document, "", 1);
    walk.finish(document)
}

/// Checks a whole callflow document as the API stores it: its own keys, its numbers and its tree.
///
/// # Errors
/// All findings.
pub fn validate_document(document: &Value, guard: UrlGuard<'_>) -> Result<Checked, Vec<Finding>> {
    let mut walk = Walk::new(guard);
    let mut document = document.clone();
    document::check(&mut document, &mut walk);
    walk.finish(document)
}

/// The numbers and patterns of `document` that another callflow of the account has already, as `unique` findings.
/// `own` is the document's own id when it is stored already.
pub fn conflicts(document: &Value, own: Option<&str>, index: &NumberIndex) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in ["numbers", "patterns"] {
        let entries = document
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for text in entries.filter_map(Value::as_str) {
            let owner = if key == "numbers" {
                index.owner_of_number(text)
            } else {
                index.owner_of_pattern(text)
            };
            if let Some(other) = owner.filter(|other| Some(other.as_ref()) != own) {
                let message = format!("{text} is already used by callflow {other}");
                findings.push(Finding::new(key, "unique", message).with_value(json!(text)));
            }
        }
    }
    findings
}

/// One validation: what was found so far.
pub(super) struct Walk<'a> {
    guard: UrlGuard<'a>,
    nodes: usize,
    findings: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl<'a> Walk<'a> {
    fn new(guard: UrlGuard<'a>) -> Self {
        Self {
            guard,
            nodes: 0,
            findings: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn finish(self, document: Value) -> Result<Checked, Vec<Finding>> {
        if self.findings.is_empty() {
            Ok(Checked {
                document,
                warnings: self.warnings,
            })
        } else {
            Err(self.findings)
        }
    }

    pub(super) fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn warn(&mut self, finding: Finding) {
        self.warnings.push(finding);
    }

    /// Checks a node and what is below it. `depth` counts from 1.
    pub(super) fn node(&mut self, node: &mut Value, path: &str, depth: usize) {
        self.nodes = self.nodes.saturating_add(1);
        if depth > MAX_DEPTH {
            return self.limit(path, "maxDepth", MAX_DEPTH, "nodes are nested too deeply");
        }
        if self.nodes == MAX_TREE_NODES.saturating_add(1) {
            return self.limit(path, "maxNodes", MAX_TREE_NODES, "there are too many nodes");
        }
        if self.nodes > MAX_TREE_NODES {
            return;
        }
        let Some(object) = node.as_object_mut() else {
            let at = if path.is_empty() { "flow" } else { path };
            return self.find(wrong_type(at, node, "object"));
        };
        let module = self.module(object, path);
        match object.get_mut("data") {
            None => self.find(missing(path, "data")),
            Some(data) if !data.is_object() => {
                self.findings
                    .push(wrong_type(&join(path, "data"), data, "object"))
            }
            Some(data) => {
                if let Some(module) = &module {
                    self.data(module, data, &join(path, "data"), depth);
                }
            }
        }
        match object.get_mut("children") {
            None => {}
            Some(Value::Object(children)) => {
                let below = join(path, "children");
                for (key, child) in children.iter_mut() {
                    self.node(child, &join(&below, key), depth.saturating_add(1));
                }
            }
            Some(other) => self
                .findings
                .push(wrong_type(&join(path, "children"), other, "object")),
        }
    }

    /// The module's name when it is one to check data for.
    fn module(&mut self, node: &Map<String, Value>, path: &str) -> Option<String> {
        let at = join(path, "module");
        match node.get("module") {
            None => self.find(missing(path, "module")),
            Some(Value::String(name)) if name.is_empty() => {
                self.find(
                    Finding::new(at, "minLength", "is shorter than 1 character")
                        .with_value(json!(name))
                        .with_target(1),
                );
            }
            Some(Value::String(name)) if name.chars().count() > 64 => {
                self.find(
                    Finding::new(at, "maxLength", "is longer than 64 characters")
                        .with_value(json!(name))
                        .with_target(64),
                );
            }
            Some(Value::String(name)) => match modules::known(name) {
                Known::Built => return Some(name.clone()),
                Known::NotBuilt => {
                    let message =
                        format!("module {name} is known but not available yet; calls go on to `_`");
                    self.warn(Finding::new(at, "module", message).with_value(json!(name)));
                    return Some(name.clone());
                }
                Known::Unknown => {
                    let message = format!("unable to find callflow schema for module {name}");
                    self.find(Finding::new(at, "error", message).with_value(json!(name)));
                }
            },
            Some(other) => self.find(wrong_type(&at, other, "string")),
        }
        None
    }

    fn data(&mut self, module: &str, data: &mut Value, path: &str, depth: usize) {
        self.urls(module, data, path);
        let Some(compiled) = schema::compiled(module) else {
            return;
        };
        let before = self.findings.len();
        self.against(compiled, data, path);
        // What passes its schema must also be readable by the module.
        if self.findings.len() == before
            && let Some(Err(error)) =
                modules::find(module).map(|entry| (entry.decode)(data).map(drop))
        {
            self.find(Finding::new(path, "error", error.to_string()).with_value(data.clone()));
        }
        for key in &compiled.nested {
            if let Some(node) = data.get_mut(key) {
                self.node(node, &join(path, key), depth.saturating_add(1));
            }
        }
    }

    /// Checks `value` against a schema, converts what can be converted, and inserts the defaults.
    pub(super) fn against(&mut self, compiled: &Compiled, value: &mut Value, path: &str) {
        if !compiled.validator.is_valid(value) {
            let mut meant = value.clone();
            convert(compiled, &mut meant);
            let before = self.findings.len();
            for error in compiled.validator.iter_errors(&meant) {
                describe(&error, path, &mut self.findings);
            }
            if self.findings.len() > before {
                return;
            }
            *value = meant;
        }
        insert_defaults(&compiled.schema, value);
    }

    /// Every URL the server would be made to fetch.
    fn urls(&mut self, module: &str, data: &Value, path: &str) {
        for (of, key) in URLS {
            if *of == module
                && let Some(url) = data.get(*key).and_then(Value::as_str)
            {
                self.url(url, &join(path, key));
            }
        }
        if module == "audio_macro" {
            let items = data
                .get("macros")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            for (n, item) in items.enumerate() {
                if let Some(url) = item.get("id").and_then(Value::as_str) {
                    self.url(url, &format!("{path}.macros.{n}.id"));
                }
            }
        }
    }

    fn url(&mut self, url: &str, path: &str) {
        let is_http = ["http://", "https://"].iter().any(|scheme| {
            url.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        if is_http && let Err(reason) = (self.guard)(url) {
            let message = format!("invalid client URL: {reason}");
            self.find(Finding::new(path, "error", message).with_value(json!(url)));
        }
    }

    fn limit(&mut self, path: &str, rule: &str, limit: usize, message: &str) {
        self.find(Finding::new(path, rule, message).with_target(limit));
    }
}

/// A draft-04 schema that documents of the API are checked against and completed by.
pub struct DocumentSchema(Compiled);

impl DocumentSchema {
    /// The schema of `T` with KAZOO's id. `None` when the schema itself is wrong, which a test rules out for ours.
    pub fn of<T: schemars::JsonSchema>(id: &str) -> Option<Self> {
        Self::from_json(schema::draft04::<T>(id))
    }

    /// A schema as served.
    pub fn from_json(schema: Value) -> Option<Self> {
        schema::compile(schema).map(Self)
    }

    /// As served.
    pub fn json(&self) -> &Value {
        &self.0.schema
    }

    /// Checks `document`, converts what can be converted, and inserts defaults, also inside objects that are
    /// themselves defaults. Gives every broken rule.
    pub fn complete(&self, document: &mut Value) -> Vec<Finding> {
        let mut walk = Walk::new(&|_| Ok(()));
        walk.against(&self.0, document, "");
        if walk.findings.is_empty() {
            insert_defaults(&self.0.schema, document);
        }
        walk.findings
    }
}

/// Fields whose URL is fetched, by module.
const URLS: &[(&str, &str)] = &[
    ("pivot", "voice_url"),
    ("pivot", "cdr_url"),
    ("play", "id"),
    ("response", "media"),
    ("webhook", "uri"),
    ("record_call", "url"),
    ("record_caller", "url"),
];

pub(super) fn missing(path: &str, key: &str) -> Finding {
    Finding::new(join(path, key), "required", "is required").with_value(json!(key))
}

pub(super) fn wrong_type(path: &str, value: &Value, expected: &str) -> Finding {
    Finding::new(path, "type", format!("is not of type {expected}"))
        .with_value(value.clone())
        .with_target(expected)
}

/// Turns strings into the numbers and booleans a schema asks for.
fn convert(compiled: &Compiled, value: &mut Value) {
    let mut meant = Vec::new();
    for error in compiled.validator.iter_errors(value) {
        let ValidationErrorKind::Type { kind } = error.kind() else {
            continue;
        };
        let Some(text) = error.instance().as_str() else {
            continue;
        };
        let types: Vec<String> = match kind {
            TypeKind::Single(one) => vec![one.to_string()],
            TypeKind::Multiple(many) => many.iter().map(|one| one.to_string()).collect(),
        };
        let converted = types.iter().find_map(|name| match name.as_str() {
            "integer" => text.trim().parse::<i64>().ok().map(Value::from),
            "number" => text
                .trim()
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .map(Value::Number),
            "boolean" => text
                .trim()
                .to_ascii_lowercase()
                .parse::<bool>()
                .ok()
                .map(Value::Bool),
            _ => None,
        });
        if let Some(converted) = converted {
            meant.push((error.instance_path().as_str().to_owned(), converted));
        }
    }
    for (pointer, converted) in meant {
        if let Some(slot) = value.pointer_mut(&pointer) {
            *slot = converted;
        }
    }
}

/// Inserts the defaults of missing properties, also inside objects and list items, and inside defaults themselves.
fn insert_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(object) => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
                return;
            };
            for (name, property) in properties {
                match (object.get_mut(name), property.get("default")) {
                    (Some(present), _) => insert_defaults(property, present),
                    (None, Some(default)) => {
                        let mut default = default.clone();
                        insert_defaults(property, &mut default);
                        object.insert(name.clone(), default);
                    }
                    (None, None) => {}
                }
            }
        }
        Value::Array(items) => {
            if let Some(of_items) = schema.get("items") {
                items
                    .iter_mut()
                    .for_each(|item| insert_defaults(of_items, item));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Writes an error in KAZOO's words: the dotted path, the rule's name, what was found and what was asked for.
fn describe(error: &ValidationError<'_>, base: &str, out: &mut Vec<Finding>) {
    let path = error
        .instance_path()
        .as_str()
        .split('/')
        .skip(1)
        .fold(base.to_owned(), |path, key| {
            join(&path, &key.replace("~1", "/").replace("~0", "~"))
        });
    let path = if path.is_empty() {
        "data".to_owned()
    } else {
        path
    };
    let kind = error.kind();
    let finding = |rule: &str, message: String, target: Option<Value>| Finding {
        path: path.clone(),
        rule: rule.to_owned(),
        message,
        value: Some(error.instance().clone().into_owned()),
        target,
    };
    let found = match kind {
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            missing(
                if error.instance_path().as_str().is_empty() && base.is_empty() {
                    ""
                } else {
                    &path
                },
                key,
            )
        }
        ValidationErrorKind::Type { kind } => {
            let types: Vec<String> = match kind {
                TypeKind::Single(one) => vec![one.to_string()],
                TypeKind::Multiple(many) => many.iter().map(|one| one.to_string()).collect(),
            };
            finding(
                "type",
                format!("is not of type {}", types.join(" or ")),
                Some(json!(types.join(","))),
            )
        }
        ValidationErrorKind::Enum { options } => finding(
            "enum",
            format!("is not one of {options}"),
            Some(options.as_ref().clone()),
        ),
        ValidationErrorKind::Minimum { limit } => finding(
            "minimum",
            format!("is less than {limit}"),
            Some(limit.clone()),
        ),
        ValidationErrorKind::Maximum { limit } => finding(
            "maximum",
            format!("is more than {limit}"),
            Some(limit.clone()),
        ),
        ValidationErrorKind::MinLength { limit } => finding(
            "minLength",
            format!("is shorter than {limit} characters"),
            Some(json!(limit)),
        ),
        ValidationErrorKind::MaxLength { limit } => finding(
            "maxLength",
            format!("is longer than {limit} characters"),
            Some(json!(limit)),
        ),
        ValidationErrorKind::MinItems { limit } => finding(
            "minItems",
            format!("has fewer than {limit} items"),
            Some(json!(limit)),
        ),
        ValidationErrorKind::MaxItems { limit } => finding(
            "maxItems",
            format!("has more than {limit} items"),
            Some(json!(limit)),
        ),
        ValidationErrorKind::UniqueItems => {
            finding("uniqueItems", "has equal items".into(), Some(json!(true)))
        }
        ValidationErrorKind::Pattern { pattern } => finding(
            "pattern",
            format!("does not match {pattern}"),
            Some(json!(pattern)),
        ),
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            return choose(error, base, context, out);
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => finding(
            "not_one_schema_valid",
            "fits more than one of the allowed shapes".into(),
            None,
        ),
        other => finding(other.keyword(), error.to_string(), None),
    };
    out.push(found);
}

/// None of several shapes fits: says what is wrong with the one that was meant, where that can be seen.
fn choose(
    error: &ValidationError<'_>,
    base: &str,
    context: &[Vec<ValidationError<'static>>],
    out: &mut Vec<Finding>,
) {
    // Paths inside a shape count from the whole document, as the outer error's do.
    let meant = context.iter().find(|shape| {
        !shape.is_empty()
            && shape.iter().all(|e| {
                !matches!(
                    e.kind(),
                    ValidationErrorKind::Enum { .. } | ValidationErrorKind::Type { .. }
                )
            })
    });
    let only_required = context.iter().all(|shape| {
        shape
            .iter()
            .all(|e| matches!(e.kind(), ValidationErrorKind::Required { .. }))
    });
    match (meant, context.first()) {
        (_, Some(first)) if only_required => {
            // `oneOf` of required keys: the first alternative is the usual one.
            let mut findings = Vec::new();
            first.iter().for_each(|e| describe(e, base, &mut findings));
            out.append(&mut findings);
        }
        (Some(shape), _) => shape.iter().for_each(|e| describe(e, base, out)),
        (None, _) => {
            let path = error
                .instance_path()
                .as_str()
                .split('/')
                .skip(1)
                .fold(base.to_owned(), |p, key| join(&p, key));
            let message = "fits none of the allowed shapes";
            out.push(
                Finding::new(path, "not_one_schema_valid", message)
                    .with_value(error.instance().clone().into_owned()),
            );
        }
    }
}

#[cfg(test)]
mod tests;
