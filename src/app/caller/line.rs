//! One call of a telephone: its leg, what it waits for, and how it went.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Instant;

use super::level::{self, Level, audible_ms, tail};
use super::outcome::{Ending, Heard, Outcome, Shift};
use super::script::Step;
use crate::base::id::{OpId, PortId};
use crate::media::{Port, PortStats};
use crate::sdp::{Author, Crypto, Session};
use crate::sip::ua::{Body, LegId};

/// What a line is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The call that was asked for.
    Placed,
    /// Somebody called us.
    Taken,
    /// The call before an attended transfer of that line.
    Consulting(LegId),
}

/// What the script of a line waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// Nothing: the next step may begin.
    Idle,
    /// A pause.
    Until(Instant),
    /// Keys that are being sent.
    Keys,
    /// The answer to our offer.
    Offer,
    /// The end of a transfer.
    Transfer,
}

/// How a line ended.
pub(super) struct End {
    pub(super) at: Instant,
    pub(super) result: Ending,
    pub(super) status: Option<u16>,
    pub(super) reason: String,
    pub(super) by: Option<&'static str>,
}

/// One call.
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) role: Role,
    pub(super) leg: LegId,
    pub(super) target: String,
    pub(super) from: Option<String>,
    pub(super) call_id: String,
    pub(super) port: Option<Port>,
    pub(super) port_id: PortId,
    pub(super) author: Author,
    pub(super) session_id: u64,
    pub(super) crypto: Option<Crypto>,
    pub(super) cname: String,
    /// Our offer, the last one.
    pub(super) offer: Option<Session>,
    /// Whether we hold the other side.
    pub(super) holding: bool,
    /// Whether the other side holds us, and how often it has.
    pub(super) held: bool,
    pub(super) holds: u32,
    pub(super) encrypted: bool,
    pub(super) started: Instant,
    pub(super) ringing: Option<Instant>,
    pub(super) answered: Option<Instant>,
    /// When an incoming call is answered, and its offer.
    pub(super) answer_at: Option<Instant>,
    pub(super) their_offer: Option<Body>,
    pub(super) give_up: Instant,
    pub(super) hung_up: bool,
    pub(super) end: Option<End>,
    pub(super) configured: bool,
    pub(super) recorded: bool,
    pub(super) stats: Option<PortStats>,
    pub(super) keys: String,
    pub(super) recording: PathBuf,
    pub(super) steps: VecDeque<Step>,
    pub(super) busy: Busy,
    pub(super) transfer: Option<Shift>,
    /// The tag of whoever answered.
    pub(super) remote_tag: String,
    /// When an attended transfer has been talked about long enough.
    pub(super) hand_on_at: Option<Instant>,
}

/// The operations of a line's port.
pub(super) const RECORD: u64 = 1;
pub(super) const PLAY: u64 = 2;
pub(super) const KEYS: u64 = 3;

impl Line {
    /// The id of one of its operations.
    pub(super) fn op(&self, which: u64) -> OpId {
        OpId(self.number * 8 + which)
    }

    /// Whether it is over and everything about it is known, or has been waited for long enough.
    pub(super) fn is_done(&self, now: Instant) -> bool {
        self.end.as_ref().is_some_and(|end| {
            let told = self.recorded && self.stats.is_some();
            told || !self.configured || now >= end.at + super::agent::LINGER
        })
    }

    /// When it wants to be looked at.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if let Some(end) = &self.end {
            return Some(end.at + super::agent::LINGER);
        }
        let pause = match self.busy {
            Busy::Until(at) => Some(at),
            Busy::Idle | Busy::Keys | Busy::Offer | Busy::Transfer => None,
        };
        let patience = if self.hung_up {
            self.give_up + super::agent::LINGER
        } else {
            self.give_up
        };
        [Some(patience), self.answer_at, pause, self.hand_on_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// How it went.
    pub(super) fn outcome(&self, now: Instant) -> Outcome {
        let ms = |from: Instant, to: Instant| {
            u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
        };
        let end = self.end.as_ref();
        let ended = end.map_or(now, |e| e.at);
        Outcome {
            target: self.target.clone(),
            from: self.from.clone(),
            call_id: self.call_id.clone(),
            result: end.map_or(Ending::Failed, |e| e.result),
            status: end.and_then(|e| e.status),
            reason: end.map(|e| e.reason.clone()).unwrap_or_default(),
            ringing_ms: self.ringing.map(|at| ms(self.started, at)),
            answered_ms: self.answered.map(|at| ms(self.started, at)),
            talk_ms: self.answered.map_or(0, |at| ms(at, ended)),
            ended_by: end.and_then(|e| e.by),
            heard: self.heard(),
            keys: self.keys.clone(),
            encrypted: self.encrypted,
            held: self.holds,
            transfer: self.transfer.clone(),
            ladder: Vec::new(),
        }
    }

    fn heard(&self) -> Heard {
        let samples = if self.recorded {
            tail(&self.recording, usize::MAX / 4).unwrap_or_default()
        } else {
            Vec::new()
        };
        let rate_hz = level::rate_hz(&self.recording).unwrap_or(8000);
        let stats = self.stats.unwrap_or_default();
        Heard {
            length_ms: samples.len() as u64 * 1000 / u64::from(rate_hz),
            audible_ms: audible_ms(&samples, rate_hz),
            peak_db: Level::of(&samples).peak_db,
            packets: stats.packets_received,
            lost: stats.packets_lost,
            jitter_ms: stats.jitter_ms,
            sent: stats.packets_sent,
            mos: stats.mos,
        }
    }
}
