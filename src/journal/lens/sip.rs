//! What the lens says about a SIP message and its session description.

use serde_json::{Value, json};

use crate::journal::message::Text;
use crate::journal::offer::Offer;

/// A message, as far as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    /// The method, of a request.
    pub(super) method: Option<&'a str>,
    /// Status and phrase, of a response.
    pub(super) status: Option<(u16, &'a str)>,
    /// `1 INVITE`.
    pub(super) cseq: &'a str,
    /// Names and values in order, continuation lines joined.
    pub(super) headers: Vec<(&'a str, String)>,
    pub(super) body: &'a str,
}

impl<'a> Shown<'a> {
    pub(super) fn of(message: &'a str) -> Self {
        let text = Text::of(message);
        let mut shown = Self {
            method: Some(text.method).filter(|_| text.status.is_none()),
            status: text
                .status
                .map(|status| (status.parse().unwrap_or_default(), text.phrase)),
            body: text.body,
            ..Self::default()
        };
        for (name, value) in text.headers() {
            if name.is_empty() {
                if let Some((_, before)) = shown.headers.last_mut() {
                    before.push(' ');
                    before.push_str(value);
                }
                continue;
            }
            if name.eq_ignore_ascii_case("cseq") {
                shown.cseq = value;
            }
            shown.headers.push((name, value.to_owned()));
        }
        shown
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter();
        let mut found = found.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// Whether it answers a challenge.
    pub(super) fn has_credentials(&self) -> bool {
        self.header("authorization")
            .or(self.header("proxy-authorization"))
            .is_some()
    }

    pub(super) fn title(&self) -> String {
        match (self.method, self.status) {
            (Some(method), _) => method.to_owned(),
            (None, Some((status, phrase))) => format!("{status} {phrase}").trim().to_owned(),
            (None, None) => String::new(),
        }
    }

    /// `req`, `r1` … `r5`.
    pub(super) fn class(&self) -> &'static str {
        match self.status.map(|(status, _)| status / 100) {
            None => "req",
            Some(0 | 1) => "r1",
            Some(2) => "r2",
            Some(3) => "r3",
            Some(4) => "r4",
            Some(_) => "r5",
        }
    }

    /// What matters beside the title.
    pub(super) fn detail(&self) -> String {
        let mut parts = Vec::new();
        if self.status.is_some() {
            parts.extend(self.cseq.split(' ').nth(1).map(str::to_owned));
        } else if let Some(to) = self.header("request-uri").or(self.header("refer-to")) {
            parts.push(to.to_owned());
        }
        if self.has_credentials() {
            parts.push("with credentials".to_owned());
        }
        if let Some(sdp) = self.sdp() {
            let offer = Offer::read(sdp).unwrap_or_default();
            parts.push(format!("SDP {}", offer.list()).trim_end().to_owned());
        }
        if let Some(reason) = self.header("reason").or(self.header("warning")) {
            parts.push(reason.to_owned());
        }
        parts.join(" · ")
    }

    /// Its session description.
    pub(super) fn sdp(&self) -> Option<&'a str> {
        let kind = self.header("content-type").or(self.header("c"))?;
        let is = kind.to_ascii_lowercase().starts_with("application/sdp");
        (is && !self.body.is_empty()).then_some(self.body)
    }
}

/// Offer beside answer, and the lines of the offer that the answer refuses.
pub(super) fn compare(offer: Option<&str>, answer: Option<&str>) -> Value {
    if offer.is_none() && answer.is_none() {
        return Value::Null;
    }
    let refused = match (offer, answer) {
        (Some(offer), Some(answer)) => refused(offer, answer),
        _ => Vec::new(),
    };
    json!({"offer": offer, "answer": answer, "refused": refused})
}

fn refused<'a>(offer: &'a str, answer: &str) -> Vec<&'a str> {
    let mut answers = answer.lines().filter(|line| line.starts_with("m="));
    let (mut refused, mut formats) = (Vec::new(), None::<Vec<&str>>);
    for line in offer.lines() {
        if line.starts_with("m=") {
            let answer = answers.next().unwrap_or("m=");
            let port = answer.split_whitespace().nth(1);
            if matches!(port, None | Some("0")) {
                refused.push(line);
                formats = None;
            } else {
                formats = Some(answer.split_whitespace().skip(3).collect());
            }
        } else if let (Some(mapped), Some(kept)) = (line.strip_prefix("a=rtpmap:"), &formats) {
            let number = mapped.split(' ').next().unwrap_or_default();
            // An answer may number its formats otherwise; the name decides.
            let name = mapped.split(' ').nth(1).unwrap_or_default();
            let named = answer
                .lines()
                .any(|line| line.starts_with("a=rtpmap:") && line.ends_with(name));
            if !kept.contains(&number) && !named {
                refused.push(line);
            }
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_apart_with_folded_headers() {
        let shown = Shown::of(
            "SIP/2.0 486 Busy Here\r\nCSeq: 2 INVITE\r\nReason: Q.850;\r\n cause=17\r\n\r\n",
        );
        assert_eq!(
            (shown.title().as_str(), shown.class()),
            ("486 Busy Here", "r4")
        );
        assert_eq!(shown.header("reason"), Some("Q.850; cause=17"));
        assert_eq!(shown.detail(), "INVITE · Q.850; cause=17");
    }

    #[test]
    fn an_answer_marks_what_it_refuses() {
        let offer = "v=0\r\nm=audio 4000 RTP/AVP 0 96\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 AMR-WB/16000\r\n\
                     m=video 4002 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\n";
        let answer = "v=0\r\nm=audio 5000 RTP/AVP 0\r\nm=video 0 RTP/AVP 97\r\n";
        assert_eq!(
            refused(offer, answer),
            ["a=rtpmap:96 AMR-WB/16000", "m=video 4002 RTP/AVP 97"]
        );
    }
}
