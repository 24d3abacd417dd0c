//! What two bridged telephones hear of each other: talk, loss, hold, digits, transfer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use swivel::audio::Clip;
use swivel::call::BridgeOptions;

use super::bridge::{Results, SECOND, bridges, flow, ringing};
use super::world::callee::Incoming;
use super::world::link::Link;
use super::world::phone::{Phone, PhoneCall};
use super::world::rtp::{Ears, Voice, audio_of};
use super::world::{World, world_of};

/// Two telephones that talk to each other aloud.
struct Pair {
    call: PhoneCall,
    incoming: Incoming,
    /// Where the caller and the callee listen.
    ears: [SocketAddr; 2],
    _voices: [Voice; 2],
}

async fn talking(world: &World, caller: &Phone, callee: &Phone) -> Pair {
    let call = caller.call("2000");
    call.invite("");
    let incoming = callee.called(SECOND).await;
    incoming.ring();
    incoming.answer().await;
    let ok = call.expect(200, SECOND).await;
    call.ack("");
    let ears = [
        SocketAddr::new(caller.address().ip(), 4000),
        SocketAddr::new(callee.address().ip(), 5000),
    ];
    let voices = [
        Voice::speak(world, ears[0], audio_of(&ok), CALLER),
        Voice::speak(world, ears[1], audio_of(&incoming.invite), CALLEE),
    ];
    Pair {
        call,
        incoming,
        ears,
        _voices: voices,
    }
}

const CALLER: u8 = 0x11;
const CALLEE: u8 = 0x22;

#[test]
fn both_hear_each_other_as_they_speak() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (a, b) = (world.phone(), world.phone());
        let pair = talking(&world, &a, &b).await;
        tokio::time::sleep(SECOND).await;
        ears.take(pair.ears[0]);
        ears.take(pair.ears[1]);
        tokio::time::sleep(2 * SECOND).await;
        for (at, speaker) in [(pair.ears[0], CALLEE), (pair.ears[1], CALLER)] {
            let heard = ears.count(at, speaker);
            assert!(
                (98..=102).contains(&heard),
                "{heard} packets of {speaker:x}"
            );
        }
        pair.call.hang_up().await;
        pair.incoming.wait_for_bye(SECOND).await;
        drop(pair);
        world.at_rest().await;
    });
}

#[test]
fn bridges_come_and_go_under_20_percent_loss() {
    for seed in 0..60 {
        let run = bridges(&Results::default(), |_| BridgeOptions {
            limit: Some(20 * SECOND),
            ..ringing(&["10.0.1.2"])
        });
        world_of(seed, run, |world| async move {
            flow(&world, "2000").await;
            world.net.set_link(Link {
                loss: 0.2,
                delay: Duration::from_millis(40),
                ..Link::default()
            });
            let (a, b) = (world.phone(), world.phone());
            let call = a.call("2000");
            let callee = tokio::task::spawn_local(async move {
                let incoming = b.called(32 * SECOND).await;
                incoming.patient(seed).await;
            });
            call.patient(seed).await;
            callee.await.unwrap();
            world.net.set_link(Link::default());
            world.at_rest().await;
        });
    }
}

#[test]
fn a_party_on_hold_hears_music_and_then_the_other_again() {
    // A clip no telephone says itself.
    let music = Arc::new(Clip::new(8000, vec![8000; 8000]));
    let run = bridges(&Results::default(), move |_| BridgeOptions {
        hold_music: Some(music.clone()),
        ..ringing(&["10.0.1.2"])
    });
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (a, b) = (world.phone(), world.phone());
        let pair = talking(&world, &a, &b).await;
        tokio::time::sleep(SECOND).await;
        hold(&b, &pair.incoming, "sendonly").await;
        tokio::time::sleep(SECOND).await;
        ears.take(pair.ears[0]);
        ears.take(pair.ears[1]);
        tokio::time::sleep(SECOND).await;
        let heard = ears.take(pair.ears[0]);
        assert!(heard.len() >= 48, "{} packets while on hold", heard.len());
        let spoken = |payload: &[u8]| payload.iter().all(|byte| *byte == CALLEE);
        assert!(
            !heard.iter().any(|packet| spoken(&packet.payload)),
            "the holder is not heard"
        );
        assert_eq!(
            ears.count(pair.ears[1], CALLER),
            0,
            "the holder hears nothing"
        );
        hold(&b, &pair.incoming, "sendrecv").await;
        tokio::time::sleep(SECOND).await;
        ears.take(pair.ears[0]);
        ears.take(pair.ears[1]);
        tokio::time::sleep(SECOND).await;
        assert!(ears.count(pair.ears[0], CALLEE) >= 48);
        assert!(ears.count(pair.ears[1], CALLER) >= 48);
        pair.call.hang_up().await;
        pair.incoming.wait_for_bye(SECOND).await;
        drop(pair);
        world.at_rest().await;
    });
}

