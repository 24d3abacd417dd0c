//! Whose packets are believed, and where ours go: symmetric RTP with a learning window.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::packet::Packet;
use super::sequence::Seq;

/// What a latch starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatchConfig {
    /// The RTP address in the peer's SDP.
    pub signalled: SocketAddr,
    /// Where the peer's SIP comes from.
    pub signalling_ip: IpAddr,
    /// The leg is configured to be behind NAT.
    pub nat: bool,
    /// How long other sources may be learned after the answer: 500 ms to 3 s.
    pub window: Duration,
}

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// From the believed source.
    Accept,
    /// The same, and ours go to a new address from now on.
    Latched(SocketAddr),
    /// Drop and count it.
    Drop,
}

/// Decides by source address.
///
/// The rules: media goes to the address of the SDP. Another source is learned only (a) when the leg is configured to be
/// behind NAT, or its SDP address is private and not where its SIP comes from; (b) within the window after the
/// answer; (c) from the address its SIP comes from, from another only when nothing comes from there; (d) after four
/// packets in sequence of one SSRC. Then it is locked until the next answer. Nothing is ever sent to a source that has
/// not been learned.
#[derive(Debug, Clone)]
pub struct Latch {
    remote: SocketAddr,
    state: State,
    dropped: u64,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a port, and most ports learn; a box would allocate on re-INVITE"
)]
enum State {
    Locked,
    Learning {
        opened: Instant,
        closes: Instant,
        signalling_ip: IpAddr,
        /// The believed source is the one of the SDP: its first packet proves it.
        as_signalled: bool,
        /// Sources at the signalling address; strangers cannot push them out.
        preferred: [Option<Candidate>; CANDIDATES],
        strangers: [Option<Candidate>; CANDIDATES],
    },
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    next: Seq,
    run: u8,
}

impl Latch {
    /// At the answer: opens the learning window when the rules allow one.
    pub fn new(now: Instant, config: LatchConfig) -> Self {
        let remote = canonical(config.signalled);
        let state = learning(now, &config, true).unwrap_or(State::Locked);
        Self {
            remote,
            state,
            dropped: 0,
        }
    }

    /// After a re-INVITE. A learned source stays believed while the SDP address stays the same; a new one may be
    /// learned in a new window.
    pub fn renegotiated(&mut self, now: Instant, before: &LatchConfig, config: LatchConfig) {
        if before.signalled == config.signalled {
            let as_signalled = self.remote == canonical(config.signalled);
            self.state = learning(now, &config, as_signalled).unwrap_or(State::Locked);
        } else {
            *self = Self {
                dropped: self.dropped,
                ..Self::new(now, config)
            };
        }
    }

    /// A packet came from `source`.
    pub fn receive(&mut self, now: Instant, source: SocketAddr, packet: &Packet<'_>) -> Verdict {
        let source = canonical(source);
        let believed = source == self.remote;
        match &mut self.state {
            State::Locked => {}
            State::Learning { closes, .. } if now > *closes => self.state = State::Locked,
            State::Learning { as_signalled, .. } if believed => {
                if *as_signalled {
                    self.state = State::Locked;
                }
            }
            State::Learning {
                opened,
                closes,
                signalling_ip,
                preferred,
                strangers,
                ..
            } => {
                let believable = if source.ip() == *signalling_ip {
                    count(preferred, source, packet) >= ENOUGH
                } else {
                    let patience = PREFERENCE.min(closes.saturating_duration_since(*opened) / 2);
                    let waited = now.saturating_duration_since(*opened) >= patience;
                    let run = count(strangers, source, packet);
                    waited && preferred.iter().all(Option::is_none) && run >= ENOUGH
                };
                if believable {
                    self.remote = source;
                    self.state = State::Locked;
                    return Verdict::Latched(source);
                }
            }
        }
        if believed {
            Verdict::Accept
        } else {
            self.dropped += 1;
            Verdict::Drop
        }
    }

    /// ICE has proved that the peer is there: the only source from now on.
    pub fn prove(&mut self, source: SocketAddr) {
        self.remote = canonical(source);
        self.state = State::Locked;
    }

    /// Where to send.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Whether no other source can be learned any more. `now` decides about the window.
    pub fn is_locked(&self, now: Instant) -> bool {
        match &self.state {
            State::Locked => true,
            State::Learning { closes, .. } => now > *closes,
        }
    }

    /// Whether RTCP from there is believed: the host media comes from.
    pub fn accepts_rtcp(&self, source: SocketAddr) -> bool {
        canonical(source).ip() == self.remote.ip()
    }

