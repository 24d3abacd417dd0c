//! Calls nobody has dialled. A *seed*, a caller without a telephone, runs the flow that leads to the first party; whoever
//! answers takes the seed's place and goes on as a call of its own, with a callflow or with the second party.
//!
//! The seed has a Call-ID, a trace and a record like any leg, and lasts as long as the leg it has reached, so that the
//! lines its account and carrier have given it are held for as long. It has no dialog and no port: what would be heard
//! before anybody has answered fails with [`CallError::NotAnswered`].

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::core::Core;
use super::error::{CallError, Ended};
use super::facts::{CallFacts, CallVars};
use super::handle::{Call, CallHandle};
use super::state::{Phase, State};
use crate::base::cause::Cause;
use crate::directory::Account;
use crate::host::clock;
use crate::jobs::webhooks::LegEvent;
use crate::journal::Fact;
use crate::routing::{self, Route};
use crate::sip::flow::Transport;
use crate::sip::ua::{How, LegId, Side};

/// Whom a call leads to.
#[derive(Debug, Clone)]
pub enum Party {
    /// Whatever the account's callflows make of a number.
    Number(String),
    /// A flow.
    Flow {
        /// Number it is known by.
        number: String,
        /// Id of the callflow, where it is a document of the account.
        id: Option<String>,
        /// A callflow document: `{"flow": …}`.
        document: Arc<Value>,
    },
}

/// Who calls, as somebody is to see it; what is empty is left to the account.
#[derive(Debug, Clone, Default)]
pub struct ShownAs {
    /// Name.
    pub name: Option<String>,
    /// Number.
    pub number: Option<String>,
}

/// A call to be placed.
#[derive(Debug)]
pub struct Originate {
    /// The account it belongs to.
    pub account: Arc<Account>,
    /// Call-ID of the seed.
    pub call_id: String,
    /// Who is rung.
    pub first: Party,
    /// What the one who answers goes on with.
    pub then: Party,
    /// Document id of what vouches for the call.
    pub authorizing_id: String,
    /// What that is: `clicktocall`, `quickcall`, `user` …
    pub authorizing_type: &'static str,
    /// The user it belongs to.
    pub owner_id: Option<String>,
    /// Whom the first party sees.
    pub caller_id: ShownAs,
    /// Whom the second party sees.
    pub then_caller_id: ShownAs,
    /// Whether the leg that answers keeps vouching for itself, as a telephone that dials does.
    pub as_answerer: bool,
    /// How long it may take until somebody answers.
    pub timeout: Duration,
    /// Headers of the first party's INVITE: auto-answer, custom ones.
    pub headers: Vec<(String, String)>,
    /// What the first party hears while the second rings.
    pub ringback: Option<String>,
    /// What parties on hold hear.
    pub hold_music: Option<String>,
    /// KAZOO's CAVs of both legs.
    pub application_vars: Map<String, Value>,
    /// Told once: somebody has answered, or nobody will.
    pub outcome: oneshot::Sender<Originated>,
    /// Whether servers know the one who answers by the seed's Call-ID, and as called through the API: a Twilio
    /// application knows a call by the one name it was given.
    pub keeps_id: bool,
    /// Told how it goes, as far as there is room: each stage comes once.
    pub stages: Option<mpsc::Sender<Stage>>,
}

/// How far a call that was placed has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The first party's telephone rings.
    Ringing,
    /// The first party has answered.
    Answered {
        /// Call-ID of its leg.
        call_id: String,
    },
    /// It is over.
    Ended {
        /// KAZOO's cause.
        cause: &'static str,
        /// SIP status.
        status: u16,
    },
}

/// As many stages as there are.
pub const STAGES: usize = 4;

/// What became of a call that was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Originated {
    /// The first party has answered.
    Answered {
        /// Call-ID of its leg.
        call_id: String,
    },
    /// It has not.
    Failed {
        /// KAZOO's cause.
        cause: &'static str,
        /// SIP status.
        status: u16,
    },
}

