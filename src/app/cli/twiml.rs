//! `swivel twiml`: looks at TwiML documents, and rehearses them without a call.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use futures_util::FutureExt as _;

use crate::twiml::{Document, Profile, Status, judged, rehearse};

/// What `swivel twiml` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct TwimlArgs {
    #[command(subcommand)]
    what: What,
}

/// What to do with a document.
#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Say what of a document is ignored or refused. Exit status 1 when something is refused.
    Lint {
        #[command(flatten)]
        document: Source,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Print what a document would do on a call, up to the first request it makes.
    Run {
        #[command(flatten)]
        document: Source,
        /// Keys to press where keys are collected; a comma ends what one collection gets.
        #[arg(long, value_name = "KEYS", default_value = "")]
        digits: String,
        /// Where the document is taken to come from.
        #[arg(long, value_name = "URL", default_value = "http://example.com/")]
        url: url::Url,
    },
}

/// Which document, by whose rules.
#[derive(Debug, Clone, Args)]
struct Source {
    /// The document; - reads standard input.
    file: PathBuf,
    /// Whose rules hold where KAZOO and Twilio differ.
    #[arg(long, value_enum, default_value_t = Rules::Kazoo)]
    profile: Rules,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rules {
    Kazoo,
    Twilio,
}

impl From<Rules> for Profile {
    fn from(rules: Rules) -> Self {
        match rules {
            Rules::Kazoo => Self::Kazoo,
            Rules::Twilio => Self::Twilio,
        }
    }
}

/// Does it.
pub(super) fn run(args: &TwimlArgs) -> ExitCode {
    match &args.what {
        What::Lint { document, json } => lint(document, *json),
        What::Run {
            document,
            digits,
            url,
        } => rehearsed(document, digits, url),
    }
}

fn lint(source: &Source, as_json: bool) -> ExitCode {
    let body = match read(&source.file) {
        Ok(body) => body,
        Err(code) => return code,
    };
    let name = source.file.display();
    if as_json {
        let said = judged(&body, source.profile.into());
        println!("{said}");
        return match said.get("refused").and_then(serde_json::Value::as_u64) {
            Some(0) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        };
    }
    let document = match Document::read(&body, source.profile.into()) {
        Ok(document) => document,
        Err(error) => {
            println!("{name}: refused: {error}");
            return ExitCode::FAILURE;
        }
    };
    let report = &document.report;
    let refused = report.refused();
    for finding in &report.findings {
        let word = match finding.status {
            Status::Refused => "refused",
            Status::Ignored | Status::Supported => "warning",
        };
        let at = finding.at;
        println!(
            "{name}:{}:{}: {word}: {}: {}",
            at.line, at.column, finding.path, finding.message
        );
    }
    println!(
        "{name}: {} words, {refused} refused, {} warnings",
        report.items.len(),
        report.findings.len() - refused
    );
    if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn rehearsed(source: &Source, digits: &str, url: &url::Url) -> ExitCode {
    let body = match read(&source.file) {
        Ok(body) => body,
        Err(code) => return code,
    };
    let document = match Document::read(&body, source.profile.into()) {
        Ok(document) => document,
        Err(error) => {
            eprintln!("swivel: {}: {error}", source.file.display());
            return ExitCode::FAILURE;
        }
    };
    let told = rehearse(document, source.profile.into(), Some(url.clone()), digits);
    // A rehearsal waits for nothing.
    for line in told.now_or_never().unwrap_or_default() {
        println!("{line}");
    }
    ExitCode::SUCCESS
}

fn read(file: &Path) -> Result<String, ExitCode> {
    let read = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    read.map_err(|error| {
        eprintln!("swivel: {}: {error}", file.display());
        ExitCode::FAILURE
    })
}
