//! The verbs, one file each.

use super::exec::{Run, Step};
use super::line::{Line, Trouble};
use super::lint::Reader;
use super::nouns;
use super::parse::{Element, Position};
use super::spec::{Spec, Status};

/// A verb that the document has, but that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable {
    name: String,
    at: Position,
    why: String,
    /// Whether the document goes on behind it.
    passed: bool,
}

macro_rules! verbs {
    ($($file:ident :: $verb:ident),* $(,)?) => {
        $(mod $file;)*

        /// The tables of every verb that is built.
        static BUILT: &[&Spec] = &[$(&$file::SPEC),*];

        /// One verb of a document.
        #[derive(Debug, Clone, PartialEq)]
        pub(super) enum Verb {
            $($verb($file::$verb),)*
            Unusable(Unusable),
        }

        /// The verb an element is, with all that stands inside it.
        fn built(element: &Element, reader: &mut Reader) -> Option<Verb> {
            $(if element.name == $file::SPEC.name {
                let given = reader.look(element, &$file::SPEC);
                let verb = $file::$verb::read(element, &given, reader);
                return Some(match given.broken {
                    Some(why) => unusable(element, why, false),
                    None => Verb::$verb(verb),
                });
            })*
            None
        }

        impl Verb {
            /// Its name.
            pub(super) fn name(&self) -> &str {
                match self {
                    $(Self::$verb(_) => $file::SPEC.name,)*
                    Self::Unusable(verb) => &verb.name,
                }
            }

            /// Does what it says.
            pub(super) async fn run<L: Line>(&self, run: &mut Run<'_, L>) -> Result<Step, Trouble> {
                match self {
                    $(Self::$verb(verb) => Box::pin(verb.run(run)).await,)*
                    Self::Unusable(verb) => verb.run(),
                }
            }
        }
    };
}

verbs! {
    connect::Connect,
    dial::Dial,
    enqueue::Enqueue,
    gather::Gather,
    hangup::Hangup,
    leave::Leave,
    pause::Pause,
    play::Play,
    record::Record,
    redirect::Redirect,
    refer::Refer,
    reject::Reject,
    say::Say,
    set::Set,
    start::Start,
    stop::Stop,
}

pub(super) use pause::Pause as PauseVerb;
pub(super) use play::Play as PlayVerb;
pub(super) use say::Say as SayVerb;

/// The tables of every verb, built or refused.
pub(super) fn all() -> impl Iterator<Item = &'static Spec> {
    BUILT
        .iter()
        .copied()
        .chain(nouns::REFUSED_VERBS.iter().copied())
}

/// The verb an element is.
pub(super) fn read(element: &Element, reader: &mut Reader) -> Verb {
    if let Some(verb) = built(element, reader) {
        return verb;
    }
    if let Some(spec) = nouns::REFUSED_VERBS
        .iter()
        .find(|spec| spec.name == element.name)
    {
        reader.look(element, spec);
        reader.look_inside(element, spec);
        return unusable(element, "it is not available".to_owned(), false);
    }
    let status = reader.unknown(element, all().map(|spec| spec.name));
    unusable(
        element,
        "it is not known".to_owned(),
        status == Status::Ignored,
    )
}

fn unusable(element: &Element, why: String, passed: bool) -> Verb {
    Verb::Unusable(Unusable {
        name: element.name.clone(),
        at: element.at,
        why,
        passed,
    })
}

impl Unusable {
    fn run(&self) -> Result<Step, Trouble> {
        let why = format!(
            "{} (line {}, column {})",
            self.why, self.at.line, self.at.column
        );
        if self.passed {
            Err(Trouble::Failed(why))
        } else {
            Err(Trouble::Fatal(why))
        }
    }
}
