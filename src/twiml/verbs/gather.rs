//! `Gather`: collects digits, with something to hear meanwhile that the first key stops (`pivot.md` §7.4).

use std::time::Duration;

use super::{PauseVerb, PlayVerb, SayVerb, pause, play, say};
use crate::base::keys::Keys;
use crate::base::profile::Profile;
use crate::pivot::RequestMethod;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Gathering, Line, Phrase, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::shared::METHOD;
use crate::twiml::orders::{Listening, Told};
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Values, attribute, ignored};

pub(in crate::twiml) static SPEC: Spec = Spec {
    attributes: &[
        attribute("action", Values::Url, "").note("the current document's URL unless given"),
        METHOD,
        attribute("timeout", Values::Upto(1, 3600), "5").note(
            "seconds; for all digits together in the kazoo profile, for each in the twilio profile",
        ),
        attribute("finishOnKey", Values::Key, "#"),
        attribute("numDigits", Values::Whole(1, u32::MAX), "").note("unlimited unless given"),
        attribute("input", Values::SomeOf(&["dtmf", "speech"]), "dtmf")
            .twilio()
            .note("`speech` needs a recogniser in the configuration (`[stt]`); without one keys alone count"),
        attribute("actionOnEmptyResult", Values::Bool, "false").twilio(),
        attribute("bargeIn", Values::Bool, "true")
            .twilio()
            .note("`false`: keys stop nothing and count once all was heard"),
        attribute("speechTimeout", Values::Text, "")
            .twilio()
            .note("seconds of silence that end the speech, or `auto`: a second; `timeout` unless given"),
        attribute("maxSpeechTime", Values::Upto(1, 600), "60")
            .twilio()
            .note("seconds"),
        ignored("speechModel", RECOGNISER),
        attribute("language", Values::Text, "")
            .twilio()
            .note("the call's unless given"),
        attribute("hints", Values::Text, "").twilio(),
        ignored("profanityFilter", RECOGNISER),
        ignored("enhanced", RECOGNISER),
        attribute("partialResultCallback", Values::Url, "")
            .twilio()
            .note("where the recogniser's configuration has partial results"),
        attribute("partialResultCallbackMethod", Values::Method, "POST").twilio(),
        ignored("debug", "the debug log is the pivot node's `debug`"),
    ],
    children: &[&say::SPEC, &play::SPEC, &pause::SPEC],
    ..Spec::of("Gather")
};

const RECOGNISER: &str = "the recogniser decides";

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Gather {
    action: Option<String>,
    method: RequestMethod,
    timeout: Duration,
    finish_on: Keys,
    max_digits: usize,
    on_empty: bool,
    barge_in: bool,
    prompt: Vec<Phrase>,
    /// How speech is listened to, without who is told meanwhile.
    speech: Option<Listening>,
    partial: Option<Told>,
}

impl Gather {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        let mut prompt = Vec::new();
        reader.within(element, |reader| {
            for child in element.children() {
                match inside(child, reader) {
                    Some(phrase) => prompt.extend(phrase),
                    None => reader.stray(child, SPEC.children.iter().map(|known| known.name)),
                }
            }
        });
        Self {
            action: given.text("action"),
            method: given.method("method"),
            timeout: given.seconds("timeout"),
            finish_on: Keys::parse(&given.raw("finishOnKey").unwrap_or_default()),
            max_digits: given
                .number("numDigits")
                .map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            on_empty: given.flag("actionOnEmptyResult"),
            barge_in: given.flag("bargeIn"),
            prompt,
            speech: listening(given),
            partial: given.told("partialResultCallback"),
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        let kazoo = run.session.profile == Profile::Kazoo;
        let before = run.session.digits.take().unwrap_or_default();
        // Without anything to hear, KAZOO counts what was pressed before.
        let typed_ahead = if kazoo && self.prompt.is_empty() {
            let usable = before.chars().filter(|key| !self.finish_on.contains(*key));
            usable.take(self.max_digits).collect()
        } else {
            String::new()
        };
        if !kazoo {
            run.line.flush_keys();
        }
        let mut prompt: Vec<Phrase> = self.prompt.iter().map(|p| run.resolved_phrase(p)).collect();
        if !self.barge_in && self.speech.is_none() {
            let heard = run.line.play(&prompt, Keys::NONE).await;
            if let Err(trouble) = heard {
                passable(run, trouble)?;
            }
            run.line.flush_keys();
            prompt.clear();
        }
        let speech = self.speech.clone().map(|speech| Listening {
            partial: run.callback(self.partial.as_ref()),
            ..speech
        });
        let gathered = run
            .line
            .gather(&Gathering {
                prompt,
                typed_ahead,
                max_digits: self.max_digits,
                timeout: self.timeout,
                total: kazoo,
                finish_on: self.finish_on,
                speech,
            })
            .await?;
        if gathered.digits.is_empty() && gathered.speech.is_none() && !self.on_empty {
            return Ok(Step::Next);
        }
        if let Some(said) = gathered.speech {
            run.session.set("SpeechResult", said.text);
            // Not every recogniser says how sure it is; 0 would be a lie.
            if let Some(sure) = said.confidence {
                run.session.set("Confidence", sure.to_string());
            }
            return run.follow(self.action.as_deref(), self.method);
        }
        if let (false, Some(key)) = (kazoo, gathered.finished_on) {
            run.session.set("FinishedOnKey", key.to_string());
        }
        run.session.digits = Some(gathered.digits);
        run.follow(self.action.as_deref(), self.method)
    }
}

/// How speech is listened to; `None`: keys alone count.
fn listening(given: &Given) -> Option<Listening> {
    let input = given.word("input");
    if !input.contains("speech") {
        return None;
    }
    let end = given.word("speechTimeout");
    Some(Listening {
        language: given.text("language"),
        hints: given.text("hints").unwrap_or_default(),
        end: match end.as_str() {
            "" => Some(given.seconds("timeout")),
            end => end.parse().ok().map(Duration::from_secs),
        },
        max: given.seconds("maxSpeechTime"),
        keys: input.contains("dtmf"),
        barge_in: given.flag("bargeIn"),
        partial: None,
    })
}

/// What cannot be heard is passed over; the end of the call is not.
fn passable<L: Line>(run: &Run<'_, L>, trouble: Trouble) -> Result<(), Trouble> {
    match trouble {
        Trouble::Failed(why) => {
            run.line.note(&format!("Gather: {why}"));
            Ok(())
        }
        Trouble::Ended | Trouble::Fatal(_) => Err(trouble),
    }
}

/// What an element inside a Gather lets the caller hear; `None` when it has no place there.
fn inside(child: &Element, reader: &mut Reader) -> Option<Option<Phrase>> {
    let phrase = match child.name.as_str() {
        "Say" => {
            let given = reader.look(child, &say::SPEC);
            SayVerb::read(child, &given, reader).phrase
        }
        "Play" => {
            let given = reader.look(child, &play::SPEC);
            PlayVerb::read(child, &given, reader).phrase
        }
        "Pause" => {
            let given = reader.look(child, &pause::SPEC);
            PauseVerb::read(child, &given, reader).phrase()
        }
        _ => return None,
    };
    Some(Some(phrase).filter(|phrase| !phrase.sounds.is_empty()))
}
