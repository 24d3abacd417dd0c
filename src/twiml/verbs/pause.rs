//! `Pause`: waits. Keys pressed meanwhile wait for the next verb.

use std::time::Duration;

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Phrase, Sound, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Values, attribute};

pub(in crate::twiml) static SPEC: Spec = Spec {
    attributes: &[attribute("length", Values::Upto(1, 3600), "1").note("seconds")],
    ..Spec::of("Pause")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Pause {
    length: Duration,
}

impl Pause {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        Self {
            length: given.seconds("length"),
        }
    }

    /// The same inside a Gather.
    pub(in crate::twiml) fn phrase(&self) -> Phrase {
        Phrase {
            sounds: vec![Sound::Silence(self.length)],
            loops: Some(1),
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        run.line.pause(self.length).await?;
        Ok(Step::Next)
    }
}
