//! One dialog (RFC 3261 §12): who speaks to whom, in which order, by which way.

use std::sync::Arc;

use super::route_set::RouteSet;
use crate::sip::flow::Flow;
use crate::sip::msg::{Message, Method, Name};

/// What the peer said it can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its Allow lists UPDATE.
    pub(crate) allows_update: bool,
    /// Its Supported or Require lists `timer`.
    pub(crate) supports_timer: bool,
}

/// A dialog, early or confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    /// Call-ID.
    pub(crate) call_id: Arc<str>,
    /// Our tag.
    pub(crate) local_tag: u64,
    /// The peer's tag; empty for a peer that sent none (RFC 2543).
    pub(crate) remote_tag: Box<str>,
    /// Our From in requests, tag included.
    pub(crate) local: Box<str>,
    /// The peer's address in our To, tag included.
    pub(crate) remote: Box<str>,
    /// Sequence number of our last request.
    pub(crate) local_cseq: u32,
    /// Sequence number of the peer's last request.
    pub(crate) remote_cseq: Option<u32>,
    /// The peer's Contact.
    pub(crate) remote_target: Box<str>,
    /// The way to it.
    pub(crate) routes: RouteSet,
    /// The path its messages took last.
    pub(crate) flow: Flow,
    /// Whether the peer sits behind a NAT, so that its Contact's address cannot be used.
    pub(crate) behind_nat: bool,
    /// What the peer can do.
    pub(crate) peer: Peer,
    /// Whether we made the Call-ID (we are the caller), which decides the back-off after 491.
    pub(crate) ours: bool,
}

/// How the sequence number of a request in a dialog stands to those before it (§12.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// Higher, gaps included.
    Next,
    /// Seen already, or older: 500.
    Old,
}

impl Dialog {
    /// Takes note of a request's sequence number.
    pub(crate) fn sequence(&mut self, cseq: u32) -> Sequence {
        if self.remote_cseq.is_some_and(|seen| cseq <= seen) {
            return Sequence::Old;
        }
        self.remote_cseq = Some(cseq);
        Sequence::Next
    }

    /// The next request in this dialog. Via and Contact are the transport's.
    pub(crate) fn request(&mut self, method: Method) -> Message {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.numbered(method, self.local_cseq)
    }

    /// The ACK for a 2xx to the INVITE with that number (§13.2.2.4).
    pub(crate) fn ack(&self, cseq: u32) -> Message {
        self.numbered(Method::Ack, cseq)
    }

    /// The URI whose host the next request is sent to.
    pub(crate) fn next_hop(&self) -> &str {
        self.routes.next_hop(&self.remote_target)
    }

    fn numbered(&self, method: Method, cseq: u32) -> Message {
        let (uri, routes) = self.routes.apply(&self.remote_target);
        let cseq = format!("{cseq} {method}");
        let mut message = Message::request(method, &uri);
        let headers = &mut message.headers;
        headers.push(Name::MaxForwards, "70");
        for route in routes {
            headers.push(Name::Route, route);
        }
        headers.push(Name::From, self.local.to_string());
        headers.push(Name::To, self.remote.to_string());
        headers.push(Name::CallId, self.call_id.to_string());
        headers.push(Name::CSeq, cseq);
        message
    }
}

/// A tag or branch suffix on the wire.
pub(crate) fn token(value: u64) -> String {
    format!("{value:016x}")
}

/// The value of a tag or branch suffix of ours.
pub(crate) fn from_token(token: &str) -> Option<u64> {
    let ours = token.len() == 16
        && token
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    ours.then(|| u64::from_str_radix(token, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::flow::Transport;

    fn dialog() -> Dialog {
        let flow = Flow {
            transport: Transport::Udp,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: "10.0.0.2:5060".parse().unwrap(),
            connection: 0,
        };
        Dialog {
            call_id: "abc@x".into(),
            local_tag: 7,
            remote_tag: "r".into(),
            local: "<sip:us@x>;tag=0000000000000007".into(),
            remote: "<sip:them@y>;tag=r".into(),
            local_cseq: 0,
            remote_cseq: None,
            remote_target: "sip:them@10.0.0.2".into(),
            routes: RouteSet::default(),
            flow,
            behind_nat: false,
            peer: Peer::default(),
            ours: false,
        }
    }

    #[test]
    fn sequence_numbers_may_skip_but_not_go_back() {
        let mut dialog = dialog();
        assert_eq!(dialog.sequence(5), Sequence::Next);
        assert_eq!(dialog.sequence(9), Sequence::Next);
        assert_eq!(dialog.sequence(9), Sequence::Old);
        assert_eq!(dialog.sequence(8), Sequence::Old);
    }

    #[test]
    fn requests_count_up_and_the_ack_repeats_the_number_of_its_invite() {
        let mut dialog = dialog();
        assert_eq!(
            dialog.request(Method::Invite).header(Name::CSeq),
            Some("1 INVITE")
        );
        assert_eq!(
            dialog.request(Method::Info).header(Name::CSeq),
            Some("2 INFO")
        );
        assert_eq!(dialog.ack(1).header(Name::CSeq), Some("1 ACK"));
    }

    #[test]
    fn tokens_are_ours_only_in_our_spelling() {
        assert_eq!(from_token(&token(0xabc)), Some(0xabc));
        assert_eq!(from_token("0000000000000ABC"), None);
        assert_eq!(from_token("+00000000000abc1"), None);
        assert_eq!(from_token(""), None);
    }
}
