//! swivel's own telephone, `swivel phone`, and `swivel call` as one of a registered user: all ways in, hold, transfers.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::audio::Sound;
use super::desk::PASSWORD;
use super::server::Server;
use super::tools::{eventually, swivel};

/// A server with a listener of each transport, and an office of phones.
pub(crate) struct House {
    pub(crate) server: Server,
    /// UDP, TCP, TLS, WebSocket, WebSocket over TLS.
    pub(crate) ports: Vec<u16>,
}

/// The way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
    Tls,
    Ws,
}

/// Id of a device's document.
pub(crate) fn id(name: &str) -> String {
    let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex:0>32}")
}

/// A device of that name that logs in with the usual password.
pub(crate) fn device(name: &str, more: &Value) -> Value {
    let mut device = json!({
        "id": id(name), "name": name,
        "sip": {"method": "password", "username": name, "password": PASSWORD},
    });
    for (key, value) in more.as_object().unwrap() {
        device[key] = value.clone();
    }
    device
}

/// Rings the phone of that name.
pub(crate) fn rings(name: &str) -> Value {
    json!({"module": "device", "data": {"id": id(name), "timeout": 30}, "children": {}})
}

/// A callflow for that number.
pub(crate) fn flow(number: &str, flow: &Value) -> Value {
    json!({"name": number, "numbers": [number], "flow": flow})
}

/// Ann at 1001, Ben at 1002, Cara at 1003, what the test adds, and these settings.
pub(crate) fn house(settings: &[(&str, &str)], devices: &[Value], flows: &[Value]) -> House {
    let plain = ["ann", "ben", "cara"].map(|name| device(name, &json!({})));
    let usual = [("1001", "ann"), ("1002", "ben"), ("1003", "cara")];
    let usual = usual.map(|(number, name)| flow(number, &rings(name)));
    let devices = [&plain[..], devices].concat();
    let callflows = [&usual[..], flows].concat();
    let documents = json!({
        "users": [{"username": "admin", "first_name": "Ada", "last_name": "Admin", "password": "only-for-this-test", "priv_level": "admin"}],
        "devices": devices,
        "callflows": callflows,
    });
    let listen = ["udp", "tcp", "tls", "ws", "wss"].map(|name| format!("{name}://127.0.0.1:0"));
    let listen = listen.join(",");
    let mut environment = vec![("SWIVEL_SIP__LISTEN", listen.as_str())];
    environment.extend(settings);
    let server = Server::start(&environment, documents);
    let ports = server.ports();
    House { server, ports }
}

impl House {
    pub(crate) fn port(&self, over: Over) -> u16 {
        self.ports[match over {
            Over::Udp => 0,
            Over::Tcp => 1,
            Over::Tls => 2,
            Over::Ws => 3,
        }]
    }

    fn command(&self, verb: &str, target: &str, over: Over) -> Command {
        let mut command = Command::new(swivel());
        command
            .args([verb, target, "--json", "--password", PASSWORD, "--via"])
            .arg(format!("127.0.0.1:{}", self.port(over)));
        match over {
            Over::Udp => {}
            Over::Tcp => drop(command.arg("--tcp")),
            Over::Ws => drop(command.arg("--ws")),
            Over::Tls => {
                let authority = self.server.folder().join("data/tls/development.pem");
                command.arg("--tls").arg("--ca").arg(authority);
            }
        }
        command
    }

    /// A phone of ours that is registered.
    pub(crate) fn phone(&self, name: &str, over: Over, more: &[&str]) -> Telephone {
        let mut command = self.command("phone", &format!("{name}@live.test"), over);
        let phone = Telephone::start(name, command.args(more));
        self.registered(name);
        phone
    }

    /// A call of ours to that number, by that user.
    pub(crate) fn call(&self, name: &str, number: &str, over: Over, more: &[&str]) -> Telephone {
        let mut command = self.command("call", &format!("{number}@live.test"), over);
        Telephone::start(name, command.args(["--user", name]).args(more))
    }

