//! The open stream connections, as the signalling thread sees them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::line::Line;
use crate::sip::flow::Flow;

/// Connections by their number.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<u64, Line>);

impl Table {
    /// Takes a connection in.
    pub(super) fn insert(&mut self, line: Line) {
        self.0.insert(line.flow.connection, line);
    }

    /// Queues bytes for a connection; `false` when it is gone or its queue is full, and then it is closed.
    pub(super) fn send(&mut self, flow: Flow, bytes: Bytes) -> bool {
        let Some(line) = self.0.get(&flow.connection) else {
            return false;
        };
        let sent = line.send(bytes);
        if !sent && let Some(line) = self.0.remove(&flow.connection) {
            metrics::counter!("swivel_sip_queue_full_total").increment(1);
            line.cut();
        }
        sent
    }

    /// Closes a connection once what is queued has been written.
    pub(super) fn close(&mut self, flow: Flow) {
        self.0.remove(&flow.connection);
    }
}
