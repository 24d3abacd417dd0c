//! Calls to us, up to their answer and its ACK.

use super::*;

#[test]
fn a_call_is_announced_answered_acknowledged_and_cleared() {
    let mut b = bench();
    b.send(&invite(1, "Timestamp: 54\nX-Custom: kept", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    assert_eq!(event.principal, principal("known"));
    assert_eq!(event.offer.as_ref().unwrap().bytes, SDP.as_bytes());
    assert_eq!(event.message.headers.get_named("x-custom"), Some("kept"));
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    let ringing = b.sent("SIP/2.0 180 Ringing");
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200 OK");
    assert_eq!(to_tag(&ringing), to_tag(&ok));
    assert!(to_tag(&ok).len() >= 16);
    assert_eq!(body(&ok), OUR_SDP);
    assert_eq!(header(&ok, "Content-Type"), Some("application/sdp"));
    assert_eq!(header(&ok, "Contact"), Some("<sip:swivel@10.0.0.1:5060>"));
    assert_eq!(
        header(&ok, "Allow"),
        Some("INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK, REFER, SUBSCRIBE, REGISTER")
    );
    assert_eq!(header(&ok, "Session-Expires"), Some("1800;refresher=uas"));
    b.send(&in_dialog("ACK", 1, 1, &to_tag(&ok), "", ""));
    assert!(matches!(
        b.event(),
        SipEvent::Established { answer: None, .. }
    ));
    b.send(&in_dialog(
        "BYE",
        1,
        2,
        &to_tag(&ok),
        "Reason: Q.850;cause=16;text=\"done\"",
        "",
    ));
    b.sent("SIP/2.0 200 OK");
    let SipEvent::Ended {
        by, how, reason, ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(
        (by, how, reason),
        (Side::Peer, How::Bye, Some(Reason::q850(16, "done")))
    );
    b.silent();
    b.at_rest();
}

#[test]
fn trying_goes_out_once_after_100_ms_without_to_tag_and_with_the_timestamp() {
    let mut b = bench();
    b.send(&invite(1, "Timestamp: 54", SDP));
    b.at(99);
    b.silent();
    b.at(500);
    let (at, _, trying) = b.sent_at("SIP/2.0 100 Trying");
    assert_eq!(at, 100);
    assert_eq!(header(&trying, "Timestamp"), Some("54"));
    assert!(!header(&trying, "To").unwrap().contains("tag"));
    b.silent();
    let mut b = bench();
    let leg = b.ring(1);
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    b.at(500);
    b.sent("SIP/2.0 180");
    b.silent();
}

#[test]
fn a_repeated_invite_is_one_call_and_gets_the_last_answer_again() {
    let mut b = bench();
    let leg = b.ring(1);
    b.send(&invite(1, "", SDP));
    b.sent("SIP/2.0 100");
    b.run(|e, now| e.provisional(now, leg, 183, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let first = b.sent("SIP/2.0 183");
    b.send(&invite(1, "", SDP));
    assert_eq!(b.sent("SIP/2.0 183"), first);
    b.no_event();
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    b.sent("SIP/2.0 200");
    b.send(&invite(1, "", SDP));
    b.silent();
    b.no_event();
}

#[test]
fn the_2xx_is_repeated_until_its_ack_on_every_transport() {
    for flow in [udp("10.0.0.2:5060"), tcp("10.0.0.2:40000", 5)] {
        let mut b = bench();
        b.flow = flow;
        let leg = b.ring(1);
        b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
            .unwrap();
        let ok = b.sent("SIP/2.0 200");
        b.at(4000);
        assert_eq!(b.times("SIP/2.0 200"), [500, 1500, 3500]);
        b.send(&in_dialog("ACK", 1, 1, &to_tag(&ok), "", ""));
        b.at(20_000);
        b.silent();
    }
}

#[test]
fn without_ack_the_call_ends_by_bye_after_32_s() {
    let mut b = bench();
    let leg = b.ring(1);
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    b.sent("SIP/2.0 200");
    b.at(31_999);
    assert_eq!(
        b.times("SIP/2.0 200"),
        [
            500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
        ]
    );
    b.at(32_000);
    let bye = b.sent("BYE sip:1000@10.0.0.2:5060 SIP/2.0");
    assert_eq!(header(&bye, "CSeq"), Some("1 BYE"));
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            by: Side::Transport,
            how: How::NoAck,
            ..
        }
    ));
    b.send(&respond(&bye, "200 OK", "", "", ""));
    b.at_rest();
}

#[test]
fn a_refusal_is_repeated_until_its_ack() {
    let mut b = bench();
    let leg = b.ring(1);
    b.run(|e, now| {
        e.reject(
            now,
            leg,
            486,
            "",
            &[(crate::sip::msg::Name::RetryAfter, "5".into())],
        )
    })
    .unwrap();
    let busy = b.sent("SIP/2.0 486 Busy Here");
    assert_eq!(header(&busy, "Retry-After"), Some("5"));
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            by: Side::Us,
            how: How::Rejected { status: 486 },
            ..
        }
    ));
    b.at(4000);
    assert_eq!(b.times("SIP/2.0 486"), [500, 1500, 3500]);
    let ack =
        in_dialog("ACK", 1, 1, &to_tag(&busy), "", "").replace("z9hG4bKACK1x1", "z9hG4bKinvite1");
    b.send(&ack);
    b.send(&ack);
    b.at(8000);
    b.silent();
    assert!(b.run(|e, now| e.accept(now, leg, None)).is_err());
    b.at_rest();
}

