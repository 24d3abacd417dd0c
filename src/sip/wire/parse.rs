//! One whole message from its bytes (RFC 3261 §7, §25): start line, headers, body, and every rule that must hold before
//! anybody looks at the message.

use bytes::Bytes;

use super::error::{Malformed, WireError};
use super::limits::Limits;
use super::lines::{End, Field, Fields, leading_line_ends, line, unfold};
use crate::sip::msg::cseq::scan_cseq;
use crate::sip::msg::grammar::{decimal, is_token, split_at, split_commas, trim};
use crate::sip::msg::name_addr::NameAddrParts;
use crate::sip::msg::uri::UriParts;
use crate::sip::msg::via::ViaParts;
use crate::sip::msg::{Header, Headers, Message, Method, Name, Start, Via};

/// Reads one datagram, or one message that a stream was cut into, or one WebSocket frame.
///
/// Line ends before the start line are skipped. Without Content-Length the body is the rest; with it, bytes behind the
/// body are dropped and a shorter body is refused. Header values and body are slices of `bytes`, which stays alive as
/// long as they do.
pub fn parse_datagram(bytes: Bytes, limits: &Limits) -> Result<Message, Malformed> {
    Parser::new(bytes, limits).run(BodyRule::ByLength)
}

/// Reads the start line and headers only, whatever Content-Length says.
pub(crate) fn parse_head(bytes: Bytes, limits: &Limits) -> Result<Message, Malformed> {
    Parser::new(bytes, limits).run(BodyRule::None)
}

/// How the body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyRule {
    /// By Content-Length, or the rest.
    ByLength,
    /// There is none.
    None,
}

/// Headers that may be there once. Two of them are refused, so that nobody takes the first and somebody else the last.
const SINGLE: u128 = bit(Name::CallId)
    | bit(Name::CSeq)
    | bit(Name::From)
    | bit(Name::To)
    | bit(Name::MaxForwards)
    | bit(Name::ContentLength)
    | bit(Name::ContentType)
    | bit(Name::SessionExpires)
    | bit(Name::ReferTo)
    | bit(Name::Replaces)
    | bit(Name::RAck)
    | bit(Name::RSeq)
    | bit(Name::Event);

/// Headers without which nothing can be done.
const REQUIRED: [Name; 5] = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];

const fn bit(name: Name) -> u128 {
    match name {
        Name::Other => 0,
        known => 1 << (known as u32),
    }
}

struct Parser<'a> {
    bytes: Bytes,
    limits: &'a Limits,
    error: Option<WireError>,
    seen: u128,
    headers: Headers,
    content_length: Option<usize>,
}

impl<'a> Parser<'a> {
    fn new(bytes: Bytes, limits: &'a Limits) -> Self {
        let headers = Headers::with_capacity(16);
        Self {
            bytes,
            limits,
            error: None,
            seen: 0,
            headers,
            content_length: None,
        }
    }

    /// Keeps the first error only.
    fn fail(&mut self, error: WireError) {
        self.error.get_or_insert(error);
    }

    fn run(mut self, rule: BodyRule) -> Result<Message, Malformed> {
        let bytes = self.bytes.clone();
        let begin = leading_line_ends(&bytes);
        if begin == bytes.len() {
            return Err(Malformed {
                error: WireError::Keepalive,
                readable: None,
            });
        }
        let (line_end, head) = line(&bytes, begin).unwrap_or((bytes.len(), bytes.len()));
        if line_end - begin > self.limits.start_line {
            self.fail(WireError::StartLineTooLong {
                limit: self.limits.start_line,
            });
        }
        let start = match start_line(bytes.get(begin..line_end).unwrap_or_default()) {
            StartLine::Good(start) => start,
            StartLine::Bad(start, error) => {
                self.fail(error);
                start
            }
            StartLine::Hopeless(error) => {
                return Err(Malformed {
                    error,
                    readable: None,
                });
            }
        };

        let mut fields = Fields::new(&bytes, head);
        let mut count = 0;
        for field in fields.by_ref() {
            count += 1;
            if count > self.limits.headers {
                self.fail(WireError::TooManyHeaders {
                    limit: self.limits.headers,
                });
                continue;
            }
            self.field(&field);
        }
        let body_start = match fields.end() {
            End::Body(at) => at,
            // Some senders forget the empty line of a message without body; the datagram's end says the same.
            End::Bytes => bytes.len(),
            End::Open | End::Cut => {
                self.fail(WireError::Unfinished);
                bytes.len()
            }
        };

        let mut message = Message {
            start,
            headers: std::mem::take(&mut self.headers),
            body: Bytes::new(),
        };
        self.check(&message);
        if rule == BodyRule::ByLength {
            message.body = self.body(body_start, begin);
        }
        match self.error {
            None => Ok(message),
            Some(error) => Err(Malformed {
                error,
                readable: readable(message),
            }),
        }
    }

