//! Offer and answer (RFC 3264): what we say, and what both sides then do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smallvec::SmallVec;

use super::crypto::{self, Crypto};
use super::session::{Attribute, Connection, Host, Media, Origin, SdpError, Session};
use super::webrtc::{self, Theirs, Webrtc, WebrtcAgreed};
use crate::audio::Codec;
use crate::rtp::srtp::SrtpKeys;

/// Which way media flows, seen from whoever says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// We send only.
    SendOnly,
    /// We receive only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The direction that sends and receives as told.
    pub fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether media goes out.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether media comes in.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The attribute's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [
            Self::SendRecv,
            Self::SendOnly,
            Self::RecvOnly,
            Self::Inactive,
        ]
        .into_iter()
        .find(|d| d.name().eq_ignore_ascii_case(name))
    }

    /// What remains of `self` when the other side does `theirs`.
    fn against(self, theirs: Self) -> Self {
        Self::of(
            self.sends() && theirs.receives(),
            self.receives() && theirs.sends(),
        )
    }
}

/// Our side of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Local {
    /// Address in `c=` and `o=`.
    pub address: IpAddr,
    /// Our RTP port.
    pub rtp_port: u16,
    /// Our RTCP port.
    pub rtcp_port: u16,
    /// Codecs in our order of preference.
    pub codecs: Vec<Codec>,
    /// Session id of `o=`, the same for the whole dialog.
    pub session_id: u64,
    /// Version of `o=`; see [`Author`].
    pub version: u64,
    /// Take and offer telephone-event.
    pub dtmf: bool,
    /// Payload type of telephone-event at 8 kHz in our offers.
    pub dtmf_payload_type: u8,
    /// Packet length we ask for, in ms.
    pub ptime_ms: u8,
    /// Agree to RTP and RTCP on one port when offered.
    pub rtcp_mux: bool,
    /// What we want: `SendRecv`, or less when we hold the peer.
    pub direction: Direction,
    /// Our SRTP keys: offers are secure then, and secure offers are taken. Without them media is plain.
    pub crypto: Option<Crypto>,
    /// Our side of a WebRTC leg. Without it offers of browsers are refused.
    pub webrtc: Option<Webrtc>,
}

impl Local {
    /// The usual: the codecs of telephones and browsers, telephone-event 101, 20 ms, RTCP on the next port, both ways.
    pub fn new(address: IpAddr, rtp_port: u16, session_id: u64) -> Self {
        Self {
            address,
            rtp_port,
            rtcp_port: rtp_port.saturating_add(1),
            codecs: Codec::USUAL.to_vec(),
            session_id,
            version: session_id,
            dtmf: true,
            dtmf_payload_type: 101,
            ptime_ms: 20,
            rtcp_mux: true,
            direction: Direction::SendRecv,
            crypto: None,
            webrtc: None,
        }
    }
}

/// What both sides agreed on, from our side.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreed {
    /// The codec to send.
    pub codec: Codec,
    /// Its payload type in what we send.
    pub payload_type: u8,
    /// Payload types that may arrive.
    pub accepts: SmallVec<[(u8, Codec); 4]>,
    /// Payload type of telephone-event, both ways.
    pub dtmf_payload_type: Option<u8>,
    /// RTP clock its durations are counted in.
    pub dtmf_clock_rate_hz: u32,
    /// Length of the packets we send, in ms: 10–60.
    pub ptime_ms: u8,
    /// Where RTP goes. The address is unspecified in an old-style hold: send nothing.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// RTP and RTCP share a port.
    pub rtcp_mux: bool,
    /// What we do.
    pub direction: Direction,
    /// The peer holds us: it does not want our media.
    pub held: bool,
    /// SRTP keys, when media is secure.
    pub srtp: Option<SrtpKeys>,
    /// ICE and DTLS, which end in keys, when the peer is a browser.
    pub webrtc: Option<WebrtcAgreed>,
}

