//! `device`: rings one device, and where its calls are forwarded to.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `id` | the device | required in practice |
//! | `timeout` | how long, in seconds; 0 is 20 | 0 |
//! | `dial_strategy` | device and forward at once, or one after the other | `simultaneous` |
//! | `delay`, `can_call_self`, `suppress_clid`, `static_invite`, `custom_sip_headers`, `fail_on_single_reject` | as `user` | |
//!
//! The caller hears what the device sends before it answers, unless the device's `media.ignore_early_media` says no.
//! Children as `user`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Module;
use super::user::Strategy;
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::callflow::ring::{Ring, node_headers, seconds};
use crate::routing::endpoints::{self, Options};

/// Rings one device
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Device {
    /// Id of the device
    id: Option<String>,
    /// How long to ring, in seconds; 0 is 20
    timeout: Whole,
    /// Device and forward at once, or one after the other
    dial_strategy: Strategy,
    /// Seconds before it rings
    delay: Whole,
    /// Whether the calling device itself rings
    can_call_self: Option<bool>,
    /// Kept for KAZOO's sake: whether messages to oneself are delivered
    can_text_self: Option<bool>,
    /// Whether the caller is not shown
    suppress_clid: Option<bool>,
    /// User part of the Request-URI
    static_invite: Option<String>,
    /// Headers of the INVITE
    custom_sip_headers: Option<BTreeMap<String, Value>>,
    /// The first endpoint that refuses ends it
    fail_on_single_reject: Option<bool>,
}

impl Module for Device {
    const NAME: &'static str = "device";

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
        let id = self.id.unwrap_or_default();
        let found = ctx.endpoints(&options, |ringing| endpoints::of_device(ringing, &id));
        let ring = Ring {
            single: self.dial_strategy == Strategy::Single,
            fail_on_single_reject: self.fail_on_single_reject == Some(true),
            ..Ring::default()
        };
        ctx.ring_and_go(&ring, found).await
    }
}
