//! Tests of clips: real decoding, simulated web and voice.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::*;
use crate::audio::wav;
use crate::directory::Kind;
use crate::host::guard::Guard;
use crate::host::http::{Answer, Exchange, Transport};
use crate::speech::Utterance;

/// Says one second of a constant a sentence, and counts.
#[derive(Default)]
struct Voice {
    said: Mutex<Vec<Utterance>>,
    fails_on: Option<&'static str>,
    slow: bool,
}

impl SpeechProvider for Voice {
    fn fingerprint(&self) -> String {
        "test".to_owned()
    }

    fn synthesise<'a>(
        &'a self,
        utterance: &'a Utterance,
    ) -> BoxFuture<'a, Result<Bytes, SpeechError>> {
        Box::pin(async move {
            self.said.lock().unwrap().push(utterance.clone());
            if self.slow {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            match self.fails_on {
                Some(word) if utterance.text.contains(word) => Err(SpeechError::Silent),
                _ => Ok(sound(8000, 1000)),
            }
        })
    }
}

fn sound(samples: usize, level: i16) -> Bytes {
    let mut file = wav::header(8000, 1, samples as u64 * 2).to_vec();
    wav::samples(&vec![level; samples], &mut file);
    file.into()
}

/// A web server with one file, its validators, and a count of requests.
struct Server {
    headers: Vec<(&'static str, &'static str)>,
    body: Mutex<Bytes>,
    asked: Mutex<Vec<Exchange>>,
    confirmed: AtomicU32,
    status: u16,
}

impl Server {
    fn new(headers: &[(&'static str, &'static str)], body: Bytes) -> Arc<Self> {
        let headers = headers.to_vec();
        Arc::new(Self {
            headers,
            body: Mutex::new(body),
            asked: Mutex::default(),
            confirmed: AtomicU32::new(0),
            status: 200,
        })
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Transport for Server {
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Answer, HttpError>> {
        let asks = |name: &str| {
            exchange
                .headers
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
        };
        let has = |name: &str| {
            self.headers
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        };
        let same = asks("If-None-Match").is_some_and(|tag| Some(tag) == has("etag"));
        self.asked.lock().unwrap().push(exchange);
        let headers = self
            .headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let body = if same {
            Bytes::new()
        } else {
            self.body.lock().unwrap().clone()
        };
        let status = if same { 304 } else { self.status };
        self.confirmed.fetch_add(u32::from(same), Ordering::SeqCst);
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(Answer {
                status,
                headers,
                body: stream::iter([Ok(body)]).boxed(),
            })
        })
    }
}

struct Fixture {
    clips: Clips,
    voice: Arc<Voice>,
    files: Files,
}

fn fixture(voice: Voice, server: Option<Arc<Server>>, config: ClipsConfig) -> Fixture {
    let voice = Arc::new(voice);
    let server = server.unwrap_or_else(|| Server::new(&[], Bytes::new()));
    let files = Files::memory();
    let clips = Clips::new(ClipsParts {
        io: Handle::current(),
        http: HttpClient::stub(server),
        speech: voice.clone(),
        files: files.clone(),
        config,
    });
    Fixture {
        clips,
        voice,
        files,
    }
}

fn account(media: Value) -> Account {
    let media: BTreeMap<String, Value> = serde_json::from_value(media).unwrap();
    Account::of(
        "acc",
        media.into_iter().map(|(id, doc)| (Kind::Media, id, doc)),
    )
}

fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test());
}

async fn all(mut speaking: Speaking) -> Vec<Result<Arc<Clip>, ClipError>> {
    let mut out = Vec::new();
    while let Some(next) = speaking.next().await {
        out.push(next);
    }
    out
}

const TWO: &str = "Pivot is pretty awesome. Have a great day.";

#[test]
fn a_text_is_spoken_sentence_by_sentence_and_each_once() {
    run(|| async {
        let f = fixture(
            Voice {
                slow: true,
                ..Voice::default()
            },
            None,
            ClipsConfig::default(),
        );
        let (a, b) = tokio::join!(
            all(f.clips.say(TWO, "female", "en-US")),
            all(f.clips.say(TWO, "female", "en_us"))
        );
        assert_eq!((a.len(), b.len()), (2, 2));
        assert!(Arc::ptr_eq(a[0].as_ref().unwrap(), b[0].as_ref().unwrap()));
        let again = all(f.clips.say(TWO, "female", "en-us")).await;
        assert!(Arc::ptr_eq(
            a[1].as_ref().unwrap(),
            again[1].as_ref().unwrap()
        ));
        let said = f.voice.said.lock().unwrap().clone();
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(
            (said[0].text.as_str(), said[0].language.as_str()),
            ("Pivot is pretty awesome.", "en-us")
        );
        let clip = a[0].as_ref().unwrap();
        assert_eq!(
            clip.duration(),
            Duration::from_millis(1250),
            "a pause follows"
        );
    });
}

