//! The legs that are up, for other threads: the API lists them and hangs them up.

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use super::actions::{Acted, Action};
use super::conference::{ConferenceInfo, Order};
use super::core::Core;
use super::handle::CallHandle;
use super::ops::record::NewRecording;
use super::originate::{NoCall, Originate};
use super::state::Phase;
use crate::base::cause::Cause;
use crate::base::time::UnixMicros;
use crate::host::clock;
use crate::media::Pause;
use crate::sip::ua::Target;

/// Asks the signalling thread. Cheap to clone; without a server there is no channel.
#[derive(Debug, Clone)]
pub struct Channels(mpsc::Sender<Ask>);

/// The other end, for the signalling thread.
#[derive(Debug)]
pub struct Asks(mpsc::Receiver<Ask>);

/// One leg, as KAZOO shows a channel.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Call-ID.
    pub call_id: String,
    /// Call-ID of the leg it talks with, or is placed for.
    pub other_leg: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// When it was answered.
    pub answered: Option<UnixMicros>,
    /// When it began.
    pub created: UnixMicros,
    /// Document id of the device or trunk.
    pub authorizing_id: String,
    /// What that is.
    pub authorizing_type: &'static str,
    /// The user it belongs to.
    pub owner_id: Option<String>,
    /// The callflow that runs.
    pub callflow_id: Option<String>,
    /// The dialled number.
    pub destination: String,
    /// Who calls, by name.
    pub caller_id_name: String,
    /// Who calls, by number.
    pub caller_id_number: String,
    /// The From URI.
    pub from: String,
    /// The To URI.
    pub to: String,
    /// Tag of From.
    pub from_tag: String,
    /// User part of From.
    pub username: String,
    /// The conversation all its legs share.
    pub interaction_id: String,
    /// KAZOO's CAVs.
    pub custom_application_vars: Map<String, Value>,
}

#[derive(Debug)]
enum Ask {
    List {
        account: String,
        answer: oneshot::Sender<Vec<Channel>>,
    },
    Originate {
        wanted: Box<Originate>,
        answer: oneshot::Sender<Option<Result<(), NoCall>>>,
    },
    Act {
        account: String,
        call_id: String,
        action: Action,
        answer: oneshot::Sender<Acted>,
    },
    HangUp {
        account: String,
        call_id: String,
        answer: oneshot::Sender<bool>,
    },
    Record {
        account: String,
        call_id: String,
        order: Box<RecordOrder>,
        answer: oneshot::Sender<bool>,
    },
    Gateways {
        account: String,
        answer: oneshot::Sender<Vec<Value>>,
    },
    Options {
        target: Target,
        host: String,
        answer: oneshot::Sender<Option<u16>>,
    },
    Conferences {
        account: String,
        answer: oneshot::Sender<Vec<ConferenceInfo>>,
    },
    Conference {
        account: String,
        name: String,
        order: Order,
        answer: oneshot::Sender<bool>,
    },
}

/// What is to become of the recording of a leg.
#[derive(Debug, Clone)]
pub enum RecordOrder {
    /// Another one begins.
    Start(NewRecording),
    /// The last one ends.
    Stop,
    /// The last one ends; without one, this one begins.
    Toggle(NewRecording),
    /// Silence takes the place of what is said.
    Mask,
    /// What is said is recorded again.
    Unmask,
}

/// Questions that may wait; past it the asker waits.
const QUEUE: usize = 64;

impl Channels {
    /// Both ends.
    pub fn pair() -> (Channels, Asks) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Channels(sender), Asks(receiver))
    }

    async fn ask<T: Default>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> T {
        let (answer, told) = oneshot::channel();
        if self.0.send(ask(answer)).await.is_err() {
            return T::default();
        }
        told.await.unwrap_or_default()
    }

    /// The legs of an account, oldest first.
    pub async fn list(&self, account: &str) -> Vec<Channel> {
        let account = account.to_owned();
        self.ask(|answer| Ask::List { account, answer }).await
    }

    /// Places a call.
    ///
    /// # Errors
    /// Why it is not even tried.
    pub async fn originate(&self, wanted: Originate) -> Result<(), NoCall> {
        let wanted = Box::new(wanted);
        let asked = self.ask(|answer| Ask::Originate { wanted, answer }).await;
        asked.unwrap_or(Err(NoCall::NoServer))
    }

    /// Does something to a leg of the account.
    pub async fn act(&self, account: &str, call_id: &str, action: Action) -> Acted {
        let (account, call_id) = (account.to_owned(), call_id.to_owned());
        self.ask(|answer| Ask::Act {
            account,
            call_id,
            action,
            answer,
        })
        .await
    }

    /// Hangs a leg of the account up. `false` when there is none with that Call-ID.
    pub async fn hang_up(&self, account: &str, call_id: &str) -> bool {
        let (account, call_id) = (account.to_owned(), call_id.to_owned());
        self.ask(|answer| Ask::HangUp {
            account,
            call_id,
            answer,
        })
        .await
    }

    /// The conferences of an account that somebody is in.
    pub async fn conferences(&self, account: &str) -> Vec<ConferenceInfo> {
        let account = account.to_owned();
        self.ask(|answer| Ask::Conferences { account, answer })
            .await
    }

    /// Does something to a conference of the account. `false`: nobody is in it, or there is no such member.
    pub async fn conference(&self, account: &str, name: &str, order: Order) -> bool {
        let (account, name) = (account.to_owned(), name.to_owned());
        self.ask(|answer| Ask::Conference {
            account,
            name,
            order,
            answer,
        })
        .await
    }
}

