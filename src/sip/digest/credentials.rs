//! Credentials: Authorization or Proxy-Authorization (RFC 7616 §3.4).

use std::fmt;

use super::Algorithm;
use super::challenge::pairs;
use crate::sip::msg::grammar::write_quoted;
use crate::sip::msg::{HeaderError, Message, Name};

/// The answer to a challenge. `Debug` shows neither response nor cnonce.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whose password was used.
    pub username: String,
    /// The realm of the challenge.
    pub realm: String,
    /// The nonce of the challenge.
    pub nonce: String,
    /// The URI the response is bound to.
    pub uri: String,
    /// The response, hexadecimal.
    pub response: String,
    /// `None` is one we do not know; MD5 where it is not given.
    pub algorithm: Option<Algorithm>,
    /// Whether `algorithm` is to be written; a challenge without one is answered without.
    pub names_algorithm: bool,
    /// The opaque of the challenge.
    pub opaque: Option<String>,
    /// cnonce and nc (eight hexadecimal digits) when `qop=auth`.
    pub auth: Option<(String, String)>,
}

impl Credentials {
    /// Reads the value of one header.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let error = |rule| HeaderError::new("credentials", rule);
        let mut out = Self {
            username: String::new(),
            realm: String::new(),
            nonce: String::new(),
            uri: String::new(),
            response: String::new(),
            algorithm: Some(Algorithm::Md5),
            names_algorithm: false,
            opaque: None,
            auth: None,
        };
        let (mut qop, mut cnonce, mut nc) = (None, None, None);
        let mut seen = Vec::with_capacity(10);
        for pair in pairs(text).map_err(error)? {
            let (name, value) = pair.map_err(error)?;
            let name = name.to_ascii_lowercase();
            if seen.contains(&name) {
                return Err(error("a parameter twice"));
            }
            match name.as_str() {
                "username" => out.username = value,
                "realm" => out.realm = value,
                "nonce" => out.nonce = value,
                "uri" => out.uri = value,
                "response" => out.response = value,
                "algorithm" => {
                    out.algorithm = Algorithm::from_token(&value);
                    out.names_algorithm = true;
                }
                "opaque" => out.opaque = Some(value),
                "qop" => qop = Some(value),
                "cnonce" => cnonce = Some(value),
                "nc" => nc = Some(value),
                _ => continue,
            }
            seen.push(name);
        }
        for needed in ["username", "realm", "nonce", "uri", "response"] {
            if !seen.iter().any(|name| name == needed) {
                return Err(error("no username, realm, nonce, uri or response"));
            }
        }
        out.auth = match (qop, cnonce, nc) {
            (None, _, _) => None,
            (Some(qop), Some(cnonce), Some(nc)) if qop.eq_ignore_ascii_case("auth") => {
                if nc.len() != 8 || !nc.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(error("nc is not eight hexadecimal digits"));
                }
                Some((cnonce, nc))
            }
            (Some(_), _, _) => return Err(error("qop is not auth with cnonce and nc")),
        };
        Ok(out)
    }

    /// The credentials of a request for that realm, from Authorization and then Proxy-Authorization.
    pub fn of(message: &Message, realm: &str) -> Option<Self> {
        [Name::Authorization, Name::ProxyAuthorization]
            .into_iter()
            .flat_map(|name| message.headers.all(name))
            .filter_map(|value| Self::parse(value).ok())
            .find(|credentials| credentials.realm == realm)
    }

    /// The nonce count.
    pub fn nonce_count(&self) -> Option<u32> {
        self.auth
            .as_ref()
            .and_then(|(_, nc)| u32::from_str_radix(nc, 16).ok())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .field("uri", &self.uri)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest username=")?;
        write_quoted(f, &self.username)?;
        f.write_str(", realm=")?;
        write_quoted(f, &self.realm)?;
        f.write_str(", nonce=")?;
        write_quoted(f, &self.nonce)?;
        f.write_str(", uri=")?;
        write_quoted(f, &self.uri)?;
        write!(f, ", response=\"{}\"", self.response)?;
        if let Some(algorithm) = self.algorithm.filter(|_| self.names_algorithm) {
            write!(f, ", algorithm={}", algorithm.as_str())?;
        }
        if let Some(opaque) = &self.opaque {
            f.write_str(", opaque=")?;
            write_quoted(f, opaque)?;
        }
        if let Some((cnonce, nc)) = &self.auth {
            f.write_str(", qop=auth, cnonce=")?;
            write_quoted(f, cnonce)?;
            write!(f, ", nc={nc}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Digest username=\"bob\", realm=\"atlanta.example.com\", nonce=\"84a4cc6f3082121f32b42a2187831a9e\", \
        uri=\"sip:a@b,c\", response=\"7587245234b3434cc3412213e5f113a5432\", algorithm=SHA-256, opaque=\"o\", qop=auth, \
        cnonce=\"x,\\\"y\", nc=0000000a";

    #[test]
    fn credentials_round_trip() {
        let credentials = Credentials::parse(GOOD).unwrap();
        assert_eq!(credentials.to_string(), GOOD);
        assert_eq!(credentials.nonce_count(), Some(10));
        assert_eq!(credentials.uri, "sip:a@b,c");
    }

    #[test]
    fn credentials_do_not_show_their_response() {
        let shown = format!("{:?}", Credentials::parse(GOOD).unwrap());
        assert!(
            !shown.contains("75872452") && !shown.contains("84a4cc"),
            "{shown}"
        );
    }

    #[test]
    fn broken_credentials_are_refused() {
        for (from, to) in [
            ("nc=0000000a", "nc=1"),
            ("nc=0000000a", "nc=0000000g"),
            ("qop=auth", "qop=auth-int"),
            (", nc=0000000a", ""),
            ("username=\"bob\", ", ""),
            ("Digest ", "NoOneKnowsThisScheme "),
            ("opaque=\"o\"", "username=\"eve\""),
            ("opaque=\"o\"", "opaque=\"o"),
        ] {
            let bad = GOOD.replace(from, to);
            assert!(Credentials::parse(&bad).is_err(), "{bad}");
        }
        assert!(Credentials::parse("NoOneKnowsThisScheme opaque-data=here").is_err());
    }
}
