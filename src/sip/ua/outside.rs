//! Requests outside calls that the layer above answers: REGISTER and SUBSCRIBE (RFC 3261 §10.3, RFC 6665 §4.2).
//!
//! The endpoint knows who sends them and keeps their transactions; what they mean is the registrar's business.

use std::sync::Arc;
use std::time::Instant;

use super::capability::{check_required, check_scheme};
use super::endpoint::Endpoint;
use super::reply::{Refused, one_line, push_body};
use super::{Body, Principal, SipEvent};
use crate::sip::dialog::dialog::token;
use crate::sip::flow::Flow;
use crate::sip::msg::{Message, Method, Name};
use crate::sip::transaction::key::Incoming;
use crate::sip::transaction::table::ServerId;

/// Names the transaction of a request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered(pub(super) ServerId);

/// A REGISTER or SUBSCRIBE of somebody known. Answer by [`Endpoint::reply`].
#[derive(Debug, Clone)]
pub struct IncomingRequest {
    /// Its transaction.
    pub transaction: Unanswered,
    /// The request.
    pub message: Arc<Message>,
    /// Its method.
    pub method: Method,
    /// Where it came from.
    pub flow: Flow,
    /// Who sent it, proven by digest.
    pub principal: Principal,
    /// Its sequence number.
    pub cseq: u32,
    /// The tag in its To; `None` outside a dialog.
    pub to_tag: Option<Box<str>>,
    /// The tag our answer adds to To.
    pub local_tag: String,
}

/// Extensions of REGISTER beside those of every request.
const REGISTER_EXTENSIONS: &[&str] = &["path", "outbound"];

impl Endpoint {
    /// Whether the layer above answers requests of that method.
    pub(super) fn is_for_registrar(&self, method: &Method) -> bool {
        self.config.registrar && matches!(method, Method::Register | Method::Subscribe)
    }

    /// Takes a request for the layer above whose sender is known.
    pub(super) fn hand_up(
        &mut self,
        now: Instant,
        request: Incoming,
        key: String,
        principal: Principal,
    ) {
        let more = if request.method == Method::Register {
            REGISTER_EXTENSIONS
        } else {
            &[]
        };
        let judged = check_scheme(request.message.request_uri().unwrap_or_default())
            .and_then(|()| check_required(&request.message, more));
        let tag = self.rng.u64();
        let id = self.accept_request(now, &request, key, Some(tag));
        if let Err(refused) = judged {
            return self.refuse(now, id, refused);
        }
        self.events
            .push_back(SipEvent::Request(Box::new(IncomingRequest {
                transaction: Unanswered(id),
                message: request.message,
                method: request.method,
                flow: request.path.flow,
                principal,
                cseq: request.cseq,
                to_tag: request.to_tag,
                local_tag: token(tag),
            })));
    }

    /// A SUBSCRIBE inside the dialog of a subscription, which the layer above knows.
    pub(super) fn resubscribe(&mut self, now: Instant, request: Incoming, key: String) {
        if let Err(refused) = self.check_load(&request) {
            return self.reply_statelessly(&request, &refused);
        }
        match self.admit_by_digest(now, &request) {
            Ok(principal) => self.hand_up(now, request, key, principal),
            Err(challenge) => self.reply_statelessly(&request, &challenge),
        }
    }

    /// Who sends a REGISTER or SUBSCRIBE: an address alone proves nothing here. It would bind whatever it likes, and
    /// many phones may share one.
    pub(super) fn admit_by_digest(
        &mut self,
        now: Instant,
        request: &Incoming,
    ) -> Result<Principal, Refused> {
        if self.config.authenticate {
            self.check_credentials(now, request)
        } else {
            self.admit(now, request)
        }
    }

    /// Sends the final answer of a request that was handed up. An empty `reason` takes the standard phrase. Nothing when
    /// it came too late.
    pub fn reply(
        &mut self,
        now: Instant,
        transaction: Unanswered,
        status: u16,
        reason: &str,
        headers: &[(Name, String)],
        body: Option<&Body>,
    ) {
        let id = transaction.0;
        let Some(mut response) = self.draft(id, status, &one_line(reason)) else {
            return;
        };
        for (name, value) in headers {
            response.headers.push(*name, one_line(value));
        }
        if let Some(body) = body {
            push_body(&mut response, body);
        }
        self.respond(now, id, response);
        self.tell_failures(now);
    }

    /// Sends a double CRLF on a path, which keeps its NAT open (RFC 5626 §4.4.1).
    pub fn ping(&mut self, flow: Flow) {
        let bytes = bytes::Bytes::from_static(b"\r\n\r\n");
        self.transmits
            .push_back(super::Transmit::Send { flow, bytes });
    }
}
