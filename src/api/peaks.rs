//! The picture of a sound file: the extremes of each of its pieces, for a waveform.

use std::fs::File;
use std::io::{BufReader, Read, SeekFrom};
use std::path::Path;

use serde_json::{Value, json};

/// The most pieces.
pub(super) const MOST: u64 = 4_000;
/// Chunks before the samples that are looked at.
const CHUNKS: usize = 32;

/// What a WAV file of 16-bit samples says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    channels: u16,
    rate_hz: u32,
    /// Bytes of samples.
    length: u64,
}

/// `{"seconds", "channels": [[min, max …] …]}`, values from −1 to 1; `None` of a file that is not ours.
pub(super) fn of_file(path: &Path, points: u64) -> Option<Value> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).ok()?);
    let size = file.get_ref().metadata().ok()?.len();
    of(&mut file, size, points)
}

fn of(file: &mut (impl Read + std::io::Seek), size: u64, points: u64) -> Option<Value> {
    let format = open(file, size)?;
    let width = u64::from(format.channels) * 2;
    let frames = format.length / width;
    let points = points.clamp(1, frames.max(1));
    let mut channels = vec![Vec::new(); usize::from(format.channels)];
    let mut frame = vec![0_u8; usize::try_from(width).ok()?];
    let mut at = 0;
    for point in 0..points {
        let end = frames * (point + 1) / points;
        let mut extremes = vec![(0_i16, 0_i16); channels.len()];
        let mut first = true;
        while at < end {
            if file.read_exact(&mut frame).is_err() {
                at = frames;
                break;
            }
            at += 1;
            for (sample, extreme) in frame.as_chunks::<2>().0.iter().zip(&mut extremes) {
                let value = i16::from_le_bytes(*sample);
                *extreme = match first {
                    true => (value, value),
                    false => (extreme.0.min(value), extreme.1.max(value)),
                };
            }
            first = false;
        }
        let share = |value: i16| (f64::from(value) / 32_768.0 * 1000.0).round() / 1000.0;
        for (channel, (min, max)) in channels.iter_mut().zip(extremes) {
            channel.extend([share(min), share(max)]);
        }
    }
    let seconds = frames as f64 / f64::from(format.rate_hz.max(1));
    Some(json!({"seconds": seconds, "channels": channels}))
}

/// Reads up to the samples.
fn open(file: &mut (impl Read + std::io::Seek), size: u64) -> Option<Format> {
    let mut head = [0_u8; 12];
    file.read_exact(&mut head).ok()?;
    if !head.starts_with(b"RIFF") || !head.ends_with(b"WAVE") {
        return None;
    }
    let (mut channels, mut rate_hz) = (0, 0);
    for _ in 0..CHUNKS {
        let mut chunk = [0_u8; 8];
        file.read_exact(&mut chunk).ok()?;
        let [a, b, c, d, length @ ..] = chunk;
        let length = u64::from(u32::from_le_bytes(length));
        match &[a, b, c, d] {
            b"fmt " => {
                let mut format = vec![0_u8; usize::try_from(length.min(64)).ok()?];
                file.read_exact(&mut format).ok()?;
                let short =
                    |at: usize| Some(u16::from_le_bytes([*format.get(at)?, *format.get(at + 1)?]));
                channels = short(2)?;
                rate_hz = u32::from(short(4)?) | (u32::from(short(6)?) << 16);
                if short(14)? != 16 {
                    return None;
                }
            }
            b"data" => {
                let begin = file.stream_position().ok()?;
                // A file that is being written says nothing of its length yet.
                let rest = size.saturating_sub(begin);
                let length = if length == 0 { rest } else { length.min(rest) };
                let sound = channels > 0 && channels <= 8 && rate_hz > 0;
                return sound.then_some(Format {
                    channels,
                    rate_hz,
                    length,
                });
            }
            _ => {
                let skip = i64::try_from(length + length % 2).ok()?;
                file.seek(SeekFrom::Current(skip)).ok()?;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::audio::wav;

    #[test]
    fn the_picture_of_two_channels_has_the_extremes_of_each_piece() {
        let mut file = wav::header(8000, 2, 16).to_vec();
        wav::samples(&[0, 16_384, -16_384, 0, 8_192, 0, 0, -32_768], &mut file);
        let size = file.len() as u64;
        let made = of(&mut Cursor::new(file), size, 2).unwrap();
        assert_eq!(made["seconds"], json!(4.0 / 8000.0));
        assert_eq!(made["channels"][0], json!([-0.5, 0.0, 0.0, 0.25]));
        assert_eq!(made["channels"][1], json!([0.0, 0.5, -1.0, 0.0]));
    }

    #[test]
    fn more_pieces_than_samples_are_not_made_and_what_is_no_sound_file_has_no_picture() {
        let mut file = wav::header(8000, 1, 4).to_vec();
        wav::samples(&[1, 2], &mut file);
        let size = file.len() as u64;
        let made = of(&mut Cursor::new(file), size, 4000).unwrap();
        assert_eq!(made["channels"][0].as_array().unwrap().len(), 4);
        assert!(of(&mut Cursor::new(b"RIFFxxxxWAVX".to_vec()), 12, 9).is_none());
        assert!(of(&mut Cursor::new(Vec::new()), 0, 9).is_none());
    }
}
