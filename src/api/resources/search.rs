//! `/search?t=TYPE&q=FIELD&v=BEGINNING`: documents whose field begins so. Without an account: the accounts the token reaches;
//! below one: its documents.

use serde_json::{Map, Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::list;
use crate::directory::Kind;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    ..Resource::new(
        "search",
        |args| if args.is_empty() { READ } else { NONE },
        |call| Box::pin(async { answer(call) }),
    )
};

/// What is searched, and the kind of document that is.
const TYPES: [(&str, Kind); 9] = [
    ("account", Kind::Account),
    ("user", Kind::User),
    ("device", Kind::Device),
    ("callflow", Kind::Callflow),
    ("conference", Kind::Conference),
    ("media", Kind::Media),
    ("menu", Kind::Menu),
    ("list", Kind::List),
    ("group", Kind::Group),
];
/// Fields that are searched; `name` is also a person's.
const FIELDS: [&str; 6] = ["name", "id", "realm", "number", "username", "email"];

fn answer(call: &Call) -> Result<Answer, ApiError> {
    let wanted = call.text("t").unwrap_or_default();
    let field = call.text("q").unwrap_or_else(|| "name".to_owned());
    let Some((_, kind)) = TYPES.iter().find(|(name, _)| *name == wanted) else {
        let names: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
        let message = format!("is not one of {}", names.join(", "));
        return Err(ApiError::field("t", "enum", message));
    };
    if !FIELDS.contains(&field.as_str()) {
        let message = format!("is not one of {}", FIELDS.join(", "));
        return Err(ApiError::field("q", "enum", message));
    }
    let Some(value) = call.text("v").filter(|value| !value.is_empty()) else {
        return Err(ApiError::field("v", "required", "is what is searched for"));
    };
    let value = value.to_lowercase();
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    let accounts = match (&call.account, kind) {
        (Some(account), Kind::Account) => {
            let mut all = call.api.directory().accounts();
            all.retain(|other| {
                other.id == account.id || other.above().any(|id| id == &*account.id)
            });
            all
        }
        (Some(account), _) => vec![account.clone()],
        (None, Kind::Account) => call.api.directory().accounts(),
        (None, _) => {
            let message = "only accounts are searched without an account in the path";
            return Err(ApiError::field("t", "forbidden", message));
        }
    };
    let mut rows = Vec::new();
    for account in accounts.iter().filter(|account| principal.reaches(account)) {
        for (id, doc) in account.documents(*kind) {
            if !begins(id, doc, &field, &value) {
                continue;
            }
            let columns = [
                "name",
                "realm",
                "username",
                "email",
                "first_name",
                "last_name",
                "numbers",
            ];
            let row: Map<String, Value> = list::project(id, doc, &columns);
            let key = format!("{}\0{id}", text(doc, "name").to_lowercase());
            rows.push((key.into_bytes(), json!({"id": id}), Value::Object(row)));
        }
    }
    list::page(call, rows)
}

fn text<'a>(doc: &'a Value, key: &str) -> &'a str {
    doc.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn begins(id: &str, doc: &Value, field: &str, value: &str) -> bool {
    let is = |text: &str| text.to_lowercase().starts_with(value);
    match field {
        "id" => is(id),
        "name" => {
            let person = format!("{} {}", text(doc, "first_name"), text(doc, "last_name"));
            is(text(doc, "name")) || is(&person) || is(text(doc, "last_name"))
        }
        "number" => {
            let numbers = doc.get("numbers").and_then(Value::as_array);
            numbers
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .any(is)
        }
        field => is(text(doc, field)),
    }
}
