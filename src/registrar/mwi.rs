//! Message waiting: subscriptions to `message-summary`, and lamps of phones that did not ask (RFC 6665, RFC 3842).
//!
//! How many messages wait is set from outside (the API, one day voicemail), for a device or for its owner, and is kept
//! in the store. Subscriptions are not: a phone that refreshes one after a restart is told 481 and subscribes again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::binding::Binding;
use super::register::{Refused, way};
use super::server::Registrar;
use super::table::{Change, What};
use crate::directory::{Account, Device};
use crate::sip::dialog::route_set::RouteSet;
use crate::sip::flow::{Flow, Transport};
use crate::sip::msg::grammar::decimal_clamped;
use crate::sip::msg::{Event, Method, Name};
use crate::sip::transaction::schedule::{Schedule, TimerId};
use crate::sip::ua::{Body, ClientRequest, Endpoint, IncomingRequest, RequestId, Response, Way};
use crate::store::{Batch, Direction, KeyRange, Store, StoreError, Table, keys};

/// How many messages wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Not heard yet.
    pub new: u32,
    /// Heard and kept.
    pub saved: u32,
    /// Of the new ones, those that are urgent.
    pub urgent_new: u32,
    /// Of the saved ones, those that are urgent.
    pub urgent_saved: u32,
}

impl Messages {
    /// The body of a NOTIFY (RFC 3842 §5.2).
    fn body(&self, account: &str) -> Body {
        let waiting = if self.new > 0 { "yes" } else { "no" };
        let text = format!(
            "Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {}/{} ({}/{})\r\n",
            self.new, self.saved, self.urgent_new, self.urgent_saved
        );
        Body {
            content_type: SUMMARY.into(),
            bytes: text.into(),
        }
    }
}

/// Subscriptions, and what they are about.
pub(super) struct Mwi {
    /// By account and the id of a device or user.
    messages: BTreeMap<(Arc<str>, String), Messages>,
    subscriptions: BTreeMap<u64, Subscription>,
    timers: Schedule<u64>,
    /// NOTIFYs on their way.
    sent: BTreeMap<RequestId, u64>,
    next: u64,
}

/// One subscription of a phone: a dialog of its own.
struct Subscription {
    account: Arc<str>,
    device: Arc<str>,
    call_id: String,
    /// Our tag.
    local_tag: String,
    remote_tag: String,
    /// Our From, without tag; its To.
    local: String,
    remote: String,
    target: String,
    routes: RouteSet,
    flow: Flow,
    event: String,
    message_account: String,
    local_cseq: u32,
    remote_cseq: u32,
    expires: Instant,
    armed: Option<TimerId>,
    /// A NOTIFY is on its way.
    busy: bool,
    /// Something changed meanwhile.
    changed: bool,
}

/// The event package.
const PACKAGE: &str = "message-summary";
/// Its body.
const SUMMARY: &str = "application/simple-message-summary";
/// Where a subscription asks for no expiry (RFC 3842 §4.1 leaves it to us).
const DEFAULT: u32 = 3600;
/// Shortest and longest subscription.
const SHORTEST: u32 = 60;
const LONGEST: u32 = 86_400;
/// Subscriptions of one device; past it the oldest goes, which its phone has forgotten anyway.
const PER_DEVICE: usize = 10;
/// Rows of the store.
const ROWS: &str = "mwi";

impl Mwi {
    /// With the messages of the last run.
    pub(super) async fn load(store: &Store) -> Result<Self, StoreError> {
        let range = KeyRange::prefix(keys::prefix(&[ROWS]));
        let rows = store.scan(Table::Documents, range, Direction::Forward, usize::MAX);
        let mut messages = BTreeMap::new();
        for (key, value) in rows.await? {
            let parts = keys::parts(&key);
            if let ([_, account, id], Ok(found)) =
                (parts.as_slice(), serde_json::from_slice(&value))
            {
                messages.insert((account.as_str().into(), id.clone()), found);
            }
        }
        Ok(Self {
            messages,
            subscriptions: BTreeMap::new(),
            timers: Schedule::new(),
            sent: BTreeMap::new(),
            next: 0,
        })
    }

