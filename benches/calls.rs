//! Load generator: places SIP calls against a real `swivel run` on loopback and reads the server's own cost from
//! `/proc`. Decisions 27–29: CPU is the server's, sources are distinct 127/8 addresses, a rate the generator itself
//! cannot make is reported as such.
//!
//! `bridged` rings a telephone that answers at once and hangs up after `--hold` seconds; held for longer than the run, it
//! says what a call's memory is. `register` has telephones register by digest, ten a name.
//!
//! `tracing` says what the Call Lens costs: signalling calls in turn at two servers, one of which keeps no traces
//! (`retention.traces = false`), and the ratio of their medians.
//!
//! `cargo bench --bench calls -- [signalling|pivot|play|bridged|register|tracing] [--rate N] [--seconds N] [--calls N]
//! [--hold SECONDS] [--rest SECONDS] [--rounds N] [--program PATH]`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people at a terminal"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures real time on threads of its own"
)]

#[path = "machine/callee.rs"]
mod callee;
#[path = "machine/phones.rs"]
mod phones;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let scenario = arguments.first().filter(|a| !a.starts_with("--")).cloned();
    let number = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)?.parse::<f64>().ok()
    };
    let scenarios = match scenario.as_deref() {
        Some(one) => vec![one.to_owned()],
        None => vec![
            "signalling".to_owned(),
            "pivot".to_owned(),
            "play".to_owned(),
            "bridged".to_owned(),
            "register".to_owned(),
            "tracing".to_owned(),
        ],
    };
    let seconds = number("--seconds").unwrap_or(10.0);
    let named = arguments.iter().position(|a| a == "--program");
    let named = named.and_then(|at| arguments.get(at + 1));
    let swivel = named.map_or_else(program, PathBuf::from);
    let rest = Duration::from_secs_f64(number("--rest").unwrap_or(0.0));
    for scenario in scenarios {
        let default_rate = match scenario.as_str() {
            "signalling" | "tracing" => 2000.0,
            "pivot" => 500.0,
            "bridged" => 200.0,
            "register" => 1000.0,
            _ => 100.0,
        };
        let rate = number("--rate").unwrap_or(default_rate);
        let calls = number("--calls").unwrap_or(rate * seconds) as usize;
        let hold = Duration::from_secs_f64(number("--hold").unwrap_or(0.2));
        if scenario == "tracing" {
            let rounds = number("--rounds").unwrap_or(3.0) as usize;
            tracing(&swivel, hold, rate, calls, rounds);
            continue;
        }
        let server = Server::start(&swivel, hold, true);
        if scenario == "register" {
            phones::run(&server, rate, calls);
            continue;
        }
        run(&server, &scenario, rate, calls, rest);
    }
}

