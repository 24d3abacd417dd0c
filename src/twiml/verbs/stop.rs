//! `Stop`: ends what Start began; nothing was begun.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::media::IN_STOP;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Status};

const NOT_YET: &str = "nothing inside it is available yet";

pub(in crate::twiml) static SPEC: Spec = Spec {
    status: Status::Ignored,
    children: IN_STOP,
    note: NOT_YET,
    ..Spec::of("Stop")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Stop;

impl Stop {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        Self
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.note("Stop: nothing was started");
        Ok(Step::Next)
    }
}
