//! The ways in and out of an account: how its trunks and its phones stand.

use serde_json::{Value, json};

use crate::api::Api;
use crate::call::channels::Channel;
use crate::directory::{Account, Trunk, private};
use crate::host::clock;
use crate::registrar::Registration;

/// Phones named; the others are counted.
const PHONES: usize = 60;

pub(super) async fn trunks(api: &Api, account: &Account) -> Vec<Value> {
    let gateways = match api.channels() {
        Some(channels) if !account.trunks.is_empty() => channels.gateways(&account.id).await,
        _ => Vec::new(),
    };
    let rows = account.trunks.values().map(|trunk| {
        let own = gateways
            .iter()
            .filter(|row| row["resource_id"] == trunk.id.as_str());
        let (state, detail) = stands(trunk, &own.collect::<Vec<_>>());
        json!({"id": trunk.id, "name": trunk.name, "state": state, "detail": detail})
    });
    rows.collect()
}

/// How a trunk stands, and why.
fn stands(trunk: &Trunk, gateways: &[&Value]) -> (&'static str, String) {
    if !trunk.enabled {
        return ("off", "switched off".to_owned());
    }
    if gateways.is_empty() {
        return ("off", "no gateway to call out by".to_owned());
    }
    let server = |row: &Value| row["server"].as_str().unwrap_or_default().to_owned();
    let refused = gateways.iter().find(|row| row["registered"] == false);
    if let Some(row) = refused {
        let why = match row["register_status"].as_u64() {
            Some(401 | 403 | 407) => "refuses our user name or password".to_owned(),
            Some(408) | None => "does not answer our registration".to_owned(),
            Some(status) => format!("answers our registration with {status}"),
        };
        return ("failing", format!("{} {why}", server(row)));
    }
    let of = |state: &str| gateways.iter().filter(|row| row["state"] == state).count();
    let first = gateways.first().map(|row| server(row)).unwrap_or_default();
    match (of("works"), of("held_out")) {
        (0, 0) if gateways.iter().any(|row| row["registered"] == true) => {
            ("ok", format!("{first}, registered"))
        }
        (0, 0) => ("ok", format!("{first}, not used yet")),
        (0, _) => ("failing", format!("{first} does not answer")),
        (_, 0) => ("ok", format!("{first} answers")),
        (_, n) => (
            "attention",
            format!("{n} of {} gateways do not answer", gateways.len()),
        ),
    }
}

pub(super) async fn phones(api: &Api, account: &Account, legs: &[Channel]) -> Value {
    let bound = api.registrations().list(Some(&account.id)).await;
    let own = account
        .devices
        .values()
        .filter(|device| !private::is_temporary(&device.doc));
    let mut rows: Vec<(u8, Value)> = Vec::new();
    let (mut registered, mut known) = (0_usize, 0_usize);
    for device in own {
        known += 1;
        let found: Vec<&Registration> =
            bound.iter().filter(|one| one.device == device.id).collect();
        let calls = legs
            .iter()
            .filter(|leg| leg.authorizing_id == device.id)
            .count();
        let (rank, state, detail) = match found.first() {
            _ if !device.enabled => (3, "off", "switched off".to_owned()),
            Some(one) if found.iter().all(|one| !one.reachable) => {
                (0, "failing", format!("{} does not answer", one.source))
            }
            Some(one) => (2, "ok", registration(one)),
            None if device.ip.is_some() => (2, "ok", "known by its address".to_owned()),
            None => (1, "off", "not registered".to_owned()),
        };
        registered += usize::from(!found.is_empty());
        rows.push((
            rank,
            json!({
                "device": device.id,
                "name": device.name,
                "aor": device.username,
                "state": state,
                "detail": detail,
                "calls": calls,
            }),
        ));
    }
    rows.sort_by_key(|(rank, _)| *rank);
    let list: Vec<Value> = rows.into_iter().take(PHONES).map(|(_, row)| row).collect();
    json!({"registered": registered, "known": known, "list": list})
}

fn registration(one: &Registration) -> String {
    let left = one
        .expires_at
        .since(clock::unix_now())
        .as_secs()
        .div_ceil(60);
    let by = one.transport.uri_name().to_uppercase();
    format!("{by}, for {left} min")
}
