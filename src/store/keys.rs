//! How keys are laid out: parts joined by a zero byte, numbers as fixed-width decimal so that they sort by value.

use crate::base::time::UnixMicros;

/// Joins parts. A zero byte inside a part (possible in outside text only) is replaced, so that no part can pass for
/// two.
pub fn join(parts: &[&str]) -> Vec<u8> {
    let mut key = Vec::with_capacity(parts.iter().map(|p| p.len() + 1).sum());
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            key.push(0);
        }
        key.extend(part.bytes().map(|b| if b == 0 { 1 } else { b }));
    }
    key
}

/// The prefix of every key that begins with these whole parts.
pub fn prefix(parts: &[&str]) -> Vec<u8> {
    let mut key = join(parts);
    key.push(0);
    key
}

/// The parts of a key; parts that are not text come out with replacement characters.
pub fn parts(key: &[u8]) -> Vec<String> {
    key.split(|b| *b == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// A time as a part that sorts by value.
pub fn time(at: UnixMicros) -> String {
    format!("{:020}", at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_go_in_and_come_out() {
        assert_eq!(parts(&join(&["a", "b\u{e9}", ""])), ["a", "b\u{e9}", ""]);
        assert_eq!(parts(&join(&["a\0b"])), ["a\u{1}b"]);
    }

    #[test]
    fn a_prefix_does_not_match_a_longer_part() {
        assert!(join(&["ab", "c"]).starts_with(&prefix(&["ab"])));
        assert!(!join(&["abc", "c"]).starts_with(&prefix(&["ab"])));
    }

    #[test]
    fn times_sort_by_value() {
        assert!(time(UnixMicros(9)) < time(UnixMicros(10)));
    }
}
