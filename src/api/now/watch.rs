//! What the stream of facts says of calls that are up and of the load, kept small.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::{POINTS, STEP, median, point};
use crate::base::time::UnixMicros;
use crate::host::{clock, task};
use crate::journal::{Fact, Journal};

/// Calls that are followed; facts of further ones are not.
const CALLS: usize = 20_000;
/// Facts of so long are looked at together: who waits for each of them is woken by each.
const GATHER: Duration = Duration::from_millis(25);
/// Times of an account that are kept.
const TIMES: usize = 5_000;

/// Follows the facts of a journal. Cheap to clone.
#[derive(Clone)]
pub(in crate::api) struct Watch(Arc<Inner>);

struct Inner {
    since: Instant,
    /// Held for one fact or one look.
    seen: Mutex<Seen>,
    /// Rises with each change of a call.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Seen {
    calls: BTreeMap<String, Doing>,
    accounts: BTreeMap<String, Load>,
}

/// What a call is doing.
#[derive(Debug, Clone, Default)]
pub(super) struct Doing {
    account: String,
    /// The flow node.
    pub(super) module: String,
    /// Where it stands in its tree.
    pub(super) path: String,
    /// `/voice.php 200, 84 ms`.
    pub(super) hook: String,
}

#[derive(Default)]
struct Load {
    /// When calls began, oldest first.
    begun: VecDeque<UnixMicros>,
    /// How long web servers took, in ms.
    hooks: VecDeque<(UnixMicros, u64)>,
    /// Rises with each change of the account.
    version: u64,
    /// Rises with each durable record of the account.
    records: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self(Arc::new(Inner {
            since: clock::now(),
            seen: Mutex::default(),
            changes: watch::Sender::new(0),
        }))
    }
}

impl Watch {
    /// Follows `journal` from now on.
    pub(in crate::api) fn follow(&self, journal: &Journal) {
        let (own, mut facts) = (self.clone(), journal.subscribe());
        task::spawn("now", async move {
            loop {
                match facts.recv().await {
                    Ok(fact) => own.see(&fact),
                    Err(RecvError::Lagged(missed)) => {
                        metrics::counter!("swivel_live_events_missed_total").increment(missed);
                    }
                    Err(RecvError::Closed) => return,
                }
                if facts.is_empty() {
                    tokio::time::sleep(GATHER).await;
                }
            }
        });
    }

    /// Told whenever something changes in some account.
    pub(in crate::api) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// A number that rises whenever something changes in `account`.
    pub(in crate::api) fn version(&self, account: &str) -> u64 {
        self.seen()
            .accounts
            .get(account)
            .map_or(0, |load| load.version)
    }

    /// A number that rises with each durable record of `account`.
    pub(super) fn records(&self, account: &str) -> u64 {
        self.seen()
            .accounts
            .get(account)
            .map_or(0, |load| load.records)
    }

    /// When it began.
    pub(super) fn since(&self) -> Instant {
        self.0.since
    }

    pub(super) fn doing(&self, call_id: &str) -> Doing {
        self.seen().calls.get(call_id).cloned().unwrap_or_default()
    }

