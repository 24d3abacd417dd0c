//! From the lines of all legs to events, parties and lanes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::sip::{self, Shown};
use super::{Curve, Event, Key, Leg, LegTrace, Lens, Party, Span, Tape, words};
use crate::base::time::UnixMicros;

/// Characters of a label.
const LABEL: usize = 120;
/// A key this close before the end of a sound has ended it, microseconds.
const BARGE_IN: u64 = 250_000;
/// Percent of packets lost in one sample that is worth a row.
const LOSS: f64 = 1.0;
/// Opinion score below which a sample is worth a row.
const POOR: f64 = 3.6;

/// The lens of a call of `account` that has these legs; `None` when nothing is known of it.
pub fn build(account: &str, legs: &[LegTrace]) -> Option<Lens> {
    let mut legs: Vec<&LegTrace> = legs.iter().filter(|leg| !leg.lines.is_empty()).collect();
    legs.sort_by_key(|leg| leg.lines.first().map(place));
    let mut facts: Vec<(usize, Value)> = Vec::new();
    for (at, leg) in legs.iter().enumerate() {
        facts.extend(leg.lines.iter().map(|line| (at, line.clone())));
    }
    facts.sort_by_key(|(_, line)| place(line));
    let begin = facts.iter().map(|(_, line)| time(line)).min()?;
    let mut builder = Builder::begin(account, begin, &legs);
    for (index, (leg, line)) in facts.iter().enumerate() {
        builder.line(index, *leg, line);
    }
    let mut lens = builder.end();
    lens.facts = facts;
    words::tell(&mut lens);
    Some(lens)
}

fn place(line: &Value) -> u64 {
    number(line, "seq").unwrap_or_else(|| time(line))
}

fn time(line: &Value) -> u64 {
    number(line, "at").unwrap_or_default()
}

fn number(line: &Value, key: &str) -> Option<u64> {
    line.get(key).and_then(Value::as_u64)
}

pub(super) fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn label(text: &str) -> String {
    let mut short: String = text.chars().take(LABEL).collect();
    if text.chars().nth(LABEL).is_some() {
        short.push('…');
    }
    short
}

#[derive(Default)]
struct Builder {
    lens: Lens,
    /// Per leg: its party, once it has one.
    parties: Vec<Option<usize>>,
    /// Per leg: the node that runs, as event and span.
    nodes: Vec<Option<(usize, usize)>>,
    /// Sounds that are heard, by leg and name, as event and span.
    sounds: BTreeMap<(usize, u64), (usize, usize)>,
    /// The last key of a leg, as place in the lane.
    keys: BTreeMap<usize, usize>,
    /// Exchanges by their name, as event, span, number and party.
    exchanges: BTreeMap<u64, (usize, usize, usize, String)>,
    /// Messages by leg, way and text, as event.
    messages: BTreeMap<(usize, String, String), usize>,
    /// Requests that may be answered, by leg, way of the answer and CSeq.
    requests: BTreeMap<(usize, &'static str, String), usize>,
    /// Challenges that nobody has answered yet: event by leg, way of the request and method.
    challenges: BTreeMap<(usize, String, String), Vec<usize>>,
    curves: BTreeMap<usize, usize>,
    /// Whether a leg is over.
    ended: Vec<bool>,
}

impl Builder {
    fn begin(account: &str, begin: u64, legs: &[&LegTrace]) -> Self {
        let first = legs.first().map(|leg| leg.call_id.clone());
        let mut builder = Self {
            parties: vec![None; legs.len()],
            nodes: vec![None; legs.len()],
            ended: vec![false; legs.len()],
            ..Self::default()
        };
        builder.lens = Lens {
            id: first.unwrap_or_default(),
            state: "live",
            begin,
            account: account.to_owned(),
            legs: legs
                .iter()
                .map(|leg| Leg {
                    call_id: leg.call_id.clone(),
                    ..Leg::default()
                })
                .collect(),
            ..Lens::default()
        };
        builder
    }

