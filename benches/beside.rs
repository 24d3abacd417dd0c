//! What calls hear while the API is busy: the release binary plays to so many calls, first alone, then beside so many reads
//! and durable writes a second. Arrivals are stamped by the kernel; what is printed is how far they are from the grid of
//! 20 ms that fits their call best.
//!
//! `cargo bench --bench beside -- [--calls 200] [--reads 2000] [--writes 500] [--seconds 10]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a program for people at a terminal"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures real time on threads of its own"
)]
#![expect(
    dead_code,
    unsafe_code,
    reason = "the benchmarks of the media engine share this; the kernel's time stamps need recvmsg's control data"
)]

mod http;
mod machine;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http::{Line, told};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

const PERIOD: f64 = 20e6;
const PASSWORD: &str = "only-for-this-bench";

fn argument(name: &str, usual: u64) -> u64 {
    let all: Vec<String> = std::env::args().collect();
    let at = all.iter().position(|text| text == name);
    at.and_then(|at| all.get(at + 1)?.parse().ok())
        .unwrap_or(usual)
}

fn main() {
    let calls = argument("--calls", 200) as usize;
    let (reads, writes) = (argument("--reads", 2000), argument("--writes", 500));
    let long = Duration::from_secs(argument("--seconds", 10));
    machine::raise_descriptor_limit();
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (account, token) = runtime.block_on(sign_in(server.http));
    let ears = Ears::start(&server, calls);
    println!("{calls} calls play");
    ears.listen("alone", long, || std::thread::sleep(long));
    ears.listen("beside reads and writes", long, || {
        runtime.block_on(load(server.http, &account, &token, (reads, writes), long));
    });
    ears.listen("alone again", long, || std::thread::sleep(long));
}

struct Server {
    child: Child,
    sip: SocketAddr,
    http: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sip = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let http = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let config = folder.path().join("swivel.toml");
        let text = format!(
            "data_dir = {:?}\n[sip]\nlisten = [\"udp://{sip}\"]\n[rtp]\nports = \"20000-31998\"\ntimeout_seconds = 3600\n[http]\nlisten = \"{http}\"\n\
             [http.rate]\nburst = 10000000\nper_second = 1000000\n[log]\nlevel = \"warn\"\n",
            folder.path().join("data")
        );
        std::fs::write(&config, text).unwrap();
        let play = json!({"module": "play", "data": {"id": "tone_stream://%(1000,0,440);loops=-1"}, "children": {}});
        let documents = json!({"accounts": [{
            "name": "bench",
            "realm": "bench.test",
            "users": [{"first_name": "A", "last_name": "B", "username": "admin", "password": PASSWORD, "priv_level": "admin"}],
            "devices": [{"name": "generator", "sip": {"method": "ip", "ip": "127.0.0.0/8"}}],
            "menus": [{"name": "to be read"}],
            "callflows": [{"name": "tone", "numbers": ["1000"], "flow":
                {"module": "answer", "data": {}, "children": {"_": play}}}],
        }]});
        let file = folder.path().join("documents.json");
        std::fs::write(&file, documents.to_string()).unwrap();
        let applied = swivel("apply", &config).arg(&file).output().unwrap();
        assert!(
            applied.status.success(),
            "{}",
            String::from_utf8_lossy(&applied.stderr)
        );
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut run = swivel("run", &config);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = run.spawn().unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(http).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "the server does not answer"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            sip,
            http,
            _folder: folder,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn swivel(verb: &str, config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swivel"));
    command.arg(verb).arg("--config").arg(config);
    command
}

async fn sign_in(api: SocketAddr) -> (String, String) {
    let hash = hex::encode(Md5::digest(format!("admin:{PASSWORD}")));
    let login = json!({"data": {"credentials": hash, "account_name": "bench"}}).to_string();
    let (status, body, _) = Line::to(api)
        .await
        .ask("PUT", "/v2/user_auth", "", &login)
        .await;
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    let body: Value = serde_json::from_slice(&body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&body["data"]["account_id"]), text(&body["auth_token"]))
}

