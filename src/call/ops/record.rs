//! `record`: the caller alone into a file, until a key, silence, a limit or the hang-up.

use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use crate::base::id::OpId;
use crate::base::keys::Keys;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::media::{Command, RecordEnd, RecordSpec, Sides};

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
            sides: Sides::Peer,
        };
        self.command(Command::Record { op, spec })?;
        self.state_mut().recording.push(op);
        let recording = Recording(self, op);
        let arrival = std::future::poll_fn(|context| {
            let mut state = self.state_mut();
            // Keys pressed meanwhile belong to the recording; the one that ended it is reported with it.
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
        Ok(Recorded { path, length, why })
    }
}

/// Stops the recording when its future is dropped; the file is kept.
struct Recording<'a>(&'a CallHandle, OpId);

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if let Some(port) = &self.0.state().media.port {
            port.command(Command::StopRecord(self.1));
        }
    }
}
