//! Recordings of calls: from the callflow to the shelf, through holds, transfers, ends and crashes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use swivel::audio::Codec;
use swivel::call::channels::RecordOrder;
use swivel::call::{CallHandle, Keys, NewRecording};
use swivel::directory::Kind;
use swivel::host::http::HttpClient;
use swivel::jobs::{HttpJob, HttpRunner, Runner};
use swivel::journal::TimeRange;
use swivel::media::{Pause, RecordEnd, Sides};
use swivel::recordings::{Notice, Recording, UploadRunner};

use super::flow::{SECOND, Stage, chain, node, press, stage};
use super::world::callee::Incoming;
use super::world::phone::{Phone, PhoneCall};
use super::world::rtp::{Voice, audio_of};
use super::world::web::Reply;
use super::world::{ACCOUNT, World, script, world_of};

/// What the caller and the callee say: one octet each, for ever.
const CALLER: u8 = 0xa3;
const CALLEE: u8 = 0xb7;

/// The sample an octet means.
fn sample(octet: u8) -> i16 {
    let mut pcm = Vec::new();
    Codec::Pcmu.decoder().decode(&[octet], &mut pcm);
    pcm[0]
}

/// A telephone at that address that a callflow can ring, and how it is rung.
async fn rung(stage: &Stage, n: u8) -> (Phone, Value) {
    let address = format!("10.0.1.{n}:5060");
    let device = json!({"name": format!("phone {n}"),
        "sip": {"invite_format": "route", "route": format!("sip:callee@{address}")}});
    let phone = stage.world.phone_at(&address);
    let id = stage.world.put(Kind::Device, device).await;
    (phone, node("device", json!({"id": id})))
}

/// The caller and the callee of 2000 talk, with voices, until those are dropped.
async fn talking(stage: &Stage, flow: Value, callee: &Phone) -> (PhoneCall, Incoming, [Voice; 2]) {
    let (phone, call) = stage.dial(flow).await;
    let incoming = callee.called(SECOND).await;
    incoming.ring();
    call.expect(180, SECOND).await;
    incoming.answer().await;
    let ok = call.expect(200, SECOND).await;
    call.ack("");
    let at = |phone: &Phone, port| SocketAddr::new(phone.address().ip(), port);
    let voices = [
        Voice::speak(&stage.world, at(&phone, 4000), audio_of(&ok), CALLER),
        Voice::speak(
            &stage.world,
            at(callee, 5000),
            audio_of(&incoming.invite),
            CALLEE,
        ),
    ];
    (call, incoming, voices)
}

/// Every recording, oldest first.
async fn shelved(world: &World) -> Vec<Recording> {
    let range = TimeRange {
        ascending: true,
        ..TimeRange::newest(99)
    };
    let rows = world.shelf.list(ACCOUNT, range).await.unwrap();
    rows.into_iter().map(|row| row.recording).collect()
}

/// The samples of a recording's file.
async fn sound(world: &World, recording: &Recording) -> Vec<i16> {
    let bytes = world
        .shelf
        .bytes(recording)
        .await
        .expect("its file is here");
    let pcm = bytes[44..].chunks_exact(2);
    pcm.map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// Which part of the samples has that value.
fn share(pcm: &[i16], value: i16) -> f64 {
    let count = pcm.iter().filter(|s| **s == value).count();
    count as f64 / pcm.len().max(1) as f64
}

/// Files below the recordings directory, whatever their names.
fn files(world: &World) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        entries
            .map(|entry| match entry.file_type().unwrap().is_dir() {
                true => count(&entry.path()),
                false => 1,
            })
            .sum()
    }
    count(world.recorded.path())
}

fn near(recording: &Recording, ms: u64) {
    let off = recording.duration_ms.abs_diff(ms);
    assert!(off <= 200, "{} ms instead of {ms}", recording.duration_ms);
}

