//! Paths: which socket or stream carries a message, and which address of ours it names (RFC 3261 §18).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use super::endpoint::Endpoint;
use super::{Direction, Listener, SipEvent, Target, Trace, Transmit};
use crate::sip::dialog::dialog::Dialog;
use crate::sip::flow::{Flow, Transport};
use crate::sip::msg::{Message, Name, NameAddr, Scheme, Uri};
use crate::sip::transaction::seeded::{Map, Seed, map};
use crate::sip::transaction::table::{ClientId, Path, ReplyPath};

/// The streams that are open or being opened.
pub(super) struct Streams {
    open: Map<u64, Flow>,
    /// Streams we opened, by whom they reach. A stream a peer opened is used for its own dialogs only: its source port
    /// says nothing about who listens there.
    outbound: Map<Way, Flow>,
    connecting: Map<u64, Connecting>,
    next: u64,
}

/// What a stream of ours reaches. A secure one proved to be `host`: it is no way to another host at the same address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Way {
    transport: Transport,
    remote: SocketAddr,
    host: Box<str>,
}

impl Way {
    fn new(transport: Transport, remote: SocketAddr, host: &str) -> Self {
        let host = if transport == Transport::Tcp {
            String::new()
        } else {
            host.to_ascii_lowercase()
        };
        Self {
            transport,
            remote,
            host: host.into(),
        }
    }
}

struct Connecting {
    way: Way,
    queue: Vec<Bytes>,
    clients: Vec<ClientId>,
}

/// Most messages that wait for one stream.
const MAX_QUEUE: usize = 256;
/// Most streams being opened at once.
const MAX_CONNECTING: usize = 1024;

impl Streams {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            open: map(seed),
            outbound: map(seed),
            connecting: map(seed),
            next: 0,
        }
    }

    /// How many streams are being opened.
    pub(super) fn connecting(&self) -> usize {
        self.connecting.len()
    }

    /// A stream gave a sign of life.
    pub(super) fn note(&mut self, flow: Flow) {
        if flow.transport.is_reliable() {
            self.open.entry(flow.connection).or_insert(flow);
        }
    }

    fn is_open(&self, flow: Flow) -> bool {
        self.open.contains_key(&flow.connection)
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) target: Target,
    /// The stream or socket to prefer.
    pub(super) flow: Option<Flow>,
}

impl Endpoint {
    /// Sends `bytes` on an existing path.
    pub(super) fn emit(&mut self, flow: Flow, bytes: Bytes) {
        if self.config.trace {
            let call_id = call_id_of(&bytes);
            self.trace(Direction::Out, flow, bytes.clone(), call_id);
        }
        self.transmits.push_back(Transmit::Send { flow, bytes });
    }

    /// Reports a message.
    pub(super) fn trace(
        &mut self,
        direction: Direction,
        flow: Flow,
        bytes: Bytes,
        call_id: Box<str>,
    ) {
        self.events.push_back(SipEvent::Trace(Box::new(Trace {
            direction,
            flow,
            bytes,
            call_id,
            leg: None,
        })));
    }

    /// Whether a stream is open.
    pub(super) fn stream_is_open(&self, flow: Flow) -> bool {
        self.streams.is_open(flow)
    }

    /// Sends a response (§18.2.2).
    pub(super) fn send_reply(&mut self, path: ReplyPath, bytes: Bytes) {
        let flow = path.flow;
        if !flow.transport.is_reliable() {
            self.emit(
                Flow {
                    remote: path.to.unwrap_or(flow.remote),
                    ..flow
                },
                bytes,
            );
        } else if self.streams.is_open(flow) {
            self.emit(flow, bytes);
        } else if let Some(to) = path.to {
            self.over_stream(flow.transport, to, &to.ip().to_string(), bytes, None);
        }
    }

    /// Sends over a stream to `remote`, which is `host`, opening one when there is none.
    pub(super) fn over_stream(
        &mut self,
        transport: Transport,
        remote: SocketAddr,
        host: &str,
        bytes: Bytes,
        client: Option<ClientId>,
    ) -> Option<Path> {
        let way = Way::new(transport, remote, host);
        if let Some(flow) = self.streams.outbound.get(&way).copied() {
            self.emit(flow, bytes);
            return Some(Path::Flow(flow));
        }
        let mut waiting = self.streams.connecting.iter();
        let waiting = waiting.find(|(_, c)| c.way == way);
        let request = match waiting {
            Some((request, _)) => *request,
            None if self.streams.connecting.len() >= MAX_CONNECTING => return None,
            None => {
                self.streams.next += 1;
                let request = self.streams.next;
                self.transmits.push_back(Transmit::Connect {
                    request,
                    transport,
                    remote,
                    host: host.into(),
                });
                let new = Connecting {
                    way,
                    queue: Vec::new(),
                    clients: Vec::new(),
                };
                self.streams.connecting.insert(request, new);
                request
            }
        };
        let connecting = self.streams.connecting.get_mut(&request)?;
        // A response dropped here is asked for again by its client; a request fails by its timer.
        if connecting.queue.len() < MAX_QUEUE {
            connecting.queue.push(bytes);
        }
        connecting.clients.extend(client);
        Some(Path::Connecting(request))
    }

