//! Bridges: two telephones and everything that can come between them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use swivel::base::cause::Cause;
use swivel::call::{BridgeOptions, Bridged, CallHandle, Script, Strategy};
use swivel::journal::{Cdr, Fact};
use swivel::routing::{Place, Target};

use super::world::callee::Incoming;
use super::world::phone::{Phone, PhoneCall, header};
use super::world::rtp::{Voice, audio_of};
use super::world::{Settings, World, script, world_of, world_with};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// The endpoint at that address.
pub(super) fn target(phone: &str) -> Target {
    Target {
        id: "device-of-callee".into(),
        name: "Callee".into(),
        ..Target::at(Place::Uri {
            uri: format!("sip:callee@{phone}:5060"),
            proxy: None,
        })
    }
}

pub(super) fn ringing(phones: &[&str]) -> BridgeOptions {
    BridgeOptions {
        targets: phones.iter().map(|phone| target(phone)).collect(),
        ..BridgeOptions::default()
    }
}

pub(super) type Results = Rc<RefCell<Vec<String>>>;

/// A flow that bridges, notes how that went, and refuses the call by the cause when nobody was there.
pub(super) fn bridges(
    results: &Results,
    options: impl Fn(&CallHandle) -> BridgeOptions + 'static,
) -> Script {
    let results = results.clone();
    let options = Rc::new(options);
    script(move |call: CallHandle| {
        let (results, options) = (results.clone(), options.clone());
        async move {
            let result = call.bridge(options(&call)).await;
            results.borrow_mut().push(match &result {
                Ok(Bridged::Done { cause }) => format!("done {}", cause.name),
                Ok(Bridged::Failed { cause, status }) => format!("failed {} {status}", cause.name),
                Ok(Bridged::Transferred) => "transferred".into(),
                Err(error) => error.to_string(),
            });
            if let Ok(Bridged::Failed { cause, status }) = result {
                call.reject(status, "", cause);
            }
        }
    })
}

/// Two telephones that talk: the caller's call, and what the callee sees of it.
pub(super) async fn talking(caller: &Phone, callee: &Phone) -> (PhoneCall, Incoming) {
    let call = caller.call("2000");
    call.invite("");
    let incoming = callee.called(SECOND).await;
    incoming.ring();
    call.expect(180, SECOND).await;
    incoming.answer().await;
    call.expect(200, SECOND).await;
    call.ack("");
    tokio::time::sleep(SECOND).await;
    (call, incoming)
}

pub(super) async fn flow(world: &World, number: &str) {
    world
        .callflow(number, json!({"module": "answer", "data": {}}))
        .await;
}

pub(super) fn endings(world: &World) -> Vec<(&'static str, &'static str)> {
    let facts = world.facts.borrow();
    let mut all: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact.as_ref() {
            Fact::Ended {
                cause, disposition, ..
            } => Some((*cause, *disposition)),
            _ => None,
        })
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn two_telephones_are_connected_and_the_callee_hangs_up() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let (call, incoming) = talking(&caller, &callee).await;
        let invite = &incoming.invite;
        assert!(
            header(invite, "From").starts_with("\"Phone\" <sip:1001@world.test>;tag="),
            "{invite}"
        );
        assert_eq!(header(invite, "Max-Forwards"), "69");
        assert_ne!(header(invite, "Call-ID"), call.call_id);
        assert!(invite.contains("m=audio"), "{invite}");
        incoming.hang_up().await;
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
        assert_eq!(
            endings(&world),
            [
                ("NORMAL_CLEARING", "recv_bye"),
                ("NORMAL_CLEARING", "send_bye")
            ]
        );
        records(&world, &call, &incoming).await;
    });
    assert_eq!(*results.borrow(), ["done NORMAL_CLEARING"]);
}

