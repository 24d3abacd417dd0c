//! `/websockets` (`api.md` §3.20): what may be subscribed to, and who listens to an account.

use serde_json::{Map, Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::events::{BINDINGS, Shown};

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    open: |_, args| args.is_empty(),
    ..Resource::new(
        "websockets",
        |args| match args {
            [] | [_] => READ,
            _ => NONE,
        },
        |call| Box::pin(async move { answer(call) }),
    )
};

fn answer(call: &Call) -> Result<Answer, ApiError> {
    let Some(account) = &call.account else {
        let all = BINDINGS
            .iter()
            .map(|(kind, bindings)| ((*kind).to_owned(), json!(bindings)));
        return Ok(Answer::ok(Value::Object(all.collect::<Map<_, _>>())));
    };
    // Open without an account only.
    if call.principal.is_none() {
        return Err(ApiError::Credentials);
    }
    let sessions = call.api.sessions().of(&account.id);
    match call.args().as_slice() {
        [] => Ok(Answer::ok(
            sessions
                .iter()
                .map(|(id, shown)| row(id, shown, &account.id))
                .collect(),
        )),
        [id] => {
            let found = sessions.iter().find(|(known, _)| known == id);
            let missing = || ApiError::NoDocument {
                what: "websocket",
                id: (*id).to_owned(),
            };
            let (id, shown) = found.ok_or_else(missing)?;
            Ok(Answer::ok(row(id, shown, &account.id)))
        }
        _ => Err(ApiError::NoPath),
    }
}

fn row(id: &str, shown: &Shown, account: &str) -> Value {
    let own = shown.bindings.iter().filter(|(of, _)| of == account);
    let bindings: Vec<&str> = own.map(|(_, binding)| binding.as_str()).collect();
    json!({
        "websocket_session_id": id,
        "bindings": bindings,
        "timestamp": shown.since.gregorian(),
        "source": shown.source.to_string(),
    })
}
