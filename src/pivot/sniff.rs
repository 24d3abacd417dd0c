//! Whether an answer is JSON or XML (`pivot.md` §3.1, §3.2).

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
}
