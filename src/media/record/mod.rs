//! Recordings: a tap on a port, a bounded ring, and the recorder thread that writes WAV files.
//!
//! - here: the recorder's end, and the threads: one writes, another finishes files (fsync may take long).
//! - `tap`: the worker's end. `voice`: where there is sound, for recordings that are cut to it.
//! - `file`: a file below the recordings directory, `.part` until it is complete.
//!
//! The length is exact: every 20 ms frame a port hears is 20 ms in the file, silent or not; a frame that found the
//! ring full becomes silence.

mod file;
mod tap;
mod voice;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rtrb::{Consumer, RingBuffer};

pub use self::file::salvage;
use self::file::{Directory, PartFile};
pub(super) use self::tap::{BothSides, Tap};
use self::tap::{TapState, Wide};
use self::voice::Voice;
use super::command::{Pause, RecordSpec};
use super::config::MediaConfig;
use super::event::{MediaEvent, Outside, RecordEnd};
use crate::audio::level::Vad;
use crate::base::id::{OpId, PortId};
use crate::host::{clock, task};

/// All recordings.
pub(super) struct Recorder {
    directory: PathBuf,
    min_free: u64,
    outside: Arc<Outside>,
    inbox: Mutex<Vec<Recording>>,
    /// Only the thread that polls; a lock because an inline engine polls through a handle.
    active: Mutex<Active>,
    bell: Condvar,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Active {
    recordings: Vec<Recording>,
    directory: Option<Directory>,
    /// Finished recordings go there; without it they are finished on the spot.
    finisher: Option<SyncSender<Finished>>,
    space_looked_at: Option<Instant>,
    disk_full: bool,
    pcm: Vec<i16>,
}

/// One recording, at the recorder.
struct Recording {
    port: PortId,
    op: OpId,
    path: PathBuf,
    ring: Consumer<i16>,
    shared: Arc<TapState>,
    file: Option<PartFile>,
    rate_hz: u32,
    samples: u64,
    /// What has passed, written or not.
    passed: u64,
    missed_written: u64,
    /// Counted over all channels, as `samples`.
    max_samples: u64,
    /// The same.
    min_samples: u64,
    channels: u16,
    silence: Option<Duration>,
    vad: Vad,
    /// With `trim`: where the last sound ended. Nothing is written before the first.
    voice: Option<Voice>,
    ended: Option<RecordEnd>,
}

/// A recording whose sound is complete.
struct Finished {
    port: PortId,
    op: OpId,
    file: Option<PartFile>,
    samples: u64,
    channels: u16,
    rate_hz: u32,
    why: RecordEnd,
}

/// Samples of all channels in so much time.
fn samples_in(time: Duration, channels: u16, rate_hz: u32) -> u64 {
    u64::try_from(time.as_micros().saturating_mul(u128::from(rate_hz)) / 1_000_000)
        .unwrap_or(u64::MAX)
        .saturating_mul(u64::from(channels))
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    pub(super) fn new(config: &MediaConfig, outside: Arc<Outside>) -> Self {
        Self {
            directory: config.record_dir.clone(),
            min_free: config.record_min_free,
            outside,
            inbox: Mutex::default(),
            active: Mutex::default(),
            bell: Condvar::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Starts a recording; the tap goes to the port. A file that cannot be made ends it as failed.
    pub(super) fn begin(&self, port: PortId, op: OpId, spec: RecordSpec) -> Tap {
        let channels = spec.sides.channels();
        let rate_hz = if spec.rate_hz >= WIDE_HZ {
            WIDE_HZ
        } else {
            NARROW_HZ
        };
        let of_two_seconds = samples_in(PATIENCE, channels, rate_hz);
        let (producer, ring) = RingBuffer::new(usize::try_from(of_two_seconds).unwrap_or(0));
        let shared = Arc::new(TapState::default());
        let path = spec
            .path
            .strip_prefix(&self.directory)
            .map_or_else(|_| spec.path.clone(), Path::to_path_buf);
        let recording = Recording {
            port,
            op,
            path,
            ring,
            shared: Arc::clone(&shared),
            file: None,
            rate_hz,
            samples: 0,
            passed: 0,
            missed_written: 0,
            max_samples: samples_in(spec.max.min(LONGEST), channels, rate_hz),
            min_samples: samples_in(spec.min, channels, rate_hz).max(u64::from(spec.trim)),
            channels,
            silence: spec.silence,
            vad: Vad::new(),
            voice: spec.trim.then(|| Voice::new(rate_hz)),
            ended: None,
        };
        lock(&self.inbox).push(recording);
        self.bell.notify_one();
        Tap {
            op,
            finish_on: spec.finish_on,
            sides: spec.sides,
            pause: Pause::No,
            wide: (rate_hz != NARROW_HZ).then(|| Box::new(Wide::new(rate_hz))),
            ring: producer,
            shared,
        }
    }

    /// Starts the writing and the finishing thread.
    pub(super) fn spawn(this: &Arc<Self>) -> std::io::Result<[JoinHandle<Option<()>>; 2]> {
        let (finisher, finished) = sync_channel(FINISHING);
        lock(&this.active).finisher = Some(finisher);
        let (writing, finishing) = (Arc::clone(this), Arc::clone(this));
        Ok([
            task::thread("recorder", move || writing.run())?,
            task::thread("rec-finish", move || finishing.finish_all(&finished))?,
        ])
    }

    /// Ends the threads once every recording is complete. The workers must have ended before.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(lock(&self.inbox));
        self.bell.notify_one();
    }

    fn run(&self) {
        loop {
            let busy = self.poll(clock::now());
            let inbox = lock(&self.inbox);
            if busy {
                drop(
                    self.bell
                        .wait_timeout(inbox, ROUND)
                        .unwrap_or_else(PoisonError::into_inner),
                );
            } else if !inbox.is_empty() {
                continue;
            } else if self.stopped.load(Ordering::SeqCst) {
                // Hangs up on the finisher, which then ends too.
                lock(&self.active).finisher = None;
                return;
            } else {
                drop(
                    self.bell
                        .wait(inbox)
                        .unwrap_or_else(PoisonError::into_inner),
                );
            }
        }
    }

    fn finish_all(&self, finished: &Receiver<Finished>) {
        while let Ok(one) = finished.recv() {
            self.finish(one);
        }
    }

    /// Writes what has come in. `true` while there are recordings.
    pub(super) fn poll(&self, now: Instant) -> bool {
        let active = &mut *lock(&self.active);
        let new = std::mem::take(&mut *lock(&self.inbox));
        if !new.is_empty() && active.directory.is_none() {
            active.directory = Directory::open(&self.directory).inspect_err(|error| {
                tracing::error!(%error, directory = %self.directory.display(), "cannot open the recordings directory");
            }).ok();
        }
        self.look_at_space(now, active);
        for mut recording in new {
            recording.open(active.directory.as_ref(), active.disk_full);
            active.recordings.push(recording);
        }
        let Active {
            recordings,
            finisher,
            pcm,
            disk_full,
            ..
        } = active;
        let mut index = 0;
        while let Some(recording) = recordings.get_mut(index) {
            recording.write(pcm, *disk_full);
            if recording.ended.is_none() {
                index += 1;
                continue;
            }
            let finished = recordings.swap_remove(index).finished();
            let Some(finisher) = finisher else {
                self.finish(finished);
                continue;
            };
            // When the disk is that slow it is finished here; the other recordings' rings have two seconds of patience.
            if let Err(TrySendError::Full(finished) | TrySendError::Disconnected(finished)) =
                finisher.try_send(finished)
            {
                self.finish(finished);
            }
        }
        !recordings.is_empty()
    }

    fn look_at_space(&self, now: Instant, active: &mut Active) {
        let due = active
            .space_looked_at
            .is_none_or(|at| now.saturating_duration_since(at) >= SPACE_EVERY);
        if let (true, Some(directory)) = (due, &active.directory) {
            active.space_looked_at = Some(now);
            let full = directory
                .free_bytes()
                .is_some_and(|free| free < self.min_free);
            if full && !active.disk_full {
                tracing::error!(directory = %self.directory.display(), min_free = self.min_free, "disk nearly full: recordings stop, calls go on");
            }
            active.disk_full = full;
        }
    }

    /// Makes the file durable under its name and reports it.
    fn finish(&self, finished: Finished) {
        let Finished {
            port,
            op,
            file,
            samples,
            channels,
            rate_hz,
            why,
        } = finished;
        let done = file.map(|file| file.finish(samples));
        let (length, why) = match done {
            Some(Ok(())) => (
                Duration::from_micros(
                    (samples / u64::from(channels.max(1))).saturating_mul(1_000_000)
                        / u64::from(rate_hz),
                ),
                why,
            ),
            Some(Err(error)) => {
                tracing::error!(%error, "cannot finish a recording");
                (Duration::ZERO, RecordEnd::Failed)
            }
            None => (Duration::ZERO, why),
        };
        self.outside.push(MediaEvent::Recorded {
            port,
            op,
            length,
            why,
        });
    }
}

impl Recording {
    fn open(&mut self, directory: Option<&Directory>, disk_full: bool) {
        if disk_full {
            self.ended = Some(RecordEnd::DiskFull);
            return;
        }
        match directory.map(|d| d.create(&self.path, self.channels, self.rate_hz)) {
            Some(Ok(file)) => self.file = Some(file),
            Some(Err(error)) => {
                tracing::error!(%error, path = %self.path.display(), "cannot make a recording");
                self.ended = Some(RecordEnd::Failed);
            }
            None => self.ended = Some(RecordEnd::Failed),
        }
    }

    /// Writes what the ring holds, and decides whether this was the end.
    fn write(&mut self, pcm: &mut Vec<i16>, disk_full: bool) {
        if self.ended.is_some() {
            return;
        }
        // Looked at before the ring: what was written before it is then certainly seen.
        let abandoned = self.ring.is_abandoned();
        pcm.clear();
        pcm.resize(self.ring.slots(), 0);
        let read = self.ring.pop_partial_slice(pcm).0.len();
        pcm.truncate(read);
        let missed = self
            .shared
            .missed
            .load(Ordering::Relaxed)
            .saturating_sub(self.missed_written);
        self.missed_written += missed;
        pcm.resize(
            pcm.len()
                .saturating_add(usize::try_from(missed).unwrap_or(0)),
            0,
        );
        let channels = usize::from(self.channels.max(1));
        let of_frame = usize::try_from(self.rate_hz).unwrap_or(0) / FRAMES_A_SECOND;
        for frame in pcm.chunks((of_frame * channels).max(1)) {
            let room = usize::try_from(self.max_samples - self.passed).unwrap_or(usize::MAX);
            let frame = frame.get(..room).unwrap_or(frame);
            self.passed += frame.len() as u64;
            self.keep(frame);
            if self.ended.is_some() {
                return;
            }
            // The silence that ends a recording is the peer's.
            let mut peer = [0; MOST_FRAME];
            let heard = frame.iter().step_by(channels);
            peer.iter_mut().zip(heard).for_each(|(to, s)| *to = *s);
            let samples = frame.len() / channels;
            self.vad.push(peer.get(..samples).unwrap_or(&peer), 20);
            if self.passed >= self.max_samples {
                self.ended = Some(RecordEnd::MaxLength);
                return;
            }
            if self
                .silence
                .is_some_and(|most| self.vad.silent_for() >= most)
            {
                self.ended = Some(RecordEnd::Silence);
                return;
            }
        }
        if abandoned {
            self.ended = Some(lock(&self.shared.why).unwrap_or(RecordEnd::Closed));
        } else if disk_full {
            self.ended = Some(RecordEnd::DiskFull);
        }
    }

    /// Writes a frame, or what of it is wanted.
    fn keep(&mut self, frame: &[i16]) {
        let whole;
        let wanted = match &mut self.voice {
            Some(voice) => {
                whole = voice.take(frame, self.channels);
                whole.as_slice()
            }
            None => frame,
        };
        if let Some(error) = self.file.as_mut().and_then(|f| f.write(wanted).err()) {
            let full = matches!(
                error.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            );
            tracing::error!(%error, path = %self.path.display(), "cannot write a recording");
            self.ended = Some(if full {
                RecordEnd::DiskFull
            } else {
                RecordEnd::Failed
            });
            return;
        }
        self.samples += wanted.len() as u64;
        if let Some(voice) = self.voice.as_mut().filter(|voice| voice.speaks) {
            voice.until = self.samples;
        }
    }

    fn finished(mut self) -> Finished {
        let mut why = self.ended.unwrap_or(RecordEnd::Closed);
        if let Some(voice) = &self.voice {
            self.samples = voice.until;
        }
        let failed = why == RecordEnd::Failed;
        if !failed && self.file.is_some() && self.samples < self.min_samples {
            why = RecordEnd::TooShort;
        }
        // Nothing is kept of a file that could not be written, or is not wanted.
        let file = self.file.filter(|_| !failed && why != RecordEnd::TooShort);
        Finished {
            port: self.port,
            op: self.op,
            file,
            samples: self.samples,
            channels: self.channels,
            rate_hz: self.rate_hz,
            why,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The longest recording (KAZOO's `max_recording_time_limit`): what a WAV file and a disk can hold.
const LONGEST: Duration = Duration::from_secs(10_800);
/// What a ring holds: two seconds for a disk that thinks.
const PATIENCE: Duration = Duration::from_secs(2);
/// The rates of recordings.
const NARROW_HZ: u32 = 8000;
const WIDE_HZ: u32 = 16_000;
/// Frames of 20 ms.
const FRAMES_A_SECOND: usize = 50;
/// Samples of the longest of them.
const MOST_FRAME: usize = 320;
/// How often the recorder empties the rings.
const ROUND: Duration = Duration::from_millis(60);
/// How often the recorder looks at the free space.
const SPACE_EVERY: Duration = Duration::from_secs(1);
/// Recordings waiting to be made durable.
const FINISHING: usize = 1024;
