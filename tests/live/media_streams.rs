//! Media streams with a server by Python's `websockets`, and with the demo's own; signatures judged by Twilio's library.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use swivel::app::bundle::Bundle;
use swivel::app::config::Config;
use swivel::app::demo::web;
use swivel::app::serve::{self, Options, Server};
use swivel::audio::Codec;
use tempfile::TempDir;

use super::audio::Sound;
use super::peer::{Peer, Placed, beside, header, offer, status};
use super::server::free_port;
use super::tools::{Turn, python, root, turn};

const TOKEN: &str = "a-token-of-this-test";

/// A server of ours in this process, whose number 600 is connected with a stream's server.
pub(super) struct House {
    runtime: tokio::runtime::Runtime,
    server: Server,
    pub(super) sip: u16,
    _dir: TempDir,
    _turn: Turn,
}

/// RTP ports are dealt out in stretches, so that servers of parallel tests do not meet.
static STRETCH: AtomicU16 = AtomicU16::new(0);

impl House {
    fn streaming_to(runtime: tokio::runtime::Runtime, url: String) -> Self {
        let options = Options {
            stream: Some(("600".to_owned(), url)),
            ..Options::default()
        };
        Self::running(runtime, options, &json!({"module": "answer", "data": {}}))
    }

    /// One whose number 600 runs a callflow.
    pub(super) fn running(
        runtime: tokio::runtime::Runtime,
        options: Options,
        flow: &Value,
    ) -> Self {
        let turn = turn();
        let dir = TempDir::new().unwrap();
        let (sip, http) = (free_port(), free_port());
        let rtp = 36_000 + 100 * (STRETCH.fetch_add(1, Ordering::Relaxed) % 20);
        let file = dir.path().join("swivel.toml");
        let text = format!(
            "data_dir = {:?}\n[sip]\nlisten = [\"udp://127.0.0.1:{sip}\"]\n[rtp]\nports = \"{rtp}-{}\"\n\
             [http]\nlisten = \"127.0.0.1:{http}\"\n[pivot]\nallow = [\"127.0.0.1/32\"]\n",
            dir.path().join("data"),
            rtp + 99
        );
        std::fs::write(&file, text).unwrap();
        let documents = dir.path().join("documents.json");
        let account = json!({"accounts": [{
            "name": "live", "realm": "live.test", "auth_token": TOKEN,
            "devices": [{"name": "this machine", "sip": {"method": "ip", "ip": "127.0.0.1"}}],
            "callflows": [{"name": "stream", "numbers": ["600"], "flow": flow}],
        }]});
        std::fs::write(&documents, account.to_string()).unwrap();
        let config = Config::load(Some(&file)).unwrap();
        let start = || {
            runtime.block_on(async {
                let server = Server::start(config, options).await.unwrap();
                let bundle = Bundle::read(&documents).unwrap();
                server.office().apply(bundle).await.unwrap();
                server
            })
        };
        // Starting takes more of a stack than the thread of a test has in a debug build.
        let server = std::thread::scope(|scope| {
            let roomy = std::thread::Builder::new().stack_size(64 << 20);
            roomy.spawn_scoped(scope, start).unwrap().join().unwrap()
        });
        Self {
            runtime,
            server,
            sip,
            _dir: dir,
            _turn: turn,
        }
    }

    pub(super) fn end(self) {
        self.runtime.block_on(Box::pin(self.server.stop()));
    }
}

/// A server in Python.
pub(super) struct Python {
    child: Child,
    port: u16,
    lines: Receiver<Value>,
}

impl Python {
    /// The one of `media_stream.py`.
    fn start() -> Self {
        let python = python("test").expect("`make test` builds .venv/test");
        Self::of(&python, "media_stream.py", &[TOKEN])
    }