/// Each of the two legs has its record, and they name each other.
async fn records(world: &World, call: &PhoneCall, incoming: &Incoming) {
    let theirs = header(&incoming.invite, "Call-ID").to_owned();
    let all: Vec<Cdr> = world.cdrs().await;
    let of = |id: &str| all.iter().find(|cdr| cdr.call_id == id).unwrap().clone();
    let (a, b) = (of(&call.call_id), of(&theirs));
    assert_eq!(
        (a.direction.as_str(), b.direction.as_str()),
        ("inbound", "outbound")
    );
    assert_eq!(
        (&a.other_leg_call_id, &b.other_leg_call_id),
        (&theirs, &call.call_id)
    );
    assert_eq!(a.interaction_id, b.interaction_id);
    assert_eq!(b.authorizing_id, "device-of-callee");
    assert_eq!(b.custom_channel_vars["bridge_id"], json!(call.call_id));
    assert!(a.answered.is_some() && b.answered.is_some());
    assert_eq!(b.callee_id_name, "Callee");
}

#[test]
fn a_caller_who_hangs_up_ends_the_callee() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let (call, incoming) = talking(&caller, &callee).await;
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["the call has ended: NORMAL_CLEARING"]);
}

#[test]
fn a_busy_callee_is_told_to_the_caller() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        callee.called(SECOND).await.refuse("486 Busy Here").await;
        call.expect(486, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
        assert_eq!(
            endings(&world),
            [("USER_BUSY", "recv_refuse"), ("USER_BUSY", "send_refuse")]
        );
    });
    assert_eq!(*results.borrow(), ["failed USER_BUSY 486"]);
}

#[test]
fn a_bridge_rings_for_its_time_and_no_longer() {
    let results = Results::default();
    let run = bridges(&results, |_| BridgeOptions {
        timeout: Some(20 * SECOND),
        ..ringing(&["10.0.1.2"])
    });
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        let incoming = callee.called(SECOND).await;
        incoming.ring();
        call.expect(180, SECOND).await;
        tokio::time::sleep(19 * SECOND).await;
        assert!(callee.waiting().is_empty(), "{:?}", callee.waiting());
        incoming.cancelled(2 * SECOND).await;
        call.expect(480, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["failed NO_ANSWER 480"]);
}

#[test]
fn a_caller_who_gives_up_reaches_the_callee_within_100_ms() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        let incoming = callee.called(SECOND).await;
        incoming.ring();
        call.expect(180, SECOND).await;
        call.cancel();
        incoming.cancelled(Duration::from_millis(100)).await;
        caller.expect("SIP/2.0 487", SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["the call has ended: ORIGINATOR_CANCEL"]);
}

#[test]
fn a_callee_who_answers_while_it_is_cancelled_is_hung_up_on() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        let incoming = callee.called(SECOND).await;
        incoming.ring();
        call.expect(180, SECOND).await;
        call.cancel();
        let cancel = callee.expect("CANCEL ", SECOND).await;
        // The answer was on its way already.
        incoming.answer_request(&cancel, "200 OK");
        incoming.answer().await;
        incoming.wait_for_bye(SECOND).await;
        caller.expect("SIP/2.0 487", SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["the call has ended: ORIGINATOR_CANCEL"]);
}

#[test]
fn the_first_of_several_to_answer_wins_and_the_others_hear_that_the_call_is_elsewhere() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2", "10.0.1.3"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, first, second) = (world.phone(), world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        let loser = first.called(SECOND).await;
        let winner = second.called(SECOND).await;
        loser.ring();
        winner.ring();
        tokio::time::sleep(SECOND).await;
        winner.answer().await;
        let cancel = loser.cancelled(SECOND).await;
        assert_eq!(
            header(&cancel, "Reason"),
            "SIP;cause=200;text=\"Call completed elsewhere\""
        );
        call.expect(200, SECOND).await;
        call.ack("");
        tokio::time::sleep(SECOND).await;
        winner.hang_up().await;
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
        assert!(endings(&world).contains(&("LOSE_RACE", "send_cancel")));
    });
    assert_eq!(*results.borrow(), ["done NORMAL_CLEARING"]);
}

