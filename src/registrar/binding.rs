//! One binding: where an address of record can be reached (RFC 3261 §10, RFC 5626).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::base::time::UnixMicros;
use crate::sip::flow::{Flow, Transport};
use crate::sip::msg::Uri;
use crate::sip::transaction::schedule::TimerId;
use crate::sip::ua::RequestId;

/// An address of record: user name and realm, both lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aor {
    /// Realm of the account or the device.
    pub realm: Arc<str>,
    /// `sip.username`.
    pub username: Arc<str>,
}

impl Aor {
    /// The address of record of that user, whatever the case of its parts.
    pub fn new(username: &str, realm: &str) -> Self {
        Self {
            realm: realm.to_lowercase().into(),
            username: username.to_lowercase().into(),
        }
    }
}

impl std::fmt::Display for Aor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.username, self.realm)
    }
}

/// Where an address of record can be reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// The phone's own Contact: URI for the request line.
    pub contact: String,
    /// The path requests take: the phone's connection, the source of its REGISTER when it is behind a NAT, otherwise
    /// the address in its Contact.
    pub flow: Flow,
    /// Where its REGISTER came from.
    pub source: SocketAddr,
    /// Values of Path, to be used as Route in this order (RFC 3327).
    pub path: Vec<String>,
    /// `+sip.instance`, with its angle brackets.
    pub instance: Option<String>,
    /// `reg-id` of a phone that keeps several flows (RFC 5626).
    pub reg_id: Option<u32>,
    /// Its User-Agent.
    pub user_agent: String,
    /// How much it wants to be rung, 0 to 1000.
    pub q: u16,
    /// Whether its Contact names another address than the one it sends from.
    pub behind_nat: bool,
    /// When it ends.
    pub expires_at: UnixMicros,
}

/// A binding with what only the registrar needs.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// Names it; never reused.
    pub(super) id: u64,
    pub(super) binding: Binding,
    /// Parameters of its Contact, as they go back, without `expires`.
    pub(super) params: String,
    pub(super) call_id: Box<str>,
    pub(super) cseq: u32,
    /// The URI it was registered with.
    pub(super) to_host: Box<str>,
    pub(super) registered_at: UnixMicros,
    pub(super) expires: Instant,
    pub(super) armed: Option<TimerId>,
    pub(super) life: Life,
}

/// What is known of a phone's being there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Life {
    /// The OPTIONS on its way.
    pub(super) asked: Option<RequestId>,
    /// OPTIONS without an answer since the last one.
    pub(super) misses: u32,
    /// Missed too many: not rung until it answers or registers again.
    pub(super) unreachable: bool,
    /// When the next OPTIONS or CRLF is due.
    pub(super) ask_at: Option<Instant>,
}

/// What makes two Contacts the same binding.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) uri: Uri,
    pub(super) instance: Option<String>,
    pub(super) reg_id: Option<u32>,
}

impl Bound {
    /// Whether a Contact replaces this binding: the same instance and flow (RFC 5626 §6), or the same URI
    /// (RFC 3261 §10.3 step 7). Phones that name an instance but no flow have one binding an instance, since some change
    /// their port with every refresh.
    pub(super) fn is_named_by(&self, key: &Key) -> bool {
        if self.binding.instance.is_some() && key.instance.is_some() {
            return self.binding.instance == key.instance && self.binding.reg_id == key.reg_id;
        }
        Uri::parse(&self.binding.contact).is_ok_and(|uri| uri.equivalent(&key.uri))
    }

    /// Whether it lives and dies with a connection.
    pub(super) fn is_on_stream(&self) -> bool {
        self.binding.flow.transport != Transport::Udp
    }
}
