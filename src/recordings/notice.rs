//! What a status callback says of a recording (TwiML's `recordingStatusCallback`, `pivot.md` §8).

use serde::{Deserialize, Serialize};

use super::document::Recording;
use crate::jobs::HttpJob;

/// Who is told of a recording, and of which of its states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notice {
    /// Where to.
    pub url: String,
    /// `GET` or `POST`.
    pub method: String,
    /// `in-progress`, `completed`, `absent`, `failed`: those that are told.
    pub events: Vec<String>,
    /// Fields of the caller's own; they win over those made here.
    pub fields: Vec<(String, String)>,
    /// `RecordingSource`: `RecordVerb`, `DialVerb`, `StartCallRecordingAPI` …
    pub source: String,
    /// `RecordingTrack`: `inbound`, `outbound`, `both`.
    pub track: String,
}

impl Notice {
    /// The request that tells of `recording` in the state `status`; `None`: nobody asked for that. `url`: where the
    /// sound is.
    pub(super) fn request(
        &self,
        recording: &Recording,
        status: &str,
        url: &str,
    ) -> Option<HttpJob> {
        if self.url.is_empty() || !self.events.iter().any(|event| event == status) {
            return None;
        }
        let started = recording
            .start
            .timestamp()
            .strftime("%a, %d %b %Y %H:%M:%S +0000")
            .to_string();
        let length = (recording.duration_ms + 500) / 1000;
        let own = [
            ("AccountSid", recording.account.clone()),
            ("CallSid", recording.call_id.clone()),
            ("RecordingSid", recording.id.clone()),
            ("RecordingUrl", url.to_owned()),
            ("RecordingStatus", status.to_owned()),
            ("RecordingDuration", length.to_string()),
            ("RecordingChannels", recording.channels.to_string()),
            ("RecordingStartTime", started),
            ("RecordingSource", self.source.clone()),
            ("RecordingTrack", self.track.clone()),
        ];
        let is_given = |name: &str| self.fields.iter().any(|(given, _)| given == name);
        let fields: Vec<(String, String)> = own
            .into_iter()
            .filter(|(name, value)| !value.is_empty() && !is_given(name))
            .map(|(name, value)| (name.to_owned(), value))
            .chain(self.fields.iter().cloned())
            .collect();
        let job = HttpJob::form(&self.method, &self.url, &fields);
        Some(job.of_call(&recording.call_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::UnixMicros;

    #[test]
    fn a_notice_is_told_of_the_states_it_asked_for_only() {
        let notice = Notice {
            url: "http://h/cb".into(),
            method: "POST".into(),
            events: vec!["completed".into()],
            fields: vec![("CallSid".into(), "CA1".into())],
            source: "RecordVerb".into(),
            ..Notice::default()
        };
        let recording = Recording {
            id: "202403-ab".into(),
            account: "acc".into(),
            call_id: "x@y".into(),
            start: UnixMicros::from_secs(1_710_278_674),
            duration_ms: 2500,
            channels: 2,
            ..Recording::default()
        };
        assert_eq!(notice.request(&recording, "in-progress", ""), None);
        let body = notice
            .request(&recording, "completed", "http://h/r")
            .unwrap()
            .body;
        assert_eq!(
            body,
            "AccountSid=acc&RecordingSid=202403-ab&RecordingUrl=http%3A%2F%2Fh%2Fr&RecordingStatus=completed\
             &RecordingDuration=3&RecordingChannels=2&RecordingStartTime=Tue%2C+12+Mar+2024+21%3A24%3A34+%2B0000\
             &RecordingSource=RecordVerb&CallSid=CA1"
        );
    }
}
