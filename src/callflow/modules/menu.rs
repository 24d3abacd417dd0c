//! `menu`: an automated attendant. Plays a greeting, takes digits, goes to the child of that name, to an extension,
//! or tries again.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `id` | the menu document | none: no greeting |
//! | `interdigit_timeout` | ms; the document's wins | 2000 |
//!
//! Children: any digits, `timeout` (nothing was entered), `max_retries`, and `_`, which is not "any other key" but
//! where the call goes once the retries are used up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::call::{CollectOptions, Keys};
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::{DEFAULT, Next, Tree};
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::callflow::greeting;
use crate::callflow::menu_document::{MenuDocument, Sound};
use crate::clips::Audio;
use crate::routing;

/// Plays a menu and takes the caller's choice
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Menu {
    /// Id of the menu document
    id: Option<String>,
    /// Longest wait for each further digit, in milliseconds
    interdigit_timeout: Option<Whole>,
}

impl Module for Menu {
    const NAME: &'static str = "menu";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let id = self.id.unwrap_or_default();
        let mut menu = MenuDocument::read(
            ctx.account().menus.get(&id).map(AsRef::<Value>::as_ref),
            self.interdigit_timeout,
        );
        ctx.call.answer().await?;
        let mut left = menu.retries;
        while left > 0 {
            let digits = ask(&menu, ctx).await?;
            if digits.is_empty() {
                if ctx.has_child("timeout") {
                    return Ok(Next::Child("timeout".into()));
                }
                left = left.saturating_sub(1);
            } else if ctx.has_child(&digits) {
                return Ok(Next::Child(digits));
            } else if let Some(next) = hunt(&menu, &digits, ctx).await? {
                return Ok(next);
            } else if menu.may_record(&digits, ctx.call.facts().inception.is_some()) {
                if let Some(media) = greeting::record(ctx, &id).await? {
                    menu.greeting = Some(media);
                }
                ctx.say_prompt("menu-return").await?;
            } else {
                sound(&menu.invalid, "menu-invalid_entry", ctx).await?;
                left = left.saturating_sub(1);
            }
        }
        give_up(&menu, ctx).await
    }
}

/// Plays the greeting and takes digits.
async fn ask(menu: &MenuDocument, ctx: &FlowCtx) -> Result<String, FlowError> {
    let greeting: Audio = match &menu.greeting {
        Some(reference) => match ctx.media(reference).await {
            Ok(audio) => audio,
            Err(error) => {
                ctx.note(format!("the menu's greeting cannot be played: {error}"));
                ctx.prompt("menu-no_prompt", None).await?
            }
        },
        None => ctx.prompt("menu-no_prompt", None).await?,
    };
    let options = CollectOptions {
        total: false,
        max_digits: menu.max_digits,
        timeout: menu.timeout,
        interdigit: menu.interdigit,
        terminators: Keys::parse("#"),
        typed_ahead: String::new(),
    };
    Ok(ctx.call.collect(vec![greeting], options).await?.digits)
}

/// The digits as an extension of the account, never `no_match`.
async fn hunt(menu: &MenuDocument, digits: &str, ctx: &mut FlowCtx) -> Result<Option<Next>, FlowError> {
    if !menu.may_hunt(digits) {
        return Ok(None);
    }
    let Some(route) = routing::hunt(&ctx.account(), digits) else {
        return Ok(None);
    };
    ctx.call.flush_keys();
    sound(&menu.transfer, "menu-transferring_call", ctx).await?;
    {
        let mut vars = ctx.call.vars();
        vars.capture_group = route.capture_group;
        vars.capture_groups = route.capture_groups;
    }
    let tree = Tree::Document(route.doc);
    Ok(Some(if menu.branch_extension {
        Next::Branch(tree)
    } else {
        Next::Replace(tree)
    }))
}

/// The retries are used up.
async fn give_up(menu: &MenuDocument, ctx: &FlowCtx) -> Result<Next, FlowError> {
    sound(&menu.exit, "menu-exit", ctx).await?;
    if ctx.has_child("max_retries") {
        return Ok(Next::Child("max_retries".into()));
    }
    if ctx.has_child(DEFAULT) {
        sound(&menu.transfer, "menu-transferring_call", ctx).await?;
        return Ok(Next::Default);
    }
    ctx.say_prompt("vm-goodbye").await?;
    Ok(Next::Stop(None))
}

/// Plays one of the menu's sounds. A medium that cannot be had is replaced by the system's.
async fn sound(sound: &Sound, system: &str, ctx: &FlowCtx) -> Result<(), FlowError> {
    if let Sound::Media(reference) = sound {
        match ctx.media(reference).await {
            Ok(audio) => {
                ctx.call.play(vec![audio], Default::default()).await?;
                return Ok(());
            }
            Err(error) => ctx.note(format!("the menu's medium cannot be played: {error}")),
        }
    }
    if *sound != Sound::Silent {
        ctx.say_prompt(system).await?;
    }
    Ok(())
}
