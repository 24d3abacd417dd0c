//! `branch_bnumber`: branches on what the callflow's pattern captured of the dialled number.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `hunt` | look the number up as a callflow instead of as a child | false |
//! | `hunt_allow`, `hunt_deny` | regular expressions: which numbers may be looked up | all |
//!
//! Children: the captured text, else `_`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::callflow::menu_document::MenuDocument;
use crate::routing;

/// Branches on the captured number
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct BranchBnumber {
    /// Whether to look the number up as a callflow
    hunt: bool,
    /// Regular expression of numbers that may be looked up
    hunt_allow: Option<String>,
    /// Regular expression of numbers that may not
    hunt_deny: Option<String>,
}

impl Module for BranchBnumber {
    const NAME: &'static str = "branch_bnumber";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let Some(captured) = ctx.call.vars().capture_group.clone() else {
            return Ok(Next::Default);
        };
        let number = routing::normalise(&ctx.account(), &captured);
        if !self.hunt {
            let named = [number, captured]
                .into_iter()
                .find(|key| ctx.has_child(key));
            return Ok(named.map_or(Next::Default, Next::Child));
        }
        // The same rules as a menu's.
        let rules =
            json!({"hunt": true, "hunt_allow": self.hunt_allow, "hunt_deny": self.hunt_deny});
        if !MenuDocument::read(Some(&rules), None).may_hunt(&number) {
            return Ok(Next::Default);
        }
        Ok(ctx
            .callflow_of(&number, true)
            .map_or(Next::Default, Next::Branch))
    }
}
