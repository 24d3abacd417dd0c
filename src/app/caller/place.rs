//! `swivel call`: one call, and the one of an attended transfer.

use super::agent::{Agent, Observer, PlaceError, Task};
use super::line::{Busy, Line, Role};
use super::login::State;
use super::manner::{Identity, Manner, Network};
use super::outcome::{Ending, Heard, Outcome};
use super::target::Destination;
use crate::host::clock;
use crate::media::Port;
use crate::rtp::srtp::Suite;
use crate::sdp::Author;
use crate::sip::ua::{InviteRequest, LegId};

/// One call to place.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whom and where.
    pub destination: Destination,
    /// Who calls.
    pub identity: Identity,
    /// Register before, for so many seconds.
    pub register: Option<u32>,
    /// What is done once answered.
    pub manner: Manner,
    /// How the way is found.
    pub network: Network,
}

/// Places the call and waits for its end.
///
/// # Errors
/// When it could not even be tried. A refused or lost call is an `Outcome`.
pub async fn place(request: Request, observer: &mut impl Observer) -> Result<Outcome, PlaceError> {
    let task = Task::Call {
        register: request.register,
    };
    let (destination, network) = (request.destination, request.network);
    let (identity, manner) = (request.identity, request.manner);
    let mut agent = Agent::new(task, destination, identity, manner, &network, observer).await?;
    agent.run().await;
    agent.save_recordings();
    Ok(agent.outcome())
}

impl<O: Observer> Agent<'_, O> {
    /// Places the call that was asked for.
    pub(super) fn dial(&mut self) {
        let destination = self.destination.clone();
        self.place_line(&destination, Role::Placed);
    }

    /// Calls somebody on a line of its own; a remark when there is no port for it.
    pub(super) fn place_line(&mut self, target: &Destination, role: Role) {
        let port = match self.media.take(self.local) {
            Ok(port) => port,
            Err(error) => return self.remark(format!("no port for the call: {error}")),
        };
        let call_id = format!(
            "{}@{}",
            self.rng.hex(12),
            self.local.to_string().replace(':', "-")
        );
        // The leg's number is known once its INVITE is on its way, which needs the offer first.
        let mut line = self.new_line(role, LegId(0), port);
        line.target = target.uri();
        line.call_id.clone_from(&call_id);
        if self.manner.srtp {
            line.crypto = Some(self.media.crypto(&Suite::ALL));
        }
        self.lines.push(line);
        let offer = self.make_offer(LegId(0));
        let user = self.identity.user.as_deref().unwrap_or("swivel");
        let from = format!("<{}>", self.destination.address_of(user));
        let mut invite = InviteRequest::new(target.uri(), self.hop, from);
        invite.call_id = Some(call_id);
        invite.body = offer;
        invite.any_realm = true;
        invite.credentials = self.credentials();
        let leg = self.endpoint.invite(clock::now(), invite);
        if let Some(line) = self.line(LegId(0)) {
            line.leg = leg;
        }
    }

    /// A line at its beginning.
    pub(super) fn new_line(&mut self, role: Role, leg: LegId, port: Port) -> Line {
        let now = clock::now();
        let number = self.lines.len() as u64 + 1;
        let session_id = u64::from(self.rng.u32() >> 1);
        let steps = match role {
            Role::Placed | Role::Taken => self.manner.steps(),
            Role::Consulting(_) => Vec::new(),
        };
        Line {
            number,
            role,
            leg,
            target: String::new(),
            from: None,
            call_id: String::new(),
            port_id: port.id(),
            port: Some(port),
            author: Author::new(session_id),
            session_id,
            crypto: None,
            cname: self.rng.hex(8),
            offer: None,
            holding: false,
            held: false,
            holds: 0,
            encrypted: false,
            started: now,
            ringing: None,
            answered: None,
            answer_at: None,
            their_offer: None,
            give_up: now + self.manner.most,
            hung_up: false,
            end: None,
            configured: false,
            recorded: false,
            stats: None,
            keys: String::new(),
            recording: self.scratch.0.join(format!("heard-{number}.wav")),
            steps: steps.into(),
            busy: Busy::Idle,
            transfer: None,
            remote_tag: String::new(),
            hand_on_at: None,
        }
    }

    fn outcome(&mut self) -> Outcome {
        let now = clock::now();
        let ladder = std::mem::take(&mut self.ladder);
        if let Some(line) = self.lines.first() {
            return Outcome {
                ladder,
                ..line.outcome(now)
            };
        }
        let status = self.login.as_ref().map_or(0, |login| login.status);
        let result = match self.login.as_ref().map(|login| login.state) {
            Some(State::Beginning) => Ending::NoAnswer,
            _ if status >= 300 => Ending::of_registration(status),
            _ => Ending::Failed,
        };
        Outcome {
            target: self.destination.uri(),
            from: None,
            call_id: String::new(),
            result,
            status: Some(status).filter(|status| *status > 0),
            reason: "the registration failed".to_owned(),
            ringing_ms: None,
            answered_ms: None,
            talk_ms: 0,
            ended_by: None,
            heard: Heard::default(),
            keys: String::new(),
            encrypted: false,
            held: 0,
            transfer: None,
            ladder,
        }
    }
}
