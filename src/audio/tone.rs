//! Tones: KAZOO's tone objects and FreeSWITCH's `tone_stream://` notation.
//!
//! | part | meaning |
//! | --- | --- |
//! | `%(ON,OFF,F1[,F2…])` | a tone: milliseconds of sound and silence, frequencies in Hz |
//! | `0`–`9 * # A`–`D` | keypad tones |
//! | `v=DB` | level of what follows, in dBm0 |
//! | `d=MS`, `w=MS` | sound and silence of keypad tones that follow |
//! | `loops=N`, `L=N` | the whole N times; −1 is for ever |
//!
//! Parts are separated by `;`. Decay and format parts (`>=`, `<=`, `+=`, `r=`, `c=`, `l=`) are accepted and have no effect.

use std::f32::consts::TAU;

use super::clip::Clip;
use super::dtmf;

/// One tone: frequencies sounding together, on and off, repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct Tone {
    /// Frequencies in Hz, sounding together.
    pub frequencies: Vec<f32>,
    /// Milliseconds of sound.
    pub on_ms: u32,
    /// Milliseconds of silence after it.
    pub off_ms: u32,
    /// How often sound and silence follow each other; 0 counts as 1.
    pub repeat: u32,
    /// Level of each frequency in dBm0; 0 dBm0 is a sine 3.14 dB below full scale.
    pub volume_db: f32,
}

impl Tone {
    /// A tone at the usual level, once.
    pub fn new(frequencies: &[f32], on_ms: u32, off_ms: u32) -> Self {
        Self {
            frequencies: frequencies.to_vec(),
            on_ms,
            off_ms,
            repeat: 1,
            volume_db: DEFAULT_DBM0,
        }
    }

    /// The tone before a recording: 800 Hz for 500 ms.
    pub fn beep() -> Self {
        Self::new(&[800.0], 500, 0)
    }

    /// How long it lasts in ms, repetitions included.
    pub fn total_ms(&self) -> u64 {
        (u64::from(self.on_ms) + u64::from(self.off_ms)) * u64::from(self.repeat.max(1))
    }

    /// The samples at `rate_hz`, at most [`MAX_S`] seconds.
    pub fn render(&self, rate_hz: u32) -> Vec<i16> {
        let mut out = Vec::new();
        self.render_into(rate_hz, &mut out);
        out
    }

    fn render_into(&self, rate_hz: u32, out: &mut Vec<i16>) {
        let limit = rate_hz as usize * MAX_S as usize;
        let samples =
            |ms: u32| (u64::from(ms) * u64::from(rate_hz) / 1000).min(limit as u64) as usize;
        let (on, off) = (samples(self.on_ms), samples(self.off_ms));
        if on + off == 0 {
            return;
        }
        let amplitude = amplitude(self.volume_db);
        for _ in 0..self.repeat.max(1) {
            let room = limit.saturating_sub(out.len());
            if room == 0 {
                return;
            }
            let begin = out.len();
            out.resize(begin + on.min(room), 0);
            if let Some(sound) = out.get_mut(begin..) {
                sines(sound, &self.frequencies, amplitude, rate_hz);
            }
            out.resize(out.len() + off.min(room - on.min(room)), 0);
        }
    }
}

/// A parsed `tone_stream://`: tones in a row, the row repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct ToneStream {
    /// The tones in order.
    pub tones: Vec<Tone>,
    /// How often the whole is played; `None` for ever (`loops=-1`).
    pub loops: Option<u32>,
}

/// Why a tone notation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToneError {
    /// A part that is not understood.
    #[error("tone part {part:?} is not understood")]
    Part {
        /// The text.
        part: String,
    },
    /// More sound than the limit.
    #[error("tone lasts longer than {limit_s} s")]
    TooLong {
        /// The limit in seconds.
        limit_s: u32,
    },
    /// No tone in it.
    #[error("no tone")]
    Empty,
}

