//! `swivel apply` and `swivel export`: documents in and out, through the running server or the store itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::super::bundle::Bundle;
use super::super::control::Request;
use super::{ConfigArgs, ask, fail};

/// What `swivel apply` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A JSON or YAML file with accounts and their documents, or a directory of such files.
    #[arg(value_name = "FILE|DIR")]
    from: PathBuf,
}

/// What `swivel export` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Leave out passwords and keys. What is written then cannot be applied as it is.
    #[arg(long)]
    redact: bool,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
}

/// How documents are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

/// Stores the documents of a file or directory.
pub(super) fn apply(args: &ApplyArgs) -> ExitCode {
    let bundle = match Bundle::read(&args.from) {
        Ok(bundle) => bundle,
        Err(error) => return fail(&error),
    };
    let line = |line: Value| {
        if let Some(text) = line.as_str() {
            println!("{text}");
        }
    };
    match ask(&args.config, Request::Apply { bundle }, line) {
        Ok(done) => {
            println!("{}", done.as_str().unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// Writes all documents to standard output.
pub(super) fn export(args: &ExportArgs) -> ExitCode {
    let done = match ask(
        &args.config,
        Request::Export {
            redact: args.redact,
        },
        drop,
    ) {
        Ok(done) => done,
        Err(code) => return code,
    };
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&done)
            .map(|text| text + "\n")
            .map_err(|e| e.to_string()),
        Format::Yaml => serde_saphyr::to_string(&done).map_err(|e| e.to_string()),
    };
    match text {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("swivel: {message}");
            ExitCode::FAILURE
        }
    }
}
