//! `/phone_numbers` (`api.md` §3.5): numbers of the public network that belong to the account.

use serde_json::{Map, Value, json};

use super::{NONE, READ, Resource, admin};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Draft, Mode, Write};
use crate::api::error::ApiError;
use crate::api::verb::Verb;
use crate::directory::numbers::NumberIndex;
use crate::directory::{Account, Kind, private};
use crate::routing;

pub(in crate::api) const RESOURCE: Resource = Resource {
    ..Resource::new("phone_numbers", verbs, |call| Box::pin(answer(call)))
};

/// The kind; its ids are the numbers.
pub(in crate::api) const NUMBERS: Documents = Documents {
    check,
    show,
    ..Documents::plain(
        Kind::PhoneNumber,
        "phone number",
        "phone_numbers",
        |id, doc| row(id, doc, None),
    )
};

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [] | ["classifiers"] | ["classifiers", _] | [_, "identify"] => READ,
        ["check"] => &[Verb::Post],
        ["collection"] => &[Verb::Put, Verb::Post, Verb::Patch, Verb::Delete],
        ["collection", "activate"] => &[Verb::Put],
        [_] => &[Verb::Get, Verb::Put, Verb::Post, Verb::Patch, Verb::Delete],
        [_, "activate" | "reserve" | "port"] => &[Verb::Put],
        _ => NONE,
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    if call.verb.writes() && call.args() != ["check"] {
        admin(call)?;
    }
    match call.args().as_slice() {
        [] => all(call),
        ["classifiers"] => Ok(Answer::ok(classifiers())),
        ["classifiers", number] => Ok(Answer::ok(classified(number))),
        ["check"] => check_numbers(call),
        ["collection", rest @ ..] => collection(call, rest).await,
        [number, "identify"] => identify(call, number),
        [number, state] => {
            let state = match *state {
                "reserve" => "reserved",
                "port" => "port_in",
                _ => "in_service",
            };
            one(call, number, call.fields()?, Some(state)).await
        }
        [number] => one(call, number, call.fields()?, None).await,
        _ => Err(ApiError::NoPath),
    }
}

fn all(call: &Call) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let rows = account.phone_numbers.iter().map(|(number, doc)| {
        (
            number.clone(),
            Value::Object(row(number, doc, Some(account))),
        )
    });
    if call.query_text("as_list").is_some() {
        let listed = rows.map(|(number, mut row)| {
            row["id"] = json!(number);
            row
        });
        return Ok(Answer::ok(listed.collect()));
    }
    let numbers: Map<String, Value> = rows.collect();
    Ok(Answer::ok(
        json!({"numbers": numbers, "cascade_quantity": 0}),
    ))
}

/// One number: shown, added, replaced, merged or given back.
async fn one(
    call: &Call,
    number: &str,
    fields: Map<String, Value>,
    state: Option<&str>,
) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let id = routing::to_e164(number);
    let missing = || ApiError::NoDocument {
        what: "phone number",
        id: id.clone(),
    };
    let known = account.phone_numbers.get(&id);
    let mode = match (call.verb, known) {
        (Verb::Get, known) => {
            return Ok(documents::shown(
                &NUMBERS,
                call,
                &id,
                known.ok_or_else(missing)?,
                200,
            ));
        }
        (Verb::Delete, _) => {
            let gone = documents::delete(
                &call.api,
                &NUMBERS,
                account,
                &id,
                &documents::who(call),
                None,
            )
            .await?;
            return Ok(documents::shown(&NUMBERS, call, &id, &gone, 200));
        }
        (Verb::Put, _) => Mode::Merge,
        (_, None) => return Err(missing()),
        (Verb::Patch, Some(_)) => Mode::Merge,
        (Verb::Post, Some(_)) => Mode::Replace,
    };
    let mut write: Write<'_> = documents::write(call, Some(&id), mode)?;
    write.fields = fields;
    if let Some(state) = state {
        write
            .private
            .insert(private::NUMBER_STATE.into(), json!(state));
    }
    let saved = documents::save(&call.api, &NUMBERS, write).await?;
    let status = if call.verb == Verb::Put { 201 } else { 200 };
    Ok(documents::shown(&NUMBERS, call, &id, &saved.doc, status))
}

/// The same for several numbers (`numbers`); what became of each is said by number.
async fn collection(call: &Call, rest: &[&str]) -> Result<Answer, ApiError> {
    let mut fields = call.fields()?;
    let Some(Value::Array(numbers)) = fields.remove("numbers") else {
        return Err(ApiError::field("numbers", "required", "is required"));
    };
    let state = (rest == ["activate"]).then_some("in_service");
    let (mut success, mut error) = (Map::new(), Map::new());
    for number in numbers.iter().filter_map(Value::as_str) {
        match one(call, number, fields.clone(), state).await {
            Ok(answer) => success.insert(routing::to_e164(number), answer.data),
            Err(failed @ ApiError::Store(_)) => return Err(failed),
            Err(failed) => error.insert(number.to_owned(), failed.data()),
        };
    }
    Ok(Answer::ok(json!({"success": success, "error": error})))
}

