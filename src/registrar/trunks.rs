//! Drives our registrations with carriers: finds the servers, sends the REGISTERs, tells the journal.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use futures_util::future::LocalBoxFuture;

use super::login::{Carrier, Login, News, Todo};
use super::server::Registrar;
use crate::directory::Learned;
use crate::host::clock;
use crate::journal::Fact;
use crate::sip::flow::Transport;
use crate::sip::msg::{Message, Method, Name};
use crate::sip::ua::{ClientRequest, Endpoint, Response, Target, Way};

/// Our registrations.
#[derive(Default)]
pub(super) struct Trunks {
    logins: BTreeMap<String, Login>,
    resolve: Option<Resolve>,
}

/// Where a carrier's server is to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Host name or address.
    pub host: String,
    /// Its port; `None` is found by DNS.
    pub port: Option<u16>,
    /// What carries it; `None` is found by DNS.
    pub transport: Option<Transport>,
}

/// Finds the targets of a server, the best first; none when there are none.
pub type Resolve = Rc<dyn Fn(Place) -> LocalBoxFuture<'static, Vec<Target>>>;

/// A question that waits: who asks, and the answer to come. Hand both to [`Registrar::resolved`].
pub type Lookup = (String, LocalBoxFuture<'static, Vec<Target>>);

/// How a registration of ours stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkStatus {
    /// Id of the carrier.
    pub id: String,
    /// Account it belongs to.
    pub account: String,
    /// The server's name.
    pub server: String,
    /// Whether it knows us now.
    pub registered: bool,
    /// Status of the last failure; 0 when there was none.
    pub last_status: u16,
}

impl Registrar {
    /// How to find servers by name. Without it only addresses and the system's own resolver are used.
    pub fn set_resolver(&self, resolve: Resolve) {
        self.0.trunks.borrow_mut().resolve = Some(resolve);
    }

    /// Registers with these carriers from now on, and with no others.
    pub fn set_carriers(&self, endpoint: &mut Endpoint, now: Instant, carriers: Vec<Carrier>) {
        let wanted: BTreeMap<String, Carrier> = carriers
            .into_iter()
            .map(|carrier| (carrier.id.clone(), carrier))
            .collect();
        let leaving: Vec<String> = {
            let trunks = self.0.trunks.borrow();
            let gone = trunks
                .logins
                .iter()
                .filter(|(id, login)| wanted.get(*id) != Some(&login.carrier));
            gone.map(|(id, _)| id.clone()).collect()
        };
        for id in leaving {
            let todo = {
                let mut trunks = self.0.trunks.borrow_mut();
                let Some(mut login) = trunks.logins.remove(&id) else {
                    continue;
                };
                let todo = login.leave(now);
                if login.is_gone() {
                    continue;
                }
                // Its end goes on under another name, so that its successor may begin.
                let name = format!("{id}\n{}", login.call_id);
                trunks.logins.insert(name.clone(), login);
                (name, todo)
            };
            self.perform(endpoint, now, &todo.0, todo.1);
        }
        let mut trunks = self.0.trunks.borrow_mut();
        for (id, carrier) in wanted {
            let rng = &mut self.0.rng.borrow_mut();
            trunks
                .logins
                .entry(id)
                .or_insert_with(|| Login::new(carrier, now, rng));
        }
    }

    /// Ends every registration with carriers; how many answers are waited for.
    pub fn leave_carriers(&self, endpoint: &mut Endpoint, now: Instant) -> usize {
        self.set_carriers(endpoint, now, Vec::new());
        self.0.trunks.borrow().logins.len()
    }

    /// How many registrations with carriers are not over.
    pub fn carriers(&self) -> usize {
        self.0.trunks.borrow().logins.len()
    }

    /// How our registrations stand.
    pub fn trunk_status(&self, now: Instant) -> Vec<TrunkStatus> {
        let trunks = self.0.trunks.borrow();
        let status = trunks.logins.values().map(|login| TrunkStatus {
            id: login.carrier.id.clone(),
            account: login.carrier.account.clone(),
            server: login.carrier.server.clone(),
            registered: login.is_registered(now),
            last_status: login.last_status,
        });
        status.collect()
    }

