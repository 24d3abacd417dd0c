//! Too many strangers (`security.md` rows 10 and 35): calls that are up stay up, callers who are known get through, and
//! nobody is sent more than he sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::peer::{KNOWN, Peer, beside, known, offer, soak, stranger};
use super::server::Server;
use super::tools::now;

/// What a stranger's socket sent and got.
#[derive(Default)]
struct Traffic {
    packets_out: AtomicU64,
    bytes_out: AtomicU64,
    packets_in: AtomicU64,
    bytes_in: AtomicU64,
}

impl Traffic {
    fn read(&self) -> [u64; 4] {
        [
            &self.packets_out,
            &self.bytes_out,
            &self.packets_in,
            &self.bytes_in,
        ]
        .map(|n| n.load(Ordering::Relaxed))
    }
}

/// One stranger: sends `a_second` requests of three kinds until told to stop, and counts what comes back.
fn flood(n: u16, a_second: u64, port: u16, stop: Arc<AtomicBool>) -> Traffic {
    let peer = Peer::at(stranger(1000 + n));
    peer.socket.set_nonblocking(true).unwrap();
    let traffic = Traffic::default();
    let offer = offer(stranger(1000 + n), 40_000, "");
    let mut buffer = vec![0; 65_536];
    let mut drain = |traffic: &Traffic| {
        while let Ok(length) = peer.socket.recv(&mut buffer) {
            traffic.packets_in.fetch_add(1, Ordering::Relaxed);
            traffic.bytes_in.fetch_add(length as u64, Ordering::Relaxed);
        }
    };
    let begin = now();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        while sent < begin.elapsed().as_millis() as u64 * a_second / 1000 {
            let request = match sent % 3 {
                0 => peer.request(
                    "INVITE",
                    "sip:100@127.0.0.1",
                    "Content-Type: application/sdp\r\n",
                    &offer,
                ),
                1 => peer.request(
                    "REGISTER",
                    "sip:127.0.0.1",
                    "Expires: 3600\r\nUser-Agent: a stranger 1.0\r\n",
                    "",
                ),
                _ => peer.request(
                    "OPTIONS",
                    "sip:100@127.0.0.1",
                    "Accept: application/sdp\r\n",
                    "",
                ),
            };
            if peer
                .socket
                .send_to(request.as_bytes(), ("127.0.0.1", port))
                .is_ok()
            {
                traffic.packets_out.fetch_add(1, Ordering::Relaxed);
                traffic
                    .bytes_out
                    .fetch_add(request.len() as u64, Ordering::Relaxed);
            }
            sent += 1;
        }
        drain(&traffic);
        std::thread::sleep(Duration::from_millis(5));
    }
    // What was to be repeated would come now.
    for _ in 0..12 {
        std::thread::sleep(Duration::from_millis(100));
        drain(&traffic);
    }
    traffic
}

/// How far the packets of a call are from 20 ms after the one before, at the 99th percentile.
fn irregularity(peer: &Peer, stop: &AtomicBool) -> Duration {
    let mut last = None;
    let mut off = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if peer.receive(Duration::from_millis(100)).is_some() {
            let at = now();
            if let Some(before) = last.replace(at) {
                let apart: Duration = at - before;
                off.push(apart.abs_diff(Duration::from_millis(20)));
            }
        }
    }
    off.sort();
    assert!(off.len() > 50, "only {} packets came", off.len());
    off[off.len() * 99 / 100]
}

