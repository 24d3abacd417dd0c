//! Via (RFC 3261 §20.42, RFC 3581).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::HeaderError;
use super::grammar::{self, from, is_token, split_at, split_commas, trim};
use super::host::{self, Host};
use super::params::{HeaderParams, Params};
use crate::sip::flow::Transport;

/// What every branch of RFC 3261 begins with (§8.1.1.7).
pub const BRANCH_COOKIE: &str = "z9hG4bK";

/// One hop of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The transport as it was written, e.g. `UDP`.
    pub transport: Box<str>,
    /// The sent-by host.
    pub host: Host,
    /// The sent-by port.
    pub port: Option<u16>,
    /// The branch.
    pub branch: Option<Box<str>>,
    /// The address the request really came from; an unreadable one counts as absent.
    pub received: Option<IpAddr>,
    /// `Some(None)`: the sender wants the port filled in; `Some(Some(port))`: it is.
    pub rport: Option<Option<u16>>,
    /// Where the response should go instead.
    pub maddr: Option<Host>,
    /// Multicast time to live.
    pub ttl: Option<u8>,
    /// All other parameters.
    pub params: Params,
}

impl Via {
    /// Reads exactly one Via; a comma list is refused.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        ViaParts::scan(text)
            .and_then(|parts| parts.to_via())
            .map_err(|rule| HeaderError::new("Via", rule))
    }

    /// Reads the first Via of a value without judging it: version, empty and unreadable parameters are passed over.
    /// Only for answering a request that is refused anyway.
    pub fn first_lenient(value: &str) -> Option<Self> {
        let text = split_commas(value).next()?;
        let (mut parts, _) = ViaParts::head(text).ok()?;
        let params = parts.params;
        parts.params = "";
        let mut via = parts.to_via().ok()?;
        for param in params.split(';').map(trim) {
            let text = format!(";{param}");
            if let Some(Ok((name, value))) = HeaderParams::new(&text).next() {
                // A value that breaks its rule is passed over like any other broken parameter.
                via.take_param(name, value).unwrap_or_default();
            }
        }
        Some(via)
    }

    /// A Via of ours.
    pub fn new(transport: Transport, host: Host, port: Option<u16>, branch: &str) -> Self {
        Self {
            transport: transport.via_name().into(),
            host,
            port,
            branch: Some(branch.into()),
            received: None,
            rport: None,
            maddr: None,
            ttl: None,
            params: Params::default(),
        }
    }

    /// The transport when it is one we know.
    pub fn known_transport(&self) -> Option<Transport> {
        [
            Transport::Udp,
            Transport::Tcp,
            Transport::Tls,
            Transport::Ws,
            Transport::Wss,
        ]
        .into_iter()
        .find(|t| t.via_name().eq_ignore_ascii_case(&self.transport))
    }

    /// The branch when it names a transaction by RFC 3261: the cookie and something behind it. Without it RFC 2543
    /// matching applies (§17.2.3; RFC 4475 §3.2.1).
    pub fn transaction_branch(&self) -> Option<&str> {
        self.branch.as_deref().filter(|b| {
            b.strip_prefix(BRANCH_COOKIE)
                .is_some_and(|rest| !rest.is_empty())
        })
    }

    /// Notes where the request came from: `received` when the address differs from sent-by or the port is wanted,
    /// `rport` when it is wanted (RFC 3261 §18.2.1, RFC 3581 §4).
    pub fn note_source(&mut self, source: SocketAddr) {
        let ip = source.ip().to_canonical();
        if self.rport.is_some() {
            self.rport = Some(Some(source.port()));
            self.received = Some(ip);
        } else if self.host.ip().map(|host| host.to_canonical()) != Some(ip) {
            self.received = Some(ip);
        } else {
            self.received = None;
        }
    }

    /// Where a response over UDP goes: `maddr`, else `received` and `rport`, else `received` or sent-by and the sent-by
    /// port (RFC 3261 §18.2.2, RFC 3581 §4). `None` when only a name is known; call [`Via::note_source`] first.
    pub fn reply_address(&self) -> Option<SocketAddr> {
        let port = self
            .port
            .unwrap_or_else(|| self.known_transport().map_or(5060, Transport::default_port));
        if let Some(maddr) = self.maddr.as_ref().and_then(Host::ip) {
            return Some(SocketAddr::new(maddr, port));
        }
        let ip = self.received.or_else(|| self.host.ip())?;
        match self.rport {
            Some(Some(rport)) => Some(SocketAddr::new(ip, rport)),
            Some(None) | None => Some(SocketAddr::new(ip, port)),
        }
    }

    fn take_param(&mut self, name: &str, value: Option<&str>) -> Result<(), &'static str> {
        match value {
            Some(value) if name.eq_ignore_ascii_case("branch") && self.branch.is_none() => {
                self.branch = Some(value.into());
            }
            Some(value) if name.eq_ignore_ascii_case("received") => {
                self.received = received(value);
            }
            Some(value) if name.eq_ignore_ascii_case("rport") => {
                self.rport = Some(Some(
                    grammar::port(value).ok_or("rport is not a port from 1 to 65535")?,
                ));
            }
            None if name.eq_ignore_ascii_case("rport") => self.rport = Some(None),
            Some(value) if name.eq_ignore_ascii_case("maddr") => {
                let ip = host::check(value)?;
                self.maddr = Some(Host::checked(value, ip));
            }
            Some(value) if name.eq_ignore_ascii_case("ttl") => {
                self.ttl =
                    Some(grammar::decimal(value).ok_or("ttl is not a number from 0 to 255")?);
            }
            value => self.params.push(name, value),
        }
        Ok(())
    }
}

