//! `/registrations` (`api.md` §3.17): where phones are; removing them.

use serde_json::{Map, Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::list;
use crate::api::verb::Verb;
use crate::host::clock;
use crate::registrar::Registration;

pub(in crate::api) const RESOURCE: Resource = Resource {
    // A SIP user name may look like a noun.
    of_account: false,
    ..Resource::new("registrations", verbs, |call| Box::pin(answer(call)))
};

const ALL: &[Verb] = &[Verb::Get, Verb::Delete];
const ONE: &[Verb] = &[Verb::Delete];

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [] => ALL,
        ["count"] => READ,
        [_] => ONE,
        _ => NONE,
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let registrar = call.api.registrations();
    let args = call.args();
    let Some(account) = &call.account else {
        // Everybody's: how many, for those who may see every account.
        let all = call.principal.as_ref().is_some_and(|p| p.is_superduper());
        return match args.as_slice() {
            ["count"] if all => Ok(Answer::ok(json!({"count": registrar.count(None).await}))),
            ["count"] => Err(ApiError::Forbidden(
                "the token does not reach every account".to_owned(),
            )),
            _ => Err(ApiError::NoPath),
        };
    };
    match (call.verb, args.as_slice()) {
        (Verb::Get, ["count"]) => {
            let count = registrar.count(Some(&account.id)).await;
            Ok(Answer::ok(json!({ "count": count })))
        }
        (Verb::Get, _) => {
            let rows = registrar.list(Some(&account.id)).await;
            let rows = rows.iter().map(|registration| {
                let row = Value::Object(row(call, registration));
                let key = format!(
                    "{:020}-{}-{}",
                    registration.registered_at.0, registration.username, registration.contact
                );
                (key.into_bytes(), row.clone(), row)
            });
            list::page(call, rows.collect())
        }
        (_, []) => {
            registrar.flush(&account.id, None).await;
            Ok(Answer::ok(json!("ok")))
        }
        (_, [username]) => {
            let known = account.devices.values().any(|device| {
                let own = device.username.as_deref();
                own.is_some_and(|own| own.to_lowercase() == username.to_lowercase())
            });
            let flushed = registrar.flush(&account.id, Some(username)).await;
            if known || flushed > 0 {
                Ok(Answer::ok(json!("ok")))
            } else {
                Err(ApiError::NoDocument {
                    what: "SIP user",
                    id: (*username).to_owned(),
                })
            }
        }
        _ => Err(ApiError::NoPath),
    }
}

/// A registration with KAZOO's names.
fn row(call: &Call, registration: &Registration) -> Map<String, Value> {
    let account = call.account.as_ref();
    let device = account.and_then(|account| account.devices.get(&registration.device));
    // Not the time the request came: a phone that registered since then would have more left than it was granted.
    let left = registration.expires_at.since(clock::unix_now());
    let row = json!({
        "account_id": registration.account,
        "account_name": account.map(|account| account.name.as_str()),
        "account_realm": account.map(|account| &*account.realm),
        "authorizing_id": registration.device,
        "authorizing_type": "device",
        "call_id": registration.call_id,
        "contact": registration.contact,
        "contact_ip": registration.reached_at.ip().to_canonical().to_string(),
        "contact_port": registration.reached_at.port(),
        "event_timestamp": registration.registered_at.gregorian(),
        "expires": left.as_secs() + u64::from(left.subsec_nanos() > 0),
        "from_host": registration.to_host,
        "from_user": registration.username,
        "network_ip": registration.source.ip().to_canonical().to_string(),
        "network_port": registration.source.port(),
        "original_contact": registration.original_contact,
        "owner_id": device.and_then(|device| device.owner_id.as_deref()),
        "proxy_ip": registration.local.ip().to_canonical().to_string(),
        "proxy_port": registration.local.port(),
        "proxy_protocol": registration.transport.uri_name(),
        "realm": registration.realm,
        "suppress_unregister_notify": device
            .and_then(|device| device.doc.get("suppress_unregister_notifications")?.as_bool())
            .unwrap_or(false),
        "to_host": registration.to_host,
        "to_user": registration.username,
        "user_agent": registration.user_agent,
        "username": registration.username,
        "reachable": registration.reachable,
    });
    match row {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
        _ => Map::new(),
    }
}
