//! `collect`: digits from the caller, with or without a prompt that the first digit stops (callflow.md §3.3).

use std::time::Duration;

use super::play::PlayOptions;
use crate::base::keys::Keys;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::clips::Audio;
use crate::journal::Fact;

/// How to collect.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// Collection ends with this many digits.
    pub max_digits: usize,
    /// Longest wait for the first digit, counted from the end of the prompt.
    pub timeout: Duration,
    /// Longest wait for each further digit.
    pub interdigit: Duration,
    /// `timeout` is for all digits together, from the end of the prompt or the first digit; `interdigit` is not used.
    pub total: bool,
    /// Keys that end the collection and are not part of it.
    pub terminators: Keys,
    /// Digits that count as collected already.
    pub typed_ahead: String,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            max_digits: usize::MAX,
            timeout: Duration::from_millis(5000),
            interdigit: Duration::from_millis(2000),
            total: false,
            terminators: Keys::parse("#"),
            typed_ahead: String::new(),
        }
    }
}

/// Why a collection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectEnd {
    /// `max_digits` were there.
    Max,
    /// That key ended it.
    Terminator(char),
    /// No (further) digit came in time.
    Timeout,
}

/// What was collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The digits, without the terminator; may be empty.
    pub digits: String,
    /// Why it ended.
    pub why: CollectEnd,
}

impl CallHandle {
    /// Collects digits. While the prompt plays there is no timeout; the first digit stops it and all that is queued.
    ///
    /// # Errors
    /// When the call ends, or the prompt cannot be had.
    pub async fn collect(
        &self,
        prompt: Vec<Audio>,
        options: CollectOptions,
    ) -> Result<Collected, CallError> {
        let mut digits = options.typed_ahead.clone();
        if digits.len() >= options.max_digits {
            return Ok(Collected {
                digits,
                why: CollectEnd::Max,
            });
        }
        if !prompt.is_empty() && digits.is_empty() {
            let quiet = PlayOptions {
                terminators: Keys::NONE,
                keep_keys: true,
                ..PlayOptions::default()
            };
            tokio::select! {
                biased;
                pressed = self.wait(|state| (!state.keys.is_empty()).then_some(())) => pressed?,
                played = self.play(prompt, quiet) => { played?; }
            }
        }
        let begun = tokio::time::Instant::now();
        loop {
            let wait = if options.total {
                options.timeout.saturating_sub(begun.elapsed())
            } else if digits.is_empty() {
                options.timeout
            } else {
                options.interdigit
            };
            let key =
                match tokio::time::timeout(wait, self.wait(|state| state.keys.pop_front())).await {
                    Ok(key) => key?,
                    Err(_late) => return Ok(self.collected(digits, CollectEnd::Timeout)),
                };
            if options.terminators.contains(key) {
                return Ok(self.collected(digits, CollectEnd::Terminator(key)));
            }
            digits.push(key);
            if digits.len() >= options.max_digits {
                return Ok(self.collected(digits, CollectEnd::Max));
            }
        }
    }

    /// Waits until a key is pressed that nobody has taken, and leaves it there.
    ///
    /// # Errors
    /// When the call ends.
    pub async fn key_pressed(&self) -> Result<(), CallError> {
        self.wait(|state| (!state.keys.is_empty()).then_some(()))
            .await
    }

    fn collected(&self, digits: String, why: CollectEnd) -> Collected {
        self.note(|call_id, at| Fact::Collected {
            call_id,
            at,
            count: digits.len(),
            why: why.word(),
        });
        Collected { digits, why }
    }
}

impl CollectEnd {
    /// One word for the trace.
    pub fn word(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Terminator(_) => "terminator",
            Self::Timeout => "timeout",
        }
    }
}
