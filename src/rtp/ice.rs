//! The lite end of ICE (RFC 8445 §2.5, §7.3): answers connectivity checks, starts none. The door to `is`, which reads
//! and writes the STUN messages.
//!
//! What an authentic check proves is that whoever was told our password is at that address; nothing else may choose
//! where media goes. Checks that are not authentic are not answered, so nobody can use us to flood a third party.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use is::stun::StunMessage;
use sha1::Sha1;

use crate::base::rng::Rng;

/// User name fragment and password of one side (RFC 8445 §5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub password: String,
}

impl IceCredentials {
    /// Credentials of our own: 48 and 128 bits and more that nobody can guess.
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            ufrag: rng.hex(6),
            password: rng.hex(16),
        }
    }
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IceCredentials({}, ***)", self.ufrag)
    }
}

/// Our end of one stream.
#[derive(Debug)]
pub struct IceLite {
    ours: IceCredentials,
    /// The peer's `a=ice-ufrag`.
    theirs: String,
    selected: Option<SocketAddr>,
    nominated: bool,
    /// When the selected address last proved itself.
    proven: Option<Instant>,
}

/// What a check was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Nothing we answer.
    Ignored,
    /// Answered.
    Answered {
        /// Bytes of the answer in the buffer.
        length: usize,
        /// Media goes to where it came from, from now on.
        selected: bool,
    },
}

impl IceLite {
    /// With our credentials and the fragment of the peer.
    pub fn new(ours: IceCredentials, theirs: String) -> Self {
        Self {
            ours,
            theirs,
            selected: None,
            nominated: false,
            proven: None,
        }
    }

    /// Whether these credentials are its own: another pair means that ICE begins anew.
    pub fn is_of(&self, ours: &IceCredentials, theirs: &str) -> bool {
        self.ours == *ours && self.theirs == theirs
    }

    /// A datagram that begins like STUN came from `from`; the answer goes into `out`.
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
        out: &mut [u8],
    ) -> Check {
        let Ok(message) = StunMessage::parse(bytes) else {
            return Check::Ignored;
        };
        if !message.is_binding_request() {
            return Check::Ignored;
        }
        let named = message
            .split_username()
            .is_some_and(|(ours, theirs)| ours == self.ours.ufrag && theirs == self.theirs);
        let password = self.ours.password.as_bytes();
        if !named || !message.verify(password, sign) {
            return Check::Ignored;
        }
        // A lite end is always the controlled one.
        let conflict = message.ice_controlled().is_some();
        let answer = if conflict {
            StunMessage::binding_role_conflict_reply(message.trans_id())
        } else {
            StunMessage::binding_reply(message.trans_id(), from)
        };
        let Ok(length) = answer.to_bytes(Some(password), out, sign) else {
            return Check::Ignored;
        };
        let nominates = message.use_candidate() && !conflict;
        // Until the peer nominates, the first address that has proved itself will do.
        let takes = !conflict && (nominates || (self.selected.is_none() && !self.nominated));
        let selected = takes && self.selected != Some(from);
        if takes {
            self.selected = Some(from);
            self.nominated |= nominates;
        }
        if self.selected == Some(from) {
            self.proven = Some(now);
        }
        Check::Answered { length, selected }
    }

    /// Where media goes; the only address whose DTLS and media are looked at.
    pub fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    /// Whether the peer still wants our media (RFC 7675 §5.1).
    pub fn has_consent(&self, now: Instant) -> bool {
        self.proven
            .is_some_and(|at| now.saturating_duration_since(at) < CONSENT)
    }
}

/// Whether a datagram begins like STUN (RFC 7983).
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first < 4)
}

/// HMAC-SHA1 over pieces.
fn sign(key: &[u8], pieces: &[&[u8]]) -> [u8; 20] {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else {
        return [0; 20]; // not reachable: HMAC takes keys of any length
    };
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}

