//! swivel on free ports of loopback, with documents of the test's choice.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::full_disk::Disk;
use super::http::{self, Response};
use super::tools::{Turn, eventually, printed, run, swivel, turn};

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    // Goes before the folder it is in.
    _disk: Option<Disk>,
    dir: TempDir,
    pub(crate) sip: u16,
    pub(crate) api: SocketAddr,
    pub(crate) account: String,
    token: String,
    _turn: Turn,
}

pub(crate) const PASSWORD: &str = "only-for-this-test";
/// Not a variable of swivel's: how many files its process may have open.
const FILES: &str = "TEST_FILES";

/// What the administrator signs in with: MD5 of name and password.
pub(crate) fn credentials() -> String {
    hex::encode(Md5::digest(format!("admin:{PASSWORD}")))
}

/// RTP ports are dealt out in stretches, so that servers of parallel tests do not meet.
static STRETCH: AtomicU16 = AtomicU16::new(0);

impl Server {
    /// Starts a server whose one account serves phones on this machine and has these callflows: number and flow.
    pub(crate) fn with_flows(flows: &[(&str, Value)]) -> Self {
        let callflows: Vec<Value> = flows
            .iter()
            .map(|(number, flow)| json!({"name": format!("flow {number}"), "numbers": [number], "flow": flow}))
            .collect();
        Self::start(&[], json!({ "callflows": callflows }))
    }

    /// Starts a server with these variables in its environment, and `documents` added to its account.
    pub(crate) fn start(environment: &[(&str, &str)], documents: Value) -> Self {
        let mut server = Self::for_sip(environment, documents);
        server.log_in();
        server
    }

    /// The same for tests that speak SIP alone, without signing in.
    pub(crate) fn for_sip(environment: &[(&str, &str)], documents: Value) -> Self {
        let mut server = Self::spawn(environment);
        server.wait_until_healthy();
        server.apply(&account(documents));
        server
    }

    /// The same for a process that may have so many files open.
    pub(crate) fn with_few_files(files: u32, documents: Value) -> Self {
        let files = files.to_string();
        Self::for_sip(&[(FILES, &files)], documents)
    }

