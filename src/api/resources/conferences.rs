//! `/conferences` (`api.md` §3.14): documents of conferences, who is in them at present, and what can be done to those.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{COLLECTION, NONE, Resource};
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::documents::{self, Documents, Draft};
use crate::api::error::ApiError;
use crate::api::list;
use crate::api::placing;
use crate::api::verb::Verb;
use crate::call::actions::{Acted, Action};
use crate::call::conference::{ConferenceInfo, MemberOrder, Order, Participant};
use crate::call::{Originate, Party, ShownAs};
use crate::directory::Kind;
use crate::host::clock;

pub(in crate::api) const RESOURCE: Resource =
    Resource::new("conferences", verbs, |call| Box::pin(answer(call)));

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

fn verbs(args: &[&str]) -> &'static [Verb] {
    match args {
        [] => COLLECTION,
        [_] => &[Verb::Get, Verb::Put, Verb::Post, Verb::Patch, Verb::Delete],
        [_, "participants"] | [_, "participants", _] => &[Verb::Get, Verb::Put],
        _ => NONE,
    }
}

async fn answer(call: &Call) -> Result<Answer, ApiError> {
    match (call.args().as_slice(), call.verb) {
        ([], Verb::Get) => {
            let mut answer = documents::answer(&CONFERENCES, call).await?;
            let live = live(call).await?;
            for row in answer.data.as_array_mut().into_iter().flatten() {
                read_only(row, &live);
            }
            Ok(answer)
        }
        ([id], Verb::Get) => {
            let live = live(call).await?;
            let known = call.account()?.conferences.contains_key(*id);
            let mut answer = if known || !live.iter().any(|room| room.name == **id) {
                documents::answer(&CONFERENCES, call).await?
            } else {
                Answer::ok(json!({ "id": id }))
            };
            read_only(&mut answer.data, &live);
            if live.iter().any(|room| room.name == **id) {
                // The document is the same, who is there is not.
                answer.revision = None;
            }
            Ok(answer)
        }
        ([id], Verb::Put) => {
            let order = match action(call).as_deref() {
                Some("lock") => Order::Lock(true),
                Some("unlock") => Order::Lock(false),
                Some("play") => Order::Play(media(call)?),
                Some("record") => Order::Record(starts(call)?),
                Some("dial") => return dial(call, id).await,
                other => return Err(unknown(other, "lock, unlock, play, record and dial")),
            };
            obeyed(call, id, order, id).await
        }
        ([id, "participants"], Verb::Get) => {
            let room = room(call, id).await?;
            let all = room.into_iter().flat_map(|room| room.participants);
            Ok(Answer::ok(all.map(|one| participant(&one)).collect()))
        }
        ([id, "participants"], _) => {
            let order = Order::Everybody(member_order(call)?);
            obeyed(call, id, order, id).await
        }
        ([id, "participants", who], verb) => {
            let missing = || ApiError::NoDocument {
                what: "participant",
                id: (*who).to_owned(),
            };
            let room = room(call, id).await?.ok_or_else(missing)?;
            let mut all = room.participants.into_iter();
            let one = all
                .find(|one| one.id.to_string() == **who || one.call_id == **who)
                .ok_or_else(missing)?;
            if verb == Verb::Get {
                return Ok(Answer::ok(participant(&one)));
            }
            if action(call).as_deref() == Some("play") {
                return play_to(call, &one, media(call)?).await;
            }
            let order = Order::Member(one.id, member_order(call)?);
            obeyed(call, id, order, who).await
        }
        _ => documents::answer(&CONFERENCES, call).await,
    }
}

/// The conferences of the account that somebody is in.
async fn live(call: &Call) -> Result<Vec<ConferenceInfo>, ApiError> {
    let account = call.account()?;
    Ok(match call.api.channels() {
        Some(channels) => channels.conferences(&account.id).await,
        None => Vec::new(),
    })
}

async fn room(call: &Call, id: &str) -> Result<Option<ConferenceInfo>, ApiError> {
    let live = live(call).await?;
    let found = live.into_iter().find(|room| room.name == id);
    if found.is_none() && !call.account()?.conferences.contains_key(id) {
        return Err(ApiError::NoDocument {
            what: "conference",
            id: id.to_owned(),
        });
    }
    Ok(found)
}

async fn obeyed(call: &Call, id: &str, order: Order, named: &str) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let obeyed = match call.api.channels() {
        Some(channels) => channels.conference(&account.id, id, order).await,
        None => false,
    };
    if obeyed {
        return Ok(Answer::created(json!("ok")));
    }
    Err(ApiError::NoDocument {
        what: "conference with participants",
        id: named.to_owned(),
    })
}

/// One member alone hears a medium.
async fn play_to(call: &Call, one: &Participant, media: String) -> Result<Answer, ApiError> {
    let account = call.account()?;
    let acted = match call.api.channels() {
        Some(channels) => {
            let action = Action::Play(media);
            channels.act(&account.id, &one.call_id, action).await
        }
        None => Acted::NoChannel,
    };
    if acted == Acted::Done {
        return Ok(Answer::created(json!("ok")));
    }
    Err(ApiError::NoDocument {
        what: "participant",
        id: one.id.to_string(),
    })
}

/// Whether a recording is to begin, or to end.
fn starts(call: &Call) -> Result<bool, ApiError> {
    match call.data.get("action").and_then(Value::as_str) {
        Some("start") => Ok(true),
        Some("stop") => Ok(false),
        Some(_) => Err(ApiError::field(
            "data.action",
            "enum",
            "is not one of start, stop",
        )),
        None => Err(ApiError::field("data.action", "required", "is required")),
    }
}

