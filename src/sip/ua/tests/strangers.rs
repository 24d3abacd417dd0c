//! Who is let in: digest, equal refusals, what leaves no state.

use super::*;
use crate::sip::digest::{Challenge, response};

const STRANGER: &str = "203.0.113.9:5060";

fn stranger() -> Bench {
    let mut b = bench();
    b.flow = udp(STRANGER);
    b
}

fn from_stranger(n: u32, headers: &str) -> String {
    invite(n, headers, SDP)
        .replace("10.0.0.2:5060;branch", "203.0.113.9:5060;branch")
        .replace("sip:2000@10.0.0.1", "sip:2000@realm.test")
}

fn challenges(refusal: &str) -> Vec<Challenge> {
    let lines = refusal
        .lines()
        .filter_map(|l| l.strip_prefix("WWW-Authenticate: "));
    lines.map(|l| Challenge::parse(l).unwrap()).collect()
}

fn authorization(challenge: &Challenge, user: &str, password: &str, nc: u32) -> String {
    let uri = "sip:2000@realm.test";
    let credentials = response(
        challenge,
        user,
        &Secret::new(password),
        "INVITE",
        uri,
        "cn",
        nc,
    )
    .unwrap();
    format!("Authorization: {credentials}")
}

#[test]
fn a_stranger_is_challenged_once_without_state() {
    let mut b = stranger();
    b.send(&from_stranger(1, ""));
    let refusal = b.sent("SIP/2.0 401 Unauthorized");
    let offered = challenges(&refusal);
    let algorithms: Vec<&str> = offered
        .iter()
        .map(|c| c.algorithm.unwrap().as_str())
        .collect();
    assert_eq!(algorithms, ["SHA-256", "MD5"]);
    assert!(
        offered
            .iter()
            .all(|c| c.realm == "realm.test" && c.qop_auth && !c.stale)
    );
    assert_eq!(header(&refusal, "Server"), None);
    assert_eq!(b.endpoint.counts(), Counts::default());
    b.at(40_000);
    b.silent();
    b.send(&in_dialog("ACK", 1, 1, &to_tag(&refusal), "", ""));
    b.silent();
    b.no_event();
    assert!(
        refusal.len() * 2 <= from_stranger(1, "").len() * 3,
        "no more than half as much again goes out"
    );
}

#[test]
fn a_short_request_of_a_stranger_gets_the_one_challenge_every_phone_knows() {
    let mut b = stranger();
    let short = "INVITE sip:2000@realm.test SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bK1;rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:1001@realm.test>;tag=1\r\nTo: <sip:2000@realm.test>\r\n\
                 Call-ID: 1@203.0.113.9\r\nCSeq: 1 INVITE\r\nContact: <sip:1001@203.0.113.9>\r\nContent-Length: 0\r\n\r\n";
    b.send(short);
    let refusal = b.sent("SIP/2.0 401");
    let offered = challenges(&refusal);
    let algorithms: Vec<&str> = offered
        .iter()
        .map(|c| c.algorithm.unwrap().as_str())
        .collect();
    assert_eq!(algorithms, ["MD5"]);
    assert!(
        refusal.len() * 2 <= short.len() * 3,
        "{} bytes for {}",
        refusal.len(),
        short.len()
    );
    // A stream cannot be made to speak to somebody else.
    b.flow = tcp(STRANGER, 1);
    b.send(&short.replace("UDP", "TCP"));
    assert_eq!(challenges(&b.sent("SIP/2.0 401")).len(), 2);
}