/// What is said of a description that names a host.
const HOST_NAME: &str = "host name in c=, not an address";

/// Why a description cannot be agreed on: 488 with a Warning header (RFC 3261 §20.43).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} {text}")]
pub struct Refused {
    /// Warning code, e.g. 304 or 305.
    pub code: u16,
    /// Warning text.
    pub text: String,
}

impl Refused {
    /// The SIP status.
    pub fn status(&self) -> u16 {
        488
    }

    /// Whether the description names a host where an address has to stand. Names strangers write are never looked up.
    pub fn names_a_host(&self) -> bool {
        self.text.ends_with(HOST_NAME)
    }

    /// The value of a Warning header, with `agent` as the host that warns.
    pub fn warning(&self, agent: &str) -> String {
        format!("{} {agent} \"{}\"", self.code, self.text)
    }
}

impl From<SdpError> for Refused {
    fn from(error: SdpError) -> Self {
        match error {
            SdpError::TooLong { .. }
            | SdpError::TooManyLines { .. }
            | SdpError::TooManyMedia { .. } => Self::new(399, error.to_string()),
            SdpError::Media { .. } | SdpError::Port { .. } => Self::new(305, error.to_string()),
        }
    }
}

impl Refused {
    fn new(code: u16, text: impl Into<String>) -> Self {
        // The text goes into a quoted string of a header.
        let text = text
            .into()
            .chars()
            .filter(|c| !c.is_control())
            .map(|c| if matches!(c, '"' | '\\') { '\'' } else { c })
            .collect();
        Self { code, text }
    }
}

/// Our answer to an offer. The first audio section that can be used is taken; every other section is refused by port 0
/// in its place.
pub fn answer(offer: &Session, local: &Local) -> Result<(Session, Agreed), Refused> {
    let mut refusal = Refused::new(304, "Media type not available");
    let mut chosen = None;
    for (index, media) in offer
        .media
        .iter()
        .enumerate()
        .filter(|(_, media)| media.kind == "audio")
    {
        match consider(offer, media, local) {
            Ok(found) => {
                chosen = Some((index, found));
                break;
            }
            Err(why) => refusal = why,
        }
    }
    let Some((index, found)) = chosen else {
        return Err(refusal);
    };
    let media = offer.media.iter().enumerate().map(|(i, media)| {
        if i == index {
            found.section(media, local)
        } else {
            refuse(media)
        }
    });
    let mut session = describe(local, media.collect());
    if found.agreed.webrtc.is_some() {
        let mid = offer.media.get(index).and_then(|m| m.attribute("mid"));
        // Only when the offer has sections that share a path (RFC 9143 §7.3).
        let group = offer.attribute("group").and(mid);
        session.attributes = lite(group.filter(|mid| is_token(mid)));
    }
    Ok((session, found.agreed))
}

