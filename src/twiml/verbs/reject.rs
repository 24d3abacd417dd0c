//! `Reject`: refuses a call that is not answered yet. A call that is answered is hung up.

use crate::base::cause::Cause;
use crate::base::keys::Keys;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Phrase, Sound, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Values, attribute};

pub(in crate::twiml) static SPEC: Spec = Spec {
    attributes: &[
        attribute("reason", Values::OneOf(&["rejected", "busy"]), "rejected")
            .note("`rejected` is 503, `busy` is 486"),
        attribute("prompt", Values::Text, "")
            .kazoo()
            .note("a medium the caller hears before"),
    ],
    children: &[&nouns::IGNORED_PARAMETER],
    ..Spec::of("Reject")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Reject {
    busy: bool,
    prompt: Option<String>,
}

impl Reject {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        Self {
            busy: given.word("reason") == "busy",
            prompt: given.text("prompt"),
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        if let Some(prompt) = &self.prompt {
            let phrase = Phrase {
                sounds: vec![run.resolved(&Sound::Media(prompt.clone()))],
                loops: Some(1),
            };
            if let Err(trouble) = run.line.play(&[phrase], Keys::NONE).await {
                run.line
                    .note(&format!("{prompt} cannot be played: {trouble}"));
            }
        }
        let (word, status, cause) = if self.busy {
            ("busy", 486, Cause::USER_BUSY)
        } else {
            ("no-answer", 503, Cause::CALL_REJECTED)
        };
        run.line.status(word);
        run.line.reject(status, cause);
        Ok(Step::End)
    }
}
