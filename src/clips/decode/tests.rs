//! Tests of decoding: each format, limits, damaged and malicious files.

use rustix::time::{ClockId, clock_gettime};

use super::*;
use crate::audio::wav;
use crate::host::clock;

const MP3: &[u8] = include_bytes!("../../../tests/vectors/audio/tone.mp3");
const FLAC: &[u8] = include_bytes!("../../../tests/vectors/audio/tone.flac");
const OGG: &[u8] = include_bytes!("../../../tests/vectors/audio/tone.ogg");
const ALAW: &[u8] = include_bytes!("../../../tests/vectors/audio/tone-alaw.wav");
const ULAW: &[u8] = include_bytes!("../../../tests/vectors/audio/tone-ulaw.wav");
const ADPCM: &[u8] = include_bytes!("../../../tests/vectors/audio/tone-adpcm.wav");
const WAV24: &[u8] = include_bytes!("../../../tests/vectors/audio/tone-24.wav");

fn of(file: &[u8]) -> Result<Clip, DecodeError> {
    decode(Bytes::copy_from_slice(file))
}

/// A WAV file of 440 Hz.
fn tone(rate_hz: u32, seconds: f64) -> Vec<u8> {
    let samples = (f64::from(rate_hz) * seconds) as usize;
    let pcm: Vec<i16> = (0..samples)
        .map(|n| {
            ((n as f64 * 440.0 * std::f64::consts::TAU / f64::from(rate_hz)).sin() * 16_000.0)
                as i16
        })
        .collect();
    let mut file = wav::header(rate_hz, 1, pcm.len() as u64 * 2).to_vec();
    wav::samples(&pcm, &mut file);
    file
}

/// How often the sign changes a second, halved: the frequency of a pure tone.
fn frequency(clip: &Clip) -> f64 {
    let pcm = clip.pcm(clip.rate_hz());
    // The ends of lossy files are ragged.
    let pcm = &pcm[pcm.len() / 4..pcm.len() * 3 / 4];
    let crossings = pcm.windows(2).filter(|w| (w[0] < 0) != (w[1] < 0)).count();
    crossings as f64 / 2.0 * f64::from(clip.rate_hz()) / pcm.len() as f64
}

#[test]
fn each_format_yields_the_tone_it_holds() {
    for (name, file, rate_hz, millis) in [
        ("mp3", MP3, 16_000, 300),
        ("flac", FLAC, 16_000, 300),
        ("ogg", OGG, 16_000, 300),
        ("a-law", ALAW, 8000, 300),
        ("u-law", ULAW, 8000, 300),
        ("adpcm", ADPCM, 8000, 300),
        ("24 bit", WAV24, 48_000, 50),
    ] {
        let clip = of(file).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(clip.rate_hz(), rate_hz, "{name}");
        let length = clip.duration().as_millis() as i64;
        assert!((length - millis).abs() <= 100, "{name}: {length} ms");
        let heard = frequency(&clip);
        assert!((heard - 440.0).abs() < 45.0, "{name}: {heard} Hz");
        let loudest = clip
            .pcm(rate_hz)
            .iter()
            .map(|s| s.unsigned_abs())
            .max()
            .unwrap();
        assert!((12_000..=20_000).contains(&loudest), "{name}: {loudest}");
    }
}

