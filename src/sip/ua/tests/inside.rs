//! What happens inside a call.

use super::*;

const BODY: &str = "Content-Type: application/sdp";

/// A call of ours that is up; its leg, our INVITE.
fn placed(b: &mut Bench, headers: &str) -> (LegId, String) {
    let target = Target {
        transport: Transport::Udp,
        addr: "10.0.0.2:5060".parse().unwrap(),
    };
    let mut request = InviteRequest::new("sip:2000@far.test", target, "<sip:us@near.test>");
    request.body = Some(Body::sdp(OUR_SDP));
    let leg = b.run(|e, now| e.invite(now, request));
    let invite = b.sent("INVITE");
    let headers = format!("Contact: <sip:them@10.0.0.2:5060>\n{BODY}\n{headers}");
    b.send(&respond(&invite, "200 OK", "t", headers.trim_end(), SDP));
    b.sent("ACK");
    assert!(matches!(b.event(), SipEvent::Answered { .. }));
    (leg, invite)
}

/// A request of the callee inside a call of ours.
fn from_callee(method: &str, invite: &str, cseq: u32, headers: &str, content: &str) -> String {
    let from = header(invite, "From").unwrap();
    let call_id = header(invite, "Call-ID").unwrap();
    format!(
        "{method} sip:swivel@10.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKcallee{method}{cseq}
From: <sip:2000@far.test>;tag=t
To: {from}
Call-ID: {call_id}
CSeq: {cseq} {method}
Max-Forwards: 70
Contact: <sip:them@10.0.0.2:5060>
{headers}

{content}"
    )
    .replace("\n\n\n", "\n\n")
}

#[test]
fn a_reinvite_is_offered_answered_and_acknowledged() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    let hold = SDP.replace("\r\nm=", "\r\na=sendonly\r\nm=");
    b.send(
        &in_dialog("INVITE", 1, 2, &tag, BODY, &hold)
            .replace("1000@10.0.0.2:5060>\n", "1000@10.0.0.2:5070>\n"),
    );
    let SipEvent::Offer {
        offer: Some(offer), ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(offer.bytes, hold.as_bytes());
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp("held")))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    assert_eq!((header(&ok, "CSeq"), body(&ok)), (Some("2 INVITE"), "held"));
    assert!(header(&ok, "Contact").is_some() && header(&ok, "Session-Expires").is_some());
    b.at(500);
    b.sent("SIP/2.0 200");
    b.send(&in_dialog("ACK", 1, 2, &tag, "", ""));
    b.no_event();
    b.at(4000);
    b.silent();
    // The new Contact is the target from now on.
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    let (_, flow, _) = b.sent_at("BYE sip:1000@10.0.0.2:5070");
    assert_eq!(flow.remote.port(), 5070);
}

#[test]
fn a_reinvite_without_offer_is_answered_by_ours() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    b.send(&in_dialog("INVITE", 1, 2, &tag, "", ""));
    assert!(matches!(b.event(), SipEvent::Offer { offer: None, .. }));
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp(OUR_SDP)))))
        .unwrap();
    assert_eq!(body(&b.sent("SIP/2.0 200")), OUR_SDP);
    b.send(&in_dialog("ACK", 1, 2, &tag, BODY, SDP));
    let SipEvent::Answer {
        body: Some(answer), ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(answer.bytes, SDP.as_bytes());
}

#[test]
fn a_refused_reinvite_changes_nothing() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    b.send(&in_dialog("INVITE", 1, 2, &tag, BODY, SDP));
    b.event();
    let refusal = Refusal {
        status: 488,
        warning: Some("304 swivel \"Media type not available\"".into()),
    };
    b.run(|e, now| e.respond_offer(now, leg, Err(refusal)))
        .unwrap();
    let refused = b.sent("SIP/2.0 488");
    assert_eq!(
        header(&refused, "Warning"),
        Some("304 swivel \"Media type not available\"")
    );
    b.send(&in_dialog("ACK", 1, 2, &tag, "", "").replace("z9hG4bKACK1x2", "z9hG4bKINVITE1x2"));
    b.send(&in_dialog("INVITE", 1, 3, &tag, BODY, SDP));
    assert!(matches!(b.event(), SipEvent::Offer { .. }));
    assert_eq!(
        b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp("x"))))),
        Ok(())
    );
    assert_eq!(
        b.run(|e, now| e.respond_offer(now, leg, Ok(None))),
        Err(SipError::NoOffer)
    );
}

