//! Which numbers an account may dial at carriers, and how much (`security.md` rule 2, decision 19).
//!
//! National numbers work as soon as a trunk does. Everything dear (other countries, premium and satellite ranges, and
//! whatever is no number we can place) waits until the account's `dial_policy` allows it. Emergency numbers always pass.

use serde_json::Value;

use super::normalise::{EMERGENCY, classify, to_e164};
use crate::directory::Account;

/// `dial_policy` and `limits` of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    allow: Vec<String>,
    deny: Vec<String>,
    /// Calls to carriers at once.
    pub max_calls: Option<u32>,
    /// Calls from carriers at once.
    pub max_inbound: Option<u32>,
    /// Calls to and from carriers at once, together.
    pub max_both: Option<u32>,
    /// New calls to carriers in a second.
    pub max_cps: Option<u32>,
    /// Minutes of calls to carriers in a day.
    pub minutes_per_day: Option<u32>,
}

impl Policy {
    /// Reads what an account says. The stricter of `dial_policy.max_calls` and the `limits` document counts.
    pub fn of(account: &Account) -> Self {
        let policy = account.doc.get("dial_policy");
        let prefixes = |key: &str| {
            let list = policy.and_then(|p| p.get(key)).and_then(Value::as_array);
            let list = list.into_iter().flatten().filter_map(Value::as_str);
            list.map(prefix)
                .filter(|prefix| !prefix.is_empty())
                .collect()
        };
        let number = |doc: Option<&Value>, key: &str| {
            let value = doc?.get(key)?.as_u64()?;
            u32::try_from(value).ok()
        };
        let limits = account.limits.values().next().map(AsRef::as_ref);
        let trunks = |way: &str| number(limits, &format!("{way}_trunks"));
        // KAZOO writes -1 for as many as there are.
        let unlimited = |way: &str| {
            let value = limits.and_then(|limits| limits.get(format!("{way}_trunks")));
            value.and_then(Value::as_i64).is_some_and(|n| n < 0)
        };
        let [out, into, either, burst] = ["outbound", "inbound", "twoway", "burst"].map(trunks);
        let sum = |all: &[Option<u32>]| {
            let all = all.iter().map(|n| n.unwrap_or(0));
            all.fold(burst.unwrap_or(0), u32::saturating_add)
        };
        // Trunks that carry calls either way add to those of one way; both ways share them.
        let one_way = |way: &str, own: Option<u32>| {
            let limited = own
                .or(either)
                .filter(|_| !unlimited(way) && !unlimited("twoway"));
            limited.map(|_| sum(&[own, either]))
        };
        let trunks = one_way("outbound", out);
        let max_inbound = one_way("inbound", into);
        let together = either
            .filter(|_| trunks.is_some() && max_inbound.is_some())
            .map(|_| sum(&[out, into, either]));
        let consuming = number(limits, "resource_consuming_calls");
        let caps = [
            number(policy, "max_calls"),
            number(limits, "calls"),
            consuming,
            trunks,
        ];
        Self {
            allow: prefixes("allow_prefixes"),
            deny: prefixes("deny_prefixes"),
            max_calls: caps.into_iter().flatten().min(),
            max_inbound,
            max_both: [together, consuming].into_iter().flatten().min(),
            max_cps: number(policy, "max_cps"),
            minutes_per_day: number(policy, "minutes_per_day"),
        }
    }

    /// Whether the account may dial a number, however it was written.
    pub fn allows(&self, number: &str) -> bool {
        let number = plain(number);
        if classify(&number) == EMERGENCY {
            return true;
        }
        let longest = |list: &[String]| {
            let found = list.iter().filter(|prefix| begins(&number, prefix));
            found.map(String::len).max()
        };
        match (longest(&self.allow), longest(&self.deny)) {
            (Some(allow), Some(deny)) => allow > deny,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => !is_dear(&number),
        }
    }
}

/// Whether a number is beyond what a trunk alone allows.
fn is_dear(number: &str) -> bool {
    match classify(number).0 {
        "tollfree_us" => false,
        "did_us" => DEAR_AREAS.iter().any(|area| number.starts_with(area)),
        // Short codes of the carrier.
        "unknown" => {
            !(1..=SHORT).contains(&number.len()) || !number.bytes().all(|b| b.is_ascii_digit())
        }
        _ => true,
    }
}

