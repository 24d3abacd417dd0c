//! Files: short ones decoded at once into a clip, long ones decoded while they play.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::ClipError;
use super::decode::{Decoder, Input};
use crate::audio::Clip;
use crate::audio::resample::Resampling;
use crate::host::task;
use crate::media::{STREAM_RATE_HZ, StreamReader, StreamWriter, stream};

/// A decoded file, or one that is being decoded.
#[derive(Debug)]
pub(super) enum Opened {
    Whole(Arc<Clip>),
    Long(StreamReader),
}

/// Decodes up to `whole` of a file; what is longer becomes a stream. For threads of the blocking pool.
pub(super) fn open(io: &Handle, input: Input, whole: Duration) -> Result<Opened, ClipError> {
    let mut decoder = Decoder::open(input)?;
    let mut pcm = Vec::new();
    while decoder.next(&mut pcm)? {
        if decoder.decoded() > whole {
            let (writer, reader) = stream(AHEAD);
            // Lives as long as somebody plays it: the writer notices when nobody does.
            drop(task::spawn_on(io, "decode-stream", async move {
                task::blocking("decode-stream", move || play(decoder, &pcm, writer)).await
            }));
            return Ok(Opened::Long(reader));
        }
    }
    Ok(Opened::Whole(Arc::new(decoder.into_clip(pcm)?)))
}

fn play(mut decoder: Decoder, first: &[i16], mut writer: StreamWriter) {
    let mut resampling = Resampling::new(decoder.rate_hz(), STREAM_RATE_HZ);
    let mut out = Vec::new();
    for piece in first.chunks(PIECE) {
        resampling.push(piece, &mut out);
        if !writer.write_blocking(&out) {
            return;
        }
        out.clear();
    }
    let mut pcm = Vec::new();
    loop {
        pcm.clear();
        match decoder.next(&mut pcm) {
            Ok(true) => {
                out.clear();
                resampling.push(&pcm, &mut out);
                if !writer.write_blocking(&out) {
                    return;
                }
            }
            Ok(false) => break,
            Err(error) => {
                tracing::debug!(%error, "a stream ends early");
                break;
            }
        }
    }
    out.clear();
    resampling.finish(&mut out);
    if writer.write_blocking(&out) {
        writer.finish();
    }
}

/// How much is decoded ahead of what plays.
const AHEAD: Duration = Duration::from_secs(4);
/// Samples handed on at a time.
const PIECE: usize = 48_000;
