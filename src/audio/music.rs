//! Music on hold, composed and played here: nobody's recording, nobody's rights.
//!
//! Eight bars of soft plucked chords with a slow melody above them, made of sines that die away. Notes that ring beyond
//! the end ring on at the beginning, so the loop has no seam.

use super::clip::Clip;

/// The loop: about twenty seconds, to be played as a repeating source.
pub fn hold_music() -> Clip {
    let length = BARS.len() * BEATS * BEAT_SAMPLES;
    let mut mix = vec![0.0f32; length];
    for (bar, (bass, chord, melody)) in BARS.iter().enumerate() {
        let begin = bar * BEATS * BEAT_SAMPLES;
        pluck(&mut mix, begin, *bass, 0.30, 2.2);
        pluck(&mut mix, begin + 2 * BEAT_SAMPLES, *bass, 0.18, 1.6);
        // The chord, broken in eighths, up and down.
        let order = [0, 1, 2, 1, 0, 2, 1, 2];
        for (eighth, note) in order.iter().enumerate() {
            if let Some(note) = chord.get(*note) {
                let at = begin + eighth * BEAT_SAMPLES / 2;
                pluck(&mut mix, at, *note, 0.13, 0.9);
            }
        }
        for (beat, note) in melody.iter().enumerate() {
            if *note > 0 {
                pluck(&mut mix, begin + beat * BEAT_SAMPLES, *note, 0.24, 1.8);
            }
        }
    }
    let peak = mix.iter().fold(1e-6f32, |peak, s| peak.max(s.abs()));
    let gain = PEAK / peak;
    let pcm = mix.iter().map(|s| (s * gain) as i16).collect();
    Clip::new(RATE_HZ, pcm)
}

/// Adds a note that dies away: the fundamental and two weak overtones, each softer and shorter than the one below.
fn pluck(mix: &mut [f32], begin: usize, note: u8, level: f32, seconds: f32) {
    let frequency = 440.0 * 2f64.powf((f64::from(note) - 69.0) / 12.0);
    for (harmonic, share, life) in [(1.0, 1.0, 1.0), (2.0, 0.22, 0.5), (3.0, 0.08, 0.3)] {
        let step = frequency * harmonic * std::f64::consts::TAU / f64::from(RATE_HZ);
        let samples = (seconds * life * 3.0 * RATE_HZ as f32) as usize;
        // A sine by recursion: each sample from the two before it.
        let turn = 2.0 * step.cos();
        let (mut now, mut before) = (0.0, -step.sin());
        let fade = (-1.0 / (seconds * life * RATE_HZ as f32)).exp();
        let mut loudness = level * share;
        let length = mix.len().max(1);
        let places = (begin..).map(|at| at % length).take(samples);
        for (n, at) in places.enumerate() {
            // Begun softly (8 ms) and ended softly (20 ms).
            let attack = (n as f32 / ATTACK).min(1.0);
            let release = ((samples - n) as f32 / RELEASE).min(1.0);
            if let Some(sample) = mix.get_mut(at) {
                *sample += now as f32 * loudness * attack * release;
            }
            (now, before) = (turn * now - before, now);
            loudness *= fade;
        }
    }
}

/// One bar: bass, three notes of a chord, and a melody note (or 0) a beat, as MIDI numbers.
type Bar = (u8, [u8; 3], [u8; BEATS]);

/// C, a minor, F, G; C, e minor, F and G.
const BARS: [Bar; 8] = [
    (48, [60, 64, 67], [76, 0, 79, 0]),
    (45, [57, 60, 64], [72, 0, 76, 0]),
    (41, [57, 60, 65], [74, 0, 72, 69]),
    (43, [59, 62, 67], [71, 0, 74, 0]),
    (48, [60, 64, 67], [79, 0, 76, 74]),
    (40, [59, 64, 67], [76, 0, 0, 71]),
    (41, [60, 65, 69], [72, 0, 69, 72]),
    (43, [59, 62, 65], [74, 0, 67, 0]),
];

const BEATS: usize = 4;
const RATE_HZ: u32 = 16_000;
/// 96 beats a minute.
const BEAT_SAMPLES: usize = 10_000;
/// The loudest sample: well below full scale, as speech is.
const PEAK: f32 = 9000.0;
const ATTACK: f32 = 128.0;
const RELEASE: f32 = 320.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::level::level_dbov;

    #[test]
    fn the_music_is_as_loud_as_speech_everywhere_and_has_no_seam() {
        let clip = hold_music();
        assert_eq!(clip.duration().as_secs(), 20);
        let pcm = clip.pcm(RATE_HZ);
        for second in pcm.chunks(RATE_HZ as usize) {
            let level = level_dbov(second);
            assert!((-36.0..-14.0).contains(&level), "{level}");
        }
        let largest = pcm
            .windows(2)
            .map(|w| (i32::from(w[1]) - i32::from(w[0])).abs())
            .max()
            .unwrap();
        let seam = (i32::from(pcm[0]) - i32::from(pcm[pcm.len() - 1])).abs();
        assert!(seam <= largest && largest < 6000, "{seam} of {largest}");
    }

    #[test]
    fn no_bar_of_it_is_taken_for_a_key() {
        let mut detector = crate::audio::DtmfDetector::new();
        let pcm = hold_music().pcm(8000);
        assert!(pcm.chunks(160).all(|frame| detector.push(frame).is_none()));
    }
}
