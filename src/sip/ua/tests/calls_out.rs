//! Calls of ours, up to their answer.

use super::*;
use crate::sip::digest::Nonces;

fn target(addr: &str) -> Target {
    Target {
        transport: Transport::Udp,
        addr: addr.parse().unwrap(),
    }
}

fn request() -> InviteRequest {
    let mut request = InviteRequest::new(
        "sip:2000@far.test",
        target("10.0.0.2:5060"),
        "\"Us\" <sip:us@near.test>",
    );
    request.body = Some(Body::sdp(OUR_SDP));
    request
}

fn place(b: &mut Bench, request: InviteRequest) -> (LegId, String) {
    let leg = b.run(|e, now| e.invite(now, request));
    (leg, b.sent("INVITE "))
}

const CONTACT: &str = "Contact: <sip:them@10.0.0.2:5060>";

#[test]
fn a_call_is_placed_answered_acknowledged_and_cleared() {
    let mut b = bench();
    let (leg, invite) = place(&mut b, request());
    assert!(invite.starts_with("INVITE sip:2000@far.test SIP/2.0\r\n"));
    assert!(
        header(&invite, "Via")
            .unwrap()
            .starts_with("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK")
    );
    assert!(header(&invite, "Via").unwrap().ends_with(";rport"));
    assert_eq!(branch(&invite).len(), "z9hG4bK".len() + 16);
    assert_eq!(header(&invite, "To"), Some("<sip:2000@far.test>"));
    assert_eq!(
        header(&invite, "Supported"),
        Some("100rel, timer, replaces")
    );
    assert_eq!(header(&invite, "Session-Expires"), Some("1800"));
    assert_eq!(body(&invite), OUR_SDP);
    b.send(&respond(&invite, "100 Trying", "", "", ""));
    b.send(&respond(&invite, "180 Ringing", "t", CONTACT, ""));
    let SipEvent::Progress {
        status: 180,
        body: None,
        to_tag,
        ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(&*to_tag, "t");
    let headers = format!("{CONTACT}\nContent-Type: application/sdp\nAllow: INVITE, UPDATE");
    let ok = respond(&invite, "200 OK", "t", &headers, SDP);
    b.send(&ok);
    let SipEvent::Answered {
        body: Some(answer), ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(answer.bytes, SDP.as_bytes());
    let ack = b.sent("ACK sip:them@10.0.0.2:5060 SIP/2.0");
    assert_eq!(header(&ack, "CSeq"), Some("1 ACK"));
    assert_ne!(branch(&ack), branch(&invite));
    // Each repetition of the 2xx gets the same ACK, and nobody hears of it.
    b.at(3000);
    b.send(&ok);
    assert_eq!(b.sent("ACK"), ack);
    b.no_event();
    b.run(|e, now| e.bye(now, leg, Some(Reason::q850(16, "bye"))))
        .unwrap();
    let bye = b.sent("BYE sip:them@10.0.0.2:5060 SIP/2.0");
    assert_eq!(header(&bye, "CSeq"), Some("2 BYE"));
    assert_eq!(header(&bye, "Reason"), Some("Q.850;cause=16;text=\"bye\""));
    b.event();
    b.send(&respond(&bye, "200 OK", "", "", ""));
    b.at_rest();
}

#[test]
fn an_unanswered_invite_is_sent_seven_times_and_is_408() {
    let mut b = bench();
    let (leg, _) = place(&mut b, request());
    b.at(31_999);
    assert_eq!(b.times("INVITE"), [500, 1500, 3500, 7500, 15500, 31500]);
    b.no_event();
    b.at(32_000);
    let SipEvent::Rejected {
        leg: rejected,
        status: 408,
        message: None,
        ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(rejected, leg);
    b.at_rest();
}

#[test]
fn a_failure_is_acknowledged_hop_by_hop_each_time() {
    let mut b = bench();
    let mut request = request();
    request.headers = vec![("X-Note".into(), "one\r\nVia: evil".into())];
    let (_, invite) = place(&mut b, request);
    assert_eq!(header(&invite, "X-Note"), Some("one  Via: evil"));
    let busy = respond(&invite, "486 Busy Here", "t", "", "");
    b.send(&busy);
    let ack = b.sent("ACK sip:2000@far.test SIP/2.0");
    assert_eq!(header(&ack, "Via"), header(&invite, "Via"));
    assert_eq!(header(&ack, "To"), Some("<sip:2000@far.test>;tag=t"));
    assert_eq!(header(&ack, "CSeq"), Some("1 ACK"));
    assert!(matches!(
        b.event(),
        SipEvent::Rejected {
            status: 486,
            message: Some(_),
            ..
        }
    ));
    b.send(&busy);
    assert_eq!(b.sent("ACK"), ack);
    b.no_event();
    b.at_rest();
}

#[test]
fn cancel_waits_for_a_provisional_response() {
    let mut b = bench();
    let (leg, invite) = place(&mut b, request());
    b.run(|e, now| e.cancel(now, leg, Some(Reason::sip(200, "Call completed elsewhere"))));
    assert!(matches!(
        b.event(),
        SipEvent::Ended {
            by: Side::Us,
            how: How::Cancel,
            ..
        }
    ));
    b.silent();
    b.send(&respond(&invite, "100 Trying", "", "", ""));
    let cancel = b.sent("CANCEL sip:2000@far.test SIP/2.0");
    assert_eq!(header(&cancel, "Via"), header(&invite, "Via"));
    assert_eq!(header(&cancel, "CSeq"), Some("1 CANCEL"));
    assert_eq!(
        header(&cancel, "Reason"),
        Some("SIP;cause=200;text=\"Call completed elsewhere\"")
    );
    b.send(&respond(&cancel, "200 OK", "t", "", ""));
    b.send(&respond(&invite, "487 Request Terminated", "t", "", ""));
    b.sent("ACK");
    b.no_event();
    b.at_rest();
}

#[test]
fn a_2xx_that_wins_against_cancel_is_acknowledged_and_ended() {
    let mut b = bench();
    let (leg, invite) = place(&mut b, request());
    b.send(&respond(&invite, "180 Ringing", "t", CONTACT, ""));
    b.event();
    b.run(|e, now| e.cancel(now, leg, None));
    let cancel = b.sent("CANCEL");
    b.event();
    let ok = respond(&invite, "200 OK", "t", CONTACT, "");
    b.send(&ok);
    b.send(&respond(&cancel, "200 OK", "t", "", ""));
    let ack = b.sent("ACK sip:them@10.0.0.2:5060");
    let bye = b.sent("BYE sip:them@10.0.0.2:5060");
    assert_eq!(
        (header(&ack, "CSeq"), header(&bye, "CSeq")),
        (Some("1 ACK"), Some("2 BYE"))
    );
    b.send(&ok);
    b.sent("ACK");
    b.send(&respond(&bye, "200 OK", "", "", ""));
    b.silent();
    b.no_event();
    b.at_rest();
}

#[test]
fn a_cancelled_invite_without_final_answer_is_dropped_after_32_s() {
    let mut b = bench();
    let (leg, invite) = place(&mut b, request());
    b.send(&respond(&invite, "180 Ringing", "t", CONTACT, ""));
    b.event();
    b.run(|e, now| e.cancel(now, leg, None));
    b.sent("CANCEL");
    b.event();
    b.at(32_001);
    assert_eq!(b.times("CANCEL").len(), 10);
    assert_eq!(b.endpoint.counts(), Counts::default());
    b.no_event();
}

#[test]
fn timer_c_cancels_an_invite_that_rings_for_ever() {
    let mut b = bench();
    let (_, invite) = place(&mut b, request());
    b.send(&respond(&invite, "180 Ringing", "t", CONTACT, ""));
    b.event();
    b.at(185_000);
    let cancel = b.sent("CANCEL");
    b.send(&respond(&cancel, "200 OK", "t", "", ""));
    b.send(&respond(&invite, "487 Request Terminated", "t", "", ""));
    b.sent("ACK");
    assert!(matches!(b.event(), SipEvent::Rejected { status: 487, .. }));
    b.at_rest();
}

#[test]
fn of_forked_answers_the_first_wins_and_later_ones_are_ended() {
    let mut b = bench();
    let (_, invite) = place(&mut b, request());
    for tag in ["a", "b"] {
        b.send(&respond(
            &invite,
            "183 Session Progress",
            tag,
            &format!("{CONTACT}\nContent-Type: application/sdp"),
            SDP,
        ));
        let SipEvent::Progress {
            to_tag,
            body: Some(_),
            ..
        } = b.event()
        else {
            panic!()
        };
        assert_eq!(&*to_tag, tag);
    }
    let winner = "Contact: <sip:b@10.0.0.3:5060>\nContent-Type: application/sdp";
    b.send(&respond(&invite, "200 OK", "b", winner, SDP));
    assert!(matches!(b.event(), SipEvent::Answered { .. }));
    assert_eq!(to_tag(&b.sent("ACK sip:b@10.0.0.3:5060")), "b");
    let loser = respond(&invite, "200 OK", "a", CONTACT, SDP);
    b.send(&loser);
    assert_eq!(to_tag(&b.sent("ACK sip:them@10.0.0.2:5060")), "a");
    let bye = b.sent("BYE sip:them@10.0.0.2:5060");
    assert_eq!(to_tag(&bye), "a");
    b.send(&loser);
    b.sent("ACK");
    b.silent();
    b.no_event();
}

#[test]
fn reliable_provisionals_are_acknowledged_once_and_in_order() {
    let mut b = bench();
    let (_, invite) = place(&mut b, request());
    let reliable = |rseq: u32| format!("{CONTACT}\nRequire: 100rel\nRSeq: {rseq}");
    b.send(&respond(
        &invite,
        "183 Session Progress",
        "t",
        &reliable(5),
        "",
    ));
    let prack = b.sent("PRACK sip:them@10.0.0.2:5060 SIP/2.0");
    assert_eq!(
        (header(&prack, "RAck"), header(&prack, "CSeq")),
        (Some("5 1 INVITE"), Some("2 PRACK"))
    );
    b.event();
    b.send(&respond(
        &invite,
        "183 Session Progress",
        "t",
        &reliable(5),
        "",
    ));
    b.send(&respond(&invite, "180 Ringing", "t", &reliable(7), ""));
    b.silent();
    b.no_event();
    b.send(&respond(&prack, "200 OK", "", "", ""));
    b.send(&respond(&invite, "180 Ringing", "t", &reliable(6), ""));
    let prack = b.sent("PRACK");
    assert_eq!(
        (header(&prack, "RAck"), header(&prack, "CSeq")),
        (Some("6 1 INVITE"), Some("3 PRACK"))
    );
    assert!(matches!(b.event(), SipEvent::Progress { status: 180, .. }));
    b.send(&respond(&prack, "200 OK", "", "", ""));
    b.send(&respond(&invite, "200 OK", "t", CONTACT, ""));
    assert_eq!(header(&b.sent("ACK"), "CSeq"), Some("1 ACK"));
}

#[test]
fn an_offer_in_a_reliable_provisional_is_answered_in_its_prack() {
    let mut b = bench();
    let mut request = request();
    request.body = None;
    let (leg, invite) = place(&mut b, request);
    let headers = format!("{CONTACT}\nRequire: 100rel\nRSeq: 9\nContent-Type: application/sdp");
    b.send(&respond(
        &invite,
        "183 Session Progress",
        "t",
        &headers,
        SDP,
    ));
    b.silent();
    let SipEvent::Offer {
        offer: Some(offer), ..
    } = b.event()
    else {
        panic!()
    };
    assert_eq!(offer.bytes, SDP.as_bytes());
    assert!(matches!(b.event(), SipEvent::Progress { body: None, .. }));
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp(OUR_SDP)))))
        .unwrap();
    assert_eq!(body(&b.sent("PRACK")), OUR_SDP);
    b.send(&respond(&invite, "200 OK", "t", CONTACT, ""));
    assert_eq!(body(&b.sent("ACK")), "");
}

