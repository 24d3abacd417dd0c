//! `/channels` (`api.md` §3.16): the legs that are up, and what can be done to them; PUT places a call. Also below users
//! and devices.

use serde_json::{Value, json};

use super::{COLLECTION, NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::placing;
use crate::api::verb::Verb;
use crate::call::actions::{Acted, Action};
use crate::call::channels::{Channel, RecordOrder};
use crate::call::{NewRecording, Originate, Originated, Party, ShownAs};

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("channels", verbs, |call| Box::pin(answer(call)));

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [] => COLLECTION,
        [_] => &[Verb::Get, Verb::Post, Verb::Put],
        _ => NONE,
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    if call.args().is_empty() && call.verb == Verb::Put {
        return originate(call).await;
    }
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

/// `{"action": "hangup"}` and its kin, or as a metaflow `{"action": "metaflow", "data": {"module": …, "data": …}}`. `None`:
/// the leg has ended meanwhile.
async fn act(call: &Call, verb: Verb, leg: &Channel) -> Result<Option<Value>, ApiError> {
    let (name, data) = match verb {
        Verb::Put => {
            let wrapped = call.envelope.get("action").and_then(Value::as_str) == Some("metaflow");
            let module = call.data.get("module").and_then(Value::as_str);
            let data = call.data.get("data").cloned().unwrap_or_default();
            (module.filter(|_| wrapped).map(str::to_owned), data)
        }
        _ => (call.text("action"), call.data.clone()),
    };
    let Some(name) = name else {
        return Err(ApiError::field("action", "required", "is required"));
    };
    let account = call.account()?;
    let Some(channels) = call.api.channels() else {
        return Ok(None);
    };
    if verb == Verb::Put && name == "record_call" {
        let found = channels
            .record(&account.id, &leg.call_id, order(call)?)
            .await;
        return Ok(found.then(|| json!("metaflow sent")));
    }
    let action = action(call, &name, &data, leg)?;
    match channels.act(&account.id, &leg.call_id, action).await {
        Acted::Done if verb == Verb::Put => Ok(Some(json!("metaflow sent"))),
        Acted::Done => Ok(Some(json!(format!("{name} initiated")))),
        Acted::NoChannel => Ok(None),
        Acted::NoPeer => Err(ApiError::field(
            "other_leg_call_id",
            "required",
            "the channel talks with nobody",
        )),
        Acted::NotAnswered => Err(ApiError::field(
            "action",
            "invalid",
            "the channel is not answered yet",
        )),
        Acted::NoRoute(number) => Err(ApiError::field(
            "target",
            "not_found",
            format!("no callflow of the account has the number {number}"),
        )),
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

fn action(call: &Call, name: &str, data: &Value, leg: &Channel) -> Result<Action, ApiError> {
    let text = |key: &str| {
        let text = data.get(key).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let required = |key: &str| {
        text(key).ok_or_else(|| ApiError::field(key, "required", "Field is required but missing"))
    };
    Ok(match name {
        "hangup" => Action::HangUp,
        "break" => Action::Break,
        "mute" => Action::Mute(true),
        "unmute" => Action::Mute(false),
        "transfer" => {
            if text("transfer-type")
                .or_else(|| text("Transfer-Type"))
                .as_deref()
                == Some("attended")
            {
                let message = "only blind transfers can be asked for here";
                return Err(ApiError::field("transfer-type", "enum", message));
            }
            Action::Transfer(Party::Number(required("target")?))
        }
        "callflow" => {
            let id = required("id")?;
            let document = call.account()?.callflows.get(&id).cloned();
            let document = document
                .ok_or_else(|| ApiError::field("id", "not_found", "there is no such callflow"))?;
            Action::Redirect(Party::Flow {
                number: leg.destination.clone(),
                id: Some(id),
                document,
            })
        }
        "pivot" => {
            let url = required("voice_url")?;
            if let Err(reason) = (call.api.guard())(&url) {
                return Err(ApiError::field("voice_url", "forbidden", reason));
            }
            Action::Redirect(placing::flow(&leg.destination, "pivot", data.clone()))
        }
        "play" => Action::Play(required("id").or_else(|_| required("media"))?),
        "say" | "tts" => Action::Say {
            text: required("text")?,
            voice: text("voice").unwrap_or_default(),
            language: text("language").unwrap_or_default(),
        },
        other => {
            let known = ACTIONS.join(", ");
            let message = format!("{other} is not one of {known}");
            return Err(ApiError::field("action", "enum", message));
        }
    })
}

/// What can be done to a channel.
const ACTIONS: [&str; 10] = [
    "hangup", "transfer", "callflow", "pivot", "play", "say", "tts", "break", "mute", "unmute",
];

/// `PUT /channels`: places a call. `target` (a number), `device_id` or `user_id` is rung; whoever answers goes on with
/// `number`, `callflow_id` or `voice_url`.
async fn originate(call: &Call) -> Result<Answer, ApiError> {
    let account = std::sync::Arc::clone(call.account()?);
    let timeout = placing::ring_time(call.number("timeout")?);
    let target = call.text("target");
    let endpoint = |key: &str, module: &str, known: &dyn Fn(&str) -> bool| {
        let Some(id) = call.text(key) else {
            return Ok(None);
        };
        if !known(&id) {
            return Err(ApiError::field(
                key,
                "not_found",
                "there is no such document",
            ));
        }
        let data = json!({"id": id, "timeout": timeout.as_secs(), "can_call_self": true});
        Ok(Some(placing::flow(&id, module, data)))
    };
    let device = endpoint("device_id", "device", &|id| {
        account.devices.contains_key(id)
    })?;
    let user = endpoint("user_id", "user", &|id| account.users.contains_key(id))?;
    let first = target.clone().map(Party::Number).or(device).or(user);
    let Some(first) = first else {
        let message = "name a target (a number), a device_id or a user_id to be rung";
        return Err(ApiError::field("target", "required", message));
    };
    let then = then(call, target.as_deref().unwrap_or_default())?;
    let mut headers = placing::headers(call.data.get("custom_sip_headers"));
    if call.flag("auto_answer") == Some(true) {
        headers.extend(placing::auto_answer(&account.realm));
    }
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    let owner = principal.user.as_ref().map(|user| user.id.clone());
    let (outcome, told) = tokio::sync::oneshot::channel();
    let call_id = format!("{}-originate", call.api.rng().hex(16));
    let wanted = Originate {
        account,
        call_id: call_id.clone(),
        first,
        then,
        authorizing_id: owner
            .clone()
            .unwrap_or_else(|| principal.account.id.to_string()),
        authorizing_type: "user",
        owner_id: owner,
        caller_id: ShownAs {
            name: call.text("caller_id_name"),
            number: call.text("caller_id_number"),
        },
        then_caller_id: ShownAs::default(),
        as_answerer: false,
        timeout,
        headers,
        ringback: call.text("ringback"),
        hold_music: None,
        application_vars: placing::application_vars(call, None),
        outcome,
        keeps_id: false,
        stages: None,
    };
    placing::place(call, wanted).await?;
    let mut said = json!({"call_id": call_id, "timeout": timeout.as_secs()});
    if call.flag("blocking") == Some(true) {
        match placing::outcome(told).await {
            Some(Originated::Answered { call_id }) => {
                said["result"] = json!("success");
                said["other_leg_call_id"] = json!(call_id);
            }
            Some(Originated::Failed { cause, status }) => {
                said["result"] = json!("error");
                said["cause"] = json!(cause);
                said["hangup_code"] = json!(format!("sip:{status}"));
            }
            None => said["result"] = json!("ringing"),
        }
    }
    Ok(Answer::created(said))
}

/// What whoever answers goes on with.
fn then(call: &Call, target: &str) -> Result<Party, ApiError> {
    if let Some(number) = call.text("number") {
        return Ok(Party::Number(number));
    }
    if let Some(id) = call.text("callflow_id") {
        let document = call.account()?.callflows.get(&id).cloned();
        let missing = || ApiError::field("callflow_id", "not_found", "there is no such callflow");
        return Ok(Party::Flow {
            number: target.to_owned(),
            id: Some(id),
            document: document.ok_or_else(missing)?,
        });
    }
    let Some(url) = call.text("voice_url") else {
        let message = "name a number, a callflow_id or a voice_url to go on with";
        return Err(ApiError::field("number", "required", message));
    };
    if let Err(reason) = (call.api.guard())(&url) {
        return Err(ApiError::field("voice_url", "forbidden", reason));
    }
    let mut data = json!({"voice_url": url, "debug": call.flag("debug").unwrap_or(false)});
    for key in ["method", "req_format", "req_timeout"] {
        if let Some(value) = call.text(key) {
            data[key] = json!(value);
        }
    }
    Ok(placing::flow(target, "pivot", data))
}
