//! The `conference` module: numbers, PINs, roles, limits.

use std::net::SocketAddr;

use serde_json::{Value, json};
use swivel::directory::Kind;

use super::{SECOND, Stage, node, stage};
use crate::world::ACCOUNT;
use crate::world::phone::{Phone, PhoneCall};
use crate::world::rtp::{Ears, Voice, audio_of};

async fn conference(stage: &Stage, document: Value) -> String {
    stage.world.put(Kind::Conference, document).await
}

/// A call into the conference of that document.
async fn call(stage: &Stage, data: Value) -> (Phone, PhoneCall) {
    let (phone, call) = stage.connect(node("conference", data)).await;
    tokio::time::sleep(SECOND / 5).await;
    (phone, call)
}

async fn type_in(call: &PhoneCall, keys: &str) {
    for key in keys.chars() {
        let signal = format!("Signal={key}\r\nDuration=160\r\n");
        call.send("INFO", "Content-Type: application/dtmf-relay\r\n", &signal);
        tokio::time::sleep(SECOND / 5).await;
    }
}

fn members(stage: &Stage, name: &str) -> Vec<(bool, bool)> {
    let room = stage.world.core.conference(ACCOUNT, name);
    let info = room.map(|room| room.info());
    let all = info.into_iter().flat_map(|info| info.participants);
    all.map(|p| (p.moderator, p.muted)).collect()
}

#[test]
fn a_conference_without_a_pin_is_joined_after_the_welcome() {
    stage(|stage| async move {
        let id = conference(&stage, json!({"name": "daily"})).await;
        let (_phone, call) = call(&stage, json!({"id": id})).await;
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!(members(&stage, &id), [(false, true)], "members join muted");
        type_in(&call, "#").await;
        call.wait_for_bye(2 * SECOND).await;
        assert!(members(&stage, &id).is_empty());
        stage.world.at_rest().await;
    });
}

#[test]
fn the_pin_decides_the_role() {
    stage(|stage| async move {
        let id = conference(
            &stage,
            json!({"member": {"pins": ["1111"], "join_muted": false}, "moderator": {"pins": ["9999"]}}),
        )
        .await;
        let data = json!({"id": id, "welcome_prompt": {"play": false}});
        let (_phone, leader) = call(&stage, data).await;
        type_in(&leader, "9999#").await;
        tokio::time::sleep(5 * SECOND).await;
        let (_phone, member) = stage.invite();
        member.answered(SECOND).await;
        member.ack("");
        tokio::time::sleep(SECOND).await;
        type_in(&member, "1111#").await;
        tokio::time::sleep(8 * SECOND).await;
        assert_eq!(members(&stage, &id), [(true, false), (false, false)]);
        leader.hang_up().await;
        member.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_wrong_pin_three_times_ends_the_call() {
    stage(|stage| async move {
        let id = conference(&stage, json!({"member": {"pins": ["1111"]}})).await;
        let (_phone, call) =
            call(&stage, json!({"id": id, "welcome_prompt": {"play": false}})).await;
        for attempt in 0..3 {
            type_in(&call, "2222#").await;
            if attempt < 2 {
                // The prompts hum 50 ms a character.
                tokio::time::sleep(6 * SECOND).await;
            }
            assert!(members(&stage, &id).is_empty());
        }
        call.wait_for_bye(10 * SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn without_an_id_the_number_is_asked_for() {
    stage(|stage| async move {
        let id = conference(
            &stage,
            json!({"conference_numbers": ["77"], "moderator": {"numbers": ["88"]}}),
        )
        .await;
        let (_phone, call) = call(&stage, json!({"welcome_prompt": {"play": false}})).await;
        type_in(&call, "66#").await;
        tokio::time::sleep(6 * SECOND).await;
        type_in(&call, "88#").await;
        tokio::time::sleep(6 * SECOND).await;
        assert_eq!(members(&stage, &id), [(true, false)]);
        call.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_name_is_recorded_and_said_to_the_others() {
    stage(|stage| async move {
        let config = json!({"name": "named", "play_name": true, "play_welcome": false,
                            "member": {"play_entry_prompt": false}});
        let quiet =
            json!({"name": "named", "play_welcome": false, "member": {"play_entry_prompt": false}});
        stage
            .world
            .callflow("3000", node("conference", json!({"config": quiet})))
            .await;
        let listener = stage.world.phone();
        let listening = listener.call("3000");
        listening.connect().await;
        let ears = Ears::of(&stage.world);
        let phone = stage.world.phone();
        let call = phone.call("2000");
        let checked = node("conference", json!({"config": config}));
        stage.world.callflow("2000", checked).await;
        let ok = call.connect().await;
        let own = SocketAddr::new(phone.address().ip(), 4000);
        // It says its name all the time; three seconds of silence end the recording.
        let voice = Voice::speak(&stage.world, own, audio_of(&ok), 0x10);
        tokio::time::sleep(6 * SECOND).await;
        drop(voice);
        tokio::time::sleep(4 * SECOND).await;
        assert!(members(&stage, "named").len() == 1, "reviewed first");
        let ear = SocketAddr::new(listener.address().ip(), 4000);
        ears.take(ear);
        type_in(&call, "1").await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(members(&stage, "named").len(), 2);
        // Members join muted: what is heard is the name, a constant.
        let heard = ears.take(ear);
        let constant = |payload: &Vec<u8>| payload.iter().all(|b| b.abs_diff(0x10) <= 1);
        let named = heard.iter().filter(|one| constant(&one.payload)).count();
        assert!(named > 20, "{named} of {}", heard.len());
        call.hang_up().await;
        listening.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_full_conference_says_so_and_hangs_up() {
    stage(|stage| async move {
        let config = json!({"name": "tiny", "max_participants": 1});
        let (_phone, inside) = call(&stage, json!({"config": config})).await;
        tokio::time::sleep(10 * SECOND).await;
        let (_phone, late) = stage.invite();
        late.answered(SECOND).await;
        late.ack("");
        late.wait_for_bye(10 * SECOND).await;
        assert_eq!(members(&stage, "tiny").len(), 1);
        inside.hang_up().await;
        stage.world.at_rest().await;
    });
}

#[test]
fn members_wait_for_the_moderator_and_the_conference_ends_with_the_last_one() {
    stage(|stage| async move {
        let config = json!({"name": "board", "require_moderator": true, "play_welcome": false});
        let data = json!({"config": config});
        let (_phone, member) = call(&stage, data).await;
        tokio::time::sleep(6 * SECOND).await;
        let room = stage.world.core.conference(ACCOUNT, "board").unwrap();
        assert!(!room.info().started);
        let leads = json!({"config": config, "moderator": true});
        stage
            .world
            .callflow("3000", node("conference", leads))
            .await;
        let phone = stage.world.phone();
        let leader = phone.call("3000");
        leader.connect().await;
        tokio::time::sleep(6 * SECOND).await;
        assert!(room.info().started);
        drop(room);
        leader.hang_up().await;
        member.wait_for_bye(2 * SECOND).await;
        stage.world.at_rest().await;
    });
}
