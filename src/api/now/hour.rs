//! What the call records of the last hour say: how many calls, how they sounded, which ended last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::{HOUR, POINTS, median, point};
use crate::api::Api;
use crate::base::time::UnixMicros;
use crate::directory::Account;
use crate::journal::{Cdr, TimeRange};

/// Records looked at, newest first.
const RECORDS: usize = 2_000;
/// Calls shown as just ended.
const ENDED: usize = 12;
/// A look is good for so long, unless something ends.
const FRESH: Duration = Duration::from_secs(15);

/// The last look at each account.
#[derive(Default)]
pub(in crate::api) struct Hours(Mutex<Looks>);

/// By account: which records it saw, when, and what.
type Looks = BTreeMap<String, (u64, UnixMicros, Arc<Hour>)>;

/// The last hour of an account.
#[derive(Debug, Default)]
pub(super) struct Hour {
    pub(super) calls: usize,
    pub(super) ended: Vec<Value>,
    pub(super) mos: Option<f64>,
    pub(super) mos_points: Vec<Option<f64>>,
}

impl Hours {
    pub(super) async fn of(&self, api: &Api, account: &Account, now: UnixMicros) -> Arc<Hour> {
        let version = api.watch().records(&account.id);
        if let Some((known, at, hour)) = self.lock().get(&*account.id)
            && *known == version
            && now.since(*at) < FRESH
        {
            return Arc::clone(hour);
        }
        let range = TimeRange {
            from: UnixMicros(now.0.saturating_sub(HOUR.as_micros() as u64)),
            to: UnixMicros(u64::MAX),
            ..TimeRange::newest(RECORDS)
        };
        let records = match api.journal().cdrs(&account.id, range).await {
            Ok(records) => records,
            Err(error) => {
                tracing::warn!(%error, "the records of the last hour cannot be read");
                Vec::new()
            }
        };
        let records: Vec<Cdr> = records.into_iter().map(|stored| stored.cdr).collect();
        let hour = Arc::new(Hour::read(account, &records, now));
        let entry = (version, now, Arc::clone(&hour));
        self.lock().insert(account.id.to_string(), entry);
        hour
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Looks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hour {
    /// `records`: newest first.
    fn read(account: &Account, records: &[Cdr], now: UnixMicros) -> Hour {
        // A leg that was placed for another one is part of that one's call.
        let is_call = |cdr: &&Cdr| cdr.direction != "outbound" || cdr.other_leg_call_id.is_empty();
        let mut points: Vec<Vec<f64>> = vec![Vec::new(); POINTS];
        for cdr in records {
            let place = cdr.ended.and_then(|at| point(at, now));
            if let (Some(mos), Some(all)) = (mos(cdr), place.and_then(|n| points.get_mut(n))) {
                all.push(mos);
            }
        }
        let all: Vec<f64> = points.iter().flatten().copied().collect();
        Hour {
            calls: records.iter().filter(is_call).count(),
            ended: records
                .iter()
                .filter(is_call)
                .take(ENDED)
                .map(|cdr| row(account, cdr))
                .collect(),
            mos: median(all),
            mos_points: points.into_iter().map(median).collect(),
        }
    }
}

fn mos(cdr: &Cdr) -> Option<f64> {
    let heard = cdr
        .media_stats
        .get("packets_received")
        .and_then(Value::as_u64)?;
    let mos = cdr.media_stats.get("mos").and_then(Value::as_f64)?;
    (heard > 0 && mos > 0.0).then_some(mos)
}

fn row(account: &Account, cdr: &Cdr) -> Value {
    let device = account
        .devices
        .get(&cdr.authorizing_id)
        .map(|device| device.name.clone());
    let trunk = account
        .trunks
        .get(&cdr.authorizing_id)
        .map(|trunk| trunk.name.clone());
    let dialled = cdr.request.split('@').next().unwrap_or_default();
    let result = result(cdr);
    json!({
        "id": cdr.id(),
        "call_id": cdr.call_id,
        "from": cdr.caller_id_number,
        "from_name": device.or(trunk).or_else(|| some(&cdr.caller_id_name)),
        "to": super::dialled(account, dialled.trim_start_matches("sip:")),
        "result": result,
        "cause": (result != "completed").then(|| words(&cdr.hangup_cause)),
        "status": cdr.hangup_code,
        "duration_s": cdr.duration_seconds(),
        "mos": mos(cdr),
        "at": cdr.ended.unwrap_or(cdr.created).0,
    })
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn result(cdr: &Cdr) -> &'static str {
    match (cdr.answered.is_some(), is_fault(&cdr.hangup_cause)) {
        (_, true) => "failed",
        (true, false) => "completed",
        (false, false) => "refused",
    }
}

/// Whether a cause is more than somebody's wish.
fn is_fault(cause: &str) -> bool {
    ![
        "NORMAL_CLEARING",
        "ORIGINATOR_CANCEL",
        "USER_BUSY",
        "NO_ANSWER",
        "CALL_REJECTED",
        "LOSE_RACE",
        "ATTENDED_TRANSFER",
        "BLIND_TRANSFER",
        "PICKED_OFF",
        "ALLOTTED_TIMEOUT",
        "",
    ]
    .contains(&cause)
}

fn words(cause: &str) -> String {
    let known = match cause {
        "UNALLOCATED_NUMBER" | "NO_ROUTE_DESTINATION" => "No callflow has the dialled number",
        "USER_BUSY" => "Busy",
        "NO_ANSWER" | "NO_USER_RESPONSE" => "Nobody answered",
        "ORIGINATOR_CANCEL" => "The caller hung up before an answer",
        "CALL_REJECTED" => "Refused",
        "SUBSCRIBER_ABSENT" | "USER_NOT_REGISTERED" => "The phone is not registered",
        "INCOMPATIBLE_DESTINATION" => "No common codec",
        "MEDIA_TIMEOUT" => "No sound came for too long",
        "RECOVERY_ON_TIMER_EXPIRE" => "The other side stopped answering",
        "NORMAL_TEMPORARY_FAILURE" => "A temporary failure",
        "DESTINATION_OUT_OF_ORDER" | "NETWORK_OUT_OF_ORDER" => "The other side cannot be reached",
        "OUTGOING_CALL_BARRED" => "Outgoing calls to this number are not allowed",
        _ => "",
    };
    match known {
        "" => cause.replace('_', " ").to_lowercase(),
        known => known.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cdr(call: &str, cause: &str, at: u64) -> Cdr {
        Cdr {
            call_id: call.into(),
            direction: "inbound".into(),
            created: UnixMicros::from_secs(at - 10),
            answered: Some(UnixMicros::from_secs(at - 9)),
            ended: Some(UnixMicros::from_secs(at)),
            hangup_cause: cause.into(),
            ..Cdr::default()
        }
    }

    #[test]
    fn a_wish_is_no_fault() {
        for cause in [
            "NORMAL_CLEARING",
            "USER_BUSY",
            "NO_ANSWER",
            "ORIGINATOR_CANCEL",
        ] {
            assert_ne!(result(&cdr("a", cause, 100)), "failed", "{cause}");
        }
        assert_eq!(result(&cdr("a", "MEDIA_TIMEOUT", 100)), "failed");
    }

    #[test]
    fn quality_is_told_of_calls_with_sound_only() {
        let mut silent = cdr("a", "NORMAL_CLEARING", 100);
        silent.media_stats.insert("mos".into(), json!(4.2));
        assert_eq!(mos(&silent), None);
        silent
            .media_stats
            .insert("packets_received".into(), json!(7));
        assert_eq!(mos(&silent), Some(4.2));
    }
}
