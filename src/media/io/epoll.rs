//! Sockets of one worker by epoll: one set for paced ports, looked at only at the worker's slots, and the set the worker
//! sleeps in for relayed ones.
//!
//! Nobody sleeps in the first set, so an arriving packet wakes no thread; at a slot it names the sockets that have
//! something, and silent ones cost nothing. A packet of a relayed port wakes the worker and goes on at once. A socket gives one packet a round and a few rounds a slot, so a flood on one port
//! cannot hold up the others.

use std::io;
use std::net::SocketAddr;

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, connect, connect_unspec, recvfrom, send, sendto};
use rustix::time::Timespec;

use super::wait::Woken;
use super::{Channel, PacketIo, PortKey, Received};
use crate::media::pool::Pair;

/// The sockets of one worker. Made on the worker's thread, where it stays.
pub(in crate::media) struct EpollIo {
    set: OwnedFd,
    ports: Vec<Option<Attached>>,
    events: Box<[Event]>,
    /// The part of `events` still to be read this round.
    next: usize,
    filled: usize,
    rounds: u32,
    /// The set the worker sleeps in, and what was found there last.
    relay_set: OwnedFd,
    pub(in crate::media) woken: Woken,
}

#[derive(Debug)]
struct Attached {
    pair: Pair,
    /// Its RTP socket stands in the set the worker sleeps in.
    relayed: bool,
    rtp_peer: Option<SocketAddr>,
    rtcp_peer: Option<SocketAddr>,
}

impl Attached {
    fn socket(&self, channel: Channel) -> Option<(&OwnedFd, Option<SocketAddr>)> {
        let sockets = self.pair.sockets.as_ref()?;
        Some(match channel {
            Channel::Rtp => (&sockets.rtp, self.rtp_peer),
            Channel::Rtcp => (&sockets.rtcp, self.rtcp_peer),
        })
    }
}

impl EpollIo {
    /// The set of a worker to be.
    pub(in crate::media) fn open() -> io::Result<OwnedFd> {
        Ok(epoll::create(epoll::CreateFlags::CLOEXEC)?)
    }

    /// `set` of its own, and the one of the worker's [`Waiter`](super::wait::Waiter).
    pub(in crate::media) fn new(set: OwnedFd, relay_set: OwnedFd) -> Self {
        let blank = Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        };
        Self {
            set,
            ports: Vec::new(),
            events: vec![blank; EVENTS_A_ROUND].into_boxed_slice(),
            next: 0,
            filled: 0,
            rounds: 0,
            relay_set,
            woken: Woken::new(),
        }
    }

    fn get(&self, key: PortKey) -> Option<&Attached> {
        self.ports.get(key.0 as usize)?.as_ref()
    }

    /// Takes a packet from the socket of that number.
    fn take(&self, data: u64, buffer: &mut [u8]) -> Option<Received> {
        let key = PortKey((data >> 1) as u32);
        let channel = if data & 1 == 0 {
            Channel::Rtp
        } else {
            Channel::Rtcp
        };
        let (socket, peer) = self.get(key).and_then(|a| a.socket(channel))?;
        let (len, _, from) = recvfrom(socket, buffer, RecvFlags::DONTWAIT).ok()?;
        let from = from.and_then(|a| SocketAddr::try_from(a).ok()).or(peer)?;
        Some(Received {
            key,
            channel,
            from,
            len,
        })
    }

    /// Asks which sockets have something. `false`: none, or enough for this slot.
    fn refill(&mut self) -> bool {
        if self.rounds >= ROUNDS_A_SLOT {
            self.rounds = 0;
            return false;
        }
        self.rounds += 1;
        self.next = 0;
        self.filled = epoll::wait(&self.set, &mut *self.events, Some(&NO_WAIT)).unwrap_or(0);
        if self.filled == 0 {
            self.rounds = 0;
        }
        self.filled > 0
    }
}

