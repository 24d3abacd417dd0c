//! `after_bridge`: what becomes of the caller when the party he talks to later has left.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `action` | `hangup`, `transfer`, `park` (the caller waits with the music of calls on hold) | none |
//! | `data` | for `transfer` the number the call goes on at; `false` takes back what was set before | none |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::call::AfterBridge as After;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Says what becomes of the caller after a later bridge
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct AfterBridge {
    /// What to do
    action: Option<Action>,
    /// The number to go on at, or whether to do it
    #[schemars(extend("oneOf" = [{"type": "boolean"}, {"type": "string"}]))]
    data: Option<Value>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Park,
    Transfer,
    Hangup,
}

impl Module for AfterBridge {
    const NAME: &'static str = "after_bridge";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let data = self.data.unwrap_or(Value::Bool(true));
        let number = data.as_str().filter(|number| !number.is_empty());
        let after = match (self.action, number) {
            _ if data == Value::Bool(false) => None,
            (Some(Action::Hangup), _) => Some(After::Hangup),
            (Some(Action::Transfer), Some(number)) => Some(After::Transfer(number.to_owned())),
            (Some(Action::Transfer), None) => {
                ctx.note("after_bridge: a transfer needs a number in data");
                None
            }
            (Some(Action::Park), _) => Some(After::Park),
            (None, _) => None,
        };
        ctx.call.vars().after_bridge = after;
        Ok(Next::Default)
    }
}
