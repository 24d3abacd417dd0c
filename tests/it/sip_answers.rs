//! Torture messages once more, one layer up: what the user agent answers to each of them, over datagrams and over
//! streams, to a peer it knows and to a stranger.
//!
//! RFC 4475 and RFC 5118 say of each message what a good element does with it; where they leave a choice, the comment
//! says which one is ours. The RFC messages are read from outside the project (see `torture`).

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use swivel::base::rng::Rng;
use swivel::base::secret::Secret;
use swivel::sip::flow::{Flow, Transport};
use swivel::sip::ua::{
    Counts, Doorman, Endpoint, EndpointConfig, Listener, Principal, SipEvent, Transmit,
};
use swivel::sip::wire::{Framed, Limits, Malformed, StreamFramer};

/// A message, and what it comes to: status lines sent, `ring` for a call announced, `close` for a stream given up.
struct Row {
    name: &'static str,
    udp: &'static str,
    tcp: &'static str,
}

const fn both(name: &'static str, outcome: &'static str) -> Row {
    Row {
        name,
        udp: outcome,
        tcp: outcome,
    }
}

const fn each(name: &'static str, udp: &'static str, tcp: &'static str) -> Row {
    Row { name, udp, tcp }
}

/// RFC 4475. REGISTER and MESSAGE are methods we lack: 405 where the message itself is fine. A Content-Length that is
/// larger than the body leaves a stream waiting.
const RFC4475: &[Row] = &[
    both("badaspec", "400 Bad To"),
    both("badbranch", "200 OK"),
    both("baddate", "ring, 100 Trying"),
    each("baddn", "400 Bad From", ""),
    both("badinv01", "400 Bad Via"),
    both("badvers", "505 Version Not Supported"),
    both("bcast", ""),
    both("bext01", "420 Bad Extension"),
    both("bigcode", ""),
    each("clerr", "400 Content-Length Exceeds Body", ""),
    both("cparam01", "405 Method Not Allowed"),
    both("cparam02", "405 Method Not Allowed"),
    each(
        "dblreq",
        "405 Method Not Allowed",
        "ring, 405 Method Not Allowed, 100 Trying, close",
    ),
    both("esc01", "ring, 100 Trying"),
    both("esc02", "501 Not Implemented"),
    both("escnull", "405 Method Not Allowed"),
    both("escruri", "400 Bad Request-URI"),
    both("insuf", ""),
    both("intmeth", "501 Not Implemented"),
    each(
        "inv2543",
        "ring, 100 Trying",
        "400 Missing Content-Length, close",
    ),
    both("invut", "415 Unsupported Media Type"),
    both("longreq", "ring, 100 Trying"),
    both("ltgtruri", "400 Bad Request-URI"),
    both("lwsdisp", "200 OK"),
    both("lwsruri", "400 Bad Request-URI"),
    both("lwsstart", "400 Bad Request"),
    each(
        "mcl01",
        "400 More Than One Content-Length",
        "400 More Than One Content-Length, close",
    ),
    both("mismatch01", "400 CSeq Method Does Not Match"),
    both("mismatch02", "400 CSeq Method Does Not Match"),
    both("mpart01", "405 Method Not Allowed"),
    both("multi01", "400 More Than One CSeq"),
    each(
        "ncl",
        "400 Bad Content-Length",
        "400 Bad Content-Length, close",
    ),
    both("noreason", ""),
    both("novelsc", "416 Unsupported URI Scheme"),
    both("quotbal", "400 Bad To"),
    both("regaut01", "405 Method Not Allowed"),
    both("regbadct", "400 Bad Contact"),
    both("regescrt", "405 Method Not Allowed"),
    both("scalar02", "400 Bad CSeq"),
    both("scalarlg", ""),
    both("sdp01", "406 Not Acceptable"),
    both("semiuri", "200 OK"),
    both("test", ""),
    both("transports", "200 OK"),
    both("trws", "400 Bad Request"),
    both("unkscm", "416 Unsupported URI Scheme"),
    both("unksm2", "405 Method Not Allowed"),
    both("unreason", ""),
    both("wsinv", "481 Call/Transaction Does Not Exist"),
    both("zeromf", "200 OK"),
];

