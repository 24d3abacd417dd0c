//! What `docs/sip-conformance.md` and `docs/security.md` promise of the endpoint and no other test of it shows.

use super::*;
use crate::sip::digest::{Challenge, response};

const BODY: &str = "Content-Type: application/sdp";
const CONTACT: &str = "Contact: <sip:them@10.0.0.2:5060>";

fn request() -> InviteRequest {
    let target = Target {
        transport: Transport::Udp,
        addr: "10.0.0.2:5060".parse().unwrap(),
    };
    let mut request = InviteRequest::new("sip:2000@far.test", target, "<sip:us@near.test>");
    request.body = Some(Body::sdp(OUR_SDP));
    request
}

fn place(b: &mut Bench) -> (LegId, String) {
    let leg = b.run(|e, now| e.invite(now, request()));
    (leg, b.sent("INVITE "))
}

/// A call of ours that is up.
fn placed(b: &mut Bench) -> (LegId, String) {
    let (leg, invite) = place(b);
    let headers = format!("{CONTACT}\n{BODY}");
    b.send(&respond(&invite, "200 OK", "t", &headers, SDP));
    b.sent("ACK");
    b.event();
    (leg, invite)
}

#[test]
fn every_request_asks_for_its_port_and_has_a_branch_of_its_own() {
    let mut b = bench();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let (leg, invite) = placed(&mut b);
        b.run(|e, now| e.info(now, leg, Body::sdp("x"))).unwrap();
        let info = b.sent("INFO");
        b.send(&respond(&info, "200 OK", "", "", ""));
        b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
            .unwrap();
        let again = b.sent("INVITE");
        b.send(&respond(&again, "488 No", "", "", ""));
        b.sent("ACK");
        b.run(|e, now| e.bye(now, leg, None)).unwrap();
        let bye = b.sent("BYE");
        b.send(&respond(&bye, "200 OK", "", "", ""));
        for sent in [invite, info, again, bye] {
            assert!(
                header(&sent, "Via")
                    .unwrap()
                    .split(';')
                    .any(|p| p == "rport"),
                "{sent}"
            );
            let branch = branch(&sent);
            let random = branch.strip_prefix("z9hG4bK").unwrap();
            assert!(random.len() >= 16, "fewer than 64 bits: {branch}");
            assert!(seen.insert(branch), "{sent}");
        }
        b.events.clear();
    }
}

#[test]
fn line_ends_alone_in_a_datagram_are_nothing() {
    let mut b = bench();
    for flow in [udp("10.0.0.2:5060"), udp("203.0.113.9:5060")] {
        for bytes in ["\r\n", "\r\n\r\n", "\0", ""] {
            let now = b.now;
            b.endpoint.receive(now, flow, bytes.into());
            b.collect();
        }
    }
    b.silent();
    b.no_event();
    assert_eq!(b.endpoint.counts(), Counts::default());
}

#[test]
fn the_ack_of_a_refusal_and_a_cancel_go_where_their_invite_went() {
    let elsewhere = udp("10.0.0.2:40000");
    let mut b = bench();
    let (_, invite) = place(&mut b);
    b.send_on(
        elsewhere,
        &respond(&invite, "486 Busy Here", "t", CONTACT, ""),
    );
    let (_, flow, _) = b.sent_at("ACK ");
    assert_eq!(flow.remote.to_string(), "10.0.0.2:5060");
    let (leg, invite) = place(&mut b);
    b.send_on(
        elsewhere,
        &respond(
            &invite,
            "180 Ringing",
            "t",
            "Contact: <sip:x@10.0.0.2:40000>",
            "",
        ),
    );
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    let (_, flow, cancel) = b.sent_at("CANCEL ");
    assert_eq!(flow.remote.to_string(), "10.0.0.2:5060");
    assert_eq!(branch(&cancel), branch(&invite));
}

