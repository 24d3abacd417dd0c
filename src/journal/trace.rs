//! The recent facts of each call, for `swivel trace` and the lens: a bounded ring while the call is up, a row of the log
//! afterwards.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::causes::Cause;
use super::detail::{self, Detail};
use super::fact::Fact;
use super::line::Line;
use super::retention;
use crate::base::time::UnixMicros;
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

/// Bytes of facts kept for a call; the oldest go first.
const CALL_BYTES: usize = 256 << 10;
/// Bytes of all calls together. Past that a call may keep its share only.
const ALL_BYTES: usize = 256 << 20;
/// What a call may always keep.
const LEAST_BYTES: usize = 8 << 10;
/// Calls with a ring. Past that, facts of further calls are not kept, and counted.
const CALLS: usize = 20_000;
/// How long after its end a call may still have facts (the answer to its BYE).
const LINGER: Duration = Duration::from_secs(5);
/// A ring of something that never became a call goes after this.
const IDLE: Duration = Duration::from_secs(70);
/// Text of traces that is handed to the store at once.
const BATCH_BYTES: usize = 512 << 10;
/// Samples of quality kept for a call; then every other one goes.
const SAMPLES: usize = 400;
/// Legs of one conversation that are looked for.
pub(super) const LEGS: usize = 64;

/// A fact and its place in the order of all facts: microseconds, made unique.
type Kept = (u64, Arc<Fact>);

#[derive(Default)]
pub(super) struct Rings {
    calls: HashMap<Box<str>, Box<Ring>>,
    /// Call-IDs of the legs of conversations that are up.
    interactions: HashMap<Box<str>, Vec<Box<str>>>,
    /// Ended calls, oldest end first.
    ended: VecDeque<(UnixMicros, Box<str>)>,
    last_idle_check: UnixMicros,
    /// What all rings take.
    bytes: usize,
    /// Place of the latest fact.
    last: u64,
}

#[derive(Default)]
struct Ring {
    facts: VecDeque<Kept>,
    /// How the call began: what its account, and its conversation, are known by.
    head: Vec<Kept>,
    bytes: usize,
    samples: usize,
    lost: Lost,
    /// It became a call, or was refused: worth keeping.
    kept: bool,
    /// It runs, and its end is waited for.
    begun: bool,
    last: UnixMicros,
    account: Box<str>,
    interaction: Box<str>,
}

/// Facts that had to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lost {
    count: u32,
    until: UnixMicros,
}

/// The facts of a call that has ended.
pub(super) struct Finished {
    call_id: Box<str>,
    account: Box<str>,
    interaction: Box<str>,
    head: Vec<Kept>,
    facts: VecDeque<Kept>,
    lost: Lost,
    bytes: usize,
    /// Somebody writes it.
    writing: AtomicBool,
    /// The store has it, or has dropped it.
    written: AtomicBool,
}

impl Finished {
    /// Whether the caller is the one who writes it.
    pub(super) fn begin_writing(&self) -> bool {
        !self.writing.swap(true, Ordering::Relaxed)
    }

    /// Whether it need not be kept here any more.
    pub(super) fn is_written(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn is_of(&self, call_id: &str) -> bool {
        *self.call_id == *call_id
    }

    pub(super) fn is_within(&self, account: &str, interaction: &str) -> bool {
        *self.account == *account && *self.interaction == *interaction
    }

    /// Whose facts they are.
    pub(super) fn call_id(&self) -> &str {
        &self.call_id
    }

    pub(super) fn lines(&self) -> Vec<Value> {
        lines(&self.head, &self.facts, self.lost)
    }

    /// Adds it to the log; gives the length of its text.
    pub(super) fn add_to(&self, batch: &mut Batch, cause: Option<&Cause>) -> usize {
        let Some((place, last)) = self.facts.back() else {
            return 0;
        };
        let at = last.at();
        // Its place, not its time: what comes late may come in the same moment, and must not overwrite this.
        let time = keys::time(UnixMicros(*place));
        let key = keys::join(&["trace", &self.call_id, &time]);
        let end = cause.map(|cause| Entry::Other(cause_line(cause, at)));
        let text = Text {
            trace: self,
            end: end.as_ref(),
        };
        // About what its facts take in memory.
        let mut json = Vec::with_capacity(self.bytes);
        if serde_json::to_writer(&mut json, &text).is_err() {
            return 0;
        }
        let leg = (!self.interaction.is_empty()).then(|| {
            let (account, interaction) = (&*self.account, &*self.interaction);
            keys::join(&["lens", account, interaction, &time, &self.call_id])
        });
        let length = json.len();
        retention::put_with(batch, retention::Log::Trace, at, key, json, leg);
        length
    }
}

/// A trace as it is stored.
struct Text<'a> {
    trace: &'a Finished,
    end: Option<&'a Entry<'a>>,
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let trace = self.trace;
        let entries = entries(&trace.head, &trace.facts, trace.lost);
        let end = self.end.into_iter();
        serializer.collect_seq(entries.map(Cow::Owned).chain(end.map(Cow::Borrowed)))
    }
}