#[test]
fn an_offer_nobody_answers_is_refused_after_32_s() {
    let mut b = bench();
    let (_, tag) = b.up(1);
    b.send(&in_dialog("INVITE", 1, 2, &tag, BODY, SDP));
    b.event();
    b.at(33_000);
    b.sent("SIP/2.0 100");
    b.sent("SIP/2.0 500");
}

#[test]
fn glare_is_491_against_ours_and_500_with_retry_after_against_theirs() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    b.sent("INVITE");
    b.send(&in_dialog("INVITE", 1, 2, &tag, BODY, SDP));
    b.sent("SIP/2.0 491");
    b.send(&in_dialog("UPDATE", 1, 3, &tag, BODY, SDP));
    b.sent("SIP/2.0 491");
    b.no_event();

    let mut b = bench();
    let (_, tag) = b.up(1);
    b.send(&in_dialog("INVITE", 1, 2, &tag, BODY, SDP));
    b.event();
    b.send(&in_dialog("INVITE", 1, 3, &tag, BODY, SDP));
    let refused = b.sent("SIP/2.0 500");
    let seconds: u32 = header(&refused, "Retry-After").unwrap().parse().unwrap();
    assert!(seconds <= 10);
    b.send(&in_dialog("UPDATE", 1, 4, &tag, BODY, SDP));
    assert!(header(&b.sent("SIP/2.0 500"), "Retry-After").is_some());
    b.no_event();
}

#[test]
fn a_491_is_retried_after_a_while_longer_by_the_one_who_called() {
    for seed in 0..50 {
        // The caller made the Call-ID: we wait up to 2 s.
        let mut b = bench();
        b.endpoint.rng = Rng::seeded(seed);
        let (leg, _) = b.up(1);
        b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
            .unwrap();
        let first = b.sent("INVITE");
        b.send(&respond(&first, "491 Request Pending", "", "", ""));
        b.sent("ACK");
        assert_eq!(
            b.run(|e, now| e.reinvite(now, leg, None)),
            Err(SipError::Pending)
        );
        b.at(2000);
        let (at, _, second) = b.sent_at("INVITE");
        assert!(at <= 2000 && at % 10 == 0);
        b.times("INVITE");
        assert_eq!(
            (header(&first, "CSeq"), header(&second, "CSeq")),
            (Some("1 INVITE"), Some("2 INVITE"))
        );
        b.send(&respond(
            &second,
            "200 OK",
            "",
            &format!("Contact: <sip:x@10.0.0.2>\n{BODY}"),
            SDP,
        ));
        b.sent("ACK");
        assert!(matches!(b.event(), SipEvent::Answer { body: Some(_), .. }));

        let mut b = bench();
        b.endpoint.rng = Rng::seeded(seed);
        let (leg, _) = placed(&mut b, "");
        b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
            .unwrap();
        let first = b.sent("INVITE");
        b.send(&respond(&first, "491 Request Pending", "", "", ""));
        b.sent("ACK");
        b.at(4000);
        let (at, _, _) = b.sent_at("INVITE");
        assert!((2100..=4000).contains(&at) && at % 10 == 0, "{at}");
    }
}