/// Our offer: every codec of `local`, telephone-event, one audio section.
pub fn offer(local: &Local, direction: Direction) -> Session {
    let mut formats: Vec<String> = Vec::new();
    let mut attributes = Vec::new();
    for &codec in &local.codecs {
        formats.push(codec.payload_type().to_string());
        describe_codec(&mut attributes, codec.payload_type(), codec);
    }
    if local.dtmf {
        for (payload_type, clock_rate_hz) in event_types(local) {
            formats.push(payload_type.to_string());
            attributes.push(rtpmap(payload_type, TELEPHONE_EVENT, clock_rate_hz));
            attributes.push(Attribute::new(
                "fmtp",
                format!("{payload_type} {EVENTS_WITH_FLASH}"),
            ));
        }
    }
    attributes.push(Attribute::new("ptime", local.ptime_ms.to_string()));
    if local.rtcp_port != local.rtp_port.wrapping_add(1) {
        attributes.push(Attribute::new("rtcp", local.rtcp_port.to_string()));
    }
    attributes.push(Attribute::flag(direction.name()));
    let browser = local.webrtc.as_ref().filter(|w| w.offers);
    let secure = local.crypto.as_ref().filter(|_| browser.is_none());
    attributes.extend(secure.into_iter().flat_map(Crypto::lines));
    if let Some(webrtc) = browser {
        attributes.extend(webrtc.lines("actpass"));
        attributes.push(Attribute::flag("rtcp-mux"));
        attributes.push(Attribute::new("mid", OUR_MID));
    }
    let media = Media {
        kind: "audio".to_owned(),
        port: local.rtp_port,
        protocol: match (browser, secure) {
            (Some(_), _) => "UDP/TLS/RTP/SAVPF".to_owned(),
            (None, Some(crypto)) if !crypto.optimistic => "RTP/SAVP".to_owned(),
            (None, Some(_) | None) => "RTP/AVP".to_owned(),
        },
        formats,
        connection: None,
        attributes,
    };
    let mut session = describe(local, vec![media]);
    if browser.is_some() {
        session.attributes = lite(Some(OUR_MID));
    }
    session
}

/// What the peer's answer to our offer means. We send with the answer's payload types, and take both sides' numbers.
pub fn accept_answer(offer: &Session, answer: &Session, local: &Local) -> Result<Agreed, Refused> {
    let index = offer
        .media
        .iter()
        .position(|media| media.kind == "audio" && media.port != 0);
    let (Some(ours), Some(theirs)) = (
        index.and_then(|i| offer.media.get(i)),
        index.and_then(|i| answer.media.get(i)),
    ) else {
        return Err(Refused::new(304, "Media type not available"));
    };
    if theirs.kind != "audio" {
        return Err(Refused::new(304, "Media type not available"));
    }
    let wanted = direction_of(offer, ours);
    let mut agreed = consider(
        answer,
        theirs,
        &Local {
            direction: wanted,
            ..local.clone()
        },
    )?
    .agreed;
    for (payload_type, codec) in common(ours, local) {
        if agreed
            .accepts
            .iter()
            .all(|(known, _)| *known != payload_type)
            && agreed.accepts.iter().any(|(_, known)| *known == codec)
        {
            agreed.accepts.push((payload_type, codec));
        }
    }
    agreed.srtp = local.crypto.as_ref().and_then(|c| c.accept(theirs));
    if agreed.srtp.is_none() && is_secure(&ours.protocol) {
        return Err(Refused::new(
            305,
            "Incompatible media format: no key for our secure offer",
        ));
    }
    agreed.rtcp_mux = agreed.rtcp_mux && ours.attribute("rtcp-mux").is_some();
    if !agreed.rtcp_mux {
        agreed.remote_rtcp = rtcp_address(theirs, agreed.remote_rtp);
    }
    Ok(agreed)
}

/// Keeps the `o=` line of a dialog: one session id, a version that grows only when the description changes
/// (RFC 3264 §8).
#[derive(Debug, Clone)]
pub struct Author {
    session_id: u64,
    version: u64,
    last: Option<Session>,
}

impl Author {
    /// For a new dialog. Some devices read both numbers as 32 bits with a sign: keep `session_id` below 2³¹.
    pub fn new(session_id: u64) -> Self {
        Self {
            session_id,
            version: session_id,
            last: None,
        }
    }

    /// The same description with the right `o=`.
    pub fn publish(&mut self, mut session: Session) -> Session {
        if self
            .last
            .as_ref()
            .is_some_and(|last| !last.same_content(&session))
        {
            self.version = self.version.wrapping_add(1);
        }
        if let Some(origin) = &mut session.origin {
            origin.session_id = self.session_id.to_string();
            origin.version = self.version.to_string();
        }
        self.last = Some(session.clone());
        session
    }

    /// What was published last: the same again for a session refresh.
    pub fn last(&self) -> Option<&Session> {
        self.last.as_ref()
    }
}

