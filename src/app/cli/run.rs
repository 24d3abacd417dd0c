//! `swivel run`: the server in the foreground.

use std::process::ExitCode;
use std::time::Duration;

use super::super::serve::{self, Options, Server};
use super::{ConfigArgs, fail};

/// Serves until told to end. SIGTERM and SIGINT drain, the second one ends at once; SIGHUP rereads the configuration.
pub(super) fn run(args: &ConfigArgs) -> ExitCode {
    let config = match args.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    config.log.start();
    let runtime = match serve::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let file = args.config.clone();
    let code = runtime.block_on(async {
        let server = match Server::start(config, Options::default()).await {
            Ok(server) => server,
            Err(error) => return fail(error.as_ref()),
        };
        if let Some(first) = server.first_start() {
            println!(
                "The store was empty. It now has account `{}` (realm {}) with user `{}`, password {}",
                first.account_name,
                first.realm,
                first.username,
                first.password.reveal()
            );
            if let Ok(link) = server
                .office()
                .link(Some(&first.account_id), &first.username)
            {
                println!("The page, signed in once, within 15 minutes: {link}");
            }
        }
        serve::until_told(&server, file.as_deref()).await;
        server.stop().await;
        ExitCode::SUCCESS
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    code
}
