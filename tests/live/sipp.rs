//! The scenarios of `sipp-scenarios/`, each against a server of its own.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::server::{Server, free_port};
use super::tools::{is_root, printed, root, run};
use super::web::Web;

/// Answers and stays.
fn stays() -> Value {
    json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 20}, "children": {}}}})
}

/// Answers, and hangs up after a second.
fn ends() -> Value {
    json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 1}, "children": {"_":
            {"module": "hangup", "data": {}, "children": {}}}}}})
}

/// Collects four keys and asks a web server what to do with them.
fn collects(web: &Web) -> Value {
    json!({"module": "collect_dtmf", "data": {"max_digits": 4, "timeout": 10000, "interdigit_timeout": 4000}, "children": {"_":
        {"module": "pivot", "data": {"voice_url": web.url("/ok"), "debug": true}, "children": {}}}})
}

/// A minute of silence as early media: the call is not answered.
fn rings() -> Value {
    json!({"module": "sleep", "data": {"duration": 30}, "children": {}})
}

/// Runs one scenario with these further arguments; it must succeed.
fn scenario(server: &Server, name: &str, number: &str, more: &[&str]) {
    let output = try_scenario(server, name, number, more);
    let errors = std::fs::read_dir(server.folder())
        .unwrap()
        .map(|e| e.unwrap().path());
    let errors: Vec<PathBuf> = errors
        .filter(|p| p.to_string_lossy().ends_with("_errors.log"))
        .collect();
    let said: String = errors
        .iter()
        .map(|p| std::fs::read_to_string(p).unwrap_or_default())
        .collect();
    assert!(
        output.status.success(),
        "{name}: {said}\n{}",
        printed(&output)
    );
}

fn try_scenario(server: &Server, name: &str, number: &str, more: &[&str]) -> std::process::Output {
    let port = free_port().to_string();
    let media = free_port().to_string();
    run(Command::new("sipp")
        .current_dir(server.folder())
        .arg("-sf")
        .arg(root().join("sipp-scenarios").join(format!("{name}.xml")))
        .args([
            "-s",
            number,
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
            "-recv_timeout",
            "20000",
        ])
        .args(more)
        .arg(format!("127.0.0.1:{}", server.sip)))
}

#[test]
fn a_plain_call_connects_and_is_hung_up() {
    let server = Server::with_flows(&[("600", stays())]);
    scenario(&server, "plain", "600", &[]);
    let cdr = server.cdr();
    assert_eq!(cdr["hangup_cause"], "NORMAL_CLEARING", "{cdr:#}");
    assert_eq!(cdr["disposition"], "recv_bye");
    assert!(
        (1..=4).contains(&cdr["billing_seconds"].as_u64().unwrap()),
        "{cdr:#}"
    );
}

#[test]
fn the_same_over_tcp() {
    let server = Server::with_flows(&[("600", stays())]);
    scenario(&server, "plain", "600", &["-t", "t1"]);
    assert_eq!(server.cdr()["hangup_cause"], "NORMAL_CLEARING");
}

#[test]
fn the_callflow_hangs_up() {
    let server = Server::with_flows(&[("601", ends())]);
    scenario(&server, "callee_hangs_up", "601", &[]);
    let cdr = server.cdr();
    assert_eq!(cdr["disposition"], "send_bye", "{cdr:#}");
}

#[test]
fn a_call_that_is_spoken_to() {
    let flow = json!({"module": "tts", "data": {"text": "Good afternoon."}, "children": {}});
    let server = Server::with_flows(&[("602", flow)]);
    let name = if is_root() { "tts" } else { "callee_hangs_up" };
    scenario(&server, name, "602", &[]);
}

#[test]
fn keys_arrive_as_telephone_events() {
    if !is_root() {
        eprintln!(
            "SIPp plays telephone-events through raw sockets, which only root has: not checked"
        );
        return;
    }
    let web = Web::start(None);
    let server = Server::with_flows(&[("603", collects(&web))]);
    scenario(&server, "gather_rfc4733", "603", &[]);
    let path = web.request()["path"].to_string();
    assert!(path.contains("Digits[default]=1234"), "{path}");
}

#[test]
fn keys_arrive_by_info() {
    let web = Web::start(None);
    let server = Server::with_flows(&[("603", collects(&web))]);
    scenario(&server, "gather_info", "603", &[]);
    let path = web.request()["path"].to_string();
    assert!(path.contains("Digits[default]=1234"), "{path}");
}

#[test]
fn a_caller_who_gives_up_gets_487() {
    let server = Server::with_flows(&[("604", rings())]);
    scenario(&server, "cancel", "604", &[]);
    let cdr = server.cdr();
    assert_eq!(cdr["hangup_cause"], "ORIGINATOR_CANCEL", "{cdr:#}");
    assert_eq!(cdr["billing_seconds"], 0);
}

#[test]
fn a_call_is_held_and_taken_back() {
    let server = Server::with_flows(&[("600", stays())]);
    scenario(&server, "hold", "600", &[]);
}

#[test]
fn a_call_is_held_in_the_other_ways_phones_have() {
    let server = Server::with_flows(&[("600", stays())]);
    for name in ["hold_inactive", "hold_address"] {
        scenario(&server, name, "600", &[]);
    }
}

