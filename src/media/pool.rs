//! The port pool: bound RTP/RTCP pairs, taken at once, picked at random, rested after use.
//!
//! Pairs stay bound through quarantine and are used again, so that a call in steady state binds nothing. A freed pair
//! rests for the configured time; when every other pair is in use, one that has rested for [`LEAST_REST`] is taken
//! early. The keeper thread calls [`PortPool::maintain`] to refill the reserve and to close what is not needed.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::config::{MediaConfig, MediaError, PortRange};
use super::io::socket::Sockets;
use crate::base::rng::Rng;

/// An RTP port and the RTCP port after it.
#[derive(Debug)]
pub struct Pair {
    /// The even port.
    pub rtp: SocketAddr,
    /// The odd port.
    pub rtcp: SocketAddr,
    /// `None` in the simulated world.
    pub(super) sockets: Option<Sockets>,
}

/// All pairs of all local addresses.
#[derive(Debug)]
pub(super) struct PortPool {
    range: PortRange,
    dscp: u8,
    quarantine: Duration,
    reserve: usize,
    /// Most pairs at once, over all addresses.
    limit: usize,
    /// Whether pairs are real sockets.
    real: bool,
    /// Protects the one table of pairs; held for a bind at the longest, never by a media worker.
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    shelves: Vec<Shelf>,
    rng: Rng,
    last_take: Option<Instant>,
}

/// The pairs of one local address.
#[derive(Debug)]
struct Shelf {
    local: IpAddr,
    /// One bit a pair of the range: exists, in whatever state.
    exists: Vec<u64>,
    ready: Vec<Pair>,
    resting: VecDeque<(Instant, Pair)>,
    in_use: usize,
}

/// How many pairs are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Owned by calls.
    pub in_use: usize,
    /// In quarantine.
    pub quarantined: usize,
    /// Bound and waiting.
    pub ready: usize,
}

impl PortPool {
    pub(super) fn new(config: &MediaConfig, real: bool, descriptors: usize, rng: Rng) -> Self {
        // The rest of the program (connections, files, store) needs descriptors too.
        let by_descriptors = if real {
            descriptors
                .saturating_sub(descriptors / 4)
                .saturating_sub(32)
                / 2
        } else {
            usize::MAX
        };
        let configured = if config.max_ports == 0 {
            usize::MAX
        } else {
            config.max_ports
        };
        Self {
            range: config.ports.clone(),
            dscp: config.dscp,
            quarantine: config.quarantine(),
            reserve: if real { config.reserve } else { 0 },
            limit: configured.min(by_descriptors),
            real,
            table: Mutex::new(Table {
                shelves: Vec::new(),
                rng,
                last_take: None,
            }),
        }
    }

    /// A pair on `local`, at once.
    pub(super) fn take(&self, local: IpAddr, now: Instant) -> Result<Pair, MediaError> {
        let table = &mut *self.lock();
        table.last_take = Some(now);
        let total = table.total();
        let known = table.shelves.iter().position(|s| s.local == local);
        let index = known.unwrap_or_else(|| {
            table.shelves.push(Shelf::new(local, self.range.pairs()));
            table.shelves.len() - 1
        });
        let Table { shelves, rng, .. } = table;
        let Some(shelf) = shelves.get_mut(index) else {
            return Err(MediaError::exhausted(local, PoolCounts::default()));
        };
        let taken = self.take_from(shelf, rng, total, now);
        match &taken {
            Ok(_) => shelf.in_use += 1,
            // An address that is not ours leaves nothing behind.
            Err(_) if known.is_none() => drop(shelves.pop()),
            Err(_) => {}
        }
        taken
    }

    fn take_from(
        &self,
        shelf: &mut Shelf,
        rng: &mut Rng,
        total: usize,
        now: Instant,
    ) -> Result<Pair, MediaError> {
        if !shelf.ready.is_empty() {
            let pick = rng.below(shelf.ready.len() as u64) as usize;
            return Ok(shelf.ready.swap_remove(pick));
        }
        let mut refused = None;
        if total < self.limit {
            match self.bind(shelf, rng) {
                Ok(Some(pair)) => return Ok(pair),
                Ok(None) => {}
                Err(source) => refused = Some(source),
            }
        }
        if shelf
            .resting
            .front()
            .is_some_and(|(freed, _)| now.saturating_duration_since(*freed) >= LEAST_REST)
            && let Some((_, pair)) = shelf.resting.pop_front()
        {
            pair.clear();
            return Ok(pair);
        }
        Err(match refused {
            Some(source) => MediaError::Bind {
                local: shelf.local,
                source,
            },
            None => MediaError::exhausted(shelf.local, shelf.counts()),
        })
    }

