//! Why a request was refused, and how that is said (`api.md` §1.6).

use serde_json::{Map, Value, json};

use super::verb::Verb;
use crate::base::finding::Finding;
use crate::store::StoreError;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// Fields of the document break rules. All of them are listed.
    #[error("{} fields break rules", .0.len())]
    Invalid(Vec<Finding>),
    /// The body is not JSON.
    #[error("the body cannot be read: {0}")]
    Json(String),
    /// The body has no `data`.
    #[error("the request has no data")]
    NoData,
    /// No token, or one that is not good; or wrong name and password.
    #[error("invalid credentials")]
    Credentials,
    /// The token does not reach that far.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such document.
    #[error("there is no {what} {id}")]
    NoDocument {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// There is no such call; traces are kept for so many days.
    #[error("{}", no_call(*.0))]
    NoCall(Option<u32>),
    /// There is no such path.
    #[error("there is nothing at this path")]
    NoPath,
    /// A parameter of the request makes no sense.
    #[error("{0}")]
    Faulty(String),
    /// The path does not know this verb.
    #[error("the path knows only {0:?}")]
    Method(Vec<Verb>),
    /// An older version of the API.
    #[error("this version of the API is gone")]
    Gone,
    /// The document is not the one the client has.
    #[error("the document has changed")]
    Changed,
    /// An uploaded file breaks a rule.
    #[error("the file: {message}")]
    File {
        /// KAZOO's name of the rule.
        rule: &'static str,
        /// Plain words.
        message: String,
        /// The limit, where there is one.
        target: Option<u64>,
    },
    /// A content type the path does not take.
    #[error("the content type {0} is not taken here")]
    Type(String),
    /// A byte range outside the file.
    #[error("the range lies outside the {0} bytes")]
    Range(usize),
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// Too many requests.
    #[error("too many requests")]
    TooMany,
    /// Deleting an account that has others below it.
    #[error("the account has accounts below it")]
    HasDescendants,
    /// A call that was to be placed did not come about.
    #[error("{0}")]
    CallFailed(String),
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
    /// The store failed.
    #[error("{}", of_store(.0))]
    Store(#[from] StoreError),
}

/// What is said of a store that failed: the rest is for the log.
fn of_store(error: &StoreError) -> String {
    match error {
        StoreError::NoRoom => error.to_string(),
        _ => "the store failed".to_owned(),
    }
}

impl ApiError {
    /// One field that breaks one rule.
    pub(super) fn field(path: &str, rule: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Finding::new(path, rule, message)])
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) | Self::Json(_) | Self::NoData => 400,
            Self::Credentials => 401,
            Self::Forbidden(_) => 403,
            Self::NoDocument { .. } | Self::NoCall(_) | Self::NoPath | Self::Faulty(_) => 404,
            Self::Method(_) => 405,
            Self::Gone => 410,
            Self::Changed => 412,
            Self::File { .. } => 413,
            Self::Type(_) => 415,
            Self::Range(_) => 416,
            Self::Disabled => 423,
            Self::TooMany => 429,
            Self::HasDescendants | Self::CallFailed(_) => 500,
            Self::Store(_) | Self::Unavailable(_) => 503,
        }
    }

    /// KAZOO's word for it: `message` of the envelope.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::Json(_) => "validation error",
            Self::NoData => "validation failed",
            Self::Credentials => "invalid_credentials",
            Self::Forbidden(_) => "forbidden",
            Self::NoDocument { .. } | Self::NoCall(_) => "bad_identifier",
            Self::NoPath => "not_found",
            Self::Faulty(_) => "faulty_request",
            Self::Method(_) => "invalid_method",
            Self::Gone => "gone",
            Self::Changed => "precondition_failed",
            Self::File { .. } => "file error",
            Self::Type(_) => "unsupported_media_type",
            Self::Range(_) => "range not satisfiable",
            Self::Disabled => "locked",
            Self::TooMany => "too_many_requests",
            Self::HasDescendants => "account_has_descendants",
            Self::CallFailed(_) => "unspecified_fault",
            Self::Unavailable(_) => "service unavailable",
            Self::Store(_) => "datastore_fault",
        }
    }

    /// `data` of the envelope.
    pub fn data(&self) -> Value {
        match self {
            Self::Invalid(findings) => Finding::to_data(findings),
            Self::Json(message) => {
                json!({"json": {"invalid": {"message": message, "target": "body"}}})
            }
            Self::NoData => {
                json!({"data": {"required": {"message": "Field is required but missing", "value": "data"}}})
            }
            Self::NoCall(days) => json!({"message": no_call(*days)}),
            Self::NoDocument { id, .. } => json!({"message": "bad identifier", "cause": id}),
            Self::NoPath => json!({"message": "not found"}),
            Self::Credentials => json!({"message": "invalid credentials"}),
            Self::File {
                rule,
                message,
                target,
            } => {
                let mut detail = Map::new();
                detail.insert("message".into(), json!(message));
                if let Some(target) = target {
                    detail.insert("target".into(), json!(target));
                }
                json!({"file": {*rule: detail}})
            }
            Self::Disabled => {
                json!({"account": {"disabled": {"message": "the account is disabled"}}})
            }
            Self::Method(verbs) => {
                let names: Vec<_> = verbs.iter().map(|verb| verb.name()).collect();
                json!({"message": "method not allowed", "target": names})
            }
            other => json!({"message": other.to_string()}),
        }
    }
}
/// A call that is not, or no longer, known.
fn no_call(days: Option<u32>) -> String {
    match days {
        None => "This server keeps no traces of calls (retention.traces).".to_owned(),
        Some(0) => "No call with this id.".to_owned(),
        Some(days) => {
            format!("No call with this id. Calls are kept {days} days; this may be older.")
        }
    }
}
