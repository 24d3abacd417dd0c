//! What a stream was like: loss and jitter (RFC 3550 §6.4.1, A.3, A.8), round trip, and an estimate of how it sounded.

use std::time::{Duration, Instant};

use super::packet::Packet;
use super::rtcp::{ReportBlock, SenderInfo};
use super::sequence::{RtpTime, extend};

/// Reception statistics of one port: of the present source, and in sum over all it has had.
#[derive(Debug, Clone, Default)]
pub struct Reception {
    clock_rate_hz: u32,
    source: Option<Source>,
    packets: u64,
    /// Of sources that are gone.
    past_expected: u64,
    past_lost: u64,
    jitter_ticks: f64,
    max_jitter_ticks: f64,
    /// Middle of the NTP time of the peer's last sender report, and when it came.
    last_report: Option<(u32, Instant)>,
}

#[derive(Debug, Clone)]
struct Source {
    ssrc: u32,
    first: u64,
    highest: u64,
    received: u64,
    /// As of the last report.
    expected_before: u64,
    received_before: u64,
    /// Arrival and timestamp of the last packet whose timestamp was new.
    last: (Instant, RtpTime),
}

impl Source {
    fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }
}

impl Reception {
    /// For an RTP clock of `clock_rate_hz`.
    pub fn new(clock_rate_hz: u32) -> Self {
        Self {
            clock_rate_hz,
            ..Self::default()
        }
    }

    /// The RTP clock is another one from now on: what was measured of the timing is void.
    pub fn set_clock(&mut self, clock_rate_hz: u32) {
        if self.clock_rate_hz != clock_rate_hz {
            self.clock_rate_hz = clock_rate_hz;
            self.jitter_ticks = 0.0;
            self.max_jitter_ticks = 0.0;
        }
    }

    /// A packet from the believed source, before the jitter buffer; of any payload type.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>) {
        self.packets += 1;
        let known = self
            .source
            .as_mut()
            .filter(|source| source.ssrc == packet.ssrc);
        let extended = known
            .as_ref()
            .map(|source| extend(source.highest, packet.sequence));
        if let (Some(source), Some(extended)) = (known, extended)
            && extended <= source.highest + MAX_DROPOUT
            && extended + MAX_MISORDER >= source.highest
        {
            source.highest = source.highest.max(extended);
            source.received += 1;
            // Events keep their timestamp for many packets: only a new one says something about timing.
            let (then, timestamp) = source.last;
            let step = packet.timestamp.since(timestamp);
            if step != 0 {
                source.last = (now, packet.timestamp);
                let waited = now.saturating_duration_since(then).as_secs_f64()
                    * f64::from(self.clock_rate_hz);
                let difference = (waited - f64::from(step)).abs();
                if difference < f64::from(self.clock_rate_hz) {
                    self.jitter_ticks += (difference - self.jitter_ticks) / 16.0;
                    self.max_jitter_ticks = self.max_jitter_ticks.max(self.jitter_ticks);
                }
            }
            return;
        }
        if let Some(gone) = self.source.take() {
            self.past_expected += gone.expected();
            self.past_lost += gone.lost();
            self.last_report = None;
        }
        let first = (1 << 32) + u64::from(packet.sequence.0);
        self.source = Some(Source {
            ssrc: packet.ssrc,
            first,
            highest: first,
            received: 1,
            expected_before: 0,
            received_before: 0,
            last: (now, packet.timestamp),
        });
    }

    /// The peer's sender report arrived; `ssrc` is who sent it.
    pub fn sender_report(&mut self, now: Instant, ssrc: u32, info: &SenderInfo) {
        if self
            .source
            .as_ref()
            .is_some_and(|source| source.ssrc == ssrc)
        {
            self.last_report = Some(((info.ntp >> 16) as u32, now));
        }
    }

    /// The block for our next report, and a new interval; `None` before the first packet.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let jitter = self.jitter_ticks as u32;
        let source = self.source.as_mut()?;
        let expected = source.expected();
        let interval_expected = expected - source.expected_before;
        let interval_lost =
            interval_expected.saturating_sub(source.received - source.received_before);
        source.expected_before = expected;
        source.received_before = source.received;
        let lost = i64::try_from(expected)
            .unwrap_or(i64::MAX)
            .saturating_sub_unsigned(source.received);
        let (last_sr, delay) = self.last_report.map_or((0, 0), |(middle, at)| {
            let delay = now.saturating_duration_since(at).as_secs_f64() * 65_536.0;
            (middle, delay as u32)
        });
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: (interval_lost * 256)
                .checked_div(interval_expected)
                .unwrap_or(0)
                .min(255) as u8,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7F_FFFF) as i32,
            highest_sequence: (source.highest - (1 << 32)) as u32,
            jitter,
            last_sr,
            delay_since_last_sr: delay,
        })
    }

    /// The figures so far.
    pub fn summary(&self) -> Summary {
        let (expected, lost) = self
            .source
            .as_ref()
            .map_or((0, 0), |source| (source.expected(), source.lost()));
        let time =
            |ticks: f64| Duration::from_secs_f64(ticks / f64::from(self.clock_rate_hz.max(1)));
        Summary {
            packets: self.packets,
            expected: self.past_expected + expected,
            lost: self.past_lost + lost,
            jitter: time(self.jitter_ticks),
            max_jitter: time(self.max_jitter_ticks),
        }
    }
}

