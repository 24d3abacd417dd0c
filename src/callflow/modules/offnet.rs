//! `offnet`: dials the number at the system's carriers. Data and children as `resources`.
//!
//! A number of the account itself is not dialled: its callflow runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::carriers::{self, Carriers};
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Dials the number at the system's carriers
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Offnet(Carriers);

impl Module for Offnet {
    const NAME: &'static str = "offnet";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let mut wanted = self.0;
        wanted.use_local_resources = false;
        let number = ctx.origin().dialled;
        let owner = ctx.call.services().directory.account_of_number(&number);
        if owner.is_some_and(|owner| owner.id == ctx.account().id)
            && let Some(tree) = ctx.callflow_of(&number, false)
        {
            return Ok(Next::Replace(tree));
        }
        carriers::dial(ctx, wanted).await
    }
}
