//! `Record`: records the caller until a key, silence, a limit or the hang-up, and tells where the recording is
//! (`pivot.md` §7.5).

use std::time::Duration;

use crate::base::keys::Keys;
use crate::base::profile::Profile;
use crate::pivot::RequestMethod;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Phrase, Recording, Sound, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Values, attribute, ignored};

const CALLBACKS: &str = "not sent yet; `action` is told";
const UPLOADS: &str = "recordings stay on this machine yet";

pub(in crate::twiml) static SPEC: Spec = Spec {
    attributes: &[
        attribute("action", Values::Url, "").note("the current document's URL unless given"),
        attribute("method", Values::Method, "")
            .note("`GET` in the kazoo profile, `POST` in the twilio profile"),
        attribute("timeout", Values::Upto(0, 3600), "5")
            .note("seconds of silence that end it; 0 is never"),
        attribute("finishOnKey", Values::Keys, "1234567890*#"),
        attribute("maxLength", Values::Whole(1, 3600), "3600").note("seconds"),
        attribute("playBeep", Values::Bool, "true").note("440 Hz for half a second"),
        ignored("trim", "silence stays"),
        ignored("recordingUrl", UPLOADS).kazoo(),
        ignored("recordStoreMethod", UPLOADS).kazoo(),
        ignored("recordingStatusCallback", CALLBACKS),
        ignored("recordingStatusCallbackMethod", CALLBACKS),
        ignored("recordingStatusCallbackEvent", CALLBACKS),
        ignored("recordingConfigurationId", CALLBACKS),
        ignored("transcribe", "recordings are not transcribed"),
        ignored("transcribeCallback", "recordings are not transcribed"),
    ],
    ..Spec::of("Record")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Record {
    action: Option<String>,
    method: RequestMethod,
    beep: bool,
    how: Recording,
}

impl Record {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        let silence = given.seconds("timeout");
        Self {
            action: given.text("action"),
            method: given.method("method"),
            beep: given.flag("playBeep"),
            how: Recording {
                max: given.seconds("maxLength"),
                silence: (!silence.is_zero()).then_some(silence),
                finish_on: Keys::parse(&given.raw("finishOnKey").unwrap_or_default()),
            },
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        // KAZOO does not answer here; a caller who is not answered cannot be heard.
        run.line.answer().await?;
        if self.beep {
            run.line.play(&[beep()], Keys::NONE).await?;
        }
        let recorded = run.line.record(&self.how).await?;
        let silence = self.how.silence.unwrap_or_default();
        if recorded.by_silence && recorded.length <= silence + SLACK {
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

fn beep() -> Phrase {
    Phrase {
        sounds: vec![Sound::Media("tone_stream://%(500,0,440)".to_owned())],
        loops: Some(1),
    }
}

/// What a silence is longer than it is asked for, by the time it takes to notice.
const SLACK: Duration = Duration::from_millis(500);
