//! The `pivot` node inside a flow (pivot.md §1.2–1.5, §6; decision 14).

use std::time::Duration;

use serde_json::{Value, json};

use super::{SECOND, chain, node, parent, stage, took};
use crate::world::phone::header;
use crate::world::web::Reply;

const URL: &str = "http://ivr.example/2030";

fn pivot(data: Value, children: Value) -> Value {
    let mut all = json!({"voice_url": URL});
    for (key, value) in data.as_object().unwrap() {
        all[key] = value.clone();
    }
    parent("pivot", all, children)
}

fn reply(status: u16, content_type: &str, body: &str) -> Reply {
    Reply {
        status,
        content_type: content_type.into(),
        body: body.into(),
        after: Duration::ZERO,
    }
}

#[test]
fn the_answer_replaces_the_rest_of_the_flow() {
    stage(|stage| async move {
        stage
            .world
            .web
            .json(&node("tts", json!({"text": "Pivot is pretty awesome."})));
        let (_phone, call) = stage
            .connect(pivot(json!({}), json!({"_": node("noop", json!({}))})))
            .await;
        let (_, ms) = took(call.wait_for_bye(10 * SECOND)).await;
        assert!(ms > 1_000, "{ms}");
        assert_eq!(stage.modules(), ["pivot", "tts"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn flows_on_the_stack_resume_behind_the_answer() {
    stage(|stage| async move {
        stage.world.web.json(&node("answer", json!({})));
        let flow = chain(vec![
            node("callflow", json!({"flow": pivot(json!({}), json!({}))})),
            node("noop", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(stage.modules(), ["callflow", "pivot", "answer", "noop"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn every_failure_takes_the_default_child() {
    for (status, content_type, body) in [
        (404, "text/plain", "no"),
        (500, "application/json", "{}"),
        (
            201,
            "application/json",
            "{\"module\":\"answer\",\"data\":{}}",
        ),
        (200, "application/json", ""),
        (200, "application/json", "{\"module\":"),
        (200, "application/json", "{\"module\":\"tts\",\"data\":{}}"),
        (
            200,
            "application/json",
            "{\"module\":\"nonsense\",\"data\":{}}",
        ),
        (200, "text/plain", "hello"),
        (200, "text/xml", "<html/>"),
        (200, "text/xml", "<Response><Say>Hi</Response>"),
    ] {
        stage(|stage| async move {
            stage.world.web.reply(reply(status, content_type, body));
            let (_phone, call) = stage
                .connect(pivot(
                    json!({"debug": true}),
                    json!({"_": node("answer", json!({}))}),
                ))
                .await;
            call.wait_for_bye(SECOND).await;
            assert_eq!(
                stage.modules(),
                ["pivot", "answer"],
                "{status} {content_type} {body}"
            );
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn a_server_that_is_slow_is_given_up_and_takes_the_default_child() {
    stage(|stage| async move {
        stage.world.web.reply(Reply {
            after: 60 * SECOND,
            ..reply(200, "application/json", "{}")
        });
        let flow = pivot(
            json!({"req_timeout_ms": 1500}),
            json!({"_": node("answer", json!({}))}),
        );
        let (_phone, call) = stage.dial(flow).await;
        let (answer, ms) = took(call.answered(10 * SECOND)).await;
        assert!(answer.starts_with("SIP/2.0 200"));
        assert!((1_400..1_800).contains(&ms), "{ms}");
        call.ack("");
        call.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
    });
}

#[test]
fn a_failure_without_a_default_child_is_heard_and_refused() {
    stage(|stage| async move {
        stage.world.web.reply(reply(404, "text/plain", "no"));
        let (_phone, call) = stage.dial(pivot(json!({}), json!({}))).await;
        call.expect(183, SECOND).await;
        let (refusal, ms) = took(call.answered(30 * SECOND)).await;
        assert!(refusal.starts_with("SIP/2.0 480"), "{refusal}");
        assert!(
            !header(&refusal, "Reason").is_empty() && ms > 1_000,
            "{refusal}"
        );
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn variables_language_and_digits_travel_to_the_server() {
    stage(|stage| async move {
        stage.world.web.json(&node("answer", json!({})));
        let flow = chain(vec![
            node(
                "set_variables",
                json!({"custom_application_vars": {"tier": "gold"}}),
            ),
            node("language", json!({"language": "fr-fr"})),
            node(
                "collect_dtmf",
                json!({"timeout": 500, "collection_name": "pin"}),
            ),
            pivot(
                json!({"method": "post", "req_body_format": "json"}),
                json!({}),
            ),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(5 * SECOND).await;
        let asked = stage.world.web.asked();
        assert_eq!(asked.len(), 1);
        let sent: Value = serde_json::from_slice(&asked[0].body).unwrap();
        assert_eq!(sent["Custom-Application-Vars"], json!({"tier": "gold"}));
        assert_eq!(
            (&sent["Language"], &sent["Caller-ID-Number"]),
            (&json!("fr-fr"), &json!("1001"))
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn servers_that_answer_with_themselves_are_stopped() {
    stage(|stage| async move {
        stage.world.web.json(&pivot(json!({}), json!({})));
        let (_phone, call) = stage.dial(pivot(json!({}), json!({}))).await;
        let refusal = call.answered(60 * SECOND).await;
        assert!(refusal.starts_with("SIP/2.0 480"), "{refusal}");
        call.ack_refusal();
        assert!(
            stage.world.web.asked().len() <= 11,
            "{}",
            stage.world.web.asked().len()
        );
        stage.world.at_rest().await;
    });
}

#[test]
fn a_caller_who_goes_while_the_server_thinks_ends_the_flow() {
    stage(|stage| async move {
        stage.world.web.reply(Reply {
            after: 3 * SECOND,
            ..reply(
                200,
                "application/json",
                "{\"module\":\"answer\",\"data\":{}}",
            )
        });
        let (_phone, call) = stage
            .dial(pivot(json!({}), json!({"_": node("noop", json!({}))})))
            .await;
        tokio::time::sleep(SECOND).await;
        call.cancel();
        call.expect(487, 2 * SECOND).await;
        call.ack_refusal();
        stage.world.at_rest().await;
        assert_eq!(stage.modules(), ["pivot"]);
    });
}
