//! How many stream connections there may be, in all and from one address (`security.md` row 11). One count for every
//! transport, whichever runtime its connections live on; a seat is taken before the handshake.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The seats of one server. A clone is another handle.
#[derive(Debug, Clone)]
pub(super) struct Seats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_source: BTreeMap<IpAddr, usize>,
}

/// One connection's seat; dropping it frees the seat.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    source: IpAddr,
}

impl Seats {
    /// `most` seats, of which one address gets `most_of_one`.
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            most_of_one,
            taken: Mutex::default(),
        }))
    }

    /// A seat for a connection from `source`, when there is one left for it.
    pub(super) fn take(&self, source: IpAddr) -> Option<Seat> {
        let source = source.to_canonical();
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = taken.by_source.get(&source).copied().unwrap_or(0);
        if taken.all >= self.0.most || of_one >= self.0.most_of_one {
            metrics::counter!("swivel_sip_connections_refused_total").increment(1);
            tracing::debug!(peer = %source, all = taken.all, of_one, "too many connections");
            return None;
        }
        taken.all += 1;
        taken.by_source.insert(source, of_one + 1);
        Some(Seat {
            seats: self.clone(),
            source,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let taken = &self.seats.0.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        let left = taken.by_source.get(&self.source).map_or(0, |n| n - 1);
        if left == 0 {
            taken.by_source.remove(&self.source);
        } else {
            taken.by_source.insert(self.source, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_seat() {
        let seats = Seats::new(3, 2);
        let ip = |n| IpAddr::from([192, 0, 2, n]);
        let first = seats.take(ip(1));
        let second = seats.take(ip(1));
        assert!(first.is_some() && second.is_some());
        assert!(seats.take(ip(1)).is_none(), "the third of one address");
        let other = seats.take(ip(2));
        assert!(other.is_some());
        assert!(seats.take(ip(3)).is_none(), "the house is full");
        drop(first);
        assert!(seats.take(ip(1)).is_some());
    }
}
