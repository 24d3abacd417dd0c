//! URIs: `sip:` and `sips:` taken apart (RFC 3261 §19.1), `tel:` (RFC 3966), and every other scheme kept whole.
//!
//! A URI is written back byte for byte as it came, unless a part was changed.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use super::HeaderError;
use super::grammar::{from, is_control, split_at};
use super::host::{self, Host};
use super::params::{Params, UriParams};

/// A URI scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip`.
    Sip,
    /// `sips`.
    Sips,
    /// `tel`.
    Tel,
    /// Any other, as it was written.
    Other(Box<str>),
}

impl Scheme {
    /// The spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(text) => text,
        }
    }
}

/// A URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// The scheme.
    pub scheme: Scheme,
    /// The user part of `sip`/`sips` or the number of `tel`, escapes kept.
    pub user: Option<Box<str>>,
    /// The password of `sip`/`sips`, escapes kept.
    pub password: Option<Box<str>>,
    /// The host; empty unless `sip`/`sips`.
    pub host: Host,
    /// The port.
    pub port: Option<u16>,
    /// The parameters; none for other schemes.
    pub params: Params,
    /// What follows `?`, raw.
    pub headers: Option<Box<str>>,
    /// For other schemes everything after the colon, raw; empty otherwise.
    pub opaque: Box<str>,
}

impl Uri {
    /// Reads a URI, without angle brackets or blanks around it.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        UriParts::scan(text)
            .and_then(|parts| parts.to_uri())
            .map_err(|rule| HeaderError::new("URI", rule))
    }

    /// A `sip:` URI.
    pub fn sip(user: Option<&str>, host: Host, port: Option<u16>) -> Self {
        Self {
            scheme: Scheme::Sip,
            user: user.map(Into::into),
            password: None,
            host,
            port,
            params: Params::default(),
            headers: None,
            opaque: Box::default(),
        }
    }

    /// Whether the scheme is `sip` or `sips`.
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user part with its escapes undone; `None` when absent or not UTF-8 once unescaped.
    pub fn user_text(&self) -> Option<Cow<'_, str>> {
        percent_encoding::percent_decode_str(self.user.as_deref()?)
            .decode_utf8()
            .ok()
    }

    /// A header of the URI (what follows `?`), its escapes undone; the first of that name.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.as_deref()?.split('&').find_map(|header| {
            let (key, value) = header.split_once('=')?;
            if !key.eq_ignore_ascii_case(name) {
                return None;
            }
            let text = percent_encoding::percent_decode_str(value)
                .decode_utf8()
                .ok()?;
            (!text.chars().any(char::is_control)).then(|| text.into_owned())
        })
    }

    /// The `transport` parameter.
    pub fn transport(&self) -> Option<&str> {
        self.params.get("transport").flatten()
    }

    /// Whether the URI says it is a loose router (RFC 3261 §19.1.1 `lr`).
    pub fn is_loose(&self) -> bool {
        self.params.has("lr")
    }

    /// Whether both name the same resource (RFC 3261 §19.1.4): escapes undone, host and scheme without regard to case,
    /// `user`, `ttl`, `method`, `maddr` and `transport` present in both or neither, other parameters equal where both
    /// have them, headers equal.
    pub fn equivalent(&self, other: &Self) -> bool {
        if !self
            .scheme
            .as_str()
            .eq_ignore_ascii_case(other.scheme.as_str())
            || self.host != other.host
            || self.port != other.port
            || self.opaque != other.opaque
            || !same_escaped(self.user.as_deref(), other.user.as_deref())
            || !same_escaped(self.password.as_deref(), other.password.as_deref())
        {
            return false;
        }
        let strict = ["user", "ttl", "method", "maddr", "transport"];
        if strict
            .iter()
            .any(|name| self.params.has(name) != other.params.has(name))
        {
            return false;
        }
        let value = |text: &str| decoded(text).to_ascii_lowercase();
        let common_equal = self.params.iter().all(|(name, _)| {
            match (self.params.get(name), other.params.get(name)) {
                (_, None) | (Some(None), Some(None)) => true,
                (Some(Some(ours)), Some(Some(theirs))) => value(ours) == value(theirs),
                (None | Some(None), Some(_)) | (Some(Some(_)), Some(None)) => false,
            }
        });
        common_equal && same_headers(self.headers.as_deref(), other.headers.as_deref())
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

fn same_escaped(a: Option<&str>, b: Option<&str>) -> bool {
    a == b || a.map(decoded) == b.map(decoded)
}

/// URI headers are a set: order does not matter.
fn same_headers(a: Option<&str>, b: Option<&str>) -> bool {
    let sorted = |text: Option<&str>| {
        let mut parts: Vec<_> = text
            .unwrap_or("")
            .split('&')
            .map(|part| decoded(part).to_ascii_lowercase())
            .collect();
        parts.sort();
        parts
    };
    a == b || sorted(a) == sorted(b)
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        match self.scheme {
            Scheme::Sip | Scheme::Sips => {
                if let Some(user) = &self.user {
                    f.write_str(user)?;
                    if let Some(password) = &self.password {
                        write!(f, ":{password}")?;
                    }
                    f.write_str("@")?;
                }
                write!(f, "{}", self.host)?;
                if let Some(port) = self.port {
                    write!(f, ":{port}")?;
                }
                write!(f, "{}", self.params)?;
                if let Some(headers) = &self.headers {
                    write!(f, "?{headers}")?;
                }
                Ok(())
            }
            Scheme::Tel => write!(f, "{}{}", self.user.as_deref().unwrap_or(""), self.params),
            Scheme::Other(_) => f.write_str(&self.opaque),
        }
    }
}

