//! One incoming stream passed on as part of an outgoing one, packet by packet (RFC 3550 §7.1, a translator that keeps
//! its own SSRC).
//!
//! Gaps stay gaps and order stays order, so that the far end sees what was lost and what was overtaken. The mapping
//! begins anew, with a marker, when the source does: another SSRC, a leap in its numbers, or after something else was
//! sent in between. A source whose clock stood still or leapt gets its place on our time line again.

use super::packet::{Header, Packet};
use super::sender::RtpSender;
use super::sequence::{RtpTime, Seq};

/// Maps the packets of one source onto one [`RtpSender`].
#[derive(Debug, Clone, Default)]
pub struct Relay(Option<Mapping>);

#[derive(Debug, Clone, Copy)]
struct Mapping {
    ssrc: u32,
    /// Their sequence number plus this is ours.
    sequence_offset: u16,
    /// Their timestamp plus this is ours.
    time_offset: u32,
    /// The first packet of the mapping: what is older would take numbers that were used before it.
    first: Seq,
    /// The newest packet.
    highest: Seq,
    /// Timestamp of the newest packet.
    newest: RtpTime,
    /// Which of the 64 packets up to the newest have passed.
    seen: u64,
}

impl Relay {
    /// The header under which a packet goes on; `None` when it has passed before or is too old.
    ///
    /// `ticks`: how long it lasts when it is audio. The sender's time follows the source's, so that whatever plays next
    /// goes on where the source was.
    pub fn pass(
        &mut self,
        sender: &mut RtpSender,
        clock_rate_hz: u32,
        packet: &Packet<'_>,
        payload_type: u8,
        ticks: Option<u32>,
    ) -> Option<Header> {
        let continues = |m: &&mut Mapping| {
            m.ssrc == packet.ssrc
                && (-MAX_MISORDER..MAX_DROPOUT).contains(&packet.sequence.since(m.highest))
        };
        let mut marker = packet.marker;
        let mapping = if let Some(mapping) = self.0.as_mut().filter(continues) {
            mapping.note(packet.sequence)?;
            if packet.timestamp != mapping.newest {
                let ahead = RtpTime(packet.timestamp.0.wrapping_add(mapping.time_offset))
                    .since(sender.timestamp());
                if ahead.unsigned_abs() > clock_rate_hz.saturating_mul(MOST_ADRIFT_S) {
                    mapping.time_offset = sender.timestamp().0.wrapping_sub(packet.timestamp.0);
                    marker |= ticks.is_some();
                }
            }
            mapping
        } else {
            marker |= ticks.is_some();
            self.0.insert(Mapping {
                ssrc: packet.ssrc,
                sequence_offset: sender.sequence().0.wrapping_sub(packet.sequence.0),
                time_offset: sender.timestamp().0.wrapping_sub(packet.timestamp.0),
                first: packet.sequence,
                highest: packet.sequence,
                newest: packet.timestamp,
                seen: 1,
            })
        };
        let sequence = packet.sequence.plus(mapping.sequence_offset);
        let timestamp = packet.timestamp.plus(mapping.time_offset);
        if mapping.highest == packet.sequence {
            mapping.newest = packet.timestamp;
            if let Some(ticks) = ticks {
                sender.set_time(timestamp.plus(ticks));
            }
        }
        let octets = packet.payload.len();
        Some(sender.passed(marker, payload_type, sequence, timestamp, octets))
    }

    /// Something else is being sent: the next packet begins a new mapping.
    pub fn interrupt(&mut self) {
        self.0 = None;
    }
}

impl Mapping {
    /// Notes a packet; `None` when it came before or belongs to what was before the mapping.
    fn note(&mut self, sequence: Seq) -> Option<()> {
        let step = sequence.since(self.highest);
        if step > 0 {
            let by = u32::from(step.unsigned_abs());
            self.seen = self.seen.checked_shl(by).unwrap_or(0) | 1;
            self.highest = sequence;
            // Far enough on, the beginning is no limit any more.
            if sequence.since(self.first) > MAX_DROPOUT {
                self.first = sequence.plus(MAX_MISORDER.unsigned_abs().wrapping_neg());
            }
            return Some(());
        }
        let bit = 1u64.checked_shl(u32::from(step.unsigned_abs()))?;
        if self.seen & bit != 0 || sequence.since(self.first) < 0 {
            return None;
        }
        self.seen |= bit;
        Some(())
    }
}

