//! Conferences and queues.

use std::rc::Rc;

use super::Live;
use super::tell::{Teller, fields, notice};
use super::wait;
use crate::call::conference::{ConferenceEvent, Happened};
use crate::call::{
    Beep, CallHandle, ConferenceEnd, ConferenceOptions, DequeueOptions, DequeueResult,
    EnqueueOptions, QueueResult, WaitSound,
};
use crate::host::clock;
use crate::media::RecordEnd;
use crate::recordings::{Notice, Recording, Shelf};
use crate::twiml::Dialler;
use crate::twiml::line::{DialStatus, Dialled, Line as _, Trouble};
use crate::twiml::orders::{Room, Taken, Taking, Waited, Waiting};

pub(super) async fn conference<D: Dialler>(
    live: &Live<'_, D>,
    how: &Room,
) -> Result<Dialled, Trouble> {
    live.not_aside("Conference")?;
    let call = live.call;
    let begin = clock::now();
    let options = ConferenceOptions {
        name: how.name.clone(),
        start_on_enter: how.start_on_enter,
        end_on_exit: how.end_on_exit,
        end_on_last_leader: how.end_on_last,
        muted: how.muted,
        deaf: how.deaf,
        beep: Beep {
            on_enter: how.beep_enter,
            on_exit: how.beep_exit,
        },
        wait: wait::sound(live, &how.wait).await,
        max_participants: Some(how.most),
        record: how.record.then(|| {
            let recording = Recording {
                id: format!("{}-{}", clock::unix_now().month(), call.rng().hex(16)),
                account: call.facts().account.id.to_string(),
                ..Recording::default()
            };
            recording.path()
        }),
        coach: how.coach.clone(),
        label: how.label.clone(),
        leave_on: how.leave_on,
        limit: Some(how.limit),
        report_speech: wanted(how, "speaker"),
        hook: Some(Rc::new(hook(call, how))),
        ..ConferenceOptions::default()
    };
    let mut result = match Box::pin(call.conference(options)).await {
        Ok(stay) => match stay.why {
            ConferenceEnd::Full | ConferenceEnd::Locked => {
                live.note(&format!("the conference takes nobody: {:?}", stay.why));
                return Ok(Dialled::of(DialStatus::Failed));
            }
            ConferenceEnd::Left(_)
            | ConferenceEnd::Kicked
            | ConferenceEnd::Over(_)
            | ConferenceEnd::Limit => Dialled::of(DialStatus::Answered),
        },
        Err(error) if error.is_ended() => Dialled::of(DialStatus::Answered),
        Err(error) => return Err(error.into()),
    };
    result.duration = Some(clock::now().saturating_duration_since(begin));
    Ok(result)
}

fn wanted(how: &Room, event: &str) -> bool {
    how.callback.as_ref().is_some_and(|told| told.wants(event))
}

/// Tells what happens in the room, and keeps what is recorded there.
fn hook(call: &CallHandle, how: &Room) -> impl Fn(&ConferenceEvent) + 'static {
    let teller = how.callback.as_ref().map(|told| Teller::new(call, told));
    let tape = Tape {
        shelf: call.services().shelf.clone(),
        call_id: call.facts().call_id.clone(),
        notice: notice(how.recording.as_ref(), "Conference", ""),
    };
    move |event| {
        tape.take(event);
        let Some(teller) = &teller else { return };
        if class(&event.what).is_some_and(|class| teller.callback.wants(class)) {
            teller.tell(said(event));
        }
    }
}

/// The word of `statusCallbackEvent` that asks for it.
fn class(what: &Happened) -> Option<&'static str> {
    Some(match what {
        Happened::Start => "start",
        Happened::End { .. } => "end",
        Happened::Join => "join",
        Happened::Leave { .. } => "leave",
        Happened::Mute | Happened::Unmute => "mute",
        Happened::Hold | Happened::Unhold => "hold",
        Happened::Modify => "modify",
        Happened::Announced { .. } => "announcement",
        Happened::SpeechStart | Happened::SpeechStop => "speaker",
        Happened::RecordingStart | Happened::Recorded { .. } => return None,
    })
}

