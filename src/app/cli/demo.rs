//! `swivel demo`: shows the main job on one machine, in one command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::super::caller::{self, Destination, Ending, Identity, Manner, Network, Outcome};
use super::super::config::Config;
use super::super::demo::api::Api;
use super::super::demo::documents::{self, Credentials};
use super::super::demo::web;
use super::super::serve::{self, Options, Server};
use super::telephone::{Terminal, print_summary};
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::host::guard::Cidr;
use crate::host::http::HttpClient;
use crate::sip::digest::Algorithm;

/// What `swivel demo` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct DemoArgs {
    /// End after the demo's own call; the exit status is 0 only when it went well.
    #[arg(long)]
    once: bool,
    /// The port SIP listens on.
    #[arg(long, value_name = "N", default_value_t = 5060)]
    sip_port: u16,
    /// The port the API listens on.
    #[arg(long, value_name = "N", default_value_t = 8000)]
    http_port: u16,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the demo.
pub(super) fn run(args: &DemoArgs) -> ExitCode {
    let runtime = match serve::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return super::fail(&error),
    };
    let data = match Data::new() {
        Ok(data) => data,
        Err(error) => return super::fail(&error),
    };
    let result = runtime.block_on(Box::pin(demo(args, &data.0)));
    runtime.shutdown_timeout(Duration::from_secs(2));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => super::fail(error.as_ref()),
    }
}

async fn demo(args: &DemoArgs, data: &Path) -> Result<bool, Failure> {
    let config = config(args, data)?;
    config.log.start();
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| e.to_string())?;
    let mut rng = Rng::from_bytes(seed);
    let mut web = web::start().await?;
    let server = Server::start(
        config,
        Options {
            echo: Some(documents::ECHO.to_owned()),
            stream: None,
            empty: true,
        },
    )
    .await?;
    let credentials = Credentials::random(&mut rng);
    let urls = web.urls();
    server
        .office()
        .apply(documents::bundle(&credentials, &urls, &mut rng))
        .await?;
    introduce(&server, &credentials, &urls.voice);

    println!("Calling {} …\n", documents::PIVOT);
    let sip = server.sip_address();
    let save = PathBuf::from("demo.wav");
    let request = caller::Request {
        destination: Destination::parse(documents::PIVOT, Some(&sip.to_string()), None)?,
        identity: Identity {
            user: Some(credentials.phone.to_owned()),
            auth_user: None,
            password: Some(Secret::new(credentials.phone_password.clone())),
        },
        register: None,
        manner: Manner {
            save: Some(save.clone()),
            most: Duration::from_secs(40),
            ..Manner::default()
        },
        network: Network::default(),
    };
    let mut terminal = Terminal::new(true);
    let outcome = caller::place(request, &mut terminal).await?;
    terminal.clear();
    print_summary(&outcome, Some(&save));
    let client = HttpClient::unguarded(tokio::runtime::Handle::current());
    let api = Api::sign_in(client, server.http_address(), &credentials).await?;
    let traces = read_back(&api, &outcome, &mut web).await;
    let well = verdict(&outcome, &traces);
    if args.once {
        server.stop().await;
        return Ok(well);
    }
    println!("\nThe server stays up; call it, or press Ctrl-C.");
    println!(
        "In another terminal, its calls and the ladder of one (with the API's password), and what was written of a call:\n\n  \
         swivel top --url http://{} --user {} --account {}\n  \
         SWIVEL_DATA_DIR={} swivel trace CALL-ID\n",
        server.http_address(),
        credentials.user,
        documents::ACCOUNT,
        data.display()
    );
    match server.office().link(None, credentials.user) {
        Ok(link) => println!("The page, signed in once, within 15 minutes:\n\n  {link}\n"),
        Err(error) => return Err(error.into()),
    }
    serve::terminated().await;
    server.drain(Duration::from_secs(1)).await;
    server.stop().await;
    Ok(true)
}

/// The operator's settings apply (a voice, a log level); addresses and data are the demo's own.
fn config(args: &DemoArgs, data: &Path) -> Result<Config, Failure> {
    let mut config = Config::from_environment()?;
    config.data_dir = data.to_owned();
    config.sip.listen = [
        format!("udp://127.0.0.1:{}", args.sip_port),
        format!("tcp://127.0.0.1:{}", args.sip_port),
    ]
    .iter()
    .map(|url| url.parse())
    .collect::<Result<_, _>>()?;
    config.http.listen = ([127, 0, 0, 1], args.http_port).into();
    config.pivot.allow.push("127.0.0.0/8".parse::<Cidr>()?);
    // Any softphone shall get in, also one that gives up when it meets SHA-256.
    config.sip.digest = vec![Algorithm::Md5];
    if std::env::var_os("SWIVEL_LOG__LEVEL").is_none() {
        config.log.level = "warn".to_owned();
    }
    Ok(config)
}

