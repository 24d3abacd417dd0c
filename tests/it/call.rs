//! Calls: what a caller and a script can do to each other.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use swivel::base::cause::Cause;
use swivel::base::keys::Keys;
use swivel::call::{CallError, CallHandle, CollectEnd, CollectOptions, PlayEnd, PlayOptions};
use swivel::clips::Audio;
use swivel::journal::Fact;
use swivel::store::{Direction, KeyRange, Table, keys};

use super::world::link::Link;
use super::world::phone::header;
use super::world::{World, script, world_of};

const SECOND: Duration = Duration::from_secs(1);

fn ended(world: &World) -> Vec<(&'static str, u16, &'static str)> {
    let facts = world.facts.borrow();
    facts
        .iter()
        .filter_map(|fact| match fact.as_ref() {
            Fact::Ended {
                cause,
                status,
                disposition,
                ..
            } => Some((*cause, *status, *disposition)),
            _ => None,
        })
        .collect()
}

async fn any_callflow(world: &World) {
    world
        .callflow("2000", json!({"module": "answer", "data": {}}))
        .await;
}

#[test]
fn a_script_answers_and_hangs_up() {
    let run = script(|call: CallHandle| async move {
        call.answer().await.unwrap();
        call.hangup(Cause::NORMAL_CLEARING);
    });
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        let phone = world.phone();
        let call = phone.call("2000");
        let answer = call.connect().await;
        assert!(answer.contains("m=audio"), "{answer}");
        let bye = call.wait_for_bye(SECOND).await;
        assert!(header(&bye, "Reason").contains("Q.850;cause=16"), "{bye}");
        world.at_rest().await;
        assert_eq!(ended(&world), [("NORMAL_CLEARING", 200, "send_bye")]);
    });
}

#[test]
fn the_end_of_an_unanswered_script_is_480() {
    world_of(1, script(|_| async {}), |world| async move {
        any_callflow(&world).await;
        let phone = world.phone();
        let call = phone.call("2000");
        call.invite("");
        let refusal = call.answered(SECOND).await;
        assert!(refusal.starts_with("SIP/2.0 480"), "{refusal}");
        call.ack_refusal();
        world.at_rest().await;
        assert_eq!(ended(&world), [("NORMAL_CLEARING", 480, "send_refuse")]);
    });
}

#[test]
fn an_unknown_number_is_404_and_runs_no_script() {
    world_of(
        1,
        script(|_| async { panic!("a script ran") }),
        |world| async move {
            any_callflow(&world).await;
            let phone = world.phone();
            let call = phone.call("2999");
            call.invite("");
            call.expect(404, SECOND).await;
            call.ack_refusal();
            world.at_rest().await;
        },
    );
}

#[test]
fn a_caller_who_hangs_up_ends_every_pending_operation() {
    let errors: Rc<RefCell<Vec<String>>> = Rc::default();
    let seen = errors.clone();
    let run = script(move |call: CallHandle| {
        let seen = seen.clone();
        async move {
            call.answer().await.unwrap();
            let silence = vec![Audio::Silence(None)];
            let error = call
                .play(silence, PlayOptions::default())
                .await
                .unwrap_err();
            seen.borrow_mut().push(error.to_string());
            // Later live operations fail at once; the script is not stopped.
            assert!(matches!(call.pause(SECOND).await, Err(CallError::Ended(_))));
            assert!(matches!(call.answer().await, Err(CallError::Ended(_))));
        }
    });
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        let phone = world.phone();
        let call = phone.call("2000");
        call.connect().await;
        tokio::time::sleep(SECOND).await;
        call.hang_up().await;
        world.at_rest().await;
        assert_eq!(ended(&world), [("NORMAL_CLEARING", 200, "recv_bye")]);
    });
    assert_eq!(*errors.borrow(), ["the call has ended: NORMAL_CLEARING"]);
}

#[test]
fn a_cancel_ends_the_call_with_487() {
    let run = script(|call: CallHandle| async move {
        call.ring().unwrap();
        call.wait_for_hangup().await;
    });
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        let phone = world.phone();
        let call = phone.call("2000");
        call.invite("");
        call.expect(180, SECOND).await;
        call.cancel();
        let first = phone.expect("SIP/2.0", SECOND).await;
        let second = phone.expect("SIP/2.0", SECOND).await;
        let mut statuses = [first, second].map(|t| t[8..11].to_owned());
        statuses.sort();
        assert_eq!(statuses, ["200", "487"]);
        call.ack_refusal();
        world.at_rest().await;
        assert_eq!(ended(&world), [("ORIGINATOR_CANCEL", 487, "recv_cancel")]);
    });
}

