//! Sound by reference: a URL, a media document, a prompt id or a text becomes a clip, once, however many ask for it.
//!
//! - `reference`: what a media reference in a document means.
//! - `decode`: audio files to samples (the door to symphonia). `stream`: long files, decoded while they play.
//! - `fetch`: audio by URL, kept as its server allows. `voice`: text to speech, kept on disk by content.
//! - `sentences`: where a text may be cut, so that the first words do not wait for the last.
//! - `prompts`: the built-in texts of system prompts. `house`: the built-in music on hold.
//! - `cache`, `flight`: clips in memory up to a limit; one piece of work for simultaneous equal requests.

mod cache;
pub mod decode;
mod fetch;
mod flight;
mod house;
pub mod prompts;
mod reference;
mod sentences;
mod stream;
mod voice;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use url::Url;

use crate::audio::{Clip, ToneStream};
use crate::directory::Account;
use crate::host::http::{HttpClient, HttpError, Watcher, watched};
use crate::host::task;
use crate::media::StreamReader;
use crate::speech::{SpeechError, SpeechProvider};
use crate::store::{Files, StoreError};

use cache::{Disk, Memory};
use decode::Input;
use fetch::{Fetched, Fetcher};
use flight::Flights;
use reference::Reference;
use stream::Opened;

pub use decode::DecodeError;
pub use voice::Speaking;

/// Something to play.
#[derive(Debug)]
pub enum Audio {
    /// A whole clip.
    Clip(Arc<Clip>),
    /// A tone; `looped` repeats it until cancelled.
    Tone {
        /// The tone once.
        clip: Arc<Clip>,
        /// Whether it repeats.
        looped: bool,
    },
    /// Silence: for so long, or until cancelled.
    Silence(Option<Duration>),
    /// Speech, sentence by sentence.
    Speech(Speaking),
    /// A long file, decoded while it plays.
    Stream(StreamReader),
}

/// Why there is no sound.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClipError {
    /// The reference means nothing here.
    #[error("{reference:?} is not a media reference")]
    Reference {
        /// The reference.
        reference: String,
    },
    /// A tone notation that is not understood.
    #[error(transparent)]
    Tone(#[from] crate::audio::tone::ToneError),
    /// The account has no such media document, or it has no content.
    #[error("media {id:?}: {what}")]
    Media {
        /// Its id.
        id: String,
        /// What is missing.
        what: &'static str,
    },
    /// There is no such prompt.
    #[error("there is no prompt {id:?}")]
    Prompt {
        /// Its id.
        id: String,
    },
    /// The URL could not be fetched.
    #[error("{url}: {error}")]
    Fetch {
        /// The URL, without user information and query.
        url: String,
        /// Why.
        error: HttpError,
    },
    /// The server refused.
    #[error("{url} answered HTTP {status}")]
    Status {
        /// The URL, without user information and query.
        url: String,
        /// The status.
        status: u16,
    },
    /// The file is no audio we can decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The text could not be spoken.
    #[error(transparent)]
    Speech(#[from] SpeechError),
    /// There is no text to speak.
    #[error("there is no text to speak")]
    Silent,
    /// The store or the cache's disk failed.
    #[error("{what}: {detail}")]
    Disk {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        detail: String,
    },
    /// The work crashed, or the process is shutting down.
    #[error("the work on this clip was given up")]
    Gone,
}

impl From<StoreError> for ClipError {
    fn from(error: StoreError) -> Self {
        Self::Disk {
            what: "attachment",
            detail: error.to_string(),
        }
    }
}

/// Limits and places of the caches.
#[derive(Debug, Clone)]
pub struct ClipsConfig {
    /// Where fetched files and speech are kept; `None` keeps nothing across restarts.
    pub cache_dir: Option<PathBuf>,
    /// Most memory for clips that are not playing, in bytes.
    pub memory: usize,
    /// Most disk for fetched files and speech, each, in bytes.
    pub disk: u64,
    /// Longest file fetched, in bytes.
    pub max_fetch: usize,
    /// Longest time for a fetch.
    pub fetch_timeout: Duration,
    /// Longer files are decoded while they play instead of before.
    pub whole: Duration,
    /// How many sentences are made at the same time.
    pub parallel_speech: usize,
    /// The voice of prompts.
    pub prompt_voice: String,
    /// Whether parties on hold hear music of our own where nobody has named other.
    pub house_music: bool,
}

impl Default for ClipsConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            memory: 64 * 1024 * 1024,
            disk: 1024 * 1024 * 1024,
            max_fetch: 50 * 1024 * 1024,
            fetch_timeout: Duration::from_secs(30),
            whole: Duration::from_secs(120),
            parallel_speech: 4,
            prompt_voice: "female".to_owned(),
            house_music: false,
        }
    }
}

