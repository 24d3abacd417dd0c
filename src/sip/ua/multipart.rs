//! Finds the session description in a multipart body (RFC 2046 §5.1, RFC 5621).

use bytes::Bytes;

use super::Body;
use super::capability::{is_optional, is_type};

/// The body cannot be used: no boundary, or a required part of a type we do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusable;

/// Most parts looked at.
const MAX_PARTS: usize = 16;

/// The `application/sdp` part; `None` when there is none and nothing else was required.
pub(super) fn session_part(content_type: &str, body: &Bytes) -> Result<Option<Body>, Unusable> {
    let boundary = boundary(content_type).ok_or(Unusable)?;
    let alternative = is_type(content_type, "multipart/alternative");
    let delimiter = format!("--{boundary}");
    let mut found = None;
    let mut rest = body.clone();
    // The preamble goes up to the first delimiter.
    let start = find_delimiter(&rest, delimiter.as_bytes()).ok_or(Unusable)?;
    rest = rest.slice(start.after..);
    for _ in 0..MAX_PARTS {
        let Some(end) = find_delimiter(&rest, delimiter.as_bytes()) else {
            return Err(Unusable);
        };
        let part = rest.slice(..end.before);
        match read_part(part) {
            Part::Session(part) if found.is_none() => found = Some(part),
            Part::Required if !alternative => return Err(Unusable),
            Part::Session(_) | Part::Required | Part::Optional => {}
        }
        if end.last {
            return Ok(found);
        }
        rest = rest.slice(end.after..);
    }
    Err(Unusable)
}

enum Part {
    Session(Body),
    /// `handling` is required where it is not given (RFC 3261 §20.11).
    Required,
    Optional,
}

fn read_part(part: Bytes) -> Part {
    let (head_end, body_start) = split_head(&part);
    let head = part
        .get(..head_end)
        .and_then(|h| std::str::from_utf8(h).ok())
        .unwrap_or_default();
    let header = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| value.trim())
        })
    };
    let content_type = header("Content-Type").unwrap_or("text/plain");
    if is_type(content_type, "application/sdp") {
        return Part::Session(Body {
            content_type: content_type.into(),
            bytes: part.slice(body_start..),
        });
    }
    if is_optional(header("Content-Disposition")) {
        Part::Optional
    } else {
        Part::Required
    }
}

/// Where the head of a part ends and where its body begins.
fn split_head(part: &[u8]) -> (usize, usize) {
    // A part may have no headers at all: then it begins with the empty line.
    if part.starts_with(b"\r\n") {
        return (0, 2);
    }
    match part.windows(4).position(|w| w == b"\r\n\r\n") {
        Some(at) => (at, at + 4),
        None => (part.len(), part.len()),
    }
}

struct Delimiter {
    before: usize,
    after: usize,
    last: bool,
}

/// The first delimiter line in `bytes`.
fn find_delimiter(bytes: &[u8], delimiter: &[u8]) -> Option<Delimiter> {
    let mut from = 0;
    loop {
        let tail = bytes.get(from..)?;
        let at = from + tail.windows(delimiter.len()).position(|w| w == delimiter)?;
        let line_start = at == 0 || bytes.get(..at).is_some_and(|b| b.ends_with(b"\n"));
        let after = bytes.get(at + delimiter.len()..)?;
        let last = after.starts_with(b"--");
        let line_end = after
            .iter()
            .position(|b| *b == b'\n')
            .map(|n| at + delimiter.len() + n + 1);
        let blank = after
            .iter()
            .take_while(|b| **b != b'\n')
            .all(|b| matches!(b, b' ' | b'\t' | b'\r'));
        if line_start && (last || (blank && line_end.is_some())) {
            let before = bytes.get(..at).map_or(0, |b| {
                b.strip_suffix(b"\r\n")
                    .map_or(at.saturating_sub(1), <[u8]>::len)
            });
            return Some(Delimiter {
                before,
                after: line_end.unwrap_or(bytes.len()),
                last,
            });
        }
        from = at + 1;
    }
}

fn boundary(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|param| {
        let (name, value) = param.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty() && value.len() <= 70)
            .then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/mixed; boundary=\"b1\"";

    fn part(body: &str) -> Result<Option<String>, Unusable> {
        let found = session_part(TYPE, &Bytes::copy_from_slice(body.as_bytes()))?;
        Ok(found.map(|b| String::from_utf8(b.bytes.to_vec()).unwrap()))
    }

    #[test]
    fn the_session_description_is_found_among_optional_parts() {
        let body = "preamble\r\n--b1\r\nContent-Type: text/plain\r\nContent-Disposition: render;handling=optional\r\n\r\n\
                    hello\r\n--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\ns=-\r\n--b1--\r\n";
        assert_eq!(part(body), Ok(Some("v=0\r\ns=-".into())));
    }

    #[test]
    fn a_required_part_of_unknown_type_is_unusable() {
        let body = "--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b1\r\nContent-Type: x/y\r\n\r\nz\r\n--b1--";
        assert_eq!(part(body), Err(Unusable));
    }

    #[test]
    fn broken_multiparts_are_unusable() {
        for body in [
            "",
            "--b1",
            "--b1\r\n",
            "--b1\r\nContent-Type: application/sdp\r\n\r\nv=0",
            "--b2--",
            "--b1--",
        ] {
            assert!(!matches!(part(body), Ok(Some(_))), "{body:?}");
        }
        assert_eq!(
            session_part("multipart/mixed", &Bytes::new()).map(|_| ()),
            Err(Unusable)
        );
    }
}
