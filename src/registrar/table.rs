//! All bindings: what adds, refreshes and ends them, and when. No clock, no socket: time comes in, changes go out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::binding::{Aor, Binding, Bound, Life};
use super::config::{Overflow, RegistrarConfig};
use super::register::{Asked, Refused, Register, Wanted};
use crate::base::time::UnixMicros;
use crate::sip::flow::{Flow, Transport};
use crate::sip::msg::Uri;
use crate::sip::transaction::schedule::Schedule;

/// Every binding.
pub(super) struct Table {
    aors: BTreeMap<Aor, Record>,
    timers: Schedule<Place>,
    /// Bindings by the connection they live on.
    streams: BTreeMap<u64, Vec<Place>>,
    /// How many bindings came from an address.
    sources: BTreeMap<IpAddr, usize>,
    count: usize,
    next_id: u64,
}

/// Names one binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) aor: Aor,
    pub(super) id: u64,
}

/// An address of record with its bindings, the one refreshed last at the end.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) account: Arc<str>,
    pub(super) device: Arc<str>,
    pub(super) bindings: Vec<Bound>,
    /// Whether the store has it.
    pub(super) stored: bool,
}

/// Who registers, and when.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) now: Instant,
    pub(super) unix: UnixMicros,
    pub(super) aor: Aor,
    pub(super) account: Arc<str>,
    pub(super) device: Arc<str>,
    pub(super) call_id: Box<str>,
    pub(super) cseq: u32,
    pub(super) flow: Flow,
    pub(super) user_agent: String,
    pub(super) to_host: Box<str>,
}

/// Something happened to a binding.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) what: What,
    pub(super) aor: Aor,
    pub(super) account: Arc<str>,
    pub(super) device: Arc<str>,
    pub(super) bound: Bound,
}

/// What happened to a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// It is new.
    Registered,
    /// It goes on.
    Refreshed,
    /// The phone removed it.
    Unregistered,
    /// It had to make room.
    Replaced,
    /// Its time is over.
    Expired,
    /// Its connection has closed.
    Closed,
    /// Somebody removed it by the API.
    Flushed,
    /// Its phone does not answer.
    Unreachable,
    /// Its phone answers again.
    Reachable,
}

impl What {
    /// Its word in events.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Refreshed => "refreshed",
            Self::Unregistered => "unregistered",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Closed => "closed",
            Self::Flushed => "flushed",
            Self::Unreachable => "unreachable",
            Self::Reachable => "reachable",
        }
    }
}

