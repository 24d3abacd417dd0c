//! The endpoint against phones written out as raw text, under a clock moved by hand.

mod calls_in;
mod calls_out;
mod inside;
mod lossy;
mod outside;
mod promises;
mod secure;
mod strangers;
mod transfer;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::sip::flow::{Flow, Transport};
use crate::sip::transaction::tests::start;

pub(super) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
pub(super) const OUR_SDP: &str = "v=0\r\no=- 7 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n";

struct Door;

impl Doorman for Door {
    fn by_source(&self, source: IpAddr) -> Option<Principal> {
        (source == IpAddr::from([10, 0, 0, 2])).then(|| principal("known"))
    }

    fn realm(&self, host: &str) -> Option<Arc<str>> {
        (host == "realm.test").then(|| "realm.test".into())
    }

    fn secret(&self, realm: &str, username: &str) -> Option<(Principal, Secret)> {
        (realm == "realm.test" && username == "alice")
            .then(|| (principal("alice"), Secret::new("wonderland")))
    }
}

pub(super) fn principal(device: &str) -> Principal {
    Principal {
        account: "acc".into(),
        device: device.into(),
    }
}

/// One endpoint at 10.0.0.1 and whoever writes to it.
pub(super) struct Bench {
    pub(super) endpoint: Endpoint,
    t0: Instant,
    pub(super) now: Instant,
    sent: VecDeque<(u128, Flow, String)>,
    pub(super) events: VecDeque<SipEvent>,
    pub(super) connects: Vec<u64>,
    /// The path of `send`.
    pub(super) flow: Flow,
}

pub(super) fn udp(remote: &str) -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: remote.parse().unwrap(),
        connection: 0,
    }
}

pub(super) fn tcp(remote: &str, connection: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        connection,
        ..udp(remote)
    }
}

pub(super) fn bench() -> Bench {
    bench_with(EndpointConfig::default())
}

pub(super) fn bench_with(config: EndpointConfig) -> Bench {
    let local = "10.0.0.1:5060".parse().unwrap();
    let listeners = [Transport::Udp, Transport::Tcp].map(|transport| Listener {
        transport,
        local,
        advertise: None,
    });
    let t0 = start();
    Bench {
        endpoint: Endpoint::new(config, listeners.into(), Box::new(Door), Rng::seeded(1)),
        t0,
        now: t0,
        sent: VecDeque::new(),
        events: VecDeque::new(),
        connects: Vec::new(),
        flow: udp("10.0.0.2:5060"),
    }
}

impl Bench {
    /// Moves the clock to `ms` after the start, firing each timer at its own time.
    pub(super) fn at(&mut self, ms: u64) {
        let end = self.t0 + Duration::from_millis(ms);
        while let Some(due) = self.endpoint.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let now = self.now;
            self.endpoint.handle_timeout(now);
            self.collect();
        }
        self.now = end;
    }

    fn collect(&mut self) {
        let at = (self.now - self.t0).as_millis();
        while let Some(transmit) = self.endpoint.poll_transmit() {
            match transmit {
                Transmit::Send { flow, bytes } => {
                    self.sent
                        .push_back((at, flow, String::from_utf8(bytes.to_vec()).unwrap()));
                }
                Transmit::Connect { request, .. } => self.connects.push(request),
                Transmit::Close { .. } => {}
            }
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push_back(event);
        }
    }

    /// A message from the usual peer; bare line ends, Content-Length added.
    pub(super) fn send(&mut self, text: &str) {
        let flow = self.flow;
        self.send_on(flow, text);
    }

    pub(super) fn send_on(&mut self, flow: Flow, text: &str) {
        let now = self.now;
        self.endpoint.receive(now, flow, wire(text));
        self.collect();
    }

    /// A command.
    pub(super) fn run<R>(&mut self, command: impl FnOnce(&mut Endpoint, Instant) -> R) -> R {
        let now = self.now;
        let result = command(&mut self.endpoint, now);
        self.collect();
        result
    }

    /// The next message sent; it begins with `start`.
    #[track_caller]
    pub(super) fn sent(&mut self, start: &str) -> String {
        self.sent_at(start).2
    }

    /// The next message sent, with its time in milliseconds and its path.
    #[track_caller]
    pub(super) fn sent_at(&mut self, start: &str) -> (u128, Flow, String) {
        let Some(next) = self.sent.pop_front() else {
            panic!("nothing was sent, {start:?} expected")
        };
        assert!(
            next.2.starts_with(start),
            "{start:?} expected, sent at {} ms:\n{}",
            next.0,
            next.2
        );
        next
    }

    #[track_caller]
    pub(super) fn silent(&self) {
        assert!(self.sent.is_empty(), "sent:\n{}", self.sent[0].2);
    }

    /// The times of all messages sent since, which all begin with `start`.
    #[track_caller]
    pub(super) fn times(&mut self, start: &str) -> Vec<u128> {
        let mut times = Vec::new();
        while !self.sent.is_empty() {
            times.push(self.sent_at(start).0);
        }
        times
    }

    #[track_caller]
    pub(super) fn event(&mut self) -> SipEvent {
        self.events.pop_front().expect("no event")
    }

    #[track_caller]
    pub(super) fn no_event(&self) {
        assert!(self.events.is_empty(), "{:?}", self.events[0]);
    }

    /// Lets every timer run out; everything is gone then.
    #[track_caller]
    pub(super) fn at_rest(&mut self) {
        let ms = (self.now - self.t0).as_millis();
        self.at(u64::try_from(ms).unwrap() + 70_000);
        assert_eq!(self.endpoint.counts(), Counts::default());
    }

    /// An INVITE of call `n` from the known phone; its leg.
    #[track_caller]
    pub(super) fn ring(&mut self, n: u32) -> LegId {
        self.send(&invite(n, "", SDP));
        match self.event() {
            SipEvent::Invite(invite) => invite.leg,
            other => panic!("{other:?}"),
        }
    }

    /// A call that is up; its leg and our tag.
    #[track_caller]
    pub(super) fn up(&mut self, n: u32) -> (LegId, String) {
        self.up_with(n, "")
    }

    #[track_caller]
    pub(super) fn up_with(&mut self, n: u32, headers: &str) -> (LegId, String) {
        self.send(&invite(n, headers, SDP));
        let SipEvent::Invite(invite) = self.event() else {
            panic!("no INVITE")
        };
        let leg = invite.leg;
        self.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
            .unwrap();
        let ok = self.sent("SIP/2.0 200");
        let tag = to_tag(&ok);
        self.send(&in_dialog("ACK", n, 1, &tag, "", ""));
        assert!(matches!(
            self.event(),
            SipEvent::Established { answer: None, .. }
        ));
        (leg, tag)
    }
}

