//! When somebody begins to speak and when he has finished, by the level of the sound over the noise of the line: what
//! decides which sound a recogniser is given.

use std::collections::VecDeque;
use std::time::Duration;

use super::level::level_dbov;

/// How long is waited for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the first word, from [`Speaking::arm`] on.
    pub first: Duration,
    /// For the next word; silence of that length ends the speech.
    pub next: Duration,
    /// For all of it.
    pub most: Duration,
}

/// What a frame has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Same,
    /// Somebody has begun to speak.
    Began,
    /// He has finished, or has spoken for as long as he may.
    Finished,
    /// Nobody has spoken in time.
    Nobody,
}

/// Listens to frames of 20 ms at 8 kHz, and keeps what was said.
#[derive(Debug)]
pub struct Speaking {
    patience: Patience,
    /// Levels of the last frames; the lowest is the noise of the line.
    levels: VecDeque<f32>,
    /// Frames with sound, less those without, not below zero.
    score: u32,
    state: State,
    /// What was said, and a moment before it.
    pcm: VecDeque<i16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was said; so many frames since the wait began, if it has.
    Waiting(Option<u32>),
    /// So many frames since the beginning, and since the last sound.
    Speaking {
        since: u32,
        quiet: u32,
    },
    Over,
}

impl Speaking {
    /// Nothing was heard yet. Waiting for the first word begins with [`arm`](Self::arm).
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            levels: VecDeque::with_capacity(WINDOW),
            score: 0,
            state: State::Waiting(None),
            pcm: VecDeque::new(),
        }
    }

    /// The time for the first word begins: the prompt has ended.
    pub fn arm(&mut self) {
        if self.state == State::Waiting(None) {
            self.state = State::Waiting(Some(0));
        }
    }

    /// Takes a frame.
    pub fn push(&mut self, frame: &[i16]) -> Heard {
        let loud = self.is_loud(level_dbov(frame));
        if self.state != State::Over {
            self.pcm.extend(frame);
        }
        match &mut self.state {
            State::Waiting(waited) => {
                if let Some(waited) = waited {
                    *waited += 1;
                }
                let waited = *waited;
                self.score = if loud {
                    self.score + 1
                } else {
                    self.score.saturating_sub(1)
                };
                if self.score >= BEGIN {
                    self.state = State::Speaking { since: 0, quiet: 0 };
                    return Heard::Began;
                }
                let excess = self.pcm.len().saturating_sub(BEFORE);
                self.pcm.drain(..excess);
                // A word that has just begun is waited for.
                if self.score == 0 && waited.is_some_and(|w| time(w) >= self.patience.first) {
                    self.state = State::Over;
                    return Heard::Nobody;
                }
                Heard::Same
            }
            State::Speaking { since, quiet } => {
                *since += 1;
                *quiet = if loud { 0 } else { *quiet + 1 };
                if time(*quiet) >= self.patience.next || time(*since) >= self.patience.most {
                    self.state = State::Over;
                    return Heard::Finished;
                }
                Heard::Same
            }
            State::Over => Heard::Same,
        }
    }

    /// Whether somebody is speaking.
    pub fn is_speaking(&self) -> bool {
        matches!(self.state, State::Speaking { .. })
    }

    /// What was said so far, at 8 kHz.
    pub fn pcm(&self) -> Vec<i16> {
        self.pcm.iter().copied().collect()
    }

    /// Whether there is more than noise in a frame of that level.
    fn is_loud(&mut self, level_dbov: f32) -> bool {
        if self.levels.len() == WINDOW {
            self.levels.pop_front();
        }
        self.levels.push_back(level_dbov);
        let floor = self
            .levels
            .iter()
            .copied()
            .fold(LOUDEST_NOISE_DBOV, f32::min);
        level_dbov > (floor + OVER_NOISE_DB).max(FAINTEST_DBOV)
    }
}

fn time(frames: u32) -> Duration {
    Duration::from_millis(u64::from(frames) * 20)
}

/// The noise of the line is the quietest frame of two seconds: speech has pauses.
const WINDOW: usize = 100;
/// Speech is so much above the noise.
const OVER_NOISE_DB: f32 = 9.0;
/// A louder noise than this is no noise.
const LOUDEST_NOISE_DBOV: f32 = -38.0;
/// Nothing fainter is speech.
const FAINTEST_DBOV: f32 = -48.0;
/// So many frames of sound are a beginning, and no click.
const BEGIN: u32 = 5;
/// Samples kept from before the beginning: 400 ms, for a soft first sound.
const BEFORE: usize = 3200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const PATIENCE: Patience = Patience {
        first: Duration::from_secs(5),
        next: Duration::from_secs(1),
        most: Duration::from_secs(10),
    };

    fn noise(rng: &mut Rng, amplitude: f64) -> Vec<i16> {
        (0..160)
            .map(|_| ((rng.unit() * 2.0 - 1.0) * amplitude) as i16)
            .collect()
    }

    /// The frames, counted from 1, at which something happened. Each part: amplitude, frames.
    fn run(patience: Patience, parts: &[(f64, usize)]) -> (Vec<(usize, Heard)>, usize) {
        let (mut rng, mut speaking) = (Rng::seeded(5), Speaking::new(patience));
        speaking.arm();
        let mut seen = Vec::new();
        let mut n = 0;
        for (amplitude, frames) in parts {
            for _ in 0..*frames {
                n += 1;
                let heard = speaking.push(&noise(&mut rng, *amplitude));
                if heard != Heard::Same {
                    seen.push((n, heard));
                }
            }
        }
        (seen, speaking.pcm().len())
    }

    #[test]
    fn speech_begins_after_100_ms_and_ends_with_its_silence() {
        let (seen, samples) = run(PATIENCE, &[(40.0, 100), (4000.0, 50), (40.0, 100)]);
        assert_eq!(seen, [(105, Heard::Began), (200, Heard::Finished)]);
        assert_eq!(
            samples,
            (20 + 1 + 200 - 105) * 160,
            "400 ms before the decision are kept"
        );
    }

    #[test]
    fn pauses_between_words_do_not_end_it() {
        let words = [
            (40.0, 20),
            (4000.0, 30),
            (40.0, 40),
            (4000.0, 30),
            (40.0, 60),
        ];
        let (seen, _) = run(PATIENCE, &words);
        assert_eq!(seen, [(25, Heard::Began), (170, Heard::Finished)]);
    }

    #[test]
    fn nobody_speaks_on_a_quiet_line_nor_on_a_noisy_one() {
        for amplitude in [0.0, 40.0, 400.0] {
            let (seen, _) = run(PATIENCE, &[(amplitude, 300)]);
            assert_eq!(seen, [(250, Heard::Nobody)], "{amplitude}");
        }
    }

    #[test]
    fn a_click_is_no_word() {
        let (seen, _) = run(PATIENCE, &[(40.0, 20), (9000.0, 3), (40.0, 300)]);
        assert_eq!(seen, [(250, Heard::Nobody)]);
    }

    #[test]
    fn somebody_who_speaks_at_once_and_without_end_is_cut_off() {
        let (seen, _) = run(PATIENCE, &[(6000.0, 700)]);
        assert_eq!(seen, [(5, Heard::Began), (505, Heard::Finished)]);
    }

    #[test]
    fn without_arming_there_is_no_limit_for_the_first_word() {
        let (mut rng, mut speaking) = (Rng::seeded(5), Speaking::new(PATIENCE));
        assert!((0..2000).all(|_| speaking.push(&noise(&mut rng, 40.0)) == Heard::Same));
        assert!(!speaking.is_speaking());
    }
}
