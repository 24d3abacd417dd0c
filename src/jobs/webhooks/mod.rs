//! Webhooks (`api.md` §3.19): URLs an account has told of events.
//!
//! - `payload`: what an event says, in KAZOO's words.
//! - `delivery`: the runner: one attempt, its signature, what counts as success, when a hook is given up.
//! - `attempts`: the log of attempts.
//!
//! An event becomes a job for each hook that wants it, in the batch that makes its cause durable where there is one.
//! The jobs of a leg and a hook share a lane, so that a receiver gets them in order. Nothing here waits.

mod attempts;
mod delivery;
mod payload;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast;

use super::{NewJob, Outbox};
use crate::base::time::UnixMicros;
use crate::directory::{Account, Directory, Kind};
use crate::host::clock;
use crate::journal::Cdr;
use crate::store::Batch;

pub use attempts::attempts;
pub use delivery::{Delivery, sign};

/// The kind of its jobs.
pub const JOB: &str = "webhook";
/// Live events a slow listener may be behind before it misses some.
const BACKLOG: usize = 1024;
/// How long an event is worth telling.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What happens to a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegEvent {
    /// It is there.
    Create,
    /// It was answered.
    Answer,
    /// It was connected with another.
    Bridge,
    /// It is over.
    Destroy,
}

impl LegEvent {
    /// The name of the hook.
    pub fn hook(self) -> &'static str {
        match self {
            Self::Create => "channel_create",
            Self::Answer => "channel_answer",
            Self::Bridge => "channel_bridge",
            Self::Destroy => "channel_destroy",
        }
    }

    /// KAZOO's name of the event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CHANNEL_CREATE",
            Self::Answer => "CHANNEL_ANSWER",
            Self::Bridge => "CHANNEL_BRIDGE",
            Self::Destroy => "CHANNEL_DESTROY",
        }
    }
}

/// An event as it happens, for those who listen.
#[derive(Debug, Clone)]
pub struct Live {
    /// The account it happened in.
    pub account: String,
    /// `CHANNEL_CREATE`, `doc_edited` …
    pub name: String,
    /// `call` or `object`.
    pub category: &'static str,
    /// Call-ID, or type of the document.
    pub about: String,
    /// What the event says.
    pub data: Value,
}

/// Tells hooks of events. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    directory: Directory,
    outbox: Outbox,
    live: broadcast::Sender<Arc<Live>>,
}

/// An event as hooks are told of it.
struct Event<'a> {
    hook: &'static str,
    /// Call-ID, or id of the document: events about one thing come in order.
    about: &'a str,
    data: &'a Map<String, Value>,
    /// Names what happens only once to one thing, so that a repetition after a crash can be told.
    once: Option<String>,
}

/// A hook that wants an event: the account it belongs to, and its id.
type Wanting = (String, String);

impl Webhooks {
    /// Hooks of `directory`, told through `outbox`.
    pub fn new(directory: Directory, outbox: Outbox) -> Self {
        Self(Arc::new(Inner {
            directory,
            outbox,
            live: broadcast::Sender::new(BACKLOG),
        }))
    }

