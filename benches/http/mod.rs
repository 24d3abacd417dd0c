//! What benchmarks of the API share: a connection that is kept, and how its times are told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A connection that is kept.
pub(crate) struct Line {
    stream: BufReader<TcpStream>,
}

impl Line {
    /// Opens it.
    pub(crate) async fn to(address: SocketAddr) -> Line {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Line {
            stream: BufReader::new(stream),
        }
    }

    /// Status, body, and how long the first byte took.
    pub(crate) async fn ask(
        &mut self,
        verb: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> (u16, Vec<u8>, Duration) {
        let text = format!(
            "{verb} {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let begun = Instant::now();
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .await
            .unwrap();
        let (mut status, mut length, mut chunked) = (0, 0, false);
        let mut first = None;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if status == 0 {
                status = line.split(' ').nth(1).expect("a status").parse().unwrap();
            }
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            chunked |= line.starts_with("transfer-encoding: chunked");
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if chunked {
            body.clear();
            loop {
                let mut line = String::new();
                self.stream.read_line(&mut line).await.unwrap();
                first.get_or_insert_with(|| begun.elapsed());
                let size = usize::from_str_radix(line.trim(), 16).unwrap();
                let mut piece = vec![0; size + 2];
                self.stream.read_exact(&mut piece).await.unwrap();
                piece.truncate(size);
                body.extend(piece);
                if size == 0 {
                    break;
                }
            }
        } else {
            self.stream.read_exact(&mut body).await.unwrap();
        }
        (status, body, first.unwrap_or_else(|| begun.elapsed()))
    }
}

/// Prints how long something took.
pub(crate) fn told(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!(
        "{what:<34} p50 {:>8.2} ms   p99 {:>8.2} ms   most {:>8.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
