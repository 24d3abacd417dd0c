//! Clients written for KAZOO, as they stand on PyPI.

use std::process::Command;

use serde_json::json;

use super::server::Server;
use super::tools::{printed, python, root, run, stdout};

/// Runs a script with a client in it; it says so when everything went as it does with KAZOO.
fn works(script: &str) {
    let python = python("kazoo").expect("make installs .venv/kazoo");
    // Logins cost more than a stranger has at once.
    let plenty = [("SWIVEL_HTTP__RATE__ANONYMOUS_BURST", "1000")];
    let server = Server::start(&plenty, json!({}));
    let output = run(Command::new(python)
        .arg(root().join("tests/live").join(script))
        .arg(format!("http://{}/v2", server.api))
        .args(["live", "admin", "only-for-this-test"]));
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(stdout(&output).trim(), "as it stands");
}

#[test]
fn the_kazoo_sdk_of_pypi_works_unchanged() {
    works("kazoo_sdk.py");
}

#[test]
fn pykazoo_works_unchanged() {
    works("pykazoo_client.py");
}
