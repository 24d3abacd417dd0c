//! `tts`: answers, speaks a text, then takes the default child.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `text` | what to say, 1 to 1000 characters | required |
//! | `voice` | a name of the voice map | `female` |
//! | `language` | | the call's |
//! | `engine` | KAZOO's names; our configuration decides | none |
//! | `terminators` | keys that stop it; `[]` is none | all twelve |
//! | `endless_playback` | for ever | false |
//!
//! Where KAZOO ends the flow on a failed synthesis, we take `_`, so that a flow can say it otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Terminators;
use crate::callflow::error::FlowError;

/// Speaks a text
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["text"]))]
pub(in crate::callflow) struct Tts {
    /// What to say
    #[schemars(length(min = 1, max = 1000))]
    pub(super) text: Option<String>,
    /// The voice
    pub(super) voice: String,
    /// Language of the text; the call's when missing
    pub(super) language: Option<String>,
    /// Speech engine, by KAZOO's names
    engine: Option<Engine>,
    /// Keys that stop it
    pub(super) terminators: Terminators,
    /// Whether to say it over and over
    pub(super) endless_playback: Option<bool>,
    /// When true the module is not run and the flow goes on to `_`
    skip_module: Option<bool>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Engine {
    Flite,
    Google,
    Ispeech,
    Voicefabric,
}

impl Default for Tts {
    fn default() -> Self {
        Self {
            text: None,
            voice: "female".to_owned(),
            language: None,
            engine: None,
            terminators: Terminators::default(),
            endless_playback: None,
            skip_module: None,
        }
    }
}

impl Module for Tts {
    const NAME: &'static str = "tts";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let text = self
            .text
            .filter(|text| !text.trim().is_empty())
            .ok_or(FlowError::NothingToPlay)?;
        ctx.call.answer().await?;
        let speech = ctx.speech(&text, &self.voice, self.language.as_deref());
        let loops = if self.endless_playback == Some(true) {
            None
        } else {
            Some(1)
        };
        ctx.play(vec![speech], self.terminators.keys(), loops).await?;
        Ok(Next::Default)
    }
}
