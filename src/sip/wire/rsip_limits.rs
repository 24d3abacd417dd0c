//! What rsip 0.4 refuses or changes, read right by our own parser: one test for each such input. Where rsip refuses the
//! whole message the test says so, and fails on the day a newer rsip no longer does.

use bytes::Bytes;

use super::{Limits, parse_datagram};
use crate::sip::digest::{Algorithm, Credentials};
use crate::sip::msg::rsip_bridge::second_opinion;
use crate::sip::msg::{Contacts, Message, Method, NameAddr, Uri, Via};

const TEXT: &str = "INVITE sip:2030@pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
    From: <sip:1001@pbx.example>;tag=1\r\nTo: <sip:2030@pbx.example>\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\
    Contact: <sip:1001@192.0.2.1>\r\nContent-Length: 3\r\n\r\nabc";

/// The message with one thing changed, read by us.
fn ours(from: &str, to: &str) -> Message {
    let text = TEXT.replace(from, to);
    assert!(
        from.is_empty() || text != TEXT,
        "{from} is not in the message"
    );
    parse_datagram(Bytes::from(text), &Limits::default()).unwrap_or_else(|e| panic!("{to}: {e}"))
}

fn rsip_refuses(from: &str, to: &str) {
    assert_eq!(
        second_opinion(TEXT.replace(from, to).as_bytes()),
        None,
        "{to}"
    );
}

#[test]
fn compact_header_names() {
    for (long, short) in [
        ("Via:", "v:"),
        ("From:", "f:"),
        ("To:", "t:"),
        ("Call-ID:", "i:"),
        ("Content-Length:", "l:"),
    ] {
        assert_eq!(ours(long, short), ours("", ""));
    }
    rsip_refuses("Call-ID:", "i:");
}

#[test]
fn folded_lines_and_a_blank_before_the_colon() {
    for (from, to) in [
        ("CSeq: 1 INVITE", "CSeq: 1\r\n INVITE"),
        ("Call-ID: one", "Call-ID : one"),
    ] {
        assert_eq!(ours(from, to), ours("", ""));
        rsip_refuses(from, to);
    }
}

#[test]
fn an_unknown_method() {
    assert_eq!(
        ours("INVITE", "FOO").method(),
        Some(&Method::Other("FOO".into()))
    );
    rsip_refuses("INVITE", "FOO");
}

#[test]
fn bytes_behind_the_length() {
    let longer = TEXT.replace("abc", "abcdef");
    assert_eq!(&*ours("abc", "abcdef").body, b"abc");
    assert_eq!(
        second_opinion(longer.as_bytes()).map(|(_, body)| body),
        Some(b"abcdef".to_vec())
    );
}

#[test]
fn tel_and_urn_uris() {
    for uri in ["tel:+1-201-555-0123", "tel:+15", "urn:service:sos"] {
        assert_eq!(
            ours("sip:2030@pbx.example SIP", &format!("{uri} SIP"))
                .uri()
                .unwrap()
                .to_string(),
            uri
        );
        assert_eq!(
            ours("<sip:2030@pbx.example>", &format!("<{uri}>"))
                .to()
                .unwrap()
                .uri
                .to_string(),
            uri
        );
    }
    rsip_refuses("sip:2030@pbx.example SIP", "urn:service:sos SIP");
}

#[test]
fn ipv6_in_uris_and_via() {
    let m = ours("192.0.2.1;", "[2001:db8::1]:5062;received=2001:db8::2;");
    let via = m.top_via().unwrap();
    assert_eq!(
        (via.host.ip(), via.port),
        ("2001:db8::1".parse().ok(), Some(5062))
    );
    assert_eq!(via.received, "2001:db8::2".parse().ok());
    let uri = ours("2030@pbx.example SIP", "2030@[2001:db8::1]:5062 SIP")
        .uri()
        .unwrap();
    assert_eq!(
        (uri.host.ip(), uri.port),
        ("2001:db8::1".parse().ok(), Some(5062))
    );
}

#[test]
fn a_uri_parameter_with_a_colon() {
    let text = "sip:a@b;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let uri = Uri::parse(text).unwrap();
    assert_eq!(
        uri.params.get("gr"),
        Some(Some("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"))
    );
    assert_eq!(uri.to_string(), text);
}

#[test]
fn an_instance_in_a_contact_and_several_contacts() {
    let m = ours(
        "<sip:1001@192.0.2.1>",
        "<sip:1001@192.0.2.1>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
    );
    let contact = m.contact().unwrap().unwrap();
    assert_eq!(
        contact.params.text("+sip.instance").as_deref(),
        Some("<urn:uuid:1>")
    );
    let list = NameAddr::parse_list("\"a, b\" <sip:a@b>;q=0.7, <sip:c@d>").unwrap();
    assert_eq!(list.len(), 2);
}

#[test]
fn a_contact_of_all() {
    let text = TEXT
        .replace("INVITE", "REGISTER")
        .replace("<sip:1001@192.0.2.1>", "*");
    let m = parse_datagram(Bytes::from(text), &Limits::default()).unwrap();
    assert_eq!(m.contacts(), Ok(Contacts::Star));
    assert!(String::from_utf8_lossy(&m.to_bytes()).contains("\r\nContact: *\r\n"));
}

#[test]
fn a_lower_case_transport() {
    let text = "sip:1001@192.0.2.1;transport=ws";
    assert_eq!(Uri::parse(text).unwrap().to_string(), text);
}

#[test]
fn a_digest_with_sha_256() {
    let text = "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:a\", response=\"00\", algorithm=SHA-256, \
        qop=auth, cnonce=\"c\", nc=000000ff";
    let credentials = Credentials::parse(text).unwrap();
    assert_eq!(
        (credentials.algorithm, credentials.nonce_count()),
        (Some(Algorithm::Sha256), Some(255))
    );
    assert_eq!(credentials.to_string(), text);
}

#[test]
fn a_body_that_is_not_utf_8() {
    let mut bytes = TEXT.replace("abc", "").into_bytes();
    bytes.extend_from_slice(&[0xff, 0xfe, 0x00]);
    let m = parse_datagram(Bytes::from(bytes), &Limits::default()).unwrap();
    assert!(m.to_bytes().ends_with(&[0xff, 0xfe, 0x00]));
}

#[test]
fn a_comma_list_of_via() {
    let m = ours(
        "SIP/2.0/UDP 192.0.2.1;",
        "SIP/2.0/TLS edge.example;branch=z9hG4bK0 , SIP/2.0/UDP 192.0.2.1;",
    );
    let hosts: Vec<_> = m
        .via_values()
        .map(|v| Via::parse(v).unwrap().host.to_string())
        .collect();
    assert_eq!(hosts, ["edge.example", "192.0.2.1"]);
}
