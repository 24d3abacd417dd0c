//! The API described for machines: OpenAPI 3.1, made of the table of endpoints and of the schemas documents are checked
//! against, so that it cannot say anything else than what is done. Served at `/v2/openapi.json`; `docs/openapi.json` is the
//! same, and a test says when it is not.

use serde_json::{Map, Value, json};

use super::resources::{self, Resource};
use super::schemas;
use super::verb::Verb;

/// Where it is served.
pub(super) const PATH: &str = "/v2/openapi.json";

/// Words that follow nouns or ids somewhere. Which of them exist where is asked of the endpoints.
const WORDS: &[&str] = &[
    "activate",
    "api_key",
    "attempts",
    "check",
    "children",
    "classifiers",
    "collection",
    "connect",
    "count",
    "debug",
    "descendants",
    "entries",
    "events",
    "find",
    "har",
    "history",
    "identify",
    "interaction",
    "json",
    "legs",
    "lint",
    "mwi",
    "parents",
    "participants",
    "pcap",
    "peaks",
    "port",
    "preview",
    "raw",
    "recordings",
    "replay",
    "reserve",
    "run",
    "samples",
    "siblings",
    "status",
    "sync",
    "test",
    "tree",
    "validation",
    "delete",
    "download",
    "upload",
];
/// Stands for an id.
const ID: &str = "{id}";
/// A word no endpoint knows.
const NO_WORD: &str = "zz";

/// The whole description.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for resource in resources::ALL {
        for prefix in places(resource) {
            for args in arguments(resource) {
                add(&mut paths, resource, &prefix, &args);
            }
        }
    }
    paths.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "swivel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A SIP B2BUA with a built-in Pivot engine. The API has the shape of KAZOO's Crossbar, version 2.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/v2"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "responses": {
                "error": {
                    "description": "Why not: `message` is the error's name, `data` says more",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/swivel.error"}}},
                },
            },
            "schemas": components(),
        },
    })
}

/// Where an endpoint stands.
fn places(resource: &Resource) -> Vec<String> {
    let below = format!("/accounts/{{account_id}}/{}", resource.name);
    match resource.name {
        "account" => Vec::new(),
        "quickcall" => ["devices", "users"]
            .map(|noun| format!("/accounts/{{account_id}}/{noun}/{{owner_id}}/quickcall"))
            .to_vec(),
        "registrations" | "search" | "webhooks" | "websockets" => {
            vec![below, format!("/{}", resource.name)]
        }
        _ if resource.of_account => vec![below],
        name => vec![format!("/{name}")],
    }
}

/// What may follow the noun.
fn arguments(resource: &Resource) -> Vec<Vec<&'static str>> {
    let verbs = |args: &[&str]| (resource.verbs)(args);
    let is = |args: &[&str]| !verbs(args).is_empty();
    let mut found: Vec<Vec<&'static str>> = vec![Vec::new(), vec![ID]];
    for word in WORDS {
        if verbs(&[word]) != verbs(&[ID]) {
            found.push(vec![word]);
        }
        if !is(&[ID, NO_WORD]) {
            found.push(vec![ID, word]);
        }
        if !is(&[NO_WORD, ID]) {
            found.push(vec![word, ID]);
        }
        if !is(&[ID, NO_WORD, ID]) {
            found.push(vec![ID, word, ID]);
        }
        let others = WORDS
            .iter()
            .filter(|other| !is(&[word, ID]) && !is(&[ID, *other]));
        found.extend(others.map(|other| vec![word, *other]));
    }
    found.push(vec!["debug", ID, ID, "replay"]);
    found.retain(|args| is(args));
    found
}

