//! Calls to and from carriers (api.md §4, decisions 19 and 20, security.md row 7).

use serde_json::{Value, json};
use swivel::directory::Kind;

use super::{SECOND, Stage, node, parent, stage};
use crate::world::phone::{Phone, PhoneCall, header};
use crate::world::{ACCOUNT, DEVICE};

/// A trunk whose gateways are at these addresses, each with a carrier that answers there.
async fn trunk(stage: &Stage, addresses: &[&str], more: Value) -> (Vec<Phone>, String) {
    let gateways: Vec<Value> = addresses
        .iter()
        .map(|ip| json!({"server": ip, "inbound_ips": [ip], "progress_timeout": "3"}))
        .collect();
    let mut doc = json!({"name": "carrier", "rules": ["^\\+?\\d{3,}$"], "gateways": gateways});
    doc.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    let carriers = addresses
        .iter()
        .map(|ip| stage.world.phone_at(&format!("{ip}:5060")))
        .collect();
    (carriers, stage.world.put(Kind::Trunk, doc).await)
}

fn dial(stage: &Stage, number: &str) -> (Phone, PhoneCall) {
    let phone = stage.world.phone();
    let call = phone.call(number);
    call.invite("");
    (phone, call)
}

async fn account(stage: &Stage, more: Value) {
    let mut doc = json!({"name": "world", "realm": "world.test"});
    doc.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    stage
        .world
        .directory
        .put(Kind::Account, ACCOUNT, ACCOUNT, doc)
        .await
        .unwrap();
}

fn request_uri(invite: &str) -> &str {
    invite.split(' ').nth(1).unwrap()
}

