//! A telephone that answers every call at once and hangs up after a while.

use std::collections::{HashSet, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::header;

/// Answers at this address from now on, on a thread of its own.
pub(crate) fn start(socket: UdpSocket, swivel: SocketAddr, hold: Duration) {
    std::thread::spawn(move || serve(&socket, swivel, hold));
}

fn serve(socket: &UdpSocket, swivel: SocketAddr, hold: Duration) {
    let me = socket.local_addr().unwrap();
    let wait = Some(Duration::from_millis(5));
    socket.set_read_timeout(wait).unwrap();
    let mut buffer = vec![0; 65_536];
    let mut up: VecDeque<(Instant, String)> = VecDeque::new();
    let mut known = HashSet::new();
    loop {
        let received = socket.recv(&mut buffer);
        if let Ok(length) = received {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let call_id = header(&text, "Call-ID").to_owned();
            if text.starts_with("INVITE ") {
                socket.send_to(answer(&text, me).as_bytes(), swivel).ok();
            } else if text.starts_with("ACK ") && known.insert(call_id) {
                up.push_back((Instant::now() + hold, bye(&text, me)));
            } else if text.starts_with("BYE ") {
                socket.send_to(reply(&text, "", "").as_bytes(), swivel).ok();
            }
        }
        while up.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            if let Some((_, bye)) = up.pop_front() {
                socket.send_to(bye.as_bytes(), swivel).ok();
            }
        }
    }
}

fn reply(request: &str, more: &str, body: &str) -> String {
    let to = header(request, "To");
    let tag = if to.contains("tag=") {
        ""
    } else {
        ";tag=callee"
    };
    format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}Content-Length: {}\r\n\r\n{body}",
        header(request, "Via"),
        header(request, "From"),
        header(request, "Call-ID"),
        header(request, "CSeq"),
        body.len()
    )
}

fn answer(invite: &str, me: SocketAddr) -> String {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n",
        me.ip()
    );
    let more = format!("Contact: <sip:callee@{me}>\r\nContent-Type: application/sdp\r\n");
    reply(invite, &more, &sdp)
}

/// The BYE of the call that this ACK has begun.
fn bye(ack: &str, me: SocketAddr) -> String {
    let target = ack.split(' ').nth(1).unwrap_or_default();
    debug_assert!(target.starts_with("sip:callee@"));
    let from = header(ack, "From");
    let call_id = header(ack, "Call-ID");
    let back = header(ack, "Via")
        .split([' ', ';'])
        .nth(1)
        .unwrap_or_default();
    format!(
        "BYE sip:{back} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKbye{call_id}\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
         To: {from}\r\nCall-ID: {call_id}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        header(ack, "To")
    )
}
