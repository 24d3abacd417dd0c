//! `Enqueue`: the caller waits in a queue until somebody takes it, or it does not want to wait any longer (`pivot.md` §8.1).

use crate::pivot::RequestMethod;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::dial::TASK;
use crate::twiml::orders::Waiting;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Dialect, Spec, Status, Text, Values, attribute, ignored};

pub(in crate::twiml) static SPEC: Spec = Spec {
    dialect: Dialect::Twilio,
    text: Text::Optional("the queue; one of that name an account, 64 characters at most"),
    attributes: &[
        attribute("action", Values::Url, "").twilio().note(
            "asked when the waiting is over, with `QueueResult`; without one the next verb runs",
        ),
        attribute("method", Values::Method, "").twilio(),
        attribute("waitUrl", Values::Url, "").twilio().note(
            "heard meanwhile, over and over: a document of Say, Play, Pause, Gather, Redirect, Leave, Hangup, or a sound named `.mp3`, `.wav` …; empty for nothing, music unless given",
        ),
        attribute("waitUrlMethod", Values::Method, "POST").twilio(),
        attribute("maxQueueSize", Values::Upto(1, 5000), "1000").twilio(),
        ignored("workflowSid", "swivel has no TaskRouter"),
    ],
    children: &[&TASK],
    ..Spec::of("Enqueue")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Enqueue {
    name: String,
    action: Option<String>,
    method: RequestMethod,
    wait: Option<String>,
    wait_method: RequestMethod,
    most: usize,
}

impl Enqueue {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        reader.look_inside(element, &SPEC);
        let name: String = element.text().chars().take(LONGEST_NAME).collect();
        if name.is_empty() {
            reader.within(element, |reader| {
                reader.finding(element.at, Status::Refused, None, "the queue has no name");
            });
        }
        Self {
            name,
            action: given.text("action"),
            method: given.method("method"),
            wait: given.raw("waitUrl"),
            wait_method: given.post_or_get("waitUrlMethod"),
            most: usize::try_from(given.number("maxQueueSize").unwrap_or(1000)).unwrap_or(1000),
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        if self.name.is_empty() {
            return Err(Trouble::Fatal("the queue has no name".to_owned()));
        }
        run.line.answer().await?;
        let waiting = Waiting {
            name: self.name.clone(),
            wait: run.wait(self.wait.as_deref(), self.wait_method, false),
            most: self.most,
        };
        let waited = Box::pin(run.line.enqueue(&waiting)).await?;
        if waited.moved {
            return Ok(Step::Moved);
        }
        run.session.set("QueueResult", waited.result);
        run.session.set("QueueSid", waited.queue);
        run.session
            .set("QueueTime", waited.waited.as_secs().to_string());
        run.follow_or_next(self.action.as_deref(), self.method)
    }
}

/// Characters of a queue's name.
const LONGEST_NAME: usize = 64;
