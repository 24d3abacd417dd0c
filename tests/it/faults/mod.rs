//! Faults that are really made, and whether swivel names them in words: each has the code it is to be told by and words
//! that must stand in what happened, why, or what to do.
//!
//! - `phones`: registrations, passwords, media. - `trunks`: carriers. - `hooks`: web servers. - `flows`: callflows, limits.

mod flows;
mod hooks;
mod phones;
mod trunks;

use std::cell::RefCell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};
use swivel::base::time::UnixMicros;
use swivel::directory::Kind;
use swivel::journal::causes::{Cause, diagnose};
use swivel::journal::{Code, Fact};

use super::flow::{SECOND, Stage, chain, node, stage_with};
use super::world::phone::{Phone, PhoneCall};
use super::world::{ACCOUNT, DEVICE, Settings, World};

/// A fault: how it is made, and how it is to be told.
struct Fault {
    code: Code,
    words: &'static [&'static str],
    settings: Settings,
    inject: Box<dyn FnOnce(Stage) -> LocalBoxFuture<'static, (World, String)>>,
}

/// A fault that `inject` makes; it gives the world back, and the Call-ID the fault is about.
fn fault<F: Future<Output = (World, String)> + 'static>(
    code: Code,
    words: &'static [&'static str],
    inject: impl FnOnce(Stage) -> F + 'static,
) -> Fault {
    let inject = Box::new(|stage| inject(stage).boxed_local());
    Fault {
        code,
        words,
        settings: Settings::default(),
        inject,
    }
}

impl Fault {
    fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }
}

/// What is said of a call, from its facts and those of its legs.
fn said(world: &World, call_id: &str) -> Option<Cause> {
    let facts = world.facts.borrow();
    let legs: Vec<&str> = facts
        .iter()
        .filter_map(|fact| match fact.as_ref() {
            Fact::Leg {
                call_id: of, other, ..
            } if of == call_id => Some(other.as_str()),
            _ => None,
        })
        .collect();
    let own = |fact: &&Fact| fact.call_id() == call_id || legs.contains(&fact.call_id());
    diagnose(facts.iter().map(AsRef::as_ref).filter(own))
}

/// Makes a fault; what is wrong with what was said of it.
fn made(fault: Fault) -> Option<String> {
    let verdict: Rc<RefCell<Option<String>>> = Rc::default();
    let seen = verdict.clone();
    let settings = Settings {
        trace: true,
        ..fault.settings
    };
    let (code, words, inject) = (fault.code, fault.words, fault.inject);
    stage_with(settings, |stage| async move {
        let (world, call_id) = inject(stage).await;
        tokio::time::sleep(12 * SECOND).await;
        let mut problems = world.journal.problems(ACCOUNT, UnixMicros(0));
        problems.extend(world.journal.problems("", UnixMicros(0)));
        let problem = problems.iter().find(|problem| problem.code == code);
        let told = said(&world, &call_id).map(|cause| {
            let text = format!("{} {} {}", cause.what, cause.why, cause.todo);
            (cause.code, text)
        });
        let counted = problem.map(|p| (p.code, format!("{} {} {}", p.what, p.why, p.todo)));
        let wrong = match told.or_else(|| counted.clone()) {
            None => Some("nothing was said".to_owned()),
            Some((found, text)) => {
                let low = text.to_lowercase();
                let missing: Vec<_> = words
                    .iter()
                    .filter(|w| !low.contains(&w.to_lowercase()))
                    .collect();
                if found != code {
                    Some(format!("{} was said: {text}", found.name()))
                } else if !missing.is_empty() {
                    Some(format!("{missing:?} is missing in: {text}"))
                } else if code.entry().problem && counted.is_none() {
                    Some(format!("it is not among the problems: {problems:?}"))
                } else {
                    None
                }
            }
        };
        *seen.borrow_mut() = wrong;
    });
    verdict
        .take()
        .map(|wrong| format!("{}: {wrong}", code.name()))
}

