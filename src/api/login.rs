//! `PUT user_auth` (`api.md` §2.1): from a hash of name and password to a token; and from a token to who asks.

use std::sync::Arc;

use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use sha1::Sha1;

use super::Api;
use super::call::{Call, Principal};
use super::error::ApiError;
use crate::base::finding::Finding;
use crate::base::time::UnixMicros;
use crate::directory::{Account, Directory, User, private};

/// The two hashes that are kept of a password: MD5 and SHA-1 of `name:password`, the name in lower case.
pub(super) fn hashes(username: &str, password: &str) -> (String, String) {
    let text = format!("{}:{password}", username.to_lowercase());
    (
        hex::encode(Md5::digest(&text)),
        hex::encode(Sha1::digest(&text)),
    )
}

/// An account name as it is compared: lower case, letters and digits only.
pub(super) fn plain_name(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase()
}

/// Which of the two hashes a client sends.
enum Hash {
    Md5,
    Sha1,
}

/// Finds the account and user the credentials belong to.
pub(super) fn check(call: &Call) -> Result<(Arc<Account>, Arc<User>), ApiError> {
    let Some(credentials) = call.text("credentials") else {
        return Err(ApiError::Invalid(vec![
            Finding::new("credentials", "required", "Field is required but missing")
                .with_value(json!("credentials")),
        ]));
    };
    let length = credentials.chars().count();
    if !(1..=64).contains(&length) {
        let rule = if length == 0 {
            "minLength"
        } else {
            "maxLength"
        };
        let target = if length == 0 { 1 } else { 64 };
        let finding = Finding::new("credentials", rule, "has the wrong length").with_target(target);
        return Err(ApiError::Invalid(vec![finding]));
    }
    let method = call.text("method").unwrap_or_else(|| "md5".to_owned());
    let hash = match method.to_ascii_lowercase().as_str() {
        "md5" => Hash::Md5,
        "sha" | "sha1" => Hash::Sha1,
        _ => {
            let finding = Finding::new("method", "enum", "is not one of md5, sha")
                .with_target(json!(["md5", "sha"]));
            return Err(ApiError::Invalid(vec![finding.with_value(json!(method))]));
        }
    };
    let credentials = credentials.to_ascii_lowercase();
    let accounts = accounts(call.api.directory(), call);
    let mut found = None;
    let mut matches = 0_u32;
    for account in &accounts {
        // Every user is compared, so that the time says nothing about which name exists.
        for user in account.users.values().filter(|user| user.enabled) {
            if is_password(user, &hash, &credentials) {
                matches += 1;
                found = Some((Arc::clone(account), Arc::clone(user)));
            }
        }
    }
    if matches > 1 && !names_account(call) {
        return Err(ApiError::field(
            "account_name",
            "required",
            "several accounts know this name and password: name one",
        ));
    }
    match found {
        Some((account, _)) if !account.enabled => Err(ApiError::Disabled),
        Some(found) => Ok(found),
        None => Err(ApiError::Credentials),
    }
}

/// The account a key belongs to (`api.md` §2.2).
pub(super) fn by_key(directory: &Directory, key: &str) -> Option<Arc<Account>> {
    let mut found = None;
    // Every account is compared, so that the time says nothing about which key exists.
    for account in directory.accounts() {
        let stored = account.doc.get(private::API_KEY).and_then(Value::as_str);
        let stored = stored.unwrap_or_default();
        let same: bool = subtle::ConstantTimeEq::ct_eq(stored.as_bytes(), key.as_bytes()).into();
        if same && !stored.is_empty() {
            found = Some(account);
        }
    }
    found
}

/// Whether the client says whose user it is.
fn names_account(call: &Call) -> bool {
    let names = ["phone_number", "account_realm", "realm", "account_name"];
    names.iter().any(|name| call.text(name).is_some())
}

fn accounts(directory: &Directory, call: &Call) -> Vec<Arc<Account>> {
    if let Some(number) = call.text("phone_number") {
        let owns = |account: &Arc<Account>| account.numbers.owner_of_number(&number).is_some();
        return directory.accounts().into_iter().filter(owns).collect();
    }
    if let Some(realm) = call.text("account_realm").or_else(|| call.text("realm")) {
        return directory.by_realm(&realm).into_iter().collect();
    }
    match call.text("account_name").map(|name| plain_name(&name)) {
        Some(name) if name.is_empty() => Vec::new(),
        Some(name) => directory
            .accounts()
            .into_iter()
            .filter(|account| plain_name(&account.name) == name)
            .collect(),
        // The page asks for name and password only; both together are enough to tell accounts apart.
        None if call.flag("any_account") == Some(true) => directory.accounts(),
        None => Vec::new(),
    }
}

fn is_password(user: &User, hash: &Hash, credentials: &str) -> bool {
    let key = match hash {
        Hash::Md5 => private::MD5_AUTH,
        Hash::Sha1 => private::SHA1_AUTH,
    };
    let Some(stored) = user.doc.get(key).and_then(Value::as_str) else {
        return false;
    };
    subtle::ConstantTimeEq::ct_eq(stored.as_bytes(), credentials.as_bytes()).into()
}

/// What a login and a look at a token answer.
pub(super) fn told(account: &Account, user: Option<&User>) -> Value {
    let language = user
        .and_then(|user| user.doc.get("language"))
        .or_else(|| account.doc.get("language"));
    let master = account
        .doc
        .get(super::call::SUPERDUPER)
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let mut data = json!({
        "account_id": &*account.id,
        "account_name": account.name,
        "apps": [],
        "language": language.and_then(Value::as_str).unwrap_or("en-US"),
        "cluster_id": "swivel",
        "reseller_id": super::call::tree(account).first().copied().unwrap_or(&account.id),
        "is_reseller": master,
        "is_master_account": master,
        "capabilities": {"voicemail": {"transcription": {"available": false, "default": false}}},
    });
    if let (Some(user), Some(data)) = (user, data.as_object_mut()) {
        data.insert("owner_id".into(), json!(user.id));
    }
    data
}

/// Who a token belongs to, when it is good.
pub(super) fn principal(api: &Api, token: &str, now: UnixMicros) -> Result<Principal, ApiError> {
    let claims = api.tokens().read(token, now).ok_or(ApiError::Credentials)?;
    let account = api
        .directory()
        .account(&claims.account_id)
        .ok_or(ApiError::Credentials)?;
    let user = match &claims.owner_id {
        Some(id) => Some(Arc::clone(
            account
                .users
                .get(id)
                .filter(|user| user.enabled)
                .ok_or(ApiError::Credentials)?,
        )),
        None => None,
    };
    if !api.tokens().is_current(&claims, user.as_deref()) {
        return Err(ApiError::Credentials);
    }
    Ok(Principal {
        account,
        user,
        claims,
        token: token.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_clients_make() {
        let (md5, sha1) = hashes("Admin", "secret");
        // As `printf admin:secret | md5sum` and `sha1sum` say.
        assert_eq!(md5, "2d1e4f91dae49cd08eaba2293e422273");
        assert_eq!(sha1, "7efaf6701fdf8c6780897f20d5a1a1526dd92029");
    }

    #[test]
    fn names_are_compared_by_letters_and_digits() {
        assert_eq!(plain_name("My Account #1"), "myaccount1");
    }
}
