//! The test of a trunk calls a number: a carrier of the test's own rings, refuses, or is not there, and the words say which.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};

use super::http;
use super::peer::{beside, header, known, status};
use super::server::Server;

/// Answers INVITE and OPTIONS as told; ends with the request it waits for.
fn carrier(socket: UdpSocket, to_invite: &'static [&'static str], until: &'static str) {
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut buffer = [0; 65_536];
    loop {
        let (length, from) = socket
            .recv_from(&mut buffer)
            .unwrap_or_else(|error| panic!("no {until} came: {error}"));
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if status(&request).is_some() {
            continue;
        }
        let answer = |line: &str| {
            let kept = ["Via", "From", "Call-ID", "CSeq"].map(|name| {
                let value = header(&request, name).unwrap_or_default();
                format!("{name}: {value}\r\n")
            });
            let to = header(&request, "To").unwrap_or_default();
            let tag = if to.contains("tag=") { "" } else { ";tag=c" };
            let text = format!(
                "SIP/2.0 {line}\r\n{}To: {to}{tag}\r\nContent-Length: 0\r\n\r\n",
                kept.concat()
            );
            socket.send_to(text.as_bytes(), from).unwrap();
        };
        let method = request.split(' ').next().unwrap_or_default().to_owned();
        match method.as_str() {
            "INVITE" => to_invite.iter().for_each(|line| answer(line)),
            "ACK" => {}
            _ => answer("200 OK"),
        }
        if method == until {
            return;
        }
    }
}

fn ask(server: &Server, id: &str, data: Value) -> Value {
    let path = format!("/v2/accounts/{}/resources/{id}/test", server.account);
    let token = [("X-Auth-Token", server.token())];
    let body = json!({"data": data});
    let reply = http::request(server.api, "POST", &path, &token, Some(&body)).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["data"].take()
}

#[test]
fn a_trunk_is_tested_by_a_call_that_ends_as_soon_as_it_rings() {
    let socket = UdpSocket::bind((known(77), 0)).unwrap();
    let place = socket.local_addr().unwrap();
    let trunk = json!({"name": "carrier", "rules": ["^\\+1\\d{10}$"], "gateways": [{
        "server": place.ip().to_string(), "port": place.port(), "options_seconds": 0, "progress_timeout": 10}]});
    let server = Server::start(&[], json!({"resources": [trunk]}));
    let rows = server.data("resources");
    let id = rows[0]["id"].as_str().unwrap().to_owned();
    let call = json!({"step": "call", "number": "+14155550100"});

    let unasked = ask(&server, &id, json!({"step": "call"}));
    assert_eq!(unasked["steps"][0]["state"], "skipped", "{unasked:#}");

    let own = socket.try_clone().unwrap();
    let rings = beside(move || carrier(own, &["100 Trying", "180 Ringing"], "CANCEL"));
    let found = ask(&server, &id, call.clone());
    assert_eq!(found["ok"], true, "{found:#}");
    assert_eq!(found["steps"][0]["text"], "+14155550100 rings.");
    rings.join().unwrap();

    let own = socket.try_clone().unwrap();
    let refuses = beside(move || carrier(own, &["403 Forbidden"], "ACK"));
    let found = ask(&server, &id, call.clone());
    let step = &found["steps"][0];
    assert_eq!(
        (&found["ok"], &step["state"]),
        (&json!(false), &json!("failed"))
    );
    let said = format!("{} {}", step["text"], step["todo"]);
    assert!(said.contains("403"), "{found:#}");
    refuses.join().unwrap();

    let other = json!({"step": "call", "number": "+4930123456"});
    let found = ask(&server, &id, other);
    assert_eq!(found["ok"], false, "{found:#}");
    assert!(
        found["steps"][0]["text"]
            .as_str()
            .unwrap()
            .contains("+4930123456"),
        "{found:#}"
    );
}
