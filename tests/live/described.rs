//! schemathesis asks the API what its own description lets it ask, and judges the answers by it: nothing that is a server's
//! error, nothing that the description does not say.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::http;
use super::peer::soak;
use super::server::{Server, encoded};
use super::tools::{printed, python, run, stdout};

/// Answers judged.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Where logins and tokens are, which would end the token everything is asked with; and streams.
const NOT_ASKED: &str = "user_auth|token_auth|websocket";

/// A document of each kind, so that paths with ids lead somewhere.
fn documents() -> Vec<(&'static str, Value)> {
    let flow = json!({"module": "tts", "data": {"text": "hello"}, "children": {}});
    vec![
        ("users", json!({"first_name": "A", "last_name": "B"})),
        ("devices", json!({"name": "d"})),
        (
            "callflows",
            json!({"name": "f", "numbers": ["4711"], "flow": flow}),
        ),
        ("menus", json!({"name": "m"})),
        ("conferences", json!({"name": "r"})),
        ("lists", json!({"name": "l"})),
        ("media", json!({"name": "x", "media_source": "upload"})),
        ("groups", json!({"name": "g", "endpoints": {}})),
        ("directories", json!({"name": "y"})),
        ("blacklists", json!({"name": "b"})),
        ("clicktocall", json!({"name": "c", "extension": "4711"})),
        (
            "webhooks",
            json!({"name": "h", "hook": "all", "uri": "https://hooks.invalid/"}),
        ),
        ("documents", json!({"name": "t", "flow_doc": "<Response/>"})),
        ("temporal_rules", json!({"name": "z", "cycle": "daily"})),
        (
            "temporal_rules_sets",
            json!({"name": "s", "temporal_rules": ["00000000000000000000000000000001"]}),
        ),
        (
            "resources",
            json!({"name": "carrier", "gateways": [{"server": "sip.invalid"}]}),
        ),
    ]
}

/// What schemathesis is to know: the account, the token, and ids that exist. Deleting takes ids that do not.
fn settings(account: &str, token: &str, ids: &BTreeMap<&str, String>) -> String {
    let mut text = format!(
        "[parameters]\n\"path.account_id\" = \"{account}\"\n[auth.openapi.token]\napi_key = \"{token}\"\n"
    );
    for (noun, id) in ids {
        text.push_str(&format!(
            "[[operations]]\ninclude-path-regex = \"^/accounts/\\\\{{account_id\\\\}}/{noun}/\\\\{{id\\\\}}\"\n\
             exclude-method = \"DELETE\"\nparameters = {{ \"path.id\" = \"{id}\" }}\n"
        ));
    }
    text
}

#[test]
fn what_the_description_allows_is_answered_as_it_says() {
    let Some(python) = python("schemathesis") else {
        panic!("make installs .venv/schemathesis");
    };
    let plenty = [
        ("SWIVEL_HTTP__RATE__BURST", "100000000"),
        ("SWIVEL_HTTP__RATE__PER_SECOND", "1000000"),
        ("SWIVEL_HTTP__RATE__ANONYMOUS_BURST", "100000000"),
        ("SWIVEL_HTTP__RATE__ANONYMOUS_PER_SECOND", "1000000"),
    ];
    let mut server = Server::start(&plenty, json!({}));
    let mut ids = BTreeMap::new();
    for (noun, document) in documents() {
        let id = server.create(noun, &document);
        ids.insert(noun, id.unwrap_or_else(|| panic!("{noun} was not taken")));
    }
    let file = server.folder().join("schemathesis.toml");
    let given = settings(&server.account, server.token(), &ids);
    std::fs::write(&file, given).unwrap();
    // Deleting comes last: what one answer names, another request deletes, be it who asks.
    let meant = ["--mode", "positive", "--exclude-method", "DELETE"];
    let examples = if soak() { "80" } else { "6" };
    let (folder, api) = (server.folder().to_owned(), server.api);
    let asked = |how: &[&str], left_out: &str| {
        run(Command::new(python.with_file_name("schemathesis"))
            .current_dir(&folder)
            .arg("--config-file")
            .arg(&file)
            .arg("run")
            .arg(format!("http://{api}/v2/openapi.json"))
            .args(how)
            .args(["--checks", CHECKS, "--max-examples", examples])
            .args(["--exclude-path-regex", left_out])
            .args(["--suppress-health-check", "all", "--continue-on-failure"])
            .args([
                "--no-shrink",
                "--no-color",
                "--warnings",
                "off",
                "--workers",
                "2",
            ])
            .args(["--seed", "4711", "--request-timeout", "30"]))
    };
    let fuzzing = [&meant[..], &["--phases", "fuzzing"]].concat();
    let output = asked(&fuzzing, NOT_ASKED);
    let said = stdout(&output);
    assert!(output.status.success(), "{}", printed(&output));
    let cases = said.lines().find_map(|line| {
        let (count, _) = line.trim().split_once(" generated")?;
        count.replace(',', "").parse().ok()
    });
    let cases: u64 = cases.unwrap_or_else(|| panic!("no count of cases: {said}"));
    assert!(cases > if soak() { 10_000 } else { 500 }, "{said}");
    server.assert_running();
    // It was somebody who asked: most is refused for what it says, not for who says it.
    let metrics = http::request(server.api, "GET", "/metrics", &[], None)
        .unwrap()
        .body;
    let count = |name: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>()
    };
    let strangers = count("swivel_http_refused_total{status=\"401\"}");
    let all = count("swivel_http_requests_total");
    assert!(strangers < all / 5.0, "{strangers} of {all}");
    for (noun, id) in &ids {
        let path = format!("/v2/accounts/{}/{noun}/{}", server.account, encoded(id));
        let login = [("X-Auth-Token", server.token())];
        let reply = http::request(server.api, "GET", &path, &login, None).unwrap();
        assert_eq!(reply.status, 200, "{noun}: {}", reply.body);
    }
    if soak() {
        let more = ["--phases", "coverage,fuzzing", "--exclude-method", "DELETE"];
        let output = asked(&more, NOT_ASKED);
        assert!(output.status.success(), "{}", printed(&output));
        server.assert_running();
    }
    // The key of the account outlives its users.
    let key = server.data("api_key")["api_key"].clone();
    let login = json!({"data": {"api_key": key}});
    let reply = http::request(server.api, "PUT", "/v2/api_auth", &[], Some(&login)).unwrap();
    let reply: Value = serde_json::from_str(&reply.body).unwrap();
    let token = reply["auth_token"].as_str().unwrap();
    std::fs::write(&file, settings(&server.account, token, &ids)).unwrap();
    // Who deletes his account has none. One with accounts below it is refused with 500, as KAZOO does.
    let left_out = format!("{NOT_ASKED}|^/accounts/\\{{account_id\\}}$");
    let delete = ["--phases", "coverage,fuzzing", "--include-method", "DELETE"];
    let output = asked(&delete, &left_out);
    assert!(output.status.success(), "{}", printed(&output));
    server.assert_running();
    let path = format!("/v2/accounts/{}", server.account);
    let reply = http::request(server.api, "GET", &path, &[("X-Auth-Token", token)], None).unwrap();
    assert_eq!(reply.status, 200, "the token lives: {}", reply.body);
}
