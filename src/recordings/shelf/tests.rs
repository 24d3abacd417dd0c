use std::collections::BTreeMap;
use std::sync::Mutex;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use super::super::document::{Method, Upload};
use super::super::notice::Notice;
use super::*;
use crate::audio::wav;
use crate::base::rng::Rng;
use crate::directory::Directory;
use crate::host::http::{Answer, Exchange, HttpClient, HttpError, Transport};
use crate::jobs::{HttpJob, HttpRunner, Runner};
use crate::journal::Journal;

struct Place {
    shelf: Shelf,
    outbox: Outbox,
    store: Store,
    dir: tempfile::TempDir,
}

fn place() -> Place {
    let (store, dir) = (Store::memory(), tempfile::tempdir().unwrap());
    let outbox = Outbox::new(store.clone(), Rng::seeded(1));
    let shelf = Shelf::new(store.clone(), outbox.clone(), dir.path(), "http://pbx/");
    Place {
        shelf,
        outbox,
        store,
        dir,
    }
}

fn recording(id: &str, start: u64) -> Recording {
    Recording {
        id: format!("197001-{id}"),
        account: "acc".into(),
        call_id: "c@x".into(),
        name: "r.wav".into(),
        start: UnixMicros::from_secs(start),
        duration_ms: 2000,
        channels: 1,
        ..Recording::default()
    }
}

fn write(place: &Place, recording: &Recording, extension: &str, samples: u64) -> PathBuf {
    let mut path = place.shelf.file(recording).into_os_string();
    path.push(extension);
    let path = PathBuf::from(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut bytes = wav::header(8000, 1, samples * 2).to_vec();
    bytes.resize(bytes.len() + usize::try_from(samples).unwrap() * 2, 1);
    std::fs::write(&path, bytes).unwrap();
    path
}

async fn rows(store: &Store) -> usize {
    let all = store.scan(Table::Cdr, KeyRange::all(), Direction::Forward, 99);
    all.await.unwrap().len()
}

#[tokio::test]
async fn a_recording_is_listed_once_it_is_kept_and_gone_with_its_file_once_removed() {
    let place = place();
    let one = recording("a", 10);
    place.shelf.open(&one);
    assert!(place.shelf.one("acc", &one.id).await.unwrap().is_none());
    let file = write(&place, &one, "", 8);
    place.shelf.keep(&one);
    place.shelf.keep(&recording("b", 20));
    let listed = place.shelf.list("acc", TimeRange::newest(9)).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|row| row.recording.id.as_str()).collect();
    assert_eq!(ids, ["197001-b", "197001-a"]);
    assert_eq!(
        place.shelf.one("acc", &one.id).await.unwrap(),
        Some(one.clone())
    );
    assert!(place.shelf.one("other", &one.id).await.unwrap().is_none());
    let removed = |id: String| {
        let shelf = place.shelf.clone();
        async move { shelf.remove("acc", &id, Batch::new()).await.unwrap() }
    };
    assert!(removed(one.id.clone()).await);
    assert!(!removed(one.id.clone()).await);
    assert!(!file.exists());
    assert_eq!(rows(&place.store).await, 2, "the other one and its index");
}

#[tokio::test]
async fn a_start_completes_what_a_crash_has_cut_off() {
    let place = place();
    let (cut, done, none) = (
        recording("cut", 1),
        recording("done", 2),
        recording("none", 3),
    );
    let short = Recording {
        shortest_ms: 5000,
        ..recording("short", 4)
    };
    for one in [&cut, &done, &none, &short] {
        place.shelf.open(one);
    }
    let part = write(&place, &cut, ".part", 8000);
    write(&place, &done, "", 12_000);
    let too_short = write(&place, &short, ".part", 8000);
    let swept = place.shelf.sweep().await.unwrap();
    assert_eq!(swept, Swept { kept: 2, gone: 2 });
    assert_eq!(place.shelf.sweep().await.unwrap(), Swept::default());
    let length = |id: &str| {
        let (shelf, id) = (place.shelf.clone(), id.to_owned());
        async move { shelf.one("acc", &id).await.unwrap().map(|r| r.duration_ms) }
    };
    assert_eq!(length(&cut.id).await, Some(1000));
    assert_eq!(length(&done.id).await, Some(1500));
    assert_eq!(length(&none.id).await, None);
    assert_eq!(length(&short.id).await, None);
    assert!(place.shelf.file(&cut).exists() && !part.exists());
    assert!(!too_short.exists() && !place.shelf.file(&short).exists());
}

