//! Media streams, recordings and speech from documents (`pivot.md` §7.5, §7.7, §8.4, §8.5).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use swivel::directory::Kind;
use swivel::recordings::TranscriptRunner;
use swivel::speech::{Recogniser, Recognition, SpeechError, Spoken, Transcript};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{about, callbacks, over, pivot, twilio};
use crate::flow::{SECOND, Stage, press, stage, stage_with, took};
use crate::world::rtp::Voice;
use crate::world::{ACCOUNT, Settings};

type Server = WebSocketStream<DuplexStream>;

async fn server(stage: &Stage) -> Server {
    let socket = stage.world.web.socket().await;
    WebSocketStream::from_raw_socket(socket, Role::Server, None).await
}

/// The next message of that event; others are passed over.
async fn event(server: &mut Server, event: &str) -> Value {
    while let Some(Ok(message)) = server.next().await {
        if let Message::Text(text) = message {
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["event"] == event {
                return message;
            }
        }
    }
    panic!("no {event}");
}

#[test]
fn a_connected_stream_lasts_until_its_server_closes_it() {
    for (more, verbs, rest) in [
        (twilio(), "<Pause length=\"2\"/>", 2_000),
        (pivot(json!({})), "<Pause length=\"2\"/>", 0),
    ] {
        let is_twilio = rest > 0;
        stage(|stage| async move {
            stage.answers(&format!(
                "<Connect><Stream url=\"wss://bot.example/media?x=1\" name=\"bot\" statusCallback=\"/cb\">\
                 <Parameter name=\"tier\" value=\"gold\"/></Stream></Connect>{verbs}"
            ));
            let (_phone, call) = stage.connect(more).await;
            let mut server = server(&stage).await;
            let start = event(&mut server, "start").await;
            assert_eq!(start["start"]["customParameters"], json!({"tier": "gold"}));
            event(&mut server, "media").await;
            tokio::time::sleep(SECOND).await;
            server.close(None).await.ok();
            drop(server);
            let (_, ms) = took(call.wait_for_bye(10 * SECOND)).await;
            about(ms, rest);
            if is_twilio {
                let told = callbacks(&stage, "/cb").await;
                let events: Vec<&str> = told.iter().map(|t| t["StreamEvent"].as_str()).collect();
                assert_eq!(events, ["stream-started", "stream-stopped"]);
                assert_eq!(told[0]["StreamSid"], start["streamSid"].as_str().unwrap());
                assert_eq!(told[0]["StreamName"], "bot");
            }
            stage.world.at_rest().await;
        });
    }
}

#[test]
fn a_refused_stream_is_told_and_the_document_of_twilio_goes_on() {
    stage(|stage| async move {
        stage.world.web.refuse_sockets(403);
        stage.answers(
            "<Connect action=\"/after\"><Stream url=\"wss://bot.example/\" statusCallback=\"/cb\"/></Connect>",
        );
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.connect(twilio()).await;
        over(&stage, &call).await;
        assert_eq!(stage.asked().last().unwrap(), "POST /AFTER");
        let told = callbacks(&stage, "/cb").await;
        assert_eq!(told[0]["StreamEvent"], "stream-error");
        assert!(!told[0]["StreamError"].is_empty());
    });
}

#[test]
fn a_started_stream_goes_on_beside_the_document_until_it_is_stopped() {
    stage(|stage| async move {
        stage.answers(
            "<Start><Stream url=\"wss://bot.example/\" name=\"x\" track=\"both_tracks\"/></Start><Pause length=\"2\"/>\
             <Stop><Stream name=\"x\"/></Stop><Pause length=\"3\"/>",
        );
        let (_phone, call) = stage.connect(twilio()).await;
        let mut server = server(&stage).await;
        let start = event(&mut server, "start").await;
        assert_eq!(start["start"]["tracks"], json!(["inbound", "outbound"]));
        let (_, ms) = took(event(&mut server, "stop")).await;
        about(ms, 2_000);
        let (_, ms) = took(call.wait_for_bye(10 * SECOND)).await;
        about(ms, 3_000);
        stage.world.at_rest().await;
    });
}

