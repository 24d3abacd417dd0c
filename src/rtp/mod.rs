//! RTP without sockets (RFC 3550 and friends). Packets and times in, packets and decisions out; nothing allocates once
//! a call is running.
//!
//! - `packet`: the bytes of one packet (the door to rtp-rs). `sequence`: numbers that wrap.
//! - `sender`: one outgoing stream. `jitter`: one incoming stream, still encoded. `playout`: the same, decoded and concealed.
//! - `relay`: one incoming stream passed on as part of an outgoing one.
//! - `event`: keypad digits (RFC 4733). `rtcp`: reports and their timing. `stats`: loss, jitter, round trip, MOS.
//! - `ice`, `dtls`: how a WebRTC leg comes to its keys.
//! - `headers`: headers of packets, kept within bounds for whoever wants to see them.
//! - `srtp`: packets made secret and checked.
//! - `latch`: whose packets are believed.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

pub mod dtls;
pub mod event;
pub mod headers;
pub mod ice;
pub mod jitter;
pub mod latch;
pub mod packet;
pub mod playout;
pub mod relay;
pub mod rtcp;
pub mod sender;
pub mod sequence;
pub mod srtp;
pub mod stats;

pub use event::{EventReceiver, EventSender};
pub use jitter::JitterBuffer;
pub use latch::Latch;
pub use packet::{Header, Packet, PacketError};
pub use playout::Playout;
pub use relay::Relay;
pub use sender::RtpSender;
pub use sequence::{RtpTime, Seq};

#[cfg(test)]
pub(crate) use moment::some_instant;

#[cfg(test)]
mod moment {
    /// A moment for tests to count from.
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant can only be had from the clock; tests use differences only"
    )]
    pub(crate) fn some_instant() -> std::time::Instant {
        std::time::Instant::now()
    }
}
