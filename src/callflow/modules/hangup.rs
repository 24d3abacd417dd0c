//! `hangup`: ends the call with normal clearing, whatever else waits. An unanswered caller gets 480.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Module;
use crate::base::cause::Cause;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Hangs up
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Hangup {}

impl Module for Hangup {
    const NAME: &'static str = "hangup";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.hangup(Cause::NORMAL_CLEARING);
        Ok(Next::HardStop)
    }
}
