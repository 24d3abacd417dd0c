//! Parameters behind semicolons, of headers and of URIs: an ordered list that keeps each value as it was written.

use std::borrow::Cow;
use std::fmt;

use super::grammar::{
    from, is_blank, is_control, is_token_byte, quoted_len, split_at, trim, unquote,
};

/// Ordered parameters. Names are found whatever their case; values are raw, quotes included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<Param>);

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The name as it was written.
    pub name: Box<str>,
    /// The raw value; `None` when there is no `=`.
    pub value: Option<Box<str>>,
}

impl Params {
    /// The raw value of the first parameter of that name: `None` when there is none, `Some(None)` when it has no value.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.0
            .iter()
            .find(|p| p.name.eq_ignore_ascii_case(name))
            .map(|p| p.value.as_deref())
    }

    /// The value of that name with quotes and escapes undone.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).flatten().map(unquote)
    }

    /// Whether there is a parameter of that name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the first parameter of that name, or adds it. The value is written as given; quote it where needed.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(Box::from);
        match self
            .0
            .iter_mut()
            .find(|p| p.name.eq_ignore_ascii_case(name))
        {
            Some(param) => param.value = value,
            None => self.0.push(Param {
                name: name.into(),
                value,
            }),
        }
    }

    /// Removes every parameter of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|p| !p.name.eq_ignore_ascii_case(name));
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|p| (&*p.name, p.value.as_deref()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, name: &str, value: Option<&str>) {
        self.0.push(Param {
            name: name.into(),
            value: value.map(Box::from),
        });
    }

    pub(crate) fn collect<'a, I>(params: I) -> Result<Self, &'static str>
    where
        I: Iterator<Item = Result<(&'a str, Option<&'a str>), &'static str>>,
    {
        let mut out = Self::default();
        for param in params {
            let (name, value) = param?;
            out.push(name, value);
        }
        Ok(out)
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for param in &self.0 {
            write!(f, ";{}", param.name)?;
            if let Some(value) = &param.value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// Walks `;name=value` behind a header value; blanks are allowed around every mark, values may be quoted.
#[derive(Debug, Clone)]
pub(crate) struct HeaderParams<'a> {
    rest: &'a str,
}

impl<'a> HeaderParams<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: trim(text) }
    }
}

impl<'a> Iterator for HeaderParams<'a> {
    type Item = Result<(&'a str, Option<&'a str>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match header_param(self.rest) {
            Ok((name, value, rest)) => {
                self.rest = rest;
                Some(Ok((name, value)))
            }
            Err(rule) => {
                self.rest = "";
                Some(Err(rule))
            }
        }
    }
}

type Step<'a> = Result<(&'a str, Option<&'a str>, &'a str), &'static str>;

fn header_param(text: &str) -> Step<'_> {
    let text = text
        .strip_prefix(';')
        .ok_or("text where a parameter should begin")?;
    let text = skip_blanks(text);
    let (name, rest) = split_while(text, is_token_byte);
    if name.is_empty() {
        return Err("a parameter without a name");
    }
    let rest = skip_blanks(rest);
    let Some(rest) = rest.strip_prefix('=') else {
        return Ok((name, None, rest));
    };
    let rest = skip_blanks(rest);
    let (value, rest) = if rest.starts_with('"') {
        let length = quoted_len(rest).ok_or("a quoted string that does not end")?;
        split_at(rest, length)
    } else {
        split_while(rest, |b| {
            !is_blank(b) && !is_control(b) && !matches!(b, b';' | b',' | b'"' | b'<' | b'>')
        })
    };
    if value.is_empty() {
        return Err("a parameter with `=` and no value");
    }
    Ok((name, Some(value), skip_blanks(rest)))
}

/// Walks the `;name=value` of a URI, where there are neither blanks nor quotes.
#[derive(Debug, Clone)]
pub(crate) struct UriParams<'a> {
    rest: &'a str,
}

impl<'a> UriParams<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for UriParams<'a> {
    type Item = Result<(&'a str, Option<&'a str>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(text) = self.rest.strip_prefix(';') else {
            self.rest = "";
            return Some(Err("text where a URI parameter should begin"));
        };
        let (param, rest) = split_at(text, text.find(';').unwrap_or(text.len()));
        self.rest = rest;
        let (name, value) = match param.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (param, None),
        };
        if name.is_empty() || value.is_some_and(str::is_empty) {
            self.rest = "";
            return Some(Err("a URI parameter without name or value"));
        }
        Some(Ok((name, value)))
    }
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

fn split_while(text: &str, keep: impl Fn(u8) -> bool) -> (&str, &str) {
    let length = text.bytes().position(|b| !keep(b)).unwrap_or(text.len());
    (text.get(..length).unwrap_or(""), from(text, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<Params, &'static str> {
        Params::collect(HeaderParams::new(text))
    }

    #[test]
    fn header_parameters_keep_order_spelling_and_quotes() {
        let params = header(" ; Tag = abc ;+sip.instance=\"<urn:uuid:1>\" ;lr;x=[::1]").unwrap();
        assert_eq!(
            params.to_string(),
            ";Tag=abc;+sip.instance=\"<urn:uuid:1>\";lr;x=[::1]"
        );
        assert_eq!(params.get("tag"), Some(Some("abc")));
        assert_eq!(
            params.text("+SIP.instance").as_deref(),
            Some("<urn:uuid:1>")
        );
        assert_eq!(params.get("lr"), Some(None));
        assert_eq!(params.get("none"), None);
    }

    #[test]
    fn broken_header_parameters_are_refused() {
        for bad in [
            ";", ";;a", ";=1", ";a=", ";a=\"x", ";a=b,c", "a=b", ";a=b c", ";a=\"x\\",
        ] {
            assert!(header(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_parameter_is_replaced_in_place() {
        let mut params = header(";a=1;rport;b=2").unwrap();
        params.set("RPORT", Some("5060"));
        params.set("received", Some("192.0.2.1"));
        params.remove("b");
        assert_eq!(params.to_string(), ";a=1;rport=5060;received=192.0.2.1");
    }

    #[test]
    fn uri_parameters_keep_colons() {
        let params = Params::collect(UriParams::new(";gr=urn:uuid:f81d-4;ob")).unwrap();
        assert_eq!(params.get("gr"), Some(Some("urn:uuid:f81d-4")));
        for bad in [";", ";;x", ";=x", ";x=", "x"] {
            assert!(Params::collect(UriParams::new(bad)).is_err(), "{bad:?}");
        }
    }
}
