//! Media Streams (`pivot.md` §8.5): what a server gets, and what the caller hears of it.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use swivel::base::secret::Secret;
use swivel::call::{CallHandle, StreamEnd, StreamError, StreamNews, StreamOptions};
use swivel::directory::Kind;
use swivel::twilio::{Tracks, signature};
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::world::phone::PhoneCall;
use crate::world::rtp::{Ears, Voice, audio_of};
use crate::world::{ACCOUNT, World, script, world_of};

const URL: &str = "wss://bot.test/media";
const SECOND: Duration = Duration::from_secs(1);

/// The server's side of a stream.
struct Server(WebSocketStream<DuplexStream>);

impl Server {
    async fn of(world: &World) -> Self {
        let socket = world.web.socket().await;
        Self(WebSocketStream::from_raw_socket(socket, Role::Server, None).await)
    }

    /// The next message; `None` once the stream is closed.
    async fn next(&mut self) -> Option<Value> {
        match self.0.next().await? {
            Ok(Message::Text(text)) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        }
    }

    /// The next message of that event; others are passed over.
    async fn event(&mut self, event: &str) -> Value {
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("no {event}"));
            if message["event"] == event {
                return message;
            }
        }
    }

    async fn send(&mut self, message: Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// Has `ms` of a byte played.
    async fn say(&mut self, speaker: u8, ms: usize) {
        let payload = STANDARD.encode(vec![speaker; ms * 8]);
        self.send(json!({"event": "media", "media": {"payload": payload}}))
            .await;
    }

    async fn mark(&mut self, name: &str) {
        self.send(json!({"event": "mark", "mark": {"name": name}}))
            .await;
    }
}

fn sound(message: &Value) -> Vec<u8> {
    STANDARD
        .decode(message["media"]["payload"].as_str().unwrap())
        .unwrap()
}

/// How the streams of a world ended, as the script saw it.
type Ends = Rc<RefCell<Vec<String>>>;

/// Calls that are answered and connected with the server; the script notes how that ended and hangs up.
fn streaming<F: Future<Output = ()>>(
    options: StreamOptions,
    test: impl FnOnce(World, PhoneCall, Ends) -> F,
) {
    let ends = Ends::default();
    let noted = ends.clone();
    let run = move |call: CallHandle| {
        let (options, noted) = (options.clone(), noted.clone());
        async move {
            if call.answer().await.is_err() {
                return;
            }
            let end = match call.stream(options).await {
                Ok(StreamEnd::Closed) => "closed".to_owned(),
                Ok(StreamEnd::Failed(why)) => format!("failed: {why}"),
                Err(error) => error.to_string(),
            };
            noted.borrow_mut().push(end);
        }
    };
    world_of(7, script(run), |world| async move {
        world
            .callflow("600", json!({"module": "sleep", "data": {}}))
            .await;
        let call = world.phone().call("600");
        test(world, call, ends).await;
    });
}

fn options() -> StreamOptions {
    StreamOptions::to(URL).unwrap()
}