#[tokio::test]
async fn old_recordings_go_with_their_files() {
    let place = place();
    let old = recording("old", 1_000);
    let file = write(&place, &old, "", 8);
    for account in ["acc", "bcc"] {
        for one in [&old, &recording("new", 9_000)] {
            place.shelf.keep(&Recording {
                account: account.into(),
                ..one.clone()
            });
        }
    }
    let before = UnixMicros::from_secs(5_000);
    assert_eq!(place.shelf.remove_before(before).await.unwrap(), 2);
    assert!(!file.exists());
    assert_eq!(rows(&place.store).await, 4);
    assert!(place.dir.path().exists());
}

/// Refuses as often as it is told to, then takes everything.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Served>>);

#[derive(Clone, Default)]
struct Served {
    refusals: u32,
    asked: Vec<Exchange>,
    sent: Vec<Vec<u8>>,
}

impl Transport for Server {
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Answer, HttpError>> {
        let mut inner = self.0.lock().unwrap();
        let status = if inner.refusals > 0 { 503 } else { 200 };
        inner.refusals = inner.refusals.saturating_sub(1);
        let bytes = exchange
            .upload
            .as_ref()
            .map(|path| std::fs::read(path).unwrap());
        inner.sent.extend(bytes);
        inner.asked.push(exchange);
        let body = futures_util::stream::empty().boxed();
        let answer = Answer {
            status,
            headers: Vec::new(),
            body,
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

async fn run(place: &Place, server: &Server) {
    let directory = Directory::load(Store::memory()).await.unwrap();
    let client = HttpClient::stub(Arc::new(server.clone()));
    let journal = Journal::new(Store::memory());
    let uploads: Arc<dyn Runner> = Arc::new(UploadRunner::new(
        place.shelf.clone(),
        client.clone(),
        journal.clone(),
    ));
    let posts: Arc<dyn Runner> = Arc::new(HttpRunner {
        client,
        directory,
        journal,
    });
    let runners = BTreeMap::from([(UploadRunner::KIND, uploads), (HttpJob::KIND, posts)]);
    let work = place.outbox.clone().run(runners);
    tokio::pin!(work);
    while !place.outbox.pending().await.unwrap().is_empty() {
        tokio::select! {
            () = &mut work => {}
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_tried_until_it_is_taken_and_then_the_sound_is_no_longer_here() {
    let place = place();
    let one = Recording {
        upload: Some(Upload::new("http://h/up", Method::Put, "r.wav")),
        notice: Some(Notice {
            url: "http://h/cb".into(),
            method: "POST".into(),
            events: vec!["in-progress".into(), "completed".into()],
            ..Notice::default()
        }),
        ..recording("a", 10)
    };
    let file = write(&place, &one, "", 8);
    let bytes = std::fs::read(&file).unwrap();
    place.shelf.open(&one);
    place.shelf.keep(&one);
    let server = Server::default();
    server.0.lock().unwrap().refusals = 4;
    run(&place, &server).await;
    let Served { asked, sent, .. } = server.0.lock().unwrap().clone();
    let puts: Vec<_> = asked.iter().filter(|e| e.upload.is_some()).collect();
    assert!(puts.len() > 1, "it was refused at first");
    assert!(sent.iter().all(|one| *one == bytes));
    assert_eq!(puts[0].url.as_str(), "http://h/up/r.wav");
    let name = |e: &Exchange| {
        e.headers
            .iter()
            .find(|(n, _)| n == "Idempotency-Key")
            .cloned()
    };
    assert!(puts.iter().all(|e| name(e) == name(puts[0])));
    let posts = asked.iter().filter(|e| e.upload.is_none());
    let states: Vec<_> = posts
        .map(|e| String::from_utf8_lossy(&e.body).into_owned())
        .filter_map(|body| {
            Some(
                body.split("RecordingStatus=")
                    .nth(1)?
                    .split('&')
                    .next()?
                    .to_owned(),
            )
        })
        .collect();
    let first_completed = states.iter().position(|s| s == "completed").unwrap();
    assert!(states[..first_completed].iter().all(|s| s == "in-progress"));
    assert!(
        states[first_completed..].iter().all(|s| s == "completed"),
        "in order"
    );
    assert!(!file.exists());
    let kept = place.shelf.one("acc", &one.id).await.unwrap().unwrap();
    assert_eq!(kept.upload.unwrap().state, UploadState::Done);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_stays_here_and_says_why() {
    let place = place();
    let one = Recording {
        upload: Some(Upload::new("not a url", Method::Put, "r.wav")),
        ..recording("a", 10)
    };
    let file = write(&place, &one, "", 8);
    place.shelf.keep(&one);
    run(&place, &Server::default()).await;
    assert!(file.exists());
    let doc = place
        .shelf
        .one("acc", &one.id)
        .await
        .unwrap()
        .unwrap()
        .to_doc();
    assert_eq!(doc["_read_only"]["upload"], "failed");
    assert!(
        doc["_read_only"]["upload_error"]
            .as_str()
            .unwrap()
            .contains("not a URL")
    );
}
