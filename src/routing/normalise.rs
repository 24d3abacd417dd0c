//! Numbers in full, and their classes, by KAZOO's default converters and classifiers.

use std::sync::LazyLock;

use fancy_regex::Regex;

use crate::directory::Account;
use crate::directory::numbers::{DialPlan, compile};

/// What kind of number it is; `call_restriction` names these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(pub &'static str);

/// The class that no policy bars.
pub const EMERGENCY: Class = Class("emergency");

/// The number as the account's callflows know it: untouched with a leading `+` or `*`; else by the account's dial
/// plan, else by the E.164 converters, else as dialled.
pub fn normalise(account: &Account, number: &str) -> String {
    if number.starts_with(['+', '*']) {
        return number.to_owned();
    }
    account
        .numbers
        .dial_plan()
        .apply(number)
        .or_else(|| e164(number))
        .unwrap_or_else(|| number.to_owned())
}

/// The number in E.164 where a converter knows it; otherwise unchanged.
pub fn to_e164(number: &str) -> String {
    if number.starts_with(['+', '*']) {
        return number.to_owned();
    }
    e164(number).unwrap_or_else(|| number.to_owned())
}

/// The class of a normalised number. Tested in KAZOO's order; the last one takes everything.
pub fn classify(number: &str) -> Class {
    static CLASSES: LazyLock<Vec<(Class, Regex)>> = LazyLock::new(|| {
        CLASSIFIERS
            .iter()
            .filter_map(|c| Some((Class(c.name), compile(c.regex).ok()?)))
            .collect()
    });
    CLASSES
        .iter()
        .find(|(_, regex)| regex.is_match(number).unwrap_or(false))
        .map_or(Class("unknown"), |(class, _)| *class)
}

fn e164(number: &str) -> Option<String> {
    static CONVERTERS: LazyLock<DialPlan> = LazyLock::new(|| {
        DialPlan::of_prefixes(&[
            (r"^(\+?1)?([2-9][0-9]{2}[2-9][0-9]{6})$", "+1"),
            (r"^011(\d{5,})$|^00(\d{5,})$", "+"),
            (r"^[2-9]\d{7,}$", "+"),
        ])
    });
    CONVERTERS.apply(number)
}

/// A class of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Classifier {
    /// Its name.
    pub name: &'static str,
    /// Its name for people.
    pub friendly_name: &'static str,
    /// Which normalised numbers it takes.
    pub regex: &'static str,
}

const fn c(name: &'static str, friendly_name: &'static str, regex: &'static str) -> Classifier {
    Classifier {
        name,
        friendly_name,
        regex,
    }
}

/// Every class, in the order they are tested. The area codes are those of the islands in the North American plan.
pub const CLASSIFIERS: &[Classifier] = &[
    c(
        "tollfree_us",
        "US TollFree",
        r"^\+1((?:800|88\d|877|866|855|844|833|822)\d{7})$",
    ),
    c("toll_us", "US Toll", r"^\+1(900\d{7})$"),
    c(
        "emergency",
        "Emergency Dispatcher",
        r"^(911|922|933|833|811|711|999)$",
    ),
    c(
        "caribbean",
        "Caribbean",
        r"^\+?1((?:242|246|264|268|284|340|345|441|473|649|658|664|671|684|721|758|767|784|787|809|829|849|868|869|670|876|939)\d{7})$",
    ),
    c("did_us", "US DID", r"^(\+?1)?([2-9][0-9]{2}[2-9][0-9]{6})$"),
    c("international", "International", r"^\+([2-9]\d{7,})$"),
    c("unknown", "Unknown", r"^(.*)$"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_and_feature_codes_stay_as_typed() {
        for number in ["101", "2030", "*97", "+4930123", "alice", "911", ""] {
            assert_eq!(to_e164(number), number);
        }
    }

    #[test]
    fn north_american_and_international_prefixes_become_e164() {
        assert_eq!(to_e164("4155550100"), "+14155550100");
        assert_eq!(to_e164("14155550100"), "+14155550100");
        assert_eq!(to_e164("011493012345"), "+493012345");
        assert_eq!(to_e164("00493012345"), "+493012345");
        assert_eq!(
            to_e164("49301234567"),
            "+49301234567",
            "eight and more digits starting with 2 to 9"
        );
    }

    #[test]
    fn every_classifier_compiles_and_takes_its_own() {
        for class in CLASSIFIERS {
            assert!(compile(class.regex).is_ok(), "{}", class.name);
        }
        for (number, class) in [
            ("+18005550100", "tollfree_us"),
            ("+19005550100", "toll_us"),
            ("911", "emergency"),
            ("+18765550100", "caribbean"),
            ("+14155550100", "did_us"),
            ("+493012345", "international"),
            ("101", "unknown"),
        ] {
            assert_eq!(classify(number), Class(class), "{number}");
        }
    }
}