#[test]
fn an_invite_without_an_offer_is_answered_with_one() {
    let server = Server::with_flows(&[("600", stays())]);
    scenario(&server, "delayed_offer", "600", &[]);
}

#[test]
fn a_required_reliable_response_is_acknowledged() {
    let web = Web::start(None);
    let flow = json!({"module": "play", "data": {"id": "silence_stream://1000", "answer": false}, "children": {"_": stays()}});
    drop(web);
    let server = Server::with_flows(&[("605", flow)]);
    scenario(&server, "prack", "605", &[]);
}

#[test]
fn a_session_timer_is_agreed_and_refreshed() {
    let server = Server::with_flows(&[("600", stays())]);
    scenario(&server, "session_timer", "600", &[]);
}

#[test]
fn a_session_interval_below_the_minimum_is_refused() {
    let server = Server::with_flows(&[("600", stays())]);
    scenario(&server, "session_timer_too_small", "600", &[]);
}

#[test]
fn an_unknown_number_is_404() {
    let server = Server::with_flows(&[("600", stays())]);
    scenario(&server, "unknown_number", "999", &[]);
}

#[test]
fn options_says_what_is_allowed() {
    let server = Server::with_flows(&[("600", stays())]);
    scenario(&server, "options", "600", &[]);
}

#[test]
fn a_contradictory_request_is_400_and_the_next_is_served() {
    let server = Server::with_flows(&[("600", stays())]);
    scenario(&server, "malformed", "600", &[]);
}

/// An account whose only device proves itself by digest, instead of the trusted one. SIPp knows MD5 only, and gives up
/// when SHA-256 is offered before it.
fn with_password() -> Server {
    let documents = json!({
        "devices": [{"name": "desk", "sip": {"method": "password", "username": "desk", "password": "right-password"}}],
        "callflows": [{"numbers": ["600"], "flow": stays()}],
    });
    Server::start(&[("SWIVEL_SIP__DIGEST", "MD5")], documents)
}

fn digest(server: &Server, password: &str) -> std::process::Output {
    let uri = format!("600@127.0.0.1:{}", server.sip);
    try_scenario(
        server,
        "digest",
        "600",
        &["-au", "desk", "-ap", password, "-auth_uri", &uri],
    )
}

#[test]
fn a_caller_with_the_right_password_is_let_in() {
    let server = with_password();
    let output = digest(&server, "right-password");
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(server.cdr()["hangup_cause"], "NORMAL_CLEARING");
}

#[test]
fn a_caller_with_a_wrong_password_is_not() {
    let server = with_password();
    assert!(!digest(&server, "wrong-password").status.success());
    assert_eq!(
        server.data("cdrs"),
        json!([]),
        "a refused call leaves no record"
    );
}

#[test]
fn a_retransmitted_invite_makes_one_call_and_one_fetch() {
    let web = Web::start(None);
    let flow = json!({"module": "pivot", "data": {"voice_url": web.url("/ok"), "debug": true}, "children": {}});
    let server = Server::with_flows(&[("2030", flow)]);
    let port = free_port();
    let socket = std::net::UdpSocket::bind(("127.0.0.1", port)).unwrap();
    socket.connect(("127.0.0.1", server.sip)).unwrap();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
        free_port()
    );
    let head = |method: &str, cseq: u32, branch: &str, to_tag: &str| {
        format!(
            "{method} sip:2030@127.0.0.1:{} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:twice@127.0.0.1>;tag=t1\r\nTo: <sip:2030@127.0.0.1>{to_tag}\r\n\
             Call-ID: twice@127.0.0.1\r\nCSeq: {cseq} {method}\r\nContact: <sip:twice@127.0.0.1:{port}>\r\n",
            server.sip
        )
    };
    let invite = format!(
        "{}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        head("INVITE", 1, "inv", ""),
        sdp.len()
    );
    for _ in 0..5 {
        socket.send(invite.as_bytes()).unwrap();
    }
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(15)))
        .unwrap();
    let mut buffer = [0; 4096];
    let mut answered = false;
    let mut acked = false;
    loop {
        let length = socket.recv(&mut buffer).expect("the call goes on");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with("SIP/2.0 200") && text.contains("CSeq: 1 INVITE") {
            answered = true;
            let tag = text
                .lines()
                .find(|l| l.starts_with("To:"))
                .and_then(|l| l.split_once(";tag="))
                .unwrap()
                .1
                .to_owned();
            let ack = format!(
                "{}Content-Length: 0\r\n\r\n",
                head("ACK", 1, "ack", &format!(";tag={tag}"))
            );
            socket.send(ack.as_bytes()).unwrap();
            if !acked {
                // Once more after the answer, as a network that delays does.
                socket.send(invite.as_bytes()).unwrap();
            }
            acked = true;
        } else if text.starts_with("BYE ") {
            let copy = |name: &str| {
                text.lines()
                    .filter(|l| l.starts_with(name))
                    .map(|l| format!("{l}\r\n"))
                    .collect::<String>()
            };
            let ok: String = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"]
                .map(copy)
                .concat();
            socket
                .send(format!("SIP/2.0 200 OK\r\n{ok}Content-Length: 0\r\n\r\n").as_bytes())
                .unwrap();
            break;
        }
    }
    assert!(answered);
    server.cdr();
    web.request();
}