#[test]
fn an_offer_in_the_2xx_is_answered_in_the_ack() {
    let mut b = bench();
    let mut request = request();
    request.body = None;
    let (leg, invite) = place(&mut b, request);
    let ok = respond(
        &invite,
        "200 OK",
        "t",
        &format!("{CONTACT}\nContent-Type: application/sdp"),
        SDP,
    );
    b.send(&ok);
    let SipEvent::Answered { body: Some(_), .. } = b.event() else {
        panic!()
    };
    b.silent();
    b.send(&ok);
    b.silent();
    b.run(|e, now| e.respond_offer(now, leg, Ok(Some(Body::sdp(OUR_SDP)))))
        .unwrap();
    let ack = b.sent("ACK");
    assert_eq!(body(&ack), OUR_SDP);
    b.send(&ok);
    assert_eq!(b.sent("ACK"), ack);
    // Refused: acknowledged all the same, then ended.
    let mut b = bench();
    let mut request = self::request();
    request.body = None;
    let (leg, invite) = place(&mut b, request);
    b.send(&respond(
        &invite,
        "200 OK",
        "t",
        &format!("{CONTACT}\nContent-Type: application/sdp"),
        SDP,
    ));
    b.event();
    let refusal = Refusal {
        status: 488,
        warning: None,
    };
    b.run(|e, now| e.respond_offer(now, leg, Err(refusal)))
        .unwrap();
    b.sent("ACK");
    b.sent("BYE");
    assert!(matches!(b.event(), SipEvent::Ended { .. }));
}

