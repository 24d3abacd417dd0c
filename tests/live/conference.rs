//! Three callers in a conference, on media threads of their own: each one's recording holds the others, and not itself.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::audio::Sound;
use super::http;
use super::server::Server;
use super::tools::{eventually, printed, swivel};

pub(crate) const NOTES: [f64; 3] = [500.0, 1100.0, 1900.0];

/// Some seconds of one note.
pub(crate) fn note(hz: f64, seconds: u32) -> Sound {
    let step = hz * std::f64::consts::TAU / 8000.0;
    Sound(
        (0..8_000 * seconds)
            .map(|n| ((f64::from(n) * step).sin() * 6000.0) as i16)
            .collect(),
    )
}

/// The amplitude of a note in a sound.
fn strength(sound: &Sound, hz: f64) -> f64 {
    let step = hz * std::f64::consts::TAU / 8000.0;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in sound.0.iter().enumerate() {
        re += f64::from(*sample) * (n as f64 * step).cos();
        im += f64::from(*sample) * (n as f64 * step).sin();
    }
    2.0 * re.hypot(im) / sound.0.len().max(1) as f64
}

/// The loudest a note is in any tenth of a second, each heard for itself.
pub(crate) fn loudest(sound: &Sound, hz: f64) -> f64 {
    let parts = sound.0.chunks_exact(800);
    parts
        .map(|part| strength(&Sound(part.to_vec()), hz))
        .fold(0.0, f64::max)
}

#[test]
fn three_callers_hear_each_other_and_not_themselves() {
    let config = json!({"name": "live", "play_welcome": false, "play_entry_tone": false, "play_exit_tone": false,
                        "member": {"join_muted": false, "play_entry_prompt": false}});
    let flow = json!({"module": "conference", "data": {"config": config}, "children": {}});
    let documents = json!({"callflows": [{"name": "room", "numbers": ["600"], "flow": flow}]});
    let server = Server::start(&[("SWIVEL_RTP__WORKERS", "3")], documents);
    let via = format!("127.0.0.1:{}", server.sip);
    let file = |name: String| server.folder().join(name);
    let callers: Vec<_> = (0..3)
        .map(|n| {
            note(NOTES[n], 10).write(&file(format!("says{n}.wav")));
            Command::new(swivel())
                .args(["call", "600", "--json", "--max-seconds", "8", "--via", &via])
                .arg("--play")
                .arg(file(format!("says{n}.wav")))
                .arg("--save")
                .arg(file(format!("heard{n}.wav")))
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for caller in callers {
        let output = caller.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    }
    for own in 0..3 {
        let heard = Sound::read(&file(format!("heard{own}.wav")));
        for (n, hz) in NOTES.into_iter().enumerate() {
            let strength = loudest(&heard, hz);
            if n == own {
                assert!(strength < 600.0, "caller {own} hears itself: {strength}");
            } else {
                let wanted = 4500.0..7500.0;
                assert!(
                    wanted.contains(&strength),
                    "caller {own} hears {n}: {strength}"
                );
            }
        }
    }
}

#[test]
fn the_api_shows_who_is_there_and_sends_them_away() {
    let config =
        json!({"name": "seen", "play_welcome": false, "member": {"play_entry_prompt": false}});
    let flow = json!({"module": "conference", "data": {"config": config}, "children": {}});
    let documents = json!({"callflows": [{"name": "room", "numbers": ["600"], "flow": flow}]});
    let server = Server::start(&[], documents);
    let via = format!("127.0.0.1:{}", server.sip);
    let caller = Command::new(swivel())
        .args([
            "call",
            "600",
            "--json",
            "--max-seconds",
            "60",
            "--via",
            &via,
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let member = eventually("a member", Duration::from_secs(20), || {
        let reply = server.get("conferences/seen/participants");
        (reply.status == 200).then(|| reply.json()["data"][0].clone())
    });
    assert_eq!(member["speak"], false, "members join muted: {member}");
    let put = |path: &str, body: Value| {
        let path = format!("/v2/accounts/{}/conferences/seen{path}", server.account);
        let token = [("X-Auth-Token", server.token())];
        http::request(server.api, "PUT", &path, &token, Some(&body))
            .unwrap()
            .status
    };
    let one = format!("/participants/{}", member["participant_id"]);
    assert_eq!(put(&one, json!({"data": {"action": "unmute"}})), 201);
    let shown = server.data("conferences/seen")["_read_only"].clone();
    assert_eq!(shown["members"], 1, "{shown}");
    assert_eq!(shown["participants"][0]["speak"], true, "{shown}");
    assert_eq!(put("", json!({"action": "lock", "data": {}})), 201);
    assert_eq!(put(&one, json!({"action": "kick", "data": {}})), 201);
    let output = caller.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["ended_by"], "peer", "{outcome:#}");
    assert_eq!(server.get("conferences/seen").status, 404);
}
