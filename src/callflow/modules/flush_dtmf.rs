//! `flush_dtmf`: forgets a collection of digits, then takes the default child.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `collection_name` | which one | `default` |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::ctx::{FlowCtx, TYPED_AHEAD};
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Forgets collected digits
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct FlushDtmf {
    /// Name of the collection
    collection_name: String,
}

impl Default for FlushDtmf {
    fn default() -> Self {
        Self {
            collection_name: TYPED_AHEAD.to_owned(),
        }
    }
}

impl Module for FlushDtmf {
    const NAME: &'static str = "flush_dtmf";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.vars().collections.remove(&self.collection_name);
        if self.collection_name == TYPED_AHEAD {
            ctx.call.flush_keys();
        }
        Ok(Next::Default)
    }
}