    /// The stream asked for is there: sends what waited.
    pub(super) fn stream_opened(&mut self, request: u64, flow: Flow) {
        self.streams.note(flow);
        let Some(connecting) = self.streams.connecting.remove(&request) else {
            return;
        };
        self.streams.outbound.insert(connecting.way, flow);
        for bytes in connecting.queue {
            self.emit(flow, bytes);
        }
        for id in connecting.clients {
            if let Some(client) = self.clients.get_mut(&id) {
                client.path = Path::Flow(flow);
            }
        }
    }

    /// The stream asked for cannot be had: large requests go back to datagrams, others fail.
    pub(super) fn stream_refused(&mut self, now: Instant, request: u64) {
        let Some(connecting) = self.streams.connecting.remove(&request) else {
            return;
        };
        for id in connecting.clients {
            self.fall_back(now, id);
        }
    }

    /// Forgets a stream. What was sent on it and has no answer yet fails.
    pub(super) fn stream_lost(&mut self, flow: Flow) {
        self.streams.open.remove(&flow.connection);
        self.streams
            .outbound
            .retain(|_, f| f.connection != flow.connection);
        self.fail_clients_on(|path| match path {
            Path::Flow(used) => used.transport.is_reliable() && used.connection == flow.connection,
            Path::Connecting(_) => false,
        });
    }

    /// The host and port to name towards `remote` on `flow`'s listener.
    pub(super) fn own_address(
        &self,
        transport: Transport,
        local: SocketAddr,
        remote: IpAddr,
    ) -> (String, u16) {
        let listener = self.listener(transport, local);
        let inside = self
            .config
            .local_nets
            .iter()
            .any(|net| net.contains(&remote.to_canonical()));
        if let (Some((host, port)), false) = (listener.and_then(|l| l.advertise.as_ref()), inside) {
            return (bracketed(host), *port);
        }
        let bound = listener.map_or(local, |l| l.local);
        let ip = [bound.ip(), local.ip()]
            .into_iter()
            .find(|ip| !ip.is_unspecified());
        let ip = ip.or_else(|| self.routes.as_ref().and_then(|lookup| lookup(remote)));
        match (ip, listener.and_then(|l| l.advertise.as_ref())) {
            (Some(ip), _) => (bracketed(&ip.to_canonical().to_string()), bound.port()),
            (None, Some((host, port))) => (bracketed(host), *port),
            (None, None) if remote.is_ipv6() && !remote.to_canonical().is_ipv4() => {
                ("[::1]".into(), bound.port())
            }
            (None, None) => ("127.0.0.1".into(), bound.port()),
        }
    }

    /// Contact towards a peer on `flow`. Secure WebSocket has no name of its own (RFC 7118 §5.2).
    pub(super) fn contact(&self, flow: Flow) -> String {
        let (host, port) = self.own_address(flow.transport, flow.local, flow.remote.ip());
        match flow.transport {
            Transport::Udp => format!("<sip:swivel@{host}:{port}>"),
            Transport::Tcp | Transport::Tls | Transport::Ws => {
                format!(
                    "<sip:swivel@{host}:{port};transport={}>",
                    flow.transport.uri_name()
                )
            }
            Transport::Wss => format!("<sip:swivel@{host}:{port};transport=ws>"),
        }
    }

    /// The same inside a dialog whose other side must be reached by TLS all the way: then ours must, too (§8.1.1.8,
    /// §12.1.1).
    pub(super) fn contact_for(&self, flow: Flow, request_uri: &str) -> String {
        let contact = self.contact(flow);
        let sips = request_uri
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"));
        if sips && flow.transport.is_secure() {
            contact.replacen("<sip:", "<sips:", 1)
        } else {
            contact
        }
    }

