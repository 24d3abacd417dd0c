//! Puts the rooms together in the order they need each other, and takes them apart again.
//!
//! Start: data directory, store, sweep of what a crash left, directory, guard, voice, clips, media, SIP and HTTP sockets,
//! signalling thread, API, control socket. A socket is bound before anything runs, so a port in use is the first error.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};

use super::config::Config;
use super::control;
use super::office::{self, Office};
use crate::api::FirstStart;
use crate::base::rng::Rng;
use crate::call::channels::Channels;
use crate::call::core::{CoreConfig, Script};
use crate::call::services::Services;
use crate::call::thread::{Parts, SignallingThread};
use crate::call::{CallHandle, StreamOptions};
use crate::callflow;
use crate::clips::{Clips, ClipsConfig, ClipsParts};
use crate::directory::Directory;
use crate::host::guard::Guard;
use crate::host::http::HttpClient;
use crate::host::task;
use crate::jobs::webhooks::{Delivery, JOB, Webhooks};
use crate::jobs::{HttpJob, HttpRunner, Outbox, Runner, Runners};
use crate::journal::Journal;
use crate::media::Media;
use crate::net::tls::Development;
use crate::net::{Prober, Resolver, Tls, Transports, listen};
use crate::recordings::{Shelf, Swept, TranscriptRunner, UploadRunner};
use crate::registrar::Remote;
use crate::speech::{self, Utterance};
use crate::store::{Files, Store};

/// Anything that can go wrong while starting; said in words.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// What only some servers do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The number that echoes instead of running its callflow.
    pub echo: Option<String>,
    /// The number that is connected with a server over a WebSocket (Media Streams), and that server's URL.
    pub stream: Option<(String, String)>,
    /// Whether an empty store stays empty: no first account is made.
    pub empty: bool,
}

/// A running server.
pub struct Server {
    signalling: SignallingThread,
    office: Arc<Office>,
    guard: Arc<Guard>,
    tls: Tls,
    sip: Vec<SocketAddr>,
    http: SocketAddr,
    voice: String,
    config: Mutex<Config>,
    first_start: Option<FirstStart>,
    end_http: oneshot::Sender<()>,
    serving: JoinHandle<Option<std::io::Result<()>>>,
    background: Vec<AbortHandle>,
    store: Store,
    shelf: Shelf,
    _control: control::server::Listening,
}

/// The runtime everything but calls and media runs on.
///
/// # Errors
/// When the machine refuses threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("io")
        .enable_all()
        .build()
}