fn identify(call: &Call, number: &str) -> Result<Answer, ApiError> {
    let id = routing::to_e164(number);
    let missing = || ApiError::NoDocument {
        what: "phone number",
        id: id.clone(),
    };
    let owner = call
        .api
        .directory()
        .account_of_number(&id)
        .ok_or_else(missing)?;
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    if !principal.reaches(&owner) {
        return Err(missing());
    }
    Ok(Answer::ok(json!({"number": id, "account_id": &*owner.id})))
}

fn check_numbers(call: &Call) -> Result<Answer, ApiError> {
    let numbers = call.data.get("numbers").and_then(Value::as_array);
    let numbers = numbers.ok_or_else(|| ApiError::field("numbers", "required", "is required"))?;
    let states = numbers.iter().filter_map(Value::as_str).map(|number| {
        let taken = call
            .api
            .directory()
            .account_of_number(&routing::to_e164(number))
            .is_some();
        (
            number.to_owned(),
            json!(if taken { "in_service" } else { "unknown" }),
        )
    });
    Ok(Answer::ok(Value::Object(states.collect())))
}

fn classifiers() -> Value {
    let all = routing::CLASSIFIERS.iter().map(|c| {
        let shown = json!({"friendly_name": c.friendly_name, "regex": c.regex, "emergency": c.name == routing::EMERGENCY.0});
        (c.name.to_owned(), shown)
    });
    Value::Object(all.collect())
}

fn classified(number: &str) -> Value {
    let e164 = routing::to_e164(number);
    let class = routing::classify(&e164);
    let known = routing::CLASSIFIERS.iter().find(|c| c.name == class.0);
    json!({
        "number": number,
        "e164": e164,
        "name": class.0,
        "friendly_name": known.map(|c| c.friendly_name),
        "regex": known.map(|c| c.regex),
    })
}

fn state_of(doc: &Value) -> &str {
    doc.get(private::NUMBER_STATE)
        .and_then(Value::as_str)
        .unwrap_or("in_service")
}

fn features(doc: &Value) -> Vec<&'static str> {
    let all = [
        ("cnam", "cnam"),
        ("e911", "e911"),
        ("prepend", "prepend"),
        ("ringback", "ringback"),
    ];
    all.into_iter()
        .filter(|(key, _)| doc.get(*key).is_some())
        .map(|(_, name)| name)
        .collect()
}

fn used_by(number: &str, index: &NumberIndex) -> Option<&'static str> {
    index.owner_of_number(number).map(|_| "callflow")
}

fn row(number: &str, doc: &Value, account: Option<&Account>) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("state".into(), json!(state_of(doc)));
    row.insert("features".into(), json!(features(doc)));
    row.insert("features_available".into(), json!([]));
    row.insert("created".into(), json!(private::created(doc)));
    row.insert(
        "updated".into(),
        doc.get(private::MODIFIED).cloned().unwrap_or_default(),
    );
    if let Some(account) = account {
        row.insert("assigned_to".into(), json!(&*account.id));
        if let Some(used) = used_by(number, &account.numbers) {
            row.insert("used_by".into(), json!(used));
        }
    }
    row
}

fn show(account: &Account, data: &mut Map<String, Value>, doc: &Value) {
    let number = data
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    data.insert(
        "_read_only".into(),
        json!({
            "created": private::created(doc),
            "modified": doc.get(private::MODIFIED),
            "state": state_of(doc),
            "used_by": used_by(&number, &account.numbers),
            "features": features(doc),
            "features_available": [],
            "features_allowed": [],
            "features_denied": [],
        }),
    );
}

fn check(draft: &mut Draft<'_>) {
    let number = draft.id.to_owned();
    let digits = number.strip_prefix('+').unwrap_or_default();
    if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return draft.find(
            "number",
            "pattern",
            "is not a number in E.164 form, such as +14155550100",
            number,
        );
    }
    let own = draft.account.map_or("", |account| &account.id);
    let other = draft
        .directory
        .accounts()
        .into_iter()
        .find(|a| &*a.id != own && a.phone_numbers.contains_key(&number));
    if other.is_some() {
        draft.find(
            "number",
            "unique",
            "the number belongs to another account",
            number,
        );
    }
    let state = draft
        .fields
        .remove("create_with_state")
        .filter(|_| draft.old.is_none());
    if draft.old.is_none() && !draft.private.contains_key(private::NUMBER_STATE) {
        draft.private.insert(
            private::NUMBER_STATE.into(),
            state.unwrap_or_else(|| json!("in_service")),
        );
    }
}
