//! `[sip]` of the configuration.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::sip::digest::Algorithm;
use crate::sip::flow::Transport;

/// What SIP listens on and how it shows itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SipConfig {
    /// Listeners, as `udp://ADDRESS:PORT`, or with `tcp`, `tls`, `ws`, `wss`; port 0 takes a free one.
    pub listen: Vec<ListenUrl>,
    /// Host (and port) to show to peers outside `local_nets`; empty shows the socket's own address.
    pub advertise: String,
    /// Origins of web pages that may connect by WebSocket, e.g. `https://phone.example.com`; `*` is every one. Pages
    /// this server shows itself may always.
    pub origins: Vec<String>,
    /// Networks that are reached directly, without the advertised address.
    pub local_nets: Vec<IpNet>,
    /// Product name in `User-Agent` and `Server`; empty sends none.
    pub user_agent: String,
    /// Digest algorithms callers are offered, in this order: `SHA-256`, `MD5`. Some old phones give up when `SHA-256` is
    /// among them.
    pub digest: Vec<Algorithm>,
    /// Session-Expires we ask for, in seconds (RFC 4028): 90 to 86,400.
    pub session_expires: u32,
    /// Smallest session interval we accept, in seconds: 90 or more.
    pub min_se: u32,
    /// Longest call, in seconds: 1 to 86,400.
    pub max_call_seconds: u32,
    /// Most calls at once; a further INVITE is answered 503.
    pub max_calls: usize,
    /// What a carrier is answered that calls a number no account has: 400 to 699.
    pub unknown_number_code: u16,
    /// Most server transactions at once.
    pub max_transactions: usize,
    /// Most server transactions at once from one source address.
    pub max_transactions_per_source: usize,
    /// Most stream connections at once.
    pub max_connections: usize,
    /// Most stream connections at once from one source address.
    pub max_connections_per_source: usize,
    /// Seconds a stream may take to complete a message.
    pub message_seconds: u32,
    /// Whether a request over 1300 bytes leaves by TCP instead of UDP (RFC 3261 §18.1.1).
    pub tcp_switch: bool,
    /// DSCP of SIP packets, 0–63 (24 is CS3).
    pub dscp: u8,
}

impl Default for SipConfig {
    fn default() -> Self {
        let url = |text: &str| ListenUrl::from_str(text).ok();
        Self {
            listen: [
                "udp://0.0.0.0:5060",
                "tcp://0.0.0.0:5060",
                "udp://[::]:5060",
                "tcp://[::]:5060",
            ]
            .iter()
            .filter_map(|text| url(text))
            .collect(),
            advertise: String::new(),
            origins: Vec::new(),
            local_nets: [
                "10.0.0.0/8",
                "172.16.0.0/12",
                "192.168.0.0/16",
                "127.0.0.0/8",
                "169.254.0.0/16",
                "::1/128",
                "fe80::/10",
                "fc00::/7",
            ]
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect(),
            user_agent: format!("swivel/{}", env!("CARGO_PKG_VERSION")),
            digest: vec![Algorithm::Sha256, Algorithm::Md5],
            session_expires: 1800,
            min_se: 90,
            max_call_seconds: 4 * 3600,
            max_calls: 10_000,
            unknown_number_code: 404,
            max_transactions: 200_000,
            max_transactions_per_source: 100_000,
            max_connections: 10_000,
            max_connections_per_source: 100,
            message_seconds: 30,
            tcp_switch: true,
            dscp: 24,
        }
    }
}

/// One listener: a transport and a socket address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenUrl {
    /// The transport.
    pub transport: Transport,
    /// The address to bind.
    pub address: SocketAddr,
}

/// Why a listener's text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenUrlError {
    /// No `scheme://`.
    #[error("`{0}` is not of the form transport://address:port")]
    Shape(String),
    /// A transport this build does not serve.
    #[error("`{0}` is not a transport; known are udp, tcp, tls, ws, wss")]
    Transport(String),
    /// Not an address and port.
    #[error("`{0}` is not an IP address and port")]
    Address(String),
}

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| ListenUrlError::Shape(text.into()))?;
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            "ws" => Transport::Ws,
            "wss" => Transport::Wss,
            _ => return Err(ListenUrlError::Transport(scheme.into())),
        };
        let address = rest
            .parse()
            .map_err(|_| ListenUrlError::Address(rest.into()))?;
        Ok(Self { transport, address })
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport.uri_name(), self.address)
    }
}

impl Serialize for ListenUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_reads_back_as_it_was_written() {
        for text in [
            "udp://127.0.0.1:5060",
            "tcp://[::1]:5070",
            "tls://127.0.0.1:5061",
            "ws://127.0.0.1:8080",
            "wss://[::1]:8443",
        ] {
            assert_eq!(text.parse::<ListenUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bad_listener_says_what_is_wrong() {
        assert!(matches!(
            "127.0.0.1:5060".parse::<ListenUrl>(),
            Err(ListenUrlError::Shape(_))
        ));
        assert!(matches!(
            "sctp://127.0.0.1:5060".parse::<ListenUrl>(),
            Err(ListenUrlError::Transport(_))
        ));
        assert!(matches!(
            "udp://localhost".parse::<ListenUrl>(),
            Err(ListenUrlError::Address(_))
        ));
    }

    #[test]
    fn the_defaults_listen_on_udp_and_tcp_of_both_families() {
        assert_eq!(SipConfig::default().listen.len(), 4);
        assert_eq!(SipConfig::default().local_nets.len(), 8);
    }
}
