//! A telephone in a browser: JsSIP in headless Chromium over `/sip` of the HTTP port, ICE, DTLS-SRTP and Opus.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::server::Server;
use super::tools::{printed, root, run, stdout};

/// What the telephone saw of a call to `number`; `None` where `make` has not installed it.
fn call(server: &Server, number: &str) -> Option<Value> {
    let script = root().join(".venv/browser/phone.mjs");
    let there =
        root().join(".venv/browser/.ready").exists() && Path::new("/usr/bin/chromium").exists();
    if !there {
        eprintln!(
            "the telephone in a browser is not installed (`make test` does that): it was not tried"
        );
        return None;
    }
    let output = run(Command::new("node").arg(script).args([
        &server.api.port().to_string(),
        "live.test",
        "browser",
        "browser-secret",
        number,
    ]));
    assert!(output.status.success(), "{}", printed(&output));
    Some(serde_json::from_str(&stdout(&output)).unwrap())
}

#[test]
fn a_browser_registers_calls_and_hears() {
    let speech = "Hello. This is said to a telephone in a browser, and it goes on for a while, so that there is \
                  something to hear.";
    let flow = json!({"module": "tts", "data": {"text": speech}, "children": {}});
    let documents = json!({
        "devices": [{"name": "browser", "sip": {"username": "browser", "password": "browser-secret"}}],
        "callflows": [{"name": "hello", "numbers": ["500"], "flow": flow}],
    });
    let server = Server::for_sip(&[], documents);
    let Some(seen) = call(&server, "500") else {
        return;
    };
    assert_eq!(
        seen["events"],
        json!(["registered", "confirmed"]),
        "{seen:#}\n{}",
        server.log()
    );
    assert_eq!(seen["connection"], "connected", "{seen:#}");
    assert_eq!(seen["codec"], "audio/opus", "{seen:#}");
    assert!(seen["received"].as_u64().unwrap() > 50, "{seen:#}");
    assert!(seen["energy"].as_f64().unwrap() > 0.001, "{seen:#}");
}
