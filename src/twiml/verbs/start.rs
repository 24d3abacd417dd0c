//! `Start`: begins a stream or a recording beside the call; the document goes on at once.

use crate::base::profile::Profile;
use crate::call::Begin;
use crate::twilio::Tracks;
use crate::twiml::exec::{Run, Step};
use crate::twiml::line::{Line, Trouble};
use crate::twiml::lint::{Given, Reader};
use crate::twiml::nouns::PARAMETER;
use crate::twiml::nouns::media::{IN_START, RECORDING, STREAM};
use crate::twiml::orders::{self, Taping, Told, tracks};
use crate::twiml::parse::Element;
use crate::twiml::spec::{Spec, Status, ignored};

const AT_ONCE: &str = "the document goes on at once";

pub(in crate::twiml) static SPEC: Spec = Spec {
    attributes: &[ignored("action", AT_ONCE), ignored("method", AT_ONCE)],
    children: IN_START,
    ..Spec::of("Start")
};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::twiml) struct Start {
    wanted: Vec<Wanted>,
}

#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Stream(Stream),
    Recording(Taping, Option<Told>),
    Refused(&'static str, &'static str),
}

impl Start {
    pub(in crate::twiml) fn read(element: &Element, _: &Given, reader: &mut Reader) -> Self {
        let mut wanted = Vec::new();
        reader.within(element, |reader| {
            for child in element.children() {
                match SPEC.child(&child.name) {
                    Some(spec) if std::ptr::eq(spec, &STREAM) => {
                        wanted.push(Wanted::Stream(Stream::read(child, reader)));
                    }
                    Some(spec) if std::ptr::eq(spec, &RECORDING) => {
                        let given = reader.look(child, spec);
                        let told = given.told("recordingStatusCallback");
                        wanted.push(Wanted::Recording(taping(&given), told));
                    }
                    Some(spec) => {
                        let why = refused(child, spec, reader);
                        wanted.extend(why.map(|why| Wanted::Refused(spec.name, why)));
                    }
                    None => reader.stray(child, IN_START.iter().map(|spec| spec.name)),
                }
            }
        });
        Self { wanted }
    }

    pub(in crate::twiml) async fn run<L: Line>(
        &self,
        run: &mut Run<'_, L>,
    ) -> Result<Step, Trouble> {
        run.line.answer().await?;
        for wanted in &self.wanted {
            let begun = match wanted {
                Wanted::Stream(stream) => stream
                    .resolved(run)
                    .and_then(|stream| run.line.start_stream(&stream)),
                Wanted::Recording(taping, told) => {
                    let taping = Taping {
                        callback: run.callback(told.as_ref()),
                        ..taping.clone()
                    };
                    run.line.start_recording(&taping).map(drop)
                }
                Wanted::Refused(name, why) => Err(Trouble::Failed(format!("{name}: {why}"))),
            };
            match begun {
                Ok(()) => {}
                Err(Trouble::Failed(why)) => run.line.note(&format!("Start: {why}")),
                Err(other) => return Err(other),
            }
        }
        Ok(Step::Next)
    }
}

fn taping(given: &Given) -> Taping {
    let (track, sides) = tracks(&given.word("track"), given.word("channels") != "mono");
    Taping {
        sides,
        begin: Begin::Now,
        trim: given.word("trim") == "trim-silence",
        upload: None,
        source: "StartCallRecordingTwiML",
        track,
        callback: None,
    }
}

/// Takes note of an element of a table; why it cannot be had.
pub(super) fn refused(
    child: &Element,
    spec: &'static Spec,
    reader: &mut Reader,
) -> Option<&'static str> {
    reader.look(child, spec);
    reader.look_inside(child, spec);
    (spec.status == Status::Refused).then_some(spec.note)
}

/// A Stream, as the document has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stream {
    url: Option<String>,
    name: Option<String>,
    tracks: Tracks,
    parameters: Vec<(String, String)>,
    told: Option<Told>,
}

impl Stream {
    pub(super) fn read(element: &Element, reader: &mut Reader) -> Self {
        let given = reader.look(element, &STREAM);
        let mut parameters = Vec::new();
        reader.within(element, |reader| {
            for child in element.children() {
                if child.name != PARAMETER.name {
                    reader.stray(child, [PARAMETER.name].into_iter());
                    continue;
                }
                let given = reader.look(child, &PARAMETER);
                if let Some(name) = given.text("name") {
                    parameters.push((name, given.raw("value").unwrap_or_default()));
                }
            }
        });
        Self {
            url: given.text("url"),
            name: given.text("name"),
            tracks: Tracks::named(&given.word("track")).unwrap_or_default(),
            parameters,
            told: given.told("statusCallback"),
        }
    }

    /// The stream with whole URLs.
    pub(super) fn resolved<L: Line>(&self, run: &Run<'_, L>) -> Result<orders::Stream, Trouble> {
        let given = self.url.as_deref();
        let url = match run.session.profile {
            Profile::Kazoo => run.socket(given),
            Profile::Twilio => given.map(str::to_owned),
        };
        Ok(orders::Stream {
            url: url.ok_or_else(|| Trouble::Failed("Stream has no url".to_owned()))?,
            name: self.name.clone(),
            tracks: self.tracks,
            parameters: self.parameters.clone(),
            callback: run.callback(self.told.as_ref()),
        })
    }
}
