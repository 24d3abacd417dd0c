//! The engine inline, over a simulated network, under simulated time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::smallvec;

mod join;
mod keys;
mod pace;
mod peers;
mod recorded;
mod sources;
mod webrtc;

use super::sim::{Datagram, SimIo, SimLink};
use super::*;
use crate::audio::{Clip, Codec, DtmfDetector, dtmf_tone};
use crate::base::id::{OpId, PortId};
use crate::base::keys::Keys;
use crate::base::rng::Rng;
use crate::rtp::event::{Event, EventSlot, Key};
use crate::rtp::rtcp::{self, Rtcp};
use crate::rtp::{EventReceiver, EventSender, Header, Packet, RtpSender};
use crate::sdp::{Agreed, Direction};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PEER: &str = "198.51.100.7:4000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn agreed() -> Agreed {
    Agreed {
        codec: Codec::Pcmu,
        payload_type: 0,
        accepts: smallvec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        dtmf_payload_type: Some(101),
        dtmf_clock_rate_hz: 8000,
        ptime_ms: 20,
        remote_rtp: at(PEER),
        remote_rtcp: at("198.51.100.7:4001"),
        rtcp_mux: false,
        direction: Direction::SendRecv,
        held: false,
        srtp: None,
        webrtc: None,
    }
}

fn plan(agreed: Agreed) -> Command {
    Command::Configure(Box::new(Plan {
        agreed,
        latch: false,
        signalling_ip: at(PEER).ip(),
        timeout: Some(Duration::from_secs(30)),
        cname: "c".into(),
    }))
}

/// One port and its peer.
struct Line {
    media: Media,
    worker: InlineWorker,
    events: MediaEvents,
    io: SimIo,
    begin: Instant,
    now: Instant,
    port: Option<Port>,
    rtp: SocketAddr,
    seen: Vec<MediaEvent>,
    /// Everything the port sent, as far as it arrived.
    sent: Vec<Datagram>,
    peer: RtpSender,
}

impl Line {
    fn new(link: SimLink, config: &MediaConfig) -> Self {
        let now = crate::host::clock::now();
        let (media, worker, events) = Media::inline_seeded(config, Rng::seeded(5), now);
        let port = media.take(LOCAL).unwrap();
        let rtp = port.rtp_addr();
        let io = SimIo::new(now, link, Rng::seeded(6));
        let peer = RtpSender::new(&mut Rng::seeded(7));
        let (seen, sent) = (Vec::new(), Vec::new());
        Self {
            media,
            worker,
            events,
            io,
            begin: now,
            now,
            port: Some(port),
            rtp,
            seen,
            sent,
            peer,
        }
    }

    fn clean() -> Self {
        let line = Self::new(SimLink::default(), &MediaConfig::default());
        line.command(plan(agreed()));
        line
    }

    fn command(&self, command: Command) {
        self.port.as_ref().unwrap().command(command);
    }

    fn play(&self, op: u64, source: Source) {
        self.command(Command::Play {
            op: OpId(op),
            source,
        });
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(5);
        self.io.advance(self.now);
        self.worker.tick(self.now, &mut self.io);
        self.sent.extend(self.io.arrived());
        let seen = &mut self.seen;
        self.events.drain(|e| seen.push(e));
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            self.step();
        }
    }

    /// Packets of the peer, one every 20 ms.
    fn talk(&mut self, from: SocketAddr, payloads: impl IntoIterator<Item = Vec<u8>>) {
        for payload in payloads {
            let header = self.peer.audio(0, payload.len());
            self.post(from, header, &payload);
            self.peer.advance(160);
            self.run(20);
        }
    }

    fn post(&mut self, from: SocketAddr, header: Header, payload: &[u8]) {
        let mut bytes = [0; 512];
        let len = header.write(payload, &mut bytes).unwrap();
        self.io.post(from, self.rtp, &bytes[..len]);
    }

    /// The peer presses keys, 100 ms each.
    fn press(&mut self, from: SocketAddr, keys: &str) {
        let mut sender = EventSender::new(8000);
        for key in keys.chars() {
            assert!(sender.push(Event::from_digit(key).unwrap(), 100, 60));
            while !sender.is_idle() {
                match sender.slot(self.peer.timestamp(), 20) {
                    EventSlot::Packet {
                        marker,
                        timestamp,
                        payload,
                    } => {
                        let header = self.peer.header(marker, 101, timestamp, 4);
                        self.post(from, header, &payload);
                    }
                    EventSlot::Pause | EventSlot::Audio => {}
                }
                self.peer.advance(160);
                self.run(20);
            }
        }
    }

    fn rtp(&self) -> Vec<(Duration, Packet<'_>)> {
        let is_rtp = |d: &&Datagram| d.from == self.rtp;
        self.sent
            .iter()
            .filter(is_rtp)
            .map(|d| (d.sent_at - self.begin, Packet::parse(&d.bytes).unwrap()))
            .collect()
    }

    /// The audio the port sent, decoded.
    fn heard(&self) -> Vec<i16> {
        let mut pcm = Vec::new();
        for (_, packet) in self.rtp() {
            match packet.payload_type {
                0 => Codec::Pcmu.decode(packet.payload, &mut pcm),
                8 => Codec::Pcma.decode(packet.payload, &mut pcm),
                _ => {}
            }
        }
        pcm
    }

    fn finished(&self) -> Vec<(u64, Finish)> {
        let one = |e: &MediaEvent| match e {
            MediaEvent::Finished { op, why, .. } => Some((op.0, *why)),
            _ => None,
        };
        self.seen.iter().filter_map(one).collect()
    }

    fn digits(&self) -> String {
        let one = |e: &MediaEvent| match e {
            MediaEvent::Digit { digit, .. } => Some(*digit),
            _ => None,
        };
        self.seen.iter().filter_map(one).collect()
    }

    fn recorded(&self) -> Vec<(Duration, RecordEnd)> {
        let one = |e: &MediaEvent| match e {
            MediaEvent::Recorded { length, why, .. } => Some((*length, *why)),
            _ => None,
        };
        self.seen.iter().filter_map(one).collect()
    }

    fn close(&mut self) -> PortStats {
        self.port = None;
        self.run(20);
        let closed = self.seen.iter().find_map(|e| match e {
            MediaEvent::Closed { stats, .. } => Some(**stats),
            _ => None,
        });
        assert!(matches!(
            self.seen
                .iter()
                .rev()
                .find(|e| !matches!(e, MediaEvent::Recorded { .. })),
            Some(MediaEvent::Closed { .. })
        ));
        assert_eq!(self.worker.ports(), 0);
        closed.unwrap()
    }
}

