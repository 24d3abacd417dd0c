//! Digits in INFO bodies (RFC 6086 era conventions: `application/dtmf-relay` and `application/dtmf`).

use crate::sip::ua::Body;

/// The key an INFO body names; `None` when it names none.
pub(super) fn dtmf(body: &Body) -> Option<char> {
    let text = std::str::from_utf8(&body.bytes).ok()?;
    let kind = body.content_type.split(';').next()?.trim();
    let signal = if kind.eq_ignore_ascii_case("application/dtmf-relay") {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("signal")
                .then(|| value.trim())
        })?
    } else if kind.eq_ignore_ascii_case("application/dtmf") {
        text.trim()
    } else {
        return None;
    };
    key(signal)
}

/// Keys come as themselves or as their RFC 4733 event number.
fn key(signal: &str) -> Option<char> {
    match signal {
        "10" => Some('*'),
        "11" => Some('#'),
        "12" => Some('A'),
        "13" => Some('B'),
        "14" => Some('C'),
        "15" => Some('D'),
        one if one.chars().count() == 1 => one.chars().next().map(|c| c.to_ascii_uppercase()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(content_type: &str, text: &'static str) -> Option<char> {
        dtmf(&Body {
            content_type: content_type.into(),
            bytes: text.into(),
        })
    }

    #[test]
    fn both_info_forms_name_their_key() {
        assert_eq!(
            info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
            Some('5')
        );
        assert_eq!(
            info("application/dtmf-relay", "Duration = 160\nSignal= 11"),
            Some('#')
        );
        assert_eq!(info("application/dtmf", "*"), Some('*'));
        assert_eq!(info("application/dtmf; charset=utf-8", " 7\r\n"), Some('7'));
    }

    #[test]
    fn other_bodies_name_none() {
        assert_eq!(info("application/dtmf-relay", "Duration=160"), None);
        assert_eq!(info("text/plain", "5"), None);
        assert_eq!(info("application/dtmf", "55"), None);
    }
}