impl Server {
    /// Starts everything. Must be called inside [`runtime`].
    ///
    /// # Errors
    /// When something cannot start; nothing keeps running then.
    pub async fn start(config: Config, options: Options) -> Result<Self, StartError> {
        let io = Handle::current();
        let mut rng = fresh_rng()?;
        config.make_data_dir()?;
        let sip = config
            .sip
            .listen
            .iter()
            .map(|url| listen::bind(*url, config.sip.dscp))
            .collect::<Result<Vec<_>, _>>()?;
        let http = bind_http(config.http.listen)?;
        let http_address = http.local_addr()?;
        let sip_addresses: Vec<SocketAddr> = sip.iter().map(|bound| bound.local).collect();
        let tls = Tls::new(config.tls.clone(), development(&config, &sip_addresses))?;
        let mut transports = Transports::new(io.clone(), &config.sip, tls.clone());
        let resolver = match Resolver::new(&config.dns, io.clone(), rng.fork()) {
            Ok(resolver) => Some(resolver),
            Err(error) => {
                tracing::warn!(%error, "names of trunks cannot be looked up; name servers may be listed in dns.servers");
                None
            }
        };
        let reach = resolver
            .clone()
            .unwrap_or_else(|| Resolver::without_servers(&config.dns, rng.fork()));
        let watch_tls = task::spawn("tls-watch", tls.clone().watch());

        let store = Store::open(&config.store_dir())?;
        let outbox = Outbox::new(store.clone(), rng.fork());
        let journal = Journal::with(store.clone(), node_name(), config.retention.clone());
        let files = Files::at(config.media_dir());
        let directory = Directory::load_with(store.clone(), files.clone()).await?;
        let webhooks = Webhooks::new(directory.clone(), outbox.clone());
        let swept = journal
            .sweep_and(|cdr, batch| {
                // A seed has neither a telephone nor an address.
                let internal = cdr.direction == "inbound" && cdr.local_sdp.is_empty();
                webhooks.add_swept(batch, cdr, internal);
            })
            .await?;
        if swept > 0 {
            tracing::warn!(
                calls = swept,
                "calls that were up when the last process ended are now recorded as ended"
            );
        }
        let shelf = Shelf::new(
            store.clone(),
            outbox.clone(),
            &config.record_dir(),
            &config.http_base(),
        );
        let unfinished = shelf.sweep().await?;
        if unfinished != Swept::default() {
            tracing::warn!(
                kept = unfinished.kept,
                gone = unfinished.gone,
                "recordings that ran when the last process ended are now completed"
            );
        }
        let parts = sweep_parts(&config.record_dir());
        if parts > 0 {
            tracing::warn!(
                files = parts,
                "recordings that were never completed are removed"
            );
        }
        let housekeeping = task::spawn("housekeeping", journal.clone().housekeeping());
        let keeping = task::spawn(
            "recordings",
            shelf.clone().housekeeping(config.retention.recording_days),
        );

        let guard = Arc::new(Guard::new(config.pivot.clone()));
        office::load_blocks(&store, &guard).await?;
        guard.set_listeners(
            sip_addresses
                .iter()
                .copied()
                .chain([http_address])
                .collect(),
        );
        let client = HttpClient::new(io.clone(), Arc::clone(&guard));
        let recognition = speech::recogniser(&config.stt, &io)?;
        let understood = TranscriptRunner {
            shelf: shelf.clone(),
            outbox: outbox.clone(),
            client: client.clone(),
            recogniser: recognition.as_ref().map(|r| Arc::clone(&r.recogniser)),
        };
        let runners = runners(&shelf, &directory, &client, &journal, understood);
        let jobs = task::spawn("jobs", outbox.clone().run(runners));

        let speech = speech::provider(&config.tts, &io)?;
        let voice = voice_name(&config);
        let clips = Clips::new(ClipsParts {
            io: io.clone(),
            http: client.clone(),
            speech,
            files,
            config: ClipsConfig {
                cache_dir: Some(config.data_dir.join("cache")),
                parallel_speech: config.tts.parallel,
                house_music: true,
                ..ClipsConfig::default()
            },
        });

        let mut rtp = config.rtp.clone();
        rtp.record_dir = config.record_dir();
        std::fs::create_dir_all(&rtp.record_dir)?;
        let addresses = media_addresses(&sip_addresses);
        let (media, media_events) = Media::start(&rtp, &addresses)?;

        let metrics = metrics_text();
        let (registrations, asks) = Remote::pair();
        let api = office::api(
            &config,
            &directory,
            &journal,
            registrations,
            &guard,
            metrics,
            rng.fork(),
        )
        .await?;
        let first_start = if options.empty {
            None
        } else {
            api.first_start(journal.node()).await?
        };
        api.take_web_sockets(transports.web_sockets(http_address));
        let office = Office::new(
            api.clone(),
            directory.clone(),
            journal.clone(),
            Arc::clone(&guard),
        );
        let office = Arc::new(office.keeping(&config).at(page_base(&config, http_address)));

        api.set_outbox(outbox.clone());
        api.set_http(client.clone());
        api.set_clips(clips.clone());
        let services = Services {
            clips,
            recognition,
            http: client,
            journal,
            store: store.clone(),
            directory,
            twiml_profile: config.twiml_profile,
            recordings: rtp.record_dir.as_path().into(),
            shelf: shelf.clone(),
            outbox,
        };
        api.set_recordings(shelf.clone());
        let (channels, questions) = Channels::pair();
        api.set_channels(channels);
        api.set_webhooks(webhooks.clone());
        api.watch_calls();
        api.set_prober(Prober::new(reach.clone(), tls.clone()));
        api.set_health(super::health::asker(&config, &sip_addresses, http_address));
        let signalling = SignallingThread::start(Parts {
            channels: questions,
            webhooks,
            listeners: sip,
            transports,
            resolver,
            reach,
            core: core_config(&config),
            sip: config.sip.clone(),
            media,
            media_events,
            services,
            registrar: config.registrar.clone(),
            security: config.security.clone(),
            asks,
            script: Box::new(move || script(options)),
            rng: rng.fork(),
        })?;
        let http = tokio::net::TcpListener::from_std(http)?;
        let (end_http, ended) = oneshot::channel::<()>();
        let serving = task::spawn("http", api.serve(http, ended.map(drop)));
        let control = control::server::listen(&config.control_socket(), Arc::clone(&office))?;
        tracing::info!(sip = ?sip_addresses, http = %http_address, data = %config.data_dir.display(), "ready");
        Ok(Self {
            signalling,
            office,
            guard,
            tls,
            sip: sip_addresses,
            http: http_address,
            voice,
            config: Mutex::new(config),
            first_start,
            end_http,
            serving,
            background: vec![
                housekeeping.abort_handle(),
                jobs.abort_handle(),
                keeping.abort_handle(),
                watch_tls.abort_handle(),
            ],
            store,
            shelf,
            _control: control,
        })
    }

