//! Menu documents (`menus`), as the `menu` module uses them.

use std::time::Duration;

use fancy_regex::Regex;
use serde_json::Value;

use super::data::Whole;
use crate::directory::numbers::compile;

/// How a menu behaves. Wrong or missing values have their defaults; a missing document is a menu without a greeting.
#[derive(Debug)]
pub(super) struct MenuDocument {
    /// Rounds before the menu gives up.
    pub(super) retries: u32,
    /// Wait for the first digit.
    pub(super) timeout: Duration,
    /// Wait for each further digit.
    pub(super) interdigit: Duration,
    /// Digits that can be entered.
    pub(super) max_digits: usize,
    /// Media reference of the greeting.
    pub(super) greeting: Option<String>,
    /// What is heard when the menu gives up.
    pub(super) exit: Sound,
    /// What is heard before a transfer.
    pub(super) transfer: Sound,
    /// What is heard after a wrong entry.
    pub(super) invalid: Sound,
    /// Digits that record a new greeting.
    pub(super) record_pin: Option<String>,
    /// Whether callers from outside may record one.
    pub(super) record_from_outside: bool,
    /// Whether an extension that was dialled comes back to the menu's `_` (KAZOO 5 can turn it off).
    pub(super) branch_extension: bool,
    hunting: Option<Hunting>,
}

/// A sound of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sound {
    /// The system prompt.
    System,
    /// Nothing.
    Silent,
    /// A media reference.
    Media(String),
}

#[derive(Debug)]
struct Hunting {
    /// `None` allows all; `Some(None)` is a broken pattern and allows nothing.
    allow: Option<Option<Regex>>,
    /// A broken pattern denies nothing.
    deny: Option<Regex>,
}

impl MenuDocument {
    /// Reads the document; `interdigit` is the node's own value, which the document overrides.
    pub(super) fn read(document: Option<&Value>, interdigit: Option<Whole>) -> Self {
        let empty = Value::Null;
        let document = document.unwrap_or(&empty);
        let number = |key: &str| document.get(key).and_then(Value::as_i64).map(Whole);
        let text = |key: &str| {
            document
                .get(key)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let flag = |key: &str, default: bool| {
            document
                .get(key)
                .and_then(Value::as_bool)
                .unwrap_or(default)
        };
        let sound = |key: &str| match document.get("media").and_then(|media| media.get(key)) {
            Some(Value::Bool(false)) => Sound::Silent,
            Some(Value::String(reference)) if !reference.is_empty() => {
                Sound::Media(reference.clone())
            }
            _ => Sound::System,
        };
        let interdigit = number("interdigit_timeout")
            .or(interdigit)
            .filter(|ms| ms.0 > 0)
            .unwrap_or(Whole(2_000));
        Self {
            retries: number("retries").map_or(3, |n| n.count(1, 10)),
            timeout: number("timeout")
                .filter(|ms| ms.0 > 0)
                .unwrap_or(Whole(10_000))
                .millis()
                .min(MAX_TIMEOUT),
            interdigit: interdigit.millis().min(MAX_TIMEOUT),
            max_digits: usize::try_from(
                number("max_extension_length").map_or(4, |n| n.count(1, 6)),
            )
            .unwrap_or(4),
            greeting: document
                .pointer("/media/greeting")
                .and_then(Value::as_str)
                .filter(|g| !g.is_empty())
                .map(str::to_owned),
            exit: sound("exit_media"),
            transfer: sound("transfer_media"),
            invalid: sound("invalid_media"),
            record_pin: text("record_pin").map(str::to_owned),
            record_from_outside: flag("allow_record_from_offnet", false),
            branch_extension: flag("branch_extension", true),
            hunting: flag("hunt", false).then(|| Hunting {
                allow: text("hunt_allow").map(|pattern| compile(pattern).ok()),
                deny: text("hunt_deny").and_then(|pattern| compile(pattern).ok()),
            }),
        }
    }

    /// Whether the digits may be dialled as an extension.
    pub(super) fn may_hunt(&self, digits: &str) -> bool {
        let matches = |regex: &Regex| regex.is_match(digits).unwrap_or(false);
        self.hunting.as_ref().is_some_and(|hunting| {
            let allowed = match &hunting.allow {
                None => true,
                Some(pattern) => pattern.as_ref().is_some_and(matches),
            };
            allowed && !hunting.deny.as_ref().is_some_and(matches)
        })
    }

    /// Whether the digits record a new greeting for this caller.
    pub(super) fn may_record(&self, digits: &str, from_outside: bool) -> bool {
        self.record_pin.as_deref() == Some(digits) && (self.record_from_outside || !from_outside)
    }
}

const MAX_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn menu(document: Value) -> MenuDocument {
        MenuDocument::read(Some(&document), None)
    }

    #[test]
    fn a_missing_document_is_all_defaults() {
        let menu = MenuDocument::read(None, None);
        assert_eq!((menu.retries, menu.max_digits), (3, 4));
        assert_eq!(
            (menu.timeout, menu.interdigit),
            (Duration::from_secs(10), Duration::from_secs(2))
        );
        assert_eq!((&menu.greeting, &menu.exit), (&None, &Sound::System));
        assert!(!menu.may_hunt("1"));
    }

    #[test]
    fn the_documents_interdigit_timeout_wins_over_the_nodes() {
        let node = Some(Whole(700));
        assert_eq!(MenuDocument::read(None, node).interdigit.as_millis(), 700);
        assert_eq!(
            MenuDocument::read(Some(&json!({"interdigit_timeout": 900})), node)
                .interdigit
                .as_millis(),
            900
        );
    }

    #[test]
    fn sounds_are_the_systems_none_or_ones_own() {
        let menu = menu(
            json!({"media": {"exit_media": false, "transfer_media": true, "invalid_media": "abc"}}),
        );
        assert_eq!(menu.exit, Sound::Silent);
        assert_eq!(menu.transfer, Sound::System);
        assert_eq!(menu.invalid, Sound::Media("abc".into()));
    }

    #[test]
    fn hunting_obeys_its_patterns() {
        assert!(menu(json!({"hunt": true})).may_hunt("123"));
        let both = menu(json!({"hunt": true, "hunt_allow": "^1", "hunt_deny": "^12"}));
        assert!(both.may_hunt("13") && !both.may_hunt("12") && !both.may_hunt("2"));
        assert!(
            !menu(json!({"hunt": true, "hunt_allow": "("})).may_hunt("1"),
            "a broken allow denies"
        );
        assert!(
            menu(json!({"hunt": true, "hunt_deny": "("})).may_hunt("1"),
            "a broken deny does not"
        );
    }

    #[test]
    fn the_pin_is_for_inside_callers_unless_said_otherwise() {
        let inside = menu(json!({"record_pin": "9876"}));
        assert!(
            inside.may_record("9876", false)
                && !inside.may_record("9876", true)
                && !inside.may_record("1", false)
        );
        assert!(
            menu(json!({"record_pin": "9876", "allow_record_from_offnet": true}))
                .may_record("9876", true)
        );
    }
}
