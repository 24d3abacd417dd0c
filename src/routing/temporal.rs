//! Temporal rules: whether a stretch of time that comes again is now (callflow.md §4.2, `temporal_route`).
//!
//! A rule occurs on days; on those it holds from `time_window_start` to `time_window_stop`, both included, and never
//! past midnight.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::Value;

use crate::base::time::GREGORIAN_OFFSET;

/// A rule, read from its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporalRule {
    cycle: Cycle,
    interval: i32,
    days: Vec<i8>,
    wdays: Vec<Weekday>,
    ordinal: Ordinal,
    month: i8,
    /// Gregorian seconds.
    start: i64,
    window: (i64, i64),
    enabled: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cycle {
    Date,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ordinal {
    Every,
    Nth(i8),
    Last,
}

impl TemporalRule {
    /// Reads a document; `None` without a cycle.
    pub fn read(doc: &Value) -> Option<Self> {
        let number = |key: &str| {
            let value = doc.get(key)?;
            value
                .as_i64()
                .or_else(|| value.as_str()?.trim().parse().ok())
        };
        let text = |key: &str| doc.get(key).and_then(Value::as_str);
        let list = |key: &str| doc.get(key).and_then(Value::as_array).into_iter().flatten();
        let cycle = match text("cycle")? {
            "date" => Cycle::Date,
            "daily" => Cycle::Daily,
            "weekly" => Cycle::Weekly,
            "monthly" => Cycle::Monthly,
            "yearly" => Cycle::Yearly,
            _ => return None,
        };
        let ordinal = match text("ordinal") {
            Some("every") => Ordinal::Every,
            Some("second") => Ordinal::Nth(2),
            Some("third") => Ordinal::Nth(3),
            Some("fourth") => Ordinal::Nth(4),
            Some("fifth") => Ordinal::Nth(5),
            Some("last") => Ordinal::Last,
            Some(_) | None => Ordinal::Nth(1),
        };
        let days = list("days")
            .filter_map(Value::as_i64)
            .filter_map(|day| i8::try_from(day).ok());
        Some(Self {
            cycle,
            interval: i32::try_from(number("interval").unwrap_or(1))
                .unwrap_or(1)
                .max(1),
            days: days.collect(),
            wdays: list("wdays")
                .filter_map(Value::as_str)
                .filter_map(weekday)
                .collect(),
            ordinal,
            month: number("month")
                .and_then(|month| i8::try_from(month).ok())
                .unwrap_or(1),
            start: number("start_date").unwrap_or(USUAL_START),
            window: (
                number("time_window_start").unwrap_or(0),
                number("time_window_stop").unwrap_or(DAY),
            ),
            enabled: doc.get("enabled").and_then(Value::as_bool),
        })
    }

    /// Whether the rule holds at `now`, in the time zone of `now`. One that is switched on holds at any time.
    pub fn holds(&self, now: &Zoned) -> bool {
        let Some(start) = self.start_date(now.time_zone()) else {
            return false;
        };
        let today = now.date();
        match self.enabled {
            Some(false) => false,
            _ if start > today => false,
            Some(true) => true,
            None => {
                let time = now.time();
                let seconds = i64::from(time.hour()) * 3_600
                    + i64::from(time.minute()) * 60
                    + i64::from(time.second());
                (self.window.0..=self.window.1).contains(&seconds) && self.occurs(today, start)
            }
        }
    }

    fn start_date(&self, zone: &TimeZone) -> Option<Date> {
        let offset = i64::try_from(GREGORIAN_OFFSET).ok()?;
        let start = Timestamp::from_second(self.start.checked_sub(offset)?).ok()?;
        Some(start.to_zoned(zone.clone()).date())
    }

    fn occurs(&self, today: Date, start: Date) -> bool {
        match self.cycle {
            Cycle::Date => today == start,
            Cycle::Daily => days_between(start, today) % i64::from(self.interval) == 0,
            Cycle::Weekly => {
                let weeks = days_between(monday_of(start), monday_of(today)) / 7;
                let listed = self.wdays.is_empty() || self.wdays.contains(&today.weekday());
                listed && weeks % i64::from(self.interval) == 0
            }
            Cycle::Monthly => {
                let months = (i32::from(today.year()) - i32::from(start.year())) * 12
                    + (i32::from(today.month()) - i32::from(start.month()));
                months % self.interval == 0 && self.on_day_of_month(today)
            }
            Cycle::Yearly => {
                let years = i32::from(today.year()) - i32::from(start.year());
                today.month() == self.month
                    && years % self.interval == 0
                    && self.on_day_of_month(today)
            }
        }
    }

    /// On a listed day; without any, on the nth, the last or every one of exactly one weekday.
    fn on_day_of_month(&self, today: Date) -> bool {
        if !self.days.is_empty() {
            return self.days.contains(&today.day());
        }
        let [weekday] = self.wdays.as_slice() else {
            return false;
        };
        let day = today.day();
        today.weekday() == *weekday
            && match self.ordinal {
                Ordinal::Every => true,
                Ordinal::Nth(n) => (day - 1) / 7 + 1 == n,
                Ordinal::Last => day + 7 > today.days_in_month(),
            }
    }
}

fn days_between(from: Date, to: Date) -> i64 {
    from.until(to).map_or(0, |span| i64::from(span.get_days()))
}

fn monday_of(date: Date) -> Date {
    let back = i64::from(date.weekday().to_monday_zero_offset());
    date.checked_sub(jiff::Span::new().days(back))
        .unwrap_or(date)
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" | "wensday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

/// The schema's default: 1983-04-11.
const USUAL_START: i64 = 62_586_115_200;
/// Seconds of a day.
const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether the rule holds then, in Berlin.
    fn holds(rule: Value, then: &str) -> bool {
        let now: Zoned = format!("{then}[Europe/Berlin]").parse().unwrap();
        TemporalRule::read(&rule).unwrap().holds(&now)
    }

    /// Gregorian seconds of noon of that day in UTC.
    fn on(date: &str) -> i64 {
        let noon: Timestamp = format!("{date}T12:00:00Z").parse().unwrap();
        noon.as_second() + i64::try_from(GREGORIAN_OFFSET).unwrap()
    }

    #[test]
    fn office_hours_on_workdays() {
        let rule = json!({"cycle": "weekly", "wdays": ["monday", "tuesday", "wensday", "thursday", "friday"],
                          "time_window_start": 32_400, "time_window_stop": 61_200});
        assert!(
            holds(rule.clone(), "2026-11-18T09:00:00"),
            "Wednesday, the first second"
        );
        assert!(
            holds(rule.clone(), "2026-11-18T17:00:00"),
            "the last second"
        );
        assert!(!holds(rule.clone(), "2026-11-18T17:00:01"));
        assert!(!holds(rule.clone(), "2026-11-18T08:59:59"));
        assert!(!holds(rule, "2026-11-21T12:00:00"), "Saturday");
    }

    #[test]
    fn a_window_never_goes_past_midnight() {
        let rule =
            json!({"cycle": "daily", "time_window_start": 79_200, "time_window_stop": 21_600});
        assert!(!holds(rule.clone(), "2026-11-18T23:00:00") && !holds(rule, "2026-11-18T03:00:00"));
    }

    #[test]
    fn every_second_week_counts_from_the_week_of_the_start() {
        let rule = json!({"cycle": "weekly", "interval": 2, "start_date": on("2026-11-04")});
        assert!(
            holds(rule.clone(), "2026-11-08T12:00:00"),
            "Sunday of the same week"
        );
        assert!(!holds(rule.clone(), "2026-11-09T12:00:00"));
        assert!(holds(rule, "2026-11-16T12:00:00"));
    }

    #[test]
    fn every_third_day_counts_from_the_start() {
        let rule = json!({"cycle": "daily", "interval": 3, "start_date": on("2026-10-30")});
        assert!(holds(rule.clone(), "2026-11-02T12:00:00"));
        assert!(!holds(rule.clone(), "2026-11-03T12:00:00"));
        assert!(!holds(rule, "2026-10-27T12:00:00"), "not before it begins");
    }

    #[test]
    fn one_date_is_one_day() {
        let rule = json!({"cycle": "date", "start_date": on("2026-12-24")});
        assert!(holds(rule.clone(), "2026-12-24T00:00:00"));
        assert!(!holds(rule, "2027-12-24T12:00:00"));
    }

    #[test]
    fn months_by_day_or_by_weekday() {
        let days = json!({"cycle": "monthly", "days": [1, 15]});
        assert!(holds(days.clone(), "2026-11-15T12:00:00") && !holds(days, "2026-11-16T12:00:00"));
        let nth = |ordinal: &str, date: &str| {
            holds(
                json!({"cycle": "monthly", "ordinal": ordinal, "wdays": ["friday"]}),
                &format!("{date}T12:00:00"),
            )
        };
        assert!(nth("first", "2026-11-06") && !nth("first", "2026-11-13"));
        assert!(nth("last", "2026-11-27") && !nth("last", "2026-11-20"));
        assert!(nth("every", "2026-11-20") && !nth("every", "2026-11-21"));
        assert!(
            nth("fifth", "2026-10-30") && !nth("fifth", "2026-11-27"),
            "November has no fifth Friday"
        );
        let quarterly =
            json!({"cycle": "monthly", "interval": 3, "days": [1], "start_date": on("2026-01-01")});
        assert!(
            holds(quarterly.clone(), "2026-10-01T12:00:00")
                && !holds(quarterly, "2026-11-01T12:00:00")
        );
        assert!(
            !holds(
                json!({"cycle": "monthly", "wdays": []}),
                "2026-11-01T12:00:00"
            ),
            "no day is named"
        );
    }

    #[test]
    fn years_by_month() {
        let new_year = json!({"cycle": "yearly", "days": [1]});
        assert!(
            holds(new_year.clone(), "2027-01-01T12:00:00")
                && !holds(new_year, "2027-02-01T12:00:00")
        );
        let thanks =
            json!({"cycle": "yearly", "month": 11, "ordinal": "fourth", "wdays": ["thursday"]});
        assert!(
            holds(thanks.clone(), "2026-11-26T12:00:00") && !holds(thanks, "2026-11-19T12:00:00")
        );
        let leap = json!({"cycle": "yearly", "interval": 4, "month": 2, "days": [29], "start_date": on("2024-02-01")});
        assert!(holds(leap, "2028-02-29T12:00:00"));
    }

    #[test]
    fn a_rule_can_be_switched_on_or_off() {
        let rule =
            |enabled: bool| json!({"cycle": "daily", "enabled": enabled, "time_window_stop": 1});
        assert!(holds(rule(true), "2026-11-18T12:00:00"));
        assert!(!holds(rule(false), "2026-11-18T00:00:00"));
    }

    #[test]
    fn midnight_is_the_time_zones() {
        let rule = json!({"cycle": "date", "start_date": on("2026-06-01") + 11 * 3_600});
        assert!(
            holds(rule, "2026-06-02T12:00:00"),
            "23:00 in UTC is the next day in Berlin"
        );
    }
}
