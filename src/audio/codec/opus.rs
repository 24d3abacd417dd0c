//! Opus (RFC 6716, RTP payload RFC 7587), by libopus: the one door to its bindings.
//!
//! Always 48 kHz on the wire; one channel is sent, and stereo is heard as its sum. Sent at a bit rate that is transparent
//! for speech, with in-band error correction for peers that use it.

use std::fmt;

use ::opus::{Application, Bitrate, Channels};

use super::Format;

/// opus/48000/2.
#[derive(Debug)]
pub(super) struct Opus;

/// Memory of a sender. `None` when libopus refused to make one: then nothing is sent.
pub(super) struct Encoder(Option<::opus::Encoder>);

/// Memory of a receiver.
pub(super) struct Decoder(Option<::opus::Decoder>);

impl Default for Encoder {
    fn default() -> Self {
        let made = ::opus::Encoder::new(RATE_HZ, Channels::Mono, Application::Voip);
        Self(made.ok().map(|mut encoder| {
            // Each has a default that works, should a version of the library refuse one.
            encoder.set_bitrate(Bitrate::Bits(BITS_PER_SECOND)).ok();
            encoder.set_complexity(COMPLEXITY).ok();
            encoder.set_inband_fec(true).ok();
            encoder.set_packet_loss_perc(EXPECTED_LOSS_PERCENT).ok();
            encoder
        }))
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self(::opus::Decoder::new(RATE_HZ, Channels::Mono).ok())
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("opus::Encoder")
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("opus::Decoder")
    }
}

impl Format for Opus {
    const NAME: &'static str = "opus";
    const CLOCK_RATE_HZ: u32 = RATE_HZ;
    const SAMPLE_RATE_HZ: u32 = RATE_HZ;
    const PAYLOAD_TYPE: u8 = 96;
    const STATIC: bool = false;
    const CHANNELS: u32 = 2; // RFC 7587 §7: always 2, whatever is sent
    const FMTP: Option<&'static str> = Some("useinbandfec=1");
    const SEAMLESS: bool = false;
    const BYTES_PER_MS: usize = 16;
    type Encoder = Encoder;
    type Decoder = Decoder;

    fn encode(state: &mut Encoder, pcm: &[i16], out: &mut Vec<u8>) {
        let begin = out.len();
        out.resize(begin + MOST_BYTES, 0);
        let made = match (&mut state.0, out.get_mut(begin..)) {
            (Some(encoder), Some(room)) => encoder.encode(pcm, room).unwrap_or(0),
            _ => 0,
        };
        out.truncate(begin + made);
    }

    fn decode(state: &mut Decoder, payload: &[u8], out: &mut Vec<i16>) {
        let begin = out.len();
        out.resize(begin + MOST_SAMPLES, 0);
        let made = match (&mut state.0, out.get_mut(begin..)) {
            (Some(decoder), Some(room)) => decoder.decode(payload, room, false).unwrap_or(0),
            _ => 0,
        };
        out.truncate(begin + made);
    }

    fn ticks(payload: &[u8]) -> u32 {
        let samples = ::opus::packet::get_nb_samples(payload, RATE_HZ).unwrap_or(0);
        u32::try_from(samples).unwrap_or(0)
    }
}

const RATE_HZ: u32 = 48_000;
/// Wide-band speech without audible loss (RFC 7587 §3.1.1 names 28–40 kbit/s for full-band speech).
const BITS_PER_SECOND: i32 = 32_000;
/// Half way: the steps above cost much and give speech little.
const COMPLEXITY: i32 = 5;
/// What the error correction is made for.
const EXPECTED_LOSS_PERCENT: i32 = 5;
/// The longest packet of 60 ms at any rate (RFC 6716 §3.4: three frames of 1275 bytes and their lengths).
const MOST_BYTES: usize = 3 * 1275 + 7;
/// The longest packet: 120 ms.
const MOST_SAMPLES: usize = 5760;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::level::level_dbov;

    #[test]
    fn a_tone_comes_back_at_its_level() {
        let pcm: Vec<i16> = (0..48_000)
            .map(|n| ((f64::from(n) * 0.08).sin() * 9000.0) as i16)
            .collect();
        for length in [480, 960, 1920, 2880] {
            let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
            let mut heard = Vec::new();
            for frame in pcm.chunks_exact(length) {
                let mut payload = Vec::new();
                Opus::encode(&mut encoder, frame, &mut payload);
                assert!(!payload.is_empty() && payload.len() < 400);
                assert_eq!(Opus::ticks(&payload) as usize, length);
                Opus::decode(&mut decoder, &payload, &mut heard);
            }
            assert_eq!(heard.len(), 48_000 / length * length);
            let lost = level_dbov(&pcm[9600..]) - level_dbov(&heard[9600..]);
            assert!(lost.abs() < 1.5, "{length}: {lost} dB");
        }
    }

    #[test]
    fn bytes_that_are_no_opus_are_silence_of_no_length() {
        let mut out = vec![7];
        Opus::decode(&mut Decoder::default(), &[0xFF; 3], &mut out);
        assert_eq!((out, Opus::ticks(&[])), (vec![7], 0));
    }
}
