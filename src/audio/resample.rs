//! Changing the sample rate of whole clips: the one door to rubato.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

/// `pcm` at `to_hz` instead of `from_hz`, band-limited; the length follows the ratio. Equal rates copy, and a rate
/// of 0 gives nothing.
pub fn resample(pcm: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    if from_hz == 0 || to_hz == 0 || pcm.is_empty() {
        return Vec::new();
    }
    if from_hz == to_hz {
        return pcm.to_vec();
    }
    let samples: Vec<f32> = pcm.iter().map(|&s| f32::from(s)).collect();
    let resampled = Fft::<f32>::new(from_hz as usize, to_hz as usize, CHUNK, 1, FixedSync::Input)
        .ok()
        .and_then(|mut fft| {
            let input = InterleavedSlice::new(&samples, 1, samples.len()).ok()?;
            fft.process_all(&input, samples.len(), None).ok()
        });
    match resampled {
        Some(out) => out
            .take_data()
            .into_iter()
            .map(|s| s.round() as i16)
            .collect(),
        // Not reachable with non-zero rates and one channel; silence of the right length is the safest answer.
        None => vec![0; (pcm.len() as u64 * u64::from(to_hz) / u64::from(from_hz)) as usize],
    }
}

/// Changes the rate of sound that arrives piece by piece.
pub struct Resampling {
    fft: Option<Fft<f32>>,
    from_hz: u32,
    to_hz: u32,
    pending: Vec<f32>,
    /// Samples of the filter's delay still to be left out.
    skip: usize,
    taken: u64,
    given: u64,
}

impl Resampling {
    /// From `from_hz` to `to_hz`; equal rates pass through.
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        let needed = from_hz != to_hz && from_hz > 0 && to_hz > 0;
        let fft = needed
            .then(|| {
                Fft::<f32>::new(from_hz as usize, to_hz as usize, CHUNK, 1, FixedSync::Input).ok()
            })
            .flatten();
        let skip = fft.as_ref().map_or(0, |fft| fft.output_delay());
        Self {
            fft,
            from_hz: from_hz.max(1),
            to_hz: to_hz.max(1),
            pending: Vec::new(),
            skip,
            taken: 0,
            given: 0,
        }
    }

    /// Takes samples and appends what they complete to `out`.
    pub fn push(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        if self.fft.is_none() {
            out.extend_from_slice(pcm);
            return;
        }
        self.taken += pcm.len() as u64;
        self.pending.extend(pcm.iter().map(|s| f32::from(*s)));
        self.steps(out);
    }

    /// Appends the rest to `out`, so that the length follows the ratio.
    pub fn finish(mut self, out: &mut Vec<i16>) {
        let whole = self
            .taken
            .saturating_mul(u64::from(self.to_hz))
            .div_ceil(u64::from(self.from_hz));
        while self.fft.is_some() && self.given < whole {
            let before = (self.given, self.skip);
            self.pending.resize(self.pending.len() + CHUNK, 0.0);
            self.steps(out);
            if before == (self.given, self.skip) && self.pending.len() > 8 * CHUNK {
                break;
            }
        }
        let over = self.given.saturating_sub(whole) as usize;
        if self.fft.is_some() {
            out.truncate(out.len().saturating_sub(over));
        }
    }

    fn steps(&mut self, out: &mut Vec<i16>) {
        let Some(fft) = &mut self.fft else { return };
        loop {
            let need = fft.input_frames_next();
            let Some(chunk) = self.pending.get(..need) else {
                return;
            };
            let made = InterleavedSlice::new(chunk, 1, need)
                .ok()
                .and_then(|input| fft.process(&input, None).ok());
            let made = made.map(|made| made.take_data()).unwrap_or_default();
            self.pending.drain(..need);
            let skipped = self.skip.min(made.len());
            self.skip -= skipped;
            self.given += (made.len() - skipped) as u64;
            out.extend(made.into_iter().skip(skipped).map(|s| s.round() as i16));
        }
    }
}

/// Input frames a step: long enough for a steep filter, short enough for little memory.
const CHUNK: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate_hz: u32, frequency: f64, amplitude: f64, seconds: f64) -> Vec<i16> {
        (0..(f64::from(rate_hz) * seconds) as usize)
            .map(|n| {
                ((n as f64 * frequency * std::f64::consts::TAU / f64::from(rate_hz)).sin()
                    * amplitude) as i16
            })
            .collect()
    }

    #[test]
    fn length_follows_the_ratio() {
        for (from, to) in [
            (22_050, 8000),
            (44_100, 8000),
            (16_000, 8000),
            (8000, 48_000),
            (48_000, 8000),
            (11_025, 16_000),
        ] {
            let pcm = sine(from, 440.0, 8000.0, 1.3);
            let got = resample(&pcm, from, to).len() as i64;
            let want = (pcm.len() as f64 * f64::from(to) / f64::from(from)).round() as i64;
            assert!(
                (got - want).abs() <= 1,
                "{from} -> {to}: {got} instead of {want}"
            );
        }
    }

    #[test]
    fn a_tone_keeps_its_level_and_place() {
        let out = resample(&sine(22_050, 200.0, 10_000.0, 1.0), 22_050, 8000);
        let want = sine(8000, 200.0, 10_000.0, 1.0);
        // The filter's delay is cut off in whole samples: at most half a sample is left, 0.08 rad of this tone.
        let worst = out
            .iter()
            .zip(&want)
            .skip(400)
            .take(7000)
            .map(|(a, b)| (a - b).abs())
            .max()
            .unwrap();
        assert!(worst < 900, "largest error {worst}");
        let peak = out.iter().skip(400).take(7000).max().unwrap();
        assert!((9900..=10_100).contains(peak), "peak {peak}");
    }

    #[test]
    fn what_does_not_fit_below_half_the_rate_is_removed() {
        let out = resample(&sine(48_000, 6000.0, 10_000.0, 1.0), 48_000, 8000);
        let worst = out
            .iter()
            .skip(400)
            .take(7000)
            .map(|s| s.abs())
            .max()
            .unwrap();
        assert!(worst < 30, "alias of {worst}");
    }

    #[test]
    fn odd_input_is_harmless() {
        assert!(resample(&[], 8000, 16_000).is_empty());
        assert!(resample(&[1, 2], 0, 16_000).is_empty());
        assert_eq!(resample(&[1, 2, 3], 8000, 8000), [1, 2, 3]);
        assert_eq!(resample(&[1], 8000, 16_000).len(), 2);
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        for (from, to) in [
            (22_050, 8000),
            (44_100, 8000),
            (16_000, 8000),
            (8000, 8000),
            (48_000, 8000),
        ] {
            let pcm = sine(from, 300.0, 9000.0, 0.7);
            let mut pieces = Resampling::new(from, to);
            let mut got = Vec::new();
            for piece in pcm.chunks(333) {
                pieces.push(piece, &mut got);
            }
            pieces.finish(&mut got);
            let whole = resample(&pcm, from, to);
            assert!(
                got.len().abs_diff(whole.len()) <= 1,
                "{from}: {} and {}",
                got.len(),
                whole.len()
            );
            let worst = got
                .iter()
                .zip(&whole)
                .map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs())
                .max();
            assert!(worst.unwrap() <= 2, "{from}: {worst:?}");
        }
        let mut out = Vec::new();
        Resampling::new(16_000, 8000).finish(&mut out);
        assert!(out.is_empty());
    }
}