#[test]
fn neither_ack_nor_cancel_is_refused_for_what_it_requires() {
    let mut b = bench();
    let leg = b.ring(1);
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    b.send(&in_dialog("ACK", 1, 1, &to_tag(&ok), "Require: foo", ""));
    assert!(matches!(b.event(), SipEvent::Established { .. }));
    b.silent();
    b.ring(2);
    let cancel = invite(2, "Require: foo", "").replace("INVITE", "CANCEL");
    b.send(&cancel);
    b.sent("SIP/2.0 200");
    b.sent("SIP/2.0 487");
}

#[test]
fn every_answer_but_100_has_a_tag() {
    let mut b = bench();
    let requests = [
        invite(1, "", "").replace("INVITE", "OPTIONS"),
        invite(2, "Require: foo", SDP),
        invite(3, "", "").replace("INVITE", "FROB"),
        invite(4, "", "").replace("INVITE", "MESSAGE"),
        invite(5, "", "").replace("INVITE", "BYE"),
        invite(6, "", "").replace("INVITE", "CANCEL"),
        invite(7, "", SDP).replace("CSeq: 1", "CSeq: one"),
        invite(8, "", SDP).replace("Max-Forwards: 70", "Max-Forwards: 0"),
    ];
    let mut tags = std::collections::BTreeSet::new();
    for request in &requests {
        b.send(request);
        let answer = b.sent("SIP/2.0 ");
        assert!(to_tag(&answer).len() >= 8, "{answer}");
        assert!(tags.insert(to_tag(&answer)), "a tag came twice: {answer}");
    }
    b.flow = udp("203.0.113.9:5060");
    b.send(&invite(9, "", SDP));
    let answer = b.sent("SIP/2.0 401");
    assert!(to_tag(&answer).len() >= 8, "{answer}");
    let mut b = bench();
    b.ring(1);
    b.at(200);
    assert_eq!(to_tag(&b.sent("SIP/2.0 100")), "");
}

