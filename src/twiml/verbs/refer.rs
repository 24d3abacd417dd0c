//! `Refer`: sends the caller to another SIP address. Refused: swivel sends no REFER of its own yet.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::dial::REFER_SIP;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Dialect, Spec, Status, ignored};

const NOT_YET: &str =
    "callers are not sent elsewhere by REFER yet; Dial with Sip reaches the same party";

pub(in crate::twiml) static SPEC: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    attributes: &[ignored("action", NOT_YET), ignored("method", NOT_YET)],
    children: &[&REFER_SIP],
    note: NOT_YET,
    ..Spec::of("Refer")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Refer;

impl Refer {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        Self
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        Err(Trouble::Fatal(NOT_YET.to_owned()))
    }
}
