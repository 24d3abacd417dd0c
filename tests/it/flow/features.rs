//! Feature codes and branches by time (callflow.md §4.2, §4.4): what they change, heard and stored.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use swivel::directory::Kind;
use swivel::host::clock;

use super::{SECOND, Stage, chain, node, parent, stage, type_in};
use crate::world::{ACCOUNT, DEVICE};

/// The document, as it is stored now.
fn stored(stage: &Stage, kind: Kind, id: &str) -> Value {
    let account = stage.world.directory.account(ACCOUNT).unwrap();
    Value::clone(account.document(kind, id).unwrap())
}

/// Gives the telephones an owner.
async fn owned(stage: &Stage) -> String {
    let user = stage.world.put(Kind::User, json!({"first_name": "Ann", "last_name": "A", "hotdesk": {"enabled": true, "id": "77", "pin": "1234", "require_pin": true}})).await;
    let device =
        json!({"name": "phones", "owner_id": user, "sip": {"method": "ip", "ip": "10.0.1.0/24"}});
    stage
        .world
        .directory
        .put(Kind::Device, ACCOUNT, DEVICE, device)
        .await
        .unwrap();
    user
}

/// Calls a number of its own that has this flow, which must answer, and waits for its end.
async fn run(stage: &Stage, flow: Value) {
    static NEXT: AtomicU32 = AtomicU32::new(3_000);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    stage.world.callflow(&number, flow).await;
    let phone = stage.world.phone();
    let call = phone.call(&number);
    call.invite("");
    let answer = call.answered(10 * SECOND).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    call.ack("");
    call.wait_for_bye(120 * SECOND).await;
}

#[test]
fn do_not_disturb_and_call_waiting_are_switched_for_whoever_calls() {
    stage(|stage| async move {
        let user = owned(&stage).await;
        run(&stage, node("do_not_disturb", json!({"action": "toggle"}))).await;
        assert_eq!(
            stored(&stage, Kind::User, &user)["do_not_disturb"]["enabled"],
            true
        );
        run(
            &stage,
            node("do_not_disturb", json!({"action": "toggle", "id": user})),
        )
        .await;
        assert_eq!(
            stored(&stage, Kind::User, &user)["do_not_disturb"]["enabled"],
            false
        );
        run(&stage, node("call_waiting", json!({}))).await;
        assert_eq!(
            stored(&stage, Kind::Device, DEVICE)["call_waiting"]["enabled"],
            false,
            "it is on to begin with"
        );
        run(
            &stage,
            node(
                "call_waiting",
                json!({"scope": "user", "action": "activate"}),
            ),
        )
        .await;
        let changed = stored(&stage, Kind::User, &user);
        assert_eq!(changed["call_waiting"]["enabled"], true);
        assert_eq!(changed["first_name"], "Ann", "the rest stays");
        stage.world.at_rest().await;
    });
}

