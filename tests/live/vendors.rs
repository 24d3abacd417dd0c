//! Telephones as their makers ship them (docs/phones.md), played by SIPp: how each registers, calls, holds, refreshes.
//! baresip, pjsua2 and linphone are there themselves (`registrar`, `desk`, `softphone`, `linphone`).

use std::process::Command;

use serde_json::{Value, json};

use super::desk::PASSWORD;
use super::server::{Server, free_port};
use super::tools::{printed, root, run};

/// A server whose 600 answers and stays, with one phone that has a password. SIPp knows MD5 only.
fn server() -> Server {
    let stays = json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 30}, "children": {}}}});
    let documents = json!({
        "devices": [
            {"name": "this machine", "sip": {"method": "ip", "ip": "127.0.0.1"}},
            {"name": "desk", "sip": {"method": "password", "username": "desk", "password": PASSWORD, "expire_seconds": 3600}},
        ],
        "callflows": [{"name": "stays", "numbers": ["600"], "flow": stays}],
    });
    Server::start(&[("SWIVEL_SIP__DIGEST", "MD5")], documents)
}

/// The telephone of that maker registers and calls 600; what is bound then.
fn plays(name: &str) -> Vec<Value> {
    let server = server();
    let (port, media) = (free_port().to_string(), free_port().to_string());
    let output = run(Command::new("sipp")
        .current_dir(server.folder())
        .arg("-sf")
        .arg(root().join("sipp-scenarios").join(format!("{name}.xml")))
        .args([
            "-s",
            "desk",
            "-au",
            "desk",
            "-ap",
            PASSWORD,
            "-auth_uri",
            "live.test",
        ])
        .args(["-key", "realm", "live.test", "-key", "number", "600"])
        .args([
            "-m",
            "1",
            "-i",
            "127.0.0.1",
            "-p",
            &port,
            "-mp",
            &media,
            "-nostdin",
        ])
        .args([
            "-timeout",
            "40s",
            "-timeout_error",
            "-trace_err",
            "-error_file",
            "errors",
        ])
        .args(["-recv_timeout", "20000"])
        .arg(format!("127.0.0.1:{}", server.sip)));
    let errors = std::fs::read_to_string(server.folder().join("errors")).unwrap_or_default();
    assert!(
        output.status.success(),
        "{name}: {errors}\n{}",
        printed(&output)
    );
    let cdr = server.cdr();
    assert_eq!(cdr["hangup_cause"], "NORMAL_CLEARING", "{cdr:#}");
    assert_eq!(cdr["disposition"], "recv_bye");
    server.data("registrations").as_array().unwrap().clone()
}

#[test]
fn a_yealink_registers_without_rport_and_refreshes_its_call_by_update() {
    assert_eq!(plays("phone_yealink").len(), 1);
}

#[test]
fn a_grandstream_that_boots_clears_its_contacts_and_comes_back() {
    assert_eq!(plays("phone_grandstream").len(), 1);
}

#[test]
fn a_polycom_holds_in_both_ways_and_has_its_keys_where_it_wants_them() {
    assert_eq!(plays("phone_polycom").len(), 1);
}

#[test]
fn a_linphone_that_comes_back_from_another_port_has_one_binding() {
    let rows = plays("phone_linphone");
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(rows[0]["contact_port"], 9, "the later one: {rows:#?}");
}

#[test]
fn a_zoiper_registers_for_a_minute_and_may_leave_its_keys_out() {
    let rows = plays("phone_zoiper");
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert!(rows[0]["expires"].as_u64().unwrap() <= 60, "{rows:#?}");
}
