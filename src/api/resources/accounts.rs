//! `/accounts` (`api.md` §3.1): tenants, in a tree. A token reaches its own account and those below it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::{Call, SUPERDUPER, TREE, tree};
use crate::api::documents::{self, Documents, Draft, Mode, Write};
use crate::api::error::ApiError;
use crate::api::list;
use crate::api::login::plain_name;
use crate::api::verb::Verb;
use crate::base::id::document_id;
use crate::directory::{Account, Kind, private};

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    ..Resource::new("accounts", verbs, |call| Box::pin(answer(call)))
};

/// The kind.
pub(in crate::api) const ACCOUNTS: Documents = Documents {
    check,
    show,
    ..Documents::plain(Kind::Account, "account", "accounts", |id, doc| list::project(id, doc, &["name", "realm", "flags"]))
};

pub(super) fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [] => &[Verb::Get, Verb::Put],
        // PUT on an account creates one below it.
        [_] => &[Verb::Get, Verb::Put, Verb::Post, Verb::Patch, Verb::Delete],
        [_, "api_key"] => &[Verb::Get, Verb::Put],
        [_, "children" | "descendants" | "siblings" | "parents" | "tree"] => READ,
        _ => NONE,
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let args = call.args();
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    match (args.as_slice(), call.verb) {
        ([], Verb::Get) => {
            if !principal.is_superduper() {
                return Err(ApiError::Forbidden("only the first account may list all".to_owned()));
            }
            rows(call, |_| true)
        }
        ([], Verb::Put) => create(call, &principal.account).await,
        ([_], Verb::Put) => create(call, call.account()?).await,
        ([id], verb) => {
            let account = call.account()?;
            let own = account.id == principal.account.id;
            if verb.writes() && !principal.is_admin() {
                return Err(ApiError::Forbidden("only administrators may change an account".to_owned()));
            }
            match verb {
                Verb::Get | Verb::Put => {
                    let mut answer = documents::shown(&ACCOUNTS, call, id, &account.doc, 200);
                    let key = account.doc.get(private::API_KEY);
                    if let (Some(true), Some(key), Some(data)) =
                        (call.flag("include_api_key"), key.filter(|_| principal.is_admin()), answer.data.as_object_mut())
                    {
                        data.insert("api_key".into(), key.clone());
                    }
                    Ok(answer)
                }
                Verb::Post | Verb::Patch => {
                    let mode = if verb == Verb::Patch { Mode::Merge } else { Mode::Replace };
                    let mut write = documents::write(call, Some(id), mode)?;
                    // Only an account above may enable or disable.
                    if own && let Some(enabled) = account.doc.get("enabled") {
                        write.fields.insert("enabled".into(), enabled.clone());
                    }
                    let saved = documents::save(&call.api, &ACCOUNTS, write).await?;
                    let mut answer = documents::shown(&ACCOUNTS, call, id, &saved.doc, 200);
                    answer.warnings = saved.warnings;
                    Ok(answer)
                }
                Verb::Delete => delete(call, account).await,
            }
        }
        ([_, "api_key"], verb) => api_key(call, verb).await,
        ([id, "children"], _) => rows(call, |account| tree(account).last() == Some(id)),
        ([id, "descendants"], _) => rows(call, |account| tree(account).contains(id)),
        ([id, "siblings"], _) => {
            let parent = tree(call.account()?).last().map(|id| (*id).to_owned());
            rows(call, |account| &*account.id != *id && parent.is_some() && tree(account).last().copied() == parent.as_deref())
        }
        ([_, "parents" | "tree"], _) => {
            let directory = call.api.directory();
            let above = tree(call.account()?).into_iter().filter_map(|id| directory.account(id));
            let rows = above.map(|account| json!({"id": &*account.id, "name": account.name}));
            Ok(Answer::ok(Value::Array(rows.collect())))
        }
        _ => Err(ApiError::NoPath),
    }
}

/// Accounts the token reaches, as far as `wanted`.
fn rows(call: &Call, wanted: impl Fn(&Account) -> bool) -> Result<Answer, ApiError> {
    let all = call.api.directory().accounts();
    let rows = all.iter().filter(|account| wanted(account)).map(|account| {
        let below = all.iter().filter(|other| tree(other).contains(&&*account.id)).count();
        let row = json!({
            "id": &*account.id,
            "name": account.name,
            "realm": &*account.realm,
            "descendants_count": below,
            "tree": tree(account),
            "flags": account.doc.get("flags").cloned().unwrap_or_else(|| json!([])),
        });
        let key = format!("{}\0{}", account.name.to_lowercase(), account.id).into_bytes();
        (key, (*account.doc).clone(), row)
    });
    list::page(call, rows.collect())
}

