//! Recordings that documents ask for: `call_recording` of the account, of a user and of a device (`callflow.md` §1.5, §6.2).
//!
//! The account's `call_recording.account` is about every call of the account, on the caller's leg. What an endpoint wants is
//! the device's, else its owner's, else the account's `call_recording.endpoint`: of its `outbound` calls on its own leg, of
//! its `inbound` ones on the leg that reached it.

use std::time::Duration;

use serde_json::Value;

use super::handle::CallHandle;
use super::ops::record::{Begin, NewRecording};
use crate::directory::Account;
use crate::media::Sides;
use crate::recordings::Method;

/// Which way a call goes, from where recording is asked for.
const INBOUND: &str = "inbound";
const OUTBOUND: &str = "outbound";
/// Where the other side is.
const ONNET: &str = "onnet";
const OFFNET: &str = "offnet";

impl CallHandle {
    /// Starts what the account and the calling endpoint want recorded. Called once, when the caller's flow begins.
    pub fn record_automatically(&self) {
        let facts = self.facts();
        let account = &facts.account;
        let from = net(facts.inception.is_some());
        let to = net(self.vars().no_match);
        let of_account = account.doc.pointer("/call_recording/account");
        let found = of_account.and_then(|wanted| {
            find(wanted, INBOUND, from)
                .map(|found| (found, format!("inbound from {from} to account")))
                .or_else(|| {
                    let found = find(wanted, OUTBOUND, to)?;
                    Some((found, format!("outbound to {to} from account")))
                })
        });
        if let Some((settings, origin)) = found {
            self.start_automatic(settings, origin);
        }
        if facts.inception.is_none() {
            let own = of_endpoint(
                account,
                &facts.authorizing_id,
                facts.owner_id.as_deref(),
                OUTBOUND,
                to,
            );
            if let Some(settings) = own {
                self.start_automatic(settings, format!("outbound from endpoint to {to}"));
            }
        }
    }

    /// Starts what the endpoint that was reached wants recorded of a call from `caller`.
    pub(super) fn record_as_reached(&self, caller: &Self) {
        let facts = self.own_facts();
        if !self.is_outbound() || facts.authorizing_type == "resource" {
            return;
        }
        let from = net(caller.own_facts().inception.is_some());
        let wanted = of_endpoint(
            &facts.account,
            &facts.authorizing_id,
            facts.owner_id.as_deref(),
            INBOUND,
            from,
        );
        // Once a leg: it may be connected to others later.
        if let (Some(settings), true) = (wanted, self.recordings().is_empty()) {
            self.start_automatic(settings, format!("inbound from {from} to endpoint"));
        }
    }

    fn start_automatic(&self, settings: &Value, origin: String) {
        let new = NewRecording::from_settings(settings, &origin, "call_recording");
        if let Err(error) = self.start_recording(new) {
            tracing::debug!(call = ?self, %error, "the call ended before its recording began");
        }
    }
}

fn net(is_outside: bool) -> &'static str {
    if is_outside { OFFNET } else { ONNET }
}

/// What an endpoint wants: the first of device, owner and account that says so.
fn of_endpoint<'a>(
    account: &'a Account,
    device: &str,
    owner: Option<&str>,
    direction: &str,
    net: &str,
) -> Option<&'a Value> {
    let device = account.devices.get(device);
    let owner = owner.and_then(|id| account.users.get(id));
    let wanted = [
        device.and_then(|device| device.doc.get("call_recording")),
        owner.and_then(|owner| owner.doc.get("call_recording")),
        account.doc.pointer("/call_recording/endpoint"),
    ];
    wanted
        .into_iter()
        .flatten()
        .find_map(|wanted| find(wanted, direction, net))
}

/// The settings for a call that goes that way, when they are switched on: the particular ones before those for any.
fn find<'a>(wanted: &'a Value, direction: &str, net: &str) -> Option<&'a Value> {
    let ways = [
        (direction, net),
        (direction, "any"),
        ("any", net),
        ("any", "any"),
    ];
    let settings = ways
        .iter()
        .find_map(|(direction, net)| wanted.get(direction)?.get(net))?;
    (settings.get("enabled") == Some(&Value::Bool(true))).then_some(settings)
}

impl NewRecording {
    /// The recording KAZOO's settings ask for; `origin` where they name none.
    pub fn from_settings(settings: &Value, origin: &str, source: &'static str) -> Self {
        let flag = |key: &str| settings.get(key).and_then(Value::as_bool).unwrap_or(false);
        let seconds = |key: &str| {
            let value = settings.get(key).and_then(Value::as_i64)?;
            Some(Duration::from_secs(u64::try_from(value).unwrap_or(0)))
        };
        let text = |key: &str| {
            let value = settings.get(key).and_then(Value::as_str);
            value.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let method = match text("method").as_deref() {
            Some("post") => Method::Post,
            Some(_) | None => Method::Put,
        };
        Self {
            name: text("media_name"),
            origin: text("origin").unwrap_or_else(|| origin.to_owned()),
            source,
            sides: match settings.get("channels").and_then(Value::as_i64) {
                Some(2) => Sides::Apart,
                Some(_) | None => Sides::Mixed,
            },
            max: seconds("time_limit").unwrap_or(LIMIT),
            min: seconds("record_min_sec").unwrap_or_default(),
            begin: match (flag("record_on_bridge"), flag("record_on_answer")) {
                (true, _) => Begin::Bridge,
                (false, true) => Begin::Answer,
                (false, false) => Begin::Now,
            },
            rate_hz: settings
                .get("record_sample_rate")
                .and_then(Value::as_u64)
                .map_or(8000, |rate| u32::try_from(rate).unwrap_or(u32::MAX)),
            upload: text("url").map(|url| (url, method)),
            ..Self::default()
        }
    }
}

/// Longest recording when the document does not say.
const LIMIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_particular_way_wins_over_any_and_must_be_switched_on() {
        let wanted = json!({
            "inbound": {"offnet": {"enabled": false}, "any": {"enabled": true, "time_limit": 1}},
            "any": {"any": {"enabled": true, "time_limit": 2}},
        });
        let limit = |direction, net| Some(find(&wanted, direction, net)?["time_limit"].clone());
        assert_eq!(limit(INBOUND, OFFNET), None);
        assert_eq!(limit(INBOUND, ONNET), Some(json!(1)));
        assert_eq!(limit(OUTBOUND, ONNET), Some(json!(2)));
        assert!(find(&json!({"inbound": {}}), INBOUND, ONNET).is_none());
    }

    #[test]
    fn settings_become_a_recording() {
        let settings = json!({"enabled": true, "time_limit": 60, "record_min_sec": 2, "record_on_answer": true,
            "url": "http://h/"});
        let new = NewRecording::from_settings(&settings, "x", "test");
        assert_eq!((new.max.as_secs(), new.min.as_secs()), (60, 2));
        assert_eq!(new.begin, Begin::Answer);
        assert_eq!(new.upload, Some(("http://h/".to_owned(), Method::Put)));
    }
}