/// A running swivel with its configuration in a temporary directory.
struct Server {
    child: Child,
    sip: SocketAddr,
    http: SocketAddr,
    hook: Hook,
    started_in: Duration,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts one. It keeps traces, as it does by default, or none.
    fn start(swivel: &Path, hold: Duration, traces: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sip = free_udp_port();
        let http = free_tcp_port();
        let hook = Hook::start();
        // Two of them run beside each other, and each keeps the ports it has used.
        let ports = if traces { "20000-25998" } else { "26000-31998" };
        let config = directory.path().join("swivel.toml");
        std::fs::write(
            &config,
            format!(
                "data_dir = {:?}\n[sip]\nlisten = [\"udp://{sip}\"]\n[rtp]\nports = \"{ports}\"\n[http]\nlisten = \"{http}\"\n\
                 [pivot]\nallow = [\"127.0.0.0/8\"]\n[tts]\nprovider = \"command\"\n[log]\nlevel = \"warn\"\n{}",
                directory.path().join("data"),
                if traces { "" } else { "[retention]\ntraces = false\n" }
            ),
        )
        .unwrap();
        let documents = directory.path().join("documents.json");
        let callee = UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 2, 1), 0)).unwrap();
        let documents_text = documents_for(&hook, callee.local_addr().unwrap());
        std::fs::write(&documents, documents_text).unwrap();
        callee::start(callee, sip, hold);
        let applied = Command::new(swivel)
            .arg("apply")
            .arg("--config")
            .arg(&config)
            .arg(&documents)
            .output()
            .unwrap();
        assert!(
            applied.status.success(),
            "apply failed: {}",
            String::from_utf8_lossy(&applied.stderr)
        );
        let begun = Instant::now();
        let child = Command::new(swivel)
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(directory.path().join("out.log")).unwrap())
            .stderr(std::fs::File::create(directory.path().join("err.log")).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            sip,
            http,
            hook,
            started_in: Duration::ZERO,
            directory,
        };
        server.wait_until_it_answers(begun);
        server
    }

    fn wait_until_it_answers(&mut self, begun: Instant) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let mut buffer = [0; 4096];
        while begun.elapsed() < Duration::from_secs(30) {
            let me = socket.local_addr().unwrap();
            let options = format!(
                "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKup{1}\r\nMax-Forwards: 70\r\n\
                 From: <sip:up@{me}>;tag=up\r\nTo: <sip:{0}>\r\nCall-ID: up{1}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
                self.sip,
                begun.elapsed().as_micros()
            );
            socket.send_to(options.as_bytes(), self.sip).unwrap();
            if socket.recv(&mut buffer).is_ok() {
                self.started_in = begun.elapsed();
                return;
            }
        }
        let log =
            std::fs::read_to_string(self.directory.path().join("err.log")).unwrap_or_default();
        panic_with(&format!("the server does not answer: {log}"));
    }

    fn usage(&self) -> Usage {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        let mut switches = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .unwrap()
            .flatten()
        {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let line = status
                .lines()
                .find(|l| l.starts_with("voluntary_ctxt_switches"))
                .unwrap_or_default();
            switches += line
                .split_whitespace()
                .nth(1)
                .and_then(|n| n.parse::<u64>().ok())
                .unwrap_or(0);
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let rss = status
            .lines()
            .find(|l| l.starts_with("VmRSS"))
            .unwrap_or_default();
        Usage {
            cpu: Duration::from_millis(ticks * 10),
            switches,
            rss_kib: rss
                .split_whitespace()
                .nth(1)
                .and_then(|n| n.parse().ok())
                .unwrap_or(0),
            fsyncs: self.metric("swivel_store_fsyncs_total"),
            cdrs: self.metric("swivel_cdrs_durable_total"),
        }
    }

    fn metric(&self, name: &str) -> u64 {
        let Ok(mut stream) = TcpStream::connect(self.http) else {
            return 0;
        };
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.http
        );
        if stream.write_all(request.as_bytes()).is_err() {
            return 0;
        }
        let mut text = String::new();
        if stream.read_to_string(&mut text).is_err() {
            return 0;
        }
        let lines = text
            .lines()
            .filter(|l| l.split(['{', ' ']).next() == Some(name));
        lines
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>() as u64
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

struct Usage {
    cpu: Duration,
    switches: u64,
    rss_kib: u64,
    fsyncs: u64,
    cdrs: u64,
}

#[derive(Default)]
struct Call {
    invited: Option<Instant>,
    answered: Option<Instant>,
    resent: u32,
}

/// What traces cost of a signalling call: rounds at a server with them and at one without, in turn.
fn tracing(swivel: &Path, hold: Duration, rate: f64, calls: usize, rounds: usize) {
    let servers = [true, false].map(|traces| Server::start(swivel, hold, traces));
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..rounds.max(1) {
        for (server, costs) in servers.iter().zip(&mut costs) {
            let before = server.usage();
            run(server, "signalling", rate, calls, Duration::ZERO);
            // A trace is written when its call has been over for five seconds.
            std::thread::sleep(Duration::from_secs(7));
            costs.push((server.usage().cpu - before.cpu).as_secs_f64() * 1000.0 / calls as f64);
        }
    }
    let [with, without] = costs.map(|mut costs| {
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 2).copied().unwrap_or_default()
    });
    println!(
        "tracing: {with:.3} ms of CPU a signalling call with traces, {without:.3} without, ratio {:.3}",
        with / without
    );
}

