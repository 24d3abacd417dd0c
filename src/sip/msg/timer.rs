//! Times in headers: Session-Expires and Min-SE (RFC 4028), Retry-After (RFC 3261 §20.33), Expires (§20.19).

use std::fmt;
use std::time::Duration;

use super::HeaderError;
use super::grammar::{decimal_clamped, split_at, trim};
use super::params::{HeaderParams, Params};

/// Who refreshes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answered it.
    Uas,
}

impl Refresher {
    /// The spelling on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }
}

/// The session interval (RFC 4028 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub seconds: u32,
    /// Who refreshes, when it says so.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads `seconds[;refresher=uac|uas]`; other parameters are passed over.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let error = |rule| HeaderError::new("Session-Expires", rule);
        let (seconds, params) = seconds_and_params(text).map_err(error)?;
        let refresher = match params.get("refresher").flatten() {
            None => None,
            Some(who) if who.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) => return Err(error("refresher is neither uac nor uas")),
        };
        Ok(Self { seconds, refresher })
    }

    /// The interval.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        match self.refresher {
            Some(who) => write!(f, ";refresher={}", who.as_str()),
            None => Ok(()),
        }
    }
}

/// The shortest session interval somebody accepts (RFC 4028 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinSe {
    /// Seconds.
    pub seconds: u32,
}

impl MinSe {
    /// Reads `seconds`; parameters are passed over.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        seconds_and_params(text)
            .map(|(seconds, _)| Self { seconds })
            .map_err(|rule| HeaderError::new("Min-SE", rule))
    }
}

impl fmt::Display for MinSe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)
    }
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds.
    pub seconds: u32,
}

impl RetryAfter {
    /// Reads `seconds [(comment)] *(;param)`; only the seconds are kept, too large a number counts as the largest.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let error = |rule| HeaderError::new("Retry-After", rule);
        let text = trim(text);
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (seconds, rest) = split_at(text, end);
        let seconds = decimal_clamped(seconds).ok_or_else(|| error("not a number of seconds"))?;
        let rest = trim(rest);
        if !rest.is_empty() && !rest.starts_with([';', '(']) {
            return Err(error("not a number of seconds"));
        }
        Ok(Self { seconds })
    }

    /// The time to wait.
    pub fn wait(self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)
    }
}

/// Seconds of an Expires header or parameter; larger than 2³² − 1 is clamped (RFC 3261 §20.19), anything but digits is
/// `None`.
pub fn expires_seconds(text: &str) -> Option<u32> {
    decimal_clamped(trim(text))
}

fn seconds_and_params(text: &str) -> Result<(u32, Params), &'static str> {
    let text = trim(text);
    let (seconds, params) = split_at(text, text.find(';').unwrap_or(text.len()));
    let seconds = decimal_clamped(trim(seconds)).ok_or("not a number of seconds")?;
    Ok((seconds, Params::collect(HeaderParams::new(params))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_expires_names_its_refresher() {
        let se = SessionExpires::parse("1800 ; refresher = UAS;x=y").unwrap();
        assert_eq!((se.seconds, se.refresher), (1800, Some(Refresher::Uas)));
        assert_eq!(se.to_string(), "1800;refresher=uas");
        assert_eq!(SessionExpires::parse("90").unwrap().refresher, None);
        for bad in ["", "x", "-1", "90;refresher=me", "90;;", "9 0"] {
            assert!(SessionExpires::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(MinSe::parse("90;x").unwrap().to_string(), "90");
    }

    #[test]
    fn huge_times_are_clamped_not_wrapped() {
        assert_eq!(
            RetryAfter::parse("949302838503028349304023988")
                .unwrap()
                .seconds,
            u32::MAX
        );
        assert_eq!(expires_seconds("280297596632815"), Some(u32::MAX));
        assert_eq!(expires_seconds(" 3600 "), Some(3600));
        assert_eq!(expires_seconds("soon"), None);
        assert_eq!(expires_seconds("-1"), None);
    }

    #[test]
    fn retry_after_may_carry_a_comment_and_parameters() {
        assert_eq!(
            RetryAfter::parse("120 (in a meeting);duration=3600")
                .unwrap()
                .wait(),
            Duration::from_secs(120)
        );
        for bad in ["", "soon", "12x", "(no)"] {
            assert!(RetryAfter::parse(bad).is_err(), "{bad:?}");
        }
    }
}
