//! Exchanges with web servers as rows and as spans.

use serde_json::Value;

use super::build::{Builder, content_type, ms, number, text, time};
use super::{Span, words};

impl Builder {
    pub(super) fn asked(&mut self, index: usize, leg: usize, line: &Value) {
        let (method, url) = (text(line, "method"), text(line, "url"));
        let (host, path) = host_and_path(url);
        let purpose = text(line, "purpose");
        let party = self.web(&host);
        let k = self.exchanges.len() + 1;
        let title = format!("{method} {path}");
        let at = self.add(index, leg, line, "hook", title, words::purpose(purpose));
        let swivel = self.swivel();
        if let Some(event) = self.event(at) {
            event.from = Some(swivel);
            event.to = Some(party.clone());
            event.party = None;
            event.exchange = Some(k);
        }
        let from = self.t(time(line));
        self.lens.lanes.hooks.push(Span {
            n: at + 1,
            from,
            label: format!("{method} {}", last_part(&path)),
            ..Span::default()
        });
        let span = self.lens.lanes.hooks.len() - 1;
        let id = number(line, "id").unwrap_or_default();
        self.exchanges.insert(id, (at, span, k, party));
    }

    pub(super) fn told(&mut self, index: usize, leg: usize, line: &Value) {
        let id = number(line, "id").unwrap_or_default();
        let Some((asked, span, k, party)) = self.exchanges.get(&id).cloned() else {
            return;
        };
        let took = number(line.get("timing").unwrap_or(&Value::Null), "total");
        let took = took.map(ms);
        let status = number(line, "status");
        let content = content_type(line);
        let (title, detail, severity) = match (status, text(line, "error")) {
            (Some(status), _) => {
                let bad = !(200..400).contains(&status);
                let kind = words::kind_of(&content);
                let size = words::size(number(line, "length").unwrap_or_default());
                (
                    format!("{status} {kind}").trim().to_owned(),
                    size,
                    bad.then_some("err"),
                )
            }
            (None, error) => ("no answer".to_owned(), error.to_owned(), Some("err")),
        };
        let at = self.add(index, leg, line, "hook", title, detail);
        let swivel = self.swivel();
        if let Some(event) = self.event(at) {
            event.from = Some(party);
            event.to = Some(swivel);
            event.party = None;
            event.exchange = Some(k);
            event.pair = Some(asked + 1);
            event.took_ms = took;
            event.severity = severity;
        }
        let to = self.t(time(line));
        if let Some(span) = self.lens.lanes.hooks.get_mut(span) {
            span.to = Some(to);
            span.severity = severity;
            let took = took.map(words::took).unwrap_or_default();
            let failed = if severity.is_some() {
                status.map_or(" failed".to_owned(), |status| format!(" {status}"))
            } else {
                String::new()
            };
            span.label = format!("{}{failed} {took}", span.label);
        }
        if let Some(event) = self.event(asked) {
            event.took_ms = took;
            event.facts.push(index);
        }
    }

    /// Streams to servers, and hooks of traces that have no whole exchanges.
    pub(super) fn hook(&mut self, index: usize, leg: usize, line: &Value) {
        let (url, step) = (text(line, "url"), text(line, "step"));
        if !url.starts_with("ws") {
            return;
        }
        let (host, path) = host_and_path(url);
        let party = self.web(&host);
        let title = match step {
            "request" => format!("WebSocket {path}"),
            "response" => "101 streaming".to_owned(),
            _ => "no stream".to_owned(),
        };
        let at = self.add(index, leg, line, "hook", title, text(line, "note"));
        let swivel = self.swivel();
        if let Some(event) = self.event(at) {
            let asks = step == "request";
            let (from, to) = if asks {
                (swivel, party)
            } else {
                (party, swivel)
            };
            event.from = Some(from);
            event.to = Some(to);
            event.party = None;
            event.severity = (step == "failure").then_some("err");
        }
    }

    pub(super) fn web(&mut self, host: &str) -> String {
        let known = self.lens.parties.iter();
        let known = known
            .enumerate()
            .find(|(_, party)| party.kind == "web" && party.detail == host);
        let at = match known {
            Some((at, _)) => at,
            None => self.party("web", "Web server", host),
        };
        self.id_of(at)
    }
}

fn host_and_path(address: &str) -> (String, String) {
    let Ok(url) = url::Url::parse(address) else {
        return (address.to_owned(), String::new());
    };
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    (host, url.path().to_owned())
}

fn last_part(path: &str) -> &str {
    let part = path.trim_end_matches('/').rsplit('/').next();
    part.filter(|part| !part.is_empty()).unwrap_or("/")
}