    /// `calls_per_s`, `hook_p95_ms` and the curve of it.
    pub(super) fn figures(&self, account: &str, now: UnixMicros) -> Value {
        let seen = self.seen();
        let empty = Load::default();
        let load = seen.accounts.get(account).unwrap_or(&empty);
        let mut begun = vec![0_u32; POINTS];
        for at in &load.begun {
            if let Some(count) = point(*at, now).and_then(|n| begun.get_mut(n)) {
                *count += 1;
            }
        }
        let mut hooks: Vec<Vec<f64>> = vec![Vec::new(); POINTS];
        for (at, took) in &load.hooks {
            if let Some(times) = point(*at, now).and_then(|n| hooks.get_mut(n)) {
                times.push(*took as f64);
            }
        }
        let all: Vec<f64> = hooks.iter().flatten().copied().collect();
        let per_second = begun.iter().map(|n| f64::from(*n) / STEP as f64);
        json!({
            "calls_per_s": per_second.map(|n| (n * 1000.0).round() / 1000.0).collect::<Vec<_>>(),
            "hook_p95_ms": percentile(all),
            "hook_points": hooks.into_iter().map(percentile).collect::<Vec<_>>(),
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, fact: &Fact) {
        if self.seen().take(fact) {
            self.0.changes.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}

impl Seen {
    /// Whether anything shown changes by it.
    fn take(&mut self, fact: &Fact) -> bool {
        let id = fact.call_id();
        let account = match fact {
            Fact::Started {
                account,
                callflow,
                at,
                ..
            } => {
                let load = self.accounts.entry(account.clone()).or_default();
                // Legs that a call places are no calls of their own.
                if !callflow.is_empty() {
                    keep(&mut load.begun, *at);
                }
                if self.calls.len() < CALLS {
                    let doing = Doing {
                        account: account.clone(),
                        ..Doing::default()
                    };
                    self.calls.insert(id.to_owned(), doing);
                }
                account.clone()
            }
            Fact::Node { module, path, .. } => {
                let Some(doing) = self.calls.get_mut(id) else {
                    return false;
                };
                doing.module.clone_from(module);
                doing.path.clone_from(path);
                doing.account.clone()
            }
            Fact::Hook {
                step,
                url,
                status,
                took_ms,
                at,
                ..
            } if *step != "request" => {
                let Some(doing) = self.calls.get_mut(id) else {
                    return false;
                };
                doing.hook = hook(url, *status, *took_ms);
                let account = doing.account.clone();
                if let (Some(took), Some(load)) = (took_ms, self.accounts.get_mut(&account)) {
                    keep(&mut load.hooks, (*at, *took));
                }
                account
            }
            Fact::Answered { .. } | Fact::Bridged { .. } => match self.calls.get(id) {
                Some(doing) => doing.account.clone(),
                None => return false,
            },
            Fact::Ended { .. } => match self.calls.remove(id) {
                Some(doing) => doing.account,
                None => return false,
            },
            Fact::Recorded { account, .. } => {
                self.accounts.entry(account.clone()).or_default().records += 1;
                account.clone()
            }
            Fact::Registration { account, .. } | Fact::TrunkRegistration { account, .. } => {
                account.clone()
            }
            _ => return false,
        };
        self.accounts.entry(account).or_default().version += 1;
        true
    }
}

fn keep<T>(times: &mut VecDeque<T>, new: T) {
    times.push_back(new);
    if times.len() > TIMES {
        times.pop_front();
    }
}

fn hook(url: &str, status: Option<u16>, took_ms: Option<u64>) -> String {
    let path = url::Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.path().to_owned());
    let status = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    match took_ms {
        Some(took) => format!("{path} {status}, {took} ms"),
        None => format!("{path} {status}"),
    }
}

/// The value 95 in 100 do not pass.
fn percentile(mut values: Vec<f64>) -> Option<f64> {
    if values.len() < 3 {
        return median(values);
    }
    values.sort_by(f64::total_cmp);
    values
        .get((values.len() * 95).div_ceil(100).saturating_sub(1))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(call: &str, callflow: &str, at: u64) -> Fact {
        Fact::Started {
            call_id: call.into(),
            at: UnixMicros::from_secs(at),
            account: "acc".into(),
            from: "1".into(),
            dialled: "2030".into(),
            callflow: callflow.into(),
        }
    }

    fn answered(call: &str, took: u64) -> Fact {
        Fact::Hook {
            call_id: call.into(),
            at: UnixMicros::from_secs(100),
            step: "response",
            url: "http://app.example/voice.php?x=1".into(),
            status: Some(200),
            took_ms: Some(took),
            note: String::new(),
        }
    }

    #[test]
    fn a_call_is_followed_from_node_to_node_until_it_ends() {
        let watch = Watch::default();
        watch.see(&started("a", "flow", 100));
        watch.see(&Fact::Node {
            call_id: "a".into(),
            at: UnixMicros::from_secs(100),
            module: "pivot".into(),
            path: String::new(),
        });
        watch.see(&answered("a", 84));
        assert_eq!(watch.doing("a").module, "pivot");
        assert_eq!(watch.doing("a").hook, "/voice.php 200, 84 ms");
        let before = watch.version("acc");
        watch.see(&Fact::Ended {
            call_id: "a".into(),
            at: UnixMicros::from_secs(101),
            cause: "NORMAL_CLEARING",
            status: 200,
            disposition: "recv_bye",
        });
        assert_eq!(watch.doing("a").module, "");
        assert!(watch.version("acc") > before);
    }

    #[test]
    fn load_counts_calls_not_the_legs_they_place() {
        let watch = Watch::default();
        for call in ["a", "b", "c"] {
            watch.see(&started(call, "flow", 100));
        }
        watch.see(&started("leg", "", 100));
        let figures = watch.figures("acc", UnixMicros::from_secs(101));
        assert_eq!(figures["calls_per_s"][59], 0.2);
        assert_eq!(figures["calls_per_s"].as_array().unwrap().len(), POINTS);
        assert!(figures["hook_p95_ms"].is_null());
    }

    #[test]
    fn hooks_are_told_by_the_slow_ones() {
        let watch = Watch::default();
        watch.see(&started("a", "flow", 100));
        for took in 1..=100 {
            watch.see(&answered("a", took));
        }
        let figures = watch.figures("acc", UnixMicros::from_secs(101));
        assert_eq!(figures["hook_p95_ms"], 95.0);
    }

    #[test]
    fn a_hook_without_an_answer_says_so() {
        assert_eq!(
            hook("http://a/b?c", None, Some(5000)),
            "/b no answer, 5000 ms"
        );
    }
}
