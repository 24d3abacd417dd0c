//! How loud a frame is (dBov, RFC 6464 §3), and whether somebody is speaking.

use std::time::Duration;

/// 20 ms of nothing at 8 kHz, for whoever needs silent samples.
pub const SILENCE: &[i16] = &[0; 160];

/// The level below which a frame counts as digital silence, in dBov.
pub const FLOOR_DBOV: f32 = -127.0;

/// Level of a frame in dBov: 0 is a full-scale square wave, a full-scale sine is −3; never below −127.
pub fn level_dbov(pcm: &[i16]) -> f32 {
    if pcm.is_empty() {
        return FLOOR_DBOV;
    }
    let sum: u64 = pcm
        .iter()
        .map(|&s| u64::from(s.unsigned_abs()).pow(2))
        .sum();
    let mean = sum as f64 / pcm.len() as f64;
    let full_scale = 32768.0f64 * 32768.0;
    if mean < 1.0 {
        FLOOR_DBOV
    } else {
        ((10.0 * (mean / full_scale).log10()) as f32).max(FLOOR_DBOV)
    }
}

/// Tells speech from silence by level against a noise floor that adapts. For ending recordings, not for sending.
#[derive(Debug, Clone)]
pub struct Vad {
    floor_dbov: f32,
    hangover_ms: u32,
    silent_ms: u32,
}

impl Vad {
    /// A detector that starts by assuming a quiet line.
    pub fn new() -> Self {
        Self {
            floor_dbov: QUIETEST_FLOOR_DBOV,
            hangover_ms: 0,
            silent_ms: 0,
        }
    }

    /// Takes a frame of `frame_ms` milliseconds; true while somebody speaks (200 ms of hangover included).
    pub fn push(&mut self, pcm: &[i16], frame_ms: u32) -> bool {
        self.push_level(level_dbov(pcm), frame_ms)
    }

    /// The same for a frame whose level is known.
    pub fn push_level(&mut self, level: f32, frame_ms: u32) -> bool {
        let loud = level > (self.floor_dbov + ABOVE_FLOOR_DB).max(ALWAYS_SILENT_DBOV);
        // The floor falls at once and rises slowly, so that long noise becomes the new silence.
        let rise = RISE_DB_PER_S * frame_ms as f32 / 1000.0;
        self.floor_dbov = level
            .min(self.floor_dbov + rise)
            .clamp(QUIETEST_FLOOR_DBOV, LOUDEST_FLOOR_DBOV);
        if loud {
            self.hangover_ms = HANGOVER_MS;
            self.silent_ms = 0;
        } else {
            self.hangover_ms = self.hangover_ms.saturating_sub(frame_ms);
            self.silent_ms = self.silent_ms.saturating_add(frame_ms);
        }
        self.hangover_ms > 0
    }

    /// How long it has been silent, hangover included.
    pub fn silent_for(&self) -> Duration {
        Duration::from_millis(u64::from(self.silent_ms))
    }
}

impl Default for Vad {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells frames that are worth mixing from those that are not. Generous: nobody's first syllable is lost, and what is
/// left out nobody would have heard.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    hangover_ms: u32,
}

impl Gate {
    /// Takes the level of a frame of `frame_ms` milliseconds; whether it is to be heard.
    pub fn push(&mut self, level_dbov: f32, frame_ms: u32) -> bool {
        if level_dbov > INAUDIBLE_DBOV {
            self.hangover_ms = GATE_HANGOVER_MS;
            return true;
        }
        let open = self.hangover_ms > 0;
        self.hangover_ms = self.hangover_ms.saturating_sub(frame_ms);
        open
    }
}

/// Quieter than the noise of an idle telephone line.
const INAUDIBLE_DBOV: f32 = -58.0;
/// What follows sound is part of it.
const GATE_HANGOVER_MS: u32 = 200;
/// Speech is this much above the floor.
const ABOVE_FLOOR_DB: f32 = 9.0;
/// Below this nothing is speech, however quiet the line.
const ALWAYS_SILENT_DBOV: f32 = -52.0;
/// Limits of the noise floor.
const QUIETEST_FLOOR_DBOV: f32 = -70.0;
const LOUDEST_FLOOR_DBOV: f32 = -30.0;
/// How fast the floor follows rising noise.
const RISE_DB_PER_S: f32 = 3.0;
/// Pauses between syllables are part of speech.
const HANGOVER_MS: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn noise(rng: &mut Rng, amplitude: f64) -> Vec<i16> {
        (0..160)
            .map(|_| ((rng.unit() * 2.0 - 1.0) * amplitude) as i16)
            .collect()
    }

    #[test]
    fn level_of_known_signals() {
        assert_eq!(level_dbov(&[]), FLOOR_DBOV);
        assert_eq!(level_dbov(&[0; 160]), FLOOR_DBOV);
        assert!(level_dbov(&[i16::MIN; 160]).abs() < 0.01);
        let sine: Vec<i16> = (0..8000)
            .map(|n| ((f64::from(n) * 0.7).sin() * 32767.0) as i16)
            .collect();
        assert!((level_dbov(&sine) + 3.01).abs() < 0.05);
    }

    #[test]
    fn speech_is_heard_over_noise_and_its_end_is_noticed() {
        let mut rng = Rng::seeded(1);
        let mut vad = Vad::new();
        for _ in 0..200 {
            vad.push(&noise(&mut rng, 60.0), 20);
        }
        assert!(!vad.push(&noise(&mut rng, 60.0), 20));
        assert!(vad.silent_for() > Duration::from_secs(3));
        assert!(vad.push(&noise(&mut rng, 8000.0), 20));
        assert_eq!(vad.silent_for(), Duration::ZERO);
        for _ in 0..10 {
            vad.push(&noise(&mut rng, 60.0), 20);
        }
        assert!(!vad.push(&noise(&mut rng, 60.0), 20));
    }

    #[test]
    fn a_gate_opens_at_once_and_closes_after_a_while() {
        let mut gate = Gate::default();
        assert!(!gate.push(-70.0, 20), "an idle line");
        assert!(gate.push(-50.0, 20), "the first frame of a quiet voice");
        let open = (0..20).filter(|_| gate.push(FLOOR_DBOV, 20)).count();
        assert_eq!(open, 10);
    }

    #[test]
    fn steady_noise_becomes_silence() {
        let mut rng = Rng::seeded(2);
        let mut vad = Vad::new();
        let heard: Vec<bool> = (0..1500)
            .map(|_| vad.push(&noise(&mut rng, 700.0), 20))
            .collect();
        assert!(!heard[1499], "a fan is not a speaker");
    }
}
