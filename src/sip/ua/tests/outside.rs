//! Requests outside calls: those handed up, and plain ones of ours.

use super::*;
use crate::sip::digest::{Challenge, Credentials};
use crate::sip::msg::{Method, Name};
use crate::sip::ua::{ClientRequest, IncomingRequest, Response, Way};

fn registrar() -> Bench {
    let mut b = bench_with(EndpointConfig {
        registrar: true,
        ..EndpointConfig::default()
    });
    b.flow = udp("203.0.113.9:5060");
    b
}

fn register(n: u32, headers: &str) -> String {
    format!(
        "REGISTER sip:realm.test SIP/2.0
        Via: SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKregister{n};rport
        Max-Forwards: 70
        From: <sip:alice@realm.test>;tag=from
        To: <sip:alice@realm.test>
        Call-ID: register
        CSeq: {n} REGISTER
        Contact: <sip:alice@203.0.113.9:5060>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"
        User-Agent: a phone with a long name, so that the answer is not too long for it
        Supported: path, outbound, gruu, replaces
        {headers}

"
    )
    .replace("\n        \n", "\n")
}

/// A REGISTER of alice's with the right password, as it comes out.
fn admitted(b: &mut Bench, n: u32, headers: &str) -> Box<IncomingRequest> {
    b.send(&register(n, ""));
    let refusal = b.sent("SIP/2.0 401");
    let line = header(&refusal, "WWW-Authenticate").unwrap();
    let challenge = Challenge::parse(line).unwrap();
    let secret = Secret::new("wonderland");
    let answer = crate::sip::digest::response(
        &challenge,
        "alice",
        &secret,
        "REGISTER",
        "sip:realm.test",
        "cn",
        1,
    );
    let more = format!("Authorization: {}\n{headers}", answer.unwrap());
    b.send(&register(n + 1, more.trim_end()));
    match b.event() {
        SipEvent::Request(request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_register_is_handed_up_with_its_owner_and_its_answer_is_repeated() {
    let mut b = registrar();
    let request = admitted(&mut b, 1, "");
    assert_eq!(request.method, Method::Register);
    assert_eq!((request.cseq, &request.principal), (2, &principal("alice")));
    assert_eq!(request.to_tag, None);
    b.silent();
    let headers = [(
        Name::Contact,
        "<sip:alice@203.0.113.9>;expires=60".to_owned(),
    )];
    b.run(|e, now| e.reply(now, request.transaction, 200, "", &headers, None));
    let ok = b.sent("SIP/2.0 200 OK");
    assert_eq!(
        header(&ok, "Contact"),
        Some("<sip:alice@203.0.113.9>;expires=60")
    );
    assert_eq!(to_tag(&ok), request.local_tag);
    let authorization = request.message.header(Name::Authorization).unwrap();
    let again = register(2, &format!("Authorization: {authorization}"));
    b.send(&again);
    assert_eq!(
        b.sent("SIP/2.0 200 OK"),
        ok,
        "the same again, and nobody is asked"
    );
    b.no_event();
    b.run(|e, now| e.reply(now, request.transaction, 500, "", &[], None));
    b.silent();
    b.at_rest();
}

#[test]
fn an_address_that_is_trusted_still_needs_a_password_to_register() {
    let mut b = registrar();
    b.flow = udp("10.0.0.2:5060");
    b.send(&register(1, ""));
    b.sent("SIP/2.0 401");
    b.no_event();
}

#[test]
fn path_and_outbound_are_known_extensions_of_a_register_and_others_are_not() {
    let mut b = registrar();
    admitted(&mut b, 1, "Require: path, outbound");
    let mut b = registrar();
    b.send(&register(1, ""));
    let challenge = Challenge::parse(header(&b.sent("SIP/2.0 401"), "WWW-Authenticate").unwrap());
    let secret = Secret::new("wonderland");
    let answer = crate::sip::digest::response(
        &challenge.unwrap(),
        "alice",
        &secret,
        "REGISTER",
        "sip:realm.test",
        "cn",
        1,
    );
    let more = format!("Authorization: {}\nRequire: path, gruu", answer.unwrap());
    b.send(&register(2, &more));
    let refusal = b.sent("SIP/2.0 420");
    assert_eq!(header(&refusal, "Unsupported"), Some("gruu"));
    b.no_event();
}

#[test]
fn a_banned_source_hears_nothing_and_its_calls_go_on() {
    let mut b = registrar();
    b.flow = udp("10.0.0.2:5060");
    let (_, tag) = b.up(1);
    let until = b.now + Duration::from_secs(300);
    b.run(|e, now| e.ban(now, "10.0.0.2".parse().unwrap(), until));
    b.send(&invite(2, "", SDP));
    b.send(&register(1, ""));
    b.silent();
    b.no_event();
    b.send(&in_dialog("BYE", 1, 2, &tag, "", ""));
    b.sent("SIP/2.0 200");
    b.run(|e, _| e.unban("10.0.0.2".parse().unwrap()));
    b.events.clear();
    b.send(&invite(3, "", SDP));
    assert!(matches!(b.event(), SipEvent::Invite(_)));
}

fn options(way: Way) -> ClientRequest {
    ClientRequest::new(
        Method::Options,
        "sip:phone@10.0.0.2",
        way,
        "<sip:us@realm.test>",
    )
}

fn over(b: &mut Bench) -> Response {
    match b.event() {
        SipEvent::Response(response) => *response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_request_ends_once_with_its_final_response() {
    let mut b = bench();
    let flow = b.flow;
    let id = b.run(|e, now| e.request(now, options(Way::Flow(flow))));
    let text = b.sent("OPTIONS sip:phone@10.0.0.2 SIP/2.0");
    assert_eq!(header(&text, "CSeq"), Some("1 OPTIONS"));
    assert!(header(&text, "Via").unwrap().contains(";rport"));
    b.send(&respond(&text, "100 Trying", "", "", ""));
    b.no_event();
    b.send(&respond(&text, "404 Not Found", "t", "", ""));
    let response = over(&mut b);
    assert_eq!((response.request, response.status), (id, 404));
    b.send(&respond(&text, "404 Not Found", "t", "", ""));
    b.no_event();
    b.at_rest();
}

#[test]
fn a_plain_request_without_answer_is_408_after_32_seconds_and_11_sends() {
    let mut b = bench();
    let flow = b.flow;
    b.run(|e, now| e.request(now, options(Way::Flow(flow))));
    b.at(31_999);
    b.no_event();
    assert_eq!(b.times("OPTIONS").len(), 11);
    b.at(32_000);
    let response = over(&mut b);
    assert_eq!((response.status, response.message), (408, None));
    b.at_rest();
}

#[test]
fn a_request_down_a_closed_connection_fails_at_once_and_opens_none() {
    let mut b = bench();
    let flow = tcp("10.0.0.2:40000", 9);
    b.run(|e, now| e.request(now, options(Way::Flow(flow))));
    assert_eq!(over(&mut b).status, 503);
    b.silent();
    assert!(b.connects.is_empty());
    assert_eq!(b.endpoint.counts(), Counts::default());
}

fn login(way: Way, realm: Option<&str>) -> ClientRequest {
    let mut request = ClientRequest::new(Method::Register, "sip:carrier.test", way, "<sip:us@c>");
    request.cseq = 7;
    request.call_id = Some("own-call-id".into());
    request.credentials = Some(("us".into(), Secret::new("secret")));
    request.realm = realm.map(str::to_owned);
    request.any_realm = realm.is_none();
    request
}

const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\", algorithm=MD5";

#[test]
fn a_challenge_of_the_right_realm_is_answered_once_with_the_next_number() {
    for realm in [Some("carrier"), None] {
        let mut b = bench();
        let flow = b.flow;
        b.run(|e, now| e.request(now, login(Way::Flow(flow), realm)));
        let first = b.sent("REGISTER");
        assert_eq!(header(&first, "CSeq"), Some("7 REGISTER"));
        assert_eq!(header(&first, "Authorization"), None);
        b.send(&respond(&first, "401 Unauthorized", "t", CHALLENGE, ""));
        let second = b.sent("REGISTER");
        assert_eq!(header(&second, "CSeq"), Some("8 REGISTER"));
        assert_eq!(header(&second, "Call-ID"), Some("own-call-id"));
        assert_eq!(header(&second, "From"), header(&first, "From"));
        let answer = Credentials::parse(header(&second, "Authorization").unwrap()).unwrap();
        assert_eq!(
            (answer.username.as_str(), answer.uri.as_str()),
            ("us", "sip:carrier.test")
        );
        b.send(&respond(&second, "401 Unauthorized", "t", CHALLENGE, ""));
        let response = over(&mut b);
        assert_eq!(
            (response.status, response.cseq),
            (401, 8),
            "wrong password: the end"
        );
        b.at_rest();
    }
}

/// `security.md` row 4.
#[test]
fn a_challenge_of_another_realm_or_from_somebody_else_gets_no_answer() {
    let mut b = bench();
    let flow = b.flow;
    b.run(|e, now| e.request(now, login(Way::Flow(flow), Some("ours"))));
    let first = b.sent("REGISTER");
    b.send(&respond(&first, "401 Unauthorized", "t", CHALLENGE, ""));
    assert_eq!(over(&mut b).status, 401);
    b.silent();
    b.run(|e, now| e.request(now, login(Way::Flow(flow), None)));
    let first = b.sent("REGISTER");
    let rogue = udp("203.0.113.66:5060");
    b.send_on(
        rogue,
        &respond(&first, "401 Unauthorized", "t", CHALLENGE, ""),
    );
    assert_eq!(over(&mut b).status, 401);
    b.silent();
}
