//! TLS of web requests: as reqwest sets it up by itself, but it tells when a handshake begins, so that its time is told from
//! that of the connection.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::Verifier;

use super::names::STOPWATCH;
use crate::host::clock;

/// Servers whose sessions are remembered.
const SESSIONS: usize = 256;

/// Trusts what the machine trusts.
///
/// # Errors
/// When the machine has no certificate authorities.
pub(super) fn config(provider: Arc<CryptoProvider>) -> Result<ClientConfig, rustls::Error> {
    let verifier = Verifier::new(Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption =
        Resumption::store(Arc::new(Sessions(ClientSessionMemoryCache::new(SESSIONS))));
    Ok(config)
}

/// Remembers sessions. The first thing a handshake does is to ask what is remembered of the server.
#[derive(Debug)]
struct Sessions(ClientSessionMemoryCache);

fn begins() {
    if let Ok(stopwatch) = STOPWATCH.try_with(Clone::clone) {
        stopwatch.shakes_hands(clock::now());
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: rustls::NamedGroup) {
        self.0.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        begins();
        self.0.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server, value);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        begins();
        self.0.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server, value);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        begins();
        self.0.take_tls13_ticket(server)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;

    use super::*;
    use crate::host::http::{Exchange, HttpClient, HttpRequest, Outcome, Timing, Watch, Watcher};

    #[derive(Default)]
    struct Seen(Mutex<Option<Timing>>);

    impl Watch for Seen {
        fn asked(&self, _: &Exchange, _: &[(String, String)]) -> u64 {
            0
        }

        fn told(&self, _: u64, _: Outcome<'_>, timing: &Timing) {
            *self.0.lock().unwrap() = Some(*timing);
        }
    }

    #[tokio::test]
    async fn a_handshake_has_a_time_of_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let request = HttpRequest {
            watcher: Some(Watcher(seen.clone())),
            ..HttpRequest::get(url.parse().unwrap())
        };
        // Takes the hello and leaves.
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read(&mut [0; 64]).await.unwrap()
        };
        let client = HttpClient::unguarded(Handle::current());
        let (answer, hello) = tokio::join!(client.send(request), server);
        assert!(answer.is_err() && hello > 0);
        let timing = seen.0.lock().unwrap().unwrap();
        assert!(
            timing.connect.is_some() && timing.tls.is_some(),
            "{timing:?}"
        );
    }
}
