//! What a Dial leads to instead of callees: a conference, or the next caller of a queue.

use std::time::Duration;

use crate::base::keys::Keys;
use crate::base::profile::Profile;
use crate::pivot::RequestMethod;
use crate::twiml::exec::Run;
use crate::twiml::line::Line;
use crate::twiml::lint::Given;
use crate::twiml::orders::{Room, Taken, Told, Wait};

/// Where a Dial leads instead of to callees.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    Conference(Box<Conference>),
    Queue {
        name: String,
        /// What the waiting caller hears before both talk.
        announce: Option<(String, RequestMethod)>,
    },
}

/// A Conference, as the document has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conference {
    /// Without what depends on where the document came from.
    pub(super) room: Room,
    wait: Option<String>,
    wait_method: RequestMethod,
    callback: Option<Told>,
    recording: Option<Told>,
}

impl Conference {
    pub(super) fn read(text: String, given: &Given) -> Self {
        let beep = given.word("beep");
        let most = given.number("maxParticipants").unwrap_or(250);
        Self {
            room: Room {
                name: given.text("id").unwrap_or(text),
                start_on_enter: given.flag("startConferenceOnEnter"),
                end_on_exit: given.flag("endConferenceOnExit"),
                end_on_last: given.flag("endConferenceOnLastMemberExit"),
                muted: given.flag("muted"),
                deaf: given.flag("deaf"),
                beep_enter: beep == "true" || beep == "onenter",
                beep_exit: beep == "true" || beep == "onexit",
                wait: Wait::HoldMusic,
                most: usize::try_from(most).unwrap_or(250),
                record: matches!(given.word("record").as_str(), "record-from-start" | "true"),
                coach: given.text("coach"),
                label: given.text("participantLabel"),
                leave_on: Keys::NONE,
                limit: Duration::MAX,
                callback: None,
                recording: None,
            },
            wait: given.raw("waitUrl"),
            wait_method: given.post_or_get("waitMethod"),
            callback: given.told("statusCallback"),
            recording: given.told("recordingStatusCallback"),
        }
    }

    pub(super) fn room<L: Line>(&self, run: &Run<'_, L>, leave_on: Keys, limit: Duration) -> Room {
        let kazoo = run.session.profile == Profile::Kazoo;
        Room {
            wait: run.wait(self.wait.as_deref(), self.wait_method, kazoo),
            leave_on,
            limit,
            callback: run.callback(self.callback.as_ref()),
            recording: run.callback(self.recording.as_ref()),
            ..self.room.clone()
        }
    }
}

/// What later requests tell of a caller who was taken out of a queue.
pub(super) fn tell_taken<L: Line>(taken: &Taken, run: &mut Run<'_, L>) {
    let session = &mut *run.session;
    session.set("QueueSid", taken.queue.as_str());
    let result = if taken.talked {
        "bridged"
    } else {
        "queue-empty"
    };
    session.set("DequeueResult", result);
    if let Some(id) = &taken.call_id {
        session.set("DequeuedCallSid", id.as_str());
        let seconds = |length: Duration| length.as_secs().to_string();
        session.set("DequeuedCallQueueTime", seconds(taken.waited));
        session.set("DequeuedCallDuration", seconds(taken.length));
    }
}