#[test]
fn our_reinvite_may_ask_the_peer_to_offer() {
    let mut b = bench();
    let (leg, _) = b.up(1);
    b.run(|e, now| e.reinvite(now, leg, None)).unwrap();
    let invite = b.sent("INVITE sip:1000@10.0.0.2:5060");
    assert_eq!(body(&invite), "");
    let ok = respond(
        &invite,
        "200 OK",
        "",
        &format!("Contact: <sip:new@10.0.0.2>\n{BODY}"),
        SDP,
    );
    b.send(&ok);
    b.silent();
    assert!(matches!(b.event(), SipEvent::Offer { offer: Some(_), .. }));
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp(OUR_SDP)))))
        .unwrap();
    let ack = b.sent("ACK sip:new@10.0.0.2");
    assert_eq!((body(&ack), header(&ack, "CSeq")), (OUR_SDP, Some("1 ACK")));
    b.send(&ok);
    assert_eq!(b.sent("ACK"), ack);
}

#[test]
fn a_failed_reinvite_is_told_and_408_or_481_end_the_call() {
    for (status, ends) in [
        ("488 Not Acceptable Here", false),
        ("503 Service Unavailable", false),
        ("481 Gone", true),
    ] {
        let mut b = bench();
        let (leg, _) = b.up(1);
        b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
            .unwrap();
        let invite = b.sent("INVITE");
        b.send(&respond(&invite, status, "", "", ""));
        b.sent("ACK");
        if ends {
            assert!(matches!(
                b.event(),
                SipEvent::Ended {
                    how: How::Dead { status: 481 },
                    ..
                }
            ));
            b.sent("BYE");
        } else {
            assert!(matches!(b.event(), SipEvent::OfferFailed { .. }));
            b.silent();
            b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
                .unwrap();
            b.sent("INVITE");
        }
    }
    let mut b = bench();
    let (leg, _) = b.up(1);
    b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    b.at(31_999);
    assert_eq!(b.times("INVITE").len(), 7);
    b.at(32_000);
    b.sent("BYE");
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            how: How::Dead { status: 408 },
            ..
        }
    ));
}

#[test]
fn our_reinvite_waits_until_theirs_is_over() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    b.send(&in_dialog("INVITE", 1, 2, &tag, BODY, SDP));
    b.event();
    b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    b.silent();
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp("x")))))
        .unwrap();
    b.sent("SIP/2.0 200");
    b.silent();
    b.send(&in_dialog("ACK", 1, 2, &tag, "", ""));
    b.sent("INVITE");
}

#[test]
fn bye_while_a_reinvite_waits_gets_200_and_the_reinvite_487() {
    let mut b = bench();
    let (_, tag) = b.up(1);
    b.send(&in_dialog("INVITE", 1, 2, &tag, BODY, SDP));
    b.event();
    b.send(&in_dialog("BYE", 1, 3, &tag, "", ""));
    b.sent("SIP/2.0 200");
    assert_eq!(header(&b.sent("SIP/2.0 487"), "CSeq"), Some("2 INVITE"));
    assert!(matches!(b.event(), SipEvent::Ended { how: How::Bye, .. }));
    b.at_rest();
}

#[test]
fn a_cancelled_reinvite_is_487_and_the_call_goes_on() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    b.send(&in_dialog("INVITE", 1, 2, &tag, BODY, SDP));
    b.event();
    b.send(
        &in_dialog("CANCEL", 1, 2, &tag, "", "").replace("z9hG4bKCANCEL1x2", "z9hG4bKINVITE1x2"),
    );
    b.sent("SIP/2.0 200");
    b.sent("SIP/2.0 487");
    b.no_event();
    assert_eq!(
        b.run(|e, now| e.respond_offer(now, leg, Ok(None))),
        Err(SipError::NoOffer)
    );
    b.run(|e, now| e.reinvite(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    b.sent("INVITE");
}

#[test]
fn an_update_may_refresh_or_offer() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    b.send(&in_dialog(
        "UPDATE",
        1,
        2,
        &tag,
        "Supported: timer\nSession-Expires: 90;refresher=uac",
        "",
    ));
    let ok = b.sent("SIP/2.0 200");
    assert_eq!(header(&ok, "Session-Expires"), Some("90;refresher=uac"));
    assert_eq!(header(&ok, "Require"), Some("timer"));
    assert!(header(&ok, "Contact").is_some());
    b.no_event();
    b.send(&in_dialog("UPDATE", 1, 3, &tag, BODY, SDP));
    assert!(matches!(b.event(), SipEvent::Offer { offer: Some(_), .. }));
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp(OUR_SDP)))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    assert_eq!(
        (header(&ok, "CSeq"), body(&ok)),
        (Some("3 UPDATE"), OUR_SDP)
    );
    b.at(3000);
    b.silent();
}

