//! What one side of a call learns of the other, and what it must not (`docs/sip-conformance.md` §6–§9).

use std::net::SocketAddr;
use std::time::Duration;

use super::bridge::{Results, SECOND, bridges, endings, flow, ringing, talking};
use super::world::callee::Incoming;
use super::world::phone::{Phone, header};
use super::world::rtp::{Ears, Voice, audio_of};
use super::world::{Settings, World, world_of, world_with};

const OFFER: &str = "v=0\r\no=jdoe 1 1 IN IP4 192.168.7.7\r\ns=secret\r\ni=desk of jdoe\r\nc=IN IP4 10.0.1.1\r\n\
                     t=0 0\r\na=tool:Caller 1.0\r\nm=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

#[test]
fn nothing_of_one_side_is_seen_on_the_other() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let call = caller.call_with("2000", OFFER);
        call.invite(
            "Record-Route: <sip:edge.lan;lr>\r\nUser-Agent: Caller/1.0\r\nX-Secret: plan\r\nSubject: private\r\n\
             Authorization: Digest username=\"jdoe\", realm=\"x\", nonce=\"n\", uri=\"sip:x\", response=\"0123456789abcdef0123456789abcdef\"\r\n\
             Organization: Acme\r\nCall-Info: <http://192.168.7.7/face.png>\r\nP-Asserted-Identity: <sip:boss@lan>\r\n\
             History-Info: <sip:hidden@lan>;index=1\r\nGeolocation: <cid:home@lan>\r\n",
        );
        let incoming = callee.called(SECOND).await;
        let own = [
            "edge.lan",
            "Caller/1.0",
            "plan",
            "private",
            "jdoe",
            "Acme",
            "192.168.",
            "boss@",
            "hidden@",
            "home@",
            "10.0.1.1",
            "from1",
            &call.call_id,
            "z9hG4bK-1-",
            "face.png",
            "Caller 1.0",
            "desk of",
        ];
        for secret in own {
            assert!(
                !incoming.invite.contains(secret),
                "{secret} in {}",
                incoming.invite
            );
        }
        assert!(
            !incoming.invite.contains("Record-Route") && !incoming.invite.contains("Authorization")
        );
        let ok = "200 OK\r\nServer: Callee/2.0\r\nX-Inner: inner\r\nWarning: 399 callee.lan \"w\"\r\nRecord-Route: <sip:far.lan;lr>";
        incoming.reply("180 Ringing", "");
        let ringing = call.expect(180, SECOND).await;
        incoming.reply(ok, &incoming.sdp("sendrecv"));
        let answer = call.expect(200, SECOND).await;
        call.ack("");
        callee.expect("ACK ", SECOND).await;
        for secret in [
            "Callee/2.0",
            "inner",
            "callee.lan",
            "far.lan",
            "10.0.1.2",
            "callee5000",
            header(&incoming.invite, "Call-ID"),
        ] {
            assert!(!answer.contains(secret), "{secret} in {answer}");
            assert!(!ringing.contains(secret), "{secret} in {ringing}");
        }
        call.hang_up().await;
        let bye = incoming.wait_for_bye(SECOND).await;
        for secret in own {
            assert!(!bye.contains(secret), "{secret} in {bye}");
        }
        world.at_rest().await;
    });
}

#[test]
fn max_forwards_is_one_less_on_the_other_side() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let text = |wanted: &str| {
            format!(
                "INVITE sip:2000@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.1.1:5060;branch=z9hG4bK{n};rport\r\n{wanted}\
                 From: <sip:1001@world.test>;tag=f\r\nTo: <sip:2000@world.test>\r\nCall-ID: hops{n}\r\nCSeq: 1 INVITE\r\n\
                 Contact: <sip:1001@10.0.1.1:5060>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}",
                OFFER.len(),
                n = wanted.len(),
            )
        };
        for (sent, shown) in [
            ("Max-Forwards: 7\r\n", "6"),
            ("Max-Forwards: 255\r\n", "254"),
            ("", "69"),
        ] {
            caller.send(&text(sent));
            let incoming = callee.called(SECOND).await;
            assert_eq!(header(&incoming.invite, "Max-Forwards"), shown);
            incoming.refuse("486 Busy Here").await;
            caller.expect("SIP/2.0 486", SECOND).await;
        }
        // The last hop is used up: nobody is rung.
        caller.send(&text("Max-Forwards: 00\r\n"));
        caller.expect("SIP/2.0 483", SECOND).await;
        assert!(callee.waiting().is_empty());
    });
}

