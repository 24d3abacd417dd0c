//! Whom `swivel call` calls: the target as typed, and where the call is sent.

use std::net::SocketAddr;

use tokio::runtime::Handle;

use crate::base::rng::Rng;
use crate::net::dns::{DnsConfig, NameServer, ResolveError, Resolver};
use crate::sip::flow::Transport;
use crate::sip::ua::Target;

/// A parsed target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The number or user name.
    pub user: String,
    /// The host of the Request-URI, without port.
    pub host: String,
    /// The port of the Request-URI, where given.
    pub port: Option<u16>,
    /// The host the call is sent to, and the port where given.
    pub hop: (String, Option<u16>),
    /// What carries it; `None` leaves it to DNS, and is UDP where that says nothing.
    pub transport: Option<Transport>,
    /// Whether the target was `sips:`.
    pub secure: bool,
}

/// Why a target was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// There is no user part.
    #[error("{target}: a target is a number, NUMBER@HOST[:PORT] or sip:NUMBER@HOST[:PORT]")]
    Shape {
        /// As typed.
        target: String,
    },
    /// The port is no port.
    #[error("{text}: the port must be a number between 1 and 65535")]
    Port {
        /// The text around it.
        text: String,
    },
    /// This machine has no way to the address.
    #[error("{remote}: no route to this address")]
    NoRoute {
        /// The address.
        remote: SocketAddr,
    },
    /// The host leads nowhere.
    #[error(transparent)]
    Lookup(#[from] ResolveError),
    /// The host cannot be resolved.
    #[error("{host}: no address is known for this host")]
    Unresolved {
        /// The host.
        host: String,
    },
}

impl Destination {
    /// Parses `target`; `via` overrides where the call goes, `over` what carries it.
    ///
    /// # Errors
    /// When the target has no user part, or a port is no port.
    pub fn parse(
        target: &str,
        via: Option<&str>,
        over: Option<Transport>,
    ) -> Result<Self, TargetError> {
        let shape = || TargetError::Shape {
            target: target.to_owned(),
        };
        let secure = target.strip_prefix("sips:");
        let bare = secure.or(target.strip_prefix("sip:")).unwrap_or(target);
        let (bare, parameters) = bare.split_once(';').unwrap_or((bare, ""));
        let named = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("transport").then_some(value)
        });
        let asked = over.or(named.and_then(Transport::named));
        let transport = match (asked, secure) {
            (Some(Transport::Ws), Some(_)) => Some(Transport::Wss),
            (None | Some(Transport::Udp | Transport::Tcp), Some(_)) => Some(Transport::Tls),
            (asked, _) => asked,
        };
        let (user, own) = match bare.rsplit_once('@') {
            Some((user, host)) => (user, Some(host_port(host)?)),
            None => (bare, None),
        };
        if user.is_empty() || user.contains([' ', '<', '>', '"']) || user.contains(char::is_control)
        {
            return Err(shape());
        }
        let via = via.map(host_port).transpose()?;
        let (host, port) = match (&own, &via) {
            (Some(own), _) => own.clone(),
            (None, Some(via)) => via.clone(),
            (None, None) => ("127.0.0.1".to_owned(), None),
        };
        if host.is_empty() {
            return Err(shape());
        }
        let hop = via.unwrap_or_else(|| (host.clone(), port));
        Ok(Self {
            user: user.to_owned(),
            host,
            port,
            hop,
            transport,
            secure: secure.is_some(),
        })
    }

    /// The Request-URI.
    pub fn uri(&self) -> String {
        let scheme = if self.secure { "sips" } else { "sip" };
        let mut uri = format!("{scheme}:{}@{}", self.user, bracketed(&self.host));
        if let Some(port) = self.port {
            uri.push_str(&format!(":{port}"));
        }
        match self.transport {
            None | Some(Transport::Udp) => {}
            Some(Transport::Tls) if self.secure => {}
            Some(Transport::Tcp) => uri.push_str(";transport=tcp"),
            Some(Transport::Tls) => uri.push_str(";transport=tls"),
            // RFC 7118 §5.2 knows one name for both.
            Some(Transport::Ws | Transport::Wss) => uri.push_str(";transport=ws"),
        }
        uri
    }

    /// The Request-URI of a REGISTER at the same place: the same without a user.
    pub fn registrar(&self) -> String {
        self.uri()
            .replacen(&format!("sip:{}@", self.user), "sip:", 1)
            .replacen(&format!("sips:{}@", self.user), "sips:", 1)
    }

    /// The address of record of a user at the same host.
    pub fn address_of(&self, user: &str) -> String {
        let scheme = if self.secure { "sips" } else { "sip" };
        format!("{scheme}:{user}@{}", bracketed(&self.host))
    }

    /// Somebody else: a number or user name at the same host, or whoever `target` names in full.
    ///
    /// # Errors
    /// As `parse`.
    pub fn beside(&self, target: &str) -> Result<Self, TargetError> {
        let bare = target.strip_prefix("sips:").or(target.strip_prefix("sip:"));
        let other = Self::parse(target, None, self.transport)?;
        if bare.unwrap_or(target).contains('@') {
            return Ok(Self {
                hop: self.hop.clone(),
                ..other
            });
        }
        Ok(Self {
            user: other.user,
            ..self.clone()
        })
    }

    /// The first hop, as RFC 3263 has it; IPv4 first where a name has both. `servers` are asked instead of this
    /// machine's.
    ///
    /// # Errors
    /// When the name leads nowhere.
    pub async fn resolve(&self, servers: &[NameServer], rng: Rng) -> Result<Target, TargetError> {
        let (host, port) = &self.hop;
        let config = DnsConfig {
            servers: servers.to_vec(),
            ..DnsConfig::default()
        };
        let resolver = Resolver::new(&config, Handle::current(), rng)?;
        let found = resolver.resolve(host, *port, self.transport, self.secure);
        let found = found.await?.first().copied();
        found.ok_or_else(|| TargetError::Unresolved { host: host.clone() })
    }
}

