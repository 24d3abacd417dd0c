//! What the control commands do: `apply`, `export`, `block`, `trace`. Works for a running server, and without one on the
//! store itself.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::bundle::{AccountBundle, Bundle, Item};
use super::config::Config;
use super::control::Request;
use super::control::server::Handler;
use crate::api::{self, Api};
use crate::base::rng::Rng;
use crate::directory::{Directory, Kind, private};
use crate::host::clock;
use crate::host::guard::{Block, Cidr, Guard};
use crate::journal::Journal;
use crate::registrar::Remote;
use crate::store::backup::{Folder, Tally};
use crate::store::{Batch, Direction, Files, KeyRange, Store, StoreError, Table, keys};

/// The parts of a server the control commands work on.
pub struct Office {
    api: Api,
    directory: Directory,
    journal: Journal,
    guard: Arc<Guard>,
    /// Files that belong to the data.
    folders: Vec<Folder>,
    /// Where browsers find the page.
    page: String,
    since: Instant,
}

/// Why documents were not applied. Those that are not named here were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of {of} documents were refused:\n{}", .refused.len(), indented(.refused))]
pub struct ApplyError {
    /// A line for each refused document.
    pub refused: Vec<String>,
    /// How many documents there were.
    pub of: usize,
}

fn indented(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What `apply` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// A line for each document that is new or has changed, and for each warning.
    pub lines: Vec<String>,
    /// How many documents were stored.
    pub stored: usize,
    /// How many documents were as they should be already.
    pub unchanged: usize,
    refused: Vec<String>,
}

impl Applied {
    /// The last line.
    pub fn summary(&self) -> String {
        match (self.stored, self.unchanged) {
            (0, n) => format!("nothing changed ({n} documents are as they should be)"),
            (n, 0) => format!("{n} documents stored"),
            (n, m) => format!("{n} documents stored, {m} were as they should be"),
        }
    }

    fn refuse(&mut self, shown: &str, error: &api::ApplyError) {
        match error {
            api::ApplyError::Invalid(findings) => {
                let lines = findings
                    .iter()
                    .map(|f| format!("{shown}: {}: {} ({})", f.path, f.message, f.rule));
                self.refused.extend(lines);
            }
            other => self.refused.push(format!("{shown}: {other}")),
        }
    }
}

/// An API without a listener: the checks of documents, for `apply`.
///
/// # Errors
/// When the store fails.
pub async fn api(
    config: &Config,
    directory: &Directory,
    journal: &Journal,
    registrations: Remote,
    guard: &Arc<Guard>,
    metrics: api::Text,
    rng: Rng,
) -> Result<Api, StoreError> {
    let guard = Arc::clone(guard);
    Api::new(api::Parts {
        directory: directory.clone(),
        journal: journal.clone(),
        registrations,
        config: config.http.clone(),
        guard: Arc::new(move |url| guard.check_text(url).map_err(|e| e.to_string())),
        metrics,
        rng,
    })
    .await
}

impl Office {
    /// The office of a running server.
    pub fn new(api: Api, directory: Directory, journal: Journal, guard: Arc<Guard>) -> Self {
        Self {
            api,
            directory,
            journal,
            guard,
            folders: Vec::new(),
            page: String::new(),
            since: clock::now(),
        }
    }

    /// The same, with the folders of a configuration.
    #[must_use]
    pub fn keeping(mut self, config: &Config) -> Self {
        self.folders = folders(config);
        self
    }

    /// The same, with the address browsers find the page at.
    #[must_use]
    pub fn at(mut self, page: String) -> Self {
        self.page = page;
        self
    }

