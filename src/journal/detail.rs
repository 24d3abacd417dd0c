//! What the lens of a call shows beyond its milestones: whole exchanges with web servers, what nodes were given and
//! where they led, sounds and recordings with their ends, how well media arrived.
//!
//! Kept raw and cheap while a call is up: nothing is rendered before somebody looks, or the call is over.

use std::net::SocketAddr;

use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::base::time::UnixMicros;
use crate::rtp::headers::{self, Headers, Noted};

/// Bytes of a body that are kept.
pub(super) const BODY: usize = 64 << 10;

/// A detail of a call's course.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Detail {
    /// A leg came to be.
    Leg(Box<Leg>),
    /// What the node that has just begun was given.
    NodeData {
        /// Its `data`.
        data: Value,
    },
    /// The node that ran last is done.
    NodeLeft {
        /// Where it leads: a child's key, or nothing.
        chosen: Option<String>,
        /// Why, in plain words.
        why: String,
        /// Whether the node could not do its work.
        failed: bool,
    },
    /// The leg begins to hear something.
    Sound {
        /// Names the sound within its leg.
        id: u64,
        /// `prompt`, `speech`, `tone`, `ringback`, `bridge`, `music` or `stream`.
        kind: &'static str,
        /// What is said, or where it comes from.
        text: String,
    },
    /// It hears it no longer.
    SoundEnded {
        /// The name given at its begin.
        id: u64,
        /// `played`, `key`, `hangup`, `stopped` or `failed`.
        why: &'static str,
    },
    /// A recording begins.
    Taping {
        /// The recording's id.
        id: String,
        /// 1, or 2: each side its own.
        channels: u16,
    },
    /// A recording has ended.
    Taped {
        /// The recording's id.
        id: String,
        /// Why.
        why: String,
        /// Whether it is kept.
        kept: bool,
    },
    /// How media arrived since the sample before.
    Quality(Quality),
    /// Headers of the packets of the leg's sound, once it is over.
    Rtp(Box<Rtp>),
    /// A web server is asked. Redirects and repetitions are requests of their own.
    Asked(Box<Asked>),
    /// It answered, or did not.
    Told(Box<Told>),
}

/// One leg, as it begins.
#[derive(Debug, Clone, Default)]
pub struct Leg {
    /// Account id.
    pub account: String,
    /// Shared by all legs of a conversation.
    pub interaction: String,
    /// `inbound` or `outbound`, toward or from the switch.
    pub direction: &'static str,
    /// The caller's number.
    pub from: String,
    /// What was dialled.
    pub to: String,
    /// What the other side is called in its document.
    pub name: String,
    /// `device`, `user`, `resource`, `clicktocall` …; empty for a stranger.
    pub kind: &'static str,
    /// The user it belongs to.
    pub owner: Option<String>,
    /// Nobody is there: the leg leads to the first party of a call that was asked for.
    pub internal: bool,
    /// The leg that placed it.
    pub parent: Option<String>,
}

/// How media arrived in one interval, and counts of the whole leg so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quality {
    /// Whether this is the last sample: figures of the whole leg.
    pub total: bool,
    /// Packets received so far.
    pub received: u64,
    /// Packets lost so far.
    pub lost: u64,
    /// Packets sent so far.
    pub sent: u64,
    /// Share of the interval's packets that never came.
    pub loss: f32,
    /// Jitter, in milliseconds.
    pub jitter_ms: f32,
    /// Estimated opinion score of the interval; 0 when nothing came.
    pub mos: f32,
    /// Share of ours that the other side says it lost.
    pub remote_loss: f32,
    /// Jitter the other side sees, in milliseconds.
    pub remote_jitter_ms: f32,
    /// Round trip in milliseconds, when reports told it.
    pub round_trip_ms: Option<f32>,
}

/// Headers of the packets that went to and fro on one leg.
#[derive(Debug, Clone)]
pub struct Rtp {
    /// Our end, as the session description has it.
    pub local: SocketAddr,
    /// What times count from.
    pub begin: UnixMicros,
    /// Of packets we accepted.
    pub received: Headers,
    /// Of packets we sent.
    pub sent: Headers,
}

/// A request to a web server.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Names the exchange within this process.
    pub id: u64,
    /// What it is for: `pivot`, `callback`, `cdr`, `webhook`, `upload`, `media`, `tts`.
    pub purpose: &'static str,
    /// `GET`, `POST` …
    pub method: &'static str,
    /// The URL, secrets masked by the journal.
    pub url: String,
    /// Headers as sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Its whole length.
    pub length: u64,
}

/// What became of a request.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The exchange it belongs to.
    pub id: u64,
    /// HTTP status; none when there was no answer.
    pub status: Option<u16>,
    /// Headers as received.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Bytes,
    /// Its whole length.
    pub length: u64,
    /// Why there is no answer.
    pub error: Option<String>,
    /// Where the time went, microseconds.
    pub timing: Timing,
}

/// Where the time of an exchange went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Asking for the name.
    pub dns: Option<u64>,
    /// Connecting.
    pub connect: Option<u64>,
    /// The TLS handshake.
    pub tls: Option<u64>,
    /// Until the answer's head.
    pub server: Option<u64>,
    /// Until the end of its body.
    pub body: Option<u64>,
    /// Everything.
    pub total: u64,
}