/// `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`.
fn host_port(text: &str) -> Result<(String, Option<u16>), TargetError> {
    let bad = || TargetError::Port {
        text: text.to_owned(),
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(bad)?;
            (host, after.strip_prefix(':'))
        }
        None if text.matches(':').count() > 1 => (text, None),
        None => text
            .split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port
        .map(|p| p.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(bad))
        .transpose()?;
    Ok((host.to_owned(), port))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_at_the_same_place_unless_they_say_where() {
        let ben = Destination::parse("ben@pbx.test:5070", Some("10.0.0.1"), None).unwrap();
        assert_eq!(ben.registrar(), "sip:pbx.test:5070");
        assert_eq!(ben.address_of("ann"), "sip:ann@pbx.test");
        assert_eq!(ben.beside("1002").unwrap().uri(), "sip:1002@pbx.test:5070");
        let far = ben.beside("sip:1002@far.test").unwrap();
        assert_eq!(
            (far.uri().as_str(), far.hop),
            ("sip:1002@far.test", ben.hop)
        );
    }

    fn parsed(target: &str, via: Option<&str>) -> (String, String) {
        let d = Destination::parse(target, via, None).unwrap();
        let port = d.hop.1.map(|p| format!(":{p}")).unwrap_or_default();
        (d.uri(), format!("{}{port}", d.hop.0))
    }

    #[test]
    fn a_bare_number_goes_to_this_machine_or_to_via() {
        assert_eq!(
            parsed("2030", None),
            ("sip:2030@127.0.0.1".into(), "127.0.0.1".into())
        );
        assert_eq!(
            parsed("2030", Some("pbx:5070")),
            ("sip:2030@pbx:5070".into(), "pbx:5070".into())
        );
    }

    #[test]
    fn via_leaves_the_request_uri_alone() {
        let (uri, hop) = parsed("sip:2030@demo.test", Some("127.0.0.1:5080"));
        assert_eq!(
            (uri.as_str(), hop.as_str()),
            ("sip:2030@demo.test", "127.0.0.1:5080")
        );
    }

    #[test]
    fn transport_comes_from_the_flag_or_the_uri() {
        let by_uri = Destination::parse("sip:1@h:5061;transport=TCP", None, None).unwrap();
        assert_eq!(by_uri.transport, Some(Transport::Tcp));
        assert_eq!(
            Destination::parse("1@h", None, Some(Transport::Tcp))
                .unwrap()
                .uri(),
            "sip:1@h;transport=tcp"
        );
        let secure = Destination::parse("sips:1@h", None, None).unwrap();
        assert_eq!(secure.transport, Some(Transport::Tls));
        assert_eq!(secure.uri(), "sips:1@h");
        let web = Destination::parse("1@h:8443", None, Some(Transport::Wss)).unwrap();
        assert_eq!(web.uri(), "sip:1@h:8443;transport=ws");
    }

    #[test]
    fn ipv6_hosts_keep_their_brackets() {
        assert_eq!(
            parsed("1@[::1]:5070", None),
            ("sip:1@[::1]:5070".into(), "::1:5070".into())
        );
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for bad in ["", "sip:@host", "1@", "a b@host"] {
            assert!(
                matches!(
                    Destination::parse(bad, None, None),
                    Err(TargetError::Shape { .. })
                ),
                "{bad:?}"
            );
        }
        assert!(matches!(
            Destination::parse("1@h:0", None, None),
            Err(TargetError::Port { .. })
        ));
        assert!(matches!(
            Destination::parse("1@h:x", None, None),
            Err(TargetError::Port { .. })
        ));
    }
}
