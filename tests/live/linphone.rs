//! linphone's command line as a telephone: registers, calls, plays and records.

use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::desk::PASSWORD;
use super::telephone::{House, Over, Tunes, house};
use super::tools::eventually;

/// A linphonec that lives until it is dropped.
struct Linphone {
    child: Child,
    input: ChildStdin,
    dir: TempDir,
}

impl Linphone {
    /// Registers as `name`; `None` where `make` has not installed it.
    fn start(house: &House, name: &str) -> Option<Self> {
        if !Path::new("/usr/bin/linphonec").exists() {
            eprintln!("linphone is not installed (`make test` does that): it was not tried");
            return None;
        }
        let dir = TempDir::new().unwrap();
        let home = dir.path();
        std::fs::create_dir_all(home.join(".local/share/linphone")).unwrap();
        // It takes no port of the machine's choice.
        let port = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = house.port(Over::Udp);
        let config = format!(
            "[sip]\nsip_port={port}\nsip_tcp_port=0\nsip_tls_port=0\nuse_ipv6=0\ndefault_proxy=0\nguess_hostname=0\n\
             contact=\"{name}\" <sip:{name}@127.0.0.1>\n\
             [proxy_0]\nreg_proxy=<sip:127.0.0.1:{server};transport=udp>\nreg_route=<sip:127.0.0.1:{server};lr>\n\
             reg_identity=sip:{name}@live.test\nreg_expires=300\nreg_sendregister=1\n\
             [auth_info_0]\nusername={name}\npasswd={PASSWORD}\nrealm=live.test\n"
        );
        std::fs::write(home.join("rc"), config).unwrap();
        let log = std::fs::File::create(home.join("log")).unwrap();
        let mut child = Command::new("/usr/bin/linphonec")
            .arg("-c")
            .arg(home.join("rc"))
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        Some(Self { child, input, dir })
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
        self.input.flush().unwrap();
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn says(&self, what: &str) {
        let most = Duration::from_secs(30);
        eventually(&format!("{what:?} of linphone"), most, || {
            self.log().contains(what).then_some(())
        });
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("linphone printed:\n{}", self.log());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn linphone_registers_calls_and_both_hear_each_other() {
    let house = house(&[], &[], &[]);
    let tunes = Tunes::new();
    let Some(mut ann) = Linphone::start(&house, "ann") else {
        return;
    };
    house.registered("ann");
    let plays = tunes.path("ben");
    let answers = ["--answer", "--calls", "1", "--play", &plays];
    let mut ben = house.phone("ben", Over::Udp, &answers);
    // Without a sound card it plays and records files.
    let record = ann.dir.path().join("heard.wav");
    ann.tell("soundcard use files");
    ann.tell(&format!("record {}", record.display()));
    ann.tell("call sip:1002@live.test");
    ann.says("Media streams established");
    ann.tell(&format!("play {}", tunes.path("ann")));
    std::thread::sleep(Duration::from_secs(6));
    ann.tell("terminate");
    let by_ben = ben.well();
    assert_eq!(by_ben["calls"][0]["ended_by"], "peer", "{by_ben:#}");
    tunes.assert_in(&ben.heard(), "ann");
    ann.tell("quit");
    eventually("the end of linphone", Duration::from_secs(20), || {
        ann.child.try_wait().unwrap()
    });
    // At its own rate: louder than silence is what can be said.
    let heard = std::fs::read(&record).unwrap();
    let samples = heard.get(44..).unwrap_or_default().as_chunks::<2>().0;
    let loud = samples
        .iter()
        .filter(|pair| i16::from_le_bytes(**pair).unsigned_abs() > 500)
        .count();
    assert!(loud > 20_000, "{loud} of {} samples", samples.len());
}