/// What is due.
#[derive(Debug)]
pub(super) enum Due {
    /// A binding has ended.
    Expired(Box<Change>),
    /// Its phone is to be asked whether it is there.
    Ask(Place),
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            aors: BTreeMap::new(),
            timers: Schedule::new(),
            streams: BTreeMap::new(),
            sources: BTreeMap::new(),
            count: 0,
            next_id: 0,
        }
    }

    /// How many bindings there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Every address of record.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Aor, &Record)> {
        self.aors.iter()
    }

    /// One address of record.
    pub(super) fn record(&self, aor: &Aor) -> Option<&Record> {
        self.aors.get(aor)
    }

    /// Notes whether the store has it.
    pub(super) fn set_stored(&mut self, aor: &Aor, stored: bool) {
        if let Some(record) = self.aors.get_mut(aor) {
            record.stored = stored;
        }
    }

    /// One binding.
    pub(super) fn bound_mut(&mut self, place: &Place) -> Option<&mut Bound> {
        let record = self.aors.get_mut(&place.aor)?;
        record.bindings.iter_mut().find(|b| b.id == place.id)
    }

    /// Whether a phone registered from that address.
    pub(super) fn has_source(&self, source: IpAddr) -> bool {
        self.sources.contains_key(&source.to_canonical())
    }

    /// Where an address of record can be reached now, the one refreshed last first. Two bindings of one path are one
    /// phone (some register twice while they learn their own address): the later counts.
    pub(super) fn reachable(&self, aor: &Aor, now: Instant) -> Vec<Binding> {
        let Some(record) = self.aors.get(aor) else {
            return Vec::new();
        };
        let mut found: Vec<Binding> = Vec::new();
        let live = record
            .bindings
            .iter()
            .rev()
            .filter(|b| b.expires > now && !b.life.unreachable);
        for bound in live {
            let user = user_of(&bound.binding.contact);
            let same = |known: &Binding| {
                known.flow == bound.binding.flow
                    && known.path == bound.binding.path
                    && user_of(&known.contact) == user
            };
            if !found.iter().any(same) {
                found.push(bound.binding.clone());
            }
        }
        found.sort_by_key(|binding| std::cmp::Reverse(binding.q));
        found
    }

    /// Does what a REGISTER asks for, all of it or nothing.
    pub(super) fn apply(
        &mut self,
        context: &Context,
        register: &Register,
        config: &RegistrarConfig,
    ) -> Result<Vec<Change>, Refused> {
        let wanted: &[Wanted] = match &register.asked {
            Asked::Query => return Ok(Vec::new()),
            Asked::Clear => &[],
            Asked::Change(wanted) => wanted,
        };
        let clear = register.asked == Asked::Clear;
        let room = self.room(context, wanted, clear, config)?;
        let mut changes = Vec::new();
        if clear {
            while let Some(change) = self.remove_where(&context.aor, What::Unregistered, |_| true) {
                changes.push(change);
            }
            return Ok(changes);
        }
        for _ in 0..room {
            // The first is the one refreshed longest ago, and none of those that are asked for.
            let spare = |bound: &Bound| !wanted.iter().any(|one| bound.is_named_by(&one.key));
            changes.extend(self.remove_where(&context.aor, What::Replaced, spare));
        }
        for one in wanted {
            let old = self.remove_where(&context.aor, What::Unregistered, |bound| {
                bound.is_named_by(&one.key)
            });
            if one.expires == 0 {
                changes.extend(old);
            } else {
                changes.push(self.bind(context, register, one, old.map(|old| old.bound)));
            }
        }
        Ok(changes)
    }

    /// Whether the request may be carried out, and how many other bindings must go for it.
    fn room(
        &self,
        context: &Context,
        wanted: &[Wanted],
        clear: bool,
        config: &RegistrarConfig,
    ) -> Result<usize, Refused> {
        let bindings = self.aors.get(&context.aor);
        let bindings = bindings.map_or(&[][..], |record| &record.bindings);
        let named = |bound: &&Bound| clear || wanted.iter().any(|one| bound.is_named_by(&one.key));
        let stale = |bound: &Bound| bound.call_id == context.call_id && context.cseq <= bound.cseq;
        if bindings.iter().filter(named).any(stale) {
            return Err(Refused::new(500, "CSeq Out Of Order"));
        }
        let kept = bindings.iter().filter(|bound| !named(bound)).count();
        let added = wanted.iter().filter(|one| one.expires > 0).count();
        let too_many = (kept + added).saturating_sub(config.max_bindings);
        if added > config.max_bindings || (too_many > 0 && config.overflow == Overflow::Refuse) {
            return Err(Refused::new(403, "Too Many Contacts"));
        }
        // A request that only removes is never in need of room.
        Ok(if added == 0 { 0 } else { too_many })
    }

    fn bind(
        &mut self,
        context: &Context,
        register: &Register,
        one: &Wanted,
        old: Option<Bound>,
    ) -> Change {
        let lasts = Duration::from_secs(u64::from(one.expires));
        let id = match &old {
            Some(old) => old.id,
            None => {
                self.next_id += 1;
                self.next_id
            }
        };
        // A phone that registers is there.
        let life = Life {
            ask_at: old.as_ref().and_then(|old| old.life.ask_at),
            ..Life::default()
        };
        let bound = Bound {
            id,
            binding: Binding {
                contact: one.key.uri.to_string(),
                flow: one.flow,
                source: context.flow.remote,
                path: register.path.clone(),
                instance: one.key.instance.clone(),
                reg_id: one.key.reg_id,
                user_agent: context.user_agent.clone(),
                q: one.q,
                behind_nat: one.behind_nat,
                expires_at: context.unix.plus(lasts),
            },
            params: one.params.clone(),
            call_id: context.call_id.clone(),
            cseq: context.cseq,
            to_host: context.to_host.clone(),
            registered_at: old.as_ref().map_or(context.unix, |old| old.registered_at),
            expires: context.now + lasts,
            armed: None,
            life,
        };
        let what = if old.is_some() {
            What::Refreshed
        } else {
            What::Registered
        };
        let change = Change {
            what,
            aor: context.aor.clone(),
            account: context.account.clone(),
            device: context.device.clone(),
            bound: bound.clone(),
        };
        self.insert(&context.aor, &context.account, &context.device, bound);
        change
    }

    /// Adds a binding that is not there.
    pub(super) fn insert(
        &mut self,
        aor: &Aor,
        account: &Arc<str>,
        device: &Arc<str>,
        bound: Bound,
    ) {
        self.next_id = self.next_id.max(bound.id);
        let place = Place {
            aor: aor.clone(),
            id: bound.id,
        };
        if bound.is_on_stream() {
            let streams = self.streams.entry(bound.binding.flow.connection);
            streams.or_default().push(place.clone());
        }
        let source = bound.binding.source.ip().to_canonical();
        *self.sources.entry(source).or_insert(0) += 1;
        self.count += 1;
        let record = self.aors.entry(aor.clone()).or_insert_with(|| Record {
            account: account.clone(),
            device: device.clone(),
            bindings: Vec::new(),
            stored: false,
        });
        record.account = account.clone();
        record.device = device.clone();
        record.bindings.push(bound);
        self.arm(&place);
    }

    /// Sets the timer of a binding anew, after its `life` was changed.
    pub(super) fn arm(&mut self, place: &Place) {
        let Some(record) = self.aors.get_mut(&place.aor) else {
            return;
        };
        let Some(bound) = record.bindings.iter_mut().find(|b| b.id == place.id) else {
            return;
        };
        let at = bound
            .life
            .ask_at
            .map_or(bound.expires, |ask| ask.min(bound.expires));
        self.timers
            .rearm(&mut bound.armed, Some(at), || place.clone());
    }

    /// Removes the first binding that fits.
    fn remove_where(
        &mut self,
        aor: &Aor,
        what: What,
        fits: impl Fn(&Bound) -> bool,
    ) -> Option<Change> {
        let record = self.aors.get_mut(aor)?;
        let at = record.bindings.iter().position(fits)?;
        let mut bound = record.bindings.remove(at);
        self.timers.rearm(&mut bound.armed, None, || Place {
            aor: aor.clone(),
            id: 0,
        });
        self.count -= 1;
        let source = bound.binding.source.ip().to_canonical();
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        let connection = bound.binding.flow.connection;
        if let Some(places) = self.streams.get_mut(&connection) {
            places.retain(|place| place.id != bound.id);
            if places.is_empty() {
                self.streams.remove(&connection);
            }
        }
        Some(Change {
            what,
            aor: aor.clone(),
            account: record.account.clone(),
            device: record.device.clone(),
            bound,
        })
    }

    /// Forgets an address of record that has no bindings left.
    pub(super) fn forget_empty(&mut self, aor: &Aor) {
        if self
            .aors
            .get(aor)
            .is_some_and(|record| record.bindings.is_empty())
        {
            self.aors.remove(aor);
        }
    }

    /// Ends everything that lived on a connection.
    pub(super) fn flow_closed(&mut self, flow: Flow) -> Vec<Change> {
        if flow.transport == Transport::Udp {
            return Vec::new();
        }
        let places = self.streams.remove(&flow.connection).unwrap_or_default();
        places
            .into_iter()
            .filter_map(|place| self.remove_where(&place.aor, What::Closed, |b| b.id == place.id))
            .collect()
    }

    /// Ends every binding of an account, or of one of its user names.
    pub(super) fn flush(&mut self, account: &str, username: Option<&str>) -> Vec<Change> {
        let username = username.map(str::to_lowercase);
        let of_account = self.aors.iter().filter(|(aor, record)| {
            &*record.account == account
                && username.as_ref().is_none_or(|name| **name == *aor.username)
        });
        let aors: Vec<Aor> = of_account.map(|(aor, _)| aor.clone()).collect();
        let mut changes = Vec::new();
        for aor in aors {
            while let Some(change) = self.remove_where(&aor, What::Flushed, |_| true) {
                changes.push(change);
            }
        }
        changes
    }

    /// When something is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next thing that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        loop {
            let place = self.timers.pop_due(now)?;
            let Some(bound) = self.bound_mut(&place) else {
                continue;
            };
            bound.armed = None;
            if bound.expires <= now {
                let expired =
                    self.remove_where(&place.aor, What::Expired, |bound| bound.id == place.id);
                match expired {
                    Some(change) => return Some(Due::Expired(Box::new(change))),
                    None => continue,
                }
            }
            return Some(Due::Ask(place));
        }
    }
}

/// The user part of a Contact.
fn user_of(contact: &str) -> Option<String> {
    let uri = Uri::parse(contact).ok()?;
    uri.user_text().map(|user| user.into_owned())
}

#[cfg(test)]
mod tests;