/// Samples that survive PCMU unchanged, so that what was played can be compared exactly.
fn tune(samples: usize, seed: u64) -> Vec<i16> {
    let mut rng = Rng::seeded(seed);
    let noise: Vec<i16> = (0..samples).map(|_| (rng.u16() as i16) / 4).collect();
    let (mut encoded, mut pcm) = (Vec::new(), Vec::new());
    Codec::Pcmu.encode(&noise, &mut encoded);
    Codec::Pcmu.decode(&encoded, &mut pcm);
    pcm
}

fn clip(pcm: &[i16]) -> Arc<Clip> {
    Arc::new(Clip::new(8000, pcm.to_vec()))
}

fn speech(seconds: u64) -> Vec<Vec<u8>> {
    let mut encoded = Vec::new();
    Codec::Pcmu.encode(
        &tune(usize::try_from(seconds).unwrap() * 8000, 10),
        &mut encoded,
    );
    encoded.chunks(160).map(<[u8]>::to_vec).collect()
}

/// Whether the long forms run.
fn soak() -> bool {
    std::env::var("SWIVEL_TEST_TIER").is_ok_and(|tier| tier == "soak")
}

#[test]
fn a_closed_port_reports_everything_it_still_owed_and_rests() {
    let mut line = Line::clean();
    line.play(1, Source::Silence(None));
    line.command(Command::SendDigits {
        op: OpId(2),
        digits: "12".into(),
        duration_ms: 100,
        gap_ms: 100,
    });
    line.talk(at(PEER), speech(1));
    let stats = line.close();
    let mut finished = line.finished();
    finished.sort_by_key(|f| f.0);
    assert_eq!(finished, [(1, Finish::Cancelled), (2, Finish::Done)]);
    assert_eq!(
        (
            stats.packets_received,
            stats.bytes_received,
            stats.packets_lost
        ),
        (50, 8000, 0)
    );
    assert!(stats.packets_sent > 40 && stats.mos > 4.0);
    assert_eq!(
        line.media.counts(),
        PoolCounts {
            in_use: 0,
            quarantined: 1,
            ready: 0
        }
    );
}

#[test]
fn a_port_that_was_never_used_closes_too() {
    let mut line = Line::new(SimLink::default(), &MediaConfig::default());
    line.run(100);
    assert_eq!(line.close(), PortStats::default());
    assert_eq!(line.media.counts().in_use, 0);
}

#[test]
fn no_event_is_lost_when_nobody_reads_for_a_while() {
    let mut line = Line::new(SimLink::default(), &MediaConfig::default());
    let ports: Vec<Port> = (0..500).map(|_| line.media.take(LOCAL).unwrap()).collect();
    for port in &ports {
        port.command(plan(agreed()));
        for op in 0..5 {
            let source = Source::Silence(Some(Duration::from_millis(10)));
            port.command(Command::Play {
                op: OpId(op),
                source,
            });
        }
    }
    for _ in 0..50 {
        line.now += Duration::from_millis(5);
        line.io.advance(line.now);
        line.worker.tick(line.now, &mut line.io);
    }
    drop(ports);
    line.run(1000);
    let of = |id: u64| -> Vec<u64> {
        let one = |e: &MediaEvent| match e {
            MediaEvent::Finished {
                port,
                op,
                why: Finish::Done,
            } if *port == PortId(id) => Some(op.0),
            MediaEvent::Closed { port, .. } if *port == PortId(id) => Some(99),
            _ => None,
        };
        line.seen.iter().filter_map(one).collect()
    };
    assert_eq!(line.seen.len(), 500 * 6);
    assert!((2..502).all(|id| of(id) == [0, 1, 2, 3, 4, 99]));
}

#[test]
fn rubbish_changes_nothing() {
    let mut line = Line::clean();
    let mut rng = Rng::seeded(13);
    let rtcp = SocketAddr::new(LOCAL, line.rtp.port() + 1);
    for round in 0..20_000u32 {
        let mut bytes = vec![0; rng.below(200) as usize];
        rng.fill(&mut bytes);
        if let (true, Some(first)) = (round % 2 == 0, bytes.first_mut()) {
            *first = 0x80 | (*first & 0x3F);
        }
        let (from, to) = if round % 3 == 0 {
            (at("198.51.100.7:4001"), rtcp)
        } else {
            (at(PEER), line.rtp)
        };
        line.io.post(from, to, &bytes);
        if round % 100 == 0 {
            line.run(5);
        }
    }
    line.seen.clear();
    line.play(1, Source::Clip(clip(&tune(1600, 14))));
    line.run(400);
    assert_eq!(line.finished(), [(1, Finish::Done)]);
    assert_eq!(line.rtp().len(), 10);
}

#[test]
fn a_port_is_small() {
    assert!(
        size_of::<port::PortState>() <= 2048,
        "{}",
        size_of::<port::PortState>()
    );
}
