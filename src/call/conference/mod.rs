//! Conferences: rooms of an account in which many legs hear each other. Signalling thread only.
//!
//! - here: the rooms there are, and what is told of them. `room`: one room and its members.
//! - `ops::conference` takes a call through its stay.

mod room;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

pub use room::Conference;
pub use room::MOST_MEMBERS;
pub(in crate::call) use room::{Refused, Stage};

use crate::base::id::PortId;
use crate::base::time::UnixMicros;
use crate::call::core::Core;
use crate::call::ops::conference::ConferenceOptions;
use crate::clips::Audio;
use crate::host::task;
use crate::media::{MediaEvent, RecordEnd};

/// The rooms of all accounts. Made at the first join, gone with the last member.
#[derive(Default)]
pub(in crate::call) struct Conferences {
    /// By account and name.
    rooms: BTreeMap<(String, String), Rc<Conference>>,
    /// By the name of the room at the media engine: also those that are over and whose recording is not complete.
    by_media: BTreeMap<PortId, Rc<Conference>>,
}

/// A member, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Its number in the room, from 1.
    pub id: u32,
    /// SIP Call-ID of its leg.
    pub call_id: String,
    /// Who it is, by name.
    pub caller_id_name: String,
    /// Who it is, by number.
    pub caller_id_number: String,
    /// TwiML's `participantLabel`.
    pub label: Option<String>,
    /// Whether it is a moderator.
    pub moderator: bool,
    /// The others do not hear it.
    pub muted: bool,
    /// It does not hear the others.
    pub deaf: bool,
    /// Somebody outside put it on hold, or its phone holds us.
    pub held: bool,
    /// It talks only to the member with that Call-ID.
    pub coaching: Option<String>,
    /// The conference begins with it.
    pub start_on_enter: bool,
    /// The conference ends with it.
    pub end_on_exit: bool,
    /// It waits for the conference to begin.
    pub waiting: bool,
    /// It talks, as far as somebody wanted to know.
    pub talking: bool,
    /// When it came.
    pub joined: UnixMicros,
}

/// A room, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConferenceInfo {
    /// `CF` and 32 hexadecimal characters: names this one meeting.
    pub id: String,
    /// The name members joined by.
    pub name: String,
    /// Nobody else may join.
    pub locked: bool,
    /// The conference has begun.
    pub started: bool,
    /// It is recorded.
    pub recording: bool,
    /// When the first member came.
    pub began: UnixMicros,
    /// Members in the order they came.
    pub participants: Vec<Participant>,
}

/// Something that happened in a room, in the order it did.
#[derive(Debug, Clone)]
pub struct ConferenceEvent {
    /// The meeting, as in [`ConferenceInfo::id`].
    pub id: String,
    /// The name members joined by.
    pub name: String,
    /// Account id.
    pub account: String,
    /// Counted from 1.
    pub sequence: u64,
    /// When.
    pub at: UnixMicros,
    /// What.
    pub what: Happened,
    /// Whom it is about.
    pub participant: Option<Participant>,
}

/// What happened in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// At least two hear each other.
    Start,
    /// Nobody is left.
    End {
        /// Why.
        why: Ending,
        /// Call-ID of the member whose leaving ended it.
        by: Option<String>,
    },
    /// A member came.
    Join,
    /// A member left, or was sent away.
    Leave {
        /// It was sent away.
        kicked: bool,
    },
    /// A member is heard no more.
    Mute,
    /// A member is heard again.
    Unmute,
    /// A member was put on hold: it neither hears nor is heard.
    Hold,
    /// A member is there again.
    Unhold,
    /// Something else of a member changed.
    Modify,
    /// What everybody was to hear has ended.
    Announced {
        /// What it was.
        what: String,
        /// Why nobody heard it.
        failed: Option<String>,
    },
    /// A member begins to talk.
    SpeechStart,
    /// A member ends to talk.
    SpeechStop,
    /// A recording began.
    RecordingStart,
    /// A recording is complete.
    Recorded {
        /// Where it is, below the recordings directory.
        path: PathBuf,
        /// The room has kept it: nobody else needs to.
        kept: bool,
        /// How long it is.
        length: Duration,
        /// Why it ended.
        why: RecordEnd,
    },
}

impl Happened {
    /// TwiML's name of the event (`StatusCallbackEvent`); recordings have callbacks of their own.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Start => "conference-start",
            Self::End { .. } => "conference-end",
            Self::Join => "participant-join",
            Self::Leave { .. } => "participant-leave",
            Self::Mute => "participant-mute",
            Self::Unmute => "participant-unmute",
            Self::Hold => "participant-hold",
            Self::Unhold => "participant-unhold",
            Self::Modify => "participant-modify",
            Self::Announced { failed: None, .. } => "announcement-end",
            Self::Announced { .. } => "announcement-fail",
            Self::SpeechStart => "participant-speech-start",
            Self::SpeechStop => "participant-speech-stop",
            Self::RecordingStart => "recording-start",
            Self::Recorded { .. } => "recording-completed",
        }
    }
}

/// Why a conference ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Somebody outside wanted it.
    Asked,
    /// A member left with whom it ends.
    LeaderLeft,
    /// Such a member was sent away.
    LeaderKicked,
    /// The last member left.
    LastLeft,
    /// The last member was sent away.
    LastKicked,
}

impl Ending {
    /// TwiML's `ReasonConferenceEnded`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Asked => "conference-ended-via-api",
            Self::LeaderLeft => "participant-with-end-conference-on-exit-left",
            Self::LeaderKicked => "participant-with-end-conference-on-exit-kicked",
            Self::LastLeft => "last-participant-left",
            Self::LastKicked => "last-participant-kicked",
        }
    }
}

