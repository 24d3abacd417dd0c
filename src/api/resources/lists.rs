//! `/lists` and `/lists/{id}/entries`: numbers and patterns for `cidlistmatch` and its kin.

use serde_json::{Value, json};

use super::{COLLECTION, ITEM, NONE, Resource, document_verbs};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Draft, Mode, Write};
use crate::api::error::ApiError;
use crate::api::list;
use crate::api::verb::Verb;
use crate::directory::numbers::compile;
use crate::directory::{Change, Kind, private};

pub(in crate::api) const RESOURCE: Resource = Resource::new("lists", verbs, |call| Box::pin(answer(call)));

/// The kind of lists.
pub(in crate::api) const LISTS: Documents = Documents {
    cascade: |account, id| {
        let of_list = |doc: &Value| doc.get("list_id").and_then(Value::as_str) == Some(id);
        let entries = account.list_entries.iter().filter(|(_, doc)| of_list(doc));
        entries
            .map(|(entry, _)| Change {
                kind: Kind::ListEntry,
                account: account.id.to_string(),
                id: entry.clone(),
                doc: None,
            })
            .collect()
    },
    ..Documents::plain(Kind::List, "list", "lists", |id, doc| {
        list::project(id, doc, &["name", "description", "org", "flags"])
    })
};

/// The kind of entries.
pub(in crate::api) const ENTRIES: Documents = Documents {
    check,
    ..Documents::plain(Kind::ListEntry, "list entry", "list_entries", |id, doc| {
        let mut row = private::public(id, doc);
        row.remove("profile");
        row
    })
};

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [_, "entries"] => COLLECTION,
        [_, "entries", _] => ITEM,
        [_, ..] if args.len() > 1 => NONE,
        other => document_verbs(other),
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let args = call.args();
    let [list, "entries", rest @ ..] = args.as_slice() else { return documents::answer(&LISTS, call).await };
    let account = call.account()?;
    if !account.lists.contains_key(*list) {
        return Err(ApiError::NoDocument { what: "list", id: (*list).to_owned() });
    }
    let of_list = |doc: &Value| doc.get("list_id").and_then(Value::as_str) == Some(list);
    match (rest, call.verb) {
        ([], Verb::Get) => documents::list(&ENTRIES, call, of_list),
        ([], _) => {
            let saved = documents::save(&call.api, &ENTRIES, within(call, list, None, Mode::Replace)?).await?;
            let mut answer = documents::shown(&ENTRIES, call, &saved.id, &saved.doc, 201);
            answer.location = Some(saved.id);
            Ok(answer)
        }
        ([id], verb) => {
            let missing = || ApiError::NoDocument { what: "list entry", id: (*id).to_owned() };
            let old = account.list_entries.get(*id).filter(|doc| of_list(doc)).ok_or_else(missing)?;
            match verb {
                Verb::Get | Verb::Put => Ok(documents::shown(&ENTRIES, call, id, old, 200)),
                Verb::Post | Verb::Patch => {
                    let mode = if verb == Verb::Patch { Mode::Merge } else { Mode::Replace };
                    let saved = documents::save(&call.api, &ENTRIES, within(call, list, Some(id), mode)?).await?;
                    Ok(documents::shown(&ENTRIES, call, id, &saved.doc, 200))
                }
                Verb::Delete => {
                    let who = documents::who(call);
                    let gone = documents::delete(&call.api, &ENTRIES, account, id, &who, None).await?;
                    let mut answer = documents::shown(&ENTRIES, call, id, &gone, 200);
                    if let Some(data) = answer.data.as_object_mut() {
                        data.insert("_read_only".into(), json!({"deleted": true}));
                    }
                    Ok(answer)
                }
            }
        }
        _ => Err(ApiError::NoPath),
    }
}

fn within<'a>(call: &'a Call, list: &str, id: Option<&'a str>, mode: Mode) -> Result<Write<'a>, ApiError> {
    let mut write = documents::write(call, id, mode)?;
    write.fields.insert("list_id".into(), json!(list));
    Ok(write)
}

fn check(draft: &mut Draft<'_>) {
    if let Some(pattern) = draft.text("pattern")
        && let Err(reason) = compile(&pattern)
    {
        draft.find("pattern", "pattern", format!("is not a regular expression: {reason}"), pattern);
    }
    if let Some(list) = draft.text("list_id")
        && draft.account.is_some_and(|account| !account.lists.contains_key(&list))
    {
        draft.find("list_id", "not_found", "there is no such list", list);
    }
}