    /// When a subscription ends next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn of(&self, account: &Account, device: &Device) -> Option<Messages> {
        let by_id = |id: &str| {
            self.messages
                .get(&(account.id.clone(), id.to_owned()))
                .copied()
        };
        let owner = device.owner_id.as_deref();
        by_id(&device.id).or_else(|| owner.and_then(by_id))
    }

    fn remove(&mut self, id: u64) -> Option<Subscription> {
        let mut gone = self.subscriptions.remove(&id)?;
        self.timers.rearm(&mut gone.armed, None, || id);
        Some(gone)
    }

    fn arm(&mut self, id: u64) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            let at = subscription.expires;
            self.timers.rearm(&mut subscription.armed, Some(at), || id);
        }
    }

    /// Makes room for one more subscription of a device.
    fn make_room(&mut self, account: &str, device: &str) {
        let of_device = self
            .subscriptions
            .iter()
            .filter(|(_, s)| &*s.account == account && &*s.device == device);
        let ids: Vec<u64> = of_device.map(|(id, _)| *id).collect();
        for id in ids.iter().take(ids.len().saturating_sub(PER_DEVICE - 1)) {
            self.remove(*id);
        }
    }
}

/// The answer to a SUBSCRIBE, and the subscription to be told next.
type Granted = (Vec<(Name, String)>, Option<u64>);

impl Registrar {
    /// Answers a SUBSCRIBE and sends the NOTIFY that belongs to it.
    pub(super) fn subscribe(
        &self,
        endpoint: &mut Endpoint,
        now: Instant,
        request: &IncomingRequest,
    ) {
        let granted = match &request.to_tag {
            None => self.subscribe_anew(endpoint, now, request),
            Some(tag) => self.subscribe_again(endpoint, now, request, tag),
        };
        match granted {
            Ok((headers, told)) => {
                endpoint.reply(now, request.transaction, 200, "", &headers, None);
                if let Some(id) = told {
                    self.notify(endpoint, now, id);
                }
            }
            Err(Refused {
                status,
                reason,
                headers,
            }) => endpoint.reply(now, request.transaction, status, reason, &headers, None),
        }
    }

    fn subscribe_anew(
        &self,
        endpoint: &Endpoint,
        now: Instant,
        request: &IncomingRequest,
    ) -> Result<Granted, Refused> {
        let message = &request.message;
        let event = package(message.header(Name::Event))?;
        if message.headers.count(Name::Accept) > 0 && !accepts(&message.tokens(Name::Accept)) {
            return Err(Refused::new(406, "").with(Name::Accept, SUMMARY));
        }
        let expires = expires(message.header(Name::Expires))?;
        let bad = |_| Refused::new(400, "");
        let contact = message.contact().map_err(bad)?;
        let contact = contact.ok_or(Refused::new(400, "No Contact"))?;
        let routes = message.record_routes().map_err(bad)?;
        let account = self.0.directory.account(&request.principal.account);
        let device = account
            .as_ref()
            .and_then(|account| account.devices.get(&*request.principal.device));
        let (Some(account), Some(device)) = (&account, device) else {
            return Err(Refused::new(403, ""));
        };
        let uri = message.uri().map_err(bad)?;
        let asked = uri.user_text().unwrap_or_default().to_lowercase();
        let own = device.username.as_deref().unwrap_or_default();
        if asked.is_empty() || asked != own.to_lowercase() {
            return Err(Refused::new(403, "Not Your Mailbox"));
        }
        let realm = device.realm.as_deref().unwrap_or(&account.realm);
        let (flow, _) = way(&contact.uri, request.flow, None);
        let subscription = Subscription {
            account: account.id.clone(),
            device: request.principal.device.clone(),
            call_id: message.call_id().unwrap_or_default().to_owned(),
            local_tag: request.local_tag.clone(),
            remote_tag: message.from_tag().unwrap_or_default(),
            local: message.header(Name::To).unwrap_or_default().to_owned(),
            remote: message.header(Name::From).unwrap_or_default().to_owned(),
            target: contact.uri.to_string(),
            routes: RouteSet::of_callee(&routes),
            flow,
            event,
            message_account: format!("sip:{own}@{realm}"),
            local_cseq: 0,
            remote_cseq: request.cseq,
            expires: now + Duration::from_secs(u64::from(expires)),
            armed: None,
            busy: false,
            changed: false,
        };
        let mut mwi = self.0.mwi.borrow_mut();
        mwi.make_room(&subscription.account, &subscription.device);
        mwi.next += 1;
        let id = mwi.next;
        mwi.subscriptions.insert(id, subscription);
        mwi.arm(id);
        Ok((granted(endpoint, request.flow, expires, message), Some(id)))
    }

