//! Which addresses the server may be made to fetch from (`security.md` row 17).
//!
//! Asked three times: when a document is saved (host name and literal address), before each request, and by the HTTP
//! client's resolver for every address a name stands for. An address passes when no rule refuses it; rules, strongest
//! first: ports 22 and 25 and our own listeners; the runtime block list; `[pivot] allow` against `deny` (the narrower
//! network wins, a tie refuses); every range that is not globally routed. Nothing here resolves names.

mod ranges;

use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

pub use ranges::is_global;
use ranges::{Embedded, canonical, embedded, special};

/// An address or a network in CIDR notation, as configuration writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr(pub IpNet);

impl FromStr for Cidr {
    type Err = NotCidr;

    fn from_str(text: &str) -> Result<Self, NotCidr> {
        let net = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(|net| Self(net.trunc())).map_err(|_| NotCidr {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Text that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an IP address or CIDR network such as 10.0.0.0/8")]
pub struct NotCidr {
    /// The text.
    pub text: String,
}

/// `[pivot]`: which addresses callflow documents and web servers may make us fetch from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    /// Networks that may be fetched from although they are not globally routed. Empty by default.
    pub allow: Vec<Cidr>,
    /// Networks that may not be fetched from, besides every range that is not globally routed.
    pub deny: Vec<Cidr>,
    /// Host names that may not be fetched from; case and a final dot do not matter.
    pub deny_hosts: Vec<String>,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            deny_hosts: vec!["localhost".to_owned()],
        }
    }
}

/// One entry of the runtime block list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Block {
    /// A network or address.
    Ip(Cidr),
    /// A host name, lower case, without a final dot.
    Host(String),
}

impl Block {
    /// A host entry.
    pub fn host(name: &str) -> Self {
        Self::Host(plain_host(name))
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(net) => write!(f, "ip {net}"),
            Self::Host(name) => write!(f, "host {name}"),
        }
    }
}

/// Why an address may not be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address} may not be fetched from: {list}{}", remedy(setting))]
pub struct GuardError {
    /// The URL, host or address refused.
    pub address: String,
    /// The list or rule that refused it.
    pub list: String,
    /// The setting that would allow it; empty when none would.
    pub setting: String,
}

fn remedy(setting: &str) -> String {
    if setting.is_empty() {
        String::new()
    } else {
        format!("; {setting} would allow it")
    }
}

/// The rules in force. Shared; every method takes effect at once for everybody.
#[derive(Debug)]
pub struct Guard {
    rules: RwLock<Arc<Rules>>,
    generation: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct Rules {
    config: GuardConfig,
    blocks: Vec<Block>,
    listeners: Vec<SocketAddr>,
    open: bool,
}

impl Guard {
    /// A guard with these settings, no listeners and an empty block list.
    pub fn new(config: GuardConfig) -> Self {
        Self::with(Rules {
            config,
            ..Rules::default()
        })
    }

    /// A guard that refuses nothing: for URLs the operator configured, never for those of tenants.
    pub fn open() -> Self {
        Self::with(Rules {
            open: true,
            ..Rules::default()
        })
    }

    fn with(rules: Rules) -> Self {
        Self {
            rules: RwLock::new(Arc::new(rules)),
            generation: AtomicU64::new(0),
        }
    }

    /// Replaces the settings; the block list stays.
    pub fn configure(&self, config: GuardConfig) {
        self.change(|rules| rules.config = config);
    }

    /// The settings in force.
    pub fn config(&self) -> GuardConfig {
        self.rules().config.clone()
    }

    /// Sets our own listeners, which are never fetched from.
    pub fn set_listeners(&self, listeners: Vec<SocketAddr>) {
        self.change(|rules| rules.listeners = listeners);
    }

    /// Adds to the block list. `false` when it was there already.
    pub fn block(&self, block: Block) -> bool {
        let mut new = false;
        self.change(|rules| {
            new = !rules.blocks.contains(&block);
            if new {
                rules.blocks.push(block);
            }
        });
        new
    }

    /// Takes from the block list. `false` when it was not there.
    pub fn unblock(&self, block: &Block) -> bool {
        let mut found = false;
        self.change(|rules| {
            let before = rules.blocks.len();
            rules.blocks.retain(|b| b != block);
            found = rules.blocks.len() < before;
        });
        found
    }

    /// The block list.
    pub fn blocks(&self) -> Vec<Block> {
        self.rules().blocks.clone()
    }

    /// Counts changes of the rules: connections made under an older generation are not used again.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Checks URL text as documents hold it.
    ///
    /// # Errors
    /// When it is no URL, or [`check_url`](Self::check_url) refuses it.
    pub fn check_text(&self, text: &str) -> Result<(), GuardError> {
        let url = Url::parse(text).map_err(|error| GuardError {
            address: text.chars().take(200).collect(),
            list: format!("not a URL ({error})"),
            setting: String::new(),
        })?;
        self.check_url(&url)
    }

