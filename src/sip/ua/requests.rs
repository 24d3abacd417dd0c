//! Client transactions: sending requests, judging responses, failures.

use std::sync::Arc;
use std::time::Instant;

use super::endpoint::{Endpoint, TimerKey};
use super::transport::{Hop, needs_tls, next_host};
use super::{LegId, Reason, RequestId};
use crate::sip::dialog::dialog::{from_token, token};
use crate::sip::flow::{Flow, Transport};
use crate::sip::msg::{Message, Method, Name};
use crate::sip::transaction::client::{self, Client};
use crate::sip::transaction::invite_client::{self, InviteClient};
use crate::sip::transaction::key::COOKIE;
use crate::sip::transaction::table::{ClientId, ClientMachine, ClientTransaction, Path, SentAck};

/// Whose a client transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The INVITE that began the leg.
    Invite(LegId),
    Reinvite(LegId),
    /// A refreshing UPDATE.
    Update(LegId),
    Prack(LegId),
    Info(LegId),
    /// A NOTIFY about a transfer.
    Notify(LegId),
    /// A transfer of ours.
    Refer(LegId),
    Bye(LegId),
    /// A request outside calls.
    Plain(RequestId),
    /// A CANCEL, or the BYE of a call that lost a race: nobody waits for the result.
    Nobody,
}

/// A response, or what stands for one.
pub(super) struct Outcome {
    pub(super) status: u16,
    /// `None` for 408 after a timeout and 503 after a transport failure.
    pub(super) message: Option<Arc<Message>>,
    /// The request, to be sent again with more headers; only of a failure.
    pub(super) request: Option<Message>,
    /// Where the response came from.
    pub(super) flow: Option<Flow>,
    /// The transaction.
    pub(super) id: ClientId,
}

impl Outcome {
    /// First value of a header of the response.
    pub(super) fn header(&self, name: Name) -> Option<&str> {
        self.message.as_ref().and_then(|m| m.header(name))
    }
}

/// Above this size a request leaves datagrams when the path's MTU is unknown (§18.1.1).
const MAX_DATAGRAM: usize = 1300;

impl Endpoint {
    /// Sends a request in a new transaction. It needs everything but Via.
    pub(super) fn launch(
        &mut self,
        now: Instant,
        mut message: Message,
        hop: Hop,
        owner: Owner,
    ) -> ClientId {
        let id = ClientId {
            branch: self.rng.u64(),
            cancel: false,
        };
        let method = message.method().cloned().unwrap_or(Method::Options);
        let (path, bytes, fallback) = self.put_on_wire(&mut message, hop, Some(id));
        let reliable = path.is_some_and(is_stream);
        let machine = match method {
            Method::Invite => ClientMachine::Invite(InviteClient::new(now, reliable)),
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Options
            | Method::Register
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other(_) => ClientMachine::Other(Client::new(now, reliable)),
        };
        let unreachable = path.is_none();
        let transaction = ClientTransaction {
            machine,
            method,
            request: Some(message),
            bytes,
            path: path.unwrap_or(Path::Connecting(0)),
            fallback,
            owner,
            acks: Vec::new(),
            armed: None,
        };
        self.clients.insert(id, Box::new(transaction));
        if unreachable {
            self.failures.push_back(id);
        }
        self.settle_client(id);
        id
    }

    /// Adds the Via and sends; gives the path, the bytes and the datagram path to fall back to.
    fn put_on_wire(
        &mut self,
        message: &mut Message,
        hop: Hop,
        client: Option<ClientId>,
    ) -> (Option<Path>, bytes::Bytes, Option<Flow>) {
        let branch = client.map_or_else(|| self.rng.u64(), |id| id.branch);
        let target = hop.target;
        if !target.transport.is_secure() && needs_tls(message) {
            self.count("sips would leave without TLS");
            return (None, bytes::Bytes::new(), None);
        }
        let host = next_host(message);
        if target.transport == Transport::Udp {
            let Some(flow) = hop.flow.or_else(|| self.udp_flow(target.addr)) else {
                return (None, bytes::Bytes::new(), None);
            };
            let via = self.via(Transport::Udp, flow, branch);
            message.headers.push_front(Name::Via, via);
            let bytes = message.to_bytes();
            if bytes.len() <= MAX_DATAGRAM || !self.config.tcp_switch {
                self.emit(flow, bytes.clone());
                return (Some(Path::Flow(flow)), bytes, None);
            }
            let via = self.via(
                Transport::Tcp,
                Flow {
                    transport: Transport::Tcp,
                    ..flow
                },
                branch,
            );
            message.headers.replace_first(Name::Via, via);
            let bytes = message.to_bytes();
            let path = self.over_stream(Transport::Tcp, target.addr, &host, bytes.clone(), client);
            return (path, bytes, Some(flow));
        }
        let unbound = if target.addr.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let Ok(unbound) = unbound.parse() else {
            return (None, bytes::Bytes::new(), None);
        };
        let flow = hop.flow.unwrap_or(Flow {
            transport: target.transport,
            local: unbound,
            remote: target.addr,
            connection: 0,
        });
        let via = self.via(target.transport, flow, branch);
        message.headers.push_front(Name::Via, via);
        let bytes = message.to_bytes();
        let path = if hop.flow.is_some() {
            self.emit(flow, bytes.clone());
            Some(Path::Flow(flow))
        } else {
            self.over_stream(target.transport, target.addr, &host, bytes.clone(), client)
        };
        (path, bytes, None)
    }

