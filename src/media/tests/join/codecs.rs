//! Every codec to every other.

use super::*;

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
