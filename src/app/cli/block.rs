//! `swivel block` and `swivel unblock`: addresses that web requests may not reach, effective at once.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::super::control::Request;
use super::{ConfigArgs, ask};

/// What `swivel block` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct BlockArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    what: Block,
}

/// What to block.
#[derive(Debug, Clone, Subcommand)]
enum Block {
    /// Forbid an address or network.
    Ip {
        /// E.g. 203.0.113.7 or 10.0.0.0/8.
        cidr: String,
    },
    /// Forbid a host name.
    Host {
        /// The name.
        name: String,
    },
    /// Show what is forbidden and allowed, and by whom.
    List,
}

/// What `swivel unblock` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct UnblockArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    what: Unblock,
}

/// What to unblock.
#[derive(Debug, Clone, Subcommand)]
enum Unblock {
    /// Take back `block ip`.
    Ip {
        /// As it was blocked.
        cidr: String,
    },
    /// Take back `block host`.
    Host {
        /// As it was blocked.
        name: String,
    },
}

/// Forbids something, or shows the lists.
pub(super) fn block(args: BlockArgs) -> ExitCode {
    let request = match args.what {
        Block::Ip { cidr } => Request::BlockIp { cidr },
        Block::Host { name } => Request::BlockHost { name },
        Block::List => Request::Blocks,
    };
    print_answer(&args.config, request)
}

/// Takes something back.
pub(super) fn unblock(args: UnblockArgs) -> ExitCode {
    let request = match args.what {
        Unblock::Ip { cidr } => Request::UnblockIp { cidr },
        Unblock::Host { name } => Request::UnblockHost { name },
    };
    print_answer(&args.config, request)
}

fn print_answer(config: &ConfigArgs, request: Request) -> ExitCode {
    let show = |line: &Value| {
        if let Some(text) = line.as_str() {
            println!("{text}");
        }
    };
    match ask(config, request, |line| show(&line)) {
        Ok(done) => {
            show(&done);
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}
