//! How the servers fare that requests of ours went to by their address (RFC 3263 §4.3): told once a transaction, so that
//! whoever chooses among targets knows which to leave alone.

use std::time::Duration;

use super::SipEvent;
use super::endpoint::Endpoint;
use super::event::{Fate, Reached};
use super::requests::Outcome;
use super::transport::{Hop, next_host};
use crate::sip::msg::{Message, Name};

impl Endpoint {
    /// Tells how the server at `hop` fares. A flow is a phone's and says nothing about a server.
    pub(super) fn reached(&mut self, hop: Hop, host: &str, fate: Fate) {
        if self.config.watch && hop.flow.is_none() {
            self.events.push_back(SipEvent::Reached(Box::new(Reached {
                target: hop.target,
                host: host.into(),
                fate,
            })));
        }
    }

    /// The same for what became of a request.
    pub(super) fn reached_by(&mut self, hop: Hop, outcome: &Outcome) {
        let host = outcome.request.as_ref().map(next_host);
        self.reached(hop, &host.unwrap_or_default(), fate(outcome));
    }
}

/// What the outcome of a request says about whom it was sent to.
fn fate(outcome: &Outcome) -> Fate {
    match &outcome.message {
        None if outcome.status == 408 => Fate::Fails {
            why: "silent",
            wait: None,
        },
        None => Fate::Fails {
            why: "unreachable",
            wait: None,
        },
        Some(message) if outcome.status == 503 => Fate::Fails {
            why: "503",
            wait: retry_after(message),
        },
        Some(_) => Fate::Answers,
    }
}

/// Retry-After, without its comment and parameters (RFC 3261 §20.33).
fn retry_after(message: &Message) -> Option<Duration> {
    let value = message.header(Name::RetryAfter)?.trim_start();
    let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}
