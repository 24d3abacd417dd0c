//! What was agreed with the peer, and where it is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::audio::{Codec, Encoder, Rate};
use crate::media::command::Plan;
use crate::media::io::Channel;
use crate::media::stream::STREAM_RATE_HZ;
use crate::rtp::Latch;
use crate::rtp::latch::LatchConfig;
use crate::sdp::Direction;

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
    pub(super) latch: Latch,
    latching: LatchConfig,
    signalled_rtcp: SocketAddr,
    /// Where RTCP of a peer behind a NAT really comes from.
    learned_rtcp: Option<SocketAddr>,
    /// Whether the socket was bound to the peer.
    settled: bool,
}

impl Session {
    pub(super) fn new(now: Instant, plan: Plan, before: Option<Session>) -> Self {
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
        let (latch, learned_rtcp, encoder) = match before {
            // A refresh of the same session must not forget where a peer behind a NAT really is.
            Some(mut before) => {
                before.latch.renegotiated(now, &before.latching, latching);
                let encoder = Some(before.encoder).filter(|e| e.codec() == agreed.codec);
                (
                    before.latch,
                    before.learned_rtcp.filter(|_| !moved),
                    encoder,
                )
            }
            None => (Latch::new(now, latching), None, None),
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
        if self.settled || !self.latch.is_locked(now) {
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
