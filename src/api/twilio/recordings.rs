//! `Recordings`: recorded calls, their sound, and the recording of a call that is up.

use axum::http::Method;
use serde_json::{Value, json};

use super::calls;
use super::shape::{Between, Page, date, is_placed, uri};
use super::{Ask, Refusal, Reply};
use crate::api::audit;
use crate::api::documents::Who;
use crate::api::verb::Verb;
use crate::call::NewRecording;
use crate::call::channels::RecordOrder;
use crate::journal::TimeRange;
use crate::media::Sides;
use crate::recordings::{Notice, Recording, Shelf};
use crate::store::Batch;

/// Recordings read at once.
const STEP: usize = 200;
/// Recordings looked at for one page.
const LOOKED_AT: usize = 20_000;

fn shelf(ask: &Ask) -> Result<&Shelf, Refusal> {
    let missing = || Refusal::new(503, 20503, "nothing is recorded here");
    ask.api.recordings().ok_or_else(missing)
}

pub(super) async fn answer(ask: &Ask, rest: &[&str]) -> Result<Reply, Refusal> {
    match (rest, &ask.method) {
        ([], &Method::GET) => list(ask, ask.text("CallSid")).await,
        ([id], &Method::GET) => one(ask, id).await,
        ([id], &Method::DELETE) => remove(ask, id).await,
        ([] | [_], _) => Err(Refusal::method()),
        _ => Err(Refusal::not_found(&ask.path)),
    }
}

/// `Calls/{Sid}/Recordings`.
pub(super) async fn of_call(ask: &Ask, sid: &str, rest: &[&str]) -> Result<Reply, Refusal> {
    match (rest, &ask.method) {
        ([], &Method::GET) => list(ask, Some(sid)).await,
        ([], &Method::POST) => begin(ask, sid).await,
        ([id], &Method::GET) => one(ask, id).await,
        ([id], &Method::POST) => change(ask, sid, id).await,
        ([id], &Method::DELETE) => remove(ask, id).await,
        ([] | [_], _) => Err(Refusal::method()),
        _ => Err(Refusal::not_found(&ask.path)),
    }
}

async fn find(ask: &Ask, id: &str) -> Result<Recording, Refusal> {
    let found = shelf(ask)?.one(&ask.account.id, id).await?;
    found.ok_or_else(|| Refusal::not_found(&ask.path))
}

async fn one(ask: &Ask, id: &str) -> Result<Reply, Refusal> {
    let recording = find(ask, id).await?;
    match ask.format {
        Some("json") => Ok(Reply::Json(200, shown(ask, &recording).await?)),
        Some("mp3") => {
            let message = "Recordings are WAV: let the path end in .wav";
            Err(Refusal::new(406, 20406, message))
        }
        // As at Twilio, the bare name is the sound.
        _ => {
            let bytes = shelf(ask)?.bytes(&recording).await;
            let bytes = bytes.ok_or_else(|| Refusal::not_found(&ask.path))?;
            Ok(Reply::File(bytes.to_vec(), "audio/x-wav"))
        }
    }
}

/// How servers know the call a recording is of.
async fn sid_of(ask: &Ask, recording: &Recording) -> Result<String, Refusal> {
    if is_placed(&recording.call_id) {
        return Ok(recording.call_id.clone());
    }
    let legs = calls::up(ask).await;
    let sid = calls::sid_of(&legs, &recording.call_id);
    if sid != recording.call_id {
        return Ok(sid);
    }
    let journal = ask.api.journal();
    let legs = journal
        .legs(&ask.account.id, &recording.interaction_id)
        .await?;
    let placed = legs
        .iter()
        .find(|leg| is_placed(&leg.call_id) && leg.other_leg_call_id == recording.call_id);
    Ok(placed.map_or(sid, |leg| leg.call_id.clone()))
}

