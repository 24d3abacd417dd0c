//! A call record: one leg from its creation to its end, and its KAZOO document.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::base::time::UnixMicros;

/// One leg of a call. Times are absolute; durations follow from them. Empty texts are left out of the document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cdr {
    /// Account id.
    pub account: String,
    /// SIP Call-ID of the leg.
    pub call_id: String,
    /// Shared by all legs of a conversation: `<Gregorian seconds>-<8 hex>`; made from the creation time when empty.
    pub interaction_id: String,
    /// `inbound` (toward the switch) or `outbound`.
    pub direction: String,
    /// When the leg came to be.
    pub created: UnixMicros,
    /// When ringing (180 or 183) began.
    pub ringing: Option<UnixMicros>,
    /// When it was answered.
    pub answered: Option<UnixMicros>,
    /// When it ended. `None` while it is up.
    pub ended: Option<UnixMicros>,
    /// KAZOO's cause name.
    pub hangup_cause: String,
    /// Final SIP status; shown as `sip:NNN`.
    pub hangup_code: u16,
    /// Who ended it: `send_bye`, `recv_bye`, `send_cancel`, `recv_cancel`, `send_refuse`, `recv_refuse`.
    pub disposition: String,
    /// Caller's name as presented.
    pub caller_id_name: String,
    /// Caller's number as presented.
    pub caller_id_number: String,
    /// Called party's name.
    pub callee_id_name: String,
    /// Called party's number.
    pub callee_id_number: String,
    /// `user@realm` of From.
    pub from: String,
    /// `user@realm` of To.
    pub to: String,
    /// `user@realm` of the Request-URI.
    pub request: String,
    /// From URI as sent.
    pub from_uri: String,
    /// To URI as sent.
    pub to_uri: String,
    /// From tag.
    pub from_tag: String,
    /// To tag.
    pub to_tag: String,
    /// User-Agent of the peer.
    pub user_agent: String,
    /// Presence id.
    pub presence_id: String,
    /// The other leg's Call-ID.
    pub other_leg_call_id: String,
    /// The other leg's direction.
    pub other_leg_direction: String,
    /// The other leg's caller name.
    pub other_leg_caller_id_name: String,
    /// The other leg's caller number.
    pub other_leg_caller_id_number: String,
    /// What the other leg dialled.
    pub other_leg_destination_number: String,
    /// User owning the device.
    pub owner_id: String,
    /// Device, resource or click-to-call id the leg was allowed by.
    pub authorizing_id: String,
    /// `device`, `user`, `resource`, `clicktocall` …
    pub authorizing_type: String,
    /// Callflow that ran.
    pub callflow_id: String,
    /// Recording ids.
    pub media_recordings: Vec<String>,
    /// Further channel variables in KAZOO's snake-case names (`account_name`, `fetch_id`, `inception` …).
    pub custom_channel_vars: Map<String, Value>,
    /// The call's application variables.
    pub custom_application_vars: Map<String, Value>,
    /// `X-` headers of the INVITE, snake case.
    pub custom_sip_headers: Map<String, Value>,
    /// SDP we sent last.
    pub local_sdp: String,
    /// SDP the peer sent last.
    pub remote_sdp: String,
    /// Host the media ran on.
    pub media_server: String,
    /// Server name.
    pub node: String,
    /// Quality figures of the media (packets, loss, jitter, MOS); shown as `media_stats`.
    pub media_stats: Map<String, Value>,
}

impl Cdr {
    /// `YYYYMM-<call id>` by the month the leg was created in.
    pub fn id(&self) -> String {
        format!("{}-{}", self.created.month(), self.call_id)
    }

    /// Creation to end, whole seconds, rounded as KAZOO shows them (down). Zero while the leg is up.
    pub fn duration_seconds(&self) -> u64 {
        self.ended
            .map_or(0, |end| end.since(self.created).as_secs())
    }

    /// Answer to end, whole seconds. Zero when it was never answered.
    pub fn billing_seconds(&self) -> u64 {
        match (self.answered, self.ended) {
            (Some(answered), Some(ended)) => ended.since(answered).as_secs(),
            _ => 0,
        }
    }

