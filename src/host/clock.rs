//! The only place that asks what time it is. Pure rooms take the time as an argument.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::time::UnixMicros;

/// The monotonic time. Inside a paused tokio runtime this is the simulated time.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall-clock time: the process's start plus the monotonic time since, so that it never runs backwards and
/// follows simulated time. Re-anchored at each process start only.
pub fn unix_now() -> UnixMicros {
    static ANCHOR: OnceLock<(Instant, u64)> = OnceLock::new();
    let (anchor, unix) = ANCHOR.get_or_init(|| {
        let micros = SYSTEM_NOW()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(0));
        (now(), micros)
    });
    let since = now().saturating_duration_since(*anchor);
    UnixMicros(unix.saturating_add(u64::try_from(since.as_micros()).unwrap_or(u64::MAX)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this file is the one door to the machine's clock"
)]
const SYSTEM_NOW: fn() -> SystemTime = SystemTime::now;
