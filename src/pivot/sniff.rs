//! Whether an answer is JSON or XML (`pivot.md` §3.1, §3.2), and whether XML is TwiML.
//!
//! The XML reader resolves nothing: a document type or an entity definition is refused at sight, and so is depth.

use quick_xml::Reader;
use quick_xml::events::Event;

/// What a body claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Xml,
    Unknown,
}

/// What the content type says, or else what the body begins with.
pub(super) fn kind(content_type: Option<&str>, body: &str) -> Kind {
    let essence = content_type
        .unwrap_or("")
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "application/json" | "text/json" => Kind::Json,
        "text/xml" | "application/xml" => Kind::Xml,
        other if other.ends_with("+json") => Kind::Json,
        other if other.ends_with("+xml") => Kind::Xml,
        _ => match body
            .trim_start_matches('\u{feff}')
            .trim_start()
            .bytes()
            .next()
        {
            Some(b'{' | b'[') => Kind::Json,
            Some(b'<') => Kind::Xml,
            _ => Kind::Unknown,
        },
    }
}

/// Whether a body is well-formed XML with the root element `Response`, within limits and without definitions.
pub(super) fn is_twiml(body: &str) -> bool {
    let mut reader = Reader::from_str(body.trim_start_matches('\u{feff}').trim_start());
    let (mut depth, mut elements, mut text, mut root) = (0_usize, 0_usize, 0_usize, false);
    loop {
        let Ok(event) = reader.read_event() else {
            return false;
        };
        match event {
            Event::Start(start) => {
                if !opens(depth, root, &mut elements, start.name().as_ref()) {
                    return false;
                }
                root = true;
                depth += 1;
            }
            Event::Empty(start) => {
                if !opens(depth, root, &mut elements, start.name().as_ref()) {
                    return false;
                }
                root = true;
            }
            // The reader itself checks that names match.
            Event::End(_) => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            Event::Text(piece) => {
                text += piece.len();
                if text > MAX_TEXT
                    || (depth == 0 && !piece.bytes().all(|b| b.is_ascii_whitespace()))
                {
                    return false;
                }
            }
            Event::CData(piece) => {
                text += piece.len();
                if text > MAX_TEXT || depth == 0 {
                    return false;
                }
            }
            Event::DocType(_) => return false,
            Event::GeneralRef(_) => {
                if depth == 0 {
                    return false;
                }
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return root && depth == 0,
        }
    }
}

/// Whether an element may begin here: a `Response` first, never a second root, within the limits.
fn opens(depth: usize, root: bool, elements: &mut usize, name: &str) -> bool {
    *elements += 1;
    let placed = if depth == 0 {
        !root && name == "Response"
    } else {
        true
    };
    placed && depth < MAX_DEPTH && *elements <= MAX_ELEMENTS
}

/// Levels of elements.
const MAX_DEPTH: usize = 32;
/// Elements altogether.
const MAX_ELEMENTS: usize = 1000;
/// Bytes of text altogether.
const MAX_TEXT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_decides_where_it_says_something() {
        for (content_type, body, wanted) in [
            (Some("application/json"), "<Response/>", Kind::Json),
            (Some("application/json; charset=utf-8"), "{}", Kind::Json),
            (Some("Application/JSON"), "{}", Kind::Json),
            (Some("text/json"), "{}", Kind::Json),
            (Some("application/vnd.api+json"), "{}", Kind::Json),
            (Some("text/xml"), "{}", Kind::Xml),
            (Some("application/xml ;x"), "{}", Kind::Xml),
            (Some("application/twiml+xml"), "", Kind::Xml),
            (Some("text/html"), " \n{\"module\"", Kind::Json),
            (Some("text/plain"), "\u{feff}<Response/>", Kind::Xml),
            (Some("text/plain"), "hello", Kind::Unknown),
            (None, "<?xml version=\"1.0\"?>", Kind::Xml),
            (None, "{}", Kind::Json),
            (None, "", Kind::Unknown),
        ] {
            assert_eq!(
                kind(content_type, body),
                wanted,
                "{content_type:?} {body:?}"
            );
        }
    }

    #[test]
    fn twiml_is_well_formed_with_the_root_response() {
        for body in [
            "<Response/>",
            "<Response></Response>",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- hi -->\n<Response>\n <Say voice=\"woman\">A &amp; B</Say>\n</Response>\n",
            "<Response><Say><![CDATA[<x>]]></Say></Response>",
        ] {
            assert!(is_twiml(body), "{body}");
        }
        for body in [
            "",
            "<response/>",
            "<Foo/>",
            "<Response>",
            "<Response></Respons>",
            "<Response/><Response/>",
            "</Response>",
            "x<Response/>",
            "<Response/>x",
            "<Response><Say></Response></Say>",
            "<Response a=\"<\"",
            "&amp;<Response/>",
        ] {
            assert!(!is_twiml(body), "{body}");
        }
    }

    /// Row 19 of the threat table, as far as recognising goes.
    #[test]
    fn definitions_and_bombs_are_refused_at_sight() {
        let laughs = "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;\">]><Response>&lol2;</Response>";
        let external = "<!DOCTYPE r SYSTEM \"file:///etc/passwd\"><Response/>";
        let inner = "<Response><!DOCTYPE x></Response>";
        let deep = format!(
            "<Response>{}{}</Response>",
            "<a>".repeat(100_000),
            "</a>".repeat(100_000)
        );
        let wide = format!("<Response>{}</Response>", "<a/>".repeat(5000));
        let long = format!("<Response>{}</Response>", "x".repeat(100_000));
        for body in [laughs, external, inner, &deep, &wide, &long] {
            assert!(!is_twiml(body));
        }
        let allowed = format!(
            "<Response>{}{}</Response>",
            "<a>".repeat(31),
            "</a>".repeat(31)
        );
        assert!(is_twiml(&allowed));
    }

    #[test]
    fn mutated_documents_never_crash() {
        let seconds = std::env::var("SWIVEL_FUZZ_SECONDS")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(2);
        let until = crate::host::clock::now() + std::time::Duration::from_secs(seconds);
        let mut rng = crate::base::rng::Rng::seeded(19);
        let seed = "<?xml version=\"1.0\"?><Response><Gather numDigits='1'><Say>é &lt;</Say><![CDATA[x]]></Gather></Response>";
        while crate::host::clock::now() < until {
            for _ in 0..200 {
                let mut bytes = seed.as_bytes().to_vec();
                for _ in 0..=rng.below(4) {
                    let at = rng.below(bytes.len().max(1) as u64) as usize;
                    match rng.below(3) {
                        0 => bytes.truncate(at.max(1)),
                        1 => bytes[at] = rng.u32() as u8,
                        _ => bytes.insert(at, b"<>/&;!-[]?\"'="[rng.below(13) as usize]),
                    }
                }
                let text = String::from_utf8_lossy(&bytes);
                let _known = (kind(None, &text), is_twiml(&text));
            }
        }
    }
}
