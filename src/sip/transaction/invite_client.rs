//! INVITE client transaction (RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §7.2) and its Timer C.
//!
//! Knows nothing of dialogs: every 2xx is passed up, and the ACK for it is the dialog's work.

use std::time::Instant;

use super::timing::{Repeat, T1_X64, TIMER_C};

/// Where the transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Sent, no answer yet: timers A (datagrams only) and B.
    Calling {
        repeat: Option<Repeat>,
        give_up: Instant,
    },
    /// A provisional response came: Timer C.
    Proceeding { timer_c: Instant },
    /// As Proceeding, after our CANCEL: 64 × T1 for the final response (§9.1).
    Cancelled { give_up: Instant },
    /// A final response other than 2xx came: Timer D.
    Completed { until: Instant },
    /// A 2xx came: Timer M.
    Accepted { until: Instant },
    /// Over.
    Terminated,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// 100.
    Trying,
    /// 101–199.
    Progress,
    /// 2xx.
    Success,
    /// 300–699.
    Failure,
    /// Our CANCEL was sent.
    Cancelled,
    /// The transport cannot deliver the request.
    TransportFailed,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Send the INVITE again.
    Resend,
    /// Give the response to the user agent.
    Pass,
    /// Send the ACK and give the response to the user agent.
    PassAndAck,
    /// Send the ACK again.
    Ack,
    /// No answer: as if 408.
    Timeout,
    /// Timer C fired: the user agent cancels.
    TooLong,
    /// The transport failed: as if 503.
    Unreachable,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct InviteClient {
    state: State,
    reliable: bool,
}

impl InviteClient {
    /// The request has just been sent.
    pub(crate) fn new(now: Instant, reliable: bool) -> Self {
        let repeat = (!reliable).then(|| Repeat::start(now));
        Self {
            state: State::Calling {
                repeat,
                give_up: now + T1_X64,
            },
            reliable,
        }
    }

