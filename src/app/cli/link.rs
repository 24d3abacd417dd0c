//! `swivel link`: an address that signs a user of the page in once, for a first visit or a forgotten password.

use std::process::ExitCode;

use clap::Args;

use super::super::control::Request;
use super::{ConfigArgs, ask};

/// What `swivel link` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct LinkArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The user's name.
    #[arg(default_value = "admin")]
    user: String,
    /// Name or id of the account, where several have such a user.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
}

/// Prints it.
pub(super) fn run(args: LinkArgs) -> ExitCode {
    let request = Request::Link {
        user: args.user,
        account: args.account,
    };
    match ask(&args.config, request, drop) {
        Ok(link) => {
            println!("{}", link.as_str().unwrap_or_default());
            println!("It signs in once, within 15 minutes.");
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}