    fn via(&self, transport: Transport, flow: Flow, branch: u64) -> String {
        let (host, port) = self.own_address(transport, flow.local, flow.remote.ip());
        let rport = if transport == Transport::Udp {
            ";rport"
        } else {
            ""
        };
        format!(
            "SIP/2.0/{} {host}:{port};branch={COOKIE}{}{rport}",
            transport.via_name(),
            token(branch)
        )
    }

    /// Sends the ACK for a 2xx and keeps it with its INVITE for repetitions of that 2xx.
    pub(super) fn send_ack(
        &mut self,
        invite: ClientId,
        remote_tag: &str,
        mut ack: Message,
        hop: Hop,
    ) {
        let (path, bytes, _) = self.put_on_wire(&mut ack, hop, None);
        if let (Some(Path::Flow(flow)), Some(client)) = (path, self.clients.get_mut(&invite)) {
            client.acks.push(SentAck {
                to_tag: remote_tag.into(),
                flow,
                bytes,
            });
        }
    }

    /// Sends CANCEL for an INVITE that has had a provisional response (§9.1).
    pub(super) fn send_cancel(&mut self, now: Instant, invite: ClientId, reason: Option<&Reason>) {
        let Some(client) = self.clients.get_mut(&invite) else {
            return;
        };
        let ClientMachine::Invite(machine) = &mut client.machine else {
            return;
        };
        let Some(request) = &client.request else {
            return;
        };
        let action = machine.handle(now, invite_client::Event::Cancelled);
        debug_assert_eq!(action, invite_client::Action::Nothing);
        let mut message = hop_by_hop(request, Method::Cancel, None);
        if let Some(reason) = reason {
            message.headers.push(Name::Reason, reason.to_string());
        }
        let bytes = message.to_bytes();
        let path = client.path;
        self.settle_client(invite);
        let Path::Flow(flow) = path else { return };
        let id = ClientId {
            cancel: true,
            ..invite
        };
        let transaction = ClientTransaction {
            machine: ClientMachine::Other(Client::new(now, flow.transport.is_reliable())),
            method: Method::Cancel,
            request: None,
            bytes: bytes.clone(),
            path,
            fallback: None,
            owner: Owner::Nobody,
            acks: Vec::new(),
            armed: None,
        };
        self.clients.insert(id, Box::new(transaction));
        self.emit(flow, bytes);
        self.settle_client(id);
    }

    /// Whether an INVITE has had a provisional response and no final one.
    pub(super) fn is_proceeding(&self, invite: ClientId) -> bool {
        self.clients.get(&invite).is_some_and(|c| match &c.machine {
            ClientMachine::Invite(machine) => machine.is_proceeding(),
            ClientMachine::Other(_) => false,
        })
    }

