//! An application written with Twilio's own library runs unchanged: a menu, a queue, a meeting, a mailbox; speech by a real
//! recogniser; and TwiML heard on baresip, also at `swivel demo`.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::audio::{Sound, words};
use super::conference::{NOTES, loudest, note};
use super::desk::{self, Desk, Line, When};
use super::phone::Over;
use super::recognise::Recogniser;
use super::server::{Server, free_port};
use super::tools::{eventually, printed, python, swivel, turn};
use super::voice::Piper;
use super::web::Web;

const TOKEN: &str = "a-token-of-this-application";
/// More than anything here takes, on a machine however busy.
const LONG: Duration = Duration::from_secs(60);

/// The application, and a server whose 700 it answers; 701 is where its agents call.
struct Shop {
    web: Web,
    server: Server,
}

impl Shop {
    fn open(environment: &[(&str, &str)]) -> Self {
        let python = python("test").expect("`make test` builds .venv/test");
        let web = Web::run_by(&python, "application.py", &[OsStr::new(TOKEN)]);
        let asks = |path: &str| {
            let data = json!({"voice_url": web.url(path), "method": "post", "req_format": "twiml", "twiml_profile": "twilio"});
            json!({"module": "pivot", "data": data, "children": {}})
        };
        let documents = json!({
            "auth_token": TOKEN,
            "callflows": [
                {"name": "shop", "numbers": ["700"], "flow": asks("/voice")},
                {"name": "agents", "numbers": ["701"], "flow": asks("/agent")},
            ],
        });
        let server = Server::start(environment, documents);
        Self { web, server }
    }

    /// A caller who does that.
    fn call(&self, number: &str, more: &[&str]) -> Child {
        Command::new(swivel())
            .args(["call", number, "--json", "--max-seconds", "100", "--via"])
            .arg(format!("127.0.0.1:{}", self.server.sip))
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What was told that path, in order. Fails when anything was told without the right signature.
    fn told(&self, path: &str) -> Vec<Value> {
        let requests = self.web.requests();
        let wrong = requests.iter().find(|request| request["valid"] != true);
        assert_eq!(wrong, None, "a request has no valid signature");
        let own = requests.into_iter().filter(|r| r["path"] == path);
        own.map(|mut request| request["form"].take()).collect()
    }

    /// The first that was told that path.
    fn wait_for(&self, path: &str) -> Value {
        eventually(path, LONG, || self.told(path).into_iter().next())
    }
}

/// Waits until swivel has hung up on that caller.
fn dismissed(caller: Child) {
    let output: Output = caller.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["ended_by"], "peer", "{outcome:#}");
}

#[test]
fn a_queue_and_its_agent_as_twilios_library_writes_them() {
    let shop = Shop::open(&[]);
    let caller = shop.call("700", &["--digits", "w6,1"]);
    let waiting = shop.wait_for("/wait");
    let menu = shop.wait_for("/menu");
    assert_eq!(
        (&menu["Digits"], &menu["CallStatus"]),
        (&json!("1"), &json!("in-progress"))
    );
    assert_eq!(waiting["CallSid"], menu["CallSid"]);
    assert_eq!(
        (&waiting["QueuePosition"], &waiting["CurrentQueueSize"]),
        (&json!("1"), &json!("1"))
    );
    let agent = shop.call("701", &[]);
    let (announced, left, took) = (
        shop.wait_for("/announce"),
        shop.wait_for("/left"),
        shop.wait_for("/took"),
    );
    assert_eq!(announced["CallSid"], menu["CallSid"], "the caller hears it");
    assert_eq!(took["DequeueResult"], "bridged");
    assert_eq!(took["DequeuedCallSid"], menu["CallSid"]);
    assert_eq!(took["DialCallStatus"], "completed");
    assert_eq!(left["QueueResult"], "bridged");
    assert_eq!(left["QueueSid"], waiting["QueueSid"]);
    dismissed(agent);
    dismissed(caller);
}

#[test]
fn a_meeting_as_twilios_library_writes_it() {
    let shop = Shop::open(&[]);
    let callers = [0; 2].map(|_| shop.call("700", &["--digits", "w6,2"]));
    for caller in callers {
        dismissed(caller);
    }
    let told = eventually("the end of the meeting", LONG, || {
        let told = shop.told("/conference");
        let is_end = |one: &Value| one["StatusCallbackEvent"] == "conference-end";
        told.iter().any(is_end).then_some(told)
    });
    let events: Vec<&str> = told
        .iter()
        .filter_map(|one| one["StatusCallbackEvent"].as_str())
        .collect();
    let count = |event: &str| events.iter().filter(|one| **one == event).count();
    assert_eq!(count("participant-join"), 2, "{events:?}");
    assert_eq!(count("participant-leave"), 2, "{events:?}");
    assert_eq!(count("conference-start"), 1, "{events:?}");
    let room = &told[0]["ConferenceSid"];
    assert!(
        told.iter().all(|one| one["ConferenceSid"] == *room),
        "{told:#?}"
    );
    for left in shop.told("/met") {
        assert_eq!(left["DialCallStatus"], "answered", "{left:#}");
    }
}

