//! One INVITE usage: its dialogs, its offer/answer, and everything it waits for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::transport::Hop;
use super::{Body, LegId, Reason, Target};
use crate::base::secret::Secret;
use crate::sip::dialog::dialog::Dialog;
use crate::sip::dialog::exchange::Exchange;
use crate::sip::dialog::reliable::{Receiver, Sender};
use crate::sip::dialog::session_timer::{Granted, SessionTimer};
use crate::sip::dialog::unacked::Unacked;
use crate::sip::flow::Flow;
use crate::sip::msg::Message;
use crate::sip::transaction::schedule::TimerId;
use crate::sip::transaction::table::{ClientId, ReplyPath, ServerId};

/// One INVITE usage, incoming or outgoing.
pub(super) struct Leg {
    pub(super) id: LegId,
    pub(super) call_id: Arc<str>,
    /// Our tag, the same in all its dialogs.
    pub(super) local_tag: u64,
    pub(super) phase: Phase,
    /// The dialog: of a callee from the INVITE on, of a caller from the first 2xx on.
    pub(super) dialog: Option<Dialog>,
    /// The early dialogs of a caller.
    pub(super) early: Vec<Early>,
    pub(super) exchange: Exchange,
    /// The peer's offer that waits for `respond_offer`.
    pub(super) waiting: Option<Waiting>,
    /// Our 2xx without its ACK.
    pub(super) success: Option<Success>,
    /// Our re-INVITE on its way.
    pub(super) own: Option<OwnInvite>,
    /// Our refreshing UPDATE on its way.
    pub(super) update: Option<ClientId>,
    /// A re-INVITE of ours that waits for the exchange to be free; the inner `None` asks the peer to offer.
    pub(super) queued: Option<Option<Body>>,
    /// A re-INVITE of ours that met another one (491).
    pub(super) retry: Option<Retry>,
    pub(super) session: Option<SessionTimer>,
    /// Our last description, repeated by a refreshing re-INVITE.
    pub(super) local_body: Option<Body>,
    /// The peer's last description: a refresh that repeats it concerns nobody.
    pub(super) remote_body: Option<Bytes>,
    /// RSeq and CSeq of a reliable response that was still unacknowledged at the final one.
    pub(super) late_prack: Option<(u32, u32)>,
    pub(super) credentials: Option<Box<Credentials>>,
    /// The peer's REFERs whose outcome it waits for, by the sequence number of each (RFC 3515 §2.4.6).
    pub(super) refers: Vec<u32>,
    /// Whether a REFER of ours is on its way or its outcome is waited for.
    pub(super) referring: bool,
    pub(super) armed: Option<TimerId>,
}

/// Where an INVITE usage is.
pub(super) enum Phase {
    /// Callee, no final response yet.
    Ringing(Box<Ringing>),
    /// Caller, no final response yet.
    Calling(Calling),
    /// Caller that gave up; the CANCEL is sent or waits for a provisional response. Over for the call layer.
    Cancelling(Cancelling),
    /// Answered.
    Up,
    /// We want to send BYE and must wait for the ACK to our 2xx (§15). Over for the call layer.
    Leaving(Option<Reason>),
    /// Our BYE is on its way. Over for the call layer.
    Ending,
    /// Nothing left.
    Gone,
}

impl Phase {
    /// Its name in errors.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ringing(_) => "ringing",
            Self::Calling(_) => "calling",
            Self::Cancelling(_) => "cancelling",
            Self::Up => "answered",
            Self::Leaving(_) | Self::Ending | Self::Gone => "ending",
        }
    }

    /// Whether the call layer was told the end.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Ringing(_) | Self::Calling(_) | Self::Up => false,
            Self::Cancelling(_) | Self::Leaving(_) | Self::Ending | Self::Gone => true,
        }
    }
}

/// A callee's INVITE before its final response.
pub(super) struct Ringing {
    pub(super) transaction: ServerId,
    pub(super) invite: Arc<Message>,
    pub(super) path: ReplyPath,
    /// Sequence number of the INVITE.
    pub(super) cseq: u32,
    /// Whether provisional responses are reliable.
    pub(super) reliable: bool,
    pub(super) sender: Sender,
    /// The reliable response that waits for its PRACK, and what it carries.
    pub(super) outstanding: Option<(Bytes, Carries)>,
    pub(super) queue: VecDeque<(u16, Option<Body>)>,
    /// The 2xx that waits for a PRACK.
    pub(super) accept: Option<Option<Body>>,
    /// What the 2xx says about the session interval.
    pub(super) granted: Granted,
    /// The INVITE's own Expires.
    pub(super) expires_at: Option<Instant>,
    /// The last unreliable provisional response, repeated each minute so that proxies keep waiting (§13.3.1.1).
    pub(super) repeat: Option<(Instant, u16, Option<Body>)>,
}

/// What a reliable provisional response of ours carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    Nothing,
    Offer,
    Answer,
}

/// A caller's INVITE before its final response.
pub(super) struct Calling {
    pub(super) transaction: ClientId,
    /// Whether Session-Expires was raised after a 422.
    pub(super) raised: bool,
    /// Where it went.
    pub(super) hop: Hop,
    /// Where to go when that place gives no answer (RFC 3263 §4.3).
    pub(super) alternatives: VecDeque<Target>,
    /// When a place that has said nothing at all counts as dead.
    pub(super) dead_at: Option<Instant>,
    /// Whether the call is over when the last place is dead.
    pub(super) impatient: bool,
    /// Whether it is known already that the place answers.
    pub(super) told: bool,
}

