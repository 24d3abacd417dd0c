//! Torture messages against the running server, as known device and as stranger, over UDP and over TCP. What the parser
//! makes of each is in `tests/it/torture.rs`; here it is the answer on the wire that counts (RFC 4475, RFC 5118; the order
//! of the checks is RFC 3261 §8.2's, with authentication before the method and after the grammar).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::peer::{KNOWN, Line, Peer, known, status, stranger};
use super::server::Server;
use super::tools::{now, root};

/// Final status for a known device, for a stranger, 0 being silence; and the names of the messages.
type Row = (u16, u16, &'static str);

/// RFC 4475. 405 for MESSAGE, which this server does not take; 401 for REGISTER, whoever sends it; 404 for users nobody has.
const RFC4475: &[Row] = &[
    (0, 0, "bcast bigcode insuf noreason scalarlg test unreason"),
    (200, 200, "badbranch lwsdisp semiuri transports zeromf"),
    (
        400,
        400,
        "badaspec baddn badinv01 clerr escruri ltgtruri lwsruri lwsstart mcl01 mismatch01 mismatch02 multi01 ncl \
         quotbal regbadct scalar02 trws",
    ),
    (404, 401, "baddate esc01 inv2543 longreq"),
    (
        401,
        401,
        "cparam01 cparam02 dblreq escnull regaut01 regescrt unksm2",
    ),
    (405, 401, "mpart01"),
    (406, 401, "sdp01"),
    (415, 401, "invut"),
    (416, 416, "novelsc unkscm"),
    (420, 420, "bext01"),
    (481, 481, "wsinv"),
    (501, 401, "esc02 intmeth"),
    (505, 505, "badvers"),
];
/// RFC 5118, with the line ends of its archive, and with CRLF but for one.
const RFC5118: &[Row] = &[
    (
        200,
        200,
        "ipv6-bug-abnf-3-colons ipv6-correct-abnf-2-colons via-received-param-no-delim",
    ),
    (400, 400, "ipv6-bad ipv6-in-sdp mult-ip-in-sdp"),
    (401, 401, "ipv6-good port-ambiguous port-unambiguous"),
    (481, 481, "mult-ip-in-header via-received-param-with-delim"),
    (488, 401, "ipv4-mapped-ipv6"),
];
/// `tests/vectors/sip`. 2030 is answered.
const OURS: &[Row] = &[
    (
        0,
        0,
        "five_missing n_ack_malformed n_bom n_call_id_empty n_cut_in_header n_fold_first_header n_from_empty n_http n_not_utf8_from n_only_zeroes \
         n_response_bad_length n_response_status_0 n_response_without_cseq n_tab_in_start_line n_tls_hello \
         n_via_empty n_via_no_host numbers_overflow_response reason_empty reason_utf8 response_two_vias \
         status_overflow",
    ),
    (
        200,
        200,
        "branch_cookie_only max_forwards_0 n_crlf_storm no_blank_before_bracket semicolon_in_user transports \
         v6_received_bare v6_three_colons v6_two_colons",
    ),
    (
        200,
        401,
        "date_not_gmt long_values n_blank_before_colon n_branch_15000 n_fold_of_blanks n_from_tag_15000 n_lf_only \
         n_not_utf8_subject rfc2543_invite v6_mapped_v4",
    ),
    (
        400,
        400,
        "blanks_in_brackets contact_needs_brackets cseq_other_method cseq_other_unknown_method \
         display_unquoted_comma length_larger length_negative many_singles n_bare_cr_in_value n_call_id_blank \
         n_contact_star_in_invite n_contact_two_in_invite n_control_1_before_colon n_control_before_colon \
         n_cseq_method_mismatch_long n_cseq_without_method n_display_ends_in_backslash n_display_lone_backslash \
         n_empty_name n_from_two_in_one n_header_20000 n_headers_257 n_length_4294967296 n_length_hex \
         n_length_list n_length_plus n_max_forwards_param n_max_forwards_text n_no_colon n_nul_in_from \
         n_nul_in_name n_nul_in_value n_star_uri n_to_tag_empty n_uri_empty n_uri_open_bracket n_uri_port_65536 \
         n_uri_two_ats n_uri_zone n_via_71 n_via_quote_open numbers_overflow_request quote_open start_line_blanks \
         start_line_trailing two_lengths uri_in_brackets uri_with_blank uri_with_headers v6_without_brackets \
         via_and_contact_marks",
    ),
    (404, 401, "escaped_uri"),
    (405, 401, "binary_multipart"),
    (
        401,
        401,
        "auth_unknown_scheme contact_param_inside contact_param_outside contact_uri_headers \
         escaped_nul n_accept_50 n_authorization_empty n_authorization_marks scheme_in_addresses two_requests \
         v6_port_inside v6_port_outside v6_uri",
    ),
    (406, 401, "accept_unknown"),
    (413, 413, "n_length_4294967295"),
    (
        415,
        401,
        "body_unknown n_length_folded n_multipart_boundary_only n_multipart_no_boundary",
    ),
    (416, 416, "scheme_slashes scheme_unknown"),
    (420, 420, "require_unknown"),
    (481, 401, "v6_and_v4_vias v6_received_brackets"),
    (481, 481, "tortuous"),
    (
        501,
        401,
        "escaped_method n_cseq_method_4000 n_lower_case_method odd_tokens",
    ),
    (505, 505, "version_7"),
];
/// With CRLF one of the lengths is right.
const CRLF: &[Row] = &[(404, 401, "mult-ip-in-sdp")];
/// A stream waits for what a datagram has ended: bodies shorter than announced, heads without their empty line. And it
/// needs every length.
const STREAMS: &[Row] = &[
    (
        0,
        0,
        "clerr baddn ipv6-bug-abnf-3-colons ipv6-correct-abnf-2-colons ipv6-in-sdp mult-ip-in-sdp length_larger",
    ),
    (400, 400, "inv2543 rfc2543_invite"),
];

/// Ports that the messages' topmost Via name; responses go there when rport does not say otherwise (RFC 3261 §18.2.2).
const PORTS: [u16; 7] = [5060, 5061, 5062, 5050, 5070, 6050, 19823];

pub(crate) fn documents() -> Value {
    let answers = json!({"module": "answer", "data": {}, "children": {"_": {"module": "sleep", "data": {"duration": 30}, "children": {}}}});
    json!({
        "devices": [{"name": "known", "sip": {"method": "ip", "ip": KNOWN}}],
        "callflows": [{"name": "anything", "numbers": ["no_match"], "flow": answers}],
    })
}

/// The messages: folder's tag and name, bytes.
pub(crate) fn messages() -> BTreeMap<(&'static str, String), Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut add = |tag, folder: PathBuf, edit: fn(Vec<u8>) -> Vec<u8>| {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            println!("SKIPPED: {} is not there", folder.display());
            return;
        };
        for entry in entries.flatten().filter(|e| {
            e.path()
                .extension()
                .is_some_and(|x| x == "dat" || x == "sip")
        }) {
            let name = entry
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            found.insert((tag, name), edit(std::fs::read(entry.path()).unwrap()));
        }
    };
    // Beside the checkout, or beside the folder of checkouts it is in.
    let beside = ["../shared/vectors", "../../shared/vectors"].map(|path| root().join(path));
    let [near, far] = beside;
    let shared = if near.is_dir() || !far.is_dir() {
        near
    } else {
        far
    };
    add("4475", shared.join("rfc4475"), |bytes| bytes);
    add("5118", shared.join("rfc5118"), |bytes| bytes);
    add("5118 with CRLF", shared.join("rfc5118"), with_crlf);
    add("ours", root().join("tests/vectors/sip"), |bytes| bytes);
    for (n, (_, bytes)) in found
        .iter_mut()
        .enumerate()
        .filter(|(_, ((tag, _), _))| *tag == "ours")
    {
        make_one_of_a_kind(n, bytes);
    }
    found
}

