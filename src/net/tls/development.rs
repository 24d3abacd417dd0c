//! A certificate for trying TLS on one machine or in one office, made when none is configured. It vouches for itself:
//! peers must be told to trust it, and an operator gets a real one before strangers connect.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::certificate::{About, TlsError};

/// The pair's files below `dir`.
pub(super) fn paths(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("development.pem"), dir.join("development-key.pem"))
}

/// Makes a pair for `names` below `dir` unless a usable one is there. Whether it was made.
pub(super) fn ensure(dir: &Path, names: &[String], unix_now: i64) -> Result<bool, TlsError> {
    let (certificate, key) = paths(dir);
    if key.exists() && still_good(&certificate, names, unix_now) {
        return Ok(false);
    }
    let (certificate_pem, key_pem) = make(names, unix_now)?;
    let failed =
        |error: std::io::Error| TlsError::Development(format!("{}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    write(&key, &key_pem, 0o600).map_err(failed)?;
    write(&certificate, &certificate_pem, 0o644).map_err(failed)?;
    Ok(true)
}

fn still_good(path: &Path, names: &[String], unix_now: i64) -> bool {
    let about = std::fs::read(path)
        .ok()
        .and_then(|text| CertificateDer::from_pem_slice(&text).ok())
        .and_then(|der| About::read(&der));
    about.is_some_and(|about| {
        about.days_left(unix_now) > RENEW && names.iter().all(|name| about.covers(name))
    })
}

/// Certificate and key as PEM.
pub(super) fn make(names: &[String], unix_now: i64) -> Result<(String, String), TlsError> {
    let failed = |error: rcgen::Error| TlsError::Development(error.to_string());
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "swivel development certificate");
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    // A day early, for peers whose clocks are behind.
    for (date, unix) in [
        (&mut params.not_before, unix_now - 86_400),
        (&mut params.not_after, unix_now + LIFE * 86_400),
    ] {
        let at = jiff::Timestamp::from_second(unix)
            .map_err(|error| TlsError::Development(error.to_string()))?
            .to_zoned(jiff::tz::TimeZone::UTC);
        let number = |n: i8| n.unsigned_abs();
        *date = date_time_ymd(i32::from(at.year()), number(at.month()), number(at.day()));
    }
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    // Written beside and renamed, so that a reader never sees half of it.
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    options.open(&beside)?.write_all(text.as_bytes())?;
    std::fs::rename(&beside, path)
}

/// Days a development certificate holds; browsers and phones refuse those of more than 398.
const LIFE: i64 = 365;
/// Days before its end from which a new one is made at the next start.
const RENEW: i64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn a_pair_is_made_once_and_again_when_it_nears_its_end_or_the_names_change() {
        let dir = tempfile::tempdir().unwrap();
        let own = names(&["localhost", "127.0.0.1"]);
        assert!(ensure(dir.path(), &own, NOW).unwrap());
        assert!(!ensure(dir.path(), &own, NOW + 300 * 86_400).unwrap());
        assert!(ensure(dir.path(), &own, NOW + 340 * 86_400).unwrap());
        assert!(!ensure(dir.path(), &own, NOW + 341 * 86_400).unwrap());
        assert!(ensure(dir.path(), &names(&["pbx.test"]), NOW + 341 * 86_400).unwrap());
    }

    #[test]
    fn the_key_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        ensure(dir.path(), &names(&["localhost"]), NOW).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (certificate, key) = paths(dir.path());
        assert_eq!((mode(&certificate), mode(&key)), (0o644, 0o600));
    }

    #[test]
    fn it_is_for_names_and_addresses_and_holds_a_year() {
        let (pem, _) = make(&names(&["localhost", "127.0.0.1", "::1"]), NOW).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let about = About::read(&der).unwrap();
        assert_eq!(about.names, ["localhost", "127.0.0.1", "::1"]);
        assert!(about.self_signed);
        assert!((363..=365).contains(&about.days_left(NOW)));
        assert!(about.not_before < NOW);
    }
}
