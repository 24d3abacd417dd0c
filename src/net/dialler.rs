//! Outgoing TLS and WebSocket connections of a program that has no signalling thread: `swivel call`.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::config::SipConfig;
use super::pipes::{Arrival, Transports};
use super::table::Table;
use super::tls::Tls;
use crate::sip::flow::{Flow, Transport};

/// What happened to a connection.
#[derive(Debug)]
pub enum Dialled {
    /// It is up.
    Connected {
        /// The attempt.
        request: u64,
        /// Its flow.
        flow: Flow,
    },
    /// It cannot be had.
    Refused {
        /// The attempt.
        request: u64,
        /// Why, in words.
        why: String,
    },
    /// One message came.
    Message {
        /// On which connection.
        flow: Flow,
        /// The message.
        bytes: Bytes,
    },
    /// It is gone.
    Closed {
        /// Which one.
        flow: Flow,
    },
}

/// Opens connections and carries messages on them.
pub struct Dialler {
    transports: Transports,
    open: Table,
}

impl Dialler {
    /// A dialler whose connections run on the current runtime.
    pub fn new(tls: Tls) -> Self {
        Self {
            transports: Transports::new(Handle::current(), &SipConfig::default(), tls),
            open: Table::default(),
        }
    }

    /// Connects to `remote`, which must prove to be `host` where it is secure; [`Self::next`] tells the result.
    pub fn connect(&self, request: u64, transport: Transport, remote: SocketAddr, host: &str) {
        self.transports
            .pipes
            .connect(request, transport, remote, host.into());
    }

    /// What happens next. Safe to drop at any point.
    pub async fn next(&mut self) -> Dialled {
        loop {
            let Some(arrival) = self.transports.arrivals.recv().await else {
                // Cannot be: `pipes` holds the other end.
                return std::future::pending().await;
            };
            return match arrival {
                Arrival::Opened {
                    request: Some(request),
                    line,
                } => {
                    let flow = line.flow;
                    self.open.insert(line);
                    Dialled::Connected { request, flow }
                }
                Arrival::Opened { request: None, .. } => continue,
                Arrival::Refused { request, why } => Dialled::Refused { request, why },
                Arrival::Message { flow, bytes } => Dialled::Message { flow, bytes },
                Arrival::Malformed { flow, .. } | Arrival::Closed { flow } => {
                    self.open.close(flow);
                    Dialled::Closed { flow }
                }
            };
        }
    }

    /// Sends a message; `false` when the connection is gone.
    pub fn send(&mut self, flow: Flow, bytes: Bytes) -> bool {
        self.open.send(flow, bytes)
    }

    /// Closes a connection once everything queued is written.
    pub fn close(&mut self, flow: Flow) {
        self.open.close(flow);
    }
}
