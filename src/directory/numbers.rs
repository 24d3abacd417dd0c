//! The numbers of one account: which callflow a dialled string belongs to, and how a number is written in full.
//!
//! Built by the directory whenever a callflow or the account document changes, read by `routing` for each call. Every
//! pattern is compiled once here; what does not compile is skipped and reported by [`NumberIndex::broken`]. Rules:
//! KAZOO's matching order (exact, patterns with the longest capture, `no_match`) and its number normalisation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fancy_regex::{Regex, RegexBuilder};
use serde_json::Value;

/// The number in `numbers` that stands for "no other callflow matched".
pub const NO_MATCH: &str = "no_match";

/// What one account answers to.
#[derive(Debug, Default)]
pub struct NumberIndex {
    exact: BTreeMap<Box<str>, Arc<str>>,
    patterns: Vec<Pattern>,
    no_match: BTreeSet<Arc<str>>,
    dial_plan: DialPlan,
    broken: Vec<Broken>,
}

/// A pattern that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The callflow it stands in; `None` for the account's `dial_plan`.
    pub callflow: Option<Arc<str>>,
    /// The pattern as written.
    pub pattern: String,
    /// Why it does not compile.
    pub reason: String,
}

/// A callflow found for a dialled string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The callflow's id.
    pub callflow: Arc<str>,
    /// The text that won among a pattern's matches; absent for exact hits and when it is empty.
    pub capture_group: Option<String>,
    /// The pattern's non-empty named groups.
    pub capture_groups: BTreeMap<String, String>,
    /// Whether the callflow lists `no_match`, however it was found.
    pub no_match: bool,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    callflow: Arc<str>,
}

impl NumberIndex {
    /// Reads `numbers` and `patterns` of the callflows (id and document, in the order they should win) and
    /// `dial_plan` of the account document.
    pub fn build<'a>(
        account: &Value,
        callflows: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Self {
        let mut index = Self::default();
        for (id, document) in callflows {
            let id: Arc<str> = Arc::from(id);
            for number in strings(document, "numbers") {
                if number == NO_MATCH {
                    index.no_match.insert(Arc::clone(&id));
                }
                index
                    .exact
                    .entry(number.into())
                    .or_insert_with(|| Arc::clone(&id));
            }
            for pattern in strings(document, "patterns") {
                match compile(pattern) {
                    Ok(regex) => index.patterns.push(Pattern {
                        regex,
                        callflow: Arc::clone(&id),
                    }),
                    Err(reason) => index.broken.push(Broken {
                        callflow: Some(Arc::clone(&id)),
                        pattern: pattern.to_owned(),
                        reason,
                    }),
                }
            }
        }
        let (dial_plan, broken) = DialPlan::parse(account.get("dial_plan"));
        index.dial_plan = dial_plan;
        index.broken.extend(broken);
        index
    }

    /// The callflow listing exactly `number`. The first one wins where several do.
    pub fn owner_of_number(&self, number: &str) -> Option<&Arc<str>> {
        self.exact.get(number)
    }

    /// The callflow listing exactly the pattern text `pattern`.
    pub fn owner_of_pattern(&self, pattern: &str) -> Option<&Arc<str>> {
        self.patterns
            .iter()
            .find(|p| p.regex.as_str() == pattern)
            .map(|p| &p.callflow)
    }

    /// Patterns that could not be used.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// The account's `dial_plan`.
    pub fn dial_plan(&self) -> &DialPlan {
        &self.dial_plan
    }

    /// The callflow listing exactly `dialled`, as a hit.
    pub fn find_exact(&self, dialled: &str) -> Option<Hit> {
        self.exact
            .get(dialled)
            .map(|id| self.hit(id, None, BTreeMap::new()))
    }

    /// The callflow whose pattern compares longest on `dialled`; on equal length the first tested stays.
    pub fn find_pattern(&self, dialled: &str) -> Option<Hit> {
        let mut best: Option<(usize, Hit)> = None;
        for pattern in &self.patterns {
            let Some((text, groups)) = matched(&pattern.regex, dialled) else {
                continue;
            };
            if best.as_ref().is_none_or(|(length, _)| text.len() > *length) {
                let length = text.len();
                let group = (!text.is_empty()).then_some(text);
                best = Some((length, self.hit(&pattern.callflow, group, groups)));
            }
        }
        best.map(|(_, hit)| hit)
    }

    /// The callflow for `dialled` by number, else by pattern, without the fall-back to `no_match`.
    pub fn find(&self, dialled: &str) -> Option<Hit> {
        self.find_exact(dialled)
            .or_else(|| self.find_pattern(dialled))
    }