/// Places `calls` calls at `rate` a second and prints what they cost.
fn run(server: &Server, scenario: &str, rate: f64, calls: usize, rest: Duration) {
    let number = match scenario {
        "signalling" => "1000",
        "pivot" => "2030",
        "bridged" => "1002",
        _ => "1001",
    };
    let sockets: Vec<UdpSocket> = (1..=SOURCES)
        .map(|n| {
            let socket = UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 1, n), 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    let rtp = sink.local_addr().unwrap();
    // A server knows the calls of the run before for a while.
    let first = PLACED.fetch_add(calls, Ordering::Relaxed);
    let before = server.usage();
    let begun = Instant::now();
    let mut table: HashMap<usize, Call> = HashMap::with_capacity(calls);
    let (mut placed, mut cleared, mut refused, mut late) = (0usize, 0usize, 0usize, 0usize);
    let mut setups: Vec<Duration> = Vec::with_capacity(calls);
    let mut own_cpu_limit = false;
    let mut buffer = vec![0; 65536];
    let mut last_progress = Instant::now();
    let mut sending = Duration::ZERO;
    while cleared + refused < calls && last_progress.elapsed() < Duration::from_secs(20) {
        let due = ((begun.elapsed().as_secs_f64() * rate) as usize).min(calls);
        if due > placed + (rate / 10.0) as usize + 10 {
            own_cpu_limit = true;
        }
        while placed < due.min(placed + 64) {
            let call = first + placed;
            send_invite(
                &sockets[call % sockets.len()],
                server.sip,
                number,
                call,
                rtp,
            );
            table.insert(
                call,
                Call {
                    invited: Some(Instant::now()),
                    ..Call::default()
                },
            );
            placed += 1;
            sending = begun.elapsed();
        }
        let mut idle = true;
        for socket in &sockets {
            while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                idle = false;
                last_progress = Instant::now();
                let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
                match answer(socket, server.sip, text, &mut table) {
                    Outcome::Answered(setup) => setups.push(setup),
                    Outcome::Cleared => cleared += 1,
                    Outcome::Refused => refused += 1,
                    Outcome::Nothing => {}
                }
            }
        }
        late += resend(&sockets, server.sip, number, rtp, &mut table);
        if idle {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    let after = server.usage();
    setups.sort();
    let at = |q: f64| {
        setups
            .get(((setups.len() as f64 - 1.0) * q) as usize)
            .copied()
            .unwrap_or_default()
    };
    let per_call = |total: u64| total as f64 / cleared.max(1) as f64;
    println!(
        "{scenario}: {calls} calls asked for at {rate}/s, {:.0}/s made",
        placed as f64 / sending.as_secs_f64()
    );
    println!(
        "  cleared {cleared}, refused {refused}, failed {}, resent {late}",
        calls - cleared - refused
    );
    println!(
        "  server CPU a call {:.3} ms",
        (after.cpu - before.cpu).as_secs_f64() * 1000.0 / cleared.max(1) as f64
    );
    println!(
        "  wakes a call {:.2}, syncs a call {:.4}",
        per_call(after.switches - before.switches),
        per_call(after.fsyncs - before.fsyncs)
    );
    println!(
        "  INVITE to 200: p50 {:?} p99 {:?} max {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    if scenario == "pivot" {
        let mut hooks = server.hook.served.lock().unwrap().clone();
        hooks.sort();
        println!(
            "  web server's own time: p50 {:?}, requests {}",
            hooks.get(hooks.len() / 2),
            hooks.len()
        );
    }
    println!(
        "  RSS {} → {} KiB, records durable {}, start to first answer {:?}",
        before.rss_kib,
        after.rss_kib,
        after.cdrs - before.cdrs,
        server.started_in
    );
    let up = setups.len().saturating_sub(cleared);
    if up > 0 {
        println!(
            "  {up} calls up, {:.1} KiB a call",
            after.rss_kib.saturating_sub(before.rss_kib) as f64 / up as f64
        );
    } else if !rest.is_zero() {
        std::thread::sleep(rest);
        println!(
            "  RSS after {rest:?} of rest: {} KiB",
            server.usage().rss_kib
        );
    }
    if own_cpu_limit {
        println!("  note: the generator fell behind; the rate made is its own limit");
    }
}

enum Outcome {
    Answered(Duration),
    Cleared,
    Refused,
    Nothing,
}

fn send_invite(socket: &UdpSocket, to: SocketAddr, number: &str, call: usize, rtp: SocketAddr) {
    let me = socket.local_addr().unwrap();
    let sdp = format!(
        "v=0\r\no=- {call} 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n",
        rtp.ip(),
        rtp.port()
    );
    let invite = format!(
        "INVITE sip:{number}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKi{call}\r\nMax-Forwards: 70\r\n\
         From: \"Load\" <sip:load@{me}>;tag=f{call}\r\nTo: <sip:{number}@{to}>\r\nCall-ID: call-{call}@{me}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:load@{me}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    socket.send_to(invite.as_bytes(), to).ok();
}

fn answer(
    socket: &UdpSocket,
    server: SocketAddr,
    text: &str,
    table: &mut HashMap<usize, Call>,
) -> Outcome {
    let call_id = header(text, "Call-ID");
    let Some(call) = call_id
        .strip_prefix("call-")
        .and_then(|rest| rest.split('@').next()?.parse::<usize>().ok())
    else {
        return Outcome::Nothing;
    };
    let me = socket.local_addr().unwrap();
    if text.starts_with("BYE ") {
        let reply = format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {call_id}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
            header(text, "Via"),
            header(text, "From"),
            header(text, "To"),
            header(text, "CSeq")
        );
        socket.send_to(reply.as_bytes(), server).ok();
        return if table.remove(&call).is_some() {
            Outcome::Cleared
        } else {
            Outcome::Nothing
        };
    }
    let status: u16 = text
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    if !header(text, "CSeq").ends_with("INVITE") || status < 200 {
        if status >= 100
            && let Some(state) = table.get_mut(&call)
        {
            state.resent = u32::MAX;
        }
        return Outcome::Nothing;
    }
    let contact = header(text, "Contact").trim_matches(['<', '>']).to_owned();
    let (target, branch) = if status < 300 {
        (contact, "a")
    } else {
        (format!("sip:{server}"), "i")
    };
    let ack = format!(
        "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bK{branch}{call}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        header(text, "From"),
        header(text, "To")
    );
    socket.send_to(ack.as_bytes(), server).ok();
    if status >= 300 {
        return if table.remove(&call).is_some() {
            Outcome::Refused
        } else {
            Outcome::Nothing
        };
    }
    match table.get_mut(&call) {
        Some(state) if state.answered.is_none() => {
            state.answered = Some(Instant::now());
            Outcome::Answered(state.invited.map(|t| t.elapsed()).unwrap_or_default())
        }
        _ => Outcome::Nothing,
    }
}

/// Timer A for INVITEs without any response.
fn resend(
    sockets: &[UdpSocket],
    to: SocketAddr,
    number: &str,
    rtp: SocketAddr,
    table: &mut HashMap<usize, Call>,
) -> usize {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap();
    if last.is_some_and(|t| t.elapsed() < Duration::from_millis(100)) {
        return 0;
    }
    *last = Some(Instant::now());
    let mut count = 0;
    for (call, state) in table.iter_mut() {
        let waited = state.invited.map(|t| t.elapsed()).unwrap_or_default();
        if state.answered.is_none()
            && state.resent < 6
            && waited > Duration::from_millis(500) * 2u32.pow(state.resent)
        {
            state.resent += 1;
            count += 1;
            send_invite(&sockets[call % sockets.len()], to, number, *call, rtp);
        }
    }
    count
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
        .unwrap_or_default()
}

/// A web server that answers every request with one callflow, over kept connections.
struct Hook {
    address: SocketAddr,
    served: Arc<Mutex<Vec<Duration>>>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(Mutex::new(Vec::new()));
        let times = served.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let times = times.clone();
                std::thread::spawn(move || serve_hook(stream, &times));
            }
        });
        Self { address, served }
    }
}

