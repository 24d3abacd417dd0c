//! What one played packet costs, against what the machine can do at all, measured in the same run.
//!
//! 1. A bare `sendto` loop and a bare epoll + `recvfrom` loop.
//! 2. A bare paced sender: one thread, N sockets, 160 bytes every 20 ms in slots of 5 ms, and nothing else.
//! 3. swivel's media engine playing a clip on N ports through its public handle.
//!
//! CPU is on-cpu time of the sending threads, from the scheduler. Arrivals are stamped by the kernel. Floor and engine
//! take turns, so that a busy machine treats them alike; medians are printed.
//!
//! `cargo bench --bench rtp_floor -- [--streams 100,300,500,1000] [--seconds 10] [--rounds 3] [--both-ways]`

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

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use machine::{
    LOCAL, PACKET, agreed, configure, go_first, media_cpu, median, raise_descriptor_limit, receive,
    stamp, thread_cpu, wall_nanos,
};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::net::{SendFlags, sendto};
use rustix::time::{ClockId, Timespec, clock_gettime};
use swivel::audio::{Clip, Codec};
use swivel::base::id::OpId;
use swivel::media::{Command, Media, MediaConfig, Port, Source};

const PERIOD: Duration = Duration::from_millis(20);

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).cloned()
    };
    let streams: Vec<usize> = value("--streams")
        .unwrap_or_else(|| "100,300,500,1000".to_owned())
        .split(',')
        .map(|n| {
            n.parse()
                .expect("--streams takes numbers with commas between them")
        })
        .collect();
    let seconds: u64 =
        value("--seconds").map_or(10, |s| s.parse().expect("--seconds takes a number"));
    let rounds: usize =
        value("--rounds").map_or(3, |s| s.parse().expect("--rounds takes a number"));
    println!(
        "load of the machine before: {}",
        std::fs::read_to_string("/proc/loadavg").unwrap().trim()
    );
    let both_ways = arguments.iter().any(|a| a == "--both-ways");
    let length = Duration::from_secs(seconds);

    println!(
        "bare sendto            {:6.2} µs a packet",
        median((0..rounds).map(|_| bare_send(400_000)))
    );
    println!(
        "bare epoll + recvfrom  {:6.2} µs a packet",
        median((0..rounds).map(|_| bare_receive(200_000)))
    );
    println!();
    println!(
        "streams | paced floor µs | engine µs | ratio | packets of expected (floor) | off the grid p50 / p99 / max ms (floor p99) | RSS a port"
    );
    for count in streams {
        let sinks = Sinks::start(count);
        let mut results: Vec<(Outcome, Outcome, f64)> = Vec::new();
        for _ in 0..rounds {
            let floor = paced_floor(&sinks, length);
            let (engine, memory) = engine(&sinks, length, false);
            results.push((floor, engine, memory));
        }
        let of = |f: &dyn Fn(&(Outcome, Outcome, f64)) -> f64| median(results.iter().map(f));
        let (floor, engine) = (of(&|r| r.0.micros), of(&|r| r.1.micros));
        println!(
            "{count:7} | {floor:14.2} | {engine:9.2} | {:5.2} | {:8.3}% ({:8.3}%) | {:.2} / {:.2} / {:.2} ({:.2}) | {:.1} KiB",
            engine / floor,
            of(&|r| r.1.share) * 100.0,
            of(&|r| r.0.share) * 100.0,
            of(&|r| r.1.p50),
            of(&|r| r.1.p99),
            of(&|r| r.1.max),
            of(&|r| r.0.p99),
            of(&|r| r.2),
        );
        if both_ways {
            let two: Vec<Outcome> = (0..rounds)
                .map(|_| self::engine(&sinks, length, true).0)
                .collect();
            println!(
                "        | both ways: {:.2} µs a packet sent and one received, p99 {:.2} ms off the grid",
                median(two.iter().map(|o| o.micros)),
                median(two.iter().map(|o| o.p99)),
            );
        }
        sinks.stop();
    }
}

