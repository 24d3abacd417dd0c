//! Plain requests of ours outside calls: OPTIONS, REGISTER, NOTIFY, SUBSCRIBE (RFC 3261 §8.1).
//!
//! One request, one final [`SipEvent::Response`]; a challenge of the right realm is answered in between. Dialogs of
//! subscriptions are the caller's: it hands in tags, sequence number and routes.

use std::sync::Arc;
use std::time::Instant;

use super::capability::ALLOW;
use super::endpoint::{Endpoint, Target};
use super::leg::Credentials;
use super::reply::{one_line, push_body};
use super::requests::{Outcome, Owner};
use super::transport::Hop;
use super::uac::{renumbered, replace_credentials};
use super::{Body, SipEvent};
use crate::base::secret::Secret;
use crate::sip::dialog::dialog::token;
use crate::sip::flow::{Flow, Transport};
use crate::sip::msg::{Message, Method, Name};

/// Names one plain request. Never reused within the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// The way a plain request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// This path and no other: a stream that has closed fails the request.
    Flow(Flow),
    /// To this address, over a stream of ours where it needs one.
    Target(Target),
}

impl Way {
    /// Where it leads.
    pub fn remote(&self) -> std::net::SocketAddr {
        match self {
            Self::Flow(flow) => flow.remote,
            Self::Target(target) => target.addr,
        }
    }
}

/// A plain request.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    /// Its method; not INVITE, ACK or CANCEL.
    pub method: Method,
    /// Request-URI.
    pub uri: String,
    /// How it gets there.
    pub way: Way,
    /// Value of From, without tag.
    pub from: String,
    /// Our tag; `None` takes a fresh one.
    pub from_tag: Option<String>,
    /// Value of To, tag included; `None` is the Request-URI in angle brackets.
    pub to: Option<String>,
    /// Value of Call-ID; `None` takes a fresh one.
    pub call_id: Option<String>,
    /// Sequence number.
    pub cseq: u32,
    /// Values of Route, nearest first.
    pub routes: Vec<String>,
    /// Whether it names our own Contact; requests with another one have it among `headers`.
    pub contact: bool,
    /// Further headers.
    pub headers: Vec<(Name, String)>,
    /// The body.
    pub body: Option<Body>,
    /// Digest user name and password.
    pub credentials: Option<(String, Secret)>,
    /// The only realm whose challenge is answered; `None` answers none unless `any_realm`.
    pub realm: Option<String>,
    /// Answer a challenge of whatever realm.
    pub any_realm: bool,
}

impl ClientRequest {
    /// A request without body, credentials or extra headers.
    pub fn new(method: Method, uri: impl Into<String>, way: Way, from: impl Into<String>) -> Self {
        Self {
            method,
            uri: uri.into(),
            way,
            from: from.into(),
            from_tag: None,
            to: None,
            call_id: None,
            cseq: 1,
            routes: Vec::new(),
            contact: true,
            headers: Vec::new(),
            body: None,
            credentials: None,
            realm: None,
            any_realm: false,
        }
    }
}

/// The end of a plain request.
#[derive(Debug, Clone)]
pub struct Response {
    /// Which request.
    pub request: RequestId,
    /// 200–699; 408 after a timeout, 503 after a transport failure.
    pub status: u16,
    /// The response, when there was one.
    pub message: Option<Arc<Message>>,
    /// Sequence number of the last request sent: one more than asked for when a challenge was answered.
    pub cseq: u32,
    /// Where the response came from.
    pub flow: Option<Flow>,
}

/// A plain request on its way.
pub(super) struct Sent {
    hop: Hop,
    cseq: u32,
    credentials: Option<Credentials>,
}

