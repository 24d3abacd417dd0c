//! `dynamic_cid`: the caller chooses who he is shown as.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `action` | `manual`: he enters a number; `static`: the node says; `list`, `lists`: an entry of a list | `manual` |
//! | `media_id` | what asks for the number | the system's prompt |
//! | `min_digits`, `max_digits`, `whitelist_regex` | which numbers are taken | 10, 10, `\d+` |
//! | `caller_id.name`, `caller_id.number` | for `static` | the present ones |
//! | `id` | for `list`: the list | none |
//! | `idx_name` | the named group that holds the entry's key | the first digits captured |
//! | `permit_custom_callflow` | the rest may be any callflow, not just `no_match` | false |
//! | `enforce_call_restriction` | denied classes are refused | true |
//! | `interdigit_timeout` | ms between digits | 2000 |

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::call::{CollectOptions, Keys};
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::clips::Audio;
use crate::directory::numbers::compile;
use crate::routing::{self, Identity};

/// Lets the caller choose who he is shown as
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct DynamicCid {
    /// Where the identity comes from
    action: Option<Action>,
    /// What asks for the number
    media_id: Option<String>,
    /// Most digits of the number
    max_digits: Option<Whole>,
    /// Fewest digits of the number
    min_digits: Option<Whole>,
    /// Regular expression the number must match
    whitelist_regex: Option<String>,
    /// The identity, for `static`
    caller_id: Option<CallerId>,
    /// Id of the list
    id: Option<String>,
    /// Name of the captured group that holds the entry's key
    idx_name: Option<String>,
    /// Whether the rest may be any callflow
    permit_custom_callflow: bool,
    /// Whether denied classes are refused
    enforce_call_restriction: bool,
    /// Longest wait for each further digit, in milliseconds
    interdigit_timeout: Option<Whole>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    List,
    Lists,
    Manual,
    Static,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct CallerId {
    /// Name to show
    name: Option<String>,
    /// Number to show
    number: Option<String>,
}

impl Default for DynamicCid {
    fn default() -> Self {
        Self {
            action: None,
            media_id: None,
            max_digits: None,
            min_digits: None,
            whitelist_regex: None,
            caller_id: None,
            id: None,
            idx_name: None,
            permit_custom_callflow: false,
            enforce_call_restriction: true,
            interdigit_timeout: None,
        }
    }
}

impl Module for DynamicCid {
    const NAME: &'static str = "dynamic_cid";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        match self.action {
            Some(Action::Static) => self.fixed(ctx).await,
            Some(Action::List | Action::Lists) => self.listed(ctx).await,
            Some(Action::Manual) | None => self.entered(ctx).await,
        }
    }
}

impl DynamicCid {
    async fn entered(self, ctx: &FlowCtx) -> Result<Next, FlowError> {
        ctx.call.open_media().await?;
        let asking = match self.media_id.as_deref().filter(|id| !id.is_empty()) {
            Some(media) => ctx.media(media).await?,
            None => ctx.prompt("dynamic-cid-enter_cid", None).await?,
        };
        let options = CollectOptions {
            max_digits: usize::try_from(self.max_digits.unwrap_or(Whole(10)).count(1, 64))
                .unwrap_or(10),
            interdigit: self
                .interdigit_timeout
                .filter(|ms| ms.0 > 0)
                .map_or(INTERDIGIT, Whole::millis),
            terminators: Keys::parse("#"),
            ..CollectOptions::default()
        };
        let digits = ctx
            .call
            .collect(vec![Audio::Silence(Some(SETTLE)), asking], options)
            .await?
            .digits;
        let allowed = compile(self.whitelist_regex.as_deref().unwrap_or(r"\d+"));
        let fits = allowed.is_ok_and(|regex| regex.is_match(&digits).unwrap_or(false));
        let shortest =
            usize::try_from(self.min_digits.unwrap_or(Whole(10)).count(0, 64)).unwrap_or(10);
        if fits && digits.len() >= shortest {
            ctx.call
                .play(vec![ctx.media(ACCEPTED).await?], Default::default())
                .await?;
            ctx.call.vars().presentation.dynamic.number = Some(digits);
        } else {
            ctx.say_prompt("dynamic-cid-invalid_using_default").await?;
        }
        rewrite(ctx);
        Ok(Next::Default)
    }