    /// An address that signs `user` in once, within a quarter of an hour.
    ///
    /// # Errors
    /// In words, when there is no such user or no server.
    pub fn link(&self, account: Option<&str>, user: &str) -> Result<String, String> {
        if self.page.is_empty() {
            return Err(
                "no server is running on this data directory: its keys are in its memory only"
                    .to_owned(),
            );
        }
        let path = self.api.link(account, user).map_err(|e| e.to_string())?;
        Ok(format!("{}{path}", self.page))
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Opens the store of `config` while no server runs.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub async fn open(config: &Config) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        config.make_data_dir()?;
        let store = Store::open(&config.store_dir())?;
        let directory = Directory::load_with(store.clone(), Files::at(config.media_dir())).await?;
        let guard = Arc::new(Guard::new(config.pivot.clone()));
        load_blocks(&store, &guard).await?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| e.to_string())?;
        let journal = Journal::new(store);
        let api = api(
            config,
            &directory,
            &journal,
            // No server runs: nobody is registered.
            Remote::pair().0,
            &guard,
            Arc::new(String::new),
            Rng::from_bytes(seed),
        )
        .await?;
        Ok(Self::new(api, directory, journal, guard).keeping(config))
    }

    /// Answers a request without a socket.
    ///
    /// # Errors
    /// In words, when it does not work.
    pub async fn answer_here(
        &self,
        request: Request,
        mut line: impl FnMut(Value),
    ) -> Result<Value, String> {
        if matches!(request, Request::Follow { .. }) {
            return Err(
                "no server is running on this data directory, so there is nothing to follow"
                    .to_owned(),
            );
        }
        let (sender, mut lines) = mpsc::channel(256);
        let answer = self.answer(request, sender);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                Some(next) = lines.recv() => line(next),
                result = &mut answer => {
                    while let Ok(next) = lines.try_recv() {
                        line(next);
                    }
                    return result;
                }
            }
        }
    }

    /// Stores what is new or different in `bundle`. What breaks a rule is left out and named.
    ///
    /// # Errors
    /// When a document breaks a rule, or the store fails.
    pub async fn apply(&self, bundle: Bundle) -> Result<Applied, ApplyError> {
        let mut applied = Applied::default();
        let mut of = 0;
        for AccountBundle { account, documents } in bundle.accounts {
            of += 1 + documents.len();
            let label = format!("account {}", title(&account, "without a name"));
            let Some(account) = self
                .apply_one(Kind::Account, "", account, &label, &mut applied)
                .await
            else {
                continue;
            };
            for Item {
                kind,
                document,
                audio,
            } in documents
            {
                let shown = format!("{label}, {kind} {}", title(&document, "without a name"));
                match Kind::named(&kind) {
                    Some(kind) => {
                        self.apply_item(kind, &account, document, audio, &shown, &mut applied)
                            .await
                    }
                    None => applied.refused.push(format!(
                        "{shown}: this version has no such kind of document"
                    )),
                }
            }
        }
        if applied.refused.is_empty() {
            Ok(applied)
        } else {
            Err(ApplyError {
                refused: applied.refused,
                of,
            })
        }
    }

    async fn apply_item(
        &self,
        kind: Kind,
        account: &str,
        mut document: Map<String, Value>,
        audio: Option<String>,
        shown: &str,
        applied: &mut Applied,
    ) {
        let bytes = match audio.map(|text| STANDARD.decode(text)).transpose() {
            Ok(bytes) => bytes,
            Err(error) => {
                applied
                    .refused
                    .push(format!("{shown}: audio: is not base64 ({error})"));
                return;
            }
        };
        if let Some(bytes) = &bytes {
            document.insert("media_source".to_owned(), json!("upload"));
            document.insert("content_length".to_owned(), json!(bytes.len()));
            document
                .entry("content_type")
                .or_insert_with(|| json!(audio_type(bytes)));
        }
        let Some(id) = self
            .apply_one(kind, account, document, shown, applied)
            .await
        else {
            return;
        };
        let Some(bytes) = bytes else { return };
        let kept = self.directory.media_bytes(account, &id).await;
        if !matches!(&kept, Ok(Some(kept)) if **kept == *bytes)
            && let Err(error) = self
                .directory
                .put_media_bytes(account, &id, bytes.into())
                .await
        {
            applied.refused.push(format!("{shown}: audio: {error}"));
        }
    }

    /// Stores one document; the value is its id.
    async fn apply_one(
        &self,
        kind: Kind,
        account: &str,
        document: Map<String, Value>,
        shown: &str,
        applied: &mut Applied,
    ) -> Option<String> {
        match self.api.apply(kind, account, document).await {
            Ok(saved) => {
                if saved.changed {
                    applied.stored += 1;
                    applied.lines.push(format!("stored: {shown}"));
                } else {
                    applied.unchanged += 1;
                }
                let warnings = saved.warnings.iter();
                applied.lines.extend(
                    warnings.map(|w| format!("warning: {shown}: {}: {}", w.path, w.message)),
                );
                Some(saved.id)
            }
            Err(error) => {
                applied.refuse(shown, &error);
                None
            }
        }
    }
}

