//! A call through the lens, as the whole server writes it: nothing of it is missing, everything has its end.

use std::sync::Arc;

use serde_json::{Value, json};
use swivel::host::http::HttpClient;
use swivel::jobs::{HttpJob, HttpRunner, Runner};
use swivel::journal::lens::{self, Lens};

use crate::flow::{SECOND, Stage, stage};
use crate::twiml::{over, pivot, twilio};
use crate::world::ACCOUNT;
use crate::world::phone::header;

async fn through(stage: &Stage, id: &str) -> Lens {
    let journal = &stage.world.journal;
    let legs = journal.call_traces(ACCOUNT, id, false).await.unwrap();
    lens::build(ACCOUNT, &legs).unwrap()
}

fn titles(lens: &Lens, kind: &str) -> Vec<String> {
    let of_kind = lens.events.iter().filter(|event| event.kind == kind);
    of_kind.map(|event| event.title.clone()).collect()
}

#[test]
fn a_call_to_a_web_server_is_seen_whole() {
    stage(|stage| async move {
        stage.answers("<Gather numDigits=\"1\" action=\"/next\"><Say>Ten chars.</Say></Gather>");
        stage.answers("<Hangup/>");
        let (phone, call) = stage.connect(twilio()).await;
        tokio::time::sleep(SECOND / 4).await;
        call.send(
            "INFO",
            "Content-Type: application/dtmf-relay\r\n",
            "Signal=5\r\nDuration=160\r\n",
        );
        over(&stage, &call).await;
        let id = stage.told(0)["CallSid"].clone();
        let lens = through(&stage, &id).await;
        assert_eq!((lens.state, lens.result), ("ended", "completed"));
        let legs = stage.world.journal.call_traces(ACCOUNT, &id, false).await;
        let legs = legs.unwrap();
        let lines = legs.iter().flat_map(|leg| &leg.lines);
        let rtp = lines.filter(|line| line["fact"] == "rtp");
        assert!(rtp.flat_map(lens::packets_of).count() > 10);
        let shown: usize = lens
            .events
            .iter()
            .filter(|event| event.kind == "sip")
            .map(|event| event.repeat)
            .sum();
        let facts = stage.world.facts.borrow();
        let told = facts
            .iter()
            .filter(|fact| matches!(***fact, swivel::journal::Fact::Sip { .. }));
        assert_eq!(shown, told.count());
        assert_eq!(
            titles(&lens, "hook"),
            ["POST /app/start.xml", "200 XML", "POST /next", "200 XML"]
        );
        let asked = lens.exchanges();
        let sent = stage.world.web.asked();
        assert_eq!(asked.len(), sent.len());
        for (asked, sent) in asked.iter().zip(&sent) {
            assert_eq!(asked.body.as_deref().unwrap().as_bytes(), &sent.body[..]);
            assert!(asked.whole);
        }
        assert_eq!(titles(&lens, "audio"), ["speech"]);
        let spoken = &lens.lanes.audio[0];
        assert_eq!(spoken.label, "Ten chars.");
        assert!(spoken.to.is_some());
        assert_eq!(lens.lanes.keys.len(), 1);
        let flow = &lens.lanes.flow[0];
        assert_eq!(
            (flow.module.as_deref(), flow.to.is_some()),
            (Some("pivot"), true)
        );
        let all = serde_json::to_string(&lens.document(0)).unwrap();
        assert!(!all.contains("Signal=5"), "keys are masked");
        drop(phone);
    });
}

