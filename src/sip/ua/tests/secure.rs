//! TLS and WebSocket: whom a connection must reach, what may not leave without TLS, what we call ourselves.

use super::*;

fn call(uri: &str, transport: Transport) -> InviteRequest {
    let to = Target {
        transport,
        addr: "192.0.2.7:5061".parse().unwrap(),
    };
    let mut request = InviteRequest::new(uri, to, "<sip:us@near.test>");
    request.body = Some(Body::sdp(OUR_SDP));
    request
}

/// Places a call; the connections it asks for, by number, transport and host, and what it sends at once.
fn place(b: &mut Bench, request: InviteRequest) -> (Vec<(u64, Transport, String)>, usize) {
    let now = b.now;
    b.endpoint.invite(now, request);
    let (mut connects, mut sent) = (Vec::new(), 0);
    while let Some(transmit) = b.endpoint.poll_transmit() {
        match transmit {
            Transmit::Connect {
                request,
                transport,
                host,
                ..
            } => connects.push((request, transport, host.into())),
            Transmit::Send { .. } => sent += 1,
            Transmit::Close { .. } => {}
        }
    }
    (connects, sent)
}

fn stream(transport: Transport, connection: u64) -> Flow {
    Flow {
        transport,
        local: "10.0.0.1:40000".parse().unwrap(),
        remote: "192.0.2.7:5061".parse().unwrap(),
        connection,
    }
}

/// RFC 3261 §8.1.2, RFC 5922 §7: an outbound proxy must prove its own name, not the one of who is called.
#[test]
fn a_secure_proxy_proves_its_own_name() {
    let mut b = bench();
    let mut request = call("sip:1@carrier.test", Transport::Tls);
    request.routes = vec!["<sip:proxy.test;transport=tls;lr>".into()];
    let (connects, _) = place(&mut b, request);
    assert_eq!(connects[0].2, "proxy.test");
}

/// RFC 5922 §7: the host of the next hop's URI, not what DNS made of it.
#[test]
fn a_secure_connection_names_the_host_of_the_next_hop() {
    let mut b = bench();
    let (connects, sent) = place(&mut b, call("sip:1@carrier.test", Transport::Tls));
    let [(request, Transport::Tls, host)] = &connects[..] else {
        panic!("{connects:?}")
    };
    assert_eq!((host.as_str(), sent), ("carrier.test", 0));
    let request = *request;
    b.run(|e, now| e.connected(now, request, stream(Transport::Tls, 1)));
    let (_, flow, invite) = b.sent_at("INVITE sip:1@carrier.test SIP/2.0");
    assert_eq!(flow.connection, 1);
    assert!(
        header(&invite, "Via").unwrap().starts_with("SIP/2.0/TLS "),
        "{invite}"
    );
    assert!(
        header(&invite, "Contact")
            .unwrap()
            .ends_with(";transport=tls>"),
        "{invite}"
    );

    let mut routed = call("sip:1@carrier.test", Transport::Tls);
    routed.headers = vec![(
        "Route".into(),
        "\"The, edge\" <sip:edge.test:5061;lr>".into(),
    )];
    let (connects, _) = place(&mut b, routed);
    assert_eq!(connects[0].2, "edge.test");
}

/// CVE-2020-15260 of another program: an open connection to the same address says nothing about another host.
#[test]
fn a_connection_is_used_again_for_the_same_host_only() {
    let mut b = bench();
    let (connects, _) = place(&mut b, call("sip:1@carrier.test", Transport::Tls));
    let first = connects[0].0;
    b.run(|e, now| e.connected(now, first, stream(Transport::Tls, 1)));
    b.sent("INVITE");
    assert_eq!(
        place(&mut b, call("sip:2@CARRIER.test", Transport::Tls)),
        (vec![], 1)
    );
    let (connects, sent) = place(&mut b, call("sip:3@other.test", Transport::Tls));
    assert_eq!((connects[0].2.as_str(), sent), ("other.test", 0));
    let (connects, sent) = place(&mut b, call("sip:4@carrier.test", Transport::Wss));
    assert_eq!((connects[0].1, sent), (Transport::Wss, 0));
    // A connection the peer opened from that very address is not used for it either.
    b.send_on(
        stream(Transport::Tls, 9),
        "OPTIONS sip:a@10.0.0.1 SIP/2.0
        Via: SIP/2.0/TLS 192.0.2.7:5061;branch=z9hG4bKa
        From: <sip:x@y>;tag=1
        To: <sip:a@10.0.0.1>
        Call-ID: o
        CSeq: 1 OPTIONS",
    );
    let (connects, sent) = place(&mut b, call("sip:5@third.test", Transport::Tls));
    assert_eq!((connects.len(), sent), (1, 0));
}

