//! The HTTP client and its address guard over real sockets on loopback (`security.md` rows 17 and 21), and speech by
//! real programs and servers.
//!
//! `127.0.0.2` plays the public web server (the guard allows it, and only it); everything else on loopback is private.
//! Names are resolved by a script, so that they can lie.

mod client;
mod forms;
mod limits;
mod speech;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use swivel::host::guard::{Guard, GuardConfig};
use swivel::host::http::{HttpClient, Names};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Where the public web server is.
pub(super) const PUBLIC: &str = "127.0.0.2";

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The request line and the headers.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    /// Which connection it came on.
    pub(super) connection: usize,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        lines
            .into_iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// What a server does with a request.
pub(super) enum Act {
    /// Sends these bytes and keeps the connection.
    Send(Vec<u8>),
    /// Sends the first bytes, then the second over and over, with a pause after each.
    Endless(Vec<u8>, Vec<u8>, Duration),
    /// Sends nothing and waits.
    Hang,
}

/// A whole response.
pub(super) fn answer(status: &str, headers: &str, body: &[u8]) -> Act {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    Act::Send(bytes)
}

/// A scripted web server.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    pub(super) async fn start(
        ip: &str,
        act: impl Fn(&Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        Self::run(listener, act)
    }

    pub(super) fn run(
        listener: TcpListener,
        act: impl Fn(&Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let (me, act) = (server.clone(), Arc::new(act));
        drop(swivel::host::task::spawn("test-server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut connections = me.connections.lock().unwrap();
                    *connections += 1;
                    *connections
                };
                drop(swivel::host::task::spawn(
                    "test-connection",
                    serve(stream, number, me.clone(), act.clone()),
                ));
            }
        }));
        server
    }

    pub(super) fn url(&self, path: &str) -> url::Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    server: Server,
    act: Arc<impl Fn(&Seen) -> Act + Send + Sync + 'static>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let mut seen = Seen {
            head,
            body: Vec::new(),
            connection,
        };
        let length = seen
            .header("content-length")
            .map_or(0, |l| l.parse().unwrap());
        while buffer.len() < end + length {
            stream.read_buf(&mut buffer).await?;
        }
        seen.body = buffer[end..end + length].to_vec();
        buffer.drain(..end + length);
        server.seen.lock().unwrap().push(seen.clone());
        match act(&seen) {
            Act::Send(bytes) => stream.write_all(&bytes).await?,
            Act::Endless(first, then, pause) => {
                stream.write_all(&first).await?;
                loop {
                    stream.write_all(&then).await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Act::Hang => std::future::pending().await,
        }
    }
}

/// Answers names by a script: each lookup takes the next answer, the last one stays.
#[derive(Default)]
pub(super) struct Script(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

impl Script {
    pub(super) fn set(&self, name: &str, answers: &[&[&str]]) {
        let parse = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        self.0
            .lock()
            .unwrap()
            .insert(name.to_owned(), answers.iter().map(parse).collect());
    }
}

impl Names for Script {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut names = self.0.lock().unwrap();
        let answer = match names.get_mut(name.trim_end_matches('.')) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
        };
        Box::pin(async move { answer })
    }
}

/// A guard that lets through the public server only.
pub(super) fn guard() -> Arc<Guard> {
    Arc::new(Guard::new(GuardConfig {
        allow: vec![PUBLIC.parse().unwrap()],
        ..GuardConfig::default()
    }))
}

/// A client behind [`guard`], with scripted names.
pub(super) fn client() -> (HttpClient, Arc<Guard>, Arc<Script>) {
    let (guard, names) = (guard(), Arc::new(Script::default()));
    let client = HttpClient::with_names(
        tokio::runtime::Handle::current(),
        guard.clone(),
        names.clone(),
    );
    (client, guard, names)
}

/// Runs a test on a runtime like the server's.
pub(super) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}
