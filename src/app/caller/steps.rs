//! What a telephone does by itself: scripts, transfers, patience, and the end.

use std::time::{Duration, Instant};

use super::agent::{Agent, LINGER, Observer, Stage, Task};
use super::line::{Busy, End, KEYS, Line, Role};
use super::login::{Login, State};
use super::outcome::{Ending, Shift};
use super::script::Step;
use super::target::Destination;
use crate::host::clock;
use crate::media::Command;
use crate::sip::ua::LegId;

impl<O: Observer> Agent<'_, O> {
    /// Does what is due, and goes on to the next stage.
    pub(super) fn proceed(&mut self, now: Instant) {
        if self.interrupted {
            self.leave(now, "hanging up");
        }
        if let Some(why) = self.broken.clone() {
            self.leave(now, &format!("a socket broke: {why}"));
        }
        if let Some(login) = &mut self.login {
            login.due(&mut self.endpoint, now);
        }
        for leg in self.legs() {
            self.attend(leg, now);
        }
        match self.stage {
            Stage::Beginning => self.begin(now),
            Stage::Registering => match self.login.as_ref().map(|login| login.state) {
                Some(State::Registered) => {
                    self.stage = Stage::Working;
                    self.registered();
                }
                Some(State::Refused(_)) | None => self.leave(now, "no registration, no call"),
                Some(State::Beginning | State::Leaving | State::Gone) => {}
            },
            Stage::Working if self.is_enough(now) => self.leave(now, ""),
            Stage::Leaving { since } => self.end(now, since),
            Stage::Working | Stage::Done => {}
        }
    }

    fn begin(&mut self, now: Instant) {
        let register = match &self.task {
            Task::Call { register } => *register,
            Task::Phone(phone) => Some(phone.expires),
        };
        let Some(expires) = register else {
            self.stage = Stage::Working;
            self.dial();
            return;
        };
        let names = (self.rng.hex(16), self.rng.hex(8));
        let place = (&self.destination, self.hop);
        let endpoint = &mut self.endpoint;
        let login = Login::begin(endpoint, now, place, &self.identity, expires, names);
        self.login = Some(login);
        self.stage = Stage::Registering;
    }

    fn registered(&mut self) {
        if matches!(self.task, Task::Call { .. }) {
            self.dial();
        }
    }

    /// Whether everything that was asked for is done.
    fn is_enough(&self, now: Instant) -> bool {
        let refused = self.login.as_ref().map(|login| login.state);
        let lost = matches!(refused, Some(State::Refused(_)));
        let over = self.lines.iter().all(|line| line.is_done(now));
        match &self.task {
            Task::Call { .. } => over,
            Task::Phone(phone) => {
                let taken = self.lines.iter().filter(|line| line.role == Role::Taken);
                let enough = phone.calls.is_some_and(|calls| taken.count() >= calls);
                let late = phone.most.is_some_and(|most| now >= self.started + most);
                late || (over && (enough || lost))
            }
        }
    }

    /// Ends every call; the registration follows.
    fn leave(&mut self, now: Instant, why: &str) {
        if matches!(self.stage, Stage::Leaving { .. } | Stage::Done) {
            return;
        }
        self.stage = Stage::Leaving { since: now };
        for leg in self.legs() {
            self.hang_up(leg, why);
        }
    }

    fn end(&mut self, now: Instant, since: Instant) {
        if !self.lines.iter().all(|line| line.is_done(now)) {
            if now < since + LINGER || self.lines.iter().all(|line| line.end.is_some()) {
                return;
            }
            for leg in self.legs() {
                self.finish(leg, Ending::NoAnswer, None, "no end was confirmed", None);
            }
            return;
        }
        let gone = match &mut self.login {
            Some(login) => {
                login.leave(&mut self.endpoint, now);
                login.is_gone() || now >= since + 2 * LINGER
            }
            None => true,
        };
        // What was sent last may still be on its way through a socket of ours.
        if gone {
            self.stage = Stage::Done;
        }
    }

    fn legs(&self) -> Vec<LegId> {
        let open = self.lines.iter().filter(|line| line.end.is_none());
        open.map(|line| line.leg).collect()
    }

    /// Looks after one call: its patience, its answer, its script.
    fn attend(&mut self, leg: LegId, now: Instant) {
        let Some(line) = self.line(leg) else { return };
        if now >= line.give_up && !line.hung_up {
            return self.hang_up(leg, "time is up");
        }
        if line.hung_up && now >= line.give_up + LINGER {
            return self.finish(leg, Ending::NoAnswer, None, "no end was confirmed", None);
        }
        if line.answer_at.is_some_and(|at| at <= now) {
            self.pick_up(leg);
        }
        if let Some(line) = self.line(leg)
            && line.hand_on_at.take_if(|at| *at <= now).is_some()
        {
            self.hand_on(leg);
        }
        // Each step either finishes at once or makes the line busy.
        while self.step(leg, now) {}
    }

    /// Begins the next step; whether there was one.
    fn step(&mut self, leg: LegId, now: Instant) -> bool {
        let Some(line) = self.line(leg) else {
            return false;
        };
        if line.answered.is_none() || line.hung_up || line.end.is_some() {
            return false;
        }
        match line.busy {
            Busy::Until(at) if at <= now => line.busy = Busy::Idle,
            Busy::Idle => {}
            Busy::Until(_) | Busy::Keys | Busy::Offer | Busy::Transfer => return false,
        }
        let Some(step) = line.steps.pop_front() else {
            return false;
        };
        match step {
            Step::Wait(pause) => line.busy = Busy::Until(now + pause),
            Step::Keys(digits) => {
                line.busy = Busy::Keys;
                let command = Command::SendDigits {
                    op: line.op(KEYS),
                    digits,
                    duration_ms: 160,
                    gap_ms: 80,
                };
                if let Some(port) = &line.port {
                    port.command(command);
                }
            }
            Step::Hold => self.hold(leg, true),
            Step::Unhold => self.hold(leg, false),
            Step::Hangup => self.hang_up(leg, "hanging up"),
            Step::Transfer => self.transfer(leg),
        }
        true
    }

    /// Holds the other side, or takes it back.
    fn hold(&mut self, leg: LegId, hold: bool) {
        let Some(line) = self.line(leg) else { return };
        if line.holding == hold || line.end.is_some() {
            return;
        }
        line.holding = hold;
        let Some(offer) = self.make_offer(leg) else {
            return;
        };
        match self.endpoint.reinvite(clock::now(), leg, Some(offer)) {
            Ok(()) => {
                if let Some(line) = self.line(leg)
                    && line.busy == Busy::Idle
                {
                    line.busy = Busy::Offer;
                }
            }
            Err(error) => {
                if let Some(line) = self.line(leg) {
                    line.holding = !hold;
                }
                self.remark(format!("no hold: {error}"));
            }
        }
    }

    /// Hands the call on: by a word to the other side, or after a call of our own.
    fn transfer(&mut self, leg: LegId) {
        let Some(target) = self.manner.transfer.clone() else {
            return self.remark("nobody to transfer to: see --transfer");
        };
        let attended = self.manner.attended.is_some();
        let Some(line) = self.line(leg) else { return };
        line.busy = Busy::Transfer;
        line.transfer = Some(Shift {
            target: target.uri(),
            attended,
            status: None,
        });
        if attended {
            self.hold(leg, true);
            self.consult(leg, &target);
        } else {
            self.ask_transfer(leg, &target.uri());
        }
    }

    fn ask_transfer(&mut self, leg: LegId, target: &str) {
        if let Err(error) = self.endpoint.refer(clock::now(), leg, target) {
            self.remark(format!("no transfer could be asked for: {error}"));
            self.not_transferred(leg);
        }
    }

    /// Calls whom an attended transfer goes to.
    fn consult(&mut self, leg: LegId, target: &Destination) {
        let before = self.lines.len();
        self.place_line(target, Role::Consulting(leg));
        if self.lines.len() == before {
            self.not_transferred(leg);
        }
    }

    /// Whom an attended transfer goes to has answered: they talk for a while.
    pub(super) fn consulted(&mut self, leg: LegId, now: Instant) {
        let talk = self.manner.attended.unwrap_or(Duration::ZERO);
        if let Some(line) = self.line(leg)
            && let Role::Consulting(_) = line.role
        {
            line.hand_on_at = Some(now + talk);
        }
    }

    /// They have talked: the other side is to take our place (RFC 3891, RFC 5589 §7.1).
    fn hand_on(&mut self, consultation: LegId) {
        let Some(tag) = self.endpoint.tag_of(consultation) else {
            return;
        };
        let Some(line) = self.line(consultation) else {
            return;
        };
        let Role::Consulting(first) = line.role else {
            return;
        };
        let replaces = format!("{};to-tag={};from-tag={tag}", line.call_id, line.remote_tag);
        let target = format!("{}?Replaces={}", line.target, escaped(&replaces));
        self.ask_transfer(first, &target);
    }

    /// How a transfer of ours goes.
    pub(super) fn referred(&mut self, leg: LegId, status: u16, over: bool) {
        self.remark(format!("transfer: {status}"));
        let Some(line) = self.line(leg) else { return };
        if let Some(transfer) = &mut line.transfer
            && (over || status >= 200)
            // 202 says that it was understood, not that it worked.
            && (over || status != 202)
        {
            transfer.status = Some(status);
        }
        if !over {
            return;
        }
        if (200..300).contains(&status) {
            for leg in self.consultations(leg).into_iter().chain([leg]) {
                self.hang_up(leg, "handed on");
            }
        } else {
            self.not_transferred(leg);
        }
    }

    /// The transfer did not work: the first call goes on.
    fn not_transferred(&mut self, leg: LegId) {
        for consultation in self.consultations(leg) {
            self.hang_up(consultation, "not handed on");
        }
        if let Some(line) = self.line(leg)
            && line.busy == Busy::Transfer
        {
            line.busy = Busy::Idle;
        }
        self.hold(leg, false);
    }

    fn consultations(&self, leg: LegId) -> Vec<LegId> {
        let open = self.lines.iter().filter(|line| line.end.is_none());
        let of_leg = open.filter(|line| line.role == Role::Consulting(leg));
        of_leg.map(|line| line.leg).collect()
    }

    /// Hangs up, or gives up.
    pub(super) fn hang_up(&mut self, leg: LegId, why: &str) {
        let now = clock::now();
        let Some(line) = self.line(leg) else { return };
        if line.end.is_some() || std::mem::replace(&mut line.hung_up, true) {
            return;
        }
        line.give_up = now.min(line.give_up);
        line.answer_at = None;
        if !why.is_empty() {
            self.remark(why);
        }
        if let Err(error) = self.endpoint.bye(now, leg, None) {
            self.remark(format!("no BYE could be sent: {error}"));
        }
    }

    /// Notes the end of a call.
    pub(super) fn finish(
        &mut self,
        leg: LegId,
        result: Ending,
        status: Option<u16>,
        reason: &str,
        by: Option<&'static str>,
    ) {
        let Some(line) = self.line(leg) else { return };
        if line.end.is_some() {
            return;
        }
        // Dropping the port ends the recording, whose file is then completed.
        line.port = None;
        line.answer_at = None;
        line.hand_on_at = None;
        line.end = Some(End {
            at: clock::now(),
            result,
            status,
            reason: super::super::ladder::printable(reason, 200),
            by,
        });
        let role = line.role;
        let number = line.number;
        if matches!(self.task, Task::Phone(_)) || number > 1 {
            self.remark(format!("call {number} is over"));
        }
        match role {
            Role::Consulting(first) => self.consultation_over(first, status),
            Role::Placed | Role::Taken => {
                // Whoever was called for the sake of this call alone is let go, unless the other side has it by now.
                for consultation in self.consultations(leg) {
                    if !self.is_asked(leg) {
                        self.hang_up(consultation, "the first call is over");
                    }
                }
            }
        }
    }

    /// Whether the transfer of that call was asked for.
    fn is_asked(&self, leg: LegId) -> bool {
        let consultations = self.consultations(leg);
        consultations.iter().all(|consultation| {
            let line = self.lines.iter().find(|line| line.leg == *consultation);
            line.is_some_and(|line| line.answered.is_some() && line.hand_on_at.is_none())
        })
    }

    /// Whom an attended transfer was to go to refused, or hung up before it was asked for.
    fn consultation_over(&mut self, first: LegId, status: Option<u16>) {
        let Some(line) = self.line(first) else { return };
        if line.busy != Busy::Transfer || line.end.is_some() {
            return;
        }
        if status != Some(200)
            && let Some(transfer) = &mut line.transfer
        {
            transfer.status = status.or(Some(480));
            self.not_transferred(first);
        }
    }

    /// All the lines' ends, for whoever asked.
    pub(super) fn save_recordings(&mut self) {
        self.media_events();
        let mut failures = Vec::new();
        let kept = self.lines.iter().filter(|line| line.recorded);
        let mut n = 0;
        for line in kept.filter(|line: &&Line| !matches!(line.role, Role::Consulting(_))) {
            n += 1;
            if let Some(path) = self.manner.save_as(n)
                && let Err(error) = std::fs::copy(&line.recording, &path)
            {
                failures.push(format!("{} could not be written: {error}", path.display()));
            }
        }
        for failure in failures {
            self.remark(failure);
        }
    }
}

/// A header's value as part of a URI (RFC 3261 §19.1.1, `hvalue`).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_inside_a_uri_is_escaped_and_read_back_whole() {
        let value = "ab12@10.0.0.1;to-tag=x;from-tag=y";
        let uri = format!("<sip:1002@pbx?Replaces={}>", escaped(value));
        let parsed = crate::sip::msg::NameAddr::parse(&uri).unwrap().uri;
        assert_eq!(parsed.header("Replaces").as_deref(), Some(value));
    }
}