/// A line of a trace.
#[derive(Clone, Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Fact(Line<'a>),
    Other(Value),
}

impl Rings {
    /// Adds a fact; gives the traces of calls that are over for good.
    pub(super) fn push(&mut self, fact: &Arc<Fact>) -> Vec<Finished> {
        let at = fact.at();
        if fact.call_id().is_empty() {
            return self.settle(at);
        }
        self.last = at.0.max(self.last + 1);
        if !self.calls.contains_key(fact.call_id()) {
            if is_minor(fact, self.calls.len()) {
                return self.settle(at);
            }
            if self.calls.len() >= CALLS {
                metrics::counter!("swivel_trace_dropped_total").increment(1);
                return self.settle(at);
            }
            let late = matches!(&**fact, Fact::Detail { detail, .. } if detail.is_late());
            let ring = Ring {
                kept: late,
                last: at,
                ..Ring::default()
            };
            self.calls.insert(fact.call_id().into(), Box::new(ring));
            if late {
                self.ended.push_back((at, fact.call_id().into()));
            }
        }
        if let Fact::Detail {
            detail: Detail::Leg(leg),
            call_id,
            ..
        } = &**fact
        {
            self.join(&leg.account, &leg.interaction, call_id);
        }
        let share = (ALL_BYTES / self.calls.len().max(1)).max(LEAST_BYTES);
        let limit = match self.bytes > ALL_BYTES {
            true => share.min(CALL_BYTES),
            false => CALL_BYTES,
        };
        if let Some(ring) = self.calls.get_mut(fact.call_id()) {
            let before = ring.bytes;
            ring.push((self.last, shortened(fact)), at, limit);
            self.bytes = (self.bytes + ring.bytes).saturating_sub(before);
        }
        if matches!(**fact, Fact::Ended { .. } | Fact::Refused { .. }) {
            self.ended.push_back((at, fact.call_id().into()));
        }
        self.settle(at)
    }

    fn join(&mut self, account: &str, interaction: &str, call_id: &str) {
        if let Some(ring) = self.calls.get_mut(call_id) {
            ring.account = account.into();
            ring.interaction = interaction.into();
        }
        let legs = self.interactions.entry(interaction.into()).or_default();
        if legs.len() < LEGS && !legs.iter().any(|leg| **leg == *call_id) {
            legs.push(call_id.into());
        }
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
                self.forget(&call_id, &ring);
                finished.push(ring.finish(call_id));
            }
        }
        if now.since(self.last_idle_check) >= IDLE {
            self.last_idle_check = now;
            let idle = |ring: &Ring| !ring.begun && now.since(ring.last) >= IDLE;
            let gone: Vec<Box<str>> = self
                .calls
                .iter()
                .filter(|(_, ring)| idle(ring))
                .map(|(call_id, _)| call_id.clone())
                .collect();
            for call_id in gone {
                if let Some(ring) = self.calls.remove(&call_id) {
                    self.forget(&call_id, &ring);
                    if ring.kept {
                        finished.push(ring.finish(call_id));
                    }
                }
            }
        }
        finished
    }

    /// Gives back the room of a crowd that has left.
    pub(super) fn rest(&mut self) {
        self.calls.shrink_to(self.calls.len() * 2);
        self.interactions.shrink_to(self.interactions.len() * 2);
        self.ended.shrink_to(self.ended.len() * 2);
    }

    fn forget(&mut self, call_id: &str, ring: &Ring) {
        self.bytes = self.bytes.saturating_sub(ring.bytes);
        if let Some(legs) = self.interactions.get_mut(&ring.interaction) {
            legs.retain(|leg| **leg != *call_id);
            if legs.is_empty() {
                self.interactions.remove(&ring.interaction);
            }
        }
    }

    pub(super) fn take_all(&mut self) -> Vec<Finished> {
        self.ended.clear();
        self.interactions.clear();
        self.bytes = 0;
        let calls = std::mem::take(&mut self.calls).into_iter();
        let kept = calls.filter(|(_, ring)| ring.kept);
        kept.map(|(call_id, ring)| ring.finish(call_id)).collect()
    }

    pub(super) fn lines(&self, call_id: &str) -> Vec<Value> {
        self.calls
            .get(call_id)
            .map_or_else(Vec::new, |ring| lines(&ring.head, &ring.facts, ring.lost))
    }

    /// Legs of a conversation that are up.
    pub(super) fn legs(&self, account: &str, interaction: &str) -> Vec<String> {
        let legs = self.interactions.get(interaction).into_iter().flatten();
        let of = |leg: &str| {
            let ring = self.calls.get(leg);
            ring.is_some_and(|ring| *ring.account == *account)
        };
        legs.filter(|leg| of(leg))
            .map(|leg| leg.to_string())
            .collect()
    }

    /// The conversation a leg belongs to, while it is up.
    pub(super) fn interaction(&self, call_id: &str) -> Option<&str> {
        let ring = self.calls.get(call_id)?;
        Some(&*ring.interaction).filter(|name| !name.is_empty())
    }
}