async fn shown(ask: &Ask, recording: &Recording) -> Result<Value, Refusal> {
    let below = format!("Recordings/{}", recording.id);
    let notice = recording.notice.as_ref();
    let field = |name: &str| {
        let fields = notice.into_iter().flat_map(|notice| &notice.fields);
        let mut found = fields.filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.clone())
    };
    let ended = recording.duration_ms > 0;
    let source = notice.map(|notice| notice.source.as_str());
    Ok(json!({
        "sid": recording.id,
        "account_sid": ask.sid,
        "call_sid": sid_of(ask, recording).await?,
        "conference_sid": field("ConferenceSid"),
        "status": if ended { "completed" } else { "processing" },
        "duration": ended.then(|| ((recording.duration_ms + 500) / 1000).to_string()),
        "channels": recording.channels,
        "source": source.filter(|source| !source.is_empty()).unwrap_or("RecordVerb"),
        "start_time": date(recording.start),
        "date_created": date(recording.start),
        "date_updated": date(recording.start),
        "error_code": null,
        "price": null,
        "price_unit": "USD",
        "encryption_details": null,
        "api_version": super::VERSION,
        "uri": uri(ask, &format!("{below}.json")),
        "media_url": uri(ask, &below),
        "subresource_uris": {},
    }))
}

async fn list(ask: &Ask, of: Option<&str>) -> Result<Reply, Refusal> {
    let page = Page::of(ask)?;
    let created = Between::of(ask, "DateCreated")?;
    let mut range = TimeRange {
        from: created.from,
        to: created.to,
        start: page.token.clone(),
        ..TimeRange::newest(STEP)
    };
    let (mut rows, mut next, mut looked_at) = (Vec::new(), None, 0);
    'pages: loop {
        let found = shelf(ask)?.list(&ask.account.id, range.clone()).await?;
        let full = found.len() == range.limit;
        let last = found.last().map(|stored| stored.key.clone());
        let again = range.start.clone().filter(|_| range.limit > STEP);
        looked_at += found.len();
        for stored in found {
            if again.as_ref() == Some(&stored.key) {
                continue;
            }
            let row = shown(ask, &stored.recording).await?;
            let of_this = |sid: &str| row.get("call_sid").and_then(Value::as_str) == Some(sid);
            let wanted = of.is_none_or(|sid| of_this(sid) || stored.recording.call_id == sid);
            let conference = ask.text("ConferenceSid");
            let of_room =
                |sid: &str| row.get("conference_sid").and_then(Value::as_str) == Some(sid);
            if !wanted || !conference.is_none_or(of_room) {
                continue;
            }
            if rows.len() >= page.size {
                next = Some(stored.key);
                break 'pages;
            }
            rows.push(row);
        }
        match last {
            Some(last) if full && looked_at < LOOKED_AT => {
                range.start = Some(last);
                range.limit = STEP + 1;
            }
            _ => break,
        }
    }
    Ok(Reply::Json(
        200,
        page.show(ask, "recordings", rows, next.as_deref()),
    ))
}

async fn remove(ask: &Ask, id: &str) -> Result<Reply, Refusal> {
    let recording = find(ask, id).await?;
    let mut batch = Batch::new();
    let who = Who {
        account: ask.account.id.to_string(),
        owner: None,
        how: "auth_token".to_owned(),
        client: ask.client.to_string(),
    };
    let doc = recording.to_doc();
    let entry = audit::Entry {
        who: &who,
        account: &ask.account.id,
        verb: Verb::Delete,
        kind: "recording",
        id,
        old: Some(&doc),
        new: None,
    };
    audit::record(&mut batch, &entry);
    match shelf(ask)?.remove(&ask.account.id, id, batch).await? {
        true => Ok(Reply::Nothing),
        false => Err(Refusal::not_found(&ask.path)),
    }
}

