//! `/devices/{D}/quickcall/{number}` and `/users/{U}/quickcall/{number}` (`api.md` §3.18): rings a phone, or the phones
//! of a user, and has whoever answers call the number.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::placing;
use crate::api::verb::Verb;
use crate::call::{Originate, Originated, Party, ShownAs};
use crate::directory::Kind;
use crate::directory::numbers::compile;

pub(in crate::api) const RESOURCE: Resource = Resource {
    // Open where the document of the device or user says so.
    open: |verb, args| args.len() == 1 && matches!(verb, Verb::Get | Verb::Post),
    ..Resource::new(
        "quickcall",
        |args| match args {
            [_] => &[Verb::Get, Verb::Post],
            _ => NONE,
        },
        |call| Box::pin(answer(call)),
    )
};

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let (kind, what, module, id) = match (call.within("devices"), call.within("users")) {
        (Some(id), _) => (Kind::Device, "device", "device", id),
        (None, Some(id)) => (Kind::User, "user", "user", id),
        (None, None) => return Err(ApiError::NoPath),
    };
    let account = Arc::clone(call.account()?);
    let doc = account.document(kind, id);
    let open =
        doc.is_some_and(|doc| doc.get("allow_anonymous_quickcalls") == Some(&Value::Bool(true)));
    if call.principal.is_none() && !open {
        return Err(ApiError::Credentials);
    }
    let missing = || ApiError::NoDocument {
        what,
        id: id.to_owned(),
    };
    doc.ok_or_else(missing)?;
    if !account.enabled {
        return Err(ApiError::Disabled);
    }
    let args = call.args();
    let number = filtered(call, args.first().copied().unwrap_or_default())?;
    let seconds = call.number("timeout")?.filter(|seconds| *seconds > 3);
    let timeout = placing::ring_time(seconds);
    let auto_answer = call.flag("auto_answer") != Some(false) && kind == Kind::Device;
    let headers = if auto_answer {
        placing::auto_answer(&account.realm).to_vec()
    } else {
        Vec::new()
    };
    let (told, outcome) = oneshot::channel();
    let call_id = format!("{}-quickcall", call.api.rng().hex(18));
    let name = call
        .text("cid-name")
        .unwrap_or_else(|| "Device QuickCall".to_owned());
    let shown = call.text("cid-number").unwrap_or_else(|| number.clone());
    let owner = match kind {
        Kind::User => Some(id.to_owned()),
        _ => account
            .devices
            .get(id)
            .and_then(|device| device.owner_id.clone()),
    };
    let wanted = Originate {
        account: Arc::clone(&account),
        call_id: call_id.clone(),
        first: placing::flow(
            &shown,
            module,
            json!({"id": id, "timeout": timeout.as_secs(), "can_call_self": true}),
        ),
        then: Party::Number(number.clone()),
        authorizing_id: id.to_owned(),
        authorizing_type: if kind == Kind::Device {
            "device"
        } else {
            "user"
        },
        owner_id: owner,
        caller_id: ShownAs {
            name: Some(name.clone()),
            number: Some(shown.clone()),
        },
        then_caller_id: ShownAs::default(),
        as_answerer: true,
        timeout,
        headers,
        ringback: None,
        hold_music: None,
        application_vars: placing::application_vars(call, None),
        outcome: told,
        keeps_id: false,
        stages: None,
    };
    let mut said = json!({
        "application_name": "transfer",
        "application_data": {"route": number},
        "call_id": call_id,
        "custom_application_vars": wanted.application_vars,
        "custom_channel_vars": {"account_id": &*account.id, "authorizing_id": id, "authorizing_type": what},
        "dial_endpoint_method": "simultaneous",
        "outbound_caller_id_name": name,
        "outbound_caller_id_number": shown,
        "outbound_call_id": call_id,
        "timeout": timeout.as_secs(),
    });
    placing::place(call, wanted).await?;
    if call.verb == Verb::Get {
        return Ok(Answer {
            status: 202,
            data: said,
            ..Answer::default()
        });
    }
    match placing::outcome(outcome).await {
        Some(Originated::Answered { .. }) => {
            if let Some(said) = said.as_object_mut() {
                said.insert("application_response".into(), json!("SUCCESS"));
            }
            Ok(Answer::ok(said))
        }
        Some(Originated::Failed { cause, .. }) => Err(ApiError::CallFailed(format!(
            "quickcall initiation failed: {cause}"
        ))),
        None => Err(ApiError::CallFailed(
            "quickcall initiation failed: nobody has answered yet".to_owned(),
        )),
    }
}

/// The number without what is no part of it (`number_filter`).
fn filtered(call: &Call, number: &str) -> Result<String, ApiError> {
    let filter = call
        .text("number_filter")
        .unwrap_or_else(|| "false".to_owned());
    let filtered = match filter.as_str() {
        "false" => number.to_owned(),
        "true" => number.chars().filter(char::is_ascii_alphanumeric).collect(),
        pattern => {
            let regex = compile(pattern).map_err(|reason| {
                ApiError::field(
                    "number_filter",
                    "pattern",
                    format!("is not a regular expression: {reason}"),
                )
            })?;
            let found = regex.captures(number).ok().flatten();
            let group = found.and_then(|groups| {
                groups
                    .get(1)
                    .or(groups.get(0))
                    .map(|m| m.as_str().to_owned())
            });
            group.unwrap_or_default()
        }
    };
    if filtered.is_empty() {
        return Err(ApiError::field(
            "number",
            "required",
            "there is no number to call",
        ));
    }
    Ok(filtered)
}
