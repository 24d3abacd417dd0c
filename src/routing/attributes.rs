//! The effective attributes of an endpoint: what account, owner and device say together (callflow.md §6.2).

use std::sync::Arc;

use serde_json::Value;

use crate::directory::{Account, Device, User};

/// A device, a user, or a device with its owner, and the account they are in.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    account: &'a Account,
    /// The users logged in at the device, else its owner.
    owners: Vec<&'a Arc<User>>,
    device: Option<&'a Device>,
}

/// Which identity of an endpoint is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// Inside the account.
    Internal,
    /// To the public network.
    External,
    /// On emergency calls.
    Emergency,
    /// Asserted to carriers.
    Asserted,
}

impl IdKind {
    /// The kind of that name in documents; anything else is `external`.
    pub fn named(name: &str) -> Self {
        match name {
            "internal" => Self::Internal,
            "emergency" => Self::Emergency,
            _ => Self::External,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
            Self::Emergency => "emergency",
            Self::Asserted => "asserted",
        }
    }
}

/// A name and a number somebody is known by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Display name.
    pub name: Option<String>,
    /// Number.
    pub number: Option<String>,
}

/// Where calls go instead (callflow.md §6.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallForward {
    /// Whether calls are forwarded.
    pub enabled: bool,
    /// Where to.
    pub number: String,
    /// The phone does not ring beside it.
    pub substitute: bool,
    /// Who answers must press 1.
    pub require_keypress: bool,
    /// The caller's identity is kept.
    pub keep_caller_id: bool,
    /// Not for calls through groups and queues.
    pub direct_calls_only: bool,
    /// What it sends before it answers is not heard.
    pub ignore_early_media: bool,
    /// Used when the phone cannot be reached, although forwarding is off.
    pub failover: bool,
}

/// When a conditional forward applies (KAZOO 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The phone is not registered or cannot be reached.
    Unreachable,
    /// It is busy, or refuses.
    Busy,
    /// Nobody answers.
    NoAnswer,
}

impl<'a> Attributes<'a> {
    /// Of a device with whoever is logged in at it or owns it.
    pub fn of_device(account: &'a Account, device: &'a Device) -> Self {
        Self {
            account,
            owners: account.owners_of(device),
            device: Some(device),
        }
    }

    /// Of a user, whatever device.
    pub fn of_user(account: &'a Account, user: &'a Arc<User>) -> Self {
        Self {
            account,
            owners: vec![user],
            device: None,
        }
    }

    /// Of whoever placed a call: the device, a user (`owner_id`, as the flow has it), or the account alone.
    pub fn of_caller(account: &'a Account, device_id: &str, owner_id: Option<&str>) -> Self {
        let device = account.devices.get(device_id).map(AsRef::as_ref);
        let owner = owner_id.and_then(|id| account.users.get(id));
        let owners = match (owner, device) {
            (Some(owner), _) => vec![owner],
            (None, Some(device)) => account.owners_of(device),
            (None, None) => Vec::new(),
        };
        Self {
            account,
            owners,
            device,
        }
    }

