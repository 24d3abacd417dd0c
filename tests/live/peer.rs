//! SIP as the test writes it: raw requests over sockets of loopback addresses of the test's choice, so that nothing of
//! swivel stands between the test and the wire.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::tools::now;

/// Makes branches, tags and Call-IDs differ.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A number no other request of this process has.
pub(crate) fn unique() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Devices whose addresses are 127.1.0.0/16 are known; everybody else is a stranger.
pub(crate) const KNOWN: &str = "127.1.0.0/16";

/// An address of a known device.
pub(crate) fn known(n: u16) -> Ipv4Addr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// An address of nobody we know.
pub(crate) fn stranger(n: u16) -> Ipv4Addr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(127, 2, high, low)
}

/// Somebody with a UDP socket.
pub(crate) struct Peer {
    pub(crate) socket: UdpSocket,
}

impl Peer {
    /// At this address, on a port of the machine's choice.
    pub(crate) fn at(address: Ipv4Addr) -> Self {
        Self::on((address, 0).into())
    }

    /// At this address and port.
    pub(crate) fn on(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        Self { socket }
    }

    /// A request of this peer. `lines` are further headers, each with its line end.
    pub(crate) fn request(&self, method: &str, uri: &str, lines: &str, body: &str) -> String {
        request(
            method,
            uri,
            self.socket.local_addr().unwrap(),
            "UDP",
            lines,
            body,
        )
    }

    /// Sends bytes to the server's port.
    pub(crate) fn send(&self, bytes: &[u8], port: u16) {
        self.socket.send_to(bytes, ("127.0.0.1", port)).unwrap();
    }

    /// The next datagram within that time.
    pub(crate) fn receive(&self, most: Duration) -> Option<String> {
        self.socket
            .set_read_timeout(Some(most.max(Duration::from_micros(1))))
            .unwrap();
        let mut buffer = vec![0; 65_536];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// The final answer to the request with that CSeq method, within that time.
    pub(crate) fn answer(&self, method: &str, most: Duration) -> Option<String> {
        let deadline = now() + most;
        loop {
            let left = deadline.saturating_duration_since(now());
            let text = self.receive(left)?;
            if status(&text).is_some_and(|s| s >= 200)
                && header(&text, "CSeq").is_some_and(|v| v.ends_with(method))
            {
                return Some(text);
            }
            if left.is_zero() {
                return None;
            }
        }
    }

    /// Asks OPTIONS once; the time until the 200.
    pub(crate) fn options(&self, port: u16) -> Option<Duration> {
        let begin = now();
        self.send(
            self.request("OPTIONS", "sip:swivel@127.0.0.1", "", "")
                .as_bytes(),
            port,
        );
        let answer = self.answer("OPTIONS", Duration::from_secs(2))?;
        (status(&answer) == Some(200)).then(|| begin.elapsed())
    }

    /// Places a call; gives what came of it.
    pub(crate) fn call(&self, number: &str, sdp: &str, port: u16) -> Placed {
        let uri = format!("sip:{number}@127.0.0.1:{port}");
        let lines = if sdp.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let invite = self.request("INVITE", &uri, lines, sdp);
        let sent = now();
        self.send(invite.as_bytes(), port);
        let answer = self.answer("INVITE", Duration::from_secs(15));
        let took = sent.elapsed();
        let placed = Placed {
            invite,
            answer,
            took,
            port,
        };
        if placed.answer.is_some() {
            self.send(placed.follow("ACK").as_bytes(), port);
        }
        placed
    }
}

/// A call as its caller sees it.
pub(crate) struct Placed {
    pub(crate) invite: String,
    pub(crate) answer: Option<String>,
    pub(crate) took: Duration,
    pub(crate) port: u16,
}

impl Placed {
    /// The final status; 0 when there was none.
    pub(crate) fn status(&self) -> u16 {
        self.answer.as_deref().and_then(status).unwrap_or(0)
    }

    /// ACK of the final answer, or BYE.
    pub(crate) fn follow(&self, method: &str) -> String {
        let answer = self.answer.as_deref().unwrap();
        let success = self.status() < 300;
        let mut via = header(&self.invite, "Via").unwrap().to_owned();
        if success {
            via = format!("{via}-{method}");
        }
        let uri = match header(answer, "Contact") {
            Some(contact) if success => contact.trim_start_matches('<').split('>').next().unwrap(),
            _ => self.invite.split(' ').nth(1).unwrap(),
        };
        let cseq = if method == "ACK" { 1 } else { 2 };
        let copied = |name| header(&self.invite, name).unwrap();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
            copied("From"),
            header(answer, "To").unwrap(),
            copied("Call-ID"),
        )
    }

    /// Hangs up; the status of the answer to BYE.
    pub(crate) fn hang_up(&self, peer: &Peer) -> u16 {
        peer.send(self.follow("BYE").as_bytes(), self.port);
        peer.answer("BYE", Duration::from_secs(3))
            .and_then(|text| status(&text))
            .unwrap_or(0)
    }
}

/// Somebody with a TCP connection.
pub(crate) struct Line {
    pub(crate) stream: TcpStream,
}

impl Line {
    /// Connects from this address.
    pub(crate) fn from(address: Ipv4Addr, port: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        let server = SocketAddr::from(([127, 0, 0, 1], port));
        socket
            .connect_timeout(&server.into(), Duration::from_secs(5))
            .unwrap();
        let stream: TcpStream = socket.into();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// A request of this peer.
    pub(crate) fn request(&self, method: &str, uri: &str, lines: &str, body: &str) -> String {
        request(
            method,
            uri,
            self.stream.local_addr().unwrap(),
            "TCP",
            lines,
            body,
        )
    }

    /// Writes; `false` when the server has closed.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// What comes until `enough` says so, the time is up or the server closes; and whether it closed.
    pub(crate) fn read_until(
        &mut self,
        most: Duration,
        enough: impl Fn(&str) -> bool,
    ) -> (String, bool) {
        let deadline = now() + most;
        let mut text = String::new();
        let mut buffer = [0; 16_384];
        loop {
            let left = deadline.saturating_duration_since(now());
            if enough(&text) || left.is_zero() {
                return (text, false);
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.stream.read(&mut buffer) {
                Ok(0) => return (text, true),
                Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    return (text, true);
                }
                Err(_) => {}
            }
        }
    }
}

/// A request with everything it must have.
pub(crate) fn request(
    method: &str,
    uri: &str,
    from: SocketAddr,
    transport: &str,
    lines: &str,
    body: &str,
) -> String {
    let n = unique();
    let parameter = if transport == "TCP" {
        ";transport=tcp"
    } else {
        ""
    };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bKlive{n};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:1001@{}>;tag=live{n}\r\nTo: <{uri}>\r\nCall-ID: live-{n}-{}@{}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:1001@{from}{parameter}>\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        from.ip(),
        std::process::id(),
        from.ip(),
        body.len()
    )
}

/// An offer of PCMU with these further lines.
pub(crate) fn offer(address: Ipv4Addr, port: u16, lines: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n{lines}"
    )
}

/// The status of a response.
pub(crate) fn status(text: &str) -> Option<u16> {
    text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// The first value of a header, spelled like this.
pub(crate) fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let wanted = format!("{name}: ");
    text.split("\r\n")
        .find_map(|line| line.strip_prefix(wanted.as_str()))
}

/// A thread of the test's own.
pub(crate) fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test may have a thread of its own"
    )]
    std::thread::spawn(work)
}

/// Whether the long forms were asked for.
pub(crate) fn soak() -> bool {
    std::env::var("SWIVEL_TEST_TIER").is_ok_and(|tier| tier == "soak")
}
