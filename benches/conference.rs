//! What one member of a conference costs in a period of 20 ms, against the codec alone.
//!
//! A room of the engine, one worker, real sockets: every member sends 20 ms every 20 ms, some of them speech-like sound,
//! the others silence, and is sent as much. CPU is that of the engine's threads. Beside it, in the same run:
//!
//! - *transport*: as many ports of PCMU, each playing a clip to its peer and hearing it, without a room: sockets, pacing
//!   and packets, without decoding and encoding.
//! - *codec*: one decoding and one encoding for each member in each period, in a bare loop.
//!
//! The ratio is that of the room to both together: what it would cost to decode and encode for each member alone.
//!
//! `cargo bench --bench conference -- [--members 100] [--speakers 0,3,16] [--seconds 5] [--rounds 3]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    unsafe_code,
    reason = "a program for people at a terminal; the machine's parts speak to the kernel"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures real time on threads of its own"
)]

#[expect(
    dead_code,
    reason = "time stamps and floors are for the other benchmarks"
)]
mod machine;

use std::hint::black_box;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use machine::{LOCAL, agreed, configure, cpu_of, median, thread_cpu};
use swivel::audio::{Clip, Codec};
use swivel::base::id::OpId;
use swivel::media::{Command, Media, MediaConfig, Port, Seating, Source};

fn main() {
    let arguments: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    let value = |name: &str, usual: &str| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1).cloned())
            .unwrap_or_else(|| usual.to_owned())
    };
    let number = |name: &str, usual: &str| -> usize {
        value(name, usual)
            .parse()
            .expect("a number after each option")
    };
    let members = number("--members", "100");
    let (seconds, rounds) = (number("--seconds", "5"), number("--rounds", "3"));
    let length = Duration::from_secs(seconds as u64);
    println!(
        "load of the machine before: {}",
        std::fs::read_to_string("/proc/loadavg").unwrap().trim()
    );
    println!("{members} members; µs of CPU a member a period of 20 ms");
    println!("codec | speakers | transport | codec | room | room / (transport + codec)");
    for codec in [Codec::Pcmu, Codec::G722, Codec::Opus] {
        for speakers in value("--speakers", "0,3,16").split(',') {
            let speakers: usize = speakers.parse().expect("--speakers takes numbers");
            let mut results = Vec::new();
            for _ in 0..rounds {
                let (transport, _) = engine(Codec::Pcmu, members, 0, length, false);
                let (room, heard) = engine(codec, members, speakers, length, true);
                assert!(heard > 0, "nobody heard anything");
                results.push((transport, alone(codec), room));
            }
            let of = |f: &dyn Fn(&(f64, f64, f64)) -> f64| median(results.iter().map(f));
            let (transport, alone, room) = (of(&|r| r.0), of(&|r| r.1), of(&|r| r.2));
            println!(
                "{:5} | {speakers:8} | {transport:9.2} | {alone:5.2} | {room:6.2} | {:.2}",
                codec.name(),
                room / (transport + alone),
            );
        }
    }
}

/// Twenty seconds of something like speech: a tone that swells and changes.
fn speech(rate_hz: u32) -> Vec<i16> {
    let mut phase = 0.0_f64;
    (0..rate_hz * 20)
        .map(|n| {
            let t = f64::from(n) / f64::from(rate_hz);
            phase += (300.0 + 200.0 * (t * 3.0).sin()) * std::f64::consts::TAU / f64::from(rate_hz);
            (phase.sin() * 7000.0 * (0.6 + 0.4 * (t * 9.0).sin())) as i16
        })
        .collect()
}

/// One decoding and one encoding of 20 ms, in microseconds.
fn alone(codec: Codec) -> f64 {
    let (mut encoder, mut decoder) = (codec.encoder(), codec.decoder());
    let frame = (codec.sample_rate_hz() / 50) as usize;
    let (mut payload, mut pcm) = (Vec::with_capacity(8192), Vec::with_capacity(8192));
    let speech = speech(codec.sample_rate_hz());
    let rounds = speech.len() / frame;
    let begin = thread_cpu();
    for frame in speech.chunks_exact(frame) {
        payload.clear();
        pcm.clear();
        encoder.encode(frame, &mut payload);
        decoder.decode(&payload, &mut pcm);
        black_box(&pcm);
    }
    (thread_cpu() - begin).as_secs_f64() * 1e6 / rounds as f64
}

/// CPU of the engine, in microseconds a member and period, and how much came back to the first one.
fn engine(
    codec: Codec,
    members: usize,
    speakers: usize,
    length: Duration,
    in_room: bool,
) -> (f64, usize) {
    let config = MediaConfig {
        ports: "20000-32767".parse().unwrap(),
        workers: 1,
        ..MediaConfig::default()
    };
    let (media, _events) = Media::start(&config, &[LOCAL]).unwrap();
    let peers: Vec<UdpSocket> = (0..members)
        .map(|_| {
            let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let room = in_room.then(|| media.room());
    let clip = Arc::new(Clip::new(8000, speech(8000)));
    let ports: Vec<Port> = peers
        .iter()
        .map(|peer| {
            let port = media.take(LOCAL).unwrap();
            port.command(configure(agreed(codec, peer.local_addr().unwrap())));
            match &room {
                Some(room) => room.seat(&port, Seating::default()),
                None => port.command(Command::Play {
                    op: OpId(1),
                    source: Source::Tone(clip.clone(), true),
                }),
            }
            port
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let frame = (codec.sample_rate_hz() / 50) as usize;
    let packets = |pcm: &[i16]| -> Vec<Vec<u8>> {
        let mut encoder = codec.encoder();
        let encoded = pcm.chunks_exact(frame).map(|frame| {
            let mut payload = Vec::new();
            encoder.encode(frame, &mut payload);
            payload
        });
        encoded.collect()
    };
    let said = packets(&speech(codec.sample_rate_hz()));
    let silence = packets(&vec![0; frame * 50]);
    let before = cpu_of(is_worker);
    let periods = (length.as_millis() / 20) as usize;
    let begin = Instant::now();
    for period in 0..periods {
        for twentieth in 0..20 {
            let due = begin + Duration::from_millis((period * 20 + twentieth) as u64);
            if let Some(left) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(left);
            }
            for member in (twentieth..members).step_by(20) {
                let payload = if member < speakers {
                    &said[period % said.len()]
                } else {
                    &silence[period % silence.len()]
                };
                let mut packet = vec![0x80, codec.payload_type()];
                packet.extend((period as u16).to_be_bytes());
                let ticks = codec.clock_rate_hz() / 50;
                packet.extend((period as u32 * ticks).to_be_bytes());
                packet.extend((member as u32).to_be_bytes());
                packet.extend_from_slice(payload);
                peers[member]
                    .send_to(&packet, ports[member].rtp_addr())
                    .ok();
            }
        }
    }
    let spent = cpu_of(is_worker) - before;
    let mut buffer = [0; 2048];
    let heard = std::iter::from_fn(|| peers[0].recv(&mut buffer).ok()).count();
    let micros = spent.as_secs_f64() * 1e6 / (members * periods) as f64;
    (micros, heard)
}

/// Not the keeper: it encodes the clips.
fn is_worker(thread: &str) -> bool {
    thread.starts_with("media-") && !thread.starts_with("media-keeper")
}
