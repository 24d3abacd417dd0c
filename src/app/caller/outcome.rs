//! How a call went, and the exit status that stands for it.

use serde::Serialize;

use super::super::ladder::Rung;
use crate::sip::ua::{How, Side};

/// Everything known about a finished call.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The Request-URI.
    pub target: String,
    /// The caller, as From has it; absent in calls of our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The Call-ID.
    pub call_id: String,
    /// In one word.
    pub result: Ending,
    /// The final status of the INVITE; absent when none came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The reason phrase or Reason header that came with the end.
    pub reason: String,
    /// Milliseconds from INVITE to the first 180 or 183.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ringing_ms: Option<u64>,
    /// Milliseconds from INVITE to the 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_ms: Option<u64>,
    /// Milliseconds from the 200 to the end.
    pub talk_ms: u64,
    /// `us`, `peer` or `transport`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<&'static str>,
    /// What was heard.
    pub heard: Heard,
    /// Keys the other side sent.
    pub keys: String,
    /// Whether what was sent and heard was encrypted.
    pub encrypted: bool,
    /// How often the other side put us on hold.
    pub held: u32,
    /// The transfer that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Shift>,
    /// Every message and remark, in order; of a telephone, those of all its calls are beside them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Rung>,
}

/// How handing the call on went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shift {
    /// To whom.
    pub target: String,
    /// Whether that one was talked to first.
    pub attended: bool,
    /// The last status heard of it; absent when nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl Shift {
    /// Whether the other side has reached that one.
    pub fn succeeded(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

impl Outcome {
    /// The exit status of `swivel call`: that of the ending, or 8 when the call could not be handed on.
    pub fn exit_code(&self) -> u8 {
        match &self.transfer {
            Some(transfer) if !transfer.succeeded() && self.result == Ending::Completed => 8,
            Some(_) | None => self.result.exit_code(),
        }
    }
}

/// What was heard.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Heard {
    /// Length of the recording, in milliseconds.
    pub length_ms: u64,
    /// How much of it was louder than silence, in milliseconds.
    pub audible_ms: u64,
    /// The highest sample, in dB below full scale.
    pub peak_db: f32,
    /// RTP packets received.
    pub packets: u64,
    /// RTP packets that never came.
    pub lost: u64,
    /// Jitter of what came, in milliseconds.
    pub jitter_ms: f32,
    /// RTP packets sent.
    pub sent: u64,
    /// Estimated mean opinion score, 1.0 to 4.5; 0 when nothing came.
    pub mos: f32,
}

/// How a call ended, coarsely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Answered, and ended by one side hanging up.
    Completed,
    /// 486 or 600.
    Busy,
    /// 408, 480, 487, or nobody answered in time.
    NoAnswer,
    /// Any other refusal by the callee or the server.
    Refused,
    /// 5xx, or the server could not be reached.
    Failed,
    /// Answered, then lost: no BYE from either side.
    Lost,
}

impl Ending {
    /// The ending a final status stands for.
    pub fn of_status(status: u16) -> Self {
        match status {
            486 | 600 => Self::Busy,
            408 | 480 | 487 => Self::NoAnswer,
            500..=599 => Self::Failed,
            _ => Self::Refused,
        }
    }

    /// The ending of a telephone whose REGISTER got that final status; 0 is none.
    pub fn of_registration(status: u16) -> Self {
        match status {
            0 | 408 | 500..=599 => Self::Failed,
            _ => Self::Refused,
        }
    }

    /// The ending of an answered leg.
    pub fn of_end(by: Side, how: How) -> Self {
        match (by, how) {
            (Side::Us | Side::Peer, How::Bye | How::Cancel) => Self::Completed,
            (_, How::Rejected { status }) => Self::of_status(status),
            _ => Self::Lost,
        }
    }

    /// The exit status that stands for it: 0 completed, 3 busy, 4 no answer, 5 refused, 6 failed, 7 lost. (1 is an error
    /// before the call, 2 a wrong command line.)
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Busy => 3,
            Self::NoAnswer => 4,
            Self::Refused => 5,
            Self::Failed => 6,
            Self::Lost => 7,
        }
    }
}

/// `us`, `peer` or `transport`.
pub(super) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Us => "us",
        Side::Peer => "peer",
        Side::Transport => "transport",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_ends_have_their_exit_codes() {
        for (status, code) in [
            (486, 3),
            (600, 3),
            (480, 4),
            (408, 4),
            (404, 5),
            (603, 5),
            (503, 6),
        ] {
            assert_eq!(Ending::of_status(status).exit_code(), code, "{status}");
        }
        assert_eq!(Ending::of_end(Side::Peer, How::Bye).exit_code(), 0);
        assert_eq!(
            Ending::of_end(Side::Transport, How::SessionExpired).exit_code(),
            7
        );
    }
}
