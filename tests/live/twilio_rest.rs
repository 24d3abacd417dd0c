//! Twilio's own Python library as a client of the REST API: calls, recordings, conferences.

use std::process::Command;

use serde_json::json;

use super::http;
use super::telephone::{Over, house};
use super::tools::{printed, python, root, run};

#[test]
fn twilios_library_places_leads_records_and_joins_calls() {
    let python = python("test").expect("make installs .venv/test");
    let house = house(&[], &[], &[]);
    let phones = ["ann", "ben", "cara"];
    let _phones = phones.map(|name| house.phone(name, Over::Udp, &["--answer=1"]));
    let server = &house.server;
    let token = "only-for-this-test-too";
    let path = format!("/v2/accounts/{}", server.account);
    let login = [("X-Auth-Token", server.token())];
    let change = json!({"data": {"auth_token": token}});
    let changed = http::request(server.api, "PATCH", &path, &login, Some(&change)).unwrap();
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert!(!changed.body.contains(token), "{}", changed.body);
    let output = run(Command::new(python)
        .arg(root().join("tests/live/twilio_rest.py"))
        .args([&server.api.to_string(), &server.account, token]));
    assert!(output.status.success(), "{}", printed(&output));
}
