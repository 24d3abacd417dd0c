//! The host of a URI or a Via: a name, an IPv4 address, or an IPv6 address in brackets (RFC 3261 §25.1, RFC 5954).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::HeaderError;
use super::grammar::{from, is_host_byte, port, split_at, trim};

/// A host as it was written, with its address when it is one. Hosts compare by address, names without regard to case.
#[derive(Debug, Clone)]
pub struct Host {
    text: Box<str>,
    ip: Option<IpAddr>,
}

impl Host {
    /// Reads a host without port. IPv6 needs its brackets.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let ip = check(text).map_err(|rule| HeaderError::new("host", rule))?;
        Ok(Self {
            text: text.into(),
            ip,
        })
    }

    /// The host as it was written, IPv6 in brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address when the host is one. IPv4 mapped into IPv6 stays IPv6; see [`IpAddr::to_canonical`].
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Whether there is no host (URIs that are neither `sip` nor `sips`).
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// No host.
    pub(crate) fn none() -> Self {
        Self {
            text: Box::default(),
            ip: None,
        }
    }

    pub(crate) fn checked(text: &str, ip: Option<IpAddr>) -> Self {
        Self {
            text: text.into(),
            ip,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        let text = match ip {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        Self {
            text: text.into(),
            ip: Some(ip),
        }
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        match (self.ip, other.ip) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.text.eq_ignore_ascii_case(&other.text),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Eq for Host {}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The address in the text, `Ok(None)` for a name, or the rule it breaks.
pub(crate) fn check(text: &str) -> Result<Option<IpAddr>, &'static str> {
    if let Some(inside) = text.strip_prefix('[') {
        let inside = inside
            .strip_suffix(']')
            .ok_or("an IPv6 address needs its closing bracket")?;
        return ipv6(inside)
            .map(|ip| Some(IpAddr::V6(ip)))
            .ok_or("not an IPv6 address");
    }
    if text.is_empty() {
        return Err("no host");
    }
    if !text.bytes().all(is_host_byte) {
        return Err("a character no host name has");
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.bytes().all(|b| b.is_ascii_digit()) {
        // A name cannot end in digits (RFC 3261 §25.1 `toplabel`), so this is an address or nothing.
        return text
            .parse::<Ipv4Addr>()
            .map(|ip| Some(IpAddr::V4(ip)))
            .map_err(|_| "not an IPv4 address");
    }
    if name.split('.').any(str::is_empty) {
        return Err("an empty label in the host name");
    }
    Ok(None)
}

/// An IPv6 address, also with the third colon before an embedded IPv4 address that the grammar of RFC 3261 allowed by
/// mistake and that must be tolerated (RFC 5118 §4.10).
pub(crate) fn ipv6(text: &str) -> Option<Ipv6Addr> {
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    let (head, tail) = text.split_once(":::")?;
    tail.parse::<Ipv4Addr>().ok()?;
    format!("{head}::{tail}").parse().ok()
}

/// Splits `host[:port]`, blanks around the colon allowed (RFC 3261 §25.1 `COLON`).
pub(crate) fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let end_of_host = if text.starts_with('[') {
        text.find(']')
            .map(|at| at + 1)
            .ok_or("an IPv6 address needs its closing bracket")?
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = split_at(text, end_of_host);
    let rest = trim(rest);
    if rest.is_empty() {
        return Ok((trim(host), None));
    }
    if !rest.starts_with(':') {
        return Err("text after the host");
    }
    let number = port(trim(from(rest, 1))).ok_or("not a port from 1 to 65535")?;
    Ok((trim(host), Some(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        assert_eq!(
            Host::parse("192.0.2.1").unwrap().ip(),
            Some("192.0.2.1".parse().unwrap())
        );
        assert_eq!(
            Host::parse("[2001:db8::1]").unwrap().ip(),
            Some("2001:db8::1".parse().unwrap())
        );
        assert_eq!(
            Host::parse("[::ffff:192.0.2.1]").unwrap().as_str(),
            "[::ffff:192.0.2.1]"
        );
        assert_eq!(
            Host::parse("Example.COM.").unwrap(),
            Host::parse("example.com.").unwrap()
        );
        assert_eq!(Host::parse("my_host-1.local").unwrap().ip(), None);
        for bad in [
            "",
            "[::1",
            "2001:db8::1",
            "999.1.1.1",
            "1.2.3",
            "a..b",
            "a b",
            "a/b",
            "[1.2.3.4]",
            "exämple",
        ] {
            assert!(Host::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_third_colon_is_tolerated_before_ipv4_only() {
        assert_eq!(
            ipv6("2001:db8:::192.0.2.1"),
            Some("2001:db8::192.0.2.1".parse().unwrap())
        );
        for bad in [
            "2001:db8:::10",
            "2001:db8::::192.0.2.1",
            "2001::1:::192.0.2.1",
        ] {
            assert_eq!(ipv6(bad), None, "{bad}");
        }
    }

    #[test]
    fn ports_are_split_outside_the_brackets_only() {
        assert_eq!(
            split_port("[2001:db8::10:5070]"),
            Ok(("[2001:db8::10:5070]", None))
        );
        assert_eq!(
            split_port("[2001:db8::10]:5070"),
            Ok(("[2001:db8::10]", Some(5070)))
        );
        assert_eq!(split_port("h : 5060"), Ok(("h", Some(5060))));
        for bad in ["h:", "h:0", "h:65536", "h:5060x", "2001:db8::10", "[::1]x"] {
            assert!(split_port(bad).is_err(), "{bad:?}");
        }
    }
}