#[test]
fn a_6xx_ends_every_branch() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2", "10.0.1.3"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, first, second) = (world.phone(), world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        let one = first.called(SECOND).await;
        let other = second.called(SECOND).await;
        one.ring();
        other.refuse("603 Decline").await;
        one.cancelled(SECOND).await;
        call.expect(603, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["failed CALL_REJECTED 603"]);
}

#[test]
fn one_after_the_other_is_rung_each_for_its_own_time() {
    let results = Results::default();
    let run = bridges(&results, |_| {
        let mut options = ringing(&["10.0.1.2", "10.0.1.3"]);
        options.strategy = Strategy::Single;
        options.targets[0].timeout = Some(5 * SECOND);
        options
    });
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, first, second) = (world.phone(), world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        let one = first.called(SECOND).await;
        one.ring();
        call.expect(180, SECOND).await;
        tokio::time::sleep(4 * SECOND).await;
        assert!(second.waiting().is_empty());
        one.cancelled(2 * SECOND).await;
        let other = second.called(SECOND).await;
        other.answer().await;
        call.expect(200, SECOND).await;
        call.ack("");
        tokio::time::sleep(SECOND).await;
        call.hang_up().await;
        other.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["the call has ended: NORMAL_CLEARING"]);
}

#[test]
fn of_two_forked_answers_the_first_wins_and_the_second_is_acknowledged_and_ended() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let (call, incoming) = talking(&caller, &callee).await;
        incoming.reply_as("other", "200 OK", &incoming.sdp("sendrecv"));
        callee.expect("ACK ", SECOND).await;
        let bye = callee.expect("BYE ", SECOND).await;
        assert!(header(&bye, "To").contains("tag=other"), "{bye}");
        incoming.answer_request(&bye, "200 OK");
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(results.borrow().len(), 1);
}

#[test]
fn early_media_of_the_callee_reaches_the_caller_as_183_unless_it_is_ignored() {
    for ignored in [false, true] {
        let results = Results::default();
        let run = bridges(&results, move |_| BridgeOptions {
            ignore_early_media: ignored,
            ..ringing(&["10.0.1.2"])
        });
        world_of(1, run, |world| async move {
            flow(&world, "2000").await;
            let (caller, callee) = (world.phone(), world.phone());
            let call = caller.call("2000");
            call.invite("");
            let incoming = callee.called(SECOND).await;
            incoming.reply("183 Session Progress", &incoming.sdp("sendrecv"));
            let heard = call.expect(if ignored { 180 } else { 183 }, SECOND).await;
            assert_eq!(heard.contains("m=audio"), !ignored, "{heard}");
            incoming.refuse("404 Not Found").await;
            call.expect(404, SECOND).await;
            call.ack_refusal();
            world.at_rest().await;
        });
        assert_eq!(*results.borrow(), ["failed UNALLOCATED_NUMBER 404"]);
    }
}

#[test]
fn nobody_registered_is_subscriber_absent() {
    let results = Results::default();
    let run = bridges(&results, |_| {
        let mut options = ringing(&["10.0.1.2"]);
        options.targets[0].place = Place::Registered {
            username: "bob".into(),
            realm: "world.test".into(),
        };
        options
    });
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let call = world.phone().call("2000");
        call.invite("");
        call.expect(480, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["failed SUBSCRIBER_ABSENT 480"]);
}

#[test]
fn a_call_that_has_come_through_us_ten_times_goes_no_further() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let call = world.phone().call("2000");
        call.invite("X-Swivel-Passes: 10\r\n");
        call.expect(482, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
    assert!(results.borrow().is_empty());
}

