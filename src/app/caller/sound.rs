//! The session descriptions and the media of a telephone's lines.

use std::path::PathBuf;

use super::agent::{Agent, LINGER, Observer};
use super::line::{Busy, KEYS, Line, PLAY, RECORD};
use crate::host::clock;
use crate::media::{Command, MediaEvent, Plan, Port, RecordSpec, Source};
use crate::rtp::srtp::Suite;
use crate::sdp::negotiate::{self, Keying};
use crate::sdp::{Agreed, Direction, Local, Session};
use crate::sip::ua::{Body, LegId, Refusal};

impl<O: Observer> Agent<'_, O> {
    /// Where a line is in the list.
    pub(super) fn at(&self, leg: LegId) -> Option<usize> {
        self.lines.iter().position(|line| line.leg == leg)
    }

    /// That line.
    pub(super) fn line(&mut self, leg: LegId) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.leg == leg)
    }

    /// Our side of a line's session.
    fn local_side(&self, line: &Line) -> Option<Local> {
        let port = line.port.as_ref()?;
        Some(self.side_of(port, line))
    }

    fn side_of(&self, port: &Port, line: &Line) -> Local {
        let mut local = Local::new(self.local, port.rtp_addr().port(), line.session_id);
        local.rtcp_port = port.rtcp_addr().port();
        local.crypto.clone_from(&line.crypto);
        if !self.manner.codecs.is_empty() {
            local.codecs.clone_from(&self.manner.codecs);
        }
        if line.holding {
            local.direction = Direction::SendOnly;
        }
        local
    }

    /// An offer of ours on that line.
    pub(super) fn make_offer(&mut self, leg: LegId) -> Option<Body> {
        let at = self.at(leg)?;
        let line = self.lines.get(at)?;
        let local = self.local_side(line)?;
        let session = negotiate::offer(&local, local.direction);
        let line = self.lines.get_mut(at)?;
        let session = line.author.publish(session);
        let body = Body::sdp(session.to_string());
        line.offer = Some(session);
        Some(body)
    }

    /// The answer to our offer: from now on media flows as it says.
    pub(super) fn apply_answer(&mut self, leg: LegId, body: Option<Body>) {
        let Some(line) = self.line(leg) else { return };
        let (Some(body), Some(offer)) = (body, line.offer.clone()) else {
            return;
        };
        let Some(local) = self
            .at(leg)
            .and_then(|at| self.local_side(self.lines.get(at)?))
        else {
            return;
        };
        let agreed = Session::parse(&body.bytes).map_err(negotiate::Refused::from);
        match agreed.and_then(|answer| negotiate::accept_answer(&offer, &answer, &local)) {
            Ok(agreed) => self.configure(leg, agreed),
            Err(refused) => {
                self.remark(format!("the answer cannot be used: {refused}"));
                self.hang_up(leg, "nothing in common");
            }
        }
    }

    /// The answer to an offer of theirs; an offer of ours when there is none.
    pub(super) fn answer_to(
        &mut self,
        leg: LegId,
        offer: Option<&Body>,
    ) -> Result<Option<Body>, Refusal> {
        let Some(offer) = offer else {
            return Ok(self.make_offer(leg));
        };
        let refusal = |refused: negotiate::Refused| Refusal {
            status: refused.status(),
            warning: Some(refused.warning("swivel")),
        };
        let offer = Session::parse(&offer.bytes)
            .map_err(negotiate::Refused::from)
            .map_err(refusal)?;
        self.secure(leg, &offer)?;
        let local = self
            .at(leg)
            .and_then(|at| self.local_side(self.lines.get(at)?));
        let gone = || Refusal {
            status: 480,
            warning: None,
        };
        let local = local.ok_or_else(gone)?;
        let (session, agreed) = negotiate::answer(&offer, &local).map_err(refusal)?;
        self.configure(leg, agreed);
        let line = self.line(leg).ok_or_else(gone)?;
        let session = line.author.publish(session);
        let body = Body::sdp(session.to_string());
        line.offer = Some(session);
        Ok(Some(body))
    }

    /// Makes keys for a line whose first offer wants them.
    fn secure(&mut self, leg: LegId, offer: &Session) -> Result<(), Refusal> {
        let keying = negotiate::keying(offer);
        let only = self.manner.srtp;
        let crypto = match keying {
            Keying::Sdes(optimistic) => {
                let mut crypto = self.media.crypto(&Suite::ALL);
                crypto.optimistic = optimistic;
                Some(crypto)
            }
            Keying::None | Keying::Dtls if only => {
                return Err(Refusal {
                    status: 488,
                    warning: Some("399 swivel \"SRTP with keys in the description only\"".into()),
                });
            }
            Keying::None | Keying::Dtls => None,
        };
        if let Some(line) = self.line(leg)
            && line.crypto.is_none()
        {
            line.crypto = crypto;
        }
        Ok(())
    }

    /// An offer inside a call.
    pub(super) fn offered(&mut self, leg: LegId, offer: Option<&Body>) {
        let answer = self.answer_to(leg, offer);
        if let Err(error) = self.endpoint.respond_offer(clock::now(), leg, answer) {
            self.remark(format!("the offer could not be answered: {error}"));
        }
    }

    fn configure(&mut self, leg: LegId, agreed: Agreed) {
        let signalling_ip = self.hop.addr.ip();
        let most = self.manner.most + LINGER;
        let Some(line) = self.line(leg) else { return };
        let secret = if agreed.srtp.is_some() { ", SRTP" } else { "" };
        let media = format!(
            "media: {} with {}{secret}",
            agreed.codec.name(),
            agreed.remote_rtp
        );
        let held = agreed.held;
        line.encrypted = agreed.srtp.is_some();
        let news = (held != line.held).then_some(if held {
            "put on hold by the other side"
        } else {
            "taken back from hold"
        });
        line.holds += u32::from(held && !line.held);
        line.held = held;
        let (record, cname) = (line.op(RECORD), line.cname.clone());
        let path = line.recording.file_name().map(PathBuf::from);
        let Some(port) = &line.port else { return };
        port.command(Command::Configure(Box::new(Plan {
            agreed,
            latch: true,
            signalling_ip,
            timeout: None,
            cname,
        })));
        let first = !std::mem::replace(&mut line.configured, true);
        if first {
            port.command(Command::Record {
                op: record,
                spec: RecordSpec {
                    path: path.unwrap_or_default(),
                    max: most,
                    ..RecordSpec::default()
                },
            });
            self.remark(media);
        }
        if let Some(news) = news {
            self.remark(news);
        }
    }

    /// The call is up: plays what is to be played.
    pub(super) fn start_talking(&mut self, leg: LegId) {
        let (clip, echo) = (self.manner.play.clone(), self.manner.echo);
        let Some(line) = self.line(leg) else { return };
        let op = line.op(PLAY);
        let Some(port) = &line.port else { return };
        if let Some(clip) = clip {
            let source = Source::Clip(clip);
            port.command(Command::Play { op, source });
        }
        if echo {
            let source = Source::Echo;
            port.command(Command::Play { op, source });
        }
    }

    /// Takes in what the media engine tells.
    pub(super) fn media_events(&mut self) {
        let mut drained = Vec::new();
        self.events.drain(|event| drained.push(event));
        for event in drained {
            let port = match &event {
                MediaEvent::Digit { port, .. }
                | MediaEvent::Finished { port, .. }
                | MediaEvent::Recorded { port, .. }
                | MediaEvent::Closed { port, .. }
                | MediaEvent::Silent { port }
                | MediaEvent::Insecure { port }
                | MediaEvent::Sampled { port, .. }
                | MediaEvent::Talking { port, .. } => *port,
            };
            let mut lines = self.lines.iter_mut();
            let Some(line) = lines.find(|line| line.port_id == port) else {
                continue;
            };
            let said = match event {
                MediaEvent::Digit { digit, .. } => {
                    line.keys.push(digit);
                    Some(format!("key {digit}"))
                }
                MediaEvent::Finished { op, .. } if op == line.op(KEYS) => {
                    if line.busy == Busy::Keys {
                        line.busy = Busy::Idle;
                    }
                    Some("keys sent".to_owned())
                }
                MediaEvent::Finished { op, .. } if op == line.op(PLAY) => {
                    Some("file played".to_owned())
                }
                MediaEvent::Recorded { .. } => {
                    line.recorded = true;
                    None
                }
                MediaEvent::Closed { stats, .. } => {
                    line.stats = Some(*stats);
                    None
                }
                MediaEvent::Insecure { .. } => Some("the DTLS handshake failed".to_owned()),
                MediaEvent::Finished { .. }
                | MediaEvent::Silent { .. }
                | MediaEvent::Sampled { .. }
                | MediaEvent::Talking { .. } => None,
            };
            if let Some(said) = said {
                self.remark(said);
            }
        }
    }
}
