//! Live events on `/v2/websocket`, in KAZOO's subscription protocol (`api.md` §3.20).
//!
//! A client subscribes to bindings such as `call.CHANNEL_CREATE.*` with a token; what happens then is sent as it happens.
//! The token is in each message, so no page can use a session it did not sign in for. Nobody here holds up a call: who
//! reads too slowly misses events.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Api;
use super::follow::{self, Follow};
use super::login;
use super::now;
use super::server::client;
use crate::base::id::document_id;
use crate::base::time::UnixMicros;
use crate::host::clock;
use crate::jobs::webhooks::Live;
use crate::journal::Fact;

/// Where clients connect.
pub(super) const PATH: &str = "/v2/websocket";
/// Sessions at once.
const SESSIONS: usize = 500;
/// Subscriptions of one session.
const SUBSCRIPTIONS: usize = 100;
/// Longest message of a client, in bytes.
const MESSAGE: usize = 64 * 1024;
/// A client that takes no event for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the other side is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// How often figures are told.
const SECOND: Duration = Duration::from_secs(1);
/// How long a change waits for others.
const TOGETHER: Duration = Duration::from_millis(100);

/// What may be subscribed to, by kind.
pub(super) const BINDINGS: [(&str, &[&str]); 3] = [
    ("now", &[now::BINDING]),
    (
        "call",
        &[
            "call.CHANNEL_CREATE.*",
            "call.CHANNEL_ANSWER.*",
            "call.CHANNEL_BRIDGE.*",
            "call.CHANNEL_DESTROY.*",
            "call.*.*",
        ],
    ),
    (
        "object",
        &[
            "object.doc_created.*",
            "object.doc_edited.*",
            "object.doc_deleted.*",
            "object.*.*",
        ],
    ),
];

/// The sessions there are, as `GET …/websockets` shows them.
#[derive(Default)]
pub(super) struct Sessions(Mutex<BTreeMap<String, Shown>>);

/// One session.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) source: IpAddr,
    pub(super) since: UnixMicros,
    /// Account and binding.
    pub(super) bindings: Vec<(String, String)>,
}

impl Sessions {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Shown>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sessions that listen to an account.
    pub(super) fn of(&self, account: &str) -> Vec<(String, Shown)> {
        self.with(|all| {
            let listens = |shown: &Shown| shown.bindings.iter().any(|(of, _)| of == account);
            let found = all.iter().filter(|(_, shown)| listens(shown));
            found
                .map(|(id, shown)| (id.clone(), shown.clone()))
                .collect()
        })
    }
}

/// `GET /v2/websocket` with an upgrade.
pub(super) async fn upgrade(
    State(api): State<Api>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response<Body> {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if api.webhooks().is_none() {
        return (StatusCode::SERVICE_UNAVAILABLE, "nothing happens here").into_response();
    }
    if api.sessions().with(|all| all.len()) >= SESSIONS {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many sessions").into_response();
    }
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |Extension(info)| {
        info.0.ip()
    });
    let forwarded = headers.get("x-forwarded-for").and_then(|v| v.to_str().ok());
    let source = client(&api, peer, forwarded);
    upgrade
        .max_message_size(MESSAGE)
        .max_frame_size(MESSAGE)
        .on_upgrade(move |socket| serve(api, source, socket))
}

/// Takes a session out of the list when it ends, however it ends.
struct Seat<'a>(&'a Api, String);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.sessions().with(|all| drop(all.remove(&self.1)));
    }
}

