//! What is checked once, when a callflow has been found and before it runs: may this caller have it?

use serde_json::Value;

use super::normalise::{EMERGENCY, classify, normalise, to_e164};
use crate::directory::Account;
use crate::directory::numbers::DialPlan;

/// Why the caller may not have the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restriction {
    /// `services.audio.enabled` is false on the device, its owner or the account.
    AudioDisabled,
    /// `closed_groups` is denied and the number rings somebody outside the caller's groups.
    ClosedGroup,
    /// `call_restriction` denies this class of number.
    Class(&'static str),
}

/// Checks the caller's device, its owner and the account against the dialled string. `captured` is the winning
/// pattern's text, which is what counts where there is one; `flow` is the root node of the callflow. Emergency numbers
/// are never barred.
pub fn restriction(
    account: &Account,
    device_id: &str,
    owner_id: Option<&str>,
    dialled: &str,
    captured: Option<&str>,
    flow: Option<&Value>,
) -> Option<Restriction> {
    let device = account
        .devices
        .get(device_id)
        .map(|device| device.doc.as_ref());
    let owner = owner_id
        .and_then(|id| account.users.get(id))
        .map(|user| user.doc.as_ref());
    let sources = Sources {
        account: &account.doc,
        owner,
        device,
    };
    let class = classify(&full_number(account, device, captured.unwrap_or(dialled)));
    if class == EMERGENCY {
        return None;
    }
    if sources.audio_disabled() {
        return Some(Restriction::AudioDisabled);
    }
    if sources.denied("closed_groups")
        && let Some(callee) = rings_whom(flow)
        && !share_a_group(account, &[device_id, owner_id.unwrap_or_default()], callee)
    {
        return Some(Restriction::ClosedGroup);
    }
    sources
        .denied(class.0)
        .then_some(Restriction::Class(class.0))
}

/// The documents an endpoint's attributes come from.
struct Sources<'a> {
    account: &'a Value,
    owner: Option<&'a Value>,
    device: Option<&'a Value>,
}

impl Sources<'_> {
    fn audio_disabled(&self) -> bool {
        let off = |doc: &Value| doc.pointer("/services/audio/enabled") == Some(&Value::Bool(false));
        off(self.account) || self.owner.is_some_and(off) || self.device.is_some_and(off)
    }

    /// Denied by account or owner is denied; an owner's `allow` lifts the device's denial.
    fn denied(&self, class: &str) -> bool {
        let action = |doc: &Value| {
            doc.get("call_restriction")?
                .get(class)?
                .get("action")?
                .as_str()
                .map(str::to_owned)
        };
        let owner = self.owner.and_then(action);
        if action(self.account).as_deref() == Some("deny") || owner.as_deref() == Some("deny") {
            return true;
        }
        owner.as_deref() != Some("allow") && self.device.and_then(action).as_deref() == Some("deny")
    }
}

/// The user or device a callflow rings first, with voicemail or nothing after it: what `closed_groups` is about.
fn rings_whom(flow: Option<&Value>) -> Option<&str> {
    let module = |node: &Value| {
        let name = node.get("module").and_then(Value::as_str);
        name.unwrap_or_default().to_owned()
    };
    let root = flow?;
    let next = root.get("children").and_then(|children| children.get("_"));
    let ends = next.map(module).is_none_or(|next| next == "voicemail");
    let rings = matches!(module(root).as_str(), "user" | "device");
    let id = root.get("data").and_then(|data| data.get("id"));
    (rings && ends).then(|| id.and_then(Value::as_str).unwrap_or_default())
}

/// Whether one of `callers` and the callee, or its owner, are members of one group.
fn share_a_group(account: &Account, callers: &[&str], callee: &str) -> bool {
    let owner = account
        .devices
        .get(callee)
        .and_then(|device| device.owner_id.as_deref());
    let callees = [callee, owner.unwrap_or_default()];
    account.groups.values().any(|group| {
        let members = group.get("endpoints").and_then(Value::as_object);
        let has = |ids: &[&str]| {
            members.is_some_and(|members| {
                ids.iter()
                    .any(|id| !id.is_empty() && members.contains_key(*id))
            })
        };
        has(callers) && has(&callees)
    })
}

