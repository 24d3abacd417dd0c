//! Lists: filters, order, pages (`api.md` §1.9, §1.10).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::answer::{Answer, Paging};
use super::call::Call;
use super::error::ApiError;
use crate::base::time::{GREGORIAN_OFFSET, UnixMicros};
use crate::directory::private;
use crate::journal::TimeRange;

/// Rows of a page when the client does not say.
const PAGE: usize = 50;
/// Most rows of a page, and of a list without pages.
pub(super) const MOST: usize = 50_000;
/// Rows looked at for one page. A page of what is rare ends there, perhaps with fewer rows than asked for, and says where
/// to go on.
pub(super) const LOOKED_AT: usize = 5_000;
/// Longest stretch of a time-ranged list, in seconds.
const MAX_RANGE: u64 = 2_682_000;

/// How a client wants a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Rows of a page; `None` without pages.
    pub(super) page_size: Option<usize>,
    /// Where the page begins, decoded.
    pub(super) start: Option<Vec<u8>>,
    pub(super) ascending: bool,
}

impl Wanted {
    /// Reads the parameters of a request.
    pub(super) fn of(call: &Call) -> Result<Wanted, ApiError> {
        let paginate = call.flag("paginate").unwrap_or(true);
        let page_size = match call.number("page_size")? {
            Some(0) => return Err(ApiError::Faulty("page_size must be at least 1".to_owned())),
            Some(size) => usize::try_from(size).unwrap_or(MOST).min(MOST),
            None => PAGE,
        };
        let start = match call.text("start_key") {
            Some(text) => match URL_SAFE_NO_PAD.decode(&text) {
                Ok(start) => Some(start),
                Err(_) => {
                    return Err(ApiError::Faulty(
                        "start_key is not one this server gave".to_owned(),
                    ));
                }
            },
            None => None,
        };
        let ascending = call
            .flag("ascending")
            .unwrap_or_else(|| call.flag("descending") == Some(false));
        Ok(Wanted {
            page_size: paginate.then_some(page_size),
            start: start.filter(|_| paginate),
            ascending,
        })
    }
}

