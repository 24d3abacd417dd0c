//! A session description (RFC 8866): parsed with patience, written with care.

use std::fmt;
use std::net::IpAddr;

/// A session description, reduced to what swivel uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// `o=`; missing in some devices' descriptions.
    pub origin: Option<Origin>,
    /// `c=` of the session.
    pub connection: Option<Connection>,
    /// `a=` lines of the session.
    pub attributes: Vec<Attribute>,
    /// `m=` sections in order.
    pub media: Vec<Media>,
}

/// `o=`: who made the description, and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// User name, `-` for none.
    pub username: String,
    /// Session id, digits.
    pub session_id: String,
    /// Version, digits.
    pub version: String,
    /// Address, as written.
    pub address: String,
}

/// `c=`: where media goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The host.
    pub host: Host,
}

/// A host in `c=` or `a=rtcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, which is not resolved here.
    Name(String),
}

/// `a=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Before the colon.
    pub name: String,
    /// After it.
    pub value: Option<String>,
}

/// `m=` and the lines that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image` …
    pub kind: String,
    /// Port; 0 when refused or off.
    pub port: u16,
    /// `RTP/AVP` …
    pub protocol: String,
    /// Payload types, as written.
    pub formats: Vec<String>,
    /// `c=` of this section.
    pub connection: Option<Connection>,
    /// `a=` lines of this section.
    pub attributes: Vec<Attribute>,
}

/// Why bytes are no usable description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// More bytes than the limit.
    #[error("description exceeds {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// More lines than the limit.
    #[error("description exceeds {limit} lines")]
    TooManyLines {
        /// The limit.
        limit: usize,
    },
    /// More media sections than the limit.
    #[error("description exceeds {limit} media sections")]
    TooManyMedia {
        /// The limit.
        limit: usize,
    },
    /// An `m=` line that cannot be read.
    #[error("line {line}: malformed m= line")]
    Media {
        /// Line number from 1.
        line: usize,
    },
    /// A port outside 0..=65535.
    #[error("line {line}: port {port:?} out of range")]
    Port {
        /// Line number from 1.
        line: usize,
        /// What was there.
        port: String,
    },
}

/// Most bytes of a description.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most lines that are not empty.
pub const MAX_LINES: usize = 1000;
/// Most media sections.
pub const MAX_MEDIA: usize = 16;
/// Payload types read of one `m=` line; there are no more than 128.
const MAX_FORMATS: usize = 128;

/// Encoding of a payload type: `a=rtpmap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpMap<'a> {
    /// Encoding name, as written.
    pub name: &'a str,
    /// RTP clock in Hz.
    pub clock_rate_hz: u32,
    /// Channels; 1 where none are given.
    pub channels: u32,
}

