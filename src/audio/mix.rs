//! Gain and sums on 16-bit samples, saturating.

/// A factor on samples, from decibels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain(f32);

impl Gain {
    /// No change.
    pub const UNITY: Gain = Gain(1.0);

    /// From decibels; limited to ±60 dB.
    pub fn from_db(gain_db: f32) -> Self {
        if gain_db.is_finite() {
            Self(10f32.powf(gain_db.clamp(-60.0, 60.0) / 20.0))
        } else {
            Self::UNITY
        }
    }

    /// Multiplies every sample.
    pub fn apply(self, pcm: &mut [i16]) {
        if self != Self::UNITY {
            for sample in pcm {
                *sample = (f32::from(*sample) * self.0) as i16; // float to integer saturates
            }
        }
    }
}

/// Adds `other` to `pcm`, sample by sample, as far as both reach.
pub fn add(pcm: &mut [i16], other: &[i16]) {
    for (sample, more) in pcm.iter_mut().zip(other) {
        *sample = sample.saturating_add(*more);
    }
}

/// Averages interleaved channels into one. A count of 0 or 1 copies.
pub fn downmix(interleaved: &[i16], channels: usize) -> Vec<i16> {
    if channels < 2 {
        return interleaved.to_vec();
    }
    let divisor = i32::try_from(channels).unwrap_or(i32::MAX);
    interleaved
        .chunks_exact(channels)
        .map(|frame| (frame.iter().map(|&s| i32::from(s)).sum::<i32>() / divisor) as i16)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_gains_saturate() {
        let mut pcm = [30_000, -30_000, 5];
        add(&mut pcm, &[10_000, -10_000]);
        assert_eq!(pcm, [i16::MAX, i16::MIN, 5]);
        Gain::from_db(20.0).apply(&mut pcm);
        assert_eq!(pcm, [i16::MAX, i16::MIN, 50]);
    }

    #[test]
    fn minus_six_db_halves() {
        let mut pcm = [10_000];
        Gain::from_db(-6.0206).apply(&mut pcm);
        assert!((pcm[0] - 5000).abs() <= 1);
        assert_eq!(Gain::from_db(f32::NAN), Gain::UNITY);
    }

    #[test]
    fn stereo_becomes_its_average() {
        assert_eq!(downmix(&[100, 200, -4, -8], 2), [150, -6]);
        assert_eq!(downmix(&[1, 2], 1), [1, 2]);
    }
}
