//! How a running server stands, in words: what `swivel check` tries before a start, looked at while it runs. The page shows
//! it at the first visit and in its settings.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::config::Config;
use super::serve;
use crate::api::{Check, Health};
use crate::net::tls;

/// The voice may take this long to say a word.
const VOICE: Duration = Duration::from_secs(8);
/// Less room for recordings and logs than this is worth a word, in bytes.
const ROOM: u64 = 1 << 30;
/// With less the store may stop at any time.
const FULL: u64 = 16 << 20;

/// Looks at the server of `config` whenever it is asked.
pub(super) fn asker(config: &Config, sip: &[SocketAddr], http: SocketAddr) -> Health {
    let config = Arc::new(config.clone());
    let sip: Arc<[SocketAddr]> = sip.into();
    Arc::new(move || {
        let (config, sip) = (Arc::clone(&config), Arc::clone(&sip));
        async move { look(&config, &sip, http).await }.boxed()
    })
}

async fn look(config: &Config, sip: &[SocketAddr], http: SocketAddr) -> Vec<Check> {
    let listeners = config.sip.listen.iter().zip(sip);
    let listeners: Vec<String> = listeners
        .map(|(url, bound)| format!("{} {bound}", url.transport.uri_name()))
        .collect();
    let mut all = vec![
        ok("SIP", format!("listens on {}", listeners.join(", "))),
        ok("API and page", format!("listen on {http}")),
        public_address(config, sip),
        ok(
            "Audio",
            format!("ports for {} calls", config.rtp.ports.pairs()),
        ),
    ];
    all.push(
        match tokio::time::timeout(VOICE, serve::try_voice(config)).await {
            Ok(Ok(words)) => ok(
                "Speech",
                words.split(" (").next().unwrap_or_default().to_owned(),
            ),
            Ok(Err(words)) => failing("Speech", words),
            Err(_) => failing(
                "Speech",
                format!("said nothing within {} s", VOICE.as_secs()),
            ),
        },
    );
    all.push(match certificate(config) {
        Ok(words) => ok("TLS", words),
        Err(words) => failing("TLS", words),
    });
    if config.pivot.allow.is_empty() {
        all.push(attention(
            "Web servers",
            "pivot.allow is empty: web servers on private addresses and on this machine are refused".to_owned(),
        ));
    }
    all.push(room(&config.data_dir, config.rtp.record_min_free));
    all
}

/// Whether telephones from outside find their way in.
fn public_address(config: &Config, sip: &[SocketAddr]) -> Check {
    let what = "Way in";
    if let Some(host) = config.advertised_host() {
        return ok(what, format!("others are told {host}"));
    }
    if sip.iter().all(|bound| bound.ip().is_loopback()) {
        return attention(
            what,
            "calls work on this machine only: sip.listen names loopback addresses".to_owned(),
        );
    }
    let public = |bound: &SocketAddr| !bound.ip().is_unspecified() && !is_private(bound);
    if sip.iter().any(public) {
        return ok(what, "SIP listens on a public address".to_owned());
    }
    attention(
        what,
        "no public address: calls work inside this network only; sip.advertise names one"
            .to_owned(),
    )
}

fn is_private(bound: &SocketAddr) -> bool {
    match bound.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

/// What tls:// and wss:// listeners will show, and whom outgoing connections believe.
pub(super) fn certificate(config: &Config) -> Result<String, String> {
    let about = tls::examine(&config.tls).map_err(|e| e.to_string())?;
    let served = config.sip.listen.iter().any(|l| l.transport.is_secure());
    match about {
        Some(about) => {
            let hosts: Vec<String> = config.advertised_host().into_iter().collect();
            about.judge(tls::unix_now(), &hosts)
        }
        None if served => Ok(format!(
            "tls.certificate is empty: a development certificate is made in {}; peers refuse it unless they are told to trust it",
            config.tls_dir().display()
        )),
        None => Ok("no listener of sip.listen uses it".to_owned()),
    }
}

fn room(path: &Path, record_min_free: u64) -> Check {
    let what = "Disk";
    match rustix::fs::statvfs(path) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            if free < record_min_free.max(FULL) {
                let (free, least) = (free >> 20, record_min_free >> 20);
                let words = if free == 0 {
                    "full: nothing is recorded, and nothing can be stored until there is room"
                        .to_owned()
                } else {
                    format!("{free} MB free for data: calls go on, recordings need {least} MB")
                };
                return failing(what, words);
            }
            let words = format!("{} GB free for data", free >> 30);
            if free < ROOM {
                attention(what, words)
            } else {
                ok(what, words)
            }
        }
        Err(error) => failing(what, format!("{}: {error}", path.display())),
    }
}

fn ok(what: &str, words: String) -> Check {
    check(what, "ok", words)
}

fn attention(what: &str, words: String) -> Check {
    check(what, "attention", words)
}

fn failing(what: &str, words: String) -> Check {
    check(what, "failing", words)
}

fn check(what: &str, state: &'static str, words: String) -> Check {
    Check {
        what: what.to_owned(),
        state,
        words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_loopback_says_that_nobody_else_can_call() {
        let config = Config::default();
        let at = |text: &str| [text.parse::<SocketAddr>().unwrap()];
        assert_eq!(
            public_address(&config, &at("127.0.0.1:5060")).state,
            "attention"
        );
        assert_eq!(
            public_address(&config, &at("0.0.0.0:5060")).state,
            "attention"
        );
        assert_eq!(
            public_address(&config, &at("10.0.0.1:5060")).state,
            "attention"
        );
        assert_eq!(public_address(&config, &at("203.0.113.9:5060")).state, "ok");
    }
}