/// Rings endpoints (ids of devices or users, or numbers), each of which joins the conference once it answers.
async fn dial(call: &Call, id: &str) -> Result<Answer, ApiError> {
    let account = call.account()?;
    if !account.conferences.contains_key(id) {
        return Err(ApiError::NoDocument {
            what: "conference",
            id: id.to_owned(),
        });
    }
    let endpoints = call.data.get("endpoints").and_then(Value::as_array);
    let endpoints = endpoints
        .filter(|all| !all.is_empty())
        .ok_or_else(|| ApiError::field("endpoints", "required", "names who is rung"))?;
    let timeout = placing::ring_time(call.number("timeout")?);
    let mut parties = Vec::new();
    for (n, endpoint) in endpoints.iter().enumerate().take(MOST_DIALLED) {
        let path = format!("endpoints.{n}");
        let Some(endpoint) = endpoint.as_str().filter(|text| !text.is_empty()) else {
            let message = "must be the id of a device or user, or a number";
            return Err(ApiError::field(&path, "type", message));
        };
        let data = json!({"id": endpoint, "timeout": timeout.as_secs(), "can_call_self": true});
        parties.push(if account.devices.contains_key(endpoint) {
            placing::flow(endpoint, "device", data)
        } else if account.users.contains_key(endpoint) {
            placing::flow(endpoint, "user", data)
        } else {
            Party::Number(endpoint.to_owned())
        });
    }
    let principal = call.principal.as_ref().ok_or(ApiError::Credentials)?;
    let owner = principal.user.as_ref().map(|user| user.id.clone());
    let flags = call.data.get("participant_flags").and_then(Value::as_array);
    let flagged = |name: &str| flags.is_some_and(|flags| flags.iter().any(|flag| flag == name));
    // Who is rung sees which conference it is.
    let name = account.conferences.get(id).and_then(|doc| doc.get("name"));
    let name = name.and_then(Value::as_str).map(str::to_owned);
    let mut ids = Vec::new();
    for first in parties {
        let (outcome, _) = tokio::sync::oneshot::channel();
        let call_id = format!("{}-conference", call.api.rng().hex(16));
        let join = json!({"id": id, "moderator": flagged("is_moderator")});
        let wanted = Originate {
            account: std::sync::Arc::clone(account),
            call_id: call_id.clone(),
            first,
            then: placing::flow(id, "conference", join),
            authorizing_id: owner
                .clone()
                .unwrap_or_else(|| principal.account.id.to_string()),
            authorizing_type: "user",
            owner_id: owner.clone(),
            caller_id: ShownAs {
                name: call.text("caller_id_name").or_else(|| name.clone()),
                number: call.text("caller_id_number"),
            },
            then_caller_id: ShownAs::default(),
            as_answerer: false,
            timeout,
            headers: Vec::new(),
            ringback: None,
            hold_music: None,
            application_vars: placing::application_vars(call, None),
            outcome,
            keeps_id: false,
            stages: None,
        };
        placing::place(call, wanted).await?;
        ids.push(call_id);
    }
    Ok(Answer::created(json!({"call_ids": ids})))
}

/// Most who are rung by one request.
const MOST_DIALLED: usize = 20;

fn action(call: &Call) -> Option<String> {
    let envelope = call.envelope.get("action").and_then(Value::as_str);
    envelope.map(str::to_owned).or_else(|| call.text("action"))
}

fn member_order(call: &Call) -> Result<MemberOrder, ApiError> {
    match action(call).as_deref() {
        Some("mute") => Ok(MemberOrder::Mute(true)),
        Some("unmute") => Ok(MemberOrder::Mute(false)),
        Some("deaf") => Ok(MemberOrder::Deaf(true)),
        Some("undeaf") => Ok(MemberOrder::Deaf(false)),
        Some("kick") => Ok(MemberOrder::Kick),
        other => Err(unknown(
            other,
            "mute, unmute, deaf, undeaf and kick, and of one participant play,",
        )),
    }
}

fn media(call: &Call) -> Result<String, ApiError> {
    call.text("media_id")
        .filter(|media| !media.is_empty())
        .ok_or_else(|| ApiError::field("media_id", "required", "is required"))
}

fn unknown(action: Option<&str>, available: &str) -> ApiError {
    match action {
        Some(_) => ApiError::field("action", "enum", format!("only {available} are available")),
        None => ApiError::field("action", "required", "is required"),
    }
}

/// What KAZOO adds to a document: who is there now.
fn read_only(row: &mut Value, live: &[ConferenceInfo]) {
    let Some(row) = row.as_object_mut() else {
        return;
    };
    let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
    let room = live.iter().find(|room| room.name == id);
    let participants: Vec<&Participant> = room.into_iter().flat_map(|r| &r.participants).collect();
    let moderators = participants.iter().filter(|one| one.moderator).count();
    let duration = room.map_or(0, |room| clock::unix_now().since(room.began).as_secs());
    row.insert(
        "_read_only".into(),
        json!({
            "members": participants.len() - moderators,
            "moderators": moderators,
            "duration": duration,
            "is_locked": room.is_some_and(|room| room.locked),
            "participants": participants.into_iter().map(participant).collect::<Vec<_>>(),
        }),
    );
}

fn participant(one: &Participant) -> Value {
    json!({
        "participant_id": one.id,
        "call_id": one.call_id,
        "caller_id_name": one.caller_id_name,
        "caller_id_number": one.caller_id_number,
        "hear": !one.deaf,
        "speak": !one.muted,
        "talking": one.talking,
        "is_moderator": one.moderator,
        "join_time": one.joined.gregorian(),
        "duration": clock::unix_now().since(one.joined).as_secs(),
    })
}

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
