//! Causes while calls run, and the problems of the last hour. Memory is bounded: so many calls, so many problems.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::evidence::Evidence;
use super::table::Code;
use super::{Cause, judge};
use crate::base::time::UnixMicros;
use crate::journal::fact::Fact;

/// A problem, grouped by its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its entry in `docs/causes.md`.
    pub code: Code,
    /// What happened, the last time.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub todo: String,
    /// The page to do it on.
    pub link: String,
    /// How often.
    pub count: u32,
    /// The last call it happened to; not always a call.
    pub last_call: String,
    /// When that was.
    pub last_at: UnixMicros,
}

impl Problem {
    /// As the API shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "code": self.code.name(),
            "what": self.what,
            "why": self.why,
            "todo": self.todo,
            "link": self.link,
            "count": self.count,
            "last_call": self.last_call,
            "last_at": self.last_at,
        })
    }
}

/// What is known of calls that are up or have just ended.
#[derive(Debug, Default)]
pub(in crate::journal) struct Watch {
    legs: HashMap<Box<str>, Box<Held>>,
    /// First legs that are over, oldest first, and with them what never became a call.
    over: VecDeque<(UnixMicros, Box<str>)>,
    /// Those whose cause is told, for as long as somebody may ask.
    told: VecDeque<(UnixMicros, Box<str>)>,
    problems: BTreeMap<(String, Code, String), Group>,
}

#[derive(Debug)]
struct Held {
    evidence: Evidence,
    /// The leg that placed it.
    parent: Option<Box<str>>,
    /// It has ended.
    over: bool,
    /// Its cause was looked for.
    concluded: bool,
    cause: Option<Cause>,
}

#[derive(Debug)]
struct Group {
    problem: Problem,
    /// How often in which minute.
    minutes: VecDeque<(u64, u32)>,
}

/// Legs looked at; past that, calls are not looked at.
const MOST_LEGS: usize = 40_000;
/// Groups of problems remembered; past that the one quiet longest is forgotten.
const MOST_GROUPS: usize = 2_000;
/// Facts may come so long after the end of a call.
const SETTLE: Duration = Duration::from_secs(2);
/// What never became a call is over after this: an INVITE is challenged and comes again.
const NO_CALL: Duration = Duration::from_secs(4);
/// A cause can be asked for so long after that.
const KEEP: Duration = Duration::from_secs(10);
/// Minutes remembered.
const MINUTES: u64 = 60;

impl Watch {
    /// Takes a fact.
    pub(in crate::journal) fn note(&mut self, fact: &Fact) {
        self.settle(fact.at());
        if let Fact::TrunkRegistration { what: "failed", .. } = fact {
            return self.registration(fact);
        }
        if !self.legs.contains_key(fact.call_id()) {
            // INVITEs of strangers must leave room for calls.
            let most = match fact {
                Fact::Sip { .. } => MOST_LEGS / 2,
                _ => MOST_LEGS,
            };
            if !Evidence::begins_with(fact) || self.legs.len() >= most {
                return;
            }
            self.hold(fact.call_id(), fact.at(), None);
            // Whoever is not started by then never was a call.
            self.over
                .push_back((fact.at().plus(NO_CALL), fact.call_id().into()));
        }
        if let Fact::Leg { other, .. } = fact {
            if !self.legs.contains_key(other.as_str()) {
                self.hold(other, fact.at(), Some(fact.call_id()));
            }
            if let Some(leg) = self.legs.get_mut(other.as_str()) {
                leg.parent = Some(fact.call_id().into());
                leg.evidence.placed_by(fact);
            }
        }
        let Some(held) = self.legs.get_mut(fact.call_id()) else {
            return;
        };
        held.evidence.note(fact, 0);
        let ends = matches!(fact, Fact::Ended { .. } | Fact::Refused { .. }) && !held.over;
        // A recording is uploaded after its call.
        let late = matches!(fact, Fact::Trouble { .. }) && held.concluded;
        if (ends || late) && held.parent.is_none() {
            held.over |= ends;
            held.concluded = false;
            self.over
                .push_back((fact.at().plus(SETTLE), fact.call_id().into()));
        }
    }

