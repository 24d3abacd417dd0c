//! Two ports joined: relayed, transcoded, played over, recorded, parted.

use super::*;
use crate::audio::level::level_dbov;

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

/// What a peer that agreed on this codec agreed on.
fn in_codec(peer: usize, codec: Codec) -> Agreed {
    Agreed {
        codec,
        payload_type: codec.payload_type(),
        accepts: smallvec![(codec.payload_type(), codec)],
        dtmf_clock_rate_hz: codec.clock_rate_hz(),
        ..agreed_with(peer)
    }
}

/// A tone of 400 Hz.
fn hum(codec: Codec, samples: usize) -> Vec<i16> {
    let step = 400.0 * std::f64::consts::TAU / f64::from(codec.sample_rate_hz());
    (0..samples)
        .map(|n| ((n as f64 * step).sin() * 8000.0) as i16)
        .collect()
}

/// How much of a sound is that tone, in the best of its phases.
fn likeness(codec: Codec, pcm: &[i16]) -> f64 {
    let step = 400.0 * std::f64::consts::TAU / f64::from(codec.sample_rate_hz());
    let (mut re, mut im, mut energy) = (0.0, 0.0, 0.0);
    for (n, s) in pcm.iter().enumerate() {
        re += f64::from(*s) * (n as f64 * step).cos();
        im += f64::from(*s) * (n as f64 * step).sin();
        energy += f64::from(*s).powi(2);
    }
    (re * re + im * im).sqrt() / (energy * pcm.len() as f64 / 2.0).sqrt()
}

impl Bridge {
    /// One peer hums for so long, in packets of 20 ms.
    fn hum(&mut self, side: usize, codec: Codec, packets: usize) {
        let length = codec.samples_per_ms() * 20;
        let mut encoder = codec.encoder();
        for frame in hum(codec, length * packets).chunks(length) {
            let mut payload = Vec::new();
            encoder.encode(frame, &mut payload);
            let header = self.peers[side].audio(codec.payload_type(), payload.len());
            self.post(side, header, &payload);
            self.peers[side].advance(codec.ticks_per_ms() * 20);
            self.run(20);
        }
    }

    /// What a peer heard, decoded as one stream.
    fn listened(&self, side: usize, codec: Codec) -> Vec<i16> {
        let (mut pcm, mut decoder) = (Vec::new(), codec.decoder());
        for (_, packet) in self.heard(side) {
            assert_eq!(packet.payload_type, codec.payload_type());
            decoder.decode(packet.payload, &mut pcm);
        }
        pcm
    }
}

#[test]
fn every_codec_is_heard_in_every_other() {
    for &one in Codec::ALL {
        for &other in Codec::ALL {
            let mut bridge = Bridge::joined(in_codec(0, one), in_codec(1, other));
            bridge.hum(0, one, 60);
            bridge.run(200);
            let packets = bridge.heard(1);
            numbers_grow(&packets);
            let ticks = other.ticks_per_ms() * 20;
            for pair in packets.windows(2) {
                assert_eq!(pair[1].1.timestamp.since(pair[0].1.timestamp), ticks as i32);
            }
            let pcm = bridge.listened(1, other);
            let second = other.sample_rate_hz() as usize;
            assert!(pcm.len() >= second, "{one:?} to {other:?}: {}", pcm.len());
            let middle = &pcm[second / 4..second * 9 / 10];
            let like = likeness(other, middle);
            assert!(like > 0.97, "{one:?} to {other:?}: {like}");
            let level = level_dbov(middle) - level_dbov(&hum(other, second));
            assert!(level.abs() < 1.5, "{one:?} to {other:?}: {level} dB");
        }
    }
}

