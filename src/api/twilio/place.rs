//! `POST Calls`: a call is placed; whoever answers goes on with a TwiML document. Status callbacks are jobs that survive a
//! restart, in order a call.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use super::calls::{Shown, TO, ended_by};
use super::shape::{self, date};
use super::{Ask, Refusal, Reply, recordings};
use crate::api::{Api, placing};
use crate::base::profile::Profile;
use crate::call::channels::RecordOrder;
use crate::call::{NewRecording, NoCall, Originate, Party, STAGES, ShownAs, Stage};
use crate::directory::Account;
use crate::host::{clock, task};
use crate::jobs::HttpJob;
use crate::store::Batch;
use crate::twiml::Document;

/// How long a party rings where nothing else is said; Twilio's default.
const RING: u64 = 60;
/// The longest it may.
const RING_AT_MOST: u64 = 600;
/// Parameters that are taken and do nothing here, and why.
const IGNORED: [(&str, &str); 14] = [
    ("MachineDetection", DETECTION),
    ("MachineDetectionTimeout", DETECTION),
    ("MachineDetectionSpeechThreshold", DETECTION),
    ("MachineDetectionSpeechEndThreshold", DETECTION),
    ("MachineDetectionSilenceTimeout", DETECTION),
    ("AsyncAmd", DETECTION),
    ("AsyncAmdStatusCallback", DETECTION),
    ("FallbackUrl", "an answer that cannot be used ends the call"),
    ("TimeLimit", "the account's limits hold"),
    ("CallReason", "nothing is signed here"),
    ("Trim", "recordings are kept whole"),
    ("CallToken", "nothing is signed here"),
    ("Byoc", "the account's resources decide"),
    ("ClientNotificationUrl", "clients are told of nothing"),
];
const DETECTION: &str = "who answers is not analysed";

/// The flow a request asks for by `Twiml` or `Url`; `None`: by neither.
pub(super) fn flow(ask: &Ask, number: &str) -> Result<Option<Party>, Refusal> {
    if let Some(document) = ask.text("Twiml") {
        let read = Document::read(document, Profile::Twilio);
        let read = read.map_err(|error| Refusal::parameter(12100, format!("Twiml: {error}")))?;
        if let Some(finding) = read
            .report
            .findings
            .iter()
            .find(|_| read.report.refused() > 0)
        {
            let at = finding.at;
            let message = format!(
                "Twiml, line {}, column {}: {}",
                at.line, at.column, finding.message
            );
            return Err(Refusal::parameter(12200, message));
        }
        return Ok(Some(document_flow(number, document)));
    }
    let Some(url) = ask.url("Url")? else {
        return Ok(None);
    };
    let data = json!({
        "voice_url": url,
        "method": ask.verb("Method")?,
        "req_format": "twiml",
        "twiml_profile": "twilio",
    });
    Ok(Some(placing::flow(number, "pivot", data)))
}

/// A flow that runs a document at hand.
pub(super) fn document_flow(number: &str, document: &str) -> Party {
    let data = json!({
        "serverless": {"flow_doc": document, "flow_type": "application/xml"},
        "req_format": "twiml",
        "twiml_profile": "twilio",
    });
    placing::flow(number, "pivot", data)
}

