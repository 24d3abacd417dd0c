//! Torture messages: what the parser makes of each message of RFC 4475 and RFC 5118, and of our own in
//! `tests/vectors/sip`.
//!
//! The RFC messages are data outside the project, read from `../shared/vectors`; where that folder is absent the tests
//! say so and go on with our own, which are of the same kinds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use swivel::sip::digest::Credentials;
use swivel::sip::msg::{Contacts, Message, Method, Name, RetryAfter, Scheme};
use swivel::sip::wire::{Framed, Limits, Malformed, StreamFramer, WireError, parse_datagram};

use Expect::{Accept, Drop, Look, Refuse};

/// What must come of a message sent as a datagram.
#[derive(Clone, Copy)]
enum Expect {
    /// It is read.
    Accept,
    /// It is read, and its values are right.
    Look(fn(&Message)),
    /// It is answered with that status, and the error is about that header.
    Refuse(u16, &'static str),
    /// It is dropped without an answer.
    Drop,
}

fn parse(bytes: &[u8]) -> Result<Message, Malformed> {
    parse_datagram(Bytes::copy_from_slice(bytes), &Limits::default())
}

/// Checks one message and says what is wrong.
fn check(name: &str, bytes: &[u8], expect: Expect) -> Result<(), String> {
    let result = parse(bytes);
    let got = match &result {
        Ok(_) => "accepted".to_owned(),
        Err(Malformed {
            error,
            readable: Some(_),
        }) => format!("answered {} for `{}`", error.status(), error.header()),
        Err(Malformed {
            error,
            readable: None,
        }) => format!("dropped: {error}"),
    };
    let right = match (&result, expect) {
        (Ok(_), Accept) | (Err(Malformed { readable: None, .. }), Drop) => true,
        (Ok(message), Look(look)) => {
            look(message);
            true
        }
        (
            Err(Malformed {
                error,
                readable: Some(request),
            }),
            Refuse(status, header),
        ) => {
            // What is given back as readable must be enough for an answer that can itself be read.
            let answer = request.reply(status, &error.reason(), Some("t")).to_bytes();
            let text = String::from_utf8_lossy(&answer).into_owned();
            assert!(
                text.starts_with(&format!("SIP/2.0 {status} ")),
                "{name}: {text}"
            );
            error.status() == status && error.header() == header
        }
        _ => false,
    };
    if let Ok(message) = &result {
        for header in message.headers.iter() {
            assert!(
                !header.value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')),
                "{name}: {}",
                header.wire_name()
            );
        }
        let again = parse(&message.to_bytes())
            .unwrap_or_else(|e| panic!("{name}: written, then refused: {e}"));
        assert_eq!(again.start, message.start, "{name}");
        assert_eq!(again.body, message.body, "{name}");
        let headers = |m: &Message| -> Vec<_> {
            m.headers
                .iter()
                .filter(|h| h.name != Name::ContentLength)
                .cloned()
                .collect()
        };
        assert_eq!(headers(&again), headers(message), "{name}");
    }
    if right {
        Ok(())
    } else {
        Err(format!("{name}: {got}"))
    }
}

/// Checks a folder against a table: each file must be in the table, each line must have its file.
fn check_all(folder: &Path, table: &[(&str, Expect)], edit: impl Fn(Vec<u8>) -> Vec<u8>) {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        files.insert(name, edit(fs::read(&path).unwrap()));
    }
    let mut wrong = Vec::new();
    for (name, expect) in table {
        match files.remove(*name) {
            Some(bytes) => {
                wrong.extend(check(name, &bytes, *expect).err());
                stream_agrees(name, &bytes);
            }
            None => wrong.push(format!("{name}: no such file")),
        }
    }
    wrong.extend(files.keys().map(|name| format!("{name}: not in the table")));
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do: the framer only gives it back"
)]
fn now() -> Instant {
    Instant::now()
}