/// Does the jobs until none is left.
async fn work(world: &World) {
    let client = HttpClient::stub(Arc::new(world.web.clone()));
    let uploads: Arc<dyn Runner> = Arc::new(UploadRunner::new(
        world.shelf.clone(),
        client.clone(),
        swivel::journal::Journal::new(swivel::store::Store::memory()),
    ));
    let posts: Arc<dyn Runner> = Arc::new(HttpRunner {
        client,
        directory: world.directory.clone(),
        journal: swivel::journal::Journal::new(swivel::store::Store::memory()),
    });
    let runners = BTreeMap::from([(UploadRunner::KIND, uploads), (HttpJob::KIND, posts)]);
    let work = world.outbox.clone().run(runners);
    tokio::pin!(work);
    while !world.outbox.pending().await.unwrap().is_empty() {
        tokio::select! {
            () = &mut work => {}
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

#[test]
fn both_sides_of_a_bridged_call_are_recorded_and_the_call_record_names_the_recording() {
    stage(|stage| async move {
        let (callee, rings) = rung(&stage, 60).await;
        let record = node("record_call", json!({"action": "start", "label": "sales"}));
        let flow = chain(vec![record, rings]);
        let (call, incoming, voices) = talking(&stage, flow, &callee).await;
        tokio::time::sleep(5 * SECOND).await;
        incoming.hang_up().await;
        call.wait_for_bye(SECOND).await;
        drop(voices);
        stage.world.at_rest().await;
        let all = shelved(&stage.world).await;
        let [recording] = &all[..] else {
            panic!("{all:?}")
        };
        near(recording, 5000);
        let both = sample(CALLER) + sample(CALLEE);
        let pcm = sound(&stage.world, recording).await;
        assert!(share(&pcm, both) > 0.8, "{}", share(&pcm, both));
        assert_eq!(recording.origin, "callflow : sales");
        assert_eq!(
            recording.name,
            format!("call_recording_{}.wav", call.call_id)
        );
        let cdrs = stage.world.cdrs().await;
        let of_caller = cdrs.iter().find(|cdr| cdr.call_id == call.call_id).unwrap();
        assert_eq!(of_caller.media_recordings, vec![recording.id.clone()]);
        assert_eq!(recording.cdr_id, of_caller.id());
        assert_eq!(recording.interaction_id, of_caller.interaction());
        assert_eq!(stage.modules(), ["record_call", "device"]);
    });
}

#[test]
fn a_recording_begins_with_the_bridge_when_asked_to_and_with_early_media_otherwise() {
    stage(|stage| async move {
        let (callee, rings) = rung(&stage, 60).await;
        let flow = chain(vec![
            node("answer", json!({})),
            node("record_call", json!({"action": "start"})),
            node(
                "record_call",
                json!({"action": "start", "record_on_bridge": true}),
            ),
            rings,
        ]);
        let (_phone, call) = stage.connect(flow).await;
        let incoming = callee.called(SECOND).await;
        tokio::time::sleep(7 * SECOND).await;
        incoming.answer().await;
        tokio::time::sleep(3 * SECOND).await;
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
        let all = shelved(&stage.world).await;
        assert_eq!(all.len(), 2);
        near(&all[0], 10_000);
        near(&all[1], 3_000);
        assert!(all[1].name.ends_with("_2.wav"), "{}", all[1].name);
    });
}

#[test]
fn a_recording_that_waits_for_a_bridge_that_never_comes_leaves_nothing() {
    stage(|stage| async move {
        let flow = chain(vec![
            node(
                "record_call",
                json!({"action": "start", "record_on_bridge": true}),
            ),
            node("answer", json!({})),
            node("sleep", json!({"duration": 2})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(5 * SECOND).await;
        stage.world.at_rest().await;
        assert!(shelved(&stage.world).await.is_empty());
        assert_eq!(files(&stage.world), 0);
        assert!(stage.world.cdrs().await[0].media_recordings.is_empty());
    });
}

#[test]
fn a_recording_that_is_too_short_is_thrown_away_with_its_document() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node(
                "record_call",
                json!({"action": "start", "record_min_sec": 30}),
            ),
            node("sleep", json!({"duration": 3})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(5 * SECOND).await;
        stage.world.at_rest().await;
        assert!(shelved(&stage.world).await.is_empty());
        assert_eq!(files(&stage.world), 0);
        assert!(stage.world.cdrs().await[0].media_recordings.is_empty());
        assert_eq!(
            stage.world.shelf.sweep().await.unwrap().gone,
            0,
            "nothing is half kept"
        );
    });
}

#[test]
fn stop_ends_the_recording_that_was_started_last_and_the_limit_the_other() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node(
                "record_call",
                json!({"action": "start", "time_limit": 6, "media_name": "long.mp3"}),
            ),
            node("sleep", json!({"duration": 1})),
            node(
                "record_call",
                json!({"action": "start", "media_name": "short"}),
            ),
            node("sleep", json!({"duration": 2})),
            node("record_call", json!({"action": "stop"})),
            node("sleep", json!({"duration": 8})),
            node("record_call", json!({"action": "stop"})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(20 * SECOND).await;
        stage.world.at_rest().await;
        let all = shelved(&stage.world).await;
        let names: Vec<_> = all.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["long.wav", "short.wav"]);
        near(&all[0], 6000);
        near(&all[1], 2000);
        assert!(
            stage
                .notes()
                .iter()
                .any(|note| note.contains("nothing to stop"))
        );
    });
}

#[test]
fn the_caller_is_recorded_after_a_beep_until_a_key_and_the_flow_goes_on() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("record_caller", json!({"time_limit": 60})),
            node("sleep", json!({"duration": 1})),
        ]);
        let (phone, call) = stage.dial(flow).await;
        let ok = call.answered(SECOND).await;
        call.ack("");
        let at = SocketAddr::new(phone.address().ip(), 4000);
        let voice = Voice::speak(&stage.world, at, audio_of(&ok), CALLER);
        tokio::time::sleep(Duration::from_millis(3500)).await;
        press(&phone, &call, '5').await;
        call.wait_for_bye(3 * SECOND).await;
        drop(voice);
        stage.world.at_rest().await;
        let all = shelved(&stage.world).await;
        assert_eq!(all.len(), 1);
        // Half a second of it was the beep.
        near(&all[0], 3000);
        let pcm = sound(&stage.world, &all[0]).await;
        assert!(share(&pcm, sample(CALLER)) > 0.9, "the caller alone");
        assert_eq!(stage.modules(), ["record_caller", "sleep"]);
    });
}

