//! Calls that leave through carriers, for the modules `resources` and `offnet` (`api.md` §4.1).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ctx::FlowCtx;
use super::cursor::{DEFAULT, Next};
use super::data::Whole;
use super::error::FlowError;
use super::exec;
use super::ring::{Outcome, node_headers, seconds};
use crate::base::cause::Cause;
use crate::call::{BridgeOptions, Strategy};
use crate::directory::Account;
use crate::directory::numbers::DialPlan;
use crate::host::clock;
use crate::journal::Code;
use crate::routing::policy::Policy;
use crate::routing::trunks::{self, Attempt, Dial, NotDialled};
use crate::routing::{self, IdKind};

/// Data of both modules.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Carriers {
    /// Number to dial in place of the dialled one
    to_did: Option<String>,
    /// The account's own carriers; else the system's
    pub(super) use_local_resources: bool,
    /// Account above this one whose carriers are used
    hunt_account_id: Option<String>,
    /// Which of the caller's identities is shown: `external`, `internal`, `emergency`
    caller_id_type: String,
    /// How long to try, in seconds
    timeout: Option<Whole>,
    /// What the caller hears meanwhile
    ringback: Option<String>,
    /// What the carrier sends before the answer is not heard
    ignore_early_media: bool,
    /// From is made of the caller's number and a realm
    format_from_uri: Option<bool>,
    /// That realm
    from_uri_realm: Option<String>,
    /// The number is dialled as it came
    do_not_normalize: Option<bool>,
    /// The number is dialled as it came
    bypass_e164: Option<bool>,
    /// What carriers must have
    outbound_flags: Vec<String>,
    /// What carriers must have, by names of call variables
    dynamic_flags: Option<Vec<String>>,
    /// Headers of the INVITE
    #[schemars(schema_with = "header_schema")]
    custom_sip_headers: Option<BTreeMap<String, Value>>,
    /// Whether the carrier is told the account's id (`X-Account-ID`)
    emit_account_id: Option<bool>,
    /// Kept for KAZOO's sake: kind of carrier
    resource_type: Option<String>,
    /// That trunk alone: the test of a trunk
    #[schemars(skip)]
    resource_id: Option<String>,
    /// Where the caller is, by kind of call
    addresses: Option<Addresses>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Addresses {
    /// For emergency calls
    emergency: Option<BTreeMap<String, Value>>,
}

/// Headers by name, or one such object for each direction, as KAZOO has it.
pub(super) fn header_schema(_: &mut SchemaGenerator) -> Schema {
    let flat = serde_json::json!({
        "type": "object", "additionalProperties": false, "patternProperties": {"^[a-zA-z0-9_\\-]+$": {"type": "string"}}
    });
    json_schema!({
        "type": "object",
        "description": "Headers of the INVITE, by name",
        "anyOf": [flat, {"type": "object", "properties": {"in": flat, "out": flat}}]
    })
}

impl Default for Carriers {
    fn default() -> Self {
        Self {
            to_did: None,
            use_local_resources: true,
            hunt_account_id: None,
            caller_id_type: "external".to_owned(),
            timeout: None,
            ringback: None,
            ignore_early_media: false,
            format_from_uri: None,
            from_uri_realm: None,
            do_not_normalize: None,
            bypass_e164: None,
            outbound_flags: Vec::new(),
            dynamic_flags: None,
            custom_sip_headers: None,
            emit_account_id: None,
            resource_type: None,
            resource_id: None,
            addresses: None,
        }
    }
}

