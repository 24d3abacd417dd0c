//! Modules that ring people (callflow.md §4.3, §6): who rings, what they see, and where the flow goes afterwards.

use serde_json::{Value, json};
use swivel::directory::Kind;

use super::{SECOND, Stage, chain, node, parent, stage};
use crate::world::callee::Incoming;
use crate::world::phone::{Phone, header};
use crate::world::{ACCOUNT, DEVICE};

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

fn rings(id: &str) -> Value {
    node("device", json!({"id": id}))
}

/// A node whose children can be told apart in the trace: `noop` for the one that is expected, `sleep` for `_`.
fn branches(module: &str, data: Value, key: &str) -> Value {
    parent(
        module,
        data,
        json!({key: node("noop", json!({})), "_": node("sleep", json!({}))}),
    )
}

/// Both talk; the callee hangs up, and with that the flow ends.
async fn talk(stage: &Stage, call: &crate::world::phone::PhoneCall, incoming: &Incoming) {
    incoming.answer().await;
    assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
    call.ack("");
    tokio::time::sleep(SECOND).await;
    incoming.hang_up().await;
    call.wait_for_bye(SECOND).await;
    stage.world.at_rest().await;
}

#[test]
fn a_user_is_rung_at_every_device_and_the_first_that_answers_has_the_call() {
    stage(|stage| async move {
        let user = stage
            .world
            .put(Kind::User, json!({"first_name": "Ann", "last_name": "A"}))
            .await;
        let (one, _) = phone_of(&stage, 51, json!({"owner_id": user})).await;
        let (two, _) = phone_of(&stage, 52, json!({"owner_id": user})).await;
        let flow = chain(vec![
            node("user", json!({"id": user})),
            node("sleep", json!({})),
        ]);
        let (_phone, call) = stage.dial(flow).await;
        let first = one.called(SECOND).await;
        let second = two.called_on(5002, SECOND).await;
        first.ring();
        second.ring();
        call.expect(180, SECOND).await;
        second.answer().await;
        let cancel = first.cancelled(SECOND).await;
        assert!(cancel.contains("Call completed elsewhere"), "{cancel}");
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        second.hang_up().await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(
            stage.modules(),
            ["user"],
            "children are not run after a bridge"
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn a_failure_goes_to_the_child_of_its_cause_then_of_its_status_then_to_the_default() {
    for (key, expected) in [
        ("USER_BUSY", "noop"),
        ("sip:486", "noop"),
        ("NO_ANSWER", "sleep"),
    ] {
        stage(|stage| async move {
            let (phone, device) = phone_of(&stage, 51, json!({})).await;
            let (_caller, call) = stage
                .dial(branches("device", json!({"id": device}), key))
                .await;
            let incoming = phone.called(SECOND).await;
            incoming.refuse("486 Busy Here").await;
            call.answered(SECOND).await;
            call.ack_refusal();
            assert_eq!(stage.modules(), ["device", expected], "{key}");
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn a_busy_phone_without_any_child_is_told_to_the_caller() {
    stage(|stage| async move {
        let (phone, device) = phone_of(&stage, 51, json!({})).await;
        let (_caller, call) = stage.dial(rings(&device)).await;
        phone.called(SECOND).await.refuse("486 Busy Here").await;
        let answer = call.answered(30 * SECOND).await;
        assert!(answer.starts_with("SIP/2.0 486"), "{answer}");
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn who_does_not_answer_in_time_is_no_answer() {
    stage(|stage| async move {
        let (phone, device) = phone_of(&stage, 51, json!({})).await;
        let (_caller, call) = stage
            .dial(branches(
                "device",
                json!({"id": device, "timeout": 5}),
                "NO_ANSWER",
            ))
            .await;
        let incoming = phone.called(SECOND).await;
        incoming.ring();
        incoming.cancelled(6 * SECOND).await;
        call.answered(SECOND).await;
        call.ack_refusal();
        assert_eq!(stage.modules(), ["device", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn what_cannot_be_rung_goes_to_the_child_of_its_reason() {
    for (more, key) in [
        (
            json!({"do_not_disturb": {"enabled": true}}),
            "DO_NOT_DISTURB",
        ),
        (json!({"enabled": false}), "ENDPOINT_DISABLED"),
        (json!({"sip": {}}), "NO_ENDPOINTS"),
    ] {
        stage(|stage| async move {
            let (_phone, device) = phone_of(&stage, 51, more).await;
            let (_caller, call) = stage
                .dial(branches("device", json!({"id": device}), key))
                .await;
            call.answered(SECOND).await;
            call.ack_refusal();
            assert_eq!(stage.modules(), ["device", "noop"], "{key}");
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn the_calling_device_is_not_rung() {
    stage(|stage| async move {
        let (_caller, call) = stage
            .dial(branches(
                "device",
                json!({"id": DEVICE}),
                "ENDPOINT_CALLED_SELF",
            ))
            .await;
        call.answered(SECOND).await;
        call.ack_refusal();
        assert_eq!(stage.modules(), ["device", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn members_of_a_ring_group_start_after_their_delay() {
    stage(|stage| async move {
        let (one, first) = phone_of(&stage, 51, json!({})).await;
        let (two, second) = phone_of(&stage, 52, json!({})).await;
        let endpoints = json!([
            {"id": second, "endpoint_type": "device", "delay": 3},
            {"id": first, "endpoint_type": "device"}
        ]);
        let (_caller, call) = stage
            .dial(node(
                "ring_group",
                json!({"endpoints": endpoints, "timeout": 30}),
            ))
            .await;
        let incoming = one.called(SECOND).await;
        incoming.ring();
        assert!(two.waiting().is_empty(), "not yet");
        let late = two.called_on(5002, 4 * SECOND).await;
        late.ring();
        incoming.refuse("486 Busy Here").await;
        talk(&stage, &call, &late).await;
    });
}

#[test]
fn a_ring_group_tries_one_after_the_other_and_then_again() {
    stage(|stage| async move {
        let (one, first) = phone_of(&stage, 51, json!({})).await;
        let (two, second) = phone_of(&stage, 52, json!({})).await;
        let endpoints = json!([{"id": first, "endpoint_type": "device"}, {"id": second, "endpoint_type": "device"}]);
        let data =
            json!({"endpoints": endpoints, "strategy": "single", "timeout": 40, "repeats": 2});
        let (_caller, call) = stage
            .dial(branches("ring_group", data, "USER_BUSY_NOT"))
            .await;
        for _round in 0..2 {
            one.called(SECOND)
                .await
                .refuse("480 Temporarily Unavailable")
                .await;
            two.called_on(5002, SECOND)
                .await
                .refuse("480 Temporarily Unavailable")
                .await;
        }
        call.answered(SECOND).await;
        call.ack_refusal();
        assert_eq!(stage.modules(), ["ring_group", "sleep"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn a_group_answers_before_it_rings() {
    stage(|stage| async move {
        let (phone, device) = phone_of(&stage, 51, json!({})).await;
        let mut endpoints = json!({});
        endpoints[&device] = json!({"type": "device"});
        let group = stage
            .world
            .put(Kind::Group, json!({"name": "all", "endpoints": endpoints}))
            .await;
        let (_caller, call) = stage.connect(node("group", json!({"id": group}))).await;
        let incoming = phone.called(SECOND).await;
        incoming.answer().await;
        tokio::time::sleep(SECOND).await;
        incoming.hang_up().await;
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

/// The INVITE a telephone gets from a flow whose first nodes change how the caller is shown.
fn seen_by_the_called(mut nodes: Vec<Value>, check: impl Fn(&str)) {
    stage(|stage| async move {
        let caller = json!({"name": "phones", "sip": {"method": "ip", "ip": "10.0.1.0/24"},
                            "caller_id": {"internal": {"name": "Front Desk", "number": "101"}}});
        stage
            .world
            .directory
            .put(Kind::Device, ACCOUNT, DEVICE, caller)
            .await
            .unwrap();
        let (phone, device) =
            phone_of(&stage, 51, json!({"ringtones": {"internal": "info=house"}})).await;
        nodes.push(rings(&device));
        let (_caller, call) = stage.dial(chain(nodes)).await;
        let incoming = phone.called(SECOND).await;
        check(&incoming.invite);
        incoming.refuse("486 Busy Here").await;
        call.answered(30 * SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn the_called_sees_the_callers_own_identity_and_ringtone() {
    seen_by_the_called(vec![], |invite| {
        assert!(
            header(invite, "From").starts_with("\"Front Desk\" <sip:101@world.test>"),
            "{invite}"
        );
        assert_eq!(header(invite, "Alert-Info"), "info=house");
    });
}

#[test]
fn the_flow_changes_what_the_called_sees() {
    let nodes = vec![
        node(
            "prepend_cid",
            json!({"caller_id_name_prefix": "Sales: ", "caller_id_number_prefix": "9"}),
        ),
        node("prepend_cid", json!({"caller_id_name_prefix": "VIP "})),
        node("set_alert_info", json!({"alert_info": "info=vip"})),
    ];
    seen_by_the_called(nodes, |invite| {
        assert!(
            header(invite, "From").starts_with("\"VIP Sales: Front Desk\" <sip:9101@"),
            "{invite}"
        );
        assert_eq!(header(invite, "Alert-Info"), "info=vip");
    });
    let nodes = vec![
        node("prepend_cid", json!({"caller_id_number_prefix": "9"})),
        node(
            "set_cid",
            json!({"caller_id_name": "Acme", "caller_id_number": "5550100"}),
        ),
    ];
    seen_by_the_called(nodes, |invite| {
        assert!(
            header(invite, "From").starts_with("\"Acme\" <sip:5550100@"),
            "{invite}"
        );
    });
}

#[test]
fn a_caller_who_hides_is_not_seen() {
    seen_by_the_called(vec![node("privacy", json!({}))], |invite| {
        assert!(
            header(invite, "From").contains("anonymous.invalid"),
            "{invite}"
        );
        assert_eq!(header(invite, "Privacy"), "id");
        assert!(
            !invite.contains("101@") && !invite.contains("Front Desk"),
            "{invite}"
        );
    });
}

#[test]
fn a_forward_to_an_extension_rings_whom_it_rings_and_asks_for_a_key() {
    stage(|stage| async move {
        let (phone, device) = phone_of(&stage, 51, json!({})).await;
        stage.world.callflow("105", rings(&device)).await;
        let forward = json!({"first_name": "A", "last_name": "B", "call_forward": {"enabled": true, "number": "105"}});
        let user = stage.world.put(Kind::User, forward).await;
        let (_caller, call) = stage.dial(node("user", json!({"id": user}))).await;
        let incoming = phone.called(SECOND).await;
        incoming.answer().await;
        tokio::time::sleep(SECOND).await;
        assert!(
            _caller
                .waiting()
                .iter()
                .all(|line| !line.starts_with("SIP/2.0 200")),
            "not before the key"
        );
        incoming.send(
            "INFO",
            "Content-Type: application/dtmf-relay\r\n",
            "Signal=1\r\nDuration=160\r\n",
        );
        phone.expect("SIP/2.0 200", 10 * SECOND).await;
        assert!(call.answered(10 * SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        incoming.hang_up().await;
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_phone_that_takes_no_second_call_is_busy() {
    stage(|stage| async move {
        let (phone, device) =
            phone_of(&stage, 51, json!({"call_waiting": {"enabled": false}})).await;
        let (_one, first) = stage
            .dial(branches("device", json!({"id": device}), "USER_BUSY"))
            .await;
        let incoming = phone.called(SECOND).await;
        incoming.answer().await;
        first.answered(SECOND).await;
        first.ack("");
        let (_two, second) = stage.invite();
        second.answered(SECOND).await;
        second.ack_refusal();
        assert_eq!(stage.modules(), ["device", "device", "noop"]);
        incoming.hang_up().await;
        first.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn after_a_bridge_the_caller_can_go_on_elsewhere() {
    stage(|stage| async move {
        let (phone, device) = phone_of(&stage, 51, json!({})).await;
        stage.world.callflow("105", node("noop", json!({}))).await;
        let flow = chain(vec![
            node("after_bridge", json!({"action": "transfer", "data": "105"})),
            rings(&device),
        ]);
        let (_caller, call) = stage.dial(flow).await;
        let incoming = phone.called(SECOND).await;
        talk(&stage, &call, &incoming).await;
        assert_eq!(stage.modules(), ["after_bridge", "device", "noop"]);
    });
}

#[test]
fn after_a_bridge_the_caller_can_stay_and_hear_music() {
    for (music, last) in [
        (json!({}), "wait_for_hangup"),
        (
            json!({"music_on_hold": {"media_id": "tone_stream://%(500,0,440)"}}),
            "play",
        ),
    ] {
        stage(|stage| async move {
            let (phone, device) = phone_of(&stage, 51, json!({})).await;
            let flow = chain(vec![
                node("after_bridge", json!({"action": "park"})),
                rings(&device),
            ]);
            let mut account = json!({"name": "world", "realm": "world.test"});
            if let Some(music) = music.get("music_on_hold") {
                account["music_on_hold"] = music.clone();
            }
            let directory = &stage.world.directory;
            directory
                .put(Kind::Account, ACCOUNT, ACCOUNT, account)
                .await
                .unwrap();
            let (_caller, call) = stage.dial(flow).await;
            let incoming = phone.called(SECOND).await;
            incoming.answer().await;
            assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
            call.ack("");
            tokio::time::sleep(SECOND).await;
            incoming.hang_up().await;
            tokio::time::sleep(60 * SECOND).await;
            assert_eq!(stage.modules(), ["after_bridge", "device", last]);
            assert_eq!((stage.world.core.calls(), stage.world.core.legs()), (1, 1));
            call.hang_up().await;
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn a_ringing_call_is_picked_up_by_a_colleague() {
    stage(|stage| async move {
        let (phone, device) = phone_of(&stage, 51, json!({})).await;
        stage
            .world
            .callflow("*8", node("group_pickup", json!({"device_id": device})))
            .await;
        stage
            .world
            .callflow(
                "*9",
                node(
                    "group_pickup",
                    json!({"device_id": device, "approved_user_id": "somebody"}),
                ),
            )
            .await;
        let (_caller, call) = stage.dial(rings(&device)).await;
        let incoming = phone.called(SECOND).await;
        incoming.ring();
        call.expect(180, SECOND).await;
        let stranger = stage.world.phone();
        let refused = stranger.call("*9");
        refused.invite("");
        assert!(
            refused
                .answered(30 * SECOND)
                .await
                .starts_with("SIP/2.0 480")
        );
        refused.ack_refusal();
        let colleague = stage.world.phone();
        let taken = colleague.call("*8");
        taken.invite("");
        assert!(taken.answered(SECOND).await.starts_with("SIP/2.0 200"));
        taken.ack("");
        incoming.cancelled(SECOND).await;
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        tokio::time::sleep(SECOND).await;
        taken.hang_up().await;
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_call_that_talks_is_taken_over() {
    stage(|stage| async move {
        let (phone, device) = phone_of(&stage, 51, json!({})).await;
        let data = json!({"device_id": device, "approved_device_id": DEVICE});
        stage.world.callflow("*8", node("intercept", data)).await;
        let (_caller, call) = stage.dial(rings(&device)).await;
        let incoming = phone.called(SECOND).await;
        incoming.answer().await;
        call.answered(SECOND).await;
        call.ack("");
        tokio::time::sleep(SECOND).await;
        let colleague = stage.world.phone();
        let taken = colleague.call("*8");
        taken.invite("");
        assert!(taken.answered(SECOND).await.starts_with("SIP/2.0 200"));
        taken.ack("");
        incoming.wait_for_bye(SECOND).await;
        tokio::time::sleep(SECOND).await;
        let legs = stage.world.core.channels(ACCOUNT);
        assert_eq!(legs.len(), 2, "{legs:?}");
        assert!(
            stage.world.core.hang_up(ACCOUNT, &call.call_id),
            "as the API does"
        );
        call.wait_for_bye(SECOND).await;
        taken.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}
