//! A sender, a path with faults, and a player that pulls every 20 ms.

use std::time::Duration;

use super::*;
use crate::base::rng::Rng;
use crate::rtp::some_instant as start;

const FRAME: u32 = 160;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn packet(seq: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Packet<'_> {
    Packet {
        marker: false,
        payload_type: 0,
        sequence: Seq(seq),
        timestamp: RtpTime(timestamp),
        ssrc,
        payload,
    }
}

/// What one pull gave: the first payload byte, or what there was instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    Sound(u8),
    Lost,
    Empty,
}

struct Rig {
    now: Instant,
    buffer: JitterBuffer,
}

impl Rig {
    fn new() -> Self {
        Self {
            now: start(),
            buffer: JitterBuffer::new(JitterConfig::default()),
        }
    }

    fn push(&mut self, seq: u16, timestamp: u32) -> Pushed {
        let body = [seq as u8; FRAME as usize];
        self.buffer
            .push(self.now, &packet(seq, timestamp, 1, &body), FRAME)
    }

    fn pull(&mut self) -> Got {
        self.now += ms(20);
        match self.buffer.pull() {
            Slot::Payload { payload, ticks, .. } => {
                assert_eq!((payload.len(), ticks), (160, FRAME));
                Got::Sound(payload[0])
            }
            Slot::Lost { ticks } => {
                assert_eq!(ticks, FRAME);
                Got::Lost
            }
            Slot::Empty { .. } => Got::Empty,
        }
    }

    /// One packet and one pull, `n` times.
    fn run(&mut self, from: u16, timestamp: u32, n: u16) -> Vec<Got> {
        (0..n)
            .map(|i| {
                self.push(
                    from.wrapping_add(i),
                    timestamp.wrapping_add(u32::from(i) * FRAME),
                );
                self.pull()
            })
            .collect()
    }
}

#[test]
fn the_first_packet_waits_for_the_initial_delay() {
    let mut rig = Rig::new();
    assert_eq!(rig.pull(), Got::Empty);
    let got = rig.run(100, 5000, 10);
    assert_eq!(got[..3], [Got::Empty; 3]);
    assert_eq!(got[3..5], [Got::Sound(100), Got::Sound(101)]);
}

#[test]
fn order_is_restored_and_duplicates_are_dropped() {
    let mut rig = Rig::new();
    for (seq, result) in [
        (1, Pushed::Stored),
        (3, Pushed::Stored),
        (2, Pushed::Stored),
        (3, Pushed::Duplicate),
        (1, Pushed::Duplicate),
    ] {
        assert_eq!(rig.push(seq, u32::from(seq) * FRAME), result);
    }
    let got: Vec<Got> = (0..6).map(|_| rig.pull()).collect();
    assert_eq!(
        got,
        [
            Got::Empty,
            Got::Empty,
            Got::Empty,
            Got::Sound(1),
            Got::Sound(2),
            Got::Sound(3)
        ]
    );
    assert_eq!(rig.push(2, 2 * FRAME), Pushed::Duplicate, "played already");
}

#[test]
fn a_missing_packet_is_concealed_and_comes_too_late() {
    let mut rig = Rig::new();
    let mut got = rig.run(0, 0, 5);
    got.push(rig.pull()); // 5 does not come
    got.extend(rig.run(6, 6 * FRAME, 6));
    assert_eq!(
        got.iter().filter(|g| **g == Got::Lost).count(),
        1,
        "{got:?}"
    );
    let lost = got.iter().position(|g| *g == Got::Lost).unwrap();
    assert_eq!(
        got[lost - 1..=lost + 1],
        [Got::Sound(4), Got::Lost, Got::Sound(6)]
    );
    assert_eq!(rig.push(5, 5 * FRAME), Pushed::Late);
    assert_eq!(rig.buffer.counts().late, 1);
}

#[test]
fn numbers_and_times_wrap_without_a_gap() {
    let mut rig = Rig::new();
    let got = rig.run(65_530, u32::MAX - 5 * FRAME, 30);
    assert_eq!(
        got.iter().filter(|g| matches!(g, Got::Sound(_))).count(),
        27,
        "{got:?}"
    );
    assert!(!got.contains(&Got::Lost));
}

#[test]
fn a_pause_of_the_sender_is_silence_not_loss() {
    let mut rig = Rig::new();
    rig.run(0, 0, 20);
    let mut got: Vec<Got> = (0..50).map(|_| rig.pull()).collect(); // one second without packets
    got.extend(rig.run(20, 70 * FRAME, 10));
    let lost = got.iter().filter(|g| **g == Got::Lost).count();
    assert!(lost <= 3, "{lost} concealed");
    assert_eq!(
        got.iter()
            .filter(|g| matches!(g, Got::Sound(n) if *n >= 20))
            .count(),
        7,
        "{got:?}"
    );
}

