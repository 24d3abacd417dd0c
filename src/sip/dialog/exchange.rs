//! Whose turn it is in offer/answer (RFC 3264 §4, RFC 6337 §2). Bodies are opaque here.

/// Where the exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody has offered yet.
    Unstarted,
    /// Our offer waits for the peer's answer.
    Ours,
    /// The peer's offer waits for our answer.
    Theirs,
    /// The last exchange is complete, or was given up.
    Settled,
}

/// Why an offer cannot be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clash {
    /// An offer of ours is open: 491 to the peer's.
    Ours,
    /// An offer of theirs is open: 500 with Retry-After to another one.
    Theirs,
}

/// Offer/answer of one INVITE usage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    state: State,
    /// Whether any exchange has completed.
    established: bool,
}

impl Exchange {
    /// Before the first offer.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Unstarted,
            established: false,
        }
    }

    /// Whether neither side has an open offer.
    pub(crate) fn is_free(&self) -> bool {
        matches!(self.state, State::Unstarted | State::Settled)
    }

    /// Whether no offer was made at all.
    pub(crate) fn is_unstarted(&self) -> bool {
        self.state == State::Unstarted
    }

    /// Whether the peer's offer waits.
    pub(crate) fn is_theirs(&self) -> bool {
        self.state == State::Theirs
    }

    /// Whether our offer waits.
    pub(crate) fn is_ours(&self) -> bool {
        self.state == State::Ours
    }

    /// Whether a session was ever agreed.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// The peer offers.
    pub(crate) fn their_offer(&mut self) -> Result<(), Clash> {
        self.open(State::Theirs)
    }

    /// We offer.
    pub(crate) fn our_offer(&mut self) -> Result<(), Clash> {
        self.open(State::Ours)
    }

    /// The open offer is answered, by whoever had to.
    pub(crate) fn answered(&mut self) {
        self.state = State::Settled;
        self.established = true;
    }

    /// The open offer was refused or its request failed: the session is what it was.
    pub(crate) fn abandoned(&mut self) {
        self.state = if self.established {
            State::Settled
        } else {
            State::Unstarted
        };
    }

    fn open(&mut self, state: State) -> Result<(), Clash> {
        match self.state {
            State::Unstarted | State::Settled => {
                self.state = state;
                Ok(())
            }
            State::Ours => Err(Clash::Ours),
            State::Theirs => Err(Clash::Theirs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_offer_is_open_at_a_time() {
        let mut exchange = Exchange::new();
        assert!(exchange.is_unstarted() && exchange.is_free());
        assert_eq!(exchange.their_offer(), Ok(()));
        assert_eq!(exchange.their_offer(), Err(Clash::Theirs));
        assert_eq!(exchange.our_offer(), Err(Clash::Theirs));
        exchange.answered();
        assert!(exchange.is_established() && exchange.is_free());
        assert_eq!(exchange.our_offer(), Ok(()));
        assert_eq!(exchange.their_offer(), Err(Clash::Ours));
        exchange.abandoned();
        assert!(exchange.is_established() && exchange.is_free() && !exchange.is_unstarted());
    }

    #[test]
    fn a_first_offer_given_up_leaves_nothing() {
        let mut exchange = Exchange::new();
        assert_eq!(exchange.our_offer(), Ok(()));
        exchange.abandoned();
        assert!(exchange.is_unstarted());
    }
}
