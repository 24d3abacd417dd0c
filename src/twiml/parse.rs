//! XML to elements with their places (the door to quick-xml). Nothing is resolved beyond the five predefined entities
//! and character references: a document type is refused at sight, and so are depth, count and length beyond the limits
//! of row 19 of the threat table.

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde::Serialize;

/// A place in a document; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// Why a body is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {what}", at.line, at.column)]
pub struct ParseError {
    /// Where.
    pub at: Position,
    /// What is wrong.
    pub what: String,
}

/// One element.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) at: Position,
    pub(super) attributes: Vec<Pair>,
    pub(super) content: Vec<Node>,
}

/// One attribute as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) at: Position,
}

/// What stands inside an element.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// The elements directly inside.
    pub(super) fn children(&self) -> impl Iterator<Item = &Element> {
        self.content.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The text directly inside, without blanks at both ends.
    pub(super) fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        texts.collect::<String>().trim().to_owned()
    }
}

/// Reads the document element, whatever it is called.
///
/// # Errors
/// What is wrong with the body, and where.
pub(super) fn parse(body: &str) -> Result<Element, ParseError> {
    let mut reader = Reader::from_str(body);
    let mut building = Building {
        body,
        open: Vec::new(),
        root: None,
        elements: 0,
        text: 0,
    };
    loop {
        let offset = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = reader
            .read_event()
            .map_err(|error| building.wrong(offset, error.to_string()))?;
        match event {
            Event::Start(start) => building.begin(&start, offset)?,
            Event::Empty(start) => {
                building.begin(&start, offset)?;
                building.end(offset)?;
            }
            Event::End(_) => building.end(offset)?,
            Event::Text(text) => building.text(&text, offset)?,
            Event::CData(text) => building.text(&text, offset)?,
            Event::GeneralRef(reference) => {
                let text = resolved(&reference).ok_or_else(|| {
                    let name: &str = &reference;
                    building.wrong(offset, format!("the entity &{name}; is not known"))
                })?;
                building.text(&text, offset)?;
            }
            Event::DocType(_) => {
                return Err(building.wrong(offset, "a document type is not allowed"));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return building.finish(offset),
        }
    }
}

struct Building<'a> {
    body: &'a str,
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    text: usize,
}