    /// The one owner. Of several people at a desk none is.
    pub fn owner(&self) -> Option<&'a Arc<User>> {
        match self.owners.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    fn owner_doc(&self) -> Option<&'a Value> {
        self.owner().map(|user| &*user.doc)
    }

    fn device_doc(&self) -> Option<&'a Value> {
        self.device.map(|device| &*device.doc)
    }

    /// The first of these documents that has something at `pointer`; empty values count as missing.
    fn first(docs: [Option<&'a Value>; 3], pointer: &str) -> Option<&'a Value> {
        let mut docs = docs.into_iter().flatten();
        docs.find_map(|doc| doc.pointer(pointer).filter(|value| !is_empty(value)))
    }

    /// A value where the owner's wins over the device's, the device's over the account's.
    pub fn value(&self, pointer: &str) -> Option<&'a Value> {
        let docs = [
            self.owner_doc(),
            self.device_doc(),
            Some(&*self.account.doc),
        ];
        Self::first(docs, pointer)
    }

    /// A value where the device's wins over the owner's, the owner's over the account's.
    pub fn device_first(&self, pointer: &str) -> Option<&'a Value> {
        let docs = [
            self.device_doc(),
            self.owner_doc(),
            Some(&*self.account.doc),
        ];
        Self::first(docs, pointer)
    }

    fn text(&self, pointer: &str) -> Option<String> {
        self.value(pointer)?.as_str().map(str::to_owned)
    }

    /// Whether account, owner or device do not want to be disturbed.
    pub fn do_not_disturb(&self) -> bool {
        let on = |doc: &Value| doc.pointer("/do_not_disturb/enabled") == Some(&Value::Bool(true));
        on(&self.account.doc)
            || self.owner_doc().is_some_and(on)
            || self.device_doc().is_some_and(on)
    }

    /// Whether a phone in a call takes another one.
    pub fn call_waiting(&self) -> bool {
        let set = self.device_first("/call_waiting/enabled");
        set.and_then(Value::as_bool).unwrap_or(true)
    }

    /// Name of the endpoint: the owner's, else the device's, else the account's.
    pub fn name(&self) -> String {
        self.owner_name()
            .or_else(|| self.device.map(|device| device.name.clone()))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| self.account.name.clone())
    }

    fn owner_name(&self) -> Option<String> {
        let doc = self.owner_doc()?;
        let part = |key: &str| doc.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{} {}", part("first_name"), part("last_name"));
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    }

    /// What the endpoint shows of itself as `kind`.
    pub fn identity(&self, kind: IdKind) -> Identity {
        let leaf = |kind: IdKind, leaf: &str| {
            let pointer = format!("/caller_id/{}/{leaf}", kind.key());
            let account = Some(&*self.account.doc);
            let prefers_device = account.and_then(|doc| doc.get("prefer_device_caller_id"));
            let device_first =
                kind == IdKind::Emergency || prefers_device == Some(&Value::Bool(true));
            let docs = if device_first {
                [self.device_doc(), self.owner_doc(), account]
            } else {
                [self.owner_doc(), self.device_doc(), account]
            };
            let found = Self::first(docs, &pointer).and_then(Value::as_str);
            found.map(str::to_owned)
        };
        let mut identity = Identity {
            name: leaf(kind, "name"),
            number: leaf(kind, "number"),
        };
        match kind {
            IdKind::Internal => {
                identity.name = identity.name.or_else(|| self.owner_name());
                identity.number = identity.number.or_else(|| self.presence_user());
            }
            IdKind::Emergency if identity.number.is_none() => {
                return self.identity(IdKind::External);
            }
            IdKind::Emergency | IdKind::External | IdKind::Asserted => {}
        }
        identity
    }

    /// Realm of the asserted identity.
    pub fn asserted_realm(&self) -> Option<String> {
        self.text("/caller_id/asserted/realm")
    }

    fn presence_user(&self) -> Option<String> {
        let presence = self.text("/presence_id")?;
        let user = presence.split('@').next().unwrap_or_default();
        (!user.is_empty()).then(|| user.to_owned())
    }

    /// What callers are not shown to carriers: `full`, `name`, `number`.
    pub fn outbound_privacy(&self) -> Option<String> {
        self.text("/caller_id_options/outbound_privacy")
    }

    /// Alert-Info for calls from outside, or inside.
    pub fn ringtone(&self, from_outside: bool) -> Option<String> {
        self.text(if from_outside {
            "/ringtones/external"
        } else {
            "/ringtones/internal"
        })
    }

    /// Media reference of the music held callers hear.
    pub fn hold_music(&self) -> Option<String> {
        self.text("/music_on_hold/media_id")
    }

    /// What its calls ask of carriers: `outbound_flags`, a list or `{static: […]}`.
    pub fn outbound_flags(&self) -> Vec<String> {
        let docs = [
            self.device_doc(),
            self.owner_doc(),
            Some(&*self.account.doc),
        ];
        let mut flags = Vec::new();
        for list in docs.into_iter().flatten().filter_map(|doc| {
            let set = doc.get("outbound_flags")?;
            set.as_array().or_else(|| set.get("static")?.as_array())
        }) {
            flags.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        flags
    }

    /// Where calls to it go: the device's forward when it is on, else the owner's over the device's. `None` without a
    /// number.
    pub fn call_forward(&self) -> Option<CallForward> {
        let device = self.device_doc().and_then(|doc| doc.get("call_forward"));
        let owner = self.owner_doc().and_then(|doc| doc.get("call_forward"));
        let on = |doc: &Value| unconditional(doc).get("enabled") == Some(&Value::Bool(true));
        if let Some(device) = device.filter(|device| on(device)) {
            return CallForward::read(&[unconditional(device)]);
        }
        let layers: Vec<&Value> = [owner, device]
            .into_iter()
            .flatten()
            .map(unconditional)
            .collect();
        let mut forward = CallForward::read(&layers)?;
        forward.enabled = owner.is_some_and(on);
        Some(forward)
    }

    /// Forwards that apply after the phone has failed (KAZOO 5's `busy` and `no_answer`, and `failover`).
    pub fn conditional_forwards(&self) -> Vec<(When, CallForward)> {
        let of = |doc: Option<&'a Value>, key: &str| {
            let doc = doc?.get("call_forward")?.get(key)?;
            CallForward::read(&[doc]).filter(|forward| forward.enabled)
        };
        let sub = |key: &str| of(self.device_doc(), key).or_else(|| of(self.owner_doc(), key));
        let mut all = Vec::new();
        let failover = self.call_forward().filter(|forward| forward.failover);
        all.extend(failover.map(|forward| (When::Unreachable, forward)));
        all.extend(sub("busy").map(|forward| (When::Busy, forward)));
        all.extend(sub("no_answer").map(|forward| (When::NoAnswer, forward)));
        all
    }

    /// What `call_restriction` says of a class of numbers. Denied by account or owner is denied; an owner's `allow`
    /// lifts the device's denial; of several people at a desk only what all are denied counts.
    pub fn is_denied(&self, class: &str) -> bool {
        let action = |doc: &'a Value| {
            doc.get("call_restriction")?
                .get(class)?
                .get("action")?
                .as_str()
        };
        if action(&self.account.doc) == Some("deny") {
            return true;
        }
        match self.owners.as_slice() {
            [] => self.device_doc().and_then(action) == Some("deny"),
            [owner] => match action(&owner.doc) {
                Some("deny") => true,
                Some("allow") => false,
                _ => self.device_doc().and_then(action) == Some("deny"),
            },
            several => several
                .iter()
                .all(|owner| action(&owner.doc) == Some("deny")),
        }
    }
}

