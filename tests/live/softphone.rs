//! pjsua2 as a telephone of somebody else's making: registers, calls, holds, and puts its two calls together.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::audio::Sound;
use super::desk::PASSWORD;
use super::telephone::{House, Over, Tunes, house};
use super::tools::{eventually, now, python, root};

/// baresip and pjsua know MD5; both are offered it alone where a test mixes them.
const MD5: [(&str, &str); 1] = [("SWIVEL_SIP__DIGEST", "MD5")];

/// A pjsua2 that is registered until it is dropped.
struct Softphone {
    name: String,
    child: Child,
    input: ChildStdin,
    events: Receiver<Value>,
    waiting: Vec<Value>,
    dir: TempDir,
}

/// Whether it answers at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Called,
    Never,
}

impl Softphone {
    /// Registers and plays its tune; `None` where `make` has not installed it.
    fn start(house: &House, tunes: &Tunes, name: &str, over: Over, when: When) -> Option<Self> {
        let Some(python) = python("phones") else {
            eprintln!("pjsua2 is not installed (`make test` does that): it was not tried");
            return None;
        };
        let dir = TempDir::new().unwrap();
        let settings = json!({
            "name": name, "realm": "live.test", "password": PASSWORD, "port": house.port(over),
            "transport": if over == Over::Tcp { "tcp" } else { "udp" },
            "play": tunes.path(name), "record": dir.path().join("heard.wav"),
            "log": dir.path().join("log"), "answer": when == When::Called,
        });
        let mut child = Command::new(python)
            .arg(root().join("tests/live/softphone.py"))
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (sender, events) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            // It prints lines of its own, too, before its log has a file.
            for line in output.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str::<Value>(&line)
                    && sender.send(event).is_err()
                {
                    return;
                }
            }
        });
        let mut phone = Self {
            name: name.to_owned(),
            input: child.stdin.take().unwrap(),
            child,
            events,
            waiting: Vec::new(),
            dir,
        };
        let registered = phone.wait("registration", |_| true);
        assert_eq!(registered["code"], 200, "{registered}\n{}", phone.log());
        Some(phone)
    }

    /// Gives it a command.
    fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
        self.input.flush().unwrap();
    }

    /// Waits for an event that was not waited for before.
    fn wait(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = now() + Duration::from_secs(30);
        loop {
            let found = self.waiting.iter();
            let mut found = found.enumerate();
            if let Some((at, _)) = found.find(|(_, e)| e["event"] == kind && fits(e)) {
                return self.waiting.remove(at);
            }
            let left = deadline.saturating_duration_since(now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.waiting.push(event),
                Err(_) => panic!(
                    "{kind} of {} did not happen; others: {:#?}\n{}",
                    self.name,
                    self.waiting,
                    self.log()
                ),
            }
        }
    }

    fn state(&mut self, call: u64, state: &str) {
        self.wait("state", |event| {
            event["call"] == call && event["state"] == state
        });
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends it, and hands back what it heard.
    fn heard(&mut self) -> Sound {
        self.tell("quit");
        let what = format!("the end of {}", self.name);
        eventually(&what, Duration::from_secs(20), || {
            self.child.try_wait().unwrap()
        });
        Sound::read(&self.dir.path().join("heard.wav"))
    }
}

impl Drop for Softphone {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Lets time pass in which the parties talk.
fn talk(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// The last seconds of what was heard.
fn end_of(sound: &Sound, seconds: usize) -> Sound {
    Sound(sound.0[sound.0.len().saturating_sub(8000 * seconds)..].to_vec())
}

#[test]
fn pjsua_registers_calls_holds_and_is_heard() {
    let house = house(&MD5, &[], &[]);
    let tunes = Tunes::new();
    let phone = |name, over, when| Softphone::start(&house, &tunes, name, over, when);
    let (Some(mut ben), Some(mut ann)) = (
        phone("ben", Over::Tcp, When::Called),
        phone("ann", Over::Udp, When::Never),
    ) else {
        return;
    };
    ann.tell("call 1002");
    ann.state(0, "CONFIRMED");
    ben.state(0, "CONFIRMED");
    talk(4);
    ann.tell("hold");
    // 2: it holds; 1: both ways.
    ann.wait("media", |event| event["status"] == 2);
    talk(1);
    ann.tell("unhold");
    ann.wait("media", |event| event["status"] == 1);
    talk(2);
    ben.tell("hangup");
    ann.state(0, "DISCONNECTED");
    let legs = house.server.legs(2);
    assert!(
        legs.iter()
            .all(|leg| leg["hangup_cause"] == "NORMAL_CLEARING"),
        "{legs:#?}"
    );
    tunes.assert_in(&ann.heard(), "ben");
    tunes.assert_in(&ben.heard(), "ann");
}

#[test]
fn pjsua_asks_a_colleague_and_puts_its_caller_through() {
    let house = house(&MD5, &[], &[]);
    let tunes = Tunes::new();
    let phone = |name, over| Softphone::start(&house, &tunes, name, over, When::Called);
    let (Some(mut cara), Some(mut ben)) = (phone("cara", Over::Udp), phone("ben", Over::Udp))
    else {
        return;
    };
    // Ann is swivel's own phone.
    let plays = tunes.path("ann");
    let mut ann = house.call("ann", "1002", Over::Udp, &["--play", &plays]);
    ben.state(0, "CONFIRMED");
    talk(2);
    ben.tell("hold");
    ben.wait("media", |event| event["status"] == 2);
    ben.tell("call 1003");
    cara.state(0, "CONFIRMED");
    ben.state(1, "CONFIRMED");
    talk(2);
    ben.tell("join");
    let told = ben.wait("transfer", |event| event["final"] == true);
    assert_eq!(told["code"], 200, "{told}");
    ben.state(0, "DISCONNECTED");
    ben.state(1, "DISCONNECTED");
    talk(5);
    cara.tell("hangup");
    let by_ann = ann.well();
    assert_eq!(by_ann["ended_by"], "peer", "{by_ann:#}");
    // Ben's first call and his second, from either side.
    house.server.legs(4);
    // Both heard each other at the end, somewhere in the middle of what they play.
    let to_ann = end_of(&ann.heard(), 4);
    let to_cara = end_of(&cara.heard(), 8);
    tunes.assert_somewhere_in(&to_ann, "cara");
    tunes.assert_somewhere_in(&to_cara, "ann");
}

#[test]
fn pjsua_hands_its_caller_on_without_asking() {
    let house = house(&MD5, &[], &[]);
    let tunes = Tunes::new();
    let Some(mut ben) = Softphone::start(&house, &tunes, "ben", Over::Udp, When::Called) else {
        return;
    };
    let plays = tunes.path("cara");
    let answers = [
        "--answer",
        "--calls",
        "1",
        "--play",
        &plays,
        "--digits",
        "w10,hangup",
    ];
    let mut cara = house.phone("cara", Over::Udp, &answers);
    let mut ann = house.call("ann", "1002", Over::Udp, &["--play", &tunes.path("ann")]);
    ben.state(0, "CONFIRMED");
    talk(2);
    ben.tell("transfer 1003");
    let told = ben.wait("transfer", |event| event["final"] == true);
    assert_eq!(told["code"], 200, "{told}");
    ben.state(0, "DISCONNECTED");
    ann.well();
    cara.well();
    tunes.assert_in(&ann.heard(), "cara");
}