impl Detail {
    /// The kind of line it is in a trace, and what the line says.
    pub(super) fn line(&self) -> (&'static str, Value) {
        match self {
            Self::Leg(leg) => (
                "leg_begun",
                json!({"account": leg.account, "interaction": leg.interaction, "direction": leg.direction,
                       "from": leg.from, "to": leg.to, "name": leg.name, "kind": leg.kind,
                       "owner": leg.owner,
                       "internal": leg.internal.then_some(true), "parent": leg.parent}),
            ),
            Self::NodeData { data } => ("node_data", json!({"data": data})),
            Self::NodeLeft {
                chosen,
                why,
                failed,
            } => (
                "node_left",
                json!({"chosen": chosen, "why": why, "failed": failed.then_some(true)}),
            ),
            Self::Sound { id, kind, text } => {
                ("sound", json!({"id": id, "kind": kind, "text": text}))
            }
            Self::SoundEnded { id, why } => ("sound_ended", json!({"id": id, "why": why})),
            Self::Taping { id, channels } => ("taping", json!({"id": id, "channels": channels})),
            Self::Taped { id, why, kept } => ("taped", json!({"id": id, "why": why, "kept": kept})),
            Self::Quality(quality) => ("quality", quality.line()),
            Self::Rtp(rtp) => ("rtp", rtp.line()),
            Self::Asked(asked) => (
                "asked",
                with_body(
                    json!({"id": asked.id, "purpose": asked.purpose, "method": asked.method, "url": asked.url,
                           "headers": asked.headers, "length": asked.length}),
                    &asked.body,
                ),
            ),
            Self::Told(told) => (
                "told",
                with_body(
                    json!({"id": told.id, "status": told.status, "headers": told.headers, "length": told.length,
                           "error": told.error, "timing": told.timing.line()}),
                    &told.body,
                ),
            ),
        }
    }

    /// About what it takes in memory besides itself.
    pub(super) fn cost(&self) -> usize {
        let headers = |all: &[(String, String)]| {
            all.iter()
                .map(|(name, value)| name.len() + value.len() + 48)
                .sum::<usize>()
        };
        match self {
            Self::Leg(leg) => 200 + leg.account.len() + leg.interaction.len() + leg.name.len(),
            Self::NodeData { data } => weight(data),
            Self::NodeLeft { why, .. } => 32 + why.len(),
            Self::Sound { text, .. } => text.len(),
            Self::Taping { id, .. } => id.len(),
            Self::Taped { id, why, .. } => id.len() + why.len(),
            Self::SoundEnded { .. } | Self::Quality(_) => 0,
            Self::Rtp(rtp) => std::mem::size_of::<Rtp>() + rtp.received.room() + rtp.sent.room(),
            Self::Asked(asked) => {
                120 + asked.url.len() + headers(&asked.headers) + asked.body.len()
            }
            Self::Told(told) => 160 + headers(&told.headers) + told.body.len(),
        }
    }

    /// Whether it may come after the end of its call, and is worth keeping then.
    pub(super) fn is_late(&self) -> bool {
        matches!(self, Self::Asked(_) | Self::Told(_) | Self::Taped { .. })
    }
}

impl Quality {
    fn line(&self) -> Value {
        let round = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
        json!({"total": self.total.then_some(true), "received": self.received, "lost": self.lost, "sent": self.sent,
               "loss": (f64::from(self.loss) * 10_000.0).round() / 10_000.0, "jitter_ms": round(self.jitter_ms),
               "mos": round(self.mos), "remote_loss": round(self.remote_loss),
               "remote_jitter_ms": round(self.remote_jitter_ms), "round_trip_ms": self.round_trip_ms.map(round)})
    }
}

impl Rtp {
    fn line(&self) -> Value {
        let packed = |headers: &Headers| -> Vec<String> {
            let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
            headers.blocks().map(|block| engine.encode(block)).collect()
        };
        json!({"local": self.local.to_string(), "begin": self.begin.0,
               "in": packed(&self.received), "in_missing": self.received.missing(),
               "out": packed(&self.sent), "out_missing": self.sent.missing()})
    }
}

/// Packets of a block of headers in an `rtp` line.
pub(super) fn unpacked(block: &str) -> Vec<Noted> {
    let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
    let bytes = engine.decode(block).unwrap_or_default();
    headers::read(&bytes).collect()
}

impl Timing {
    fn line(self) -> Value {
        json!({"dns": self.dns, "connect": self.connect, "tls": self.tls, "server": self.server, "body": self.body,
               "total": self.total})
    }
}

/// What is kept of a body, as a copy that keeps no larger buffer alive where it is cut.
pub(super) fn kept(body: &Bytes) -> Bytes {
    match body.get(..BODY) {
        Some(cut) => Bytes::copy_from_slice(cut),
        None => body.clone(),
    }
}

/// Text as it is, anything else in base64.
fn with_body(line: Value, body: &[u8]) -> Value {
    let Value::Object(mut line) = line else {
        return line;
    };
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) => drop(line.insert("body".into(), json!(text))),
        // A text that was cut inside a character is a text all the same.
        Err(error) if error.error_len().is_none() => {
            let text = String::from_utf8_lossy(body.get(..error.valid_up_to()).unwrap_or_default());
            line.insert("body".into(), json!(text));
        }
        Err(_) => {
            let text = base64::engine::general_purpose::STANDARD.encode(body);
            line.insert("body_base64".into(), json!(text));
        }
    }
    Value::Object(line)
}

/// About what a document takes in memory.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 32,
        Value::String(text) => 32 + text.len(),
        Value::Array(items) => 32 + items.iter().map(weight).sum::<usize>(),
        Value::Object(fields) => of_fields(fields),
    }
}

fn of_fields(fields: &Map<String, Value>) -> usize {
    let one = |(key, value): (&String, &Value)| key.len() + 48 + weight(value);
    32 + fields.iter().map(one).sum::<usize>()
}
