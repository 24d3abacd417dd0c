//! G.722 at 64 kbit/s (ITU-T G.722): 16 kHz sound in two bands, each in adaptive differential pulse code.
//!
//! Names of blocks and variables are those of the Recommendation (clause 6). The RTP clock is 8 kHz although there are
//! 16,000 samples a second (RFC 3551 §4.5.2). Ours, because a port must not allocate while it encodes.

use super::Format;

/// G722/8000.
#[derive(Debug)]
pub(super) struct G722;

/// Memory of a sender.
#[derive(Debug)]
pub(super) struct Encoder {
    /// The last samples, for the filter that parts the bands; oldest first.
    x: [i32; 24],
    low: Band,
    high: Band,
}

/// Memory of a receiver.
#[derive(Debug)]
pub(super) struct Decoder {
    x: [i32; 24],
    low: Band,
    high: Band,
}

impl Default for Encoder {
    fn default() -> Self {
        let (x, low, high) = ([0; 24], Band::new(32), Band::new(8));
        Self { x, low, high }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        let (x, low, high) = ([0; 24], Band::new(32), Band::new(8));
        Self { x, low, high }
    }
}

impl Format for G722 {
    const NAME: &'static str = "G722";
    const CLOCK_RATE_HZ: u32 = 8000;
    const SAMPLE_RATE_HZ: u32 = 16_000;
    const PAYLOAD_TYPE: u8 = 9;
    const STATIC: bool = true;
    const BYTES_PER_MS: usize = 8;
    type Encoder = Encoder;
    type Decoder = Decoder;

    fn encode(state: &mut Encoder, pcm: &[i16], out: &mut Vec<u8>) {
        let (pairs, _) = pcm.as_chunks::<2>();
        out.extend(pairs.iter().map(|pair| state.code(*pair)));
    }

    fn decode(state: &mut Decoder, payload: &[u8], out: &mut Vec<i16>) {
        out.extend(payload.iter().flat_map(|code| state.samples(*code)));
    }

    fn ticks(payload: &[u8]) -> u32 {
        u32::try_from(payload.len()).unwrap_or(u32::MAX)
    }
}

impl Encoder {
    /// Two samples become one code: two bits of the high band above six of the low one.
    fn code(&mut self, pair: [i16; 2]) -> u8 {
        let (even, odd) = shift_in(&mut self.x, pair.map(i32::from));
        let (xlow, xhigh) = ((odd + even) >> 14, (odd - even) >> 14);
        // QUANTL.
        let el = saturate(xlow - self.low.s);
        let wd = if el >= 0 { el } else { -(el + 1) };
        let det = self.low.det;
        let mil = Q6.iter().take_while(|q| wd >= (**q * det) >> 12).count();
        let ilow = if el < 0 { at(&ILN, mil) } else { at(&ILP, mil) };
        self.low.adapt_low(ilow >> 2);
        // QUANTH.
        let eh = saturate(xhigh - self.high.s);
        let wd = if eh >= 0 { eh } else { -(eh + 1) };
        let far = wd >= (564 * self.high.det) >> 12;
        let ihigh = match (eh < 0, far) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        self.high.adapt_high(ihigh);
        ((ihigh << 6) | ilow) as u8
    }
}

impl Decoder {
    fn samples(&mut self, code: u8) -> [i16; 2] {
        let (ilow, ihigh) = (i32::from(code & 0x3F), i32::from(code >> 6));
        // INVQBL: all six bits for the sound; the predictor takes four, as the sender's does.
        let dlow = (self.low.det * at(&QM6, ilow as usize)) >> 15;
        let rlow = (self.low.s + dlow).clamp(-16_384, 16_383);
        self.low.adapt_low(ilow >> 2);
        let predicted = self.high.s;
        let dhigh = self.high.adapt_high(ihigh);
        let rhigh = (predicted + dhigh).clamp(-16_384, 16_383);
        let (second, first) = shift_in(&mut self.x, [rlow + rhigh, rlow - rhigh]);
        [first, second].map(|x| saturate(x >> 11) as i16)
    }
}

