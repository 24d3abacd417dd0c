//! Telephones that register: every one asks, is challenged, and proves who it is.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};

use super::{Server, header};

/// How many telephones share a name.
pub(crate) const CONTACTS: usize = 10;
pub(crate) const PASSWORD: &str = "not-a-secret-of-anybody";
const REALM: &str = "bench.test";

/// Registers so many Contacts at that rate, and prints what it cost.
pub(crate) fn run(server: &Server, rate: f64, bindings: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let me = socket.local_addr().unwrap();
    let before = server.usage();
    let begun = Instant::now();
    let mut open: HashMap<usize, Instant> = HashMap::new();
    let (mut sent, mut granted, mut refused) = (0, 0, 0);
    let mut times = Vec::with_capacity(bindings);
    let mut buffer = vec![0; 65_536];
    let mut sending = Duration::ZERO;
    let mut last = Instant::now();
    while granted + refused < bindings && last.elapsed() < Duration::from_secs(10) {
        let due = ((begun.elapsed().as_secs_f64() * rate) as usize).min(bindings);
        while sent < due {
            let request = register(sent, me, 1, "");
            socket.send_to(request.as_bytes(), server.sip).ok();
            open.insert(sent, Instant::now());
            sent += 1;
            sending = begun.elapsed();
        }
        let mut idle = true;
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            (idle, last) = (false, Instant::now());
            let text = String::from_utf8_lossy(&buffer[..length]);
            let call_id = header(&text, "Call-ID");
            let Some(n) = call_id.strip_prefix("reg-").and_then(|n| n.parse().ok()) else {
                continue;
            };
            if text.starts_with("SIP/2.0 401") && header(&text, "CSeq").starts_with("1 ") {
                let proof = proof(n, &text);
                let request = register(n, me, 2, &proof);
                socket.send_to(request.as_bytes(), server.sip).ok();
            } else if let Some(asked) = open.remove(&n) {
                if text.starts_with("SIP/2.0 200") {
                    granted += 1;
                    times.push(asked.elapsed());
                } else {
                    refused += 1;
                }
            }
        }
        if idle {
            std::thread::sleep(Duration::from_micros(300));
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    let after = server.usage();
    times.sort();
    let at = |share: f64| times.get(((times.len() as f64 - 1.0) * share) as usize);
    println!(
        "register: {bindings} bindings of {} names asked for at {rate}/s, {:.0}/s made",
        bindings.div_ceil(CONTACTS),
        sent as f64 / sending.as_secs_f64()
    );
    println!(
        "  granted {granted}, refused {refused}, without an answer {}",
        bindings - granted - refused
    );
    println!(
        "  server CPU a binding (both requests) {:.3} ms, syncs {:.4}",
        (after.cpu - before.cpu).as_secs_f64() * 1000.0 / granted.max(1) as f64,
        (after.fsyncs - before.fsyncs) as f64 / granted.max(1) as f64
    );
    println!(
        "  first request to 200: p50 {:?} p99 {:?}",
        at(0.5).unwrap_or(&Duration::ZERO),
        at(0.99).unwrap_or(&Duration::ZERO)
    );
    println!(
        "  RSS {} → {} KiB, {:.2} KiB a binding",
        before.rss_kib,
        after.rss_kib,
        after.rss_kib.saturating_sub(before.rss_kib) as f64 / granted.max(1) as f64
    );
}

/// The name of a binding's telephone.
pub(crate) fn name(binding: usize) -> String {
    format!("u{}", binding / CONTACTS)
}

fn register(n: usize, me: SocketAddr, cseq: u32, more: &str) -> String {
    let user = name(n);
    format!(
        "REGISTER sip:{REALM} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKr{cseq}x{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{REALM}>;tag=r{n}\r\nTo: <sip:{user}@{REALM}>\r\nCall-ID: reg-{n}\r\nCSeq: {cseq} REGISTER\r\n\
         Contact: <sip:{user}@{me};line={n}>\r\nExpires: 3600\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// The Authorization header that answers an MD5 challenge (RFC 2617 §3.2.2).
fn proof(n: usize, challenge: &str) -> String {
    let hash = |text: String| hex::encode(Md5::digest(text));
    let lines = challenge.lines();
    let line = lines
        .filter(|line| line.starts_with("WWW-Authenticate"))
        .find(|l| l.contains("MD5"));
    let line = line.unwrap_or_default();
    let nonce = line
        .split("nonce=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let (nonce, user) = (nonce.unwrap_or_default(), name(n));
    let first = hash(format!("{user}:{REALM}:{PASSWORD}"));
    let second = hash(format!("REGISTER:sip:{REALM}"));
    let response = hash(format!("{first}:{nonce}:00000001:c{n}:auth:{second}"));
    format!(
        "Authorization: Digest username=\"{user}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"sip:{REALM}\", \
         response=\"{response}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c{n}\"\r\n"
    )
}
