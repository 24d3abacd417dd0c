//! Mutation fuzzing of the SIP parsers on stable Rust: the messages of `tests/vectors/sip` (and of the RFCs where they
//! are there), changed at random, go through everything that reads bytes of strangers. Nothing may panic, hang or let a
//! line end through.
//!
//! `SWIVEL_FUZZ_SECONDS` is the time for each target (2 by default); `SWIVEL_FUZZ_SEED` replays a run.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use swivel::base::rng::Rng;
use swivel::sip::digest::{Challenge, Credentials};
use swivel::sip::gate::stateless_response;
use swivel::sip::msg::{
    CSeq, Event, MediaType, Message, MinSe, Name, NameAddr, RAck, Reason, Replaces, RetryAfter,
    SessionExpires, Uri, Via,
};
use swivel::sip::wire::{Framed, Limits, Malformed, StreamFramer, parse_datagram, peek};

/// Longest time one input may take. Generous: an unoptimised build on a busy machine needs some milliseconds.
const HANG: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "a fuzz run has a budget of real time"
)]
fn now() -> Instant {
    Instant::now()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

#[expect(
    clippy::print_stdout,
    reason = "how much was tried is the result of a fuzz run"
)]
fn report(name: &str, runs: u64, seed: u64) {
    println!("{name}: {runs} inputs, seed {seed}");
}

/// Runs a target on mutated seeds until the time is over.
pub fn run(name: &str, seeds: &[Vec<u8>], words: &[&[u8]], target: impl Fn(&[u8])) {
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let seed = setting("SWIVEL_FUZZ_SEED", 1);
    let budget = Duration::from_secs(setting("SWIVEL_FUZZ_SECONDS", 2));
    let mut rng = Rng::seeded(seed);
    let begin = now();
    let mut runs = 0u64;
    for input in seeds {
        target(input);
    }
    while now().duration_since(begin) < budget {
        let input = mutated(&mut rng, seeds, words);
        let before = on_processor();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&input)));
        let took = on_processor() - before;
        runs += 1;
        assert!(
            result.is_ok(),
            "{name}, seed {seed}, run {runs}: panic on {:?}",
            Bytes::from(input)
        );
        assert!(
            took < HANG,
            "{name}, seed {seed}, run {runs}: {took:?} on {:?}",
            Bytes::from(input)
        );
    }
    report(name, runs, seed);
}

/// Processor time of this thread: a busy machine is no hang.
fn on_processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.below(from.len() as u64) as usize]
}

fn mutated(rng: &mut Rng, seeds: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut out = pick(rng, seeds).clone();
    for _ in 0..=rng.below(6) {
        let at = rng.below(out.len() as u64 + 1) as usize;
        let length = rng.below(1 + rng.clone().below(40)) as usize;
        let end = (at + length).min(out.len());
        match rng.below(10) {
            0 if at < out.len() => out[at] = rng.u32() as u8,
            1 if at < out.len() => out[at] ^= 1 << rng.below(8),
            2 => drop(out.drain(at..end)),
            3 => drop(out.splice(at..end, pick(rng, words).iter().copied())),
            4 => drop(out.splice(at..at, pick(rng, words).iter().copied())),
            5 => {
                let piece = out[at..end].to_vec();
                let times = 1 + rng.below(30) as usize;
                drop(out.splice(at..at, piece.repeat(times)));
            }
            6 => out.truncate(at),
            7 => {
                let other = pick(rng, seeds);
                let from = rng.below(other.len() as u64 + 1) as usize;
                out.truncate(at);
                out.extend_from_slice(&other[from..]);
            }
            8 => {
                // A number somewhere becomes another one.
                if let Some(digit) = out[at..]
                    .iter()
                    .position(u8::is_ascii_digit)
                    .map(|p| p + at)
                {
                    let digits = out[digit..]
                        .iter()
                        .take_while(|b| b.is_ascii_digit())
                        .count();
                    let numbers = [
                        "0",
                        "-1",
                        "1",
                        "255",
                        "256",
                        "65535",
                        "65536",
                        "2147483648",
                        "4294967296",
                        "99999999999999999999",
                    ];
                    drop(out.splice(digit..digit + digits, pick(rng, &numbers).bytes()));
                }
            }
            _ => {
                // A line is moved or repeated.
                let lines: Vec<&[u8]> = out.split_inclusive(|&b| b == b'\n').collect();
                let line = pick(rng, &lines).to_vec();
                let start: usize = lines
                    .iter()
                    .take(rng.below(lines.len() as u64) as usize)
                    .map(|l| l.len())
                    .sum();
                drop(out.splice(start..start, line));
            }
        }
        if out.is_empty() {
            out.push(b'\n');
        }
        out.truncate(70_000);
    }
    out
}

