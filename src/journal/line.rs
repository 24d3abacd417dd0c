//! Facts as lines of a trace, written straight into text: a call has some twenty of them, and is to cost little more for
//! being looked at.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::fact::Fact;

/// A fact as a JSON object with `at` (Unix microseconds) and `fact`, without the Call-ID. What is not known is left out.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) fact: &'a Fact,
    /// Its place in the order of all facts.
    pub(super) seq: Option<u64>,
}

impl Line<'_> {
    /// As a document.
    pub(super) fn to_value(self) -> Value {
        // Maps with texts for keys are always documents.
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = Fields(serializer.serialize_map(None)?);
        line.put("at", self.fact.at().0)?;
        of_call(self.fact, &mut line)?;
        line.some("seq", self.seq)?;
        line.0.end()
    }
}

struct Fields<M>(M);

impl<M: SerializeMap> Fields<M> {
    fn put(&mut self, name: &str, value: impl Serialize) -> Result<(), M::Error> {
        self.0.serialize_entry(name, &value)
    }

    /// What is known.
    fn some(&mut self, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.put(name, value))
    }

    fn all<const N: usize>(&mut self, fields: [(&str, &str); N]) -> Result<(), M::Error> {
        fields
            .into_iter()
            .try_for_each(|(name, text)| self.put(name, text))
    }
}

/// Facts of the course of a call.
fn of_call<M: SerializeMap>(fact: &Fact, line: &mut Fields<M>) -> Result<(), M::Error> {
    match fact {
        Fact::Sip {
            direction,
            peer,
            local,
            transport,
            bytes,
            ..
        } => {
            line.all([("fact", "sip"), ("direction", direction.word())])?;
            line.put("peer", format_args!("{peer}"))?;
            line.put("local", format_args!("{local}"))?;
            line.put("transport", transport.uri_name())?;
            line.put("message", String::from_utf8_lossy(bytes))
        }
        Fact::Started {
            account,
            from,
            dialled,
            callflow,
            ..
        } => line.all([
            ("fact", "started"),
            ("account", account),
            ("from", from),
            ("dialled", dialled),
            ("callflow", callflow),
        ]),
        Fact::Answered { .. } => line.put("fact", "answered"),
        Fact::Bridged { other, .. } => line.all([("fact", "bridged"), ("other", other)]),
        Fact::Refused { status, why, .. } => {
            line.put("fact", "refused")?;
            line.put("status", status)?;
            line.put("why", why)
        }
        Fact::Node { module, path, .. } => {
            line.all([("fact", "node"), ("module", module), ("path", path)])
        }
        Fact::Hook {
            step,
            url,
            status,
            took_ms,
            note,
            ..
        } => {
            line.all([("fact", "hook"), ("step", step), ("url", url)])?;
            line.some("status", *status)?;
            line.some("took_ms", *took_ms)?;
            line.put("note", note)
        }
        Fact::Digit { via, .. } => line.all([("fact", "digit"), ("digit", "*"), ("via", via)]),
        Fact::Collected { count, why, .. } => {
            line.put("fact", "collected")?;
            line.put("count", count)?;
            line.put("why", why)
        }
        Fact::Note { text, .. } => line.all([("fact", "note"), ("text", text)]),
        Fact::Leg {
            other,
            kind,
            id,
            name,
            server,
            ..
        } => line.all([
            ("fact", "leg"),
            ("other", other),
            ("kind", kind),
            ("id", id),
            ("name", name),
            ("server", server),
        ]),
        Fact::Recorded { id, .. } => line.all([("fact", "recorded"), ("id", id)]),
        Fact::Ended {
            cause,
            status,
            disposition,
            ..
        } => {
            line.all([("fact", "ended"), ("cause", cause)])?;
            line.put("status", status)?;
            line.put("disposition", disposition)
        }
        Fact::Detail { detail, .. } => {
            let (kind, more) = detail.line();
            line.put("fact", kind)?;
            let Value::Object(more) = more else {
                return Ok(());
            };
            let mut known = more.iter().filter(|(_, value)| !value.is_null());
            known.try_for_each(|(name, value)| line.put(name, value))
        }
        other => around_calls(other, line),
    }
}

