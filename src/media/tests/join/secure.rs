//! Joined ports of which one or both are secure.

use super::*;
use crate::rtp::srtp::{MasterKey, Protect, Suite, Unprotect};
use crate::sdp::SrtpKeys;

fn key(suite: Suite, seed: u64) -> MasterKey {
    let mut bytes = vec![0; suite.key_bytes() + suite.salt_bytes()];
    Rng::seeded(seed).fill(&mut bytes);
    MasterKey::new(suite, &bytes).unwrap()
}

/// A bridge whose first peer speaks SRTP, and that peer's ends of it.
struct Secure {
    bridge: Bridge,
    seal: Protect,
    open: Unprotect,
}

impl Secure {
    fn new(suite: Suite) -> Self {
        let keys = SrtpKeys {
            send: key(suite, 1),
            receive: key(suite, 2),
        };
        let secure = Agreed {
            srtp: Some(keys.clone()),
            ..agreed_with(0)
        };
        Self {
            bridge: Bridge::joined(secure, agreed_with(1)),
            seal: Protect::new(&keys.receive),
            open: Unprotect::new(&keys.send),
        }
    }

    fn sealed(&mut self, payload: &[u8]) -> Vec<u8> {
        let peer = &mut self.bridge.peers[0];
        let mut packet = peer.audio(0, payload.len()).bytes().to_vec();
        peer.advance(160);
        packet.extend_from_slice(payload);
        self.seal.rtp(&mut packet).unwrap();
        packet
    }

    fn post(&mut self, from: SocketAddr, packet: &[u8]) {
        let to = self.bridge.rtp[0];
        self.bridge.io.post(from, to, packet);
        self.bridge.run(20);
    }

    /// What the secure peer heard, opened.
    fn heard(&mut self) -> Vec<u8> {
        let from = self.bridge.rtp[0];
        let sent = self.bridge.sent.iter().filter(|d| d.from == from);
        let mut payloads = Vec::new();
        for datagram in sent {
            let mut packet = datagram.bytes.clone();
            let length = self.open.rtp(&mut packet).unwrap();
            payloads.extend_from_slice(Packet::parse(&packet[..length]).unwrap().payload);
        }
        payloads
    }
}

#[test]
fn a_secure_and_a_plain_peer_hear_each_other() {
    for suite in Suite::ALL {
        let mut call = Secure::new(suite);
        for n in 0..20 {
            let packet = call.sealed(&[n; 160]);
            call.post(at(PEERS[0]), &packet);
        }
        let heard = call.bridge.heard(1);
        assert_eq!(heard.len(), 20, "{suite:?}");
        for (n, (_, packet)) in (0..).zip(&heard) {
            assert_eq!(packet.payload, [n; 160]);
        }
        call.bridge.talk(1, Codec::Pcmu, &tune(1600, 3));
        let mut expected = Vec::new();
        Codec::Pcmu.encode(&tune(1600, 3), &mut expected);
        assert_eq!(call.heard(), expected);
    }
}

#[test]
fn a_flood_of_bad_tags_ends_nothing_and_latches_nothing() {
    let mut call = Secure::new(Suite::Aes128Sha80);
    let mut rng = Rng::seeded(9);
    let good = call.sealed(&[1; 160]);
    call.post(at(PEERS[0]), &good);
    for n in 0..1000 {
        let mut bad = good.clone();
        rng.fill(&mut bad[2..]);
        let from = if n % 2 == 0 {
            PEERS[0]
        } else {
            "192.0.2.66:6666"
        };
        let to = call.bridge.rtp[0];
        call.bridge.io.post(at(from), to, &bad);
    }
    call.bridge.run(100);
    let good = call.sealed(&[2; 160]);
    call.post(at(PEERS[0]), &good);
    assert_eq!(call.bridge.heard(1).len(), 2);
    let stranger = at("192.0.2.66:6666");
    assert!(call.bridge.sent.iter().all(|d| d.to != stranger));
    // The same packet again is none.
    call.post(at(PEERS[0]), &good);
    assert_eq!(call.bridge.heard(1).len(), 2);
    call.bridge.ports = [None, None];
    call.bridge.run(20);
    let refused = call.bridge.seen.iter().find_map(|e| match e {
        MediaEvent::Closed { stats, .. } if stats.unauthentic > 0 => Some(stats.unauthentic),
        _ => None,
    });
    // The stranger's half never came past the kernel: the socket is bound to the peer.
    assert_eq!(refused, Some(501));
}

