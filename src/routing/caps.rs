//! How many calls accounts and trunks have at carriers, and whether there is room for one more (decision 19).
//!
//! Pure: times are handed in. Held by the signalling core.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::policy::Policy;
use crate::directory::Trunk;

/// The calls at carriers.
#[derive(Debug, Default)]
pub struct Lines {
    accounts: BTreeMap<String, Use>,
    trunks: BTreeMap<String, Use>,
}

#[derive(Debug, Default)]
struct Use {
    /// Calls now.
    calls: u32,
    /// Calls from carriers now.
    inbound: u32,
    /// When the calls of the last second began, oldest first.
    begun: VecDeque<Instant>,
    /// Talked on that day.
    spent: Duration,
    /// Which day, counted from 1970.
    day: u64,
}

/// Which cap is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Calls at once.
    Calls,
    /// Calls in a second.
    Rate,
    /// Minutes of the day.
    Minutes,
}

impl Full {
    /// What is full, for people.
    pub fn what(self) -> &'static str {
        match self {
            Self::Calls => "calls at once",
            Self::Rate => "calls a second",
            Self::Minutes => "minutes of the day",
        }
    }
}

impl Lines {
    /// Takes a line of the account. Gives how long it may be used, when there is a limit.
    ///
    /// # Errors
    /// Which cap is reached.
    pub fn take_account(
        &mut self,
        now: Instant,
        day: u64,
        account: &str,
        policy: &Policy,
    ) -> Result<Option<Duration>, Full> {
        let own = self.accounts.entry(account.to_owned()).or_default();
        if own.day != day {
            own.day = day;
            own.spent = Duration::ZERO;
        }
        let minutes = policy
            .minutes_per_day
            .map(|m| Duration::from_secs(u64::from(m) * 60));
        let left = minutes.map(|all| all.saturating_sub(own.spent));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Full::Minutes);
        }
        if policy.max_both.is_some_and(|max| own.both() >= max) {
            return Err(Full::Calls);
        }
        own.take(now, policy.max_calls, policy.max_cps)?;
        Ok(left)
    }

    /// Takes a line of the account for a call from a carrier.
    ///
    /// # Errors
    /// Which cap is reached.
    pub fn take_inbound(&mut self, account: &str, policy: &Policy) -> Result<(), Full> {
        let own = self.accounts.entry(account.to_owned()).or_default();
        let full = policy.max_inbound.is_some_and(|max| own.inbound >= max)
            || policy.max_both.is_some_and(|max| own.both() >= max);
        if full {
            return Err(Full::Calls);
        }
        own.inbound = own.inbound.saturating_add(1);
        Ok(())
    }

    /// Gives it back.
    pub fn give_inbound(&mut self, account: &str) {
        if let Some(own) = self.accounts.get_mut(account) {
            own.inbound = own.inbound.saturating_sub(1);
            if own.is_at_rest() {
                self.accounts.remove(account);
            }
        }
    }

    /// Gives the account's line back. Says whether half of the day's minutes were passed with this call.
    pub fn give_account(
        &mut self,
        day: u64,
        account: &str,
        used: Duration,
        policy: &Policy,
    ) -> bool {
        let Some(own) = self.accounts.get_mut(account) else {
            return false;
        };
        own.calls = own.calls.saturating_sub(1);
        if own.day != day {
            own.day = day;
            own.spent = Duration::ZERO;
        }
        let before = own.spent;
        own.spent = own.spent.saturating_add(used);
        let half = policy
            .minutes_per_day
            .map(|m| Duration::from_secs(u64::from(m) * 30));
        let passed = half.is_some_and(|half| before < half && own.spent >= half);
        // What is remembered of accounts at rest is only what they have spent today.
        if own.is_at_rest() {
            self.accounts.remove(account);
        }
        passed
    }

    /// Takes a line of a trunk.
    ///
    /// # Errors
    /// Which cap is reached.
    pub fn take_trunk(&mut self, now: Instant, trunk: &Trunk) -> Result<(), Full> {
        self.trunks
            .entry(trunk.id.clone())
            .or_default()
            .take(now, trunk.max_calls, trunk.max_cps)
    }

    /// Gives a trunk's line back.
    pub fn give_trunk(&mut self, now: Instant, trunk: &str) {
        if let Some(own) = self.trunks.get_mut(trunk) {
            own.calls = own.calls.saturating_sub(1);
            own.forget(now);
            if own.calls == 0 && own.begun.is_empty() {
                self.trunks.remove(trunk);
            }
        }
    }

    /// Calls of an account now.
    pub fn of_account(&self, account: &str) -> u32 {
        self.accounts.get(account).map_or(0, |own| own.calls)
    }
}

impl Use {
    /// Calls either way.
    fn both(&self) -> u32 {
        self.calls.saturating_add(self.inbound)
    }

    fn is_at_rest(&self) -> bool {
        self.both() == 0 && self.spent.is_zero()
    }

