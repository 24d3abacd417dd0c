//! `record_call`: starts or stops a recording of the call, both sides, in the background; then takes the default child.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `action` | `start`, or `stop` (the recording that was started last) | required |
//! | `url`, `method` | where the file is sent, and by `put` or `post`; its name is added to the URL | kept here |
//! | `media_name` | the file's name | `call_recording_<Call-ID>.wav` |
//! | `media_id` | the recording's id, after its month | a fresh one |
//! | `label` | part of the recording's `origin` | the callflow's name |
//! | `origin` | the whole of it | `callflow : <label>` |
//! | `time_limit` | longest recording, seconds | 3600 |
//! | `record_min_sec` | a shorter one is thrown away, seconds | 0 |
//! | `record_on_answer` | begin when the call is answered, not with early media | false |
//! | `record_on_bridge` | begin when the caller talks with somebody | false |
//! | `should_follow_transfer` | go on after a transfer | true |
//! | `channels` | 2: the caller on one channel, whom he hears on the other; swivel's own | 1 |
//! | `record_sample_rate` | 16000 and more: 16 kHz, for wideband calls | 8 kHz |
//! | `format` | accepted; files are WAV whatever is asked for | |

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Module;
use crate::call::{Begin, NewRecording};
use crate::callflow::ctx::FlowCtx;
use crate::callflow::cursor::Next;
use crate::callflow::data::Whole;
use crate::callflow::error::FlowError;
use crate::media::Sides;
use crate::recordings;

/// Records the call
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["action"]))]
pub(super) struct RecordCall {
    /// What to do
    action: Action,
    /// Channels of the file: 2 is one a party
    #[schemars(range(min = 1, max = 2))]
    channels: Option<Whole>,
    /// How and where
    #[serde(flatten)]
    how: How,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Start,
    Stop,
}

/// What the modules that record have in common.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct How {
    /// Format of the file
    format: Option<Format>,
    /// Part of the origin
    label: Option<String>,
    /// Id of the recording
    media_id: Option<String>,
    /// Name of the file
    media_name: Option<String>,
    /// How the file is sent
    method: Method,
    /// How the recording was started
    origin: Option<String>,
    /// Shorter recordings are thrown away, in seconds
    record_min_sec: Option<Whole>,
    /// Begin at the answer
    record_on_answer: bool,
    /// Begin when the parties are connected
    record_on_bridge: bool,
    /// Samples a second
    record_sample_rate: Option<Whole>,
    /// Go on after a transfer
    should_follow_transfer: bool,
    /// Longest recording, in seconds
    #[schemars(range(min = 5, max = 10_800))]
    time_limit: Whole,
    /// Where the file is sent
    #[schemars(length(min = 5), extend("format" = "uri"))]
    url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Mp3,
    Wav,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Method {
    #[default]
    Put,
    Post,
}

impl Default for How {
    fn default() -> Self {
        Self {
            format: None,
            label: None,
            media_id: None,
            media_name: None,
            method: Method::default(),
            origin: None,
            record_min_sec: None,
            record_on_answer: false,
            record_on_bridge: false,
            record_sample_rate: None,
            should_follow_transfer: true,
            time_limit: Whole(3600),
            url: None,
        }
    }
}

impl How {
    /// The recording these settings ask for.
    pub(super) fn recording(self, ctx: &FlowCtx, source: &'static str) -> NewRecording {
        if self.format == Some(Format::Mp3) {
            ctx.note(format!("{source}: the file will be WAV, not MP3"));
        }
        let method = match self.method {
            Method::Put => recordings::Method::Put,
            Method::Post => recordings::Method::Post,
        };
        let (web, other): (Option<String>, Option<String>) = match self.url {
            Some(url) if is_web(&url) => (Some(url), None),
            url => (None, url),
        };
        if let Some(url) = other.filter(|url| !url.is_empty()) {
            ctx.note(format!(
                "{source}: {url} cannot be sent to, the file stays here"
            ));
        }
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let label = given(self.label).or_else(|| flow_name(ctx));
        let origin = given(self.origin).unwrap_or_else(|| match label {
            Some(label) => format!("callflow : {label}"),
            None => "callflow".to_owned(),
        });
        let seconds = |value: Whole, low, high| Duration::from_secs(value.count(low, high).into());
        NewRecording {
            id: self.media_id,
            name: self.media_name,
            origin,
            source,
            max: seconds(self.time_limit, 5, 10_800),
            min: self
                .record_min_sec
                .map_or(Duration::ZERO, |least| seconds(least, 0, 10_800)),
            begin: match (self.record_on_bridge, self.record_on_answer) {
                (true, _) => Begin::Bridge,
                (false, true) => Begin::Answer,
                (false, false) => Begin::Now,
            },
            rate_hz: self
                .record_sample_rate
                .map_or(8000, |rate| rate.count(0, u32::MAX)),
            follow: self.should_follow_transfer,
            upload: web.map(|url| (url, method)),
            ..NewRecording::default()
        }
    }
}

fn is_web(url: &str) -> bool {
    let scheme = url.split("://").next().unwrap_or_default();
    ["http", "https"]
        .iter()
        .any(|web| web.eq_ignore_ascii_case(scheme))
}

fn flow_name(ctx: &FlowCtx) -> Option<String> {
    let flow = ctx.call.vars().flow.clone()?;
    let name = flow.get("name")?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

impl Module for RecordCall {
    const NAME: &'static str = "record_call";

    async fn run(self, ctx: &mut FlowCtx) -> Result<Next, FlowError> {
        match self.action {
            Action::Start => {
                let new = NewRecording {
                    sides: match self.channels {
                        Some(Whole(2)) => Sides::Apart,
                        Some(_) | None => Sides::Mixed,
                    },
                    ..self.how.recording(ctx, Self::NAME)
                };
                ctx.call.start_recording(new)?;
            }
            Action::Stop => {
                if ctx.call.stop_recording(None).is_none() {
                    ctx.note("record_call: there is nothing to stop");
                }
            }
        }
        Ok(Next::Default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_servers_are_sent_to() {
        assert!(is_web("http://h/") && is_web("HTTPS://h/"));
        assert!(!is_web("ftp://h/") && !is_web("httpx://h/") && !is_web("/tmp/x"));
    }
}
