//! KAZOO's own schemas against ours: what the public schema files accept at their edges we accept, and what they
//! refuse after one mutation we refuse. The files are not part of the package; without them the test says so and
//! is skipped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};
use swivel::base::rng::Rng;
use swivel::callflow;

const MODULES: &[&str] = &[
    "after_bridge",
    "answer",
    "audio_macro",
    "branch_bnumber",
    "branch_variable",
    "call_forward",
    "call_pickup",
    "call_waiting",
    "callflow",
    "check_cid",
    "cidlistmatch",
    "collect_dtmf",
    "conference",
    "conference_feature",
    "dead_air",
    "device",
    "do_not_disturb",
    "dynamic_cid",
    "flush_dtmf",
    "group",
    "group_pickup",
    "hangup",
    "hotdesk",
    "intercept",
    "language",
    "menu",
    "noop",
    "offnet",
    "pivot",
    "play",
    "prepend_cid",
    "privacy",
    "record_call",
    "record_caller",
    "resources",
    "response",
    "ring_group",
    "ring_group_toggle",
    "send_dtmf",
    "set_alert_info",
    "set_cid",
    "set_variable",
    "set_variables",
    "sleep",
    "temporal_route",
    "tones",
    "transfer",
    "tts",
    "user",
    "wait_for_hangup",
];

const DOCUMENTS: u64 = 500;

#[test]
fn documents_at_the_edges_of_kazoos_schemas_are_judged_alike() {
    let Some(schemas) = Schemas::load() else {
        eprintln!("SKIPPED: no ../shared/kazoo-schemas beside the package");
        return;
    };
    let mut wrong = Vec::new();
    for module in MODULES {
        let schema = schemas.resolved(&format!("callflows.{module}"));
        let kazoo = jsonschema::options()
            .with_draft(Draft::Draft4)
            .build(&schema)
            .unwrap_or_else(|e| panic!("{module}: {e}"));
        let mut seed = 0;
        for n in 0..DOCUMENTS {
            let (document, used) = accepted_document(&schema, &kazoo, seed);
            seed = used + 1;
            if let Err(found) = ours(module, &document) {
                wrong.push(format!(
                    "{module} #{n} is accepted there: {document}\n    here: {found}"
                ));
            }
            let mutant = refused_mutant(&schema, &kazoo, &document, used)
                .unwrap_or_else(|| panic!("{module} #{n}: no mutation of {document} is refused"));
            if ours(module, &mutant).is_ok() {
                wrong.push(format!("{module} #{n} is refused there: {mutant}"));
            }
        }
    }
    let first: Vec<_> = wrong.iter().take(10).collect();
    assert!(wrong.is_empty(), "{} differences:\n{first:#?}", wrong.len());
}

#[test]
fn the_list_of_modules_is_the_one_that_is_served() {
    let mut served = callflow::schema_ids();
    served.retain(|id| id != "callflows.action" && id != "callflows");
    let listed: Vec<String> = MODULES.iter().map(|m| format!("callflows.{m}")).collect();
    assert_eq!(served, listed);
}

fn ours(module: &str, data: &Value) -> Result<(), String> {
    let node = json!({"module": module, "data": data});
    callflow::validate(&node, &|_url| Ok(()))
        .map(drop)
        .map_err(|found| format!("{found:?}"))
}

/// The next document from `seed` on that KAZOO accepts, and the seed that made it.
fn accepted_document(schema: &Value, kazoo: &Validator, seed: u64) -> (Value, u64) {
    for used in seed..seed + 200 {
        let document = generate(schema, &mut Rng::seeded(used));
        if kazoo.is_valid(&document) {
            return (document, used);
        }
    }
    panic!("200 documents in a row are refused by {schema}");
}

fn refused_mutant(schema: &Value, kazoo: &Validator, document: &Value, seed: u64) -> Option<Value> {
    let mut rng = Rng::seeded(seed ^ 0x6d75_7461_6e74);
    (0..200)
        .map(|_| mutate(schema, document, &mut rng))
        .find(|mutant| !kazoo.is_valid(mutant))
}

