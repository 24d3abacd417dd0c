//! The recent facts of each call, for `swivel trace`: a small ring while the call is up, a row of the log afterwards.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::fact::Fact;
use super::retention;
use crate::base::time::UnixMicros;
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

/// Bytes of facts kept for a call; the oldest go first.
const RING_BYTES: usize = 8 << 10;
/// Bytes of one SIP message in a ring.
const MESSAGE_BYTES: usize = 2 << 10;
/// Calls with a ring. Past that, facts of further calls are not kept, and counted.
const CALLS: usize = 20_000;
/// How long after its end a call may still have facts (the answer to its BYE).
const LINGER: Duration = Duration::from_secs(5);
/// A ring of something that never became a call goes after this.
const IDLE: Duration = Duration::from_secs(70);

#[derive(Default)]
pub(super) struct Rings {
    calls: HashMap<Box<str>, Ring>,
    /// Ended calls, oldest end first.
    ended: VecDeque<(UnixMicros, Box<str>)>,
    last_idle_check: UnixMicros,
}

struct Ring {
    facts: VecDeque<Arc<Fact>>,
    bytes: usize,
    /// Facts that had to go.
    dropped: u32,
    /// It became a call, or was refused: worth keeping.
    kept: bool,
    last: UnixMicros,
}

/// The facts of a call that has ended.
pub(super) struct Finished {
    call_id: Box<str>,
    facts: VecDeque<Arc<Fact>>,
    dropped: u32,
}

impl Rings {
    /// Adds a fact; gives the traces of calls that are over for good.
    pub(super) fn push(&mut self, fact: &Arc<Fact>) -> Vec<Finished> {
        let at = fact.at();
        if fact.call_id().is_empty() {
            return self.settle(at);
        }
        if !self.calls.contains_key(fact.call_id()) {
            if is_minor(fact, self.calls.len()) {
                return self.settle(at);
            }
            if self.calls.len() >= CALLS {
                metrics::counter!("swivel_trace_dropped_total").increment(1);
                return self.settle(at);
            }
            let ring = Ring {
                facts: VecDeque::new(),
                bytes: 0,
                dropped: 0,
                kept: false,
                last: at,
            };
            self.calls.insert(fact.call_id().into(), ring);
        }
        if let Some(ring) = self.calls.get_mut(fact.call_id()) {
            ring.push(fact, at);
        }
        if matches!(**fact, Fact::Ended { .. } | Fact::Refused { .. }) {
            self.ended.push_back((at, fact.call_id().into()));
        }
        self.settle(at)
    }

    /// Takes what is over at `now`.
    pub(super) fn settle(&mut self, now: UnixMicros) -> Vec<Finished> {
        let mut finished = Vec::new();
        while self
            .ended
            .front()
            .is_some_and(|(at, _)| now.since(*at) >= LINGER)
        {
            let Some((_, call_id)) = self.ended.pop_front() else {
                break;
            };
            if let Some(ring) = self.calls.remove(&call_id) {
                finished.push(Finished {
                    call_id,
                    facts: ring.facts,
                    dropped: ring.dropped,
                });
            }
        }
        if now.since(self.last_idle_check) >= IDLE {
            self.last_idle_check = now;
            self.calls
                .retain(|_, ring| ring.kept || now.since(ring.last) < IDLE);
        }
        finished
    }

    pub(super) fn take_all(&mut self) -> Vec<Finished> {
        self.ended.clear();
        let calls = std::mem::take(&mut self.calls).into_iter();
        let kept = calls.filter(|(_, ring)| ring.kept);
        kept.map(|(call_id, ring)| Finished {
            call_id,
            facts: ring.facts,
            dropped: ring.dropped,
        })
        .collect()
    }

    pub(super) fn lines(&self, call_id: &str) -> Vec<Value> {
        self.calls
            .get(call_id)
            .map_or_else(Vec::new, |ring| lines(&ring.facts, ring.dropped))
    }
}

