//! `/clicktocall` (`api.md` §3.7): URLs that put a contact and an extension together. `connect` places the call,
//! `history` lists what became of each.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::{ITEM, NONE, READ, Resource, document_verbs};
use crate::api::answer::{Answer, Paging};
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Draft};
use crate::api::error::ApiError;
use crate::api::list::{self, Filters, Wanted};
use crate::api::placing;
use crate::api::verb::Verb;
use crate::base::finding::Finding;
use crate::base::time::UnixMicros;
use crate::call::{Originate, Originated, Party, ShownAs};
use crate::directory::numbers::compile;
use crate::directory::{Account, Kind};
use crate::host::{clock, task};
use crate::routing;
use crate::store::{Batch, Store, Table, keys};

pub(in crate::api) const RESOURCE: Resource = Resource {
    // Whether this one needs a token is said by its document.
    open: |verb, args| matches!(args, [_, "connect"]) && matches!(verb, Verb::Get | Verb::Post),
    ..Resource::new("clicktocall", verbs, |call| Box::pin(answer(call)))
};

/// The kind.
pub(in crate::api) const CLICKS: Documents = Documents {
    check,
    ..Documents::plain(
        Kind::ClickToCall,
        "click-to-call",
        "clicktocall",
        |id, doc| list::project(id, doc, &["name", "extension", "realm"]),
    )
};

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [_, "connect"] => &[Verb::Get, Verb::Post],
        [_, "history"] => READ,
        [_] => ITEM,
        [_, ..] => NONE,
        [] => document_verbs(args),
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    match call.args().as_slice() {
        [id, "connect"] => connect(call, id).await,
        [id, "history"] => history(call, id).await,
        _ => documents::answer(&CLICKS, call).await,
    }
}

fn check(draft: &mut Draft<'_>) {
    let open = draft.fields.get("auth_required") == Some(&Value::Bool(false));
    if open && !draft.fields.contains_key("whitelist") && !draft.fields.contains_key("throttle") {
        let message = "lets whoever knows the URL call any number the account may dial: name a whitelist or a throttle";
        draft
            .warnings
            .push(Finding::new("auth_required", "open", message));
    }
    let list = draft.fields.get("whitelist").and_then(Value::as_array);
    let patterns: Vec<String> = list
        .into_iter()
        .flatten()
        .filter_map(|pattern| pattern.as_str().map(str::to_owned))
        .collect();
    for (n, pattern) in patterns.into_iter().enumerate() {
        if let Err(reason) = compile(&pattern) {
            let message = format!("is not a regular expression: {reason}");
            draft.find(&format!("whitelist.{n}"), "pattern", message, pattern);
        }
    }
}

/// The document, for whoever may use it. Who may not learns nothing about it.
fn document<'a>(call: &'a Call, id: &str) -> Result<&'a Arc<Value>, ApiError> {
    let account = call.account()?;
    let doc = account.document(Kind::ClickToCall, id);
    let open = doc.is_some_and(|doc| doc.get("auth_required") == Some(&Value::Bool(false)));
    if call.principal.is_none() && !open {
        return Err(ApiError::Credentials);
    }
    doc.ok_or_else(|| ApiError::NoDocument {
        what: "click-to-call",
        id: id.to_owned(),
    })
}

fn text<'a>(doc: &'a Value, pointer: &str) -> Option<&'a str> {
    let text = doc.pointer(pointer).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

async fn connect(call: &Call, id: &str) -> Result<Answer, ApiError> {
    let doc = Arc::clone(document(call, id)?);
    let account = Arc::clone(call.account()?);
    if !account.enabled {
        return Err(ApiError::Disabled);
    }
    let contact = call
        .text("contact")
        .filter(|contact| !contact.trim().is_empty());
    let Some(contact) = contact else {
        return Err(ApiError::field(
            "contact",
            "required",
            "Field is required but missing",
        ));
    };
    let contact = routing::normalise(&account, contact.trim());
    if !whitelisted(&doc, &contact) {
        return Err(ApiError::field(
            "contact",
            "forbidden",
            format!("{contact} is not on the whitelist of this click-to-call"),
        ));
    }
    let throttle = doc.get("throttle").and_then(Value::as_u64).unwrap_or(0);
    if throttle > 0 && !call.api.throttles().take(id, throttle, call.at) {
        return Err(ApiError::TooMany);
    }
    let (told, outcome) = oneshot::channel();
    let wanted = wanted(call, &account, id, &doc, &contact, told);
    let call_id = wanted.call_id.clone();
    let shown = shown(&wanted, &contact);
    placing::place(call, wanted).await?;
    let entry = Entry {
        store: call.api.directory().store().clone(),
        account: account.id.to_string(),
        click: id.to_owned(),
        contact,
        call_id,
        at: clock::unix_now(),
    };
    let kept = task::spawn("clicktocall-history", entry.keep(outcome));
    if call.flag("blocking") == Some(true)
        && let Ok(Ok(Some(Some(row)))) = tokio::time::timeout(placing::WAIT, kept).await
    {
        return Ok(Answer::ok(row));
    }
    Ok(Answer {
        status: 202,
        data: shown,
        ..Answer::default()
    })
}

