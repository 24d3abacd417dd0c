//! What the client sends and follows.

use std::time::Duration;

use swivel::host::guard::Block;
use swivel::host::http::{HttpError, HttpRequest, Method};

use super::{Act, PUBLIC, Server, answer, client, run};

#[test]
fn connections_are_used_again() {
    run(async {
        let server = Server::start(PUBLIC, |_| answer("200 OK", "X-A: b\r\n", b"hello")).await;
        let (http, ..) = client();
        for _ in 0..5 {
            let response = http
                .send(HttpRequest::get(server.url("/x?y=z")))
                .await
                .unwrap();
            assert_eq!(
                (response.status, &response.body[..], response.header("x-a")),
                (200, &b"hello"[..], Some("b"))
            );
            assert!(
                response.sent_at <= response.first_byte_at
                    && response.first_byte_at <= response.done_at
            );
        }
        assert_eq!(server.connections(), 1);
        let seen = &server.seen()[0];
        assert!(
            seen.head.starts_with("GET /x?y=z HTTP/1.1\r\n"),
            "{}",
            seen.head
        );
        assert!(seen.header("user-agent").unwrap().starts_with("swivel/"));
        for header in [
            "accept-encoding",
            "cookie",
            "referer",
            "authorization",
            "proxy-authorization",
        ] {
            assert_eq!(seen.header(header), None);
        }
    });
}

#[test]
fn a_block_works_at_once_even_on_a_kept_connection() {
    run(async {
        let server = Server::start(PUBLIC, |_| answer("200 OK", "", b"")).await;
        let (http, guard, names) = client();
        names.set("shop.test", &[&[PUBLIC]]);
        let url = format!("http://shop.test:{}/", server.address.port());
        let get = || http.send(HttpRequest::get(url.parse().unwrap()));
        assert!(get().await.is_ok());
        for block in [
            Block::Ip("127.0.0.2".parse().unwrap()),
            Block::host("shop.test"),
        ] {
            guard.block(block.clone());
            let error = get().await.unwrap_err();
            assert!(
                matches!(&error, HttpError::Refused(e) if e.setting.contains("unblock")),
                "{error}"
            );
            guard.unblock(&block);
            assert!(get().await.is_ok());
        }
    });
}

