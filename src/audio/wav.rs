//! The header of a WAV file of 16-bit mono or stereo samples. Pure: the writer asks for it when it opens the file and
//! again when it knows the length.

/// Bytes of the header; samples follow, little-endian.
pub const HEADER_LEN: usize = 44;

/// The header of a file with `data_bytes` bytes of 16-bit samples. Lengths past 4 GiB are written as the largest
/// even number that fits.
pub fn header(rate_hz: u32, channels: u16, data_bytes: u64) -> [u8; HEADER_LEN] {
    let most = u64::from(u32::MAX - 37) & !1;
    let data = data_bytes.min(most) as u32;
    let block = channels.saturating_mul(2);
    let mut out = [0; HEADER_LEN];
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &(data + 36).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16u32.to_le_bytes(),
        &1u16.to_le_bytes(),
        &channels.to_le_bytes(),
        &rate_hz.to_le_bytes(),
        &rate_hz.saturating_mul(u32::from(block)).to_le_bytes(),
        &block.to_le_bytes(),
        &16u16.to_le_bytes(),
        b"data",
        &data.to_le_bytes(),
    ];
    for (slot, byte) in out.iter_mut().zip(fields.into_iter().flatten()) {
        *slot = *byte;
    }
    out
}

/// Samples as the bytes that follow the header, appended to `out`.
pub fn samples(pcm: &[i16], out: &mut Vec<u8>) {
    out.extend(pcm.iter().flat_map(|s| s.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mono_header_has_every_field_in_its_place() {
        let h = header(8000, 1, 16_000);
        assert_eq!(&h[..4], b"RIFF");
        assert_eq!(h[4..8], 16_036u32.to_le_bytes());
        assert_eq!(&h[8..16], b"WAVEfmt ");
        assert_eq!(h[20..24], [1, 0, 1, 0]);
        assert_eq!(h[24..28], 8000u32.to_le_bytes());
        assert_eq!(h[28..32], 16_000u32.to_le_bytes());
        assert_eq!(h[32..36], [2, 0, 16, 0]);
        assert_eq!(&h[36..40], b"data");
        assert_eq!(h[40..44], 16_000u32.to_le_bytes());
    }

    #[test]
    fn an_absurd_length_does_not_overflow() {
        let h = header(48_000, 2, u64::MAX);
        let data = u32::from_le_bytes([h[40], h[41], h[42], h[43]]);
        let riff = u32::from_le_bytes([h[4], h[5], h[6], h[7]]);
        assert_eq!(riff, data + 36);
    }

    #[test]
    fn samples_are_little_endian() {
        let mut out = Vec::new();
        samples(&[0x0102, -1], &mut out);
        assert_eq!(out, [2, 1, 255, 255]);
    }
}