    fn listener(&self, transport: Transport, local: SocketAddr) -> Option<&Listener> {
        let of_kind = || {
            self.listeners
                .iter()
                .filter(move |l| l.transport == transport)
        };
        of_kind()
            .find(|l| l.local == local)
            .or_else(|| {
                of_kind().find(|l| {
                    l.local.ip().is_unspecified()
                        && l.local.port() == local.port()
                        && l.local.is_ipv4() == local.ip().to_canonical().is_ipv4()
                })
            })
            .or_else(|| of_kind().find(|l| l.local.is_ipv4() == local.is_ipv4()))
            .or_else(|| of_kind().next())
            // A caller that listens for datagrams only still opens streams: answers come back on them.
            .or_else(|| self.listeners.first())
    }

    /// The socket for datagrams to `remote`.
    pub(super) fn udp_flow(&self, remote: SocketAddr) -> Option<Flow> {
        let v4 = remote.ip().to_canonical().is_ipv4();
        let mut sockets = self
            .listeners
            .iter()
            .filter(|l| l.transport == Transport::Udp);
        let listener = sockets.find(|l| l.local.ip().to_canonical().is_ipv4() == v4)?;
        Some(Flow {
            transport: Transport::Udp,
            local: listener.local,
            remote,
            connection: 0,
        })
    }

    /// Where the next request of a dialog goes.
    pub(super) fn hop(&self, dialog: &Dialog) -> Hop {
        let flow = dialog.flow;
        if flow.transport.is_reliable() && self.streams.is_open(flow) {
            return Hop {
                target: Target {
                    transport: flow.transport,
                    addr: flow.remote,
                },
                flow: Some(flow),
            };
        }
        let next = Uri::parse(dialog.next_hop()).ok();
        let named = next.as_ref().and_then(Uri::transport);
        let secure = next.as_ref().is_some_and(|uri| uri.scheme == Scheme::Sips);
        let transport = match named.and_then(Transport::named) {
            // `transport` names what is below TLS where the scheme asks for TLS (§26.2.2).
            Some(Transport::Ws | Transport::Wss) if secure => Transport::Wss,
            _ if secure => Transport::Tls,
            Some(transport) => transport,
            None if flow.transport.is_reliable() => flow.transport,
            None => Transport::Udp,
        };
        let ip = next
            .as_ref()
            .and_then(|uri| uri.host.ip())
            .map(|ip| ip.to_canonical());
        let ip = ip.filter(|ip| *ip == flow.remote.ip().to_canonical() || !dialog.behind_nat);
        let port = next
            .as_ref()
            .and_then(|uri| uri.port)
            .unwrap_or_else(|| transport.default_port());
        let addr = match ip {
            Some(ip) if usable(ip, flow.remote.ip()) => SocketAddr::new(ip, port),
            // A name (resolving is another layer's work), a NATed phone, or a private address seen from outside.
            Some(_) | None => flow.remote,
        };
        let same_socket = flow.transport == transport && transport == Transport::Udp;
        let family = flow.local.ip().to_canonical().is_ipv4() == addr.ip().to_canonical().is_ipv4();
        let flow = (same_socket && family).then_some(Flow {
            remote: addr,
            ..flow
        });
        Hop {
            target: Target { transport, addr },
            flow,
        }
    }
}

/// The host a request is sent to first: of the topmost Route, else of the Request-URI (§8.1.2).
pub(super) fn next_host(message: &Message) -> String {
    let route = message.header(Name::Route);
    let uri = match route.and_then(|route| {
        let first = crate::sip::msg::grammar::split_commas(route).next()?;
        NameAddr::parse(first).ok()
    }) {
        Some(route) => Some(route.uri),
        None => message.uri().ok(),
    };
    uri.map(|uri| uri.host.as_str().to_owned())
        .unwrap_or_default()
}

/// Whether a request must not leave without TLS: its target or its next hop is `sips:` (§26.2.2).
pub(super) fn needs_tls(message: &Message) -> bool {
    let is_sips = |text: &str| {
        text.trim_start_matches(['<', ' '])
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
    };
    message.request_uri().is_some_and(is_sips)
        || message
            .header(Name::Route)
            .and_then(|route| route.split_once('<'))
            .is_some_and(|(_, uri)| is_sips(uri))
}

/// Whether `ip` from a Contact can be reached when its owner's messages come from `source`.
fn usable(ip: IpAddr, source: IpAddr) -> bool {
    ip == source.to_canonical() || !is_private(ip) || is_private(source.to_canonical())
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, _, _] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// The Call-ID of a message we wrote ourselves.
fn call_id_of(bytes: &[u8]) -> Box<str> {
    const NAME: &[u8] = b"\r\nCall-ID: ";
    let value = bytes
        .windows(NAME.len())
        .position(|w| w == NAME)
        .and_then(|at| bytes.get(at + NAME.len()..));
    let line = value
        .and_then(|v| v.split(|b| *b == b'\r').next())
        .unwrap_or_default();
    String::from_utf8_lossy(line).into()
}
