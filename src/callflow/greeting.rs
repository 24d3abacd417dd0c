//! Recording a menu's greeting over the telephone: record, review, keep.
//!
//! The kept recording becomes a media document of its own, and the menu document names it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::ctx::FlowCtx;
use super::error::FlowError;
use crate::audio::clip::Clip;
use crate::call::{CallError, CollectOptions, Keys, PlayOptions, RecordOptions, Recorded};
use crate::clips::Audio;
use crate::directory::Kind;
use crate::host::{clock, task};
use crate::media::RecordEnd;

/// Has the caller record a greeting for the menu. Returns the id of the new media document; `None` when the caller
/// did not keep what was recorded.
pub(super) async fn record(ctx: &FlowCtx, menu_id: &str) -> Result<Option<String>, FlowError> {
    let media_id = new_id(ctx, menu_id);
    let mut files = Vec::new();
    let kept = takes(ctx, &media_id, &mut files).await;
    let bytes = match (&kept, files.last()) {
        (Ok(true), Some(last)) => read(ctx, last).await,
        _ => None,
    };
    forget(ctx, files).await;
    if !kept? {
        ctx.say_prompt("vm-deleted").await?;
        return Ok(None);
    }
    let Some(bytes) = bytes else {
        return Err(unusable(&media_id));
    };
    store(ctx, menu_id, &media_id, bytes).await?;
    ctx.say_prompt("vm-saved").await?;
    Ok(Some(media_id))
}

/// Records until a take is kept (`true`) or the caller does not choose. The kept take is the last of `files`.
async fn takes(ctx: &FlowCtx, media_id: &str, files: &mut Vec<PathBuf>) -> Result<bool, FlowError> {
    for n in 0..MAX_TAKES {
        let path = PathBuf::from(format!("{}/{media_id}-{n}.wav", ctx.account().id));
        files.push(path.clone());
        let take = take(ctx, &path).await?;
        match review(ctx, &path).await? {
            Choice::Keep if take.length < SHORTEST => {
                ctx.say_prompt("vm-recording_to_short").await?
            }
            Choice::Keep => return Ok(true),
            Choice::Again => {}
            Choice::None => return Ok(false),
        }
    }
    Ok(false)
}

async fn take(ctx: &FlowCtx, path: &Path) -> Result<Recorded, FlowError> {
    ctx.say_prompt("vm-record_greeting").await?;
    ctx.call.beep().await?;
    ctx.call.flush_keys();
    let options = RecordOptions {
        path: path.to_owned(),
        max: LONGEST,
        silence: Some(SILENCE),
        finish_on: Keys::ALL,
    };
    let recorded = ctx.call.record(options).await?;
    match (recorded.why, ctx.call.ended()) {
        // A greeting nobody has reviewed is not kept.
        (_, Some(ended)) => Err(CallError::Ended(ended).into()),
        (RecordEnd::Failed, None) => Err(unusable("greeting")),
        _ => Ok(recorded),
    }
}

enum Choice {
    Keep,
    Again,
    None,
}

/// 1 keeps, 2 plays, 3 records again; anything else asks again, a few times.
async fn review(ctx: &FlowCtx, path: &Path) -> Result<Choice, FlowError> {
    for _ in 0..MAX_REVIEWS {
        let prompt = ctx.prompt("vm-review_recording", None).await?;
        let options = CollectOptions {
            max_digits: 1,
            terminators: Keys::NONE,
            ..CollectOptions::default()
        };
        match ctx
            .call
            .collect(vec![prompt], options)
            .await?
            .digits
            .as_str()
        {
            "1" => return Ok(Choice::Keep),
            "2" => {
                if let Some(clip) = read(ctx, path).await.as_deref().and_then(clip_of) {
                    ctx.call
                        .play(vec![Audio::Clip(Arc::new(clip))], PlayOptions::default())
                        .await?;
                }
            }
            "3" => return Ok(Choice::Again),
            _ => {}
        }
    }
    Ok(Choice::None)
}

