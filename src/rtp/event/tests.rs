use std::time::Duration;

use super::receiver::GIVE_UP;
use super::sender::MAX_QUEUE;
use super::*;
use crate::base::rng::Rng;
use crate::rtp::packet::Packet;
use crate::rtp::sequence::{RtpTime, Seq};
use crate::rtp::{RtpSender, some_instant};

fn event(digit: char) -> Event {
    Event::from_digit(digit).unwrap()
}

/// One packet in wire terms.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sent {
    at_ms: u64,
    marker: bool,
    seq: Seq,
    time: RtpTime,
    payload: [u8; 4],
}

impl Sent {
    fn end(&self) -> bool {
        self.payload[1] & 0x80 != 0
    }
    fn duration(&self) -> u16 {
        u16::from_be_bytes([self.payload[2], self.payload[3]])
    }
    fn packet(&self) -> Packet<'_> {
        Packet {
            marker: self.marker,
            payload_type: 101,
            sequence: self.seq,
            timestamp: self.time,
            ssrc: 9,
            payload: &self.payload,
        }
    }
}

/// Everything a sender sends until it is idle, and how many slots had audio.
fn send(digits: &str, duration_ms: u32, gap_ms: u32) -> Vec<Sent> {
    let mut stream = RtpSender::new(&mut Rng::seeded(3));
    let mut sender = EventSender::new(8000);
    let mut waiting = digits.chars().peekable();
    let mut sent = Vec::new();
    let mut at_ms = 0;
    while waiting.peek().is_some() || !sender.is_idle() {
        while let Some(digit) = waiting.peek() {
            if !sender.push(event(*digit), duration_ms, gap_ms) {
                break;
            }
            waiting.next();
        }
        if let EventSlot::Packet {
            marker,
            timestamp,
            payload,
        } = sender.slot(stream.timestamp(), 20)
        {
            let header = stream.header(marker, 101, timestamp, 4);
            sent.push(Sent {
                at_ms,
                marker,
                seq: header.sequence,
                time: timestamp,
                payload,
            });
        }
        stream.advance(160);
        at_ms += 20;
    }
    sent
}

