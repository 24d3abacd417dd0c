//! The gate: how many requests a source may send before anybody parses them, and answers that cost no state
//! (`security.md` rows 1, 10, 35).

use std::hash::Hasher as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::msg::{Message, Method, Name};

/// How fast a source may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second in the long run.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

/// Token buckets, one a source: an IPv4 address or an IPv6 /64.
///
/// The table has a fixed size. A new source takes the place of the one, among four, that has been quiet longest; so a
/// flood from many made-up addresses costs no memory, and a source that keeps sending keeps its bucket.
#[derive(Debug)]
pub struct Gate {
    sets: Box<[Set]>,
    rate: Rate,
    seed: u64,
    epoch: Option<Instant>,
}

type Set = [Bucket; WAYS];

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// 0 is an empty place.
    source: u128,
    /// Thousandths of a request.
    tokens: u64,
    /// Milliseconds since the epoch.
    filled: u64,
}

/// Places a source can have.
const WAYS: usize = 4;
/// One request in bucket units.
const REQUEST: u64 = 1000;

impl Gate {
    /// A gate that remembers `sources` sources, rounded up to a power of two. The seed keeps others from choosing
    /// addresses that share a place.
    pub fn new(rate: Rate, sources: usize, seed: u64) -> Self {
        let sets = sources.div_ceil(WAYS).next_power_of_two().min(1 << 20);
        let empty = [Bucket {
            source: 0,
            tokens: 0,
            filled: 0,
        }; WAYS];
        Self {
            sets: vec![empty; sets].into_boxed_slice(),
            rate,
            seed,
            epoch: None,
        }
    }

    /// Whether the source may send one more request now.
    pub fn admit(&mut self, now: Instant, source: IpAddr) -> bool {
        let epoch = *self.epoch.get_or_insert(now);
        let now =
            u64::try_from(now.saturating_duration_since(epoch).as_millis()).unwrap_or(u64::MAX);
        let full = u64::from(self.rate.burst).saturating_mul(REQUEST);
        let per_second = u64::from(self.rate.per_second);
        // One request a second is one unit a millisecond.
        let filled = |b: &Bucket| {
            now.saturating_sub(b.filled)
                .saturating_mul(per_second)
                .saturating_add(b.tokens)
                .min(full)
        };
        let key = source_key(source);
        let place = self.place(key);
        let Some(set) = self.sets.get_mut(place) else {
            return false;
        };
        let known = set.iter().position(|b| b.source == key);
        let quietest = || {
            set.iter()
                .enumerate()
                .max_by_key(|(_, b)| if b.source == 0 { u64::MAX } else { filled(b) })
        };
        let Some(at) = known.or_else(|| quietest().map(|(at, _)| at)) else {
            return false;
        };
        let Some(bucket) = set.get_mut(at) else {
            return false;
        };
        let tokens = if known.is_some() {
            filled(bucket)
        } else {
            full
        };
        let admitted = tokens >= REQUEST;
        *bucket = Bucket {
            source: key,
            tokens: if admitted { tokens - REQUEST } else { tokens },
            filled: now,
        };
        admitted
    }

    /// The To tag of a stateless answer: the same for every repeat of a request, and nothing anybody could guess.
    pub fn to_tag(&self, request: &Message) -> String {
        let mut hash = self.hasher();
        for name in [Name::Via, Name::From, Name::CallId, Name::CSeq] {
            hash.write(request.header(name).unwrap_or("").as_bytes());
            hash.write_u8(0xff);
        }
        format!("{:016x}", hash.finish())
    }

    fn hasher(&self) -> std::hash::DefaultHasher {
        let mut hash = std::hash::DefaultHasher::new();
        hash.write_u64(self.seed);
        hash
    }

    fn place(&self, key: u128) -> usize {
        let mut hash = self.hasher();
        hash.write_u128(key);
        usize::try_from(hash.finish() & (self.sets.len() as u64 - 1)).unwrap_or(0)
    }
}

/// What counts as one source: the IPv4 address, or the /64 of an IPv6 address. Never 0.
pub(crate) fn source_key(source: IpAddr) -> u128 {
    match source.to_canonical() {
        IpAddr::V4(v4) => (1 << 64) | u128::from(u32::from(v4)),
        IpAddr::V6(v6) => (2 << 64) | (u128::from(v6) >> 64),
    }
}

/// An answer that leaves nothing behind: Via (with `received` and `rport` of the source), From, To, Call-ID and CSeq of
/// the request, and `headers`. An empty `reason` takes the standard phrase. `None` for what is never answered: responses
/// and ACK.
///
/// Works on requests the parser refused, as long as it gave them back as readable.
pub fn stateless_response(
    status: u16,
    reason: &str,
    headers: &[(Name, String)],
    request: &Message,
    source: SocketAddr,
    to_tag: &str,
) -> Option<Bytes> {
    if matches!(request.method(), None | Some(Method::Ack)) {
        return None;
    }
    let mut response = request.reply(status, reason, Some(to_tag));
    response.note_source(source);
    for (name, value) in headers {
        response.headers.push(*name, value.clone());
    }
    Some(response.to_bytes())
}

