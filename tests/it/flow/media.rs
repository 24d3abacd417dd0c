//! What is played: `play`, `tts`, `tones`, `audio_macro`, `response`, `dead_air` (callflow.md §4.1).

use std::time::Duration;

use serde_json::{Value, json};

use super::{SECOND, chain, node, parent, press, stage, took};
use crate::world::phone::header;

/// A tone of one second.
const BEEP: &str = "tone_stream://%(1000,0,440)";

/// How long a flow takes from its answer to the BYE, in milliseconds.
fn length_of(flow: Value) -> u128 {
    let mut length = 0;
    let out = &mut length;
    stage(|stage| async move {
        let (_phone, call) = stage.connect(flow).await;
        let (_, ms) = took(call.wait_for_bye(120 * SECOND)).await;
        *out = ms;
        stage.world.at_rest().await;
    });
    length
}

#[test]
fn play_answers_plays_and_goes_on() {
    let ms = length_of(node("play", json!({"id": BEEP})));
    assert!(
        (1_050..1_300).contains(&ms),
        "100 ms after the answer, then one second: {ms}"
    );
}

#[test]
fn play_repeats_as_often_as_it_is_told() {
    let ms = length_of(node("play", json!({"id": BEEP, "loop_count": 3})));
    assert!((3_050..3_300).contains(&ms), "{ms}");
}

