//! Which callflow a dialled string belongs to.
//!
//! Exact numbers first, then patterns, then `no_match`; the string is tried as normalised and as dialled. `no_match`
//! normally spends money, so only callers the account itself vouches for reach it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::normalise::normalise;
use super::trunks;
use crate::directory::Account;
use crate::directory::numbers::{Hit, NO_MATCH};

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// KAZOO's authorising type: `device`, `user`, `resource` …; empty when nobody vouches for the call.
    pub authorizing_type: &'a str,
    /// Document id of the device or resource.
    pub device_id: &'a str,
}

impl Caller<'_> {
    /// Whether the call may fall into `no_match`. A call from a carrier never may.
    pub fn may_use_no_match(&self) -> bool {
        !matches!(self.authorizing_type, "" | "resource" | "sys_info")
    }
}

/// A callflow found for a call.
#[derive(Debug, Clone)]
pub struct Route {
    /// The callflow's id.
    pub callflow_id: String,
    /// The callflow document.
    pub doc: Arc<Value>,
    /// The text the winning pattern captured.
    pub capture_group: Option<String>,
    /// Its named groups.
    pub capture_groups: BTreeMap<String, String>,
    /// Whether the callflow lists `no_match`.
    pub no_match: bool,
}

/// The callflow for a dialled string. `None` when nobody claims the call.
pub fn route(account: &Account, dialled: &str, caller: &Caller<'_>) -> Option<Route> {
    let full = normalise(account, dialled);
    let hit = find(account, dialled, &full)
        .or_else(|| account.numbers.find_no_match(&full))
        .filter(|hit| !hit.no_match || caller.may_use_no_match());
    match hit {
        Some(hit) => found(account, hit),
        None => implicit_no_match(account, &full, caller),
    }
}

/// A number that no callflow matches goes to the account's own trunks as if by `no_match`, where they take it and the
/// account does not say otherwise (decision 20).
fn implicit_no_match(account: &Account, full: &str, caller: &Caller<'_>) -> Option<Route> {
    let digits = full.strip_prefix('+').unwrap_or(full);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let wanted = account.doc.get("implicit_no_match") != Some(&Value::Bool(false));
    let may = caller.may_use_no_match() && account.numbers.find_exact(NO_MATCH).is_none();
    if !(is_number && wanted && may && trunks::takes(account, full)) {
        return None;
    }
    Some(Route {
        callflow_id: NO_MATCH.to_owned(),
        doc: Arc::new(json!({
            "name": "implicit no_match",
            "numbers": [NO_MATCH],
            "flow": {"module": "resources", "data": {}, "children": {}},
        })),
        capture_group: None,
        capture_groups: BTreeMap::new(),
        no_match: true,
    })
}

/// The callflow for digits entered during a call (menu hunting): never `no_match`.
pub fn hunt(account: &Account, digits: &str) -> Option<Route> {
    let full = normalise(account, digits);
    found(
        account,
        find(account, digits, &full).filter(|hit| !hit.no_match)?,
    )
}

/// The callflow that runs before every other one of the account (`preflow.always`), with its id.
pub fn preflow(account: &Account) -> Option<(&str, &Arc<Value>)> {
    let id = account.doc.get("preflow")?.get("always")?.as_str()?;
    Some((id, account.callflows.get(id)?))
}

fn find(account: &Account, dialled: &str, full: &str) -> Option<Hit> {
    let numbers = &account.numbers;
    let exact = numbers
        .find_exact(full)
        .or_else(|| numbers.find_exact(dialled));
    exact
        .or_else(|| numbers.find_pattern(full))
        .or_else(|| numbers.find_pattern(dialled))
}