#[test]
fn the_right_password_gets_in_and_a_replay_does_not() {
    for index in 0..2 {
        let mut b = stranger();
        b.send(&from_stranger(1, ""));
        let offered = challenges(&b.sent("SIP/2.0 401"));
        let line = authorization(&offered[index], "alice", "wonderland", 1);
        let second = from_stranger(1, &line)
            .replace("1 INVITE", "2 INVITE")
            .replace("z9hG4bKinvite1", "z9hG4bKsecond");
        b.send(&second);
        let SipEvent::Invite(event) = b.event() else {
            panic!()
        };
        assert_eq!(event.principal, principal("alice"));
        // The repetition belongs to the transaction, not to the door.
        b.send(&second);
        b.sent("SIP/2.0 100");
        // The same credentials in another request are a replay.
        b.send(
            &second
                .replace("z9hG4bKsecond", "z9hG4bKthird")
                .replace("call1", "call9"),
        );
        assert!(challenges(&b.sent("SIP/2.0 401")).iter().all(|c| c.stale));
        b.no_event();
    }
}

#[test]
fn unknown_users_and_wrong_passwords_look_the_same() {
    let refusal = |user: &str, password: &str| {
        let mut b = stranger();
        b.send(&from_stranger(1, ""));
        let offered = challenges(&b.sent("SIP/2.0 401"));
        b.send(&from_stranger(
            2,
            &authorization(&offered[0], user, password, 1),
        ));
        let SipEvent::BadCredentials(bad) = b.event() else {
            panic!("nobody was told of the guess")
        };
        assert_eq!((bad.username.as_str(), &*bad.realm), (user, "realm.test"));
        b.no_event();
        b.sent("SIP/2.0 401")
    };
    let (unknown, wrong) = (refusal("bob", "x"), refusal("alice", "x"));
    assert_eq!(unknown, wrong);
    assert!(challenges(&wrong).iter().all(|c| !c.stale));
}

#[test]
fn an_old_nonce_is_stale() {
    let mut b = stranger();
    b.send(&from_stranger(1, ""));
    let offered = challenges(&b.sent("SIP/2.0 401"));
    b.at(61_000);
    b.send(&from_stranger(
        2,
        &authorization(&offered[0], "alice", "wonderland", 1),
    ));
    assert!(challenges(&b.sent("SIP/2.0 401")).iter().all(|c| c.stale));
}

#[test]
fn every_other_request_of_a_stranger_is_401_too_and_names_make_no_difference() {
    for method in ["REGISTER", "SUBSCRIBE", "MESSAGE", "BYE", "FROB"] {
        let mut b = stranger();
        let answer = |b: &mut Bench, user: &str| {
            b.endpoint.nonces = crate::sip::digest::Nonces::new([0; 32], Duration::from_secs(60));
            b.send(
                &from_stranger(1, "")
                    .replace("INVITE", method)
                    .replace("sip:2000@realm.test", user),
            );
            b.sent("SIP/2.0 401")
        };
        let known = answer(&mut b, "sip:alice@realm.test");
        let unknown = answer(&mut b, "sip:nosuch@realm.test");
        assert_eq!(known.replace("alice", "nosuch"), unknown);
        assert_eq!(b.endpoint.counts(), Counts::default());
    }
}

#[test]
fn options_of_a_stranger_get_the_minimum_under_a_bucket() {
    let mut b = stranger();
    let options = |n: u32| from_stranger(n, "").replace("INVITE", "OPTIONS");
    b.send(&options(1));
    let ok = b.sent("SIP/2.0 200");
    for name in ["Allow", "Server", "User-Agent", "Supported", "Contact"] {
        assert_eq!(header(&ok, name), None);
    }
    for n in 2..300 {
        b.send(&options(n));
    }
    let answered = b.times("SIP/2.0 200").len();
    assert_eq!(answered, 99);
    b.at(1000);
    for n in 300..600 {
        b.send(&options(n));
    }
    assert_eq!(b.times("SIP/2.0 200").len(), 50);
    // A known source is not held back and hears what we can.
    b.flow = udp("10.0.0.2:5060");
    b.send(&invite(1, "", "").replace("INVITE", "OPTIONS"));
    let ok = b.sent("SIP/2.0 200");
    assert_eq!(header(&ok, "Accept"), Some("application/sdp"));
    assert_eq!(header(&ok, "Supported"), Some("100rel, timer, replaces"));
    assert_eq!(b.endpoint.counts(), Counts::default());
}

