//! How loud a recording is: for the meter on a terminal, and for the question whether anything was heard.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::audio::level::level_dbov;
use crate::audio::wav::HEADER_LEN;

/// How loud a stretch of 16-bit audio is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Root mean square over the stretch, in dB below full scale; −96 for silence.
    pub rms_db: f32,
    /// The highest sample, in dB below full scale; −96 for silence.
    pub peak_db: f32,
}

/// Below this a 100 ms block counts as silence, in dB below full scale.
const AUDIBLE_DB: f32 = -50.0;
/// The quietest level shown.
const FLOOR_DB: f32 = -96.0;

impl Level {
    /// The level of `samples`.
    pub fn of(samples: &[i16]) -> Self {
        let peak = samples
            .iter()
            .map(|s| f64::from(s.unsigned_abs()))
            .fold(0.0, f64::max);
        let peak_db = if peak < 1.0 {
            FLOOR_DB
        } else {
            (20.0 * (peak / 32768.0).log10()) as f32
        };
        Self {
            rms_db: level_dbov(samples).max(FLOOR_DB),
            peak_db,
        }
    }

    /// A bar of `width` characters, empty at −60 dB and full at 0.
    pub fn bar(self, width: usize) -> String {
        let share = ((self.rms_db + 60.0) / 60.0).clamp(0.0, 1.0);
        let filled = (share * width as f32).round() as usize;
        format!(
            "{}{}",
            "#".repeat(filled),
            "-".repeat(width.saturating_sub(filled))
        )
    }
}

/// How long the audible parts of `samples` are together, in milliseconds, in blocks of 100 ms.
pub fn audible_ms(samples: &[i16], rate_hz: u32) -> u64 {
    let block = (rate_hz / 10).max(1) as usize;
    100 * samples
        .chunks(block)
        .filter(|b| Level::of(b).rms_db > AUDIBLE_DB)
        .count() as u64
}

/// The sample rate a WAV file of ours says; `None` when there is no such file yet.
pub fn rate_hz(path: &Path) -> Option<u32> {
    let mut file = std::fs::File::open(path).ok()?;
    let mut bytes = [0; 4];
    file.seek(SeekFrom::Start(24)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(u32::from_le_bytes(bytes)).filter(|rate| *rate > 0)
}

/// The last `samples` samples of a 16-bit mono WAV file that may still be written to.
pub fn tail(path: &Path, samples: usize) -> std::io::Result<Vec<i16>> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let body = length.saturating_sub(HEADER_LEN as u64) & !1;
    let wanted = body.min(2 * samples as u64);
    file.seek(SeekFrom::Start(HEADER_LEN as u64 + body - wanted))?;
    let mut bytes = Vec::with_capacity(wanted as usize);
    file.take(wanted).read_to_end(&mut bytes)?;
    Ok(bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pair| i16::from_le_bytes(*pair))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_at_the_floor_and_a_full_square_wave_at_zero() {
        assert_eq!(Level::of(&[0; 80]).rms_db, FLOOR_DB);
        let loud = Level::of(&[i16::MAX; 80]);
        assert!(
            loud.rms_db.abs() < 0.01 && loud.peak_db.abs() < 0.01,
            "{loud:?}"
        );
    }

    #[test]
    fn the_bar_grows_with_the_level() {
        assert_eq!(
            Level {
                rms_db: -60.0,
                peak_db: 0.0
            }
            .bar(4),
            "----"
        );
        assert_eq!(
            Level {
                rms_db: -30.0,
                peak_db: 0.0
            }
            .bar(4),
            "##--"
        );
        assert_eq!(
            Level {
                rms_db: 0.0,
                peak_db: 0.0
            }
            .bar(4),
            "####"
        );
    }

    #[test]
    fn only_blocks_above_the_threshold_are_audible() {
        let mut samples = vec![0; 8000];
        samples[..4000].fill(3000);
        assert_eq!(audible_ms(&samples, 8000), 500);
    }

    #[test]
    fn the_tail_of_a_growing_file_is_its_last_whole_samples() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.wav");
        let mut bytes = vec![0; 44];
        bytes.extend([1, 0, 2, 0, 3, 0, 9]);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(tail(&path, 2).unwrap(), [2, 3]);
        assert_eq!(tail(&path, 10).unwrap(), [1, 2, 3]);
    }
}