/// A step forward in sequence that is loss.
const MAX_DROPOUT: i16 = 3000;
/// A step back in sequence that is reordering.
const MAX_MISORDER: i16 = 100;
/// How far the source's time may be from ours before it is set anew, in seconds.
const MOST_ADRIFT_S: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn packet(ssrc: u32, sequence: u16, timestamp: u32, marker: bool) -> Packet<'static> {
        Packet {
            marker,
            payload_type: 8,
            sequence: Seq(sequence),
            timestamp: RtpTime(timestamp),
            ssrc,
            payload: &[0; 160],
        }
    }

    struct Line {
        relay: Relay,
        sender: RtpSender,
    }

    impl Line {
        fn new() -> Self {
            Self {
                relay: Relay::default(),
                sender: RtpSender::new(&mut Rng::seeded(1)),
            }
        }

        fn audio(&mut self, ssrc: u32, sequence: u16, timestamp: u32) -> Option<Header> {
            let packet = packet(ssrc, sequence, timestamp, false);
            self.relay
                .pass(&mut self.sender, 8000, &packet, 0, Some(160))
        }
    }

    #[test]
    fn gaps_and_order_of_the_source_stay_and_copies_do_not() {
        let mut line = Line::new();
        let first = line.audio(1, 65_534, 1000).unwrap();
        assert!(first.marker);
        let mut step = |sequence: u16, timestamp| {
            let header = line.audio(1, sequence, timestamp)?;
            assert_eq!(header.ssrc, first.ssrc);
            Some((
                header.sequence.since(first.sequence),
                header.timestamp.since(first.timestamp),
                header.marker,
            ))
        };
        assert_eq!(step(65_535, 1160), Some((1, 160, false)));
        assert_eq!(step(2, 1640), Some((4, 640, false)));
        assert_eq!(step(1, 1480), Some((3, 480, false)), "overtaken");
        assert_eq!(step(1, 1480), None, "a copy");
        assert_eq!(step(65_533, 840), None, "before the beginning");
        assert_eq!(step(0, 1320), Some((2, 320, false)));
        assert_eq!(step(3, 1800), Some((5, 800, false)));
    }

    #[test]
    fn another_source_goes_on_where_the_last_one_was() {
        let mut line = Line::new();
        let before = line.audio(1, 10, 5000).unwrap();
        line.sender.advance(160); // a slot without a packet
        let after = line.audio(2, 40_000, 77).unwrap();
        assert!(after.marker);
        assert_eq!(after.sequence.since(before.sequence), 1);
        assert_eq!(after.timestamp.since(before.timestamp), 320);
        assert_eq!(after.ssrc, before.ssrc);
    }

    #[test]
    fn what_is_sent_in_between_has_numbers_of_its_own() {
        let mut line = Line::new();
        let before = line.audio(1, 10, 5000).unwrap();
        let prompt = line.sender.audio(0, 160);
        line.sender.advance(160);
        line.relay.interrupt();
        let after = line.audio(1, 12, 5320).unwrap();
        assert_eq!(prompt.sequence.since(before.sequence), 1);
        assert_eq!(prompt.timestamp.since(before.timestamp), 160);
        assert_eq!(after.sequence.since(prompt.sequence), 1);
        assert_eq!(after.timestamp.since(prompt.timestamp), 160);
        assert!(after.marker);
        assert_eq!(
            line.audio(1, 11, 5160),
            None,
            "its number was taken by the prompt"
        );
    }

    #[test]
    fn a_source_whose_time_leaps_keeps_its_place_on_ours() {
        let mut line = Line::new();
        let before = line.audio(1, 10, 5000).unwrap();
        let leapt = line.audio(1, 11, 4_000_000_000).unwrap();
        assert_eq!(
            (
                leapt.sequence.since(before.sequence),
                leapt.timestamp.since(before.timestamp),
                leapt.marker
            ),
            (1, 160, true)
        );
        // Five seconds of silence, counted by the source or not: ours goes on by five seconds.
        line.sender.advance(40_000);
        let counted = line
            .audio(1, 12, 4_000_000_160u32.wrapping_add(40_000))
            .unwrap();
        assert_eq!(counted.timestamp.since(leapt.timestamp), 40_160);
        line.sender.advance(40_000);
        let stood = line.audio(1, 13, 4_000_040_320).unwrap();
        assert_eq!(stood.timestamp.since(counted.timestamp), 40_160);
    }

    #[test]
    fn a_long_event_keeps_its_timestamp() {
        let mut line = Line::new();
        line.audio(1, 10, 5000).unwrap();
        let event = |line: &mut Line, sequence| {
            let packet = packet(1, sequence, 5160, sequence == 11);
            line.relay.pass(&mut line.sender, 8000, &packet, 101, None)
        };
        let begin = event(&mut line, 11).unwrap();
        assert!(begin.marker);
        for sequence in 12..300 {
            line.sender.advance(160);
            let header = event(&mut line, sequence).unwrap();
            assert_eq!((header.timestamp, header.marker), (begin.timestamp, false));
        }
        let audio = line.audio(1, 300, 5160 + 288 * 160).unwrap();
        assert_eq!(audio.timestamp.since(begin.timestamp), 288 * 160);
    }
}
