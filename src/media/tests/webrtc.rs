//! A WebRTC leg: checks, handshake, secure media on one port.

use super::*;
use crate::rtp::dtls::{Fingerprint, Handshake, Identity, Progress, is_dtls};
use crate::rtp::ice::{IceCredentials, is_stun};
use crate::rtp::srtp::{Protect, Unprotect};
use crate::sdp::WebrtcAgreed;

const BROWSER: &str = "203.0.113.5:40000";
const STRANGER: &str = "192.0.2.66:6666";

/// A port, and a browser as far as media goes.
struct Call {
    line: Line,
    ours: IceCredentials,
    browser: Handshake,
    buffer: Vec<u8>,
    seal: Option<Protect>,
    open: Option<Unprotect>,
    heard: Vec<Vec<u8>>,
    /// Everything that ever went to the stranger.
    leaked: usize,
    taken: usize,
}

impl Call {
    fn new() -> Self {
        Self::expecting(|identity| identity.fingerprint())
    }

    /// `says`: the fingerprint the browser's description claims.
    fn expecting(says: impl Fn(&Identity) -> Fingerprint) -> Self {
        let line = Line::new(SimLink::default(), &MediaConfig::default());
        let identity = crate::rtp::dtls::tests::identity();
        let local = line.media.webrtc(vec![line.rtp]).unwrap();
        let webrtc = WebrtcAgreed {
            ours: local.ice.clone(),
            their_ufrag: "them".into(),
            fingerprint: says(&identity),
            active: true,
        };
        line.command(plan(Agreed {
            remote_rtp: at("0.0.0.0:9"),
            remote_rtcp: at("0.0.0.0:9"),
            rtcp_mux: true,
            webrtc: Some(webrtc),
            ..agreed()
        }));
        let browser = Handshake::new(&identity, false, local.fingerprint, line.now);
        let mut call = Self {
            line,
            ours: local.ice,
            browser,
            buffer: vec![0; 2048],
            seal: None,
            open: None,
            heard: Vec::new(),
            leaked: 0,
            taken: 0,
        };
        call.run(20);
        call
    }

    fn post(&mut self, from: &str, bytes: &[u8]) {
        self.line.io.post(at(from), self.line.rtp, bytes);
    }

    fn check(&mut self, from: &str, password: &str) {
        let request = crate::rtp::ice::tests::check(&self.ours, "them", password, true, true);
        self.post(from, &request);
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            self.line.step();
            self.browser.handle_timeout(self.line.now);
            let arrived = self.line.sent.split_off(self.taken);
            self.taken = self.line.sent.len();
            for datagram in arrived {
                if datagram.to != at(BROWSER) {
                    self.leaked += 1;
                } else if is_dtls(&datagram.bytes) {
                    self.browser.receive(self.line.now, &datagram.bytes);
                } else if !is_stun(&datagram.bytes) {
                    self.heard.push(datagram.bytes);
                }
            }
            let mut out = Vec::new();
            let keys = self
                .browser
                .drain(&mut self.buffer, |b| out.push(b.to_vec()));
            if let Some(keys) = keys {
                self.seal = Some(Protect::new(&keys.send));
                self.open = Some(Unprotect::new(&keys.receive));
            }
            out.iter().for_each(|bytes| self.post(BROWSER, bytes));
        }
    }

    fn say(&mut self, from: &str, payload: &[u8]) {
        let mut packet = self.line.peer.audio(0, payload.len()).bytes().to_vec();
        self.line.peer.advance(160);
        packet.extend_from_slice(payload);
        if let Some(seal) = &mut self.seal {
            seal.rtp(&mut packet).unwrap();
        }
        self.post(from, &packet);
    }
}

