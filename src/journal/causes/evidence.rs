//! What the facts of one leg say about its end, in little room: a call that runs for hours keeps no more than one that
//! rang once.

use std::net::SocketAddr;

use bytes::Bytes;

use super::message;
use super::table::Code;
use crate::base::time::UnixMicros;
use crate::journal::fact::{Fact, Way};
use crate::journal::offer::Offer;

/// One leg.
#[derive(Debug, Default)]
pub(in crate::journal) struct Evidence {
    pub(super) call_id: Box<str>,
    pub(super) account: String,
    pub(super) begun: UnixMicros,
    /// Legs this one has placed.
    pub(super) legs: Vec<Box<str>>,
    /// Whom a leg was placed to: `device`, `resource` …, its id, its name, and where it was sent.
    pub(super) placed: Option<Placed>,
    pub(super) started: bool,
    pub(super) from: String,
    pub(super) dialled: String,
    pub(super) callflow: String,
    pub(super) module: String,
    pub(super) answered: Option<UnixMicros>,
    pub(super) rang: Option<UnixMicros>,
    pub(super) ended: Option<End>,
    pub(super) refused: Option<u16>,
    pub(super) troubles: Vec<Told>,
    /// The first description of the leg, and whether it was the peer's.
    pub(super) offer: Option<(Way, Offer)>,
    /// The latest description of the peer.
    pub(super) theirs: Option<Offer>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) method: String,
    /// The last final response to an INVITE.
    pub(super) last_final: Option<Final>,
    /// The peer has answered something, if only 100.
    pub(super) heard: bool,
    pub(super) authorized: bool,
    pub(super) last: (String, usize),
    /// Which fact `last` was, counted here.
    last_count: u32,
    count: u32,
    /// Messages nobody has read yet: most calls end well, and nobody ever does.
    unread: Vec<Unread>,
}

/// A message that may say something about the end of its leg.
#[derive(Debug)]
struct Unread {
    bytes: Bytes,
    way: Way,
    peer: SocketAddr,
    at: UnixMicros,
    n: usize,
    count: u32,
}

/// Whom a leg was placed to.
#[derive(Debug, Clone, Default)]
pub(super) struct Placed {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) server: String,
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) at: UnixMicros,
    pub(super) cause: &'static str,
    pub(super) status: u16,
    pub(super) disposition: &'static str,
    pub(super) n: usize,
}

/// What somebody who saw it has told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) code: Code,
    pub(super) values: Vec<(&'static str, String)>,
    pub(super) n: usize,
}

/// A final response to an INVITE.
#[derive(Debug, Clone, Default)]
pub(super) struct Final {
    pub(super) ours: bool,
    pub(super) status: u16,
    pub(super) phrase: String,
    pub(super) warning: String,
    pub(super) retry_after: String,
    pub(super) n: usize,
}

impl Evidence {
    pub(super) fn new(call_id: &str, at: UnixMicros) -> Self {
        Self {
            call_id: call_id.into(),
            begun: at,
            ..Self::default()
        }
    }

    /// Whether a fact is the beginning of something that can fail: an INVITE, a call, a trouble.
    pub(super) fn begins_with(fact: &Fact) -> bool {
        match fact {
            Fact::Sip { bytes, .. } => bytes.starts_with(b"INVITE "),
            Fact::Started { .. }
            | Fact::Refused { .. }
            | Fact::Trouble { .. }
            | Fact::Leg { .. } => true,
            _ => false,
        }
    }

    /// Takes a fact of this leg; `n` says which it is.
    pub(super) fn note(&mut self, fact: &Fact, n: usize) {
        self.count = self.count.wrapping_add(1);
        match fact {
            Fact::Sip {
                bytes,
                direction,
                peer,
                at,
                ..
            } if says_something(bytes) => {
                self.unread.push(Unread {
                    bytes: bytes.clone(),
                    way: *direction,
                    peer: *peer,
                    at: *at,
                    n,
                    count: self.count,
                });
                if self.unread.len() >= MOST_UNREAD || bytes.len() > LONG {
                    self.read();
                }
            }
            Fact::Started {
                account,
                from,
                dialled,
                callflow,
                ..
            } => {
                self.started = true;
                self.account.clone_from(account);
                self.from.clone_from(from);
                self.dialled.clone_from(dialled);
                self.callflow.clone_from(callflow);
            }
            Fact::Answered { at, .. } => {
                self.answered.get_or_insert(*at);
                self.set_last("the answer".to_owned(), n, self.count);
            }
            Fact::Leg { other, .. } if self.legs.len() < 32 => {
                self.legs.push(other.as_str().into())
            }
            Fact::Refused { status, .. } => self.refused = Some(*status),
            Fact::Node { module, .. } => {
                self.module.clone_from(module);
                self.set_last(format!("the {module} node"), n, self.count);
            }
            Fact::Trouble {
                code,
                account,
                values,
                ..
            } => {
                if self.account.is_empty() {
                    self.account.clone_from(account);
                }
                if self.troubles.len() < MOST_TROUBLES {
                    let values = values
                        .iter()
                        .map(|(name, text)| (*name, plain(text)))
                        .collect();
                    self.troubles.push(Told {
                        code: *code,
                        values,
                        n,
                    });
                }
            }
            Fact::Ended {
                at,
                cause,
                status,
                disposition,
                ..
            } => {
                self.ended = Some(End {
                    at: *at,
                    cause,
                    status: *status,
                    disposition,
                    n,
                });
            }
            _ => {}
        }
    }

