//! Probes for what `security.md` rows 3, 5, 6 and 16 promise, over sockets: credentials sent again, phones that speak for
//! others, every method of every zone, requests forged into calls. `make soak` takes the numbers of the table.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::desk::PASSWORD;
use super::peer::{KNOWN, Peer, beside, header, known, offer, soak, status, stranger, unique};
use super::server::Server;
use super::tools::now;

const REALM: &str = "live.test";
/// What is much shorter than its challenge gets none (row 35).
const LONG: &str = "a telephone with a name that is as long as the headers that other telephones send and probes do not";
/// A machine with much else to do gets its time.
const PATIENCE: Duration = Duration::from_secs(15);

/// A phone with a user name and a password, at an address nobody knows.
pub(crate) struct Caller {
    pub(crate) peer: Peer,
    pub(crate) name: String,
    password: &'static str,
    port: u16,
}

/// A challenge of the server's.
#[derive(Clone)]
struct Challenge {
    realm: String,
    nonce: String,
}

/// A request before it has credentials.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) lines: String,
    pub(crate) body: String,
}

impl Ask {
    fn register(name: &str, lines: &str) -> Self {
        let aor = format!("sip:{name}@{REALM}");
        Self {
            method: "REGISTER",
            uri: format!("sip:{REALM}"),
            from: aor.clone(),
            to: aor,
            lines: lines.to_owned(),
            body: String::new(),
        }
    }

    pub(crate) fn of(method: &'static str, number: &str, from: &str) -> Self {
        let uri = format!("sip:{number}@{REALM}");
        Self {
            method,
            to: uri.clone(),
            uri,
            from: format!("sip:{from}@{REALM}"),
            lines: String::new(),
            body: String::new(),
        }
    }
}

impl Caller {
    pub(crate) fn new(server: &Server, address: Ipv4Addr, name: &str) -> Self {
        Self {
            peer: Peer::at(address),
            name: name.to_owned(),
            password: PASSWORD,
            port: server.sip,
        }
    }

    /// The request with these credentials, in a transaction and under a Call-ID of its own; `more` beside what it says.
    fn text(&self, ask: &Ask, more: &str) -> String {
        let (n, own) = (unique(), self.peer.socket.local_addr().unwrap());
        let Ask {
            method,
            uri,
            from,
            to,
            lines,
            body,
        } = ask;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKprobe{n};rport\r\nMax-Forwards: 70\r\n\
             From: <{from}>;tag=probe{n}\r\nTo: <{to}>\r\nCall-ID: probe-{n}-{}\r\nCSeq: 1 {method}\r\n\
             User-Agent: {LONG}\r\n{lines}{more}Content-Length: {}\r\n\r\n{body}",
            std::process::id(),
            body.len()
        )
    }

    /// Sends it and waits for the final answer.
    fn send(&self, text: &str, method: &str) -> String {
        self.peer.send(text.as_bytes(), self.port);
        let answer = self.peer.answer(method, PATIENCE);
        answer.unwrap_or_else(|| panic!("no answer to {text}"))
    }

    fn challenge(&self, ask: &Ask) -> Challenge {
        let answer = self.send(&self.text(ask, ""), ask.method);
        assert_eq!(status(&answer), Some(401), "{answer}");
        let part = |name: &str| {
            let rest = answer.split(&format!("{name}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        Challenge {
            realm: part("realm"),
            nonce: part("nonce"),
        }
    }

    /// The Authorization header for the request, as often as `count` says.
    fn credentials(&self, ask: &Ask, challenge: &Challenge, count: u32) -> String {
        let md5 = |text: String| hex::encode(Md5::digest(text));
        let Challenge { realm, nonce } = challenge;
        let (name, uri) = (&self.name, &ask.uri);
        let secret = md5(format!("{name}:{realm}:{}", self.password));
        let request = md5(format!("{}:{uri}", ask.method));
        let response = md5(format!("{secret}:{nonce}:{count:08x}:cn:auth:{request}"));
        format!(
            "Authorization: Digest username=\"{name}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm=MD5, qop=auth, cnonce=\"cn\", nc={count:08x}\r\n"
        )
    }

    /// Asks with credentials; the final answer.
    pub(crate) fn ask(&self, ask: &Ask) -> String {
        let line = self.credentials(ask, &self.challenge(ask), 1);
        self.send(&self.text(ask, &line), ask.method)
    }

    fn contact(&self) -> String {
        let own = self.peer.socket.local_addr().unwrap();
        format!("Contact: <sip:{}@{own}>\r\nExpires: 600\r\n", self.name)
    }
}

/// A server with these phones, which bans nobody: what is refused here is refused for its own sake.
fn guarded(names: &[String], more: Value) -> Server {
    let mut devices: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({"name": name, "sip": {"method": "password", "username": name, "password": PASSWORD}})
        })
        .collect();
    devices.push(json!({"name": "known", "sip": {"method": "ip", "ip": KNOWN}}));
    let mut documents = json!({ "devices": devices });
    for (key, value) in more.as_object().unwrap() {
        documents[key] = value.clone();
    }
    let environment = [
        ("SWIVEL_SIP__DIGEST", "MD5"),
        ("SWIVEL_SECURITY__BAN_FAILURES", "0"),
        ("SWIVEL_SECURITY__FAILURES_PER_HOUR", "100000"),
    ];
    Server::start(&environment, documents)
}