impl Session {
    /// Parses a description. Lines may end in CRLF, LF or CR; unknown lines are passed over; `v=`, `o=`, `s=` and `t=`
    /// may be missing. What is wrong with a single medium beyond its `m=` line is for `negotiate` to judge.
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        if bytes.len() > MAX_BYTES {
            return Err(SdpError::TooLong { limit: MAX_BYTES });
        }
        let text = String::from_utf8_lossy(bytes);
        let mut session = Self::default();
        let lines = text
            .split(['\n', '\r'])
            .map(str::trim)
            .filter(|line| !line.is_empty());
        for (index, line) in lines.enumerate() {
            if index >= MAX_LINES {
                return Err(SdpError::TooManyLines { limit: MAX_LINES });
            }
            let Some((kind, value)) = line.split_once('=') else {
                continue;
            };
            session.line(index + 1, kind.trim_end(), value.trim_start())?;
        }
        Ok(session)
    }

    /// The value of a session attribute, empty for a flag; names in any case.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name)
    }

    /// The address media of that section goes to: its own `c=`, else the session's.
    pub fn connection_of<'a>(&'a self, media: &'a Media) -> Option<&'a Connection> {
        media.connection.as_ref().or(self.connection.as_ref())
    }

    /// Whether both say the same, whatever their `o=` lines.
    pub fn same_content(&self, other: &Self) -> bool {
        self.connection == other.connection
            && self.attributes == other.attributes
            && self.media == other.media
    }

    fn line(&mut self, number: usize, kind: &str, value: &str) -> Result<(), SdpError> {
        match kind {
            "m" => {
                if self.media.len() >= MAX_MEDIA {
                    return Err(SdpError::TooManyMedia { limit: MAX_MEDIA });
                }
                self.media.push(Media::parse(number, value)?);
            }
            "c" => {
                let slot = self
                    .media
                    .last_mut()
                    .map_or(&mut self.connection, |media| &mut media.connection);
                if slot.is_none() {
                    *slot = Connection::parse(value);
                }
            }
            "a" => {
                let (name, value) = match value.split_once(':') {
                    Some((name, value)) => (name, Some(value.trim().to_owned())),
                    None => (value, None),
                };
                let attribute = Attribute {
                    name: name.trim().to_owned(),
                    value,
                };
                self.media
                    .last_mut()
                    .map_or(&mut self.attributes, |media| &mut media.attributes)
                    .push(attribute);
            }
            "o" if self.origin.is_none() => self.origin = Origin::parse(value),
            _ => {}
        }
        Ok(())
    }
}

impl Origin {
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let (username, session_id, version) = (words.next()?, words.next()?, words.next()?);
        let address = words.nth(2).unwrap_or("0.0.0.0");
        Some(Self {
            username: username.to_owned(),
            session_id: session_id.to_owned(),
            version: version.to_owned(),
            address: address.to_owned(),
        })
    }
}

impl Connection {
    /// `IN IP4 192.0.2.1[/ttl[/count]]`; the two words before the address may be missing.
    fn parse(value: &str) -> Option<Self> {
        let host = value.split_whitespace().last()?;
        let host = host.split_once('/').map_or(host, |(host, _)| host);
        Some(Self {
            host: Host::parse(host),
        })
    }
}

impl Host {
    /// An address, also in brackets, or a name.
    pub fn parse(text: &str) -> Self {
        let bare = text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .unwrap_or(text);
        bare.parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Ip)
    }
}

impl Attribute {
    /// `a=name`.
    pub fn flag(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: None,
        }
    }

    /// `a=name:value`.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value.into()),
        }
    }
}

