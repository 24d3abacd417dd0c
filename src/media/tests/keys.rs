//! Keys as events, as tones and in the audio; the echo.

use super::*;

#[test]
fn keys_are_sent_as_events_while_audio_waits() {
    let mut line = Line::clean();
    let pcm = tune(1600, 7);
    line.play(1, Source::Clip(clip(&pcm)));
    line.run(100);
    line.command(Command::SendDigits {
        op: OpId(2),
        digits: "1w#x".into(),
        duration_ms: 100,
        gap_ms: 60,
    });
    line.run(1500);
    let mut receiver = EventReceiver::new(8000);
    let mut keys = Vec::new();
    for (t, packet) in line.rtp() {
        if packet.payload_type == 101 {
            keys.extend(receiver.receive(line.begin + t, &packet));
        }
    }
    let down: Vec<Event> = keys
        .iter()
        .filter_map(|k| if let Key::Down(e) = k { Some(*e) } else { None })
        .collect();
    assert_eq!(down, ['1', '#'].map(|d| Event::from_digit(d).unwrap()));
    assert_eq!(line.heard(), pcm, "no sample was lost to the keys");
    assert_eq!(line.finished(), [(2, Finish::Done), (1, Finish::Done)]);
    let packets = line.rtp();
    assert!(
        packets
            .windows(2)
            .all(|w| w[1].1.sequence.since(w[0].1.sequence) == 1)
    );
    let back = packets
        .iter()
        .position(|(_, p)| p.payload_type == 101)
        .unwrap();
    let audio = packets[back..]
        .iter()
        .find(|(_, p)| p.payload_type == 0)
        .unwrap();
    assert!(audio.1.marker);
}

#[test]
fn keys_are_sent_as_tones_when_no_events_were_agreed() {
    let mut line = Line::clean();
    line.command(plan(Agreed {
        dtmf_payload_type: None,
        ..agreed()
    }));
    line.run(20);
    line.command(Command::SendDigits {
        op: OpId(2),
        digits: "159D".into(),
        duration_ms: 100,
        gap_ms: 100,
    });
    line.run(1500);
    let mut detector = DtmfDetector::new();
    let found: String = line
        .heard()
        .chunks(160)
        .filter_map(|f| detector.push(f))
        .collect();
    assert_eq!(found, "159D");
    assert_eq!(line.finished(), [(2, Finish::Done)]);
}

#[test]
fn sending_keys_can_be_cancelled() {
    let mut line = Line::clean();
    line.command(Command::SendDigits {
        op: OpId(2),
        digits: "123456789".into(),
        duration_ms: 200,
        gap_ms: 200,
    });
    line.command(Command::SendDigits {
        op: OpId(3),
        digits: "0".into(),
        duration_ms: 100,
        gap_ms: 100,
    });
    line.run(500);
    line.command(Command::Cancel(OpId(2)));
    line.run(1000);
    assert_eq!(line.finished(), [(2, Finish::Cancelled), (3, Finish::Done)]);
}

#[test]
fn every_key_is_reported_once_at_ten_percent_loss() {
    let link = SimLink {
        loss: 0.1,
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(15),
        duplication: 0.02,
    };
    let mut line = Line::new(link, &MediaConfig::default());
    line.command(plan(agreed()));
    let mut rng = Rng::seeded(8);
    let keys: String = (0..300)
        .map(|_| char::from(b"0123456789*#"[rng.below(12) as usize]))
        .collect();
    line.press(at(PEER), &keys);
    line.run(500);
    assert_eq!(line.digits(), keys);
}

#[test]
fn keys_in_the_audio_count_only_when_no_events_were_agreed() {
    for (events, expected) in [(None, "42"), (Some(101), "")] {
        let mut line = Line::clean();
        line.command(plan(Agreed {
            dtmf_payload_type: events,
            ..agreed()
        }));
        let mut pcm = Vec::new();
        for key in ['4', '2'] {
            pcm.extend(dtmf_tone(key, 120));
            pcm.extend([0; 960]);
        }
        let frames = pcm.chunks(160).map(|f| {
            let mut payload = Vec::new();
            Codec::Pcmu.encode(f, &mut payload);
            payload
        });
        line.talk(at(PEER), frames.collect::<Vec<_>>());
        line.talk(at(PEER), vec![vec![0xFF; 160]; 20]);
        assert_eq!(line.digits(), expected);
    }
}

#[test]
fn keys_in_the_audio_can_be_turned_off() {
    let mut line = Line::clean();
    line.command(plan(Agreed {
        dtmf_payload_type: None,
        ..agreed()
    }));
    line.command(Command::Inband(false));
    let mut payload = Vec::new();
    Codec::Pcmu.encode(&dtmf_tone('7', 200), &mut payload);
    line.talk(
        at(PEER),
        payload.chunks(160).map(<[u8]>::to_vec).collect::<Vec<_>>(),
    );
    line.talk(at(PEER), vec![vec![0xFF; 160]; 20]);
    assert_eq!(line.digits(), "");
}

#[test]
fn an_echo_gives_back_what_the_peer_said() {
    let mut line = Line::clean();
    line.play(1, Source::Echo);
    let pcm = tune(16_000, 9);
    let mut encoded = Vec::new();
    Codec::Pcmu.encode(&pcm, &mut encoded);
    line.talk(
        at(PEER),
        encoded.chunks(160).map(<[u8]>::to_vec).collect::<Vec<_>>(),
    );
    line.run(300);
    let heard = line.heard();
    let begin = heard
        .windows(160)
        .position(|w| w == &pcm[..160])
        .expect("the first packet comes back");
    let whole = heard[begin..]
        .iter()
        .zip(&pcm)
        .take_while(|(a, b)| a == b)
        .count();
    assert!(whole >= 14_000, "{whole} samples in a row");
    assert!(begin <= 1600, "{begin} samples late");
}
