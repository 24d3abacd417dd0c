//! CSeq (RFC 3261 §20.16) and RAck (RFC 3262 §7.2).

use std::fmt;

use super::grammar::{decimal, is_blank, is_token, split_at, trim};
use super::{HeaderError, Method};

/// Largest sequence number (RFC 3261 §8.1.1.5: below 2³¹).
pub const MAX_SEQUENCE: u32 = (1 << 31) - 1;

/// The sequence number of a request and its method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// 0 to 2³¹ − 1.
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    /// Reads `number method`.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let (number, method) = scan_cseq(text).map_err(|rule| HeaderError::new("CSeq", rule))?;
        Ok(Self {
            number,
            method: Method::from_token(method),
        })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// Number and method of a CSeq value, without allocating.
pub(crate) fn scan_cseq(text: &str) -> Result<(u32, &str), &'static str> {
    let (number, method) = word(trim(text));
    let number = sequence(number).ok_or("not a number below 2^31")?;
    if !is_token(method) {
        return Err("not a number and a method");
    }
    Ok((number, method))
}

fn sequence(text: &str) -> Option<u32> {
    decimal::<u32>(text).filter(|&n| n <= MAX_SEQUENCE)
}

fn word(text: &str) -> (&str, &str) {
    let end = text.bytes().position(is_blank).unwrap_or(text.len());
    let (first, rest) = split_at(text, end);
    (first, trim(rest))
}

/// Which reliable provisional response a PRACK acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RAck {
    /// The RSeq of the response.
    pub rseq: u32,
    /// The CSeq number of the request it answered.
    pub cseq: u32,
    /// The method of that request.
    pub method: Method,
}

impl RAck {
    /// Reads `rseq cseq method`.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let error = |rule| HeaderError::new("RAck", rule);
        let (rseq, rest) = word(trim(text));
        let rseq = decimal::<u32>(rseq).ok_or_else(|| error("not a number below 2^32"))?;
        let (cseq, method) = scan_cseq(rest).map_err(error)?;
        Ok(Self {
            rseq,
            cseq,
            method: Method::from_token(method),
        })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.rseq, self.cseq, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cseq_is_a_number_below_two_to_the_31_and_a_method() {
        assert_eq!(
            CSeq::parse("0009    INVITE").unwrap(),
            CSeq {
                number: 9,
                method: Method::Invite
            }
        );
        assert_eq!(
            CSeq::parse("2147483647 RE%47IST%45R").unwrap().to_string(),
            "2147483647 RE%47IST%45R"
        );
        for bad in [
            "",
            "1",
            "INVITE",
            "INVITE 1",
            "2147483648 INVITE",
            "36893488147419103232 REGISTER",
            "-1 BYE",
            "1 BYE x",
            "1 B,E",
        ] {
            assert!(CSeq::parse(bad).is_err(), "{bad:?}");
        }
        let long = format!("1 {}", "A".repeat(5000));
        assert_eq!(CSeq::parse(&long).unwrap().to_string(), long);
    }

    #[test]
    fn rack_has_three_parts() {
        let rack = RAck::parse("776656 1 INVITE").unwrap();
        assert_eq!(
            (rack.rseq, rack.cseq, rack.to_string().as_str()),
            (776656, 1, "776656 1 INVITE")
        );
        for bad in ["", "1", "1 2", "1 INVITE", "4294967296 1 INVITE"] {
            assert!(RAck::parse(bad).is_err(), "{bad:?}");
        }
    }
}