/// Logs in so often, four at a time and each four in the reverse order of their counts. Gives what a listener captured.
fn logs_in(caller: &Caller, often: u32) -> Vec<(String, u32)> {
    let ask = Ask::register(&caller.name, &caller.contact());
    let mut captured = Vec::new();
    while captured.len() < usize::try_from(often).unwrap() {
        let challenge = caller.challenge(&ask);
        for first in [1, 5] {
            for count in (first..first + 4).rev() {
                let line = caller.credentials(&ask, &challenge, count);
                caller
                    .peer
                    .send(caller.text(&ask, &line).as_bytes(), caller.port);
                captured.push((line, count));
            }
            for _ in 0..4 {
                let answer = caller.peer.answer("REGISTER", PATIENCE).unwrap();
                assert_eq!(status(&answer), Some(200), "{answer}");
            }
        }
    }
    captured
}

/// Row 3.
#[test]
fn of_captured_credentials_none_is_accepted_again_and_honest_logins_all_are() {
    let (lanes, often) = if soak() { (20_u32, 56) } else { (5, 16) };
    let names: Vec<String> = (0..lanes).map(|n| format!("phone{n}")).collect();
    let server = guarded(&names, json!({}));
    let logins = (1..).zip(&names).map(|(n, name)| {
        let caller = Caller::new(&server, stranger(n), name);
        beside(move || (logs_in(&caller, often), caller))
    });
    let logins: Vec<_> = logins.collect::<Vec<_>>();
    let (mut sent, mut accepted) = (0_u16, Vec::new());
    for login in logins {
        let (captured, caller) = login.join().unwrap();
        for (line, count) in captured {
            sent += 1;
            let contact = caller.contact();
            let elsewhere = Caller::new(&server, stranger(1000 + sent), &caller.name);
            let again = Ask::register(&caller.name, &contact);
            let here = Ask {
                uri: format!("sip:127.0.0.1:{}", server.sip),
                ..again.clone()
            };
            let raised = line.replace(&format!("nc={count:08x}"), "nc=000000ff");
            let (who, ask, line) = match sent % 6 {
                0 => (&caller, again, line),
                1 => (&elsewhere, again, line),
                2 => (
                    &elsewhere,
                    Ask::of("SUBSCRIBE", &caller.name, &caller.name),
                    line,
                ),
                3 => (&caller, here, line),
                4 => (&caller, Ask::of("INVITE", "700", &caller.name), line),
                _ => (&caller, again, raised),
            };
            let answer = who.send(&who.text(&ask, &line), ask.method);
            if status(&answer) != Some(401) {
                accepted.push(answer);
            }
        }
        // Who has the password cannot go back either: the counts before are used up or too old.
        let ask = Ask::register(&caller.name, &caller.contact());
        let challenge = caller.challenge(&ask);
        for count in [40, 39, 1, 40] {
            let line = caller.credentials(&ask, &challenge, count);
            let answer = caller.send(&caller.text(&ask, &line), "REGISTER");
            let first = [40, 39].contains(&count) && !answer.contains("stale=true");
            let honest = status(&answer) == Some(200);
            if count == 1 {
                assert!(!honest, "{answer}");
                assert!(answer.contains("stale=true"), "{answer}");
            }
            assert!(first == honest, "{count}: {answer}");
        }
    }
    println!("{sent} captured, {} accepted", accepted.len());
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert!(u32::from(sent) >= lanes * often);
    if soak() {
        let caller = Caller::new(&server, stranger(60_000), &names[0]);
        let ask = Ask::register(&caller.name, &caller.contact());
        let challenge = caller.challenge(&ask);
        std::thread::sleep(Duration::from_secs(62));
        let line = caller.credentials(&ask, &challenge, 1);
        let answer = caller.send(&caller.text(&ask, &line), "REGISTER");
        assert_eq!(status(&answer), Some(401), "a nonce lives for a minute");
        assert!(answer.contains("stale=true"), "{answer}");
    }
}

