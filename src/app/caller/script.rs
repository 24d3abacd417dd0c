//! `--digits`: what to do in a call that is up, step by step.

use std::time::Duration;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Press these keys.
    Keys(String),
    /// Wait so long.
    Wait(Duration),
    /// Put the other side on hold.
    Hold,
    /// Take it back.
    Unhold,
    /// Hand the call on to `--transfer`.
    Transfer,
    /// Hang up.
    Hangup,
}

/// Why a script was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--digits {text}: {part:?} is none of keys (0-9, *, #, A-D), wN (a pause of N half seconds), hold, unhold, transfer, hangup"
)]
pub struct ScriptError {
    /// The whole script.
    text: String,
    /// The part that does not fit.
    part: String,
}

/// Reads `1,w2,hold,w6,unhold,#`.
///
/// # Errors
/// When a part is neither keys, nor a pause of 1 to 1200 half seconds, nor a word of the list.
pub fn parse(text: &str) -> Result<Vec<Step>, ScriptError> {
    let steps = text.split(',').map(str::trim).map(|part| {
        step(part).ok_or_else(|| ScriptError {
            text: text.to_owned(),
            part: part.to_owned(),
        })
    });
    steps.collect()
}

fn step(part: &str) -> Option<Step> {
    match part {
        "hold" => return Some(Step::Hold),
        "unhold" => return Some(Step::Unhold),
        "transfer" => return Some(Step::Transfer),
        "hangup" => return Some(Step::Hangup),
        _ => {}
    }
    if let Some(count) = part.strip_prefix('w') {
        let count: u64 = if count.is_empty() {
            1
        } else {
            count.parse().ok()?
        };
        return (1..=1200)
            .contains(&count)
            .then(|| Step::Wait(Duration::from_millis(500 * count)));
    }
    let keys = !part.is_empty() && part.chars().all(|c| "0123456789*#ABCD".contains(c));
    keys.then(|| Step::Keys(part.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_pauses_and_words_are_steps_in_their_order() {
        let second = Duration::from_secs(1);
        assert_eq!(
            parse("12, w2,hold,w,unhold,transfer,hangup").unwrap(),
            [
                Step::Keys("12".into()),
                Step::Wait(second),
                Step::Hold,
                Step::Wait(second / 2),
                Step::Unhold,
                Step::Transfer,
                Step::Hangup,
            ]
        );
    }

    #[test]
    fn anything_else_is_refused_by_its_part() {
        for (bad, part) in [
            ("1,x", "x"),
            ("1,,2", ""),
            ("w9999", "w9999"),
            ("w0", "w0"),
            ("1,Hold", "Hold"),
        ] {
            assert_eq!(parse(bad).unwrap_err().part, part, "{bad}");
        }
    }
}
