//! Whom `swivel call` calls: the target as typed, and where the call is sent.

use std::net::SocketAddr;

use crate::sip::flow::Transport;

/// A parsed target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The number or user name.
    pub user: String,
    /// The host of the Request-URI, without port.
    pub host: String,
    /// The port of the Request-URI, where given.
    pub port: Option<u16>,
    /// The host and port the call is sent to.
    pub hop: (String, u16),
    /// What carries it.
    pub transport: Transport,
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
        let by_uri = match named.map(str::to_ascii_lowercase).as_deref() {
            Some("tcp") => Transport::Tcp,
            Some("tls") => Transport::Tls,
            Some("ws") => Transport::Ws,
            Some("wss") => Transport::Wss,
            Some(_) | None => Transport::Udp,
        };
        let transport = match (over.unwrap_or(by_uri), secure) {
            (Transport::Udp | Transport::Tcp, Some(_)) => Transport::Tls,
            (Transport::Ws, Some(_)) => Transport::Wss,
            (transport, _) => transport,
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
        let (hop, hop_port) = via.unwrap_or_else(|| (host.clone(), port));
        Ok(Self {
            user: user.to_owned(),
            host,
            port,
            hop: (hop, hop_port.unwrap_or(transport.default_port())),
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
            Transport::Udp => {}
            Transport::Tls if self.secure => {}
            Transport::Tcp => uri.push_str(";transport=tcp"),
            Transport::Tls => uri.push_str(";transport=tls"),
            // RFC 7118 §5.2 knows one name for both.
            Transport::Ws | Transport::Wss => uri.push_str(";transport=ws"),
        }
        uri
    }

    /// The address of the first hop; IPv4 first where a name has both.
    ///
    /// # Errors
    /// When the name is unknown.
    pub async fn resolve(&self) -> Result<SocketAddr, TargetError> {
        let unresolved = || TargetError::Unresolved {
            host: self.hop.0.clone(),
        };
        let (host, port) = &self.hop;
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), *port))
            .await
            .map_err(|_| unresolved())?
            .collect();
        found
            .iter()
            .find(|a| a.is_ipv4())
            .or(found.first())
            .copied()
            .ok_or_else(unresolved)
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

    fn parsed(target: &str, via: Option<&str>) -> (String, String) {
        let d = Destination::parse(target, via, None).unwrap();
        (d.uri(), format!("{}:{}", d.hop.0, d.hop.1))
    }

    #[test]
    fn a_bare_number_goes_to_this_machine_or_to_via() {
        assert_eq!(
            parsed("2030", None),
            ("sip:2030@127.0.0.1".into(), "127.0.0.1:5060".into())
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
        assert_eq!(by_uri.transport, Transport::Tcp);
        assert_eq!(
            Destination::parse("1@h", None, Some(Transport::Tcp))
                .unwrap()
                .uri(),
            "sip:1@h;transport=tcp"
        );
        let secure = Destination::parse("sips:1@h", None, None).unwrap();
        assert_eq!(secure.transport, Transport::Tls);
        assert_eq!((secure.uri().as_str(), secure.hop.1), ("sips:1@h", 5061));
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
