//! `Leave`: takes the caller out of a queue; outside of one it does nothing.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::parse::Element;
use crate::twiml::spec::{Dialect, Spec, Status};

pub(in crate::twiml) static SPEC: Spec = Spec {
    status: Status::Ignored,
    dialect: Dialect::Twilio,
    note: "the caller is in no queue",
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
        run.line.note("Leave: the caller is in no queue");
        Ok(Step::Next)
    }
}
