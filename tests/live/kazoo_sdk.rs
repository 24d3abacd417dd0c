//! A client written for KAZOO, as it stands on PyPI.

use std::process::Command;

use serde_json::json;

use super::server::Server;
use super::tools::{printed, python, root, run, stdout};

#[test]
fn the_kazoo_sdk_of_pypi_works_unchanged() {
    let python = python("kazoo").expect("make installs .venv/kazoo");
    // Logins cost more than a stranger has at once.
    let plenty = [("SWIVEL_HTTP__RATE__ANONYMOUS_BURST", "1000")];
    let server = Server::start(&plenty, json!({}));
    let output = run(Command::new(python)
        .arg(root().join("tests/live/kazoo_sdk.py"))
        .arg(format!("http://{}/v2", server.api))
        .args(["live", "admin", "only-for-this-test"]));
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(stdout(&output).trim(), "as it stands");
}
