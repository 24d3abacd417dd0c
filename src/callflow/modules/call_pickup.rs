//! `call_pickup` (KAZOO 5): takes over one call, whether it rings or talks.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `target_call_id` | its Call-ID | required in practice |
//!
//! No children: the call is taken over, or a prompt says that there is none and the flow stops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::call::Whose;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Takes over one call
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct CallPickup {
    /// Call-ID of the call
    #[schemars(length(min = 1))]
    target_call_id: Option<String>,
}

impl Module for CallPickup {
    const NAME: &'static str = "call_pickup";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let whose = Whose::Call(self.target_call_id.unwrap_or_default());
        if ctx.call.pick_up_ringing(&whose) || ctx.call.take_over(&whose).await? {
            return Ok(Next::Usurped);
        }
        ctx.say_prompt("pickup-no_channels").await?;
        Ok(Next::Stop(None))
    }
}