fn messages() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "tests/vectors/sip",
        "../shared/vectors/rfc4475",
        "../shared/vectors/rfc5118",
    ];
    folders
        .iter()
        .filter_map(|folder| fs::read_dir(root.join(folder)).ok())
        .flatten()
        .filter_map(|entry| fs::read(entry.ok()?.path()).ok())
        .collect()
}

const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\r\n ",
    b"\r\n\t",
    b"\r\n\r\n",
    b" ",
    b":",
    b";",
    b",",
    b"=",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"\\\"",
    b"@",
    b"%00",
    b"%",
    b"[",
    b"]",
    b"::",
    b"?",
    b"*",
    b"/",
    b"\xff",
    b"\xc3\xa9",
    b"SIP/2.0",
    b"Via: ",
    b"v:",
    b"Content-Length: ",
    b"l:",
    b"CSeq: ",
    b"Contact: *\r\n",
    b";tag=",
    b";branch=z9hG4bK",
    b";rport",
    b";received=",
    b"sip:",
    b"sips:",
    b"tel:",
    b"urn:",
    b"Digest ",
    b"nonce=\"",
    b"application/sdp",
    b";lr",
    b"INVITE",
    b"ACK",
    b"REGISTER",
];

/// Everything a message is asked for.
fn ask(message: &Message) {
    let (_, _, _, _) = (
        message.top_via(),
        message.from(),
        message.to(),
        message.cseq(),
    );
    let (_, _, _, _) = (
        message.contacts(),
        message.routes(),
        message.record_routes(),
        message.content_type(),
    );
    let (_, _, _) = (message.uri(), message.max_forwards(), message.expires());
    for name in [Name::Supported, Name::Require, Name::Allow, Name::Accept] {
        let _ = message.tokens(name).len();
    }
    let _ = (
        Credentials::of(message, "pbx.example"),
        Challenge::of(message),
    );
    for header in message.headers.iter() {
        assert!(
            !header.value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')),
            "{:?}",
            header.value
        );
    }
}

fn sip_message(input: &[u8]) {
    let limits = Limits::default();
    let _ = peek(input);
    let source = "192.0.2.1:5060".parse().unwrap();
    match parse_datagram(Bytes::copy_from_slice(input), &limits) {
        Ok(message) => {
            ask(&message);
            let written = message.to_bytes();
            // One line may hold many values, which are written on lines of their own.
            let lines = written.windows(2).filter(|two| two == b"\r\n").count();
            if written.len() <= limits.total && lines <= limits.headers {
                let again = parse_datagram(written, &limits).expect("what we write we can read");
                assert_eq!((&again.start, &again.body), (&message.start, &message.body));
                assert_eq!(again.to_bytes(), message.to_bytes());
            }
            if let Some(answer) = stateless_response(401, "", &[], &message, source, "tag") {
                parse_datagram(answer, &limits).expect("an answer to a good request is good");
            }
        }
        Err(Malformed { error, readable }) => {
            assert!(error.status() >= 400 && !error.reason().contains(['\r', '\n', '\0']));
            if let Some(request) = readable {
                ask(&request);
                let answer = stateless_response(
                    error.status(),
                    &error.reason(),
                    &[],
                    &request,
                    source,
                    "tag",
                )
                .unwrap();
                assert!(answer.len() < input.len() + 512);
            }
        }
    }
}

#[test]
fn no_message_makes_the_parser_panic_or_hang() {
    run("sip_message", &messages(), WORDS, sip_message);
}

#[test]
fn no_stream_makes_the_framer_panic_hang_or_grow() {
    run("sip_stream", &messages(), WORDS, |input| {
        let mut framer = StreamFramer::new(Limits::default());
        let size = 1 + input.first().copied().map_or(0, usize::from) * 16;
        let mut taken = 0;
        for piece in input.chunks(size) {
            framer.push(now(), piece);
            for item in framer.by_ref() {
                match item {
                    Framed::Message(bytes) => {
                        taken += bytes.len();
                        assert!(bytes.len() <= Limits::default().total);
                        drop(parse_datagram(bytes, &Limits::default()));
                    }
                    Framed::Ping | Framed::Pong => {}
                    Framed::Fatal { readable, .. } => {
                        if let Some(request) = readable {
                            ask(&request);
                        }
                    }
                }
            }
        }
        assert!(taken <= input.len());
    });
}