#[test]
fn a_challenge_of_the_configured_realm_is_answered_once_a_nonce() {
    let mut b = bench();
    let mut request = request();
    request.credentials = Some(("alice".into(), Secret::new("wonderland")));
    request.realm = Some("far.test".into());
    let (_, invite) = place(&mut b, request);
    let challenge = "WWW-Authenticate: Digest realm=\"far.test\", nonce=\"n1\", qop=\"auth\", algorithm=MD5\n\
                     WWW-Authenticate: Digest realm=\"far.test\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256";
    b.send(&respond(&invite, "401 Unauthorized", "t", challenge, ""));
    b.sent("ACK");
    b.no_event();
    let second = b.sent("INVITE sip:2000@far.test SIP/2.0");
    assert_eq!(header(&second, "CSeq"), Some("2 INVITE"));
    assert_eq!(header(&second, "Call-ID"), header(&invite, "Call-ID"));
    assert_eq!(header(&second, "From"), header(&invite, "From"));
    assert_eq!(header(&second, "To"), Some("<sip:2000@far.test>"));
    assert_ne!(branch(&second), branch(&invite));
    let authorization = header(&second, "Authorization").unwrap();
    assert!(
        authorization.contains("SHA-256") && authorization.contains("username=\"alice\""),
        "{authorization}"
    );
    assert_eq!(body(&second), OUR_SDP);
    // The proxy on the way asks as well, in the same realm's name: that is another header and another try, but a
    // second 401 with a fresh nonce means a wrong password.
    b.send(&respond(
        &second,
        "401 Unauthorized",
        "t",
        &challenge.replace("n1", "n2"),
        "",
    ));
    b.sent("ACK");
    assert!(matches!(b.event(), SipEvent::Rejected { status: 401, .. }));
    b.silent();
    b.at_rest();
}

