//! Cuts a byte stream into messages (RFC 3261 §18.3) and keepalives (RFC 5626 §3.5.1).

use std::time::Instant;

use bytes::{Buf as _, Bytes, BytesMut};

use super::error::{Malformed, WireError};
use super::limits::Limits;
use super::lines::{Fields, Progress, end_of_headers, line, unfold};
use super::parse::{content_length, parse_head};
use crate::sip::msg::{Message, Name};

/// What a stream yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    /// The bytes of exactly one message, for [`super::parse_datagram`].
    Message(Bytes),
    /// CRLFCRLF: answer with one CRLF.
    Ping,
    /// One CRLF: the answer to our own ping, or the first half of a ping whose rest is still on its way.
    Pong,
    /// The stream cannot be cut any more: answer `readable` with `error`'s status when it is there, then close.
    Fatal {
        /// What is wrong.
        error: WireError,
        /// The request's head, when it can be answered.
        readable: Option<Box<Message>>,
    },
}

/// Collects the bytes of one connection. Push what was read, then take items until there are none.
///
/// Holds at most one unfinished message ([`Limits::total`]) beside what was pushed last.
#[derive(Debug)]
pub struct StreamFramer {
    limits: Limits,
    buffer: BytesMut,
    /// How far the search for the empty line has come.
    progress: Progress,
    /// Bytes of the message at the front, once its head is there.
    length: Option<usize>,
    half_ping: bool,
    dead: bool,
    since: Option<Instant>,
    last_push: Option<Instant>,
}

impl StreamFramer {
    /// A framer for a new connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: BytesMut::new(),
            progress: Progress::default(),
            length: None,
            half_ping: false,
            dead: false,
            since: None,
            last_push: None,
        }
    }

    /// Adds bytes that were read at `now`.
    pub fn push(&mut self, now: Instant, bytes: &[u8]) {
        if self.dead || bytes.is_empty() {
            return;
        }
        self.last_push = Some(now);
        self.since.get_or_insert(now);
        self.buffer.extend_from_slice(bytes);
    }

    /// When the first byte of the message that is still incomplete came; `None` between messages. A deadline counts from
    /// here, so that a byte now and then does not prolong it. Valid once all items were taken.
    pub fn incomplete_since(&self) -> Option<Instant> {
        self.since
    }

    fn consume(&mut self, count: usize) {
        self.buffer.advance(count.min(self.buffer.len()));
        self.progress = Progress::default();
        self.length = None;
        if self.buffer.is_empty() {
            self.since = None;
            if self.buffer.capacity() > KEEP {
                self.buffer = BytesMut::new();
            }
        } else {
            // What is left came with the last push, since everything before it has been taken.
            self.since = self.last_push;
        }
    }

    fn fatal(&mut self, error: WireError, head: usize) -> Framed {
        let head = self
            .buffer
            .get(..head)
            .map(Bytes::copy_from_slice)
            .unwrap_or_default();
        let readable = match parse_head(head, &self.limits) {
            Ok(message) => {
                let answerable = message
                    .method()
                    .is_some_and(|m| *m != crate::sip::msg::Method::Ack);
                answerable.then(|| Box::new(message))
            }
            Err(Malformed { readable, .. }) => readable,
        };
        self.dead = true;
        self.since = None;
        self.buffer = BytesMut::new();
        Framed::Fatal { error, readable }
    }

    /// Takes line ends off the front. `Some(None)` means: nothing to do before more bytes come.
    fn line_ends(&mut self) -> Option<Option<Framed>> {
        loop {
            match *self.buffer {
                [b'\r', b'\n', b'\r', b'\n', ..] if !self.half_ping => {
                    self.consume(4);
                    return Some(Some(Framed::Ping));
                }
                [b'\r', b'\n', ..] if self.half_ping => {
                    self.half_ping = false;
                    self.consume(2);
                    return Some(Some(Framed::Ping));
                }
                [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => {
                    self.half_ping = true;
                    self.consume(2);
                    return Some(Some(Framed::Pong));
                }
                [b'\r'] => return Some(None),
                [b'\r', b'\n', ..] => self.consume(2),
                [b'\r' | b'\n', ..] => self.consume(1),
                [] => return Some(None),
                _ => {
                    self.half_ping = false;
                    return None;
                }
            }
        }
    }

    fn message_length(&self, head: usize) -> Result<usize, WireError> {
        let bytes = self.buffer.get(..head).unwrap_or_default();
        let (_, first_field) = line(bytes, 0).unwrap_or((0, 0));
        let mut values = Vec::new();
        for field in Fields::new(bytes, first_field) {
            let name = bytes
                .get(field.name.clone())
                .and_then(|name| std::str::from_utf8(name).ok());
            if name.is_some_and(|name| Name::from_wire(name) == Name::ContentLength) {
                let value = bytes.get(field.value.clone()).unwrap_or_default();
                values.push(if field.folded {
                    unfold(value)
                } else {
                    value.to_vec()
                });
            }
        }
        let length = content_length(values.iter().map(Vec::as_slice))?;
        let length = length.ok_or(WireError::Missing {
            name: Name::ContentLength,
        })?;
        let total = head.saturating_add(length);
        if total > self.limits.total {
            Err(WireError::TooLarge {
                limit: self.limits.total,
            })
        } else {
            Ok(total)
        }
    }
}

impl Iterator for StreamFramer {
    type Item = Framed;

    fn next(&mut self) -> Option<Framed> {
        if self.dead {
            return None;
        }
        if self.progress == Progress::default()
            && self.length.is_none()
            && let Some(done) = self.line_ends()
        {
            return done;
        }
        let length = match self.length {
            Some(length) => length,
            None => match end_of_headers(&self.buffer, &mut self.progress) {
                Some(head) => match self.message_length(head) {
                    Ok(length) => *self.length.insert(length),
                    Err(error) => return Some(self.fatal(error, head)),
                },
                None => {
                    if self.progress.line == 0
                        && self.buffer.len() > self.limits.start_line.saturating_add(1)
                    {
                        let error = WireError::StartLineTooLong {
                            limit: self.limits.start_line,
                        };
                        return Some(self.fatal(error, 0));
                    }
                    if self.buffer.len() > self.limits.total {
                        let error = WireError::TooLarge {
                            limit: self.limits.total,
                        };
                        return Some(self.fatal(error, self.progress.line));
                    }
                    return None;
                }
            },
        };
        let message = Bytes::copy_from_slice(self.buffer.get(..length)?);
        self.consume(length);
        Some(Framed::Message(message))
    }
}

/// Capacity an idle connection may keep, bytes.
const KEEP: usize = 2048;
