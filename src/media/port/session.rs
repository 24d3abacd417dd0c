//! What was agreed with the peer, and where it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::rtc::Rtc;
use crate::audio::{Codec, Encoder, Rate};
use crate::media::command::Plan;
use crate::media::io::Channel;
use crate::media::stream::STREAM_RATE_HZ;
use crate::rtp::Latch;
use crate::rtp::dtls::Identity;
use crate::rtp::latch::LatchConfig;
use crate::rtp::srtp::{Protect, SrtpKeys, Unprotect};
use crate::sdp::Direction;

/// SRTP in both directions.
#[derive(Debug)]
pub(super) struct Srtp {
    keys: SrtpKeys,
    pub(super) protect: Protect,
    pub(super) unprotect: Unprotect,
}

impl Srtp {
    /// A direction whose key stays the same goes on where it was: its packets must never be counted anew.
    fn new(keys: SrtpKeys, kept: Option<Box<Srtp>>) -> Box<Self> {
        let (mut protect, mut unprotect) =
            (Protect::new(&keys.send), Unprotect::new(&keys.receive));
        if let Some(kept) = kept {
            if kept.keys.send == keys.send {
                protect = kept.protect;
            }
            if kept.keys.receive == keys.receive {
                unprotect = kept.unprotect;
            }
        }
        Box::new(Self {
            keys,
            protect,
            unprotect,
        })
    }
}

/// One plan in force.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) codec: Codec,
    pub(super) payload_type: u8,
    pub(super) accepts: SmallVec<[(u8, Codec); 4]>,
    pub(super) dtmf_payload_type: Option<u8>,
    pub(super) dtmf_clock_rate_hz: u32,
    pub(super) ptime_ms: u8,
    pub(super) rtcp_mux: bool,
    /// Whether we may send: the direction allows it and the peer does not hold us.
    pub(super) sends: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) cname: String,
    /// RTP clock ticks in a packet.
    pub(super) ticks: u32,
    /// What encodes our sound, for as long as the codec stays the same.
    encoder: Encoder,
    /// From the rate of streams and tones to the codec's.
    widening: Rate,
    /// What protects packets, while `secure`. Kept beyond that: keys that come back must not begin at the beginning.
    srtp: Option<Box<Srtp>>,
    secure: bool,
    /// ICE and DTLS, where the peer is a browser.
    pub(super) rtc: Option<Box<Rtc>>,
    pub(super) latch: Latch,
    latching: LatchConfig,
    signalled_rtcp: SocketAddr,
    /// Where RTCP of a peer behind a NAT really comes from.
    learned_rtcp: Option<SocketAddr>,
    /// Whether the socket was bound to the peer.
    settled: bool,
}

impl Session {
    pub(super) fn new(
        now: Instant,
        plan: Plan,
        identity: Option<Arc<Identity>>,
        before: Option<Session>,
    ) -> Self {
        let agreed = plan.agreed;
        let ptime_ms = agreed.codec.ptime_ms(agreed.ptime_ms.clamp(10, 60));
        let latching = LatchConfig {
            signalled: agreed.remote_rtp,
            signalling_ip: plan.signalling_ip,
            nat: plan.latch,
            window: LEARNING_WINDOW,
        };
        let moved = before
            .as_ref()
            .is_none_or(|b| b.latching.signalled != latching.signalled);
        let secure = agreed.srtp.is_some() || agreed.webrtc.is_some();
        let (mut latch, learned_rtcp, encoder, srtp, rtc) = match before {
            // A refresh of the same session must not forget where a peer behind a NAT really is.
            Some(mut before) => {
                before.latch.renegotiated(now, &before.latching, latching);
                let encoder = Some(before.encoder).filter(|e| e.codec() == agreed.codec);
                let learned = before.learned_rtcp.filter(|_| !moved);
                (before.latch, learned, encoder, before.srtp, before.rtc)
            }
            None => (Latch::new(now, latching), None, None, None, None),
        };
        let (rtc, srtp) = match (&agreed.webrtc, identity) {
            (Some(webrtc), Some(identity)) => match rtc.filter(|rtc| rtc.is_of(webrtc)) {
                Some(rtc) => (Some(rtc), srtp),
                // ICE begins anew, and the handshake with it.
                None => (Some(Rtc::new(webrtc, identity)), None),
            },
            (Some(_), None) => (None, None),
            (None, _) => (None, srtp),
        };
        if let Some(selected) = rtc.as_ref().and_then(|rtc| rtc.selected()) {
            latch.prove(selected);
        }
        let srtp = match (agreed.srtp, srtp) {
            (Some(keys), Some(kept)) if kept.keys == keys => Some(kept),
            (Some(keys), kept) => Some(Srtp::new(keys, kept)),
            (None, kept) => kept,
        };
        Self {
            codec: agreed.codec,
            payload_type: agreed.payload_type,
            accepts: agreed.accepts,
            dtmf_payload_type: agreed.dtmf_payload_type,
            dtmf_clock_rate_hz: agreed.dtmf_clock_rate_hz,
            ptime_ms,
            rtcp_mux: agreed.rtcp_mux,
            sends: !agreed.held
                && matches!(agreed.direction, Direction::SendRecv | Direction::SendOnly),
            timeout: plan.timeout,
            cname: plan.cname,
            ticks: agreed.codec.ticks_per_ms() * u32::from(ptime_ms),
            encoder: encoder.unwrap_or_else(|| agreed.codec.encoder()),
            widening: Rate::new(STREAM_RATE_HZ, agreed.codec.sample_rate_hz()),
            srtp,
            secure,
            rtc,
            latch,
            latching,
            signalled_rtcp: agreed.remote_rtcp,
            learned_rtcp,
            settled: false,
        }
    }

