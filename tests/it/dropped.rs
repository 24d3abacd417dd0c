//! Every operation, dropped at every await point, leaves a call that can go on and ends cleanly.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde_json::json;
use swivel::base::keys::Keys;
use swivel::call::{
    CallHandle, CollectOptions, ConferenceOptions, DequeueOptions, EnqueueOptions, NewRecording,
    PlayOptions, RecordOptions,
};
use swivel::clips::Audio;

use super::world::{script, world_of};

const SECOND: Duration = Duration::from_secs(1);

/// Polls a future so many times, then drops it. Says whether it had finished.
struct Polls<F> {
    future: Option<Pin<Box<F>>>,
    left: u32,
}

impl<F: Future> Future for Polls<F> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        if self.left == 0 {
            self.future = None;
            return Poll::Ready(false);
        }
        self.left -= 1;
        let Some(future) = &mut self.future else {
            return Poll::Ready(false);
        };
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if self.left == 0 => {
                self.future = None;
                Poll::Ready(false)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

type Operation = fn(CallHandle) -> LocalBoxFuture<'static, ()>;

fn operations() -> Vec<(&'static str, bool, Operation)> {
    fn quiet() -> Vec<Audio> {
        vec![
            Audio::Silence(Some(Duration::from_millis(60))),
            Audio::Silence(Some(Duration::from_millis(60))),
        ]
    }
    vec![
        ("answer", false, |call| {
            Box::pin(async move { drop(call.answer().await) })
        }),
        ("early play", false, |call| {
            Box::pin(async move { drop(call.play(quiet(), PlayOptions::default()).await) })
        }),
        ("play", true, |call| {
            Box::pin(async move { drop(call.play(quiet(), PlayOptions::default()).await) })
        }),
        ("collect", true, |call| {
            Box::pin(async move {
                let options = CollectOptions {
                    timeout: Duration::from_millis(200),
                    ..CollectOptions::default()
                };
                drop(call.collect(quiet(), options).await);
            })
        }),
        ("pause", true, |call| {
            Box::pin(async move { drop(call.pause(Duration::from_millis(100)).await) })
        }),
        ("send_digits", true, |call| {
            Box::pin(async move { drop(call.send_digits("12", Duration::from_millis(60)).await) })
        }),
        ("record", true, |call| {
            Box::pin(async move {
                let options = RecordOptions {
                    path: "dropped.wav".into(),
                    max: Duration::from_millis(200),
                    silence: None,
                    finish_on: Keys::NONE,
                };
                drop(call.record(options).await);
            })
        }),
        ("record_kept", true, |call| {
            Box::pin(async move {
                let new = NewRecording {
                    max: Duration::from_millis(200),
                    ..NewRecording::default()
                };
                drop(call.record_kept(new, true).await);
            })
        }),
        ("conference", false, |call| {
            Box::pin(async move {
                let options = ConferenceOptions {
                    name: "dropped".into(),
                    limit: Some(Duration::from_millis(200)),
                    ..ConferenceOptions::default()
                };
                drop(call.conference(options).await);
            })
        }),
        ("enqueue", true, |call| {
            Box::pin(async move {
                let options = EnqueueOptions {
                    name: "dropped".into(),
                    limit: Some(Duration::from_millis(200)),
                    ..EnqueueOptions::default()
                };
                drop(call.enqueue(options).await);
            })
        }),
        ("dequeue", true, |call| {
            Box::pin(async move {
                let options = DequeueOptions {
                    name: "dropped".into(),
                    timeout: Some(Duration::from_millis(200)),
                    ..DequeueOptions::default()
                };
                drop(call.dequeue(options).await);
            })
        }),
    ]
}

#[test]
fn an_operation_dropped_at_any_await_leaves_a_clean_call() {
    for (name, answered, operation) in operations() {
        for polls in 0..100 {
            let finished = Rc::new(Cell::new(false));
            let told = finished.clone();
            let run = script(move |call: CallHandle| {
                let told = told.clone();
                async move {
                    if answered {
                        call.answer().await.unwrap();
                    }
                    told.set(
                        Polls {
                            future: Some(Box::pin(operation(call.clone()))),
                            left: polls,
                        }
                        .await,
                    );
                    // What comes after a dropped operation works as if it had never been.
                    let after = call
                        .play(
                            vec![Audio::Silence(Some(Duration::from_millis(40)))],
                            PlayOptions::default(),
                        )
                        .await;
                    assert!(
                        after.is_ok(),
                        "{name} dropped after {polls} polls: {after:?}"
                    );
                    call.answer().await.unwrap();
                }
            });
            world_of(u64::from(polls), run, |world| async move {
                world
                    .callflow("2000", json!({"module": "answer", "data": {}}))
                    .await;
                let phone = world.phone();
                let call = phone.call("2000");
                call.connect().await;
                call.wait_for_bye(20 * SECOND).await;
                world.at_rest().await;
            });
            if finished.get() {
                assert!(polls > 0, "{name} finished without being polled");
                break;
            }
            assert!(polls < 99, "{name} never finished");
        }
    }
}
