//! Mutated bytes into everything that reads a stranger's media: SDP, RTP, RTCP, telephone-events, and what stands
//! behind them. Nothing may panic; what is accepted must keep its promises. `SWIVEL_FUZZ_SECONDS` is the time a test
//! takes (2 by default), `SWIVEL_FUZZ_SEED` the seed, which a failure prints.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "runs are counted and failing inputs shown"
)]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use swivel::audio::{Codec, ToneStream};
use swivel::base::rng::Rng;
use swivel::rtp::dtls::{Fingerprint, Handshake, Identity, Progress};
use swivel::rtp::ice::{Check, IceCredentials, IceLite};
use swivel::rtp::jitter::{JitterBuffer, JitterConfig, Slot};
use swivel::rtp::latch::{Latch, LatchConfig};
use swivel::rtp::rtcp::{self, Report, ReportBlock, Rtcp, SenderInfo};
use swivel::rtp::srtp::{MasterKey, Protect, Suite, Unprotect};
use swivel::rtp::stats::{Reception, round_trip};
use swivel::rtp::{EventReceiver, Header, Packet, Playout, RtpTime, Seq};
use swivel::sdp::session::{MAX_BYTES, MAX_MEDIA};
use swivel::sdp::{Author, Crypto, Direction, Local, Refused, Session, Webrtc, negotiate};

#[test]
fn sdp_of_any_bytes_is_parsed_refused_or_answered() {
    let local4 = Local::new(IpAddr::from([192, 0, 2, 1]), 16_384, 7);
    let local6 = Local::new("2001:db8::1".parse().unwrap(), 16_384, 7);
    let secure = Local {
        crypto: Some(Crypto::new(&Suite::ALL, &mut Rng::seeded(1))),
        webrtc: Some(Webrtc {
            ice: IceCredentials::new(&mut Rng::seeded(2)),
            fingerprint: Fingerprint([3; 32]),
            candidates: vec!["192.0.2.1:16384".parse().unwrap()],
            offers: false,
        }),
        ..local4.clone()
    };
    let ours = negotiate::offer(&local4, Direction::SendRecv);
    let mut author = Author::new(1);
    fuzz("sdp", &sdp_seeds(), SDP_WORDS, |bytes| {
        let session = match Session::parse(bytes) {
            Ok(session) => session,
            Err(error) => {
                assert_safe_header(&Refused::from(error).warning("h"));
                return;
            }
        };
        assert!(session.media.len() <= MAX_MEDIA);
        // What is written can be read, and says the same.
        let text = session.to_string();
        if text.len() <= MAX_BYTES {
            let again = Session::parse(text.as_bytes()).unwrap();
            assert_eq!(again.media.len(), session.media.len(), "{text}");
        }
        for local in [&local4, &local6, &secure] {
            match negotiate::answer(&session, local) {
                Ok((answer, agreed)) => {
                    assert_eq!(answer.media.len(), session.media.len());
                    assert!((10..=60).contains(&agreed.ptime_ms) && agreed.ptime_ms % 10 == 0);
                    assert_ne!(agreed.remote_rtp.port(), 0);
                    assert_ne!(agreed.remote_rtcp.port(), 0);
                    assert!(
                        agreed
                            .accepts
                            .contains(&(agreed.payload_type, agreed.codec))
                    );
                    let active = answer.media.iter().filter(|m| m.port != 0).count();
                    assert_eq!(active, 1);
                    let text = author.publish(answer).to_string();
                    assert!(
                        !text.replace("\r\n", "").contains(['\r', '\n', '\0']),
                        "{text:?}"
                    );
                }
                Err(refused) => assert_safe_header(&refused.warning("h")),
            }
        }
        if let Err(refused) = negotiate::accept_answer(&ours, &session, &local4) {
            assert_safe_header(&refused.warning("h"));
        }
    });
}

#[test]
fn secure_packets_of_any_bytes_are_refused_or_authentic() {
    let key = |suite: Suite| {
        let bytes = vec![7; suite.key_bytes() + suite.salt_bytes()];
        MasterKey::new(suite, &bytes).unwrap()
    };
    let mut ends = Suite::ALL.map(|suite| Unprotect::new(&key(suite)));
    let mut seeds = rtp_seeds();
    seeds.extend(rtcp_seeds());
    for suite in Suite::ALL {
        let mut protect = Protect::new(&key(suite));
        for mut packet in rtp_seeds() {
            if protect.rtp(&mut packet).is_ok() {
                seeds.push(packet);
            }
        }
    }
    fuzz("srtp", &seeds, &[], |bytes| {
        for end in &mut ends {
            let mut packet = bytes.to_vec();
            if let Ok(length) = end.rtp(&mut packet) {
                assert!(length < bytes.len());
            }
            let mut packet = bytes.to_vec();
            if let Ok(length) = end.rtcp(&mut packet) {
                assert!(length < bytes.len());
            }
        }
    });
}

