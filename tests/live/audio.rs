//! What was heard: reading WAV files, loudness, likeness, and words.

use std::path::Path;
use std::process::Command;

use super::tools::{printed, python, root, run};

/// Sound of 8 kHz.
pub(crate) struct Sound(pub(crate) Vec<i16>);

impl Sound {
    /// Reads a 16-bit mono WAV file of 8 kHz, also one whose header was never completed.
    pub(crate) fn read(path: &Path) -> Self {
        let bytes =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(&bytes[..4], b"RIFF", "{}", path.display());
        assert_eq!(bytes[22..24], [1, 0], "mono");
        assert_eq!(bytes[24..28], 8000u32.to_le_bytes(), "8 kHz");
        Self(
            bytes[44..]
                .as_chunks::<2>()
                .0
                .iter()
                .map(|pair| i16::from_le_bytes(*pair))
                .collect(),
        )
    }

    /// A tune of tones without repetition, so that a likeness has one place.
    pub(crate) fn tune(seconds: usize) -> Self {
        Self::of_tones(seconds, |n| {
            300 + 250 * ((n / 1600) % 7) + 40 * ((n / 800) % 11)
        })
    }

    /// A tune that has nothing in common with the other.
    pub(crate) fn another_tune(seconds: usize) -> Self {
        Self::of_tones(seconds, |n| {
            415 + 230 * ((n / 1200) % 5) + 55 * ((n / 600) % 13)
        })
    }

    /// Tones of these frequencies, by sample.
    fn of_tones(seconds: usize, hz: impl Fn(usize) -> usize) -> Self {
        let mut phase = 0.0_f64;
        let samples = (0..8000 * seconds).map(|n| {
            phase += std::f64::consts::TAU * hz(n) as f64 / 8000.0;
            (9000.0 * phase.sin()) as i16
        });
        Self(samples.collect())
    }

    /// Writes it as a WAV file.
    pub(crate) fn write(&self, path: &Path) {
        let mut bytes = swivel::audio::wav::header(8000, 1, 2 * self.0.len() as u64).to_vec();
        swivel::audio::wav::samples(&self.0, &mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    /// How many seconds are louder than silence.
    pub(crate) fn audible_seconds(&self) -> f64 {
        self.0
            .chunks(800)
            .filter(|block| rms(block) > 100.0)
            .count() as f64
            / 10.0
    }

    /// The second in its middle.
    pub(crate) fn middle_second(&self) -> Sound {
        let from = (self.0.len() / 2).saturating_sub(4000);
        Self(self.0.iter().skip(from).take(8000).copied().collect())
    }

    /// The best normalised correlation of `original` with a stretch of this sound.
    pub(crate) fn likeness(&self, original: &Sound) -> f64 {
        let wanted = original.0.len();
        if self.0.len() < wanted {
            return 0.0;
        }
        // Plain loops over integers: these are the innermost of all in tests that are not optimised.
        let mut energy = vec![0_i64; self.0.len() + 1];
        let mut at = 0;
        while at < self.0.len() {
            energy[at + 1] = energy[at] + i64::from(self.0[at]) * i64::from(self.0[at]);
            at += 1;
        }
        let own: i64 = original.0.iter().map(|s| i64::from(*s).pow(2)).sum();
        let own = (own as f64).sqrt();
        let (sound, pattern) = (&self.0[..], &original.0[..]);
        let mut best = 0.0_f64;
        let mut from = 0;
        while from + wanted <= sound.len() {
            let mut product = 0_i64;
            let mut n = 0;
            while n < wanted {
                product += i64::from(sound[from + n]) * i64::from(pattern[n]);
                n += 1;
            }
            let stretch = ((energy[from + wanted] - energy[from]) as f64).sqrt();
            best = best.max(product as f64 / (own * stretch).max(1.0));
            from += 1;
        }
        best
    }
}

fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64)
        .sqrt()
}

/// The words pocketsphinx finds in a file; `None` when `make` has not installed it.
pub(crate) fn words(path: &Path) -> Option<Vec<String>> {
    let output = run(Command::new(python("test")?)
        .arg(root().join("tests/live/words.py"))
        .arg(path));
    assert!(output.status.success(), "{}", printed(&output));
    Some(
        String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    )
}
