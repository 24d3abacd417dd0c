//! `set_variable`: sets one of the two engine variables a flow may set, then takes the default child.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `variable` | `call_priority` or `group_id`; others are passed over | none |
//! | `value` | its value | none |
//! | `channel` | `a`, or `both` for later legs too | `a` |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Sets an engine variable
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SetVariable {
    /// Name of the variable: `call_priority` or `group_id`
    variable: Option<String>,
    /// Its value
    value: Option<String>,
    /// Legs it is set on
    channel: Channel,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Channel {
    #[default]
    A,
    Both,
}

impl Module for SetVariable {
    const NAME: &'static str = "set_variable";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let variable = self.variable.unwrap_or_default();
        let name = match variable.as_str() {
            "call_priority" => "Call-Priority",
            "group_id" => "Group-ID",
            other => {
                ctx.note(format!("variable {other:?} cannot be set"));
                return Ok(Next::Default);
            }
        };
        ctx.call
            .vars()
            .channel_vars
            .insert(name.into(), Value::String(self.value.unwrap_or_default()));
        Ok(Next::Default)
    }
}
