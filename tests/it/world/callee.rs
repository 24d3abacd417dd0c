//! A telephone that is called: it takes an INVITE of swivel's and plays the callee of that call in raw text.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::phone::{Phone, header};

/// A call somebody placed to a telephone.
pub struct Incoming {
    phone: Phone,
    /// The INVITE.
    pub invite: String,
    tag: String,
    cseq: Cell<u32>,
    target: RefCell<String>,
    port: u16,
}

impl Phone {
    /// Answers a request inside a dialog, with a description when there is one.
    pub fn answer(&self, request: &str, status: &str, sdp: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            text.push_str(&format!("{name}: {}\r\n", header(request, name)));
        }
        text.push_str(&format!("Contact: <sip:phone@{}>\r\n", self.address()));
        if !sdp.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len()));
        self.send(&text);
    }

    /// Waits for an INVITE.
    pub async fn called(&self, limit: Duration) -> Incoming {
        self.called_on(5000, limit).await
    }

    /// Waits for an INVITE, and will describe its media at that port.
    pub async fn called_on(&self, port: u16, limit: Duration) -> Incoming {
        let invite = self.expect("INVITE ", limit).await;
        Incoming {
            port,
            tag: format!("callee{port}"),
            ..Incoming::of(self, invite)
        }
    }
}

impl Incoming {
    /// The call that this INVITE begins.
    pub fn of(phone: &Phone, invite: String) -> Self {
        let contact = header(&invite, "Contact").trim_start_matches('<');
        let target = contact.split('>').next().unwrap().to_owned();
        Self {
            phone: phone.clone(),
            tag: "callee5000".to_owned(),
            invite,
            cseq: Cell::new(0),
            target: RefCell::new(target),
            port: 5000,
        }
    }

    /// What this telephone says about its media.
    pub fn sdp(&self, direction: &str) -> String {
        format!(
            "v=0\r\no=callee 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n",
            self.phone.address().ip(),
            self.port
        )
    }

    /// Answers the INVITE by that status line, with a body when there is one.
    pub fn reply(&self, status: &str, body: &str) {
        self.reply_as(&self.tag, status, body);
    }

    /// The same with another To tag, as a forking proxy lets come through.
    pub fn reply_as(&self, tag: &str, status: &str, body: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            text.push_str(&format!("{name}: {}\r\n", header(&self.invite, name)));
        }
        let tag = if status.starts_with("100") {
            String::new()
        } else {
            format!(";tag={tag}")
        };
        text.push_str(&format!("To: {}{tag}\r\n", header(&self.invite, "To")));
        if !status.contains("Contact:") {
            text.push_str(&format!(
                "Contact: <sip:callee@{}>\r\n",
                self.phone.address()
            ));
        }
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.phone.send(&text);
    }

    /// Rings.
    pub fn ring(&self) {
        self.reply("180 Ringing", "");
    }

    /// Answers the call and waits for the ACK.
    pub async fn answer(&self) {
        self.reply("200 OK", &self.sdp("sendrecv"));
        self.phone.expect("ACK ", Duration::from_secs(2)).await;
    }

    /// Refuses the call and waits for the ACK.
    pub async fn refuse(&self, status: &str) {
        self.reply(status, "");
        self.phone.expect("ACK ", Duration::from_secs(2)).await;
    }

    /// Waits for the CANCEL, answers it and the INVITE, and returns it.
    pub async fn cancelled(&self, limit: Duration) -> String {
        let cancel = self.phone.expect("CANCEL ", limit).await;
        self.answer_request(&cancel, "200 OK");
        self.refuse("487 Request Terminated").await;
        cancel
    }

    /// Answers a request of swivel's.
    pub fn answer_request(&self, request: &str, status: &str) {
        self.answer_with(request, status, "");
    }

    /// The same with a description.
    pub fn answer_with(&self, request: &str, status: &str, sdp: &str) {
        self.phone.answer(request, status, sdp);
    }

    /// Waits for swivel's BYE and answers it.
    pub async fn wait_for_bye(&self, limit: Duration) -> String {
        let bye = self.phone.expect("BYE ", limit).await;
        self.answer_request(&bye, "200 OK");
        bye
    }

    /// Sends a request inside the dialog and returns its CSeq.
    pub fn send(&self, method: &str, extra: &str, body: &str) -> u32 {
        self.cseq.set(self.cseq.get() + 1);
        let cseq = self.cseq.get();
        self.send_numbered(method, cseq, extra, body);
        cseq
    }

    /// Sends a request with that number: the ACK of a re-INVITE.
    pub fn send_numbered(&self, method: &str, cseq: u32, extra: &str, body: &str) {
        let me = self.phone.address();
        let kind = if body.is_empty() || extra.contains("Content-Type") {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bK-{method}{cseq}-{}\r\n\
             Max-Forwards: 70\r\nFrom: {};tag={}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:callee@{me}>\r\n{extra}{kind}Content-Length: {}\r\n\r\n{body}",
            self.target.borrow(),
            self.tag,
            header(&self.invite, "To"),
            self.tag,
            header(&self.invite, "From"),
            header(&self.invite, "Call-ID"),
            body.len()
        );
        self.phone.send(&text);
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
        let from = header(&self.invite, "From");
        let ours = from.split("tag=").nth(1).unwrap();
        format!(
            "{};to-tag={ours};from-tag={}",
            header(&self.invite, "Call-ID"),
            self.tag
        )
    }

    /// Answers over a bad link as RFC 3261 wants it (the 200 again until its ACK, an answer for every request) until
    /// nothing has come for 33 s after the BYE.
    pub async fn patient(&self, seed: u64) {
        let mut wait = Duration::from_millis(500);
        let mut resend = tokio::time::Instant::now() + wait;
        let (mut acknowledged, mut over) = (false, false);
        self.reply("200 OK", &self.sdp("sendrecv"));
        loop {
            let left = resend.saturating_duration_since(tokio::time::Instant::now());
            match self.phone.receive(left).await {
                None if over => return,
                None if acknowledged => panic!("seed {seed}: no BYE"),
                None => {
                    self.reply("200 OK", &self.sdp("sendrecv"));
                    wait = (wait * 2).min(Duration::from_secs(4));
                    resend += wait;
                }
                Some(text) if text.starts_with("INVITE ") && !acknowledged => {
                    self.reply("200 OK", &self.sdp("sendrecv"));
                }
                Some(text) if text.starts_with("INVITE ") => {}
                Some(text) if text.starts_with("ACK ") => {
                    acknowledged = true;
                    resend = tokio::time::Instant::now() + Duration::from_secs(100);
                }
                Some(text) if text.starts_with("BYE ") => {
                    self.answer_request(&text, "200 OK");
                    over = true;
                    resend = tokio::time::Instant::now() + Duration::from_secs(33);
                }
                Some(text) => panic!("seed {seed}: {text}"),
            }
        }
    }
}
