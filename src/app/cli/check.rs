//! `swivel check`: tries what the configuration says, and tells in words what does not work.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::super::config::Config;
use super::super::control::{Request, client};
use super::super::health;
use super::{ConfigArgs, fail};
use crate::net::listen;

/// What `swivel check` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only read the configuration; try nothing.
    #[arg(long, conflicts_with = "running")]
    offline: bool,
    /// Only ask whether the server of this configuration is running and serves.
    #[arg(long)]
    running: bool,
}

/// Checks, and prints a line for each thing tried.
pub(super) fn run(args: &CheckArgs) -> ExitCode {
    let config = match args.config.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    if args.running {
        return running(&config);
    }
    let mut report = Report { wrong: 0 };
    report.says(
        "configuration",
        Ok("every key is known and every value within its range".to_owned()),
    );
    if !args.offline {
        report.says("data_dir", data_dir(&config.data_dir));
        for url in &config.sip.listen {
            let bound = listen::bind(*url, config.sip.dscp).map(|_| "free".to_owned());
            report.says(&format!("sip.listen {url}"), bound.map_err(|e| words(&e)));
        }
        report.says("tls", health::certificate(&config));
        let http = TcpListener::bind(config.http.listen).map(|_| "free".to_owned());
        report.says(
            &format!("http.listen {}", config.http.listen),
            http.map_err(|e| port_words(&e)),
        );
        report.says("rtp.ports", rtp(&config));
        report.says("tts", voice(&config));
        if config.pivot.allow.is_empty() {
            println!(
                "note  pivot.allow is empty: web servers on private addresses and on this machine are refused"
            );
        }
    }
    if report.wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

struct Report {
    wrong: usize,
}

impl Report {
    fn says(&mut self, what: &str, outcome: Result<String, String>) {
        match outcome {
            Ok(text) => println!("ok    {what}: {text}"),
            Err(text) => {
                self.wrong += 1;
                println!("WRONG {what}: {text}");
            }
        }
    }
}

fn running(config: &Config) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(client::ask(
        &config.control_socket(),
        &Request::Status,
        drop,
    )) {
        Ok(status) => {
            println!("running: {status}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn data_dir(path: &Path) -> Result<String, String> {
    let shown = path.display();
    std::fs::create_dir_all(path).map_err(|e| format!("{shown} cannot be made: {e}"))?;
    let probe = path.join(".check");
    std::fs::write(&probe, b"x").map_err(|e| format!("{shown} cannot be written to: {e}"))?;
    std::fs::remove_file(&probe).map_err(|e| format!("{shown} cannot be written to: {e}"))?;
    Ok(format!("{shown} can be written to"))
}

fn rtp(config: &Config) -> Result<String, String> {
    let pairs = config.rtp.ports.pairs();
    let Some(port) = (0..pairs.min(64))
        .filter_map(|n| config.rtp.ports.pair(n))
        .find(|p| UdpSocket::bind(("0.0.0.0", *p)).is_ok())
    else {
        return Err(format!(
            "none of the first {} ports can be bound",
            pairs.min(64)
        ));
    };
    Ok(format!("room for {pairs} calls; {port} can be bound"))
}

/// Lets the voice say a word.
fn voice(config: &Config) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| e.to_string())?;
    runtime.block_on(super::super::serve::try_voice(config))
}

fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

fn port_words(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        "the port is in use by another program".to_owned()
    } else {
        error.to_string()
    }
}
