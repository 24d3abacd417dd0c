//! `call_waiting`: switches it for the calling device or its user, and says so.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `action` | `activate`, `deactivate`, `toggle` | `toggle` |
//! | `scope` | `device` or `user` | `device` |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::callflow::features::set;
use crate::directory::Kind;

/// Switches call waiting
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct CallWaiting {
    /// What to do
    action: Action,
    /// For whom
    scope: Scope,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Activate,
    Deactivate,
    #[default]
    Toggle,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    Device,
    User,
}

impl Module for CallWaiting {
    const NAME: &'static str = "call_waiting";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        let settings = match self.scope {
            Scope::Device => ctx.own_device(),
            Scope::User => ctx
                .own_settings()
                .filter(|settings| settings.kind == Kind::User),
        };
        let Some(settings) = settings else {
            ctx.say_prompt("cw-not_available").await?;
            return Ok(Next::Default);
        };
        let on = match self.action {
            Action::Activate => true,
            Action::Deactivate => false,
            Action::Toggle => !settings.is_on("/call_waiting/enabled", true),
        };
        ctx.change(settings.kind, &settings.id, |doc| {
            set(doc, "call_waiting", "enabled", json!(on))
        })
        .await?;
        ctx.say_prompt(if on { "cw-activated" } else { "cw-deactivated" })
            .await?;
        Ok(Next::Default)
    }
}
