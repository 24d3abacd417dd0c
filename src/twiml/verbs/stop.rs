//! `Stop`: ends what Start began.

use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::media::{IN_STOP, STREAM};
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Status};

pub(in crate::twiml) static SPEC: Spec = Spec {
    children: IN_STOP,
    note: "a Stream by its `name` or `id`, or all of them",
    ..Spec::of("Stop")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Stop {
    wanted: Vec<Wanted>,
}

#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Stream(Option<String>),
    Recording,
    Refused(&'static str),
}

impl Stop {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        let mut wanted = Vec::new();
        reader.within(element, |reader| {
            for child in element.children() {
                let Some(spec) = SPEC.child(&child.name) else {
                    reader.stray(child, IN_STOP.iter().map(|spec| spec.name));
                    continue;
                };
                let given = reader.look(child, spec);
                reader.look_inside(child, spec);
                wanted.push(if std::ptr::eq(spec, &STREAM) {
                    Wanted::Stream(given.text("name").or_else(|| given.text("id")))
                } else if spec.status == Status::Refused {
                    Wanted::Refused(spec.name)
                } else {
                    Wanted::Recording
                });
            }
        });
        Self { wanted }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        for wanted in &self.wanted {
            let nothing = match wanted {
                Wanted::Stream(which) => run.line.stop_stream(which.as_deref()) == 0,
                Wanted::Recording => run.line.stop_recording(None).is_none(),
                Wanted::Refused(_) => true,
            };
            if nothing {
                run.line.note(match wanted {
                    Wanted::Stream(_) => "Stop: there is no such stream",
                    Wanted::Recording => "Stop: nothing is recorded",
                    Wanted::Refused(name) => name,
                });
            }
        }
        Ok(Step::Next)
    }
}