#[test]
fn a_delayed_offer_is_ours_in_the_2xx_and_answered_in_the_ack() {
    let mut b = bench();
    b.send(&invite(1, "", ""));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    assert_eq!(event.offer, None);
    let leg = event.leg;
    // An unreliable provisional response cannot carry our offer.
    b.run(|e, now| e.provisional(now, leg, 183, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    assert_eq!(body(&b.sent("SIP/2.0 183")), "");
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    assert_eq!(body(&ok), OUR_SDP);
    b.send(&in_dialog(
        "ACK",
        1,
        1,
        &to_tag(&ok),
        "Content-Type: application/sdp",
        SDP,
    ));
    let SipEvent::Established { answer, .. } = b.event() else {
        panic!()
    };
    assert_eq!(answer, Some(Body::sdp(SDP)));
}

#[test]
fn an_ack_without_the_answer_it_owes_ends_the_call() {
    let mut b = bench();
    b.send(&invite(1, "", ""));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    b.send(&in_dialog("ACK", 1, 1, &to_tag(&ok), "", ""));
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            how: How::NoAnswer,
            ..
        }
    ));
    let bye = b.sent("BYE");
    b.send(&respond(&bye, "200 OK", "", "", ""));
    b.at_rest();
}

#[test]
fn cancel_gets_200_and_the_invite_487_with_one_tag() {
    let mut b = bench();
    let leg = b.ring(1);
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    let ringing = b.sent("SIP/2.0 180");
    let cancel = invite(
        1,
        "Reason: SIP;cause=200;text=\"Call completed elsewhere\"",
        "",
    )
    .replace("INVITE", "CANCEL");
    b.send(&cancel);
    let ok = b.sent("SIP/2.0 200");
    assert_eq!(header(&ok, "CSeq"), Some("1 CANCEL"));
    let terminated = b.sent("SIP/2.0 487 Request Terminated");
    assert_eq!(header(&terminated, "CSeq"), Some("1 INVITE"));
    assert!(to_tag(&ok) == to_tag(&ringing) && to_tag(&terminated) == to_tag(&ringing));
    let SipEvent::Ended {
        by: Side::Peer,
        how: How::Cancel,
        reason: Some(reason),
        ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(
        (reason.cause, reason.text.as_deref()),
        (200, Some("Call completed elsewhere"))
    );
    // Repeated: the same answer, nothing else.
    b.send(&cancel);
    b.sent("SIP/2.0 200");
    b.silent();
    b.at_rest();
}

#[test]
fn cancel_after_the_answer_has_no_effect() {
    let mut b = bench();
    let leg = b.ring(1);
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    b.send(&invite(1, "", "").replace("INVITE", "CANCEL"));
    b.sent("SIP/2.0 200");
    b.silent();
    b.no_event();
    b.send(&in_dialog("ACK", 1, 1, &to_tag(&ok), "", ""));
    assert!(matches!(b.event(), SipEvent::Established { .. }));
}

#[test]
fn cancel_with_another_branch_is_481_and_kills_nothing() {
    let mut b = bench();
    let leg = b.ring(1);
    b.send(
        &invite(1, "", "")
            .replace("INVITE", "CANCEL")
            .replace("z9hG4bKinvite1", "z9hG4bKguess"),
    );
    b.sent("SIP/2.0 481");
    b.no_event();
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    b.sent("SIP/2.0 180");
}

#[test]
fn bye_of_the_caller_before_the_answer_ends_the_call() {
    let mut b = bench();
    let leg = b.ring(1);
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    let ringing = b.sent("SIP/2.0 180");
    b.send(&in_dialog("BYE", 1, 2, &to_tag(&ringing), "", ""));
    b.sent("SIP/2.0 200");
    b.sent("SIP/2.0 487");
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            by: Side::Peer,
            how: How::Bye,
            ..
        }
    ));
    b.at_rest();
}

