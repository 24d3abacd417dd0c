//! Keypad tones (ITU-T Q.23): made, and heard in-band (limits of Q.24).
//!
//! The detector looks at 32 ms of sound every 8 ms through a Hann window, whose side lobes are so low that the two
//! groups do not disturb each other. A tone is within its frequency when the filter on the nominal frequency answers
//! more than those 5 % beside it: equal answers mean 2.5 % off, half way between what must be taken (1.5 %) and what
//! must not (3.5 %). Speech fails because two sines must make up nearly all of the sound, at a steady level, three times
//! in a row.

use std::f32::consts::TAU;

use super::tone;

/// Hears keypad tones in 8 kHz samples.
#[derive(Debug, Clone)]
pub struct DtmfDetector {
    /// The last samples, oldest first.
    window: Box<[i16; WINDOW]>,
    /// New samples since the last look.
    fresh: usize,
    /// What the last look saw.
    seen: Option<Seen>,
    /// Looks in a row that saw the same at the same level.
    times: u8,
    /// One of them saw nothing beside it.
    pure: bool,
    /// Looks in a row that saw nothing.
    missed: u8,
    /// The key that was reported and is not up yet.
    down: Option<char>,
    /// Recognised, not fetched.
    ready: Option<char>,
}

impl DtmfDetector {
    /// A detector that has heard nothing yet.
    pub fn new() -> Self {
        Self {
            window: Box::new([0; WINDOW]),
            fresh: 0,
            seen: None,
            times: 0,
            pure: false,
            missed: 0,
            down: None,
            ready: None,
        }
    }

    /// Takes samples (8 kHz); the key whose tone has just been recognised, once a press. At most 40 ms at a time: a
    /// second key in the same piece would be lost.
    pub fn push(&mut self, pcm: &[i16]) -> Option<char> {
        let mut rest = pcm;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(HOP - self.fresh));
            self.window.copy_within(piece.len().., 0);
            if let Some(end) = self.window.get_mut(WINDOW - piece.len()..) {
                end.copy_from_slice(piece);
            }
            self.fresh += piece.len();
            if self.fresh == HOP {
                self.fresh = 0;
                let saw = look(&self.window);
                self.judge(saw);
            }
            rest = after;
        }
        self.ready.take()
    }

    /// The key that is down, as far as the last looks saw.
    pub fn down(&self) -> Option<char> {
        self.down
    }

    fn judge(&mut self, saw: Option<Seen>) {
        let Some(now) = saw else {
            self.seen = None;
            self.missed = self.missed.saturating_add(1);
            if self.missed >= LOOKS_UP {
                self.down = None;
            }
            return;
        };
        self.missed = 0;
        if self.seen.is_some_and(|before| before.goes_on_as(&now)) {
            self.times = self.times.saturating_add(1);
        } else {
            self.times = 1;
            self.pure = false;
        }
        self.pure |= now.purity >= MIN_BEST_PURITY;
        self.seen = saw;
        if self.times >= LOOKS_DOWN && self.pure && self.down != Some(now.key) {
            self.down = Some(now.key);
            self.ready = Some(now.key);
        }
    }
}

/// What one look saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    key: char,
    low: f32,
    high: f32,
    purity: f32,
}

impl Seen {
    /// A key keeps its level; a voice does not.
    fn goes_on_as(&self, next: &Self) -> bool {
        let steady = |a: f32, b: f32| a < b * MAX_CHANGE && b < a * MAX_CHANGE;
        self.key == next.key && steady(self.low, next.low) && steady(self.high, next.high)
    }
}

impl Default for DtmfDetector {
    fn default() -> Self {
        Self::new()
    }
}

/// `ms` milliseconds of a key's tone at 8 kHz, the upper frequency 2 dB louder; nothing for a character that is no key.
pub fn dtmf_tone(digit: char, ms: u32) -> Vec<i16> {
    let Some((low, high)) = frequencies(digit) else {
        return Vec::new();
    };
    let length = ms.min(tone::MAX_S * 1000) as usize * 8;
    let (mut out, mut upper) = (vec![0; length], vec![0; length]);
    tone::sines(&mut out, &[low], tone::amplitude(-9.0), 8000);
    tone::sines(&mut upper, &[high], tone::amplitude(-7.0), 8000);
    super::mix::add(&mut out, &upper);
    out
}

/// The two frequencies of a key.
pub fn frequencies(digit: char) -> Option<(f32, f32)> {
    let digit = digit.to_ascii_uppercase();
    KEYS.iter().zip(ROWS).find_map(|(row, low)| {
        let column = row.iter().position(|key| *key == digit)?;
        Some((low, *COLUMNS.get(column)?))
    })
}