    /// Takes a response.
    pub(super) fn response_arrives(&mut self, now: Instant, flow: Flow, message: Message) {
        let Some(status) = message.status() else {
            return;
        };
        if message.via_values().nth(1).is_some() {
            // Meant for somebody else (§8.1.3.3).
            return;
        }
        let Ok(cseq) = message.cseq() else { return };
        let branch = message.top_via().ok().and_then(|via| {
            let branch = via.branch?;
            from_token(branch.strip_prefix(COOKIE)?)
        });
        let Some(branch) = branch else { return };
        let id = ClientId {
            branch,
            cancel: cseq.method == Method::Cancel,
        };
        match self.clients.get(&id) {
            Some(client) if client.method == cseq.method => {}
            Some(_) => return,
            None => return self.stray_response(status, &cseq.method, &message),
        }
        let message = Arc::new(message);
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let owner = client.owner;
        let pass = match &mut client.machine {
            ClientMachine::Invite(machine) => {
                let event = match status {
                    ..=100 => invite_client::Event::Trying,
                    101..=199 => invite_client::Event::Progress,
                    200..=299 => invite_client::Event::Success,
                    300.. => invite_client::Event::Failure,
                };
                match machine.handle(now, event) {
                    invite_client::Action::Pass => true,
                    invite_client::Action::PassAndAck => {
                        if let Some(request) = &client.request {
                            client.bytes =
                                hop_by_hop(request, Method::Ack, message.header(Name::To))
                                    .to_bytes();
                        }
                        self.send_again(id);
                        true
                    }
                    invite_client::Action::Ack => {
                        self.send_again(id);
                        false
                    }
                    invite_client::Action::Nothing
                    | invite_client::Action::Resend
                    | invite_client::Action::Timeout
                    | invite_client::Action::TooLong
                    | invite_client::Action::Unreachable => false,
                }
            }
            ClientMachine::Other(machine) => {
                let event = if status < 200 {
                    client::Event::Provisional
                } else {
                    client::Event::Final
                };
                match machine.handle(now, event) {
                    client::Action::Pass => true,
                    client::Action::Nothing
                    | client::Action::Resend
                    | client::Action::Timeout
                    | client::Action::Unreachable => false,
                }
            }
        };
        if pass && (200..300).contains(&status) && self.acknowledge_again(id, &message) {
            return;
        }
        let request = if status >= 200 {
            self.clients
                .get_mut(&id)
                .and_then(|client| client.request.take())
        } else {
            None
        };
        self.settle_client(id);
        if pass {
            self.deliver(
                now,
                owner,
                Outcome {
                    status,
                    message: Some(message),
                    request,
                    flow: Some(flow),
                    id,
                },
            );
        }
    }

    /// A 2xx whose ACK was sent before gets it again. Whether it was one.
    fn acknowledge_again(&mut self, id: ClientId, message: &Message) -> bool {
        let Some(client) = self.clients.get(&id) else {
            return false;
        };
        if client.acks.is_empty() {
            return false;
        }
        let to = message.to().ok();
        let to_tag = to.as_ref().and_then(|to| to.tag()).unwrap_or_default();
        let Some(ack) = client.acks.iter().find(|ack| *ack.to_tag == *to_tag) else {
            return false;
        };
        let (flow, bytes) = (ack.flow, ack.bytes.clone());
        self.emit(flow, bytes);
        true
    }

    /// Sends a client's bytes on its path again.
    fn send_again(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        if let Path::Flow(flow) = client.path {
            let bytes = client.bytes.clone();
            self.emit(flow, bytes);
        }
    }

    /// Fires a client's timer.
    pub(super) fn client_timeout(&mut self, now: Instant, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.armed = None;
        let owner = client.owner;
        let mut failed = false;
        let mut request = None;
        match &mut client.machine {
            ClientMachine::Invite(machine) => match machine.handle_timeout(now) {
                invite_client::Action::Resend => self.send_again(id),
                invite_client::Action::Timeout => failed = true,
                invite_client::Action::TooLong => self.send_cancel(now, id, None),
                invite_client::Action::Nothing
                | invite_client::Action::Pass
                | invite_client::Action::PassAndAck
                | invite_client::Action::Ack
                | invite_client::Action::Unreachable => {}
            },
            ClientMachine::Other(machine) => match machine.handle_timeout(now) {
                client::Action::Resend => self.send_again(id),
                client::Action::Timeout => failed = true,
                client::Action::Nothing | client::Action::Pass | client::Action::Unreachable => {}
            },
        }
        if failed && let Some(client) = self.clients.get_mut(&id) {
            request = client.request.take();
        }
        self.settle_client(id);
        if failed {
            self.deliver(
                now,
                owner,
                Outcome {
                    status: 408,
                    message: None,
                    request,
                    flow: None,
                    id,
                },
            );
        }
    }

    /// Marks every unanswered request on such a path as failed.
    pub(super) fn fail_clients_on(&mut self, matches: impl Fn(Path) -> bool) {
        let failed = self
            .clients
            .iter()
            .filter(|(_, c)| c.machine.is_unanswered() && matches(c.path));
        let mut failed: Vec<ClientId> = failed.map(|(id, _)| *id).collect();
        failed.sort_unstable();
        self.failures.extend(failed);
    }