/// Who is rung, and the name it goes by.
fn callee(account: &Account, to: &str) -> Result<(Party, String), Refusal> {
    let device = |name: &str| {
        let named = |own: &Option<String>| {
            own.as_deref()
                .is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        account
            .devices
            .values()
            .find(|device| named(&device.username))
    };
    let rung = |module: &str, id: &str, name: &str| {
        let data = json!({"id": id, "can_call_self": true});
        (placing::flow(name, module, data), name.to_owned())
    };
    if let Some(name) = to.strip_prefix("client:") {
        if let Some(device) = device(name) {
            return Ok(rung("device", &device.id, name));
        }
        let named = |own: &Option<String>| {
            own.as_deref()
                .is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        if let Some(user) = account.users.values().find(|user| named(&user.username)) {
            return Ok(rung("user", &user.id, name));
        }
        let message = format!("The account has no device or user {name}");
        return Err(Refusal::parameter(21217, message));
    }
    if to.starts_with("sip:") || to.starts_with("sips:") {
        let (_, address) = to.split_once(':').unwrap_or_default();
        let address = address.split([';', '?']).next().unwrap_or_default();
        let (user, host) = address.split_once('@').unwrap_or(("", address));
        let own = host.eq_ignore_ascii_case(&account.realm);
        if let Some(device) = device(user).filter(|_| own) {
            return Ok(rung("device", &device.id, user));
        }
        let document = format!(
            "<Response><Dial answerOnBridge=\"true\"><Sip>{}</Sip></Dial></Response>",
            escaped(to)
        );
        let name = if user.is_empty() { host } else { user };
        return Ok((document_flow(name, &document), name.to_owned()));
    }
    let number: String = to.chars().filter(|c| !" ()-.".contains(*c)).collect();
    if number.is_empty()
        || !number
            .chars()
            .all(|c| c.is_ascii_digit() || "+*#".contains(c))
    {
        let message = format!("Phone number {to} is not valid");
        return Err(Refusal::parameter(21211, message));
    }
    Ok((Party::Number(number.clone()), number))
}

/// Text inside XML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

pub(super) async fn create(ask: &Ask) -> Result<Reply, Refusal> {
    if ask.text("ApplicationSid").is_some() {
        let message = "ApplicationSid is not supported: name a Url or a Twiml";
        return Err(Refusal::parameter(21218, message));
    }
    let to = ask.text("To").unwrap_or_default();
    let missing = || Refusal::parameter(21205, "Url parameter is required.");
    let then = |number: &str| flow(ask, number)?.ok_or_else(missing);
    let (shown, mut notices) = start(ask, then).await?;
    for (name, why) in IGNORED {
        if ask.text(name).is_some() {
            notices.push(format!("{name} is ignored: {why}"));
        }
    }
    let mut said = shown.json(ask);
    noticed(&mut said, notices);
    tracing::debug!(call = shown.sid, to, "a call is placed");
    Ok(Reply::Json(201, said))
}

/// Says what of a request does nothing; clients pass over what they do not know.
pub(super) fn noticed(said: &mut Value, notices: Vec<String>) {
    if let (false, Some(said)) = (notices.is_empty(), said.as_object_mut()) {
        said.insert("notices".into(), json!(notices));
    }
}

/// Places a call to `To` as `From`; whoever answers goes on with `then`.
pub(super) async fn start(
    ask: &Ask,
    then: impl FnOnce(&str) -> Result<Party, Refusal>,
) -> Result<(Shown, Vec<String>), Refusal> {
    let to = ask
        .text("To")
        .ok_or_else(|| Refusal::parameter(21201, "No 'To' number is specified"))?;
    let from = ask
        .text("From")
        .ok_or_else(|| Refusal::parameter(21213, "No 'From' number is specified"))?;
    let (first, number) = callee(&ask.account, to)?;
    let then = then(&number)?;
    let tail = ask.text("SendDigits").map(str::to_owned);
    let then = match (tail, then) {
        (
            Some(digits),
            Party::Flow {
                number, document, ..
            },
        ) => keys_first(number, &digits, &document),
        (_, then) => then,
    };
    let seconds = ask.number("Timeout")?.filter(|seconds| *seconds > 0);
    let timeout = Duration::from_secs(seconds.unwrap_or(RING).min(RING_AT_MOST));
    let sid = format!("CA{}", ask.api.rng().hex(16));
    let progress = Progress::of(ask, &sid, from, to)?;
    let mut vars = Map::new();
    if number != to {
        vars.insert(TO.to_owned(), json!(to));
    }
    let (outcome, _) = oneshot::channel();
    let (stages, told) = mpsc::channel(STAGES);
    let caller = from.strip_prefix("client:").unwrap_or(from);
    let caller_id = ShownAs {
        name: None,
        number: Some(caller.to_owned()),
    };
    let wanted = Originate {
        account: Arc::clone(&ask.account),
        call_id: sid.clone(),
        first,
        then,
        authorizing_id: ask.account.id.to_string(),
        authorizing_type: "account",
        owner_id: None,
        caller_id: caller_id.clone(),
        then_caller_id: caller_id,
        as_answerer: false,
        timeout,
        headers: Vec::new(),
        ringback: None,
        hold_music: None,
        application_vars: vars,
        outcome,
        keeps_id: true,
        stages: Some(stages),
    };
    let Some(channels) = ask.api.channels() else {
        return Err(Refusal::new(503, 20503, "no calls can be placed here"));
    };
    channels
        .originate(wanted)
        .await
        .map_err(|error| match error {
            NoCall::NoRoute(_) => Refusal::parameter(21214, error.to_string()),
            other => Refusal::new(503, 20503, other.to_string()),
        })?;
    task::spawn("twilio-progress", progress.follow(told));
    Ok((Shown::queued(&sid, from, to), Vec::new()))
}

/// Keys are pressed before the flow begins.
fn keys_first(number: String, digits: &str, document: &Value) -> Party {
    let flow = document.get("flow").cloned().unwrap_or_default();
    let document = json!({"flow": {
        "module": "send_dtmf",
        "data": {"digits": digits},
        "children": {"_": flow},
    }});
    Party::Flow {
        number,
        id: None,
        document: Arc::new(document),
    }
}

/// Tells the status callback how a call goes, and has it recorded once it is answered.
struct Progress {
    api: Api,
    account: Arc<Account>,
    sid: String,
    from: String,
    to: String,
    url: Option<String>,
    method: &'static str,
    events: Vec<String>,
    recording: Option<NewRecording>,
    sequence: u32,
}

impl Progress {
    fn of(ask: &Ask, sid: &str, from: &str, to: &str) -> Result<Progress, Refusal> {
        let mut events = Vec::new();
        for event in ask.texts("StatusCallbackEvent") {
            if !["initiated", "ringing", "answered", "completed"].contains(&event) {
                let message = format!("StatusCallbackEvent {event} is not one there is");
                return Err(Refusal::parameter(21626, message));
            }
            events.push(event.to_owned());
        }
        if events.is_empty() {
            events.push("completed".to_owned());
        }
        let recording = match ask.flag("Record")? {
            Some(true) => Some(recordings::wanted(ask, "OutboundAPI")?),
            _ => None,
        };
        Ok(Progress {
            api: ask.api.clone(),
            account: Arc::clone(&ask.account),
            sid: sid.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            url: ask.url("StatusCallback")?,
            method: ask.verb("StatusCallbackMethod")?,
            events,
            recording,
            sequence: 0,
        })
    }

    /// Until the call is over.
    async fn follow(mut self, mut told: mpsc::Receiver<Stage>) {
        self.tell("initiated", "initiated", &[]);
        let mut answered = None;
        while let Some(stage) = told.recv().await {
            match stage {
                Stage::Ringing => self.tell("ringing", "ringing", &[]),
                Stage::Answered { call_id } => {
                    answered = Some(clock::now());
                    if let (Some(new), Some(channels)) =
                        (self.recording.take(), self.api.channels())
                    {
                        let order = RecordOrder::Start(new);
                        channels.record(&self.account.id, &call_id, order).await;
                    }
                    self.tell("answered", "in-progress", &[]);
                }
                Stage::Ended { cause, status } => {
                    let status = ended_by(cause, status);
                    let talked = answered.map(|at| clock::now().saturating_duration_since(at));
                    let length = talked.unwrap_or_default().as_secs().to_string();
                    let ending = shape::ending(talked.is_some(), status);
                    let code = if talked.is_some() { 200 } else { status };
                    let more = [
                        ("CallDuration", length),
                        ("SipResponseCode", code.to_string()),
                    ];
                    return self.tell("completed", ending, &more);
                }
            }
        }
    }

    fn tell(&mut self, event: &str, status: &str, more: &[(&str, String)]) {
        let sequence = self.sequence;
        self.sequence += 1;
        let (Some(url), Some(outbox)) = (&self.url, self.api.outbox()) else {
            return;
        };
        if !self.events.iter().any(|wanted| wanted == event) {
            return;
        }
        let now = clock::unix_now();
        let own = [
            ("CallSid", self.sid.clone()),
            ("AccountSid", self.account.id.to_string()),
            ("From", self.from.clone()),
            ("To", self.to.clone()),
            ("Caller", self.from.clone()),
            ("Called", self.to.clone()),
            ("CallStatus", status.to_owned()),
            ("ApiVersion", super::VERSION.to_owned()),
            ("Direction", "outbound-api".to_owned()),
            ("Timestamp", date(now)),
            ("CallbackSource", "call-progress-events".to_owned()),
            ("SequenceNumber", sequence.to_string()),
        ];
        let fields: Vec<(String, String)> = own
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let method = self.method.to_ascii_uppercase();
        let job = HttpJob::form(&method, url, &fields);
        let mut batch = Batch::new();
        let lane = format!("{} {url}", self.sid);
        outbox.post(&mut batch, &self.account.id, &lane, &job, now);
        outbox.submit(batch);
    }
}