async fn store(
    ctx: &FlowCtx,
    menu_id: &str,
    media_id: &str,
    bytes: Bytes,
) -> Result<(), FlowError> {
    let services = ctx.call.services();
    let account = ctx.account();
    let now = services
        .directory
        .account(&account.id)
        .unwrap_or_else(|| Arc::clone(&account));
    let menu = now.menus.get(menu_id);
    let mut menu = menu
        .and_then(|menu| menu.as_object().cloned())
        .ok_or_else(|| unusable(menu_id))?;
    let name = menu
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or("menu")
        .to_owned();
    let document = json!({
        "name": format!("{name} greeting"),
        "description": "recorded by telephone",
        "media_source": "recording",
        "content_type": "audio/x-wav",
        "content_length": bytes.len(),
        "streamable": true
    });
    let media = menu
        .entry("media")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(media) = media.as_object_mut() {
        media.insert("greeting".into(), json!(media_id));
    }
    services
        .directory
        .files()
        .put(&account.id, media_id, bytes)
        .await?;
    services
        .directory
        .put(Kind::Media, &account.id, media_id, document)
        .await?;
    services
        .directory
        .put(Kind::Menu, &account.id, menu_id, Value::Object(menu))
        .await?;
    Ok(())
}

/// A fresh document id, from what is random about this call already.
pub(super) fn new_id(ctx: &FlowCtx, menu_id: &str) -> String {
    let seed = format!(
        "{} {menu_id} {}",
        ctx.call.facts().fetch_id,
        clock::unix_now().0
    );
    let digest: [u8; 32] = Sha256::digest(seed.as_bytes()).into();
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A recording's bytes; `path` is relative to the recordings directory.
pub(super) async fn read(ctx: &FlowCtx, path: &Path) -> Option<Bytes> {
    let path = ctx.call.services().recordings.join(path);
    task::blocking("greeting-read", move || {
        std::fs::read(path).ok().map(Bytes::from)
    })
    .await
    .flatten()
}

pub(super) async fn forget(ctx: &FlowCtx, files: Vec<PathBuf>) {
    let root = Arc::clone(&ctx.call.services().recordings);
    let remove = move || {
        for file in files {
            // A take that failed has left no file.
            drop(std::fs::remove_file(root.join(file)));
        }
    };
    if task::blocking("greeting-remove", remove).await.is_none() {
        tracing::debug!("recorded takes could not be removed");
    }
}

/// The sound of a WAV file our own recorder wrote: 16-bit mono behind a 44-byte header.
pub(super) fn clip_of(wav: &[u8]) -> Option<Clip> {
    let rate: [u8; 4] = wav.get(24..28)?.try_into().ok()?;
    let samples = wav.get(crate::audio::wav::HEADER_LEN..)?.chunks_exact(2);
    let pcm = samples
        .filter_map(|pair| Some(i16::from_le_bytes(pair.try_into().ok()?)))
        .collect();
    Some(Clip::new(u32::from_le_bytes(rate), pcm))
}

fn unusable(id: &str) -> FlowError {
    FlowError::Missing {
        kind: "usable recording",
        id: id.to_owned(),
    }
}

/// Longest greeting.
const LONGEST: Duration = Duration::from_secs(300);
/// Shortest greeting that is kept.
const SHORTEST: Duration = Duration::from_millis(1_500);
/// Silence that ends it.
const SILENCE: Duration = Duration::from_secs(5);
/// Recordings before the caller is taken back to the menu.
const MAX_TAKES: u32 = 10;
/// Reviews without a choice before a recording is dropped.
const MAX_REVIEWS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::wav;

    #[test]
    fn our_own_recordings_can_be_played_back() {
        let pcm = [1i16, -2, 300];
        let mut file = wav::header(8_000, 1, 6).to_vec();
        wav::samples(&pcm, &mut file);
        let clip = clip_of(&file).unwrap();
        assert_eq!((clip.rate_hz(), &*clip.pcm(8_000)), (8_000, &pcm[..]));
        assert!(clip_of(b"RIFF").is_none());
    }
}
