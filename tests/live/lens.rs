//! Two hundred calls of SIPp through the lens: every message of a capture and every request of the web server's log is
//! there exactly once, in order, at its time.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::http;
use super::server::{Server, encoded, free_port};
use super::tools::{eventually, is_root, printed, python, root, run, swivel};
use super::web::Web;

/// When, whether it came to swivel, and the message.
type Row = (u64, bool, String);

const CALLS: usize = 200;
/// How far two clocks may be apart.
const SKEW_US: u64 = 20_000;

/// A capture of the loopback interface.
struct Capture(Child);

impl Capture {
    fn start(port: u16) -> Self {
        let mut child = Command::new("python3")
            .arg(root().join("tests/live/capture.py"))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut ready = [0; 6];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        assert_eq!(&ready, b"ready\n");
        Self(child)
    }

    /// What was captured: time, way, message; by Call-ID.
    fn end(mut self) -> BTreeMap<String, Vec<Row>> {
        drop(self.0.stdin.take());
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let mut calls: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for line in lines {
            let seen: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if let Some(dropped) = seen["dropped"].as_u64() {
                assert_eq!(dropped, 0, "the capture itself has missed datagrams");
                continue;
            }
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(seen["bytes"].as_str().unwrap())
                .unwrap();
            let message = String::from_utf8(bytes).unwrap();
            let Some(id) = header(&message, "Call-ID") else {
                continue;
            };
            let id = id.to_owned();
            let row = (seen["at"].as_u64().unwrap(), seen["in"] == true, message);
            calls.entry(id).or_default().push(row);
        }
        self.0.wait().unwrap();
        calls
    }
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = message.lines();
    lines.find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Places the calls, some at the same time.
fn place(server: &Server, number: &str) {
    let output = run(Command::new("sipp")
        .current_dir(server.folder())
        .arg("-sf")
        .arg(root().join("sipp-scenarios/callee_hangs_up.xml"))
        .args([
            "-s",
            number,
            "-m",
            &CALLS.to_string(),
            "-r",
            "20",
            "-l",
            "60",
        ])
        .args(["-i", "127.0.0.1", "-p", &free_port().to_string()])
        .args(["-mp", &free_port().to_string(), "-nostdin"])
        .args([
            "-timeout",
            "120s",
            "-timeout_error",
            "-recv_timeout",
            "30000",
        ])
        .arg(format!("127.0.0.1:{}", server.sip)));
    assert!(
        output.status.success(),
        "{}\n{}",
        printed(&output),
        server.log()
    );
}

/// The lens of a call, with all events in full.
fn whole(server: &Server, id: &str) -> Value {
    let reply = server.get(&format!("lens/{}/json", encoded(id)));
    assert_eq!(reply.status, 200, "{id}: {}", reply.body);
    reply.json()
}

/// Times and messages of one call in the lens, repetitions in their places.
fn messages(lens: &Value) -> Vec<Row> {
    let begin = lens["begin"].as_u64().unwrap();
    let mut all = Vec::new();
    for event in lens["events"].as_array().unwrap() {
        if event["kind"] != "sip" {
            continue;
        }
        let row = |at: u64| {
            let message = event["message"].as_str().unwrap().to_owned();
            (at, event["direction"] == "in", message)
        };
        all.push(row(event["at"].as_u64().unwrap()));
        let also = event["also"].as_array().unwrap().iter();
        all.extend(also.map(|t| row(begin + (t.as_f64().unwrap() * 1e6).round() as u64)));
        assert_eq!(
            event["repeat"].as_u64().unwrap() as usize,
            1 + event["also"].as_array().unwrap().len()
        );
    }
    all.sort_by_key(|(at, _, _)| *at);
    all
}

#[test]
fn two_hundred_calls_are_seen_whole() {
    let web = Web::start(None);
    let pivot =
        json!({"module": "pivot", "data": {"voice_url": web.url("/first")}, "children": {}});
    let tone =
        json!({"module": "play", "data": {"id": "tone_stream://%(1000,0,440)"}, "children": {}});
    let server = Server::with_flows(&[("2030", pivot), ("2031", tone)]);
    let capture = is_root().then(|| Capture::start(server.sip));
    if capture.is_none() {
        eprintln!("capturing needs root: messages are not compared with what was on the wire");
    }
    place(&server, "2030");
    let rows = eventually("the call records", Duration::from_secs(30), || {
        let rows = server
            .data("cdrs?page_size=1000")
            .as_array()
            .unwrap()
            .clone();
        (rows.len() >= CALLS).then_some(rows)
    });
    assert_eq!(rows.len(), CALLS);
    // The last messages have long passed when the records can be read.
    let captured = capture.map(Capture::end);
    let mut asked: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for request in web.requests() {
        let text = format!(
            "{} {}",
            request["path"].as_str().unwrap(),
            request["body"].as_str().unwrap()
        );
        let id = text
            .split(['?', '&', ' '])
            .find_map(|pair| pair.strip_prefix("Call-ID="));
        let id = percent_decoded(id.unwrap());
        asked.entry(id).or_default().push(request);
    }
    let (mut seen, mut skews) = (0, Vec::new());
    for row in &rows {
        let id = row["call_id"].as_str().unwrap();
        let lens = eventually("the end of the call", Duration::from_secs(10), || {
            Some(whole(&server, id)).filter(|lens| lens["state"] == "ended")
        });
        assert_eq!(lens["partial"], Value::Null);
        assert_eq!(lens["result"], "completed", "{lens:#}");
        let own = messages(&lens);
        seen += own.len();
        if let Some(captured) = &captured {
            skews.push(compare(id, &own, &captured[id]));
        }
        compare_requests(id, &lens, &asked[id]);
    }
    // INVITE, 200, ACK, BYE, 200; a quick answer spares the 100.
    assert!(seen >= CALLS * 5, "{seen} messages of {CALLS} calls");
    // A machine that does something else for a moment delays the program, not the wire: the usual call counts.
    skews.sort_unstable();
    let usual = skews.get(skews.len() / 2).copied().unwrap_or(0);
    println!(
        "{seen} messages; skew {usual} µs usually, {:?} µs at most",
        skews.last()
    );
    assert!(usual < SKEW_US, "{usual} µs");
    downloads(&server, rows[0]["call_id"].as_str().unwrap());
    captured_sound(&server);
}

/// Each message once and in order; gives the most that two times of one message are apart.
fn compare(id: &str, own: &[Row], wire: &[Row]) -> u64 {
    assert_eq!(
        own.len(),
        wire.len(),
        "{id}: messages in the lens and on the wire"
    );
    let firsts = |rows: &[Row], way: bool| -> Vec<String> {
        let rows = rows.iter().filter(|(_, of, _)| *of == way);
        rows.map(|(_, _, message)| message.clone()).collect()
    };
    for way in [true, false] {
        assert_eq!(firsts(own, way), firsts(wire, way), "{id}");
    }
    let mut worst = 0;
    for way in [true, false] {
        let times = |rows: &[Row]| -> Vec<u64> {
            let rows = rows.iter().filter(|(_, of, _)| *of == way);
            rows.map(|(at, _, _)| *at).collect()
        };
        let pairs = times(own).into_iter().zip(times(wire));
        worst = pairs
            .map(|(a, b)| a.abs_diff(b))
            .max()
            .unwrap_or(0)
            .max(worst);
    }
    worst
}

fn compare_requests(id: &str, lens: &Value, log: &[Value]) {
    let events = lens["events"].as_array().unwrap().iter();
    let requests: Vec<&Value> = events
        .filter(|event| event["kind"] == "hook" && event["pair"].is_null())
        .collect();
    assert_eq!(
        requests.len(),
        log.len(),
        "{id}: requests in the lens and in the log"
    );
    for (own, logged) in requests.iter().zip(log) {
        let request = &own["request"];
        let url = request["url"].as_str().unwrap();
        assert!(url.ends_with(logged["path"].as_str().unwrap()), "{url}");
        assert_eq!(request["method"], logged["method"]);
        assert_eq!(request["body"], logged["body"]);
        assert!(own["took_ms"].is_number(), "{own:#}");
        let at = (logged["at"].as_f64().unwrap() * 1e6) as u64;
        // Python takes its time before it writes its log.
        assert!(at + SKEW_US >= own["at"].as_u64().unwrap(), "{id}");
    }
}

fn percent_decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("a={text}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap()
}

/// The downloads of one call are what they say they are.
fn downloads(server: &Server, id: &str) {
    let har = server.get(&format!("lens/{}/har", encoded(id))).json();
    let log = &har["log"];
    assert_eq!(log["version"], "1.2");
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{har:#}");
    for entry in entries {
        for key in [
            "startedDateTime",
            "time",
            "request",
            "response",
            "cache",
            "timings",
        ] {
            assert!(!entry[key].is_null(), "{key}: {entry:#}");
        }
        for key in [
            "method",
            "url",
            "httpVersion",
            "headers",
            "queryString",
            "cookies",
        ] {
            assert!(!entry["request"][key].is_null(), "{key}");
        }
        assert_eq!(entry["response"]["status"], 200);
        assert!(entry["timings"]["wait"].as_f64().unwrap() >= 0.0);
    }
    let path = format!(
        "/v2/accounts/{}/pivot/debug/{}/1/replay",
        server.account,
        encoded(id)
    );
    let body = json!({"data": {}});
    let token = [("X-Auth-Token", server.token())];
    let replay = http::request(server.api, "POST", &path, &token, Some(&body)).unwrap();
    assert_eq!(replay.status, 200, "{}", replay.body);
    let replay = replay.json()["data"].take();
    assert_eq!(replay["response"]["status"], 200, "{replay:#}");
    assert_eq!(replay["changes"], json!([]), "{replay:#}");
    assert_eq!(replay["during"]["body"], replay["response"]["body"]);
    let traced = run(Command::new(swivel())
        .args(["trace", id, "--config"])
        .arg(server.config()));
    let said = String::from_utf8_lossy(&traced.stdout).into_owned();
    assert!(
        said.contains("INVITE sip:2030@") && said.contains("module pivot"),
        "{said}"
    );
}

/// A call that hears something, as a file for others to read.
fn captured_sound(server: &Server) {
    let via = format!("127.0.0.1:{}", server.sip);
    let called = run(Command::new(swivel()).args(["call", "2031", "--via", &via]));
    assert!(called.status.success(), "{}", printed(&called));
    let id = eventually("its record", Duration::from_secs(20), || {
        let rows = server.data("cdrs?page_size=1000");
        let mut rows = rows.as_array().unwrap().iter();
        let own = rows.find(|row| row["to"].as_str().is_some_and(|to| to.starts_with("2031")));
        own.map(|row| row["call_id"].as_str().unwrap().to_owned())
    });
    let file = server.folder().join("call.pcap");
    let output = run(Command::new("curl")
        .args(["-sS", "-f", "-o"])
        .arg(&file)
        .args(["-H", &format!("X-Auth-Token: {}", server.token())])
        .arg(format!(
            "http://{}/v2/accounts/{}/lens/{}/pcap",
            server.api,
            server.account,
            encoded(&id)
        )));
    assert!(output.status.success(), "{}", printed(&output));
    capture(&file);
}

/// The capture of a call, read by somebody else: its SIP messages, and RTP both telephones' sides of which hang together.
fn capture(file: &std::path::Path) {
    let python = python("test").expect("`make test` builds .venv/test");
    let read = run(Command::new(python)
        .arg(root().join("tests/live/read_pcap.py"))
        .arg(file));
    assert!(read.status.success(), "{}", printed(&read));
    let lines = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(lines.starts_with("SIP INVITE sip:2031@"), "{lines}");
    assert!(lines.contains("\nSIP BYE sip:"), "{lines}");
    let rtp: Vec<Vec<u64>> = lines
        .lines()
        .filter_map(|line| line.strip_prefix("RTP "))
        .map(|line| {
            line.split(' ')
                .map(|field| field.parse().unwrap())
                .collect()
        })
        .collect();
    // Payload type, sequence number, timestamp, source, length of what was sent.
    assert!(rtp.len() > 5, "{lines}");
    for pair in rtp.windows(2) {
        assert_eq!(pair[0][3], pair[1][3], "only swivel speaks here");
        assert_eq!((pair[0][1] + 1) & 0xffff, pair[1][1], "{pair:?}");
        assert_eq!(pair[1][0], 0, "PCMU");
        assert_eq!(pair[1][4], 172, "a header and 160 samples");
    }
}