#[test]
fn what_a_caller_said_is_kept_when_he_hangs_up_and_silence_ends_it() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("record_caller", json!({})),
            node("record_caller", json!({})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        // Nobody speaks: the first ends after five seconds, the second with the call.
        tokio::time::sleep(8 * SECOND).await;
        call.hang_up().await;
        stage.world.at_rest().await;
        let all = shelved(&stage.world).await;
        assert_eq!(all.len(), 2);
        near(&all[0], 5000);
        near(&all[1], 2000);
        assert_eq!(stage.world.cdrs().await[0].media_recordings.len(), 2);
    });
}

#[test]
fn a_recording_goes_where_its_url_says_once_the_server_takes_it() {
    stage(|stage| async move {
        let url = "http://me:secret@store.test/in/?key=1";
        let flow = chain(vec![
            node("answer", json!({})),
            node(
                "record_call",
                json!({"action": "start", "url": url, "method": "post", "media_name": "a b"}),
            ),
            node("sleep", json!({"duration": 2})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        call.wait_for_bye(5 * SECOND).await;
        stage.world.at_rest().await;
        assert_eq!(files(&stage.world), 1, "nobody has done the job yet");
        for status in [503, 500, 201] {
            stage.world.web.reply(Reply {
                status,
                content_type: String::new(),
                body: String::new(),
                after: Duration::ZERO,
            });
        }
        work(&stage.world).await;
        let asked = stage.world.web.asked();
        assert_eq!(asked.len(), 3);
        for one in &asked {
            assert_eq!(one.url.as_str(), "http://store.test/in/a%20b.wav?key=1");
            assert_eq!(one.method.name(), "POST");
            let basic = one.headers.iter().find(|(name, _)| name == "Authorization");
            assert!(
                basic.is_some(),
                "the user information is for the server alone"
            );
            assert!(one.upload.is_some());
        }
        assert_eq!(files(&stage.world), 0, "it is elsewhere now");
        let all = shelved(&stage.world).await;
        assert_eq!(all[0].to_doc()["_read_only"]["upload"], "done");
        let cdr = &stage.world.cdrs().await[0];
        assert_eq!(
            cdr.custom_channel_vars["recording_url"],
            asked[0].url.as_str()
        );
    });
}

/// 2000 records and rings the second telephone, whose user sends the caller on to the third.
fn transferred(settings: Value) -> Vec<u64> {
    let lengths = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = lengths.clone();
    stage(|stage| async move {
        let (callee, rings) = rung(&stage, 60).await;
        let (third, rings_third) = rung(&stage, 61).await;
        stage.world.callflow("3000", rings_third).await;
        let mut data = json!({"action": "start"});
        data.as_object_mut()
            .unwrap()
            .extend(settings.as_object().cloned().unwrap());
        let flow = chain(vec![node("record_call", data), rings]);
        let (call, incoming, voices) = talking(&stage, flow, &callee).await;
        tokio::time::sleep(3 * SECOND).await;
        incoming.send("REFER", "Refer-To: <sip:3000@world.test>\r\n", "");
        callee.expect("SIP/2.0 202", SECOND).await;
        let at_third = third.called(SECOND).await;
        at_third.answer().await;
        for _ in 0..2 {
            let notify = callee.expect("NOTIFY ", SECOND).await;
            incoming.answer_request(&notify, "200 OK");
        }
        incoming.wait_for_bye(SECOND).await;
        tokio::time::sleep(4 * SECOND).await;
        drop(voices);
        call.hang_up().await;
        at_third.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
        let all = shelved(&stage.world).await;
        seen.borrow_mut().extend(all.iter().map(|r| r.duration_ms));
    });
    lengths.take()
}

#[test]
fn a_recording_follows_the_caller_who_is_transferred_unless_it_should_not() {
    let following = transferred(json!({}));
    assert_eq!(following.len(), 1);
    assert!(following[0].abs_diff(7000) < 500, "{following:?}");
    let staying = transferred(json!({"should_follow_transfer": false}));
    assert_eq!(staying.len(), 1);
    assert!(staying[0].abs_diff(3000) < 500, "{staying:?}");
}

#[test]
fn a_recording_goes_on_with_the_party_that_stays_when_the_recorded_one_transfers_it() {
    stage(|stage| async move {
        let (callee, rings) = rung(&stage, 60).await;
        let (third, rings_third) = rung(&stage, 61).await;
        stage.world.callflow("3000", rings_third).await;
        let flow = chain(vec![node("record_call", json!({"action": "start"})), rings]);
        let (call, incoming, voices) = talking(&stage, flow, &callee).await;
        tokio::time::sleep(2 * SECOND).await;
        call.send("REFER", "Refer-To: <sip:3000@world.test>\r\n", "");
        let at_third = third.called(2 * SECOND).await;
        at_third.answer().await;
        tokio::time::sleep(SECOND / 2).await;
        drop(voices);
        tokio::time::sleep(4 * SECOND).await;
        incoming.hang_up().await;
        at_third.wait_for_bye(SECOND).await;
        stage.world.at_rest().await;
        let all = shelved(&stage.world).await;
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[0].call_id, call.call_id);
        assert_ne!(all[1].call_id, call.call_id);
        assert!(
            all[1].duration_ms.abs_diff(4500) < 500,
            "{}",
            all[1].duration_ms
        );
    });
}

#[test]
fn a_pause_is_silent_or_no_time_at_all_and_each_party_has_a_channel_when_asked() {
    let run = script(|call: CallHandle| async move {
        call.answer().await.unwrap();
        let both = NewRecording {
            sides: Sides::Apart,
            ..NewRecording::default()
        };
        let peer = NewRecording {
            sides: Sides::Peer,
            ..NewRecording::default()
        };
        let apart = call.start_recording(both).unwrap();
        let own = call.start_recording(peer).unwrap();
        assert_eq!(call.recordings(), [apart.clone(), own.clone()]);
        call.pause(2 * SECOND).await.unwrap();
        call.pause_recording(Some(&apart), Pause::Silence).unwrap();
        call.pause_recording(None, Pause::Skip).unwrap();
        call.pause(2 * SECOND).await.unwrap();
        for id in [&apart, &own] {
            call.pause_recording(Some(id), Pause::No).unwrap();
        }
        call.pause(2 * SECOND).await.unwrap();
        assert!(call.stop_recording(Some("unknown")).is_none());
        assert!(call.recording_url(&apart).unwrap().ends_with("/raw"));
        call.wait_for_hangup().await;
    });
    world_of(1, run, |world| async move {
        world.callflow("2000", node("answer", json!({}))).await;
        let phone = world.phone();
        let call = phone.call("2000");
        let ok = call.connect().await;
        let at = SocketAddr::new(phone.address().ip(), 4000);
        let voice = Voice::speak(&world, at, audio_of(&ok), CALLER);
        tokio::time::sleep(6 * SECOND).await;
        call.hang_up().await;
        drop(voice);
        world.at_rest().await;
        let all = shelved(&world).await;
        let [apart, own] = match all[0].channels {
            2 => [&all[0], &all[1]],
            _ => [&all[1], &all[0]],
        };
        near(apart, 6000);
        near(own, 4000);
        let pcm = sound(&world, own).await;
        assert!(share(&pcm, sample(CALLER)) > 0.9);
        let pcm = sound(&world, apart).await;
        let side = |n: usize| -> Vec<i16> { pcm.iter().skip(n).step_by(2).copied().collect() };
        let (said, heard) = (side(0), side(1));
        assert!((share(&said, sample(CALLER)) - 0.66).abs() < 0.1);
        assert!(
            said[17_600..31_200].iter().all(|s| *s == 0),
            "held back in the middle"
        );
        assert!(
            heard.iter().all(|s| *s == 0),
            "nobody said anything to the caller"
        );
    });
}

#[test]
fn a_script_is_told_how_its_recording_ended_and_a_callback_too() {
    let run = script(|call: CallHandle| async move {
        call.answer().await.unwrap();
        let new = || NewRecording {
            sides: Sides::Peer,
            max: 3 * SECOND,
            finish_on: Keys::parse("#"),
            trim: true,
            notice: Some(Notice {
                url: "http://cb.test/".into(),
                method: "POST".into(),
                events: vec!["completed".into(), "absent".into()],
                ..Notice::default()
            }),
            ..NewRecording::default()
        };
        let spoken = call.record_kept(new(), true).await.unwrap();
        assert_eq!(spoken.why, RecordEnd::MaxLength);
        assert!(
            spoken.url.starts_with("http://pbx.test/v2/accounts/"),
            "{}",
            spoken.url
        );
        call.pause(2 * SECOND).await.unwrap();
        let silent = call.record_kept(new(), false).await.unwrap();
        assert_eq!(
            (silent.why, silent.length),
            (RecordEnd::TooShort, Duration::ZERO)
        );
        call.wait_for_hangup().await;
    });
    world_of(1, run, |world| async move {
        world.callflow("2000", node("answer", json!({}))).await;
        let phone = world.phone();
        let call = phone.call("2000");
        let ok = call.connect().await;
        let at = SocketAddr::new(phone.address().ip(), 4000);
        // The first second of the recording is silent.
        tokio::time::sleep(SECOND + SECOND / 2).await;
        let voice = Voice::speak(&world, at, audio_of(&ok), CALLER);
        tokio::time::sleep(3 * SECOND).await;
        drop(voice);
        tokio::time::sleep(8 * SECOND).await;
        call.hang_up().await;
        world.at_rest().await;
        let all = shelved(&world).await;
        assert_eq!(all.len(), 1, "of silence nothing is kept");
        assert!(
            all[0].duration_ms.abs_diff(2100) < 300,
            "{}",
            all[0].duration_ms
        );
        assert_eq!(files(&world), 1);
        world.web.reply(Reply {
            status: 200,
            content_type: String::new(),
            body: String::new(),
            after: Duration::ZERO,
        });
        work(&world).await;
        let bodies = world.web.asked();
        let told = |n: usize| String::from_utf8_lossy(&bodies[n].body).into_owned();
        assert_eq!(bodies.len(), 2);
        assert!(told(0).contains("RecordingStatus=completed"), "{}", told(0));
        assert!(told(0).contains(&format!("RecordingSid={}", all[0].id)));
        assert!(told(1).contains("RecordingStatus=absent"), "{}", told(1));
    });
}

#[test]
fn what_was_recorded_before_a_crash_is_kept() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("record_call", json!({"action": "start", "label": "cut"})),
            node("sleep", json!({"duration": 60})),
        ]);
        let (_phone, call) = stage.connect(flow).await;
        tokio::time::sleep(10 * SECOND).await;
        assert!(shelved(&stage.world).await.is_empty());
        // The next process looks at what this one has left.
        let swept = stage.world.shelf.sweep().await.unwrap();
        assert_eq!((swept.kept, swept.gone), (1, 0));
        let all = shelved(&stage.world).await;
        assert_eq!(all[0].origin, "callflow : cut");
        assert!(all[0].duration_ms > 8000, "{}", all[0].duration_ms);
        assert_eq!(files(&stage.world), 1);
        call.hang_up().await;
    });
}