    /// Waits until the server knows where that phone is.
    pub(crate) fn registered(&self, name: &str) {
        let what = format!("the registration of {name}");
        eventually(&what, Duration::from_secs(30), || {
            let rows = self.server.data("registrations");
            let mut rows = rows.as_array().unwrap().iter();
            rows.any(|row| row["username"] == name).then_some(())
        });
    }

    /// Waits until nobody is registered.
    fn deserted(&self) {
        eventually(
            "the end of every registration",
            Duration::from_secs(20),
            || {
                let rows = self.server.data("registrations");
                rows.as_array().unwrap().is_empty().then_some(())
            },
        );
    }
}

/// `swivel phone` or `swivel call`, at work.
pub(crate) struct Telephone {
    name: String,
    child: Child,
    dir: TempDir,
}

impl Telephone {
    fn start(name: &str, command: &mut Command) -> Self {
        let dir = TempDir::new().unwrap();
        let child = command
            .arg("--save")
            .arg(dir.path().join("heard.wav"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self {
            name: name.to_owned(),
            child,
            dir,
        }
    }

    /// What it heard in its first call, once it is over.
    pub(crate) fn heard(&self) -> Sound {
        Sound::read(&self.dir.path().join("heard.wav"))
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Waits for its end: exit status and what it has to say.
    pub(crate) fn finish(&mut self) -> (i32, Value) {
        let what = format!("the end of {}'s telephone", self.name);
        let status = eventually(&what, Duration::from_secs(100), || {
            self.child.try_wait().unwrap()
        });
        let mut text = String::new();
        let mut output = self.child.stdout.take().unwrap();
        output.read_to_string(&mut text).unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"));
        (status.code().unwrap(), value)
    }

    /// The same; it must have ended well.
    pub(crate) fn well(&mut self) -> Value {
        let (status, value) = self.finish();
        assert_eq!(status, 0, "{}: {value:#}", self.name);
        value
    }
}

impl Drop for Telephone {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder with the tunes telephones play: of ann, ben and cara.
pub(crate) struct Tunes(TempDir);

impl Tunes {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Sound::tune(60).write(&dir.path().join("ann.wav"));
        Sound::another_tune(60).write(&dir.path().join("ben.wav"));
        let cara = Sound::another_tune(60).0.into_iter().rev().collect();
        Sound(cara).write(&dir.path().join("cara.wav"));
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(format!("{name}.wav"));
        path.to_str().unwrap().to_owned()
    }

    /// Whether that one's tune is in what somebody heard. Nothing in it repeats; a lost packet may spoil one part.
    pub(crate) fn is_in(&self, heard: &Sound, name: &str) -> bool {
        let tune = Sound::read(&self.0.path().join(format!("{name}.wav")));
        let mut parts = [4_000, 8_000, 12_000, 16_000].into_iter();
        parts.any(|at| heard.likeness(&Sound(tune.0[at..at + 1_600].to_vec())) > 0.9)
    }

    pub(crate) fn assert_in(&self, heard: &Sound, name: &str) {
        let length = heard.0.len();
        assert!(
            self.is_in(heard, name),
            "{length} samples without {name}'s tune"
        );
    }

    /// The same where it may have begun a while before: a part of what was heard is in its first twenty seconds.
    pub(crate) fn assert_somewhere_in(&self, heard: &Sound, name: &str) {
        let tune = Sound::read(&self.0.path().join(format!("{name}.wav")));
        let tune = Sound(tune.0[..160_000].to_vec());
        let length = heard.0.len();
        let mut parts = [2, 3, 4].map(|share| length / share).into_iter();
        let found = parts.any(|at| {
            let part = heard.0.iter().skip(at).take(1_600).copied();
            tune.likeness(&Sound(part.collect())) > 0.9
        });
        assert!(found, "{length} samples without {name}'s tune");
    }
}

/// Ann calls Ben; both play their tunes; she hangs up.
fn talk(over: Over, more: &[&str]) {
    let phones = json!({"media": {"webrtc": false}});
    let ben = device("benno", &phones);
    let house = house(&[], &[ben], &[flow("1009", &rings("benno"))]);
    let tunes = Tunes::new();
    let (ann_plays, ben_plays) = (tunes.path("ann"), tunes.path("ben"));
    let answers = [&["--answer=1", "--calls", "1", "--play", &ben_plays], more].concat();
    let mut ben = house.phone("benno", over, &answers);
    let asks = ["--register", "--play", &ann_plays, "--digits", "w8,hangup"];
    let mut ann = house.call("ann", "1009", over, &[&asks, more].concat());
    let (by_ann, by_ben) = (ann.well(), ben.well());
    let taken = &by_ben["calls"][0];
    assert_eq!(by_ben["status"], 200, "{by_ben:#}");
    assert_eq!(taken["ended_by"], "peer", "{by_ben:#}");
    assert!(by_ann["ringing_ms"].as_u64().is_some(), "{by_ann:#}");
    for call in [&by_ann, taken] {
        assert_eq!(call["result"], "completed", "{call:#}");
        assert_eq!(call["encrypted"], more.contains(&"--srtp"), "{call:#}");
    }
    let ladder = by_ann["ladder"].to_string();
    assert!(ladder.contains("registration ended"), "{ladder}");
    tunes.assert_in(&ann.heard(), "ben");
    tunes.assert_in(&ben.heard(), "ann");
    house.deserted();
    let legs = house.server.legs(2);
    assert!(
        legs.iter()
            .all(|leg| leg["hangup_cause"] == "NORMAL_CLEARING"),
        "{legs:#?}"
    );
}

#[test]
fn our_phones_register_and_talk_over_udp() {
    talk(Over::Udp, &[]);
}

#[test]
fn our_phones_register_and_talk_over_tcp() {
    talk(Over::Tcp, &[]);
}

#[test]
fn our_phones_register_and_talk_over_tls_with_encrypted_sound() {
    talk(Over::Tls, &["--srtp"]);
}

#[test]
fn our_phones_register_and_talk_over_websocket() {
    talk(Over::Ws, &[]);
}

/// Ben answers Ann's call and hands it on to Cara; she hears Cara at the end.
fn hand_on(how: &[&str], attended: bool) {
    let house = house(&[], &[], &[]);
    let tunes = Tunes::new();
    let plays = ["ann", "ben", "cara"].map(|name| tunes.path(name));
    let cara = [
        "--answer",
        "--calls",
        "1",
        "--play",
        &plays[2],
        "--digits",
        "w14,hangup",
    ];
    let mut cara = house.phone("cara", Over::Udp, &cara);
    let ben = [
        "--answer",
        "--calls",
        "1",
        "--play",
        &plays[1],
        "--digits",
        "w8",
        "--transfer",
        "1003",
    ];
    let mut ben = house.phone("ben", Over::Tcp, &[&ben, how].concat());
    let mut ann = house.call("ann", "1002", Over::Udp, &["--play", &plays[0]]);
    let (by_ann, by_ben, by_cara) = (ann.well(), ben.well(), cara.well());
    let transfer = &by_ben["calls"][0]["transfer"];
    assert_eq!(transfer["status"], 200, "{by_ben:#}");
    assert_eq!(transfer["attended"], attended, "{by_ben:#}");
    assert_eq!(by_ann["ended_by"], "peer", "{by_ann:#}");
    assert_eq!(by_cara["calls"][0]["result"], "completed", "{by_cara:#}");
    let heard = ann.heard();
    tunes.assert_in(&heard, "ben");
    // What she hears of Cara begins in the middle when Cara talked to Ben first.
    let end = Sound(heard.0[heard.0.len().saturating_sub(28_000)..].to_vec());
    tunes.assert_somewhere_in(&end, "cara");
    let to_cara = cara.heard();
    assert!(to_cara.audible_seconds() > 2.0, "{by_cara:#}");
    house.server.legs(if attended { 4 } else { 3 });
    house.deserted();
}

#[test]
fn our_phone_hands_a_caller_on() {
    hand_on(&[], false);
}

#[test]
fn our_phone_talks_to_the_third_party_before_it_hands_the_caller_on() {
    hand_on(&["--attended=3"], true);
}

#[test]
fn a_transfer_to_nobody_leaves_the_call_and_is_told_by_the_exit_status() {
    let house = house(&[], &[], &[]);
    let mut ben = house.phone("ben", Over::Udp, &["--answer", "--calls", "1", "--echo"]);
    for how in [&[][..], &["--attended"][..]] {
        let script = ["--transfer", "1077", "--digits", "w2,transfer,w4,hangup"];
        let mut ann = house.call("ann", "1002", Over::Udp, &[&script, how].concat());
        let (status, outcome) = ann.finish();
        assert_eq!(status, 8, "{outcome:#}");
        assert_eq!(outcome["transfer"]["status"], 404, "{outcome:#}");
        assert_eq!(outcome["ended_by"], "us", "{outcome:#}");
        if how.is_empty() {
            ben.well();
            ben = house.phone("ben", Over::Udp, &["--answer", "--calls", "1", "--echo"]);
        }
    }
    ben.well();
}

#[test]
fn our_phone_holds_and_takes_back_and_presses_keys() {
    let house = house(&[], &[], &[]);
    let tunes = Tunes::new();
    let (ann_plays, ben_plays) = (tunes.path("ann"), tunes.path("ben"));
    let mut ben = house.phone(
        "ben",
        Over::Udp,
        &["--answer", "--calls", "1", "--play", &ben_plays],
    );
    let script = [
        "--play",
        &ann_plays,
        "--digits",
        "w4,hold,w4,unhold,w4,12,w2,hangup",
    ];
    let mut ann = house.call("ann", "1002", Over::Udp, &script);
    let (by_ann, by_ben) = (ann.well(), ben.well());
    let ladder = by_ann["ladder"].to_string();
    for remark in ["hold: done", "unhold: done", "keys sent"] {
        assert!(ladder.contains(remark), "{remark}: {ladder}");
    }
    assert_eq!(by_ben["calls"][0]["keys"], "12", "{by_ben:#}");
    // While she holds him she hears nothing of him: two seconds of eight are missing.
    let heard = ann.heard();
    assert!(heard.audible_seconds() > 3.0, "{by_ann:#}");
    tunes.assert_in(&heard, "ben");
}

#[test]
fn exit_statuses_of_our_phone_tell_what_happened() {
    let house = house(&[], &[], &[]);
    let via = format!("127.0.0.1:{}", house.port(Over::Udp));
    let wrong = [
        "phone",
        "ben@live.test",
        "--json",
        "--via",
        &via,
        "--password",
        "wrong",
    ];
    let mut stranger = Telephone::start("stranger", Command::new(swivel()).args(wrong));
    let (status, said) = stranger.finish();
    assert_eq!((status, &said["status"]), (5, &json!(401)), "{said:#}");

    let mut ben = house.phone("ben", Over::Udp, &["--refuse", "486", "--calls", "1"]);
    let (status, outcome) = house.call("ann", "1002", Over::Udp, &[]).finish();
    assert_eq!(
        (status, &outcome["status"]),
        (3, &json!(486)),
        "{outcome:#}"
    );
    assert_eq!(ben.well()["calls"][0]["result"], "busy");

    // It rings, and is told to leave: the caller learns that nobody answered.
    let mut ben = house.phone("ben", Over::Udp, &["--calls", "1"]);
    let mut ann = house.call("ann", "1002", Over::Udp, &[]);
    eventually("two channels", Duration::from_secs(20), || {
        let channels = house.server.data("channels");
        (channels.as_array().unwrap().len() == 2).then_some(())
    });
    ben.interrupt();
    let (status, said) = ben.finish();
    assert_eq!(status, 0, "{said:#}");
    assert_eq!(said["calls"][0]["ended_by"], "us", "{said:#}");
    let (status, outcome) = ann.finish();
    assert_eq!(status, 4, "{outcome:#}");
    house.deserted();
}
