//! `Connect`: gives the call to a media stream or an agent. What it would connect to is not available yet.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::media::IN_CONNECT;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Status, ignored};

const NOT_YET: &str = "nothing inside it is available yet";

pub(in crate::twiml) static SPEC: Spec = Spec {
    status: Status::Refused,
    attributes: &[ignored("action", NOT_YET), ignored("method", NOT_YET)],
    children: IN_CONNECT,
    note: NOT_YET,
    ..Spec::of("Connect")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Connect;

impl Connect {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        Self
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        Err(Trouble::Fatal(
            "nothing it could connect to is available".to_owned(),
        ))
    }
}
