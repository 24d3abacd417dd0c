//! Transfers and failover at the endpoint.

use super::*;

fn place(b: &mut Bench, alternatives: &[&str]) -> (LegId, String) {
    let at = |addr: &str| Target {
        transport: Transport::Udp,
        addr: addr.parse().unwrap(),
    };
    let mut request = InviteRequest::new(
        "sip:2000@far.test",
        at("10.0.0.2:5060"),
        "<sip:us@near.test>",
    );
    request.alternatives = alternatives.iter().map(|addr| at(addr)).collect();
    request.body = Some(Body::sdp(OUR_SDP));
    let leg = b.run(|e, now| e.invite(now, request));
    (leg, b.sent("INVITE "))
}

#[test]
fn a_place_that_is_silent_for_4_s_is_left_for_the_next_with_a_new_branch_only() {
    let mut b = bench();
    let (_, first) = place(&mut b, &["10.0.0.3:5060"]);
    b.at(3999);
    assert!(b.times("INVITE").iter().all(|at| *at < 4000));
    b.at(4000);
    let (_, flow, second) = b.sent_at("INVITE ");
    assert_eq!(flow.remote.to_string(), "10.0.0.3:5060");
    assert_ne!(branch(&first), branch(&second));
    for same in ["Call-ID", "From", "To", "CSeq"] {
        assert_eq!(header(&first, same), header(&second, same), "{same}");
    }
    // The first wakes up after all: it is told to stop.
    b.send(&respond(&first, "180 Ringing", "late", "", ""));
    let cancel = b.sent("CANCEL ");
    assert_eq!(branch(&cancel), branch(&first));
    b.no_event();
    let busy = respond(&second, "486 Busy Here", "t", "", "");
    b.send_on(udp("10.0.0.3:5060"), &busy);
    assert!(matches!(b.event(), SipEvent::Rejected { status: 486, .. }));
}

#[test]
fn a_503_goes_to_the_next_place_and_the_last_one_is_told() {
    let mut b = bench();
    let (_, first) = place(&mut b, &["10.0.0.3:5060"]);
    b.send(&respond(&first, "503 Service Unavailable", "t", "", ""));
    b.sent("ACK ");
    let (_, flow, second) = b.sent_at("INVITE ");
    assert_eq!(flow.remote.to_string(), "10.0.0.3:5060");
    b.no_event();
    let full = respond(&second, "503 Service Unavailable", "u", "", "");
    b.send_on(udp("10.0.0.3:5060"), &full);
    assert!(matches!(b.event(), SipEvent::Rejected { status: 503, .. }));
}

#[test]
fn a_busy_place_is_the_end_whatever_else_there_is() {
    let mut b = bench();
    let (_, first) = place(&mut b, &["10.0.0.3:5060"]);
    b.send(&respond(&first, "486 Busy Here", "t", "", ""));
    assert!(matches!(b.event(), SipEvent::Rejected { status: 486, .. }));
    b.at_rest();
}

#[test]
fn a_refused_datagram_goes_to_the_next_place_at_once() {
    let mut b = bench();
    place(&mut b, &["10.0.0.3:5060"]);
    b.run(|e, now| e.send_failed(now, udp("10.0.0.2:5060")));
    let (at, flow, _) = b.sent_at("INVITE ");
    assert_eq!((at, flow.remote.to_string().as_str()), (0, "10.0.0.3:5060"));
}

#[test]
fn a_place_that_rings_is_given_all_its_time() {
    let mut b = bench();
    let (_, first) = place(&mut b, &["10.0.0.3:5060"]);
    b.send(&respond(&first, "100 Trying", "", "", ""));
    b.at(60_000);
    assert!(b.times("INVITE").is_empty());
}

#[test]
fn a_refer_is_accepted_reported_and_told_by_notify() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    let headers = "Refer-To: \"Bob\" <sip:3000@realm.test?Replaces=x%40y%3Bto-tag%3D1%3Bfrom-tag%3D2>\nReferred-By: <sip:1000@realm.test>";
    b.send(&in_dialog("REFER", 1, 2, &tag, headers, ""));
    b.sent("SIP/2.0 202");
    let trying = b.sent("NOTIFY ");
    assert_eq!(header(&trying, "Event"), Some("refer;id=2"));
    assert_eq!(
        header(&trying, "Subscription-State"),
        Some("active;expires=60")
    );
    assert_eq!(body(&trying), "SIP/2.0 100 Trying\r\n");
    let SipEvent::Refer { refer, .. } = b.event() else {
        panic!()
    };
    assert_eq!(refer.target.to_string(), "sip:3000@realm.test");
    assert_eq!(refer.replaces.as_ref().unwrap().call_id, "x@y");
    assert_eq!(refer.referred_by.as_deref(), Some("<sip:1000@realm.test>"));
    b.send(&respond(&trying, "200 OK", "", "", ""));
    b.run(|e, now| e.refer_progress(now, leg, refer.id, 486))
        .unwrap();
    let over = b.sent("NOTIFY ");
    assert_eq!(
        header(&over, "Subscription-State"),
        Some("terminated;reason=noresource")
    );
    assert_eq!(body(&over), "SIP/2.0 486 Busy Here\r\n");
    b.send(&respond(&over, "200 OK", "", "", ""));
    // There is nothing more to tell.
    b.run(|e, now| e.refer_progress(now, leg, refer.id, 200))
        .unwrap();
    b.silent();
}