#[test]
fn a_recording_tells_its_callback_what_it_tells_the_action() {
    stage(|stage| async move {
        stage.answers(
            "<Record action=\"/done\" maxLength=\"3\" playBeep=\"false\" trim=\"do-not-trim\" recordingStatusCallback=\"/cb\" \
             recordingStatusCallbackEvent=\"in-progress completed\"/>",
        );
        stage.answers("<Hangup/>");
        let (phone, call, port) = stage.connected(twilio()).await;
        let from = SocketAddr::new(phone.address().ip(), 4000);
        let voice = Voice::speak(&stage.world, from, port, 0x10);
        over(&stage, &call).await;
        drop(voice);
        let done = stage.told_at("/DONE");
        let told = callbacks(&stage, "/cb").await;
        let states: Vec<&str> = told.iter().map(|t| t["RecordingStatus"].as_str()).collect();
        assert_eq!(states, ["in-progress", "completed"]);
        assert_eq!(told[1]["RecordingSid"], done["RecordingSid"]);
        assert_eq!(told[1]["RecordingUrl"], done["RecordingUrl"]);
        assert_eq!(told[1]["RecordingSource"], "RecordVerb");
        assert_eq!(
            (
                done["RecordingDuration"].as_str(),
                told[1]["RecordingDuration"].as_str()
            ),
            ("3", "3")
        );
    });
}

#[test]
fn silence_alone_is_absent_for_twilio() {
    stage(|stage| async move {
        stage.answers(
            "<Record action=\"/done\" timeout=\"2\" playBeep=\"false\" recordingStatusCallback=\"/cb\" \
             recordingStatusCallbackEvent=\"completed absent\"/><Pause/>",
        );
        let (_phone, call) = stage.connect(twilio()).await;
        over(&stage, &call).await;
        assert_eq!(stage.asked().len(), 1);
        let told = callbacks(&stage, "/cb").await;
        assert_eq!(told[0]["RecordingStatus"], "absent");
    });
}

#[test]
fn a_dialled_talk_is_recorded_a_channel_a_party() {
    stage(|stage| async move {
        let callee = stage.world.phone_at("10.0.1.51:5060");
        let device = json!({"name": "n", "sip": {"invite_format": "route", "route": "sip:callee@10.0.1.51:5060"}});
        let device = stage.world.put(Kind::Device, device).await;
        stage.answers(&format!(
            "<Dial action=\"/after\" record=\"record-from-answer-dual\" recordingStatusCallback=\"/cb\"><Device>{device}</Device></Dial>"
        ));
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.connect(twilio()).await;
        let incoming = callee.called(SECOND).await;
        incoming.answer().await;
        tokio::time::sleep(3 * SECOND).await;
        incoming.hang_up().await;
        over(&stage, &call).await;
        let after = stage.told_at("/AFTER");
        let told = callbacks(&stage, "/cb").await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["RecordingStatus"], "completed");
        assert_eq!(told[0]["RecordingChannels"], "2");
        assert_eq!(told[0]["RecordingSource"], "DialVerb");
        assert_eq!(told[0]["RecordingUrl"], after["RecordingUrl"]);
    });
}

#[test]
fn a_recording_beside_the_document_begins_with_start_and_ends_with_stop() {
    stage(|stage| async move {
        stage.answers(
            "<Start><Recording trim=\"do-not-trim\" recordingStatusCallback=\"/cb\"/></Start><Pause length=\"3\"/>\
             <Stop><Recording/></Stop><Pause length=\"5\"/>",
        );
        let (_phone, call) = stage.connect(twilio()).await;
        over(&stage, &call).await;
        let told = callbacks(&stage, "/cb").await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["RecordingDuration"], "3");
    });
}

#[test]
fn a_recording_holds_the_tracks_it_names() {
    for (track, channels) in [("inbound", "1"), ("outbound", "1"), ("both", "2")] {
        stage(|stage| async move {
            stage.answers(&format!(
                "<Start><Recording track=\"{track}\" trim=\"do-not-trim\" recordingStatusCallback=\"/cb\"/></Start>\
                 <Pause length=\"3\"/>"
            ));
            let (_phone, call) = stage.connect(twilio()).await;
            over(&stage, &call).await;
            let told = callbacks(&stage, "/cb").await;
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(told[0]["RecordingTrack"], track);
            assert_eq!(told[0]["RecordingChannels"], channels);
        });
    }
}