    /// All events from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Live>> {
        self.0.live.subscribe()
    }

    /// Whether anybody wants to know of such events of the account.
    pub fn wanted(&self, account: &str, event: LegEvent) -> bool {
        self.0.live.receiver_count() > 0
            || !self.wanting(account, event.hook(), |_| true).is_empty()
    }

    /// Tells of a leg. `internal`: it leads to no telephone.
    pub fn leg(&self, event: LegEvent, cdr: &Cdr, internal: bool, now: UnixMicros) {
        let mut batch = Batch::new();
        self.add_leg(&mut batch, event, cdr, internal, now);
        self.submit(batch);
    }

    /// The same as part of a batch; see [`Webhooks::when_durable`].
    pub fn add_leg(
        &self,
        batch: &mut Batch,
        event: LegEvent,
        cdr: &Cdr,
        internal: bool,
        now: UnixMicros,
    ) {
        let wants_internal = |doc: &Value| doc.get("include_internal_legs") != Some(&json!(false));
        let hooks = self.wanting(&cdr.account, event.hook(), |doc| {
            !internal || wants_internal(doc)
        });
        if hooks.is_empty() && self.0.live.receiver_count() == 0 {
            return;
        }
        let data = payload::leg(&self.0.directory, event, cdr, internal, now);
        let told = Event {
            hook: event.hook(),
            about: &cdr.call_id,
            data: &data,
            once: (event != LegEvent::Bridge).then(|| format!("{}/{}", cdr.call_id, event.hook())),
        };
        self.add(batch, hooks, &told);
        self.tell(Live {
            account: cdr.account.clone(),
            name: event.name().to_owned(),
            category: "call",
            about: cdr.call_id.clone(),
            data: payload::event(event, cdr, data),
        });
    }

    /// Tells of a document: `action` is `doc_created`, `doc_edited` or `doc_deleted`, `kind` is KAZOO's type.
    pub fn add_document(
        &self,
        batch: &mut Batch,
        account: &str,
        kind: &str,
        id: &str,
        action: &str,
    ) {
        let is = |doc: &Value, key: &str, value: &str| {
            let wanted = doc.pointer(&format!("/custom_data/{key}"));
            let wanted = wanted.and_then(Value::as_str);
            wanted.is_some_and(|wanted| wanted == "all" || wanted == value)
        };
        let hooks = self.wanting(account, "object", |doc| {
            is(doc, "type", kind) && is(doc, "action", action)
        });
        let mut data = Map::new();
        for (key, value) in [
            ("id", id),
            ("account_id", account),
            ("action", action),
            ("type", kind),
        ] {
            data.insert(key.to_owned(), json!(value));
        }
        let told = Event {
            hook: "object",
            about: id,
            data: &data,
            once: None,
        };
        self.add(batch, hooks, &told);
        self.tell(Live {
            account: account.to_owned(),
            name: action.to_owned(),
            category: "object",
            about: kind.to_owned(),
            data: Value::Object(data),
        });
    }

    /// What a crash has cut off: the leg is over, and that it was answered may never have been written down. Whoever was
    /// told already knows the event by its id.
    pub fn add_swept(&self, batch: &mut Batch, cdr: &Cdr, internal: bool) {
        if let Some(answered) = cdr.answered {
            self.add_leg(batch, LegEvent::Answer, cdr, internal, answered);
        }
        let ended = cdr.ended.unwrap_or_default();
        self.add_leg(batch, LegEvent::Destroy, cdr, internal, ended);
    }

    /// Starts what a batch that was just handed to the store has added, once it is durable.
    pub fn when_durable(&self) {
        self.0.outbox.wake_when_durable();
    }

    fn submit(&self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let outbox = self.0.outbox.clone();
        let done = move |result: Result<(), crate::store::StoreError>| match result {
            Ok(()) => outbox.wake(),
            Err(error) => tracing::error!(%error, "an event for webhooks could not be stored"),
        };
        self.0.outbox.store().submit(batch, Box::new(done));
    }

    fn tell(&self, live: Live) {
        // Without a listener there is nobody to tell.
        drop(self.0.live.send(Arc::new(live)));
    }

    fn add(&self, batch: &mut Batch, hooks: Vec<Wanting>, event: &Event<'_>) {
        for (account, id) in hooks {
            let event_id = event.once.as_ref().map(|once| {
                let hash = hex::encode(Sha256::digest(format!("{id}/{once}")));
                hash.get(..32).unwrap_or_default().to_owned()
            });
            let mut data = event.data.clone();
            data.insert("hook_event".into(), json!(event.hook));
            let job = NewJob {
                kind: JOB,
                // A receiver that is slow holds up its own hook alone.
                account: format!("{account}/{id}"),
                lane: format!("{id}/{}", event.about),
                payload: json!({"account": account, "hook": id, "event": event.hook, "event_id": event_id, "data": data}),
                lifetime: LIFETIME,
            };
            self.0.outbox.enqueue(batch, job, clock::unix_now());
        }
    }

    /// The hooks that want an event of an account: its own, and those of accounts above that ask for it.
    fn wanting(&self, account: &str, hook: &str, fits: impl Fn(&Value) -> bool) -> Vec<Wanting> {
        let Some(own) = self.0.directory.account(account) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut of = |account: &Account, below: bool| {
            for (id, doc) in account.of_kind(Kind::Webhook) {
                let enabled = doc.get("enabled") != Some(&json!(false));
                let named = doc.get("hook").and_then(Value::as_str);
                let named = named
                    .is_some_and(|named| named == hook || (named == "all" && hook != "object"));
                let reaches = !below || doc.get("include_subaccounts") == Some(&json!(true));
                if enabled && named && reaches && fits(doc) {
                    found.push((account.id.to_string(), id.clone()));
                }
            }
        };
        of(&own, false);
        for id in own.above() {
            if let Some(above) = self.0.directory.account(id) {
                of(&above, true);
            }
        }
        found
    }
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Webhooks")
    }
}