    /// What the control commands work on.
    pub fn office(&self) -> &Office {
        &self.office
    }

    /// The first SIP listener's address.
    pub fn sip_address(&self) -> SocketAddr {
        self.sip
            .first()
            .copied()
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 5060)))
    }

    /// Where the API listens.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Who speaks.
    pub fn voice(&self) -> &str {
        &self.voice
    }

    /// Who may sign in, when the store was empty. Shown once.
    pub fn first_start(&self) -> Option<&FirstStart> {
        self.first_start.as_ref()
    }

    /// How long a drain may take.
    fn patience(&self) -> Duration {
        Duration::from_secs(
            self.config
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .drain_seconds,
        )
    }

    /// Refuses new calls and waits for the present ones, at most `limit`; then hangs up what is left.
    pub async fn drain(&self, limit: Duration) {
        let left = self.signalling.calls().await;
        if left > 0 {
            tracing::info!(
                calls = left,
                seconds = limit.as_secs(),
                "waiting for calls to end"
            );
        }
        let cut = self.signalling.drain(limit).await;
        if cut > 0 {
            tracing::warn!(calls = cut, "calls were hung up");
        }
    }

    /// Ends every thread and makes everything durable.
    pub async fn stop(self) {
        self.signalling.stop().await;
        // The calls' files are whole, and nobody is left to be told.
        if let Err(error) = self.shelf.sweep().await {
            tracing::error!(%error, "recordings wait for the next start to be entered");
        }
        // Requests under way are answered, as long as that does not take long.
        drop(self.end_http);
        if tokio::time::timeout(HTTP_GRACE, self.serving)
            .await
            .is_err()
        {
            tracing::debug!("HTTP connections were cut");
        }
        self.office.journal().finish();
        self.background.iter().for_each(AbortHandle::abort);
        drop(self.store);
        tracing::info!("stopped");
    }

    /// Takes over what can change in a running server, and says what cannot.
    fn reload(&self, file: Option<&Path>) {
        let new = match Config::load(file) {
            Ok(new) => new,
            Err(error) => {
                tracing::error!(%error, "the configuration was not reread");
                return;
            }
        };
        self.guard.configure(new.pivot.clone());
        // Also without a change of the configuration: a renewed certificate has the same path.
        if let Err(error) = self.tls.take(new.tls.clone()) {
            tracing::error!(%error, "the certificates were not reread");
        }
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        for key in config.needs_restart(&new) {
            tracing::warn!(key, "this change waits for the next start");
        }
        config.pivot = new.pivot;
        config.tls = new.tls;
        config.drain_seconds = new.drain_seconds;
        tracing::info!("configuration reread");
    }
}

