//! The job of sending a recording's sound where it belongs. It is tried until the server takes it; then the sound is no
//! longer kept here. What nobody takes stays.

use futures_util::future::BoxFuture;

use super::document::{CONTENT_TYPE, Method, UploadState};
use super::shelf::Shelf;
use crate::host::clock;
use crate::host::http::HttpClient;
use crate::jobs::{HttpJob, Job, Outcome, Runner};
use crate::journal::{Code, Fact, Journal};

/// Sends recordings.
pub struct UploadRunner {
    shelf: Shelf,
    client: HttpClient,
    journal: Journal,
}

impl UploadRunner {
    /// The kind of such jobs.
    pub const KIND: &'static str = "recording_upload";

    /// Sends recordings of `shelf` by `client`; `journal` has the traces of their calls.
    pub fn new(shelf: Shelf, client: HttpClient, journal: Journal) -> Self {
        Self {
            shelf,
            client,
            journal,
        }
    }
}

pub(super) fn names(job: &Job) -> (String, String) {
    let text = |key: &str| {
        let value = job.payload.get(key).and_then(|value| value.as_str());
        value.unwrap_or_default().to_owned()
    };
    (text("account"), text("id"))
}

impl Runner for UploadRunner {
    fn run(&self, job: &Job) -> BoxFuture<'static, Outcome> {
        let (shelf, client) = (self.shelf.clone(), self.client.clone());
        let journal = self.journal.clone();
        let (name, (account, id)) = (job.id.clone(), names(job));
        Box::pin(async move {
            let recording = match shelf.one(&account, &id).await {
                Ok(Some(recording)) => recording,
                // It was deleted meanwhile.
                Ok(None) => return Outcome::Done,
                Err(error) => return Outcome::Retry(error.to_string()),
            };
            let Some(upload) = &recording.upload else {
                return Outcome::Done;
            };
            let request = HttpJob {
                method: match upload.method {
                    Method::Put => "PUT",
                    Method::Post => "POST",
                }
                .to_owned(),
                url: upload.url.clone(),
                content_type: CONTENT_TYPE.to_owned(),
                headers: Vec::new(),
                body: String::new(),
                call_id: recording.call_id.clone(),
                of_end: false,
            };
            let file = shelf.file(&recording);
            let watcher = journal.watch(&recording.call_id, "upload");
            let outcome = request
                .attempt(&name, &client, Some(file), None, Some(watcher))
                .await;
            if let Outcome::Retry(why) | Outcome::GiveUp(why) = &outcome {
                let url = upload.shown();
                let url = url.split('?').next().unwrap_or_default().to_owned();
                journal.emit(Fact::Trouble {
                    call_id: recording.call_id.clone(),
                    at: clock::unix_now(),
                    account: account.clone(),
                    code: Code::RecordingUpload,
                    values: vec![("url", url), ("detail", why.clone())],
                });
            }
            if outcome == Outcome::Done {
                tracing::info!(recording = id, "a recording was uploaded");
                metrics::counter!("swivel_recordings_uploaded_total").increment(1);
                if let Err(error) = shelf.uploaded(&account, &id, UploadState::Done).await {
                    return Outcome::Retry(error.to_string());
                }
            }
            outcome
        })
    }

    fn given_up(&self, job: &Job, why: &str) -> BoxFuture<'static, ()> {
        let (shelf, (account, id)) = (self.shelf.clone(), names(job));
        let state = UploadState::Failed(why.to_owned());
        Box::pin(async move {
            if let Err(error) = shelf.uploaded(&account, &id, state).await {
                tracing::error!(%error, recording = id, "that its upload was given up could not be stored");
            }
        })
    }
}