/// Facts of what calls run on, and what they run into.
fn around_calls<M: SerializeMap>(fact: &Fact, line: &mut Fields<M>) -> Result<(), M::Error> {
    match fact {
        Fact::Trouble { code, values, .. } => {
            line.all([("fact", "trouble"), ("code", code.name())])?;
            line.put("values", Values(values))
        }
        Fact::Registration {
            account,
            device,
            what,
            aor,
            contact,
            source,
            user_agent,
            expires_at,
            ..
        } => {
            line.all([
                ("fact", "registration"),
                ("account", account),
                ("device", device),
                ("what", what),
                ("aor", aor),
                ("contact", contact),
            ])?;
            line.put("source", format_args!("{source}"))?;
            line.put("user_agent", user_agent)?;
            line.put("expires_at", expires_at)
        }
        Fact::TrunkRegistration {
            account,
            carrier,
            what,
            server,
            status,
            expires_at,
            ..
        } => {
            line.all([
                ("fact", "trunk_registration"),
                ("account", account),
                ("carrier", carrier),
                ("what", what),
                ("server", server),
            ])?;
            line.put("status", status)?;
            line.some("expires_at", *expires_at)
        }
        Fact::Gateway {
            account,
            resource,
            server,
            host,
            what,
            why,
            ..
        } => {
            line.all([
                ("fact", "gateway"),
                ("account", account),
                ("resource", resource),
                ("server", server),
                ("host", host),
                ("what", what),
            ])?;
            line.some("why", *why)
        }
        Fact::Conference {
            conference,
            name,
            what,
            members,
            ..
        } => {
            line.all([
                ("fact", "conference"),
                ("conference", conference),
                ("name", name),
                ("what", what),
            ])?;
            line.put("members", members)
        }
        Fact::Queue {
            name,
            what,
            waited_ms,
            size,
            ..
        } => {
            line.all([("fact", "queue"), ("name", name), ("what", what)])?;
            line.put("waited_ms", waited_ms)?;
            line.put("size", size)
        }
        _ => Ok(()),
    }
}

/// What a trouble is told with.
struct Values<'a>(&'a [(&'static str, String)]);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values = serializer.serialize_map(Some(self.0.len()))?;
        for (name, text) in self.0 {
            values.serialize_entry(name, text)?;
        }
        values.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::time::UnixMicros;
    use crate::journal::{Detail, Way};

    fn text(fact: &Fact, seq: Option<u64>) -> String {
        serde_json::to_string(&Line { fact, seq }).unwrap()
    }

    #[test]
    fn a_line_is_the_same_as_text_and_as_a_document_and_says_nothing_unknown() {
        let message = Fact::Sip {
            call_id: "a".into(),
            at: UnixMicros(7),
            direction: Way::In,
            peer: ([10, 0, 0, 2], 5060).into(),
            local: "[::1]:5060".parse().unwrap(),
            transport: crate::sip::flow::Transport::Udp,
            bytes: bytes::Bytes::from_static(b"BYE \"x\" SIP/2.0\r\n\r\n\xff"),
        };
        assert_eq!(
            text(&message, Some(9)),
            "{\"at\":7,\"fact\":\"sip\",\"direction\":\"in\",\"peer\":\"10.0.0.2:5060\",\"local\":\"[::1]:5060\",\
             \"transport\":\"udp\",\"message\":\"BYE \\\"x\\\" SIP/2.0\\r\\n\\r\\n\u{fffd}\",\"seq\":9}"
        );
        let hook = Fact::Hook {
            call_id: "a".into(),
            at: UnixMicros(7),
            step: "response",
            url: "http://h/".into(),
            status: Some(200),
            took_ms: None,
            note: String::new(),
        };
        let told = json!({"at": 7, "fact": "hook", "step": "response", "url": "http://h/", "status": 200, "note": ""});
        let left = Fact::Detail {
            call_id: "a".into(),
            at: UnixMicros(7),
            detail: Detail::NodeLeft {
                chosen: None,
                why: "the end".into(),
                failed: false,
            },
        };
        let said = json!({"at": 7, "fact": "node_left", "why": "the end"});
        for (fact, wanted) in [(&hook, told), (&left, said)] {
            assert_eq!(text(fact, None), wanted.to_string());
            assert_eq!(fact.to_json(), wanted);
        }
    }
}
