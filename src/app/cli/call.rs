//! `swivel call`: a real caller over real sockets.
//!
//! Exit status: 0 the call was answered and one side hung up, 1 it could not be tried, 3 busy, 4 nobody answered,
//! 5 refused, 6 the server failed or was not reached, 7 answered and then lost.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::super::caller::level::Level;
use super::super::caller::{self, Destination, Observer, Outcome, keys};
use super::super::ladder::Rung;
use super::fail;
use crate::audio::Clip;
use crate::base::secret::Secret;
use crate::net::dns::NameServer;
use crate::sip::flow::Transport;

/// What `swivel call` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct CallArgs {
    /// Whom to call: a number, NUMBER@HOST[:PORT], or a SIP URI.
    target: String,
    /// Where to send the call instead of the target's own host.
    #[arg(long, value_name = "HOST:PORT")]
    via: Option<String>,
    /// Use TCP instead of UDP.
    #[arg(long, group = "transport")]
    tcp: bool,
    /// Use TLS; the server must prove to be the host the call is sent to.
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
    /// The caller's user name, also for digest authentication.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Password for digest authentication.
    #[arg(long, value_name = "PASSWORD", requires = "user")]
    password: Option<String>,
    /// Keys to press once answered, and wN to wait N half seconds, separated by commas: 1,w2,#.
    #[arg(long, value_name = "KEYS")]
    digits: Option<String>,
    /// An audio file (WAV, MP3, FLAC, Ogg) to play once answered.
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,
    /// Save what is heard.
    #[arg(long, value_name = "FILE.wav")]
    save: Option<PathBuf>,
    /// Hang up, or give up ringing, after this many seconds.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    max_seconds: u64,
    /// Print one JSON document at the end instead of the ladder.
    #[arg(long)]
    json: bool,
}

/// Places the call.
pub(super) fn run(args: &CallArgs) -> ExitCode {
    let request = match request(args) {
        Ok(request) => request,
        Err(error) => return fail(error.as_ref()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let mut observer = Terminal::new(!args.json);
    let outcome = runtime.block_on(Box::pin(caller::place(request, &mut observer)));
    observer.clear();
    match outcome {
        Ok(outcome) => {
            if args.json {
                print_json(&outcome);
            } else {
                print_summary(&outcome, args.save.as_deref());
            }
            ExitCode::from(outcome.result.exit_code())
        }
        Err(error) => fail(&error),
    }
}

fn request(args: &CallArgs) -> Result<caller::Request, Box<dyn std::error::Error>> {
    let play = match &args.play {
        Some(path) => Some(Arc::new(read_clip(path)?)),
        None => None,
    };
    Ok(caller::Request {
        destination: Destination::parse(&args.target, args.via.as_deref(), transport(args))?,
        user: args.user.clone(),
        password: args.password.clone().map(Secret::new),
        keys: args
            .digits
            .as_deref()
            .map(keys::parse)
            .transpose()?
            .unwrap_or_default(),
        play,
        save: args.save.clone(),
        most: Duration::from_secs(args.max_seconds),
        ca: args.ca.clone(),
        dns: args.dns.clone(),
    })
}

/// What the flags say carries the call.
fn transport(args: &CallArgs) -> Option<Transport> {
    [
        (args.tcp, Transport::Tcp),
        (args.tls, Transport::Tls),
        (args.ws, Transport::Ws),
        (args.wss, Transport::Wss),
    ]
    .into_iter()
    .find_map(|(asked, transport)| asked.then_some(transport))
}

fn read_clip(path: &std::path::Path) -> Result<Clip, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Ok(crate::clips::decode::decode(bytes.into())
        .map_err(|e| format!("{}: {e}", path.display()))?)
}

/// Prints the ladder as it grows, with a level meter below it on a terminal.
pub(super) struct Terminal {
    ladder: bool,
    meter: bool,
    shown: bool,
}

impl Terminal {
    /// With the ladder, or silent.
    pub(super) fn new(ladder: bool) -> Self {
        Self {
            ladder,
            meter: ladder && std::io::stdout().is_terminal(),
            shown: false,
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
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn flush() {
    if std::io::stdout().flush().is_err() {
        tracing::debug!("standard output is closed");
    }
}

fn print_json(outcome: &Outcome) {
    match serde_json::to_string_pretty(outcome) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("swivel: {error}"),
    }
}

/// The call in a few lines.
pub(super) fn print_summary(outcome: &Outcome, saved: Option<&std::path::Path>) {
    println!();
    let seconds = |ms: u64| format!("{}.{:01} s", ms / 1000, ms % 1000 / 100);
    let word = match outcome.result {
        caller::Ending::Completed => "completed",
        caller::Ending::Busy => "busy",
        caller::Ending::NoAnswer => "no answer",
        caller::Ending::Refused => "refused",
        caller::Ending::Failed => "failed",
        caller::Ending::Lost => "lost",
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
    if let Some(answered) = outcome.answered_ms {
        println!(
            "answered after {}, talked for {}",
            seconds(answered),
            seconds(outcome.talk_ms)
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
    if let (Some(path), true) = (saved, outcome.heard.length_ms > 0) {
        println!("saved as {}", path.display());
    }
}