    fn hold(&mut self, call_id: &str, at: UnixMicros, parent: Option<&str>) {
        let held = Held {
            evidence: Evidence::new(call_id, at),
            parent: parent.map(Into::into),
            over: false,
            concluded: false,
            cause: None,
        };
        self.legs.insert(call_id.into(), Box::new(held));
    }

    /// Tells the causes of what is over at `now`, and forgets what nobody asks for any more.
    pub(in crate::journal) fn settle(&mut self, now: UnixMicros) {
        // Entries of calls and of what is none are each in order, and both are short.
        while let Some((at, _)) = self.over.front()
            && *at <= now
        {
            let Some((at, call_id)) = self.over.pop_front() else {
                break;
            };
            self.conclude(&call_id, at);
        }
        while let Some((at, _)) = self.told.front()
            && *at <= now
        {
            let Some((_, call_id)) = self.told.pop_front() else {
                break;
            };
            // A late trouble is looked at first.
            if self.legs.get(&call_id).is_some_and(|held| !held.concluded) {
                continue;
            }
            if let Some(held) = self.legs.remove(&call_id) {
                for leg in &held.evidence.legs {
                    self.legs.remove(leg);
                }
            }
        }
    }

    /// Gives back the room of a crowd that has left.
    pub(in crate::journal) fn rest(&mut self) {
        self.legs.shrink_to(self.legs.len() * 2);
        self.over.shrink_to(self.over.len() * 2);
        self.told.shrink_to(self.told.len() * 2);
    }

    fn conclude(&mut self, call_id: &str, now: UnixMicros) {
        let Some(held) = self.legs.get(call_id) else {
            return;
        };
        let begun = held.evidence.started && !held.over;
        if begun || held.concluded || held.parent.is_some() {
            return;
        }
        let before = held.cause.as_ref().map(|cause| cause.code);
        let evidence = &held.evidence;
        let at = evidence.ended.map_or(now, |end| end.at);
        let account = evidence.account.clone();
        let cause = self.judged(call_id);
        let new = cause.as_ref().filter(|cause| before != Some(cause.code));
        if let Some(cause) = new.filter(|cause| cause.code.entry().problem) {
            self.count(&account, cause, call_id, at);
        }
        if let Some(held) = self.legs.get_mut(call_id) {
            held.cause = cause;
            held.concluded = true;
            self.told.push_back((now.plus(KEEP), call_id.into()));
        }
    }

    /// The cause of a call that is over, or of what has gone wrong in it so far.
    pub(in crate::journal) fn cause_of(&mut self, call_id: &str) -> Option<Cause> {
        let held = self.legs.get(call_id)?;
        if held.concluded {
            return held.cause.clone();
        }
        self.judged(call_id)
    }

    fn judged(&mut self, call_id: &str) -> Option<Cause> {
        let held = self.legs.get(call_id)?;
        // The cause of a leg is that of its call.
        let parent = held.parent.as_deref();
        let root = parent.filter(|parent| self.legs.contains_key(*parent));
        let root: Box<str> = root.unwrap_or(call_id).into();
        let (first, legs) = self.evidence(&root)?;
        if judge::is_well(first, &legs) {
            return None;
        }
        let mut names = first.legs.clone();
        names.push(root.clone());
        for name in names {
            if let Some(held) = self.legs.get_mut(&name) {
                held.evidence.read();
            }
        }
        let (first, legs) = self.evidence(&root)?;
        judge::judge(first, &legs).map(|cause| Cause {
            event: None,
            ..cause
        })
    }

    /// What is known of a call's first leg and of those it has placed.
    fn evidence(&self, root: &str) -> Option<(&Evidence, Vec<&Evidence>)> {
        let root = &self.legs.get(root)?.evidence;
        let legs = root.legs.iter().filter_map(|leg| self.legs.get(leg));
        Some((root, legs.map(|held| &held.evidence).collect()))
    }

