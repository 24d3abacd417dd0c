//! kill -9 under load (decisions 27): the store opens, no acknowledged document is missing, and no call that was
//! answered is without exactly one record. `SWIVEL_TEST_TIER=soak` runs 500 rounds, otherwise 5.

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::server::{Server, encoded};
use super::tools::{eventually, now};

#[test]
fn kill_9_under_load_loses_nothing_that_was_acknowledged() {
    let rounds = if std::env::var("SWIVEL_TEST_TIER").is_ok_and(|tier| tier == "soak") {
        500
    } else {
        5
    };
    let flow = json!({"module": "answer", "data": {}, "children": {"_":
        {"module": "sleep", "data": {"duration": 300, "unit": "ms"}, "children": {}}}});
    let mut server = Server::with_flows(&[("1000", flow)]);
    for round in 0..rounds {
        // Records of this round: the list of all grows with the rounds.
        let recent = format!("cdrs?paginate=false&created_from={}", gregorian() - 60);
        let stop = Arc::new(AtomicBool::new(false));
        let answered: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let load = {
            let (sip, stop, answered) = (server.sip, stop.clone(), answered.clone());
            std::thread::spawn(move || place_calls(sip, round, &stop, &answered))
        };
        let saved = save_menus(
            &server,
            Duration::from_millis(200 + 350 * (round as u64 % 5)),
        );
        eventually(
            &format!("round {round}: a call is answered before the kill"),
            Duration::from_secs(30),
            || (!answered.lock().unwrap().is_empty()).then_some(()),
        );
        server.kill_and_restart();
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap();
        for id in saved {
            assert_eq!(
                server.get(&format!("menus/{id}")).status,
                200,
                "round {round}: menu {id} was acknowledged"
            );
        }
        let answered = answered.lock().unwrap().clone();
        // Calls placed after the restart may still be up; all others have their record already.
        eventually(
            &format!("round {round}: one record of every answered call"),
            Duration::from_secs(30),
            || {
                let mut records: BTreeMap<String, u32> = BTreeMap::new();
                for row in server.data(&recent).as_array().unwrap() {
                    *records
                        .entry(row["call_id"].as_str().unwrap().to_owned())
                        .or_default() += 1;
                }
                let twice: Vec<_> = records.iter().filter(|(_, count)| **count > 1).collect();
                assert!(
                    twice.is_empty(),
                    "round {round}: calls with several records: {twice:?}"
                );
                answered
                    .iter()
                    .all(|call_id| records.contains_key(call_id))
                    .then_some(())
            },
        );
        let some = answered.iter().next().unwrap();
        let month = server.data("cdrs?page_size=1")[0]["id"].as_str().unwrap()[..6].to_owned();
        assert_eq!(
            server
                .get(&format!("cdrs/{}", encoded(&format!("{month}-{some}"))))
                .status,
            200
        );
    }
}

/// Seconds since the year 0, as KAZOO counts.
fn gregorian() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    unix.as_secs() + 62_167_219_200
}

/// Creates menus through the API until the time is up; returns those that were acknowledged.
fn save_menus(server: &Server, during: Duration) -> Vec<String> {
    let until = now() + during;
    let mut saved = Vec::new();
    while now() < until {
        if let Some(id) = server.create("menus", &json!({"name": format!("menu {}", saved.len())}))
        {
            saved.push(id);
        }
    }
    saved
}

/// About 200 calls a second in raw text; notes the Call-ID of every 200 that came back.
pub(crate) fn place_calls(
    sip: u16,
    round: u32,
    stop: &AtomicBool,
    answered: &Mutex<BTreeSet<String>>,
) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    let me = socket.local_addr().unwrap();
    let to = format!("127.0.0.1:{sip}");
    let mut buffer = vec![0; 65_536];
    let mut n = 0u32;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let sdp = format!(
            "v=0\r\no=- {n} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
            me.port()
        );
        let invite = format!(
            "INVITE sip:1000@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKr{round}n{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:crash@{me}>;tag=f{n}\r\nTo: <sip:1000@{to}>\r\nCall-ID: round{round}-call{n}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:crash@{me}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        // While the server is down the port is closed; that is what this test is about.
        drop(socket.send_to(invite.as_bytes(), &to));
        let turn = now() + Duration::from_millis(5);
        while now() < turn {
            let Ok(length) = socket.recv(&mut buffer) else {
                continue;
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let reply = respond(&text, &to, &me.to_string());
            if text.starts_with("SIP/2.0 200") && field(&text, "CSeq").ends_with("INVITE") {
                answered
                    .lock()
                    .unwrap()
                    .insert(field(&text, "Call-ID").to_owned());
            }
            if let Some(reply) = reply {
                drop(socket.send_to(reply.as_bytes(), &to));
            }
        }
    }
}

fn respond(text: &str, to: &str, me: &str) -> Option<String> {
    let [via, from, to_header, call_id, cseq] =
        ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| field(text, name));
    if text.starts_with("BYE ") {
        return Some(format!(
            "SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to_header}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n\
             Content-Length: 0\r\n\r\n"
        ));
    }
    if !text.starts_with("SIP/2.0 2") || !cseq.ends_with("INVITE") {
        return None;
    }
    let target = field(text, "Contact").trim_matches(['<', '>']);
    let target = if target.is_empty() {
        format!("sip:{to}")
    } else {
        target.to_owned()
    };
    Some(format!(
        "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKack{call_id}\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: {to_header}\r\nCall-ID: {call_id}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
    ))
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
        .unwrap_or_default()
}
