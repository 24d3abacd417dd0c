//! What is wrong with bytes that should have been a message, and how to answer them.

use std::borrow::Cow;

use crate::sip::msg::{Message, Name};

/// Why bytes are refused. Each variant knows the header it is about and the status it deserves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Nothing but line ends: a keepalive, to be dropped without a word.
    #[error("nothing but line ends")]
    Keepalive,
    /// The first line is neither a request line nor a status line.
    #[error("start line: {rule}")]
    StartLine {
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The Request-URI breaks its grammar.
    #[error("Request-URI: {rule}")]
    RequestUri {
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The version is not SIP/2.0.
    #[error("the version is not SIP/2.0")]
    Version,
    /// The first line is longer than allowed.
    #[error("the start line is longer than {limit} bytes")]
    StartLineTooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// One header is longer than allowed.
    #[error("{}: longer than {limit} bytes", display_name(header))]
    HeaderTooLong {
        /// The header.
        header: Box<str>,
        /// Bytes allowed, name included.
        limit: usize,
    },
    /// Too many header lines.
    #[error("more than {limit} headers")]
    TooManyHeaders {
        /// Lines allowed.
        limit: usize,
    },
    /// Too many Via values.
    #[error("Via: more than {limit} values")]
    TooManyVias {
        /// Values allowed.
        limit: usize,
    },
    /// The whole message is, or says it is, longer than allowed.
    #[error("the message is longer than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// A header line without a usable name.
    #[error("a header line whose name is not a token")]
    HeaderName,
    /// A header that must be there is not.
    #[error("{}: missing", .name.as_str())]
    Missing {
        /// The header.
        name: Name,
    },
    /// A header that may be there once is there twice.
    #[error("{}: more than one", .name.as_str())]
    Duplicate {
        /// The header.
        name: Name,
    },
    /// A header value breaks its grammar.
    #[error("{}: {rule}", display_name(header))]
    Value {
        /// The header.
        header: Box<str>,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// The method of CSeq is not the method of the request (RFC 3261 §8.1.1.5).
    #[error("CSeq: the method is not the request's")]
    CSeqMethod,
    /// The body is shorter than Content-Length says.
    #[error("Content-Length: the body is shorter")]
    BodyTooShort,
    /// The headers do not end.
    #[error("the headers do not end")]
    Unfinished,
}

impl WireError {
    /// The header the error is about; empty when it is about none.
    pub fn header(&self) -> &str {
        match self {
            Self::HeaderTooLong { header, .. } | Self::Value { header, .. } => header,
            Self::Missing { name } | Self::Duplicate { name } => name.as_str(),
            Self::CSeqMethod => Name::CSeq.as_str(),
            Self::BodyTooShort => Name::ContentLength.as_str(),
            Self::TooManyVias { .. } => Name::Via.as_str(),
            Self::RequestUri { .. } => "Request-URI",
            Self::Keepalive
            | Self::StartLine { .. }
            | Self::Version
            | Self::StartLineTooLong { .. }
            | Self::TooManyHeaders { .. }
            | Self::TooLarge { .. }
            | Self::HeaderName
            | Self::Unfinished => "",
        }
    }

    /// The status a request with this error is answered with.
    pub fn status(&self) -> u16 {
        match self {
            Self::Version => 505,
            Self::TooLarge { .. } => 413,
            Self::StartLineTooLong { .. } => 414,
            Self::Keepalive
            | Self::StartLine { .. }
            | Self::RequestUri { .. }
            | Self::HeaderTooLong { .. }
            | Self::TooManyHeaders { .. }
            | Self::TooManyVias { .. }
            | Self::HeaderName
            | Self::Missing { .. }
            | Self::Duplicate { .. }
            | Self::Value { .. }
            | Self::CSeqMethod
            | Self::BodyTooShort
            | Self::Unfinished => 400,
        }
    }

    /// The reason phrase to answer with; it names the header.
    pub fn reason(&self) -> Cow<'static, str> {
        match self {
            Self::Version => "Version Not Supported".into(),
            Self::TooLarge { .. } => "Message Too Large".into(),
            Self::StartLineTooLong { .. } => "Request-URI Too Long".into(),
            Self::Missing { name } => format!("Missing {}", name.as_str()).into(),
            Self::Duplicate { name } => format!("More Than One {}", name.as_str()).into(),
            Self::CSeqMethod => "CSeq Method Does Not Match".into(),
            Self::TooManyHeaders { .. } => "Too Many Headers".into(),
            Self::TooManyVias { .. } => "Too Many Via".into(),
            Self::BodyTooShort => "Content-Length Exceeds Body".into(),
            Self::HeaderName => "Bad Header Name".into(),
            Self::HeaderTooLong { .. } => {
                format!("{} Too Long", display_name(self.header())).into()
            }
            Self::RequestUri { .. } | Self::Value { .. } => {
                format!("Bad {}", display_name(self.header())).into()
            }
            Self::Keepalive | Self::StartLine { .. } | Self::Unfinished => "Bad Request".into(),
        }
    }
}

/// A header name fit for a log line or a reason phrase; what a peer sent as a name is already a token here.
fn display_name(name: &str) -> &str {
    name.get(..64).unwrap_or(name)
}

/// Bytes that are no message, and what could still be read of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Malformed {
    /// What is wrong; the first thing found.
    pub error: WireError,
    /// The request as far as it could be read, when that is enough to answer it (Via, From, To, Call-ID, CSeq).
    /// `None` means: drop it. Always `None` for responses and ACK, which are never answered.
    pub readable: Option<Box<Message>>,
}