    /// Checks scheme, host name, port and, when the host is a literal address, the address.
    ///
    /// # Errors
    /// When a rule refuses it.
    pub fn check_url(&self, url: &Url) -> Result<(), GuardError> {
        let refuse = |list: &str| GuardError {
            address: format!("{}:", url.scheme()),
            list: list.to_owned(),
            setting: String::new(),
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("only http and https URLs are fetched"));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        match url.host() {
            None => Err(refuse("the URL has no host")),
            Some(Host::Ipv4(ip)) => self.check_addr(IpAddr::V4(ip), port),
            Some(Host::Ipv6(ip)) => self.check_addr(IpAddr::V6(ip), port),
            Some(Host::Domain(name)) => self.check_host(name, port),
        }
    }

    /// Checks a host name that is not a literal address.
    ///
    /// # Errors
    /// When a rule refuses it.
    pub fn check_host(&self, name: &str, port: u16) -> Result<(), GuardError> {
        let rules = self.rules();
        if rules.open {
            return Ok(());
        }
        let plain = plain_host(name);
        let refuse = |list: &str, setting: &str| GuardError {
            address: plain.clone(),
            list: list.to_owned(),
            setting: setting.to_owned(),
        };
        if plain.is_empty() {
            return Err(refuse("the host is empty", ""));
        }
        check_port(&plain, port)?;
        if rules
            .blocks
            .iter()
            .any(|b| matches!(b, Block::Host(h) if *h == plain))
        {
            return Err(refuse(
                "it is on the block list",
                &format!("`swivel unblock host {plain}`"),
            ));
        }
        if rules
            .config
            .deny_hosts
            .iter()
            .any(|h| plain_host(h) == plain)
        {
            return Err(refuse(
                "it is in `[pivot] deny_hosts`",
                "`[pivot] deny_hosts` without it",
            ));
        }
        Ok(())
    }

    /// Checks an address that is about to be connected to.
    ///
    /// # Errors
    /// When a rule refuses it.
    pub fn check_addr(&self, address: IpAddr, port: u16) -> Result<(), GuardError> {
        let rules = self.rules();
        if rules.open {
            return Ok(());
        }
        let address = canonical(address);
        check_port(&address, port)?;
        if rules.is_own(address, port) {
            return Err(GuardError {
                address: SocketAddr::new(address, port).to_string(),
                list: "it is a listener of this server".to_owned(),
                setting: String::new(),
            });
        }
        match embedded(address) {
            // What is routed by the address inside is judged by the address inside, too.
            Some(Embedded::Translated(inside)) => {
                rules.check_networks(address, address)?;
                rules.check_networks(IpAddr::V4(inside), address)
            }
            Some(Embedded::Tunnelled) | None => rules.check_networks(address, address),
        }
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut slot = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let mut rules = Rules::clone(&slot);
        change(&mut rules);
        *slot = Arc::new(rules);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new(GuardConfig::default())
    }
}

impl Rules {
    /// Judges `address` by the networks; `shown` is named in the error.
    fn check_networks(&self, address: IpAddr, shown: IpAddr) -> Result<(), GuardError> {
        let refuse = |list: String, setting: String| GuardError {
            address: shown.to_string(),
            list,
            setting,
        };
        let blocked = self.blocks.iter().find_map(|b| match b {
            Block::Ip(net) if net.0.contains(&address) => Some(net),
            _ => None,
        });
        if let Some(net) = blocked {
            let setting = format!("`swivel unblock ip {net}`");
            return Err(refuse(format!("{net} is on the block list"), setting));
        }
        let allowed = narrowest(&self.config.allow, address);
        let denied = narrowest(&self.config.deny, address);
        let setting = || format!("`[pivot] allow = [\"{}\"]`", IpNet::from(address));
        match (allowed, denied) {
            (Some(allow), Some(deny)) if allow.0.prefix_len() > deny.0.prefix_len() => Ok(()),
            (_, Some(deny)) => Err(refuse(format!("{deny} is in `[pivot] deny`"), setting())),
            (Some(_), None) => Ok(()),
            (None, None) => match special(address) {
                Some((net, name)) => Err(refuse(
                    format!("{net} ({name}) is denied unless `[pivot] allow` has it"),
                    setting(),
                )),
                None => Ok(()),
            },
        }
    }

    fn is_own(&self, address: IpAddr, port: u16) -> bool {
        self.listeners
            .iter()
            .filter(|l| l.port() == port)
            .any(|listener| {
                let own = canonical(listener.ip());
                own == address || (own.is_unspecified() && is_local(address))
            })
    }
}

fn check_port(address: &dyn fmt::Display, port: u16) -> Result<(), GuardError> {
    if FORBIDDEN_PORTS.contains(&port) {
        return Err(GuardError {
            address: format!("{address}:{port}"),
            list: format!("port {port} is never fetched from"),
            setting: String::new(),
        });
    }
    Ok(())
}

fn narrowest(nets: &[Cidr], address: IpAddr) -> Option<Cidr> {
    nets.iter()
        .filter(|net| net.0.contains(&address))
        .max_by_key(|net| net.0.prefix_len())
        .copied()
}

/// Whether the machine itself has the address: then a socket can be bound to it.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}

fn plain_host(name: &str) -> String {
    name.trim().trim_end_matches('.').to_ascii_lowercase()
}

/// Ports of services that answer in lines and could be made to misread a request: SSH and SMTP.
const FORBIDDEN_PORTS: [u16; 2] = [22, 25];

#[cfg(test)]
mod tests;
