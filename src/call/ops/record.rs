//! `record`: what a leg says, or says and hears, into a file.
//!
//! - [`CallHandle::record`]: the caller alone into a file of the script's own.
//! - [`CallHandle::record_kept`]: the same as a recording that is kept (`recordings`), with a beep before.
//! - [`CallHandle::start_recording`]: in the background, both sides of whatever the leg is part of, until it is stopped or
//!   the leg ends. Holds and transfers do not interrupt it: it is a tap on the leg's port.

use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use crate::audio::clip::Clip;
use crate::audio::tone::Tone;
use crate::base::id::{OpId, is_safe_name};
use crate::base::keys::Keys;
use crate::base::time::UnixMicros;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::call::ops::play::PlayOptions;
use crate::call::state::State;
use crate::clips::Audio;
use crate::host::clock;
use crate::journal::Fact;
use crate::media::{Command, Pause, RecordEnd, RecordSpec, Sides};
use crate::recordings::{Method, Notice, Recording, Upload, file_name};

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

/// A recording of a leg, from its order to the end of its file.
#[derive(Debug)]
pub(in crate::call) struct Tape {
    op: OpId,
    recording: Recording,
    settings: NewRecording,
    /// When it began; `None`: it waits for its moment.
    began: Option<UnixMicros>,
    /// An operation waits for its end.
    awaited: bool,
}

/// What a leg has recorded and records.
#[derive(Debug, Default)]
pub(in crate::call) struct Tapes {
    running: Vec<Tape>,
    /// Ids of those that were kept.
    kept: Vec<String>,
    /// Where the sound of the last one was sent.
    url: Option<String>,
    /// How many there have been.
    count: usize,
    /// Those the end of the leg cut off and that were to follow a transfer.
    cut: Vec<NewRecording>,
}

impl Tapes {
    /// Whether nothing runs or waits.
    fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// What the leg's record says: ids, and where the last one was sent.
    pub(in crate::call) fn linked(&self) -> (Vec<String>, Option<String>) {
        let now = clock::unix_now();
        let lasting = self.running.iter().filter(|tape| {
            tape.began
                .is_some_and(|at| now.since(at) >= tape.settings.min)
        });
        let ids: Vec<String> = self
            .kept
            .iter()
            .cloned()
            .chain(lasting.map(|tape| tape.recording.id.clone()))
            .collect();
        let url = self.url.clone().filter(|_| !ids.is_empty());
        (ids, url)
    }
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
        let found = {
            let state = self.state();
            let mut tapes = state.tapes.running.iter();
            tapes
                .find(|tape| tape.recording.id == id)
                .map(|tape| (tape.op, self.services().shelf.url(&tape.recording)))
        };
        let (op, url) = found.ok_or(CallError::NotAnswered)?;
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

    /// Records in the background, from the moment asked for until the recording is stopped or reaches its limit, or the
    /// leg ends. Returns its id.
    ///
    /// # Errors
    /// When the call has ended.
    pub fn start_recording(&self, new: NewRecording) -> Result<String, CallError> {
        self.begin_recording(new, false)
    }

    fn begin_recording(&self, new: NewRecording, awaited: bool) -> Result<String, CallError> {
        if let Some(ended) = self.ended() {
            return Err(CallError::Ended(ended));
        }
        let mut recording = Recording::of(&self.cdr_so_far());
        recording.id = self.recording_id(new.id.as_deref());
        let turn = self.state().tapes.count;
        recording.name = file_name(new.name.as_deref(), &recording.call_id, turn);
        recording.origin.clone_from(&new.origin);
        recording.source_type = new.source.to_owned();
        recording.channels = new.sides.channels();
        recording.shortest_ms = u64::try_from(new.min.as_millis()).unwrap_or(u64::MAX);
        recording.notice.clone_from(&new.notice);
        let upload = new.upload.as_ref();
        recording.upload = upload.map(|(base, method)| Upload::new(base, *method, &recording.name));
        let id = recording.id.clone();
        let tape = Tape {
            op: self.next_op(),
            recording,
            settings: new,
            began: None,
            awaited,
        };
        {
            let mut state = self.state_mut();
            state.tapes.count += 1;
            state.tapes.running.push(tape);
        }
        self.begin_tapes();
        Ok(id)
    }

    /// `YYYYMM-` and what was asked for, where that can name a file; else something fresh.
    fn recording_id(&self, asked: Option<&str>) -> String {
        let month = clock::unix_now().month();
        let asked = asked.map(|id| id.strip_prefix(&format!("{month}-")).unwrap_or(id));
        match asked {
            Some(id) if is_safe_name(id) && id.len() <= LONGEST_ID => format!("{month}-{id}"),
            Some(_) | None => format!("{month}-{}", self.rng().hex(16)),
        }
    }

    /// Begins the recordings whose moment has come. Called whenever the leg has come further.
    pub(in crate::call) fn begin_tapes(&self) {
        if self.state().tapes.is_idle() {
            return;
        }
        let answered = self.answered();
        let mut begun = Vec::new();
        {
            let mut state = self.state_mut();
            let State {
                tapes,
                media,
                recording,
                peer,
                ..
            } = &mut *state;
            let (Some(port), Some(_)) = (&media.port, &media.agreed) else {
                return;
            };
            let bridged = answered && peer.is_some();
            for tape in tapes.running.iter_mut().filter(|t| t.began.is_none()) {
                let due = match tape.settings.begin {
                    Begin::Now => true,
                    Begin::Answer => answered,
                    Begin::Bridge => bridged,
                };
                if !due {
                    continue;
                }
                let now = clock::unix_now();
                tape.began = Some(now);
                tape.recording.start = now;
                port.command(Command::Record {
                    op: tape.op,
                    spec: tape.spec(),
                });
                recording.push(tape.op);
                let upload = tape.recording.upload.as_ref();
                tapes.url = upload.map(Upload::shown);
                begun.push(tape.recording.clone());
            }
        }
        for recording in begun {
            self.services().shelf.open(&recording);
            self.remark(format!("recording {} begins", recording.id));
        }
    }

