//! Web servers that steer calls, and do not.

use std::time::Duration;

use serde_json::json;
use swivel::host::http::HttpError;
use swivel::journal::Code;

use super::*;
use crate::world::web::Reply;

const URL: &str = "http://ivr.example/voice.php";

fn pivot() -> Value {
    node("pivot", json!({"voice_url": URL}))
}

/// The web server answers that.
async fn answers(stage: Stage, status: u16, content_type: &str, body: &str) -> (World, String) {
    stage.world.web.reply(Reply {
        status,
        content_type: content_type.into(),
        body: body.into(),
        after: Duration::from_millis(31),
    });
    whole(stage, pivot()).await
}

/// The exchange with the web server ends with that.
async fn fails(stage: Stage, error: HttpError) -> (World, String) {
    stage.world.web.fail(error);
    whole(stage, pivot()).await
}

pub(super) fn faults() -> Vec<Fault> {
    let mut all = exchanges();
    all.extend(bodies());
    all
}

fn exchanges() -> Vec<Fault> {
    let host = || "ivr.example".to_owned();
    vec![
        fault(
            Code::HookRefused,
            &["404", URL, "Not here", "480"],
            |stage| answers(stage, 404, "text/html", "<html><h1>Not here</h1></html>"),
        ),
        fault(
            Code::HookFailed,
            &["500", "after 31 ms", "Undefined array key", URL, "480"],
            |stage| {
                answers(
                    stage,
                    500,
                    "text/plain",
                    "\nUndefined array key \"Digits\" in line 12\n#0 main",
                )
            },
        ),
        fault(Code::HookFailed, &["503", URL], |stage| {
            answers(stage, 503, "text/plain", "busy")
        }),
        fault(Code::HookRedirects, &["302", URL, "redirects"], |stage| {
            answers(stage, 302, "", "")
        }),
        fault(
            Code::HookTimeout,
            &["no answer within", URL, "req_timeout_ms"],
            |stage| async {
                stage.world.web.reply(Reply {
                    status: 200,
                    content_type: "application/json".into(),
                    body: "{}".into(),
                    after: Duration::from_secs(60),
                });
                whole(stage, pivot()).await
            },
        ),
        fault(
            Code::HookUnreachable,
            &[URL, "Connection refused"],
            move |stage| {
                fails(
                    stage,
                    HttpError::Connect {
                        host: host(),
                        detail: "Connection refused (os error 111)".to_owned(),
                    },
                )
            },
        ),
        fault(Code::HookDns, &[URL, "DNS"], move |stage| {
            fails(
                stage,
                HttpError::Name {
                    host: host(),
                    detail: "no such name".to_owned(),
                },
            )
        }),
        fault(
            Code::HookBroken,
            &[URL, "connection closed"],
            move |stage| {
                fails(
                    stage,
                    HttpError::Broken {
                        host: host(),
                        detail: "connection closed before the message was complete".to_owned(),
                    },
                )
            },
        ),
        fault(
            Code::HookLoop,
            &["too many requests", "circle"],
            |stage| async {
                stage.world.web.json(&pivot());
                whole(stage, pivot()).await
            },
        ),
    ]
}

fn bodies() -> Vec<Fault> {
    let json_type = "application/json";
    vec![
        fault(Code::HookJson, &["invalid JSON", "at byte"], move |stage| {
            answers(
                stage,
                200,
                json_type,
                "{\"module\": \"tts\", \"data\": {\"text\" \"hi\"}}",
            )
        }),
        fault(Code::HookSchema, &["schema", "text"], move |stage| {
            answers(stage, 200, json_type, "{\"module\": \"tts\", \"data\": {}}")
        }),
        fault(Code::HookEmpty, &["empty body"], move |stage| {
            answers(stage, 200, json_type, "  ")
        }),
        fault(
            Code::HookContentType,
            &["text/plain", "neither callflow JSON nor TwiML"],
            |stage| answers(stage, 200, "text/plain", "hello"),
        ),
        fault(Code::HookTwiml, &["not TwiML"], |stage| {
            answers(stage, 200, "text/xml", "<Response><Say>Hi</Response>")
        }),
        fault(Code::HookTooLarge, &["longer"], |stage| async {
            let long = " ".repeat(3_000_000);
            answers(stage, 200, "application/json", &long).await
        }),
    ]
}
