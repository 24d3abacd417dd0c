//! Recorded calls: who may list, hear and delete them.

use serde_json::json;
use swivel::audio::wav;
use swivel::base::rng::Rng;
use swivel::base::time::UnixMicros;
use swivel::host::clock;
use swivel::jobs::Outbox;
use swivel::recordings::{Method, Recording, Shelf, Upload, UploadState};

use super::{Office, callflow};

struct Archive {
    office: Office,
    shelf: Shelf,
    _dir: tempfile::TempDir,
}

async fn archive() -> Archive {
    let (office, dir) = (Office::new().await, tempfile::tempdir().unwrap());
    let store = office.directory.store().clone();
    let outbox = Outbox::new(store.clone(), Rng::seeded(1));
    let shelf = Shelf::new(store, outbox, dir.path(), "http://pbx");
    office.api.set_recordings(shelf.clone());
    Archive {
        office,
        shelf,
        _dir: dir,
    }
}

impl Archive {
    /// A recording of two seconds that began so long ago, with its file.
    fn record(&self, name: &str, owner: &str, seconds_ago: u64) -> Recording {
        let start = UnixMicros(clock::unix_now().0 - seconds_ago * 1_000_000);
        let recording = Recording {
            id: format!("{}-{name}", start.month()),
            account: self.office.account.clone(),
            call_id: format!("{name}@x"),
            owner_id: owner.to_owned(),
            name: format!("{name}.wav"),
            origin: "callflow : test".into(),
            start,
            duration_ms: 2000,
            channels: 1,
            ..Recording::default()
        };
        let file = self.shelf.file(&recording);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut bytes = wav::header(8000, 1, 32_000).to_vec();
        bytes.resize(44 + 32_000, 7);
        std::fs::write(file, bytes).unwrap();
        self.shelf.keep(&recording);
        recording
    }

