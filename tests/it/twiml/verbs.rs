//! The rows of `pivot.md` §7: verb, attribute, default, limit, bad value.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{SAID, about, document, over, pivot};
use crate::flow::{SECOND, Stage, press, stage, took, type_in};
use crate::world::phone::{Phone, PhoneCall};
use crate::world::rtp::Voice;
use crate::world::web::Reply;

const TWILIO: &str = "{\"twiml_profile\":\"twilio\",\"req_format\":\"twiml\"}";

fn twilio() -> Value {
    serde_json::from_str(TWILIO).unwrap()
}

/// The call is over that many milliseconds after it was answered.
async fn lasts(stage: &Stage, call: &PhoneCall, wanted: u128) {
    let (_, ms) = took(call.wait_for_bye(100 * SECOND)).await;
    about(ms, wanted);
    stage.world.at_rest().await;
}

/// Documents, and how long a call with each of them lasts, in both profiles.
fn lasting(rows: &[(&'static str, u128, u128)]) {
    for (verbs, kazoo, wanted_twilio) in rows {
        for (more, wanted) in [(json!({}), *kazoo), (twilio(), *wanted_twilio)] {
            let what = format!("{verbs} {more}");
            stage(|stage| async move {
                let (_phone, call) = stage.runs(more, verbs).await;
                let (_, ms) = took(call.wait_for_bye(100 * SECOND)).await;
                assert!(
                    ms.abs_diff(wanted) <= 150,
                    "{what}: {ms} ms instead of {wanted}"
                );
                stage.world.at_rest().await;
            });
        }
    }
}

/// A document whose last request tells what was pressed; `type_keys` acts on the call meanwhile.
fn gathered<F: Future<Output = ()>>(
    more: Value,
    verbs: &'static str,
    type_keys: impl FnOnce(Phone, PhoneCall) -> F,
) -> Option<String> {
    let told = std::rc::Rc::new(std::cell::RefCell::new(None));
    let tell = told.clone();
    stage(|stage| async move {
        stage.answers(verbs);
        stage.answers("<Hangup/>");
        let (phone, call) = stage.connect(pivot(more)).await;
        type_keys(phone, call).await;
        stage.world.at_rest().await;
        if stage.asked().len() > 1 {
            *tell.borrow_mut() = stage.told(1).get("Digits").cloned();
        }
    });
    told.take()
}

#[test]
fn say_by_its_attributes() {
    lasting(&[
        ("<Say>Ten chars.</Say>", SAID, SAID),
        ("<Say loop=\"3\">Ten chars.</Say>", 3 * SAID, 3 * SAID),
        (
            "<Say voice=\"man\" language=\"de\">Ten chars.</Say>",
            SAID,
            SAID,
        ),
        (
            "<Say voice=\"Polly.Joanna\" language=\"en-US\">Ten chars.</Say>",
            SAID,
            SAID,
        ),
        ("<Say>  </Say><Pause/>", 1_000, 1_000),
        (
            "<Say>Ten chars.<break time=\"2s\"/></Say>",
            SAID + 2_000,
            SAID + 2_000,
        ),
        // A loop that is no number ends a KAZOO call at once.
        (
            "<Pause length=\"2\"/><Say loop=\"x\">Ten chars.</Say>",
            2_000,
            2_000 + SAID,
        ),
        (
            "<Pause/><Say loop=\"-1\">Ten chars.</Say>",
            1_000,
            1_000 + SAID,
        ),
    ]);
}

#[test]
fn a_key_ends_what_kazoo_says_and_is_told_the_next_request() {
    let verbs = "<Say loop=\"0\" terminators=\"5\">Ten chars.</Say><Redirect/>";
    let told = gathered(json!({}), verbs, |phone, call| async move {
        tokio::time::sleep(5 * SECOND).await;
        type_in(&phone, &call, "45").await;
        call.wait_for_bye(5 * SECOND).await;
    });
    assert_eq!(told.as_deref(), Some("45"));
}

#[test]
fn keys_do_not_stop_what_twilio_says() {
    let verbs = "<Say loop=\"4\">Ten chars.</Say><Redirect/>";
    let told = gathered(twilio(), verbs, |phone, call| async move {
        press(&phone, &call, '5').await;
        let (_, ms) = took(call.wait_for_bye(10 * SECOND)).await;
        about(ms, 4 * SAID);
    });
    assert_eq!(told, None);
}

#[test]
fn play_by_its_attributes() {
    lasting(&[
        ("<Play>silence_stream://2000</Play>", 2_000, 2_000),
        (
            "<Play loop=\"2\">tone_stream://%(1000,0,440)</Play>",
            2_000,
            2_000,
        ),
        (
            "<Play>silence_stream://1000\n  silence_stream://500</Play>",
            1_500,
            1_500,
        ),
        // Nothing to play ends a KAZOO call; what cannot be had is passed over.
        ("<Pause/><Play/><Pause length=\"2\"/>", 1_000, 3_000),
        (
            "<Play>nonsense://x</Play><Pause length=\"2\"/>",
            2_000,
            2_000,
        ),
    ]);
}

#[test]
fn play_fetches_a_relative_url_in_the_twilio_profile() {
    stage(|stage| async move {
        stage.answers("<Play>sounds/a.wav</Play>");
        stage.world.web.reply(Reply {
            status: 404,
            content_type: String::new(),
            body: String::new(),
            after: std::time::Duration::ZERO,
        });
        let (_phone, call) = stage.connect(pivot(twilio())).await;
        over(&stage, &call).await;
        assert_eq!(
            stage.asked(),
            ["GET /APP/START.XML", "GET /APP/SOUNDS/A.WAV"]
        );
    });
}

#[test]
fn play_sends_keys() {
    document(
        twilio(),
        "<Play digits=\"1w2\"/>",
        |stage, _phone, call| async move {
            let (_, ms) = took(call.wait_for_bye(10 * SECOND)).await;
            // Two keys of 160 ms with their pauses, and half a second between.
            assert!((800..1_400).contains(&ms), "{ms}");
            let events = stage.world.rtp.borrow_mut().arrived();
            let keys = events
                .iter()
                .filter(|packet| packet.bytes.get(1).is_some_and(|b| b & 0x7f == 101));
            assert!(keys.count() > 4);
            stage.world.at_rest().await;
        },
    );
}

#[test]
fn pause_by_its_attributes() {
    lasting(&[
        ("<Pause/>", 1_000, 1_000),
        ("<Pause length=\"3\"/>", 3_000, 3_000),
        ("<Pause length=\"3\"> </Pause>", 3_000, 3_000),
        ("<Pause/><Pause length=\"0\"/><Pause/>", 1_000, 3_000),
        ("<Pause/><Pause length=\"soon\"/>", 1_000, 2_000),
    ]);
}

#[test]
fn a_pause_is_an_hour_at_most() {
    stage(|stage| async move {
        stage.answers("<Pause length=\"999999\"/>");
        let (_phone, call) = stage.connect(pivot(json!({}))).await;
        tokio::time::sleep(SECOND).await;
        assert!(
            stage
                .notes()
                .iter()
                .any(|note| note.contains("counts as 3600")),
            "{:?}",
            stage.notes()
        );
        call.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn keys_pressed_in_a_pause_are_seen_by_the_next_verb() {
    let verbs = "<Pause length=\"2\"/><Gather numDigits=\"2\"/>";
    let told = gathered(json!({}), verbs, |phone, call| async move {
        type_in(&phone, &call, "12").await;
        call.wait_for_bye(10 * SECOND).await;
    });
    assert_eq!(told.as_deref(), Some("12"));
}

#[test]
fn hangup_answers_and_ends() {
    lasting(&[
        ("<Hangup/><Pause/>", 0, 0),
        ("<Hangup x=\"1\">y</Hangup>", 0, 0),
    ]);
}

#[test]
fn reject_refuses_with_its_reason() {
    for (verbs, status) in [
        ("<Reject/>", "503"),
        ("<Reject reason=\"rejected\"/>", "503"),
        ("<Reject reason=\"busy\"/><Say>never</Say>", "486"),
    ] {
        stage(|stage| async move {
            stage.answers(verbs);
            let (_phone, call) = stage.dial(pivot(json!({}))).await;
            let refusal = call.answered(5 * SECOND).await;
            assert!(
                refusal.starts_with(&format!("SIP/2.0 {status}")),
                "{verbs}: {refusal}"
            );
            call.ack_refusal();
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn reject_plays_its_prompt_before() {
    stage(|stage| async move {
        stage.answers("<Reject prompt=\"silence_stream://1500\"/>");
        let (_phone, call) = stage.dial(pivot(json!({}))).await;
        call.expect(183, SECOND).await;
        let (refusal, ms) = took(call.answered(5 * SECOND)).await;
        assert!(refusal.starts_with("SIP/2.0 503"), "{refusal}");
        about(ms, 1_500);
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn gather_by_its_attributes_when_nothing_is_pressed() {
    lasting(&[
        ("<Gather/>", 5_000, 5_000),
        ("<Gather timeout=\"2\"/>", 2_000, 2_000),
        (
            "<Gather timeout=\"2\"><Say>Ten chars.</Say><Pause length=\"1\"/></Gather>",
            SAID + 3_000,
            SAID + 3_000,
        ),
        (
            "<Gather timeout=\"2\"><Say loop=\"2\">Ten chars.</Say></Gather>",
            2 * SAID + 2_000,
            2 * SAID + 2_000,
        ),
        ("<Pause/><Gather timeout=\"0\"/>", 1_000, 6_000),
        (
            "<Pause/><Gather finishOnKey=\"12\" timeout=\"1\"/>",
            1_000,
            2_000,
        ),
        (
            "<Pause/><Gather numDigits=\"0\" timeout=\"1\"/>",
            1_000,
            2_000,
        ),
        (
            "<Gather timeout=\"1\"><Dial>1</Dial></Gather>",
            1_000,
            1_000,
        ),
    ]);
}

#[test]
fn gather_ends_with_its_number_of_digits_its_key_or_its_time() {
    for (attributes, keys, told) in [
        ("", "123#", Some("123")),
        ("numDigits=\"2\"", "12", Some("12")),
        ("finishOnKey=\"*\"", "1#*", Some("1#")),
        ("finishOnKey=\"\" timeout=\"2\"", "1#", Some("1#")),
        ("timeout=\"2\"", "12", Some("12")),
        ("", "#", None),
        ("timeout=\"1\"", "", None),
    ] {
        for more in [json!({}), twilio()] {
            let verbs: &'static str =
                format!("<Gather {attributes}><Say loop=\"0\">Press.</Say></Gather>").leak();
            let verbs = if keys.is_empty() {
                "<Gather timeout=\"1\"/>"
            } else {
                verbs
            };
            let found = gathered(more, verbs, |phone, call| async move {
                tokio::time::sleep(SECOND).await;
                if !keys.is_empty() {
                    type_in(&phone, &call, keys).await;
                }
                call.wait_for_bye(20 * SECOND).await;
            });
            assert_eq!(found.as_deref(), told, "{attributes} {keys}");
        }
    }
}

#[test]
fn the_time_of_a_gather_is_for_all_keys_in_kazoo_and_for_each_in_twilio() {
    for (more, told) in [(json!({}), "12"), (twilio(), "1234")] {
        let found = gathered(more, "<Gather timeout=\"3\"/>", |phone, call| async move {
            for key in "1234".chars() {
                // The last ones come too late for KAZOO, whose call is over then.
                call.send(
                    "INFO",
                    "Content-Type: application/dtmf-relay\r\n",
                    &format!("Signal={key}\r\nDuration=160\r\n"),
                );
                tokio::time::sleep(2 * SECOND).await;
            }
            drop(phone.waiting());
        });
        assert_eq!(found.as_deref(), Some(told));
    }
}

#[test]
fn a_key_stops_the_prompt_of_a_gather_at_once() {
    stage(|stage| async move {
        stage.answers("<Gather numDigits=\"1\"><Say loop=\"0\">Press one now.</Say></Gather>");
        stage.world.web.reply(Reply {
            status: 200,
            content_type: "text/xml".into(),
            body: "<Response><Pause length=\"2\"/></Response>".into(),
            after: 2 * SECOND,
        });
        let (phone, call) = stage.connect(pivot(json!({}))).await;
        tokio::time::sleep(2 * SECOND).await;
        assert!(loud(&stage) > 30, "the prompt is heard");
        press(&phone, &call, '1').await;
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        loud(&stage);
        tokio::time::sleep(SECOND).await;
        // What was on its way when the key was pressed.
        assert!(loud(&stage) <= 2);
        call.hang_up().await;
        stage.world.at_rest().await;
    });
}

/// Packets with sound in them since this was last asked.
fn loud(stage: &Stage) -> usize {
    let packets = stage.world.rtp.borrow_mut().arrived();
    let is_loud = |bytes: &[u8]| {
        bytes
            .get(12..)
            .is_some_and(|audio| audio.iter().any(|b| b & 0x70 != 0x70))
    };
    packets
        .iter()
        .filter(|packet| is_loud(&packet.bytes))
        .count()
}

#[test]
fn gather_asks_without_digits_only_where_told_to() {
    let empty = "<Gather timeout=\"1\" actionOnEmptyResult=\"true\"/>";
    let told = gathered(twilio(), empty, |_phone, call| async move {
        call.wait_for_bye(10 * SECOND).await;
    });
    assert_eq!(told.as_deref(), Some(""));
}

#[test]
fn gather_posts_to_its_action_with_the_key_that_finished_it() {
    stage(|stage| async move {
        stage
            .answers("<Gather action=\"/keys?a=b\" method=\"post\"><Pause length=\"9\"/></Gather>");
        stage.answers("<Hangup/>");
        let (phone, call) = stage.connect(pivot(twilio())).await;
        type_in(&phone, &call, "7#").await;
        over(&stage, &call).await;
        assert_eq!(stage.asked(), ["GET /APP/START.XML", "POST /KEYS"]);
        let told = stage.told(1);
        assert_eq!(
            (told["Digits"].as_str(), told["FinishedOnKey"].as_str()),
            ("7", "#")
        );
        assert_eq!(told["a"], "b");
    });
}

#[test]
fn a_caller_who_leaves_a_gather_is_not_told_about() {
    document(
        json!({}),
        "<Gather action=\"/keys\"/>",
        |stage, phone, call| async move {
            type_in(&phone, &call, "12").await;
            call.hang_up().await;
            stage.world.at_rest().await;
            assert_eq!(stage.asked().len(), 1);
        },
    );
}

#[test]
fn barge_in_can_be_turned_off() {
    let verbs =
        "<Gather bargeIn=\"false\" numDigits=\"1\"><Say loop=\"4\">Ten chars.</Say></Gather>";
    let told = gathered(twilio(), verbs, |phone, call| async move {
        press(&phone, &call, '1').await;
        tokio::time::sleep(4 * SECOND).await;
        press(&phone, &call, '2').await;
        call.wait_for_bye(10 * SECOND).await;
    });
    assert_eq!(told.as_deref(), Some("2"));
}

#[test]
fn redirect_asks_its_url_with_its_method() {
    for (verbs, more, line) in [
        ("<Redirect>next</Redirect>", json!({}), "GET /APP/NEXT"),
        ("<Redirect>next</Redirect>", twilio(), "POST /APP/NEXT"),
        (
            "<Redirect method=\"POST\">/next</Redirect>",
            json!({}),
            "POST /NEXT",
        ),
        (
            "<Redirect method=\"get\">../x</Redirect>",
            twilio(),
            "GET /X",
        ),
        (
            "<Redirect method=\"PUT\">x</Redirect>",
            json!({}),
            "GET /APP/X",
        ),
        ("<Redirect/>", json!({}), "GET /APP/START.XML"),
        (
            "<Redirect>http://ivr.example/other</Redirect><Nonsense/>",
            json!({}),
            "GET /OTHER",
        ),
    ] {
        stage(|stage| async move {
            stage.answers(verbs);
            stage.answers("<Hangup/>");
            let (_phone, call) = stage.connect(pivot(more)).await;
            over(&stage, &call).await;
            assert_eq!(stage.asked()[1], line, "{verbs}");
        });
    }
}

#[test]
fn variables_go_with_every_later_request_and_give_way_to_what_is_always_told() {
    stage(|stage| async move {
        stage.answers("<Set><Variable key=\"a\" value=\"1\"/><Variable key=\"To\" value=\"x\"/></Set><Redirect><Variable key=\"b\" value=\"2\"/></Redirect>");
        stage.answers("<Set/><Redirect/>");
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.connect(pivot(json!({}))).await;
        over(&stage, &call).await;
        for n in [1, 2] {
            let told = stage.told(n);
            assert_eq!(
                (told["a"].as_str(), told["To"].as_str()),
                ("1", "2000"),
                "{n}"
            );
        }
    });
}

#[test]
fn record_tells_where_the_recording_is_and_which_key_ended_it() {
    stage(|stage| async move {
        stage
            .answers("<Record action=\"/done\" finishOnKey=\"5\" maxLength=\"60\" timeout=\"0\"/>");
        stage.answers("<Hangup/>");
        let (phone, call, port) = stage.connected(pivot(json!({}))).await;
        let voice = Voice::speak(
            &stage.world,
            SocketAddr::new(phone.address().ip(), 4000),
            port,
            0x10,
        );
        tokio::time::sleep(3 * SECOND).await;
        drop(voice);
        press_rtp(&stage, &phone, port, 5);
        over(&stage, &call).await;
        let told = stage.told(1);
        assert!(told["RecordingUrl"].contains("recordings"), "{told:?}");
        assert_eq!(told["RecordingUrl"], told["Recording-Url"]);
        assert_eq!(told["RecordingDuration"], told["Recording-Duration"]);
        assert_eq!(told["Digits"], "5");
        assert_eq!(stage.asked()[1], "GET /DONE");
    });
}

#[test]
fn record_asks_its_action_after_the_caller_has_left() {
    stage(|stage| async move {
        stage.answers("<Record action=\"/done\" playBeep=\"false\"/><Say>never</Say>");
        stage.answers("<Say>never</Say>");
        let (phone, call, port) = stage.connected(pivot(json!({}))).await;
        let voice = Voice::speak(
            &stage.world,
            SocketAddr::new(phone.address().ip(), 4000),
            port,
            0x10,
        );
        tokio::time::sleep(3 * SECOND).await;
        call.hang_up().await;
        drop(voice);
        stage.world.at_rest().await;
        assert_eq!(stage.asked(), ["GET /APP/START.XML", "GET /DONE"]);
        let told = stage.told(1);
        assert_eq!(told["Digits"], "hangup");
        assert!(
            (2..=3).contains(&told["RecordingDuration"].parse::<u32>().unwrap()),
            "{told:?}"
        );
    });
}

#[test]
fn silence_alone_is_no_recording() {
    document(
        json!({}),
        "<Record action=\"/done\" timeout=\"2\" playBeep=\"false\"/><Pause/>",
        |stage, _phone, call| async move {
            over(&stage, &call).await;
            assert_eq!(stage.asked().len(), 1);
        },
    );
}

#[test]
fn record_by_its_limits() {
    lasting(&[
        (
            "<Pause/><Record maxLength=\"3601\"/>",
            1_000,
            1_000 + 500 + 5_000,
        ),
        (
            "<Pause/><Record maxLength=\"0\"/>",
            1_000,
            1_000 + 500 + 5_000,
        ),
        (
            "<Pause/><Record finishOnKey=\"x\"/>",
            1_000,
            1_000 + 500 + 5_000,
        ),
        ("<Record timeout=\"2\"/>", 2_500, 2_500),
    ]);
}

#[test]
fn what_is_not_available_ends_the_document_where_it_stands() {
    for verbs in [
        "<Connect><ConversationRelay url=\"wss://x.example/\"/></Connect>",
        "<Pay/>",
        "<Dial><Sim>DE123</Sim></Dial>",
    ] {
        for more in [json!({}), twilio()] {
            let document: &'static str = format!("<Pause/>{verbs}<Pause length=\"9\"/>").leak();
            stage(|stage| async move {
                let (_phone, call) = stage.runs(more, document).await;
                lasts(&stage, &call, 1_000).await;
                let notes = stage.notes().join("\n");
                assert!(notes.contains("line 2, column"), "{verbs}: {notes}");
            });
        }
    }
}

#[test]
fn what_runs_beside_the_call_is_passed_over() {
    lasting(&[
        (
            "<Start><Stream url=\"wss://x.example/\"/></Start><Pause/>",
            1_000,
            1_000,
        ),
        ("<Stop><Stream name=\"x\"/></Stop><Pause/>", 1_000, 1_000),
        ("<Leave/><Pause/>", 1_000, 1_000),
    ]);
}

/// Presses a key as a telephone does: telephone-events beside its audio.
fn press_rtp(stage: &Stage, phone: &Phone, to: SocketAddr, event: u8) {
    let from = SocketAddr::new(phone.address().ip(), 4000);
    for (n, (end, duration)) in [
        (0, 160_u16),
        (0, 320),
        (0x80, 480),
        (0x80, 480),
        (0x80, 480),
    ]
    .iter()
    .enumerate()
    {
        let mut packet = vec![0x80, if n == 0 { 101 | 0x80 } else { 101 }];
        packet.extend((200 + u16::try_from(n).unwrap()).to_be_bytes());
        packet.extend(32_000_u32.to_be_bytes());
        packet.extend([0x10; 4]);
        packet.extend([event, end | 10]);
        packet.extend(duration.to_be_bytes());
        stage.world.rtp.borrow_mut().post(from, to, &packet);
    }
}