    /// The carrier a call comes from that was sent to the Contact we registered, by the server we registered at.
    pub fn carrier_of(&self, now: Instant, contact_user: &str, source: IpAddr) -> Option<Carrier> {
        let trunks = self.0.trunks.borrow();
        let found = trunks.logins.values().find(|login| {
            login.carrier.contact_user() == contact_user
                && login
                    .registered_at(now)
                    .is_some_and(|at| at.addr.ip().to_canonical() == source.to_canonical())
        });
        found.map(|login| login.carrier.clone())
    }

    /// When a registration of ours is due next.
    pub(super) fn trunks_due(&self) -> Option<Instant> {
        let trunks = self.0.trunks.borrow();
        trunks.logins.values().filter_map(Login::poll_timeout).min()
    }

    /// The lookups of registrations that are due now.
    pub fn lookups(&self, now: Instant) -> Vec<Lookup> {
        let mut trunks = self.0.trunks.borrow_mut();
        let resolve = trunks.resolve.clone();
        let mut lookups = Vec::new();
        for (id, login) in &mut trunks.logins {
            if login.due(now) == Todo::Resolve {
                let place = Place {
                    host: login.carrier.server.clone(),
                    port: login.carrier.port,
                    transport: login.carrier.transport,
                };
                let answer = match &resolve {
                    Some(resolve) => resolve(place),
                    None => Box::pin(by_system(place)),
                };
                lookups.push((id.clone(), answer));
            }
        }
        lookups
    }

    /// The server of a carrier was found, or was not.
    pub fn resolved(&self, endpoint: &mut Endpoint, now: Instant, id: &str, targets: Vec<Target>) {
        let todo = {
            let mut trunks = self.0.trunks.borrow_mut();
            let rng = &mut self.0.rng.borrow_mut();
            match trunks.logins.get_mut(id) {
                Some(login) => login.resolved(now, targets, rng),
                None => return,
            }
        };
        self.perform(endpoint, now, id, todo);
    }

    fn perform(&self, endpoint: &mut Endpoint, now: Instant, id: &str, todo: Todo) {
        let Todo::Register { target, expires } = todo else {
            return;
        };
        let mut trunks = self.0.trunks.borrow_mut();
        let Some(login) = trunks.logins.get_mut(id) else {
            return;
        };
        login.cseq = login.cseq.saturating_add(1);
        let request = register(endpoint, login, target, expires);
        login.request = Some(endpoint.request(now, request));
    }

    /// Takes the answer to a REGISTER of ours; whether it was one.
    pub(super) fn carrier_answered(
        &self,
        endpoint: &mut Endpoint,
        now: Instant,
        response: &Response,
    ) -> bool {
        let (id, todo, news) = {
            let mut trunks = self.0.trunks.borrow_mut();
            let waiting = trunks
                .logins
                .iter_mut()
                .find(|(_, login)| login.request == Some(response.request));
            let Some((id, login)) = waiting else {
                return false;
            };
            login.request = None;
            login.cseq = login.cseq.max(response.cseq);
            let message = response.message.as_deref();
            let rng = &mut self.0.rng.borrow_mut();
            let (todo, news) = login.answered(now, response.status, message, rng);
            (id.clone(), todo, news)
        };
        self.learn(now, &id);
        self.carrier_news(now, &id, news, response.status, response.message.as_deref());
        self.perform(endpoint, now, &id, todo);
        let mut trunks = self.0.trunks.borrow_mut();
        trunks.logins.retain(|_, login| !login.is_gone());
        true
    }

