//! `hotdesk`: a user takes over the desk he calls from, or leaves it.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `action` | `login`, `logout`, `toggle`; `bridge` rings the desks the user is at | none: does nothing |
//! | `id` | the user | asked for by `hotdesk.id` |
//! | `interdigit_timeout` | ms between digits | 2000 |
//!
//! `bridge` has the children of `user`; everything else goes on to `_`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Module;
use crate::call::{CollectOptions, Keys};
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::callflow::features::{Settings, set};
use crate::callflow::ring::Ring;
use crate::directory::Kind;
use crate::routing::endpoints::{self, GroupStrategy, Member, Options};

/// A user takes over a desk, or leaves it
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Hotdesk {
    /// What to do
    action: Option<Action>,
    /// Id of the user
    id: Option<String>,
    /// Longest wait for each further digit, in milliseconds
    interdigit_timeout: Option<Whole>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Logout,
    Login,
    Toggle,
    Bridge,
}

impl Module for Hotdesk {
    const NAME: &'static str = "hotdesk";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let Some(action) = self.action else {
            return Ok(Next::Default);
        };
        let interdigit = self
            .interdigit_timeout
            .filter(|ms| ms.0 > 0)
            .map_or(INTERDIGIT, Whole::millis);
        let named = self.id.filter(|id| !id.is_empty());
        if action == Action::Bridge {
            return bridge(ctx, &named.unwrap_or_default()).await;
        }
        ctx.call.answer().await?;
        let user = match named {
            Some(id) => ctx.user_settings(&id),
            None => who(ctx, action, interdigit).await?,
        };
        let Some(user) = user.filter(|user| user.is_on("/hotdesk/enabled", false)) else {
            return abort(ctx).await;
        };
        let at = desks(ctx, &user.id);
        let log_in = match action {
            Action::Login => true,
            Action::Logout => false,
            Action::Toggle | Action::Bridge => at.is_empty(),
        };
        if log_in {
            login(ctx, &user, at, interdigit).await
        } else {
            logout(ctx, &user, at).await
        }
    }
}

/// Rings the desks a user is at.
async fn bridge(ctx: &FlowCtx, id: &str) -> Result<Next, FlowError> {
    let Some(user) = ctx
        .user_settings(id)
        .filter(|user| user.is_on("/hotdesk/enabled", false))
    else {
        return Ok(Next::Default);
    };
    let member = |id: String| Member {
        id,
        kind: "device".to_owned(),
        ..Member::default()
    };
    let members: Vec<Member> = desks(ctx, &user.id).into_iter().map(member).collect();
    let mut rng = ctx.call.rng();
    let found = ctx.endpoints(&Options::default(), |ringing| {
        endpoints::of_members(ringing, &members, GroupStrategy::Simultaneous, &mut rng)
    });
    ctx.ring_and_go(
        &Ring {
            ignore_early_media: true,
            ..Ring::default()
        },
        found,
    )
    .await
}

/// Who is meant: to log out the only one at this desk, else who enters his number.
async fn who(
    ctx: &FlowCtx,
    action: Action,
    interdigit: Duration,
) -> Result<Option<Settings>, FlowError> {
    if action == Action::Logout {
        let desk = ctx.own_device();
        let here = desk
            .as_ref()
            .and_then(|desk| desk.doc.pointer("/hotdesk/users")?.as_object());
        if let Some([(only, _)]) = here
            .map(|users| users.iter().collect::<Vec<_>>())
            .as_deref()
        {
            return Ok(ctx.user_settings(only));
        }
    }
    for _ in 0..TRIES {
        let digits = digits(ctx, "hotdesk-enter_id", ID_DIGITS, interdigit).await?;
        let account = ctx.account_now();
        let own = |doc: &Value| {
            doc.pointer("/hotdesk/id").and_then(Value::as_str) == Some(digits.as_str())
        };
        let found = account
            .users
            .values()
            .find(|user| own(&user.doc))
            .filter(|_| !digits.is_empty());
        if let Some(user) = found {
            return Ok(ctx.user_settings(&user.id));
        }
        ctx.say_prompt("hotdesk-invalid_entry").await?;
    }
    Ok(None)
}