/// Figures of one incoming stream.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// Packets received.
    pub packets: u64,
    /// Packets expected by sequence numbers.
    pub expected: u64,
    /// Packets missing.
    pub lost: u64,
    /// Interarrival jitter, now.
    pub jitter: Duration,
    /// Largest interarrival jitter.
    pub max_jitter: Duration,
}

impl Summary {
    /// Part of the packets lost, 0.0–1.0.
    pub fn loss(&self) -> f64 {
        if self.expected == 0 {
            0.0
        } else {
            self.lost as f64 / self.expected as f64
        }
    }
}

/// Round trip from the peer's report about us (RFC 3550 §6.4.1): `now_ntp` is our time when it arrived, in the
/// same form as in our SR. `None` when the report knows none of our SRs, or makes no sense.
pub fn round_trip(now_ntp: u64, block: &ReportBlock) -> Option<Duration> {
    if block.last_sr == 0 {
        return None;
    }
    let away = ((now_ntp >> 16) as u32).wrapping_sub(block.last_sr);
    let travelled = away.checked_sub(block.delay_since_last_sr)?;
    let trip = Duration::from_secs_f64(f64::from(travelled) / 65_536.0);
    (trip <= LONGEST_TRIP).then_some(trip)
}

/// Mean opinion score, 1.0–4.5, by the E-model (ITU-T G.107 with default values) for G.711 with loss concealment
/// (G.113: no impairment by itself, robustness 25.1). `loss` is 0.0–1.0; `one_way_delay` includes the jitter buffer.
pub fn mos(loss: f64, one_way_delay: Duration) -> f32 {
    let percent = (loss.clamp(0.0, 1.0)) * 100.0;
    let delay_ms = one_way_delay.as_secs_f64() * 1000.0;
    let delay_impairment = 0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0);
    let loss_impairment = 95.0 * percent / (percent + 25.1);
    let r = (93.2 - delay_impairment - loss_impairment).clamp(0.0, 100.0);
    let score = 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6;
    score.clamp(1.0, 4.5) as f32
}