    fn t(&self, at: u64) -> f64 {
        at.saturating_sub(self.lens.begin) as f64 / 1e6
    }

    fn line(&mut self, index: usize, leg: usize, line: &Value) {
        match text(line, "fact") {
            "sip" => self.message(index, leg, line),
            "leg_begun" => self.leg(leg, line),
            "cause" => self.cause(line),
            "started" => self.started(leg, line),
            "answered" => {
                let t = self.t(time(line));
                if let Some(leg) = self.lens.legs.get_mut(leg) {
                    leg.answered.get_or_insert(t);
                }
            }
            "node" => self.node(index, leg, line),
            "node_data" => self.node_data(index, leg, line),
            "node_left" => self.node_left(index, leg, line),
            "asked" => self.asked(index, leg, line),
            "told" => self.told(index, leg, line),
            "hook" => self.hook(index, leg, line),
            "sound" => self.sound(index, leg, line),
            "sound_ended" => self.sound_ended(index, leg, line),
            "digit" => self.key(index, leg, line),
            "taping" => self.taping(leg, line),
            "taped" => self.taped(leg, line),
            "quality" => self.quality(index, leg, line),
            "ended" => self.over(index, leg, line),
            "note" => self.note(index, leg, line),
            _ => self.remark(index, leg, line),
        }
    }

    /// Adds an event that happens at a party; gives its place.
    fn add(
        &mut self,
        index: usize,
        leg: usize,
        line: &Value,
        kind: &'static str,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> usize {
        let at = time(line);
        let party = self.swivel();
        self.lens.events.push(Event {
            n: self.lens.events.len() + 1,
            t: self.t(at),
            at,
            kind,
            party: Some(party),
            title: title.into(),
            detail: label(&detail.into()),
            repeat: 1,
            call_id: self
                .lens
                .legs
                .get(leg)
                .map(|leg| leg.call_id.clone())
                .unwrap_or_default(),
            facts: vec![index],
            ..Event::default()
        });
        self.lens.events.len() - 1
    }

    fn event(&mut self, at: usize) -> Option<&mut Event> {
        self.lens.events.get_mut(at)
    }

    fn party(&mut self, kind: &'static str, name: &str, detail: &str) -> usize {
        let parties = &mut self.lens.parties;
        parties.push(Party {
            id: format!("p{}", parties.len()),
            kind,
            name: name.to_owned(),
            detail: detail.to_owned(),
        });
        parties.len() - 1
    }

    fn id_of(&self, party: usize) -> String {
        let party = self.lens.parties.get(party);
        party.map(|party| party.id.clone()).unwrap_or_default()
    }

    fn swivel(&mut self) -> String {
        let known = self.lens.parties.iter();
        let known = known.enumerate().find(|(_, party)| party.kind == "swivel");
        let at = match known {
            Some((at, _)) => at,
            None => self.party("swivel", "swivel", ""),
        };
        self.id_of(at)
    }

    /// The party at the other end of a leg.
    fn other_end(&mut self, leg: usize) -> usize {
        if let Some(Some(known)) = self.parties.get(leg) {
            return *known;
        }
        let known = self.lens.legs.get(leg).cloned().unwrap_or_default();
        let outbound = known.direction == "outbound";
        let (kind, name) = match (outbound, leg) {
            (false, _) => ("caller", known.from.as_str()),
            (true, _) => ("callee", known.to.as_str()),
        };
        let name = if name.is_empty() { "Unknown" } else { name };
        let party = self.party(kind, &name.to_owned(), "");
        let id = self.id_of(party);
        if let Some(place) = self.parties.get_mut(leg) {
            *place = Some(party);
        }
        if let Some(leg) = self.lens.legs.get_mut(leg) {
            leg.party = id;
        }
        party
    }

