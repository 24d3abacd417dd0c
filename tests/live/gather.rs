//! How fast a Gather is: a key stops the prompt, and what the application answers is heard.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::json;
use swivel::app::serve::{self, Options};
use swivel::audio::Codec;

use super::audio::Sound;
use super::media_streams::{Caller, House};
use super::peer::soak;

/// What is heard of the even prompts and of the odd ones, in µ-law.
const SOUNDS: [u8; 2] = [0x33, 0x35];
/// As many as one call may ask for within its limit.
const TURNS: usize = 40;

/// An application that answers each key with the other prompt, and notes when it did.
async fn application(replies: Arc<Mutex<Vec<f64>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let turn = move || {
        let mut replies = replies.lock().unwrap();
        let n = replies.len() % 2;
        replies.push(now());
        let document = format!(
            "<Response><Gather numDigits=\"1\" timeout=\"20\" action=\"turn\"><Play>{n}.wav</Play></Gather></Response>"
        );
        std::future::ready(([(CONTENT_TYPE, "text/xml")], document))
    };
    let sound = |n: usize| {
        let mut pcm = Vec::new();
        Codec::Pcmu.decode(&[SOUNDS[n]], &mut pcm);
        let pcm = vec![pcm[0]; 8000 * 10];
        let mut bytes = swivel::audio::wav::header(8000, 1, 2 * pcm.len() as u64).to_vec();
        swivel::audio::wav::samples(&pcm, &mut bytes);
        get(move || std::future::ready(([(CONTENT_TYPE, "audio/wav")], bytes.clone())))
    };
    let router = Router::new()
        .route("/turn", get(turn))
        .route("/0.wav", sound(0))
        .route("/1.wav", sound(1));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs_f64()
}

/// Presses a key as an RFC 4733 event of 60 ms; when its first packet went.
fn press(caller: &Caller, number: &mut u16, stamp: u32) -> f64 {
    let first = now();
    for n in 1..=6_u16 {
        let (marker, end) = (if n == 1 { 0x80 } else { 0 }, if n > 3 { 0x80 } else { 0 });
        let mut packet = vec![0x80, 101 | marker];
        packet.extend(number.to_be_bytes());
        packet.extend(stamp.to_be_bytes());
        packet.extend([7; 4]);
        packet.extend([5, 10 | end]);
        packet.extend((160 * n.min(3)).to_be_bytes());
        caller.line.send(&packet).unwrap();
        *number += 1;
        if n < 3 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    first
}

/// One call of [`TURNS`] keys: for how many ms each prompt was heard after its key, and after how many the next one was
/// heard since the application answered.
fn measure(house: &House, replies: &Mutex<Vec<f64>>) -> (Vec<f64>, Vec<f64>) {
    replies.lock().unwrap().clear();
    let caller = Caller::call(house.sip, Sound(Vec::new()));
    let (mut keys, mut number) = (Vec::new(), 1);
    // The clips are fetched once.
    std::thread::sleep(Duration::from_secs(2));
    for n in 0..TURNS {
        keys.push(press(&caller, &mut number, 16_000 + 8_000 * n as u32));
        std::thread::sleep(Duration::from_millis(if n == 0 { 2_000 } else { 250 }));
    }
    assert_eq!(caller.placed.hang_up(&caller.peer), 200);
    let heard = caller.stop();
    let replies = replies.lock().unwrap().clone();
    assert_eq!(replies.len(), TURNS + 1, "each key is asked about");
    let (mut stopped, mut began) = (Vec::new(), Vec::new());
    for n in 1..TURNS {
        let from = keys[n];
        let until = keys.get(n + 1).copied().unwrap_or(f64::MAX);
        let of = |sound: u8| {
            let all = heard.iter();
            all.filter(move |(at, payload)| (from..until).contains(at) && payload.contains(&sound))
        };
        let last = of(SOUNDS[n % 2]).next_back();
        stopped.push(last.map_or(0.0, |(at, _)| (at - keys[n]) * 1000.0));
        let first = of(SOUNDS[(n + 1) % 2]).next();
        let (at, _) = first.unwrap_or_else(|| panic!("prompt {n} was not heard"));
        began.push((at - replies[n + 1]) * 1000.0);
    }
    (stopped, began)
}

/// The middle, and the one that a hundredth exceeds.
fn shares(all: &mut [f64]) -> (f64, f64) {
    all.sort_by(f64::total_cmp);
    (
        all[all.len() / 2],
        all[(all.len() * 99 / 100).min(all.len() - 1)],
    )
}

#[test]
fn a_key_stops_the_prompt_and_the_answer_is_heard_at_once() {
    let runtime = serve::runtime().unwrap();
    let replies = Arc::new(Mutex::new(Vec::new()));
    let url = runtime.block_on(application(Arc::clone(&replies)));
    let flow = json!({"module": "pivot", "data": {"voice_url": format!("{url}/turn")}});
    let house = House::running(runtime, Options::default(), &flow);
    let calls = if soak() { 6 } else { 1 };
    let (mut stopped, mut began) = (Vec::new(), Vec::new());
    for _ in 0..calls {
        let (more, first) = measure(&house, &replies);
        stopped.extend(more);
        began.extend(first);
    }
    let (count, stopped, began) = (stopped.len(), shares(&mut stopped), shares(&mut began));
    println!(
        "{count} keys: the prompt stopped after {:.0} ms, p99 {:.0}; the answer was heard after {:.0} ms, p99 {:.0}",
        stopped.0, stopped.1, began.0, began.1
    );
    // The middle one, because the machine may be busy with other tests.
    assert!(stopped.0 <= 40.0, "{stopped:?}");
    assert!(began.0 <= 150.0, "{began:?}");
    house.end();
}
