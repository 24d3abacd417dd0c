//! Wall-clock values. Gregorian seconds count from year 0, as everywhere in KAZOO's API.

use serde::{Deserialize, Serialize};

/// Seconds from year 0 to 1970-01-01.
pub const GREGORIAN_OFFSET: u64 = 62_167_219_200;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMicros(pub u64);

impl UnixMicros {
    /// From whole Unix seconds.
    pub fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Whole Unix seconds, rounded down.
    pub fn secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole Unix milliseconds, rounded down.
    pub fn millis(self) -> u64 {
        self.0 / 1000
    }

    /// Gregorian seconds, rounded down.
    pub fn gregorian(self) -> u64 {
        self.secs().saturating_add(GREGORIAN_OFFSET)
    }

    /// This time plus `d`.
    pub fn plus(self, d: std::time::Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)),
        )
    }

    /// The time from `earlier` to this one; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `YYYYMM` of this time in UTC: the prefix of ids in monthly tables.
    pub fn month(self) -> String {
        let zoned = self.timestamp().to_zoned(jiff::tz::TimeZone::UTC);
        format!("{:04}{:02}", zoned.year(), zoned.month())
    }

    /// The same time as a `jiff` timestamp, for formatting.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(i64::try_from(self.0).unwrap_or(i64::MAX))
            .unwrap_or(jiff::Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gregorian_and_month_of_a_known_second() {
        let t = UnixMicros::from_secs(1_710_278_674); // 2024-03-12T21:24:34Z
        assert_eq!(t.gregorian(), 63_877_497_874);
        assert_eq!(t.month(), "202403");
    }
}