/// Most of our own messages share their branch and Call-ID, which would make them repeats of each other.
fn make_one_of_a_kind(n: usize, bytes: &mut Vec<u8>) {
    for (shared, own) in [
        ("z9hG4bKown1", format!("z9hG4bKown1n{n}")),
        ("own-1@", format!("own-{n}@")),
    ] {
        if let Some(at) = bytes
            .windows(shared.len())
            .position(|window| window == shared.as_bytes())
        {
            bytes.splice(at..at + shared.len(), own.into_bytes());
        }
    }
}

/// With CRLF for LF, and a transaction of its own.
fn with_crlf(bytes: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(bytes).unwrap();
    text.replace('\n', "\r\n")
        .replacen("branch=", "branch=z9hG4bKcrlf", 1)
        .replace("Call-ID: ", "Call-ID: crlf")
        .into_bytes()
}

fn over_udp(server: &Server, address: Ipv4Addr, bytes: &[u8], expected: Option<u16>) -> u16 {
    let peers: Vec<Peer> = PORTS
        .iter()
        .map(|port| Peer::on((address, *port).into()))
        .collect();
    let probe = Peer::at(known(60_000));
    peers[0].send(bytes, server.sip);
    // The server takes datagrams in their order: once it has answered this, it has taken that.
    probe
        .options(server.sip)
        .expect("the server answers OPTIONS");
    let most = if expected == Some(0) {
        Duration::from_millis(20)
    } else {
        Duration::from_secs(2)
    };
    let deadline = now() + most;
    loop {
        for peer in &peers {
            peer.socket.set_nonblocking(true).unwrap();
            if let Some(code) = peer
                .receive(Duration::ZERO)
                .as_deref()
                .and_then(status)
                .filter(|code| *code >= 200)
            {
                return code;
            }
        }
        if now() > deadline {
            return 0;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn over_tcp(server: &Server, address: Ipv4Addr, bytes: &[u8], expected: Option<u16>) -> u16 {
    let mut line = Line::from(address, server.sip);
    line.send(bytes);
    let most = if expected == Some(0) {
        Duration::from_millis(150)
    } else {
        Duration::from_secs(2)
    };
    let code = |text: &str| {
        text.split("SIP/2.0 ")
            .skip(1)
            .filter_map(|r| r.get(..3)?.parse().ok())
            .find(|code: &u16| *code >= 200)
    };
    let (text, _closed) = line.read_until(most, |text| code(text).is_some());
    code(&text).unwrap_or(0)
}

fn expected(tag: &str, name: &str, tcp: bool, is_known: bool) -> Option<u16> {
    let of = |rows: &[Row]| {
        let row = rows
            .iter()
            .find(|row| row.2.split_whitespace().any(|n| n == name))?;
        Some(if is_known { row.0 } else { row.1 })
    };
    let crlf = (tag == "5118 with CRLF").then(|| of(CRLF)).flatten();
    let stream = tcp.then(|| of(STREAMS)).flatten();
    let table = match tag {
        "4475" => RFC4475,
        "ours" => OURS,
        _ => RFC5118,
    };
    crlf.or(stream).or_else(|| of(table))
}

/// Sends everything and compares.
fn check(tcp: bool) {
    let messages = messages();
    let mut wrong = Vec::new();
    for is_known in [true, false] {
        // A server for each, since equal requests of two callers would be one transaction.
        let mut server = Server::for_sip(&[("SWIVEL_SIP__USER_AGENT", "")], documents());
        for (n, ((tag, name), bytes)) in messages.iter().enumerate() {
            let n = n as u16 + 2;
            let address = if is_known { known(n) } else { stranger(n) };
            let wanted = expected(tag, name, tcp, is_known);
            let send = if tcp { over_tcp } else { over_udp };
            let got = send(&server, address, bytes, wanted);
            // What is too short for its challenge gets none, or strangers could multiply their traffic.
            let too_short = got == 0 && !is_known && !tcp && bytes.len() < 300;
            if wanted != Some(got) && !too_short {
                wrong.push(format!(
                    "{tag} {name}, {}: {got} instead of {wanted:?}",
                    if is_known { "known" } else { "stranger" }
                ));
            }
            server.assert_running();
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        2 * messages.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_torture_message_gets_its_answer_over_udp() {
    check(false);
}

#[test]
fn every_torture_message_gets_its_answer_over_tcp() {
    check(true);
}
