//! The real call, over the same operations as the callflow modules.

mod legs;
mod media;
mod rooms;
mod tell;
mod wait;

use std::cell::Cell;
use std::time::Duration;

use super::line::{
    Dial, Dialled, Gathered, Gathering, Line, Phrase, Recorded, Recording, Request, Sound, Trouble,
};
use super::orders::{Room, Stream, Taken, Taking, Taping, Waited, Waiting};
use crate::base::cause::Cause;
use crate::base::keys::Keys;
use crate::call::{
    Attended, CallError, CallHandle, CollectOptions, PlayEnd, PlayOptions, Referral,
};
use crate::clips::Audio;
use crate::journal::Fact;
use crate::pivot::{self, Check, Found, Reply, Settings};

/// Rings others. The callflow room does: it knows the account's people, numbers and trunks.
pub(crate) trait Dialler {
    /// Rings whom `how` names and connects the caller to whoever answers; returns when both have parted, also when the
    /// caller left.
    async fn dial(&self, how: &Dial, attended: Option<Attended>) -> Result<Dialled, CallError>;
}

/// A real call.
pub(crate) struct Live<'a, D> {
    /// The call.
    pub(crate) call: &'a CallHandle,
    /// Settings of its Pivot session.
    pub(crate) settings: &'a Settings,
    /// Judges callflow JSON.
    pub(crate) check: Check<'a>,
    /// Who rings others.
    pub(crate) dialler: &'a D,
    /// The request the running document answered.
    pub(crate) iteration: Cell<u32>,
    /// Whether the document is heard while somebody waits.
    pub(crate) aside: bool,
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        if error.is_ended() {
            Self::Ended
        } else {
            match error {
                // Without media there is nothing left that a document could do.
                CallError::NoCommonCodec => Self::Fatal(error.to_string()),
                _ => Self::Failed(error.to_string()),
            }
        }
    }
}

impl<D: Dialler> Line for Live<'_, D> {
    fn ended(&self) -> bool {
        self.call.ended().is_some()
    }

    fn note(&self, text: &str) {
        tracing::debug!(call = ?self.call, text, "twiml");
        pivot::remark(self.call, self.settings, self.iteration.get(), text);
        let text = text.to_owned();
        self.call
            .note(|call_id, at| Fact::Note { call_id, at, text });
    }

    fn status(&self, status: &'static str) {
        self.call.vars().call_status = Some(status.to_owned());
    }

    async fn answer(&self) -> Result<(), Trouble> {
        Ok(self.call.answer().await?)
    }

    async fn play(&self, phrases: &[Phrase], terminators: Keys) -> Result<String, Trouble> {
        let (mut digits, mut trouble) = (String::new(), None);
        for phrase in phrases {
            let played = match Box::pin(self.phrase(phrase, terminators, false)).await {
                Ok(played) => played,
                Err(Trouble::Failed(why)) => {
                    trouble = Some(Trouble::Failed(why));
                    continue;
                }
                Err(other) => return Err(other),
            };
            digits.push_str(&played.0);
            if played.1 {
                break;
            }
        }
        match trouble {
            Some(trouble) if phrases.len() == 1 => Err(trouble),
            Some(trouble) => {
                self.note(&trouble.to_string());
                Ok(digits)
            }
            None => Ok(digits),
        }
    }

    async fn gather(&self, how: &Gathering) -> Result<Gathered, Trouble> {
        let options = CollectOptions {
            max_digits: how.max_digits,
            timeout: how.timeout,
            interdigit: how.timeout,
            total: how.total,
            terminators: how.finish_on,
            typed_ahead: how.typed_ahead.clone(),
        };
        if let Some(speech) = &how.speech {
            let listening = media::listen(self, how, speech, options.clone());
            match Box::pin(listening).await? {
                Some(gathered) => return Ok(gathered),
                None => self.note("Gather: speech is not recognised here, keys alone count"),
            }
        }
        if how.typed_ahead.is_empty() && !how.prompt.is_empty() {
            let prompting = async {
                for phrase in &how.prompt {
                    match Box::pin(self.phrase(phrase, Keys::NONE, true)).await {
                        Ok(_) => {}
                        Err(Trouble::Failed(why)) => self.note(&format!("Gather: {why}")),
                        Err(other) => return Err(other),
                    }
                }
                Ok(())
            };
            tokio::select! {
                biased;
                pressed = self.call.key_pressed() => pressed?,
                heard = Box::pin(prompting) => heard?,
            }
        }
        let collected = Box::pin(self.call.collect(Vec::new(), options)).await?;
        Ok(Gathered::of(collected))
    }

    fn flush_keys(&self) {
        self.call.flush_keys();
    }

    async fn pause(&self, length: Duration) -> Result<(), Trouble> {
        Ok(self.call.pause(length).await?)
    }

    async fn record(&self, how: &Recording) -> Result<Recorded, Trouble> {
        media::record(self, how).await
    }

    async fn dial(&self, how: &Dial) -> Result<Dialled, Trouble> {
        let attended = legs::attended(self, how);
        Ok(Box::pin(self.dialler.dial(how, attended)).await?)
    }

    async fn conference(&self, how: &Room) -> Result<Dialled, Trouble> {
        Box::pin(rooms::conference(self, how)).await
    }

    async fn enqueue(&self, how: &Waiting) -> Result<Waited, Trouble> {
        Box::pin(rooms::enqueue(self, how)).await
    }

    async fn dequeue(&self, how: &Taking) -> Result<Taken, Trouble> {
        Box::pin(rooms::dequeue(self, how)).await
    }

    async fn connect(&self, how: &Stream) -> Result<(), Trouble> {
        Box::pin(media::connect(self, how)).await
    }

    fn start_stream(&self, how: &Stream) -> Result<(), Trouble> {
        media::start_stream(self, how)
    }

    fn stop_stream(&self, which: Option<&str>) -> usize {
        self.call.stop_stream(which)
    }

    fn start_recording(&self, how: &Taping) -> Result<String, Trouble> {
        media::start_recording(self, how)
    }

    fn stop_recording(&self, id: Option<&str>) -> Option<(String, String)> {
        let known = id.and_then(|id| Some((id.to_owned(), self.call.recording_url(id)?)));
        match (self.call.stop_recording(id), known) {
            (Some(id), _) => self.call.recording_url(&id).map(|url| (id, url)),
            // It has ended by itself.
            (None, known) => known,
        }
    }

    async fn refer(&self, to: &str) -> Result<Referral, Trouble> {
        self.not_aside("Refer")?;
        Ok(Box::pin(self.call.refer(to)).await?)
    }

    fn reject(&self, status: u16, cause: Cause) {
        self.call.reject(status, "", cause);
    }

    async fn ask(&self, request: &Request) -> Result<Reply, Trouble> {
        self.iteration.set(request.iteration);
        let settings = self
            .settings
            .following(request.url.as_str(), request.method);
        let found = Found {
            values: &request.values,
            variables: &request.variables,
        };
        let asked = pivot::ask(
            self.call,
            &settings,
            request.iteration,
            Some(&found),
            self.check,
        );
        let reply = Box::pin(asked).await;
        reply.map_err(|error| Trouble::Fatal(error.to_string()))
    }
}