#[test]
fn the_reason_of_one_side_reaches_the_other() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let (call, incoming) = talking(&caller, &callee).await;
        call.send(
            "BYE",
            "Reason: SIP;cause=200;text=\"x\", Q.850;cause=38;text=\"gone\"\r\n",
            "",
        );
        caller.expect("SIP/2.0 200", SECOND).await;
        let bye = incoming.wait_for_bye(SECOND).await;
        assert!(
            header(&bye, "Reason").starts_with("Q.850;cause=38"),
            "{bye}"
        );
        world.at_rest().await;
        assert!(
            endings(&world).contains(&("NETWORK_OUT_OF_ORDER", "recv_bye")),
            "{:?}",
            endings(&world)
        );
        // A refusal with a cause of its own.
        let call = caller.call("2000");
        call.invite("");
        let incoming = callee.called(SECOND).await;
        incoming.reply("480 Gone\r\nReason: Q.850;cause=20", "");
        callee.expect("ACK ", SECOND).await;
        let refusal = call.expect(480, SECOND).await;
        assert!(
            header(&refusal, "Reason").starts_with("Q.850;cause=20"),
            "{refusal}"
        );
        call.ack_refusal();
        world.at_rest().await;
    });
}

/// A description of the callee's with its media elsewhere.
fn at_port(incoming: &Incoming, port: u16) -> String {
    incoming
        .sdp("sendrecv")
        .replace("m=audio 5000", &format!("m=audio {port}"))
}

fn listens(phone: &Phone, port: u16) -> SocketAddr {
    SocketAddr::new(phone.address().ip(), port)
}

/// How many packets of that speaker come to that address in a second.
async fn heard(ears: &Ears, at: SocketAddr, speaker: u8) -> usize {
    tokio::time::sleep(Duration::from_millis(200)).await;
    ears.take(at);
    tokio::time::sleep(SECOND).await;
    ears.count(at, speaker)
}

#[test]
fn media_follows_the_fork_that_answers() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (a, b) = (world.phone(), world.phone());
        let call = a.call("2000");
        call.invite("");
        let incoming = b.called(SECOND).await;
        let ours = audio_of(&incoming.invite);
        let _voices = [
            Voice::speak(&world, listens(&b, 5000), ours, 0x51),
            Voice::speak(&world, listens(&b, 5002), ours, 0x52),
        ];
        incoming.reply_as("one", "183 Session Progress", &at_port(&incoming, 5000));
        call.expect(183, SECOND).await;
        assert!(heard(&ears, listens(&a, 4000), 0x51).await >= 45);
        // Another branch has something to say: it is the one that is heard now.
        incoming.reply_as("two", "183 Session Progress", &at_port(&incoming, 5002));
        assert!(heard(&ears, listens(&a, 4000), 0x52).await >= 45);
        incoming.reply_as("one", "200 OK", &at_port(&incoming, 5000));
        b.expect("ACK ", SECOND).await;
        let ok = call.expect(200, SECOND).await;
        call.ack("");
        let _caller = Voice::speak(&world, listens(&a, 4000), audio_of(&ok), 0x11);
        assert!(heard(&ears, listens(&a, 4000), 0x51).await >= 45);
        assert!(heard(&ears, listens(&b, 5000), 0x11).await >= 45);
        assert_eq!(ears.count(listens(&b, 5002), 0x11), 0);
        call.hang_up().await;
        let bye = b.expect("BYE ", SECOND).await;
        assert!(header(&bye, "To").contains("tag=one"), "{bye}");
        b.answer(&bye, "200 OK", "");
        drop((_voices, _caller));
        world.at_rest().await;
    });
}