/// Why a call is not even tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoCall {
    /// There are as many calls as there may be.
    #[error("there are as many calls as this server takes")]
    Full,
    /// The server is about to stop.
    #[error("the server is about to stop")]
    Draining,
    /// No callflow, and no carrier, takes the number.
    #[error("no callflow of the account has the number {0}")]
    NoRoute(String),
    /// There is no signalling thread.
    #[error("no calls can be placed here")]
    NoServer,
}

/// What makes a call a seed.
pub(super) struct Seed {
    then: Party,
    then_caller_id: ShownAs,
    as_answerer: bool,
    /// When it has rung for long enough.
    pub(super) deadline: Instant,
    pub(super) headers: Vec<(String, String)>,
    outcome: Cell<Option<oneshot::Sender<Originated>>>,
    keeps_id: bool,
    stages: Option<mpsc::Sender<Stage>>,
    rang: Cell<bool>,
}

impl Seed {
    fn reached(&self, stage: Stage) {
        if let Some(stages) = &self.stages
            && stages.try_send(stage).is_err()
        {
            tracing::trace!("nobody waits for how far this call has come");
        }
    }

    /// Somebody's telephone rings.
    pub(super) fn rings(&self) {
        if !self.rang.replace(true) {
            self.reached(Stage::Ringing);
        }
    }

    fn tell(&self, outcome: Originated) {
        if let Some(asker) = self.outcome.take()
            && asker.send(outcome).is_err()
        {
            tracing::trace!("nobody waits for what becomes of this call");
        }
    }

    /// It has ended; nobody was reached, unless somebody was.
    pub(super) fn failed(&self, ended: Ended) {
        self.reached(Stage::Ended {
            cause: ended.cause.name,
            status: ended.status,
        });
        self.tell(Originated::Failed {
            cause: ended.cause.name,
            status: ended.status,
        });
    }
}

impl Party {
    /// The flow it stands for, and the number it is known by.
    pub(super) fn route(
        &self,
        account: &Account,
        caller: &routing::Caller<'_>,
    ) -> Result<(Route, String), NoCall> {
        match self {
            Self::Number(number) => {
                let route = routing::route(account, number, caller)
                    .ok_or_else(|| NoCall::NoRoute(number.clone()))?;
                Ok((route, number.clone()))
            }
            Self::Flow {
                number,
                id,
                document,
            } => {
                let route = Route {
                    callflow_id: id.clone().unwrap_or_default(),
                    doc: Arc::clone(document),
                    capture_group: None,
                    capture_groups: std::collections::BTreeMap::new(),
                    no_match: false,
                };
                Ok((route, number.clone()))
            }
        }
    }
}

/// Puts a route's flow into the variables of a call.
pub(super) fn follow(route: Route, vars: &mut CallVars) {
    vars.capture_group = route.capture_group;
    vars.capture_groups = route.capture_groups;
    vars.no_match = route.no_match;
    vars.callflow_id = Some(route.callflow_id).filter(|id| !id.is_empty());
    vars.flow = Some(route.doc);
}

