//! One event in full, and looking for text in all of them.

use serde_json::{Map, Value, json};

use super::build::{content_type, text};
use super::sip::{self, Shown};
use super::{Event, Lens, WebExchange};
use crate::journal::mask::MASK;

/// What a reader sees in place of a secret.
const MASKED: &str = "••••••• (masked)";

impl Lens {
    /// One event with everything that is known of it.
    pub fn event(&self, n: usize) -> Option<Value> {
        let event = self.events.get(n.checked_sub(1)?)?;
        let Value::Object(mut all) = serde_json::to_value(event).ok()? else {
            return None;
        };
        match event.kind {
            "sip" => self.message(event, &mut all),
            "hook" => self.hook(event, &mut all),
            "flow" => self.node(event, &mut all),
            "audio" => self.sound(event, &mut all),
            _ => {
                if let Some((_, line)) = self.fact(event, 0) {
                    let mut line = line.clone();
                    if let Some(line) = line.as_object_mut() {
                        line.retain(|key, _| !matches!(key.as_str(), "at" | "seq" | "fact"));
                    }
                    all.insert("counters".into(), line);
                }
            }
        }
        Some(Value::Object(all))
    }

    /// Events whose raw text has `wanted` in it, in any case.
    pub fn find(&self, wanted: &str) -> Vec<usize> {
        let wanted = wanted.to_lowercase();
        if wanted.is_empty() {
            return Vec::new();
        }
        let has = |event: &&Event| {
            let own = [&event.title, &event.detail];
            own.iter().any(|text| text.to_lowercase().contains(&wanted))
                || self
                    .raw(event)
                    .any(|text| text.to_lowercase().contains(&wanted))
        };
        self.events
            .iter()
            .filter(has)
            .map(|event| event.n)
            .collect()
    }

    /// The exchanges with web servers, in order.
    pub fn exchanges(&self) -> Vec<WebExchange> {
        let asked = self
            .events
            .iter()
            .filter(|event| event.exchange.is_some() && event.pair.is_none());
        asked.map(|event| self.exchange(event)).collect()
    }

    fn exchange(&self, event: &Event) -> WebExchange {
        let (request, response) = self.both(event);
        let headers = request.and_then(|line| line.get("headers"));
        let kept = |line: &Value| line.get("body").and_then(Value::as_str).map(str::to_owned);
        let length = request.and_then(|line| line.get("length")?.as_u64());
        let body = request.and_then(kept);
        WebExchange {
            purpose: request
                .map(|line| text(line, "purpose"))
                .unwrap_or_default()
                .to_owned(),
            method: request
                .map(|line| text(line, "method"))
                .unwrap_or_default()
                .to_owned(),
            url: request
                .map(|line| text(line, "url"))
                .unwrap_or_default()
                .to_owned(),
            headers: headers
                .and_then(|all| serde_json::from_value(all.clone()).ok())
                .unwrap_or_default(),
            whole: length == Some(body.as_ref().map_or(0, |body| body.len() as u64))
                && body.as_ref().is_none_or(|body| !body.contains(MASK)),
            body,
            answer: response.and_then(kept),
            content_type: response.map(content_type).filter(|kind| !kind.is_empty()),
            response: response.map_or(Value::Null, shown_response),
        }
    }

    pub(super) fn fact(&self, event: &Event, which: usize) -> Option<&(usize, Value)> {
        self.facts.get(*event.facts.get(which)?)
    }

    fn facts_of<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Value> {
        let facts = event.facts.iter().filter_map(|at| self.facts.get(*at));
        facts.map(|(_, line)| line)
    }

    fn raw<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a str> {
        let own = self.fact(event, 0).into_iter();
        own.flat_map(|(_, line)| {
            ["message", "url", "body", "text", "error"]
                .into_iter()
                .filter_map(move |key| line.get(key).and_then(Value::as_str))
        })
    }

    fn message(&self, event: &Event, all: &mut Map<String, Value>) {
        let Some((_, line)) = self.fact(event, 0) else {
            return;
        };
        let raw = text(line, "message");
        let shown = Shown::of(raw);
        let headers: Vec<[String; 2]> = shown
            .headers
            .iter()
            .map(|(name, value)| [(*name).to_owned(), readable(value)])
            .collect();
        all.insert("message".into(), json!(readable(raw)));
        all.insert("headers".into(), json!(headers));
        for key in ["peer", "local", "transport", "direction"] {
            all.insert(key.into(), json!(text(line, key)));
        }
        all.insert("sdp".into(), self.sdp(event, &shown));
    }

    /// The offer and the answer a message is part of.
    fn sdp(&self, event: &Event, shown: &Shown<'_>) -> Value {
        let Some(own) = shown.sdp() else {
            return Value::Null;
        };
        let described = |event: &Event| -> Option<String> {
            let (_, line) = self.fact(event, 0)?;
            Shown::of(text(line, "message")).sdp().map(str::to_owned)
        };
        // The answer to an offer, or the offer an answer belongs to, by the pair of request and response.
        let other = match event.pair {
            Some(asked) => self.events.get(asked.saturating_sub(1)).and_then(described),
            None => {
                let answers = self
                    .events
                    .iter()
                    .filter(|answer| answer.pair == Some(event.n));
                answers.rev().find_map(described)
            }
        };
        let is_answer = event.pair.is_some() && other.is_some();
        let (offer, answer) = match (is_answer, &other) {
            (true, Some(offer)) => (Some(offer.as_str()), Some(own)),
            (_, answer) => (Some(own), answer.as_deref()),
        };
        sip::compare(offer, answer)
    }

