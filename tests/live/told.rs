//! Webhooks and live events over real sockets: a healthy receiver is told of every event of every leg, in order, over a
//! kill -9.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use swivel::jobs::webhooks::sign;

use super::crash::place_calls;
use super::peer::soak;
use super::server::Server;
use super::tools::{eventually, python, root};

/// A receiver that says 200 and keeps what it is told, in order.
struct Receiver {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let seen = told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        Self { address, told }
    }

    /// The events of each leg in the order they came first; repetitions are known by their id.
    fn legs(&self) -> BTreeMap<String, Vec<String>> {
        let mut legs: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for body in self.told.lock().unwrap().iter() {
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            let leg = legs.entry(text("call_id")).or_default();
            if !leg.iter().any(|(id, _)| *id == text("event_id")) {
                leg.push((text("event_id"), text("hook_event")));
            }
        }
        let names = |events: Vec<(String, String)>| events.into_iter().map(|(_, name)| name);
        legs.into_iter()
            .map(|(leg, events)| (leg, names(events).collect()))
            .collect()
    }
}

fn serve(stream: TcpStream, told: &Mutex<Vec<Value>>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        told.lock()
            .unwrap()
            .push(serde_json::from_slice(&body).unwrap());
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        if writer.write_all(answer).is_err() {
            return;
        }
    }
}

#[test]
fn a_healthy_receiver_is_told_of_every_leg_in_order_over_a_kill_9() {
    let receiver = Receiver::start();
    let flow = json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 300, "unit": "ms"}, "children": {}}}});
    let hook = json!({"name": "watch", "hook": "all", "format": "json", "uri": format!("http://{}/in", receiver.address)});
    let mut server = Server::start(
        &[],
        json!({"callflows": [{"name": "flow", "numbers": ["1000"], "flow": flow}], "webhooks": [hook]}),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let answered: Arc<Mutex<std::collections::BTreeSet<String>>> = Arc::default();
    let load = {
        let (sip, stop, answered) = (server.sip, stop.clone(), answered.clone());
        std::thread::spawn(move || place_calls(sip, 0, &stop, &answered))
    };
    let (half, patience) = if soak() { (5_000, 900) } else { (150, 20) };
    let patience = Duration::from_secs(patience);
    let calls = |least: usize| {
        eventually("answered calls", patience, || {
            (answered.lock().unwrap().len() >= least).then_some(())
        });
    };
    calls(half);
    server.kill_and_restart();
    let before = answered.lock().unwrap().len();
    calls(before + if soak() { half } else { 50 });
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();
    let answered = answered.lock().unwrap().clone();
    let whole = ["channel_create", "channel_answer", "channel_destroy"];
    let legs = eventually(
        "the last event",
        patience.max(Duration::from_secs(90)),
        || {
            let legs = receiver.legs();
            let over = |leg: &String| legs.get(leg).is_some_and(|events| events.len() == 3);
            answered.iter().all(over).then_some(legs)
        },
    );
    for leg in &answered {
        assert_eq!(legs[leg], whole, "{leg}");
    }
}

