//! TwiML on real calls: documents that a Pivot server answers, heard and seen from a telephone in simulated time.
//!
//! - `sessions`: requests, follow-ups, profiles, ends. `verbs`: a row of `pivot.md` §7 a test. `dial`: ringing others.
//! - `hosted`: documents without a server. `after`: REFER, the record, profiles, signatures. `rooms`: conferences and queues. `streams`: media streams, recordings, speech. `pace`: how quick it is. Callbacks of all of these are jobs.

mod after;
mod dial;
mod hosted;
mod pace;
mod rooms;
mod sessions;
mod streams;
mod verbs;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use swivel::jobs::HttpJob;

use crate::flow::{SECOND, Stage, parent, stage};
use crate::world::phone::{Phone, PhoneCall};
use crate::world::rtp::audio_of;
use crate::world::web::Reply;

/// Where the documents come from.
pub const URL: &str = "http://ivr.example/app/start.xml";

/// How long "Ten chars." is spoken, in milliseconds, with the silence behind a sentence.
pub const SAID: u128 = 750;

/// A pivot node with more data.
pub fn pivot(more: Value) -> Value {
    let mut data = json!({"voice_url": URL, "debug": true});
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    parent("pivot", data, json!({}))
}

impl Stage {
    /// The next answer is that document.
    pub fn answers(&self, verbs: &str) {
        self.world.web.reply(Reply {
            status: 200,
            content_type: "text/xml".into(),
            body: format!("<?xml version=\"1.0\"?>\n<Response>{verbs}</Response>"),
            after: Duration::ZERO,
        });
    }

    /// Calls a number where that document answers, in the profile `more` names.
    pub async fn runs(&self, more: Value, verbs: &str) -> (Phone, PhoneCall) {
        self.answers(verbs);
        self.connect(pivot(more)).await
    }

    /// Calls a number where that flow answers; also gives where swivel wants its audio.
    pub async fn connected(&self, flow: Value) -> (Phone, PhoneCall, std::net::SocketAddr) {
        let (phone, call) = self.dial(flow).await;
        let answer = call.answered(10 * SECOND).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        call.ack("");
        let port = audio_of(&answer);
        (phone, call, port)
    }

    /// The parameters of request `n`, from 0, whether they came in a query or a form.
    pub fn told(&self, n: usize) -> BTreeMap<String, String> {
        let asked = self.world.web.asked();
        let exchange = &asked[n];
        let mut all: BTreeMap<String, String> = exchange.url.query_pairs().into_owned().collect();
        all.extend(url::form_urlencoded::parse(&exchange.body).into_owned());
        all
    }

    /// The parameters of the first request to that path, as [`Stage::asked`] writes it.
    pub fn told_at(&self, path: &str) -> BTreeMap<String, String> {
        let asked = self.asked();
        let at = asked.iter().position(|line| line.ends_with(path));
        self.told(at.unwrap_or_else(|| panic!("{path} was not asked: {asked:?}")))
    }

    /// Method and URL, without its query, of every request.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.world.web.asked();
        let lines = asked.iter().map(|exchange| {
            let mut url = exchange.url.clone();
            url.set_query(None);
            format!("{:?} {url}", exchange.method)
                .to_uppercase()
                .replace("HTTP://IVR.EXAMPLE", "")
        });
        lines.collect()
    }
}

/// What callbacks to that path are told, in order.
pub async fn callbacks(stage: &Stage, path: &str) -> Vec<BTreeMap<String, String>> {
    stage.world.at_rest().await;
    let jobs = stage.world.outbox.pending().await.unwrap();
    let told = jobs.into_iter().filter(|job| job.kind == HttpJob::KIND);
    told.map(|job| serde_json::from_value::<HttpJob>(job.payload).unwrap())
        .filter(|job| job.url == format!("http://ivr.example{path}"))
        .map(|job| {
            assert_eq!(job.method, "POST");
            url::form_urlencoded::parse(job.body.as_bytes())
                .into_owned()
                .collect()
        })
        .collect()
}

/// The node of an application that was written for Twilio.
pub fn twilio() -> Value {
    pivot(json!({"twiml_profile": "twilio", "req_format": "twiml", "method": "post"}))
}

/// Runs one document on a call that is answered, and gives the call.
pub fn document<F: Future<Output = ()>>(
    more: Value,
    verbs: &'static str,
    test: impl FnOnce(Stage, Phone, PhoneCall) -> F,
) {
    stage(|stage| async move {
        let (phone, call) = stage.runs(more, verbs).await;
        test(stage, phone, call).await;
    });
}

/// Within a tenth of a second of that many milliseconds.
#[track_caller]
pub fn about(ms: u128, wanted: u128) {
    assert!(ms.abs_diff(wanted) <= 150, "{ms} ms instead of {wanted}");
}

/// Waits for the BYE.
pub async fn over(stage: &Stage, call: &PhoneCall) {
    call.wait_for_bye(60 * SECOND).await;
    stage.world.at_rest().await;
}
