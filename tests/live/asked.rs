//! What the API is asked while telephones are there: conferences that ring their members, and texts as files of sound.

use std::time::Duration;

use serde_json::{Value, json};

use super::http;
use super::server::Server;
use super::telephone::{Over, house, id};
use super::tools::eventually;

fn put(server: &Server, path: &str, body: &Value) -> http::Response {
    let path = format!("/v2/accounts/{}/{path}", server.account);
    let login = [("X-Auth-Token", server.token())];
    http::request(server.api, "PUT", &path, &login, Some(body)).unwrap()
}

#[test]
fn a_conference_rings_those_it_is_told_to() {
    let house = house(&[], &[], &[]);
    let _phones = ["ann", "ben"].map(|name| house.phone(name, Over::Udp, &["--answer"]));
    let server = &house.server;
    let room = server
        .create("conferences", &json!({"name": "team"}))
        .unwrap();
    let path = format!("conferences/{room}");
    let wanted = json!({"action": "dial", "data": {"endpoints": [id("ann"), "1002"], "participant_flags": ["is_moderator"]}});
    let said = put(server, &path, &wanted);
    assert_eq!(said.status, 201, "{}", said.body);
    let members = eventually("both members", Duration::from_secs(20), || {
        let rows = server.data(&format!("{path}/participants"));
        let rows = rows.as_array().unwrap().clone();
        (rows.len() == 2).then_some(rows)
    });
    assert!(
        members.iter().all(|one| one["is_moderator"] == true),
        "{members:#?}"
    );
    let record = |what: &str| {
        let wanted = json!({"action": "record", "data": {"action": what}});
        put(server, &path, &wanted).status
    };
    assert_eq!((record("start"), record("pause")), (201, 400));
    assert_eq!(record("start"), 201, "it runs already");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(record("stop"), 201);
    let recording = eventually("the recording", Duration::from_secs(10), || {
        let rows = server.data("recordings");
        let rows = rows.as_array().unwrap();
        assert!(rows.len() < 2, "{rows:#?}");
        rows.first().cloned()
    });
    assert_eq!(recording["source_type"], "conference", "{recording:#}");
    assert!(
        recording["duration_ms"].as_u64().unwrap() > 500,
        "{recording:#}"
    );
    let raw = format!("recordings/{}/raw", recording["id"].as_str().unwrap());
    assert!(server.get(&raw).body.starts_with("RIFF"));
    let one = members[0]["participant_id"].to_string();
    let play = json!({"action": "play", "data": {"media_id": "tone_stream://%(200,0,440)"}});
    let played = put(server, &format!("{path}/participants/{one}"), &play);
    assert_eq!(played.status, 201, "{}", played.body);
    let kicked = put(
        server,
        &format!("{path}/participants"),
        &json!({"action": "kick", "data": {}}),
    );
    assert_eq!(kicked.status, 201, "{}", kicked.body);
    eventually("an empty room", Duration::from_secs(10), || {
        let rows = server.data(&format!("{path}/participants"));
        rows.as_array().unwrap().is_empty().then_some(())
    });
    let nobody = put(
        server,
        &path,
        &json!({"action": "dial", "data": {"endpoints": []}}),
    );
    assert_eq!(nobody.status, 400, "{}", nobody.body);
}

#[test]
fn a_text_is_served_as_the_sound_callers_hear() {
    let server = Server::start(&[], json!({}));
    let media = json!({"name": "greeting", "media_source": "tts", "tts": {"text": "Good morning. We are open."}});
    let its = server.create("media", &media).unwrap();
    let reply = server.get(&format!("media/{its}/raw"));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.starts_with("RIFF"), "{}", reply.body.len());
    // More than a second of it, at 16 kHz.
    assert!(reply.body.len() > 32_000, "{}", reply.body.len());
    let empty = json!({"name": "nothing", "media_source": "upload"});
    let empty = server.create("media", &empty).unwrap();
    assert_eq!(server.get(&format!("media/{empty}/raw")).status, 404);
}