#[test]
fn another_description_in_the_same_early_dialog_is_ignored() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (a, b) = (world.phone(), world.phone());
        let call = a.call("2000");
        call.invite("");
        let incoming = b.called(SECOND).await;
        incoming.reply("183 Session Progress", &at_port(&incoming, 5000));
        incoming.reply("183 Session Progress", &at_port(&incoming, 5002));
        incoming.reply("200 OK", &at_port(&incoming, 5004));
        b.expect("ACK ", SECOND).await;
        let ok = call.expect(200, SECOND).await;
        call.ack("");
        let voice = Voice::speak(&world, listens(&a, 4000), audio_of(&ok), 0x11);
        assert!(heard(&ears, listens(&b, 5000), 0x11).await >= 45);
        assert_eq!(
            ears.count(listens(&b, 5002), 0x11) + ears.count(listens(&b, 5004), 0x11),
            0
        );
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        drop(voice);
        world.at_rest().await;
    });
}

#[test]
fn a_held_leg_may_be_silent_for_longer() {
    let settings = Settings {
        rtp_timeout: Some(30 * SECOND),
        held_timeout: Some(600 * SECOND),
        ..Settings::default()
    };
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_with(1, settings, run, |world| async move {
        flow(&world, "2000").await;
        let (a, b) = (world.phone(), world.phone());
        let call = a.call("2000");
        call.invite("");
        let incoming = b.called(SECOND).await;
        incoming.answer().await;
        let ok = call.expect(200, SECOND).await;
        call.ack("");
        let voice = Voice::speak(&world, listens(&b, 5000), audio_of(&incoming.invite), 0x22);
        let talks = Voice::speak(&world, listens(&a, 4000), audio_of(&ok), 0x11);
        tokio::time::sleep(5 * SECOND).await;
        drop(talks);
        let held = OFFER.replace("m=audio", "a=inactive\r\nm=audio");
        let cseq = call.send("INVITE", "", &held);
        let answer = a.expect("SIP/2.0 200", SECOND).await;
        assert!(answer.contains("a=inactive"), "{answer}");
        call.send_ack(cseq);
        // Twenty times as long as one who is not held may be silent.
        tokio::time::sleep(550 * SECOND).await;
        assert_eq!(
            (world.core.calls(), world.core.legs()),
            (1, 2),
            "it went on"
        );
        call.wait_for_bye(100 * SECOND).await;
        incoming.wait_for_bye(SECOND).await;
        drop(voice);
        world.at_rest().await;
    });
}

#[test]
fn a_reinvite_for_fax_is_refused_and_the_audio_goes_on() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (a, b) = (world.phone(), world.phone());
        let (call, incoming) = talking(&a, &b).await;
        let fax = "v=0\r\no=jdoe 1 2 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\nm=image 4100 udptl t38\r\na=T38FaxVersion:0\r\n";
        let cseq = call.send("INVITE", "", fax);
        let refusal = a.expect("SIP/2.0 488", SECOND).await;
        assert!(!header(&refusal, "Warning").is_empty(), "{refusal}");
        // Its ACK has the branch of the INVITE.
        a.send(&format!(
            "ACK sip:2000@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {0};rport;branch=z9hG4bK-1-5060-INVITE{cseq}\r\nMax-Forwards: 70\r\n\
             From: {1}\r\nTo: {2}\r\nCall-ID: {3}\r\nCSeq: {cseq} ACK\r\nContent-Length: 0\r\n\r\n",
            a.address(), header(&refusal, "From"), header(&refusal, "To"), call.call_id,
        ));
        let voice = Voice::speak(&world, listens(&b, 5000), audio_of(&incoming.invite), 0x22);
        assert!(heard(&ears, listens(&a, 4000), 0x22).await >= 45);
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        drop(voice);
        world.at_rest().await;
    });
}

