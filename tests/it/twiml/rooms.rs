//! Conferences and queues from documents: who gets in, what is heard meanwhile, who is told (`pivot.md` §7.6, §8.6).

use serde_json::json;
use swivel::call::conference::{MemberOrder, Order};

use super::{about, callbacks, over, pivot, twilio};
use crate::flow::{SECOND, Stage, stage, took};
use crate::world::ACCOUNT;
use crate::world::phone::{Phone, PhoneCall};

/// Another call of the same number, answered.
async fn another(stage: &Stage) -> (Phone, PhoneCall) {
    let (phone, call) = stage.invite();
    let answer = call.answered(10 * SECOND).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    call.ack("");
    (phone, call)
}

#[test]
fn a_conference_tells_its_callback_and_goes_on_behind_the_dial() {
    stage(|stage| async move {
        stage.answers(
            "<Dial action=\"/after\"><Conference beep=\"false\" waitUrl=\"\" endConferenceOnExit=\"true\" participantLabel=\"boss\" \
             statusCallback=\"/cb\" statusCallbackEvent=\"start end join leave\">room</Conference></Dial>",
        );
        stage.answers("<Dial><Conference>room</Conference></Dial><Pause length=\"2\"/>");
        stage.answers("<Hangup/>");
        let (_one, first) = stage.connect(twilio()).await;
        tokio::time::sleep(SECOND).await;
        let (_two, second) = another(&stage).await;
        tokio::time::sleep(3 * SECOND).await;
        first.hang_up().await;
        let (_, ms) = took(second.wait_for_bye(10 * SECOND)).await;
        about(ms, 2_000);
        let told = callbacks(&stage, "/cb").await;
        let events: Vec<&str> = told
            .iter()
            .map(|t| t["StatusCallbackEvent"].as_str())
            .collect();
        let count = |event: &str| events.iter().filter(|e| **e == event).count();
        assert_eq!(count("participant-join"), 2, "{events:?}");
        assert_eq!(count("conference-start"), 1, "{events:?}");
        assert_eq!(count("conference-end"), 1, "{events:?}");
        assert!(count("participant-leave") >= 1, "{events:?}");
        let numbers: Vec<u64> = told
            .iter()
            .map(|t| t["SequenceNumber"].parse().unwrap())
            .collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        assert!(told[0]["ConferenceSid"].starts_with("CF"), "{told:?}");
        assert_eq!(told[0]["FriendlyName"], "room");
        assert_eq!(told[0]["ParticipantLabel"], "boss");
        assert_eq!(told[0]["EndConferenceOnExit"], "true");
        let end = told
            .iter()
            .find(|t| t["StatusCallbackEvent"] == "conference-end")
            .unwrap();
        assert_eq!(
            end["ReasonConferenceEnded"],
            "participant-with-end-conference-on-exit-left"
        );
        let after = stage.told_at("/AFTER");
        assert_eq!(after["DialCallStatus"], "answered");
        assert_eq!(after["CallStatus"], "completed");
    });
}

