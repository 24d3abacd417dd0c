//! `Leave`: takes the caller out of the queue; outside of what is heard there it does nothing.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::parse::Element;
use crate::twiml::spec::{Dialect, Spec};

pub(in crate::twiml) static SPEC: Spec = Spec {
    dialect: Dialect::Twilio,
    note: "in a document of `waitUrl`: the verb behind Enqueue, or its `action`, is next",
    ..Spec::of("Leave")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Leave;

impl Leave {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        Self
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        if run.session.aside {
            return Ok(Step::Leave);
        }
        run.line.note("Leave: the caller is in no queue");
        Ok(Step::Next)
    }
}
