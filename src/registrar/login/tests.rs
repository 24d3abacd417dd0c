//! What a carrier says, and when we come back.

use super::*;
use crate::sip::transaction::tests::start;

struct Bench {
    login: Login,
    rng: Rng,
    t0: Instant,
    now: Instant,
}

fn target(n: u8) -> Target {
    Target {
        transport: Transport::Udp,
        addr: ([192, 0, 2, n], 5060).into(),
    }
}

fn bench() -> Bench {
    let t0 = start();
    let mut rng = Rng::seeded(3);
    let carrier = Carrier {
        id: "res-0".into(),
        account: "acc".into(),
        resource: "res".into(),
        server: "carrier.example".into(),
        port: None,
        transport: None,
        username: "us".into(),
        password: Secret::new("secret"),
        realm: None,
        expires: 300,
    };
    let login = Login::new(carrier, t0, &mut rng);
    Bench {
        login,
        rng,
        t0,
        now: t0,
    }
}

impl Bench {
    /// Lets the clock run to the next attempt and resolves; the seconds since the last one and what is to be sent.
    fn attempt(&mut self, targets: &[u8]) -> (f64, Todo) {
        let at = self.login.poll_timeout().expect("an attempt is planned");
        let waited = at.saturating_duration_since(self.now).as_secs_f64();
        self.now = self.now.max(at);
        assert_eq!(self.login.due(self.now), Todo::Resolve);
        assert_eq!(self.login.poll_timeout(), None);
        let targets = targets.iter().map(|n| target(*n)).collect();
        (
            waited,
            self.login.resolved(self.now, targets, &mut self.rng),
        )
    }

    fn answer(&mut self, status: u16, headers: &[(Name, &str)]) -> (Todo, News) {
        let mut message = Message::response(status, "");
        for (name, value) in headers {
            message.headers.push(*name, value.to_string());
        }
        self.login
            .answered(self.now, status, Some(&message), &mut self.rng)
    }

    fn silence(&mut self) -> (Todo, News) {
        self.login.answered(self.now, 408, None, &mut self.rng)
    }
}

fn register(n: u8, expires: u32) -> Todo {
    Todo::Register {
        target: target(n),
        expires,
    }
}

#[test]
fn the_granted_time_counts_and_the_refresh_comes_at_half_to_nine_tenths_of_it() {
    for seed in 0..50 {
        let mut b = bench();
        b.rng = Rng::seeded(seed);
        b.attempt(&[1]);
        let contact = format!(
            "<sip:{}@10.0.0.1>;expires=120",
            b.login.carrier.contact_user()
        );
        let other = "<sip:else@10.0.0.9>;expires=5";
        let done = b.answer(
            200,
            &[
                (Name::Contact, other),
                (Name::Contact, &contact),
                (Name::Expires, "3600"),
            ],
        );
        assert_eq!(done, (Todo::Nothing, News::Registered));
        assert!(b.login.is_registered(b.now + Duration::from_secs(119)));
        assert!(!b.login.is_registered(b.now + Duration::from_secs(120)));
        let (waited, todo) = b.attempt(&[2, 1]);
        assert!((60.0..=108.0).contains(&waited), "seed {seed}: {waited}");
        assert_eq!(
            todo,
            register(1, 300),
            "where we are known, and as long as ever"
        );
        assert_eq!(b.answer(200, &[(Name::Expires, "60")]).1, News::None);
    }
}

#[test]
fn failures_wait_30_seconds_doubling_to_half_an_hour_and_a_success_forgets_them() {
    let mut b = bench();
    b.attempt(&[1]);
    assert_eq!(b.answer(500, &[]), (Todo::Nothing, News::Failed));
    for expected in [30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1800.0, 1800.0] {
        let (waited, _) = b.attempt(&[1]);
        let right = (expected * 0.9..=expected * 1.1).contains(&waited);
        assert!(right, "{waited} is not about {expected}");
        assert_eq!(b.answer(500, &[]), (Todo::Nothing, News::None), "told once");
    }
    b.attempt(&[1]);
    assert_eq!(b.answer(200, &[]).1, News::Registered);
    b.attempt(&[1]);
    b.answer(500, &[]);
    assert!(b.attempt(&[1]).0 < 34.0);
}

#[test]
fn silence_and_503_try_the_next_server_before_they_wait() {
    let mut b = bench();
    assert_eq!(b.attempt(&[1, 2, 3]).1, register(1, 300));
    assert_eq!(b.silence(), (register(2, 300), News::None));
    assert_eq!(
        b.answer(503, &[(Name::RetryAfter, "900")]).0,
        register(3, 300)
    );
    assert_eq!(b.answer(503, &[(Name::RetryAfter, "100")]).0, Todo::Nothing);
    let (waited, _) = b.attempt(&[1]);
    assert!((100.0..=110.0).contains(&waited), "{waited}");
}

#[test]
fn a_server_nobody_can_find_is_a_failure() {
    let mut b = bench();
    assert_eq!(b.attempt(&[]).1, Todo::Nothing);
    assert!((27.0..=33.0).contains(&b.attempt(&[1]).0));
}

#[test]
fn too_brief_is_raised_once_and_at_once() {
    let mut b = bench();
    b.attempt(&[1]);
    assert_eq!(
        b.answer(423, &[(Name::MinExpires, "1800")]).0,
        register(1, 1800)
    );
    assert_eq!(
        b.answer(423, &[(Name::MinExpires, "3600")]).0,
        Todo::Nothing
    );
    assert!(b.attempt(&[1]).0 > 26.0);
    let mut b = bench();
    b.attempt(&[1]);
    assert_eq!(b.answer(423, &[]).0, Todo::Nothing);
    assert!(b.attempt(&[1]).0 >= 540.0);
}

#[test]
fn a_refusal_is_asked_again_after_ten_minutes_only() {
    for status in [401, 403, 404, 407] {
        let mut b = bench();
        b.attempt(&[1, 2]);
        assert_eq!(b.answer(status, &[]), (Todo::Nothing, News::Failed));
        let (waited, _) = b.attempt(&[1]);
        assert!((540.0..=660.0).contains(&waited), "{status}: {waited}");
    }
}

#[test]
fn leaving_tells_the_carrier_that_knows_us_and_nobody_else() {
    let mut b = bench();
    assert_eq!(b.login.leave(b.t0), Todo::Nothing);
    assert!(b.login.is_gone());
    let mut b = bench();
    b.attempt(&[1]);
    b.answer(200, &[]);
    assert_eq!(b.login.leave(b.now), register(1, 0));
    assert_eq!(b.login.leave(b.now), Todo::Nothing, "once");
    assert_eq!(b.silence(), (Todo::Nothing, News::Left));
    assert!(b.login.is_gone() && !b.login.is_registered(b.now));
}

#[test]
fn the_contact_of_each_carrier_is_its_own_and_stays() {
    let one = bench().login.carrier;
    let other = Carrier {
        id: "res-1".into(),
        ..one.clone()
    };
    assert_eq!(one.contact_user(), bench().login.carrier.contact_user());
    assert_ne!(one.contact_user(), other.contact_user());
    assert!(one.contact_user().starts_with("gw-"));
}
