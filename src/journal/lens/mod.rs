//! The lens: everything a call's journal knows, as the page shows it. Pure: lines of traces in, a document out.
//!
//! - `build`: from lines to events, parties and lanes; with `ladder`, `hooks`, `media` by kind. - `sip`: what is said about a message.
//! - `detail`: one event in full. - `words`: sentences. - `export`: HAR and pcap.
//!
//! Events are in journal order. A repeated message is folded into its first; nothing is dropped from the count.

mod build;
mod detail;
mod export;
mod hooks;
mod ladder;
mod media;
mod pcap;
mod sip;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

pub use build::build;
pub use detail::shown_answer;
pub use export::{Packet, packets_of};
pub use pcap::Pcap;

/// The trace of one leg, as [`Journal::trace`](super::Journal::trace) gives it.
#[derive(Debug, Clone, Default)]
pub struct LegTrace {
    /// SIP Call-ID.
    pub call_id: String,
    /// Its facts, oldest first.
    pub lines: Vec<Value>,
}

/// Whether one of the legs is the user's: who is no administrator sees calls he is part of.
pub fn is_of_user(legs: &[LegTrace], user: &str) -> bool {
    let lines = legs.iter().flat_map(|leg| &leg.lines);
    let mut owners = lines.filter_map(|line| line.get("owner")?.as_str());
    owners.any(|owner| owner == user)
}

/// A call, through the lens.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lens {
    /// Call-ID of the first leg.
    pub id: String,
    /// What all its legs share.
    pub interaction_id: String,
    /// `live` or `ended`.
    pub state: &'static str,
    /// First message, Unix microseconds.
    pub begin: u64,
    /// Last end of a leg.
    pub end: Option<u64>,
    /// Caller's number.
    pub from: String,
    /// What was dialled.
    pub to: String,
    /// Account id.
    pub account: String,
    /// `{id, name}` of the callflow that ran.
    pub callflow: Value,
    /// `completed`, `failed`, `refused` or `running`.
    pub result: &'static str,
    /// How it went, in a sentence or two.
    pub sentence: String,
    /// Why it failed.
    pub cause: Value,
    /// What is missing, in words.
    pub partial: Option<String>,
    /// Columns of the ladder.
    pub parties: Vec<Party>,
    /// Legs in order of their begin.
    pub legs: Vec<Leg>,
    /// What happened.
    pub events: Vec<Event>,
    /// The strip.
    pub lanes: Lanes,
    /// The facts, each with its leg.
    #[serde(skip)]
    facts: Vec<(usize, Value)>,
}

/// Somebody who takes part.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Party {
    /// Names it within the call.
    pub id: String,
    /// `caller`, `swivel`, `web`, `callee`, `trunk` or `service`.
    pub kind: &'static str,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub detail: String,
}

/// A leg.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Leg {
    /// SIP Call-ID.
    pub call_id: String,
    /// Its party.
    pub party: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Caller's number.
    pub from: String,
    /// Whom it leads to.
    pub to: String,
    /// Id of its record.
    pub cdr_id: Option<String>,
    /// Codec of its sound.
    pub codec: Option<String>,
    /// Seconds from the begin.
    pub answered: Option<f64>,
    /// Seconds from the begin.
    pub ended: Option<f64>,
    /// KAZOO's cause.
    pub cause: Option<String>,
    /// SIP status of its end.
    pub status: Option<u64>,
    /// Who ended it, FreeSWITCH's word.
    pub disposition: Option<String>,
    /// Opinion score of the whole leg.
    pub mos: Option<f64>,
    /// Packets that never came, in percent.
    pub loss_percent: Option<f64>,
    /// Jitter.
    pub jitter_ms: Option<f64>,
}

