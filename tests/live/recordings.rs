//! Recorded calls between real telephones: read back over the API, and sent where the callflow says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::audio::Sound;
use super::desk::{Desk, Line, PASSWORD, When};
use super::phone::Over;
use super::server::{Server, encoded};
use super::tools::{eventually, printed, run};
use super::web::Web;

const BENS_PHONE: &str = "000000000000000000000000000be111";

/// An office with the phones of Ann and Ben and these callflows: number and flow.
fn office(flows: &[(&str, Value)]) -> Server {
    let device = |id: &str, name: &str| json!({"id": id, "name": name, "sip": {"method": "password", "username": name, "password": PASSWORD}});
    let callflows: Vec<Value> = flows
        .iter()
        .map(|(number, flow)| json!({"name": format!("flow {number}"), "numbers": [number], "flow": flow}))
        .collect();
    let documents = json!({
        "devices": [device("000000000000000000000000000a1111", "ann"), device(BENS_PHONE, "ben")],
        "callflows": callflows,
    });
    // baresip 1.0 knows MD5 only.
    Server::start(&[("SWIVEL_SIP__DIGEST", "MD5")], documents)
}

fn phone(server: &Server, name: &str, says: Sound) -> Desk {
    let answers = if name == "ann" {
        When::Told
    } else {
        When::Called
    };
    let line = Line {
        over: Over::Udp,
        port: server.sip,
        answers,
        secret: None,
        mwi: false,
    };
    let desk = Desk::start(name, &line, says);
    desk.registered(server, name);
    desk
}

/// The recordings of the account, once there are so many.
fn recorded(server: &Server, count: usize) -> Vec<Value> {
    eventually("the recordings", Duration::from_secs(20), || {
        let rows = server.data("recordings").as_array().unwrap().clone();
        (rows.len() >= count).then_some(rows)
    })
}

/// Fetches a recording's sound; the HTTP status.
fn fetch(server: &Server, id: &str, to: &Path) -> String {
    let url = format!(
        "http://{}/v2/accounts/{}/recordings/{}",
        server.api,
        server.account,
        encoded(id)
    );
    let fetched = run(Command::new("curl")
        .args(["--silent", "--header", "Accept: audio/*", "--header"])
        .arg(format!("X-Auth-Token: {}", server.token()))
        .args(["--write-out", "%{http_code}", "--output"])
        .arg(to)
        .arg(url));
    assert!(fetched.status.success(), "{}", printed(&fetched));
    String::from_utf8_lossy(&fetched.stdout).into_owned()
}

/// The two channels of a stereo file of 8 kHz.
fn channels(file: &Path) -> [Sound; 2] {
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(&bytes[..4], b"RIFF");
    assert_eq!(bytes[22..24], [2, 0], "stereo");
    assert_eq!(bytes[24..28], 8000u32.to_le_bytes(), "8 kHz");
    let pairs: Vec<i16> = bytes[44..]
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pair| i16::from_le_bytes(*pair))
        .collect();
    [0, 1].map(|n| Sound(pairs.iter().skip(n).step_by(2).copied().collect()))
}

/// How much of that tune, of which nothing repeats, is in a recording; a lost packet may spoil one part, not all.
fn likeness(heard: &Sound, tune: &Sound) -> f64 {
    let mut best = 0.0_f64;
    for at in [6_400, 11_200, 16_000] {
        best = best.max(heard.likeness(&Sound(tune.0[at..at + 2_400].to_vec())));
        if best > 0.9 {
            break;
        }
    }
    best
}