    /// The interaction id, made from creation time and Call-ID where none was given.
    pub fn interaction(&self) -> String {
        if !self.interaction_id.is_empty() {
            return self.interaction_id.clone();
        }
        let hash = self.call_id.bytes().fold(0x811c_9dc5_u32, |h, b| {
            (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
        });
        format!("{}-{hash:08x}", self.created.gregorian())
    }

    /// The full document of `api.md` §3.8: what `GET …/cdrs/{id}` shows. `timestamp` is the end, Gregorian.
    pub fn to_doc(&self) -> Value {
        let mut doc = Map::new();
        doc.insert("id".into(), json!(self.id()));
        let texts = [
            ("call_id", &self.call_id),
            ("call_direction", &self.direction),
            ("caller_id_name", &self.caller_id_name),
            ("caller_id_number", &self.caller_id_number),
            ("callee_id_name", &self.callee_id_name),
            ("callee_id_number", &self.callee_id_number),
            ("from", &self.from),
            ("from_uri", &self.from_uri),
            ("from_tag", &self.from_tag),
            ("to", &self.to),
            ("to_uri", &self.to_uri),
            ("to_tag", &self.to_tag),
            ("request", &self.request),
            ("hangup_cause", &self.hangup_cause),
            ("disposition", &self.disposition),
            ("user_agent", &self.user_agent),
            ("presence_id", &self.presence_id),
            ("other_leg_call_id", &self.other_leg_call_id),
            ("other_leg_direction", &self.other_leg_direction),
            ("other_leg_caller_id_name", &self.other_leg_caller_id_name),
            (
                "other_leg_caller_id_number",
                &self.other_leg_caller_id_number,
            ),
            (
                "other_leg_destination_number",
                &self.other_leg_destination_number,
            ),
            ("local_sdp", &self.local_sdp),
            ("remote_sdp", &self.remote_sdp),
            ("media_server", &self.media_server),
            ("node", &self.node),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                doc.insert(key.into(), json!(text));
            }
        }
        if self.hangup_code != 0 {
            doc.insert(
                "hangup_code".into(),
                json!(format!("sip:{}", self.hangup_code)),
            );
        }
        doc.insert("interaction_id".into(), json!(self.interaction()));
        doc.insert("channel_created_time".into(), json!(self.created.0));
        doc.insert("duration_seconds".into(), json!(self.duration_seconds()));
        doc.insert("billing_seconds".into(), json!(self.billing_seconds()));
        doc.insert("ringing_seconds".into(), json!(self.ringing_seconds()));
        doc.insert(
            "timestamp".into(),
            json!(self.ended.unwrap_or(self.created).gregorian()),
        );
        if !self.media_recordings.is_empty() {
            doc.insert("media_recordings".into(), json!(self.media_recordings));
        }
        if !self.media_stats.is_empty() {
            doc.insert(
                "media_stats".into(),
                Value::Object(self.media_stats.clone()),
            );
        }
        doc.insert(
            "custom_channel_vars".into(),
            Value::Object(self.channel_vars()),
        );
        if !self.custom_application_vars.is_empty() {
            doc.insert(
                "custom_application_vars".into(),
                Value::Object(self.custom_application_vars.clone()),
            );
        }
        if !self.custom_sip_headers.is_empty() {
            doc.insert(
                "custom_sip_headers".into(),
                Value::Object(self.custom_sip_headers.clone()),
            );
        }
        Value::Object(doc)
    }

    /// The leg's end as KAZOO tells a `cdr_url` (`pivot.md` §5): names of its channel event, nested ones in brackets.
    pub fn to_event(&self) -> Vec<(String, String)> {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let mut all = vec![("Account-ID".to_owned(), self.account.clone())];
        let Value::Object(doc) = self.to_doc() else {
            return all;
        };
        for (key, value) in doc {
            let name = match key.as_str() {
                "id" | "custom_channel_vars" | "media_stats" => continue,
                "node" => "Switch-Nodename".to_owned(),
                "custom_sip_headers" => "Custom-SIP-Headers".to_owned(),
                key => event_name(key),
            };
            match value {
                Value::Object(inner) => all.extend(
                    inner
                        .into_iter()
                        .map(|(key, value)| (format!("{name}[{key}]"), text(value))),
                ),
                Value::Array(items) => {
                    let items = items.into_iter();
                    all.extend(items.map(|item| (format!("{name}[]"), text(item))));
                }
                other => all.push((name, text(other))),
            }
        }
        all
    }

    fn ringing_seconds(&self) -> u64 {
        let Some(rang) = self.ringing else { return 0 };
        self.answered
            .or(self.ended)
            .map_or(0, |end| end.since(rang).as_secs())
    }

    fn channel_vars(&self) -> Map<String, Value> {
        let mut vars = self.custom_channel_vars.clone();
        let known = [
            ("account_id", &self.account),
            ("owner_id", &self.owner_id),
            ("authorizing_id", &self.authorizing_id),
            ("authorizing_type", &self.authorizing_type),
            ("callflow_id", &self.callflow_id),
        ];
        for (key, text) in known {
            if !text.is_empty() {
                vars.insert(key.into(), json!(text));
            }
        }
        vars
    }
}

/// What is known of a call while it is up, enough to write its record should the process die. `ended` is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpenCall(pub Cdr);

/// `Call-ID` for `call_id`.
fn event_name(key: &str) -> String {
    let parts = key.split('_').map(|part| match part {
        "id" | "sdp" => part.to_uppercase(),
        part => {
            let mut letters = part.chars();
            let first = letters.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
    });
    parts.collect::<Vec<_>>().join("-")
}
