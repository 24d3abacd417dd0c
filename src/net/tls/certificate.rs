//! Reads certificates and keys, and says in words what is wrong with them.

use std::net::IpAddr;
use std::path::PathBuf;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::config::is_pem;

/// Why TLS cannot be served or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    #[error("tls.{field}: cannot read {}: {source}", path.display())]
    Read {
        /// The key below `[tls]`.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A value holds no PEM of its kind.
    #[error("tls.{field}: there is no {what} in it")]
    Empty {
        /// The key below `[tls]`.
        field: &'static str,
        /// What should be there.
        what: &'static str,
    },
    /// Only one of certificate and key is configured.
    #[error("tls.{missing}: must be given together with the other half of the pair")]
    Half {
        /// The key below `[tls]` that is missing.
        missing: &'static str,
    },
    /// A certificate cannot be read.
    #[error("tls.{field}: the certificate cannot be read")]
    Unreadable {
        /// The key below `[tls]`.
        field: &'static str,
    },
    /// The library refused certificate, key or authorities.
    #[error("tls.{field}: {source}")]
    Refused {
        /// The key below `[tls]`.
        field: &'static str,
        /// Why.
        source: rustls::Error,
    },
    /// The authorities for client certificates cannot be used.
    #[error("tls.client_ca: {0}")]
    Clients(rustls::server::VerifierBuilderError),
    /// A development certificate could not be made or kept.
    #[error("a development certificate cannot be made: {0}")]
    Development(String),
    /// The next hop's host is neither a name nor an address a certificate could be for.
    #[error("{host}: no certificate can be for this host")]
    Host {
        /// The host.
        host: String,
    },
    /// There is no certificate to serve with.
    #[error("no certificate is loaded")]
    NotServed,
    /// The handshake failed.
    #[error("TLS handshake: {0}")]
    Handshake(std::io::Error),
}

/// The text of a value: itself, or the file it names.
pub(super) fn text_of(field: &'static str, value: &str) -> Result<String, TlsError> {
    if is_pem(value) {
        return Ok(value.to_owned());
    }
    std::fs::read_to_string(value).map_err(|source| TlsError::Read {
        field,
        path: value.into(),
        source,
    })
}

/// Every certificate in a value.
pub(super) fn certificates(
    field: &'static str,
    value: &str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = text_of(field, value)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.map_err(|_| TlsError::Unreadable { field })?;
    if found.is_empty() {
        return Err(TlsError::Empty {
            field,
            what: "certificate",
        });
    }
    Ok(found)
}

/// The private key in a value.
pub(super) fn private_key(
    field: &'static str,
    value: &str,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = text_of(field, value)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| TlsError::Empty {
        field,
        what: "private key",
    })
}

/// What a certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Names and addresses it is for.
    pub names: Vec<String>,
    /// From when it holds, in seconds since 1970.
    pub not_before: i64,
    /// Until when it holds, in seconds since 1970.
    pub not_after: i64,
    /// Whether it vouches for itself.
    pub self_signed: bool,
}

impl About {
    /// Reads a certificate.
    pub(super) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|extension| {
                extension
                    .value
                    .general_names
                    .iter()
                    .filter_map(name)
                    .collect()
            })
            .unwrap_or_default();
        Some(Self {
            names,
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            self_signed: certificate.subject() == certificate.issuer(),
        })
    }

    /// Whether it is for `host`; `*` stands for one label.
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| {
            if name.eq_ignore_ascii_case(host) {
                return true;
            }
            let same_address = name.parse::<IpAddr>().ok().zip(host.parse::<IpAddr>().ok());
            if let Some((one, other)) = same_address {
                return one == other;
            }
            let rest = name.strip_prefix("*.");
            let parent = host.split_once('.').map(|(_, parent)| parent);
            rest.zip(parent)
                .is_some_and(|(rest, parent)| rest.eq_ignore_ascii_case(parent))
        })
    }

    /// Whole days until it ends; negative when it has.
    pub fn days_left(&self, unix_now: i64) -> i64 {
        (self.not_after - unix_now).div_euclid(86_400)
    }

    /// What is wrong with it now, in words; `Ok` tells what it is for and how long it holds.
    ///
    /// # Errors
    /// When it does not hold now, or is not for one of `hosts`.
    pub fn judge(&self, unix_now: i64, hosts: &[String]) -> Result<String, String> {
        let names = self.names.join(", ");
        if self.names.is_empty() {
            return Err("it has no subject alternative name, so no peer accepts it".to_owned());
        }
        if unix_now < self.not_before {
            return Err("it is not valid yet: its first day is still to come".to_owned());
        }
        let days = self.days_left(unix_now);
        if days < 0 {
            return Err(format!("it ended {} days ago", -days));
        }
        if let Some(host) = hosts.iter().find(|host| !self.covers(host)) {
            return Err(format!("it is for {names}, not for {host}"));
        }
        let soon = if days < SOON { "; renew it" } else { "" };
        let own = if self.self_signed {
            "; it vouches for itself, so peers must be told to trust it"
        } else {
            ""
        };
        Ok(format!("for {names}, {days} days left{soon}{own}"))
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let ip = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            ip.ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// Days before the end from which a certificate is said to need renewal.
pub(super) const SOON: i64 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn about(names: &[&str]) -> About {
        About {
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            not_before: 1_000_000,
            not_after: 1_000_000 + 30 * 86_400,
            self_signed: false,
        }
    }

    #[test]
    fn a_name_covers_itself_and_a_star_one_label() {
        let about = about(&["pbx.example.com", "*.sip.example.com", "2001:db8::1"]);
        for host in [
            "pbx.example.com",
            "PBX.example.com",
            "a.sip.example.com",
            "2001:db8:0::1",
        ] {
            assert!(about.covers(host), "{host}");
        }
        for host in [
            "example.com",
            "a.b.sip.example.com",
            "sip.example.com",
            "192.0.2.1",
        ] {
            assert!(!about.covers(host), "{host}");
        }
    }

    #[test]
    fn dates_and_names_are_judged_in_words() {
        let about = about(&["pbx.example.com"]);
        let hosts = ["pbx.example.com".to_owned()];
        let at = |days: i64| 1_000_000 + days * 86_400;
        assert_eq!(
            about.judge(at(1), &hosts).unwrap(),
            "for pbx.example.com, 29 days left"
        );
        assert!(
            about
                .judge(at(20), &hosts)
                .unwrap()
                .ends_with("10 days left; renew it")
        );
        assert_eq!(
            about.judge(at(33), &hosts).unwrap_err(),
            "it ended 3 days ago"
        );
        assert!(
            about
                .judge(at(-1), &hosts)
                .unwrap_err()
                .contains("not valid yet")
        );
        let other = about
            .judge(at(1), &["other.example".to_owned()])
            .unwrap_err();
        assert_eq!(other, "it is for pbx.example.com, not for other.example");
    }
}
