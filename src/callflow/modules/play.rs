//! `play`: plays a medium, then takes the default child.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `id` | a media document's id, a URL, `prompt://`, `tone_stream://` … | none: fails |
//! | `answer` | false plays to an unanswered caller as early media | true |
//! | `endless_playback` | for ever | false |
//! | `loop_count` | how often | 1 |
//! | `terminators` | keys that stop it; `[]` is none | all twelve |
//!
//! Keys pressed meanwhile are kept for a later `collect_dtmf`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::{Terminators, Whole};
use crate::callflow::error::FlowError;

/// Plays a medium
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(in crate::callflow) struct Play {
    /// The medium: a media document's id, a URL, or `prompt://`, `tone_stream://` and the like
    pub(super) id: Option<String>,
    /// Whether to answer the call first
    answer: Option<bool>,
    /// Whether to play it over and over
    pub(super) endless_playback: bool,
    /// How often to play it
    #[schemars(range(min = 1))]
    pub(super) loop_count: Option<Whole>,
    /// Keys that stop it
    pub(super) terminators: Terminators,
    /// When true the module is not run and the flow goes on to `_`
    skip_module: Option<bool>,
}

impl Play {
    /// How often; `None` is for ever.
    fn loops(&self) -> Option<u32> {
        (!self.endless_playback).then(|| self.loop_count.map_or(1, |count| count.count(1, u32::MAX)))
    }
}

impl Module for Play {
    const NAME: &'static str = "play";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let audio = ctx.media(self.id.as_deref().unwrap_or_default()).await?;
        if self.answer != Some(false) && !ctx.call.answered() {
            ctx.call.answer().await?;
            ctx.call.pause(POST_ANSWER_DELAY).await?;
        }
        ctx.play(vec![audio], self.terminators.keys(), self.loops()).await?;
        Ok(Next::Default)
    }
}

/// Silence between the answer and the first sound, which the caller's phone would cut off.
const POST_ANSWER_DELAY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn loops_by_count_or_for_ever() {
        let loops = |data: Value| from_value::<Play>(data).unwrap().loops();
        assert_eq!(loops(json!({})), Some(1));
        assert_eq!(loops(json!({"loop_count": 3})), Some(3));
        assert_eq!(loops(json!({"loop_count": 3, "endless_playback": true})), None);
    }
}
