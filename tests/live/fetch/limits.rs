//! Bodies that are too large, too small for too long, or larger than they look.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use swivel::host::http::{HttpError, HttpRequest};

use super::{Act, PUBLIC, Server, answer, client, run};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 4096
}

#[test]
fn an_endless_body_is_cut_off_at_the_limit_many_at_once() {
    run(async {
        let server = Server::start(PUBLIC, |_| {
            Act::Endless(
                b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
                vec![b'x'; 64 * 1024],
                Duration::ZERO,
            )
        })
        .await;
        let (http, ..) = client();
        let before = resident();
        let all = (0..200).map(|_| {
            http.send(HttpRequest {
                timeout: Duration::from_secs(20),
                ..HttpRequest::get(server.url("/"))
            })
        });
        for result in futures_util::future::join_all(all).await {
            assert_eq!(
                result.unwrap_err(),
                HttpError::TooLarge { limit: 256 * 1024 }
            );
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < 200 * 10 * 1024 * 1024, "{grown} bytes");
    });
}

#[test]
fn an_announced_length_past_the_limit_is_refused_before_reading() {
    run(async {
        let server = Server::start(PUBLIC, |_| {
            Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\nstart".to_vec())
        })
        .await;
        let (http, ..) = client();
        let error = http
            .send(HttpRequest::get(server.url("/")))
            .await
            .unwrap_err();
        assert_eq!(error, HttpError::TooLarge { limit: 256 * 1024 });
    });
}

#[test]
fn a_slow_drip_ends_with_the_time() {
    run(async {
        let server = Server::start(PUBLIC, |_| {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
            Act::Endless(head, b"x".to_vec(), Duration::from_millis(50))
        })
        .await;
        let headers = Server::start(PUBLIC, |_| {
            Act::Endless(
                b"HTTP/1.1 200 OK\r\n".to_vec(),
                b"X".to_vec(),
                Duration::from_millis(50),
            )
        })
        .await;
        let (http, ..) = client();
        for url in [server.url("/"), headers.url("/")] {
            #[expect(clippy::disallowed_methods, reason = "a test measures")]
            let started = Instant::now();
            let after = Duration::from_millis(600);
            let error = http
                .send(HttpRequest {
                    timeout: after,
                    ..HttpRequest::get(url)
                })
                .await
                .unwrap_err();
            assert_eq!(error, HttpError::Timeout { after });
            assert!(started.elapsed() < Duration::from_millis(1500));
        }
    });
}

#[test]
fn gzip_is_undone_within_limits() {
    run(async {
        let text = b"{\"module\":\"tts\",\"data\":{\"text\":\"hello hello hello\"}}".repeat(20);
        let bomb = gzip(&vec![b' '; 200 * 1024]);
        assert!(bomb.len() < 2000);
        // Random bytes do not compress, so the ratio stays honest while the length does not.
        let mut rng = swivel::base::rng::Rng::seeded(1);
        let mut noise = vec![0; 300 * 1024];
        rng.fill(&mut noise);
        let bodies = [
            ("/text", gzip(&text)),
            ("/bomb", bomb),
            ("/long", gzip(&noise)),
            ("/cut", gzip(&text)[..20].to_vec()),
        ];
        let sent = bodies.clone();
        let server = Server::start(PUBLIC, move |seen| {
            let path = seen.head.split_whitespace().nth(1).unwrap();
            let body = sent
                .iter()
                .find(|(p, _)| *p == path)
                .map_or(&b"not gzip"[..], |(_, body)| body);
            let encoding = if path == "/br" { "br" } else { "gzip" };
            answer("200 OK", &format!("Content-Encoding: {encoding}\r\n"), body)
        })
        .await;
        let (http, ..) = client();
        let get = |path: &str| http.send(HttpRequest::get(server.url(path)));
        assert_eq!(get("/text").await.unwrap().body, text);
        assert_eq!(
            get("/bomb").await.unwrap_err(),
            HttpError::Bomb { ratio: 20 }
        );
        assert_eq!(
            get("/long").await.unwrap_err(),
            HttpError::TooLarge { limit: 256 * 1024 }
        );
        for path in ["/cut", "/not", "/br"] {
            assert!(
                matches!(get(path).await, Err(HttpError::Encoding { .. })),
                "{path}"
            );
        }
    });
}

#[test]
fn a_download_goes_to_its_file() {
    run(async {
        let body: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let sent = body.clone();
        let server = Server::start(PUBLIC, move |seen| match seen.head.contains("/no") {
            true => answer("404 Not Found", "", b"no such file"),
            false => answer("200 OK", "", &sent),
        })
        .await;
        let (http, ..) = client();
        let file = tempfile::NamedTempFile::new().unwrap();
        let request = |path: &str| HttpRequest {
            max_body: 2_000_000,
            ..HttpRequest::get(server.url(path))
        };
        let response = http
            .download(request("/a"), file.reopen().unwrap())
            .await
            .unwrap();
        assert_eq!((response.body.len(), response.body_len), (0, 1_000_000));
        assert_eq!(std::fs::read(file.path()).unwrap(), body);
        let other = tempfile::NamedTempFile::new().unwrap();
        let response = http
            .download(request("/no"), other.reopen().unwrap())
            .await
            .unwrap();
        assert_eq!(
            (response.status, &response.body[..]),
            (404, &b"no such file"[..])
        );
        assert_eq!(std::fs::metadata(other.path()).unwrap().len(), 0);
        let small = HttpRequest {
            max_body: 1000,
            ..request("/a")
        };
        assert!(matches!(
            http.download(small, other.reopen().unwrap()).await,
            Err(HttpError::TooLarge { .. })
        ));
    });
}
