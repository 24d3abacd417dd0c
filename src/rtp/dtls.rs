//! DTLS as far as SRTP needs it (RFC 5763, RFC 5764): a handshake that ends with keys. The door to `dimpl`.
//!
//! The peer is who its description says when its certificate has the fingerprint given there; until that is certain no
//! key leaves this file. Nothing here decides whose datagrams these are: ICE does.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use sha2::{Digest as _, Sha256};

use super::srtp::{MasterKey, SrtpKeys, Suite};

/// SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// From the value of `a=fingerprint`; SHA-256 only.
    pub fn parse(value: &str) -> Option<Self> {
        let (hash, digits) = value.trim().split_once(' ')?;
        if !hash.eq_ignore_ascii_case("sha-256") {
            return None;
        }
        let mut bytes = [0; 32];
        let mut pairs = digits.trim().split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2)?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha-256 ")?;
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// Who we are: a certificate of our own making and its key.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCertificate,
    fingerprint: Fingerprint,
    config: Arc<Config>,
}

impl Identity {
    /// From a certificate and its PKCS #8 key, both DER. `None`: they cannot be used.
    pub fn new(certificate: Vec<u8>, private_key: Vec<u8>) -> Option<Self> {
        let fingerprint = Fingerprint::of(&certificate);
        let config = Config::builder()
            .with_crypto_provider(dimpl::crypto::rust_crypto::default_provider())
            .require_client_certificate(true)
            .build()
            .ok()?;
        Some(Self {
            certificate: DtlsCertificate {
                certificate,
                private_key,
            },
            fingerprint,
            config: Arc::new(config),
        })
    }

    /// What our descriptions say of it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint)
    }
}

/// One handshake.
pub struct Handshake {
    dtls: Dtls,
    active: bool,
    expected: Fingerprint,
    state: State,
    timeout: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// The certificate has not been seen.
    Unknown,
    /// It has, and it is the right one.
    Certain,
    /// Keys were handed out.
    Done,
    /// It failed, or the certificate is another one.
    Failed,
}

/// What became of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    Going,
    /// There are keys, or there were.
    Done,
    /// It has failed for good.
    Failed,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handshake({:?})", self.state)
    }
}

impl Handshake {
    /// With a peer that must have the certificate of `expected`. `active`: we begin.
    pub fn new(identity: &Identity, active: bool, expected: Fingerprint, now: Instant) -> Self {
        let config = Arc::clone(&identity.config);
        let mut dtls = Dtls::new_12(config, identity.certificate.clone(), now);
        dtls.set_active(active);
        Self {
            dtls,
            active,
            expected,
            state: State::Unknown,
            timeout: Some(now),
        }
    }

    /// A datagram of the peer that ICE has proved.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let taken = self
            .dtls
            .handle_timeout(now)
            .and_then(|()| self.dtls.handle_packet(bytes));
        if taken.is_err() {
            self.fail();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// Time has passed: flights are sent again, or the handshake is given up.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.dtls.handle_timeout(now).is_err() {
            self.fail();
        }
    }

    /// Hands out what is to be sent, and the keys once there are any and the peer is certain.
    pub fn drain(&mut self, buffer: &mut Vec<u8>, mut send: impl FnMut(&[u8])) -> Option<SrtpKeys> {
        let mut keys = None;
        self.timeout = None;
        for _ in 0..OUTPUTS {
            match self.dtls.poll_output(buffer) {
                Output::Packet(bytes) => send(bytes),
                Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                Output::PeerCert(certificate) => {
                    let right = Fingerprint::of(certificate) == self.expected;
                    match (right, &self.state) {
                        (true, State::Unknown) => self.state = State::Certain,
                        (false, _) => self.state = State::Failed,
                        (true, State::Certain | State::Done | State::Failed) => {}
                    }
                }
                Output::KeyingMaterial(material, profile) => {
                    if matches!(self.state, State::Certain) {
                        keys = self.keys(&material, profile);
                        self.state = if keys.is_some() {
                            State::Done
                        } else {
                            State::Failed
                        };
                    }
                }
                Output::CloseNotify => {}
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    break;
                }
                _ => {}
            }
        }
        if matches!(self.state, State::Failed) {
            self.timeout = None;
            return None;
        }
        keys
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        match self.state {
            State::Unknown | State::Certain => Progress::Going,
            State::Done => Progress::Done,
            State::Failed => Progress::Failed,
        }
    }

    fn fail(&mut self) {
        // Keys that were handed out stay good: only a new negotiation takes them away.
        if !matches!(self.state, State::Done) {
            self.state = State::Failed;
        }
        self.timeout = None;
    }

    /// RFC 5764 §4.2: the client's key, the server's, then their salts.
    fn keys(&self, material: &[u8], profile: SrtpProfile) -> Option<SrtpKeys> {
        let suite = match profile {
            SrtpProfile::AES128_CM_SHA1_80 => Suite::Aes128Sha80,
            SrtpProfile::AEAD_AES_128_GCM => Suite::Aes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => Suite::Aes256Gcm,
            _ => return None,
        };
        let (client_key, rest) = material.split_at_checked(suite.key_bytes())?;
        let (server_key, rest) = rest.split_at_checked(suite.key_bytes())?;
        let (client_salt, rest) = rest.split_at_checked(suite.salt_bytes())?;
        let server_salt = rest.get(..suite.salt_bytes())?;
        let client = MasterKey::new(suite, &[client_key, client_salt].concat())?;
        let server = MasterKey::new(suite, &[server_key, server_salt].concat())?;
        let (send, receive) = if self.active {
            (client, server)
        } else {
            (server, client)
        };
        Some(SrtpKeys { send, receive })
    }
}