/// A caller's INVITE that was given up.
pub(super) struct Cancelling {
    pub(super) transaction: ClientId,
    /// The Reason of a CANCEL not sent yet.
    pub(super) held: Option<Option<Reason>>,
}

/// An early dialog of a caller.
pub(super) struct Early {
    pub(super) dialog: Dialog,
    pub(super) receiver: Receiver,
}

/// An offer of the peer and the request or response that carried it.
pub(super) struct Waiting {
    pub(super) what: WaitingFor,
    /// When it is refused for want of an answer.
    pub(super) until: Instant,
}

/// What carries our answer.
pub(super) enum WaitingFor {
    /// The response to a re-INVITE; `offered` is false when it asks us to offer.
    ReInvite {
        transaction: ServerId,
        invite: Arc<Message>,
        path: ReplyPath,
        cseq: u32,
        granted: Granted,
        offered: bool,
    },
    /// The response to an UPDATE.
    Update {
        transaction: ServerId,
        granted: Granted,
        flow: Flow,
    },
    /// The response to a PRACK.
    Prack { transaction: ServerId },
    /// The ACK for a 2xx to our INVITE or re-INVITE.
    Ack { invite: ClientId, cseq: u32 },
    /// The PRACK for a reliable provisional response in the early dialog with that remote tag.
    ReliableProgress {
        remote_tag: Box<str>,
        rseq: u32,
        cseq: u32,
    },
}

/// A 2xx of ours without its ACK.
pub(super) struct Success {
    pub(super) unacked: Unacked,
    pub(super) bytes: Bytes,
    pub(super) path: ReplyPath,
    /// Whether it answers the first INVITE.
    pub(super) first: bool,
    /// Whether the ACK must carry the answer.
    pub(super) offered: bool,
}

/// A re-INVITE of ours.
pub(super) struct OwnInvite {
    pub(super) transaction: ClientId,
    pub(super) body: Option<Body>,
    /// Sent by the session timer: nobody waits for its result.
    pub(super) refresh: bool,
    pub(super) raised: bool,
}

/// A re-INVITE to be sent again.
pub(super) struct Retry {
    pub(super) at: Instant,
    pub(super) body: Option<Body>,
    pub(super) refresh: bool,
}

/// What a caller answers challenges with.
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: Secret,
    /// The only realm whose challenges are answered.
    pub(super) realm: Option<String>,
    /// Challenges of every realm are answered.
    pub(super) any_realm: bool,
    /// The nonces answered so far.
    pub(super) nonces: Vec<Box<str>>,
    /// The realms answered so far: a second challenge of one means a wrong password, unless it says `stale`.
    pub(super) realms: Vec<Box<str>>,
}

impl Leg {
    pub(super) fn new(id: LegId, call_id: Arc<str>, local_tag: u64, phase: Phase) -> Self {
        Self {
            id,
            call_id,
            local_tag,
            phase,
            dialog: None,
            early: Vec::new(),
            exchange: Exchange::new(),
            waiting: None,
            success: None,
            own: None,
            update: None,
            queued: None,
            retry: None,
            session: None,
            local_body: None,
            remote_body: None,
            late_prack: None,
            credentials: None,
            refers: Vec::new(),
            referring: false,
            armed: None,
        }
    }

    /// The dialog with that remote tag.
    pub(super) fn dialog_with(&mut self, remote_tag: &str) -> Option<&mut Dialog> {
        match &mut self.dialog {
            Some(dialog) if *dialog.remote_tag == *remote_tag => Some(dialog),
            Some(_) => None,
            None => self
                .early
                .iter_mut()
                .map(|e| &mut e.dialog)
                .find(|d| *d.remote_tag == *remote_tag),
        }
    }

    /// Whether a request of ours with an offer may go out now.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.phase, Phase::Up)
            && self.exchange.is_free()
            && self.waiting.is_none()
            && self.success.is_none()
            && self.own.is_none()
            && self.update.is_none()
            && self.retry.is_none()
    }

    /// When the leg wants to be looked at.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ringing = match &self.phase {
            Phase::Ringing(ringing) => [
                ringing.sender.poll_timeout(),
                ringing.expires_at,
                ringing.repeat.as_ref().map(|(at, _, _)| *at),
            ],
            Phase::Calling(calling) => [calling.dead_at, None, None],
            Phase::Cancelling(_) | Phase::Up | Phase::Leaving(_) | Phase::Ending | Phase::Gone => {
                [None; 3]
            }
        };
        let session = match self.phase {
            Phase::Up => self.session.as_ref().map(SessionTimer::poll_timeout),
            Phase::Ringing(_)
            | Phase::Calling(_)
            | Phase::Cancelling(_)
            | Phase::Leaving(_)
            | Phase::Ending
            | Phase::Gone => None,
        };
        let rest = [
            self.success.as_ref().map(|s| s.unacked.poll_timeout()),
            self.waiting.as_ref().map(|w| w.until),
            self.retry.as_ref().map(|r| r.at),
            session,
        ];
        ringing.into_iter().chain(rest).flatten().min()
    }
}