/// The Retry-After header of a 503.
pub fn retry_after(wait: Duration) -> (Name, String) {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    (Name::RetryAfter, seconds.max(1).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the start"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_has_its_burst_and_then_its_rate() {
        let begin = start();
        let mut gate = Gate::new(
            Rate {
                per_second: 10,
                burst: 5,
            },
            1000,
            1,
        );
        let admitted = |gate: &mut Gate, millis, count| {
            (0..count)
                .filter(|_| gate.admit(begin + Duration::from_millis(millis), ip("192.0.2.1")))
                .count()
        };
        assert_eq!(admitted(&mut gate, 0, 20), 5);
        assert_eq!(admitted(&mut gate, 99, 20), 0);
        assert_eq!(admitted(&mut gate, 100, 20), 1);
        assert_eq!(
            admitted(&mut gate, 1100, 200),
            5,
            "never more than the burst"
        );
        assert!(
            gate.admit(begin, ip("192.0.2.2")),
            "another source is not affected"
        );
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_source() {
        let begin = start();
        let mut gate = Gate::new(
            Rate {
                per_second: 1,
                burst: 3,
            },
            1000,
            1,
        );
        let admitted = (0..100)
            .filter(|i| gate.admit(begin, ip(&format!("2001:db8::{i:x}"))))
            .count();
        assert_eq!(admitted, 3);
        assert!(gate.admit(begin, ip("2001:db8:0:1::1")));
        assert!(gate.admit(begin, ip("::ffff:192.0.2.1")));
        assert_eq!(
            (0..5)
                .filter(|_| gate.admit(begin, ip("192.0.2.1")))
                .count(),
            2,
            "mapped addresses are IPv4"
        );
    }

    #[test]
    fn a_flood_of_made_up_sources_neither_grows_the_table_nor_frees_a_busy_source() {
        let begin = start();
        let mut gate = Gate::new(
            Rate {
                per_second: 1,
                burst: 10,
            },
            1024,
            7,
        );
        let size = gate.sets.len();
        let busy = ip("198.51.100.1");
        let mut admitted = 0;
        for i in 0..100_000u32 {
            gate.admit(begin, IpAddr::from(i.to_be_bytes()));
            admitted += u32::from(gate.admit(begin, busy));
        }
        assert_eq!(gate.sets.len(), size);
        assert_eq!(admitted, 10);
    }

    fn request(method: Method) -> Message {
        let mut request = Message::request(method.clone(), "sip:a@b");
        request
            .headers
            .push(Name::Via, "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;rport");
        request.headers.push(Name::From, "<sip:c@d>;tag=1");
        request.headers.push(Name::To, "<sip:a@b>");
        request.headers.push(Name::CallId, "id");
        request.headers.push(Name::CSeq, format!("1 {method}"));
        request
    }

    #[test]
    fn a_stateless_answer_is_the_same_every_time() {
        let gate = Gate::new(
            Rate {
                per_second: 1,
                burst: 1,
            },
            1,
            7,
        );
        let request = request(Method::Invite);
        let source = "192.0.2.9:5070".parse().unwrap();
        let answer = || {
            stateless_response(
                503,
                "",
                &[retry_after(Duration::from_millis(2500))],
                &request,
                source,
                &gate.to_tag(&request),
            )
        };
        let text = answer().unwrap();
        assert_eq!(answer(), Some(text.clone()));
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.starts_with("SIP/2.0 503 Service Unavailable\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;received=192.0.2.9;rport=5070\r\n"), "{text}");
        assert!(text.contains("\r\nRetry-After: 3\r\n"), "{text}");
        assert!(text.contains("To: <sip:a@b>;tag="), "{text}");
        let other = Gate::new(
            Rate {
                per_second: 1,
                burst: 1,
            },
            1,
            8,
        );
        assert_ne!(gate.to_tag(&request), other.to_tag(&request));
    }

    /// `security.md` row 35: answering a stranger's call costs at most half as much again as the call itself.
    #[test]
    fn a_challenge_is_not_much_longer_than_the_invite_it_answers() {
        let mut invite = request(Method::Invite);
        invite.headers.push(Name::Contact, "<sip:c@10.0.0.1:5060>");
        invite.headers.push(Name::MaxForwards, "70");
        invite.headers.push(Name::ContentType, "application/sdp");
        invite.body = Bytes::from_static(
            b"v=0\r\no=- 7 7 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n",
        );
        let mut nonces = super::super::digest::Nonces::new([1; 32], Duration::from_secs(60));
        let headers: Vec<_> = nonces
            .challenges(start(), "pbx.example", false)
            .iter()
            .map(|challenge| (Name::WwwAuthenticate, challenge.to_string()))
            .collect();
        let source = "10.0.0.1:5060".parse().unwrap();
        let answer =
            stateless_response(401, "", &headers, &invite, source, "0123456789abcdef").unwrap();
        let (asked, answered) = (invite.to_bytes().len(), answer.len());
        assert!(answered * 2 <= asked * 3, "{answered} bytes for {asked}");
    }

    #[test]
    fn acks_and_responses_are_not_answered() {
        let source = "192.0.2.9:5070".parse().unwrap();
        assert_eq!(
            stateless_response(503, "", &[], &request(Method::Ack), source, "t"),
            None
        );
        assert_eq!(
            stateless_response(503, "", &[], &Message::response(200, ""), source, "t"),
            None
        );
    }
}