    /// Packets from sources that are not believed.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The window, where the rules allow one.
fn learning(now: Instant, config: &LatchConfig, as_signalled: bool) -> Option<State> {
    let sdp = config.signalled.ip().to_canonical();
    let signalling_ip = config.signalling_ip.to_canonical();
    let allowed = config.nat || sdp.is_unspecified() || (is_private(sdp) && sdp != signalling_ip);
    let window = config.window.clamp(SHORTEST_WINDOW, LONGEST_WINDOW);
    allowed.then(|| State::Learning {
        opened: now,
        closes: now + window,
        signalling_ip,
        as_signalled,
        preferred: [None; CANDIDATES],
        strangers: [None; CANDIDATES],
    })
}

/// How many packets in sequence this source has now sent. More sources than places: the newest takes the place of the
/// one with the shortest run.
fn count(
    candidates: &mut [Option<Candidate>; CANDIDATES],
    source: SocketAddr,
    packet: &Packet<'_>,
) -> u8 {
    let next = packet.sequence.plus(1);
    if let Some(known) = candidates
        .iter_mut()
        .flatten()
        .find(|candidate| candidate.source == source)
    {
        let continues = known.ssrc == packet.ssrc && known.next == packet.sequence;
        known.run = if continues {
            known.run.saturating_add(1)
        } else {
            1
        };
        known.ssrc = packet.ssrc;
        known.next = next;
        return known.run;
    }
    let place = candidates
        .iter_mut()
        .min_by_key(|place| place.map_or(0, |candidate| candidate.run));
    if let Some(place) = place {
        *place = Some(Candidate {
            source,
            ssrc: packet.ssrc,
            next,
            run: 1,
        });
    }
    1
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Addresses that mean something else, or nothing, on the other side of a NAT.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Packets in sequence that make a source believed.
const ENOUGH: u8 = 4;
/// Sources watched at once, of each kind.
const CANDIDATES: usize = 3;
/// How long a source other than the signalling address has to wait.
const PREFERENCE: Duration = Duration::from_secs(1);
/// Limits of the window.
const SHORTEST_WINDOW: Duration = Duration::from_millis(500);
const LONGEST_WINDOW: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{RtpTime, some_instant};

    const SIGNALLING: &str = "203.0.113.5";

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn config(signalled: &str, nat: bool) -> LatchConfig {
        LatchConfig {
            signalled: at(signalled),
            signalling_ip: SIGNALLING.parse().unwrap(),
            nat,
            window: Duration::from_secs(3),
        }
    }

    fn packet(seq: u16, ssrc: u32) -> Packet<'static> {
        Packet {
            marker: false,
            payload_type: 0,
            sequence: Seq(seq),
            timestamp: RtpTime(0),
            ssrc,
            payload: &[0],
        }
    }

    fn send(
        latch: &mut Latch,
        now: Instant,
        source: &str,
        seqs: std::ops::Range<u16>,
    ) -> Vec<Verdict> {
        seqs.map(|seq| latch.receive(now, at(source), &packet(seq, 1)))
            .collect()
    }

    #[test]
    fn a_public_address_is_never_left() {
        let now = some_instant();
        let mut latch = Latch::new(now, config("198.51.100.7:4000", false));
        for source in ["203.0.113.5:4000", "198.51.100.7:4002", "192.0.2.66:4000"] {
            assert!(
                send(&mut latch, now, source, 0..200)
                    .iter()
                    .all(|v| *v == Verdict::Drop),
                "{source}"
            );
        }
        assert_eq!(
            latch.receive(now, at("198.51.100.7:4000"), &packet(1, 9)),
            Verdict::Accept
        );
        assert_eq!(
            (latch.remote(), latch.dropped()),
            (at("198.51.100.7:4000"), 600)
        );
    }

    #[test]
    fn a_client_behind_nat_is_learned_after_four_packets_and_locked() {
        let now = some_instant();
        let mut latch = Latch::new(now, config("10.0.0.5:4000", false));
        let verdicts = send(&mut latch, now, "203.0.113.5:61000", 10..15);
        let learned = Verdict::Latched(at("203.0.113.5:61000"));
        assert_eq!(
            verdicts,
            [
                Verdict::Drop,
                Verdict::Drop,
                Verdict::Drop,
                learned,
                Verdict::Accept
            ]
        );
        assert!(
            send(&mut latch, now, "203.0.113.5:61002", 0..50)
                .iter()
                .all(|v| *v == Verdict::Drop)
        );
        assert!(
            send(&mut latch, now, "10.0.0.5:4000", 0..50)
                .iter()
                .all(|v| *v == Verdict::Drop)
        );
        assert!(latch.is_locked(now));
    }

    #[test]
    fn a_private_address_that_is_the_signalling_address_is_routable() {
        let now = some_instant();
        let local = LatchConfig {
            signalling_ip: "10.0.0.5".parse().unwrap(),
            ..config("10.0.0.5:4000", false)
        };
        assert!(Latch::new(now, local).is_locked(now));
        assert!(!Latch::new(now, LatchConfig { nat: true, ..local }).is_locked(now));
    }

    #[test]
    fn the_address_of_the_sdp_wins_when_packets_come_from_it() {
        let now = some_instant();
        let mut latch = Latch::new(now, config("10.0.0.5:4000", true));
        assert_eq!(
            latch.receive(now, at("10.0.0.5:4000"), &packet(1, 1)),
            Verdict::Accept
        );
        assert!(
            send(&mut latch, now, "203.0.113.5:61000", 0..50)
                .iter()
                .all(|v| *v == Verdict::Drop)
        );
    }