/// What clips are made of.
pub struct ClipsParts {
    /// Where fetches, programs and decoding run.
    pub io: Handle,
    /// The guarded client.
    pub http: HttpClient,
    /// Who speaks.
    pub speech: Arc<dyn SpeechProvider>,
    /// Contents of media documents.
    pub files: Files,
    /// Limits and places.
    pub config: ClipsConfig,
}

/// Sound by reference. Cheap to clone.
#[derive(Clone)]
pub struct Clips(Arc<Inner>, Watchers);

/// Who sees what is asked of web servers for the sake of a clip. What is kept already, or asked for by others at the same
/// time, is not asked for again.
#[derive(Clone, Default)]
struct Watchers {
    media: Option<Watcher>,
    speech: Option<Watcher>,
}

struct Inner {
    parts: ClipsParts,
    fingerprint: String,
    memory: Memory,
    speech_files: Option<Arc<Disk>>,
    fetcher: Arc<Fetcher>,
    sentences: Flights<Result<Arc<Clip>, ClipError>>,
    fetches: Flights<Result<Fetched, ClipError>>,
    decodes: Flights<Result<Decoded, ClipError>>,
    turns: Semaphore,
}

/// What a file turned out to be.
#[derive(Clone)]
enum Decoded {
    Whole(Arc<Clip>),
    Long,
}

impl Clips {
    /// Clips made of these parts.
    pub fn new(parts: ClipsParts) -> Self {
        let config = &parts.config;
        let disk = |name: &str| {
            let root = config.cache_dir.as_ref()?.join(name);
            Some(Arc::new(Disk::new(root, config.disk)))
        };
        let inner = Inner {
            fingerprint: parts.speech.fingerprint(),
            memory: Memory::new(config.memory),
            speech_files: disk("speech"),
            fetcher: Arc::new(Fetcher::new(parts.http.clone(), disk("media"), config)),
            sentences: Flights::new(),
            fetches: Flights::new(),
            decodes: Flights::new(),
            turns: Semaphore::new(config.parallel_speech.max(1)),
            parts,
        };
        Self(Arc::new(inner), Watchers::default())
    }

    /// The same clips; who asks through this handle has files fetched under the eyes of `media`, and speech made under
    /// those of `speech`.
    #[must_use]
    pub fn watched(&self, media: Watcher, speech: Watcher) -> Self {
        let watchers = Watchers {
            media: Some(media),
            speech: Some(speech),
        };
        Self(self.0.clone(), watchers)
    }

    /// What a media reference of a document stands for.
    ///
    /// # Errors
    /// When there is no sound behind it.
    pub async fn resolve(
        &self,
        account: &Account,
        reference: &str,
        language: &str,
    ) -> Result<Audio, ClipError> {
        match Reference::parse(reference)? {
            Reference::Silence(length) => Ok(Audio::Silence(length)),
            Reference::Tone(text) => tone(&text),
            Reference::Url(url) => Box::pin(self.by_url(&url)).await,
            Reference::Prompt { id, language: own } => {
                Box::pin(self.prompt(account, &id, own.as_deref().unwrap_or(language))).await
            }
            Reference::Media(id) => Box::pin(self.media(account, &id, language)).await,
        }
    }