fn whitelisted(doc: &Value, contact: &str) -> bool {
    let Some(list) = doc.get("whitelist").and_then(Value::as_array) else {
        return true;
    };
    list.iter()
        .filter_map(Value::as_str)
        .filter_map(|pattern| compile(pattern).ok())
        .any(|regex| regex.is_match(contact).unwrap_or(false))
}

/// Who is rung first: as the document says, and else the extension where there is somebody to ring. A flow that answers
/// by itself would be talking to nobody until the contact has answered, so then it is the contact.
fn contact_first(account: &Account, doc: &Value, id: &str, extension: &str) -> bool {
    let caller = routing::Caller {
        authorizing_type: TYPE,
        device_id: id,
    };
    let route = routing::route(account, extension, &caller);
    let module = route
        .as_ref()
        .and_then(|route| route.doc.pointer("/flow/module")?.as_str());
    let rings = module.is_none_or(|module| RINGING.contains(&module));
    text(doc, "/dial_first") == Some("contact") || !rings
}

fn wanted(
    call: &Call,
    account: &Arc<Account>,
    id: &str,
    doc: &Value,
    contact: &str,
    outcome: oneshot::Sender<Originated>,
) -> Originate {
    let owned = |pointer: &str| text(doc, pointer).map(str::to_owned);
    let extension = owned("/extension").unwrap_or_default();
    let contact_first = contact_first(account, doc, id, &extension);
    let number = owned("/caller_id_number");
    // The contact sees the extension's side, and the extension the contact's.
    let to_contact = ShownAs {
        number: owned("/outbound_callee_id_number").or_else(|| number.clone()),
        name: owned("/outbound_callee_id_name"),
    };
    let to_extension = ShownAs {
        number: number.or_else(|| Some(contact.to_owned())),
        name: owned("/name"),
    };
    let mut headers = placing::headers(doc.get("custom_sip_headers"));
    if !contact_first && call.flag("auto_answer") != Some(false) {
        headers.extend(placing::auto_answer(&account.realm));
    }
    let contact = Party::Number(contact.to_owned());
    let extension = Party::Number(extension);
    let (first, then, caller_id, then_caller_id) = if contact_first {
        // What the flow of the extension knows its caller by is the number that was called.
        (contact, extension, to_contact, ShownAs::default())
    } else {
        (extension, contact, to_extension, to_contact)
    };
    Originate {
        account: Arc::clone(account),
        call_id: format!("c2c-{id}-{}", call.api.rng().hex(5)),
        first,
        then,
        authorizing_id: id.to_owned(),
        authorizing_type: TYPE,
        owner_id: None,
        caller_id,
        then_caller_id,
        as_answerer: false,
        timeout: placing::ring_time(doc.get("timeout").and_then(Value::as_u64)),
        headers,
        ringback: owned("/ringback"),
        hold_music: owned("/music_on_hold/media_id"),
        application_vars: placing::application_vars(call, doc.get("custom_application_vars")),
        outcome,
        keeps_id: false,
        stages: None,
    }
}