#[test]
fn a_diversion_goes_on_with_the_call() {
    let run = bridges(&Results::default(), |_| {
        let mut options = ringing(&["10.0.1.2"]);
        options.targets[0].headers = vec![(
            "Diversion".into(),
            "<sip:ours@world.test>;reason=unconditional;counter=1".into(),
        )];
        options
    });
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let call = caller.call("2000");
        let before: String = (1..=7)
            .map(|n| format!("Diversion: <sip:10{n}@world.test>;reason=no-answer;counter={n}\r\n"))
            .collect();
        call.invite(&before);
        let incoming = callee.called(SECOND).await;
        let shown: Vec<&str> = incoming
            .invite
            .lines()
            .filter_map(|line| line.strip_prefix("Diversion: "))
            .collect();
        // The latest first (RFC 5806 §4.2.1), five in all.
        assert_eq!(shown.len(), 5, "{shown:?}");
        assert!(
            shown[0].starts_with("<sip:ours@world.test>;reason=unconditional"),
            "{shown:?}"
        );
        assert!(
            shown[1].starts_with("<sip:101@world.test>;reason=no-answer"),
            "{shown:?}"
        );
        incoming.refuse("486 Busy Here").await;
        call.expect(486, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
}

#[test]
fn a_number_in_a_tel_uri_is_found() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "+493012345").await;
        let (caller, callee) = (world.phone(), world.phone());
        for (n, uri) in [
            "tel:+493012345",
            "tel:+49-30-12345;phone-context=x",
            "sip:+493012345;npdi@10.0.0.1;user=phone",
        ]
        .iter()
        .enumerate()
        {
            caller.send(&format!(
                "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.1.1:5060;branch=z9hG4bKtel{n};rport\r\nMax-Forwards: 70\r\n\
                 From: <tel:+1-415-555-0100>;tag=f\r\nTo: <{uri}>\r\nCall-ID: tel{n}\r\nCSeq: 1 INVITE\r\n\
                 Contact: <sip:1001@10.0.1.1:5060>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}",
                OFFER.len(),
            ));
            let incoming = callee.called(SECOND).await;
            let from = header(&incoming.invite, "From");
            assert!(from.contains("sip:+14155550100@"), "{uri}: {from}");
            incoming.refuse("486 Busy Here").await;
            caller.expect("SIP/2.0 486", SECOND).await;
        }
    });
}

#[test]
fn who_transferred_is_told_to_the_target() {
    let run = bridges(&Results::default(), |call| {
        match call.facts().request_user.as_str() {
            "2000" => ringing(&["10.0.1.2"]),
            _ => ringing(&["10.0.1.3"]),
        }
    });
    world_of(1, run, |world: World| async move {
        for number in ["2000", "3000"] {
            flow(&world, number).await;
        }
        let (a, b, c) = (world.phone(), world.phone(), world.phone());
        let (call, incoming) = talking(&a, &b).await;
        incoming.send(
            "REFER",
            "Refer-To: <sip:3000@world.test>\r\nReferred-By: \"Ben\" <sip:ben@world.test>\r\n",
            "",
        );
        b.expect("SIP/2.0 202", SECOND).await;
        let third = c.called(SECOND).await;
        assert_eq!(
            header(&third.invite, "Referred-By"),
            "\"Ben\" <sip:ben@world.test>"
        );
        assert!(header(&incoming.invite, "Referred-By").is_empty());
        third.answer().await;
        incoming.wait_for_bye(SECOND).await;
        call.hang_up().await;
        third.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
}

#[test]
fn a_confirmed_dialog_is_not_replaced_early_only_nor_by_a_stranger() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (a, b, c) = (world.phone(), world.phone(), world.phone());
        let (call, incoming) = talking(&a, &b).await;
        let taking = c.call("2000");
        taking.invite(&format!(
            "Require: replaces\r\nReplaces: {};early-only\r\n",
            incoming.as_replaced()
        ));
        taking.expect(486, SECOND).await;
        taking.ack_refusal();
        let stranger = world.phone_at("10.0.99.1:5060");
        let taking = stranger.call("2000");
        taking.invite(&format!(
            "Require: replaces\r\nReplaces: {}\r\n",
            incoming.as_replaced()
        ));
        taking.expect(401, SECOND).await;
        taking.ack_refusal();
        // One tag wrong is no dialog.
        let taking = c.call("2000");
        let wrong = incoming
            .as_replaced()
            .replace("from-tag=callee", "from-tag=callex");
        taking.invite(&format!("Require: replaces\r\nReplaces: {wrong}\r\n"));
        taking.expect(481, SECOND).await;
        taking.ack_refusal();
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
}

/// `security.md` row 13: who sprays our ports before, at and after the answer.
#[test]
fn sprayers_hear_nothing_and_are_not_heard() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (a, b) = (world.phone(), world.phone());
        let call = a.call("2000");
        call.invite("");
        let incoming = b.called(SECOND).await;
        let to_callee = audio_of(&incoming.invite);
        // Of many addresses, one of them the caller's own host, and by known and unknown payloads.
        let strangers: Vec<SocketAddr> = (0..20)
            .map(|n| format!("10.9.9.{n}:7000").parse().unwrap())
            .chain(["10.0.1.3:4000".parse().unwrap()])
            .collect();
        let spray = |to: SocketAddr| -> Vec<Voice> {
            let all = strangers.iter();
            all.map(|from| Voice::speak(&world, *from, to, 0x66))
                .collect()
        };
        let mut sprays = spray(to_callee);
        tokio::time::sleep(SECOND).await;
        incoming.reply("183 Session Progress", &at_port(&incoming, 5000));
        call.expect(183, SECOND).await;
        tokio::time::sleep(SECOND).await;
        incoming.reply("200 OK", &at_port(&incoming, 5000));
        b.expect("ACK ", SECOND).await;
        let ok = call.expect(200, SECOND).await;
        sprays.extend(spray(audio_of(&ok)));
        call.ack("");
        let voices = [
            Voice::speak(&world, listens(&a, 4000), audio_of(&ok), 0x11),
            Voice::speak(&world, listens(&b, 5000), to_callee, 0x22),
        ];
        for _ in 0..5 {
            tokio::time::sleep(2 * SECOND).await;
            for (at, speaker) in [(listens(&a, 4000), 0x22), (listens(&b, 5000), 0x11)] {
                let heard = ears.take(at);
                let of = |wanted: u8| heard.iter().filter(|h| h.payload.contains(&wanted)).count();
                assert_eq!(of(0x66), 0, "a stranger is heard at {at}");
                assert!(of(speaker) >= 45, "{} packets at {at}", of(speaker));
            }
        }
        for stranger in &strangers {
            assert!(ears.take(*stranger).is_empty(), "{stranger} was sent media");
        }
        drop((sprays, voices));
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
}

