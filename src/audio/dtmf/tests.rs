//! The limits of Q.24, and sounds that are no keys.

use super::*;
use crate::base::rng::Rng;

const KEYPAD: &str = "0123456789*#ABCD";

/// Two sines with levels in dB of full scale, frequencies scaled.
fn pair(digit: char, ms: f64, low_db: f64, high_db: f64, scale: f64) -> Vec<i16> {
    let (low, high) = frequencies(digit).unwrap();
    let sine = |f: f32, db: f64, n: usize| {
        (n as f64 * f64::from(f) * scale * std::f64::consts::TAU / 8000.0).sin()
            * 32_767.0
            * 10f64.powf(db / 20.0)
    };
    (0..(ms * 8.0) as usize)
        .map(|n| (sine(low, low_db, n) + sine(high, high_db, n)) as i16)
        .collect()
}

fn hear(pcm: &[i16]) -> String {
    let mut detector = DtmfDetector::new();
    pcm.chunks(160)
        .filter_map(|frame| detector.push(frame))
        .collect()
}

/// The tone after `offset` samples of silence, with silence behind it.
fn alone(tone: &[i16], offset: usize) -> Vec<i16> {
    let mut pcm = vec![0; 400 + offset];
    pcm.extend(tone);
    pcm.extend([0; 800]);
    pcm
}

fn add_noise(pcm: &mut [i16], rng: &mut Rng, db: f64) {
    // Uniform noise of that power against full scale.
    let peak = 32_767.0 * 10f64.powf(db / 20.0) * 3f64.sqrt();
    for sample in pcm {
        *sample = sample.saturating_add(((rng.unit() * 2.0 - 1.0) * peak) as i16);
    }
}

#[test]
fn two_hundred_of_two_hundred_clean_digits() {
    let mut rng = Rng::seeded(1);
    let dialled: String = (0..200)
        .map(|_| KEYPAD.chars().nth(rng.below(16) as usize).unwrap())
        .collect();
    let mut pcm = vec![0; 333];
    for digit in dialled.chars() {
        pcm.extend(dtmf_tone(digit, 100));
        pcm.extend(vec![0; 640 + rng.below(160) as usize]);
    }
    assert_eq!(hear(&pcm), dialled);
}

#[test]
fn forty_ms_of_tone_and_gap_suffice_wherever_they_begin() {
    for offset in 0..64 {
        let mut pcm = vec![0; offset];
        for digit in KEYPAD.chars() {
            pcm.extend(pair(digit, 40.0, -12.0, -12.0, 1.0));
            pcm.extend([0; 320]);
            pcm.extend(pair(digit, 40.0, -12.0, -12.0, 1.0));
            pcm.extend([0; 320]);
        }
        pcm.extend([0; 400]);
        let twice: String = KEYPAD.chars().flat_map(|digit| [digit, digit]).collect();
        assert_eq!(hear(&pcm), twice, "offset {offset}");
    }
}

#[test]
fn twenty_ms_of_tone_are_not_a_key() {
    for digit in KEYPAD.chars() {
        for offset in (0..64).step_by(5) {
            assert_eq!(
                hear(&alone(&pair(digit, 20.0, -12.0, -12.0, 1.0), offset)),
                "",
                "{digit}"
            );
        }
    }
}

#[test]
fn a_held_key_is_one_key_and_short_drop_outs_do_not_matter() {
    let mut pcm = pair('5', 3000.0, -12.0, -12.0, 1.0);
    pcm[8000..8060].fill(0);
    assert_eq!(hear(&alone(&pcm, 0)), "5");
}

#[test]
fn one_and_a_half_percent_off_is_taken_three_and_a_half_is_not() {
    for digit in KEYPAD.chars() {
        for scale in [0.985, 1.015] {
            assert_eq!(
                hear(&alone(&pair(digit, 60.0, -12.0, -12.0, scale), 7)),
                digit.to_string(),
                "{digit} x {scale}"
            );
        }
        for scale in [0.965, 1.035] {
            assert_eq!(
                hear(&alone(&pair(digit, 100.0, -12.0, -12.0, scale), 7)),
                "",
                "{digit} x {scale}"
            );
        }
    }
}

#[test]
fn twist_is_taken_from_minus_8_to_plus_4_db() {
    for digit in KEYPAD.chars() {
        for (low, high, heard) in [
            (-10.0, -18.0, true),
            (-14.0, -10.0, true),
            (-10.0, -10.0, true),
            (-10.0, -21.0, false),
            (-18.0, -10.0, false),
        ] {
            let got = hear(&alone(&pair(digit, 60.0, low, high, 1.0), 3));
            assert_eq!(
                got,
                if heard {
                    digit.to_string()
                } else {
                    String::new()
                },
                "{digit}: {low}/{high}"
            );
        }
    }
}

