//! Transfers: blind, attended, by Replaces; what happens when they fail.

use std::time::Duration;

use swivel::call::CallHandle;

use super::bridge::{Results, SECOND, bridges, flow, ringing, talking};
use super::world::callee::Incoming;
use super::world::phone::{Phone, PhoneCall, header};
use super::world::{World, world_of};

/// 2000 rings the second telephone, 3000 the third.
fn office(call: &CallHandle) -> swivel::call::BridgeOptions {
    match call.facts().request_user.as_str() {
        "2000" => ringing(&["10.0.1.2"]),
        _ => ringing(&["10.0.1.3"]),
    }
}

async fn three(world: &World) -> (Phone, Phone, Phone) {
    for number in ["2000", "3000"] {
        flow(world, number).await;
    }
    (world.phone(), world.phone(), world.phone())
}

const TO_3000: &str = "Refer-To: <sip:3000@world.test>\r\n";

/// The next NOTIFY of a transfer: its status line.
async fn notified(phone: &Phone, answer: impl Fn(&str), limit: Duration) -> String {
    let notify = phone.expect("NOTIFY ", limit).await;
    answer(&notify);
    let body = notify.split("\r\n\r\n").nth(1).unwrap().trim().to_owned();
    let over = !body.starts_with("SIP/2.0 1");
    let state = header(&notify, "Subscription-State");
    assert_eq!(state.starts_with("terminated"), over, "{notify}");
    assert!(header(&notify, "Event").starts_with("refer"), "{notify}");
    assert!(header(&notify, "Content-Type").starts_with("message/sipfrag"));
    body
}

async fn told_callee(phone: &Phone, incoming: &Incoming) -> String {
    notified(
        phone,
        |notify| incoming.answer_request(notify, "200 OK"),
        5 * SECOND,
    )
    .await
}

async fn told_caller(phone: &Phone, call: &PhoneCall) -> String {
    notified(phone, |notify| call.reply(notify, "200 OK"), 5 * SECOND).await
}

#[test]
fn a_callee_transfers_its_caller_to_a_third_party() {
    let results = Results::default();
    world_of(1, bridges(&results, office), |world| async move {
        let (a, b, c) = three(&world).await;
        let (call, incoming) = talking(&a, &b).await;
        incoming.send("REFER", TO_3000, "");
        b.expect("SIP/2.0 202", SECOND).await;
        assert_eq!(told_callee(&b, &incoming).await, "SIP/2.0 100 Trying");
        let third = c.called(SECOND).await;
        third.ring();
        tokio::time::sleep(SECOND).await;
        third.answer().await;
        assert_eq!(told_callee(&b, &incoming).await, "SIP/2.0 200 OK");
        incoming.wait_for_bye(SECOND).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.core.legs(), 2, "caller and third party");
        third.hang_up().await;
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["transferred", "done NORMAL_CLEARING"]);
}

