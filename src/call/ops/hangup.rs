//! `hangup` and `reject`: the script ends the call.

use crate::base::cause::Cause;
use crate::call::handle::CallHandle;
use crate::call::state::Phase;
use crate::sip::msg::Name;
use crate::sip::ua::Reason;

impl CallHandle {
    /// Ends the call: BYE when it was answered, the cause's own status when not. A call that has ended stays as it is.
    ///
    /// A flow that a transfer has started and that reached nobody only gives the call back to the transferor.
    pub fn hangup(&self, cause: Cause) {
        if !self.returns(cause.status) {
            self.end(cause);
        }
    }

    /// Ends the leg, whatever its flow is doing.
    pub(in crate::call) fn end(&self, cause: Cause) {
        self.end_because(cause, reason(cause));
    }

    /// Ends the leg and tells its peer that reason: BYE, CANCEL or the cause's status.
    pub(in crate::call) fn end_because(&self, cause: Cause, reason: Reason) {
        let answered = match self.state().phase {
            Phase::Ended(_) => return,
            Phase::Answered { .. } => true,
            Phase::Ringing { .. } => false,
        };
        if self.0.seed.is_some() {
            return self.end_seed(cause);
        }
        if !answered && !self.is_outbound() {
            return self.refuse(cause.status, "", cause);
        }
        self.0.cause.set(Some(cause));
        let leg = self.leg();
        let sent = self
            .0
            .core
            .endpoint(|endpoint, now| endpoint.bye(now, leg, Some(reason)));
        if let Err(error) = sent {
            tracing::debug!(call = ?self, %error, "nothing left to hang up");
        }
    }

    /// Refuses an unanswered call with that final response; an answered one is hung up.
    pub fn reject(&self, status: u16, reason_phrase: &str, cause: Cause) {
        if !self.returns(status) {
            self.refuse(status, reason_phrase, cause);
        }
    }

    pub(in crate::call) fn refuse(&self, status: u16, reason_phrase: &str, cause: Cause) {
        let answered = match self.state().phase {
            Phase::Ended(_) => return,
            Phase::Answered { .. } => true,
            Phase::Ringing { .. } => false,
        };
        if answered || self.is_outbound() || self.0.seed.is_some() {
            return self.end(cause);
        }
        self.0.cause.set(Some(cause));
        let leg = self.leg();
        let status = if (300..700).contains(&status) {
            status
        } else {
            cause.status
        };
        let headers = [(Name::Reason, reason(cause).to_string())];
        let sent = self
            .0
            .core
            .endpoint(|endpoint, now| endpoint.reject(now, leg, status, reason_phrase, &headers));
        if let Err(error) = sent {
            tracing::debug!(call = ?self, %error, "nothing left to refuse");
        }
    }
}

/// The Reason header of a cause (RFC 3326); causes outside Q.850 are sent as normal clearing.
fn reason(cause: Cause) -> Reason {
    let number = if cause.q850 <= 127 {
        cause.q850
    } else {
        Cause::NORMAL_CLEARING.q850
    };
    Reason {
        protocol: "Q.850".into(),
        cause: number,
        text: Some(cause.name.into()),
    }
}