/// An audio section that can be used, with what its answer repeats.
struct Found {
    agreed: Agreed,
    /// Codecs with the numbers the peer gave them.
    formats: Vec<(u8, Codec)>,
    /// The peer wants hook flash events too.
    flash: bool,
    /// Our `a=crypto`, under the tag of the one taken.
    crypto: Option<Attribute>,
}

impl Found {
    /// Our section in answer to `offered`.
    fn section(&self, offered: &Media, local: &Local) -> Media {
        let mut formats = Vec::new();
        let mut attributes = Vec::new();
        for &(payload_type, codec) in &self.formats {
            formats.push(payload_type.to_string());
            describe_codec(&mut attributes, payload_type, codec);
        }
        if let Some(payload_type) = self.agreed.dtmf_payload_type {
            formats.push(payload_type.to_string());
            attributes.push(rtpmap(
                payload_type,
                TELEPHONE_EVENT,
                self.agreed.dtmf_clock_rate_hz,
            ));
            let events = if self.flash {
                EVENTS_WITH_FLASH
            } else {
                EVENTS
            };
            attributes.push(Attribute::new("fmtp", format!("{payload_type} {events}")));
        }
        attributes.push(Attribute::new("ptime", self.agreed.ptime_ms.to_string()));
        if let (Some(agreed), Some(ours)) = (&self.agreed.webrtc, &local.webrtc) {
            attributes.extend(ours.lines(if agreed.active { "active" } else { "passive" }));
        }
        if self.agreed.rtcp_mux {
            attributes.push(Attribute::flag("rtcp-mux"));
        } else if local.rtcp_port != local.rtp_port.wrapping_add(1) {
            attributes.push(Attribute::new("rtcp", local.rtcp_port.to_string()));
        }
        attributes.push(Attribute::flag(self.agreed.direction.name()));
        attributes.extend(self.crypto.clone());
        if let Some(mid) = offered.attribute("mid").filter(|mid| is_token(mid)) {
            attributes.push(Attribute::new("mid", mid));
        }
        Media {
            kind: offered.kind.clone(),
            port: local.rtp_port,
            protocol: offered.protocol.clone(),
            formats,
            connection: None,
            attributes,
        }
    }
}

