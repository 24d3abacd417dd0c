//! What the check of trees and documents accepts, refuses, completes and says.

use serde_json::json;

use super::*;

fn free(_: &str) -> Result<(), String> {
    Ok(())
}

fn ok(node: Value) -> Value {
    validate(&node, &free)
        .unwrap_or_else(|found| panic!("{found:#?}"))
        .document
}

fn wrong(node: Value) -> Vec<(String, String)> {
    let findings = validate(&node, &free).expect_err("accepted");
    findings
        .into_iter()
        .map(|finding| (finding.path, finding.rule))
        .collect()
}

fn found(path: &str, rule: &str) -> (String, String) {
    (path.to_owned(), rule.to_owned())
}

#[test]
fn a_good_node_gets_its_defaults_at_every_depth() {
    let node = ok(json!({
        "module": "tts", "data": {"text": "Hi"},
        "children": {"_": {"module": "pivot", "data": {"voice_url": "https://example.com/ivr"}}}
    }));
    assert_eq!(node["data"]["voice"], "female");
    assert_eq!(node["data"]["terminators"].as_array().unwrap().len(), 12);
    let pivot = &node["children"]["_"]["data"];
    assert_eq!(
        (&pivot["method"], &pivot["req_format"], &pivot["debug"]),
        (&json!("get"), &json!("kazoo"), &json!(false))
    );
    assert!(
        pivot.get("req_timeout_ms").is_none(),
        "a field without a default stays away: {pivot}"
    );
}

#[test]
fn a_node_needs_a_module_and_data() {
    assert_eq!(
        wrong(json!({})),
        [found("module", "required"), found("data", "required")]
    );
    assert_eq!(
        wrong(json!({"module": "answer"})),
        [found("data", "required")]
    );
    assert_eq!(wrong(json!([1])), [found("flow", "type")]);
    assert_eq!(
        wrong(json!({"module": 1, "data": []})),
        [found("module", "type"), found("data", "type")]
    );
    assert_eq!(
        wrong(json!({"module": "", "data": {}})),
        [found("module", "minLength")]
    );
    assert_eq!(
        wrong(json!({"module": "x".repeat(65), "data": {}})),
        [found("module", "maxLength")]
    );
}

#[test]
fn an_unknown_module_is_named() {
    let findings = validate(&json!({"module": "set_cav", "data": {}}), &free).unwrap_err();
    assert_eq!(
        findings[0].message,
        "unable to find callflow schema for module set_cav"
    );
    assert_eq!(
        (findings[0].path.as_str(), findings[0].rule.as_str()),
        ("module", "error")
    );
}

#[test]
fn a_module_that_is_not_built_is_a_warning() {
    let checked = validate(&json!({"module": "voicemail", "data": {"id": 5}}), &free).unwrap();
    assert_eq!(checked.warnings.len(), 1);
    assert!(checked.warnings[0].message.contains("voicemail"));
    assert_eq!(
        wrong(json!({"module": "voicemail", "data": "x"})),
        [found("data", "type")]
    );
}

#[test]
fn all_findings_come_at_once_with_their_paths() {
    let node = json!({
        "module": "sleep", "data": {"duration": -1, "unit": "weeks"},
        "children": {
            "1": {"module": "tts", "data": {}},
            "a.b": {"module": "language", "data": {"language": "english"}}
        }
    });
    let mut all = wrong(node);
    all.sort();
    assert_eq!(
        all,
        [
            found("children.1.data.text", "required"),
            found("children.a%2Eb.data.language", "pattern"),
            found("data.duration", "minimum"),
            found("data.unit", "enum"),
        ]
    );
}

#[test]
fn findings_say_what_was_found_and_what_was_asked_for() {
    let node = json!({"module": "pivot", "data": {"voice_url": "https://example.com", "req_timeout_ms": 6000}});
    let findings = validate(&node, &free).unwrap_err();
    assert_eq!(
        (&findings[0].value, &findings[0].target),
        (&Some(json!(6000)), &Some(json!(5000)))
    );
    assert_eq!(findings[0].rule, "maximum");
}