#[test]
fn a_browser_comes_to_keys_and_is_heard() {
    let mut call = Call::new();
    call.line.play(1, Source::Echo);
    call.line.play(2, Source::Silence(None));
    call.run(200);
    assert_eq!(call.heard.len(), 0, "nobody is proved yet");
    let password = call.ours.password.clone();
    call.check(BROWSER, &password);
    call.run(1000);
    assert_eq!(call.browser.progress(), Progress::Done);
    for _ in 0..40 {
        call.say(BROWSER, &[0x33; 160]);
        call.run(20);
    }
    let mut open = call.open.take().unwrap();
    let mut echoed = 0;
    for mut packet in std::mem::take(&mut call.heard) {
        if crate::rtp::packet::is_rtcp(&packet) {
            assert!(open.rtcp(&mut packet).is_ok());
            continue;
        }
        let length = open.rtp(&mut packet).unwrap();
        echoed += usize::from(Packet::parse(&packet[..length]).unwrap().payload == [0x33; 160]);
    }
    assert!(echoed > 20, "{echoed}");
    assert_eq!(call.leaked, 0);
}

#[test]
fn a_strangers_checks_hellos_and_media_are_nothing() {
    let mut call = Call::new();
    // A real handshake, begun by somebody who was not told our password.
    let identity = crate::rtp::dtls::tests::identity();
    let mut rogue = Handshake::new(&identity, true, identity.fingerprint(), call.line.now);
    let mut hello = Vec::new();
    rogue.handle_timeout(call.line.now);
    rogue.drain(&mut vec![0; 2048], |bytes| hello.push(bytes.to_vec()));
    assert!(!hello.is_empty());
    for _ in 0..50 {
        call.check(STRANGER, "a password it does not know");
        hello.iter().for_each(|bytes| call.post(STRANGER, bytes));
        call.say(STRANGER, &[1; 160]);
        call.run(5);
    }
    let password = call.ours.password.clone();
    call.check(BROWSER, &password);
    for _ in 0..50 {
        hello.iter().for_each(|bytes| call.post(STRANGER, bytes));
        call.run(20);
    }
    assert_eq!(call.browser.progress(), Progress::Done);
    assert_eq!(call.leaked, 0);
    assert!(call.line.close().strangers > 40);
}

/// `security.md` row 15: 1,000 calls in soak, 50 in the short form.
#[test]
fn a_rogue_hello_before_the_real_one_changes_nothing() {
    let calls = if soak() { 1000 } else { 50 };
    for n in 0..calls {
        let mut call = Call::new();
        let identity = crate::rtp::dtls::tests::identity();
        let mut rogue = Handshake::new(&identity, true, identity.fingerprint(), call.line.now);
        let mut hello = Vec::new();
        rogue.handle_timeout(call.line.now);
        rogue.drain(&mut vec![0; 2048], |bytes| hello.push(bytes.to_vec()));
        hello.iter().for_each(|bytes| call.post(STRANGER, bytes));
        call.run(10);
        let password = call.ours.password.clone();
        call.check(BROWSER, &password);
        hello.iter().for_each(|bytes| call.post(STRANGER, bytes));
        call.run(1000);
        assert_eq!(call.browser.progress(), Progress::Done, "call {n}");
        assert_eq!(call.leaked, 0, "call {n}");
    }
}

#[test]
fn media_stays_silent_when_the_certificate_is_another_one_and_that_is_told_once() {
    let mut call = Call::expecting(|_| crate::rtp::dtls::tests::identity().fingerprint());
    call.line.play(1, Source::Silence(None));
    let password = call.ours.password.clone();
    call.check(BROWSER, &password);
    call.run(3000);
    for _ in 0..10 {
        call.say(BROWSER, &[1; 160]);
        call.run(20);
    }
    assert_eq!(call.heard.len(), 0);
    let told = call.line.seen.iter();
    let told = told.filter(|e| matches!(e, MediaEvent::Insecure { .. }));
    assert_eq!(told.count(), 1);
    assert_eq!(call.line.close().packets_received, 0);
}

#[test]
fn a_browser_that_stops_asking_is_sent_nothing_more() {
    let mut call = Call::new();
    let password = call.ours.password.clone();
    call.check(BROWSER, &password);
    call.run(1000);
    call.line.play(1, Source::Silence(None));
    call.run(20_000);
    assert!(call.heard.len() > 900);
    call.run(11_000);
    let sent = call.heard.len();
    call.run(5000);
    assert_eq!(call.heard.len(), sent);
    call.check(BROWSER, &password);
    call.run(1000);
    assert!(call.heard.len() > sent + 40);
}
