//! `swivel phone`: a telephone that registers and takes calls.
//!
//! Exit status: 0 it was registered and had the calls it waited for, 1 it could not be tried, 4 it had fewer calls,
//! 5 not registered, 6 the server failed or was not reached, 7 a call was lost, 8 a call could not be handed on.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::super::caller::phone::Duty;
use super::super::caller::{self, Destination, Manner, Phone, Reply};
use super::fail;
use super::telephone::{MannerArgs, Terminal, WayArgs, print_call, print_json};

/// What `swivel phone` takes.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Without --answer and --refuse it rings until the caller gives up. It stays until Ctrl-C, --calls or --for.\n\n\
                  Exit status: 0 it was registered and had its --calls, 1 it could not be tried, 2 wrong options, 4 fewer \
                  calls, 5 not registered, 6 the server failed, 7 a call was lost, 8 a call was not transferred."
)]
pub(super) struct PhoneArgs {
    /// Its address: NAME@REALM[:PORT], or NAME with --via.
    address: String,
    #[command(flatten)]
    way: WayArgs,
    /// Answer calls after ringing for this many seconds (at once without a number).
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0"
    )]
    answer: Option<u64>,
    /// Refuse calls with this status, such as 486.
    #[arg(long, value_name = "STATUS", conflicts_with = "answer", value_parser = clap::value_parser!(u16).range(400..=699))]
    refuse: Option<u16>,
    /// Leave after this many calls.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    calls: Option<u16>,
    /// Leave after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    most: Option<u64>,
    #[command(flatten)]
    manner: MannerArgs,
    /// Print one JSON document at the end instead of the ladder.
    #[arg(long)]
    json: bool,
}

/// Registers, and takes calls.
pub(super) fn run(args: &PhoneArgs) -> ExitCode {
    let (aor, manner) = match prepare(args) {
        Ok(prepared) => prepared,
        Err(error) => return fail(error.as_ref()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let phone = Phone {
        expires: args.way.expires,
        reply: match (args.answer, args.refuse) {
            (Some(seconds), _) => Reply::Answer(Duration::from_secs(seconds)),
            (None, Some(status)) => Reply::Refuse(status),
            (None, None) => Reply::Ring,
        },
        calls: args.calls.map(usize::from),
        most: args.most.map(Duration::from_secs),
    };
    let identity = args.way.identity(Some(aor.user.clone()));
    let network = args.way.network();
    let mut observer = Terminal::new(!args.json);
    let duty = runtime.block_on(Box::pin(caller::serve(
        aor,
        identity,
        phone,
        manner,
        &network,
        &mut observer,
    )));
    observer.clear();
    match duty {
        Ok(duty) => {
            if args.json {
                print_json(&duty);
            } else {
                print_duty(&duty);
            }
            ExitCode::from(duty.exit_code())
        }
        Err(error) => fail(&error),
    }
}

fn prepare(args: &PhoneArgs) -> Result<(Destination, Manner), Box<dyn std::error::Error>> {
    let way = &args.way;
    let aor = Destination::parse(&args.address, way.via.as_deref(), way.transport())?;
    let manner = args.manner.manner(&aor)?;
    Ok((aor, manner))
}

fn print_duty(duty: &Duty) {
    for (call, number) in duty.calls.iter().zip(1..) {
        let other = call.from.as_ref().unwrap_or(&call.target);
        println!("\n{number}: {other}");
        print_call(call);
    }
    if !duty.registered {
        println!("\nnot registered ({})", duty.status);
    }
}