/// Judges one audio section of the peer's.
fn consider(session: &Session, media: &Media, local: &Local) -> Result<Found, Refused> {
    if media.port == 0 {
        return Err(Refused::new(304, "Media type not available: port 0"));
    }
    let secure = is_secure(&media.protocol);
    let plain = ["RTP/AVP", "RTP/AVPF"]
        .iter()
        .any(|known| media.protocol.eq_ignore_ascii_case(known));
    let ours = local.crypto.as_ref();
    let browser = webrtc::is_webrtc(&media.protocol);
    let known = plain || (secure && ours.is_some()) || (browser && local.webrtc.is_some());
    if !known {
        return Err(Refused::new(
            302,
            format!("Incompatible transport protocol {}", media.protocol),
        ));
    }
    let chosen = ours
        .filter(|crypto| secure || crypto.optimistic)
        .and_then(|crypto| crypto.choose(media));
    if secure && chosen.is_none() {
        return Err(Refused::new(
            305,
            "Incompatible media format: no common crypto suite",
        ));
    }
    let rtc = local.webrtc.as_ref().filter(|_| browser);
    let rtc = rtc.map(|ours| Theirs::read(session, media).map(|theirs| theirs.agree(ours)));
    if rtc == Some(None) {
        return Err(Refused::new(
            305,
            "Incompatible media format: no ICE credentials or SHA-256 fingerprint",
        ));
    }
    let rtc = rtc.flatten();
    let address = match remote_address(session, media, local) {
        // ICE finds out where a browser is; what it writes there need not mean anything.
        Err(_) if rtc.is_some() => unspecified(local.address),
        said => said?,
    };
    let remote_rtp = SocketAddr::new(address, media.port);
    let formats = common(media, local);
    let Some(&(payload_type, codec)) = formats.first() else {
        return Err(Refused::new(
            305,
            "Incompatible media format: no common codec",
        ));
    };
    let event = if local.dtmf {
        telephone_event(media, codec.clock_rate_hz())
    } else {
        None
    };
    let dtmf_clock_rate_hz = event.map_or(codec.clock_rate_hz(), |found| found.clock_rate_hz);
    let rtcp_mux = local.rtcp_mux && media.attribute("rtcp-mux").is_some();
    if rtc.is_some() && !rtcp_mux {
        return Err(Refused::new(
            305,
            "Incompatible media format: WebRTC without rtcp-mux",
        ));
    }
    let mut theirs = direction_of(session, media);
    if remote_rtp.ip().is_unspecified() && rtc.is_none() {
        // Hold as before RFC 3264: an address nobody can send to (§8.4).
        theirs = Direction::of(theirs.sends(), false);
    }
    let agreed = Agreed {
        codec,
        payload_type,
        accepts: formats.iter().copied().collect(),
        dtmf_payload_type: event.map(|found| found.payload_type),
        dtmf_clock_rate_hz,
        ptime_ms: codec.ptime_ms(ptime(session, media)),
        remote_rtp,
        remote_rtcp: if rtcp_mux {
            remote_rtp
        } else {
            rtcp_address(media, remote_rtp)
        },
        rtcp_mux,
        direction: local.direction.against(theirs),
        held: !theirs.receives(),
        srtp: chosen.as_ref().map(|(ours, line)| SrtpKeys {
            send: (*ours).clone(),
            receive: line.key.clone(),
        }),
        webrtc: rtc,
    };
    Ok(Found {
        crypto: chosen.map(|(ours, line)| crypto::line(line.tag, ours)),
        agreed,
        formats,
        flash: event.is_some_and(|found| found.flash),
    })
}

/// The address the peer wants media at, when it is one we can send to.
fn remote_address(session: &Session, media: &Media, local: &Local) -> Result<IpAddr, Refused> {
    let incompatible =
        |why: &str| Refused::new(301, format!("Incompatible network address formats: {why}"));
    match session
        .connection_of(media)
        .map(|connection| &connection.host)
    {
        None => Err(incompatible("no c= line")),
        Some(Host::Name(_)) => Err(incompatible(HOST_NAME)),
        Some(Host::Ip(ip)) if ip.is_ipv4() != local.address.is_ipv4() => {
            Err(incompatible("other IP version"))
        }
        Some(Host::Ip(ip)) if ip.is_multicast() => {
            Err(Refused::new(330, "Multicast not available"))
        }
        Some(Host::Ip(IpAddr::V4(ip))) if ip.is_broadcast() => {
            Err(incompatible("broadcast address"))
        }
        Some(Host::Ip(ip)) => Ok(*ip),
    }
}

/// Our codecs among the section's payload types, in the section's order, each once.
fn common(media: &Media, local: &Local) -> Vec<(u8, Codec)> {
    let mut found: Vec<(u8, Codec)> = Vec::new();
    for payload_type in media
        .formats
        .iter()
        .filter_map(|format| format.parse::<u8>().ok())
        .filter(|pt| *pt < 128)
    {
        let codec = match media.rtpmap(payload_type) {
            Some(map) => Codec::named(map.name, map.clock_rate_hz)
                .filter(|codec| codec.channels() == map.channels),
            None => Codec::of_static(payload_type),
        };
        if let Some(codec) = codec.filter(|codec| local.codecs.contains(codec))
            && found.iter().all(|(_, known)| *known != codec)
        {
            found.push((payload_type, codec));
        }
    }
    found
}

/// Telephone-events of a section.
#[derive(Debug, Clone, Copy)]
struct Events {
    payload_type: u8,
    clock_rate_hz: u32,
    /// Hook flash is among them.
    flash: bool,
}

