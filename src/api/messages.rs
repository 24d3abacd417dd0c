//! How many messages wait for a device or user: `…/devices/{D}/mwi`, `…/users/{U}/mwi`. What lights the lamps of phones
//! until there is voicemail, and for voicemail that lives elsewhere.

use serde_json::json;

use super::answer::Answer;
use super::call::Call;
use super::error::ApiError;
use super::verb::Verb;
use crate::registrar::Messages;

/// Verbs of `…/mwi`.
pub(super) const MWI: &[Verb] = &[Verb::Get, Verb::Post, Verb::Delete];

/// Counts a client may give.
const FIELDS: [&str; 4] = ["new", "saved", "urgent_new", "urgent_saved"];

/// Answers for the device or user with that id, which exists.
pub(super) async fn answer(call: &Call, id: &str) -> Result<Answer, ApiError> {
    let account = &call.account()?.id;
    let registrar = call.api.registrations();
    match call.verb {
        Verb::Post => {
            let messages = read(call)?;
            registrar.set_messages(account, id, Some(messages)).await;
            Ok(Answer::ok(json!(messages)))
        }
        Verb::Delete => {
            registrar.set_messages(account, id, None).await;
            Ok(Answer::ok(json!(Messages::default())))
        }
        Verb::Get | Verb::Put | Verb::Patch => {
            let messages = registrar.messages(account, id).await;
            Ok(Answer::ok(json!(messages.unwrap_or_default())))
        }
    }
}

fn read(call: &Call) -> Result<Messages, ApiError> {
    let fields = call.fields()?;
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        let message = format!("is none of {}", FIELDS.join(", "));
        return Err(ApiError::field(unknown, "additionalProperties", message));
    }
    if !fields.contains_key("new") {
        let message = "Field is required but missing";
        return Err(ApiError::field("new", "required", message));
    }
    let number = |name: &str| match fields.get(name) {
        None => Ok(0),
        Some(value) => value
            .as_u64()
            .filter(|number| *number <= MOST)
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| {
                let message = format!("must be a whole number from 0 to {MOST}");
                ApiError::field(name, "type", message)
            }),
    };
    Ok(Messages {
        new: number("new")?,
        saved: number("saved")?,
        urgent_new: number("urgent_new")?,
        urgent_saved: number("urgent_saved")?,
    })
}

/// Most messages anybody has.
const MOST: u64 = 1_000_000;
