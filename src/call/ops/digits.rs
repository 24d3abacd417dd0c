//! `send_digits`, `mute`, `flush_keys`: keys towards the caller, and keys forgotten.

use std::time::Duration;

use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::media::Command;

impl CallHandle {
    /// Sends keys to the caller and waits until they have been sent. `w` pauses 500 ms.
    ///
    /// # Errors
    /// When the call ends or has no media.
    pub async fn send_digits(&self, digits: &str, duration: Duration) -> Result<(), CallError> {
        self.open_media().await?;
        let op = self.next_op();
        let duration_ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        self.command(Command::SendDigits {
            op,
            digits: digits.to_owned(),
            duration_ms,
            gap_ms: GAP_MS,
        })?;
        let sending = Sending(self, op);
        self.wait(|state| {
            let at = state.finished.iter().position(|(done, _)| *done == op)?;
            state.finished.swap_remove(at);
            Some(())
        })
        .await?;
        std::mem::forget(sending);
        Ok(())
    }

    /// Stops or resumes sending audio to the caller.
    pub fn mute(&self, mute: bool) {
        if let Some(port) = &self.state().media.port {
            port.command(Command::Mute(mute));
        }
    }

    /// Forgets keys that were pressed and not used.
    pub fn flush_keys(&self) {
        self.state_mut().keys.clear();
    }
}

/// Cancels the sending when its future is dropped.
struct Sending<'a>(&'a CallHandle, crate::base::id::OpId);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.cancel(self.1);
    }
}

/// Silence between two keys.
const GAP_MS: u32 = 50;
