//! TLS 1.2 and 1.3 of SIP connections: which certificate is shown, who is believed.
//!
//! - `config`: `[tls]`.
//! - `certificate`: reads certificates and keys, judges names and dates.
//! - `development`: the certificate made when none is configured.
//! - here: what both sides of a handshake use now, exchanged as a whole on reload; running connections keep theirs.

mod certificate;
mod config;
mod development;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::host::{clock, task};
use certificate::{SOON, certificates, private_key};

pub use certificate::{About, TlsError};
pub use config::TlsConfig;

/// Where development certificates are kept, and what they are for.
#[derive(Debug, Clone)]
pub struct Development {
    /// The directory.
    pub dir: PathBuf,
    /// Names and addresses of this server.
    pub names: Vec<String>,
}

/// The TLS of one server. A clone is another handle.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    config: Mutex<TlsConfig>,
    development: Option<Development>,
    server: RwLock<Option<Arc<ServerConfig>>>,
    /// Made at the first outgoing connection: reading a machine's authorities takes a moment.
    client: Mutex<Option<Arc<ClientConfig>>>,
    /// The files as they were read.
    seen: Mutex<Vec<Stamp>>,
}

type Stamp = (PathBuf, Option<(SystemTime, u64)>);

impl Tls {
    /// TLS by `config`. With `development` there is a server's side too, made up when none is configured.
    ///
    /// # Errors
    /// When a certificate, key or list of authorities cannot be used.
    pub fn new(config: TlsConfig, development: Option<Development>) -> Result<Self, TlsError> {
        let tls = Self(Arc::new(Inner {
            config: Mutex::new(config.clone()),
            development,
            server: RwLock::default(),
            client: Mutex::default(),
            seen: Mutex::default(),
        }));
        tls.take(config)?;
        Ok(tls)
    }

    /// TLS of a client that believes this machine's authorities, and those in the file `ca`.
    pub fn client(ca: Option<&Path>) -> Self {
        let config = TlsConfig {
            ca: ca
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
            ..TlsConfig::default()
        };
        Self(Arc::new(Inner {
            config: Mutex::new(config),
            development: None,
            server: RwLock::default(),
            client: Mutex::default(),
            seen: Mutex::default(),
        }))
    }

    /// Takes `config` for new handshakes. On an error everything stays as it was.
    ///
    /// # Errors
    /// When a certificate, key or list of authorities cannot be used.
    pub fn take(&self, config: TlsConfig) -> Result<(), TlsError> {
        let seen = stamps(&config);
        let server = match &self.0.development {
            Some(development) => Some(Arc::new(server_config(&config, development)?)),
            None => None,
        };
        if !config.ca.is_empty() {
            certificates("ca", &config.ca)?;
        }
        *self
            .0
            .server
            .write()
            .unwrap_or_else(PoisonError::into_inner) = server;
        *self.0.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        *self.0.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Reads the files again when one of them has changed; never ends.
    pub async fn watch(self) {
        loop {
            tokio::time::sleep(WATCH).await;
            let tls = self.clone();
            task::blocking("tls-reload", move || tls.look_again()).await;
        }
    }

    /// Reads the files again when one of them has changed. Whether it did.
    fn look_again(&self) -> bool {
        let config = self.config();
        let now = stamps(&config);
        let changed = {
            let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = *seen != now;
            // A half-written pair is refused below and read again when its other half changes.
            *seen = now;
            changed
        };
        if !changed {
            return false;
        }
        match self.take(config) {
            Ok(()) => tracing::info!("certificates reread"),
            Err(error) => tracing::error!(%error, "the changed certificates were not taken"),
        }
        true
    }

    fn config(&self) -> TlsConfig {
        let config = self.0.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.clone()
    }

    /// The server's side of a handshake.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<server::TlsStream<TcpStream>, TlsError> {
        let config = {
            let server = self.0.server.read().unwrap_or_else(PoisonError::into_inner);
            server.clone().ok_or(TlsError::NotServed)?
        };
        let accepted = TlsAcceptor::from(config).accept(stream).await;
        accepted.map_err(TlsError::Handshake)
    }

    /// The client's side: the peer must prove to be `host`.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<client::TlsStream<TcpStream>, TlsError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Host {
            host: host.to_owned(),
        })?;
        let tls = self.clone();
        let config = match self.known_client() {
            Some(config) => config,
            None => task::blocking("tls-roots", move || tls.make_client())
                .await
                .ok_or(TlsError::NotServed)??,
        };
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(TlsError::Handshake)
    }

    fn known_client(&self) -> Option<Arc<ClientConfig>> {
        let client = self.0.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.clone()
    }

    fn make_client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let made = Arc::new(client_config(&self.config())?);
        let mut client = self.0.client.lock().unwrap_or_else(PoisonError::into_inner);
        *client = Some(made.clone());
        Ok(made)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// What `[tls]` would serve with: the server's certificate, checked against its key; `None` when none is configured.