#[test]
fn an_update_that_waits_gets_100_when_its_client_slows_down() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    let update = in_dialog("UPDATE", 1, 2, &tag, BODY, SDP);
    b.send(&update);
    b.event();
    b.send(&update);
    b.at(3499);
    b.silent();
    b.at(3500);
    b.sent("SIP/2.0 100");
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp("x")))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    b.send(&update);
    assert_eq!(b.sent("SIP/2.0 200"), ok);
    b.no_event();
}

#[test]
fn an_early_update_is_taken_only_after_a_reliable_answer() {
    let mut b = bench();
    b.send(&invite(1, "Require: 100rel", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.provisional(now, leg, 180, None)).unwrap();
    let ringing = b.sent("SIP/2.0 180");
    let tag = to_tag(&ringing);
    b.send(&in_dialog("UPDATE", 1, 2, &tag, BODY, SDP));
    b.sent("SIP/2.0 500");
    b.send(&in_dialog(
        "PRACK",
        1,
        3,
        &tag,
        &format!("RAck: {} 1 INVITE", header(&ringing, "RSeq").unwrap()),
        "",
    ));
    b.sent("SIP/2.0 200");
    b.run(|e, now| e.provisional(now, leg, 183, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let progress = b.sent("SIP/2.0 183");
    b.send(&in_dialog(
        "PRACK",
        1,
        4,
        &tag,
        &format!("RAck: {} 1 INVITE", header(&progress, "RSeq").unwrap()),
        "",
    ));
    b.sent("SIP/2.0 200");
    b.send(&in_dialog("UPDATE", 1, 5, &tag, BODY, SDP));
    assert!(matches!(b.event(), SipEvent::Offer { .. }));
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp("y")))))
        .unwrap();
    assert_eq!(body(&b.sent("SIP/2.0 200")), "y");
    b.run(|e, now| e.accept(now, leg, None)).unwrap();
    assert_eq!(header(&b.sent("SIP/2.0 200"), "CSeq"), Some("1 INVITE"));
}

#[test]
fn info_carries_digits_and_nothing_else() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    let relay = "Content-Type: application/dtmf-relay";
    let info = in_dialog("INFO", 1, 2, &tag, relay, "Signal=5\r\nDuration=160");
    b.send(&info);
    b.sent("SIP/2.0 200");
    let SipEvent::Info {
        body: content,
        package: None,
        ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(
        (&*content.content_type, &content.bytes[..8]),
        ("application/dtmf-relay", &b"Signal=5"[..])
    );
    // Repeated: one digit.
    b.send(&info);
    b.sent("SIP/2.0 200");
    b.no_event();
    b.send(&in_dialog("INFO", 1, 3, &tag, "", ""));
    b.sent("SIP/2.0 200");
    b.send(&in_dialog(
        "INFO",
        1,
        4,
        &tag,
        "Content-Type: application/xml",
        "<x/>",
    ));
    assert_eq!(
        header(&b.sent("SIP/2.0 415"), "Accept"),
        Some("application/dtmf-relay, application/dtmf")
    );
    b.send(&in_dialog(
        "INFO",
        1,
        5,
        &tag,
        "Info-Package: foo\nContent-Type: application/dtmf",
        "5",
    ));
    b.sent("SIP/2.0 469");
    b.no_event();
    b.run(|e, now| {
        e.info(
            now,
            leg,
            Body {
                content_type: "application/dtmf".into(),
                bytes: "7".into(),
            },
        )
    })
    .unwrap();
    let info = b.sent("INFO sip:1000@10.0.0.2:5060");
    assert_eq!((body(&info), header(&info, "CSeq")), ("7", Some("1 INFO")));
    b.send(&respond(&info, "481 Gone", "", "", ""));
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            how: How::Dead { status: 481 },
            ..
        }
    ));
}

