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

/// Adds `pcm` to a sum with room for tens of thousands of voices, as far as both reach.
pub fn accumulate(sum: &mut [i32], pcm: &[i16]) {
    for (total, sample) in sum.iter_mut().zip(pcm) {
        *total += i32::from(*sample);
    }
}

/// Appends a sum to `out`, cut to the range of samples.
pub fn clipped(sum: &[i32], out: &mut Vec<i16>) {
    out.extend(sum.iter().map(|total| clip(*total)));
}

/// Appends to `out` what a sum is without one of its parts: exact, since only the result is cut to the range.
pub fn without(sum: &[i32], part: &[i16], out: &mut Vec<i16>) {
    let rest = sum.iter().zip(part);
    out.extend(rest.map(|(total, own)| clip(*total - i32::from(*own))));
}

fn clip(total: i32) -> i16 {
    total.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
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
    fn everybody_hears_exactly_the_others() {
        let voices: Vec<Vec<i16>> = (0..100i32)
            .map(|n| {
                (0..320i32)
                    .map(|t| ((n * 7919 + t * 104_729) % 65_536 - 32_768) as i16)
                    .collect()
            })
            .collect();
        let mut sum = [0; 320];
        voices.iter().for_each(|voice| accumulate(&mut sum, voice));
        for (own, voice) in voices.iter().enumerate() {
            let mut others = [0i32; 320];
            for (n, other) in voices.iter().enumerate() {
                if n != own {
                    accumulate(&mut others, other);
                }
            }
            let (mut heard, mut wanted) = (Vec::new(), Vec::new());
            without(&sum, voice, &mut heard);
            clipped(&others, &mut wanted);
            assert_eq!(heard, wanted, "member {own}");
        }
    }

    #[test]
    fn too_many_loud_voices_saturate_and_one_of_them_is_still_taken_out_exactly() {
        let mut sum = [0; 2];
        for _ in 0..3 {
            accumulate(&mut sum, &[30_000, -30_000]);
        }
        let mut all = Vec::new();
        clipped(&sum, &mut all);
        assert_eq!(all, [i16::MAX, i16::MIN]);
        accumulate(&mut sum, &[-60, 60].map(|s| s * 500));
        let mut rest = Vec::new();
        without(&sum, &[30_000, -30_000], &mut rest);
        assert_eq!(
            rest,
            [30_000, -30_000],
            "not taken from a sum that was cut before"
        );
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
