//! Tests of the parser and the stream framer, rule by rule; whole torture messages are in `tests/it/torture.rs`.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::sip::msg::{Contacts, Message, Method, Name};

const HEAD: &str = "INVITE sip:2030@example.com SIP/2.0\r\n";
const REST: &str = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:2030@example.com>\r\n\
    Call-ID: one@192.0.2.1\r\nCSeq: 1 INVITE\r\n";

fn parse(text: impl AsRef<[u8]>) -> Result<Message, Malformed> {
    parse_datagram(Bytes::copy_from_slice(text.as_ref()), &Limits::default())
}

fn good(text: impl AsRef<[u8]>) -> Message {
    parse(text.as_ref())
        .unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(text.as_ref())))
}

fn bad(text: impl AsRef<[u8]>) -> Malformed {
    match parse(text.as_ref()) {
        Err(e) => e,
        Ok(_) => panic!("accepted: {}", String::from_utf8_lossy(text.as_ref())),
    }
}

fn invite(extra: &str, body: &str) -> String {
    format!("{HEAD}{REST}{extra}\r\n{body}")
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, status: u16, header: &str) {
    let e = bad(text);
    assert_eq!(
        (e.error.status(), e.error.header()),
        (status, header),
        "{}",
        e.error
    );
    assert!(e.readable.is_some(), "{} can be answered", e.error);
}

#[test]
fn an_invite_is_read_whole() {
    let m = good(invite(
        "Content-Type: application/sdp\r\nX-Account: 7\r\nContent-Length: 5\r\n",
        "v=0\r\n",
    ));
    assert_eq!(m.method(), Some(&Method::Invite));
    assert_eq!(m.request_uri(), Some("sip:2030@example.com"));
    assert_eq!(m.call_id(), Some("one@192.0.2.1"));
    assert_eq!(m.cseq().unwrap().number, 1);
    assert_eq!(m.from_tag().as_deref(), Some("1"));
    assert_eq!(m.headers.get_named("x-account"), Some("7"));
    assert_eq!(&*m.body, b"v=0\r\n");
    assert_eq!(m, good(m.to_bytes()), "what is written is what was read");
}

#[test]
fn compact_names_of_any_case_count_as_the_long_ones() {
    let m = good(
        "OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP h\r\nF : <sip:a@b>;tag=1\r\nt\t:\t<sip:c@d>\r\nI: x\r\ncseq: 1 OPTIONS\r\n\
         K: timer\r\nM: <sip:a@b>\r\nl: 0\r\nx: 90\r\no: dialog\r\n\r\n",
    );
    assert_eq!(m.call_id(), Some("x"));
    assert_eq!(m.tokens(Name::Supported), ["timer"]);
    assert_eq!(m.header(Name::SessionExpires), Some("90"));
    assert_eq!(m.header(Name::Event), Some("dialog"));
}

#[test]
fn a_fold_is_one_space() {
    let m = good(invite(
        "Subject: one\r\n  two\r\n\tthree \r\nContact:\r\n <sip:a@b>\r\n",
        "",
    ));
    assert_eq!(m.header(Name::Subject), Some("one two three"));
    assert_eq!(m.header(Name::Contact), Some("<sip:a@b>"));
}

#[test]
fn line_ends_before_the_message_are_skipped() {
    assert_eq!(
        good(format!("\r\n\r\n\r\n{}", invite("", ""))).call_id(),
        Some("one@192.0.2.1")
    );
    for keepalive in ["", "\r\n", "\r\n\r\n", "\n"] {
        let e = bad(keepalive);
        assert_eq!((e.error, e.readable), (WireError::Keepalive, None));
    }
}

#[test]
fn lines_may_end_in_lf_alone() {
    let m = good(invite("Content-Length: 2\r\n", "ab").replace("\r\n", "\n"));
    assert_eq!(&*m.body, b"ab");
}

#[test]
fn content_length_cuts_the_body_and_its_absence_takes_the_rest() {
    assert_eq!(
        &*good(invite("Content-Length: 3\r\n", "abcdef")).body,
        b"abc"
    );
    assert_eq!(&*good(invite("", "abcdef")).body, b"abcdef");
    assert_eq!(&*good(invite("l: 0\r\n", "abcdef")).body, b"");
    refused(
        invite("Content-Length: 7\r\n", "abcdef"),
        400,
        "Content-Length",
    );
}