    pub(super) fn of(python: &Path, script: &str, args: &[&str]) -> Self {
        let port = free_port();
        let mut child = Command::new(python)
            .arg(root().join("tests/live").join(script))
            .arg(port.to_string())
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = sync_channel(1000);
        beside(move || {
            for line in output.lines().map_while(Result::ok) {
                drop(sender.send(serde_json::from_str(&line).unwrap()));
            }
        });
        let python = Self { child, port, lines };
        assert_eq!(python.says()["ready"], true);
        python
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn says(&self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(60));
        line.expect("the server in Python says something")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A caller who speaks, and notes what he hears and when.
pub(super) struct Caller {
    pub(super) peer: Peer,
    pub(super) placed: Placed,
    ended: Arc<AtomicBool>,
    heard: std::thread::JoinHandle<Vec<(f64, Vec<u8>)>>,
}

impl Caller {
    pub(super) fn call(sip: u16, says: Sound) -> Self {
        let home = Ipv4Addr::LOCALHOST;
        let peer = Peer::at(home);
        let rtp = UdpSocket::bind((home, 0)).unwrap();
        let sdp = offer(home, rtp.local_addr().unwrap().port(), "");
        let placed = peer.call("600", &sdp, sip);
        assert_eq!(placed.status(), 200, "{:?}", placed.answer);
        let answer = placed.answer.clone().unwrap();
        let port = answer
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))
            .and_then(|rest| rest.split(' ').next()?.parse::<u16>().ok())
            .unwrap();
        rtp.connect((home, port)).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let (speaking, hearing) = (Arc::clone(&ended), Arc::clone(&ended));
        let mouth = rtp.try_clone().unwrap();
        beside(move || speak(&mouth, &says, &speaking));
        let heard = beside(move || hear(&rtp, &hearing));
        Self {
            peer,
            placed,
            ended,
            heard,
        }
    }

    /// Presses a key, by INFO.
    pub(super) fn press(&self, key: char, sip: u16) {
        let body = format!("Signal={key}\r\nDuration=160\r\n");
        let info = self.placed.follow("INFO").replace(
            "Content-Length: 0\r\n\r\n",
            &format!(
                "Content-Type: application/dtmf-relay\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
        self.peer.send(info.as_bytes(), sip);
    }

    /// Hangs up, with a number higher than the key's; the status of the answer.
    pub(super) fn hang_up_after_a_key(&self, sip: u16) -> u16 {
        let bye = self.placed.follow("BYE").replace("CSeq: 2 ", "CSeq: 3 ");
        self.peer.send(bye.as_bytes(), sip);
        let answer = self.peer.answer("BYE", Duration::from_secs(10));
        answer.and_then(|text| status(&text)).unwrap_or(0)
    }

    /// Waits for the BYE of the other side; what was heard, each packet with its time.
    pub(super) fn until_bye(self, sip: u16) -> Vec<(f64, Vec<u8>)> {
        let bye = loop {
            let message = self.peer.receive(Duration::from_secs(30));
            let message = message.expect("a BYE");
            if message.starts_with("BYE ") {
                break message;
            }
        };
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"]
            .map(|name| format!("{name}: {}\r\n", header(&bye, name).unwrap()));
        let reply = format!(
            "SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n",
            copied.concat()
        );
        self.peer.send(reply.as_bytes(), sip);
        self.stop()
    }

    pub(super) fn stop(self) -> Vec<(f64, Vec<u8>)> {
        self.ended.store(true, Ordering::Relaxed);
        self.heard.join().unwrap()
    }
}

/// Sends a packet each 20 ms.
fn speak(socket: &UdpSocket, sound: &Sound, ended: &AtomicBool) {
    let mut mulaw = Vec::new();
    Codec::Pcmu.encode(&sound.0, &mut mulaw);
    let begun = super::tools::now();
    for (n, payload) in mulaw.chunks(160).enumerate() {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let number = u16::try_from(n).unwrap();
        let mut packet = vec![0x80, 0];
        packet.extend(number.to_be_bytes());
        packet.extend((u32::from(number) * 160).to_be_bytes());
        packet.extend([7; 4]);
        packet.extend(payload);
        drop(socket.send(&packet));
        let due = begun + Duration::from_millis(20) * u32::from(number + 1);
        std::thread::sleep(due.saturating_duration_since(super::tools::now()));
    }
}

fn hear(socket: &UdpSocket, ended: &AtomicBool) -> Vec<(f64, Vec<u8>)> {
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let (mut heard, mut buffer) = (Vec::new(), [0; 2048]);
    while !ended.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut buffer) else {
            continue;
        };
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        if length > 12 && buffer[1] & 0x7f == 0 {
            heard.push((at.as_secs_f64(), buffer[12..length].to_vec()));
        }
    }
    heard
}

