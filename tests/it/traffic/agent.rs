//! A telephone with a will of its own: registers, calls, answers, refuses, holds, transfers, falls silent, forgets
//! everything. It follows the RFCs as far as a phone must for a call to end, in raw text.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use md5::{Digest as _, Md5};
use swivel::base::rng::Rng;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::world::phone::{Phone, header};

/// What all agents share.
#[derive(Default)]
pub struct Shared {
    /// Whether everybody is to end what is going on and begin nothing.
    pub calm: Cell<bool>,
    /// Call-IDs of legs both sides know to be answered.
    pub confirmed: RefCell<BTreeSet<String>>,
    /// Replaces values of calls that are up, for those who want to take one over.
    pub replaceable: RefCell<Vec<String>>,
    /// How often each thing was done.
    pub done: RefCell<std::collections::BTreeMap<&'static str, u32>>,
}

impl Shared {
    fn did(&self, what: &'static str) {
        *self.done.borrow_mut().entry(what).or_default() += 1;
    }
}

/// What an agent may call.
const NUMBERS: [&str; 16] = [
    "100",
    "101",
    "102",
    "100",
    "101",
    "200",
    "201",
    "300",
    "301",
    "302",
    "303",
    "400",
    "401",
    "4155550199",
    "00972598123456",
    "999",
];
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Cancelling,
    Ringing,
    Up,
    Over,
}

struct Dialog {
    call_id: String,
    /// Our From or To value, with our tag.
    own: String,
    /// Theirs, with their tag once there is one.
    peer: String,
    target: String,
    cseq: u32,
    /// The INVITE: ours as sent, or theirs.
    invite: String,
    outgoing: bool,
    state: State,
    port: u16,
    version: u32,
    /// A final response of ours that waits for its ACK.
    unacked: Option<Repeated>,
    /// The last response to their INVITE.
    last: String,
    /// When a ringing call is answered, and how.
    answer: Option<(Instant, u8)>,
    authorized: bool,
    /// The ACKs sent, by CSeq.
    acks: Vec<(u32, String)>,
    over_at: Instant,
}

/// A message that is sent again until something happens.
struct Repeated {
    text: String,
    next: Instant,
    wait: Duration,
    until: Instant,
}

impl Repeated {
    fn new(text: String) -> Self {
        let now = Instant::now();
        Self {
            text,
            next: now + FIRST,
            wait: FIRST,
            until: now + GIVE_UP,
        }
    }
}

/// A request of ours without its final response.
struct Pending {
    branch: String,
    method: String,
    call_id: String,
    cseq: u32,
    sent: Repeated,
    authorized: bool,
}

/// One telephone.
pub struct Agent {
    phone: Phone,
    shared: Rc<Shared>,
    rng: Rng,
    /// Its user name; a carrier has none and does not register.
    name: Option<&'static str>,
    dialogs: Vec<Dialog>,
    pending: Vec<Pending>,
    serial: u32,
    act_at: Instant,
    register_at: Instant,
    deaf_until: Instant,
}

impl Agent {
    /// A telephone that begins to act by itself.
    pub fn start(
        phone: Phone,
        name: Option<&'static str>,
        shared: &Rc<Shared>,
        rng: Rng,
    ) -> JoinHandle<()> {
        let now = Instant::now();
        let agent = Self {
            phone,
            shared: shared.clone(),
            rng,
            name,
            dialogs: Vec::new(),
            pending: Vec::new(),
            serial: 0,
            act_at: now + Duration::from_secs(3),
            register_at: now,
            deaf_until: now,
        };
        tokio::task::spawn_local(agent.run())
    }

    async fn run(mut self) {
        loop {
            let left = self.next().saturating_duration_since(Instant::now());
            match self.phone.receive(left).await {
                Some(text) if Instant::now() >= self.deaf_until => self.take(&text),
                Some(_) => {}
                None => self.tick(),
            }
        }
    }