    fn leg(&mut self, leg: usize, line: &Value) {
        if self.lens.interaction_id.is_empty() {
            self.lens.interaction_id = text(line, "interaction").to_owned();
        }
        let Some(known) = self.lens.legs.get_mut(leg) else {
            return;
        };
        known.direction = text(line, "direction").to_owned();
        known.from = text(line, "from").to_owned();
        known.to = text(line, "to").to_owned();
        known.cdr_id = Some(format!(
            "{}-{}",
            UnixMicros(time(line)).month(),
            known.call_id
        ));
        let (from, to) = (known.from.clone(), known.to.clone());
        // Nobody is at the other end of a seed.
        if line.get("internal").is_some() {
            return;
        }
        let party = self.other_end(leg);
        let (name, kind) = (text(line, "name"), text(line, "kind"));
        let outbound = text(line, "direction") == "outbound";
        if let Some(party) = self.lens.parties.get_mut(party) {
            let number = if outbound { &to } else { &from };
            party.kind = match (outbound, kind) {
                (false, _) => "caller",
                (true, "resource") => "trunk",
                (true, _) => "callee",
            };
            party.name = match (name.is_empty() || name == number, number.is_empty()) {
                (true, true) => "Unknown".to_owned(),
                (true, false) => number.clone(),
                (false, _) => name.to_owned(),
            };
        }
    }

    fn started(&mut self, leg: usize, line: &Value) {
        if leg == 0 {
            self.lens.from = text(line, "from").to_owned();
            self.lens.to = text(line, "dialled").to_owned();
            let callflow = text(line, "callflow");
            if !callflow.is_empty() {
                self.lens.callflow = json!({"id": callflow, "name": null});
            }
        }
        if let Some(known) = self.lens.legs.get_mut(leg) {
            if known.from.is_empty() {
                known.from = text(line, "from").to_owned();
            }
            if known.to.is_empty() {
                known.to = text(line, "dialled").to_owned();
            }
        }
    }

    fn message(&mut self, index: usize, leg: usize, line: &Value) {
        let message = text(line, "message");
        let way = text(line, "direction");
        let key = (leg, way.to_owned(), message.to_owned());
        let t = self.t(time(line));
        if let Some(first) = self.messages.get(&key).copied() {
            if let Some(event) = self.event(first) {
                event.repeat += 1;
                event.also.push(t);
                event.facts.push(index);
            }
            return;
        }
        let shown = Shown::of(message);
        self.know_leg(leg, way, &shown);
        let end = self.other_end(leg);
        let transport = text(line, "transport").to_uppercase();
        if let Some(party) = self.lens.parties.get_mut(end)
            && party.detail.is_empty()
        {
            party.detail = format!("{}, {transport}", text(line, "peer"));
        }
        let at = self.add(index, leg, line, "sip", shown.title(), shown.detail());
        let (other, swivel) = (self.id_of(end), self.swivel());
        let local = text(line, "local").to_owned();
        if let Some(own) = self.lens.parties.iter_mut().find(|p| p.kind == "swivel")
            && own.detail.is_empty()
        {
            own.detail = local;
        }
        let (from, to) = match way {
            "in" => (other, swivel),
            _ => (swivel, other),
        };
        self.answer(leg, way, &shown, at);
        if let Some(event) = self.event(at) {
            event.from = Some(from);
            event.to = Some(to);
            event.party = None;
            event.class = Some(shown.class());
        }
        self.messages.insert(key, at);
    }