#[test]
fn quiet_tones_are_heard_down_to_a_limit() {
    for (db, heard) in [(-36.0, true), (-60.0, false)] {
        assert_eq!(
            hear(&alone(&pair('7', 80.0, db, db, 1.0), 0)),
            if heard { "7" } else { "" },
            "{db}"
        );
    }
}

#[test]
fn noise_20_db_below_the_tones_does_not_matter() {
    let mut rng = Rng::seeded(2);
    for round in 0..20 {
        for digit in KEYPAD.chars() {
            let mut pcm = alone(&pair(digit, 60.0, -12.0, -12.0, 1.0), round * 3);
            add_noise(&mut pcm, &mut rng, -12.0 - 20.0);
            assert_eq!(hear(&pcm), digit.to_string(), "{digit}");
        }
    }
}

#[test]
fn g711_and_concealment_in_between_do_not_matter() {
    use crate::audio::Codec;
    for codec in [Codec::Pcmu, Codec::Pcma] {
        for digit in KEYPAD.chars() {
            let (mut bytes, mut pcm) = (Vec::new(), Vec::new());
            codec.encode(&alone(&pair(digit, 60.0, -12.0, -12.0, 1.0), 0), &mut bytes);
            codec.decode(&bytes, &mut pcm);
            assert_eq!(hear(&pcm), digit.to_string());
        }
    }
}

/// Sounds made like a voice: pulses of a wandering pitch or noise, through three wandering resonances, in syllables.
fn babble(seed: u64, seconds: usize) -> Vec<i16> {
    let mut rng = Rng::seeded(seed);
    let mut out: Vec<f64> = Vec::with_capacity(seconds * 8000);
    let mut state = [[0.0f64; 2]; 3];
    let (mut phase, mut pitch) = (0.0, 120.0);
    while out.len() < seconds * 8000 {
        let formants = [
            250.0 + rng.unit() * 600.0,
            800.0 + rng.unit() * 1000.0,
            2000.0 + rng.unit() * 900.0,
        ];
        let voiced = rng.unit() < 0.75;
        let length = 400 + rng.below(2000) as usize;
        let (target, loud) = (80.0 + rng.unit() * 200.0, 2000.0 + rng.unit() * 9000.0);
        for n in 0..length {
            pitch += (target - pitch) * 0.002;
            phase += pitch / 8000.0;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase %= 1.0;
            let mut x = if voiced {
                pulse * 6.0
            } else {
                (rng.unit() - 0.5) * 1.2
            };
            for (formant, [y1, y2]) in formants.iter().zip(&mut state) {
                let r: f64 = 0.97;
                let y = x * (1.0 - r) * 3.0
                    + 2.0 * r * (std::f64::consts::TAU * formant / 8000.0).cos() * *y1
                    - r * r * *y2;
                *y2 = *y1;
                *y1 = y;
                x = y;
            }
            let envelope = (std::f64::consts::PI * n as f64 / length as f64).sin();
            out.push(x * loud * envelope);
        }
        out.extend(std::iter::repeat_n(0.0, rng.below(1500) as usize));
    }
    // Brought to the level of a near talker, −20 dBov over all.
    let mean = out.iter().map(|s| s * s).sum::<f64>() / out.len() as f64;
    let gain = 3276.8 / mean.sqrt();
    out.into_iter().map(|s| (s * gain) as i16).collect()
}

#[test]
fn speech_like_sounds_are_not_keys() {
    for seed in 0..10 {
        let sound = babble(seed, 30);
        let level = crate::audio::level::level_dbov(&sound);
        assert!(
            (-35.0..-10.0).contains(&level),
            "seed {seed}: {level} dBov is no voice"
        );
        assert_eq!(hear(&sound), "", "seed {seed}");
    }
}

#[test]
fn noise_and_single_tones_are_not_keys() {
    let mut rng = Rng::seeded(3);
    let mut noise = vec![0; 8000 * 60];
    add_noise(&mut noise, &mut rng, -15.0);
    assert_eq!(hear(&noise), "");
    for frequency in (300..3400).step_by(7) {
        let tone = crate::audio::Tone::new(&[frequency as f32], 150, 50).render(8000);
        assert_eq!(hear(&tone), "", "{frequency} Hz");
    }
    for (a, b) in [
        (440.0, 480.0),
        (350.0, 440.0),
        (480.0, 620.0),
        (941.0, 852.0),
        (1400.0, 2060.0),
    ] {
        assert_eq!(
            hear(&crate::audio::Tone::new(&[a, b], 500, 50).render(8000)),
            "",
            "{a}+{b}"
        );
    }
}

#[test]
fn made_tones_have_their_length_and_nothing_else_is_a_key() {
    assert_eq!(dtmf_tone('1', 100).len(), 800);
    assert!(dtmf_tone('x', 100).is_empty());
    assert_eq!(frequencies('a'), Some((697.0, 1633.0)));
}