async fn digits(
    ctx: &FlowCtx,
    prompt: &str,
    max_digits: usize,
    interdigit: Duration,
) -> Result<String, FlowError> {
    let prompt = ctx.prompt(prompt, None).await?;
    let options = CollectOptions {
        max_digits,
        interdigit,
        terminators: Keys::parse("#"),
        ..CollectOptions::default()
    };
    Ok(ctx.call.collect(vec![prompt], options).await?.digits)
}

/// Ids of the devices a user is logged in at.
fn desks(ctx: &FlowCtx, user: &str) -> Vec<String> {
    let account = ctx.account_now();
    endpoints::desks_of(&account, user)
        .map(|device| device.id.clone())
        .collect()
}

async fn login(
    ctx: &FlowCtx,
    user: &Settings,
    at: Vec<String>,
    interdigit: Duration,
) -> Result<Next, FlowError> {
    let Some(desk) = ctx.own_device() else {
        return abort(ctx).await;
    };
    if user.is_on("/hotdesk/require_pin", false) && !knows_pin(ctx, user, interdigit).await? {
        return abort(ctx).await;
    }
    if !user.is_on("/hotdesk/keep_logged_in_elsewhere", false) {
        for device in at.iter().filter(|id| **id != desk.id) {
            leave(ctx, device, &user.id).await?;
        }
    }
    ctx.change(Kind::Device, &desk.id, |doc| {
        let mut users = users_of(doc);
        users.insert(user.id.clone(), json!({}));
        set(doc, "hotdesk", "users", Value::Object(users));
    })
    .await?;
    ctx.say_prompt("hotdesk-logged_in").await?;
    ctx.say_prompt("vm-goodbye").await?;
    Ok(Next::Default)
}

async fn knows_pin(
    ctx: &FlowCtx,
    user: &Settings,
    interdigit: Duration,
) -> Result<bool, FlowError> {
    let Some(pin) = user.text("/hotdesk/pin") else {
        return Ok(false);
    };
    for _ in 0..TRIES {
        if digits(
            ctx,
            "hotdesk-enter_pin",
            PIN_DIGITS.max(pin.len()),
            interdigit,
        )
        .await?
            == pin
        {
            return Ok(true);
        }
        ctx.say_prompt("hotdesk-invalid_entry").await?;
    }
    Ok(false)
}

async fn logout(ctx: &FlowCtx, user: &Settings, at: Vec<String>) -> Result<Next, FlowError> {
    for device in &at {
        leave(ctx, device, &user.id).await?;
    }
    ctx.say_prompt("hotdesk-logged_out").await?;
    ctx.say_prompt("vm-goodbye").await?;
    Ok(Next::Default)
}

async fn leave(ctx: &FlowCtx, device: &str, user: &str) -> Result<(), FlowError> {
    ctx.change(Kind::Device, device, |doc| {
        let mut users = users_of(doc);
        users.retain(|id, _| id != user);
        set(doc, "hotdesk", "users", Value::Object(users));
    })
    .await
}

fn users_of(doc: &Map<String, Value>) -> Map<String, Value> {
    let users = doc.get("hotdesk").and_then(|desk| desk.get("users"));
    users
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

async fn abort(ctx: &FlowCtx) -> Result<Next, FlowError> {
    ctx.say_prompt("hotdesk-abort").await?;
    ctx.say_prompt("vm-goodbye").await?;
    Ok(Next::Default)
}

/// How often something is asked for.
const TRIES: u32 = 3;
/// Digits of `hotdesk.id`.
const ID_DIGITS: usize = 10;
/// Digits of a pin, unless the user's own is longer.
const PIN_DIGITS: usize = 6;
/// Wait for each further digit.
const INTERDIGIT: Duration = Duration::from_millis(2_000);
