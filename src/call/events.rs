//! What happens to a call: events of its dialog and of its port, and its end.

use crate::base::cause::Cause;
use crate::base::keys::Keys;
use crate::base::time::UnixMicros;
use crate::host::clock;
use crate::journal::{Code, Detail, Fact, Quality, Rtp};
use crate::media::{Command, MediaEvent, Passed, PortStats, Sample, Via};
use crate::sdp::Session;
use crate::sdp::negotiate::{self, Direction};
use crate::sip::msg::{Contacts, Message, Name, NameAddr, Uri};
use crate::sip::ua::{Body, How, Reason, Refer, Refusal, Side, SipEvent};

use super::error::{By, Ended};
use super::handle::CallHandle;
use super::inbound::AGENT;
use super::info;
use super::presses::Way;
use super::state::Phase;

impl CallHandle {
    pub(super) fn sip_event(&self, event: SipEvent) {
        match event {
            SipEvent::Established {
                answer: Some(body), ..
            }
            | SipEvent::Answer {
                body: Some(body), ..
            } => {
                self.answered_offer(&body);
            }
            SipEvent::Established { .. } | SipEvent::Answer { .. } => {}
            SipEvent::Offer { offer, .. } => self.offered(offer),
            SipEvent::OfferFailed { status, .. } => {
                tracing::debug!(call = ?self, status, "our offer was refused, the session stays");
                self.state_mut().media.pending_offer = None;
            }
            SipEvent::Info { body, .. } => {
                if let Some(key) = info::dtmf(&body) {
                    if self.pressed(key, Way::Info) {
                        self.pass_on(key);
                    }
                    // Tones in the audio would only repeat them.
                    if let Some(port) = &self.state().media.port {
                        port.command(Command::Inband(false));
                    }
                }
            }
            SipEvent::Ended {
                by, how, reason, ..
            } => self.finish(by, how, reason),
            SipEvent::Rejected {
                status, message, ..
            } => {
                let reason = message
                    .as_ref()
                    .and_then(|m| m.header(Name::Reason))
                    .map(Reason::parse_list)
                    .and_then(|all| all.into_iter().find(is_q850));
                if let (300..=302, Some(message)) = (status, &message) {
                    self.state_mut().redirected_to = best_contacts(message);
                }
                self.finish(Side::Peer, How::Rejected { status }, reason);
            }
            SipEvent::Progress {
                status,
                body,
                to_tag,
                ..
            } => self.progressed(status, body, &to_tag),
            SipEvent::Answered {
                body,
                to_tag,
                agent,
                extra,
                ..
            } => {
                {
                    let mut state = self.state_mut();
                    state.user_agent = agent.map(String::from);
                    state.answer_headers = extra;
                }
                self.callee_answered(body, &to_tag);
            }
            SipEvent::Refer { refer, .. } => self.referred(refer),
            // What the core has taken for itself.
            SipEvent::Invite(_)
            | SipEvent::Request(_)
            | SipEvent::Response(_)
            | SipEvent::BadCredentials(_)
            | SipEvent::Reached(_)
            | SipEvent::Trace(_) => {}
            SipEvent::Referred { status, over, .. } => {
                let mut state = self.state_mut();
                state.referrals.push_back((status, over));
                state.wake();
            }
        }
    }

    pub(super) fn media_event(&self, event: MediaEvent) {
        match event {
            MediaEvent::Finished { op, why, .. } => {
                let mut state = self.state_mut();
                state.finished.push((op, why));
                state.wake();
            }
            MediaEvent::Digit { digit, via, .. } => {
                // The media engine passes both kinds on to whom the leg talks with.
                self.pressed(
                    digit,
                    match via {
                        Via::Event => Way::Event,
                        Via::Inband => Way::Inband,
                    },
                );
            }
            // The core has told the room.
            MediaEvent::Talking { .. } => {}
            MediaEvent::Silent { .. } => {
                tracing::debug!(call = ?self, "no RTP from the caller");
                self.trouble(Code::RtpTimeout, Vec::new());
                self.media_lost(Cause::MEDIA_TIMEOUT, 408, "RTP timeout");
            }
            MediaEvent::Insecure { .. } => {
                tracing::info!(call = ?self, "the DTLS handshake failed");
                self.trouble(Code::DtlsFailed, Vec::new());
                self.media_lost(
                    Cause::INCOMPATIBLE_DESTINATION,
                    488,
                    "DTLS handshake failed",
                );
            }
            MediaEvent::Recorded {
                op, length, why, ..
            } => {
                let kept = self.tape_ended(op, length, why);
                let mut state = self.state_mut();
                state.recording.retain(|begun| *begun != op);
                if !kept {
                    state.recorded.push((op, length, why));
                }
                state.wake();
            }
            MediaEvent::Sampled { sample, .. } => {
                self.detail(Detail::Quality(sampled(&sample)));
            }
            MediaEvent::Closed { stats, passed, .. } => {
                self.detail(Detail::Quality(quality(&stats)));
                if let Some(passed) = passed {
                    self.tell_passed(*passed);
                }
                self.state_mut().stats = Some(*stats);
                self.write_cdr();
            }
        }
    }

