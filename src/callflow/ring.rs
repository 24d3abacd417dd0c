//! What the modules that ring people have in common: who calls, the bridge itself, and where the flow goes afterwards
//! (callflow.md §2.5, §3.5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::ctx::FlowCtx;
use super::cursor::{Next, Tree};
use super::data::Whole;
use super::error::FlowError;
use crate::audio::Clip;
use crate::base::cause::Cause;
use crate::call::{AfterBridge, Attended, BridgeOptions, Bridged, Keys, Strategy};
use crate::clips::Audio;
use crate::directory::Account;
use crate::directory::trunk::headers;
use crate::host::clock;
use crate::routing::endpoints::{Endpoints, NotRung, Options, Ringing};
use crate::routing::policy::Policy;
use crate::routing::{self, Caller, Origin, Place, Target, When, forward};

/// How a module rings.
#[derive(Debug, Clone, Default)]
pub(super) struct Ring {
    /// One after the other instead of all at once.
    pub(super) single: bool,
    /// How long in all, in seconds; `None` as long as the endpoints' own times take.
    pub(super) timeout: Option<Whole>,
    /// Media reference of what the caller hears meanwhile.
    pub(super) ringback: Option<String>,
    /// What endpoints send before they answer is not heard.
    pub(super) ignore_early_media: bool,
    /// The first that refuses ends it.
    pub(super) fail_on_single_reject: bool,
    /// The longest talk.
    pub(super) limit: Option<Duration>,
    /// Keys of the caller that end the talk.
    pub(super) hangup_on: Keys,
    /// Who attends the legs.
    pub(super) attended: Option<Attended>,
}

/// How a bridge went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Somebody answered, and both have talked.
    Talked,
    /// Nobody answered.
    Failed {
        /// Why.
        cause: Cause,
        /// SIP status.
        status: u16,
    },
    /// The call is somebody else's now.
    Moved,
}

impl FlowCtx {
    /// The account as it is now.
    pub(super) fn account_now(&self) -> Arc<Account> {
        let account = self.account();
        let now = self.call.services().directory.account(&account.id);
        now.unwrap_or(account)
    }

    /// Who calls, as those who are rung are to see it.
    pub(super) fn origin(&self) -> Origin {
        let facts = self.call.facts();
        let vars = self.call.vars();
        let name = vars
            .caller_id_name
            .clone()
            .unwrap_or_else(|| facts.caller_id_name.clone());
        let number = vars
            .caller_id_number
            .clone()
            .unwrap_or_else(|| facts.caller_id_number.clone());
        Origin {
            authorizing_id: facts.authorizing_id.clone(),
            owner_id: vars.owner_id.clone().or_else(|| facts.owner_id.clone()),
            from_outside: facts.inception.is_some(),
            name,
            number,
            dialled: routing::normalise(
                &facts.account,
                vars.request_user.as_deref().unwrap_or(&facts.request_user),
            ),
            presentation: vars.presentation.clone(),
        }
    }