impl Ring {
    fn push(&mut self, kept: Kept, at: UnixMicros, limit: usize) {
        let fact = &kept.1;
        self.last = at;
        self.kept |= is_head(fact) || matches!(**fact, Fact::Refused { .. } | Fact::Trouble { .. });
        self.begun |= matches!(**fact, Fact::Started { .. });
        if is_sample(fact) {
            self.samples += 1;
        }
        self.bytes += cost(fact);
        self.facts.push_back(kept);
        if self.samples > SAMPLES {
            self.thin();
        }
        while self.bytes > limit {
            let Some(oldest) = self.facts.pop_front() else {
                break;
            };
            if is_head(&oldest.1) && self.head.len() < HEAD {
                self.head.push(oldest);
                continue;
            }
            self.bytes = self.bytes.saturating_sub(cost(&oldest.1));
            self.samples -= usize::from(is_sample(&oldest.1));
            self.lost.count += 1;
            self.lost.until = oldest.1.at();
        }
    }

    /// Every other sample of quality goes: long calls keep the shape of their curve.
    fn thin(&mut self) {
        let (mut odd, mut freed, mut gone) = (false, 0, 0);
        self.facts.retain(|(_, fact)| {
            if !is_sample(fact) {
                return true;
            }
            odd = !odd;
            if !odd {
                freed += cost(fact);
                gone += 1;
            }
            odd
        });
        self.bytes = self.bytes.saturating_sub(freed);
        self.samples -= gone;
    }

    fn finish(self, call_id: Box<str>) -> Finished {
        Finished {
            call_id,
            account: self.account,
            interaction: self.interaction,
            head: self.head,
            facts: self.facts,
            lost: self.lost,
            bytes: self.bytes,
            writing: AtomicBool::new(false),
            written: AtomicBool::new(false),
        }
    }
}

/// Facts that stay when others go.
const HEAD: usize = 8;

fn is_head(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Started { .. }
            | Fact::Answered { .. }
            | Fact::Detail {
                detail: Detail::Leg(_),
                ..
            }
    )
}

fn is_sample(fact: &Fact) -> bool {
    matches!(fact, Fact::Detail { detail: Detail::Quality(quality), .. } if !quality.total)
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

/// Long messages are cut.
fn shortened(fact: &Arc<Fact>) -> Arc<Fact> {
    match &**fact {
        Fact::Sip { bytes, .. } if bytes.len() > detail::BODY => {
            let mut cut = (**fact).clone();
            if let Fact::Sip { bytes, .. } = &mut cut {
                *bytes = detail::kept(bytes);
            }
            Arc::new(cut)
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
        Fact::Detail { detail, .. } => detail.cost(),
        _ => 0,
    };
    std::mem::size_of::<Fact>() + fact.call_id().len() + text
}

fn lines(head: &[Kept], facts: &VecDeque<Kept>, lost: Lost) -> Vec<Value> {
    let all = entries(head, facts, lost);
    all.map(|entry| match entry {
        Entry::Fact(line) => line.to_value(),
        Entry::Other(line) => line,
    })
    .collect()
}

/// Its beginning, what was lost, and the rest.
fn entries<'a>(
    head: &'a [Kept],
    facts: &'a VecDeque<Kept>,
    lost: Lost,
) -> impl Iterator<Item = Entry<'a>> {
    let line = |(place, fact): &'a Kept| {
        Entry::Fact(Line {
            fact,
            seq: Some(*place),
        })
    };
    let gap = (lost.count > 0).then(|| {
        let at = facts.front().map_or(lost.until, |(_, fact)| fact.at());
        let place = facts.front().map(|(place, _)| place.saturating_sub(1));
        Entry::Other(
            json!({"at": at.0, "fact": "note", "lost": lost.count, "seq": place,
            "text": format!("{} earlier facts were not kept", lost.count)}),
        )
    });
    head.iter()
        .map(line)
        .chain(gap)
        .chain(facts.iter().map(line))
}

/// Why the call failed, as the last line of its trace.
pub(super) fn cause_line(cause: &Cause, at: UnixMicros) -> Value {
    let mut line = cause.to_json();
    if let Value::Object(line) = &mut line {
        line.remove("event");
        line.insert("at".into(), at.0.into());
        line.insert("fact".into(), "cause".into());
    }
    line
}