/// Serves until SIGTERM or SIGINT, then drains until done or told again; SIGHUP rereads `file`.
pub async fn until_told(server: &Server, file: Option<&Path>) {
    let (Ok(mut hangup), Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::hangup()),
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be received; stopping");
        return;
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => server.reload(file),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tokio::select! {
        () = server.drain(server.patience()) => {}
        _ = terminate.recv() => tracing::warn!("told again: stopping now"),
        _ = interrupt.recv() => tracing::warn!("told again: stopping now"),
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn terminated() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Lets the configured voice say a word.
///
/// # Errors
/// Why it did not, in words.
pub async fn try_voice(config: &Config) -> Result<String, String> {
    let provider = speech::provider(&config.tts, &Handle::current()).map_err(|e| e.to_string())?;
    let utterance = Utterance {
        text: "Hello.".to_owned(),
        voice: String::new(),
        language: "en-us".to_owned(),
    };
    let audio = provider
        .synthesise(&utterance)
        .await
        .map_err(|e| e.to_string())?;
    Ok(format!(
        "{} speaks ({} bytes of audio)",
        voice_name(config),
        audio.len()
    ))
}

/// Who does which kind of job.
fn runners(
    shelf: &Shelf,
    directory: &Directory,
    client: &HttpClient,
    journal: &Journal,
    transcripts: TranscriptRunner,
) -> Runners {
    let delivery = Delivery::new(directory.clone(), client.clone()).with_journal(journal.clone());
    let hooks: Arc<dyn Runner> = Arc::new(delivery);
    let uploads = UploadRunner::new(shelf.clone(), client.clone(), journal.clone());
    let uploads: Arc<dyn Runner> = Arc::new(uploads);
    let posts: Arc<dyn Runner> = Arc::new(HttpRunner {
        client: client.clone(),
        directory: directory.clone(),
        journal: journal.clone(),
    });
    BTreeMap::from([
        (JOB, hooks),
        (UploadRunner::KIND, uploads),
        (TranscriptRunner::KIND, Arc::new(transcripts)),
        (HttpJob::KIND, posts),
    ])
}

/// What runs for a call: its callflow, or what the demo has in place of one.
fn script(options: Options) -> Script {
    let options = Rc::new(options);
    Rc::new(move |call| {
        let options = Rc::clone(&options);
        async move {
            let number = call.facts().request_user.clone();
            if options.echo.as_deref() == Some(number.as_str()) {
                if call.answer().await.is_ok() {
                    call.echo().await;
                }
                return;
            }
            if let Some((_, url)) = options.stream.as_ref().filter(|(own, _)| *own == number) {
                return stream(call, url).await;
            }
            let document = call.vars().flow.clone();
            if let Some(document) = document {
                callflow::run(call, document).await;
            }
        }
        .boxed_local()
    })
}

/// Connects a call with a server until either hangs up.
async fn stream(call: CallHandle, url: &str) {
    let options = match StreamOptions::to(url) {
        Ok(options) => options,
        Err(error) => return tracing::error!(%error, "the stream's URL"),
    };
    if call.answer().await.is_ok() {
        let end = call.stream(options).await;
        tracing::debug!(?end, "a stream has ended");
    }
}

fn core_config(config: &Config) -> CoreConfig {
    CoreConfig {
        max_call: Duration::from_secs(u64::from(config.sip.max_call_seconds)),
        max_calls: config.sip.max_calls,
        rtp_timeout: config.rtp.timeout(),
        held_timeout: config.rtp.held_timeout(),
        advertise: config.rtp.advertise.parse().ok(),
        local_nets: config.sip.local_nets.clone(),
        unknown_number_code: config.sip.unknown_number_code,
        overload_lag: Duration::from_millis(50),
    }
}

/// Collects metrics for the whole process; the text is what `/metrics` shows.
fn metrics_text() -> crate::api::Text {
    match metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder() {
        Ok(handle) => {
            let upkeep = handle.clone();
            task::spawn("metrics", async move {
                loop {
                    tokio::time::sleep(UPKEEP).await;
                    upkeep.run_upkeep();
                }
            });
            Arc::new(move || handle.render())
        }
        Err(error) => {
            tracing::warn!(%error, "metrics are not collected");
            Arc::new(String::new)
        }
    }
}

/// How long HTTP requests may go on once the server stops.
const HTTP_GRACE: Duration = Duration::from_secs(2);
/// How often old samples of histograms are thrown away.
const UPKEEP: Duration = Duration::from_secs(5);

/// Removes what recordings left behind that a crash cut off; returns how many files that were.
fn sweep_parts(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let is_part = path
                .extension()
                .is_some_and(|extension| extension == "part");
            match (is_folder, is_part) {
                (true, _) => sweep_parts(&path),
                (false, true) => usize::from(std::fs::remove_file(&path).is_ok()),
                (false, false) => 0,
            }
        })
        .sum()
}

