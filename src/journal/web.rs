//! Exchanges with web servers that belong to a call, as facts of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::detail::{self, Asked, Detail, Timing, Told};
use super::{Fact, Journal, mask};
use crate::host::clock;
use crate::host::http::{self, Exchange, Outcome, Watch, Watcher};

/// The call an exchange belongs to, and what it is for.
pub struct OfCall {
    journal: Journal,
    call_id: String,
    purpose: &'static str,
}

impl Journal {
    /// Writes exchanges into the trace of a call. `purpose` is `pivot`, `callback`, `cdr`, `webhook`, `upload`, `media` (files
    /// that are played) or `tts` (texts to be spoken).
    pub fn watch(&self, call_id: &str, purpose: &'static str) -> Watcher {
        Watcher(Arc::new(OfCall {
            journal: self.clone(),
            call_id: call_id.to_owned(),
            purpose,
        }))
    }

    /// Writes a detail of a call's course.
    pub fn detail(&self, call_id: &str, detail: Detail) {
        self.emit(Fact::Detail {
            call_id: call_id.to_owned(),
            at: clock::unix_now(),
            detail,
        });
    }
}

impl Watch for OfCall {
    fn asked(&self, exchange: &Exchange, headers: &[(String, String)]) -> u64 {
        let id = self.journal.0.exchanges.fetch_add(1, Ordering::Relaxed);
        let mut asked = Asked {
            id,
            purpose: self.purpose,
            method: exchange.method.name(),
            url: exchange.url.as_str().to_owned(),
            headers: headers.to_vec(),
            body: detail::kept(&exchange.body),
            length: exchange.body.len() as u64,
        };
        if self.journal.0.retention.mask_digits {
            asked.url = mask::digits_of_url(&asked.url);
            if let Ok(body) = std::str::from_utf8(&asked.body) {
                asked.body = mask::digits(body).into();
            }
        }
        let detail = Detail::Asked(Box::new(asked));
        self.journal.detail(&self.call_id, detail);
        id
    }

    fn told(&self, id: u64, outcome: Outcome<'_>, timing: &http::Timing) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let timing = Timing {
            dns: timing.dns.map(micros),
            connect: timing.connect.map(micros),
            tls: timing.tls.map(micros),
            server: timing.server.map(micros),
            body: timing.body.map(micros),
            total: micros(timing.total),
        };
        let told = match outcome {
            Outcome::Answered {
                status,
                headers,
                body,
                length,
            } => Told {
                id,
                status: Some(status),
                headers: headers.to_vec(),
                body: match self.purpose {
                    // Sound can be had from the server again, and is nothing to read.
                    "media" | "tts" if (200..300).contains(&status) => Bytes::new(),
                    _ => detail::kept(body),
                },
                length,
                error: None,
                timing,
            },
            Outcome::Failed(why) => Told {
                id,
                error: Some(why.to_owned()),
                timing,
                ..Told::default()
            },
        };
        let detail = Detail::Told(Box::new(told));
        self.journal.detail(&self.call_id, detail);
    }
}
