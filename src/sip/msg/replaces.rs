//! Replaces (RFC 3891): which dialog a new INVITE takes the place of.

use std::fmt;

use super::HeaderError;
use super::grammar::{split_at, trim};
use super::params::{HeaderParams, Params};

/// A dialog to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// The Call-ID.
    pub call_id: String,
    /// The tag of the side that receives the INVITE.
    pub to_tag: String,
    /// The other tag.
    pub from_tag: String,
    /// Only if the dialog is not confirmed yet.
    pub early_only: bool,
}

impl Replaces {
    /// Reads `call-id;to-tag=…;from-tag=…[;early-only]`.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let error = |rule| HeaderError::new("Replaces", rule);
        let text = trim(text);
        let (call_id, params) = split_at(text, text.find(';').unwrap_or(text.len()));
        let call_id = trim(call_id);
        if call_id.is_empty() || call_id.contains([' ', '\t', ',']) {
            return Err(error("not one Call-ID"));
        }
        let params = Params::collect(HeaderParams::new(params)).map_err(error)?;
        let tag = |name: &str| params.get(name).flatten().map(str::to_owned);
        Ok(Self {
            call_id: call_id.into(),
            to_tag: tag("to-tag").ok_or_else(|| error("no to-tag"))?,
            from_tag: tag("from-tag").ok_or_else(|| error("no from-tag"))?,
            early_only: params.has("early-only"),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{};to-tag={};from-tag={}",
            self.call_id, self.to_tag, self.from_tag
        )?;
        if self.early_only {
            f.write_str(";early-only")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tags_are_needed() {
        let text = "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r;early-only";
        let replaces = Replaces::parse(text).unwrap();
        assert_eq!(replaces.to_string(), text);
        assert!(replaces.early_only);
        for bad in [
            "",
            "x",
            "x;to-tag=1",
            "x;from-tag=1",
            ";to-tag=1;from-tag=2",
            "a b;to-tag=1;from-tag=2",
            "a;to-tag;from-tag=1",
        ] {
            assert!(Replaces::parse(bad).is_err(), "{bad:?}");
        }
    }
}
