//! [`Registrar`]: answers REGISTER, drives the timers of bindings, tells the store and the journal what changed.
//!
//! Called by the signalling core with the endpoint at hand; nothing here awaits but the loading at start.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::binding::{Aor, Binding, Bound};
use super::config::{RegistrarConfig, SecurityConfig};
use super::guard::Guard;
use super::mwi::Mwi;
use super::persist;
use super::register::{self, Refused, Register};
use super::table::{Change, Context, Due, Table, What};
use super::trunks::Trunks;
use crate::base::rng::Rng;
use crate::base::time::UnixMicros;
use crate::directory::{Account, Device, Directory};
use crate::host::clock;
use crate::journal::{Code, Fact, Journal};
use crate::sip::msg::{Host, Message, Method, Name, Uri};
use crate::sip::ua::{Endpoint, IncomingRequest, RequestId, Response};
use crate::store::{Batch, Store, StoreError};

/// The bindings of all phones. A clone is another handle.
#[derive(Clone)]
pub struct Registrar(pub(super) Rc<Inner>);

pub(super) struct Inner {
    pub(super) table: RefCell<Table>,
    pub(super) guard: RefCell<Guard>,
    pub(super) mwi: RefCell<Mwi>,
    pub(super) trunks: RefCell<Trunks>,
    /// OPTIONS on their way.
    pub(super) asked: RefCell<std::collections::BTreeMap<RequestId, super::table::Place>>,
    /// Whose bindings were lost.
    lapsed: RefCell<std::collections::BTreeMap<Aor, Lapsed>>,
    pub(super) rng: RefCell<Rng>,
    pub(super) config: RegistrarConfig,
    pub(super) directory: Directory,
    pub(super) journal: Journal,
    store: Store,
}

/// What the registrar is made of.
pub struct Parts {
    /// `[registrar]`.
    pub config: RegistrarConfig,
    /// `[security]`.
    pub security: SecurityConfig,
    /// Who owns which address of record.
    pub directory: Directory,
    /// Where bindings survive a restart.
    pub store: Store,
    /// Who is told.
    pub journal: Journal,
    /// Spreads keepalives over time.
    pub rng: Rng,
}

/// How the last binding of an address of record was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lapsed {
    /// When.
    pub at: UnixMicros,
    /// It is there, and does not answer our OPTIONS.
    pub silent: bool,
}

/// Addresses of record remembered that have lost their binding.
const MOST_LAPSED: usize = 4096;

/// What a REGISTER did: the headers of its 200, and what changed.
type Done = (Vec<(Name, String)>, Vec<Change>);