/// Both halves of the quadrature mirror filter after two more values: over the even and the odd places.
fn shift_in(x: &mut [i32; 24], pair: [i32; 2]) -> (i32, i32) {
    x.copy_within(2.., 0);
    let [.., older, newer] = x;
    [*older, *newer] = pair;
    let (pairs, _) = x.as_chunks::<2>();
    let taps = pairs.iter().zip(QMF.iter().zip(QMF.iter().rev()));
    taps.fold((0, 0), |(even, odd), ([a, b], (forward, back))| {
        (even + a * forward, odd + b * back)
    })
}

/// The predictor and step size of one band.
#[derive(Debug)]
struct Band {
    /// Predicted value, and the part of it the zeros give.
    s: i32,
    sz: i32,
    /// Step size, and its logarithm.
    det: i32,
    nb: i32,
    /// Reconstructed and partly reconstructed values, newest first.
    r: [i32; 2],
    p: [i32; 2],
    /// Coefficients of the poles and of the zeros, and the differences the latter go with.
    a: [i32; 2],
    b: [i32; 6],
    d: [i32; 6],
}

impl Band {
    fn new(det: i32) -> Self {
        Self {
            s: 0,
            sz: 0,
            det,
            nb: 0,
            r: [0; 2],
            p: [0; 2],
            a: [0; 2],
            b: [0; 6],
            d: [0; 6],
        }
    }

    /// Blocks 2L to 4L, with the upper four bits of a code.
    fn adapt_low(&mut self, ril: i32) {
        let dlow = (self.det * at(&QM4, ril as usize)) >> 15;
        let wl = at(&WL, at(&RL42, ril as usize) as usize);
        self.nb = (((self.nb * 127) >> 7) + wl).clamp(0, 18_432);
        self.det = step_size(self.nb, 8);
        self.predict(dlow);
    }

    /// Blocks 2H to 4H; the difference the code stands for.
    fn adapt_high(&mut self, ihigh: i32) -> i32 {
        let dhigh = (self.det * at(&QM2, ihigh as usize)) >> 15;
        let wh = at(&WH, at(&RH2, ihigh as usize) as usize);
        self.nb = (((self.nb * 127) >> 7) + wh).clamp(0, 22_528);
        self.det = step_size(self.nb, 10);
        self.predict(dhigh);
        dhigh
    }

    /// Block 4: the next prediction after the difference `d`.
    fn predict(&mut self, d: i32) {
        let r = saturate(self.s + d);
        let p = saturate(self.sz + d);
        let [a1, a2] = self.a;
        let same = |other: i32| (p >> 15) == (other >> 15);
        let (as_last, as_before) = (same(self.p[0]), same(self.p[1]));
        // UPPOL2.
        let wd = saturate(a1 << 2);
        let wd = if as_last { -wd } else { wd }.min(32_767);
        let wd = (wd >> 7) + if as_before { 128 } else { -128 } + ((a2 * 32_512) >> 15);
        let a2 = wd.clamp(-12_288, 12_288);
        // UPPOL1.
        let wd = if as_last { 192 } else { -192 } + ((a1 * 32_640) >> 15);
        let most = saturate(15_360 - a2);
        let a1 = saturate(wd).clamp(-most, most);
        // UPZERO.
        let step = if d == 0 { 0 } else { 128 };
        for (b, before) in self.b.iter_mut().zip(&self.d) {
            let wd = if (d >> 15) == (before >> 15) {
                step
            } else {
                -step
            };
            *b = saturate(wd + ((*b * 32_640) >> 15));
        }
        // DELAYA.
        self.d.copy_within(..5, 1);
        self.d[0] = d;
        self.r = [r, self.r[0]];
        self.p = [p, self.p[0]];
        self.a = [a1, a2];
        // FILTEP, FILTEZ, PREDIC.
        let term = |a: i32, r: i32| (a * saturate(r + r)) >> 15;
        let sp = saturate(term(a1, self.r[0]) + term(a2, self.r[1]));
        let zeros = self.b.iter().zip(&self.d).map(|(b, d)| term(*b, *d));
        self.sz = saturate(zeros.sum());
        self.s = saturate(sp + self.sz);
    }
}

