//! Documents from a trusted file (`swivel apply`): the same checks as over HTTP, without a token, and nothing is
//! written that is the same already.

use serde_json::{Map, Value, json};

use super::Api;
use super::call::{SUPERDUPER, TREE};
use super::documents::{self, Documents, Mode, Saved, Who, Write};
use super::error::ApiError;
use super::resources::{
    accounts, blacklists, callflows, clicktocall, conferences, devices, directories, groups,
    hosted, limits, lists, media, menus, phone_numbers, temporal_rules, temporal_rules_sets,
    trunks, users, webhooks,
};
use super::verb::Verb;
use crate::base::finding::Finding;
use crate::base::id::{document_id, is_safe_name};
use crate::directory::{Account, Kind, private};

/// Why a document was not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// It breaks rules; every one is listed.
    #[error("{}", list(.0))]
    Invalid(Vec<Finding>),
    /// An id that cannot be one.
    #[error("the id `{0}` may have letters, digits, `-` and `_` only, 64 at most")]
    Id(String),
    /// The store failed, or something else beyond the document.
    #[error(transparent)]
    Other(ApiError),
}

fn list(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings
        .iter()
        .map(|f| format!("{}: {} ({})", f.path, f.message, f.rule))
        .collect();
    lines.join("; ")
}

/// Private keys `apply` keeps, so that an export can be applied again.
pub const KEPT: [&str; 7] = [
    private::AUTH_TOKEN,
    private::API_KEY,
    private::MD5_AUTH,
    private::SHA1_AUTH,
    private::NUMBER_STATE,
    TREE,
    SUPERDUPER,
];