impl Core {
    /// Places a call. Whether it comes to anything is told by its `outcome`.
    ///
    /// # Errors
    /// Why it is not even tried.
    pub fn originate(&self, wanted: Originate) -> Result<(), NoCall> {
        if self.0.draining.get() {
            return Err(NoCall::Draining);
        }
        if self.calls() >= self.0.config.max_calls {
            metrics::counter!("swivel_calls_refused_total", "why" => "max_calls").increment(1);
            return Err(NoCall::Full);
        }
        let caller = routing::Caller {
            authorizing_type: wanted.authorizing_type,
            device_id: &wanted.authorizing_id,
        };
        let (route, number) = wanted.first.route(&wanted.account, &caller)?;
        // Whom nobody could be connected to is not rung.
        wanted.then.route(&wanted.account, &caller)?;
        let facts = Rc::new(self.seed_facts(&wanted, &number));
        let mut vars = CallVars {
            custom_application_vars: wanted.application_vars.clone(),
            exported_application_vars: wanted.application_vars.clone(),
            ringback: wanted.ringback.clone(),
            hold_music: wanted.hold_music.clone(),
            ..CallVars::default()
        };
        let callflow = route.callflow_id.clone();
        follow(route, &mut vars);
        // The identity that was asked for wins over the account's own.
        vars.presentation.retain = wanted.caller_id.number.is_some();
        let id = self.next_script();
        let call = CallHandle(Rc::new(Call {
            core: self.clone(),
            seen: RefCell::new(facts.clone()),
            leg: Cell::new(LegId(SEEDS | id)),
            target: None,
            seed: Some(Box::new(Seed {
                then: wanted.then,
                then_caller_id: wanted.then_caller_id,
                as_answerer: wanted.as_answerer,
                deadline: clock::now() + wanted.timeout,
                headers: wanted.headers,
                outcome: Cell::new(Some(wanted.outcome)),
                keeps_id: wanted.keeps_id,
                stages: wanted.stages,
                rang: Cell::new(false),
            })),
            owner: Cell::new(id),
            attached: Cell::new(false),
            transfer: RefCell::default(),
            line: RefCell::default(),
            vars: RefCell::new(vars),
            offered: false,
            state: RefCell::new(State::new()),
            aftermath: Cell::new(0),
            cause: Cell::new(None),
            times: Cell::new(None),
            opened: Cell::new(false),
            local: NOWHERE,
            facts,
        }));
        self.0.calls.borrow_mut().insert(call.leg(), call.clone());
        call.note_leg(None);
        call.note(|call_id, at| Fact::Started {
            call_id,
            at,
            account: call.own_facts().account.id.to_string(),
            from: call.own_facts().caller_id_number.clone(),
            dialled: number,
            callflow,
        });
        call.tell(LegEvent::Create);
        metrics::counter!("swivel_calls_total").increment(1);
        self.run_script(call, id, None);
        Ok(())
    }

    fn seed_facts(&self, wanted: &Originate, number: &str) -> CallFacts {
        let mut rng = self.0.rng.borrow_mut();
        let created = clock::unix_now();
        let realm = wanted.account.realm.to_string();
        let caller = wanted.caller_id.number.clone().unwrap_or_default();
        let name = wanted.caller_id.name.clone();
        CallFacts {
            call_id: wanted.call_id.clone(),
            account: Arc::clone(&wanted.account),
            direction: "inbound",
            caller_id_name: name.unwrap_or_else(|| caller.clone()),
            from_uri: format!("sip:{caller}@{realm}"),
            from_user: caller.clone(),
            caller_id_number: caller,
            from_realm: realm.clone(),
            from_tag: String::new(),
            to_user: number.to_owned(),
            to_realm: realm.clone(),
            to_uri: format!("sip:{number}@{realm}"),
            callee_id_name: String::new(),
            request_user: number.to_owned(),
            request_realm: realm,
            authorizing_id: wanted.authorizing_id.clone(),
            authorizing_type: wanted.authorizing_type,
            owner_id: wanted.owner_id.clone(),
            inception: None,
            custom_sip_headers: Map::new(),
            max_forwards: 70,
            passes: 0,
            diversions: Vec::new(),
            referred_by: None,
            user_agent: String::new(),
            source: SocketAddr::new(NOWHERE, 0),
            transport: Transport::Udp,
            created,
            interaction_id: format!("{:011}-{}", created.gregorian(), rng.hex(4)),
            fetch_id: rng.hex(16),
        }
    }
}

impl CallHandle {
    /// Ends a seed: there is nobody to tell.
    pub(super) fn end_seed(&self, cause: Cause) {
        self.0.cause.set(Some(cause));
        let how = if self.answered() {
            How::Bye
        } else {
            How::Rejected {
                status: cause.status,
            }
        };
        self.finish(Side::Us, how, None);
    }

