//! What is stored of a job, and when it is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::time::UnixMicros;

/// Wait before the second attempt; doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait between attempts.
const LAST_RETRY: Duration = Duration::from_secs(600);

/// A job to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Which runner takes it.
    pub kind: &'static str,
    /// Account it is done for.
    pub account: String,
    /// Jobs of one lane are done one after the other, in the order they were stored. Usually leg and URL.
    pub lane: String,
    /// What the runner needs.
    pub payload: Value,
    /// How long it is worth trying.
    pub lifetime: Duration,
}

/// A stored job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// 32-hex id, the same in every attempt.
    pub id: String,
    /// Which runner takes it.
    pub kind: String,
    /// Account it is done for.
    pub account: String,
    /// See [`NewJob::lane`].
    pub lane: String,
    /// What the runner needs.
    pub payload: Value,
    /// When it was stored.
    pub created: UnixMicros,
    /// When it is given up.
    pub expires: UnixMicros,
    /// Attempts so far.
    pub attempts: u32,
    /// Not before this.
    pub due: UnixMicros,
    /// What the last attempt said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_error: String,
}

impl Job {
    /// The job after a failed attempt at `now`: due later, each time about twice as long.
    pub(super) fn postponed(mut self, now: UnixMicros, error: String) -> Job {
        let doubled =
            FIRST_RETRY.saturating_mul(1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX));
        self.attempts = self.attempts.saturating_add(1);
        self.due = now.plus(doubled.min(LAST_RETRY));
        self.last_error = error;
        self
    }
}