impl Media {
    fn parse(line: usize, value: &str) -> Result<Self, SdpError> {
        // What is echoed in an answer must be plain words.
        if !value.chars().all(|c| c == '\t' || (' '..='~').contains(&c)) {
            return Err(SdpError::Media { line });
        }
        let mut words = value.split_whitespace();
        let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next())
        else {
            return Err(SdpError::Media { line });
        };
        let number = port.split_once('/').map_or(port, |(first, _)| first);
        let port = if number.bytes().all(|b| b.is_ascii_digit()) {
            number.parse().ok()
        } else {
            None
        }
        .ok_or_else(|| SdpError::Port {
            line,
            port: number.to_owned(),
        })?;
        Ok(Self {
            kind: kind.to_ascii_lowercase(),
            port,
            protocol: protocol.to_owned(),
            formats: words.take(MAX_FORMATS).map(str::to_owned).collect(),
            connection: None,
            attributes: Vec::new(),
        })
    }

    /// The value of an attribute of this section, empty for a flag; names in any case.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name)
    }

    /// The `a=rtpmap` of a payload type.
    pub fn rtpmap(&self, payload_type: u8) -> Option<RtpMap<'_>> {
        let encoding = self.of_format("rtpmap", payload_type)?;
        let mut parts = encoding.split('/').map(str::trim);
        Some(RtpMap {
            name: parts.next()?,
            clock_rate_hz: parts.next()?.parse().ok()?,
            channels: parts
                .next()
                .map_or(Some(1), |channels| channels.parse().ok())?,
        })
    }

    /// The `a=fmtp` of a payload type.
    pub fn fmtp(&self, payload_type: u8) -> Option<&str> {
        self.of_format("fmtp", payload_type)
    }

    /// What follows the payload type in `a=NAME:PT …`.
    fn of_format(&self, name: &str, payload_type: u8) -> Option<&str> {
        self.attributes
            .iter()
            .filter(|a| a.name.eq_ignore_ascii_case(name))
            .find_map(|a| {
                let (format, rest) = a.value.as_deref()?.split_once(char::is_whitespace)?;
                (format.parse::<u8>().ok()? == payload_type).then(|| rest.trim())
            })
    }
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|a| a.name.eq_ignore_ascii_case(name))
        .map(|a| a.value.as_deref().unwrap_or(""))
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v=0\r\n")?;
        match &self.origin {
            Some(o) => {
                let net = if o.address.contains(':') {
                    "IP6"
                } else {
                    "IP4"
                };
                write!(
                    f,
                    "o={} {} {} IN {net} {}\r\n",
                    o.username, o.session_id, o.version, o.address
                )?;
            }
            None => f.write_str("o=- 0 0 IN IP4 0.0.0.0\r\n")?,
        }
        f.write_str("s=-\r\n")?;
        if let Some(connection) = &self.connection {
            write!(f, "{connection}")?;
        }
        f.write_str("t=0 0\r\n")?;
        write_attributes(f, &self.attributes)?;
        for media in &self.media {
            write!(f, "m={} {} {}", media.kind, media.port, media.protocol)?;
            for format in &media.formats {
                write!(f, " {format}")?;
            }
            f.write_str("\r\n")?;
            if let Some(connection) = &media.connection {
                write!(f, "{connection}")?;
            }
            write_attributes(f, &media.attributes)?;
        }
        Ok(())
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip @ IpAddr::V4(_)) => write!(f, "c=IN IP4 {ip}\r\n"),
            Host::Ip(ip @ IpAddr::V6(_)) => write!(f, "c=IN IP6 {ip}\r\n"),
            Host::Name(name) => write!(f, "c=IN IP4 {name}\r\n"),
        }
    }
}

