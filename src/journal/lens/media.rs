//! Sounds, keys, recordings and reception as rows and lanes.

use serde_json::Value;

use super::build::{Builder, label, number, text, time};
use super::{Curve, Key, Span, Tape, words};

/// A key this close before the end of a sound has ended it, microseconds.
const BARGE_IN: u64 = 250_000;
/// Percent of packets lost in one sample that is worth a row.
const LOSS: f64 = 1.0;
/// Opinion score below which a sample is worth a row.
const POOR: f64 = 3.6;

impl Builder {
    pub(super) fn sound(&mut self, index: usize, leg: usize, line: &Value) {
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

    pub(super) fn sound_ended(&mut self, index: usize, leg: usize, line: &Value) {
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

    pub(super) fn key(&mut self, index: usize, leg: usize, line: &Value) {
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

    pub(super) fn taping(&mut self, line: &Value) {
        let id = text(line, "id");
        let base = format!("/v2/accounts/{}/recordings/{id}", self.lens.account);
        let from = self.t(time(line));
        self.lens.lanes.recordings.push(Tape {
            id: id.to_owned(),
            from,
            to: None,
            channels: number(line, "channels").unwrap_or(1),
            url: format!("{base}?accept=audio/x-wav&inline=true"),
            peaks: format!("{base}/peaks"),
        });
    }

    pub(super) fn taped(&mut self, leg: usize, line: &Value) {
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

    pub(super) fn quality(&mut self, index: usize, leg: usize, line: &Value) {
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

    pub(super) fn at_other_end(&mut self, leg: usize, event: usize, poor: bool) {
        let party = self.parties.get(leg).copied().flatten();
        let party = party.map(|party| self.id_of(party));
        if let Some(event) = self.event(event) {
            event.severity = poor.then_some("warn");
            if party.is_some() {
                event.party = party;
            }
        }
    }
}