fn fresh_rng() -> Result<Rng, StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| format!("the machine has no randomness: {e}"))?;
    Ok(Rng::from_bytes(seed))
}

fn bind_http(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let listener = std::net::TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "http.listen {address}: TCP port {} is in use",
            address.port()
        ),
        _ => format!("http.listen {address}: {error}"),
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The addresses media ports are bound on before the first call: those SIP listens on, where they are particular ones.
fn media_addresses(sip: &[SocketAddr]) -> Vec<std::net::IpAddr> {
    let mut addresses: Vec<_> = sip
        .iter()
        .map(SocketAddr::ip)
        .filter(|ip| !ip.is_unspecified())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// What a development certificate is for, when a listener needs one.
fn development(config: &Config, sip: &[SocketAddr]) -> Option<Development> {
    let secure = |url: &crate::net::config::ListenUrl| url.transport.is_secure();
    config.sip.listen.iter().any(secure).then(|| {
        let mut names = vec!["localhost".to_owned(), node_name()];
        names.extend(config.advertised_host());
        names.extend(
            sip.iter()
                .map(SocketAddr::ip)
                .chain([[127, 0, 0, 1].into()])
                .filter(|ip| !ip.is_unspecified())
                .map(|ip| ip.to_string()),
        );
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Development {
            dir: config.tls_dir(),
            names,
        }
    })
}

/// The machine's name, as records and the default realm have it.
fn node_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_lowercase();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

/// Where browsers find the page: on this machine unless the configuration knows better.
fn page_base(config: &Config, bound: SocketAddr) -> String {
    match config.http.public_url.trim_end_matches('/') {
        "" if bound.ip().is_unspecified() => format!("http://127.0.0.1:{}", bound.port()),
        "" => format!("http://{bound}"),
        url => url.to_owned(),
    }
}

fn voice_name(config: &Config) -> String {
    match config.tts.provider.as_str() {
        "http" => format!("{} ({:?})", config.tts.url, config.tts.dialect).to_lowercase(),
        _ => config.tts.command.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_recordings_that_were_never_completed_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("account/202401");
        std::fs::create_dir_all(&inner).unwrap();
        for name in ["a.wav", "b.wav.part", "c.wav.part"] {
            std::fs::write(inner.join(name), b"x").unwrap();
        }
        assert_eq!(sweep_parts(dir.path()), 2);
        assert!(inner.join("a.wav").exists());
        assert_eq!(sweep_parts(&dir.path().join("not-there")), 0);
    }

    #[test]
    fn media_is_prepared_on_particular_addresses_only() {
        let sip = [
            "0.0.0.0:5060",
            "127.0.0.1:5060",
            "127.0.0.1:5070",
            "[::]:5060",
        ]
        .map(|a| a.parse().unwrap());
        assert_eq!(
            media_addresses(&sip),
            ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]
        );
    }
}
