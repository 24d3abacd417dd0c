//! What happens in an account right now, for the first view of the page: calls in progress, load, problems of the last hour,
//! trunks and phones, what has just ended. `GET …/now` gives it, and the binding `now` of `/v2/websocket` tells it: figures
//! once a second, everything at once when a call changes.
//!
//! - `watch`: what only the stream of facts says: the node a call is at, its last hook, load.
//! - `hour`: what call records say of the last hour. - `doors`: trunks and phones.

mod doors;
mod hour;
mod watch;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Api;
use crate::base::time::UnixMicros;
use crate::call::channels::Channel;
use crate::directory::Account;
use crate::host::clock;

pub(super) use hour::Hours;
pub(super) use watch::Watch;

/// The name of the binding.
pub(super) const BINDING: &str = "now";
/// How long a point of a curve stands for, in seconds.
const STEP: u64 = 15;
/// Points of a curve.
const POINTS: usize = 60;

/// Everything.
pub(super) async fn whole(api: &Api, account: &Account) -> Value {
    let now = clock::unix_now();
    let legs = match api.channels() {
        Some(channels) => channels.list(&account.id).await,
        None => Vec::new(),
    };
    let calls = calls(api, account, &legs);
    let hour = api.hours().of(api, account, now).await;
    let mut figures = api.watch().figures(&account.id, now);
    figures["calls"] = json!(calls.len());
    figures["mos"] = json!(hour.mos);
    figures["mos_points"] = json!(hour.mos_points);
    let uptime = clock::now().saturating_duration_since(api.watch().since());
    json!({
        "calls": calls,
        "figures": figures,
        "problems": hour.problems,
        "calls_last_hour": hour.calls,
        "trunks": doors::trunks(api, account).await,
        "phones": doors::phones(api, account, &legs).await,
        "ended": hour.ended,
        "server": {"version": env!("CARGO_PKG_VERSION"), "up_s": uptime.as_secs(), "at": now.0},
    })
}

/// A row for each call: legs that were placed for another one are part of that one's row.
fn calls(api: &Api, account: &Account, legs: &[Channel]) -> Vec<Value> {
    let ids: BTreeSet<&str> = legs.iter().map(|leg| leg.call_id.as_str()).collect();
    let is_row = |leg: &&Channel| {
        let other = leg.other_leg.as_deref();
        leg.direction == "inbound" || other.is_none_or(|other| !ids.contains(other))
    };
    let rows = legs.iter().filter(is_row);
    rows.map(|leg| {
        let doing = api.watch().doing(&leg.call_id);
        let other = legs.iter().find(|one| {
            let (theirs, ours) = (one.other_leg.as_deref(), leg.other_leg.as_deref());
            Some(one.call_id.as_str()) == ours || theirs == Some(leg.call_id.as_str())
        });
        let rung = other.map(|other| name_of(account, other));
        json!({
            "call_id": leg.call_id,
            "from": leg.caller_id_number,
            "from_name": match leg.direction {
                "outbound" => Some(leg.caller_id_name.clone()).filter(|name| !name.is_empty()),
                _ => name_of(account, leg),
            },
            "to": match (leg.direction, name_of(account, leg)) {
                // Nobody dialled the address a telephone is reached at.
                ("outbound", Some(name)) => name,
                _ => dialled(account, &leg.destination),
            },
            "to_name": rung,
            "state": state(leg, other, &doing.module),
            "node": doing.module,
            "last_hook": doing.hook,
            "since": leg.created.0,
            "device": leg.authorizing_id,
        })
    })
    .collect()
}

/// What was dialled; calls that the API places are to documents.
fn dialled(account: &Account, destination: &str) -> String {
    let user = account.users.get(destination);
    let device = account.devices.get(destination);
    user.and_then(|user| user.username.clone())
        .or_else(|| device.map(|device| device.name.clone()))
        .unwrap_or_else(|| destination.to_owned())
}

/// What documents call the party of a leg.
fn name_of(account: &Account, leg: &Channel) -> Option<String> {
    let device = account.devices.get(&leg.authorizing_id);
    let trunk = account.trunks.get(&leg.authorizing_id);
    device
        .map(|device| device.name.clone())
        .or_else(|| trunk.map(|trunk| trunk.name.clone()))
        .or_else(|| (leg.direction == "inbound").then(|| leg.caller_id_name.clone()))
        .filter(|name| !name.is_empty())
}

/// What goes on, in words.
fn state(leg: &Channel, other: Option<&Channel>, module: &str) -> &'static str {
    match (leg.answered.is_some(), other) {
        (true, Some(other)) if other.answered.is_some() => return "talking",
        (_, Some(_)) => return "ringing",
        (_, None) => {}
    }
    match module {
        "collect_dtmf" | "menu" | "gather" | "ivr" => "waiting for keys",
        "tts" | "play" | "say" | "response" => "speaking",
        "pivot" | "webhook" => "asking",
        "conference" => "in a conference",
        "acdc_member" | "queue" | "enqueue" => "waiting in a queue",
        "record_call" | "record" => "recording",
        _ if leg.answered.is_some() => "talking",
        _ => "starting",
    }
}

/// The middle one.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Which point of a curve a moment belongs to; the last one is the present.
fn point(at: UnixMicros, now: UnixMicros) -> Option<usize> {
    let back = usize::try_from(now.since(at).as_secs() / STEP).ok()?;
    POINTS.checked_sub(1)?.checked_sub(back)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_point_is_the_present_and_the_first_a_quarter_of_an_hour_ago() {
        let now = UnixMicros::from_secs(10_000);
        let ago = |seconds: u64| UnixMicros::from_secs(10_000 - seconds);
        assert_eq!(point(now, now), Some(59));
        assert_eq!(point(ago(14), now), Some(59));
        assert_eq!(point(ago(15), now), Some(58));
        assert_eq!(point(ago(899), now), Some(0));
        assert_eq!(point(ago(900), now), None);
        // A clock that was set back.
        assert_eq!(point(now.plus(Duration::from_secs(5)), now), Some(59));
    }

    #[test]
    fn the_middle_of_nothing_is_nothing() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![4.0, 1.0, 3.0]), Some(3.0));
    }
}