    /// What the first message of a leg says about it, where nothing else does.
    fn know_leg(&mut self, leg: usize, way: &str, shown: &Shown<'_>) {
        let user = |name: &str| {
            let value = shown.header(name)?;
            let (_, rest) = value.split_once("sip:").or(value.split_once("sips:"))?;
            let end = rest.find(['@', '>', ';'])?;
            rest.get(..end).map(str::to_owned)
        };
        let Some(known) = self.lens.legs.get_mut(leg) else {
            return;
        };
        if known.direction.is_empty() {
            let asks = shown.method.is_some() == (way == "in");
            known.direction = if asks { "inbound" } else { "outbound" }.to_owned();
            known.from = user("from").unwrap_or_default();
            known.to = user("to").unwrap_or_default();
            if leg == 0 && self.lens.from.is_empty() {
                (self.lens.from, self.lens.to) = (known.from.clone(), known.to.clone());
            }
        }
        if let (Some((200..=299, _)), Some(sdp)) = (shown.status, shown.sdp()) {
            known.codec = sip::codecs(sdp).into_iter().next();
        }
    }

    /// Puts a response beside its request, and challenges beside their answers.
    fn answer(&mut self, leg: usize, way: &str, shown: &Shown<'_>, at: usize) {
        let back = if way == "in" { "out" } else { "in" };
        let method = shown.cseq.split(' ').nth(1).unwrap_or_default();
        if shown.method.is_some() {
            let answered = shown.has_credentials();
            let key = (leg, way.to_owned(), method.to_owned());
            if answered && let Some(challenges) = self.challenges.remove(&key) {
                for challenge in challenges {
                    if let Some(event) = self.event(challenge) {
                        event.class = Some("r1");
                        event.severity = None;
                    }
                }
            }
            let key = (leg, back, shown.cseq.to_owned());
            self.requests.insert(key, at);
            return;
        }
        let way: &'static str = if way == "in" { "in" } else { "out" };
        let asked = self
            .requests
            .get(&(leg, way, shown.cseq.to_owned()))
            .copied();
        let begun = asked.and_then(|asked| Some(self.lens.events.get(asked)?.at));
        let status = shown.status.map_or(0, |(status, _)| status);
        let severity = match status {
            487 => None,
            400..=499 => Some("warn"),
            500.. => Some("err"),
            _ => None,
        };
        if let Some(event) = self.event(at) {
            event.severity = severity;
            event.pair = asked.map(|asked| asked + 1);
            event.took_ms = begun.map(|begun| ms(event.at.saturating_sub(begun)));
        }
        if matches!(status, 401 | 407) {
            // The answer goes the way the request went.
            let key = (leg, back.to_owned(), method.to_owned());
            self.challenges.entry(key).or_default().push(at);
        }
    }

    fn node(&mut self, index: usize, leg: usize, line: &Value) {
        self.close_node(leg, line);
        let module = text(line, "module");
        let path = text(line, "path");
        let at = self.add(index, leg, line, "flow", module, path);
        let from = self.t(time(line));
        self.lens.lanes.flow.push(Span {
            n: at + 1,
            from,
            label: module.to_owned(),
            module: Some(module.to_owned()),
            path: Some(path.to_owned()),
            ..Span::default()
        });
        if let Some(node) = self.nodes.get_mut(leg) {
            *node = Some((at, self.lens.lanes.flow.len() - 1));
        }
    }

    fn node_data(&mut self, index: usize, leg: usize, line: &Value) {
        let Some(Some((event, span))) = self.nodes.get(leg).copied() else {
            return;
        };
        let said = line.get("data").map(words::data).unwrap_or_default();
        if let Some(event) = self.event(event) {
            event.detail = label(&said);
            event.facts.push(index);
        }
        if let Some(span) = self.lens.lanes.flow.get_mut(span)
            && let Some(module) = &span.module
            && !said.is_empty()
        {
            span.label = label(&format!("{module} · {said}"));
        }
    }

    fn node_left(&mut self, index: usize, leg: usize, line: &Value) {
        let Some((event, _)) = self.close_node(leg, line) else {
            return;
        };
        if let Some(event) = self.event(event) {
            event.facts.push(index);
            if line.get("failed").is_some() {
                event.severity = Some("err");
            }
        }
    }

