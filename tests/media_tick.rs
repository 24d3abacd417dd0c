//! The tick of the media engine allocates nothing: counted by an allocator of our own.
//!
//! A binary of its own, because an allocator belongs to a whole program.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use smallvec::smallvec;
use swivel::audio::{Clip, Codec, dtmf_tone};
use swivel::base::id::OpId;
use swivel::base::keys::Keys;
use swivel::base::rng::Rng;
use swivel::host::clock;
use swivel::media::{
    Channel, Command, Media, MediaConfig, PacketIo, Pair, Plan, Port, PortKey, Received,
    RecordSpec, Room, Seating, Source, stream,
};
use swivel::rtp::event::{Event, EventSlot};
use swivel::rtp::srtp::{MasterKey, Suite};
use swivel::rtp::{EventSender, RtpSender};
use swivel::sdp::{Agreed, Direction, SrtpKeys};

struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[expect(
    unsafe_code,
    reason = "the trait of allocators is unsafe; every call is passed on unchanged"
)]
// SAFETY: the system allocator does the work; counting touches no memory of its callers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    if ON.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

/// A network that swallows what is sent, and where every peer talks and presses keys.
struct Wire {
    pairs: BTreeMap<PortKey, Pair>,
    peers: Vec<(PortKey, RtpSender, EventSender)>,
    /// Whose turn it is; the end of the list ends the tick's packets.
    next: usize,
    sent: usize,
}

impl PacketIo for Wire {
    fn attach(&mut self, key: PortKey, pair: Pair) {
        self.pairs.insert(key, pair);
        let seed = u64::from(key.0);
        let mut keys = EventSender::new(8000);
        for digit in "0123456789*#".chars().cycle().take(12) {
            keys.push(Event::from_digit(digit).unwrap(), 100, 500);
        }
        self.peers
            .push((key, RtpSender::new(&mut Rng::seeded(seed)), keys));
    }

    fn detach(&mut self, key: PortKey) -> Option<Pair> {
        self.pairs.remove(&key)
    }

    fn send(&mut self, _: PortKey, _: Channel, _: SocketAddr, _: &[u8]) -> bool {
        self.sent += 1;
        true
    }

    fn connect(&mut self, _: PortKey, _: Channel, _: Option<SocketAddr>) {}

    fn receive(&mut self, buffer: &mut [u8]) -> Option<Received> {
        let (key, sender, keys) = self.peers.get_mut(self.next)?;
        self.next += 1;
        let header = match keys.slot(sender.timestamp(), 20) {
            EventSlot::Packet {
                marker,
                timestamp,
                payload,
            } => {
                buffer[12..16].copy_from_slice(&payload);
                (sender.header(marker, 101, timestamp, 4), 16)
            }
            EventSlot::Pause | EventSlot::Audio => {
                buffer[12..172].fill(0x55);
                (sender.audio(0, 160), 172)
            }
        };
        sender.advance(160);
        buffer[..12].copy_from_slice(&header.0.bytes());
        Some(Received {
            key: *key,
            channel: Channel::Rtp,
            from: PEER,
            len: header.1,
        })
    }
}

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 4000);

fn plan(events: bool) -> Command {
    plan_in(Codec::Pcmu, events, None)
}

fn keys() -> SrtpKeys {
    let key = MasterKey::new(Suite::Aes128Sha80, &[7; 30]).unwrap();
    SrtpKeys {
        send: key.clone(),
        receive: key,
    }
}

fn plan_in(codec: Codec, events: bool, srtp: Option<SrtpKeys>) -> Command {
    let agreed = Agreed {
        codec,
        payload_type: codec.payload_type(),
        accepts: smallvec![(codec.payload_type(), codec), (0, Codec::Pcmu)],
        dtmf_payload_type: events.then_some(101),
        dtmf_clock_rate_hz: 8000,
        ptime_ms: 20,
        remote_rtp: PEER,
        remote_rtcp: SocketAddr::new(PEER.ip(), 4001),
        rtcp_mux: false,
        direction: Direction::SendRecv,
        held: false,
        srtp,
        webrtc: None,
    };
    Command::Configure(Box::new(Plan {
        agreed,
        latch: false,
        signalling_ip: PEER.ip(),
        timeout: Some(Duration::from_secs(30)),
        cname: "c".into(),
    }))
}