    /// Tells of the packets that went to and fro.
    fn tell_passed(&self, passed: Passed) {
        let Some(local) = self.state().media.address else {
            return;
        };
        let ago = clock::now().saturating_duration_since(passed.begin);
        let ago = u64::try_from(ago.as_micros()).unwrap_or(u64::MAX);
        self.detail(Detail::Rtp(Box::new(Rtp {
            local,
            begin: UnixMicros(clock::unix_now().0.saturating_sub(ago)),
            received: passed.received,
            sent: passed.sent,
        })));
    }

    /// Ends a call whose media cannot be had.
    fn media_lost(&self, cause: Cause, status: u16, text: &str) {
        self.0.cause.set(Some(cause));
        let leg = self.leg();
        let reason = Reason {
            protocol: "SIP".into(),
            cause: status,
            text: Some(text.into()),
        };
        let sent = self
            .0
            .core
            .endpoint(|endpoint, now| endpoint.bye(now, leg, Some(reason)));
        if let Err(error) = sent {
            tracing::debug!(call = ?self, %error, "a call without media had ended");
        }
    }

    /// Takes a press of a key; whether it counts.
    fn pressed(&self, key: char, way: Way) -> bool {
        let counts = Keys::is_key(key) && self.state_mut().presses.counts(clock::now(), key, way);
        if counts {
            self.note(|call_id, at| Fact::Digit {
                call_id,
                at,
                digit: key,
                via: way.name(),
            });
            self.state_mut().press(key);
        }
        counts
    }

    /// A key that came by INFO goes on as an event to whom the leg talks with.
    fn pass_on(&self, key: char) {
        let Some(peer) = self.peer() else { return };
        let sent = peer.command(Command::SendDigits {
            op: peer.next_op(),
            digits: key.to_string(),
            duration_ms: 160,
            gap_ms: 60,
        });
        if let Err(error) = sent {
            tracing::debug!(call = ?self, %error, "nobody is left to hear the key");
        }
    }

    /// The peer wants this call transferred. Who talks with nobody has nobody to transfer.
    fn referred(&self, refer: Box<Refer>) {
        let busy = {
            let state = self.state();
            state.peer.is_none() || state.refer.is_some()
        };
        if busy {
            return self.refer_progress(&refer, 603);
        }
        let mut state = self.state_mut();
        state.refer = Some(refer);
        state.wake();
    }

    /// Whether the peer has put us on hold.
    pub(super) fn holds(&self) -> bool {
        let state = self.state();
        state
            .media
            .agreed
            .as_ref()
            .is_some_and(|agreed| agreed.held)
    }

    /// The answer to an offer of ours has come.
    fn answered_offer(&self, body: &Body) {
        let Some(offer) = self.state_mut().media.pending_offer.take() else {
            return;
        };
        let agreed = Session::parse(&body.bytes).ok().and_then(|answer| {
            let agreed = negotiate::accept_answer(&offer, &answer, &self.local().ok()?).ok()?;
            Some((answer, agreed))
        });
        match agreed {
            Some((answer, agreed)) => {
                let mut state = self.state_mut();
                state.media.offer = Some(answer);
                state.media.local = Some(offer);
                state.media.agreed = Some(agreed);
                drop(state);
                self.start_media();
            }
            None => self.end(Cause::INCOMPATIBLE_DESTINATION),
        }
    }

    /// The caller changes the session: hold, unhold, a new address or codec. A refused offer changes nothing.
    fn offered(&self, offer: Option<Body>) {
        let answer = match offer {
            Some(body) => self.answer_offer(&body),
            None => self.offer_again(),
        };
        let leg = self.leg();
        let sent = self
            .0
            .core
            .endpoint(|endpoint, now| endpoint.respond_offer(now, leg, answer.map(Some)));
        if let Err(error) = sent {
            tracing::debug!(call = ?self, %error, "the offer was withdrawn");
        }
    }

