//! `group_pickup`: takes a call that rings at somebody else's phone.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `device_id`, `user_id`, `group_id` | whose call; the first given counts | none |
//! | `approved_device_id`, `approved_user_id`, `approved_group_id` | who may; the first given counts | everybody |
//!
//! No children: the call is taken, or a prompt says why not and the flow stops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::call::Whose;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::callflow::pickup::Pickup;

/// Takes a call that rings at somebody else's phone
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct GroupPickup(Pickup);

impl Module for GroupPickup {
    const NAME: &'static str = "group_pickup";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let account = ctx.account_now();
        let devices = self.0.devices(&account);
        if devices.is_empty() {
            ctx.say_prompt("pickup-no_users").await?;
            return Ok(Next::Stop(None));
        }
        if self.0.approves(ctx, &account).unwrap_or(true)
            && ctx.call.pick_up_ringing(&Whose::Devices(devices))
        {
            return Ok(Next::Usurped);
        }
        ctx.say_prompt("pickup-no_channels").await?;
        Ok(Next::Stop(None))
    }
}
