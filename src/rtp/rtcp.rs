//! RTCP (RFC 3550 §6): SR, RR, SDES and BYE, built and parsed, and when to send them.

use std::time::{Duration, Instant};

use crate::base::rng::Rng;
use crate::base::time::UnixMicros;

/// What a receiver reports about one source (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// Part of the packets lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; negative with duplicates.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with wraps above.
    pub highest_sequence: u32,
    /// Interarrival jitter in ticks.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR from that source; 0 for none.
    pub last_sr: u32,
    /// Time from that SR to this report, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// What a sender says of itself (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderInfo {
    /// Wall-clock time as NTP: seconds since 1900 above, fraction below.
    pub ntp: u64,
    /// The same moment as RTP timestamp.
    pub rtp_time: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// One packet of a compound packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rtcp<'a> {
    /// Sender report.
    Sender {
        /// Who sends it.
        ssrc: u32,
        /// Its sender information.
        info: SenderInfo,
        /// Its report blocks.
        blocks: Blocks<'a>,
    },
    /// Receiver report.
    Receiver {
        /// Who sends it.
        ssrc: u32,
        /// Its report blocks.
        blocks: Blocks<'a>,
    },
    /// Source description: the CNAME of one source.
    Cname {
        /// The source.
        ssrc: u32,
        /// Its canonical name, as sent.
        cname: &'a [u8],
    },
    /// Goodbye.
    Bye {
        /// The first source that leaves.
        ssrc: u32,
    },
    /// Something else: passed over.
    Other {
        /// RTCP packet type.
        packet_type: u8,
    },
}

/// The report blocks of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [u8]);

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk::<BLOCK_LEN>()?;
        self.0 = rest;
        let mut words = block.chunks_exact(4).filter_map(word);
        let (ssrc, lost) = (words.next()?, words.next()?);
        Some(ReportBlock {
            ssrc,
            fraction_lost: (lost >> 24) as u8,
            // 24 bits with a sign.
            cumulative_lost: ((lost << 8) as i32) >> 8,
            highest_sequence: words.next()?,
            jitter: words.next()?,
            last_sr: words.next()?,
            delay_since_last_sr: words.next()?,
        })
    }
}

/// The packets of a compound packet, as far as it is well formed; also without the leading report (RFC 5506).
pub fn parse(bytes: &[u8]) -> impl Iterator<Item = Rtcp<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let &[first, packet_type, length_high, length_low] = rest.first_chunk()?;
        if first >> 6 != 2 {
            return None;
        }
        let length = (usize::from(u16::from_be_bytes([length_high, length_low])) + 1) * 4;
        let (packet, after) = rest.split_at_checked(length)?;
        rest = after;
        parse_one(usize::from(first & 0x1F), packet_type, packet.get(4..)?)
    })
}

/// One packet without its first word; `None` ends the parse.
fn parse_one(count: usize, packet_type: u8, body: &[u8]) -> Option<Rtcp<'_>> {
    match packet_type {
        SR => {
            let mut words = body.chunks_exact(4).filter_map(word);
            let ssrc = words.next()?;
            let ntp = u64::from(words.next()?) << 32 | u64::from(words.next()?);
            let info = SenderInfo {
                ntp,
                rtp_time: words.next()?,
                packets: words.next()?,
                octets: words.next()?,
            };
            let blocks = body.get(24..)?.get(..count * BLOCK_LEN)?;
            Some(Rtcp::Sender {
                ssrc,
                info,
                blocks: Blocks(blocks),
            })
        }
        RR => {
            let ssrc = word(body.get(..4)?)?;
            Some(Rtcp::Receiver {
                ssrc,
                blocks: Blocks(body.get(4..)?.get(..count * BLOCK_LEN)?),
            })
        }
        SDES if count > 0 => {
            let ssrc = word(body.get(..4)?)?;
            let mut items = body.get(4..)?;
            while let Some(&[kind, length]) = items.first_chunk()
                && kind != 0
            {
                let text = items.get(2..2 + usize::from(length))?;
                if kind == CNAME {
                    return Some(Rtcp::Cname { ssrc, cname: text });
                }
                items = items.get(2 + usize::from(length)..)?;
            }
            Some(Rtcp::Other { packet_type })
        }
        BYE if count > 0 => Some(Rtcp::Bye {
            ssrc: word(body.get(..4)?)?,
        }),
        _ => Some(Rtcp::Other { packet_type }),
    }
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// A compound packet to send.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Our source identifier.
    pub ssrc: u32,
    /// SR when we have sent since the last report but one, otherwise RR.
    pub sender: Option<SenderInfo>,
    /// About the source we hear.
    pub block: Option<ReportBlock>,
    /// Our canonical name; at most 255 bytes are sent.
    pub cname: &'a str,
    /// Add a BYE.
    pub bye: bool,
}