/// Row 5.
#[test]
fn who_speaks_for_somebody_else_is_403_and_changes_nothing() {
    let names = ["victim", "mallory"].map(str::to_owned);
    let server = guarded(&names, json!({}));
    let victim = Caller::new(&server, stranger(1), "victim");
    let answer = victim.ask(&Ask::register("victim", &victim.contact()));
    assert_eq!(status(&answer), Some(200), "{answer}");
    let bound = || {
        let rows = server.data("registrations");
        let rows = rows.as_array().unwrap().iter();
        let rows = rows.map(|row| (row["username"].clone(), row["original_contact"].clone()));
        rows.collect::<Vec<_>>()
    };
    let before = bound();
    let own = victim.peer.socket.local_addr().unwrap();
    let tries = if soak() { 500 } else { 56 };
    let mut seen = BTreeMap::new();
    for n in 0..tries {
        let mallory = Caller::new(&server, stranger(2 + n), "mallory");
        let register = |lines: &str| Ask::register("victim", lines);
        let mut ask = match n % 7 {
            0 => register("Contact: *\r\nExpires: 0\r\n"),
            1 => register(&format!("Contact: <sip:victim@{own}>;expires=0\r\n")),
            2 => register(&mallory.contact()),
            3 => register(
                "Contact: <sip:victim@10.0.3.9>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\r\n",
            ),
            // What is bound is a question too.
            4 => register(""),
            5 => Ask::of("INVITE", "700", "victim"),
            _ => Ask::of("MESSAGE", "victim", "victim"),
        };
        if ask.method == "INVITE" {
            ask.lines = format!("Contact: <sip:victim@{own}>\r\nContent-Type: application/sdp\r\n");
            ask.body = offer(stranger(2 + n), 40_000, "");
        }
        let answer = mallory.ask(&ask);
        assert!(!answer.contains(&own.to_string()), "{answer}");
        *seen
            .entry((ask.method, status(&answer).unwrap()))
            .or_insert(0) += 1;
    }
    println!("{seen:?}");
    // Nobody's MESSAGE goes anywhere.
    let answers: Vec<_> = seen.keys().copied().collect();
    assert_eq!(
        answers,
        [("INVITE", 403), ("MESSAGE", 405), ("REGISTER", 403)]
    );
    assert_eq!(bound(), before);
    assert_eq!(server.data("cdrs"), json!([]), "nobody was called");
}

/// Row 34: what strangers write is never looked up. The name server is ours, so that it knows.
#[test]
fn a_name_server_hears_nothing_of_the_names_strangers_write() {
    let names = UdpSocket::bind("127.0.0.1:0").unwrap();
    names.set_nonblocking(true).unwrap();
    let server = names.local_addr().unwrap().to_string();
    let server = Server::start(&[("SWIVEL_DNS__SERVERS", server.as_str())], json!({}));
    let total: u16 = if soak() { 10_000 } else { 1_000 };
    let mut answered = 0;
    for n in 0..total {
        // A source may send a few hundred at once.
        let peer = Peer::at(stranger(1 + n / 100));
        let host = format!("host{n}.stranger.example");
        let lines = format!(
            "Route: <sip:{host};lr>\r\nRecord-Route: <sip:{host};lr>\r\nContent-Type: application/sdp\r\n"
        );
        let sdp = offer(stranger(1), 40_000, "").replace("127.2.0.1", &host);
        let method = ["INVITE", "REGISTER", "OPTIONS", "BYE"][usize::from(n) % 4];
        let own = peer.socket.local_addr().unwrap();
        let request = peer.request(method, &format!("sip:700@{host}"), &lines, &sdp);
        let request = request.replace(&format!("UDP {own}"), &format!("UDP {host}"));
        let request = request.replace(&format!("1001@{own}"), &format!("1001@{host}"));
        peer.send(request.as_bytes(), server.sip);
        answered += usize::from(n % 100 != 0 || peer.answer(method, PATIENCE).is_some());
    }
    assert_eq!(answered, usize::from(total));
    let mut buffer = [0; 512];
    let asked = names.recv(&mut buffer);
    assert!(asked.is_err(), "{:?}", String::from_utf8_lossy(&buffer));
}