    /// Where the peer said it would be.
    pub(super) fn signalled(&self) -> SocketAddr {
        self.latching.signalled
    }

    /// Where RTP goes; `None` while there is no such place.
    pub(super) fn remote(&self) -> Option<SocketAddr> {
        Some(self.latch.remote()).filter(is_reachable)
    }

    /// Where RTCP goes, and from which of our ports.
    pub(super) fn rtcp_remote(&self) -> Option<(Channel, SocketAddr)> {
        let rtp = self.remote()?;
        if self.rtcp_mux {
            return Some((Channel::Rtp, rtp));
        }
        let to = match self.learned_rtcp {
            Some(learned) => learned,
            None if rtp == self.latching.signalled => self.signalled_rtcp,
            // The peer is elsewhere than it said: the neighbour of where its RTP comes from is the best guess.
            None => SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?),
        };
        Some((Channel::Rtcp, to)).filter(|(_, to)| is_reachable(to))
    }

    /// RTCP came from the host media comes from.
    pub(super) fn rtcp_from(&mut self, from: SocketAddr) {
        if !self.rtcp_mux && from != self.signalled_rtcp {
            self.learned_rtcp = Some(from);
        }
    }

    /// What protects packets, when they are to be protected.
    pub(super) fn srtp(&mut self) -> Option<&mut Srtp> {
        self.srtp.as_deref_mut().filter(|_| self.secure)
    }

    /// The handshake is done.
    pub(super) fn secure_with(&mut self, keys: SrtpKeys) {
        self.srtp = Some(Srtp::new(keys, None));
    }

    /// Whether media must not pass: it is to be secure, and there are no keys yet.
    pub(super) fn lacks_keys(&self) -> bool {
        self.secure && self.srtp.is_none()
    }

    /// Whether packets may go out now.
    pub(super) fn may_send(&self, now: Instant) -> bool {
        !self.lacks_keys() && self.rtc.as_ref().is_none_or(|rtc| rtc.has_consent(now))
    }

    /// Samples in a packet.
    pub(super) fn samples(&self) -> usize {
        self.codec.samples_per_ms() * usize::from(self.ptime_ms)
    }

    /// The RTP clock of telephone-events, where they are agreed.
    pub(super) fn events_hz(&self) -> Option<u32> {
        self.dtmf_payload_type.map(|_| self.dtmf_clock_rate_hz)
    }

    /// Payload bytes in a packet, of a codec that always makes as many.
    pub(super) fn frame_bytes(&self) -> usize {
        self.codec.bytes_per_ms() * usize::from(self.ptime_ms)
    }

    /// Appends what `pcm` becomes to `out`.
    pub(super) fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) {
        self.encoder.encode(pcm, out);
    }

    /// Appends samples of the rate of streams and tones to `out`, at the codec's rate.
    pub(super) fn widen(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        self.widening.push(pcm, out);
    }

    /// The sockets are new to their worker: it has to bind them again.
    pub(super) fn unsettle(&mut self) {
        self.settled = false;
    }

    /// Our packets go elsewhere from now on.
    pub(super) fn latched(&mut self) {
        self.learned_rtcp = None;
    }

    /// Once, when no other source can be learned any more: the peer it ended with.
    pub(super) fn settled(&mut self, now: Instant) -> Option<SocketAddr> {
        // Where a browser is may change from one check to the next.
        if self.settled || self.rtc.is_some() || !self.latch.is_locked(now) {
            return None;
        }
        self.settled = true;
        self.remote()
    }
}

fn is_reachable(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

/// How long after the answer media may move to where it really comes from (sip.md §11: 500 ms to 3 s).
const LEARNING_WINDOW: Duration = Duration::from_secs(3);
