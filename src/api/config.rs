//! `[http]`: where the API listens and what it limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address of the API, `/metrics` and `/healthz`.
    pub listen: SocketAddr,
    /// How others reach the API, for addresses told to them (`RecordingUrl`): `https://pbx.example.org`; empty: as it
    /// listens.
    pub public_url: String,
    /// Peers whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,
    /// Largest JSON body, in bytes.
    pub max_json: usize,
    /// Largest upload, in bytes.
    pub max_upload: usize,
    /// How long a token is good, in seconds.
    pub token_seconds: u64,
    /// What the realm of an account without one ends with.
    pub realm_suffix: String,
    /// Shortest secret of a device or user that is accepted, in characters; weaker ones than 12 are warned about.
    pub min_secret: usize,
    /// How many requests a client may make.
    pub rate: RateConfig,
}

/// `[http.rate]`: a token bucket for each client address and account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateConfig {
    /// Requests at once with a valid token.
    pub burst: u32,
    /// Requests a second with a valid token.
    pub per_second: u32,
    /// Requests at once without a token.
    pub anonymous_burst: u32,
    /// Requests a second without a token.
    pub anonymous_per_second: u32,
    /// Requests a login counts as.
    pub login_cost: u32,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            public_url: String::new(),
            proxies: vec![IpAddr::from(Ipv4Addr::LOCALHOST)],
            max_json: 1 << 20,
            max_upload: 8_000_000,
            token_seconds: 3600,
            realm_suffix: "sip.swivel.local".to_owned(),
            min_secret: 0,
            rate: RateConfig::default(),
        }
    }
}

impl Default for RateConfig {
    fn default() -> Self {
        Self {
            burst: 1000,
            per_second: 200,
            anonymous_burst: 100,
            anonymous_per_second: 10,
            login_cost: 35,
        }
    }
}
