//! Numbers that may not call: the blacklists an account names in its own document (`blacklists`, ids of documents).

use serde_json::Value;

use super::normalise::to_e164;
use crate::directory::{Account, Kind};

/// What callers without a number call themselves.
const ANONYMOUS: [&str; 6] = [
    "",
    "anonymous",
    "unknown",
    "unavailable",
    "restricted",
    "private",
];

/// Whether a blacklist of the account refuses calls from that number.
pub fn refuses(account: &Account, number: &str) -> bool {
    let named = account.doc.get("blacklists").and_then(Value::as_array);
    let lists = account.of_kind(Kind::Blacklist);
    let mut named = named.into_iter().flatten().filter_map(Value::as_str);
    let full = to_e164(number);
    let anonymous = ANONYMOUS.contains(&number.to_lowercase().as_str());
    named.any(|id| {
        let Some(list) = lists.get(id) else {
            return false;
        };
        let blocks_anonymous = list.get("should_block_anonymous") == Some(&Value::Bool(true));
        let numbers = list.get("numbers").and_then(Value::as_object);
        let mut numbers = numbers.into_iter().flatten().map(|(number, _)| number);
        (anonymous && blocks_anonymous)
            || numbers.any(|listed| listed == number || to_e164(listed) == full)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_refused_however_it_is_written_and_by_named_lists_only() {
        let list = json!({"name": "spam", "numbers": {"4155550100": {}, "+4930123456": {}}, "should_block_anonymous": true});
        let other = json!({"name": "other", "numbers": {"+14155550199": {}}});
        let account = Account::of(
            "a",
            [
                (
                    Kind::Account,
                    String::new(),
                    json!({"blacklists": ["l", "gone"]}),
                ),
                (Kind::Blacklist, "l".into(), list),
                (Kind::Blacklist, "o".into(), other),
            ],
        );
        assert!(refuses(&account, "+14155550100"));
        assert!(refuses(&account, "4155550100"));
        assert!(refuses(&account, "+4930123456"));
        assert!(refuses(&account, "Anonymous"));
        assert!(refuses(&account, ""));
        assert!(
            !refuses(&account, "+14155550199"),
            "the account does not name that list"
        );
        assert!(!refuses(&account, "+4930123457"));
    }
}
