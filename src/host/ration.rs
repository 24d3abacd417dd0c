//! Words that would be said a thousand times a second are said once in a while, with how often they were meant.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one through in so long, and counts the others.
pub struct Ration {
    every: Duration,
    /// When the last went through, and how many since. Held for a look.
    last: Mutex<(Option<Instant>, u64)>,
}

impl Ration {
    /// One in so long.
    pub const fn every(every: Duration) -> Self {
        Self {
            every,
            last: Mutex::new((None, 0)),
        }
    }

    /// Whether this one goes through, and for how many it stands.
    pub fn take(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.1 = last.1.saturating_add(1);
        let early = |at: Instant| now.saturating_duration_since(at) < self.every;
        if last.0.is_some_and(early) {
            return None;
        }
        last.0 = Some(now);
        Some(std::mem::take(&mut last.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock;

    #[test]
    fn one_goes_through_at_a_time_and_stands_for_those_before_it() {
        let (ration, now) = (Ration::every(Duration::from_secs(5)), clock::now());
        assert_eq!(ration.take(now), Some(1));
        assert_eq!(ration.take(now + Duration::from_secs(1)), None);
        assert_eq!(ration.take(now + Duration::from_secs(4)), None);
        assert_eq!(ration.take(now + Duration::from_secs(5)), Some(3));
        assert_eq!(ration.take(now + Duration::from_secs(50)), Some(1));
    }
}
