//! A table of ways to write an address that must not be fetched from. Each is tried as a URL of a document, directly,
//! behind a redirect, and as media: the canary must never hear of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use swivel::clips::{Clips, ClipsConfig, ClipsParts};
use swivel::directory::Account;
use swivel::host::http::{HttpError, HttpRequest};
use swivel::speech::{TtsConfig, provider};
use swivel::store::Files;
use tokio::net::TcpListener;
use url::Url;

use super::{Act, PUBLIC, Server, answer, client, run};

/// Hosts that are the machine itself, its neighbours, or a trick. `P` in a URL stands for the canary's port.
const FORMS: &[&str] = &[
    // Loopback in every notation.
    "http://127.0.0.1:P/",
    "http://127.0.0.1.:P/",
    "http://127.1:P/",
    "http://127.0.1:P/",
    "http://0177.0.0.1:P/",
    "http://0177.0.0.01:P/",
    "http://0x7f.0.0.1:P/",
    "http://0x7F.1:P/",
    "http://0x7f000001:P/",
    "http://0X7F000001:P/",
    "http://2130706433:P/",
    "http://017700000001:P/",
    "http://0x7f.0x0.0x0.0x1:P/",
    "http://127.0x1:P/",
    "http://0177.1:P/",
    "http://127.0.00000001:P/",
    "http://0x0000007f.1:P/",
    "http://0:P/",
    "http://0.0.0.0:P/",
    "http://00:P/",
    "http://0x0:P/",
    "http://000000:P/",
    "http://0.0:P/",
    "http://127.255.255.254:P/",
    "http://127.0.0.3:P/",
    "http://127.4:P/",
    "http://127.1.1.1:P/",
    // Loopback in IPv6 and what stands for IPv4 in it.
    "http://[::1]:P/",
    "http://[0:0:0:0:0:0:0:1]:P/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:P/",
    "http://[::]:P/",
    "http://[::0]:P/",
    "http://[::ffff:127.0.0.1]:P/",
    "http://[::ffff:7f00:1]:P/",
    "http://[::FFFF:7F00:0001]:P/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:P/",
    "http://[::127.0.0.1]:P/",
    "http://[::7f00:1]:P/",
    "http://[64:ff9b::127.0.0.1]:P/",
    "http://[64:ff9b::7f00:1]:P/",
    "http://[64:ff9b:1::7f00:1]:P/",
    "http://[2002:7f00:1::]:P/",
    "http://[2002:7f00:0001::1]:P/",
    "http://[2001:0:7f00:1::1]:P/",
    "http://[::ffff:0:127.0.0.1]:P/",
    "http://[fe80::5efe:7f00:1]:P/",
    "http://[::ffff:a9fe:a9fe]:P/",
    "http://[::ffff:10.0.0.1]:P/",
    "http://[::ffff:192.168.1.1]:P/",
    "http://[fe80::1]:P/",
    "http://[fc00::1]:P/",
    "http://[fd00:ec2::254]:P/",
    "http://[ff02::1]:P/",
    "http://[fec0::1]:P/",
    "http://[2001:db8::1]:P/",
    "http://[100::1]:P/",
    "http://[::2]:P/",
    // Networks that are not the Internet.
    "http://10.0.0.1:P/",
    "http://10.255.255.255:P/",
    "http://0xa.1:P/",
    "http://167772161:P/",
    "http://012.0.0.1:P/",
    "http://172.16.0.1:P/",
    "http://172.31.255.254:P/",
    "http://192.168.0.1:P/",
    "http://0300.0250.0.1:P/",
    "http://3232235521:P/",
    "http://169.254.169.254:P/",
    "http://0xa9fea9fe:P/",
    "http://2852039166:P/",
    "http://0251.0376.0251.0376:P/",
    "http://169.254.43518:P/",
    "http://100.64.0.1:P/",
    "http://100.127.255.254:P/",
    "http://192.0.0.1:P/",
    "http://192.0.2.1:P/",
    "http://198.18.0.1:P/",
    "http://198.19.255.254:P/",
    "http://198.51.100.1:P/",
    "http://203.0.113.1:P/",
    "http://192.88.99.1:P/",
    "http://224.0.0.1:P/",
    "http://239.255.255.250:P/",
    "http://240.0.0.1:P/",
    "http://255.255.255.255:P/",
    "http://0.0.0.1:P/",
    // Names: denied ones, and those that resolve to where they must not.
    "http://localhost:P/",
    "http://LOCALHOST:P/",
    "http://localhost.:P/",
    "http://LocalHost.:P/",
    "http://%6c%6f%63%61%6c%68%6f%73%74:P/",
    "http://ｌｏｃａｌｈｏｓｔ:P/",
    "http://loc\u{ad}alhost:P/",
    "http://loopback.test:P/",
    "http://loopback6.test:P/",
    "http://mapped.test:P/",
    "http://private.test:P/",
    "http://cname.test:P/",
    "http://metadata.test:P/",
    "http://mixed.test:P/",
    "http://mixed-late.test:P/",
    "http://nat64.test:P/",
    "http://six-to-four.test:P/",
    "http://zero.test:P/",
    "http://cgnat.test:P/",
    "http://ula.test:P/",
    "http://multicast.test:P/",
    "http://LOOPBACK.TEST.:P/",
    "http://nowhere.test:P/",
    // Digits and dots of other scripts.
    "http://①②⑦.⓪.⓪.①:P/",
    "http://１２７.０.０.１:P/",
    "http://127。0。0。1:P/",
    "http://127．0．0．1:P/",
    "http://127｡0｡0｡1:P/",
    "http://⑯⑨.②⑤④.⑯⑨.②⑤④:P/",
    "http://%31%32%37.0.0.1:P/",
    "http://%30:P/",
    "http://①②⑦.1:P/",
    "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏:P/",
    "http://[::１]:P/",
    // What a careless parser takes for the host.
    "http://user@127.0.0.1:P/",
    "http://user:pass@127.0.0.1:P/",
    "http://public.test@127.0.0.1:P/",
    "http://public.test:80@127.0.0.1:P/",
    "http://127.0.0.1:P#@public.test/",
    "http://127.0.0.1:P?@public.test/",
    "http://127.0.0.1:P\\@public.test/",
    "http:\\\\127.0.0.1:P\\",
    "http:/127.0.0.1:P/",
    "http:127.0.0.1:P/",
    "http:////127.0.0.1:P/",
    "http:///127.0.0.1:P/",
    "http://public.test%40@127.0.0.1:P/",
    "http://127.0.0.1:P/..//public.test/",
    "http://public.test\\@127.0.0.1:P/",
    "http://@127.0.0.1:P/",
    "http://:@127.0.0.1:P/",
    "http://%00@127.0.0.1:P/",
    " http://127.0.0.1:P/",
    "http://127.0.0.1:P/ ",
    "\u{0}http://127.0.0.1:P/",
    "\thttp://127.0.0.1:P/",
    "ht\ntp://127.0.0.1:P/",
    "http://127.0\t.0.1:P/",
    "http://127.\r\n0.0.1:P/",
    "http://12\n7.0.0.1:P/",
    "HTTP://127.0.0.1:P/",
    "hTTp://127.0.0.1:P/",
    "http://127.0.0.1:0P/",
    "http://127.0.0.1:00000P/",
    // Schemes and ports.
    "https://127.0.0.1:P/",
    "https://localhost:P/",
    "https://loopback.test:P/",
    "ftp://127.0.0.1:P/",
    "file://127.0.0.1/etc/passwd",
    "file:///etc/passwd",
    "gopher://127.0.0.1:P/_x",
    "ws://127.0.0.1:P/",
    "unix:/var/run/docker.sock",
    "data:text/plain,x",
    "javascript:1",
    "dict://127.0.0.1:P/",
    "//127.0.0.1:P/",
    "http://public.test:22/",
    "http://public.test:25/",
    "http://127.0.0.2:22/",
    "http://public.test:022/",
];

