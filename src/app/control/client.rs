//! Asks a running server.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::{Reply, Request};

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// No server listens.
    #[error("no server is running on this data directory")]
    NotRunning,
    /// The socket could not be used.
    #[error("the control socket cannot be used: {0}")]
    Socket(#[from] std::io::Error),
    /// What came back is no reply.
    #[error("the server's reply cannot be read: {0}")]
    Reply(#[from] serde_json::Error),
    /// The server refused or failed; in its own words.
    #[error("{0}")]
    Refused(String),
    /// The server went away in the middle.
    #[error("the server ended before it answered")]
    Cut,
}

/// Sends `request` and hands each line of the answer to `line`; the value is what the server was done with.
///
/// # Errors
/// When no server runs, or it refuses.
pub async fn ask(
    socket: &Path,
    request: &Request,
    mut line: impl FnMut(Value),
) -> Result<Value, AskError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::NotRunning,
            _ => AskError::Socket(error),
        })?;
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    write.write_all(&text).await?;
    let mut lines = BufReader::new(read).lines();
    while let Some(text) = lines.next_line().await? {
        match serde_json::from_str(&text)? {
            Reply::Line(value) => line(value),
            Reply::Done(value) => return Ok(value),
            Reply::Error(message) => return Err(AskError::Refused(message)),
        }
    }
    Err(AskError::Cut)
}
