//! `recognise`: what the caller says, as text; with a prompt that speech or a key stops, and keys in place of speech.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::collect::{CollectOptions, Collected};
use super::play::PlayOptions;
use crate::audio::speaking::{Heard, Patience, Speaking};
use crate::base::id::OpId;
use crate::base::keys::Keys;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::clips::Audio;
use crate::host::http::HttpClient;
use crate::journal::Fact;
use crate::media::{Command, Listener, listen};
use crate::speech::{Recogniser, SpeechError, Spoken, Transcript};

/// How to listen.
#[derive(Clone)]
pub struct RecogniseOptions {
    /// A language tag.
    pub language: String,
    /// Words that are likely.
    pub hints: String,
    /// Longest wait for the first word or key, from the end of the prompt.
    pub timeout: Duration,
    /// Silence that ends the speech. [`AUTO_END`] when nobody says how long.
    pub end: Duration,
    /// Longest speech.
    pub max: Duration,
    /// Whether speech and keys stop the prompt; otherwise they count from its end on.
    pub barge_in: bool,
    /// How keys are collected in place of speech; `None`: keys do nothing.
    pub keys: Option<CollectOptions>,
    /// Is given what was understood so far, while the caller still speaks; where the operator has partial results.
    pub partial: Option<Rc<dyn Fn(Partial)>>,
}

impl Default for RecogniseOptions {
    fn default() -> Self {
        Self {
            language: "en-us".to_owned(),
            hints: String::new(),
            timeout: Duration::from_secs(5),
            end: AUTO_END,
            max: Duration::from_secs(60),
            barge_in: true,
            keys: None,
            partial: None,
        }
    }
}

/// A text that may still change.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// From 0 on.
    pub sequence: u32,
    /// What was understood so far.
    pub transcript: Transcript,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Recognised {
    /// The caller said this.
    Speech(Transcript),
    /// The caller pressed keys instead.
    Keys(Collected),
    /// Nothing was said in time, or nothing that could be understood.
    Nothing,
}

/// Silence that ends speech when nobody says how long: longer than a breath.
pub const AUTO_END: Duration = Duration::from_millis(1000);

impl CallHandle {
    /// Listens to the caller and has what he says understood.
    ///
    /// # Errors
    /// When the call ends, the prompt cannot be had, no recogniser is configured, or it fails.
    pub async fn recognise(
        &self,
        prompt: Vec<Audio>,
        options: RecogniseOptions,
    ) -> Result<Recognised, CallError> {
        let services = self.services();
        let recognition = services
            .recognition
            .clone()
            .ok_or(CallError::NoRecogniser)?;
        self.open_media().await?;
        let mut ear = Ear::of(self)?;
        let mut speaking = Speaking::new(Patience {
            first: options.timeout,
            next: options.end,
            most: options.max,
        });
        let asking = Asking {
            recogniser: recognition.recogniser,
            http: services.http.clone(),
            options: &options,
        };
        let stopped = self
            .listen_through(prompt, &mut ear, &mut speaking, &options)
            .await?;
        if let Stopped::Key = stopped {
            return self.keys_instead(&options).await;
        }
        let mut partials = Partials::of(&asking, recognition.partial_every);
        loop {
            tokio::select! {
                biased;
                pressed = self.key_counts(&options) => {
                    pressed?;
                    return self.keys_instead(&options).await;
                }
                heard = ear.next(&mut speaking) => match heard {
                    Heard::Finished => break,
                    Heard::Nobody => return Ok(Recognised::Nothing),
                    Heard::Began | Heard::Same => partials.turn(&speaking),
                },
                () = partials.next() => {}
            }
        }
        drop(partials);
        drop(ear);
        let understood = tokio::select! {
            biased;
            ended = self.wait_for_hangup() => return Err(ended),
            understood = asking.ask(speaking.pcm()) => understood,
        };
        self.note(|call_id, at| Fact::Note {
            call_id,
            at,
            text: match &understood {
                // What was said is the caller's own; the trace has its length.
                Ok(said) => format!("speech: {} words", said.text.split_whitespace().count()),
                Err(error) => format!("speech: {error}"),
            },
        });
        let said = understood?;
        Ok(if said.text.is_empty() {
            Recognised::Nothing
        } else {
            Recognised::Speech(said)
        })
    }

    /// Plays the prompt while listening, until it ends or is stopped.
    async fn listen_through(
        &self,
        prompt: Vec<Audio>,
        ear: &mut Ear<'_>,
        speaking: &mut Speaking,
        options: &RecogniseOptions,
    ) -> Result<Stopped, CallError> {
        if prompt.is_empty() {
            speaking.arm();
            return Ok(Stopped::No);
        }
        let quiet = PlayOptions {
            terminators: Keys::NONE,
            keep_keys: true,
            ..PlayOptions::default()
        };
        let mut play = std::pin::pin!(self.play(prompt, quiet));
        loop {
            tokio::select! {
                biased;
                pressed = self.key_counts(options), if options.barge_in => {
                    pressed?;
                    return Ok(Stopped::Key);
                }
                heard = ear.next(speaking), if options.barge_in => {
                    if heard == Heard::Began {
                        return Ok(Stopped::Speech);
                    }
                }
                played = &mut play => {
                    played?;
                    break;
                }
            }
        }
        if !options.barge_in {
            ear.skip();
            self.state_mut().keys.clear();
        }
        speaking.arm();
        Ok(Stopped::No)
    }