#[test]
fn strings_become_the_numbers_and_booleans_meant() {
    let node = ok(json!({"module": "pivot", "data": {
        "voice_url": "https://example.com", "req_timeout_ms": "4000", "debug": "true"}}));
    assert_eq!(
        (&node["data"]["req_timeout_ms"], &node["data"]["debug"]),
        (&json!(4000), &json!(true))
    );
    assert_eq!(
        wrong(json!({"module": "sleep", "data": {"duration": "-4"}})),
        [found("data.duration", "minimum")]
    );
    assert_eq!(
        wrong(json!({"module": "sleep", "data": {"duration": "soon"}})),
        [found("data.duration", "type")]
    );
}

#[test]
fn a_pivot_needs_an_http_url() {
    assert_eq!(
        wrong(json!({"module": "pivot", "data": {}})),
        [found("data.voice_url", "required")]
    );
    let ftp = wrong(json!({"module": "pivot", "data": {"voice_url": "ftp://example.com"}}));
    assert_eq!(ftp, [found("data.voice_url", "pattern")]);
}

#[test]
fn urls_are_shown_to_the_guard() {
    let guard = |url: &str| {
        if url.contains("127.0.0.1") {
            Err("127.0.0.1 is denied".to_owned())
        } else {
            Ok(())
        }
    };
    let node = |url: &str| json!({"module": "answer", "data": {}, "children": {"_": {"module": "pivot", "data": {"voice_url": url}}}});
    assert!(validate(&node("https://example.com"), &guard).is_ok());
    let findings = validate(&node("http://127.0.0.1/x"), &guard).unwrap_err();
    assert_eq!(findings[0].path, "children._.data.voice_url");
    assert_eq!(findings[0].rule, "error");
    assert!(
        findings[0].message.starts_with("invalid client URL"),
        "{}",
        findings[0].message
    );
    for (module, data) in [
        ("play", json!({"id": "http://127.0.0.1/a.wav"})),
        (
            "response",
            json!({"code": 486, "media": "HTTP://127.0.0.1/a.wav"}),
        ),
        ("webhook", json!({"uri": "http://127.0.0.1/"})),
        (
            "audio_macro",
            json!({"macros": [{"macro": "play", "id": "http://127.0.0.1/a.wav"}]}),
        ),
        (
            "pivot",
            json!({"voice_url": "https://example.com", "cdr_url": "http://127.0.0.1/"}),
        ),
    ] {
        assert!(
            validate(&json!({"module": module, "data": data}), &guard).is_err(),
            "{module}"
        );
    }
    assert!(
        validate(
            &json!({"module": "play", "data": {"id": "127.0.0.1"}}),
            &guard
        )
        .is_ok(),
        "a media id is no URL"
    );
}

#[test]
fn a_macro_item_is_judged_by_its_own_kind() {
    let items = |items: Value| json!({"module": "audio_macro", "data": {"macros": items}});
    ok(items(
        json!([{"macro": "tts", "text": "Hi"}, {"macro": "tone", "frequencies": [440], "volume": 100}]),
    ));
    assert_eq!(
        wrong(items(json!([{"macro": "tts"}]))),
        [found("data.macros.0.text", "required")]
    );
    assert_eq!(
        wrong(items(json!([{"macro": "tone", "volume": 101}]))),
        [found("data.macros.0.volume", "maximum")]
    );
    assert_eq!(wrong(items(json!([]))), [found("data.macros", "minItems")]);
    assert_eq!(
        wrong(items(json!([{"macro": "sing"}]))),
        [found("data.macros.0", "not_one_schema_valid")]
    );
}

#[test]
fn an_inline_flow_is_checked_like_any_other() {
    let node = |flow: Value| json!({"module": "callflow", "data": {"flow": flow}});
    let good = ok(node(json!({"module": "tts", "data": {"text": "Hi"}})));
    assert_eq!(good["data"]["flow"]["data"]["voice"], "female");
    assert_eq!(
        wrong(node(json!({"module": "tts", "data": {}}))),
        [found("data.flow.data.text", "required")]
    );
    let both = json!({"module": "callflow", "data": {"id": "a", "flow": {"module": "answer", "data": {}}}});
    assert_eq!(wrong(both), [found("data", "not_one_schema_valid")]);
}

