//! A phone that challenges whatever we send it, with the realms of our carriers (`security.md` row 4): it gets no answer,
//! and the carrier of the realm does.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::desk::PASSWORD;
use super::peer::{KNOWN, Peer, beside, header, known, offer, soak, status, stranger};
use super::probes::{Ask, Caller};
use super::server::Server;
use super::tools::{eventually, now};

const REALM: &str = "carrier.test";
const NUMBER: &str = "+14155550123";
const ROGUE: &str = "00000000000000000000000000060be1";

/// What a challenger has been sent.
#[derive(Debug, Default)]
struct Seen {
    /// Methods of requests, and whether there were credentials in them.
    requests: Vec<(String, bool)>,
}

impl Seen {
    fn count(&self, method: &str) -> usize {
        self.requests.iter().filter(|(m, _)| m == method).count()
    }

    fn credentials(&self) -> Vec<&str> {
        let with = self.requests.iter().filter(|(_, with)| *with);
        with.map(|(method, _)| method.as_str()).collect()
    }
}

/// Challenges the request with this realm, by 401 or 407.
fn challenge(request: &str, realm: &str, n: usize) -> String {
    let (line, name) = if n.is_multiple_of(2) {
        ("401 Unauthorized", "WWW-Authenticate")
    } else {
        ("407 Proxy Authentication Required", "Proxy-Authenticate")
    };
    let scheme = format!("Digest realm=\"{realm}\", nonce=\"n{n}\", qop=\"auth\", algorithm=MD5");
    reply(request, line, &format!("{name}: {scheme}\r\n"))
}

fn reply(request: &str, line: &str, more: &str) -> String {
    let copied = |name| header(request, name).unwrap();
    let to = copied("To");
    let tag = if to.contains(";tag=") {
        ""
    } else {
        ";tag=rogue"
    };
    format!(
        "SIP/2.0 {line}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}Content-Length: 0\r\n\r\n",
        copied("Via"),
        copied("From"),
        copied("Call-ID"),
        copied("CSeq"),
    )
}

/// Challenges what comes within that time, with one realm after the other, until `enough`.
fn challenges(
    peer: &Peer,
    port: u16,
    realms: &[&str],
    seen: &mut Seen,
    most: Duration,
    mut enough: impl FnMut(&Seen) -> bool,
) {
    let deadline = now() + most;
    while !enough(seen) && now() < deadline {
        let Some(text) = peer.receive(Duration::from_millis(50)) else {
            continue;
        };
        if text.starts_with("SIP/2.0") {
            continue;
        }
        let method = text.split(' ').next().unwrap().to_owned();
        let with = text.to_ascii_lowercase().contains("authorization:");
        let n = seen.requests.len();
        if method != "ACK" {
            seen.requests.push((method, with));
            peer.send(
                challenge(&text, realms[n % realms.len()], n / 2).as_bytes(),
                port,
            );
        }
    }
}

/// A web server that has callers transferred by REFER.
fn refers() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(beside(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 8192];
            let _request = stream.read(&mut buffer);
            let body = "<Response><Refer><Sip>sip:somebody@live.test</Sip></Refer></Response>";
            let _gone = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    }));
    address
}

