//! Two ports joined: relayed, transcoded, played over, recorded, parted.

use super::*;
use crate::audio::level::level_dbov;

mod codecs;
mod secure;

/// Two ports of one engine, each with a peer.
struct Bridge {
    media: Media,
    worker: InlineWorker,
    events: MediaEvents,
    io: SimIo,
    begin: Instant,
    now: Instant,
    ports: [Option<Port>; 2],
    rtp: [SocketAddr; 2],
    peers: [RtpSender; 2],
    seen: Vec<MediaEvent>,
    sent: Vec<Datagram>,
}

const PEERS: [&str; 2] = ["198.51.100.7:4000", "203.0.113.9:5000"];

fn agreed_with(peer: usize) -> Agreed {
    let rtp = at(PEERS[peer]);
    Agreed {
        remote_rtp: rtp,
        remote_rtcp: SocketAddr::new(rtp.ip(), rtp.port() + 1),
        accepts: smallvec![(0, Codec::Pcmu)],
        ..agreed()
    }
}

fn in_alaw(peer: usize) -> Agreed {
    Agreed {
        codec: Codec::Pcma,
        payload_type: 8,
        accepts: smallvec![(8, Codec::Pcma)],
        ..agreed_with(peer)
    }
}

impl Bridge {
    fn new(first: Agreed, second: Agreed) -> Self {
        Self::with(first, second, &MediaConfig::default())
    }

    fn with(first: Agreed, second: Agreed, config: &MediaConfig) -> Self {
        let now = crate::host::clock::now();
        let (media, worker, events) = Media::inline_seeded(config, Rng::seeded(5), now);
        let a = media.take(LOCAL).unwrap();
        let b = media.take_beside(&a, LOCAL).unwrap();
        let mut bridge = Self {
            worker,
            events,
            io: SimIo::new(now, SimLink::default(), Rng::seeded(6)),
            begin: now,
            now,
            rtp: [a.rtp_addr(), b.rtp_addr()],
            ports: [Some(a), Some(b)],
            peers: [1, 2].map(|seed| RtpSender::new(&mut Rng::seeded(seed))),
            seen: Vec::new(),
            sent: Vec::new(),
            media,
        };
        bridge.configure(0, first);
        bridge.configure(1, second);
        bridge.run(20);
        bridge
    }

    fn joined(first: Agreed, second: Agreed) -> Self {
        let mut bridge = Self::new(first, second);
        bridge.join();
        bridge.run(20);
        bridge
    }

    fn port(&self, side: usize) -> &Port {
        self.ports[side].as_ref().unwrap()
    }

    fn join(&self) {
        self.media.join(self.port(0), self.port(1));
    }

    fn configure(&mut self, side: usize, agreed: Agreed) {
        self.port(side).command(Command::Configure(Box::new(Plan {
            signalling_ip: agreed.remote_rtp.ip(),
            agreed,
            latch: false,
            timeout: Some(Duration::from_secs(30)),
            cname: "c".into(),
        })));
    }

