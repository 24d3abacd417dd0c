//! What the schemas accept, refuse and add.

use serde_json::json;

use super::*;

fn checked(id: &str, document: Value) -> Result<Value, Vec<(String, String)>> {
    let mut fields = document.as_object().cloned().unwrap();
    let findings = complete(id, &mut fields);
    match findings.is_empty() {
        true => Ok(Value::Object(fields)),
        false => Err(findings.into_iter().map(|f| (f.path, f.rule)).collect()),
    }
}

#[test]
fn every_schema_compiles_and_is_listed() {
    assert_eq!(ALL.len(), 19, "{:?}", ALL.keys());
    let ids = ids();
    for id in ["accounts", "callflows.pivot", "users"] {
        assert!(ids.contains(&id.to_owned()), "{id} of {ids:?}");
        let schema = served(id).unwrap();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-04/schema#");
        assert_eq!(schema["_id"], id);
    }
}

#[test]
fn defaults_are_inserted_also_inside_inserted_objects() {
    let user = checked("users", json!({"first_name": "A", "last_name": "B"})).unwrap();
    assert_eq!(user["priv_level"], "user");
    assert_eq!(user["enabled"], true);
    assert_eq!(
        user["hotdesk"],
        json!({"enabled": false, "keep_logged_in_elsewhere": false, "require_pin": false})
    );
    let device = checked("devices", json!({"name": "d", "media": {}})).unwrap();
    assert_eq!(
        device["sip"],
        json!({"expire_seconds": 300, "invite_format": "contact", "method": "password"})
    );
    assert_eq!(
        device["media"]["encryption"],
        json!({"enforce_security": false, "methods": []})
    );
    let menu = checked("menus", json!({"name": "m"})).unwrap();
    assert_eq!(
        (&menu["retries"], &menu["hunt"], &menu["media"]),
        (&json!(3), &json!(true), &json!({}))
    );
}

#[test]
fn strings_become_what_is_meant() {
    let menu = checked(
        "menus",
        json!({"name": "m", "retries": "5", "hunt": "false"}),
    )
    .unwrap();
    assert_eq!(
        (&menu["retries"], &menu["hunt"]),
        (&json!(5), &json!(false))
    );
}

#[test]
fn all_broken_rules_are_found_with_kazoos_names() {
    let device = json!({
        "sip": {"method": "telepathy", "username": "x", "expire_seconds": "soon"},
        "owner_id": "short",
        "media": {"audio": {"codecs": ["PCMU", "PCMU"]}},
        "call_forward": {"number": "1".repeat(36)},
    });
    let mut found = checked("devices", device).unwrap_err();
    found.sort();
    let want = [
        ("call_forward.number", "maxLength"),
        ("media.audio.codecs", "uniqueItems"),
        ("name", "required"),
        ("owner_id", "minLength"),
        ("sip.expire_seconds", "type"),
        ("sip.method", "enum"),
        ("sip.username", "minLength"),
    ];
    assert_eq!(
        found,
        want.map(|(path, rule)| (path.to_owned(), rule.to_owned()))
    );
}

#[test]
fn closed_objects_refuse_further_keys_and_open_ones_keep_them() {
    let account = json!({"name": "a", "preflow": {"other": 1}, "x": {"y": 1}});
    assert_eq!(
        checked("accounts", account).unwrap_err()[0].1,
        "additionalProperties"
    );
    assert_eq!(
        checked("accounts", json!({"name": "a", "x": {"y": 1}})).unwrap()["x"],
        json!({"y": 1})
    );
    let plan = json!({"name": "a", "dial_plan": {"system": ["x"], "^1": {"prefix": "+"}}});
    assert!(checked("accounts", plan).is_ok());
    assert!(
        checked(
            "accounts",
            json!({"name": "a", "dial_plan": {"^1": {"prefix": 1}}})
        )
        .is_err()
    );
    assert!(
        checked(
            "menus",
            json!({"name": "m", "media": {"exit_media": false, "greeting": "abc"}})
        )
        .is_ok()
    );
    assert!(checked("menus", json!({"name": "m", "media": {"exit_media": 1}})).is_err());
}