/// Telephone-events at the clock of the audio (RFC 4733 §2.1). Of those at another, 8 kHz are taken all the same: many
/// devices offer nothing else beside a codec of 48 kHz.
fn telephone_event(media: &Media, clock_rate_hz: u32) -> Option<Events> {
    let offered = || {
        let numbers = media.formats.iter().filter_map(|f| f.parse::<u8>().ok());
        numbers.filter(|pt| *pt < 128).filter_map(|payload_type| {
            let map = media.rtpmap(payload_type)?;
            let fits = map.name.eq_ignore_ascii_case(TELEPHONE_EVENT);
            fits.then(|| Events {
                payload_type,
                clock_rate_hz: map.clock_rate_hz,
                flash: media.fmtp(payload_type).is_some_and(covers_flash),
            })
        })
    };
    offered()
        .find(|found| found.clock_rate_hz == clock_rate_hz)
        .or_else(|| offered().find(|found| found.clock_rate_hz == 8000))
}

/// Telephone-events we offer: at the clock of each codec, and at 8 kHz in any case (sip.md §11).
fn event_types(local: &Local) -> Vec<(u8, u32)> {
    let mut types = Vec::new();
    let clocks = local.codecs.iter().map(|codec| codec.clock_rate_hz());
    for clock_rate_hz in clocks.chain([8000]) {
        if types.iter().all(|(_, known)| *known != clock_rate_hz) {
            let payload_type = match clock_rate_hz {
                8000 => local.dtmf_payload_type,
                16_000 => EVENTS_AT_16_KHZ,
                _ => EVENTS_AT_48_KHZ,
            };
            types.push((payload_type, clock_rate_hz));
        }
    }
    types
}

/// Whether an event list as `0-15,66` contains 16.
fn covers_flash(events: &str) -> bool {
    events.split(',').any(|range| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        matches!((from.trim().parse::<u8>(), to.trim().parse::<u8>()), (Ok(from), Ok(to)) if from <= 16 && 16 <= to)
    })
}

/// What the peer says it does: the section's word, else the session's, else both ways.
fn direction_of(session: &Session, media: &Media) -> Direction {
    let said = |attributes: &[Attribute]| attributes.iter().find_map(|a| Direction::named(&a.name));
    said(&media.attributes)
        .or_else(|| said(&session.attributes))
        .unwrap_or_default()
}

/// The packet length the peer asks for, within what we send and what it can take.
fn ptime(session: &Session, media: &Media) -> u8 {
    let number = |name: &str| {
        let value = media.attribute(name).or_else(|| session.attribute(name))?;
        let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
        // More digits than fit are more than we send in any case.
        if digits.is_empty() {
            None
        } else {
            Some(digits.parse::<u32>().unwrap_or(u32::MAX))
        }
    };
    let wanted = number("ptime")
        .unwrap_or(20)
        .clamp(MIN_PTIME_MS, MAX_PTIME_MS);
    let most = number("maxptime").unwrap_or(MAX_PTIME_MS).max(MIN_PTIME_MS);
    // Whole tens: every codec's frames and the media engine's slots fit them.
    (wanted.min(most) / 10 * 10) as u8
}

/// Where the peer wants RTCP (RFC 3605), the next port unless it says otherwise.
fn rtcp_address(media: &Media, rtp: SocketAddr) -> SocketAddr {
    let default = SocketAddr::new(rtp.ip(), rtp.port().checked_add(1).unwrap_or(rtp.port()));
    let Some(value) = media.attribute("rtcp") else {
        return default;
    };
    let mut words = value.split_whitespace();
    let Some(port) = words
        .next()
        .and_then(|port| port.parse().ok())
        .filter(|port| *port != 0u16)
    else {
        return default;
    };
    let ip = match words.nth(2).map(Host::parse) {
        Some(Host::Ip(ip)) if ip.is_ipv4() == rtp.is_ipv4() && !ip.is_multicast() => ip,
        _ => rtp.ip(),
    };
    SocketAddr::new(ip, port)
}

