//! Digest access authentication (RFC 7616, RFC 8760, RFC 3261 §22), both sides.
//!
//! - `challenge`: WWW-Authenticate and Proxy-Authenticate. `credentials`: Authorization and Proxy-Authorization.
//! - `nonce`: the server: issues nonces and judges credentials. `answer`: the client: answers challenges.
//!
//! `qop=auth` always; `auth-int`, `userhash` and credentials without `qop` (RFC 2069) are refused as server. SHA-256 is
//! offered first and MD5 second.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod answer;
mod challenge;
mod credentials;
mod nonce;

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Sha256, Sha512_256};

pub use answer::{choose, response};
pub use challenge::Challenge;
pub use credentials::Credentials;
pub use nonce::{Nonces, Verdict};

/// A digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// `MD5`.
    #[serde(rename = "MD5")]
    Md5,
    /// `MD5-sess`; answered, never offered.
    #[serde(skip)]
    Md5Sess,
    /// `SHA-256`.
    #[serde(rename = "SHA-256")]
    Sha256,
    /// `SHA-256-sess`; answered, never offered.
    #[serde(skip)]
    Sha256Sess,
    /// `SHA-512-256`; answered, never offered.
    #[serde(skip)]
    Sha512_256,
}

impl Algorithm {
    /// The algorithm of that name, whatever its case.
    pub fn from_token(token: &str) -> Option<Self> {
        [
            Self::Md5,
            Self::Md5Sess,
            Self::Sha256,
            Self::Sha256Sess,
            Self::Sha512_256,
        ]
        .into_iter()
        .find(|a| a.as_str().eq_ignore_ascii_case(token))
    }

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
    }

    /// The hash of the parts joined by colons, in lower-case hexadecimal.
    fn hash(self, parts: &[&str]) -> String {
        fn run<D: sha2::Digest>(parts: &[&str]) -> String {
            let mut digest = D::new();
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    digest.update(b":");
                }
                digest.update(part.as_bytes());
            }
            hex::encode(digest.finalize())
        }
        match self {
            Self::Md5 | Self::Md5Sess => run::<Md5>(parts),
            Self::Sha256 | Self::Sha256Sess => run::<Sha256>(parts),
            Self::Sha512_256 => run::<Sha512_256>(parts),
        }
    }
}

/// `H(user:realm:password)` in hexadecimal: what may be kept in place of a password (RFC 7616 §3.4.2).
pub fn ha1(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[username, realm, password])
}

/// What both sides compute the response from.
struct Inputs<'a> {
    algorithm: Algorithm,
    username: &'a str,
    realm: &'a str,
    password: &'a str,
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    /// cnonce and nc; `None` for challenges without qop (RFC 2069).
    qop: Option<(&'a str, &'a str)>,
}

impl Inputs<'_> {
    /// The response (RFC 7616 §3.4.1), in hexadecimal.
    fn response(&self) -> String {
        let hash = |parts: &[&str]| self.algorithm.hash(parts);
        let mut a1 = ha1(self.algorithm, self.username, self.realm, self.password);
        if self.algorithm.is_session() {
            a1 = hash(&[&a1, self.nonce, self.qop.map_or("", |(cnonce, _)| cnonce)]);
        }
        let a2 = hash(&[self.method, self.uri]);
        match self.qop {
            Some((cnonce, nc)) => hash(&[&a1, self.nonce, nc, cnonce, "auth", &a2]),
            None => hash(&[&a1, self.nonce, &a2]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs<'a>(algorithm: Algorithm, nonce: &'a str, cnonce: &'a str) -> Inputs<'a> {
        Inputs {
            algorithm,
            username: "Mufasa",
            realm: "http-auth@example.org",
            password: "Circle of Life",
            method: "GET",
            uri: "/dir/index.html",
            nonce,
            qop: Some((cnonce, "00000001")),
        }
    }

    /// RFC 7616 §3.9.1.
    #[test]
    fn responses_match_the_vectors_of_rfc_7616() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        assert_eq!(
            inputs(Algorithm::Md5, nonce, cnonce).response(),
            "8ca523f5e9506fed4657c9700eebdbec"
        );
        assert_eq!(
            inputs(Algorithm::Sha256, nonce, cnonce).response(),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    /// RFC 2617 §3.5.
    #[test]
    fn responses_match_the_vector_of_rfc_2617() {
        let inputs = Inputs {
            realm: "testrealm@host.com",
            password: "Circle Of Life",
            ..inputs(
                Algorithm::Md5,
                "dcd98b7102dd2f0e8b11d0f600bfb0c093",
                "0a4f113b",
            )
        };
        assert_eq!(inputs.response(), "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn algorithms_are_found_by_name() {
        assert_eq!(Algorithm::from_token("sha-256"), Some(Algorithm::Sha256));
        assert_eq!(Algorithm::from_token("md5"), Some(Algorithm::Md5));
        assert_eq!(Algorithm::from_token("SHA256"), None);
    }
}