impl std::str::FromStr for Uri {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        Self::parse(text)
    }
}

/// The parts of a URI as slices of its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UriParts<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    pub(crate) host: &'a str,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) port: Option<u16>,
    pub(crate) params: &'a str,
    pub(crate) headers: Option<&'a str>,
    pub(crate) opaque: &'a str,
}

impl<'a> UriParts<'a> {
    /// Takes the text apart and checks it, parameters included, without allocating.
    pub(crate) fn scan(text: &'a str) -> Result<Self, &'static str> {
        if text
            .bytes()
            .any(|b| is_control(b) || matches!(b, b' ' | b'\t' | b'<' | b'>' | b'"'))
        {
            return Err("a blank, quote, bracket or control character in a URI");
        }
        let colon = text.find(':').ok_or("a URI without scheme")?;
        let (scheme, rest) = split_at(text, colon);
        let rest = from(rest, 1);
        let mut letters = scheme.bytes();
        if !letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            || !letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        {
            return Err("not a URI scheme");
        }
        let mut parts = Self {
            scheme,
            user: None,
            password: None,
            host: "",
            ip: None,
            port: None,
            params: "",
            headers: None,
            opaque: "",
        };
        if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
            parts.sip(rest)?;
        } else if scheme.eq_ignore_ascii_case("tel") {
            parts.tel(rest)?;
        } else if rest.is_empty() {
            return Err("a URI of a scheme only");
        } else {
            parts.opaque = rest;
        }
        Ok(parts)
    }

    fn sip(&mut self, rest: &'a str) -> Result<(), &'static str> {
        let mut at_signs = rest.bytes().enumerate().filter(|&(_, b)| b == b'@');
        let host_part = match at_signs.next() {
            None => rest,
            Some((at, _)) => {
                if at_signs.next().is_some() {
                    return Err("two `@` in a URI");
                }
                let (user_part, rest) = split_at(rest, at);
                let (user, password) = match user_part.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (user_part, None),
                };
                if user.is_empty() {
                    return Err("an empty user in a URI");
                }
                self.user = Some(user);
                self.password = password;
                from(rest, 1)
            }
        };
        let (host_part, headers) = match host_part.split_once('?') {
            Some((host_part, headers)) => (host_part, Some(headers)),
            None => (host_part, None),
        };
        let (host_port, params) =
            split_at(host_part, host_part.find(';').unwrap_or(host_part.len()));
        let (host, port) = host::split_port(host_port)?;
        self.ip = host::check(host)?;
        self.host = host;
        self.port = port;
        self.params = params;
        self.headers = headers;
        UriParams::new(params).try_for_each(|param| param.map(|_| ()))
    }