#[test]
fn a_delayed_offer_is_answered_in_the_ack() {
    let run = script(|call: CallHandle| async move {
        call.answer().await.unwrap();
        call.play(vec![Audio::Silence(Some(SECOND))], PlayOptions::default())
            .await
            .unwrap();
    });
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        let phone = world.phone();
        let call = phone.call_with("2000", "");
        call.invite("");
        let answer = call.answered(SECOND).await;
        assert!(
            answer.contains("m=audio") && answer.contains("telephone-event"),
            "{answer}"
        );
        call.ack(&format!(
            "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
            phone.address().ip()
        ));
        call.wait_for_bye(5 * SECOND).await;
        world.at_rest().await;
    });
}

#[test]
fn hold_and_unhold_are_answered_and_a_bad_offer_changes_nothing() {
    let run = script(|call: CallHandle| async move {
        call.answer().await.unwrap();
        call.wait_for_hangup().await;
    });
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        let phone = world.phone();
        let call = phone.call("2000");
        call.connect().await;
        let offer = |version: u32, media: &str| {
            format!(
                "v=0\r\no=- 1 {version} IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\n{media}",
                phone.address().ip()
            )
        };
        for (version, direction, expected) in [
            (2, "sendonly", "a=recvonly"),
            (3, "inactive", "a=inactive"),
            (4, "sendrecv", "a=sendrecv"),
        ] {
            let cseq = call.send(
                "INVITE",
                "",
                &offer(
                    version,
                    &format!("m=audio 4000 RTP/AVP 0\r\na={direction}\r\n"),
                ),
            );
            let answer = call.expect(200, SECOND).await;
            assert!(answer.contains(expected), "{direction}: {answer}");
            call.send_ack(cseq);
        }
        let cseq = call.send("INVITE", "", &offer(5, "m=audio 4000 RTP/AVP 18\r\n"));
        let refusal = call.expect(488, SECOND).await;
        assert!(!header(&refusal, "Warning").is_empty(), "{refusal}");
        call.send_ack(cseq);
        call.hang_up().await;
        world.at_rest().await;
    });
}

#[test]
fn digits_by_info_are_collected_once_each() {
    let got: Rc<RefCell<Vec<(String, CollectEnd)>>> = Rc::default();
    let seen = got.clone();
    let run = script(move |call: CallHandle| {
        let seen = seen.clone();
        async move {
            call.answer().await.unwrap();
            let options = CollectOptions {
                max_digits: 10,
                ..CollectOptions::default()
            };
            let collected = call
                .collect(vec![Audio::Silence(None)], options)
                .await
                .unwrap();
            seen.borrow_mut().push((collected.digits, collected.why));
        }
    });
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        let phone = world.phone();
        let call = phone.call("2000");
        call.connect().await;
        for key in ["1", "2", "3", "#"] {
            tokio::time::sleep(SECOND).await;
            call.send(
                "INFO",
                "Content-Type: application/dtmf-relay\r\n",
                &format!("Signal={key}\r\nDuration=160\r\n"),
            );
            phone.expect("SIP/2.0 200", SECOND).await;
        }
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(
        *got.borrow(),
        [("123".to_owned(), CollectEnd::Terminator('#'))]
    );
}

#[test]
fn a_terminator_stops_a_play_and_is_reported() {
    let got: Rc<RefCell<Vec<PlayEnd>>> = Rc::default();
    let seen = got.clone();
    let run = script(move |call: CallHandle| {
        let seen = seen.clone();
        async move {
            call.answer().await.unwrap();
            let options = PlayOptions {
                terminators: Keys::parse("5"),
                loops: None,
                ..PlayOptions::default()
            };
            let played = call
                .play(vec![Audio::Silence(Some(SECOND))], options)
                .await
                .unwrap();
            assert_eq!(played.digits, "45");
            seen.borrow_mut().push(played.why);
        }
    });
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        let phone = world.phone();
        let call = phone.call("2000");
        call.connect().await;
        for key in ["4", "5"] {
            tokio::time::sleep(SECOND).await;
            call.send("INFO", "Content-Type: application/dtmf\r\n", key);
            phone.expect("SIP/2.0 200", SECOND).await;
        }
        call.wait_for_bye(SECOND).await;
        world.at_rest().await;
    });
    assert_eq!(*got.borrow(), [PlayEnd::Terminator('5')]);
}