#[test]
fn what_makes_or_refreshes_a_dialog_says_where_we_are() {
    let mut b = bench();
    let leg = b.ring(1);
    let has_contact = |message: &str| {
        let contact = header(message, "Contact");
        assert_eq!(contact, Some("<sip:swivel@10.0.0.1:5060>"), "{message}");
    };
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    has_contact(&b.sent("SIP/2.0 180"));
    b.run(|e, now| e.provisional(now, leg, 183, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    has_contact(&b.sent("SIP/2.0 183"));
    let (_, tag) = b.up(2);
    b.send(&in_dialog("UPDATE", 2, 2, &tag, "", ""));
    has_contact(&b.sent("SIP/2.0 200"));
    b.send(&in_dialog(
        "REFER",
        2,
        3,
        &tag,
        "Refer-To: <sip:3000@realm.test>",
        "",
    ));
    has_contact(&b.sent("SIP/2.0 202"));
    has_contact(&b.sent("NOTIFY"));
}

#[test]
fn what_allow_names_is_served_and_nothing_else() {
    let with_registrar = || {
        bench_with(EndpointConfig {
            registrar: true,
            ..EndpointConfig::default()
        })
    };
    let mut b = with_registrar();
    b.send(&invite(1, "", "").replace("INVITE", "OPTIONS"));
    let ok = b.sent("SIP/2.0 200");
    let list = |name| -> Vec<String> {
        let values = header(&ok, name).unwrap().split(',');
        values.map(|value| value.trim().to_owned()).collect()
    };
    let allowed = list("Allow");
    let every = "INVITE ACK BYE CANCEL OPTIONS INFO UPDATE PRACK REFER NOTIFY SUBSCRIBE REGISTER MESSAGE PUBLISH FROB";
    for method in every.split(' ') {
        let mut b = with_registrar();
        b.send(&invite(1, "", "").replace("INVITE", method));
        b.at(300);
        let refused = b
            .sent
            .iter()
            .any(|(_, _, text)| text.starts_with("SIP/2.0 405") || text.starts_with("SIP/2.0 501"));
        assert_eq!(refused, !allowed.iter().any(|m| m == method), "{method}");
    }
    for extension in list("Supported") {
        let mut b = with_registrar();
        b.send(&invite(1, &format!("Require: {extension}"), SDP));
        assert!(matches!(b.event(), SipEvent::Invite(_)), "{extension}");
    }
}

#[test]
fn only_requests_that_refresh_a_target_move_it() {
    let elsewhere =
        |text: String| text.replace("<sip:1000@10.0.0.2:5060>", "<sip:moved@10.0.0.2:7000>");
    for (method, headers, moves) in [
        ("INFO", "", false),
        ("OPTIONS", "", false),
        ("UPDATE", "", true),
        ("REFER", "Refer-To: <sip:3000@realm.test>", true),
    ] {
        let mut b = bench();
        let (leg, tag) = b.up(1);
        b.send(&elsewhere(in_dialog(method, 1, 2, &tag, headers, "")));
        b.sent("SIP/2.0 20");
        b.sent.clear();
        b.run(|e, now| e.bye(now, leg, None)).unwrap();
        let bye = b.sent("BYE ");
        assert_eq!(
            bye.starts_with("BYE sip:moved@10.0.0.2:7000"),
            moves,
            "{method}: {bye}"
        );
    }
}

#[test]
fn an_update_that_meets_an_open_offer_is_491_or_500() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    b.sent("INVITE");
    b.send(&in_dialog("UPDATE", 1, 2, &tag, BODY, SDP));
    b.sent("SIP/2.0 491");
    let mut b = bench();
    let (_, tag) = b.up(1);
    b.send(&in_dialog("INVITE", 1, 2, &tag, BODY, SDP));
    b.event();
    b.send(&in_dialog("UPDATE", 1, 3, &tag, BODY, SDP));
    let refusal = b.sent("SIP/2.0 500");
    let wait: u32 = header(&refusal, "Retry-After").unwrap().parse().unwrap();
    assert!(wait <= 10);
}

const REFRESHED_BY_US: &str =
    "Supported: timer\nSession-Expires: 120;refresher=uas\nAllow: INVITE, ACK, BYE, UPDATE";

#[test]
fn a_refresh_that_is_too_brief_is_sent_again_longer() {
    for (headers, method) in [
        (REFRESHED_BY_US, "UPDATE"),
        (
            "Supported: timer\nSession-Expires: 120;refresher=uas",
            "INVITE",
        ),
    ] {
        let mut b = bench();
        b.up_with(1, headers);
        b.at(60_000);
        let first = b.sent(method);
        b.send(&respond(&first, "422 Too Small", "", "Min-SE: 300", ""));
        if method == "INVITE" {
            b.sent("ACK");
        }
        let second = b.sent(method);
        assert_eq!(
            header(&second, "Session-Expires"),
            Some("300;refresher=uac")
        );
        assert_eq!(header(&second, "Min-SE"), Some("300"));
        b.send(&respond(&second, "422 Too Small", "", "Min-SE: 300", ""));
        if method == "INVITE" {
            b.sent("ACK");
        }
        // Once: after that it waits.
        b.silent();
        b.no_event();
    }
}

#[test]
fn a_refresh_of_a_call_nobody_knows_ends_it_and_one_that_meets_another_comes_again() {
    for (headers, method) in [
        (REFRESHED_BY_US, "UPDATE"),
        (
            "Supported: timer\nSession-Expires: 120;refresher=uas",
            "INVITE",
        ),
    ] {
        for (line, code) in [("481 Gone", 481), ("408 Request Timeout", 408)] {
            let mut b = bench();
            b.up_with(1, headers);
            b.at(60_000);
            let refresh = b.sent(method);
            b.send(&respond(&refresh, line, "", "", ""));
            if method == "INVITE" {
                b.sent("ACK");
            }
            b.sent("BYE");
            let ended = b.event();
            let dead = |status| matches!(ended, SipEvent::Ended { how: How::Dead { status: of }, .. } if of == status);
            assert!(dead(code), "{ended:?}");
        }

        let mut b = bench();
        b.up_with(1, headers);
        b.at(60_000);
        let refresh = b.sent(method);
        b.send(&respond(&refresh, "491 Request Pending", "", "", ""));
        if method == "INVITE" {
            b.sent("ACK");
        }
        b.silent();
        b.at(64_100);
        let again = b.sent(method);
        assert_ne!(header(&refresh, "CSeq"), header(&again, "CSeq"));
        let interval = "Session-Expires: 120;refresher=uac";
        let ok = format!("{CONTACT}\n{interval}");
        b.send(&respond(&again, "200 OK", "", &ok, ""));
        b.sent.clear();
        b.at(124_200);
        b.sent(method);
    }
}

#[test]
fn requests_of_a_call_are_481_outside_one() {
    let mut b = bench();
    for (n, method) in ["INFO", "UPDATE", "PRACK", "BYE"].iter().enumerate() {
        let n = u32::try_from(n).unwrap();
        b.send(&invite(n, "", "").replace("INVITE", method));
        b.sent("SIP/2.0 481");
        b.send(&in_dialog(method, n, 2, "0123456789abcdef", "", ""));
        b.sent("SIP/2.0 481");
    }
    b.send(&in_dialog("ACK", 1, 2, "0123456789abcdef", "", ""));
    b.silent();
    b.no_event();
}

#[test]
fn a_bye_from_another_address_of_the_carrier_ends_the_call() {
    let mut b = bench();
    let (_, tag) = b.up(1);
    b.send_on(
        udp("198.51.100.7:5060"),
        &in_dialog("BYE", 1, 2, &tag, "", ""),
    );
    let (_, flow, _) = b.sent_at("SIP/2.0 200");
    assert_eq!(flow.remote.ip().to_string(), "198.51.100.7");
    assert!(matches!(b.event(), SipEvent::Ended { by: Side::Peer, .. }));
    b.at_rest();
}

/// A zone of `security.md` §1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    Stranger,
    WrongPassword,
    Trunk,
    Phone,
}