///
/// # Errors
/// When something in `[tls]` cannot be used.
pub fn examine(config: &TlsConfig) -> Result<Option<About>, TlsError> {
    if !config.ca.is_empty() {
        certificates("ca", &config.ca)?;
    }
    if !config.client_ca.is_empty() {
        roots_of("client_ca", &config.client_ca)?;
    }
    match pair(config)? {
        Some((certificate, key)) => {
            serve_with(config, &certificate, &key)?;
            let first = certificates("certificate", &certificate)?;
            let about = first.first().and_then(About::read);
            about.map(Some).ok_or(TlsError::Unreadable {
                field: "certificate",
            })
        }
        None => Ok(None),
    }
}

/// The configured certificate and key.
fn pair(config: &TlsConfig) -> Result<Option<(String, String)>, TlsError> {
    match (config.certificate.is_empty(), config.key.is_empty()) {
        (true, true) => Ok(None),
        (false, true) => Err(TlsError::Half { missing: "key" }),
        (true, false) => Err(TlsError::Half {
            missing: "certificate",
        }),
        (false, false) => Ok(Some((config.certificate.clone(), config.key.clone()))),
    }
}

fn server_config(config: &TlsConfig, development: &Development) -> Result<ServerConfig, TlsError> {
    let now = unix_now();
    let (certificate, key) = match pair(config)? {
        Some(pair) => pair,
        None => {
            let (certificate, key) = development::paths(&development.dir);
            let made = development::ensure(&development.dir, &development.names, now)?;
            tracing::warn!(
                certificate = %certificate.display(), names = ?development.names, made,
                "tls.certificate is empty: serving with a development certificate, which peers refuse unless they are told to trust it"
            );
            (certificate.display().to_string(), key.display().to_string())
        }
    };
    let served = serve_with(config, &certificate, &key)?;
    if let Some(about) = certificates("certificate", &certificate)?
        .first()
        .and_then(About::read)
    {
        let days = about.days_left(now);
        if days < SOON {
            tracing::warn!(days, names = ?about.names, "the TLS certificate needs renewal");
        }
    }
    Ok(served)
}

fn serve_with(config: &TlsConfig, certificate: &str, key: &str) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Refused {
            field: "certificate",
            source,
        })?;
    let builder = if config.client_ca.is_empty() {
        builder.with_no_client_auth()
    } else {
        let roots = Arc::new(roots_of("client_ca", &config.client_ca)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let verifier = if config.client_required {
            verifier
        } else {
            verifier.allow_unauthenticated()
        };
        builder.with_client_cert_verifier(verifier.build().map_err(TlsError::Clients)?)
    };
    let chain = certificates("certificate", certificate)?;
    builder
        .with_single_cert(chain, private_key("key", key)?)
        .map_err(|source| TlsError::Refused {
            field: "key",
            source,
        })
}

fn client_config(config: &TlsConfig) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    let machine = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(machine.certs);
    tracing::debug!(
        authorities = roots.len(),
        unusable,
        "read the machine's certificate authorities"
    );
    if !config.ca.is_empty() {
        for der in certificates("ca", &config.ca)? {
            roots.add(der).map_err(|source| TlsError::Refused {
                field: "ca",
                source,
            })?;
        }
    }
    if roots.is_empty() {
        tracing::warn!(
            "no certificate authorities on this machine and none in tls.ca: every outgoing TLS connection will fail"
        );
    }
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Refused {
            field: "ca",
            source,
        })?
        .with_root_certificates(roots);
    match pair(config)? {
        // Shown to trunks that ask for one.
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                certificates("certificate", &certificate)?,
                private_key("key", &key)?,
            )
            .map_err(|source| TlsError::Refused {
                field: "key",
                source,
            }),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn roots_of(field: &'static str, value: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for der in certificates(field, value)? {
        roots
            .add(der)
            .map_err(|source| TlsError::Refused { field, source })?;
    }
    Ok(roots)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The files of `config` with their time and length.
fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    let values = [
        &config.certificate,
        &config.key,
        &config.ca,
        &config.client_ca,
    ];
    values
        .into_iter()
        .filter(|value| !value.is_empty() && !config::is_pem(value))
        .map(|value| {
            let path = PathBuf::from(value);
            let stamp = std::fs::metadata(&path)
                .ok()
                .and_then(|file| Some((file.modified().ok()?, file.len())));
            (path, stamp)
        })
        .collect()
}

/// Seconds since 1970.
pub fn unix_now() -> i64 {
    i64::try_from(clock::unix_now().0 / 1_000_000).unwrap_or(i64::MAX)
}

/// How often the files are looked at.
const WATCH: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
