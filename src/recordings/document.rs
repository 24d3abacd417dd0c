//! One recording: whose, of which call, how long, and what becomes of its sound. Its KAZOO document (`api.md` §3.15).

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::notice::Notice;
use super::transcript::Transcribing;
use crate::base::time::UnixMicros;
use crate::journal::Cdr;

/// One recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recording {
    /// `YYYYMM-` and 32 hexadecimal digits, or what the callflow asked for.
    pub id: String,
    /// Account id.
    pub account: String,
    /// SIP Call-ID of the leg that is recorded.
    pub call_id: String,
    /// Id of that leg's call record.
    pub cdr_id: String,
    /// The conversation all its legs share.
    pub interaction_id: String,
    /// `inbound` (toward the switch) or `outbound`.
    pub direction: String,
    /// Caller's name.
    pub caller_id_name: String,
    /// Caller's number.
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
    /// User the leg belongs to.
    pub owner_id: String,
    /// Channel variables of the leg, snake case.
    pub custom_channel_vars: Map<String, Value>,
    /// Name of the file.
    pub name: String,
    /// How it was started.
    pub origin: String,
    /// What started it.
    pub source_type: String,
    /// When it began.
    pub start: UnixMicros,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
    /// Channels of the file.
    pub channels: u16,
    /// A shorter one is not kept, in milliseconds.
    pub shortest_ms: u64,
    /// Where the sound is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
    /// Who is told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
    /// How it is made a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Transcribing>,
}

/// Where the sound is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The whole URL, the file's name included.
    pub url: String,
    /// How.
    pub method: Method,
    /// How far that has come.
    pub state: UploadState,
}

/// HTTP method of an upload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// `PUT`.
    #[default]
    Put,
    /// `POST`.
    Post,
}

/// How far an upload has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// It waits, or is being tried.
    Pending,
    /// The server has taken it; the sound is no longer here.
    Done,
    /// It was given up; the sound is still here.
    Failed(String),
}

impl Upload {
    /// An upload to `base`: the file's name is added to its path, whatever query it has stays.
    pub fn new(base: &str, method: Method, name: &str) -> Self {
        let url = match Url::parse(base) {
            Ok(mut url) => {
                if let Ok(mut path) = url.path_segments_mut() {
                    path.pop_if_empty().push(name);
                }
                url.into()
            }
            Err(_) => base.to_owned(),
        };
        Self {
            url,
            method,
            state: UploadState::Pending,
        }
    }

    /// The URL without user information: what others are told.
    pub fn shown(&self) -> String {
        let Ok(mut shown) = Url::parse(&self.url) else {
            return self.url.clone();
        };
        match shown.set_username("").and(shown.set_password(None)) {
            Ok(()) => shown.into(),
            Err(()) => self.url.clone(),
        }
    }
}

impl Recording {
    /// A recording of the leg with this record.
    pub fn of(leg: &Cdr) -> Self {
        Self {
            account: leg.account.clone(),
            call_id: leg.call_id.clone(),
            cdr_id: leg.id(),
            interaction_id: leg.interaction(),
            direction: leg.direction.clone(),
            caller_id_name: leg.caller_id_name.clone(),
            caller_id_number: leg.caller_id_number.clone(),
            callee_id_name: leg.callee_id_name.clone(),
            callee_id_number: leg.callee_id_number.clone(),
            from: leg.from.clone(),
            to: leg.to.clone(),
            request: leg.request.clone(),
            owner_id: leg.owner_id.clone(),
            custom_channel_vars: leg.custom_channel_vars.clone(),
            channels: 1,
            ..Self::default()
        }
    }

    /// Its file, relative to the recordings directory.
    pub fn path(&self) -> PathBuf {
        let month = self.id.split('-').next().unwrap_or_default();
        [&self.account, month, &format!("{}.wav", self.id)]
            .iter()
            .collect()
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }

    /// Whether its sound is here.
    pub fn is_here(&self) -> bool {
        let state = self.upload.as_ref().map(|upload| &upload.state);
        state != Some(&UploadState::Done)
    }

