//! What a browser's description says beyond a telephone's: ICE (RFC 8839), DTLS-SRTP (RFC 5763, RFC 8842), and sections
//! that share one path (RFC 9143).

use std::net::SocketAddr;

use super::session::{Attribute, Media, Session};
use crate::rtp::dtls::Fingerprint;
use crate::rtp::ice::IceCredentials;

/// Our side of a WebRTC leg: made once, kept for its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webrtc {
    /// Our ICE credentials.
    pub ice: IceCredentials,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
    /// Where checks reach us: host candidates, best first.
    pub candidates: Vec<SocketAddr>,
    /// Whether our offers are for a browser. Offers of browsers are taken in any case.
    pub offers: bool,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebrtcAgreed {
    /// Our ICE credentials.
    pub ours: IceCredentials,
    /// The peer's `a=ice-ufrag`.
    pub their_ufrag: String,
    /// Of the peer's certificate.
    pub fingerprint: Fingerprint,
    /// We begin the DTLS handshake.
    pub active: bool,
}

/// What the peer's section says.
#[derive(Debug, Clone)]
pub(super) struct Theirs {
    ufrag: String,
    fingerprint: Fingerprint,
    setup: Setup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    Active,
    Passive,
    Either,
}

impl Theirs {
    /// `None`: something is missing without which there is no secure media.
    pub(super) fn read(session: &Session, media: &Media) -> Option<Self> {
        let said = |name: &str| media.attribute(name).or_else(|| session.attribute(name));
        let ufrag = said("ice-ufrag").filter(|u| (4..=256).contains(&u.len()))?;
        // A lite end needs no password of the peer, but a peer without one speaks no ICE.
        said("ice-pwd").filter(|p| (22..=256).contains(&p.len()))?;
        let fingerprint = fingerprints(&media.attributes)
            .next()
            .or_else(|| fingerprints(&session.attributes).next())?;
        let setup = match said("setup").unwrap_or("actpass").trim() {
            "active" => Setup::Active,
            "passive" => Setup::Passive,
            "actpass" => Setup::Either,
            _ => return None,
        };
        Some(Self {
            ufrag: ufrag.to_owned(),
            fingerprint,
            setup,
        })
    }

    /// What it means with our side. We begin the handshake unless the peer does (RFC 5763 §5).
    pub(super) fn agree(self, ours: &Webrtc) -> WebrtcAgreed {
        WebrtcAgreed {
            ours: ours.ice.clone(),
            their_ufrag: self.ufrag,
            fingerprint: self.fingerprint,
            active: self.setup != Setup::Active,
        }
    }
}

fn fingerprints(attributes: &[Attribute]) -> impl Iterator<Item = Fingerprint> + '_ {
    attributes
        .iter()
        .filter(|a| a.name.eq_ignore_ascii_case("fingerprint"))
        .filter_map(|a| Fingerprint::parse(a.value.as_deref()?))
}

impl Webrtc {
    /// The lines of our section. `setup`: what we say about who begins.
    pub(super) fn lines(&self, setup: &str) -> Vec<Attribute> {
        let mut lines = vec![
            Attribute::new("ice-ufrag", &self.ice.ufrag),
            Attribute::new("ice-pwd", &self.ice.password),
            Attribute::new("fingerprint", self.fingerprint.to_string()),
            Attribute::new("setup", setup),
        ];
        // Host candidates of component 1, each a little less wanted than the one before (RFC 8445 §5.1.2.1).
        for (address, less) in self.candidates.iter().zip(0u32..) {
            let priority = (126 << 24) | (65_535u32.saturating_sub(less) << 8) | 255;
            lines.push(Attribute::new(
                "candidate",
                format!(
                    "{} 1 udp {priority} {} {} typ host",
                    less + 1,
                    address.ip(),
                    address.port()
                ),
            ));
        }
        lines.push(Attribute::flag("end-of-candidates"));
        lines
    }
}

/// Whether a protocol is SRTP with keys by DTLS.
pub(super) fn is_webrtc(protocol: &str) -> bool {
    ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"]
        .iter()
        .any(|known| protocol.eq_ignore_ascii_case(known))
}