impl Endpoint {
    /// Sends a plain request. Its end is reported as `SipEvent::Response`.
    pub fn request(&mut self, now: Instant, request: ClientRequest) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        let hop = match request.way {
            Way::Target(target) => Hop { target, flow: None },
            Way::Flow(flow) => Hop {
                target: Target {
                    transport: flow.transport,
                    addr: flow.remote,
                },
                flow: Some(flow),
            },
        };
        if hop.flow.is_some_and(|flow| self.is_closed(flow)) {
            self.events.push_back(SipEvent::Response(Box::new(Response {
                request: id,
                status: 503,
                message: None,
                cseq: request.cseq,
                flow: None,
            })));
            return id;
        }
        let message = self.plain_message(&request, hop);
        let credentials = request.credentials.map(|(username, password)| Credentials {
            username,
            password,
            realm: request.realm.filter(|_| !request.any_realm),
            any_realm: request.any_realm,
            nonces: Vec::new(),
            realms: Vec::new(),
        });
        let sent = Sent {
            hop,
            cseq: request.cseq,
            credentials,
        };
        self.requests.insert(id, sent);
        self.launch(now, message, hop, Owner::Plain(id));
        self.tell_failures(now);
        id
    }

    fn is_closed(&self, flow: Flow) -> bool {
        flow.transport.is_reliable() && !self.stream_is_open(flow)
    }

    fn plain_message(&mut self, request: &ClientRequest, hop: Hop) -> Message {
        let uri = one_line(&request.uri);
        let mut message = Message::request(request.method.clone(), &uri);
        let tag = match &request.from_tag {
            Some(tag) => tag.clone(),
            None => token(self.rng.u64()),
        };
        let call_id = match &request.call_id {
            Some(call_id) => one_line(call_id),
            None => self.rng.hex(16),
        };
        let to = request
            .to
            .as_deref()
            .map_or_else(|| format!("<{uri}>"), one_line);
        let contact = request.contact.then(|| self.contact(self.path_of(hop)));
        let headers = &mut message.headers;
        headers.push(Name::MaxForwards, "70");
        for route in &request.routes {
            headers.push(Name::Route, one_line(route));
        }
        headers.push(
            Name::From,
            format!("{};tag={}", one_line(&request.from), one_line(&tag)),
        );
        headers.push(Name::To, to);
        headers.push(Name::CallId, call_id);
        headers.push(Name::CSeq, format!("{} {}", request.cseq, request.method));
        if let Some(contact) = contact {
            headers.push(Name::Contact, contact);
        }
        headers.push(Name::Allow, ALLOW);
        if let Some(agent) = &self.config.user_agent {
            headers.push(Name::UserAgent, agent.clone());
        }
        for (name, value) in &request.headers {
            headers.push(*name, one_line(value));
        }
        if let Some(body) = &request.body {
            push_body(&mut message, body);
        }
        message
    }

    /// The path a request takes, as far as it is known before it leaves: for the address of ours it names.
    fn path_of(&self, hop: Hop) -> Flow {
        let target = hop.target;
        let of_listener = || {
            self.udp_flow(target.addr).map(|flow| Flow {
                transport: target.transport,
                ..flow
            })
        };
        hop.flow.or_else(of_listener).unwrap_or(Flow {
            transport: target.transport,
            local: target.addr,
            remote: target.addr,
            connection: 0,
        })
    }

    /// The Contact that messages on `flow` name.
    pub fn contact_on(&self, flow: Flow) -> String {
        self.contact(flow)
    }

    /// The Contact that requests to `target` name; `user` stands in place of ours.
    pub fn contact_towards(&self, target: Target, user: &str) -> String {
        let path = self.path_of(Hop { target, flow: None });
        self.contact(path)
            .replacen("swivel@", &format!("{user}@"), 1)
    }

    /// A response to a plain request.
    pub(super) fn request_outcome(&mut self, now: Instant, id: RequestId, outcome: Outcome) {
        if outcome.status < 200 {
            return;
        }
        if let Some(message) = self.challenged(id, &outcome)
            && let Some(hop) = self.requests.get(&id).map(|sent| sent.hop)
        {
            self.launch(now, message, hop, Owner::Plain(id));
            return;
        }
        let Some(sent) = self.requests.remove(&id) else {
            return;
        };
        self.reached_by(sent.hop, &outcome);
        self.events.push_back(SipEvent::Response(Box::new(Response {
            request: id,
            status: outcome.status,
            message: outcome.message,
            cseq: sent.cseq,
            flow: outcome.flow,
        })));
    }

    /// The request again with credentials, when these may answer the challenge.
    fn challenged(&mut self, id: RequestId, outcome: &Outcome) -> Option<Message> {
        if !matches!(outcome.status, 401 | 407) {
            return None;
        }
        let (request, response) = (outcome.request.as_ref()?, outcome.message.as_ref()?);
        // Only whom we asked may ask back (`security.md` row 4).
        let asked = self.requests.get(&id)?.hop.target.addr.ip().to_canonical();
        let answers = outcome.flow?.remote.ip().to_canonical();
        if asked != answers {
            return None;
        }
        let mut credentials = self.requests.get_mut(&id)?.credentials.take()?;
        let answers = self.authorize(&mut credentials, request, response);
        let sent = self.requests.get_mut(&id)?;
        sent.credentials = Some(credentials);
        let answers = answers?;
        sent.cseq = sent.cseq.saturating_add(1);
        let mut message = renumbered(request, Some(sent.cseq))?;
        for (name, credentials) in answers {
            replace_credentials(&mut message, name, &credentials);
        }
        Some(message)
    }

    /// Whether a transport can carry requests to phones that connected to us.
    pub fn has_stream(&self, flow: Flow) -> bool {
        flow.transport == Transport::Udp || self.stream_is_open(flow)
    }
}
