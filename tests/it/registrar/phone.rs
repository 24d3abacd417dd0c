//! A phone that registers, in raw text.

use std::cell::Cell;
use std::time::Duration;

use md5::{Digest as _, Md5};

use crate::world::World;
use crate::world::phone::{Phone, header};

/// A phone with a user name and a password.
pub(crate) struct Desk {
    /// Where it is, as swivel sees it.
    pub(crate) phone: Phone,
    /// Its digest password.
    pub(crate) password: String,
    name: String,
    /// What it takes for its own address.
    own: String,
    call_id: String,
    cseq: Cell<u32>,
    branch: Cell<u32>,
}

const PATIENCE: Duration = Duration::from_secs(5);

impl Desk {
    /// A phone at that address.
    pub(crate) fn new(world: &World, address: &str, name: &str) -> Self {
        Self::behind_nat(world, address, address, name)
    }

    /// A phone that is seen at `address` and believes to be at `own`.
    pub(crate) fn behind_nat(world: &World, address: &str, own: &str, name: &str) -> Self {
        Self {
            phone: world.phone_at(address),
            password: format!("{name}-password"),
            name: name.to_owned(),
            own: own.to_owned(),
            call_id: format!("register-{name}-{address}"),
            cseq: Cell::new(0),
            branch: Cell::new(0),
        }
    }

    /// A REGISTER to `uri` with these headers (each ends in CRLF) beside the usual, without the last line.
    fn head(&self, uri: &str, aor: &str, more: &str) -> String {
        self.cseq.set(self.cseq.get() + 1);
        self.branch.set(self.branch.get() + 1);
        format!(
            "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK-{name}-{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <{aor}>;tag={name}1\r\nTo: <{aor}>\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} REGISTER\r\nUser-Agent: desk/1.0\r\n{more}Content-Length: 0\r\n\r\n",
            own = self.own,
            name = self.name,
            branch = self.branch.get(),
            call_id = self.call_id,
            cseq = self.cseq.get(),
        )
    }

    fn contact(&self, expires: u32) -> String {
        format!(
            "Contact: <sip:{}@{}>;expires={expires}\r\n",
            self.name, self.own
        )
    }

    /// Its address of record.
    pub(crate) fn aor(&self) -> String {
        format!("sip:{}@world.test", self.name)
    }