impl Office {
    /// Every account with all its documents.
    ///
    /// # Errors
    /// When a media file cannot be read.
    pub async fn export(&self, redact: bool) -> Result<Bundle, StoreError> {
        let mut accounts = Vec::new();
        let mut all = self.directory.accounts();
        // Parents first, so that a new store takes them in this order.
        all.sort_by_key(|account| {
            account
                .doc
                .get(api::TREE)
                .and_then(Value::as_array)
                .map_or(0, Vec::len)
        });
        for account in all {
            let mut documents = Vec::new();
            for kind in Kind::ALL
                .iter()
                .copied()
                .filter(|kind| *kind != Kind::Account)
            {
                for (id, doc) in account.documents(kind) {
                    let audio = match kind {
                        Kind::Media => self
                            .directory
                            .media_bytes(&account.id, id)
                            .await?
                            .map(|b| STANDARD.encode(b)),
                        _ => None,
                    };
                    let document = exported(id, doc, redact);
                    documents.push(Item {
                        kind: kind.name().to_owned(),
                        document,
                        audio,
                    });
                }
            }
            accounts.push(AccountBundle {
                account: exported(&account.id, &account.doc, redact),
                documents,
            });
        }
        Ok(Bundle { accounts })
    }

    async fn block(&self, block: Block) -> Result<Value, String> {
        let mut batch = Batch::new();
        batch.put(Table::Documents, block_key(&block), Vec::new());
        self.directory
            .store()
            .write(batch)
            .await
            .map_err(|e| e.to_string())?;
        let new = self.guard.block(block.clone());
        Ok(json!(if new {
            format!("blocked: {block}")
        } else {
            format!("{block} was blocked already")
        }))
    }

    async fn unblock(&self, block: Block) -> Result<Value, String> {
        let mut batch = Batch::new();
        batch.delete(Table::Documents, block_key(&block));
        self.directory
            .store()
            .write(batch)
            .await
            .map_err(|e| e.to_string())?;
        if self.guard.unblock(&block) {
            Ok(json!(format!("no longer blocked: {block}")))
        } else {
            Err(format!("{block} is not on the block list"))
        }
    }

    async fn blocks(&self, lines: &mpsc::Sender<Value>) -> Result<Value, String> {
        let config = self.guard.config();
        let mut said: Vec<String> = self
            .guard
            .blocks()
            .iter()
            .map(|b| format!("blocked    {b}"))
            .collect();
        said.extend(config.deny.iter().map(|net| format!("pivot.deny ip {net}")));
        said.extend(
            config
                .deny_hosts
                .iter()
                .map(|name| format!("pivot.deny_hosts host {name}")),
        );
        said.extend(
            config
                .allow
                .iter()
                .map(|net| format!("pivot.allow ip {net}")),
        );
        for line in said {
            send(lines, json!(line)).await?;
        }
        Ok(json!(
            "besides: every range that is not globally routed, unless pivot.allow has it"
        ))
    }

    async fn trace(&self, call_id: &str, lines: &mpsc::Sender<Value>) -> Result<Value, String> {
        for fact in self
            .journal
            .trace(call_id)
            .await
            .map_err(|e| e.to_string())?
        {
            send(lines, fact).await?;
        }
        Ok(Value::Null)
    }

    async fn follow(
        &self,
        call_id: Option<&str>,
        lines: &mpsc::Sender<Value>,
    ) -> Result<Value, String> {
        let mut facts = self.journal.subscribe();
        loop {
            match facts.recv().await {
                Ok(fact) if call_id.is_none_or(|wanted| wanted == fact.call_id()) => {
                    let mut line = fact.to_json();
                    line["call_id"] = json!(fact.call_id());
                    send(lines, line).await?;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    let at = clock::unix_now().0;
                    send(
                        lines,
                        json!({"at": at, "fact": "note", "text": format!("{missed} facts were missed")}),
                    )
                    .await?;
                }
                Err(RecvError::Closed) => return Ok(Value::Null),
            }
        }
    }
}

impl Handler for Office {
    async fn answer(&self, request: Request, lines: mpsc::Sender<Value>) -> Result<Value, String> {
        let words = |error: StoreError| error.to_string();
        match request {
            Request::Apply { bundle } => {
                let applied = self.apply(bundle).await.map_err(|e| e.to_string())?;
                for line in &applied.lines {
                    send(&lines, json!(line)).await?;
                }
                Ok(json!(applied.summary()))
            }
            Request::Export { redact } => Ok(self.export(redact).await.map_err(words)?.to_value()),
            Request::Backup { path } => {
                let store = self.directory.store();
                let tally = store
                    .backup(&path, self.folders.clone())
                    .await
                    .map_err(words)?;
                Ok(json!(format!("{}: {}", path.display(), counted(&tally))))
            }
            Request::BlockIp { cidr } => self.block(Block::Ip(network(&cidr)?)).await,
            Request::UnblockIp { cidr } => self.unblock(Block::Ip(network(&cidr)?)).await,
            Request::BlockHost { name } => self.block(host(&name)?).await,
            Request::UnblockHost { name } => self.unblock(host(&name)?).await,
            Request::Blocks => self.blocks(&lines).await,
            Request::Trace { call_id } => self.trace(&call_id, &lines).await,
            Request::Follow { call_id } => self.follow(call_id.as_deref(), &lines).await,
            Request::Link { user, account } => {
                self.link(account.as_deref(), &user).map(Value::from)
            }
            Request::Status => {
                let seconds = clock::now().saturating_duration_since(self.since).as_secs();
                Ok(json!({"version": env!("CARGO_PKG_VERSION"), "up_seconds": seconds}))
            }
        }
    }
}

