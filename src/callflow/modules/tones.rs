//! `tones`: answers, plays tones, then takes the default child (KAZOO 5).
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `tones` | the tones in order | none |

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::audio::clip::Clip;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::{MAX_TONE_REPEATS, TONE_DB, Terminators, Whole, tone};
use crate::callflow::error::FlowError;
use crate::clips::Audio;

/// Plays tones
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Tones {
    /// The tones in order
    tones: Option<Vec<OneTone>>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["frequencies", "duration_off", "duration_on"]))]
struct OneTone {
    /// Frequencies in Hz, sounding together
    #[schemars(length(min = 1))]
    frequencies: Option<Vec<Whole>>,
    /// Milliseconds of sound
    duration_on: Option<Whole>,
    /// Milliseconds of silence after it
    duration_off: Option<Whole>,
    /// How often it is repeated
    repeat: Option<Whole>,
    /// Level in dB; 0 is the loudest
    #[schemars(range(max = 0))]
    volume: Option<Whole>,
}

impl OneTone {
    fn audio(&self, out: &mut Vec<Audio>) {
        let frequencies = self.frequencies.as_deref().unwrap_or_default();
        let volume_db = self.volume.map_or(TONE_DB, |volume| volume.0.clamp(-96, 0) as f32);
        let (on, off) = (
            self.duration_on.unwrap_or_default(),
            self.duration_off.unwrap_or_default(),
        );
        let pcm = tone(frequencies, on, off, volume_db).render(RATE_HZ);
        let clip = Arc::new(Clip::new(RATE_HZ, pcm));
        let times = self.repeat.map_or(1, |repeat| repeat.count(1, MAX_TONE_REPEATS));
        out.extend((0..times).map(|_| Audio::Clip(Arc::clone(&clip))));
    }
}

impl Module for Tones {
    const NAME: &'static str = "tones";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        let mut audio = Vec::new();
        for tone in self.tones.iter().flatten().take(MAX_TONES) {
            tone.audio(&mut audio);
        }
        if !audio.is_empty() {
            ctx.play(audio, Terminators(Vec::new()).keys(), Some(1)).await?;
        }
        Ok(Next::Default)
    }
}

/// Tones in one list.
const MAX_TONES: usize = 100;
/// Rate they are made at; telephone quality is all a tone needs.
const RATE_HZ: u32 = 8_000;
