//! Where virtual time begins, and machines run through it.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// A first moment; tests move on from it by hand.
#[expect(
    clippy::disallowed_methods,
    reason = "an `Instant` can be had from the clock only"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// Lets time pass until nothing is armed. Gives (milliseconds since `t0`, action) of every firing; a millisecond before it,
/// the machine must do `nothing`.
pub(crate) fn run_out<M, A: PartialEq + Debug>(
    machine: &mut M,
    t0: Instant,
    due: impl Fn(&M) -> Option<Instant>,
    fire: impl Fn(&mut M, Instant) -> A,
    nothing: &A,
) -> Vec<(u128, A)> {
    let mut fired = Vec::new();
    while let Some(at) = due(machine) {
        let early = fire(machine, at - Duration::from_millis(1));
        assert_eq!(&early, nothing, "a millisecond early");
        fired.push(((at - t0).as_millis(), fire(machine, at)));
    }
    fired
}
