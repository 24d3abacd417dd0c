//! One outgoing stream: SSRC, sequence and timestamp for the life of a port; every source maps onto it.

use super::packet::Header;
use super::sequence::{RtpTime, Seq};
use crate::base::rng::Rng;

/// Numbers the packets of one port. Time passes by `advance`, whether something is sent or not, so timestamps grow by
/// samples across silence and digits (RFC 3550 §5.1).
#[derive(Debug, Clone)]
pub struct RtpSender {
    ssrc: u32,
    sequence: Seq,
    timestamp: RtpTime,
    /// The next audio packet begins a talkspurt.
    resume: bool,
    packets: u32,
    octets: u32,
}

impl RtpSender {
    /// A stream with random SSRC, sequence number and timestamp.
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            ssrc: rng.u32(),
            sequence: Seq(rng.u16()),
            timestamp: RtpTime(rng.u32()),
            resume: true,
            packets: 0,
            octets: 0,
        }
    }

    /// The header of an audio packet of `octets` payload bytes at the present time. The marker is set on the first
    /// packet after a pause. Follow it with `advance`.
    pub fn audio(&mut self, payload_type: u8, octets: usize) -> Header {
        let marker = std::mem::take(&mut self.resume);
        let timestamp = self.timestamp;
        self.header(marker, payload_type, timestamp, octets)
    }

    /// The header of a packet with its own marker and timestamp: telephone-events.
    pub fn header(
        &mut self,
        marker: bool,
        payload_type: u8,
        timestamp: RtpTime,
        octets: usize,
    ) -> Header {
        let header = Header {
            marker,
            payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.plus(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self
            .octets
            .wrapping_add(u32::try_from(octets).unwrap_or(u32::MAX));
        header
    }

    /// The header of a packet passed on from elsewhere, under a number that need not be the next: what the source lost
    /// is missing here too. Own packets go on after the highest number.
    pub fn passed(
        &mut self,
        marker: bool,
        payload_type: u8,
        sequence: Seq,
        timestamp: RtpTime,
        octets: usize,
    ) -> Header {
        let next = self.sequence;
        self.sequence = sequence;
        let header = self.header(marker, payload_type, timestamp, octets);
        if next.since(self.sequence) > 0 {
            self.sequence = next;
        }
        self.resume = true;
        header
    }

    /// The number of the next packet.
    pub fn sequence(&self) -> Seq {
        self.sequence
    }

    /// Moves the present time of the stream to where a source passed on has it.
    pub fn set_time(&mut self, timestamp: RtpTime) {
        self.timestamp = timestamp;
    }

    /// `ticks` of the RTP clock have passed.
    pub fn advance(&mut self, ticks: u32) {
        self.timestamp = self.timestamp.plus(ticks);
    }

    /// Nothing was sent in a slot where audio could have been: the next audio packet gets the marker.
    pub fn pause(&mut self) {
        self.resume = true;
    }

    /// The present time of the stream.
    pub fn timestamp(&self) -> RtpTime {
        self.timestamp
    }

    /// The stream's source identifier.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Takes another SSRC after a collision (RFC 3550 §8.2); counters start again.
    pub fn change_ssrc(&mut self, rng: &mut Rng) {
        self.ssrc = rng.u32();
        self.packets = 0;
        self.octets = 0;
    }

    /// Packets sent, as in a sender report.
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// Payload bytes sent, as in a sender report.
    pub fn octets(&self) -> u32 {
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_begins_at_random() {
        let mut rng = Rng::seeded(9);
        let first: Vec<Header> = (0..1000)
            .map(|_| RtpSender::new(&mut rng).audio(0, 160))
            .collect();
        let mut sources: Vec<u32> = first.iter().map(|h| h.ssrc).collect();
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(sources.len(), 1000);
        // Each bit of what they begin with is set in about half of them.
        for bit in 0..16 {
            let set = first
                .iter()
                .filter(|h| h.sequence.0 >> bit & 1 == 1)
                .count();
            assert!((400..600).contains(&set), "sequence, bit {bit}: {set}");
        }
        for bit in 0..32 {
            let set = first
                .iter()
                .filter(|h| h.timestamp.0 >> bit & 1 == 1)
                .count();
            assert!((400..600).contains(&set), "timestamp, bit {bit}: {set}");
        }
    }

    #[test]
    fn time_passes_in_silence_and_the_marker_comes_after_it() {
        let mut sender = RtpSender::new(&mut Rng::seeded(1));
        let first = sender.audio(0, 160);
        sender.advance(160);
        let second = sender.audio(0, 160);
        sender.advance(160);
        assert!(first.marker && !second.marker);
        assert_eq!(second.timestamp.since(first.timestamp), 160);
        sender.pause();
        sender.advance(160);
        let third = sender.audio(0, 160);
        assert!(third.marker);
        assert_eq!(third.timestamp.since(second.timestamp), 320);
        assert_eq!(third.sequence.since(first.sequence), 2);
        assert_eq!((sender.packets(), sender.octets()), (3, 480));
    }
}
