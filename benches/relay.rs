//! What one relayed packet costs and how long it stays, against a bare relay of the same run.
//!
//! The floor is one thread that sleeps in epoll, takes a packet with `recvfrom` and sends it on with `sendto`, and does
//! nothing else. Both relays get the same packets: two peers a call, each sending 160 bytes every 20 ms, spread evenly
//! over them. Every packet carries the time it was sent; the kernel stamps when it arrived at the other peer.
//!
//! Other ways of the same packets, whose floor is the bare relay and what their libraries take for the packet alone:
//! `srtp` (both legs sealed, with keys of their own; AES_CM_128_HMAC_SHA1_80) and `opus` (one leg Opus, the other PCMU).
//! Of those only packets are counted. `rtpengine` has Debian's rtpengine relay in user space, where it is installed.
//!
//! `cargo bench --bench relay -- [--ways plain,srtp,opus,rtpengine] [--calls N,N] [--seconds 10] [--rounds 3]`
//! Without `--calls`: 100 and 500, of `srtp` 100, of `opus` 20.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    unsafe_code,
    clippy::unreachable,
    reason = "a program for people at a terminal; the kernel's time stamps need recvmsg's control data"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures real time on threads of its own"
)]

mod machine;
#[path = "machine/rtpengine.rs"]
mod rtpengine;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use machine::{
    LOCAL, PACKET, agreed, configure, go_first, media_cpu, median, raise_descriptor_limit, receive,
    stamp, thread_cpu, wall_nanos,
};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
use rustix::time::Timespec;
use smallvec::smallvec;
use swivel::audio::Codec;
use swivel::media::{Command, Media, MediaConfig, Port};
use swivel::rtp::srtp::{MasterKey, Protect, SrtpKeys, Suite, Unprotect};

fn main() {
    let arguments: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str, usual: u64| {
        value(name).map_or(usual, |n| n.parse().expect("a number after each option"))
    };
    let calls = value("--calls");
    let (seconds, rounds) = (number("--seconds", 10), number("--rounds", 3));
    let ways = value("--ways").unwrap_or_else(|| "plain,srtp,opus,rtpengine".to_owned());
    raise_descriptor_limit();
    println!(
        "load of the machine before: {}",
        std::fs::read_to_string("/proc/loadavg").unwrap().trim()
    );
    println!(
        "way | calls | floor µs | library µs | relay µs | ratio | lost (floor) | delay p50 / p99 / max ms (floor p50 / p99 / max)"
    );
    for way in ways.split(',') {
        let calls = calls.as_deref().unwrap_or(usual(way));
        for calls in calls.split(',') {
            let calls: usize = calls.parse().expect("--calls takes numbers with commas");
            let length = Duration::from_secs(seconds);
            let results = (0..rounds)
                .map_while(|_| Some((floor(calls, length), relayed(way, calls, length)?)))
                .collect::<Vec<_>>();
            if results.is_empty() {
                println!("{way}: not installed here");
                continue;
            }
            print(way, calls, &results);
        }
    }
}

/// How many calls a way is tried with: no more than one worker's processor can carry, with room to spare.
fn usual(way: &str) -> &'static str {
    match way {
        "opus" => "20",
        "srtp" => "100",
        _ => "100,500",
    }
}

/// A round of that way; `None`: what it needs is not installed.
fn relayed(way: &str, calls: usize, length: Duration) -> Option<Outcome> {
    Some(match way {
        "plain" => engine(calls, length, Way::Plain),
        "srtp" => engine(calls, length, Way::Secret),
        "opus" => engine(calls, length, Way::Opus),
        "rtpengine" => rtpengine::run(calls, length)?,
        _ => unreachable!("--ways takes plain, srtp, opus and rtpengine"),
    })
}