fn digits_down(keys: &[Key]) -> String {
    keys.iter()
        .filter_map(|key| {
            if let Key::Down(event) = key {
                event.digit()
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn codes_and_digits_are_those_of_the_rfc() {
    for (digit, code) in [
        ('0', 0),
        ('9', 9),
        ('*', 10),
        ('#', 11),
        ('A', 12),
        ('D', 15),
        ('d', 15),
    ] {
        assert_eq!(event(digit).code(), code);
        assert_eq!(
            Event::from_code(code).unwrap().digit(),
            Some(digit.to_ascii_uppercase())
        );
    }
    assert_eq!(
        (
            Event::FLASH.digit(),
            Event::from_code(17),
            Event::from_digit('x')
        ),
        (None, None, None)
    );
}

#[test]
fn a_digit_is_sent_as_the_rfc_says() {
    let sent = send("5", 100, 40);
    assert_eq!(
        sent.iter().map(Sent::duration).collect::<Vec<_>>(),
        [160, 320, 480, 640, 800, 800, 800]
    );
    assert_eq!(
        sent.iter().map(|s| s.marker).collect::<Vec<_>>(),
        [true, false, false, false, false, false, false]
    );
    assert_eq!(
        sent.iter().map(Sent::end).collect::<Vec<_>>(),
        [false, false, false, false, true, true, true]
    );
    assert!(
        sent.iter()
            .all(|s| s.time == sent[0].time && s.payload[0] == 5 && s.payload[1] & 0x3F == 10)
    );
    assert!(sent.windows(2).all(|w| w[1].seq.since(w[0].seq) == 1));
}

#[test]
fn tone_and_gap_are_at_least_40_ms() {
    let sent = send("12", 1, 1);
    let second = sent.iter().position(|s| s.payload[0] == 2).unwrap();
    assert_eq!(
        sent[second].time.since(sent[0].time),
        640,
        "40 ms of tone, 40 ms of gap"
    );
    assert_eq!(sent[second - 1].duration(), 320);
}

#[test]
fn long_events_are_sent_in_segments_and_heard_as_one() {
    let sent = send("7", 20_000, 40);
    let markers = sent.iter().filter(|s| s.marker).count();
    let segments: Vec<RtpTime> = sent.iter().fold(Vec::new(), |mut all, s| {
        if all.last() != Some(&s.time) {
            all.push(s.time);
        }
        all
    });
    assert_eq!((markers, segments.len()), (1, 3));
    assert!(segments.windows(2).all(|w| w[1].since(w[0]) == 0xFFFF));
    let begin = some_instant();
    let mut receiver = EventReceiver::new(8000);
    let keys: Vec<Key> = sent
        .iter()
        .flat_map(|s| receiver.receive(begin + Duration::from_millis(s.at_ms), &s.packet()))
        .collect();
    assert_eq!(
        keys,
        [
            Key::Down(event('7')),
            Key::Up {
                event: event('7'),
                duration_ms: 20_000
            }
        ]
    );
}

#[test]
fn cancelling_ends_the_digit_properly() {
    let mut sender = EventSender::new(8000);
    sender.push(event('1'), 1000, 40);
    sender.push(event('2'), 100, 40);
    sender.slot(RtpTime(0), 20);
    sender.cancel();
    let rest: Vec<EventSlot> = (0..6)
        .map(|i| sender.slot(RtpTime(160 * (i + 1)), 20))
        .collect();
    let ends = rest
        .iter()
        .filter(|s| matches!(s, EventSlot::Packet { payload, .. } if payload[1] & 0x80 != 0))
        .count();
    assert_eq!((ends, rest.last()), (3, Some(&EventSlot::Audio)));
}

#[test]
fn the_queue_has_a_limit() {
    let mut sender = EventSender::new(8000);
    assert_eq!(
        (0..1000)
            .filter(|_| sender.push(event('1'), 100, 40))
            .count(),
        MAX_QUEUE
    );
}

#[test]
fn a_clean_digit_is_one_press_with_its_length() {
    let begin = some_instant();
    let mut receiver = EventReceiver::new(8000);
    let sent = send("5", 100, 40);
    let keys: Vec<Key> = sent
        .iter()
        .flat_map(|s| receiver.receive(begin, &s.packet()))
        .collect();
    assert_eq!(
        keys,
        [
            Key::Down(event('5')),
            Key::Up {
                event: event('5'),
                duration_ms: 100
            }
        ]
    );
    assert_eq!(receiver.poll_timeout(), None);
}

#[test]
fn a_lost_end_is_noticed_by_time_by_the_next_digit_and_by_audio() {
    let begin = some_instant();
    let sent = send("55", 100, 40);
    let unended: Vec<&Sent> = sent.iter().filter(|s| !s.end()).collect();
    let (first, second) = (unended[0], unended[4]);
    assert_ne!(first.time, second.time);

    let mut receiver = EventReceiver::new(8000);
    receiver.receive(begin, &first.packet());
    assert_eq!(
        receiver.handle_timeout(begin + Duration::from_millis(149)),
        None
    );
    assert_eq!(
        receiver.handle_timeout(begin + GIVE_UP),
        Some(Key::Up {
            event: event('5'),
            duration_ms: 20
        })
    );
    assert!(
        receiver.receive(begin, &unended[1].packet()).is_empty(),
        "no second digit from what comes later"
    );

    let mut receiver = EventReceiver::new(8000);
    receiver.receive(begin, &first.packet());
    let keys = receiver.receive(begin, &second.packet());
    assert_eq!(
        keys.as_slice(),
        [
            Key::Up {
                event: event('5'),
                duration_ms: 20
            },
            Key::Down(event('5'))
        ]
    );

    let mut receiver = EventReceiver::new(8000);
    receiver.receive(begin, &first.packet());
    let audio = |ahead: u32| Packet {
        marker: false,
        payload_type: 0,
        sequence: first.seq.plus(9),
        timestamp: first.time.plus(ahead),
        ssrc: 9,
        payload: &[],
    };
    assert_eq!(receiver.audio(&audio(160)), None, "audio beside the event");
    assert!(receiver.audio(&audio(800)).is_some());
}

#[test]
fn repeated_ends_and_old_packets_are_not_digits() {
    let begin = some_instant();
    let sent = send("12", 100, 40);
    let mut receiver = EventReceiver::new(8000);
    let mut keys: Vec<Key> = sent
        .iter()
        .flat_map(|s| receiver.receive(begin, &s.packet()))
        .collect();
    keys.extend(
        sent.iter()
            .flat_map(|s| receiver.receive(begin, &s.packet())),
    );
    assert_eq!(digits_down(&keys), "12");
}

#[test]
fn the_first_packets_may_be_lost_down_to_the_last_one() {
    let sent = send("8", 100, 40);
    for skip in 0..sent.len() {
        let mut receiver = EventReceiver::new(8000);
        let keys: Vec<Key> = sent
            .iter()
            .skip(skip)
            .flat_map(|s| receiver.receive(some_instant(), &s.packet()))
            .collect();
        assert_eq!(
            (digits_down(&keys).as_str(), keys.len()),
            ("8", 2),
            "{skip} lost"
        );
    }
}

#[test]
fn strange_payloads_are_ignored() {
    let mut receiver = EventReceiver::new(8000);
    for payload in [&[][..], &[5], &[5, 10, 0], &[17, 10, 0, 160], &[255; 4]] {
        let packet = Packet {
            marker: true,
            payload_type: 101,
            sequence: Seq(1),
            timestamp: RtpTime(1),
            ssrc: 9,
            payload,
        };
        assert!(receiver.receive(some_instant(), &packet).is_empty());
    }
}

#[test]
fn a_sender_that_restarts_its_timestamps_is_still_heard() {
    let mut receiver = EventReceiver::new(8000);
    let begin = some_instant();
    let mut heard = String::new();
    for (i, time) in [1_000_000u32, 500, 3_000_000_000, 0]
        .into_iter()
        .enumerate()
    {
        let payload = [i as u8, 0x8A, 3, 32];
        let packet = Packet {
            marker: true,
            payload_type: 101,
            sequence: Seq(i as u16 * 10),
            timestamp: RtpTime(time),
            ssrc: 9,
            payload: &payload,
        };
        heard += &digits_down(&receiver.receive(begin, &packet));
    }
    assert_eq!(heard, "0123");
}

/// 1,000 digits through 10 % random loss: at least 999 right, none twice (RFC 4733, issue figure).
#[test]
fn a_thousand_digits_survive_ten_percent_loss() {
    let keypad: Vec<char> = "0123456789*#ABCD".chars().collect();
    for seed in 0..40 {
        let mut rng = Rng::seeded(seed);
        let dialled: String = (0..1000).map(|_| keypad[rng.below(16) as usize]).collect();
        let (duration, gap) = [(100, 40), (160, 100), (60, 40)][(seed % 3) as usize];
        let sent = send(&dialled, duration, gap);
        let begin = some_instant();
        let mut receiver = EventReceiver::new(8000);
        let mut keys = Vec::new();
        for packet in &sent {
            let now = begin + Duration::from_millis(packet.at_ms);
            keys.extend(receiver.handle_timeout(now));
            if rng.unit() >= 0.10 {
                keys.extend(receiver.receive(now, &packet.packet()));
                if rng.below(50) == 0 {
                    keys.extend(receiver.receive(now, &packet.packet())); // the network may repeat as well
                }
            }
        }
        let heard: Vec<char> = digits_down(&keys).chars().collect();
        // Every digit heard is one dialled, in order: what is heard is a subsequence of nearly full length.
        let mut rest = dialled.chars();
        let right = heard
            .iter()
            .take_while(|digit| rest.by_ref().any(|d| d == **digit))
            .count();
        assert_eq!(right, heard.len(), "seed {seed}: a digit too many");
        assert!(right >= 999, "seed {seed}: {right} of 1000");
    }
}