#[test]
fn a_server_gets_the_callers_voice_and_its_close_ends_the_stream() {
    let options = StreamOptions {
        parameters: vec![("room".into(), "7".into())],
        name: Some("bot".into()),
        ..options()
    };
    streaming(options, |world, call, ends| async move {
        let answer = call.connect().await;
        let voice = Voice::speak(&world, audio_of(&offered()), audio_of(&answer), 0x55);
        let mut server = Server::of(&world).await;
        let connected = server.next().await.unwrap();
        assert_eq!(
            connected,
            json!({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        );
        let start = server.next().await.unwrap();
        assert_eq!(start["sequenceNumber"], "1");
        assert_eq!(start["start"]["callSid"], call.call_id);
        assert_eq!(start["start"]["accountSid"], ACCOUNT);
        assert_eq!(start["start"]["tracks"], json!(["inbound"]));
        assert_eq!(start["start"]["customParameters"], json!({"room": "7"}));
        let mut heard = 0;
        for n in 0..100 {
            let media = server.next().await.unwrap();
            assert_eq!(media["sequenceNumber"], (n + 2).to_string());
            assert_eq!(media["streamSid"], start["streamSid"]);
            let about = &media["media"];
            assert_eq!(about["chunk"], (n + 1).to_string());
            assert_eq!(about["timestamp"], (n * 20).to_string());
            assert_eq!(about["track"], "inbound");
            assert_eq!(sound(&media).len(), 160);
            heard += usize::from(sound(&media).iter().all(|b| *b == 0x55));
        }
        assert!(heard > 90, "{heard} of 100 frames are the caller's voice");
        server.0.close(None).await.unwrap();
        call.wait_for_bye(SECOND).await;
        assert_eq!(*ends.borrow(), ["closed"]);
        drop(voice);
        world.at_rest().await;
    });
}

#[test]
fn marks_come_back_in_order_when_the_sound_before_them_was_played() {
    streaming(options(), |world, call, _| async move {
        call.connect().await;
        let ears = Ears::of(&world);
        let mut server = Server::of(&world).await;
        server.event("start").await;
        server.mark("at once").await;
        let begun = Instant::now();
        assert_eq!(server.event("mark").await["mark"]["name"], "at once");
        assert!(begun.elapsed() < Duration::from_millis(40));
        server.say(0x33, 1000).await;
        server.mark("one").await;
        server.say(0x44, 500).await;
        server.mark("two").await;
        let begun = Instant::now();
        for (name, due) in [("one", 1000), ("two", 1500)] {
            assert_eq!(server.event("mark").await["mark"]["name"], name);
            let after = begun.elapsed().as_millis();
            assert!(
                (due - 20..due + 80).contains(&after),
                "{name} after {after} ms"
            );
        }
        let heard = ears.take("10.0.1.1:4000".parse().unwrap());
        let of = |speaker: u8| {
            heard
                .iter()
                .flat_map(|h| &h.payload)
                .filter(|b| **b == speaker)
                .count()
        };
        assert_eq!(
            (of(0x33), of(0x44)),
            (8000, 4000),
            "every sample is heard once"
        );
        call.hang_up().await;
        world.at_rest().await;
    });
}

#[test]
fn a_clear_silences_the_caller_within_60_ms_and_returns_the_marks() {
    streaming(options(), |world, call, _| async move {
        call.connect().await;
        let ears = Ears::of(&world);
        let mut server = Server::of(&world).await;
        server.event("start").await;
        for _ in 0..20 {
            server.say(0x33, 1000).await;
        }
        server.mark("one").await;
        server.mark("two").await;
        tokio::time::sleep(SECOND).await;
        let phone = "10.0.1.1:4000".parse().unwrap();
        assert!(ears.count(phone, 0x33) > 40);
        server.send(json!({"event": "clear"})).await;
        let begun = Instant::now();
        for name in ["one", "two"] {
            assert_eq!(server.event("mark").await["mark"]["name"], name);
        }
        assert!(begun.elapsed() < Duration::from_millis(40));
        tokio::time::sleep(SECOND - begun.elapsed()).await;
        let late = ears
            .take(phone)
            .into_iter()
            .filter(|heard| heard.at - begun > Duration::from_millis(60))
            .filter(|heard| heard.payload.contains(&0x33))
            .count();
        assert_eq!(late, 0, "packets with old sound 60 ms after the clear");
        server.say(0x44, 200).await;
        server.mark("three").await;
        assert_eq!(server.event("mark").await["mark"]["name"], "three");
        assert!(ears.count(phone, 0x44) >= 9, "what follows is heard");
        call.hang_up().await;
        world.at_rest().await;
    });
}

#[test]
fn keys_reach_the_server_and_a_hang_up_stops_the_stream() {
    streaming(options(), |world, call, ends| async move {
        call.connect().await;
        let mut server = Server::of(&world).await;
        server.event("start").await;
        for key in ["5", "#"] {
            call.send(
                "INFO",
                "Content-Type: application/dtmf-relay\r\n",
                &format!("Signal={key}\r\nDuration=160\r\n"),
            );
            let dtmf = server.event("dtmf").await;
            assert_eq!(
                dtmf["dtmf"],
                json!({"track": "inbound_track", "digit": key})
            );
        }
        call.send("BYE", "", "");
        let stop = server.event("stop").await;
        assert_eq!(stop["stop"]["callSid"], call.call_id);
        assert_eq!(server.next().await, None, "the socket is closed");
        assert_eq!(*ends.borrow(), ["the call has ended: NORMAL_CLEARING"]);
        world.at_rest().await;
    });
}

#[test]
fn what_a_server_says_wrong_is_ignored_and_told() {
    streaming(options(), |world, call, _| async move {
        call.connect().await;
        let mut server = Server::of(&world).await;
        server.event("start").await;
        server.send(json!("nonsense")).await;
        server
            .send(json!({"event": "clear", "streamSid": "MZother"}))
            .await;
        server.mark("still here").await;
        server.event("mark").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let notes: Vec<String> = remarks(&world);
        assert_eq!(
            notes,
            [
                "a message was ignored: the message is no JSON object with a text `event`",
                "a message was ignored: streamSid is not the one of this stream"
            ]
        );
        call.hang_up().await;
        world.at_rest().await;
    });
}

/// What the trace says of streams.
fn remarks(world: &World) -> Vec<String> {
    let facts = world.facts.borrow();
    facts
        .iter()
        .filter_map(|fact| match fact.as_ref() {
            swivel::journal::Fact::Hook {
                step: "remark",
                note,
                ..
            } => Some(note.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_file_is_played_at_its_mark_as_kazoo_does() {
    streaming(options(), |world, call, _| async move {
        call.connect().await;
        let ears = Ears::of(&world);
        let mut server = Server::of(&world).await;
        server.event("start").await;
        // 400 ms of a steady level that is a code of its own in µ-law.
        let mut file = swivel::audio::wav::header(8000, 1, 6400).to_vec();
        swivel::audio::wav::samples(&[1052; 3200], &mut file);
        for part in file.chunks(2500) {
            let format = json!({"encoding": "audio/wav"});
            let media = json!({"payload": STANDARD.encode(part), "format": format});
            server.send(json!({"event": "media", "media": media})).await;
        }
        tokio::time::sleep(SECOND).await;
        let phone = "10.0.1.1:4000".parse().unwrap();
        let code = code_of(1052);
        assert_eq!(
            ears.count(phone, code),
            0,
            "nothing is heard before the mark"
        );
        server.mark("greeting").await;
        let begun = Instant::now();
        assert_eq!(server.event("mark").await["mark"]["name"], "greeting");
        assert!(begun.elapsed() >= Duration::from_millis(380));
        assert!(ears.count(phone, code) >= 19);
        call.hang_up().await;
        world.at_rest().await;
    });
}

#[test]
fn a_server_that_refuses_is_told_and_the_script_goes_on() {
    let news: Rc<RefCell<Vec<StreamNews>>> = Rc::default();
    let told = news.clone();
    let options = StreamOptions {
        events: Some(Rc::new(move |event| {
            assert!(event.sid.starts_with("MZ") && event.sid.len() == 34);
            told.borrow_mut().push(event.what.clone());
        })),
        ..options()
    };
    streaming(options, |world, call, ends| async move {
        world.web.refuse_sockets(403);
        call.connect().await;
        call.wait_for_bye(SECOND).await;
        let why = "the server answered HTTP 403 instead of 101";
        assert_eq!(*ends.borrow(), [format!("failed: {why}")]);
        assert_eq!(*news.borrow(), [StreamNews::Failed(why.into())]);
        assert_eq!(StreamNews::Failed(String::new()).word(), "stream-error");
        world.at_rest().await;
    });
}

#[test]
fn the_handshake_is_signed_when_the_account_has_a_token() {
    streaming(options(), |world, call, _| async move {
        let account = json!({"name": "world", "realm": "world.test", "pvt_auth_token": "12345"});
        world
            .directory
            .put(Kind::Account, ACCOUNT, ACCOUNT, account)
            .await
            .unwrap();
        call.connect().await;
        let mut server = Server::of(&world).await;
        server.event("start").await;
        let asked = world.web.asked();
        let sent = &asked[0];
        assert_eq!(sent.url.as_str(), "https://bot.test/media");
        let value = |name: &str| {
            let found = sent.headers.iter().find(|(n, _)| n == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let url = URL.parse().unwrap();
        let wanted = signature::sign_handshake(&Secret::new("12345"), &url);
        assert_eq!(value("X-Twilio-Signature"), wanted);
        assert_eq!(value("Upgrade"), "websocket");
        call.hang_up().await;
        world.at_rest().await;
    });
}

#[test]
fn a_server_that_reads_nothing_delays_nobody() {
    streaming(options(), |world, call, ends| async move {
        world.web.narrow_sockets(20_000);
        call.connect().await;
        let ears = Ears::of(&world);
        let server = Server::of(&world).await;
        tokio::time::sleep(8 * SECOND).await;
        let phone = "10.0.1.1:4000".parse().unwrap();
        let heard = ears.take(phone).len();
        assert!((390..=402).contains(&heard), "{heard} packets in 8 s");
        assert!(ends.borrow().is_empty());
        tokio::time::sleep(8 * SECOND).await;
        call.wait_for_bye(SECOND).await;
        assert_eq!(
            *ends.borrow(),
            ["failed: the server takes nothing any more"]
        );
        let lost = remarks(&world);
        assert!(
            lost.iter()
                .any(|text| text.ends_with("messages the server did not take in time")),
            "{lost:?}"
        );
        drop(server);
        world.at_rest().await;
    });
}

#[test]
fn a_unidirectional_stream_goes_on_beside_the_script() {
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let told = seen.clone();
    let run = move |call: CallHandle| {
        let told = told.clone();
        async move {
            call.answer().await.unwrap();
            let events = {
                let told = told.clone();
                move |event: &swivel::call::StreamEvent| {
                    told.borrow_mut().push(event.what.word().to_owned())
                }
            };
            let options = StreamOptions {
                name: Some("ear".into()),
                tracks: Tracks::Both,
                events: Some(Rc::new(events)),
                ..options()
            };
            call.start_stream(options.clone()).unwrap();
            let again = call.start_stream(options.clone()).unwrap_err();
            assert_eq!(again, StreamError::Name { name: "ear".into() });
            let other = StreamOptions {
                name: None,
                ..options
            };
            call.start_stream(other.clone()).unwrap();
            assert_eq!(call.start_stream(other), Err(StreamError::TooMany));
            // What the caller hears meanwhile is the outbound track.
            let tone = swivel::audio::Clip::new(8000, vec![1052; 8000]);
            let audio = vec![swivel::clips::Audio::Clip(tone.into())];
            call.play(audio, swivel::call::PlayOptions::default())
                .await
                .unwrap();
            assert_eq!(call.stop_stream(Some("nobody")), 0);
            assert_eq!(call.stop_stream(Some("ear")), 1);
            call.pause(SECOND).await.unwrap();
            assert_eq!(call.stop_stream(None), 1);
            call.pause(SECOND).await.unwrap();
        }
    };
    world_of(3, script(run), |world| async move {
        world
            .callflow("600", json!({"module": "sleep", "data": {}}))
            .await;
        let call = world.phone().call("600");
        let answer = call.connect().await;
        let voice = Voice::speak(&world, audio_of(&offered()), audio_of(&answer), 0x55);
        let mut first = Server::of(&world).await;
        let mut second = Server::of(&world).await;
        let start = first.event("start").await;
        assert_eq!(start["start"]["tracks"], json!(["inbound", "outbound"]));
        assert_eq!(start["start"]["streamName"], "ear");
        let (mut inbound, mut outbound) = (0, 0);
        let stopped = loop {
            let message = first.next().await.unwrap();
            if message["event"] == "stop" {
                break message;
            }
            let full = |code: u8| {
                usize::from(sound(&message).iter().filter(|b| **b == code).count() > 100)
            };
            match message["media"]["track"].as_str().unwrap() {
                "inbound" => inbound += full(0x55),
                _ => outbound += full(code_of(1052)),
            }
        };
        assert_eq!(stopped["event"], "stop");
        assert!(inbound > 40 && outbound > 40, "{inbound}, {outbound}");
        assert_eq!(first.next().await, None);
        second.event("stop").await;
        call.wait_for_bye(3 * SECOND).await;
        let mut all = seen.borrow().clone();
        all.sort();
        assert_eq!(
            all,
            [
                "stream-started",
                "stream-started",
                "stream-stopped",
                "stream-stopped"
            ]
        );
        drop(voice);
        world.at_rest().await;
    });
}

/// The µ-law of a sample.
fn code_of(sample: i16) -> u8 {
    let mut mulaw = Vec::new();
    swivel::audio::Codec::Pcmu.encode(&[sample], &mut mulaw);
    mulaw[0]
}

/// What the first telephone offers.
fn offered() -> String {
    "c=IN IP4 10.0.1.1\nm=audio 4000 RTP/AVP 0\n".to_owned()
}
