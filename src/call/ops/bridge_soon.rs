//! Stands in for the bridge until it is built.

use super::bridge::{BridgeOptions, Bridged};
use crate::call::error::CallError;
use crate::call::handle::CallHandle;

impl CallHandle {
    /// Rings endpoints and connects the caller to the one that answers.
    ///
    /// # Errors
    /// Always, so far.
    pub async fn bridge(&self, _options: BridgeOptions) -> Result<Bridged, CallError> {
        Err(CallError::Dialog("bridge"))
    }
}