/// Calls of all runs so far.
static PLACED: AtomicUsize = AtomicUsize::new(0);

static HOOKS: AtomicU64 = AtomicU64::new(0);

fn serve_hook(mut stream: TcpStream, times: &Mutex<Vec<Duration>>) {
    let body = r#"{"module":"tts","data":{"text":"Pivot is pretty awesome."},"children":{}}"#;
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.set_nodelay(true).ok();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        let mut first = true;
        let mut begun = Instant::now();
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if std::mem::take(&mut first) {
                begun = Instant::now();
            }
            if line == "\r\n" {
                break;
            }
        }
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
        HOOKS.fetch_add(1, Ordering::Relaxed);
        times.lock().unwrap().push(begun.elapsed());
    }
}

fn documents_for(hook: &Hook, callee: SocketAddr) -> String {
    use serde_json::json;
    const CALLEE: &str = "000000000000000000000000000000ca";
    let route = format!("sip:callee@{callee}");
    let mut devices = vec![
        json!({"name": "generator", "sip": {"method": "ip", "ip": "127.0.0.0/8"}}),
        json!({"id": CALLEE, "name": "callee", "sip": {"method": "ip", "ip": "127.0.2.1", "invite_format": "route", "route": route}}),
    ];
    devices.extend((0..NAMES).map(|n| {
        let name = phones::name(n * phones::CONTACTS);
        json!({"name": name, "sip": {"method": "password", "username": name, "password": phones::PASSWORD}})
    }));
    let flow = |number: &str, flow: serde_json::Value| json!({"name": number, "numbers": [number], "flow": flow});
    let node = |module: &str, data: serde_json::Value| json!({"module": module, "data": data, "children": {}});
    let mut answers = node("answer", json!({}));
    answers["children"]["_"] = node("hangup", json!({}));
    let speech = json!({"text": "A minute of speech for the benchmark.", "endless_playback": true});
    let url = format!("http://{}/pivot", hook.address);
    let callflows = [
        flow("1000", answers),
        flow("1001", node("tts", speech)),
        flow(
            "1002",
            node("device", json!({"id": CALLEE, "can_call_self": true})),
        ),
        flow("2030", node("pivot", json!({"voice_url": url}))),
    ];
    json!({"accounts": [{"name": "bench", "realm": "bench.test", "devices": devices, "callflows": callflows}]}).to_string()
}

/// Names of telephones that register.
const NAMES: usize = 1000;

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_swivel"))
}

fn free_udp_port() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

fn free_tcp_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[expect(clippy::panic, reason = "a program for people at a terminal")]
fn panic_with(text: &str) -> ! {
    panic!("{text}")
}

/// Source addresses of the generator.
const SOURCES: u8 = 16;