/// A zone of `security.md` §1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    Stranger,
    WrongPassword,
    Trunk,
    Phone,
}

/// What a method gets from that zone; 0 is silence. A number nobody has is 404 to those who may call.
fn expected(method: &str, zone: Zone, inside: bool) -> u16 {
    let is_known = matches!(zone, Zone::Trunk | Zone::Phone);
    match (method, inside) {
        ("ACK", _) => 0,
        ("CANCEL", _) => 481,
        ("SUBSCRIBE", _) | ("REGISTER", false) if zone != Zone::Phone => 401,
        ("REGISTER", false) => 200,
        ("SUBSCRIBE", false) => 489,
        (_, true) => 481,
        ("OPTIONS", false) => 200,
        (_, false) if !is_known => 401,
        ("INVITE", false) => 404,
        ("BYE" | "INFO" | "UPDATE" | "PRACK", false) => 481,
        ("REFER", false) => 403,
        (_, false) => 405,
    }
}

const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "INFO",
    "UPDATE",
    "PRACK",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "REGISTER",
    "MESSAGE",
    "PUBLISH",
];

/// A server whose 700 answers and whose 701 does not, with a trunk at that address.
fn with_calls(trunk: Ipv4Addr) -> Server {
    let waits = json!({"module": "sleep", "data": {"duration": 300}, "children": {}});
    let answers = json!({"module": "answer", "data": {}, "children": {"_": waits}});
    guarded(
        &["alice".to_owned()],
        json!({
            "resources": [{"name": "carrier", "rules": ["^\\+1\\d{10}$"], "gateways": [
                {"server": trunk.to_string(), "inbound_ips": [trunk.to_string()], "options_seconds": 0}]}],
            "callflows": [{"name": "answers", "numbers": ["700"], "flow": answers},
                          {"name": "waits", "numbers": ["701"], "flow": waits}],
        }),
    )
}

/// Row 6: 14 methods, 4 zones, in and out of a dialog.
#[test]
fn every_method_of_every_zone_gets_over_the_wire_what_the_table_says() {
    let trunk = Ipv4Addr::new(127, 3, 0, 1);
    let server = with_calls(trunk);
    // Somebody's call, so that there is one.
    let owner = Peer::at(known(1));
    let placed = owner.call("700", &offer(known(1), 40_000, ""), server.sip);
    assert_eq!(placed.status(), 200);
    let call_id = header(&placed.invite, "Call-ID").unwrap();
    let (mut n, mut wrong) = (0, Vec::new());
    for method in METHODS {
        for zone in [
            Zone::Stranger,
            Zone::WrongPassword,
            Zone::Trunk,
            Zone::Phone,
        ] {
            for inside in [false, true] {
                n += 1;
                let address = if zone == Zone::Trunk {
                    trunk
                } else {
                    stranger(n)
                };
                let mut caller = Caller::new(&server, address, "alice");
                let ask = match method {
                    "REGISTER" => Ask::register("alice", &caller.contact()),
                    method => Ask::of(method, "799", "alice"),
                };
                let line = match zone {
                    Zone::Stranger | Zone::Trunk => String::new(),
                    Zone::WrongPassword | Zone::Phone => {
                        if zone == Zone::WrongPassword {
                            caller.password = "a guess of hers";
                        }
                        let asks = Ask::of("INVITE", "799", "alice");
                        caller.credentials(&ask, &caller.challenge(&asks), 1)
                    }
                };
                let mut text = caller.text(&ask, &line);
                if inside {
                    let own = header(&text, "Call-ID").unwrap().to_owned();
                    text = text.replace(&own, call_id);
                    text = text.replacen(
                        &format!("To: <{}>", ask.to),
                        &format!("To: <{}>;tag=0123456789abcdef", ask.to),
                        1,
                    );
                }
                caller.peer.send(text.as_bytes(), server.sip);
                let wanted = expected(method, zone, inside);
                // Silence cannot be waited for; whoever is silent answers the next request all the same.
                let got = if wanted == 0 {
                    assert!(caller.peer.options(server.sip).is_some());
                    caller.peer.receive(Duration::from_millis(50))
                } else {
                    caller.peer.answer(method, PATIENCE)
                };
                let got = got.as_deref().and_then(status).unwrap_or(0);
                if got != wanted {
                    wrong.push(format!(
                        "{method} {zone:?} inside: {inside}: {got}, not {wanted}"
                    ));
                }
            }
        }
    }
    assert_eq!(n, 112);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(placed.hang_up(&owner), 200);
}