    /// Calls of a carrier come from where we are registered, whatever its document says.
    fn learn(&self, now: Instant, id: &str) {
        let trunks = self.0.trunks.borrow();
        let Some(login) = trunks.logins.get(id) else {
            return;
        };
        let learned = login.registered_at(now).map(|target| Learned {
            source: target.addr.ip().to_canonical(),
            account: login.carrier.account.clone(),
            trunk: login.carrier.resource.clone(),
        });
        self.0.directory.learn_source(&login.call_id, learned);
    }

    fn carrier_news(
        &self,
        now: Instant,
        id: &str,
        news: News,
        status: u16,
        message: Option<&Message>,
    ) {
        let trunks = self.0.trunks.borrow();
        let Some(login) = trunks.logins.get(id) else {
            return;
        };
        let carrier = &login.carrier;
        let what = match news {
            News::None => return,
            News::Registered => "registered",
            News::Failed => "failed",
            News::Left => "left",
        };
        if news == News::Failed {
            tracing::warn!(
                carrier = carrier.id,
                server = carrier.server,
                status,
                "registration with a carrier failed"
            );
        } else {
            tracing::info!(
                carrier = carrier.id,
                server = carrier.server,
                what,
                "registration with a carrier"
            );
        }
        metrics::counter!("swivel_trunk_registration_changes_total", "what" => what).increment(1);
        let registered = trunks.logins.values().filter(|l| l.is_registered(now));
        metrics::gauge!("swivel_trunk_registrations").set(registered.count() as f64);
        let left = login
            .until()
            .map(|until| until.saturating_duration_since(now));
        self.0.journal.emit(Fact::TrunkRegistration {
            call_id: message
                .and_then(Message::call_id)
                .unwrap_or(&login.call_id)
                .to_owned(),
            at: clock::unix_now(),
            account: carrier.account.clone(),
            carrier: carrier.id.clone(),
            what,
            server: carrier.server.clone(),
            status,
            expires_at: left.map(|left| clock::unix_now().plus(left)),
        });
    }
}

/// The next REGISTER of a login.
fn register(endpoint: &Endpoint, login: &Login, target: Target, expires: u32) -> ClientRequest {
    let carrier = &login.carrier;
    let port = carrier.port.map(|port| format!(":{port}"));
    let transport = carrier
        .transport
        .filter(|transport| *transport != Transport::Udp)
        .map(|transport| format!(";transport={}", transport.uri_name()));
    let host = if carrier.server.contains(':') && !carrier.server.starts_with('[') {
        format!("[{}]", carrier.server)
    } else {
        carrier.server.clone()
    };
    let uri = format!(
        "sip:{host}{}{}",
        port.unwrap_or_default(),
        transport.unwrap_or_default()
    );
    let domain = carrier.realm.as_deref().unwrap_or(&host);
    let aor = format!("<sip:{}@{domain}>", carrier.username);
    let mut request = ClientRequest::new(Method::Register, uri, Way::Target(target), aor.clone());
    request.from_tag = Some(login.from_tag.clone());
    request.to = Some(aor);
    request.call_id = Some(login.call_id.clone());
    request.cseq = login.cseq;
    request.contact = false;
    let contact = endpoint.contact_towards(target, &carrier.contact_user());
    request.headers = vec![
        (Name::Contact, format!("{contact};expires={expires}")),
        (Name::Expires, expires.to_string()),
    ];
    request.credentials = Some((carrier.username.clone(), carrier.password.clone()));
    request.realm.clone_from(&carrier.realm);
    request.any_realm = carrier.realm.is_none();
    request
}

/// Targets by the system's own resolver: addresses only, no SRV.
async fn by_system(place: Place) -> Vec<Target> {
    let transport = place.transport.unwrap_or(Transport::Udp);
    let port = place.port.unwrap_or_else(|| transport.default_port());
    let host = place.host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse::<IpAddr>() {
        let addr = (ip, port).into();
        return vec![Target { transport, addr }];
    }
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => found.map(|addr| Target { transport, addr }).collect(),
        Err(error) => {
            tracing::debug!(host, %error, "a carrier's server was not found");
            Vec::new()
        }
    }
}