fn write_attributes(f: &mut fmt::Formatter<'_>, attributes: &[Attribute]) -> fmt::Result {
    for attribute in attributes {
        match &attribute.value {
            Some(value) => write!(f, "a={}:{value}\r\n", attribute.name)?,
            None => write!(f, "a={}\r\n", attribute.name)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "v=0\r\no=alice 2890844526 2890844527 IN IP4 host.example\r\ns= \r\nc=IN IP4 192.0.2.10\r\nb=AS:64\r\n\
        t=0 0\r\na=sendrecv\r\nm=audio 49170 RTP/AVP 0 8 96 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-16\r\na=ptime:20\r\nm=video 0 RTP/AVP 31\r\n";

    #[test]
    fn a_phones_description_is_read() {
        let s = Session::parse(PHONE.as_bytes()).unwrap();
        let origin = s.origin.as_ref().unwrap();
        assert_eq!(
            (origin.session_id.as_str(), origin.address.as_str()),
            ("2890844526", "host.example")
        );
        assert_eq!(s.attribute("SendRecv"), Some(""));
        let audio = &s.media[0];
        assert_eq!(
            (audio.kind.as_str(), audio.port, audio.formats.len()),
            ("audio", 49170, 4)
        );
        assert_eq!(
            audio.rtpmap(96),
            Some(RtpMap {
                name: "opus",
                clock_rate_hz: 48_000,
                channels: 2
            })
        );
        assert_eq!(audio.fmtp(101), Some("0-16"));
        assert_eq!(
            s.connection_of(audio).unwrap().host,
            Host::Ip([192, 0, 2, 10].into())
        );
        assert_eq!(s.media[1].port, 0);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let s = Session::parse(PHONE.as_bytes()).unwrap();
        let again = Session::parse(s.to_string().as_bytes()).unwrap();
        assert_eq!(again, s);
    }

    #[test]
    fn sloppy_descriptions_are_read() {
        let s = Session::parse(b"c=IN IP4 10.0.0.1  \nm=audio 5004/2 RTP/AVP 0  \n garbage\nx=y\na=sendonly \n\n\nm = image 5006 udptl t38\n").unwrap();
        assert_eq!(s.media.len(), 2);
        assert_eq!(
            (s.media[0].port, s.media[0].formats.as_slice()),
            (5004, &["0".to_owned()][..])
        );
        assert_eq!(s.media[0].attribute("sendonly"), Some(""));
        assert_eq!(Session::parse(b"").unwrap(), Session::default());
        assert_eq!(
            Session::parse(&[0xFF, 0xFE, b'\n', b'm'])
                .unwrap()
                .media
                .len(),
            0
        );
    }

    #[test]
    fn addresses_come_in_many_forms() {
        for (text, host) in [
            (
                "c=IN IP6 2001:db8::1",
                Host::Ip("2001:db8::1".parse().unwrap()),
            ),
            ("c=IN IP4 224.2.1.1/127/3", Host::Ip([224, 2, 1, 1].into())),
            ("c=IN IP4 sbc.example", Host::Name("sbc.example".into())),
        ] {
            assert_eq!(
                Session::parse(text.as_bytes())
                    .unwrap()
                    .connection
                    .unwrap()
                    .host,
                host
            );
        }
    }

    #[test]
    fn impossible_ports_are_refused_by_name() {
        for port in ["65536", "-1", "99999999999999999999", "0x10", "", "+5"] {
            let error = Session::parse(format!("m=audio {port} RTP/AVP 0").as_bytes()).unwrap_err();
            if port.is_empty() {
                assert!(matches!(error, SdpError::Port { line: 1, .. }), "{error}");
            } else {
                assert_eq!(
                    error,
                    SdpError::Port {
                        line: 1,
                        port: port.into()
                    }
                );
            }
        }
        assert_eq!(
            Session::parse(b"m=audio 1"),
            Err(SdpError::Media { line: 1 })
        );
        assert_eq!(
            Session::parse(b"m=au\0dio 1 RTP/AVP 0"),
            Err(SdpError::Media { line: 1 })
        );
    }

    #[test]
    fn limits_hold_at_the_limit_and_not_beyond() {
        let lines = |n: usize| "a=x\n".repeat(n).into_bytes();
        assert!(Session::parse(&lines(MAX_LINES)).is_ok());
        assert_eq!(
            Session::parse(&lines(MAX_LINES + 1)),
            Err(SdpError::TooManyLines { limit: MAX_LINES })
        );
        let media = |n: usize| "m=audio 1 RTP/AVP 0\n".repeat(n).into_bytes();
        assert_eq!(
            Session::parse(&media(MAX_MEDIA)).unwrap().media.len(),
            MAX_MEDIA
        );
        assert_eq!(
            Session::parse(&media(MAX_MEDIA + 1)),
            Err(SdpError::TooManyMedia { limit: MAX_MEDIA })
        );
        assert!(Session::parse(&vec![b' '; MAX_BYTES]).is_ok());
        assert_eq!(
            Session::parse(&vec![b' '; MAX_BYTES + 1]),
            Err(SdpError::TooLong { limit: MAX_BYTES })
        );
    }

    #[test]
    fn junk_attributes_do_not_matter() {
        let s = Session::parse(b"m=audio 1 RTP/AVP 0 101\na=fmtp\na=fmtp:\na=fmtp: x\na=rtpmap:999 x/1\na=rtpmap:101\na=rtpmap:101 telephone-event\na=:\n").unwrap();
        assert_eq!((s.media[0].rtpmap(101), s.media[0].fmtp(101)), (None, None));
    }
}