    /// The account's `no_match` callflow, for a string that is all digits after one leading `+`; so feature codes
    /// and names never reach it.
    pub fn find_no_match(&self, dialled: &str) -> Option<Hit> {
        let digits = dialled.strip_prefix('+').unwrap_or(dialled);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.exact
            .get(NO_MATCH)
            .map(|id| self.hit(id, None, BTreeMap::new()))
    }

    fn hit(
        &self,
        id: &Arc<str>,
        capture_group: Option<String>,
        capture_groups: BTreeMap<String, String>,
    ) -> Hit {
        Hit {
            callflow: Arc::clone(id),
            capture_group,
            capture_groups,
            no_match: self.no_match.contains(id),
        }
    }
}

/// Rewriting rules: the first pattern that matches gives prefix + last capture + suffix.
#[derive(Debug, Default)]
pub struct DialPlan {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    regex: Regex,
    prefix: String,
    suffix: String,
}

impl DialPlan {
    /// Reads a `dial_plan` object (pattern → `{prefix, suffix}`). The key `system` names plans of the operator and
    /// is no pattern.
    pub fn parse(document: Option<&Value>) -> (Self, Vec<Broken>) {
        let (mut plan, mut broken) = (Self::default(), Vec::new());
        let Some(Value::Object(entries)) = document else {
            return (plan, broken);
        };
        for (pattern, rule) in entries {
            if pattern == "system" || !rule.is_object() {
                continue;
            }
            let part = |key: &str| {
                rule.get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            match compile(pattern) {
                Ok(regex) => plan.rules.push(Rule {
                    regex,
                    prefix: part("prefix"),
                    suffix: part("suffix"),
                }),
                Err(reason) => broken.push(Broken {
                    callflow: None,
                    pattern: pattern.clone(),
                    reason,
                }),
            }
        }
        (plan, broken)
    }

    /// Rules given as (pattern, prefix) pairs that are known to compile; others are left out.
    pub fn of_prefixes(rules: &[(&str, &str)]) -> Self {
        let rules = rules
            .iter()
            .filter_map(|(pattern, prefix)| {
                let regex = compile(pattern).ok()?;
                Some(Rule {
                    regex,
                    prefix: (*prefix).to_owned(),
                    suffix: String::new(),
                })
            })
            .collect();
        Self { rules }
    }

    /// The rewritten number, or `None` when no rule matches.
    pub fn apply(&self, number: &str) -> Option<String> {
        self.rules.iter().find_map(|rule| {
            let captures = rule.regex.captures(number).ok()??;
            let last = (1..captures.len())
                .rev()
                .find_map(|n| captures.get(n))
                .or_else(|| captures.get(0))?;
            Some(format!("{}{}{}", rule.prefix, last.as_str(), rule.suffix))
        })
    }
}

/// Compiles a tenant's regular expression (PCRE dialect) with limits on its size and on backtracking.
///
/// # Errors
/// The reason it does not compile, for a person.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!("longer than {MAX_PATTERN_BYTES} bytes"));
    }
    RegexBuilder::new(pattern)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(COMPILED_LIMIT)
        .delegate_dfa_size_limit(COMPILED_LIMIT)
        .build()
        .map_err(|error| error.to_string())
}

/// The compared text and the non-empty named groups. Without groups the text is the whole match, else the longest
/// group. A pattern that runs into its backtracking limit does not match.
fn matched(regex: &Regex, dialled: &str) -> Option<(String, BTreeMap<String, String>)> {
    let captures = regex.captures(dialled).ok()??;
    let text = if captures.len() > 1 {
        let mut longest = "";
        for group in captures.iter().skip(1).flatten() {
            if group.as_str().len() > longest.len() {
                longest = group.as_str();
            }
        }
        longest.to_owned()
    } else {
        captures.get(0)?.as_str().to_owned()
    };
    let named = regex
        .capture_names()
        .flatten()
        .filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().to_owned())))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    Some((text, named))
}

