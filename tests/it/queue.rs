//! Queues: who waits, who is taken, and what both are told.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use swivel::call::{
    CallHandle, DequeueOptions, DequeueResult, Dequeued, EnqueueOptions, Enqueued, PlayOptions,
    QueueResult, Script, WaitEnd, WaitFacts, WaitSound,
};
use swivel::clips::Audio;

use super::bridge::{SECOND, flow};
use super::world::phone::PhoneCall;
use super::world::rtp::{Ears, Voice, audio_of};
use super::world::{ACCOUNT, World, script, world_of};

#[derive(Default)]
struct Told {
    enqueued: Vec<(String, Enqueued)>,
    dequeued: Vec<Option<Dequeued>>,
    facts: Vec<WaitFacts>,
}

type Tell = Rc<RefCell<Told>>;

fn silent() -> EnqueueOptions {
    EnqueueOptions {
        name: "support".into(),
        wait: WaitSound::Nothing,
        ..EnqueueOptions::default()
    }
}

fn taking() -> DequeueOptions {
    DequeueOptions {
        name: "support".into(),
        wait: WaitSound::Nothing,
        ..DequeueOptions::default()
    }
}

/// 2000 waits, 2001 takes, and stays on the line for a second afterwards.
fn queues(
    told: &Tell,
    wait: impl Fn() -> EnqueueOptions + 'static,
    take: impl Fn() -> DequeueOptions + 'static,
) -> Script {
    let (told, both) = (told.clone(), Rc::new((wait, take)));
    script(move |call: CallHandle| {
        let (told, both) = (told.clone(), both.clone());
        async move {
            let facts = call.facts();
            if facts.request_user == "2001" {
                let taken = call.dequeue(both.1()).await;
                told.borrow_mut().dequeued.push(taken.ok());
            } else if let Ok(done) = call.enqueue(both.0()).await {
                told.borrow_mut()
                    .enqueued
                    .push((facts.call_id.clone(), done));
            }
            call.pause(SECOND).await.ok();
        }
    })
}

async fn dial(world: &World, number: &str) -> (PhoneCall, String) {
    let phone = world.phone();
    let call = phone.call(number);
    let ok = call.connect().await;
    (call, ok)
}

async fn flows(world: &World) {
    flow(world, "2000").await;
    flow(world, "2001").await;
}

#[test]
fn who_came_first_is_taken_first_and_both_talk() {
    let told = Tell::default();
    let seen = told.clone();
    world_of(1, queues(&told, silent, taking), |world| async move {
        flows(&world).await;
        let ears = Ears::of(&world);
        let (first, first_ok) = dial(&world, "2000").await;
        tokio::time::sleep(3 * SECOND).await;
        let (second, _) = dial(&world, "2000").await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.core.queues(ACCOUNT)[0].size, 2);
        let (agent, agent_ok) = dial(&world, "2001").await;
        let at = |n: u8| format!("10.0.1.{n}:4000").parse().unwrap();
        let voices = [
            Voice::speak(&world, at(1), audio_of(&first_ok), 0x11),
            Voice::speak(&world, at(3), audio_of(&agent_ok), 0x33),
        ];
        tokio::time::sleep(SECOND).await;
        ears.take(at(1));
        ears.take(at(3));
        tokio::time::sleep(SECOND).await;
        assert!((45..=55).contains(&ears.count(at(1), 0x33)));
        assert!((45..=55).contains(&ears.count(at(3), 0x11)));
        drop(voices);
        agent.hang_up().await;
        // The caller goes on with what follows the queue.
        first.wait_for_bye(3 * SECOND).await;
        second.hang_up().await;
        world.at_rest().await;
        let told = seen.borrow();
        let (id, done) = &told.enqueued[0];
        assert_eq!(*id, first.call_id);
        assert_eq!(done.result, QueueResult::Bridged);
        assert_eq!(done.waited.as_secs(), 4);
        assert!(done.talked.unwrap() >= 2 * SECOND);
        assert_eq!(told.enqueued[1].1.result, QueueResult::Hangup);
        assert_eq!(world.core.queues(ACCOUNT)[0].size, 0);
    });
}

#[test]
fn the_taker_goes_on_when_the_caller_leaves() {
    let told = Tell::default();
    let seen = told.clone();
    world_of(2, queues(&told, silent, taking), |world| async move {
        flows(&world).await;
        // The taker is there first, and waits.
        let (agent, _) = dial(&world, "2001").await;
        tokio::time::sleep(5 * SECOND).await;
        let (caller, _) = dial(&world, "2000").await;
        tokio::time::sleep(2 * SECOND).await;
        caller.hang_up().await;
        agent.wait_for_bye(3 * SECOND).await;
        world.at_rest().await;
        let told = seen.borrow();
        let taken = told.dequeued[0].as_ref().unwrap();
        assert!(matches!(taken.result, DequeueResult::Bridged { .. }));
        assert_eq!(taken.call_id.as_ref(), Some(&caller.call_id));
        assert_eq!(taken.waited.as_secs(), 0);
        assert_eq!(told.enqueued[0].1.result, QueueResult::Bridged);
    });
}

#[test]
fn an_empty_queue_is_waited_for_and_then_given_up() {
    let told = Tell::default();
    let seen = told.clone();
    let take = || DequeueOptions {
        timeout: Some(7 * SECOND),
        ..taking()
    };
    world_of(3, queues(&told, silent, take), |world| async move {
        flows(&world).await;
        let (agent, _) = dial(&world, "2001").await;
        let begin = tokio::time::Instant::now();
        agent.wait_for_bye(10 * SECOND).await;
        assert_eq!(begin.elapsed().as_secs(), 8);
        world.at_rest().await;
        let told = seen.borrow();
        assert_eq!(
            told.dequeued[0].as_ref().unwrap().result,
            DequeueResult::Empty
        );
    });
}