#[test]
fn our_bye_waits_for_the_ack() {
    let mut b = bench();
    let leg = b.ring(1);
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    b.run(|e, now| e.bye(now, leg, Some(Reason::q850(16, ""))))
        .unwrap();
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            by: Side::Us,
            how: How::Bye,
            ..
        }
    ));
    b.silent();
    b.at(500);
    b.sent("SIP/2.0 200");
    b.send(&in_dialog("ACK", 1, 1, &to_tag(&ok), "", ""));
    let bye = b.sent("BYE");
    assert_eq!(header(&bye, "Reason"), Some("Q.850;cause=16"));
    assert_eq!(
        header(&bye, "From"),
        Some(format!("<sip:2000@realm.test>;tag={}", to_tag(&ok)).as_str())
    );
    assert_eq!(header(&bye, "To"), Some("<sip:1000@realm.test>;tag=from1"));
    b.send(&respond(&bye, "200 OK", "", "", ""));
    b.no_event();
    b.at_rest();
}

#[test]
fn the_same_request_by_two_ways_is_482() {
    let mut b = bench();
    b.ring(1);
    b.send(&invite(1, "", SDP).replace("z9hG4bKinvite1", "z9hG4bKother"));
    b.sent("SIP/2.0 482 Loop Detected");
    b.no_event();
    // The first copy's own repetition is no merge.
    b.send(&invite(1, "", SDP));
    b.sent("SIP/2.0 100");
}

#[test]
fn wrong_invites_get_their_own_refusals() {
    let cases = [
        ("Max-Forwards: 70", "Max-Forwards: 0", "SIP/2.0 483", ""),
        (
            "Max-Forwards: 70",
            "Require: foo, timer, bar",
            "SIP/2.0 420",
            "Unsupported: foo, bar",
        ),
        (
            "Max-Forwards: 70",
            "Accept: text/plain",
            "SIP/2.0 406",
            "Accept: application/sdp",
        ),
        (
            "Max-Forwards: 70",
            "Content-Encoding: gzip",
            "SIP/2.0 415",
            "Accept-Encoding: identity",
        ),
        (
            "Content-Type: application/sdp",
            "Content-Type: text/plain",
            "SIP/2.0 415",
            "Accept: application/sdp",
        ),
        (
            "INVITE sip:2000@10.0.0.1",
            "INVITE foo:2000",
            "SIP/2.0 416",
            "",
        ),
        (
            "Max-Forwards: 70",
            "Supported: timer\nSession-Expires: 60",
            "SIP/2.0 422",
            "Min-SE: 90",
        ),
        ("CSeq: 1 INVITE", "CSeq: 1 OPTIONS", "SIP/2.0 400 CSeq", ""),
        ("SIP/2.0\n", "SIP/7.0\n", "SIP/2.0 505", ""),
    ];
    for (from, to, start, line) in cases {
        let mut b = bench();
        b.send(&invite(1, "", SDP).replacen(from, to, 1));
        let refusal = b.sent(start);
        assert!(refusal.contains(line), "{line:?} expected in\n{refusal}");
        assert!(!to_tag(&refusal).is_empty(), "{refusal}");
        b.no_event();
        b.at_rest();
    }
}