fn frames(pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<Framed> {
    let mut framer = StreamFramer::new(Limits::default());
    let mut out = Vec::new();
    for piece in pieces {
        framer.push(now(), piece);
        out.extend(framer.by_ref());
    }
    out
}

/// However the bytes arrive on a stream, the same messages come out, each exactly as long as it says.
fn stream_agrees(name: &str, bytes: &[u8]) {
    let only_messages = |items: Vec<Framed>| {
        items
            .into_iter()
            .filter(|f| !matches!(f, Framed::Ping | Framed::Pong))
            .collect::<Vec<_>>()
    };
    let whole = only_messages(frames(&mut std::iter::once(bytes)));
    for size in [1, 13] {
        assert_eq!(
            only_messages(frames(&mut bytes.chunks(size))),
            whole,
            "{name} in pieces of {size}"
        );
    }
    for item in whole {
        if let Framed::Message(message) = item
            && let Ok(read) = parse(&message)
        {
            assert!(message.ends_with(&read.body), "{name}");
        }
    }
}

#[expect(clippy::print_stdout, reason = "a skipped test must be seen")]
fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/vectors")
        .join(folder);
    let there = path.is_dir();
    if !there {
        println!(
            "SKIPPED: {} is not there; our own messages of the same kinds are checked anyway",
            path.display()
        );
    }
    there.then_some(path)
}

fn hosts(message: &Message) -> Vec<String> {
    message
        .via_values()
        .map(|v| swivel::sip::msg::Via::parse(v).unwrap().host.to_string())
        .collect()
}

fn contacts(message: &Message) -> Vec<swivel::sip::msg::NameAddr> {
    match message.contacts().unwrap() {
        Contacts::Star => panic!("a star"),
        Contacts::List(list) => list,
    }
}

/// RFC 4475. In the order of the RFC: §3.1.1 valid, §3.1.2 invalid, §3.2 to §3.4 above the parser.
const RFC4475: &[(&str, Expect)] = &[
    ("wsinv", Look(a_short_tortuous_invite)),
    ("intmeth", Look(wide_range_of_characters)),
    ("esc01", Look(percent_escapes)),
    ("escnull", Look(escaped_nulls)),
    ("esc02", Look(percent_that_is_no_escape)),
    (
        "lwsdisp",
        Look(|m| assert_eq!(m.from().unwrap().display.as_deref(), Some("caller"))),
    ),
    ("longreq", Look(long_values)),
    (
        "dblreq",
        Look(|m| assert_eq!((m.method(), m.body.len()), (Some(&Method::Register), 0))),
    ),
    (
        "semiuri",
        Look(|m| {
            assert_eq!(
                m.uri().unwrap().user_text().as_deref(),
                Some("user;par=u@example.net")
            )
        }),
    ),
    (
        "transports",
        Look(|m| assert_eq!(m.via_values().count(), 5)),
    ),
    (
        "mpart01",
        Look(|m| {
            assert!(m.content_type().unwrap().unwrap().is("multipart/mixed") && m.body.len() == 553)
        }),
    ),
    ("unreason", Look(|m| assert_eq!(m.status(), Some(200)))),
    ("noreason", Look(|m| assert_eq!(m.status(), Some(100)))),
    ("badinv01", Refuse(400, "Via")),
    ("clerr", Refuse(400, "Content-Length")),
    ("ncl", Refuse(400, "Content-Length")),
    ("scalar02", Refuse(400, "CSeq")),
    ("scalarlg", Drop),
    ("quotbal", Refuse(400, "To")),
    ("ltgtruri", Refuse(400, "Request-URI")),
    ("lwsruri", Refuse(400, "Request-URI")),
    ("lwsstart", Refuse(400, "")),
    ("trws", Refuse(400, "")),
    ("escruri", Refuse(400, "Request-URI")),
    // We never look at Date, so its zone does not matter (§3.1.2.12).
    ("baddate", Accept),
    ("regbadct", Refuse(400, "Contact")),
    ("badaspec", Refuse(400, "To")),
    ("baddn", Refuse(400, "From")),
    ("badvers", Refuse(505, "")),
    ("mismatch01", Refuse(400, "CSeq")),
    ("mismatch02", Refuse(400, "CSeq")),
    ("bigcode", Drop),
    (
        "badbranch",
        Look(|m| assert_eq!(m.top_via().unwrap().transaction_branch(), None)),
    ),
    // Without To, From and Call-ID there is nothing to build an answer from.
    ("insuf", Drop),
    (
        "unkscm",
        Look(|m| assert!(matches!(m.uri().unwrap().scheme, Scheme::Other(_)))),
    ),
    (
        "novelsc",
        Look(|m| assert_eq!(m.uri().unwrap().to_string(), "soap.beep://192.0.2.103:3002")),
    ),
    (
        "unksm2",
        Look(|m| assert_eq!(m.to().unwrap().uri.to_string(), "isbn:2983792873")),
    ),
    (
        "bext01",
        Look(|m| {
            assert_eq!(
                m.tokens(Name::Require),
                ["nothingSupportsThis", "nothingSupportsThisEither"]
            )
        }),
    ),
    (
        "invut",
        Look(|m| {
            assert!(
                m.content_type()
                    .unwrap()
                    .unwrap()
                    .is("application/unknownformat")
            )
        }),
    ),
    (
        "regaut01",
        Look(|m| assert!(Credentials::parse(m.header(Name::Authorization).unwrap()).is_err())),
    ),
    ("multi01", Refuse(400, "CSeq")),
    ("mcl01", Refuse(400, "Content-Length")),
    // A response with two Via is for somebody else; the user agent drops it (§3.3.12).
    ("bcast", Look(|m| assert_eq!(m.via_values().count(), 2))),
    ("zeromf", Look(|m| assert_eq!(m.max_forwards(), Some(0)))),
    (
        "cparam01",
        Look(|m| assert!(contacts(m)[0].params.has("unknownparam"))),
    ),
    (
        "cparam02",
        Look(|m| assert!(contacts(m)[0].uri.params.has("unknownparam"))),
    ),
    (
        "regescrt",
        Look(|m| {
            assert_eq!(
                contacts(m)[0].uri.headers.as_deref(),
                Some("Route=%3Csip:sip.example.com%3E")
            )
        }),
    ),
    (
        "sdp01",
        Look(|m| assert_eq!(m.tokens(Name::Accept), ["text/nobodyKnowsThis"])),
    ),
    ("inv2543", Look(a_peer_of_rfc_2543)),
    // Not in the RFC, but in its archive: no version, no Via.
    ("test", Drop),
];