/// At least 40 faults, every one of which is named.
#[test]
fn injected_faults_are_named_in_words() {
    let all = [
        phones::faults(),
        trunks::faults(),
        hooks::faults(),
        flows::faults(),
    ];
    let all: Vec<Fault> = all.into_iter().flatten().collect();
    let count = all.len();
    let made_or_not = |fault: Fault| {
        let code = fault.code;
        // One that cannot be made must not hide the others.
        let made = std::panic::catch_unwind(AssertUnwindSafe(|| made(fault)));
        made.unwrap_or_else(|_| Some(format!("{}: could not be made", code.name())))
    };
    let wrong: Vec<String> = all.into_iter().filter_map(made_or_not).collect();
    assert!(count >= 40, "{count} faults");
    assert!(
        wrong.is_empty(),
        "{} of {count} are not named:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Calls that go well have no cause.
#[test]
fn a_call_that_goes_well_has_no_cause_and_is_no_problem() {
    let settings = Settings {
        trace: true,
        ..Settings::default()
    };
    stage_with(settings, |stage| async move {
        let (_phone, call) = stage.connect(waits(1)).await;
        call.wait_for_bye(5 * SECOND).await;
        let (callee, device) = rung(&stage, 51, json!({})).await;
        stage
            .world
            .callflow("2001", node("device", json!({"id": device})))
            .await;
        let second = stage.world.phone().call("2001");
        second.invite("");
        let incoming = callee.called(SECOND).await;
        incoming.ring();
        incoming.answer().await;
        second.answered(SECOND).await;
        second.ack("");
        tokio::time::sleep(SECOND).await;
        second.hang_up().await;
        incoming.wait_for_bye(SECOND).await;
        tokio::time::sleep(12 * SECOND).await;
        assert_eq!(said(&stage.world, &call.call_id), None);
        assert_eq!(said(&stage.world, &second.call_id), None);
        assert_eq!(stage.world.journal.problems(ACCOUNT, UnixMicros(0)), []);
    });
}

/// The same problem again is counted, and an hour later forgotten.
#[test]
fn problems_are_counted_by_their_cause_for_an_hour() {
    stage_with(Settings::default(), |stage| async move {
        for n in 0..3 {
            let call = stage
                .world
                .phone()
                .call(if n < 2 { "7777" } else { "8888" });
            call.invite("");
            call.expect(404, SECOND).await;
            call.ack_refusal();
            tokio::time::sleep(90 * SECOND).await;
        }
        let problems = stage.world.journal.problems(ACCOUNT, UnixMicros(0));
        let counts: Vec<_> = problems
            .iter()
            .map(|p| (p.what.contains("7777"), p.count))
            .collect();
        assert_eq!(counts, [(false, 1), (true, 2)]);
        assert!(problems[0].last_call.starts_with("call"));
        tokio::time::sleep(3700 * SECOND).await;
        assert_eq!(stage.world.journal.problems(ACCOUNT, UnixMicros(0)), []);
    });
}

/// The account with more in its document.
async fn account(stage: &Stage, more: Value) {
    let doc = merged(json!({"name": "world", "realm": "world.test"}), more);
    let directory = &stage.world.directory;
    directory
        .put(Kind::Account, ACCOUNT, ACCOUNT, doc)
        .await
        .unwrap();
}

/// The world's telephones as one device with more in its document.
async fn callers(stage: &Stage, more: Value) {
    let doc = json!({"name": "phones", "sip": {"method": "ip", "ip": "10.0.1.0/24"}});
    let directory = &stage.world.directory;
    directory
        .put(Kind::Device, ACCOUNT, DEVICE, merged(doc, more))
        .await
        .unwrap();
}

fn merged(mut doc: Value, more: Value) -> Value {
    let more = more.as_object().cloned().unwrap();
    doc.as_object_mut().unwrap().extend(more);
    doc
}

/// A telephone at that address, and the device it is.
async fn rung(stage: &Stage, n: u8, more: Value) -> (Phone, String) {
    let address = format!("10.0.1.{n}:5060");
    let doc = json!({"name": format!("Desk {n}"), "sip": {"invite_format": "route", "route": format!("sip:callee@{address}")}});
    let phone = stage.world.phone_at(&address);
    (
        phone,
        stage.world.put(Kind::Device, merged(doc, more)).await,
    )
}

/// A flow that answers, and stays so long.
fn waits(seconds: u32) -> Value {
    chain(vec![
        node("answer", json!({})),
        node("sleep", json!({"duration": seconds})),
    ])
}

/// A call to 2000, which rings a telephone.
async fn ringing(stage: &Stage) -> (Phone, PhoneCall) {
    let (callee, device) = rung(stage, 51, json!({})).await;
    let data = json!({"id": device, "timeout": 8});
    let (_phone, call) = stage.dial(node("device", data)).await;
    (callee, call)
}

/// Waits for the refusal of a call, confirms it, and gives what a fault gives.
async fn refused(stage: Stage, call: PhoneCall) -> (World, String) {
    call.answered(60 * SECOND).await;
    call.ack_refusal();
    (stage.world, call.call_id)
}

/// Plays a whole call to 2000 whose flow ends by itself.
async fn whole(stage: Stage, flow: Value) -> (World, String) {
    let (_phone, call) = stage.dial(flow).await;
    let answer = call.answered(60 * SECOND).await;
    if answer.starts_with("SIP/2.0 200") {
        call.ack("");
        call.wait_for_bye(120 * SECOND).await;
    } else {
        call.ack_refusal();
    }
    (stage.world, call.call_id)
}
