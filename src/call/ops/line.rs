//! `line`: room for a call at a carrier, within the caps of the account and the trunk. Given back when it is dropped.

use std::time::{Duration, Instant};

use crate::base::rng::Rng;
use crate::call::core::Core;
use crate::call::handle::CallHandle;
use crate::directory::{Account, Trunk};
use crate::host::clock;
use crate::routing::caps::Full;
use crate::routing::policy::Policy;

/// A line of the account.
pub struct AccountLine {
    core: Core,
    account: String,
    policy: Policy,
    /// When the talking began; only that is spent.
    since: Option<Instant>,
    /// How long it may be used.
    pub limit: Option<Duration>,
}

/// A line of a trunk.
pub struct TrunkLine {
    core: Core,
    trunk: String,
}

/// A line of the account that a carrier's call has taken.
pub(in crate::call) struct InboundLine {
    core: Core,
    account: String,
}

impl Core {
    /// Takes a line for a call from a carrier.
    pub(in crate::call) fn take_inbound(&self, account: &Account) -> Result<InboundLine, Full> {
        let policy = Policy::of(account);
        let mut lines = self.0.lines.borrow_mut();
        lines.take_inbound(&account.id, &policy)?;
        Ok(InboundLine {
            core: self.clone(),
            account: account.id.to_string(),
        })
    }
}

impl Drop for InboundLine {
    fn drop(&mut self) {
        self.core.0.lines.borrow_mut().give_inbound(&self.account);
    }
}

impl CallHandle {
    /// Takes a line of the account the call belongs to.
    ///
    /// # Errors
    /// Which cap is reached.
    pub fn take_line(&self, policy: Policy) -> Result<AccountLine, Full> {
        let (core, account) = (self.0.core.clone(), self.facts().account.id.to_string());
        let limit =
            core.0
                .lines
                .borrow_mut()
                .take_account(clock::now(), today(), &account, &policy)?;
        Ok(AccountLine {
            core,
            account,
            policy,
            since: None,
            limit,
        })
    }

    /// Takes a line of a trunk.
    ///
    /// # Errors
    /// Which cap is reached.
    pub fn take_trunk_line(&self, trunk: &Trunk) -> Result<TrunkLine, Full> {
        let core = self.0.core.clone();
        core.0.lines.borrow_mut().take_trunk(clock::now(), trunk)?;
        Ok(TrunkLine {
            core,
            trunk: trunk.id.clone(),
        })
    }

    /// Randomness of its own, which replays with the seed of the core.
    pub fn rng(&self) -> Rng {
        self.0.core.0.rng.borrow_mut().fork()
    }
}

impl AccountLine {
    /// What is used from now on counts.
    pub fn start(&mut self) {
        self.since.get_or_insert_with(clock::now);
    }

    /// What was used since the last start does not count: nobody has answered.
    pub fn reset(&mut self) {
        self.since = None;
    }
}

impl Drop for AccountLine {
    fn drop(&mut self) {
        let used = self
            .since
            .map(|at| clock::now().saturating_duration_since(at));
        let mut lines = self.core.0.lines.borrow_mut();
        if lines.give_account(
            today(),
            &self.account,
            used.unwrap_or_default(),
            &self.policy,
        ) {
            metrics::counter!("swivel_dial_policy_alerts_total").increment(1);
            tracing::warn!(
                account = self.account,
                "half of the day's minutes at carriers are used"
            );
        }
    }
}

impl Drop for TrunkLine {
    fn drop(&mut self) {
        let mut lines = self.core.0.lines.borrow_mut();
        lines.give_trunk(clock::now(), &self.trunk);
    }
}

/// Days since 1970 in UTC.
fn today() -> u64 {
    clock::unix_now().secs() / 86_400
}