#[test]
fn a_stale_nonce_is_answered_again_and_a_proxy_too() {
    let mut b = bench();
    let mut request = request();
    request.credentials = Some(("alice".into(), Secret::new("wonderland")));
    request.realm = Some("far.test".into());
    let (leg, invite) = place(&mut b, request);
    let challenge =
        "Proxy-Authenticate: Digest realm=\"far.test\", nonce=\"n1\", qop=\"auth\", algorithm=MD5";
    b.send(&respond(
        &invite,
        "407 Proxy Authentication Required",
        "t",
        challenge,
        "",
    ));
    b.sent("ACK");
    let second = b.sent("INVITE");
    assert!(
        header(&second, "Proxy-Authorization")
            .unwrap()
            .contains("nonce=\"n1\"")
    );
    let stale = challenge.replace("n1", "n2") + ", stale=true";
    b.send(&respond(
        &second,
        "407 Proxy Authentication Required",
        "t",
        &stale,
        "",
    ));
    b.sent("ACK");
    let third = b.sent("INVITE");
    assert!(
        header(&third, "Proxy-Authorization")
            .unwrap()
            .contains("nonce=\"n2\"")
    );
    assert_eq!(third.matches("Proxy-Authorization").count(), 1, "{third}");
    b.send(&respond(&third, "200 OK", "t", CONTACT, ""));
    b.sent("ACK");
    b.event();
    // Inside the call the same holds, with the dialog's numbers.
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    let bye = b.sent("BYE");
    assert_eq!(header(&bye, "CSeq"), Some("4 BYE"));
    let stale = challenge.replace("n1", "n3") + ", stale=true";
    b.send(&respond(
        &bye,
        "407 Proxy Authentication Required",
        "",
        &stale,
        "",
    ));
    let bye = b.sent("BYE");
    assert_eq!(header(&bye, "CSeq"), Some("5 BYE"));
    b.send(&respond(&bye, "200 OK", "", "", ""));
    b.at_rest();
}

