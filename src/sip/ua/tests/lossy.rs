//! Calls over a link that loses, repeats and reorders, against a phone that is a few lines of text and three timers.

use super::*;

/// What travels, and when it arrives.
struct Link {
    rng: Rng,
    loss: f64,
    /// Arrival, order, whether to the endpoint, text.
    packets: Vec<(Instant, u64, bool, String)>,
    count: u64,
}

impl Link {
    fn put(&mut self, now: Instant, to_endpoint: bool, text: String) {
        let copies = if self.rng.unit() < 0.02 { 2 } else { 1 };
        for _ in 0..copies {
            if self.rng.unit() < self.loss {
                continue;
            }
            self.count += 1;
            let delay = Duration::from_millis(20 + self.rng.below(60));
            self.packets
                .push((now + delay, self.count, to_endpoint, text.clone()));
        }
    }

    fn next(&self) -> Option<Instant> {
        self.packets.iter().map(|p| p.0).min()
    }

    fn take(&mut self, now: Instant) -> Option<(bool, String)> {
        let at = self
            .packets
            .iter()
            .enumerate()
            .filter(|(_, p)| p.0 <= now)
            .min_by_key(|(_, p)| (p.0, p.1))?
            .0;
        let (_, _, to_endpoint, text) = self.packets.swap_remove(at);
        Some((to_endpoint, text))
    }
}

/// A phone's pending request: sent again on the RFC's schedule until something final comes.
struct Pending {
    text: String,
    next: Instant,
    interval: Duration,
    cap: Duration,
}

impl Pending {
    fn new(now: Instant, text: String, cap: u64) -> Self {
        let interval = Duration::from_millis(500);
        Self {
            text,
            next: now + interval,
            interval,
            cap: Duration::from_secs(cap),
        }
    }
}

/// The caller: INVITE, ACK for each 2xx, BYE two seconds after the answer.
#[derive(Default)]
struct Phone {
    invite: Option<Pending>,
    ringing: bool,
    tag: Option<String>,
    bye: Option<Pending>,
    bye_at: Option<Instant>,
    cleared: bool,
    refused: Option<String>,
}

