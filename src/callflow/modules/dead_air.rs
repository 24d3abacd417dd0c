//! `dead_air`: answers, sends nothing, and waits until the caller hangs up.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Answers and says nothing
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct DeadAir {}

impl Module for DeadAir {
    const NAME: &'static str = "dead_air";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        ctx.call.mute(true);
        Err(ctx.call.wait_for_hangup().await.into())
    }
}
