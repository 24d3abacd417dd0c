//! `record`: what a leg says, or says and hears, into a file.
//!
//! - [`CallHandle::record`]: the caller alone into a file of the script's own.
//! - [`CallHandle::record_kept`]: the same as a recording that is kept (`recordings`), with a beep before.
//! - [`CallHandle::start_recording`] (`tape`): in the background, both sides of whatever the leg is part of, until it is stopped or
//!   the leg ends. Holds and transfers do not interrupt it: it is a tap on the leg's port.

use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use crate::audio::clip::Clip;
use crate::audio::tone::Tone;
use crate::base::id::OpId;
use crate::base::keys::Keys;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::call::ops::play::PlayOptions;
use crate::clips::Audio;
use crate::media::{Command, RecordEnd, RecordSpec, Sides};
use crate::recordings::{Method, Notice, Transcribing};

/// How to record.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// Where the WAV file goes: relative to the recordings directory.
    pub path: PathBuf,
    /// Longest recording.
    pub max: Duration,
    /// Silence that ends it; `None` never.
    pub silence: Option<Duration>,
    /// Keys that end it.
    pub finish_on: Keys,
}

/// A finished recording; the file is complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub length: Duration,
    /// Why it ended; [`RecordEnd::Closed`] is the hang-up.
    pub why: RecordEnd,
}

/// A recording to be kept, and what becomes of it.
#[derive(Debug, Clone)]
pub struct NewRecording {
    /// The id asked for; without one, or with one that cannot be, a fresh one.
    pub id: Option<String>,
    /// The file's name; without one KAZOO's.
    pub name: Option<String>,
    /// How it was started, in words.
    pub origin: String,
    /// What started it: a module or a verb.
    pub source: &'static str,
    /// Whose voice.
    pub sides: Sides,
    /// Longest recording; three hours at most.
    pub max: Duration,
    /// A shorter one is thrown away.
    pub min: Duration,
    /// Silence of the peer that ends it.
    pub silence: Option<Duration>,
    /// Keys that end it.
    pub finish_on: Keys,
    /// Cut the silence off its beginning and its end.
    pub trim: bool,
    /// Samples a second: 8000, or 16000 for wideband calls.
    pub rate_hz: u32,
    /// When it begins.
    pub begin: Begin,
    /// Whether it goes on after a transfer.
    pub follow: bool,
    /// Where the sound is sent, and how; the file's name is added.
    pub upload: Option<(String, Method)>,
    /// Who is told.
    pub notice: Option<Notice>,
    /// How it is made a text, once it is whole.
    pub transcript: Option<Transcribing>,
}

impl Default for NewRecording {
    /// Both sides added up, from now on, an hour at most, kept here.
    fn default() -> Self {
        Self {
            id: None,
            name: None,
            origin: String::new(),
            source: "call",
            sides: Sides::Mixed,
            max: Duration::from_secs(3600),
            min: Duration::ZERO,
            silence: None,
            finish_on: Keys::NONE,
            trim: false,
            rate_hz: 8000,
            begin: Begin::Now,
            follow: true,
            upload: None,
            notice: None,
            transcript: None,
        }
    }
}

/// When a recording begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Begin {
    /// As soon as the leg has media: early media counts.
    #[default]
    Now,
    /// When the leg is answered.
    Answer,
    /// When it is connected to another.
    Bridge,
}

/// A recording that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Where it can be had.
    pub url: String,
    /// Its length; zero when there is none.
    pub length: Duration,
    /// Why it ended.
    pub why: RecordEnd,
}

impl CallHandle {
    /// Records the caller. The hang-up is a normal end of a recording, not an error.
    ///
    /// # Errors
    /// When the call had ended before, or has no media.
    pub async fn record(&self, options: RecordOptions) -> Result<Recorded, CallError> {
        self.open_media().await?;
        let op = self.next_op();
        let path = options.path.clone();
        let spec = RecordSpec {
            path: options.path,
            max: options.max,
            silence: options.silence,
            finish_on: options.finish_on,
            ..RecordSpec::default()
        };
        self.command(Command::Record { op, spec })?;
        self.state_mut().recording.push(op);
        let (length, why) = self.recorded(op, options.finish_on).await;
        Ok(Recorded { path, length, why })
    }

    /// Records in the foreground until a key, silence, a limit or the hang-up, and keeps the recording. With `beep` the
    /// caller hears when it begins.
    ///
    /// # Errors
    /// When the call had ended before, or has no media.
    pub async fn record_kept(&self, new: NewRecording, beep: bool) -> Result<Kept, CallError> {
        self.open_media().await?;
        if beep {
            self.beep().await?;
            self.flush_keys();
        }
        let finish_on = new.finish_on;
        let id = self.begin_recording(new, true)?;
        let op = self.tape_of(&id).ok_or(CallError::NotAnswered)?;
        let url = self.recording_url(&id).unwrap_or_default();
        let (length, why) = self.recorded(op, finish_on).await;
        Ok(Kept {
            id,
            url,
            length,
            why,
        })
    }

    /// Waits until the file of a recording is complete. Dropping the future stops it; the file is kept.
    async fn recorded(&self, op: OpId, finish_on: Keys) -> (Duration, RecordEnd) {
        let recording = Recorder(self, op);
        let mut ended_by = None;
        let arrival = std::future::poll_fn(|context| {
            let mut state = self.state_mut();
            // Keys pressed meanwhile belong to the recording; the one that ended it is reported with it. The port knows
            // those that come with the sound, we know the others too.
            let pressed = state.keys.iter().find(|key| finish_on.contains(**key));
            if let (None, Some(key)) = (ended_by, pressed) {
                ended_by = Some(*key);
                if let Some(port) = &state.media.port {
                    port.command(Command::StopRecord(op));
                }
            }
            state.keys.clear();
            match state.recorded.iter().position(|(done, ..)| *done == op) {
                Some(at) => Poll::Ready(state.recorded.swap_remove(at)),
                None => {
                    state.wait_after_end(context.waker());
                    Poll::Pending
                }
            }
        });
        // After a hang-up the recorder pool still closes the file, in the aftermath.
        let (_, length, why) = arrival.await;
        drop(recording);
        match (why, ended_by) {
            (RecordEnd::Stopped, Some(key)) => (length, RecordEnd::Key(key)),
            (why, _) => (length, why),
        }
    }

    /// Plays the tone that asks the caller to speak: 440 Hz, half a second.
    ///
    /// # Errors
    /// When the call ends or has no media.
    pub async fn beep(&self) -> Result<(), CallError> {
        let tone = Tone {
            volume_db: BEEP_DB,
            ..Tone::new(&[440.0], 500, 0)
        };
        let beep = Audio::Clip(std::sync::Arc::new(Clip::new(
            RATE_HZ,
            tone.render(RATE_HZ),
        )));
        let options = PlayOptions {
            terminators: Keys::NONE,
            ..PlayOptions::default()
        };
        self.play(vec![beep], options).await?;
        Ok(())
    }
}

/// Stops the recording when its future is dropped; the file is kept.
struct Recorder<'a>(&'a CallHandle, OpId);

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        if let Some(port) = &self.0.state().media.port {
            port.command(Command::StopRecord(self.1));
        }
    }
}

/// Rate and level of the beep.
const RATE_HZ: u32 = 8000;
const BEEP_DB: f32 = -10.0;