impl ToneStream {
    /// Parses `tone_stream://%(250,50,440);loops=25`; the scheme may be missing.
    pub fn parse(text: &str) -> Result<Self, ToneError> {
        let script = text.strip_prefix("tone_stream://").unwrap_or(text);
        let mut stream = Self {
            tones: Vec::new(),
            loops: Some(1),
        };
        let mut style = Style {
            volume_db: DEFAULT_DBM0,
            on_ms: 250,
            off_ms: 50,
        };
        for part in script
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            stream
                .part(part, &mut style)
                .ok_or_else(|| ToneError::Part {
                    part: part.chars().take(64).collect(),
                })?;
            if stream.tones.iter().map(Tone::total_ms).sum::<u64>() > u64::from(MAX_S) * 1000 {
                return Err(ToneError::TooLong { limit_s: MAX_S });
            }
        }
        if stream.tones.iter().all(|tone| tone.total_ms() == 0) {
            return Err(ToneError::Empty);
        }
        Ok(stream)
    }

    /// Ringback as in North America: 440 and 480 Hz, 2 s of 6, for ever.
    pub fn ringback() -> Self {
        Self {
            tones: vec![Tone::new(&[440.0, 480.0], 2000, 4000)],
            loops: None,
        }
    }

    /// Busy as in North America: 480 and 620 Hz, half of every second, for ever.
    pub fn busy() -> Self {
        Self {
            tones: vec![Tone::new(&[480.0, 620.0], 500, 500)],
            loops: None,
        }
    }

    /// The row once, at 8 kHz.
    pub fn clip(&self) -> Clip {
        let mut out = Vec::new();
        for tone in &self.tones {
            tone.render_into(8000, &mut out);
        }
        Clip::new(8000, out)
    }

    /// One part between semicolons; `None` when it is not understood.
    fn part(&mut self, part: &str, style: &mut Style) -> Option<()> {
        if let Some((key, value)) = part.split_once('=') {
            let (key, value) = (key.trim(), value.trim());
            match key {
                "v" => {
                    style.volume_db = value
                        .parse::<f32>()
                        .ok()
                        .filter(|db| (-60.0..=6.0).contains(db))?
                }
                "d" => style.on_ms = milliseconds(value)?,
                "w" => style.off_ms = milliseconds(value)?,
                "loops" | "L" | "l" if key != "l" => {
                    let loops: i64 = value.parse().ok()?;
                    self.loops = if loops < 0 {
                        None
                    } else {
                        Some(u32::try_from(loops).ok()?.max(1))
                    };
                }
                ">" | "<" | "+" | "r" | "c" | "l" => {}
                _ => return None,
            }
            return Some(());
        }
        let mut rest = part;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("%(") {
                let (inside, after) = after.split_once(')')?;
                self.tones.push(style.tone(inside)?);
                rest = after.trim_start();
            } else {
                let mut chars = rest.chars();
                let (low, high) = dtmf::frequencies(chars.next()?)?;
                self.tones.push(Tone {
                    frequencies: vec![low, high],
                    on_ms: style.on_ms,
                    off_ms: style.off_ms,
                    repeat: 1,
                    volume_db: style.volume_db,
                });
                rest = chars.as_str().trim_start();
            }
        }
        Some(())
    }
}

/// What `v=`, `d=` and `w=` have set.
struct Style {
    volume_db: f32,
    on_ms: u32,
    off_ms: u32,
}

impl Style {
    fn tone(&self, inside: &str) -> Option<Tone> {
        let mut numbers = inside.split(',').map(str::trim);
        let (on_ms, off_ms) = (
            milliseconds(numbers.next()?)?,
            milliseconds(numbers.next()?)?,
        );
        let frequency = |text: &str| {
            text.parse::<f32>()
                .ok()
                .filter(|f| (0.0..=4000.0).contains(f))
        };
        let frequencies = numbers.map(frequency).collect::<Option<Vec<f32>>>()?;
        let known = !frequencies.is_empty() && frequencies.len() <= MAX_FREQUENCIES;
        known.then_some(Tone {
            frequencies,
            on_ms,
            off_ms,
            repeat: 1,
            volume_db: self.volume_db,
        })
    }
}

fn milliseconds(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|ms| *ms <= MAX_S * 1000)
}

/// Peak of a sine of so many dBm0, in sample values.
pub(super) fn amplitude(dbm0: f32) -> f32 {
    10f32.powf((dbm0.clamp(-60.0, OVERLOAD_DBM0) - OVERLOAD_DBM0) / 20.0) * 32_767.0
}

