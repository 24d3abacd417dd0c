//! The legs of a Dial: who is told what becomes of them, and what they hear before they are connected.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use super::Live;
use super::tell::{Teller, fields, standard};
use super::wait;
use crate::call::{Attendant, Attended, CallHandle, LegNews, WaitEnd, WaitFacts, WaitFlow};
use crate::host::clock;
use crate::twiml::Dialler;
use crate::twiml::line::Dial;

struct Legs {
    parent: String,
    cares: Vec<Care>,
}

#[derive(Default)]
struct Care {
    teller: Option<Teller>,
    told: Cell<u32>,
    /// When which leg has answered: a callee may have several.
    answered: RefCell<BTreeMap<String, Instant>>,
    screen: Option<WaitFlow>,
}

/// Who attends the legs; nobody where no callee asks for it.
pub(super) fn attended<D: Dialler>(live: &Live<'_, D>, how: &Dial) -> Option<Attended> {
    let asks = |care: &crate::twiml::orders::Care| care.callback.is_some() || care.screen.is_some();
    if !how.cares.iter().any(asks) {
        return None;
    }
    let parent = live.call.facts().call_id.clone();
    let own = fields([("ParentCallSid", parent.clone())]);
    let cares = how.cares.iter().map(|care| Care {
        teller: care
            .callback
            .as_ref()
            .map(|told| Teller::new(live.call, told)),
        screen: care
            .screen
            .as_ref()
            .map(|aside| wait::screen(live.settings, aside, &own)),
        ..Care::default()
    });
    Some(Attended(Rc::new(Legs {
        cares: cares.collect(),
        parent,
    })))
}

impl Attendant for Legs {
    fn told(&self, leg: &CallHandle, mark: usize, news: LegNews) {
        let Some(care) = self.cares.get(mark) else {
            return;
        };
        let id = leg.facts().call_id.clone();
        if news == LegNews::Answered {
            let mut answered = care.answered.borrow_mut();
            answered.insert(id.clone(), clock::now());
        }
        let since = care.answered.borrow().get(&id).copied();
        let Some(teller) = &care.teller else { return };
        let (event, status) = match news {
            LegNews::Initiated => ("initiated", "initiated"),
            LegNews::Ringing => ("ringing", "ringing"),
            LegNews::Answered => ("answered", "in-progress"),
            LegNews::Completed(ended) => ("completed", finally(since.is_some(), ended.status)),
        };
        let sequence = care.told.get();
        care.told.set(sequence + 1);
        if !teller.callback.wants(event) {
            return;
        }
        let mut all = standard(leg);
        all.retain(|(name, _)| name != "CallStatus" && name != "Direction");
        let now = clock::unix_now().timestamp();
        let talked = since.map(|at| {
            let length = clock::now().saturating_duration_since(at);
            length.as_secs().to_string()
        });
        let (length, code) = match news {
            LegNews::Completed(ended) => (
                talked.unwrap_or_else(|| "0".to_owned()),
                ended.status.to_string(),
            ),
            LegNews::Initiated | LegNews::Ringing | LegNews::Answered => Default::default(),
        };
        all.extend(fields([
            ("CallStatus", status.to_owned()),
            ("Direction", "outbound-dial".to_owned()),
            ("ParentCallSid", self.parent.clone()),
            ("CallDuration", length),
            ("SipResponseCode", code),
            (
                "Timestamp",
                now.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
            ),
            ("CallbackSource", "call-progress-events".to_owned()),
            ("SequenceNumber", sequence.to_string()),
        ]));
        teller.tell(all);
    }

    fn speak(&self, leg: &CallHandle, mark: usize) -> Option<LocalBoxFuture<'static, bool>> {
        let flow = self.cares.get(mark)?.screen.clone()?;
        let leg = leg.clone();
        let heard = async move {
            let end = flow(leg.clone(), WaitFacts::default()).await;
            end != WaitEnd::Leave && leg.ended().is_none()
        };
        Some(heard.boxed_local())
    }
}

/// `CallStatus` of a leg that has ended.
fn finally(answered: bool, status: u16) -> &'static str {
    match status {
        _ if answered => "completed",
        486 | 600 | 603 => "busy",
        408 | 480 => "no-answer",
        487 => "canceled",
        _ => "failed",
    }
}