#[test]
fn a_panicking_script_ends_its_call_and_no_other() {
    let run = script(|call: CallHandle| async move {
        call.answer().await.unwrap();
        assert_ne!(call.facts().request_user, "2001", "a script that panics");
        call.pause(2 * SECOND).await.unwrap();
    });
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        world
            .callflow("2001", json!({"module": "answer", "data": {}}))
            .await;
        let (calm, doomed) = (world.phone(), world.phone());
        let (first, second) = (calm.call("2000"), doomed.call("2001"));
        first.connect().await;
        second.connect().await;
        second.wait_for_bye(SECOND).await;
        first.wait_for_bye(3 * SECOND).await;
        world.at_rest().await;
    });
}

#[test]
fn calls_connect_and_clear_under_30_percent_loss() {
    for seed in 0..200 {
        let run = script(|call: CallHandle| async move {
            call.answer().await.unwrap();
            let _ended = call.pause(20 * SECOND).await;
        });
        world_of(seed, run, |world| async move {
            any_callflow(&world).await;
            world.net.set_link(Link {
                loss: 0.3,
                delay: Duration::from_millis(40),
                ..Link::default()
            });
            let phone = world.phone();
            let call = phone.call("2000");
            call.patient(seed).await;
            world.net.set_link(Link::default());
            world.at_rest().await;
        });
    }
}

#[test]
fn a_call_that_was_never_answered_leaves_no_open_record() {
    let run = script(|call: CallHandle| async move {
        call.ring().unwrap();
        call.wait_for_hangup().await;
    });
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        let phone = world.phone();
        let call = phone.call("2000");
        call.invite("");
        call.expect(180, SECOND).await;
        let open = || async {
            let range = KeyRange::prefix(keys::prefix(&["open"]));
            let rows = world
                .store
                .scan(Table::Cdr, range, Direction::Forward, 10)
                .await;
            rows.unwrap().len()
        };
        tokio::time::sleep(SECOND).await;
        assert_eq!(open().await, 1, "a ringing call is kept");
        call.cancel();
        call.expect(487, SECOND).await;
        call.ack_refusal();
        world.at_rest().await;
        assert_eq!(open().await, 0);
        assert_eq!(ended(&world), [("ORIGINATOR_CANCEL", 487, "recv_cancel")]);
    });
}

fn offered(section: &str) -> String {
    format!(
        "v=0\r\no=phone 1 1 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\n{section}\r\n"
    )
}

/// The description that answers an offer with this section.
fn answer_to(section: &str) -> String {
    let run = script(|call: CallHandle| async move {
        call.answer().await.unwrap();
        call.wait_for_hangup().await;
    });
    let sdp = offered(section);
    let mut result = String::new();
    let out = &mut result;
    world_of(1, run, |world| async move {
        any_callflow(&world).await;
        let call = world.phone().call_with("2000", &sdp);
        *out = call.connect().await;
        call.hang_up().await;
        world.at_rest().await;
    });
    result
}

#[test]
fn who_offers_srtp_gets_it_and_who_does_not_does_not() {
    let key = "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let secret = answer_to(&format!("m=audio 4000 RTP/SAVP 0\r\n{key}"));
    assert!(secret.contains("RTP/SAVP 0"), "{secret}");
    assert_eq!(secret.matches("a=crypto:").count(), 1, "{secret}");
    assert!(
        secret.contains("a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:"),
        "{secret}"
    );
    let either = answer_to(&format!("m=audio 4000 RTP/AVP 0\r\n{key}"));
    assert!(either.contains("RTP/AVP 0"), "{either}");
    assert_eq!(either.matches("a=crypto:7 ").count(), 1, "{either}");
    let plain = answer_to("m=audio 4000 RTP/AVP 0");
    assert!(!plain.contains("a=crypto"), "{plain}");
}

#[test]
fn a_browser_gets_ice_dtls_and_one_port() {
    let answer = answer_to(
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=rtpmap:111 opus/48000/2\r\na=mid:0\r\na=rtcp-mux\r\n\
         a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n\
         a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
    );
    for line in [
        "UDP/TLS/RTP/SAVPF",
        "a=ice-lite",
        "a=fingerprint:sha-256 ",
        "a=rtcp-mux",
        "a=candidate:",
        "a=mid:0",
    ] {
        assert!(answer.contains(line), "{line} is missing from {answer}");
    }
}
