//! How often something may be done in a minute, by its id: `throttle` of a click-to-call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The stretch that counts.
const MINUTE: Duration = Duration::from_secs(60);

/// When things were done lately.
#[derive(Default)]
pub(super) struct Throttles(Mutex<BTreeMap<String, VecDeque<Instant>>>);

impl Throttles {
    /// Whether `id` may be done once more; it counts then.
    pub(super) fn take(&self, id: &str, most: u64, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |at: &Instant| now.saturating_duration_since(*at) < MINUTE;
        all.retain(|_, times| times.back().is_some_and(recent));
        let times = all.entry(id.to_owned()).or_default();
        while times.front().is_some_and(|at| !recent(at)) {
            times.pop_front();
        }
        let may = (times.len() as u64) < most;
        if may {
            times.push_back(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_minute_and_no_more() {
        let throttles = Throttles::default();
        let start = crate::host::clock::now();
        assert!(throttles.take("a", 2, start));
        assert!(throttles.take("a", 2, start + Duration::from_secs(30)));
        assert!(!throttles.take("a", 2, start + Duration::from_secs(59)));
        assert!(throttles.take("b", 2, start + Duration::from_secs(59)));
        assert!(throttles.take("a", 2, start + Duration::from_secs(61)));
    }
}