#[test]
fn a_full_queue_takes_nobody() {
    let told = Tell::default();
    let seen = told.clone();
    let wait = || EnqueueOptions {
        most: 1,
        limit: Some(4 * SECOND),
        ..silent()
    };
    world_of(4, queues(&told, wait, taking), |world| async move {
        flows(&world).await;
        let (first, _) = dial(&world, "2000").await;
        let (second, _) = dial(&world, "2000").await;
        second.wait_for_bye(2 * SECOND).await;
        first.wait_for_bye(10 * SECOND).await;
        world.at_rest().await;
        let told = seen.borrow();
        assert_eq!(told.enqueued[0].1.result, QueueResult::QueueFull);
        assert_eq!(told.enqueued[1].1.result, QueueResult::Timeout);
    });
}

#[test]
fn a_waiting_flow_learns_its_place_and_may_leave() {
    let told = Tell::default();
    let (seen, sink) = (told.clone(), told.clone());
    let wait = move || {
        let sink = sink.clone();
        EnqueueOptions {
            wait: WaitSound::Flow(Rc::new(move |call: CallHandle, facts: WaitFacts| {
                let sink = sink.clone();
                Box::pin(async move {
                    let waited = facts.waited;
                    sink.borrow_mut().facts.push(facts);
                    let hush = vec![Audio::Silence(Some(2 * SECOND))];
                    if call.play(hush, PlayOptions::default()).await.is_err() {
                        return WaitEnd::Failed;
                    }
                    if waited > 3 * SECOND {
                        WaitEnd::Leave
                    } else {
                        WaitEnd::Done
                    }
                })
            })),
            ..silent()
        }
    };
    world_of(5, queues(&told, wait, taking), |world| async move {
        flows(&world).await;
        let (first, _) = dial(&world, "2000").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (second, _) = dial(&world, "2000").await;
        first.wait_for_bye(10 * SECOND).await;
        second.wait_for_bye(10 * SECOND).await;
        world.at_rest().await;
        let told = seen.borrow();
        assert!(
            told.enqueued
                .iter()
                .all(|(_, done)| done.result == QueueResult::Leave)
        );
        let places: Vec<(usize, usize)> = told
            .facts
            .iter()
            .map(|facts| (facts.position, facts.size))
            .collect();
        assert_eq!(
            places,
            [(1, 1), (2, 2), (1, 2), (2, 2), (1, 2), (2, 2)],
            "{:?}",
            told.facts
        );
    });
}

#[test]
fn a_caller_whose_taker_goes_away_is_the_first_again() {
    let told = Tell::default();
    let seen = told.clone();
    let take = || DequeueOptions {
        announce: Some(Rc::new(|call: CallHandle, _| {
            Box::pin(async move {
                let hush = vec![Audio::Silence(Some(3 * SECOND))];
                call.play(hush, PlayOptions::default()).await.ok();
                WaitEnd::Done
            })
        })),
        ..taking()
    };
    world_of(6, queues(&told, silent, take), |world| async move {
        flows(&world).await;
        let (first, _) = dial(&world, "2000").await;
        let (_second, _) = dial(&world, "2000").await;
        let (fickle, _) = dial(&world, "2001").await;
        tokio::time::sleep(SECOND).await;
        fickle.hang_up().await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(world.core.queues(ACCOUNT)[0].size, 2);
        let (agent, _) = dial(&world, "2001").await;
        tokio::time::sleep(5 * SECOND).await;
        agent.hang_up().await;
        first.wait_for_bye(3 * SECOND).await;
        _second.hang_up().await;
        world.at_rest().await;
        let told = seen.borrow();
        assert_eq!(told.enqueued[0].0, first.call_id);
        assert_eq!(told.enqueued[0].1.result, QueueResult::Bridged);
        assert!(told.enqueued[0].1.waited >= 2 * SECOND);
    });
}

#[test]
fn a_caller_who_hangs_up_while_it_is_called_makes_room_for_the_next() {
    let told = Tell::default();
    let seen = told.clone();
    let take = || DequeueOptions {
        announce: Some(Rc::new(|call: CallHandle, _| {
            Box::pin(async move {
                let hush = vec![Audio::Silence(Some(2 * SECOND))];
                call.play(hush, PlayOptions::default()).await.ok();
                WaitEnd::Done
            })
        })),
        ..taking()
    };
    world_of(7, queues(&told, silent, take), |world| async move {
        flows(&world).await;
        let (first, _) = dial(&world, "2000").await;
        let (second, _) = dial(&world, "2000").await;
        let (agent, _) = dial(&world, "2001").await;
        tokio::time::sleep(SECOND).await;
        first.hang_up().await;
        tokio::time::sleep(4 * SECOND).await;
        second.hang_up().await;
        agent.wait_for_bye(3 * SECOND).await;
        world.at_rest().await;
        let told = seen.borrow();
        assert_eq!(told.enqueued[0].1.result, QueueResult::Hangup);
        assert_eq!(told.enqueued[1].1.result, QueueResult::Bridged);
        let taken = told.dequeued[0].as_ref().unwrap();
        assert_eq!(taken.call_id.as_ref(), Some(&second.call_id));
    });
}
