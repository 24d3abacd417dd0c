//! A link between two addresses under simulated time: loss, delay, jitter, duplication, by a seeded generator.

use std::time::Duration;

use swivel::base::rng::Rng;

/// How a link treats what it carries.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Share of packets that never arrive, 0.0–1.0.
    pub loss: f64,
    /// Share of packets that arrive twice.
    pub duplicates: f64,
    /// Time under way.
    pub delay: Duration,
    /// Up to so much more, so that packets overtake each other.
    pub jitter: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            loss: 0.0,
            duplicates: 0.0,
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
        }
    }
}

impl Link {
    /// When copies of a packet arrive, counted from now; empty when it is lost.
    pub fn carry(&self, rng: &mut Rng) -> Vec<Duration> {
        let copies = if rng.unit() < self.loss {
            0
        } else if rng.unit() < self.duplicates {
            2
        } else {
            1
        };
        let jitter = u64::try_from(self.jitter.as_micros()).unwrap_or(0);
        (0..copies)
            .map(|_| self.delay + Duration::from_micros(rng.below(jitter + 1)))
            .collect()
    }
}
