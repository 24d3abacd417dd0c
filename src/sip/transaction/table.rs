//! The tables of server and client transactions: found by key or branch, counted by source, bounded by their owner.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::client::Client;
use super::invite_client::InviteClient;
use super::invite_server::InviteServer;
use super::schedule::TimerId;
use super::seeded::{Map, Seed, map};
use super::server::Server;
use crate::sip::flow::Flow;
use crate::sip::msg::{Message, Method};

/// Where the responses to a request go (RFC 3261 §18.2.2, RFC 3581 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplyPath {
    /// Where the request came from.
    pub(crate) flow: Flow,
    /// Datagrams: the address to answer to. Streams: where to connect when the connection is gone; `None` when the
    /// sent-by names no numeric address.
    pub(crate) to: Option<SocketAddr>,
}

/// Names a server transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ServerId(u64);

/// Either machine of a server.
#[derive(Debug)]
pub(crate) enum ServerMachine {
    /// INVITE.
    Invite(InviteServer),
    /// Any other method.
    Other(Server),
}

impl ServerMachine {
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.poll_timeout(),
            Self::Other(machine) => machine.poll_timeout(),
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::Other(machine) => machine.is_terminated(),
        }
    }

    /// Whether no final response was sent.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_open(),
            Self::Other(machine) => machine.is_open(),
        }
    }
}

/// One server transaction; `O` says whose it is.
#[derive(Debug)]
pub(crate) struct ServerTransaction<O> {
    /// Its machine.
    pub(crate) machine: ServerMachine,
    /// Where its responses go.
    pub(crate) path: ReplyPath,
    /// The request, until the final response.
    pub(crate) request: Option<Arc<Message>>,
    /// The response to repeat.
    pub(crate) last: Option<Bytes>,
    /// The To tag of its responses, where the request has none.
    pub(crate) tag: Option<u64>,
    /// Whose it is.
    pub(crate) owner: Option<O>,
    /// Its timer.
    pub(crate) armed: Option<TimerId>,
    key: Arc<str>,
    merge_key: Option<Arc<str>>,
    source: IpAddr,
}

/// What a new server transaction is made of.
#[derive(Debug)]
pub(crate) struct NewServer<O> {
    /// Its machine.
    pub(crate) machine: ServerMachine,
    /// Where its responses go.
    pub(crate) path: ReplyPath,
    /// The request.
    pub(crate) request: Arc<Message>,
    /// The To tag of its responses.
    pub(crate) tag: Option<u64>,
    /// Whose it is.
    pub(crate) owner: Option<O>,
    /// How repetitions find it.
    pub(crate) key: String,
    /// How the same request by another way finds it (§8.2.2.2); only for INVITEs that begin a dialog.
    pub(crate) merge_key: Option<String>,
}

/// All server transactions.
#[derive(Debug)]
pub(crate) struct Servers<O> {
    all: Map<ServerId, Box<ServerTransaction<O>>>,
    by_key: Map<Arc<str>, ServerId>,
    merges: Map<Arc<str>, ServerId>,
    by_source: Map<IpAddr, usize>,
    next: u64,
}

impl<O> Servers<O> {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            all: map(seed),
            by_key: map(seed),
            merges: map(seed),
            by_source: map(seed),
            next: 0,
        }
    }

    pub(crate) fn insert(&mut self, new: NewServer<O>) -> ServerId {
        self.next += 1;
        let id = ServerId(self.next);
        let key: Arc<str> = new.key.into();
        let merge_key: Option<Arc<str>> = new.merge_key.map(Into::into);
        let source = new.path.flow.remote.ip();
        self.by_key.insert(key.clone(), id);
        if let Some(merge_key) = &merge_key {
            self.merges.insert(merge_key.clone(), id);
        }
        *self.by_source.entry(source).or_insert(0) += 1;
        let transaction = ServerTransaction {
            machine: new.machine,
            path: new.path,
            request: Some(new.request),
            last: None,
            tag: new.tag,
            owner: new.owner,
            armed: None,
            key,
            merge_key,
            source,
        };
        self.all.insert(id, Box::new(transaction));
        id
    }

    pub(crate) fn find(&self, key: &str) -> Option<ServerId> {
        self.by_key.get(key).copied()
    }

    /// Whether another transaction has the same request.
    pub(crate) fn is_merged(&self, merge_key: &str) -> bool {
        self.merges.contains_key(merge_key)
    }

    pub(crate) fn get(&self, id: ServerId) -> Option<&ServerTransaction<O>> {
        self.all.get(&id).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: ServerId) -> Option<&mut ServerTransaction<O>> {
        self.all.get_mut(&id).map(Box::as_mut)
    }

    pub(crate) fn remove(&mut self, id: ServerId) {
        let Some(gone) = self.all.remove(&id) else {
            return;
        };
        self.by_key.remove(&gone.key);
        if let Some(merge_key) = &gone.merge_key
            && self.merges.get(merge_key) == Some(&id)
        {
            self.merges.remove(merge_key);
        }
        if let Some(count) = self.by_source.get_mut(&gone.source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&gone.source);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many transactions a source has.
    pub(crate) fn of_source(&self, source: IpAddr) -> usize {
        self.by_source.get(&source).copied().unwrap_or(0)
    }

    /// How many sources have transactions.
    pub(crate) fn sources(&self) -> usize {
        self.by_source.len()
    }
}

/// Names a client transaction: its branch, and whether it is the CANCEL that shares its INVITE's branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientId {
    /// The random part of the branch.
    pub(crate) branch: u64,
    /// Whether it is a CANCEL.
    pub(crate) cancel: bool,
}

/// Either machine of a client.
#[derive(Debug)]
pub(crate) enum ClientMachine {
    /// INVITE.
    Invite(InviteClient),
    /// Any other method.
    Other(Client),
}

impl ClientMachine {
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.poll_timeout(),
            Self::Other(machine) => machine.poll_timeout(),
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::Other(machine) => machine.is_terminated(),
        }
    }

    /// Whether nothing at all has come.
    pub(crate) fn is_unanswered(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_calling(),
            Self::Other(machine) => machine.is_trying(),
        }
    }
}

/// The way of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// On this path.
    Flow(Flow),
    /// Over a stream that is being opened.
    Connecting(u64),
}

/// An ACK for a 2xx, kept for repetitions of that 2xx.
#[derive(Debug)]
pub(crate) struct SentAck {
    /// To tag of the 2xx.
    pub(crate) to_tag: Box<str>,
    /// Where the ACK went.
    pub(crate) flow: Flow,
    /// The ACK.
    pub(crate) bytes: Bytes,
}

/// One client transaction; `O` says whose it is.
#[derive(Debug)]
pub(crate) struct ClientTransaction<O> {
    /// Its machine.
    pub(crate) machine: ClientMachine,
    /// Its method.
    pub(crate) method: Method,
    /// The request, with its Via; dropped after the final response where nothing more is made from it.
    pub(crate) request: Option<Message>,
    /// The request as sent; for an INVITE after a failure, its ACK.
    pub(crate) bytes: Bytes,
    /// The way it went.
    pub(crate) path: Path,
    /// The datagram path to fall back to when the stream that a large request took cannot be had (§18.1.1).
    pub(crate) fallback: Option<Flow>,
    /// Whose it is.
    pub(crate) owner: O,
    /// The ACKs sent for its 2xx responses, one a callee.
    pub(crate) acks: Vec<SentAck>,
    /// Its timer.
    pub(crate) armed: Option<TimerId>,
}

/// All client transactions.
pub(crate) type Clients<O> = Map<ClientId, Box<ClientTransaction<O>>>;