#[test]
fn a_phone_that_challenges_with_a_carriers_realm_learns_nothing_and_the_carrier_is_answered() {
    let carrier = Peer::at(Ipv4Addr::new(127, 6, 0, 1));
    let gateway = carrier.socket.local_addr().unwrap();
    let gone = json!({"module": "hangup", "data": {}, "children": {}});
    let answers = json!({"module": "answer", "data": {}, "children": {"_": gone.clone()}});
    let url = format!("http://{}/refer", refers());
    let server = Server::start(
        &[
            ("SWIVEL_SIP__DIGEST", "MD5"),
            ("SWIVEL_REGISTRAR__OPTIONS_SECONDS", "1"),
            ("SWIVEL_REGISTRAR__OPTIONS_MISSES", "100"),
        ],
        json!({
            "devices": [
                {"name": "known", "sip": {"method": "ip", "ip": KNOWN}},
                {"id": ROGUE, "name": "rogue", "sip": {"method": "password", "username": "rogue", "password": PASSWORD}},
            ],
            "resources": [{"name": "carrier", "rules": ["^\\+1\\d{10}$"], "gateways": [{
                "server": gateway.ip().to_string(), "port": gateway.port(), "realm": REALM, "username": "us",
                "password": "the carrier's secret", "options_seconds": 0, "progress_timeout": 20}]}],
            "callflows": [
                {"name": "out", "numbers": ["no_match"], "flow": {"module": "resources", "data": {}, "children": {"_": gone.clone()}}},
                {"name": "rogue", "numbers": ["600"], "flow": {"module": "device", "data": {"id": ROGUE}, "children": {"_": gone}}},
                {"name": "ends", "numbers": ["700"], "flow": answers},
                {"name": "refers", "numbers": ["701"],
                 "flow": {"module": "pivot", "data": {"voice_url": url, "req_format": "twiml"}, "children": {}}},
            ],
        }),
    );
    let port = server.sip;
    let each = if soak() { 50 } else { 8 };
    let realms = [REALM, "live.test", "far.test", REALM];
    let mut seen = Seen::default();

    // It registers with an address of its home, so that it is asked again and again whether it is there.
    let rogue = Caller::new(&server, stranger(1), "rogue");
    let mut ask = Ask::of("REGISTER", "rogue", "rogue");
    ask.uri = "sip:live.test".to_owned();
    ask.lines = "Contact: <sip:rogue@192.168.1.2:5060>\r\nExpires: 600\r\n".to_owned();
    let answer = rogue.ask(&ask);
    assert_eq!(status(&answer), Some(200), "{answer}");
    let peer = &rogue.peer;

    // It is called.
    let enough = Arc::new(AtomicBool::new(false));
    let ending = Arc::clone(&enough);
    let calling = beside(move || {
        let caller = Peer::at(known(1));
        let mut came = Vec::new();
        // A server that has much else to do may refuse some.
        while !ending.load(Ordering::Relaxed) {
            let call = caller.call("600", &offer(known(1), 40_000, ""), port);
            came.push(call.status());
            std::thread::sleep(Duration::from_millis(20));
        }
        came
    });
    let most = Duration::from_secs(120);
    challenges(peer, port, &realms, &mut seen, most, |seen| {
        seen.count("INVITE") >= each
    });
    enough.store(true, Ordering::Relaxed);
    challenges(peer, port, &realms, &mut seen, most, |_| {
        calling.is_finished()
    });
    let came = calling.join().unwrap();
    assert!(came.iter().all(|status| *status >= 400), "{came:?}");
    assert!(seen.count("INVITE") >= each, "{came:?}: {seen:?}");

    // It calls, and is hung up on or transferred.
    for n in 0..2 * each {
        let (number, method) = [("700", "BYE"), ("701", "REFER")][n % 2];
        let mut ask = Ask::of("INVITE", number, "rogue");
        let own = peer.socket.local_addr().unwrap();
        ask.lines = format!("Contact: <sip:rogue@{own}>\r\nContent-Type: application/sdp\r\n");
        ask.body = offer(stranger(1), 40_002, "");
        let answer = rogue.ask(&ask);
        assert_eq!(status(&answer), Some(200), "{answer}");
        let contact = header(&answer, "Contact").unwrap();
        let uri = contact.trim_start_matches('<').split('>').next().unwrap();
        let copied = |name| header(&answer, name).unwrap();
        let ack = format!(
            "ACK {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKack{n};rport\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
            copied("From"),
            copied("To"),
            copied("Call-ID"),
        );
        peer.send(ack.as_bytes(), port);
        let before = seen.count(method);
        challenges(peer, port, &realms, &mut seen, most, |seen| {
            seen.count(method) > before
        });
        assert!(seen.count(method) > before, "{method}: {seen:?}");
    }

    // It is told of its messages, and asked whether it is there.
    let mut ask = Ask::of("SUBSCRIBE", "rogue", "rogue");
    let own = peer.socket.local_addr().unwrap();
    ask.lines = format!("Contact: <sip:rogue@{own}>\r\nEvent: message-summary\r\nExpires: 600\r\n");
    for _ in 0..each {
        let answer = rogue.ask(&ask);
        assert_eq!(status(&answer), Some(200), "{answer}");
        let before = seen.count("NOTIFY");
        challenges(peer, port, &realms, &mut seen, most, |seen| {
            seen.count("NOTIFY") > before
        });
    }
    challenges(peer, port, &realms, &mut seen, most, |seen| {
        seen.count("OPTIONS") >= each.min(5)
    });
    let counts = ["INVITE", "BYE", "REFER", "NOTIFY", "OPTIONS"].map(|m| (m, seen.count(m)));
    println!("{counts:?}, challenged {} times", seen.requests.len());
    assert!(counts.iter().all(|(_, n)| *n >= each.min(5)), "{counts:?}");
    assert_eq!(seen.credentials(), Vec::<&str>::new(), "{seen:?}");

    // The carrier is answered: the test would see it. And with another realm it is not.
    for (realm, answered) in [(REALM, true), ("other.test", false)] {
        let calling = beside(move || {
            let caller = Peer::at(known(2));
            let call = caller.call(NUMBER, &offer(known(2), 40_004, ""), port);
            call.status()
        });
        let mut of_carrier = Seen::default();
        challenges(&carrier, port, &[realm], &mut of_carrier, most, |_| {
            calling.is_finished()
        });
        eventually("the end of the call", most, || {
            calling.is_finished().then_some(())
        });
        assert!(calling.join().unwrap() >= 400);
        assert_eq!(
            !of_carrier.credentials().is_empty(),
            answered,
            "{realm}: {of_carrier:?}"
        );
    }
}
