//! Where a SIP URI leads (RFC 3263 §4, RFC 2782, RFC 7118 §5): which questions are asked and in which order the answers
//! are tried. Pure: the lookups and the randomness are handed in.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

use futures_util::future::{BoxFuture, join_all};

use crate::base::rng::Rng;
use crate::sip::flow::Transport;
use crate::sip::ua::Target;

/// A URI's host with what else decides where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The host: a name or an address.
    pub host: String,
    /// The port, where given.
    pub port: Option<u16>,
    /// The `transport` parameter, or what is configured.
    pub transport: Option<Transport>,
    /// Whether the scheme is `sips`.
    pub secure: bool,
}

/// One NAPTR record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    /// Lower first.
    pub order: u16,
    /// Lower first among equals.
    pub preference: u16,
    /// What the replacement is; `s` is a name for SRV.
    pub flags: String,
    /// The service, e.g. `SIP+D2U`.
    pub service: String,
    /// The name to ask next.
    pub replacement: String,
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// Lower first.
    pub priority: u16,
    /// How often it is first among equals.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` says that the service is not offered.
    pub target: String,
}

/// Why a lookup gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no such record.
    None,
    /// Nobody could say.
    Failed(String),
}

/// What answers questions about names.
pub trait Lookup: Send + Sync {
    /// NAPTR records of `name`.
    fn naptr(&self, name: String) -> BoxFuture<'_, Result<Vec<Naptr>, NoAnswer>>;
    /// SRV records of `name`.
    fn srv(&self, name: String) -> BoxFuture<'_, Result<Vec<Srv>, NoAnswer>>;
    /// Addresses of `name`, aliases followed.
    fn addresses(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, NoAnswer>>;
}

/// Why a URI leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The name has no address.
    #[error("{host} has no address")]
    Unknown {
        /// The host.
        host: String,
    },
    /// Nobody could say where the name leads.
    #[error("{host} could not be looked up: {why}")]
    Failed {
        /// The host.
        host: String,
        /// What the name servers said.
        why: String,
    },
    /// `sips` cannot go over that transport.
    #[error("sips does not go over {}", .transport.uri_name())]
    Insecure {
        /// The transport asked for.
        transport: Transport,
    },
}

/// The targets of `question` in the order they are to be tried.
pub(super) async fn targets(
    lookup: &dyn Lookup,
    question: &Question,
    rng: &mut Rng,
) -> Result<Vec<Target>, ResolveError> {
    let host = question.host.trim_matches(['[', ']']).trim_end_matches('.');
    let fixed = fixed_transport(question)?;
    let plain = fixed.unwrap_or(if question.secure {
        Transport::Tls
    } else {
        Transport::Udp
    });
    let port = question.port.unwrap_or(plain.default_port());
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![Target {
            transport: plain,
            addr: SocketAddr::new(ip, port),
        }]);
    }
    let mut found = Found::default();
    if question.port.is_none() {
        match fixed {
            Some(transport) => {
                if let Some(name) = srv_name(transport, host) {
                    found.services(lookup, vec![(transport, name)], rng).await;
                }
            }
            None => {
                let mut services = found.naptr(lookup, host, question.secure).await;
                if services.is_empty() {
                    let all: &[Transport] = if question.secure {
                        &[Transport::Tls]
                    } else {
                        &[Transport::Udp, Transport::Tcp, Transport::Tls]
                    };
                    let named =
                        |transport: &Transport| Some((*transport, srv_name(*transport, host)?));
                    services = all.iter().filter_map(named).collect();
                }
                found.services(lookup, services, rng).await;
            }
        }
    }
    if found.targets.is_empty() && !found.has_services {
        // §4.2: without SRV the host's own addresses, at the given or the usual port.
        found.addresses(lookup, host, plain, port).await;
    }
    found.finish(host)
}

/// The transport the question leaves no choice about.
fn fixed_transport(question: &Question) -> Result<Option<Transport>, ResolveError> {
    match (question.transport, question.secure) {
        // `transport` names what is below TLS (RFC 3261 §26.2.2).
        (Some(Transport::Tcp | Transport::Tls), true) => Ok(Some(Transport::Tls)),
        (Some(Transport::Ws | Transport::Wss), true) => Ok(Some(Transport::Wss)),
        (Some(transport @ Transport::Udp), true) => Err(ResolveError::Insecure { transport }),
        (transport, _) => Ok(transport),
    }
}

/// The name of a transport's SRV records. WebSocket has none of its own (RFC 7118 §5.3 knows NAPTR only).
fn srv_name(transport: Transport, host: &str) -> Option<String> {
    match transport {
        Transport::Udp => Some(format!("_sip._udp.{host}")),
        Transport::Tcp => Some(format!("_sip._tcp.{host}")),
        Transport::Tls => Some(format!("_sips._tcp.{host}")),
        Transport::Ws | Transport::Wss => None,
    }
}

