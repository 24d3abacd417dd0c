//! `wait_for_hangup`: waits until the caller hangs up. Does not answer.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Waits for the hang-up
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct WaitForHangup {}

impl Module for WaitForHangup {
    const NAME: &'static str = "wait_for_hangup";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        Err(ctx.call.wait_for_hangup().await.into())
    }
}