/// RFC 5118, with the line ends of its archive.
const RFC5118: &[Row] = &[
    both("ipv4-mapped-ipv6", "ring, 100 Trying"),
    both("ipv6-bad", "400 Bad Request-URI"),
    each("ipv6-bug-abnf-3-colons", "200 OK", ""),
    each("ipv6-correct-abnf-2-colons", "200 OK", ""),
    both("ipv6-good", "405 Method Not Allowed"),
    each("ipv6-in-sdp", "400 Content-Length Exceeds Body", ""),
    both("mult-ip-in-header", "481 Call/Transaction Does Not Exist"),
    each("mult-ip-in-sdp", "400 Content-Length Exceeds Body", ""),
    both("port-ambiguous", "405 Method Not Allowed"),
    both("port-unambiguous", "405 Method Not Allowed"),
    both("via-received-param-no-delim", "200 OK"),
    both(
        "via-received-param-with-delim",
        "481 Call/Transaction Does Not Exist",
    ),
];

/// Our own messages.
const OURS: &[Row] = &[
    both("accept_unknown", "406 Not Acceptable"),
    both("auth_unknown_scheme", "405 Method Not Allowed"),
    both("binary_multipart", "405 Method Not Allowed"),
    both("blanks_in_brackets", "400 Bad To"),
    both("body_unknown", "415 Unsupported Media Type"),
    both("branch_cookie_only", "200 OK"),
    both("contact_needs_brackets", "400 Bad Contact"),
    both("contact_param_inside", "405 Method Not Allowed"),
    both("contact_param_outside", "405 Method Not Allowed"),
    both("contact_uri_headers", "405 Method Not Allowed"),
    both("cseq_other_method", "400 CSeq Method Does Not Match"),
    both(
        "cseq_other_unknown_method",
        "400 CSeq Method Does Not Match",
    ),
    both("date_not_gmt", "ring, 100 Trying"),
    both("display_unquoted_comma", "400 Bad From"),
    both("escaped_method", "501 Not Implemented"),
    both("escaped_nul", "405 Method Not Allowed"),
    both("escaped_uri", "ring, 100 Trying"),
    both("five_missing", ""),
    each("length_larger", "400 Content-Length Exceeds Body", ""),
    each(
        "length_negative",
        "400 Bad Content-Length",
        "400 Bad Content-Length, close",
    ),
    both("long_values", "ring, 100 Trying"),
    both("many_singles", "400 More Than One CSeq"),
    both("max_forwards_0", "200 OK"),
    both("n_accept_50", "405 Method Not Allowed"),
    both("n_ack_malformed", ""),
    both("n_authorization_empty", "405 Method Not Allowed"),
    both("n_authorization_marks", "405 Method Not Allowed"),
    both("n_bare_cr_in_value", "400 Bad Subject"),
    both("n_blank_before_colon", "ring, 100 Trying"),
    both("n_bom", ""),
    both("n_branch_15000", "ring, 100 Trying"),
    both("n_call_id_blank", "400 Bad Call-ID"),
    both("n_call_id_empty", ""),
    both("n_contact_star_in_invite", "400 Bad Contact"),
    both("n_contact_two_in_invite", "400 More Than One Contact"),
    both("n_control_1_before_colon", "400 Bad Header Name"),
    both("n_control_before_colon", "400 Bad Header Name"),
    both("n_crlf_storm", "200 OK"),
    both("n_cseq_method_4000", "501 Not Implemented"),
    both(
        "n_cseq_method_mismatch_long",
        "400 CSeq Method Does Not Match",
    ),
    both("n_cseq_without_method", "400 Bad CSeq"),
    both("n_cut_in_header", ""),
    both("n_display_ends_in_backslash", "400 Bad From"),
    both("n_display_lone_backslash", "400 Bad From"),
    both("n_empty_name", "400 Bad Header Name"),
    each("n_fold_first_header", "", "close"),
    both("n_fold_of_blanks", "ring, 100 Trying"),
    both("n_from_empty", ""),
    both("n_from_tag_15000", "ring, 100 Trying"),
    both("n_from_two_in_one", "400 Bad From"),
    both("n_header_20000", "400 X-Big Too Long"),
    both("n_headers_257", "400 Too Many Headers"),
    each("n_http", "", "close"),
    each(
        "n_length_4294967295",
        "413 Message Too Large",
        "413 Message Too Large, close",
    ),
    each(
        "n_length_4294967296",
        "400 Bad Content-Length",
        "400 Bad Content-Length, close",
    ),
    both("n_length_folded", "415 Unsupported Media Type"),
    each(
        "n_length_hex",
        "400 Bad Content-Length",
        "400 Bad Content-Length, close",
    ),
    each(
        "n_length_list",
        "400 Bad Content-Length",
        "400 Bad Content-Length, close",
    ),
    each(
        "n_length_plus",
        "400 Bad Content-Length",
        "400 Bad Content-Length, close",
    ),
    both("n_lf_only", "ring, 100 Trying"),
    both("n_lower_case_method", "501 Not Implemented"),
    both("n_max_forwards_param", "400 Bad Max-Forwards"),
    both("n_max_forwards_text", "400 Bad Max-Forwards"),
    both("n_multipart_boundary_only", "415 Unsupported Media Type"),
    both("n_multipart_no_boundary", "415 Unsupported Media Type"),
    both("n_no_colon", "400 Bad Header Name"),
    both("n_not_utf8_from", ""),
    both("n_not_utf8_subject", "ring, 100 Trying"),
    both("n_nul_in_from", "400 Bad From"),
    both("n_nul_in_name", "400 Bad Header Name"),
    both("n_nul_in_value", "400 Bad Subject"),
    both("n_only_zeroes", ""),
    each("n_response_bad_length", "", "close"),
    both("n_response_status_0", ""),
    each("n_response_without_cseq", "", "close"),
    both("n_star_uri", "400 Bad Request-URI"),
    each("n_tab_in_start_line", "", "close"),
    both("n_tls_hello", ""),
    both("n_to_tag_empty", "400 Bad To"),
    both("n_uri_empty", "400 Bad Request-URI"),
    both("n_uri_open_bracket", "400 Bad Request-URI"),
    both("n_uri_port_65536", "400 Bad Request-URI"),
    both("n_uri_two_ats", "400 Bad Request-URI"),
    both("n_uri_zone", "400 Bad Request-URI"),
    both("n_via_71", "400 Too Many Via"),
    both("n_via_empty", ""),
    both("n_via_no_host", ""),
    both("n_via_quote_open", "400 Bad Via"),
    both("no_blank_before_bracket", "200 OK"),
    both("numbers_overflow_request", "400 Bad Max-Forwards"),
    both("numbers_overflow_response", ""),
    both("odd_tokens", "501 Not Implemented"),
    both("quote_open", "400 Bad To"),
    both("reason_empty", ""),
    both("reason_utf8", ""),
    both("require_unknown", "420 Bad Extension"),
    both("response_two_vias", ""),
    each(
        "rfc2543_invite",
        "ring, 100 Trying",
        "400 Missing Content-Length, close",
    ),
    both("scheme_in_addresses", "405 Method Not Allowed"),
    both("scheme_slashes", "416 Unsupported URI Scheme"),
    both("scheme_unknown", "416 Unsupported URI Scheme"),
    both("semicolon_in_user", "200 OK"),
    both("start_line_blanks", "400 Bad Request"),
    both("start_line_trailing", "400 Bad Request"),
    both("status_overflow", ""),
    both("tortuous", "481 Call/Transaction Does Not Exist"),
    both("transports", "200 OK"),
    each(
        "two_lengths",
        "400 More Than One Content-Length",
        "400 More Than One Content-Length, close",
    ),
    each(
        "two_requests",
        "405 Method Not Allowed",
        "ring, 405 Method Not Allowed, 100 Trying",
    ),
    both("uri_in_brackets", "400 Bad Request-URI"),
    both("uri_with_blank", "400 Bad Request-URI"),
    both("uri_with_headers", "400 Bad Request-URI"),
    both("v6_and_v4_vias", "481 Call/Transaction Does Not Exist"),
    both("v6_mapped_v4", "ring, 100 Trying"),
    both("v6_port_inside", "405 Method Not Allowed"),
    both("v6_port_outside", "405 Method Not Allowed"),
    both("v6_received_bare", "200 OK"),
    both(
        "v6_received_brackets",
        "481 Call/Transaction Does Not Exist",
    ),
    both("v6_three_colons", "200 OK"),
    both("v6_two_colons", "200 OK"),
    both("v6_uri", "405 Method Not Allowed"),
    both("v6_without_brackets", "400 Bad Request-URI"),
    both("version_7", "505 Version Not Supported"),
    both("via_and_contact_marks", "400 Bad Via"),
];

