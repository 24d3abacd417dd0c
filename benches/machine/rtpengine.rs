//! Debian's rtpengine as a relay of the same packets, in user space: `rtpengine-daemon`, told what to do over its control
//! protocol (bencoded dictionaries in datagrams).

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::machine::LOCAL;
use super::{Outcome, Peers, Speech, bind};

/// A running rtpengine with its control socket.
struct Daemon {
    child: Child,
    control: UdpSocket,
    at: SocketAddr,
    asked: u32,
}

/// Relays so many calls; `None`: it is not installed.
pub(crate) fn run(calls: usize, length: Duration) -> Option<Outcome> {
    let mut daemon = Daemon::start()?;
    let peers = Peers::new(calls);
    let addresses = peers.addresses();
    let mut targets = vec![SocketAddr::new(LOCAL, 9); addresses.len()];
    for call in 0..calls {
        let (a, b) = (call * 2, call * 2 + 1);
        // What faces the other party is in the answer to the description of the first.
        targets[b] = daemon.ask("offer", call, addresses[a]);
        targets[a] = daemon.ask("answer", call, addresses[b]);
    }
    std::thread::sleep(Duration::from_millis(300));
    let before = daemon.cpu();
    let run = peers.talk(&targets, length, &mut Speech::plain());
    Some(run.outcome(daemon.cpu() - before))
}

impl Daemon {
    fn start() -> Option<Self> {
        let at = bind().local_addr().unwrap();
        let child = Command::new("rtpengine")
            .args(["--foreground", "--table=-1", "--num-threads=1"])
            .args(["--log-level=3", "--log-stderr"])
            .args([
                "--interface=127.0.0.1",
                "--port-min=33000",
                "--port-max=39999",
            ])
            .arg(format!("--listen-ng={at}"))
            .arg(format!(
                "--pidfile=/tmp/rtpengine-bench-{}.pid",
                std::process::id()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let control = UdpSocket::bind((LOCAL, 0)).unwrap();
        let wait = Some(Duration::from_millis(200));
        control.set_read_timeout(wait).unwrap();
        let mut daemon = Self {
            child,
            control,
            at,
            asked: 0,
        };
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if daemon.command("d7:command4:pinge").contains("pong") {
                return Some(daemon);
            }
        }
        None
    }

    /// Sends a command until it is answered, for a while; empty when it is not.
    fn command(&mut self, dictionary: &str) -> String {
        self.asked += 1;
        let message = format!("{} {dictionary}", self.asked);
        let mut buffer = vec![0; 65_536];
        for _ in 0..5 {
            self.control.send_to(message.as_bytes(), self.at).ok();
            while let Ok((length, _)) = self.control.recv_from(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                if let Some((cookie, reply)) = text.split_once(' ')
                    && cookie == self.asked.to_string()
                {
                    return reply.to_owned();
                }
            }
        }
        String::new()
    }

    /// Tells a party's description; where the other one has to send then.
    fn ask(&mut self, command: &str, call: usize, party: SocketAddr) -> SocketAddr {
        let text = |text: &str| format!("{}:{text}", text.len());
        let sdp = format!(
            "v=0\r\no=- {call} 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0\r\n",
            party.ip(),
            party.port()
        );
        let tags = [("8:from-tag", "a"), ("6:to-tag", "b")];
        let tags = tags.iter().take(if command == "answer" { 2 } else { 1 });
        let tags: String = tags
            .map(|(key, tag)| format!("{key}{}", text(tag)))
            .collect();
        let call_id = text(&format!("bench-{call}"));
        let dictionary = format!(
            "d3:ICE6:remove7:call-id{call_id}7:command{}3:sdp{}{tags}e",
            text(command),
            text(&sdp)
        );
        let reply = self.command(&dictionary);
        let media = reply.split_once("m=audio ").map_or("", |(_, rest)| rest);
        let port = media.split(' ').next().unwrap_or_default().parse();
        SocketAddr::new(LOCAL, port.expect("rtpengine gives a port to every party"))
    }

    /// On-cpu time of all its threads.
    fn cpu(&self) -> Duration {
        let tasks = format!("/proc/{}/task", self.child.id());
        let nanos = std::fs::read_dir(tasks).unwrap().flatten().map(|task| {
            let line = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let first = line.split(' ').next().and_then(|n| n.parse::<u64>().ok());
            first.unwrap_or(0)
        });
        Duration::from_nanos(nanos.sum())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        let pid = format!("/tmp/rtpengine-bench-{}.pid", std::process::id());
        std::fs::remove_file(pid).ok();
    }
}
