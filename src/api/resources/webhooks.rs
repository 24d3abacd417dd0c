//! `/webhooks` (`api.md` §3.19): URLs that are told of events, the log of attempts, and which events there are.

use serde_json::{Map, Value, json};

use super::{COLLECTION, ITEM, NONE, READ, Resource};
use crate::api::answer::{Answer, Paging};
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Draft, Mode, Write};
use crate::api::error::ApiError;
use crate::api::list::{self, Filters, Wanted};
use crate::api::verb::Verb;
use crate::directory::Kind;
use crate::jobs::webhooks;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    open: |verb, args| verb == Verb::Get && matches!(args, [] | ["samples", ..]),
    ..Resource::new("webhooks", verbs, |call| Box::pin(answer(call)))
};

/// The kind.
pub(in crate::api) const WEBHOOKS: Documents = Documents {
    check,
    ..Documents::plain(Kind::Webhook, "webhook", "webhooks", |id, doc| {
        list::project(
            id,
            doc,
            &["name", "hook", "uri", "group", "enabled", "disable_reason"],
        )
    })
};

/// The events there are: name, title, what they are about.
const HOOKS: [(&str, &str, &str); 10] = [
    ("all", "All", "Fires for all events of channels"),
    ("channel_create", "Channel Create", "A leg is there"),
    ("channel_answer", "Channel Answer", "A leg was answered"),
    (
        "channel_bridge",
        "Channel Bridge",
        "Two legs were connected",
    ),
    ("channel_destroy", "Channel Destroy", "A leg is over"),
    (
        "object",
        "Object",
        "A document was created, changed or deleted",
    ),
    (
        "parking",
        "Call Parking",
        "A call was parked, retrieved or abandoned",
    ),
    ("notifications", "Notifications", "A notification was sent"),
    ("sms", "SMS", "A text message came"),
    ("mms", "MMS", "A multimedia message came"),
];
/// Events nothing here causes yet.
const LATER: [&str; 4] = ["parking", "notifications", "sms", "mms"];

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [] => &[Verb::Get, Verb::Put, Verb::Patch],
        ["attempts"] | [_, "attempts"] | ["samples"] | ["samples", _] => READ,
        [_] => ITEM,
        _ => NONE,
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let args = call.args();
    let has_account = call.account.is_some();
    // Open without an account only.
    if has_account && call.principal.is_none() {
        return Err(ApiError::Credentials);
    }
    match (args.as_slice(), call.verb) {
        (["samples"], _) => Ok(Answer::ok(
            HOOKS.iter().map(|(name, ..)| json!(name)).collect(),
        )),
        (["samples", name], _) => sample(name),
        ([], Verb::Get) if !has_account => Ok(Answer::ok(hooks())),
        _ if !has_account => Err(ApiError::NoPath),
        (["attempts"], _) => attempts(call, None).await,
        ([id, "attempts"], _) => {
            let known = call.account()?.of_kind(Kind::Webhook).contains_key(*id);
            if !known {
                return Err(ApiError::NoDocument {
                    what: "webhook",
                    id: (*id).to_owned(),
                });
            }
            attempts(call, Some(id)).await
        }
        ([], Verb::Patch) => enable_again(call).await,
        ([], verb) if COLLECTION.contains(&verb) => documents::answer(&WEBHOOKS, call).await,
        _ => documents::answer(&WEBHOOKS, call).await,
    }
}

fn hooks() -> Value {
    let row = |(id, name, description): &(&str, &str, &str)| {
        let mut row = json!({"id": id, "name": name, "description": description});
        if *id == "object"
            && let Some(row) = row.as_object_mut()
        {
            row.insert(
                "modifiers".into(),
                json!({
                    "type": {"type": "array", "description": "A list of object types to handle", "items": OBJECTS},
                    "action": {"type": "array", "description": "A list of object actions to handle", "items": ACTIONS},
                }),
            );
        }
        row
    };
    HOOKS.iter().map(row).collect()
}

fn sample(name: &str) -> Result<Answer, ApiError> {
    let plain = name.trim_start_matches("webhooks_");
    if !HOOKS.iter().any(|(hook, ..)| *hook == plain) {
        return Err(ApiError::NoDocument {
            what: "webhook sample",
            id: name.to_owned(),
        });
    }
    let mut sample = json!({
        "account_id": "00000000000000000000000000000001", "authorizing_type": "device", "call_direction": "inbound",
        "call_id": "a84b4c76e66710", "caller_id_name": "Ann", "caller_id_number": "1001", "hook_event": plain,
        "from": "1001@pbx.example", "to": "1002@pbx.example", "request": "1002@pbx.example", "timestamp": 63_877_497_874_u64,
    });
    if plain == "channel_destroy"
        && let Some(sample) = sample.as_object_mut()
    {
        sample.insert("hangup_cause".into(), json!("NORMAL_CLEARING"));
        sample.insert("hangup_code".into(), json!("sip:200"));
    }
    Ok(Answer::ok(sample))
}

