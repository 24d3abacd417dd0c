//! The JSON schema of a module, made from its struct: draft 04 with KAZOO's ids, as KAZOO serves and uses it.
//!
//! schemars describes the struct; what differs from KAZOO's dialect is rewritten here: a missing key is not `null`,
//! enumerations are `enum`, everything is inline, and each module has `skip_module`. The only file that names schemars'
//! generator and builds validators.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{document, modules};

/// The `$ref` of a field that holds a flow node; such fields are walked by the validator of trees.
pub(super) const ACTION: &str = "callflows.action";

/// A schema ready for use.
pub(super) struct Compiled {
    /// As served.
    pub(super) schema: Value,
    /// Checks everything but nested nodes.
    pub(super) validator: Validator,
    /// Names of the fields that hold a nested node.
    pub(super) nested: Vec<String>,
}

/// The draft-04 schema of `T` with KAZOO's id.
pub fn draft04<T: JsonSchema>(id: &str) -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
        settings.transforms.clear();
    });
    let schema = settings
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<T>();
    let mut schema = Value::from(schema);
    rewrite(&mut schema);
    let mut out = Map::new();
    out.insert(
        "$schema".into(),
        json!("http://json-schema.org/draft-04/schema#"),
    );
    out.insert("_id".into(), json!(id));
    out.insert("type".into(), json!("object"));
    if let Value::Object(schema) = schema {
        out.extend(schema.into_iter().filter(|(key, _)| key != "$schema"));
    }
    Value::Object(out)
}

/// The schema of a built module's `data`.
pub(super) fn of_module<T: JsonSchema>(name: &str) -> Value {
    let mut schema = draft04::<T>(&format!("callflows.{name}"));
    if let Some(schema) = schema.as_object_mut() {
        let properties = schema.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert(
                "skip_module".into(),
                json!({"type": "boolean", "description": "When true the module is not run and the flow goes on to `_`"}),
            );
        }
    }
    schema
}

/// The compiled schema of a built module.
pub(super) fn compiled(module: &str) -> Option<&'static Compiled> {
    static ALL: LazyLock<BTreeMap<&'static str, Compiled>> = LazyLock::new(|| {
        modules::ALL
            .iter()
            .filter_map(|module| Some((module.name, compile((module.schema)())?)))
            .collect()
    });
    ALL.get(module)
}

/// The schema served under an id: `callflows`, `callflows.action` for one node, `callflows.NAME` for a built module.
pub fn served(id: &str) -> Option<Value> {
    match id.strip_prefix("callflows.") {
        None if id == "callflows" => document::compiled().map(|compiled| compiled.schema.clone()),
        None => None,
        Some("action") => Some(action()),
        Some(module) => compiled(module).map(|compiled| compiled.schema.clone()),
    }
}

/// The ids of all schemas [`served`] knows, sorted.
pub fn ids() -> Vec<String> {
    let mut ids: Vec<String> = modules::ALL
        .iter()
        .map(|module| format!("callflows.{}", module.name))
        .collect();
    ids.extend(["callflows".to_owned(), ACTION.to_owned()]);
    ids.sort();
    ids
}

/// Builds the validator of a draft-04 schema. `None` when the schema itself is wrong, which a test rules out for ours.
pub(super) fn compile(schema: Value) -> Option<Compiled> {
    let mut checked = schema.clone();
    let mut nested = Vec::new();
    if let Some(properties) = checked.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties.iter_mut() {
            if property.get("$ref").and_then(Value::as_str) == Some(ACTION) {
                nested.push(name.clone());
                *property = json!({});
            }
        }
    }
    let validator = jsonschema::options()
        .with_draft(Draft::Draft4)
        .build(&checked)
        .ok()?;
    Some(Compiled {
        schema,
        validator,
        nested,
    })
}

fn action() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "_id": ACTION,
        "description": "One node of a callflow: the module to run, its data, and where to go from there",
        "type": "object",
        "required": ["data", "module"],
        "properties": {
            "module": {
                "description": "Name of the module; the schema `callflows.<module>` describes its data",
                "type": "string", "minLength": 1, "maxLength": 64, "kazoo-validation": true
            },
            "data": {"description": "Settings of the module", "type": "object", "default": {}, "kazoo-validation": true},
            "children": {
                "description": "Where to go next, by key; `_` is the default",
                "type": "object",
                "patternProperties": {".+": {"$ref": ACTION}}
            }
        }
    })
}

/// Rewrites what schemars says into KAZOO's dialect, everywhere below `schema`.
fn rewrite(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(rewrite),
        Value::Object(object) => {
            // A property may have either name; only the keywords go.
            for keyword in ["format", "title"] {
                if object.get(keyword).is_some_and(Value::is_string) {
                    object.remove(keyword);
                }
            }
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            if let Some(value) = object.remove("const") {
                object.insert("enum".into(), Value::Array(vec![value]));
            }
            drop_null(object);
            for (key, value) in object.iter_mut() {
                // Defaults and listed values are data, not schemas.
                if key != "default" && key != "enum" {
                    rewrite(value);
                }
            }
            unite_enums(object);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `Option<T>` is a key that may be missing; `null` is not a value of it.
fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
        if let [only] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            if let Value::Object(only) = only {
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
}

/// A choice among single documented strings is one `enum`.
fn unite_enums(object: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = object.get("oneOf") else {
        return;
    };
    let mut values = Vec::new();
    for choice in choices {
        match (
            choice.get("type").and_then(Value::as_str),
            choice.get("enum").and_then(Value::as_array),
        ) {
            (Some("string"), Some(listed)) => values.extend(listed.iter().cloned()),
            _ => return,
        }
    }
    object.remove("oneOf");
    object.insert("type".into(), json!("string"));
    object.insert("enum".into(), Value::Array(values));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_module_has_a_schema_that_compiles() {
        for module in modules::ALL {
            let compiled =
                compiled(module.name).unwrap_or_else(|| panic!("{} does not compile", module.name));
            assert_eq!(compiled.schema["_id"], format!("callflows.{}", module.name));
            assert_eq!(
                compiled.schema["properties"]["skip_module"]["type"],
                "boolean"
            );
        }
    }

    #[test]
    fn every_field_is_described_and_none_may_be_null() {
        for module in modules::ALL {
            let schema = &compiled(module.name).unwrap().schema;
            assert!(
                schema["description"].is_string(),
                "{} is not described",
                module.name
            );
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(
                    property["description"].is_string(),
                    "{}.{name} is not described",
                    module.name
                );
                assert!(
                    !property.to_string().contains("\"null\""),
                    "{}.{name}: {property}",
                    module.name
                );
            }
        }
    }

    #[test]
    fn known_schemas_are_served_by_id() {
        assert!(served("callflows.pivot").is_some());
        assert!(served("callflows.action").is_some());
        assert_eq!(served("callflows").unwrap()["_id"], "callflows");
        assert!(
            ids().iter().all(|id| served(id).is_some()),
            "what is listed is served"
        );
        assert!(served("callflows.voicemail").is_none());
        assert!(ids().contains(&"callflows.menu".to_owned()));
    }
}
