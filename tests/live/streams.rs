//! TCP as it really comes: in pieces, several messages at once, with pings, without lengths, and never finished
//! (RFC 3261 §18.3, RFC 5626 §3.5.1, slow senders).

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::peer::{KNOWN, Line, Peer, known, soak, status, stranger};
use super::server::Server;
use super::tools::{eventually, now};

fn server(message_seconds: &str) -> Server {
    let documents = json!({"devices": [{"name": "known", "sip": {"method": "ip", "ip": KNOWN}}]});
    Server::for_sip(
        &[("SWIVEL_SIP__MESSAGE_SECONDS", message_seconds)],
        documents,
    )
}

const SHORT: Duration = Duration::from_secs(3);

fn answers(text: &str) -> usize {
    text.matches("SIP/2.0 200 ").count()
}

#[test]
fn messages_come_in_pieces_and_several_at_once() {
    let server = server("30");
    let mut line = Line::from(known(1), server.sip);
    let together: String = (0..20)
        .map(|_| line.request("OPTIONS", "sip:a@127.0.0.1", "", ""))
        .collect();
    assert!(line.send(together.as_bytes()));
    assert_eq!(
        answers(&line.read_until(SHORT, |text| answers(text) == 20).0),
        20,
        "twenty in one write"
    );

    let split = line.request(
        "OPTIONS",
        "sip:a@127.0.0.1",
        "Content-Type: text/plain\r\n",
        "a body in pieces",
    );
    for byte in split.as_bytes() {
        assert!(line.send(std::slice::from_ref(byte)));
    }
    assert_eq!(
        answers(&line.read_until(SHORT, |text| answers(text) == 1).0),
        1,
        "one byte a write"
    );

    let pair = line.request("OPTIONS", "sip:a@127.0.0.1", "", "")
        + &line.request("OPTIONS", "sip:a@127.0.0.1", "", "");
    let (first, second) = pair.as_bytes().split_at(pair.len() - 30);
    assert!(line.send(first));
    assert_eq!(
        answers(&line.read_until(SHORT, |text| answers(text) == 1).0),
        1,
        "the first does not wait"
    );
    assert!(line.send(second));
    assert_eq!(
        answers(&line.read_until(SHORT, |text| answers(text) == 1).0),
        1,
        "the second comes when it is whole"
    );
}

#[test]
fn a_ping_gets_its_pong() {
    let server = server("30");
    let mut line = Line::from(stranger(2), server.sip);
    for _ in 0..3 {
        assert!(line.send(b"\r\n\r\n"));
        assert_eq!(line.read_until(SHORT, |text| text.len() >= 2).0, "\r\n");
    }
    let request = line.request("OPTIONS", "sip:a@127.0.0.1", "", "");
    assert!(line.send(request.as_bytes()));
    let (text, closed) = line.read_until(SHORT, |text| answers(text) == 1);
    assert!(text.starts_with("SIP/2.0 200 ") && !closed, "{text}");
}

