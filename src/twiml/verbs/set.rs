//! `Set` (KAZOO): sets variables that go with every later request of the session.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns;
use crate::twiml::parse::Element;
use crate::twiml::spec::{Dialect, Spec};

pub(in crate::twiml) static SPEC: Spec = Spec {
    dialect: Dialect::Kazoo,
    children: &[&nouns::VARIABLE],
    ..Spec::of("Set")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Set {
    variables: Vec<(String, String)>,
}

impl Set {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        Self {
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
        Ok(Step::Next)
    }
}
