//! `formatters` of a document: how a field of a call is rewritten on its way in or out (`api.md` §4.4).
//!
//! Compiled when the document is read. Keys that name no field match nothing, and are kept silently.

use std::collections::BTreeMap;

use fancy_regex::Regex;
use serde_json::Value;

use super::numbers::compile;

/// Which way a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From a carrier.
    Inbound,
    /// To a carrier.
    Outbound,
}

/// What became of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Formatted {
    /// No rule acted.
    Same,
    /// The field is left out.
    Stripped,
    /// Its new value.
    Value(String),
}

impl Formatted {
    /// The new value; the old one where no rule acted, none where the field is left out.
    pub fn or(self, old: Option<String>) -> Option<String> {
        match self {
            Self::Same => old,
            Self::Stripped => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// Rules by field name.
#[derive(Debug, Default)]
pub struct Formatters(BTreeMap<String, Vec<Rule>>);

#[derive(Debug)]
struct Rule {
    /// `None`: both ways.
    way: Option<Way>,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Strip,
    Set(String),
    /// As the gateway's `invite_format` writes numbers.
    InviteFormat,
    /// Prefix, the first group or the whole match, suffix.
    Match {
        regex: Regex,
        prefix: String,
        suffix: String,
    },
}

impl Formatters {
    /// Reads a `formatters` object. Regular expressions that do not compile are left out.
    pub fn read(document: Option<&Value>) -> Self {
        let fields = document.and_then(Value::as_object).into_iter().flatten();
        let rules = fields.map(|(field, options)| {
            let list = match options {
                Value::Array(list) => list.iter().collect(),
                one => vec![one],
            };
            let rules = list.into_iter().filter_map(Rule::read).collect();
            (field.to_lowercase().replace('-', "_"), rules)
        });
        Self(rules.collect())
    }

    /// Whether there is any rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies the rules of `field` to its value. `format` writes a number as the gateway wants it, when it wants one
    /// of the number formats.
    pub fn apply(
        &self,
        field: &str,
        way: Way,
        value: &str,
        format: Option<&dyn Fn(&str) -> String>,
    ) -> Formatted {
        let rules = self.0.get(field).into_iter().flatten();
        for rule in rules.filter(|rule| rule.way.is_none_or(|own| own == way)) {
            match &rule.action {
                Action::Strip => return Formatted::Stripped,
                Action::Set(value) => return Formatted::Value(value.clone()),
                Action::InviteFormat => {
                    if let Some(format) = format {
                        return Formatted::Value(format(value));
                    }
                }
                Action::Match {
                    regex,
                    prefix,
                    suffix,
                } => {
                    let found = regex.captures(value).ok().flatten();
                    if let Some(text) = found.and_then(|c| c.get(1).or_else(|| c.get(0))) {
                        return Formatted::Value(format!("{prefix}{}{suffix}", text.as_str()));
                    }
                }
            }
        }
        Formatted::Same
    }
}

impl Rule {
    fn read(options: &Value) -> Option<Self> {
        let text = |key: &str| options.get(key).and_then(Value::as_str);
        let on = |key: &str| options.get(key).and_then(Value::as_bool) == Some(true);
        let way = match text("direction") {
            Some("inbound") => Some(Way::Inbound),
            Some("outbound") => Some(Way::Outbound),
            Some(_) | None => None,
        };
        let own = |key: &str| text(key).unwrap_or_default().to_owned();
        let action = if on("strip") {
            Action::Strip
        } else if let Some(value) = text("value") {
            Action::Set(value.to_owned())
        } else if on("match_invite_format") {
            Action::InviteFormat
        } else {
            Action::Match {
                regex: compile(text("regex")?).ok()?,
                prefix: own("prefix"),
                suffix: own("suffix"),
            }
        };
        Some(Self { way, action })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apply(rules: Value, way: Way, value: &str) -> Formatted {
        let all = Formatters::read(Some(&json!({"Caller-ID-Number": rules})));
        all.apply("caller_id_number", way, value, None)
    }

    #[test]
    fn the_first_rule_that_acts_wins() {
        let rules = json!([{"regex": "^00"}, {"regex": "^\\+?1(\\d{10})$", "prefix": "x", "suffix": "y"}, {"value": "never"}]);
        let done = apply(rules, Way::Outbound, "+14155550100");
        assert_eq!(done, Formatted::Value("x4155550100y".into()));
    }

    #[test]
    fn a_rule_without_groups_keeps_its_whole_match() {
        let done = apply(
            json!({"regex": "5550\\d+$", "prefix": "9"}),
            Way::Inbound,
            "4155550100",
        );
        assert_eq!(done, Formatted::Value("95550100".into()));
    }

    #[test]
    fn rules_are_for_one_way_or_both() {
        let one = json!({"direction": "inbound", "value": "v"});
        assert_eq!(apply(one.clone(), Way::Outbound, "1"), Formatted::Same);
        assert_eq!(apply(one, Way::Inbound, "1"), Formatted::Value("v".into()));
        let both = json!({"direction": "both", "strip": true});
        assert_eq!(apply(both, Way::Outbound, "1"), Formatted::Stripped);
    }

    #[test]
    fn the_invite_format_is_asked_for() {
        let all = Formatters::read(Some(&json!({"x": {"match_invite_format": true}})));
        let npan = |number: &str| number.trim_start_matches("+1").to_owned();
        let done = all.apply("x", Way::Outbound, "+14155550100", Some(&npan));
        assert_eq!(done, Formatted::Value("4155550100".into()));
        assert_eq!(all.apply("x", Way::Outbound, "1", None), Formatted::Same);
    }

    #[test]
    fn what_cannot_be_read_acts_on_nothing() {
        for rules in [json!({"regex": "("}), json!("text"), json!({}), json!([1])] {
            assert_eq!(apply(rules, Way::Inbound, "1"), Formatted::Same);
        }
    }
}