    fn body(&mut self, start: usize, begin: usize) -> Bytes {
        let available = self.bytes.len().saturating_sub(start);
        let length = self.content_length.unwrap_or(available);
        if (start - begin).saturating_add(length) > self.limits.total {
            self.fail(WireError::TooLarge {
                limit: self.limits.total,
            });
            return Bytes::new();
        }
        if length > available {
            self.fail(WireError::BodyTooShort);
            return Bytes::new();
        }
        self.bytes.slice(start..start + length)
    }

    fn field(&mut self, field: &Field) {
        let name = self.bytes.get(field.name.clone()).unwrap_or_default();
        let Some(name) = std::str::from_utf8(name).ok().filter(|_| field.well_formed) else {
            self.fail(WireError::HeaderName);
            return;
        };
        let known = Name::from_wire(name);
        let other: Box<str> = if known == Name::Other {
            name.into()
        } else {
            Box::default()
        };
        if field.length > self.limits.header {
            let header = if known == Name::Other {
                other
            } else {
                known.as_str().into()
            };
            self.fail(WireError::HeaderTooLong {
                header,
                limit: self.limits.header,
            });
            return;
        }
        if self.seen & bit(known) & SINGLE != 0 {
            self.fail(WireError::Duplicate { name: known });
        }
        self.seen |= bit(known);

        let mut value = self.bytes.slice(field.value.clone());
        if field.folded {
            value = unfold(&value).into();
        }
        if memchr::memchr2(0, b'\r', &value).is_some() {
            let (clean, legal) = without_controls(&value);
            value = clean.into();
            if !legal {
                let header = if known == Name::Other {
                    other.clone()
                } else {
                    known.as_str().into()
                };
                self.fail(WireError::Value {
                    header,
                    rule: "a raw CR or NUL",
                });
            }
        }
        self.headers.push_header(Header {
            name: known,
            other,
            value,
        });
    }

    /// Everything that must hold of the headers.
    fn check(&mut self, message: &Message) {
        for name in REQUIRED {
            if self.seen & bit(name) == 0 {
                self.fail(WireError::Missing { name });
            }
        }
        match content_length(
            message
                .headers
                .iter()
                .filter(|h| h.name == Name::ContentLength)
                .map(|h| &*h.value),
        ) {
            Ok(length) => self.content_length = length,
            Err(error) => self.fail(error),
        }
        let mut vias = 0;
        let mut contacts = 0;
        for header in message.headers.iter() {
            let result = match header.name {
                Name::Via => self.check_via(header, &mut vias),
                Name::From | Name::To => {
                    text(header).and_then(|t| NameAddrParts::scan(t).map(|_| ()))
                }
                Name::CSeq => self.check_cseq(header, message.method()),
                Name::CallId => text(header).and_then(check_call_id),
                Name::MaxForwards => text(header).and_then(|t| {
                    decimal::<u8>(t)
                        .map(|_| ())
                        .ok_or("not a number from 0 to 255")
                }),
                Name::Contact => match message.method() {
                    Some(method) => check_contact(header, method, &mut contacts),
                    None => Ok(()),
                },
                _ => Ok(()),
            };
            if let Err(rule) = result {
                self.fail(WireError::Value {
                    header: header.name.as_str().into(),
                    rule,
                });
            }
        }
        if contacts > 1 && message.method() == Some(&Method::Invite) {
            self.fail(WireError::Duplicate {
                name: Name::Contact,
            });
        }
    }

    fn check_via(&mut self, header: &Header, count: &mut usize) -> Result<(), &'static str> {
        let mut any = false;
        for value in split_commas(text(header)?) {
            any = true;
            *count += 1;
            if *count > self.limits.vias {
                self.fail(WireError::TooManyVias {
                    limit: self.limits.vias,
                });
                return Ok(());
            }
            ViaParts::scan(value)?;
        }
        if any { Ok(()) } else { Err("no value") }
    }

    fn check_cseq(&mut self, header: &Header, method: Option<&Method>) -> Result<(), &'static str> {
        let (_, cseq_method) = scan_cseq(text(header)?)?;
        if method.is_some_and(|method| method.as_str() != cseq_method) {
            self.fail(WireError::CSeqMethod);
        }
        Ok(())
    }
}

fn text(header: &Header) -> Result<&str, &'static str> {
    header.text().ok_or("not UTF-8")
}

fn check_call_id(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.contains([' ', '\t']) {
        Err("not one word")
    } else {
        Ok(())
    }
}

fn check_contact(header: &Header, method: &Method, count: &mut usize) -> Result<(), &'static str> {
    for value in split_commas(text(header)?) {
        *count += 1;
        if value == "*" {
            if *method != Method::Register {
                return Err("`*` outside REGISTER");
            }
        } else {
            NameAddrParts::scan(value)?;
        }
    }
    Ok(())
}