/// `security.md` row 14: a million in soak, 20,000 in the short form; random ones, ones with a right header and a
/// wrong tag, forged reports and goodbyes, checks of nobody.
#[test]
fn a_million_bad_packets_end_no_secure_call() {
    let mut call = Secure::new(Suite::Aes128Sha80);
    let mut rng = Rng::seeded(14);
    let mut heard = 0;
    let rounds = if soak() { 20_000 } else { 400 };
    for round in 0..rounds {
        let good = call.sealed(&[1; 160]);
        let to = call.bridge.rtp[0];
        let rtcp = SocketAddr::new(to.ip(), to.port() + 1);
        for n in 0..50_u32 {
            let mut bad = good.clone();
            match n % 5 {
                0 => rng.fill(&mut bad),
                1 => rng.fill(&mut bad[12..]),
                2 => bad.truncate(usize::try_from(rng.below(40)).unwrap()),
                // A goodbye, and a sender's report, of the peer's own source.
                3 => {
                    bad[1] = 203;
                    rng.fill(&mut bad[12..]);
                }
                _ => {
                    bad[1] = 200;
                    rng.fill(&mut bad[8..]);
                }
            }
            let from = if n % 2 == 0 {
                PEERS[0]
            } else {
                "192.0.2.66:6666"
            };
            let port = if n % 3 == 0 { rtcp } else { to };
            call.bridge.io.post(at(from), port, &bad);
        }
        call.post(at(PEERS[0]), &good);
        call.bridge.run(20);
        heard += call.bridge.heard(1).len();
        call.bridge.sent.clear();
        assert!(
            !call
                .bridge
                .seen
                .iter()
                .any(|e| matches!(e, MediaEvent::Closed { .. })),
            "round {round}"
        );
    }
    assert!(
        heard >= rounds * 99 / 100,
        "{heard} of {rounds} good packets came through"
    );
}

#[test]
fn only_authentic_packets_move_media_behind_a_nat() {
    let mut call = Secure::new(Suite::Aes128Gcm);
    let keys = SrtpKeys {
        send: key(Suite::Aes128Gcm, 1),
        receive: key(Suite::Aes128Gcm, 2),
    };
    let signalled = at("10.0.0.5:4000");
    let agreed = Agreed {
        remote_rtp: signalled,
        srtp: Some(keys),
        ..agreed_with(0)
    };
    call.bridge
        .port(0)
        .command(Command::Configure(Box::new(Plan {
            agreed,
            latch: true,
            signalling_ip: at(PEERS[0]).ip(),
            timeout: None,
            cname: "c".into(),
        })));
    call.bridge.run(20);
    let attacker = SocketAddr::new(at(PEERS[0]).ip(), 6666);
    for n in 0..10u16 {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: crate::rtp::Seq(n),
            timestamp: crate::rtp::RtpTime(u32::from(n) * 160),
            ssrc: 66,
        };
        let mut bytes = header.bytes().to_vec();
        bytes.extend([0; 176]);
        call.post(attacker, &bytes);
    }
    for n in 0..10 {
        let packet = call.sealed(&[n; 160]);
        call.post(at(PEERS[0]), &packet);
    }
    assert!(call.bridge.heard(1).len() >= 6, "the real one is heard");
    call.bridge.talk(1, Codec::Pcmu, &tune(800, 1));
    assert!(call.bridge.sent.iter().all(|d| d.to != attacker));
    let real = at(PEERS[0]);
    assert!(call.bridge.sent.iter().any(|d| d.to == real));
}

#[test]
fn keys_may_change_with_an_answer_and_a_refresh_changes_nothing() {
    let suite = Suite::Aes128Sha80;
    let mut call = Secure::new(suite);
    let agree = |call: &mut Secure, seed: u64| {
        let keys = SrtpKeys {
            send: key(suite, seed),
            receive: key(suite, seed + 1),
        };
        let srtp = Some(keys);
        call.bridge.configure(
            0,
            Agreed {
                srtp,
                ..agreed_with(0)
            },
        );
        call.bridge.run(20);
    };
    let first = call.sealed(&[1; 160]);
    call.post(at(PEERS[0]), &first);
    agree(&mut call, 1);
    call.post(at(PEERS[0]), &first);
    assert_eq!(
        call.bridge.heard(1).len(),
        1,
        "a replay stays one after a refresh"
    );
    agree(&mut call, 50);
    let old = call.sealed(&[2; 160]);
    call.post(at(PEERS[0]), &old);
    assert_eq!(call.bridge.heard(1).len(), 1);
    call.seal = Protect::new(&key(suite, 51));
    let new = call.sealed(&[3; 160]);
    call.post(at(PEERS[0]), &new);
    assert_eq!(call.bridge.heard(1).len(), 2);
}

#[test]
fn reports_are_secure_too() {
    let mut call = Secure::new(Suite::Aes128Sha80);
    for n in 0..400 {
        let packet = call.sealed(&[n as u8; 160]);
        call.post(at(PEERS[0]), &packet);
    }
    let to = SocketAddr::new(at(PEERS[0]).ip(), at(PEERS[0]).port() + 1);
    let reports: Vec<Vec<u8>> = call
        .bridge
        .sent
        .iter()
        .filter(|d| d.to == to)
        .map(|d| d.bytes.clone())
        .collect();
    assert!(!reports.is_empty());
    for mut report in reports {
        let length = call.open.rtcp(&mut report).unwrap();
        assert!(rtcp::parse(&report[..length]).count() >= 2);
    }
}
