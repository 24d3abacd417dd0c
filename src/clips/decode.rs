//! Audio files to samples: WAV, MP3, FLAC and Ogg Vorbis. The one door to symphonia.
//!
//! Files come from strangers: what a header says is checked against limits and otherwise not believed, decoding goes
//! packet by packet, a panic inside a decoder is an error, and nothing here runs on a thread that has other duties.
//! Channels are mixed to one.

mod codebooks;

use std::fs::File;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use crate::audio::Clip;

/// Why a file is not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not a format we know.
    #[error("not a WAV, MP3, FLAC or Ogg Vorbis file")]
    Format,
    /// A sample rate nothing plays.
    #[error("sample rate {hz} Hz is not between {MIN_RATE_HZ} and {MAX_RATE_HZ}")]
    Rate {
        /// The rate.
        hz: u32,
    },
    /// More channels than two.
    #[error("{count} channels; one or two can be played")]
    Channels {
        /// How many.
        count: usize,
    },
    /// Longer than the limit.
    #[error("longer than {limit:?}")]
    TooLong {
        /// The limit.
        limit: Duration,
    },
    /// No sound in it.
    #[error("the file holds no sound")]
    Empty,
    /// Much of it cannot be decoded.
    #[error("the file is damaged")]
    Damaged,
    /// Tables that would take far more memory than the file.
    #[error("the file's tables are larger than any encoder makes them")]
    Tables,
    /// A fault in the decoder.
    #[error("the decoder failed on this file")]
    Crashed,
}

/// Decodes a whole file of up to [`MAX_WHOLE`].
///
/// # Errors
/// When it is no audio, or past the limits.
pub fn decode(file: Bytes) -> Result<Clip, DecodeError> {
    let mut decoder = Decoder::open(Input::Memory(file))?;
    let mut pcm = Vec::new();
    while decoder.next(&mut pcm)? {
        if decoder.decoded() > MAX_WHOLE {
            return Err(DecodeError::TooLong { limit: MAX_WHOLE });
        }
    }
    decoder.into_clip(pcm)
}

/// Where a file's bytes are.
pub(super) enum Input {
    Memory(Bytes),
    Disk(File),
}

/// A file being decoded.
pub(super) struct Decoder {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    rate_hz: u32,
    frames: u64,
    packets: u64,
    failed: u32,
    interleaved: Vec<i16>,
}

impl Decoder {
    /// Reads the headers.
    pub(super) fn open(input: Input) -> Result<Self, DecodeError> {
        contained(|| Self::open_uncontained(input))
    }

    fn open_uncontained(input: Input) -> Result<Self, DecodeError> {
        let source: Box<dyn MediaSource> = match input {
            Input::Memory(bytes) => Box::new(Cursor::new(bytes)),
            Input::Disk(file) => Box::new(file),
        };
        let stream = MediaSourceStream::new(source, Default::default());
        let format = symphonia::default::get_probe()
            .probe(
                &Hint::new(),
                stream,
                FormatOptions::default(),
                MetadataOptions::default(),
            )
            .map_err(|_| DecodeError::Format)?;
        let track = format
            .default_track(TrackType::Audio)
            .ok_or(DecodeError::Format)?;
        let params = track
            .codec_params
            .as_ref()
            .and_then(|p| p.audio())
            .ok_or(DecodeError::Format)?;
        if let Some(hz) = params.sample_rate {
            check_rate(hz)?;
        }
        if let Some(channels) = &params.channels {
            check_channels(channels.count())?;
        }
        let tables = params.codec != CODEC_ID_VORBIS
            || params
                .extra_data
                .as_deref()
                .is_some_and(codebooks::are_modest);
        if !tables {
            return Err(DecodeError::Tables);
        }
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(params, &AudioDecoderOptions::default())
            .map_err(|_| DecodeError::Format)?;
        let (track, rate_hz) = (track.id, params.sample_rate.unwrap_or(0));
        Ok(Self {
            format,
            decoder,
            track,
            rate_hz,
            frames: 0,
            packets: 0,
            failed: 0,
            interleaved: Vec::new(),
        })
    }

