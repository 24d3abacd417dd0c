//! `Hangup`: answers, and ends the call.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns;
use crate::twiml::parse::Element;
use crate::twiml::spec::Spec;

pub(in crate::twiml) static SPEC: Spec = Spec {
    children: &[&nouns::IGNORED_PARAMETER],
    note: "answers a call that is not answered yet; Reject refuses it",
    ..Spec::of("Hangup")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Hangup;

impl Hangup {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        Self
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        run.line.status("completed");
        Ok(Step::End)
    }
}
