//! How quick a Gather is, on the clock of the simulation: a key stops the prompt, and what the application answers is
//! heard (row 4 of what TwiML must show).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::twilio;
use crate::flow::{SECOND, stage};
use crate::world::World;
use crate::world::rtp::Ears;
use crate::world::web::Reply;

/// Keys of one call: it may ask 50 times.
const KEYS: usize = 40;
/// How long the application thinks, so that there is silence between two prompts.
const THINKS: Duration = Duration::from_millis(200);

/// Sends one packet of an RFC 4733 event, the key 5.
fn packet(world: &World, to: SocketAddr, number: u16, stamp: u32, n: u16) {
    let (marker, end) = (if n == 0 { 0x80 } else { 0 }, if n > 2 { 0x80 } else { 0 });
    let mut bytes = vec![0x80, 101 | marker];
    bytes.extend((number + n).to_be_bytes());
    bytes.extend(stamp.to_be_bytes());
    bytes.extend([7; 4]);
    bytes.extend([5, 10 | end]);
    bytes.extend((160 * (n + 1).min(3)).to_be_bytes());
    let from = "10.0.1.1:4000".parse().unwrap();
    world.rtp.borrow_mut().post(from, to, &bytes);
}

/// One call with its keys `offset` later than a whole number of packets: for how long each prompt was heard after its
/// key, and how long after its reply each next one began.
fn measure(offset: Duration) -> (Vec<Duration>, Vec<Duration>) {
    let mut result = (Vec::new(), Vec::new());
    let (stopped, began) = &mut result;
    stage(|stage| async move {
        let gather = |text: &str| {
            let long = text.repeat(20);
            format!("<Gather numDigits=\"1\" action=\"/next\"><Say>{long}</Say></Gather>")
        };
        for n in 0..=KEYS {
            let text = ["Ten chars. ", "As others. "][n % 2];
            stage.world.web.reply(Reply {
                status: 200,
                content_type: "text/xml".into(),
                body: format!("<Response>{}</Response>", gather(text)),
                after: if n == 0 { Duration::ZERO } else { THINKS },
            });
        }
        let (_phone, call, to) = stage.connected(twilio()).await;
        let ears = Ears::of(&stage.world);
        tokio::time::sleep(SECOND + offset).await;
        for n in 0..KEYS {
            let phone = "10.0.1.1:4000".parse().unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(!ears.take(phone).is_empty(), "the prompt before key {n}");
            let pressed = Instant::now();
            for part in 0..6 {
                packet(
                    &stage.world,
                    to,
                    1 + 6 * n as u16,
                    16_000 + 8_000 * n as u32,
                    part,
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(THINKS + Duration::from_millis(300)).await;
            let replied = pressed + THINKS;
            let heard = ears.take(phone);
            let last = heard.iter().rfind(|packet| packet.at < replied);
            stopped.push(last.map_or(Duration::ZERO, |packet| packet.at - pressed));
            let first = heard.iter().find(|packet| packet.at >= replied);
            let first = first.unwrap_or_else(|| panic!("nothing was heard after key {n}"));
            // The clips are made once.
            if n > 1 {
                began.push(first.at - replied);
            }
        }
        assert_eq!(stage.asked().len(), KEYS + 1, "each key is asked about");
        call.hang_up().await;
        stage.world.at_rest().await;
    });
    result
}

#[test]
fn a_key_stops_the_prompt_within_40_ms_and_the_answer_is_heard_within_150() {
    let (mut stopped, mut began) = (Vec::new(), Vec::new());
    for phase in 0..5 {
        let (stops, begins) = measure(Duration::from_millis(4 * phase));
        stopped.extend(stops);
        began.extend(begins);
    }
    let most = |all: &[Duration]| all.iter().max().copied().unwrap();
    println!(
        "{} keys: stopped after {:?} at most, heard after {:?} at most",
        stopped.len(),
        most(&stopped),
        most(&began)
    );
    assert_eq!(stopped.len(), 200);
    assert!(most(&stopped) <= Duration::from_millis(40));
    assert!(most(&began) <= Duration::from_millis(150));
}
