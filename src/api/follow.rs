//! Following calls through the lens on `/v2/websocket`: binding `lens.{ID}`. Facts wake it; what is sent are the rows that
//! are new or have changed, a few times a second at most.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Api;
use super::findings;
use crate::host::clock;
use crate::journal::lens::{self, Lens};
use crate::journal::{Detail, Fact};

/// The least time between two messages about a call.
const PACE: Duration = Duration::from_millis(100);
/// Calls one session may follow.
pub(super) const MOST: usize = 20;
/// What a binding begins with.
const PREFIX: &str = "lens.";

/// The id a binding names.
pub(super) fn followed(binding: &str) -> Option<&str> {
    binding.strip_prefix(PREFIX).filter(|id| !id.is_empty())
}

/// One call that a session follows.
pub(super) struct Follow {
    pub(super) account: String,
    pub(super) id: String,
    /// Also what belongs to no account.
    pub(super) all: bool,
    /// The user whose calls alone are followed.
    own: Option<String>,
    legs: Vec<String>,
    interaction: String,
    /// What was sent of each event.
    sent: Vec<u64>,
    /// When to look next.
    due: Option<Instant>,
    last: Option<Instant>,
    over: Option<String>,
}

impl Follow {
    pub(super) fn new(account: &str, id: &str, all: bool, own: Option<String>) -> Self {
        Self {
            account: account.to_owned(),
            id: id.to_owned(),
            all,
            own,
            legs: vec![id.to_owned()],
            interaction: id.to_owned(),
            sent: Vec::new(),
            due: Some(clock::now()),
            last: None,
            over: None,
        }
    }

    /// A fact was told: it may be about this call.
    pub(super) fn note(&mut self, fact: &Fact) {
        let ours = |leg: &str| self.legs.iter().any(|own| own == leg);
        let about = ours(fact.call_id())
            || match fact {
                Fact::Detail {
                    detail: Detail::Leg(leg),
                    ..
                } => leg.interaction == self.interaction && leg.account == self.account,
                Fact::Bridged { other, .. } => ours(other),
                _ => false,
            };
        if about && self.due.is_none() {
            let earliest = self.last.map_or_else(clock::now, |last| last + PACE);
            self.due = Some(earliest.max(clock::now()));
        }
    }

    /// Facts were missed.
    pub(super) fn look_soon(&mut self) {
        self.due.get_or_insert_with(clock::now);
    }

    /// When it wants to be looked at.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What has changed; `None`: nothing.
    pub(super) async fn look(&mut self, api: &Api) -> Option<Value> {
        self.due = None;
        self.last = Some(clock::now());
        let journal = api.journal();
        let legs = journal.call_traces(&self.account, &self.id, self.all).await;
        let legs = match legs {
            Ok(legs) => legs,
            Err(error) => {
                tracing::debug!(%error, "a followed call cannot be read");
                return None;
            }
        };
        if self
            .own
            .as_ref()
            .is_some_and(|user| !lens::is_of_user(&legs, user))
        {
            return None;
        }
        let mut lens = lens::build(&self.account, &legs)?;
        findings::judge(&mut lens, &|url| (api.guard())(url));
        self.legs = lens.legs.iter().map(|leg| leg.call_id.clone()).collect();
        self.interaction.clone_from(&lens.interaction_id);
        self.news(&lens)
    }

    fn news(&mut self, lens: &Lens) -> Option<Value> {
        let mut events = Vec::new();
        for (at, event) in lens.events.iter().enumerate() {
            let event = serde_json::to_value(event).unwrap_or_default();
            let mut hash = DefaultHasher::new();
            event.to_string().hash(&mut hash);
            let hash = hash.finish();
            match self.sent.get_mut(at) {
                Some(sent) if *sent == hash => continue,
                Some(sent) => *sent = hash,
                None => self.sent.push(hash),
            }
            events.push(event);
        }
        let state = format!("{} {:?} {}", lens.state, lens.end, lens.cause);
        let same = self.over.as_deref() == Some(&state);
        if events.is_empty() && same {
            return None;
        }
        self.over = Some(state);
        let document = lens.document(usize::MAX);
        let of = |key: &str| document.get(key).cloned().unwrap_or_default();
        Some(json!({
            "id": lens.id, "events": events, "state": lens.state, "end": lens.end, "lanes": of("lanes"),
            "parties": of("parties"), "legs": of("legs"), "result": lens.result, "sentence": lens.sentence,
            "cause": lens.cause, "partial": lens.partial,
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::lens::LegTrace;

    fn seen(lines: &[Value]) -> Lens {
        let leg = LegTrace {
            call_id: "a".into(),
            lines: lines.to_vec(),
        };
        lens::build("acc", &[leg]).unwrap()
    }

    #[test]
    fn a_follower_is_told_of_new_and_changed_rows_only() {
        let mut follow = Follow::new("acc", "a", false, None);
        let node = json!({"at": 1_000_000, "seq": 1, "fact": "node", "module": "tts", "path": ""});
        let key = json!({"at": 1_100_000, "seq": 2, "fact": "digit", "via": "event"});
        let told = follow.news(&seen(std::slice::from_ref(&node))).unwrap();
        assert_eq!(told["events"].as_array().unwrap().len(), 1);
        assert!(follow.news(&seen(std::slice::from_ref(&node))).is_none());
        let told = follow.news(&seen(&[node.clone(), key.clone()])).unwrap();
        assert_eq!(told["events"][0]["n"], 2);
        let left =
            json!({"at": 1_200_000, "seq": 3, "fact": "node_left", "why": "the module is done"});
        let told = follow.news(&seen(&[node, key, left])).unwrap();
        let events = told["events"].as_array().unwrap();
        assert_eq!(
            (events.len(), &events[0]["n"]),
            (1, &json!(1)),
            "the node took some time"
        );
        assert_eq!(told["lanes"]["flow"][0]["to"], 0.2);
    }
}