/// A message as it goes on the wire.
pub(super) fn wire(text: &str) -> Bytes {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut head: String = head
        .lines()
        .map(|l| format!("{}\r\n", l.trim()))
        .filter(|l| l.len() > 2)
        .collect();
    if !head.to_ascii_lowercase().contains("\r\ncontent-length:") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    format!("{head}\r\n{body}").into()
}

/// The first value of a header.
pub(super) fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub(super) fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

pub(super) fn tag(value: &str) -> String {
    value
        .split(";tag=")
        .nth(1)
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

pub(super) fn to_tag(message: &str) -> String {
    tag(header(message, "To").unwrap())
}

pub(super) fn branch(message: &str) -> String {
    header(message, "Via")
        .unwrap()
        .split("branch=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

/// An INVITE that begins call `n`.
pub(super) fn invite(n: u32, headers: &str, sdp: &str) -> String {
    let content = if sdp.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp"
    };
    format!(
        "INVITE sip:2000@10.0.0.1 SIP/2.0
        Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKinvite{n};rport
        Max-Forwards: 70
        From: <sip:1000@realm.test>;tag=from{n}
        To: <sip:2000@realm.test>
        Call-ID: call{n}
        CSeq: 1 INVITE
        Contact: <sip:1000@10.0.0.2:5060>
        {headers}
        {content}

{sdp}"
    )
    .replace("\n        \n", "\n")
    .replace("\n        \n", "\n")
}

/// A request of the caller inside call `n`.
pub(super) fn in_dialog(
    method: &str,
    n: u32,
    cseq: u32,
    tag: &str,
    headers: &str,
    content: &str,
) -> String {
    format!(
        "{method} sip:swivel@10.0.0.1:5060 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{method}{n}x{cseq};rport
Max-Forwards: 70
From: <sip:1000@realm.test>;tag=from{n}
To: <sip:2000@realm.test>;tag={tag}
Call-ID: call{n}
CSeq: {cseq} {method}
Contact: <sip:1000@10.0.0.2:5060>
{headers}

{content}"
    )
    .replace("\n\n\n", "\n\n")
}

/// A response to a request we sent.
pub(super) fn respond(
    request: &str,
    status: &str,
    to_tag: &str,
    headers: &str,
    content: &str,
) -> String {
    let copied: String = ["Via", "From", "Call-ID", "CSeq"]
        .iter()
        .map(|name| format!("{name}: {}\n", header(request, name).unwrap()))
        .collect();
    let to = header(request, "To").unwrap();
    let tag = if to_tag.is_empty() || to.contains(";tag=") {
        String::new()
    } else {
        format!(";tag={to_tag}")
    };
    let headers = if headers.is_empty() {
        String::new()
    } else {
        format!("{headers}\n")
    };
    format!("SIP/2.0 {status}\n{copied}To: {to}{tag}\n{headers}\n{content}")
}