/// RFC 3261 §26.2.2.
#[test]
fn sips_never_leaves_without_tls() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Ws] {
        let mut b = bench();
        assert_eq!(
            place(&mut b, call("sips:1@carrier.test", transport)),
            (vec![], 0)
        );
        b.at(1);
        let mut routed = call("sip:1@carrier.test", transport);
        routed.headers = vec![("Route".into(), "<sips:edge.test;lr>".into())];
        assert_eq!(place(&mut b, routed), (vec![], 0), "{transport:?}");
    }
    let mut b = bench();
    let (connects, _) = place(&mut b, call("sips:1@carrier.test", Transport::Tls));
    let request = connects[0].0;
    b.run(|e, now| e.connected(now, request, stream(Transport::Tls, 1)));
    let invite = b.sent("INVITE sips:1@carrier.test");
    assert!(
        header(&invite, "Contact")
            .unwrap()
            .starts_with("<sips:swivel@"),
        "{invite}"
    );
}

#[test]
fn a_sips_call_that_would_need_another_transport_fails_at_once() {
    let mut b = bench();
    b.run(|e, now| e.invite(now, call("sips:1@carrier.test", Transport::Udp)));
    b.at(1);
    let failed = b
        .events
        .iter()
        .any(|event| matches!(event, SipEvent::Rejected { status: 503, .. }));
    b.silent();
    assert!(failed, "{:?}", b.events);
}

/// RFC 7118 §5: a name that cannot be resolved in Via and Contact, no Content-Length, answers on the connection, and
/// requests inside the dialog down the same one.
#[test]
fn a_phone_in_a_browser_calls_over_its_web_socket() {
    let mut b = bench();
    let flow = Flow {
        transport: Transport::Wss,
        local: "10.0.0.1:443".parse().unwrap(),
        remote: "10.0.0.2:51000".parse().unwrap(),
        connection: 4,
    };
    let text = format!(
        "INVITE sip:2000@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks\r\n\
         Max-Forwards: 69\r\nFrom: <sip:1000@realm.test>;tag=asd\r\nTo: <sip:2000@realm.test>\r\nCall-ID: ws1\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:k3k4@df7jal23ls0d.invalid;transport=ws;ob>\r\n\
         Content-Type: application/sdp\r\n\r\n{SDP}"
    );
    let now = b.now;
    b.endpoint.receive(now, flow, text.into());
    b.run(|_, _| ());
    let SipEvent::Invite(invite) = b.event() else {
        panic!("no INVITE")
    };
    let leg = invite.leg;
    b.run(|e, now| e.accept(now, leg, Some(Body::sdp(OUR_SDP))))
        .unwrap();
    let (_, used, ok) = b.sent_at("SIP/2.0 200");
    assert_eq!(used, flow);
    assert!(
        header(&ok, "Contact").unwrap().ends_with(";transport=ws>"),
        "{ok}"
    );
    assert!(
        header(&ok, "Via")
            .unwrap()
            .contains("df7jal23ls0d.invalid;"),
        "{ok}"
    );
    let tag = to_tag(&ok);
    b.send_on(
        flow,
        &format!(
            "ACK sip:swivel@10.0.0.1:443;transport=ws SIP/2.0
            Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKack
            From: <sip:1000@realm.test>;tag=asd
            To: <sip:2000@realm.test>;tag={tag}
            Call-ID: ws1
            CSeq: 1 ACK"
        ),
    );
    assert!(matches!(b.event(), SipEvent::Established { .. }));
    b.run(|e, now| e.bye(now, leg, None)).unwrap();
    let (_, used, bye) = b.sent_at("BYE sip:k3k4@df7jal23ls0d.invalid;transport=ws;ob SIP/2.0");
    assert_eq!(used, flow);
    assert!(
        header(&bye, "Via").unwrap().starts_with("SIP/2.0/WSS "),
        "{bye}"
    );
}