    fn tel(&mut self, rest: &'a str) -> Result<(), &'static str> {
        let (number, params) = split_at(rest, rest.find(';').unwrap_or(rest.len()));
        if number.is_empty() {
            return Err("a telephone number without digits");
        }
        self.user = Some(number);
        self.params = params;
        UriParams::new(params).try_for_each(|param| param.map(|_| ()))
    }

    /// Whether the scheme is `sip` or `sips`.
    pub(crate) fn is_sip(&self) -> bool {
        !self.host.is_empty()
    }

    pub(crate) fn to_uri(self) -> Result<Uri, &'static str> {
        let scheme = match self.scheme {
            "sip" => Scheme::Sip,
            "sips" => Scheme::Sips,
            "tel" => Scheme::Tel,
            s if s.eq_ignore_ascii_case("sip") => Scheme::Sip,
            s if s.eq_ignore_ascii_case("sips") => Scheme::Sips,
            s if s.eq_ignore_ascii_case("tel") => Scheme::Tel,
            other => Scheme::Other(other.into()),
        };
        Ok(Uri {
            scheme,
            user: self.user.map(Into::into),
            password: self.password.map(Into::into),
            host: if self.host.is_empty() {
                Host::none()
            } else {
                Host::checked(self.host, self.ip)
            },
            port: self.port,
            params: Params::collect(UriParams::new(self.params))?,
            headers: self.headers.map(Into::into),
            opaque: self.opaque.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn uris_are_written_back_as_they_came() {
        for text in [
            "sip:alice@example.com",
            "sips:alice:secret@example.com:5061;transport=ws;lr?subject=x&priority=urgent",
            "sip:[2001:DB8::1]:5070",
            "sip:user;par=u%40example.net@example.com",
            "sip:%00@host5.example.com",
            "sip:null-%00-null@example.com",
            "sip:alice@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "sip:*72#@example.com",
            "sip:жанна@example.com",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            "tel:+1-201-555-0123;phone-context=example.com",
            "tel:911",
            "urn:service:sos",
            "soap.beep://192.0.2.103:3002",
            "nobodyKnowsThisScheme:totallyopaquecontent",
            "sip:sips%3Auser%40example.com@example.net",
        ] {
            assert_eq!(uri(text).to_string(), text);
        }
    }

    #[test]
    fn parts_are_found() {
        let u = uri("sip:%6Cer:pw@host5.example.net:5062;%6C%72;n%61me=v%61lue%25%34%31?a=b");
        assert_eq!(u.user_text().as_deref(), Some("ler"));
        assert_eq!(u.password.as_deref(), Some("pw"));
        assert_eq!(u.port, Some(5062));
        assert_eq!(u.headers.as_deref(), Some("a=b"));
        assert_eq!(u.params.get("%6c%72"), Some(None));
        assert!(!u.is_loose(), "an escaped `lr` is another name");
        let u = uri("sip:user;par=x@example.com;lr");
        assert_eq!(u.user.as_deref(), Some("user;par=x"));
        assert!(u.is_loose());
        assert_eq!(uri("tel:+15551234").user.as_deref(), Some("+15551234"));
        assert_eq!(uri("SIP:x@y").scheme, Scheme::Sip);
    }

    #[test]
    fn broken_uris_are_refused() {
        for bad in [
            "",
            "sip",
            "sip:",
            "sip:@host",
            "sip:a@",
            "sip:a@b@c",
            "sip:a@b:0",
            "sip:a@b:65536",
            "sip:a@b:",
            "sip:2001:db8::10",
            "sip:a@[::1",
            "<sip:a@b>",
            "sip:a@b ;lr",
            " sip:a@b",
            "sip:a@b;",
            "sip:a@b;;lr",
            "1a:b",
            "sip:a\0@b",
            "alice@example.com",
            "tel:",
            "http:",
        ] {
            assert!(Uri::parse(bad).is_err(), "{bad:?}");
        }
    }

    /// RFC 3261 §19.1.4, its own examples.
    #[test]
    fn equivalence_follows_the_rfc() {
        for (a, b) in [
            (
                "sip:%61lice@atlanta.com;transport=TCP",
                "sip:alice@AtLanTa.CoM;Transport=tcp",
            ),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            (
                "sip:carol@chicago.com;newparam=5",
                "sip:carol@chicago.com;security=on",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(uri(a).equivalent(&uri(b)), "{a} = {b}");
            assert!(uri(b).equivalent(&uri(a)), "{b} = {a}");
        }
        for (a, b) in [
            (
                "SIP:ALICE@AtLanTa.CoM;Transport=udp",
                "sip:alice@AtLanTa.CoM;Transport=UDP",
            ),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            (
                "sip:carol@chicago.com",
                "sip:carol@chicago.com?Subject=next%20meeting",
            ),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            (
                "sip:carol@chicago.com;security=on",
                "sip:carol@chicago.com;security=off",
            ),
        ] {
            assert!(!uri(a).equivalent(&uri(b)), "{a} ≠ {b}");
        }
    }
}
