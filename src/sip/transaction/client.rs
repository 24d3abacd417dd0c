//! Non-INVITE client transaction (RFC 3261 §17.1.2).

use std::time::Instant;

use super::timing::{Repeat, T1_X64, T2, T4};

/// Where the transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Sent, no answer yet: timers E (datagrams only) and F.
    Trying {
        repeat: Option<Repeat>,
        give_up: Instant,
    },
    /// A provisional response came: Timer E at T2, Timer F goes on.
    Proceeding {
        repeat: Option<Repeat>,
        give_up: Instant,
    },
    /// The final response came: Timer K.
    Completed { until: Instant },
    /// Over.
    Terminated,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// 1xx.
    Provisional,
    /// 200–699.
    Final,
    /// The transport cannot deliver the request.
    TransportFailed,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Send the request again.
    Resend,
    /// Give the final response to the user agent.
    Pass,
    /// No answer: as if 408.
    Timeout,
    /// The transport failed: as if 503.
    Unreachable,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Client {
    state: State,
    reliable: bool,
}

impl Client {
    /// The request has just been sent.
    pub(crate) fn new(now: Instant, reliable: bool) -> Self {
        let repeat = (!reliable).then(|| Repeat::start(now));
        Self {
            state: State::Trying {
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

    /// Whether nothing at all has come.
    pub(crate) fn is_trying(&self) -> bool {
        matches!(self.state, State::Trying { .. })
    }

    /// Takes an event.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) -> Action {
        let (state, action) = match (self.state, event) {
            (State::Trying { repeat, give_up }, Event::Provisional) => (
                State::Proceeding {
                    repeat: repeat.map(Repeat::slowed),
                    give_up,
                },
                Action::Nothing,
            ),
            (State::Trying { .. } | State::Proceeding { .. }, Event::Final) => (
                if self.reliable {
                    State::Terminated
                } else {
                    State::Completed { until: now + T4 }
                },
                Action::Pass,
            ),
            (State::Trying { .. } | State::Proceeding { .. }, Event::TransportFailed) => {
                (State::Terminated, Action::Unreachable)
            }
            (state @ State::Proceeding { .. }, Event::Provisional)
            | (
                state @ (State::Completed { .. } | State::Terminated),
                Event::Provisional | Event::Final | Event::TransportFailed,
            ) => (state, Action::Nothing),
        };
        self.state = state;
        action
    }

    /// When `handle_timeout` is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Trying { repeat, give_up } | State::Proceeding { repeat, give_up } => {
                Some(repeat.map_or(give_up, |repeat| repeat.at.min(give_up)))
            }
            State::Completed { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Action {
        let (state, action) = match self.state {
            State::Trying { give_up, .. } | State::Proceeding { give_up, .. } if now >= give_up => {
                (State::Terminated, Action::Timeout)
            }
            State::Trying {
                repeat: Some(repeat),
                give_up,
            } if now >= repeat.at => (
                State::Trying {
                    repeat: Some(repeat.next(now, Some(T2))),
                    give_up,
                },
                Action::Resend,
            ),
            State::Proceeding {
                repeat: Some(repeat),
                give_up,
            } if now >= repeat.at => (
                State::Proceeding {
                    repeat: Some(repeat.next(now, Some(T2))),
                    give_up,
                },
                Action::Resend,
            ),
            State::Completed { until } if now >= until => (State::Terminated, Action::Nothing),
            state @ (State::Trying { .. }
            | State::Proceeding { .. }
            | State::Completed { .. }
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

    fn run(machine: &mut Client, t0: Instant) -> Vec<(u128, Action)> {
        let (due, fire) = (Client::poll_timeout, Client::handle_timeout);
        run_out(machine, t0, due, fire, &Action::Nothing)
    }

    #[test]
    fn unanswered_request_goes_out_eleven_times_and_fails_at_32_s() {
        let t0 = start();
        let fired = run(&mut Client::new(t0, false), t0);
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
        assert_eq!(fired.last(), Some(&(32_000, Action::Timeout)));
    }

    #[test]
    fn a_stream_carries_the_request_once() {
        let t0 = start();
        assert_eq!(
            run(&mut Client::new(t0, true), t0),
            [(32_000, Action::Timeout)]
        );
    }

    #[test]
    fn after_a_provisional_response_the_interval_is_t2() {
        let t0 = start();
        let mut machine = Client::new(t0, false);
        assert_eq!(
            machine.handle_timeout(t0 + Duration::from_millis(500)),
            Action::Resend
        );
        machine.handle(t0 + Duration::from_millis(600), Event::Provisional);
        let fired = run(&mut machine, t0);
        let resends: Vec<u128> = fired
            .iter()
            .filter(|f| f.1 == Action::Resend)
            .map(|f| f.0)
            .collect();
        assert_eq!(
            resends,
            [1500, 5500, 9500, 13500, 17500, 21500, 25500, 29500]
        );
        assert_eq!(fired.last(), Some(&(32_000, Action::Timeout)));
    }

    #[test]
    fn repeated_answers_are_absorbed_for_t4_on_datagrams_only() {
        let t0 = start();
        let mut machine = Client::new(t0, false);
        assert_eq!(machine.handle(t0, Event::Final), Action::Pass);
        assert_eq!(machine.handle(t0, Event::Final), Action::Nothing);
        assert_eq!(run(&mut machine, t0), [(5000, Action::Nothing)]);
        let mut machine = Client::new(t0, true);
        assert_eq!(machine.handle(t0, Event::Final), Action::Pass);
        assert!(machine.is_terminated());
    }

    #[test]
    fn transport_failure_is_told_once() {
        let t0 = start();
        let mut machine = Client::new(t0, true);
        assert_eq!(
            machine.handle(t0, Event::TransportFailed),
            Action::Unreachable
        );
        assert_eq!(machine.handle(t0, Event::TransportFailed), Action::Nothing);
    }
}