    /// A system prompt in a language: the account's own, else the built-in text, spoken.
    ///
    /// # Errors
    /// When there is no such prompt, or it cannot be spoken.
    pub async fn prompt(
        &self,
        account: &Account,
        prompt_id: &str,
        language: &str,
    ) -> Result<Audio, ClipError> {
        // What stands where a prompt id is expected may be another kind of reference.
        if prompt_id.contains("://") || prompt_id == "silence" {
            return Box::pin(self.resolve(account, prompt_id, language)).await;
        }
        if let Some(id) = overriding(account, prompt_id, language) {
            match Box::pin(self.media(account, &id, language)).await {
                Ok(audio) => return Ok(audio),
                Err(error) => {
                    tracing::warn!(account = %account.id, prompt_id, %error, "own prompt cannot be played")
                }
            }
        }
        let prompt = prompts::text(prompt_id, language).ok_or_else(|| ClipError::Prompt {
            id: prompt_id.to_owned(),
        })?;
        let same =
            prompts::primary(language).eq_ignore_ascii_case(prompts::primary(prompt.language));
        let spoken_in = if same { language } else { prompt.language };
        let speaking = self.say(prompt.text, &self.0.parts.config.prompt_voice, spoken_in);
        Ok(Audio::Speech(Box::pin(speaking.begun()).await?))
    }

    /// Text as speech. Starts at once; an error comes in place of the sentence it concerns.
    pub fn say(&self, text: &str, voice: &str, language: &str) -> Speaking {
        Speaking::new(self.0.clone(), self.1.speech.clone(), text, voice, language)
    }

    async fn by_url(&self, url: &Url) -> Result<Audio, ClipError> {
        let inner = &self.0;
        let start = || {
            let (fetcher, url) = (inner.fetcher.clone(), url.clone());
            let watcher = self.1.media.clone();
            async move { Box::pin(watched(watcher, fetcher.fetch(&url))).await }
        };
        let waiting = inner.fetches.join(&inner.parts.io, url.as_str(), start);
        let fetched = waiting.await.unwrap_or(Err(ClipError::Gone))?;
        let fetcher = inner.fetcher.clone();
        let opened =
            Box::pin(self.open(fetched.key.clone(), move || fetcher.input(&fetched))).await;
        if matches!(opened, Err(ClipError::Gone)) {
            inner.fetcher.forget(url);
        }
        opened
    }

    async fn media(&self, account: &Account, id: &str, language: &str) -> Result<Audio, ClipError> {
        let missing = |what| ClipError::Media {
            id: id.to_owned(),
            what,
        };
        let doc = account
            .media
            .get(id)
            .ok_or_else(|| missing("there is no such document"))?;
        if let Some(text) = spoken_text(doc) {
            let (voice, own) = spoken_voice(doc);
            let language = own
                .as_deref()
                .or(doc.get("language").and_then(Value::as_str))
                .unwrap_or(language);
            let speaking = self.say(text, &voice, language);
            return Ok(Audio::Speech(Box::pin(speaking.begun()).await?));
        }
        let files = self.0.parts.files.clone();
        let (account, name) = (account.id.to_string(), id.to_owned());
        let read = task::spawn_on(&self.0.parts.io, "media", async move {
            files.get(&account, &name).await
        });
        let bytes = read.await.ok().flatten().ok_or(ClipError::Gone)??;
        let bytes = bytes
            .filter(|b| !b.is_empty())
            .ok_or_else(|| missing("it has no content"))?;
        let key = hex::encode(Sha256::digest(&bytes));
        Box::pin(self.open(key, move || Some(Input::Memory(bytes.clone())))).await
    }

    /// A file as a clip, decoded once; or as a stream of its own when it is long.
    async fn open(
        &self,
        key: String,
        input: impl Fn() -> Option<Input> + Clone + Send + Sync + 'static,
    ) -> Result<Audio, ClipError> {
        let inner = &self.0;
        if let Some(clip) = inner.memory.get(&key) {
            return Ok(Audio::Clip(clip));
        }
        let start = || {
            let (inner, key, input) = (inner.clone(), key.clone(), input.clone());
            async move { Box::pin(decode_once(&inner, &key, input)).await }
        };
        let decoded = inner
            .decodes
            .join(&inner.parts.io, &key, start)
            .await
            .unwrap_or(Err(ClipError::Gone))?;
        match decoded {
            Decoded::Whole(clip) => Ok(Audio::Clip(clip)),
            Decoded::Long => {
                let io = inner.parts.io.clone();
                let own = task::spawn_on(&inner.parts.io, "open-stream", async move {
                    task::blocking("open-stream", move || open_file(&io, input, Duration::ZERO))
                        .await
                });
                match own
                    .await
                    .ok()
                    .flatten()
                    .flatten()
                    .ok_or(ClipError::Gone)??
                {
                    Opened::Whole(clip) => Ok(Audio::Clip(clip)),
                    Opened::Long(reader) => Ok(Audio::Stream(reader)),
                }
            }
        }
    }
}

