//! `privacy`: hides who calls from those who are rung. With a captured number the flow goes on at that number.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `mode` | `full`, `name`, `number`, `yes` (as `full`) | `full` |
//! | `endpoint_strategy` | `overwrite` what was hidden before, or `merge` with it | `overwrite` |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::routing;

/// Hides who calls
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Privacy {
    /// What is hidden
    mode: Mode,
    /// What becomes of what was hidden before
    endpoint_strategy: Strategy,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Full,
    Name,
    Number,
    Yes,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Strategy {
    #[default]
    Overwrite,
    Merge,
}

impl Module for Privacy {
    const NAME: &'static str = "privacy";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let hidden = match self.mode {
            Mode::Full | Mode::Yes => routing::Privacy::Full,
            Mode::Name => routing::Privacy::Name,
            Mode::Number => routing::Privacy::Number,
        };
        let captured = {
            let mut vars = ctx.call.vars();
            let before = vars
                .presentation
                .privacy
                .filter(|_| matches!(self.endpoint_strategy, Strategy::Merge));
            let both = before.is_some_and(|before| before != hidden);
            vars.presentation.privacy = Some(if both { routing::Privacy::Full } else { hidden });
            vars.capture_group.clone()
        };
        let Some(number) = captured else {
            return Ok(Next::Default);
        };
        ctx.call.vars().request_user = Some(number.clone());
        Ok(match ctx.callflow_of(&number, true) {
            Some(tree) => Next::Branch(tree),
            None => {
                ctx.note(format!("there is no callflow for {number}"));
                Next::Stop(None)
            }
        })
    }
}
