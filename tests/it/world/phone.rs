//! A telephone written in raw text: it knows nothing of swivel's own parser, so the two cannot share a misreading.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Net;

/// A telephone at one address.
#[derive(Clone)]
pub struct Phone(Rc<Inner>);

struct Inner {
    net: Rc<Net>,
    address: SocketAddr,
    inbox: RefCell<VecDeque<String>>,
    arrived: Notify,
    calls: Cell<u32>,
}

/// One call of a telephone.
pub struct PhoneCall {
    phone: Phone,
    /// Call-ID.
    pub call_id: String,
    number: String,
    from_tag: String,
    to: RefCell<String>,
    contact: RefCell<String>,
    cseq: Cell<u32>,
    invite_cseq: u32,
    branch: String,
    sdp: String,
}

impl Phone {
    pub(super) fn new(net: Rc<Net>, address: SocketAddr) -> Self {
        Self(Rc::new(Inner {
            net,
            address,
            inbox: RefCell::default(),
            arrived: Notify::new(),
            calls: Cell::new(0),
        }))
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(super) fn deliver(&self, text: String) {
        self.0.inbox.borrow_mut().push_back(text);
        self.0.arrived.notify_one();
    }

    /// Sends raw text to swivel.
    pub fn send(&self, text: &str) {
        self.0.net.to_swivel(self.0.address, text.as_bytes());
    }

    /// The next message, or `None` after `limit` of simulated time.
    pub async fn receive(&self, limit: Duration) -> Option<String> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(text) = self.0.inbox.borrow_mut().pop_front() {
                return Some(text);
            }
            tokio::time::timeout_at(deadline, self.0.arrived.notified())
                .await
                .ok()?;
        }
    }

    /// The next message that starts with `start`; others are dropped.
    pub async fn expect(&self, start: &str, limit: Duration) -> String {
        let deadline = tokio::time::Instant::now() + limit;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            match self.receive(left).await {
                Some(text) if text.starts_with(start) => return text,
                Some(text) => seen.push(text.lines().next().unwrap_or_default().to_owned()),
                None => panic!("no `{start}` within {limit:?}; seen: {seen:?}"),
            }
        }
    }

    /// Everything that waits, as first lines.
    pub fn waiting(&self) -> Vec<String> {
        self.0
            .inbox
            .borrow()
            .iter()
            .map(|t| t.lines().next().unwrap_or_default().to_owned())
            .collect()
    }

    /// Prepares a call to `number` with an offer of PCMU, PCMA and telephone-event.
    pub fn call(&self, number: &str) -> PhoneCall {
        let address = self.0.address;
        let sdp = format!(
            "v=0\r\no=phone 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n",
            address.ip()
        );
        self.call_with(number, &sdp)
    }

    /// Prepares a call to `number` with that body; empty is a delayed offer.
    pub fn call_with(&self, number: &str, sdp: &str) -> PhoneCall {
        self.0.calls.set(self.0.calls.get() + 1);
        let n = self.0.calls.get();
        PhoneCall {
            phone: self.clone(),
            call_id: format!("call{n}-{}", self.0.address),
            number: number.to_owned(),
            from_tag: format!("from{n}"),
            to: RefCell::new(format!("<sip:{number}@{}>", self.0.net.swivel())),
            contact: RefCell::default(),
            cseq: Cell::new(1),
            invite_cseq: 1,
            branch: format!("z9hG4bK-{n}-{}", self.0.address.port()),
            sdp: sdp.to_owned(),
        }
    }
}

impl PhoneCall {
    /// Sends the INVITE, with `extra` header lines (each ending in CRLF).
    pub fn invite(&self, extra: &str) {
        let request_uri = format!("sip:{}@{}", self.number, self.phone.0.net.swivel());
        let text = self.request(
            "INVITE",
            &request_uri,
            self.invite_cseq,
            &self.branch,
            extra,
            &self.sdp,
        );
        self.phone.send(&text);
    }

