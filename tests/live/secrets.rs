//! Secrets that go through the server while it says as much as it can: none of them is in what it says.

use std::process::Command;

use serde_json::json;

use super::desk::PASSWORD;
use super::http;
use super::telephone::{Over, house};
use super::tools::{printed, run, stdout, swivel};
use super::web::Web;

#[test]
fn no_secret_is_in_the_log_the_trace_the_records_or_an_export_that_hides_them() {
    let web = Web::start(None);
    let hook = web
        .url("/ok")
        .replace("http://", "http://hookuser:canary-hook-1@");
    let pivot = json!({"module": "pivot", "data": {"voice_url": hook, "debug": true,
        "custom_request_headers": {"Authorization": "Bearer canary-header-2"}}, "children": {}});
    let flow = super::telephone::flow("2030", &pivot);
    let house = house(&[("SWIVEL_LOG__LEVEL", "trace")], &[], &[flow]);
    let server = &house.server;
    let login = [("X-Auth-Token", server.token())];
    let account = format!("/v2/accounts/{}", server.account);
    let patched = json!({"data": {"auth_token": "canary-token-3"}});
    let reply = http::request(server.api, "PATCH", &account, &login, Some(&patched)).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    for (noun, document) in [
        (
            "users",
            json!({"first_name": "A", "last_name": "B", "username": "carl", "password": "canary-user-4"}),
        ),
        (
            "resources",
            json!({"name": "carrier", "gateways": [{"server": "127.0.0.1", "port": 9, "username": "u", "password": "canary-trunk-5", "register": true}]}),
        ),
        (
            "conferences",
            json!({"name": "room", "member": {"pins": ["4857201"]}}),
        ),
    ] {
        assert!(server.create(noun, &document).is_some(), "{noun}");
    }
    // A registration, a call, its records; a token in a query; a guess at the other API.
    let _phone = house.phone("ann", Over::Udp, &["--answer"]);
    let mut caller = house.call("ben", "2030", Over::Udp, &["--max-seconds", "3"]);
    let _how_it_went = caller.finish();
    let query = format!("{account}/cdrs?auth_token={}", server.token());
    let reply = http::request(server.api, "GET", &query, &[], None).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    let basic = [("Authorization", "Basic YWRtaW46Y2FuYXJ5LWd1ZXNzLTY=")];
    let path = format!("/2010-04-01/Accounts/AC{}/Calls.json", server.account);
    let guess = http::request(server.api, "GET", &path, &basic, None).unwrap();
    assert_eq!(guess.status, 401, "{}", guess.body);

    let export = run(Command::new(swivel())
        .args(["export", "--redact", "--config"])
        .arg(server.config()));
    assert!(export.status.success(), "{}", printed(&export));
    let mut said = vec![
        ("the log", server.log()),
        ("the export", stdout(&export)),
        (
            "the metrics",
            http::request(server.api, "GET", "/metrics", &[], None)
                .unwrap()
                .body,
        ),
    ];
    for path in [
        "cdrs",
        "audit",
        "channels",
        "registrations",
        "users",
        "resources",
        "webhooks/attempts",
        "pivot/debug",
    ] {
        said.push((path, server.data(path).to_string()));
    }
    let calls = server.data("cdrs");
    let call = calls[0]["call_id"].as_str().unwrap();
    let trace = run(Command::new(swivel())
        .args(["trace", call, "--config"])
        .arg(server.config()));
    said.push(("the trace", printed(&trace)));
    let secrets = [
        PASSWORD,
        server.token(),
        "canary-hook-1",
        "canary-header-2",
        "canary-token-3",
        "canary-user-4",
        "canary-trunk-5",
        "canary-guess-6",
        "4857201",
        // Base64 of hookuser:canary-hook-1 and of the guess.
        "aG9va3VzZXI6Y2FuYXJ5LWhvb2stMQ",
        "YWRtaW46Y2FuYXJ5LWd1ZXNzLTY",
    ];
    for (what, text) in &said {
        for secret in secrets {
            let at = text.find(secret);
            let around = at.map(|at| text.get(at.saturating_sub(200)..at).unwrap_or_default());
            assert!(at.is_none(), "{secret} is in {what}, after {around:?}");
        }
    }
}
