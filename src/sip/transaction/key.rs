//! A request as the transaction layer sees it: its marks, where its answers go, and how it finds its server transaction
//! (RFC 3261 §17.2.3, §18.2; RFC 3581).

use std::net::SocketAddr;
use std::sync::Arc;

use super::table::ReplyPath;
use crate::sip::flow::Flow;
use crate::sip::msg::{Message, Method, Name, Via};

/// What every branch of RFC 3261 begins with.
pub(crate) const COOKIE: &str = "z9hG4bK";

/// A request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    /// The message, its top Via completed by `received` and `rport`.
    pub(crate) message: Arc<Message>,
    /// Where its answers go.
    pub(crate) path: ReplyPath,
    /// Its method.
    pub(crate) method: Method,
    /// Its sequence number.
    pub(crate) cseq: u32,
    /// Its Call-ID.
    pub(crate) call_id: Box<str>,
    /// The tag in its From; empty when there is none (RFC 2543).
    pub(crate) from_tag: Box<str>,
    /// The tag in its To.
    pub(crate) to_tag: Option<Box<str>>,
    /// Its branch; empty when there is none.
    pub(crate) branch: Box<str>,
    /// Whether the sender's own idea of its address differs from what we see.
    pub(crate) behind_nat: bool,
    sent_by: Box<str>,
}

impl Incoming {
    /// Reads the marks of a request and completes its top Via. `None` when a header every request has is missing.
    pub(crate) fn read(mut message: Message, flow: Flow) -> Option<Self> {
        let method = message.method()?.clone();
        let mut via = message.top_via().ok()?;
        let cseq = message.cseq().ok()?.number;
        let call_id = message.call_id()?.into();
        let from_tag = message.from().ok()?.tag().unwrap_or_default().into();
        let to_tag = message
            .to()
            .ok()?
            .tag()
            .filter(|tag| !tag.is_empty())
            .map(Into::into);
        let source = flow.remote.ip().to_canonical();
        let behind_nat = via.host.ip().is_some_and(|ip| ip.to_canonical() != source);
        let branch = via.branch.as_deref().unwrap_or_default().into();
        let sent_by = sent_by(&via, flow).into();
        message.note_source(flow.remote);
        via.note_source(flow.remote);
        let path = ReplyPath {
            flow,
            to: reply_address(&via, flow),
        };
        Some(Self {
            message: Arc::new(message),
            path,
            method,
            cseq,
            call_id,
            from_tag,
            to_tag,
            branch,
            behind_nat,
            sent_by,
        })
    }

    /// What its repetitions have in common; ACK and CANCEL find their INVITE by `key_of(&Method::Invite)`.
    pub(crate) fn key_of(&self, method: &Method) -> String {
        let cookie = self
            .branch
            .get(..COOKIE.len())
            .filter(|c| c.eq_ignore_ascii_case(COOKIE));
        let unique = cookie
            .and_then(|c| self.branch.get(c.len()..))
            .filter(|rest| !rest.is_empty());
        if let Some(branch) = unique {
            // Branches compare without regard to case (§7.3.1), and so do hosts.
            let mut key = format!("{branch}\n{}\n", self.sent_by);
            key.make_ascii_lowercase();
            key.push_str(method.as_str());
            key
        } else {
            // RFC 2543: the To tag is left out, since the ACK has one and the INVITE had none.
            let uri = self.message.request_uri().unwrap_or_default();
            format!(
                "2543\n{uri}\n{}\n{}\n{}\n{}\n{}\n{}",
                self.call_id, self.from_tag, self.cseq, self.branch, self.sent_by, method
            )
        }
    }

    /// What the same request by two ways has in common (§8.2.2.2).
    pub(crate) fn merge_key(&self) -> String {
        format!("{}\n{}\n{}", self.call_id, self.from_tag, self.cseq)
    }

    /// First value of a header.
    pub(crate) fn header(&self, name: Name) -> Option<&str> {
        self.message.header(name)
    }
}

fn sent_by(via: &Via, flow: Flow) -> String {
    let port = via.port.unwrap_or_else(|| flow.transport.default_port());
    format!("{}:{port}", via.host)
}

/// Where the answers to a request go whose top Via is completed.
pub(crate) fn reply_path_of(message: &Message, flow: Flow) -> ReplyPath {
    let mut via = message
        .top_via()
        .ok()
        .or_else(|| Via::first_lenient(message.header(Name::Via)?));
    // Also of a Via that is only half read: an answer never goes to an address that the sender merely names.
    if let Some(via) = &mut via {
        via.note_source(flow.remote);
    }
    ReplyPath {
        flow,
        to: via.and_then(|via| reply_address(&via, flow)),
    }
}

