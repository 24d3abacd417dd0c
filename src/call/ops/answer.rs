//! `answer`, `ring` and early media: how a leg gets its media.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::audio::Codec;
use crate::base::cause::Cause;
use crate::call::core::Core;
use crate::call::error::CallError;
use crate::call::handle::CallHandle;
use crate::call::state::Phase;
use crate::host::clock;
use crate::jobs::webhooks::LegEvent;
use crate::journal::Fact;
use crate::media::{Command, Plan, Port};
use crate::routing::Secrecy;
use crate::rtp::srtp::Suite;
use crate::sdp::negotiate::{self, Agreed, Direction, Keying, Local};
use crate::sdp::{Crypto, Session, Webrtc};
use crate::sip::flow::Transport;
use crate::sip::ua::Body;

impl CallHandle {
    /// Answers the call (200 OK). An answered call stays answered.
    ///
    /// # Errors
    /// When the call ends, or no media can be agreed on; the caller then gets 488.
    pub async fn answer(&self) -> Result<(), CallError> {
        if self.answered() {
            self.arrived();
            return Ok(());
        }
        match self.state().phase {
            Phase::Ended(ended) => return Err(CallError::Ended(ended)),
            Phase::Answered { .. } => return Ok(()),
            // Whoever we call answers by himself.
            Phase::Ringing { .. } if self.is_outbound() || self.0.seed.is_some() => {
                return Err(CallError::NotAnswered);
            }
            Phase::Ringing { .. } => {}
        }
        self.open_durably().await;
        if let Some(ended) = self.ended() {
            return Err(CallError::Ended(ended));
        }
        let body = if self.0.offered {
            self.describe_answer()?
        } else {
            self.describe_offer()?
        };
        let leg = self.leg();
        self.0
            .core
            .endpoint(|endpoint, now| endpoint.accept(now, leg, Some(body)))
            .map_err(|_| self.gone("accept"))?;
        let at = clock::unix_now();
        if self.ended().is_none() {
            self.state_mut().phase = Phase::Answered { at };
            self.note(|call_id, _| Fact::Answered { call_id, at });
            self.tell(LegEvent::Answer);
        }
        if self.0.offered {
            self.start_media();
            return Ok(());
        }
        // Delayed offer: the answer comes in the ACK, and `Ended` when it does not.
        self.wait(|state| state.media.agreed.is_some().then_some(()))
            .await
    }

    /// Tells the caller that it rings (180).
    ///
    /// # Errors
    /// When the call has ended.
    pub fn ring(&self) -> Result<(), CallError> {
        if let Some(ended) = self.ended() {
            return Err(CallError::Ended(ended));
        }
        if self.answered() || self.is_outbound() || self.0.seed.is_some() {
            return Ok(());
        }
        self.provisional(180, None)
    }

    /// Makes sure that the caller can hear us: media of an answered call, early media (183) before.
    ///
    /// # Errors
    /// When the call ends, or no media can be agreed on.
    pub async fn open_media(&self) -> Result<(), CallError> {
        let early = match self.state().phase {
            Phase::Ended(ended) => return Err(CallError::Ended(ended)),
            Phase::Answered { .. } => None,
            Phase::Ringing { early } => Some(early),
        };
        match early {
            Some(_) if self.is_outbound() || self.0.seed.is_some() => Err(CallError::NotAnswered),
            Some(false) if self.0.offered => {
                let body = self.describe_answer()?;
                self.provisional(183, Some(body))?;
                self.state_mut().phase = Phase::Ringing { early: true };
                self.start_media();
                Ok(())
            }
            // Without an offer there is nothing to answer in a 183; the caller hears us once answered.
            Some(false) => self.answer().await,
            Some(true) => Ok(()),
            None => {
                self.wait(|state| state.media.agreed.is_some().then_some(()))
                    .await
            }
        }
    }

    fn provisional(&self, status: u16, body: Option<Body>) -> Result<(), CallError> {
        let leg = self.leg();
        self.state_mut().rang_at.get_or_insert(clock::unix_now());
        self.journal_ringing();
        self.0
            .core
            .endpoint(|endpoint, now| endpoint.provisional(now, leg, status, body))
            .map_err(|_| self.gone("provisional"))
    }

    fn gone(&self, command: &'static str) -> CallError {
        self.ended()
            .map_or(CallError::Dialog(command), CallError::Ended)
    }

    /// Our answer to the caller's offer; the same one again when early media carried it already.
    fn describe_answer(&self) -> Result<Body, CallError> {
        if let Some(local) = &self.state().media.local {
            return Ok(body(local));
        }
        let local = self.local()?;
        let state = self.state();
        let offer = state.media.offer.as_ref().ok_or(CallError::NoCommonCodec)?;
        let answered = negotiate::answer(offer, &local);
        drop(state);
        match answered {
            Ok((session, agreed)) => {
                let text = body(&session);
                let mut state = self.state_mut();
                state.media.local = Some(session);
                state.media.agreed = Some(agreed);
                Ok(text)
            }
            Err(refused) => {
                tracing::debug!(call = ?self, %refused, "no common media");
                self.refuse(488, "", Cause::INCOMPATIBLE_DESTINATION);
                Err(CallError::NoCommonCodec)
            }
        }
    }