    async fn ids(&self, path: &str) -> Vec<String> {
        let rows = self.office.ask("GET", path).send().await.data(200);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn recordings_are_listed_newest_first_filtered_and_in_pages() {
    let archive = archive().await;
    let all: Vec<_> = (0..5)
        .map(|n| archive.record(&format!("r{n}"), "", 10 * (5 - n)).id)
        .rev()
        .collect();
    assert_eq!(archive.ids("~/recordings").await, all);
    let ascending = archive
        .ids("~/recordings?ascending=true&paginate=false")
        .await;
    assert!(ascending.iter().eq(all.iter().rev()));
    let one = archive.ids("~/recordings?filter_call_id=r3@x").await;
    assert_eq!(one, [all[1].clone()]);
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let path = format!("~/recordings?page_size=2{next}");
        let reply = archive.office.ask("GET", &path).send().await;
        let page = reply.json();
        let rows = page["data"].as_array().unwrap().clone();
        seen.extend(
            rows.iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        match page["next_start_key"].as_str() {
            Some(key) => next = format!("&start_key={key}"),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let long_ago = archive.ids("~/recordings?created_from=63877000000&created_to=63878000000");
    assert!(long_ago.await.is_empty());
}

#[tokio::test]
async fn a_recording_is_json_or_sound_as_the_client_asks() {
    let archive = archive().await;
    let office = &archive.office;
    let recording = archive.record("one", "", 5);
    let path = format!("~/recordings/{}", recording.id);
    let doc = office.ask("GET", &path).send().await.data(200);
    assert_eq!(doc["name"], "one.wav");
    assert_eq!(doc["duration"], 2);
    assert_eq!(doc["_read_only"]["content_types"], json!(["audio/x-wav"]));
    let heard = [
        office.ask("GET", &path).header("accept", "audio/mpeg"),
        office.ask("GET", &format!("{path}?accept=audio/mp3")),
        office.ask("GET", &format!("{path}/raw")),
    ];
    for ask in heard {
        let reply = ask.send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type"), "audio/x-wav");
        assert_eq!(
            reply.header("content-disposition"),
            "attachment; filename=\"one.wav\""
        );
        assert_eq!(reply.bytes.len(), 32_044);
    }
    let inline = office
        .ask("GET", &format!("{path}/raw?inline=true"))
        .send()
        .await;
    assert!(inline.header("content-disposition").starts_with("inline"));
    let part = office
        .ask("GET", &format!("{path}/raw"))
        .header("range", "bytes=0-3");
    let part = part.send().await;
    assert_eq!((part.status, part.text().as_str()), (206, "RIFF"));
    assert_eq!(part.header("content-range"), "bytes 0-3/32044");
    let beyond = office
        .ask("GET", &format!("{path}/raw"))
        .header("range", "bytes=99999-");
    assert_eq!(beyond.send().await.status, 416);
}

#[tokio::test]
async fn a_deleted_recording_is_gone_with_its_file_and_in_the_audit_log() {
    let archive = archive().await;
    let office = &archive.office;
    let recording = archive.record("one", "", 5);
    let path = format!("~/recordings/{}", recording.id);
    office.ask("DELETE", &path).send().await.data(200);
    assert!(!archive.shelf.file(&recording).exists());
    for (method, path) in [
        ("GET", path.clone()),
        ("GET", format!("{path}/raw")),
        ("DELETE", path),
    ] {
        assert_eq!(
            office.ask(method, &path).send().await.status,
            404,
            "{method} {path}"
        );
    }
    let log = office.ask("GET", "~/audit").send().await.data(200);
    assert_eq!(log[0]["resource"], "recording");
    assert_eq!(log[0]["resource_id"], recording.id.as_str());
    let put = office.ask("PUT", "~/recordings").data(json!({}));
    assert_eq!(put.send().await.status, 405);
}

#[tokio::test]
async fn users_hear_their_own_calls_and_only_administrators_delete() {
    let archive = archive().await;
    let office = &archive.office;
    let ann = json!({"first_name": "Ann", "last_name": "A", "username": "ann", "password": "a long secret"});
    let ann = office.create("users", ann).await;
    let own = archive.record("own", &ann, 5);
    let other = archive.record("other", "somebody", 6);
    assert_eq!(
        archive.ids(&format!("~/users/{ann}/recordings")).await,
        vec![own.id.clone()]
    );
    let account = office
        .directory
        .account(&office.account)
        .unwrap()
        .name
        .to_string();
    let token = office.login(&account, "ann", "a long secret").await;
    let ask = |method: &'static str, path: String| {
        let path = path.replace('~', &format!("/v2/accounts/{}", office.account));
        office.bare(method, &path).header("x-auth-token", &token)
    };
    let rows = ask("GET", "~/recordings".into()).send().await.data(200);
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["id"], own.id.as_str());
    assert_eq!(
        ask("GET", format!("~/recordings/{}/raw", own.id))
            .send()
            .await
            .status,
        200
    );
    assert_eq!(
        ask("GET", format!("~/recordings/{}/raw", other.id))
            .send()
            .await
            .status,
        404
    );
    assert_eq!(
        ask("DELETE", format!("~/recordings/{}", own.id))
            .send()
            .await
            .status,
        403
    );
    // Another account sees nothing of it.
    let below = office
        .ask("PUT", "/v2/accounts")
        .data(json!({"name": "below"}))
        .send()
        .await;
    let below = below.data(201)["id"].as_str().unwrap().to_owned();
    let rows = office.bare(
        "GET",
        &format!("/v2/accounts/{below}/recordings/{}", own.id),
    );
    let rows = rows.header("x-auth-token", &office.token).send().await;
    assert_eq!(rows.status, 404);
}

#[tokio::test]
async fn what_another_server_has_taken_is_described_but_not_here() {
    let archive = archive().await;
    let office = &archive.office;
    let mut recording = archive.record("sent", "", 5);
    recording.upload = Some(Upload {
        state: UploadState::Done,
        ..Upload::new("http://me:secret@store/in", Method::Put, "sent.wav")
    });
    archive.shelf.keep(&recording);
    std::fs::remove_file(archive.shelf.file(&recording)).unwrap();
    let path = format!("~/recordings/{}", recording.id);
    let doc = office.ask("GET", &path).send().await.data(200);
    assert_eq!(doc["url"], "http://store/in/sent.wav");
    assert_eq!(doc["_read_only"]["content_types"], json!([]));
    assert_eq!(
        office
            .ask("GET", &format!("{path}/raw"))
            .send()
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_callflow_may_not_send_recordings_where_the_guard_forbids() {
    let office = Office::new().await;
    let mut flow = callflow("77");
    flow["flow"] =
        json!({"module": "record_call", "data": {"action": "start", "url": "http://127.0.0.1/in"}});
    let reply = office.ask("PUT", "~/callflows").data(flow).send().await;
    let rules = reply.rules();
    assert_eq!(rules.len(), 1, "{rules:?}");
    assert!(rules[0].0.ends_with("url"), "{rules:?}");
    let wanted = json!({"inbound": {"any": {"enabled": true, "url": "http://127.0.0.1/in"}}});
    let device = json!({"name": "d", "sip": {"username": "dd", "password": "a long secret"}, "call_recording": wanted});
    let reply = office.ask("PUT", "~/devices").data(device).send().await;
    let rules = reply.rules();
    assert_eq!(
        rules,
        [(
            "call_recording.inbound.any.url".to_owned(),
            "error".to_owned()
        )]
    );
}