#[test]
fn order_tags_and_extensions_are_checked_inside_a_call() {
    let mut b = bench();
    let (_, tag) = b.up(1);
    b.send(&in_dialog("OPTIONS", 1, 9, &tag, "", ""));
    assert!(header(&b.sent("SIP/2.0 200"), "Allow").is_some());
    b.send(&in_dialog("INFO", 1, 8, &tag, "", ""));
    b.sent("SIP/2.0 500");
    b.send(&in_dialog("OPTIONS", 1, 20, &tag, "Require: foo", ""));
    assert_eq!(header(&b.sent("SIP/2.0 420"), "Unsupported"), Some("foo"));
    b.send(&in_dialog("MESSAGE", 1, 21, &tag, "", ""));
    b.sent("SIP/2.0 405");
    b.send(&in_dialog("FROB", 1, 22, &tag, "", ""));
    b.sent("SIP/2.0 501");
    b.send(&in_dialog("BYE", 1, 23, &tag, "", "").replace("tag=from1", "tag=guess"));
    b.sent("SIP/2.0 481");
    b.send(&in_dialog("BYE", 1, 24, "0123456789abcdef", "", ""));
    b.sent("SIP/2.0 481");
    b.send(&in_dialog("BYE", 1, 25, &tag, "", "").replace("Call-ID: call1", "Call-ID: call2"));
    b.sent("SIP/2.0 481");
    b.no_event();
    b.send(&in_dialog("BYE", 1, 26, &tag, "", ""));
    b.sent("SIP/2.0 200");
    b.event();
    b.send(&in_dialog("INFO", 1, 27, &tag, "", ""));
    b.sent("SIP/2.0 481");
    b.send(&in_dialog("ACK", 1, 27, &tag, "", ""));
    b.silent();
}

#[test]
fn both_sides_may_hang_up_at_once() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    let bye = b.sent("BYE");
    b.send(&in_dialog("BYE", 1, 2, &tag, "", ""));
    b.sent("SIP/2.0 200");
    b.send(&respond(&bye, "200 OK", "", "", ""));
    assert!(matches!(b.event(), SipEvent::Ended { by: Side::Us, .. }));
    b.no_event();
    b.at_rest();
}

#[test]
fn an_unanswered_bye_is_repeated_and_then_forgotten() {
    let mut b = bench();
    let (leg, _) = b.up(1);
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    b.at(32_000);
    assert_eq!(
        b.times("BYE"),
        [
            0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
        ]
    );
    b.at_rest();
}

#[test]
fn the_callee_may_send_requests_to_us_too() {
    let mut b = bench();
    let (leg, invite) = placed(&mut b, "");
    b.send(&from_callee("INVITE", &invite, 77, BODY, SDP));
    assert!(matches!(b.event(), SipEvent::Offer { offer: Some(_), .. }));
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp("x")))))
        .unwrap();
    b.sent("SIP/2.0 200");
    b.send(&from_callee("ACK", &invite, 77, "", ""));
    b.send(&from_callee("BYE", &invite, 78, "", ""));
    b.sent("SIP/2.0 200");
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
fn as_refresher_we_refresh_by_update_at_half_the_interval() {
    let mut b = bench();
    b.up_with(
        1,
        "Supported: timer\nSession-Expires: 120;refresher=uas\nAllow: INVITE, ACK, BYE, UPDATE",
    );
    b.at(60_000);
    let (at, _, update) = b.sent_at("UPDATE sip:1000@10.0.0.2:5060");
    assert_eq!(at, 60_000);
    assert_eq!(
        header(&update, "Session-Expires"),
        Some("120;refresher=uac")
    );
    assert_eq!(body(&update), "");
    b.send(&respond(
        &update,
        "200 OK",
        "",
        "Session-Expires: 120;refresher=uac",
        "",
    ));
    b.at(119_999);
    b.silent();
    b.at(120_000);
    b.sent("UPDATE");
    b.no_event();
}

