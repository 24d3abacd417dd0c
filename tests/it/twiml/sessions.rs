//! Requests and follow-ups of TwiML sessions (`pivot.md` §2, §7.1, §7.2).

use std::time::Duration;

use serde_json::{Value, json};

use super::{SAID, about, document, over, pivot, twilio};
use crate::flow::{SECOND, node, stage, took, type_in};
use crate::world::web::Reply;

#[test]
fn a_menu_speaks_gathers_a_key_and_asks_what_it_means() {
    stage(|stage| async move {
        stage.answers("<Gather numDigits=\"1\" action=\"menu?step=2\" timeout=\"5\"><Say>Press one.</Say></Gather><Say>No key.</Say>");
        stage.answers("<Say>You have pressed one.</Say><Hangup/>");
        let (phone, call) = stage.connect(pivot(json!({}))).await;
        tokio::time::sleep(SECOND).await;
        type_in(&phone, &call, "1").await;
        over(&stage, &call).await;
        assert_eq!(stage.asked(), ["GET /APP/START.XML", "GET /APP/MENU"]);
        let (first, second) = (stage.told(0), stage.told(1));
        assert_eq!(first.get("Digits"), None);
        assert_eq!(first.get("Call-Status"), None);
        assert_eq!(
            (second["Digits"].as_str(), second["step"].as_str()),
            ("1", "2")
        );
        assert_eq!(second["Caller-ID-Number"], "1001");
        assert_eq!(second["Api-Version"], "4.x");
    });
}

#[test]
fn without_a_key_the_next_verb_runs_and_the_end_of_the_document_hangs_up() {
    document(
        json!({}),
        "<Gather timeout=\"3\"><Say>Ten chars.</Say></Gather><Say>Ten chars.</Say>",
        |stage, _phone, call| async move {
            let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
            about(ms, SAID + 3_000 + SAID);
            assert_eq!(stage.asked().len(), 1);
            stage.world.at_rest().await;
        },
    );
}

#[test]
fn callflow_json_takes_over_from_a_document_and_hands_back_to_another() {
    stage(|stage| async move {
        stage.answers("<Set><Variable key=\"lost\" value=\"1\"/></Set><Redirect method=\"POST\">next</Redirect><Say>never</Say>");
        let flow = crate::flow::chain(vec![
            node(
                "set_variables",
                json!({"custom_application_vars": {"tier": "gold"}}),
            ),
            super::pivot(json!({})),
        ]);
        stage.world.web.json(&flow);
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.connect(pivot(json!({}))).await;
        over(&stage, &call).await;
        assert_eq!(stage.modules(), ["pivot", "set_variables", "pivot"]);
        assert_eq!(
            stage.asked(),
            ["GET /APP/START.XML", "POST /APP/NEXT", "GET /APP/START.XML"]
        );
        assert_eq!(stage.told(1)["lost"], "1");
        let third = stage.told(2);
        assert_eq!(third.get("lost"), None, "a flow has ended the session");
        assert_eq!(third["Custom-Application-Vars[tier]"], "gold");
    });
}

#[test]
fn follow_up_requests_keep_the_sessions_settings() {
    stage(|stage| async move {
        stage.answers("<Redirect>/other</Redirect>");
        stage.answers("<Hangup/>");
        let more = json!({"method": "post", "req_body_format": "json", "req_format": "twiml", "custom_request_headers": {"X-Key": "k"}});
        let (_phone, call) = stage.connect(pivot(more)).await;
        over(&stage, &call).await;
        assert_eq!(stage.asked(), ["POST /APP/START.XML", "GET /OTHER"]);
        let asked = stage.world.web.asked();
        for exchange in &asked {
            let header = |name: &str| exchange.headers.iter().any(|(n, _)| n == name);
            assert!(header("X-Key"), "{:?}", exchange.headers);
        }
        let told = stage.told(1);
        assert_eq!(
            (told["AccountSid"].len(), told["CallerNumber"].as_str()),
            (32, "1001")
        );
    });
}

#[test]
fn the_twilio_profile_posts_and_tells_twilios_parameters() {
    stage(|stage| async move {
        stage.answers("<Redirect>/other</Redirect>");
        stage.answers("<Hangup/>");
        let more = json!({"req_format": "twiml", "twiml_profile": "twilio"});
        let (_phone, call) = stage.connect(pivot(more)).await;
        over(&stage, &call).await;
        assert_eq!(stage.asked(), ["GET /APP/START.XML", "POST /OTHER"]);
        let (first, second) = (stage.told(0), stage.told(1));
        assert_eq!(first["CallStatus"], "ringing");
        assert_eq!(second["CallStatus"], "in-progress");
        assert!(first["From"].starts_with("sip:1001@"), "{first:?}");
        assert_eq!(first["From"], first["Caller"]);
        assert_eq!(first["ApiVersion"], "2010-04-01");
        assert_eq!(first["Direction"], "inbound");
        assert_eq!(first.get("CallerNumber"), None);
    });
}