/// Somebody who says the same over and over, after so many seconds of silence; and the words of it.
fn speaker(piper: &Piper, folder: &Path, silence: usize, times: usize) -> (String, Vec<String>) {
    let spoken = piper.source("I would like to speak to somebody about the weather and the money.");
    let mut sound = vec![0; 8000 * silence];
    for _ in 0..times {
        sound.extend(&spoken.0);
        // Less than what ends a speech.
        sound.extend([0; 2_400]);
    }
    sound.extend([0; 8_000]);
    let file = folder.join("says.wav");
    spoken.write(&file);
    let wanted = words(&file).expect("`make test` builds .venv/test");
    assert!(wanted.len() >= 6, "{wanted:?}");
    Sound(sound).write(&file);
    (file.display().to_string(), wanted)
}

/// Fails when less than 70 % of the words are there.
fn assert_understood(text: &Value, wanted: &[String]) {
    let text = text.as_str().unwrap_or_default();
    let found: Vec<&str> = text.split(' ').collect();
    let right = wanted
        .iter()
        .filter(|word| found.contains(&word.as_str()))
        .count();
    assert!(right * 10 >= wanted.len() * 7, "{text:?} of {wanted:?}");
}

/// Where the recogniser is.
fn listening(recogniser: &Recogniser) -> [(&'static str, String); 4] {
    [
        ("SWIVEL_STT__PROVIDER", "openai".to_owned()),
        ("SWIVEL_STT__URL", recogniser.url()),
        ("SWIVEL_STT__PARTIAL_MS", "500".to_owned()),
        ("SWIVEL_STT__TIMEOUT_MS", "120000".to_owned()),
    ]
}

fn borrowed<'a>(pairs: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

#[test]
fn what_a_caller_says_in_place_of_a_key_is_understood_and_told() {
    let Some(piper) = Piper::start() else { return };
    let recogniser = Recogniser::start();
    let settings = listening(&recogniser);
    let shop = Shop::open(&borrowed(&settings));
    let (file, wanted) = speaker(&piper, shop.server.folder(), 3, 3);
    let caller = shop.call("700", &["--play", &file]);
    let said = shop.wait_for("/menu");
    assert_understood(&said["SpeechResult"], &wanted);
    let sure: f32 = said["Confidence"].as_str().unwrap().parse().unwrap();
    assert!((0.0..=1.0).contains(&sure), "{said:#}");
    assert_eq!(said.get("Digits"), None, "{said:#}");
    dismissed(caller);
    // The recogniser may have been too slow for any.
    let partial = shop.told("/partial");
    println!("{} partial results", partial.len());
    for (n, one) in partial.iter().enumerate() {
        assert_eq!(one["SequenceNumber"], n.to_string(), "{partial:#?}");
        assert_eq!(one["CallSid"], said["CallSid"]);
        let parts = ["StableSpeechResult", "UnstableSpeechResult"];
        assert!(parts.iter().any(|part| one[part].is_string()), "{one:#}");
    }
}

#[test]
fn a_message_is_recorded_kept_and_told_as_a_text() {
    let Some(piper) = Piper::start() else { return };
    let recogniser = Recogniser::start();
    let settings = listening(&recogniser);
    let shop = Shop::open(&borrowed(&settings));
    let (file, wanted) = speaker(&piper, shop.server.folder(), 5, 4);
    let caller = shop.call("700", &["--digits", "w2,3", "--play", &file]);
    let (recorded, kept) = (shop.wait_for("/recorded"), shop.wait_for("/kept"));
    assert_eq!(kept["RecordingSid"], recorded["RecordingSid"]);
    assert_eq!(kept["RecordingStatus"], "completed");
    let understood = shop.wait_for("/understood");
    assert_eq!(
        understood["TranscriptionStatus"], "completed",
        "{understood:#}"
    );
    assert_eq!(understood["RecordingSid"], recorded["RecordingSid"]);
    assert_eq!(understood["CallSid"], recorded["CallSid"]);
    assert_eq!(understood["From"], recorded["From"]);
    assert_understood(&understood["TranscriptionText"], &wanted);
    dismissed(caller);
}

/// A baresip that calls when it is told.
fn line(port: u16) -> Line {
    Line {
        over: Over::Udp,
        port,
        answers: When::Told,
        secret: None,
        mwi: false,
    }
}

#[test]
fn three_baresips_in_a_conference_of_twiml_hear_each_other_and_not_themselves() {
    let document = "<Response><Dial><Conference beep=\"false\" waitUrl=\"\">room</Conference></Dial></Response>";
    let data = json!({"serverless": {"flow_doc": document, "flow_type": "text/xml"}, "twiml_profile": "twilio"});
    let flow = json!({"module": "pivot", "data": data, "children": {}});
    let names = ["ada", "ben", "cara"];
    let devices: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "sip": {"method": "password", "username": name, "password": desk::PASSWORD}}))
        .collect();
    let server = Server::start(
        // baresip 1.0 knows MD5 only.
        &[("SWIVEL_SIP__DIGEST", "MD5")],
        json!({"devices": devices, "callflows": [{"name": "room", "numbers": ["700"], "flow": flow}]}),
    );
    let mut desks: Vec<Desk> = names
        .iter()
        .zip(NOTES)
        .map(|(name, hz)| Desk::start(name, &line(server.sip), note(hz, 90)))
        .collect();
    for (desk, name) in desks.iter_mut().zip(names) {
        desk.registered(&server, name);
        desk.dial("700");
        desk.wait("CALL_ESTABLISHED");
    }
    eventually("three members", LONG, || {
        let reply = server.get("conferences/room/participants");
        let all = (reply.status == 200).then(|| reply.json()["data"].clone())?;
        (all.as_array()?.len() == 3).then_some(())
    });
    std::thread::sleep(Duration::from_secs(5));
    for desk in &mut desks {
        desk.tell("hangup", "");
    }
    for (own, desk) in desks.iter_mut().enumerate() {
        desk.wait("CALL_CLOSED");
        let heard = desk.heard();
        for (n, hz) in NOTES.into_iter().enumerate() {
            let strength = loudest(&heard, hz);
            println!("{} hears {}: {strength:.0}", names[own], names[n]);
            if n == own {
                assert!(strength < 800.0, "{} hears itself: {strength}", names[own]);
            } else {
                assert!(
                    strength > 2500.0,
                    "{} hears {}: {strength}",
                    names[own],
                    names[n]
                );
            }
        }
    }
}