impl Api {
    /// Stores a document of `account` unless it is there already, the same. An `id` in it is kept; without one the
    /// document of that kind with the same name (users: user name; callflows: first number) is meant, else a new one.
    /// For [`Kind::Account`] the account is found by id, realm or name; `account` is not looked at.
    ///
    /// # Errors
    /// When it breaks rules, or the store fails.
    pub async fn apply(
        &self,
        kind: Kind,
        account: &str,
        document: Map<String, Value>,
    ) -> Result<Saved, ApplyError> {
        let docs = documents_of(kind);
        let mut private: Map<String, Value> = document
            .iter()
            .filter(|(key, _)| KEPT.contains(&key.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let named = match kind {
            Kind::Limits => Some(limits::ID.to_owned()),
            _ => document
                .get("id")
                .and_then(Value::as_str)
                .map(str::to_owned),
        };
        // A phone number's id is the number itself, and its own check judges it.
        let named = named.map(|id| match kind {
            Kind::PhoneNumber => crate::routing::to_e164(&id),
            _ => id,
        });
        if let Some(id) = &named
            && !is_safe_name(id)
            && !matches!(kind, Kind::Media | Kind::PhoneNumber)
        {
            return Err(ApplyError::Id(id.clone()));
        }
        let mut fields = document;
        fields.retain(|key, _| !private::is_private(key) && key != "id");
        let existing = named.clone().or_else(|| self.meant(kind, account, &fields));
        let id = existing.unwrap_or_else(|| new_id(kind, &fields, || document_id(&mut self.rng())));
        let owner = if kind == Kind::Account {
            id.as_str()
        } else {
            account
        };
        let known = self.directory().account(owner);
        if kind == Kind::Account && known.is_none() && !private.contains_key(TREE) {
            // The first account is the root; others stand below it.
            let root = self
                .directory()
                .accounts()
                .into_iter()
                .find(|a| a.doc.get(SUPERDUPER).is_some());
            private.insert(
                TREE.into(),
                json!(
                    root.iter()
                        .map(|root| root.id.to_string())
                        .collect::<Vec<_>>()
                ),
            );
            if root.is_none() {
                private.insert(SUPERDUPER.into(), json!(true));
            }
        }
        if kind == Kind::User {
            keep_password(known.as_deref(), &id, &mut fields);
        }
        let write = Write {
            account: owner,
            id: Some(&id),
            fields,
            private,
            mode: Mode::Replace,
            verb: Verb::Put,
            who: Who {
                account: String::new(),
                owner: None,
                how: "apply".to_owned(),
                client: String::new(),
            },
            if_match: None,
            skip_same: true,
        };
        documents::save(self, docs, write)
            .await
            .map_err(|error| match error {
                ApiError::Invalid(findings) => ApplyError::Invalid(findings),
                other => ApplyError::Other(other),
            })
    }

    /// The document a file means that gives no id.
    fn meant(&self, kind: Kind, account: &str, fields: &Map<String, Value>) -> Option<String> {
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        if kind == Kind::Account {
            if let Some(found) = text("realm").and_then(|realm| self.directory().by_realm(realm)) {
                return Some(found.id.to_string());
            }
            let name = super::login::plain_name(text("name")?);
            let found = self
                .directory()
                .accounts()
                .into_iter()
                .find(|a| super::login::plain_name(&a.name) == name)?;
            // The same name with another realm is another account, which the check of names will refuse.
            return text("realm").is_none().then(|| found.id.to_string());
        }
        let account = self.directory().account(account)?;
        let same = |doc: &Value, key: &str| {
            let text = text(key);
            text.is_some()
                && doc.get(key).and_then(Value::as_str).map(str::to_lowercase)
                    == text.map(str::to_lowercase)
        };
        let found = account
            .documents(kind)
            .into_iter()
            .find(|(_, doc)| match kind {
                Kind::User => same(doc, "username"),
                Kind::Callflow => shares_number(doc, fields),
                Kind::ListEntry => ["list_id", "number", "pattern"]
                    .iter()
                    .all(|key| doc.get(*key) == fields.get(*key)),
                _ => same(doc, "name"),
            });
        found.map(|(id, _)| id.to_owned())
    }
}

fn shares_number(doc: &Value, fields: &Map<String, Value>) -> bool {
    ["numbers", "patterns"].iter().any(|key| {
        let first = fields.get(*key).and_then(|list| list.get(0));
        let mine = first.and_then(Value::as_str).map(crate::routing::to_e164);
        let theirs = doc
            .get(*key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        first.is_some()
            && theirs
                .into_iter()
                .any(|n| Some(n) == first || n.as_str().map(str::to_owned) == mine)
    })
}

/// A user whose password in the file is the one it has keeps its hashes, so that nothing changes.
fn keep_password(account: Option<&Account>, id: &str, fields: &mut Map<String, Value>) {
    let Some(old) = account.and_then(|account| account.users.get(id)) else {
        return;
    };
    let (Some(name), Some(password)) = (
        fields
            .get("username")
            .and_then(Value::as_str)
            .or(old.username.as_deref()),
        fields.get("password").and_then(Value::as_str),
    ) else {
        return;
    };
    let (_, sha1) = super::login::hashes(name, password);
    if old.doc.get(private::SHA1_AUTH).and_then(Value::as_str) == Some(sha1.as_str()) {
        fields.remove("password");
    }
}

fn new_id(kind: Kind, fields: &Map<String, Value>, fresh: impl FnOnce() -> String) -> String {
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    match (kind, text("prompt_id")) {
        (Kind::Media, Some(prompt)) => format!(
            "{}/{prompt}",
            text("language").unwrap_or("en-us").to_lowercase()
        ),
        _ => fresh(),
    }
}

fn documents_of(kind: Kind) -> &'static Documents {
    match kind {
        Kind::Account => &accounts::ACCOUNTS,
        Kind::User => &users::USERS,
        Kind::Device => &devices::DEVICES,
        Kind::Group => &groups::GROUPS,
        Kind::PhoneNumber => &phone_numbers::NUMBERS,
        Kind::Trunk => &trunks::TRUNKS,
        Kind::TemporalRule => &temporal_rules::RULES,
        Kind::TemporalRuleSet => &temporal_rules_sets::SETS,
        Kind::Limits => &limits::LIMITS,
        Kind::Menu => &menus::MENUS,
        Kind::Conference => &conferences::CONFERENCES,
        Kind::Media => &media::MEDIA,
        Kind::List => &lists::LISTS,
        Kind::ListEntry => &lists::ENTRIES,
        Kind::ClickToCall => &clicktocall::CLICKS,
        Kind::Blacklist => &blacklists::BLACKLISTS,
        Kind::Directory => &directories::DIRECTORIES,
        Kind::Webhook => &webhooks::WEBHOOKS,
        Kind::Hosted => &hosted::HOSTED,
        Kind::Callflow => &callflows::CALLFLOWS,
    }
}
