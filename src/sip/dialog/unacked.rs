//! The 2xx to an INVITE, repeated by the user agent until its ACK (RFC 3261 §13.3.1.4), on every transport.

use std::time::Instant;

use crate::sip::transaction::timing::{Repeat, T1_X64, T2};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Send the 2xx again.
    Resend,
    /// 32 s without an ACK: the session ends.
    NoAck,
}

/// One 2xx without its ACK.
#[derive(Debug)]
pub(crate) struct Unacked {
    /// Sequence number of the INVITE, and so of the ACK.
    pub(crate) cseq: u32,
    repeat: Repeat,
    give_up: Instant,
}

impl Unacked {
    /// The 2xx has just been sent.
    pub(crate) fn new(now: Instant, cseq: u32) -> Self {
        Self {
            cseq,
            repeat: Repeat::start(now),
            give_up: now + T1_X64,
        }
    }

    /// When `handle_timeout` is due.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.repeat.at.min(self.give_up)
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Action {
        if now >= self.give_up {
            Action::NoAck
        } else if now >= self.repeat.at {
            self.repeat = self.repeat.next(now, Some(T2));
            Action::Resend
        } else {
            Action::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::tests::start;

    #[test]
    fn a_2xx_is_repeated_on_its_schedule_until_32_s() {
        let t0 = start();
        let mut unacked = Unacked::new(t0, 1);
        let mut resends = Vec::new();
        loop {
            let at = unacked.poll_timeout();
            assert_eq!(
                unacked.handle_timeout(at - std::time::Duration::from_millis(1)),
                Action::Nothing
            );
            match unacked.handle_timeout(at) {
                Action::Resend => resends.push((at - t0).as_millis()),
                Action::NoAck => {
                    assert_eq!((at - t0).as_millis(), 32_000);
                    break;
                }
                Action::Nothing => panic!("due"),
            }
        }
        assert_eq!(
            resends,
            [
                500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
            ]
        );
    }
}
