//! Which legs belong to a call, by whatever it is asked for.

use std::collections::VecDeque;

use serde_json::Value;

use super::lens::LegTrace;
use super::{Journal, trace};
use crate::store::StoreError;

/// Whose a trace is.
enum Whose<'a> {
    /// That account's, and its conversation.
    Account(&'a str, &'a str),
    /// Nobody's: it never got as far as an account.
    Nobody,
    /// Several accounts have used the same Call-ID.
    Unclear,
}

impl Journal {
    /// The traces of all legs of a call of `account`, by the Call-ID of one of them, by the id of a record, or by what
    /// its legs share. `all` also gives what belongs to no account. Empty: there is no such call.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn call_traces(
        &self,
        account: &str,
        id: &str,
        all: bool,
    ) -> Result<Vec<LegTrace>, StoreError> {
        let mut found: Vec<LegTrace> = Vec::new();
        let mut interaction = None;
        let mut wanted: VecDeque<String> = VecDeque::from([id.to_owned()]);
        wanted.extend(call_id_of_record(id).map(str::to_owned));
        for call_id in wanted.drain(..) {
            if let Some((leg, shared)) = self.leg_trace(account, &call_id, all).await? {
                interaction = shared;
                found.push(leg);
                break;
            }
        }
        let interaction = interaction.unwrap_or_else(|| id.to_owned());
        wanted.extend(self.rings().legs(account, &interaction));
        let finished = self.finished().clone();
        let finished = finished
            .iter()
            .filter(|trace| trace.is_within(account, &interaction));
        wanted.extend(finished.map(|trace| trace.call_id().to_owned()));
        wanted.extend(trace::stored_legs(&self.0.store, account, &interaction).await?);
        wanted.extend(found.iter().flat_map(named));
        // Legs that came together name each other, whatever their conversations were before.
        while let Some(call_id) = wanted.pop_front() {
            if found.len() >= trace::LEGS || found.iter().any(|leg| leg.call_id == call_id) {
                continue;
            }
            if let Some((leg, _)) = self.leg_trace(account, &call_id, false).await? {
                wanted.extend(named(&leg));
                found.push(leg);
            }
        }
        Ok(found)
    }

    /// Call-IDs of a call's legs that are up, for those who follow it.
    pub fn live_legs(&self, account: &str, id: &str) -> Vec<String> {
        let rings = self.rings();
        let interaction = rings.interaction(id).unwrap_or(id).to_owned();
        rings.legs(account, &interaction)
    }

    /// The trace of one leg, if it is the account's, with the conversation it belongs to.
    async fn leg_trace(
        &self,
        account: &str,
        call_id: &str,
        all: bool,
    ) -> Result<Option<(LegTrace, Option<String>)>, StoreError> {
        let lines = self.trace(call_id).await?;
        if lines.is_empty() {
            return Ok(None);
        }
        let shared = match whose(&lines) {
            Whose::Account(of, shared) if of == account => {
                Some(shared.to_owned()).filter(|shared| !shared.is_empty())
            }
            Whose::Nobody if all => None,
            Whose::Account(..) | Whose::Nobody | Whose::Unclear => return Ok(None),
        };
        let leg = LegTrace {
            call_id: call_id.to_owned(),
            lines,
        };
        Ok(Some((leg, shared)))
    }
}

/// `YYYYMM-` and a Call-ID.
fn call_id_of_record(id: &str) -> Option<&str> {
    let (month, call_id) = id.split_at_checked(6)?;
    let digits = month.bytes().all(|b| b.is_ascii_digit());
    call_id.strip_prefix('-').filter(|_| digits)
}

/// Legs that a leg names.
fn named(leg: &LegTrace) -> Vec<String> {
    let name = |line: &Value| {
        let key = match line.get("fact")?.as_str()? {
            "bridged" => "other",
            "leg" => "other",
            "leg_begun" => "parent",
            _ => return None,
        };
        line.get(key)?.as_str().map(str::to_owned)
    };
    leg.lines.iter().filter_map(name).collect()
}

fn whose(lines: &[Value]) -> Whose<'_> {
    let (mut account, mut shared) = (None, "");
    for line in lines {
        let text = |key: &str| line.get(key).and_then(Value::as_str);
        let Some("leg_begun" | "started") = text("fact") else {
            continue;
        };
        match (account, text("account")) {
            (None, Some(of)) => account = Some(of),
            (Some(known), Some(of)) if known != of => return Whose::Unclear,
            _ => {}
        }
        if let Some(interaction) = text("interaction") {
            shared = interaction;
        }
    }
    match account {
        Some(account) => Whose::Account(account, shared),
        None => Whose::Nobody,
    }
}
