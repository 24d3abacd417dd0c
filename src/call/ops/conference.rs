//! `conference`: a call takes part in a room until it leaves, is sent away, or the conference ends. The callflow module
//! `conference` and TwiML's `<Conference>` use it.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::play::PlayOptions;
use super::waiting::{WaitFacts, WaitSound};
use crate::audio::Clip;
use crate::base::keys::Keys;
use crate::call::conference::{Conference, ConferenceEvent, Ending, Refused, Stage};
use crate::call::core::Script;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::host::clock;
use crate::journal::Code;

/// Which room, and how to take part in it.
#[derive(Clone)]
pub struct ConferenceOptions {
    /// The room's name; one of that name an account.
    pub name: String,
    /// Shown as a moderator.
    pub moderator: bool,
    /// The conference begins with this member (`startConferenceOnEnter`).
    pub start_on_enter: bool,
    /// The conference ends with this member (`endConferenceOnExit`).
    pub end_on_exit: bool,
    /// The conference ends with the last of such members (KAZOO's `require_moderator`).
    pub end_on_last_leader: bool,
    /// The others do not hear it.
    pub muted: bool,
    /// It does not hear the others.
    pub deaf: bool,
    /// When the others hear a tone.
    pub beep: Beep,
    /// The tone of joining; `None`: ours.
    pub enter_tone: Option<Arc<Clip>>,
    /// The tone of leaving; `None`: ours.
    pub exit_tone: Option<Arc<Clip>>,
    /// What it hears before the conference begins (`waitUrl`).
    pub wait: WaitSound,
    /// Whether it hears that as well while nobody else is there.
    pub wait_alone: bool,
    /// This member does not join a room that has so many; 250 at the most.
    pub max_participants: Option<usize>,
    /// Record the conference from its start, below the recordings directory; whoever says so first decides.
    pub record: Option<PathBuf>,
    /// Call-ID of the one member that hears this one (`coach`).
    pub coach: Option<String>,
    /// TwiML's `participantLabel`.
    pub label: Option<String>,
    /// Keys `*1` to `*6` change what it says and hears (callflow.md §4.5).
    pub controls: bool,
    /// Keys that leave the conference at once.
    pub leave_on: Keys,
    /// The longest stay.
    pub limit: Option<Duration>,
    /// Whether the hook is told when it begins and ends to talk.
    pub report_speech: bool,
    /// Is told what happens in the room; whoever brings one first decides.
    pub hook: Option<ConferenceHook>,
}

/// Is told what happens in a room. Called on the signalling thread; it must not wait.
pub type ConferenceHook = Rc<dyn Fn(&ConferenceEvent)>;

/// When the others hear a tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beep {
    /// When the member comes.
    pub on_enter: bool,
    /// When it leaves.
    pub on_exit: bool,
}

impl Default for ConferenceOptions {
    /// TwiML's defaults, without a name.
    fn default() -> Self {
        Self {
            name: String::new(),
            moderator: false,
            start_on_enter: true,
            end_on_exit: false,
            end_on_last_leader: false,
            muted: false,
            deaf: false,
            beep: Beep {
                on_enter: true,
                on_exit: true,
            },
            enter_tone: None,
            exit_tone: None,
            wait: WaitSound::HoldMusic,
            wait_alone: true,
            max_participants: None,
            record: None,
            coach: None,
            label: None,
            controls: false,
            leave_on: Keys::NONE,
            limit: None,
            report_speech: false,
            hook: None,
        }
    }
}

impl fmt::Debug for ConferenceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConferenceOptions")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How a stay went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conferenced {
    /// Names the meeting; empty when it was never joined.
    pub id: String,
    /// Why it ended.
    pub why: ConferenceEnd,
    /// How long it was.
    pub length: Duration,
}

/// Why a stay ended, while the caller is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConferenceEnd {
    /// The room had all the members it may have.
    Full,
    /// The room was locked.
    Locked,
    /// The caller left by that key.
    Left(char),
    /// The caller was sent away.
    Kicked,
    /// The conference ended.
    Over(Ending),
    /// The longest stay was over.
    Limit,
}

/// What woke a member.
enum Woken {
    Moved,
    Key(char),
}

impl CallHandle {
    /// Answers, and takes part in the room until something ends that. Dropping the future leaves the room.
    ///
    /// # Errors
    /// When the call ends or has no media.
    pub async fn conference(&self, options: ConferenceOptions) -> Result<Conferenced, CallError> {
        self.answer().await?;
        self.open_media().await?;
        let account = self.facts().account.id.to_string();
        let room = self.core().conference_for(&account, &options);
        let id = match room.enter(self, &options) {
            Ok(id) => id,
            Err(refused) => {
                let code = match refused {
                    Refused::Full => Code::ConferenceFull,
                    Refused::Locked => Code::ConferenceLocked,
                };
                let values = vec![
                    ("conference", options.name.clone()),
                    ("limit", room.len().to_string()),
                ];
                self.trouble(code, values);
                return Ok(Conferenced {
                    id: String::new(),
                    why: match refused {
                        Refused::Full => ConferenceEnd::Full,
                        Refused::Locked => ConferenceEnd::Locked,
                    },
                    length: Duration::ZERO,
                });
            }
        };
        let stay = Stay {
            seat: Seat {
                room,
                id,
                options: Rc::new(options),
            },
            call: self.clone(),
        };
        self.stay(stay).await
    }

