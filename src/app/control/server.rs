//! Listens on the control socket.

use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::{REQUEST_LIMIT, Reply, Request};
use crate::host::task;

/// Who answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request: pieces through `lines`, the end as the result. A closed `lines` means nobody listens.
    fn answer(
        &self,
        request: Request,
        lines: mpsc::Sender<Value>,
    ) -> impl Future<Output = Result<Value, String>> + Send;
}

/// A listening control socket; dropping it closes and removes the socket.
#[derive(Debug)]
pub struct Listening {
    path: PathBuf,
    task: JoinHandle<Option<()>>,
}

/// Connections served at once; further ones wait.
const AT_ONCE: usize = 16;
/// Reply lines that may wait for a slow reader; the handler waits beyond.
const LINES: usize = 256;

/// Listens at `path`. A socket left behind by a server that is gone is replaced. Must be called inside a runtime.
///
/// # Errors
/// When another server listens there, or the socket cannot be made.
pub fn listen<H: Handler>(path: &Path, handler: Arc<H>) -> io::Result<Listening> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            return Err(io::Error::new(
                ErrorKind::AddrInUse,
                "another server runs on this data directory",
            ));
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let task = task::spawn("control", accept(listener, handler));
    Ok(Listening {
        path: path.to_owned(),
        task,
    })
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "control socket not removed");
        }
    }
}

async fn accept<H: Handler>(listener: UnixListener, handler: Arc<H>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let handler = Arc::clone(&handler);
                task::spawn("control-connection", async move {
                    if let Err(error) = serve(stream, handler.as_ref()).await {
                        tracing::debug!(%error, "control connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control connection not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve<H: Handler>(stream: UnixStream, handler: &H) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read).take(REQUEST_LIMIT as u64);
    let mut text = Vec::new();
    read.read_until(b'\n', &mut text).await?;
    let (sender, mut lines) = mpsc::channel(LINES);
    let answer = async {
        match serde_json::from_slice::<Request>(&text) {
            Ok(request) => handler.answer(request, sender).await,
            Err(error) => Err(format!("the request cannot be read: {error}")),
        }
    };
    tokio::pin!(answer);
    let mut gone = [0];
    let mut end = None;
    loop {
        tokio::select! {
            biased;
            Some(line) = lines.recv() => send(&mut write, &Reply::Line(line)).await?,
            result = &mut answer, if end.is_none() => {
                end = Some(match result {
                    Ok(value) => Reply::Done(value),
                    Err(message) => Reply::Error(message),
                });
            }
            // The asker has gone away: so has the reason to go on.
            _ = read.read(&mut gone), if end.is_none() => return Ok(()),
            else => break,
        }
    }
    match end {
        Some(end) => send(&mut write, &end).await,
        None => Ok(()),
    }
}

async fn send(write: &mut tokio::net::unix::OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut text = serde_json::to_vec(reply)?;
    text.push(b'\n');
    write.write_all(&text).await
}
