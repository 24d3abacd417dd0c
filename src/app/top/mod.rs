//! `swivel top`: calls that are up, the ladder of one of them, and the problems of the last hour, on a plain terminal. All
//! of it comes through the HTTP API and its WebSocket, so that it works from anywhere.
//!
//! - `feed`: asks the server. - `model`: what is known, and what keys do. - `draw`: the screen.

mod draw;
mod feed;
mod model;

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::host::task;

pub use feed::{FeedError, Login, Server};
pub use model::{Model, Step, Wish};

/// How long the screen waits for a key before it looks for news.
const GLANCE: Duration = Duration::from_millis(200);
/// News that wait for the screen; what is newer makes them obsolete.
const NEWS: usize = 16;

/// Shows the server until `q` is pressed or a signal ends it. The terminal is as before afterwards, also after a panic.
///
/// # Errors
/// When there is no terminal, or it cannot be written to.
pub fn show(server: Server, io: &Handle) -> io::Result<()> {
    let mut model = Model::new(server.name());
    let (news_in, mut news) = mpsc::channel(NEWS);
    let (wish, wishes) = watch::channel(Wish::default());
    let (stop, mut stopped) = mpsc::channel::<()>(1);
    let feed = task::spawn_on(io, "top", feed::run(server, wishes, news_in));
    let signals = task::spawn_on(io, "top-signals", async move {
        signalled().await;
        if stop.send(()).await.is_err() {
            tracing::debug!("the screen is gone already");
        }
    });
    let mut terminal = ratatui::try_init()?;
    let shown = loop {
        while let Ok(update) = news.try_recv() {
            model.take(update);
        }
        if let Err(error) = terminal.draw(|frame| draw::draw(frame, &mut model)) {
            break Err(error);
        }
        if hung_up() {
            break Ok(());
        }
        match stopped.try_recv() {
            Err(mpsc::error::TryRecvError::Empty) => {}
            Ok(()) | Err(mpsc::error::TryRecvError::Disconnected) => break Ok(()),
        }
        let key = match event::poll(GLANCE) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => break Err(error),
        };
        match key {
            Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => {
                if model.key(key.code, key.modifiers) == Step::Quit {
                    break Ok(());
                }
                wish.send_replace(model.wish());
            }
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    ratatui::restore();
    feed.abort();
    signals.abort();
    shown
}

/// Whether the terminal is gone: not every one that goes sends a signal, and reading it would never end.
fn hung_up() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let input = io::stdin();
    let mut seen = [PollFd::new(&input, PollFlags::empty())];
    let looked = poll(&mut seen, Some(&Timespec::default()));
    looked.is_ok()
        && seen
            .iter()
            .any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

/// Waits for a signal that ends programs.
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut hangup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