/// Hosts in a row: what the script of names answers.
const NAMES: &[(&str, &[&str])] = &[
    ("loopback.test", &["127.0.0.1"]),
    ("loopback6.test", &["::1"]),
    ("mapped.test", &["::ffff:127.0.0.1"]),
    ("private.test", &["10.0.0.1"]),
    ("cname.test", &["192.168.1.1"]),
    ("metadata.test", &["169.254.169.254"]),
    ("mixed.test", &["127.0.0.1", PUBLIC]),
    ("mixed-late.test", &[PUBLIC, "127.0.0.1"]),
    ("nat64.test", &["64:ff9b::7f00:1"]),
    ("six-to-four.test", &["2002:7f00:1::"]),
    ("zero.test", &["0.0.0.0"]),
    ("cgnat.test", &["100.64.0.1"]),
    ("ula.test", &["fd00::1"]),
    ("multicast.test", &["224.0.0.1"]),
    ("nowhere.test", &[]),
    ("public.test", &[PUBLIC]),
];

/// The canary on IPv4 and, where the machine has it, on IPv6, on the same port.
async fn canaries() -> (u16, Vec<Server>) {
    for _ in 0..50 {
        let four = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = four.local_addr().unwrap().port();
        let act = |_: &super::Seen| answer("200 OK", "", b"the canary sang");
        let mut servers = Vec::new();
        for ip in ["::1", "127.0.0.3"] {
            if let Ok(listener) = TcpListener::bind((ip, port)).await {
                servers.push(Server::run(listener, act));
            }
        }
        if !servers.is_empty() {
            servers.push(Server::run(four, act));
            return (port, servers);
        }
    }
    panic!("no port is free on two addresses");
}

fn forms(port: u16) -> Vec<String> {
    FORMS
        .iter()
        .map(|form| form.replace('P', &port.to_string()))
        .collect()
}