fn samples(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A value that is read can be written, and reads the same again.
fn round_trip<T: PartialEq + std::fmt::Debug + std::fmt::Display, E: std::fmt::Debug>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) {
    if let Ok(value) = parse(text) {
        let written = value.to_string();
        match parse(&written) {
            Ok(again) => assert_eq!(again, value, "{text:?} → {written:?}"),
            Err(e) => panic!("{text:?} → {written:?}: {e:?}"),
        }
    }
}

#[test]
fn no_uri_makes_its_parser_panic() {
    let seeds = samples(&[
        "sip:alice:pw@example.com:5060;transport=tcp;lr?a=b&c=d",
        "sips:[2001:db8::1]:5061;maddr=[::1]",
        "tel:+1-201-555-0123;phone-context=example.com",
        "urn:service:sos",
        "sip:%00%ff@h;gr=urn:uuid:1",
    ]);
    run("uri", &seeds, WORDS, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        round_trip(text, Uri::parse);
        if let Ok(uri) = Uri::parse(text) {
            assert!(uri.equivalent(&uri));
            let _ = uri.user_text();
        }
    });
}

#[test]
fn no_address_makes_its_parser_panic() {
    let seeds = samples(&[
        "\"A \\\" B\" <sip:a@b;x=y?h=v>;tag=1;+sip.instance=\"<urn:uuid:1>\"",
        "A B <tel:+1>;q=0.5",
        "sip:a@b;tag=1",
        "<sip:a@b>, \"c, d\" <sip:e@f>;expires=60",
    ]);
    run("name_addr", &seeds, WORDS, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        round_trip(text, NameAddr::parse);
        drop(NameAddr::parse_list(text));
    });
}

#[test]
fn no_via_makes_its_parser_panic() {
    let seeds = samples(&[
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport;received=192.0.2.2;ttl=1;maddr=h;x=\"y;z\"",
        "SIP / 2.0 / TLS [2001:db8::1] : 5061 ; branch = z9hG4bK2 ; received=[::1]",
        "SIP/2.0/UDP a;branch=1, SIP/2.0/TCP b",
    ]);
    run("via", &seeds, WORDS, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        round_trip(text, Via::parse);
        if let Some(mut via) = Via::first_lenient(text) {
            via.note_source("[2001:db8::7]:40000".parse().unwrap());
            let _ = via.reply_address();
        }
    });
}

#[test]
fn no_authorization_makes_its_parser_panic() {
    let seeds = samples(&[
        "Digest username=\"bob\", realm=\"x\", nonce=\"n\", uri=\"sip:a@b,c\", response=\"00\", algorithm=SHA-256, \
         opaque=\"o\\\"\", qop=auth, cnonce=\"c\", nc=00000001",
        "Digest realm=\"x\", nonce=\"n\", opaque=\"\", stale=true, algorithm=MD5, qop=\"auth,auth-int\"",
        "Basic eDp5",
    ]);
    run("auth", &seeds, WORDS, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        if let Ok(credentials) = Credentials::parse(text) {
            let written = credentials.to_string();
            assert!(!written.contains(['\r', '\n', '\0']));
            let _ = credentials.nonce_count();
        }
        if let Ok(challenge) = Challenge::parse(text) {
            assert!(!challenge.to_string().contains(['\r', '\n', '\0']));
        }
    });
}

#[test]
fn no_small_header_makes_its_parser_panic() {
    let seeds = samples(&[
        "1 INVITE",
        "776656 1 INVITE",
        "1800;refresher=uac",
        "120 (in a meeting);duration=3600",
        "Q.850;cause=16;text=\"bye \\\" now\"",
        "id@h;to-tag=1;from-tag=2;early-only",
        "refer;id=1",
        "multipart/mixed;boundary=\"a;b\";x=y",
    ]);
    run("small_headers", &seeds, WORDS, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        round_trip(text, CSeq::parse);
        round_trip(text, RAck::parse);
        round_trip(text, SessionExpires::parse);
        round_trip(text, MinSe::parse);
        round_trip(text, RetryAfter::parse);
        round_trip(text, Reason::parse);
        round_trip(text, Replaces::parse);
        round_trip(text, Event::parse);
        round_trip(text, MediaType::parse);
    });
}
