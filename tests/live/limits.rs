//! What the machine allows used up (`security.md` row 31).

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::peer::{KNOWN, Peer, known, offer};
use super::server::Server;
use super::tools::{eventually, now};

/// With 256 files allowed, one call needs two of them and a connection one: calls are refused, nothing spins, and when
/// they are over everything is as before.
#[test]
fn few_files_allowed_refuse_calls_and_do_not_spin() {
    let lasts = json!({"module": "answer", "data": {}, "children": {"_": {"module": "sleep", "data": {"duration": 120}, "children": {}}}});
    let documents = json!({
        "devices": [{"name": "known", "sip": {"method": "ip", "ip": KNOWN}}],
        "callflows": [{"name": "lasts", "numbers": ["700"], "flow": lasts}],
    });
    let mut server = Server::with_few_files(256, documents);
    let peer = Peer::at(known(1));
    let mut placed = Vec::new();
    let mut refused = 0;
    for n in 0..200_u16 {
        let call = peer.call("700", &offer(known(1), 30_000 + 2 * n, ""), server.sip);
        match call.status() {
            200 => placed.push(call),
            503 => refused += 1,
            other => panic!("call {n} got {other}"),
        }
        if refused >= 10 {
            break;
        }
    }
    println!("{} calls, {refused} refused", placed.len());
    assert!(placed.len() >= 10, "only {} calls had ports", placed.len());
    assert!(refused >= 10, "all {} calls had ports", placed.len());
    // Connections take what is left.
    let lines: Vec<_> = (0..300)
        .filter_map(|_| {
            let server = ([127, 0, 0, 1], server.sip).into();
            TcpStream::connect_timeout(&server, Duration::from_secs(1)).ok()
        })
        .collect();
    let (begun, before) = (now(), server.busy());
    std::thread::sleep(Duration::from_secs(4));
    let used = (server.busy() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("{} connections, {used:.2} of a core", lines.len());
    assert!(used < 0.6, "{used:.2} of a core is spent on nothing");
    server.assert_running();
    assert!(
        peer.options(server.sip).is_some(),
        "datagrams are answered all the while"
    );
    drop(lines);
    for call in &placed {
        call.hang_up(&peer);
    }
    eventually("a call afterwards", Duration::from_secs(30), || {
        let call = peer.call("700", &offer(known(1), 40_000, ""), server.sip);
        (call.status() == 200).then(|| call.hang_up(&peer))
    });
}
