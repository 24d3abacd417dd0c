//! Documents that are heard while somebody waits: `waitUrl`, and `url` of a Queue.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::Value;

use super::Live;
use crate::base::cause::Cause;
use crate::base::finding::Finding;
use crate::call::{Attended, CallError, CallHandle, WaitEnd, WaitFacts, WaitFlow, WaitSound};
use crate::clips::Audio;
use crate::pivot::Settings;
use crate::twiml::Dialler;
use crate::twiml::exec::{Outcome, Session, begin};
use crate::twiml::line::{Dial, DialStatus, Dialled, Line as _};
use crate::twiml::orders::{Aside, Wait};

/// Rings nobody: who waits stays where they are.
struct Nobody;

impl Dialler for Nobody {
    async fn dial(&self, _: &Dial, _: Option<Attended>) -> Result<Dialled, CallError> {
        Ok(Dialled::of(DialStatus::Failed))
    }
}

/// What is heard, as the call operations want it.
pub(super) async fn sound<D: Dialler>(live: &Live<'_, D>, wait: &Wait) -> WaitSound {
    match wait {
        Wait::Nothing => WaitSound::Nothing,
        Wait::HoldMusic => WaitSound::HoldMusic,
        Wait::Document(aside) => WaitSound::Flow(flow(live.settings, aside, &[])),
        Wait::Media(reference) => {
            let (account, language) = (live.call.facts().account.clone(), live.call.language());
            let clips = live.call.clips();
            let found = Box::pin(clips.resolve(&account, reference, &language)).await;
            match found {
                Ok(Audio::Clip(clip) | Audio::Tone { clip, .. }) => WaitSound::Clip(clip),
                Ok(Audio::Silence(_)) => WaitSound::Nothing,
                Ok(Audio::Speech(_) | Audio::Stream(_)) => {
                    live.note(&format!("{reference} is too long to be repeated"));
                    WaitSound::HoldMusic
                }
                Err(error) => {
                    live.note(&format!("{reference} is not heard while waiting: {error}"));
                    WaitSound::HoldMusic
                }
            }
        }
    }
}

/// A document as a flow that waits. Each run asks for it anew; `more` goes with every request.
pub(super) fn flow(settings: &Settings, aside: &Aside, more: &[(String, String)]) -> WaitFlow {
    heard(settings, aside, more, true)
}

/// The same before two are connected: a Hangup is [`WaitEnd::Leave`] and leaves the ending to others.
pub(super) fn screen(settings: &Settings, aside: &Aside, more: &[(String, String)]) -> WaitFlow {
    heard(settings, aside, more, false)
}

fn heard(
    settings: &Settings,
    aside: &Aside,
    more: &[(String, String)],
    hangs_up: bool,
) -> WaitFlow {
    let settings = settings.following(aside.url.as_str(), aside.method);
    let (aside, more) = (aside.clone(), more.to_vec());
    Rc::new(move |call: CallHandle, facts: WaitFacts| {
        let (settings, aside, more) = (settings.clone(), aside.clone(), more.clone());
        Box::pin(async move {
            let end = run(&call, &settings, &aside, &facts, &more).await;
            if hangs_up && end.is_none() {
                call.hangup(Cause::NORMAL_CLEARING);
                return WaitEnd::Done;
            }
            end.unwrap_or(WaitEnd::Leave)
        })
    })
}

/// Runs it once; `None`: it wants the call ended.
async fn run(
    call: &CallHandle,
    settings: &Settings,
    aside: &Aside,
    facts: &WaitFacts,
    more: &[(String, String)],
) -> Option<WaitEnd> {
    let live = Live {
        call,
        settings,
        check: &no_flow,
        dialler: &Nobody,
        iteration: Cell::new(1),
        aside: true,
    };
    let mut session = Session::new(settings.profile(), Some(aside.url.clone()));
    session.aside = true;
    for (name, value) in more {
        session.set(name, value.as_str());
    }
    if !facts.queue_id.is_empty() {
        session.set("QueueSid", facts.queue_id.as_str());
        session.set("QueuePosition", facts.position.to_string());
        session.set("QueueTime", facts.waited.as_secs().to_string());
        session.set("AvgQueueTime", facts.average.as_secs().to_string());
        session.set("CurrentQueueSize", facts.size.to_string());
    }
    // However long somebody waits, that uses up none of the requests of the call; how many a second stays limited.
    let asked = call.vars().pivots;
    let outcome = Box::pin(begin(&live, aside.url.clone(), aside.method, &mut session)).await;
    call.vars().pivots = asked;
    Some(match outcome {
        Outcome::Done => WaitEnd::Done,
        Outcome::Left => WaitEnd::Leave,
        Outcome::HungUp => return None,
        Outcome::Moved => WaitEnd::Redirected,
        Outcome::Flow(_) => WaitEnd::Failed,
        Outcome::Failed(why) => {
            live.note(&format!("nothing is heard while waiting: {why}"));
            WaitEnd::Failed
        }
    })
}

fn no_flow(
    _: &Value,
    _: &dyn Fn(&str) -> Result<(), String>,
) -> Result<(Value, Vec<Finding>), Vec<Finding>> {
    let why = "a document heard while waiting is TwiML";
    Err(vec![Finding::new("", "type", why)])
}