    /// Whether the transaction is over.
    pub(crate) fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }

    /// Whether a provisional response has come and no final one.
    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(
            self.state,
            State::Proceeding { .. } | State::Cancelled { .. }
        )
    }

    /// Whether nothing at all has come.
    pub(crate) fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    /// Takes an event.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) -> Action {
        let (state, action) = match (self.state, event) {
            (State::Calling { .. }, Event::Trying | Event::Progress) => (
                State::Proceeding {
                    timer_c: now + TIMER_C,
                },
                Action::Pass,
            ),
            (state @ State::Proceeding { .. }, Event::Trying) => (state, Action::Pass),
            (State::Proceeding { .. }, Event::Progress) => (
                State::Proceeding {
                    timer_c: now + TIMER_C,
                },
                Action::Pass,
            ),
            (state @ State::Cancelled { .. }, Event::Trying | Event::Progress) => {
                (state, Action::Pass)
            }
            (
                State::Calling { .. } | State::Proceeding { .. } | State::Cancelled { .. },
                Event::Success,
            ) => (
                State::Accepted {
                    until: now + T1_X64,
                },
                Action::Pass,
            ),
            (state @ State::Accepted { .. }, Event::Success) => (state, Action::Pass),
            (
                State::Calling { .. } | State::Proceeding { .. } | State::Cancelled { .. },
                Event::Failure,
            ) => {
                let state = if self.reliable {
                    State::Terminated
                } else {
                    State::Completed {
                        until: now + T1_X64,
                    }
                };
                (state, Action::PassAndAck)
            }
            (state @ State::Completed { .. }, Event::Failure) => (state, Action::Ack),
            (State::Calling { .. } | State::Proceeding { .. }, Event::Cancelled) => (
                State::Cancelled {
                    give_up: now + T1_X64,
                },
                Action::Nothing,
            ),
            (
                State::Calling { .. } | State::Proceeding { .. } | State::Cancelled { .. },
                Event::TransportFailed,
            ) => (State::Terminated, Action::Unreachable),
            (State::Completed { .. }, Event::TransportFailed) => {
                (State::Terminated, Action::Nothing)
            }
            (state @ State::Cancelled { .. }, Event::Cancelled)
            | (
                state @ State::Completed { .. },
                Event::Trying | Event::Progress | Event::Success | Event::Cancelled,
            )
            | (
                state @ State::Accepted { .. },
                Event::Trying
                | Event::Progress
                | Event::Failure
                | Event::Cancelled
                | Event::TransportFailed,
            )
            | (
                state @ State::Terminated,
                Event::Trying
                | Event::Progress
                | Event::Success
                | Event::Failure
                | Event::Cancelled
                | Event::TransportFailed,
            ) => (state, Action::Nothing),
        };
        self.state = state;
        action
    }

    /// When `handle_timeout` is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Calling {
                repeat: Some(repeat),
                give_up,
            } => Some(repeat.at.min(give_up)),
            State::Calling {
                repeat: None,
                give_up,
            }
            | State::Cancelled { give_up } => Some(give_up),
            State::Proceeding { timer_c } => Some(timer_c),
            State::Completed { until } | State::Accepted { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Action {
        let (state, action) = match self.state {
            State::Calling { give_up, .. } | State::Cancelled { give_up } if now >= give_up => {
                (State::Terminated, Action::Timeout)
            }
            State::Calling {
                repeat: Some(repeat),
                give_up,
            } if now >= repeat.at => {
                // Timer A doubles without a cap (§17.1.1.2).
                (
                    State::Calling {
                        repeat: Some(repeat.next(now, None)),
                        give_up,
                    },
                    Action::Resend,
                )
            }
            State::Proceeding { timer_c } if now >= timer_c => (
                State::Cancelled {
                    give_up: now + T1_X64,
                },
                Action::TooLong,
            ),
            State::Completed { until } | State::Accepted { until } if now >= until => {
                (State::Terminated, Action::Nothing)
            }
            state @ (State::Calling { .. }
            | State::Proceeding { .. }
            | State::Cancelled { .. }
            | State::Completed { .. }
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
    use std::time::Duration;

    fn ms(t0: Instant, n: u64) -> Instant {
        t0 + Duration::from_millis(n)
    }

    fn run(machine: &mut InviteClient, t0: Instant) -> Vec<(u128, Action)> {
        let (due, fire) = (InviteClient::poll_timeout, InviteClient::handle_timeout);
        run_out(machine, t0, due, fire, &Action::Nothing)
    }

    #[test]
    fn unanswered_invite_goes_out_seven_times_and_fails_at_32_s() {
        let t0 = start();
        let fired = run(&mut InviteClient::new(t0, false), t0);
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
                (32000, Action::Timeout)
            ]
        );
    }

    #[test]
    fn a_stream_carries_the_invite_once() {
        let t0 = start();
        assert_eq!(
            run(&mut InviteClient::new(t0, true), t0),
            [(32000, Action::Timeout)]
        );
    }

    #[test]
    fn a_provisional_response_stops_the_repetitions_and_starts_timer_c() {
        let t0 = start();
        let mut machine = InviteClient::new(t0, false);
        assert_eq!(machine.handle(ms(t0, 600), Event::Progress), Action::Pass);
        assert_eq!(machine.poll_timeout(), Some(ms(t0, 600 + 185_000)));
        // 100 does not restart Timer C, 180 does (§16.7 item 2).
        assert_eq!(machine.handle(ms(t0, 1000), Event::Trying), Action::Pass);
        assert_eq!(machine.poll_timeout(), Some(ms(t0, 600 + 185_000)));
        assert_eq!(machine.handle(ms(t0, 2000), Event::Progress), Action::Pass);
        assert_eq!(
            run(&mut machine, t0),
            [(187_000, Action::TooLong), (219_000, Action::Timeout)]
        );
    }

    #[test]
    fn a_failure_is_acknowledged_each_time_for_32_s() {
        let t0 = start();
        let mut machine = InviteClient::new(t0, false);
        assert_eq!(
            machine.handle(ms(t0, 100), Event::Failure),
            Action::PassAndAck
        );
        assert_eq!(machine.handle(ms(t0, 600), Event::Failure), Action::Ack);
        assert_eq!(machine.handle(ms(t0, 700), Event::Success), Action::Nothing);
        assert_eq!(run(&mut machine, t0), [(32_100, Action::Nothing)]);
        assert!(machine.is_terminated());
    }

    #[test]
    fn timer_d_is_zero_on_streams() {
        let t0 = start();
        let mut machine = InviteClient::new(t0, true);
        assert_eq!(machine.handle(t0, Event::Failure), Action::PassAndAck);
        assert!(machine.is_terminated());
    }

    #[test]
    fn every_success_is_passed_up_for_32_s() {
        let t0 = start();
        for reliable in [false, true] {
            let mut machine = InviteClient::new(t0, reliable);
            assert_eq!(machine.handle(ms(t0, 100), Event::Success), Action::Pass);
            assert_eq!(machine.handle(ms(t0, 31_000), Event::Success), Action::Pass);
            assert_eq!(
                machine.handle(ms(t0, 31_000), Event::Failure),
                Action::Nothing
            );
            assert_eq!(run(&mut machine, t0), [(32_100, Action::Nothing)]);
            assert_eq!(
                machine.handle(ms(t0, 33_000), Event::Success),
                Action::Nothing
            );
        }
    }

    #[test]
    fn a_cancelled_invite_is_given_up_after_32_s() {
        let t0 = start();
        let mut machine = InviteClient::new(t0, false);
        machine.handle(t0, Event::Progress);
        machine.handle(ms(t0, 5000), Event::Cancelled);
        assert_eq!(machine.handle(ms(t0, 5001), Event::Progress), Action::Pass);
        assert_eq!(run(&mut machine, t0), [(37_000, Action::Timeout)]);
    }

    #[test]
    fn transport_failure_is_told_once() {
        let t0 = start();
        let mut machine = InviteClient::new(t0, false);
        assert_eq!(
            machine.handle(t0, Event::TransportFailed),
            Action::Unreachable
        );
        assert_eq!(machine.handle(t0, Event::TransportFailed), Action::Nothing);
        assert_eq!(machine.poll_timeout(), None);
    }
}
