//! The messages of Media Streams (`pivot.md` §8.5): what we send, counted, and what a server sends.
//!
//! All numbers are JSON strings except `sampleRate` and `channels`. Servers written for KAZOO 5 send whole audio files
//! (`media.format.encoding`), which are played at the next mark; servers written for Twilio send bare µ-law.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Whose voice a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// What the caller says.
    Inbound,
    /// What the caller hears.
    Outbound,
}

impl Track {
    fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Which voices a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tracks {
    /// What the caller says.
    #[default]
    Inbound,
    /// What the caller hears.
    Outbound,
    /// Both, in messages of their own.
    Both,
}

impl Tracks {
    /// The value of a `track` attribute.
    pub fn named(text: &str) -> Option<Self> {
        Some(match text {
            "inbound_track" => Self::Inbound,
            "outbound_track" => Self::Outbound,
            "both_tracks" => Self::Both,
            _ => return None,
        })
    }

    /// Each voice.
    pub fn list(self) -> &'static [Track] {
        match self {
            Self::Inbound => &[Track::Inbound],
            Self::Outbound => &[Track::Outbound],
            Self::Both => &[Track::Inbound, Track::Outbound],
        }
    }
}

/// What `start` says of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// `MZ…`.
    pub stream_sid: String,
    /// `accountSid`.
    pub account_sid: String,
    /// `callSid`.
    pub call_sid: String,
    /// The stream's name, when it has one.
    pub name: Option<String>,
    /// Which voices.
    pub tracks: Tracks,
    /// `customParameters`, in order.
    pub parameters: Vec<(String, String)>,
}

/// Our side of the conversation: writes each message with its numbers.
#[derive(Debug)]
pub struct Talk {
    about: Description,
    sequence: u64,
    chunks: [u64; 2],
}

impl Talk {
    /// Nothing said yet.
    pub fn new(about: Description) -> Self {
        Self {
            about,
            sequence: 0,
            chunks: [0; 2],
        }
    }

