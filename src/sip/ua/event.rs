//! What comes out of an `Endpoint`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{IncomingRequest, Principal, Reason, Refer, Response, Target};
use crate::sip::flow::{Flow, Transport};
use crate::sip::msg::{Message, Method};

/// Names one INVITE usage, incoming or outgoing. Never reused within the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

/// A message body with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Value of Content-Type.
    pub content_type: Box<str>,
    /// The body itself.
    pub bytes: Bytes,
}

impl Body {
    /// A session description.
    pub fn sdp(bytes: impl Into<Bytes>) -> Self {
        Self {
            content_type: "application/sdp".into(),
            bytes: bytes.into(),
        }
    }
}

/// Work for the driver of the sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// Send these bytes.
    Send {
        /// Where to.
        flow: Flow,
        /// One whole message.
        bytes: Bytes,
    },
    /// Open a stream; report by `connected` or `connect_failed` with the same number.
    Connect {
        /// Names this attempt.
        request: u64,
        /// What kind of stream.
        transport: Transport,
        /// The peer.
        remote: SocketAddr,
        /// The host of the next hop's URI, which a secure peer must prove to be (RFC 5922 §7).
        host: Box<str>,
    },
    /// Close a stream once everything queued on it is written.
    Close {
        /// Which one.
        flow: Flow,
    },
}

/// Something the call layer must know. Each leg ends with exactly one `Rejected` or `Ended`, after which its id is
/// unknown to every command.
#[derive(Debug, Clone)]
pub enum SipEvent {
    /// A proven caller rings. 100 is sent by the endpoint when nobody answers within 100 ms.
    Invite(Box<IncomingInvite>),
    /// Our INVITE got a 101–199.
    Progress {
        /// Whose INVITE.
        leg: LegId,
        /// 101–199.
        status: u16,
        /// Session description in it: early media.
        body: Option<Body>,
        /// Which early dialog; empty when the response had no To tag.
        to_tag: Box<str>,
    },
    /// Our INVITE got its 2xx. When the INVITE had no offer and none came before, `body` is the peer's offer: answer by
    /// `respond_offer`, which sends the ACK. Otherwise the ACK is sent already.
    Answered {
        /// Whose INVITE.
        leg: LegId,
        /// Session description in it.
        body: Option<Body>,
        /// Which dialog won.
        to_tag: Box<str>,
        /// User-Agent or Server of whoever answered.
        agent: Option<Box<str>>,
        /// Its `X-` headers.
        extra: Vec<(Box<str>, Box<str>)>,
    },
    /// Our INVITE failed. Timeouts are 408, transport failures 503.
    Rejected {
        /// Whose INVITE.
        leg: LegId,
        /// 300–699.
        status: u16,
        /// The reason phrase.
        reason: String,
        /// The response, when there was one.
        message: Option<Arc<Message>>,
    },
    /// The ACK for our 2xx arrived.
    Established {
        /// Which leg.
        leg: LegId,
        /// The answer to the offer in our 2xx.
        answer: Option<Body>,
    },
    /// The answer to an offer of ours that was not in an INVITE's own 2xx/ACK: re-INVITE, or a PRACK answering the offer
    /// in a reliable provisional response.
    Answer {
        /// Which leg.
        leg: LegId,
        /// The answer; `None` when the peer left it out.
        body: Option<Body>,
    },
    /// Our re-INVITE was refused; the session is unchanged.
    OfferFailed {
        /// Which leg.
        leg: LegId,
        /// Its final status.
        status: u16,
    },
    /// The peer offers (re-INVITE, UPDATE, PRACK, or the 2xx to our empty re-INVITE). Answer by `respond_offer`.
    Offer {
        /// Which leg.
        leg: LegId,
        /// The offer; `None` = a re-INVITE without one: answer with an offer of ours.
        offer: Option<Body>,
    },
    /// An INFO with a body, answered 200 already.
    Info {
        /// Which leg.
        leg: LegId,
        /// What it carried.
        body: Body,
        /// Its Info-Package (RFC 6086).
        package: Option<String>,
    },
    /// The peer of a call that is up wants it transferred; answered 202 already. Report how it goes by
    /// `refer_progress`.
    Refer {
        /// Which leg.
        leg: LegId,
        /// Where to.
        refer: Box<Refer>,
    },
    /// How a transfer of ours goes.
    Referred {
        /// Which leg.
        leg: LegId,
        /// Of the response to our REFER, then of the call the peer places.
        status: u16,
        /// Whether this is the last that is heard of it.
        over: bool,
    },
    /// The leg is over.
    Ended {
        /// Which leg.
        leg: LegId,
        /// Who ended it.
        by: Side,
        /// How.
        how: How,
        /// The peer's Reason header, or ours.
        reason: Option<Reason>,
    },
    /// A REGISTER or SUBSCRIBE of somebody known.
    Request(Box<IncomingRequest>),
    /// A plain request of ours is over.
    Response(Box<Response>),
    /// Somebody sent credentials that are wrong; the challenge is on its way already.
    BadCredentials(Box<BadCredentials>),
    /// A server we sent a request to answers, or does not.
    Reached(Box<Reached>),
    /// A message passed; only when tracing is on.
    Trace(Box<Trace>),
}