    /// A refresh or the end of a subscription.
    fn subscribe_again(
        &self,
        endpoint: &Endpoint,
        now: Instant,
        request: &IncomingRequest,
        tag: &str,
    ) -> Result<Granted, Refused> {
        let message = &request.message;
        let call_id = message.call_id().unwrap_or_default();
        let from_tag = message.from_tag().unwrap_or_default();
        let mut mwi = self.0.mwi.borrow_mut();
        let found = mwi
            .subscriptions
            .iter_mut()
            .find(|(_, s)| s.local_tag == tag && s.call_id == call_id && s.remote_tag == from_tag);
        let Some((id, subscription)) = found else {
            return Err(Refused::new(481, ""));
        };
        let id = *id;
        if subscription.device != request.principal.device
            || subscription.account != request.principal.account
        {
            return Err(Refused::new(403, ""));
        }
        if request.cseq <= subscription.remote_cseq {
            return Err(Refused::new(500, "CSeq Out Of Order"));
        }
        if package(message.header(Name::Event))? != subscription.event {
            return Err(Refused::new(481, ""));
        }
        let expires = expires(message.header(Name::Expires))?;
        subscription.remote_cseq = request.cseq;
        if let Ok(Some(contact)) = message.contact() {
            // SUBSCRIBE refreshes the target (RFC 6665 §4.4.1).
            subscription.target = contact.uri.to_string();
            subscription.flow = way(&contact.uri, request.flow, None).0;
        }
        subscription.expires = now + Duration::from_secs(u64::from(expires));
        mwi.arm(id);
        Ok((granted(endpoint, request.flow, expires, message), Some(id)))
    }

    /// Sends the state of a subscription; the last one when it has ended.
    fn notify(&self, endpoint: &mut Endpoint, now: Instant, id: u64) {
        let mut mwi = self.0.mwi.borrow_mut();
        let messages = self.messages_for(&mwi, id);
        let Some(subscription) = mwi.subscriptions.get_mut(&id) else {
            return;
        };
        let over = subscription.expires <= now;
        if subscription.busy && !over {
            subscription.changed = true;
            return;
        }
        subscription.busy = true;
        subscription.changed = false;
        subscription.local_cseq = subscription.local_cseq.saturating_add(1);
        let left = subscription.expires.saturating_duration_since(now);
        let state = if over {
            "terminated;reason=timeout".to_owned()
        } else {
            format!("active;expires={}", left.as_secs())
        };
        let (uri, routes) = subscription.routes.apply(&subscription.target);
        let mut notify = ClientRequest::new(
            Method::Notify,
            uri,
            Way::Flow(subscription.flow),
            subscription.local.clone(),
        );
        notify.from_tag = Some(subscription.local_tag.clone());
        notify.to = Some(subscription.remote.clone());
        notify.call_id = Some(subscription.call_id.clone());
        notify.cseq = subscription.local_cseq;
        notify.routes = routes;
        notify.headers = vec![
            (Name::Event, subscription.event.clone()),
            (Name::SubscriptionState, state),
        ];
        notify.body = Some(messages.body(&subscription.message_account));
        if over {
            mwi.remove(id);
        }
        // A failure at once is an event of the endpoint, not a call from inside it.
        let request = endpoint.request(now, notify);
        mwi.sent.insert(request, id);
    }

