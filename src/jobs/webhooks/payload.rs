//! What an event says (`api.md` §3.19, "Channel payload", and §3.20 for live events).

use serde_json::{Map, Value, json};

use super::LegEvent;
use crate::base::time::UnixMicros;
use crate::directory::Directory;
use crate::journal::Cdr;

/// Channel variables that are not shown.
const RESERVED: [&str; 22] = [
    "account_id",
    "account_name",
    "account_realm",
    "authorizing_id",
    "authorizing_type",
    "auto_answer",
    "call_forward",
    "call_waiting_disabled",
    "fax_enabled",
    "loopback_bowout",
    "media_encryption_enforce_security",
    "media_webrtc",
    "owner_id",
    "presence_id",
    "rtcp_mux",
    "realm",
    "require_ignore_early_media",
    "retain_cid",
    "sip_invite_domain",
    "simplify_loopback",
    "username",
    "fetch_id",
];

/// The payload of a leg's event, for webhooks.
pub(super) fn leg(
    directory: &Directory,
    event: LegEvent,
    cdr: &Cdr,
    internal: bool,
    now: UnixMicros,
) -> Map<String, Value> {
    let account = directory.account(&cdr.account);
    let by_resource = cdr.authorizing_type == "resource";
    let of_first = |id: &str| {
        directory
            .accounts()
            .iter()
            .any(|account| account.is_first() && account.trunks.contains_key(id))
            && !account
                .as_ref()
                .is_some_and(|own| own.trunks.contains_key(id))
    };
    let global = by_resource && of_first(&cdr.authorizing_id);
    let reseller = account
        .as_ref()
        .and_then(|account| account.above().next().map(str::to_owned));
    let var = |name: &str| {
        cdr.custom_channel_vars
            .get(name)
            .cloned()
            .unwrap_or_default()
    };
    let vars: Map<String, Value> = cdr
        .custom_channel_vars
        .iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut data = json!({
        "account_id": cdr.account,
        "authorizing_id": cdr.authorizing_id,
        "authorizing_type": cdr.authorizing_type,
        "call_direction": cdr.direction,
        "call_forwarded": false,
        "call_id": cdr.call_id,
        "callee_id_name": cdr.callee_id_name,
        "callee_id_number": cdr.callee_id_number,
        "caller_id_name": cdr.caller_id_name,
        "caller_id_number": cdr.caller_id_number,
        "cluster_id": "swivel",
        "custom_application_vars": cdr.custom_application_vars,
        "custom_channel_vars": vars,
        "emergency_resource_used": false,
        "from": cdr.from,
        "inception": var("inception"),
        "interaction_id": cdr.interaction(),
        "is_internal_leg": internal,
        "local_resource_id": (by_resource && !global).then_some(&cdr.authorizing_id),
        "local_resource_used": !global,
        "other_leg_call_id": cdr.other_leg_call_id,
        "owner_id": cdr.owner_id,
        "request": cdr.request,
        "reseller_id": reseller.unwrap_or_else(|| cdr.account.clone()),
        "timestamp": now.gregorian(),
        "to": cdr.to,
    });
    if let Some(data) = data.as_object_mut() {
        match event {
            LegEvent::Create | LegEvent::Answer => {}
            LegEvent::Bridge => {
                data.insert("original_number".into(), json!(cdr.callee_id_number));
                data.insert(
                    "other_leg_destination_number".into(),
                    json!(cdr.other_leg_destination_number),
                );
            }
            LegEvent::Destroy => {
                let ringing = cdr.ringing.map_or(0, |rang| {
                    let end = cdr.answered.or(cdr.ended);
                    end.map_or(0, |end| end.since(rang).as_secs())
                });
                data.insert("hangup_cause".into(), json!(cdr.hangup_cause));
                data.insert(
                    "hangup_code".into(),
                    json!(format!("sip:{}", cdr.hangup_code)),
                );
                data.insert("duration_seconds".into(), json!(cdr.duration_seconds()));
                data.insert("ringing_seconds".into(), json!(ringing));
                data.insert("billing_seconds".into(), json!(cdr.billing_seconds()));
            }
        }
        data.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    }
    match data {
        Value::Object(data) => data,
        _ => Map::new(),
    }
}

/// The same as a live event, which says more.
pub(super) fn event(event: LegEvent, cdr: &Cdr, mut data: Map<String, Value>) -> Value {
    data.insert("event_category".into(), json!("call_event"));
    data.insert("event_name".into(), json!(event.name()));
    data.insert(
        "custom_sip_headers".into(),
        Value::Object(cdr.custom_sip_headers.clone()),
    );
    for (key, text) in [
        ("disposition", &cdr.disposition),
        ("other_leg_direction", &cdr.other_leg_direction),
        ("other_leg_caller_id_name", &cdr.other_leg_caller_id_name),
        (
            "other_leg_caller_id_number",
            &cdr.other_leg_caller_id_number,
        ),
        (
            "other_leg_destination_number",
            &cdr.other_leg_destination_number,
        ),
    ] {
        if !text.is_empty() {
            data.insert(key.into(), json!(text));
        }
    }
    Value::Object(data)
}
