//! Status callbacks: jobs of the outbox, in order a call and URL.

use crate::call::CallHandle;
use crate::host::clock;
use crate::jobs::{HttpJob, Outbox};
use crate::pivot::{self, RequestMethod};
use crate::recordings::Notice;
use crate::store::Batch;
use crate::twiml::orders::Callback;

/// Tells one URL what happens.
#[derive(Clone)]
pub(super) struct Teller {
    outbox: Outbox,
    account: String,
    lane: String,
    call_id: String,
    pub(super) callback: Callback,
}

impl Teller {
    pub(super) fn new(call: &CallHandle, callback: &Callback) -> Self {
        let facts = call.facts();
        Self {
            outbox: call.services().outbox.clone(),
            account: facts.account.id.to_string(),
            lane: format!("{} {}", facts.call_id, callback.url),
            call_id: facts.call_id.clone(),
            callback: callback.clone(),
        }
    }

    /// Tells these fields; empty ones are left out.
    pub(super) fn tell(&self, fields: Vec<(String, String)>) {
        let fields: Vec<_> = fields.into_iter().filter(|(_, v)| !v.is_empty()).collect();
        let job = HttpJob::form(
            method(self.callback.method),
            self.callback.url.as_str(),
            &fields,
        )
        .of_call(&self.call_id);
        let mut batch = Batch::new();
        let now = clock::unix_now();
        self.outbox
            .post(&mut batch, &self.account, &self.lane, &job, now);
        self.outbox.submit(batch);
    }
}

/// Names and values.
pub(super) fn fields<const N: usize>(pairs: [(&str, String); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What every callback says of the call, in Twilio's names.
pub(super) fn standard(call: &CallHandle) -> Vec<(String, String)> {
    let about = pivot::standard(call).into_iter();
    let text = about.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
    text.collect()
}

/// Who is told of a recording.
pub(super) fn notice(callback: Option<&Callback>, source: &str, track: &str) -> Option<Notice> {
    let callback = callback?;
    Some(Notice {
        url: callback.url.to_string(),
        method: method(callback.method).to_owned(),
        events: callback.events.clone(),
        source: source.to_owned(),
        track: track.to_owned(),
        ..Notice::default()
    })
}

fn method(method: RequestMethod) -> &'static str {
    match method {
        RequestMethod::Get => "GET",
        RequestMethod::Post => "POST",
    }
}