/// Dials the number at the carriers that take it, one after the other.
pub(super) async fn dial(ctx: &FlowCtx, wanted: Carriers) -> Result<Next, FlowError> {
    let account = ctx.account_now();
    let Some(number) = destination(ctx, &account, &wanted) else {
        ctx.note("a call from a carrier leaves again only to a number its callflow names");
        ctx.call.trouble(Code::CarrierToCarrier, Vec::new());
        return fail(ctx, Cause::OUTGOING_CALL_BARRED, 403).await;
    };
    let is_emergency = routing::classify(&routing::to_e164(&number)) == routing::EMERGENCY;
    if is_emergency {
        tracing::warn!(call = ?ctx.call, number, account = %account.id, "an emergency call leaves");
        ctx.note("an emergency call leaves");
    }
    let attempts = match attempts(ctx, &account, &wanted, &number) {
        Ok(attempts) => attempts,
        Err(NotDialled::Policy) => {
            metrics::counter!("swivel_calls_refused_total", "why" => "dial_policy").increment(1);
            ctx.note(format!("the account's dial_policy does not allow {number}"));
            ctx.call.trouble(Code::DialPolicy, vec![("number", number)]);
            return fail(ctx, Cause::OUTGOING_CALL_BARRED, 403).await;
        }
        Err(NotDialled::NoTrunk) => {
            ctx.note(format!("no carrier takes {number}"));
            let code = if is_emergency {
                Code::EmergencyNoTrunk
            } else {
                Code::NoTrunk
            };
            ctx.call.trouble(code, vec![("number", number)]);
            return fail(ctx, Cause::NO_ROUTE_DESTINATION, 404).await;
        }
    };
    // Emergency calls are under no cap.
    let policy = if is_emergency {
        Policy::default()
    } else {
        Policy::of(&account)
    };
    let mut line = match ctx.call.take_line(policy) {
        Ok(line) => line,
        Err(full) => {
            ctx.note(format!("the account has used up its {}", full.what()));
            let values = vec![("number", number), ("limit", full.what().to_owned())];
            ctx.call.trouble(Code::AccountLimit, values);
            return fail(ctx, Cause::NORMAL_CIRCUIT_CONGESTION, 503).await;
        }
    };
    let mut options = BridgeOptions {
        strategy: Strategy::Single,
        ringback: ctx.ringback(wanted.ringback.as_deref()).await,
        ignore_early_media: wanted.ignore_early_media,
        hold_music: ctx.hold_music().await,
        limit: line.limit,
        redirects: Some(ctx.redirects()),
        ..BridgeOptions::default()
    };
    let deadline = clock::now() + wanted.timeout.map_or(USUAL_TIMEOUT, seconds);
    let mut last = (Cause::NORMAL_CIRCUIT_CONGESTION, 503);
    let attempts = ctx.call.held_last(attempts, |a| &a.target.place).await;
    let count = attempts.len();
    for (n, Attempt { mut target, trunk }) in attempts.into_iter().enumerate() {
        target.impatient = n + 1 < count;
        let left = deadline.saturating_duration_since(clock::now());
        if left.is_zero() {
            last = (Cause::NO_ANSWER, 480);
            break;
        }
        let trunk_line = match ctx.call.take_trunk_line(&trunk) {
            Err(full) if !is_emergency => {
                ctx.note(format!("{} has used up its {}", trunk.name, full.what()));
                let values = vec![
                    ("trunk", trunk.name.clone()),
                    ("trunk_id", trunk.id.clone()),
                    ("limit", full.what().to_owned()),
                ];
                ctx.call.trouble(Code::TrunkLimit, values);
                continue;
            }
            taken => taken,
        };
        options.targets = vec![target];
        options.timeout = Some(left);
        line.start();
        let outcome = ctx.bridge(options.clone()).await?;
        drop(trunk_line);
        match outcome {
            Outcome::Failed { cause, status } => {
                line.reset();
                ctx.note(format!(
                    "{} did not take the call: {} ({status})",
                    trunk.name, cause.name
                ));
                last = (cause, status);
            }
            Outcome::Talked | Outcome::Moved => return Ok(ctx.after(outcome)),
        }
    }
    drop(line);
    fail(ctx, last.0, last.1).await
}

/// A failure goes to its own child only; `_` merely keeps the caller from hearing the default response.
async fn fail(ctx: &FlowCtx, cause: Cause, status: u16) -> Result<Next, FlowError> {
    if let Some(next) = ctx.branch_of(cause, status) {
        return Ok(next);
    }
    if !ctx.has_child(DEFAULT) {
        exec::refuse_for(ctx, cause).await;
    }
    Ok(Next::Stop(None))
}

