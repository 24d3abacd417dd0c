//! Identifiers.

use super::rng::Rng;

/// Names one operation of a leg (a play, a collect, a recording …). Unique within the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// Names one media port. Unique within the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(pub u64);

/// A fresh document id: 32 lower-case hexadecimal characters, as KAZOO's.
pub fn document_id(rng: &mut Rng) -> String {
    rng.hex(16)
}

/// Whether `text` has the shape of a document id (32 lower-case hexadecimal characters).
pub fn is_document_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether `text` may name a file or a media document: `[A-Za-z0-9_-]{1,64}`.
pub fn is_safe_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_ids_have_kazoos_shape() {
        let id = document_id(&mut Rng::seeded(1));
        assert!(is_document_id(&id), "{id}");
        assert!(!is_document_id("ABCDEF"));
    }

    #[test]
    fn traversal_is_not_a_safe_name() {
        for bad in ["", "../x", "a/b", "a.b", "a\0", &"x".repeat(65)] {
            assert!(!is_safe_name(bad), "{bad:?}");
        }
        assert!(is_safe_name("en-us_Prompt1"));
    }
}