    /// A stream could not be opened: a request that was too large for datagrams takes them after all, once.
    pub(super) fn fall_back(&mut self, now: Instant, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let (Some(flow), Some(mut message)) = (client.fallback.take(), client.request.take())
        else {
            self.failures.push_back(id);
            return;
        };
        let via = self.via(Transport::Udp, flow, id.branch);
        message.headers.replace_first(Name::Via, via);
        let bytes = message.to_bytes();
        if let Some(client) = self.clients.get_mut(&id) {
            client.request = Some(message);
            client.bytes = bytes.clone();
            client.path = Path::Flow(flow);
            client.machine = match client.machine {
                ClientMachine::Invite(_) => ClientMachine::Invite(InviteClient::new(now, false)),
                ClientMachine::Other(_) => ClientMachine::Other(Client::new(now, false)),
            };
        }
        self.emit(flow, bytes);
        self.settle_client(id);
    }

    /// Tells the owners of failed requests (§8.1.3.1: as if 503).
    pub(super) fn tell_failures(&mut self, now: Instant) {
        while let Some(id) = self.failures.pop_front() {
            let Some(client) = self.clients.get_mut(&id) else {
                continue;
            };
            let owner = client.owner;
            let unreachable = match &mut client.machine {
                ClientMachine::Invite(machine) => {
                    machine.handle(now, invite_client::Event::TransportFailed)
                        == invite_client::Action::Unreachable
                }
                ClientMachine::Other(machine) => {
                    machine.handle(now, client::Event::TransportFailed)
                        == client::Action::Unreachable
                }
            };
            let request = client.request.take();
            self.settle_client(id);
            if unreachable {
                self.deliver(
                    now,
                    owner,
                    Outcome {
                        status: 503,
                        message: None,
                        request,
                        flow: None,
                        id,
                    },
                );
            }
        }
    }

    /// Arms the timer of a client, or removes it when it is over.
    fn settle_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        self.timers
            .rearm(&mut client.armed, client.machine.poll_timeout(), || {
                TimerKey::Client(id)
            });
        if client.machine.is_terminated() {
            self.clients.remove(&id);
        }
    }

    fn deliver(&mut self, now: Instant, owner: Owner, outcome: Outcome) {
        match owner {
            Owner::Invite(leg) => self.invite_outcome(now, leg, outcome),
            Owner::Reinvite(leg) => self.reinvite_outcome(now, leg, outcome),
            Owner::Update(leg) => self.update_outcome(now, leg, outcome),
            Owner::Prack(leg) | Owner::Info(leg) => self.plain_outcome(now, leg, owner, outcome),
            Owner::Notify(leg) => self.notify_outcome(now, leg, outcome),
            Owner::Refer(leg) => self.refer_outcome(now, leg, outcome),
            Owner::Bye(leg) => self.bye_outcome(now, leg, outcome),
            Owner::Plain(id) => self.request_outcome(now, id, outcome),
            Owner::Nobody => {}
        }
    }

    fn stray_response(&mut self, status: u16, method: &Method, message: &Message) {
        // Only a 2xx for a call that is up needs an answer: its ACK was lost after our transaction had ended.
        if (200..300).contains(&status) && *method == Method::Invite {
            self.stray_success(message);
        }
    }
}

/// The ACK of a failure or the CANCEL: same Request-URI, branch, Route, From, Call-ID and number as the INVITE
/// (§17.1.1.3, §9.1). `to` is the To of the response for an ACK.
fn hop_by_hop(invite: &Message, method: Method, to: Option<&str>) -> Message {
    let mut message = Message::request(method.clone(), invite.request_uri().unwrap_or_default());
    for header in invite.headers.iter() {
        match header.name {
            // Our own Via is the only one.
            Name::Via | Name::Route | Name::From | Name::CallId => {
                message.headers.push(header.name, header.value.clone());
            }
            Name::To => match to {
                Some(to) => message.headers.push(Name::To, to.to_owned()),
                None => message.headers.push(Name::To, header.value.clone()),
            },
            Name::CSeq => {
                let number = header
                    .text()
                    .and_then(|v| v.split_whitespace().next())
                    .unwrap_or_default();
                message
                    .headers
                    .push(Name::CSeq, format!("{number} {method}"));
            }
            _ => {}
        }
    }
    message.headers.push(Name::MaxForwards, "70");
    message
}

fn is_stream(path: Path) -> bool {
    match path {
        Path::Flow(flow) => flow.transport.is_reliable(),
        Path::Connecting(_) => true,
    }
}