fn a_short_tortuous_invite(m: &Message) {
    assert_eq!(m.to_tag().as_deref(), Some("1918181833n"));
    let from = m.from().unwrap();
    assert_eq!(
        (from.display.as_deref(), from.tag()),
        (Some("J Rosenberg \\\""), Some("98asjd8"))
    );
    assert_eq!(m.max_forwards(), Some(68));
    assert_eq!(m.cseq().unwrap().to_string(), "9 INVITE");
    assert_eq!(
        hosts(m),
        ["192.0.2.2", "spindle.example.com", "192.168.255.111"]
    );
    assert_eq!(m.top_via().unwrap().branch.as_deref(), Some("390skdjuw"));
    assert_eq!(m.header(Name::Subject), Some(""));
    assert_eq!(
        m.headers.get_named("newfangledheader"),
        Some("newfangled value continued newfangled value")
    );
    let contact = &contacts(m)[0];
    assert_eq!(contact.display.as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.params.get("newparam"), Some(Some("newvalue")));
    assert_eq!(contact.params.get("q"), Some(Some("0.33")));
    assert!(m.routes().unwrap()[0].uri.is_loose());
    assert_eq!(m.body.len(), 150);
}

fn wide_range_of_characters(m: &Message) {
    assert_eq!(
        m.method().unwrap().as_str(),
        "!interesting-Method0123456789_*+`.%indeed'~"
    );
    let uri = m.uri().unwrap();
    assert_eq!(
        uri.user.as_deref(),
        Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    );
    assert_eq!(
        uri.password.as_deref(),
        Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
    );
    // The escaped NUL is the one thing that does not survive: no header we copy may carry it.
    assert_eq!(
        m.to().unwrap().display.as_deref(),
        Some("BEL:\u{7} NUL:  DEL:\u{7f}")
    );
    assert_eq!(m.from_tag().as_deref(), Some("_token~1'+`*%!-."));
    assert_eq!(
        m.call_id(),
        Some("intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{")
    );
    assert_eq!(
        m.headers.get_named("extensionHeader-!.%*+_`'~"),
        Some("\u{feff}大停電")
    );
}

