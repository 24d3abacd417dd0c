//! `/schemas` (`api.md` §3.22): the JSON schemas documents are checked against. Needs no token.

use serde_json::{Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::schemas;
use crate::api::verb::Verb;

pub(in crate::api) const RESOURCE: Resource = Resource {
    of_account: false,
    open: |verb, _| verb == Verb::Get,
    ..Resource::new(
        "schemas",
        |args| match args {
            [] | [_] => READ,
            [_, "validation"] => &[Verb::Put],
            _ => NONE,
        },
        |call| Box::pin(async move { answer(call) }),
    )
};

fn answer(call: &Call) -> Result<Answer, ApiError> {
    let args = call.args();
    match args.as_slice() {
        [] => Ok(Answer::ok(json!(schemas::ids()))),
        [id] => schemas::served(id).map(Answer::ok).ok_or_else(|| missing(id)),
        [id, _] => {
            let mut fields = call.fields()?;
            if schemas::served(id).is_none() {
                return Err(missing(id));
            }
            let findings = schemas::complete(id, &mut fields);
            if findings.is_empty() {
                Ok(Answer::created(Value::Object(fields)))
            } else {
                Err(ApiError::Invalid(findings))
            }
        }
        _ => Err(ApiError::NoPath),
    }
}

fn missing(id: &str) -> ApiError {
    ApiError::NoDocument { what: "schema", id: id.to_owned() }
}