#[test]
fn the_legs_of_a_bridge_are_one_call_by_any_of_their_names_and_of_no_other_account() {
    stage(|stage| async move {
        let callee = stage.world.phone();
        let uri = format!("sip:200@{}", callee.address());
        let body = format!("<Dial><Sip>{uri}</Sip></Dial>");
        stage.answers(&body);
        stage.answers("<Hangup/>");
        let (_caller, call) = stage.dial(pivot(json!({}))).await;
        let incoming = callee.called(5 * SECOND).await;
        let leg = header(&incoming.invite, "Call-ID").to_owned();
        incoming.ring();
        incoming.answer().await;
        let answer = call.answered(5 * SECOND).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        call.ack("");
        tokio::time::sleep(SECOND).await;
        let live = through(&stage, &leg).await;
        assert_eq!((live.state, live.legs.len()), ("live", 2));
        assert!(titles(&live, "audio").contains(&"bridge".to_owned()));
        call.hang_up().await;
        incoming.wait_for_bye(5 * SECOND).await;
        stage.world.at_rest().await;
        let lens = through(&stage, &leg).await;
        assert_eq!(lens.state, "ended");
        assert_eq!(lens.id, live.id, "the first leg names the call");
        let by_name = through(&stage, &lens.interaction_id).await;
        assert_eq!(by_name.events.len(), lens.events.len());
        let record = lens.legs[1].cdr_id.clone().unwrap();
        assert_eq!(
            through(&stage, &record).await.events.len(),
            lens.events.len()
        );
        let kinds: Vec<_> = lens.parties.iter().map(|party| party.kind).collect();
        assert_eq!(kinds, ["caller", "swivel", "web", "callee"]);
        let stranger = stage.world.journal.call_traces("other", &leg, true).await;
        assert!(stranger.unwrap().is_empty());
        // What is stored is what was seen before.
        stage.world.journal.finish();
        stage.world.at_rest().await;
        let stored = through(&stage, &leg).await;
        let json = |lens: &Lens| -> Value { lens.document(0) };
        assert_eq!(json(&stored), json(&lens));
    });
}

#[test]
fn a_callback_after_the_end_still_belongs_to_its_call() {
    stage(|stage| async move {
        stage.answers("<Pause length=\"1\"/>");
        let more = json!({"cdr_url": "http://ivr.example/cdr"});
        let (_phone, call) = stage.connect(pivot(more)).await;
        over(&stage, &call).await;
        tokio::time::sleep(10 * SECOND).await;
        let posts: Arc<dyn Runner> = Arc::new(HttpRunner {
            client: HttpClient::stub(Arc::new(stage.world.web.clone())),
            directory: stage.world.directory.clone(),
            journal: stage.world.journal.clone(),
        });
        let work = stage.world.outbox.clone();
        let work = work.run(std::collections::BTreeMap::from([(HttpJob::KIND, posts)]));
        tokio::time::timeout(5 * SECOND, work).await.ok();
        stage.world.journal.finish();
        stage.world.at_rest().await;
        let lens = through(&stage, &stage.told(0)["Call-ID"]).await;
        let purposes: Vec<String> = lens
            .exchanges()
            .into_iter()
            .map(|one| one.purpose)
            .collect();
        assert_eq!(purposes, ["pivot", "cdr"]);
        let last = lens
            .events
            .iter()
            .rfind(|event| event.kind == "hook")
            .unwrap();
        assert!(last.pair.is_some());
    });
}

#[test]
fn a_file_that_is_fetched_to_be_played_is_an_exchange_of_its_call() {
    stage(|stage| async move {
        let sound = "http://sounds.example/welcome.wav";
        stage.answers(&format!("<Play>{sound}</Play>"));
        let (_phone, call) = stage.connect(twilio()).await;
        over(&stage, &call).await;
        let lens = through(&stage, &stage.told(0)["CallSid"]).await;
        let exchanges = lens.exchanges();
        let asked: Vec<(&str, &str)> = exchanges
            .iter()
            .map(|one| (one.purpose.as_str(), one.method.as_str()))
            .collect();
        assert_eq!(asked, [("pivot", "POST"), ("media", "GET")]);
        assert_eq!(exchanges[1].url, sound);
    });
}

#[test]
fn music_while_waiting_is_music() {
    stage(|stage| async move {
        stage.answers("<Enqueue>support</Enqueue>");
        let (_phone, call) = stage.connect(twilio()).await;
        tokio::time::sleep(2 * SECOND).await;
        let id = stage.told(0)["CallSid"].clone();
        let live = through(&stage, &id).await;
        let music: Vec<_> = live
            .lanes
            .audio
            .iter()
            .map(|one| one.kind.as_deref())
            .collect();
        assert_eq!(music, [Some("music")], "{:#?}", live.lanes.audio);
        assert_eq!(live.lanes.audio[0].label, "while waiting");
        call.hang_up().await;
        stage.world.at_rest().await;
        let lens = through(&stage, &id).await;
        assert!(lens.lanes.audio[0].to.is_some());
    });
}
