//! INVITE server transaction (RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §7.1).
//!
//! Repeating a 2xx until its ACK is not its work but the dialog's.

use std::time::Instant;

use super::timing::{Repeat, T1_X64, T2, T4, TRYING_AFTER};

/// Where the transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing sent yet: 100 goes out by itself.
    Trying { send_100: Instant },
    /// A provisional response was sent.
    Proceeding,
    /// A final response other than 2xx was sent: timers G (datagrams only) and H.
    Completed {
        repeat: Option<Repeat>,
        give_up: Instant,
    },
    /// Its ACK came: Timer I.
    Confirmed { until: Instant },
    /// A 2xx was sent: Timer L.
    Accepted { until: Instant },
    /// Over.
    Terminated,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The INVITE came again.
    Repeated,
    /// An ACK of this transaction came.
    Ack,
    /// We send a 1xx.
    Provisional,
    /// We send a 2xx.
    Success,
    /// We send a 300–699.
    Failure,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Send a 100.
    SendTrying,
    /// Send the last response again.
    Resend,
    /// Give the ACK to the user agent (only a peer without branch cookies acknowledges a 2xx inside the transaction).
    PassAck,
    /// No ACK came for the failure; the call is over all the same.
    NoAck,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct InviteServer {
    state: State,
    reliable: bool,
}

impl InviteServer {
    /// The request has just come.
    pub(crate) fn new(now: Instant, reliable: bool) -> Self {
        Self {
            state: State::Trying {
                send_100: now + TRYING_AFTER,
            },
            reliable,
        }
    }