async fn create(call: &Call, parent: &Account) -> Result<Answer, ApiError> {
    let id = document_id(&mut call.api.rng());
    let mut above: Vec<&str> = tree(parent);
    above.push(&parent.id);
    let write = Write {
        account: &id,
        id: None,
        fields: call.fields()?,
        private: Map::from_iter([(TREE.to_owned(), json!(above))]),
        mode: Mode::Replace,
        verb: Verb::Put,
        who: documents::who(call),
        if_match: None,
        skip_same: false,
    };
    let saved = documents::save(&call.api, &ACCOUNTS, write).await?;
    let mut answer = documents::shown(&ACCOUNTS, call, &id, &saved.doc, 201);
    if let (Some(account), Some(data)) = (call.api.directory().account(&id), answer.data.as_object_mut()) {
        show(&account, data, &saved.doc);
    }
    answer.warnings = saved.warnings;
    answer.location = Some(id);
    Ok(answer)
}

/// The key by which programs sign in (`api.md` §2.2); PUT makes a new one, which ends the old.
async fn api_key(call: &Call, verb: Verb) -> Result<Answer, ApiError> {
    super::admin(call)?;
    let account = call.account()?;
    let known = account.doc.get(private::API_KEY).and_then(Value::as_str);
    if let (Some(key), false) = (known, verb == Verb::Put) {
        return Ok(Answer::ok(json!({"api_key": key})));
    }
    let key = call.api.rng().hex(32);
    let mut write = documents::write(call, Some(&account.id), Mode::Merge)?;
    write.fields = Map::new();
    write.private.insert(private::API_KEY.to_owned(), json!(key));
    documents::save(&call.api, &ACCOUNTS, write).await?;
    let answer = if verb == Verb::Put { Answer::created } else { Answer::ok };
    Ok(answer(json!({"api_key": key})))
}

async fn delete(call: &Call, account: &Arc<Account>) -> Result<Answer, ApiError> {
    if account.doc.get(SUPERDUPER).is_some() {
        return Err(ApiError::Forbidden("the first account cannot be deleted".to_owned()));
    }
    if call.api.directory().accounts().iter().any(|other| tree(other).contains(&&*account.id)) {
        return Err(ApiError::HasDescendants);
    }
    let gone = documents::delete(&call.api, &ACCOUNTS, account, &account.id, &documents::who(call), None).await?;
    let mut answer = documents::shown(&ACCOUNTS, call, &account.id, &gone, 200);
    if let Some(data) = answer.data.as_object_mut() {
        data.insert("_read_only".into(), json!({"deleted": true}));
    }
    Ok(answer)
}

fn check(draft: &mut Draft<'_>) {
    draft.judge_metaflows();
    draft.judge_recording();
    for key in SHOWN {
        draft.fields.remove(key);
    }
    // Kept where nobody is shown it.
    if let Some(token) = draft.fields.remove("auth_token") {
        draft.private.insert(private::AUTH_TOKEN.into(), token);
    }
    let mut others = draft.directory.accounts();
    others.retain(|account| &*account.id != draft.id);
    if let Some(name) = draft.text("name") {
        let plain = plain_name(&name);
        if !plain.is_empty() && others.iter().any(|other| plain_name(&other.name) == plain) {
            draft.find("name", "unique", "Account name already in use", json!(name));
        }
    }
    match draft.text("realm") {
        Some(realm) => {
            if others.iter().any(|other| other.realm.eq_ignore_ascii_case(&realm)) {
                draft.find("realm", "unique", "Account realm already in use", json!(realm));
            }
            draft.fields.insert("realm".into(), json!(realm.to_lowercase()));
        }
        None if draft.findings.is_empty() => {
            let kept = draft.old.and_then(|old| old.get("realm")).and_then(Value::as_str).map(str::to_owned);
            let realm = kept.unwrap_or_else(|| format!("{}.{}", draft.rng.hex(3), draft.realm_suffix));
            draft.fields.insert("realm".into(), json!(realm));
        }
        None => {}
    }
    for (key, usual) in [("timezone", "America/Los_Angeles"), ("language", "en-US")] {
        if !draft.fields.contains_key(key) {
            draft.fields.insert(key.into(), json!(usual));
        }
    }
}

fn show(account: &Account, data: &mut Map<String, Value>, doc: &Value) {
    let first = doc.get(SUPERDUPER).and_then(Value::as_bool).unwrap_or(false);
    let more = [
        ("superduper_admin", json!(first)),
        ("wnm_allow_additions", json!(first)),
        ("created", json!(private::created(doc))),
        ("is_reseller", json!(first)),
        ("reseller_id", json!(tree(account).first().copied().unwrap_or(&account.id))),
        ("billing_mode", json!("limits_only")),
    ];
    for (key, value) in more {
        data.insert(key.to_owned(), value);
    }
}

/// Keys [`show`] adds, which a client that writes back what it read must not store.
pub(in crate::api) const SHOWN: [&str; 6] =
    ["superduper_admin", "wnm_allow_additions", "created", "is_reseller", "reseller_id", "billing_mode"];

