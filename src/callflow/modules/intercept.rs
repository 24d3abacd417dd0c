//! `intercept`: takes over a call of somebody else's, whether it rings or talks.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `device_id`, `user_id`, `group_id` | whose call; the first given counts | none |
//! | `approved_device_id`, `approved_user_id`, `approved_group_id` | who may; the first given counts | the same owner, or members of the group |
//!
//! No children: the call is taken over, or a prompt says why not and the flow stops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::call::Whose;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::callflow::pickup::Pickup;

/// Takes over a call of somebody else's
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Intercept(Pickup);

impl Module for Intercept {
    const NAME: &'static str = "intercept";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let account = ctx.account_now();
        let devices = self.0.devices(&account);
        if devices.is_empty() {
            ctx.say_prompt("intercept-no_users").await?;
            return Ok(Next::Stop(None));
        }
        let may = self
            .0
            .approves(ctx, &account)
            .unwrap_or_else(|| self.0.is_colleague(ctx, &account, &devices));
        let whose = Whose::Devices(devices);
        if may && (ctx.call.pick_up_ringing(&whose) || ctx.call.take_over(&whose).await?) {
            return Ok(Next::Usurped);
        }
        ctx.say_prompt("intercept-no_channels").await?;
        Ok(Next::Stop(None))
    }
}