#[test]
fn a_bridge_ends_when_its_longest_time_has_passed() {
    let results = Results::default();
    let run = bridges(&results, |_| BridgeOptions {
        limit: Some(30 * SECOND),
        ..ringing(&["10.0.1.2"])
    });
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let (call, incoming) = talking(&caller, &callee).await;
        incoming.wait_for_bye(30 * SECOND).await;
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(*results.borrow(), ["done ALLOTTED_TIMEOUT"]);
}

#[test]
fn a_bridge_whose_future_is_dropped_stops_ringing() {
    let run = script(|call: CallHandle| async move {
        let options = ringing(&["10.0.1.2"]);
        let ringing = tokio::time::timeout(5 * SECOND, call.bridge(options)).await;
        assert!(ringing.is_err(), "it rang");
        call.hangup(Cause::NO_ANSWER);
    });
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        let incoming = callee.called(SECOND).await;
        incoming.ring();
        call.expect(180, SECOND).await;
        incoming.cancelled(6 * SECOND).await;
        call.expect(480, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
}

#[test]
fn hold_by_either_side_is_answered_and_ends() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let (call, incoming) = talking(&caller, &callee).await;
        for (direction, answer) in [("sendonly", "recvonly"), ("sendrecv", "sendrecv")] {
            let cseq = incoming.send("INVITE", "", &incoming.sdp(direction));
            let ok = callee.expect("SIP/2.0 200", SECOND).await;
            assert!(ok.contains(&format!("a={answer}")), "{ok}");
            incoming.send_numbered("ACK", cseq, "", "");
            tokio::time::sleep(SECOND).await;
            // The other side is not asked for anything.
            assert!(caller.waiting().is_empty(), "{:?}", caller.waiting());
        }
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(results.borrow().len(), 1);
}

#[test]
fn who_calls_is_shown_asserted_or_hidden_as_the_target_says() {
    let results = Results::default();
    let run = bridges(&results, |_| {
        let mut options = ringing(&["10.0.1.2", "10.0.1.3"]);
        options.targets[0].caller_id_name = Some("Sales \"A\"".into());
        options.targets[0].caller_id_number = Some("+49 30".into());
        options.targets[0].asserted_identity = true;
        options.targets[0].headers = vec![
            ("Alert-Info".into(), "<urn:alert:x>".into()),
            ("Via".into(), "evil".into()),
        ];
        options.targets[1].privacy = Some("id");
        options
    });
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, first, second) = (world.phone(), world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("Diversion: <sip:100@world.test>;reason=no-answer\r\n");
        let shown = first.called(SECOND).await;
        let identity = r#""Sales \"A\"" <sip:+49%2030@world.test>"#;
        assert!(
            header(&shown.invite, "From").starts_with(identity),
            "{}",
            shown.invite
        );
        assert_eq!(header(&shown.invite, "P-Asserted-Identity"), identity);
        assert_eq!(header(&shown.invite, "Alert-Info"), "<urn:alert:x>");
        assert!(!shown.invite.contains("evil"));
        assert!(header(&shown.invite, "Diversion").starts_with("<sip:100@world.test>"));
        let hidden = second.called(SECOND).await;
        let from = header(&hidden.invite, "From");
        assert!(
            from.starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>"),
            "{from}"
        );
        assert_eq!(header(&hidden.invite, "Privacy"), "id");
        assert_eq!(header(&hidden.invite, "P-Asserted-Identity"), "");
        assert!(!hidden.invite.contains("sip:1001@"), "{}", hidden.invite);
        shown.refuse("404 Not Found").await;
        hidden.refuse("486 Busy Here").await;
        call.expect(404, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
}

#[test]
fn a_redirecting_callee_is_not_followed() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        let incoming = callee.called(SECOND).await;
        incoming.refuse("302 Moved Temporarily").await;
        call.expect(410, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
    });
    assert_eq!(
        *results.borrow(),
        ["failed REDIRECTION_TO_NEW_DESTINATION 410"]
    );
}

