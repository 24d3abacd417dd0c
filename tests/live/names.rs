//! How long an answer of a name server holds (RFC 3263 §4, `sip.md` §4): as long as its TTL says, against a name server of
//! the test's own.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use swivel::base::rng::Rng;
use swivel::net::{DnsConfig, Resolver};

use super::peer::beside;
use super::tools::{eventually, now};

/// What the server says and was asked.
struct Zone {
    address: Ipv4Addr,
    asked: Vec<Instant>,
}

const TTL_SECONDS: u32 = 6;
/// The type of an address record.
const A: [u8; 2] = [0, 1];

/// Answers a question for addresses with the one the zone has, and any other with nothing.
fn answer(question: &[u8], zone: &Mutex<Zone>) -> Option<Vec<u8>> {
    let mut end = 12;
    while *question.get(end)? != 0 {
        end += usize::from(question[end]) + 1;
    }
    let asked = question.get(12..end + 5)?;
    let is_address = question.get(end + 1..end + 3)? == A;
    // The same id; an answer, recursion available; one question, one answer or none.
    let mut reply = question.get(..2)?.to_vec();
    reply.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    reply.extend(asked);
    if is_address {
        let mut zone = zone.lock().unwrap();
        zone.asked.push(now());
        // The name is the one of the question.
        reply.extend([0xc0, 12, 0, 1, 0, 1]);
        reply.extend(TTL_SECONDS.to_be_bytes());
        reply.extend([0, 4]);
        reply.extend(zone.address.octets());
    }
    Some(reply)
}

#[test]
fn an_answer_of_a_name_server_holds_for_its_ttl_and_no_longer() {
    let zone = Arc::new(Mutex::new(Zone {
        address: [192, 0, 2, 1].into(),
        asked: Vec::new(),
    }));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let servers = vec![socket.local_addr().unwrap().to_string().parse().unwrap()];
    let of_server = zone.clone();
    drop(beside(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(reply) = answer(&buffer[..length], &of_server) {
                socket.send_to(&reply, from).ok();
            }
        }
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let config = DnsConfig {
        servers,
        ..DnsConfig::default()
    };
    let resolver = Resolver::new(&config, runtime.handle().clone(), Rng::seeded(1)).unwrap();
    let found = || {
        let targets = resolver.resolve("carrier.test", Some(5060), None, false);
        let targets = runtime.block_on(targets).unwrap();
        targets[0].addr.ip().to_string()
    };
    assert_eq!(found(), "192.0.2.1");
    zone.lock().unwrap().address = [192, 0, 2, 2].into();
    let soon = now();
    let same = found();
    // A machine that stood still in between has said nothing about it.
    if soon.elapsed() < Duration::from_secs(3) {
        assert_eq!(same, "192.0.2.1", "the answer holds");
    }
    eventually("the new address", Duration::from_secs(30), || {
        std::thread::sleep(Duration::from_millis(200));
        (found() == "192.0.2.2").then_some(())
    });
    let asked = zone.lock().unwrap().asked.clone();
    let held = asked[1] - asked[0];
    let ttl = Duration::from_secs(u64::from(TTL_SECONDS));
    assert!(
        held >= ttl - Duration::from_secs(1),
        "asked again after {held:?}"
    );
}
