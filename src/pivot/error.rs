//! Why a Pivot request led to no flow.

use std::time::Duration;

use crate::host::http::HttpError;
use crate::journal::Code;
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
        /// How long it took.
        took: Duration,
        /// The first line of its body.
        body: String,
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

impl PivotError {
    /// What is told of it in plain words; `None` when the caller is simply gone.
    pub fn cause(&self) -> Option<(Code, Vec<(&'static str, String)>)> {
        let detail = || vec![("detail", self.to_string())];
        Some(match self {
            Self::NoUrl | Self::Url { .. } => (Code::HookUrl, detail()),
            Self::Http { url, error } => {
                let (code, mut values) = of_http(error);
                values.push(("url", url.clone()));
                (code, values)
            }
            Self::Status {
                url,
                status,
                took,
                body,
            } => {
                let code = match status {
                    300..=399 => Code::HookRedirects,
                    500.. => Code::HookFailed,
                    _ => Code::HookRefused,
                };
                let values = vec![
                    ("url", url.clone()),
                    ("status", status.to_string()),
                    ("took", took.as_millis().to_string()),
                    ("body", body.clone()),
                ];
                (code, values)
            }
            Self::Empty => (Code::HookEmpty, Vec::new()),
            Self::Unknown { content_type } => (
                Code::HookContentType,
                vec![("content_type", content_type.clone())],
            ),
            Self::Json { message, at } => (
                Code::HookJson,
                vec![("detail", format!("{message} at byte {at}"))],
            ),
            Self::Schema { path, message, .. } => {
                let place = if path.is_empty() {
                    "the document"
                } else {
                    path
                };
                (
                    Code::HookSchema,
                    vec![("detail", format!("{place}: {message}"))],
                )
            }
            Self::NotTwiml(why) => (Code::HookTwiml, vec![("detail", why.to_string())]),
            Self::TooMany { .. } | Self::Loop { .. } => (Code::HookLoop, detail()),
            Self::Ended => return None,
        })
    }
}

/// What is told of a request without an answer.
fn of_http(error: &HttpError) -> (Code, Vec<(&'static str, String)>) {
    let said = || vec![("detail", error.to_string())];
    match error {
        HttpError::Refused(_) => (Code::HookBlocked, said()),
        HttpError::Timeout { after } => (
            Code::HookTimeout,
            vec![("seconds", after.as_secs_f64().to_string())],
        ),
        HttpError::Name { .. } => (Code::HookDns, Vec::new()),
        HttpError::Connect { detail, .. } | HttpError::Broken { detail, .. } => {
            let low = detail.to_lowercase();
            let has = |words: &[&str]| words.iter().any(|word| low.contains(word));
            let code = if has(&["expired"]) {
                Code::HookCertificate
            } else if has(&[
                "certificate",
                "tls",
                "handshake",
                "unknownissuer",
                "corrupt message",
            ]) {
                Code::HookTls
            } else if matches!(error, HttpError::Connect { .. }) {
                Code::HookUnreachable
            } else {
                Code::HookBroken
            };
            (code, vec![("detail", detail.clone())])
        }
        HttpError::TooLarge { .. } | HttpError::Bomb { .. } => (Code::HookTooLarge, said()),
        _ => (Code::HookBroken, said()),
    }
}