#[test]
fn a_foreign_realm_gets_no_credentials() {
    for realm in [Some("far.test".to_owned()), None] {
        let mut b = bench();
        let mut request = request();
        request.credentials = Some(("alice".into(), Secret::new("wonderland")));
        request.realm = realm;
        let (_, invite) = place(&mut b, request);
        let challenge = "WWW-Authenticate: Digest realm=\"evil.test\", nonce=\"n1\", qop=\"auth\"";
        b.send(&respond(&invite, "401 Unauthorized", "t", challenge, ""));
        b.sent("ACK");
        b.silent();
        assert!(matches!(b.event(), SipEvent::Rejected { status: 401, .. }));
    }
}

#[test]
fn our_answer_satisfies_our_own_door() {
    // The one place where both sides are ours: the digest's own vectors are tested beside it.
    let mut nonces = Nonces::new([1; 32], Duration::from_secs(60));
    let mut b = bench();
    let line = nonces.challenges(b.now, "realm.test", false)[0].to_string();
    let mut request = request();
    request.uri = "sip:2000@realm.test".into();
    request.credentials = Some(("alice".into(), Secret::new("wonderland")));
    request.any_realm = true;
    let (_, invite) = place(&mut b, request);
    b.send(&respond(
        &invite,
        "401 Unauthorized",
        "t",
        &format!("WWW-Authenticate: {line}"),
        "",
    ));
    b.sent("ACK");
    let second = b.sent("INVITE");
    let credentials =
        crate::sip::digest::Credentials::parse(header(&second, "Authorization").unwrap()).unwrap();
    let password = Secret::new("wonderland");
    let verdict = nonces.check(
        b.now,
        "realm.test",
        "INVITE",
        "sip:2000@realm.test",
        &credentials,
        Some(&password),
    );
    assert!(matches!(verdict, crate::sip::digest::Verdict::Valid));
}

#[test]
fn a_422_is_answered_once_by_a_longer_interval() {
    let mut b = bench();
    let (_, invite) = place(&mut b, request());
    b.send(&respond(
        &invite,
        "422 Session Interval Too Small",
        "t",
        "Min-SE: 3600",
        "",
    ));
    b.sent("ACK");
    let second = b.sent("INVITE");
    assert_eq!(header(&second, "CSeq"), Some("2 INVITE"));
    assert_eq!(header(&second, "Session-Expires"), Some("3600"));
    assert_eq!(header(&second, "Min-SE"), Some("3600"));
    b.send(&respond(
        &second,
        "422 Session Interval Too Small",
        "t",
        "Min-SE: 7200",
        "",
    ));
    b.sent("ACK");
    assert!(matches!(b.event(), SipEvent::Rejected { status: 422, .. }));
    b.at_rest();
}