/// So many requests a second, evenly over connections; prints how long they took.
async fn paced(
    api: SocketAddr,
    verb: &'static str,
    path: String,
    token: String,
    rate: u64,
    long: Duration,
) {
    const LINES: u64 = 32;
    let begun = Instant::now();
    let tasks = (0..LINES.min(rate)).map(|n| {
        let (path, token) = (path.clone(), token.clone());
        tokio::spawn(async move {
            let mut line = Line::to(api).await;
            let mut times = Vec::new();
            let pause = Duration::from_secs_f64(LINES as f64 / rate as f64);
            let mut due = begun + pause.mul_f64(n as f64 / LINES as f64);
            while begun.elapsed() < long {
                tokio::time::sleep_until(due.into()).await;
                due += pause;
                let body = match verb {
                    "GET" => String::new(),
                    _ => json!({"data": {"name": format!("menu {}", times.len())}}).to_string(),
                };
                let at = Instant::now();
                let (status, said, _) = line.ask(verb, &path, &token, &body).await;
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
                times.push(at.elapsed());
            }
            times
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    let made = all.len() as f64 / begun.elapsed().as_secs_f64();
    told(
        &format!("  {verb}, {rate}/s asked for, {made:.0}/s made"),
        all,
    );
}

async fn load(api: SocketAddr, account: &str, token: &str, rates: (u64, u64), long: Duration) {
    let menus = format!("/v2/accounts/{account}/menus");
    let (_, body, _) = Line::to(api).await.ask("GET", &menus, token, "").await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let path = format!("{menus}/{}", body["data"][0]["id"].as_str().unwrap());
    let write = paced(api, "PATCH", path.clone(), token.to_owned(), rates.1, long);
    let read = paced(api, "GET", path, token.to_owned(), rates.0, long);
    tokio::join!(read, write);
}

/// The far ends of the calls.
struct Ears {
    sockets: Arc<Vec<UdpSocket>>,
    /// Answers what the server says about calls.
    signalling: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
}

impl Ears {
    fn start(server: &Server, calls: usize) -> Self {
        let sockets: Vec<UdpSocket> = (0..calls)
            .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
            .collect();
        sockets.iter().for_each(machine::stamp);
        let signalling = UdpSocket::bind("127.0.0.1:0").unwrap();
        signalling
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let mut answered = std::collections::BTreeSet::new();
        let begun = Instant::now();
        while answered.len() < calls {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{} calls of {calls}",
                answered.len()
            );
            for (n, socket) in sockets
                .iter()
                .enumerate()
                .filter(|(n, _)| !answered.contains(n))
                .take(50)
            {
                invite(&signalling, server.sip, n, socket.local_addr().unwrap());
            }
            let turn = Instant::now();
            while turn.elapsed() < Duration::from_millis(300) {
                if let Some(n) = acknowledge(&signalling, server.sip) {
                    answered.insert(n);
                }
            }
        }
        let over = Arc::new(AtomicBool::new(false));
        let (end, to) = (over.clone(), server.sip);
        let signalling = std::thread::Builder::new().spawn(move || {
            while !end.load(Ordering::Relaxed) {
                acknowledge(&signalling, to);
            }
        });
        Self {
            sockets: Arc::new(sockets),
            signalling: Some(signalling.unwrap()),
            over,
        }
    }

    /// Prints how even what comes is while something else is done.
    fn listen(&self, what: &str, long: Duration, meanwhile: impl FnOnce()) {
        while self
            .sockets
            .iter()
            .any(|socket| machine::receive(socket).is_some())
        {}
        let (sockets, over) = (self.sockets.clone(), Arc::new(AtomicBool::new(false)));
        let end = over.clone();
        let reader = std::thread::Builder::new().spawn(move || {
            machine::go_first();
            let mut times = vec![Vec::new(); sockets.len()];
            while !end.load(Ordering::Relaxed) {
                for (socket, times) in sockets.iter().zip(&mut times) {
                    while let Some((arrived, _)) = machine::receive(socket) {
                        times.push(arrived);
                    }
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            times
        });
        let reader = reader.unwrap();
        meanwhile();
        over.store(true, Ordering::Relaxed);
        let times = reader.join().unwrap();
        let count: usize = times.iter().map(Vec::len).sum();
        let mut off: Vec<f64> = times.iter().flat_map(|times| off_grid(times)).collect();
        off.sort_by(f64::total_cmp);
        assert!(!off.is_empty(), "{what}: nothing came");
        let at = |part: f64| off[((off.len() - 1) as f64 * part) as usize];
        let expected = long.as_secs_f64() * 50.0 * self.sockets.len() as f64;
        println!(
            "{what}: {count} packets, {:.2} % of those expected; off the grid p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms",
            count as f64 / expected * 100.0,
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.signalling.take() {
            thread.join().ok();
        }
    }
}

/// How far each arrival is from the grid that fits its call best, in ms.
fn off_grid(times: &[u64]) -> Vec<f64> {
    let Some(first) = times.first() else {
        return Vec::new();
    };
    let beside = |t: f64, origin: f64| (t - origin) - ((t - origin) / PERIOD).round() * PERIOD;
    let elapsed: Vec<f64> = times
        .iter()
        .map(|t| t.saturating_sub(*first) as f64)
        .collect();
    let mut offsets: Vec<f64> = elapsed.iter().map(|t| beside(*t, 0.0)).collect();
    offsets.sort_by(f64::total_cmp);
    let origin = offsets[offsets.len() / 2];
    elapsed
        .iter()
        .map(|t| beside(*t, origin).abs() / 1e6)
        .collect()
}

fn invite(socket: &UdpSocket, to: SocketAddr, n: usize, rtp: SocketAddr) {
    let me = socket.local_addr().unwrap();
    let sdp = format!(
        "v=0\r\no=- {n} 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0\r\na=ptime:20\r\n",
        rtp.ip(),
        rtp.port()
    );
    let text = format!(
        "INVITE sip:1000@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKb{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:ear@{me}>;tag=f{n}\r\nTo: <sip:1000@{to}>\r\nCall-ID: ear-{n}@{me}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:ear@{me}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    socket.send_to(text.as_bytes(), to).unwrap();
}

/// Takes one message; the number of the call it answers.
fn acknowledge(socket: &UdpSocket, to: SocketAddr) -> Option<usize> {
    let mut buffer = [0; 8192];
    let length = socket.recv(&mut buffer).ok()?;
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    if !text.starts_with("SIP/2.0 200") || !field("CSeq")?.ends_with("INVITE") {
        return None;
    }
    let (call_id, me) = (field("Call-ID")?, socket.local_addr().unwrap());
    let target = field("Contact")?;
    let target = target
        .split(['<', '>'])
        .nth(1)
        .unwrap_or(&target)
        .to_owned();
    let n: usize = call_id
        .strip_prefix("ear-")?
        .split('@')
        .next()?
        .parse()
        .ok()?;
    let ack = format!(
        "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKa{n}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        field("From")?,
        field("To")?
    );
    socket.send_to(ack.as_bytes(), to).unwrap();
    Some(n)
}
