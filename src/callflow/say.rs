//! Text for the voice: how a number, a date or a name is spoken (`audio_macro`'s `say`).
//!
//! English is written out where a voice would read it wrongly; what holds in every language (reading digits one by
//! one, spelling) is done for all; the rest is left to the voice of the language. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::time::UnixMicros;

/// What the text is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SayType {
    Number,
    Items,
    Persons,
    Messages,
    Currency,
    TimeMeasurement,
    CurrentDate,
    CurrentTime,
    CurrentDateTime,
    TelephoneNumber,
    TelephoneExtension,
    Url,
    IpAddress,
    #[serde(rename = "e-mail_address")]
    EMailAddress,
    PostalAddress,
    AccountNumber,
    #[default]
    NameSpelled,
    NamePhonetic,
    ShortDateTime,
}

/// How it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SayMethod {
    None,
    #[default]
    Pronounced,
    Iterated,
    Counted,
}

/// Where and when it is read.
#[derive(Debug, Clone)]
pub(super) struct Reading<'a> {
    /// `en-us`, `de-de` …
    pub(super) language: &'a str,
    /// For dates and times.
    pub(super) zone: TimeZone,
    /// What "current" means when no time is given.
    pub(super) now: UnixMicros,
}

impl Reading<'_> {
    /// The words for `text`.
    pub(super) fn words(&self, text: &str, what: SayType, how: SayMethod) -> String {
        use SayType as T;
        let text = text.trim();
        match what {
            T::Number | T::Items | T::Persons | T::Messages => self.number(text, how),
            T::Currency => self.currency(text),
            T::TimeMeasurement => self.length(text),
            T::CurrentDate | T::CurrentTime | T::CurrentDateTime | T::ShortDateTime => {
                self.date(text, what)
            }
            T::TelephoneNumber | T::TelephoneExtension | T::AccountNumber => one_by_one(text),
            T::Url | T::EMailAddress | T::IpAddress => self.symbols(text),
            T::PostalAddress => text.to_owned(),
            T::NameSpelled => one_by_one(text),
            T::NamePhonetic => phonetic(text),
        }
    }

    fn english(&self) -> bool {
        self.language
            .get(..2)
            .is_some_and(|language| language.eq_ignore_ascii_case("en"))
    }

    fn number(&self, text: &str, how: SayMethod) -> String {
        match (how, text.parse::<u64>()) {
            (SayMethod::Iterated, _) => one_by_one(text),
            (SayMethod::Counted, Ok(number)) if self.english() => ordinal(number),
            // "007" is seven; voices read leading zeros as text.
            (_, Ok(number)) => number.to_string(),
            (_, Err(_)) => text.to_owned(),
        }
    }

    fn currency(&self, text: &str) -> String {
        let amount = text.trim_start_matches('$');
        if !self.english() {
            return amount.to_owned();
        }
        let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
        let Ok(dollars) = whole.replace(',', "").parse::<i64>() else {
            return text.to_owned();
        };
        let digits: String = part.chars().chain("00".chars()).take(2).collect();
        let cents: u64 = digits.parse().unwrap_or(0);
        let mut words = counted(dollars.unsigned_abs(), "dollar");
        if dollars < 0 {
            words.insert_str(0, "minus ");
        }
        if cents > 0 {
            words = format!("{words} and {}", counted(cents, "cent"));
        }
        words
    }

    /// Seconds, or `H:MM:SS`.
    fn length(&self, text: &str) -> String {
        let seconds = text.split(':').try_fold(0u64, |sum, part| {
            sum.checked_mul(60)?.checked_add(part.parse().ok()?)
        });
        let (Some(seconds), true) = (seconds, self.english()) else {
            return text.to_owned();
        };
        let parts: Vec<String> = [
            (seconds / 3600, "hour"),
            (seconds / 60 % 60, "minute"),
            (seconds % 60, "second"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| counted(count, unit))
        .collect();
        if parts.is_empty() {
            counted(0, "second")
        } else {
            parts.join(", ")
        }
    }

    /// Unix seconds, an ISO date, or nothing for now.
    fn date(&self, text: &str, what: SayType) -> String {
        let Some(at) = self.instant(text) else {
            return text.to_owned();
        };
        let at = at.to_zoned(self.zone.clone());
        let format = match (what, self.english()) {
            (SayType::CurrentDate, true) => "%A, %B %-d, %Y",
            (SayType::CurrentTime, true) => "%-I:%M %p",
            (SayType::ShortDateTime, true) => "%B %-d, %-I:%M %p",
            (_, true) => "%A, %B %-d, %Y, %-I:%M %p",
            (SayType::CurrentDate, false) => "%-d.%-m.%Y",
            (SayType::CurrentTime, false) => "%-H:%M",
            (SayType::ShortDateTime, false) => "%-d.%-m., %-H:%M",
            (_, false) => "%-d.%-m.%Y, %-H:%M",
        };
        at.strftime(format).to_string()
    }

    fn instant(&self, text: &str) -> Option<Timestamp> {
        if text.is_empty() || text.eq_ignore_ascii_case("now") {
            return Some(self.now.timestamp());
        }
        if let Ok(seconds) = text.parse::<i64>() {
            return Timestamp::from_second(seconds).ok();
        }
        text.parse::<Timestamp>().ok().or_else(|| {
            let civil = text.parse::<jiff::civil::DateTime>().ok()?;
            Some(civil.to_zoned(self.zone.clone()).ok()?.timestamp())
        })
    }

    fn symbols(&self, text: &str) -> String {
        let (dot, at, slash) = match self.language.get(..2) {
            Some("de") => (" Punkt ", " ät ", " Schrägstrich "),
            Some("fr") => (" point ", " arobase ", " barre oblique "),
            Some("es") => (" punto ", " arroba ", " barra "),
            _ => (" dot ", " at ", " slash "),
        };
        let bare = text
            .trim_start_matches("http://")
            .trim_start_matches("https://")
            .trim_end_matches('/');
        let mut words = String::with_capacity(bare.len().saturating_mul(2));
        for c in bare.chars() {
            match c {
                '.' => words.push_str(dot),
                '@' => words.push_str(at),
                '/' => words.push_str(slash),
                other => words.push(other),
            }
        }
        words
    }
}