/// SCALEL and SCALEH: the logarithm made a step size.
fn step_size(nb: i32, most: i32) -> i32 {
    let fine = at(&ILB, ((nb >> 6) & 31) as usize);
    let shift = most - (nb >> 11);
    let wd = if shift < 0 {
        fine << -shift
    } else {
        fine >> shift
    };
    wd << 2
}

fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

fn at(table: &[i32], index: usize) -> i32 {
    table.get(index).copied().unwrap_or(0)
}

/// Coefficients of the quadrature mirror filter (table 11).
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
/// Decision levels of the low band (table 14), and the codes between them, for negative and positive differences.
const Q6: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
const ILN: [i32; 30] = [
    63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10,
    9, 8, 7, 6, 5, 4,
];
const ILP: [i32; 30] = [
    61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38,
    37, 36, 35, 34, 33, 32,
];
/// Quantised differences for four and six bits (tables 16 and 18).
const QM4: [i32; 16] = [
    0, -20_456, -12_896, -8968, -6288, -4240, -2584, -1200, 20_456, 12_896, 8968, 6288, 4240, 2584,
    1200, 0,
];
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192,
    -10_232, -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168,
    -2776, -2400, -2032, -1688, -1360, -1040, -728, 24_808, 21_904, 19_008, 16_704, 14_984, 13_512,
    12_280, 11_192, 10_232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168,
    2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// The same for the high band (table 19).
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// How the step size follows (tables 17, 20 and 21).
const RL42: [i32; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
const WL: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
const RH2: [i32; 4] = [2, 1, 2, 1];
const WH: [i32; 3] = [0, -214, 798];
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise over a square wave: reaches every branch of both bands.
    fn sound() -> Vec<i16> {
        let (mut state, mut level) = (12_345u64, 0i64);
        let mut next = |i: usize| {
            state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF;
            let noise = (state >> 16) as i64 % 4001 - 2000;
            level = (level * 7).div_euclid(8) + noise;
            let wave = if (i / 40).is_multiple_of(2) {
                6000
            } else {
                -6000
            };
            (level + wave).clamp(-32_768, 32_767) as i16
        };
        (0..16_000).map(&mut next).collect()
    }

    fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
        bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        })
    }

    #[test]
    fn codes_and_samples_are_those_of_the_reference() {
        // libg722 (of SpanDSP, which passes the vectors of ITU-T G.722 appendix II) made these of the same sound.
        let pcm = sound();
        assert_eq!(pcm[..6], [5463, 5516, 5688, 7225, 5994, 4035]);
        let mut codes = Vec::new();
        G722::encode(&mut Encoder::default(), &pcm, &mut codes);
        assert_eq!(codes[..8], [0x98, 0x26, 0x84, 0x20, 0x86, 0x20, 0xA0, 0xA5]);
        assert_eq!(
            (codes.len(), fnv(codes.iter().copied())),
            (8000, 0xE91D_73C9_4386_8781)
        );
        let mut heard = Vec::new();
        G722::decode(&mut Decoder::default(), &codes, &mut heard);
        assert_eq!(heard[..12], [-1, 0, 0, -1, -1, 0, 0, -3, -1, 9, -2, -33]);
        let bytes = heard.iter().flat_map(|s| s.to_le_bytes());
        assert_eq!((heard.len(), fnv(bytes)), (16_000, 0x44B9_6BD3_6C9F_03B3));
    }

    #[test]
    fn packets_give_what_the_whole_gives() {
        let pcm = sound();
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        G722::encode(&mut Encoder::default(), &pcm, &mut whole);
        let mut encoder = Encoder::default();
        pcm.chunks(320)
            .for_each(|packet| G722::encode(&mut encoder, packet, &mut parts));
        assert_eq!(whole, parts);
    }
}