fn percent_escapes(m: &Message) {
    assert_eq!(
        m.uri().unwrap().user_text().as_deref(),
        Some("sips:user@example.com")
    );
    assert_eq!(m.to().unwrap().uri.user_text().as_deref(), Some("user"));
    assert_eq!(
        m.from().unwrap().uri.user_text().as_deref(),
        Some("I have spaces")
    );
    let contact = &contacts(m)[0].uri;
    assert!(!contact.is_loose(), "an escaped lr is not lr");
    assert_eq!(contact.params.get("n%61me"), Some(Some("v%61lue%25%34%31")));
}

fn escaped_nulls(m: &Message) {
    assert_eq!(
        m.to().unwrap().uri.user_text().as_deref(),
        Some("null-\0-null")
    );
    let users: Vec<_> = contacts(m)
        .iter()
        .map(|c| c.uri.user.clone().unwrap())
        .collect();
    assert_eq!(users, ["%00".into(), "%00%00".into()]);
}

fn percent_that_is_no_escape(m: &Message) {
    assert_eq!(m.method(), Some(&Method::Other("RE%47IST%45R".into())));
    assert_eq!(m.to().unwrap().display.as_deref(), Some("%Z%45"));
    assert_eq!(contacts(m).len(), 2);
    assert_eq!(
        m.headers.get_named("C%6Fntact"),
        Some("<sip:alias2@host2.example.com>")
    );
}

fn long_values(m: &Message) {
    assert_eq!(m.via_values().count(), 34);
    assert!(m.from_tag().unwrap().len() > 100);
    assert_eq!(m.to().unwrap().uri.port, Some(6000));
    assert!(m.to().unwrap().uri.params.has("unknownparam1"));
}

fn a_peer_of_rfc_2543(m: &Message) {
    assert_eq!(m.from_tag(), None);
    assert_eq!(m.max_forwards(), None);
    assert_eq!(m.top_via().unwrap().branch, None);
    assert_eq!(
        m.record_routes().unwrap()[0].uri.params.get("maddr"),
        Some(Some("ss1.example.com"))
    );
    assert!(!m.body.is_empty());
}

#[test]
fn every_message_of_rfc_4475_is_read_refused_or_dropped_as_it_says() {
    if let Some(folder) = shared("rfc4475") {
        assert_eq!(RFC4475.len(), 50);
        check_all(&folder, RFC4475, |bytes| bytes);
    }
}

/// RFC 5118, in its order.
const RFC5118: &[(&str, Expect)] = &[
    (
        "ipv6-good",
        Look(|m| assert_eq!(m.uri().unwrap().host.ip(), "2001:db8::10".parse().ok())),
    ),
    ("ipv6-bad", Refuse(400, "Request-URI")),
    (
        "port-ambiguous",
        Look(|m| {
            let uri = m.uri().unwrap();
            assert_eq!(
                (uri.host.ip(), uri.port),
                ("2001:db8::10:5070".parse().ok(), None)
            );
        }),
    ),
    (
        "port-unambiguous",
        Look(|m| {
            let uri = m.uri().unwrap();
            assert_eq!(
                (uri.host.ip(), uri.port),
                ("2001:db8::10".parse().ok(), Some(5070))
            );
        }),
    ),
    ("via-received-param-with-delim", Look(received_9_255)),
    ("via-received-param-no-delim", Look(received_9_255)),
    ("ipv6-in-sdp", Look(|m| assert!(m.body.starts_with(b"v=0")))),
    (
        "mult-ip-in-header",
        Look(|m| {
            assert_eq!(
                hosts(m),
                ["[2001:db8::9:1]", "192.0.2.1", "[2001:db8::9:255]"]
            )
        }),
    ),
    (
        "mult-ip-in-sdp",
        Look(|m| assert!(m.body.starts_with(b"v=0"))),
    ),
    (
        "ipv4-mapped-ipv6",
        Look(|m| assert_eq!(m.top_via().unwrap().port, Some(19823))),
    ),
    ("ipv6-bug-abnf-3-colons", Look(two_colons)),
    ("ipv6-correct-abnf-2-colons", Look(two_colons)),
];

