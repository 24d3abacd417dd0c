//! `Play`: plays audio by URL or media id, or sends keys.

use crate::base::keys::Keys;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Phrase, Sound, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Status, Text, Values, attribute};

pub(in crate::twiml) static SPEC: Spec = Spec {
    text: Text::Optional(
        "a URL, a media id, or `prompt://`, `tone_stream://` and the like; several URLs one a line play one after the other",
    ),
    attributes: &[
        attribute("loop", Values::Whole(0, u32::MAX), "1").note("0 is for ever"),
        attribute("digits", Values::Digits, "")
            .twilio()
            .note("sends these keys instead"),
        attribute("terminators", Values::Text, "1234567890*#")
            .kazoo()
            .note("keys that stop it; empty is none. Twilio's Play is not stopped by keys"),
    ],
    ..Spec::of("Play")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Play {
    pub(in crate::twiml) phrase: Phrase,
    terminators: Keys,
}

impl Play {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        let text = element.text();
        let sounds: Vec<Sound> = match given.text("digits") {
            Some(digits) => vec![Sound::Keys(digits)],
            None => text
                .split(['\n', '\r'])
                .map(str::trim)
                .filter(|reference| !reference.is_empty())
                .map(|reference| Sound::Media(reference.to_owned()))
                .collect(),
        };
        if sounds.is_empty() {
            let status = reader.severity();
            reader.within(element, |reader| {
                reader.finding(element.at, status, None, "there is nothing to play");
            });
        }
        Self {
            phrase: Phrase {
                sounds,
                loops: given.loops(),
            },
            terminators: given.terminators(),
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        if self.phrase.sounds.is_empty() {
            let why = "there is nothing to play".to_owned();
            return Err(match run.severity() {
                Status::Refused => Trouble::Fatal(why),
                Status::Ignored | Status::Supported => Trouble::Failed(why),
            });
        }
        let phrase = run.resolved_phrase(&self.phrase);
        run.hear(&[phrase], self.terminators).await
    }
}