#[test]
fn the_table_is_long_enough_and_without_repetition() {
    assert_eq!(FORMS.iter().collect::<BTreeSet<_>>().len(), FORMS.len());
    assert!(FORMS.len() >= 120, "{}", FORMS.len());
}

#[test]
fn no_form_of_a_private_address_reaches_the_canary() {
    run(async {
        let (port, canaries) = canaries().await;
        let (http, guard, names) = client();
        for (name, addresses) in NAMES {
            names.set(name, &[addresses]);
        }
        let speech = provider(&TtsConfig::default(), &tokio::runtime::Handle::current()).unwrap();
        let parts = ClipsParts {
            io: tokio::runtime::Handle::current(),
            http: http.clone(),
            speech,
            files: Files::memory(),
            config: ClipsConfig {
                fetch_timeout: Duration::from_secs(3),
                ..ClipsConfig::default()
            },
        };
        let (clips, account) = (Clips::new(parts), Account::of("a", []));
        for form in forms(port) {
            // At save, names that resolve to private addresses cannot be known yet; everything else can.
            let by_name = form.contains(".test") || form.contains(".TEST");
            assert!(
                by_name || guard.check_text(&form).is_err(),
                "accepted at save: {form:?}"
            );
            if let Ok(url) = Url::parse(&form) {
                let public = url.host_str() == Some("public.test");
                let mut request = HttpRequest::get(url);
                request.timeout = Duration::from_secs(3);
                let error = http.send(request).await.expect_err(&form);
                let refused = matches!(error, HttpError::Refused(_) | HttpError::Name { .. });
                assert!(refused || public, "{form:?}: {error}");
            }
            assert!(
                clips.resolve(&account, &form, "en-us").await.is_err(),
                "{form:?}"
            );
        }
        for canary in canaries {
            assert_eq!(canary.connections(), 0, "{}", canary.address);
        }
    });
}

#[test]
fn no_redirect_leads_to_the_canary() {
    run(async {
        let (port, canaries) = canaries().await;
        let table = Arc::new(forms(port));
        let shown = table.clone();
        // `/301/7` redirects with status 301 to the seventh form.
        let public = Server::start(PUBLIC, move |seen| {
            let mut parts = seen
                .head
                .split_whitespace()
                .nth(1)
                .unwrap()
                .split('/')
                .skip(1);
            let (Some(status), Some(Ok(number))) =
                (parts.next(), parts.next().map(str::parse::<usize>))
            else {
                return answer("404 Not Found", "", b"");
            };
            let target: String = shown[number]
                .chars()
                .filter(|c| !matches!(c, '\r' | '\n' | '\0'))
                .collect();
            let mut bytes = format!("HTTP/1.1 {status} Moved\r\nLocation: ").into_bytes();
            bytes.extend(target.into_bytes());
            bytes.extend(b"\r\nContent-Length: 0\r\n\r\n");
            Act::Send(bytes)
        })
        .await;
        let (http, _guard, names) = client();
        for (name, addresses) in NAMES {
            names.set(name, &[addresses]);
        }
        for status in [301, 302, 303, 307, 308] {
            for number in 0..table.len() {
                let url = public.url(&format!("/{status}/{number}"));
                for request in [
                    HttpRequest::get(url.clone()),
                    HttpRequest::post(url, "text/plain", "x"),
                ] {
                    let request = HttpRequest {
                        timeout: Duration::from_secs(3),
                        ..request
                    };
                    if let Ok(response) = http.send(request).await {
                        // Some forms are paths of the public server when they stand in a Location.
                        assert_ne!(response.status, 200, "{:?}", table[number]);
                    }
                }
            }
        }
        for canary in canaries {
            assert_eq!(canary.connections(), 0, "{}", canary.address);
        }
    });
}

#[test]
fn a_name_that_changes_its_mind_is_caught() {
    run(async {
        let (port, canaries) = canaries().await;
        let public = Server::run(TcpListener::bind((PUBLIC, port)).await.unwrap(), |_| {
            answer("200 OK", "Connection: close\r\n", b"public")
        });
        let (http, _guard, names) = client();
        let url: Url = format!("http://flip.test:{port}/").parse().unwrap();
        for private in ["127.0.0.1", "::1", "127.0.0.3"] {
            names.set("flip.test", &[&[PUBLIC], &[private]]);
            let first = http.send(HttpRequest::get(url.clone())).await.unwrap();
            assert_eq!(&first.body[..], b"public");
            let second = http.send(HttpRequest::get(url.clone())).await;
            // Either the lie is seen through, or the name was not asked again.
            match second {
                Err(HttpError::Refused(error)) => {
                    assert!(error.address.contains("flip.test"), "{error}")
                }
                Ok(response) => assert_eq!(&response.body[..], b"public"),
                Err(other) => panic!("{other}"),
            }
        }
        assert!(public.connections() >= 3);
        for canary in canaries {
            assert_eq!(canary.connections(), 0, "{}", canary.address);
        }
    });
}
