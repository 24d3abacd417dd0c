//! Listeners and settings of an `Endpoint`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::sip::digest::Algorithm;
use crate::sip::flow::Transport;
use crate::sip::gate::Rate;

/// One address we listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What it carries.
    pub transport: Transport,
    /// The socket's own address. It may be unspecified (`0.0.0.0`); see `Endpoint::set_route_lookup`.
    pub local: SocketAddr,
    /// Host and port to write in Via and Contact towards peers outside `EndpointConfig::local_nets`.
    pub advertise: Option<(String, u16)>,
}

/// When a provisional response of ours is sent reliably (RFC 3262). A peer that requires 100rel always gets it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reliable {
    /// Only for peers that require it.
    #[default]
    WhenRequired,
    /// Also for peers that merely support it.
    WhenSupported,
}

/// Settings of an `Endpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Value of `User-Agent` and `Server`; none by default, so that scanners learn nothing.
    pub user_agent: Option<String>,
    /// Session interval we ask for and the longest we grant (RFC 4028). Default 1800 s.
    pub session_expires: Duration,
    /// Shortest session interval we accept. Default and lowest 90 s.
    pub min_se: Duration,
    /// When provisional responses are reliable.
    pub reliable: Reliable,
    /// Most transactions at once; past it a new INVITE gets 503.
    pub max_transactions: usize,
    /// Most transactions at once from one source address.
    pub max_transactions_per_source: usize,
    /// Most INVITE usages at once.
    pub max_legs: usize,
    /// Whether a UDP request above 1300 bytes goes over TCP instead (RFC 3261 §18.1.1).
    pub tcp_switch: bool,
    /// Whether callers must prove who they are. Off only for endpoints that serve nobody (the command-line caller).
    pub authenticate: bool,
    /// Whether REGISTER and SUBSCRIBE are taken; they come out as `SipEvent::Request`.
    pub registrar: bool,
    /// Wrong passwords for one name and realm an hour before answers to further ones are held back for a second.
    pub failures_per_hour: u32,
    /// The realm of challenges when the doorman names none.
    pub default_realm: Arc<str>,
    /// How long a nonce of ours may be used.
    pub nonce_lifetime: Duration,
    /// Digest algorithms callers are offered, in this order.
    pub digest: Vec<Algorithm>,
    /// How many requests a source may send before anybody reads them; sources known by address are not held back.
    pub source_rate: Rate,
    /// OPTIONS of strangers answered a second; the burst is twice that.
    pub stranger_options_per_second: u32,
    /// Retry-After of the 503 for capacity.
    pub retry_after: Duration,
    /// Networks whose peers get our own address instead of the advertised one.
    pub local_nets: Vec<IpNet>,
    /// Whether it is reported how servers fare (`SipEvent::Reached`).
    pub watch: bool,
    /// Whether each message sent or received is reported as `SipEvent::Trace`.
    pub trace: bool,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            user_agent: None,
            session_expires: Duration::from_secs(1800),
            min_se: Duration::from_secs(90),
            reliable: Reliable::default(),
            max_transactions: 400_000,
            max_transactions_per_source: 200_000,
            max_legs: 50_000,
            tcp_switch: true,
            authenticate: true,
            registrar: false,
            failures_per_hour: 20,
            default_realm: "swivel".into(),
            nonce_lifetime: Duration::from_secs(60),
            digest: vec![Algorithm::Sha256, Algorithm::Md5],
            source_rate: Rate {
                per_second: 100,
                burst: 400,
            },
            stranger_options_per_second: 50,
            retry_after: Duration::from_secs(5),
            local_nets: Vec::new(),
            watch: false,
            trace: false,
        }
    }
}
