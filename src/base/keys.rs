//! A set of telephone keys.

use std::fmt;

/// Any subset of `0`–`9`, `*`, `#`, `A`–`D`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Keys(u16);

const ORDER: &str = "0123456789*#ABCD";

impl Keys {
    /// No key.
    pub const NONE: Keys = Keys(0);
    /// The twelve keys of a telephone: KAZOO's default terminators.
    pub const ALL: Keys = Keys(0x0FFF);

    /// All sixteen, the letters too.
    pub const EVERY: Keys = Keys(0xFFFF);

    /// The keys named in `text`; other characters are passed over.
    pub fn parse(text: &str) -> Self {
        text.chars()
            .filter_map(Self::bit)
            .fold(Self::NONE, |keys, bit| Keys(keys.0 | bit))
    }

    /// Whether `key` is in the set.
    pub fn contains(self, key: char) -> bool {
        Self::bit(key).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `key` exists on a telephone.
    pub fn is_key(key: char) -> bool {
        Self::bit(key).is_some()
    }

    fn bit(key: char) -> Option<u16> {
        ORDER.find(key.to_ascii_uppercase()).map(|at| 1 << at)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Keys({})",
            ORDER
                .chars()
                .filter(|key| self.contains(*key))
                .collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_named() {
        let keys = Keys::parse("1#x");
        assert!(keys.contains('1') && keys.contains('#') && !keys.contains('2'));
        assert_eq!(format!("{keys:?}"), "Keys(1#)");
    }

    #[test]
    fn the_default_terminators_are_the_twelve_keys() {
        assert_eq!(Keys::ALL, Keys::parse("1234567890*#"));
        assert!(!Keys::ALL.contains('A'));
    }
}