fn add(paths: &mut Map<String, Value>, resource: &Resource, prefix: &str, args: &[&str]) {
    let mut path = prefix.to_owned();
    let mut ids = 0;
    for arg in args {
        let shown = match (*arg, ids, resource.name) {
            (ID, 0, "accounts") => "{account_id}".to_owned(),
            (ID, 0, _) => "{id}".to_owned(),
            (ID, _, _) => "{other_id}".to_owned(),
            (word, ..) => word.to_owned(),
        };
        ids += usize::from(*arg == ID);
        path.push('/');
        path.push_str(&shown);
    }
    let at_account = prefix.starts_with("/accounts/");
    let parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let mut item = Map::new();
    if !parameters.is_empty() {
        item.insert("parameters".into(), Value::Array(parameters));
    }
    if !at_account && resource.name == "registrations" && args != ["count"] {
        return;
    }
    for verb in (resource.verbs)(args) {
        let mut open = (resource.open)(*verb, args);
        // These stand in both places, and are open without an account only.
        if matches!(resource.name, "webhooks" | "websockets") {
            if !at_account && !open {
                continue;
            }
            open &= !at_account;
        }
        item.insert(
            verb.name().to_lowercase(),
            operation(resource, *verb, args, &path, open),
        );
    }
    if item.keys().any(|key| key != "parameters") {
        paths.insert(path, Value::Object(item));
    }
}

fn operation(resource: &Resource, verb: Verb, args: &[&str], path: &str, open: bool) -> Value {
    let status = if verb == Verb::Put { "201" } else { "200" };
    let words = path.trim_start_matches('/').replace(['/', '{', '}'], "_");
    let mut operation = json!({
        "operationId": format!("{}_{}", verb.name().to_lowercase(), words.trim_matches('_')),
        "tags": [resource.name],
        "responses": {
            status: {
                "description": "Done",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/swivel.success"}}},
            },
            "default": {"$ref": "#/components/responses/error"},
        },
    });
    let Some(fields) = operation.as_object_mut() else {
        return operation;
    };
    if let Some(data) = said(resource, verb, args)
        && let Some(schema) = fields
            .get_mut("responses")
            .and_then(|all| all.get_mut(status))
            .and_then(|one| one.pointer_mut("/content/application~1json/schema"))
    {
        *schema = json!({
            "allOf": [schema.take(), {"type": "object", "properties": {"data": data}}],
        });
    }
    if (args == [ID, "connect"] || resource.name == "quickcall")
        && let Some(responses) = fields.get_mut("responses").and_then(Value::as_object_mut)
    {
        responses.insert(
            "202".into(),
            responses.get("200").cloned().unwrap_or_default(),
        );
    }
    if open {
        fields.insert("security".into(), json!([]));
    }
    if matches!(verb, Verb::Put | Verb::Post | Verb::Patch) {
        if resource.name == "twiml" {
            fields.insert("requestBody".into(), twiml_body());
            return operation;
        }
        let of_document = args.is_empty() || args == [ID];
        let known = schemas::served(resource.name).is_some() && of_document && verb != Verb::Patch;
        let data = if known {
            json!({"$ref": format!("#/components/schemas/{}", resource.name)})
        } else {
            json!({})
        };
        fields.insert(
            "requestBody".into(),
            json!({"content": {"application/json": {"schema": {
                "type": "object",
                "properties": {"data": data},
                "required": ["data"],
            }}}}),
        );
    }
    operation
}

/// A document to be looked at: as it is, inside an envelope, or the name of one that is kept.
fn twiml_body() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let data = json!({
        "type": "object",
        "properties": {
            "flow_doc": text("The document"),
            "document": text("In its place, the id or name of one that is kept"),
            "profile": {"enum": ["kazoo", "twilio"]},
            "digits": text("run: keys to press where keys are collected; a comma ends what one collection gets"),
            "url": text("run: where the document is taken to come from"),
        },
    });
    let envelope = json!({"type": "object", "properties": {"data": data}, "required": ["data"]});
    json!({"content": {
        "application/json": {"schema": envelope},
        "application/xml": {"schema": {"type": "string"}},
        "text/xml": {"schema": {"type": "string"}},
    }})
}

/// What the answer of an endpoint of documents holds.
fn said(resource: &Resource, verb: Verb, args: &[&str]) -> Option<Value> {
    let of_documents = (resource.verbs)(&[]).contains(&Verb::Put)
        && (resource.verbs)(&[ID]).contains(&Verb::Post)
        && schemas::served(resource.name).is_some();
    match (args, verb) {
        ([], Verb::Get) if of_documents => {
            Some(json!({"type": "array", "items": {"type": "object"}}))
        }
        ([] | [ID], _) if of_documents && resource.name != "accounts" => {
            Some(json!({"$ref": format!("#/components/schemas/{}", resource.name)}))
        }
        _ => None,
    }
}

