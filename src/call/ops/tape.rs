//! `start_recording`: recordings of a leg in the background, from their order to the end of their files.

use std::time::Duration;

use super::record::{Begin, NewRecording};
use crate::base::id::{OpId, is_safe_name};
use crate::base::time::UnixMicros;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::call::state::State;
use crate::host::clock;
use crate::journal::{Detail, Fact};
use crate::media::{Command, Pause, RecordEnd, RecordSpec};
use crate::recordings::{Recording, Upload, file_name};

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
    /// Ids of those that were kept, and where they can be had.
    kept: Vec<(String, String)>,
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
            .map(|(id, _)| id.clone())
            .chain(lasting.map(|tape| tape.recording.id.clone()))
            .collect();
        let url = self.url.clone().filter(|_| !ids.is_empty());
        (ids, url)
    }
}

impl CallHandle {
    /// Records in the background, from the moment asked for until the recording is stopped or reaches its limit, or the
    /// leg ends. Returns its id.
    ///
    /// # Errors
    /// When the call has ended.
    pub fn start_recording(&self, new: NewRecording) -> Result<String, CallError> {
        self.begin_recording(new, false)
    }

    pub(super) fn begin_recording(
        &self,
        new: NewRecording,
        awaited: bool,
    ) -> Result<String, CallError> {
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
        recording.transcript.clone_from(&new.transcript);
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
            self.detail(Detail::Taping {
                id: recording.id.clone(),
                channels: recording.channels,
            });
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

    /// Where a recording of this leg can be had, or will be.
    pub fn recording_url(&self, id: &str) -> Option<String> {
        let state = self.state();
        let mut running = state.tapes.running.iter();
        if let Some(tape) = running.find(|tape| tape.recording.id == id) {
            return Some(self.services().shelf.url(&tape.recording));
        }
        let mut kept = state.tapes.kept.iter();
        kept.find(|(kept, _)| kept == id)
            .map(|(_, url)| url.clone())
    }

    /// The operation a recording runs under.
    pub(super) fn tape_of(&self, id: &str) -> Option<OpId> {
        let state = self.state();
        let mut running = state.tapes.running.iter();
        running
            .find(|tape| tape.recording.id == id)
            .map(|tape| tape.op)
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
            let url = self.services().shelf.url(&tape.recording);
            tapes.kept.push((tape.recording.id.clone(), url));
        }
        if why == RecordEnd::Closed && tape.settings.follow && !tape.awaited {
            tapes.cut.push(tape.settings.clone());
        }
        drop(state);
        tape.recording.duration_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let id = &tape.recording.id;
        self.detail(Detail::Taped {
            id: id.clone(),
            why: format!("{why:?}"),
            kept: there_is_none.is_none(),
        });
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

    /// Writes into the call's trace.
    pub(in crate::call) fn remark(&self, text: String) {
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

/// Characters of an id behind its month, so that a file can have its name.
const LONGEST_ID: usize = 57;
