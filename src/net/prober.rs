//! Looks at a far server from outside of any call: where its name leads, whether its port answers, whether it proves who
//! it is. One question at a time, for the test of a trunk.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::dns::{ResolveError, Resolver};
use super::tls::Tls;
use crate::sip::flow::Transport;
use crate::sip::ua::Target;

/// Longest wait for a connection or a handshake.
const PATIENCE: Duration = Duration::from_secs(4);

/// Cheap to clone.
#[derive(Clone)]
pub struct Prober {
    resolver: Resolver,
    tls: Tls,
}

impl Prober {
    /// One that looks names up with `resolver` and trusts what `tls` trusts.
    pub fn new(resolver: Resolver, tls: Tls) -> Self {
        Self { resolver, tls }
    }

    /// Where a host leads, best first.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub async fn targets(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Option<Transport>,
    ) -> Result<Vec<Target>, ResolveError> {
        self.resolver.resolve(host, port, transport, false).await
    }

    /// Whether a TCP connection can be had.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn connects(&self, target: Target) -> Result<(), String> {
        self.open(target).await.map(drop)
    }

    /// Whether the server proves to be `host`.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn proves(&self, target: Target, host: &str) -> Result<(), String> {
        let stream = self.open(target).await?;
        match timeout(PATIENCE, self.tls.connect(host, stream)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no handshake within {} s", PATIENCE.as_secs())),
        }
    }

    async fn open(&self, target: Target) -> Result<TcpStream, String> {
        match timeout(PATIENCE, TcpStream::connect(target.addr)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err("nothing listens there".to_owned())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::base::rng::Rng;
    use crate::net::dns::Table;

    fn prober() -> Prober {
        let resolver = Resolver::fixed(Table::default(), Rng::seeded(1));
        Prober::new(resolver, Tls::client(None))
    }

    fn at(addr: SocketAddr) -> Target {
        Target {
            transport: Transport::Tls,
            addr,
        }
    }

    #[tokio::test]
    async fn a_port_that_listens_is_told_from_one_that_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        assert_eq!(prober().connects(at(open)).await, Ok(()));
        drop(listener);
        let refused = prober().connects(at(open)).await;
        assert_eq!(refused, Err("nothing listens there".to_owned()));
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls_proves_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closing = async {
            let (stream, _) = listener.accept().await.unwrap();
            drop(stream);
        };
        let prober = prober();
        let (proof, ()) = tokio::join!(prober.proves(at(open), "localhost"), closing);
        assert!(proof.is_err());
    }

    #[tokio::test]
    async fn an_address_leads_to_itself_and_an_unknown_name_nowhere() {
        let found = prober()
            .targets("127.0.0.1", Some(5070), Some(Transport::Udp))
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
        let nowhere = prober().targets("nobody.test", None, None).await;
        assert!(nowhere.is_err());
    }
}