    fn answer_offer(&self, body: &Body) -> Result<Body, Refusal> {
        let refuse = |warning: Option<String>| Refusal {
            status: 488,
            warning,
        };
        let offer = Session::parse(&body.bytes)
            .map_err(|_| refuse(Some("399 swivel \"Bad session description\"".into())))?;
        let mut local = self.local().map_err(|_| refuse(None))?;
        // The version moves only with the content (RFC 3264 §8).
        let (mut session, agreed) = negotiate::answer(&offer, &local)
            .map_err(|refused| refuse(Some(refused.warning(AGENT))))?;
        let unchanged = self
            .state()
            .media
            .local
            .as_ref()
            .is_some_and(|last| *last == session);
        if !unchanged {
            local.version += 1;
            session = negotiate::answer(&offer, &local)
                .map_err(|refused| refuse(Some(refused.warning(AGENT))))?
                .0;
        }
        let text = Body::sdp(bytes::Bytes::from(session.to_string()));
        let mut state = self.state_mut();
        state.media.version = local.version;
        let same_media = state.media.agreed.as_ref() == Some(&agreed);
        state.media.offer = Some(offer);
        state.media.local = Some(session);
        state.media.agreed = Some(agreed);
        drop(state);
        if !same_media {
            self.start_media();
        }
        Ok(text)
    }

    /// A re-INVITE without a description asks for our offer; all we can do is offered, so that it ends a hold.
    fn offer_again(&self) -> Result<Body, Refusal> {
        let mut local = self.local().map_err(|_| Refusal {
            status: 500,
            warning: None,
        })?;
        local.version += 1;
        let session = negotiate::offer(&local, Direction::SendRecv);
        let text = Body::sdp(bytes::Bytes::from(session.to_string()));
        let mut state = self.state_mut();
        state.media.version = local.version;
        state.media.pending_offer = Some(session);
        Ok(text)
    }

    /// The call is over: media stops, every waiting operation learns it, the record is closed.
    pub(super) fn finish(&self, by: Side, how: How, reason: Option<Reason>) {
        if self.ended().is_some() {
            return;
        }
        let now = clock::unix_now();
        let answered_at = match self.state().phase {
            Phase::Answered { at } => Some(at),
            Phase::Ringing { .. } | Phase::Ended(_) => None,
        };
        let trouble = match how {
            How::NoAck | How::NoAnswer if answered_at.is_some() => Some((Code::AckMissing, None)),
            How::SessionExpired => Some((Code::SessionExpired, None)),
            How::Dead { status } => Some((Code::PeerGone, Some(status))),
            How::Unreachable if answered_at.is_some() => Some((Code::PeerGone, None)),
            _ => None,
        };
        if let Some((code, status)) = trouble {
            let status = status.map(|status| ("status", status.to_string()));
            self.trouble(code, status.into_iter().collect());
        }
        if answered_at.is_none() {
            self.no_connection();
        }
        let ended = self.how_ended(by, how, reason.as_ref(), answered_at);
        self.0.times.set(Some((answered_at, now)));
        let (port, picker) = {
            let mut state = self.state_mut();
            state.phase = Phase::Ended(ended);
            state.peer = None;
            state.refer = None;
            state.wake();
            (state.media.port.take(), state.picked_by.take())
        };
        self.0.transfer.take();
        self.0.line.take();
        if let Some(seed) = &self.0.seed {
            seed.failed(ended);
        }
        self.0.core.0.calls.borrow_mut().remove(&self.leg());
        self.attach(false);
        self.remember();
        if let Some(picker) = picker {
            picker.end(Cause::ORIGINATOR_CANCEL);
        }
        self.note(|call_id, at| Fact::Ended {
            call_id,
            at,
            cause: ended.cause.name,
            status: ended.status,
            disposition: ended.disposition,
        });
        match port {
            // The port's last event brings its statistics, and with them the record is written.
            Some(port) => drop(port),
            None => self.write_cdr(),
        }
    }

    /// Tells why a leg cannot be placed, when that is because of its connection.
    fn no_connection(&self) {
        let Some(why) = self.0.core.0.no_connection.borrow().clone() else {
            return;
        };
        let Some(target) = self.0.target.as_deref() else {
            return;
        };
        let low = why.to_lowercase();
        let code = if target.kind != "resource" {
            Code::PhoneUnreachable
        } else if low.contains("expired") {
            Code::TrunkCertificate
        } else if ["certificate", "tls", "handshake"]
            .iter()
            .any(|word| low.contains(word))
        {
            Code::TrunkTls
        } else {
            Code::TrunkConnection
        };
        self.trouble(code, vec![("detail", why)]);
    }

