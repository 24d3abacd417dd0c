//! `bridge`: rings endpoints and connects the caller to the one that answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attend::Attended;
use super::redirect::Redirects;
use super::ring::Ring;
use super::talk::{Talk, TalkEnd};
use crate::audio::Clip;
use crate::base::cause::Cause;
use crate::base::keys::Keys;
use crate::call::error::{By, CallError, Ended};
use crate::call::handle::CallHandle;
use crate::call::outbound::MAX_PASSES;
use crate::host::clock;
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
    /// Follows callees that answer 3xx; `None` follows nobody.
    pub redirects: Option<Redirects>,
    /// Keys of the caller that end the talk.
    pub hangup_on: Keys,
    /// Who attends the legs.
    pub attended: Option<Attended>,
}

/// The last talk of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talked {
    /// Call-ID of the leg that answered.
    pub call_id: String,
    /// When it began.
    pub(in crate::call) since: Instant,
    /// How long it took; `None` while it lasts.
    pub length: Option<Duration>,
    /// Keys the caller pressed meanwhile.
    pub digits: String,
    /// `X-` headers of the answer.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

impl Default for BridgeOptions {
    /// Nobody yet, all at once, until the caller gives up.
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            strategy: Strategy::Simultaneous,
            timeout: None,
            ringback: None,
            ignore_early_media: false,
            fail_on_single_reject: false,
            hold_music: None,
            limit: None,
            redirects: None,
            hangup_on: Keys::NONE,
            attended: None,
        }
    }
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

impl CallHandle {
    /// Rings the targets, connects the caller to the first that answers, and returns when both have parted. Dropping
    /// the future gives up whoever rings or talks.
    ///
    /// # Errors
    /// When the caller's leg ends.
    pub async fn bridge(&self, options: BridgeOptions) -> Result<Bridged, CallError> {
        if let Some(ended) = self.ended() {
            return Err(CallError::Ended(ended));
        }
        let facts = self.own_facts();
        if facts.max_forwards <= 1 || facts.passes >= MAX_PASSES {
            return Ok(self.nobody(Cause::EXCHANGE_ROUTING_ERROR, 483));
        }
        {
            let mut state = self.state_mut();
            state.failed = None;
            state.talked = None;
        }
        if options.hold_music.is_none() {
            self.services().clips.prepare_house_music();
        }
        let mut ring = Ring::new(self, &options);
        let callee = match ring.until_answered().await? {
            Ok(callee) => callee,
            Err((status, cause)) => return Ok(self.nobody(cause, status)),
        };
        drop(ring);
        let is_carrier = callee.0.own_facts().authorizing_type == "resource";
        let redirected = options.redirects.as_ref().filter(|_| is_carrier);
        let limits = [options.limit, redirected.and_then(Redirects::limit)];
        let limit = limits.into_iter().flatten().min();
        if self.0.seed.is_some() {
            return Err(self.hand_over(&callee.0, limit).await);
        }
        let mut talk = Talk::begin(self, &callee.0, options.hold_music.clone());
        talk.hangup_on = options.hangup_on;
        let headers = callee.0.state().answer_headers.clone();
        self.state_mut().talked = Some(Talked {
            call_id: callee.0.own_facts().call_id.clone(),
            since: clock::now(),
            length: None,
            digits: String::new(),
            headers,
        });
        callee.0.record_as_reached(self);
        self.arrived();
        let end = match limit {
            Some(limit) => match tokio::time::timeout(limit, Box::pin(talk.converse())).await {
                Ok(end) => end,
                Err(_elapsed) => {
                    callee.0.end(Cause::ALLOTTED_TIMEOUT);
                    TalkEnd::Left(Cause::ALLOTTED_TIMEOUT)
                }
            },
            None => Box::pin(talk.converse()).await,
        };
        if let Some(talked) = &mut self.state_mut().talked {
            talked.length = Some(clock::now().saturating_duration_since(talked.since));
        }
        if let (TalkEnd::Left(cause), Some(Ended { by: By::Peer, .. })) = (&end, self.ended()) {
            // Why the caller has left is the callee's to know (RFC 3326).
            callee.0.end(*cause);
        }
        match (end, self.ended()) {
            (TalkEnd::Moved, None) => Ok(Bridged::Transferred),
            (TalkEnd::Left(cause), None) => Ok(Bridged::Done { cause }),
            (TalkEnd::Moved | TalkEnd::Left(_), Some(ended)) => Err(CallError::Ended(ended)),
        }
    }

    /// The talk of the last bridge, if anybody answered.
    pub fn talked(&self) -> Option<Talked> {
        self.state().talked.clone()
    }

    /// Nobody could be reached.
    fn nobody(&self, cause: Cause, status: u16) -> Bridged {
        self.state_mut().failed = Some(status);
        Bridged::Failed { cause, status }
    }
}
