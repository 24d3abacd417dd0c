//! A WebRTC leg's way to its keys: checks of ICE answered, the DTLS handshake done with the address they proved.
//!
//! Datagrams of both are kept when they arrive and looked at after the tick, since a handshake computes and allocates.
//! A handshake that fails is told once; the port stays silent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::{Context, Note, PortState};
use crate::media::io::{Channel, PacketIo};
use crate::rtp::dtls::{Fingerprint, Handshake, Identity, Progress, is_dtls};
use crate::rtp::ice::{Check, IceLite, is_stun};
use crate::rtp::srtp::SrtpKeys;
use crate::sdp::WebrtcAgreed;

/// ICE and DTLS of one leg.
#[derive(Debug)]
pub(super) struct Rtc {
    ice: IceLite,
    handshake: Option<Handshake>,
    identity: Arc<Identity>,
    active: bool,
    expected: Fingerprint,
    inbox: VecDeque<Datagram>,
    /// Whether it was told that the handshake has failed.
    told: bool,
    /// What is being sent.
    out: Vec<u8>,
}

#[derive(Debug)]
struct Datagram {
    from: SocketAddr,
    length: usize,
    bytes: [u8; MOST_BYTES],
}

impl Rtc {
    pub(super) fn new(agreed: &WebrtcAgreed, identity: Arc<Identity>) -> Box<Self> {
        Box::new(Self {
            ice: IceLite::new(agreed.ours.clone(), agreed.their_ufrag.clone()),
            handshake: None,
            identity,
            active: agreed.active,
            expected: agreed.fingerprint,
            inbox: VecDeque::with_capacity(KEPT),
            told: false,
            out: vec![0; MOST_BYTES],
        })
    }

    /// Whether it is what these agreed on already: a session refresh, not a restart.
    pub(super) fn is_of(&self, agreed: &WebrtcAgreed) -> bool {
        self.ice.is_of(&agreed.ours, &agreed.their_ufrag) && self.expected == agreed.fingerprint
    }

    /// The address ICE has proved.
    pub(super) fn selected(&self) -> Option<SocketAddr> {
        self.ice.selected()
    }

    /// Whether the peer still wants our media.
    pub(super) fn has_consent(&self, now: Instant) -> bool {
        self.ice.has_consent(now)
    }

    /// Keeps a datagram that is no media. `false`: it is media.
    pub(super) fn keep(&mut self, from: SocketAddr, bytes: &[u8]) -> bool {
        if !is_stun(bytes) && !is_dtls(bytes) {
            return false;
        }
        // Handshakes are with the proved address only: a stranger's ClientHello is nothing to us.
        let wanted = is_stun(bytes) || self.ice.selected() == Some(from);
        if wanted && bytes.len() <= MOST_BYTES && self.inbox.len() < KEPT {
            let mut datagram = Datagram {
                from,
                length: bytes.len(),
                bytes: [0; MOST_BYTES],
            };
            let room = datagram.bytes.iter_mut();
            room.zip(bytes).for_each(|(to, byte)| *to = *byte);
            self.inbox.push_back(datagram);
        }
        true
    }

    /// Whether there is something to do after the tick.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let timeout = self.handshake.as_ref().and_then(Handshake::poll_timeout);
        !self.inbox.is_empty() || timeout.is_some_and(|at| at <= now)
    }

    /// Does it. The keys, when the handshake is done.
    fn tend<I: PacketIo>(&mut self, cx: &mut Context<'_, I>) -> Option<SrtpKeys> {
        let mut keys = None;
        while let Some(datagram) = self.inbox.pop_front() {
            let bytes = datagram.bytes.get(..datagram.length).unwrap_or_default();
            if is_stun(bytes) {
                self.check(datagram.from, bytes, cx);
            } else if self.ice.selected() == Some(datagram.from)
                && let Some(handshake) = &mut self.handshake
            {
                handshake.receive(cx.now, bytes);
                keys = self.drain(cx).or(keys);
            }
        }
        if let Some(handshake) = &mut self.handshake
            && handshake.poll_timeout().is_some_and(|at| at <= cx.now)
        {
            handshake.handle_timeout(cx.now);
            keys = self.drain(cx).or(keys);
        }
        keys
    }

    fn check<I: PacketIo>(&mut self, from: SocketAddr, bytes: &[u8], cx: &mut Context<'_, I>) {
        self.out.resize(MOST_BYTES, 0);
        let Check::Answered { length, .. } = self.ice.receive(cx.now, from, bytes, &mut self.out)
        else {
            return;
        };
        if let Some(answer) = self.out.get(..length) {
            cx.io.send(cx.key, Channel::Rtp, from, answer);
        }
        if self.handshake.is_none() && self.ice.selected().is_some() {
            self.handshake = Some(Handshake::new(
                &self.identity,
                self.active,
                self.expected,
                cx.now,
            ));
        }
    }

    fn drain<I: PacketIo>(&mut self, cx: &mut Context<'_, I>) -> Option<SrtpKeys> {
        let (handshake, to) = (self.handshake.as_mut()?, self.ice.selected()?);
        let Context { io, key, .. } = cx;
        handshake.drain(&mut self.out, |bytes| {
            io.send(*key, Channel::Rtp, to, bytes);
        })
    }
}

impl PortState {
    /// Looks after ICE and DTLS. Not on the tick.
    pub(in crate::media) fn tend<I: PacketIo>(&mut self, cx: &mut Context<'_, I>) {
        let Some(session) = &mut self.session else {
            return;
        };
        let Some(rtc) = session.rtc.as_deref_mut() else {
            return;
        };
        let keys = rtc.tend(cx);
        if let Some(selected) = rtc.selected() {
            session.latch.prove(selected);
        }
        let failed = rtc.handshake.as_ref().map(Handshake::progress) == Some(Progress::Failed);
        if failed && !std::mem::replace(&mut rtc.told, true) {
            self.notes.push_back(Note::Insecure);
        }
        if let Some(keys) = keys {
            session.secure_with(keys);
        }
    }
}

/// Datagrams that wait for the end of a tick.
const KEPT: usize = 16;
/// The longest that is looked at.
const MOST_BYTES: usize = 1500;
