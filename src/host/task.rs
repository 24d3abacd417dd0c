//! Tasks and threads with names; a panic in one is reported and ends only that one.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;

/// Starts a task on the current runtime. The owner aborts it by the handle, or lets it run to its end.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the supervised replacement"
)]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(supervised(name, future))
}

/// Starts a task on a given runtime.
pub fn spawn_on<F>(
    runtime: &tokio::runtime::Handle,
    name: &'static str,
    future: F,
) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    runtime.spawn(supervised(name, future))
}

/// Starts a task on the current `LocalSet`.
pub fn spawn_local<F>(name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + 'static,
    F::Output: 'static,
{
    tokio::task::spawn_local(supervised(name, future))
}

/// Runs a blocking closure on the runtime's blocking pool. `None` when it panicked.
pub async fn blocking<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(task = name, %error, "blocking work failed");
            None
        }
    }
}

/// Starts an operating-system thread.
///
/// # Errors
/// When the machine refuses another thread.
pub fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<Option<T>>> {
    let label = name.to_owned();
    std::thread::Builder::new()
        .name(name.chars().take(15).collect())
        .spawn(
            move || match std::panic::catch_unwind(AssertUnwindSafe(work)) {
                Ok(value) => Some(value),
                Err(panic) => {
                    tracing::error!(
                        thread = label,
                        panic = panic_text(panic.as_ref()),
                        "thread panicked"
                    );
                    None
                }
            },
        )
}

async fn supervised<F: Future>(name: &'static str, future: F) -> Option<F::Output> {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(value) => Some(value),
        Err(panic) => {
            tracing::error!(
                task = name,
                panic = panic_text(panic.as_ref()),
                "task panicked"
            );
            None
        }
    }
}

/// The message of a panic, as far as it is text.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_task_ends_alone() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let ended =
            runtime.block_on(async { spawn("doomed", async { panic!("boom") }).await.unwrap() });
        assert!(ended.is_none());
    }

    #[test]
    fn a_panicking_thread_is_joined_without_a_value() {
        assert!(
            thread("doomed", || panic!("boom"))
                .unwrap()
                .join()
                .unwrap()
                .is_none()
        );
    }
}