    fn take(
        &mut self,
        now: Instant,
        max_calls: Option<u32>,
        max_cps: Option<u32>,
    ) -> Result<(), Full> {
        if max_calls.is_some_and(|max| self.calls >= max) {
            return Err(Full::Calls);
        }
        self.forget(now);
        if let Some(max) = max_cps {
            if self.begun.len() >= usize::try_from(max).unwrap_or(usize::MAX) {
                return Err(Full::Rate);
            }
            self.begun.push_back(now);
        }
        self.calls = self.calls.saturating_add(1);
        Ok(())
    }

    fn forget(&mut self, now: Instant) {
        while self
            .begun
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= SECOND)
        {
            self.begun.pop_front();
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::directory::{Account, Kind};

    fn start() -> Instant {
        crate::host::clock::now()
    }

    fn policy(doc: Value) -> Policy {
        let doc = json!({"dial_policy": doc});
        Policy::of(&Account::of("acc", [(Kind::Account, String::new(), doc)]))
    }

    #[test]
    fn calls_at_once_are_counted_and_given_back() {
        let (mut lines, now, policy) = (Lines::default(), start(), policy(json!({"max_calls": 2})));
        assert!(lines.take_account(now, 1, "a", &policy).is_ok());
        assert!(lines.take_account(now, 1, "a", &policy).is_ok());
        assert_eq!(lines.take_account(now, 1, "a", &policy), Err(Full::Calls));
        assert!(
            lines.take_account(now, 1, "b", &policy).is_ok(),
            "another account has its own"
        );
        lines.give_account(1, "a", Duration::ZERO, &policy);
        assert_eq!(lines.of_account("a"), 1);
        assert!(lines.take_account(now, 1, "a", &policy).is_ok());
    }

    #[test]
    fn calls_of_a_second_are_counted_whether_they_last_or_not() {
        let trunk = Trunk::read("t".into(), Arc::new(json!({"max_cps": 2})));
        let (mut lines, now) = (Lines::default(), start());
        for _ in 0..2 {
            assert!(lines.take_trunk(now, &trunk).is_ok());
            lines.give_trunk(now, "t");
        }
        assert_eq!(lines.take_trunk(now + SECOND / 2, &trunk), Err(Full::Rate));
        assert!(lines.take_trunk(now + SECOND, &trunk).is_ok());
        lines.give_trunk(now + SECOND * 3, "t");
        assert!(
            lines.trunks.is_empty(),
            "nothing is kept of a trunk at rest"
        );
    }

    #[test]
    fn minutes_are_spent_by_day_and_half_of_them_is_worth_a_word() {
        let (mut lines, now, policy) = (
            Lines::default(),
            start(),
            policy(json!({"minutes_per_day": 10})),
        );
        let minutes = |n: u64| Duration::from_secs(n * 60);
        assert_eq!(
            lines.take_account(now, 7, "a", &policy),
            Ok(Some(minutes(10)))
        );
        assert!(!lines.give_account(7, "a", minutes(4), &policy));
        assert_eq!(
            lines.take_account(now, 7, "a", &policy),
            Ok(Some(minutes(6)))
        );
        assert!(lines.give_account(7, "a", minutes(2), &policy));
        assert_eq!(
            lines.take_account(now, 7, "a", &policy),
            Ok(Some(minutes(4)))
        );
        assert!(
            !lines.give_account(7, "a", minutes(9), &policy),
            "said once"
        );
        assert_eq!(lines.take_account(now, 7, "a", &policy), Err(Full::Minutes));
        assert_eq!(
            lines.take_account(now, 8, "a", &policy),
            Ok(Some(minutes(10))),
            "the next day"
        );
    }

    #[test]
    fn calls_either_way_share_what_goes_either_way() {
        let policy = |limits: Value| {
            let docs = [(Kind::Limits, "limits".to_owned(), limits)];
            Policy::of(&Account::of("acc", docs))
        };
        let now = start();
        let trunks = policy(json!({"inbound_trunks": 1, "outbound_trunks": 1, "twoway_trunks": 1}));
        let mut lines = Lines::default();
        for _ in 0..2 {
            lines.take_inbound("acc", &trunks).unwrap();
        }
        assert_eq!(lines.take_inbound("acc", &trunks), Err(Full::Calls));
        lines.take_account(now, 0, "acc", &trunks).unwrap();
        assert_eq!(lines.take_account(now, 0, "acc", &trunks), Err(Full::Calls));
        lines.give_inbound("acc");
        lines.take_account(now, 0, "acc", &trunks).unwrap();
        assert_eq!(lines.take_inbound("acc", &trunks), Err(Full::Calls));
        // No limit, and KAZOO's word for none.
        for limits in [
            json!({"outbound_trunks": 0}),
            json!({"inbound_trunks": -1, "twoway_trunks": 1}),
        ] {
            let mut lines = Lines::default();
            let policy = policy(limits);
            assert!((0..50).all(|_| lines.take_inbound("acc", &policy).is_ok()));
        }
    }
}
