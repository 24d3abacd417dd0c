//! The job of making a recording a text (TwiML's `transcribe`, `pivot.md` §8.6). What cannot be understood is told as
//! failed: a callback tells it, or nobody.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::document::Recording;
use super::notice::Notice;
use super::shelf::Shelf;
use super::upload::names;
use crate::host::clock;
use crate::host::http::HttpClient;
use crate::jobs::{HttpJob, Job, Outbox, Outcome, Runner};
use crate::speech::{Recogniser, SpeechError, Spoken, Transcript};
use crate::store::Batch;

/// How a recording is made a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Transcribing {
    /// A language tag in lower case.
    pub language: String,
    /// Who is told; its `fields` are those of the call, its `events` do not count.
    pub notice: Notice,
}

/// Makes recordings texts.
pub struct TranscriptRunner {
    /// The recordings.
    pub shelf: Shelf,
    /// Where who is told is told.
    pub outbox: Outbox,
    /// On whose runtime the recogniser is asked.
    pub client: HttpClient,
    /// Who understands speech.
    pub recogniser: Option<Arc<dyn Recogniser>>,
}

impl TranscriptRunner {
    /// The kind of such jobs.
    pub const KIND: &'static str = "recording_transcript";
}

impl Runner for TranscriptRunner {
    fn run(&self, job: &Job) -> BoxFuture<'static, Outcome> {
        let (shelf, outbox) = (self.shelf.clone(), self.outbox.clone());
        let (client, recogniser) = (self.client.clone(), self.recogniser.clone());
        let (sid, (account, id)) = (job.id.clone(), names(job));
        Box::pin(async move {
            let recording = match shelf.one(&account, &id).await {
                Ok(Some(recording)) => recording,
                // It was deleted meanwhile.
                Ok(None) => return Outcome::Done,
                Err(error) => return Outcome::Retry(error.to_string()),
            };
            let Some(how) = &recording.transcript else {
                return Outcome::Done;
            };
            let understood =
                match (recogniser, shelf.bytes(&recording).await) {
                    (None, _) => Err("no recogniser is configured".to_owned()),
                    (_, None) => Err("its file is not here".to_owned()),
                    (Some(recogniser), Some(wav)) => {
                        let spoken = Spoken {
                            wav,
                            language: how.language.clone(),
                            hints: String::new(),
                        };
                        let asked = client.spawn("transcribe", async move {
                            recogniser.transcribe(&spoken).await
                        });
                        let answer = asked.await.ok().flatten();
                        let answer = answer.unwrap_or(Err(SpeechError::Silent));
                        answer.map_err(|error| error.to_string())
                    }
                };
            if let Err(why) = &understood {
                tracing::warn!(recording = id, why, "a recording was not understood");
            }
            if let Some(request) = told(&recording, &shelf.url(&recording), &sid, &understood.ok())
            {
                let mut batch = Batch::new();
                let lane = format!("{} {}", recording.call_id, how.notice.url);
                outbox.post(&mut batch, &account, &lane, &request, clock::unix_now());
                outbox.submit(batch);
            }
            Outcome::Done
        })
    }
}

/// The request that tells of a text; `None`: nobody wants to know.
fn told(recording: &Recording, url: &str, sid: &str, text: &Option<Transcript>) -> Option<HttpJob> {
    let notice = &recording.transcript.as_ref()?.notice;
    if notice.url.is_empty() {
        return None;
    }
    let status = if text.is_some() {
        "completed"
    } else {
        "failed"
    };
    let own = [
        ("TranscriptionSid", format!("TR{sid}")),
        ("TranscriptionStatus", status.to_owned()),
        (
            "TranscriptionText",
            text.as_ref().map_or_else(String::new, |t| t.text.clone()),
        ),
        ("RecordingSid", recording.id.clone()),
        ("RecordingUrl", url.to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let fields: Vec<_> = notice.fields.iter().cloned().chain(own).collect();
    let job = HttpJob::form(&notice.method, &notice.url, &fields);
    Some(job.of_call(&recording.call_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_with_the_call_and_the_recording_and_a_failure_is_told_as_one() {
        let recording = Recording {
            id: "202403-ab".into(),
            call_id: "x@y".into(),
            transcript: Some(Transcribing {
                language: "en-us".into(),
                notice: Notice {
                    url: "http://h/cb".into(),
                    method: "POST".into(),
                    fields: vec![("CallSid".into(), "x@y".into())],
                    ..Notice::default()
                },
            }),
            ..Recording::default()
        };
        let text = Some(Transcript {
            text: "hello you".into(),
            confidence: None,
        });
        let body = told(&recording, "http://h/r", "1", &text).unwrap().body;
        assert_eq!(
            body,
            "CallSid=x%40y&TranscriptionSid=TR1&TranscriptionStatus=completed&TranscriptionText=hello+you\
             &RecordingSid=202403-ab&RecordingUrl=http%3A%2F%2Fh%2Fr"
        );
        let body = told(&recording, "http://h/r", "1", &None).unwrap().body;
        assert!(body.contains("TranscriptionStatus=failed"), "{body}");
        let nobody = Recording {
            transcript: Some(Transcribing::default()),
            ..recording
        };
        assert_eq!(told(&nobody, "http://h/r", "1", &text), None);
    }
}
