//! `/channels` (`api.md` §3.16): the legs that are up, and their hang-up. Also below users and devices.

use serde_json::{Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::verb::Verb;
use crate::call::channels::Channel;

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

/// `{"action":"hangup"}`, or as a metaflow `{"action":"metaflow","data":{"module":"hangup"}}`. `None`: it has ended
/// meanwhile.
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
        Some(_) => Err(ApiError::field(
            "action",
            "enum",
            "only hangup is available",
        )),
        None => Err(ApiError::field("action", "required", "is required")),
    }
}
