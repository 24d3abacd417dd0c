//! The command line: `call`, `apply`, `export`, `check`, `block`, `trace`, `demo`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::audio::Sound;
use super::server::{Server, free_port};
use super::tools::{printed, run, stdout, swivel, turn};
use super::voice::Piper;

fn command(server: &Server, arguments: &[&str]) -> Output {
    let (verb, rest) = arguments.split_first().unwrap();
    run(Command::new(swivel())
        .arg(verb)
        .arg("--config")
        .arg(server.config())
        .args(rest))
}

fn call(server: &Server, arguments: &[&str]) -> Output {
    let via = format!("127.0.0.1:{}", server.sip);
    run(Command::new(swivel())
        .arg("call")
        .args(arguments)
        .args(["--via", &via]))
}

fn says(text: &str) -> Value {
    json!({"module": "tts", "data": {"text": text}, "children": {}})
}

#[test]
fn call_tells_what_happened_as_json_and_by_its_exit_status() {
    let busy = json!({"module": "response", "data": {"code": 486}, "children": {}});
    let server =
        Server::with_flows(&[("700", says("Hello there, this is a test.")), ("701", busy)]);
    let heard = server.folder().join("heard.wav");
    for more in [&["--json"][..], &["--json", "--tcp"][..]] {
        let mut arguments = vec!["700", "--save", heard.to_str().unwrap()];
        arguments.extend(more);
        let output = call(&server, &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(outcome["result"], "completed", "{outcome:#}");
        assert_eq!(outcome["ended_by"], "peer");
        assert!(
            outcome["heard"]["audible_ms"].as_u64().unwrap() > 800,
            "{outcome:#}"
        );
        assert_eq!(outcome["heard"]["lost"], 0);
        assert!(Sound::read(&heard).audible_seconds() > 0.8);
    }
    let refused = call(&server, &["701"]);
    assert_eq!(refused.status.code(), Some(3), "{}", printed(&refused));
    assert!(stdout(&refused).contains("486"), "{}", stdout(&refused));
    assert_eq!(call(&server, &["799"]).status.code(), Some(5));
    let nobody = run(Command::new(swivel())
        .args(["call", "1", "--via"])
        .arg(format!("127.0.0.1:{}", free_port()))
        .args(["--max-seconds", "3"]));
    assert!(
        matches!(nobody.status.code(), Some(4 | 6)),
        "{}",
        printed(&nobody)
    );
}

#[test]
fn call_presses_keys_that_the_callflow_collects() {
    let web = super::web::Web::start(None);
    let flow = json!({"module": "collect_dtmf", "data": {"max_digits": 5, "timeout": 8000}, "children": {"_":
        {"module": "pivot", "data": {"voice_url": web.url("/ok")}, "children": {}}}});
    let server = Server::with_flows(&[("700", flow)]);
    let output = call(&server, &["700", "--digits", "w2,1,2,w1,30*"]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let path = web.request()["path"].to_string();
    assert!(path.contains("Digits[default]=1230%2A"), "{path}");
}

#[test]
fn call_proves_who_it_is() {
    let documents = json!({
        "devices": [{"name": "desk", "sip": {"method": "password", "username": "desk", "password": "right-password"}}],
        "callflows": [{"numbers": ["700"], "flow": says("Welcome.")}],
    });
    let server = Server::start(&[], documents);
    assert_eq!(call(&server, &["700"]).status.code(), Some(5));
    let wrong = call(
        &server,
        &["700", "--user", "desk", "--password", "wrong-password"],
    );
    assert_eq!(wrong.status.code(), Some(5), "{}", printed(&wrong));
    let right = call(
        &server,
        &["700", "--user", "desk", "--password", "right-password"],
    );
    assert_eq!(right.status.code(), Some(0), "{}", printed(&right));
}

#[test]
fn applying_what_was_exported_changes_nothing() {
    let id = |letter: &str| letter.repeat(32);
    // One of every kind, and every key of ours.
    let documents = json!({
        "menus": [{"id": id("a"), "name": "main", "retries": 2}],
        "groups": [{"id": id("b"), "name": "sales", "endpoints": {}}],
        "media": [{"name": "hello", "media_source": "tts", "tts": {"text": "Hello."}}],
        "lists": [{"id": id("c"), "name": "friends"}],
        "list_entries": [{"list_id": id("c"), "number": "+14155550111"}],
        "phone_numbers": [{"id": "+14155550100"}],
        "resources": [{
            "name": "carrier", "rules": [".+"], "max_calls": 5, "max_cps": 2, "follow_redirects": true,
            "gateways": [{
                "server": "192.0.2.1", "username": "u", "password": "secret-of-the-trunk", "realm": "carrier.test",
                "options_seconds": 0, "srtp": false, "transport": "udp", "inbound_ips": ["192.0.2.0/24"],
            }],
        }],
        "temporal_rules": [{"id": id("d"), "name": "workdays", "cycle": "weekly", "wdays": ["monday"]}],
        "temporal_rules_sets": [{"name": "open", "temporal_rules": [id("d")]}],
        "limits": [{"inbound_trunks": 2, "twoway_trunks": 1}],
        "callflows": [{"numbers": ["700"], "flow": {"module": "menu", "data": {"id": id("a")}, "children": {}}}],
    });
    let server = Server::start(&[], documents);
    let exported = command(&server, &["export"]);
    assert!(exported.status.success(), "{}", printed(&exported));
    let text = stdout(&exported);
    for kind in [
        "users",
        "devices",
        "groups",
        "menus",
        "media",
        "lists",
        "list_entries",
        "phone_numbers",
        "resources",
        "temporal_rules",
        "temporal_rules_sets",
        "limits",
        "callflows",
    ] {
        assert!(text.contains(&format!("{kind}:")), "no {kind} in\n{text}");
    }
    for key in [
        "options_seconds: 0",
        "follow_redirects: true",
        "inbound_ips",
        "secret-of-the-trunk",
    ] {
        assert!(text.contains(key), "no {key} in\n{text}");
    }
    let file = server.folder().join("exported.yaml");
    std::fs::write(&file, &exported.stdout).unwrap();
    let applied = command(&server, &["apply", file.to_str().unwrap()]);
    assert!(applied.status.success(), "{}", printed(&applied));
    assert!(
        stdout(&applied).contains("nothing changed"),
        "{}",
        stdout(&applied)
    );
    assert_eq!(stdout(&command(&server, &["export"])), stdout(&exported));
    let redacted = stdout(&command(&server, &["export", "--redact"]));
    assert!(!redacted.contains("password:"), "{redacted}");
}

#[test]
fn a_refused_document_is_named_with_field_and_rule_and_nothing_is_stored() {
    let server = Server::with_flows(&[("700", says("x"))]);
    let file = server.folder().join("bad.yaml");
    let text = "accounts:\n  - name: live\n    callflows:\n      - numbers: ['701']\n        flow: {module: tts, data: {}}\n";
    std::fs::write(&file, text).unwrap();
    let output = command(&server, &["apply", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    let said = printed(&output);
    assert!(
        said.contains("flow.data.text") && said.contains("required"),
        "{said}"
    );
    assert_eq!(server.data("callflows").as_array().unwrap().len(), 1);
}

#[test]
fn a_blocked_address_is_refused_at_once_until_it_is_unblocked() {
    let web = super::web::Web::start(None);
    let flow = json!({"module": "pivot", "data": {"voice_url": web.url("/ok")}, "children": {"_": says("No.")}});
    let server = Server::with_flows(&[("700", flow)]);
    assert!(
        command(&server, &["block", "ip", "127.0.0.0/8"])
            .status
            .success()
    );
    assert!(stdout(&command(&server, &["block", "list"])).contains("127.0.0.0/8"));
    assert_eq!(call(&server, &["700"]).status.code(), Some(0));
    assert_eq!(web.requests().len(), 0, "the fetch was refused");
    assert!(
        command(&server, &["unblock", "ip", "127.0.0.0/8"])
            .status
            .success()
    );
    assert_eq!(call(&server, &["700"]).status.code(), Some(0));
    assert_eq!(web.requests().len(), 1);
    let wrong = command(&server, &["block", "ip", "not-an-address"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", printed(&wrong));
}

#[test]
fn trace_shows_the_ladder_and_the_web_request_of_a_call() {
    let web = super::web::Web::start(None);
    let flow = json!({"module": "pivot", "data": {"voice_url": web.url("/ok")}, "children": {}});
    let server = Server::with_flows(&[("700", flow)]);
    assert_eq!(call(&server, &["700"]).status.code(), Some(0));
    let call_id = server.cdr()["call_id"].as_str().unwrap().to_owned();
    let pcap = server.folder().join("call.pcap");
    let trace = command(
        &server,
        &["trace", &call_id, "--pcap", pcap.to_str().unwrap()],
    );
    assert!(trace.status.success(), "{}", printed(&trace));
    let said = stdout(&trace);
    for part in ["INVITE sip:700@", "200 OK (INVITE)", "BYE", "/ok"] {
        assert!(said.contains(part), "{part} is missing from\n{said}");
    }
    assert!(std::fs::metadata(&pcap).unwrap().len() > 1000);
}

#[test]
fn check_says_in_words_what_is_wrong() {
    let server = Server::with_flows(&[("700", says("x"))]);
    let output = command(&server, &["check"]);
    let said = printed(&output);
    assert_eq!(
        output.status.code(),
        Some(1),
        "its ports are taken by the running server: {said}"
    );
    assert!(said.contains(&server.sip.to_string()), "{said}");
    let healthy = command(&server, &["check", "--running"]);
    assert_eq!(healthy.status.code(), Some(0), "{}", printed(&healthy));
    let bad = server.folder().join("bad.toml");
    std::fs::write(&bad, "[sip]\n\nlisten = [\"udp://nowhere\"]\n").unwrap();
    let refused = run(Command::new(swivel())
        .arg("check")
        .arg("--config")
        .arg(&bad));
    assert!(
        printed(&refused).contains("bad.toml:3"),
        "{}",
        printed(&refused)
    );
}

#[test]
fn a_drain_lets_the_call_end_and_the_process_leaves_in_order() {
    let mut server = Server::with_flows(&[("700", says("One moment please."))]);
    let via = format!("127.0.0.1:{}", server.sip);
    let mut caller = Command::new(swivel())
        .args(["call", "700", "--via", &via])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ladder = BufReader::new(caller.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(
        ladder.any(|rung| rung.contains("200 OK (INVITE)")),
        "the call was answered"
    );
    let status = server.terminate();
    assert!(status.success(), "{status}\n{}", server.log());
    assert!(
        ladder.any(|rung| rung.starts_with("completed")),
        "the call was not cut"
    );
    assert!(caller.wait().unwrap().success());
}

/// One run of the demo in a folder of its own, with these settings.
fn demo(folder: &Path, settings: &[(&str, String)]) -> Output {
    let (sip, http) = (free_port().to_string(), free_port().to_string());
    run(Command::new(swivel())
        .current_dir(folder)
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .args(["demo", "--once", "--sip-port", &sip, "--http-port", &http]))
}

#[test]
fn the_demo_calls_itself_and_leaves_what_it_heard() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let said = stdout(&output);
    for part in [
        "2030",
        "100",
        "200",
        "INVITE",
        "NORMAL_CLEARING",
        "pretty awesome",
    ] {
        assert!(said.contains(part), "{part} is missing from\n{said}");
    }
    let spoken = Sound::read(&folder.path().join("demo.wav")).audible_seconds();
    assert!(spoken > 1.5, "{spoken} s");
}

#[test]
fn the_demo_is_intelligible_with_a_natural_voice() {
    let _turn = turn();
    let Some(piper) = Piper::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), &piper.settings());
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    piper.assert_heard(
        &folder.path().join("demo.wav"),
        &["Pivot is pretty awesome.", "Have a great day."],
    );
}