#[test]
fn content_length_is_never_guessed() {
    for value in [
        "-1",
        "+5",
        "5 5",
        "0x5",
        "5,5",
        "",
        "4294967296",
        "99999999999999999999",
        "5.0",
        "five",
    ] {
        refused(
            invite(&format!("Content-Length: {value}\r\n"), "abcde"),
            400,
            "Content-Length",
        );
    }
    for twice in [
        "Content-Length: 5\r\nContent-Length: 3\r\n",
        "l: 5\r\nContent-Length: 5\r\n",
    ] {
        refused(invite(twice, "abcde"), 400, "Content-Length");
    }
    refused(invite("Content-Length: 65537\r\n", "abcde"), 413, "");
    refused(invite("Content-Length: 4294967295\r\n", "abcde"), 413, "");
}

#[test]
fn headers_that_may_be_there_once_are_refused_twice() {
    for line in [
        "Call-ID: two\r\n",
        "i: one@192.0.2.1\r\n",
        "CSeq: 2 INVITE\r\n",
        "f: <sip:x@y>;tag=2\r\n",
        "To: <sip:x@y>\r\n",
        "Max-Forwards: 70\r\nMax-Forwards: 70\r\n",
        "Refer-To: <sip:a@b>\r\nr: <sip:a@b>\r\n",
    ] {
        let e = bad(invite(line, ""));
        assert!(
            matches!(e.error, WireError::Duplicate { .. }),
            "{line}: {}",
            e.error
        );
        assert_eq!(e.error.status(), 400);
        assert!(e.readable.is_some());
    }
    for line in [
        "Contact: <sip:a@b>\r\nContact: <sip:c@d>\r\n",
        "Contact: <sip:a@b>, <sip:c@d>\r\n",
    ] {
        refused(invite(line, ""), 400, "Contact");
    }
    let register = invite(
        "Contact: <sip:a@b>, <sip:c@d>\r\nContact: <sip:e@f>\r\n",
        "",
    )
    .replace("INVITE", "REGISTER");
    assert!(matches!(good(register).contacts(), Ok(Contacts::List(list)) if list.len() == 3));
}

#[test]
fn a_missing_header_means_nobody_can_be_answered() {
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let text: String = invite("", "")
            .split_inclusive("\r\n")
            .filter(|line| !line.starts_with(&format!("{name}:")))
            .collect();
        let e = bad(text);
        assert_eq!((e.error.status(), e.error.header()), (400, name));
        assert_eq!(e.readable, None);
    }
    assert_eq!(
        good(invite("", "")).max_forwards(),
        None,
        "a peer of RFC 2543 has no Max-Forwards"
    );
}

#[test]
fn the_reason_phrase_names_the_header() {
    let e = bad(invite("", "").replace("CSeq: 1 INVITE", "CSeq: 1 BYE"));
    assert_eq!(
        (e.error.header(), &*e.error.reason()),
        ("CSeq", "CSeq Method Does Not Match")
    );
    let e = bad(invite("Max-Forwards: 300\r\n", ""));
    assert_eq!(
        (e.error.header(), &*e.error.reason()),
        ("Max-Forwards", "Bad Max-Forwards")
    );
    assert_eq!(
        bad(invite("", "").replace("To:", "X:")).error.reason(),
        "Missing To"
    );
}

#[test]
fn numbers_are_refused_one_past_their_limit() {
    let with = |from: &str, to: &str| invite("Max-Forwards: 70\r\n", "").replace(from, to);
    good(with("CSeq: 1 ", "CSeq: 2147483647 "));
    refused(with("CSeq: 1 ", "CSeq: 2147483648 "), 400, "CSeq");
    good(with("Forwards: 70", "Forwards: 255"));
    good(with("Forwards: 70", "Forwards: 0"));
    refused(with("Forwards: 70", "Forwards: 256"), 400, "Max-Forwards");
    refused(with("Forwards: 70", "Forwards: -1"), 400, "Max-Forwards");
    good(with("2030@example.com SIP", "2030@example.com:65535 SIP"));
    refused(
        with("2030@example.com SIP", "2030@example.com:65536 SIP"),
        400,
        "Request-URI",
    );
    refused(
        with("2030@example.com SIP", "2030@example.com:0 SIP"),
        400,
        "Request-URI",
    );
    refused(
        with(
            "SIP/2.0/UDP 192.0.2.1;",
            "SIP/2.0/UDP h, SIP/2.0/UDP 192.0.2.1:65536;",
        ),
        400,
        "Via",
    );
    let e = bad(with("192.0.2.1;", "192.0.2.1:65536;"));
    assert_eq!(
        (e.error.header(), e.readable),
        ("Via", None),
        "a topmost Via that leads nowhere cannot be answered"
    );
    assert_eq!(
        good(with("Max-Forwards: 70", "Expires: 4294967295")).expires(),
        Some(u32::MAX)
    );
    assert_eq!(
        good(with("Max-Forwards: 70", "Expires: 4294967296")).expires(),
        Some(u32::MAX)
    );
}