impl PacketIo for EpollIo {
    fn attach(&mut self, key: PortKey, pair: Pair) {
        let index = key.0 as usize;
        if self.ports.len() <= index {
            self.ports.resize_with(index + 1, || None);
        }
        if let Some(sockets) = &pair.sockets {
            for (socket, channel) in [(&sockets.rtp, 0), (&sockets.rtcp, 1)] {
                let data = EventData::new_u64(u64::from(key.0) << 1 | channel);
                if let Err(error) = epoll::add(&self.set, socket, data, EventFlags::IN) {
                    tracing::error!(%error, port = %pair.rtp, "cannot watch a media socket");
                }
            }
        }
        if let Some(place) = self.ports.get_mut(index) {
            *place = Some(Attached {
                pair,
                relayed: false,
                rtp_peer: None,
                rtcp_peer: None,
            });
        }
    }

    fn detach(&mut self, key: PortKey) -> Option<Pair> {
        let attached = self.ports.get_mut(key.0 as usize)?.take()?;
        if let Some(sockets) = &attached.pair.sockets {
            let rtp_set = if attached.relayed {
                &self.relay_set
            } else {
                &self.set
            };
            epoll::delete(rtp_set, &sockets.rtp).ok();
            epoll::delete(&self.set, &sockets.rtcp).ok();
        }
        // What the last round named may be this port's: it is gone, so `get` finds nothing.
        Some(attached.pair)
    }

    fn send(&mut self, key: PortKey, channel: Channel, to: SocketAddr, bytes: &[u8]) -> bool {
        let Some((socket, peer)) = self.get(key).and_then(|a| a.socket(channel)) else {
            return false;
        };
        let once = || match peer {
            Some(peer) if peer == to => {
                send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            }
            _ => sendto(
                socket,
                bytes,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
                &to,
            ),
        };
        match once() {
            Ok(_) => true,
            // An ICMP error of an earlier packet is reported here, and this one was not sent.
            Err(Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH) if peer.is_some() => {
                once().is_ok()
            }
            Err(_) => false,
        }
    }

    fn connect(&mut self, key: PortKey, channel: Channel, to: Option<SocketAddr>) {
        let Some(attached) = self.ports.get_mut(key.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        let Some(sockets) = &attached.pair.sockets else {
            return;
        };
        let (socket, peer) = match channel {
            Channel::Rtp => (&sockets.rtp, &mut attached.rtp_peer),
            Channel::Rtcp => (&sockets.rtcp, &mut attached.rtcp_peer),
        };
        if *peer == to {
            return;
        }
        *peer = match to {
            // Without a route yet, packets go out one by one with their address and fail or not on their own.
            Some(address) => connect(socket, &address).ok().map(|()| address),
            None => {
                connect_unspec(socket).ok();
                None
            }
        };
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<Received> {
        if let Some(received) = self.receive_relayed(buffer) {
            return Some(received);
        }
        loop {
            if self.next >= self.filled && !self.refill() {
                return None;
            }
            let data = self.events.get(self.next)?.data.u64();
            self.next += 1;
            if let Some(received) = self.take(data, buffer) {
                return Some(received);
            }
        }
    }

    fn relay(&mut self, key: PortKey, on: bool) {
        let Some(attached) = self.ports.get_mut(key.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        let Some(sockets) = &attached.pair.sockets else {
            return;
        };
        if attached.relayed == on {
            return;
        }
        let (from, to) = if on {
            (&self.set, &self.relay_set)
        } else {
            (&self.relay_set, &self.set)
        };
        let data = EventData::new_u64(u64::from(key.0) << 1);
        epoll::delete(from, &sockets.rtp).ok();
        match epoll::add(to, &sockets.rtp, data, EventFlags::IN) {
            Ok(()) => attached.relayed = on,
            Err(error) => {
                tracing::error!(%error, port = %attached.pair.rtp, "cannot watch a media socket");
            }
        }
    }

    fn receive_relayed(&mut self, buffer: &mut [u8]) -> Option<Received> {
        while let Some(data) = self.woken.next_socket() {
            if let Some(received) = self.take(data, buffer) {
                return Some(received);
            }
        }
        None
    }
}

/// Sockets named by one look at the set.
const EVENTS_A_ROUND: usize = 256;
/// Packets one socket may give in one slot (5 ms); 50 a second is usual, 1,600 is the most that is looked at.
const ROUNDS_A_SLOT: u32 = 8;
const NO_WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};