#[test]
fn without_update_the_refresh_is_a_reinvite_with_the_same_description() {
    let mut b = bench();
    b.up_with(1, "Supported: timer\nSession-Expires: 120;refresher=uas");
    b.at(60_000);
    let invite = b.sent("INVITE sip:1000@10.0.0.2:5060");
    assert_eq!(body(&invite), OUR_SDP);
    let headers =
        format!("Contact: <sip:1000@10.0.0.2:5060>\nSession-Expires: 120;refresher=uac\n{BODY}");
    b.send(&respond(&invite, "200 OK", "", &headers, SDP));
    b.sent("ACK");
    // The same description again concerns nobody.
    b.no_event();
    b.at(120_000);
    let invite = b.sent("INVITE");
    // A changed one does.
    let changed = SDP.replace("4000", "4004");
    b.send(&respond(&invite, "200 OK", "", &headers, &changed));
    b.sent("ACK");
    assert!(matches!(b.event(), SipEvent::Answer { body: Some(_), .. }));
}

#[test]
fn without_refresh_the_call_ends_before_its_interval_does() {
    let mut b = bench();
    b.up_with(1, "Supported: timer\nSession-Expires: 90;refresher=uac");
    b.at(59_999);
    b.silent();
    b.at(60_000);
    let bye = b.sent("BYE");
    assert_eq!(
        header(&bye, "Reason"),
        Some("SIP;cause=408;text=\"Session expired\"")
    );
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            by: Side::Transport,
            how: How::SessionExpired,
            ..
        }
    ));
    // A refresh in time prevents it.
    let mut b = bench();
    let (_, tag) = b.up_with(1, "Supported: timer\nSession-Expires: 90;refresher=uac");
    b.at(45_000);
    b.send(&in_dialog(
        "UPDATE",
        1,
        2,
        &tag,
        "Supported: timer\nSession-Expires: 90;refresher=uac",
        "",
    ));
    b.sent("SIP/2.0 200");
    b.at(104_999);
    b.silent();
    b.at(105_000);
    b.sent("BYE");
}

#[test]
fn a_peer_without_timer_is_refreshed_by_us() {
    let mut b = bench();
    b.send(&invite(1, "Allow: UPDATE", SDP));
    let SipEvent::Invite(event) = b.event() else {
        panic!()
    };
    let leg = event.leg;
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let ok = b.sent("SIP/2.0 200");
    assert_eq!(
        (header(&ok, "Session-Expires"), header(&ok, "Require")),
        (Some("1800;refresher=uas"), None)
    );
    b.send(&in_dialog("ACK", 1, 1, &to_tag(&ok), "", ""));
    b.at(900_000);
    let update = b.sent("UPDATE");
    // Its 200 says nothing about the interval: we go on.
    b.send(&respond(&update, "200 OK", "", "", ""));
    b.at(1_800_000);
    b.sent("UPDATE");
}