/// Row 35 for one request at a time, the shortest that phones and scanners send.
#[test]
fn an_answer_to_a_stranger_is_one_packet_and_not_much_longer_than_his_request() {
    let server = Server::for_sip(&[], json!({}));
    let mut wrong = Vec::new();
    for (n, (method, uri, lines)) in [
        ("INVITE", "sip:100@127.0.0.1", ""),
        ("REGISTER", "sip:127.0.0.1", "Expires: 3600\r\n"),
        ("OPTIONS", "sip:100@127.0.0.1", ""),
        ("SUBSCRIBE", "sip:100@127.0.0.1", "Event: presence\r\n"),
        ("MESSAGE", "sip:100@127.0.0.1", ""),
        ("BYE", "sip:100@127.0.0.1", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let peer = Peer::at(stranger(2000 + n as u16));
        let request = peer.request(method, uri, lines, "");
        peer.send(request.as_bytes(), server.sip);
        let answers: Vec<String> =
            std::iter::from_fn(|| peer.receive(Duration::from_millis(1200))).collect();
        let bytes: usize = answers.iter().map(String::len).sum();
        println!(
            "{method}: {} bytes, answered by {} packets of {bytes} bytes",
            request.len(),
            answers.len()
        );
        if answers.len() > 1 || bytes * 2 > request.len() * 3 {
            wrong.push(format!(
                "{method}: {} bytes of {} packets for {}\n{answers:?}",
                bytes,
                answers.len(),
                request.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_flood_of_strangers_disturbs_nobody_and_is_not_amplified() {
    let lasts = json!({"module": "play", "data": {"id": "tone_stream://%(200,0,440);loops=-1"}, "children": {}});
    let documents = json!({
        "devices": [{"name": "known", "sip": {"method": "ip", "ip": KNOWN}}],
        "callflows": [{"name": "lasts", "numbers": ["700"], "flow": lasts}],
    });
    let mut server = Server::for_sip(
        &[
            ("SWIVEL_LOG__LEVEL", "info"),
            ("SWIVEL_RTP__TIMEOUT_SECONDS", "0"),
        ],
        documents,
    );
    let (seconds, a_second, calls) = if soak() { (60, 1000, 100) } else { (5, 100, 5) };
    let before: Vec<_> = (0..calls)
        .map(|n| {
            let (caller, rtp) = (Peer::at(known(10 + n)), Peer::at(known(10 + n)));
            let port = rtp.socket.local_addr().unwrap().port();
            let call = caller.call("700", &offer(known(10 + n), port, ""), server.sip);
            assert_eq!(call.status(), 200, "{:?}", call.answer);
            (caller, rtp, call)
        })
        .collect();
    let resident = server.resident();

    let stop = Arc::new(AtomicBool::new(false));
    let (ending, listened) = (Arc::clone(&stop), before[0].1.socket.try_clone().unwrap());
    let listening = beside(move || irregularity(&Peer { socket: listened }, &ending));
    let floods: Vec<_> = (0..20)
        .map(|n| {
            let (stop, port) = (Arc::clone(&stop), server.sip);
            beside(move || flood(n, a_second, port, stop))
        })
        .collect();
    let begin = now();
    let mut times = Vec::new();
    while begin.elapsed() < Duration::from_secs(seconds) {
        let peer = Peer::at(known(2));
        let placed = peer.call("700", &offer(known(2), 42_000, ""), server.sip);
        assert_eq!(
            placed.status(),
            200,
            "a call placed during the flood: {:?}",
            placed.answer
        );
        times.push(placed.took);
        assert_eq!(placed.hang_up(&peer), 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    stop.store(true, Ordering::Relaxed);
    let traffic: Vec<[u64; 4]> = floods
        .into_iter()
        .map(|flood| flood.join().unwrap().read())
        .collect();
    let sum = |at: usize| traffic.iter().map(|t| t[at]).sum::<u64>();
    let (packets_out, bytes_out, packets_in, bytes_in) = (sum(0), sum(1), sum(2), sum(3));
    times.sort();
    let worst = *times.last().unwrap();
    let grown = server.resident().saturating_sub(resident) >> 10;
    println!(
        "{packets_out} requests in {seconds} s; {} new calls, slowest {worst:?}; answers {packets_in} ({:.2} of the packets, \
         {:.2} of the bytes); memory +{grown} KiB",
        times.len(),
        packets_in as f64 / packets_out as f64,
        bytes_in as f64 / bytes_out as f64
    );
    assert!(
        packets_out > 20 * seconds * a_second / 3,
        "the flood itself was slow: {packets_out}"
    );
    // A disk that stalls holds up the record of a call, flood or not: that may happen to one in ten.
    let usual = times[times.len() * 9 / 10 - usize::from(times.len() % 10 == 0)];
    assert!(usual < Duration::from_secs(1), "new calls take {usual:?}");
    assert!(worst < Duration::from_secs(5), "slowest new call {worst:?}");
    assert!(packets_in <= packets_out);
    assert!(
        bytes_in * 2 <= bytes_out * 3,
        "{bytes_in} bytes came back for {bytes_out}"
    );
    let late = listening.join().unwrap();
    println!("packets of a call are {late:?} off their time at the 99th percentile");
    // A measurement: the short form runs beside other tests.
    assert!(!soak() || late < Duration::from_millis(10), "{late:?}");
    assert!(grown < 20 << 10, "memory grew by {grown} KiB");
    for (caller, _, call) in &before {
        assert_eq!(call.hang_up(caller), 200, "the calls from before are there");
    }
    server.assert_running();
}