#[test]
fn a_bridge_dropped_at_any_moment_leaves_nothing_behind() {
    for after in 0..40 {
        let run = script(move |call: CallHandle| async move {
            let options = BridgeOptions {
                targets: ringing(&["10.0.1.2", "10.0.1.3"]).targets,
                ..BridgeOptions::default()
            };
            let limit = Duration::from_millis(after * 5);
            drop(tokio::time::timeout(limit, call.bridge(options)).await);
            call.hangup(Cause::NORMAL_CLEARING);
        });
        world_of(after, run, |world| async move {
            flow(&world, "2000").await;
            let (caller, first, second) = (world.phone(), world.phone(), world.phone());
            for (phone, answers) in [(first, false), (second, true)] {
                tokio::task::spawn_local(async move {
                    let mut incoming: Option<Incoming> = None;
                    while let Some(text) = phone.receive(300 * SECOND).await {
                        if text.starts_with("INVITE ") {
                            let call = Incoming::of(&phone, text);
                            call.ring();
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            if answers {
                                call.reply("200 OK", &call.sdp("sendrecv"));
                            }
                            incoming = Some(call);
                        } else if let Some(call) = &incoming
                            && (text.starts_with("BYE ") || text.starts_with("CANCEL "))
                        {
                            call.answer_request(&text, "200 OK");
                            if text.starts_with("CANCEL ") && !answers {
                                call.reply("487 Request Terminated", "");
                            }
                        }
                    }
                });
            }
            let call = caller.call("2000");
            call.invite("");
            let answer = call.answered(5 * SECOND).await;
            if answer.starts_with("SIP/2.0 200") {
                call.ack("");
                call.wait_for_bye(5 * SECOND).await;
            } else {
                call.ack_refusal();
            }
            world.at_rest().await;
        });
    }
}

#[test]
fn a_leg_that_falls_silent_ends_the_call_on_both_sides() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    let settings = Settings {
        rtp_timeout: Some(30 * SECOND),
        ..Settings::default()
    };
    world_with(1, settings, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let call = caller.call("2000");
        call.invite("");
        let incoming = callee.called(SECOND).await;
        incoming.answer().await;
        let ok = call.expect(200, SECOND).await;
        call.ack("");
        // The caller talks, the callee says nothing at all.
        let from = std::net::SocketAddr::new(caller.address().ip(), 4000);
        let voice = Voice::speak(&world, from, audio_of(&ok), 0x11);
        let bye = incoming.wait_for_bye(35 * SECOND).await;
        assert!(header(&bye, "Reason").contains("RTP timeout"), "{bye}");
        call.wait_for_bye(SECOND).await;
        drop(voice);
        world.at_rest().await;
        assert!(endings(&world).contains(&("MEDIA_TIMEOUT", "send_bye")));
    });
    assert_eq!(*results.borrow(), ["done MEDIA_TIMEOUT"]);
}

#[test]
fn both_legs_are_refreshed_by_themselves_while_the_call_goes_on() {
    let results = Results::default();
    let run = bridges(&results, |_| ringing(&["10.0.1.2"]));
    world_of(1, run, |world| async move {
        flow(&world, "2000").await;
        let (caller, callee) = (world.phone(), world.phone());
        let (call, incoming) = talking(&caller, &callee).await;
        for _ in 0..3 {
            // Neither telephone knows session timers: we refresh both by re-INVITE.
            let to_caller = caller.expect("INVITE ", 1000 * SECOND).await;
            caller.answer(&to_caller, "200 OK", &incoming.sdp("sendrecv"));
            caller.expect("ACK ", SECOND).await;
            let to_callee = callee.expect("INVITE ", 1000 * SECOND).await;
            incoming.answer_with(&to_callee, "200 OK", &incoming.sdp("sendrecv"));
            callee.expect("ACK ", SECOND).await;
        }
        assert_eq!(world.core.legs(), 2);
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(results.borrow().len(), 1);
}
