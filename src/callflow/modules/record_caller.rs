//! `record_caller`: answers, records what the caller says until a key, silence or the limit, and takes the default child.
//!
//! The keys are those of `record_call`, without `action`, `label` and the moments a recording may begin at. A caller who
//! hangs up has ended the recording; it is kept.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use super::record_call::How;
use crate::call::{Begin, Keys, NewRecording};
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::media::Sides;

/// Records the caller
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct RecordCaller {
    /// How and where
    #[serde(flatten)]
    how: How,
}

impl Module for RecordCaller {
    const NAME: &'static str = "record_caller";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        let new = NewRecording {
            sides: Sides::Peer,
            silence: Some(SILENCE),
            finish_on: Keys::ALL,
            begin: Begin::Now,
            ..self.how.recording(ctx, Self::NAME)
        };
        let kept = ctx.call.record_kept(new, true).await?;
        ctx.note(format!(
            "record_caller: {:?} of sound, ended by {:?}",
            kept.length, kept.why
        ));
        Ok(Next::Default)
    }
}

/// Silence that ends it (`callflow.md` §3.4).
const SILENCE: Duration = Duration::from_secs(5);