/// For how many ms the sound 0x33 was still heard after each of the times at which it was cut off, the shortest first.
pub(super) fn silenced(heard: &[(f64, Vec<u8>)], clears: Vec<f64>) -> Vec<f64> {
    let old = |from: f64| {
        heard
            .iter()
            .filter(move |(at, payload)| {
                (from..from + 0.35).contains(at) && payload.contains(&0x33)
            })
            .map(move |(at, _)| (at - from) * 1000.0)
            .fold(0.0, f64::max)
    };
    for at in &clears {
        let before = heard.iter().filter(|(when, payload)| {
            (at - 0.1..*at).contains(when) && payload.iter().all(|b| *b == 0x33)
        });
        assert!(before.count() >= 3, "the sound was heard until the clear");
    }
    let mut late: Vec<f64> = clears.into_iter().map(old).collect();
    late.sort_by(f64::total_cmp);
    println!("old sound was heard for so many ms after a clear: {late:.0?}");
    late
}

/// The sound of packets.
pub(super) fn sound(packets: &[(f64, Vec<u8>)]) -> Sound {
    let mut pcm = Vec::new();
    let mulaw: Vec<u8> = packets.iter().flat_map(|(_, p)| p).copied().collect();
    Codec::Pcmu.decode(&mulaw, &mut pcm);
    Sound(pcm)
}

#[test]
fn a_server_hears_the_caller_and_the_caller_hears_the_server() {
    let python = Python::start();
    let house = House::streaming_to(serve::runtime().unwrap(), python.url("/echo"));
    let tune = Sound::tune(6);
    let part = tune.middle_second();
    let caller = Caller::call(house.sip, tune);
    assert_eq!(
        python.says(),
        json!({"signed": true}),
        "by Twilio's own library"
    );
    let start = &python.says()["start"];
    assert_eq!(start["tracks"], json!(["inbound"]), "{start:#}");
    assert_eq!(
        start["mediaFormat"],
        json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1})
    );
    std::thread::sleep(Duration::from_secs(5));
    caller.press('7', house.sip);
    assert_eq!(
        python.says()["dtmf"],
        json!({"track": "inbound_track", "digit": "7"})
    );
    // The server has closed the socket, which ends the stream and with it this call.
    let heard = sound(&caller.until_bye(house.sip));
    let likeness = heard.likeness(&part);
    assert!(likeness > 0.9, "{likeness}");
    house.end();
}

#[test]
fn a_clear_silences_the_caller_within_60_ms() {
    let python = Python::start();
    let house = House::streaming_to(serve::runtime().unwrap(), python.url("/clear"));
    let caller = Caller::call(house.sip, Sound(vec![0; 8000 * 20]));
    assert_eq!(python.says()["signed"], true);
    python.says();
    let mut clears = Vec::new();
    for n in 0..10 {
        let said = python.says();
        assert_eq!(said["mark"], format!("mark {n}"));
        clears.push(said["clear"].as_f64().unwrap());
    }
    let heard = caller.until_bye(house.sip);
    let late = silenced(&heard, clears);
    // Of ten, because the machine may be busy with other tests.
    assert!(late[4] <= 60.0, "{late:?}");
    house.end();
}

#[test]
fn the_demos_web_application_echoes_to_a_document_of_twiml() {
    let runtime = serve::runtime().unwrap();
    let web = runtime.block_on(web::start()).unwrap();
    let flow = json!({"module": "pivot", "data": {"voice_url": web.urls().stream}});
    let house = House::running(runtime, Options::default(), &flow);
    // It is spoken to first.
    let tune = Sound::tune(12);
    let part = tune.middle_second();
    let caller = Caller::call(house.sip, tune);
    std::thread::sleep(Duration::from_secs(9));
    assert_eq!(caller.placed.hang_up(&caller.peer), 200);
    let likeness = sound(&caller.stop()).likeness(&part);
    assert!(likeness > 0.9, "{likeness}");
    house.end();
}
