//! The certificate WebRTC legs show: made by ourselves, new with every start. Its fingerprint in the session
//! description is what makes it worth anything (RFC 5763 §5). The door to rcgen.

use crate::rtp::dtls::Identity;

/// A new certificate and key.
pub(super) fn make() -> Option<Identity> {
    let made = rcgen::KeyPair::generate().and_then(|key| {
        let certificate = rcgen::CertificateParams::new(vec!["swivel".to_owned()])?;
        Ok((certificate.self_signed(&key)?, key))
    });
    match made {
        Ok((certificate, key)) => Identity::new(certificate.der().to_vec(), key.serialize_der()),
        Err(error) => {
            tracing::error!(%error, "cannot make a certificate: no WebRTC calls");
            None
        }
    }
}