/// What a method gets from that zone: its status, 0 for silence, 1 for being handed up.
fn expected(method: &str, zone: Zone, inside: bool) -> u16 {
    let known = matches!(zone, Zone::Trunk | Zone::Phone);
    match (method, inside) {
        ("ACK", _) => 0,
        ("CANCEL", _) => 481,
        ("SUBSCRIBE", _) | ("REGISTER", false) => {
            if zone == Zone::Phone {
                1
            } else {
                401
            }
        }
        (_, true) => 481,
        ("OPTIONS", false) => 200,
        (_, false) if !known => 401,
        ("INVITE", false) => 1,
        ("BYE" | "INFO" | "UPDATE" | "PRACK", false) => 481,
        ("REFER", false) => 403,
        (_, false) => 405,
    }
}

/// `security.md` row 6.
#[test]
fn every_method_of_every_zone_gets_what_the_table_says() {
    let methods = "INVITE ACK BYE CANCEL OPTIONS INFO UPDATE PRACK REFER NOTIFY SUBSCRIBE REGISTER MESSAGE PUBLISH";
    let mut cases = 0;
    for method in methods.split(' ') {
        for zone in [
            Zone::Stranger,
            Zone::WrongPassword,
            Zone::Trunk,
            Zone::Phone,
        ] {
            for inside in [false, true] {
                let mut b = bench_with(EndpointConfig {
                    registrar: true,
                    ..EndpointConfig::default()
                });
                // Somebody else's call, so that there is one.
                b.up(7);
                b.flow = udp("203.0.113.9:5060");
                let from = |text: String| {
                    text.replace("sip:2000@10.0.0.1", "sip:2000@realm.test")
                        .replace("sip:swivel@10.0.0.1:5060", "sip:2000@realm.test")
                };
                let credentials = match zone {
                    Zone::Stranger | Zone::Trunk => String::new(),
                    Zone::WrongPassword | Zone::Phone => {
                        b.send(&from(invite(2, "", SDP)));
                        let refusal = b.sent("SIP/2.0 401");
                        let offer = header(&refusal, "WWW-Authenticate").unwrap();
                        let offer = Challenge::parse(offer).unwrap();
                        let word = if zone == Zone::Phone {
                            "wonderland"
                        } else {
                            "guess"
                        };
                        let uri = "sip:2000@realm.test";
                        let answer =
                            response(&offer, "alice", &Secret::new(word), method, uri, "cn", 1);
                        format!("Authorization: {}", answer.unwrap())
                    }
                };
                if zone == Zone::Trunk {
                    b.flow = udp("10.0.0.2:5060");
                }
                let text = if inside {
                    in_dialog(method, 7, 9, "0123456789abcdef", &credentials, "")
                } else {
                    let body = if method == "INVITE" { SDP } else { "" };
                    invite(1, &credentials, body).replace("INVITE", method)
                };
                let before = b.events.len();
                b.send(&from(text));
                let got = match b.sent.pop_front() {
                    Some((_, _, answer)) => answer[8..11].parse().unwrap(),
                    None if b.events.len() > before => 1,
                    None => 0,
                };
                let wanted = expected(method, zone, inside);
                assert_eq!(got, wanted, "{method} of {zone:?}, inside: {inside}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 112);
}

/// `security.md` rows 6 and 16: who has the Call-ID and not the tags has nothing.
#[test]
fn ten_thousand_forged_requests_end_no_call() {
    let mut b = bench();
    let (_, tag) = b.up(1);
    b.ring(2);
    b.at(200);
    b.sent.clear();
    let before = b.endpoint.counts();
    let mut rng = Rng::seeded(3);
    let methods = ["BYE", "INVITE", "CANCEL", "UPDATE", "REFER", "INFO"];
    for n in 0..10_000_u32 {
        let method = methods[usize::try_from(rng.below(6)).unwrap()];
        let guess = rng.hex(8);
        let cseq = 2 + n;
        let forged = match (method, n % 4) {
            // The callee's tag is a guess.
            (_, 0 | 1) => in_dialog(method, 1, cseq, &guess, "", ""),
            // The caller's is.
            (_, 2) => in_dialog(method, 1, cseq, &tag, "", "")
                .replace("tag=from1", &format!("tag={guess}")),
            // The call that rings, by its Call-ID and another branch.
            (_, _) => invite(2, "", "")
                .replace("INVITE", "CANCEL")
                .replace("z9hG4bKinvite2", &format!("z9hG4bK{guess}")),
        };
        b.send(&forged);
        let answer = b.sent("SIP/2.0 ");
        assert!(answer.starts_with("SIP/2.0 481"), "{forged}\n{answer}");
        b.sent.clear();
    }
    b.no_event();
    assert_eq!(b.endpoint.counts(), before);
    b.send(&in_dialog("BYE", 1, 20_000, &tag, "", ""));
    b.sent("SIP/2.0 200");
}

/// `security.md` row 4: whoever challenges us, our passwords go to the carrier of their realm and to nobody else.
#[test]
fn a_phone_that_challenges_gets_no_answer() {
    let challenge = |realm: &str, n: u32| {
        format!(
            "WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"n{n}\", qop=\"auth\", algorithm=MD5\nProxy-Authenticate: Digest realm=\"{realm}\", nonce=\"p{n}\", algorithm=MD5"
        )
    };
    for n in 0..200 {
        let mut b = bench();
        let (status, realm) = match n % 4 {
            0 => ("401 Unauthorized", "carrier.test"),
            1 => ("407 Proxy Authentication Required", "carrier.test"),
            2 => ("401 Unauthorized", "realm.test"),
            _ => ("407 Proxy Authentication Required", "far.test"),
        };
        let headers = challenge(realm, n);
        // To our INVITE.
        let (_, invite) = place(&mut b);
        b.send(&respond(&invite, status, "t", &headers, ""));
        b.sent("ACK");
        assert!(matches!(b.event(), SipEvent::Rejected { .. }));
        // To what we send inside a call that came to us: NOTIFY, INFO, UPDATE or re-INVITE, BYE.
        let (leg, tag) = b.up_with(n + 1, REFRESHED_BY_US);
        let refer = "Refer-To: <sip:3000@realm.test>";
        b.send(&in_dialog("REFER", n + 1, 2, &tag, refer, ""));
        b.sent("SIP/2.0 202");
        let notify = b.sent("NOTIFY");
        b.send(&respond(&notify, status, "", &headers, ""));
        b.run(|e, now| e.info(now, leg, Body::sdp("x"))).unwrap();
        let info = b.sent("INFO");
        b.send(&respond(&info, status, "", &headers, ""));
        b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
            .unwrap();
        let again = b.sent("INVITE");
        b.send(&respond(&again, status, "", &headers, ""));
        b.sent("ACK");
        b.run(|e, now| e.bye(now, leg, None)).unwrap();
        let bye = b.sent("BYE");
        b.send(&respond(&bye, status, "", &headers, ""));
        b.silent();
    }
}

/// `security.md` row 35: what is too short to be worth a challenge gets none, over UDP.
#[test]
fn nobody_draws_more_than_half_as_much_again_as_he_sent() {
    let shortest = |method: &str, extra: &str| {
        format!(
            "{method} sip:a SIP/2.0\r\nv:SIP/2.0/UDP b;branch=z9hG4bKx\r\nf:<sip:c>;tag=1\r\nt:<sip:a>\r\ni:1\r\nCSeq:1 {method}\r\n{extra}\r\n"
        )
    };
    let requests = [
        shortest("INVITE", ""),
        shortest("REGISTER", ""),
        shortest("OPTIONS", ""),
        shortest("OPTIONS", "Require:a,b,c,d,e,f,g,h\r\n"),
        shortest("SUBSCRIBE", "o:presence\r\n"),
        shortest("FROB", ""),
        shortest("CANCEL", ""),
        shortest("BYE", "").replace("<sip:a>\r\n", "<sip:a>;tag=9\r\n"),
        shortest("INVITE", "").replace("CSeq:1 ", "CSeq:1x "),
        shortest("INVITE", "l:7\r\n"),
        shortest("REGISTER", &format!("X:{}\r\n", "x".repeat(50))),
        shortest("REGISTER", &format!("X:{}\r\n", "x".repeat(120))),
        shortest("REGISTER", &format!("X:{}\r\n", "x".repeat(300))),
    ];
    let mut answered = 0;
    for request in &requests {
        let mut b = bench_with(EndpointConfig {
            registrar: true,
            ..EndpointConfig::default()
        });
        let now = b.now;
        b.endpoint
            .receive(now, udp("203.0.113.9:5060"), request.clone().into());
        b.collect();
        b.at(40_000);
        let bytes: usize = b.sent.iter().map(|(_, _, text)| text.len()).sum();
        assert!(b.sent.len() <= 1, "{request}");
        assert!(
            bytes * 2 <= request.len() * 3,
            "{bytes} bytes for {}:\n{request}",
            request.len()
        );
        answered += b.sent.len();
    }
    assert!(answered >= 2, "only {answered} were answered at all");
    // Nobody can be multiplied over a stream, and those we know are no strangers.
    for flow in [tcp("203.0.113.9:40000", 4), udp("10.0.0.2:5060")] {
        let mut b = bench_with(EndpointConfig {
            registrar: true,
            ..EndpointConfig::default()
        });
        let now = b.now;
        b.endpoint
            .receive(now, flow, shortest("REGISTER", "l:0\r\n").into());
        b.collect();
        b.sent("SIP/2.0 401");
    }
}