#[test]
fn documents_say_which_calls_are_recorded() {
    stage(|stage| async move {
        let on = json!({"enabled": true, "record_on_answer": true});
        let address = "10.0.1.60:5060";
        let device = json!({"name": "callee", "call_recording": {"inbound": {"onnet": on.clone()}, "outbound": {"any": on.clone()}},
            "sip": {"invite_format": "route", "route": format!("sip:callee@{address}")}});
        let callee = stage.world.phone_at(address);
        let id = stage.world.put(Kind::Device, device).await;
        let account = json!({"name": "world", "realm": "world.test",
            "call_recording": {"account": {"any": {"onnet": on}}}});
        let directory = &stage.world.directory;
        directory
            .put(Kind::Account, ACCOUNT, ACCOUNT, account)
            .await
            .unwrap();
        let flow = node("device", json!({"id": id}));
        let (call, incoming, voices) = talking(&stage, flow, &callee).await;
        tokio::time::sleep(3 * SECOND).await;
        call.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        drop(voices);
        stage.world.at_rest().await;
        let mut all = shelved(&stage.world).await;
        all.sort_by(|a, b| a.origin.cmp(&b.origin));
        let origins: Vec<_> = all.iter().map(|r| r.origin.as_str()).collect();
        assert_eq!(
            origins,
            [
                "inbound from onnet to account",
                "inbound from onnet to endpoint"
            ]
        );
        assert_eq!(all[0].call_id, call.call_id);
        assert_ne!(all[1].call_id, call.call_id);
        for recording in &all {
            near(recording, 3000);
        }
    });
}

