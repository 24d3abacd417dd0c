//! What one relayed packet costs and how long it stays, against a bare relay of the same run.
//!
//! The floor is one thread that sleeps in epoll, takes a packet with `recvfrom` and sends it on with `sendto`, and does
//! nothing else. Both relays get the same packets: two peers a call, each sending 160 bytes every 20 ms, spread evenly
//! over them. Every packet carries the time it was sent; the kernel stamps when it arrived at the other peer.
//!
//! `cargo bench --bench relay -- [--calls 100,500] [--seconds 10] [--rounds 3]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    unsafe_code,
    reason = "a program for people at a terminal; the kernel's time stamps need recvmsg's control data"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures real time on threads of its own"
)]

mod machine;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use machine::{
    LOCAL, PACKET, go_first, media_cpu, median, plan, raise_descriptor_limit, receive, stamp,
    thread_cpu, wall_nanos,
};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
use rustix::time::Timespec;
use swivel::audio::Codec;
use swivel::media::{Media, MediaConfig, Port};

fn main() {
    let arguments: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str, usual: u64| {
        value(name).map_or(usual, |n| n.parse().expect("a number after each option"))
    };
    let calls = value("--calls").unwrap_or_else(|| "100,500".to_owned());
    let (seconds, rounds) = (number("--seconds", 10), number("--rounds", 3));
    raise_descriptor_limit();
    println!(
        "load of the machine before: {}",
        std::fs::read_to_string("/proc/loadavg").unwrap().trim()
    );
    println!(
        "calls | floor µs | engine µs | ratio | lost (floor) | delay p50 / p99 / max ms (floor p50 / p99 / max)"
    );
    for calls in calls.split(',') {
        let calls: usize = calls.parse().expect("--calls takes numbers with commas");
        let mut results = Vec::new();
        for _ in 0..rounds {
            let length = Duration::from_secs(seconds);
            results.push((floor(calls, length), engine(calls, length)));
        }
        let of = |f: &dyn Fn(&(Outcome, Outcome)) -> f64| median(results.iter().map(f));
        let (floor, engine) = (of(&|r| r.0.micros), of(&|r| r.1.micros));
        println!(
            "{calls:5} | {floor:8.2} | {engine:9.2} | {:5.2} | {} ({}) | {:.3} / {:.3} / {:.3} ({:.3} / {:.3} / {:.3})",
            engine / floor,
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
    let run = peers.talk(&targets, length);
    stop.store(true, Ordering::Relaxed);
    relay.join().unwrap();
    run.outcome(Duration::from_nanos(spent.load(Ordering::SeqCst)))
}

/// swivel: two ports a call, joined.
fn engine(calls: usize, length: Duration) -> Outcome {
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
        port.command(plan(Codec::Pcmu, *address));
        ports.push(port);
        if index % 2 == 1 {
            media.join(&ports[index - 1], &ports[index]);
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    let targets: Vec<SocketAddr> = ports.iter().map(Port::rtp_addr).collect();
    let before = media_cpu();
    let run = peers.talk(&targets, length);
    run.outcome(media_cpu() - before)
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
    fn talk(&self, targets: &[SocketAddr], length: Duration) -> Run {
        let stop = Arc::new(AtomicBool::new(false));
        let (ending, sockets) = (Arc::clone(&stop), Arc::clone(&self.0));
        let listener = std::thread::spawn(move || listen(&sockets, &ending));
        let begin = Instant::now();
        let streams = self.0.len();
        let slots = length.as_millis() as u64;
        let (mut sent, mut packet) = (0, [0x55u8; PACKET]);
        // Each millisecond is a twentieth of the streams' turn.
        for slot in 0..slots {
            let due = begin + Duration::from_millis(slot);
            if let Some(left) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(left);
            }
            let number = (slot / 20) as u16;
            for stream in ((slot % 20) as usize..streams).step_by(20) {
                packet[0] = 0x80;
                packet[1] = 0;
                packet[2..4].copy_from_slice(&number.to_be_bytes());
                packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
                packet[8..12].copy_from_slice(&(stream as u32).to_be_bytes());
                packet[12..20].copy_from_slice(&wall_nanos().to_be_bytes());
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
fn listen(sockets: &[UdpSocket], stop: &AtomicBool) -> Vec<u64> {
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
            while let Some((arrived, sent)) = receive(&sockets[event.data.u64() as usize]) {
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
