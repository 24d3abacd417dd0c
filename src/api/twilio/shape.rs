//! Names, dates and pages as Twilio writes them.

use serde_json::{Value, json};

use super::{Ask, Refusal};
use crate::base::time::UnixMicros;

/// Rows of a page where the client does not say.
const PAGE: usize = 50;
/// Most rows of a page.
const MOST: usize = 1000;

/// The id of the account with that Sid.
pub(super) fn account_id(sid: &str) -> &str {
    match sid.strip_prefix("AC") {
        Some(id) if id.len() == 32 => id,
        _ => sid,
    }
}

/// A Call-ID for a call placed here.
pub(super) fn is_placed(call_id: &str) -> bool {
    let hexadecimal = |rest: &str| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit());
    call_id.strip_prefix("CA").is_some_and(hexadecimal)
}

/// A time, as in mail headers.
pub(super) fn date(at: UnixMicros) -> String {
    let text = at.timestamp().strftime("%a, %d %b %Y %H:%M:%S +0000");
    text.to_string()
}

/// The path below the account.
pub(super) fn uri(ask: &Ask, below: &str) -> String {
    format!("/{}/Accounts/{}/{below}", super::VERSION, ask.sid)
}

/// `200` is `completed`, `486` `busy` …: the end of a call.
pub(super) fn ending(answered: bool, status: u16) -> &'static str {
    match status {
        _ if answered => "completed",
        486 | 600 | 603 => "busy",
        408 | 480 => "no-answer",
        487 => "canceled",
        _ => "failed",
    }
}

/// Bounds on a date: `Name=2024-03-12` that day, `Name<=…` and `Name>=…` up to and from it; times are taken, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Between {
    pub(super) from: UnixMicros,
    /// Included.
    pub(super) to: UnixMicros,
}

impl Between {
    /// No bounds.
    pub(super) const ALL: Between = Between {
        from: UnixMicros(0),
        to: UnixMicros(u64::MAX),
    };

    pub(super) fn of(ask: &Ask, name: &str) -> Result<Between, Refusal> {
        let mut all = Between::ALL;
        for (suffix, from, to) in [("", true, true), ("<", false, true), (">", true, false)] {
            let Some(text) = ask.text(&format!("{name}{suffix}")) else {
                continue;
            };
            let day = day(text).ok_or_else(|| {
                let message = format!("{name} must be a date like 2024-03-12, not {text}");
                Refusal::parameter(20001, message)
            })?;
            if from {
                all.from = day.from;
            }
            if to {
                all.to = day.to;
            }
        }
        Ok(all)
    }

    pub(super) fn has(&self, at: UnixMicros) -> bool {
        self.from <= at && at <= self.to
    }
}

fn day(text: &str) -> Option<Between> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        let at = UnixMicros(u64::try_from(at.as_microsecond()).ok()?);
        return Some(Between { from: at, to: at });
    }
    let date: jiff::civil::Date = text.parse().ok()?;
    let begin = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    let from = UnixMicros(u64::try_from(begin.as_microsecond()).ok()?);
    let to = UnixMicros(from.0.saturating_add(24 * 3600 * 1_000_000 - 1));
    Some(Between { from, to })
}

/// Which page of a list is wanted.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) size: usize,
    pub(super) number: u64,
    /// Where it begins, as the page before has said.
    pub(super) token: Option<Vec<u8>>,
}

impl Page {
    pub(super) fn of(ask: &Ask) -> Result<Page, Refusal> {
        let size = ask.number("PageSize")?.map_or(PAGE, |size| {
            usize::try_from(size).unwrap_or(MOST).clamp(1, MOST)
        });
        let token =
            match ask.text("PageToken") {
                Some(text) => Some(hex::decode(text).map_err(|_| {
                    Refusal::parameter(20006, "PageToken is not one this server gave")
                })?),
                None => None,
            };
        let number = ask.number("Page")?.unwrap_or(0);
        if number > 0 && token.is_none() {
            let message = "Page needs the PageToken of the page before";
            return Err(Refusal::parameter(20006, message));
        }
        Ok(Page {
            size,
            number,
            token,
        })
    }

    /// A page with what leads to its neighbours.
    pub(super) fn show(
        &self,
        ask: &Ask,
        key: &str,
        rows: Vec<Value>,
        next: Option<&[u8]>,
    ) -> Value {
        let filters = ask
            .query
            .iter()
            .filter(|(name, _)| !["Page", "PageToken", "PageSize"].contains(&name.as_str()));
        let link = |number: u64, token: Option<&[u8]>| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in filters.clone() {
                query.append_pair(name, value);
            }
            query.append_pair("PageSize", &self.size.to_string());
            query.append_pair("Page", &number.to_string());
            if let Some(token) = token {
                query.append_pair("PageToken", &hex::encode(token));
            }
            format!("{}?{}", ask.path, query.finish())
        };
        let start = self.number.saturating_mul(self.size as u64);
        let end = (start + rows.len() as u64).saturating_sub(1).max(start);
        let mut page = json!({
            "page": self.number,
            "page_size": self.size,
            "start": start,
            "end": end,
            "uri": link(self.number, self.token.as_deref()),
            "first_page_uri": link(0, None),
            "next_page_uri": next.map(|token| link(self.number + 1, Some(token))),
            "previous_page_uri": null,
        });
        if let Some(page) = page.as_object_mut() {
            page.insert(key.to_owned(), Value::Array(rows));
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_known_with_and_without_its_prefix() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(account_id(id), id);
        assert_eq!(account_id(&format!("AC{id}")), id);
        assert_eq!(account_id("AC12"), "AC12");
    }

    #[test]
    fn a_day_is_all_of_it_and_a_time_is_that_moment() {
        let whole = day("2024-03-12").unwrap();
        assert_eq!(whole.from, UnixMicros::from_secs(1_710_201_600));
        assert!(whole.has(UnixMicros::from_secs(1_710_287_999)));
        assert!(!whole.has(UnixMicros::from_secs(1_710_288_000)));
        let moment = day("2024-03-12T21:24:34Z").unwrap();
        assert_eq!(moment.from, UnixMicros::from_secs(1_710_278_674));
        assert_eq!(day("yesterday"), None);
    }
}