/// A row of the ladder.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Event {
    /// Counts from 1.
    pub n: usize,
    /// Seconds from the begin.
    pub t: f64,
    /// Unix microseconds.
    pub at: u64,
    /// `sip`, `hook`, `flow`, `audio`, `key`, `quality` or `note`.
    pub kind: &'static str,
    /// Where an arrow begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Where it happened, when it is no arrow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub party: Option<String>,
    /// What.
    pub title: String,
    /// More, shortly.
    pub detail: String,
    /// `warn` or `err`.
    pub severity: Option<&'static str>,
    /// How often.
    pub repeat: usize,
    /// Times of the repetitions.
    pub also: Vec<f64>,
    /// How long it took.
    pub took_ms: Option<f64>,
    /// The event it answers.
    pub pair: Option<usize>,
    /// What is odd about it.
    pub findings: Vec<Finding>,
    /// Kind of SIP message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<&'static str>,
    /// The leg.
    pub call_id: String,
    /// Which exchange with a web server, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<usize>,
    /// The facts it is made of.
    #[serde(skip)]
    facts: Vec<usize>,
}

/// Something odd, and how to mend it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `warn` or `err`.
    pub severity: &'static str,
    /// What.
    pub text: String,
    /// How to mend it.
    pub fix: Option<String>,
    /// Line of the body, from 1.
    pub line: Option<usize>,
    /// Column of the line, from 1.
    pub column: Option<usize>,
    /// Where in the document.
    pub path: Option<String>,
}

/// The strip: what lasted how long.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lanes {
    /// Nodes of the flow.
    pub flow: Vec<Span>,
    /// Exchanges with web servers.
    pub hooks: Vec<Span>,
    /// What was heard.
    pub audio: Vec<Span>,
    /// Keys.
    pub keys: Vec<Key>,
    /// Recordings.
    pub recordings: Vec<Tape>,
    /// How media arrived.
    pub quality: Vec<Curve>,
}

/// Something that lasted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Span {
    /// Its event.
    pub n: usize,
    /// Seconds from the begin.
    pub from: f64,
    /// Seconds from the begin.
    pub to: Option<f64>,
    /// Words for it.
    pub label: String,
    /// Module of a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Place of a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Kind of a sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `warn` or `err`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<&'static str>,
}

/// A key that was pressed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Key {
    /// Its event.
    pub n: usize,
    /// Seconds from the begin.
    pub t: f64,
    /// The key, or a dot in its place.
    pub key: String,
    /// Whether it stopped a sound.
    pub barge_in: bool,
}

/// A recording.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tape {
    /// Its id.
    pub id: String,
    /// Seconds from the begin.
    pub from: f64,
    /// Seconds from the begin.
    pub to: Option<f64>,
    /// 1, or 2: each side its own.
    pub channels: u64,
    /// Where it is heard.
    pub url: String,
    /// Where its picture is.
    pub peaks: String,
}

/// How media of a leg arrived.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Curve {
    /// Call-ID.
    pub leg: String,
    /// Time, percent lost, jitter in milliseconds, opinion score.
    pub points: Vec<[f64; 4]>,
}

/// A request to a web server and what became of it, as recorded: what a replay begins from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebExchange {
    /// What it was for.
    pub purpose: String,
    /// `GET`, `POST` …
    pub method: String,
    /// The URL, secrets masked.
    pub url: String,
    /// Headers as sent, secrets masked.
    pub headers: Vec<(String, String)>,
    /// The body, if it is text.
    pub body: Option<String>,
    /// Whether all of the body is kept.
    pub whole: bool,
    /// The answer as `events/{n}` shows it.
    pub response: Value,
    /// The body of the answer, if it is text.
    pub answer: Option<String>,
    /// The answer's content type.
    pub content_type: Option<String>,
}

impl Lens {
    /// The document; with `after` only events behind that one.
    pub fn document(&self, after: usize) -> Value {
        let mut document = serde_json::to_value(self).unwrap_or_default();
        if after > 0
            && let Some(events) = document.get_mut("events").and_then(Value::as_array_mut)
        {
            events.drain(..after.min(events.len()));
        }
        document
    }

    /// Events by number, to change them.
    pub fn events_by_exchange(&mut self) -> BTreeMap<usize, &mut Event> {
        let answers = self.events.iter_mut().filter(|event| event.pair.is_some());
        answers
            .filter_map(|event| Some((event.exchange?, event)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
