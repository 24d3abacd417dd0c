//! RTP sprayed at every port while calls are up, and before and after (`security.md` row 13): none of it comes back, and
//! the calls go on.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::peer::{KNOWN, Peer, beside, known, offer, soak, stranger};
use super::server::Server;
use super::tools::now;

/// The RTP ports of the server.
fn ports(server: &Server) -> std::ops::RangeInclusive<u16> {
    let text = std::fs::read_to_string(server.config()).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("ports = "))
        .unwrap();
    let range = line.trim_start_matches("ports = ").trim_matches('"');
    let (first, last) = range.split_once('-').unwrap();
    first.parse().unwrap()..=last.parse().unwrap()
}

/// Sends 200 packets to each port, over and over; how many packets have come back.
fn spray(ports: std::ops::RangeInclusive<u16>, stop: &AtomicBool, sent: &AtomicU64) -> u64 {
    let socket = UdpSocket::bind((stranger(900), 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let (mut back, mut n) = (0, 0_u32);
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        for port in ports.clone() {
            for payload_type in [0x80, 8, 101] {
                n += 1;
                let mut packet = vec![0x80, payload_type];
                packet.extend((n as u16).to_be_bytes());
                packet.extend((n * 160).to_be_bytes());
                packet.extend((n / 997).to_be_bytes());
                // A key, to whoever takes it for one.
                packet.extend([5, 0x8a, 3, 0x20]);
                packet.resize(172, 0x11);
                socket.send_to(&packet, ("127.0.0.1", port)).ok();
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        while socket.recv(&mut buffer).is_ok() {
            back += 1;
        }
        // Loopback takes more than two processors can look at.
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    while socket.recv(&mut buffer).is_ok() {
        back += 1;
    }
    back
}

#[test]
fn rtp_sprayed_at_all_ports_draws_nothing_and_disturbs_no_call() {
    let (calls, length) = if soak() { (50, 60) } else { (10, 5) };
    let plays = json!({"module": "play", "data": {"id": "tone_stream://%(200,0,440);loops=-1", "terminators": ["1", "5", "#"]},
                       "children": {}});
    let documents = json!({
        "devices": [{"name": "known", "sip": {"method": "ip", "ip": KNOWN}}],
        "callflows": [{"name": "plays", "numbers": ["700"], "flow": plays}],
    });
    let mut server = Server::start(&[], documents);
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let (ending, count, range) = (stop.clone(), sent.clone(), ports(&server));
    let attacker = beside(move || spray(range, &ending, &count));
    // It sprays before, while and after calls are answered.
    let mut up = Vec::new();
    for n in 0..calls {
        let peer = Peer::at(known(n));
        let rtp = UdpSocket::bind((known(n), 0)).unwrap();
        rtp.set_nonblocking(true).unwrap();
        let port = rtp.local_addr().unwrap().port();
        let call = peer.call("700", &offer(known(n), port, ""), server.sip);
        assert_eq!(call.status(), 200, "call {n}");
        up.push((peer, rtp, call));
    }
    let mut buffer = [0; 2048];
    let mut drain = |rtp: &UdpSocket| {
        let mut count = 0;
        while rtp.recv(&mut buffer).is_ok() {
            count += 1;
        }
        count
    };
    for (_, rtp, _) in &up {
        drain(rtp);
    }
    let begin = now();
    let mut heard = vec![0_u32; up.len()];
    while begin.elapsed() < Duration::from_secs(length) {
        std::thread::sleep(Duration::from_millis(100));
        for (heard, (_, rtp, _)) in heard.iter_mut().zip(&up) {
            *heard += drain(rtp);
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let back = attacker.join().unwrap();
    let sent = sent.load(Ordering::Relaxed);
    println!("{sent} packets sprayed, {back} came back; heard {heard:?} in {seconds:.1} s");
    assert_eq!(back, 0, "packets to who sprays");
    // Fifty a second are played; a busy machine may be late.
    let least = (seconds * 40.0) as u32;
    assert!(heard.iter().all(|heard| *heard >= least), "{heard:?}");
    let channels = server.data("channels");
    assert_eq!(
        channels.as_array().unwrap().len(),
        up.len(),
        "no key was heard, no call has ended"
    );
    for (peer, _, call) in &up {
        assert_eq!(call.hang_up(peer), 200);
    }
    server.assert_running();
}