#[test]
fn checks_and_handshakes_of_any_bytes_choose_no_address_and_make_no_key() {
    let now = some_instant();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["fuzz".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let identity = Identity::new(certificate.der().to_vec(), key.serialize_der()).unwrap();
    let expected = identity.fingerprint();
    let mut hello = Vec::new();
    let mut buffer = vec![0; 2048];
    let mut client = Handshake::new(&identity, true, expected, now);
    client.handle_timeout(now);
    client.drain(&mut buffer, |bytes| hello.push(bytes.to_vec()));
    let mut seeds = hello;
    seeds.push(vec![
        0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ]);
    let mut ice = IceLite::new(IceCredentials::new(&mut Rng::seeded(1)), "peer".into());
    let from = "203.0.113.5:4000".parse().unwrap();
    let mut server = Handshake::new(&identity, false, expected, now);
    fuzz("stun and dtls", &seeds, &[], |bytes| {
        let mut answer = [0; 512];
        assert_eq!(ice.receive(now, from, bytes, &mut answer), Check::Ignored);
        assert_eq!(ice.selected(), None);
        server.receive(now, bytes);
        assert!(server.drain(&mut buffer, |_| {}).is_none());
        if server.progress() == Progress::Failed {
            server = Handshake::new(&identity, false, expected, now);
        }
    });
}

#[test]
fn rtp_of_any_bytes_goes_through_the_whole_receiver() {
    let begin = some_instant();
    let mut now = begin;
    let mut playout = Playout::new(
        &[(0, Codec::Pcmu), (8, Codec::Pcma)],
        JitterConfig::default(),
    );
    let mut buffer = JitterBuffer::new(JitterConfig::default());
    let mut events = EventReceiver::new(8000);
    let mut reception = Reception::new(8000);
    let mut latch = latch(begin);
    let mut frame = Vec::new();
    fuzz("rtp", &rtp_seeds(), &[], |bytes| {
        now += Duration::from_millis(3);
        let Ok(packet) = Packet::parse(bytes) else {
            return;
        };
        assert!(packet.payload.len() + 12 <= bytes.len());
        assert!(packet.payload_type < 128);
        let _verdict = latch.receive(now, ([192, 0, 2, 9], 4000).into(), &packet);
        reception.receive(now, &packet);
        let _report = reception.report(now);
        assert!(reception.summary().loss() <= 1.0);
        assert!(events.receive(now, &packet).len() <= 3);
        let _end = events.audio(&packet);
        let _up = events.handle_timeout(now);
        let _known = playout.push(now, &packet);
        playout.frame(&mut frame);
        assert_eq!(frame.len(), 160);
        let ticks = u32::from(packet.sequence.0) % 2000;
        let _pushed = buffer.push(now, &packet, ticks);
        match buffer.pull() {
            Slot::Payload { ticks, .. } | Slot::Lost { ticks } | Slot::Empty { ticks } => {
                assert!(ticks > 0)
            }
        }
    });
}

#[test]
fn events_of_any_content_and_order_are_at_most_one_key_a_packet() {
    let begin = some_instant();
    let mut now = begin;
    let mut events = EventReceiver::new(8000);
    let (mut downs, mut ups) = (0u64, 0u64);
    fuzz("event", &event_seeds(), &[], |bytes| {
        now += Duration::from_millis(1);
        let Ok(packet) = Packet::parse(bytes) else {
            return;
        };
        for key in events
            .receive(now, &packet)
            .into_iter()
            .chain(events.handle_timeout(now))
        {
            match key {
                swivel::rtp::event::Key::Down(event) => {
                    assert!(event.code() <= 16);
                    downs += 1;
                }
                swivel::rtp::event::Key::Up { .. } => ups += 1,
            }
        }
        assert!(downs == ups || downs == ups + 1, "{downs} down, {ups} up");
    });
}

#[test]
fn rtcp_of_any_bytes_is_read_within_its_bounds() {
    let begin = some_instant();
    let mut reception = Reception::new(8000);
    fuzz("rtcp", &rtcp_seeds(), &[], |bytes| {
        let mut read = 0;
        for packet in rtcp::parse(bytes) {
            read += 1;
            match packet {
                Rtcp::Sender { ssrc, info, blocks } => {
                    reception.sender_report(begin, ssrc, &info);
                    blocks.for_each(|block| {
                        let _trip = round_trip(info.ntp, &block);
                    });
                }
                Rtcp::Receiver { blocks, .. } => assert!(blocks.count() <= 31),
                Rtcp::Cname { cname, .. } => assert!(cname.len() <= 255),
                Rtcp::Bye { .. } | Rtcp::Other { .. } => {}
            }
        }
        assert!(read * 4 <= bytes.len());
    });
}

#[test]
fn tone_notation_of_any_text_is_parsed_or_refused() {
    let seeds: Vec<Vec<u8>> = [
        "tone_stream://%(250,50,440)",
        "%(2000,4000,440,480);loops=-1",
        "v=-7;d=100;w=50;123ABC*#",
        "L=3;%(1,1,1)%(2,2,2)",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    fuzz("tone", &seeds, TONE_WORDS, |bytes| {
        if let Ok(stream) = ToneStream::parse(&String::from_utf8_lossy(bytes)) {
            let total: u64 = stream.tones.iter().map(swivel::audio::Tone::total_ms).sum();
            assert!(total > 0 && total <= 120_000);
        }
    });
}

/// Calls `target` with mutations of `seeds` for the time allowed. `words` are pieces worth inserting.
fn fuzz(name: &str, seeds: &[Vec<u8>], words: &[&str], mut target: impl FnMut(&[u8])) {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(otherwise)
    };
    let seconds = number("SWIVEL_FUZZ_SECONDS", 2);
    let seed = number("SWIVEL_FUZZ_SEED", 1);
    let mut rng = Rng::seeded(seed);
    let until = some_instant() + Duration::from_secs(seconds);
    let mut runs = 0u64;
    seeds.iter().for_each(|seed| target(seed));
    while !runs.is_multiple_of(64) || some_instant() < until {
        let mut bytes = seeds[rng.below(seeds.len() as u64) as usize].clone();
        for _ in 0..=rng.below(6) {
            mutate(&mut bytes, seeds, words, &mut rng);
        }
        bytes.truncate(MAX_BYTES + 16);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&bytes)));
        if let Err(panic) = caught {
            eprintln!(
                "{name}: SWIVEL_FUZZ_SEED={seed}, run {runs}, input {:?}",
                String::from_utf8_lossy(&bytes)
            );
            eprintln!(
                "{name}: as hex {}",
                bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()
            );
            std::panic::resume_unwind(panic);
        }
        runs += 1;
    }
    println!("{name}: {runs} runs in {seconds} s");
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str], rng: &mut Rng) {
    let at = rng.below(bytes.len() as u64 + 1) as usize;
    match rng.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        1 if at < bytes.len() => {
            bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, b'\n', b' ', b'='][rng.below(8) as usize]
        }
        2 => bytes.truncate(at),
        3 => bytes.insert(at, rng.u32() as u8),
        4 if at < bytes.len() => {
            bytes.remove(at);
        }
        5 => {
            // A piece of it again, somewhere.
            let end = (at + rng.below(64) as usize).min(bytes.len());
            let piece = bytes[at.min(end)..end].to_vec();
            let to = rng.below(bytes.len() as u64 + 1) as usize;
            bytes.splice(to..to, piece);
        }
        6 => {
            // The head of this and the tail of another.
            let other = &seeds[rng.below(seeds.len() as u64) as usize];
            let from = rng.below(other.len() as u64 + 1) as usize;
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        7 if !words.is_empty() => {
            let word = words[rng.below(words.len() as u64) as usize];
            bytes.splice(at..at, word.bytes());
        }
        8 if bytes.len() >= 4 => {
            // A field of up to four bytes, to an edge of its range.
            let at = at.min(bytes.len() - 4);
            let value = [
                0u32,
                1,
                u32::MAX,
                0x7FFF_FFFF,
                0x8000_0000,
                0xFFFF,
                0x1_0000,
            ][rng.below(7) as usize];
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        _ => {}
    }
}