/// One look at a window of sound: the key whose tone fills it.
fn look(window: &[i16; WINDOW]) -> Option<Seen> {
    let mut shaped = [0.0f32; WINDOW];
    let mut energy = 0.0;
    for ((out, sample), weight) in shaped.iter_mut().zip(window).zip(HANN.iter()) {
        *out = f32::from(*sample) * weight;
        energy += *out * *out;
    }
    if energy < MIN_ENERGY {
        return None;
    }
    let (row, low) = strongest(&shaped, &ROWS)?;
    let (column, high) = strongest(&shaped, &COLUMNS)?;
    // A sine of amplitude A answers A²·N²/16 here and has the energy 3·A²·N/16: one look fully filled gives 1.
    let purity = (low + high) * 3.0 / (WINDOW as f32 * energy);
    let twist = high / low;
    if purity < MIN_PURITY || !(MIN_TWIST..=MAX_TWIST).contains(&twist) {
        return None;
    }
    let key = *KEYS.get(row)?.get(column)?;
    Some(Seen {
        key,
        low,
        high,
        purity,
    })
}

/// The strongest frequency of a group, when it stands out and is where it should be: its place and power.
fn strongest(shaped: &[f32; WINDOW], group: &[f32; 4]) -> Option<(usize, f32)> {
    let powers = group.map(|frequency| power(shaped, frequency));
    let (place, &middle) = powers
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))?;
    let frequency = *group.get(place)?;
    let below = power(shaped, frequency * 0.985);
    let above = power(shaped, frequency * 1.015);
    let peak = peak(below, middle, above);
    let stands_out = powers
        .iter()
        .enumerate()
        .all(|(other, power)| other == place || power * MIN_LEAD < peak);
    let off = power(shaped, frequency * 0.95).max(power(shaped, frequency * 1.05)) >= middle;
    (stands_out && !off).then_some((place, peak))
}

/// Goertzel's filter: the power of one frequency.
fn power(shaped: &[f32; WINDOW], frequency: f32) -> f32 {
    let coefficient = 2.0 * (TAU * frequency / RATE_HZ).cos();
    let (mut one, mut two) = (0.0f32, 0.0f32);
    for sample in shaped {
        let zero = sample + coefficient * one - two;
        two = one;
        one = zero;
    }
    one * one + two * two - coefficient * one * two
}

/// The top of the parabola through three powers on a logarithmic scale, when it lies between them.
fn peak(below: f32, middle: f32, above: f32) -> f32 {
    let [a, b, c] = [below, middle, above].map(|power| power.max(1.0).ln());
    let curve = a - 2.0 * b + c;
    if curve >= -1e-6 {
        return middle.max(below).max(above);
    }
    let at = ((a - c) / (2.0 * curve)).clamp(-1.2, 1.2);
    (b - (a - c) * at / 4.0).exp()
}

const RATE_HZ: f32 = 8000.0;
/// Samples in a look: 32 ms.
const WINDOW: usize = 256;
/// Samples between looks: 8 ms.
const HOP: usize = 64;
/// Looks in a row that make a key. Three span 48 ms of which the outer 4 ms may be missing: a tone of 40 ms suffices.
const LOOKS_DOWN: u8 = 3;
/// Looks in a row without a key that let it go: a gap of 40 ms gives seven, a short drop-out four at most.
const LOOKS_UP: u8 = 5;
/// Weighted energy of the quietest sound looked at: about −45 dBov.
const MIN_ENERGY: f32 = 0.375 * WINDOW as f32 * 184.0 * 184.0;
/// The part of the energy the two tones must make up in every look, the first and last of which reach over the edge.
const MIN_PURITY: f32 = 0.75;
/// And in the best look.
const MIN_BEST_PURITY: f32 = 0.93;
/// Change of a tone's power from look to look: 2 dB.
const MAX_CHANGE: f32 = 1.6;
/// Upper against lower group: −8 to +4 dB, and 1 dB for the measurement.
const MIN_TWIST: f32 = 0.126;
const MAX_TWIST: f32 = 3.162;
/// The strongest of a group is this much above the others: 8 dB.
const MIN_LEAD: f32 = 6.3;

const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// The window's weights.
static HANN: std::sync::LazyLock<[f32; WINDOW]> = std::sync::LazyLock::new(|| {
    std::array::from_fn(|n| 0.5 - 0.5 * (TAU * n as f32 / WINDOW as f32).cos())
});

#[cfg(test)]
mod tests;
