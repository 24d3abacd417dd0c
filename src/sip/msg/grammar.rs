//! The smallest pieces of the SIP grammar (RFC 3261 §25): tokens, blanks, quoted strings, comma and semicolon lists.
//!
//! Everything works on unfolded text and gives back slices of it. Nothing here allocates except [`unquote`] when there
//! is something to unescape.

use std::borrow::Cow;

/// One bit a class for each ASCII byte.
const CLASS: [u8; 256] = classes();
/// `token` of RFC 3261 §25.1.
const TOKEN: u8 = 1;
/// Decimal digit.
const DIGIT: u8 = 2;
/// Letter, digit, `-`, `.` or `_`: what host names are made of in practice.
const HOST: u8 = 4;

#[cfg_attr(
    not(test),
    expect(clippy::indexing_slicing, reason = "evaluated by the compiler")
)]
const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let mut bits = 0;
        if byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
            )
        {
            bits |= TOKEN;
        }
        if byte.is_ascii_digit() {
            bits |= DIGIT;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            bits |= HOST;
        }
        table[at] = bits;
        at += 1;
    }
    table
}

fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Whether the byte may stand in a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    class(byte) & TOKEN != 0
}

/// Whether the text is a non-empty token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether the byte may stand in a host name.
pub(crate) fn is_host_byte(byte: u8) -> bool {
    class(byte) & HOST != 0
}

/// A blank inside an unfolded header value.
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// A control character, DEL included, HTAB not.
pub(crate) fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

/// The text without blanks at either end.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The text up to and from a byte offset; an offset beyond the end or inside a character gives everything and nothing.
pub(crate) fn split_at(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// The text from a byte offset on.
pub(crate) fn from(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or("")
}

/// A decimal number of at least one digit that fits; signs, blanks and overflow are refused.
pub(crate) fn decimal<T: TryFrom<u64>>(text: &str) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|b| class(b) & DIGIT != 0) {
        return None;
    }
    text.parse::<u64>().ok().and_then(|n| T::try_from(n).ok())
}

/// A decimal number of at least one digit; one too large for the type becomes the largest.
pub(crate) fn decimal_clamped(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| class(b) & DIGIT != 0) {
        return None;
    }
    Some(text.parse::<u32>().unwrap_or(u32::MAX))
}

/// A port, 1–65535.
pub(crate) fn port(text: &str) -> Option<u16> {
    decimal::<u16>(text).filter(|&p| p != 0)
}

/// Length of the quoted string the text begins with, both quotes included; `None` when it does not end.
pub(crate) fn quoted_len(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    if bytes.next()?.1 != b'"' {
        return None;
    }
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next()?;
            }
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The content of a quoted string with its escapes undone; text without quotes as it is.
pub(crate) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Writes text as a quoted string; CR, LF and NUL, which no header may carry, become blanks.
pub(crate) fn write_quoted(out: &mut dyn std::fmt::Write, text: &str) -> std::fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.write_char('\\')?;
                out.write_char(c)?;
            }
            '\r' | '\n' | '\0' => out.write_char(' ')?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// The elements of a comma list, trimmed; commas inside quotes and angle brackets do not count. A blank value has no
/// elements; an empty element between two commas is given as it is.
pub fn split_commas(value: &str) -> Commas<'_> {
    let value = trim(value);
    Commas {
        rest: (!value.is_empty()).then_some(value),
    }
}

/// The elements of a comma list.
#[derive(Debug, Clone)]
pub struct Commas<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for Commas<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.take()?;
        if memchr::memchr(b',', text.as_bytes()).is_none() {
            return Some(trim(text));
        }
        let mut quoted = false;
        let mut angle = false;
        let mut escaped = false;
        for (at, byte) in text.bytes().enumerate() {
            if escaped {
                escaped = false;
                continue;
            }
            match byte {
                b'\\' if quoted => escaped = true,
                b'"' if !angle => quoted = !quoted,
                b'<' if !quoted => angle = true,
                b'>' if !quoted => angle = false,
                b',' if !quoted && !angle => {
                    let (element, rest) = split_at(text, at);
                    self.rest = Some(from(rest, 1));
                    return Some(trim(element));
                }
                _ => {}
            }
        }
        Some(trim(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_angle_brackets_do_not_split() {
        let parts: Vec<_> = split_commas(r#""a, \", b" <sip:x,y@z>;q=1 , <sip:b> ,, c"#).collect();
        assert_eq!(parts, [r#""a, \", b" <sip:x,y@z>;q=1"#, "<sip:b>", "", "c"]);
        assert_eq!(split_commas("  ").count(), 0);
        assert_eq!(split_commas("a,").collect::<Vec<_>>(), ["a", ""]);
    }

    #[test]
    fn numbers_never_wrap() {
        assert_eq!(decimal::<u8>("255"), Some(255));
        assert_eq!(decimal::<u8>("256"), None);
        assert_eq!(decimal::<u32>("36893488147419103232"), None);
        assert_eq!(decimal::<u32>("-1"), None);
        assert_eq!(decimal::<u32>("+1"), None);
        assert_eq!(decimal::<u32>(""), None);
        assert_eq!(decimal_clamped("36893488147419103232"), Some(u32::MAX));
        assert_eq!(port("0"), None);
        assert_eq!(port("65535"), Some(65535));
        assert_eq!(port("65536"), None);
    }

    #[test]
    fn quoted_strings_come_back_unescaped() {
        assert_eq!(unquote(r#""a \"b\" \\""#), r#"a "b" \"#);
        assert_eq!(quoted_len(r#""a\"b" rest"#), Some(6));
        assert_eq!(quoted_len(r#""never ends"#), None);
        assert_eq!(quoted_len(r#""lone \"#), None);
        let mut out = String::new();
        write_quoted(&mut out, "a\"\\\r\n").unwrap();
        assert_eq!(out, "\"a\\\"\\\\  \"");
    }
}
