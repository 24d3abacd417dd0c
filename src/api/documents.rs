//! Documents of an account: checking, storing, listing. One description a kind ([`Documents`]); the same way for the
//! HTTP API and for `apply`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Api;
use super::answer::Answer;
use super::audit;
use super::call::Call;
use super::error::ApiError;
use super::list;
use super::schemas;
use super::verb::Verb;
use crate::base::finding::Finding;
use crate::base::id::document_id;
use crate::base::rng::Rng;
use crate::directory::{Account, Change, Directory, Kind, private};
use crate::store::Batch;

/// What is special about a kind of document.
pub(super) struct Documents {
    pub(super) kind: Kind,
    /// For errors: `user`.
    pub(super) noun: &'static str,
    /// Schema it is checked against; empty when `check` does that too.
    pub(super) schema: &'static str,
    /// Makes a row of the list.
    pub(super) row: fn(&str, &Value) -> Map<String, Value>,
    /// What the list is sorted by.
    pub(super) sort: fn(&str, &Value) -> String,
    /// Rules the schema cannot say; what the server adds.
    pub(super) check: fn(&mut Draft<'_>),
    /// What a reader gets besides the document.
    pub(super) show: fn(&Account, &mut Map<String, Value>, &Value),
    /// Further documents that go when this one is deleted.
    pub(super) cascade: fn(&Account, &str) -> Vec<Change>,
}

impl Documents {
    /// A kind with nothing special: a schema and the columns of its list.
    pub(super) const fn plain(
        kind: Kind,
        noun: &'static str,
        schema: &'static str,
        row: fn(&str, &Value) -> Map<String, Value>,
    ) -> Self {
        Self {
            kind,
            noun,
            schema,
            row,
            sort: |id, _| id.to_owned(),
            check: |_| {},
            show: |_, _, _| {},
            cascade: |_, _| Vec::new(),
        }
    }
}

/// A document on its way into the store.
pub(super) struct Draft<'a> {
    pub(super) id: &'a str,
    /// The account it belongs to; for a new account: nothing.
    pub(super) account: Option<&'a Account>,
    pub(super) directory: &'a Directory,
    /// Says whether the server may be made to fetch a URL.
    pub(super) guard: &'a (dyn Fn(&str) -> Result<(), String> + Send + Sync),
    /// The document before.
    pub(super) old: Option<&'a Value>,
    /// Public fields.
    pub(super) fields: Map<String, Value>,
    /// Private keys to set.
    pub(super) private: Map<String, Value>,
    pub(super) findings: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// Shortest secret accepted.
    pub(super) min_secret: usize,
    pub(super) realm_suffix: &'a str,
    pub(super) rng: &'a mut Rng,
}

impl Draft<'_> {
    /// A text field by its dotted path.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let value = self.fields.get(first)?;
        let found = rest
            .split('.')
            .filter(|key| !key.is_empty())
            .try_fold(value, |value, key| value.get(key))?;
        found
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }

    pub(super) fn find(
        &mut self,
        path: &str,
        rule: &str,
        message: impl Into<String>,
        value: impl Into<Value>,
    ) {
        self.findings
            .push(Finding::new(path, rule, message).with_value(value.into()));
    }

    /// Whether the server may send recordings where `call_recording` says.
    pub(super) fn judge_recording(&mut self) {
        fn urls<'v>(value: &'v Value, path: String, found: &mut Vec<(String, &'v str)>) {
            for (key, below) in value.as_object().into_iter().flatten() {
                let path = format!("{path}.{key}");
                match below.as_str() {
                    Some(url) if key == "url" => found.push((path, url)),
                    Some(_) => {}
                    None => urls(below, path, found),
                }
            }
        }
        let Some(wanted) = self.fields.get("call_recording").cloned() else {
            return;
        };
        let mut found = Vec::new();
        urls(&wanted, "call_recording".to_owned(), &mut found);
        for (path, url) in found {
            if let Err(reason) = (self.guard)(url) {
                self.find(&path, "error", format!("invalid client URL: {reason}"), url);
            }
        }
    }

    /// Keys pressed in a call do nothing of this kind: whoever writes them down is to know.
    pub(super) fn judge_metaflows(&mut self) {
        let wanted = self.fields.get("metaflows");
        let some = |key: &str| {
            let keys = wanted.and_then(|wanted| wanted.get(key));
            keys.and_then(Value::as_object)
                .is_some_and(|keys| !keys.is_empty())
        };
        if some("numbers") || some("patterns") {
            let message = "are kept, but keys pressed during a call do not start them; PUT to a channel with the action metaflow does";
            self.warnings
                .push(Finding::new("metaflows", "unsupported", message));
        }
    }

    /// Decision 9: short secrets, and those equal to the name, are accepted with a warning unless the operator says no.
    pub(super) fn judge_secret(&mut self, path: &str, secret: &str, name: &str) {
        let length = secret.chars().count();
        if length < self.min_secret {
            let message = format!(
                "is shorter than the {} characters this server asks for",
                self.min_secret
            );
            self.findings
                .push(Finding::new(path, "minLength", message).with_target(self.min_secret));
        } else if length < GOOD_SECRET || secret.eq_ignore_ascii_case(name) {
            let message =
                format!("is weak: use at least {GOOD_SECRET} characters, not the name itself");
            self.warnings.push(Finding::new(path, "weak", message));
        }
    }
}

