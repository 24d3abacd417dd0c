//! The media engine with its real threads, sockets and files, on loopback.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use smallvec::smallvec;
use swivel::audio::{Clip, Codec};
use swivel::base::id::OpId;
use swivel::base::keys::Keys;
use swivel::base::rng::Rng;
use swivel::host::clock;
use swivel::media::{
    Command, Finish, Media, MediaConfig, MediaError, MediaEvent, MediaEvents, Plan, PoolCounts,
    PortStats, RecordEnd, RecordSpec, Source,
};
use swivel::rtp::event::{Event, EventSlot};
use swivel::rtp::{EventSender, Packet, RtpSender};
use swivel::sdp::{Agreed, Direction};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn plan(to: SocketAddr) -> Command {
    let agreed = Agreed {
        codec: Codec::Pcma,
        payload_type: 8,
        accepts: smallvec![(8, Codec::Pcma), (0, Codec::Pcmu)],
        dtmf_payload_type: Some(101),
        dtmf_clock_rate_hz: 8000,
        ptime_ms: 20,
        remote_rtp: to,
        remote_rtcp: SocketAddr::new(to.ip(), to.port() + 1),
        rtcp_mux: false,
        direction: Direction::SendRecv,
        held: false,
        srtp: None,
        webrtc: None,
    };
    let (signalling_ip, cname) = (to.ip(), "live".to_owned());
    Command::Configure(Box::new(Plan {
        agreed,
        latch: false,
        signalling_ip,
        timeout: None,
        cname,
    }))
}

fn config(ports: &str) -> MediaConfig {
    MediaConfig {
        ports: ports.parse().unwrap(),
        reserve: 2,
        record_min_free: 0,
        ..MediaConfig::default()
    }
}

fn peer() -> UdpSocket {
    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket
}

/// Waits for events until `enough` says so; fails after ten seconds.
fn until(events: &mut MediaEvents, enough: impl Fn(&[MediaEvent]) -> bool) -> Vec<MediaEvent> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut seen = Vec::new();
    runtime.block_on(async {
        while !enough(&seen) {
            let ready = tokio::time::timeout(Duration::from_secs(10), events.ready()).await;
            assert!(ready.is_ok(), "nothing more happened after {seen:?}");
            events.drain(|e| seen.push(e));
        }
    });
    seen
}

fn closed(seen: &[MediaEvent]) -> Option<PortStats> {
    seen.iter().find_map(|e| match e {
        MediaEvent::Closed { stats, .. } => Some(**stats),
        _ => None,
    })
}

#[test]
fn a_clip_is_heard_by_a_real_socket_and_its_end_is_told() {
    let (media, mut events) = Media::start(&config("42000-42099"), &[LOCAL]).unwrap();
    let port = media.take(LOCAL).unwrap();
    let peer = peer();
    let pcm: Vec<i16> = (0..4000)
        .map(|n| ((f64::from(n) * 0.3).sin() * 8000.0) as i16)
        .collect();
    let clip = Arc::new(Clip::new(8000, pcm));
    port.command(plan(peer.local_addr().unwrap()));
    // Not encoded yet: the keeper does it.
    port.command(Command::Play {
        op: OpId(7),
        source: Source::Clip(Arc::clone(&clip)),
    });
    let mut heard = Vec::new();
    while heard.len() < 4000 {
        let mut bytes = [0; 2048];
        let (len, from) = peer.recv_from(&mut bytes).unwrap();
        assert_eq!(from, port.rtp_addr());
        let packet = Packet::parse(&bytes[..len]).unwrap();
        assert_eq!(packet.payload_type, 8);
        heard.extend_from_slice(packet.payload);
    }
    assert_eq!(heard, *clip.encoded(Codec::Pcma));
    let seen = until(&mut events, |seen| !seen.is_empty());
    assert!(matches!(
        seen[..],
        [MediaEvent::Finished {
            op: OpId(7),
            why: Finish::Done,
            ..
        }]
    ));
    drop(port);
    let seen = until(&mut events, |seen| closed(seen).is_some());
    assert_eq!(closed(&seen).unwrap().packets_sent, 25);
}

