//! Keys pressed during a call, by each of the three ways, from the phone's packets to what the call makes of them.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use swivel::audio::Codec;
use swivel::base::rng::Rng;
use swivel::call::CallHandle;
use swivel::journal::Fact;
use swivel::media::sim::SimLink;
use swivel::rtp::event::{Event, EventSlot};
use swivel::rtp::{EventSender, Header, RtpSender};

use super::world::phone::PhoneCall;
use super::world::{World, script, world_of};

const SECOND: Duration = Duration::from_secs(1);
const KEYPAD: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];
/// Packets of the telephone are that long.
const PTIME: Duration = Duration::from_millis(20);

fn random_keys(rng: &mut Rng, count: usize) -> String {
    (0..count).map(|_| KEYPAD[rng.below(16) as usize]).collect()
}

/// The keys the call was told of, in order.
fn heard(world: &World) -> String {
    let facts = world.facts.borrow();
    let digits = facts.iter().filter_map(|fact| match fact.as_ref() {
        Fact::Digit { digit, .. } => Some(*digit),
        _ => None,
    });
    digits.collect()
}

/// The sound of a telephone: one RTP stream towards the port of an answered call.
struct Microphone<'a> {
    world: &'a World,
    from: SocketAddr,
    to: SocketAddr,
    sender: RtpSender,
}

impl<'a> Microphone<'a> {
    fn of(world: &'a World, answer: &str) -> Self {
        let port = answer.split("m=audio ").nth(1).unwrap();
        let port = port.split(' ').next().unwrap().parse().unwrap();
        Self {
            world,
            from: "10.0.1.1:4000".parse().unwrap(),
            to: SocketAddr::new(world.net.swivel().ip(), port),
            sender: RtpSender::new(&mut Rng::seeded(7)),
        }
    }

    /// Sends one packet and waits for the moment of the next.
    async fn send(&mut self, header: Option<Header>, payload: &[u8]) {
        if let Some(header) = header {
            let mut packet = header.bytes().to_vec();
            packet.extend_from_slice(payload);
            self.world
                .rtp
                .borrow_mut()
                .post(self.from, self.to, &packet);
        }
        self.sender.advance(160);
        tokio::time::sleep(PTIME).await;
    }

    /// 20 ms of sound.
    async fn sound(&mut self, pcm: &[i16]) {
        let mut payload = Vec::new();
        Codec::Pcmu.encode(pcm, &mut payload);
        let header = self.sender.audio(0, payload.len());
        self.send(Some(header), &payload).await;
    }
}

/// Runs `keys` in an answered call of a phone that offers `sdp`; returns what the call heard.
fn call_with<F>(seed: u64, offer: Option<&'static str>, keys: F) -> String
where
    F: AsyncFnOnce(&World, &PhoneCall, &str),
{
    let run = script(|call: CallHandle| async move {
        call.answer().await.unwrap();
        call.wait_for_hangup().await;
    });
    let mut result = String::new();
    let out = &mut result;
    world_of(seed, run, |world| async move {
        world
            .callflow("2000", json!({"module": "answer", "data": {}}))
            .await;
        let phone = world.phone();
        let call = match offer {
            Some(sdp) => phone.call_with("2000", sdp),
            None => phone.call("2000"),
        };
        let answer = call.connect().await;
        keys(&world, &call, &answer).await;
        tokio::time::sleep(SECOND).await;
        *out = heard(&world);
        call.hang_up().await;
        world.at_rest().await;
    });
    result
}

#[test]
fn a_thousand_telephone_events_survive_ten_percent_loss() {
    for seed in 0..3 {
        let dialled = random_keys(&mut Rng::seeded(seed), 1000);
        let typed = dialled.clone();
        let heard = call_with(seed, None, async move |world, _, answer| {
            world.rtp.borrow_mut().set_link(SimLink {
                loss: 0.10,
                ..SimLink::default()
            });
            let mut microphone = Microphone::of(world, answer);
            let mut events = EventSender::new(8000);
            let silence = [0_i16; 160];
            for key in typed.chars() {
                events.push(Event::from_digit(key).unwrap(), 100, 60);
                while !events.is_idle() {
                    match events.slot(microphone.sender.timestamp(), 20) {
                        EventSlot::Packet {
                            marker,
                            timestamp,
                            payload,
                        } => {
                            let header = microphone.sender.header(marker, 101, timestamp, 4);
                            microphone.send(Some(header), &payload).await;
                        }
                        EventSlot::Pause => microphone.send(None, &[]).await,
                        EventSlot::Audio => microphone.sound(&silence).await,
                    }
                }
            }
        });
        // Every key heard was dialled, in order: none twice, none invented.
        let mut rest = dialled.chars();
        let right = heard
            .chars()
            .take_while(|key| rest.any(|d| d == *key))
            .count();
        assert_eq!(right, heard.len(), "seed {seed}: a key too many");
        assert!(right >= 999, "seed {seed}: {right} of 1000");
    }
}

#[test]
fn two_hundred_info_keys_arrive() {
    let dialled = random_keys(&mut Rng::seeded(1), 200);
    let typed = dialled.clone();
    let heard = call_with(1, None, async move |_, call, _| {
        for key in typed.chars() {
            call.send(
                "INFO",
                "Content-Type: application/dtmf-relay\r\n",
                &format!("Signal={key}\r\nDuration=160\r\n"),
            );
            call.expect(200, SECOND).await;
            tokio::time::sleep(SECOND / 10).await;
        }
    });
    assert_eq!(heard, dialled);
}

#[test]
fn two_hundred_keys_are_found_in_the_sound_of_a_phone_without_events() {
    let offer = "v=0\r\no=phone 1 1 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 0\r\n";
    let dialled = random_keys(&mut Rng::seeded(2), 200);
    let typed = dialled.clone();
    let heard = call_with(2, Some(offer), async move |world, _, answer| {
        let mut microphone = Microphone::of(world, answer);
        let mut sound = Vec::new();
        for key in typed.chars() {
            let (low, high) = swivel::audio::dtmf::frequencies(key).unwrap();
            sound.extend((0..800).map(|n| {
                let wave =
                    |hz: f32| (std::f64::consts::TAU * f64::from(hz) * f64::from(n) / 8000.0).sin();
                (6000.0 * (wave(low) + wave(high))) as i16
            }));
            sound.extend([0; 800]);
        }
        for frame in sound.chunks(160) {
            microphone.sound(frame).await;
        }
    });
    assert_eq!(heard, dialled);
}