    /// Waits for a key that counts. Others are forgotten.
    async fn key_counts(&self, options: &RecogniseOptions) -> Result<(), CallError> {
        self.wait(|state| {
            if options.keys.is_none() {
                state.keys.clear();
            }
            (!state.keys.is_empty()).then_some(())
        })
        .await
    }

    async fn keys_instead(&self, options: &RecogniseOptions) -> Result<Recognised, CallError> {
        let keys = options.keys.clone().unwrap_or_default();
        let collected = self.collect(Vec::new(), keys).await?;
        Ok(Recognised::Keys(collected))
    }
}

/// What stopped the prompt.
enum Stopped {
    No,
    Key,
    Speech,
}

/// The caller's voice. Dropping it ends the listening.
struct Ear<'a> {
    call: &'a CallHandle,
    op: OpId,
    listener: Listener,
    tick: tokio::time::Interval,
    frame: Vec<i16>,
    own: Vec<i16>,
}

impl<'a> Ear<'a> {
    fn of(call: &'a CallHandle) -> Result<Self, CallError> {
        let (tap, listener) = listen(HEARD, false);
        let op = call.next_op();
        call.command(Command::Listen { op, tap })?;
        let mut tick = tokio::time::interval(ROUND);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            call,
            op,
            listener,
            tick,
            frame: Vec::new(),
            own: Vec::new(),
        })
    }

    /// What is heard in the next moment. Safe to drop at any point.
    async fn next(&mut self, speaking: &mut Speaking) -> Heard {
        self.tick.tick().await;
        while self.listener.frame(&mut self.frame, &mut self.own) {
            let heard = speaking.push(&self.frame);
            if heard != Heard::Same {
                return heard;
            }
        }
        Heard::Same
    }

    /// Forgets what has been heard.
    fn skip(&mut self) {
        while self.listener.frame(&mut self.frame, &mut self.own) {}
    }
}

impl Drop for Ear<'_> {
    fn drop(&mut self) {
        if let Some(port) = &self.call.state().media.port {
            port.command(Command::Unlisten(self.op));
        }
    }
}

/// Whom to ask, and how.
struct Asking<'a> {
    recogniser: Arc<dyn Recogniser>,
    http: HttpClient,
    options: &'a RecogniseOptions,
}

/// Work on the io runtime that ends when nobody waits for it.
struct Asked(JoinHandle<Option<Result<Transcript, SpeechError>>>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Asking<'_> {
    fn begin(&self, pcm: Vec<i16>) -> Asked {
        let language = self.options.language.to_lowercase();
        let hints = self.options.hints.clone();
        let recogniser = Arc::clone(&self.recogniser);
        Asked(self.http.spawn("recognise", async move {
            let spoken = Spoken::of(&pcm, &language, &hints);
            recogniser.transcribe(&spoken).await
        }))
    }

    async fn ask(&self, pcm: Vec<i16>) -> Result<Transcript, SpeechError> {
        self.begin(pcm).done().await
    }
}

impl Asked {
    async fn done(&mut self) -> Result<Transcript, SpeechError> {
        let answer = (&mut self.0).await.ok().flatten();
        answer.unwrap_or(Err(SpeechError::Silent))
    }
}

/// Texts of speech that goes on, one at a time.
struct Partials<'a> {
    asking: &'a Asking<'a>,
    every: Option<Duration>,
    due: Option<Instant>,
    asked: Option<Asked>,
    sequence: u32,
}

impl<'a> Partials<'a> {
    fn of(asking: &'a Asking<'a>, every: Option<Duration>) -> Self {
        Self {
            asking,
            every: every.filter(|_| asking.options.partial.is_some()),
            due: None,
            asked: None,
            sequence: 0,
        }
    }

    /// Asks for the text so far when it is time.
    fn turn(&mut self, speaking: &Speaking) {
        let Some(every) = self.every.filter(|_| speaking.is_speaking()) else {
            return;
        };
        let now = Instant::now();
        let due = *self.due.get_or_insert(now + every);
        if now >= due && self.asked.is_none() {
            self.due = Some(now + every);
            self.asked = Some(self.asking.begin(speaking.pcm()));
        }
    }

    /// Tells what was understood, once it was. Safe to drop at any point.
    async fn next(&mut self) {
        let Some(asked) = &mut self.asked else {
            return std::future::pending().await;
        };
        let understood = asked.done().await;
        self.asked = None;
        match (understood, &self.asking.options.partial) {
            (Ok(transcript), Some(tell)) if !transcript.text.is_empty() => {
                tell(Partial {
                    sequence: self.sequence,
                    transcript,
                });
                self.sequence += 1;
            }
            (Ok(_), _) => {}
            (Err(error), _) => tracing::debug!(%error, "no partial result"),
        }
    }
}

/// How often what was heard is looked at.
const ROUND: Duration = Duration::from_millis(20);
/// Sound that may wait to be looked at.
const HEARD: Duration = Duration::from_secs(2);
