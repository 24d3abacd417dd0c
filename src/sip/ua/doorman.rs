//! Who may call. The endpoint asks; the directory answers.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::secret::Secret;

/// A caller whose identity is proven, by source address or by digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Id of the account.
    pub account: Arc<str>,
    /// Id of the device in that account.
    pub device: Arc<str>,
}

/// What the endpoint asks about strangers. Answers come from memory, at once.
pub trait Doorman {
    /// The device that is known by this source address (`sip.method` = `ip`).
    fn by_source(&self, source: IpAddr) -> Option<Principal>;

    /// The realm to challenge with for a request to `host`; `None` takes `EndpointConfig::default_realm`.
    fn realm(&self, host: &str) -> Option<Arc<str>>;

    /// The device with that digest user name in that realm, and its password.
    fn secret(&self, realm: &str, username: &str) -> Option<(Principal, Secret)>;
}
