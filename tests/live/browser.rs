//! A telephone in a browser: JsSIP in headless Chromium over `/sip` of the HTTP port, ICE, DTLS-SRTP and Opus.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::audio::Sound;
use super::desk::{Desk, Line, PASSWORD, When};
use super::phone::Over;
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

#[test]
fn a_browser_calls_a_desk_phone_and_both_hear_each_other() {
    let desk = "0000000000000000000000000000de5c";
    let documents = json!({
        "users": [{"username": "admin", "first_name": "Ada", "last_name": "Admin", "password": "only-for-this-test", "priv_level": "admin"}],
        "devices": [
            {"name": "browser", "sip": {"username": "browser", "password": "browser-secret"}},
            {"id": desk, "name": "desk", "sip": {"username": "desk", "password": PASSWORD}},
        ],
        "callflows": [{"name": "desk", "numbers": ["501"],
            "flow": {"module": "device", "data": {"id": desk, "timeout": 30}, "children": {}}}],
    });
    // baresip knows MD5 only, the browser's telephone knows it, too.
    let server = Server::start(&[("SWIVEL_SIP__DIGEST", "MD5")], documents);
    let line = Line {
        over: Over::Udp,
        port: server.sip,
        answers: When::Called,
        secret: None,
        mwi: false,
    };
    let mut desk = Desk::start("desk", &line, Sound::tune(40));
    desk.registered(&server, "desk");
    let Some(seen) = call(&server, "501") else {
        return;
    };
    assert_eq!(
        seen["events"],
        json!(["registered", "confirmed"]),
        "{seen:#}\n{}",
        server.log()
    );
    assert_eq!(seen["codec"], "audio/opus", "{seen:#}");
    assert!(seen["received"].as_u64().unwrap() > 50, "{seen:#}");
    assert!(seen["energy"].as_f64().unwrap() > 0.001, "{seen:#}");
    desk.wait("CALL_CLOSED");
    // Chromium's microphone is a device that beeps every second.
    let heard = desk.heard();
    assert!(
        heard.audible_seconds() > 0.2,
        "{} samples\n{}",
        heard.0.len(),
        desk.log()
    );
}