/// Something to be done to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Nobody else may join, or everybody again.
    Lock(bool),
    /// Everybody hears that medium.
    Play(String),
    /// What is said is recorded, or no more.
    Record(bool),
    /// To every member.
    Everybody(MemberOrder),
    /// To the member of that number.
    Member(u32, MemberOrder),
}

/// Something to be done to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberOrder {
    /// The others do not hear it, or do.
    Mute(bool),
    /// It does not hear the others, or does.
    Deaf(bool),
    /// Both, until it is taken back; a mute member is still mute then.
    Hold(bool),
    /// It has to go.
    Kick,
}

impl Core {
    /// Does something to a room. `false`: nobody is in it, or there is no such member.
    pub fn order_conference(&self, account: &str, name: &str, order: Order) -> bool {
        let Some(room) = self.conference(account, name) else {
            return false;
        };
        let one = |id, order| match order {
            MemberOrder::Mute(muted) => room.mute(id, Some(muted)).is_some(),
            MemberOrder::Deaf(deaf) => room.deafen(id, Some(deaf)).is_some(),
            MemberOrder::Hold(hold) => room.hold(id, hold).is_some(),
            MemberOrder::Kick => room.kick(id),
        };
        match order {
            Order::Lock(locked) => room.lock(locked),
            Order::Play(reference) => self.play_to(&room, reference),
            // What is so already stays so.
            Order::Record(true) => {
                room.record_and_keep();
            }
            Order::Record(false) => {
                room.stop_recording();
            }
            Order::Member(id, order) => return one(id, order),
            Order::Everybody(order) => {
                for member in room.info().participants {
                    one(member.id, order);
                }
            }
        }
        true
    }

    /// Fetches a medium and plays it to a room.
    fn play_to(&self, room: &Rc<Conference>, reference: String) {
        let services = self.services();
        let Some(account) = services.directory.account(room.account()) else {
            return;
        };
        let room = room.clone();
        task::spawn_local("conference-play", async move {
            let clips = services.clips.clone();
            let failed = match clips.resolve(&account, &reference, LANGUAGE).await {
                Ok(Audio::Clip(clip) | Audio::Tone { clip, .. }) => {
                    let length = clip.duration();
                    room.play(clip);
                    tokio::time::sleep(length).await;
                    None
                }
                Ok(_) => Some("it has no end".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = &failed {
                tracing::debug!(reference, why, "is not played to a room");
            }
            room.announced(reference, failed);
        });
    }

    /// The room of that name, when somebody is in it.
    pub fn conference(&self, account: &str, name: &str) -> Option<Rc<Conference>> {
        let key = (account.to_owned(), name.to_owned());
        self.0.conferences.borrow().rooms.get(&key).cloned()
    }

    /// The rooms of an account.
    pub fn conferences(&self, account: &str) -> Vec<Rc<Conference>> {
        let all = self.0.conferences.borrow();
        let own = all.rooms.iter().filter(|((of, _), _)| of == account);
        own.map(|(_, room)| room.clone()).collect()
    }

    /// The room to join: the one there is, or a new one.
    pub(in crate::call) fn conference_for(
        &self,
        account: &str,
        options: &ConferenceOptions,
    ) -> Rc<Conference> {
        if let Some(known) = self.conference(account, &options.name) {
            return known;
        }
        let id = format!("CF{}", self.0.rng.borrow_mut().hex(16));
        let room = self.0.media.room();
        let media = room.id();
        let made = Rc::new(Conference::new(self.clone(), id, account, options, room));
        let mut all = self.0.conferences.borrow_mut();
        let key = (account.to_owned(), options.name.clone());
        all.rooms.insert(key, made.clone());
        all.by_media.insert(media, made.clone());
        made
    }

    /// The room is over. While a recording of it is not complete, its name at the media engine stays known.
    pub(in crate::call) fn conference_over(&self, conference: &Rc<Conference>) {
        let mut all = self.0.conferences.borrow_mut();
        let key = (
            conference.account().to_owned(),
            conference.name().to_owned(),
        );
        if all
            .rooms
            .get(&key)
            .is_some_and(|room| Rc::ptr_eq(room, conference))
        {
            all.rooms.remove(&key);
        }
        if !conference.is_recording() {
            all.by_media.remove(&conference.media());
        }
    }

    /// An event of the media engine that is about rooms. Whether it was for one.
    pub(in crate::call) fn conference_event(&self, event: &MediaEvent) -> bool {
        match event {
            MediaEvent::Talking { port, on } => {
                let rooms: Vec<_> = self
                    .0
                    .conferences
                    .borrow()
                    .rooms
                    .values()
                    .cloned()
                    .collect();
                rooms.iter().any(|room| room.talking(*port, *on))
            }
            MediaEvent::Recorded {
                port,
                op,
                length,
                why,
            } => {
                let room = self.0.conferences.borrow().by_media.get(port).cloned();
                let Some(room) = room else { return false };
                room.recorded(*op, *length, *why);
                if room.is_over() && !room.is_recording() {
                    self.0.conferences.borrow_mut().by_media.remove(port);
                }
                true
            }
            MediaEvent::Finished { port, .. } => {
                self.0.conferences.borrow().by_media.contains_key(port)
            }
            MediaEvent::Digit { .. }
            | MediaEvent::Silent { .. }
            | MediaEvent::Insecure { .. }
            | MediaEvent::Sampled { .. }
            | MediaEvent::Closed { .. } => false,
        }
    }
}

/// A medium is played to a room in the language it has.
const LANGUAGE: &str = "en-us";
