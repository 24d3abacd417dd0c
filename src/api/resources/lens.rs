//! `/lens/{ID}`: everything that is known of one call, on one line of time. The id is that of a leg, of a call record, or
//! what the legs of a call share.

use serde_json::{Value, json};

use super::{NONE, READ, Resource};
use crate::api::answer::{Answer, Download};
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::findings;
use crate::journal::lens::{self, Lens};

pub(in crate::api) const RESOURCE: Resource = Resource {
    ..Resource::new(
        "lens",
        |args| match args {
            [_] | [_, "find" | "json" | "har" | "pcap"] => READ,
            [_, "events", n] if n.bytes().all(|b| b.is_ascii_digit()) || *n == "{id}" => READ,
            _ => NONE,
        },
        |call| Box::pin(answer(call)),
    )
};

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let args = call.args();
    let (id, rest) = args.split_first().ok_or(ApiError::NoPath)?;
    let mut lens = find(call, id).await?;
    match rest {
        [] => {
            let after = call.number("after")?.unwrap_or_default();
            findings::add(&mut lens, call);
            Ok(Answer::ok(
                lens.document(usize::try_from(after).unwrap_or(usize::MAX)),
            ))
        }
        ["events", n] => {
            findings::add(&mut lens, call);
            let event = n.parse().ok().and_then(|n| lens.event(n));
            let missing = || ApiError::NoDocument {
                what: "event",
                id: (*n).to_owned(),
            };
            Ok(Answer::ok(event.ok_or_else(missing)?))
        }
        ["find"] => {
            let wanted = call.text("q").unwrap_or_default();
            Ok(Answer::ok(json!({"events": lens.find(&wanted)})))
        }
        ["json"] => {
            findings::add(&mut lens, call);
            let mut whole = lens.document(0);
            let numbers = 1..=lens.events.len();
            whole["events"] = numbers.filter_map(|n| lens.event(n)).collect();
            file(&lens, "json", "application/json", pretty(&whole))
        }
        ["har"] => file(&lens, "har", "application/json", pretty(&lens.har())),
        ["pcap"] => {
            let bytes = lens.pcap().unwrap_or_default();
            file(&lens, "pcap", "application/vnd.tcpdump.pcap", bytes)
        }
        _ => Err(ApiError::NoPath),
    }
}

/// The call through the lens.
pub(in crate::api) async fn find(call: &Call, id: &str) -> Result<Lens, ApiError> {
    let account = call.account()?;
    // What never got as far as an account is for who runs the server.
    let all = call
        .principal
        .as_ref()
        .is_some_and(|principal| principal.is_superduper());
    let legs = call.api.journal().call_traces(&account.id, id, all).await?;
    let own = call
        .principal
        .as_ref()
        .and_then(|principal| principal.only_own());
    let seen = own.is_none_or(|user| lens::is_of_user(&legs, &user));
    let lens = lens::build(&account.id, &legs).filter(|_| seen);
    let mut lens = lens.ok_or_else(|| ApiError::NoCall(call.api.journal().trace_days()))?;
    if let Some(id) = lens
        .callflow
        .get("id")
        .and_then(Value::as_str)
        .map(str::to_owned)
    {
        let known = account.callflows.get(&id);
        let name = known.and_then(|flow| {
            let name = flow.get("name").and_then(Value::as_str);
            name.or_else(|| flow.get("numbers")?.get(0)?.as_str())
        });
        lens.callflow = json!({"id": id, "name": name});
    }
    Ok(lens)
}

fn pretty(document: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(document).unwrap_or_default()
}

fn file(lens: &Lens, kind: &str, content_type: &str, bytes: Vec<u8>) -> Result<Answer, ApiError> {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = lens.id.chars().take(80).map(safe).collect();
    let file = Download {
        content_type: content_type.to_owned(),
        bytes: bytes.into(),
        name: format!("call-{name}.{kind}"),
        ..Download::default()
    };
    Ok(Answer {
        status: 200,
        file: Some(file),
        ..Answer::default()
    })
}