    /// Makes endpoints out of the account as it is now.
    pub(super) fn endpoints(
        &self,
        options: &Options,
        find: impl FnOnce(&Ringing<'_>) -> Result<Endpoints, NotRung>,
    ) -> Result<Endpoints, NotRung> {
        let account = self.account_now();
        let ringing = Ringing {
            account: &account,
            origin: &self.origin(),
            options,
            now: clock::unix_now().gregorian(),
        };
        find(&ringing)
    }

    /// Music for a party on hold: the caller's own, else the account's. Silence in its place is silence, not the music of
    /// the house.
    pub(super) async fn hold_music(&self) -> Option<Arc<Clip>> {
        let account = self.account_now();
        let own = self.call.vars().hold_music.clone();
        let reference = own.or_else(|| self.origin().attributes(&account).hold_music())?;
        if reference.starts_with("silence_stream://") {
            return Some(Arc::new(Clip::new(8000, vec![0; 8000])));
        }
        self.clip(&reference).await
    }

    /// What the caller hears while it rings: what the module says, else the call's own.
    pub(super) async fn ringback(&self, named: Option<&str>) -> Option<Arc<Clip>> {
        let own = self.call.vars().ringback.clone();
        let reference = named.map(str::to_owned).or(own)?;
        self.clip(&reference).await
    }

    /// A medium as a clip that can be repeated; `None` for what has no end, or cannot be had.
    pub(super) async fn clip(&self, reference: &str) -> Option<Arc<Clip>> {
        if reference.is_empty() {
            return None;
        }
        match self.media(reference).await {
            Ok(Audio::Clip(clip) | Audio::Tone { clip, .. }) => Some(clip),
            Ok(_) => None,
            Err(error) => {
                self.note(format!(
                    "{reference} cannot be played while it rings: {error}"
                ));
                None
            }
        }
    }

    /// Rings, and connects the caller to whoever answers.
    pub(super) async fn ring(&self, ring: &Ring, found: Endpoints) -> Result<Outcome, FlowError> {
        let Endpoints { targets, later } = found;
        let mut how = ring.clone();
        let targets = self.followed(targets, &mut how.single);
        let options = BridgeOptions {
            timeout: how
                .timeout
                .map(seconds)
                .or_else(|| longest(&targets, how.single)),
            ringback: self.ringback(how.ringback.as_deref()).await,
            ignore_early_media: how.ignore_early_media,
            fail_on_single_reject: how.fail_on_single_reject,
            hold_music: self.hold_music().await,
            redirects: Some(self.redirects()),
            limit: how.limit,
            hangup_on: how.hangup_on,
            attended: how.attended.clone(),
            ..BridgeOptions::default()
        };
        let mut outcome = match targets.is_empty() {
            false => {
                self.within_caps(targets, how.single, options.clone())
                    .await?
            }
            true => Outcome::Failed {
                cause: Cause::SUBSCRIBER_ABSENT,
                status: 480,
            },
        };
        // Forwards that wait for the phone to fail come before the node's own failure children.
        if let Outcome::Failed { cause, .. } = outcome {
            let when = when(cause);
            let targets: Vec<Target> = later
                .into_iter()
                .filter(|(own, _)| Some(*own) == when)
                .map(|(_, t)| t)
                .collect();
            let mut single = false;
            let targets = self.followed(targets, &mut single);
            if !targets.is_empty() {
                self.note(format!("forwarded after {}", cause.name));
                let timeout = longest(&targets, single);
                outcome = self
                    .within_caps(targets, single, BridgeOptions { timeout, ..options })
                    .await?;
            }
        }
        Ok(outcome)
    }

    /// Forwards to numbers become the endpoints the numbers lead to. A forward that stands alone tries all of them one
    /// after the other; beside others only its first place rings.
    fn followed(&self, targets: Vec<Target>, single: &mut bool) -> Vec<Target> {
        let is_forward = |target: &Target| matches!(target.place, Place::Number(_));
        if !targets.iter().any(is_forward) {
            return targets;
        }
        let alone = targets.len() == 1;
        let account = self.account_now();
        let system = self
            .call
            .services()
            .directory
            .accounts()
            .into_iter()
            .find(|other| other.is_first());
        let origin = self.origin();
        let options = Options::default();
        let ringing = Ringing {
            account: &account,
            origin: &origin,
            options: &options,
            now: clock::unix_now().gregorian(),
        };
        let mut all: Vec<Target> = Vec::new();
        for target in targets {
            let (forwarded, number) = (is_forward(&target), target.place.clone());
            match forward::resolve(&ringing, target, system.as_deref(), &mut self.call.rng()) {
                Ok(found) => {
                    let carriers =
                        forwarded && found.iter().all(|target| target.kind == "resource");
                    let several = found.len() > 1 && carriers;
                    *single |= alone && several;
                    all.extend(found.into_iter().take(if several && !alone && !*single {
                        1
                    } else {
                        usize::MAX
                    }));
                }
                Err(why) => self.note(format!("the forward to {number:?} leads nowhere: {why:?}")),
            }
        }
        all
    }

    /// A bridge some of whose endpoints may be at carriers: those count as calls of the account and the trunks.
    async fn within_caps(
        &self,
        targets: Vec<Target>,
        single: bool,
        options: BridgeOptions,
    ) -> Result<Outcome, FlowError> {
        let account = self.account_now();
        let directory = self.call.services().directory.clone();
        let accounts = directory.accounts();
        let system = accounts.iter().find(|other| other.is_first());
        let at_carriers = targets
            .iter()
            .filter(|target| target.kind == "resource")
            .count();
        let mut line = None;
        if at_carriers > 0 {
            match self.call.take_line(Policy::of(&account)) {
                Ok(taken) => line = Some(taken),
                Err(full) => self.note(format!("the account has used up its {}", full.what())),
            }
        }
        let (mut trunk_lines, mut rung) = (Vec::new(), Vec::new());
        for target in targets {
            if target.kind == "resource" {
                let trunk = account.trunks.get(&target.id);
                let trunk = trunk.or_else(|| system?.trunks.get(&target.id));
                let taken = trunk
                    .map(|trunk| self.call.take_trunk_line(trunk))
                    .transpose();
                match taken {
                    Ok(taken) if line.is_some() => trunk_lines.extend(taken),
                    Ok(_) | Err(_) => continue,
                }
            }
            rung.push(target);
        }
        if rung.is_empty() {
            return Ok(Outcome::Failed {
                cause: Cause::NORMAL_CIRCUIT_CONGESTION,
                status: 503,
            });
        }
        let only_carriers = rung.len() == trunk_lines.len();
        if single && only_carriers {
            rung = self.call.held_last(rung, |target| &target.place).await;
            let last = rung.len().saturating_sub(1);
            for target in rung.iter_mut().take(last) {
                target.impatient = true;
            }
        }
        let limit = line
            .as_ref()
            .filter(|_| only_carriers)
            .and_then(|line| line.limit);
        let limit = [limit, options.limit].into_iter().flatten().min();
        if let Some(line) = line.as_mut().filter(|_| only_carriers) {
            line.start();
        }
        let outcome = self
            .bridge(BridgeOptions {
                targets: rung,
                strategy: if single {
                    Strategy::Single
                } else {
                    Strategy::Simultaneous
                },
                limit,
                ..options
            })
            .await?;
        if let (Some(line), Outcome::Failed { .. }) = (&mut line, outcome) {
            line.reset();
        }
        Ok(outcome)
    }

    /// One bridge.
    pub(super) async fn bridge(&self, options: BridgeOptions) -> Result<Outcome, FlowError> {
        Ok(match self.call.bridge(options).await? {
            Bridged::Done { .. } => Outcome::Talked,
            Bridged::Failed { cause, status } => Outcome::Failed { cause, status },
            Bridged::Transferred => Outcome::Moved,
        })
    }

    /// Rings what was found, and says where the flow goes: on to where the failure leads, or to its end.
    pub(super) async fn ring_and_go(
        &self,
        ring: &Ring,
        found: Result<Endpoints, NotRung>,
    ) -> Result<Next, FlowError> {
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                self.note(format!("nothing to ring: {}", why.key()));
                return Ok(Next::Child(why.key().to_owned()));
            }
        };
        if let Some(tree) = self.answers_itself(&found) {
            return Ok(Next::Replace(tree));
        }
        let outcome = self.ring(ring, found).await?;
        Ok(self.after(outcome))
    }

    /// The callflow of a number that everything is forwarded to, when it is one that answers calls itself: a menu, a
    /// mailbox, Pivot.
    fn answers_itself(&self, found: &Endpoints) -> Option<Tree> {
        let [only] = found.targets.as_slice() else {
            return None;
        };
        let Place::Number(number) = &only.place else {
            return None;
        };
        let (account, origin, options) = (self.account_now(), self.origin(), Options::default());
        let ringing = Ringing {
            account: &account,
            origin: &origin,
            options: &options,
            now: clock::unix_now().gregorian(),
        };
        let rings = forward::resolve(&ringing, only.clone(), None, &mut self.call.rng());
        if only.confirm || rings.err() != Some(forward::NoForward::Answers) {
            return None;
        }
        self.note(format!(
            "forwarded to {number}, whose callflow takes the call"
        ));
        self.callflow_of(number, false)
    }

    /// Where the flow goes after a bridge.
    pub(super) fn after(&self, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Talked => self.after_talk(),
            Outcome::Moved => Next::Usurped,
            Outcome::Failed { cause, status } => self
                .branch_of(cause, status)
                .unwrap_or_else(|| Next::Child(cause.name.to_owned())),
        }
    }

    /// The child a failure has of its own: named like the cause, else like the status.
    pub(super) fn branch_of(&self, cause: Cause, status: u16) -> Option<Next> {
        let code = format!("sip:{status}");
        [cause.name, code.as_str()]
            .into_iter()
            .find(|key| self.has_child(key))
            .map(|key| Next::Child(key.to_owned()))
    }

    /// The other party has left; the caller is still there.
    fn after_talk(&self) -> Next {
        let wanted = self.call.vars().after_bridge.clone();
        match wanted {
            None => Next::Stop(None),
            Some(AfterBridge::Hangup) => Next::HardStop,
            Some(AfterBridge::Park) => Next::Replace(self.parked()),
            Some(AfterBridge::Transfer(number)) => match self.callflow_of(&number, true) {
                Some(tree) => Next::Replace(tree),
                None => {
                    self.note(format!("after the call: there is no callflow for {number}"));
                    Next::Stop(None)
                }
            },
        }
    }

    /// What a caller hears who waits for nothing in particular: music on hold, else nothing.
    fn parked(&self) -> Tree {
        let account = self.account_now();
        let wait = json!({"module": "wait_for_hangup", "data": {}, "children": {}});
        let node = match self.origin().attributes(&account).hold_music() {
            Some(music) => json!({
                "module": "play",
                "data": {"id": music, "endless_playback": true, "terminators": []},
                "children": {"_": wait},
            }),
            None => wait,
        };
        Tree::Node(Arc::new(node))
    }

    /// The callflow a number leads to, with what its pattern captured set on the call; `no_match` only where the
    /// caller may use it.
    pub(super) fn callflow_of(&self, number: &str, no_match: bool) -> Option<Tree> {
        let account = self.account_now();
        let facts = self.call.facts();
        let caller = Caller {
            authorizing_type: facts.authorizing_type,
            device_id: &facts.authorizing_id,
        };
        let route = if no_match {
            routing::route(&account, number, &caller)
        } else {
            routing::hunt(&account, number)
        }?;
        let mut vars = self.call.vars();
        vars.capture_group = route.capture_group;
        vars.capture_groups = route.capture_groups;
        vars.no_match = route.no_match;
        Some(Tree::Document(route.doc))
    }
}