#[test]
fn an_unknown_verb_ends_a_kazoo_call_and_is_passed_over_in_a_twilio_one() {
    for (profile, ended) in [("kazoo", true), ("twilio", false)] {
        stage(|stage| async move {
            stage.answers("<Say>Ten chars.</Say><Sya>x</Sya><Say>Ten chars.</Say>");
            let (_phone, call) = stage
                .connect(pivot(json!({"twiml_profile": profile})))
                .await;
            let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
            about(ms, if ended { SAID } else { 2 * SAID });
            stage.world.at_rest().await;
            let notes = stage.notes().join("\n");
            assert!(
                notes.contains("Sya") && notes.contains("did you mean Say"),
                "{notes}"
            );
        });
    }
}

#[test]
fn a_document_that_redirects_to_itself_is_stopped() {
    stage(|stage| async move {
        stage.answers("<Redirect/>");
        let (_phone, call) = stage.connect(pivot(json!({}))).await;
        let (_, ms) = took(call.wait_for_bye(60 * SECOND)).await;
        assert!(ms < 5_000, "{ms}");
        assert!(stage.asked().len() <= 11, "{}", stage.asked().len());
        stage.world.at_rest().await;
    });
}

#[test]
fn a_failed_follow_up_ends_the_call_and_leaves_the_default_child_alone() {
    stage(|stage| async move {
        stage.answers("<Say>Ten chars.</Say><Redirect>gone</Redirect>");
        stage.world.web.reply(Reply {
            status: 404,
            content_type: "text/plain".into(),
            body: "no".into(),
            after: std::time::Duration::ZERO,
        });
        let mut flow = pivot(json!({}));
        flow["children"]["_"] = node("noop", json!({}));
        let (_phone, call) = stage.connect(flow).await;
        over(&stage, &call).await;
        assert_eq!(stage.modules(), ["pivot"]);
    });
}

#[test]
fn an_empty_document_refuses_a_call_that_is_not_answered() {
    stage(|stage| async move {
        stage.answers("");
        let (_phone, call) = stage.dial(pivot(json!({}))).await;
        let refusal = call.answered(5 * SECOND).await;
        assert!(!refusal.starts_with("SIP/2.0 200"), "{refusal}");
        call.ack_refusal();
        stage.world.at_rest().await;
    });
}

#[test]
fn a_hosted_document_needs_no_server() {
    stage(|stage| async move {
        let flow = json!({"module": "pivot", "data": {"serverless": {
            "flow_doc": "<Response><Say>Ten chars.</Say></Response>", "flow_type": "application/xml"}}});
        let (_phone, call) = stage.connect(flow).await;
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        about(ms, SAID);
        assert_eq!(stage.asked(), Vec::<String>::new());
        stage.world.at_rest().await;
    });
}

#[test]
fn verbs_and_callflow_modules_share_what_they_say_of_the_call() {
    stage(|stage| async move {
        stage.answers("<Redirect/>");
        let flow: Value = node("tts", json!({"text": "Ten chars."}));
        stage.world.web.json(&flow);
        let (_phone, call) = stage.connect(pivot(json!({}))).await;
        let (_, ms) = took(call.wait_for_bye(20 * SECOND)).await;
        about(ms, SAID);
        assert_eq!(stage.modules(), ["pivot", "tts"]);
        stage.world.at_rest().await;
    });
}

#[test]
fn text_is_said_and_sound_is_played_in_the_twilio_profile_and_neither_in_the_kazoo_one() {
    for (more, wanted) in [(twilio(), SAID), (pivot(json!({})), 0)] {
        stage(|stage| async move {
            stage.world.web.reply(Reply {
                status: 200,
                content_type: "text/plain; charset=utf-8".into(),
                body: "Ten & less".into(),
                after: Duration::ZERO,
            });
            let (_phone, call) = stage.dial(more).await;
            let answer = call.answered(10 * SECOND).await;
            if wanted == 0 {
                assert!(!answer.starts_with("SIP/2.0 200"), "{answer}");
                call.ack_refusal();
            } else {
                call.ack("");
                let (_, ms) = took(call.wait_for_bye(10 * SECOND)).await;
                about(ms, wanted);
            }
            stage.world.at_rest().await;
        });
    }
    stage(|stage| async move {
        stage.world.web.reply(Reply {
            status: 200,
            content_type: "audio/wav".into(),
            body: "RIFF".into(),
            after: Duration::ZERO,
        });
        let (_phone, call) = stage.connect(twilio()).await;
        over(&stage, &call).await;
        let asked = stage.asked();
        assert_eq!(asked, ["POST /APP/START.XML", "GET /APP/START.XML"]);
    });
}
