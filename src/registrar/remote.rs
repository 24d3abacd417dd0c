//! What other threads may ask of the registrar: the API lists, counts and removes registrations.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::mwi::Messages;
use super::server::Registrar;
use crate::base::time::UnixMicros;
use crate::host::clock;
use crate::sip::flow::Transport;
use crate::sip::ua::Endpoint;

/// Asks the signalling thread. Cheap to clone; without a server it has nothing to tell.
#[derive(Debug, Clone)]
pub struct Remote(mpsc::Sender<Ask>);

/// The other end, for the signalling thread.
#[derive(Debug)]
pub struct Asks(mpsc::Receiver<Ask>);

/// One registration, as the API shows it.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Id of the account.
    pub account: String,
    /// Id of the device.
    pub device: String,
    /// User name of the address of record.
    pub username: String,
    /// Its realm.
    pub realm: String,
    /// Host of To.
    pub to_host: String,
    /// Call-ID of the REGISTER.
    pub call_id: String,
    /// The phone's own Contact, with parameters.
    pub original_contact: String,
    /// The phone's own Contact URI.
    pub contact: String,
    /// Where requests to it go.
    pub reached_at: SocketAddr,
    /// Where it registered from.
    pub source: SocketAddr,
    /// What carries them.
    pub transport: Transport,
    /// Our address it registered at.
    pub local: SocketAddr,
    /// Its User-Agent.
    pub user_agent: String,
    /// When it began.
    pub registered_at: UnixMicros,
    /// When it ends.
    pub expires_at: UnixMicros,
    /// Whether it answers.
    pub reachable: bool,
}

#[derive(Debug)]
pub(super) enum Ask {
    List {
        account: Option<String>,
        answer: oneshot::Sender<Vec<Registration>>,
    },
    Count {
        account: Option<String>,
        answer: oneshot::Sender<usize>,
    },
    Flush {
        account: String,
        username: Option<String>,
        answer: oneshot::Sender<usize>,
    },
    Messages {
        account: String,
        id: String,
        answer: oneshot::Sender<Option<Messages>>,
    },
    SetMessages {
        account: String,
        id: String,
        messages: Option<Messages>,
        answer: oneshot::Sender<()>,
    },
    Sync {
        account: String,
        device: String,
        answer: oneshot::Sender<usize>,
    },
    Banned {
        answer: oneshot::Sender<Vec<(IpAddr, Duration)>>,
    },
    Forgive {
        source: IpAddr,
        answer: oneshot::Sender<bool>,
    },
}

/// Questions that may wait; past it the asker waits.
const QUEUE: usize = 64;

impl Remote {
    /// Both ends.
    pub fn pair() -> (Remote, Asks) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Remote(sender), Asks(receiver))
    }

    async fn ask<T: Default>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> T {
        let (answer, told) = oneshot::channel();
        if self.0.send(ask(answer)).await.is_err() {
            return T::default();
        }
        told.await.unwrap_or_default()
    }

    /// The registrations of an account, or all.
    pub async fn list(&self, account: Option<&str>) -> Vec<Registration> {
        let account = account.map(str::to_owned);
        self.ask(|answer| Ask::List { account, answer }).await
    }

    /// How many registrations an account has, or all have.
    pub async fn count(&self, account: Option<&str>) -> usize {
        let account = account.map(str::to_owned);
        self.ask(|answer| Ask::Count { account, answer }).await
    }

    /// Removes the registrations of an account, or of one of its user names; how many those were.
    pub async fn flush(&self, account: &str, username: Option<&str>) -> usize {
        let (account, username) = (account.to_owned(), username.map(str::to_owned));
        self.ask(|answer| Ask::Flush {
            account,
            username,
            answer,
        })
        .await
    }

    /// How many messages wait for a device or user, as far as that was ever said.
    pub async fn messages(&self, account: &str, id: &str) -> Option<Messages> {
        let (account, id) = (account.to_owned(), id.to_owned());
        let ask = |answer| Ask::Messages {
            account,
            id,
            answer,
        };
        self.ask(ask).await
    }

    /// Says how many messages wait for a device or user; `None` takes it back.
    pub async fn set_messages(&self, account: &str, id: &str, messages: Option<Messages>) {
        let (account, id) = (account.to_owned(), id.to_owned());
        let ask = |answer| Ask::SetMessages {
            account,
            id,
            messages,
            answer,
        };
        self.ask(ask).await
    }

    /// Asks the phones of a device to fetch their settings again; how many were asked.
    pub async fn sync(&self, account: &str, device: &str) -> usize {
        let (account, device) = (account.to_owned(), device.to_owned());
        let ask = |answer| Ask::Sync {
            account,
            device,
            answer,
        };
        self.ask(ask).await
    }

    /// The addresses that are banned, with the time that is left.
    pub async fn banned(&self) -> Vec<(IpAddr, Duration)> {
        self.ask(|answer| Ask::Banned { answer }).await
    }

    /// Ends the ban of an address; whether there was one.
    pub async fn forgive(&self, source: IpAddr) -> bool {
        self.ask(|answer| Ask::Forgive { source, answer }).await
    }
}

