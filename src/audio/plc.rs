//! Packet loss concealment in the manner of ITU-T G.711 Appendix I: the last pitch periods again, fading.
//!
//! Works on decoded samples of any rate and adds no delay: instead of holding back the end of what was heard, the
//! beginning of the concealment is bent to meet it.

/// Remembers what was heard last and continues it over gaps.
#[derive(Debug, Clone)]
pub struct Plc {
    /// Samples in a millisecond.
    per_ms: usize,
    /// The last 48.75 ms heard, oldest first.
    history: Vec<i16>,
    gap: Option<Gap>,
    /// What was made up in this gap: becomes history when it ends.
    made_up: Vec<i16>,
}

/// A gap that is being filled.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// Pitch period in samples.
    pitch: usize,
    /// Samples filled so far.
    filled: usize,
    /// How far the first sample misses the end of the history.
    step: f32,
}

impl Plc {
    /// For samples of `rate_hz`.
    pub fn new(rate_hz: u32) -> Self {
        let per_ms = (rate_hz / 1000).max(1) as usize;
        Self {
            per_ms,
            history: vec![0; per_ms * HISTORY_MS_X4 / 4],
            gap: None,
            made_up: Vec::with_capacity(per_ms * 2 * SILENT_AFTER_MS),
        }
    }

    /// A received frame; after a gap its beginning is blended with the concealment.
    pub fn good(&mut self, pcm: &mut [i16]) {
        if let Some(gap) = self.gap {
            // 5 ms, and 4 ms more for each further 10 ms of gap (Appendix I), at most 20.
            let lost_ms = gap.filled / self.per_ms;
            let blend =
                ((5 + lost_ms.saturating_sub(10) / 10 * 4).min(20) * self.per_ms).min(pcm.len());
            for (n, sample) in pcm.iter_mut().take(blend).enumerate() {
                let made_up = self.synthesise(&gap, gap.filled + n);
                let share = (n as f32 + 1.0) / (blend as f32 + 1.0);
                *sample = (f32::from(*sample) * share + made_up * (1.0 - share)) as i16;
            }
            self.gap = None;
            let made_up = std::mem::take(&mut self.made_up);
            self.remember(&made_up);
            self.made_up = made_up;
            self.made_up.clear();
        }
        self.remember(pcm);
    }

    /// Fills `out` in place of a frame that did not come.
    pub fn lost(&mut self, out: &mut [i16]) {
        let mut gap = self.gap.unwrap_or_else(|| {
            let pitch = self.pitch();
            let last = |back: usize| {
                self.history
                    .len()
                    .checked_sub(back)
                    .and_then(|i| self.history.get(i))
                    .map_or(0.0, |s| f32::from(*s))
            };
            Gap {
                pitch,
                filled: 0,
                step: last(1) - last(pitch + 1),
            }
        });
        for (n, sample) in out.iter_mut().enumerate() {
            *sample = self.synthesise(&gap, gap.filled + n) as i16;
        }
        gap.filled = gap.filled.saturating_add(out.len());
        self.gap = Some(gap);
        let room = self.made_up.capacity() - self.made_up.len();
        self.made_up.extend(out.iter().take(room));
    }

    /// The concealment `n` samples after the beginning of the gap.
    fn synthesise(&self, gap: &Gap, n: usize) -> f32 {
        let fade_from = FULL_MS * self.per_ms;
        let silent_from = SILENT_AFTER_MS * self.per_ms;
        if n >= silent_from {
            return 0.0;
        }
        let gain = 1.0 - n.saturating_sub(fade_from) as f32 / (silent_from - fade_from) as f32;
        // One period in the first 10 ms, two in the next, then three: a single one repeated for long buzzes.
        let periods = (n / fade_from + 1).min(3);
        let length = gap.pitch * periods;
        let at = n % length;
        // The sample so far before the end of the history.
        let past = |back: usize| {
            self.history
                .len()
                .checked_sub(back)
                .and_then(|i| self.history.get(i))
                .map_or(0.0, |s| f32::from(*s))
        };
        let direct = past(length - at);
        // Towards its end the cycle turns into what precedes its beginning, so that it closes without a step.
        let seam = gap.pitch / 4;
        let into_seam = (at + seam + 1).saturating_sub(length);
        let cycled = if into_seam == 0 {
            direct
        } else {
            let share = into_seam as f32 / (seam as f32 + 1.0);
            direct * (1.0 - share) + past(2 * length - at) * share
        };
        // The very beginning is bent to meet the last sample heard.
        let bend = (4 * self.per_ms) as f32;
        let bent = if (n as f32) < bend {
            gap.step * (1.0 - (n as f32 + 1.0) / bend)
        } else {
            0.0
        };
        (cycled + bent) * gain
    }