/// How a server fares that a request of ours went to by its address. Requests on the flow of a phone tell nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Where it is.
    pub target: Target,
    /// The host it was called by.
    pub host: Box<str>,
    /// How it fares.
    pub fate: Fate,
}

/// Whether a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has answered: anything but 503.
    Answers,
    /// It is of no use for now.
    Fails {
        /// Why, in words: `silent`, `unreachable`, `503`.
        why: &'static str,
        /// How long it wants to be left alone (Retry-After).
        wait: Option<Duration>,
    },
}

/// Credentials that are wrong: an unknown user or a wrong password.
#[derive(Debug, Clone)]
pub struct BadCredentials {
    /// Where they came from.
    pub flow: Flow,
    /// With which method.
    pub method: Method,
    /// The user they name, as it came.
    pub username: String,
    /// The realm they are for.
    pub realm: Arc<str>,
    /// Call-ID of the request.
    pub call_id: Box<str>,
}

/// A new call to us.
#[derive(Debug, Clone)]
pub struct IncomingInvite {
    /// Its name from now on.
    pub leg: LegId,
    /// The INVITE.
    pub message: Arc<Message>,
    /// Where it came from.
    pub flow: Flow,
    /// Who calls, proven.
    pub principal: Principal,
    /// Its offer; `None` = delayed offer: `accept` with an offer of ours.
    pub offer: Option<Body>,
}

/// Who ended a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A command of ours.
    Us,
    /// The other user agent.
    Peer,
    /// Neither: a timer or the transport.
    Transport,
}

/// How a leg ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// BYE.
    Bye,
    /// CANCEL.
    Cancel,
    /// A final response before answer.
    Rejected {
        /// Its status.
        status: u16,
    },
    /// No ACK for our 2xx within 32 s.
    NoAck,
    /// The ACK or PRACK that had to carry the answer did not.
    NoAnswer,
    /// No PRACK for a reliable provisional response within 32 s.
    NoPrack,
    /// The session interval passed without a refresh (RFC 4028).
    SessionExpired,
    /// The INVITE's own Expires passed before an answer.
    InviteExpired,
    /// A request inside the dialog got 408 or 481 (RFC 5057).
    Dead {
        /// That status.
        status: u16,
    },
    /// The transport failed.
    Unreachable,
}

/// A message that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Which way.
    pub direction: Direction,
    /// On which path.
    pub flow: Flow,
    /// The whole message.
    pub bytes: Bytes,
    /// Its Call-ID.
    pub call_id: Box<str>,
    /// The leg it belongs to, where known.
    pub leg: Option<LegId>,
}

/// Which way a message passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To us.
    In,
    /// From us.
    Out,
}

/// How much an `Endpoint` holds. All zero at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Server transactions.
    pub server_transactions: usize,
    /// Client transactions.
    pub client_transactions: usize,
    /// INVITE usages, ending ones included.
    pub legs: usize,
    /// Dialogs reachable by their tag.
    pub dialogs: usize,
    /// Armed timers.
    pub timers: usize,
    /// Streams asked for and not yet there.
    pub connecting: usize,
    /// Source addresses with transactions.
    pub sources: usize,
}
