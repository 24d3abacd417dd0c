//! `refer`: asks the caller's phone to call somebody else (RFC 3515): TwiML's `<Refer>`.

use std::time::Duration;

use crate::call::error::CallError;
use crate::call::handle::CallHandle;

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Referral {
    /// Status of the REFER itself.
    pub response: Option<u16>,
    /// The last status the phone told of its new call.
    pub notified: Option<u16>,
}

impl Referral {
    /// Whether the phone has reached the other.
    pub fn succeeded(&self) -> bool {
        self.notified
            .is_some_and(|status| (200..300).contains(&status))
    }
}

impl CallHandle {
    /// Asks the phone of an answered call to call `target`, and waits until it says how that went. A hang-up meanwhile is
    /// a normal end.
    ///
    /// # Errors
    /// When the call is not answered, has ended before, or is asked already.
    pub async fn refer(&self, target: &str) -> Result<Referral, CallError> {
        if let Some(ended) = self.ended() {
            return Err(CallError::Ended(ended));
        }
        self.state_mut().referrals.clear();
        let leg = self.leg();
        let sent = self
            .0
            .core
            .endpoint(|endpoint, now| endpoint.refer(now, leg, target));
        if let Err(error) = sent {
            tracing::debug!(call = ?self, %error, "no REFER");
            return Err(CallError::Dialog("no transfer can be asked for now"));
        }
        let mut referral = Referral::default();
        let going = async {
            while let Ok((status, over)) = self.wait(|state| state.referrals.pop_front()).await {
                if referral.response.is_none() {
                    referral.response = Some(status);
                } else {
                    referral.notified = Some(status);
                }
                if over {
                    break;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, going).await.is_err() {
            tracing::debug!(call = ?self, "the phone does not say how the transfer went");
        }
        Ok(referral)
    }
}

/// How long a phone may try to reach the other (RFC 3515 §2.4.2 has NOTIFYs expire after a minute or so).
const PATIENCE: Duration = Duration::from_secs(90);
