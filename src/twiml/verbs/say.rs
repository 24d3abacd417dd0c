//! `Say`: speaks a text. Every provider of ours takes plain text, so SSML is turned into pieces of text, silence and
//! other languages; what has no such form is spoken as its text.

use std::time::Duration;

use crate::base::keys::Keys;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Phrase, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::ssml;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Status, Text, Values, attribute, ignored};
use crate::twiml::ssml::{Speaker, sounds};

pub(in crate::twiml) static SPEC: Spec = Spec {
    text: Text::Required("the text"),
    attributes: &[
        attribute("voice", Values::Text, "").note(
            "`man`, `woman`, `male`, `female`, or a name of the voice map; another provider's names are spoken by the usual voice",
        ),
        attribute("language", Values::Text, "").note("the call's language unless given"),
        attribute("loop", Values::Whole(0, u32::MAX), "1").note("0 is for ever"),
        attribute("terminators", Values::Text, "1234567890*#")
            .kazoo()
            .note("keys that stop it; empty is none. Twilio's Say is not stopped by keys"),
        ignored("engine", "the configuration decides who speaks").kazoo(),
    ],
    children: &ssml::ALL_OF,
    ..Spec::of("Say")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Say {
    pub(in crate::twiml) phrase: Phrase,
    terminators: Keys,
}

impl Say {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        let speaker = Speaker {
            voice: given.text("voice").unwrap_or_default(),
            language: given.text("language"),
        };
        reader.look_inside(element, &SPEC);
        let sounds = sounds(element, &speaker);
        if sounds.is_empty() {
            reader.within(element, |reader| {
                reader.finding(element.at, Status::Ignored, None, "there is nothing to say");
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
            run.line.answer().await?;
            // An empty text that is repeated must not keep the processor busy.
            run.line.pause(Duration::ZERO).await?;
            return Ok(Step::Next);
        }
        run.hear(std::slice::from_ref(&self.phrase), self.terminators)
            .await
    }
}
