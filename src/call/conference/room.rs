//! One room: who is in it, who may be heard, when it begins and ends.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{ConferenceEvent, ConferenceInfo, Ending, Happened, Participant};
use crate::audio::Clip;
use crate::base::id::{OpId, PortId};
use crate::base::time::UnixMicros;
use crate::call::core::Core;
use crate::call::handle::CallHandle;
use crate::call::ops::conference::{ConferenceHook, ConferenceOptions};
use crate::host::clock;
use crate::journal::Fact;
use crate::media::{RecordEnd, RecordSpec, Room, Seating};
use crate::recordings::Recording;

/// A room of an account.
pub struct Conference {
    core: Core,
    id: String,
    account: String,
    name: String,
    began: UnixMicros,
    room: Room,
    inner: RefCell<Inner>,
}

struct Inner {
    members: Vec<Member>,
    /// The number of the next member.
    next: u32,
    /// Somebody came with whom it begins.
    started: bool,
    /// At least two have heard each other.
    met: bool,
    locked: bool,
    over: Option<Ending>,
    recording: Option<(OpId, PathBuf)>,
    /// What runs, where no document of a call but somebody outside asked for it: the room keeps it itself.
    keeps: Option<Recording>,
    /// What is to be recorded once it begins.
    to_record: Option<PathBuf>,
    sequence: u64,
    hook: Option<ConferenceHook>,
    /// The call that came or left last: what concerns nobody is noted with it.
    last: String,
}

struct Member {
    id: u32,
    call: CallHandle,
    port: Option<PortId>,
    options: ConferenceOptions,
    muted: bool,
    deaf: bool,
    /// It neither hears nor is heard, because somebody outside wanted it.
    on_hold: bool,
    kicked: bool,
    /// Its seat is somebody else's now: its leaving is nobody's concern.
    replaced: bool,
    talking: bool,
    /// It hears the conference, or would.
    inside: bool,
    joined: UnixMicros,
}

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::call) enum Stage {
    /// The conference has not begun, or nobody else is there.
    Waiting,
    /// In the room.
    Inside(Seating),
    /// It was sent away.
    Kicked,
    /// The conference has ended.
    Over(Ending),
}

/// Why somebody may not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::call) enum Refused {
    Full,
    Locked,
}

impl Conference {
    pub(super) fn new(
        core: Core,
        id: String,
        account: &str,
        options: &ConferenceOptions,
        room: Room,
    ) -> Self {
        Self {
            core,
            id,
            account: account.to_owned(),
            name: options.name.clone(),
            began: clock::unix_now(),
            room,
            inner: RefCell::new(Inner {
                members: Vec::new(),
                next: 1,
                started: false,
                met: false,
                locked: false,
                over: None,
                recording: None,
                keeps: None,
                to_record: None,
                sequence: 0,
                hook: None,
                last: String::new(),
            }),
        }
    }