    /// The document as the API shows it.
    pub fn to_doc(&self) -> Value {
        let mut doc = Map::new();
        doc.insert("id".into(), json!(self.id));
        let url = self.upload.as_ref().map(Upload::shown);
        let texts = [
            ("call_id", self.call_id.as_str()),
            ("cdr_id", &self.cdr_id),
            ("interaction_id", &self.interaction_id),
            ("direction", &self.direction),
            ("caller_id_name", &self.caller_id_name),
            ("caller_id_number", &self.caller_id_number),
            ("callee_id_name", &self.callee_id_name),
            ("callee_id_number", &self.callee_id_number),
            ("from", &self.from),
            ("to", &self.to),
            ("request", &self.request),
            ("owner_id", &self.owner_id),
            ("name", &self.name),
            ("description", &format!("recording {}", self.name)),
            ("origin", &self.origin),
            ("source_type", &self.source_type),
            ("content_type", CONTENT_TYPE),
            ("media_type", "wav"),
            ("media_source", "recorded"),
            ("url", url.as_deref().unwrap_or_default()),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                doc.insert(key.into(), json!(text));
            }
        }
        doc.insert("start".into(), json!(self.start.gregorian()));
        doc.insert("duration".into(), json!(self.duration_ms / 1000));
        doc.insert("duration_ms".into(), json!(self.duration_ms));
        if !self.custom_channel_vars.is_empty() {
            let vars = self.custom_channel_vars.clone();
            doc.insert("custom_channel_vars".into(), Value::Object(vars));
        }
        let types: &[&str] = if self.is_here() { &[CONTENT_TYPE] } else { &[] };
        let mut read_only = json!({"content_types": types, "channels": self.channels});
        if let (Some(upload), Some(read_only)) = (&self.upload, read_only.as_object_mut()) {
            let (state, why) = match &upload.state {
                UploadState::Pending => ("pending", None),
                UploadState::Done => ("done", None),
                UploadState::Failed(why) => ("failed", Some(why)),
            };
            read_only.insert("upload".into(), json!(state));
            if let Some(why) = why {
                read_only.insert("upload_error".into(), json!(why));
            }
        }
        doc.insert("_read_only".into(), read_only);
        Value::Object(doc)
    }
}

/// The name of a file: as asked for (`.wav` in place of another extension), else KAZOO's `call_recording_<Call-ID>`.
/// `turn`: how many recordings the call has had before, so that no two of them share a name.
pub fn file_name(asked: Option<&str>, call_id: &str, turn: usize) -> String {
    let asked = asked.map(str::trim).filter(|name| !name.is_empty());
    let stem = match asked {
        Some(name) => ["wav", "mp3"]
            .iter()
            .find_map(|extension| name.strip_suffix(extension)?.strip_suffix('.'))
            .unwrap_or(name)
            .to_owned(),
        None if turn == 0 => format!("call_recording_{call_id}"),
        None => format!("call_recording_{call_id}_{}", turn + 1),
    };
    let safe = stem.chars().map(|c| match c {
        '/' | '\\' => '_',
        c if c.is_control() => '_',
        c => c,
    });
    let mut name: String = safe.take(LONGEST_NAME).collect();
    name.push_str(".wav");
    name
}

/// What a file of sound is.
pub(super) const CONTENT_TYPE: &str = "audio/x-wav";
/// Characters of a file's name.
const LONGEST_NAME: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_always_that_of_a_wav_file_and_leads_nowhere() {
        assert_eq!(file_name(None, "a@b", 0), "call_recording_a@b.wav");
        assert_eq!(file_name(None, "a@b", 1), "call_recording_a@b_2.wav");
        assert_eq!(file_name(Some("mine.mp3"), "a", 0), "mine.wav");
        assert_eq!(file_name(Some("mine.wav"), "a", 3), "mine.wav");
        assert_eq!(file_name(Some("../../x\n"), "a", 0), ".._.._x.wav");
        assert_eq!(file_name(Some("v1.2"), "a", 0), "v1.2.wav");
        assert_eq!(file_name(Some(" "), "a/b", 0), "call_recording_a_b.wav");
    }

    #[test]
    fn the_name_is_added_to_the_path_of_the_url() {
        let url = |base: &str| Upload::new(base, Method::Put, "a b@c.wav").url;
        assert_eq!(url("http://h/up"), "http://h/up/a%20b@c.wav");
        assert_eq!(url("http://h/up/"), "http://h/up/a%20b@c.wav");
        assert_eq!(url("http://h"), "http://h/a%20b@c.wav");
        assert_eq!(url("https://h/up?sig=1"), "https://h/up/a%20b@c.wav?sig=1");
    }

    #[test]
    fn the_document_shows_no_password_and_says_where_the_sound_is() {
        let mut recording = Recording {
            id: "202403-ab".into(),
            account: "acc".into(),
            name: "x.wav".into(),
            start: UnixMicros::from_secs(1_710_278_674),
            duration_ms: 2500,
            upload: Some(Upload::new("http://me:secret@h/up", Method::Put, "x.wav")),
            ..Recording::default()
        };
        let doc = recording.to_doc();
        assert_eq!(doc["url"], "http://h/up/x.wav");
        assert_eq!(doc["duration"], 2);
        assert_eq!(doc["start"], 63_877_497_874_u64);
        assert_eq!(doc["_read_only"]["content_types"], json!(["audio/x-wav"]));
        assert_eq!(doc["_read_only"]["upload"], "pending");
        assert_eq!(recording.path(), PathBuf::from("acc/202403/202403-ab.wav"));
        recording.upload.as_mut().unwrap().state = UploadState::Done;
        assert_eq!(recording.to_doc()["_read_only"]["content_types"], json!([]));
    }
}
