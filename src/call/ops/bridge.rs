//! `bridge`: rings endpoints and connects the caller to the one that answers.

use std::sync::Arc;
use std::time::Duration;

use crate::audio::Clip;
use crate::base::cause::Cause;
use crate::routing::Target;

/// Whom to ring and how.
#[derive(Debug, Clone)]
pub struct BridgeOptions {
    /// The endpoints, in order.
    pub targets: Vec<Target>,
    /// All at once (each after its own delay), or one after the other.
    pub strategy: Strategy,
    /// How long to ring in all; `None` until the caller gives up.
    pub timeout: Option<Duration>,
    /// What the caller hears while it rings: `None` tells the phone to make its own tone (180).
    pub ringback: Option<Arc<Clip>>,
    /// Do not let the caller hear what endpoints send before they answer.
    pub ignore_early_media: bool,
    /// The first endpoint that refuses (486, 603 …) ends the bridge.
    pub fail_on_single_reject: bool,
    /// What a party hears that we put on hold.
    pub hold_music: Option<Arc<Clip>>,
    /// The longest time the two may talk.
    pub limit: Option<Duration>,
}

/// How endpoints are rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// All at once.
    Simultaneous,
    /// One after the other.
    Single,
}

/// How a bridge went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bridged {
    /// Somebody answered, both talked, and the other side has left; the caller is still there.
    Done {
        /// Why the other leg ended.
        cause: Cause,
    },
    /// Nobody answered.
    Failed {
        /// The best of the reasons (RFC 3261 §16.7), such as `USER_BUSY` or `NO_ANSWER`.
        cause: Cause,
        /// Its SIP status.
        status: u16,
    },
    /// The caller, or a feature code, moved the call elsewhere: the flow ends without a hang-up.
    Transferred,
}