fn assert_safe_header(warning: &str) {
    assert!(!warning.contains(['\r', '\n', '\0']), "{warning:?}");
    assert_eq!(warning.matches('"').count(), 2, "{warning:?}");
}

fn latch(now: Instant) -> Latch {
    let config = LatchConfig {
        signalled: ([10, 0, 0, 1], 4000).into(),
        signalling_ip: IpAddr::from([192, 0, 2, 9]),
        nat: true,
        window: Duration::from_secs(3),
    };
    Latch::new(now, config)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time a fuzz run may take is real time"
)]
fn some_instant() -> Instant {
    Instant::now()
}

const SDP_WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "m=audio 4000 RTP/AVP 0 8 101\r\n",
    "m=video 0 RTP/AVP 31\r\n",
    "c=IN IP4 0.0.0.0\r\n",
    "c=IN IP6 ::1\r\n",
    "a=sendonly\r\n",
    "a=inactive\r\n",
    "a=rtcp-mux\r\n",
    "a=rtcp:99999999999 IN IP4 1.2.3.4\r\n",
    "a=ptime:0\r\n",
    "a=ptime:4294967296\r\n",
    "a=maxptime:-1\r\n",
    "a=rtpmap:101 telephone-event/8000\r\n",
    "a=fmtp:101 0-16\r\n",
    "a=fmtp:\r\n",
    "a=fmtp: \r\n",
    "a=rtpmap:0\r\n",
    "a=rtpmap:/ /\r\n",
    "65536",
    "-1",
    "18446744073709551616",
    "\u{0}",
    "é",
    "\"",
    "\\",
];

