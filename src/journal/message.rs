//! SIP messages as text, for who reads them afterwards: whatever is there, nothing is refused, nothing is copied.

/// A message, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a> {
    /// Method of a request; empty of a response.
    pub(super) method: &'a str,
    /// Status as written, of a response.
    pub(super) status: Option<&'a str>,
    /// Reason phrase of a response.
    pub(super) phrase: &'a str,
    lines: &'a str,
    pub(super) body: &'a str,
}

impl<'a> Text<'a> {
    pub(super) fn of(message: &'a str) -> Self {
        let (head, body) = message
            .split_once("\r\n\r\n")
            .or_else(|| message.split_once("\n\n"))
            .unwrap_or((message, ""));
        let (first, lines) = head.split_once('\n').unwrap_or((head, ""));
        let first = first.trim_end();
        let response = first.strip_prefix("SIP/2.0 ");
        let (status, phrase) =
            response.map_or(("", ""), |rest| rest.split_once(' ').unwrap_or((rest, "")));
        Self {
            method: match response {
                Some(_) => "",
                None => first.split(' ').next().unwrap_or_default(),
            },
            status: response.map(|_| status),
            phrase: phrase.trim(),
            lines,
            body,
        }
    }

    /// Its headers in order. A line that continues the one before has no name (RFC 3261 §7.3.1).
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.lines.lines().filter_map(|line| {
            if line.starts_with([' ', '\t']) {
                return Some(("", line.trim()));
            }
            let (name, value) = line.split_once(':')?;
            Some((name.trim(), value.trim()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_with_either_end_of_line_are_taken_apart() {
        let text = Text::of("INVITE sip:a SIP/2.0\r\nTo: a\r\nX: b\r\n  c\r\n\r\nbody");
        assert_eq!(
            (text.method, text.status, text.body),
            ("INVITE", None, "body")
        );
        let headers: Vec<_> = text.headers().collect();
        assert_eq!(headers, [("To", "a"), ("X", "b"), ("", "c")]);
        let text = Text::of("SIP/2.0 200 OK\nCSeq: 1 BYE\n\n");
        assert_eq!((text.status, text.phrase), (Some("200"), "OK"));
        assert_eq!(text.headers().collect::<Vec<_>>(), [("CSeq", "1 BYE")]);
        let text = Text::of("");
        assert_eq!((text.method, text.headers().count()), ("", 0));
    }
}
