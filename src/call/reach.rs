//! Whether the servers of carriers answer (`sip.md` §4, §12): what requests find out, OPTIONS to those that are held out,
//! and OPTIONS to every gateway from time to time. The hold-out itself is the resolver's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::core::Core;
use super::handle::CallHandle;
use crate::base::time::UnixMicros;
use crate::directory::{Directory, Gateway};
use crate::host::{clock, task};
use crate::journal::Fact;
use crate::net::{Probe, Resolver};
use crate::routing::Place;
use crate::sip::flow::Transport;
use crate::sip::msg::{Method, Name, Uri};
use crate::sip::ua::{ClientRequest, Fate, Reached, RequestId, Response, Target, Way};

/// What is known of servers.
#[derive(Default)]
pub(super) struct Reach {
    resolver: Option<Resolver>,
    /// OPTIONS of ours on their way.
    asked: BTreeSet<RequestId>,
    /// Who waits for the answer to one of them.
    waiting: BTreeMap<RequestId, oneshot::Sender<Option<u16>>>,
    gateways: BTreeMap<String, Watched>,
    seen: BTreeMap<(Transport, SocketAddr), Seen>,
}

/// A gateway that is looked after.
#[derive(Debug, Clone)]
struct Watched {
    place: GatewayPlace,
    /// When it is looked up, and asked, next.
    due: Instant,
    /// Where it was at the last look.
    targets: Vec<Target>,
}

/// Where a gateway is and how often it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GatewayPlace {
    account: String,
    resource: String,
    name: String,
    n: usize,
    server: String,
    port: Option<u16>,
    transport: Option<Transport>,
    every: Option<Duration>,
}

/// What the last request to a server found out.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    answered: Option<UnixMicros>,
    failed: Option<(UnixMicros, &'static str)>,
}

impl Core {
    /// Who holds out servers that do not answer. From now on they are asked before traffic returns to them.
    pub fn set_reach(&self, resolver: Resolver) {
        resolver.take_probes();
        self.0.reach.borrow_mut().resolver = Some(resolver);
    }

    /// A request has found out how a server fares.
    pub(super) fn reached(&self, reached: &Reached) {
        let target = reached.target;
        self.note_reached(reached);
        let resolver = self.0.reach.borrow().resolver.clone();
        match (resolver, reached.fate) {
            (Some(resolver), Fate::Answers) => resolver.works(&target),
            (Some(resolver), Fate::Fails { wait, .. }) => {
                resolver.failed(&target, &reached.host, wait, clock::now());
            }
            (None, _) => {}
        }
    }

    fn note_reached(&self, reached: &Reached) {
        let mut reach = self.0.reach.borrow_mut();
        let reach = &mut *reach;
        let target = reached.target;
        let mut of = reach.gateways.values();
        let of =
            of.find(|gateway| gateway.place.is_at(target) || gateway.targets.contains(&target));
        let (account, resource) = of.map_or_else(Default::default, |gateway| {
            (
                gateway.place.account.clone(),
                gateway.place.resource.clone(),
            )
        });
        let tell = |at, what, why| {
            self.0.services.journal.emit(Fact::Gateway {
                call_id: String::new(),
                at,
                account,
                resource,
                server: target.addr.to_string(),
                host: reached.host.to_string(),
                what,
                why,
            });
        };
        let key = (target.transport, target.addr);
        if reach.seen.len() >= MOST_SEEN && !reach.seen.contains_key(&key) {
            return;
        }
        let seen = reach.seen.entry(key).or_default();
        let at = clock::unix_now();
        let known_bad = seen.failed.is_some() && seen.answered.is_none();
        match reached.fate {
            Fate::Answers => {
                *seen = Seen {
                    answered: Some(at),
                    failed: None,
                };
                if known_bad {
                    tracing::info!(server = %target.addr, host = %reached.host, "a server answers again");
                    tell(at, "answers", None);
                }
            }
            Fate::Fails { why, .. } => {
                *seen = Seen {
                    answered: None,
                    failed: Some((at, why)),
                };
                metrics::counter!("swivel_sip_target_failures_total", "why" => why).increment(1);
                if !known_bad {
                    tracing::warn!(server = %target.addr, host = %reached.host, why, "a server does not answer, others come before it");
                    tell(at, "held_out", Some(why));
                }
            }
        }
    }

    /// An answer to an OPTIONS of ours; whether it was one. What it says was told by [`Self::reached`].
    pub(super) fn was_asked(&self, response: &Response) -> bool {
        let mut reach = self.0.reach.borrow_mut();
        if let Some(waiting) = reach.waiting.remove(&response.request) {
            // Without a message nobody answered: the status is ours.
            let status = response.message.as_ref().map(|_| response.status);
            if waiting.send(status).is_err() {
                tracing::trace!("nobody waits for this answer any more");
            }
        }
        reach.asked.remove(&response.request)
    }

    /// Asks a server whether it is there, for somebody who waits for the answer.
    pub(super) fn ask_for(&self, target: Target, host: &str, answer: oneshot::Sender<Option<u16>>) {
        let host = host.into();
        self.ask(&Probe { target, host }, Some(answer));
    }

