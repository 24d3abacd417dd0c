//! Which key presses count when a phone sends them more than one way (sip.md §11): telephone-events before INFO before
//! tones in the audio, and no press twice.

use std::time::{Duration, Instant};

/// A way keys arrive; later ones are believed over earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// A tone in the audio.
    Inband,
    /// A SIP INFO request.
    Info,
    /// A telephone-event.
    Event,
}

impl Way {
    /// Its name in the call's trace.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Inband => "inband",
            Self::Info => "info",
            Self::Event => "event",
        }
    }
}

/// What a call knows of its caller's way to press keys.
#[derive(Debug, Default)]
pub(super) struct Presses {
    last: Option<(Way, char, Instant)>,
}

impl Presses {
    /// Whether a press counts. Once keys come a better way, worse ones are echoes of them; the first that comes the
    /// better way may itself be one that was counted a moment before.
    pub(super) fn counts(&mut self, now: Instant, key: char, way: Way) -> bool {
        let Some((best, last, at)) = self.last else {
            self.last = Some((way, key, now));
            return true;
        };
        if way < best {
            return false;
        }
        let echo = way > best && key == last && now.saturating_duration_since(at) < ECHO;
        self.last = Some((way, key, now));
        !echo
    }
}

/// The same press arrives the slower way within this time.
const ECHO: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(presses: &[(u64, char, Way)]) -> String {
        let (mut known, begin) = (Presses::default(), crate::host::clock::now());
        let at = |ms: &u64| begin + Duration::from_millis(*ms);
        presses
            .iter()
            .filter(|(ms, key, way)| known.counts(at(ms), *key, *way))
            .map(|(_, key, _)| *key)
            .collect()
    }

    #[test]
    fn one_way_counts_every_press() {
        assert_eq!(
            counted(&[
                (0, '1', Way::Info),
                (100, '1', Way::Info),
                (200, '2', Way::Info)
            ]),
            "112"
        );
    }

    #[test]
    fn a_press_that_comes_two_ways_counts_once() {
        let both = [
            (0, '1', Way::Inband),
            (80, '1', Way::Info),
            (500, '1', Way::Info),
            (560, '1', Way::Inband),
            (900, '2', Way::Event),
            (910, '2', Way::Info),
        ];
        assert_eq!(counted(&both), "112");
    }

    #[test]
    fn a_later_press_of_the_same_key_the_better_way_counts() {
        assert_eq!(
            counted(&[(0, '1', Way::Info), (1500, '1', Way::Event)]),
            "11"
        );
    }
}
