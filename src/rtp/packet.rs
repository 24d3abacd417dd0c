//! The bytes of one RTP packet (RFC 3550 §5.1): the one door to rtp-rs.

use rtp_rs::RtpReader;

use super::sequence::{RtpTime, Seq};

/// A received packet whose header has been checked; padding, CSRC list and extension are already left out of `payload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Marker: first packet of a talkspurt or event.
    pub marker: bool,
    /// Payload type, 0..=127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: Seq,
    /// Timestamp.
    pub timestamp: RtpTime,
    /// Synchronisation source.
    pub ssrc: u32,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Why bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Shorter than its header says, version not 2, or padding longer than the packet.
    #[error("not an RTP packet")]
    Malformed,
    /// A payload type where RTCP packet types live (RFC 5761 §4).
    #[error("an RTCP packet")]
    Rtcp,
    /// The buffer to write into is too small.
    #[error("buffer too small")]
    Buffer,
}

impl<'a> Packet<'a> {
    /// Checks version, padding, CSRC count and extension against the length, and refuses RTCP.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        if is_rtcp(bytes) {
            return Err(PacketError::Rtcp);
        }
        let reader = RtpReader::new(bytes).map_err(|_| PacketError::Malformed)?;
        Ok(Self {
            marker: reader.mark(),
            payload_type: reader.payload_type(),
            sequence: Seq(reader.sequence_number().into()),
            timestamp: RtpTime(reader.timestamp()),
            ssrc: reader.ssrc(),
            payload: reader.payload(),
        })
    }
}

/// Whether these bytes are RTCP where both share a port: packet types 192–223 in the second byte (RFC 5761 §4).
pub fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.len() >= 4
        && bytes.first().is_some_and(|b| b >> 6 == 2)
        && bytes.get(1).is_some_and(|t| (192..=223).contains(t))
}

/// The fixed header of a packet to send: no padding, CSRC or extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Marker: first packet of a talkspurt or event.
    pub marker: bool,
    /// Payload type, 0..=127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: Seq,
    /// Timestamp.
    pub timestamp: RtpTime,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Header {
    /// Bytes of the header.
    pub const LEN: usize = 12;

    /// The header's bytes. Written by hand: this runs once for every packet sent.
    pub fn bytes(&self) -> [u8; Self::LEN] {
        let [s0, s1] = self.sequence.0.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.0.to_be_bytes();
        let [i0, i1, i2, i3] = self.ssrc.to_be_bytes();
        let marker = if self.marker { 0x80 } else { 0 };
        [
            0x80,
            marker | (self.payload_type & 0x7F),
            s0,
            s1,
            t0,
            t1,
            t2,
            t3,
            i0,
            i1,
            i2,
            i3,
        ]
    }

    /// The packet of this header and `payload`, as its receiver will see it.
    pub fn with<'a>(&self, payload: &'a [u8]) -> Packet<'a> {
        Packet {
            marker: self.marker,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload,
        }
    }

    /// Writes header and payload to the front of `out`; the length of the packet.
    pub fn write(&self, payload: &[u8], out: &mut [u8]) -> Result<usize, PacketError> {
        let total = Self::LEN + payload.len();
        let (head, body) = out
            .get_mut(..total)
            .and_then(|o| o.split_at_mut_checked(Self::LEN))
            .ok_or(PacketError::Buffer)?;
        head.copy_from_slice(&self.bytes());
        body.copy_from_slice(payload);
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtp_rs::{Pad, RtpPacketBuilder};

    fn header() -> Header {
        Header {
            marker: true,
            payload_type: 101,
            sequence: Seq(65_535),
            timestamp: RtpTime(0xDEAD_BEEF),
            ssrc: 0x0102_0304,
        }
    }

    #[test]
    fn our_header_is_the_one_rtp_rs_builds() {
        let h = header();
        let mut ours = [0; 64];
        let len = h.write(&[9; 20], &mut ours).unwrap();
        let theirs = RtpPacketBuilder::new()
            .marked(true)
            .payload_type(101)
            .sequence(h.sequence.0.into())
            .timestamp(h.timestamp.0)
            .ssrc(h.ssrc)
            .payload(&[9; 20])
            .build()
            .unwrap();
        assert_eq!(ours[..len], theirs);
    }

    #[test]
    fn what_is_written_is_read() {
        let h = header();
        let mut out = [0; 32];
        let len = h.write(&[1, 2, 3], &mut out).unwrap();
        let p = Packet::parse(&out[..len]).unwrap();
        assert_eq!(
            (p.marker, p.payload_type, p.sequence, p.timestamp, p.ssrc),
            (true, 101, h.sequence, h.timestamp, h.ssrc)
        );
        assert_eq!(p.payload, [1, 2, 3]);
    }

    #[test]
    fn csrc_extension_and_padding_are_left_out_of_the_payload() {
        let bytes = RtpPacketBuilder::new()
            .payload_type(0)
            .add_csrc(7)
            .add_csrc(8)
            .extension(0xBEDE, &[1, 2, 3, 4])
            .payload(&[5, 6, 7])
            .padded(Pad::round_to(4))
            .build()
            .unwrap();
        assert_eq!(Packet::parse(&bytes).unwrap().payload, [5, 6, 7]);
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        let mut good = [0; 16];
        header().write(&[1, 2, 3, 4], &mut good).unwrap();
        for (index, value) in [(0, 0x8F), (0, 0x90), (0, 0x00), (0, 0x40), (0, 0xC0)] {
            let mut bad = good;
            bad[index] = value;
            assert_eq!(
                Packet::parse(&bad),
                Err(PacketError::Malformed),
                "{value:#x}"
            );
        }
        let mut padded = good;
        padded[0] = 0xA0;
        padded[15] = 5;
        assert_eq!(Packet::parse(&padded), Err(PacketError::Malformed));
        padded[15] = 0;
        assert_eq!(Packet::parse(&padded), Err(PacketError::Malformed));
        for len in 0..12 {
            assert_eq!(Packet::parse(&good[..len]), Err(PacketError::Malformed));
        }
    }

    #[test]
    fn rtcp_on_the_same_port_is_told_apart() {
        let mut sr = [0; 28];
        sr[0] = 0x80;
        sr[1] = 200;
        assert_eq!(Packet::parse(&sr), Err(PacketError::Rtcp));
        assert!(!is_rtcp(&[0x80, 0x80, 0, 0]), "PCMU with the marker is RTP");
    }

    #[test]
    fn a_short_buffer_is_an_error() {
        assert_eq!(
            header().write(&[0; 10], &mut [0; 21]),
            Err(PacketError::Buffer)
        );
    }
}