#[test]
fn trees_have_limits() {
    let mut deep = json!({"module": "noop", "data": {}});
    for _ in 0..MAX_DEPTH {
        deep = json!({"module": "noop", "data": {}, "children": {"_": deep}});
    }
    assert_eq!(wrong(deep.clone())[0].1, "maxDepth");
    ok(deep["children"]["_"].clone());
    let many: Map<String, Value> = (0..MAX_TREE_NODES)
        .map(|n| (n.to_string(), json!({"module": "noop", "data": {}})))
        .collect();
    assert_eq!(
        wrong(json!({"module": "noop", "data": {}, "children": many}))
            .last()
            .unwrap()
            .1,
        "maxNodes"
    );
}

#[test]
fn unknown_data_keys_pass() {
    let node = ok(json!({"module": "answer", "data": {"anything": [1]}}));
    assert_eq!(node["data"]["anything"], json!([1]));
}

fn document(document: Value) -> Result<Checked, Vec<(String, String)>> {
    validate_document(&document, &free)
        .map_err(|all| all.into_iter().map(|f| (f.path, f.rule)).collect())
}

#[test]
fn a_callflow_document_needs_a_number_or_pattern_and_a_flow() {
    let flow = json!({"module": "answer", "data": {}});
    assert_eq!(
        document(json!({"flow": flow})).unwrap_err(),
        [found("numbers", "required")]
    );
    assert_eq!(
        document(json!({"numbers": ["1"]})).unwrap_err(),
        [found("flow", "required")]
    );
    let stored = document(json!({"numbers": ["1"], "flow": flow}))
        .unwrap()
        .document;
    assert_eq!(stored["patterns"], json!([]));
    assert!(document(json!({"patterns": ["^1$"], "flow": flow})).is_ok());
}

#[test]
fn findings_in_the_flow_have_their_path_in_the_document() {
    let bad = json!({"numbers": ["1"], "flow": {"module": "tts", "data": {}}});
    assert_eq!(
        document(bad).unwrap_err(),
        [found("flow.data.text", "required")]
    );
    assert_eq!(
        document(json!({"numbers": ["1"], "flow": 5})).unwrap_err(),
        [found("flow", "type")]
    );
}

#[test]
fn numbers_are_stored_in_full_and_once() {
    let flow = json!({"module": "answer", "data": {}});
    let stored =
        document(json!({"numbers": ["4155550100", "2030", "*97", "no_match"], "flow": flow}))
            .unwrap();
    assert_eq!(
        stored.document["numbers"],
        json!(["+14155550100", "2030", "*97", "no_match"])
    );
    let twice =
        document(json!({"numbers": ["4155550100", "+14155550100"], "flow": flow})).unwrap_err();
    assert_eq!(twice, [found("numbers", "uniqueItems")]);
    assert_eq!(
        document(json!({"numbers": [""], "flow": flow})).unwrap_err(),
        [found("numbers.0", "minLength")]
    );
}

#[test]
fn a_pattern_that_does_not_compile_is_a_warning() {
    let checked =
        document(json!({"patterns": ["("], "flow": {"module": "answer", "data": {}}})).unwrap();
    assert_eq!(checked.warnings[0].path, "patterns.0");
}

#[test]
fn a_number_of_another_callflow_is_a_conflict() {
    let other = json!({"numbers": ["2030"], "patterns": ["^9$"]});
    let index = NumberIndex::build(&json!({}), [("other", &other)]);
    let mine = json!({"numbers": ["2030", "1"], "patterns": ["^9$"]});
    let rules: Vec<_> = conflicts(&mine, Some("mine"), &index)
        .into_iter()
        .map(|f| (f.path, f.rule))
        .collect();
    assert_eq!(
        rules,
        [found("numbers", "unique"), found("patterns", "unique")]
    );
    assert!(conflicts(&mine, Some("other"), &index).is_empty());
}