    /// Waits for a final answer that is not 100–199 and returns it.
    pub async fn answered(&self, limit: Duration) -> String {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let text = self.phone.expect("SIP/2.0 ", left).await;
            self.learn(&text);
            if !text.starts_with("SIP/2.0 1") {
                return text;
            }
        }
    }

    /// Waits for a response of that status.
    pub async fn expect(&self, status: u16, limit: Duration) -> String {
        let text = self.phone.expect(&format!("SIP/2.0 {status}"), limit).await;
        self.learn(&text);
        text
    }

    /// Remembers To tag and Contact of a response.
    pub fn learn(&self, response: &str) {
        let to = header(response, "To");
        if to.contains("tag=") {
            *self.to.borrow_mut() = to.to_owned();
        }
        let contact = header(response, "Contact").trim_start_matches('<');
        if let Some((uri, _)) = contact.split_once('>') {
            *self.contact.borrow_mut() = uri.to_owned();
        }
    }

    /// Sends the ACK of a 2xx, with that body.
    pub fn ack(&self, sdp: &str) {
        let uri = self.target();
        let text = self.request(
            "ACK",
            &uri,
            self.invite_cseq,
            &format!("{}-ack", self.branch),
            "",
            sdp,
        );
        self.phone.send(&text);
    }

    /// Sends the ACK of a re-INVITE.
    pub fn send_ack(&self, cseq: u32) {
        let uri = self.target();
        let text = self.request(
            "ACK",
            &uri,
            cseq,
            &format!("{}-ack{cseq}", self.branch),
            "",
            "",
        );
        self.phone.send(&text);
    }

    /// Places the call over a bad link as RFC 3261 wants it (timer A; an ACK for every 200; an answer for every BYE)
    /// and returns when both sides have heard the BYE. Panics when 64 × T1 pass without an answer.
    pub async fn patient(&self, seed: u64) {
        let begun = tokio::time::Instant::now();
        let mut wait = Duration::from_millis(500);
        self.invite("");
        let mut resend = begun + wait;
        let mut heard = false;
        loop {
            let now = tokio::time::Instant::now();
            assert!(
                heard || now - begun < Duration::from_secs(32),
                "seed {seed}: no answer in 32 s"
            );
            let message = self
                .phone
                .receive(resend.saturating_duration_since(now))
                .await;
            match message {
                None if heard => return,
                None => {
                    self.invite("");
                    wait *= 2;
                    resend += wait;
                }
                Some(text) if text.starts_with("SIP/2.0 1") => {
                    resend = begun + Duration::from_secs(32)
                }
                Some(text) if text.starts_with("SIP/2.0 2") => {
                    self.learn(&text);
                    self.ack("");
                    resend = begun + Duration::from_secs(100);
                    heard = true;
                }
                Some(text) if text.starts_with("BYE ") => {
                    self.reply(&text, "200 OK");
                    heard = true;
                    resend = tokio::time::Instant::now() + Duration::from_secs(33);
                }
                Some(text) => panic!("seed {seed}: {text}"),
            }
        }
    }

    /// Sends the ACK of a refusal.
    pub fn ack_refusal(&self) {
        let uri = format!("sip:{}@{}", self.number, self.phone.0.net.swivel());
        let text = self.request("ACK", &uri, self.invite_cseq, &self.branch, "", "");
        self.phone.send(&text);
    }

    /// Cancels the INVITE.
    pub fn cancel(&self) {
        let uri = format!("sip:{}@{}", self.number, self.phone.0.net.swivel());
        let to = format!("<sip:{}@{}>", self.number, self.phone.0.net.swivel());
        let text = self.request_to("CANCEL", &uri, &to, self.invite_cseq, &self.branch, "", "");
        self.phone.send(&text);
    }

    /// Sends a request inside the dialog and returns its CSeq.
    pub fn send(&self, method: &str, extra: &str, body: &str) -> u32 {
        self.cseq.set(self.cseq.get() + 1);
        let cseq = self.cseq.get();
        let uri = self.target();
        let branch = format!("{}-{method}{cseq}", self.branch);
        let text = self.request(method, &uri, cseq, &branch, extra, body);
        self.phone.send(&text);
        cseq
    }

    /// Answers a request of swivel's.
    pub fn reply(&self, request: &str, status: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            text.push_str(&format!("{name}: {}\r\n", header(request, name)));
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        self.phone.send(&text);
    }

    /// Places the call, acknowledges the answer and returns it.
    pub async fn connect(&self) -> String {
        self.invite("");
        let answer = self.answered(Duration::from_secs(10)).await;
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        self.ack("");
        answer
    }

    /// Waits for swivel's BYE and answers it.
    pub async fn wait_for_bye(&self, limit: Duration) -> String {
        let bye = self.phone.expect("BYE ", limit).await;
        self.reply(&bye, "200 OK");
        bye
    }

    /// Hangs up and waits for the 200.
    pub async fn hang_up(&self) {
        self.send("BYE", "", "");
        self.phone
            .expect("SIP/2.0 200", Duration::from_secs(4))
            .await;
    }

    /// What a Replaces header says that names this dialog, seen from swivel as its receiver.
    pub fn as_replaced(&self) -> String {
        let to = self.to.borrow();
        let ours = to.split("tag=").nth(1).unwrap_or_default().to_owned();
        format!("{};to-tag={ours};from-tag={}", self.call_id, self.from_tag)
    }

    fn target(&self) -> String {
        let contact = self.contact.borrow().clone();
        if contact.is_empty() {
            format!("sip:{}@{}", self.number, self.phone.0.net.swivel())
        } else {
            contact
        }
    }

    fn request(
        &self,
        method: &str,
        uri: &str,
        cseq: u32,
        branch: &str,
        extra: &str,
        body: &str,
    ) -> String {
        self.request_to(
            method,
            uri,
            &self.to.borrow().clone(),
            cseq,
            branch,
            extra,
            body,
        )
    }

    fn request_to(
        &self,
        method: &str,
        uri: &str,
        to: &str,
        cseq: u32,
        branch: &str,
        extra: &str,
        body: &str,
    ) -> String {
        let me = self.phone.0.address;
        let kind = if body.is_empty() || extra.contains("Content-Type") {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: \"Phone\" <sip:1001@{}>;tag={}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:1001@{me}>\r\n{extra}{kind}Content-Length: {}\r\n\r\n{body}",
            me.ip(),
            self.from_tag,
            self.call_id,
            body.len()
        )
    }
}

/// The first header of that name.
pub fn header<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .skip(1)
        .find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
        .unwrap_or_default()
}
