//! The record of a leg: opened when it rings, durably at answer, closed when the leg ends.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::error::Ended;
use super::handle::CallHandle;
use super::state::{Phase, State};
use crate::base::time::UnixMicros;
use crate::host::clock;
use crate::host::ration::Ration;
use crate::jobs::HttpJob;
use crate::jobs::webhooks::LegEvent;
use crate::journal::{Cdr, Code, Fact, OpenCall};
use crate::media::PortStats;
use crate::routing::{Attributes, IdKind, Identity};
use crate::store::Batch;

/// Under overload every call would say it.
static SLOW: Ration = Ration::every(Duration::from_secs(5));

impl CallHandle {
    /// Keeps what is known of a call whose caller waits, so that a crash cannot lose it.
    pub(super) fn journal_ringing(&self) {
        if !self.0.opened.replace(true) {
            drop(self.open_record(None));
        }
    }

    /// Keeps the record of a call that is about to be answered, and waits until a crash can no longer lose it. A store
    /// that fails or stalls does not keep the caller waiting: calls go on, and the journal says what it could not write.
    pub(super) async fn open_durably(&self) {
        let durable = self.open_record(Some(clock::unix_now()));
        if tokio::time::timeout(STORE_PATIENCE, durable).await.is_err() {
            metrics::counter!("swivel_calls_answered_before_durable_total").increment(1);
            if let Some(calls) = SLOW.take(clock::now()) {
                tracing::warn!(calls, call = ?self, "the store is slow: calls are answered before their records are durable");
            }
        }
    }

    /// Notes that a leg of ours was answered.
    pub(super) fn journal_answer(&self, at: UnixMicros) {
        self.note(|call_id, _| Fact::Answered { call_id, at });
        self.tell(LegEvent::Answer);
        drop(self.open_record(Some(at)));
    }

    /// Tells webhooks what has happened to the leg.
    pub(super) fn tell(&self, event: LegEvent) {
        let webhooks = self.0.core.0.webhooks.borrow().clone();
        let Some(webhooks) = webhooks else { return };
        if webhooks.wanted(&self.0.facts.account.id, event) {
            let answered = match self.state().phase {
                Phase::Answered { at } => Some(at),
                Phase::Ringing { .. } | Phase::Ended(_) => None,
            };
            let cdr = self.cdr(None, answered);
            webhooks.leg(event, &cdr, self.0.seed.is_some(), clock::unix_now());
        }
    }

    fn open_record(&self, answered: Option<UnixMicros>) -> oneshot::Receiver<()> {
        let record = OpenCall(self.cdr(None, answered));
        self.0.core.services().journal.open_call(record)
    }

    /// Writes the final record, once.
    pub(super) fn write_cdr(&self) {
        let Some((answered, at)) = self.0.times.take() else {
            return;
        };
        let Some(ended) = self.ended() else { return };
        if let Some(answered) = answered {
            self.listen_back(at.since(answered));
        }
        let cdr = self.cdr(Some((ended, at)), answered);
        let mut more = Batch::new();
        let webhooks = self.0.core.0.webhooks.borrow().clone();
        if let Some(webhooks) = &webhooks {
            let internal = self.0.seed.is_some();
            webhooks.add_leg(
                &mut more,
                LegEvent::Destroy,
                &cdr,
                internal,
                clock::unix_now(),
            );
        }
        let tells = !more.is_empty();
        let services = self.0.core.services();
        let told = self.vars().cdr_url.take();
        if let Some(url) = &told {
            let mut job = HttpJob::form("POST", url, &cdr.to_event()).of_call(&cdr.call_id);
            job.of_end = true;
            let (now, lane) = (clock::unix_now(), format!("{} {url}", cdr.call_id));
            services
                .outbox
                .post(&mut more, &cdr.account, &lane, &job, now);
        }
        services.journal.close_leg_and(Box::new(cdr), more);
        if told.is_some() {
            services.outbox.wake_when_durable();
        }
        if let Some(webhooks) = webhooks.filter(|_| tells) {
            webhooks.when_durable();
        }
    }

    /// Tells of a leg that has talked for a while and sent not one packet.
    fn listen_back(&self, talked: Duration) {
        let silent = {
            let state = self.state();
            let sends = state
                .media
                .agreed
                .as_ref()
                .is_some_and(|agreed| !agreed.held);
            sends
                && state
                    .stats
                    .as_ref()
                    .is_some_and(|stats| stats.packets_received == 0)
        };
        if silent && talked >= HEARD_BY {
            let seconds = talked.as_secs().to_string();
            self.trouble(Code::OneWayAudio, vec![("seconds", seconds)]);
        }
    }

    /// The leg's record as far as it has come.
    pub(super) fn cdr_so_far(&self) -> Cdr {
        let answered = match self.state().phase {
            Phase::Answered { at } => Some(at),
            Phase::Ringing { .. } | Phase::Ended(_) => None,
        };
        self.cdr(None, answered)
    }