/// Hands traces to the store as debug output, in as few batches as their length allows; `done` is called when
/// some are there, or lost.
pub(super) fn write(
    store: &Store,
    traces: Vec<Arc<Finished>>,
    cause: impl Fn(&str) -> Option<Cause>,
    done: impl Fn() + Clone + Send + 'static,
) {
    let submit = |batch: Batch, written: Vec<Arc<Finished>>| {
        let done = done.clone();
        let told = move |result: Result<(), StoreError>| {
            if result.is_err() {
                metrics::counter!("swivel_trace_dropped_total").increment(written.len() as u64);
            }
            for trace in &written {
                trace.written.store(true, Ordering::Relaxed);
            }
            done();
        };
        match batch.is_empty() {
            true => told(Ok(())),
            false => store.submit(batch, Box::new(told)),
        }
    };
    let (mut batch, mut length, mut written) = (Batch::droppable(), 0, Vec::new());
    for trace in traces {
        length += trace.add_to(&mut batch, cause(trace.call_id()).as_ref());
        written.push(trace);
        if length >= BATCH_BYTES {
            length = 0;
            submit(
                std::mem::replace(&mut batch, Batch::droppable()),
                std::mem::take(&mut written),
            );
        }
    }
    if !written.is_empty() {
        submit(batch, written);
    }
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

/// Legs of a conversation that the log has traces of.
pub(super) async fn stored_legs(
    store: &Store,
    account: &str,
    interaction: &str,
) -> Result<Vec<String>, StoreError> {
    let range = KeyRange::prefix(keys::prefix(&["lens", account, interaction]));
    let rows = store
        .scan(Table::Log, range, Direction::Forward, LEGS)
        .await?;
    let legs = rows
        .iter()
        .filter_map(|(key, _)| keys::parts(key).into_iter().nth(4));
    Ok(legs.collect())
}

/// Lines of several sources in their order, each once.
pub(super) fn in_order(lines: Vec<Value>) -> Vec<Value> {
    let mut all = BTreeMap::new();
    for (n, line) in lines.into_iter().enumerate() {
        let number = |key: &str| line.get(key).and_then(Value::as_u64);
        let (place, tie) = match number("seq") {
            Some(place) => (place, 0),
            // Traces of earlier versions have no places.
            None => (number("at").unwrap_or_default(), n + 1),
        };
        all.entry((place, tie)).or_insert(line);
    }
    all.into_values().collect()
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
        for n in 0..1000 {
            rings.push(&note("a", 1, &format!("{n} {}", "x".repeat(500))));
        }
        let lines = rings.lines("a");
        assert!(rings.calls["a"].bytes <= CALL_BYTES);
        assert_eq!(rings.bytes, rings.calls["a"].bytes);
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
                .starts_with("999 ")
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

    #[tokio::test]
    async fn traces_of_calls_that_end_together_are_written_together_and_found_as_they_were() {
        use crate::journal::{Journal, Leg};
        let journal = Journal::new(Store::memory());
        for call in ["a", "b", "c"] {
            let leg = Leg {
                account: "acc".into(),
                interaction: "talk".into(),
                ..Leg::default()
            };
            journal.detail(call, Detail::Leg(Box::new(leg)));
            journal.emit(Fact::Started {
                call_id: call.into(),
                at: crate::host::clock::unix_now(),
                account: "acc".into(),
                from: "1".into(),
                dialled: "2".into(),
                callflow: "f".into(),
            });
        }
        let before = journal.trace("b").await.unwrap();
        assert_eq!(before.len(), 2);
        journal.finish();
        // What is written later is there later.
        let mut batch = Batch::new();
        batch.put(Table::Log, "last", "");
        journal.0.store.write(batch).await.unwrap();
        assert_eq!(journal.trace("b").await.unwrap(), before);
        let legs = stored_legs(&journal.0.store, "acc", "talk").await.unwrap();
        assert_eq!(legs, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn without_traces_nothing_is_kept_of_a_call_and_its_cause_is_told_all_the_same() {
        use crate::journal::{Code, Journal, RetentionConfig};
        let config = RetentionConfig {
            traces: false,
            ..RetentionConfig::default()
        };
        let journal = Journal::with(Store::memory(), "node", config);
        let mut facts = journal.subscribe();
        journal.emit(Fact::Trouble {
            call_id: "a".into(),
            at: crate::host::clock::unix_now(),
            account: "acc".into(),
            code: Code::NumberNotFound,
            values: vec![("dialled", "1".into())],
        });
        journal.finish();
        assert!(journal.trace("a").await.unwrap().is_empty());
        assert!(facts.try_recv().is_ok());
        assert_eq!(journal.cause("a").unwrap().code, Code::NumberNotFound);
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
