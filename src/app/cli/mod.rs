//! The command line: one command a file. The only place that prints.
//!
//! Every command answers with an exit status: 0 when what was asked for is done, 1 when it is not, 2 when the command
//! line itself is wrong (clap's own). `call` and `phone` have more, listed there.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line is where swivel speaks to a person"
)]

mod apply;
mod backup;
mod block;
mod call;
mod check;
mod demo;
mod link;
mod phone;
mod run;
mod telephone;
mod top;
mod trace;
mod twiml;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

use super::config::Config;
use super::control::{Request, client};
use super::office::Office;

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "swivel",
    version,
    about = "A SIP B2BUA with a built-in Pivot engine.",
    max_term_width = 100
)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server in the foreground.
    Run(ConfigArgs),
    /// Check configuration, ports and voice, and say in words what is wrong.
    Check(check::CheckArgs),
    /// Store the accounts and documents of a file or directory.
    Apply(apply::ApplyArgs),
    /// Write all accounts and documents, in the form `apply` reads.
    Export(apply::ExportArgs),
    /// Write everything, recordings and prompts included, into one file; also while the server runs.
    Backup(backup::BackupArgs),
    /// Bring back what `backup` has written, into an empty data directory.
    Restore(backup::RestoreArgs),
    /// Forbid addresses or hosts to web requests, at once and for good.
    Block(block::BlockArgs),
    /// Take back what `block` forbade.
    Unblock(block::UnblockArgs),
    /// Print a link that signs a user of the page in once.
    Link(link::LinkArgs),
    /// Show the messages and web requests of a call.
    Trace(trace::TraceArgs),
    /// Watch calls, the ladder of one of them, and problems in words, on a terminal.
    Top(top::TopArgs),
    /// Run a server with a small web application, and let it call itself.
    Demo(demo::DemoArgs),
    /// Place one call and print what happened.
    Call(call::CallArgs),
    /// Register as a telephone and take calls.
    Phone(phone::PhoneArgs),
    /// Look at TwiML documents, and rehearse them without a call.
    Twiml(twiml::TwimlArgs),
}

/// `--config`.
#[derive(Debug, Clone, Default, Args)]
struct ConfigArgs {
    /// The configuration file. Without it: swivel.toml, then /etc/swivel/swivel.toml, then the defaults.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    /// Reads it; on refusal prints why.
    fn load(&self) -> Result<Config, ExitCode> {
        Config::load(self.config.as_deref()).map_err(|error| fail(&error))
    }
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    keep_pages_small();
    match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Apply(args) => apply::apply(&args),
        Command::Export(args) => apply::export(&args),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Block(args) => block::block(args),
        Command::Unblock(args) => block::unblock(args),
        Command::Link(args) => link::run(args),
        Command::Trace(args) => trace::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Call(args) => call::run(&args),
        Command::Phone(args) => phone::run(&args),
        Command::Twiml(args) => twiml::run(&args),
    }
}

/// Asks for no huge pages: with them the allocator's first touch of each 2 MiB makes all of it resident, which is most of
/// what a server at rest would hold.
fn keep_pages_small() {
    // An old kernel that cannot do it costs memory, nothing else.
    rustix::thread::disable_transparent_huge_pages(true).unwrap_or_default();
}

/// Asks the running server; without one does it on the store itself. Prints why when it does not work.
fn ask(config: &ConfigArgs, request: Request, line: impl FnMut(Value)) -> Result<Value, ExitCode> {
    let config = config.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| fail(&error))?;
    runtime.block_on(async {
        let mut line = line;
        match client::ask(&config.control_socket(), &request, &mut line).await {
            Err(client::AskError::NotRunning) => {}
            Ok(done) => return Ok(done),
            Err(error) => return Err(fail(&error)),
        }
        let office = Office::open(&config)
            .await
            .map_err(|error| fail(error.as_ref()))?;
        office.answer_here(request, line).await.map_err(|message| {
            eprintln!("swivel: {message}");
            ExitCode::FAILURE
        })
    })
}

/// Prints an error with its causes, and is the status for it.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("swivel: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        eprintln!("  because: {inner}");
        cause = inner.source();
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