/// The address in `received`, with or without brackets (RFC 5118 §4.5).
fn received(value: &str) -> Option<IpAddr> {
    match value.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
        Some(inside) => host::ipv6(inside).map(IpAddr::V6),
        None => value.parse().ok(),
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(branch) = &self.branch {
            write!(f, ";branch={branch}")?;
        }
        if let Some(received) = self.received {
            write!(f, ";received={received}")?;
        }
        match self.rport {
            Some(Some(port)) => write!(f, ";rport={port}")?,
            Some(None) => f.write_str(";rport")?,
            None => {}
        }
        if let Some(maddr) = &self.maddr {
            write!(f, ";maddr={maddr}")?;
        }
        if let Some(ttl) = self.ttl {
            write!(f, ";ttl={ttl}")?;
        }
        write!(f, "{}", self.params)
    }
}

/// The parts of one Via as slices of its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViaParts<'a> {
    transport: &'a str,
    host: &'a str,
    ip: Option<IpAddr>,
    port: Option<u16>,
    params: &'a str,
}

impl<'a> ViaParts<'a> {
    /// Takes one Via apart and checks all of it without allocating.
    pub(crate) fn scan(text: &'a str) -> Result<Self, &'static str> {
        let (parts, is_2_0) = Self::head(text)?;
        if !is_2_0 {
            return Err("the version is not SIP/2.0");
        }
        for param in HeaderParams::new(parts.params) {
            let (name, value) = param?;
            match value {
                Some(value) if name.eq_ignore_ascii_case("rport") => {
                    grammar::port(value).ok_or("rport is not a port from 1 to 65535")?;
                }
                Some(value) if name.eq_ignore_ascii_case("maddr") => {
                    host::check(value)?;
                }
                Some(value) if name.eq_ignore_ascii_case("ttl") => {
                    grammar::decimal::<u8>(value).ok_or("ttl is not a number from 0 to 255")?;
                }
                Some(_) | None => {}
            }
        }
        Ok(parts)
    }

    /// Everything before the parameters, which are left unread; and whether the version is ours.
    fn head(text: &'a str) -> Result<(Self, bool), &'static str> {
        let text = trim(text);
        let (protocol, rest) = slash(text)?;
        let (version, rest) = slash(rest)?;
        let end = rest.find([' ', '\t']).ok_or("no host")?;
        let (transport, rest) = split_at(rest, end);
        if !is_token(protocol) || !is_token(version) || !is_token(transport) {
            return Err("not a protocol, version and transport");
        }
        let (sent_by, params) = split_at(rest, rest.find(';').unwrap_or(rest.len()));
        let (host, port) = host::split_port(trim(sent_by))?;
        let ip = host::check(host)?;
        let is_2_0 = protocol.eq_ignore_ascii_case("SIP") && version == "2.0";
        Ok((
            Self {
                transport,
                host,
                ip,
                port,
                params,
            },
            is_2_0,
        ))
    }

    fn to_via(self) -> Result<Via, &'static str> {
        let mut via = Via {
            transport: self.transport.into(),
            host: Host::checked(self.host, self.ip),
            port: self.port,
            branch: None,
            received: None,
            rport: None,
            maddr: None,
            ttl: None,
            params: Params::default(),
        };
        for param in HeaderParams::new(self.params) {
            let (name, value) = param?;
            via.take_param(name, value)?;
        }
        Ok(via)
    }
}

/// What stands before the next slash and what behind it, blanks around the slash dropped.
fn slash(text: &str) -> Result<(&str, &str), &'static str> {
    let at = text
        .find('/')
        .ok_or("not a protocol, version and transport")?;
    let (before, after) = split_at(text, at);
    Ok((trim(before), trim(from(after, 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(text: &str) -> Via {
        Via::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn vias_round_trip() {
        for text in [
            "SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw",
            "SIP/2.0/TCP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111;received=2001:db8::9:255;rport=19823",
            "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK56;rport",
            "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;maddr=239.255.255.1;ttl=16;keep;alias=1",
        ] {
            assert_eq!(via(text).to_string(), text);
        }
    }

    #[test]
    fn blanks_are_allowed_around_every_mark() {
        let v = via(
            "SIP  / 2.0  / TCP     spindle.example.com : 5061  ;   branch  =   z9hG4bK9ikj8  ; rport",
        );
        assert_eq!(&*v.transport, "TCP");
        assert_eq!(
            (v.host.as_str(), v.port),
            ("spindle.example.com", Some(5061))
        );
        assert_eq!(v.branch.as_deref(), Some("z9hG4bK9ikj8"));
        assert_eq!(v.rport, Some(None));
    }

    #[test]
    fn received_is_read_with_and_without_brackets() {
        let want = Some("2001:db8::9:255".parse().unwrap());
        assert_eq!(
            via("SIP/2.0/UDP h;received=[2001:db8::9:255]").received,
            want
        );
        assert_eq!(via("SIP/2.0/UDP h;received=2001:db8::9:255").received, want);
        assert_eq!(via("SIP/2.0/UDP h;received=nonsense").received, None);
    }

    #[test]
    fn a_branch_of_the_cookie_alone_names_no_transaction() {
        assert_eq!(
            via("SIP/2.0/UDP h;branch=z9hG4bK").transaction_branch(),
            None
        );
        assert_eq!(
            via("SIP/2.0/UDP h;branch=390skdjuw").transaction_branch(),
            None
        );
        assert_eq!(
            via("SIP/2.0/UDP h;branch=z9hG4bKx").transaction_branch(),
            Some("z9hG4bKx")
        );
    }

    #[test]
    fn broken_vias_are_refused() {
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 h",
            "SIP/7.0/UDP h",
            "SIP/2.0/UDP 192.0.2.15;;",
            "SIP/2.0/UDP h;branch=",
            "SIP/2.0/UDP h;rport=0",
            "SIP/2.0/UDP h;rport=65536",
            "SIP/2.0/UDP h:0",
            "SIP/2.0/UDP h;ttl=256",
            "SIP/2.0/UDP h, SIP/2.0/UDP i",
            "SIP/2.0/UDP h i",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/U<DP h",
            "XXX/2.0/UDP h",
        ] {
            assert!(Via::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_lenient_reading_finds_where_to_answer() {
        let v = Via::first_lenient("SIP/2.0/UDP 192.0.2.15:5070;;rport=99999;branch=z9hG4bKa;,;,,")
            .unwrap();
        assert_eq!(
            (v.host.as_str(), v.port, v.branch.as_deref()),
            ("192.0.2.15", Some(5070), Some("z9hG4bKa"))
        );
        assert!(Via::first_lenient("SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw").is_some());
        assert!(Via::first_lenient("nonsense").is_none());
    }

    #[test]
    fn responses_go_where_the_rfc_says() {
        let source: SocketAddr = "198.51.100.7:40000".parse().unwrap();
        let reply = |text: &str| {
            let mut v = via(text);
            v.note_source(source);
            (
                v.reply_address().map(|a| a.to_string()),
                v.received.map(|ip| ip.to_string()),
            )
        };
        let received = Some("198.51.100.7".to_string());
        assert_eq!(
            reply("SIP/2.0/UDP 198.51.100.7"),
            (Some("198.51.100.7:5060".into()), None)
        );
        assert_eq!(
            reply("SIP/2.0/UDP 10.0.0.1:5070"),
            (Some("198.51.100.7:5070".into()), received.clone())
        );
        assert_eq!(
            reply("SIP/2.0/UDP h.example:5070;rport"),
            (Some("198.51.100.7:40000".into()), received.clone())
        );
        assert_eq!(
            reply("SIP/2.0/UDP 198.51.100.7;rport"),
            (Some("198.51.100.7:40000".into()), received.clone())
        );
        assert_eq!(
            reply("SIP/2.0/UDP h.example;maddr=192.0.2.9"),
            (Some("192.0.2.9:5060".into()), received.clone())
        );
        assert_eq!(
            reply("SIP/2.0/UDP 1.2.3.4;received=9.9.9.9"),
            (Some("198.51.100.7:5060".into()), received)
        );
    }
}
