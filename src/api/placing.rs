//! What endpoints that place calls have in common: parameters, the parties, the answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::call::Call;
use super::error::ApiError;
use crate::call::{NoCall, Originate, Originated, Party};

/// Parameters of a request that are none of the call's variables.
const NOT_VARS: [&str; 20] = [
    "accept",
    "account_id",
    "action",
    "auth_token",
    "authorization",
    "auto_answer",
    "blocking",
    "cid-name",
    "cid-number",
    "custom_application_vars",
    "file_name",
    "id",
    "ignore-early-media",
    "jsonp",
    "media",
    "number_filter",
    "pretty_print",
    "target_call_id",
    "timeout",
    "verb",
];
/// Variables of a call from one request.
const VARS: usize = 64;
/// How long a request waits for somebody to answer.
pub(super) const WAIT: Duration = Duration::from_secs(20);
/// How long a party rings where nothing else is said.
pub(super) const RING: u64 = 30;
/// The longest a party may ring.
const RING_AT_MOST: u64 = 300;

/// The application variables a request brings: its query over `custom_application_vars` of its data over `own`.
pub(super) fn application_vars(call: &Call, own: Option<&Value>) -> Map<String, Value> {
    let of_data = call.data.get("custom_application_vars");
    let objects = [own, of_data].into_iter().flatten();
    let mut vars: Map<String, Value> = objects
        .filter_map(Value::as_object)
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in &call.query {
        if !NOT_VARS.contains(&name.as_str()) {
            vars.insert(name.clone(), json!(value));
        }
    }
    if let Some(contact) = call.text("contact") {
        vars.entry("contact").or_insert_with(|| json!(contact));
    }
    vars.into_iter()
        .filter(|(name, value)| is_name(name) && !value.is_null())
        .take(VARS)
        .collect()
}

fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// How long the first party rings.
pub(super) fn ring_time(seconds: Option<u64>) -> Duration {
    let seconds = seconds.filter(|seconds| *seconds > 0).unwrap_or(RING);
    Duration::from_secs(seconds.min(RING_AT_MOST))
}

/// Headers a document or request names: those of `out`, or all.
pub(super) fn headers(value: Option<&Value>) -> Vec<(String, String)> {
    let Some(all) = value.and_then(Value::as_object) else {
        return Vec::new();
    };
    let directed =
        all.get("in").is_some_and(Value::is_object) || all.get("out").is_some_and(Value::is_object);
    let chosen = if directed {
        all.get("out").and_then(Value::as_object)
    } else {
        Some(all)
    };
    let chosen = chosen.into_iter().flatten();
    chosen
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .filter(|(name, value)| is_token(name) && !value.contains(char::is_control))
        .collect()
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.!%*+`'~".contains(&b))
}

/// Headers by which phones answer by themselves.
pub(super) fn auto_answer(realm: &str) -> [(String, String); 2] {
    [
        (
            "Call-Info".to_owned(),
            format!("<sip:{realm}>;answer-after=0"),
        ),
        (
            "Alert-Info".to_owned(),
            "<http://swivel.invalid>;info=alert-autoanswer;delay=0".to_owned(),
        ),
    ]
}

/// A flow of one module.
pub(super) fn flow(number: &str, module: &str, data: Value) -> Party {
    Party::Flow {
        number: number.to_owned(),
        id: None,
        document: Arc::new(json!({"flow": {"module": module, "data": data, "children": {}}})),
    }
}

/// Places the call; the receiver is told what became of it.
pub(super) async fn place(call: &Call, wanted: Originate) -> Result<(), ApiError> {
    let channels = call.api.channels();
    let placed = match channels {
        Some(channels) => channels.originate(wanted).await,
        None => Err(NoCall::NoServer),
    };
    placed.map_err(|error| match &error {
        NoCall::NoRoute(_) => ApiError::field("number", "not_found", error.to_string()),
        _ => ApiError::Unavailable(error.to_string()),
    })
}

/// Waits for somebody to answer, as long as a request may.
pub(super) async fn outcome(told: oneshot::Receiver<Originated>) -> Option<Originated> {
    tokio::time::timeout(WAIT, told).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_the_out_direction() {
        let flat = json!({"X-A": "1", "bad name": "2", "X-B": 3, "X-C": "a\r\nb"});
        assert_eq!(headers(Some(&flat)), [("X-A".to_owned(), "1".to_owned())]);
        let both = json!({"in": {"X-A": "1"}, "out": {"X-B": "2"}});
        assert_eq!(headers(Some(&both)), [("X-B".to_owned(), "2".to_owned())]);
        assert!(headers(Some(&json!({"in": {"X-A": "1"}}))).is_empty());
    }

    #[test]
    fn a_party_rings_for_thirty_seconds_unless_told_otherwise() {
        assert_eq!(ring_time(None), Duration::from_secs(30));
        assert_eq!(ring_time(Some(0)), Duration::from_secs(30));
        assert_eq!(ring_time(Some(9)), Duration::from_secs(9));
        assert_eq!(ring_time(Some(u64::MAX)), Duration::from_secs(300));
    }
}