    /// The first message.
    pub fn connected(&self) -> String {
        json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}).to_string()
    }

    /// The second message.
    pub fn start(&mut self) -> String {
        let tracks: Vec<_> = self.about.tracks.list().iter().map(|t| t.name()).collect();
        let parameters: Map<String, Value> = self
            .about
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let sequence = self.next();
        let about = &self.about;
        let mut start = json!({
            "accountSid": about.account_sid,
            "streamSid": about.stream_sid,
            "callSid": about.call_sid,
            "tracks": tracks,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": parameters,
        });
        if let (Some(name), Some(fields)) = (&about.name, start.as_object_mut()) {
            fields.insert("streamName".to_owned(), name.as_str().into());
        }
        json!({
            "event": "start", "sequenceNumber": sequence, "start": start, "streamSid": about.stream_sid,
        })
        .to_string()
    }

    /// Sound of a track; `at_ms` since the stream's start.
    pub fn media(&mut self, track: Track, at_ms: u64, mulaw: &[u8]) -> String {
        let chunk = match track {
            Track::Inbound => self.chunks.first_mut(),
            Track::Outbound => self.chunks.last_mut(),
        };
        let chunk = chunk.map_or(0, |count| {
            *count += 1;
            *count
        });
        let (sequence, sid) = (self.next(), &self.about.stream_sid);
        let (track, payload) = (track.name(), STANDARD.encode(mulaw));
        // Written by hand, fifty times a second: nothing in it needs escaping.
        format!(
            r#"{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"{track}","chunk":"{chunk}","timestamp":"{at_ms}","payload":"{payload}"}},"streamSid":"{sid}"}}"#
        )
    }

    /// The caller pressed a key.
    pub fn dtmf(&mut self, key: char) -> String {
        let sequence = self.next();
        json!({
            "event": "dtmf", "streamSid": self.about.stream_sid, "sequenceNumber": sequence,
            "dtmf": {"track": "inbound_track", "digit": key.to_string()},
        })
        .to_string()
    }

    /// What was sent before the mark has been played, or dropped.
    pub fn mark(&mut self, name: &str) -> String {
        let sequence = self.next();
        json!({
            "event": "mark", "sequenceNumber": sequence, "streamSid": self.about.stream_sid,
            "mark": {"name": name},
        })
        .to_string()
    }

    /// The last message.
    pub fn stop(&mut self) -> String {
        let sequence = self.next();
        json!({
            "event": "stop", "sequenceNumber": sequence,
            "stop": {"accountSid": self.about.account_sid, "callSid": self.about.call_sid},
            "streamSid": self.about.stream_sid,
        })
        .to_string()
    }

    /// What a message of the server asks for.
    ///
    /// # Errors
    /// When it is malformed or names another stream; it is to be ignored then.
    pub fn read(&self, text: &str) -> Result<Incoming, Mistake> {
        let frame: Frame = serde_json::from_str(text).map_err(|_| Mistake::Json)?;
        if frame
            .stream_sid
            .is_some_and(|sid| sid != self.about.stream_sid)
        {
            return Err(Mistake::OtherStream);
        }
        match frame.event.as_str() {
            "media" => {
                let media = frame.media.ok_or(Mistake::Missing("media"))?;
                let payload = media.payload.ok_or(Mistake::Missing("media.payload"))?;
                let bytes = LENIENT.decode(payload).map_err(|_| Mistake::Base64)?;
                // A file of KAZOO 5's, or frames of Twilio's (`pivot.md` §10, 7).
                let encoding = media.format.and_then(|format| format.encoding);
                Ok(match encoding.filter(|encoding| encoding != MULAW) {
                    Some(_) => Incoming::File(bytes),
                    None => Incoming::Media(bytes),
                })
            }
            "mark" => {
                let name = frame.mark.and_then(|mark| mark.name);
                if name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME) {
                    return Err(Mistake::LongName);
                }
                Ok(Incoming::Mark(name))
            }
            "clear" => Ok(Incoming::Clear),
            other => Err(Mistake::Event(other.chars().take(40).collect())),
        }
    }

    fn next(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }
}

/// What a server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Play this µ-law, behind what plays.
    Media(Vec<u8>),
    /// A part of an audio file, to be played at the next mark (KAZOO 5).
    File(Vec<u8>),
    /// Say when everything before this has been played.
    Mark(Option<String>),
    /// Drop what has not been played.
    Clear,
}

/// Why a message is ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It is no JSON object with `event`.
    #[error("the message is no JSON object with a text `event`")]
    Json,
    /// The event is none a server sends.
    #[error("event {0:?} is not media, mark or clear")]
    Event(String),
    /// A field is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The payload is no base64.
    #[error("media.payload is not base64")]
    Base64,
    /// `streamSid` is that of another stream.
    #[error("streamSid is not the one of this stream")]
    OtherStream,
    /// The name of a mark is too long.
    #[error("mark.name is longer than {LONGEST_NAME} bytes")]
    LongName,
}

#[derive(Deserialize)]
struct Frame {
    event: String,
    #[serde(rename = "streamSid")]
    stream_sid: Option<String>,
    media: Option<Media>,
    mark: Option<Mark>,
}

#[derive(Deserialize)]
struct Media {
    payload: Option<String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    encoding: Option<String>,
}