    /// The node that ran on a leg does no more.
    fn close_node(&mut self, leg: usize, line: &Value) -> Option<(usize, usize)> {
        let (event, span) = self.nodes.get_mut(leg)?.take()?;
        let t = self.t(time(line));
        let severity = line.get("failed").map(|_| "err");
        if let Some(span) = self.lens.lanes.flow.get_mut(span) {
            span.to = Some(t);
            span.severity = severity;
        }
        if let Some(event) = self.event(event) {
            event.took_ms = Some(((t - event.t) * 1000.0).max(0.0));
        }
        Some((event, span))
    }

    fn asked(&mut self, index: usize, leg: usize, line: &Value) {
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

    fn told(&mut self, index: usize, leg: usize, line: &Value) {
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
    fn hook(&mut self, index: usize, leg: usize, line: &Value) {
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

    fn web(&mut self, host: &str) -> String {
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

    fn sound(&mut self, index: usize, leg: usize, line: &Value) {
        let (kind, said) = (text(line, "kind"), text(line, "text"));
        let at = self.add(index, leg, line, "audio", kind, said);
        let party = self.parties.get(leg).copied().flatten();
        if let Some(party) = party.map(|party| self.id_of(party))
            && let Some(event) = self.event(at)
        {
            event.to = Some(party);
        }
        let from = self.t(time(line));
        self.lens.lanes.audio.push(Span {
            n: at + 1,
            from,
            label: label(if said.is_empty() { kind } else { said }),
            kind: Some(kind.to_owned()),
            ..Span::default()
        });
        let span = self.lens.lanes.audio.len() - 1;
        let id = number(line, "id").unwrap_or_default();
        self.sounds.insert((leg, id), (at, span));
    }

    fn sound_ended(&mut self, index: usize, leg: usize, line: &Value) {
        let id = number(line, "id").unwrap_or_default();
        let Some((event, span)) = self.sounds.remove(&(leg, id)) else {
            return;
        };
        let end = time(line);
        let t = self.t(end);
        let why = text(line, "why");
        if let Some(span) = self.lens.lanes.audio.get_mut(span) {
            span.to = Some(t);
        }
        if let Some(event) = self.event(event) {
            event.took_ms = Some(((t - event.t) * 1000.0).max(0.0));
            event.facts.push(index);
            if why == "failed" {
                event.severity = Some("warn");
            }
        }
        // The key that stopped it came just before.
        let key = self.keys.get(&leg).copied();
        if why == "key"
            && let Some(key) = key.and_then(|key| self.lens.lanes.keys.get_mut(key))
            && (t - key.t) * 1e6 <= BARGE_IN as f64
        {
            key.barge_in = true;
            let (n, after) = (key.n, ((t - key.t) * 1000.0).max(0.0));
            if let Some(event) = self.lens.events.get_mut(n.saturating_sub(1)) {
                event.detail = format!("barge-in, silent after {}", words::took(after));
            }
        }
    }

    fn key(&mut self, index: usize, leg: usize, line: &Value) {
        // Which key it was is not kept: it may be part of a secret.
        let key = match text(line, "digit") {
            "" | "*" => "•",
            key => key,
        };
        let key = key.to_owned();
        let at = self.add(index, leg, line, "key", key.clone(), text(line, "via"));
        let end = self.other_end(leg);
        let (from, to) = (self.id_of(end), self.swivel());
        if let Some(event) = self.event(at) {
            event.from = Some(from);
            event.to = Some(to);
        }
        let t = self.t(time(line));
        self.lens.lanes.keys.push(Key {
            n: at + 1,
            t,
            key,
            barge_in: false,
        });
        self.keys.insert(leg, self.lens.lanes.keys.len() - 1);
    }

    fn taping(&mut self, leg: usize, line: &Value) {
        let id = text(line, "id");
        let base = format!("/v2/accounts/{}/recordings/{id}", self.lens.account);
        let from = self.t(time(line));
        let _ = leg;
        self.lens.lanes.recordings.push(Tape {
            id: id.to_owned(),
            from,
            to: None,
            channels: number(line, "channels").unwrap_or(1),
            url: format!("{base}?accept=audio/x-wav&inline=true"),
            peaks: format!("{base}/peaks"),
        });
    }

    fn taped(&mut self, leg: usize, line: &Value) {
        let id = text(line, "id");
        let t = self.t(time(line));
        // The file is complete a little after its last sound.
        let end = self.lens.legs.get(leg).and_then(|leg| leg.ended);
        let tapes = &mut self.lens.lanes.recordings;
        if let Some(tape) = tapes.iter_mut().find(|tape| tape.id == id) {
            tape.to = Some(end.map_or(t, |end| end.min(t)));
        }
        if line.get("kept") == Some(&Value::Bool(false)) {
            tapes.retain(|tape| tape.id != id);
        }
    }

    fn quality(&mut self, index: usize, leg: usize, line: &Value) {
        let figure = |key: &str| line.get(key).and_then(Value::as_f64).unwrap_or_default();
        let (received, lost) = (figure("received"), figure("lost"));
        let share = |lost: f64, received: f64| match lost + received {
            all if all > 0.0 => (lost / all * 10_000.0).round() / 100.0,
            _ => 0.0,
        };
        let total = line.get("total").is_some();
        if let Some(leg) = self.lens.legs.get_mut(leg)
            && received > 0.0
        {
            leg.loss_percent = Some(share(lost, received));
            leg.jitter_ms = Some(figure("jitter_ms"));
            leg.mos = Some(figure("mos"));
        }
        let t = self.t(time(line));
        let percent = (figure("loss") * 10_000.0).round() / 100.0;
        let mos = figure("mos");
        if !total {
            let at = match self.curves.get(&leg) {
                Some(at) => *at,
                None => {
                    let call_id = self.lens.legs.get(leg).map(|leg| leg.call_id.clone());
                    self.lens.lanes.quality.push(Curve {
                        leg: call_id.unwrap_or_default(),
                        points: Vec::new(),
                    });
                    let at = self.lens.lanes.quality.len() - 1;
                    self.curves.insert(leg, at);
                    at
                }
            };
            if let Some(curve) = self.lens.lanes.quality.get_mut(at) {
                curve.points.push([t, percent, figure("jitter_ms"), mos]);
            }
        }
        let poor = received > 0.0 && (percent >= LOSS || (mos > 0.0 && mos < POOR));
        if total && received > 0.0 {
            let said = format!("MOS {mos:.1}, {lost} of {} packets lost", lost + received);
            let at = self.add(index, leg, line, "quality", "RTP received", said);
            self.at_other_end(leg, at, poor);
        } else if poor && !total {
            let said = format!("{percent} % lost, MOS {mos:.1}");
            let at = self.add(index, leg, line, "quality", "poor reception", said);
            self.at_other_end(leg, at, true);
        }
    }

    fn at_other_end(&mut self, leg: usize, event: usize, poor: bool) {
        let party = self.parties.get(leg).copied().flatten();
        let party = party.map(|party| self.id_of(party));
        if let Some(event) = self.event(event) {
            event.severity = poor.then_some("warn");
            if party.is_some() {
                event.party = party;
            }
        }
    }

    fn over(&mut self, index: usize, leg: usize, line: &Value) {
        self.close_node(leg, line);
        let at = time(line);
        let t = self.t(at);
        self.lens.end = Some(self.lens.end.unwrap_or_default().max(at));
        if let Some(ended) = self.ended.get_mut(leg) {
            *ended = true;
        }
        let open: Vec<(usize, u64)> = self.sounds.keys().copied().collect();
        for key in open.into_iter().filter(|(of, _)| *of == leg) {
            if let Some((_, span)) = self.sounds.get(&key)
                && let Some(span) = self.lens.lanes.audio.get_mut(*span)
            {
                span.to = Some(t);
            }
        }
        if let Some(known) = self.lens.legs.get_mut(leg) {
            known.ended = Some(t);
            known.cause = Some(text(line, "cause").to_owned());
            known.status = number(line, "status");
            known.disposition = Some(text(line, "disposition").to_owned());
        }
        let said = words::ended(text(line, "cause"), text(line, "disposition"));
        let at = self.add(index, leg, line, "note", "ended", said);
        let party = self.parties.get(leg).copied().flatten();
        if let Some(party) = party.map(|party| self.id_of(party))
            && let Some(event) = self.event(at)
        {
            event.party = Some(party);
        }
    }

    /// Why the call failed, said by who has looked at it; the last one knows most.
    fn cause(&mut self, line: &Value) {
        let of = |key: &str| line.get(key).cloned().unwrap_or_default();
        self.lens.cause = json!({"code": of("code"), "what": of("what"), "why": of("why"), "todo": of("todo"),
                                 "link": of("link"), "event": null});
    }

    fn note(&mut self, index: usize, leg: usize, line: &Value) {
        let said = text(line, "text");
        if line.get("lost").is_some() {
            let at = UnixMicros(time(line)).timestamp();
            let clock = at.strftime("%H:%M:%S");
            let partial = format!(
                "Events before {clock} were not traced ({said}: the call had more than is kept of one)."
            );
            self.lens.partial.get_or_insert(partial);
            return;
        }
        let at = self.add(index, leg, line, "note", "note", said);
        let bad = [
            "failed",
            "cannot",
            "refused",
            "too many",
            "not kept",
            "was ended",
        ];
        if bad.iter().any(|word| said.contains(word))
            && let Some(event) = self.event(at)
        {
            event.severity = Some("warn");
        }
    }

    /// Everything else, in words.
    fn remark(&mut self, index: usize, leg: usize, line: &Value) {
        let fact = text(line, "fact");
        let Some((title, said, severity)) = words::remark(fact, line) else {
            return;
        };
        if fact == "refused" {
            let at = time(line);
            self.lens.end = Some(self.lens.end.unwrap_or_default().max(at));
            let t = self.t(at);
            if let Some(ended) = self.ended.get_mut(leg) {
                *ended = true;
            }
            if let Some(known) = self.lens.legs.get_mut(leg) {
                known.ended = Some(t);
                known.status = number(line, "status");
                known.disposition = Some("send_refuse".to_owned());
            }
        }
        let at = self.add(index, leg, line, "note", title, said);
        if let Some(event) = self.event(at) {
            event.severity = severity;
        }
    }

    fn end(mut self) -> Lens {
        let ended = !self.ended.is_empty() && self.ended.iter().all(|ended| *ended);
        self.lens.state = if ended { "ended" } else { "live" };
        if !ended {
            self.lens.end = None;
        }
        let bad = |event: &&Event| event.severity == Some("err") && event.title != "ended";
        if let Some(cause) = self.lens.cause.as_object_mut()
            && let Some(event) = self.lens.events.iter().rev().find(bad)
        {
            cause.insert("event".into(), json!(event.n));
        }
        let order = |party: &Party| match party.kind {
            "caller" => 0,
            "swivel" => 1,
            "web" => 2,
            _ => 3,
        };
        let mut seen = false;
        // A second caller (a leg that came in later) stands with the others.
        self.lens.parties.sort_by_key(|party| match order(party) {
            0 if std::mem::replace(&mut seen, true) => 3,
            place => place,
        });
        self.lens
    }
}

fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
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

/// The content type a request or answer names.
pub(super) fn content_type(line: &Value) -> String {
    let headers = line.get("headers").and_then(Value::as_array);
    let mut pairs = headers.into_iter().flatten().filter_map(|pair| {
        let name = pair.get(0)?.as_str()?;
        Some((name, pair.get(1)?.as_str()?))
    });
    let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    found.map(|(_, value)| value.to_owned()).unwrap_or_default()
}
