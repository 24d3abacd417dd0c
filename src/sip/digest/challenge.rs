//! A challenge: WWW-Authenticate or Proxy-Authenticate (RFC 7616 §3.3, RFC 3261 §20.44).

use std::fmt;

use super::Algorithm;
use crate::sip::msg::grammar::{
    is_control, quoted_len, split_at, split_commas, trim, unquote, write_quoted,
};
use crate::sip::msg::{HeaderError, Message, Name};

/// What a server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Who asks.
    pub realm: String,
    /// To be part of the response.
    pub nonce: String,
    /// To be sent back as it is.
    pub opaque: Option<String>,
    /// `None` is one we do not know.
    pub algorithm: Option<Algorithm>,
    /// Whether `qop` offers `auth`.
    pub qop_auth: bool,
    /// Whether `qop` is there at all; without it the client answers as by RFC 2069.
    pub has_qop: bool,
    /// The password was right but the nonce is too old: try again without asking anybody.
    pub stale: bool,
}

impl Challenge {
    /// Reads the value of one header.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let error = |rule| HeaderError::new("challenge", rule);
        let mut out = Self {
            realm: String::new(),
            nonce: String::new(),
            opaque: None,
            algorithm: Some(Algorithm::Md5),
            qop_auth: false,
            has_qop: false,
            stale: false,
        };
        let (mut has_realm, mut has_nonce) = (false, false);
        for pair in pairs(text).map_err(error)? {
            let (name, value) = pair.map_err(error)?;
            match name.to_ascii_lowercase().as_str() {
                "realm" => (out.realm, has_realm) = (value, true),
                "nonce" => (out.nonce, has_nonce) = (value, true),
                "opaque" => out.opaque = Some(value),
                "algorithm" => out.algorithm = Algorithm::from_token(&value),
                "stale" => out.stale = value.eq_ignore_ascii_case("true"),
                "qop" => {
                    out.has_qop = true;
                    out.qop_auth = value
                        .split(',')
                        .any(|token| trim(token).eq_ignore_ascii_case("auth"));
                }
                _ => {}
            }
        }
        if has_realm && has_nonce {
            Ok(out)
        } else {
            Err(error("no realm or no nonce"))
        }
    }

    /// The challenges of a 401 or 407 that can be read; `true` beside those of Proxy-Authenticate.
    pub fn of(message: &Message) -> Vec<(bool, Self)> {
        [
            (Name::WwwAuthenticate, false),
            (Name::ProxyAuthenticate, true),
        ]
        .into_iter()
        .flat_map(|(name, proxy)| message.headers.all(name).map(move |value| (proxy, value)))
        .filter_map(|(proxy, value)| Some((proxy, Self::parse(value).ok()?)))
        .collect()
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest realm=")?;
        write_quoted(f, &self.realm)?;
        f.write_str(", nonce=")?;
        write_quoted(f, &self.nonce)?;
        if let Some(opaque) = &self.opaque {
            f.write_str(", opaque=")?;
            write_quoted(f, opaque)?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        if let Some(algorithm) = self.algorithm {
            write!(f, ", algorithm={}", algorithm.as_str())?;
        }
        if self.qop_auth {
            f.write_str(", qop=\"auth\"")
        } else {
            Ok(())
        }
    }
}

/// One `name=value`, the value without quotes and escapes.
pub(super) type Pair = Result<(String, String), &'static str>;

/// The `name=value` pairs behind the scheme `Digest`.
pub(super) fn pairs(text: &str) -> Result<impl Iterator<Item = Pair>, &'static str> {
    if text.bytes().any(is_control) {
        return Err("a control character");
    }
    let text = trim(text);
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (scheme, rest) = split_at(text, end);
    if !scheme.eq_ignore_ascii_case("Digest") {
        return Err("not the scheme Digest");
    }
    Ok(split_commas(rest)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or("a parameter without value")?;
            let value = trim(value);
            if value.starts_with('"') && quoted_len(value) != Some(value.len()) {
                return Err("a quoted string that does not end");
            }
            Ok((trim(name).to_owned(), unquote(value).into_owned()))
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_inside_a_challenge_begins_no_other_one() {
        let mut message = Message::response(401, "");
        for value in [
            "Digest realm=\"a, Digest realm=b\", nonce=\"n,1\", qop=\"auth,auth-int\", domain=\"sip:x,sip:y\", algorithm=SHA-256",
            "Digest realm=\"c\", nonce=\"m\"",
        ] {
            message.headers.push(Name::WwwAuthenticate, value);
        }
        let found = Challenge::of(&message);
        let realms: Vec<&str> = found.iter().map(|(_, c)| c.realm.as_str()).collect();
        assert_eq!(realms, ["a, Digest realm=b", "c"]);
        assert_eq!(found[0].1.nonce, "n,1");
        assert!(found[0].1.qop_auth && found[0].1.algorithm == Some(Algorithm::Sha256));
    }

    #[test]
    fn challenges_round_trip() {
        let text = "Digest realm=\"example.com\", nonce=\"abc,=\\\"d\", opaque=\"\", stale=true, algorithm=SHA-256, qop=\"auth\"";
        let challenge = Challenge::parse(text).unwrap();
        assert_eq!(challenge.nonce, "abc,=\"d");
        assert_eq!(challenge.to_string(), text);
    }

    #[test]
    fn what_peers_send_is_read() {
        let c = Challenge::parse(
            "digest  qop=\"auth-int, auth\",realm=x, nonce = \"n\" ,domain=\"sip:a\",",
        )
        .unwrap();
        assert_eq!(
            (c.realm.as_str(), c.algorithm, c.qop_auth),
            ("x", Some(Algorithm::Md5), true)
        );
        let c = Challenge::parse("Digest realm=\"x\", nonce=\"n\", algorithm=AKAv1-MD5").unwrap();
        assert_eq!((c.algorithm, c.has_qop), (None, false));
        for bad in [
            "",
            "Basic realm=\"x\"",
            "Digest",
            "Digest realm=\"x\"",
            "Digest nonce=\"x\"",
            "Digest realm=\"x, nonce=\"y\"",
            "Digest realm",
        ] {
            assert!(Challenge::parse(bad).is_err(), "{bad:?}");
        }
    }
}