/// A request that is one byte or item past a limit, and the same without.
#[test]
fn every_parser_limit_holds_at_the_limit_and_not_past_it() {
    let limits = Limits::default();

    let start = |bytes: usize| {
        let uri_bytes = bytes - "INVITE sip:@h SIP/2.0".len();
        format!(
            "INVITE sip:{}@h SIP/2.0\r\n{REST}\r\n",
            "u".repeat(uri_bytes)
        )
    };
    good(start(limits.start_line));
    let e = bad(start(limits.start_line + 1));
    assert_eq!(
        (e.error.clone(), e.error.status()),
        (WireError::StartLineTooLong { limit: 8192 }, 414)
    );
    assert!(e.readable.is_some());

    let header = |bytes: usize| {
        invite(
            &format!("X-Long: {}\r\n", "x".repeat(bytes - "X-Long: ".len())),
            "",
        )
    };
    good(header(limits.header));
    let e = bad(header(limits.header + 1));
    assert_eq!((e.error.header(), e.error.status()), ("X-Long", 400));
    assert!(e.readable.is_some());
    let folded = |bytes: usize| {
        invite(
            &format!(
                "X-Long:\r\n {}\r\n",
                "x".repeat(bytes - "X-Long:\r\n ".len())
            ),
            "",
        )
    };
    good(folded(limits.header));
    assert_eq!(bad(folded(limits.header + 1)).error.header(), "X-Long");

    let headers = |count: usize| invite(&"X-Y: z\r\n".repeat(count - 5), "");
    assert_eq!(good(headers(limits.headers)).headers.len(), 256);
    assert_eq!(
        bad(headers(limits.headers + 1)).error,
        WireError::TooManyHeaders { limit: 256 }
    );

    let vias = |count: usize| invite(&"Via: SIP/2.0/UDP h\r\n".repeat(count - 1), "");
    assert_eq!(good(vias(limits.vias)).via_values().count(), 70);
    refused(vias(limits.vias + 1), 400, "Via");
    let one_line = |count: usize| {
        invite(
            &format!(
                "Via: SIP/2.0/UDP h{}\r\n",
                ", SIP/2.0/UDP h".repeat(count - 2)
            ),
            "",
        )
    };
    good(one_line(limits.vias));
    refused(one_line(limits.vias + 1), 400, "Via");

    let total = |bytes: usize| {
        let head = invite("", "");
        format!("{head}{}", "b".repeat(bytes - head.len()))
    };
    assert_eq!(
        good(total(limits.total)).to_bytes().len(),
        limits.total + "Content-Length: 65298\r\n".len()
    );
    assert_eq!(
        bad(total(limits.total + 1)).error,
        WireError::TooLarge { limit: 65536 }
    );
}

#[test]
fn control_characters_in_a_name_are_refused() {
    for name in [
        "Call-ID\u{1}",
        "X\u{b}",
        "X\r",
        "X\0",
        "X Y",
        "\u{7f}",
        "X\u{e9}",
        "",
        "(X)",
    ] {
        let text = invite(&format!("{name}: v\r\n"), "");
        let e = bad(&text);
        assert_eq!(e.error.status(), 400, "{name:?}");
        assert!(e.readable.is_some());
    }
    assert_eq!(
        good(invite("X-A \t : v\r\n", "")).headers.get_named("x-a"),
        Some("v")
    );
}