#[test]
fn clips_streams_keys_and_echo_sound_right_in_every_codec() {
    for &codec in Codec::ALL {
        let rate_hz = codec.sample_rate_hz();
        let mut bridge = Bridge::new(in_codec(0, codec), in_codec(1, codec));
        let tone = hum(Codec::Pcmu, 4000);
        bridge.play(0, 1, Source::Clip(clip(&tone)));
        bridge.play(0, 2, Source::Silence(Some(Duration::from_millis(100))));
        let (mut writer, reader) = stream(Duration::from_secs(1));
        writer.push(&tone);
        writer.finish();
        bridge.play(0, 3, Source::Stream(reader));
        bridge.run(1400);
        let pcm = bridge.listened(0, codec);
        let at = |ms: usize| ms * rate_hz as usize / 1000;
        assert!(pcm.len().abs_diff(at(1100)) <= at(20), "{codec:?}");
        for (from, to) in [(60, 480), (680, 1080)] {
            let like = likeness(codec, &pcm[at(from)..at(to)]);
            assert!(like > 0.97, "{codec:?} {from}: {like}");
        }
        assert!(level_dbov(&pcm[at(530)..at(590)]) < -45.0, "{codec:?}");
        // Without events keys are tones, and a codec changed meanwhile does not end what plays.
        bridge.sent.clear();
        bridge.play(0, 4, Source::Clip(clip(&tone)));
        bridge.run(100);
        bridge.configure(0, agreed_with(0));
        bridge.run(600);
        let done = |op: u64| {
            bridge.seen.iter().any(|e| {
                matches!(e, MediaEvent::Finished { op: of, why: Finish::Done, .. } if of.0 == op)
            })
        };
        assert!((1..=4).all(done), "{codec:?}");
        let narrow = bridge.pcm(0, Codec::Pcmu);
        let like = likeness(Codec::Pcmu, &narrow[narrow.len() / 3..narrow.len() - 240]);
        assert!(like > 0.97, "{codec:?} to PCMU: {like}");
    }
}

#[test]
fn an_echo_and_a_key_work_at_every_rate() {
    for &codec in Codec::ALL {
        let plain = Agreed {
            dtmf_payload_type: None,
            ..in_codec(0, codec)
        };
        let mut bridge = Bridge::new(plain, in_codec(1, codec));
        bridge.play(0, 1, Source::Echo);
        bridge.hum(0, codec, 40);
        let pcm = bridge.listened(0, codec);
        let tail = &pcm[pcm.len() / 3..];
        assert!(likeness(codec, tail) > 0.97, "{codec:?}");
        bridge.port(0).command(Command::Flush);
        bridge.run(40);
        bridge.port(0).command(Command::SendDigits {
            op: OpId(2),
            digits: "47".into(),
            duration_ms: 100,
            gap_ms: 60,
        });
        bridge.run(500);
        let (mut narrow, mut rate) = (
            Vec::new(),
            crate::audio::Rate::new(codec.sample_rate_hz(), 8000),
        );
        rate.push(&bridge.listened(0, codec), &mut narrow);
        let mut detector = DtmfDetector::new();
        let keys: String = narrow
            .chunks(160)
            .filter_map(|frame| detector.push(frame))
            .collect();
        assert_eq!(keys, "47", "{codec:?}");
    }
}

#[test]
fn events_change_their_clock_on_the_way() {
    let mut bridge = Bridge::joined(in_codec(0, Codec::Opus), agreed_with(1));
    let mut sender = EventSender::new(48_000);
    for key in "60".chars() {
        sender.push(Event::from_digit(key).unwrap(), 100, 60);
        while !sender.is_idle() {
            if let EventSlot::Packet {
                marker,
                timestamp,
                payload,
            } = sender.slot(bridge.peers[0].timestamp(), 20)
            {
                let header = bridge.peers[0].header(marker, 101, timestamp, 4);
                bridge.post(0, header, &payload);
            }
            bridge.peers[0].advance(960);
            bridge.run(20);
        }
    }
    assert_eq!(bridge.keys(1), "60");
    let ends: Vec<u16> = bridge
        .heard(1)
        .iter()
        .filter(|(_, p)| p.payload[1] & 0x80 != 0)
        .map(|(_, p)| u16::from_be_bytes([p.payload[2], p.payload[3]]))
        .collect();
    assert_eq!(ends, [800; 6]);
}

mod secure {
    use super::*;
    use crate::rtp::srtp::{MasterKey, Protect, Suite, Unprotect};
    use crate::sdp::SrtpKeys;

    fn key(suite: Suite, seed: u64) -> MasterKey {
        let mut bytes = vec![0; suite.key_bytes() + suite.salt_bytes()];
        Rng::seeded(seed).fill(&mut bytes);
        MasterKey::new(suite, &bytes).unwrap()
    }

    /// A bridge whose first peer speaks SRTP, and that peer's ends of it.
    struct Secure {
        bridge: Bridge,
        seal: Protect,
        open: Unprotect,
    }

    impl Secure {
        fn new(suite: Suite) -> Self {
            let keys = SrtpKeys {
                send: key(suite, 1),
                receive: key(suite, 2),
            };
            let secure = Agreed {
                srtp: Some(keys.clone()),
                ..agreed_with(0)
            };
            Self {
                bridge: Bridge::joined(secure, agreed_with(1)),
                seal: Protect::new(&keys.receive),
                open: Unprotect::new(&keys.send),
            }
        }