    async fn fixed(self, ctx: &FlowCtx) -> Result<Next, FlowError> {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let given = self.caller_id.unwrap_or_default();
        let (name, number) = (filled(given.name), filled(given.number));
        let missing = number.is_none();
        {
            let mut vars = ctx.call.vars();
            let dynamic = &mut vars.presentation.dynamic;
            dynamic.name = name.or(dynamic.name.take());
            dynamic.number = number.or(dynamic.number.take());
        }
        if missing {
            ctx.say_prompt("dynamic-cid-invalid_using_default").await?;
        }
        rewrite(ctx);
        Ok(Next::Default)
    }

    /// The captured text is a key into the list and the number to dial.
    async fn listed(self, ctx: &FlowCtx) -> Result<Next, FlowError> {
        let (captured, groups) = {
            let vars = ctx.call.vars();
            (
                vars.capture_group.clone().unwrap_or_default(),
                vars.capture_groups.clone(),
            )
        };
        let account = ctx.account_now();
        let list = self.id.as_deref().unwrap_or_default();
        let text = |doc: &Value, key: &str| match doc.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let named = self.idx_name.as_ref().and_then(|name| groups.get(name));
        let entry = account.list_entries(list).find_map(|entry| {
            let key = text(entry, "capture_group_key")?;
            let length = text(entry, "capture_group_length")
                .and_then(|n| n.parse().ok())
                .unwrap_or(USUAL_KEY);
            let (own, rest) = match named {
                Some(named) => (named.as_str(), captured.as_str()),
                None => captured.split_at_checked(length)?,
            };
            (own == key).then(|| (entry.clone(), rest.to_owned()))
        });
        let Some((entry, number)) = entry else {
            ctx.say_prompt("fault-can_not_be_completed_as_dialed")
                .await?;
            return Ok(Next::Stop(None));
        };
        let name = ["displayname", "name", "cid_name"]
            .iter()
            .find_map(|key| text(&entry, key));
        ctx.call.vars().presentation.dynamic = Identity {
            name,
            number: text(&entry, "number"),
        };
        let facts = ctx.call.facts();
        let denied = self.enforce_call_restriction
            && routing::restriction(
                &account,
                &facts.authorizing_id,
                facts.owner_id.as_deref(),
                &number,
                None,
                None,
            )
            .is_some();
        if denied {
            ctx.say_prompt("cf-unauthorized_call").await?;
            return Ok(Next::HardStop);
        }
        ctx.call.vars().request_user = Some(number.clone());
        let found = ctx
            .callflow_of(&number, true)
            .filter(|_| self.permit_custom_callflow || ctx.call.vars().no_match);
        match found {
            Some(tree) => Ok(Next::Branch(tree)),
            None => {
                ctx.say_prompt("disa-invalid_extension").await?;
                Ok(Next::Stop(None))
            }
        }
    }
}

/// What is dialled from now on is what the pattern captured.
fn rewrite(ctx: &FlowCtx) {
    let mut vars = ctx.call.vars();
    if let Some(captured) = vars.capture_group.clone() {
        vars.request_user = Some(captured);
    }
}

/// Heard when a number is taken.
const ACCEPTED: &str = "tone_stream://%(250,50,440)";
/// Silence before the prompt.
const SETTLE: Duration = Duration::from_millis(100);
/// Wait for each further digit.
const INTERDIGIT: Duration = Duration::from_millis(2_000);
/// Characters of an entry's key, when it does not say.
const USUAL_KEY: usize = 2;