#[test]
fn a_missing_max_forwards_is_tolerated() {
    let mut b = bench();
    b.send(&invite(1, "", SDP).replace("Max-Forwards: 70", "Subject: old"));
    assert!(matches!(b.event(), SipEvent::Invite(_)));
}

#[test]
fn methods_we_lack_are_405_with_allow_and_unknown_ones_501() {
    for (method, start) in [
        ("REGISTER", "SIP/2.0 405"),
        ("MESSAGE", "SIP/2.0 405"),
        ("FROB", "SIP/2.0 501"),
    ] {
        let mut b = bench();
        b.send(&invite(1, "", "").replace("INVITE", method));
        let refusal = b.sent(start);
        assert_eq!(
            header(&refusal, "Allow"),
            Some("INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK, REFER, SUBSCRIBE, REGISTER")
        );
    }
    for method in ["BYE", "INFO", "UPDATE", "PRACK"] {
        let mut b = bench();
        b.send(&invite(1, "", "").replace("INVITE", method));
        b.sent("SIP/2.0 481");
        b.send(&in_dialog(method, 1, 2, "0000000000000001", "", ""));
        b.sent("SIP/2.0 481");
        b.at_rest();
    }
}

#[test]
fn record_route_is_copied_and_its_route_set_used() {
    let mut b = bench();
    let record =
        "Record-Route: <sip:10.0.0.9;lr>\nRecord-Route: <sip:10.0.0.8;lr>, <sip:10.0.0.7;lr>";
    b.send(&invite(1, record, SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    let copied: Vec<&str> = ok
        .lines()
        .filter(|l| l.starts_with("Record-Route"))
        .collect();
    assert_eq!(
        copied,
        [
            "Record-Route: <sip:10.0.0.9;lr>",
            "Record-Route: <sip:10.0.0.8;lr>, <sip:10.0.0.7;lr>"
        ]
    );
    b.send(&in_dialog("ACK", 1, 1, &to_tag(&ok), "", ""));
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    let (_, flow, bye) = b.sent_at("BYE sip:1000@10.0.0.2:5060 SIP/2.0");
    assert_eq!(flow.remote, "10.0.0.9:5060".parse().unwrap());
    let routes: Vec<&str> = bye
        .lines()
        .filter_map(|l| l.strip_prefix("Route: "))
        .collect();
    assert_eq!(
        routes,
        [
            "<sip:10.0.0.9;lr>",
            "<sip:10.0.0.8;lr>",
            "<sip:10.0.0.7;lr>"
        ]
    );
}

#[test]
fn a_strict_router_gets_itself_as_request_uri() {
    let mut b = bench();
    let (leg, _) = b.up_with(
        1,
        "Record-Route: <sip:10.0.0.9>\nRecord-Route: <sip:10.0.0.8;lr>",
    );
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    let bye = b.sent("BYE sip:10.0.0.9 SIP/2.0");
    let routes: Vec<&str> = bye
        .lines()
        .filter_map(|l| l.strip_prefix("Route: "))
        .collect();
    assert_eq!(routes, ["<sip:10.0.0.8;lr>", "<sip:1000@10.0.0.2:5060>"]);
}

#[test]
fn a_peer_of_rfc_2543_is_matched_without_branch() {
    let mut b = bench();
    let old = |text: String| {
        text.replace(";branch=z9hG4bKinvite1;rport", "")
            .replace(";tag=from1", "")
    };
    b.send(&old(invite(1, "", SDP)));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.send(&old(invite(1, "", SDP)));
    b.sent("SIP/2.0 100");
    b.no_event();
    b.run(|e, now| e.reject(now, leg, 404, "", &[])).unwrap();
    let refusal = b.sent("SIP/2.0 404");
    let ack = old(invite(1, "", "").replace("INVITE", "ACK")).replace(
        "To: <sip:2000@realm.test>",
        &format!("To: {}", header(&refusal, "To").unwrap()),
    );
    b.send(&ack);
    b.at(20_000);
    b.silent();

    // Answered: the ACK matches the transaction and reaches the dialog.
    let mut b = bench();
    b.send(&old(invite(1, "", SDP)));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    b.send(&old(invite(1, "", "").replace("INVITE", "ACK")).replace(
        "To: <sip:2000@realm.test>",
        &format!("To: {}", header(&ok, "To").unwrap()),
    ));
    assert!(matches!(b.event(), SipEvent::Established { .. }));
    b.send(
        &old(invite(1, "", "")
            .replace("CSeq: 1 INVITE", "CSeq: 2 BYE")
            .replace("INVITE", "BYE"))
        .replace(
            "To: <sip:2000@realm.test>",
            &format!("To: {}", header(&ok, "To").unwrap()),
        ),
    );
    b.sent("SIP/2.0 200");
    assert!(matches!(b.event(), SipEvent::Ended { how: How::Bye, .. }));
}

#[test]
fn answers_over_a_lost_stream_go_to_the_port_in_sent_by() {
    let mut b = bench();
    b.flow = tcp("10.0.0.2:40000", 9);
    let leg = b.ring(1);
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    assert_eq!(b.sent_at("SIP/2.0 180").1.connection, 9);
    let flow = b.flow;
    b.run(|e, now| e.flow_closed(now, flow));
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    b.silent();
    assert_eq!(b.connects, [1]);
    let new = tcp("10.0.0.2:5060", 10);
    b.run(|e, now| e.connected(now, 1, new));
    assert_eq!(b.sent_at("SIP/2.0 200").1, new);
}

#[test]
fn a_retransmission_from_a_new_port_is_answered_there() {
    let mut b = bench();
    b.ring(1);
    b.send_on(udp("10.0.0.2:6666"), &invite(1, "", SDP));
    assert_eq!(
        b.sent_at("SIP/2.0 100").1.remote,
        "10.0.0.2:6666".parse().unwrap()
    );
    b.no_event();
}

#[test]
fn the_invites_own_expiry_ends_it() {
    let mut b = bench();
    b.send(&invite(1, "Expires: 10", SDP));
    b.event();
    b.at(10_000);
    b.sent("SIP/2.0 100");
    b.sent("SIP/2.0 487");
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            how: How::InviteExpired,
            ..
        }
    ));
    b.at_rest();
}

