//! `name-addr` and `addr-spec` with parameters: From, To, Contact, Route, Refer-To, P-Asserted-Identity and others
//! (RFC 3261 §20.10).

use std::fmt;

use super::HeaderError;
use super::grammar::{
    from, is_control, quoted_len, split_at, split_commas, trim, unquote, write_quoted,
};
use super::params::{HeaderParams, Params};
use super::uri::{Uri, UriParts};

/// An address with its display name and header parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name, quotes and escapes undone; never carries CR, LF or NUL.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The parameters behind it, such as `tag`, `q`, `expires`.
    pub params: Params,
}

impl NameAddr {
    /// Reads exactly one address; a comma list is refused.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let error = |rule| HeaderError::new("address", rule);
        let parts = NameAddrParts::scan(text).map_err(error)?;
        Ok(Self {
            display: parts.display.map(display_text),
            uri: parts.uri.to_uri().map_err(error)?,
            params: Params::collect(HeaderParams::new(parts.params)).map_err(error)?,
        })
    }

    /// Reads a comma list of addresses.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, HeaderError> {
        split_commas(text).map(Self::parse).collect()
    }

    /// An address without display name or parameters.
    pub fn new(uri: Uri) -> Self {
        Self {
            display: None,
            uri,
            params: Params::default(),
        }
    }

    /// The dialog tag.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").flatten()
    }
}

fn display_text(raw: &str) -> String {
    let text = unquote(raw);
    text.replace(['\r', '\n', '\0'], " ")
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write_quoted(f, display)?;
            f.write_str(" ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// The addresses of a Contact header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contacts {
    /// `*`: all bindings (REGISTER with Expires 0 only).
    Star,
    /// Addresses, none when there is no Contact.
    List(Vec<NameAddr>),
}

impl Contacts {
    /// The first address.
    pub fn first(&self) -> Option<&NameAddr> {
        match self {
            Self::Star => None,
            Self::List(list) => list.first(),
        }
    }
}

/// The parts of one address as slices of its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameAddrParts<'a> {
    /// Raw, with quotes if it had them; absent when blank.
    pub(crate) display: Option<&'a str>,
    pub(crate) uri: UriParts<'a>,
    pub(crate) params: &'a str,
}

impl<'a> NameAddrParts<'a> {
    /// Takes one address apart and checks all of it without allocating.
    pub(crate) fn scan(text: &'a str) -> Result<Self, &'static str> {
        let text = trim(text);
        let (display, rest) = if text.starts_with('"') {
            let length = quoted_len(text).ok_or("a display name whose quote does not end")?;
            let (display, rest) = split_at(text, length);
            let rest = trim(rest);
            if !rest.starts_with('<') {
                return Err("no `<` after a quoted display name");
            }
            (Some(display), rest)
        } else {
            match text.find('<') {
                None => return Self::scan_bare(text),
                Some(at) => {
                    let (display, rest) = split_at(text, at);
                    let display = trim(display);
                    if display
                        .bytes()
                        .any(|b| is_control(b) || matches!(b, b',' | b';' | b'"' | b'>'))
                    {
                        return Err("a display name that needs quotes");
                    }
                    ((!display.is_empty()).then_some(display), rest)
                }
            }
        };
        let inside = from(rest, 1);
        let end = inside.find('>').ok_or("no `>` after the address")?;
        let (uri, rest) = split_at(inside, end);
        Self::finish(display, uri, from(rest, 1))
    }

    /// An address without angle brackets: everything behind the first semicolon belongs to the header, and a comma or
    /// question mark needs the brackets (RFC 3261 §20.10).
    fn scan_bare(text: &'a str) -> Result<Self, &'static str> {
        let (uri, params) = split_at(text, text.find(';').unwrap_or(text.len()));
        let uri = trim(uri);
        if uri.contains(['?', ',']) {
            return Err("an address with `?` or `,` needs angle brackets");
        }
        Self::finish(None, uri, params)
    }

    fn finish(
        display: Option<&'a str>,
        uri: &'a str,
        params: &'a str,
    ) -> Result<Self, &'static str> {
        let uri = UriParts::scan(uri)?;
        HeaderParams::new(params).try_for_each(|param| param.map(|_| ()))?;
        Ok(Self {
            display,
            uri,
            params,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> NameAddr {
        NameAddr::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn addresses_round_trip() {
        for text in [
            "<sip:a@b>",
            "\"Bell, Alexander\" <sip:a.g.bell@example.com>;tag=433423",
            "\"J Rosenberg \\\\\\\"\" <sip:jdrosen@example.com>;tag=98asjd8",
            "\"\" <sip:a@b>",
            "<sip:a@b;gr=urn:uuid:1>;+sip.instance=\"<urn:uuid:2>\";reg-id=1;q=0.33",
            "<tel:+15551234>;tag=x",
        ] {
            assert_eq!(addr(text).to_string(), text);
            assert_eq!(addr(&addr(text).to_string()), addr(text));
        }
    }

    #[test]
    fn display_names_and_tags_are_found() {
        let a = addr("caller<sip:caller@example.com>;tag=323");
        assert_eq!(
            (a.display.as_deref(), a.tag()),
            (Some("caller"), Some("323"))
        );
        let a = addr(
            "  token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
        );
        assert_eq!(a.display.as_deref(), Some("token1~` token2'+_ token3*%!.-"));
        assert_eq!(a.tag(), Some("_token~1'+`*%!-."));
        let a = addr("sip:+12125551212@phone2net.com;tag=887s");
        assert_eq!(a.uri.user.as_deref(), Some("+12125551212"));
        assert_eq!(a.tag(), Some("887s"));
        assert!(
            a.uri.params.is_empty(),
            "behind a bare address parameters belong to the header"
        );
        let a = addr("\"lone \\\\\" <sip:a@b>");
        assert_eq!(a.display.as_deref(), Some("lone \\"));
    }

    #[test]
    fn no_line_end_or_nul_survives_in_a_display_name() {
        assert_eq!(addr("\"a\\\0b\" <sip:a@b>").display.as_deref(), Some("a b"));
    }

    #[test]
    fn broken_addresses_are_refused() {
        for bad in [
            "",
            "*",
            "\"x <sip:a@b>",
            "\"x\" sip:a@b",
            "< sip:a@b >",
            "<sip:a@b",
            "<sip:a@b>;;",
            "<sip:a@b>, <sip:c@d>",
            "Bell, Alexander <sip:a@b>",
            "sip:user@example.com?Route=x",
            "<sip:a@b>junk",
            "\"x\\\" <sip:a@b>",
            "<>",
            "\"x\\",
        ] {
            assert!(NameAddr::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_list_is_split_outside_quotes_and_brackets() {
        let list = NameAddr::parse_list("\"a, b\" <sip:x,y@z>;expires=60, sip:c@d").unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].params.get("expires"), Some(Some("60")));
        assert!(NameAddr::parse_list("<sip:a@b>,,<sip:c@d>").is_err());
    }
}
