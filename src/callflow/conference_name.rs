//! The name a caller says before a conference (`play_name`), which the others hear when it comes and when it leaves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ctx::FlowCtx;
use super::error::FlowError;
use super::greeting;
use crate::audio::Tone;
use crate::audio::clip::Clip;
use crate::call::{CallError, CollectOptions, Keys, PlayOptions, RecordOptions};
use crate::clips::Audio;
use crate::host::task;

/// What the others hear of a caller by name.
pub(super) struct Announced {
    /// When it comes.
    pub(super) joins: Arc<Clip>,
    /// When it leaves.
    pub(super) leaves: Arc<Clip>,
}

/// Has the caller say its name. `None` when it says nothing.
pub(super) async fn ask(ctx: &FlowCtx) -> Result<Option<Announced>, FlowError> {
    let mut files = Vec::new();
    let name = takes(ctx, &mut files).await;
    greeting::forget(ctx, files).await;
    let Some(name) = name? else { return Ok(None) };
    let joins = with_prompt(ctx, &name, "conf-has_joined").await?;
    let leaves = with_prompt(ctx, &name, "conf-has_left").await?;
    Ok(Some(Announced { joins, leaves }))
}

/// Records until the caller keeps what it said, or says nothing more about it.
async fn takes(ctx: &FlowCtx, files: &mut Vec<PathBuf>) -> Result<Option<Arc<Clip>>, FlowError> {
    for take in 0..TAKES {
        ctx.say_prompt("conf-announce_your_name").await?;
        let beep = Tone::beep().render(RATE_HZ);
        let beep = Audio::Clip(Arc::new(Clip::new(RATE_HZ, beep)));
        let quiet = PlayOptions {
            terminators: Keys::NONE,
            ..PlayOptions::default()
        };
        ctx.call.play(vec![beep], quiet).await?;
        let id = greeting::new_id(ctx, "name");
        let path = PathBuf::from(format!("{}/{id}-{take}.wav", ctx.account().id));
        files.push(path.clone());
        let recorded = ctx
            .call
            .record(RecordOptions {
                path: path.clone(),
                max: LONGEST,
                silence: Some(SILENCE),
                finish_on: Keys::ALL,
            })
            .await?;
        if let Some(ended) = ctx.call.ended() {
            return Err(CallError::Ended(ended).into());
        }
        let bytes = greeting::read(ctx, &path).await;
        let Some(name) = bytes.as_deref().and_then(greeting::clip_of) else {
            return Ok(None);
        };
        if recorded.length < SHORTEST {
            continue;
        }
        let name = Arc::new(name);
        let review = vec![
            ctx.prompt("conf-your_announcment", None).await?,
            Audio::Clip(name.clone()),
            ctx.prompt("conf-review", None).await?,
        ];
        let options = CollectOptions {
            max_digits: 1,
            terminators: Keys::NONE,
            ..CollectOptions::default()
        };
        let choice = ctx.call.collect(review, options).await?.digits;
        if choice.is_empty() || choice == "1" {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The name with a prompt behind it, as one clip at the rate of rooms.
async fn with_prompt(
    ctx: &FlowCtx,
    name: &Arc<Clip>,
    prompt: &str,
) -> Result<Arc<Clip>, FlowError> {
    let mut parts = vec![name.clone()];
    match ctx.prompt(prompt, None).await? {
        Audio::Clip(clip) | Audio::Tone { clip, .. } => parts.push(clip),
        Audio::Speech(mut speaking) => {
            while let Some(clip) = speaking.next().await {
                parts.push(clip.map_err(CallError::from)?);
            }
        }
        Audio::Silence(_) | Audio::Stream(_) => {}
    }
    let whole = task::blocking("conference-name", move || {
        let samples = parts.iter().flat_map(|part| part.pcm(ROOM_HZ).to_vec());
        Arc::new(Clip::new(ROOM_HZ, samples.collect()))
    })
    .await;
    Ok(whole.unwrap_or_else(|| name.clone()))
}

/// How often a name may be said again.
const TAKES: usize = 3;
/// Longest name.
const LONGEST: Duration = Duration::from_secs(10);
/// Less than this is no name.
const SHORTEST: Duration = Duration::from_millis(400);
/// Silence that ends it.
const SILENCE: Duration = Duration::from_secs(3);
/// Rate of the beep.
const RATE_HZ: u32 = 8_000;
/// The rate rooms are mixed at.
const ROOM_HZ: u32 = 16_000;