const TONE_WORDS: &[&str] = &[
    "%(",
    ")",
    ",",
    ";",
    "loops=",
    "-1",
    "99999999999",
    "NaN",
    "inf",
    "1e38",
    "v=",
    "é",
    "%(0,0,0)",
    "%(120000,0,1)",
];

fn sdp_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n",
        // A junk format, and an fmtp of no payload type: two known ways to bring other servers down.
        "v=0\r\no=- 1061502179 1061502179 IN IP4 1.2.3.4\r\ns=x\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=audio 17000 RTP/AVP 9 0 101\r\na=rtpmap:8 alaw/8000\r\na=fmtp:\r\na=fmtp:0\r\n",
        "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=message 17000 RTP/AVP 4294967296\r\nm=audio 17002 RTP/AVP \u{1}\r\n",
        // Packet lengths that multiply past 32 bits.
        "v=0\r\nc=IN IP4 1.2.3.4\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:65535\r\na=maxptime:4294967295\r\n",
        "c=IN IP6 2001:db8::5\nm=audio 5004/2 RTP/AVPF 96\na=rtpmap:96 PCMA/8000/1\na=rtcp:5010 IN IP6 2001:db8::6\na=mid:a\na=rtcp-mux\n",
        "m=image 0 udptl t38\nm=audio 0 RTP/AVP 0\nm=audio 6000 RTP/SAVP 0\na=crypto:1 x inline:y\n",
        "c=IN IP4 1.2.3.4\nm=audio 6000 RTP/SAVP 0 96\na=rtpmap:96 opus/48000/2\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\n",
        "c=IN IP4 0.0.0.0\na=group:BUNDLE 0\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuvwx\na=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\na=setup:actpass\na=mid:0\na=rtcp-mux\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn rtp(payload_type: u8, marker: bool, seq: u16, time: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        marker,
        payload_type,
        sequence: Seq(seq),
        timestamp: RtpTime(time),
        ssrc: 0x1234_5678,
    };
    let mut out = vec![0; Header::LEN + payload.len()];
    header.write(payload, &mut out).unwrap();
    out
}

fn rtp_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..40u16)
        .map(|i| {
            rtp(
                0,
                i == 0,
                65_520u16.wrapping_add(i),
                u32::from(i) * 160,
                &[0xD5; 160],
            )
        })
        .collect();
    seeds.push(rtp(13, true, 20, 3200, &[60]));
    let mut fancy = rtp(
        8,
        false,
        21,
        3360,
        &[1, 2, 3, 4, 0, 1, 0, 1, 9, 9, 9, 9, 7, 7, 7, 1],
    );
    fancy[0] = 0x80 | 0x20 | 0x10 | 1; // padding, extension, one CSRC
    seeds.push(fancy);
    seeds.extend(event_seeds());
    seeds
}

fn event_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for digit in 0..18u8 {
        for step in 1..6u16 {
            let payload = [
                digit,
                if step > 4 { 0x8A } else { 10 },
                ((step * 160) >> 8) as u8,
                (step * 160) as u8,
            ];
            seeds.push(rtp(
                101,
                step == 1,
                u16::from(digit) * 8 + step,
                u32::from(digit) * 2000,
                &payload,
            ));
        }
    }
    seeds.push(rtp(101, false, 300, 0xFFFF_0000, &[5, 10, 0xFF, 0xFF]));
    seeds.push(rtp(101, false, 301, 0xFFFF_FFFF, &[5, 10, 0xFF, 0xFF]));
    seeds
}

fn rtcp_seeds() -> Vec<Vec<u8>> {
    let info = SenderInfo {
        ntp: 0xE000_0000_8000_0000,
        rtp_time: 160,
        packets: 10,
        octets: 1600,
    };
    let block = ReportBlock {
        ssrc: 9,
        fraction_lost: 255,
        cumulative_lost: -1,
        highest_sequence: u32::MAX,
        jitter: 1,
        last_sr: 1,
        delay_since_last_sr: u32::MAX,
    };
    let mut seeds = Vec::new();
    for (sender, block, bye) in [
        (Some(info), Some(block), true),
        (None, Some(block), false),
        (None, None, false),
    ] {
        let mut out = [0; Report::MAX_LEN];
        let len = Report {
            ssrc: 5,
            sender,
            block,
            cname: "swivel@192.0.2.1",
            bye,
        }
        .write(&mut out)
        .unwrap();
        seeds.push(out[..len].to_vec());
    }
    seeds
}