fn strings<'a>(document: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    document
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Longest pattern that is compiled at all.
const MAX_PATTERN_BYTES: usize = 1024;
/// Steps a backtracking pattern may take on one dialled string.
const BACKTRACK_LIMIT: usize = 50_000;
/// Memory limit of one compiled pattern, in bytes.
const COMPILED_LIMIT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index(callflows: &[(&str, Value)]) -> NumberIndex {
        NumberIndex::build(&json!({}), callflows.iter().map(|(id, doc)| (*id, doc)))
    }

    #[test]
    fn an_exact_number_beats_a_pattern() {
        let index = index(&[
            ("p", json!({"patterns": ["^2\\d+$"]})),
            ("n", json!({"numbers": ["2030"]})),
        ]);
        assert_eq!(index.find("2030").unwrap().callflow.as_ref(), "n");
        assert_eq!(index.find("2031").unwrap().callflow.as_ref(), "p");
    }

    #[test]
    fn the_first_of_two_callflows_with_one_number_wins() {
        let index = index(&[
            ("a", json!({"numbers": ["1"]})),
            ("b", json!({"numbers": ["1"]})),
        ]);
        assert_eq!(index.find("1").unwrap().callflow.as_ref(), "a");
        assert_eq!(index.owner_of_number("1").unwrap().as_ref(), "a");
    }

    #[test]
    fn without_groups_the_whole_match_is_the_capture() {
        let index = index(&[("p", json!({"patterns": ["^\\*98\\d*$"]}))]);
        assert_eq!(
            index.find("*98123").unwrap().capture_group.as_deref(),
            Some("*98123")
        );
    }

    #[test]
    fn the_longest_group_is_the_capture_and_the_longest_capture_wins() {
        let index = index(&[
            ("short", json!({"patterns": ["^\\*9(\\d)(\\d{2})\\d*$"]})),
            ("long", json!({"patterns": ["^\\*9(\\d+)$"]})),
        ]);
        let hit = index.find("*98123").unwrap();
        assert_eq!(
            (hit.callflow.as_ref(), hit.capture_group.as_deref()),
            ("long", Some("8123"))
        );
    }

    #[test]
    fn on_equal_length_the_first_tested_stays() {
        let index = index(&[
            ("a", json!({"patterns": ["^(\\d+)$"]})),
            ("b", json!({"patterns": ["^(\\d*)$"]})),
        ]);
        assert_eq!(index.find("42").unwrap().callflow.as_ref(), "a");
    }

    #[test]
    fn named_groups_are_kept_and_empty_ones_dropped() {
        let index = index(&[(
            "p",
            json!({"patterns": ["^(?<area>\\d{3})(?<rest>\\d+)(?<tail>x?)$"]}),
        )]);
        let hit = index.find("4155550").unwrap();
        assert_eq!(hit.capture_group.as_deref(), Some("5550"));
        assert_eq!(
            hit.capture_groups,
            BTreeMap::from([
                ("area".into(), "415".into()),
                ("rest".into(), "5550".into())
            ])
        );
    }

    #[test]
    fn a_group_that_matched_nothing_sets_no_capture() {
        let index = index(&[("p", json!({"patterns": ["^\\*97(\\d+)?$"]}))]);
        assert_eq!(index.find("*97").unwrap().capture_group, None);
        assert_eq!(
            index.find("*9755").unwrap().capture_group.as_deref(),
            Some("55")
        );
    }

    #[test]
    fn patterns_search_anywhere_unless_anchored() {
        let index = index(&[("p", json!({"patterns": ["55"]}))]);
        assert_eq!(
            index.find("1559").unwrap().capture_group.as_deref(),
            Some("55")
        );
    }

    #[test]
    fn an_invalid_pattern_is_skipped_and_reported() {
        let index = index(&[("p", json!({"patterns": ["(", "^1$"]}))]);
        assert_eq!(index.broken().len(), 1);
        assert_eq!(index.broken()[0].pattern, "(");
        assert!(index.find("1").is_some());
    }

    #[test]
    fn a_runaway_pattern_does_not_match_and_does_not_hang() {
        let index = index(&[("p", json!({"patterns": ["^(a+)+\\1b$"]}))]);
        assert!(index.find(&"a".repeat(200)).is_none());
    }

    #[test]
    fn no_match_takes_digits_only() {
        let index = index(&[("nm", json!({"numbers": ["no_match"]}))]);
        assert!(index.find_no_match("+14155550100").unwrap().no_match);
        for never in ["*97", "alice", "", "+", "++1"] {
            assert!(index.find_no_match(never).is_none(), "{never}");
        }
    }

    #[test]
    fn a_callflow_listing_no_match_counts_as_one_however_found() {
        let index = index(&[(
            "nm",
            json!({"numbers": ["no_match", "123"], "patterns": ["^9"]}),
        )]);
        assert!(index.find("123").unwrap().no_match);
        assert!(index.find("9").unwrap().no_match);
    }

    #[test]
    fn the_dial_plan_takes_the_last_capture() {
        let account = json!({"dial_plan": {
            "^0(\\d+)$|^9(\\d+)$": {"prefix": "+49", "suffix": "x"}, "^\\d{3}$": {"prefix": "7"}, "(": {}, "system": []}});
        let index = NumberIndex::build(&account, []);
        assert_eq!(
            index.dial_plan().apply("030123").as_deref(),
            Some("+4930123x")
        );
        assert_eq!(index.dial_plan().apply("930").as_deref(), Some("+4930x"));
        assert_eq!(index.dial_plan().apply("555").as_deref(), Some("7555"));
        assert_eq!(index.dial_plan().apply("1"), None);
        assert_eq!(index.broken().len(), 1);
    }
}
