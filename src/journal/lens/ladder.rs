//! SIP messages as rows of the ladder.

use serde_json::Value;

use super::build::{Builder, ms, text, time};
use super::sip::Shown;
use crate::journal::offer::Offer;

impl Builder {
    pub(super) fn message(&mut self, index: usize, leg: usize, line: &Value) {
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
        self.refused_at_the_door(leg, line, &shown);
    }

    /// A call that was refused before it was one has nothing but its messages.
    pub(super) fn refused_at_the_door(&mut self, leg: usize, line: &Value, shown: &Shown<'_>) {
        let Some((status @ 300.., _)) = shown.status else {
            return;
        };
        let begun = self.started.get(leg) == Some(&true);
        if begun || !shown.cseq.ends_with("INVITE") || text(line, "direction") != "out" {
            return;
        }
        self.refuse(leg, time(line), status.into());
    }

    /// What the first message of a leg says about it, where nothing else does.
    pub(super) fn know_leg(&mut self, leg: usize, way: &str, shown: &Shown<'_>) {
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
            known.codec = Offer::read(sdp).and_then(|offer| offer.codecs.into_iter().next());
        }
    }

    /// Puts a response beside its request, and challenges beside their answers.
    pub(super) fn answer(&mut self, leg: usize, way: &str, shown: &Shown<'_>, at: usize) {
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
}