/// Content-Length of a message by its header values (RFC 3261 §20.14): `None` when there is none. A sign, a blank, a
/// value past 2³² − 1 or a second header is refused, never guessed.
pub(crate) fn content_length<'a>(
    values: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<usize>, WireError> {
    let mut found = None;
    for value in values {
        if found.is_some() {
            return Err(WireError::Duplicate {
                name: Name::ContentLength,
            });
        }
        let number = std::str::from_utf8(value)
            .ok()
            .and_then(|t| decimal::<u32>(trim(t)));
        match number.and_then(|n| usize::try_from(n).ok()) {
            Some(number) => found = Some(number),
            None => {
                let header = Name::ContentLength.as_str().into();
                return Err(WireError::Value {
                    header,
                    rule: "not a number from 0 to 4294967295",
                });
            }
        }
    }
    Ok(found)
}

/// The value with CR and NUL made blanks, and whether every one of them was a NUL behind a backslash, which a quoted
/// string may carry (RFC 3261 §25.1 `quoted-pair`) and we do not.
fn without_controls(value: &[u8]) -> (Vec<u8>, bool) {
    let mut out = value.to_vec();
    let mut legal = true;
    let mut escaped = false;
    for byte in &mut out {
        let was_escaped = escaped;
        escaped = *byte == b'\\' && !was_escaped;
        if *byte == 0 || *byte == b'\r' {
            legal &= *byte == 0 && was_escaped;
            *byte = b' ';
        }
    }
    (out, legal)
}

/// The request when it can be answered: the five headers are there and the topmost Via tells at least a host.
fn readable(message: Message) -> Option<Box<Message>> {
    if matches!(message.method(), None | Some(Method::Ack)) {
        return None;
    }
    let all_there = REQUIRED
        .iter()
        .all(|&name| message.header(name).is_some_and(|value| !value.is_empty()));
    let via = message.header(Name::Via).and_then(Via::first_lenient);
    (all_there && via.is_some()).then(|| Box::new(message))
}

enum StartLine {
    Good(Start),
    /// Wrong, but still recognisable.
    Bad(Start, WireError),
    /// Not SIP at all, or a response, which nobody answers.
    Hopeless(WireError),
}

fn start_line(line: &[u8]) -> StartLine {
    let Ok(line) = std::str::from_utf8(line) else {
        // Only a reason phrase may be anything but ASCII, and even that is UTF-8.
        return StartLine::Hopeless(WireError::StartLine { rule: "not UTF-8" });
    };
    if line
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"))
    {
        return match status_line(line) {
            Ok(start) => StartLine::Good(start),
            Err(error) => StartLine::Hopeless(error),
        };
    }
    request_line(line)
}

fn status_line(line: &str) -> Result<Start, WireError> {
    let error = |rule| WireError::StartLine { rule };
    let (version, rest) = line.split_once(' ').ok_or(error("no status code"))?;
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(WireError::Version);
    }
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status =
        decimal::<u16>(code).filter(|status| code.len() == 3 && (100..700).contains(status));
    let status = status.ok_or(error("the status is not a number from 100 to 699"))?;
    Ok(Start::Response {
        status,
        reason: clean(reason),
    })
}

fn request_line(line: &str) -> StartLine {
    let hopeless = StartLine::Hopeless(WireError::StartLine {
        rule: "neither a request line nor a status line",
    });
    let Some(first) = line.find(' ') else {
        return hopeless;
    };
    let (method, rest) = split_at(line, first);
    if !is_token(method) {
        return hopeless;
    }
    let method = Method::from_token(method);
    let trimmed = trim(rest);
    let last = trimmed.rfind(' ').unwrap_or(0);
    let (uri, version) = split_at(trimmed, last);
    let (uri, version) = (trim(uri), trim(version));
    if !version
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"))
    {
        return hopeless;
    }
    let error = if !version.eq_ignore_ascii_case("SIP/2.0") {
        Some(WireError::Version)
    } else if rest.len() != uri.len() + version.len() + 2 {
        Some(WireError::StartLine {
            rule: "more than one blank between the parts",
        })
    } else {
        check_request_uri(uri)
            .err()
            .map(|rule| WireError::RequestUri { rule })
    };
    let start = Start::Request {
        method,
        uri: clean(uri),
    };
    match error {
        None => StartLine::Good(start),
        Some(error) => StartLine::Bad(start, error),
    }
}

/// The text with CR and NUL made blanks; what is refused anyway must not carry them either.
fn clean(text: &str) -> Box<str> {
    if text.contains(['\r', '\0']) {
        text.replace(['\r', '\0'], " ").into()
    } else {
        text.into()
    }
}

fn check_request_uri(uri: &str) -> Result<(), &'static str> {
    let parts = UriParts::scan(uri)?;
    if parts.is_sip() && parts.headers.is_some() {
        return Err("headers in a Request-URI");
    }
    Ok(())
}
