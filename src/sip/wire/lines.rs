//! Cuts bytes into lines and header fields. The stream framer and the parser both read by this file, so that there is
//! never a second opinion about where a message ends.

use std::ops::Range;

use memchr::memchr;

/// One header field: where its name and its value are. The value may still be folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name, blanks before the colon dropped.
    pub(crate) name: Range<usize>,
    /// The value, blanks around it dropped.
    pub(crate) value: Range<usize>,
    /// Bytes from the first of the name to the last of the value's last line, line end not counted.
    pub(crate) length: usize,
    /// Whether the value spans several lines.
    pub(crate) folded: bool,
    /// Whether there is a name, made of token characters, and a colon.
    pub(crate) well_formed: bool,
}

/// How many bytes of line ends stand at the front.
pub(crate) fn leading_line_ends(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|&&b| b == b'\r' || b == b'\n')
        .count()
}

/// The end of the line that begins at `from`: where its text ends, and where the next line begins. `None` when there is
/// no line end yet. LF alone ends a line as CRLF does.
pub(crate) fn line(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    line_from(bytes, from, from)
}

/// The same for a line that is known to have no end before `scanned`.
fn line_from(bytes: &[u8], from: usize, scanned: usize) -> Option<(usize, usize)> {
    let at = scanned + memchr(b'\n', bytes.get(scanned..)?)?;
    let text_end = if at > from && bytes.get(at - 1) == Some(&b'\r') {
        at - 1
    } else {
        at
    };
    Some((text_end, at + 1))
}

/// How far the search for the end of the headers has come, so that bytes that drip in are looked at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Where the line begins whose end has not come yet.
    pub(crate) line: usize,
    /// Up to where that line is known to have no end.
    scanned: usize,
}

/// Where the body begins when the empty line after the headers is there; `progress` tells where to go on otherwise.
pub(crate) fn end_of_headers(bytes: &[u8], progress: &mut Progress) -> Option<usize> {
    loop {
        let start = progress.line;
        let Some((text_end, next)) = line_from(bytes, start, progress.scanned) else {
            progress.scanned = bytes.len();
            return None;
        };
        if text_end == start && start != 0 {
            return Some(next);
        }
        *progress = Progress {
            line: next,
            scanned: next,
        };
    }
}

/// Walks the header fields from `at` to the empty line or the end of the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: End,
}

/// How the headers ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Not yet.
    Open,
    /// By an empty line; the body begins here.
    Body(usize),
    /// The bytes ended behind a complete line.
    Bytes,
    /// The bytes ended inside a line.
    Cut,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            end: End::Open,
        }
    }

    /// How the headers ended; meaningful once the iterator is exhausted.
    pub(crate) fn end(&self) -> End {
        self.end
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        if self.end != End::Open {
            return None;
        }
        let start = self.at;
        if start >= self.bytes.len() {
            self.end = End::Bytes;
            return None;
        }
        let Some((mut text_end, mut next)) = line(self.bytes, start) else {
            self.end = End::Cut;
            return None;
        };
        if text_end == start {
            self.end = End::Body(next);
            return None;
        }
        let mut folded = false;
        while matches!(self.bytes.get(next), Some(b' ' | b'\t')) {
            let Some((fold_end, after)) = line(self.bytes, next) else {
                self.end = End::Cut;
                return None;
            };
            folded = true;
            text_end = fold_end;
            next = after;
        }
        self.at = next;
        Some(field(self.bytes, start, text_end, folded))
    }
}

fn field(bytes: &[u8], start: usize, text_end: usize, folded: bool) -> Field {
    let text = bytes.get(start..text_end).unwrap_or_default();
    let length = text.len();
    let Some(colon) = memchr(b':', text) else {
        return Field {
            name: start..start,
            value: start..start,
            length,
            folded,
            well_formed: false,
        };
    };
    let mut name_end = start + colon;
    while name_end > start && matches!(bytes.get(name_end - 1), Some(b' ' | b'\t')) {
        name_end -= 1;
    }
    let name = bytes.get(start..name_end).unwrap_or_default();
    let well_formed = !name.is_empty()
        && name
            .iter()
            .all(|&b| crate::sip::msg::grammar::is_token_byte(b));
    let is_space = |at: usize| matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n'));
    let mut from = start + colon + 1;
    while from < text_end && is_space(from) {
        from += 1;
    }
    let mut to = text_end;
    while to > from && is_space(to - 1) {
        to -= 1;
    }
    Field {
        name: start..name_end,
        value: from..to,
        length,
        folded,
        well_formed,
    }
}

/// The value of a folded header on one line: each fold with the blanks around it is one space (RFC 3261 §7.3.1).
pub(crate) fn unfold(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let line_end = byte == b'\n' || (byte == b'\r' && bytes.peek() == Some(&b'\n'));
        if !line_end {
            out.push(byte);
            continue;
        }
        while out.last().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            out.pop();
        }
        while bytes
            .peek()
            .is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n'))
            || (bytes.peek() == Some(&b'\r'))
        {
            bytes.next();
        }
        out.push(b' ');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> (Vec<(String, String, bool)>, End) {
        let mut fields = Fields::new(text.as_bytes(), 0);
        let mut out = Vec::new();
        for f in fields.by_ref() {
            let value = text.as_bytes().get(f.value.clone()).unwrap();
            let value = if f.folded {
                unfold(value)
            } else {
                value.to_vec()
            };
            out.push((
                text[f.name.clone()].to_string(),
                String::from_utf8(value).unwrap(),
                f.well_formed,
            ));
        }
        (out, fields.end())
    }

    #[test]
    fn fields_are_trimmed_and_unfolded() {
        let (got, end) = fields("A : 1 \r\nB:\r\n 2\r\n\t 3  \r\nC:\n 4\nD:\r\n\r\nbody");
        let want = [("A", "1"), ("B", "2 3"), ("C", "4"), ("D", "")];
        assert_eq!(got, want.map(|(n, v)| (n.to_string(), v.to_string(), true)));
        assert_eq!(end, End::Body(35));
    }

    #[test]
    fn names_that_are_no_tokens_are_marked() {
        for bad in [
            "no colon\r\n",
            ": empty\r\n",
            "a b: c\r\n",
            "a\u{1}: b\r\n",
            "a\r: b\r\n",
            "\u{e4}: b\r\n",
            "a\0: b\r\n",
        ] {
            assert!(!fields(bad).0[0].2, "{bad:?}");
        }
        assert!(fields("a\t : b\r\n").0[0].2);
    }

    #[test]
    fn the_end_of_the_headers_is_told_apart() {
        assert_eq!(fields("A: 1\r\n").1, End::Bytes);
        assert_eq!(fields("A: 1").1, End::Cut);
        assert_eq!(fields("A: 1\r\n x").1, End::Cut);
        assert_eq!(fields("A: 1\n\nb").1, End::Body(6));
    }

    #[test]
    fn the_empty_line_is_found_however_the_bytes_arrive() {
        let text = b"OPTIONS sip:a SIP/2.0\r\nA: 1\r\n\r\nbody";
        for cut in 0..text.len() {
            let mut progress = Progress::default();
            let first = end_of_headers(&text[..cut], &mut progress);
            let found = first.or_else(|| end_of_headers(text, &mut progress));
            assert_eq!(found, Some(31), "cut at {cut}");
        }
    }
}
