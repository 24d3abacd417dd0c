//! `/conferences` (`api.md` §3.14): documents of conferences.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Resource, document_verbs};
use crate::api::documents::{self, Documents, Draft};
use crate::api::list;
use crate::directory::Kind;

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("conferences", document_verbs, |call| {
        Box::pin(documents::answer(&CONFERENCES, call))
    });

/// The kind.
pub(in crate::api) const CONFERENCES: Documents = Documents {
    check,
    ..Documents::plain(Kind::Conference, "conference", "conferences", |id, doc| {
        let columns = [
            "name",
            "owner_id",
            "conference_numbers",
            "member",
            "moderator",
            "flags",
        ];
        list::project(id, doc, &columns)
    })
};

/// A number leads to one conference of the account, in one role.
fn check(draft: &mut Draft<'_>) {
    let others: BTreeSet<String> = draft
        .account
        .into_iter()
        .flat_map(|account| &account.conferences)
        .filter(|(id, _)| id.as_str() != draft.id)
        .flat_map(|(_, doc)| NUMBERS.iter().flat_map(|path| numbers(doc, path)))
        .collect();
    let document = Value::Object(draft.fields.clone());
    let mut own = BTreeSet::new();
    for path in NUMBERS {
        for number in numbers(&document, path) {
            if others.contains(&number) || !own.insert(number.clone()) {
                let key = path.trim_start_matches('/').replace('/', ".");
                let taken = format!("{number} belongs to a conference already");
                draft.find(&key, "unique", taken, number);
            }
        }
    }
}

fn numbers(doc: &Value, path: &str) -> Vec<String> {
    let list = doc.pointer(path).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// Where a conference's document has numbers.
const NUMBERS: [&str; 3] = [
    "/conference_numbers",
    "/member/numbers",
    "/moderator/numbers",
];
