//! The executor's rules on real calls: where a flow goes, and how the call ends (callflow.md §2).

use serde_json::json;
use swivel::directory::Kind;

use super::{SECOND, chain, node, parent, stage, took};
use crate::world::phone::header;
use crate::world::{ACCOUNT, DEVICE};

#[test]
fn a_flow_that_runs_out_hangs_up_with_normal_clearing() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .connect(chain(vec![
                node("answer", json!({})),
                node("noop", json!({})),
            ]))
            .await;
        let bye = call.wait_for_bye(SECOND).await;
        assert!(header(&bye, "Reason").contains("cause=16"), "{bye}");
        assert_eq!(stage.modules(), ["answer", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn a_flow_that_never_answers_ends_with_480() {
    stage(|stage| async move {
        let (_phone, call) = stage.dial(node("noop", json!({}))).await;
        let refusal = call.answered(SECOND).await;
        assert!(refusal.starts_with("SIP/2.0 480"), "{refusal}");
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn a_skipped_module_is_not_run() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({"skip_module": true})),
            node("noop", json!({})),
        ]);
        let (_phone, call) = stage.dial(flow).await;
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 480"));
        call.ack_refusal();
        assert_eq!(stage.modules(), ["answer", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn a_module_that_is_not_built_is_noted_and_passed_over() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .connect(chain(vec![
                node("voicemail", json!({})),
                node("answer", json!({})),
            ]))
            .await;
        call.wait_for_bye(SECOND).await;
        assert!(
            stage.notes().iter().any(|note| note.contains("voicemail")),
            "{:?}",
            stage.notes()
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn a_failure_with_nothing_left_is_heard_as_early_media_and_ends_with_480_and_a_reason() {
    stage(|stage| async move {
        let (_phone, call) = stage.dial(node("voicemail", json!({}))).await;
        let progress = call.expect(183, SECOND).await;
        assert!(progress.contains("m=audio"), "{progress}");
        let (refusal, ms) = took(call.answered(30 * SECOND)).await;
        assert!(refusal.starts_with("SIP/2.0 480"), "{refusal}");
        assert!(header(&refusal, "Reason").contains("cause=41"), "{refusal}");
        assert!(
            ms > 1_000 && stage.packets() > 50,
            "the prompt was heard: {ms} ms"
        );
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn a_failure_on_an_answered_call_is_heard_and_hung_up() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("voicemail", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        let (bye, ms) = took(call.wait_for_bye(30 * SECOND)).await;
        assert!(header(&bye, "Reason").contains("cause=41"), "{bye}");
        assert!(
            ms > 1_000 && stage.packets() > 50,
            "the prompt was heard: {ms} ms"
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn data_a_module_cannot_read_leads_to_the_default_child() {
    stage(|stage| async move {
        let broken = json!({"module": "sleep", "data": {"duration": "soon"}, "children": {"_": node("answer", json!({}))}});
        stage.world.callflow("2000", broken).await;
        let (_phone, call) = stage.invite();
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_jump_into_another_callflow_comes_back_to_the_default_child() {
    stage(|stage| async move {
        let other = stage.world.callflow("2001", node("noop", json!({}))).await;
        let flow = chain(vec![
            node("answer", json!({})),
            node("callflow", json!({"id": other})),
            node("sleep", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(stage.modules(), ["answer", "callflow", "noop", "sleep"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn a_callflow_that_does_not_exist_leads_to_the_default_child() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("callflow", json!({"id": "gone"})),
            node("answer", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn an_inline_flow_and_a_callflow_id_in_a_document_are_jumped_to() {
    stage(|stage| async move {
        let other = stage.world.callflow("2001", node("noop", json!({}))).await;
        let list = stage
            .world
            .put(Kind::List, json!({"name": "l", "night": {"flow": other}}))
            .await;
        let flow = chain(vec![
            node("answer", json!({})),
            node("callflow", json!({"flow": node("sleep", json!({}))})),
            node("callflow", json!({"doc_id": list, "path": "night.flow"})),
            node("callflow", json!({"doc_id": list, "path": ["nowhere"]})),
            node("hangup", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(
            stage.modules(),
            [
                "answer", "callflow", "sleep", "callflow", "noop", "callflow", "hangup"
            ]
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn a_callflow_that_jumps_into_itself_is_ended_after_50_jumps() {
    stage(|stage| async move {
        let id = stage
            .world
            .callflow("2000", node("answer", json!({})))
            .await;
        let flow = json!({"module": "answer", "data": {}, "children": {"_": {"module": "callflow", "data": {"id": id}}}});
        stage
            .world
            .directory
            .put(
                Kind::Callflow,
                ACCOUNT,
                &id,
                json!({"numbers": ["2000"], "flow": flow}),
            )
            .await
            .unwrap();
        let (_phone, call) = stage.invite();
        assert!(call.answered(SECOND).await.starts_with("SIP/2.0 200"));
        call.ack("");
        call.wait_for_bye(30 * SECOND).await;
        let jumps = stage
            .modules()
            .iter()
            .filter(|module| *module == "callflow")
            .count();
        assert_eq!(jumps, 51);
        assert!(
            stage
                .notes()
                .iter()
                .any(|note| note.contains("too many branches")),
            "{:?}",
            stage.notes()
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn hangup_ends_the_call_whatever_waits_on_the_stack() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("callflow", json!({"flow": node("hangup", json!({}))})),
            node("noop", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(stage.modules(), ["answer", "callflow", "hangup"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn when_the_caller_hangs_up_nothing_more_is_run() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("sleep", json!({"duration": 60})),
            node("noop", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        tokio::time::sleep(SECOND).await;
        call.hang_up().await;
        stage.world.at_rest().await;
        assert_eq!(stage.modules(), ["answer", "sleep"]);
        assert!(
            stage.notes().is_empty(),
            "a hang-up is no failure: {:?}",
            stage.notes()
        );
    });
}

#[test]
fn when_the_caller_cancels_nothing_more_is_run() {
    stage(|stage| async move {
        let (_phone, call) = stage
            .dial(chain(vec![
                node("sleep", json!({"duration": 60})),
                node("noop", json!({})),
            ]))
            .await;
        tokio::time::sleep(SECOND).await;
        call.cancel();
        call.expect(487, 2 * SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
        assert_eq!(stage.modules(), ["sleep"]);
    });
}

#[test]
fn the_accounts_preflow_runs_before_every_flow() {
    stage(|stage| async move {
        let before = stage
            .world
            .callflow("2001", node("answer", json!({})))
            .await;
        let account =
            json!({"name": "world", "realm": "world.test", "preflow": {"always": before}});
        stage
            .world
            .directory
            .put(Kind::Account, ACCOUNT, ACCOUNT, account)
            .await
            .unwrap();
        let (_phone, call) = stage.connect(node("noop", json!({}))).await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(stage.modules(), ["answer", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn a_barred_caller_is_told_so_and_hung_up() {
    stage(|stage| async move {
        let device = json!({"name": "phones", "sip": {"method": "ip", "ip": "10.0.1.0/24"},
            "call_restriction": {"unknown": {"action": "deny"}}});
        stage
            .world
            .directory
            .put(Kind::Device, ACCOUNT, DEVICE, device)
            .await
            .unwrap();
        let (_phone, call) = stage.connect(node("noop", json!({}))).await;
        let (bye, ms) = took(call.wait_for_bye(30 * SECOND)).await;
        assert!(header(&bye, "Reason").contains("cause=16"), "{bye}");
        assert!(
            ms > 1_000 && stage.packets() > 50,
            "the prompt was heard: {ms} ms"
        );
        assert!(stage.modules().is_empty());
        stage.world.at_rest().await;
    });
}

#[test]
fn a_flow_that_ends_on_the_name_of_a_cause_gives_the_causes_answer() {
    stage(|stage| async move {
        // In absolute mode the child is named like the caller; there is none, and no `_`.
        let flow = parent(
            "check_cid",
            json!({"use_absolute_mode": true}),
            json!({"2": node("noop", json!({}))}),
        );
        let (_phone, call) = stage.dial(flow).await;
        let refusal = call.answered(SECOND).await;
        assert!(
            refusal.starts_with("SIP/2.0 480"),
            "1001 is no cause: {refusal}"
        );
        call.ack_refusal();
        let phone = stage.world.phone();
        let me = phone.address();
        phone.send(&format!(
            "INVITE sip:2000@10.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bK-busy\r\n\
             Max-Forwards: 70\r\nFrom: <sip:USER_BUSY@{me}>;tag=b\r\nTo: <sip:2000@10.0.0.1>\r\nCall-ID: busy\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:b@{me}>\r\nContent-Type: application/sdp\r\nContent-Length: 85\r\n\r\n\
             v=0\r\no=- 1 1 IN IP4 10.0.1.9\r\ns=-\r\nc=IN IP4 10.0.1.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        ));
        phone.expect("SIP/2.0 183", SECOND).await;
        let (refusal, ms) = took(phone.expect("SIP/2.0 486 Number busy", 40 * SECOND)).await;
        assert!(
            (24_000..27_000).contains(&ms),
            "25 s of busy tone first: {ms}"
        );
        assert!(header(&refusal, "Reason").contains("cause=17"), "{refusal}");
        stage.world.at_rest().await;
    });
}

#[test]
fn two_calls_are_in_their_own_flows() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("sleep", json!({"duration": 5})),
        ]);
        let (_first, call) = stage.connect(flow).await;
        tokio::time::sleep(2 * SECOND).await;
        let (_second, other) = stage.invite();
        assert!(other.answered(SECOND).await.starts_with("SIP/2.0 200"));
        other.ack("");
        let (_, first) = took(call.wait_for_bye(10 * SECOND)).await;
        let (_, second) = took(other.wait_for_bye(10 * SECOND)).await;
        assert!(
            (2_900..3_100).contains(&first) && (1_900..2_100).contains(&second),
            "{first} {second}"
        );
        stage.world.at_rest().await;
    });
}