fn reply_address(via: &Via, flow: Flow) -> Option<SocketAddr> {
    if !flow.transport.is_reliable() {
        return via.reply_address();
    }
    // §18.2.2: to the address the request came from, at the port in sent-by. A name may be a browser's `.invalid`.
    let port = via.port.unwrap_or_else(|| flow.transport.default_port());
    via.host
        .ip()
        .map(|_| SocketAddr::new(flow.remote.ip(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::flow::Transport;

    fn incoming(transport: Transport, via: &str, method: &str) -> Incoming {
        let mut message = Message::request(Method::from_token(method), "sip:a@b");
        message.headers.push(Name::Via, via.to_owned());
        message.headers.push(Name::Via, "SIP/2.0/UDP second");
        message.headers.push(Name::From, "<sip:x@y>;tag=f");
        message.headers.push(Name::To, "<sip:a@b>");
        message.headers.push(Name::CallId, "id");
        message.headers.push(Name::CSeq, format!("7 {method}"));
        let flow = Flow {
            transport,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: "192.0.2.9:4444".parse().unwrap(),
            connection: 0,
        };
        Incoming::read(message, flow).unwrap()
    }

    fn reply(via: &str) -> (String, String) {
        let incoming = incoming(Transport::Udp, via, "INVITE");
        assert_eq!(incoming.message.headers.count(Name::Via), 2);
        (
            incoming.path.to.unwrap().to_string(),
            incoming.header(Name::Via).unwrap().to_owned(),
        )
    }

    #[test]
    fn answers_go_to_maddr_else_rport_else_sent_by_port() {
        let (to, via) = reply("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa");
        assert_eq!(
            (to.as_str(), via.as_str()),
            ("192.0.2.9:5060", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa")
        );
        let (to, via) = reply("SIP/2.0/UDP 10.1.1.1:5070;branch=z9hG4bKa");
        assert_eq!(to, "192.0.2.9:5070");
        assert!(via.contains("received=192.0.2.9"), "{via}");
        let (to, via) = reply("SIP/2.0/UDP 192.0.2.9;rport;branch=z9hG4bKa");
        assert_eq!(to, "192.0.2.9:4444");
        assert!(
            via.contains("rport=4444") && via.contains("received=192.0.2.9"),
            "{via}"
        );
        let (to, _) = reply("SIP/2.0/UDP 192.0.2.9:5070;maddr=224.2.0.1;rport;branch=z9hG4bKa");
        assert_eq!(to, "224.2.0.1:5070");
        let (to, via) =
            reply("SIP/2.0/UDP 10.1.1.1;received=198.51.100.1;branch=z9hG4bKa, SIP/2.0/UDP z");
        assert_eq!(to, "192.0.2.9:5060");
        assert!(
            !via.contains("198.51.100.1") && via.ends_with(", SIP/2.0/UDP z"),
            "{via}"
        );
    }

    #[test]
    fn an_answer_to_a_half_readable_via_goes_back_to_its_sender_and_not_where_the_via_says() {
        let mut message = Message::request(Method::Invite, "sip:a@b");
        message
            .headers
            .push(Name::Via, "SIP/2.0/UDP 198.51.100.1;;,;,,");
        let flow = Flow {
            transport: Transport::Udp,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: "192.0.2.9:4444".parse().unwrap(),
            connection: 0,
        };
        assert_eq!(
            reply_path_of(&message, flow).to,
            Some("192.0.2.9:5060".parse().unwrap())
        );
    }

    #[test]
    fn streams_fall_back_to_the_port_in_sent_by() {
        let via = "SIP/2.0/TCP 192.0.2.9:5070;branch=z9hG4bKa";
        assert_eq!(
            incoming(Transport::Tcp, via, "INVITE").path.to,
            Some("192.0.2.9:5070".parse().unwrap())
        );
        let via = "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKa";
        assert_eq!(incoming(Transport::Ws, via, "INVITE").path.to, None);
    }

    #[test]
    fn the_branch_sent_by_and_method_name_a_transaction() {
        let key = |via: &str, method: &str| {
            let incoming = incoming(Transport::Udp, via, method);
            incoming.key_of(&if method == "ACK" {
                Method::Invite
            } else {
                incoming.method.clone()
            })
        };
        let invite = key("SIP/2.0/UDP h;branch=z9hG4bKa", "INVITE");
        assert_eq!(invite, key("SIP/2.0/UDP H:5060;branch=z9hG4bKA", "ACK"));
        assert_ne!(invite, key("SIP/2.0/UDP h;branch=z9hG4bKb", "INVITE"));
        assert_ne!(invite, key("SIP/2.0/UDP h:5061;branch=z9hG4bKa", "INVITE"));
        assert_ne!(invite, key("SIP/2.0/UDP h;branch=z9hG4bKa", "BYE"));
        let old = key("SIP/2.0/UDP h;branch=1", "INVITE");
        assert_eq!(old, key("SIP/2.0/UDP h;branch=1", "ACK"));
        assert_ne!(old, key("SIP/2.0/UDP h", "INVITE"));
    }
}