    /// An INVITE that would take this leg's place comes too late from now on.
    fn remember(&self) {
        let facts = self.own_facts();
        let theirs = if self.is_outbound() {
            self.state().to_tag.clone()
        } else {
            facts.from_tag.clone()
        };
        let mut over = self.0.core.0.over.borrow_mut();
        over.note(clock::now(), facts.call_id.clone(), theirs);
    }

    fn how_ended(
        &self,
        by: Side,
        how: How,
        reason: Option<&Reason>,
        answered: Option<UnixMicros>,
    ) -> Ended {
        let named = self.0.cause.get();
        let told = reason
            .filter(|r| is_q850(r))
            .and_then(|r| Cause::from_q850(r.cause));
        let ours = by == Side::Us;
        let (cause, status, disposition) = match how {
            How::Bye if ours => (named.unwrap_or(Cause::NORMAL_CLEARING), 200, "send_bye"),
            How::Bye => (told.unwrap_or(Cause::NORMAL_CLEARING), 200, "recv_bye"),
            How::Cancel => (
                named.unwrap_or(Cause::ORIGINATOR_CANCEL),
                487,
                if ours { "send_cancel" } else { "recv_cancel" },
            ),
            How::Rejected { status } => {
                let disposition = if ours { "send_refuse" } else { "recv_refuse" };
                (
                    named.or(told).unwrap_or_else(|| Cause::from_status(status)),
                    status,
                    disposition,
                )
            }
            How::NoAck | How::NoPrack | How::NoAnswer => {
                (Cause::RECOVERY_ON_TIMER_EXPIRE, 408, "send_bye")
            }
            How::SessionExpired => (Cause::RECOVERY_ON_TIMER_EXPIRE, 200, "send_bye"),
            How::InviteExpired => (Cause::NO_ANSWER, 487, "send_refuse"),
            How::Dead { status } => (Cause::from_status(status), status, "recv_refuse"),
            How::Unreachable => (
                Cause::NORMAL_TEMPORARY_FAILURE,
                if answered.is_some() { 200 } else { 503 },
                "send_bye",
            ),
        };
        let by = match by {
            Side::Us => By::Us,
            Side::Peer => By::Peer,
            Side::Transport => By::Network,
        };
        Ended {
            by,
            cause,
            status,
            disposition,
        }
    }
}

/// A sample as the journal has it.
fn sampled(sample: &Sample) -> Quality {
    Quality {
        total: false,
        received: sample.received.into(),
        lost: sample.lost.into(),
        sent: sample.sent.into(),
        loss: sample.loss,
        jitter_ms: sample.jitter_ms,
        mos: sample.mos,
        remote_loss: sample.remote_loss,
        remote_jitter_ms: sample.remote_jitter_ms,
        round_trip_ms: Some(sample.round_trip_ms).filter(|ms| *ms > 0.0),
    }
}

/// The figures of a whole leg as the journal has them.
fn quality(stats: &PortStats) -> Quality {
    let all = (stats.packets_lost + stats.packets_received).max(1);
    Quality {
        total: true,
        received: stats.packets_received,
        lost: stats.packets_lost,
        sent: stats.packets_sent,
        loss: stats.packets_lost as f32 / all as f32,
        jitter_ms: stats.jitter_ms,
        mos: stats.mos,
        remote_loss: stats.remote_loss,
        remote_jitter_ms: stats.remote_jitter_ms,
        round_trip_ms: stats.round_trip.map(|trip| trip.as_secs_f32() * 1000.0),
    }
}

/// The Contacts of a 3xx that it prefers: those of the highest `q` (RFC 3261 §8.1.3.4).
fn best_contacts(message: &Message) -> Vec<Uri> {
    let Ok(Contacts::List(list)) = message.contacts() else {
        return Vec::new();
    };
    let q = |contact: &NameAddr| {
        let text = contact.params.text("q");
        // In thousandths; none is 1 (§20.10).
        text.and_then(|q| q.trim().parse::<f32>().ok())
            .map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16)
    };
    let best = list.iter().map(q).max().unwrap_or_default();
    let best = list
        .iter()
        .filter(|contact| q(contact) == best && contact.uri.is_sip());
    best.map(|contact| contact.uri.clone()).collect()
}

fn is_q850(reason: &Reason) -> bool {
    reason.protocol.eq_ignore_ascii_case("Q.850")
}