/// A number as carriers would understand it, whatever stands around its digits: `+00972…`, `9011972…` and the like must
/// not pass for something harmless.
fn plain(number: &str) -> String {
    let digits: String = number
        .chars()
        .filter(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | '+'))
        .collect();
    let bare = digits.trim_start_matches('+');
    if bare.starts_with("00") || bare.starts_with("011") {
        return to_e164(bare);
    }
    to_e164(&digits)
}

/// A prefix as written in a policy: `+49`, `0049`, `49`.
fn prefix(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == '+')
        .collect();
    match kept.strip_prefix("00").or_else(|| kept.strip_prefix("011")) {
        Some(rest) => format!("+{rest}"),
        None => kept,
    }
}

fn begins(number: &str, prefix: &str) -> bool {
    number.starts_with(prefix) || number.trim_start_matches('+').starts_with(prefix)
}

/// Longest number that can be a short code.
const SHORT: usize = 6;
/// Area codes of the North American plan that are charged like premium numbers.
const DEAR_AREAS: &[&str] = &["+1900", "+1976", "+1500", "+1700"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::directory::Kind;

    fn policy(doc: Value, limits: Value) -> Policy {
        let docs = [
            (Kind::Account, String::new(), doc),
            (Kind::Limits, "limits".into(), limits),
        ];
        Policy::of(&Account::of("acc", docs))
    }

    fn usual() -> Policy {
        policy(json!({}), json!({}))
    }

    #[test]
    fn national_and_free_numbers_and_short_codes_need_no_permission() {
        for number in [
            "4155550100",
            "+14155550100",
            "12223334444",
            "18005550100",
            "411",
            "123456",
        ] {
            assert!(usual().allows(number), "{number}");
        }
    }

    #[test]
    fn emergency_numbers_are_never_refused() {
        let denied = policy(
            json!({"dial_policy": {"deny_prefixes": ["9", "+", "911"]}}),
            json!({}),
        );
        assert!(denied.allows("911") && denied.allows("999"));
    }

    #[test]
    fn what_is_dear_waits_for_permission_however_it_is_written() {
        let dear = [
            "+972598123456",
            "00972598123456",
            "011972598123456",
            "9011972598123456",
            "+00972598123456",
            "+011972598123456",
            "900972598123456",
            "0972598123456",
            "00 972 598-123456",
            "19005550100",
            "+19765550100",
            "18765550100",
            "+88212345678",
            "+883510012345",
            "+979123456789",
            "+442071234567",
            "00000972598123456",
            "*67011972598123456",
            "#31#0049301234567",
            "+",
            "",
            "alice",
            "12345678901234567890",
            "1*9",
        ];
        for number in dear {
            assert!(!usual().allows(number), "{number:?}");
        }
    }

    #[test]
    fn the_longer_prefix_decides_and_denial_wins_between_equals() {
        let set = json!({"dial_policy": {"allow_prefixes": ["+49", "0044", "+1900555"], "deny_prefixes": ["+49900", "+44", "+1415"]}});
        let policy = policy(set, json!({}));
        for (number, allowed) in [
            ("+493012345678", true),
            ("004930123456", true),
            ("+499001234567", false),
            ("+442071234567", false),
            ("4155550100", false),
            ("4165550100", true),
            ("19005550100", true),
            ("+33123456789", false),
        ] {
            assert_eq!(policy.allows(number), allowed, "{number}");
        }
    }

    #[test]
    fn the_strictest_cap_counts() {
        let set = json!({"dial_policy": {"max_calls": 9, "max_cps": 2, "minutes_per_day": 60}});
        let caps = |limits: Value| policy(set.clone(), limits).max_calls;
        assert_eq!(caps(json!({})), Some(9));
        assert_eq!(caps(json!({"calls": 4})), Some(4));
        assert_eq!(
            caps(json!({"outbound_trunks": 1, "twoway_trunks": 2, "burst_trunks": 3})),
            Some(6)
        );
        assert_eq!(caps(json!({"inbound_trunks": 0})), Some(9));
        assert_eq!(usual().max_calls, None);
    }
}