    fn messages_for(&self, mwi: &Mwi, id: u64) -> Messages {
        let found = mwi.subscriptions.get(&id).and_then(|subscription| {
            let account = self.0.directory.account(&subscription.account)?;
            let device = account.devices.get(&*subscription.device)?;
            mwi.of(&account, device)
        });
        found.unwrap_or_default()
    }

    /// Takes the answer to a NOTIFY; whether it was one.
    pub(super) fn notified(
        &self,
        endpoint: &mut Endpoint,
        now: Instant,
        response: &Response,
    ) -> bool {
        let again = {
            let mut mwi = self.0.mwi.borrow_mut();
            let Some(id) = mwi.sent.remove(&response.request) else {
                return false;
            };
            let patient = response
                .message
                .as_ref()
                .is_some_and(|m| m.headers.count(Name::RetryAfter) > 0);
            if response.status >= 300 && !patient {
                // Its phone does not know it any more, or is gone (RFC 6665 §4.2.2).
                mwi.remove(id);
                return true;
            }
            mwi.subscriptions.get_mut(&id).and_then(|subscription| {
                subscription.busy = false;
                subscription.changed.then_some(id)
            })
        };
        if let Some(id) = again {
            self.notify(endpoint, now, id);
        }
        true
    }

    /// Ends the subscriptions whose time is over.
    pub(super) fn end_subscriptions(&self, endpoint: &mut Endpoint, now: Instant) {
        loop {
            let due = {
                let mut mwi = self.0.mwi.borrow_mut();
                let due = mwi.timers.pop_due(now);
                if let Some(subscription) = due.and_then(|id| mwi.subscriptions.get_mut(&id)) {
                    subscription.armed = None;
                }
                due
            };
            match due {
                Some(id) => self.notify(endpoint, now, id),
                None => return,
            }
        }
    }

    /// Forgets the subscriptions of a connection that has closed.
    pub(super) fn subscriptions_closed(&self, flow: Flow) {
        if flow.transport == Transport::Udp {
            return;
        }
        let mut mwi = self.0.mwi.borrow_mut();
        let on_flow = mwi
            .subscriptions
            .iter()
            .filter(|(_, s)| s.flow.connection == flow.connection);
        let ids: Vec<u64> = on_flow.map(|(id, _)| *id).collect();
        for id in ids {
            mwi.remove(id);
        }
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.0.mwi.borrow().subscriptions.len()
    }

    /// How many messages wait for a device or user, as far as that was ever said.
    pub fn messages(&self, account: &str, id: &str) -> Option<Messages> {
        let key = (account.into(), id.to_owned());
        self.0.mwi.borrow().messages.get(&key).copied()
    }

    /// Says how many messages wait for a device or user, and tells its phones. `None` takes it back.
    pub fn set_messages(
        &self,
        endpoint: &mut Endpoint,
        now: Instant,
        account: &str,
        id: &str,
        messages: Option<Messages>,
    ) {
        let key = (account.into(), id.to_owned());
        let row = keys::join(&[ROWS, account, id]);
        let mut batch = Batch::new();
        {
            let mut mwi = self.0.mwi.borrow_mut();
            match messages {
                Some(messages) => {
                    mwi.messages.insert(key, messages);
                    // Numbers only: this cannot fail.
                    let text = serde_json::to_vec(&messages).unwrap_or_default();
                    batch.put(Table::Documents, row, text);
                }
                None => {
                    mwi.messages.remove(&key);
                    batch.delete(Table::Documents, row);
                }
            }
        }
        self.submit(batch, "how many messages wait");
        let Some(account) = self.0.directory.account(account) else {
            return;
        };
        let devices = account
            .devices
            .values()
            .filter(|device| device.id == id || device.owner_id.as_deref() == Some(id));
        for device in devices {
            self.tell_device(endpoint, now, &account, device);
        }
    }