impl Channels {
    /// Starts, stops or masks the recording of a leg of the account. `false` when there is no leg with that Call-ID.
    pub async fn record(&self, account: &str, call_id: &str, order: RecordOrder) -> bool {
        let (account, call_id, order) = (account.to_owned(), call_id.to_owned(), Box::new(order));
        self.ask(|answer| Ask::Record {
            account,
            call_id,
            order,
            answer,
        })
        .await
    }

    /// How the gateways of an account's trunks stand: one object each.
    pub async fn gateways(&self, account: &str) -> Vec<Value> {
        let account = account.to_owned();
        self.ask(|answer| Ask::Gateways { account, answer }).await
    }

    /// Asks a server by OPTIONS whether it is there: the status it answers with, `None` when it does not.
    pub async fn options(&self, target: Target, host: &str) -> Option<u16> {
        let host = host.to_owned();
        self.ask(|answer| Ask::Options {
            target,
            host,
            answer,
        })
        .await
    }
}

impl Asks {
    /// Answers for as long as somebody may ask.
    pub async fn serve(mut self, core: Core) {
        while let Some(ask) = self.0.recv().await {
            let heard = match ask {
                Ask::List { account, answer } => answer.send(core.channels(&account)).is_ok(),
                Ask::Originate { wanted, answer } => {
                    answer.send(Some(core.originate(*wanted))).is_ok()
                }
                Ask::Act {
                    account,
                    call_id,
                    action,
                    answer,
                } => answer.send(core.act(&account, &call_id, action)).is_ok(),
                Ask::HangUp {
                    account,
                    call_id,
                    answer,
                } => answer.send(core.hang_up(&account, &call_id)).is_ok(),
                Ask::Record {
                    account,
                    call_id,
                    order,
                    answer,
                } => answer.send(core.record(&account, &call_id, *order)).is_ok(),
                Ask::Gateways { account, answer } => {
                    answer.send(core.gateway_rows(&account)).is_ok()
                }
                Ask::Options {
                    target,
                    host,
                    answer,
                } => {
                    core.ask_for(target, &host, answer);
                    true
                }
                Ask::Conferences { account, answer } => {
                    let rooms = core.conferences(&account);
                    answer
                        .send(rooms.iter().map(|room| room.info()).collect())
                        .is_ok()
                }
                Ask::Conference {
                    account,
                    name,
                    order,
                    answer,
                } => answer
                    .send(core.order_conference(&account, &name, order))
                    .is_ok(),
            };
            if !heard {
                tracing::trace!("nobody waits for this answer any more");
            }
        }
    }
}

impl Core {
    /// The legs of an account that are up, oldest first.
    pub fn channels(&self, account: &str) -> Vec<Channel> {
        let mut all: Vec<Channel> = self.legs_of(account).iter().map(channel).collect();
        all.sort_by(|a, b| (a.created, &a.call_id).cmp(&(b.created, &b.call_id)));
        all
    }

    /// Hangs a leg of the account up. `false` when there is none with that Call-ID.
    pub fn hang_up(&self, account: &str, call_id: &str) -> bool {
        let found = self.legs_of(account);
        let Some(leg) = found.iter().find(|leg| leg.own_facts().call_id == call_id) else {
            return false;
        };
        leg.end(Cause::NORMAL_CLEARING);
        true
    }

