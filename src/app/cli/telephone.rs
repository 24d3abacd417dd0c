//! What `swivel call` and `swivel phone` have in common: their options, and how they print.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::super::caller::level::Level;
use super::super::caller::{Destination, Ending, Identity, Manner, Network, Observer, Outcome};
use super::super::caller::{Shift, script};
use super::super::ladder::Rung;
use crate::audio::{Clip, Codec};
use crate::base::secret::Secret;
use crate::net::dns::NameServer;
use crate::sip::flow::Transport;

/// How the server is reached, and as whom.
#[derive(Debug, Clone, Args)]
pub(super) struct WayArgs {
    /// Where to send everything instead of the target's own host.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) via: Option<String>,
    /// Use TCP instead of UDP.
    #[arg(long, group = "transport")]
    tcp: bool,
    /// Use TLS; the server must prove to be the host it is reached at.
    #[arg(long, group = "transport")]
    tls: bool,
    /// Use WebSocket (path /sip).
    #[arg(long, group = "transport")]
    ws: bool,
    /// Use WebSocket over TLS (path /sip).
    #[arg(long, group = "transport")]
    wss: bool,
    /// Ask this name server instead of the machine's own.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    dns: Vec<NameServer>,
    /// Believe the certificate authorities in this PEM file, besides this machine's own.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// User name for digest authentication, where it is another one.
    #[arg(long, value_name = "NAME")]
    auth_user: Option<String>,
    /// Password for digest authentication.
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Seconds a registration lasts, refreshed before.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(super) expires: u32,
}

impl WayArgs {
    /// What the flags say carries it.
    pub(super) fn transport(&self) -> Option<Transport> {
        [
            (self.tcp, Transport::Tcp),
            (self.tls, Transport::Tls),
            (self.ws, Transport::Ws),
            (self.wss, Transport::Wss),
        ]
        .into_iter()
        .find_map(|(asked, transport)| asked.then_some(transport))
    }

    /// Who calls.
    pub(super) fn identity(&self, user: Option<String>) -> Identity {
        Identity {
            user,
            auth_user: self.auth_user.clone(),
            password: self.password.clone().map(Secret::new),
        }
    }

    /// How names are found and peers judged.
    pub(super) fn network(&self) -> Network {
        Network {
            dns: self.dns.clone(),
            ca: self.ca.clone(),
        }
    }
}

/// What is done in a call.
#[derive(Debug, Clone, Args)]
pub(super) struct MannerArgs {
    /// What to do once the call is up, separated by commas: keys to press, wN to wait N half seconds, hold, unhold,
    /// transfer (see --transfer), hangup. For example 1,w2,#,hold,w6,unhold.
    #[arg(long, value_name = "SCRIPT", alias = "script")]
    digits: Option<String>,
    /// An audio file (WAV, MP3, FLAC, Ogg) to play once the call is up.
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,
    /// Send back what is heard.
    #[arg(long, conflicts_with = "play")]
    echo: bool,
    /// Save what is heard; further calls get a number before the extension.
    #[arg(long, value_name = "FILE.wav")]
    pub(super) save: Option<PathBuf>,
    /// Hang up, or give up ringing, after this many seconds.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    max_seconds: u64,
    /// Hand the call on to this number or SIP URI: where --digits says transfer, else at its end.
    #[arg(long, value_name = "TARGET")]
    transfer: Option<String>,
    /// Talk to --transfer first, for this many seconds (2 without a number), then put both together.
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "transfer",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2"
    )]
    attended: Option<u64>,
    /// Encrypt the sound (SRTP, keys in the session description), and refuse calls without that.
    #[arg(long)]
    srtp: bool,
    /// Use this codec (PCMU, PCMA, G722, opus, L16); repeat for a list in order of preference.
    #[arg(long, value_name = "NAME", value_parser = codec)]
    codec: Vec<Codec>,
}

fn codec(name: &str) -> Result<Codec, String> {
    Codec::of_document(name).ok_or_else(|| "no codec of that name is known".to_owned())
}

