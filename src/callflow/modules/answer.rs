//! `answer`: answers the call, then takes the default child. An answered call stays answered.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Answers the call
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Answer {}

impl Module for Answer {
    const NAME: &'static str = "answer";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        Ok(Next::Default)
    }
}