    fn describe_offer(&self) -> Result<Body, CallError> {
        let local = self.local()?;
        let session = negotiate::offer(&local, Direction::SendRecv);
        let text = body(&session);
        let mut state = self.state_mut();
        state.media.pending_offer = Some(session);
        Ok(text)
    }

    /// What we bring to an exchange; takes the leg's port on first use.
    pub(in crate::call) fn local(&self) -> Result<Local, CallError> {
        let address = self.0.core.media_address(self);
        if self.state().media.port.is_none() {
            let port = self.0.core.0.media.take(address)?;
            self.have_port(address, port);
        }
        let state = self.state();
        let Some(port) = &state.media.port else {
            return Err(CallError::NotAnswered);
        };
        let shown = self.shown(address);
        Ok(Local {
            crypto: state.media.crypto.clone(),
            webrtc: state.media.webrtc.clone(),
            codecs: self.codecs(),
            rtcp_port: port.rtcp_addr().port(),
            version: state.media.version,
            ..Local::new(shown, port.rtp_addr().port(), state.media.session_id)
        })
    }

    /// Gives the leg its port, at our own address `address`.
    pub(in crate::call) fn have_port(&self, address: IpAddr, port: Port) {
        self.0.core.know_port(port.id(), self);
        let reached = SocketAddr::new(self.shown(address), port.rtp_addr().port());
        self.keep_secret(reached);
        let mut state = self.state_mut();
        state.media.address = Some(reached);
        state.media.port = Some(port);
    }

    fn shown(&self, own: IpAddr) -> IpAddr {
        let peer = self.0.facts.source.ip();
        self.0.core.shown_address(peer, own)
    }

    /// Decides, once a leg, how its media is kept secret: as the caller asks, or as the endpoint we call is known to
    /// want it. A phone reached over TLS is offered keys it may pass over; a browser always has DTLS.
    fn keep_secret(&self, reached: SocketAddr) {
        let (keying, offers) = match &self.0.target {
            None => {
                let state = self.state();
                let offer = state.media.offer.as_ref();
                (offer.map_or(Keying::None, negotiate::keying), false)
            }
            Some(target) => {
                let keying = match (self.0.facts.transport, target.secrecy) {
                    (Transport::Ws | Transport::Wss, _) if target.webrtc => Keying::Dtls,
                    (_, Secrecy::Dtls) => Keying::Dtls,
                    (_, Secrecy::Required) => Keying::Sdes(false),
                    (_, Secrecy::Offered)
                    | (Transport::Tls | Transport::Wss, Secrecy::ByTransport) => Keying::Sdes(true),
                    (_, Secrecy::Never) | (_, Secrecy::ByTransport) => Keying::None,
                };
                (keying, true)
            }
        };
        let (crypto, webrtc) = self.0.core.secrets(keying, reached);
        let mut state = self.state_mut();
        state.media.crypto = crypto;
        state.media.webrtc = webrtc.map(|ours| Webrtc { offers, ..ours });
    }

    /// Codecs in the order they are offered: those of the target, else all.
    fn codecs(&self) -> Vec<Codec> {
        let named = self.0.target.iter().flat_map(|target| &target.codecs);
        let known: Vec<Codec> = named
            .filter_map(|name| {
                Codec::ALL
                    .iter()
                    .find(|codec| codec.name().eq_ignore_ascii_case(name))
            })
            .copied()
            .collect();
        if known.is_empty() {
            Codec::ALL.to_vec()
        } else {
            known
        }
    }

    /// Has the port follow what was agreed on last.
    pub(in crate::call) fn start_media(&self) {
        let answered = self.answered();
        let mut state = self.state_mut();
        let Some(agreed) = state.media.agreed.clone() else {
            return;
        };
        let plan = Box::new(self.plan(agreed, answered));
        if let Some(port) = &state.media.port {
            port.command(Command::Configure(plan));
        }
        state.wake();
        drop(state);
        self.begin_tapes();
    }

    fn plan(&self, agreed: Agreed, answered: bool) -> Plan {
        let config = &self.0.core.0.config;
        let signalling = self.0.facts.source.ip();
        Plan {
            latch: is_natted(agreed.remote_rtp.ip(), signalling),
            signalling_ip: signalling,
            // Who holds us, or has not answered yet, need not send anything, whatever direction it named.
            timeout: if answered && agreed.direction.receives() && !agreed.held {
                config.rtp_timeout
            } else {
                config.held_timeout
            },
            cname: format!("{:016x}@swivel", self.leg().0),
            agreed,
        }
    }
}

impl Core {
    /// What keeps media secret that way, of a leg reached at `reached`.
    pub(in crate::call) fn secrets(
        &self,
        keying: Keying,
        reached: SocketAddr,
    ) -> (Option<Crypto>, Option<Webrtc>) {
        let media = &self.0.media;
        match keying {
            Keying::None => (None, None),
            Keying::Sdes(optimistic) => {
                let mut crypto = media.crypto(&Suite::ALL);
                crypto.optimistic = optimistic;
                (Some(crypto), None)
            }
            Keying::Dtls => (None, media.webrtc(vec![reached])),
        }
    }
}

/// Whether the address in the caller's description cannot be where its media comes from: a private one behind a public
/// signalling address (sip.md §11, latching rule a).
fn is_natted(described: IpAddr, signalling: IpAddr) -> bool {
    described != signalling && !crate::host::guard::is_global(described)
}

fn body(session: &Session) -> Body {
    Body::sdp(Bytes::from(session.to_string()))
}