/// KAZOO's schema files; `kazoo5` lies over the older ones.
struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    fn load() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/kazoo-schemas");
        let mut all = BTreeMap::new();
        for folder in [root.clone(), root.join("kazoo5")] {
            for entry in fs::read_dir(folder).ok()? {
                let path: PathBuf = entry.unwrap().path();
                if path.extension().is_some_and(|e| e == "json") {
                    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                    let schema = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
                    all.insert(name, schema);
                }
            }
        }
        Some(Self(all))
    }

    fn resolved(&self, name: &str) -> Value {
        let schema = self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("no schema {name}"));
        self.resolve(schema)
    }

    /// Every `$ref` replaced by what it names. KAZOO's validator also applies the keys beside a `$ref`, which draft 04
    /// ignores. A nested flow node is checked one level deep here; deeper ones have the same rules.
    fn resolve(&self, schema: &Value) -> Value {
        match schema {
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.resolve(item)).collect())
            }
            Value::Object(object) => {
                let beside: Map<String, Value> = object
                    .iter()
                    .filter(|(key, _)| *key != "$ref" && *key != "_id" && *key != "$schema")
                    .map(|(key, value)| (key.clone(), self.resolve(value)))
                    .collect();
                match object.get("$ref").and_then(Value::as_str) {
                    None => Value::Object(beside),
                    Some("callflows.action") => {
                        json!({"x-node": true, "type": "object", "required": ["module", "data"],
                        "properties": {"module": {"type": "string", "minLength": 1, "maxLength": 64}, "data": {"type": "object"},
                        "children": {"type": "object"}}})
                    }
                    Some(name) => json!({"allOf": [self.resolved(name), beside]}),
                }
            }
            other => other.clone(),
        }
    }
}

/// One schema for what several demand together.
fn merged(schema: &Value) -> Value {
    let Some(all) = schema.get("allOf").and_then(Value::as_array) else {
        return schema.clone();
    };
    let mut out = Map::new();
    for part in all.iter().map(merged) {
        for (key, value) in part.as_object().unwrap() {
            match (out.get_mut(key), value) {
                (Some(Value::Object(have)), Value::Object(more)) => have.extend(more.clone()),
                (Some(Value::Array(have)), Value::Array(more)) if key == "required" => {
                    have.extend(more.clone())
                }
                _ => {
                    out.insert(key.clone(), value.clone());
                }
            }
        }
    }
    Value::Object(out)
}

fn pick<'a, T>(items: &'a [T], rng: &mut Rng) -> &'a T {
    &items[rng.below(items.len() as u64) as usize]
}

fn chance(rng: &mut Rng, of: u64) -> bool {
    rng.below(of) == 0
}

/// A document at the edges of what `schema` allows.
fn generate(schema: &Value, rng: &mut Rng) -> Value {
    let schema = merged(schema);
    if schema.get("x-node").is_some() {
        return pick(
            &[
                json!({"module": "answer", "data": {}}),
                json!({"module": "tts", "data": {"text": "x"}, "children": {"_": {"module": "hangup", "data": {}}}}),
            ],
            rng,
        )
        .clone();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return pick(values, rng).clone();
    }
    let kind = schema.get("type").and_then(Value::as_str);
    if let (Some(choices), None | Some("object")) =
        (schema.get("oneOf").and_then(Value::as_array), kind)
        && kind.is_none()
    {
        return generate(pick(choices, rng), rng);
    }
    match kind {
        Some("boolean") => json!(chance(rng, 2)),
        Some("integer") => integer(&schema, rng),
        Some("string") => json!(string(&schema, rng)),
        Some("array") => array(&schema, rng),
        Some("object") => object(&schema, rng),
        _ => junk(rng),
    }
}

