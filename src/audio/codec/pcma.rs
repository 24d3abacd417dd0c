//! G.711 A-law (ITU-T G.711 table 1; PCMA of RFC 3551 §4.5.14).

use super::Format;

/// PCMA.
pub(super) struct Pcma;

impl Format for Pcma {
    const NAME: &'static str = "PCMA";
    const CLOCK_RATE_HZ: u32 = 8000;
    const SAMPLE_RATE_HZ: u32 = 8000;
    const PAYLOAD_TYPE: u8 = 8;
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

/// Every other bit goes out inverted.
const MASK: u8 = 0x55;

/// One sample to its code: 12 bits by dropping four, sign and magnitude (one's complement for negative values), a
/// linear segment pair up to 32, then segments that double.
const fn compress(sample: i16) -> u8 {
    let wide = sample as i32;
    let magnitude = (if wide < 0 { !wide } else { wide } >> 4) as u32;
    let code = if magnitude < 32 {
        magnitude
    } else {
        // 32..=2047 has its highest bit at 5..=10: that is segment 2..=7.
        let segment = 28 - magnitude.leading_zeros();
        (segment << 4) | ((magnitude >> (segment - 1)) & 0xF)
    } as u8;
    if wide < 0 { code ^ MASK } else { (code | 0x80) ^ MASK }
}

/// One code to its quantised value, as 16 bits.
const fn expand(code: u8) -> i16 {
    let plain = code ^ MASK;
    let segment = (plain >> 4) & 7;
    let step = (plain & 0xF) as i32;
    // The middle of the step, on the 12-bit scale times sixteen.
    let magnitude = if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
    if plain & 0x80 != 0 { magnitude as i16 } else { -magnitude as i16 }
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

    #[test]
    fn every_code_survives_expand_and_compress() {
        for code in 0..=255u8 {
            assert_eq!(compress(expand(code)), code, "{code:#04x}");
        }
    }

    #[test]
    fn quantised_values_are_those_of_the_table() {
        // (code with even bits inverted, value on the 13-bit scale), G.711 table 1a and 1b: ×8 gives 16 bits.
        for (plain, value) in [(0xFFu8, 4032), (0xF0, 2112), (0xE0, 1056), (0xD0, 528), (0xC0, 264), (0xB0, 132), (0xA0, 66), (0x90, 33), (0x80, 1)] {
            assert_eq!(i32::from(expand(plain ^ MASK)), value * 8, "{plain:#04x}");
            assert_eq!(i32::from(expand((plain & 0x7F) ^ MASK)), -value * 8, "{plain:#04x}");
        }
    }

    #[test]
    fn silence_is_the_well_known_byte() {
        assert_eq!(compress(0), 0xD5);
        assert_eq!(compress(-1), 0x55);
    }

    #[test]
    fn compressing_is_monotone_and_as_close_as_a_step_allows() {
        for sample in i16::MIN..i16::MAX {
            assert!(expand(compress(sample)) <= expand(compress(sample + 1)), "{sample}");
        }
        for sample in i32::from(i16::MIN)..=i32::from(i16::MAX) {
            let code = compress(sample as i16);
            let error = (i32::from(expand(code)) - sample).abs();
            let segment = u32::from(((code ^ MASK) >> 4) & 7).max(1);
            assert!(error <= 8 << (segment - 1), "{sample}: {error}");
        }
    }
}
