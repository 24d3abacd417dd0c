//! `/users` (`api.md` §3.2). Passwords are kept as hashes only and never shown.

use serde_json::{Map, Value, json};

use super::{Resource, document_verbs};
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Draft};
use crate::api::error::ApiError;
use crate::api::list;
use crate::api::login::hashes;
use crate::api::messages::{self, MWI};
use crate::api::verb::Verb;
use crate::directory::{Account, Kind, private};

pub(in crate::api) const RESOURCE: Resource = Resource::new("users", verbs, |call| {
    Box::pin(async move {
        allow(call)?;
        if let [user, "mwi"] = call.args().as_slice() {
            if !call.account()?.users.contains_key(*user) {
                return Err(ApiError::NoDocument { what: "user", id: (*user).to_owned() });
            }
            return messages::answer(call, user).await;
        }
        documents::answer(&USERS, call).await
    })
});

/// The kind.
pub(in crate::api) const USERS: Documents = Documents {
    sort,
    check,
    ..Documents::plain(Kind::User, "user", "users", row)
};

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [_, "mwi"] => MWI,
        other => document_verbs(other),
    }
}

/// A plain user changes nobody but itself, and not its own rights.
fn allow(call: &Call) -> Result<(), ApiError> {
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    if !call.verb.writes() || principal.is_admin() {
        return Ok(());
    }
    let own = principal.user.as_ref().map(|user| user.id.as_str());
    let target = call.args().first().copied();
    let raises = call.data.get("priv_level").and_then(Value::as_str) == Some("admin");
    if own.is_some() && own == target && !raises && call.verb != Verb::Delete {
        return Ok(());
    }
    Err(ApiError::Forbidden("only administrators may change other users".to_owned()))
}

fn row(id: &str, doc: &Value) -> Map<String, Value> {
    let keys = [
        "username",
        "email",
        "first_name",
        "last_name",
        "priv_level",
        "feature_level",
        "presence_id",
        "timezone",
        "call_recording",
        "service",
        "flags",
    ];
    let mut row = list::project(id, doc, &keys);
    row.insert("features".into(), json!(features(doc)));
    row
}

fn features(doc: &Value) -> Vec<&'static str> {
    let on = |pointer: &str| doc.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
    let has = |pointer: &str| doc.pointer(pointer).is_some_and(|value| !value.is_null());
    let all = [
        ("hotdesk", on("/hotdesk/enabled")),
        ("call_forward", on("/call_forward/enabled")),
        ("call_forward_failover", on("/call_forward/failover")),
        ("caller_id", has("/caller_id/external") || has("/caller_id/internal") || has("/caller_id/emergency")),
        ("vm_to_email", on("/vm_to_email_enabled")),
        ("music_on_hold", has("/music_on_hold/media_id")),
        ("do_not_disturb", on("/do_not_disturb/enabled")),
    ];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}

fn sort(_: &str, doc: &Value) -> String {
    let text = |key: &str| doc.get(key).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    format!("{} {}", text("last_name"), text("first_name"))
}

fn check(draft: &mut Draft<'_>) {
    draft.judge_metaflows();
    draft.judge_recording();
    let before = draft.old.and_then(|old| old.get("username")).and_then(Value::as_str).map(str::to_lowercase);
    let username = match draft.text("username") {
        Some(name) => name.to_lowercase(),
        // A user without a name gets one, so that it can be told apart.
        None => before.clone().unwrap_or_else(|| format!("user_{}", draft.rng.hex(5))),
    };
    draft.fields.insert("username".into(), json!(username));
    let taken = |account: &Account| {
        account.users.values().any(|user| user.id != draft.id && user.username.as_deref() == Some(username.as_str()))
    };
    if draft.account.is_some_and(taken) {
        draft.find("username", "unique", "Username is not unique for this account", json!(username));
    }
    if let Some(email) = draft.text("email")
        && !is_mail_address(&email)
    {
        draft.find("email", "format", "is not a mail address", json!(email));
    }
    presence(draft);
    password(draft, &username, before.as_deref());
}

fn presence(draft: &mut Draft<'_>) {
    let Some(presence) = draft.text("presence_id") else { return };
    let used = |account: &Account| {
        let mut devices = account.devices.values();
        devices.any(|device| device.doc.get("presence_id").and_then(Value::as_str) == Some(presence.as_str()))
    };
    if draft.account.is_some_and(used) {
        draft.find("presence_id", "unique", "is the presence id of a device", json!(presence));
    }
}

fn password(draft: &mut Draft<'_>, username: &str, before: Option<&str>) {
    let password = draft.fields.remove("password");
    let imported = draft.fields.remove("credentials");
    if let Some(password) = password.as_ref().and_then(Value::as_str).filter(|text| !text.is_empty()) {
        draft.judge_secret("password", password, username);
        let (md5, sha1) = hashes(username, password);
        draft.private.insert(private::MD5_AUTH.into(), json!(md5));
        draft.private.insert(private::SHA1_AUTH.into(), json!(sha1));
    } else if let Some(hash) = imported.as_ref().and_then(Value::as_str) {
        if hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            draft.private.insert(private::MD5_AUTH.into(), json!(hash.to_lowercase()));
            draft.private.insert(private::SHA1_AUTH.into(), Value::Null);
        } else {
            draft.find("credentials", "pattern", "is not an MD5 hash in hexadecimal", Value::Null);
        }
    } else {
        let hashed = draft.old.and_then(|old| old.get(private::MD5_AUTH)).is_some();
        let set = draft.private.contains_key(private::MD5_AUTH);
        if hashed && !set && before != Some(username) {
            // The hash is made of both.
            draft.find("password", "required", "The password must be provided when updating the username", json!("password"));
        }
    }
}

/// One `@` with something sensible around it.
fn is_mail_address(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let plain = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;:()[]\\\"".contains(c));
    plain(local) && plain(host) && !host.starts_with('.') && !host.ends_with('.') && !host.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_addresses_are_told_from_other_text() {
        for good in ["a@b", "first.last+tag@mail.example.org", "ünï@exämple.de"] {
            assert!(is_mail_address(good), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b..c", "a@.c", "<a@b>", "a@b\r\nBcc: x"] {
            assert!(!is_mail_address(bad), "{bad:?}");
        }
    }
}