impl MannerArgs {
    /// What that means; transfers go to the place of `server` unless they name another.
    pub(super) fn manner(
        &self,
        server: &Destination,
    ) -> Result<Manner, Box<dyn std::error::Error>> {
        let script = self.digits.as_deref().map(script::parse).transpose()?;
        let play = match &self.play {
            Some(path) => Some(Arc::new(read_clip(path)?)),
            None => None,
        };
        let transfer = self.transfer.as_deref();
        Ok(Manner {
            script: script.unwrap_or_default(),
            play,
            echo: self.echo,
            save: self.save.clone(),
            most: Duration::from_secs(self.max_seconds),
            transfer: transfer.map(|target| server.beside(target)).transpose()?,
            attended: self.attended.map(Duration::from_secs),
            srtp: self.srtp,
            codecs: self.codec.clone(),
        })
    }
}

fn read_clip(path: &Path) -> Result<Clip, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Ok(crate::clips::decode::decode(bytes.into())
        .map_err(|e| format!("{}: {e}", path.display()))?)
}

/// Prints the ladder as it grows, with a level meter below it on a terminal.
pub(super) struct Terminal {
    ladder: bool,
    meter: bool,
    shown: bool,
    signals: Vec<Signal>,
}

impl Terminal {
    /// With the ladder, or silent.
    pub(super) fn new(ladder: bool) -> Self {
        Self {
            ladder,
            meter: ladder && std::io::stdout().is_terminal(),
            shown: false,
            signals: Vec::new(),
        }
    }

    /// Takes the meter away.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            print!("\r\x1b[K");
            flush();
        }
    }
}

impl Observer for Terminal {
    fn rung(&mut self, rung: &Rung) {
        if self.ladder {
            self.clear();
            println!("{rung}");
        }
    }

    fn level(&mut self, level: Level) {
        if self.meter {
            print!(
                "\r\x1b[K           [{}] {:>4.0} dB",
                level.bar(30),
                level.rms_db
            );
            flush();
            self.shown = true;
        }
    }

    async fn hangup(&mut self) {
        if self.signals.is_empty() {
            let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
            self.signals = kinds.into_iter().filter_map(|k| signal(k).ok()).collect();
        }
        let waits = self
            .signals
            .iter_mut()
            .map(|signal| Box::pin(signal.recv()));
        let waits: Vec<_> = waits.collect();
        if waits.is_empty() {
            return std::future::pending().await;
        }
        futures_util::future::select_all(waits).await;
    }
}

fn flush() {
    if std::io::stdout().flush().is_err() {
        tracing::debug!("standard output is closed");
    }
}

/// One document.
pub(super) fn print_json(what: &impl serde::Serialize) {
    match serde_json::to_string_pretty(what) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("swivel: {error}"),
    }
}

/// The call in a few lines.
pub(super) fn print_summary(outcome: &Outcome, saved: Option<&Path>) {
    println!();
    print_call(outcome);
    if let (Some(path), true) = (saved, outcome.heard.length_ms > 0) {
        println!("saved as {}", path.display());
    }
}

/// How a call went.
pub(super) fn print_call(outcome: &Outcome) {
    let seconds = |ms: u64| format!("{}.{:01} s", ms / 1000, ms % 1000 / 100);
    let word = match outcome.result {
        Ending::Completed => "completed",
        Ending::Busy => "busy",
        Ending::NoAnswer => "no answer",
        Ending::Refused => "refused",
        Ending::Failed => "failed",
        Ending::Lost => "lost",
    };
    let by = outcome
        .ended_by
        .map(|by| format!(", ended by {by}"))
        .unwrap_or_default();
    let status = outcome
        .status
        .filter(|s| *s != 200)
        .map(|s| format!(" ({s} {})", outcome.reason))
        .unwrap_or_default();
    println!("{word}{status}{by}");
    if let Some(transfer) = &outcome.transfer {
        print_transfer(transfer);
    }
    if let Some(answered) = outcome.answered_ms {
        println!(
            "answered after {}, talked for {}{}",
            seconds(answered),
            seconds(outcome.talk_ms),
            if outcome.encrypted { ", encrypted" } else { "" },
        );
        let heard = &outcome.heard;
        println!(
            "heard {} of sound in {} (peak {:.0} dB); {} packets, {} lost, jitter {:.1} ms",
            seconds(heard.audible_ms),
            seconds(heard.length_ms),
            heard.peak_db,
            heard.packets,
            heard.lost,
            heard.jitter_ms,
        );
    }
}

fn print_transfer(transfer: &Shift) {
    let how = match (transfer.succeeded(), transfer.status) {
        (true, _) => "handed on".to_owned(),
        (false, Some(status)) => format!("not handed on ({status})"),
        (false, None) => "handed on or not: nothing was heard of it".to_owned(),
    };
    println!("{how}: {}", transfer.target);
}
