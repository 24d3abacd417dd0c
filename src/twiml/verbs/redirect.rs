//! `Redirect`: asks for another document, which takes this one's place.

use crate::pivot::RequestMethod;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Text, Values, attribute};

pub(in crate::twiml) static SPEC: Spec = Spec {
    text: Text::Optional("the URL; without one the current document's"),
    attributes: &[attribute("method", Values::Method, "")
        .note("`GET` in the kazoo profile, `POST` in the twilio profile")],
    children: &[&nouns::VARIABLE],
    ..Spec::of("Redirect")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Redirect {
    url: Option<String>,
    method: RequestMethod,
    variables: Vec<(String, String)>,
}

impl Redirect {
    pub(in crate::twiml) fn read(element: &Element, given: &Given, reader: &mut Reader) -> Self {
        Self {
            url: Some(element.text()).filter(|url| !url.is_empty()),
            method: given.method("method"),
            variables: nouns::variables(element, &SPEC, reader),
        }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        for (key, value) in &self.variables {
            run.session
                .variables
                .insert(key.clone(), value.as_str().into());
        }
        run.follow(self.url.as_deref(), self.method)
    }
}
