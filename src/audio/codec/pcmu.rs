//! G.711 µ-law (ITU-T G.711 table 2; PCMU of RFC 3551 §4.5.14).

use super::Format;

/// PCMU.
pub(super) struct Pcmu;

impl Format for Pcmu {
    const NAME: &'static str = "PCMU";
    const CLOCK_RATE_HZ: u32 = 8000;
    const SAMPLE_RATE_HZ: u32 = 8000;
    const PAYLOAD_TYPE: u8 = 0;
    const STATIC: bool = true;
    const BYTES_PER_MS: usize = 8;
    type Encoder = ();
    type Decoder = ();

    fn encode(_: &mut (), pcm: &[i16], out: &mut Vec<u8>) {
        out.extend(pcm.iter().map(|&sample| compress(sample)));
    }

    fn decode(_: &mut (), payload: &[u8], out: &mut Vec<i16>) {
        out.extend(payload.iter().map(|&code| EXPANDED.get(usize::from(code)).copied().unwrap_or(0)));
    }

    fn ticks(payload: &[u8]) -> u32 {
        u32::try_from(payload.len()).unwrap_or(u32::MAX)
    }
}

/// The distance, in 14-bit steps, by which every magnitude is raised so that segments begin at powers of two.
const BIAS: u32 = 33;

/// The largest biased 14-bit magnitude; louder samples are clipped to it.
const CLIP: u32 = 0x1FFF;

/// One sample to its code: 14 bits by dropping two, sign and magnitude (one's complement for negative values), then
/// eight segments of sixteen steps. Codes go out inverted.
const fn compress(sample: i16) -> u8 {
    let wide = sample as i32;
    let magnitude = (if wide < 0 { !wide } else { wide } >> 2) as u32 + BIAS;
    let magnitude = if magnitude > CLIP { CLIP } else { magnitude };
    // 33..=8191 has its highest bit at 5..=12: that is segment 0..=7.
    let segment = 26 - magnitude.leading_zeros();
    let step = (magnitude >> (segment + 1)) & 0xF;
    let code = ((segment << 4) | step) as u8;
    if wide < 0 { !code & 0x7F } else { !code }
}

/// One code to its quantised value, as 16 bits.
const fn expand(code: u8) -> i16 {
    let inverted = !code;
    let segment = (inverted >> 4) & 7;
    let step = (inverted & 0xF) as i32;
    // The middle of the step, on the 14-bit scale times four.
    let magnitude = ((((step << 1) + 33) << segment) - 33) << 2;
    if inverted & 0x80 != 0 { -magnitude as i16 } else { magnitude as i16 }
}

/// `expand` of every code.
static EXPANDED: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time; 0..256 into 256 entries")]
        {
            table[code] = expand(code as u8);
        }
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Upper ends of the eight positive segments on the 14-bit scale (G.711 table 2a, column "decision value").
    const SEGMENT_ENDS: [i32; 8] = [31, 95, 223, 479, 991, 2015, 4063, 8159];

    #[test]
    fn every_code_survives_expand_and_compress() {
        for code in 0..=255u8 {
            let expected = if code == 0x7F { 0xFF } else { code }; // −0 and +0 are the same sample
            assert_eq!(compress(expand(code)), expected, "{code:#04x}");
        }
    }

    #[test]
    fn quantised_values_are_those_of_the_table() {
        // (code, value on the 14-bit scale), G.711 table 2a and 2b.
        for (code, value) in [(0x80u8, 8031), (0x8F, 4191), (0x9F, 2079), (0xAF, 1023), (0xBF, 495), (0xCF, 231), (0xDF, 99), (0xEF, 33), (0xFE, 2), (0xFF, 0)] {
            assert_eq!(i32::from(expand(code)), value * 4, "{code:#04x}");
            assert_eq!(i32::from(expand(code & 0x7F)), -value * 4, "{code:#04x}");
        }
    }

    #[test]
    fn decision_values_are_those_of_the_table() {
        for (segment, end) in SEGMENT_ENDS.into_iter().enumerate() {
            let below = compress(((end - 1) << 2) as i16);
            assert_eq!(usize::from((!below >> 4) & 7), segment, "segment ending at {end}");
            if end < 8159 {
                let above = compress((end << 2) as i16);
                assert_eq!(usize::from((!above >> 4) & 7), segment + 1, "segment beginning at {end}");
            }
        }
    }

    #[test]
    fn compressing_is_monotone_and_as_close_as_a_step_allows() {
        for sample in i16::MIN..i16::MAX {
            assert!(expand(compress(sample)) <= expand(compress(sample + 1)), "{sample}");
        }
        for sample in -32635..=32635i32 {
            let error = (i32::from(expand(compress(sample as i16))) - sample).abs();
            let segment = u32::from((!compress(sample as i16) >> 4) & 7);
            assert!(error <= (4 << segment) + 3, "{sample}: {error}");
        }
    }
}
