//! The control socket: how `apply`, `export`, `block`, `trace` reach a running server.
//!
//! A Unix socket in `data_dir`, mode 0600, so whoever may read the data may command. One request a connection, as a line
//! of JSON; any number of reply lines, the last of which says `done` or `error`.
//!
//! - `client`: asks. `server`: listens. This file: what is said.

pub mod client;
pub mod server;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bundle::Bundle;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// Stores these documents.
    Apply {
        /// The documents.
        bundle: Bundle,
    },
    /// All documents. Done with the bundle.
    Export {
        /// Leave secrets out.
        redact: bool,
    },
    /// Writes everything into one file.
    Backup {
        /// Where; absolute.
        path: std::path::PathBuf,
    },
    /// Forbids fetches from these addresses.
    BlockIp {
        /// An address or network.
        cidr: String,
    },
    /// Forbids fetches from this host.
    BlockHost {
        /// Its name.
        name: String,
    },
    /// Takes back `BlockIp`.
    UnblockIp {
        /// The same address or network.
        cidr: String,
    },
    /// Takes back `BlockHost`.
    UnblockHost {
        /// The same name.
        name: String,
    },
    /// What is forbidden and allowed, and by whom.
    Blocks,
    /// The facts of one call, a line each.
    Trace {
        /// SIP Call-ID.
        call_id: String,
    },
    /// The facts of all calls as they happen, a line each, until the connection ends.
    Follow {
        /// Only this call's.
        call_id: Option<String>,
    },
    /// An address that signs a user of the page in once.
    Link {
        /// The user's name.
        user: String,
        /// Name or id of the account, where several have such a user.
        account: Option<String>,
    },
    /// Whether the server serves, and since when.
    Status,
}

/// One line of the reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A piece of the answer.
    Line(Value),
    /// The end of the answer.
    Done(Value),
    /// The end: it did not work.
    Error(String),
}

/// Longest request line, in bytes: a bundle with audio.
const REQUEST_LIMIT: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tokio::sync::mpsc;

    use super::*;

    struct Echo;

    impl server::Handler for Echo {
        async fn answer(
            &self,
            request: Request,
            lines: mpsc::Sender<Value>,
        ) -> Result<Value, String> {
            match request {
                Request::Trace { call_id } => {
                    for n in 0..3 {
                        lines
                            .send(json!({"n": n, "call": call_id}))
                            .await
                            .map_err(|e| e.to_string())?;
                    }
                    Ok(json!("end"))
                }
                _ => Err("not here".to_owned()),
            }
        }
    }

    #[test]
    fn lines_arrive_in_order_then_the_end() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("control.sock");
            let server = server::listen(&path, Arc::new(Echo)).unwrap();
            let mut seen = Vec::new();
            let request = Request::Trace {
                call_id: "x".to_owned(),
            };
            let done = client::ask(&path, &request, |line| seen.push(line))
                .await
                .unwrap();
            assert_eq!((seen.len(), done), (3, json!("end")));
            assert_eq!(seen[2]["n"], 2);
            let refused = client::ask(&path, &Request::Blocks, |_| {})
                .await
                .unwrap_err();
            assert_eq!(refused.to_string(), "not here");
            drop(server);
            assert!(matches!(
                client::ask(&path, &Request::Blocks, |_| {}).await,
                Err(client::AskError::NotRunning)
            ));
        });
    }

    #[test]
    fn the_socket_belongs_to_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("control.sock");
            let _server = server::listen(&path, Arc::new(Echo)).unwrap();
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            // A second server on the same data is refused; a dead socket is replaced.
            assert!(server::listen(&path, Arc::new(Echo)).is_err());
        });
    }
}