/// `security.md` row 34: what strangers write into their messages is never looked up.
#[test]
fn names_strangers_write_are_never_resolved() {
    use std::cell::Cell;
    use std::rc::Rc;

    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let asked = Rc::new(Cell::new(0));
        let count = asked.clone();
        world.core.set_resolve(Rc::new(move |_| {
            count.set(count.get() + 1);
            Box::pin(async { Vec::new() })
        }));
        for n in 0..10_000_u32 {
            let method = ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "BYE"][(n % 5) as usize];
            // A source each, so that none is held back.
            let source = format!("10.{}.{}.9:5060", 100 + n / 200, n % 200);
            let stranger = world.phone_at(&source);
            let sdp = OFFER
                .replace("192.168.7.7", &format!("o{n}.evil.test"))
                .replace("IP4 10.0.1.1", &format!("IP4 c{n}.evil.test"));
            stranger.send(&format!(
                "{method} sip:2000@r{n}.evil.test SIP/2.0\r\nVia: SIP/2.0/UDP v{n}.evil.test:5060;branch=z9hG4bK{n};rport\r\n\
                 Max-Forwards: 70\r\nRoute: <sip:p{n}.evil.test;lr>\r\nFrom: <sip:x@f{n}.evil.test>;tag=f\r\nTo: <sip:2000@t{n}.evil.test>\r\n\
                 Call-ID: dns{n}\r\nCSeq: 1 {method}\r\nContact: <sip:x@k{n}.evil.test>\r\nRecord-Route: <sip:q{n}.evil.test;lr>\r\n\
                 Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
                sdp.len(),
            ));
            if n % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        tokio::time::sleep(40 * SECOND).await;
        assert_eq!(asked.get(), 0, "names were looked up");
        // A known phone's names are not either: it is answered where it is.
        let phone = world.phone();
        let call = phone.call_with(
            "2000",
            &OFFER.replace("IP4 10.0.1.1", "IP4 media.phone.test"),
        );
        call.invite("Record-Route: <sip:edge.phone.test;lr>\r\n");
        call.expect(488, SECOND).await;
        call.ack_refusal();
        assert_eq!(asked.get(), 0);
    });
}
