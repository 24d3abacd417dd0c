//! Sentences of the lens.

use serde_json::Value;

use super::build::text;
use super::{Leg, Lens};

/// Ends of an answered call that nobody wished for.
const BROKEN: [&str; 6] = [
    "MEDIA_TIMEOUT",
    "RECOVERY_ON_TIMER_EXPIRE",
    "NORMAL_TEMPORARY_FAILURE",
    "INCOMPATIBLE_DESTINATION",
    "DESTINATION_OUT_OF_ORDER",
    "SYSTEM_SHUTDOWN",
];

/// Says how the call went.
pub(super) fn tell(lens: &mut Lens) {
    let Some(first) = lens.legs.first() else {
        return;
    };
    lens.result = result(lens, first);
    lens.sentence = sentence(lens, first);
}

fn result(lens: &Lens, first: &Leg) -> &'static str {
    if lens.state == "live" {
        return "running";
    }
    let cause = first.cause.as_deref().unwrap_or_default();
    match (first.answered, first.disposition.as_deref()) {
        (Some(_), _) if BROKEN.contains(&cause) => "failed",
        (Some(_), _) | (None, Some("recv_cancel")) => "completed",
        (None, Some("send_refuse" | "recv_refuse")) if !BROKEN.contains(&cause) => "refused",
        (None, _) => "failed",
    }
}

fn sentence(lens: &Lens, first: &Leg) -> String {
    let mut said = Vec::new();
    let other = |leg: &&Leg| leg.direction == "outbound" && leg.answered.is_some();
    let reached = lens.legs.iter().skip(1).find(other);
    if let Some(t) = first.answered {
        let mut words = format!("Answered after {}", seconds(t));
        if let Some(leg) = reached {
            let name = lens.parties.iter().find(|party| party.id == leg.party);
            let name = name.map_or(leg.to.as_str(), |party| &party.name);
            words.push_str(&format!(
                ", connected to {name} at {}",
                seconds(leg.answered.unwrap_or_default())
            ));
        }
        if let Some(end) = first.ended {
            let by = who(first.disposition.as_deref().unwrap_or_default());
            words.push_str(&format!(", ended {by} after {}", seconds(end)));
        }
        said.push(words);
    } else if let Some(end) = first.ended {
        let status = first.status.unwrap_or_default();
        said.push(match first.disposition.as_deref() {
            Some("recv_cancel") => {
                format!(
                    "The caller hung up after {}, before an answer",
                    seconds(end)
                )
            }
            Some("recv_refuse") => format!(
                "Refused by the other side with {status} after {}",
                seconds(end)
            ),
            _ => format!("Refused with {status} after {}", seconds(end)),
        });
    } else {
        said.push("Not answered yet".to_owned());
    }
    if lens.state == "live"
        && let Some(node) = lens.lanes.flow.iter().rfind(|span| span.to.is_none())
    {
        said.push(format!(
            "Now at {}",
            node.module.as_deref().unwrap_or(&node.label)
        ));
    }
    let hosts = lens.parties.iter().filter(|party| party.kind == "web");
    let hosts: Vec<&str> = hosts.map(|party| party.detail.as_str()).collect();
    let exchanges = lens.lanes.hooks.len();
    match (exchanges, hosts.as_slice()) {
        (0, _) => {}
        (1, [host, ..]) => said.push(format!("One exchange with {host}")),
        (n, [host]) => said.push(format!("{n} exchanges with {host}")),
        (n, _) => said.push(format!("{n} exchanges with web servers")),
    }
    if let Some(mos) = first.mos.filter(|mos| *mos > 0.0) {
        said.push(format!("MOS {mos:.1}"));
    }
    format!("{}.", said.join(". "))
}

fn who(disposition: &str) -> &'static str {
    match disposition {
        "recv_bye" | "recv_cancel" => "by the caller",
        "send_bye" | "send_cancel" => "by swivel",
        _ => "",
    }
}

fn seconds(t: f64) -> String {
    if t < 1.0 {
        format!("{:.0} ms", t * 1000.0)
    } else {
        format!("{t:.1} s")
    }
}

/// `84 ms`, `3.2 s`.
pub(super) fn took(ms: f64) -> String {
    if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.2} s", ms / 1000.0)
    }
}

/// `262 bytes`, `12 kB`.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 10_000 {
        format!("{bytes} bytes")
    } else {
        format!("{} kB", bytes / 1000)
    }
}

/// What an exchange is for.
pub(super) fn purpose(purpose: &str) -> &'static str {
    match purpose {
        "pivot" => "what to do next",
        "callback" => "status callback",
        "cdr" => "end of the call (cdr_url)",
        "webhook" => "webhook",
        "upload" => "recording",
        "media" => "sound to play",
        "tts" => "text to speech",
        _ => "",
    }
}

/// `JSON`, `TwiML`, `HTML` …, by content type.
pub(super) fn kind_of(content_type: &str) -> &'static str {
    let kind = content_type.to_ascii_lowercase();
    if kind.contains("json") {
        "JSON"
    } else if kind.contains("xml") {
        "XML"
    } else if kind.contains("html") {
        "HTML"
    } else if kind.starts_with("text/") {
        "text"
    } else {
        ""
    }
}

/// What a node was given, in one line.
pub(super) fn data(data: &Value) -> String {
    let Some(fields) = data.as_object() else {
        return String::new();
    };
    for key in [
        "text",
        "name",
        "voice_url",
        "url",
        "id",
        "number",
        "collection_name",
    ] {
        if let Some(value) = fields.get(key).and_then(Value::as_str)
            && !value.is_empty()
        {
            return value.to_owned();
        }
    }
    let simple = fields
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Object(_) | Value::Array(_) | Value::Null));
    let said: Vec<String> = simple
        .take(3)
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key} {text}"),
            other => format!("{key} {other}"),
        })
        .collect();
    said.join(", ")
}

/// How a leg ended.
pub(super) fn ended(cause: &str, disposition: &str) -> String {
    let how = match disposition {
        "recv_bye" => "hung up",
        "send_bye" => "swivel hung up",
        "recv_cancel" => "gave up before an answer",
        "send_cancel" => "swivel stopped ringing",
        "send_refuse" => "swivel refused",
        "recv_refuse" => "refused",
        _ => "",
    };
    format!("{how} ({cause})").trim().to_owned()
}

/// Title, detail and severity of facts that are milestones and no more.
pub(super) fn remark(
    fact: &str,
    line: &Value,
) -> Option<(&'static str, String, Option<&'static str>)> {
    let said = |key: &str| text(line, key).to_owned();
    let count = |key: &str| line.get(key).and_then(Value::as_u64).unwrap_or_default();
    Some(match fact {
        "refused" => (
            "refused",
            format!("with {}: {}", count("status"), said("why")),
            Some("err"),
        ),
        "trouble" => ("problem", said("code"), Some("err")),
        "collected" => (
            "keys collected",
            match count("count") {
                1 => format!("1 key, {}", said("why")),
                several => format!("{several} keys, {}", said("why")),
            },
            None,
        ),
        "conference" => (
            "conference",
            format!(
                "{} {}, {} members",
                said("name"),
                said("what"),
                count("members")
            ),
            None,
        ),
        "queue" => (
            "queue",
            format!(
                "{} {}, {} waiting",
                said("name"),
                said("what"),
                count("size")
            ),
            None,
        ),
        "registration" => (
            "registration",
            format!("{} {}", said("aor"), said("what")),
            None,
        ),
        "trunk_registration" => (
            "trunk",
            format!("{} {}", said("server"), said("what")),
            (said("what") == "failed").then_some("err"),
        ),
        _ => return None,
    })
}
