//! A caller's side of a call: SIP by hand, and keys by RFC 4733.

use std::net::{SocketAddr, UdpSocket};

/// An INVITE of call `n`.
pub(crate) fn invite(
    me: SocketAddr,
    to: SocketAddr,
    number: &str,
    n: usize,
    rtp: SocketAddr,
) -> String {
    let sdp = format!(
        "v=0\r\no=- {n} 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n",
        rtp.ip(),
        rtp.port()
    );
    format!(
        "INVITE sip:{number}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKi{n}\r\nMax-Forwards: 70\r\n\
         From: \"Load\" <sip:load@{me}>;tag=f{n}\r\nTo: <sip:{number}@{to}>\r\nCall-ID: app-{n}-{p}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:load@{me}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len(),
        p = std::process::id(),
    )
}

/// Which call a Call-ID names.
pub(crate) fn number_of(call_id: &str) -> Option<usize> {
    call_id
        .strip_prefix("app-")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// The value of a header.
pub(crate) fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    });
    found.unwrap_or_default()
}

/// The status of a response, 0 of a request.
pub(crate) fn status(text: &str) -> u16 {
    let rest = text.strip_prefix("SIP/2.0 ").unwrap_or_default();
    rest.get(..3).and_then(|s| s.parse().ok()).unwrap_or(0)
}

/// ACK of an answer to INVITE, or a BYE behind it.
pub(crate) fn follow(
    answer: &str,
    method: &str,
    me: SocketAddr,
    server: SocketAddr,
    n: usize,
) -> String {
    let done = status(answer) < 300;
    let uri = match done {
        true => header(answer, "Contact")
            .trim_matches(['<', '>'])
            .to_owned(),
        false => format!("sip:{server}"),
    };
    let branch = if done { method } else { "i" };
    let cseq = if method == "ACK" { 1 } else { 2 };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bK{branch}{n}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
        header(answer, "From"),
        header(answer, "To"),
        header(answer, "Call-ID"),
    )
}

/// 200 to a request.
pub(crate) fn accept(request: &str) -> String {
    format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
        header(request, "Via"),
        header(request, "From"),
        header(request, "To"),
        header(request, "Call-ID"),
        header(request, "CSeq"),
    )
}

/// Where a session description wants its audio.
pub(crate) fn audio_of(text: &str) -> Option<SocketAddr> {
    let value = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let port = value("m=audio ")?.split(' ').next()?;
    let address = value("c=IN IP4 ")?.trim();
    format!("{address}:{port}").parse().ok()
}

/// Packets of one key: three that grow, and the end three times.
pub(crate) const PACKETS: u16 = 6;

/// Sends packet `n`, from 0, of the key 5 that begins at `stamp`; `number` is that of its first packet.
pub(crate) fn press(socket: &UdpSocket, to: SocketAddr, number: u16, stamp: u32, n: u16) {
    let (marker, end) = (if n == 0 { 0x80 } else { 0 }, if n >= 3 { 0x80 } else { 0 });
    let mut packet = vec![0x80, 101 | marker];
    packet.extend(number.wrapping_add(n).to_be_bytes());
    packet.extend(stamp.to_be_bytes());
    packet.extend([7; 4]);
    packet.extend([5, 10 | end]);
    packet.extend((160 * (n + 1).min(3)).to_be_bytes());
    socket.send_to(&packet, to).ok();
}