#[test]
fn play_without_an_answer_is_early_media() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .dial(node("play", json!({"id": BEEP, "answer": false})))
            .await;
        assert!(call.expect(183, SECOND).await.contains("m=audio"));
        assert!(call.answered(3 * SECOND).await.starts_with("SIP/2.0 480"));
        assert!(stage.packets() > 45);
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn play_of_nothing_leads_to_the_default_child() {
    for data in [
        json!({}),
        json!({"id": ""}),
        json!({"id": "no-such-medium"}),
        json!({"id": "tone_stream://%("}),
    ] {
        stage(|stage| async move {
            let flow = chain(vec![node("play", data), node("answer", json!({}))]);
            let (_phone, call) = stage.connect(flow).await;
            call.wait_for_bye(SECOND).await;
            assert_eq!(stage.modules(), ["play", "answer"]);
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn a_key_stops_an_endless_play_and_other_keys_do_not() {
    stage(|stage| async move {
        let flow = node(
            "play",
            json!({"id": BEEP, "endless_playback": true, "terminators": ["5"]}),
        );
        let (phone, call) = stage.connect(flow).await;
        tokio::time::sleep(5 * SECOND).await;
        press(&phone, &call, '4').await;
        tokio::time::sleep(5 * SECOND).await;
        press(&phone, &call, '5').await;
        call.wait_for_bye(SECOND).await;
        stage.vars(|vars| {
            assert_eq!(
                vars.collections["default"], "45",
                "both are kept for a later collection"
            )
        });
        stage.world.at_rest().await;
    });
}

#[test]
fn play_without_terminators_is_not_stopped() {
    stage(|stage| async move {
        let (phone, call) = stage
            .connect(node("play", json!({"id": BEEP, "terminators": []})))
            .await;
        press(&phone, &call, '1').await;
        let (_, ms) = took(call.wait_for_bye(3 * SECOND)).await;
        assert!(ms > 1_000, "{ms}");
        stage.world.at_rest().await;
    });
}

#[test]
fn tts_answers_and_speaks() {
    // The world's voice hums 50 ms a character.
    let text = "Pivot is pretty awesome. Have a great day.";
    let ms = length_of(node("tts", json!({"text": text})));
    let spoken = 50 * text.chars().count() as u128;
    assert!(ms + 150 > spoken && ms < spoken + 500, "{ms} for {spoken}");
}

#[test]
fn a_key_stops_speech() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("tts", json!({"text": "x".repeat(1000)})),
            node("noop", json!({})),
        ]);
        let (phone, call) = stage.connect(flow).await;
        tokio::time::sleep(2 * SECOND).await;
        press(&phone, &call, '#').await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(stage.modules(), ["tts", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn a_text_that_cannot_be_spoken_leads_to_the_default_child() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("tts", json!({"text": "unspeakable"})),
            node("noop", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(stage.modules(), ["tts", "noop"]);
        assert!(
            stage.notes()[0].contains("the module failed"),
            "{:?}",
            stage.notes()
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn a_text_that_cannot_be_spoken_is_never_silence() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .connect(node("tts", json!({"text": "unspeakable"})))
            .await;
        let (bye, ms) = took(call.wait_for_bye(30 * SECOND)).await;
        assert!(header(&bye, "Reason").contains("cause=41"), "{bye}");
        assert!(
            ms > 1_000 && stage.packets() > 50,
            "the fault prompt was heard: {ms} ms"
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn a_url_that_is_not_found_leads_to_the_default_child() {
    stage(|stage| async move {
        stage.world.web.reply(crate::world::web::Reply {
            status: 404,
            content_type: "text/plain".into(),
            body: "no".into(),
            after: Duration::ZERO,
        });
        let flow = chain(vec![
            node("play", json!({"id": "http://media.example/a.wav"})),
            node("answer", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(stage.modules(), ["play", "answer"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn tones_answers_and_plays_each_tone_as_often_as_it_says() {
    let tones = json!({"tones": [
        {"frequencies": [440, 480], "duration_on": 300, "duration_off": 200, "repeat": 3},
        {"frequencies": [1000], "duration_on": 500, "duration_off": 0}
    ]});
    let ms = length_of(node("tones", tones));
    assert!((1_950..2_200).contains(&ms), "{ms}");
    let ms = length_of(node("tones", json!({})));
    assert!(ms < 200, "no tone, no wait: {ms}");
}

#[test]
fn a_macro_plays_its_items_in_a_row() {
    let items = json!({"macros": [
        {"macro": "tone", "frequencies": [440], "duration_on": 500, "duration_off": 0, "repeat": 2},
        {"macro": "play", "id": BEEP},
        {"macro": "tts", "text": "0123456789"},
        {"macro": "say", "text": "42", "type": "number", "method": "iterated"},
        {"macro": "prompt", "id": "vm-goodbye"}
    ]});
    let ms = length_of(chain(vec![
        node("answer", json!({})),
        node("audio_macro", items),
    ]));
    // 1000 + 1000 + 500 + "4, 2" 200 + "Goodbye." 400, and the short pause after each spoken sentence.
    assert!((3_100..4_000).contains(&ms), "{ms}");
}

#[test]
fn a_macro_speaks_with_the_voice_of_the_gender_asked_for() {
    let spoken = |gender: Value| {
        let mut item = json!({"macro": "say", "text": "0123456789", "type": "postal_address"});
        item["gender"] = gender;
        let item = json!({"macros": [item]});
        length_of(chain(vec![
            node("answer", json!({})),
            node("audio_macro", item),
        ]))
    };
    let (woman, man) = (spoken(json!("feminine")), spoken(json!("masculine")));
    assert!((450..620).contains(&(man - woman)), "{woman} {man}");
    assert_eq!(spoken(json!("neuter")), woman);
}

#[test]
fn an_endless_item_of_a_macro_is_played_until_a_key_ends_the_macro() {
    stage(|stage| async move {
        let endless = json!({"macro": "play", "id": BEEP, "endless_playback": true});
        let rest = json!({"macro": "tts", "text": "never heard"});
        let flow = chain(vec![
            node("answer", json!({})),
            node(
                "audio_macro",
                json!({"macros": [{"macro": "play", "id": BEEP}, endless, rest]}),
            ),
        ]);
        let (phone, call) = stage.connect(flow).await;
        tokio::time::sleep(30 * SECOND).await;
        assert!(stage.packets() > 1400);
        press(&phone, &call, '1').await;
        let (_, ms) = took(call.wait_for_bye(3 * SECOND)).await;
        assert!(ms < 300, "{ms}");
        stage.world.at_rest().await;
    });
}

#[test]
fn a_macro_does_not_answer() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .dial(node(
                "audio_macro",
                json!({"macros": [{"macro": "play", "id": BEEP}]}),
            ))
            .await;
        call.expect(183, SECOND).await;
        assert!(call.answered(3 * SECOND).await.starts_with("SIP/2.0 480"));
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn a_terminator_skips_the_rest_of_a_macro() {
    stage(|stage| async move {
        let long = json!({"macro": "tone", "frequencies": [440], "duration_on": 10_000, "duration_off": 0});
        let flow = chain(vec![
            node("answer", json!({})),
            node(
                "audio_macro",
                json!({"macros": [long, long, {"macro": "tts", "text": "rest", "terminators": []}]}),
            ),
        ]);
        let (phone, call) = stage.connect(flow).await;
        tokio::time::sleep(SECOND).await;
        press(&phone, &call, '1').await;
        let (_, ms) = took(call.wait_for_bye(3 * SECOND)).await;
        assert!(ms < 300, "{ms}");
        stage.vars(|vars| assert_eq!(vars.collections["default"], "1"));
        stage.world.at_rest().await;
    });
}

#[test]
fn response_refuses_with_its_code_and_phrase() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .dial(node(
                "response",
                json!({"code": 503, "message": "Closed today"}),
            ))
            .await;
        let refusal = call.answered(SECOND).await;
        assert!(
            refusal.starts_with("SIP/2.0 503 Closed today\r\n"),
            "{refusal}"
        );
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn response_plays_its_media_before_it_refuses() {
    stage(|stage| async move {
        let flow = parent(
            "response",
            json!({"code": 486, "media": BEEP}),
            json!({"_": node("answer", json!({}))}),
        );
        let (_phone, call) = stage.dial(flow).await;
        call.expect(183, SECOND).await;
        let (refusal, ms) = took(call.answered(3 * SECOND)).await;
        assert!(refusal.starts_with("SIP/2.0 486"), "{refusal}");
        assert!((900..1_200).contains(&ms), "{ms}");
        call.ack_refusal();
        assert_eq!(stage.modules(), ["response"], "nothing follows a response");
        stage.world.at_rest().await;
    });
}

#[test]
fn response_without_its_media_still_refuses() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .dial(node("response", json!({"code": 486, "media": "gone"})))
            .await;
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 486"));
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn response_hangs_an_answered_call_up() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .connect(chain(vec![
                node("answer", json!({})),
                node("response", json!({"code": 486})),
            ]))
            .await;
        let bye = call.wait_for_bye(SECOND).await;
        assert!(header(&bye, "Reason").contains("cause=17"), "{bye}");
        stage.world.at_rest().await;
    });
}

#[test]
fn dead_air_answers_and_stays_until_the_caller_goes() {
    stage(|stage| async move {
        let (phone, call) = stage
            .connect(chain(vec![
                node("dead_air", json!({})),
                node("noop", json!({})),
            ]))
            .await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(phone.waiting().is_empty(), "{:?}", phone.waiting());
        call.hang_up().await;
        stage.world.at_rest().await;
        assert_eq!(stage.modules(), ["dead_air"]);
    });
}

#[test]
fn dead_air_sends_no_sound() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("play", json!({"id": BEEP})),
            node("dead_air", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        tokio::time::sleep(2 * SECOND).await;
        stage.packets();
        tokio::time::sleep(10 * SECOND).await;
        let quiet = stage.packets();
        assert!(quiet < 20, "{quiet} packets of nothing");
        call.hang_up().await;
        stage.world.at_rest().await;
    });
}
