//! When the signalling thread is too late to take new calls, and when that is over (ARCHITECTURE.md, overload).

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Watches how late timers fire. One late timer (a page fault, a busy neighbour) is no overload; the average is.
#[derive(Debug)]
pub(super) struct Overload {
    limit: Duration,
    average: Cell<Duration>,
    until: Cell<Option<Instant>>,
}

impl Overload {
    /// Overloaded is whoever is later than `limit` on average.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            average: Cell::new(Duration::ZERO),
            until: Cell::new(None),
        }
    }

    /// A timer fired so late; the average when overload begins here.
    pub(super) fn begins(&self, now: Instant, late: Duration) -> Option<Duration> {
        let average = self.average.get().mul_f64(1.0 - SMOOTHING) + late.mul_f64(SMOOTHING);
        self.average.set(average);
        let begins = average > self.limit && self.until.replace(Some(now + RECOVERY)).is_none();
        begins.then_some(average)
    }

    /// Whether overload ends here. Must be asked when requests come too: a server that refuses everybody may have no
    /// timer left that would tell it that it has recovered.
    pub(super) fn ends(&self, now: Instant) -> bool {
        let over = self.until.get().is_some_and(|until| now >= until);
        if over {
            self.until.set(None);
            self.average.set(Duration::ZERO);
        }
        over
    }
}

/// How long new calls stay refused after the thread was late.
pub(super) const RECOVERY: Duration = Duration::from_secs(1);
/// Weight of the newest measurement in the average lag.
const SMOOTHING: f64 = 0.125;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overload_ends_a_second_after_the_last_late_timer_even_when_no_timer_fires_any_more() {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as the start"
        )]
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let overload = Overload::new(Duration::from_millis(50));
        let late = Duration::from_millis(300);
        assert_eq!(overload.begins(at(0), late), None, "once is never");
        assert!(overload.begins(at(10), late).is_some());
        assert_eq!(overload.begins(at(500), late), None, "it has begun already");
        assert!(!overload.ends(at(1499)));
        assert!(overload.ends(at(1500)));
        assert!(!overload.ends(at(1501)), "once");
        assert_eq!(
            overload.begins(at(1502), late),
            None,
            "the past is forgotten"
        );
    }
}