/// Fields of documents that are secrets.
const SECRETS: [&str; 5] = ["auth_token", "password", "pin", "pins", "secret"];

/// Secrets of at least this many characters are not warned about.
const GOOD_SECRET: usize = 12;

/// Who writes, for the audit log.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) account: String,
    pub(super) owner: Option<String>,
    pub(super) how: String,
    pub(super) client: String,
}

/// What a write does with the fields it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They are the document.
    Replace,
    /// They are merged into it; `null` removes.
    Merge,
}

/// A write that was made.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Id of the document.
    pub id: String,
    /// The document as stored, private keys included.
    pub doc: Arc<Value>,
    /// Accepted, but worth a look.
    pub warnings: Vec<Finding>,
    /// `false` when the document was the same already and nothing was written.
    pub changed: bool,
}

/// Everything about one write.
pub(super) struct Write<'a> {
    pub(super) account: &'a str,
    /// `None`: a new document with a fresh id.
    pub(super) id: Option<&'a str>,
    pub(super) fields: Map<String, Value>,
    /// Private keys, from a trusted source only.
    pub(super) private: Map<String, Value>,
    pub(super) mode: Mode,
    pub(super) verb: Verb,
    pub(super) who: Who,
    /// Revision the client believes to be the present one.
    pub(super) if_match: Option<String>,
    /// Do not write what is the same already.
    pub(super) skip_same: bool,
}

/// Checks and stores a document.
pub(super) async fn save(api: &Api, docs: &Documents, write: Write<'_>) -> Result<Saved, ApiError> {
    // What is checked must still hold when it is written.
    let one_at_a_time = api.saving().await;
    let mut rng = api.rng();
    let fresh = document_id(&mut rng);
    let id = write.id.unwrap_or(if docs.kind == Kind::Account {
        write.account
    } else {
        &fresh
    });
    let account = api.directory().account(write.account);
    if account.is_none() && docs.kind != Kind::Account {
        return Err(ApiError::NoDocument {
            what: "account",
            id: write.account.to_owned(),
        });
    }
    let old = account
        .as_ref()
        .and_then(|account| account.document(docs.kind, id))
        .cloned();
    if let (Some(wanted), Some(old)) = (&write.if_match, &old)
        && wanted != private::revision(old)
    {
        return Err(ApiError::Changed);
    }
    let fields = match (&old, write.mode) {
        (Some(old), Mode::Merge) => {
            let mut merged = private::public(id, old);
            merged.remove("id");
            merge(&mut merged, write.fields);
            merged
        }
        _ => write.fields,
    };
    let mut draft = Draft {
        id,
        account: account.as_deref(),
        directory: api.directory(),
        guard: api.guard(),
        old: old.as_deref(),
        fields,
        private: write.private,
        findings: Vec::new(),
        warnings: Vec::new(),
        min_secret: api.config().min_secret,
        realm_suffix: &api.config().realm_suffix,
        rng: &mut rng,
    };
    if !docs.schema.is_empty() {
        let found = schemas::complete(docs.schema, &mut draft.fields);
        draft.findings.extend(found);
    }
    (docs.check)(&mut draft);
    let Draft {
        mut fields,
        private: own,
        mut findings,
        warnings,
        ..
    } = draft;
    // What was sent for a secret is not repeated.
    for finding in &mut findings {
        if finding.path.split('.').any(|key| SECRETS.contains(&key)) {
            finding.value = None;
        }
    }
    if !findings.is_empty() {
        return Err(ApiError::Invalid(findings));
    }
    fields.retain(|key, _| !private::is_private(key) && key != "id");
    fields.extend(own);
    let doc = Value::Object(fields);
    if write.skip_same && old.as_deref().is_some_and(|old| is_same(old, &doc)) {
        let doc = old.unwrap_or_default();
        return Ok(Saved {
            id: id.to_owned(),
            doc,
            warnings,
            changed: false,
        });
    }
    let mut batch = Batch::new();
    audit::record(
        &mut batch,
        &audit::Entry {
            who: &write.who,
            account: write.account,
            verb: write.verb,
            kind: docs.kind.name(),
            id,
            old: old.as_deref(),
            new: Some(&doc),
        },
    );
    let action = if old.is_some() {
        "doc_edited"
    } else {
        "doc_created"
    };
    tell(api, &mut batch, docs, write.account, id, action);
    let change = Change {
        kind: docs.kind,
        account: write.account.to_owned(),
        id: id.to_owned(),
        doc: Some(doc),
    };
    let begun = api.directory().begin(vec![change], batch).await?;
    // The next may begin while this one gets to the disk.
    drop(one_at_a_time);
    let written = begun.durable().await?;
    told(api);
    let doc = written.into_iter().next().flatten().unwrap_or_default();
    Ok(Saved {
        id: id.to_owned(),
        doc,
        warnings,
        changed: true,
    })
}

