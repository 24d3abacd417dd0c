//! What is odd about the answers of web servers, found when somebody looks: the checks of callflows and of TwiML, on what
//! was received.

use super::call::Call;
use crate::journal::lens::Lens;

/// Adds findings to the answers of a call's exchanges.
pub(super) fn add(lens: &mut Lens, call: &Call) {
    let _ = (lens, call);
}
