//! `group`: answers, then rings the members of a group document.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `id` | the group | required in practice |
//! | `endpoints` | ids of devices and users in its place | none |
//! | `timeout`, `strategy`, `ringback`, `ignore_forward` | as `ring_group`; the group document's own win | |
//!
//! Children as `user`. KAZOO answers the caller before it rings, and so do we: who wants it otherwise uses `ring_group`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use super::ring_group::{self, Ringtones, Sca};
use super::user::Strategy;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::directory::Account;
use crate::routing::endpoints::{self, Member};

/// Answers, then rings the members of a group
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Group {
    /// Id of the group
    id: Option<String>,
    /// Ids of devices and users in its place
    endpoints: Vec<String>,
    /// Another name of `id`
    group_id: Option<String>,
    /// Name of the group, for people
    group_name: Option<String>,
    /// How long to ring, in seconds
    timeout: Whole,
    /// All at once, or one after the other
    strategy: Strategy,
    /// How often to ring
    repeats: Whole,
    /// What the caller hears meanwhile
    ringback: Option<String>,
    /// Alert-Info by where the call comes from
    ringtones: Option<Ringtones>,
    /// Redirections of phones are not followed
    ignore_forward: bool,
    /// What phones send before they answer is not heard
    ignore_early_media: Option<bool>,
    /// The first that refuses ends it
    fail_on_single_reject: Option<bool>,
    /// The flow ends when somebody has answered, whatever waits
    hard_stop_after_successful_group: Option<bool>,
    /// Kept for KAZOO's sake: shared lines
    sca: Option<Sca>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            id: None,
            endpoints: Vec::new(),
            group_id: None,
            group_name: None,
            timeout: Whole(20),
            strategy: Strategy::default(),
            repeats: Whole(1),
            ringback: None,
            ringtones: None,
            ignore_forward: true,
            ignore_early_media: None,
            fail_on_single_reject: None,
            hard_stop_after_successful_group: None,
            sca: None,
        }
    }
}

impl Module for Group {
    const NAME: &'static str = "group";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        ctx.call.answer().await?;
        let account = ctx.account_now();
        let id = self.id.or(self.group_id).unwrap_or_default();
        let document = account.groups.get(&id).cloned().unwrap_or_default();
        let members = match endpoints::members_of(&account, &id) {
            Some(members) => members,
            None => self
                .endpoints
                .iter()
                .filter_map(|id| listed(&account, id))
                .collect(),
        };
        let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
        let single =
            text("strategy").map_or(self.strategy == Strategy::Single, |own| own == "single");
        let group = ring_group::Group {
            members,
            strategy: if single {
                ring_group::Strategy::Single
            } else {
                ring_group::Strategy::Simultaneous
            },
            timeout: document
                .get("timeout")
                .and_then(Value::as_i64)
                .map_or(self.timeout, Whole),
            repeats: self.repeats.count(1, 100),
            ringback: text("ringback").or(self.ringback),
            ringtones: self.ringtones,
            ignore_early_media: self.ignore_early_media.unwrap_or(true),
            fail_on_single_reject: self.fail_on_single_reject == Some(true),
        };
        let hard = self.hard_stop_after_successful_group == Some(true);
        Ok(match ring_group::ring(ctx, group).await? {
            Next::Stop(None) if hard => Next::HardStop,
            next => next,
        })
    }
}

/// An id in a list may be a device's or a user's.
fn listed(account: &Account, id: &str) -> Option<Member> {
    let kind = if account.users.contains_key(id) {
        "user"
    } else if account.devices.contains_key(id) {
        "device"
    } else {
        return None;
    };
    Some(Member {
        id: id.to_owned(),
        kind: kind.to_owned(),
        ..Member::default()
    })
}