/// What Twilio tells of it (`pivot.md` §8.6).
fn said(event: &ConferenceEvent) -> Vec<(String, String)> {
    let at = event.at.timestamp();
    let mut all = fields([
        ("ConferenceSid", event.id.clone()),
        ("FriendlyName", event.name.clone()),
        ("AccountSid", event.account.clone()),
        ("SequenceNumber", event.sequence.to_string()),
        (
            "Timestamp",
            at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        ),
        ("StatusCallbackEvent", event.what.word().to_owned()),
    ]);
    if let Some(member) = &event.participant {
        all.extend(fields([
            ("CallSid", member.call_id.clone()),
            ("Muted", member.muted.to_string()),
            ("Hold", member.held.to_string()),
            ("Coaching", member.coaching.is_some().to_string()),
            ("EndConferenceOnExit", member.end_on_exit.to_string()),
            ("StartConferenceOnEnter", member.start_on_enter.to_string()),
            ("ParticipantLabel", member.label.clone().unwrap_or_default()),
        ]));
    }
    match &event.what {
        Happened::End { why, by } => all.extend(fields([
            ("ReasonConferenceEnded", why.word().to_owned()),
            ("CallSidEndingConference", by.clone().unwrap_or_default()),
        ])),
        Happened::Leave { kicked } => all.extend(fields([(
            "ReasonParticipantLeft",
            if *kicked {
                "participant_updated_via_api"
            } else {
                "participant_hung_up"
            }
            .to_owned(),
        )])),
        Happened::Announced { what, failed } => all.extend(fields([
            ("AnnounceUrl", what.clone()),
            (
                "ReasonAnnouncementFailed",
                failed.clone().unwrap_or_default(),
            ),
        ])),
        _ => {}
    }
    all
}

/// Puts the recording of a room on the shelf.
struct Tape {
    shelf: Shelf,
    call_id: String,
    notice: Option<Notice>,
}

impl Tape {
    fn take(&self, event: &ConferenceEvent) {
        let Happened::Recorded {
            path,
            kept: false,
            length,
            why,
        } = &event.what
        else {
            return;
        };
        let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) else {
            return;
        };
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let recording = Recording {
            id: id.to_owned(),
            account: event.account.clone(),
            call_id: self.call_id.clone(),
            name: format!("conference_{id}.wav"),
            origin: format!("conference : {}", event.name),
            source_type: "conference".to_owned(),
            start: crate::base::time::UnixMicros(event.at.0.saturating_sub(length_ms * 1000)),
            duration_ms: length_ms,
            channels: 1,
            notice: self.notice.clone(),
            ..Recording::default()
        };
        // Recordings that modules of callflows make have their own place.
        if recording.path() != *path {
            return;
        }
        match why {
            RecordEnd::TooShort => self.shelf.forget(&recording, "absent"),
            RecordEnd::Failed => self.shelf.forget(&recording, "failed"),
            _ => self.shelf.keep(&recording),
        }
    }
}

pub(super) async fn enqueue<D: Dialler>(
    live: &Live<'_, D>,
    how: &Waiting,
) -> Result<Waited, Trouble> {
    live.not_aside("Enqueue")?;
    let options = EnqueueOptions {
        name: how.name.clone(),
        wait: wait::sound(live, &how.wait).await,
        most: how.most,
        limit: None,
    };
    let done = Box::pin(live.call.enqueue(options)).await?;
    Ok(Waited {
        result: done.result.word(),
        queue: done.queue_id,
        waited: done.waited,
        moved: done.result == QueueResult::RedirectedFromBridged,
    })
}

pub(super) async fn dequeue<D: Dialler>(
    live: &Live<'_, D>,
    how: &Taking,
) -> Result<Taken, Trouble> {
    live.not_aside("Queue")?;
    let own = fields([("DequeingCallSid", live.call.facts().call_id.clone())]);
    let announce = how.announce.as_ref();
    let options = DequeueOptions {
        name: how.name.clone(),
        timeout: Some(how.timeout),
        wait: WaitSound::HoldMusic,
        announce: announce.map(|aside| wait::flow(live.settings, aside, &own)),
        hold_music: None,
        limit: Some(how.limit),
    };
    let done = Box::pin(live.call.dequeue(options)).await?;
    Ok(Taken {
        talked: done.result != DequeueResult::Empty,
        moved: done.result == DequeueResult::Transferred,
        queue: done.queue_id,
        call_id: done.call_id,
        waited: done.waited,
        length: done.talked,
    })
}
