//! `play`: one or many pieces of audio without gaps. The only play in the house.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::audio::Clip;
use crate::base::id::OpId;
use crate::base::keys::Keys;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::call::heard::Heard;
use crate::clips::Audio;
use crate::media::{Command, Finish, Source};

/// How to play.
#[derive(Debug, Clone)]
pub struct PlayOptions {
    /// Keys that stop the playing.
    pub terminators: Keys,
    /// How often; `None` is for ever.
    pub loops: Option<u32>,
    /// Leave pressed keys to the operation that follows, instead of reporting them.
    pub keep_keys: bool,
}

impl Default for PlayOptions {
    fn default() -> Self {
        Self {
            terminators: Keys::ALL,
            loops: Some(1),
            keep_keys: false,
        }
    }
}

/// Why playing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlayEnd {
    /// All was played.
    Done,
    /// That key stopped it.
    Terminator(char),
}

/// How playing went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Why it ended.
    pub why: PlayEnd,
    /// Every key pressed meanwhile, in order, the terminator included.
    pub digits: String,
}

impl CallHandle {
    /// Plays `audio` in order. An unanswered caller hears it as early media (183). Speech starts with its first
    /// sentence while the rest is still being synthesised.
    ///
    /// # Errors
    /// When the call ends, the audio cannot be had, or no media can be set up.
    pub async fn play(&self, audio: Vec<Audio>, options: PlayOptions) -> Result<Played, CallError> {
        self.open_media().await?;
        let described = self.describe(&audio);
        self.play_as(described, audio, options).await
    }

    /// Plays under the name `described` in the call's trace.
    pub(super) async fn play_as(
        &self,
        described: Option<(&'static str, String)>,
        audio: Vec<Audio>,
        options: PlayOptions,
    ) -> Result<Played, CallError> {
        let mut heard = described.map(|(kind, text)| Heard::begin(self, kind, text));
        let mut digits = String::new();
        let end = {
            let mut playing = Playing {
                call: self,
                waiting: Vec::new(),
            };
            let feed = std::pin::pin!(playing.feed(audio, options.loops));
            let stop = self.wait(|state| {
                if options.keep_keys {
                    return None;
                }
                while let Some(key) = state.keys.pop_front() {
                    digits.push(key);
                    if options.terminators.contains(key) {
                        return Some(key);
                    }
                }
                None
            });
            match select(std::pin::pin!(stop), feed).await {
                Either::Left((key, _)) => {
                    let key = key?;
                    heard.iter_mut().for_each(|heard| heard.ends("key"));
                    PlayEnd::Terminator(key)
                }
                Either::Right((done, _)) => {
                    let why = match &done {
                        Ok(()) => Some("played"),
                        Err(error) if error.is_ended() => None,
                        Err(_) => Some("failed"),
                    };
                    if let (Some(heard), Some(why)) = (&mut heard, why) {
                        heard.ends(why);
                    }
                    if let Err(error) = &done
                        && let Some((code, values)) = error.trouble()
                    {
                        self.trouble(code, values);
                    }
                    done?;
                    PlayEnd::Done
                }
            }
        };
        Ok(Played { why: end, digits })
    }

    /// Sends the caller's own voice back until the call ends.
    pub async fn echo(&self) -> CallError {
        match self.open_media().await {
            Ok(()) => {
                let mut playing = Playing {
                    call: self,
                    waiting: Vec::new(),
                };
                if let Err(error) = playing.queue(Source::Echo).await {
                    return error;
                }
                self.wait_for_hangup().await
            }
            Err(error) => error,
        }
    }
}

/// The sources of one play. Dropping it cancels what has not finished.
struct Playing<'a> {
    call: &'a CallHandle,
    waiting: Vec<OpId>,
}

/// A piece that can be played again.
enum Kept {
    Clip(Arc<Clip>),
    Tone(Arc<Clip>, bool),
    Silence(Option<Duration>),
}

impl Kept {
    fn source(&self) -> Source {
        match self {
            Self::Clip(clip) => Source::Clip(clip.clone()),
            Self::Tone(clip, looped) => Source::Tone(clip.clone(), *looped),
            Self::Silence(length) => Source::Silence(*length),
        }
    }
}

impl Playing<'_> {
    async fn feed(&mut self, audio: Vec<Audio>, loops: Option<u32>) -> Result<(), CallError> {
        let mut kept = Vec::with_capacity(audio.len());
        // The first pass takes the pieces as they become ready; later passes repeat what it kept.
        for piece in audio {
            match piece {
                Audio::Speech(mut speaking) => {
                    while let Some(clip) = speaking.next().await {
                        self.keep(Kept::Clip(clip?), &mut kept).await?;
                    }
                }
                Audio::Clip(clip) => self.keep(Kept::Clip(clip), &mut kept).await?,
                Audio::Tone { clip, looped } => {
                    self.keep(Kept::Tone(clip, looped), &mut kept).await?
                }
                Audio::Silence(length) => self.keep(Kept::Silence(length), &mut kept).await?,
                Audio::Stream(stream) => self.queue(Source::Stream(stream)).await?,
            }
        }
        let mut pass = 1;
        while !kept.is_empty() && loops.is_none_or(|loops| pass < loops) {
            pass += 1;
            for piece in &kept {
                self.queue(piece.source()).await?;
            }
        }
        self.until_waiting(0).await
    }

    async fn keep(&mut self, piece: Kept, kept: &mut Vec<Kept>) -> Result<(), CallError> {
        self.queue(piece.source()).await?;
        kept.push(piece);
        Ok(())
    }

    async fn queue(&mut self, source: Source) -> Result<(), CallError> {
        self.until_waiting(QUEUED - 1).await?;
        let op = self.call.next_op();
        self.call.command(Command::Play { op, source })?;
        self.waiting.push(op);
        Ok(())
    }

    /// Waits until at most `count` sources have not finished.
    async fn until_waiting(&mut self, count: usize) -> Result<(), CallError> {
        let waiting = &mut self.waiting;
        self.call
            .wait(|state| {
                state
                    .finished
                    .retain(|(op, why)| match waiting.iter().position(|w| w == op) {
                        Some(at) => {
                            waiting.swap_remove(at);
                            if *why == Finish::Failed {
                                tracing::debug!(?op, "the media engine gave a source up");
                            }
                            false
                        }
                        None => true,
                    });
                (waiting.len() <= count).then_some(())
            })
            .await
    }
}

impl Drop for Playing<'_> {
    fn drop(&mut self) {
        for op in &self.waiting {
            self.call.cancel(*op);
        }
    }
}

/// Sources queued at the media engine at once: one that plays, and those that follow without a gap.
const QUEUED: usize = 4;