impl Asks {
    /// The next question, to be handed to [`Registrar::answer`]; `None` when nobody can ask any more.
    pub async fn next(&mut self) -> Option<Question> {
        self.0.recv().await.map(Question)
    }
}

/// One question.
#[derive(Debug)]
pub struct Question(Ask);

/// Whoever asked may have gone meanwhile; then nobody is told.
fn tell<T>(answer: oneshot::Sender<T>, what: T) {
    if answer.send(what).is_err() {
        tracing::debug!("nobody waits for an answer about registrations any more");
    }
}

impl Registrar {
    /// Answers a question of another thread.
    pub fn answer_question(&self, endpoint: &mut Endpoint, question: Question) {
        match question.0 {
            Ask::List { account, answer } => tell(answer, self.list(account.as_deref())),
            Ask::Count { account, answer } => tell(answer, self.count_of(account.as_deref())),
            Ask::Flush {
                account,
                username,
                answer,
            } => tell(answer, self.flush(&account, username.as_deref())),
            Ask::Messages {
                account,
                id,
                answer,
            } => tell(answer, self.messages(&account, &id)),
            Ask::SetMessages {
                account,
                id,
                messages,
                answer,
            } => {
                self.set_messages(endpoint, clock::now(), &account, &id, messages);
                tell(answer, ());
            }
            Ask::Sync {
                account,
                device,
                answer,
            } => {
                let account = self.0.directory.account(&account);
                let device = account.as_ref().and_then(|a| a.devices.get(&device));
                let asked = match (&account, device) {
                    (Some(account), Some(device)) => {
                        self.sync(endpoint, clock::now(), account, device)
                    }
                    _ => 0,
                };
                tell(answer, asked);
            }
            Ask::Banned { answer } => tell(answer, self.banned(clock::now())),
            Ask::Forgive { source, answer } => {
                tell(answer, self.forgive(endpoint, clock::now(), source));
            }
        }
    }

    fn count_of(&self, account: Option<&str>) -> usize {
        let table = self.0.table.borrow();
        let of_account = table
            .records()
            .filter(|(_, record)| account.is_none_or(|account| account == &*record.account));
        of_account.map(|(_, record)| record.bindings.len()).sum()
    }

    fn list(&self, account: Option<&str>) -> Vec<Registration> {
        let table = self.0.table.borrow();
        let of_account = table
            .records()
            .filter(|(_, record)| account.is_none_or(|account| account == &*record.account));
        of_account
            .flat_map(|(aor, record)| {
                record.bindings.iter().map(move |bound| Registration {
                    account: record.account.to_string(),
                    device: record.device.to_string(),
                    username: aor.username.to_string(),
                    realm: aor.realm.to_string(),
                    to_host: bound.to_host.to_string(),
                    call_id: bound.call_id.to_string(),
                    original_contact: format!("<{}>{}", bound.binding.contact, bound.params),
                    contact: bound.binding.contact.clone(),
                    reached_at: bound.binding.flow.remote,
                    source: bound.binding.source,
                    transport: bound.binding.flow.transport,
                    local: bound.binding.flow.local,
                    user_agent: bound.binding.user_agent.clone(),
                    registered_at: bound.registered_at,
                    expires_at: bound.binding.expires_at,
                    reachable: !bound.life.unreachable,
                })
            })
            .collect()
    }

    fn flush(&self, account: &str, username: Option<&str>) -> usize {
        let flushed = self.0.table.borrow_mut().flush(account, username);
        self.changed(&flushed);
        flushed.len()
    }
}