impl Building<'_> {
    fn wrong(&self, offset: usize, what: impl Into<String>) -> ParseError {
        ParseError {
            at: position(self.body, offset),
            what: what.into(),
        }
    }

    fn begin(&mut self, start: &BytesStart<'_>, offset: usize) -> Result<(), ParseError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(self.wrong(offset, format!("{MAX_ELEMENTS} elements are the limit")));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.wrong(
                offset,
                format!("{MAX_DEPTH} elements inside each other are the limit"),
            ));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.wrong(offset, "there is more than one document element"));
        }
        let mut attributes: Vec<Pair> = Vec::new();
        // Looking for repetitions is ours: the reader's own look takes time by the square of their number.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| self.wrong(offset, error.to_string()))?;
            let pair = self.attribute(&attribute, offset)?;
            if attributes.iter().any(|known| known.name == pair.name) {
                return Err(self.wrong(offset, format!("{} is given twice", pair.name)));
            }
            attributes.push(pair);
            if attributes.len() > MAX_ATTRIBUTES {
                return Err(self.wrong(
                    offset,
                    format!("{MAX_ATTRIBUTES} attributes of one element are the limit"),
                ));
            }
        }
        self.open.push(Element {
            name: start.name().as_ref().to_owned(),
            at: position(self.body, offset),
            attributes,
            content: Vec::new(),
        });
        Ok(())
    }

    fn attribute(&mut self, attribute: &Attribute<'_>, tag: usize) -> Result<Pair, ParseError> {
        let name: &str = attribute.key.as_ref();
        // The name is a piece of the body, so its address says where.
        let offset = (name.as_ptr() as usize)
            .checked_sub(self.body.as_ptr() as usize)
            .filter(|offset| *offset < self.body.len())
            .unwrap_or(tag);
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| self.wrong(offset, format!("{name}: {error}")))?;
        self.text += value.len();
        if self.text > MAX_TEXT {
            return Err(self.wrong(offset, format!("{MAX_TEXT} bytes of text are the limit")));
        }
        Ok(Pair {
            name: name.to_owned(),
            value: value.into_owned(),
            at: position(self.body, offset),
        })
    }

    fn text(&mut self, text: &str, offset: usize) -> Result<(), ParseError> {
        self.text += text.len();
        if self.text > MAX_TEXT {
            return Err(self.wrong(offset, format!("{MAX_TEXT} bytes of text are the limit")));
        }
        match self.open.last_mut() {
            Some(element) => match element.content.last_mut() {
                Some(Node::Text(known)) => known.push_str(text),
                Some(Node::Element(_)) | None => element.content.push(Node::Text(text.to_owned())),
            },
            None if text.trim().is_empty() => {}
            None => return Err(self.wrong(offset, "there is text outside the document element")),
        }
        Ok(())
    }

    /// The reader itself checks that names match.
    fn end(&mut self, offset: usize) -> Result<(), ParseError> {
        let element = self
            .open
            .pop()
            .ok_or_else(|| self.wrong(offset, "an element ends that has not begun"))?;
        match self.open.last_mut() {
            Some(parent) => parent.content.push(Node::Element(element)),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn finish(self, offset: usize) -> Result<Element, ParseError> {
        if let Some(open) = self.open.last() {
            return Err(ParseError {
                at: open.at,
                what: format!("{} does not end", open.name),
            });
        }
        let error = self.wrong(offset, "there is no element");
        self.root.ok_or(error)
    }
}

/// What a reference stands for: a character, or one of the five predefined entities.
fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    if reference.is_char_ref() {
        let known = reference.resolve_char_ref().ok().flatten()?;
        // XML 1.0 §2.2: control characters are no characters.
        let allowed = !known.is_control() || matches!(known, '\t' | '\n' | '\r');
        return allowed.then(|| known.to_string());
    }
    let name: &str = reference;
    let text = match name {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "apos" => "'",
        "quot" => "\"",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Where a byte of the body is.
fn position(body: &str, offset: usize) -> Position {
    let mut offset = offset.min(body.len());
    while !body.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = body.get(..offset).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position {
        line: number(line),
        column: number(column),
    }
}

/// Levels of elements.
const MAX_DEPTH: usize = 32;
/// Elements altogether.
const MAX_ELEMENTS: usize = 1000;
/// Attributes of one element.
const MAX_ATTRIBUTES: usize = 64;
/// Bytes of text and attribute values altogether.
const MAX_TEXT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_attributes_and_text_keep_their_places() {
        let root = parse(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- hi -->\n<Response>\n  <Say voice='woman'\n    loop=\"2\">A &amp; <![CDATA[<B>]]> &#233;</Say>\n</Response>\n",
        )
        .unwrap();
        assert_eq!(
            (root.name.as_str(), root.at.line, root.at.column),
            ("Response", 3, 1)
        );
        let say = root.children().next().unwrap();
        assert_eq!((say.at.line, say.at.column), (4, 3));
        assert_eq!(say.text(), "A & <B> é");
        let looped = &say.attributes[1];
        assert_eq!((looped.name.as_str(), looped.value.as_str()), ("loop", "2"));
        assert_eq!((looped.at.line, looped.at.column), (5, 5));
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_its_place() {
        for (body, line, what) in [
            ("", 1, "no element"),
            ("<Response>", 1, "does not end"),
            ("<Response></Respons>", 1, "expected"),
            ("<Response/>\n<Response/>", 2, "more than one"),
            ("</Response>", 1, ""),
            ("x<Response/>", 1, "outside"),
            ("<Response/>x", 1, "outside"),
            ("<Response><Say></Response></Say>", 1, "expected"),
            ("<Response a=\"<\"", 1, ""),
            ("&amp;<Response/>", 1, "outside"),
            ("<Response>\n&nbsp;</Response>", 2, "nbsp"),
            ("<Response>\n<Say a='1' a='2'/></Response>", 2, "twice"),
            ("<Response>&#0;</Response>", 1, ""),
            ("<Response>&#8;</Response>", 1, ""),
        ] {
            let error = parse(body).unwrap_err();
            assert!(error.what.contains(what), "{body}: {error}");
            assert_eq!(error.at.line, line, "{body}: {error}");
        }
    }

    /// Row 19 of the threat table.
    #[test]
    fn definitions_and_bombs_are_refused_at_sight() {
        let laughs = "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;\">]><Response>&lol2;</Response>";
        let external = "<!DOCTYPE r SYSTEM \"file:///etc/passwd\"><Response/>";
        let parameter =
            "<!DOCTYPE r [<!ENTITY % x SYSTEM \"http://127.0.0.1/x.dtd\">%x;]><Response/>";
        let inner = "<Response><!DOCTYPE x></Response>";
        let attribute = "<Response><Say voice=\"&lol;\"/></Response>";
        let deep = format!(
            "<Response>{}{}</Response>",
            "<a>".repeat(100_000),
            "</a>".repeat(100_000)
        );
        let wide = format!("<Response>{}</Response>", "<a/>".repeat(5000));
        let long = format!("<Response>{}</Response>", "x".repeat(100_000));
        let many: String = (0..40_000).map(|n| format!(" a{n}=''")).collect();
        let attributes = format!("<Response{many}/>");
        let big = format!("<Response a='{}'/>", "x".repeat(100_000));
        for body in [
            laughs,
            external,
            parameter,
            inner,
            attribute,
            &deep,
            &wide,
            &long,
            &attributes,
            &big,
        ] {
            assert!(parse(body).is_err(), "{}", &body[..60]);
        }
        let allowed = format!(
            "<Response>{}{}</Response>",
            "<a>".repeat(31),
            "</a>".repeat(31)
        );
        assert!(parse(&allowed).is_ok());
    }

    #[test]
    fn mutated_documents_never_crash() {
        let seconds = std::env::var("SWIVEL_FUZZ_SECONDS")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(1);
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
                drop(parse(&String::from_utf8_lossy(&bytes)));
            }
        }
    }
}