/// Seconds of a node; none counts as KAZOO's 20 (a literal 0 is no time at all).
pub(super) fn seconds(wanted: Whole) -> Duration {
    Duration::from_secs(u64::from(match wanted.0 {
        ..=0 => USUAL_TIMEOUT,
        _ => wanted.count(1, LONGEST),
    }))
}

/// Headers of a node's `custom_sip_headers`.
pub(super) fn node_headers(document: Option<&BTreeMap<String, Value>>) -> Vec<(String, String)> {
    let object = document.map(|map| Value::Object(map.clone().into_iter().collect()));
    headers(object.as_ref(), "out")
}

/// How long endpoints ring that have their own times.
fn longest(targets: &[Target], single: bool) -> Option<Duration> {
    let usual = Duration::from_secs(u64::from(USUAL_TIMEOUT));
    let each = targets
        .iter()
        .map(|t| t.delay.saturating_add(t.timeout.unwrap_or(usual)));
    if single { Some(each.sum()) } else { each.max() }
}

/// Which forwards a failure starts.
fn when(cause: Cause) -> Option<When> {
    match cause {
        Cause::SUBSCRIBER_ABSENT
        | Cause::USER_NOT_REGISTERED
        | Cause::RECOVERY_ON_TIMER_EXPIRE
        | Cause::NETWORK_OUT_OF_ORDER
        | Cause::NORMAL_TEMPORARY_FAILURE
        | Cause::DESTINATION_OUT_OF_ORDER
        | Cause::UNALLOCATED_NUMBER => Some(When::Unreachable),
        Cause::USER_BUSY | Cause::CALL_REJECTED => Some(When::Busy),
        Cause::NO_ANSWER | Cause::NO_USER_RESPONSE => Some(When::NoAnswer),
        _ => None,
    }
}

