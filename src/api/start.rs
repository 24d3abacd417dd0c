//! The first start: an empty store gets an account and somebody to sign in as (decision 3).

use serde_json::{Map, Value, json};

use super::Api;
use super::call::{SUPERDUPER, TREE};
use super::documents::{self, Mode, Who, Write};
use super::error::ApiError;
use super::resources::{accounts, users};
use super::verb::Verb;
use crate::base::id::document_id;
use crate::base::secret::Secret;

/// What an operator is told once, at the first start.
#[derive(Debug, Clone)]
pub struct FirstStart {
    /// Id of the account.
    pub account_id: String,
    /// Name of the account.
    pub account_name: String,
    /// Its realm.
    pub realm: String,
    /// Name to sign in with.
    pub username: String,
    /// Password to sign in with. Not stored anywhere.
    pub password: Secret,
}

impl Api {
    /// Makes the account `default` with the realm `host` and the administrator `admin`, when there is no account yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn first_start(&self, host: &str) -> Result<Option<FirstStart>, ApiError> {
        if !self.directory().accounts().is_empty() {
            return Ok(None);
        }
        let realm = usable_realm(host, &self.config().realm_suffix);
        let id = document_id(&mut self.rng());
        let password = self.rng().hex(10);
        let mut private = Map::new();
        private.insert(TREE.into(), json!([]));
        private.insert(SUPERDUPER.into(), json!(true));
        let account = json!({"name": "default", "realm": realm});
        let user = json!({"first_name": "Admin", "last_name": "Default", "username": "admin",
                          "password": password, "priv_level": "admin"});
        documents::save(self, &accounts::ACCOUNTS, write(&id, account, private)).await?;
        documents::save(self, &users::USERS, write(&id, user, Map::new())).await?;
        Ok(Some(FirstStart {
            account_id: id,
            account_name: "default".to_owned(),
            realm,
            username: "admin".to_owned(),
            password: Secret::new(password),
        }))
    }
}

fn write(account: &str, fields: Value, private: Map<String, Value>) -> Write<'_> {
    let fields = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    Write {
        account,
        id: None,
        fields,
        private,
        mode: Mode::Replace,
        verb: Verb::Put,
        who: Who {
            account: String::new(),
            owner: None,
            how: "first start".to_owned(),
            client: String::new(),
        },
        if_match: None,
        skip_same: false,
    }
}

/// The host's name where it can be a realm (four characters at least), else one below it.
fn usable_realm(host: &str, suffix: &str) -> String {
    let plain: String = host
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c))
        .collect();
    match plain.len() {
        4..=253 => plain,
        0 => format!("default.{suffix}"),
        _ => format!("{plain}.{suffix}"),
    }
}
