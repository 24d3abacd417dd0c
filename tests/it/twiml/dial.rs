//! `Dial`: whom it rings, what the caller hears of it, and what the next request tells (`pivot.md` §7.6).

use std::time::Duration;

use serde_json::{Value, json};
use swivel::directory::Kind;

use super::{about, callbacks, over, pivot};
use crate::flow::{SECOND, Stage, press, stage, took};
use crate::world::phone::{Phone, header};

fn twilio() -> Value {
    json!({"twiml_profile": "twilio", "req_format": "twiml"})
}

/// A telephone at that address, and the device it is.
async fn phone_of(stage: &Stage, n: u8, more: Value) -> (Phone, String) {
    let address = format!("10.0.1.{n}:5060");
    let mut device = json!({"name": format!("phone {n}"), "sip": {"invite_format": "route", "route": format!("sip:callee@{address}")}});
    device
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    let phone = stage.world.phone_at(&address);
    (phone, stage.world.put(Kind::Device, device).await)
}

fn leaked(text: String) -> &'static str {
    text.leak()
}

#[test]
fn every_kind_of_callee_is_rung() {
    for (noun, owner) in [
        ("<Device>DEVICE</Device>", false),
        ("<User>USER</User>", true),
        ("<Client>anna</Client>", false),
        (
            "<Client><Identity>ann@office.example</Identity></Client>",
            true,
        ),
        ("<Client>DEVICE</Client>", false),
        ("<Sip>sip:callee@10.0.1.51:5060</Sip>", false),
        ("<Sip><Uri>sip:callee@10.0.1.51:5060</Uri></Sip>", false),
        ("<Number>1234</Number>", false),
        ("1234", false),
    ] {
        stage(|stage| async move {
            let user = stage
                .world
                .put(Kind::User, json!({"username": "ann@office.example", "first_name": "Ann", "last_name": "A"}))
                .await;
            let mut more = json!({"name": "x"});
            if owner {
                more["owner_id"] = json!(user);
            }
            let (callee, device) = phone_of(&stage, 51, more).await;
            stage
                .world
                .put(Kind::Device, json!({"name": "n", "sip": {"username": "anna", "invite_format": "route", "route": "sip:callee@10.0.1.51:5060"}}))
                .await;
            stage
                .world
                .callflow(
                    "1234",
                    json!({"module": "device", "data": {"id": device}, "children": {}}),
                )
                .await;
            let noun = noun.replace("DEVICE", &device).replace("USER", &user);
            stage.answers(&format!("<Dial action=\"/after\">{noun}</Dial>"));
            stage.answers("<Pause/>");
            let (_phone, call) = stage.dial(pivot(json!({}))).await;
            let incoming = callee.called(SECOND).await;
            incoming.ring();
            incoming.answer().await;
            assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
            call.ack("");
            tokio::time::sleep(3 * SECOND).await;
            incoming.hang_up().await;
            let (_, ms) = took(call.wait_for_bye(5 * SECOND)).await;
            about(ms, 1_000);
            let told = stage.told(1);
            assert_eq!(told["DialCallStatus"], "completed", "{noun}");
            assert_eq!(told["DialCallSid"], header(&incoming.invite, "Call-ID"));
            let talked: u32 = told["DialCallDuration"].parse().unwrap();
            assert!((2..=3).contains(&talked), "{noun}: {talked}");
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn a_failed_dial_says_why_and_goes_on() {
    for (refusal, status, sip) in [
        ("486 Busy Here", "busy", "486"),
        ("603 Decline", "busy", "603"),
        ("404 Not Found", "failed", "404"),
    ] {
        for more in [json!({}), twilio()] {
            let is_twilio = more != json!({});
            stage(|stage| async move {
                let (callee, device) = phone_of(&stage, 51, json!({})).await;
                stage.answers(&format!(
                    "<Dial action=\"/after\"><Device>{device}</Device></Dial>"
                ));
                stage.answers("<Hangup/>");
                let (_phone, call) = stage.dial(pivot(more)).await;
                let incoming = callee.called(SECOND).await;
                incoming.refuse(refusal).await;
                assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
                call.ack("");
                over(&stage, &call).await;
                let told = stage.told(1);
                assert_eq!(told["DialCallStatus"], status, "{refusal}");
                if is_twilio {
                    assert_eq!(told["DialSipResponseCode"], sip);
                    assert_eq!(told["DialBridged"], "false");
                }
            });
        }
    }
}

#[test]
fn nobody_comes_within_the_timeout_and_the_next_verb_runs() {
    stage(|stage| async move {
        let (callee, device) = phone_of(&stage, 51, json!({})).await;
        stage.answers(&format!(
            "<Dial timeout=\"4\"><Device>{device}</Device></Dial><Redirect>next</Redirect>"
        ));
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.dial(pivot(json!({}))).await;
        let incoming = callee.called(SECOND).await;
        incoming.ring();
        let (answer, ms) = took(call.answered(10 * SECOND)).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        about(ms, 4_000);
        call.ack("");
        incoming.cancelled(SECOND).await;
        over(&stage, &call).await;
        assert_eq!(stage.told(1)["DialCallStatus"], "no-answer");
        assert_eq!(stage.told(1)["Call-Status"], "no-answer");
    });
}

#[test]
fn the_caller_is_answered_at_once_only_where_the_dialect_says_so() {
    for (more, attributes, noun, at_once) in [
        (json!({}), "", "<Device>ID</Device>", false),
        (json!({}), "", "1234", true),
        (twilio(), "", "<Device>ID</Device>", true),
        (
            twilio(),
            "answerOnBridge=\"true\"",
            "<Device>ID</Device>",
            false,
        ),
    ] {
        stage(|stage| async move {
            let (callee, device) = phone_of(&stage, 51, json!({})).await;
            stage
                .world
                .callflow(
                    "1234",
                    json!({"module": "device", "data": {"id": device}, "children": {}}),
                )
                .await;
            let noun = noun.replace("ID", &device);
            stage.answers(&format!("<Dial {attributes}>{noun}</Dial>"));
            let (_phone, call) = stage.dial(pivot(more)).await;
            let incoming = callee.called(SECOND).await;
            incoming.ring();
            if at_once {
                call.expect(200, SECOND).await;
            } else {
                call.expect(180, SECOND).await;
                incoming.answer().await;
                call.expect(200, SECOND).await;
            }
            call.ack("");
            call.hang_up().await;
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn a_star_ends_the_talk_and_the_document_goes_on() {
    for (attribute, key, ends) in [
        ("hangupOnStar=\"true\"", '*', true),
        ("hangupOn=\"7\"", '7', true),
        ("", '*', false),
    ] {
        stage(|stage| async move {
            let (callee, device) = phone_of(&stage, 51, json!({})).await;
            stage.answers(&format!("<Dial {attribute} collect_dtmf=\"true\" action=\"/after\"><Device>{device}</Device></Dial>"));
            stage.answers("<Hangup/>");
            let (phone, call) = stage.dial(pivot(json!({}))).await;
            let incoming = callee.called(SECOND).await;
            incoming.answer().await;
            call.expect(200, SECOND).await;
            call.ack("");
            tokio::time::sleep(SECOND).await;
            press(&phone, &call, '1').await;
            press(&phone, &call, key).await;
            if ends {
                incoming.wait_for_bye(SECOND).await;
                over(&stage, &call).await;
                assert_eq!(stage.told(1)["Digits"], format!("1{key}"), "{attribute}");
            } else {
                tokio::time::sleep(2 * SECOND).await;
                incoming.hang_up().await;
                over(&stage, &call).await;
            }
            assert_eq!(stage.told(1)["DialCallStatus"], "completed");
        });
    }
}

#[test]
fn a_talk_ends_with_its_time_limit() {
    stage(|stage| async move {
        let (callee, device) = phone_of(&stage, 51, json!({})).await;
        stage.answers(&format!(
            "<Dial timeLimit=\"5\"><Device>{device}</Device></Dial>"
        ));
        let (_phone, call) = stage.dial(pivot(json!({}))).await;
        let incoming = callee.called(SECOND).await;
        incoming.answer().await;
        call.expect(200, SECOND).await;
        call.ack("");
        let (_, ms) = took(incoming.wait_for_bye(10 * SECOND)).await;
        about(ms, 5_000);
        over(&stage, &call).await;
    });
}

#[test]
fn callees_ring_together_or_one_after_the_other() {
    for (attribute, together) in [
        ("", true),
        ("strategy=\"single\"", false),
        ("sequential=\"true\"", false),
    ] {
        stage(|stage| async move {
            let (one, first) = phone_of(&stage, 51, json!({})).await;
            let (two, second) = phone_of(&stage, 52, json!({})).await;
            stage.answers(&format!(
                "<Dial {attribute}><Device>{first}</Device><Device>{second}</Device></Dial>"
            ));
            let (_phone, call) = stage.dial(pivot(json!({}))).await;
            let incoming = one.called(SECOND).await;
            assert_eq!(two.receive(SECOND).await.is_some(), together, "{attribute}");
            if !together {
                incoming.refuse("486 Busy Here").await;
                two.called(SECOND).await;
            }
            call.cancel();
            call.expect(487, SECOND).await;
            call.ack_refusal();
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn the_callee_sees_the_caller_or_the_caller_id_of_the_document() {
    for (attribute, number) in [("", "1001"), ("callerId=\"+14155550100\"", "+14155550100")] {
        stage(|stage| async move {
            let (callee, device) = phone_of(&stage, 51, json!({})).await;
            stage.answers(&format!(
                "<Dial {attribute}><Device>{device}</Device></Dial>"
            ));
            let (_phone, call) = stage.dial(pivot(json!({}))).await;
            let incoming = callee.called(SECOND).await;
            let from = header(&incoming.invite, "From");
            assert!(from.contains(&format!("sip:{number}@")), "{from}");
            call.cancel();
            call.expect(487, SECOND).await;
            call.ack_refusal();
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn headers_of_a_sip_uri_go_with_the_invite() {
    stage(|stage| async move {
        let callee = stage.world.phone_at("10.0.1.51:5060");
        stage.answers("<Dial><Sip>sip:callee@10.0.1.51:5060?X-Ticket=a%20b&amp;Route=evil<Headers><Header name=\"X-More\" value=\"1\"/></Headers></Sip></Dial>");
        let (_phone, call) = stage.dial(pivot(json!({}))).await;
        let incoming = callee.called(SECOND).await;
        assert_eq!(header(&incoming.invite, "X-Ticket"), "a b");
        assert_eq!(header(&incoming.invite, "X-More"), "1");
        assert!(!incoming.invite.contains("evil"), "{}", incoming.invite);
        call.cancel();
        call.expect(487, SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn keys_are_sent_to_a_number_before_both_are_connected() {
    stage(|stage| async move {
        let (callee, device) = phone_of(&stage, 51, json!({})).await;
        stage
            .world
            .callflow(
                "1234",
                json!({"module": "device", "data": {"id": device}, "children": {}}),
            )
            .await;
        stage.answers("<Dial><Number sendDigits=\"ww12\">1234</Number></Dial>");
        let (_phone, call) = stage.dial(pivot(json!({}))).await;
        let incoming = callee.called(SECOND).await;
        incoming.answer().await;
        let (_, ms) = took(call.expect(200, 5 * SECOND)).await;
        assert!((1_200..1_900).contains(&ms), "{ms}");
        call.ack("");
        let events = stage.world.rtp.borrow_mut().arrived();
        let keys = events
            .iter()
            .filter(|packet| packet.bytes.get(1).is_some_and(|b| b & 0x7f == 101));
        assert!(keys.count() > 4);
        call.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn action_after_the_caller_has_left_is_asked_in_the_twilio_profile_alone() {
    for (more, asked) in [(json!({}), 1), (twilio(), 2)] {
        stage(|stage| async move {
            let (callee, device) = phone_of(&stage, 51, json!({})).await;
            stage.answers(&format!(
                "<Dial action=\"/after\"><Device>{device}</Device></Dial><Say>never</Say>"
            ));
            stage.answers("<Say>never</Say>");
            let (_phone, call) = stage.dial(pivot(more)).await;
            let incoming = callee.called(SECOND).await;
            incoming.answer().await;
            call.expect(200, SECOND).await;
            call.ack("");
            tokio::time::sleep(2 * SECOND).await;
            call.hang_up().await;
            incoming.wait_for_bye(SECOND).await;
            stage.world.at_rest().await;
            assert_eq!(stage.asked().len(), asked);
            if asked == 2 {
                let told = stage.told(1);
                assert_eq!(
                    (told["CallStatus"].as_str(), told["DialCallStatus"].as_str()),
                    ("completed", "completed")
                );
            }
        });
    }
}

#[test]
fn a_ringtone_of_the_country_is_heard_while_it_rings() {
    stage(|stage| async move {
        let (callee, device) = phone_of(&stage, 51, json!({})).await;
        stage.answers(leaked(format!(
            "<Dial ringTone=\"de\"><Device>{device}</Device></Dial>"
        )));
        let (_phone, call) = stage.dial(pivot(twilio())).await;
        let incoming = callee.called(SECOND).await;
        incoming.ring();
        call.expect(200, SECOND).await;
        call.ack("");
        stage.packets();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(stage.packets() >= 20);
        call.hang_up().await;
        incoming.cancelled(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_called_party_hears_its_document_first_and_callbacks_tell_of_its_leg() {
    stage(|stage| async move {
        let callee = stage.world.phone_at("10.0.1.51:5060");
        stage.answers(
            "<Dial action=\"/after\"><Sip url=\"/screen\" statusCallback=\"/cb\" statusCallbackEvent=\"initiated ringing answered completed\">\
             sip:callee@10.0.1.51:5060</Sip></Dial>",
        );
        stage.answers("<Pause length=\"3\"/>");
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.connect(pivot(twilio())).await;
        let incoming = callee.called(SECOND).await;
        incoming.ring();
        tokio::time::sleep(SECOND).await;
        incoming.answer().await;
        tokio::time::sleep(6 * SECOND).await;
        incoming.hang_up().await;
        over(&stage, &call).await;
        let (first, screen, after) = (
            stage.told(0),
            stage.told_at("/SCREEN"),
            stage.told_at("/AFTER"),
        );
        assert_eq!(screen["ParentCallSid"], first["CallSid"]);
        assert_eq!(screen["CallSid"], header(&incoming.invite, "Call-ID"));
        let talked: u32 = after["DialCallDuration"].parse().unwrap();
        assert!((2..=3).contains(&talked), "{talked}");
        let told = callbacks(&stage, "/cb").await;
        let states: Vec<&str> = told.iter().map(|t| t["CallStatus"].as_str()).collect();
        assert_eq!(states, ["initiated", "ringing", "in-progress", "completed"]);
        let numbers: Vec<&str> = told.iter().map(|t| t["SequenceNumber"].as_str()).collect();
        assert_eq!(numbers, ["0", "1", "2", "3"]);
        assert_eq!(told[3]["ParentCallSid"], first["CallSid"]);
        assert!(
            (5..=6).contains(&told[3]["CallDuration"].parse::<u32>().unwrap()),
            "{told:?}"
        );
    });
}

#[test]
fn a_hangup_before_both_are_connected_keeps_them_apart() {
    stage(|stage| async move {
        let callee = stage.world.phone_at("10.0.1.51:5060");
        stage.answers(
            "<Dial action=\"/after\"><Sip url=\"/screen\" statusCallback=\"/cb\">sip:callee@10.0.1.51:5060</Sip></Dial>",
        );
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.connect(pivot(twilio())).await;
        let incoming = callee.called(SECOND).await;
        incoming.answer().await;
        over(&stage, &call).await;
        let after = stage.told_at("/AFTER");
        assert_eq!(after["DialCallStatus"], "no-answer");
        assert_eq!(after["DialBridged"], "false");
        let told = callbacks(&stage, "/cb").await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["CallStatus"], "completed");
    });
}

#[test]
fn what_an_answer_says_in_headers_of_its_own_is_told_the_action() {
    stage(|stage| async move {
        let callee = stage.world.phone_at("10.0.1.51:5060");
        stage.answers("<Dial action=\"/after\"><Sip>sip:callee@10.0.1.51:5060</Sip></Dial>");
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.connect(pivot(twilio())).await;
        let incoming = callee.called(SECOND).await;
        incoming.reply(
            "200 OK\r\nX-Ticket: 42\r\nServer: x",
            &incoming.sdp("sendrecv"),
        );
        callee.expect("ACK ", SECOND).await;
        tokio::time::sleep(SECOND).await;
        incoming.hang_up().await;
        over(&stage, &call).await;
        let after = stage.told_at("/AFTER");
        assert_eq!(after["DialSipHeader_X-Ticket"], "42");
        assert_eq!(after.get("DialSipHeader_Server"), None);
    });
}