/// A key as the client gets it.
pub(super) fn opaque(key: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// A page of rows that are all at hand: `(sort key, whole document, row)`.
pub(super) fn page(
    call: &Call,
    mut rows: Vec<(Vec<u8>, Value, Value)>,
) -> Result<Answer, ApiError> {
    let wanted = Wanted::of(call)?;
    let filters = Filters::of(call)?;
    rows.retain(|(_, doc, _)| filters.pass(doc));
    rows.sort_by(|a, b| {
        if wanted.ascending {
            a.0.cmp(&b.0)
        } else {
            b.0.cmp(&a.0)
        }
    });
    let Some(size) = wanted.page_size else {
        return Ok(Answer::page(
            rows.into_iter().map(|(_, _, row)| row).collect(),
            None,
        ));
    };
    if let Some(start) = &wanted.start {
        rows.retain(|(key, ..)| {
            if wanted.ascending {
                key >= start
            } else {
                key <= start
            }
        });
    }
    let next = rows.get(size).map(|(key, ..)| opaque(key));
    let start_key = rows.first().map(|(key, ..)| opaque(key));
    rows.truncate(size);
    let paging = Paging {
        rows: rows.len(),
        start_key,
        next_start_key: next,
    };
    Ok(Answer::page(
        rows.into_iter().map(|(_, _, row)| row).collect(),
        Some(paging),
    ))
}

/// The time range a client asks for, checked (`created_from`, `created_to`, Gregorian seconds).
pub(super) fn time_range(call: &Call, wanted: &Wanted) -> Result<TimeRange, ApiError> {
    let to = call
        .number("created_to")?
        .unwrap_or_else(|| call.now.gregorian());
    let from = call
        .number("created_from")?
        .unwrap_or_else(|| to.saturating_sub(MAX_RANGE));
    if from > to {
        return Err(date_range(format!(
            "created_from {from} is after created_to {to}"
        )));
    }
    if to - from > MAX_RANGE {
        return Err(date_range(format!(
            "created_to {to} is more than {MAX_RANGE} seconds from created_from {from}"
        )));
    }
    let unix = |gregorian: u64| UnixMicros::from_secs(gregorian.saturating_sub(GREGORIAN_OFFSET));
    Ok(TimeRange {
        from: unix(from),
        // The whole last second.
        to: UnixMicros(unix(to).0.saturating_add(999_999)),
        ascending: wanted.ascending,
        start: wanted.start.clone(),
        limit: MOST,
    })
}

fn date_range(message: String) -> ApiError {
    ApiError::field("created_from", "date_range", message)
}

/// Conditions on whole documents; all must hold.
pub(super) struct Filters(Vec<(Condition, String)>);

enum Condition {
    Is(Vec<String>),
    IsNot(Vec<String>),
    HasKey,
    KeyMissing,
    HasValue,
    ValueMissing,
    CreatedFrom(u64),
    CreatedTo(u64),
    ModifiedFrom(u64),
    ModifiedTo(u64),
}

impl Filters {
    /// The filters of a request's query.
    pub(super) fn of(call: &Call) -> Result<Filters, ApiError> {
        let mut all = Vec::new();
        for (name, value) in &call.query {
            let number = || {
                value
                    .parse()
                    .map_err(|_| ApiError::Faulty(format!("{name} must be a whole number")))
            };
            let own = |condition| (condition, String::new());
            let one = if let Some(path) = name.strip_prefix("filter_not_") {
                (Condition::IsNot(accepted(value)), path.to_owned())
            } else if let Some(path) = name.strip_prefix("filter_") {
                (Condition::Is(accepted(value)), path.to_owned())
            } else {
                match name.as_str() {
                    "has_key" => (Condition::HasKey, value.clone()),
                    "key_missing" => (Condition::KeyMissing, value.clone()),
                    "has_value" => (Condition::HasValue, value.clone()),
                    "value_missing" | "missing_value" => (Condition::ValueMissing, value.clone()),
                    "created_from" => own(Condition::CreatedFrom(number()?)),
                    "created_to" => own(Condition::CreatedTo(number()?)),
                    "modified_from" => own(Condition::ModifiedFrom(number()?)),
                    "modified_to" => own(Condition::ModifiedTo(number()?)),
                    _ => continue,
                }
            };
            all.push(one);
        }
        Ok(Filters(all))
    }

    /// The same without the conditions on creation, for lists that are ranged by time already.
    pub(super) fn without_times(mut self) -> Self {
        self.0.retain(|(condition, _)| {
            !matches!(
                condition,
                Condition::CreatedFrom(_) | Condition::CreatedTo(_)
            )
        });
        self
    }

    /// The values of which the field at a path must be one, where that is asked for.
    pub(super) fn exactly(&self, path: &str) -> Option<&[String]> {
        let mut asked = self.0.iter().filter(|(_, asked)| asked == path);
        asked.find_map(|(condition, _)| match condition {
            Condition::Is(values) => Some(values.as_slice()),
            _ => None,
        })
    }

    /// Whether a condition is about a field whose path begins with one of these names.
    pub(super) fn ask_for(&self, names: &[&str]) -> bool {
        let first = |path: &String| path.split('.').next().unwrap_or_default().to_owned();
        let mut asked = self.0.iter().map(|(_, path)| first(path));
        asked.any(|name| names.contains(&name.as_str()))
    }

    /// Whether there is nothing to check.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a whole document passes.
    pub(super) fn pass(&self, doc: &Value) -> bool {
        self.0.iter().all(|(condition, path)| {
            let found = at_path(doc, path);
            let empty = || {
                matches!(found, None | Some(Value::Null))
                    || found.and_then(Value::as_str) == Some("")
            };
            let time = |key: &str| doc.get(key).and_then(Value::as_u64).unwrap_or(0);
            match condition {
                Condition::Is(values) => found
                    .and_then(plain)
                    .is_some_and(|text| values.contains(&text)),
                Condition::IsNot(values) => found
                    .and_then(plain)
                    .is_none_or(|text| !values.contains(&text)),
                Condition::HasKey => found.is_some(),
                Condition::KeyMissing => found.is_none(),
                Condition::HasValue => !empty(),
                Condition::ValueMissing => empty(),
                Condition::CreatedFrom(at) => time(private::CREATED) >= *at,
                Condition::CreatedTo(at) => time(private::CREATED) <= *at,
                Condition::ModifiedFrom(at) => time(private::MODIFIED) >= *at,
                Condition::ModifiedTo(at) => time(private::MODIFIED) <= *at,
            }
        })
    }
}

/// A value, or a JSON array of values of which one must match.
fn accepted(text: &str) -> Vec<String> {
    match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items.iter().filter_map(plain).collect(),
        _ => vec![text.to_owned()],
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What stands at a dotted path. Private keys are not reachable.
fn at_path<'a>(doc: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() || private::is_private(path) {
        return None;
    }
    path.split('.').try_fold(doc, |value, key| match value {
        Value::Object(fields) => fields.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The fields of `keys` a document has, after its id.
pub(super) fn project(id: &str, doc: &Value, keys: &[&str]) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("id".into(), Value::String(id.to_owned()));
    for key in keys {
        if let Some(value) = doc.get(*key) {
            row.insert((*key).to_owned(), value.clone());
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pass(query: &[(&str, &str)], doc: &Value) -> bool {
        let call = super::super::tests::call(query);
        Filters::of(&call).unwrap().pass(doc)
    }

    #[test]
    fn filters_look_at_the_whole_document_in_text_form() {
        let doc =
            json!({"a": {"b": 5}, "on": true, "empty": "", "pvt_created": 100, "list": ["x"]});
        assert!(pass(&[("filter_a.b", "5"), ("filter_on", "true")], &doc));
        assert!(!pass(&[("filter_a.b", "5"), ("filter_on", "false")], &doc));
        assert!(pass(&[("filter_a.b", "[\"4\",\"5\"]")], &doc));
        assert!(pass(
            &[("filter_not_a.b", "6"), ("filter_not_none", "1")],
            &doc
        ));
        assert!(pass(
            &[
                ("has_key", "a.b"),
                ("key_missing", "a.c"),
                ("has_value", "on")
            ],
            &doc
        ));
        assert!(pass(
            &[("value_missing", "empty"), ("value_missing", "none")],
            &doc
        ));
        assert!(pass(
            &[("created_from", "100"), ("created_to", "100")],
            &doc
        ));
        assert!(!pass(&[("modified_from", "1")], &doc));
        assert!(pass(&[("filter_list.0", "x")], &doc));
        assert!(
            !pass(&[("has_key", "pvt_created")], &doc),
            "private keys cannot be probed"
        );
    }

    fn ids(query: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let call = super::super::tests::call(query);
        let rows = (1..=5)
            .map(|n| (vec![n], json!({"n": n}), json!(format!("r{n}"))))
            .collect();
        let answer = page(&call, rows).unwrap();
        let rows = answer
            .data
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r.as_str().unwrap().to_owned())
            .collect();
        (rows, answer.paging.and_then(|p| p.next_start_key))
    }

    #[test]
    fn pages_follow_each_other_either_way() {
        let (rows, next) = ids(&[("page_size", "2")]);
        assert_eq!(rows, ["r5", "r4"]);
        let (rows, next) = ids(&[("page_size", "2"), ("start_key", &next.unwrap())]);
        assert_eq!(rows, ["r3", "r2"]);
        let (rows, next) = ids(&[("page_size", "2"), ("start_key", &next.unwrap())]);
        assert_eq!((rows, next), (vec!["r1".to_owned()], None));
        assert_eq!(ids(&[("ascending", "true"), ("page_size", "1")]).0, ["r1"]);
        assert_eq!(ids(&[("paginate", "false")]).0.len(), 5);
        assert_eq!(
            ids(&[("page_size", "2"), ("filter_not_n", "4")]).0,
            ["r5", "r3"]
        );
    }

    #[test]
    fn a_page_of_nothing_is_faulty_and_a_long_range_is_refused() {
        let call = super::super::tests::call(&[("page_size", "0")]);
        assert!(matches!(Wanted::of(&call), Err(ApiError::Faulty(_))));
        let call = super::super::tests::call(&[
            ("created_from", "63877000000"),
            ("created_to", "63879682001"),
        ]);
        let error = time_range(&call, &Wanted::of(&call).unwrap()).unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(error.data()["created_from"]["date_range"].is_object());
        let call = super::super::tests::call(&[
            ("created_from", "63877000000"),
            ("created_to", "63879682000"),
        ]);
        assert!(time_range(&call, &Wanted::of(&call).unwrap()).is_ok());
    }
}
