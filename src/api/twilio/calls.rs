//! `Calls`: the calls that are up and those that were, and what can be done to them. A call placed here is one call,
//! although it has a record for the one who placed it and one for the leg that answered: the first stands for both.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::shape::{self, Between, Page, date, is_placed, uri};
use super::{Ask, Refusal, Reply, place, recordings};
use crate::base::time::UnixMicros;
use crate::call::actions::{Acted, Action};
use crate::call::channels::Channel;
use crate::host::clock;
use crate::journal::{Cdr, TimeRange};

/// Records read at once.
const STEP: usize = 200;
/// Records looked at for one page.
const LOOKED_AT: usize = 20_000;
/// Months a call is looked for by its name alone.
const MONTHS: u64 = 24;
/// How often a call is looked for before it counts as unknown, and how long is waited between.
const LOOKS: usize = 8;
const LOOK_AGAIN: Duration = Duration::from_millis(60);
/// The application variable that keeps what was called, where that is no number.
pub(super) const TO: &str = "twilio_to";

/// One call, as it is shown.
pub(super) struct Shown {
    pub(super) sid: String,
    parent: Option<String>,
    from: String,
    to: String,
    caller_name: String,
    status: &'static str,
    direction: &'static str,
    created: UnixMicros,
    answered: Option<UnixMicros>,
    ended: Option<UnixMicros>,
}

pub(super) async fn answer(ask: &Ask, rest: &[&str]) -> Result<Reply, Refusal> {
    match (rest, &ask.method) {
        ([], &Method::GET) => list(ask).await,
        ([sid], &Method::GET) => Ok(Reply::Json(200, fetch(ask, sid).await?.json(ask))),
        ([sid], &Method::POST) => update(ask, sid).await,
        ([_], &Method::DELETE) => {
            let message = "Records of calls are kept: they cannot be deleted here";
            Err(Refusal::new(405, 20004, message))
        }
        ([sid, "Recordings", rest @ ..], _) => recordings::of_call(ask, sid, rest).await,
        ([] | [_], _) => Err(Refusal::method()),
        _ => Err(Refusal::not_found(&ask.path)),
    }
}

/// The legs of the account that are up.
pub(super) async fn up(ask: &Ask) -> Vec<Channel> {
    match ask.api.channels() {
        Some(channels) => channels.list(&ask.account.id).await,
        None => Vec::new(),
    }
}

/// The leg a call that is up is about: of a call placed here, the one that has answered.
pub(super) fn leg<'a>(legs: &'a [Channel], sid: &str) -> Option<&'a Channel> {
    let call = legs.iter().find(|leg| leg.call_id == sid)?;
    if !is_placed(sid) {
        return Some(call);
    }
    let other = call.other_leg.as_deref()?;
    legs.iter().find(|leg| leg.call_id == other)
}

/// How servers know a leg: by the call that was placed for it, or by itself.
pub(super) fn sid_of(legs: &[Channel], call_id: &str) -> String {
    let placed = legs
        .iter()
        .find(|leg| is_placed(&leg.call_id) && leg.other_leg.as_deref() == Some(call_id));
    placed.map_or(call_id, |leg| &leg.call_id).to_owned()
}

