//! Callflows, what they play, rooms and queues; limits of swivel, and its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use swivel::directory::Kind;
use swivel::host::http::HttpClient;
use swivel::jobs::Runner;
use swivel::journal::Code;
use swivel::net::Signalling as _;
use swivel::recordings::UploadRunner;

use super::*;
use crate::flow::{chain, type_in};
use crate::world::script;
use crate::world::web::Reply;

fn reply(status: u16, content_type: &str, body: &str) -> Reply {
    Reply {
        status,
        content_type: content_type.into(),
        body: body.into(),
        after: Duration::ZERO,
    }
}

/// A flow as no check would let through.
async fn unchecked(stage: Stage, flow: Value) -> (World, String) {
    stage.world.callflow("2000", flow).await;
    let (_phone, call) = stage.invite();
    refused(stage, call).await
}

pub(super) fn faults() -> Vec<Fault> {
    let mut all = nodes();
    all.extend(sounds());
    all.extend(rooms());
    all.extend(server());
    all
}

fn nodes() -> Vec<Fault> {
    vec![
        fault(
            Code::NumberNotFound,
            &["7777", "404", "no callflow"],
            |stage| async {
                let call = stage.world.phone().call("7777");
                call.invite("");
                refused(stage, call).await
            },
        ),
        fault(
            Code::CallRestricted,
            &["call_restriction", "not allowed"],
            |stage| async {
                callers(
                    &stage,
                    json!({"call_restriction": {"unknown": {"action": "deny"}}}),
                )
                .await;
                let flow = node("device", json!({"id": "x"}));
                stage.world.callflow("2000", flow).await;
                let (_phone, call) = stage.invite();
                let answer = call.answered(30 * SECOND).await;
                if answer.starts_with("SIP/2.0 200") {
                    call.ack("");
                    call.wait_for_bye(30 * SECOND).await;
                } else {
                    call.ack_refusal();
                }
                (stage.world, call.call_id)
            },
        ),
        fault(
            Code::CallflowLoop,
            &["too many", "leads back"],
            |stage| async {
                let id = stage.world.callflow("2000", node("noop", json!({}))).await;
                let again =
                    json!({"numbers": ["2000"], "flow": node("callflow", json!({"id": id}))});
                stage
                    .world
                    .directory
                    .put(Kind::Callflow, ACCOUNT, &id, again)
                    .await
                    .unwrap();
                let (_phone, call) = stage.invite();
                refused(stage, call).await
            },
        ),
        fault(Code::ForwardLoop, &["482", "circle"], |stage| async {
            stage
                .world
                .callflow("2000", node("answer", json!({})))
                .await;
            let call = stage.world.phone().call("2000");
            call.invite("X-Swivel-Passes: 70\r\n");
            refused(stage, call).await
        }),
        fault(
            Code::ModuleUnknown,
            &["voicemail_plus", "module"],
            |stage| unchecked(stage, node("voicemail_plus", json!({}))),
        ),
        fault(Code::NodeData, &["sleep", "data"], |stage| {
            unchecked(stage, node("sleep", json!({"duration": {"a": 1}})))
        }),
        fault(Code::DocumentMissing, &["callflow", "not there"], |stage| {
            unchecked(
                stage,
                node(
                    "callflow",
                    json!({"id": "0123456789abcdef0123456789abcdef"}),
                ),
            )
        }),
        fault(Code::FlowEnded, &["response", "486"], |stage| {
            unchecked(
                stage,
                node("response", json!({"code": 486, "message": "Busy"})),
            )
        }),
        fault(Code::TransferFailed, &["3999", "404"], |stage| async {
            let (callee, call) = ringing(&stage).await;
            let incoming = callee.called(SECOND).await;
            incoming.answer().await;
            call.answered(SECOND).await;
            call.ack("");
            incoming.send("REFER", "Refer-To: <sip:3999@world.test>\r\n", "");
            tokio::time::sleep(SECOND).await;
            let leg = stage
                .world
                .facts
                .borrow()
                .iter()
                .find_map(|fact| match fact.as_ref() {
                    Fact::Trouble { call_id, .. } => Some(call_id.clone()),
                    _ => None,
                });
            call.hang_up().await;
            (stage.world, leg.unwrap())
        }),
    ]
}