    /// When a server that is held out is to be asked.
    pub(super) fn reach_due(&self) -> Option<Instant> {
        self.0.reach.borrow().resolver.as_ref()?.poll_timeout()
    }

    /// Asks the servers whose time has come. Gateways that are never asked get their traffic back by time alone.
    pub(super) fn ask_held(&self, now: Instant) {
        let Some(resolver) = self.0.reach.borrow().resolver.clone() else {
            return;
        };
        while let Some(probe) = resolver.next_probe(now) {
            if self.never_asked(probe.target) {
                resolver.works(&probe.target);
            } else {
                self.ask(&probe, None);
            }
        }
    }

    fn never_asked(&self, target: Target) -> bool {
        let reach = self.0.reach.borrow();
        let of_gateways = reach.gateways.values();
        of_gateways
            .filter(|gateway| gateway.place.every.is_none())
            .any(|gateway| gateway.place.is_at(target) || gateway.targets.contains(&target))
    }

    fn ask(&self, probe: &Probe, waiting: Option<oneshot::Sender<Option<u16>>>) {
        metrics::counter!("swivel_sip_probes_total").increment(1);
        let target = probe.target;
        let host = if probe.host.is_empty() {
            target.addr.ip().to_string()
        } else {
            probe.host.to_string()
        };
        let host = match host.contains(':') && !host.starts_with('[') {
            true => format!("[{host}]"),
            false => host,
        };
        let port = match target.addr.port() == target.transport.default_port() {
            true => String::new(),
            false => format!(":{}", target.addr.port()),
        };
        let transport = match target.transport {
            Transport::Udp => String::new(),
            other => format!(";transport={}", other.uri_name()),
        };
        let uri = format!("sip:{host}{port}{transport}");
        let id = self.endpoint(|endpoint, now| {
            let own = endpoint
                .address_towards(target)
                .map(|ip| ip.to_canonical().to_string());
            let own = own.map(|ip| {
                if ip.contains(':') {
                    format!("[{ip}]")
                } else {
                    ip
                }
            });
            let from = format!("<sip:swivel@{}>", own.unwrap_or(host));
            let mut options = ClientRequest::new(Method::Options, uri, Way::Target(target), from);
            options
                .headers
                .push((Name::Accept, "application/sdp".into()));
            let id = endpoint.request(now, options);
            // Its end may be dispatched before this returns.
            let mut reach = self.0.reach.borrow_mut();
            reach.asked.insert(id);
            if let Some(waiting) = waiting {
                reach.waiting.insert(id, waiting);
            }
            id
        });
        tracing::trace!(?id, server = %target.addr, "asked a server whether it is there");
    }

    /// Asks the gateways that are due, and follows the documents. Called every few seconds.
    pub fn look_after_gateways(&self) {
        if self.0.reach.borrow().resolver.is_none() {
            return;
        }
        let now = clock::now();
        let listed = gateways(&self.0.services.directory);
        let mut due = Vec::new();
        {
            let mut reach = self.0.reach.borrow_mut();
            reach
                .gateways
                .retain(|id, gateway| listed.get(id).is_some_and(|place| *place == gateway.place));
            for (id, place) in listed {
                let every = place.every.unwrap_or(LOOK_UP);
                if let Some(gateway) = reach.gateways.get_mut(&id) {
                    if gateway.due <= now {
                        gateway.due = now + every;
                        due.push((id, place.clone(), place.every.is_some()));
                    }
                    continue;
                }
                // New ones are looked up at once. Those that begin together are not asked together.
                due.push((id.clone(), place.clone(), false));
                let share = 0.5 + 0.5 * self.0.rng.borrow_mut().unit();
                let gateway = Watched {
                    place,
                    due: now + every.mul_f64(share),
                    targets: Vec::new(),
                };
                reach.gateways.insert(id, gateway);
            }
        }
        for (id, place, ask) in due {
            let core = self.clone();
            task::spawn_local("gateway-options", async move {
                core.find_gateway(id, place, ask).await;
            });
        }
    }

    /// Looks where a gateway is, and asks it whether it is there.
    async fn find_gateway(&self, id: String, place: GatewayPlace, ask: bool) {
        let Some(resolver) = self.0.reach.borrow().resolver.clone() else {
            return;
        };
        let found = resolver.resolve(&place.server, place.port, place.transport, false);
        let targets = found.await.unwrap_or_else(|error| {
            tracing::info!(%error, resource = place.resource, "a gateway leads nowhere");
            Vec::new()
        });
        if let Some(gateway) = self.0.reach.borrow_mut().gateways.get_mut(&id) {
            gateway.targets.clone_from(&targets);
        }
        // Those that are held out are asked in their own time.
        let targets = targets
            .into_iter()
            .filter(|t| ask && !resolver.is_held(t, clock::now()));
        for target in targets.take(MOST_TARGETS) {
            let host = place.server.as_str().into();
            self.ask(&Probe { target, host }, None);
        }
    }

