//! `Start`: begins something beside the call. What it would begin is not available yet; the document goes on.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::media::IN_START;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Status, ignored};

const NOT_YET: &str = "nothing inside it is available yet";

pub(in crate::twiml) static SPEC: Spec = Spec {
    status: Status::Ignored,
    attributes: &[ignored("action", NOT_YET), ignored("method", NOT_YET)],
    children: IN_START,
    note: NOT_YET,
    ..Spec::of("Start")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Start;

impl Start {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        Self
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.note("Start: nothing it could start is available");
        Ok(Step::Next)
    }
}
