//! A token bucket for each client address and account (`api.md` §1.11, decision 23).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::config::RateConfig;

/// Buckets kept; when there are more, full ones are forgotten.
const BUCKETS: usize = 20_000;

/// All buckets.
#[derive(Default)]
pub(super) struct Buckets {
    /// Held for one count.
    buckets: Mutex<HashMap<(IpAddr, Option<String>), Bucket>>,
}

struct Bucket {
    left: f64,
    burst: f64,
    per_second: f64,
    at: Instant,
}

impl Buckets {
    /// Takes `cost` requests of the client. `Ok` is what is left, `Err` that there was not enough.
    pub(super) fn take(
        &self,
        config: &RateConfig,
        client: IpAddr,
        account: Option<&str>,
        cost: u32,
        now: Instant,
    ) -> Result<u32, ()> {
        let (burst, per_second) = match account {
            Some(_) => (config.burst, config.per_second),
            None => (config.anonymous_burst, config.anonymous_per_second),
        };
        let (burst, per_second) = (f64::from(burst), f64::from(per_second));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS {
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        // A /64 counts as one client.
        let key = (network_of(client), account.map(str::to_owned));
        let bucket = buckets.entry(key).or_insert(Bucket {
            left: burst,
            burst,
            per_second,
            at: now,
        });
        bucket.refill(now);
        let cost = f64::from(cost);
        if bucket.left < cost {
            return Err(());
        }
        bucket.left -= cost;
        Ok(bucket.left as u32)
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.burst);
        self.at = now;
    }

    fn is_full(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left + passed * self.per_second >= self.burst
    }
}

fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::from((u128::from(address) & !u128::from(u64::MAX)).to_be_bytes())
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn two_logins_pass_the_third_waits_for_the_refill() {
        let (buckets, config) = (Buckets::default(), RateConfig::default());
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let start = crate::host::clock::now();
        let take = |at: Instant| buckets.take(&config, client, None, config.login_cost, at);
        assert_eq!(take(start), Ok(65));
        assert_eq!(take(start), Ok(30));
        assert_eq!(take(start), Err(()));
        assert_eq!(take(start + Duration::from_millis(500)), Ok(0));
        let other = "192.0.2.2".parse().unwrap();
        assert!(buckets.take(&config, other, None, 1, start).is_ok());
        assert!(buckets.take(&config, client, Some("acc"), 1, start).is_ok());
    }

    #[test]
    fn addresses_of_one_slash_64_share_a_bucket() {
        assert_eq!(
            network_of("2001:db8::1".parse().unwrap()),
            network_of("2001:db8::ffff".parse().unwrap())
        );
        assert_ne!(
            network_of("2001:db8::1".parse().unwrap()),
            network_of("2001:db8:0:1::1".parse().unwrap())
        );
        assert_eq!(
            network_of("::ffff:192.0.2.1".parse().unwrap()),
            network_of("192.0.2.1".parse().unwrap())
        );
    }
}
