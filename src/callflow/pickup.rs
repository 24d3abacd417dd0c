//! Who may take over whose call, for the modules `intercept` and `group_pickup` (callflow.md §4.4).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ctx::FlowCtx;
use crate::directory::Account;
use crate::routing::endpoints::{devices_of, members_of};

/// Data of both modules.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Pickup {
    /// The device that may do it
    approved_device_id: Option<String>,
    /// The group whose members may do it
    approved_group_id: Option<String>,
    /// The user who may do it
    approved_user_id: Option<String>,
    /// The device whose call is taken
    device_id: Option<String>,
    /// The group whose members' call is taken
    group_id: Option<String>,
    /// The user whose call is taken
    user_id: Option<String>,
}

impl Pickup {
    /// The devices whose calls are meant.
    pub(super) fn devices(&self, account: &Account) -> Vec<String> {
        let of_user = |id: &str| {
            devices_of(account, id)
                .map(|device| device.id.clone())
                .collect::<Vec<_>>()
        };
        if let Some(id) = filled(&self.device_id) {
            return account
                .devices
                .contains_key(id)
                .then(|| id.to_owned())
                .into_iter()
                .collect();
        }
        if let Some(id) = filled(&self.user_id) {
            return of_user(id);
        }
        let members = filled(&self.group_id)
            .and_then(|id| members_of(account, id))
            .unwrap_or_default();
        let mut all = Vec::new();
        for member in members {
            match member.kind.as_str() {
                "user" => all.extend(of_user(&member.id)),
                _ => all.push(member.id),
            }
        }
        all
    }

    /// Whether the node says who may: then only he; `None` when it says nothing.
    pub(super) fn approves(&self, ctx: &FlowCtx, account: &Account) -> Option<bool> {
        let origin = ctx.origin();
        if let Some(id) = filled(&self.approved_device_id) {
            return Some(origin.authorizing_id == id);
        }
        if let Some(id) = filled(&self.approved_user_id) {
            return Some(origin.owner_id.as_deref() == Some(id));
        }
        filled(&self.approved_group_id).map(|id| {
            is_member(
                account,
                id,
                &origin.authorizing_id,
                origin.owner_id.as_deref(),
            )
        })
    }

    /// Whether the caller shares an owner, or the group, with those whose call it is.
    pub(super) fn is_colleague(
        &self,
        ctx: &FlowCtx,
        account: &Account,
        devices: &[String],
    ) -> bool {
        let origin = ctx.origin();
        if let Some(id) = filled(&self.group_id) {
            return is_member(
                account,
                id,
                &origin.authorizing_id,
                origin.owner_id.as_deref(),
            );
        }
        let Some(owner) = origin.owner_id.as_deref() else {
            return false;
        };
        let owned = |id: &String| {
            account
                .devices
                .get(id)
                .is_some_and(|device| account.owners_of(device).iter().any(|o| o.id == owner))
        };
        devices.iter().any(owned)
    }
}

fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn is_member(account: &Account, group: &str, device: &str, owner: Option<&str>) -> bool {
    let members = account
        .groups
        .get(group)
        .and_then(|group| group.get("endpoints")?.as_object());
    members.is_some_and(|members| {
        members.contains_key(device) || owner.is_some_and(|owner| members.contains_key(owner))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::directory::Kind;

    fn read(data: Value) -> Pickup {
        serde_json::from_value(data).unwrap()
    }

    #[test]
    fn devices_are_those_of_the_device_the_user_or_the_group() {
        let device = |owner: &str| json!({"owner_id": owner});
        let account = Account::of(
            "acc",
            [
                (Kind::User, "ann".to_owned(), json!({})),
                (Kind::Device, "a1".to_owned(), device("ann")),
                (Kind::Device, "a2".to_owned(), device("ann")),
                (Kind::Device, "door".to_owned(), json!({})),
                (
                    Kind::Group,
                    "g".to_owned(),
                    json!({"endpoints": {"ann": {"type": "user"}, "door": {"type": "device"}}}),
                ),
            ],
        );
        assert_eq!(read(json!({"device_id": "a1"})).devices(&account), ["a1"]);
        assert_eq!(
            read(json!({"user_id": "ann"})).devices(&account),
            ["a1", "a2"]
        );
        assert_eq!(
            read(json!({"group_id": "g"})).devices(&account),
            ["a1", "a2", "door"]
        );
        assert!(
            read(json!({"device_id": "gone"}))
                .devices(&account)
                .is_empty()
        );
        assert!(
            is_member(&account, "g", "x", Some("ann")) && !is_member(&account, "g", "a1", None)
        );
    }
}