/// The folders whose files are part of a backup.
pub fn folders(config: &Config) -> Vec<Folder> {
    vec![
        Folder {
            name: "media",
            path: config.media_dir(),
        },
        Folder {
            name: "recordings",
            path: config.record_dir(),
        },
    ]
}

/// What a backup holds, in words.
pub fn counted(tally: &Tally) -> String {
    let Tally {
        rows, files, bytes, ..
    } = tally;
    format!("{rows} rows, {files} files, {bytes} bytes")
}

/// Puts the stored block list in force.
///
/// # Errors
/// When the store fails.
pub async fn load_blocks(store: &Store, guard: &Guard) -> Result<(), StoreError> {
    let range = KeyRange::prefix(keys::prefix(&["block"]));
    for (key, _) in store
        .scan(Table::Documents, range, Direction::Forward, usize::MAX)
        .await?
    {
        match keys::parts(&key).as_slice() {
            [_, kind, value] if kind == "host" => drop(guard.block(Block::host(value))),
            [_, kind, value] if kind == "ip" => {
                if let Ok(net) = value.parse::<Cidr>() {
                    guard.block(Block::Ip(net));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn block_key(block: &Block) -> Vec<u8> {
    match block {
        Block::Ip(net) => keys::join(&["block", "ip", &net.to_string()]),
        Block::Host(name) => keys::join(&["block", "host", name]),
    }
}

fn network(text: &str) -> Result<Cidr, String> {
    text.parse::<Cidr>().map_err(|e| e.to_string())
}

fn host(name: &str) -> Result<Block, String> {
    let fits = !name.is_empty()
        && name.len() <= 253
        && !name.contains(['/', ':', '@', ' '])
        && !name.contains(char::is_control);
    if fits {
        Ok(Block::host(name))
    } else {
        Err(format!("{name:?} is not a host name"))
    }
}

async fn send(lines: &mpsc::Sender<Value>, line: Value) -> Result<(), String> {
    lines
        .send(line)
        .await
        .map_err(|_| "nobody listens any more".to_owned())
}

fn text<'a>(document: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    document.get(key).and_then(Value::as_str)
}

/// The type of an audio file, by its first bytes.
fn audio_type(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2, ..] => "audio/mp3",
        _ => "audio/wav",
    }
}

/// How a document is called in messages.
fn title(document: &Map<String, Value>, otherwise: &str) -> String {
    let first_number = document
        .get("numbers")
        .and_then(|n| n.get(0))
        .and_then(Value::as_str);
    let found = text(document, "name")
        .or(text(document, "username"))
        .or(first_number);
    found
        .or(text(document, "id"))
        .unwrap_or(otherwise)
        .to_owned()
}

/// A stored document as it is exported: public fields, id first, and credentials unless redacted.
fn exported(id: &str, doc: &Value, redact: bool) -> Map<String, Value> {
    let mut document = private::public(id, doc);
    if redact {
        redacted(&mut document);
        return document;
    }
    for key in api::KEPT {
        if let Some(value) = doc.get(key) {
            document.insert(key.to_owned(), value.clone());
        }
    }
    document
}

fn redacted(document: &mut Map<String, Value>) {
    document.retain(|key, _| {
        !SECRETS
            .iter()
            .any(|secret| key.to_ascii_lowercase().contains(secret))
    });
    for value in document.values_mut() {
        redact_inside(value);
    }
}

fn redact_inside(value: &mut Value) {
    match value {
        Value::Object(map) => redacted(map),
        Value::Array(items) => items.iter_mut().for_each(redact_inside),
        Value::String(text) if text.contains('@') => {
            // Name and password of a URL.
            if let Ok(mut url) = url::Url::parse(text)
                && url.has_authority()
                && url.set_username("").and(url.set_password(None)).is_ok()
            {
                *text = url.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Keys with these words hold secrets.
const SECRETS: [&str; 5] = [
    "password",
    "secret",
    "api_key",
    "custom_request_headers",
    "pins",
];