    /// Somebody has answered a seed: his leg goes on as a call of its own. Lasts as long as that.
    pub(super) async fn hand_over(&self, leg: &CallHandle, limit: Option<Duration>) -> CallError {
        let at = clock::unix_now();
        self.state_mut().phase = Phase::Answered { at };
        self.state_mut().other = Some(leg.as_other(self));
        self.journal_answer(at);
        if let Err(error) = self.plant(leg) {
            self.note(|call_id, at| Fact::Note {
                call_id,
                at,
                text: error.to_string(),
            });
            leg.end(Cause::NO_ROUTE_DESTINATION);
            self.end(Cause::NO_ROUTE_DESTINATION);
        }
        let left = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            error = leg.wait_for_hangup() => {
                let cause = match error {
                    CallError::Ended(ended) => ended.cause,
                    _ => Cause::NORMAL_CLEARING,
                };
                self.end(cause);
            }
            _ = self.wait_for_hangup() => {
                let cause = self.ended().map_or(Cause::NORMAL_CLEARING, |ended| ended.cause);
                leg.end(cause);
            }
            () = left => {
                leg.end(Cause::ALLOTTED_TIMEOUT);
                self.end(Cause::ALLOTTED_TIMEOUT);
            }
        }
        match self.ended() {
            Some(ended) => CallError::Ended(ended),
            None => CallError::NotAnswered,
        }
    }

    /// Has `leg`, which this seed has reached, run what was asked for.
    fn plant(&self, leg: &CallHandle) -> Result<(), NoCall> {
        let Some(seed) = &self.0.seed else {
            return Ok(());
        };
        let (own, facts) = (leg.own_facts(), self.own_facts());
        let account = self.services().directory.account(&facts.account.id);
        let account = account.unwrap_or_else(|| Arc::clone(&facts.account));
        let vouches = if seed.as_answerer { own } else { facts };
        let caller = routing::Caller {
            authorizing_type: facts.authorizing_type,
            device_id: &facts.authorizing_id,
        };
        let (route, number) = seed.then.route(&account, &caller)?;
        let realm = account.realm.to_string();
        let shown = &seed.then_caller_id;
        let (call_id, direction) = match seed.keeps_id {
            true => (facts.call_id.clone(), "outbound-api"),
            false => (own.call_id.clone(), own.direction),
        };
        let seen = CallFacts {
            call_id,
            direction,
            account,
            request_user: number.clone(),
            request_realm: realm.clone(),
            to_user: number,
            to_realm: realm,
            authorizing_id: vouches.authorizing_id.clone(),
            authorizing_type: vouches.authorizing_type,
            owner_id: own.owner_id.clone().or_else(|| facts.owner_id.clone()),
            caller_id_name: shown.name.clone().unwrap_or_else(|| leg.shown_name()),
            caller_id_number: shown.number.clone().unwrap_or_else(|| leg.shown_number()),
            ..CallFacts::clone(own)
        };
        {
            let mut vars = leg.vars();
            follow(route, &mut vars);
            vars.ringback.clone_from(&self.vars().ringback);
            vars.hold_music.clone_from(&self.vars().hold_music);
            vars.presentation.retain = shown.number.is_some();
        }
        leg.0.seen.replace(Rc::new(seen));
        let script = self.core().next_script();
        leg.0.owner.set(script);
        seed.tell(Originated::Answered {
            call_id: own.call_id.clone(),
        });
        seed.reached(Stage::Answered {
            call_id: own.call_id.clone(),
        });
        self.core().run_script(leg.clone(), script, None);
        Ok(())
    }
}

/// Marks the names of seeds, which the endpoint does not know.
const SEEDS: u64 = 1 << 63;
/// Where nobody's signalling comes from.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