#[test]
fn at_most_two_sentences_are_made_ahead() {
    run(|| async {
        let f = fixture(Voice::default(), None, ClipsConfig::default());
        let text = "The first sentence is this. The second sentence is that. The third one comes now. The fourth is the last.";
        let mut speaking = f.clips.say(text, "", "en-us");
        speaking.next().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(f.voice.said.lock().unwrap().len(), 3);
        drop(speaking);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(
            f.voice.said.lock().unwrap().len(),
            3,
            "nobody listens any more"
        );
    });
}

#[test]
fn an_error_ends_the_speech_and_is_not_kept() {
    run(|| async {
        let f = fixture(
            Voice {
                fails_on: Some("great"),
                ..Voice::default()
            },
            None,
            ClipsConfig::default(),
        );
        let out = all(f.clips.say(TWO, "female", "en-us")).await;
        assert_eq!(out.len(), 2);
        assert_eq!(
            out[1].as_ref().unwrap_err(),
            &ClipError::Speech(SpeechError::Silent)
        );
        assert!(all(f.clips.say("Have a great day.", "female", "en-us")).await[0].is_err());
        assert_eq!(f.voice.said.lock().unwrap().len(), 3, "asked again");
        assert_eq!(
            all(f.clips.say(" ... ", "female", "en-us")).await,
            [Err(ClipError::Silent)]
        );
    });
}

impl PartialEq for Clip {
    fn eq(&self, other: &Self) -> bool {
        self.pcm(8000) == other.pcm(8000)
    }
}

#[test]
fn speech_on_disk_survives_the_process_and_damage() {
    run(|| async {
        let root = tempfile::tempdir().unwrap();
        let config = || ClipsConfig {
            cache_dir: Some(root.path().to_owned()),
            ..ClipsConfig::default()
        };
        let first = fixture(Voice::default(), None, config());
        all(first.clips.say(TWO, "female", "en-us")).await;
        let second = fixture(Voice::default(), None, config());
        assert!(
            all(second.clips.say(TWO, "female", "en-us"))
                .await
                .iter()
                .all(Result::is_ok)
        );
        assert_eq!(second.voice.said.lock().unwrap().len(), 0);
        let mut files = Vec::new();
        for folder in std::fs::read_dir(root.path().join("speech")).unwrap() {
            files.extend(
                std::fs::read_dir(folder.unwrap().path())
                    .unwrap()
                    .map(|e| e.unwrap().path()),
            );
        }
        assert_eq!(files.len(), 2);
        std::fs::write(&files[0], b"damaged").unwrap();
        let third = fixture(Voice::default(), None, config());
        assert!(
            all(third.clips.say(TWO, "female", "en-us"))
                .await
                .iter()
                .all(Result::is_ok)
        );
        assert_eq!(third.voice.said.lock().unwrap().len(), 1);
    });
}

#[test]
fn silence_and_tones_need_no_work() {
    run(|| async {
        let f = fixture(Voice::default(), None, ClipsConfig::default());
        let account = account(json!({}));
        let of =
            async |reference: &'static str| f.clips.resolve(&account, reference, "en-us").await;
        assert!(matches!(
            of("silence_stream://-1").await,
            Ok(Audio::Silence(None))
        ));
        let Ok(Audio::Tone { clip, looped: true }) =
            of("tone_stream://%(250,50,440);loops=-1").await
        else {
            panic!()
        };
        assert_eq!(clip.duration().as_millis(), 300);
        let Ok(Audio::Tone {
            clip,
            looped: false,
        }) = of("tone_stream://%(250,50,440);loops=3").await
        else {
            panic!()
        };
        assert_eq!(clip.duration().as_millis(), 900);
        assert!(matches!(
            of("tone_stream://nonsense").await,
            Err(ClipError::Tone(_))
        ));
        assert!(matches!(
            of("local_stream://moh").await,
            Err(ClipError::Reference { .. })
        ));
    });
}