    /// Puts a pair into quarantine.
    pub(super) fn give_back(&self, pair: Pair, now: Instant) {
        // Outside the lock: it asks the kernel.
        pair.clear();
        let mut table = self.lock();
        if let Some(shelf) = table.shelves.iter_mut().find(|s| s.local == pair.rtp.ip()) {
            shelf.in_use = shelf.in_use.saturating_sub(1);
            shelf.resting.push_back((now, pair));
        }
    }

    /// Ends quarantines, refills the reserve, closes what has not been needed for a while. Returns whether there will
    /// be more to do without anybody asking.
    pub(super) fn maintain(&self, now: Instant) -> bool {
        let mut closing = Vec::new();
        let mut table = self.lock();
        let quiet = table
            .last_take
            .is_none_or(|at| now.saturating_duration_since(at) > SHRINK_AFTER);
        let mut more = false;
        let mut total = table.total();
        let Table { shelves, rng, .. } = &mut *table;
        for shelf in shelves {
            while shelf
                .resting
                .front()
                .is_some_and(|(freed, _)| now.saturating_duration_since(*freed) >= self.quarantine)
            {
                let Some((_, pair)) = shelf.resting.pop_front() else {
                    break;
                };
                pair.clear();
                shelf.ready.push(pair);
            }
            while shelf.ready.len() < self.reserve && total < self.limit {
                let Ok(Some(pair)) = self.bind(shelf, rng) else {
                    break;
                };
                shelf.ready.push(pair);
                total += 1;
            }
            if quiet {
                let excess = shelf
                    .ready
                    .len()
                    .saturating_sub(self.reserve)
                    .min(CLOSED_AT_ONCE);
                for pair in shelf.ready.split_off(shelf.ready.len() - excess) {
                    shelf.forget(self.range.index(pair.rtp.port()));
                    closing.push(pair);
                }
            }
            more |=
                shelf.in_use > 0 || !shelf.resting.is_empty() || shelf.ready.len() > self.reserve;
        }
        more
    }

    /// Binds the reserve of an address, so that a wrong address shows at the start.
    pub(super) fn prepare(&self, local: IpAddr, now: Instant) -> Result<(), MediaError> {
        let pair = self.take(local, now)?;
        {
            let mut table = self.lock();
            if let Some(shelf) = table.shelves.iter_mut().find(|s| s.local == local) {
                shelf.in_use = shelf.in_use.saturating_sub(1);
                shelf.ready.push(pair);
            }
            table.last_take = None;
        }
        self.maintain(now);
        Ok(())
    }

    /// Whether every pair there may be belongs to a call.
    pub(super) fn is_full(&self) -> bool {
        let table = self.lock();
        let in_use: usize = table.shelves.iter().map(|shelf| shelf.in_use).sum();
        let of_range = self
            .range
            .pairs()
            .saturating_mul(table.shelves.len().max(1));
        in_use >= self.limit.min(of_range)
    }

    pub(super) fn counts(&self) -> PoolCounts {
        self.lock()
            .shelves
            .iter()
            .map(Shelf::counts)
            .fold(PoolCounts::default(), |a, b| PoolCounts {
                in_use: a.in_use + b.in_use,
                quarantined: a.quarantined + b.quarantined,
                ready: a.ready + b.ready,
            })
    }