/// A section turned down, in its place.
fn refuse(media: &Media) -> Media {
    Media {
        port: 0,
        connection: None,
        attributes: Vec::new(),
        ..media.clone()
    }
}

fn describe(local: &Local, media: Vec<Media>) -> Session {
    Session {
        origin: Some(Origin {
            username: "-".to_owned(),
            session_id: local.session_id.to_string(),
            version: local.version.to_string(),
            address: local.address.to_string(),
        }),
        connection: Some(Connection {
            host: Host::Ip(local.address),
        }),
        attributes: Vec::new(),
        media,
    }
}

/// The `a=rtpmap` of a codec, and its `a=fmtp` when there is something to say.
fn describe_codec(attributes: &mut Vec<Attribute>, payload_type: u8, codec: Codec) {
    let name = codec.name();
    let map = match codec.channels() {
        1 => rtpmap(payload_type, name, codec.clock_rate_hz()),
        channels => Attribute::new(
            "rtpmap",
            format!("{payload_type} {name}/{}/{channels}", codec.clock_rate_hz()),
        ),
    };
    attributes.push(map);
    if let Some(fmtp) = codec.fmtp() {
        attributes.push(Attribute::new("fmtp", format!("{payload_type} {fmtp}")));
    }
}

fn rtpmap(payload_type: u8, name: &str, clock_rate_hz: u32) -> Attribute {
    Attribute::new("rtpmap", format!("{payload_type} {name}/{clock_rate_hz}"))
}

/// Session attributes of a description for a browser.
fn lite(mid: Option<&str>) -> Vec<Attribute> {
    let group = mid.map(|mid| Attribute::new("group", format!("BUNDLE {mid}")));
    std::iter::once(Attribute::flag("ice-lite"))
        .chain(group)
        .collect()
}

/// No address, of the same kind.
fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// How an offer wants its audio kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keying {
    /// Not at all.
    None,
    /// SRTP with keys in the description (RFC 4568); `true` also takes plain RTP.
    Sdes(bool),
    /// SRTP with keys by DTLS, as browsers do (RFC 5763).
    Dtls,
}

/// How an offer wants its audio kept secret.
pub fn keying(offer: &Session) -> Keying {
    let audio = || offer.media.iter().filter(|media| media.kind == "audio");
    if audio().any(|media| webrtc::is_webrtc(&media.protocol)) {
        Keying::Dtls
    } else if audio().any(|media| is_secure(&media.protocol)) {
        Keying::Sdes(false)
    } else if audio().any(|media| media.attribute("crypto").is_some()) {
        Keying::Sdes(true)
    } else {
        Keying::None
    }
}

/// Whether a protocol is SRTP with keys in the description.
fn is_secure(protocol: &str) -> bool {
    ["RTP/SAVP", "RTP/SAVPF"]
        .iter()
        .any(|known| protocol.eq_ignore_ascii_case(known))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// How our one section is called in offers for browsers.
const OUR_MID: &str = "0";
const TELEPHONE_EVENT: &str = "telephone-event";
/// Payload types of telephone-event at the clocks of wide-band codecs in our offers.
const EVENTS_AT_16_KHZ: u8 = 111;
const EVENTS_AT_48_KHZ: u8 = 110;
/// Digits, `*`, `#`, A–D (RFC 4733 §3.2).
const EVENTS: &str = "0-15";
/// The same and hook flash.
const EVENTS_WITH_FLASH: &str = "0-16";
/// Shortest packets we send.
const MIN_PTIME_MS: u32 = 10;
/// Longest packets we send.
const MAX_PTIME_MS: u32 = 60;

#[cfg(test)]
mod tests;
