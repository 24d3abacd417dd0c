//! Keeping the way to phones open, and noticing when they are gone (`sip.md` §12).
//!
//! Phones behind NATs that register over datagrams are asked by OPTIONS: any answer at all means they are there, and
//! the question itself keeps the NAT open. Connections are kept by CRLF; they tell by themselves when they are gone.

use std::time::{Duration, Instant};

use super::server::Registrar;
use super::table::{Change, Place, What};
use crate::sip::msg::{Method, Name};
use crate::sip::ua::{ClientRequest, Endpoint, Response, Way};

impl Registrar {
    /// How long a binding waits for its next question; `None` when it is never asked.
    fn interval(&self, stream: bool, behind_nat: bool) -> Option<Duration> {
        let config = &self.0.config;
        let seconds = match (stream, behind_nat) {
            (true, _) => config.crlf_seconds,
            (false, true) => config.options_seconds,
            (false, false) => 0,
        };
        let whole = Duration::from_secs(u64::from(seconds));
        // A tenth less at most, so that those who registered together are not asked together.
        let share = self.0.rng.borrow_mut().unit() * 0.1;
        (seconds > 0).then(|| whole.mul_f64(1.0 - share))
    }

    /// Arranges the first question of bindings that are new.
    pub(super) fn care(&self, now: Instant, changes: &[Change]) {
        for change in changes {
            if !matches!(change.what, What::Registered | What::Refreshed) {
                continue;
            }
            let stream = change.bound.is_on_stream();
            let wait = self.interval(stream, change.bound.binding.behind_nat);
            let place = Place {
                aor: change.aor.clone(),
                id: change.bound.id,
            };
            let mut table = self.0.table.borrow_mut();
            if let Some(bound) = table.bound_mut(&place) {
                let planned = bound.life.ask_at.filter(|at| *at > now);
                bound.life.ask_at = wait.map(|wait| planned.unwrap_or(now + wait));
            }
            table.arm(&place);
        }
    }

    /// Asks a phone whether it is there. The question before this one that has no answer yet is a miss.
    pub(super) fn ask(&self, endpoint: &mut Endpoint, now: Instant, place: &Place) {
        let found = {
            let mut table = self.0.table.borrow_mut();
            table.bound_mut(place).map(|bound| {
                // It may still be answered: a late answer counts, too.
                let crossed = bound.life.asked.take().is_some() && {
                    bound.life.misses = bound.life.misses.saturating_add(1);
                    bound.life.misses >= self.0.config.options_misses && !bound.life.unreachable
                };
                bound.life.unreachable |= crossed;
                (bound.clone(), crossed)
            })
        };
        let Some((bound, crossed)) = found else {
            return;
        };
        if crossed {
            self.tell_life(place, What::Unreachable);
        }
        let stream = bound.is_on_stream();
        let wait = self.interval(stream, bound.binding.behind_nat);
        let asked = if stream {
            endpoint.ping(bound.binding.flow);
            None
        } else {
            let aor = format!("<sip:{}@{}>", place.aor.username, bound.to_host);
            let mut options = ClientRequest::new(
                Method::Options,
                bound.binding.contact.clone(),
                Way::Flow(bound.binding.flow),
                format!("<sip:{}>", bound.to_host),
            );
            options.to = Some(aor);
            options.routes.clone_from(&bound.binding.path);
            options
                .headers
                .push((Name::Accept, "application/sdp".into()));
            let id = endpoint.request(now, options);
            self.0.asked.borrow_mut().insert(id, place.clone());
            Some(id)
        };
        let mut table = self.0.table.borrow_mut();
        if let Some(bound) = table.bound_mut(place) {
            bound.life.asked = asked;
            bound.life.ask_at = wait.map(|wait| now + wait);
        }
        table.arm(place);
    }

    /// Takes the answer to a question; whether it was one.
    pub(super) fn keepalive_answered(
        &self,
        _endpoint: &mut Endpoint,
        _now: Instant,
        response: &Response,
    ) -> bool {
        let Some(place) = self.0.asked.borrow_mut().remove(&response.request) else {
            return false;
        };
        // A timeout or a failure of the transport is no answer; the next question counts the miss.
        if response.message.is_none() {
            return true;
        }
        let back = {
            let mut table = self.0.table.borrow_mut();
            table.bound_mut(&place).is_some_and(|bound| {
                let ours = bound.life.asked == Some(response.request);
                if ours {
                    bound.life.asked = None;
                }
                bound.life.misses = 0;
                std::mem::take(&mut bound.life.unreachable)
            })
        };
        if back {
            self.tell_life(&place, What::Reachable);
        }
        true
    }

    fn tell_life(&self, place: &Place, what: What) {
        let change = {
            let mut table = self.0.table.borrow_mut();
            let bound = table.bound_mut(place).cloned();
            let record = table.record(&place.aor);
            record.zip(bound).map(|(record, bound)| Change {
                what,
                aor: place.aor.clone(),
                account: record.account.clone(),
                device: record.device.clone(),
                bound,
            })
        };
        if let Some(change) = change {
            self.tell(&change);
        }
    }
}