    /// Binds a pair of the range that does not exist yet, at random. `None`: there is none.
    fn bind(&self, shelf: &mut Shelf, rng: &mut Rng) -> io::Result<Option<Pair>> {
        let mut refused = None;
        for _ in 0..BIND_ATTEMPTS {
            let Some(index) = shelf.free_index(
                rng.below(self.range.pairs() as u64) as usize,
                self.range.pairs(),
            ) else {
                break;
            };
            let Some(port) = self.range.pair(index) else {
                break;
            };
            let sockets = match self
                .real
                .then(|| Sockets::bind(shelf.local, port, self.dscp))
                .transpose()
            {
                Ok(sockets) => sockets,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    refused = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            shelf.mark(index);
            let at = |port| SocketAddr::new(shelf.local, port);
            return Ok(Some(Pair {
                rtp: at(port),
                rtcp: at(port | 1),
                sockets,
            }));
        }
        refused.map_or(Ok(None), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn total(&self) -> usize {
        self.shelves
            .iter()
            .map(|s| s.in_use + s.resting.len() + s.ready.len())
            .sum()
    }
}

impl Shelf {
    fn new(local: IpAddr, pairs: usize) -> Self {
        Self {
            local,
            exists: vec![0; pairs.div_ceil(64)],
            ready: Vec::new(),
            resting: VecDeque::new(),
            in_use: 0,
        }
    }

    fn counts(&self) -> PoolCounts {
        PoolCounts {
            in_use: self.in_use,
            quarantined: self.resting.len(),
            ready: self.ready.len(),
        }
    }

    /// The first pair from `start` on (going round) that does not exist.
    fn free_index(&self, start: usize, pairs: usize) -> Option<usize> {
        (start..pairs).chain(0..start).find(|i| {
            self.exists
                .get(i / 64)
                .is_some_and(|word| word >> (i % 64) & 1 == 0)
        })
    }

    fn mark(&mut self, index: usize) {
        if let Some(word) = self.exists.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    fn forget(&mut self, index: usize) {
        if let Some(word) = self.exists.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }
}

impl Pair {
    fn clear(&self) {
        if let Some(sockets) = &self.sockets {
            sockets.clear();
        }
    }
}

impl MediaError {
    fn exhausted(local: IpAddr, counts: PoolCounts) -> Self {
        Self::Exhausted {
            local,
            in_use: counts.in_use,
            quarantined: counts.quarantined,
        }
    }
}

/// The shortest rest of a freed pair, however scarce pairs are (sip.md §11).
const LEAST_REST: Duration = Duration::from_secs(1);
/// Pairs beyond the reserve are closed once nobody has taken one for so long.
const SHRINK_AFTER: Duration = Duration::from_secs(10);
/// Closed in one pass, so that the table is free for callers in between.
const CLOSED_AT_ONCE: usize = 64;
/// Ports other programs hold are passed over, up to so many in a row.
const BIND_ATTEMPTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn pool(ports: &str) -> (PortPool, Instant) {
        let config = MediaConfig {
            ports: ports.parse().unwrap(),
            ..MediaConfig::default()
        };
        (
            PortPool::new(&config, false, 0, Rng::seeded(1)),
            crate::host::clock::now(),
        )
    }

    #[test]
    fn pairs_are_even_and_odd_neighbours_and_never_shared() {
        let (pool, now) = pool("20000-20099");
        let pairs: Vec<Pair> = (0..50).map(|_| pool.take(LOCAL, now).unwrap()).collect();
        let ports: BTreeSet<u16> = pairs.iter().map(|p| p.rtp.port()).collect();
        assert_eq!(ports.len(), 50);
        assert!(
            pairs
                .iter()
                .all(|p| p.rtp.port() % 2 == 0 && p.rtcp.port() == p.rtp.port() + 1)
        );
        assert!(matches!(
            pool.take(LOCAL, now),
            Err(MediaError::Exhausted {
                in_use: 50,
                quarantined: 0,
                ..
            })
        ));
    }

    #[test]
    fn ports_are_picked_at_random() {
        let (pool, now) = pool("20000-29999");
        let ports: Vec<u16> = (0..20)
            .map(|_| pool.take(LOCAL, now).unwrap().rtp.port())
            .collect();
        assert!(
            ports.windows(2).any(|w| w[1] < w[0]) && ports.windows(2).any(|w| w[1] > w[0] + 2),
            "{ports:?}"
        );
    }

    #[test]
    fn a_freed_pair_rests_its_quarantine_and_one_second_when_pairs_are_scarce() {
        let (pool, now) = pool("20000-20001");
        let pair = pool.take(LOCAL, now).unwrap();
        pool.give_back(pair, now);
        assert!(pool.take(LOCAL, now + Duration::from_millis(999)).is_err());
        assert!(pool.take(LOCAL, now + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn another_pair_is_preferred_to_one_in_quarantine() {
        let (pool, now) = pool("20000-20003");
        let first = pool.take(LOCAL, now).unwrap();
        let port = first.rtp.port();
        pool.give_back(first, now);
        let later = now + Duration::from_secs(2);
        assert_ne!(pool.take(LOCAL, later).unwrap().rtp.port(), port);
        assert_eq!(
            pool.counts(),
            PoolCounts {
                in_use: 1,
                quarantined: 1,
                ready: 0
            }
        );
        assert!(pool.maintain(now + Duration::from_secs(5)));
        assert_eq!(
            pool.counts(),
            PoolCounts {
                in_use: 1,
                quarantined: 0,
                ready: 1
            }
        );
    }

    #[test]
    fn unneeded_pairs_are_closed_after_a_while_and_their_ports_are_free_again() {
        let (pool, now) = pool("20000-20199");
        let pairs: Vec<Pair> = (0..100).map(|_| pool.take(LOCAL, now).unwrap()).collect();
        pairs.into_iter().for_each(|p| pool.give_back(p, now));
        let mut later = now + Duration::from_secs(30);
        while pool.maintain(later) {
            later += Duration::from_millis(50);
        }
        assert_eq!(pool.counts(), PoolCounts::default());
        assert_eq!(
            (0..100).filter(|_| pool.take(LOCAL, later).is_ok()).count(),
            100
        );
    }

    #[test]
    fn the_limit_counts_every_pair() {
        let config = MediaConfig {
            max_ports: 3,
            ..MediaConfig::default()
        };
        let (pool, now) = (
            PortPool::new(&config, false, 0, Rng::seeded(1)),
            crate::host::clock::now(),
        );
        assert_eq!((0..10).filter(|_| pool.take(LOCAL, now).is_ok()).count(), 3);
    }
}