    fn tell_device(
        &self,
        endpoint: &mut Endpoint,
        now: Instant,
        account: &Account,
        device: &Device,
    ) {
        let subscribed: Vec<u64> = {
            let mwi = self.0.mwi.borrow();
            let own = mwi.subscriptions.iter().filter(|(_, s)| {
                s.account == account.id && *s.device == *device.id && s.expires > now
            });
            own.map(|(id, _)| *id).collect()
        };
        if subscribed.is_empty() {
            return self.tell_unasked(endpoint, now, account, device, |_| true);
        }
        for id in subscribed {
            self.notify(endpoint, now, id);
        }
    }

    /// Tells registered phones that did not subscribe (many lamps work so).
    fn tell_unasked(
        &self,
        endpoint: &mut Endpoint,
        now: Instant,
        account: &Account,
        device: &Device,
        whom: impl Fn(&Binding) -> bool,
    ) {
        let wanted = device.doc.get("mwi_unsolicited_updates");
        let wanted = wanted.and_then(serde_json::Value::as_bool).unwrap_or(true);
        if !self.0.config.unsolicited_mwi || !wanted {
            return;
        }
        let Some(username) = &device.username else {
            return;
        };
        let realm = device.realm.as_deref().unwrap_or(&account.realm);
        let messages = self.0.mwi.borrow().of(account, device);
        let messages = messages.unwrap_or_default();
        let aor = format!("sip:{username}@{realm}");
        let bindings = self.bindings(username, realm, now);
        for binding in bindings.into_iter().filter(whom) {
            let headers = vec![
                (Name::Event, PACKAGE.to_owned()),
                (
                    Name::SubscriptionState,
                    "terminated;reason=noresource".to_owned(),
                ),
            ];
            let body = Some(messages.body(&aor));
            notify_phone(endpoint, now, &binding, &aor, headers, body);
        }
    }

    /// Tells phones that are new about messages that wait.
    pub(super) fn greet(&self, endpoint: &mut Endpoint, now: Instant, changes: &[Change]) {
        let new = changes
            .iter()
            .find(|change| change.what == What::Registered);
        let Some(change) = new else { return };
        let Some(account) = self.0.directory.account(&change.account) else {
            return;
        };
        let Some(device) = account.devices.get(&*change.device) else {
            return;
        };
        let waiting = {
            let mwi = self.0.mwi.borrow();
            let subscribed = mwi
                .subscriptions
                .values()
                .any(|s| s.account == account.id && *s.device == *device.id);
            !subscribed && mwi.of(&account, device).is_some()
        };
        if waiting {
            let new = |binding: &Binding| {
                let mut new = changes.iter().filter(|c| c.what == What::Registered);
                new.any(|change| change.bound.binding.contact == binding.contact)
            };
            self.tell_unasked(endpoint, now, &account, device, new);
        }
    }

    /// Asks the phones of a device to fetch their settings again (`Event: check-sync`); how many were asked.
    pub fn sync(
        &self,
        endpoint: &mut Endpoint,
        now: Instant,
        account: &Account,
        device: &Device,
    ) -> usize {
        let Some(username) = &device.username else {
            return 0;
        };
        let realm = device.realm.as_deref().unwrap_or(&account.realm);
        let aor = format!("sip:{username}@{realm}");
        let bindings = self.bindings(username, realm, now);
        for binding in &bindings {
            let headers = vec![
                (Name::Event, "check-sync".to_owned()),
                (
                    Name::SubscriptionState,
                    "terminated;reason=noresource".to_owned(),
                ),
            ];
            notify_phone(endpoint, now, binding, &aor, headers, None);
        }
        bindings.len()
    }
}

