//! A web server that means no good: endless, compressed, dripping and absurd bodies, one path each.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::peer::beside;

/// The running server. Its thread ends with the test's process.
pub(crate) struct Hostile {
    port: u16,
    hits: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Hostile {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let hits = Arc::new(AtomicUsize::new(0));
        let sent = Arc::new(AtomicUsize::new(0));
        let zipped = Arc::new(Mutex::new(None));
        let (counter, bytes) = (Arc::clone(&hits), Arc::clone(&sent));
        beside(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::Relaxed);
                let (zipped, sent) = (Arc::clone(&zipped), Arc::clone(&bytes));
                beside(move || serve(stream, port, &zipped, &sent));
            }
        });
        Self { port, hits, sent }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Connections so far.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// Bytes of bodies it got rid of so far.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

/// A file format with lies in its header.
fn wav(data: u32, rate: u32, channels: u16) -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend(data.wrapping_add(36).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(u32::from(channels) * 2).to_le_bytes());
    bytes.extend((channels.wrapping_mul(2)).to_le_bytes());
    bytes.extend(b"\x10\0data");
    bytes.extend(data.to_le_bytes());
    bytes.extend([0; 3200]);
    bytes
}

/// A callflow behind fifty million blanks, a thousandfold compressed.
fn zipped(cache: &Mutex<Option<Vec<u8>>>) -> Vec<u8> {
    let mut cache = cache.lock().unwrap();
    cache
        .get_or_insert_with(|| {
            let mut gzip = Command::new("gzip")
                .arg("-9")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut plain = gzip.stdin.take().unwrap();
            let writer = beside(move || {
                for _ in 0..50 {
                    plain.write_all(&[b' '; 1 << 20]).unwrap();
                }
                plain
                    .write_all(br#"{"module":"response","data":{"code":486},"children":{}}"#)
                    .unwrap();
            });
            let output = gzip.wait_with_output().unwrap();
            writer.join().unwrap();
            output.stdout
        })
        .clone()
}

fn serve(
    stream: TcpStream,
    port: u16,
    cache: &Mutex<Option<Vec<u8>>>,
    sent: &AtomicUsize,
) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    let path = first.split(' ').nth(1)?.split('?').next()?.to_owned();
    let json = "application/json";
    let sleep = |duration: &str| {
        format!(r#"{{"module":"sleep","data":{{"duration":{duration}}},"children":{{}}}}"#)
    };
    let tts =
        |text: &str| format!(r#"{{"module":"tts","data":{{"text":"{text}"}},"children":{{}}}}"#);
    let answer = |kind: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        (&stream).write_all(head.as_bytes()).ok()?;
        (&stream).write_all(body).ok()?;
        sent.fetch_add(body.len(), Ordering::Relaxed);
        Some(())
    };
    match path.as_str() {
        "/brackets" => answer(json, &[b'['; 1_000_000]),
        "/brackets-that-fit" => answer(json, &[b'['; 200_000]),
        "/objects-that-fit" => answer(json, r#"{"a":"#.repeat(50_000).as_bytes()),
        "/deep-flow" => {
            let open = r#"{"module":"noop","data":{},"children":{"_":"#.repeat(3000);
            answer(json, format!("{open}{}{}", sleep("1"), "}}".repeat(3000)).as_bytes())
        }
        "/key" => answer(json, format!(r#"{{"{}":1}}"#, "k".repeat(1 << 20)).as_bytes()),
        "/number" => answer(json, sleep("1e400").as_bytes()),
        "/surrogate" => answer(json, tts(r"\ud800").as_bytes()),
        "/twice" => answer(json, br#"{"module":"sleep","module":"answer","data":{}}"#),
        "/nul" => answer(json, b"\0\0\0\0"),
        "/not-utf8" => answer(json, b"{\"module\":\"\xff\xfe\"}"),
        "/empty" => answer(json, b""),
        "/zipped" => {
            let body = zipped(cache);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {json}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            (&stream).write_all(head.as_bytes()).ok()?;
            (&stream).write_all(&body).ok()
        }
        "/endless" | "/endless-head" => {
            let head: &[u8] = if path == "/endless" {
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nX-A: "
            };
            (&stream).write_all(head).ok()?;
            let block = [b' '; 16_384];
            loop {
                (&stream).write_all(&block).ok()?;
                sent.fetch_add(block.len(), Ordering::Relaxed);
            }
        }
        "/drip" => {
            (&stream)
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
                .ok()?;
            loop {
                (&stream).write_all(b" ").ok()?;
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        "/self" => answer(
            json,
            format!(r#"{{"module":"pivot","data":{{"voice_url":"http://127.0.0.1:{port}/self"}},"children":{{}}}}"#)
                .as_bytes(),
        ),
        "/redirect" => answer("text/xml", b"<Response><Redirect>/redirect</Redirect></Response>"),
        "/refuse" => answer(json, br#"{"module":"response","data":{"code":486},"children":{}}"#),
        "/around" => {
            let head = format!(
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/around\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            (&stream).write_all(head.as_bytes()).ok()
        }
        "/good.wav" => answer("audio/wav", &wav(3200, 8000, 1)),
        "/size.wav" => answer("audio/wav", &wav(u32::MAX, 8000, 1)),
        "/rate.wav" => answer("audio/wav", &wav(3200, 0, 1)),
        "/channels.wav" => answer("audio/wav", &wav(3200, 8000, 1000)),
        "/no-channels.wav" => answer("audio/wav", &wav(3200, 8000, 0)),
        "/head.wav" => answer("audio/wav", b"RIFF\0\0\0\0WAVE"),
        "/zero.mp3" => answer("audio/mpeg", &[0; 400_000]),
        "/frames.mp3" => answer("audio/mpeg", &[0xff, 0xfb, 0, 0].repeat(100_000)),
        "/empty.ogg" => answer("audio/ogg", b"OggS"),
        "/text.flac" => answer("audio/flac", &b"fLaC\xff\xff\xff\xff".repeat(1000)),
        _ => (&stream)
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .ok(),
    }
}