#[test]
fn a_forward_is_set_to_the_number_the_caller_enters() {
    stage(|stage| async move {
        let user = owned(&stage).await;
        let (phone, call) = stage
            .connect(node("call_forward", json!({"action": "activate"})))
            .await;
        tokio::time::sleep(SECOND).await;
        type_in(&phone, &call, "4155550199#").await;
        call.wait_for_bye(60 * SECOND).await;
        let forward = stored(&stage, Kind::User, &user)["call_forward"].clone();
        assert_eq!(forward, json!({"enabled": true, "number": "4155550199"}));
        run(
            &stage,
            node("call_forward", json!({"action": "deactivate"})),
        )
        .await;
        assert_eq!(
            stored(&stage, Kind::User, &user)["call_forward"]["enabled"],
            false
        );
        run(&stage, node("call_forward", json!({"action": "toggle"}))).await;
        assert_eq!(
            stored(&stage, Kind::User, &user)["call_forward"],
            json!({"enabled": true, "number": "4155550199"})
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn a_user_takes_a_desk_with_number_and_pin_and_leaves_it() {
    stage(|stage| async move {
        let user = owned(&stage).await;
        let (phone, call) = stage
            .connect(node("hotdesk", json!({"action": "login"})))
            .await;
        tokio::time::sleep(SECOND).await;
        type_in(&phone, &call, "77#").await;
        tokio::time::sleep(SECOND).await;
        type_in(&phone, &call, "1234#").await;
        call.wait_for_bye(60 * SECOND).await;
        let mut users = json!({});
        users[&user] = json!({});
        assert_eq!(
            stored(&stage, Kind::Device, DEVICE)["hotdesk"]["users"],
            users
        );
        run(&stage, node("hotdesk", json!({"action": "logout"}))).await;
        assert_eq!(
            stored(&stage, Kind::Device, DEVICE)["hotdesk"]["users"],
            json!({})
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn a_member_leaves_a_ring_group_and_comes_back() {
    stage(|stage| async move {
        let user = owned(&stage).await;
        let endpoints = json!([{"id": user, "endpoint_type": "user"}]);
        let group = stage
            .world
            .callflow("300", node("ring_group", json!({"endpoints": endpoints})))
            .await;
        let until = |stage: &Stage| {
            stored(stage, Kind::Callflow, &group)["flow"]["data"]["endpoints"][0]["disable_until"]
                .clone()
        };
        run(
            &stage,
            node(
                "ring_group_toggle",
                json!({"callflow_id": group, "action": "logout"}),
            ),
        )
        .await;
        assert_eq!(until(&stage), 66_269_664_000_u64);
        run(
            &stage,
            node(
                "ring_group_toggle",
                json!({"callflow_id": group, "action": "login"}),
            ),
        )
        .await;
        assert_eq!(until(&stage), 0);
        stage.world.at_rest().await;
    });
}

#[test]
fn the_time_decides_where_the_call_goes() {
    stage(|stage| async move {
        let today = clock::unix_now().gregorian();
        let open = stage
            .world
            .put(
                Kind::TemporalRule,
                json!({"name": "open", "cycle": "daily"}),
            )
            .await;
        let never = stage
            .world
            .put(
                Kind::TemporalRule,
                json!({"name": "never", "cycle": "date", "start_date": today + 10 * 86_400}),
            )
            .await;
        let set = stage
            .world
            .put(
                Kind::TemporalRuleSet,
                json!({"name": "all", "temporal_rules": [never, open]}),
            )
            .await;
        let flow = |children: Value, data: Value| {
            chain(vec![
                node("answer", json!({})),
                parent("temporal_route", data, children),
            ])
        };
        let (noop, sleep) = (node("noop", json!({})), node("sleep", json!({})));
        for (children, data, expected) in [
            (
                json!({never.clone(): sleep.clone(), open.clone(): noop.clone(), "_": sleep.clone()}),
                json!({}),
                "noop",
            ),
            (
                json!({never.clone(): noop.clone(), "_": sleep.clone()}),
                json!({"timezone": "Europe/Berlin"}),
                "sleep",
            ),
            (
                json!({"rule_set": noop.clone(), "_": sleep.clone()}),
                json!({"rule_set": set}),
                "noop",
            ),
            (
                json!({"_": sleep.clone()}),
                json!({"rules": [open]}),
                "sleep",
            ),
        ] {
            run(&stage, flow(children, data)).await;
            assert_eq!(stage.modules().last().unwrap(), expected);
        }
        run(
            &stage,
            node(
                "temporal_route",
                json!({"action": "disable", "rules": [open]}),
            ),
        )
        .await;
        assert_eq!(stored(&stage, Kind::TemporalRule, &open)["enabled"], false);
        run(
            &stage,
            node("temporal_route", json!({"action": "reset", "rules": [set]})),
        )
        .await;
        assert!(
            stored(&stage, Kind::TemporalRule, &open)
                .get("enabled")
                .is_none()
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn the_captured_number_is_branched_on_or_looked_up() {
    stage(|stage| async move {
        stage.world.callflow("105", node("answer", json!({}))).await;
        let put = async |data: Value| {
            let children = json!({"101": node("hangup", json!({})), "_": node("sleep", json!({}))});
            let flow = parent("branch_bnumber", data, children);
            stage
                .world
                .put(
                    Kind::Callflow,
                    json!({"patterns": ["^\\*5(\\d+)$"], "flow": flow}),
                )
                .await
        };
        let dial = async |number: &str| {
            let phone = stage.world.phone();
            let call = phone.call(number);
            call.invite("");
            let answer = call.answered(5 * SECOND).await;
            if answer.starts_with("SIP/2.0 200") {
                call.ack("");
                call.wait_for_bye(5 * SECOND).await;
            } else {
                call.ack_refusal();
            }
            stage.modules().last().unwrap().clone()
        };
        let id = put(json!({})).await;
        assert_eq!(dial("*5101").await, "hangup");
        assert_eq!(dial("*5102").await, "sleep");
        stage
            .world
            .directory
            .delete(Kind::Callflow, ACCOUNT, &id)
            .await
            .unwrap();
        put(json!({"hunt": true, "hunt_deny": "^9"})).await;
        assert_eq!(
            dial("*5105").await,
            "sleep",
            "the flow comes back once the other has ended"
        );
        assert!(stage.modules().contains(&"answer".to_owned()));
        stage.world.at_rest().await;
    });
}

#[test]
fn a_transfer_goes_on_at_another_number() {
    stage(|stage| async move {
        stage.world.callflow("105", node("answer", json!({}))).await;
        run(
            &stage,
            chain(vec![
                node("transfer", json!({"target": "105"})),
                node("sleep", json!({})),
            ]),
        )
        .await;
        assert_eq!(stage.modules(), ["transfer", "answer"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn a_flow_that_talks_with_nobody_has_no_other_leg_to_transfer() {
    stage(|stage| async move {
        stage.world.callflow("105", node("answer", json!({}))).await;
        let data = json!({"target": "105", "leg": "bleg"});
        let flow = chain(vec![
            node("answer", json!({})),
            node("transfer", data),
            node("sleep", json!({})),
        ]);
        run(&stage, flow).await;
        assert_eq!(stage.modules(), ["answer", "transfer"]);
        let notes = stage.notes();
        assert!(
            notes
                .iter()
                .any(|note| note.contains("the other leg stays: NoPeer")),
            "{notes:?}"
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn the_caller_chooses_who_he_is() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("dynamic_cid", json!({"action": "manual"})),
        ]);
        let (phone, call) = stage.connect(flow).await;
        tokio::time::sleep(SECOND).await;
        type_in(&phone, &call, "4155550123").await;
        call.wait_for_bye(30 * SECOND).await;
        stage.vars(|vars| {
            assert_eq!(
                vars.presentation.dynamic.number.as_deref(),
                Some("4155550123")
            )
        });
        let fixed = json!({"action": "static", "caller_id": {"name": "Acme", "number": "5"}});
        run(
            &stage,
            chain(vec![node("answer", json!({})), node("dynamic_cid", fixed)]),
        )
        .await;
        stage.vars(|vars| assert_eq!(vars.presentation.dynamic.name.as_deref(), Some("Acme")));
        stage.world.at_rest().await;
    });
}