/// What is dialled. `None` for a call from a carrier whose flow names no number: it would go out as it came in.
fn destination(ctx: &FlowCtx, account: &Account, wanted: &Carriers) -> Option<String> {
    let facts = ctx.call.facts();
    let raw = wanted.do_not_normalize == Some(true) || wanted.bypass_e164 == Some(true);
    let named = wanted.to_did.clone().filter(|number| !number.is_empty());
    let rewritten = ctx.call.vars().request_user.clone();
    if named.is_none() && rewritten.is_none() && facts.inception.is_some() {
        return None;
    }
    let number = named
        .or(rewritten)
        .unwrap_or_else(|| facts.request_user.clone());
    if raw {
        return Some(number);
    }
    let device = account.devices.get(&facts.authorizing_id);
    let (own, _broken) = DialPlan::parse(device.and_then(|device| device.doc.get("dial_plan")));
    Some(match own.apply(&number) {
        Some(rewritten) => routing::to_e164(&rewritten),
        None => routing::normalise(account, &number),
    })
}

fn attempts(
    ctx: &FlowCtx,
    account: &Account,
    wanted: &Carriers,
    number: &str,
) -> Result<Vec<Attempt>, NotDialled> {
    let origin = ctx.origin();
    let carriers = carriers(ctx, account, wanted);
    let mut headers = node_headers(wanted.custom_sip_headers.as_ref());
    if wanted.emit_account_id == Some(true) {
        headers.push(("X-Account-ID".to_owned(), account.id.to_string()));
    }
    if let Some(inception) = &ctx.call.facts().inception {
        headers.push((
            "Diversion".to_owned(),
            format!("<sip:{inception}>;reason=unconditional;counter=1"),
        ));
    }
    let dial = Dial {
        account,
        carriers: carriers.as_deref().unwrap_or(account),
        number: number.to_owned(),
        flags: flags(ctx, account, wanted),
        caller_id: IdKind::named(&wanted.caller_id_type),
        shown: None,
        format_from_uri: wanted.format_from_uri == Some(true),
        from_uri_realm: wanted.from_uri_realm.clone(),
        headers,
        origin: &origin,
    };
    let mut attempts = trunks::hunt(&dial, &mut ctx.call.rng())?;
    if let Some(wanted) = &wanted.resource_id {
        attempts.retain(|attempt| *attempt.trunk.id == **wanted);
    }
    match attempts.is_empty() {
        true => Err(NotDialled::NoTrunk),
        false => Ok(attempts),
    }
}

/// The account whose trunks are used when it is not the call's own: one above it, or the first account's.
fn carriers(ctx: &FlowCtx, account: &Account, wanted: &Carriers) -> Option<Arc<Account>> {
    let directory = ctx.call.services().directory.clone();
    if !wanted.use_local_resources {
        return directory
            .accounts()
            .into_iter()
            .find(|other| other.is_first());
    }
    let id = wanted
        .hunt_account_id
        .as_deref()
        .filter(|id| !id.is_empty())?;
    if !account.above().any(|above| above == id) {
        if id != &*account.id {
            ctx.note(format!("hunt_account_id {id} is not above this account"));
        }
        return None;
    }
    directory.account(id)
}

fn flags(ctx: &FlowCtx, account: &Account, wanted: &Carriers) -> Vec<String> {
    let mut flags = ctx.origin().attributes(account).outbound_flags();
    flags.extend(wanted.outbound_flags.iter().cloned());
    let facts = ctx.call.facts();
    let vars = ctx.channel_vars();
    for name in wanted.dynamic_flags.iter().flatten() {
        let value = match name.as_str() {
            "from_realm" => Some(facts.from_realm.clone()),
            "from_user" => Some(facts.from_user.clone()),
            "to_realm" => Some(facts.to_realm.clone()),
            "to_user" => Some(facts.to_user.clone()),
            "request_user" => Some(facts.request_user.clone()),
            "account_id" => Some(account.id.to_string()),
            "owner_id" => facts.owner_id.clone(),
            other => {
                let path = other.strip_prefix("custom_channel_vars.");
                let path = path.map(|path| super::data::Path::Dotted(path.to_owned()));
                path.and_then(|path| path.look_up(&vars)?.as_str().map(str::to_owned))
            }
        };
        flags.extend(value.filter(|value| !value.is_empty()));
    }
    flags.dedup();
    flags
}

/// How long carriers are tried in all.
const USUAL_TIMEOUT: Duration = Duration::from_secs(120);
