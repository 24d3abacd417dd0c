//! Reliable provisional responses (RFC 3262): repeating ours until their PRACK, ordering the peer's.

use std::time::Instant;

use crate::sip::transaction::timing::{Repeat, T1_X64};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Send the provisional response again.
    Resend,
    /// 32 s without a PRACK: the INVITE is refused (§3).
    NoPrack,
}

/// Our reliable provisional responses to one INVITE. One is outstanding at a time.
#[derive(Debug)]
pub(crate) struct Sender {
    next: u32,
    outstanding: Option<Outstanding>,
}

#[derive(Debug)]
struct Outstanding {
    rseq: u32,
    repeat: Repeat,
    give_up: Instant,
}

impl Sender {
    /// Starts at a random number in 1..2^31.
    pub(crate) fn new(random: u32) -> Self {
        Self {
            next: (random >> 1).max(1),
            outstanding: None,
        }
    }

    /// Whether one waits for its PRACK.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.outstanding.is_some()
    }

    /// The RSeq that waits for its PRACK.
    pub(crate) fn outstanding(&self) -> Option<u32> {
        self.outstanding.as_ref().map(|o| o.rseq)
    }

    /// The RSeq of the response sent now.
    pub(crate) fn send(&mut self, now: Instant) -> u32 {
        let rseq = self.next;
        // RSeq stays below 2^32 whatever the start: a peer sees at most a handful.
        self.next = self.next.saturating_add(1);
        self.outstanding = Some(Outstanding {
            rseq,
            repeat: Repeat::start(now),
            give_up: now + T1_X64,
        });
        rseq
    }

    /// A PRACK for that RSeq came. Whether it acknowledges the outstanding response.
    pub(crate) fn acknowledge(&mut self, rseq: u32) -> bool {
        let matches = self.outstanding.as_ref().is_some_and(|o| o.rseq == rseq);
        if matches {
            self.outstanding = None;
        }
        matches
    }

    /// When `handle_timeout` is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.outstanding
            .as_ref()
            .map(|o| o.repeat.at.min(o.give_up))
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Action {
        match &mut self.outstanding {
            Some(o) if now >= o.give_up => {
                self.outstanding = None;
                Action::NoPrack
            }
            Some(o) if now >= o.repeat.at => {
                o.repeat = o.repeat.next(now, None);
                Action::Resend
            }
            Some(_) | None => Action::Nothing,
        }
    }
}

/// What a reliable provisional response of the peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The next one: acknowledge and pass on.
    Next,
    /// Seen already: drop; its PRACK is repeated by its own transaction.
    Repeated,
    /// One before it is missing: drop without PRACK (§4).
    Early,
}

/// The peer's reliable provisional responses in one early dialog.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Receiver {
    last: Option<u32>,
}

impl Receiver {
    /// Judges the response with that RSeq.
    pub(crate) fn receive(&mut self, rseq: u32) -> Order {
        match self.last {
            Some(last) if rseq <= last => Order::Repeated,
            Some(last) if Some(rseq) != last.checked_add(1) => Order::Early,
            Some(_) | None => {
                self.last = Some(rseq);
                Order::Next
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::tests::{run_out, start};

    #[test]
    fn a_reliable_response_is_repeated_doubling_until_32_s() {
        let t0 = start();
        let mut sender = Sender::new(u32::MAX);
        assert_eq!(sender.send(t0), (1 << 31) - 1, "RSeq begins below 2^31");
        let (due, fire) = (Sender::poll_timeout, Sender::handle_timeout);
        let fired = run_out(&mut sender, t0, due, fire, &Action::Nothing);
        let resend = |t| (t, Action::Resend);
        assert_eq!(
            fired,
            [
                resend(500),
                resend(1500),
                resend(3500),
                resend(7500),
                resend(15500),
                resend(31500),
                (32000, Action::NoPrack)
            ]
        );
    }

    #[test]
    fn only_the_right_prack_ends_the_repetitions() {
        let t0 = start();
        let mut sender = Sender::new(0);
        assert_eq!(sender.send(t0), 1);
        assert!(!sender.acknowledge(2));
        assert!(sender.acknowledge(1));
        assert!(!sender.acknowledge(1));
        assert_eq!(sender.poll_timeout(), None);
        assert_eq!(sender.send(t0), 2);
    }

    #[test]
    fn the_peers_responses_are_taken_in_order() {
        let mut receiver = Receiver::default();
        assert_eq!(receiver.receive(7), Order::Next);
        assert_eq!(receiver.receive(7), Order::Repeated);
        assert_eq!(receiver.receive(9), Order::Early);
        assert_eq!(receiver.receive(8), Order::Next);
        assert_eq!(receiver.receive(9), Order::Next);
    }
}
