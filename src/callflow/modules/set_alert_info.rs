//! `set_alert_info`: Alert-Info of every leg that rings from now on.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `alert_info` | the header's value | required |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Sets Alert-Info of every leg that rings from now on
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct SetAlertInfo {
    /// Value of the header
    alert_info: String,
}

impl Module for SetAlertInfo {
    const NAME: &'static str = "set_alert_info";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.vars().presentation.alert_info =
            Some(self.alert_info).filter(|value| !value.is_empty());
        Ok(Next::Default)
    }
}