/// Forward leap of the sequence that is still the same stream (RFC 3550 A.1).
const MAX_DROPOUT: u64 = 3000;
/// Backward step that is still reordering (RFC 3550 A.1).
const MAX_MISORDER: u64 = 100;
/// A longer round trip is a mistake.
const LONGEST_TRIP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{Seq, some_instant};

    fn packet(seq: u16, time: u32) -> Packet<'static> {
        Packet {
            marker: false,
            payload_type: 0,
            sequence: Seq(seq),
            timestamp: RtpTime(time),
            ssrc: 1,
            payload: &[],
        }
    }

    #[test]
    fn loss_is_counted_over_a_wrap() {
        let begin = some_instant();
        let mut reception = Reception::new(8000);
        for i in (0..20u16).filter(|i| i % 5 != 3) {
            reception.receive(
                begin,
                &packet(65_530u16.wrapping_add(i), u32::from(i) * 160),
            );
        }
        let summary = reception.summary();
        assert_eq!(
            (summary.packets, summary.expected, summary.lost),
            (16, 20, 4)
        );
        assert!((summary.loss() - 0.2).abs() < 1e-9);
        let block = reception.report(begin).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (51, 4));
        assert_eq!(block.highest_sequence, 65_536 + 13);
        assert_eq!(
            reception.report(begin).unwrap().fraction_lost,
            0,
            "a new interval"
        );
    }

    #[test]
    fn duplicates_make_loss_negative_in_reports_only() {
        let begin = some_instant();
        let mut reception = Reception::new(8000);
        for seq in [1, 2, 2, 3, 3] {
            reception.receive(begin, &packet(seq, u32::from(seq) * 160));
        }
        assert_eq!(reception.report(begin).unwrap().cumulative_lost, -2);
        assert_eq!(reception.summary().lost, 0);
    }

    #[test]
    fn a_new_source_or_a_leap_starts_again_without_losing_the_past() {
        let begin = some_instant();
        let mut reception = Reception::new(8000);
        for seq in [1, 2, 4, 30_000, 30_001] {
            reception.receive(begin, &packet(seq, 0));
        }
        let summary = reception.summary();
        assert_eq!((summary.expected, summary.lost), (6, 1));
    }

    #[test]
    fn even_pacing_has_no_jitter_and_events_do_not_add_any() {
        let begin = some_instant();
        let mut reception = Reception::new(8000);
        for i in 0..200u16 {
            let now = begin + Duration::from_millis(20) * u32::from(i);
            let event = (50..60).contains(&i);
            reception.receive(
                now,
                &packet(i, if event { 50 * 160 } else { u32::from(i) * 160 }),
            );
        }
        assert!(reception.summary().max_jitter < Duration::from_micros(100));
        for i in 200..400u16 {
            let now = begin
                + Duration::from_millis(20) * u32::from(i)
                + Duration::from_millis(u64::from(i % 2) * 10);
            reception.receive(now, &packet(i, u32::from(i) * 160));
        }
        let jitter = reception.summary().jitter;
        assert!((9..=10).contains(&jitter.as_millis()), "{jitter:?}");
    }

    #[test]
    fn the_round_trip_is_what_is_left_of_the_time_away() {
        let sent = 1000u64 << 32;
        let block = ReportBlock {
            last_sr: (sent >> 16) as u32,
            delay_since_last_sr: 65_536 * 2,
            ..ReportBlock::default()
        };
        let now = sent + (2 << 32) + (1 << 31) / 5; // 2.1 s later
        assert_eq!(round_trip(now, &block).unwrap().as_millis(), 99);
        assert_eq!(round_trip(sent, &block), None, "earlier than possible");
        assert_eq!(round_trip(now, &ReportBlock::default()), None);
    }

    #[test]
    fn our_report_knows_the_peers_last_one() {
        let begin = some_instant();
        let mut reception = Reception::new(8000);
        assert_eq!(reception.report(begin), None);
        reception.receive(begin, &packet(1, 0));
        let info = SenderInfo {
            ntp: 0x1111_2222_3333_4444,
            ..SenderInfo::default()
        };
        reception.sender_report(begin, 99, &info);
        assert_eq!(
            reception.report(begin).unwrap().last_sr,
            0,
            "from somebody else"
        );
        reception.sender_report(begin, 1, &info);
        let block = reception
            .report(begin + Duration::from_millis(500))
            .unwrap();
        assert_eq!(
            (block.last_sr, block.delay_since_last_sr),
            (0x2222_3333, 32_768)
        );
    }

    #[test]
    fn the_score_falls_with_loss_and_delay() {
        assert!((mos(0.0, Duration::from_millis(50)) - 4.38).abs() < 0.05);
        assert!(mos(0.05, Duration::from_millis(50)) < 4.0);
        assert!(mos(0.0, Duration::from_millis(500)) < 3.2);
        assert!((mos(1.0, Duration::from_secs(10)) - 1.0).abs() < 0.01);
        assert!(mos(f64::NAN, Duration::ZERO).is_nan() || mos(f64::NAN, Duration::ZERO) >= 1.0);
    }
}