#[test]
fn a_call_that_is_up_is_recorded_masked_and_left_alone_from_outside() {
    stage(|stage| async move {
        let flow = chain(vec![
            node("answer", json!({})),
            node("sleep", json!({"duration": 60})),
        ]);
        let (phone, call) = stage.dial(flow).await;
        let ok = call.answered(SECOND).await;
        call.ack("");
        let at = SocketAddr::new(phone.address().ip(), 4000);
        let voice = Voice::speak(&stage.world, at, audio_of(&ok), CALLER);
        let core = &stage.world.core;
        let order = |order| core.record(ACCOUNT, &call.call_id, order);
        let new =
            || NewRecording::from_settings(&json!({"time_limit": 60}), "metaflow", "metaflow");
        assert!(!core.record(ACCOUNT, "unknown", RecordOrder::Stop));
        assert!(order(RecordOrder::Stop), "nothing to stop is no error");
        assert!(order(RecordOrder::Toggle(new())));
        tokio::time::sleep(2 * SECOND).await;
        assert!(order(RecordOrder::Mask));
        tokio::time::sleep(2 * SECOND).await;
        assert!(order(RecordOrder::Unmask));
        tokio::time::sleep(2 * SECOND).await;
        assert!(order(RecordOrder::Toggle(new())));
        tokio::time::sleep(2 * SECOND).await;
        call.hang_up().await;
        drop(voice);
        stage.world.at_rest().await;
        let all = shelved(&stage.world).await;
        assert_eq!(all.len(), 1);
        near(&all[0], 6000);
        let pcm = sound(&stage.world, &all[0]).await;
        assert!((share(&pcm, sample(CALLER)) - 0.66).abs() < 0.1);
        assert!(
            pcm[17_600..31_200].iter().all(|s| *s == 0),
            "masked in the middle"
        );
    });
}
