//! `Conferences` and their `Participants`: the rooms somebody is in.

use axum::http::Method;
use serde_json::{Value, json};

use super::calls;
use super::place::{self, escaped, noticed};
use super::shape::{Page, date, uri};
use super::{Ask, Refusal, Reply};
use crate::call::channels::Channel;
use crate::call::conference::{ConferenceInfo, MemberOrder, Order, Participant};

/// Attributes of TwiML's Conference by the parameters that set them.
const ATTRIBUTES: [(&str, &str); 9] = [
    ("Label", "participantLabel"),
    ("Muted", "muted"),
    ("StartConferenceOnEnter", "startConferenceOnEnter"),
    ("EndConferenceOnExit", "endConferenceOnExit"),
    ("MaxParticipants", "maxParticipants"),
    ("WaitUrl", "waitUrl"),
    ("WaitMethod", "waitMethod"),
    ("ConferenceStatusCallback", "statusCallback"),
    ("CallSidToCoach", "coach"),
];

pub(super) async fn answer(ask: &Ask, rest: &[&str]) -> Result<Reply, Refusal> {
    match (rest, &ask.method) {
        ([], &Method::GET) => list(ask).await,
        ([sid], &Method::GET) => Ok(Reply::Json(200, shown(ask, &room(ask, sid).await?))),
        ([sid], &Method::POST) => update(ask, sid).await,
        ([sid, "Participants"], &Method::GET) => participants(ask, sid).await,
        ([sid, "Participants"], &Method::POST) => join(ask, sid).await,
        ([sid, "Participants", who], _) => participant(ask, sid, who).await,
        ([] | [_] | [_, "Participants"], _) => Err(Refusal::method()),
        _ => Err(Refusal::not_found(&ask.path)),
    }
}

async fn rooms(ask: &Ask) -> Vec<ConferenceInfo> {
    match ask.api.channels() {
        Some(channels) => channels.conferences(&ask.account.id).await,
        None => Vec::new(),
    }
}

/// The room with that Sid, or that name.
async fn room(ask: &Ask, sid: &str) -> Result<ConferenceInfo, Refusal> {
    let rooms = rooms(ask).await;
    let mut found = rooms
        .into_iter()
        .filter(|room| room.id == sid || room.name == sid);
    found.next().ok_or_else(|| Refusal::not_found(&ask.path))
}

fn status(room: &ConferenceInfo) -> &'static str {
    if room.started { "in-progress" } else { "init" }
}

async fn list(ask: &Ask) -> Result<Reply, Refusal> {
    let page = Page::of(ask)?;
    let wanted = |room: &ConferenceInfo| {
        let name = ask
            .text("FriendlyName")
            .is_none_or(|name| name == room.name);
        name && ask
            .text("Status")
            .is_none_or(|wanted| wanted == status(room))
    };
    let rooms = rooms(ask).await;
    let rows = rooms.iter().filter(|room| wanted(room)).take(page.size);
    let rows = rows.map(|room| shown(ask, room)).collect();
    Ok(Reply::Json(200, page.show(ask, "conferences", rows, None)))
}

fn shown(ask: &Ask, room: &ConferenceInfo) -> Value {
    let below = format!("Conferences/{}", room.id);
    json!({
        "sid": room.id,
        "account_sid": ask.sid,
        "friendly_name": room.name,
        "status": status(room),
        "date_created": date(room.began),
        "date_updated": date(room.began),
        "region": null,
        "reason_conference_ended": null,
        "call_sid_ending_conference": null,
        "api_version": super::VERSION,
        "uri": uri(ask, &format!("{below}.json")),
        "subresource_uris": {
            "participants": uri(ask, &format!("{below}/Participants.json")),
            "recordings": uri(ask, &format!("{below}/Recordings.json")),
        },
    })
}

async fn order(ask: &Ask, room: &str, order: Order) -> Result<(), Refusal> {
    let obeyed = match ask.api.channels() {
        Some(channels) => channels.conference(&ask.account.id, room, order).await,
        None => false,
    };
    obeyed
        .then_some(())
        .ok_or_else(|| Refusal::not_found(&ask.path))
}

/// Ends a conference, or has everybody hear something.
async fn update(ask: &Ask, sid: &str) -> Result<Reply, Refusal> {
    let mut room = room(ask, sid).await?;
    match ask.text("Status") {
        None => {}
        Some("completed") => {
            order(ask, &room.name, Order::Everybody(MemberOrder::Kick)).await?;
            let mut said = shown(ask, &room);
            said["status"] = json!("completed");
            return Ok(Reply::Json(200, said));
        }
        Some(other) => {
            let message = format!("Status can be completed, not {other}");
            return Err(Refusal::parameter(20001, message));
        }
    }
    if let Some(url) = ask.url("AnnounceUrl")? {
        order(ask, &room.name, Order::Play(url)).await?;
        room = self::room(ask, sid).await?;
    }
    Ok(Reply::Json(200, shown(ask, &room)))
}

async fn participants(ask: &Ask, sid: &str) -> Result<Reply, Refusal> {
    let (page, room) = (Page::of(ask)?, room(ask, sid).await?);
    let (muted, hold) = (ask.flag("Muted")?, ask.flag("Hold")?);
    let legs = calls::up(ask).await;
    let wanted = room.participants.iter().filter(|one| {
        muted.is_none_or(|wanted| wanted == one.muted)
            && hold.is_none_or(|wanted| wanted == one.held)
    });
    let rows = wanted
        .take(page.size)
        .map(|one| member(ask, &room, one, &legs));
    let rows = rows.collect();
    Ok(Reply::Json(200, page.show(ask, "participants", rows, None)))
}