fn sounds() -> Vec<Fault> {
    vec![
        fault(
            Code::AudioMissing,
            &["no media", "0123456789abcdef0123456789abcdef"],
            |stage| {
                whole(
                    stage,
                    node("play", json!({"id": "0123456789abcdef0123456789abcdef"})),
                )
            },
        ),
        fault(
            Code::AudioUndecodable,
            &["no audio", "WAV"],
            |stage| async {
                stage
                    .world
                    .web
                    .reply(reply(200, "audio/wav", "this is no sound at all"));
                whole(
                    stage,
                    node("play", json!({"id": "http://media.example/a.wav"})),
                )
                .await
            },
        ),
        fault(Code::AudioFetch, &["media.example", "404"], |stage| async {
            stage.world.web.reply(reply(404, "text/plain", "no"));
            whole(
                stage,
                node("play", json!({"id": "http://media.example/a.wav"})),
            )
            .await
        }),
        fault(Code::TtsFailed, &["text to speech"], |stage| {
            whole(stage, node("tts", json!({"text": "unspeakable"})))
        }),
        fault(Code::AudioFetch, &["media.example", "404"], |stage| async {
            let twiml = "<Response><Play>http://media.example/b.wav</Play></Response>";
            stage.world.web.reply(reply(200, "text/xml", twiml));
            stage.world.web.reply(reply(404, "text/plain", "no"));
            whole(
                stage,
                node("pivot", json!({"voice_url": "http://ivr.example/x"})),
            )
            .await
        }),
        fault(
            Code::RecordingUpload,
            &["store.test", "not uploaded"],
            |stage| async {
                let record =
                    json!({"action": "start", "url": "http://me:secret@store.test/in/?key=1"});
                let flow = chain(vec![
                    node("answer", json!({})),
                    node("record_call", record),
                    node("sleep", json!({"duration": 2})),
                ]);
                let (world, call_id) = whole(stage, flow).await;
                tokio::time::sleep(20 * SECOND).await;
                world.web.reply(reply(500, "", ""));
                let client = HttpClient::stub(Arc::new(world.web.clone()));
                let runner = UploadRunner::new(world.shelf.clone(), client, world.journal.clone());
                let runner: Arc<dyn Runner> = Arc::new(runner);
                let work = world
                    .outbox
                    .clone()
                    .run(BTreeMap::from([(UploadRunner::KIND, runner)]));
                tokio::select! {
                    () = work => {}
                    () = tokio::time::sleep(5 * SECOND) => {}
                }
                (world, call_id)
            },
        ),
    ]
}

fn rooms() -> Vec<Fault> {
    vec![
        fault(
            Code::ConferenceFull,
            &["full", "1 are in it"],
            |stage| async {
                let room = json!({"name": "daily", "max_participants": 1, "play_welcome": false});
                let id = stage.world.put(Kind::Conference, room).await;
                let (_phone, _first) = stage.connect(node("conference", json!({"id": id}))).await;
                tokio::time::sleep(10 * SECOND).await;
                let (_phone, call) = stage.invite();
                call.answered(SECOND).await;
                call.ack("");
                call.wait_for_bye(30 * SECOND).await;
                (stage.world, call.call_id)
            },
        ),
        fault(
            Code::ConferencePin,
            &["wrong PIN", "three times"],
            |stage| async {
                let room = json!({"member": {"pins": ["1111"]}, "play_welcome": false});
                let id = stage.world.put(Kind::Conference, room).await;
                let (phone, call) = stage.connect(node("conference", json!({"id": id}))).await;
                for _ in 0..3 {
                    tokio::time::sleep(2 * SECOND).await;
                    type_in(&phone, &call, "2222#").await;
                    tokio::time::sleep(4 * SECOND).await;
                }
                call.wait_for_bye(60 * SECOND).await;
                (stage.world, call.call_id)
            },
        ),
        fault(Code::QueueFull, &["queue support", "full"], |stage| async {
            let twiml = "<Response><Enqueue maxQueueSize=\"1\">support</Enqueue></Response>";
            stage.world.web.reply(reply(200, "text/xml", twiml));
            let data = json!({"voice_url": "http://ivr.example/x", "req_format": "twiml"});
            let (_phone, _first) = stage.connect(node("pivot", data)).await;
            tokio::time::sleep(SECOND).await;
            let (_phone, call) = stage.invite();
            call.answered(SECOND).await;
            call.ack("");
            call.wait_for_bye(30 * SECOND).await;
            (stage.world, call.call_id)
        }),
    ]
}

fn server() -> Vec<Fault> {
    let sleeps = || waits(60);
    /// One call is up, and another comes.
    async fn one_too_many(stage: Stage, flow: Value) -> (World, String) {
        let (_phone, _first) = stage.connect(flow).await;
        let (_phone, call) = stage.invite();
        refused(stage, call).await
    }
    vec![
        fault(
            Code::NoPorts,
            &["503", "No RTP port", "rtp.ports"],
            move |stage| one_too_many(stage, sleeps()),
        )
        .with(Settings {
            max_ports: 1,
            ..Settings::default()
        }),
        fault(Code::TooManyCalls, &["503", "max_calls"], move |stage| {
            one_too_many(stage, sleeps())
        })
        .with(Settings {
            max_calls: Some(1),
            ..Settings::default()
        }),
        fault(Code::Overload, &["503", "overloaded"], |stage| async {
            for _ in 0..200 {
                stage.world.core.lag(SECOND);
            }
            let (_phone, call) = stage.dial(node("answer", json!({}))).await;
            refused(stage, call).await
        })
        .with(Settings {
            overload_lag: Some(Duration::from_millis(100)),
            ..Settings::default()
        }),
        fault(
            Code::ShuttingDown,
            &["being stopped"],
            move |stage| async move {
                let (_phone, call) = stage.connect(sleeps()).await;
                stage.world.core.end_all();
                call.wait_for_bye(SECOND).await;
                (stage.world, call.call_id)
            },
        ),
        fault(
            Code::CallTooLong,
            &["ended after 10 s", "longest time"],
            move |stage| async move {
                let (_phone, call) = stage.connect(sleeps()).await;
                call.wait_for_bye(20 * SECOND).await;
                (stage.world, call.call_id)
            },
        )
        .with(Settings {
            max_call: Some(10 * SECOND),
            ..Settings::default()
        }),
        fault(
            Code::Restarted,
            &["restarted during the call"],
            move |stage| async move {
                let (_phone, call) = stage.connect(sleeps()).await;
                tokio::time::sleep(SECOND).await;
                let world = stage
                    .world
                    .restart(2, Settings::default(), script(|_| async {}))
                    .await;
                (world, call.call_id)
            },
        ),
    ]
}