/// The transport of a NAPTR service (RFC 3263 §4.1, RFC 7118 §5.3).
fn service_transport(service: &str) -> Option<Transport> {
    let known = [
        ("SIP+D2U", Transport::Udp),
        ("SIP+D2T", Transport::Tcp),
        ("SIPS+D2T", Transport::Tls),
        ("SIP+D2W", Transport::Ws),
        ("SIPS+D2W", Transport::Wss),
    ];
    let found = known
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(service));
    found.map(|(_, transport)| *transport)
}

/// What was found so far.
#[derive(Default)]
struct Found {
    targets: Vec<Target>,
    /// Whether there were SRV records at all, be it only to say that the service is not offered.
    has_services: bool,
    failed: Option<String>,
}

impl Found {
    /// The services NAPTR offers, best first.
    async fn naptr(
        &mut self,
        lookup: &dyn Lookup,
        host: &str,
        secure: bool,
    ) -> Vec<(Transport, String)> {
        let mut records = match lookup.naptr(host.to_owned()).await {
            Ok(records) => records,
            Err(error) => {
                self.note(error);
                Vec::new()
            }
        };
        records.sort_by_key(|record| (record.order, record.preference));
        let usable = records.into_iter().filter_map(|record| {
            let transport = service_transport(&record.service)?;
            let terminal = record.flags.eq_ignore_ascii_case("s");
            (terminal && (transport.is_secure() || !secure))
                .then_some((transport, record.replacement))
        });
        usable.take(MOST).collect()
    }

    /// The hosts of services, service by service.
    async fn services(
        &mut self,
        lookup: &dyn Lookup,
        services: Vec<(Transport, String)>,
        rng: &mut Rng,
    ) {
        let asked = services.iter().map(|(_, name)| lookup.srv(name.clone()));
        let answers = join_all(asked).await;
        let mut hosts = Vec::new();
        for ((transport, _), answer) in services.into_iter().zip(answers) {
            match answer {
                Ok(records) => {
                    self.has_services |= !records.is_empty();
                    for record in in_order(records, rng) {
                        if record.target != "." && !record.target.is_empty() {
                            hosts.push((transport, record));
                        }
                    }
                }
                Err(error) => self.note(error),
            }
        }
        hosts.truncate(MOST);
        let asked = hosts
            .iter()
            .map(|(_, record)| lookup.addresses(record.target.trim_end_matches('.').to_owned()));
        let answers = join_all(asked).await;
        for ((transport, record), answer) in hosts.into_iter().zip(answers) {
            self.take(answer, transport, record.port);
        }
    }

    async fn addresses(
        &mut self,
        lookup: &dyn Lookup,
        host: &str,
        transport: Transport,
        port: u16,
    ) {
        let answer = lookup.addresses(host.to_owned()).await;
        self.take(answer, transport, port);
    }

    fn take(&mut self, answer: Result<Vec<IpAddr>, NoAnswer>, transport: Transport, port: u16) {
        match answer {
            Ok(mut addresses) => {
                addresses.sort_by_key(IpAddr::is_ipv6);
                for ip in addresses {
                    let target = Target {
                        transport,
                        addr: SocketAddr::new(ip, port),
                    };
                    if self.targets.len() < MOST && !self.targets.contains(&target) {
                        self.targets.push(target);
                    }
                }
            }
            Err(error) => self.note(error),
        }
    }

    fn note(&mut self, error: NoAnswer) {
        if let NoAnswer::Failed(why) = error {
            self.failed.get_or_insert(why);
        }
    }

    fn finish(self, host: &str) -> Result<Vec<Target>, ResolveError> {
        let host = host.to_owned();
        match (self.targets.is_empty(), self.failed) {
            (false, _) => Ok(self.targets),
            (true, Some(why)) => Err(ResolveError::Failed { host, why }),
            (true, None) => Err(ResolveError::Unknown { host }),
        }
    }
}

/// SRV records in the order to try them (RFC 2782): by priority; among equals by lot, in proportion to their weights.
pub(super) fn in_order(mut records: Vec<Srv>, rng: &mut Rng) -> Vec<Srv> {
    // Those of weight 0 come first within their priority, which leaves them a small chance.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let equals = records.iter().take_while(|r| r.priority == priority);
        let total: u64 = equals.map(|record| u64::from(record.weight)).sum();
        let lot = rng.below(total + 1);
        let mut sum = 0;
        let drawn = records.iter().position(|record| {
            sum += u64::from(record.weight);
            sum >= lot
        });
        ordered.push(records.remove(drawn.unwrap_or(0)));
    }
    ordered
}

/// `targets` with those `held` last, otherwise as they were: a target that failed is tried when nothing else is left.
pub(super) fn held_last(mut targets: Vec<Target>, held: impl Fn(&Target) -> bool) -> Vec<Target> {
    targets.sort_by_key(|target| Reverse(!held(target)));
    targets
}

/// Most services, hosts and targets of one name (`security.md` row 34).
const MOST: usize = 20;
