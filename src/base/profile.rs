//! Whose rules a TwiML document is run by where KAZOO and Twilio differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose rules a TwiML document is run by where KAZOO and Twilio differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// KAZOO Pivot's.
    #[default]
    Kazoo,
    /// Twilio's.
    Twilio,
}