fn member(ask: &Ask, room: &ConferenceInfo, one: &Participant, legs: &[Channel]) -> Value {
    let sid = calls::sid_of(legs, &one.call_id);
    let below = format!("Conferences/{}/Participants/{sid}.json", room.id);
    json!({
        "account_sid": ask.sid,
        "conference_sid": room.id,
        "call_sid": sid,
        "label": one.label,
        "muted": one.muted,
        "hold": one.held,
        "coaching": one.coaching.is_some(),
        "call_sid_to_coach": one.coaching,
        "start_conference_on_enter": one.start_on_enter,
        "end_conference_on_exit": one.end_on_exit,
        "status": "connected",
        "queue_time": "0",
        "date_created": date(one.joined),
        "date_updated": date(one.joined),
        "uri": uri(ask, &below),
    })
}

/// The member with that Call-Sid or label.
async fn found(
    ask: &Ask,
    sid: &str,
    who: &str,
) -> Result<(ConferenceInfo, Participant, Vec<Channel>), Refusal> {
    let room = room(ask, sid).await?;
    let legs = calls::up(ask).await;
    let own = calls::leg(&legs, who).map(|leg| leg.call_id.clone());
    let mut all = room.participants.iter();
    let one = all.find(|one| {
        one.call_id == who
            || Some(&one.call_id) == own.as_ref()
            || one.label.as_deref() == Some(who)
    });
    let one = one.cloned().ok_or_else(|| Refusal::not_found(&ask.path))?;
    Ok((room, one, legs))
}

async fn participant(ask: &Ask, sid: &str, who: &str) -> Result<Reply, Refusal> {
    let (room, one, legs) = found(ask, sid, who).await?;
    match ask.method {
        Method::GET => Ok(Reply::Json(200, member(ask, &room, &one, &legs))),
        Method::DELETE => {
            order(ask, &room.name, Order::Member(one.id, MemberOrder::Kick)).await?;
            Ok(Reply::Nothing)
        }
        Method::POST => {
            let mut notices = Vec::new();
            let mut orders = Vec::new();
            // Who is on hold is neither heard nor hears.
            if let Some(hold) = ask.flag("Hold")? {
                orders.push(MemberOrder::Hold(hold));
            }
            if let Some(muted) = ask.flag("Muted")? {
                orders.push(MemberOrder::Mute(muted));
            }
            for (name, why) in [
                ("HoldUrl", "who is on hold hears silence"),
                ("AnnounceUrl", "an announcement is for the whole conference"),
                (
                    "Coaching",
                    "whom a participant coaches is decided when it joins",
                ),
                (
                    "CallSidToCoach",
                    "whom a participant coaches is decided when it joins",
                ),
                (
                    "EndConferenceOnExit",
                    "it is decided when the participant joins",
                ),
                ("BeepOnExit", "it is decided when the participant joins"),
            ] {
                if ask.text(name).is_some() {
                    notices.push(format!("{name} is ignored: {why}"));
                }
            }
            for change in orders {
                order(ask, &room.name, Order::Member(one.id, change)).await?;
            }
            let (room, one, legs) = found(ask, sid, who).await?;
            let mut said = member(ask, &room, &one, &legs);
            noticed(&mut said, notices);
            Ok(Reply::Json(200, said))
        }
        _ => Err(Refusal::method()),
    }
}

/// A call whose answerer joins the conference, which begins with it where there is none of that name.
async fn join(ask: &Ask, sid: &str) -> Result<Reply, Refusal> {
    let rooms = rooms(ask).await;
    let known = rooms
        .into_iter()
        .find(|room| room.id == sid || room.name == sid);
    if known.is_none() && sid.len() == 34 && sid.starts_with("CF") {
        return Err(Refusal::not_found(&ask.path));
    }
    let name = known.as_ref().map_or(sid, |room| &room.name);
    for url in ["WaitUrl", "ConferenceStatusCallback"] {
        ask.url(url)?;
    }
    let mut attributes = String::new();
    for (parameter, attribute) in ATTRIBUTES {
        if let Some(value) = ask.text(parameter) {
            attributes.push_str(&format!(" {attribute}=\"{}\"", escaped(value)));
        }
    }
    let events = ask.texts("ConferenceStatusCallbackEvent").join(" ");
    if !events.is_empty() {
        attributes.push_str(&format!(" statusCallbackEvent=\"{}\"", escaped(&events)));
    }
    if let Some(beep) = ask.text("Beep") {
        attributes.push_str(&format!(" beep=\"{}\"", escaped(beep)));
    }
    let name = escaped(name);
    let document =
        format!("<Response><Dial><Conference{attributes}>{name}</Conference></Dial></Response>");
    let (call, notices) =
        place::start(ask, |number| Ok(place::document_flow(number, &document))).await?;
    let conference = known.map(|room| room.id);
    let mut said = json!({
        "account_sid": ask.sid,
        "conference_sid": conference,
        "call_sid": call.sid,
        "label": ask.text("Label"),
        "muted": ask.flag("Muted")?.unwrap_or(false),
        "hold": false,
        "coaching": ask.text("CallSidToCoach").is_some(),
        "call_sid_to_coach": ask.text("CallSidToCoach"),
        "start_conference_on_enter": ask.flag("StartConferenceOnEnter")?.unwrap_or(true),
        "end_conference_on_exit": ask.flag("EndConferenceOnExit")?.unwrap_or(false),
        "status": "queued",
        "queue_time": "0",
        "date_created": null,
        "date_updated": null,
        "uri": uri(ask, &format!("Conferences/{sid}/Participants/{}.json", call.sid)),
    });
    noticed(&mut said, notices);
    Ok(Reply::Json(201, said))
}