/// Writes the sum of sines, each of that amplitude, with 2 ms of fade at both ends against clicks.
pub(super) fn sines(out: &mut [i16], frequencies: &[f32], amplitude: f32, rate_hz: u32) {
    let fade = (rate_hz / 500).max(1) as f32;
    let length = out.len();
    for (n, sample) in out.iter_mut().enumerate() {
        let envelope = ((n + 1).min(length - n) as f32 / fade).min(1.0);
        // The phase is taken modulo a turn before it loses precision.
        let sum: f32 = frequencies
            .iter()
            .map(|f| (TAU * ((f64::from(*f) * n as f64 / f64::from(rate_hz)).fract() as f32)).sin())
            .sum();
        *sample = (sum * amplitude * envelope) as i16;
    }
}

/// Longest row of tones in seconds.
pub const MAX_S: u32 = 120;
/// What libteletone uses when nothing is said.
const DEFAULT_DBM0: f32 = -7.0;
/// The sine that just fills the scale, as G.711 has it for A-law, in dBm0.
#[expect(clippy::approx_constant, reason = "a level, not π")]
const OVERLOAD_DBM0: f32 = 3.14;
/// Frequencies in one tone.
const MAX_FREQUENCIES: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::level::level_dbov;

    #[test]
    fn kazoos_streams_are_understood() {
        let beep = ToneStream::parse("tone_stream://%(250,50,440)").unwrap();
        assert_eq!(
            beep,
            ToneStream {
                tones: vec![Tone::new(&[440.0], 250, 50)],
                loops: Some(1)
            }
        );
        let busy = ToneStream::parse("tone_stream://%(500,500,480,620);loops=25").unwrap();
        assert_eq!(
            (busy.tones[0].frequencies.as_slice(), busy.loops),
            (&[480.0, 620.0][..], Some(25))
        );
        assert_eq!(
            ToneStream::parse("%(2000,4000,440,480);loops=-1").unwrap(),
            ToneStream::ringback()
        );
        let mixed =
            ToneStream::parse("L=2; v=-13;%(100,0,941.0,1477.0)%(50,0,0);d=80;w=20;1A").unwrap();
        assert_eq!((mixed.tones.len(), mixed.loops), (4, Some(2)));
        assert_eq!(
            (mixed.tones[3].on_ms, mixed.tones[3].volume_db),
            (80, -13.0)
        );
        assert_eq!(mixed.tones[3].frequencies, [697.0, 1633.0]);
    }

    #[test]
    fn nonsense_is_refused_with_the_part_that_is_wrong() {
        for text in [
            "%(250,50)",
            "%(a,b,c)",
            "%(1,2,99999)",
            "%(250,50,440",
            "hello",
            "x=1;%(1,1,1)",
            "%(-1,0,440)",
            "v=99;%(1,1,1)",
            "loops=x",
        ] {
            assert!(
                matches!(ToneStream::parse(text), Err(ToneError::Part { .. })),
                "{text}"
            );
        }
        assert_eq!(ToneStream::parse("tone_stream://"), Err(ToneError::Empty));
        assert_eq!(ToneStream::parse("%(0,0,440)"), Err(ToneError::Empty));
        assert_eq!(
            ToneStream::parse(&"%(60000,0,440)".repeat(3)),
            Err(ToneError::TooLong { limit_s: MAX_S })
        );
    }

    #[test]
    fn a_tone_has_its_length_frequency_and_level() {
        let pcm = Tone {
            repeat: 2,
            ..Tone::new(&[440.0], 250, 50)
        }
        .render(8000);
        assert_eq!(pcm.len(), 4800);
        assert!(pcm[2000..2400].iter().all(|s| *s == 0));
        let crossings = pcm[..2000]
            .windows(2)
            .filter(|w| w[0] < 0 && w[1] >= 0)
            .count();
        assert!((109..=110).contains(&crossings), "{crossings}");
        // −7 dBm0 is 10.14 dB below a full-scale sine, which is −3.01 dBov.
        assert!(
            (level_dbov(&pcm[100..1900]) + 13.15).abs() < 0.1,
            "{}",
            level_dbov(&pcm[100..1900])
        );
    }

    #[test]
    fn absurd_tones_are_cut() {
        let tone = Tone {
            frequencies: vec![f32::NAN, 1e30],
            on_ms: u32::MAX,
            off_ms: u32::MAX,
            repeat: u32::MAX,
            volume_db: f32::INFINITY,
        };
        assert_eq!(tone.render(100).len(), 100 * MAX_S as usize);
        assert!(Tone::new(&[440.0], 0, 0).render(8000).is_empty());
        assert_eq!(ToneStream::busy().clip().duration().as_millis(), 1000);
        assert_eq!(Tone::beep().render(8000).len(), 4000);
    }
}