#[test]
fn keys_arrive_and_a_recording_is_on_disk_when_it_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let config = MediaConfig {
        record_dir: dir.path().to_owned(),
        ..config("42100-42199")
    };
    let (media, mut events) = Media::start(&config, &[LOCAL]).unwrap();
    let port = media.take(LOCAL).unwrap();
    let peer = peer();
    port.command(plan(peer.local_addr().unwrap()));
    let (path, max) = ("acc/live.wav".into(), Duration::from_secs(60));
    let spec = RecordSpec {
        path,
        max,
        silence: None,
        finish_on: Keys::parse("#"),
        sides: swivel::media::Sides::Peer,
        ..RecordSpec::default()
    };
    port.command(Command::Record { op: OpId(3), spec });
    std::thread::sleep(Duration::from_millis(50));
    let mut sender = RtpSender::new(&mut Rng::seeded(1));
    let mut keys = EventSender::new(8000);
    for slot in 0..75 {
        if slot == 50 {
            keys.push(Event::from_digit('4').unwrap(), 60, 60);
            keys.push(Event::from_digit('#').unwrap(), 60, 60);
        }
        let mut bytes = [0; 256];
        let len = match keys.slot(sender.timestamp(), 20) {
            EventSlot::Packet {
                marker,
                timestamp,
                payload,
            } => sender
                .header(marker, 101, timestamp, 4)
                .write(&payload, &mut bytes)
                .unwrap(),
            EventSlot::Pause | EventSlot::Audio => sender
                .audio(8, 160)
                .write(&[0x2A; 160], &mut bytes)
                .unwrap(),
        };
        sender.advance(160);
        peer.send_to(&bytes[..len], port.rtp_addr()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let seen = until(&mut events, |seen| {
        seen.iter()
            .any(|e| matches!(e, MediaEvent::Recorded { .. }))
    });
    let digits: String = seen
        .iter()
        .filter_map(|e| {
            if let MediaEvent::Digit { digit, .. } = e {
                Some(*digit)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(digits, "4#");
    let Some(MediaEvent::Recorded { length, why, .. }) = seen
        .iter()
        .find(|e| matches!(e, MediaEvent::Recorded { .. }))
    else {
        panic!("recorded")
    };
    assert_eq!(*why, RecordEnd::Key('#'));
    assert!((1000..1700).contains(&length.as_millis()), "{length:?}");
    let bytes = std::fs::read(dir.path().join("acc/live.wav")).unwrap();
    assert_eq!(bytes.len() as u128, 44 + length.as_millis() * 16);
}

#[test]
fn a_freed_port_comes_back_after_its_quarantine() {
    let config = MediaConfig {
        quarantine_ms: 1000,
        ..config("42200-42299")
    };
    let (media, mut events) = Media::start(&config, &[LOCAL]).unwrap();
    let (port, other) = (media.take(LOCAL).unwrap(), peer());
    port.command(plan(other.local_addr().unwrap()));
    port.command(Command::Play {
        op: OpId(1),
        source: Source::Silence(Some(Duration::from_millis(100))),
    });
    until(&mut events, |seen| !seen.is_empty());
    drop(port);
    until(&mut events, |seen| closed(seen).is_some());
    let deadline = clock::now() + Duration::from_secs(10);
    while media.counts()
        != (PoolCounts {
            in_use: 0,
            quarantined: 0,
            ready: media.counts().ready,
        })
    {
        assert!(clock::now() < deadline, "{:?}", media.counts());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(media.counts().ready >= 2);
}

#[test]
fn an_address_that_is_not_ours_is_refused_by_name() {
    let foreign: IpAddr = "203.0.113.9".parse().unwrap();
    let error = Media::start(&config("42300-42399"), &[foreign]).unwrap_err();
    assert!(
        matches!(error, MediaError::Bind { local, .. } if local == foreign)
            && error.to_string().contains("203.0.113.9")
    );
    let (media, _events) = Media::start(&config("42300-42399"), &[LOCAL]).unwrap();
    assert!(media.take(foreign).is_err());
    assert!(media.take(LOCAL).is_ok(), "the engine goes on");
}

#[test]
fn a_range_held_by_others_is_exhausted_and_not_a_hang() {
    let held: Vec<UdpSocket> = (42400..42410)
        .filter_map(|port| UdpSocket::bind((LOCAL, port)).ok())
        .collect();
    let error = Media::start(&config("42400-42409"), &[LOCAL]).unwrap_err();
    assert!(matches!(error, MediaError::Bind { .. }), "{error}");
    drop(held);
}

/// Talks from one socket until `enough` packets that say so have come to the other.
fn relayed(
    from: &UdpSocket,
    port: &swivel::media::Port,
    to: &UdpSocket,
    stream: &mut RtpSender,
    word: u8,
) {
    let (mut heard, mut highest) = (0, None);
    to.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let deadline = clock::now() + Duration::from_secs(20);
    while heard < 20 {
        assert!(clock::now() < deadline, "only {heard} packets of {word:#x}");
        let mut bytes = [0; 172];
        let len = stream
            .audio(8, 160)
            .write(&[word; 160], &mut bytes)
            .unwrap();
        stream.advance(160);
        from.send_to(&bytes[..len], port.rtp_addr()).unwrap();
        let mut bytes = [0; 2048];
        let Ok((len, _)) = to.recv_from(&mut bytes) else {
            continue;
        };
        let Ok(packet) = Packet::parse(&bytes[..len]) else {
            continue;
        };
        if let Some(before) = highest {
            assert!(packet.sequence.since(before) > 0, "numbers go on");
        }
        highest = Some(packet.sequence);
        heard += u32::from(packet.payload == [word; 160]);
    }
}

#[test]
fn joined_ports_of_different_threads_come_together_with_what_they_play() {
    let config = MediaConfig {
        workers: 2,
        ..config("42500-42599")
    };
    let (media, mut events) = Media::start(&config, &[LOCAL]).unwrap();
    let peers = [peer(), peer(), peer()];
    let ports: Vec<_> = peers.iter().map(|_| media.take(LOCAL).unwrap()).collect();
    let mut streams = [1, 2, 3].map(|seed| RtpSender::new(&mut Rng::seeded(seed)));
    for (port, peer) in ports.iter().zip(&peers) {
        port.command(plan(peer.local_addr().unwrap()));
    }
    // Queued before the move, ended after it.
    let clip = Arc::new(Clip::new(8000, vec![5000; 2400]));
    ports[1].command(Command::Play {
        op: OpId(1),
        source: Source::Clip(clip),
    });
    media.join(&ports[0], &ports[1]);
    relayed(&peers[0], &ports[0], &peers[1], &mut streams[0], 0x11);
    relayed(&peers[1], &ports[1], &peers[0], &mut streams[1], 0x22);
    let seen = until(&mut events, |seen| !seen.is_empty());
    assert!(matches!(
        seen[..],
        [MediaEvent::Finished {
            op: OpId(1),
            why: Finish::Done,
            ..
        }]
    ));
    // And on to the next, whichever thread has it.
    for (n, word) in [(2, 0x33), (1, 0x44), (2, 0x55), (1, 0x66)] {
        media.join(&ports[n], &ports[0]);
        relayed(&peers[0], &ports[0], &peers[n], &mut streams[0], word);
    }
    drop(ports);
    let count = |seen: &[MediaEvent]| {
        let closed = |e: &&MediaEvent| matches!(e, MediaEvent::Closed { .. });
        seen.iter().filter(closed).count()
    };
    until(&mut events, |seen| count(seen) == 3);
}
