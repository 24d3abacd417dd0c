//! A simulated network for an inline engine: the deterministic world and the tests use it, production does not.
//!
//! Every packet between a port and anybody else crosses one link with loss, delay, jitter and duplication, decided by
//! a seeded generator. Time is advanced by hand: [`SimIo::advance`] before each [`InlineWorker::tick`](super::InlineWorker::tick).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::io::{Channel, PacketIo, PortKey, Received};
use super::pool::Pair;
use crate::base::rng::Rng;

/// What the link does to packets, either way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SimLink {
    /// The share of packets that is lost, 0–1.
    pub loss: f64,
    /// The share of packets that arrives twice, 0–1.
    pub duplication: f64,
    /// The least delay.
    pub delay: Duration,
    /// The most that is added to it; packets overtake each other when it exceeds their spacing.
    pub jitter: Duration,
}

/// A packet on its way or arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// When it left.
    pub sent_at: Instant,
    /// When it arrives.
    pub at: Instant,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it is for.
    pub to: SocketAddr,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The simulated network.
#[derive(Debug)]
pub struct SimIo {
    now: Instant,
    link: SimLink,
    rng: Rng,
    ports: BTreeMap<PortKey, SimPort>,
    owners: BTreeMap<SocketAddr, (PortKey, Channel)>,
    inbound: BTreeMap<(Instant, u64), Datagram>,
    outbound: BTreeMap<(Instant, u64), Datagram>,
    count: u64,
}

#[derive(Debug)]
struct SimPort {
    pair: Pair,
    rtp_peer: Option<SocketAddr>,
    rtcp_peer: Option<SocketAddr>,
}

impl SimIo {
    /// A network at time `now`.
    pub fn new(now: Instant, link: SimLink, rng: Rng) -> Self {
        Self {
            now,
            link,
            rng,
            ports: BTreeMap::new(),
            owners: BTreeMap::new(),
            inbound: BTreeMap::new(),
            outbound: BTreeMap::new(),
            count: 0,
        }
    }

    /// Time goes on.
    pub fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Changes what the link does from now on.
    pub fn set_link(&mut self, link: SimLink) {
        self.link = link;
    }

    /// Somebody sends a packet towards a port.
    pub fn post(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        Self::cross(
            self.now,
            &self.link,
            &mut self.rng,
            &mut self.count,
            &mut self.inbound,
            from,
            to,
            bytes,
        );
    }

    /// Takes the packets from ports that have arrived by now, in the order of arrival.
    pub fn arrived(&mut self) -> Vec<Datagram> {
        let later = self
            .outbound
            .split_off(&(self.now + Duration::from_nanos(1), 0));
        std::mem::replace(&mut self.outbound, later)
            .into_values()
            .collect()
    }

    /// When the next packet arrives anywhere.
    pub fn next_arrival(&self) -> Option<Instant> {
        let first =
            |queue: &BTreeMap<(Instant, u64), Datagram>| queue.keys().next().map(|(at, _)| *at);
        first(&self.inbound)
            .into_iter()
            .chain(first(&self.outbound))
            .min()
    }

    /// Whom a port's socket is bound to, when it is.
    pub fn peer_of(&self, local: SocketAddr) -> Option<SocketAddr> {
        let (key, channel) = self.owners.get(&local)?;
        let port = self.ports.get(key)?;
        match channel {
            Channel::Rtp => port.rtp_peer,
            Channel::Rtcp => port.rtcp_peer,
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of a network, borrowed apart"
    )]
    fn cross(
        now: Instant,
        link: &SimLink,
        rng: &mut Rng,
        count: &mut u64,
        queue: &mut BTreeMap<(Instant, u64), Datagram>,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) {
        let copies = if rng.unit() < link.loss {
            0
        } else {
            1 + u32::from(rng.unit() < link.duplication)
        };
        for _ in 0..copies {
            let at = now + link.delay + link.jitter.mul_f64(rng.unit());
            *count += 1;
            queue.insert(
                (at, *count),
                Datagram {
                    sent_at: now,
                    at,
                    from,
                    to,
                    bytes: bytes.to_vec(),
                },
            );
        }
    }
}

impl PacketIo for SimIo {
    fn attach(&mut self, key: PortKey, pair: Pair) {
        self.owners.insert(pair.rtp, (key, Channel::Rtp));
        self.owners.insert(pair.rtcp, (key, Channel::Rtcp));
        self.ports.insert(
            key,
            SimPort {
                pair,
                rtp_peer: None,
                rtcp_peer: None,
            },
        );
    }

    fn detach(&mut self, key: PortKey) -> Option<Pair> {
        let port = self.ports.remove(&key)?;
        self.owners.retain(|_, (owner, _)| *owner != key);
        Some(port.pair)
    }

    fn send(&mut self, key: PortKey, channel: Channel, to: SocketAddr, bytes: &[u8]) -> bool {
        let Some(port) = self.ports.get(&key) else {
            return false;
        };
        let from = match channel {
            Channel::Rtp => port.pair.rtp,
            Channel::Rtcp => port.pair.rtcp,
        };
        Self::cross(
            self.now,
            &self.link,
            &mut self.rng,
            &mut self.count,
            &mut self.outbound,
            from,
            to,
            bytes,
        );
        true
    }

    fn connect(&mut self, key: PortKey, channel: Channel, to: Option<SocketAddr>) {
        if let Some(port) = self.ports.get_mut(&key) {
            match channel {
                Channel::Rtp => port.rtp_peer = to,
                Channel::Rtcp => port.rtcp_peer = to,
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<Received> {
        loop {
            let first = self
                .inbound
                .first_entry()
                .filter(|e| e.key().0 <= self.now)?;
            let Datagram {
                from, to, bytes, ..
            } = first.remove();
            let Some((key, channel)) = self.owners.get(&to).copied() else {
                continue;
            };
            if self.peer_of(to).is_some_and(|peer| peer != from) {
                continue;
            }
            let len = bytes.len().min(buffer.len());
            buffer
                .iter_mut()
                .zip(&bytes)
                .for_each(|(to, byte)| *to = *byte);
            return Some(Received {
                key,
                channel,
                from,
                len,
            });
        }
    }
}