fn integer(schema: &Value, rng: &mut Rng) -> Value {
    let low = schema.get("minimum").and_then(Value::as_i64);
    let high = schema.get("maximum").and_then(Value::as_i64);
    let mut edges = vec![
        0,
        1,
        -1,
        7,
        2_000,
        i64::from(i32::MAX) + 1,
        i64::MAX,
        i64::MIN,
    ];
    edges.extend(low.iter().flat_map(|low| [*low, *low + 1]));
    edges.extend(high.iter().flat_map(|high| [*high, *high - 1]));
    edges.retain(|n| low.is_none_or(|low| *n >= low) && high.is_none_or(|high| *n <= high));
    if high.is_none() && chance(rng, 20) {
        return json!(u64::MAX);
    }
    json!(pick(&edges, rng))
}

fn string(schema: &Value, rng: &mut Rng) -> String {
    let low = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
    let high = schema.get("maxLength").and_then(Value::as_u64);
    match schema.get("pattern").and_then(Value::as_str) {
        Some("^https?://") => {
            let urls = [
                "http://",
                "https://",
                "https://example.com/a?b=c#d",
                "http://user:pass@h:81/",
                "https://\u{e9}",
            ];
            return (*pick(&urls, rng)).to_owned();
        }
        Some(pattern) if pattern.contains("[A-Za-z]{2}") => {
            return (*pick(&["en", "DE", "fr-FR", "zz-zz"], rng)).to_owned();
        }
        Some("^[0-9]+$") => return (*pick(&["0", "1234", "00000000000000000000"], rng)).to_owned(),
        Some(pattern) => panic!("no strings for {pattern}"),
        None => {}
    }
    let words = [
        "",
        "a",
        "#",
        "default",
        "no_match",
        "match",
        "\u{1f4de}\u{e4}",
        " ",
        "1",
        "null",
        "{}",
        "a.b",
        "pvt_x",
        "http://x/",
    ];
    let lengths = [
        low,
        low + 1,
        high.unwrap_or(300),
        high.unwrap_or(300).saturating_sub(1),
    ];
    if chance(rng, 3) || high.is_some() {
        let length = *pick(&lengths, rng);
        let letter = *pick(&['x', '\u{e4}', '9'], rng);
        return std::iter::repeat_n(letter, length as usize).collect();
    }
    (*pick(&words, rng)).to_owned()
}

fn array(schema: &Value, rng: &mut Rng) -> Value {
    let low = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
    let count = low + *pick(&[0, 0, 1, 2, 13], rng);
    let unique = schema.get("uniqueItems") == Some(&json!(true));
    let mut items: Vec<Value> = Vec::new();
    for _ in 0..count {
        let item = match schema.get("items") {
            Some(of) => item(of, rng),
            None => junk(rng),
        };
        if !unique || !items.contains(&item) {
            items.push(item);
        }
    }
    Value::Array(items)
}

/// An item of a list of alternatives: the alternative's own keys and those all share.
fn item(schema: &Value, rng: &mut Rng) -> Value {
    let Some(choices) = schema.get("oneOf").and_then(Value::as_array) else {
        return generate(schema, rng);
    };
    let mut value = generate(pick(choices, rng), rng);
    if let (Value::Object(value), Some(required)) =
        (&mut value, schema.get("required").and_then(Value::as_array))
    {
        let missing = required
            .iter()
            .filter_map(Value::as_str)
            .filter(|key| !value.contains_key(*key))
            .count();
        if missing > 0 {
            // Filled from the alternative's own property by making it again.
            return item(schema, rng);
        }
    }
    value
}

