//! `do_not_disturb`: switches it for a user or device, and says so.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `action` | `activate`, `deactivate`, `toggle` | none: does nothing |
//! | `id` | the user or device | the caller's user, else device |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;
use crate::callflow::features::set;

/// Switches do-not-disturb
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct DoNotDisturb {
    /// What to do
    action: Option<Action>,
    /// Id of the user or device
    id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Activate,
    Deactivate,
    Toggle,
}

impl Module for DoNotDisturb {
    const NAME: &'static str = "do_not_disturb";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        let Some(action) = self.action else {
            return Ok(Next::Default);
        };
        let settings = match self.id.filter(|id| !id.is_empty()) {
            Some(id) => ctx.user_settings(&id).or_else(|| ctx.device_settings(&id)),
            None => ctx.own_settings(),
        };
        let Some(settings) = settings else {
            ctx.say_prompt("dnd-not_available").await?;
            return Ok(Next::Stop(None));
        };
        let on = match action {
            Action::Activate => true,
            Action::Deactivate => false,
            Action::Toggle => !settings.is_on("/do_not_disturb/enabled", false),
        };
        ctx.change(settings.kind, &settings.id, |doc| {
            set(doc, "do_not_disturb", "enabled", json!(on))
        })
        .await?;
        ctx.say_prompt(if on {
            "dnd-activated"
        } else {
            "dnd-deactivated"
        })
        .await?;
        Ok(Next::Default)
    }
}