impl Ring {
    fn push(&mut self, fact: &Arc<Fact>, at: UnixMicros) {
        self.last = at;
        self.kept |= matches!(**fact, Fact::Started { .. } | Fact::Refused { .. });
        let fact = shortened(fact);
        self.bytes += cost(&fact);
        self.facts.push_back(fact);
        while self.bytes > RING_BYTES {
            let Some(oldest) = self.facts.pop_front() else {
                break;
            };
            self.bytes -= cost(&oldest);
            self.dropped += 1;
        }
    }
}

/// Whether a fact opens no ring: questions whether a phone is there come by the thousand, and what else is no call must
/// leave room for calls. Subscribers are told of them all the same.
fn is_minor(fact: &Fact, rings: usize) -> bool {
    let other = |methods: &[&str]| match fact {
        Fact::Sip { bytes, .. } => methods.contains(&method_of(bytes)),
        Fact::Registration { .. } | Fact::TrunkRegistration { .. } => methods.contains(&"REGISTER"),
        _ => false,
    };
    other(&["OPTIONS"])
        || (rings >= CALLS / 2 && other(&["REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH"]))
}

/// The method a message is about; empty when that cannot be seen.
fn method_of(bytes: &[u8]) -> &str {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => bytes
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default(),
    };
    let first = text.split(' ').next().unwrap_or_default();
    if !first.starts_with("SIP/") {
        return first;
    }
    let cseq = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("CSeq").then_some(value)
    });
    cseq.and_then(|value| value.split_whitespace().nth(1))
        .unwrap_or_default()
}

fn shortened(fact: &Arc<Fact>) -> Arc<Fact> {
    match &**fact {
        Fact::Sip {
            call_id,
            at,
            direction,
            peer,
            local,
            transport,
            bytes,
        } if bytes.len() > MESSAGE_BYTES => {
            let bytes = bytes
                .get(..MESSAGE_BYTES)
                .map(bytes::Bytes::copy_from_slice)
                .unwrap_or_default();
            let call_id = call_id.clone();
            Arc::new(Fact::Sip {
                call_id,
                at: *at,
                direction: *direction,
                peer: *peer,
                local: *local,
                transport: *transport,
                bytes,
            })
        }
        _ => Arc::clone(fact),
    }
}

/// About what a fact takes in memory.
fn cost(fact: &Fact) -> usize {
    let text = match fact {
        Fact::Sip { bytes, .. } => bytes.len(),
        Fact::Hook { url, note, .. } => url.len() + note.len(),
        Fact::Note { text, .. } => text.len(),
        Fact::Started {
            account,
            from,
            dialled,
            callflow,
            ..
        } => account.len() + from.len() + dialled.len() + callflow.len(),
        Fact::Node { module, path, .. } => module.len() + path.len(),
        _ => 0,
    };
    std::mem::size_of::<Fact>() + fact.call_id().len() + text
}

fn lines(facts: &VecDeque<Arc<Fact>>, dropped: u32) -> Vec<Value> {
    let mut lines = Vec::with_capacity(facts.len() + 1);
    if let Some(first) = facts.front().filter(|_| dropped > 0) {
        lines.push(serde_json::json!({"at": first.at().0, "fact": "note", "text": format!("{dropped} earlier facts were not kept")}));
    }
    lines.extend(facts.iter().map(|fact| fact.to_json()));
    lines
}

/// Hands a trace to the store as debug output.
pub(super) fn write(store: &Store, trace: &Finished) {
    let Some(last) = trace.facts.back() else {
        return;
    };
    let at = last.at();
    let key = keys::join(&["trace", &trace.call_id, &keys::time(at)]);
    let value = Value::Array(lines(&trace.facts, trace.dropped)).to_string();
    let mut batch = Batch::droppable();
    retention::put(
        &mut batch,
        retention::Log::Trace,
        at,
        key,
        value.into_bytes(),
    );
    store.submit(
        batch,
        Box::new(|result| {
            if result.is_err() {
                metrics::counter!("swivel_trace_dropped_total").increment(1);
            }
        }),
    );
}