impl std::fmt::Debug for Clips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clips(..)")
    }
}

async fn decode_once(
    inner: &Inner,
    key: &str,
    input: impl Fn() -> Option<Input> + Send + 'static,
) -> Result<Decoded, ClipError> {
    if let Some(clip) = inner.memory.get(key) {
        return Ok(Decoded::Whole(clip));
    }
    let (io, whole) = (inner.parts.io.clone(), inner.parts.config.whole);
    let opened = task::blocking("decode", move || open_file(&io, input, whole)).await;
    match opened.unwrap_or(Err(ClipError::Gone))? {
        Opened::Whole(clip) => {
            inner.memory.put(key, clip.clone());
            Ok(Decoded::Whole(clip))
        }
        // This reader belongs to nobody; each listener opens the file anew.
        Opened::Long(_) => Ok(Decoded::Long),
    }
}

fn open_file(
    io: &Handle,
    input: impl Fn() -> Option<Input>,
    whole: Duration,
) -> Result<Opened, ClipError> {
    stream::open(io, input().ok_or(ClipError::Gone)?, whole)
}

fn tone(text: &str) -> Result<Audio, ClipError> {
    let parsed = ToneStream::parse(text)?;
    let once = parsed.clip();
    match parsed.loops {
        None => Ok(Audio::Tone {
            clip: Arc::new(once),
            looped: true,
        }),
        Some(0 | 1) => Ok(Audio::Tone {
            clip: Arc::new(once),
            looped: false,
        }),
        Some(loops) => {
            let pcm = once.pcm(once.rate_hz());
            let most = LONGEST_TONE.as_secs() as usize * once.rate_hz() as usize;
            let length = pcm.len().saturating_mul(loops as usize).min(most);
            let pcm = pcm.iter().copied().cycle().take(length).collect();
            Ok(Audio::Tone {
                clip: Arc::new(Clip::new(once.rate_hz(), pcm)),
                looped: false,
            })
        }
    }
}

/// The account's media document that stands for a prompt: in the language, its primary part, or without one.
fn overriding(account: &Account, prompt_id: &str, language: &str) -> Option<String> {
    let mut own = account
        .media
        .iter()
        .filter(|(_, doc)| text_of(doc, "prompt_id") == Some(prompt_id))
        .peekable();
    own.peek()?;
    let own: Vec<_> = own.collect();
    let in_language = |wanted: &str| {
        let found = own.iter().find(|(_, doc)| {
            let language = text_of(doc, "language").unwrap_or("").replace('_', "-");
            language.eq_ignore_ascii_case(wanted)
        });
        found.map(|(id, _)| (*id).clone())
    };
    let mut languages = prompts::fallbacks(language);
    languages.push(String::new());
    languages.iter().find_map(|language| in_language(language))
}

/// The text of a media document that is spoken.
fn spoken_text(doc: &Value) -> Option<&str> {
    let text = doc
        .get("tts")
        .and_then(|tts| text_of(tts, "text"))
        .filter(|text| !text.trim().is_empty());
    let source = text_of(doc, "media_source").unwrap_or("tts");
    text.filter(|_| source == "tts")
}

/// Voice and language of a media document that is spoken: `female/en-US`.
fn spoken_voice(doc: &Value) -> (String, Option<String>) {
    let voice = doc
        .get("tts")
        .and_then(|tts| text_of(tts, "voice"))
        .unwrap_or("female");
    match voice.split_once('/') {
        Some((voice, language)) => (
            voice.to_owned(),
            Some(language.to_owned()).filter(|l| !l.is_empty()),
        ),
        None => (voice.to_owned(), None),
    }
}

fn text_of<'a>(doc: &'a Value, key: &str) -> Option<&'a str> {
    doc.get(key).and_then(Value::as_str)
}

/// The longest tone made of repetitions.
const LONGEST_TONE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
