//! Media types: Content-Type and the elements of Accept (RFC 3261 §20.15, §20.1).

use std::fmt;

use super::grammar::{is_control, is_token, split_at, trim, unquote, write_quoted};
use super::params::HeaderParams;
use super::{HeaderError, rsip_bridge};

/// A media type with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// `type/subtype` in lower case.
    pub essence: Box<str>,
    /// Parameters in order, quotes and escapes undone.
    pub params: Vec<(Box<str>, Box<str>)>,
}

impl MediaType {
    /// Reads one media type.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let text = trim(text);
        if text.bytes().any(is_control) {
            return Err(HeaderError::new("Content-Type", "a control character"));
        }
        if text.eq_ignore_ascii_case("application/sdp") {
            return Ok(Self {
                essence: "application/sdp".into(),
                params: Vec::new(),
            });
        }
        let (essence, params) =
            match rsip_bridge::media_type(text).filter(|(_, params)| plain(params)) {
                Some(read) => read,
                None => read(text).map_err(|rule| HeaderError::new("Content-Type", rule))?,
            };
        let essence = trim(&essence).to_ascii_lowercase();
        let well_formed = essence
            .split_once('/')
            .is_some_and(|(kind, sub)| is_token(trim(kind)) && is_token(trim(sub)));
        if !well_formed {
            return Err(HeaderError::new("Content-Type", "not a media type"));
        }
        let essence = essence.replace([' ', '\t'], "").into();
        Ok(Self {
            essence,
            params: params
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        })
    }

    /// Whether this is that `type/subtype`, given in lower case.
    pub fn is(&self, essence: &str) -> bool {
        &*self.essence == essence
    }

    /// A parameter's value.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// Whether this range of an Accept header takes that `type/subtype`, given in lower case; `*` takes all.
    pub fn accepts(&self, essence: &str) -> bool {
        match self.essence.split_once('/') {
            Some(("*", "*")) => true,
            Some((kind, "*")) => essence.split_once('/').is_some_and(|(k, _)| k == kind),
            Some(_) | None => self.is(essence),
        }
    }
}

/// Whether what rsip read needs no second look: tokens as names, and values without blanks.
fn plain(params: &[(String, String)]) -> bool {
    params
        .iter()
        .all(|(name, value)| is_token(name) && !value.is_empty() && !value.contains([' ', '\t']))
}

type Read = (String, Vec<(String, String)>);

/// Our own reading, for what rsip refuses.
fn read(text: &str) -> Result<Read, &'static str> {
    let (essence, params) = split_at(text, text.find(';').unwrap_or(text.len()));
    let mut out = Vec::new();
    for param in HeaderParams::new(params) {
        let (name, value) = param?;
        out.push((name.to_owned(), unquote(value.unwrap_or("")).into_owned()));
    }
    Ok((trim(essence).to_owned(), out))
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.essence)?;
        for (name, value) in &self.params {
            write!(f, ";{name}")?;
            if is_token(value) {
                write!(f, "={value}")?;
            } else if !value.is_empty() {
                f.write_str("=")?;
                write_quoted(f, value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(text: &str) -> MediaType {
        MediaType::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn media_types_compare_without_case_and_keep_parameters() {
        assert!(media("Application/SDP").is("application/sdp"));
        assert!(media(" application / sdp ").is("application/sdp"));
        let m = media("multipart/mixed; boundary=\"a;b c\" ;x=y");
        assert_eq!(
            (m.param("Boundary"), m.param("x")),
            (Some("a;b c"), Some("y"))
        );
        assert_eq!(
            media("text/plain;charset=\"a\\\"b\"").param("charset"),
            Some("a\"b")
        );
        assert_eq!(media("text/plain;flag").to_string(), "text/plain;flag");
        assert_eq!(media(&m.to_string()), m);
        for bad in [
            "",
            "text",
            "/sdp",
            "text/",
            "text/a b",
            "text/plain;;",
            "text/plain;a=\"x",
            "a/b, c/d",
        ] {
            assert!(MediaType::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn accept_ranges_take_what_they_name() {
        assert!(media("*/*").accepts("application/sdp"));
        assert!(media("application/*").accepts("application/sdp"));
        assert!(!media("text/*").accepts("application/sdp"));
        assert!(!media("text/nobodyKnowsThis").accepts("application/sdp"));
    }
}