    /// Stops a recording, the one that was started last when none is named, and keeps it. Its id; `None`: there is none.
    pub fn stop_recording(&self, id: Option<&str>) -> Option<String> {
        let mut state = self.state_mut();
        let at = state.tapes.find(id)?;
        let tape = state.tapes.running.get(at)?;
        let (op, id) = (tape.op, tape.recording.id.clone());
        if tape.began.is_none() {
            state.tapes.running.remove(at);
        } else if let Some(port) = &state.media.port {
            port.command(Command::StopRecord(op));
        }
        Some(id)
    }

    /// Holds a recording back (silence in its place, or no time at all), or lets it go on; the one that was started last
    /// when none is named. Its id; `None`: there is none.
    pub fn pause_recording(&self, id: Option<&str>, how: Pause) -> Option<String> {
        let state = self.state();
        let tape = state.tapes.running.get(state.tapes.find(id)?)?;
        let (op, id) = (tape.op, tape.recording.id.clone());
        if let Some(port) = &state.media.port {
            port.command(Command::PauseRecord(op, how));
        }
        drop(state);
        self.remark(match how {
            Pause::No => format!("recording {id} goes on"),
            Pause::Silence | Pause::Skip => format!("recording {id} is held back"),
        });
        Some(id)
    }

    /// Ids of the recordings that run or wait for their moment, in the order they were started.
    pub fn recordings(&self) -> Vec<String> {
        let state = self.state();
        let running = state.tapes.running.iter();
        running.map(|tape| tape.recording.id.clone()).collect()
    }

    /// The file of a recording is complete: it is kept, or there is nothing to keep. `false`: the recording is a script's
    /// own.
    pub(in crate::call) fn tape_ended(&self, op: OpId, length: Duration, why: RecordEnd) -> bool {
        let mut state = self.state_mut();
        let tapes = &mut state.tapes;
        let Some(at) = tapes.running.iter().position(|tape| tape.op == op) else {
            return false;
        };
        let mut tape = tapes.running.remove(at);
        let there_is_none = match why {
            RecordEnd::TooShort => Some("absent"),
            RecordEnd::Failed => Some("failed"),
            RecordEnd::DiskFull if length.is_zero() => Some("failed"),
            _ => None,
        };
        if there_is_none.is_none() {
            tapes.kept.push(tape.recording.id.clone());
        }
        if why == RecordEnd::Closed && tape.settings.follow && !tape.awaited {
            tapes.cut.push(tape.settings.clone());
        }
        drop(state);
        tape.recording.duration_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let id = &tape.recording.id;
        let shelf = &self.services().shelf;
        match there_is_none {
            Some(status) => {
                shelf.forget(&tape.recording, status);
                self.remark(format!("recording {id} is not kept: {why:?}"));
            }
            None => {
                shelf.keep(&tape.recording);
                self.remark(format!("recording {id} ends after {length:?}: {why:?}"));
            }
        }
        !tape.awaited
    }

    /// The leg was transferred: recordings that do not follow end.
    pub(in crate::call) fn end_tapes_that_stay(&self) {
        let staying: Vec<String> = {
            let state = self.state();
            let running = state.tapes.running.iter();
            running
                .filter(|tape| !tape.settings.follow && !tape.awaited)
                .map(|tape| tape.recording.id.clone())
                .collect()
        };
        for id in staying {
            self.stop_recording(Some(&id));
        }
    }

    /// `from` has sent this leg on and leaves: what was recorded there, and follows, is recorded here from now on.
    pub(in crate::call) fn take_tapes_over(&self, from: &Self) {
        let mut following: Vec<NewRecording> = {
            let state = from.state();
            let running = state.tapes.running.iter();
            running
                .filter(|tape| tape.settings.follow && !tape.awaited && tape.began.is_some())
                .map(|tape| tape.settings.clone())
                .collect()
        };
        following.append(&mut from.state_mut().tapes.cut);
        for mut settings in following {
            settings.id = None;
            settings.begin = Begin::Now;
            // Another file beside the first.
            settings.name = settings.name.map(|name| {
                let stem = name
                    .rsplit_once('.')
                    .map_or(name.as_str(), |(stem, _)| stem);
                format!("{stem}_{}", self.rng().hex(4))
            });
            if let Err(error) = self.start_recording(settings) {
                tracing::debug!(call = ?self, %error, "the recording does not go on");
            }
        }
    }

    fn remark(&self, text: String) {
        self.note(|call_id, at| Fact::Note { call_id, at, text });
    }
}

impl Tapes {
    /// The place of the recording with that id, or of the last one that nobody waits for.
    fn find(&self, id: Option<&str>) -> Option<usize> {
        self.running.iter().rposition(|tape| match id {
            Some(id) => tape.recording.id == id,
            None => !tape.awaited,
        })
    }
}

impl Tape {
    fn spec(&self) -> RecordSpec {
        let settings = &self.settings;
        RecordSpec {
            path: self.recording.path(),
            max: settings.max,
            silence: settings.silence,
            finish_on: settings.finish_on,
            sides: settings.sides,
            min: settings.min,
            trim: settings.trim,
            rate_hz: settings.rate_hz,
        }
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
/// Characters of an id behind its month, so that a file can have its name.
const LONGEST_ID: usize = 57;