/// An address that has not proved itself for so long has withdrawn its consent.
const CONSENT: Duration = Duration::from_secs(30);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rtp::some_instant;
    use is::stun::TransId;

    /// A check as a browser sends it.
    pub(crate) fn check(
        ours: &IceCredentials,
        theirs: &str,
        password: &str,
        controlling: bool,
        nominate: bool,
    ) -> Vec<u8> {
        let name = format!("{}:{theirs}", ours.ufrag);
        let message =
            StunMessage::binding_request(&name, TransId::new(), controlling, 7, 1, nominate);
        let mut bytes = vec![0; 512];
        let length = message
            .to_bytes(Some(password.as_bytes()), &mut bytes, sign)
            .unwrap();
        bytes.truncate(length);
        bytes
    }

    fn rig() -> (IceLite, IceCredentials, Instant, [u8; 512]) {
        let ours = IceCredentials::new(&mut Rng::seeded(1));
        let ice = IceLite::new(ours.clone(), "peer".into());
        (ice, ours, some_instant(), [0; 512])
    }

    const FROM: &str = "203.0.113.5:40000";

    #[test]
    fn an_authentic_check_is_answered_with_where_it_came_from() {
        let (mut ice, ours, now, mut out) = rig();
        let from = FROM.parse().unwrap();
        let request = check(&ours, "peer", &ours.password, true, true);
        let Check::Answered { length, selected } = ice.receive(now, from, &request, &mut out)
        else {
            panic!("ignored");
        };
        assert!(selected && ice.selected() == Some(from));
        let answer = StunMessage::parse(&out[..length]).unwrap();
        assert!(answer.is_successful_binding_response());
        assert!(answer.verify(ours.password.as_bytes(), sign));
        assert_eq!(answer.mapped_address(), Some(from));
        assert!(ice.has_consent(now + Duration::from_secs(29)));
        assert!(!ice.has_consent(now + Duration::from_secs(30)));
    }

    #[test]
    fn strangers_are_not_answered() {
        let (mut ice, ours, now, mut out) = rig();
        let from = FROM.parse().unwrap();
        let mut broken = check(&ours, "peer", &ours.password, true, true);
        let last = broken.len() - 20;
        broken[last] ^= 1;
        for bad in [
            check(&ours, "peer", "wrong", true, true),
            check(&ours, "other", &ours.password, true, true),
            broken,
            vec![0; 20],
            vec![0, 1, 0, 0],
        ] {
            assert_eq!(ice.receive(now, from, &bad, &mut out), Check::Ignored);
        }
        assert_eq!(ice.selected(), None);
    }

    #[test]
    fn the_peer_decides_and_may_decide_again() {
        let (mut ice, ours, now, mut out) = rig();
        let (one, two) = (FROM.parse().unwrap(), "203.0.113.5:40001".parse().unwrap());
        let plain = check(&ours, "peer", &ours.password, true, false);
        let nominate = check(&ours, "peer", &ours.password, true, true);
        ice.receive(now, one, &plain, &mut out);
        assert_eq!(ice.selected(), Some(one));
        ice.receive(now, two, &plain, &mut out);
        assert_eq!(ice.selected(), Some(one));
        ice.receive(now, two, &nominate, &mut out);
        assert_eq!(ice.selected(), Some(two));
        ice.receive(now, one, &plain, &mut out);
        assert_eq!(ice.selected(), Some(two));
    }

    #[test]
    fn a_peer_that_wants_to_be_controlled_hears_of_the_conflict() {
        let (mut ice, ours, now, mut out) = rig();
        let from = FROM.parse().unwrap();
        let request = check(&ours, "peer", &ours.password, false, true);
        let Check::Answered { length, selected } = ice.receive(now, from, &request, &mut out)
        else {
            panic!("ignored");
        };
        let answer = StunMessage::parse(&out[..length]).unwrap();
        assert_eq!(answer.error_code().map(|(code, _)| code), Some(487));
        assert!(!selected && ice.selected().is_none());
    }
}