    /// When something is due.
    fn next(&self) -> Instant {
        let mut next = self.act_at;
        if self.name.is_some() {
            next = next.min(self.register_at);
        }
        for pending in &self.pending {
            next = next.min(pending.sent.next).min(pending.sent.until);
        }
        for dialog in &self.dialogs {
            if let Some(unacked) = &dialog.unacked {
                next = next.min(unacked.next).min(unacked.until);
            }
            if let Some((at, _)) = dialog.answer {
                next = next.min(at);
            }
        }
        next
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let deaf = now < self.deaf_until;
        let mut lost = Vec::new();
        for pending in &mut self.pending {
            if now >= pending.sent.until {
                lost.push((pending.method.clone(), pending.call_id.clone()));
            } else if now >= pending.sent.next {
                if !deaf {
                    self.phone.send(&pending.sent.text);
                }
                pending.sent.wait = (pending.sent.wait * 2).min(if pending.method == "INVITE" {
                    GIVE_UP
                } else {
                    LONGEST
                });
                pending.sent.next = now + pending.sent.wait;
            }
        }
        self.pending.retain(|p| now < p.sent.until);
        for (method, call_id) in lost {
            if method != "REGISTER" {
                self.end(&call_id);
            }
        }
        for dialog in &mut self.dialogs {
            if let Some(unacked) = &mut dialog.unacked {
                if now >= unacked.until {
                    dialog.unacked = None;
                    dialog.state = State::Over;
                    dialog.over_at = now;
                } else if now >= unacked.next {
                    if !deaf {
                        self.phone.send(&unacked.text);
                    }
                    unacked.wait = (unacked.wait * 2).min(LONGEST);
                    unacked.next = now + unacked.wait;
                }
            }
        }
        for n in 0..self.dialogs.len() {
            if let Some((at, how)) = self.dialogs[n].answer
                && now >= at
            {
                self.dialogs[n].answer = None;
                self.settle(n, how);
            }
        }
        self.dialogs
            .retain(|d| d.state != State::Over || now < d.over_at + 40 * Duration::from_secs(1));
        if self.name.is_some() && now >= self.register_at {
            self.register(None);
        }
        if now >= self.act_at {
            let wait = 200 + self.below(5_000);
            self.act_at = now + Duration::from_millis(wait);
            if self.shared.calm.get() {
                self.calm_down();
            } else if !deaf {
                self.act();
            }
        }
    }

    fn end(&mut self, call_id: &str) {
        for dialog in self.dialogs.iter_mut().filter(|d| d.call_id == call_id) {
            dialog.state = State::Over;
            dialog.over_at = Instant::now();
            dialog.unacked = None;
            dialog.answer = None;
        }
    }

    /// Ends what is going on.
    fn calm_down(&mut self) {
        self.act_at = Instant::now() + Duration::from_millis(700);
        for n in 0..self.dialogs.len() {
            match self.dialogs[n].state {
                State::Up if self.dialogs[n].unacked.is_none() => self.bye(n),
                State::Proceeding => self.cancel(n),
                State::Ringing => {
                    self.dialogs[n].answer = None;
                    self.refuse(n, "486 Busy Here");
                }
                State::Up | State::Calling | State::Cancelling | State::Over => {}
            }
        }
    }