#[test]
fn a_length_in_a_header_is_not_believed() {
    let mut endless = tone(22_050, 0.5);
    endless[4..8].copy_from_slice(&0x7fff_f024_u32.to_le_bytes());
    endless[40..44].copy_from_slice(&0x7fff_f000_u32.to_le_bytes());
    assert_eq!(of(&endless).unwrap().duration().as_millis(), 500);
    endless[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    endless[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(of(&endless).unwrap().duration().as_millis(), 500);
    let short = &tone(8000, 1.0)[..8044];
    assert_eq!(of(short).unwrap().duration().as_millis(), 500);
}

#[test]
fn odd_rates_and_channels_are_refused_by_name() {
    let mut file = tone(8000, 0.1);
    for (hz, wanted) in [
        (0, None),
        (1, Some(1)),
        (96_000, Some(96_000)),
        (u32::MAX, Some(u32::MAX)),
    ] {
        file[24..28].copy_from_slice(&u32::to_le_bytes(hz));
        match (of(&file), wanted) {
            (Err(DecodeError::Rate { hz }), Some(wanted)) => assert_eq!(hz, wanted),
            (Err(_), None) => {}
            other => panic!("{hz}: {other:?}"),
        }
    }
    let mut file = tone(8000, 0.1);
    for channels in [0_u16, 3, 8, 1000, u16::MAX] {
        file[22..24].copy_from_slice(&channels.to_le_bytes());
        file[32..34].copy_from_slice(&channels.wrapping_mul(2).to_le_bytes());
        assert!(of(&file).is_err(), "{channels}");
    }
}

#[test]
fn stereo_becomes_the_mean_of_both() {
    let pcm: Vec<i16> = (0..8000).flat_map(|_| [1000, 3000]).collect();
    let mut file = wav::header(8000, 2, pcm.len() as u64 * 2).to_vec();
    wav::samples(&pcm, &mut file);
    let clip = of(&file).unwrap();
    assert_eq!(clip.duration().as_millis(), 1000);
    assert!(clip.pcm(8000).iter().all(|s| *s == 2000));
}

/// Row 23 of the threat table: each is refused, and quickly.
#[test]
fn files_without_sound_are_refused_quickly() {
    let zeros = vec![0; 4_000_000];
    let empty_frames: Vec<u8> = [0xff, 0xfb, 0x10, 0x00].repeat(1_000_000);
    let no_samples = wav::header(8000, 1, 0).to_vec();
    let text = b"<html>not found</html>".to_vec();
    let id3 = [b"ID3\x04\0\0\x7f\x7f\x7f\x7f".to_vec(), vec![0; 1000]].concat();
    for (name, file) in [
        ("nothing", Vec::new()),
        ("zeros", zeros),
        ("frames of nothing", empty_frames),
        ("no samples", no_samples),
        ("text", text),
        ("a giant tag", id3),
    ] {
        let started = clock::now();
        assert!(of(&file).is_err(), "{name}");
        let took = started.elapsed();
        assert!(took.as_millis() < 1000, "{name}: {took:?}");
    }
}

#[test]
fn a_clip_is_limited_in_length() {
    // One bit a sample would be smallest; 8-bit samples at the lowest rate are small enough.
    let seconds = MAX_WHOLE.as_secs() as usize + 2;
    let data = seconds * 4000;
    let mut file = wav::header(4000, 1, data as u64).to_vec();
    file[28..32].copy_from_slice(&4000_u32.to_le_bytes());
    file[32..36].copy_from_slice(&[1, 0, 8, 0]);
    file.resize(44 + data, 0x80);
    assert_eq!(
        of(&file).unwrap_err(),
        DecodeError::TooLong { limit: MAX_WHOLE }
    );
}

/// Mutated files of every format: decoded or refused, in bounded time.
#[test]
fn mutated_files_never_crash_or_hang() {
    let seconds = std::env::var("SWIVEL_FUZZ_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(2);
    let until = clock::now() + Duration::from_secs(seconds);
    let seed = std::env::var("SWIVEL_FUZZ_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(23);
    let mut rng = crate::base::rng::Rng::seeded(seed);
    let wav = tone(8000, 0.05);
    let files = [MP3, FLAC, OGG, ADPCM, WAV24, &wav];
    let mut round = 0;
    while clock::now() < until {
        round += 1;
        let mut file = files[rng.below(files.len() as u64) as usize].to_vec();
        for _ in 0..=rng.below(8) {
            // Mostly the headers: that is where the decisions are.
            let span = if rng.below(3) == 0 {
                file.len()
            } else {
                file.len().min(200)
            };
            let at = rng.below(span.max(1) as u64) as usize;
            match rng.below(5) {
                0 => file.truncate(at.max(1)),
                1 => file[at] = rng.u32() as u8,
                2 => file[at] ^= 1 << rng.below(8),
                3 => file[at] = if rng.below(2) == 0 { 0 } else { 0xff },
                _ => {
                    let copy = file[at..].to_vec();
                    file.extend(copy);
                }
            }
        }
        // Time on the processor: a busy machine is no hang.
        let spent = || clock_gettime(ClockId::ThreadCPUTime);
        let started = spent();
        let crashed = matches!(of(&file), Err(DecodeError::Crashed));
        let took = spent() - started;
        assert!(took.tv_sec < 1, "seed {seed}, round {round}: {took:?}");
        // A panic inside the package is contained; say so, but do not call it ours.
        if crashed {
            eprintln!("seed {seed}, round {round}: the decoder panicked and was contained");
        }
    }
}