impl Registrar {
    /// The registrar with the bindings of the last run that have not ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(parts: Parts) -> Result<Self, StoreError> {
        let table = persist::load(&parts.store, clock::now(), clock::unix_now()).await?;
        let mwi = Mwi::load(&parts.store).await?;
        if table.len() > 0 {
            tracing::info!(bindings = table.len(), "registrations of the last run");
        }
        let registrar = Self(Rc::new(Inner {
            table: RefCell::new(table),
            guard: RefCell::new(Guard::new(parts.security)),
            mwi: RefCell::new(mwi),
            trunks: RefCell::default(),
            asked: RefCell::default(),
            lapsed: RefCell::default(),
            rng: RefCell::new(parts.rng),
            config: parts.config,
            directory: parts.directory,
            journal: parts.journal,
            store: parts.store,
        }));
        registrar.gauge();
        Ok(registrar)
    }

    /// Where a user of a realm can be reached, the best first. Phones that do not answer are left out.
    pub fn bindings(&self, username: &str, realm: &str, now: Instant) -> Vec<Binding> {
        let aor = Aor::new(username, realm);
        self.0.table.borrow().reachable(&aor, now)
    }

    /// How many bindings there are.
    pub fn count(&self) -> usize {
        self.0.table.borrow().len()
    }

    /// Answers a request the endpoint handed up.
    pub fn request(&self, endpoint: &mut Endpoint, now: Instant, request: &IncomingRequest) {
        if request.method == Method::Subscribe {
            return self.subscribe(endpoint, now, request);
        }
        let (status, reason, headers, changes) = match self.register(now, request) {
            Ok((headers, changes)) => (200, "", headers, changes),
            Err(refused) => {
                if matches!(refused.status, 403 | 404) {
                    self.tell_refused(request, refused.status);
                }
                (refused.status, refused.reason, refused.headers, Vec::new())
            }
        };
        metrics::counter!("swivel_registers_total", "status" => status.to_string()).increment(1);
        endpoint.reply(now, request.transaction, status, reason, &headers, None);
        self.greet(endpoint, now, &changes);
    }

    /// Tells the journal of a phone that registers what is not its own.
    fn tell_refused(&self, request: &IncomingRequest, status: u16) {
        let message = &request.message;
        let to = message.to().ok().map(|to| to.uri.to_string());
        self.0.journal.emit(Fact::Trouble {
            call_id: message.call_id().unwrap_or_default().to_owned(),
            at: clock::unix_now(),
            account: request.principal.account.to_string(),
            code: Code::RegisterRefused,
            values: vec![
                ("user", to.unwrap_or_default()),
                (
                    "source",
                    request.flow.remote.ip().to_canonical().to_string(),
                ),
                ("status", status.to_string()),
                ("device", request.principal.device.to_string()),
            ],
        });
    }

    /// When, and whether for want of an answer, the last binding of an address of record was lost.
    pub fn lapsed(&self, username: &str, realm: &str) -> Option<Lapsed> {
        self.0
            .lapsed
            .borrow()
            .get(&Aor::new(username, realm))
            .copied()
    }

    /// Remembers whose bindings were lost.
    fn note_lapsed(&self, change: &Change) {
        let silent = match change.what {
            What::Expired | What::Closed => false,
            What::Unreachable => true,
            _ => {
                self.0.lapsed.borrow_mut().remove(&change.aor);
                return;
            }
        };
        let mut lapsed = self.0.lapsed.borrow_mut();
        if lapsed.len() >= MOST_LAPSED && !lapsed.contains_key(&change.aor) {
            lapsed.pop_first();
        }
        let at = clock::unix_now();
        lapsed.insert(change.aor.clone(), Lapsed { at, silent });
    }

    fn register(&self, now: Instant, request: &IncomingRequest) -> Result<Done, Refused> {
        let message = &request.message;
        let principal = &request.principal;
        let account = self.0.directory.account(&principal.account);
        let device = account
            .as_ref()
            .and_then(|account| account.devices.get(&*principal.device));
        let (Some(account), Some(device)) = (&account, device) else {
            return Err(Refused::new(403, ""));
        };
        let (aor, to_host) = self.aor(message, account, device)?;
        let default = default_expires(device);
        let register = register::read(message, request.flow, &self.0.config, default)?;
        let context = Context {
            now,
            unix: clock::unix_now(),
            aor: aor.clone(),
            account: account.id.clone(),
            device: principal.device.clone(),
            call_id: message.call_id().unwrap_or_default().into(),
            cseq: request.cseq,
            flow: request.flow,
            user_agent: one_word(message.header(Name::UserAgent).unwrap_or_default()),
            to_host,
        };
        let changes = self
            .0
            .table
            .borrow_mut()
            .apply(&context, &register, &self.0.config)?;
        self.care(now, &changes);
        self.changed(&changes);
        Ok((self.answer(&context, &register), changes))
    }

    /// The address of record a REGISTER is about, when it is its sender's own (§10.3 steps 1, 4, 5).
    fn aor(
        &self,
        message: &Message,
        account: &Account,
        device: &Device,
    ) -> Result<(Aor, Box<str>), Refused> {
        let bad = |_| Refused::new(400, "");
        let domain = message.uri().map_err(bad)?.host;
        if !self.is_ours(&domain) {
            return Err(Refused::new(404, "Not Our Domain"));
        }
        let (to, from) = (
            message.to().map_err(bad)?.uri,
            message.from().map_err(bad)?.uri,
        );
        let realm = device.realm.as_deref().unwrap_or(&account.realm);
        let Some(username) = &device.username else {
            return Err(Refused::new(403, ""));
        };
        let own = |uri: &Uri| {
            let user = uri.user_text().unwrap_or_default();
            // A phone that knows us by address has no realm to name.
            let here = uri.host.as_str().eq_ignore_ascii_case(realm)
                || (!self.0.directory.is_realm(uri.host.as_str()) && self.is_ours(&uri.host));
            here && user.to_lowercase() == username.to_lowercase()
        };
        if !own(&to) || !own(&from) {
            return Err(Refused::new(403, "Not Your Address Of Record"));
        }
        Ok((Aor::new(username, realm), to.host.as_str().into()))
    }

    /// Whether a host names this server. Whoever got here by an address has named us, also through a port forward.
    fn is_ours(&self, host: &Host) -> bool {
        let name = host.as_str();
        host.ip().is_some()
            || name.eq_ignore_ascii_case("localhost")
            || self.0.directory.is_realm(name)
            || self
                .0
                .config
                .domains
                .iter()
                .any(|domain| domain.eq_ignore_ascii_case(name))
    }

    /// The headers of the 200: all bindings, each with what is left of it (§10.3 step 8).
    fn answer(&self, context: &Context, register: &Register) -> Vec<(Name, String)> {
        let table = self.0.table.borrow();
        let bindings = table.record(&context.aor);
        let bindings = bindings.map_or(&[][..], |record| &record.bindings);
        let mut headers: Vec<(Name, String)> = bindings
            .iter()
            .map(|bound| (Name::Contact, contact(bound, context.now)))
            .collect();
        for hop in &register.path {
            headers.push((Name::Path, hop.clone()));
        }
        headers.push((Name::Supported, "path, outbound".into()));
        if register.outbound {
            headers.push((Name::Require, "outbound".into()));
            headers.push((Name::FlowTimer, FLOW_TIMER.into()));
        }
        headers.push((Name::AllowEvents, "message-summary".into()));
        headers.push((Name::Date, date(context.unix)));
        headers
    }

    /// Tells everybody what changed.
    pub(super) fn changed(&self, changes: &[Change]) {
        let mut aors: Vec<&Aor> = changes.iter().map(|change| &change.aor).collect();
        aors.sort();
        aors.dedup();
        for aor in aors {
            self.store(aor);
        }
        for change in changes {
            if change.what != What::Refreshed {
                self.note_lapsed(change);
                self.tell(change);
            }
        }
        self.gauge();
    }

    fn store(&self, aor: &Aor) {
        let mut table = self.0.table.borrow_mut();
        let batch = persist::change(aor, table.record(aor));
        if let Some(batch) = batch {
            let kept = table
                .record(aor)
                .is_some_and(|record| record.bindings.iter().any(|b| !b.is_on_stream()));
            table.set_stored(aor, kept);
            self.submit(batch, "a registration");
        }
        table.forget_empty(aor);
    }

    /// Hands a change to the store.
    pub(super) fn submit(&self, batch: Batch, what: &'static str) {
        let done = move |result: Result<(), StoreError>| {
            if let Err(error) = result {
                metrics::counter!("swivel_registrar_unsaved_total").increment(1);
                tracing::warn!(%error, what, "not stored: it will not survive a restart");
            }
        };
        self.0.store.submit(batch, Box::new(done));
    }

    /// Writes a change into the journal and the log.
    pub(super) fn tell(&self, change: &Change) {
        let Change {
            what, aor, bound, ..
        } = change;
        let word = what.word();
        tracing::debug!(%aor, what = word, contact = bound.binding.contact, source = %bound.binding.source, "registration");
        metrics::counter!("swivel_registration_changes_total", "what" => word).increment(1);
        self.0.journal.emit(Fact::Registration {
            call_id: bound.call_id.to_string(),
            at: clock::unix_now(),
            account: change.account.to_string(),
            device: change.device.to_string(),
            what: word,
            aor: aor.to_string(),
            contact: bound.binding.contact.clone(),
            source: bound.binding.source,
            user_agent: bound.binding.user_agent.clone(),
            expires_at: bound.binding.expires_at,
        });
    }

    fn gauge(&self) {
        // 2^53 bindings are enough.
        metrics::gauge!("swivel_registrations").set(self.count() as f64);
    }

    /// A response to a request of ours; whether it was one of the registrar's.
    pub fn response(&self, endpoint: &mut Endpoint, now: Instant, response: &Response) -> bool {
        self.keepalive_answered(endpoint, now, response)
            || self.notified(endpoint, now, response)
            || self.carrier_answered(endpoint, now, response)
    }

    /// A connection has closed: what was bound to it is gone.
    pub fn flow_closed(&self, flow: crate::sip::flow::Flow) {
        self.subscriptions_closed(flow);
        let closed = self.0.table.borrow_mut().flow_closed(flow);
        if !closed.is_empty() {
            self.changed(&closed);
        }
    }

    /// When `handle_timeout` is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let bindings = self.0.table.borrow().next_due();
        let subscriptions = self.0.mwi.borrow().next_due();
        let carriers = self.trunks_due();
        let all = bindings.into_iter().chain(subscriptions).chain(carriers);
        all.min()
    }

    /// Ends what has expired, and asks the phones whose turn it is.
    pub fn handle_timeout(&self, endpoint: &mut Endpoint, now: Instant) {
        self.end_subscriptions(endpoint, now);
        let mut expired = Vec::new();
        loop {
            let due = self.0.table.borrow_mut().due(now);
            match due {
                Some(Due::Expired(change)) => expired.push(*change),
                Some(Due::Ask(place)) => self.ask(endpoint, now, &place),
                None => break,
            }
        }
        if !expired.is_empty() {
            self.changed(&expired);
        }
    }
}

/// The expiry of a phone that asks for none (decisions 7; `sip.expire_seconds` of the device).
fn default_expires(device: &Device) -> u32 {
    device
        .doc
        .pointer("/sip/expire_seconds")
        .and_then(serde_json::Value::as_u64)
        .and_then(|seconds| u32::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0)
        .unwrap_or(300)
}

/// One Contact of a 200, with the seconds it has left.
fn contact(bound: &Bound, now: Instant) -> String {
    let left = bound.expires.saturating_duration_since(now);
    // Rounded up, so that a phone that was granted 3600 reads 3600.
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    format!(
        "<{}>{};expires={seconds}",
        bound.binding.contact, bound.params
    )
}

/// RFC 3261 §20.17.
fn date(at: UnixMicros) -> String {
    at.timestamp()
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

/// A User-Agent as it is kept: short.
fn one_word(text: &str) -> String {
    text.chars().take(128).collect()
}

/// Seconds a phone that keeps its flow alive may be silent (RFC 5626 §4.4).
const FLOW_TIMER: &str = "120";

impl std::fmt::Debug for Registrar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registrar")
            .field("bindings", &self.count())
            .finish_non_exhaustive()
    }
}