#[test]
fn a_tick_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = MediaConfig {
        record_dir: dir.path().to_owned(),
        record_min_free: 0,
        ..MediaConfig::default()
    };
    let mut now = clock::now();
    let (media, mut worker, mut events) = Media::inline_seeded(&config, Rng::seeded(1), now);
    let mut wire = Wire {
        pairs: BTreeMap::new(),
        peers: Vec::new(),
        next: 0,
        sent: 0,
    };
    let clip = Arc::new(Clip::new(8000, dtmf_tone('5', 60_000)));
    let short = Arc::new(Clip::new(8000, dtmf_tone('5', 333)));
    let mut writers = Vec::new();
    let ports: Vec<Port> = (0..40u64)
        .map(|n| {
            let port = media.take(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
            port.command(plan(n % 4 != 3));
            let op = OpId(n);
            match n % 8 {
                0 | 3 => port.command(Command::Play {
                    op,
                    source: Source::Clip(Arc::clone(&clip)),
                }),
                1 => {
                    for _ in 0..20 {
                        port.command(Command::Play {
                            op,
                            source: Source::Clip(Arc::clone(&short)),
                        });
                    }
                }
                2 => {
                    let (writer, reader) = stream(Duration::from_secs(60));
                    writers.push(writer);
                    port.command(Command::Play {
                        op,
                        source: Source::Stream(reader),
                    });
                }
                4 => port.command(Command::Play {
                    op,
                    source: Source::Echo,
                }),
                5 => {
                    let (path, max) = (format!("r{n}.wav").into(), Duration::from_secs(3600));
                    let spec = RecordSpec {
                        path,
                        max,
                        silence: None,
                        finish_on: Keys::NONE,
                        sides: swivel::media::Sides::Peer,
                        ..RecordSpec::default()
                    };
                    port.command(Command::Record { op, spec });
                }
                _ => {
                    let digits = "123456789".repeat(10);
                    port.command(Command::SendDigits {
                        op,
                        digits,
                        duration_ms: 100,
                        gap_ms: 60,
                    });
                }
            }
            port
        })
        .collect();
    // Calls between two peers: relayed, transcoded, recorded on both sides.
    let joined: Vec<[Port; 2]> = (0..15u64)
        .map(|n| {
            let a = media.take(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
            let b = media
                .take_beside(&a, IpAddr::V4(Ipv4Addr::LOCALHOST))
                .unwrap();
            a.command(plan(true));
            let codec = Codec::ALL[n as usize % Codec::ALL.len()];
            // Every third is secure on one side: what it hears is protected, and what comes in the clear is refused.
            b.command(plan_in(codec, true, n.is_multiple_of(3).then(keys)));
            media.join(&a, &b);
            if n % 4 >= 2 {
                let spec = RecordSpec {
                    path: format!("j{n}.wav").into(),
                    max: Duration::from_secs(3600),
                    silence: None,
                    finish_on: Keys::NONE,
                    sides: swivel::media::Sides::Apart,
                    rate_hz: if n % 4 == 3 { 16_000 } else { 8000 },
                    ..RecordSpec::default()
                };
                a.command(Command::Record {
                    op: OpId(1000 + n),
                    spec,
                });
            }
            [a, b]
        })
        .collect();
    // Conferences: every codec and length of packet, one that everybody speaks in, recorded and played to.
    let rooms: Vec<(Room, Vec<Port>)> = (0..2u64)
        .map(|r| {
            let room = media.room();
            let members = (0..10usize).map(|n| {
                let port = media.take(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
                port.command(plan_in(Codec::ALL[n % Codec::ALL.len()], true, None));
                let seating = Seating {
                    reports: true,
                    speaks: n % 3 != 2,
                    ..Seating::default()
                };
                room.seat(&port, seating);
                port
            });
            let members = members.collect();
            room.play(OpId(2000 + r), Arc::clone(&short), true);
            let spec = RecordSpec {
                path: format!("room{r}.wav").into(),
                max: Duration::from_secs(3600),
                silence: None,
                finish_on: Keys::NONE,
                sides: swivel::media::Sides::Peer,
                ..RecordSpec::default()
            };
            room.record(OpId(3000 + r), spec);
            (room, members)
        })
        .collect();
    let mut seen = [0usize; 3];
    let mut step = |wire: &mut Wire, worker: &mut swivel::media::InlineWorker, tick: usize| {
        now += Duration::from_millis(5);
        if tick.is_multiple_of(4) {
            wire.next = 0;
        }
        worker.tick(now, wire);
        events.drain(|event| match event {
            swivel::media::MediaEvent::Finished { .. } => seen[0] += 1,
            swivel::media::MediaEvent::Digit { .. } => seen[1] += 1,
            _ => seen[2] += 1,
        });
    };
    // Attaching, configuring and opening files may allocate; so may the recorder's first round.
    (0..40).for_each(|tick| step(&mut wire, &mut worker, tick));
    ON.store(true, Ordering::SeqCst);
    (0..3000).for_each(|tick| step(&mut wire, &mut worker, tick));
    ON.store(false, Ordering::SeqCst);
    assert!(
        wire.sent > 15_000 + 12 * 2 * 600,
        "{} packets in fifteen seconds",
        wire.sent
    );
    assert!(
        seen[0] >= 100 && seen[1] >= 200,
        "{seen:?}: sources ended and keys came meanwhile"
    );
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst), 0);
    drop((ports, joined, rooms));
}