impl Report<'_> {
    /// Longest compound packet `write` makes.
    pub const MAX_LEN: usize = 28 + BLOCK_LEN + 8 + 2 + 255 + 4 + 8;

    /// Writes the compound packet to the front of `out`; its length, or `None` when it does not fit.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let mut out = Writer { out, len: 0 };
        let blocks = u8::from(self.block.is_some());
        let block_words = u16::from(blocks) * (BLOCK_LEN / 4) as u16;
        match &self.sender {
            Some(info) => {
                out.head(blocks, SR, 6 + block_words)?;
                out.word(self.ssrc)?;
                out.put(&info.ntp.to_be_bytes())?;
                out.word(info.rtp_time)?;
                out.word(info.packets)?;
                out.word(info.octets)?;
            }
            None => {
                out.head(blocks, RR, 1 + block_words)?;
                out.word(self.ssrc)?;
            }
        }
        if let Some(block) = &self.block {
            out.word(block.ssrc)?;
            let lost = block
                .cumulative_lost
                .clamp(-0x80_0000, 0x7F_FFFF)
                .cast_unsigned()
                & 0xFF_FFFF;
            out.word(u32::from(block.fraction_lost) << 24 | lost)?;
            out.word(block.highest_sequence)?;
            out.word(block.jitter)?;
            out.word(block.last_sr)?;
            out.word(block.delay_since_last_sr)?;
        }
        let cname = self.cname.as_bytes();
        let cname = cname.get(..255).unwrap_or(cname);
        // The items end with at least one zero, at a whole word.
        let words = (cname.len() + 2) / 4 + 1;
        out.head(1, SDES, 1 + words as u16)?;
        out.word(self.ssrc)?;
        out.put(&[CNAME, cname.len() as u8])?;
        out.put(cname)?;
        out.put([0; 4].get(..words * 4 - cname.len() - 2)?)?;
        if self.bye {
            out.head(1, BYE, 1)?;
            out.word(self.ssrc)?;
        }
        Some(out.len)
    }
}

struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.out.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn word(&mut self, value: u32) -> Option<()> {
        self.put(&value.to_be_bytes())
    }

    fn head(&mut self, count: u8, packet_type: u8, words: u16) -> Option<()> {
        let [high, low] = words.to_be_bytes();
        self.put(&[0x80 | count, packet_type, high, low])
    }
}

/// Wall-clock time in the form of a sender report: seconds since 1900 in the upper half, fraction in the lower.
pub fn ntp(at: UnixMicros) -> u64 {
    let seconds = (at.0 / 1_000_000).wrapping_add(NTP_OFFSET);
    let fraction = ((at.0 % 1_000_000) << 32) / 1_000_000;
    seconds << 32 | fraction
}

/// When the next report is due (RFC 3550 §6.3), for a session of two.
#[derive(Debug, Clone)]
pub struct Schedule {
    last: Instant,
    next: Instant,
    initial: bool,
}

impl Schedule {
    /// Starts at `now`: the first report comes after half the usual interval.
    pub fn new(now: Instant, rng: &mut Rng) -> Self {
        Self {
            last: now,
            next: now + interval(true, rng),
            initial: true,
        }
    }

    /// When to look again.
    pub fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// Whether a report is to be sent now; sets the next time either way. The interval is drawn again when it is over
    /// and the report put off when the new one is longer (§6.3.6).
    pub fn due(&mut self, now: Instant, rng: &mut Rng) -> bool {
        if now < self.next {
            return false;
        }
        let reconsidered = self.last + interval(self.initial, rng);
        if reconsidered > now {
            self.next = reconsidered;
            return false;
        }
        self.last = now;
        self.initial = false;
        self.next = now + interval(false, rng);
        true
    }
}

/// 5 s, halved before the first report, times 0.5 to 1.5, divided by what reconsideration adds (§6.3.1).
fn interval(initial: bool, rng: &mut Rng) -> Duration {
    let least = if initial { 2.5 } else { 5.0 };
    Duration::from_secs_f64(least * (0.5 + rng.unit()) / COMPENSATION)
}