#[test]
fn a_number_no_callflow_has_leaves_through_the_accounts_trunk() {
    stage(|stage| async move {
        let caller = json!({"name": "phones", "sip": {"method": "ip", "ip": "10.0.1.0/24"},
                            "caller_id": {"external": {"name": "Acme", "number": "+14155550100"}}});
        stage
            .world
            .directory
            .put(Kind::Device, ACCOUNT, DEVICE, caller)
            .await
            .unwrap();
        let more = json!({"format_from_uri": true, "formatters": {"outbound_caller_id_name": [{"value": "Acme Inc"}]}});
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], more).await;
        let (_phone, call) = dial(&stage, "4155550199");
        let incoming = carriers[0].called(SECOND).await;
        assert_eq!(request_uri(&incoming.invite), "sip:+14155550199@10.0.9.1");
        let from = header(&incoming.invite, "From");
        assert!(
            from.starts_with("\"Acme Inc\" <sip:+14155550100@10.0.9.1>"),
            "{from}"
        );
        incoming.ring();
        incoming.answer().await;
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        incoming.hang_up().await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(stage.modules(), ["resources"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn offnet_leaves_by_the_first_accounts_trunks_and_takes_its_children() {
    stage(|stage| async move {
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({})).await;
        let offnet = parent(
            "offnet",
            json!({}),
            json!({"sip:486": node("answer", json!({}))}),
        );
        stage.world.callflow("4155550199", offnet).await;
        let (_phone, call) = dial(&stage, "4155550199");
        let incoming = carriers[0].called(SECOND).await;
        assert_eq!(request_uri(&incoming.invite), "sip:+14155550199@10.0.9.1");
        incoming.refuse("486 Busy Here").await;
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        call.wait_for_bye(SECOND).await;
        assert_eq!(stage.modules(), ["offnet", "answer"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn an_account_can_refuse_what_no_callflow_has() {
    stage(|stage| async move {
        account(&stage, json!({"implicit_no_match": false})).await;
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({})).await;
        let (_phone, call) = dial(&stage, "4155550199");
        call.expect(404, SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
        assert!(carriers[0].waiting().is_empty());
    });
}

#[test]
fn the_next_gateway_is_tried_after_a_failure_and_after_silence() {
    stage(|stage| async move {
        let (carriers, _) = trunk(&stage, &["10.0.9.1", "10.0.9.2", "10.0.9.3"], json!({})).await;
        let (_phone, call) = dial(&stage, "4155550199");
        carriers[0]
            .called(SECOND)
            .await
            .refuse("503 Service Unavailable")
            .await;
        let silent = carriers[1].called_on(5002, SECOND).await;
        silent.reply("100 Trying", "");
        silent.cancelled(4 * SECOND).await;
        let incoming = carriers[2].called_on(5003, SECOND).await;
        incoming.ring();
        incoming.answer().await;
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        incoming.hang_up().await;
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_failure_has_its_own_child_and_the_default_one_is_never_run() {
    let flow = |key: &str| {
        parent(
            "resources",
            json!({"to_did": "4155550199"}),
            json!({key: node("noop", json!({})), "_": node("sleep", json!({}))}),
        )
    };
    for (key, modules) in [
        ("sip:486", vec!["resources", "noop"]),
        ("NO_ANSWER", vec!["resources"]),
    ] {
        stage(|stage| async move {
            let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({})).await;
            let (_phone, call) = stage.dial(flow(key)).await;
            carriers[0]
                .called(SECOND)
                .await
                .refuse("486 Busy Here")
                .await;
            call.answered(10 * SECOND).await;
            call.ack_refusal();
            assert_eq!(stage.modules(), modules, "{key}");
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn dear_numbers_reach_no_carrier_however_they_are_dialled_until_the_account_allows_them() {
    stage(|stage| async move {
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({"rules": [".*"]})).await;
        for number in [
            "00972598123456",
            "011972598123456",
            "9011972598123456",
            "+972598123456",
            "19005550100",
            "+88212345678",
            "0972598123456",
            "+00972598123456",
        ] {
            let (_phone, call) = dial(&stage, number);
            let answer = call.answered(SECOND).await;
            let refused = answer.starts_with("SIP/2.0 403") || answer.starts_with("SIP/2.0 404");
            assert!(refused, "{number}: {answer}");
            call.ack_refusal();
        }
        assert!(
            carriers[0].waiting().is_empty(),
            "{:?}",
            carriers[0].waiting()
        );
        account(&stage, json!({"dial_policy": {"allow_prefixes": ["+972"]}})).await;
        let (_phone, call) = dial(&stage, "00972598123456");
        let incoming = carriers[0].called(SECOND).await;
        assert_eq!(request_uri(&incoming.invite), "sip:+972598123456@10.0.9.1");
        incoming.refuse("486 Busy Here").await;
        call.answered(30 * SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn a_trunk_carries_so_many_calls_and_emergency_calls_always() {
    stage(|stage| async move {
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({"max_calls": 1})).await;
        let (_one, first) = dial(&stage, "4155550199");
        let incoming = carriers[0].called(SECOND).await;
        incoming.answer().await;
        first.answered(SECOND).await;
        first.ack("");
        let (_two, second) = dial(&stage, "4155550198");
        second.expect(503, SECOND).await;
        second.ack_refusal();
        let (_three, third) = dial(&stage, "911");
        let emergency = carriers[0].called_on(5003, SECOND).await;
        assert_eq!(request_uri(&emergency.invite), "sip:911@10.0.9.1");
        emergency.refuse("486 Busy Here").await;
        third.answered(30 * SECOND).await;
        third.ack_refusal();
        incoming.hang_up().await;
        first.wait_for_bye(SECOND).await;
        let (_four, fourth) = dial(&stage, "4155550198");
        carriers[0]
            .called_on(5004, SECOND)
            .await
            .refuse("486 Busy Here")
            .await;
        fourth.answered(30 * SECOND).await;
        fourth.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn an_account_has_so_many_calls_at_carriers() {
    stage(|stage| async move {
        account(&stage, json!({"dial_policy": {"max_calls": 1}})).await;
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({})).await;
        let (_one, first) = dial(&stage, "4155550199");
        let incoming = carriers[0].called(SECOND).await;
        let (_two, second) = dial(&stage, "4155550198");
        second.expect(503, SECOND).await;
        second.ack_refusal();
        incoming.refuse("486 Busy Here").await;
        first.answered(30 * SECOND).await;
        first.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn a_call_from_a_carrier_finds_the_callflow_of_its_number() {
    stage(|stage| async move {
        let more = json!({"formatters": {"caller_id_number": {"regex": "^00(\\d+)$", "prefix": "+", "direction": "inbound"}}});
        let (carriers, trunk) = trunk(&stage, &["10.0.9.1"], more).await;
        stage
            .world
            .callflow("+14155550100", node("answer", json!({})))
            .await;
        let call = carriers[0].call("14155550100");
        call.invite("");
        call.expect(180, SECOND).await;
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
        let cdrs = stage.world.cdrs().await;
        assert_eq!(
            (cdrs[0].authorizing_id.as_str(), cdrs[0].account.as_str()),
            (trunk.as_str(), ACCOUNT)
        );
    });
}

#[test]
fn a_carrier_reaches_nobody_but_the_owners_of_its_numbers() {
    stage(|stage| async move {
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({"rules": [".*"]})).await;
        let spends =
            json!({"numbers": ["no_match", "+14155550122"], "flow": node("resources", json!({}))});
        stage.world.put(Kind::Callflow, spends).await;
        for number in ["4155550199", "911", "+14155550122", "101"] {
            let call = carriers[0].call(number);
            call.invite("");
            call.expect(404, SECOND).await;
            call.ack_refusal();
        }
        // The same from an address that is nobody's.
        let stranger = stage.world.phone_at("10.0.99.1:5060");
        let call = stranger.call("4155550199");
        call.invite("");
        call.expect(401, SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
        let sent: Vec<String> = carriers[0]
            .waiting()
            .into_iter()
            .filter(|line| line.starts_with("INVITE"))
            .collect();
        assert!(sent.is_empty(), "{sent:?}");
    });
}

/// Telnyx and others give up after five seconds in which they heard nothing but 100.
#[test]
fn a_carrier_hears_that_it_rings_although_the_flow_takes_its_time() {
    stage(|stage| async move {
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({})).await;
        let slow = node("sleep", json!({"duration": 20}));
        stage.world.callflow("+14155550100", slow).await;
        let call = carriers[0].call("+14155550100");
        call.invite("");
        call.expect(180, SECOND).await;
        call.expect(480, 22 * SECOND).await;
        call.ack_refusal();
        // A phone of the account is told only what the flow says.
        let phone = stage.world.phone();
        let call = phone.call("+14155550100");
        call.invite("");
        let mut seen = String::new();
        while !seen.starts_with("SIP/2.0 480") {
            seen = phone.receive(25 * SECOND).await.unwrap();
            assert!(!seen.starts_with("SIP/2.0 18"), "{seen}");
        }
        call.learn(&seen);
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn a_call_from_a_carrier_leaves_again_only_to_a_number_its_flow_names() {
    stage(|stage| async move {
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({})).await;
        stage
            .world
            .callflow("+14155550100", node("resources", json!({})))
            .await;
        stage
            .world
            .callflow(
                "+14155550101",
                node("resources", json!({"to_did": "4155550177"})),
            )
            .await;
        let call = carriers[0].call("+14155550100");
        call.invite("");
        call.expect(403, SECOND).await;
        call.ack_refusal();
        let call = carriers[0].call("+14155550101");
        call.invite("");
        let incoming = carriers[0].called(SECOND).await;
        assert_eq!(request_uri(&incoming.invite), "sip:+14155550177@10.0.9.1");
        assert!(
            header(&incoming.invite, "Diversion").contains("+14155550101@")
                && header(&incoming.invite, "Diversion").contains(";reason=unconditional"),
            "{}",
            incoming.invite
        );
        assert!(
            header(&incoming.invite, "From").contains("1001"),
            "the caller keeps his number"
        );
        incoming.refuse("486 Busy Here").await;
        call.answered(30 * SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn a_forward_to_the_world_is_under_the_dial_policy_too() {
    stage(|stage| async move {
        let (carriers, _) = trunk(&stage, &["10.0.9.1"], json!({})).await;
        let user = |number: &str| {
            json!({"first_name": "A", "last_name": "B",
            "call_forward": {"enabled": true, "number": number, "require_keypress": false}})
        };
        let dear = stage.world.put(Kind::User, user("00972598123456")).await;
        let fine = stage.world.put(Kind::User, user("4155550199")).await;
        stage
            .world
            .callflow("101", node("user", json!({"id": dear})))
            .await;
        stage
            .world
            .callflow("102", node("user", json!({"id": fine})))
            .await;
        let (_phone, call) = dial(&stage, "101");
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 480"));
        call.ack_refusal();
        let (_phone, call) = dial(&stage, "102");
        let incoming = carriers[0].called(SECOND).await;
        assert_eq!(request_uri(&incoming.invite), "sip:+14155550199@10.0.9.1");
        incoming.answer().await;
        call.answered(SECOND).await;
        call.ack("");
        incoming.hang_up().await;
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}