    /// A registration of ours with a carrier has failed.
    fn registration(&mut self, fact: &Fact) {
        let Fact::TrunkRegistration {
            call_id,
            at,
            account,
            carrier,
            server,
            status,
            ..
        } = fact
        else {
            return;
        };
        let why = if *status == 408 { "silent" } else { "refused" };
        let told = Fact::Trouble {
            call_id: call_id.clone(),
            at: *at,
            account: account.clone(),
            code: Code::TrunkRegistration,
            values: vec![
                ("trunk", server.clone()),
                (
                    "trunk_id",
                    carrier
                        .rsplit_once('-')
                        .map_or(carrier.clone(), |(id, _)| id.to_owned()),
                ),
                ("server", server.clone()),
                ("status", status.to_string()),
                (why, status.to_string()),
            ],
        };
        let mut evidence = Evidence::new(call_id, *at);
        evidence.note(&told, 0);
        evidence.read();
        if let Some(cause) = judge::judge(&evidence, &[]) {
            self.count(account, &cause, call_id, *at);
        }
    }

    fn count(&mut self, account: &str, cause: &Cause, call_id: &str, at: UnixMicros) {
        let key = (account.to_owned(), cause.code, cause.about.clone());
        if !self.problems.contains_key(&key) && self.problems.len() >= MOST_GROUPS {
            let oldest = self
                .problems
                .iter()
                .min_by_key(|(_, group)| group.problem.last_at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.problems.remove(&oldest);
            }
        }
        let problem = Problem {
            code: cause.code,
            what: cause.what.clone(),
            why: cause.why.clone(),
            todo: cause.todo.clone(),
            link: cause.link.clone(),
            count: 0,
            last_call: call_id.to_owned(),
            last_at: at,
        };
        let minutes = self.problems.remove(&key).map(|group| group.minutes);
        let mut minutes = minutes.unwrap_or_default();
        let minute = at.0 / 60_000_000;
        match minutes.back_mut().filter(|(last, _)| *last == minute) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => minutes.push_back((minute, 1)),
        }
        minutes.retain(|(when, _)| when.saturating_add(MINUTES) >= minute);
        self.problems.insert(key, Group { problem, minutes });
    }

    /// The problems of an account since then, newest first.
    pub(in crate::journal) fn problems(
        &mut self,
        account: &str,
        since: UnixMicros,
        now: UnixMicros,
    ) -> Vec<Problem> {
        self.settle(now);
        let hour = UnixMicros(now.0.saturating_sub((MINUTES + 1) * 60_000_000));
        self.problems
            .retain(|_, group| group.problem.last_at >= hour);
        let from = since.0 / 60_000_000;
        let own = self.problems.iter().filter(|((of, ..), _)| of == account);
        let mut found: Vec<Problem> = own
            .filter(|(_, group)| group.problem.last_at >= since)
            .map(|(_, group)| Problem {
                count: group
                    .minutes
                    .iter()
                    .filter(|(at, _)| *at >= from)
                    .map(|(_, count)| count)
                    .sum(),
                ..group.problem.clone()
            })
            .collect();
        found.sort_by_key(|problem| std::cmp::Reverse(problem.last_at));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(n: u64) -> Fact {
        Fact::Trouble {
            call_id: format!("call {n}"),
            at: UnixMicros(n * 1_000),
            account: "a".to_owned(),
            code: Code::NumberNotFound,
            values: vec![("dialled", n.to_string())],
        }
    }

    #[test]
    fn memory_is_bounded_by_calls_and_by_problems() {
        let mut watch = Watch::default();
        for n in 0..60_000 {
            watch.note(&refused(n));
            assert!(watch.legs.len() <= MOST_LEGS);
        }
        let end = UnixMicros(60_000_000 + 60_000_000);
        let problems = watch.problems("a", UnixMicros(0), end);
        assert_eq!(problems.len(), MOST_GROUPS);
        assert!(problems[0].what.contains("59999"), "the newest stay");
        watch.settle(end.plus(KEEP));
        assert!(watch.legs.is_empty() && watch.over.is_empty() && watch.told.is_empty());
        assert_eq!(watch.problems("b", UnixMicros(0), end), []);
    }

    #[test]
    fn a_cause_can_be_asked_for_before_and_after_it_is_settled_and_not_for_ever() {
        let mut watch = Watch::default();
        watch.note(&refused(0));
        assert_eq!(watch.cause_of("call 0").unwrap().code, Code::NumberNotFound);
        watch.settle(UnixMicros(5_000_000));
        assert_eq!(watch.cause_of("call 0").unwrap().code, Code::NumberNotFound);
        watch.settle(UnixMicros(60_000_000));
        assert_eq!(watch.cause_of("call 0"), None);
    }
}