/// What the log has of a call.
pub(super) async fn stored(store: &Store, call_id: &str) -> Result<Vec<Value>, StoreError> {
    let range = KeyRange::prefix(keys::prefix(&["trace", call_id]));
    let rows = store
        .scan(Table::Log, range, Direction::Forward, 100)
        .await?;
    let mut all = Vec::new();
    for (_, value) in rows {
        match serde_json::from_slice(&value) {
            Ok(Value::Array(lines)) => all.extend(lines),
            Ok(_) => {}
            Err(e) => {
                return Err(StoreError::Corrupt {
                    what: "trace",
                    reason: e.to_string(),
                });
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(call_id: &str, second: u64, text: &str) -> Arc<Fact> {
        Arc::new(Fact::Note {
            call_id: call_id.into(),
            at: UnixMicros::from_secs(second),
            text: text.into(),
        })
    }

    fn ended(call_id: &str, second: u64) -> Arc<Fact> {
        let at = UnixMicros::from_secs(second);
        Arc::new(Fact::Ended {
            call_id: call_id.into(),
            at,
            cause: "NORMAL_CLEARING",
            status: 200,
            disposition: "send_bye",
        })
    }

    #[test]
    fn a_ring_stays_small_and_says_what_it_lost() {
        let mut rings = Rings::default();
        for n in 0..100 {
            rings.push(&note("a", 1, &format!("{n} {}", "x".repeat(500))));
        }
        let lines = rings.lines("a");
        assert!(rings.calls["a"].bytes <= RING_BYTES);
        assert!(
            lines[0]["text"]
                .as_str()
                .unwrap()
                .contains("earlier facts were not kept"),
            "{}",
            lines[0]
        );
        assert!(
            lines.last().unwrap()["text"]
                .as_str()
                .unwrap()
                .starts_with("99 ")
        );
    }

    #[test]
    fn a_call_is_finished_some_seconds_after_its_end_so_that_the_last_answer_counts() {
        let mut rings = Rings::default();
        rings.push(&note("a", 1, "first"));
        assert!(rings.push(&ended("a", 2)).is_empty());
        assert!(rings.push(&note("a", 3, "200 to the BYE")).is_empty());
        let finished = rings.push(&note("b", 8, "another call"));
        assert_eq!(finished.len(), 1);
        assert_eq!(finished[0].facts.len(), 3);
        assert!(rings.lines("a").is_empty());
    }

    fn message(call_id: &str, text: &'static str) -> Arc<Fact> {
        Arc::new(Fact::Sip {
            call_id: call_id.into(),
            at: UnixMicros::from_secs(1),
            direction: super::super::Way::Out,
            peer: ([10, 0, 0, 2], 5060).into(),
            local: ([10, 0, 0, 1], 5060).into(),
            transport: crate::sip::flow::Transport::Udp,
            bytes: text.into(),
        })
    }

    #[test]
    fn questions_whether_a_phone_is_there_leave_no_trace_and_registrations_only_while_there_is_room()
     {
        let mut rings = Rings::default();
        rings.push(&message("o", "OPTIONS sip:a@b SIP/2.0\r\n\r\n"));
        rings.push(&message("p", "SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n"));
        assert!(rings.calls.is_empty());
        let register = "REGISTER sip:b SIP/2.0\r\n\r\n";
        rings.push(&message("r", register));
        assert_eq!(rings.calls.len(), 1);
        for n in 0..CALLS / 2 {
            rings.push(&note(&n.to_string(), 1, "a call"));
        }
        let before = rings.calls.len();
        rings.push(&message("s", register));
        assert_eq!(rings.calls.len(), before);
        rings.push(&message("i", "INVITE sip:b SIP/2.0\r\n\r\n"));
        assert_eq!(rings.calls.len(), before + 1);
    }

    #[test]
    fn what_never_became_a_call_is_forgotten() {
        let mut rings = Rings::default();
        rings.push(&note("scanner", 100, "OPTIONS"));
        assert!(rings.settle(UnixMicros::from_secs(130)).is_empty());
        assert!(rings.settle(UnixMicros::from_secs(300)).is_empty());
        assert!(rings.calls.is_empty());
    }
}
