//! One request, taken apart: verb, path, envelope, token, files.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::Api;
use super::error::ApiError;
use super::resources::Resource;
use super::token::Claims;
use super::verb::Verb;
use crate::base::time::UnixMicros;
use crate::directory::{Account, User, private};

/// A noun of the path with what follows it: `users` `[id]`.
pub(super) struct Noun {
    pub(super) resource: &'static Resource,
    pub(super) args: Vec<String>,
}

/// An uploaded file.
pub(super) struct Upload {
    pub(super) content_type: String,
    pub(super) bytes: Bytes,
}

/// Who asks.
pub(super) struct Principal {
    pub(super) account: Arc<Account>,
    pub(super) user: Option<Arc<User>>,
    pub(super) claims: Claims,
    pub(super) token: String,
}

impl Principal {
    /// Whether the token is of the first account, which may do everything.
    pub(super) fn is_superduper(&self) -> bool {
        self.account
            .doc
            .get(SUPERDUPER)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// Whether the token reaches `account`: its own, one below it, or any for the first account.
    pub(super) fn reaches(&self, account: &Account) -> bool {
        self.account.id == account.id
            || self.is_superduper()
            || tree(account).contains(&&*self.account.id)
    }

    /// Whether the user administers its account. Tokens without a user do.
    pub(super) fn is_admin(&self) -> bool {
        self.user.as_ref().is_none_or(|user| user.admin)
    }

    /// Whose calls alone it may look into; `None`: everybody's.
    pub(super) fn only_own(&self) -> Option<String> {
        let user = self.user.as_ref().filter(|user| !user.admin);
        user.map(|user| user.id.to_string())
    }
}

/// Marks the first account.
pub(super) const SUPERDUPER: &str = private::SUPERDUPER;
/// Ids of the accounts above one, the first account first.
pub const TREE: &str = private::TREE;

/// The ids of the accounts above `account`.
pub(super) fn tree(account: &Account) -> Vec<&str> {
    let ids = account
        .doc
        .get(TREE)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    ids.filter_map(Value::as_str).collect()
}

/// One request.
pub(super) struct Call {
    pub(super) api: Api,
    pub(super) verb: Verb,
    pub(super) nouns: Vec<Noun>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) envelope: Map<String, Value>,
    /// `data` of the envelope; `Null` when there was no body.
    pub(super) data: Value,
    pub(super) files: Vec<Upload>,
    pub(super) client: IpAddr,
    pub(super) now: UnixMicros,
    pub(super) at: Instant,
    pub(super) principal: Option<Principal>,
    /// The account named in the path.
    pub(super) account: Option<Arc<Account>>,
}

impl Call {
    /// What follows the last noun.
    pub(super) fn args(&self) -> Vec<&str> {
        self.nouns.last().map_or_else(Vec::new, |noun| {
            noun.args.iter().map(String::as_str).collect()
        })
    }

    /// The account of the path.
    pub(super) fn account(&self) -> Result<&Arc<Account>, ApiError> {
        self.account.as_ref().ok_or(ApiError::NoPath)
    }

    /// The id a noun before the last is about: `users` in `/users/{U}/cdrs`.
    pub(super) fn within(&self, noun: &str) -> Option<&str> {
        let before = self.nouns.split_last()?.1;
        before
            .iter()
            .find(|n| n.resource.name == noun)?
            .args
            .first()
            .map(String::as_str)
    }

    /// A request parameter: of `data`, else of the query, else of the envelope.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        let in_data = self
            .data
            .as_object()
            .and_then(|data| data.get(name))
            .cloned();
        in_data
            .or_else(|| {
                self.query_text(name)
                    .map(|text| Value::String(text.to_owned()))
            })
            .or_else(|| self.envelope.get(name).cloned())
    }

    /// A request parameter as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(yes) => Some(yes.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// A request parameter that is yes or no.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.text(name)?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        }
    }

    /// A whole number of the query, data or envelope.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(ApiError::Faulty(format!(
                "{name} must be a whole number, not {text}"
            ))),
        }
    }

    /// A parameter of the query alone.
    pub(super) fn query_text(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The fields of `data` a client may set.
    pub(super) fn fields(&self) -> Result<Map<String, Value>, ApiError> {
        match &self.data {
            Value::Object(fields) => {
                let own = fields
                    .iter()
                    .filter(|(key, _)| !private::is_private(key) && *key != "id");
                Ok(own
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect())
            }
            Value::Null => Ok(Map::new()),
            _ => Err(ApiError::field("data", "type", "data must be an object")),
        }
    }
}
