//! `swivel top`: calls, the ladder of one of them, and problems, on a plain terminal.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;
use url::Url;

use super::fail;
use crate::app::top::{Login, Server, show};
use crate::base::secret::Secret;
use crate::host::http::HttpClient;

/// What `swivel top` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct TopArgs {
    /// Where the server's API is.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: Url,
    /// A user of the API. The password is read from SWIVEL_PASSWORD, or asked for. Without a user SWIVEL_TOKEN is a token
    /// of the API.
    #[arg(long)]
    user: Option<String>,
    /// The account: its name with --user, its id with a token.
    #[arg(long)]
    account: String,
}

/// Shows the screen.
pub(super) fn run(args: &TopArgs) -> ExitCode {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        eprintln!("swivel: top needs a terminal; with ssh, ask for one by -t");
        return ExitCode::FAILURE;
    }
    let account = args.account.clone();
    let login = match (&args.user, std::env::var("SWIVEL_TOKEN")) {
        (Some(user), _) => match password(user) {
            Ok(password) => Login::User(account, user.clone(), password),
            Err(error) => return fail(&error),
        },
        (None, Ok(token)) => Login::Token(Secret::new(token), account),
        (None, Err(_)) => {
            eprintln!("swivel: --user NAME or a token in SWIVEL_TOKEN says who asks");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let client = HttpClient::unguarded(runtime.handle().clone());
    let server = runtime.block_on(Server::sign_in(client, args.url.clone(), login));
    let shown = match server {
        Ok(server) => show(server, runtime.handle()),
        Err(error) => return fail(&error),
    };
    runtime.shutdown_background();
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// The password of a user, from the environment or the keyboard, where it is not shown.
fn password(user: &str) -> std::io::Result<Secret> {
    use ratatui::crossterm::event::{Event, KeyCode, KeyModifiers, read};
    use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
    if let Ok(password) = std::env::var("SWIVEL_PASSWORD") {
        return Ok(Secret::new(password));
    }
    eprint!("Password of {user}: ");
    enable_raw_mode()?;
    let mut typed = String::new();
    let done = loop {
        match read() {
            Ok(Event::Key(key)) => match key.code {
                KeyCode::Enter => break Ok(()),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    break Err(std::io::ErrorKind::Interrupted.into());
                }
                KeyCode::Char(c) => typed.push(c),
                KeyCode::Backspace => drop(typed.pop()),
                _ => {}
            },
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    disable_raw_mode()?;
    eprintln!();
    done.map(|()| Secret::new(typed))
}
