//! `/devices` (`api.md` §3.3).

use serde_json::{Map, Value, json};

use super::{READ, Resource, document_verbs};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Draft};
use crate::api::error::ApiError;
use crate::api::list;
use crate::api::messages::{self, MWI};
use crate::api::verb::Verb;
use crate::directory::{Account, Kind, network};

pub(in crate::api) const RESOURCE: Resource = Resource::new("devices", verbs, |call| Box::pin(answer(call)));

/// The kind.
pub(in crate::api) const DEVICES: Documents =
    Documents { check, ..Documents::plain(Kind::Device, "device", "devices", row) };

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        ["status"] => READ,
        [_, "mwi"] => MWI,
        [_, "sync"] => &[Verb::Post],
        other => document_verbs(other),
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    if call.args() == ["status"] {
        return status(call).await;
    }
    if let [device, what @ ("mwi" | "sync")] = call.args().as_slice() {
        let account = call.account()?;
        if !account.devices.contains_key(*device) {
            return Err(ApiError::NoDocument { what: "device", id: (*device).to_owned() });
        }
        if *what == "mwi" {
            return messages::answer(call, device).await;
        }
        let asked = call.api.registrations().sync(&account.id, device).await;
        return Ok(Answer::ok(json!({ "phones": asked })));
    }
    if let Some(user) = call.within("users") {
        let account = call.account()?;
        if !account.users.contains_key(user) {
            return Err(ApiError::NoDocument { what: "user", id: user.to_owned() });
        }
        if call.args().is_empty() && call.verb == Verb::Get {
            let of_user = |doc: &Value| doc.get("owner_id").and_then(Value::as_str) == Some(user);
            return documents::list(&DEVICES, call, of_user);
        }
    }
    documents::answer(&DEVICES, call).await
}

/// Registered devices only (`api.md` §3.3).
async fn status(call: &Call) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let registered = call.api.registrations().list(Some(&account.id)).await;
    let mut devices: Vec<&str> = registered.iter().map(|one| one.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    let rows = devices.iter().map(|id| json!({ "device_id": id, "registered": true }));
    Ok(Answer::ok(rows.collect()))
}

fn row(id: &str, doc: &Value) -> Map<String, Value> {
    let keys = ["name", "mac_address", "owner_id", "enabled", "call_recording", "flags"];
    let mut row = list::project(id, doc, &keys);
    if let Some(username) = doc.pointer("/sip/username") {
        row.insert("username".into(), username.clone());
    }
    let kind = doc.get("device_type").and_then(Value::as_str).unwrap_or("sip_device");
    row.insert("device_type".into(), json!(kind));
    row
}

fn check(draft: &mut Draft<'_>) {
    draft.judge_metaflows();
    draft.judge_recording();
    if let Some(mac) = draft.text("mac_address") {
        mac_address(draft, &mac);
    }
    let username = draft.text("sip.username");
    if let Some(username) = &username {
        unique_username(draft, username);
        if let Some(password) = draft.text("sip.password") {
            draft.judge_secret("sip.password", &password, username);
        }
    }
    if draft.text("sip.method").as_deref() == Some("ip") {
        address(draft);
    }
}

fn mac_address(draft: &mut Draft<'_>, mac: &str) {
    let plain: String = mac.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
    if plain.len() != 12 || mac.chars().any(|c| !c.is_ascii_hexdigit() && !":-. ".contains(c)) {
        return draft.find("mac_address", "pattern", "is not a hardware address", json!(mac));
    }
    let used = draft.directory.accounts().iter().any(|account| {
        account.devices.values().any(|device| {
            device.id != draft.id && device.doc.get("mac_address").and_then(Value::as_str) == Some(plain.as_str())
        })
    });
    if used {
        draft.find("mac_address", "unique", "Mac address already in use", json!(mac));
    }
    draft.fields.insert("mac_address".into(), json!(plain));
}

fn unique_username(draft: &mut Draft<'_>, username: &str) {
    let own = draft.account.map_or("", |account| &account.realm).to_owned();
    let realm = draft.text("sip.realm").unwrap_or_else(|| own.clone()).to_lowercase();
    let same = |account: &Account, device: &crate::directory::Device| {
        device.id != draft.id
            && device.username.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(username))
            && device.realm.as_deref().unwrap_or(&account.realm) == realm
    };
    // A realm of its own may be used by devices of other accounts, too.
    let taken = if realm == own {
        draft.account.is_some_and(|account| account.devices.values().any(|device| same(account, device)))
    } else {
        draft.directory.accounts().iter().any(|account| account.devices.values().any(|device| same(account, device)))
    };
    if taken {
        draft.find("sip.username", "unique", "SIP credentials already in use", json!(username));
    }
}

fn address(draft: &mut Draft<'_>) {
    let Some(text) = draft.text("sip.ip") else {
        return draft.find("sip.ip", "required", "a device known by its address needs one", json!("ip"));
    };
    let Some(net) = network(&text) else {
        return draft.find("sip.ip", "format", "is neither an address nor a network in CIDR form", json!(text));
    };
    if net.prefix_len() == 0 {
        return draft.find("sip.ip", "disallow", "would let everybody in", json!(text));
    }
    let used = draft.directory.accounts().iter().any(|account| {
        account.devices.values().any(|device| device.id != draft.id && device.ip == Some(net))
    });
    if used {
        draft.find("sip.ip", "unique", "SIP IP already in use", json!(text));
    }
}
