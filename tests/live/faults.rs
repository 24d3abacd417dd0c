//! Faults that need real sockets, and the words they are told in: certificates, TLS, connections that are refused. And
//! `swivel top`, driven in a terminal of its own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{PASSWORD, Server, free_port};
use super::tools::{eventually, printed, root, run, stdout, swivel};
use super::web::Web;

fn pivot(url: &str) -> Value {
    json!({"module": "pivot", "data": {"voice_url": url}, "children": {}})
}

fn trunk(name: &str, gateway: Value) -> Value {
    json!({"name": name, "rules": [format!("^{name}$")], "gateways": [gateway]})
}

fn dials(number: &str) -> Value {
    json!({"module": "resources", "data": {"to_did": number}, "children": {}})
}

/// A web server whose certificate ended years ago.
fn expired(server: &tempfile::TempDir) -> Web {
    let mut about = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    about.not_before = rcgen::date_time_ymd(2020, 1, 1);
    about.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = about.self_signed(&key).unwrap();
    let file = server.path().join("expired.pem");
    std::fs::write(&file, certificate.pem() + &key.serialize_pem()).unwrap();
    Web::run("faults.py", &[file.as_os_str()])
}

fn calls(server: &Server, number: &str) {
    let via = format!("127.0.0.1:{}", server.sip);
    let called = run(Command::new(swivel()).args(["call", number, "--via", &via]));
    assert_ne!(called.status.code(), Some(0), "{}", printed(&called));
}

#[test]
fn faults_of_real_connections_are_named_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let web = Web::start(None);
    let tls = expired(&dir);
    let secure = tls.url("/").replace("http://", "https://");
    let port = secure
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap()
        .parse::<u16>()
        .unwrap();
    let dead = free_port();
    let flows = [
        ("700", pivot(&secure)),
        ("701", pivot(&web.url("/nothing"))),
        ("702", pivot(&format!("http://127.0.0.1:{dead}/"))),
        ("704", pivot(&web.url("/ok").replace("http://", "https://"))),
        ("705", pivot(&web.url("/invalid"))),
        ("710", dials("8881")),
        ("711", dials("8882")),
    ];
    let callflows: Vec<Value> = flows
        .iter()
        .map(|(number, flow)| json!({"name": format!("flow {number}"), "numbers": [number], "flow": flow}))
        .collect();
    let trunks = [
        trunk(
            "8881",
            json!({"server": "127.0.0.1", "port": dead, "transport": "tcp"}),
        ),
        trunk(
            "8882",
            json!({"server": "127.0.0.1", "port": port, "transport": "tls"}),
        ),
    ];
    let server = Server::start(&[], json!({"callflows": callflows, "resources": trunks}));
    for (number, _) in &flows {
        calls(&server, number);
    }
    let wanted = [
        ("hook_certificate", "expired"),
        ("hook_refused", "404"),
        ("hook_unreachable", "refused"),
        ("hook_tls", "TLS"),
        ("hook_json", "invalid JSON"),
        ("trunk_connection", "refused"),
        ("trunk_certificate", "expired"),
    ];
    let mut last = Value::Null;
    let found = eventually_or(Duration::from_secs(15), || {
        last = server.data("problems");
        let rows = last.as_array()?;
        let said: BTreeMap<&str, String> = rows
            .iter()
            .map(|row| (row["code"].as_str().unwrap(), row.to_string()))
            .collect();
        let all = wanted
            .iter()
            .all(|(code, word)| said.get(code).is_some_and(|text| text.contains(word)));
        all.then(|| rows.clone())
    });
    let rows = found.unwrap_or_else(|| panic!("not all of {wanted:?} in {last:#}"));
    // The trace of such a call ends with its cause.
    let call = rows
        .iter()
        .find(|row| row["code"] == "hook_refused")
        .unwrap();
    let trace = run(Command::new(swivel())
        .arg("trace")
        .arg("--config")
        .arg(server.config())
        .arg(call["last_call"].as_str().unwrap()));
    let text = stdout(&trace);
    assert!(
        text.trim_end().ends_with("[hook_refused]"),
        "{}",
        printed(&trace)
    );
}

/// As `eventually`, without a panic at the end.
fn eventually_or<T>(most: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let steps = most.as_millis() / 250;
    (0..steps).find_map(|_| {
        let found = ready();
        if found.is_none() {
            std::thread::sleep(Duration::from_millis(250));
        }
        found
    })
}

/// A call that lasts until it is dropped.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn top_shows_calls_and_problems_and_leaves_the_terminal_as_it_was() {
    let waits = json!({"module": "answer", "data": {}, "children": {"_": {"module": "sleep", "data": {"duration": 60}, "children": {}}}});
    let server = Server::with_flows(&[("2030", waits)]);
    calls(&server, "7999");
    let via = format!("127.0.0.1:{}", server.sip);
    let call = Command::new(swivel())
        .args(["call", "2030", "--via", &via])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _up = Up(call);
    eventually("the call", Duration::from_secs(10), || {
        server
            .data("channels")
            .as_array()
            .filter(|rows| !rows.is_empty())
            .map(|_| ())
    });
    let url = format!("http://{}", server.api);
    let driven = run(Command::new("python3")
        .arg(root().join("tests/live/top.py"))
        .args([swivel().as_os_str(), OsStr::new(&url)])
        .env("SWIVEL_PASSWORD", PASSWORD));
    assert!(driven.status.success(), "{}", printed(&driven));
}