fn object(schema: &Value, rng: &mut Rng) -> Value {
    let mut out = Map::new();
    let empty = Map::new();
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let mut required: Vec<&str> = names(schema);
    let mut forbidden: Vec<&str> = Vec::new();
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        let chosen = pick(choices, rng);
        required.extend(names(chosen));
        for other in choices.iter().filter(|other| *other != chosen) {
            // One missing key is enough to make another alternative fail; leave all of them out.
            forbidden.extend(names(other));
        }
    }
    let share = *pick(&[1, 2, 2, 4, 1000], rng);
    for (name, property) in properties {
        let wanted = required.contains(&name.as_str());
        if wanted || (!forbidden.contains(&name.as_str()) && chance(rng, share)) {
            out.insert(name.clone(), generate(property, rng));
        }
    }
    if let Some(patterns) = schema.get("patternProperties").and_then(Value::as_object) {
        for (pattern, property) in patterns {
            let names: &[&str] = match pattern.as_str() {
                "^[x|X]-" => &["X-One", "x-two", "|-bar", "Other"],
                "^[a-zA-z0-9_\\-]+$" => &["X-One", "a_b", "[", "0"],
                other => panic!("no names for {other}"),
            };
            for name in names.iter().copied() {
                if chance(rng, 2) {
                    out.insert(name.into(), generate(property, rng));
                }
            }
        }
    }
    if chance(rng, 3) {
        let key = *pick(&["unknown", "x y", "\u{e9}", "data", "pvt_a"], rng);
        out.insert(key.into(), junk(rng));
    }
    Value::Object(out)
}

fn names(schema: &Value) -> Vec<&str> {
    let listed = schema.get("required").and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Values no coercion turns into something else.
fn junk(rng: &mut Rng) -> Value {
    let values = [
        json!(null),
        json!({"x": 1}),
        json!([[1]]),
        json!("~not~"),
        json!(0.5),
        json!(true),
        json!(-7),
        json!(99_999_999_999u64),
        json!(""),
        json!([]),
        json!({}),
        json!(["~", "~"]),
    ];
    pick(&values, rng).clone()
}

/// One change: a value replaced, a key dropped, or the whole replaced.
fn mutate(schema: &Value, document: &Value, rng: &mut Rng) -> Value {
    let mut mutant = document.clone();
    let schema = merged(schema);
    match rng.below(8) {
        0 => return junk(rng),
        1 => {
            if let Value::Object(object) = &mut mutant {
                let keys: Vec<String> = object.keys().cloned().collect();
                if !keys.is_empty() {
                    object.remove(pick(&keys, rng));
                }
            }
        }
        2..=4 => {
            if let (Value::Object(object), Some(properties)) = (
                &mut mutant,
                schema.get("properties").and_then(Value::as_object),
            ) {
                let keys: Vec<&String> = properties.keys().collect();
                let key = (*pick(&keys, rng)).clone();
                object.insert(key.clone(), beyond(&properties[&key], rng));
            }
        }
        _ => {
            let mut paths = Vec::new();
            pointers(&mutant, String::new(), &mut paths);
            let path = pick(&paths, rng).clone();
            if let Some(slot) = mutant.pointer_mut(&path) {
                *slot = junk(rng);
            }
        }
    }
    mutant
}

/// A value just beyond what `schema` allows, or of another kind.
fn beyond(schema: &Value, rng: &mut Rng) -> Value {
    let schema = merged(schema);
    let mut values = vec![junk(rng)];
    if let Some(low) = schema.get("minimum").and_then(Value::as_i64) {
        values.push(json!(low - 1));
    }
    if let Some(high) = schema.get("maximum").and_then(Value::as_i64) {
        values.push(json!(high + 1));
    }
    if let Some(high) = schema.get("maxLength").and_then(Value::as_u64) {
        values.push(json!("x".repeat(high as usize + 1)));
    }
    if schema.get("minLength").is_some() || schema.get("pattern").is_some() {
        values.push(json!(""));
        values.push(json!("english"));
        values.push(json!("ftp://x"));
    }
    if let Some([first, ..]) = schema
        .get("enum")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        values.push(json!(format!("{}~", first.as_str().unwrap_or_default())));
        values.push(json!(first.as_str().unwrap_or_default().to_uppercase()));
    }
    if schema.get("uniqueItems") == Some(&json!(true)) {
        values.push(json!(["1", "1"]));
    }
    pick(&values, rng).clone()
}

fn pointers(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, below) in object {
                pointers(
                    below,
                    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    out,
                );
            }
        }
        Value::Array(items) => {
            for (n, below) in items.iter().enumerate() {
                pointers(below, format!("{at}/{n}"), out);
            }
        }
        _ => {}
    }
    out.push(at);
}