#[derive(Deserialize)]
struct Mark {
    name: Option<String>,
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// What Twilio's frames are, should a server say so.
const MULAW: &str = "audio/x-mulaw";
const LONGEST_NAME: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn talk() -> Talk {
        Talk::new(Description {
            stream_sid: "MZ1".into(),
            account_sid: "AC1".into(),
            call_sid: "CA1".into(),
            name: None,
            tracks: Tracks::Both,
            parameters: vec![("first".into(), "a \"b\"".into()), ("n".into(), "1".into())],
        })
    }

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_first_two_messages_are_those_of_the_documentation() {
        let mut talk = talk();
        assert_eq!(
            talk.connected(),
            r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#
        );
        assert_eq!(
            value(&talk.start()),
            json!({
                "event": "start", "sequenceNumber": "1", "streamSid": "MZ1",
                "start": {
                    "accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound", "outbound"],
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                    "customParameters": {"first": "a \"b\"", "n": "1"},
                },
            })
        );
    }

    #[test]
    fn numbers_are_strings_that_rise_by_one_and_chunks_count_for_each_track() {
        let mut talk = talk();
        talk.start();
        let media = value(&talk.media(Track::Inbound, 20, &[0xff, 0x7f]));
        assert_eq!(
            media,
            json!({
                "event": "media", "sequenceNumber": "2", "streamSid": "MZ1",
                "media": {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": "/38="},
            })
        );
        let other = value(&talk.media(Track::Outbound, 20, &[]));
        assert_eq!(
            (&other["sequenceNumber"], &other["media"]["chunk"]),
            (&json!("3"), &json!("1"))
        );
        let third = value(&talk.media(Track::Inbound, 40, &[]));
        assert_eq!(
            (&third["sequenceNumber"], &third["media"]["chunk"]),
            (&json!("4"), &json!("2"))
        );
        assert_eq!(
            value(&talk.dtmf('#')),
            json!({
                "event": "dtmf", "sequenceNumber": "5", "streamSid": "MZ1",
                "dtmf": {"track": "inbound_track", "digit": "#"},
            })
        );
        assert_eq!(
            value(&talk.mark("a \"b\"")),
            json!({"event": "mark", "sequenceNumber": "6", "streamSid": "MZ1", "mark": {"name": "a \"b\""}})
        );
        assert_eq!(
            value(&talk.stop()),
            json!({
                "event": "stop", "sequenceNumber": "7", "streamSid": "MZ1",
                "stop": {"accountSid": "AC1", "callSid": "CA1"},
            })
        );
    }

    #[test]
    fn messages_of_a_server_are_read() {
        let talk = talk();
        for (text, meant) in [
            (
                r#"{"event":"media","streamSid":"MZ1","media":{"payload":"/38="}}"#,
                Incoming::Media(vec![0xff, 0x7f]),
            ),
            (
                r#"{"event":"media","media":{"payload":"/38"}}"#,
                Incoming::Media(vec![0xff, 0x7f]),
            ),
            (
                r#"{"event":"media","streamSid":"MZ1","media":{"payload":"UklG","format":{"encoding":"audio/wav"}}}"#,
                Incoming::File(b"RIF".to_vec()),
            ),
            (
                r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"end"}}"#,
                Incoming::Mark(Some("end".into())),
            ),
            (
                r#"{"event":"mark","streamSid":"MZ1"}"#,
                Incoming::Mark(None),
            ),
            (r#"{"event":"clear","streamSid":"MZ1"}"#, Incoming::Clear),
        ] {
            assert_eq!(talk.read(text), Ok(meant), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_message_is_named() {
        let talk = talk();
        for (text, wrong) in [
            ("{", Mistake::Json),
            ("[]", Mistake::Json),
            (r#"{"event":1}"#, Mistake::Json),
            (
                r#"{"event":"clear","streamSid":"MZ2"}"#,
                Mistake::OtherStream,
            ),
            (r#"{"event":"hangup"}"#, Mistake::Event("hangup".into())),
            (r#"{"event":"media"}"#, Mistake::Missing("media")),
            (
                r#"{"event":"media","media":{}}"#,
                Mistake::Missing("media.payload"),
            ),
            (
                r#"{"event":"media","media":{"payload":"%"}}"#,
                Mistake::Base64,
            ),
        ] {
            assert_eq!(talk.read(text), Err(wrong), "{text}");
        }
        let long = json!({"event": "mark", "mark": {"name": "x".repeat(2000)}}).to_string();
        assert_eq!(talk.read(&long), Err(Mistake::LongName));
    }

    #[test]
    fn tracks_have_twilios_names() {
        assert_eq!(Tracks::named("both_tracks"), Some(Tracks::Both));
        assert_eq!(Tracks::named("inbound"), None);
    }
}
