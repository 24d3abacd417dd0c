//! Non-INVITE server transaction (RFC 3261 §17.2.2 with RFC 4320: no early 1xx, no 408).

use std::time::Instant;

use super::timing::{NON_INVITE_TRYING_AFTER, T1_X64};

/// Where the transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing sent yet.
    Trying { send_100: Instant, give_up: Instant },
    /// 100 was sent.
    Proceeding { give_up: Instant },
    /// The final response was sent: Timer J.
    Completed { until: Instant },
    /// Over.
    Terminated,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The request came again.
    Repeated,
    /// We send a final response.
    Final,
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
    /// The client has given up by now; an answer would come too late (RFC 4320 §4.2).
    TooLate,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Server {
    state: State,
    reliable: bool,
}

impl Server {
    /// The request has just come.
    pub(crate) fn new(now: Instant, reliable: bool) -> Self {
        let state = State::Trying {
            send_100: now + NON_INVITE_TRYING_AFTER,
            give_up: now + T1_X64,
        };
        Self { state, reliable }
    }

    /// Whether the transaction is over.
    pub(crate) fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }

    /// Whether no final response was sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }

    /// Takes an event.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) -> Action {
        let (state, action) = match (self.state, event) {
            (state @ (State::Proceeding { .. } | State::Completed { .. }), Event::Repeated) => {
                (state, Action::Resend)
            }
            (State::Trying { .. } | State::Proceeding { .. }, Event::Final) => {
                let until = now + T1_X64;
                (
                    if self.reliable {
                        State::Terminated
                    } else {
                        State::Completed { until }
                    },
                    Action::Nothing,
                )
            }
            (state @ State::Trying { .. }, Event::Repeated)
            | (state @ State::Completed { .. }, Event::Final)
            | (state @ State::Terminated, Event::Repeated | Event::Final) => {
                (state, Action::Nothing)
            }
        };
        self.state = state;
        action
    }

    /// When `handle_timeout` is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Trying { send_100, give_up } => Some(send_100.min(give_up)),
            State::Proceeding { give_up } => Some(give_up),
            State::Completed { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Action {
        let (state, action) = match self.state {
            State::Trying { give_up, .. } | State::Proceeding { give_up } if now >= give_up => {
                (State::Terminated, Action::TooLate)
            }
            State::Trying { send_100, give_up } if now >= send_100 => {
                (State::Proceeding { give_up }, Action::SendTrying)
            }
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

    fn run(machine: &mut Server, t0: Instant) -> Vec<(u128, Action)> {
        let (due, fire) = (Server::poll_timeout, Server::handle_timeout);
        run_out(machine, t0, due, fire, &Action::Nothing)
    }

    #[test]
    fn no_answer_means_100_when_the_client_slows_down_and_never_408() {
        let t0 = start();
        assert_eq!(
            run(&mut Server::new(t0, false), t0),
            [(3500, Action::SendTrying), (32_000, Action::TooLate)]
        );
    }

    #[test]
    fn repetitions_get_the_answer_again_for_32_s_on_datagrams_only() {
        let t0 = start();
        let mut machine = Server::new(t0, false);
        assert_eq!(machine.handle(t0, Event::Repeated), Action::Nothing);
        machine.handle(t0, Event::Final);
        assert_eq!(machine.handle(t0, Event::Repeated), Action::Resend);
        assert_eq!(run(&mut machine, t0), [(32_000, Action::Nothing)]);
        let mut machine = Server::new(t0, true);
        machine.handle(t0, Event::Final);
        assert!(machine.is_terminated());
    }
}