/// Whether a datagram begins like DTLS (RFC 7983).
pub fn is_dtls(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (20..64).contains(first))
}

/// More outputs than a handshake has at once.
const OUTPUTS: usize = 256;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::rtp::some_instant;
    use std::time::Duration;

    pub(crate) fn identity() -> Identity {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["test".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Identity::new(certificate.der().to_vec(), key.serialize_der()).unwrap()
    }

    /// Runs both ends over a link that loses a share of what they send.
    fn run(ends: &mut [Handshake; 2], loss: f64, seed: u64) -> [Option<SrtpKeys>; 2] {
        let mut rng = Rng::seeded(seed);
        let mut now = some_instant();
        let mut keys = [None, None];
        let mut buffer = vec![0; 2048];
        for _ in 0..2000 {
            for side in [0, 1] {
                let mut sent = Vec::new();
                ends[side].handle_timeout(now);
                let made = ends[side].drain(&mut buffer, |bytes| sent.push(bytes.to_vec()));
                keys[side] = made.or(keys[side].take());
                for datagram in sent {
                    if rng.unit() >= loss {
                        ends[1 - side].receive(now, &datagram);
                        let mut more = Vec::new();
                        let made = ends[1 - side].drain(&mut buffer, |b| more.push(b.to_vec()));
                        keys[1 - side] = made.or(keys[1 - side].take());
                        for datagram in more {
                            if rng.unit() >= loss {
                                ends[side].receive(now, &datagram);
                            }
                        }
                    }
                }
            }
            let over = |end: &Handshake| end.progress() != Progress::Going;
            if ends.iter().all(over) {
                break;
            }
            now += Duration::from_millis(50);
        }
        keys
    }

    fn pair(identities: [&Identity; 2], expected: [Fingerprint; 2]) -> [Handshake; 2] {
        let now = some_instant();
        [
            Handshake::new(identities[0], true, expected[0], now),
            Handshake::new(identities[1], false, expected[1], now),
        ]
    }

    #[test]
    fn both_ends_have_each_others_keys_whatever_is_lost() {
        let (one, two) = (identity(), identity());
        for (loss, seed) in [(0.0, 1), (0.3, 2), (0.3, 3)] {
            let expected = [two.fingerprint(), one.fingerprint()];
            let mut ends = pair([&one, &two], expected);
            let [a, b] = run(&mut ends, loss, seed);
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!((&a.send, &a.receive), (&b.receive, &b.send), "{loss}");
            assert_ne!(a.send, a.receive);
        }
    }

    #[test]
    fn no_key_is_given_to_a_peer_with_another_certificate() {
        let (one, two, other) = (identity(), identity(), identity());
        let mut ends = pair([&one, &two], [other.fingerprint(), one.fingerprint()]);
        assert_eq!(run(&mut ends, 0.0, 1)[0], None);
        assert_eq!(ends[0].progress(), Progress::Failed);
        let mut ends = pair([&one, &two], [two.fingerprint(), other.fingerprint()]);
        assert_eq!(run(&mut ends, 0.0, 1)[1], None);
        assert_eq!(ends[1].progress(), Progress::Failed);
    }

    #[test]
    fn noise_ends_no_handshake() {
        let (one, two) = (identity(), identity());
        let mut ends = pair([&one, &two], [two.fingerprint(), one.fingerprint()]);
        let (now, mut rng) = (some_instant(), Rng::seeded(4));
        for length in 1..200 {
            let mut noise = vec![0; length];
            rng.fill(&mut noise);
            noise[0] = 20 + (length % 44) as u8;
            ends[0].receive(now, &noise);
            ends[1].receive(now, &noise);
        }
        let keys = run(&mut ends, 0.0, 1);
        assert!(keys.iter().all(Option::is_some));
    }

    #[test]
    fn fingerprints_are_written_as_they_are_read() {
        let fingerprint = identity().fingerprint();
        assert_eq!(
            Fingerprint::parse(&fingerprint.to_string()),
            Some(fingerprint)
        );
        for bad in [
            "",
            "sha-256",
            "sha-1 00:11",
            "sha-256 00:11",
            &format!("{fingerprint}:00"),
            &fingerprint.to_string().replace(':', ""),
        ] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }
}