/// Rows 6 and 16: who has the Call-ID, and not the tags, has nothing.
#[test]
fn forged_requests_inside_calls_end_none_over_the_wire() {
    let server = with_calls(Ipv4Addr::new(127, 3, 0, 2));
    let (owner, waiting) = (Peer::at(known(1)), Peer::at(known(2)));
    let placed = owner.call("700", &offer(known(1), 40_000, ""), server.sip);
    assert_eq!(placed.status(), 200);
    let uri = format!("sip:701@127.0.0.1:{}", server.sip);
    let sdp = offer(known(2), 40_002, "");
    let rings = waiting.request("INVITE", &uri, "Content-Type: application/sdp\r\n", &sdp);
    waiting.send(rings.as_bytes(), server.sip);
    let provisional = waiting.receive(PATIENCE).unwrap();
    assert_eq!(status(&provisional), Some(100), "{provisional}");
    let tag = |text: &str, name| {
        let value = header(text, name).unwrap();
        value.split(";tag=").nth(1).unwrap().to_owned()
    };
    let answer = placed.answer.as_deref().unwrap();
    let (ours, theirs) = (tag(&placed.invite, "From"), tag(answer, "To"));
    let total = if soak() { 10_000 } else { 600 };
    let methods = ["BYE", "INVITE", "CANCEL", "UPDATE", "REFER", "INFO"];
    let mut seen: BTreeMap<u16, u32> = BTreeMap::new();
    let mut forger = Peer::at(stranger(1));
    for n in 0..total {
        // A source may send a few hundred at once.
        if n % 200 == 0 {
            forger = Peer::at(stranger(2 + n / 200));
        }
        let method = methods[usize::from(n) % 6];
        let own = forger.socket.local_addr().unwrap();
        let guess = format!("{:016x}", u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (call, from_tag, to_tag) = match n % 4 {
            0 | 1 => (&placed.invite, ours.as_str(), guess.as_str()),
            2 => (&placed.invite, guess.as_str(), theirs.as_str()),
            _ => (&rings, guess.as_str(), ""),
        };
        let copied = |name| header(call, name).unwrap().split(";tag=").next().unwrap();
        let to_tag = match to_tag {
            "" => String::new(),
            tag => format!(";tag={tag}"),
        };
        let method = if to_tag.is_empty() { "CANCEL" } else { method };
        let text = format!(
            "{method} sip:700@127.0.0.1:{} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{guess};rport\r\n\
             Max-Forwards: 70\r\nFrom: {};tag={from_tag}\r\nTo: {}{to_tag}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n\
             Contact: <sip:x@{own}>\r\nContent-Length: 0\r\n\r\n",
            server.sip,
            copied("From"),
            copied("To"),
            copied("Call-ID"),
            2 + n,
        );
        forger.send(text.as_bytes(), server.sip);
        let answer = forger.answer(method, PATIENCE);
        let got = answer.as_deref().and_then(status).unwrap_or(0);
        *seen.entry(got).or_default() += 1;
    }
    println!("{seen:?}");
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [481]);
    // Nothing was said to the owners, and both calls are there.
    let heard = |peer: &Peer| {
        let deadline = now() + Duration::from_millis(300);
        let mut heard = Vec::new();
        while let Some(text) = peer.receive(deadline.saturating_duration_since(now())) {
            heard.push(text);
        }
        heard.retain(|text| !text.starts_with("SIP/2.0 1"));
        heard
    };
    assert_eq!(heard(&owner), Vec::<String>::new());
    assert_eq!(heard(&waiting), Vec::<String>::new());
    assert_eq!(placed.hang_up(&owner), 200);
    let via = header(&rings, "Via").unwrap();
    let copied = |name| header(&rings, name).unwrap();
    let cancel = format!(
        "CANCEL {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
         CSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
        copied("From"),
        copied("To"),
        copied("Call-ID"),
    );
    waiting.send(cancel.as_bytes(), server.sip);
    let ended = waiting.answer("INVITE", PATIENCE).unwrap();
    assert_eq!(status(&ended), Some(487), "{ended}");
}
