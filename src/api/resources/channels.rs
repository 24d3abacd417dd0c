//! `/channels` (`api.md` §3.16): the legs that are up, their hang-up and their recording. Also below users and devices.

use serde_json::{Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::verb::Verb;
use crate::call::NewRecording;
use crate::call::channels::{Channel, RecordOrder};

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("channels", verbs, |call| Box::pin(answer(call)));

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [] => READ,
        [_] => &[Verb::Get, Verb::Post, Verb::Put],
        _ => NONE,
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let legs = own(call).await?;
    match (call.args().as_slice(), call.verb) {
        ([], _) => Ok(Answer::ok(legs.iter().map(Channel::row).collect())),
        ([id], verb) => {
            let missing = || ApiError::NoDocument {
                what: "channel",
                id: (*id).to_owned(),
            };
            let leg = legs
                .iter()
                .find(|leg| leg.call_id == **id)
                .ok_or_else(missing)?;
            if verb == Verb::Get {
                return Ok(Answer::ok(leg.whole()));
            }
            let said = act(call, verb, leg).await?.ok_or_else(missing)?;
            Ok(if verb == Verb::Put {
                Answer::created(said)
            } else {
                Answer::ok(said)
            })
        }
        _ => Err(ApiError::NoPath),
    }
}

/// The legs of the account; below a user or device only theirs.
async fn own(call: &Call) -> Result<Vec<Channel>, ApiError> {
    let account = call.account()?;
    let mut legs = match call.api.channels() {
        Some(channels) => channels.list(&account.id).await,
        None => Vec::new(),
    };
    if let Some(user) = call.within("users") {
        if !account.users.contains_key(user) {
            return Err(ApiError::NoDocument {
                what: "user",
                id: user.to_owned(),
            });
        }
        legs.retain(|leg| leg.owner_id.as_deref() == Some(user));
    }
    if let Some(device) = call.within("devices") {
        if !account.devices.contains_key(device) {
            return Err(ApiError::NoDocument {
                what: "device",
                id: device.to_owned(),
            });
        }
        legs.retain(|leg| leg.authorizing_id == device);
    }
    Ok(legs)
}

/// `{"action":"hangup"}`, or as a metaflow `{"action":"metaflow","data":{"module":"hangup"}}`; `record_call` as a metaflow.
/// `None`: it has ended meanwhile.
async fn act(call: &Call, verb: Verb, leg: &Channel) -> Result<Option<Value>, ApiError> {
    let action = match verb {
        Verb::Put => {
            let wrapped = call.envelope.get("action").and_then(Value::as_str) == Some("metaflow");
            let module = call.data.get("module").and_then(Value::as_str);
            module.filter(|_| wrapped).map(str::to_owned)
        }
        _ => call.text("action"),
    };
    match action.as_deref() {
        Some("hangup") => {
            let account = call.account()?;
            let Some(channels) = call.api.channels() else {
                return Ok(None);
            };
            let found = channels.hang_up(&account.id, &leg.call_id).await;
            let said = if verb == Verb::Put {
                "metaflow sent"
            } else {
                "hangup initiated"
            };
            Ok(found.then(|| json!(said)))
        }
        Some("record_call") if verb == Verb::Put => {
            let order = order(call)?;
            let account = call.account()?;
            let Some(channels) = call.api.channels() else {
                return Ok(None);
            };
            let found = channels.record(&account.id, &leg.call_id, order).await;
            Ok(found.then(|| json!("metaflow sent")))
        }
        Some(_) => Err(ApiError::field(
            "action",
            "enum",
            "only hangup is available, and record_call as a metaflow",
        )),
        None => Err(ApiError::field("action", "required", "is required")),
    }
}

/// What the metaflow `record_call` asks for; without an `action` it toggles.
fn order(call: &Call) -> Result<RecordOrder, ApiError> {
    let nothing = json!({});
    let settings = call.data.get("data").unwrap_or(&nothing);
    if let Some(url) = settings.get("url").and_then(Value::as_str)
        && let Err(reason) = (call.api.guard())(url)
    {
        let message = format!("invalid client URL: {reason}");
        return Err(ApiError::field("data.url", "error", message));
    }
    let limit = settings.get("time_limit");
    if limit.is_some_and(|limit| limit.as_u64().is_none_or(|limit| limit == 0)) {
        let message = "must be a number of seconds";
        return Err(ApiError::field("data.time_limit", "type", message));
    }
    let label = settings.get("label").and_then(Value::as_str);
    let origin = match label {
        Some(label) => format!("metaflow : {label}"),
        None => "metaflow".to_owned(),
    };
    let new = NewRecording::from_settings(settings, &origin, "metaflow");
    match settings.get("action").and_then(Value::as_str) {
        None | Some("toggle") => Ok(RecordOrder::Toggle(new)),
        Some("start") => Ok(RecordOrder::Start(new)),
        Some("stop") => Ok(RecordOrder::Stop),
        Some("mask") => Ok(RecordOrder::Mask),
        Some("unmask") => Ok(RecordOrder::Unmask),
        Some(_) => {
            let message = "is not one of mask, unmask, start, stop, toggle";
            Err(ApiError::field("data.action", "enum", message))
        }
    }
}