/// Each character for itself, with a pause between them.
fn one_by_one(text: &str) -> String {
    let spoken = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '*' | '#' | '+'));
    spoken.map(String::from).collect::<Vec<_>>().join(", ")
}

fn phonetic(text: &str) -> String {
    let word = |c: char| {
        let index = u32::from(c.to_ascii_lowercase()).checked_sub(u32::from('a'))?;
        PHONETIC
            .get(usize::try_from(index).ok()?)
            .map(|word| (*word).to_owned())
    };
    let spoken = text.chars().filter(|c| c.is_alphanumeric());
    spoken
        .map(|c| word(c).unwrap_or_else(|| c.to_string()))
        .collect::<Vec<_>>()
        .join(", ")
}

fn counted(count: u64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn ordinal(number: u64) -> String {
    let suffix = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// The spelling alphabet of aviation.
const PHONETIC: [&str; 26] = [
    "alfa", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett",
    "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango",
    "uniform", "victor", "whiskey", "x-ray", "yankee", "zulu",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn say(language: &str, text: &str, what: SayType, how: SayMethod) -> String {
        let now = UnixMicros::from_secs(1_710_278_674); // 2024-03-12T21:24:34Z, a Tuesday
        Reading {
            language,
            zone: TimeZone::UTC,
            now,
        }
        .words(text, what, how)
    }

    fn en(text: &str, what: SayType) -> String {
        say("en-us", text, what, SayMethod::Pronounced)
    }

    #[test]
    fn numbers_by_method() {
        assert_eq!(en("0042", SayType::Number), "42");
        assert_eq!(
            say("en-us", "42", SayType::Number, SayMethod::Iterated),
            "4, 2"
        );
        let counted = |n| say("en-us", n, SayType::Number, SayMethod::Counted);
        assert_eq!(
            ["1", "2", "3", "11", "22", "112"].map(counted),
            ["1st", "2nd", "3rd", "11th", "22nd", "112th"]
        );
        assert_eq!(say("de-de", "3", SayType::Number, SayMethod::Counted), "3");
    }

    #[test]
    fn telephone_numbers_are_read_digit_by_digit_in_every_language() {
        assert_eq!(
            en("+1 (415) 555", SayType::TelephoneNumber),
            "+, 1, 4, 1, 5, 5, 5, 5"
        );
        assert_eq!(
            say(
                "fr-fr",
                "101",
                SayType::TelephoneExtension,
                SayMethod::Pronounced
            ),
            "1, 0, 1"
        );
    }

    #[test]
    fn money() {
        assert_eq!(en("12.50", SayType::Currency), "12 dollars and 50 cents");
        assert_eq!(en("$1", SayType::Currency), "1 dollar");
        assert_eq!(
            en("1,000.5", SayType::Currency),
            "1000 dollars and 50 cents"
        );
        assert_eq!(en("lots", SayType::Currency), "lots");
        assert_eq!(
            say("de-de", "12.50", SayType::Currency, SayMethod::None),
            "12.50"
        );
    }

    #[test]
    fn lengths_of_time() {
        assert_eq!(
            en("3723", SayType::TimeMeasurement),
            "1 hour, 2 minutes, 3 seconds"
        );
        assert_eq!(en("1:01", SayType::TimeMeasurement), "1 minute, 1 second");
        assert_eq!(en("0", SayType::TimeMeasurement), "0 seconds");
        assert_eq!(
            en("99999999999999999999", SayType::TimeMeasurement),
            "99999999999999999999"
        );
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(en("", SayType::CurrentDate), "Tuesday, March 12, 2024");
        assert_eq!(en("1710278674", SayType::CurrentTime), "9:24 PM");
        assert_eq!(
            en("2024-01-02T03:04:05", SayType::ShortDateTime),
            "January 2, 3:04 AM"
        );
        assert_eq!(
            say("de-de", "now", SayType::CurrentDateTime, SayMethod::None),
            "12.3.2024, 21:24"
        );
        assert_eq!(en("tomorrow", SayType::CurrentDate), "tomorrow");
    }

    #[test]
    fn addresses_and_names() {
        assert_eq!(
            en("https://2600hz.com/a", SayType::Url),
            "2600hz dot com slash a"
        );
        assert_eq!(en("a@b.c", SayType::EMailAddress), "a at b dot c");
        assert_eq!(
            say("de-de", "10.0.0.1", SayType::IpAddress, SayMethod::None),
            "10 Punkt 0 Punkt 0 Punkt 1"
        );
        assert_eq!(en("Bob 7", SayType::NameSpelled), "B, o, b, 7");
        assert_eq!(en("Zoë", SayType::NamePhonetic), "zulu, oscar, ë");
    }
}