        fn sealed(&mut self, payload: &[u8]) -> Vec<u8> {
            let peer = &mut self.bridge.peers[0];
            let mut packet = peer.audio(0, payload.len()).bytes().to_vec();
            peer.advance(160);
            packet.extend_from_slice(payload);
            self.seal.rtp(&mut packet).unwrap();
            packet
        }

        fn post(&mut self, from: SocketAddr, packet: &[u8]) {
            let to = self.bridge.rtp[0];
            self.bridge.io.post(from, to, packet);
            self.bridge.run(20);
        }

        /// What the secure peer heard, opened.
        fn heard(&mut self) -> Vec<u8> {
            let from = self.bridge.rtp[0];
            let sent = self.bridge.sent.iter().filter(|d| d.from == from);
            let mut payloads = Vec::new();
            for datagram in sent {
                let mut packet = datagram.bytes.clone();
                let length = self.open.rtp(&mut packet).unwrap();
                payloads.extend_from_slice(Packet::parse(&packet[..length]).unwrap().payload);
            }
            payloads
        }
    }

    #[test]
    fn a_secure_and_a_plain_peer_hear_each_other() {
        for suite in Suite::ALL {
            let mut call = Secure::new(suite);
            for n in 0..20 {
                let packet = call.sealed(&[n; 160]);
                call.post(at(PEERS[0]), &packet);
            }
            let heard = call.bridge.heard(1);
            assert_eq!(heard.len(), 20, "{suite:?}");
            for (n, (_, packet)) in (0..).zip(&heard) {
                assert_eq!(packet.payload, [n; 160]);
            }
            call.bridge.talk(1, Codec::Pcmu, &tune(1600, 3));
            let mut expected = Vec::new();
            Codec::Pcmu.encode(&tune(1600, 3), &mut expected);
            assert_eq!(call.heard(), expected);
        }
    }

    #[test]
    fn a_flood_of_bad_tags_ends_nothing_and_latches_nothing() {
        let mut call = Secure::new(Suite::Aes128Sha80);
        let mut rng = Rng::seeded(9);
        let good = call.sealed(&[1; 160]);
        call.post(at(PEERS[0]), &good);
        for n in 0..1000 {
            let mut bad = good.clone();
            rng.fill(&mut bad[2..]);
            let from = if n % 2 == 0 {
                PEERS[0]
            } else {
                "192.0.2.66:6666"
            };
            let to = call.bridge.rtp[0];
            call.bridge.io.post(at(from), to, &bad);
        }
        call.bridge.run(100);
        let good = call.sealed(&[2; 160]);
        call.post(at(PEERS[0]), &good);
        assert_eq!(call.bridge.heard(1).len(), 2);
        let stranger = at("192.0.2.66:6666");
        assert!(call.bridge.sent.iter().all(|d| d.to != stranger));
        // The same packet again is none.
        call.post(at(PEERS[0]), &good);
        assert_eq!(call.bridge.heard(1).len(), 2);
        call.bridge.ports = [None, None];
        call.bridge.run(20);
        let refused = call.bridge.seen.iter().find_map(|e| match e {
            MediaEvent::Closed { stats, .. } if stats.unauthentic > 0 => Some(stats.unauthentic),
            _ => None,
        });
        // The stranger's half never came past the kernel: the socket is bound to the peer.
        assert_eq!(refused, Some(501));
    }

    /// `security.md` row 14: a million in soak, 20,000 in the short form; random ones, ones with a right header and a
    /// wrong tag, forged reports and goodbyes, checks of nobody.
    #[test]
    fn a_million_bad_packets_end_no_secure_call() {
        let mut call = Secure::new(Suite::Aes128Sha80);
        let mut rng = Rng::seeded(14);
        let mut heard = 0;
        let rounds = if soak() { 20_000 } else { 400 };
        for round in 0..rounds {
            let good = call.sealed(&[1; 160]);
            let to = call.bridge.rtp[0];
            let rtcp = SocketAddr::new(to.ip(), to.port() + 1);
            for n in 0..50_u32 {
                let mut bad = good.clone();
                match n % 5 {
                    0 => rng.fill(&mut bad),
                    1 => rng.fill(&mut bad[12..]),
                    2 => bad.truncate(usize::try_from(rng.below(40)).unwrap()),
                    // A goodbye, and a sender's report, of the peer's own source.
                    3 => {
                        bad[1] = 203;
                        rng.fill(&mut bad[12..]);
                    }
                    _ => {
                        bad[1] = 200;
                        rng.fill(&mut bad[8..]);
                    }
                }
                let from = if n % 2 == 0 {
                    PEERS[0]
                } else {
                    "192.0.2.66:6666"
                };
                let port = if n % 3 == 0 { rtcp } else { to };
                call.bridge.io.post(at(from), port, &bad);
            }
            call.post(at(PEERS[0]), &good);
            call.bridge.run(20);
            heard += call.bridge.heard(1).len();
            call.bridge.sent.clear();
            assert!(
                !call
                    .bridge
                    .seen
                    .iter()
                    .any(|e| matches!(e, MediaEvent::Closed { .. })),
                "round {round}"
            );
        }
        assert!(
            heard >= rounds * 99 / 100,
            "{heard} of {rounds} good packets came through"
        );
    }

