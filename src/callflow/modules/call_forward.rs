//! `call_forward`: switches the forwarding of the caller's calls, and asks where to.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `action` | `activate`, `deactivate`, `update` (the number only), `toggle`, `menu` | none: does nothing |
//! | `menu_retries` | rounds of the menu | 3 |
//!
//! The number is what the callflow's pattern captured, else it is asked for: 3 to 20 digits.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::callflow::features::{Settings, set};

/// Switches call forwarding
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct CallForward {
    /// What to do
    action: Option<Action>,
    /// Rounds of the menu
    menu_retries: Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Activate,
    Deactivate,
    Update,
    Toggle,
    Menu,
}

impl Default for CallForward {
    fn default() -> Self {
        Self {
            action: None,
            menu_retries: Whole(3),
        }
    }
}

impl Module for CallForward {
    const NAME: &'static str = "call_forward";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        let Some(settings) = ctx.own_settings() else {
            ctx.say_prompt("cf-not_available").await?;
            return Ok(Next::Stop(None));
        };
        match self.action {
            Some(Action::Menu) => {
                menu(ctx, &settings, self.menu_retries.count(1, MOST_ROUNDS)).await?
            }
            Some(action) => act(ctx, &settings, action).await?,
            None => {}
        }
        Ok(Next::Default)
    }
}

async fn act(ctx: &FlowCtx, settings: &Settings, action: Action) -> Result<(), FlowError> {
    match action {
        Action::Activate => match number(ctx).await? {
            Some(number) => activate(ctx, settings, &number).await,
            None => Ok(()),
        },
        Action::Deactivate => {
            save(ctx, settings, Some(false), None).await?;
            ctx.say_prompt("cf-disabled").await
        }
        Action::Update => match number(ctx).await? {
            Some(number) => save(ctx, settings, None, Some(&number)).await,
            None => Ok(()),
        },
        Action::Toggle if settings.is_on("/call_forward/enabled", false) => {
            Box::pin(act(ctx, settings, Action::Deactivate)).await
        }
        Action::Toggle => match settings.text("/call_forward/number") {
            Some(number) => activate(ctx, settings, &number).await,
            None => Box::pin(act(ctx, settings, Action::Activate)).await,
        },
        Action::Menu => Ok(()),
    }
}

/// 1 switches, 2 changes the number.
async fn menu(ctx: &FlowCtx, settings: &Settings, rounds: u32) -> Result<(), FlowError> {
    let on = settings.is_on("/call_forward/enabled", false);
    for _ in 0..rounds {
        let prompt = if on {
            "cf-enabled_menu"
        } else {
            "cf-disabled_menu"
        };
        match ctx.ask(prompt, 1, FIRST_KEY).await?.as_str() {
            "1" => return act(ctx, settings, Action::Toggle).await,
            "2" => return act(ctx, settings, Action::Update).await,
            _ => {}
        }
    }
    Ok(())
}

async fn activate(ctx: &FlowCtx, settings: &Settings, number: &str) -> Result<(), FlowError> {
    save(ctx, settings, Some(true), Some(number)).await?;
    ctx.say_prompt("cf-now_forwarded_to").await?;
    ctx.say_number(number).await
}

/// The captured number, else the one the caller enters. `None` when he enters none.
async fn number(ctx: &FlowCtx) -> Result<Option<String>, FlowError> {
    let captured = ctx.call.vars().capture_group.clone();
    if let Some(number) = captured.filter(|number| !number.is_empty()) {
        return Ok(Some(number));
    }
    for _ in 0..MOST_ROUNDS {
        let digits = ctx.ask("cf-enter_number", LONGEST, FIRST_DIGIT).await?;
        if digits.len() >= SHORTEST {
            ctx.say_prompt("vm-saved").await?;
            return Ok(Some(digits));
        }
    }
    Ok(None)
}

async fn save(
    ctx: &FlowCtx,
    settings: &Settings,
    on: Option<bool>,
    number: Option<&str>,
) -> Result<(), FlowError> {
    ctx.change(settings.kind, &settings.id, |doc| {
        if let Some(on) = on {
            set(doc, "call_forward", "enabled", json!(on));
        }
        if let Some(number) = number {
            set(doc, "call_forward", "number", json!(number));
        }
    })
    .await
}

/// Digits of a number.
const SHORTEST: usize = 3;
const LONGEST: usize = 20;
/// Wait for the first digit of a number.
const FIRST_DIGIT: Duration = Duration::from_millis(8_000);
/// Wait for a choice of the menu.
const FIRST_KEY: Duration = Duration::from_millis(5_000);
/// How often something is asked for.
const MOST_ROUNDS: u32 = 10;