    /// Appends the samples of the next packet; `false` at the end.
    pub(super) fn next(&mut self, pcm: &mut Vec<i16>) -> Result<bool, DecodeError> {
        contained(|| self.next_uncontained(pcm))
    }

    fn next_uncontained(&mut self, pcm: &mut Vec<i16>) -> Result<bool, DecodeError> {
        self.packets += 1;
        // A file of empty packets must end, too.
        if self.packets > MAX_PACKETS {
            return Err(DecodeError::Damaged);
        }
        let packet = match self.format.next_packet() {
            Ok(Some(packet)) => packet,
            // A file that ends too early plays as far as it goes.
            Ok(None) | Err(Error::IoError(_) | Error::ResetRequired) => return Ok(false),
            Err(_) => return self.failure(),
        };
        if packet.track_id != self.track {
            return Ok(true);
        }
        let decoded = match self.decoder.decode(&packet) {
            Ok(decoded) => decoded,
            Err(Error::ResetRequired) => return Ok(false),
            Err(_) => return self.failure(),
        };
        let (hz, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        if decoded.frames() == 0 {
            return Ok(true);
        }
        check_rate(hz)?;
        check_channels(channels)?;
        if self.rate_hz != hz {
            // The first packet may correct the header; a change later on ends the sound.
            if self.frames > 0 {
                return Ok(false);
            }
            self.rate_hz = hz;
        }
        decoded.copy_to_vec_interleaved(&mut self.interleaved);
        self.failed = 0;
        self.frames += decoded.frames() as u64;
        mix(&self.interleaved, channels, pcm);
        if self.decoded() > MAX_LENGTH {
            return Err(DecodeError::TooLong { limit: MAX_LENGTH });
        }
        Ok(true)
    }

    fn failure(&mut self) -> Result<bool, DecodeError> {
        self.failed += 1;
        if self.failed > MAX_FAILED {
            Err(DecodeError::Damaged)
        } else {
            Ok(true)
        }
    }

    /// The rate of the samples. Certain once there are some.
    pub(super) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// How much has been decoded.
    pub(super) fn decoded(&self) -> Duration {
        Duration::from_micros(
            self.frames.saturating_mul(1_000_000) / u64::from(self.rate_hz.max(1)),
        )
    }

    /// A clip of everything this decoder yielded.
    pub(super) fn into_clip(self, pcm: Vec<i16>) -> Result<Clip, DecodeError> {
        if pcm.is_empty() {
            return Err(if self.failed > 0 {
                DecodeError::Damaged
            } else {
                DecodeError::Empty
            });
        }
        Ok(Clip::new(self.rate_hz, pcm))
    }
}

fn contained<T>(work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    // The decoder is not used again after a panic: its owner gets an error and drops it.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DecodeError::Crashed))
}

fn check_rate(hz: u32) -> Result<(), DecodeError> {
    if (MIN_RATE_HZ..=MAX_RATE_HZ).contains(&hz) {
        Ok(())
    } else {
        Err(DecodeError::Rate { hz })
    }
}

fn check_channels(count: usize) -> Result<(), DecodeError> {
    if (1..=MAX_CHANNELS).contains(&count) {
        Ok(())
    } else {
        Err(DecodeError::Channels { count })
    }
}

fn mix(interleaved: &[i16], channels: usize, pcm: &mut Vec<i16>) {
    match channels {
        1 => pcm.extend_from_slice(interleaved),
        _ => pcm.extend(interleaved.chunks_exact(channels.max(1)).map(|frame| {
            let sum: i32 = frame.iter().map(|s| i32::from(*s)).sum();
            (sum / frame.len().max(1) as i32) as i16
        })),
    }
}

/// The longest file decoded into one clip.
pub const MAX_WHOLE: Duration = Duration::from_secs(30 * 60);
/// The longest file decoded at all.
const MAX_LENGTH: Duration = Duration::from_secs(4 * 3600);
const MIN_RATE_HZ: u32 = 4000;
const MAX_RATE_HZ: u32 = 48_000;
const MAX_CHANNELS: usize = 2;
/// Undecodable packets in a row.
const MAX_FAILED: u32 = 32;
/// Packets altogether: the longest file in the shortest packets that occur.
const MAX_PACKETS: u64 = 4_000_000;

#[cfg(test)]
mod tests;