#[test]
fn a_sender_whose_time_stood_still_in_a_pause_is_heard_again() {
    let mut rig = Rig::new();
    rig.run(0, 0, 20);
    for _ in 0..200 {
        rig.pull();
    }
    let got = rig.run(20, 20 * FRAME, 20);
    assert_eq!(
        got.iter().filter(|g| matches!(g, Got::Sound(_))).count(),
        17,
        "{got:?}"
    );
}

#[test]
fn events_and_comfort_noise_are_not_losses() {
    let mut rig = Rig::new();
    rig.run(0, 0, 10);
    let mut got = Vec::new();
    for i in 10..18u16 {
        rig.buffer.note(&packet(i, 10 * FRAME, 1, &[1, 2, 3, 4]));
        got.push(rig.pull());
    }
    got.extend(rig.run(18, 18 * FRAME, 8));
    assert!(!got.contains(&Got::Lost), "{got:?}");
    assert!(got.contains(&Got::Sound(18)));
}

#[test]
fn a_new_ssrc_is_believed_at_its_second_packet() {
    let mut rig = Rig::new();
    rig.run(0, 0, 10);
    let body = [77; 160];
    assert_eq!(
        rig.buffer.push(rig.now, &packet(500, 9, 2, &body), FRAME),
        Pushed::Probation
    );
    assert_eq!(
        rig.push(10, 10 * FRAME),
        Pushed::Stored,
        "the old one goes on"
    );
    assert_eq!(
        rig.buffer
            .push(rig.now, &packet(501, 9 + FRAME, 2, &body), FRAME),
        Pushed::Probation
    );
    assert_eq!(
        rig.buffer
            .push(rig.now, &packet(502, 9 + 2 * FRAME, 2, &body), FRAME),
        Pushed::Stored
    );
    assert_eq!((0..4).map(|_| rig.pull()).last(), Some(Got::Sound(77)));
}

#[test]
fn a_leap_in_sequence_needs_a_second_packet() {
    let mut rig = Rig::new();
    rig.run(0, 0, 10);
    assert_eq!(rig.push(20_000, 10 * FRAME), Pushed::Probation);
    assert_eq!(rig.push(10, 10 * FRAME), Pushed::Stored);
    assert_eq!(rig.push(20_001, 11 * FRAME), Pushed::Probation);
    assert_eq!(rig.push(20_002, 12 * FRAME), Pushed::Stored);
}

#[test]
fn absurd_payloads_are_not_kept() {
    let mut rig = Rig::new();
    let now = rig.now;
    assert_eq!(
        rig.buffer.push(now, &packet(1, 1, 1, &[]), 160),
        Pushed::TooLong
    );
    assert_eq!(
        rig.buffer.push(now, &packet(1, 1, 1, &[0; 1921]), 160),
        Pushed::TooLong
    );
    assert_eq!(
        rig.buffer.push(now, &packet(1, 1, 1, &[0; 10]), 0),
        Pushed::TooLong
    );
    assert_eq!(
        rig.buffer.push(now, &packet(1, 1, 1, &[0; 10]), 1601),
        Pushed::TooLong
    );
}

/// Sends `n` packets through a path with that loss and delay spread; what the player got.
fn path(seed: u64, n: u16, loss: f64, spread_ms: f64) -> (Vec<Got>, JitterCounts, u32) {
    let mut rng = Rng::seeded(seed);
    let begin = start();
    let mut arrivals: Vec<(Duration, u16)> = (0..n)
        .filter_map(|i| {
            let lost = rng.unit() < loss;
            let delay = Duration::from_secs_f64((30.0 + rng.unit() * spread_ms) / 1000.0);
            (!lost).then_some((ms(u64::from(i) * 20) + delay, i))
        })
        .collect();
    arrivals.sort();
    let mut rig = Rig::new();
    rig.now = begin;
    let mut arrivals = arrivals.into_iter().peekable();
    let mut got = Vec::new();
    for _ in 0..n + 20 {
        let until = rig.now + ms(20) - begin;
        while let Some((at, seq)) = arrivals.next_if(|(at, _)| *at <= until) {
            let now = rig.now;
            rig.now = begin + at;
            rig.push(seq, u32::from(seq) * FRAME);
            rig.now = now;
        }
        got.push(rig.pull());
    }
    (got, rig.buffer.counts(), rig.buffer.target_ms())
}

#[test]
fn five_percent_loss_and_40_ms_of_jitter_keep_the_length() {
    for seed in 0..50 {
        let (got, counts, _) = path(seed, 1000, 0.05, 40.0);
        let first = got.iter().position(|g| matches!(g, Got::Sound(_))).unwrap();
        let last = got
            .iter()
            .rposition(|g| matches!(g, Got::Sound(_)))
            .unwrap();
        let length = (last - first + 1) as i64;
        assert!(
            (length - 1000).abs() <= 3,
            "seed {seed}: {length} frames of 1000"
        );
        assert!(counts.late <= 25, "seed {seed}: {counts:?}");
        assert!(counts.played >= 900, "seed {seed}: {counts:?}");
    }
}

