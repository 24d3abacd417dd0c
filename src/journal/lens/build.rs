//! From the lines of all legs to events, parties and lanes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Event, Leg, LegTrace, Lens, Party, Span, words};
use crate::base::time::UnixMicros;

/// Characters of a label.
const LABEL: usize = 120;
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

pub(super) fn time(line: &Value) -> u64 {
    number(line, "at").unwrap_or_default()
}

pub(super) fn number(line: &Value, key: &str) -> Option<u64> {
    line.get(key).and_then(Value::as_u64)
}

pub(super) fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn label(text: &str) -> String {
    let mut short: String = text.chars().take(LABEL).collect();
    if text.chars().nth(LABEL).is_some() {
        short.push('…');
    }
    short
}

#[derive(Default)]
pub(super) struct Builder {
    pub(super) lens: Lens,
    /// Per leg: its party, once it has one.
    pub(super) parties: Vec<Option<usize>>,
    /// Per leg: the node that runs, as event and span.
    pub(super) nodes: Vec<Option<(usize, usize)>>,
    /// Sounds that are heard, by leg and name, as event and span.
    pub(super) sounds: BTreeMap<(usize, u64), (usize, usize)>,
    /// The last key of a leg, as place in the lane.
    pub(super) keys: BTreeMap<usize, usize>,
    /// Exchanges by their name, as event, span, number and party.
    pub(super) exchanges: BTreeMap<u64, (usize, usize, usize, String)>,
    /// Messages by leg, way and text, as event.
    pub(super) messages: BTreeMap<(usize, String, String), usize>,
    /// Requests that may be answered, by leg, way of the answer and CSeq.
    pub(super) requests: BTreeMap<(usize, &'static str, String), usize>,
    /// Challenges that nobody has answered yet: event by leg, way of the request and method.
    pub(super) challenges: BTreeMap<(usize, String, String), Vec<usize>>,
    pub(super) curves: BTreeMap<usize, usize>,
    /// Whether a leg is over.
    pub(super) ended: Vec<bool>,
    /// Whether it runs a flow, or was placed: then its end is a fact of its own.
    pub(super) started: Vec<bool>,
}

impl Builder {
    fn begin(account: &str, begin: u64, legs: &[&LegTrace]) -> Self {
        let first = legs.first().map(|leg| leg.call_id.clone());
        let mut builder = Self {
            parties: vec![None; legs.len()],
            nodes: vec![None; legs.len()],
            ended: vec![false; legs.len()],
            started: vec![false; legs.len()],
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

    pub(super) fn t(&self, at: u64) -> f64 {
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
            "taping" => self.taping(line),
            "taped" => self.taped(leg, line),
            "quality" => self.quality(index, leg, line),
            // Packets are for the capture alone.
            "rtp" => {}
            "ended" => self.over(index, leg, line),
            "note" => self.note(index, leg, line),
            _ => self.remark(index, leg, line),
        }
    }

    /// Adds an event that happens at a party; gives its place.
    pub(super) fn add(
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

    pub(super) fn event(&mut self, at: usize) -> Option<&mut Event> {
        self.lens.events.get_mut(at)
    }

    pub(super) fn party(&mut self, kind: &'static str, name: &str, detail: &str) -> usize {
        let parties = &mut self.lens.parties;
        parties.push(Party {
            id: format!("p{}", parties.len()),
            kind,
            name: name.to_owned(),
            detail: detail.to_owned(),
        });
        parties.len() - 1
    }

    pub(super) fn id_of(&self, party: usize) -> String {
        let party = self.lens.parties.get(party);
        party.map(|party| party.id.clone()).unwrap_or_default()
    }

    pub(super) fn swivel(&mut self) -> String {
        let known = self.lens.parties.iter();
        let known = known.enumerate().find(|(_, party)| party.kind == "swivel");
        let at = match known {
            Some((at, _)) => at,
            None => self.party("swivel", "swivel", ""),
        };
        self.id_of(at)
    }

    /// The party at the other end of a leg.
    pub(super) fn other_end(&mut self, leg: usize) -> usize {
        if let Some(Some(known)) = self.parties.get(leg) {
            return *known;
        }
        let known = self.lens.legs.get(leg).cloned().unwrap_or_default();
        let outbound = known.direction == "outbound";
        let (kind, name) = match (outbound, leg) {
            (false, _) => ("caller", known.from.as_str()),
            (true, _) => ("callee", known.to.as_str()),
        };
        let name = if name.is_empty() { "Unknown" } else { name }.to_owned();
        let party = self.party(kind, &name, "");
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
        if let (Some(started), Some(ended)) = (self.started.get_mut(leg), self.ended.get_mut(leg)) {
            (*started, *ended) = (true, false);
        }
        if let Some(known) = self.lens.legs.get_mut(leg) {
            (known.ended, known.status, known.disposition) = (None, None, None);
        }
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

    pub(super) fn refuse(&mut self, leg: usize, at: u64, status: u64) {
        self.lens.end = Some(self.lens.end.unwrap_or_default().max(at));
        let t = self.t(at);
        if let Some(ended) = self.ended.get_mut(leg) {
            *ended = true;
        }
        if let Some(known) = self.lens.legs.get_mut(leg) {
            known.ended = Some(t);
            known.status = Some(status);
            known.disposition = Some("send_refuse".to_owned());
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
            self.refuse(leg, time(line), number(line, "status").unwrap_or_default());
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

pub(super) fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
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