#[test]
fn a_recording_that_is_to_be_a_text_leaves_a_job_behind() {
    stage(|stage| async move {
        stage.answers(
            "<Record playBeep=\"false\" maxLength=\"3\" timeout=\"0\" trim=\"do-not-trim\" action=\"/recorded\" transcribe=\"true\" transcribeCallback=\"/text\"/>",
        );
        stage.answers("<Hangup/>");
        let (_phone, call) = stage.connect(twilio()).await;
        over(&stage, &call).await;
        let id = stage.told_at("/RECORDED")["RecordingSid"].clone();
        let jobs = stage.world.outbox.pending().await.unwrap();
        let texts: Vec<_> = jobs
            .iter()
            .filter(|job| job.kind == TranscriptRunner::KIND)
            .collect();
        assert_eq!(texts.len(), 1, "{jobs:?}");
        assert_eq!(texts[0].payload["id"], id);
        let kept = stage.world.shelf.one(ACCOUNT, &id).await.unwrap().unwrap();
        let how = kept.transcript.unwrap();
        assert_eq!(how.notice.url, "http://ivr.example/text");
        assert!(how.notice.fields.iter().any(|(name, _)| name == "CallSid"));
    });
}

/// Understands the same whatever is said.
struct Parrot;

impl Recogniser for Parrot {
    fn transcribe<'a>(&'a self, _: &'a Spoken) -> BoxFuture<'a, Result<Transcript, SpeechError>> {
        Box::pin(async {
            Ok(Transcript {
                text: "sales please".to_owned(),
                confidence: Some(0.5),
            })
        })
    }
}

fn listening() -> Settings {
    Settings {
        recognition: Some(Recognition {
            recogniser: Arc::new(Parrot),
            partial_every: Some(SECOND),
        }),
        ..Settings::default()
    }
}

#[test]
fn what_a_caller_says_is_told_the_action_and_partial_results_their_callback() {
    stage_with(listening(), |stage| async move {
        stage.answers(
            "<Gather input=\"speech\" action=\"/said\" speechTimeout=\"auto\" partialResultCallback=\"/partial\"><Say>Ten chars.</Say></Gather>",
        );
        stage.answers("<Redirect>/next</Redirect>");
        stage.answers("<Hangup/>");
        let (phone, call, port) = stage.connected(twilio()).await;
        let from = SocketAddr::new(phone.address().ip(), 4000);
        let quiet = Voice::speak(&stage.world, from, port, 0xff);
        tokio::time::sleep(2 * SECOND).await;
        drop(quiet);
        let voice = Voice::speak(&stage.world, from, port, 0x05);
        tokio::time::sleep(3 * SECOND).await;
        drop(voice);
        over(&stage, &call).await;
        let said = stage.told_at("/SAID");
        assert_eq!(said["SpeechResult"], "sales please");
        assert_eq!(said["Confidence"], "0.5");
        assert_eq!(stage.told_at("/NEXT").get("SpeechResult"), None);
        let told = callbacks(&stage, "/partial").await;
        assert_eq!(told[0]["UnstableSpeechResult"], "sales please");
        assert_eq!(told[1]["StableSpeechResult"], "sales please");
        assert_eq!(told[0]["SequenceNumber"], "0");
        assert_eq!(told[0]["CallSid"], said["CallSid"]);
    });
}

#[test]
fn keys_count_in_place_of_speech_where_both_are_asked_for() {
    for settings in [listening(), Settings::default()] {
        stage_with(settings, |stage| async move {
            stage.answers(
                "<Gather input=\"dtmf speech\" numDigits=\"1\" timeout=\"9\" action=\"/said\"/>",
            );
            stage.answers("<Hangup/>");
            let (phone, call) = stage.connect(twilio()).await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
            press(&phone, &call, '4').await;
            over(&stage, &call).await;
            assert_eq!(stage.told_at("/SAID")["Digits"], "4");
        });
    }
}