#[test]
fn no_raw_line_end_or_nul_survives_in_a_value() {
    for value in ["a\rb", "a\0b", "\"a\\\rb\"", "a\\\\\0b"] {
        refused(invite(&format!("Subject: {value}\r\n"), ""), 400, "Subject");
    }
    let text = invite("", "").replace("From: <", "From: \"a\\\0b\\\u{7}\" <");
    let m = good(text);
    assert_eq!(
        m.header(Name::From),
        Some("\"a\\ b\\\u{7}\" <sip:a@example.com>;tag=1")
    );
    for text in [
        invite("Subject: a\0b\r\n", ""),
        invite("", "").replace("From: <", "From: \"\0\" <"),
    ] {
        let readable = bad(text).readable.unwrap();
        assert!(
            readable
                .headers
                .iter()
                .all(|h| !h.value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')))
        );
    }
}

#[test]
fn versions_and_start_lines() {
    let e = bad(invite("", "").replace("SIP/2.0\r\nVia: SIP/2.0", "SIP/7.0\r\nVia: SIP/7.0"));
    assert_eq!((e.error.status(), e.readable.is_some()), (505, true));
    good(invite("", "").replace("com SIP/2.0", "com sip/2.0"));
    for (from, to) in [
        ("INVITE sip", "INVITE  sip"),
        (" SIP/2.0\r\nVia", "  SIP/2.0\r\nVia"),
        (" SIP/2.0\r\nVia", " SIP/2.0  \r\nVia"),
        ("sip:2030@example.com SIP", "sip:2030@example.com; lr SIP"),
        ("sip:2030@example.com SIP", "<sip:2030@example.com> SIP"),
        (
            "sip:2030@example.com SIP",
            "sip:2030@example.com?Route=%3Csip:example.com%3E SIP",
        ),
        ("sip:2030@example.com SIP", "2030 SIP"),
    ] {
        let e = bad(invite("", "").replacen(from, to, 1));
        assert_eq!(
            (e.error.status(), e.readable.is_some()),
            (400, true),
            "{to:?}: {}",
            e.error
        );
    }
    for hopeless in [
        "GET / HTTP/1.1",
        "INVITE sip:a@b",
        "INVITE",
        "\u{1}\u{2} sip:a SIP/2.0",
        "IN(VITE sip:a SIP/2.0",
        " INVITE sip:a SIP/2.0",
    ] {
        assert_eq!(
            bad(format!("{hopeless}\r\n{REST}\r\n")).readable,
            None,
            "{hopeless:?}"
        );
    }
    for scheme in [
        "tel:+15551234",
        "urn:service:sos",
        "soap.beep://192.0.2.103:3002",
        "nobodyKnowsThisScheme:totallyopaquecontent",
    ] {
        assert_eq!(
            good(invite("", "").replacen("sip:2030@example.com", scheme, 1)).request_uri(),
            Some(scheme)
        );
    }
}

#[test]
fn unknown_methods_are_read_and_compared_exactly() {
    let m = good(invite("", "").replace("INVITE", "RE%47IST%45R"));
    assert_eq!(m.method(), Some(&Method::Other("RE%47IST%45R".into())));
    refused(invite("", "").replacen("INVITE", "invite", 1), 400, "CSeq");
    let long = "M".repeat(4000);
    assert_eq!(
        good(invite("", "").replace("INVITE", &long))
            .method()
            .unwrap()
            .as_str(),
        long
    );
}

#[test]
fn malformed_responses_and_acks_are_never_answered() {
    let response = |line: &str| format!("{line}\r\n{REST}\r\n");
    assert_eq!(good(response("SIP/2.0 200 OK")).status(), Some(200));
    assert_eq!(good(response("SIP/2.0 100 ")).status(), Some(100));
    assert_eq!(good(response("SIP/2.0 180")).status(), Some(180));
    for line in [
        "SIP/2.0 4294967301 x",
        "SIP/2.0 99 x",
        "SIP/2.0 700 x",
        "SIP/2.0 0200 x",
        "SIP/2.0 OK",
        "SIP/3.0 200 OK",
        "SIP/2.0",
    ] {
        assert_eq!(bad(response(line)).readable, None, "{line}");
    }
    assert_eq!(
        bad(response("SIP/2.0 200 OK").replace("CSeq: 1", "CSeq: 9292394834772304023312")).readable,
        None
    );
    let ack = invite("Max-Forwards: 300\r\n", "").replace("INVITE", "ACK");
    assert_eq!(bad(ack).readable, None);
}

#[test]
fn contacts_are_checked_in_requests() {
    for value in [
        "sip:user@example.com?Route=%3Csip:x%3E",
        "\"Joe\" <sip:joe@example.org>;;;;",
        "< sip:a@b >",
        "nonsense",
        "*",
    ] {
        refused(invite(&format!("Contact: {value}\r\n"), ""), 400, "Contact");
    }
    let register = invite("Contact: *\r\nExpires: 0\r\n", "").replace("INVITE", "REGISTER");
    assert_eq!(good(register).contacts(), Ok(Contacts::Star));
}

#[test]
fn the_empty_line_may_be_missing_at_the_end_of_a_datagram_but_not_the_line_end() {
    let text = invite("", "");
    good(text.strip_suffix("\r\n").unwrap());
    assert_eq!(
        bad(text.strip_suffix("\r\n\r\n").unwrap()).error,
        WireError::Unfinished
    );
    assert_eq!(bad(text.get(..HEAD.len() - 5).unwrap()).readable, None);
}

#[test]
fn a_body_keeps_its_bytes() {
    let mut text = invite("Content-Length: 4\r\n", "").into_bytes();
    text.extend_from_slice(&[0xff, 0, b'\r', 0x80]);
    let m = good(&text);
    assert_eq!(&*m.body, [0xff, 0, b'\r', 0x80]);
    assert_eq!(good(m.to_bytes()).body, m.body);
}

#[test]
fn headers_leave_as_they_came() {
    let extra = "X-Weird:;;,,;;,;\r\nContact: <sip:a@B;transport=ws;gr=urn:uuid:1>;+sip.instance=\"<urn:uuid:2>\"\r\n";
    let written = good(invite(extra, "")).to_bytes();
    let written = std::str::from_utf8(&written).unwrap();
    assert!(written.contains("\r\nX-Weird: ;;,,;;,;\r\n"), "{written}");
    assert!(
        written.contains("<sip:a@B;transport=ws;gr=urn:uuid:1>;+sip.instance=\"<urn:uuid:2>\""),
        "{written}"
    );
}

/// The two parsers agree on ordinary messages; where rsip is known to fail only ours is asked (see `style.md` 3.12).
#[test]
fn rsip_agrees_on_ordinary_messages() {
    use crate::sip::msg::rsip_bridge::second_opinion;
    for (extra, body) in [
        ("", ""),
        ("Content-Length: 5\r\n", "hello"),
        ("Contact: <sip:a@b>\r\nX-A: b\r\n", ""),
    ] {
        let text = invite(extra, body);
        let ours = good(&text);
        assert_eq!(
            second_opinion(text.as_bytes()),
            Some((ours.call_id().unwrap().into(), ours.body.to_vec()))
        );
    }
}

#[test]
fn a_glance_tells_what_a_datagram_is() {
    assert_eq!(peek(b"\r\n\r\n"), Peek::Keepalive);
    assert_eq!(
        peek(b"\r\nINVITE sip:a SIP/2.0\r\n"),
        Peek::Request("INVITE")
    );
    assert_eq!(peek(b"SIP/2.0 200 OK\r\n"), Peek::Response);
    assert_eq!(
        peek(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0]),
        Peek::Stun
    );
    assert_eq!(peek(b"\x16\x03\x01"), Peek::Other);
    assert_eq!(peek(b"no-blank"), Peek::Other);
}