fn found(account: &Account, hit: Hit) -> Option<Route> {
    let doc = Arc::clone(account.callflows.get(hit.callflow.as_ref())?);
    Some(Route {
        callflow_id: hit.callflow.to_string(),
        doc,
        capture_group: hit.capture_group,
        capture_groups: hit.capture_groups,
        no_match: hit.no_match,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::routing::permission::tests::account;

    const DEVICE: Caller<'static> = Caller {
        authorizing_type: "device",
        device_id: "d",
    };

    fn id(account: &Account, dialled: &str, caller: &Caller<'_>) -> Option<String> {
        route(account, dialled, caller).map(|route| route.callflow_id)
    }

    #[test]
    fn a_number_is_found_as_normalised_and_as_dialled() {
        let account = account(
            json!({}),
            &[
                ("full", json!({"numbers": ["+14155550100"]})),
                ("typed", json!({"numbers": ["4155550199"]})),
                ("short", json!({"numbers": ["2030"]})),
            ],
        );
        assert_eq!(id(&account, "4155550100", &DEVICE).as_deref(), Some("full"));
        assert_eq!(
            id(&account, "4155550199", &DEVICE).as_deref(),
            Some("typed")
        );
        assert_eq!(id(&account, "2030", &DEVICE).as_deref(), Some("short"));
        assert_eq!(id(&account, "2031", &DEVICE), None);
    }

    #[test]
    fn the_dial_plan_applies_before_the_converters() {
        let account = account(
            json!({"dial_plan": {"^0(\\d+)$": {"prefix": "+49"}}}),
            &[("berlin", json!({"numbers": ["+4930123"]}))],
        );
        assert_eq!(id(&account, "030123", &DEVICE).as_deref(), Some("berlin"));
    }

    #[test]
    fn no_match_is_for_callers_the_account_vouches_for() {
        let account = account(
            json!({}),
            &[("nm", json!({"numbers": ["no_match", "777"]}))],
        );
        let carrier = Caller {
            authorizing_type: "resource",
            device_id: "r",
        };
        let nobody = Caller {
            authorizing_type: "",
            device_id: "",
        };
        assert_eq!(id(&account, "12345", &DEVICE).as_deref(), Some("nm"));
        assert_eq!(
            id(&account, "*97", &DEVICE),
            None,
            "feature codes never reach it"
        );
        for caller in [carrier, nobody] {
            assert_eq!(id(&account, "12345", &caller), None);
            assert_eq!(
                id(&account, "777", &caller),
                None,
                "nor by one of its other numbers"
            );
        }
    }

    #[test]
    fn a_number_without_a_callflow_goes_to_the_accounts_trunks_unless_it_says_no() {
        use crate::directory::Kind;
        let office = |doc: Value| {
            let trunk = json!({"rules": [".{7,}"], "gateways": [{"server": "h"}]});
            Account::of(
                "acc",
                [
                    (Kind::Account, String::new(), doc),
                    (Kind::Trunk, "t".into(), trunk),
                    (Kind::Callflow, "c".into(), json!({"numbers": ["2000000"]})),
                ],
            )
        };
        let own = office(json!({}));
        let found = route(&own, "4155550100", &DEVICE).unwrap();
        assert_eq!(found.doc["flow"]["module"], "resources");
        assert!(found.no_match);
        assert_eq!(id(&own, "2000000", &DEVICE).as_deref(), Some("c"));
        assert_eq!(id(&own, "123", &DEVICE), None, "no trunk takes it");
        assert_eq!(id(&own, "alice@example", &DEVICE), None);
        let carrier = Caller {
            authorizing_type: "resource",
            device_id: "t",
        };
        assert_eq!(id(&own, "4155550100", &carrier), None);
        let not = office(json!({"implicit_no_match": false}));
        assert_eq!(id(&not, "4155550100", &DEVICE), None);
    }

    #[test]
    fn hunting_never_finds_no_match() {
        let account = account(
            json!({}),
            &[
                ("nm", json!({"numbers": ["no_match"]})),
                ("ext", json!({"patterns": ["^1(\\d\\d)$"]})),
            ],
        );
        assert!(hunt(&account, "999").is_none());
        assert_eq!(
            hunt(&account, "123").unwrap().capture_group.as_deref(),
            Some("23")
        );
    }

    #[test]
    fn the_preflow_is_found_by_the_account_document() {
        let flows = [("pre", json!({"numbers": ["1"]}))];
        assert!(preflow(&account(json!({"preflow": {"always": "pre"}}), &flows)).is_some());
        assert!(preflow(&account(json!({"preflow": {"always": "gone"}}), &flows)).is_none());
        assert!(preflow(&account(json!({}), &flows)).is_none());
    }
}
