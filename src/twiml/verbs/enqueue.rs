//! `Enqueue`: puts the caller into a queue. Refused while there are no queues.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::dial::{QUEUES, TASK};
use crate::twiml::parse::Element;
use crate::twiml::spec::{Dialect, Spec, Status, Text, ignored};

pub(in crate::twiml) static SPEC: Spec = Spec {
    status: Status::Refused,
    dialect: Dialect::Twilio,
    text: Text::Optional("the queue"),
    attributes: &[
        ignored("action", QUEUES),
        ignored("method", QUEUES),
        ignored("waitUrl", QUEUES),
        ignored("waitUrlMethod", QUEUES),
        ignored("maxQueueSize", QUEUES),
        ignored("workflowSid", QUEUES),
    ],
    children: &[&TASK],
    note: QUEUES,
    ..Spec::of("Enqueue")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Enqueue;

impl Enqueue {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        Self
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        Err(Trouble::Fatal(QUEUES.to_owned()))
    }
}
