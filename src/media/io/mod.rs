//! Packets in and out of a worker. The worker is pure; these files are not.
//!
//! - `PacketIo` (here): what a worker needs of the machine. The simulated world has its own in `media/sim.rs`.
//! - `socket`: making one RTP/RTCP pair of sockets.
//! - `epoll`: sockets drained at the worker's slots or, when relayed, as packets arrive; sent to directly.
//! - `priority`: the scheduling of media threads.
//! - `wait`: the worker's clock (a timer every slot), relayed sockets, and the bell that wakes an idle one.

pub(super) mod epoll;
pub(super) mod priority;
pub(super) mod socket;
pub(super) mod wait;

use std::net::SocketAddr;

use super::pool::Pair;

/// Which port of a worker: its place in the worker's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortKey(pub u32);

/// Which socket of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// The even port.
    Rtp,
    /// The odd port.
    Rtcp,
}

/// One packet taken from a socket; its bytes are in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Whose socket.
    pub key: PortKey,
    /// Which of the two.
    pub channel: Channel,
    /// Who sent it.
    pub from: SocketAddr,
    /// Its length; longer packets are cut to the buffer.
    pub len: usize,
}

/// What a worker asks of the machine. Nothing here blocks.
pub trait PacketIo {
    /// Takes a pair in; from now on its packets are received under `key`.
    fn attach(&mut self, key: PortKey, pair: Pair);
    /// Gives a pair back.
    fn detach(&mut self, key: PortKey) -> Option<Pair>;
    /// Sends one packet. `false`: the system would not take it.
    fn send(&mut self, key: PortKey, channel: Channel, to: SocketAddr, bytes: &[u8]) -> bool;
    /// Binds a socket to one peer, so that the kernel drops what others send; `None` releases it.
    fn connect(&mut self, key: PortKey, channel: Channel, to: Option<SocketAddr>);
    /// Takes the next waiting packet of any socket.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<Received>;
    /// Whether packets of this port's RTP socket are wanted as they arrive (`true`) or once a slot.
    fn relay(&mut self, _key: PortKey, _on: bool) {}
    /// Takes the next waiting packet of those that are wanted as they arrive.
    fn receive_relayed(&mut self, buffer: &mut [u8]) -> Option<Received> {
        self.receive(buffer)
    }
}