fn introduce(server: &Server, credentials: &Credentials, voice_url: &str) {
    let sip = server.sip_address();
    println!(
        "swivel {} is up.

  SIP     {sip} (UDP and TCP)
  phone   user {}, password {}, domain {sip} or {}
  API     http://{}/v2, account {}, user {}, password {}
  voice   {}

  {}    Pivot: asks {voice_url} and says what it answers
  {}     echo
  {}     a menu in callflow JSON
  {}     the same menu in TwiML
  {}     echo by the web application, over a media stream that TwiML connects
",
        env!("CARGO_PKG_VERSION"),
        credentials.phone,
        credentials.phone_password,
        documents::REALM,
        server.http_address(),
        documents::ACCOUNT,
        credentials.user,
        credentials.user_password,
        server.voice(),
        documents::PIVOT,
        documents::ECHO,
        documents::MENU,
        documents::TWIML,
        documents::STREAM,
    );
}

/// What the call left behind.
struct Traces {
    requests: usize,
    record: Option<Value>,
    debug: Option<Value>,
}

async fn read_back(api: &Api, outcome: &Outcome, web: &mut web::WebApp) -> Traces {
    let mut requests = 0;
    while let Ok(query) = web.requests.try_recv() {
        requests += 1;
        if requests == 1 {
            println!("\nThe web application was asked with:");
            for (name, value) in url::form_urlencoded::parse(query.as_bytes()).take(20) {
                println!("  {name} = {value}");
            }
        }
    }
    let debug = shown(
        "The Pivot debug log, from the API:",
        api.debug(&outcome.call_id).await,
        |entry| {
            [
                "method",
                "uri",
                "resp_status_code",
                "resp_headers",
                "resp_body",
            ]
            .contains(&entry)
        },
    );
    let record = shown(
        "The call record, from the API:",
        api.record(&outcome.call_id).await,
        |key| RECORD_KEYS.contains(&key),
    );
    Traces {
        requests,
        record,
        debug,
    }
}

/// The fields of a call record a person looks at first.
const RECORD_KEYS: [&str; 10] = [
    "call_id",
    "call_direction",
    "caller_id_number",
    "to",
    "request",
    "duration_seconds",
    "billing_seconds",
    "hangup_cause",
    "disposition",
    "media_server",
];

fn shown(
    title: &str,
    read: Result<Value, super::super::demo::api::ApiError>,
    wanted: impl Fn(&str) -> bool,
) -> Option<Value> {
    println!("\n{title}");
    match read {
        Ok(value) => {
            let entries = value
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![value.clone()]);
            for entry in entries.iter().filter_map(Value::as_object) {
                for (key, value) in entry.iter().filter(|(key, _)| wanted(key)) {
                    println!(
                        "  {key} = {}",
                        value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned)
                    );
                }
            }
            Some(value)
        }
        Err(error) => {
            println!("  {error}");
            None
        }
    }
}

/// Whether everything is as it should be; says what is not.
fn verdict(outcome: &Outcome, traces: &Traces) -> bool {
    let record = traces.record.as_ref();
    let status = |entry: &Value| entry["resp_status_code"] == "200";
    let checks = [
        (
            "the call was answered and the callflow hung up",
            outcome.result == Ending::Completed && outcome.ended_by == Some("peer"),
        ),
        ("speech was heard", outcome.heard.audible_ms >= 1000),
        ("the web application was asked once", traces.requests == 1),
        (
            "the debug log holds request and response",
            traces
                .debug
                .as_ref()
                .and_then(Value::as_array)
                .is_some_and(|d| d.iter().any(status)),
        ),
        (
            "the call record says NORMAL_CLEARING",
            record.is_some_and(|r| r["hangup_cause"] == "NORMAL_CLEARING"),
        ),
    ];
    println!();
    for (what, holds) in checks {
        println!("{} {what}", if holds { "yes" } else { "NO " });
    }
    checks.iter().all(|(_, holds)| *holds)
}

/// The demo's data, removed at its end.
struct Data(PathBuf);

impl Data {
    fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(std::io::Error::other)?;
        let path = std::env::temp_dir().join(format!("swivel-demo-{}", hex::encode(name)));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the demo's data was not removed");
        }
    }
}