    fn play(&self, side: usize, op: u64, source: Source) {
        let op = OpId(op);
        self.port(side).command(Command::Play { op, source });
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            self.now += Duration::from_millis(5);
            self.io.advance(self.now);
            self.worker.tick(self.now, &mut self.io);
            self.sent.extend(self.io.arrived());
            let seen = &mut self.seen;
            self.events.drain(|e| seen.push(e));
        }
    }

    fn post(&mut self, side: usize, header: Header, payload: &[u8]) {
        let mut bytes = [0; 2048];
        let len = header.write(payload, &mut bytes).unwrap();
        self.io.post(at(PEERS[side]), self.rtp[side], &bytes[..len]);
    }

    /// One peer says something for so long, in packets of 20 ms.
    fn talk(&mut self, side: usize, codec: Codec, pcm: &[i16]) {
        for frame in pcm.chunks(160) {
            let mut payload = Vec::new();
            codec.encode(frame, &mut payload);
            let header = self.peers[side].audio(codec.payload_type(), payload.len());
            self.post(side, header, &payload);
            self.peers[side].advance(160);
            self.run(20);
        }
    }

    fn press(&mut self, side: usize, key: char) {
        let mut sender = EventSender::new(8000);
        sender.push(Event::from_digit(key).unwrap(), 100, 60);
        while !sender.is_idle() {
            if let EventSlot::Packet {
                marker,
                timestamp,
                payload,
            } = sender.slot(self.peers[side].timestamp(), 20)
            {
                let header = self.peers[side].header(marker, 101, timestamp, 4);
                self.post(side, header, &payload);
            }
            self.peers[side].advance(160);
            self.run(20);
        }
    }

    /// What one peer received on its RTP port, and when.
    fn heard(&self, side: usize) -> Vec<(Duration, Packet<'_>)> {
        self.sent
            .iter()
            .filter(|d| d.from == self.rtp[side] && d.to == at(PEERS[side]))
            .map(|d| (d.sent_at - self.begin, Packet::parse(&d.bytes).unwrap()))
            .collect()
    }

    fn pcm(&self, side: usize, codec: Codec) -> Vec<i16> {
        let mut pcm = Vec::new();
        for (_, packet) in self.heard(side) {
            if packet.payload_type == codec.payload_type() {
                codec.decode(packet.payload, &mut pcm);
            }
        }
        pcm
    }

    fn keys(&self, side: usize) -> String {
        let mut receiver = EventReceiver::new(8000);
        let mut keys = Vec::new();
        for (at, packet) in self.heard(side) {
            if packet.payload_type == 101 {
                keys.extend(receiver.receive(self.begin + at, &packet));
            }
        }
        keys.iter()
            .filter_map(|k| match k {
                Key::Down(event) => event.digit(),
                Key::Up { .. } => None,
            })
            .collect()
    }
}