    /// A REGISTER of its own address.
    pub(crate) fn request(&self, uri: &str, more: &str, expires: u32) -> String {
        let more = format!("{}{more}", self.contact(expires));
        self.head(uri, &self.aor(), &more)
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn ask(&self, text: &str) -> String {
        self.phone.send(text);
        self.phone.expect("SIP/2.0 ", PATIENCE).await
    }

    /// Registers; the last answer.
    pub(crate) async fn register(&self, expires: u32) -> String {
        self.go("sip:world.test", &self.aor(), &self.contact(expires))
            .await
    }

    /// Registers at a domain.
    pub(crate) async fn register_at(&self, uri: &str) -> String {
        let host = uri.trim_start_matches("sip:");
        let aor = format!("sip:{}@{host}", self.name);
        self.go(uri, &aor, &self.contact(600)).await
    }

    /// Registers its address for somebody.
    pub(crate) async fn register_as(&self, aor: &str, expires: u32) -> String {
        self.go("sip:world.test", aor, &self.contact(expires)).await
    }

    /// Registers with these headers.
    pub(crate) async fn register_with(&self, aor: &str, more: &str) -> String {
        self.go("sip:world.test", aor, more).await
    }

    async fn go(&self, uri: &str, aor: &str, more: &str) -> String {
        let first = self.ask(&self.head(uri, aor, more)).await;
        if !first.starts_with("SIP/2.0 401") {
            return first;
        }
        let more = format!("{}{more}", self.answer(&first, "REGISTER", uri));
        self.ask(&self.head(uri, aor, &more)).await
    }

    /// The Authorization header that answers a challenge, by MD5.
    pub(crate) fn answer(&self, challenge: &str, method: &str, uri: &str) -> String {
        let line = challenge
            .lines()
            .filter(|line| line.starts_with("WWW-Authenticate:"))
            .find(|line| line.contains("MD5"))
            .expect("a challenge for MD5");
        let part = |name: &str| {
            let rest = line.split(&format!("{name}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let (realm, nonce) = (part("realm"), part("nonce"));
        let md5 = |text: String| hex::encode(Md5::digest(text));
        let secret = md5(format!("{}:{realm}:{}", self.name, self.password));
        let request = md5(format!("{method}:{uri}"));
        let response = md5(format!("{secret}:{nonce}:00000001:cn:auth:{request}"));
        format!(
            "Authorization: Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm=MD5, qop=auth, cnonce=\"cn\", nc=00000001\r\n",
            self.name
        )
    }

    /// A SUBSCRIBE with these headers beside the usual; in a dialog when `to` has a tag.
    fn subscribe_text(&self, uri: &str, to: &str, more: &str) -> String {
        self.cseq.set(self.cseq.get() + 1);
        self.branch.set(self.branch.get() + 1);
        format!(
            "SUBSCRIBE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK-s-{name}-{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <{aor}>;tag=s{name}\r\nTo: {to}\r\nCall-ID: sub-{call_id}\r\n\
             CSeq: {cseq} SUBSCRIBE\r\nContact: <sip:{name}@{own}>\r\n{more}Content-Length: 0\r\n\r\n",
            aor = self.aor(),
            own = self.own,
            name = self.name,
            branch = self.branch.get(),
            call_id = self.call_id,
            cseq = self.cseq.get(),
        )
    }

    /// Subscribes with these headers (`to` is the value of To); the last answer.
    pub(crate) async fn subscribe(&self, to: &str, more: &str) -> String {
        self.subscribe_to(&self.aor(), to, more).await
    }

    /// Subscribes to what is at that address.
    pub(crate) async fn subscribe_at(&self, uri: &str, more: &str) -> String {
        self.subscribe_to(uri, &format!("<{uri}>"), more).await
    }

    async fn subscribe_to(&self, uri: &str, to: &str, more: &str) -> String {
        let first = self.ask(&self.subscribe_text(uri, to, more)).await;
        if !first.starts_with("SIP/2.0 401") {
            return first;
        }
        let more = format!("{}{more}", self.answer(&first, "SUBSCRIBE", uri));
        self.ask(&self.subscribe_text(uri, to, &more)).await
    }

    /// Calls that number and says that it is `name`; the Call-ID. A call that is answered is hung up on by its caller.
    pub(crate) async fn calls_as(&self, name: &str, number: &str, status: &str) -> String {
        let (uri, call_id) = (format!("sip:{number}@world.test"), format!("call-{name}"));
        let text = |method: &str, cseq: u32, to: &str, more: &str, body: &str| {
            self.branch.set(self.branch.get() + 1);
            format!(
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK-c-{name}-{branch}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:{name}@world.test>;tag=c{name}\r\nTo: {to}\r\n\
                 Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{name}@{own}>\r\n{more}\
                 Content-Length: {}\r\n\r\n{body}",
                body.len(),
                own = self.own,
                branch = self.branch.get(),
            )
        };
        let (to, typed) = (format!("<{uri}>"), "Content-Type: application/sdp\r\n");
        let sdp = "v=0\r\no=- 1 1 IN IP4 10.0.2.1\r\ns=-\r\nc=IN IP4 10.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        let refusal = self.ask(&text("INVITE", 1, &to, typed, sdp)).await;
        let more = format!("{typed}{}", self.answer(&refusal, "INVITE", &uri));
        self.phone.send(&text("INVITE", 2, &to, &more, sdp));
        let answer = loop {
            let answer = self.phone.expect("SIP/2.0 ", PATIENCE).await;
            if !answer.starts_with("SIP/2.0 1") {
                break answer;
            }
        };
        assert!(
            answer.starts_with(&format!("SIP/2.0 {status}")),
            "{name}: {answer}"
        );
        let to = header(&answer, "To").to_owned();
        self.phone.send(&text("ACK", 2, &to, "", ""));
        if status == "200" {
            self.phone.send(&text("BYE", 3, &to, "", ""));
            self.phone.expect("SIP/2.0 200", PATIENCE).await;
        }
        call_id
    }

    /// Answers a request of swivel's.
    pub(crate) fn reply(&self, request: &str, status: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            text.push_str(&format!("{name}: {}\r\n", header(request, name)));
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        self.phone.send(&text);
    }

    /// Registers over a bad link with Timer E and F of RFC 3261; whether it succeeded within some attempts.
    pub(crate) async fn register_patiently(&self, expires: u32) -> bool {
        let mut authorization = String::new();
        for _ in 0..10 {
            let more = format!("{authorization}{}", self.contact(expires));
            let text = self.head("sip:world.test", &self.aor(), &more);
            let Some(answer) = self.transact(&text).await else {
                continue;
            };
            if answer.starts_with("SIP/2.0 200") {
                return true;
            }
            if answer.starts_with("SIP/2.0 401") {
                authorization = self.answer(&answer, "REGISTER", "sip:world.test");
            }
        }
        false
    }

    async fn transact(&self, text: &str) -> Option<String> {
        let cseq = header(text, "CSeq").to_owned();
        let mut wait = Duration::from_millis(500);
        let give_up = tokio::time::Instant::now() + Duration::from_secs(32);
        while tokio::time::Instant::now() < give_up {
            self.phone.send(text);
            let resend = tokio::time::Instant::now() + wait;
            wait = (wait * 2).min(Duration::from_secs(4));
            loop {
                let left = resend.saturating_duration_since(tokio::time::Instant::now());
                match self.phone.receive(left).await {
                    Some(answer)
                        if header(&answer, "CSeq") == cseq && !answer.starts_with("SIP/2.0 1") =>
                    {
                        return Some(answer);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
        }
        None
    }
}
