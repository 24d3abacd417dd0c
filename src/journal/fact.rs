//! What happens to calls, as typed facts. Subscribers read them; nobody steers a call through them.

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::Value;

use super::causes::Code;
use super::detail::Detail;
use super::line::Line;
use crate::base::time::UnixMicros;
use crate::sip::flow::Transport;

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To us.
    In,
    /// From us.
    Out,
}

impl Way {
    /// `in` or `out`.
    pub fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// One fact about one call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fact {
    /// A SIP message of the call.
    Sip {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Which way.
        direction: Way,
        /// The other end.
        peer: SocketAddr,
        /// Our end.
        local: SocketAddr,
        /// What carried it.
        transport: Transport,
        /// The whole message, secrets masked by the journal.
        bytes: Bytes,
    },
    /// A call was accepted and its script starts.
    Started {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Account id.
        account: String,
        /// Caller's number.
        from: String,
        /// What was dialled.
        dialled: String,
        /// Callflow id.
        callflow: String,
    },
    /// The call was answered.
    Answered {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
    },
    /// A leg was connected to another.
    Bridged {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Call-ID of the other leg.
        other: String,
    },
    /// A call that never ran a callflow.
    Refused {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// SIP status sent.
        status: u16,
        /// Plain words.
        why: &'static str,
    },
    /// A callflow node is about to run.
    Node {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Module name.
        module: String,
        /// Where in the tree: the branch keys from the root, joined by `.`.
        path: String,
    },
    /// A request to a callflow server, or its answer.
    Hook {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// `request`, `response` or `failure`.
        step: &'static str,
        /// The URL asked.
        url: String,
        /// HTTP status, for a response.
        status: Option<u16>,
        /// Time since the request, for a response or failure.
        took_ms: Option<u64>,
        /// Short text: what failed, or how large the body was.
        note: String,
    },
    /// A key was pressed.
    Digit {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// The key. Masked where the trace is shown.
        digit: char,
        /// `event`, `inband` or `info`.
        via: &'static str,
    },
    /// A collection of keys ended. Says how many, never which.
    Collected {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// How many.
        count: usize,
        /// Why it ended.
        why: &'static str,
    },
    /// A leg is placed for this call.
    Leg {
        /// SIP Call-ID of the call.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Call-ID of the leg.
        other: String,
        /// Whom it is placed to: `device`, `resource` …
        kind: String,
        /// The id of that.
        id: String,
        /// The name of that.
        name: String,
        /// The host of the Request-URI.
        server: String,
    },
    /// Something went wrong, told by who saw it.
    Trouble {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Account id; empty where the call has one or nobody does.
        account: String,
        /// What; its words are in `causes`.
        code: Code,
        /// Values for these words.
        values: Vec<(&'static str, String)>,
    },
    /// A remark in plain words.
    Note {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// The remark.
        text: String,
    },
    /// A phone's registration began, ended or changed. The Call-ID is that of its REGISTER.
    Registration {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Account id.
        account: String,
        /// Device id.
        device: String,
        /// `registered`, `unregistered`, `replaced`, `expired`, `closed`, `flushed`, `unreachable` or `reachable`.
        what: &'static str,
        /// The address of record.
        aor: String,
        /// The phone's own Contact.
        contact: String,
        /// Where it registered from.
        source: SocketAddr,
        /// Its User-Agent.
        user_agent: String,
        /// When it ends by itself.
        expires_at: UnixMicros,
    },
    /// Our own registration with a carrier began, failed or ended.
    TrunkRegistration {
        /// SIP Call-ID of the REGISTER.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Account id.
        account: String,
        /// The carrier: resource id and gateway.
        carrier: String,
        /// `registered`, `failed` or `left`.
        what: &'static str,
        /// The carrier's server.
        server: String,
        /// Status of the answer; 408 when there was none.
        status: u16,
        /// When it ends, unless refreshed.
        expires_at: Option<UnixMicros>,
    },
    /// A server of a carrier is held out, or answers again. It is about no call.
    Gateway {
        /// Empty.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// The account whose resource it is; empty when it is nobody's any more.
        account: String,
        /// The resource's id.
        resource: String,
        /// The address.
        server: String,
        /// The name it was found by.
        host: String,
        /// `held_out` or `answers`.
        what: &'static str,
        /// `silent`, `unreachable` or `503`.
        why: Option<&'static str>,
    },
    /// Something happened in a conference.
    Conference {
        /// SIP Call-ID of the member it is about, or of any of them.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Account id.
        account: String,
        /// Names the meeting.
        conference: String,
        /// The room's name.
        name: String,
        /// What, by TwiML's names.
        what: &'static str,
        /// How many are in it.
        members: usize,
    },
    /// Something happened in a queue.
    Queue {
        /// SIP Call-ID of the caller who waits or waited.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Account id.
        account: String,
        /// The queue's name.
        name: String,
        /// `joined`, `taken`, `left` or `abandoned`.
        what: &'static str,
        /// How long the caller has waited.
        waited_ms: u64,
        /// How many wait now.
        size: usize,
    },
    /// A leg's record is durable.
    Recorded {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Account id.
        account: String,
        /// The record's id.
        id: String,
    },
    /// The call ended.
    Ended {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// KAZOO's cause name.
        cause: &'static str,
        /// SIP status.
        status: u16,
        /// FreeSWITCH's word for who ended it.
        disposition: &'static str,
    },
    /// A detail of the call's course.
    Detail {
        /// SIP Call-ID.
        call_id: String,
        /// When.
        at: UnixMicros,
        /// Which.
        detail: Detail,
    },
}

impl Fact {
    /// The call it is about.
    pub fn call_id(&self) -> &str {
        match self {
            Self::Sip { call_id, .. }
            | Self::Started { call_id, .. }
            | Self::Answered { call_id, .. }
            | Self::Bridged { call_id, .. }
            | Self::Refused { call_id, .. }
            | Self::Node { call_id, .. }
            | Self::Hook { call_id, .. }
            | Self::Digit { call_id, .. }
            | Self::Collected { call_id, .. }
            | Self::Note { call_id, .. }
            | Self::Leg { call_id, .. }
            | Self::Trouble { call_id, .. }
            | Self::Registration { call_id, .. }
            | Self::TrunkRegistration { call_id, .. }
            | Self::Gateway { call_id, .. }
            | Self::Conference { call_id, .. }
            | Self::Queue { call_id, .. }
            | Self::Recorded { call_id, .. }
            | Self::Detail { call_id, .. }
            | Self::Ended { call_id, .. } => call_id,
        }
    }

    /// When it happened.
    pub fn at(&self) -> UnixMicros {
        match self {
            Self::Sip { at, .. }
            | Self::Started { at, .. }
            | Self::Answered { at, .. }
            | Self::Bridged { at, .. }
            | Self::Refused { at, .. }
            | Self::Node { at, .. }
            | Self::Hook { at, .. }
            | Self::Digit { at, .. }
            | Self::Collected { at, .. }
            | Self::Note { at, .. }
            | Self::Leg { at, .. }
            | Self::Trouble { at, .. }
            | Self::Registration { at, .. }
            | Self::TrunkRegistration { at, .. }
            | Self::Gateway { at, .. }
            | Self::Conference { at, .. }
            | Self::Queue { at, .. }
            | Self::Recorded { at, .. }
            | Self::Detail { at, .. }
            | Self::Ended { at, .. } => *at,
        }
    }

    /// The fact as a line of a trace, without the Call-ID.
    pub fn to_json(&self) -> Value {
        Line {
            fact: self,
            seq: None,
        }
        .to_value()
    }
}