#[test]
fn a_wait_url_is_a_document_for_twilio_and_a_sound_for_kazoo() {
    let room = |url: &str| {
        format!(
            "<Dial><Conference startConferenceOnEnter=\"false\" waitUrl=\"{url}\">room</Conference></Dial>"
        )
    };
    stage(|stage| async move {
        stage.answers(&room("/wait"));
        stage.answers("<Say>Ten chars.</Say>");
        let (_phone, call) = stage.connect(twilio()).await;
        tokio::time::sleep(5 * SECOND).await;
        let waits = stage
            .asked()
            .iter()
            .filter(|line| *line == "POST /WAIT")
            .count();
        assert!((4..=6).contains(&waits), "{waits}");
        call.hang_up().await;
        stage.world.at_rest().await;
    });
    stage(|stage| async move {
        stage.answers(&room("tone_stream://%(500,500,440);loops=-1"));
        let (_phone, call) = stage.connect(pivot(json!({}))).await;
        tokio::time::sleep(SECOND).await;
        stage.packets();
        tokio::time::sleep(2 * SECOND).await;
        let packets = stage.packets();
        assert!((95..=105).contains(&packets), "{packets}");
        assert_eq!(stage.asked().len(), 1);
        call.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_full_conference_takes_nobody_and_the_document_goes_on() {
    stage(|stage| async move {
        for _ in 0..3 {
            stage.answers(
                "<Dial action=\"/after\"><Conference maxParticipants=\"2\">room</Conference></Dial>",
            );
        }
        stage.answers("<Hangup/>");
        let (_one, first) = stage.connect(twilio()).await;
        let (_two, second) = another(&stage).await;
        let (_three, third) = another(&stage).await;
        third.wait_for_bye(5 * SECOND).await;
        assert_eq!(stage.told_at("/AFTER")["DialCallStatus"], "failed");
        first.hang_up().await;
        second.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn who_waits_in_a_queue_is_taken_and_both_documents_are_told() {
    stage(|stage| async move {
        stage.answers("<Enqueue action=\"/left\" waitUrl=\"/wait\">support</Enqueue>");
        stage.answers("<Pause length=\"60\"/>");
        stage.answers("<Dial action=\"/took\"><Queue url=\"/announce\">support</Queue></Dial>");
        stage.answers("<Pause length=\"1\"/>");
        stage.answers("<Hangup/>");
        let (_one, waiting) = stage.connect(twilio()).await;
        tokio::time::sleep(4 * SECOND).await;
        let (_two, agent) = another(&stage).await;
        tokio::time::sleep(4 * SECOND).await;
        waiting.hang_up().await;
        agent.wait_for_bye(5 * SECOND).await;
        stage.world.at_rest().await;
        let wait = stage.told_at("/WAIT");
        assert_eq!(
            (
                wait["QueuePosition"].as_str(),
                wait["CurrentQueueSize"].as_str()
            ),
            ("1", "1")
        );
        let announced = stage.told_at("/ANNOUNCE");
        assert_eq!(announced["CallSid"], wait["CallSid"]);
        assert_ne!(announced["DequeingCallSid"], wait["CallSid"]);
        assert_eq!(announced["QueueSid"], wait["QueueSid"]);
        let took = stage.told_at("/TOOK");
        assert_eq!(took["DequeueResult"], "bridged");
        assert_eq!(took["DequeuedCallSid"], wait["CallSid"]);
        assert_eq!(took["DialCallStatus"], "completed");
        assert!(
            (2..=3).contains(&took["DequeuedCallDuration"].parse::<u32>().unwrap()),
            "{took:?}"
        );
        let left = stage.told_at("/LEFT");
        assert_eq!(left["QueueResult"], "bridged");
        assert!(
            (4..=5).contains(&left["QueueTime"].parse::<u32>().unwrap()),
            "{left:?}"
        );
    });
}

#[test]
fn leave_ends_the_waiting_and_nobody_in_a_queue_is_no_answer() {
    stage(|stage| async move {
        stage.answers("<Enqueue action=\"/left\" waitUrl=\"/wait\">support</Enqueue>");
        stage.answers("<Pause length=\"2\"/><Leave/>");
        stage.answers("<Dial timeout=\"3\" action=\"/took\"><Queue>support</Queue></Dial>");
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.connect(twilio()).await;
        over(&stage, &call).await;
        assert_eq!(stage.told_at("/LEFT")["QueueResult"], "leave");
        let took = stage.told_at("/TOOK");
        assert_eq!(took["DialCallStatus"], "no-answer");
        assert_eq!(took.get("QueueResult"), None, "{took:?}");
    });
}

#[test]
fn a_full_queue_takes_nobody() {
    stage(|stage| async move {
        for _ in 0..2 {
            stage.answers(
                "<Enqueue action=\"/left\" waitUrl=\"\" maxQueueSize=\"1\">support</Enqueue>",
            );
        }
        stage.answers("<Hangup/>");
        let (_one, first) = stage.connect(twilio()).await;
        let (_two, second) = another(&stage).await;
        second.wait_for_bye(5 * SECOND).await;
        assert_eq!(stage.told_at("/LEFT")["QueueResult"], "queue-full");
        first.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn what_the_api_does_to_a_member_or_plays_to_all_is_told_the_callback() {
    stage(|stage| async move {
        stage.answers(
            "<Dial><Conference beep=\"false\" statusCallback=\"/cb\" statusCallbackEvent=\"hold announcement mute\">room</Conference></Dial>",
        );
        stage.answers("<Dial><Conference beep=\"false\" muted=\"true\">room</Conference></Dial>");
        let (_one, first) = stage.connect(twilio()).await;
        let (_two, second) = another(&stage).await;
        tokio::time::sleep(SECOND).await;
        let core = &stage.world.core;
        let members = core
            .conference(ACCOUNT, "room")
            .unwrap()
            .info()
            .participants;
        let mute = members[1].id;
        for hold in [true, true, false] {
            let order = Order::Member(mute, MemberOrder::Hold(hold));
            assert!(core.order_conference(ACCOUNT, "room", order));
        }
        let shown = core
            .conference(ACCOUNT, "room")
            .unwrap()
            .info()
            .participants;
        assert!(shown[1].muted && !shown[1].held, "it is as mute as before");
        for sound in ["tone_stream://%(500,0,440)", "nonsense://x"] {
            let order = Order::Play(sound.to_owned());
            assert!(core.order_conference(ACCOUNT, "room", order));
            tokio::time::sleep(SECOND).await;
        }
        first.hang_up().await;
        second.hang_up().await;
        let told = callbacks(&stage, "/cb").await;
        let events: Vec<&str> = told
            .iter()
            .map(|t| t["StatusCallbackEvent"].as_str())
            .collect();
        let wanted = [
            "participant-hold",
            "participant-unhold",
            "announcement-end",
            "announcement-fail",
        ];
        assert_eq!(events, wanted);
        assert_eq!(
            (told[0]["Hold"].as_str(), told[1]["Hold"].as_str()),
            ("true", "false")
        );
        assert_eq!(told[2]["AnnounceUrl"], "tone_stream://%(500,0,440)");
        assert!(told[3].contains_key("ReasonAnnouncementFailed"), "{told:?}");
    });
}

#[test]
fn a_conference_begins_with_whom_it_is_said_to_begin_with() {
    stage(|stage| async move {
        stage.answers(
            "<Dial><Conference beep=\"false\" startConferenceOnEnter=\"false\" waitUrl=\"\" statusCallback=\"/cb\" statusCallbackEvent=\"start join\">room</Conference></Dial>",
        );
        stage.answers("<Dial><Conference beep=\"false\" startConferenceOnEnter=\"false\">room</Conference></Dial>");
        stage.answers("<Dial><Conference beep=\"false\">room</Conference></Dial>");
        let (_one, first) = stage.connect(twilio()).await;
        let (_two, second) = another(&stage).await;
        tokio::time::sleep(2 * SECOND).await;
        let started = || {
            let room = stage.world.core.conference(ACCOUNT, "room").unwrap();
            room.info().started
        };
        assert!(!started());
        let (_three, third) = another(&stage).await;
        tokio::time::sleep(SECOND).await;
        assert!(started());
        for call in [first, second, third] {
            call.hang_up().await;
        }
        let told = callbacks(&stage, "/cb").await;
        let events: Vec<&str> = told
            .iter()
            .map(|t| t["StatusCallbackEvent"].as_str())
            .collect();
        let joins = ["participant-join"; 3];
        assert_eq!(events, [&joins[..], &["conference-start"]].concat());
    });
}