#[test]
fn a_refer_without_subscription_hears_nothing_more() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    let headers = "Refer-To: <sip:3000@realm.test>\nRefer-Sub: false";
    b.send(&in_dialog("REFER", 1, 2, &tag, headers, ""));
    let accepted = b.sent("SIP/2.0 202");
    assert_eq!(header(&accepted, "Refer-Sub"), Some("false"));
    b.event();
    b.run(|e, now| e.refer_progress(now, leg, 2, 200)).unwrap();
    b.silent();
}

#[test]
fn a_bad_refer_is_400_and_one_outside_a_call_403() {
    let mut b = bench();
    let (_, tag) = b.up(1);
    for (n, headers) in [
        (2, ""),
        (3, "Refer-To: <"),
        (4, "Refer-To: <sip:a@b>\nRefer-To: <sip:c@d>"),
    ] {
        b.send(&in_dialog("REFER", 1, n, &tag, headers, ""));
        b.sent("SIP/2.0 400");
        b.no_event();
    }
    b.send(&invite(9, "Refer-To: <sip:a@b>", "").replace("INVITE", "REFER"));
    b.sent("SIP/2.0 403");
}

#[test]
fn a_notify_that_is_unknown_ends_the_subscription_and_not_the_call() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    b.send(&in_dialog(
        "REFER",
        1,
        2,
        &tag,
        "Refer-To: <sip:3000@realm.test>",
        "",
    ));
    b.sent("SIP/2.0 202");
    let notify = b.sent("NOTIFY ");
    b.event();
    b.send(&respond(
        &notify,
        "481 Subscription Does Not Exist",
        "",
        "",
        "",
    ));
    b.no_event();
    b.run(|e, now| e.refer_progress(now, leg, 2, 200)).unwrap();
    b.silent();
}

#[test]
fn a_dialog_is_found_by_exactly_its_call_id_and_tags() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    let ours = b.run(|e, _| e.tag_of(leg)).unwrap();
    let theirs = "from1".to_owned();
    assert_eq!(ours, tag);
    let call_id = "call1";
    let find = |b: &mut Bench, call_id: &str, to: &str, from: &str| {
        b.run(|e, _| e.find_dialog(call_id, to, from))
    };
    let found = find(&mut b, call_id, &ours, &theirs);
    assert_eq!(found, Some((leg, DialogState::Confirmed)));
    assert_eq!(
        find(&mut b, call_id, &theirs, &ours),
        None,
        "the tags are not swapped"
    );
    assert_eq!(find(&mut b, "other", &ours, &theirs), None);
    assert_eq!(find(&mut b, call_id, &ours, "x"), None);
}

fn told(n: u32, tag: &str, state: &str, sipfrag: &str) -> String {
    let headers = format!(
        "Event: refer\nSubscription-State: {state}\nContent-Type: message/sipfrag;version=2.0"
    );
    in_dialog("NOTIFY", 1, n, tag, &headers, sipfrag)
}

#[test]
fn a_transfer_of_ours_is_told_from_its_response_to_its_last_notify() {
    let mut b = bench();
    let (leg, tag) = b.up(1);
    // Nobody has asked for it yet.
    b.send(&told(2, &tag, "active", "SIP/2.0 100 Trying"));
    b.sent("SIP/2.0 405");
    b.run(|e, now| e.refer(now, leg, "sip:3000@realm.test?Replaces=x"))
        .unwrap();
    let refer = b.sent("REFER ");
    assert_eq!(
        header(&refer, "Refer-To"),
        Some("<sip:3000@realm.test?Replaces=x>")
    );
    assert!(b.run(|e, now| e.refer(now, leg, "sip:x@y")).is_err());
    b.send(&respond(&refer, "202 Accepted", "", "", ""));
    b.send(&told(
        3,
        &tag,
        "active;expires=60",
        "SIP/2.0 100 Trying\r\n",
    ));
    b.sent("SIP/2.0 200");
    b.send(&told(4, &tag, "active;expires=60", "nonsense"));
    b.sent("SIP/2.0 400");
    b.send(&told(
        5,
        &tag,
        "terminated;reason=noresource",
        "SIP/2.0 486 Busy Here\r\n",
    ));
    b.sent("SIP/2.0 200");
    for expected in [(202, false), (100, false), (486, true)] {
        let SipEvent::Referred { status, over, .. } = b.event() else {
            panic!()
        };
        assert_eq!((status, over), expected);
    }
    // It is over: another one may be asked for, and refused.
    b.send(&told(6, &tag, "active", "SIP/2.0 100 Trying"));
    b.sent("SIP/2.0 405");
    b.run(|e, now| e.refer(now, leg, "sip:3001@realm.test"))
        .unwrap();
    let refer = b.sent("REFER ");
    b.send(&respond(&refer, "403 Forbidden", "", "", ""));
    let SipEvent::Referred {
        status: 403,
        over: true,
        ..
    } = b.event()
    else {
        panic!()
    };
    b.silent();
}