#[test]
fn a_call_between_two_phones_is_recorded_each_on_a_channel_and_read_back() {
    let rings = json!({"module": "device", "data": {"id": BENS_PHONE}, "children": {}});
    let data = json!({"action": "start", "channels": 2, "record_on_bridge": true});
    let flow = json!({"module": "record_call", "data": data, "children": {"_": rings}});
    let server = office(&[("1002", flow)]);
    let mut ben = phone(&server, "ben", Sound::another_tune(40));
    let mut ann = phone(&server, "ann", Sound::tune(40));
    ann.dial("1002");
    ann.wait("CALL_ESTABLISHED");
    ben.wait("CALL_ESTABLISHED");
    std::thread::sleep(Duration::from_secs(4));
    ann.tell("hangup", "");
    ben.wait("CALL_CLOSED");

    let rows = recorded(&server, 1);
    let row = &rows[0];
    let id = row["id"].as_str().unwrap();
    let length = row["duration_ms"].as_u64().unwrap();
    assert!((3_000..12_000).contains(&length), "{row:#}");
    assert_eq!(row["origin"], "callflow : flow 1002", "{row:#}");
    let legs = server.legs(2);
    assert_eq!(legs[0]["media_recordings"], json!([id]), "{legs:#?}");
    assert_eq!(legs[0]["id"], row["cdr_id"], "{row:#}");

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("call.wav");
    assert_eq!(fetch(&server, id, &file), "200");
    let [said, heard] = channels(&file);
    assert!(said.0.len().abs_diff(usize::try_from(length).unwrap() * 8) <= 8);
    let found = [likeness(&said, &ann.says), likeness(&heard, &ben.says)];
    assert!(
        found.iter().all(|l| *l > 0.9),
        "{found:?}\n{}",
        server.log()
    );
    let crossed = said.likeness(&Sound(ben.says.0[11_200..13_600].to_vec()));
    assert!(crossed < 0.5, "{crossed}");
}

#[test]
fn a_recording_reaches_its_server_although_that_refuses_at_first_and_swivel_is_killed() {
    let folder = TempDir::new().unwrap();
    let store = Web::run("upload.py", &[folder.path().as_os_str(), "2".as_ref()]);
    let data = json!({"url": store.url("/in/?key=1"), "media_name": "message.mp3"});
    let flow = json!({"module": "record_caller", "data": data, "children": {}});
    let mut server = office(&[("2000", flow)]);
    let mut ann = phone(&server, "ann", Sound::tune(40));
    ann.dial("2000");
    ann.wait("CALL_ESTABLISHED");
    std::thread::sleep(Duration::from_secs(4));
    ann.tell("hangup", "");
    let rows = recorded(&server, 1);
    let id = rows[0]["id"].as_str().unwrap().to_owned();
    eventually("a first attempt", Duration::from_secs(20), || {
        (!store.requests().is_empty()).then_some(())
    });
    server.kill_and_restart();
    let kept: PathBuf = folder.path().join("message.wav");
    eventually("the upload", Duration::from_secs(60), || {
        kept.exists().then_some(())
    });
    eventually("that the server knows", Duration::from_secs(20), || {
        let doc = server.data(&format!("recordings/{id}"));
        (doc["_read_only"]["upload"] == "done").then_some(())
    });
    let requests = store.requests();
    let statuses: Vec<_> = requests
        .iter()
        .map(|r| r["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses[..2], [503, 503], "{requests:#?}");
    for request in &requests {
        assert_eq!(request["method"], "PUT");
        assert_eq!(request["path"], "/in/message.wav?key=1");
        assert_eq!(request["headers"]["content-type"], "audio/x-wav");
        assert_eq!(
            request["headers"]["idempotency-key"],
            requests[0]["headers"]["idempotency-key"]
        );
    }
    let found = likeness(&Sound::read(&kept), &ann.says);
    assert!(found > 0.9, "{found}");
    let gone = folder.path().join("gone");
    assert_eq!(fetch(&server, &id, &gone), "404", "it is elsewhere now");
}

#[test]
fn what_was_recorded_before_a_kill_is_there_afterwards() {
    let waits = json!({"module": "sleep", "data": {"duration": 60}, "children": {}});
    let record = json!({"module": "record_call", "data": {"action": "start", "media_id": "../../x"}, "children": {"_": waits}});
    let answers = json!({"module": "answer", "data": {}, "children": {"_": record}});
    let mut server = office(&[("2000", answers)]);
    let mut ann = phone(&server, "ann", Sound::tune(40));
    ann.dial("2000");
    ann.wait("CALL_ESTABLISHED");
    std::thread::sleep(Duration::from_secs(5));
    assert!(server.data("recordings").as_array().unwrap().is_empty());
    server.kill_and_restart();
    let rows = recorded(&server, 1);
    let length = rows[0]["duration_ms"].as_u64().unwrap();
    assert!((3_000..20_000).contains(&length), "{rows:#?}");
    let id = rows[0]["id"].as_str().unwrap();
    assert!(id.len() == 39 && !id.contains('.'), "{id}");
    assert_eq!(server.legs(1)[0]["id"], rows[0]["cdr_id"]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("cut.wav");
    assert_eq!(fetch(&server, id, &file), "200");
    let found = likeness(&Sound::read(&file), &ann.says);
    assert!(found > 0.9, "{found}");
}
