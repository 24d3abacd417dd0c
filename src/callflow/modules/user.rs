//! `user`: rings every device of a user, and where the user's calls are forwarded to.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `id` | the user | required in practice |
//! | `timeout` | how long, in seconds | 20 |
//! | `strategy` | `simultaneous`, or `single`: one device after the other | `simultaneous` |
//! | `delay` | seconds before it rings | 0 |
//! | `can_call_self` | whether the caller's own devices ring | false |
//! | `suppress_clid` | whether the caller is not shown | false |
//! | `static_invite` | user part of the Request-URI | the device's |
//! | `custom_sip_headers` | headers of the INVITE | none |
//! | `fail_on_single_reject` | the first device that refuses ends it | false |
//!
//! Answered: the flow ends with the call. Not answered: the child named like the cause (`USER_BUSY`), else like the
//! status (`sip:486`), else `_`. Nothing to ring: the child named like the reason (`DO_NOT_DISTURB`,
//! `ENDPOINT_DISABLED`, `OWNER_CALLED_SELF`, `NO_ENDPOINTS`), else `_`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::callflow::ring::{Ring, node_headers, seconds};
use crate::routing::endpoints::{self, Options};

/// Rings every device of a user
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct User {
    /// Id of the user
    id: Option<String>,
    /// How long to ring, in seconds
    timeout: Whole,
    /// All devices at once, or one after the other
    strategy: Strategy,
    /// Seconds before it rings
    delay: Whole,
    /// Whether the caller's own devices ring
    can_call_self: Option<bool>,
    /// Kept for KAZOO's sake: whether messages to oneself are delivered
    can_text_self: Option<bool>,
    /// Whether the caller is not shown
    suppress_clid: Option<bool>,
    /// User part of the Request-URI
    static_invite: Option<String>,
    /// Headers of the INVITE
    custom_sip_headers: Option<BTreeMap<String, Value>>,
    /// The first device that refuses ends it
    fail_on_single_reject: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Strategy {
    #[default]
    Simultaneous,
    Single,
}

impl Default for User {
    fn default() -> Self {
        Self {
            id: None,
            timeout: Whole(20),
            strategy: Strategy::default(),
            delay: Whole(0),
            can_call_self: None,
            can_text_self: None,
            suppress_clid: None,
            static_invite: None,
            custom_sip_headers: None,
            fail_on_single_reject: None,
        }
    }
}

impl Module for User {
    const NAME: &'static str = "user";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        let options = Options {
            delay: self.delay.millis().saturating_mul(1_000),
            timeout: Some(seconds(self.timeout)),
            can_call_self: self.can_call_self == Some(true),
            suppress_clid: self.suppress_clid == Some(true),
            static_invite: self.static_invite.clone().filter(|user| !user.is_empty()),
            headers: node_headers(self.custom_sip_headers.as_ref()),
            ..Options::default()
        };
        let single = self.strategy == Strategy::Single;
        let id = self.id.unwrap_or_default();
        let found = ctx.endpoints(&options, |ringing| endpoints::of_user(ringing, &id));
        let ring = Ring {
            single,
            // Of several phones none is to be heard before one has answered.
            ignore_early_media: !single,
            fail_on_single_reject: self.fail_on_single_reject == Some(true),
            ..Ring::default()
        };
        ctx.ring_and_go(&ring, found).await
    }
}