#[test]
fn a_transport_failure_is_503_at_once() {
    let mut b = bench();
    place(&mut b, request());
    let flow = b.flow;
    b.run(|e, now| e.send_failed(now, flow));
    assert!(matches!(
        b.event(),
        SipEvent::Rejected {
            status: 503,
            message: None,
            ..
        }
    ));
    b.at_rest();
    // No socket of that family.
    let mut b = bench();
    let mut request = request();
    request.to = target("[2001:db8::1]:5060");
    b.run(|e, now| e.invite(now, request));
    assert!(matches!(b.event(), SipEvent::Rejected { status: 503, .. }));
    b.at_rest();
}

#[test]
fn a_large_request_takes_a_stream_and_falls_back_to_datagrams_once() {
    let mut large = request();
    large.headers = vec![("X-Long".into(), "x".repeat(1300))];
    let mut b = bench();
    b.run(|e, now| e.invite(now, large.clone()));
    b.silent();
    assert_eq!(b.connects, [1]);
    let flow = tcp("10.0.0.2:5060", 7);
    b.run(|e, now| e.connected(now, 1, flow));
    let (_, on, invite) = b.sent_at("INVITE");
    assert_eq!(on, flow);
    assert!(
        header(&invite, "Via")
            .unwrap()
            .starts_with("SIP/2.0/TCP 10.0.0.1:5060;branch=")
    );
    b.at(5000);
    b.silent();

    let mut b = bench();
    b.run(|e, now| e.invite(now, large.clone()));
    b.run(|e, now| e.connect_failed(now, 1));
    let (_, on, invite) = b.sent_at("INVITE");
    assert_eq!(on.transport, Transport::Udp);
    assert!(header(&invite, "Via").unwrap().starts_with("SIP/2.0/UDP"));
    b.at(32_000);
    assert_eq!(b.times("INVITE").len(), 6);
    assert!(matches!(b.event(), SipEvent::Rejected { status: 408, .. }));

    let mut b = bench_with(EndpointConfig {
        tcp_switch: false,
        ..EndpointConfig::default()
    });
    b.run(|e, now| e.invite(now, large));
    assert_eq!(b.sent_at("INVITE").1.transport, Transport::Udp);
}

#[test]
fn streams_we_opened_are_shared_and_their_loss_is_503() {
    let mut b = bench();
    let mut request = request();
    request.to.transport = Transport::Tcp;
    b.run(|e, now| e.invite(now, request.clone()));
    b.run(|e, now| e.invite(now, request.clone()));
    assert_eq!(b.connects, [1]);
    let flow = tcp("10.0.0.2:5060", 7);
    b.run(|e, now| e.connected(now, 1, flow));
    let first = b.sent("INVITE");
    assert!(header(&first, "Contact").unwrap().contains("transport=tcp"));
    b.sent("INVITE");
    b.run(|e, now| e.invite(now, request));
    b.sent("INVITE");
    b.send_on(flow, &respond(&first, "180 Ringing", "t", CONTACT, ""));
    b.event();
    b.run(|e, now| e.flow_closed(now, flow));
    // The one that rings may yet be answered over a new connection.
    for _ in 0..2 {
        assert!(matches!(b.event(), SipEvent::Rejected { status: 503, .. }));
    }
    b.no_event();
    let mut b = bench();
    let mut request = self::request();
    request.to.transport = Transport::Tcp;
    b.run(|e, now| e.invite(now, request));
    b.run(|e, now| e.connect_failed(now, 1));
    assert!(matches!(b.event(), SipEvent::Rejected { status: 503, .. }));
    b.at_rest();
}