struct Door {
    known: bool,
}

impl Doorman for Door {
    fn by_source(&self, _: IpAddr) -> Option<Principal> {
        self.known.then(|| Principal {
            account: "a".into(),
            device: "d".into(),
        })
    }

    fn realm(&self, _: &str) -> Option<Arc<str>> {
        None
    }

    fn secret(&self, _: &str, _: &str) -> Option<(Principal, Secret)> {
        None
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "any first moment will do; it moves on by hand"
)]
fn start() -> Instant {
    Instant::now()
}

/// Gives a message to a fresh endpoint and waits until the 100 is out; what came of it.
fn outcome(name: &str, known: bool, transport: Transport, message: &[u8]) -> String {
    let local: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let listener = |transport| Listener {
        transport,
        local,
        advertise: None,
    };
    let listeners = vec![listener(Transport::Udp), listener(Transport::Tcp)];
    let door = Box::new(Door { known });
    let mut endpoint = Endpoint::new(EndpointConfig::default(), listeners, door, Rng::seeded(1));
    let mut now = start();
    let stream = transport.is_reliable();
    let remote = "192.0.2.99:7777".parse().unwrap();
    let flow = Flow {
        transport,
        local,
        remote,
        connection: u64::from(stream),
    };
    let mut closed = false;
    if stream {
        let mut framer = StreamFramer::new(Limits::default());
        framer.push(now, message);
        for item in framer {
            match item {
                Framed::Message(bytes) => endpoint.receive(now, flow, bytes),
                Framed::Ping | Framed::Pong => {}
                Framed::Fatal { error, readable } => {
                    endpoint.receive_malformed(now, flow, &Malformed { error, readable });
                    closed = true;
                    break;
                }
            }
        }
    } else {
        endpoint.receive(now, flow, Bytes::copy_from_slice(message));
    }
    let mut out = Vec::new();
    for _ in 0..2 {
        while let Some(event) = endpoint.poll_event() {
            match event {
                SipEvent::Invite(_) => out.push("ring".to_owned()),
                other => panic!("{name}: {other:?}"),
            }
        }
        while let Some(transmit) = endpoint.poll_transmit() {
            let Transmit::Send {
                flow: sent_on,
                bytes,
            } = transmit
            else {
                panic!("{name}: {transmit:?}");
            };
            assert!(
                !stream || sent_on == flow,
                "{name}: answered on another path"
            );
            let text = String::from_utf8_lossy(&bytes);
            let line = text.lines().next().unwrap();
            out.push(line.strip_prefix("SIP/2.0 ").unwrap_or(line).to_owned());
        }
        now += Duration::from_millis(150);
        endpoint.handle_timeout(now);
    }
    if closed {
        out.push("close".to_owned());
    }
    if !known {
        assert_eq!(
            endpoint.counts(),
            Counts::default(),
            "{name}: a stranger left something behind"
        );
        assert!(!out.contains(&"ring".to_owned()), "{name}: {out:?}");
    }
    out.join(", ")
}

