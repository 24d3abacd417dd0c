//! Where virtual time begins.

use std::time::Instant;

/// A first moment; tests move on from it by hand.
#[expect(
    clippy::disallowed_methods,
    reason = "an `Instant` can be had from the clock only"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}