/// KAZOO 5 keeps the plain forward in `unconditional`.
fn unconditional(doc: &Value) -> &Value {
    doc.get("unconditional")
        .filter(|own| own.is_object())
        .unwrap_or(doc)
}

impl CallForward {
    /// Reads a forward whose keys are looked up in `layers`, the first one first.
    fn read(layers: &[&Value]) -> Option<Self> {
        let value = |key: &str| {
            let mut layers = layers.iter();
            layers.find_map(|layer| layer.get(key).filter(|value| !is_empty(value)))
        };
        let flag = |key: &str, usual: bool| value(key).and_then(Value::as_bool).unwrap_or(usual);
        Some(Self {
            number: value("number").and_then(Value::as_str)?.to_owned(),
            enabled: flag("enabled", false),
            substitute: flag("substitute", true),
            require_keypress: flag("require_keypress", true),
            keep_caller_id: flag("keep_caller_id", true),
            direct_calls_only: flag("direct_calls_only", false),
            ignore_early_media: flag("ignore_early_media", true),
            failover: flag("failover", false),
        })
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::directory::Kind;

    fn account(account: Value, owner: Value, device: Value) -> Account {
        let mut device = device;
        device["owner_id"] = json!("u");
        Account::of(
            "acc",
            [
                (Kind::Account, String::new(), account),
                (Kind::User, "u".into(), owner),
                (Kind::Device, "d".into(), device),
            ],
        )
    }

    fn id(account: &Account, kind: IdKind) -> (Option<String>, Option<String>) {
        let id = Attributes::of_device(account, &account.devices["d"]).identity(kind);
        (id.name, id.number)
    }

    #[test]
    fn the_owners_identity_wins_over_the_devices_and_that_over_the_accounts() {
        let cid = |n: &str| json!({"caller_id": {"external": {"number": n}}});
        let mut named = cid("1");
        named["caller_id"]["external"]["name"] = json!("Acme");
        let all = account(named.clone(), cid("2"), cid("3"));
        assert_eq!(
            id(&all, IdKind::External),
            (Some("Acme".into()), Some("2".into()))
        );
        let none = account(named.clone(), json!({}), cid("3"));
        assert_eq!(id(&none, IdKind::External).1.as_deref(), Some("3"));
        named["prefer_device_caller_id"] = json!(true);
        let flipped = account(named, cid("2"), cid("3"));
        assert_eq!(id(&flipped, IdKind::External).1.as_deref(), Some("3"));
    }

    #[test]
    fn the_devices_emergency_identity_always_wins_and_falls_back_to_the_external_one() {
        let emergency = |n: &str| json!({"caller_id": {"emergency": {"number": n}}});
        let all = account(emergency("1"), emergency("2"), emergency("3"));
        assert_eq!(id(&all, IdKind::Emergency).1.as_deref(), Some("3"));
        let external = json!({"caller_id": {"external": {"number": "9"}}});
        let other = account(external, json!({}), json!({}));
        assert_eq!(id(&other, IdKind::Emergency).1.as_deref(), Some("9"));
    }

    #[test]
    fn inside_a_person_is_known_by_name_and_presence() {
        let user = json!({"first_name": "Ann", "last_name": "Lee", "presence_id": "101@acme.test"});
        let all = account(json!({}), user, json!({"name": "desk"}));
        assert_eq!(
            id(&all, IdKind::Internal),
            (Some("Ann Lee".into()), Some("101".into()))
        );
    }

    #[test]
    fn anybody_who_does_not_want_to_be_disturbed_is_not() {
        let on = json!({"do_not_disturb": {"enabled": true}});
        for (a, u, d) in [
            (on.clone(), json!({}), json!({})),
            (json!({}), on.clone(), json!({})),
            (json!({}), json!({}), on.clone()),
        ] {
            let all = account(a, u, d);
            assert!(Attributes::of_device(&all, &all.devices["d"]).do_not_disturb());
        }
        let all = account(json!({}), json!({}), json!({}));
        assert!(!Attributes::of_device(&all, &all.devices["d"]).do_not_disturb());
    }

    #[test]
    fn a_devices_forward_counts_when_it_is_on_else_the_owners_over_it() {
        let forward = |on: bool, n: &str| json!({"call_forward": {"enabled": on, "number": n}});
        let number = |u: Value, d: Value| {
            let all = account(json!({}), u, d);
            Attributes::of_device(&all, &all.devices["d"])
                .call_forward()
                .map(|f| (f.enabled, f.number))
        };
        assert_eq!(
            number(forward(true, "1"), forward(true, "2")),
            Some((true, "2".into()))
        );
        assert_eq!(
            number(forward(true, "1"), forward(false, "2")),
            Some((true, "1".into()))
        );
        assert_eq!(
            number(json!({}), forward(false, "2")),
            Some((false, "2".into()))
        );
        assert_eq!(
            number(json!({"call_forward": {"enabled": true}}), json!({})),
            None
        );
    }

    #[test]
    fn forwards_after_a_failure_are_told_apart() {
        let user = json!({"call_forward": {
            "failover": true, "number": "1", "busy": {"enabled": true, "number": "2"},
            "no_answer": {"enabled": false, "number": "3"}}});
        let all = account(json!({}), user, json!({}));
        let found = Attributes::of_device(&all, &all.devices["d"]).conditional_forwards();
        let found: Vec<_> = found
            .iter()
            .map(|(when, f)| (*when, f.number.as_str()))
            .collect();
        assert_eq!(found, [(When::Unreachable, "1"), (When::Busy, "2")]);
    }

    #[test]
    fn at_a_shared_desk_only_what_all_are_denied_counts() {
        let deny = json!({"call_restriction": {"international": {"action": "deny"}}});
        let of = |a: Value, b: Value| {
            let desk = json!({"hotdesk": {"users": {"a": {}, "b": {}}}, "call_restriction": {"international": {"action": "deny"}}});
            Account::of(
                "acc",
                [
                    (Kind::User, "a".into(), a),
                    (Kind::User, "b".into(), b),
                    (Kind::Device, "d".into(), desk),
                ],
            )
        };
        let is_denied = |all: &Account| {
            Attributes::of_device(all, &all.devices["d"]).is_denied("international")
        };
        assert!(is_denied(&of(deny.clone(), deny.clone())));
        assert!(!is_denied(&of(deny, json!({}))));
    }
}
