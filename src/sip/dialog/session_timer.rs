//! The session interval (RFC 4028): negotiation on both sides, refresh and expiry deadlines.

use std::time::{Duration, Instant};

use crate::sip::msg::{Refresher, SessionExpires};

/// What a request says about the session interval.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Session-Expires.
    pub(crate) expires: Option<SessionExpires>,
    /// Min-SE.
    pub(crate) min_se: Option<u32>,
    /// Whether Supported lists `timer`.
    pub(crate) supported: bool,
}

/// Our side's limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Session interval we ask for and the longest we grant, in seconds.
    pub(crate) expires: u32,
    /// Shortest we accept, in seconds.
    pub(crate) min_se: u32,
}

/// The answer to a request: what to write into the 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Interval and refresher.
    pub(crate) expires: SessionExpires,
    /// Whether `Require: timer` belongs in the response (§9: the UAC refreshes).
    pub(crate) require: bool,
}

/// Judges a request as its UAS (§9). `Err` carries the Min-SE of a 422.
pub(crate) fn grant(asked: &Asked, limits: Limits) -> Result<Granted, u32> {
    if let Some(expires) = &asked.expires {
        // Without `timer` the UAC cannot act on a 422; a proxy put the header in. The interval is raised instead.
        if expires.seconds < limits.min_se && asked.supported {
            return Err(limits.min_se);
        }
    }
    let floor = asked.min_se.unwrap_or(0).max(limits.min_se);
    let wanted = asked
        .expires
        .as_ref()
        .map_or(limits.expires, |e| e.seconds.min(limits.expires));
    let seconds = wanted.max(floor);
    let refresher = match (
        asked.supported,
        asked.expires.as_ref().and_then(|e| e.refresher),
    ) {
        (false, _) => Refresher::Uas,
        (true, Some(refresher)) => refresher,
        (true, None) => Refresher::Uac,
    };
    let expires = SessionExpires {
        seconds,
        refresher: Some(refresher),
    };
    Ok(Granted {
        expires,
        require: refresher == Refresher::Uac,
    })
}

/// A running session interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    /// The interval in seconds.
    pub(crate) seconds: u32,
    /// Whether we refresh.
    pub(crate) ours: bool,
    refresh_at: Option<Instant>,
    expires_at: Instant,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Send a refresh.
    Refresh,
    /// Nobody refreshed: BYE.
    Expired,
}

impl SessionTimer {
    /// The interval starts: a 2xx to INVITE or UPDATE went by.
    pub(crate) fn start(now: Instant, seconds: u32, ours: bool) -> Self {
        let interval = Duration::from_secs(u64::from(seconds));
        // §10: BYE comes min(32 s, a third) before the interval ends.
        let expires_at = now + interval.saturating_sub(Duration::from_secs(32).min(interval / 3));
        Self {
            seconds,
            ours,
            refresh_at: ours.then(|| now + interval / 2),
            expires_at,
        }
    }

    /// The refresh could not be sent or failed for now: once more at that time.
    pub(crate) fn retry_at(&mut self, at: Instant) {
        self.refresh_at = self.ours.then_some(at);
    }

    /// When `handle_timeout` is due.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.refresh_at
            .map_or(self.expires_at, |at| at.min(self.expires_at))
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Action {
        if now >= self.expires_at {
            Action::Expired
        } else if self.refresh_at.is_some_and(|at| now >= at) {
            self.refresh_at = None;
            Action::Refresh
        } else {
            Action::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::tests::start;

    const LIMITS: Limits = Limits {
        expires: 1800,
        min_se: 90,
    };

    fn asked(seconds: u32, refresher: Option<Refresher>) -> Asked {
        Asked {
            expires: Some(SessionExpires { seconds, refresher }),
            min_se: None,
            supported: true,
        }
    }

    #[test]
    fn an_interval_below_ours_is_refused_with_min_se() {
        assert_eq!(grant(&asked(89, None), LIMITS), Err(90));
        assert!(grant(&asked(90, None), LIMITS).is_ok());
        // A proxy's header on behalf of a peer that could not retry.
        let granted = grant(
            &Asked {
                supported: false,
                ..asked(60, None)
            },
            LIMITS,
        )
        .unwrap();
        assert_eq!(
            (granted.expires.seconds, granted.expires.refresher),
            (90, Some(Refresher::Uas))
        );
        assert!(!granted.require);
    }

    #[test]
    fn the_interval_granted_lies_between_min_se_and_ours() {
        assert_eq!(
            grant(&asked(7200, None), LIMITS).unwrap().expires.seconds,
            1800
        );
        let high = Asked {
            min_se: Some(3600),
            ..asked(7200, None)
        };
        assert_eq!(grant(&high, LIMITS).unwrap().expires.seconds, 3600);
        assert_eq!(
            grant(
                &Asked {
                    supported: true,
                    ..Asked::default()
                },
                LIMITS
            )
            .unwrap()
            .expires
            .seconds,
            1800
        );
    }

    #[test]
    fn the_refresher_asked_for_is_kept_and_a_peer_without_timer_leaves_it_to_us() {
        assert_eq!(
            grant(&asked(90, Some(Refresher::Uas)), LIMITS)
                .unwrap()
                .expires
                .refresher,
            Some(Refresher::Uas)
        );
        let granted = grant(&asked(90, None), LIMITS).unwrap();
        assert_eq!(
            (granted.expires.refresher, granted.require),
            (Some(Refresher::Uac), true)
        );
        assert_eq!(
            grant(&Asked::default(), LIMITS).unwrap().expires.refresher,
            Some(Refresher::Uas)
        );
    }

    #[test]
    fn the_refresher_refreshes_at_half_and_everybody_gives_up_before_the_end() {
        let t0 = start();
        let secs = |n| t0 + Duration::from_secs(n);
        let mut ours = SessionTimer::start(t0, 1800, true);
        assert_eq!(ours.poll_timeout(), secs(900));
        assert_eq!(ours.handle_timeout(secs(900)), Action::Refresh);
        assert_eq!(ours.poll_timeout(), secs(1768));
        assert_eq!(ours.handle_timeout(secs(1768)), Action::Expired);
        let mut theirs = SessionTimer::start(t0, 90, false);
        assert_eq!(theirs.poll_timeout(), secs(60));
        assert_eq!(theirs.handle_timeout(secs(59)), Action::Nothing);
        assert_eq!(theirs.handle_timeout(secs(60)), Action::Expired);
    }
}
