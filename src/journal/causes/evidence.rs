//! What the facts of one leg say about its end, in little room: a call that runs for hours keeps no more than one that
//! rang once.

use std::net::SocketAddr;

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
        match fact {
            Fact::Sip {
                bytes,
                direction,
                peer,
                at,
                ..
            } => self.message(bytes, *direction, *peer, *at, n),
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
                self.last = ("the answer".to_owned(), n);
            }
            Fact::Leg { other, .. } if self.legs.len() < 32 => {
                self.legs.push(other.as_str().into())
            }
            Fact::Refused { status, .. } => self.refused = Some(*status),
            Fact::Node { module, .. } => {
                self.module.clone_from(module);
                self.last = (format!("the {module} node"), n);
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

    fn message(&mut self, bytes: &[u8], way: Way, peer: SocketAddr, at: UnixMicros, n: usize) {
        // All but a few messages of a call say nothing about its end.
        let response = bytes.starts_with(b"SIP/2.0 ");
        if !response
            && !["INVITE ", "BYE ", "CANCEL "]
                .iter()
                .any(|m| bytes.starts_with(m.as_bytes()))
        {
            return;
        }
        let Some(seen) = message::read(bytes) else {
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
            self.last = (
                format!(
                    "{} {} from {who}{reason}",
                    article(seen.method),
                    seen.method
                ),
                n,
            );
            if self.from.is_empty() && way == Way::In {
                self.from = plain(user_of(seen.from));
            }
            if seen.method == "INVITE" {
                self.authorized |= seen.authorized;
            }
        } else if seen.about == "INVITE" {
            self.heard |= way == Way::In;
            self.last = (format!("a {} from {who}", seen.status), n);
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

const MOST_TROUBLES: usize = 12;
const MOST_TEXT: usize = 160;