async fn serve(api: Api, source: IpAddr, mut socket: WebSocket) {
    let Some(mut live) = api.webhooks().map(|webhooks| webhooks.listen()) else {
        return;
    };
    let mut session = Session::default();
    let mut glance = Glance::new(&api);
    // Only while a call is followed: a receiver that nobody empties keeps what it has not seen.
    let mut facts: Option<Receiver<Arc<Fact>>> = None;
    let seat = Seat(&api, document_id(&mut api.rng()));
    let shown = Shown {
        source,
        since: clock::unix_now(),
        bindings: Vec::new(),
    };
    api.sessions()
        .with(|all| drop(all.insert(seat.1.clone(), shown)));
    loop {
        let due = session.due();
        let said: Vec<Value> = tokio::select! {
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(text))) => {
                    let reply = session.hear(&api, text.as_str(), source, clock::unix_now());
                    match session.follows.is_empty() {
                        true => facts = None,
                        false if facts.is_none() => facts = Some(api.journal().subscribe()),
                        false => {}
                    }
                    let bindings = session.bindings();
                    api.sessions().with(|all| {
                        if let Some(shown) = all.get_mut(&seat.1) {
                            shown.bindings = bindings;
                        }
                    });
                    vec![reply]
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            event = live.recv() => match event {
                Ok(live) => session.events(&live, clock::unix_now()),
                Err(RecvError::Lagged(missed)) => {
                    metrics::counter!("swivel_live_events_missed_total").increment(missed);
                    continue;
                }
                Err(RecvError::Closed) => return,
            },
            told = glance.next(&api, &mut session) => told,
            fact = next(&mut facts) => {
                match fact {
                    Ok(fact) => session.follows.iter_mut().for_each(|follow| follow.note(&fact)),
                    // Nobody knows what was missed.
                    Err(RecvError::Lagged(_)) => session.look_at_all(),
                    Err(RecvError::Closed) => return,
                }
                continue;
            }
            () = until(due) => session.looked(&api).await,
            () = tokio::time::sleep(PING) => {
                let ping = socket.send(Message::Ping(Vec::new().into()));
                match tokio::time::timeout(PATIENCE, ping).await {
                    Ok(Ok(())) => continue,
                    _ => return,
                }
            }
        };
        for message in said {
            let sent = socket.send(Message::Text(message.to_string().into()));
            if !matches!(tokio::time::timeout(PATIENCE, sent).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// Tells of what happens right now, where a session wants to know: at once when a call changes, and once a second.
struct Glance {
    changes: tokio::sync::watch::Receiver<u64>,
    tick: tokio::time::Interval,
    /// What was told last, by account.
    versions: BTreeMap<String, u64>,
}

impl Glance {
    fn new(api: &Api) -> Self {
        let mut tick = tokio::time::interval(SECOND);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self {
            changes: api.watch().changes(),
            tick,
            versions: BTreeMap::new(),
        }
    }

    /// The next look. Waits for ever where nobody wants one. Dropped and called anew, nothing is lost.
    async fn next(&mut self, api: &Api, session: &mut Session) -> Vec<Value> {
        if session.glances().next().is_none() {
            return std::future::pending().await;
        }
        let all = tokio::select! {
            _ = self.tick.tick() => true,
            changed = self.changes.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                // What comes together is told together.
                tokio::time::sleep(TOGETHER).await;
                false
            }
        };
        session.end_old(clock::unix_now());
        let mut said = Vec::new();
        for subscription in session.glances() {
            let version = api.watch().version(&subscription.account);
            let told = self.versions.insert(subscription.account.clone(), version);
            if !all && told == Some(version) {
                continue;
            }
            if let Some(account) = api.directory().account(&subscription.account) {
                said.push(json!({
                    "action": "event",
                    "subscribed_key": now::BINDING,
                    "subscription_key": format!("{}.{}", now::BINDING, subscription.account),
                    "name": now::BINDING,
                    "routing_key": now::BINDING,
                    "data": now::whole(api, &account).await,
                }));
            }
        }
        said
    }
}

/// What one client listens to.
#[derive(Default)]
struct Session {
    subscriptions: Vec<Subscription>,
    /// Calls it sees through the lens.
    follows: Vec<Follow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Subscription {
    account: String,
    binding: String,
    /// Unix seconds of the end of its token.
    until: u64,
}

impl Session {
    /// Its subscriptions to what happens right now.
    fn glances(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions
            .iter()
            .filter(|one| one.binding == now::BINDING && one.account != "*")
    }

    /// Ends subscriptions whose token has ended.
    fn end_old(&mut self, now: UnixMicros) {
        self.subscriptions.retain(|one| one.until > now.secs());
    }

    fn bindings(&self) -> Vec<(String, String)> {
        let all = self.subscriptions.iter();
        all.map(|one| (one.account.clone(), one.binding.clone()))
            .collect()
    }

    fn names(&self) -> Vec<&str> {
        self.subscriptions
            .iter()
            .map(|one| one.binding.as_str())
            .collect()
    }

    /// The reply to a message.
    fn hear(&mut self, api: &Api, text: &str, source: IpAddr, now: UnixMicros) -> Value {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        let request_id = message.get("request_id").cloned().unwrap_or_default();
        let action = message
            .get("action")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let done = match action {
            "ping" => Ok(json!({"response": "pong"})),
            "subscribe" => self.subscribe(api, &message, source, now),
            "unsubscribe" => Ok(self.unsubscribe(&message)),
            other => Err(format!(
                "{other:?} is not one of subscribe, unsubscribe, ping"
            )),
        };
        let (status, data) = match done {
            Ok(data) => ("success", data),
            Err(error) => ("error", json!({"errors": [error]})),
        };
        json!({"action": "reply", "request_id": request_id, "status": status, "data": data})
    }

    fn subscribe(
        &mut self,
        api: &Api,
        message: &Value,
        source: IpAddr,
        now: UnixMicros,
    ) -> Result<Value, String> {
        let text = |at: &str| message.pointer(at).and_then(Value::as_str);
        // Guessing tokens costs here what it costs elsewhere.
        let rate = &api.config().rate;
        let token = text("/auth_token").unwrap_or_default();
        let principal = login::principal(api, token, now).map_err(|_| {
            let left = api.0.buckets.take(rate, source, None, 1, clock::now());
            match left {
                Ok(_) => "invalid auth token".to_owned(),
                Err(()) => "too many requests".to_owned(),
            }
        })?;
        let account = text("/data/account_id")
            .unwrap_or(&principal.account.id)
            .to_owned();
        if account == "*" {
            if !principal.is_superduper() {
                return Err("only the first account may listen to all accounts".to_owned());
            }
        } else {
            let known = api.directory().account(&account);
            if !known.is_some_and(|account| principal.reaches(&account)) {
                return Err(format!("the token does not reach account {account}"));
            }
        }
        let wanted = bindings(message);
        if wanted.is_empty() {
            return Err("name a binding".to_owned());
        }
        for binding in wanted {
            if let Some(id) = follow::followed(&binding) {
                let call = Follow::new(
                    &account,
                    id,
                    principal.is_superduper(),
                    principal.only_own(),
                );
                self.follow(call)?;
            } else if !is_binding(&binding) {
                return Err(format!("{binding:?} is not a binding there is"));
            }
            let new = Subscription {
                account: account.clone(),
                binding,
                until: principal.claims.exp,
            };
            let same =
                |one: &Subscription| one.account == new.account && one.binding == new.binding;
            self.subscriptions.retain(|one| !same(one));
            if self.subscriptions.len() >= SUBSCRIPTIONS {
                return Err(format!("more than {SUBSCRIPTIONS} subscriptions"));
            }
            self.subscriptions.push(new);
        }
        Ok(json!({"subscribed": self.names()}))
    }

    fn unsubscribe(&mut self, message: &Value) -> Value {
        let wanted = bindings(message);
        let account = message.pointer("/data/account_id").and_then(Value::as_str);
        let goes = |one: &Subscription| {
            let named = wanted.is_empty() || wanted.contains(&one.binding);
            named && account.is_none_or(|account| account == one.account)
        };
        let gone = self.subscriptions.iter().filter(|one| goes(one));
        let gone: Vec<String> = gone.map(|one| one.binding.clone()).collect();
        self.subscriptions.retain(|one| !goes(one));
        self.drop_follows();
        json!({"unsubscribed": gone, "subscribed": self.names()})
    }

    /// From now on a call is seen through the lens.
    fn follow(&mut self, call: Follow) -> Result<(), String> {
        if call.account == "*" {
            return Err("name the account of the call".to_owned());
        }
        self.follows
            .retain(|one| one.account != call.account || one.id != call.id);
        if self.follows.len() >= follow::MOST {
            return Err(format!("more than {} calls are followed", follow::MOST));
        }
        self.follows.push(call);
        Ok(())
    }

    /// Calls that no subscription names are followed no more.
    fn drop_follows(&mut self) {
        let subscriptions = &self.subscriptions;
        self.follows.retain(|follow| {
            let is = |one: &Subscription| {
                one.account == follow.account && follow::followed(&one.binding) == Some(&follow.id)
            };
            subscriptions.iter().any(is)
        });
    }

    /// When a call is to be looked at.
    fn due(&self) -> Option<Instant> {
        self.follows.iter().filter_map(Follow::due).min()
    }

    fn look_at_all(&mut self) {
        for follow in &mut self.follows {
            follow.look_soon();
        }
    }

    /// What has changed in the calls whose time has come.
    async fn looked(&mut self, api: &Api) -> Vec<Value> {
        let now = clock::unix_now();
        self.subscriptions.retain(|one| one.until > now.secs());
        self.drop_follows();
        let mut said = Vec::new();
        let due = |follow: &Follow| follow.due().is_some_and(|due| due <= clock::now());
        for follow in self.follows.iter_mut().filter(|follow| due(follow)) {
            let Some(data) = follow.look(api).await else {
                continue;
            };
            said.push(json!({
                "action": "event",
                "subscribed_key": format!("lens.{}", follow.id),
                "subscription_key": format!("lens.{}.{}", follow.account, follow.id),
                "name": "lens",
                "routing_key": format!("lens.{}", follow.id),
                "data": data,
            }));
        }
        said
    }

    /// What the client is told of an event: once for each subscription that it fits.
    fn events(&mut self, live: &Live, now: UnixMicros) -> Vec<Value> {
        self.end_old(now);
        let key = format!("{}.{}.{}", live.category, live.name, live.about);
        let fitting = self.subscriptions.iter().filter(|one| {
            (one.account == "*" || one.account == live.account) && fits(&one.binding, live)
        });
        let told = fitting.map(|one| {
            let (category, rest) = one.binding.split_once('.').unwrap_or((&one.binding, ""));
            json!({
                "action": "event",
                "subscribed_key": one.binding,
                "subscription_key": format!("{category}.{}.{rest}", live.account),
                "name": live.name,
                "routing_key": key,
                "data": live.data,
            })
        });
        told.collect()
    }
}

/// The next fact; none ever comes to who follows nothing.
async fn next(facts: &mut Option<Receiver<Arc<Fact>>>) -> Result<Arc<Fact>, RecvError> {
    match facts {
        Some(facts) => facts.recv().await,
        None => std::future::pending().await,
    }
}

/// Until then; for ever without a time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn bindings(message: &Value) -> Vec<String> {
    if let Some(one) = message.pointer("/data/binding").and_then(Value::as_str) {
        return vec![one.to_owned()];
    }
    let list = message.pointer("/data/bindings").and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

/// `category.event.about`; the last part may have points itself (Call-IDs do).
fn parts(binding: &str) -> Option<[&str; 3]> {
    let mut parts = binding.splitn(3, '.');
    Some([parts.next()?, parts.next()?, parts.next()?])
}

fn is_binding(binding: &str) -> bool {
    if binding == now::BINDING {
        return true;
    }
    parts(binding).is_some_and(|[category, event, about]| {
        let known = BINDINGS.iter().find(|(name, _)| *name == category);
        let events = known.into_iter().flat_map(|(_, all)| *all);
        !about.is_empty()
            && events
                .filter_map(|one| parts(one))
                .any(|[_, known, _]| known == event)
    })
}

fn fits(binding: &str, live: &Live) -> bool {
    parts(binding).is_some_and(|[category, event, about]| {
        category == live.category
            && (event == "*" || event == live.name)
            && (about == "*" || about == live.about)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(account: &str, name: &str, about: &str) -> Live {
        Live {
            account: account.into(),
            name: name.into(),
            category: "call",
            about: about.into(),
            data: json!({"call_id": about}),
        }
    }

    fn listens(account: &str, binding: &str) -> Session {
        let one = Subscription {
            account: account.into(),
            binding: binding.into(),
            until: 100,
        };
        Session {
            follows: Vec::new(),
            subscriptions: vec![one],
        }
    }

    #[test]
    fn a_subscription_fits_its_account_its_event_and_its_call() {
        let now = UnixMicros::from_secs(50);
        let create = event("a", "CHANNEL_CREATE", "call.1@10.0.0.1");
        for (account, binding, fits) in [
            ("a", "call.CHANNEL_CREATE.*", true),
            ("a", "call.*.*", true),
            ("*", "call.*.*", true),
            ("a", "call.CHANNEL_CREATE.call.1@10.0.0.1", true),
            ("a", "call.CHANNEL_CREATE.call.2@10.0.0.1", false),
            ("a", "call.CHANNEL_DESTROY.*", false),
            ("a", "object.*.*", false),
            ("b", "call.*.*", false),
        ] {
            let told = listens(account, binding).events(&create, now);
            assert_eq!(told.len(), usize::from(fits), "{account} {binding}");
        }
        let told = listens("a", "call.*.*").events(&create, now);
        assert_eq!(told[0]["subscription_key"], "call.a.*.*");
        assert_eq!(told[0]["name"], "CHANNEL_CREATE");
        assert_eq!(told[0]["data"]["call_id"], "call.1@10.0.0.1");
    }

    #[test]
    fn a_subscription_ends_with_its_token() {
        let mut session = listens("a", "call.*.*");
        let create = event("a", "CHANNEL_CREATE", "x");
        assert_eq!(session.events(&create, UnixMicros::from_secs(99)).len(), 1);
        assert!(
            session
                .events(&create, UnixMicros::from_secs(100))
                .is_empty()
        );
        assert!(session.subscriptions.is_empty());
    }

    #[test]
    fn only_bindings_there_are_can_be_subscribed_to() {
        for good in [
            "call.CHANNEL_CREATE.*",
            "call.*.*",
            "object.doc_edited.user",
            "call.CHANNEL_DESTROY.a.b@c",
        ] {
            assert!(is_binding(good), "{good}");
        }
        for bad in [
            "",
            "call",
            "call.CHANNEL_CREATE",
            "call.CHANNEL_CREATE.",
            "rain.*.*",
            "call.RAIN.*",
        ] {
            assert!(!is_binding(bad), "{bad}");
        }
    }

    #[test]
    fn leaving_names_what_was_left_and_what_remains() {
        let mut session = listens("a", "call.*.*");
        session
            .subscriptions
            .extend(listens("a", "object.*.*").subscriptions);
        let left = session.unsubscribe(&json!({"data": {"binding": "call.*.*"}}));
        assert_eq!(
            left,
            json!({"unsubscribed": ["call.*.*"], "subscribed": ["object.*.*"]})
        );
        let all = session.unsubscribe(&json!({}));
        assert_eq!(
            all,
            json!({"unsubscribed": ["object.*.*"], "subscribed": []})
        );
    }
}