    /// Takes part in the room whose seat that is.
    async fn stay(&self, stay: Stay) -> Result<Conferenced, CallError> {
        let begin = clock::now();
        let (room, options) = (stay.seat.room.clone(), stay.seat.options.clone());
        self.sits(stay.seat.clone());
        self.vars()
            .channel_vars
            .insert("Conference-ID".to_owned(), room.id().into());
        let taking_part = Box::pin(self.take_part(&stay, &options));
        let why = match options.limit {
            Some(limit) => match tokio::time::timeout(limit, taking_part).await {
                Ok(why) => why?,
                Err(_elapsed) => ConferenceEnd::Limit,
            },
            None => taking_part.await?,
        };
        drop(stay);
        Ok(Conferenced {
            id: room.id().to_owned(),
            why,
            length: clock::now().saturating_duration_since(begin),
        })
    }

    /// How many are in the room of that name.
    pub fn conference_size(&self, account: &str, name: &str) -> usize {
        let room = self.core().conference(account, name);
        room.map_or(0, |room| room.len())
    }

    async fn take_part(
        &self,
        stay: &Stay,
        options: &ConferenceOptions,
    ) -> Result<ConferenceEnd, CallError> {
        let mut star = false;
        loop {
            let stage = stay.seat.room.stage(stay.seat.id);
            stay.seat.room.seat(stay.seat.id, stage);
            let woken = match stage {
                Stage::Kicked => return Ok(ConferenceEnd::Kicked),
                Stage::Over(why) => return Ok(ConferenceEnd::Over(why)),
                Stage::Inside(_) => self.stirred(stay, stage).await?,
                // Keys are the conference's also while a flow runs, which collects none.
                Stage::Waiting => tokio::select! {
                    biased;
                    woken = self.stirred(stay, stage) => woken?,
                    ended = self.entertain(&options.wait, WaitFacts::default) => {
                        // There is no way out of a conference but to leave it by a key.
                        ended?;
                        self.stirred(stay, stage).await?
                    }
                },
            };
            let Woken::Key(key) = woken else { continue };
            if star && options.controls {
                star = false;
                self.control(stay, key).await?;
            } else if options.leave_on.contains(key) {
                return Ok(ConferenceEnd::Left(key));
            } else {
                star = key == '*';
            }
        }
    }

    /// Waits until the member stands elsewhere, or a key is pressed.
    async fn stirred(&self, stay: &Stay, stage: Stage) -> Result<Woken, CallError> {
        self.wait(|state| {
            if let Some(key) = state.keys.pop_front() {
                return Some(Woken::Key(key));
            }
            Some(Woken::Moved).filter(|_| stay.seat.room.stage(stay.seat.id) != stage)
        })
        .await
    }

    /// A key after `*`.
    async fn control(&self, stay: &Stay, key: char) -> Result<(), CallError> {
        let (room, id) = (&stay.seat.room, stay.seat.id);
        let muting = |muted| {
            let prompt = |now| if now { "conf-muted" } else { "conf-unmuted" };
            room.mute(id, muted).map(prompt)
        };
        let deafening = |deaf| {
            let prompt = |now| if now { "conf-deaf" } else { "conf-undeaf" };
            room.deafen(id, deaf).map(prompt)
        };
        let prompt = match key {
            '1' => muting(None),
            '2' => muting(Some(false)),
            '3' => muting(Some(true)),
            '4' => deafening(None),
            '5' => deafening(Some(false)),
            '6' => deafening(Some(true)),
            _ => None,
        };
        let Some(prompt) = prompt else { return Ok(()) };
        room.seat(id, room.stage(id));
        let (clips, account) = (self.clips(), self.facts().account.clone());
        match clips.prompt(&account, prompt, &self.language()).await {
            Ok(audio) => {
                let quiet = PlayOptions {
                    keep_keys: true,
                    terminators: Keys::NONE,
                    ..PlayOptions::default()
                };
                match self.play(vec![audio], quiet).await {
                    Err(error) if error.is_ended() => return Err(error),
                    Ok(_) | Err(_) => {}
                }
            }
            Err(error) => tracing::debug!(call = ?self, %error, prompt, "not said"),
        }
        Ok(())
    }
}

/// A member's place in a room.
#[derive(Clone)]
pub(in crate::call) struct Seat {
    room: Rc<Conference>,
    id: u32,
    options: Rc<ConferenceOptions>,
}

impl Seat {
    /// Whether both are the same seat.
    pub(in crate::call) fn is(&self, other: &Self) -> bool {
        self.id == other.id && Rc::ptr_eq(&self.room, &other.room)
    }

    /// What whoever takes this seat does: it sits there at once, stays until something ends that, and its call is over.
    pub(in crate::call) fn script(self) -> Script {
        Rc::new(move |call: CallHandle| {
            let taken = self.room.hand_over(self.id, &call).map(|id| Stay {
                seat: Seat { id, ..self.clone() },
                call: call.clone(),
            });
            Box::pin(async move {
                let Some(stay) = taken else { return };
                let sat = async {
                    call.answer().await?;
                    call.open_media().await?;
                    call.stay(stay).await
                };
                if let Err(error) = Box::pin(sat).await {
                    tracing::debug!(?call, %error, "a seat that was handed over is left");
                }
            })
        })
    }
}

/// A member's stay; it leaves the room when this is dropped.
struct Stay {
    seat: Seat,
    call: CallHandle,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.seat.room.leave(self.seat.id);
        self.call.leaves(&self.seat);
    }
}