#[test]
fn a_message_without_its_length_gets_400_and_the_connection_closes() {
    let server = server("30");
    for (lines, wanted) in [
        ("", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: 70000\r\n", 413),
        ("Content-Length: 4294967296\r\n", 400),
    ] {
        let mut line = Line::from(known(3), server.sip);
        let request = line
            .request("OPTIONS", "sip:a@127.0.0.1", "", "")
            .replace("Content-Length: 0\r\n", lines);
        assert!(line.send(request.as_bytes()));
        let (text, closed) = line.read_until(SHORT, |_| false);
        assert_eq!(status(&text), Some(wanted), "{lines}{text}");
        assert!(closed, "{lines}: the connection stays open");
        assert_eq!(text.matches("SIP/2.0 ").count(), 1, "{text}");
    }
}

/// Row 11 in short: a message is due in a time that a byte now and then does not prolong.
#[test]
fn two_hundred_dripping_connections_are_closed_while_others_are_served() {
    // The table's own numbers: 5,000 connections, a byte each ten seconds, a message due in thirty.
    let (count, due, pause) = if soak() {
        (5_000, "30", Duration::from_secs(10))
    } else {
        (200, "3", Duration::from_millis(300))
    };
    let mut server = server(due);
    let begin = now();
    let mut slow: Vec<Line> = (0..count)
        .map(|n| Line::from(stranger(100 + n / 50), server.sip))
        .collect();
    let text = slow[0]
        .request("OPTIONS", "sip:a@127.0.0.1", "", "")
        .into_bytes();
    let before = server.resident();
    let mut served = Duration::ZERO;
    let mut gone = None;
    for byte in text {
        let mut open = 0;
        for line in &mut slow {
            open += usize::from(
                line.send(&[byte]) && !line.read_until(Duration::from_micros(1), |_| false).1,
            );
        }
        if open == 0 {
            gone = Some(begin.elapsed());
            break;
        }
        let asked = now();
        let mut good = Line::from(known(4), server.sip);
        let request = good.request("OPTIONS", "sip:a@127.0.0.1", "", "");
        assert!(good.send(request.as_bytes()));
        assert_eq!(
            answers(&good.read_until(SHORT, |text| answers(text) == 1).0),
            1,
            "a good connection is served"
        );
        served = served.max(asked.elapsed());
        std::thread::sleep(pause);
    }
    let gone = gone.expect("all slow connections are closed");
    println!(
        "{count} dripping connections closed after {gone:?}; slowest new connection served in {served:?}"
    );
    // It is looked at once a pause.
    let most = Duration::from_secs(if soak() { 55 } else { 10 });
    assert!(gone < most, "{gone:?}");
    assert!(served < Duration::from_secs(1), "{served:?}");
    assert!(server.resident() < before + (if soak() { 200 } else { 20 } << 20));
    server.assert_running();
}

/// Row 11: a request, then a reset.
#[test]
fn connections_reset_after_their_invite_leave_nothing_behind() {
    let mut server = server("3");
    let count = if soak() { 10_000 } else { 200 };
    let files = server.files();
    for n in 0..count {
        let mut line = Line::from(known(200 + n / 50), server.sip);
        let invite = line.request("INVITE", "sip:nobody@127.0.0.1", "", "");
        assert!(line.send(invite.as_bytes()));
        socket2::SockRef::from(&line.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    server.assert_running();
    Peer::at(known(5))
        .options(server.sip)
        .expect("the server answers");
    let mut waited = 0;
    while server.files() > files + 8 {
        waited += 1;
        assert!(waited < 50, "{} files are still open", server.files());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn one_address_cannot_take_all_connections() {
    let server = server("30");
    // Whom we know, so that only the seats decide: strangers' OPTIONS are rationed besides.
    let mut many: Vec<Line> = (0..130).map(|_| Line::from(known(7), server.sip)).collect();
    let open = many.iter_mut().filter_map(|line| {
        let request = line.request("OPTIONS", "sip:a@127.0.0.1", "", "");
        let answered = line.send(request.as_bytes())
            && answers(&line.read_until(SHORT, |t| answers(t) == 1).0) == 1;
        answered.then_some(())
    });
    assert_eq!(open.count(), 100, "connections of one address are served");
    let mut other = Line::from(known(8), server.sip);
    let request = other.request("OPTIONS", "sip:a@127.0.0.1", "", "");
    assert!(other.send(request.as_bytes()));
    assert_eq!(
        answers(&other.read_until(SHORT, |text| answers(text) == 1).0),
        1,
        "another address is served"
    );
}

/// Row 11 for the API: clients that never finish their headers, their body, or reading what they asked for.
#[test]
fn slow_clients_of_the_api_delay_nobody() {
    let server = Server::start(&[], json!({}));
    let (count, seconds) = if soak() { (1_000, 60) } else { (150, 3) };
    let files = server.files();
    let mut slow: Vec<TcpStream> = (0..count)
        .map(|n| {
            let mut stream = TcpStream::connect(server.api).unwrap();
            let begun = match n % 3 {
                0 => "GET /v2/accounts HTTP/1.1\r\nHost: a\r\nX-Slow: ",
                1 => "PUT /v2/user_auth HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{",
                _ => "GET /v2/openapi.json HTTP/1.1\r\nHost: a\r\n\r\nGET ",
            };
            stream.write_all(begun.as_bytes()).unwrap();
            stream
        })
        .collect();
    let begin = now();
    let mut took = Vec::new();
    while begin.elapsed() < Duration::from_secs(seconds) {
        for stream in &mut slow {
            // Who is thrown out has been noticed.
            let _closed = stream.write_all(b" ");
        }
        for _ in 0..10 {
            let asked = now();
            assert_eq!(server.get("devices").status, 200);
            took.push(asked.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    println!(
        "{count} slow clients; {} others served, p99 {p99:?}",
        took.len()
    );
    let most = if soak() { 500 } else { 5_000 };
    assert!(p99 < Duration::from_millis(most), "{p99:?}");
    drop(slow);
    eventually("their end", Duration::from_secs(30), || {
        (server.files() <= files + 8).then_some(())
    });
}
