//! `resources`: dials the number at carriers.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `to_did` | number in place of the dialled one | none |
//! | `use_local_resources` | the account's own carriers; else the system's | true |
//! | `hunt_account_id` | an account above this one whose carriers are used | this one |
//! | `caller_id_type` | which of the caller's identities is shown | `external` |
//! | `timeout` | how long in all, in seconds | 120 |
//! | `ringback`, `ignore_early_media` | what the caller hears meanwhile | the carrier's sound |
//! | `outbound_flags`, `dynamic_flags` | what carriers must have | none |
//! | `do_not_normalize`, `bypass_e164` | the number goes out as dialled | false |
//! | `format_from_uri`, `from_uri_realm` | From is made of number and realm | as the carrier says |
//! | `custom_sip_headers`, `emit_account_id` | headers of the INVITE | none |
//!
//! Answered: the flow ends with the call. A failure goes to the child named like the cause, else like the status
//! (`sip:486`). `_` is never run; without it the caller gets the default response to the cause.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::callflow::carriers::{self, Carriers};
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::error::FlowError;

/// Dials the number at carriers
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Resources(Carriers);

impl Module for Resources {
    const NAME: &'static str = "resources";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        carriers::dial(ctx, self.0).await
    }
}
