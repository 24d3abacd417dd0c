//! `swivel call`: a real caller over real sockets.
//!
//! Exit status: 0 the call was answered and one side hung up, 1 it could not be tried, 3 busy, 4 nobody answered,
//! 5 refused, 6 the server failed or was not reached, 7 answered and then lost, 8 it could not be handed on.

use std::process::ExitCode;

use clap::Args;

use super::super::caller::{self, Destination};
use super::fail;
use super::telephone::{MannerArgs, Terminal, WayArgs, print_json, print_summary};

/// What `swivel call` takes.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit status: 0 answered and ended by one side, 1 it could not be tried, 2 wrong options, 3 busy, 4 no \
                  answer, 5 refused, 6 the server failed, 7 lost, 8 answered, but not transferred."
)]
pub(super) struct CallArgs {
    /// Whom to call: a number, NUMBER@HOST[:PORT], or a SIP URI.
    target: String,
    #[command(flatten)]
    way: WayArgs,
    /// The caller's user name, also for digest authentication.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Register as --user before the call, and end the registration after it.
    #[arg(long, requires = "user")]
    register: bool,
    #[command(flatten)]
    manner: MannerArgs,
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
                print_summary(&outcome, args.manner.save.as_deref());
            }
            ExitCode::from(outcome.exit_code())
        }
        Err(error) => fail(&error),
    }
}

fn request(args: &CallArgs) -> Result<caller::Request, Box<dyn std::error::Error>> {
    let way = &args.way;
    let destination = Destination::parse(&args.target, way.via.as_deref(), way.transport())?;
    Ok(caller::Request {
        identity: way.identity(args.user.clone()),
        register: args.register.then_some(way.expires),
        manner: args.manner.manner(&destination)?,
        network: way.network(),
        destination,
    })
}
