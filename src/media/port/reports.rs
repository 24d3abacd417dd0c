//! RTCP of one port: our reports to the peer, and what the peer reports about us.
//!
//! A forged report can spoil a statistic and nothing else; a BYE from the peer changes nothing: signalling ends calls.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::hear::Hearing;
use super::session::Session;
use crate::base::rng::Rng;
use crate::media::event::PortStats;
use crate::rtp::RtpSender;
use crate::rtp::rtcp::{self, ReportBlock, Rtcp, Schedule, SenderInfo};
use crate::rtp::stats::round_trip;

/// One port's reports.
#[derive(Debug, Default)]
pub(super) struct Reports {
    schedule: Option<Schedule>,
    /// Packets sent at our last two reports: an SR is due while that number grows (RFC 3550 §6.4).
    sent: [u32; 2],
    round_trip: Option<Duration>,
    remote_loss: f32,
    remote_jitter_ms: f32,
}

impl Reports {
    /// A session began: the schedule with it.
    pub(super) fn start(&mut self, now: Instant, rng: &mut Rng) {
        self.schedule = Some(Schedule::new(now, rng));
    }

    pub(super) fn is_due(&mut self, now: Instant, rng: &mut Rng) -> bool {
        self.schedule
            .as_mut()
            .is_some_and(|s| s.poll_timeout() <= now && s.due(now, rng))
    }

    /// Writes the next report to the front of `out`.
    #[expect(
        clippy::too_many_arguments,
        reason = "a report names all of these, once"
    )]
    pub(super) fn write(
        &mut self,
        now: Instant,
        ntp: u64,
        sender: &RtpSender,
        hearing: &mut Hearing,
        cname: &str,
        bye: bool,
        out: &mut [u8],
    ) -> Option<usize> {
        let packets = sender.packets();
        let info = SenderInfo {
            ntp,
            rtp_time: sender.timestamp().0,
            packets,
            octets: sender.octets(),
        };
        let sending = self.sent.iter().any(|before| *before != packets);
        self.sent = [packets, self.sent[0]];
        let report = rtcp::Report {
            ssrc: sender.ssrc(),
            sender: sending.then_some(info),
            block: hearing.reception.as_mut().and_then(|r| r.report(now)),
            cname,
            bye,
        };
        report.write(out)
    }

    /// Something came on the RTCP port.
    #[expect(
        clippy::too_many_arguments,
        reason = "one caller, and a struct for it would only rename them"
    )]
    pub(super) fn receive(
        &mut self,
        now: Instant,
        ntp: u64,
        session: &mut Session,
        hearing: &mut Hearing,
        own_ssrc: u32,
        from: SocketAddr,
        bytes: &[u8],
        stats: &mut PortStats,
    ) {
        if !session.latch.accepts_rtcp(from) {
            stats.strangers += 1;
            return;
        }
        let mut any = false;
        let ticks_per_ms = session.codec.ticks_per_ms();
        for packet in rtcp::parse(bytes).take(PACKETS_IN_A_COMPOUND) {
            any = true;
            match packet {
                Rtcp::Sender { ssrc, info, blocks } => {
                    if let Some(reception) = &mut hearing.reception {
                        reception.sender_report(now, ssrc, &info);
                    }
                    blocks
                        .filter(|b| b.ssrc == own_ssrc)
                        .for_each(|b| self.about_us(ntp, ticks_per_ms, &b));
                }
                Rtcp::Receiver { blocks, .. } => {
                    blocks
                        .filter(|b| b.ssrc == own_ssrc)
                        .for_each(|b| self.about_us(ntp, ticks_per_ms, &b));
                }
                Rtcp::Cname { .. } | Rtcp::Bye { .. } | Rtcp::Other { .. } => {}
            }
        }
        if any {
            session.rtcp_from(from);
        } else {
            stats.malformed += 1;
        }
    }

    pub(super) fn fill_in(&self, stats: &mut PortStats) {
        stats.round_trip = self.round_trip;
        stats.remote_loss = self.remote_loss;
        stats.remote_jitter_ms = self.remote_jitter_ms;
    }

    fn about_us(&mut self, ntp: u64, ticks_per_ms: u32, block: &ReportBlock) {
        self.round_trip = round_trip(ntp, block).or(self.round_trip);
        self.remote_loss = f32::from(block.fraction_lost) / 256.0;
        self.remote_jitter_ms = block.jitter as f32 / ticks_per_ms.max(1) as f32;
    }
}

/// More packets in one datagram are not looked at.
const PACKETS_IN_A_COMPOUND: usize = 16;