#[test]
fn stray_responses_are_dropped_but_a_late_2xx_of_a_call_gets_its_ack() {
    let mut b = bench();
    let (_, invite) = place(&mut b, request());
    let ok = respond(&invite, "200 OK", "t", CONTACT, "");
    b.send(&ok);
    b.sent("ACK");
    b.event();
    b.at(40_000);
    assert_eq!(b.endpoint.counts().client_transactions, 0);
    b.send(&ok);
    b.sent("ACK sip:them@10.0.0.2:5060");
    b.send(&ok.replace(";tag=t", ";tag=unknown"));
    b.send(&respond(&invite, "486 Busy", "t", "", "").replace("z9hG4bK", "z9hG4bKnot"));
    b.send("SIP/2.0 200 OK\nVia: garbage");
    b.silent();
    b.no_event();
}

#[test]
fn a_response_for_another_method_of_that_branch_is_dropped() {
    let mut b = bench();
    let (_, invite) = place(&mut b, request());
    b.send(&respond(&invite, "200 OK", "t", CONTACT, "").replace("1 INVITE", "1 BYE"));
    b.silent();
    b.no_event();
}

#[test]
fn the_wildcard_listener_names_the_route_to_the_peer_or_what_is_advertised() {
    let local = "0.0.0.0:5060".parse().unwrap();
    let listener = Listener {
        transport: Transport::Udp,
        local,
        advertise: Some(("203.0.113.5".into(), 5099)),
    };
    let config = EndpointConfig {
        local_nets: vec!["10.0.0.0/8".parse().unwrap()],
        ..EndpointConfig::default()
    };
    let mut endpoint = Endpoint::new(config, vec![listener], Box::new(Door), Rng::seeded(3));
    endpoint.set_route_lookup(Box::new(|_| Some("10.9.9.9".parse().unwrap())));
    let mut b = bench();
    b.endpoint = endpoint;
    let (_, invite) = place(&mut b, request());
    assert!(
        header(&invite, "Via")
            .unwrap()
            .starts_with("SIP/2.0/UDP 10.9.9.9:5060;"),
        "{invite}"
    );
    assert_eq!(
        header(&invite, "Contact"),
        Some("<sip:swivel@10.9.9.9:5060>")
    );
    let mut outside = request();
    outside.to = target("198.51.100.7:5060");
    let (_, invite) = place(&mut b, outside);
    assert!(
        header(&invite, "Via")
            .unwrap()
            .starts_with("SIP/2.0/UDP 203.0.113.5:5099;"),
        "{invite}"
    );
    assert_eq!(
        header(&invite, "Contact"),
        Some("<sip:swivel@203.0.113.5:5099>")
    );
}

#[test]
fn a_2xx_without_contact_is_answered_at_the_address_we_called() {
    let mut b = bench();
    let (leg, invite) = place(&mut b, request());
    b.send(&respond(&invite, "200 OK", "t", "", ""));
    let (_, flow, ack) = b.sent_at("ACK sip:2000@far.test");
    assert_eq!(
        (flow.remote.to_string().as_str(), to_tag(&ack).as_str()),
        ("10.0.0.2:5060", "t")
    );
    b.event();
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    b.sent("BYE sip:2000@far.test");
}

#[test]
fn a_response_with_two_vias_is_for_somebody_else() {
    let mut b = bench();
    let (_, invite) = place(&mut b, request());
    let via = header(&invite, "Via").unwrap();
    let two = respond(&invite, "200 OK", "t", CONTACT, "")
        .replace(via, &format!("{via}, SIP/2.0/UDP 10.7.7.7"));
    b.send(&two);
    b.silent();
    b.no_event();
}

#[test]
fn past_the_cap_our_calls_are_refused_too() {
    let mut b = bench_with(EndpointConfig {
        max_legs: 1,
        ..EndpointConfig::default()
    });
    place(&mut b, request());
    b.run(|e, now| e.invite(now, request()));
    b.silent();
    assert!(matches!(b.event(), SipEvent::Rejected { status: 503, .. }));
}