#[test]
fn a_caller_transfers_its_callee_to_a_third_party() {
    let results = Results::default();
    world_of(1, bridges(&results, office), |world| async move {
        let (a, b, c) = three(&world).await;
        let (call, incoming) = talking(&a, &b).await;
        call.send("REFER", TO_3000, "");
        a.expect("SIP/2.0 202", SECOND).await;
        assert_eq!(told_caller(&a, &call).await, "SIP/2.0 100 Trying");
        let third = c.called(SECOND).await;
        third.answer().await;
        assert_eq!(told_caller(&a, &call).await, "SIP/2.0 200 OK");
        call.wait_for_bye(SECOND).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!((world.core.calls(), world.core.legs()), (1, 2));
        incoming.hang_up().await;
        third.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(results.borrow().len(), 2, "{:?}", results.borrow());
}

#[test]
fn a_transfer_that_fails_gives_the_call_back() {
    let results = Results::default();
    world_of(1, bridges(&results, office), |world| async move {
        let (a, b, c) = three(&world).await;
        let (call, incoming) = talking(&a, &b).await;
        incoming.send("REFER", TO_3000, "");
        b.expect("SIP/2.0 202", SECOND).await;
        assert_eq!(told_callee(&b, &incoming).await, "SIP/2.0 100 Trying");
        c.called(SECOND).await.refuse("486 Busy Here").await;
        assert_eq!(told_callee(&b, &incoming).await, "SIP/2.0 486 Busy Here");
        tokio::time::sleep(10 * SECOND).await;
        assert!(a.waiting().is_empty() && b.waiting().is_empty());
        // A second one, to nowhere, changes nothing either.
        incoming.send("REFER", "Refer-To: <sip:3999@world.test>\r\n", "");
        b.expect("SIP/2.0 202", SECOND).await;
        told_callee(&b, &incoming).await;
        assert_eq!(told_callee(&b, &incoming).await, "SIP/2.0 404 Not Found");
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(
        *results.borrow(),
        [
            "failed USER_BUSY 486",
            "the call has ended: NORMAL_CLEARING"
        ]
    );
}

#[test]
fn a_transfer_by_the_caller_that_fails_gives_the_call_back() {
    let results = Results::default();
    world_of(1, bridges(&results, office), |world| async move {
        let (a, b, c) = three(&world).await;
        let (call, incoming) = talking(&a, &b).await;
        for n in 0..3 {
            call.send("REFER", TO_3000, "");
            a.expect("SIP/2.0 202", SECOND).await;
            assert_eq!(told_caller(&a, &call).await, "SIP/2.0 100 Trying");
            let third = c.called_on(5010 + n, SECOND).await;
            third.refuse("486 Busy Here").await;
            assert_eq!(told_caller(&a, &call).await, "SIP/2.0 486 Busy Here");
            tokio::time::sleep(10 * SECOND).await;
            assert!(a.waiting().is_empty() && b.waiting().is_empty());
            call.send("REFER", "Refer-To: <sip:3999@world.test>\r\n", "");
            a.expect("SIP/2.0 202", SECOND).await;
            told_caller(&a, &call).await;
            assert_eq!(told_caller(&a, &call).await, "SIP/2.0 404 Not Found");
        }
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
}

#[test]
fn a_transferor_that_leaves_at_once_leaves_the_transfer_to_itself() {
    let results = Results::default();
    world_of(1, bridges(&results, office), |world| async move {
        let (a, b, c) = three(&world).await;
        let (call, incoming) = talking(&a, &b).await;
        incoming.send("REFER", &format!("{TO_3000}Refer-Sub: false\r\n"), "");
        let accepted = b.expect("SIP/2.0 202", SECOND).await;
        assert_eq!(header(&accepted, "Refer-Sub"), "false");
        incoming.hang_up().await;
        let third = c.called(SECOND).await;
        third.ring();
        tokio::time::sleep(5 * SECOND).await;
        third.answer().await;
        tokio::time::sleep(SECOND).await;
        assert!(!b.waiting().iter().any(|line| line.starts_with("NOTIFY")));
        call.hang_up().await;
        third.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(results.borrow()[0], "transferred");
}

#[test]
fn a_transferred_party_that_hangs_up_ends_everything() {
    let results = Results::default();
    world_of(1, bridges(&results, office), |world| async move {
        let (a, b, c) = three(&world).await;
        let (call, incoming) = talking(&a, &b).await;
        incoming.send("REFER", TO_3000, "");
        b.expect("SIP/2.0 202", SECOND).await;
        told_callee(&b, &incoming).await;
        let third = c.called(SECOND).await;
        third.ring();
        tokio::time::sleep(SECOND).await;
        call.hang_up().await;
        third.cancelled(SECOND).await;
        assert_eq!(
            told_callee(&b, &incoming).await,
            "SIP/2.0 487 Request Terminated"
        );
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
}

fn encoded(replaces: &str) -> String {
    replaces
        .replace('@', "%40")
        .replace(';', "%3B")
        .replace('=', "%3D")
        .replace(':', "%3A")
}

#[test]
fn an_attended_transfer_puts_the_two_other_parties_together() {
    for transferor_is_callee in [true, false] {
        let results = Results::default();
        world_of(1, bridges(&results, office), |world| async move {
            let (a, b, c) = three(&world).await;
            let (call, incoming) = talking(&a, &b).await;
            let (transferor, staying) = if transferor_is_callee {
                (&b, &a)
            } else {
                (&a, &b)
            };
            // The transferor asks the third party first.
            let second = transferor.call("3000");
            second.invite("");
            let third = c.called(SECOND).await;
            third.answer().await;
            second.expect(200, SECOND).await;
            second.ack("");
            tokio::time::sleep(SECOND).await;
            let refer = format!(
                "Refer-To: <sip:3000@world.test?Replaces={}>\r\n",
                encoded(&second.as_replaced())
            );
            if transferor_is_callee {
                incoming.send("REFER", &refer, "");
            } else {
                call.send("REFER", &refer, "");
            }
            transferor.expect("SIP/2.0 202", SECOND).await;
            let mut notified = Vec::new();
            let mut byes = 0;
            while notified.len() + byes < 4 {
                let text = transferor.receive(SECOND).await.unwrap();
                if text.starts_with("NOTIFY ") {
                    notified.push(text.split("\r\n\r\n").nth(1).unwrap().trim().to_owned());
                } else {
                    assert!(text.starts_with("BYE "), "{text}");
                    byes += 1;
                }
                call.reply(&text, "200 OK");
            }
            assert_eq!(notified, ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
            tokio::time::sleep(SECOND).await;
            assert_eq!((world.core.calls(), world.core.legs()), (1, 2));
            assert!(staying.waiting().is_empty() && c.waiting().is_empty());
            third.hang_up().await;
            if transferor_is_callee {
                call.wait_for_bye(SECOND).await;
            } else {
                incoming.wait_for_bye(SECOND).await;
            }
            world.at_rest().await;
        });
    }
}

#[test]
fn a_transfer_to_a_party_that_still_rings_rings_it_again_for_the_other() {
    let results = Results::default();
    world_of(1, bridges(&results, office), |world| async move {
        let (a, b, c) = three(&world).await;
        let (call, incoming) = talking(&a, &b).await;
        let second = b.call("3000");
        second.invite("");
        let asked = c.called(SECOND).await;
        asked.ring();
        second.expect(180, SECOND).await;
        let refer = format!(
            "Refer-To: <sip:3000@world.test?Replaces={}>\r\n",
            encoded(&second.as_replaced())
        );
        incoming.send("REFER", &refer, "");
        assert_eq!(told_callee(&b, &incoming).await, "SIP/2.0 100 Trying");
        asked.cancelled(SECOND).await;
        second.ack_refusal();
        let again = c.called(SECOND).await;
        again.answer().await;
        assert_eq!(told_callee(&b, &incoming).await, "SIP/2.0 200 OK");
        incoming.wait_for_bye(SECOND).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!((world.core.calls(), world.core.legs()), (1, 2));
        again.hang_up().await;
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
}

#[test]
fn a_telephone_takes_the_place_of_another_by_replaces() {
    let results = Results::default();
    world_of(1, bridges(&results, office), |world| async move {
        let (a, b, c) = three(&world).await;
        let (call, incoming) = talking(&a, &b).await;
        let taking = c.call("2000");
        let replaces = incoming.as_replaced();
        // Not once a call is up, when only ringing ones were meant.
        let picky = c.call("2000");
        picky.invite(&format!("Replaces: {replaces};early-only\r\n"));
        picky.expect(486, SECOND).await;
        picky.ack_refusal();
        taking.invite(&format!("Replaces: {replaces}\r\nRequire: replaces\r\n"));
        taking.expect(200, SECOND).await;
        taking.ack("");
        incoming.wait_for_bye(SECOND).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!((world.core.calls(), world.core.legs()), (1, 2));
        let late = c.call("2000");
        late.invite(&format!("Replaces: {replaces}\r\n"));
        late.expect(603, SECOND).await;
        late.ack_refusal();
        call.hang_up().await;
        taking.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(results.borrow().len(), 1);
}

#[test]
fn a_ringing_call_is_picked_up_by_replaces() {
    let results = Results::default();
    world_of(1, bridges(&results, office), |world| async move {
        let (a, b, c) = three(&world).await;
        let call = a.call("2000");
        call.invite("");
        let incoming = b.called(SECOND).await;
        incoming.ring();
        call.expect(180, SECOND).await;
        // The caller's own dialog was not started by us.
        let wrong = c.call("2000");
        wrong.invite(&format!("Replaces: {}\r\n", call.as_replaced()));
        wrong.expect(481, SECOND).await;
        wrong.ack_refusal();
        let picker = c.call("2000");
        picker.invite(&format!(
            "Replaces: {};early-only\r\n",
            incoming.as_replaced()
        ));
        picker.expect(200, SECOND).await;
        picker.ack("");
        incoming.cancelled(SECOND).await;
        call.expect(200, SECOND).await;
        call.ack("");
        tokio::time::sleep(SECOND).await;
        picker.hang_up().await;
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["done NORMAL_CLEARING"]);
}

#[test]
fn a_dialog_nobody_has_cannot_be_replaced() {
    world_of(
        1,
        bridges(&Results::default(), office),
        |world| async move {
            let (a, _, _) = three(&world).await;
            for (replaces, status) in [("nobody;to-tag=1;from-tag=2", 481), ("nonsense", 400)] {
                let call = a.call("2000");
                call.invite(&format!("Replaces: {replaces}\r\n"));
                call.expect(status, SECOND).await;
                call.ack_refusal();
            }
            world.at_rest().await;
        },
    );
}