    /// The lag, 5 to 15 ms (200 to 66 Hz), at which the history is most like itself.
    fn pitch(&self) -> usize {
        let (shortest, longest) = (5 * self.per_ms, 15 * self.per_ms);
        let window = 20 * self.per_ms;
        let from = self.history.len().saturating_sub(window);
        let recent = self.history.get(from..).unwrap_or(&[]);
        let energy = |pcm: &[i16]| pcm.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>();
        let mut best = (longest, 0.0f32);
        for lag in shortest..=longest {
            let Some(earlier) = from
                .checked_sub(lag)
                .and_then(|start| self.history.get(start..start + recent.len()))
            else {
                break;
            };
            let product: f32 = recent
                .iter()
                .zip(earlier)
                .map(|(a, b)| f32::from(*a) * f32::from(*b))
                .sum();
            let likeness = product / energy(earlier).max(1.0).sqrt();
            if likeness > best.1 {
                best = (lag, likeness);
            }
        }
        best.0
    }

    fn remember(&mut self, pcm: &[i16]) {
        let kept = self.history.len();
        let new = pcm.get(pcm.len().saturating_sub(kept)..).unwrap_or(pcm);
        self.history.copy_within(new.len().min(kept).., 0);
        if let Some(end) = self.history.get_mut(kept - new.len().min(kept)..) {
            end.copy_from_slice(new);
        }
    }
}

/// Four times the length of the history in ms (48.75 as in Appendix I: three longest periods and a seam).
const HISTORY_MS_X4: usize = 195;
/// Concealment at full level.
const FULL_MS: usize = 10;
/// After this it is silence.
const SILENT_AFTER_MS: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency: f64, from: usize, len: usize) -> Vec<i16> {
        (from..from + len)
            .map(|n| {
                ((n as f64 * frequency * std::f64::consts::TAU / 8000.0).sin() * 10_000.0) as i16
            })
            .collect()
    }

    fn primed(frequency: f64) -> Plc {
        let mut plc = Plc::new(8000);
        for frame in 0..5 {
            plc.good(&mut tone(frequency, frame * 160, 160));
        }
        plc
    }

    #[test]
    fn a_voiced_sound_goes_on_through_a_lost_frame() {
        for frequency in [100.0, 160.0, 200.0, 400.0] {
            let mut plc = primed(frequency);
            let mut out = vec![0; 160];
            plc.lost(&mut out);
            let want = tone(frequency, 800, 160);
            let error: f64 = out
                .iter()
                .zip(&want)
                .take(80)
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum();
            let energy: f64 = want.iter().take(80).map(|a| f64::from(*a).powi(2)).sum();
            assert!(error / energy < 0.05, "{frequency}: {}", error / energy);
        }
    }

    #[test]
    fn it_fades_to_silence_in_60_ms() {
        let mut plc = primed(200.0);
        let peaks: Vec<i16> = (0..4)
            .map(|_| {
                let mut out = vec![0; 160];
                plc.lost(&mut out);
                out.iter().map(|s| s.saturating_abs()).max().unwrap()
            })
            .collect();
        assert!(
            peaks[0] > 9000 && peaks[1] < peaks[0] && peaks[2] < peaks[1] && peaks[3] == 0,
            "{peaks:?}"
        );
    }

    #[test]
    fn there_is_no_step_at_either_end_of_the_gap() {
        let mut plc = primed(150.0);
        let mut all = tone(150.0, 640, 160);
        let mut lost = vec![0; 160];
        plc.lost(&mut lost);
        all.extend(&lost);
        let mut next = tone(150.0, 960, 160);
        plc.good(&mut next);
        all.extend(&next);
        let steepest = all
            .windows(2)
            .map(|w| (i32::from(w[1]) - i32::from(w[0])).abs())
            .max()
            .unwrap();
        let natural = (10_000.0 * 150.0 * std::f64::consts::TAU / 8000.0) as i32;
        assert!(steepest < natural * 2, "{steepest} against {natural}");
    }

    #[test]
    fn nothing_heard_conceals_to_nothing() {
        let mut plc = Plc::new(8000);
        let mut out = vec![5; 160];
        plc.lost(&mut out);
        assert!(out.iter().all(|s| *s == 0));
        let mut next = vec![1000; 160];
        plc.good(&mut next);
        assert_eq!(next[159], 1000);
    }

    #[test]
    fn frames_of_any_length_and_rate_are_taken() {
        for rate in [0, 8000, 16_000, 48_000] {
            let mut plc = Plc::new(rate);
            for len in [0usize, 1, 80, 480, 5000] {
                plc.good(&mut vec![7; len]);
                plc.lost(&mut vec![0; len]);
                plc.lost(&mut vec![0; len]);
            }
        }
    }
}
