//! Changing the sample rate of sound that is on its way, packet by packet: 8, 16 and 48 kHz among each other.
//!
//! A windowed-sinc filter in polyphase form with a delay of a millisecond and a half. It allocates when it is made and
//! never again, which the media tick needs; whole clips take the steeper filter of `resample`.

/// A change of rate under way.
#[derive(Debug, Clone)]
pub struct Rate {
    from_hz: u32,
    to_hz: u32,
    /// Each input sample stands for `up` steps, each output sample takes `down` of them.
    up: usize,
    down: usize,
    /// The filter, one row of [`TAPS`] (or a multiple) a phase.
    rows: Box<[Box<[f32]>]>,
    /// The last input samples, oldest first, twice as long as a row: half of it is room to move in.
    line: Box<[f32]>,
    /// Where the newest sample stands in `line`, plus one.
    filled: usize,
    /// Steps until the next output sample.
    wait: usize,
}

impl Rate {
    /// From `from_hz` to `to_hz`; a rate of 0 counts as the other one.
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        let (from_hz, to_hz) = match (from_hz, to_hz) {
            (0, 0) => (8000, 8000),
            (0, hz) | (hz, 0) => (hz, hz),
            both => both,
        };
        let divisor = gcd(from_hz, to_hz);
        let (up, down) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
        let (rows, line) = if up == down {
            (Box::default(), Box::default())
        } else {
            let rows = filter(up, down);
            let taps = rows.first().map_or(0, |row| row.len());
            (rows, vec![0.0; taps * 2].into_boxed_slice())
        };
        Self {
            from_hz,
            to_hz,
            up,
            down,
            filled: line.len() / 2,
            rows,
            line,
            wait: 0,
        }
    }

    /// The rate of what goes in.
    pub fn from_hz(&self) -> u32 {
        self.from_hz
    }

    /// The rate of what comes out.
    pub fn to_hz(&self) -> u32 {
        self.to_hz
    }

    /// Whether nothing changes.
    pub fn is_same(&self) -> bool {
        self.up == self.down
    }

    /// Appends to `out` what `pcm` becomes.
    pub fn push(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        if self.is_same() {
            out.extend_from_slice(pcm);
            return;
        }
        let taps = self.line.len() / 2;
        for sample in pcm {
            if self.filled == self.line.len() {
                self.line.copy_within(taps.., 0);
                self.filled = taps;
            }
            if let Some(place) = self.line.get_mut(self.filled) {
                *place = f32::from(*sample);
            }
            self.filled += 1;
            let recent = self.line.get(self.filled - taps..self.filled);
            while self.wait < self.up {
                if let (Some(recent), Some(row)) = (recent, self.rows.get(self.wait)) {
                    let sum: f32 = recent.iter().zip(row.iter()).map(|(s, w)| s * w).sum();
                    out.push(sum.round() as i16); // float to integer saturates
                }
                self.wait += self.down;
            }
            self.wait -= self.up;
        }
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        self.line.fill(0.0);
        self.wait = 0;
    }
}

/// The rows of a low-pass at the lower of both rates, one for each of `up` phases. Weights are in the order of the
/// samples, oldest first.
fn filter(up: usize, down: usize) -> Box<[Box<[f32]>]> {
    let slower = up.max(down);
    // Long enough to be as steep at the lower rate, whichever that is.
    let taps = TAPS * slower.div_ceil(up);
    let length = taps * up;
    let cutoff = PASS / slower as f64;
    let middle = (length as f64 - 1.0) / 2.0;
    let weight = |n: usize| {
        let x = n as f64 - middle;
        let sinc = if x == 0.0 {
            cutoff
        } else {
            (std::f64::consts::PI * cutoff * x).sin() / (std::f64::consts::PI * x)
        };
        // Blackman: side lobes below −70 dB.
        let w = std::f64::consts::TAU * n as f64 / (length as f64 - 1.0);
        sinc * (0.42 - 0.5 * w.cos() + 0.08 * (2.0 * w).cos())
    };
    let total: f64 = (0..length).map(weight).sum();
    let gain = up as f64 / total;
    let row = |phase: usize| {
        (0..taps)
            .rev()
            .map(|tap| (weight(tap * up + phase) * gain) as f32)
            .collect()
    };
    (0..up).map(row).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Samples of the lower rate the filter looks at.
const TAPS: usize = 24;
/// The edge of the filter, as a share of half the lower rate.
const PASS: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u32; 3] = [8000, 16_000, 48_000];

    fn sine(rate_hz: u32, frequency: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| {
                ((n as f64 * frequency * std::f64::consts::TAU / f64::from(rate_hz)).sin()
                    * 10_000.0) as i16
            })
            .collect()
    }

    fn level(pcm: &[i16]) -> f64 {
        let sum: f64 = pcm.iter().map(|s| f64::from(*s).powi(2)).sum();
        (sum / pcm.len() as f64).sqrt()
    }

    #[test]
    fn every_packet_keeps_its_length_in_time() {
        for from in RATES {
            for to in RATES {
                let mut rate = Rate::new(from, to);
                for _ in 0..10 {
                    let mut out = Vec::new();
                    rate.push(&vec![0; from as usize / 50], &mut out);
                    assert_eq!(out.len(), to as usize / 50, "{from} to {to}");
                }
            }
        }
    }

    #[test]
    fn speech_passes_at_its_level_and_what_does_not_fit_is_removed() {
        for from in RATES {
            for to in RATES {
                let through = |frequency: f64| {
                    let mut out = Vec::new();
                    Rate::new(from, to).push(&sine(from, frequency, from as usize / 2), &mut out);
                    20.0 * (level(&out[out.len() / 4..]) / level(&sine(8000, 400.0, 8000))).log10()
                };
                for frequency in [300.0, 1000.0, 2500.0] {
                    let gain = through(frequency);
                    assert!(
                        gain.abs() < 0.5,
                        "{from} to {to}, {frequency} Hz: {gain} dB"
                    );
                }
                let lower = f64::from(from.min(to));
                if from > to {
                    let gain = through(lower * 0.65);
                    assert!(gain < -50.0, "{from} to {to} folds: {gain} dB");
                }
            }
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let pcm = sine(48_000, 700.0, 4800);
        let (mut whole, mut pieces) = (Vec::new(), Vec::new());
        Rate::new(48_000, 8000).push(&pcm, &mut whole);
        let mut rate = Rate::new(48_000, 8000);
        for piece in pcm.chunks(37) {
            rate.push(piece, &mut pieces);
        }
        assert_eq!(whole, pieces);
    }
}