impl<D: Dialler> Live<'_, D> {
    /// Who waits does nothing else meanwhile.
    fn not_aside(&self, what: &str) -> Result<(), Trouble> {
        match self.aside {
            true => Err(Trouble::Failed(format!(
                "{what} has no place in what is heard while waiting"
            ))),
            false => Ok(()),
        }
    }

    /// Plays one phrase: the keys pressed meanwhile, and whether one of them stopped it.
    async fn phrase(
        &self,
        phrase: &Phrase,
        terminators: Keys,
        keep_keys: bool,
    ) -> Result<(String, bool), Trouble> {
        if let [Sound::Keys(keys)] = phrase.sounds.as_slice() {
            let mut left = phrase.loops;
            while left != Some(0) {
                left = left.map(|left| left - 1);
                self.call.send_digits(keys, KEY).await?;
            }
            return Ok((String::new(), false));
        }
        let (mut audio, mut trouble) = (Vec::new(), None);
        for sound in &phrase.sounds {
            match Box::pin(self.audio(sound)).await {
                Ok(found) => audio.push(found),
                Err(Trouble::Failed(why)) => {
                    if let Some(before) = trouble.replace(why) {
                        self.note(&before);
                    }
                }
                Err(other) => return Err(other),
            }
        }
        if audio.is_empty() {
            return match trouble {
                Some(why) => Err(Trouble::Failed(why)),
                None => Ok((String::new(), false)),
            };
        }
        if let Some(why) = trouble {
            self.note(&why);
        }
        let options = PlayOptions {
            terminators,
            loops: phrase.loops,
            keep_keys,
        };
        let played = self.call.play(audio, options).await?;
        let stopped = matches!(played.why, PlayEnd::Terminator(_));
        Ok((played.digits, stopped))
    }

    async fn audio(&self, sound: &Sound) -> Result<Audio, Trouble> {
        let clips = self.call.clips();
        match sound {
            Sound::Speech {
                text,
                voice,
                language,
            } => {
                let language = language
                    .as_ref()
                    .map_or_else(|| self.call.language(), |l| l.to_lowercase());
                Ok(Audio::Speech(clips.say(text, voice, &language)))
            }
            Sound::Silence(length) => Ok(Audio::Silence(Some(*length))),
            Sound::Keys(_) => Err(Trouble::Failed("keys are sent by themselves".to_owned())),
            Sound::Media(reference) => {
                self.call.name_sound(reference);
                let account = self.call.facts().account.clone();
                let language = self.call.language();
                let found = Box::pin(clips.resolve(&account, reference, &language));
                // Whoever hangs up while a file is fetched ends the wait.
                tokio::select! {
                    ended = self.call.wait_for_hangup() => Err(ended.into()),
                    found = found => found.map_err(|error| {
                        let error = CallError::from(error);
                        if let Some((code, values)) = error.trouble() {
                            self.call.trouble(code, values);
                        }
                        Trouble::Failed(error.to_string())
                    }),
                }
            }
        }
    }
}

/// How long a key sent to the other side sounds.
const KEY: Duration = Duration::from_millis(160);