/// The request as KAZOO shows it.
fn shown(wanted: &Originate, contact: &str) -> Value {
    let number = |party: &Party| match party {
        Party::Number(number) | Party::Flow { number, .. } => number.clone(),
    };
    let (first, then) = (number(&wanted.first), number(&wanted.then));
    let realm = &*wanted.account.realm;
    let mut shown = json!({
        "application_name": "transfer",
        "application_data": {"route": then},
        "call_id": wanted.call_id,
        "contact": contact,
        "continue_on_fail": true,
        "custom_application_vars": wanted.application_vars,
        "custom_channel_vars": {
            "account_id": &*wanted.account.id,
            "authorizing_id": wanted.authorizing_id,
            "authorizing_type": wanted.authorizing_type,
            "from_uri": format!("{}@{realm}", wanted.caller_id.number.as_deref().unwrap_or_default()),
            "inherit_codec": false,
            "request_uri": format!("{then}@{realm}"),
            "retain_cid": true,
        },
        "dial_endpoint_method": "single",
        "endpoints": [{"invite_format": "loopback", "route": first, "to_did": first, "to_realm": realm}],
        "ignore_early_media": true,
        "outbound_call_id": wanted.call_id,
        "outbound_callee_id_number": first,
        "outbound_caller_id_name": wanted.caller_id.name,
        "outbound_caller_id_number": wanted.caller_id.number,
        "timeout": wanted.timeout.as_secs(),
    });
    if let Some(shown) = shown.as_object_mut() {
        shown.retain(|_, value| !value.is_null());
    }
    shown
}

/// One line of the history, once it is known what became of the call.
struct Entry {
    store: Store,
    account: String,
    click: String,
    contact: String,
    call_id: String,
    at: UnixMicros,
}

impl Entry {
    async fn keep(self, outcome: oneshot::Receiver<Originated>) -> Option<Value> {
        let outcome = outcome.await.ok()?;
        let mut row = Map::new();
        row.insert(
            "id".into(),
            json!(format!("{}-{}", self.at.month(), self.call_id)),
        );
        row.insert("timestamp".into(), json!(self.at.gregorian()));
        row.insert("contact".into(), json!(self.contact));
        row.insert("call_id".into(), json!(self.call_id));
        match outcome {
            Originated::Answered { .. } => drop(row.insert("result".into(), json!("success"))),
            Originated::Failed { cause, .. } => {
                row.insert("result".into(), json!("error"));
                row.insert("cause".into(), json!(cause));
            }
        }
        let row = Value::Object(row);
        let mut batch = Batch::new();
        let prefix = prefix(&self.click);
        let key = keys::join(&[&prefix, &self.account, &keys::time(self.at), &self.call_id]);
        batch.put(Table::Log, key, row.to_string());
        if let Err(error) = self.store.write(batch).await {
            tracing::warn!(%error, "the history of a click-to-call could not be written");
        }
        Some(row)
    }
}

/// First part of the keys of a history.
fn prefix(click: &str) -> String {
    format!("c2c-{click}")
}

async fn history(call: &Call, id: &str) -> Result<Answer, ApiError> {
    document(call, id)?;
    let wanted = Wanted::of(call)?;
    let filters = Filters::of(call)?.without_times();
    let range = list::time_range(call, &wanted)?;
    let (keys, direction) = range.keys(&prefix(id), &call.account()?.id);
    let store = call.api.directory().store();
    let rows = store.scan(Table::Log, keys, direction, range.limit).await?;
    let mut found: Vec<(Vec<u8>, Value)> = rows
        .into_iter()
        .map(|(key, value)| (key, serde_json::from_slice(&value).unwrap_or_default()))
        .filter(|(_, row)| filters.pass(row))
        .collect();
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

/// What vouches for these calls.
const TYPE: &str = "clicktocall";
/// Modules that ring somebody.
const RINGING: [&str; 7] = [
    "device",
    "user",
    "group",
    "ring_group",
    "resources",
    "offnet",
    "page_group",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whitelist_lets_through_what_one_of_its_patterns_finds() {
        let doc = json!({"whitelist": ["^\\+1415", "^2\\d{3}$"]});
        assert!(whitelisted(&doc, "+14155550100"));
        assert!(whitelisted(&doc, "2001"));
        assert!(!whitelisted(&doc, "+4930123456"));
        assert!(!whitelisted(&json!({"whitelist": []}), "2001"));
        assert!(whitelisted(&json!({}), "2001"));
    }

    #[test]
    fn a_flow_that_talks_by_itself_waits_for_its_contact() {
        let flow = |module: &str| json!({"numbers": ["1"], "flow": {"module": module, "data": {}}});
        let account =
            |module: &str| Account::of("a", [(Kind::Callflow, "f".to_owned(), flow(module))]);
        assert!(contact_first(&account("pivot"), &json!({}), "c", "1"));
        assert!(contact_first(
            &account("pivot"),
            &json!({"dial_first": "extension"}),
            "c",
            "1"
        ));
        assert!(!contact_first(&account("user"), &json!({}), "c", "1"));
        assert!(contact_first(
            &account("user"),
            &json!({"dial_first": "contact"}),
            "c",
            "1"
        ));
    }
}