/// One socket to one other that is never read.
fn bare_send(packets: u32) -> f64 {
    let (from, to) = (
        UdpSocket::bind((LOCAL, 0)).unwrap(),
        UdpSocket::bind((LOCAL, 0)).unwrap(),
    );
    let to_address = to.local_addr().unwrap();
    let drain = Drain::start(vec![OwnedFd::from(to)]);
    let before = thread_cpu();
    for _ in 0..packets {
        sendto(&from, &[0x55; PACKET], SendFlags::empty(), &to_address).ok();
    }
    let spent = thread_cpu() - before;
    drain.stop();
    spent.as_secs_f64() * 1e6 / f64::from(packets)
}

/// Many sockets with something in each, read through epoll.
fn bare_receive(packets: usize) -> f64 {
    const SOCKETS: usize = 100;
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let sockets: Vec<UdpSocket> = (0..SOCKETS)
        .map(|_| UdpSocket::bind((LOCAL, 0)).unwrap())
        .collect();
    for (index, socket) in sockets.iter().enumerate() {
        socket.set_nonblocking(true).unwrap();
        epoll::add(
            &set,
            socket,
            EventData::new_u64(index as u64),
            EventFlags::IN,
        )
        .unwrap();
    }
    let from = UdpSocket::bind((LOCAL, 0)).unwrap();
    let mut events = [Event {
        flags: EventFlags::empty(),
        data: EventData::new_u64(0),
    }; 256];
    let (mut spent, mut received) = (Duration::ZERO, 0);
    while received < packets {
        for socket in &sockets {
            from.send_to(&[0x55; PACKET], socket.local_addr().unwrap())
                .unwrap();
        }
        let before = thread_cpu();
        let ready = epoll::wait(
            &set,
            &mut events,
            Some(&Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            }),
        )
        .unwrap();
        for event in &events[..ready] {
            let mut buffer = [0; 2048];
            if sockets[event.data.u64() as usize]
                .recv_from(&mut buffer)
                .is_ok()
            {
                received += 1;
            }
        }
        spent += thread_cpu() - before;
    }
    spent.as_secs_f64() * 1e6 / received as f64
}

/// One measured run.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    /// CPU a packet.
    micros: f64,
    /// Packets that arrived, of those expected.
    share: f64,
    /// How far arrivals were off their own grid of 20 ms, in ms.
    p50: f64,
    p99: f64,
    max: f64,
}

/// One thread, as many sockets as streams, an absolute timer, `sendto`.
fn paced_floor(sinks: &Sinks, length: Duration) -> Outcome {
    let count = sinks.addresses.len();
    let targets = sinks.addresses.clone();
    let (stop, sent, cpu) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    let (stopped, counted, spent) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&cpu));
    let sender = std::thread::spawn(move || {
        let sockets: Vec<UdpSocket> = (0..count)
            .map(|_| UdpSocket::bind((LOCAL, 0)).unwrap())
            .collect();
        let mut packets = vec![[0x55u8; PACKET]; count];
        go_first();
        let mut slot = 0usize;
        let mut next = clock_gettime(ClockId::Monotonic);
        while !stopped.load(Ordering::Relaxed) {
            next = after(next, 5_000_000);
            rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &next)
                .ok();
            for index in (slot % 4..count).step_by(4) {
                let packet = &mut packets[index];
                let number = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(1);
                packet[2..4].copy_from_slice(&number.to_be_bytes());
                sendto(&sockets[index], packet, SendFlags::empty(), &targets[index]).ok();
                counted.fetch_add(1, Ordering::Relaxed);
            }
            slot += 1;
            spent.store(thread_cpu().as_nanos() as u64, Ordering::Relaxed);
        }
    });
    let read = || {
        (
            Duration::from_nanos(cpu.load(Ordering::Relaxed)),
            sent.load(Ordering::Relaxed),
        )
    };
    let outcome = sinks.measure(length, || read().0);
    stop.store(true, Ordering::Relaxed);
    sender.join().unwrap();
    outcome
}