pub(super) async fn record(ask: &Ask, sid: &str) -> Result<Option<Cdr>, Refusal> {
    let now = clock::unix_now();
    let mut month = String::new();
    for back in 0..MONTHS {
        // Not all months are as long: some are met twice.
        let at = UnixMicros::from_secs(now.secs().saturating_sub(back * 28 * 24 * 3600));
        if at.month() == month {
            continue;
        }
        month = at.month();
        let id = format!("{month}-{sid}");
        let found = ask.api.journal().cdr(&ask.account.id, &id).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

pub(super) async fn fetch(ask: &Ask, sid: &str) -> Result<Shown, Refusal> {
    // Between the end of a call and its record being durable there is neither: a moment.
    for _ in 0..LOOKS {
        let legs = up(ask).await;
        if let Some(leg) = legs.iter().find(|leg| leg.call_id == sid) {
            return Ok(Shown::up(leg, &legs));
        }
        if let Some(cdr) = record(ask, sid).await? {
            return Ok(Shown::over(&cdr));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(Refusal::not_found(&ask.path))
}

struct Wanted {
    from: Option<String>,
    to: Option<String>,
    parent: Option<String>,
    status: Option<String>,
    started: Between,
    ended: Between,
}

impl Wanted {
    fn of(ask: &Ask) -> Result<Wanted, Refusal> {
        let text = |name: &str| ask.text(name).map(str::to_owned);
        Ok(Wanted {
            from: text("From"),
            to: text("To"),
            parent: text("ParentCallSid"),
            status: text("Status"),
            started: Between::of(ask, "StartTime")?,
            ended: Between::of(ask, "EndTime")?,
        })
    }

    fn has(&self, call: &Shown) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        is(&self.from, &call.from)
            && is(&self.to, &call.to)
            && is(&self.status, call.status)
            && is(&self.parent, call.parent.as_deref().unwrap_or_default())
            && self.started.has(call.answered.unwrap_or(call.created))
            && (self.ended == Between::ALL || call.ended.is_some_and(|at| self.ended.has(at)))
    }
}

/// The newest first: those that are up, on the first page, then the others by their end.
async fn list(ask: &Ask) -> Result<Reply, Refusal> {
    let (page, wanted) = (Page::of(ask)?, Wanted::of(ask)?);
    let mut rows = Vec::new();
    if page.token.is_none() {
        let legs = up(ask).await;
        let answered = legs.iter().filter(|leg| is_placed(&leg.call_id));
        let hidden: BTreeSet<_> = answered.filter_map(|leg| leg.other_leg.clone()).collect();
        let shown = legs
            .iter()
            .rev()
            .filter(|leg| !hidden.contains(&leg.call_id));
        let shown = shown.map(|leg| Shown::up(leg, &legs));
        rows.extend(
            shown
                .filter(|call| wanted.has(call))
                .map(|call| call.json(ask)),
        );
    }
    let mut range = TimeRange {
        from: wanted.ended.from.max(wanted.started.from),
        to: wanted.ended.to,
        start: page.token.clone(),
        ..TimeRange::newest(STEP)
    };
    let (mut looked_at, mut next) = (0, None);
    'pages: loop {
        let found = ask
            .api
            .journal()
            .cdrs(&ask.account.id, range.clone())
            .await?;
        let full = found.len() == range.limit;
        let last = found.last().map(|stored| stored.key.clone());
        let again = range.start.clone().filter(|_| range.limit > STEP);
        looked_at += found.len();
        for stored in found {
            if again.as_ref() == Some(&stored.key) || answers_a_placed_call(&stored.cdr) {
                continue;
            }
            let call = Shown::over(&stored.cdr);
            if !wanted.has(&call) {
                continue;
            }
            if rows.len() >= page.size {
                next = Some(stored.key);
                break 'pages;
            }
            rows.push(call.json(ask));
        }
        match last {
            Some(last) if full && looked_at < LOOKED_AT => {
                range.start = Some(last);
                range.limit = STEP + 1;
            }
            Some(last) if full => {
                next = Some(last);
                break;
            }
            _ => break,
        }
    }
    Ok(Reply::Json(
        200,
        page.show(ask, "calls", rows, next.as_deref()),
    ))
}

/// The leg that answered a call placed here.
fn answers_a_placed_call(cdr: &Cdr) -> bool {
    is_placed(&cdr.other_leg_call_id) && cdr.direction == "outbound"
}

async fn update(ask: &Ask, sid: &str) -> Result<Reply, Refusal> {
    let legs = up(ask).await;
    if !legs.iter().any(|leg| leg.call_id == sid) {
        // A call that is over is found, and told so.
        fetch(ask, sid).await?;
        let message = "Call is not in-progress. Cannot redirect.";
        return Err(Refusal::parameter(21220, message));
    }
    let answered = leg(&legs, sid).filter(|leg| leg.answered.is_some());
    let status = ask.text("Status");
    match status {
        None | Some("completed") => {}
        Some("canceled") if answered.is_some() => {
            let message = "Call is in progress: only calls that ring can be canceled";
            return Err(Refusal::parameter(21220, message));
        }
        Some("canceled") => {}
        Some(other) => {
            let message = format!("Status can be completed or canceled, not {other}");
            return Err(Refusal::parameter(21218, message));
        }
    }
    let Some(channels) = ask.api.channels() else {
        return Err(Refusal::new(503, 20503, "no calls can be placed here"));
    };
    if status.is_some() {
        channels.act(&ask.account.id, sid, Action::HangUp).await;
    } else {
        let flow = place::flow(
            ask,
            &answered
                .map(|leg| leg.destination.clone())
                .unwrap_or_default(),
        )?;
        let Some(flow) = flow else {
            let message = "Name a Url, a Twiml or a Status";
            return Err(Refusal::parameter(21205, message));
        };
        let Some(leg) = answered else {
            let message = "Call is not in-progress. Cannot redirect.";
            return Err(Refusal::parameter(21220, message));
        };
        let acted = channels
            .act(&ask.account.id, &leg.call_id, Action::Redirect(flow))
            .await;
        if acted != Acted::Done {
            let message = "Call is not in-progress. Cannot redirect.";
            return Err(Refusal::parameter(21220, message));
        }
    }
    Ok(Reply::Json(200, fetch(ask, sid).await?.json(ask)))
}

impl Shown {
    fn up(leg: &Channel, legs: &[Channel]) -> Shown {
        let placed = is_placed(&leg.call_id);
        let to = leg.custom_application_vars.get(TO).and_then(Value::as_str);
        let to = to.filter(|_| placed).unwrap_or(&leg.destination);
        let parent = leg
            .other_leg
            .as_deref()
            .filter(|_| leg.direction == "outbound");
        Shown {
            sid: leg.call_id.clone(),
            parent: parent.map(|parent| sid_of(legs, parent)),
            from: leg.caller_id_number.clone(),
            to: to.to_owned(),
            caller_name: leg.caller_id_name.clone(),
            status: match leg.answered {
                Some(_) => "in-progress",
                None => "ringing",
            },
            direction: direction(placed, leg.direction),
            created: leg.created,
            answered: leg.answered,
            ended: None,
        }
    }

    fn over(cdr: &Cdr) -> Shown {
        let placed = is_placed(&cdr.call_id);
        let to = cdr.custom_application_vars.get(TO).and_then(Value::as_str);
        let user = |address: &str| address.split('@').next().unwrap_or_default().to_owned();
        let parent =
            Some(&cdr.other_leg_call_id).filter(|id| !id.is_empty() && cdr.direction == "outbound");
        Shown {
            sid: cdr.call_id.clone(),
            parent: parent.cloned(),
            from: cdr.caller_id_number.clone(),
            to: to
                .filter(|_| placed)
                .map_or_else(|| user(&cdr.request), str::to_owned),
            caller_name: cdr.caller_id_name.clone(),
            status: match cdr.ended {
                None => "in-progress",
                Some(_) => shape::ending(cdr.answered.is_some(), ended_with(cdr)),
            },
            direction: direction(placed, &cdr.direction),
            created: cdr.created,
            answered: cdr.answered,
            ended: cdr.ended,
        }
    }

    /// A call that has just been asked for.
    pub(super) fn queued(sid: &str, from: &str, to: &str) -> Shown {
        Shown {
            sid: sid.to_owned(),
            parent: None,
            from: from.to_owned(),
            to: to.to_owned(),
            caller_name: String::new(),
            status: "queued",
            direction: "outbound-api",
            created: clock::unix_now(),
            answered: None,
            ended: None,
        }
    }

    pub(super) fn json(&self, ask: &Ask) -> Value {
        let below = format!("Calls/{}", self.sid);
        let talked = match (self.answered, self.ended) {
            (Some(answered), Some(ended)) => Some(ended.since(answered).as_secs().to_string()),
            (None, Some(_)) => Some("0".to_owned()),
            _ => None,
        };
        let begun = self.answered.or(self.ended.map(|_| self.created));
        json!({
            "sid": self.sid,
            "account_sid": ask.sid,
            "parent_call_sid": self.parent,
            "from": self.from,
            "from_formatted": self.from,
            "to": self.to,
            "to_formatted": self.to,
            "caller_name": self.caller_name,
            "status": self.status,
            "direction": self.direction,
            "date_created": date(self.created),
            "date_updated": date(self.ended.or(self.answered).unwrap_or(self.created)),
            "start_time": begun.map(date),
            "end_time": self.ended.map(date),
            "duration": talked,
            "price": null,
            "price_unit": "USD",
            "phone_number_sid": null,
            "answered_by": null,
            "annotation": null,
            "forwarded_from": null,
            "group_sid": null,
            "trunk_sid": null,
            "queue_time": "0",
            "api_version": super::VERSION,
            "uri": uri(ask, &format!("{below}.json")),
            "subresource_uris": {"recordings": uri(ask, &format!("{below}/Recordings.json"))},
        })
    }
}

fn ended_with(cdr: &Cdr) -> u16 {
    ended_by(&cdr.hangup_cause, cdr.hangup_code)
}

/// The status that says best why a call was not answered.
pub(super) fn ended_by(cause: &str, status: u16) -> u16 {
    match cause {
        "ORIGINATOR_CANCEL" => 487,
        "NO_ANSWER" | "NO_USER_RESPONSE" => 480,
        "USER_BUSY" => 486,
        "NORMAL_CLEARING" => 500,
        _ => status,
    }
}

fn direction(placed: bool, of_leg: &str) -> &'static str {
    match of_leg {
        _ if placed => "outbound-api",
        "inbound" => "inbound",
        _ => "outbound-dial",
    }
}