#[test]
fn a_long_ringing_is_repeated_each_minute() {
    let mut b = bench();
    let leg = b.ring(1);
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    b.at(130_000);
    assert_eq!(b.times("SIP/2.0 180"), [0, 60_000, 120_000]);
}

#[test]
fn the_session_description_of_a_multipart_is_the_offer() {
    let mut b = bench();
    let multipart = format!("--x\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--x--\r\n");
    b.send(&invite(1, "", &multipart).replace("application/sdp\n", "multipart/mixed;boundary=x\n"));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    assert_eq!(event.offer.unwrap().bytes, SDP.as_bytes());
}

#[test]
fn reliable_provisionals_are_repeated_until_their_prack_one_at_a_time() {
    let mut b = bench();
    b.send(&invite(1, "Require: 100rel", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 183, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let progress = b.sent("SIP/2.0 183");
    assert_eq!(header(&progress, "Require"), Some("100rel"));
    assert_eq!(body(&progress), OUR_SDP);
    let rseq: u32 = header(&progress, "RSeq").unwrap().parse().unwrap();
    b.at(3600);
    assert_eq!(b.times("SIP/2.0 183"), [500, 1500, 3500]);
    let tag = to_tag(&progress);
    b.send(&in_dialog(
        "PRACK",
        1,
        2,
        &tag,
        &format!("RAck: {} 1 INVITE", rseq + 1),
        "",
    ));
    b.sent("SIP/2.0 481");
    let prack = in_dialog("PRACK", 1, 3, &tag, &format!("RAck: {rseq} 1 INVITE"), "");
    b.send(&prack);
    assert_eq!(header(&b.sent("SIP/2.0 200"), "CSeq"), Some("3 PRACK"));
    // The description was answered reliably: the 2xx carries none, and it overtakes the 180 that waited.
    let ok = b.sent("SIP/2.0 200");
    assert_eq!((header(&ok, "CSeq"), body(&ok)), (Some("1 INVITE"), ""));
    b.send(&prack);
    b.sent("SIP/2.0 200");
    b.send(&in_dialog("ACK", 1, 1, &tag, "", ""));
    assert!(matches!(
        b.event(),
        SipEvent::Established { answer: None, .. }
    ));
    b.silent();
}

#[test]
fn a_second_reliable_provisional_waits_for_the_first() {
    let mut b = bench();
    b.send(&invite(1, "Require: 100rel", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    b.run(|e, now| e.provisional(now, leg, 183, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let first = b.sent("SIP/2.0 180");
    b.silent();
    let rseq: u32 = header(&first, "RSeq").unwrap().parse().unwrap();
    b.send(&in_dialog(
        "PRACK",
        1,
        2,
        &to_tag(&first),
        &format!("RAck: {rseq} 1 INVITE"),
        "",
    ));
    b.sent("SIP/2.0 200");
    let second = b.sent("SIP/2.0 183");
    assert_eq!(
        header(&second, "RSeq"),
        Some((rseq + 1).to_string().as_str())
    );
    assert_eq!(body(&second), OUR_SDP);
}

#[test]
fn a_delayed_offer_goes_into_a_reliable_183_and_its_prack_answers() {
    let mut b = bench();
    b.send(&invite(1, "Require: 100rel", ""));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 183, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let progress = b.sent("SIP/2.0 183");
    let (tag, rseq) = (
        to_tag(&progress),
        header(&progress, "RSeq").unwrap().to_owned(),
    );
    let rack = format!("RAck: {rseq} 1 INVITE\nContent-Type: application/sdp");
    b.send(&in_dialog("PRACK", 1, 2, &tag, &rack, SDP));
    b.sent("SIP/2.0 200");
    let SipEvent::Answer {
        body: Some(answer), ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(answer.bytes, SDP.as_bytes());
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    assert_eq!(body(&ok), "");
    b.send(&in_dialog("ACK", 1, 1, &tag, "", ""));
    assert!(matches!(
        b.event(),
        SipEvent::Established { answer: None, .. }
    ));
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_200() {
    let mut b = bench();
    b.send(&invite(1, "Require: 100rel", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 183, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let progress = b.sent("SIP/2.0 183");
    let (tag, rseq) = (
        to_tag(&progress),
        header(&progress, "RSeq").unwrap().to_owned(),
    );
    let second = SDP.replace("4000", "4444");
    let rack = format!("RAck: {rseq} 1 INVITE\nContent-Type: application/sdp");
    b.send(&in_dialog("PRACK", 1, 2, &tag, &rack, &second));
    let SipEvent::Offer {
        offer: Some(offer), ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(offer.bytes, second.as_bytes());
    // The 2xx waits for our answer.
    b.run(|e, now| e.accept(now, leg, None)).unwrap();
    b.silent();
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp("answer")))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    assert_eq!(
        (header(&ok, "CSeq"), body(&ok)),
        (Some("2 PRACK"), "answer")
    );
    assert_eq!(header(&b.sent("SIP/2.0 200"), "CSeq"), Some("1 INVITE"));
}

#[test]
fn without_prack_the_call_is_refused_after_32_s() {
    let mut b = bench();
    b.send(&invite(1, "Require: 100rel", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    b.at(31_900);
    assert_eq!(
        b.times("SIP/2.0 180"),
        [0, 500, 1500, 3500, 7500, 15500, 31500]
    );
    b.at(32_000);
    b.sent("SIP/2.0 504");
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            how: How::NoPrack,
            ..
        }
    ));
    b.at_rest();
}

#[test]
fn a_final_answer_may_overtake_the_prack_of_a_response_without_description() {
    let mut b = bench();
    b.send(&invite(1, "Require: 100rel", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    let progress = b.sent("SIP/2.0 180");
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    assert_eq!(body(&ok), OUR_SDP);
    let rack = format!("RAck: {} 1 INVITE", header(&progress, "RSeq").unwrap());
    b.send(&in_dialog("PRACK", 1, 2, &to_tag(&ok), &rack, ""));
    assert_eq!(header(&b.sent("SIP/2.0 200"), "CSeq"), Some("2 PRACK"));
}

#[test]
fn support_alone_makes_provisionals_reliable_only_where_configured() {
    let mut b = bench();
    b.send(&invite(1, "Supported: 100rel", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    assert_eq!(header(&b.sent("SIP/2.0 180"), "RSeq"), None);
    let mut b = bench_with(EndpointConfig {
        reliable: Reliable::WhenSupported,
        ..EndpointConfig::default()
    });
    b.send(&invite(1, "Supported: 100rel", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    assert!(header(&b.sent("SIP/2.0 180"), "RSeq").is_some());
}

#[test]
fn caps_and_overload_refuse_new_calls_only() {
    let mut b = bench_with(EndpointConfig {
        max_transactions_per_source: 2,
        ..EndpointConfig::default()
    });
    let (_, tag) = b.up(1);
    b.ring(2);
    b.send(&invite(3, "", SDP));
    let refusal = b.sent("SIP/2.0 503");
    assert_eq!(header(&refusal, "Retry-After"), Some("5"));
    b.send(&in_dialog("BYE", 1, 2, &tag, "", ""));
    b.sent("SIP/2.0 200");

    let mut b = bench();
    let (_, tag) = b.up(1);
    b.run(|e, _| e.set_overload(Some(Duration::from_secs(9))));
    let before = b.endpoint.counts();
    b.send(&invite(2, "", SDP));
    assert_eq!(header(&b.sent("SIP/2.0 503"), "Retry-After"), Some("9"));
    assert_eq!(b.endpoint.counts(), before);
    b.send(&in_dialog("OPTIONS", 1, 2, &tag, "", ""));
    b.sent("SIP/2.0 200");
    b.run(|e, _| e.set_overload(None));
    b.ring(3);
    b.run(|e, _| e.set_draining(true));
    b.send(&invite(4, "", SDP));
    b.sent("SIP/2.0 503");
    b.send(&invite(5, "", "").replace("INVITE", "OPTIONS"));
    b.sent("SIP/2.0 503");
}

#[test]
fn a_request_that_comes_back_through_somebody_is_a_loop() {
    let mut b = bench();
    let target = Target {
        transport: Transport::Udp,
        addr: "10.0.0.2:5060".parse().unwrap(),
    };
    b.run(|e, now| {
        e.invite(
            now,
            InviteRequest::new("sip:2000@10.0.0.1", target, "<sip:us@realm.test>"),
        )
    });
    let ours = b.sent("INVITE");
    let via = format!(
        "Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKproxy;rport\n        Via: {}",
        header(&ours, "Via").unwrap()
    );
    let came_back = invite(1, "", SDP).replace(
        "Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKinvite1;rport",
        &via,
    );
    b.send(&came_back);
    b.sent("SIP/2.0 482");
    // To another number it is a spiral, and fine.
    b.send(
        &came_back
            .replace("INVITE sip:2000@", "INVITE sip:3000@")
            .replace("z9hG4bKproxy", "z9hG4bKproxy2")
            .replace("call1", "call2"),
    );
    assert!(matches!(b.event(), SipEvent::Invite(_)));
}

#[test]
fn a_caller_without_contact_is_reached_where_it_came_from() {
    let mut b = bench();
    b.send(&invite(1, "", SDP).replace("Contact: <sip:1000@10.0.0.2:5060>", "Subject: old"));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    b.send(&in_dialog("ACK", 1, 1, &to_tag(&ok), "", ""));
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    assert_eq!(
        b.sent_at("BYE sip:1000@realm.test").1.remote.to_string(),
        "10.0.0.2:5060"
    );
}