/// The engine, playing to the sinks. Also: what a playing port adds to the resident memory, in KiB.
fn engine(sinks: &Sinks, length: Duration, both_ways: bool) -> (Outcome, f64) {
    let count = sinks.addresses.len();
    let config = MediaConfig {
        ports: "20000-29999".parse().unwrap(),
        workers: 1,
        ..MediaConfig::default()
    };
    let (media, mut events) = Media::start(&config, &[LOCAL]).unwrap();
    let tune: Vec<i16> = (0..8000 * 60)
        .map(|n| ((f64::from(n) * 0.3).sin() * 8000.0) as i16)
        .collect();
    let clip = Arc::new(Clip::new(8000, tune));
    clip.encoded(Codec::Pcmu);
    let before = resident_kib();
    let ports: Vec<Port> = sinks
        .addresses
        .iter()
        .map(|to| {
            let port = media.take(LOCAL).unwrap();
            port.command(configure(agreed(Codec::Pcmu, *to)));
            port.command(Command::Play {
                op: OpId(1),
                source: Source::Tone(Arc::clone(&clip), true),
            });
            port
        })
        .collect();
    let talking = both_ways.then(|| sinks.talk(&ports));
    std::thread::sleep(Duration::from_secs(2));
    let memory = (resident_kib() - before) / count as f64;
    let outcome = sinks.measure(length, media_cpu);
    if let Some((stop, thread)) = talking {
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
    }
    drop(ports);
    std::thread::sleep(Duration::from_millis(100));
    events.drain(drop);
    drop(media);
    (outcome, memory)
}

/// The receiving ends: one socket a stream, kernel time stamps, one thread.
struct Sinks {
    addresses: Vec<SocketAddr>,
    sockets: Arc<Vec<UdpSocket>>,
    /// Arrivals in nanoseconds, by sink.
    arrivals: Arc<std::sync::Mutex<Vec<Vec<u64>>>>,
    /// How often the thread has found every socket empty.
    drained: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sinks {
    fn start(count: usize) -> Self {
        raise_descriptor_limit();
        let sockets: Vec<UdpSocket> = (0..count)
            .map(|_| UdpSocket::bind((LOCAL, 0)).unwrap())
            .collect();
        let addresses = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
        let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        for (index, socket) in sockets.iter().enumerate() {
            socket.set_nonblocking(true).unwrap();
            stamp(socket);
            epoll::add(
                &set,
                socket,
                EventData::new_u64(index as u64),
                EventFlags::IN,
            )
            .unwrap();
        }
        let sockets = Arc::new(sockets);
        let arrivals = Arc::new(std::sync::Mutex::new(vec![Vec::new(); count]));
        let (drained, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (own, seen, empty, off) = (
            Arc::clone(&sockets),
            Arc::clone(&arrivals),
            Arc::clone(&drained),
            Arc::clone(&stop),
        );
        let thread = std::thread::spawn(move || {
            // Below the senders, above whatever else the machine does.
            rustix::process::setpriority_process(None, -5).ok();
            let mut events = [Event {
                flags: EventFlags::empty(),
                data: EventData::new_u64(0),
            }; 256];
            while !off.load(Ordering::Relaxed) {
                // Few wakes: the kernel's stamps do not care when they are read.
                std::thread::sleep(Duration::from_millis(10));
                loop {
                    let ready = epoll::wait(
                        &set,
                        &mut events,
                        Some(&Timespec {
                            tv_sec: 0,
                            tv_nsec: 0,
                        }),
                    )
                    .unwrap_or(0);
                    let mut seen = seen.lock().unwrap();
                    for event in &events[..ready] {
                        let index = event.data.u64() as usize;
                        while let Some((at, _)) = receive(&own[index]) {
                            seen[index].push(at);
                        }
                    }
                    if ready < events.len() {
                        empty.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                }
            }
        });
        Self {
            addresses,
            sockets,
            arrivals,
            drained,
            stop,
            thread,
        }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }

    /// Counts and times arrivals for `length`; `cpu` reads what the senders have used so far.
    fn measure(&self, length: Duration, cpu: impl Fn() -> Duration) -> Outcome {
        std::thread::sleep(Duration::from_secs(1));
        self.arrivals
            .lock()
            .unwrap()
            .iter_mut()
            .for_each(Vec::clear);
        let (from, spent) = (wall_nanos(), cpu());
        std::thread::sleep(length);
        let (until, spent) = (wall_nanos(), cpu() - spent);
        // Everything that had arrived by then has been read once the sockets were found empty twice more.
        let seen = self.drained.load(Ordering::Relaxed);
        while self.drained.load(Ordering::Relaxed) < seen + 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let arrivals = self.arrivals.lock().unwrap();
        let within: Vec<Vec<u64>> = arrivals
            .iter()
            .map(|all| {
                all.iter()
                    .copied()
                    .filter(|t| (from..until).contains(t))
                    .collect()
            })
            .collect();
        let packets: usize = within.iter().map(Vec::len).sum();
        let expected = (until - from) as f64 / PERIOD.as_nanos() as f64 * within.len() as f64;
        let mut off: Vec<f64> = within.iter().flat_map(|times| off_grid(times)).collect();
        off.sort_by(f64::total_cmp);
        let at = |share: f64| {
            off.get((off.len() as f64 * share) as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        Outcome {
            micros: spent.as_secs_f64() * 1e6 / packets.max(1) as f64,
            share: packets as f64 / expected,
            p50: at(0.5),
            p99: at(0.99),
            max: off.last().copied().unwrap_or(f64::NAN),
        }
    }

    /// Every sink sends to its port too, 50 packets a second.
    fn talk(&self, ports: &[Port]) -> (Arc<AtomicBool>, JoinHandle<()>) {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, sockets) = (Arc::clone(&stop), Arc::clone(&self.sockets));
        let targets: Vec<SocketAddr> = ports.iter().map(Port::rtp_addr).collect();
        let thread = std::thread::spawn(move || {
            let mut packet = [0x55u8; PACKET];
            packet[0] = 0x80;
            packet[1] = 0;
            let mut next = clock_gettime(ClockId::Monotonic);
            let mut slot = 0usize;
            while !stopped.load(Ordering::Relaxed) {
                next = after(next, 5_000_000);
                rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &next)
                    .ok();
                let number = (slot / 4) as u16;
                packet[2..4].copy_from_slice(&number.to_be_bytes());
                packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
                for index in (slot % 4..targets.len()).step_by(4) {
                    sockets[index].send_to(&packet, targets[index]).ok();
                }
                slot += 1;
            }
        });
        (stop, thread)
    }
}

/// Reads sockets until told to stop.
struct Drain(Arc<AtomicBool>, JoinHandle<()>);

impl Drain {
    fn start(sockets: Vec<OwnedFd>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
                for socket in &sockets {
                    while rustix::net::recv(
                        socket,
                        &mut [0u8; 2048],
                        rustix::net::RecvFlags::DONTWAIT,
                    )
                    .is_ok()
                    {}
                }
            }
        });
        Self(stop, thread)
    }

