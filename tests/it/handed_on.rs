//! Attended transfers beyond three telephones: into a flow, and what a party hears on hold afterwards.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use swivel::audio::Clip;
use swivel::call::{BridgeOptions, CallHandle};

use super::bridge::{Results, SECOND, bridges, flow, ringing, talking};
use super::world::callee::Incoming;
use super::world::phone::{Phone, PhoneCall, header};
use super::world::rtp::Ears;
use super::world::{script, world_of};

fn encoded(replaces: &str) -> String {
    replaces
        .replace('@', "%40")
        .replace(';', "%3B")
        .replace('=', "%3D")
        .replace(':', "%3A")
}

/// `b` has both parts put together; hears of it, and of the end of its two calls.
async fn put_together(b: &Phone, incoming: &Incoming, second: &PhoneCall, number: &str) {
    let refer = format!(
        "Refer-To: <sip:{number}@world.test?Replaces={}>\r\n",
        encoded(&second.as_replaced())
    );
    incoming.send("REFER", &refer, "");
    b.expect("SIP/2.0 202", SECOND).await;
    let (mut told, mut byes) = (Vec::new(), 0);
    while told.len() + byes < 4 {
        let text = b.receive(SECOND).await.unwrap();
        if text.starts_with("NOTIFY ") {
            assert!(header(&text, "Event").starts_with("refer"), "{text}");
            told.push(text.split("\r\n\r\n").nth(1).unwrap().trim().to_owned());
        } else {
            assert!(text.starts_with("BYE "), "{text}");
            byes += 1;
        }
        second.reply(&text, "200 OK");
    }
    assert_eq!(told, ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
}

#[test]
fn an_attended_transfer_into_a_flow_takes_the_other_party_through_it() {
    let seen = Results::default();
    let notes = Rc::clone(&seen);
    let run = script(move |call: CallHandle| {
        let notes = Rc::clone(&notes);
        async move {
            let number = call.facts().request_user.clone();
            if number == "2000" {
                let ended = call.bridge(ringing(&["10.0.1.2"])).await;
                drop(ended);
                return;
            }
            // A menu: it answers, and stays with whoever is there.
            if call.answer().await.is_ok() {
                let caller = call.facts().caller_id_number.clone();
                notes.borrow_mut().push(format!("{number} for {caller}"));
                let over = call.wait_for_hangup().await;
                drop(over);
            }
        }
    });
    world_of(1, run, |world| async move {
        for number in ["2000", "4000"] {
            flow(&world, number).await;
        }
        let (a, b) = (world.phone(), world.phone());
        let (call, incoming) = talking(&a, &b).await;
        let second = b.call("4000");
        second.invite("");
        second.expect(200, SECOND).await;
        second.ack("");
        tokio::time::sleep(SECOND).await;
        put_together(&b, &incoming, &second, "4000").await;
        tokio::time::sleep(SECOND).await;
        assert_eq!((world.core.calls(), world.core.legs()), (1, 1));
        call.hang_up().await;
        world.at_rest().await;
    });
    let seen = seen.borrow();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(
        seen.iter().all(|line| line.starts_with("4000 for ")),
        "{seen:?}"
    );
}

#[test]
fn two_parties_put_together_still_hear_music_on_hold() {
    let music = Arc::new(Clip::new(8000, vec![8000; 8000]));
    let run = bridges(&Results::default(), move |call| {
        let phone = match call.facts().request_user.as_str() {
            "2000" => "10.0.1.2",
            _ => "10.0.1.3",
        };
        BridgeOptions {
            hold_music: Some(music.clone()),
            ..ringing(&[phone])
        }
    });
    world_of(1, run, |world| async move {
        for number in ["2000", "3000"] {
            flow(&world, number).await;
        }
        let ears = Ears::of(&world);
        let (a, b, c) = (world.phone(), world.phone(), world.phone());
        let (call, incoming) = talking(&a, &b).await;
        let second = b.call("3000");
        second.invite("");
        let third = c.called(SECOND).await;
        third.answer().await;
        second.expect(200, SECOND).await;
        second.ack("");
        tokio::time::sleep(SECOND).await;
        put_together(&b, &incoming, &second, "3000").await;
        let at = SocketAddr::new(a.address().ip(), 4000);
        tokio::time::sleep(SECOND).await;
        let cseq = third.send("INVITE", "", &third.sdp("sendonly"));
        c.expect("SIP/2.0 200", SECOND).await;
        third.send_numbered("ACK", cseq, "", "");
        tokio::time::sleep(SECOND).await;
        ears.take(at);
        tokio::time::sleep(SECOND).await;
        let heard = ears.take(at);
        assert!(heard.len() >= 48, "{} packets while on hold", heard.len());
        let silent = |payload: &[u8]| payload.iter().all(|byte| *byte == 0xff);
        assert!(
            !heard.iter().any(|packet| silent(&packet.payload)),
            "music, not silence"
        );
        third.hang_up().await;
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
}
