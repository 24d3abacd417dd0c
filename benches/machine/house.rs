//! A real `swivel run` on loopback with its configuration in a temporary directory, one account, and one callflow that
//! asks a web server.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A running swivel. Dropping it ends it.
pub(crate) struct House {
    child: Child,
    pub(crate) sip: SocketAddr,
    directory: tempfile::TempDir,
}

impl House {
    /// One that answers `number` by `flow`, and believes every address of loopback to be a known phone.
    pub(crate) fn start(number: &str, flow: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sip = socket.local_addr().unwrap();
        let http = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = directory.path().join("swivel.toml");
        let text = format!(
            "data_dir = {:?}\n[sip]\nlisten = [\"udp://{sip}\"]\n[rtp]\nports = \"20000-31998\"\n[http]\nlisten = \"{}\"\n\
             [pivot]\nallow = [\"127.0.0.0/8\"]\n[tts]\nprovider = \"command\"\n[log]\nlevel = \"warn\"\n",
            directory.path().join("data"),
            http.local_addr().unwrap(),
        );
        drop((socket, http));
        std::fs::write(&config, text).unwrap();
        let documents = directory.path().join("documents.json");
        let account = json!({
            "name": "bench", "realm": "bench.test",
            "devices": [{"name": "generator", "sip": {"method": "ip", "ip": "127.0.0.0/8"}}],
            "callflows": [{"name": number, "numbers": [number], "flow": flow}],
        });
        std::fs::write(&documents, json!({ "accounts": [account] }).to_string()).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_swivel"));
        let applied = Command::new(&program)
            .arg("apply")
            .arg("--config")
            .args([&config, &documents])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&applied.stderr);
        assert!(applied.status.success(), "apply failed: {said}");
        let log = |name| std::fs::File::create(directory.path().join(name)).unwrap();
        let child = Command::new(&program)
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log("out.log"))
            .stderr(log("err.log"))
            .spawn()
            .unwrap();
        let house = Self {
            child,
            sip,
            directory,
        };
        house.wait();
        house
    }

    /// Waits until it answers.
    fn wait(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let patience = Duration::from_millis(50);
        socket.set_read_timeout(Some(patience)).unwrap();
        let me = socket.local_addr().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            let options = format!(
                "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bKup{1}\r\nMax-Forwards: 70\r\n\
                 From: <sip:up@{me}>;tag=up\r\nTo: <sip:{0}>\r\nCall-ID: up{1}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
                self.sip,
                begun.elapsed().as_micros()
            );
            socket.send_to(options.as_bytes(), self.sip).unwrap();
            if socket.recv(&mut [0; 4096]).is_ok() {
                return;
            }
        }
        let log = std::fs::read_to_string(self.directory.path().join("err.log"));
        assert!(log.is_err(), "the server does not answer: {log:?}");
    }

    /// What it has used of the processor.
    pub(crate) fn busy(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let used = threads.flatten().filter_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(used.sum())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