    /// Starts, stops or masks the recording of a leg of the account. `false` when there is no leg with that Call-ID.
    pub fn record(&self, account: &str, call_id: &str, order: RecordOrder) -> bool {
        let found = self.legs_of(account);
        let Some(leg) = found.iter().find(|leg| leg.own_facts().call_id == call_id) else {
            return false;
        };
        let start = |new| {
            if let Err(error) = leg.start_recording(new) {
                tracing::debug!(call = ?leg, %error, "too late to record");
            }
        };
        match order {
            RecordOrder::Start(new) => start(new),
            RecordOrder::Stop => drop(leg.stop_recording(None)),
            RecordOrder::Toggle(new) => {
                if leg.stop_recording(None).is_none() {
                    start(new);
                }
            }
            RecordOrder::Mask => drop(leg.pause_recording(None, Pause::Silence)),
            RecordOrder::Unmask => drop(leg.pause_recording(None, Pause::No)),
        }
        true
    }

    pub(super) fn legs_of(&self, account: &str) -> Vec<CallHandle> {
        let calls = self.0.calls.borrow();
        let own = calls
            .values()
            .filter(|call| &*call.own_facts().account.id == account);
        own.filter(|call| call.ended().is_none()).cloned().collect()
    }
}

fn channel(leg: &CallHandle) -> Channel {
    let facts = leg.own_facts();
    let answered = match leg.state().phase {
        Phase::Answered { at } => Some(at),
        Phase::Ringing { .. } | Phase::Ended(_) => None,
    };
    let peer = leg.peer().map(|peer| peer.own_facts().call_id.clone());
    let placed_for = leg
        .state()
        .other
        .as_ref()
        .map(|other| other.call_id.clone());
    let vars = leg.vars();
    Channel {
        call_id: facts.call_id.clone(),
        other_leg: peer.or(placed_for),
        direction: facts.direction,
        answered,
        created: facts.created,
        authorizing_id: facts.authorizing_id.clone(),
        authorizing_type: facts.authorizing_type,
        owner_id: vars.owner_id.clone().or_else(|| facts.owner_id.clone()),
        callflow_id: vars.callflow_id.clone(),
        destination: facts.request_user.clone(),
        caller_id_name: facts.caller_id_name.clone(),
        caller_id_number: facts.caller_id_number.clone(),
        from: facts.from_uri.trim_start_matches("sip:").to_owned(),
        to: facts.to_uri.trim_start_matches("sip:").to_owned(),
        from_tag: facts.from_tag.clone(),
        username: facts.from_user.clone(),
        interaction_id: facts.interaction_id.clone(),
        custom_application_vars: vars.custom_application_vars.clone(),
    }
}

impl Channel {
    /// A row of the list, as `api.md` §3.16 has it; keys without a value are left out.
    pub fn row(&self) -> Value {
        let is_trunk = self.authorizing_type == "resource";
        let mut row = json!({
            "uuid": self.call_id,
            "answered": self.answered.is_some(),
            "direction": self.direction,
            "destination": self.destination,
            "authorizing_id": self.authorizing_id,
            "authorizing_type": self.authorizing_type,
            "callflow_id": self.callflow_id,
            "owner_id": self.owner_id,
            "other_leg": self.other_leg,
            "resource_id": is_trunk.then_some(&self.authorizing_id),
            "elapsed_s": clock::unix_now().since(self.created).as_secs(),
            "timestamp": self.created.gregorian(),
            "interaction_id": self.interaction_id,
            "from_tag": self.from_tag,
            "username": self.username,
            "is_loopback": false,
            "custom_application_vars": self.custom_application_vars,
        });
        drop_empty(&mut row);
        row
    }

    /// One channel in full.
    pub fn whole(&self) -> Value {
        let mut whole = json!({
            "call_id": self.call_id,
            "uuid": self.call_id,
            "answered": self.answered.is_some(),
            "call_direction": self.direction,
            "caller_id_name": self.caller_id_name,
            "caller_id_number": self.caller_id_number,
            "call_flow_id": self.callflow_id,
            "destination": self.destination,
            "elapsed_seconds": clock::unix_now().since(self.created).as_secs(),
            "from": self.from,
            "to": self.to,
            "other_leg_call_id": self.other_leg,
            "owner_id": self.owner_id,
            "authorizing_id": self.authorizing_id,
            "authorizing_type": self.authorizing_type,
            "timestamp": self.created.gregorian(),
            "username": self.username,
            "interaction_id": self.interaction_id,
            "custom_application_vars": self.custom_application_vars,
        });
        drop_empty(&mut whole);
        whole
    }
}

fn drop_empty(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    }
}