fn received_9_255(m: &Message) {
    assert_eq!(
        m.top_via().unwrap().received,
        "2001:db8::9:255".parse().ok()
    );
}

fn two_colons(m: &Message) {
    assert_eq!(
        m.uri().unwrap().host.ip(),
        "2001:db8::192.0.2.1".parse().ok()
    );
}

fn with_crlf(bytes: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 32);
    let mut last = 0;
    for byte in bytes {
        if byte == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(byte);
        last = byte;
    }
    out
}

fn with_true_length(bytes: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.trim_end(), ""));
    let head: Vec<_> = head
        .split("\r\n")
        .filter(|line| !line.starts_with("Content-Length"))
        .collect();
    format!(
        "{}\r\nContent-Length: {}\r\n\r\n{body}",
        head.join("\r\n"),
        body.len()
    )
    .into_bytes()
}

#[test]
fn every_message_of_rfc_5118_is_read_or_refused_as_it_says() {
    if let Some(folder) = shared("rfc5118") {
        assert_eq!(RFC5118.len(), 12);
        // The archive's Content-Length is larger than the body of one message with CRLF and of two with LF alone.
        let but_short = |short: &[&str]| -> Vec<(&str, Expect)> {
            let expect = |&(name, expect): &(&'static str, Expect)| match short.contains(&name) {
                true => (name, Refuse(400, "Content-Length")),
                false => (name, expect),
            };
            RFC5118.iter().map(expect).collect()
        };
        check_all(
            &folder,
            &but_short(&["ipv6-in-sdp", "mult-ip-in-sdp"]),
            |bytes| bytes,
        );
        check_all(&folder, &but_short(&["ipv6-in-sdp"]), with_crlf);
        check_all(&folder, RFC5118, |bytes| {
            with_true_length(&with_crlf(bytes))
        });
    }
}