#[test]
fn our_own_listeners_are_never_asked() {
    run(async {
        let server = Server::start(PUBLIC, |_| answer("200 OK", "", b"")).await;
        let (http, guard, names) = client();
        names.set("self.test", &[&[PUBLIC]]);
        guard.set_listeners(vec![
            format!("0.0.0.0:{}", server.address.port())
                .parse()
                .unwrap(),
        ]);
        for host in [PUBLIC, "self.test"] {
            let url = format!("http://{host}:{}/", server.address.port());
            let error = http
                .send(HttpRequest::get(url.parse().unwrap()))
                .await
                .unwrap_err();
            assert!(
                error.to_string().contains("listener of this server"),
                "{error}"
            );
        }
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn credentials_stay_with_their_origin_and_secrets_with_their_host() {
    run(async {
        let other = Server::start(PUBLIC, |_| answer("200 OK", "", b"other")).await;
        let target = other.url("/there");
        let first = Server::start(PUBLIC, move |seen| match seen.head.contains("/same") {
            true => answer("200 OK", "", b"same"),
            false if seen.head.contains("/in") => answer("302 Found", "Location: /same\r\n", b""),
            false => answer("307 Found", &format!("Location: {target}\r\n"), b""),
        })
        .await;
        let (http, _guard, names) = client();
        names.set("first.test", &[&[PUBLIC]]);
        let with = |path: &str, host: &str| {
            let url = format!("http://me:s%20cret@{host}:{}{path}", first.address.port());
            let mut request = HttpRequest::get(url.parse().unwrap());
            request.headers.push(("X-Key".to_owned(), "k".to_owned()));
            http.send(request)
        };
        let response = with("/in", PUBLIC).await.unwrap();
        assert_eq!(
            (response.redirects, response.url.as_str()),
            (1, first.url("/same").as_str())
        );
        for seen in first.seen() {
            assert_eq!(seen.header("authorization"), Some("Basic bWU6cyBjcmV0"));
            assert_eq!(seen.header("x-key"), Some("k"));
        }
        // Another port of the same host: another origin.
        with("/out", PUBLIC).await.unwrap();
        let seen = other.seen()[0].clone();
        assert_eq!(
            (seen.header("authorization"), seen.header("x-key")),
            (None, Some("k"))
        );
        // Another host.
        with("/out", "first.test").await.unwrap();
        let seen = other.seen()[1].clone();
        assert_eq!(
            (seen.header("authorization"), seen.header("x-key")),
            (None, None)
        );
    });
}

#[test]
fn redirects_are_counted_and_change_the_method_as_they_should() {
    run(async {
        let server = Server::start(PUBLIC, |seen| {
            let path = seen.head.split_whitespace().nth(1).unwrap();
            match path.strip_prefix("/to/") {
                Some(status) => answer(&format!("{status} x"), "Location: ../end\r\n", b""),
                None if path.starts_with("/loop") => {
                    answer("302 Found", "Location: /loop\r\n", b"body")
                }
                None => answer("200 OK", "", b"end"),
            }
        })
        .await;
        let (http, ..) = client();
        for (status, method, with_body) in [
            (301, "GET", false),
            (302, "GET", false),
            (303, "GET", false),
            (307, "POST", true),
            (308, "POST", true),
        ] {
            let request =
                HttpRequest::post(server.url(&format!("/to/{status}")), "text/plain", "body");
            assert_eq!(&http.send(request).await.unwrap().body[..], b"end");
            let last = server.seen().pop().unwrap();
            assert!(
                last.head.starts_with(&format!("{method} /end ")),
                "{status}: {}",
                last.head
            );
            assert_eq!(last.body.is_empty(), !with_body, "{status}");
            assert_eq!(last.header("content-type").is_some(), with_body, "{status}");
        }
        let before = server.seen().len();
        let response = http
            .send(HttpRequest::get(server.url("/loop")))
            .await
            .unwrap();
        assert_eq!(
            (response.status, response.redirects, &response.body[..]),
            (302, 4, &b"body"[..])
        );
        assert_eq!(server.seen().len() - before, 5);
        let put = HttpRequest {
            method: Method::Put,
            ..HttpRequest::post(server.url("/to/302"), "a/b", "x")
        };
        assert_eq!(
            http.send(put).await.unwrap().status,
            302,
            "a PUT is not turned into a GET"
        );
    });
}

#[test]
fn a_busy_server_is_asked_again_within_the_time() {
    run(async {
        let server = Server::start(PUBLIC, |seen| match seen.head.contains("/once") {
            true if seen.connection == 1 && !seen.head.contains("x-again") => {
                answer("503 Busy", "Retry-After: 0\r\n", b"")
            }
            _ => answer("503 Busy", "Retry-After: 30\r\n", b"busy"),
        })
        .await;
        let (http, ..) = client();
        let get = |path: &str| HttpRequest {
            timeout: Duration::from_secs(2),
            ..HttpRequest::get(server.url(path))
        };
        // Longer than the request may take: the 503 is the answer, at once.
        let response = http.send(get("/later")).await.unwrap();
        assert_eq!((response.status, &response.body[..]), (503, &b"busy"[..]));
        assert!(response.done_at.duration_since(response.sent_at) < Duration::from_secs(1));
        // Again and again, but not for ever.
        let before = server.seen().len();
        assert_eq!(http.send(get("/once")).await.unwrap().status, 503);
        assert_eq!(server.seen().len() - before, 6);
        let plain = HttpRequest {
            retry_unavailable: false,
            ..get("/once")
        };
        let before = server.seen().len();
        assert_eq!(http.send(plain).await.unwrap().status, 503);
        assert_eq!(server.seen().len() - before, 1);
    });
}

#[test]
fn what_goes_wrong_is_told_apart() {
    run(async {
        let hang = Server::start(PUBLIC, |_| Act::Hang).await;
        let broken =
            Server::start(PUBLIC, |_| Act::Send(b"SSH-2.0-OpenSSH_9\r\n\r\n".to_vec())).await;
        let (http, _guard, names) = client();
        names.set("empty.test", &[&[]]);
        let quick = |url: &str| HttpRequest {
            timeout: Duration::from_millis(400),
            ..HttpRequest::get(url.parse().unwrap())
        };
        let error = |url: String| {
            let request = quick(&url);
            let http = http.clone();
            async move { http.send(request).await.unwrap_err() }
        };
        assert_eq!(
            error(hang.url("/").into()).await,
            HttpError::Timeout {
                after: Duration::from_millis(400)
            }
        );
        assert!(matches!(
            error(broken.url("/").into()).await,
            HttpError::Broken { .. }
        ));
        assert!(matches!(
            error("http://nobody.test/".into()).await,
            HttpError::Name { .. }
        ));
        assert!(matches!(
            error("http://empty.test/".into()).await,
            HttpError::Name { .. }
        ));
        let closed = tokio::net::TcpListener::bind((PUBLIC, 0))
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        assert!(matches!(
            error(format!("http://{closed}/")).await,
            HttpError::Connect { .. }
        ));
        let mut bad = quick("http://127.0.0.2/");
        bad.headers
            .push(("X-A".to_owned(), "a\r\nX-B: c".to_owned()));
        assert_eq!(
            http.send(bad).await.unwrap_err(),
            HttpError::Header {
                name: "X-A".to_owned()
            }
        );
    });
}

#[test]
fn a_dropped_request_ends_its_connection() {
    run(async {
        let server = Server::start(PUBLIC, |_| {
            Act::Endless(Vec::new(), Vec::new(), Duration::from_millis(5))
        })
        .await;
        let (http, ..) = client();
        let request = http.send(HttpRequest::get(server.url("/")));
        assert!(
            tokio::time::timeout(Duration::from_millis(100), request)
                .await
                .is_err()
        );
        assert_eq!(server.connections(), 1);
    });
}