    /// The name members joined by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names this one meeting.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(super) fn media(&self) -> PortId {
        self.room.id()
    }

    pub(super) fn is_recording(&self) -> bool {
        self.inner.borrow().recording.is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        self.inner.borrow().over.is_some()
    }

    /// The room as it is shown.
    pub fn info(&self) -> ConferenceInfo {
        let inner = self.inner.borrow();
        ConferenceInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            locked: inner.locked,
            started: inner.started,
            recording: inner.recording.is_some(),
            began: self.began,
            participants: inner.members.iter().map(|m| inner.shown(m)).collect(),
        }
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.inner.borrow().members.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes somebody in; its number.
    pub(in crate::call) fn enter(
        &self,
        call: &CallHandle,
        options: &ConferenceOptions,
    ) -> Result<u32, Refused> {
        let most = options
            .max_participants
            .unwrap_or(MOST_MEMBERS)
            .clamp(1, MOST_MEMBERS);
        let port = call.state().media.port.as_ref().map(|port| port.id());
        let id = {
            let mut inner = self.inner.borrow_mut();
            if inner.locked || inner.over.is_some() {
                return Err(Refused::Locked);
            }
            if inner.members.len() >= most {
                return Err(Refused::Full);
            }
            let id = inner.next;
            inner.next += 1;
            inner.last.clone_from(&call.own_facts().call_id);
            inner.started |= options.start_on_enter;
            if inner.hook.is_none() {
                inner.hook.clone_from(&options.hook);
            }
            if inner.to_record.is_none() && inner.recording.is_none() {
                inner.to_record.clone_from(&options.record);
            }
            inner.members.push(Member {
                id,
                call: call.clone(),
                port,
                options: options.clone(),
                muted: options.muted,
                deaf: options.deaf,
                on_hold: false,
                kicked: false,
                replaced: false,
                talking: false,
                inside: false,
                joined: clock::unix_now(),
            });
            id
        };
        if options.beep.on_enter {
            self.beep(options.enter_tone.as_ref(), ENTER_TONE);
        }
        self.tell(Happened::Join, Some(id));
        self.met();
        self.wake();
        Ok(id)
    }

    /// Has `call` sit where the member of that number does, who leaves without the others taking notice. The new number;
    /// `None`: there is no such member any more.
    pub(in crate::call) fn hand_over(&self, id: u32, call: &CallHandle) -> Option<u32> {
        let port = call.state().media.port.as_ref().map(|port| port.id());
        let new = {
            let mut inner = self.inner.borrow_mut();
            if inner.over.is_some() {
                return None;
            }
            let new = inner.next;
            let before = inner.members.iter_mut().find(|m| m.id == id && !m.kicked)?;
            before.replaced = true;
            let member = Member {
                id: new,
                call: call.clone(),
                port,
                options: before.options.clone(),
                muted: before.muted,
                deaf: before.deaf,
                on_hold: before.on_hold,
                kicked: false,
                replaced: false,
                talking: false,
                inside: false,
                joined: clock::unix_now(),
            };
            inner.members.push(member);
            inner.next += 1;
            inner.last.clone_from(&call.own_facts().call_id);
            new
        };
        self.tell(Happened::Join, Some(new));
        self.wake();
        Some(new)
    }

    /// Two hear each other for the first time.
    fn met(&self) {
        let record = {
            let mut inner = self.inner.borrow_mut();
            if inner.met || !inner.started || inner.members.len() < 2 {
                return;
            }
            inner.met = true;
            inner.to_record.take()
        };
        self.tell(Happened::Start, None);
        if let Some(path) = record {
            self.record(path);
        }
    }

    /// A member is gone, for whatever reason.
    pub(in crate::call) fn leave(self: &Rc<Self>, id: u32) {
        let (member, shown) = {
            let mut inner = self.inner.borrow_mut();
            let Some(at) = inner.members.iter().position(|m| m.id == id) else {
                return;
            };
            let member = inner.members.remove(at);
            let shown = inner.shown(&member);
            inner.last.clone_from(&shown.call_id);
            (member, shown)
        };
        if let Some(port) = &member.call.state().media.port {
            self.room.leave(port);
        }
        let kicked = member.kicked;
        if member.options.beep.on_exit && member.inside && !member.replaced {
            self.beep(member.options.exit_tone.as_ref(), EXIT_TONE);
        }
        let call_id = shown.call_id.clone();
        self.told(Happened::Leave { kicked }, Some(shown));
        let why = {
            let mut inner = self.inner.borrow_mut();
            let leader = !member.replaced
                && (member.options.end_on_exit
                    || (member.options.end_on_last_leader
                        && !inner.members.iter().any(|m| m.options.end_on_last_leader)));
            let why = match (leader && inner.started, inner.members.is_empty(), kicked) {
                (true, _, true) => Some(Ending::LeaderKicked),
                (true, _, false) => Some(Ending::LeaderLeft),
                (false, true, true) => Some(Ending::LastKicked),
                (false, true, false) => Some(Ending::LastLeft),
                (false, false, _) => None,
            };
            let news = why.filter(|_| inner.over.is_none());
            inner.over = inner.over.or(why);
            news
        };
        if let Some(why) = why {
            let by = Some(call_id).filter(|_| why != Ending::LastLeft && why != Ending::LastKicked);
            self.finish(why, by);
        } else if self.is_empty() {
            self.core.conference_over(self);
        }
        self.wake();
    }

    fn finish(self: &Rc<Self>, why: Ending, by: Option<String>) {
        let recording = self.inner.borrow().recording.clone();
        if let Some((op, _)) = recording {
            self.room.stop_record(op);
        }
        self.tell(Happened::End { why, by }, None);
        self.core.conference_over(self);
    }

    /// Ends the conference: everybody goes on with what follows it.
    pub fn end(self: &Rc<Self>) {
        {
            let mut inner = self.inner.borrow_mut();
            if inner.over.is_some() {
                return;
            }
            inner.over = Some(Ending::Asked);
        }
        self.finish(Ending::Asked, None);
        self.wake();
    }

    /// Where a member stands.
    pub(in crate::call) fn stage(&self, id: u32) -> Stage {
        let inner = self.inner.borrow();
        let Some(member) = inner.members.iter().find(|m| m.id == id) else {
            return Stage::Kicked;
        };
        if let Some(why) = inner.over {
            return Stage::Over(why);
        }
        if member.kicked {
            return Stage::Kicked;
        }
        let alone = inner.members.len() < 2 && member.options.wait_alone;
        if !inner.started || alone {
            return Stage::Waiting;
        }
        let coached = |call_id: &String| {
            let found = inner.members.iter().find(|m| m.call_id() == *call_id);
            found.and_then(|m| m.port)
        };
        Stage::Inside(Seating {
            speaks: !member.muted && !member.on_hold,
            hears: !member.deaf && !member.on_hold,
            coaches: member.options.coach.as_ref().and_then(coached),
            reports: member.options.report_speech,
        })
    }

    /// Puts a member where it belongs now.
    pub(in crate::call) fn seat(&self, id: u32, stage: Stage) {
        let call = {
            let mut inner = self.inner.borrow_mut();
            let Some(member) = inner.members.iter_mut().find(|m| m.id == id) else {
                return;
            };
            member.inside = matches!(stage, Stage::Inside(_));
            member.call.clone()
        };
        if let Some(port) = &call.state().media.port {
            match stage {
                Stage::Inside(seating) => self.room.seat(port, seating),
                Stage::Waiting | Stage::Kicked | Stage::Over(_) => self.room.leave(port),
            }
        }
    }

    /// Nobody else may join, or everybody again.
    pub fn lock(&self, locked: bool) {
        self.inner.borrow_mut().locked = locked;
    }

    /// Lets a member be heard or not; `None` changes it. What it is then; `None`: there is no such member.
    pub fn mute(&self, id: u32, muted: Option<bool>) -> Option<bool> {
        let (before, now, talked) = self.change(id, |member| {
            let before = member.muted;
            member.muted = muted.unwrap_or(!before);
            // Who is not listened to does not talk.
            let talked = member.muted && std::mem::take(&mut member.talking);
            (before, member.muted, talked)
        })?;
        if talked {
            self.tell(Happened::SpeechStop, Some(id));
        }
        if before != now {
            let what = if now {
                Happened::Mute
            } else {
                Happened::Unmute
            };
            self.tell(what, Some(id));
        }
        Some(now)
    }

    /// Lets a member hear the others or not; `None` changes it.
    pub fn deafen(&self, id: u32, deaf: Option<bool>) -> Option<bool> {
        let (before, now) = self.change(id, |member| {
            let before = member.deaf;
            member.deaf = deaf.unwrap_or(!before);
            (before, member.deaf)
        })?;
        if before != now {
            self.tell(Happened::Modify, Some(id));
        }
        Some(now)
    }

    /// Puts a member on hold, or takes that back. What it is then; `None`: there is no such member.
    pub fn hold(&self, id: u32, hold: bool) -> Option<bool> {
        let before = self.change(id, |member| std::mem::replace(&mut member.on_hold, hold))?;
        if before != hold {
            let what = match hold {
                true => Happened::Hold,
                false => Happened::Unhold,
            };
            self.tell(what, Some(id));
        }
        Some(hold)
    }

    /// What everybody was to hear has ended. Who has gone meanwhile is not told.
    pub(super) fn announced(&self, what: String, failed: Option<String>) {
        if self.inner.borrow().members.is_empty() {
            return;
        }
        self.tell(Happened::Announced { what, failed }, None);
    }

    /// Sends a member away. `false`: there is no such member.
    pub fn kick(&self, id: u32) -> bool {
        self.change(id, |member| member.kicked = true).is_some()
    }

    fn change<T>(&self, id: u32, change: impl FnOnce(&mut Member) -> T) -> Option<T> {
        let changed = {
            let mut inner = self.inner.borrow_mut();
            change(inner.members.iter_mut().find(|m| m.id == id)?)
        };
        self.wake();
        Some(changed)
    }

    /// The number of the member with that Call-ID.
    pub fn member(&self, call_id: &str) -> Option<u32> {
        let inner = self.inner.borrow();
        let found = inner.members.iter().find(|m| m.call_id() == call_id);
        found.map(|m| m.id)
    }

    /// Everybody in the room hears the clip once.
    pub fn play(&self, clip: Arc<Clip>) {
        self.room.play(self.core.next_op(), clip, false);
    }

    /// Records what is said, below the recordings directory. `false`: it is recorded already.
    pub fn record(&self, path: PathBuf) -> bool {
        let op = self.core.next_op();
        {
            let mut inner = self.inner.borrow_mut();
            if inner.recording.is_some() {
                return false;
            }
            inner.recording = Some((op, path.clone()));
        }
        self.room.record(
            op,
            RecordSpec {
                path,
                max: LONGEST_RECORDING,
                ..RecordSpec::default()
            },
        );
        self.tell(Happened::RecordingStart, None);
        true
    }

    /// Records what is said and keeps it with the account's recordings. `false`: it is recorded already.
    pub(super) fn record_and_keep(&self) -> bool {
        let now = clock::unix_now();
        let recording = {
            let inner = self.inner.borrow();
            let first = inner.members.first();
            let first = first.map(|member| member.call_id().to_owned());
            Recording {
                id: format!("{}-{}", now.month(), self.core.0.rng.borrow_mut().hex(16)),
                account: self.account.clone(),
                call_id: first.unwrap_or_else(|| inner.last.clone()),
                name: format!("conference_{}.wav", self.name),
                origin: format!("conference : {}", self.name),
                source_type: "conference".to_owned(),
                start: now,
                channels: 1,
                ..Recording::default()
            }
        };
        if self.is_recording() {
            return false;
        }
        // Before it begins, so that a crash loses nothing of it.
        self.core.services().shelf.open(&recording);
        self.inner.borrow_mut().keeps = Some(recording.clone());
        self.record(recording.path())
    }

    /// Ends the recording. `false`: there is none.
    pub fn stop_recording(&self) -> bool {
        let recording = self.inner.borrow().recording.clone();
        if let Some((op, _)) = &recording {
            self.room.stop_record(*op);
        }
        recording.is_some()
    }

    pub(super) fn recorded(&self, op: OpId, length: Duration, why: RecordEnd) {
        let (path, kept) = {
            let mut inner = self.inner.borrow_mut();
            match inner.recording.take() {
                Some((own, path)) if own == op => (path, inner.keeps.take()),
                other => {
                    inner.recording = other;
                    return;
                }
            }
        };
        let is_kept = kept.is_some();
        if let Some(recording) = kept {
            let shelf = &self.core.services().shelf;
            let duration_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            let recording = Recording {
                duration_ms,
                ..recording
            };
            match why {
                RecordEnd::TooShort => shelf.forget(&recording, "absent"),
                RecordEnd::Failed => shelf.forget(&recording, "failed"),
                _ => shelf.keep(&recording),
            }
        }
        let recorded = Happened::Recorded {
            path,
            kept: is_kept,
            length,
            why,
        };
        self.tell(recorded, None);
    }

    /// A member begins or ends to talk. Whether it is one of this room.
    pub(super) fn talking(&self, port: PortId, on: bool) -> bool {
        let id = {
            let mut inner = self.inner.borrow_mut();
            let of_port = |m: &&mut Member| m.port == Some(port);
            let Some(member) = inner.members.iter_mut().find(of_port) else {
                return false;
            };
            member.talking = on;
            member.id
        };
        let what = if on {
            Happened::SpeechStart
        } else {
            Happened::SpeechStop
        };
        self.tell(what, Some(id));
        true
    }

    fn beep(&self, own: Option<&Arc<Clip>>, usual: Tones) {
        let clip = own.cloned().unwrap_or_else(|| usual.clip());
        self.play(clip);
    }

    /// Every member looks again where it stands.
    fn wake(&self) {
        let calls: Vec<CallHandle> = {
            let inner = self.inner.borrow();
            inner.members.iter().map(|m| m.call.clone()).collect()
        };
        for call in calls {
            call.state_mut().wake();
        }
    }

    fn tell(&self, what: Happened, id: Option<u32>) {
        let participant = id.and_then(|id| {
            let inner = self.inner.borrow();
            let member = inner.members.iter().find(|m| m.id == id)?;
            Some(inner.shown(member))
        });
        self.told(what, participant);
    }

    fn told(&self, what: Happened, participant: Option<Participant>) {
        let (sequence, hook, members, last) = {
            let mut inner = self.inner.borrow_mut();
            inner.sequence += 1;
            let (hook, last) = (inner.hook.clone(), inner.last.clone());
            (inner.sequence, hook, inner.members.len(), last)
        };
        let at = clock::unix_now();
        let about = participant.as_ref().map(|p| p.call_id.clone());
        self.core.services().journal.emit(Fact::Conference {
            call_id: about.unwrap_or(last),
            at,
            account: self.account.clone(),
            conference: self.id.clone(),
            name: self.name.clone(),
            what: what.word(),
            members,
        });
        if let Some(hook) = hook {
            hook(&ConferenceEvent {
                id: self.id.clone(),
                name: self.name.clone(),
                account: self.account.clone(),
                sequence,
                at,
                what,
                participant,
            });
        }
    }
}