/// The number in full, by the device's own dial plan where it has one.
fn full_number(account: &Account, device: Option<&Value>, number: &str) -> String {
    let (own, _broken) = DialPlan::parse(device.and_then(|device| device.get("dial_plan")));
    match own.apply(number) {
        Some(rewritten) => to_e164(&rewritten),
        None => normalise(account, number),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::base::secret::Secret;
    use crate::directory::{Device, Kind, User};

    pub(in crate::routing) fn account(doc: Value, callflows: &[(&str, Value)]) -> Account {
        let mut account = Account::of(
            "acc",
            callflows
                .iter()
                .map(|(id, flow)| (Kind::Callflow, (*id).to_owned(), flow.clone()))
                .chain([(Kind::Account, String::new(), doc)]),
        );
        account.name = "Test".into();
        account.realm = Arc::from("test.example");
        account
    }

    fn with(mut account: Account, device: Value, owner: Value) -> Account {
        let device = Device {
            id: "d".into(),
            name: "Phone".into(),
            owner_id: Some("u".into()),
            username: None,
            password: Secret::default(),
            realm: None,
            ip: None,
            enabled: true,
            doc: Arc::new(device),
        };
        let user = User {
            id: "u".into(),
            username: None,
            enabled: true,
            admin: false,
            doc: Arc::new(owner),
        };
        account.devices.insert("d".into(), Arc::new(device));
        account.users.insert("u".into(), Arc::new(user));
        account
    }

    fn check(account: &Account, dialled: &str) -> Option<Restriction> {
        restriction(account, "d", Some("u"), dialled, None, None)
    }

    #[test]
    fn nothing_said_is_allowed() {
        assert_eq!(
            check(
                &with(account(json!({}), &[]), json!({}), json!({})),
                "+4930123456"
            ),
            None
        );
    }

    #[test]
    fn a_denied_class_is_refused_and_others_are_not() {
        let deny = json!({"call_restriction": {"international": {"action": "deny"}}});
        let account = with(account(json!({}), &[]), deny, json!({}));
        assert_eq!(
            check(&account, "00493012345"),
            Some(Restriction::Class("international"))
        );
        assert_eq!(check(&account, "4155550100"), None);
    }

    #[test]
    fn an_owner_lifts_the_devices_denial_but_not_the_accounts() {
        let deny = json!({"call_restriction": {"did_us": {"action": "deny"}}});
        let allow = json!({"call_restriction": {"did_us": {"action": "allow"}}});
        let lifted = with(account(json!({}), &[]), deny.clone(), allow.clone());
        assert_eq!(check(&lifted, "4155550100"), None);
        let held = with(account(deny, &[]), json!({}), allow);
        assert_eq!(
            check(&held, "4155550100"),
            Some(Restriction::Class("did_us"))
        );
    }

    #[test]
    fn the_captured_text_counts_instead_of_the_dialled_one() {
        let deny = json!({"call_restriction": {"toll_us": {"action": "deny"}}});
        let account = with(account(json!({}), &[]), deny, json!({}));
        let captured = restriction(
            &account,
            "d",
            None,
            "*7719005550100",
            Some("19005550100"),
            None,
        );
        assert_eq!(captured, Some(Restriction::Class("toll_us")));
    }

    #[test]
    fn emergency_numbers_are_never_barred() {
        let bar = json!({"services": {"audio": {"enabled": false}}, "call_restriction": {"emergency": {"action": "deny"}}});
        let account = with(account(bar.clone(), &[]), bar, json!({}));
        assert_eq!(check(&account, "911"), None);
        assert_eq!(check(&account, "912"), Some(Restriction::AudioDisabled));
    }

    #[test]
    fn disabled_audio_refuses_everything() {
        let off = json!({"services": {"audio": {"enabled": false}}});
        assert_eq!(
            check(&with(account(off.clone(), &[]), json!({}), json!({})), "1"),
            Some(Restriction::AudioDisabled)
        );
        assert_eq!(
            check(&with(account(json!({}), &[]), off, json!({})), "1"),
            Some(Restriction::AudioDisabled)
        );
    }

    #[test]
    fn closed_groups_bar_calls_to_people_only() {
        let deny = json!({"call_restriction": {"closed_groups": {"action": "deny"}}});
        let account = with(account(json!({}), &[]), deny, json!({}));
        let flow = |module: &str| json!({"module": module, "data": {}});
        let try_flow = |flow: Value| restriction(&account, "d", None, "101", None, Some(&flow));
        assert_eq!(try_flow(flow("user")), Some(Restriction::ClosedGroup));
        assert_eq!(try_flow(flow("menu")), None);
        let other = json!({"module": "user", "data": {}, "children": {"_": {"module": "menu", "data": {}}}});
        assert_eq!(try_flow(other), None);
    }

    #[test]
    fn members_of_one_group_may_call_each_other() {
        let deny = json!({"call_restriction": {"closed_groups": {"action": "deny"}}});
        let mut account = with(account(json!({}), &[]), deny, json!({}));
        let group = json!({"endpoints": {"u": {"type": "user"}, "other": {"type": "user"}}});
        account.groups.insert("g".into(), Arc::new(group));
        let calls = |callee: &str| {
            let flow = json!({"module": "user", "data": {"id": callee}});
            restriction(&account, "d", Some("u"), "101", None, Some(&flow))
        };
        assert_eq!(calls("other"), None);
        assert_eq!(calls("stranger"), Some(Restriction::ClosedGroup));
    }

    #[test]
    fn the_devices_dial_plan_comes_first() {
        let device = json!({
            "dial_plan": {"^9(\\d+)$": {"prefix": "00"}},
            "call_restriction": {"international": {"action": "deny"}}
        });
        let account = with(account(json!({}), &[]), device, json!({}));
        assert_eq!(
            check(&account, "9493012345"),
            Some(Restriction::Class("international"))
        );
    }
}
