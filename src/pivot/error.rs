//! Why a Pivot request led to no flow.

use std::time::Duration;

use crate::host::http::HttpError;
use crate::twiml::NotTwiml;

/// Why a Pivot request led to no flow. Each of them takes the failure path of the node.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PivotError {
    /// The node names neither a server nor a document.
    #[error("the pivot node has neither voice_url nor serverless")]
    NoUrl,
    /// The URL is none.
    #[error("voice_url {url:?} is not a URL")]
    Url {
        /// What the node has.
        url: String,
    },
    /// The server could not be asked, or its answer did not arrive.
    #[error("{url}: {error}")]
    Http {
        /// The URL, without user information and query.
        url: String,
        /// Why.
        error: HttpError,
    },
    /// A status other than 200 and 206.
    #[error("{url} answered HTTP {status}")]
    Status {
        /// The URL, without user information and query.
        url: String,
        /// The status.
        status: u16,
    },
    /// The answer has no body.
    #[error("the answer is empty")]
    Empty,
    /// The answer is neither callflow JSON nor XML.
    #[error("the answer ({content_type}) is neither callflow JSON nor TwiML")]
    Unknown {
        /// Its content type.
        content_type: String,
    },
    /// The answer is JSON with a mistake.
    #[error("the answer cannot be read: {message} at byte {at}")]
    Json {
        /// `invalid JSON` or `trailing data`, with what is wrong.
        message: String,
        /// Where.
        at: usize,
    },
    /// The answer is JSON, but not a flow.
    #[error("the answer is not a callflow: {count} rules broken, first {path}: {message}")]
    Schema {
        /// How many rules.
        count: usize,
        /// The field of the first.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The answer is XML that is not TwiML.
    #[error("the answer is not TwiML: {0}")]
    NotTwiml(#[from] NotTwiml),
    /// The call has made as many Pivot requests as it may.
    #[error("{limit} pivot requests in one call are the limit")]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// Pivot requests follow each other too fast: a loop.
    #[error("{limit} pivot requests in a row within {within:?} are the limit")]
    Loop {
        /// The limit.
        limit: u32,
        /// Within which time.
        within: Duration,
    },
    /// The call has ended and may ask no more.
    #[error("the call has ended")]
    Ended,
}