const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
/// SDES item: canonical name.
const CNAME: u8 = 1;
const BLOCK_LEN: usize = 24;
/// Seconds from 1900 to 1970.
const NTP_OFFSET: u64 = 2_208_988_800;
/// e − 3/2 (§6.3.1).
const COMPENSATION: f64 = 1.218_28;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::packet::is_rtcp;
    use crate::rtp::some_instant;

    fn block() -> ReportBlock {
        ReportBlock {
            ssrc: 7,
            fraction_lost: 12,
            cumulative_lost: -3,
            highest_sequence: 0x0001_FFFF,
            jitter: 44,
            last_sr: 0xAABB_CCDD,
            delay_since_last_sr: 65_536,
        }
    }

    #[test]
    fn a_sender_report_comes_back_as_it_was() {
        let info = SenderInfo {
            ntp: 0x0102_0304_0506_0708,
            rtp_time: 9,
            packets: 10,
            octets: 1600,
        };
        let mut out = [0; Report::MAX_LEN];
        let len = Report {
            ssrc: 5,
            sender: Some(info),
            block: Some(block()),
            cname: "swivel@192.0.2.1",
            bye: true,
        }
        .write(&mut out)
        .unwrap();
        assert_eq!(len % 4, 0);
        assert!(is_rtcp(&out[..len]));
        let mut packets = parse(&out[..len]);
        let Some(Rtcp::Sender {
            ssrc: 5,
            info: got,
            mut blocks,
        }) = packets.next()
        else {
            panic!()
        };
        assert_eq!(
            (got, blocks.next(), blocks.next()),
            (info, Some(block()), None)
        );
        assert_eq!(
            packets.next(),
            Some(Rtcp::Cname {
                ssrc: 5,
                cname: b"swivel@192.0.2.1"
            })
        );
        assert_eq!(packets.next(), Some(Rtcp::Bye { ssrc: 5 }));
        assert_eq!(packets.next(), None);
    }

    #[test]
    fn a_receiver_report_may_be_empty_and_every_cname_fits() {
        for length in 0..300 {
            let cname = "x".repeat(length);
            let mut out = [0xEE; Report::MAX_LEN];
            let len = Report {
                ssrc: 5,
                sender: None,
                block: None,
                cname: &cname,
                bye: false,
            }
            .write(&mut out)
            .unwrap();
            let packets: Vec<Rtcp<'_>> = parse(&out[..len]).collect();
            assert_eq!(packets.len(), 2, "{length}");
            assert_eq!(
                packets[1],
                Rtcp::Cname {
                    ssrc: 5,
                    cname: &cname.as_bytes()[..length.min(255)]
                }
            );
        }
        assert_eq!(
            Report {
                ssrc: 5,
                sender: None,
                block: None,
                cname: "x",
                bye: false
            }
            .write(&mut [0; 15]),
            None
        );
    }

    #[test]
    fn lengths_that_lie_end_the_parse() {
        assert_eq!(parse(&[]).count(), 0);
        assert_eq!(parse(&[0x80, 200, 0, 6, 0, 0]).count(), 0);
        assert_eq!(
            parse(&[0x9F, 201, 0, 1, 0, 0, 0, 1]).count(),
            0,
            "31 blocks announced, none there"
        );
        assert_eq!(
            parse(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 200, 0, 0]).count(),
            0,
            "CNAME longer than the packet"
        );
        assert_eq!(parse(&[0x80, 207, 0, 0, 0x80, 204, 0, 0]).count(), 2);
        assert_eq!(parse(&[0x40, 200, 0, 0]).count(), 0, "version 1");
    }

    #[test]
    fn ntp_time_of_the_unix_epoch() {
        assert_eq!(ntp(UnixMicros(0)), NTP_OFFSET << 32);
        assert_eq!(
            ntp(UnixMicros(1_500_000)),
            (NTP_OFFSET + 1) << 32 | 0x8000_0000
        );
    }

    #[test]
    fn reports_come_every_five_seconds_give_or_take_half() {
        let begin = some_instant();
        let mut rng = Rng::seeded(1);
        let mut schedule = Schedule::new(begin, &mut rng);
        let (mut now, mut last, mut gaps) = (begin, begin, Vec::new());
        while gaps.len() < 2000 {
            now = schedule.poll_timeout();
            if schedule.due(now, &mut rng) {
                gaps.push((now - last).as_secs_f64());
                last = now;
            }
        }
        assert!(gaps[0] < 3.1, "the first one early: {}", gaps[0]);
        assert!(gaps[1..].iter().all(|gap| (2.05..6.2).contains(gap)));
        let mean = gaps[1..].iter().sum::<f64>() / 1999.0;
        assert!((4.3..5.5).contains(&mean), "{mean}");
        assert!(!schedule.due(now, &mut rng));
    }
}