fn print(way: &str, calls: usize, results: &[(Outcome, Outcome)]) {
    let of = |f: &dyn Fn(&(Outcome, Outcome)) -> f64| median(results.iter().map(f));
    let (floor, engine) = (of(&|r| r.0.micros), of(&|r| r.1.micros));
    let library = library_micros(way);
    println!(
        "{way} | {calls} | {floor:.2} | {library:.2} | {engine:.2} | {:.2} | {} ({}) | {:.3} / {:.3} / {:.3} ({:.3} / {:.3} / {:.3})",
        engine / (floor + library),
        of(&|r| r.1.lost as f64),
        of(&|r| r.0.lost as f64),
        of(&|r| r.1.p50),
        of(&|r| r.1.p99),
        of(&|r| r.1.max),
        of(&|r| r.0.p50),
        of(&|r| r.0.p99),
        of(&|r| r.0.max),
    );
}

/// What is done to the packets on their way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Secret,
    Opus,
}

const SUITE: Suite = Suite::Aes128Sha80;

fn master(n: u8) -> MasterKey {
    let bytes = vec![n; SUITE.key_bytes() + SUITE.salt_bytes()];
    MasterKey::new(SUITE, &bytes).unwrap()
}

/// What the libraries alone take for a packet, in a bare loop.
fn library_micros(way: &str) -> f64 {
    const ROUNDS: u32 = 20_000;
    let each = |begin: Duration, rounds: u32| {
        (thread_cpu() - begin).as_secs_f64() * 1e6 / f64::from(rounds)
    };
    match way {
        "srtp" => {
            let mut seal = Protect::new(&master(1));
            let mut open = Unprotect::new(&master(1));
            let begin = thread_cpu();
            for n in 0..ROUNDS {
                let mut packet = vec![0x55u8; PACKET];
                header(&mut packet, 0, n as u16, 160, 7);
                seal.rtp(&mut packet).unwrap();
                open.rtp(&mut packet).unwrap();
            }
            each(begin, ROUNDS)
        }
        // Half of the packets are decoded from Opus, half of them encoded to it; PCMU the other way round.
        "opus" => {
            let (mut encoder, mut decoder) = (Codec::Opus.encoder(), Codec::Opus.decoder());
            let sound = sine(Codec::Opus.sample_rate_hz());
            let (mut encoded, mut decoded) = (Vec::new(), Vec::new());
            let (mut ulaw, mut linear) = (Vec::new(), Vec::new());
            let narrow = sine(8000);
            let begin = thread_cpu();
            for _ in 0..ROUNDS / 20 {
                encoded.clear();
                encoder.encode(&sound, &mut encoded);
                decoded.clear();
                decoder.decode(&encoded, &mut decoded);
                ulaw.clear();
                Codec::Pcmu.encode(&narrow, &mut ulaw);
                linear.clear();
                Codec::Pcmu.decode(&ulaw, &mut linear);
            }
            each(begin, ROUNDS / 20) / 2.0
        }
        _ => 0.0,
    }
}

/// 20 ms of a tone.
fn sine(rate: u32) -> Vec<i16> {
    let step = 440.0 * std::f64::consts::TAU / f64::from(rate);
    let samples = (0..rate / 50).map(|n| (f64::from(n) * step).sin() * 8000.0);
    samples.map(|sample| sample as i16).collect()
}

/// What the peers of a call say: the first and the second of each.
pub(crate) struct Speech {
    /// Payload type, ticks a packet and payload.
    sides: [(u8, u32, Vec<u8>); 2],
    /// What seals each stream's packets.
    seals: Vec<Protect>,
    /// Whether packets carry the time they were sent at.
    stamped: bool,
}

impl Speech {
    pub(crate) fn plain() -> Self {
        let side = (0, 160, vec![0x55; PACKET - 12]);
        Self {
            sides: [side.clone(), side],
            seals: Vec::new(),
            stamped: true,
        }
    }

    fn of(way: Way, streams: usize) -> Self {
        let mut speech = Self::plain();
        if way == Way::Secret {
            speech.stamped = false;
            speech.seals = (0..streams).map(|_| Protect::new(&master(1))).collect();
        }
        if way == Way::Opus {
            speech.stamped = false;
            let mut wide = Vec::new();
            let mut encoder = Codec::Opus.encoder();
            encoder.encode(&sine(Codec::Opus.sample_rate_hz()), &mut wide);
            let mut narrow = Vec::new();
            Codec::Pcmu.encode(&sine(8000), &mut narrow);
            speech.sides = [(OPUS, 960, wide), (0, 160, narrow)];
        }
        speech
    }