// Streams.

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do as the start"
)]
fn start() -> Instant {
    Instant::now()
}

fn framed(text: &[u8]) -> Vec<Framed> {
    let mut framer = StreamFramer::new(Limits::default());
    framer.push(start(), text);
    framer.by_ref().collect()
}

fn message(text: &str) -> Framed {
    Framed::Message(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn a_stream_is_cut_by_content_length_however_it_arrives() {
    let one = invite("Content-Length: 5\r\n", "a\r\n\r\n");
    let two = invite("l:\r\n 0\r\n", "");
    let all = format!("{one}\r\n{two}{one}");
    let want = vec![message(&one), message(&two), message(&one)];
    assert_eq!(framed(all.as_bytes()), want);
    for size in [1, 2, 3, 7, 100] {
        let mut framer = StreamFramer::new(Limits::default());
        let mut got = Vec::new();
        for chunk in all.as_bytes().chunks(size) {
            framer.push(start(), chunk);
            got.extend(framer.by_ref().filter(|f| !matches!(f, Framed::Pong)));
        }
        assert_eq!(got, want, "in pieces of {size}");
        assert_eq!(framer.incomplete_since(), None);
    }
}

#[test]
fn a_double_line_end_is_a_ping_and_a_single_one_a_pong() {
    let text = invite("l: 0\r\n", "");
    assert_eq!(framed(b"\r\n\r\n"), [Framed::Ping]);
    assert_eq!(framed(b"\r\n\r\n\r\n\r\n"), [Framed::Ping, Framed::Ping]);
    assert_eq!(framed(b"\r\n"), [Framed::Pong]);
    assert_eq!(
        framed(format!("\r\n\r\n{text}").as_bytes()),
        [Framed::Ping, message(&text)]
    );
    let mut framer = StreamFramer::new(Limits::default());
    let mut got = Vec::new();
    for byte in b"\r\n\r\n" {
        framer.push(start(), &[*byte]);
        got.extend(framer.by_ref());
    }
    assert_eq!(
        got,
        [Framed::Pong, Framed::Ping],
        "a ping that comes in pieces is still answered"
    );
    framer.push(start(), text.as_bytes());
    assert_eq!(framer.next(), Some(message(&text)));
}

#[track_caller]
fn fatal(text: &str, status: u16) {
    match framed(text.as_bytes()).as_slice() {
        [Framed::Fatal { error, readable }] => {
            assert_eq!(error.status(), status, "{error}");
            assert!(readable.is_some(), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_without_a_usable_content_length_is_answered_and_given_up() {
    fatal(&invite("", ""), 400);
    fatal(&invite("Content-Length: -999\r\n", ""), 400);
    fatal(&invite("Content-Length: 5\r\nl: 6\r\n", "abcdef"), 400);
    fatal(&invite("Content-Length: 5\r\nl: 5\r\n", "abcde"), 400);
    fatal(&invite("Content-Length: 4294967296\r\n", ""), 400);
    let head = invite("Content-Length: 00000\r\n", "").len();
    let fits = invite(&format!("Content-Length: {:05}\r\n", 65536 - head), "");
    assert_eq!(
        framed(fits.as_bytes()),
        [],
        "at the limit it waits for the body"
    );
    fatal(
        &invite(&format!("Content-Length: {:05}\r\n", 65537 - head), ""),
        413,
    );
    let after = format!("{}{}", invite("", ""), invite("l: 0\r\n", ""));
    assert_eq!(
        framed(after.as_bytes()).len(),
        1,
        "nothing comes after a fatal item"
    );
}

#[test]
fn a_stream_that_never_ends_a_line_or_a_head_is_given_up() {
    let limits = Limits::default();
    assert_eq!(framed(&vec![b'a'; limits.start_line + 1]), []);
    let too_long = framed(&vec![b'a'; limits.start_line + 2]);
    assert!(matches!(
        &too_long[..],
        [Framed::Fatal {
            error: WireError::StartLineTooLong { .. },
            readable: None
        }]
    ));
    let endless = format!("{HEAD}{REST}{}", "X-Y: zzzzzzzzzz\r\n".repeat(4096));
    match framed(endless.as_bytes()).as_slice() {
        [Framed::Fatal { error, readable }] => {
            assert_eq!(error.status(), 413);
            assert!(readable.is_some());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn responses_are_never_answered_on_streams_either() {
    let text = format!("SIP/2.0 200 OK\r\n{REST}\r\n");
    assert!(matches!(
        &framed(text.as_bytes())[..],
        [Framed::Fatal { readable: None, .. }]
    ));
}

#[test]
fn the_deadline_counts_from_the_first_byte_of_the_unfinished_message() {
    let text = invite("l: 0\r\n", "");
    let (first, rest) = text.as_bytes().split_at(10);
    let begin = start();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let mut framer = StreamFramer::new(Limits::default());
    assert_eq!(framer.incomplete_since(), None);
    framer.push(at(1), first);
    assert_eq!(framer.next(), None);
    framer.push(at(5), &rest[..1]);
    assert_eq!(framer.next(), None);
    assert_eq!(
        framer.incomplete_since(),
        Some(at(1)),
        "a dripping byte does not prolong it"
    );
    framer.push(at(9), &rest[1..]);
    framer.push(at(9), first);
    assert_eq!(framer.by_ref().count(), 1);
    assert_eq!(
        framer.incomplete_since(),
        Some(at(9)),
        "the next message has begun"
    );
    framer.push(at(10), rest);
    assert_eq!(framer.by_ref().count(), 1);
    assert_eq!(framer.incomplete_since(), None);
    framer.push(at(11), b"\r\n\r\n");
    assert_eq!(framer.next(), Some(Framed::Ping));
    assert_eq!(
        framer.incomplete_since(),
        None,
        "a keepalive is not a message"
    );
}