    fn cdr(&self, end: Option<(Ended, UnixMicros)>, answered: Option<UnixMicros>) -> Cdr {
        let facts = &self.0.facts;
        let vars = self.vars();
        let state = self.state();
        let at = |user: &str, host: &str| format!("{user}@{host}");
        let (from_tag, to_tag) = match self.is_outbound() {
            true => (state.own_tag.clone(), state.to_tag.clone()),
            false => (facts.from_tag.clone(), state.own_tag.clone()),
        };
        let other = state.other.clone().unwrap_or_default();
        let (media_recordings, recording_url) = state.tapes.linked();
        let internal = self.internal_identity();
        let bridge_id = Some(other.bridge_id.clone()).filter(|id| !id.is_empty());
        let channel_vars = vars
            .channel_vars
            .iter()
            .map(|(name, value)| (name.to_lowercase().replace('-', "_"), value.clone()))
            .chain([
                (
                    "account_name".to_owned(),
                    Value::from(facts.account.name.as_str()),
                ),
                (
                    "account_realm".to_owned(),
                    Value::from(&*facts.account.realm),
                ),
                ("fetch_id".to_owned(), Value::from(facts.fetch_id.as_str())),
            ])
            .chain(
                facts
                    .inception
                    .as_deref()
                    .map(|i| ("inception".to_owned(), Value::from(i))),
            )
            .chain(bridge_id.map(|id| ("bridge_id".to_owned(), Value::from(id))))
            .chain(recording_url.map(|url| ("recording_url".to_owned(), Value::from(url))))
            .collect();
        Cdr {
            account: facts.account.id.to_string(),
            call_id: facts.call_id.clone(),
            interaction_id: facts.interaction_id.clone(),
            direction: facts.direction.to_owned(),
            created: facts.created,
            ringing: state.rang_at,
            answered,
            ended: end.map(|(_, at)| at),
            hangup_cause: end
                .map(|(ended, _)| ended.cause.name.to_owned())
                .unwrap_or_default(),
            hangup_code: end.map(|(ended, _)| ended.status).unwrap_or_default(),
            disposition: end
                .map(|(ended, _)| ended.disposition.to_owned())
                .unwrap_or_default(),
            caller_id_name: vars
                .caller_id_name
                .clone()
                .or(internal.name)
                .unwrap_or_else(|| facts.caller_id_name.clone()),
            caller_id_number: vars
                .caller_id_number
                .clone()
                .or(internal.number)
                .unwrap_or_else(|| facts.caller_id_number.clone()),
            callee_id_number: facts.request_user.clone(),
            from: at(&facts.from_user, &facts.from_realm),
            to: at(&facts.to_user, &facts.to_realm),
            request: at(&facts.request_user, &facts.request_realm),
            from_uri: facts.from_uri.clone(),
            to_uri: facts.to_uri.clone(),
            from_tag,
            user_agent: state
                .user_agent
                .clone()
                .unwrap_or_else(|| facts.user_agent.clone()),
            owner_id: vars
                .owner_id
                .clone()
                .or_else(|| facts.owner_id.clone())
                .unwrap_or_default(),
            authorizing_id: facts.authorizing_id.clone(),
            authorizing_type: facts.authorizing_type.to_owned(),
            callflow_id: vars.callflow_id.clone().unwrap_or_default(),
            custom_channel_vars: channel_vars,
            custom_application_vars: vars.custom_application_vars.clone(),
            custom_sip_headers: facts
                .custom_sip_headers
                .iter()
                .map(|(name, value)| (name.to_lowercase().replace('-', "_"), value.clone()))
                .collect(),
            to_tag,
            media_recordings,
            other_leg_call_id: other.call_id,
            other_leg_direction: other.direction.to_owned(),
            other_leg_caller_id_name: other.caller_id_name,
            other_leg_caller_id_number: other.caller_id_number,
            other_leg_destination_number: other.destination,
            callee_id_name: facts.callee_id_name.clone(),
            local_sdp: state
                .media
                .local
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            remote_sdp: state
                .media
                .offer
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            media_server: self.media_server(&state),
            media_stats: state.stats.as_ref().map(figures).unwrap_or_default(),
            ..Cdr::default()
        }
    }

    /// A phone of the account is known by what its documents call it, whatever it wrote into From.
    fn internal_identity(&self) -> Identity {
        let facts = &self.0.facts;
        if self.is_outbound() || facts.authorizing_type != "device" {
            return Identity::default();
        }
        let owner = facts.owner_id.as_deref();
        Attributes::of_caller(&facts.account, &facts.authorizing_id, owner)
            .identity(IdKind::Internal)
    }

    fn media_server(&self, state: &State) -> String {
        state
            .media
            .agreed
            .as_ref()
            .map(|_| self.0.local.to_string())
            .unwrap_or_default()
    }
}

/// Statistics of the port as figures of the record.
fn figures(stats: &PortStats) -> Map<String, Value> {
    let rounded = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
    let counts = [
        ("packets_sent", stats.packets_sent),
        ("packets_received", stats.packets_received),
        ("packets_lost", stats.packets_lost),
        ("bytes_sent", stats.bytes_sent),
        ("bytes_received", stats.bytes_received),
    ];
    let measures = [
        ("jitter_ms", rounded(stats.jitter_ms)),
        ("remote_loss", rounded(stats.remote_loss)),
        ("remote_jitter_ms", rounded(stats.remote_jitter_ms)),
        ("mos", rounded(stats.mos)),
    ];
    let round_trip = stats.round_trip.map(|t| {
        (
            "round_trip_ms".to_owned(),
            Value::from(t.as_secs_f64() * 1000.0),
        )
    });
    counts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .chain(
            measures
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value))),
        )
        .chain(round_trip)
        .collect()
}

/// A telephone sends within this time of its answer.
const HEARD_BY: Duration = Duration::from_secs(3);
/// How long an answer waits for the store.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