    #[test]
    fn only_authentic_packets_move_media_behind_a_nat() {
        let mut call = Secure::new(Suite::Aes128Gcm);
        let keys = SrtpKeys {
            send: key(Suite::Aes128Gcm, 1),
            receive: key(Suite::Aes128Gcm, 2),
        };
        let signalled = at("10.0.0.5:4000");
        let agreed = Agreed {
            remote_rtp: signalled,
            srtp: Some(keys),
            ..agreed_with(0)
        };
        call.bridge
            .port(0)
            .command(Command::Configure(Box::new(Plan {
                agreed,
                latch: true,
                signalling_ip: at(PEERS[0]).ip(),
                timeout: None,
                cname: "c".into(),
            })));
        call.bridge.run(20);
        let attacker = SocketAddr::new(at(PEERS[0]).ip(), 6666);
        for n in 0..10u16 {
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: crate::rtp::Seq(n),
                timestamp: crate::rtp::RtpTime(u32::from(n) * 160),
                ssrc: 66,
            };
            let mut bytes = header.bytes().to_vec();
            bytes.extend([0; 176]);
            call.post(attacker, &bytes);
        }
        for n in 0..10 {
            let packet = call.sealed(&[n; 160]);
            call.post(at(PEERS[0]), &packet);
        }
        assert!(call.bridge.heard(1).len() >= 6, "the real one is heard");
        call.bridge.talk(1, Codec::Pcmu, &tune(800, 1));
        assert!(call.bridge.sent.iter().all(|d| d.to != attacker));
        let real = at(PEERS[0]);
        assert!(call.bridge.sent.iter().any(|d| d.to == real));
    }

    #[test]
    fn keys_may_change_with_an_answer_and_a_refresh_changes_nothing() {
        let suite = Suite::Aes128Sha80;
        let mut call = Secure::new(suite);
        let agree = |call: &mut Secure, seed: u64| {
            let keys = SrtpKeys {
                send: key(suite, seed),
                receive: key(suite, seed + 1),
            };
            let srtp = Some(keys);
            call.bridge.configure(
                0,
                Agreed {
                    srtp,
                    ..agreed_with(0)
                },
            );
            call.bridge.run(20);
        };
        let first = call.sealed(&[1; 160]);
        call.post(at(PEERS[0]), &first);
        agree(&mut call, 1);
        call.post(at(PEERS[0]), &first);
        assert_eq!(
            call.bridge.heard(1).len(),
            1,
            "a replay stays one after a refresh"
        );
        agree(&mut call, 50);
        let old = call.sealed(&[2; 160]);
        call.post(at(PEERS[0]), &old);
        assert_eq!(call.bridge.heard(1).len(), 1);
        call.seal = Protect::new(&key(suite, 51));
        let new = call.sealed(&[3; 160]);
        call.post(at(PEERS[0]), &new);
        assert_eq!(call.bridge.heard(1).len(), 2);
    }

    #[test]
    fn reports_are_secure_too() {
        let mut call = Secure::new(Suite::Aes128Sha80);
        for n in 0..400 {
            let packet = call.sealed(&[n as u8; 160]);
            call.post(at(PEERS[0]), &packet);
        }
        let to = SocketAddr::new(at(PEERS[0]).ip(), at(PEERS[0]).port() + 1);
        let reports: Vec<Vec<u8>> = call
            .bridge
            .sent
            .iter()
            .filter(|d| d.to == to)
            .map(|d| d.bytes.clone())
            .collect();
        assert!(!reports.is_empty());
        for mut report in reports {
            let length = call.open.rtcp(&mut report).unwrap();
            assert!(rtcp::parse(&report[..length]).count() >= 2);
        }
    }
}