/// `swivel demo` as a process.
struct Demo {
    process: Child,
    port: u16,
    password: String,
}

impl Demo {
    fn start(folder: &Path) -> Self {
        let (port, http) = (free_port(), free_port());
        let mut process = Command::new(swivel())
            .current_dir(folder)
            .args([
                "demo",
                "--sip-port",
                &port.to_string(),
                "--http-port",
                &http.to_string(),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let password = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, said) = line.split_once("user phone, password ")?;
            Some(said.split_once(',')?.0.to_owned())
        });
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self {
            process,
            port,
            password: password.expect("the demo says how its phone registers"),
        }
    }

    /// What baresip hears at that number until it is hung up on, after that key.
    fn heard(&self, number: &str, key: Option<&str>) -> Sound {
        let silence = Sound(vec![0; 8000 * 60]);
        let mut desk = Desk::start_by("phone", &self.password, &line(self.port), silence);
        eventually("the phone's registration", LONG, || {
            desk.log().contains("[1 binding]").then_some(())
        });
        desk.dial(number);
        desk.wait("CALL_ESTABLISHED");
        if let Some(key) = key {
            std::thread::sleep(Duration::from_secs(1));
            desk.tell("sndcode", key);
        }
        desk.wait("CALL_CLOSED");
        desk.heard()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn the_demos_menu_in_twiml_leads_baresip_where_its_keys_say() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path());
    // The sentence behind the key 1 is what Pivot's number says.
    let sentence = demo.heard("2030", None);
    assert!(sentence.audible_seconds() > 1.5);
    let sentence = Sound(sentence.0[..sentence.0.len().min(24_000)].to_vec()).middle_second();
    let first = demo.heard("300", Some("1"));
    let second = demo.heard("300", Some("2"));
    let likeness = [first.likeness(&sentence), second.likeness(&sentence)];
    println!(
        "the sentence behind 1: {:.2}, behind 2: {:.2}",
        likeness[0], likeness[1]
    );
    assert!(second.audible_seconds() > 1.5, "something else is said");
    assert!(likeness[0] > 0.8 && likeness[1] < 0.7, "{likeness:?}");
}
