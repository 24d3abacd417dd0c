//! `Connect`: gives the call to a media stream, until its server closes it (`pivot.md` §7.7, §8.5).

use super::start::{Stream, refused};
use crate::base::profile::Profile;
use crate::pivot::RequestMethod;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::media::{IN_CONNECT, STREAM};
use crate::twiml::nouns::shared::METHOD;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Status, Values, attribute};

pub(in crate::twiml) static SPEC: Spec = Spec {
    attributes: &[
        attribute("action", Values::Url, "").note("asked once the server has closed the stream"),
        METHOD,
    ],
    children: IN_CONNECT,
    note: "without `action` the end of the stream ends the call in the kazoo profile; the next verb runs in the twilio profile",
    ..Spec::of("Connect")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Connect {
    action: Option<String>,
    method: RequestMethod,
    stream: Option<Stream>,
    /// Why it cannot be done.
    refused: Option<&'static str>,
}

impl Connect {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        let (mut stream, mut why) = (None, None);
        reader.within(element, |reader| {
            for child in element.children() {
                match SPEC.child(&child.name) {
                    Some(spec) if std::ptr::eq(spec, &STREAM) => {
                        let read = Stream::read(child, reader);
                        stream.get_or_insert(read);
                    }
                    Some(spec) => why = refused(child, spec, reader).or(why),
                    None => reader.stray(child, IN_CONNECT.iter().map(|spec| spec.name)),
                }
            }
        });
        if stream.is_none() && why.is_none() {
            let status = reader.severity();
            reader.within(element, |reader| {
                reader.finding(element.at, status, None, "there is nothing to connect to");
            });
        }
        Self {
            action: given.text("action"),
            method: given.method("method"),
            stream,
            refused: why,
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        if let Some(why) = self.refused {
            return Err(Trouble::Fatal(why.to_owned()));
        }
        let Some(stream) = &self.stream else {
            let why = "there is nothing to connect to".to_owned();
            return Err(match run.severity() {
                Status::Refused => Trouble::Fatal(why),
                Status::Ignored | Status::Supported => Trouble::Failed(why),
            });
        };
        let stream = stream.resolved(run)?;
        let kazoo = run.session.profile == Profile::Kazoo;
        match Box::pin(run.line.connect(&stream)).await {
            Ok(()) => {}
            Err(Trouble::Failed(why)) if kazoo && self.action.is_none() => {
                return Err(Trouble::Fatal(why));
            }
            Err(Trouble::Failed(why)) => run.line.note(&format!("Connect: {why}")),
            Err(other) => return Err(other),
        }
        match &self.action {
            Some(action) => run.follow(Some(action), self.method),
            None if kazoo => Ok(Step::End),
            None => Ok(Step::Next),
        }
    }
}