/// Seconds a node rings that does not say (KAZOO's default).
const USUAL_TIMEOUT: u32 = 20;
/// Longest ringing, in seconds.
const LONGEST: u32 = 3_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_twenty_seconds() {
        assert_eq!(seconds(Whole(0)).as_secs(), 20);
        assert_eq!(seconds(Whole(-5)).as_secs(), 20);
        assert_eq!(seconds(Whole(7)).as_secs(), 7);
        assert_eq!(seconds(Whole(i64::MAX)).as_secs(), 3_600);
    }

    #[test]
    fn endpoints_with_their_own_times_ring_as_long_as_the_longest_or_as_all_in_turn() {
        let target = |delay: u64, timeout: Option<u64>| Target {
            delay: Duration::from_secs(delay),
            timeout: timeout.map(Duration::from_secs),
            ..Target::at(Place::Number("1".into()))
        };
        let all = [target(5, Some(10)), target(0, None)];
        assert_eq!(longest(&all, false).unwrap().as_secs(), 20);
        assert_eq!(longest(&all, true).unwrap().as_secs(), 35);
        assert_eq!(longest(&[], false), None);
    }

    #[test]
    fn forwards_wait_for_their_own_failure() {
        assert_eq!(when(Cause::USER_BUSY), Some(When::Busy));
        assert_eq!(when(Cause::SUBSCRIBER_ABSENT), Some(When::Unreachable));
        assert_eq!(when(Cause::NO_ANSWER), Some(When::NoAnswer));
        assert_eq!(when(Cause::ORIGINATOR_CANCEL), None);
    }
}