/// A NOTIFY outside a dialog. Whether it arrives concerns nobody.
fn notify_phone(
    endpoint: &mut Endpoint,
    now: Instant,
    binding: &Binding,
    aor: &str,
    headers: Vec<(Name, String)>,
    body: Option<Body>,
) {
    let mut notify = ClientRequest::new(
        Method::Notify,
        binding.contact.clone(),
        Way::Flow(binding.flow),
        format!("<{aor}>"),
    );
    notify.to = Some(format!("<{aor}>"));
    notify.routes.clone_from(&binding.path);
    notify.headers = headers;
    notify.body = body;
    endpoint.request(now, notify);
}

/// The event of a SUBSCRIBE as NOTIFYs repeat it; another package than ours is refused.
fn package(header: Option<&str>) -> Result<String, Refused> {
    let event = header.and_then(|value| Event::parse(value).ok());
    match event.filter(|event| event.package.eq_ignore_ascii_case(PACKAGE)) {
        Some(event) => Ok(event.to_string()),
        None => Err(Refused::new(489, "").with(Name::AllowEvents, PACKAGE)),
    }
}

fn accepts(accepted: &[&str]) -> bool {
    let wanted = [SUMMARY, "application/*", "*/*"];
    accepted.iter().any(|range| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        wanted.iter().any(|w| kind.eq_ignore_ascii_case(w))
    })
}

fn expires(header: Option<&str>) -> Result<u32, Refused> {
    match header.and_then(decimal_clamped) {
        None => Ok(DEFAULT),
        Some(0) => Ok(0),
        Some(seconds) if seconds < SHORTEST => {
            Err(Refused::new(423, "").with(Name::MinExpires, SHORTEST.to_string()))
        }
        Some(seconds) => Ok(seconds.min(LONGEST)),
    }
}

/// The headers of the 200 to a SUBSCRIBE (RFC 6665 §4.2.1.1).
fn granted(
    endpoint: &Endpoint,
    flow: Flow,
    expires: u32,
    request: &crate::sip::msg::Message,
) -> Vec<(Name, String)> {
    let mut headers = vec![
        (Name::Expires, expires.to_string()),
        (Name::Contact, endpoint.contact_on(flow)),
    ];
    for route in request.headers.all(Name::RecordRoute) {
        headers.push((Name::RecordRoute, route.to_owned()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_says_what_rfc_3842_says() {
        let messages = Messages {
            new: 2,
            saved: 8,
            urgent_new: 0,
            urgent_saved: 2,
        };
        let body = messages.body("sip:alice@example.com");
        assert_eq!(
            body.bytes,
            "Messages-Waiting: yes\r\nMessage-Account: sip:alice@example.com\r\nVoice-Message: 2/8 (0/2)\r\n"
        );
        let none = Messages::default().body("sip:a@b");
        assert!(none.bytes.starts_with(b"Messages-Waiting: no\r\n"));
    }

    #[test]
    fn other_packages_and_brief_subscriptions_are_refused_with_what_we_would_take() {
        assert_eq!(
            package(Some("message-summary;id=7")).unwrap(),
            "message-summary;id=7"
        );
        for bad in [None, Some("presence"), Some("")] {
            let refused = package(bad).unwrap_err();
            assert_eq!(refused.status, 489);
            assert_eq!(refused.headers, [(Name::AllowEvents, PACKAGE.to_owned())]);
        }
        assert_eq!(expires(Some("59")).unwrap_err().status, 423);
        assert_eq!(expires(Some("0")), Ok(0));
        assert_eq!(expires(None), Ok(3600));
        assert_eq!(expires(Some("999999")), Ok(86_400));
    }

    #[test]
    fn an_accept_must_leave_room_for_the_summary() {
        assert!(accepts(&[
            "text/plain",
            "Application/Simple-Message-Summary;q=1"
        ]));
        assert!(accepts(&["*/*"]));
        assert!(!accepts(&["text/plain"]));
    }
}