impl Inner {
    fn shown(&self, member: &Member) -> Participant {
        let facts = member.call.own_facts();
        let options = &member.options;
        Participant {
            id: member.id,
            call_id: facts.call_id.clone(),
            caller_id_name: facts.caller_id_name.clone(),
            caller_id_number: facts.caller_id_number.clone(),
            label: options.label.clone(),
            moderator: options.moderator,
            muted: member.muted,
            deaf: member.deaf,
            held: member.on_hold || member.call.holds(),
            coaching: options.coach.clone(),
            start_on_enter: options.start_on_enter,
            end_on_exit: options.end_on_exit,
            waiting: !member.inside,
            talking: member.talking,
            joined: member.joined,
        }
    }
}

impl Member {
    fn call_id(&self) -> &str {
        &self.call.own_facts().call_id
    }
}

/// Two tones of 120 ms.
type TonePair = (f32, f32);

/// The tones of joining and leaving.
#[derive(Clone, Copy)]
struct Tones(TonePair);

impl Tones {
    fn clip(self) -> Arc<Clip> {
        let (first, second) = self.0;
        let mut pcm = Vec::new();
        for frequency in [first, second] {
            let tone = crate::audio::Tone {
                volume_db: -16.0,
                ..crate::audio::Tone::new(&[frequency], 120, 20)
            };
            pcm.extend(tone.render(TONE_HZ));
        }
        Arc::new(Clip::new(TONE_HZ, pcm))
    }
}

/// Rising: somebody came.
const ENTER_TONE: Tones = Tones((660.0, 880.0));
/// Falling: somebody left.
const EXIT_TONE: Tones = Tones((880.0, 660.0));
/// The rate of rooms, so that nothing has to be made of the tones.
const TONE_HZ: u32 = 16_000;
/// Members of one room, whatever a document says.
pub const MOST_MEMBERS: usize = 250;
/// The longest recording of a conference.
const LONGEST_RECORDING: Duration = Duration::from_secs(24 * 3600);
