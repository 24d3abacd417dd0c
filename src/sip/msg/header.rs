//! Header names and the ordered list of headers.

use bytes::Bytes;

macro_rules! names {
    ($($variant:ident $wire:literal $($compact:literal)?;)*) => {
        /// A header name; names we never look at are `Other`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each variant is the header's own name")]
        pub enum Name {
            $($variant,)*
            /// Any other header; its spelling is kept in `Header::other`.
            Other,
        }

        impl Name {
            /// Every header name but `Other`.
            pub const ALL: &'static [Name] = &[$(Name::$variant),*];

            /// The long spelling; empty for `Other`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)*
                    Self::Other => "",
                }
            }

            /// The compact spelling, where there is one (RFC 3261 §7.3.3).
            pub const fn compact(self) -> Option<&'static str> {
                match self {
                    $($(Self::$variant => Some($compact),)?)*
                    _ => None,
                }
            }
        }
    };
}

names! {
    Via "Via" "v";
    From "From" "f";
    To "To" "t";
    CallId "Call-ID" "i";
    CSeq "CSeq";
    Contact "Contact" "m";
    MaxForwards "Max-Forwards";
    Route "Route";
    RecordRoute "Record-Route";
    ContentType "Content-Type" "c";
    ContentLength "Content-Length" "l";
    ContentEncoding "Content-Encoding" "e";
    ContentLanguage "Content-Language";
    ContentDisposition "Content-Disposition";
    Accept "Accept";
    AcceptEncoding "Accept-Encoding";
    AcceptLanguage "Accept-Language";
    Allow "Allow";
    AllowEvents "Allow-Events" "u";
    Supported "Supported" "k";
    Require "Require";
    ProxyRequire "Proxy-Require";
    Unsupported "Unsupported";
    Authorization "Authorization";
    ProxyAuthorization "Proxy-Authorization";
    WwwAuthenticate "WWW-Authenticate";
    ProxyAuthenticate "Proxy-Authenticate";
    AuthenticationInfo "Authentication-Info";
    Expires "Expires";
    MinExpires "Min-Expires";
    FlowTimer "Flow-Timer";
    SessionExpires "Session-Expires" "x";
    MinSe "Min-SE";
    RSeq "RSeq";
    RAck "RAck";
    Event "Event" "o";
    SubscriptionState "Subscription-State";
    ReferTo "Refer-To" "r";
    ReferredBy "Referred-By" "b";
    ReferSub "Refer-Sub";
    Replaces "Replaces";
    RetryAfter "Retry-After";
    Reason "Reason";
    Warning "Warning";
    Subject "Subject" "s";
    UserAgent "User-Agent";
    Server "Server";
    Date "Date";
    Timestamp "Timestamp";
    PAssertedIdentity "P-Asserted-Identity";
    PPreferredIdentity "P-Preferred-Identity";
    RemotePartyId "Remote-Party-ID";
    Privacy "Privacy";
    Diversion "Diversion";
    HistoryInfo "History-Info";
    Path "Path";
    Identity "Identity" "y";
    IdentityInfo "Identity-Info" "n";
    AcceptContact "Accept-Contact" "a";
    RejectContact "Reject-Contact" "j";
    RequestDisposition "Request-Disposition" "d";
    MimeVersion "MIME-Version";
    AlertInfo "Alert-Info";
    CallInfo "Call-Info";
}

/// Most names that fall into one bucket of [`BUCKETS`].
const PER_BUCKET: usize = 4;
const BUCKET_COUNT: usize = 256;

/// Where a name is looked up: by its length and first letter, which leaves at most [`PER_BUCKET`] candidates.
const fn bucket(length: usize, first: u8) -> usize {
    (length.wrapping_mul(41) ^ (first | 0x20) as usize) % BUCKET_COUNT
}

static BUCKETS: [[Name; PER_BUCKET]; BUCKET_COUNT] = buckets();

#[cfg_attr(
    not(test),
    expect(clippy::indexing_slicing, reason = "evaluated by the compiler")
)]
const fn put(table: &mut [[Name; PER_BUCKET]; BUCKET_COUNT], name: Name, text: &str) {
    let index = bucket(text.len(), text.as_bytes()[0]);
    let mut slot = 0;
    // A fifth candidate would be an index out of range, which stops the compiler: then PER_BUCKET must grow.
    while !matches!(table[index][slot], Name::Other) {
        slot += 1;
    }
    table[index][slot] = name;
}