/// Deletes a document and what goes with it.
pub(super) async fn delete(
    api: &Api,
    docs: &Documents,
    account: &Arc<Account>,
    id: &str,
    who: &Who,
    if_match: Option<&str>,
) -> Result<Arc<Value>, ApiError> {
    let one_at_a_time = api.saving().await;
    // Read again: the snapshot of the request may be older than the last write.
    let account = api
        .directory()
        .account(&account.id)
        .unwrap_or_else(|| Arc::clone(account));
    let missing = || ApiError::NoDocument {
        what: docs.noun,
        id: id.to_owned(),
    };
    let old = account
        .document(docs.kind, id)
        .cloned()
        .ok_or_else(missing)?;
    if if_match.is_some_and(|wanted| wanted != private::revision(&old)) {
        return Err(ApiError::Changed);
    }
    let mut changes = vec![Change {
        kind: docs.kind,
        account: account.id.to_string(),
        id: id.to_owned(),
        doc: None,
    }];
    changes.extend((docs.cascade)(&account, id));
    let mut batch = Batch::new();
    audit::record(
        &mut batch,
        &audit::Entry {
            who,
            account: &account.id,
            verb: Verb::Delete,
            kind: docs.kind.name(),
            id,
            old: Some(&old),
            new: None,
        },
    );
    tell(api, &mut batch, docs, &account.id, id, "doc_deleted");
    let begun = api.directory().begin(changes, batch).await?;
    drop(one_at_a_time);
    let written = begun.durable().await?;
    told(api);
    written.into_iter().next().flatten().ok_or_else(missing)
}

/// Tells webhooks of a changed document.
fn tell(api: &Api, batch: &mut Batch, docs: &Documents, account: &str, id: &str, action: &str) {
    if let Some(webhooks) = api.webhooks() {
        let kind = docs.noun.replace([' ', '-'], "_");
        webhooks.add_document(batch, account, &kind, id, action);
    }
}

/// What webhooks were told of is durable.
fn told(api: &Api) {
    if let Some(webhooks) = api.webhooks() {
        webhooks.when_durable();
    }
}

/// The usual answers on `…/<noun>` and `…/<noun>/{id}`.
pub(super) async fn answer(docs: &Documents, call: &Call) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let args = call.args();
    match (args.as_slice(), call.verb) {
        ([], Verb::Get) => list(docs, call, |_| true),
        ([], Verb::Put) => {
            let saved = save(&call.api, docs, write(call, None, Mode::Replace)?).await?;
            let mut answer = shown(docs, call, &saved.id, &saved.doc, 201);
            answer.warnings = saved.warnings;
            answer.location = Some(saved.id);
            Ok(answer)
        }
        ([id], verb) => {
            let missing = || ApiError::NoDocument {
                what: docs.noun,
                id: (*id).to_owned(),
            };
            let old = account.document(docs.kind, id).ok_or_else(missing)?;
            match verb {
                Verb::Get => Ok(shown(docs, call, id, old, 200)),
                Verb::Post | Verb::Patch => {
                    let mode = if verb == Verb::Patch {
                        Mode::Merge
                    } else {
                        Mode::Replace
                    };
                    let saved = save(&call.api, docs, write(call, Some(id), mode)?).await?;
                    let mut answer = shown(docs, call, id, &saved.doc, 200);
                    answer.warnings = saved.warnings;
                    Ok(answer)
                }
                Verb::Delete => {
                    let if_match = if_match(call);
                    let gone = delete(
                        &call.api,
                        docs,
                        account,
                        id,
                        &who(call),
                        if_match.as_deref(),
                    )
                    .await?;
                    let mut answer = shown(docs, call, id, &gone, 200);
                    if let Some(data) = answer.data.as_object_mut() {
                        data.insert("_read_only".into(), json!({"deleted": true}));
                    }
                    Ok(answer)
                }
                Verb::Put => Err(ApiError::NoPath),
            }
        }
        _ => Err(ApiError::NoPath),
    }
}