    #[test]
    fn strangers_wait_for_the_signalling_address() {
        let now = some_instant();
        let mut latch = Latch::new(now, config("10.0.0.5:4000", true));
        assert!(
            send(&mut latch, now, "192.0.2.66:5", 0..200)
                .iter()
                .all(|v| *v == Verdict::Drop),
            "too early for a stranger"
        );
        let later = now + Duration::from_millis(1100);
        send(&mut latch, later, "203.0.113.5:61000", 0..1);
        assert!(
            send(&mut latch, later, "192.0.2.66:5", 200..300)
                .iter()
                .all(|v| *v == Verdict::Drop),
            "the signalling address is heard"
        );
        assert_eq!(
            send(&mut latch, later, "203.0.113.5:61000", 1..4).last(),
            Some(&Verdict::Latched(at("203.0.113.5:61000")))
        );
    }

    #[test]
    fn another_host_is_learned_when_nothing_else_comes() {
        let now = some_instant();
        let mut latch = Latch::new(now, config("10.0.0.5:4000", true));
        let later = now + Duration::from_millis(1100);
        assert_eq!(
            send(&mut latch, later, "192.0.2.9:7000", 0..4).last(),
            Some(&Verdict::Latched(at("192.0.2.9:7000")))
        );
    }

    #[test]
    fn gaps_and_changing_sources_do_not_count() {
        let now = some_instant();
        let mut latch = Latch::new(now, config("10.0.0.5:4000", true));
        for (seq, ssrc) in [
            (1, 1),
            (2, 1),
            (3, 1),
            (5, 1),
            (6, 1),
            (7, 1),
            (8, 2),
            (9, 2),
            (10, 2),
        ] {
            assert_eq!(
                latch.receive(now, at("203.0.113.5:61000"), &packet(seq, ssrc)),
                Verdict::Drop
            );
        }
        assert_eq!(
            latch.receive(now, at("203.0.113.5:61000"), &packet(11, 2)),
            Verdict::Latched(at("203.0.113.5:61000"))
        );
    }

    #[test]
    fn after_the_window_nothing_is_learned() {
        let now = some_instant();
        let mut latch = Latch::new(now, config("10.0.0.5:4000", true));
        let late = now + Duration::from_millis(3001);
        assert!(
            send(&mut latch, late, "203.0.113.5:61000", 0..100)
                .iter()
                .all(|v| *v == Verdict::Drop)
        );
        assert_eq!(latch.remote(), at("10.0.0.5:4000"));
    }

    #[test]
    fn a_re_invite_opens_a_new_window_and_media_moves() {
        let now = some_instant();
        let before = config("10.0.0.5:4000", true);
        let mut latch = Latch::new(now, before);
        send(&mut latch, now, "203.0.113.5:61000", 0..4);
        let later = now + Duration::from_secs(60);
        latch.renegotiated(later, &before, before);
        assert_eq!(
            latch.receive(later, at("203.0.113.5:61000"), &packet(4, 1)),
            Verdict::Accept,
            "still believed"
        );
        assert_eq!(
            send(&mut latch, later, "203.0.113.5:62000", 0..4).last(),
            Some(&Verdict::Latched(at("203.0.113.5:62000")))
        );
        latch.renegotiated(later, &before, config("198.51.100.7:4000", false));
        assert_eq!(latch.remote(), at("198.51.100.7:4000"));
        assert!(
            send(&mut latch, later, "203.0.113.5:62000", 4..9)
                .iter()
                .all(|v| *v == Verdict::Drop)
        );
    }

    #[test]
    fn many_sprayers_do_not_push_the_client_out() {
        let now = some_instant();
        let mut latch = Latch::new(now, config("10.0.0.5:4000", true));
        let mut learned = None;
        for seq in 0..10u16 {
            for port in 1000..1040u16 {
                let source = SocketAddr::new("192.0.2.66".parse().unwrap(), port);
                assert_eq!(
                    latch.receive(now, source, &packet(seq, u32::from(port))),
                    Verdict::Drop
                );
            }
            if let Verdict::Latched(source) =
                latch.receive(now, at("203.0.113.5:61000"), &packet(seq, 1))
            {
                learned = Some(source);
            }
        }
        assert_eq!(learned, Some(at("203.0.113.5:61000")));
    }

    #[test]
    fn rtcp_is_believed_from_the_host_of_the_media() {
        let latch = Latch::new(some_instant(), config("198.51.100.7:4000", false));
        assert!(latch.accepts_rtcp(at("198.51.100.7:9999")));
        assert!(latch.accepts_rtcp(at("[::ffff:198.51.100.7]:1")));
        assert!(!latch.accepts_rtcp(at("198.51.100.8:4001")));
    }
}
