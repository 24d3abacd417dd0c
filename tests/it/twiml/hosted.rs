//! Documents that need no web server: inline, and kept by the API (`pivot.md` §1.1, `serverless`).

use serde_json::{Value, json};
use swivel::directory::Kind;

use super::{SAID, about, over};
use crate::flow::{SECOND, Stage, node, parent, stage, took, type_in};

fn hosted(name: &str, children: Value) -> Value {
    parent("pivot", json!({"serverless": {"document": name}}), children)
}

impl Stage {
    /// Keeps a document as the API does.
    async fn keeps(&self, name: &str, doc: Value, flow_type: &str) -> String {
        let doc = json!({"name": name, "flow_doc": doc, "flow_type": flow_type});
        self.world.put(Kind::Hosted, doc).await
    }
}

#[test]
fn a_pivot_node_runs_the_document_it_names() {
    stage(|stage| async move {
        let said = json!("<Response><Say>Ten chars.</Say></Response>");
        stage.keeps("greeting", said, "text/xml").await;
        let (_phone, call) = stage.connect(hosted("greeting", json!({}))).await;
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        about(ms, SAID);
        stage.world.at_rest().await;
        assert_eq!(stage.asked(), Vec::<String>::new());
    });
}

#[test]
fn a_document_is_found_by_its_id_too_and_may_be_a_callflow() {
    stage(|stage| async move {
        let flow = node("tts", json!({"text": "Ten chars."}));
        let id = stage.keeps("menu", flow, "application/json").await;
        let (_phone, call) = stage.connect(hosted(&id, json!({}))).await;
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        about(ms, SAID);
        assert_eq!(stage.modules(), ["pivot", "tts"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn callflow_json_may_be_kept_as_text() {
    stage(|stage| async move {
        let flow = node("tts", json!({"text": "Ten chars."})).to_string();
        stage.keeps("menu", json!(flow), "application/json").await;
        let (_phone, call) = stage.connect(hosted("menu", json!({}))).await;
        over(&stage, &call).await;
        assert_eq!(stage.modules(), ["pivot", "tts"]);
    });
}

#[test]
fn a_document_names_further_ones_and_the_call_does_not_go_round_for_ever() {
    stage(|stage| async move {
        let again = hosted(
            "again",
            json!({"_": node("tts", json!({"text": "Ten chars."}))}),
        );
        stage.keeps("again", again, "application/json").await;
        let (_phone, call) = stage.connect(hosted("again", json!({}))).await;
        over(&stage, &call).await;
        let modules = stage.modules();
        let pivots = modules.iter().filter(|name| *name == "pivot").count();
        assert_eq!(
            pivots, 11,
            "ten within a second, and the one that is refused"
        );
        assert_eq!(
            modules.last().map(String::as_str),
            Some("tts"),
            "the branch of that one"
        );
    });
}

#[test]
fn a_document_that_is_not_there_takes_the_default_branch() {
    stage(|stage| async move {
        let flow = hosted(
            "nothing",
            json!({"_": node("tts", json!({"text": "Ten chars."}))}),
        );
        let (_phone, call) = stage.connect(flow).await;
        over(&stage, &call).await;
        assert_eq!(stage.modules(), ["pivot", "tts"]);
        let notes = stage.world.facts.borrow();
        let told = notes
            .iter()
            .any(|fact| format!("{fact:?}").contains("no document"));
        assert!(told, "{notes:?}");
    });
}

#[test]
fn a_change_of_a_document_is_for_the_next_call() {
    stage(|stage| async move {
        let long = json!("<Response><Say>Ten chars.</Say><Say>Ten chars.</Say></Response>");
        let id = stage.keeps("greeting", long, "text/xml").await;
        let (_phone, call) = stage.connect(hosted("greeting", json!({}))).await;
        let short = json!({"name": "greeting", "flow_type": "text/xml", "flow_doc": "<Response><Hangup/></Response>"});
        let account = crate::world::ACCOUNT;
        stage
            .world
            .directory
            .put(Kind::Hosted, account, &id, short)
            .await
            .unwrap();
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        about(ms, 2 * SAID);
        stage.world.at_rest().await;
    });
}

#[test]
fn whose_rules_hold_is_said_by_the_node_else_by_the_document_else_by_the_account() {
    // The first ends at a verb that nobody knows, the other goes on behind it.
    let doc = "<Response><Nonsense/><Say>Ten chars.</Say></Response>";
    for (node, document, account, goes_on) in [
        (None, None, None, false),
        (None, None, Some("twilio"), true),
        (None, Some("kazoo"), Some("twilio"), false),
        (None, Some("twilio"), None, true),
        (Some("kazoo"), Some("twilio"), Some("twilio"), false),
    ] {
        stage(|stage| async move {
            if let Some(profile) = account {
                let own = json!({"name": "world", "realm": "world.test", "twiml_profile": profile});
                let id = crate::world::ACCOUNT;
                stage
                    .world
                    .directory
                    .put(Kind::Account, id, id, own)
                    .await
                    .unwrap();
            }
            let mut kept = json!({"name": "d", "flow_doc": doc, "flow_type": "text/xml"});
            if let Some(profile) = document {
                kept["twiml_profile"] = json!(profile);
            }
            stage.world.put(Kind::Hosted, kept).await;
            let mut flow = hosted("d", json!({}));
            if let Some(profile) = node {
                flow["data"]["twiml_profile"] = json!(profile);
            }
            let (_phone, call) = stage.dial(flow).await;
            let answer = call.answered(10 * SECOND).await;
            let answered = answer.starts_with("SIP/2.0 200");
            assert_eq!(
                answered, goes_on,
                "{node:?} {document:?} {account:?}: {answer}"
            );
            if answered {
                call.ack("");
                call.wait_for_bye(20 * SECOND).await;
            } else {
                call.ack_refusal();
            }
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn a_relative_address_means_nothing_in_a_document_without_a_server() {
    stage(|stage| async move {
        let doc = json!("<Response><Gather numDigits='1' action='next'/></Response>");
        stage.keeps("d", doc, "text/xml").await;
        let (phone, call) = stage.connect(hosted("d", json!({}))).await;
        tokio::time::sleep(SECOND).await;
        type_in(&phone, &call, "1").await;
        over(&stage, &call).await;
        assert_eq!(stage.asked(), Vec::<String>::new());
    });
}

#[test]
fn an_absolute_address_is_asked_with_the_digits() {
    stage(|stage| async move {
        let doc = "<Response><Gather numDigits='1' action='http://ivr.example/next'/></Response>";
        stage.keeps("d", json!(doc), "text/xml").await;
        stage.answers("<Hangup/>");
        let (phone, call) = stage.connect(hosted("d", json!({}))).await;
        tokio::time::sleep(SECOND).await;
        type_in(&phone, &call, "1").await;
        over(&stage, &call).await;
        assert_eq!(stage.asked(), ["GET /NEXT"]);
        assert_eq!(stage.told(0)["Digits"], "1");
    });
}

#[test]
fn a_serverless_node_names_a_document_or_brings_one_with_its_type() {
    for (serverless, right) in [
        (
            json!({"flow_doc": "<Response/>", "flow_type": "text/xml"}),
            true,
        ),
        (
            json!({"flow_doc": {"module": "tts"}, "flow_type": "application/json"}),
            true,
        ),
        (json!({"document": "greeting"}), true),
        (json!({"document": ""}), false),
        (json!({"document": 5}), false),
        (json!({"flow_doc": "<Response/>"}), false),
        (json!({"flow_type": "text/xml"}), false),
        (json!({}), false),
    ] {
        let node = json!({"module": "pivot", "data": {"serverless": serverless}});
        let judged = swivel::callflow::validate(&node, &|_| Ok(()));
        assert_eq!(judged.is_ok(), right, "{node}: {:?}", judged.err());
    }
}