    fn act(&mut self) {
        let up: Vec<usize> = (0..self.dialogs.len())
            .filter(|n| self.dialogs[*n].state == State::Up && self.dialogs[*n].unacked.is_none())
            .collect();
        let live = self
            .dialogs
            .iter()
            .filter(|d| d.state != State::Over)
            .count();
        let dice = self.below(100);
        let pick = |agent: &mut Self| -> Option<usize> {
            let count = u64::try_from(up.len()).unwrap();
            (count > 0).then(|| up[usize::try_from(agent.below(count)).unwrap()])
        };
        match dice {
            0..=29 if live < 3 => self.call(""),
            30..=41 => {
                if let Some(n) = pick(self) {
                    self.bye(n);
                }
            }
            42..=53 => {
                let direction = ["sendonly", "inactive", "sendrecv", "recvonly", ""]
                    [usize::try_from(dice % 5).unwrap()];
                if let Some(n) = pick(self) {
                    self.reinvite(n, direction);
                }
            }
            54..=63 => {
                if let Some(n) = pick(self) {
                    let number = NUMBERS[usize::try_from(self.below(16)).unwrap()];
                    let more = if self.below(4) == 0 {
                        "Refer-Sub: false\r\n"
                    } else {
                        ""
                    };
                    self.shared.did("blind transfer");
                    self.request(
                        n,
                        "REFER",
                        &format!("Refer-To: <sip:{number}@world.test>\r\n{more}"),
                        "",
                    );
                }
            }
            64..=69 if up.len() > 1 => {
                let other = &self.dialogs[up[1]];
                let replaces = replaces(other)
                    .replace(';', "%3B")
                    .replace('=', "%3D")
                    .replace('@', "%40");
                let refer = format!("Refer-To: <sip:100@world.test?Replaces={replaces}>\r\n");
                self.shared.did("attended transfer");
                self.request(up[0], "REFER", &refer, "");
            }
            70..=73 => {
                let taken = self.shared.replaceable.borrow_mut().pop();
                if let Some(replaces) = taken {
                    self.shared.did("replaces");
                    self.call(&format!("Require: replaces\r\nReplaces: {replaces}\r\n"));
                }
            }
            74..=79 => {
                if let Some(n) = pick(self) {
                    let body = "Signal=5\r\nDuration=160\r\n";
                    self.shared.did("digit");
                    self.request(n, "INFO", "Content-Type: application/dtmf-relay\r\n", body);
                }
            }
            80..=82 => {
                if let Some(n) = pick(self) {
                    self.shared.did("update");
                    self.request(
                        n,
                        "UPDATE",
                        "Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n",
                        "",
                    );
                }
            }
            83..=90 => {
                let calling =
                    (0..self.dialogs.len()).find(|n| self.dialogs[*n].state == State::Proceeding);
                if let Some(n) = calling {
                    self.cancel(n);
                }
            }
            91 => {
                // The battery.
                self.shared.did("forgot everything");
                self.dialogs.clear();
                self.pending.clear();
                self.register_at = Instant::now() + Duration::from_secs(5);
            }
            92 => {
                self.shared.did("fell silent");
                let wait = 5_000 + self.below(60_000);
                self.deaf_until = Instant::now() + Duration::from_millis(wait);
            }
            93 if self.name.is_some() => self.register(Some(0)),
            94 => {
                let offered = self.dialogs.iter().find(|d| d.state == State::Up);
                if let Some(dialog) = offered {
                    let value = replaces(dialog);
                    self.shared.replaceable.borrow_mut().push(value);
                }
            }
            _ => {}
        }
    }

    // -- what it sends ----------------------------------------------------------------------------------------------

    fn fresh(&mut self, what: &str) -> String {
        self.serial += 1;
        format!(
            "{what}{}-{}",
            self.serial,
            self.phone.address().to_string().replace([':', '.'], "-")
        )
    }