#[test]
fn the_delay_follows_the_path() {
    let (_, calm, low) = path(1, 1500, 0.0, 2.0);
    assert_eq!(
        (calm.lost, calm.late),
        (3, 0),
        "only the end of the stream is concealed"
    );
    assert!(low <= 25, "{low} ms on a calm path");
    let (_, rough, high) = path(2, 3000, 0.0, 150.0);
    assert!((130..=200).contains(&high), "{high} ms on a rough path");
    assert!(rough.late < 150, "{rough:?}");
}

#[test]
fn a_burst_after_a_stall_does_not_add_delay_for_ever() {
    let mut rig = Rig::new();
    rig.run(0, 0, 50);
    for _ in 0..25 {
        rig.pull();
    }
    for i in 50..75u16 {
        rig.push(i, u32::from(i) * FRAME);
    }
    let got = rig.run(75, 75 * FRAME, 40);
    let Some(Got::Sound(last)) = got.last() else {
        panic!("{got:?}")
    };
    assert!(114 - last <= 10, "{} frames behind", 114 - last);
}

#[test]
fn drifting_clocks_are_followed() {
    // A sender 0.2 % fast, then 0.2 % slow, for a minute each: no run-away, few faults.
    for factor in [0.998, 1.002] {
        let begin = start();
        let mut rig = Rig::new();
        rig.now = begin;
        let mut sent = 0u16;
        let (mut sound, mut worst_wait) = (0, 0);
        for _ in 0..3000 {
            let until = (rig.now + ms(20) - begin).as_secs_f64();
            while f64::from(sent) * 0.02 * factor <= until {
                let now = rig.now;
                rig.now = begin + Duration::from_secs_f64(f64::from(sent) * 0.02 * factor);
                rig.push(sent, u32::from(sent) * FRAME);
                rig.now = now;
                sent += 1;
            }
            if let Got::Sound(n) = rig.pull() {
                sound += 1;
                worst_wait = worst_wait.max((sent as u8).wrapping_sub(n));
            }
        }
        assert!(sound > 2950, "{factor}: {sound} of 3000");
        assert!(worst_wait < 10, "{factor}: {worst_wait} frames behind");
    }
}

#[test]
fn ten_and_sixty_ms_packets_work_alike() {
    for (length, packets) in [(80u32, 200u16), (480, 40)] {
        let mut rig = Rig::new();
        let body = vec![5; length as usize];
        let mut heard = 0;
        for i in 0..packets {
            rig.buffer
                .push(rig.now, &packet(i, u32::from(i) * length, 1, &body), length);
            rig.now += Duration::from_micros(u64::from(length) * 125);
            let mut pulled = 0;
            while pulled < length {
                match rig.buffer.pull() {
                    Slot::Payload { ticks, .. } => {
                        heard += ticks;
                        pulled += ticks;
                    }
                    Slot::Lost { .. } => panic!("nothing was lost"),
                    Slot::Empty { ticks } => pulled += ticks,
                }
            }
        }
        assert!(
            heard >= u32::from(packets) * length - 1000,
            "{length}: {heard}"
        );
    }
}

#[test]
fn no_order_of_packets_breaks_it() {
    for seed in 0..200 {
        let mut rng = Rng::seeded(seed);
        let mut rig = Rig::new();
        let (mut seq, mut time) = (rng.u16(), rng.u32());
        for _ in 0..2000 {
            match rng.below(20) {
                0 => seq = rng.u16(),
                1 => time = rng.u32(),
                2 => rig.buffer.note(&packet(seq, time, 1, &[0; 4])),
                3 => rig.buffer.reset(),
                4..8 => {
                    rig.pull_any();
                }
                _ => {
                    seq = seq.wrapping_add(rng.below(4) as u16).wrapping_sub(1);
                    time = time.wrapping_add(160);
                    let body = [0; 200];
                    let length = 1 + rng.below(200) as usize;
                    let ssrc = 1 + rng.below(2) as u32;
                    rig.buffer.push(
                        rig.now,
                        &packet(seq, time, ssrc, &body[..length]),
                        length as u32,
                    );
                }
            }
        }
    }
}

impl Rig {
    fn pull_any(&mut self) {
        self.now += ms(20);
        match self.buffer.pull() {
            Slot::Payload { ticks, .. } | Slot::Lost { ticks } | Slot::Empty { ticks } => {
                assert!(ticks > 0, "no progress")
            }
        }
    }
}
