//! `/limits` (`api.md` §3.23): how many calls the account may have. One document; what it does not say is unlimited.

use serde_json::{Value, json};

use super::{NONE, Resource, admin};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Mode};
use crate::api::error::ApiError;
use crate::api::list;
use crate::api::verb::Verb;
use crate::directory::{Kind, private};

pub(in crate::api) const RESOURCE: Resource = Resource::new(
    "limits",
    |args| {
        if args.is_empty() {
            &[Verb::Get, Verb::Post, Verb::Patch]
        } else {
            NONE
        }
    },
    |call| Box::pin(answer(call)),
);

/// The kind.
pub(in crate::api) const LIMITS: Documents =
    Documents::plain(Kind::Limits, "limits", "limits", |id, doc| {
        list::project(id, doc, &[])
    });

/// Id of the one document.
pub(in crate::api) const ID: &str = "limits";

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let doc = call.account()?.limits.get(ID).cloned().unwrap_or_default();
    match call.verb {
        Verb::Get => {
            let mut data = private::public(ID, &doc);
            data.entry("allow_prepay").or_insert(json!(true));
            let revision = Some(private::revision(&doc).to_owned());
            Ok(Answer {
                revision,
                ..Answer::ok(Value::Object(data))
            })
        }
        verb => {
            admin(call)?;
            let mode = if verb == Verb::Patch {
                Mode::Merge
            } else {
                Mode::Replace
            };
            let saved =
                documents::save(&call.api, &LIMITS, documents::write(call, Some(ID), mode)?)
                    .await?;
            Ok(documents::shown(&LIMITS, call, ID, &saved.doc, 200))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn a_limit_is_not_made_up() {
        let fields = private::public(ID, &json!({"pvt_x": 1, "calls": 3}));
        assert_eq!(
            fields,
            Map::from_iter([("id".to_owned(), json!(ID)), ("calls".to_owned(), json!(3))])
        );
    }
}
