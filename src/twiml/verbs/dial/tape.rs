//! How the talk of a Dial is recorded.

use super::super::record;
use crate::call::Begin;
use crate::recordings::Method;
use crate::twiml::exec::Run;
use crate::twiml::line::Line;
use crate::twiml::lint::Given;
use crate::twiml::orders::{Taping, Told, tracks};

/// How a talk is recorded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tape {
    taping: Taping,
    upload: Option<(String, Method)>,
    told: Option<Told>,
}

impl Tape {
    pub(super) fn read(given: &Given) -> Option<Self> {
        let how = given.word("record");
        if matches!(how.as_str(), "" | "false" | "do-not-record") {
            return None;
        }
        let (track, sides) = tracks(&given.word("recordingTrack"), how.ends_with("-dual"));
        let taping = Taping {
            sides,
            begin: match how.starts_with("record-from-ringing") {
                true => Begin::Now,
                false => Begin::Bridge,
            },
            trim: given.word("trim") == "trim-silence",
            upload: None,
            source: "DialVerb",
            track,
            callback: None,
        };
        Some(Self {
            taping,
            upload: record::upload(given),
            told: given.told("recordingStatusCallback"),
        })
    }

    /// Has the talk recorded; the recording's id.
    pub(super) fn begin<L: Line>(&self, run: &Run<'_, L>) -> Option<String> {
        let taping = Taping {
            upload: run.upload(self.upload.as_ref()),
            callback: run.callback(self.told.as_ref()),
            ..self.taping.clone()
        };
        let begun = run.line.start_recording(&taping);
        begun
            .inspect_err(|why| run.line.note(&format!("Dial: it is not recorded: {why}")))
            .ok()
    }
}