    fn stop(self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.join().unwrap();
    }
}

/// How far each arrival is from the grid of 20 ms that fits its stream best, in ms.
fn off_grid(times: &[u64]) -> Vec<f64> {
    let Some(first) = times.first() else {
        return Vec::new();
    };
    let period = PERIOD.as_nanos() as f64;
    let elapsed: Vec<f64> = times.iter().map(|t| (t - first) as f64).collect();
    // Where each stands beside the nearest line of a grid laid through the first, and then through their median.
    let beside = |t: f64, origin: f64| (t - origin) - ((t - origin) / period).round() * period;
    let mut offsets: Vec<f64> = elapsed.iter().map(|t| beside(*t, 0.0)).collect();
    offsets.sort_by(f64::total_cmp);
    let origin = offsets[offsets.len() / 2];
    elapsed
        .iter()
        .map(|t| beside(*t, origin).abs() / 1e6)
        .collect()
}

fn after(t: Timespec, nanos: i64) -> Timespec {
    let nanos = t.tv_nsec + nanos;
    Timespec {
        tv_sec: t.tv_sec + nanos / 1_000_000_000,
        tv_nsec: nanos % 1_000_000_000,
    }
}

fn resident_kib() -> f64 {
    let status: BTreeMap<String, String> = std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .filter_map(|l| {
            l.split_once(':')
                .map(|(k, v)| (k.to_owned(), v.trim().to_owned()))
        })
        .collect();
    status["VmRSS"]
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0.0)
}