fn numbers_grow(packets: &[(Duration, Packet<'_>)]) {
    for pair in packets.windows(2) {
        let (before, after) = (&pair[0].1, &pair[1].1);
        assert_eq!(before.ssrc, after.ssrc);
        assert_eq!(after.sequence.since(before.sequence), 1);
        assert!(after.timestamp.since(before.timestamp) >= 0);
    }
}

#[test]
fn joined_peers_hear_each_other_byte_for_byte() {
    let mut bridge = Bridge::joined(agreed_with(0), agreed_with(1));
    let (one, other) = (tune(1600, 1), tune(1600, 2));
    bridge.talk(0, Codec::Pcmu, &one);
    bridge.talk(1, Codec::Pcmu, &other);
    assert_eq!(bridge.pcm(1, Codec::Pcmu), one);
    assert_eq!(bridge.pcm(0, Codec::Pcmu), other);
    for side in [0, 1] {
        let packets = bridge.heard(side);
        numbers_grow(&packets);
        assert!(packets[0].1.marker && packets[1..].iter().all(|(_, p)| !p.marker));
        assert_ne!(packets[0].1.ssrc, bridge.peers[1 - side].ssrc());
    }
}

#[test]
fn a_relayed_packet_waits_for_no_slot() {
    let mut bridge = Bridge::joined(agreed_with(0), agreed_with(1));
    for n in 0..20 {
        bridge.run(5 * (n % 3));
        let posted = bridge.now;
        let header = bridge.peers[0].audio(0, 160);
        bridge.peers[0].advance(160);
        bridge.post(0, header, &[0x55; 160]);
        bridge.worker.tick(bridge.now, &mut bridge.io);
        bridge.sent.extend(bridge.io.arrived());
        let last = bridge.heard(1).last().unwrap().0;
        assert_eq!(bridge.begin + last, posted);
    }
}

#[test]
fn ports_that_are_not_joined_stay_apart_and_parted_ones_do_again() {
    let mut bridge = Bridge::new(agreed_with(0), agreed_with(1));
    let words = tune(320, 1);
    bridge.talk(0, Codec::Pcmu, &words);
    assert!(bridge.heard(1).is_empty());
    bridge.join();
    bridge.talk(0, Codec::Pcmu, &words);
    assert_eq!(bridge.pcm(1, Codec::Pcmu), words);
    bridge.media.part(bridge.port(1), bridge.port(0));
    bridge.talk(0, Codec::Pcmu, &words);
    assert_eq!(bridge.heard(1).len(), 2);
}

#[test]
fn a_port_joined_with_a_third_leaves_the_second() {
    let mut bridge = Bridge::joined(agreed_with(0), agreed_with(1));
    let third = bridge.media.take(LOCAL).unwrap();
    let peer = at("192.0.2.200:6000");
    third.command(Command::Configure(Box::new(Plan {
        agreed: Agreed {
            remote_rtp: peer,
            ..agreed_with(1)
        },
        latch: false,
        signalling_ip: peer.ip(),
        timeout: None,
        cname: "c".into(),
    })));
    bridge.media.join(&third, bridge.port(0));
    bridge.talk(0, Codec::Pcmu, &tune(320, 1));
    assert!(bridge.heard(1).is_empty());
    let got = |bridge: &Bridge| bridge.sent.iter().filter(|d| d.to == peer).count();
    assert_eq!(got(&bridge), 2);
    // The old pair is no pair any more: parting it changes nothing.
    bridge.media.part(bridge.port(0), bridge.port(1));
    bridge.talk(0, Codec::Pcmu, &tune(320, 1));
    assert_eq!(got(&bridge), 4);
    drop(third);
    bridge.talk(0, Codec::Pcmu, &tune(320, 1));
    assert_eq!(got(&bridge), 4, "gone");
}

#[test]
fn different_codecs_are_transcoded_without_a_gap() {
    let mut bridge = Bridge::joined(agreed_with(0), in_alaw(1));
    let words: Vec<i16> = (0..16_000)
        .map(|n| ((f64::from(n) * 0.3).sin() * 9000.0) as i16)
        .collect();
    bridge.talk(0, Codec::Pcmu, &words);
    bridge.run(200);
    let packets = bridge.heard(1);
    numbers_grow(&packets);
    let pcm = bridge.pcm(1, Codec::Pcma);
    assert!(pcm.len() >= 15_900, "{}", pcm.len());
    let best = (0..400)
        .map(|shift| {
            let error: f64 = words[4000..12_000]
                .iter()
                .zip(&pcm[4000 + shift - 200..])
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum();
            error / 8000.0
        })
        .fold(f64::MAX, f64::min);
    assert!(best.sqrt() < 400.0, "noise {}", best.sqrt());
    bridge.talk(1, Codec::Pcma, &words);
    assert!(bridge.pcm(0, Codec::Pcmu).len() > 15_000);
}

#[test]
fn packet_lengths_meet_in_the_middle() {
    let long = Agreed {
        ptime_ms: 30,
        ..agreed_with(1)
    };
    let mut bridge = Bridge::joined(agreed_with(0), long);
    bridge.talk(0, Codec::Pcmu, &tune(160 * 60, 3));
    bridge.run(200);
    let packets = bridge.heard(1);
    assert!(packets.iter().all(|(_, p)| p.payload.len() == 240));
    assert!(packets.len() >= 36, "{}", packets.len());
    numbers_grow(&packets);
}

#[test]
fn keys_pass_as_events_once_and_are_reported_once() {
    for second in [agreed_with(1), in_alaw(1)] {
        let mut bridge = Bridge::joined(agreed_with(0), second);
        bridge.talk(0, Codec::Pcmu, &tune(1600, 1));
        for key in "159#".chars() {
            bridge.press(0, key);
            bridge.talk(0, Codec::Pcmu, &tune(480, 1));
        }
        assert_eq!(bridge.keys(1), "159#");
        let told: String = bridge
            .seen
            .iter()
            .filter_map(|e| match e {
                MediaEvent::Digit { digit, port, .. } if *port == bridge.port(0).id() => {
                    Some(*digit)
                }
                _ => None,
            })
            .collect();
        assert_eq!(told, "159#");
    }
}

#[test]
fn keys_become_tones_where_no_events_were_agreed() {
    let plain = Agreed {
        dtmf_payload_type: None,
        ..agreed_with(1)
    };
    let mut bridge = Bridge::joined(agreed_with(0), plain);
    for key in "28*".chars() {
        bridge.press(0, key);
        bridge.run(200);
    }
    let mut detector = DtmfDetector::new();
    let heard: String = bridge
        .pcm(1, Codec::Pcmu)
        .chunks(160)
        .filter_map(|frame| detector.push(frame))
        .collect();
    assert_eq!(heard, "28*");
    assert!(
        !bridge
            .seen
            .iter()
            .any(|e| matches!(e, MediaEvent::Finished { .. })),
        "nobody asked for them"
    );
}

#[test]
fn a_source_plays_instead_of_the_other_and_then_the_other_is_back() {
    for second in [agreed_with(1), in_alaw(1)] {
        let codec = second.codec;
        let mut bridge = Bridge::joined(agreed_with(0), second);
        bridge.talk(0, Codec::Pcmu, &tune(1600, 1));
        bridge.run(100);
        let before = bridge.heard(1).len();
        let music = tune(1600, 9);
        bridge.play(1, 7, Source::Clip(clip(&music)));
        bridge.talk(0, Codec::Pcmu, &tune(1280, 2));
        let mut expected = Vec::new();
        codec.encode(&music, &mut expected);
        let played: Vec<u8> = bridge.heard(1)[before..]
            .iter()
            .flat_map(|(_, p)| p.payload.to_vec())
            .collect();
        assert!(expected.starts_with(&played[..played.len().min(1280)]));
        bridge.talk(0, Codec::Pcmu, &tune(3200, 3));
        assert!(bridge.seen.iter().any(|e| matches!(
            e,
            MediaEvent::Finished {
                op: OpId(7),
                why: Finish::Done,
                ..
            }
        )));
        numbers_grow(&bridge.heard(1));
        assert!(bridge.heard(1).len() > before + 20);
        // The other direction was never touched.
        bridge.talk(1, codec, &tune(1600, 4));
        bridge.run(200);
        assert!(bridge.heard(0).len() >= 9);
    }
}

#[test]
fn a_held_peer_hears_nothing_of_the_other_and_is_heard() {
    let mut bridge = Bridge::joined(agreed_with(0), agreed_with(1));
    bridge.configure(
        1,
        Agreed {
            held: true,
            direction: Direction::RecvOnly,
            ..agreed_with(1)
        },
    );
    bridge.talk(0, Codec::Pcmu, &tune(800, 1));
    assert!(bridge.heard(1).is_empty());
    bridge.talk(1, Codec::Pcmu, &tune(800, 1));
    assert_eq!(bridge.heard(0).len(), 5);
    bridge.configure(1, agreed_with(1));
    bridge.talk(0, Codec::Pcmu, &tune(800, 1));
    assert_eq!(bridge.heard(1).len(), 5);
}

#[test]
fn a_codec_changed_by_a_new_answer_changes_the_way() {
    let mut bridge = Bridge::joined(agreed_with(0), agreed_with(1));
    bridge.talk(0, Codec::Pcmu, &tune(800, 1));
    bridge.configure(1, in_alaw(1));
    bridge.talk(0, Codec::Pcmu, &tune(3200, 1));
    bridge.configure(1, agreed_with(1));
    bridge.talk(0, Codec::Pcmu, &tune(800, 1));
    let kinds: Vec<u8> = bridge
        .heard(1)
        .iter()
        .map(|(_, p)| p.payload_type)
        .collect();
    assert_eq!(kinds[..5], [0; 5]);
    assert!(kinds.iter().filter(|k| **k == 8).count() >= 12);
    assert_eq!(kinds[kinds.len() - 5..], [0; 5]);
    numbers_grow(&bridge.heard(1));
}

#[test]
fn a_codec_only_one_side_agreed_on_is_transcoded_when_it_comes() {
    let both = Agreed {
        accepts: smallvec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        ..agreed_with(0)
    };
    let mut bridge = Bridge::joined(both, agreed_with(1));
    bridge.talk(0, Codec::Pcmu, &tune(800, 1));
    bridge.talk(0, Codec::Pcma, &tune(3200, 1));
    let packets = bridge.heard(1);
    assert!(packets.len() >= 5 + 14, "{}", packets.len());
    assert!(packets.iter().all(|(_, p)| p.payload_type == 0));
}

#[test]
fn the_source_may_change_and_lose_packets() {
    let mut bridge = Bridge::joined(agreed_with(0), agreed_with(1));
    bridge.talk(0, Codec::Pcmu, &tune(800, 1));
    let lost = bridge.peers[0].audio(0, 160);
    bridge.peers[0].advance(160);
    bridge.run(20);
    bridge.talk(0, Codec::Pcmu, &tune(160, 1));
    bridge.peers[0] = RtpSender::new(&mut Rng::seeded(77));
    bridge.talk(0, Codec::Pcmu, &tune(800, 1));
    let packets = bridge.heard(1);
    let steps: Vec<i16> = packets
        .windows(2)
        .map(|w| w[1].1.sequence.since(w[0].1.sequence))
        .collect();
    assert_eq!(steps, [1, 1, 1, 1, 2, 1, 1, 1, 1, 1], "after {lost:?}");
    let times: Vec<i32> = packets
        .windows(2)
        .map(|w| w[1].1.timestamp.since(w[0].1.timestamp))
        .collect();
    assert_eq!(times[4], 320);
    assert!(packets[6].1.marker && times[5] >= 160);
}

fn record_both(sides: Sides, rate_hz: u32) -> (u16, Vec<i16>) {
    let dir = tempfile::tempdir().unwrap();
    let config = MediaConfig {
        record_dir: dir.path().to_owned(),
        record_min_free: 0,
        ..MediaConfig::default()
    };
    let mut bridge = Bridge::with(agreed_with(0), agreed_with(1), &config);
    bridge.join();
    bridge.port(0).command(Command::Record {
        op: OpId(9),
        spec: RecordSpec {
            path: "r.wav".into(),
            max: Duration::from_secs(60),
            silence: None,
            finish_on: Keys::NONE,
            sides,
            rate_hz,
            ..RecordSpec::default()
        },
    });
    // The one is loud first, then the other.
    bridge.talk(0, Codec::Pcmu, &tune(8000, 1));
    bridge.run(500);
    bridge.talk(1, Codec::Pcmu, &tune(8000, 2));
    bridge.run(500);
    bridge.port(0).command(Command::StopRecord(OpId(9)));
    bridge.run(200);
    let length = bridge.seen.iter().find_map(|e| match e {
        MediaEvent::Recorded { length, .. } => Some(*length),
        _ => None,
    });
    let length = length.unwrap().as_millis() as i64;
    assert!((length - 3000).abs() <= 40, "{length}");
    let bytes = std::fs::read(dir.path().join("r.wav")).unwrap();
    assert_eq!(bytes[24..28], rate_hz.to_le_bytes());
    let pcm = bytes[44..]
        .chunks_exact(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect();
    (u16::from_le_bytes([bytes[22], bytes[23]]), pcm)
}

#[test]
fn a_recording_holds_one_party_a_channel_when_asked() {
    let (channels, pcm) = record_both(Sides::Apart, 8000);
    assert_eq!(channels, 2);
    let side = |n: usize| -> Vec<i16> { pcm.iter().skip(n).step_by(2).copied().collect() };
    let (ours, theirs) = (side(0), side(1));
    let loud = |pcm: &[i16]| level_dbov(pcm) > -30.0;
    assert!(loud(&ours[2000..7000]) && !loud(&ours[14_000..19_000]));
    assert!(!loud(&theirs[2000..7000]) && loud(&theirs[14_000..19_000]));
}

#[test]
fn a_recording_holds_more_samples_when_asked() {
    let (channels, pcm) = record_both(Sides::Apart, 16_000);
    assert_eq!(channels, 2);
    let side = |n: usize| -> Vec<i16> { pcm.iter().skip(n).step_by(2).copied().collect() };
    let (ours, theirs) = (side(0), side(1));
    assert!(ours.len().abs_diff(48_000) <= 640, "{}", ours.len());
    let loud = |pcm: &[i16]| level_dbov(pcm) > -30.0;
    assert!(loud(&ours[4000..14_000]) && !loud(&ours[28_000..38_000]));
    assert!(!loud(&theirs[4000..14_000]) && loud(&theirs[28_000..38_000]));
    let (_, pcm) = record_both(Sides::Mixed, 16_000);
    assert!(loud(&pcm[4000..14_000]) && loud(&pcm[28_000..38_000]));
}

#[test]
fn a_recording_of_both_sides_is_their_sum() {
    let (channels, pcm) = record_both(Sides::Mixed, 8000);
    assert_eq!(channels, 1);
    let loud = |pcm: &[i16]| level_dbov(pcm) > -30.0;
    assert!(loud(&pcm[2000..7000]) && loud(&pcm[14_000..19_000]));
    let (channels, pcm) = record_both(Sides::Peer, 8000);
    assert_eq!(channels, 1);
    assert!(loud(&pcm[2000..7000]) && !loud(&pcm[14_000..19_000]));
    let (channels, pcm) = record_both(Sides::Own, 8000);
    assert_eq!(channels, 1);
    assert!(!loud(&pcm[2000..7000]) && loud(&pcm[14_000..19_000]));
}