async fn play(f: &Fixture, url: &str) -> Result<Arc<Clip>, ClipError> {
    match f.clips.resolve(&account(json!({})), url, "en-us").await? {
        Audio::Clip(clip) => Ok(clip),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_with_an_etag_is_confirmed_and_not_fetched_again() {
    run(|| async {
        for cache_dir in [None, Some(tempfile::tempdir().unwrap())] {
            let server = Server::new(&[("etag", "\"v1\"")], sound(800, 7));
            let config = ClipsConfig {
                cache_dir: cache_dir.as_ref().map(|d| d.path().to_owned()),
                ..ClipsConfig::default()
            };
            let f = fixture(Voice::default(), Some(server.clone()), config);
            let first = play(&f, "http://h/a.wav").await.unwrap();
            let second = play(&f, "http://h/a.wav").await.unwrap();
            assert!(Arc::ptr_eq(&first, &second));
            assert_eq!(
                (server.count(), server.confirmed.load(Ordering::SeqCst)),
                (2, 1)
            );
        }
    });
}

#[test]
fn max_age_spares_the_question_and_no_store_keeps_nothing() {
    run(|| async {
        let fresh = Server::new(&[("cache-control", "max-age=60")], sound(800, 7));
        let f = fixture(
            Voice::default(),
            Some(fresh.clone()),
            ClipsConfig::default(),
        );
        play(&f, "http://h/a.wav").await.unwrap();
        play(&f, "http://h/a.wav").await.unwrap();
        assert_eq!(fresh.count(), 1);

        let never = Server::new(
            &[("cache-control", "no-store"), ("etag", "\"v\"")],
            sound(800, 7),
        );
        let f = fixture(
            Voice::default(),
            Some(never.clone()),
            ClipsConfig::default(),
        );
        play(&f, "http://h/a.wav").await.unwrap();
        *never.body.lock().unwrap() = sound(1600, 9);
        assert_eq!(
            play(&f, "http://h/a.wav")
                .await
                .unwrap()
                .duration()
                .as_millis(),
            200
        );
        assert_eq!(never.confirmed.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn simultaneous_requests_fetch_once() {
    run(|| async {
        let server = Server::new(&[], sound(800, 7));
        let f = fixture(
            Voice::default(),
            Some(server.clone()),
            ClipsConfig::default(),
        );
        let both = tokio::join!(
            play(&f, "http://h/a.wav"),
            play(&f, "http://h/a.wav"),
            play(&f, "http://h/a.wav")
        );
        assert!(Arc::ptr_eq(&both.0.unwrap(), &both.1.unwrap()) && both.2.is_ok());
        assert_eq!(server.count(), 1);
    });
}

#[test]
fn what_cannot_be_played_says_why() {
    run(|| async {
        let text = Server::new(&[], Bytes::from_static(b"<html>"));
        let f = fixture(Voice::default(), Some(text), ClipsConfig::default());
        assert_eq!(
            play(&f, "http://h/a.wav").await.unwrap_err(),
            ClipError::Decode(DecodeError::Format)
        );

        let missing = Arc::new(Server {
            status: 404,
            ..Arc::into_inner(Server::new(&[], Bytes::new())).unwrap()
        });
        let f = fixture(Voice::default(), Some(missing), ClipsConfig::default());
        let error = play(&f, "http://user:secret@h/a.wav?token=1")
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "http://h/a.wav answered HTTP 404");

        let large = Server::new(&[], sound(8000, 7));
        let f = fixture(
            Voice::default(),
            Some(large),
            ClipsConfig {
                max_fetch: 1000,
                ..ClipsConfig::default()
            },
        );
        let error = play(&f, "http://h/a.wav").await.unwrap_err();
        assert!(matches!(
            error,
            ClipError::Fetch {
                error: HttpError::TooLarge { limit: 1000 },
                ..
            }
        ));
    });
}

#[test]
fn the_guard_also_covers_files_that_are_kept() {
    run(|| async {
        let server = Server::new(&[("cache-control", "max-age=600")], sound(800, 7));
        let guard = Arc::new(Guard::default());
        let clips = Clips::new(ClipsParts {
            io: Handle::current(),
            http: HttpClient::stub_guarded(server.clone(), guard.clone()),
            speech: Arc::new(Voice::default()),
            files: Files::memory(),
            config: ClipsConfig::default(),
        });
        let account = account(json!({}));
        assert!(
            clips
                .resolve(&account, "http://files.example/a.wav", "en-us")
                .await
                .is_ok()
        );
        guard.block(crate::host::guard::Block::host("files.example"));
        for url in [
            "http://files.example/a.wav",
            "http://127.0.0.1/a.wav",
            "http://[::ffff:a9fe:a9fe]/",
        ] {
            let error = clips.resolve(&account, url, "en-us").await.unwrap_err();
            assert!(
                matches!(
                    error,
                    ClipError::Fetch {
                        error: HttpError::Refused(_),
                        ..
                    }
                ),
                "{error}"
            );
        }
        assert_eq!(server.count(), 1);
    });
}

#[test]
fn a_long_file_is_a_stream_of_its_own_for_each_listener() {
    run(|| async {
        let server = Server::new(&[("etag", "\"v\"")], sound(80_000, 1234));
        let config = ClipsConfig {
            whole: Duration::from_secs(2),
            ..ClipsConfig::default()
        };
        let f = fixture(Voice::default(), Some(server), config);
        for _ in 0..2 {
            let audio = f
                .clips
                .resolve(&account(json!({})), "http://h/long.wav", "en-us")
                .await
                .unwrap();
            assert!(matches!(audio, Audio::Stream(_)), "{audio:?}");
        }
    });
}

#[test]
fn media_documents_are_files_or_texts() {
    run(|| async {
        let f = fixture(Voice::default(), None, ClipsConfig::default());
        let account = account(json!({
            "upload": {"name": "a", "media_source": "upload"},
            "empty": {"name": "b", "media_source": "upload"},
            "spoken": {"media_source": "tts", "tts": {"text": "Hello to everybody.", "voice": "male/de-DE"}},
        }));
        f.files
            .put(&account.id, "upload", sound(4000, 5))
            .await
            .unwrap();
        let Ok(Audio::Clip(clip)) = f.clips.resolve(&account, "upload", "en-us").await else {
            panic!()
        };
        assert_eq!(clip.duration().as_millis(), 500);
        let Ok(Audio::Speech(speaking)) = f.clips.resolve(&account, "/acc/spoken", "en-us").await
        else {
            panic!()
        };
        assert_eq!(all(speaking).await.len(), 1);
        let said = f.voice.said.lock().unwrap()[0].clone();
        assert_eq!(
            (said.voice.as_str(), said.language.as_str()),
            ("male", "de-de")
        );
        for id in ["empty", "nothing"] {
            assert!(
                matches!(
                    f.clips.resolve(&account, id, "en-us").await,
                    Err(ClipError::Media { .. })
                ),
                "{id}"
            );
        }
    });
}

#[test]
fn prompts_are_spoken_unless_the_account_has_its_own() {
    run(|| async {
        let f = fixture(Voice::default(), None, ClipsConfig::default());
        let plain = account(json!({}));
        assert!(matches!(
            f.clips.prompt(&plain, "vm-goodbye", "de-at").await,
            Ok(Audio::Speech(_))
        ));
        assert_eq!(f.voice.said.lock().unwrap()[0].language, "de-at");
        assert!(f.clips.prompt(&plain, "vm-goodbye", "xx").await.is_ok());
        assert_eq!(f.voice.said.lock().unwrap()[1].language, "en-us");
        let unknown = f
            .clips
            .prompt(&plain, "no-such-prompt", "en-us")
            .await
            .unwrap_err();
        assert_eq!(
            unknown,
            ClipError::Prompt {
                id: "no-such-prompt".to_owned()
            }
        );

        let own = account(json!({
            "a": {"prompt_id": "vm-goodbye", "language": "fr-fr", "media_source": "upload"},
            "b": {"prompt_id": "vm-goodbye", "language": "en-US", "media_source": "upload"},
            "c": {"prompt_id": "menu-exit", "language": "en-us", "media_source": "upload"},
        }));
        f.files.put(&own.id, "b", sound(4000, 5)).await.unwrap();
        for reference in [
            "prompt://vm-goodbye",
            "prompt://acc/vm-goodbye/en-us",
            "en-us%2Fvm-goodbye",
        ] {
            assert!(
                matches!(
                    f.clips.resolve(&own, reference, "en-us").await,
                    Ok(Audio::Clip(_))
                ),
                "{reference}"
            );
        }
        // An override without content must not silence the prompt.
        assert!(matches!(
            f.clips.prompt(&own, "menu-exit", "en-us").await,
            Ok(Audio::Speech(_))
        ));
        assert!(matches!(
            f.clips.prompt(&own, "silence_stream://5", "en-us").await,
            Ok(Audio::Silence(_))
        ));
    });
}

#[test]
fn a_prompt_that_cannot_be_spoken_is_an_error_at_once() {
    run(|| async {
        let f = fixture(
            Voice {
                fails_on: Some(""),
                ..Voice::default()
            },
            None,
            ClipsConfig::default(),
        );
        let error = f
            .clips
            .prompt(&account(json!({})), "vm-goodbye", "en-us")
            .await
            .unwrap_err();
        assert_eq!(error, ClipError::Speech(SpeechError::Silent));
    });
}