    fn both<'a>(&'a self, event: &'a Event) -> (Option<&'a Value>, Option<&'a Value>) {
        let asked = match event.pair {
            Some(asked) => self.events.get(asked.saturating_sub(1)),
            None => Some(event),
        };
        let Some(asked) = asked else {
            return (None, None);
        };
        let mut facts = self.facts_of(asked);
        (facts.next(), facts.next())
    }

    fn hook(&self, event: &Event, all: &mut Map<String, Value>) {
        let (request, response) = self.both(event);
        if let Some(line) = request {
            let body = body(line);
            all.insert(
                "request".into(),
                json!({"method": text(line, "method"), "url": text(line, "url"), "headers": line.get("headers"),
                       "body": body, "content_type": content_type(line), "purpose": text(line, "purpose"),
                       "length": line.get("length")}),
            );
        }
        all.insert(
            "response".into(),
            response
                .filter(|line| line.get("status").is_some())
                .map_or(Value::Null, shown_response),
        );
        let timing = response.and_then(|line| line.get("timing"));
        let encrypted = request.is_some_and(|line| text(line, "url").starts_with("https:"));
        all.insert(
            "timing".into(),
            timing.map_or(Value::Null, |timing| shown_timing(timing, encrypted)),
        );
        let error = response.map(|line| text(line, "error"));
        all.insert(
            "error".into(),
            json!(error.filter(|error| !error.is_empty())),
        );
    }

    fn node(&self, event: &Event, all: &mut Map<String, Value>) {
        for line in self.facts_of(event) {
            match text(line, "fact") {
                "node" => {
                    all.insert("module".into(), json!(text(line, "module")));
                    all.insert("path".into(), json!(text(line, "path")));
                }
                "node_data" => {
                    all.insert("data".into(), line.get("data").cloned().unwrap_or_default());
                }
                "node_left" => {
                    all.insert(
                        "chosen".into(),
                        line.get("chosen").cloned().unwrap_or_default(),
                    );
                    all.insert("why".into(), json!(text(line, "why")));
                }
                _ => {}
            }
        }
    }

    fn sound(&self, event: &Event, all: &mut Map<String, Value>) {
        for line in self.facts_of(event) {
            match text(line, "fact") {
                "sound" => {
                    let kind = text(line, "kind");
                    let said = matches!(kind, "speech" | "prompt" | "bridge");
                    let key = if said { "text" } else { "file" };
                    all.insert(key.into(), json!(text(line, "text")));
                    all.insert("started".into(), json!(event.t));
                }
                "sound_ended" => {
                    all.insert("stopped_by".into(), json!(text(line, "why")));
                    let at = line.get("at").and_then(Value::as_u64).unwrap_or_default();
                    let t = at.saturating_sub(self.begin) as f64 / 1e6;
                    all.insert("ended".into(), json!(t));
                }
                _ => {}
            }
        }
    }
}

/// An answer of a web server as `events/{n}` shows it.
pub fn shown_answer(status: u16, headers: &[(String, String)], body: &str) -> Value {
    shown_response(
        &json!({"status": status, "headers": headers, "body": body, "length": body.len()}),
    )
}

/// The answer of a web server.
pub(super) fn shown_response(line: &Value) -> Value {
    let kind = content_type(line);
    let body = body(line);
    let pretty = body.as_str().and_then(|body| pretty(&kind, body));
    json!({"status": line.get("status"), "headers": line.get("headers"), "body": body, "content_type": kind,
           "pretty": pretty, "length": line.get("length")})
}

/// Timing in milliseconds. A connection used again took no time for name, connection and handshake; in traces of earlier
/// versions the handshake is part of connecting.
pub(super) fn shown_timing(timing: &Value, encrypted: bool) -> Value {
    let of = |key: &str| {
        let micros = timing.get(key)?.as_u64()?;
        Some(micros as f64 / 1000.0)
    };
    let (connect, tls) = (of("connect"), of("tls"));
    let with_tls = encrypted && connect.is_some() && tls.is_none();
    json!({"dns_ms": of("dns"), "connect_ms": connect, "tls_ms": tls, "server_ms": of("server"),
           "body_ms": of("body"), "total_ms": of("total"), "connect_with_tls": with_tls,
           "reused": connect.is_none()})
}

fn body(line: &Value) -> Value {
    if let Some(text) = line.get("body") {
        return text.clone();
    }
    match line.get("body_base64").and_then(Value::as_str) {
        Some(bytes) => json!(format!("base64:{bytes}")),
        None => json!(""),
    }
}

/// A body set out for reading, where that can be done.
fn pretty(content_type: &str, body: &str) -> Option<String> {
    let trimmed = body.trim_start_matches('\u{feff}').trim_start();
    let json = content_type.contains("json") || trimmed.starts_with(['{', '[']);
    if json && let Ok(document) = serde_json::from_str::<Value>(trimmed) {
        return serde_json::to_string_pretty(&document).ok();
    }
    None
}

/// Raw text with masked values said to be so.
fn readable(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for line in raw.split_inclusive('\n') {
        let kept = line.trim_end();
        match kept.strip_suffix(MASK) {
            Some(before) => {
                out.push_str(before);
                out.push_str(MASKED);
                out.push_str(line.get(kept.len()..).unwrap_or_default());
            }
            None => out.push_str(line),
        }
    }
    out
}