#[cfg_attr(
    not(test),
    expect(clippy::indexing_slicing, reason = "evaluated by the compiler")
)]
const fn buckets() -> [[Name; PER_BUCKET]; BUCKET_COUNT] {
    let mut table = [[Name::Other; PER_BUCKET]; BUCKET_COUNT];
    let mut at = 0;
    while at < Name::ALL.len() {
        let name = Name::ALL[at];
        put(&mut table, name, name.as_str());
        if let Some(compact) = name.compact() {
            put(&mut table, name, compact);
        }
        at += 1;
    }
    table
}

impl Name {
    /// The name of that spelling, compact forms included, whatever its case (RFC 3261 §7.3.1, §7.3.3).
    pub fn from_wire(text: &str) -> Self {
        let Some(&first) = text.as_bytes().first() else {
            return Self::Other;
        };
        let candidates = BUCKETS
            .get(bucket(text.len(), first))
            .map_or(&[][..], |slots| slots);
        for &name in candidates {
            if name.as_str().eq_ignore_ascii_case(text)
                || name.compact().is_some_and(|c| c.eq_ignore_ascii_case(text))
            {
                return name;
            }
        }
        Self::Other
    }
}

/// One header, unfolded, without the blanks around its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Which header.
    pub name: Name,
    /// The spelling on the wire when `name` is `Other`; empty otherwise.
    pub other: Box<str>,
    /// The raw value.
    pub value: Bytes,
}

impl Header {
    /// The name to write.
    pub fn wire_name(&self) -> &str {
        if self.name == Name::Other {
            &self.other
        } else {
            self.name.as_str()
        }
    }

    /// The value as text; `None` when it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()
    }
}

/// The ordered headers of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    pub(crate) fn push_header(&mut self, header: Header) {
        self.0.push(header);
    }

    /// Adds a known header at the end.
    pub fn push(&mut self, name: Name, value: impl Into<Bytes>) {
        self.0.push(Header {
            name,
            other: Box::default(),
            value: value.into(),
        });
    }

    /// Adds a header of any name at the end.
    pub fn push_named(&mut self, name: &str, value: impl Into<Bytes>) {
        let known = Name::from_wire(name);
        let other = if known == Name::Other {
            name.into()
        } else {
            Box::default()
        };
        self.0.push(Header {
            name: known,
            other,
            value: value.into(),
        });
    }

    /// Puts a known header in front of all others (a new topmost Via).
    pub fn push_front(&mut self, name: Name, value: impl Into<Bytes>) {
        self.0.insert(
            0,
            Header {
                name,
                other: Box::default(),
                value: value.into(),
            },
        );
    }

    /// Replaces every header of that name by one.
    pub fn set(&mut self, name: Name, value: impl Into<Bytes>) {
        self.remove(name);
        self.push(name, value);
    }

    /// Replaces the value of the first header of that name, in its place; adds nothing when there is none.
    pub fn replace_first(&mut self, name: Name, value: impl Into<Bytes>) {
        if let Some(header) = self.0.iter_mut().find(|h| h.name == name) {
            header.value = value.into();
        }
    }

    /// Removes every header of that name.
    pub fn remove(&mut self, name: Name) {
        self.0.retain(|h| h.name != name);
    }

    /// First value of that name as text.
    pub fn get(&self, name: Name) -> Option<&str> {
        self.0
            .iter()
            .find(|h| h.name == name)
            .and_then(Header::text)
    }

    /// First value of a header by spelling, whatever its case.
    pub fn get_named(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|h| h.wire_name().eq_ignore_ascii_case(name))
            .and_then(Header::text)
    }

    /// All raw values of that name, one a header line (comma lists are not split).
    pub fn all(&self, name: Name) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |h| h.name == name)
            .filter_map(Header::text)
    }

    /// How many header lines have that name.
    pub fn count(&self, name: Name) -> usize {
        self.0.iter().filter(|h| h.name == name).count()
    }

    /// All headers in wire order.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }

    /// The number of header lines.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_by_every_spelling() {
        for &name in Name::ALL {
            assert_eq!(Name::from_wire(name.as_str()), name);
            assert_eq!(Name::from_wire(&name.as_str().to_ascii_uppercase()), name);
            assert_eq!(Name::from_wire(&name.as_str().to_ascii_lowercase()), name);
            if let Some(compact) = name.compact() {
                assert_eq!(Name::from_wire(compact), name);
                assert_eq!(Name::from_wire(&compact.to_ascii_uppercase()), name);
            }
        }
        for other in ["", "X-Custom", "vi", "z", "C%6Fntact", "Viaa", "Fr\u{f6}m"] {
            assert_eq!(Name::from_wire(other), Name::Other, "{other}");
        }
    }

    #[test]
    fn every_compact_name_of_the_registry_is_known() {
        for compact in "abcdefijklmnorstuvxy".chars() {
            assert_ne!(
                Name::from_wire(&compact.to_string()),
                Name::Other,
                "{compact}"
            );
        }
    }
}
