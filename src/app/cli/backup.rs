//! `swivel backup` and `swivel restore`: everything in one file, from a running server or without one, and back.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::super::control::{Request, client};
use super::super::office;
use super::{ConfigArgs, ask, fail};
use crate::store::backup;

/// What `swivel backup` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The file to write. It holds passwords and keys.
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

/// What `swivel restore` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A file that `backup` has written.
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Read everything back and compare it with the file.
    #[arg(long)]
    verify: bool,
}

/// Writes a backup.
pub(super) fn backup(args: &BackupArgs) -> ExitCode {
    let path = match std::path::absolute(&args.to) {
        Ok(path) => path,
        Err(error) => return fail(&error),
    };
    match ask(&args.config, Request::Backup { path }, drop) {
        Ok(done) => {
            println!("{}", done.as_str().unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// Restores one into an empty data directory, while no server runs.
pub(super) fn restore(args: &RestoreArgs) -> ExitCode {
    let config = match args.config.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let socket = config.control_socket();
    let status = client::ask(&socket, &Request::Status, drop::<Value>);
    if !matches!(runtime.block_on(status), Err(client::AskError::NotRunning)) {
        eprintln!("swivel: a server is running on this data directory: stop it first");
        return ExitCode::FAILURE;
    }
    if let Err(error) = config.make_data_dir() {
        return fail(&error);
    }
    let folders = office::folders(&config);
    match backup::restore(&args.from, &config.store_dir(), &folders, args.verify) {
        Ok(tally) => {
            let verified = if args.verify { ", and compared" } else { "" };
            println!("restored: {}{verified}", office::counted(&tally));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}