    /// This leg was placed by another.
    pub(super) fn placed_by(&mut self, fact: &Fact) {
        if let Fact::Leg {
            kind,
            id,
            name,
            server,
            ..
        } = fact
        {
            self.placed = Some(Placed {
                kind: kind.clone(),
                id: id.clone(),
                name: plain(name),
                server: server.clone(),
            });
        }
    }

    /// Reads what is there to be read.
    pub(super) fn read(&mut self) {
        for unread in std::mem::take(&mut self.unread) {
            self.message(&unread);
        }
    }

    /// What was the last thing to happen; messages may be read late.
    fn set_last(&mut self, what: String, n: usize, count: u32) {
        if count >= self.last_count {
            self.last = (what, n);
            self.last_count = count;
        }
    }

    fn message(&mut self, unread: &Unread) {
        let Unread {
            way,
            peer,
            at,
            n,
            count,
            ..
        } = *unread;
        let response = unread.bytes.starts_with(RESPONSE);
        let Some(seen) = message::read(&unread.bytes) else {
            return;
        };
        self.peer.get_or_insert(peer);
        let who = if way == Way::In {
            "the other end"
        } else {
            "swivel"
        };
        if !response {
            if self.method.is_empty() {
                seen.method.clone_into(&mut self.method);
            }
            let reason = match seen.reason {
                "" => " without a reason".to_owned(),
                reason => format!(" with the reason {}", plain(reason)),
            };
            let reason = if seen.method == "INVITE" {
                String::new()
            } else {
                reason
            };
            let article = article(seen.method);
            let what = format!("{article} {} from {who}{reason}", seen.method);
            self.set_last(what, n, count);
            if self.from.is_empty() && way == Way::In {
                self.from = plain(user_of(seen.from));
            }
            if seen.method == "INVITE" {
                self.authorized |= seen.authorized;
            }
        } else if seen.about == "INVITE" {
            self.heard |= way == Way::In;
            self.set_last(format!("a {} from {who}", seen.status), n, count);
            if seen.status >= 180 && seen.status < 300 {
                self.rang.get_or_insert(at);
            }
            if seen.status >= 300 {
                self.last_final = Some(Final {
                    ours: way == Way::Out,
                    status: seen.status,
                    phrase: plain(seen.phrase),
                    warning: plain(seen.warning),
                    retry_after: plain(seen.retry_after),
                    n,
                });
            }
        }
        let invite = seen.method == "INVITE" || seen.about == "INVITE";
        if invite && let Some(offer) = Offer::read(seen.body) {
            if way == Way::In {
                self.theirs = Some(offer.clone());
            }
            self.offer.get_or_insert((way, offer));
        }
    }
}

/// All but a few messages of a call say nothing about its end.
fn says_something(bytes: &[u8]) -> bool {
    let starts: [&[u8]; 4] = [RESPONSE, b"INVITE ", b"BYE ", b"CANCEL "];
    starts.iter().any(|start| bytes.starts_with(start))
}

/// Text of a peer: short, without control characters.
fn plain(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = visible.take(MOST_TEXT).collect();
    if text.chars().nth(MOST_TEXT).is_some() {
        short.push('…');
    }
    short.trim().to_owned()
}

/// The user part of a From.
fn user_of(from: &str) -> &str {
    let uri = from.split_once("sip:").or_else(|| from.split_once("sips:"));
    let user = uri.and_then(|(_, rest)| rest.split_once('@'));
    user.map_or("", |(user, _)| user)
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['A', 'I', 'O']) {
        "an"
    } else {
        "a"
    }
}

/// How a response begins.
const RESPONSE: &[u8] = b"SIP/2.0 ";
/// Messages that may wait to be read.
const MOST_UNREAD: usize = 8;
/// Longer messages are read at once, to keep none of them.
const LONG: usize = 4096;
const MOST_TROUBLES: usize = 12;
const MOST_TEXT: usize = 160;
