//! What is entered: `collect_dtmf`, `flush_dtmf`, `send_dtmf` (callflow.md §3.3, §4.1).

use serde_json::{Value, json};

use super::{SECOND, chain, node, press, stage, took, type_in};

/// Types `keys` into a `collect_dtmf` with that data; returns the collections and the time until the BYE.
fn collected(data: Value, keys: &'static str) -> (Value, u128) {
    let mut result = (Value::Null, 0);
    let out = &mut result;
    stage(|stage| async move {
        let (phone, call) = stage.connect(node("collect_dtmf", data)).await;
        type_in(&phone, &call, keys).await;
        let (_, ms) = took(call.wait_for_bye(60 * SECOND)).await;
        *out = (stage.vars(|vars| json!(vars.collections)), ms);
        stage.world.at_rest().await;
    });
    result
}

#[test]
fn one_digit_is_enough_by_default() {
    let (digits, ms) = collected(json!({}), "7");
    assert_eq!(digits, json!({"default": "7"}));
    assert!(ms < 100, "{ms}");
}

#[test]
fn a_terminator_ends_a_collection_and_is_no_part_of_it() {
    let (digits, ms) = collected(json!({"max_digits": 10}), "123#");
    assert_eq!(digits, json!({"default": "123"}));
    assert!(ms < 100, "{ms}");
    let (digits, _) = collected(
        json!({"max_digits": 10, "terminators": ["*"], "collection_name": "pin"}),
        "12*",
    );
    assert_eq!(digits, json!({"pin": "12"}));
}

#[test]
fn silence_ends_a_collection_with_what_there_is() {
    let (digits, ms) = collected(json!({"max_digits": 4, "timeout": 3000}), "");
    assert_eq!(digits, json!({"default": ""}));
    assert!((2_900..3_200).contains(&ms), "{ms}");
    let (digits, ms) = collected(json!({"max_digits": 4, "interdigit_timeout": 4000}), "12");
    assert_eq!(digits, json!({"default": "12"}));
    assert!((3_700..4_100).contains(&ms), "{ms}");
}

#[test]
fn digits_typed_while_something_played_count_first() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("play", json!({"id": "tone_stream://%(9000,0,440)"})),
            node(
                "collect_dtmf",
                json!({"max_digits": 4, "collection_name": "pin"}),
            ),
        ]);
        let (phone, call) = stage.connect(flow).await;
        tokio::time::sleep(SECOND).await;
        type_in(&phone, &call, "1234").await;
        call.wait_for_bye(SECOND).await;
        stage.vars(|vars| assert_eq!(json!(vars.collections), json!({"pin": "1234"})));
        stage.world.at_rest().await;
    });
}

#[test]
fn a_prompt_skipped_by_hash_does_not_end_the_collection_behind_it() {
    stage(|stage| async move {
        let flow = chain(vec![
            node(
                "tts",
                json!({"text": "Please enter your number, then press the hash key."}),
            ),
            node("collect_dtmf", json!({"max_digits": 4})),
        ]);
        let (phone, call) = stage.connect(flow).await;
        tokio::time::sleep(SECOND / 2).await;
        type_in(&phone, &call, "#42#").await;
        call.wait_for_bye(SECOND).await;
        stage.vars(|vars| assert_eq!(vars.collections["default"], "42"));
        stage.world.at_rest().await;
    });
}

#[test]
fn flushing_forgets_what_was_typed_ahead() {
    stage(|stage| async move {
        let flow = chain(vec![
            node(
                "play",
                json!({"id": "tone_stream://%(3000,0,440)", "terminators": []}),
            ),
            node("flush_dtmf", json!({})),
            node("collect_dtmf", json!({"max_digits": 2})),
        ]);
        let (phone, call) = stage.connect(flow).await;
        type_in(&phone, &call, "99").await;
        tokio::time::sleep(4 * SECOND).await;
        type_in(&phone, &call, "12").await;
        call.wait_for_bye(SECOND).await;
        stage.vars(|vars| assert_eq!(vars.collections["default"], "12"));
        stage.world.at_rest().await;
    });
}

#[test]
fn flushing_a_named_collection_leaves_the_others() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("collect_dtmf", json!({"collection_name": "a"})),
            node("collect_dtmf", json!({"collection_name": "b"})),
            node("flush_dtmf", json!({"collection_name": "a"})),
        ]);
        let (phone, call) = stage.connect(flow).await;
        type_in(&phone, &call, "12").await;
        call.wait_for_bye(SECOND).await;
        stage.vars(|vars| assert_eq!(json!(vars.collections), json!({"b": "2"})));
        stage.world.at_rest().await;
    });
}

#[test]
fn a_hang_up_during_a_collection_ends_the_flow() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("collect_dtmf", json!({"max_digits": 3})),
            node("noop", json!({})),
        ]);
        let (phone, call) = stage.connect(flow).await;
        press(&phone, &call, '1').await;
        call.hang_up().await;
        stage.world.at_rest().await;
        assert_eq!(stage.modules(), ["collect_dtmf"]);
    });
}

#[test]
fn send_dtmf_sends_the_keys_and_goes_on() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("send_dtmf", json!({"digits": "12", "duration_ms": 300})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        let (_, ms) = took(call.wait_for_bye(5 * SECOND)).await;
        assert!((550..1_200).contains(&ms), "two keys of 300 ms: {ms}");
        let events = stage.world.rtp.borrow_mut().arrived();
        let events = events
            .iter()
            .filter(|packet| packet.bytes.get(1).is_some_and(|kind| kind & 0x7f == 101));
        assert!(events.count() > 10, "as telephone-events");
        stage.world.at_rest().await;
    });
}

#[test]
fn send_dtmf_takes_its_length_as_text_too() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("send_dtmf", json!({"digits": "1"})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        let (_, ms) = took(call.wait_for_bye(5 * SECOND)).await;
        assert!(
            (1_900..2_500).contains(&ms),
            "the schema's default is the text 2000: {ms}"
        );
        stage.world.at_rest().await;
    });
}