    /// Whether the transaction is over.
    pub(crate) fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }

    /// Whether no final response was sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding)
    }

    /// Takes an event.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) -> Action {
        let (state, action) = match (self.state, event) {
            // The peer already waits for its first answer: no reason to let it wait for the rest of the 100 ms.
            (State::Trying { .. }, Event::Repeated) => (State::Proceeding, Action::SendTrying),
            (state @ (State::Proceeding | State::Completed { .. }), Event::Repeated) => {
                (state, Action::Resend)
            }
            (State::Trying { .. } | State::Proceeding, Event::Provisional) => {
                (State::Proceeding, Action::Nothing)
            }
            (State::Trying { .. } | State::Proceeding, Event::Success) => (
                State::Accepted {
                    until: now + T1_X64,
                },
                Action::Nothing,
            ),
            (State::Trying { .. } | State::Proceeding, Event::Failure) => {
                let repeat = (!self.reliable).then(|| Repeat::start(now));
                (
                    State::Completed {
                        repeat,
                        give_up: now + T1_X64,
                    },
                    Action::Nothing,
                )
            }
            (State::Completed { .. }, Event::Ack) => (
                if self.reliable {
                    State::Terminated
                } else {
                    State::Confirmed { until: now + T4 }
                },
                Action::Nothing,
            ),
            (state @ State::Accepted { .. }, Event::Ack) => (state, Action::PassAck),
            (state @ (State::Trying { .. } | State::Proceeding), Event::Ack)
            | (
                state @ State::Completed { .. },
                Event::Provisional | Event::Success | Event::Failure,
            )
            | (
                state @ (State::Confirmed { .. } | State::Terminated),
                Event::Repeated | Event::Ack | Event::Provisional | Event::Success | Event::Failure,
            )
            | (
                state @ State::Accepted { .. },
                Event::Repeated | Event::Provisional | Event::Success | Event::Failure,
            ) => (state, Action::Nothing),
        };
        self.state = state;
        action
    }

    /// When `handle_timeout` is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Trying { send_100 } => Some(send_100),
            State::Completed { repeat, give_up } => {
                Some(repeat.map_or(give_up, |repeat| repeat.at.min(give_up)))
            }
            State::Confirmed { until } | State::Accepted { until } => Some(until),
            State::Proceeding | State::Terminated => None,
        }
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Action {
        let (state, action) = match self.state {
            State::Trying { send_100 } if now >= send_100 => {
                (State::Proceeding, Action::SendTrying)
            }
            State::Completed { give_up, .. } if now >= give_up => {
                (State::Terminated, Action::NoAck)
            }
            State::Completed {
                repeat: Some(repeat),
                give_up,
            } if now >= repeat.at => (
                State::Completed {
                    repeat: Some(repeat.next(now, Some(T2))),
                    give_up,
                },
                Action::Resend,
            ),
            State::Confirmed { until } | State::Accepted { until } if now >= until => {
                (State::Terminated, Action::Nothing)
            }
            state @ (State::Trying { .. }
            | State::Proceeding
            | State::Completed { .. }
            | State::Confirmed { .. }
            | State::Accepted { .. }
            | State::Terminated) => (state, Action::Nothing),
        };
        self.state = state;
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::tests::{run_out, start};

    fn run(machine: &mut InviteServer, t0: Instant) -> Vec<(u128, Action)> {
        let (due, fire) = (InviteServer::poll_timeout, InviteServer::handle_timeout);
        run_out(machine, t0, due, fire, &Action::Nothing)
    }

    #[test]
    fn trying_goes_out_after_100_ms_unless_something_else_did() {
        let t0 = start();
        assert_eq!(
            run(&mut InviteServer::new(t0, false), t0),
            [(100, Action::SendTrying)]
        );
        let mut machine = InviteServer::new(t0, false);
        machine.handle(t0, Event::Provisional);
        assert_eq!(machine.poll_timeout(), None);
        assert_eq!(machine.handle(t0, Event::Repeated), Action::Resend);
        let mut machine = InviteServer::new(t0, false);
        assert_eq!(machine.handle(t0, Event::Repeated), Action::SendTrying);
    }

    #[test]
    fn a_failure_is_repeated_until_32_s_on_datagrams() {
        let t0 = start();
        let mut machine = InviteServer::new(t0, false);
        machine.handle(t0, Event::Failure);
        assert_eq!(machine.handle(t0, Event::Repeated), Action::Resend);
        let fired = run(&mut machine, t0);
        let resends: Vec<u128> = fired
            .iter()
            .filter(|f| f.1 == Action::Resend)
            .map(|f| f.0)
            .collect();
        assert_eq!(
            resends,
            [
                500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
            ]
        );
        assert_eq!(fired.last(), Some(&(32_000, Action::NoAck)));
    }

    #[test]
    fn a_failure_goes_out_once_on_streams_and_still_waits_32_s() {
        let t0 = start();
        let mut machine = InviteServer::new(t0, true);
        machine.handle(t0, Event::Failure);
        assert_eq!(run(&mut machine, t0), [(32_000, Action::NoAck)]);
    }

    #[test]
    fn the_ack_stops_the_repetitions_and_repeated_acks_are_absorbed_for_t4() {
        let t0 = start();
        let mut machine = InviteServer::new(t0, false);
        machine.handle(t0, Event::Failure);
        assert_eq!(machine.handle(t0, Event::Ack), Action::Nothing);
        assert_eq!(machine.handle(t0, Event::Ack), Action::Nothing);
        assert_eq!(machine.handle(t0, Event::Repeated), Action::Nothing);
        assert_eq!(run(&mut machine, t0), [(5000, Action::Nothing)]);
        let mut machine = InviteServer::new(t0, true);
        machine.handle(t0, Event::Failure);
        machine.handle(t0, Event::Ack);
        assert!(machine.is_terminated(), "Timer I is zero on streams");
    }

    #[test]
    fn after_a_2xx_repeated_invites_are_absorbed_for_32_s_on_every_transport() {
        let t0 = start();
        for reliable in [false, true] {
            let mut machine = InviteServer::new(t0, reliable);
            machine.handle(t0, Event::Success);
            assert_eq!(machine.handle(t0, Event::Repeated), Action::Nothing);
            assert_eq!(machine.handle(t0, Event::Ack), Action::PassAck);
            assert_eq!(machine.handle(t0, Event::Failure), Action::Nothing);
            assert_eq!(run(&mut machine, t0), [(32_000, Action::Nothing)]);
        }
    }
}
