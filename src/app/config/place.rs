//! Which line of a TOML text a dotted key stands on, so that a broken rule can point at it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line, from 1, of the deepest part of `key` that is in `text`.
pub(super) fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut found = None;
    for part in key.split('.') {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else {
            break;
        };
        found = Some(name.span().start);
        match Spanned::get_ref(value) {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found.map(|offset| line_at(text, offset))
}

/// The line, from 1, of a byte offset.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_key_is_found_on_its_line() {
        let text = "data_dir = \"x\"\n\n[log]\n# words\nlevel = \"info\"\n";
        assert_eq!(line_of_key(text, "log.level"), Some(5));
        assert_eq!(line_of_key(text, "log.format"), Some(3));
        assert_eq!(line_of_key(text, "sip.listen"), None);
    }
}
