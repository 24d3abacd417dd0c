//! The times of RFC 3261 Table 4, RFC 6026 §8 and RFC 4320.

use std::time::{Duration, Instant};

/// Round-trip estimate.
pub(crate) const T1: Duration = Duration::from_millis(500);
/// Cap of the interval between retransmissions of non-INVITE requests and INVITE responses.
pub(crate) const T2: Duration = Duration::from_secs(4);
/// How long a message may live in the network.
pub(crate) const T4: Duration = Duration::from_secs(5);
/// 64 × T1: timers B, D, F, H, J, L, M, and the life of an unacknowledged 2xx or reliable 1xx.
pub(crate) const T1_X64: Duration = Duration::from_secs(32);
/// Timer C: longest wait for a final response after a provisional one (§16.6 item 11 asks for more than 3 minutes).
pub(crate) const TIMER_C: Duration = Duration::from_secs(185);
/// 100 Trying goes out when nothing else did by then; §17.2.1 allows 200 ms at most.
pub(crate) const TRYING_AFTER: Duration = Duration::from_millis(100);
/// When Timer E of a client reaches T2: a non-INVITE request without a response gets its 100 then (RFC 4320 §4.1).
pub(crate) const NON_INVITE_TRYING_AFTER: Duration = Duration::from_millis(3500);

/// A retransmission schedule: the next send and the interval that led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeat {
    /// When to send again.
    pub(crate) at: Instant,
    interval: Duration,
}

impl Repeat {
    /// First repetition T1 after `now`.
    pub(crate) fn start(now: Instant) -> Self {
        Self {
            at: now + T1,
            interval: T1,
        }
    }

    /// The schedule after a send at `self.at`: the interval doubles up to `cap`. After a stall the missed sends are not
    /// made up for.
    pub(crate) fn next(self, now: Instant, cap: Option<Duration>) -> Self {
        let doubled = self.interval.saturating_mul(2);
        let interval = cap.map_or(doubled, |cap| doubled.min(cap));
        let planned = self.at + interval;
        Self {
            at: if planned > now {
                planned
            } else {
                now + interval
            },
            interval,
        }
    }

    /// The same next send; the interval after it is T2 (Timer E of a client in Proceeding).
    pub(crate) fn slowed(self) -> Self {
        Self {
            at: self.at,
            interval: T2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::tests::start;

    #[test]
    fn a_stall_causes_no_burst() {
        let t0 = start();
        let late = t0 + Duration::from_secs(20);
        assert!(Repeat::start(t0).next(late, Some(T2)).at > late);
    }
}