/// The list of a kind, as far as `wanted` says yes to the whole document.
pub(super) fn list(
    docs: &Documents,
    call: &Call,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let documents = account
        .documents(docs.kind)
        .into_iter()
        .filter(|(_, doc)| wanted(doc));
    let rows = documents.map(|(id, doc)| {
        let key = format!("{}\0{id}", (docs.sort)(id, doc)).into_bytes();
        let mut whole = (**doc).clone();
        if let Some(whole) = whole.as_object_mut() {
            whole.insert("id".into(), json!(id));
        }
        (key, whole, Value::Object((docs.row)(id, doc)))
    });
    list::page(call, rows.collect())
}

/// A document as a reader gets it.
pub(super) fn shown(docs: &Documents, call: &Call, id: &str, doc: &Value, status: u16) -> Answer {
    let mut data = private::public(id, doc);
    if let Some(account) = &call.account {
        (docs.show)(account, &mut data, doc);
    }
    Answer {
        status,
        data: Value::Object(data),
        revision: Some(private::revision(doc).to_owned()),
        ..Answer::default()
    }
}

/// A write as the request says it.
pub(super) fn write<'a>(
    call: &'a Call,
    id: Option<&'a str>,
    mode: Mode,
) -> Result<Write<'a>, ApiError> {
    Ok(Write {
        account: &call.account()?.id,
        id,
        fields: call.fields()?,
        private: Map::new(),
        mode,
        verb: call.verb,
        who: who(call),
        if_match: if_match(call),
        skip_same: false,
    })
}

/// Adds what a request writes to the audit log.
pub(super) fn audited(
    batch: &mut Batch,
    call: &Call,
    docs: &Documents,
    id: &str,
    old: Option<&Value>,
    new: Option<&Value>,
) {
    let account = call
        .account
        .as_ref()
        .map(|account| account.id.to_string())
        .unwrap_or_default();
    let who = who(call);
    audit::record(
        batch,
        &audit::Entry {
            who: &who,
            account: &account,
            verb: call.verb,
            kind: docs.kind.name(),
            id,
            old,
            new,
        },
    );
}

/// Who makes a request.
pub(super) fn who(call: &Call) -> Who {
    let claims = call.principal.as_ref().map(|principal| &principal.claims);
    Who {
        account: claims
            .map(|claims| claims.account_id.clone())
            .unwrap_or_default(),
        owner: claims.and_then(|claims| claims.owner_id.clone()),
        how: claims
            .map(|claims| claims.method.clone())
            .unwrap_or_default(),
        client: call.client.to_string(),
    }
}

fn if_match(call: &Call) -> Option<String> {
    let tag = call.header("if-match")?.trim();
    (tag != "*").then(|| tag.trim_matches('"').to_owned())
}

/// Merges `change` into `into`, deep; `null` removes a key.
pub(super) fn merge(into: &mut Map<String, Value>, change: Map<String, Value>) {
    for (key, value) in change {
        match (into.get_mut(&key), value) {
            (_, Value::Null) => drop(into.remove(&key)),
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (_, Value::Object(new)) => {
                let mut clean = Map::new();
                merge(&mut clean, new);
                into.insert(key, Value::Object(clean));
            }
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Whether a document would be stored as it is already, revision and times aside.
fn is_same(old: &Value, new: &Value) -> bool {
    let of_server = |key: &str| {
        [
            private::REVISION,
            private::CREATED,
            private::MODIFIED,
            private::TYPE,
            "pvt_account_id",
        ]
        .contains(&key)
    };
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return false;
    };
    // Private keys that are not set again are kept.
    let same = new
        .iter()
        .filter(|(key, _)| !of_server(key))
        .all(|(key, value)| old.get(key) == Some(value));
    same && old
        .keys()
        .filter(|key| !private::is_private(key))
        .all(|key| new.contains_key(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_goes_deep_and_null_removes() {
        let mut doc = json!({"a": {"b": 1, "c": 2}, "d": [1], "e": 5})
            .as_object()
            .cloned()
            .unwrap();
        let change = json!({"a": {"b": null, "x": {"y": null, "z": 1}}, "d": [2], "e": null, "f": {"g": null}});
        merge(&mut doc, change.as_object().cloned().unwrap());
        assert_eq!(
            Value::Object(doc),
            json!({"a": {"c": 2, "x": {"z": 1}}, "d": [2], "f": {}})
        );
    }

    #[test]
    fn only_what_a_client_sets_decides_whether_it_is_the_same() {
        let old =
            json!({"name": "a", "pvt_revision": "1-x", "pvt_md5_auth": "h", "pvt_created": 1});
        assert!(is_same(&old, &json!({"name": "a"})));
        assert!(is_same(&old, &json!({"name": "a", "pvt_md5_auth": "h"})));
        assert!(!is_same(&old, &json!({"name": "b"})));
        assert!(!is_same(&old, &json!({"name": "a", "x": 1})));
        assert!(!is_same(&old, &json!({})));
    }
}