async fn hold(phone: &Phone, incoming: &Incoming, direction: &str) {
    let cseq = incoming.send("INVITE", "", &incoming.sdp(direction));
    phone.expect("SIP/2.0 200", SECOND).await;
    incoming.send_numbered("ACK", cseq, "", "");
}

#[test]
fn early_media_is_heard_and_ringback_stops_for_it() {
    let ringback = Arc::new(Clip::new(8000, vec![4000; 8000]));
    let run = bridges(&Results::default(), move |_| BridgeOptions {
        ringback: Some(ringback.clone()),
        ..ringing(&["10.0.1.2"])
    });
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (a, b) = (world.phone(), world.phone());
        let call = a.call("2000");
        call.invite("");
        let incoming = b.called(SECOND).await;
        incoming.ring();
        call.expect(183, SECOND).await;
        tokio::time::sleep(SECOND).await;
        let at = SocketAddr::new(a.address().ip(), 4000);
        assert!(ears.take(at).len() >= 45, "our own ringback");
        incoming.reply("183 Session Progress", &incoming.sdp("sendrecv"));
        let from = SocketAddr::new(b.address().ip(), 5000);
        let voice = Voice::speak(&world, from, audio_of(&incoming.invite), CALLEE);
        tokio::time::sleep(SECOND).await;
        ears.take(at);
        tokio::time::sleep(SECOND).await;
        assert!(
            ears.count(at, CALLEE) >= 48,
            "the callee's own announcement"
        );
        incoming.refuse("486 Busy Here").await;
        call.expect(486, SECOND).await;
        call.ack_refusal();
        drop(voice);
        world.at_rest().await;
    });
}

#[test]
fn a_digit_by_info_reaches_the_other_side_as_an_event() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (a, b) = (world.phone(), world.phone());
        let pair = talking(&world, &a, &b).await;
        tokio::time::sleep(SECOND).await;
        ears.take(pair.ears[1]);
        let relay = "Content-Type: application/dtmf-relay\r\n";
        pair.call
            .send("INFO", relay, "Signal=7\r\nDuration=160\r\n");
        tokio::time::sleep(SECOND).await;
        let events: Vec<_> = ears
            .take(pair.ears[1])
            .into_iter()
            .filter(|packet| packet.payload_type == 101)
            .collect();
        assert!(events.len() >= 3, "{events:?}");
        assert!(
            events.iter().all(|packet| packet.payload[0] == 7),
            "{events:?}"
        );
        pair.call.hang_up().await;
        pair.incoming.wait_for_bye(SECOND).await;
        drop(pair);
        world.at_rest().await;
    });
}

#[test]
fn a_leg_that_is_replaced_leaves_less_than_half_a_second_of_silence() {
    let run = bridges(&Results::default(), |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let ears = Ears::of(&world);
        let (a, b, c) = (world.phone(), world.phone(), world.phone());
        let pair = talking(&world, &a, &b).await;
        tokio::time::sleep(2 * SECOND).await;
        ears.take(pair.ears[0]);
        let replaces = format!("Replaces: {}\r\n", pair.incoming.as_replaced());
        let taking = c.call("2000");
        taking.invite(&replaces);
        let ok = taking.expect(200, SECOND).await;
        taking.ack("");
        let theirs = SocketAddr::new(c.address().ip(), 4000);
        let voice = Voice::speak(&world, theirs, audio_of(&ok), 0x33);
        pair.incoming.wait_for_bye(SECOND).await;
        tokio::time::sleep(2 * SECOND).await;
        let heard = ears.take(pair.ears[0]);
        let said = |byte: u8| {
            heard
                .iter()
                .filter(move |packet| packet.payload.iter().all(|b| *b == byte))
        };
        let last = said(CALLEE).next_back().unwrap().at;
        let first = said(0x33).next().expect("the new party is heard").at;
        assert!(
            first - last < Duration::from_millis(500),
            "{:?}",
            first - last
        );
        assert!(ears.count(theirs, CALLER) >= 90, "and hears the other");
        pair.call.hang_up().await;
        taking.wait_for_bye(SECOND).await;
        drop((pair, voice));
        world.at_rest().await;
    });
}