/// Not told before it is written down: who hears of the end of a leg finds its record.
#[test]
fn a_receiver_that_is_down_for_a_while_is_told_later_and_the_calls_do_not_wait() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let flow = json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 100, "unit": "ms"}, "children": {}}}});
    let hook = json!({"name": "watch", "hook": "channel_destroy", "format": "json", "retries": 4,
                      "uri": format!("http://{address}/in")});
    let server = Server::start(
        &[],
        json!({"callflows": [{"name": "flow", "numbers": ["1000"], "flow": flow}], "webhooks": [hook]}),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let answered: Arc<Mutex<std::collections::BTreeSet<String>>> = Arc::default();
    let load = {
        let (sip, stop, answered) = (server.sip, stop.clone(), answered.clone());
        std::thread::spawn(move || place_calls(sip, 0, &stop, &answered))
    };
    eventually("answered calls", Duration::from_secs(20), || {
        (answered.lock().unwrap().len() >= 60).then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();
    let disabled = eventually("the hook to be given up", Duration::from_secs(40), || {
        let hooks = server.data("webhooks");
        (hooks[0]["enabled"] == false).then(|| hooks[0].clone())
    });
    assert_eq!(disabled["disable_reason"], "too many failed attempts");
    let attempts = server.data("webhooks/attempts");
    assert!(attempts.as_array().unwrap().len() >= 6, "{attempts:#}");
    assert_eq!(attempts[0]["result"], "failure");
}

/// Says something to each connection, if anything, and then reads until it is closed.
fn misbehaves(answer: Option<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 4096];
                while let Ok(1..) = stream.read(&mut buffer) {
                    if let Some(answer) = &answer
                        && stream.write_all(answer.as_bytes()).is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Whoever does not answer, redirects in circles or says what is no HTTP keeps neither calls nor the others waiting.
#[test]
fn receivers_that_are_slow_down_redirect_or_lie_delay_neither_calls_nor_the_healthy_one() {
    let healthy = Receiver::start();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let down = closed.local_addr().unwrap();
    drop(closed);
    let silent = misbehaves(None);
    let around = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{silent}/in\r\nContent-Length: 0\r\n\r\n"
    );
    let lies = [
        None,
        Some(around),
        Some("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nlittle".to_owned()),
        Some("220 mail.example ESMTP\r\n".to_owned()),
        Some(format!(
            "HTTP/1.1 200 OK\r\n{}",
            "X-Filler: x\r\n".repeat(2000)
        )),
    ];
    let mut addresses: Vec<SocketAddr> = lies.into_iter().map(misbehaves).collect();
    addresses.push(down);
    addresses.push(healthy.address);
    let hooks: Vec<Value> = addresses
        .iter()
        .enumerate()
        .map(|(n, address)| json!({"name": format!("hook {n}"), "hook": "all", "format": "json", "uri": format!("http://{address}/in")}))
        .collect();
    let flow = json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 100, "unit": "ms"}, "children": {}}}});
    let server = Server::start(
        &[],
        json!({"callflows": [{"name": "flow", "numbers": ["1000"], "flow": flow}], "webhooks": hooks}),
    );
    let many = if soak() { 10_000 } else { 100 };
    let stop = Arc::new(AtomicBool::new(false));
    let answered: Arc<Mutex<std::collections::BTreeSet<String>>> = Arc::default();
    let load = {
        let (sip, stop, answered) = (server.sip, stop.clone(), answered.clone());
        std::thread::spawn(move || place_calls(sip, 0, &stop, &answered))
    };
    // One that waited for a receiver would wait for many seconds each.
    let patience = Duration::from_secs(if soak() { 600 } else { 30 });
    eventually("answered calls", patience, || {
        (answered.lock().unwrap().len() >= many).then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();
    let answered = answered.lock().unwrap().clone();
    let whole = ["channel_create", "channel_answer", "channel_destroy"];
    let legs = eventually("the last event", patience, || {
        let legs = healthy.legs();
        let over = |leg: &String| legs.get(leg).is_some_and(|events| events.len() == 3);
        answered.iter().all(over).then_some(legs)
    });
    for leg in &answered {
        assert_eq!(legs[leg], whole, "{leg}");
    }
}

#[test]
fn who_listens_by_websocket_hears_of_a_call_from_its_beginning_to_its_end() {
    let python = python("test").expect("`make test` builds .venv/test");
    let flow = json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 100, "unit": "ms"}, "children": {}}}});
    let server = Server::with_flows(&[("1000", flow)]);
    let url = format!("ws://{}/v2/websocket", server.api);
    let mut listener = Command::new(python)
        .arg(root().join("tests/live/events.py"))
        .args([&url, server.token(), &server.account])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(listener.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "listening");
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (sip, stop) = (server.sip, stop.clone());
        std::thread::spawn(move || place_calls(sip, 0, &stop, &Mutex::default()))
    };
    let events: Vec<Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();
    assert!(listener.wait().unwrap().success());
    let names: Vec<_> = events.iter().map(|event| &event["name"]).collect();
    assert_eq!(names, ["CHANNEL_CREATE", "CHANNEL_DESTROY"]);
    let over = &events[1];
    assert_eq!(over["subscribed_key"], "call.CHANNEL_DESTROY.*");
    assert_eq!(over["data"]["hangup_cause"], "NORMAL_CLEARING", "{over:#}");
    assert_eq!(over["data"]["event_category"], "call_event", "{over:#}");
}

/// `security.md` row 29: what receivers are told to copy refuses what is changed, made up or sent again later.
#[test]
fn the_verifier_of_the_documentation_takes_what_is_genuine_and_refuses_the_rest() {
    let python = python("test").expect("`make test` builds .venv/test");
    let page = std::fs::read_to_string(root().join("docs/webhooks.md")).unwrap();
    let sample = page.split_once("```python\n").unwrap().1;
    let sample = sample.split_once("```").unwrap().0;
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let body = "{\"hook_event\": \"channel_create\"}";
    let good = sign("secret", now, body);
    let cases = [
        (good.clone(), body, true),
        (good.clone(), "{}", false),
        (sign("another", now, body), body, false),
        (sign("secret", now - 301, body), body, false),
        (sign("secret", now + 302, body), body, false),
        (
            good.replace(&format!("t={now}"), &format!("t={}", now - 1)),
            body,
            false,
        ),
        (format!("t={now},v1="), body, false),
    ];
    for (header, body, genuine) in cases {
        let script =
            format!("{sample}\nimport sys\nprint(is_genuine('secret', sys.argv[1], sys.argv[2]))");
        let output = Command::new(&python)
            .args(["-c", &script, &header, body])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let wanted = if genuine { "True" } else { "False" };
        assert_eq!(
            said.trim(),
            wanted,
            "{header} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