    /// The same as [`start`](Self::start) with its data on a disk of so many MiB; `None` where mounting is not permitted.
    pub(crate) fn on_small_disk(
        megabytes: u32,
        environment: &[(&str, &str)],
        documents: Value,
    ) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let disk = Disk::mount(&dir.path().join("data"), megabytes)?;
        let mut server = Self::spawn_in(dir, Some(disk), environment);
        server.wait_until_healthy();
        server.apply(&account(documents));
        server.log_in();
        Some(server)
    }

    fn spawn(environment: &[(&str, &str)]) -> Self {
        Self::spawn_in(TempDir::new().unwrap(), None, environment)
    }

    fn spawn_in(dir: TempDir, disk: Option<Disk>, environment: &[(&str, &str)]) -> Self {
        let turn = turn();
        let (sip, http) = (free_port(), free_port());
        let rtp = stretch();
        let config = dir.path().join("swivel.toml");
        let data = dir.path().join("data");
        let text = format!(
            "data_dir = {data:?}\ndrain_seconds = 8\n\
             [sip]\nlisten = [\"udp://127.0.0.1:{sip}\", \"tcp://127.0.0.1:{sip}\"]\n\
             [rtp]\nports = \"{rtp}-{}\"\n\
             [http]\nlisten = \"127.0.0.1:{http}\"\n\
             [pivot]\nallow = [\"127.0.0.1/32\"]\n\
             [log]\nlevel = \"info,swivel=debug\"\n",
            rtp + 399
        );
        std::fs::write(&config, text).unwrap();
        let child = spawn(&config, dir.path(), environment);
        Self {
            child,
            _disk: disk,
            dir,
            sip,
            api: ([127, 0, 0, 1], http).into(),
            account: String::new(),
            token: String::new(),
            _turn: turn,
        }
    }

    /// The ports it listens at for SIP, in the order of the configuration, where those were left to the machine.
    pub(crate) fn ports(&self) -> Vec<u16> {
        eventually("a word that it is ready", Duration::from_secs(10), || {
            let log = self.log();
            let list = log.split_once("ready sip=[")?.1.split_once(']')?.0;
            let ports = list.split(", ").map(|address| {
                let (_, port) = address.rsplit_once(':')?;
                port.parse::<u16>().ok()
            });
            ports.collect::<Option<Vec<u16>>>()
        })
    }

    /// Fails when the process has ended.
    pub(crate) fn assert_running(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "the server ended, {ended:?}:\n{}",
            self.log()
        );
    }

    /// Bytes of memory the process has resident.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            << 10
    }

    /// How many files and sockets the process has open.
    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// Processor time the process has used.
    pub(crate) fn busy(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let used = threads.flatten().filter_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(used.sum())
    }

    fn wait_until_healthy(&mut self) {
        let what = format!("a healthy server\n{}", self.log());
        eventually(&what, Duration::from_secs(20), || {
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "the server ended:\n{}",
                self.log()
            );
            http::request(self.api, "GET", "/healthz", &[], None).filter(|r| r.status == 200)
        });
    }

    /// Ends the server as a power cut would, and starts it again on the same data.
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.config(), self.dir.path(), &[]);
        self.wait_until_healthy();
        self.log_in();
    }

    /// Creates a document below the account; its id when that was acknowledged.
    pub(crate) fn create(&self, kind: &str, document: &Value) -> Option<String> {
        let path = format!("/v2/accounts/{}/{kind}", self.account);
        let body = json!({ "data": document });
        let reply = http::request(
            self.api,
            "PUT",
            &path,
            &[("X-Auth-Token", &self.token)],
            Some(&body),
        )?;
        (reply.status == 201).then(|| reply.json()["data"]["id"].as_str().map(str::to_owned))?
    }

    /// `swivel apply` of these documents.
    pub(crate) fn apply(&self, bundle: &Value) -> String {
        let file = self.dir.path().join("apply.json");
        std::fs::write(&file, bundle.to_string()).unwrap();
        let output = run(Command::new(swivel())
            .arg("apply")
            .arg("--config")
            .arg(self.config())
            .arg(&file));
        assert!(
            output.status.success(),
            "apply: {}\n{}",
            printed(&output),
            self.log()
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn log_in(&mut self) {
        let body = json!({"data": {"credentials": credentials(), "account_name": "live"}});
        let reply = http::request(self.api, "PUT", "/v2/user_auth", &[], Some(&body)).unwrap();
        assert_eq!(reply.status, 201, "{}", reply.body);
        let reply = reply.json();
        self.token = reply["auth_token"].as_str().unwrap().to_owned();
        self.account = reply["data"]["account_id"].as_str().unwrap().to_owned();
    }

    /// A token of the account's administrator.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// GET below the account.
    pub(crate) fn get(&self, path: &str) -> Response {
        let path = format!("/v2/accounts/{}/{path}", self.account);
        http::request(
            self.api,
            "GET",
            &path,
            &[("X-Auth-Token", &self.token)],
            None,
        )
        .unwrap()
    }

    /// The `data` of GET below the account, which must succeed.
    pub(crate) fn data(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.json()["data"].take()
    }

    /// The full record of the one call there was, once it is written.
    pub(crate) fn cdr(&self) -> Value {
        let row = eventually("a call record", Duration::from_secs(10), || {
            self.data("cdrs")
                .as_array()
                .filter(|rows| !rows.is_empty())
                .map(|rows| {
                    assert_eq!(rows.len(), 1, "one call leaves one record: {rows:#?}");
                    rows[0].clone()
                })
        });
        self.data(&format!("cdrs/{}", encoded(row["id"].as_str().unwrap())))
    }

    /// The full records of all legs, once there are so many: those of callers first.
    pub(crate) fn legs(&self, count: usize) -> Vec<Value> {
        let rows = eventually("the call records", Duration::from_secs(15), || {
            let rows = self.data("cdrs").as_array().unwrap().clone();
            (rows.len() >= count).then_some(rows)
        });
        assert_eq!(rows.len(), count, "{rows:#?}");
        let ids = rows.iter().map(|row| encoded(row["id"].as_str().unwrap()));
        let mut legs: Vec<Value> = ids.map(|id| self.data(&format!("cdrs/{id}"))).collect();
        legs.sort_by_key(|leg| leg["call_direction"] != "inbound");
        legs
    }

    /// The Pivot debug documents of a call.
    pub(crate) fn debug(&self, call_id: &str) -> Vec<Value> {
        let path = format!("pivot/debug/{}", encoded(call_id));
        eventually("the debug documents", Duration::from_secs(10), || {
            let reply = self.get(&path);
            (reply.status == 200)
                .then(|| reply.json()["data"].as_array().unwrap().clone())
                .filter(|d| !d.is_empty())
        })
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("swivel.toml")
    }

    /// A directory that goes with the server.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        eventually("the end of the server", Duration::from_secs(20), || {
            self.child.try_wait().unwrap()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("the server's last lines:");
            tail.into_iter()
                .rev()
                .for_each(|line| eprintln!("  {line}"));
        }
        if self.child.try_wait().ok().flatten().is_none() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

fn spawn(config: &Path, dir: &Path, environment: &[(&str, &str)]) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    let files = environment.iter().find(|(name, _)| *name == FILES);
    let mut command = match files {
        // A program started by a shell has the shell's limits.
        Some((_, files)) => {
            let mut shell = Command::new("sh");
            let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
            shell.args(["-c", &limited]).arg(swivel());
            shell
        }
        None => Command::new(swivel()),
    };
    let environment = environment.iter().filter(|(name, _)| *name != FILES);
    command
        .args(["run", "--config"])
        .arg(config)
        .envs(environment.copied())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// An account `live` that serves phones on this machine, with `documents` added.
fn account(documents: Value) -> Value {
    let mut account = json!({
        "name": "live",
        "realm": "live.test",
        "users": [{"username": "admin", "first_name": "Ada", "last_name": "Admin", "password": PASSWORD, "priv_level": "admin"}],
        "devices": [
            {"name": "this machine", "sip": {"method": "ip", "ip": "127.0.0.1"}},
        ],
    });
    for (key, value) in documents.as_object().unwrap() {
        account[key] = value.clone();
    }
    json!({ "accounts": [account] })
}

/// The first of 400 RTP ports. A stretch that somebody else on this machine uses, such as another run of these tests, is
/// passed over.
fn stretch() -> u16 {
    let next = || 20_000 + 400 * (STRETCH.fetch_add(1, Ordering::Relaxed) % 30);
    let is_free = |first: &u16| {
        let mut some = (0..400).step_by(40).map(|n| first + n);
        some.all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
    };
    let found = (0..30).map(|_| next()).find(is_free);
    found.unwrap_or_else(next)
}

/// A port of loopback that is free for UDP and TCP, and the few after it. Below those the system gives to whoever asks for
/// any, so that nobody takes it before it is used, and never the same twice in a row.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const STEP: u32 = 8;
    const COUNT: u32 = 700;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let turn = GIVEN
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(std::process::id());
        let port = u16::try_from(FIRST + STEP * (turn % COUNT)).unwrap();
        let tcp = TcpListener::bind(("127.0.0.1", port));
        if tcp.is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// A path segment with everything but letters, digits and `-._` escaped.
pub(crate) fn encoded(segment: &str) -> String {
    segment
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._".contains(&b) {
                (b as char).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