#[test]
fn the_refresh_of_a_call_of_ours_follows_the_2xx() {
    let mut b = bench();
    placed(
        &mut b,
        "Session-Expires: 100;refresher=uac\nRequire: timer\nAllow: UPDATE",
    );
    b.at(50_000);
    let update = b.sent("UPDATE");
    b.send(&respond(
        &update,
        "422 Session Interval Too Small",
        "",
        "Min-SE: 200",
        "",
    ));
    let update = b.sent("UPDATE");
    assert_eq!(
        (
            header(&update, "Session-Expires"),
            header(&update, "Min-SE")
        ),
        (Some("200;refresher=uac"), Some("200"))
    );
    b.send(&respond(
        &update,
        "200 OK",
        "",
        "Session-Expires: 200;refresher=uac",
        "",
    ));
    b.at(149_999);
    b.silent();
    b.at(150_000);
    let update = b.sent("UPDATE");
    b.send(&respond(&update, "481 Gone", "", "", ""));
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            how: How::Dead { status: 481 },
            ..
        }
    ));
    b.sent("BYE");

    let mut b = bench();
    placed(&mut b, "Session-Expires: 100;refresher=uas");
    b.at(66_000);
    b.silent();
    b.at(68_000);
    b.sent("BYE");
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            how: How::SessionExpired,
            ..
        }
    ));
}

#[test]
fn an_update_the_peer_turns_out_to_lack_becomes_a_reinvite() {
    let mut b = bench();
    b.up_with(
        1,
        "Supported: timer\nSession-Expires: 120;refresher=uas\nAllow: UPDATE",
    );
    b.at(60_000);
    let update = b.sent("UPDATE");
    b.send(&respond(&update, "405 Method Not Allowed", "", "", ""));
    b.sent("INVITE");
}

#[test]
fn a_reinvite_over_a_new_stream_moves_the_dialog_there() {
    let mut b = bench();
    b.flow = tcp("10.0.0.2:40000", 3);
    let (leg, tag) = b.up(1);
    let new = tcp("10.0.0.2:40001", 4);
    b.send_on(new, &in_dialog("UPDATE", 1, 2, &tag, "", ""));
    assert_eq!(b.sent_at("SIP/2.0 200").1, new);
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    assert_eq!(b.sent_at("BYE").1, new);
}

#[test]
fn in_dialog_requests_go_to_the_contact_unless_a_nat_hides_it() {
    let from = |b: &mut Bench, source: &str, via: &str, contact: &str| {
        let text = invite(1, "", SDP)
            .replace(
                "Via: SIP/2.0/UDP 10.0.0.2:5060",
                &format!("Via: SIP/2.0/UDP {via}"),
            )
            .replace("<sip:1000@10.0.0.2:5060>", contact);
        b.send_on(udp(source), &text);
        let SipEvent::Invite(event) = b.event() else {
            panic!()
        };
        let leg = event.leg;
        b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
            .unwrap();
        let ok = b.sent("SIP/2.0 200");
        b.send_on(udp(source), &in_dialog("ACK", 1, 1, &to_tag(&ok), "", ""));
        b.event();
        b.run(|e, now| e.bye(now, leg, None)).unwrap();
        b.sent_at("BYE").1.remote.to_string()
    };
    // Plain: where the Contact says.
    assert_eq!(
        from(
            &mut bench(),
            "10.0.0.2:40000",
            "10.0.0.2:5060",
            "<sip:a@10.0.0.2:5062>"
        ),
        "10.0.0.2:5062"
    );
    // Behind a NAT (the Via's own address is not the source): where it came from.
    let nat = from(
        &mut bench(),
        "10.0.0.2:40000",
        "192.168.1.5:5060",
        "<sip:a@192.168.1.5:5060>",
    );
    assert_eq!(nat, "10.0.0.2:40000");
    // A name: no resolving here.
    assert_eq!(
        from(
            &mut bench(),
            "10.0.0.2:40000",
            "10.0.0.2:5060",
            "<sip:a@phone.test>"
        ),
        "10.0.0.2:40000"
    );
    // Another address of a known peer: there.
    assert_eq!(
        from(
            &mut bench(),
            "10.0.0.2:5060",
            "10.0.0.2:5060",
            "<sip:a@10.0.0.7>"
        ),
        "10.0.0.7:5060"
    );
}
