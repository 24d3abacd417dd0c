//! A disk of 64 MiB that fills up while people talk (`security.md` row 31): recordings end and no call does, the API says
//! what is wrong, and all goes on when there is room again.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::audio::Sound;
use super::desk::{Desk, Line, PASSWORD, When};
use super::http;
use super::peer::{KNOWN, Peer, Placed, beside, header, known, offer, soak};
use super::phone::Over;
use super::server::Server;
use super::tools::{eventually, run};

const BEN: &str = "000000000000000000000000000be111";

/// A small file system of its own below a folder. Dropping it takes it away.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// `None` where mounting is not permitted.
    pub(crate) fn mount(at: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What was written is gone with it, also where a file of it is still open.
        run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

/// Keeps a disk full to the last byte until it is dropped.
struct Filled {
    file: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Filled {
    fn below(folder: &Path) -> Self {
        let file = folder.join("ballast");
        let ballast = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&stop);
        fill(&ballast);
        let thread = beside(move || {
            while !ending.load(Ordering::Relaxed) {
                fill(&ballast);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self {
            file,
            stop,
            thread: Some(thread),
        }
    }
}

fn fill(mut ballast: &File) {
    for size in [1 << 20, 4096, 1] {
        let bytes = vec![1; size];
        while ballast.write(&bytes).is_ok() {}
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
        std::fs::remove_file(&self.file).ok();
    }
}

/// Puts a document of 60 kB: the status, and what was said.
fn put(server: &Server, name: &str) -> (u16, Value) {
    let path = format!("/v2/accounts/{}/devices", server.account);
    let body = json!({"data": {"name": name, "notes": "x".repeat(60_000)}});
    let headers = [("X-Auth-Token", server.token())];
    let reply = http::request(server.api, "PUT", &path, &headers, Some(&body)).unwrap();
    (reply.status, reply.json())
}

fn disk_check(server: &Server) -> Value {
    let headers = [("X-Auth-Token", server.token())];
    let reply = http::request(server.api, "GET", "/v2/health_check", &headers, None).unwrap();
    let checks = reply.json()["data"].as_array().unwrap().clone();
    checks
        .into_iter()
        .find(|check| check["what"] == "Disk")
        .unwrap()
}

#[test]
fn a_full_disk_ends_recordings_and_no_call() {
    let documents = json!({
        "devices": [
            {"name": "known", "sip": {"method": "ip", "ip": KNOWN}},
            {"name": "ann", "sip": {"method": "password", "username": "ann", "password": PASSWORD}},
            {"id": BEN, "name": "ben", "sip": {"method": "password", "username": "ben", "password": PASSWORD}},
        ],
        "callflows": [
            {"name": "ben", "numbers": ["1002"], "flow": recorded(json!({"module": "device", "data": {"id": BEN}, "children": {}}), true)},
            {"name": "long", "numbers": ["700"], "flow": json!({"module": "answer", "data": {}, "children": {"_":
                recorded(json!({"module": "sleep", "data": {"duration": 300}, "children": {}}), false)}})},
        ],
    });
    let environment = [
        ("SWIVEL_SIP__DIGEST", "MD5"),
        ("SWIVEL_RTP__RECORD_MIN_FREE", "8388608"),
        ("SWIVEL_RTP__TIMEOUT_SECONDS", "0"),
    ];
    let Some(mut server) = Server::on_small_disk(64, &environment, documents) else {
        eprintln!("mounting is not permitted here: a full disk was not tried");
        return;
    };
    let data = server.folder().join("data");
    let line = |answers| Line {
        over: Over::Udp,
        port: server.sip,
        answers,
        secret: None,
        mwi: false,
    };
    let mut ben = Desk::start("ben", &line(When::Called), Sound::another_tune(160));
    ben.registered(&server, "ben");
    let mut ann = Desk::start("ann", &line(When::Told), Sound::tune(160));
    ann.registered(&server, "ann");
    ann.dial("1002");
    ann.wait("CALL_ESTABLISHED");
    ben.wait("CALL_ESTABLISHED");
    let (peer, port) = (Peer::at(known(1)), server.sip);
    let place = |n: u16| {
        let call = peer.call("700", &offer(known(1), 40_000 + 2 * n, ""), port);
        assert_eq!(call.status(), 200, "call {n}: {:?}", call.answer);
        call
    };
    let early: Vec<_> = (0..5).map(place).collect();
    std::thread::sleep(Duration::from_secs(3));

    let full = Filled::below(&data);
    // They end by what the recorder sees of the disk, or by a write that fails before that.
    eventually("the end of recordings", Duration::from_secs(20), || {
        let log = server.log();
        let ended = ["recordings stop, calls go on", "cannot write a recording"];
        ended.iter().any(|words| log.contains(words)).then_some(())
    });
    let check = disk_check(&server);
    assert_eq!(check["state"], "failing", "{check}");
    // The store takes what it has room for beforehand; then it says why it does not.
    let mut n = 0;
    let refusal = eventually("a refusal of the store", Duration::from_secs(120), || {
        n += 1;
        let (status, said) = put(&server, &format!("device {n}"));
        (status != 201).then_some((status, said))
    });
    assert_eq!(refusal.0, 503, "{refusal:?}");
    assert_eq!(refusal.1["message"], "datastore_fault");
    assert!(
        refusal.1["data"]["message"]
            .as_str()
            .unwrap()
            .contains("the disk is full"),
        "{refusal:?}"
    );
    let calls = if soak() { 30_u16 } else { 5 };
    let mut later = Vec::new();
    for n in 10..10 + calls {
        let call = place(n);
        std::thread::sleep(Duration::from_secs(if soak() { 2 } else { 1 }));
        // What is stored can be read.
        assert_eq!(server.get("devices").status, 200);
        assert_eq!(server.get("recordings").status, 200);
        assert_eq!(server.get("cdrs").status, 200);
        if n % 2 == 0 {
            assert_eq!(call.hang_up(&peer), 200);
        } else {
            later.push(call);
        }
    }
    server.assert_running();
    let up = server.data("channels").as_array().unwrap().len();
    assert_eq!(up, 2 + early.len() + later.len(), "no call has ended");

    drop(full);
    eventually("a store that stores", Duration::from_secs(60), || {
        (put(&server, "afterwards").0 == 201).then_some(())
    });
    eventually("a disk with room", Duration::from_secs(20), || {
        (disk_check(&server)["state"] != "failing").then_some(())
    });
    let again = place(200);
    std::thread::sleep(Duration::from_secs(3));
    let placed = early.len() + usize::from(calls) + 1;
    for call in early.iter().chain(&later).chain([&again]) {
        assert_eq!(call.hang_up(&peer), 200);
    }
    let up = server.data("channels").as_array().unwrap().len();
    assert_eq!(up, 2, "Ann and Ben talk");
    ann.tell("hangup", "");
    ben.wait("CALL_CLOSED");
    // Every call has its record, those that ended while nothing could be stored, too.
    let legs = server.legs(placed + 2);
    assert!(
        legs.iter()
            .all(|leg| leg["hangup_cause"] == "NORMAL_CLEARING"),
        "{legs:#?}"
    );
    let call_id = |call: &Placed| header(&call.invite, "Call-ID").unwrap().to_owned();
    let length = |recordings: &Value, call: &Placed| {
        let mut rows = recordings.as_array().unwrap().iter();
        let row = rows.find(|row| row["call_id"] == call_id(call));
        row.and_then(|row| row["duration_ms"].as_u64())
    };
    // Its file is made durable first.
    let recordings = eventually("a recording again", Duration::from_secs(20), || {
        let recordings = server.data("recordings");
        length(&recordings, &again)
            .is_some_and(|ms| ms >= 2000)
            .then_some(recordings)
    });
    for call in &early {
        assert!(
            length(&recordings, call).is_some_and(|ms| ms >= 2000),
            "{recordings:#}"
        );
    }
    for call in &later {
        assert!(
            length(&recordings, call).unwrap_or(0) < 1000,
            "{recordings:#}"
        );
    }
    // They heard each other to the end: the last seconds of Ben's side are Ann's tune.
    let heard = ben.heard();
    let last = heard.0.len().saturating_sub(8000 * 3);
    let tail = Sound(heard.0[last..].to_vec());
    assert!(tail.audible_seconds() > 2.0, "{} samples", heard.0.len());
}

/// Records what `then` does.
fn recorded(then: Value, on_bridge: bool) -> Value {
    json!({"module": "record_call", "data": {"action": "start", "record_on_bridge": on_bridge}, "children": {"_": then}})
}