/// Our own messages.
const OURS: &[(&str, Expect)] = &[
    (
        "tortuous",
        Look(|m| {
            assert_eq!(
                (m.to_tag().as_deref(), m.from_tag().as_deref()),
                (Some("t0n"), Some("f0n"))
            );
            assert_eq!(m.from().unwrap().display.as_deref(), Some("A \\\" B"));
            assert_eq!(
                hosts(m),
                ["198.51.100.20", "one.pbx.example", "203.0.113.9"]
            );
            assert_eq!(m.headers.get_named("X-ODD"), Some("first second"));
            assert_eq!(contacts(m)[0].params.get("q"), Some(Some("0.25")));
            assert_eq!((m.max_forwards(), m.cseq().unwrap().number), (Some(70), 10));
            assert!(m.body.ends_with(b"telephone-event/8000\r\n"));
        }),
    ),
    (
        "odd_tokens",
        Look(|m| {
            assert_eq!(m.method().unwrap().as_str(), "!odd-Method_0*+`.%q'~");
            assert_eq!(
                m.to().unwrap().display.as_deref(),
                Some("BEL \u{7} NUL   DEL \u{7f}")
            );
            assert_eq!(m.uri().unwrap().password.as_deref(), Some("p&=+$,w"));
        }),
    ),
    (
        "escaped_uri",
        Look(|m| {
            assert_eq!(
                m.uri().unwrap().user_text().as_deref(),
                Some("sips:a@pbx.example")
            );
            assert_eq!(contacts(m)[0].uri.user_text().as_deref(), Some("1001"));
            assert!(!contacts(m)[0].uri.is_loose());
        }),
    ),
    ("escaped_nul", Look(|m| assert_eq!(contacts(m).len(), 2))),
    (
        "escaped_method",
        Look(|m| assert_eq!(m.method(), Some(&Method::Other("RE%47IST%45R".into())))),
    ),
    (
        "no_blank_before_bracket",
        Look(|m| assert_eq!(m.from().unwrap().display.as_deref(), Some("phone"))),
    ),
    (
        "long_values",
        Look(|m| assert_eq!(m.via_values().count(), 31)),
    ),
    (
        "two_requests",
        Look(|m| assert_eq!((m.method(), m.body.len()), (Some(&Method::Register), 0))),
    ),
    (
        "semicolon_in_user",
        Look(|m| {
            assert_eq!(
                m.uri().unwrap().user.as_deref(),
                Some("user;par=u%40example.net")
            )
        }),
    ),
    (
        "transports",
        Look(|m| assert_eq!(m.via_values().count(), 5)),
    ),
    (
        "binary_multipart",
        Look(|m| {
            assert_eq!(
                m.content_type().unwrap().unwrap().param("boundary"),
                Some("b1")
            );
            assert!(m.body.ends_with(b"\xff\r\n--b1--\r\n"));
        }),
    ),
    ("reason_utf8", Look(|m| assert_eq!(m.status(), Some(200)))),
    ("reason_empty", Look(|m| assert_eq!(m.status(), Some(100)))),
    ("via_and_contact_marks", Refuse(400, "Via")),
    ("length_larger", Refuse(400, "Content-Length")),
    ("length_negative", Refuse(400, "Content-Length")),
    ("numbers_overflow_request", Refuse(400, "Max-Forwards")),
    ("numbers_overflow_response", Drop),
    ("quote_open", Refuse(400, "To")),
    ("uri_in_brackets", Refuse(400, "Request-URI")),
    ("uri_with_blank", Refuse(400, "Request-URI")),
    ("start_line_blanks", Refuse(400, "")),
    ("start_line_trailing", Refuse(400, "")),
    ("uri_with_headers", Refuse(400, "Request-URI")),
    ("date_not_gmt", Accept),
    ("contact_needs_brackets", Refuse(400, "Contact")),
    ("blanks_in_brackets", Refuse(400, "To")),
    ("display_unquoted_comma", Refuse(400, "From")),
    ("version_7", Refuse(505, "")),
    ("cseq_other_method", Refuse(400, "CSeq")),
    ("cseq_other_unknown_method", Refuse(400, "CSeq")),
    ("status_overflow", Drop),
    (
        "branch_cookie_only",
        Look(|m| assert_eq!(m.top_via().unwrap().transaction_branch(), None)),
    ),
    ("five_missing", Drop),
    (
        "scheme_unknown",
        Look(|m| assert!(!m.uri().unwrap().is_sip())),
    ),
    (
        "scheme_slashes",
        Look(|m| assert!(!m.uri().unwrap().is_sip())),
    ),
    (
        "scheme_in_addresses",
        Look(|m| assert_eq!(contacts(m)[0].uri.to_string(), "name:A_B")),
    ),
    (
        "require_unknown",
        Look(|m| assert_eq!(m.tokens(Name::Require).len(), 2)),
    ),
    ("body_unknown", Accept),
    (
        "auth_unknown_scheme",
        Look(|m| assert!(Credentials::of(m, "pbx.example").is_none())),
    ),
    ("many_singles", Refuse(400, "CSeq")),
    ("two_lengths", Refuse(400, "Content-Length")),
    (
        "response_two_vias",
        Look(|m| assert_eq!(m.via_values().count(), 2)),
    ),
    (
        "max_forwards_0",
        Look(|m| assert_eq!(m.max_forwards(), Some(0))),
    ),
    (
        "contact_param_outside",
        Look(|m| assert!(contacts(m)[0].params.has("unknownparam"))),
    ),
    (
        "contact_param_inside",
        Look(|m| assert!(contacts(m)[0].uri.params.has("unknownparam"))),
    ),
    (
        "contact_uri_headers",
        Look(|m| assert!(contacts(m)[0].uri.headers.is_some())),
    ),
    ("accept_unknown", Accept),
    (
        "rfc2543_invite",
        Look(|m| assert_eq!((m.from_tag(), m.max_forwards()), (None, None))),
    ),
    (
        "v6_uri",
        Look(|m| assert_eq!(m.uri().unwrap().host.ip(), "2001:db8::10".parse().ok())),
    ),
    ("v6_without_brackets", Refuse(400, "Request-URI")),
    (
        "v6_port_inside",
        Look(|m| assert_eq!(m.uri().unwrap().port, None)),
    ),
    (
        "v6_port_outside",
        Look(|m| assert_eq!(m.uri().unwrap().port, Some(5070))),
    ),
    ("v6_received_bare", Look(received_9_255)),
    ("v6_received_brackets", Look(received_9_255)),
    (
        "v6_and_v4_vias",
        Look(|m| {
            assert_eq!(
                hosts(m),
                ["[2001:db8::9:1]", "192.0.2.1", "[2001:db8::9:255]"]
            )
        }),
    ),
    (
        "v6_mapped_v4",
        Look(|m| assert_eq!(m.top_via().unwrap().port, Some(19823))),
    ),
    ("v6_three_colons", Look(two_colons)),
    ("v6_two_colons", Look(two_colons)),
    (
        "n_cseq_method_4000",
        Look(|m| assert_eq!(m.cseq().unwrap().method.as_str().len(), 4000)),
    ),
    ("n_cseq_without_method", Refuse(400, "CSeq")),
    ("n_cseq_method_mismatch_long", Refuse(400, "CSeq")),
    ("n_multipart_no_boundary", Accept),
    ("n_multipart_boundary_only", Accept),
    (
        "n_accept_50",
        Look(|m| assert_eq!(m.tokens(Name::Accept).len(), 50)),
    ),
    (
        "n_from_tag_15000",
        Look(|m| assert_eq!(m.from_tag().unwrap().len(), 15000)),
    ),
    (
        "n_branch_15000",
        Look(|m| assert_eq!(m.top_via().unwrap().branch.unwrap().len(), 15007)),
    ),
    ("n_header_20000", Refuse(400, "X-Big")),
    (
        "n_authorization_marks",
        Look(|m| assert!(Credentials::parse(m.header(Name::Authorization).unwrap()).is_err())),
    ),
    (
        "n_authorization_empty",
        Look(|m| assert!(Credentials::of(m, "").is_none())),
    ),
    ("n_display_lone_backslash", Refuse(400, "From")),
    ("n_display_ends_in_backslash", Refuse(400, "From")),
    ("n_control_before_colon", Refuse(400, "")),
    ("n_control_1_before_colon", Refuse(400, "")),
    ("n_nul_in_name", Refuse(400, "")),
    (
        "n_blank_before_colon",
        Look(|m| assert_eq!(m.header(Name::Subject), Some("v"))),
    ),
    ("n_no_colon", Refuse(400, "")),
    ("n_empty_name", Refuse(400, "")),
    ("n_bare_cr_in_value", Refuse(400, "Subject")),
    ("n_nul_in_value", Refuse(400, "Subject")),
    ("n_nul_in_from", Refuse(400, "From")),
    (
        "n_fold_of_blanks",
        Look(|m| {
            assert_eq!(m.header(Name::Subject), Some("a"));
            assert_eq!(m.headers.get_named("X-After"), Some("b"));
        }),
    ),
    ("n_fold_first_header", Drop),
    // From cannot be copied into an answer, so there is none.
    ("n_not_utf8_from", Drop),
    (
        "n_not_utf8_subject",
        Look(|m| assert_eq!(m.header(Name::Subject), None)),
    ),
    ("n_bom", Drop),
    ("n_http", Drop),
    ("n_tls_hello", Drop),
    ("n_only_zeroes", Drop),
    ("n_star_uri", Refuse(400, "Request-URI")),
    ("n_uri_empty", Refuse(400, "Request-URI")),
    ("n_uri_two_ats", Refuse(400, "Request-URI")),
    ("n_uri_open_bracket", Refuse(400, "Request-URI")),
    ("n_uri_port_65536", Refuse(400, "Request-URI")),
    ("n_uri_zone", Refuse(400, "Request-URI")),
    (
        "n_lower_case_method",
        Look(|m| assert_eq!(m.method(), Some(&Method::Other("invite".into())))),
    ),
    ("n_via_empty", Drop),
    ("n_via_no_host", Drop),
    ("n_via_quote_open", Refuse(400, "Via")),
    ("n_via_71", Refuse(400, "Via")),
    ("n_headers_257", Refuse(400, "")),
    ("n_from_empty", Drop),
    ("n_from_two_in_one", Refuse(400, "From")),
    ("n_to_tag_empty", Refuse(400, "To")),
    ("n_call_id_blank", Refuse(400, "Call-ID")),
    ("n_call_id_empty", Drop),
    ("n_contact_two_in_invite", Refuse(400, "Contact")),
    ("n_contact_star_in_invite", Refuse(400, "Contact")),
    ("n_length_plus", Refuse(400, "Content-Length")),
    ("n_length_folded", Look(|m| assert_eq!(&*m.body, b"abc"))),
    ("n_length_4294967296", Refuse(400, "Content-Length")),
    ("n_length_4294967295", Refuse(413, "")),
    ("n_length_hex", Refuse(400, "Content-Length")),
    ("n_length_list", Refuse(400, "Content-Length")),
    ("n_max_forwards_text", Refuse(400, "Max-Forwards")),
    ("n_max_forwards_param", Refuse(400, "Max-Forwards")),
    ("n_ack_malformed", Drop),
    ("n_response_without_cseq", Drop),
    ("n_response_status_0", Drop),
    ("n_response_bad_length", Drop),
    ("n_cut_in_header", Drop),
    (
        "n_lf_only",
        Look(|m| assert!(m.body.ends_with(b"telephone-event/8000\n"))),
    ),
    ("n_tab_in_start_line", Drop),
    ("n_crlf_storm", Accept),
];

fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sip")
}

#[test]
fn every_message_of_our_own_comes_to_what_the_table_says() {
    check_all(&ours(), OURS, |bytes| bytes);
    assert!(
        OURS.iter()
            .filter(|(name, _)| name.starts_with("n_"))
            .count()
            >= 32
    );
}

/// What a stream makes of the messages whose length is the trouble.
#[test]
fn lengths_that_lie_end_a_stream_or_leave_it_waiting() {
    let read = |name: &str| fs::read(ours().join(name).with_extension("sip")).unwrap();
    let items = |name: &str| frames(&mut std::iter::once(read(name).as_slice()));
    assert_eq!(
        items("length_larger"),
        [],
        "the body may still come; the deadline decides"
    );
    for (name, status) in [
        ("length_negative", 400),
        ("two_lengths", 400),
        ("n_length_4294967295", 413),
        ("n_length_4294967296", 400),
        ("n_length_hex", 400),
        ("rfc2543_invite", 400),
    ] {
        match items(name).as_slice() {
            [
                Framed::Fatal {
                    error,
                    readable: Some(_),
                },
            ] => assert_eq!(error.status(), status, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(
        items("n_tls_hello").as_slice(),
        [] | [Framed::Fatal { readable: None, .. }]
    ));
    assert!(matches!(
        items("n_http").as_slice(),
        [Framed::Fatal { readable: None, .. }]
    ));
    let methods: Vec<_> = items("two_requests")
        .into_iter()
        .filter_map(|item| match item {
            Framed::Message(bytes) => parse(&bytes).unwrap().method().cloned(),
            Framed::Ping | Framed::Pong | Framed::Fatal { .. } => None,
        })
        .collect();
    assert_eq!(methods, [Method::Register, Method::Invite]);
}

/// The numbers of `numbers_overflow_response`, read one by one.
#[test]
fn overflowing_numbers_are_clamped_where_they_are_times() {
    assert_eq!(
        RetryAfter::parse("949302838503028349304023988")
            .unwrap()
            .seconds,
        u32::MAX
    );
    let error = parse(b"SIP/2.0 4294967301 x\r\n\r\n").unwrap_err().error;
    assert!(matches!(error, WireError::StartLine { .. }), "{error}");
}
