//! `--digits`: keys to press, and pauses between them.

/// Why a list of keys was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--digits {text}: {part:?} is neither keys (0-9, *, #, A-D) nor wN, a pause of N half seconds"
)]
pub struct KeysError {
    /// The whole list.
    text: String,
    /// The part that does not fit.
    part: String,
}

/// The list as the media engine takes it: `1,w2,#` becomes `1ww#`, each `w` a pause of half a second.
///
/// # Errors
/// When a part is neither keys nor a pause of 1 to 120 half seconds.
pub fn parse(text: &str) -> Result<String, KeysError> {
    let mut keys = String::new();
    for part in text.split(',').map(str::trim) {
        let refused = || KeysError {
            text: text.to_owned(),
            part: part.to_owned(),
        };
        if let Some(count) = part.strip_prefix('w') {
            let count: usize = if count.is_empty() {
                1
            } else {
                count.parse().map_err(|_| refused())?
            };
            if !(1..=120).contains(&count) {
                return Err(refused());
            }
            keys.extend(std::iter::repeat_n('w', count));
        } else if !part.is_empty() && part.chars().all(|c| "0123456789*#ABCD".contains(c)) {
            keys.push_str(part);
        } else {
            return Err(refused());
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_pauses_are_put_together() {
        assert_eq!(parse("1,w2,#").unwrap(), "1ww#");
        assert_eq!(parse("1234, w, *").unwrap(), "1234w*");
    }

    #[test]
    fn anything_else_is_refused_by_its_part() {
        for (bad, part) in [("1,x", "x"), ("1,,2", ""), ("w999", "w999"), ("w0", "w0")] {
            assert_eq!(parse(bad).unwrap_err().part, part, "{bad}");
        }
    }
}