fn check(folder: &Path, table: &[Row]) {
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let mut wrong = Vec::new();
    for row in table {
        let file = ["dat", "sip"].map(|ext| folder.join(row.name).with_extension(ext));
        let Some(bytes) = file.iter().find_map(|path| fs::read(path).ok()) else {
            wrong.push(format!("{}: no such file", row.name));
            continue;
        };
        files.retain(|name| name != row.name);
        for (transport, expected) in [(Transport::Udp, row.udp), (Transport::Tcp, row.tcp)] {
            let got = outcome(row.name, true, transport, &bytes);
            if got != expected {
                wrong.push(format!(
                    "{} over {transport:?}: {got:?} instead of {expected:?}",
                    row.name
                ));
            }
            // What is wrong with a message a stranger learns too; what he may do with a good one he does not.
            let strange = outcome(row.name, false, transport, &bytes);
            let allowed = [
                expected,
                "401 Unauthorized",
                "200 OK",
                "401 Unauthorized, close",
            ];
            // On a stream these are two messages.
            let mixed = stream_of_two(row.name) && transport == Transport::Tcp;
            // What is too short for its answer gets none, or strangers could multiply their traffic.
            let short = strange.is_empty() && transport == Transport::Udp && bytes.len() < 300;
            if !allowed.contains(&strange.as_str()) && !mixed && !short {
                wrong.push(format!(
                    "{} of a stranger over {transport:?}: {strange:?}",
                    row.name
                ));
            }
        }
    }
    wrong.extend(files.iter().map(|name| format!("{name}: not in the table")));
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn stream_of_two(name: &str) -> bool {
    matches!(name, "dblreq" | "two_requests")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn check_shared(folder: &str, table: &[Row]) {
    let folder = super::conformance::shared("vectors").join(folder);
    if folder.is_dir() {
        check(&folder, table);
    } else {
        println!(
            "SKIPPED: {} is not there; our own messages are checked anyway",
            folder.display()
        );
    }
}

#[test]
fn every_message_of_rfc_4475_is_answered_as_it_deserves() {
    check_shared("rfc4475", RFC4475);
}

#[test]
fn every_message_of_rfc_5118_is_answered_as_it_deserves() {
    check_shared("rfc5118", RFC5118);
}

#[test]
fn every_message_of_our_own_is_answered_as_it_deserves() {
    check(&root().join("tests/vectors/sip"), OURS);
}