#[test]
fn a_source_that_floods_is_not_even_read() {
    let mut b = stranger();
    for n in 0..1000 {
        b.send(&from_stranger(n, ""));
    }
    assert_eq!(b.times("SIP/2.0 401").len(), 400);
    b.flow = udp("10.0.0.2:5060");
    for n in 0..1000 {
        b.send(&in_dialog("BYE", n, 1, "none", "", ""));
    }
    assert_eq!(b.times("SIP/2.0 481").len(), 1000);
}

#[test]
fn a_stateless_answer_repeats_itself() {
    let mut b = stranger();
    let bye = in_dialog("BYE", 1, 1, "none", "", "").replace(";tag=none", "");
    b.flow = udp("10.0.0.2:5060");
    b.send(&bye);
    let first = b.sent("SIP/2.0 481");
    b.at(500);
    b.send(&bye);
    assert_eq!(b.sent("SIP/2.0 481"), first);
    assert!(!to_tag(&first).is_empty());
    b.send(&bye.replace("call1", "call2"));
    assert_ne!(to_tag(&b.sent("SIP/2.0 481")), to_tag(&first));
}

#[test]
fn garbage_gets_nothing_and_malformed_requests_name_the_header() {
    let mut b = stranger();
    for garbage in [
        &b"\r\n\r\n"[..],
        b"hello",
        b"\0\0\0",
        b"SIP/2.0 abc\r\n\r\n",
        b"INVITE\r\n\r\n",
    ] {
        let flow = b.flow;
        b.run(|e, now| e.receive(now, flow, Bytes::from_static(garbage)));
    }
    b.silent();
    b.send(&from_stranger(1, "").replace("Max-Forwards: 70", "Max-Forwards: 700"));
    assert!(
        b.sent("SIP/2.0 400")
            .lines()
            .next()
            .unwrap()
            .contains("Max-Forwards")
    );
    b.send(
        &from_stranger(1, "")
            .replace("INVITE", "ACK")
            .replace("CSeq: 1", "CSeq: x"),
    );
    b.silent();
    assert_eq!(b.endpoint.counts(), Counts::default());
}

#[test]
fn tracing_reports_each_message_with_its_call_id() {
    let mut b = bench_with(EndpointConfig {
        trace: true,
        ..EndpointConfig::default()
    });
    b.send(&invite(7, "", SDP).replace("INVITE", "OPTIONS"));
    let directions: Vec<(Direction, String)> = b
        .events
        .iter()
        .map(|event| match event {
            SipEvent::Trace(trace) => (trace.direction, trace.call_id.to_string()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        directions,
        [
            (Direction::In, "call7".into()),
            (Direction::Out, "call7".into())
        ]
    );
}

#[test]
fn without_authentication_everybody_is_let_in() {
    let mut b = bench_with(EndpointConfig {
        authenticate: false,
        ..EndpointConfig::default()
    });
    b.flow = udp(STRANGER);
    b.send(&from_stranger(1, ""));
    assert!(matches!(b.event(), SipEvent::Invite(_)));
}

#[test]
fn refusals_are_counted_in_plain_words() {
    let mut b = stranger();
    b.send(&from_stranger(1, ""));
    b.send(&from_stranger(2, "").replace("Max-Forwards: 70", "Max-Forwards: 700"));
    b.flow = udp("10.0.0.2:5060");
    b.send(&invite(3, "Require: foo", SDP));
    let counted: Vec<(&str, u64)> = b.endpoint.refusals().collect();
    assert_eq!(
        counted,
        [
            ("it breaks the grammar", 1),
            ("it has no credentials", 1),
            ("it requires an unknown extension", 1)
        ]
    );
}