/// The recording a request asks for.
pub(super) fn wanted(ask: &Ask, source: &str) -> Result<NewRecording, Refusal> {
    let channels = ask.text("RecordingChannels").unwrap_or("mono");
    let track = ask.text("RecordingTrack").unwrap_or("both");
    let sides = match (channels, track) {
        ("dual", "both") => Sides::Apart,
        ("mono", "both") => Sides::Mixed,
        ("mono" | "dual", "inbound") => Sides::Peer,
        _ => {
            let message = "RecordingChannels is mono or dual, RecordingTrack inbound or both";
            return Err(Refusal::parameter(20001, message));
        }
    };
    let url = ask.url("RecordingStatusCallback")?;
    let events = ask.texts("RecordingStatusCallbackEvent");
    let events: Vec<String> = match events.is_empty() {
        true => vec!["completed".to_owned()],
        false => events.into_iter().map(str::to_owned).collect(),
    };
    let notice = Notice {
        url: url.unwrap_or_default(),
        method: ask
            .verb("RecordingStatusCallbackMethod")?
            .to_ascii_uppercase(),
        events,
        source: source.to_owned(),
        track: track.to_owned(),
        ..Notice::default()
    };
    Ok(NewRecording {
        origin: "twilio".to_owned(),
        source: "api",
        sides,
        notice: Some(notice),
        ..NewRecording::default()
    })
}

/// Starts a recording of a call that is up.
async fn begin(ask: &Ask, sid: &str) -> Result<Reply, Refusal> {
    let legs = calls::up(ask).await;
    let leg = calls::leg(&legs, sid).filter(|leg| leg.answered.is_some());
    let (Some(leg), Some(channels)) = (leg, ask.api.channels()) else {
        calls::fetch(ask, sid).await?;
        let message = "Call is not in-progress: it cannot be recorded";
        return Err(Refusal::parameter(21220, message));
    };
    let mut new = wanted(ask, "StartCallRecordingAPI")?;
    let id = format!("{}-{}", leg.created.month(), ask.api.rng().hex(16));
    new.id = Some(id.clone());
    let order = RecordOrder::Start(new);
    channels.record(&ask.account.id, &leg.call_id, order).await;
    let said = json!({
        "sid": id,
        "account_sid": ask.sid,
        "call_sid": sid,
        "conference_sid": null,
        "status": "in-progress",
        "source": "StartCallRecordingAPI",
        "channels": if ask.text("RecordingChannels") == Some("dual") { 2 } else { 1 },
        "track": ask.text("RecordingTrack").unwrap_or("both"),
        "duration": null,
        "price": null,
        "price_unit": "USD",
        "error_code": null,
        "api_version": super::VERSION,
        "uri": uri(ask, &format!("Calls/{sid}/Recordings/{id}.json")),
    });
    Ok(Reply::Json(201, said))
}

/// Ends, pauses or goes on with the recording of a call: the one that was started last.
async fn change(ask: &Ask, sid: &str, id: &str) -> Result<Reply, Refusal> {
    let (order, status) = match ask.text("Status") {
        Some("stopped") => (RecordOrder::Stop, "stopped"),
        Some("paused") => (RecordOrder::Mask, "paused"),
        Some("in-progress") => (RecordOrder::Unmask, "in-progress"),
        _ => {
            let message = "Status must be stopped, paused or in-progress";
            return Err(Refusal::parameter(20001, message));
        }
    };
    let legs = calls::up(ask).await;
    let (Some(leg), Some(channels)) = (calls::leg(&legs, sid), ask.api.channels()) else {
        return Err(Refusal::not_found(&ask.path));
    };
    channels.record(&ask.account.id, &leg.call_id, order).await;
    let said = json!({
        "sid": id,
        "account_sid": ask.sid,
        "call_sid": sid,
        "status": status,
        "api_version": super::VERSION,
        "uri": uri(ask, &format!("Calls/{sid}/Recordings/{id}.json")),
    });
    Ok(Reply::Json(200, said))
}