    /// How the gateways of an account stand, for people.
    pub fn gateway_rows(&self, account: &str) -> Vec<Value> {
        let now = clock::now();
        let registered = self.registrar().trunk_status(now);
        let reach = self.0.reach.borrow();
        let own = reach
            .gateways
            .iter()
            .filter(|(_, gateway)| gateway.place.account == account);
        own.map(|(id, gateway)| {
            let place = &gateway.place;
            let known = gateway.targets.iter().copied().chain(place.literal());
            let mut targets: Vec<Target> = known.collect();
            targets.dedup();
            let targets: Vec<Value> = targets.iter().map(|t| reach.target_row(t, now)).collect();
            let of = |state: &str| targets.iter().filter(|t| t["state"] == state).count();
            let state = match (of("works"), of("held_out"), of("unknown")) {
                (1.., ..) => "works",
                (0, 1.., 0) => "held_out",
                _ => "unknown",
            };
            let mut row = json!({
                "resource_id": place.resource,
                "name": place.name,
                "gateway": place.n,
                "server": place.server,
                "state": state,
                "targets": targets,
            });
            if let Some(status) = registered.iter().find(|status| status.id == *id) {
                row["registered"] = json!(status.registered);
                if status.last_status > 0 {
                    row["register_status"] = json!(status.last_status);
                }
            }
            row
        })
        .collect()
    }
}

impl CallHandle {
    /// Attempts whose servers do not answer come last: better tried than none.
    pub async fn held_last<T>(&self, attempts: Vec<T>, place: impl Fn(&T) -> &Place) -> Vec<T> {
        let resolver = self.core().0.reach.borrow().resolver.clone();
        let Some(resolver) = resolver.filter(|resolver| resolver.holds_any()) else {
            return attempts;
        };
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for attempt in attempts {
            let Place::Uri { uri, .. } = place(&attempt) else {
                first.push(attempt);
                continue;
            };
            let targets = match Uri::parse(uri) {
                Ok(uri) => resolver.targets(&uri).await,
                Err(_) => Vec::new(),
            };
            let now = clock::now();
            let held = !targets.is_empty() && targets.iter().all(|t| resolver.is_held(t, now));
            if held { &mut last } else { &mut first }.push(attempt);
        }
        first.append(&mut last);
        first
    }
}

impl Reach {
    fn target_row(&self, target: &Target, now: Instant) -> Value {
        let seen = self.seen.get(&(target.transport, target.addr));
        let held = self
            .resolver
            .as_ref()
            .is_some_and(|resolver| resolver.is_held(target, now));
        let mut row = json!({
            "address": target.addr.to_string(),
            "transport": target.transport.uri_name(),
            "state": match seen {
                _ if held => "held_out",
                Some(seen) if seen.answered.is_some() => "works",
                Some(_) | None => "unknown",
            },
        });
        if let Some(at) = seen.and_then(|seen| seen.answered) {
            row["answered"] = json!(at.gregorian());
        }
        if let Some((at, why)) = seen.and_then(|seen| seen.failed) {
            row["failed"] = json!(at.gregorian());
            row["why"] = json!(why);
        }
        row
    }
}

impl GatewayPlace {
    fn new(gateway: &Gateway) -> Self {
        let transport = gateway.transport.as_deref();
        Self {
            account: String::new(),
            resource: String::new(),
            name: String::new(),
            n: 0,
            server: gateway.server.clone(),
            port: gateway.port,
            transport: transport.and_then(Transport::named),
            every: (gateway.options_seconds > 0)
                .then(|| Duration::from_secs(u64::from(gateway.options_seconds))),
        }
    }

    /// Its only target, when the document names an address.
    fn literal(&self) -> Option<Target> {
        let host = self.server.trim_matches(['[', ']']);
        let transport = self.transport.unwrap_or(Transport::Udp);
        let port = self.port.unwrap_or_else(|| transport.default_port());
        let addr = SocketAddr::new(host.parse().ok()?, port);
        Some(Target { transport, addr })
    }

    fn is_at(&self, target: Target) -> bool {
        self.literal() == Some(target)
    }
}

/// Every gateway in use, by the id its registration has, too.
fn gateways(directory: &Directory) -> BTreeMap<String, GatewayPlace> {
    let mut all = BTreeMap::new();
    for account in directory.accounts() {
        let trunks = account.trunks.values();
        for trunk in trunks.filter(|trunk| account.enabled && trunk.enabled) {
            let gateways = trunk.gateways.iter().enumerate();
            for (n, gateway) in gateways.filter(|(_, g)| g.enabled && !g.server.is_empty()) {
                let place = GatewayPlace {
                    account: account.id.to_string(),
                    resource: trunk.id.clone(),
                    name: trunk.name.clone(),
                    n,
                    ..GatewayPlace::new(gateway)
                };
                all.insert(format!("{}-{n}", trunk.id), place);
            }
        }
    }
    all
}

/// How often names of gateways are looked up that are never asked.
const LOOK_UP: Duration = Duration::from_secs(60);
/// Servers remembered.
const MOST_SEEN: usize = 4096;
/// Addresses of one gateway that are asked.
const MOST_TARGETS: usize = 8;
