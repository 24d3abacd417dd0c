//! `Record`: records the caller until a key, silence, a limit or the hang-up, and tells where the recording is
//! (`pivot.md` §7.5).

use std::time::Duration;

use crate::base::keys::Keys;
use crate::base::profile::Profile;
use crate::pivot::RequestMethod;
use crate::recordings::Method;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Recording, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::shared::{METHOD, RECORDING_CALLBACK, UPLOAD};
use crate::twiml::orders::Told;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Values, attribute};

pub(in crate::twiml) static SPEC: Spec = Spec {
    attributes: &[
        attribute("action", Values::Url, "").note("the current document's URL unless given"),
        METHOD,
        attribute("timeout", Values::Upto(0, 3600), "5")
            .note("seconds of silence that end it; 0 is never"),
        attribute("finishOnKey", Values::Keys, "1234567890*#"),
        attribute("maxLength", Values::Whole(1, 3600), "3600").note("seconds"),
        attribute("playBeep", Values::Bool, "true").note("440 Hz for half a second"),
        attribute("trim", Values::OneOf(&["trim-silence", "do-not-trim"]), "")
            .twilio()
            .note("`do-not-trim` in the kazoo profile, `trim-silence` in the twilio profile"),
        attribute("transcribe", Values::Bool, "false")
            .twilio()
            .note("told `transcribeCallback`, whose being there is enough; needs a recogniser in the configuration"),
        attribute("transcribeCallback", Values::Url, "")
            .twilio()
            .note("told by POST as a job, again until the server takes it"),
    ],
    shared: &[RECORDING_CALLBACK, UPLOAD],
    ..Spec::of("Record")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Record {
    action: Option<String>,
    method: RequestMethod,
    how: Recording,
    /// Whether silence is cut off; the profile decides when nobody says.
    trim: Option<bool>,
    upload: Option<(String, Method)>,
    told: Option<Told>,
    /// Who is told the text of it.
    transcript: Option<Told>,
}

impl Record {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        let silence = given.seconds("timeout");
        Self {
            action: given.text("action"),
            method: given.method("method"),
            how: Recording {
                max: given.seconds("maxLength"),
                silence: (!silence.is_zero()).then_some(silence),
                finish_on: Keys::parse(&given.raw("finishOnKey").unwrap_or_default()),
                beep: given.flag("playBeep"),
                trim: false,
                upload: None,
                callback: None,
                transcript: None,
            },
            trim: given
                .text("trim")
                .map(|trim| trim.eq_ignore_ascii_case("trim-silence")),
            upload: upload(given),
            told: given.told("recordingStatusCallback"),
            transcript: given.told("transcribeCallback"),
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        // KAZOO does not answer here; a caller who is not answered cannot be heard.
        run.line.answer().await?;
        let trim = self.trim.unwrap_or(run.session.profile == Profile::Twilio);
        let how = Recording {
            trim,
            upload: run.upload(self.upload.as_ref()),
            callback: run.callback(self.told.as_ref()),
            transcript: run.callback(self.transcript.as_ref()),
            ..self.how.clone()
        };
        let recorded = run.line.record(&how).await?;
        let silence = self.how.silence.unwrap_or_default();
        let nothing = recorded.by_silence && !trim && recorded.length <= silence + SLACK;
        if recorded.absent || nothing {
            run.line.note("Record: nothing was said");
            return Ok(Step::Next);
        }
        let digits = match recorded.key {
            Some(key) => key.to_string(),
            None if recorded.by_hangup => "hangup".to_owned(),
            None => String::new(),
        };
        let seconds = recorded.length.as_secs();
        let session = &mut *run.session;
        session.set("RecordingUrl", recorded.url.as_str());
        session.set("RecordingDuration", seconds.to_string());
        if session.profile == Profile::Twilio {
            session.set("RecordingSid", recorded.id.as_str());
        }
        session.digits = Some(digits).filter(|digits| !digits.is_empty());
        run.follow(self.action.as_deref(), self.method)
    }
}

/// Where a recording is sent, and how.
pub(super) fn upload(given: &Given) -> Option<(String, Method)> {
    let method = match given.word("recordStoreMethod").as_str() {
        "post" => Method::Post,
        _ => Method::Put,
    };
    Some((given.text("recordingUrl")?, method))
}

/// What a silence is longer than it is asked for, by the time it takes to notice.
const SLACK: Duration = Duration::from_millis(500);