    fn sdp(&self, port: u16, version: u32, direction: &str) -> String {
        let ip = self.phone.address().ip();
        let direction = if direction.is_empty() {
            "sendrecv"
        } else {
            direction
        };
        format!(
            "v=0\r\no=a 7 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )
    }

    fn call(&mut self, extra: &str) {
        let number = NUMBERS[usize::try_from(self.below(16)).unwrap()];
        // A carrier calls a number of ours.
        let number = if self.name.is_some() {
            number
        } else {
            "+14155550100"
        };
        let call_id = self.fresh("call");
        let tag = self.fresh("t");
        let port = 4000 + 2 * u16::try_from(self.serial % 2000).unwrap();
        let delayed = self.below(8) == 0;
        let hundred = if self.below(6) == 0 {
            "Require: 100rel\r\n"
        } else {
            ""
        };
        let user = self.name.unwrap_or("carrier");
        let own = format!("\"{user}\" <sip:{user}@world.test>;tag={tag}");
        let peer = format!("<sip:{number}@world.test>");
        let uri = format!("sip:{number}@world.test");
        let sdp = if delayed {
            String::new()
        } else {
            self.sdp(port, 1, "")
        };
        self.shared.did(if delayed {
            "called without an offer"
        } else {
            "called"
        });
        let extra = format!("{hundred}{extra}Supported: timer, replaces\r\n");
        let now = Instant::now();
        self.dialogs.push(Dialog {
            call_id: call_id.clone(),
            own,
            peer,
            target: uri.clone(),
            cseq: 1,
            invite: extra,
            outgoing: true,
            state: State::Calling,
            port,
            version: 1,
            unacked: None,
            last: String::new(),
            answer: None,
            authorized: false,
            acks: Vec::new(),
            over_at: now,
        });
        let n = self.dialogs.len() - 1;
        let extra = self.dialogs[n].invite.clone();
        let text = self.text(n, "INVITE", 1, &extra, &sdp);
        self.dialogs[n].invite = text.clone();
        self.dialogs[n].last = extra;
        self.launch("INVITE", &call_id, 1, text, false);
    }

    fn text(&mut self, n: usize, method: &str, cseq: u32, extra: &str, body: &str) -> String {
        let branch = self.fresh("z9hG4bK");
        let me = self.phone.address();
        let dialog = &self.dialogs[n];
        let kind = if body.is_empty() || extra.contains("Content-Type") {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch={branch}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: <sip:a@{me}>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO, PRACK\r\n\
             {extra}{kind}Content-Length: {}\r\n\r\n{body}",
            dialog.target,
            dialog.own,
            dialog.peer,
            dialog.call_id,
            body.len()
        )
    }

    fn launch(&mut self, method: &str, call_id: &str, cseq: u32, text: String, authorized: bool) {
        self.phone.send(&text);
        self.pending.push(Pending {
            branch: branch(&text).to_owned(),
            method: method.to_owned(),
            call_id: call_id.to_owned(),
            cseq,
            sent: Repeated::new(text),
            authorized,
        });
    }

    /// Sends a request inside a dialog.
    fn request(&mut self, n: usize, method: &str, extra: &str, body: &str) {
        self.dialogs[n].cseq += 1;
        let (cseq, call_id) = (self.dialogs[n].cseq, self.dialogs[n].call_id.clone());
        let text = self.text(n, method, cseq, extra, body);
        self.launch(method, &call_id, cseq, text, false);
    }

    fn bye(&mut self, n: usize) {
        self.shared.did("hung up");
        self.dialogs[n].state = State::Over;
        self.dialogs[n].over_at = Instant::now();
        self.request(n, "BYE", "Reason: Q.850;cause=16\r\n", "");
    }

    fn cancel(&mut self, n: usize) {
        let dialog = &mut self.dialogs[n];
        dialog.state = State::Cancelling;
        let call_id = dialog.call_id.clone();
        let invite = dialog.invite.clone();
        let mut text = format!("CANCEL {} SIP/2.0\r\n", invite.split(' ').nth(1).unwrap());
        for name in ["Via", "From", "To", "Call-ID"] {
            text.push_str(&format!("{name}: {}\r\n", header(&invite, name)));
        }
        let cseq: u32 = header(&invite, "CSeq")
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        text.push_str(&format!(
            "CSeq: {cseq} CANCEL\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        ));
        self.shared.did("cancelled");
        self.launch("CANCEL", &call_id, cseq, text, false);
    }

    fn reinvite(&mut self, n: usize, direction: &str) {
        if self
            .pending
            .iter()
            .any(|p| p.method == "INVITE" && p.call_id == self.dialogs[n].call_id)
        {
            return;
        }
        self.dialogs[n].version += 1;
        let (port, version) = (self.dialogs[n].port, self.dialogs[n].version);
        let sdp = if direction.is_empty() {
            String::new()
        } else {
            self.sdp(port, version, direction)
        };
        self.shared.did(if direction.is_empty() {
            "re-INVITE without an offer"
        } else {
            "hold"
        });
        self.request(n, "INVITE", "", &sdp);
    }

    fn register(&mut self, expires: Option<u32>) {
        self.register_at = Instant::now() + Duration::from_secs(50 + self.rng.below(60));
        if self.shared.calm.get() || self.pending.iter().any(|p| p.method == "REGISTER") {
            return;
        }
        let expires = expires.unwrap_or(60 + u32::try_from(self.rng.below(200)).unwrap());
        let text = self.register_text(expires, "");
        self.shared.did("registered");
        self.launch("REGISTER", "register", self.serial, text, false);
    }

    fn register_text(&mut self, expires: u32, extra: &str) -> String {
        let branch = self.fresh("z9hG4bKr");
        let (me, name) = (self.phone.address(), self.name.unwrap());
        format!(
            "REGISTER sip:world.test SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:{name}@world.test>;tag=r{name}\r\nTo: <sip:{name}@world.test>\r\nCall-ID: register-{me}\r\nCSeq: {} REGISTER\r\n\
             Contact: <sip:{name}@{me}>;expires={expires}\r\n{extra}Content-Length: 0\r\n\r\n",
            self.serial
        )
    }

    // -- what comes -------------------------------------------------------------------------------------------------

    fn take(&mut self, text: &str) {
        if text.starts_with("SIP/2.0 ") {
            self.response(text);
        } else {
            self.requested(text);
        }
    }

    fn response(&mut self, text: &str) {
        let status: u16 = text[8..11].parse().unwrap();
        let method = header(text, "CSeq")
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let found = self
            .pending
            .iter()
            .position(|p| p.branch == branch(text) && p.method == method);
        let Some(at) = found else {
            // A 2xx again: its ACK was lost.
            if method == "INVITE" && (200..300).contains(&status) {
                let cseq: u32 = header(text, "CSeq")
                    .split(' ')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap();
                let dialog = self
                    .dialogs
                    .iter()
                    .find(|d| d.call_id == header(text, "Call-ID"));
                if let Some((_, ack)) = dialog.and_then(|d| d.acks.iter().find(|(n, _)| *n == cseq))
                {
                    self.phone.send(ack);
                }
            }
            return;
        };
        if status < 200 {
            self.progress(at, text, &method);
            return;
        }
        let pending = self.pending.remove(at);
        let n = self
            .dialogs
            .iter()
            .position(|d| d.call_id == pending.call_id);
        match (method.as_str(), n) {
            ("REGISTER", _) if status == 401 && !pending.authorized => {
                let answer = self.credentials(text, "REGISTER", "sip:world.test");
                let expires = pending.sent.text.split("expires=").nth(1).unwrap();
                let expires = expires.split("\r\n").next().unwrap().parse().unwrap();
                let text = self.register_text(expires, &answer);
                self.launch("REGISTER", "register", self.serial, text, true);
            }
            ("INVITE", Some(n)) => self.invited(n, &pending, status, text),
            (_, Some(_)) if matches!(status, 408 | 481) => self.end(&pending.call_id),
            _ => {}
        }
    }

    fn progress(&mut self, at: usize, text: &str, method: &str) {
        let call_id = self.pending[at].call_id.clone();
        if method != "INVITE" {
            return;
        }
        // Its INVITE waits for as long as it rings.
        self.pending[at].sent.next = Instant::now() + 600 * Duration::from_secs(1);
        self.pending[at].sent.until = Instant::now() + 200 * Duration::from_secs(1);
        let Some(n) = self.dialogs.iter().position(|d| d.call_id == call_id) else {
            return;
        };
        if self.dialogs[n].state == State::Calling {
            self.dialogs[n].state = State::Proceeding;
        }
        let rseq = header(text, "RSeq").to_owned();
        if !rseq.is_empty() {
            self.learn(n, text);
            let rack = format!("RAck: {rseq} {}\r\n", header(text, "CSeq"));
            // A delayed offer is answered here.
            let body = if header(&self.dialogs[n].invite, "Content-Type").is_empty()
                && text.contains("m=audio")
            {
                self.sdp(self.dialogs[n].port, 1, "")
            } else {
                String::new()
            };
            self.request(n, "PRACK", &rack, &body);
        }
    }

    fn learn(&mut self, n: usize, text: &str) {
        let dialog = &mut self.dialogs[n];
        if header(text, "To").contains("tag=") {
            header(text, "To").clone_into(&mut dialog.peer);
        }
        let contact = header(text, "Contact").trim_start_matches('<');
        if let Some((uri, _)) = contact.split_once('>') {
            uri.clone_into(&mut dialog.target);
        }
    }

    /// The final response to an INVITE or re-INVITE of ours.
    fn invited(&mut self, n: usize, pending: &Pending, status: u16, text: &str) {
        let first = !header(&pending.sent.text, "To").contains("tag=");
        if (200..300).contains(&status) {
            if first {
                self.learn(n, text);
            }
            let answers =
                header(&pending.sent.text, "Content-Type").is_empty() && text.contains("m=audio");
            let body = if answers {
                self.sdp(self.dialogs[n].port, self.dialogs[n].version, "")
            } else {
                String::new()
            };
            let ack = self.text(n, "ACK", pending.cseq, "", &body);
            self.phone.send(&ack);
            self.dialogs[n].acks.push((pending.cseq, ack));
            if !first {
                return;
            }
            self.shared.did("was answered");
            self.shared
                .confirmed
                .borrow_mut()
                .insert(pending.call_id.clone());
            match self.dialogs[n].state {
                State::Calling | State::Proceeding => self.dialogs[n].state = State::Up,
                State::Cancelling => self.bye(n),
                State::Ringing | State::Up | State::Over => {}
            }
            return;
        }
        // The ACK of a refusal has the branch of its INVITE.
        let invite = &pending.sent.text;
        let mut ack = format!("ACK {} SIP/2.0\r\n", invite.split(' ').nth(1).unwrap());
        for name in ["Via", "From", "Call-ID"] {
            ack.push_str(&format!("{name}: {}\r\n", header(invite, name)));
        }
        ack.push_str(&format!(
            "To: {}\r\nCSeq: {} ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            header(text, "To"),
            pending.cseq
        ));
        self.phone.send(&ack);
        if !first {
            if matches!(status, 408 | 481) {
                self.end(&pending.call_id);
            }
            return;
        }
        if status == 401
            && !self.dialogs[n].authorized
            && self.dialogs[n].state != State::Cancelling
            && self.name.is_some()
        {
            let uri = self.dialogs[n].target.clone();
            let answer = self.credentials(text, "INVITE", &uri);
            let extra = format!("{}{answer}", self.dialogs[n].last);
            let body = pending
                .sent
                .text
                .split("\r\n\r\n")
                .nth(1)
                .unwrap_or_default()
                .to_owned();
            self.dialogs[n].authorized = true;
            self.dialogs[n].cseq += 1;
            self.dialogs[n].state = State::Calling;
            let cseq = self.dialogs[n].cseq;
            let text = self.text(n, "INVITE", cseq, &extra, &body);
            self.dialogs[n].invite = text.clone();
            self.launch("INVITE", &pending.call_id, cseq, text, true);
            return;
        }
        self.end(&pending.call_id);
    }

    fn credentials(&self, challenge: &str, method: &str, uri: &str) -> String {
        let Some(name) = self.name else {
            return String::new();
        };
        let line = challenge
            .lines()
            .filter(|l| l.starts_with("WWW-Authenticate:"))
            .find(|l| l.contains("MD5"));
        let Some(line) = line else {
            return String::new();
        };
        let part = |key: &str| {
            line.split(&format!("{key}=\""))
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .to_owned()
        };
        let (realm, nonce) = (part("realm"), part("nonce"));
        let md5 = |text: String| hex::encode(Md5::digest(text));
        let secret = md5(format!("{name}:{realm}:{name}-password"));
        let response = md5(format!(
            "{secret}:{nonce}:00000001:cn:auth:{}",
            md5(format!("{method}:{uri}"))
        ));
        format!(
            "Authorization: Digest username=\"{name}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
             algorithm=MD5, qop=auth, cnonce=\"cn\", nc=00000001\r\n"
        )
    }

    fn requested(&mut self, text: &str) {
        let method = text.split(' ').next().unwrap_or_default().to_owned();
        let call_id = header(text, "Call-ID").to_owned();
        let n = self.dialogs.iter().position(|d| d.call_id == call_id);
        let inside = header(text, "To").contains("tag=");
        match (method.as_str(), n, inside) {
            ("INVITE", None, false) => self.rung(text),
            // Again.
            ("INVITE", Some(n), false) => {
                if !self.dialogs[n].last.is_empty() {
                    self.phone.send(&self.dialogs[n].last);
                }
            }
            ("INVITE", Some(n), true) if self.dialogs[n].state == State::Up => {
                self.reinvited(n, text)
            }
            ("ACK", Some(n), _) => {
                let dialog = &mut self.dialogs[n];
                dialog.unacked = None;
                if dialog.state == State::Up && !dialog.outgoing {
                    self.shared.confirmed.borrow_mut().insert(call_id);
                }
            }
            ("ACK", ..) => {}
            ("CANCEL", Some(n), _) => {
                self.phone.send(&reply(text, "200 OK", "", ""));
                if self.dialogs[n].state == State::Ringing {
                    self.dialogs[n].answer = None;
                    self.refuse(n, "487 Request Terminated");
                }
            }
            ("BYE", Some(_), true) => {
                self.phone.send(&reply(text, "200 OK", "", ""));
                self.end(&call_id);
            }
            ("OPTIONS" | "NOTIFY", None, false) => self.phone.send(&reply(text, "200 OK", "", "")),
            ("UPDATE", Some(n), true) if text.contains("m=audio") => {
                let sdp = self.sdp(self.dialogs[n].port, self.dialogs[n].version, "");
                self.phone
                    .send(&reply(text, "200 OK", &self.contact(), &sdp));
            }
            (_, Some(n), true) if self.dialogs[n].state != State::Over => {
                self.phone.send(&reply(text, "200 OK", &self.contact(), ""));
            }
            _ => self
                .phone
                .send(&reply(text, "481 Call Does Not Exist", "", "")),
        }
    }

    fn contact(&self) -> String {
        format!("Contact: <sip:a@{}>\r\n", self.phone.address())
    }

    /// Somebody calls.
    fn rung(&mut self, text: &str) {
        let tag = self.fresh("t");
        let contact = header(text, "Contact").trim_start_matches('<');
        let target = contact.split('>').next().unwrap().to_owned();
        let port = 4000 + 2 * u16::try_from(self.serial % 2000).unwrap();
        self.dialogs.push(Dialog {
            call_id: header(text, "Call-ID").to_owned(),
            own: format!("{};tag={tag}", header(text, "To")),
            peer: header(text, "From").to_owned(),
            target,
            cseq: 0,
            invite: text.to_owned(),
            outgoing: false,
            state: State::Ringing,
            port,
            version: 1,
            unacked: None,
            last: String::new(),
            answer: None,
            authorized: false,
            acks: Vec::new(),
            over_at: Instant::now(),
        });
        let n = self.dialogs.len() - 1;
        let how = u8::try_from(self.below(14)).unwrap();
        let wait = match how {
            0..=2 => 0,
            12 => 400_000,
            _ => 200 + self.below(9000),
        };
        match how {
            // Silence: not even a 100.
            13 => return self.end(header(text, "Call-ID")),
            3..=7 | 12 => self.respond(n, "180 Ringing", false),
            8 | 9 => self.respond(n, "183 Session Progress", true),
            _ => {}
        }
        self.dialogs[n].answer = Some((Instant::now() + Duration::from_millis(wait), how));
    }

    /// Answers or refuses a call that rang.
    fn settle(&mut self, n: usize, how: u8) {
        if self.dialogs[n].state != State::Ringing {
            return;
        }
        match how {
            0 => self.refuse(n, "486 Busy Here"),
            1 => self.refuse(n, "603 Decline"),
            3 => self.refuse(n, "302 Moved Temporarily"),
            4 => self.refuse(n, "503 Service Unavailable"),
            12 => self.refuse(n, "408 Request Timeout"),
            _ => {
                self.shared.did("answered");
                self.dialogs[n].state = State::Up;
                self.respond(n, "200 OK", true);
                self.dialogs[n].unacked = Some(Repeated::new(self.dialogs[n].last.clone()));
            }
        }
    }

    fn refuse(&mut self, n: usize, status: &str) {
        self.shared.did("refused");
        self.respond(n, status, false);
        let dialog = &mut self.dialogs[n];
        dialog.state = State::Over;
        dialog.over_at = Instant::now();
        dialog.unacked = Some(Repeated::new(dialog.last.clone()));
    }

    fn respond(&mut self, n: usize, status: &str, described: bool) {
        let dialog = &self.dialogs[n];
        let sdp = if described {
            self.sdp(dialog.port, 1, "")
        } else {
            String::new()
        };
        let text = reply(&dialog.invite, status, &self.contact(), &sdp);
        let text = text.replace(
            &format!("To: {}\r\n", header(&dialog.invite, "To")),
            &format!("To: {}\r\n", dialog.own),
        );
        self.phone.send(&text);
        self.dialogs[n].last = text;
    }

    fn reinvited(&mut self, n: usize, text: &str) {
        let busy = self
            .pending
            .iter()
            .any(|p| p.method == "INVITE" && p.call_id == self.dialogs[n].call_id);
        let answer = if busy {
            reply(text, "491 Request Pending", "", "")
        } else if self.below(12) == 0 {
            reply(text, "488 Not Acceptable Here", "", "")
        } else {
            let direction = if text.contains("a=sendonly") {
                "recvonly"
            } else if text.contains("a=inactive") {
                "inactive"
            } else {
                ""
            };
            let sdp = self.sdp(self.dialogs[n].port, self.dialogs[n].version, direction);
            reply(text, "200 OK", &self.contact(), &sdp)
        };
        self.phone.send(&answer);
        self.dialogs[n].unacked = Some(Repeated::new(answer));
    }
}

fn replaces(dialog: &Dialog) -> String {
    let tag = |value: &str| value.split("tag=").nth(1).unwrap_or("none").to_owned();
    let (own, peer) = (tag(&dialog.own), tag(&dialog.peer));
    format!("{};to-tag={peer};from-tag={own}", dialog.call_id)
}

fn branch(text: &str) -> &str {
    let rest = header(text, "Via")
        .split("branch=")
        .nth(1)
        .unwrap_or_default();
    rest.split([';', ',']).next().unwrap_or_default()
}

fn reply(request: &str, status: &str, extra: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        text.push_str(&format!("{name}: {}\r\n", header(request, name)));
    }
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    text.push_str(&format!(
        "{extra}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    text
}