fn check(draft: &mut Draft<'_>) {
    if let Some(hook) = draft.text("hook") {
        if !HOOKS.iter().any(|(name, ..)| *name == hook) {
            let names: Vec<&str> = HOOKS.iter().map(|(name, ..)| *name).collect();
            draft.find(
                "hook",
                "enum",
                format!("is not one of {}", names.join(", ")),
                hook.clone(),
            );
        } else if hook == "object" {
            for (key, known) in [("type", OBJECTS.as_slice()), ("action", ACTIONS.as_slice())] {
                let path = format!("custom_data.{key}");
                match draft.text(&path) {
                    None => draft.find(&path, "required", "Field is required but missing", key),
                    Some(value) if !known.contains(&value.as_str()) => {
                        draft.find(
                            &path,
                            "enum",
                            format!("is not one of {}", known.join(", ")),
                            value,
                        );
                    }
                    Some(_) => {}
                }
            }
        } else if hook == "notifications" && draft.text("custom_data.type").is_none() {
            draft.find(
                "custom_data.type",
                "required",
                "Field is required but missing",
                "type",
            );
        }
        if LATER.contains(&hook.as_str()) {
            let message = format!("is accepted, but nothing here causes {hook} events yet");
            draft.warnings.push(crate::base::finding::Finding::new(
                "hook",
                "not_built",
                message,
            ));
        }
    }
    if let Some(uri) = draft.text("uri") {
        let scheme = uri
            .split_once("://")
            .map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            draft.find("uri", "format", "must be an http or https URL", uri);
        } else if let Err(reason) = (draft.guard)(&uri) {
            draft.find("uri", "forbidden", reason, uri);
        }
    }
    if draft.text("secret").is_none() {
        // The signature is there from the first event on.
        let known = draft.old.and_then(|old| old.get("secret")).cloned();
        let secret = known.unwrap_or_else(|| json!(draft.rng.hex(24)));
        draft.fields.insert("secret".into(), secret);
    }
    if draft.fields.get("enabled") != Some(&json!(false)) {
        draft.fields.remove("disable_reason");
    }
}

/// `{"re-enable": true}`: hooks that failed too often are tried again.
async fn enable_again(call: &Call) -> Result<Answer, ApiError> {
    if call.flag("re-enable") != Some(true) {
        return Err(ApiError::field("re-enable", "required", "must be true"));
    }
    let account = call.account()?;
    let mut told = Map::new();
    let disabled: Vec<String> = account
        .of_kind(Kind::Webhook)
        .iter()
        .filter(|(_, doc)| doc.get("disable_reason").is_some())
        .map(|(id, _)| id.clone())
        .collect();
    for id in disabled {
        let mut fields = Map::new();
        fields.insert("enabled".into(), json!(true));
        fields.insert("disable_reason".into(), Value::Null);
        let write = Write {
            account: &account.id,
            id: Some(&id),
            fields,
            private: Map::new(),
            mode: Mode::Merge,
            verb: call.verb,
            who: documents::who(call),
            if_match: None,
            skip_same: false,
        };
        documents::save(&call.api, &WEBHOOKS, write).await?;
        told.insert(id, json!("success"));
    }
    Ok(Answer::ok(Value::Object(told)))
}

async fn attempts(call: &Call, hook: Option<&str>) -> Result<Answer, ApiError> {
    let wanted = Wanted::of(call)?;
    let filters = Filters::of(call)?.without_times();
    let range = list::time_range(call, &wanted)?;
    let store = call.api.directory().store();
    let mut found = webhooks::attempts(store, &call.account()?.id, &range).await?;
    found.retain(|(_, row)| {
        let of_hook =
            hook.is_none_or(|hook| row.get("hook_id").and_then(Value::as_str) == Some(hook));
        of_hook && filters.pass(row)
    });
    let size = wanted.page_size.unwrap_or(list::MOST);
    let next = found.get(size).map(|(key, _)| list::opaque(key));
    let first = found.first().map(|(key, _)| list::opaque(key));
    found.truncate(size);
    let paging = wanted.page_size.map(|_| Paging {
        rows: found.len(),
        start_key: first,
        next_start_key: next,
    });
    Ok(Answer::page(
        found.into_iter().map(|(_, row)| row).collect(),
        paging,
    ))
}

/// Types of documents an `object` hook may be about.
const OBJECTS: [&str; 11] = [
    "all",
    "account",
    "callflow",
    "device",
    "faxbox",
    "media",
    "user",
    "vmbox",
    "fax",
    "mailbox_message",
    "call_recording",
];
/// What may happen to them.
const ACTIONS: [&str; 4] = ["all", "doc_created", "doc_edited", "doc_deleted"];
