//! `[tls]` of the configuration.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Certificates of SIP over TLS and secure WebSocket. Each value is a path of a PEM file, or the PEM text itself (by
/// `${file:PATH}` or `${env:NAME}`); only files are watched for changes.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate, followed by those up to its authority. Empty: a development certificate is made.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// Authorities trusted for outgoing connections, besides this machine's own.
    pub ca: String,
    /// Authorities whose client certificates are accepted. Empty: clients are not asked for one.
    pub client_ca: String,
    /// Whether a client without a certificate of `client_ca` is refused.
    pub client_required: bool,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| {
            if is_pem(text) {
                "PEM text".to_owned()
            } else {
                text.to_owned()
            }
        };
        f.debug_struct("TlsConfig")
            .field("certificate", &shown(&self.certificate))
            .field("key", &shown(&self.key))
            .field("ca", &shown(&self.ca))
            .field("client_ca", &shown(&self.client_ca))
            .field("client_required", &self.client_required)
            .finish()
    }
}

/// Whether a value is PEM text instead of a path.
pub(super) fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN ")
}