    fn packet(&mut self, stream: usize, number: u16, packet: &mut Vec<u8>) {
        let (payload_type, step, payload) = &self.sides[stream % 2];
        packet.clear();
        packet.resize(12, 0);
        packet.extend_from_slice(payload);
        header(packet, *payload_type, number, *step, stream as u32);
        if self.stamped {
            packet[12..20].copy_from_slice(&wall_nanos().to_be_bytes());
        }
        if let Some(seal) = self.seals.get_mut(stream) {
            seal.rtp(packet).unwrap();
        }
    }
}

/// The payload type of Opus here.
const OPUS: u8 = 111;

/// An RTP header at the front of the packet.
fn header(packet: &mut [u8], payload_type: u8, number: u16, step: u32, ssrc: u32) {
    packet[0] = 0x80;
    packet[1] = payload_type;
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(number) * step).to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
}

/// One measured run.
struct Outcome {
    /// On-cpu time of the relay for a packet.
    micros: f64,
    lost: u64,
    /// From one peer to the other, in milliseconds.
    p50: f64,
    p99: f64,
    max: f64,
}

fn bind() -> UdpSocket {
    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// The bare relay: what arrives at one socket of a call goes out of the other.
fn floor(calls: usize, length: Duration) -> Outcome {
    let peers = Peers::new(calls);
    let sockets: Vec<UdpSocket> = (0..calls * 2).map(|_| bind()).collect();
    let targets: Vec<SocketAddr> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
    let addresses = peers.addresses();
    let stop = Arc::new(AtomicBool::new(false));
    let spent = Arc::new(AtomicU64::new(0));
    let (ending, cpu) = (Arc::clone(&stop), Arc::clone(&spent));
    let relay = std::thread::spawn(move || {
        go_first();
        let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        for (index, socket) in sockets.iter().enumerate() {
            let data = EventData::new_u64(index as u64);
            epoll::add(&set, socket, data, EventFlags::IN).unwrap();
        }
        let mut events = [BLANK; 128];
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        while !ending.load(Ordering::Relaxed) {
            let ready = epoll::wait(&set, &mut events, Some(&wait)).unwrap_or(0);
            for event in &events[..ready] {
                let from = event.data.u64() as usize;
                let mut buffer = [0u8; 2048];
                let taken = recvfrom(&sockets[from], &mut buffer, RecvFlags::DONTWAIT);
                if let Ok((length, _, _)) = taken {
                    let (out, to) = (&sockets[from ^ 1], &addresses[from ^ 1]);
                    sendto(out, &buffer[..length], SendFlags::DONTWAIT, to).ok();
                }
            }
        }
        cpu.store(thread_cpu().as_nanos() as u64, Ordering::SeqCst);
    });
    let run = peers.talk(&targets, length, &mut Speech::plain());
    stop.store(true, Ordering::Relaxed);
    relay.join().unwrap();
    run.outcome(Duration::from_nanos(spent.load(Ordering::SeqCst)))
}

/// swivel: two ports a call, joined.
fn engine(calls: usize, length: Duration, way: Way) -> Outcome {
    let config = MediaConfig {
        ports: "20000-32767".parse().unwrap(),
        workers: 1,
        ..MediaConfig::default()
    };
    let (media, _events) = Media::start(&config, &[LOCAL]).unwrap();
    let peers = Peers::new(calls);
    let addresses = peers.addresses();
    let mut ports: Vec<Port> = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let port = media.take(LOCAL).unwrap();
        port.command(plan(*address, way, index % 2 == 0));
        ports.push(port);
        if index % 2 == 1 {
            media.join(&ports[index - 1], &ports[index]);
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    let targets: Vec<SocketAddr> = ports.iter().map(Port::rtp_addr).collect();
    let before = media_cpu();
    let run = peers.talk(&targets, length, &mut Speech::of(way, addresses.len()));
    run.outcome(media_cpu() - before)
}

fn plan(to: SocketAddr, way: Way, first: bool) -> Command {
    let keys = SrtpKeys {
        send: master(if first { 3 } else { 4 }),
        receive: master(1),
    };
    let mut agreed = agreed(Codec::Pcmu, to);
    if way == Way::Opus && first {
        agreed.codec = Codec::Opus;
        agreed.payload_type = OPUS;
        agreed.accepts = smallvec![(OPUS, Codec::Opus)];
    }
    agreed.srtp = (way == Way::Secret).then_some(keys);
    configure(agreed)
}

/// Both peers of every call: peers 2n and 2n + 1 talk to each other.
struct Peers(Arc<Vec<UdpSocket>>);

/// What came of it.
struct Run {
    sent: u64,
    /// Nanoseconds from peer to peer.
    delays: Vec<u64>,
}

impl Peers {
    fn new(calls: usize) -> Self {
        let sockets: Vec<UdpSocket> = (0..calls * 2).map(|_| bind()).collect();
        sockets.iter().for_each(stamp);
        Self(Arc::new(sockets))
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|s| s.local_addr().unwrap()).collect()
    }

    /// Sends to the relay's sockets for so long, and collects what comes out of it.
    fn talk(&self, targets: &[SocketAddr], length: Duration, speech: &mut Speech) -> Run {
        let stop = Arc::new(AtomicBool::new(false));
        let (ending, sockets) = (Arc::clone(&stop), Arc::clone(&self.0));
        let stamped = speech.stamped;
        let listener = std::thread::spawn(move || listen(&sockets, &ending, stamped));
        let begin = Instant::now();
        let streams = self.0.len();
        let slots = length.as_millis() as u64;
        let (mut sent, mut packet) = (0, Vec::new());
        // Each millisecond is a twentieth of the streams' turn.
        for slot in 0..slots {
            let due = begin + Duration::from_millis(slot);
            if let Some(left) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(left);
            }
            let number = (slot / 20) as u16;
            for stream in ((slot % 20) as usize..streams).step_by(20) {
                speech.packet(stream, number, &mut packet);
                if self.0[stream].send_to(&packet, targets[stream]).is_ok() {
                    sent += 1;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        let delays = listener.join().unwrap();
        Run { sent, delays }
    }
}

impl Run {
    fn outcome(mut self, cpu: Duration) -> Outcome {
        self.delays.sort_unstable();
        let at = |share: f64| {
            let index = (self.delays.len() as f64 * share) as usize;
            let index = index.min(self.delays.len().saturating_sub(1));
            self.delays.get(index).map_or(f64::NAN, |n| *n as f64 / 1e6)
        };
        Outcome {
            micros: cpu.as_secs_f64() * 1e6 / self.delays.len().max(1) as f64,
            lost: self.sent.saturating_sub(self.delays.len() as u64),
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// The delays of everything that arrives.
fn listen(sockets: &[UdpSocket], stop: &AtomicBool, stamped: bool) -> Vec<u64> {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    for (index, socket) in sockets.iter().enumerate() {
        let data = EventData::new_u64(index as u64);
        epoll::add(&set, socket, data, EventFlags::IN).unwrap();
    }
    let mut events = [BLANK; 256];
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };
    let mut delays = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let ready = epoll::wait(&set, &mut events, Some(&wait)).unwrap_or(0);
        for event in &events[..ready] {
            let socket = &sockets[event.data.u64() as usize];
            if !stamped {
                let mut buffer = [0u8; 2048];
                while recvfrom(socket, &mut buffer, RecvFlags::DONTWAIT).is_ok() {
                    delays.push(0);
                }
                continue;
            }
            while let Some((arrived, sent)) = receive(socket) {
                delays.push(arrived.saturating_sub(sent));
            }
        }
    }
    delays
}

const BLANK: Event = Event {
    flags: EventFlags::empty(),
    data: EventData::new_u64(0),
};