impl Phone {
    fn deadline(&self) -> Option<Instant> {
        let invite = self
            .invite
            .as_ref()
            .filter(|_| !self.ringing)
            .map(|p| p.next);
        [invite, self.bye.as_ref().map(|p| p.next), self.bye_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn timers(&mut self, now: Instant, link: &mut Link) {
        let ringing = self.ringing;
        let invite = self.invite.as_mut().filter(|_| !ringing);
        for pending in invite
            .into_iter()
            .chain(self.bye.as_mut())
            .filter(|p| p.next <= now)
        {
            pending.interval = (pending.interval * 2).min(pending.cap);
            pending.next = now + pending.interval;
            link.put(now, true, pending.text.clone());
        }
        if self.bye_at.is_some_and(|at| at <= now) {
            self.bye_at = None;
            let bye = in_dialog("BYE", 1, 2, self.tag.as_deref().unwrap(), "", "");
            link.put(now, true, bye.clone());
            self.bye = Some(Pending::new(now, bye, 4));
        }
    }

    fn receive(&mut self, now: Instant, text: &str, link: &mut Link) {
        let status = text.split(' ').nth(1).unwrap_or_default();
        match (text.starts_with("SIP/2.0"), header(text, "CSeq").unwrap()) {
            (true, "1 INVITE") if status.starts_with('1') => self.ringing = true,
            (true, "1 INVITE") if status == "200" => {
                self.invite = None;
                if self.tag.is_none() {
                    self.tag = Some(to_tag(text));
                    self.bye_at = Some(now + Duration::from_secs(2));
                }
                link.put(
                    now,
                    true,
                    in_dialog("ACK", 1, 1, self.tag.as_deref().unwrap(), "", ""),
                );
            }
            (true, "1 INVITE") => {
                self.invite = None;
                self.refused = Some(status.to_owned());
                let ack = in_dialog("ACK", 1, 1, &to_tag(text), "", "")
                    .replace("z9hG4bKACK1x1", "z9hG4bKinvite1");
                link.put(now, true, ack);
            }
            (true, "2 BYE") => {
                self.bye = None;
                self.cleared = true;
            }
            (false, cseq) if cseq.ends_with("BYE") => {
                self.cleared = true;
                self.bye = None;
                self.bye_at = None;
                link.put(now, false, respond(text, "200 OK", "", "", ""));
            }
            other => panic!("{other:?}\n{text}"),
        }
    }
}

/// Runs phone and endpoint until both are quiet; `answer` is called with the first INVITE.
fn run(
    seed: u64,
    answer: impl Fn(&mut Endpoint, Instant, LegId),
) -> (Phone, Vec<SipEvent>, Counts) {
    let mut b = bench();
    b.endpoint.rng = Rng::seeded(seed);
    let mut link = Link {
        rng: Rng::seeded(seed ^ 0x5eed),
        loss: 0.30,
        packets: Vec::new(),
        count: 0,
    };
    let mut phone = Phone::default();
    let text = invite(1, "", SDP);
    link.put(b.now, true, text.clone());
    phone.invite = Some(Pending::new(b.now, text, u64::from(u32::MAX)));
    let mut events = Vec::new();
    let end = b.now + Duration::from_secs(150);
    loop {
        let next = [link.next(), phone.deadline(), b.endpoint.poll_timeout()]
            .into_iter()
            .flatten()
            .min();
        let Some(next) = next.filter(|next| *next <= end) else {
            break;
        };
        b.now = b.now.max(next);
        let now = b.now;
        b.endpoint.handle_timeout(now);
        phone.timers(now, &mut link);
        while let Some((to_endpoint, text)) = link.take(now) {
            if to_endpoint {
                b.endpoint.receive(now, b.flow, wire(&text));
            } else {
                phone.receive(now, &text, &mut link);
            }
        }
        while let Some(event) = b.endpoint.poll_event() {
            if let SipEvent::Invite(invite) = &event {
                answer(&mut b.endpoint, now, invite.leg);
            }
            events.push(event);
        }
        while let Some(transmit) = b.endpoint.poll_transmit() {
            let Transmit::Send { bytes, .. } = transmit else {
                panic!("no streams here")
            };
            link.put(now, false, String::from_utf8(bytes.to_vec()).unwrap());
        }
    }
    let counts = b.endpoint.counts();
    (phone, events, counts)
}

#[test]
fn calls_connect_and_clear_under_30_percent_loss() {
    for seed in 0..200 {
        let (phone, events, counts) = run(seed, |endpoint, now, leg| {
            endpoint.provisional(now, leg, 180, None).unwrap();
            endpoint.accept(now, leg, Some(Body::sdp(OUR_SDP))).unwrap();
        });
        assert!(phone.cleared, "seed {seed}: not cleared: {events:?}");
        let invites = events
            .iter()
            .filter(|e| matches!(e, SipEvent::Invite(_)))
            .count();
        let established = events
            .iter()
            .filter(|e| matches!(e, SipEvent::Established { .. }))
            .count();
        let ended = events
            .iter()
            .filter(|e| matches!(e, SipEvent::Ended { .. }))
            .count();
        assert_eq!((invites, ended), (1, 1), "seed {seed}: {events:?}");
        assert!(established <= 1, "seed {seed}: {events:?}");
        assert_eq!(counts, Counts::default(), "seed {seed}");
    }
}

#[test]
fn refusals_arrive_under_30_percent_loss() {
    for seed in 0..200 {
        let (phone, events, counts) = run(seed, |endpoint, now, leg| {
            endpoint.reject(now, leg, 486, "", &[]).unwrap();
        });
        assert_eq!(
            phone.refused.as_deref(),
            Some("486"),
            "seed {seed}: {events:?}"
        );
        assert_eq!(events.len(), 2, "seed {seed}: {events:?}");
        assert_eq!(counts, Counts::default(), "seed {seed}");
    }
}

/// The callee of a call of ours, on the same bad link.
#[test]
fn our_calls_connect_and_clear_under_30_percent_loss() {
    for seed in 0..200 {
        let mut b = bench();
        b.endpoint.rng = Rng::seeded(seed);
        let mut link = Link {
            rng: Rng::seeded(seed ^ 0xca11),
            loss: 0.30,
            packets: Vec::new(),
            count: 0,
        };
        let target = Target {
            transport: Transport::Udp,
            addr: "10.0.0.2:5060".parse().unwrap(),
        };
        let mut request = InviteRequest::new("sip:2000@far.test", target, "<sip:us@near.test>");
        request.body = Some(Body::sdp(OUR_SDP));
        let leg = b.endpoint.invite(b.now, request);
        let mut success: Option<Pending> = None;
        let (mut acked, mut cleared, mut answered, mut hang_up) = (false, false, false, None);
        let end = b.now + Duration::from_secs(150);
        loop {
            while let Some(event) = b.endpoint.poll_event() {
                match event {
                    SipEvent::Answered { .. } => {
                        assert!(!answered, "seed {seed}");
                        answered = true;
                        hang_up = Some(b.now + Duration::from_secs(3));
                    }
                    SipEvent::Progress { .. } | SipEvent::Ended { .. } => {}
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
            while let Some(Transmit::Send { bytes, .. }) = b.endpoint.poll_transmit() {
                link.put(b.now, false, String::from_utf8(bytes.to_vec()).unwrap());
            }
            let repeat = success.as_ref().map(|p| p.next);
            let next = [link.next(), repeat, hang_up, b.endpoint.poll_timeout()]
                .into_iter()
                .flatten()
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            b.now = b.now.max(next);
            let now = b.now;
            b.endpoint.handle_timeout(now);
            if let Some(pending) = success.as_mut().filter(|p| p.next <= now) {
                pending.interval = (pending.interval * 2).min(pending.cap);
                pending.next = now + pending.interval;
                link.put(now, true, pending.text.clone());
            }
            if hang_up.is_some_and(|at| at <= now) {
                hang_up = None;
                b.endpoint.bye(now, leg, None).unwrap();
            }
            while let Some((to_endpoint, text)) = link.take(now) {
                if to_endpoint {
                    b.endpoint.receive(now, b.flow, wire(&text));
                } else if text.starts_with("INVITE") && success.is_none() && !acked {
                    let headers =
                        "Contact: <sip:them@10.0.0.2:5060>\nContent-Type: application/sdp";
                    let ok = respond(&text, "200 OK", "t", headers, SDP);
                    link.put(now, true, ok.clone());
                    success = Some(Pending::new(now, ok, 4));
                } else if text.starts_with("ACK") {
                    acked = true;
                    success = None;
                } else if text.starts_with("BYE") {
                    cleared = true;
                    success = None;
                    link.put(now, true, respond(&text, "200 OK", "", "", ""));
                }
            }
        }
        assert!(answered && cleared, "seed {seed}: {answered} {cleared}");
        assert_eq!(b.endpoint.counts(), Counts::default(), "seed {seed}");
    }
}
