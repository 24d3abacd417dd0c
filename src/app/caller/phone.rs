//! `swivel phone`: a telephone that registers and waits for calls.

use std::time::Duration;

use serde::Serialize;

use super::super::ladder::Rung;
use super::agent::{Agent, Observer, PlaceError, Task};
use super::line::Role;
use super::login::State;
use super::manner::{Identity, Manner, Network};
use super::outcome::{Ending, Outcome};
use super::target::Destination;
use crate::host::clock;
use crate::sip::msg::Name;
use crate::sip::ua::{IncomingInvite, LegId, Refusal};

/// What a telephone does that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It rings.
    Ring,
    /// It rings for so long and answers.
    Answer(Duration),
    /// It refuses with that status.
    Refuse(u16),
}

/// How long a telephone is there, and what it does.
#[derive(Debug, Clone, Copy)]
pub struct Phone {
    /// Seconds a registration lasts.
    pub expires: u32,
    /// What it does that is called.
    pub reply: Reply,
    /// It leaves after so many calls.
    pub calls: Option<usize>,
    /// It leaves after so long.
    pub most: Option<Duration>,
}

/// How it went.
#[derive(Debug, Clone, Serialize)]
pub struct Duty {
    /// The address of record.
    pub address: String,
    /// Whether it was registered to the end.
    pub registered: bool,
    /// The last status of its REGISTER.
    pub status: u16,
    /// Seconds the server granted last.
    pub expires: u32,
    /// Its calls, in their order.
    pub calls: Vec<Outcome>,
    /// Whether it had the calls it waited for.
    pub enough: bool,
    /// Every message and remark, in order.
    pub ladder: Vec<Rung>,
}

impl Duty {
    /// The exit status of `swivel phone`: 5 not registered, 6 the server failed or was not reached, 7 a call was lost,
    /// 8 a call could not be handed on, 4 it had fewer calls than it waited for, else 0.
    pub fn exit_code(&self) -> u8 {
        if !self.registered {
            return Ending::of_registration(self.status).exit_code();
        }
        let codes = || self.calls.iter().map(Outcome::exit_code);
        match codes().find(|code| *code >= 7) {
            Some(code) => code,
            None if self.enough => 0,
            None => Ending::NoAnswer.exit_code(),
        }
    }
}

/// Registers at the server of `aor` and takes calls until told otherwise.
///
/// # Errors
/// When that could not even be tried.
pub async fn serve(
    aor: Destination,
    mut identity: Identity,
    phone: Phone,
    manner: Manner,
    network: &Network,
    observer: &mut impl Observer,
) -> Result<Duty, PlaceError> {
    identity.user.get_or_insert_with(|| aor.user.clone());
    let address = aor.address_of(&aor.user);
    let task = Task::Phone(phone);
    let mut agent = Agent::new(task, aor, identity, manner, network, observer).await?;
    agent.run().await;
    agent.save_recordings();
    let now = clock::now();
    let taken = agent.lines.iter().filter(|line| line.role == Role::Taken);
    let enough = phone.calls.is_none_or(|calls| taken.count() >= calls);
    let login = agent.login.as_ref();
    Ok(Duty {
        address,
        registered: login.is_some_and(|login| (200..300).contains(&login.status)),
        status: login.map_or(0, |login| login.status),
        expires: login.map_or(0, |login| login.granted),
        calls: agent.lines.iter().map(|line| line.outcome(now)).collect(),
        enough,
        ladder: std::mem::take(&mut agent.ladder),
    })
}

impl<O: Observer> Agent<'_, O> {
    /// Somebody calls.
    pub(super) fn rung_by(&mut self, invite: &IncomingInvite) {
        let leg = invite.leg;
        let reply = match &self.task {
            Task::Phone(phone)
                if self
                    .login
                    .as_ref()
                    .is_some_and(|l| l.state == State::Registered) =>
            {
                phone.reply
            }
            // Whoever calls out, and whoever is leaving, cannot be called.
            Task::Phone(_) | Task::Call { .. } => return self.refuse(leg, 486),
        };
        let port = match self.media.take(self.local) {
            Ok(port) => port,
            Err(error) => {
                self.remark(format!("no port for the call: {error}"));
                return self.refuse(leg, 500);
            }
        };
        let message = &invite.message;
        let text = |name| message.header(name).unwrap_or_default().to_owned();
        let mut line = self.new_line(Role::Taken, leg, port);
        let number = line.number;
        line.target = message.request_uri().unwrap_or_default().to_owned();
        line.from = Some(super::super::ladder::printable(&text(Name::From), 200));
        line.call_id = text(Name::CallId);
        line.their_offer.clone_from(&invite.offer);
        line.ringing = Some(line.started);
        let from = line.from.clone().unwrap_or_default();
        line.answer_at = match reply {
            Reply::Answer(after) => Some(line.started + after),
            Reply::Ring | Reply::Refuse(_) => None,
        };
        self.lines.push(line);
        self.remark(format!("call {number} from {from}"));
        if let Reply::Refuse(status) = reply {
            return self.refuse(leg, status);
        }
        if let Err(error) = self.endpoint.provisional(clock::now(), leg, 180, None) {
            self.remark(format!("it does not ring: {error}"));
        }
    }

    fn refuse(&mut self, leg: LegId, status: u16) {
        let refused = self.endpoint.reject(clock::now(), leg, status, "", &[]);
        if refused.is_err() {
            self.remark("a call came and went");
        }
    }

    /// Answers a call that rings.
    pub(super) fn pick_up(&mut self, leg: LegId) {
        let Some(line) = self.line(leg) else { return };
        line.answer_at = None;
        let offer = line.their_offer.take();
        let now = clock::now();
        let body = match self.answer_to(leg, offer.as_ref()) {
            Ok(body) => body,
            Err(Refusal { status, warning }) => {
                self.remark(format!("refused: {}", warning.unwrap_or_default()));
                return self.refuse(leg, status);
            }
        };
        if let Err(error) = self.endpoint.accept(now, leg, body) {
            return self.remark(format!("it could not be answered: {error}"));
        }
        if let Some(line) = self.line(leg) {
            line.answered = Some(now);
        }
        self.start_talking(leg);
    }
}
