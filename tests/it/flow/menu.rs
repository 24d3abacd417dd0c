//! Menus (callflow.md §4.1).

use std::time::Duration;

use serde_json::{Value, json};
use swivel::directory::Kind;

use super::{SECOND, Stage, node, parent, press, stage, took, type_in};
use crate::world::ACCOUNT;
use crate::world::phone::{Phone, PhoneCall};

const GREETING: &str = "tone_stream://%(2000,0,440)";

/// Calls a menu with that document and those children.
async fn call(stage: &Stage, document: Value, children: Value) -> (Phone, PhoneCall, String) {
    let id = stage.world.put(Kind::Menu, document).await;
    let (phone, call) = stage
        .connect(parent("menu", json!({"id": id}), children))
        .await;
    (phone, call, id)
}

fn menu(more: Value) -> Value {
    let mut document = json!({"name": "Main", "timeout": 3000, "interdigit_timeout": 1000, "media": {"greeting": GREETING}});
    for (key, value) in more.as_object().unwrap() {
        document[key] = value.clone();
    }
    document
}

#[test]
fn digits_go_to_the_child_of_that_name_and_the_first_one_stops_the_greeting() {
    stage(|stage| async move {
        let children = json!({"1": node("noop", json!({})), "12": node("sleep", json!({}))});
        let (phone, call, _) = call(&stage, menu(json!({})), children).await;
        tokio::time::sleep(SECOND).await;
        type_in(&phone, &call, "12").await;
        let (_, ms) = took(call.wait_for_bye(3 * SECOND)).await;
        assert!(
            ms < 1_000,
            "the greeting has stopped, the interdigit time has passed: {ms}"
        );
        assert_eq!(stage.modules(), ["menu", "sleep"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn nothing_entered_takes_the_timeout_child_at_once() {
    stage(|stage| async move {
        let (_phone, call, _) = call(
            &stage,
            menu(json!({})),
            json!({"timeout": node("noop", json!({}))}),
        )
        .await;
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        assert!(
            (4_900..5_300).contains(&ms),
            "the greeting's 2 s, then 3: {ms}"
        );
        assert_eq!(stage.modules(), ["menu", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn nothing_entered_costs_a_round_without_the_invalid_prompt() {
    stage(|stage| async move {
        let silent = json!({"retries": 2, "media": {"greeting": GREETING, "exit_media": false, "transfer_media": false}});
        let (_phone, call, _) =
            call(&stage, menu(silent), json!({"_": node("noop", json!({}))})).await;
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        assert!(
            (9_900..10_400).contains(&ms),
            "twice 2 s of greeting and 3 of silence: {ms}"
        );
        assert_eq!(stage.modules(), ["menu", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn wrong_digits_play_the_invalid_prompt_and_cost_a_round() {
    stage(|stage| async move {
        let two = json!({"retries": 1, "max_extension_length": 1});
        let children =
            json!({"max_retries": node("sleep", json!({})), "_": node("noop", json!({}))});
        let (phone, call, _) = call(&stage, menu(two), children).await;
        press(&phone, &call, '9').await;
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        assert!(
            ms > 3_000,
            "the invalid prompt and the exit prompt were heard: {ms}"
        );
        assert_eq!(stage.modules(), ["menu", "sleep"], "max_retries beats _");
        stage.world.at_rest().await;
    });
}

#[test]
fn a_menu_that_gives_up_without_children_says_goodbye() {
    stage(|stage| async move {
        let silent = json!({"retries": 1, "media": {"greeting": GREETING, "exit_media": false}});
        let (_phone, call, _) =
            call(&stage, menu(silent), json!({"1": node("noop", json!({}))})).await;
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        assert!(ms > 5_300, "5 s of menu, then the goodbye: {ms}");
        assert_eq!(stage.modules(), ["menu"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn a_menu_without_a_document_has_the_defaults_and_no_greeting() {
    stage(|stage| async move {
        let flow = parent(
            "menu",
            json!({"id": "gone"}),
            json!({"5": node("noop", json!({}))}),
        );
        let (phone, call) = stage.connect(flow).await;
        tokio::time::sleep(SECOND).await;
        press(&phone, &call, '5').await;
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        assert!(
            (1_900..2_200).contains(&ms),
            "two seconds between digits: {ms}"
        );
        assert_eq!(stage.modules(), ["menu", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn an_extension_is_dialled_and_the_menus_default_child_resumes() {
    stage(|stage| async move {
        stage
            .world
            .put(
                Kind::Callflow,
                json!({"patterns": ["^3(\\d\\d)$"], "flow": node("sleep", json!({}))}),
            )
            .await;
        let hunting =
            json!({"hunt": true, "media": {"greeting": GREETING, "transfer_media": false}});
        let (phone, call, _) =
            call(&stage, menu(hunting), json!({"_": node("noop", json!({}))})).await;
        type_in(&phone, &call, "342").await;
        call.wait_for_bye(5 * SECOND).await;
        assert_eq!(stage.modules(), ["menu", "sleep", "noop"]);
        stage.vars(|vars| assert_eq!(vars.capture_group.as_deref(), Some("42")));
        stage.world.at_rest().await;
    });
}

#[test]
fn hunting_obeys_its_patterns_and_never_finds_no_match() {
    stage(|stage| async move {
        stage.world.callflow("301", node("sleep", json!({}))).await;
        stage
            .world
            .callflow("no_match", node("sleep", json!({})))
            .await;
        let quiet = json!({"greeting": GREETING, "invalid_media": false, "exit_media": false, "transfer_media": false});
        let hunting = json!({"retries": 2, "hunt": true, "hunt_deny": "^30", "media": quiet});
        let (phone, call, _) =
            call(&stage, menu(hunting), json!({"_": node("noop", json!({}))})).await;
        type_in(&phone, &call, "301").await;
        tokio::time::sleep(2 * SECOND).await;
        type_in(&phone, &call, "444").await;
        call.wait_for_bye(5 * SECOND).await;
        assert_eq!(stage.modules(), ["menu", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn menus_within_menus_take_digits_typed_ahead() {
    stage(|stage| async move {
        let inner = stage
            .world
            .put(Kind::Menu, menu(json!({"max_extension_length": 1})))
            .await;
        let children = json!({"1": parent("menu", json!({"id": inner}), json!({"2": node("noop", json!({}))}))});
        let (phone, call, _) =
            call(&stage, menu(json!({"max_extension_length": 1})), children).await;
        type_in(&phone, &call, "12").await;
        let (_, ms) = took(call.wait_for_bye(5 * SECOND)).await;
        assert!(ms < 500, "{ms}");
        assert_eq!(stage.modules(), ["menu", "menu", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn the_pin_records_a_greeting_that_the_menu_plays_from_then_on() {
    stage(|stage| async move {
        let (phone, call, id) = call(
            &stage,
            menu(json!({"record_pin": "9876"})),
            json!({"1": node("noop", json!({}))}),
        )
        .await;
        type_in(&phone, &call, "9876").await;
        // "Please record your greeting", the beep, then the recording.
        tokio::time::sleep(Duration::from_secs(12)).await;
        press(&phone, &call, '#').await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        press(&phone, &call, '1').await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        press(&phone, &call, '1').await;
        call.wait_for_bye(10 * SECOND).await;
        assert_eq!(stage.modules(), ["menu", "noop"]);
        let account = stage.world.directory.account(ACCOUNT).unwrap();
        let greeting = account.menus[&id]["media"]["greeting"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(account.media[&greeting]["media_source"], "recording");
        let bytes = stage
            .world
            .directory
            .files()
            .get(ACCOUNT, &greeting)
            .await
            .unwrap()
            .unwrap();
        assert!(
            bytes.starts_with(b"RIFF") && bytes.len() > 16_000,
            "{} bytes",
            bytes.len()
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn a_hang_up_while_recording_keeps_no_greeting() {
    stage(|stage| async move {
        let (phone, call, id) = call(&stage, menu(json!({"record_pin": "9876"})), json!({})).await;
        type_in(&phone, &call, "9876").await;
        tokio::time::sleep(Duration::from_secs(12)).await;
        call.hang_up().await;
        stage.world.at_rest().await;
        let account = stage.world.directory.account(ACCOUNT).unwrap();
        assert_eq!(account.menus[&id]["media"]["greeting"], GREETING);
        assert!(account.media.is_empty());
    });
}
