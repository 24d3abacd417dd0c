//! Why a call failed, in plain words: what happened, why, what to do (`docs/causes.md`).
//!
//! - `table`: one entry a cause, with its words. - `evidence`: what the facts of one leg say, in little room.
//! - `judge`: the nearest cause the evidence of a call supports. - `watch`: the same while calls run, and the problems of
//!   the last hour. - `docs`: the page.
//!
//! Pure: facts in, words out. Whoever sees something go wrong says so by [`Fact::Trouble`]; the rest is read from SIP.

mod docs;
mod evidence;
mod judge;
mod message;
mod table;
mod watch;

use serde_json::{Value, json};

use super::fact::Fact;
use evidence::Evidence;

pub use docs::markdown;
pub use table::{Code, Entry};
pub use watch::Problem;
pub(super) use watch::Watch;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Its entry in `docs/causes.md`.
    pub code: Code,
    /// What happened.
    pub what: String,
    /// Why; empty where nothing is known of that.
    pub why: String,
    /// What to do.
    pub todo: String,
    /// The page to do it on.
    pub link: String,
    /// Which fact shows it, counted from 0 among those that were looked at.
    pub event: Option<usize>,
    /// Tells problems of one code apart: a URL, a phone.
    pub about: String,
}

impl Cause {
    /// As the API shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "code": self.code.name(),
            "what": self.what,
            "why": self.why,
            "todo": self.todo,
            "link": Some(&self.link).filter(|link| !link.is_empty()),
            "event": self.event,
        })
    }
}

/// Why a call failed, told from its facts and those of the legs it placed, in the order they happened. `None` when
/// nothing went wrong, or too little is known yet.
pub fn diagnose<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Option<Cause> {
    let mut legs: Vec<Evidence> = Vec::new();
    for (n, fact) in facts.into_iter().enumerate() {
        let known = legs
            .iter_mut()
            .position(|leg| *leg.call_id == *fact.call_id());
        let at = known.or_else(|| {
            let room = legs.len() < MOST_LEGS && Evidence::begins_with(fact);
            room.then(|| legs.push(Evidence::new(fact.call_id(), fact.at())))?;
            legs.len().checked_sub(1)
        });
        if let Some(leg) = at.and_then(|at| legs.get_mut(at)) {
            leg.note(fact, n);
        }
        if let Fact::Leg { other, .. } = fact {
            let known = legs.iter().position(|leg| *leg.call_id == **other);
            let at = known.unwrap_or_else(|| {
                legs.push(Evidence::new(other, fact.at()));
                legs.len() - 1
            });
            if let Some(leg) = legs.get_mut(at) {
                leg.placed_by(fact);
            }
        }
    }
    legs.iter_mut().for_each(Evidence::read);
    // Whose parent is among them is a leg.
    let placed: Vec<Box<str>> = legs.iter().flat_map(|leg| leg.legs.clone()).collect();
    let root = legs.iter().find(|leg| !placed.contains(&leg.call_id))?;
    let others: Vec<&Evidence> = legs
        .iter()
        .filter(|leg| placed.contains(&leg.call_id))
        .collect();
    judge::judge(root, &others)
}

/// Legs of one call that are looked at.
const MOST_LEGS: usize = 64;
