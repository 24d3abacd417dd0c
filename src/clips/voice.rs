//! Text to speech, sentence by sentence: the first is played while the next are made. Each sentence is made once and
//! kept in memory and on disk, named by everything that decides how it sounds.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::cache::Disk;
use super::decode::{Decoder, Input};
use super::flight::Waiting;
use super::sentences::sentences;
use super::{ClipError, Inner};
use crate::audio::Clip;
use crate::host::http::{Watcher, watched};
use crate::host::task;
use crate::speech::Utterance;

/// Speech on its way: sentence after sentence.
pub struct Speaking {
    inner: Arc<Inner>,
    watcher: Option<Watcher>,
    text: Arc<str>,
    voice: String,
    language: String,
    rest: VecDeque<String>,
    running: VecDeque<Sentence>,
    /// There was nothing to say, and that has not been told yet.
    silent: bool,
}

enum Sentence {
    Ready(Arc<Clip>),
    Making(Waiting<Result<Arc<Clip>, ClipError>>),
}

impl Speaking {
    pub(super) fn new(
        inner: Arc<Inner>,
        watcher: Option<Watcher>,
        text: &str,
        voice: &str,
        language: &str,
    ) -> Self {
        let rest: VecDeque<String> = sentences(text).into();
        let silent = rest.is_empty();
        let (voice, language) = (
            voice.to_owned(),
            language.replace('_', "-").to_ascii_lowercase(),
        );
        let mut speaking = Self {
            inner,
            watcher,
            text: text.into(),
            voice,
            language,
            rest,
            running: VecDeque::new(),
            silent,
        };
        speaking.start();
        speaking
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The next sentence as soon as it is made; `None` after the last. Nothing follows an error.
    pub async fn next(&mut self) -> Option<Result<Arc<Clip>, ClipError>> {
        if std::mem::take(&mut self.silent) {
            return Some(Err(ClipError::Silent));
        }
        let result = match self.running.pop_front()? {
            Sentence::Ready(clip) => Ok(clip),
            Sentence::Making(waiting) => waiting.await.unwrap_or(Err(ClipError::Gone)),
        };
        match &result {
            Ok(_) => self.start(),
            Err(_) => {
                self.rest.clear();
                self.running.clear();
            }
        }
        Some(result)
    }

    /// Waits until the first sentence is there.
    pub(super) async fn begun(mut self) -> Result<Self, ClipError> {
        match self.next().await {
            Some(Ok(clip)) => self.running.push_front(Sentence::Ready(clip)),
            Some(Err(error)) => return Err(error),
            None => {}
        }
        Ok(self)
    }

    /// Starts sentences until enough are on their way.
    fn start(&mut self) {
        while self.running.len() < AHEAD
            && let Some(text) = self.rest.pop_front()
        {
            let utterance = Utterance {
                text,
                voice: self.voice.clone(),
                language: self.language.clone(),
            };
            let sentence = sentence(&self.inner, self.watcher.clone(), utterance);
            self.running.push_back(sentence);
        }
    }
}

impl fmt::Debug for Speaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Speaking({} sentences to come)",
            self.rest.len() + self.running.len()
        )
    }
}

/// A sentence from memory, or on its way.
fn sentence(inner: &Arc<Inner>, watcher: Option<Watcher>, utterance: Utterance) -> Sentence {
    let key = key(&inner.fingerprint, &utterance);
    if let Some(clip) = inner.memory.get(&key) {
        return Sentence::Ready(clip);
    }
    let work = {
        let (inner, key) = (inner.clone(), key.clone());
        move || async move { Box::pin(watched(watcher, make(&inner, &key, &utterance))).await }
    };
    Sentence::Making(inner.sentences.join(&inner.parts.io, &key, work))
}

async fn make(inner: &Inner, key: &str, utterance: &Utterance) -> Result<Arc<Clip>, ClipError> {
    // It may have landed between the look into memory and the start of this flight.
    if let Some(clip) = inner.memory.get(key) {
        return Ok(clip);
    }
    if let Some(disk) = inner.speech_files.clone()
        && let Some(clip) = from_disk(disk, key.to_owned()).await
    {
        inner.memory.put(key, clip.clone());
        return Ok(clip);
    }
    let turn = inner.turns.acquire().await.map_err(|_| ClipError::Gone)?;
    let file = inner.parts.speech.synthesise(utterance).await?;
    drop(turn);
    let (disk, name) = (inner.speech_files.clone(), key.to_owned());
    let made = task::blocking("decode-speech", move || {
        let clip = speech_clip(Input::Memory(file.clone()))?;
        if let Some(disk) = disk
            && let Err(error) = disk.write(&name, &file)
        {
            tracing::warn!(%error, "speech could not be kept on disk");
        }
        Ok::<_, ClipError>(clip)
    });
    let clip = made.await.unwrap_or(Err(ClipError::Gone))?;
    inner.memory.put(key, clip.clone());
    Ok(clip)
}

async fn from_disk(disk: Arc<Disk>, key: String) -> Option<Arc<Clip>> {
    let read = move || {
        let file = disk.read(&key)?;
        let clip = speech_clip(Input::Memory(file));
        if clip.is_err() {
            // A disk that filled up or a change of formats; made anew.
            disk.remove(&key);
        }
        clip.ok()
    };
    task::blocking("read-speech", read).await.flatten()
}

/// A sentence's clip, its silence at the end brought to [`PAUSE_MS`] so that sentences neither run together nor drag.
fn speech_clip(input: Input) -> Result<Arc<Clip>, ClipError> {
    let mut decoder = Decoder::open(input)?;
    let mut pcm = Vec::new();
    while decoder.next(&mut pcm)? {
        if decoder.decoded() > super::decode::MAX_WHOLE {
            return Err(super::DecodeError::TooLong {
                limit: super::decode::MAX_WHOLE,
            }
            .into());
        }
    }
    let pause = (u64::from(decoder.rate_hz()) * PAUSE_MS / 1000) as usize;
    let loud = pcm
        .iter()
        .rposition(|s| s.unsigned_abs() > QUIET)
        .map_or(pcm.len(), |at| at + 1);
    pcm.resize(loud.saturating_add(pause), 0);
    Ok(Arc::new(decoder.into_clip(pcm)?))
}

fn key(fingerprint: &str, utterance: &Utterance) -> String {
    let mut hash = Sha256::new();
    for part in [
        fingerprint,
        &utterance.voice,
        &utterance.language,
        &utterance.text,
    ] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// Sentences on their way at the same time.
const AHEAD: usize = 2;
/// Silence after a sentence, in milliseconds.
const PAUSE_MS: u64 = 250;
/// Samples up to this size count as silence.
const QUIET: u16 = 150;
