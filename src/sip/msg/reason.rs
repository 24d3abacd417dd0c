//! Reason (RFC 3326): why a request was sent, on BYE, CANCEL and responses.

use std::fmt;

use super::HeaderError;
use super::grammar::{decimal, is_token, split_at, split_commas, trim, write_quoted};
use super::params::{HeaderParams, Params};

/// Why a call ended, in the words of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `Q.850`, `SIP` or another token.
    pub protocol: String,
    /// The cause number: a Q.850 cause or a SIP status; 0 when it is not given.
    pub cause: u16,
    /// The words, without their quotes.
    pub text: Option<String>,
}

impl Reason {
    /// A reason by Q.850 number.
    pub fn q850(cause: u16, text: &str) -> Self {
        Self::new("Q.850", cause, text)
    }

    /// A reason by SIP status.
    pub fn sip(status: u16, text: &str) -> Self {
        Self::new("SIP", status, text)
    }

    fn new(protocol: &str, cause: u16, text: &str) -> Self {
        Self {
            protocol: protocol.into(),
            cause,
            text: (!text.is_empty()).then(|| text.into()),
        }
    }

    /// Reads one reason; a comma list is refused.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let error = |rule| HeaderError::new("Reason", rule);
        let text = trim(text);
        let (protocol, params) = split_at(text, text.find(';').unwrap_or(text.len()));
        let protocol = trim(protocol);
        if !is_token(protocol) {
            return Err(error("not a protocol"));
        }
        let params = Params::collect(HeaderParams::new(params)).map_err(error)?;
        let cause = match params.text("cause") {
            Some(cause) => {
                decimal(&cause).ok_or_else(|| error("cause is not a number below 65536"))?
            }
            None => 0,
        };
        let text = params
            .text("text")
            .map(|t| t.replace(['\r', '\n', '\0'], " "));
        Ok(Self {
            protocol: protocol.into(),
            cause,
            text,
        })
    }

    /// Reads a comma list, passing over elements that cannot be read.
    pub fn parse_list(text: &str) -> Vec<Self> {
        split_commas(text)
            .filter_map(|one| Self::parse(one).ok())
            .collect()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};cause={}", self.protocol, self.cause)?;
        if let Some(text) = &self.text {
            f.write_str(";text=")?;
            write_quoted(f, text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_round_trip() {
        let text = "SIP;cause=200;text=\"Call completed elsewhere\"";
        assert_eq!(
            Reason::parse(text).unwrap(),
            Reason::sip(200, "Call completed elsewhere")
        );
        assert_eq!(
            Reason::sip(200, "Call completed elsewhere").to_string(),
            text
        );
        assert_eq!(
            Reason::parse("Q.850 ; cause=16").unwrap(),
            Reason::q850(16, "")
        );
        assert_eq!(Reason::parse("preemption").unwrap().cause, 0);
        assert_eq!(
            Reason::parse_list("SIP;cause=x, Q.850;cause=17;text=\"a, b\"").len(),
            1
        );
        for bad in [
            "",
            ";cause=1",
            "Q.850;cause=-1",
            "Q.850;cause=65536",
            "Q.850;cause=16, SIP;cause=200",
        ] {
            assert!(Reason::parse(bad).is_err(), "{bad:?}");
        }
    }
}