fn components() -> Value {
    let mut all = Map::new();
    for id in schemas::ids() {
        if let Some(mut schema) = schemas::served(&id) {
            modern(&mut schema);
            all.insert(id, schema);
        }
    }
    let envelope = |status: &str| {
        json!({
            "type": "object",
            "properties": {
                "data": {},
                "status": {"const": status},
                "request_id": {"type": "string"},
                "timestamp": {"type": "string"},
            },
            "required": ["data", "status", "request_id"],
        })
    };
    all.insert("swivel.success".into(), envelope("success"));
    let mut error = envelope("error");
    error["properties"]["error"] = json!({"type": "string", "description": "The HTTP status"});
    error["properties"]["message"] = json!({"type": "string"});
    all.insert("swivel.error".into(), error);
    Value::Object(all)
}

/// From draft 04, as KAZOO has it, to the dialect of OpenAPI 3.1.
fn modern(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(modern),
        Value::Object(fields) => {
            fields.remove("$schema");
            fields.remove("_id");
            // KAZOO begins with an empty object although it then lacks something.
            let lacks = fields
                .get("required")
                .and_then(Value::as_array)
                .is_some_and(|all| !all.is_empty());
            if lacks && fields.get("default") == Some(&json!({})) {
                fields.remove("default");
            }
            let named = fields.get("$ref").and_then(Value::as_str);
            if let Some(named) = named
                .filter(|named| !named.starts_with('#'))
                .map(str::to_owned)
            {
                fields.insert(
                    "$ref".into(),
                    json!(format!("#/components/schemas/{named}")),
                );
            }
            for (bound, exclusive) in [
                ("minimum", "exclusiveMinimum"),
                ("maximum", "exclusiveMaximum"),
            ] {
                if let Some(Value::Bool(yes)) = fields.get(exclusive).cloned() {
                    fields.remove(exclusive);
                    if yes && let Some(value) = fields.remove(bound) {
                        fields.insert(exclusive.into(), value);
                    }
                }
            }
            fields
                .iter_mut()
                .filter(|(key, _)| *key != "default" && *key != "enum")
                .for_each(|(_, value)| modern(value));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SWIVEL_WRITE_OPENAPI=1 cargo test --lib api::openapi` writes the file anew.
    #[test]
    fn the_file_in_docs_is_what_is_served() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let mut document = serde_json::to_string_pretty(&document()).unwrap();
        document.push('\n');
        if std::env::var_os("SWIVEL_WRITE_OPENAPI").is_some() {
            std::fs::write(file, &document).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            kept == document,
            "docs/openapi.json is stale: SWIVEL_WRITE_OPENAPI=1 cargo test --lib api::openapi"
        );
    }

    #[test]
    fn every_endpoint_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        for resource in resources::ALL
            .iter()
            .filter(|resource| resource.name != "account")
        {
            let named = |item: &Value| {
                let mut operations = item.as_object().unwrap().values();
                operations.any(|operation| operation["tags"] == json!([resource.name]))
            };
            assert!(paths.values().any(named), "{}", resource.name);
        }
        for path in [
            "/accounts/{account_id}/clicktocall/{id}/connect",
            "/accounts/{account_id}/devices/{owner_id}/quickcall/{id}",
            "/accounts/{account_id}/lists/{id}/entries/{other_id}",
            "/accounts/{account_id}/webhooks/{id}/attempts",
            "/accounts/{account_id}",
            "/accounts",
            "/user_auth",
            "/webhooks",
        ] {
            assert!(paths.contains_key(path), "{path} of {:?}", paths.keys());
        }
        assert_eq!(paths["/user_auth"]["put"]["security"], json!([]));
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            let found = document.pointer(pointer.trim_start_matches('#'));
            assert!(found.is_some(), "{pointer}");
        }
    }
}
