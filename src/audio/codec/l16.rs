//! L16 at 16 kHz: samples as they are, in network byte order (RFC 3551 §4.5.11). For recorders and speech engines that
//! want sound without a codec.

use super::Format;

/// L16/16000.
#[derive(Debug)]
pub(super) struct L16;

impl Format for L16 {
    const NAME: &'static str = "L16";
    const CLOCK_RATE_HZ: u32 = 16_000;
    const SAMPLE_RATE_HZ: u32 = 16_000;
    const PAYLOAD_TYPE: u8 = 97;
    const STATIC: bool = false;
    const BYTES_PER_MS: usize = 32;
    type Encoder = ();
    type Decoder = ();

    fn encode(_: &mut (), pcm: &[i16], out: &mut Vec<u8>) {
        out.extend(pcm.iter().flat_map(|sample| sample.to_be_bytes()));
    }

    fn decode(_: &mut (), payload: &[u8], out: &mut Vec<i16>) {
        let (pairs, _) = payload.as_chunks::<2>();
        out.extend(pairs.iter().map(|pair| i16::from_be_bytes(*pair)));
    }

    fn ticks(payload: &[u8]) -> u32 {
        u32::try_from(payload.len() / 2).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_travel_high_byte_first() {
        let mut bytes = Vec::new();
        L16::encode(&mut (), &[0x0102, -2], &mut bytes);
        assert_eq!(bytes, [1, 2, 0xFF, 0xFE]);
        let mut pcm = Vec::new();
        L16::decode(&mut (), &[1, 2, 0xFF, 0xFE, 9], &mut pcm);
        assert_eq!(pcm, [0x0102, -2], "half a sample is no sample");
    }
}
