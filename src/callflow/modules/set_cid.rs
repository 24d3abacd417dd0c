//! `set_cid`: who the caller is shown as for the rest of the call.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `caller_id_name`, `caller_id_number` | shown in place of the caller's own; empty removes what was set before | empty |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::routing::Identity;

/// Sets who the caller is shown as
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SetCid {
    /// Name to show
    caller_id_name: String,
    /// Number to show
    caller_id_number: String,
}

impl Module for SetCid {
    const NAME: &'static str = "set_cid";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let filled = |text: String| Some(text).filter(|text| !text.is_empty());
        ctx.call.vars().presentation.rewrite = Identity {
            name: filled(self.caller_id_name),
            number: filled(self.caller_id_number),
        };
        Ok(Next::Default)
    }
}
