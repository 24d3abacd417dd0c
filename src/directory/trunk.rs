//! One carrier (`resources` document): the numbers it is used for and its gateways (`api.md` §3.6, §4.2, §4.3).
//!
//! Read once for each version of the document, with its regular expressions compiled. Keys of ours beside KAZOO's
//! (decision 19): a gateway's `register`, `register_expires`, `options_seconds`, `transport`, `srtp`, `inbound_ips`;
//! `max_calls` and `max_cps` of the resource.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fancy_regex::Regex;
use ipnet::IpNet;
use serde_json::Value;

use super::account::network;
use super::formatters::Formatters;
use super::numbers::compile;
use crate::base::secret::Secret;

/// A carrier.
pub struct Trunk {
    /// 32-hex id.
    pub id: String,
    /// The resource's name.
    pub name: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// Lower is tried first, 1 to 100.
    pub weight: u8,
    /// What calls with flags ask for.
    pub flags: Vec<String>,
    /// Not for calls without flags.
    pub require_flags: bool,
    /// For calls with any flags.
    pub ignore_flags: bool,
    /// Numbers it takes, in the order of the document.
    pub rules: Vec<Regex>,
    /// Callers it takes; `None` takes all.
    pub cid_rules: Option<Vec<Regex>>,
    /// Numbers it takes by their class.
    pub classifiers: BTreeMap<String, Classifier>,
    /// For emergency calls.
    pub emergency: bool,
    /// Whether gateways are tried in random order.
    pub random: bool,
    /// Which of the caller's identities is shown; the node's when missing.
    pub caller_id_type: Option<String>,
    /// The From URI is made of the caller's number and a realm.
    pub format_from_uri: bool,
    /// That realm.
    pub from_uri_realm: Option<String>,
    /// The account's realm is that realm.
    pub from_account_realm: bool,
    /// Codecs for gateways that name none.
    pub codecs: Vec<String>,
    /// Rewriting of fields.
    pub formatters: Formatters,
    /// Calls it carries at once.
    pub max_calls: Option<u32>,
    /// Calls it is offered in a second.
    pub max_cps: Option<u32>,
    /// Where calls are sent, in order.
    pub gateways: Vec<Gateway>,
    /// The document.
    pub doc: Arc<Value>,
}

/// What a resource does with one class of numbers.
#[derive(Debug)]
pub struct Classifier {
    /// Whether it takes them.
    pub enabled: bool,
    /// Numbers of the class; `None` is the system's own.
    pub regex: Option<Regex>,
    /// Put before the number.
    pub prefix: String,
    /// Put after the number.
    pub suffix: String,
    /// For emergency calls.
    pub emergency: bool,
    /// Lower is tried first.
    pub weight: u8,
}

/// One place calls are sent to and come from.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Whether it may be used.
    pub enabled: bool,
    /// Host name or address.
    pub server: String,
    /// Port; `None` is the usual one, found by DNS.
    pub port: Option<u16>,
    /// `udp`, `tcp`, `tls` …; `None` decides by DNS.
    pub transport: Option<String>,
    /// A literal URI in place of prefix, number, suffix and server.
    pub route: Option<String>,
    /// Put before the number.
    pub prefix: String,
    /// Put after the number.
    pub suffix: String,
    /// How the number is written: `route`, `e164`, `npan`, `1npan`, `strip_plus`, `username`.
    pub invite_format: String,
    /// Name to answer challenges with.
    pub username: Option<String>,
    /// Password to answer them with.
    pub password: Secret,
    /// Realm of those challenges, and of From.
    pub realm: Option<String>,
    /// Codecs to offer.
    pub codecs: Vec<String>,
    /// Which of the caller's identities is shown.
    pub caller_id_type: Option<String>,
    /// Headers of calls to it.
    pub headers: Vec<(String, String)>,
    /// See [`Trunk::format_from_uri`].
    pub format_from_uri: Option<bool>,
    /// See [`Trunk::from_uri_realm`].
    pub from_uri_realm: Option<String>,
    /// How long it may take to its first 180 or 183.
    pub progress_timeout: Duration,
    /// For emergency calls.
    pub emergency: bool,
    /// Parameters of the Request-URI, as written.
    pub invite_parameters: Vec<String>,
    /// Encrypted media: required, refused, or as the transport says.
    pub srtp: Option<bool>,
    /// Whether we register there.
    pub register: bool,
    /// How long such a registration is asked for, in seconds.
    pub register_expires: u32,
    /// How often it is asked by OPTIONS whether it is there, in seconds; 0 never.
    pub options_seconds: u32,
    /// Where its calls come from.
    pub inbound: Vec<IpNet>,
}

impl Trunk {
    /// Reads a document.
    pub fn read(id: String, doc: Arc<Value>) -> Self {
        let list = |key: &str| doc.get(key).and_then(Value::as_array);
        let gateways = list("gateways").into_iter().flatten();
        let gateways = gateways.filter(|gateway| is_sip(gateway));
        let classifiers = doc.get("classifiers").and_then(Value::as_object);
        Self {
            name: text(&doc, "name").unwrap_or_default(),
            enabled: flag(&doc, "enabled").unwrap_or(true),
            weight: weight(&doc),
            flags: strings(doc.get("flags")),
            require_flags: flag(&doc, "require_flags").unwrap_or(false),
            ignore_flags: flag(&doc, "ignore_flags").unwrap_or(false),
            rules: patterns(doc.get("rules")),
            cid_rules: list("cid_rules")
                .filter(|rules| !rules.is_empty())
                .map(|_| patterns(doc.get("cid_rules"))),
            classifiers: classifiers
                .into_iter()
                .flatten()
                .map(|(name, doc)| (name.clone(), Classifier::read(doc)))
                .collect(),
            emergency: flag(&doc, "emergency").unwrap_or(false),
            random: text(&doc, "gateway_strategy").as_deref() == Some("random"),
            caller_id_type: doc.get("caller_id_options").and_then(|o| text(o, "type")),
            format_from_uri: flag(&doc, "format_from_uri").unwrap_or(false),
            from_uri_realm: text(&doc, "from_uri_realm"),
            from_account_realm: flag(&doc, "from_account_realm").unwrap_or(false),
            codecs: strings(doc.pointer("/media/audio/codecs")),
            formatters: Formatters::read(doc.get("formatters")),
            max_calls: number(&doc, "max_calls"),
            max_cps: number(&doc, "max_cps"),
            gateways: gateways.map(Gateway::read).collect(),
            id,
            doc,
        }
    }

    /// The networks its calls come from.
    pub fn inbound(&self) -> impl Iterator<Item = IpNet> + '_ {
        let gateways = self.gateways.iter().filter(|gateway| gateway.enabled);
        gateways.flat_map(|gateway| gateway.inbound.iter().copied())
    }
}

impl Classifier {
    fn read(doc: &Value) -> Self {
        Self {
            enabled: flag(doc, "enabled").unwrap_or(true),
            regex: text(doc, "regex").and_then(|regex| compile(&regex).ok()),
            prefix: text(doc, "prefix").unwrap_or_default(),
            suffix: text(doc, "suffix").unwrap_or_default(),
            emergency: flag(doc, "emergency").unwrap_or(false),
            weight: weight(doc),
        }
    }
}

impl Gateway {
    fn read(doc: &Value) -> Self {
        let port = number(doc, "port").and_then(|port| u16::try_from(port).ok());
        let peer = flag(doc, "peer").unwrap_or(false);
        let mut inbound: Vec<IpNet> = strings(doc.get("inbound_ips"))
            .iter()
            .chain(text(doc, "inbound_ip").iter())
            .chain(text(doc, "server").filter(|_| peer).iter())
            .filter_map(|ip| network(ip))
            .filter(|net| net.prefix_len() > 0)
            .collect();
        inbound.sort();
        inbound.dedup();
        let parameters = doc.pointer("/invite_parameters/static");
        Self {
            enabled: flag(doc, "enabled").unwrap_or(true),
            server: text(doc, "server").unwrap_or_default(),
            // The schema's default says nothing: it is what DNS and transport would say, too.
            port: port.filter(|port| *port != 5060 && *port != 0),
            transport: text(doc, "transport").map(|t| t.to_lowercase()),
            route: text(doc, "route"),
            prefix: text(doc, "prefix").unwrap_or_default(),
            suffix: text(doc, "suffix").unwrap_or_default(),
            invite_format: text(doc, "invite_format").unwrap_or_else(|| "route".to_owned()),
            username: text(doc, "username"),
            password: Secret::new(text(doc, "password").unwrap_or_default()),
            realm: text(doc, "realm"),
            codecs: strings(doc.get("codecs")),
            caller_id_type: text(doc, "caller_id_type"),
            headers: headers(doc.get("custom_sip_headers"), "out"),
            format_from_uri: flag(doc, "format_from_uri"),
            from_uri_realm: text(doc, "from_uri_realm"),
            progress_timeout: number(doc, "progress_timeout")
                .filter(|seconds| *seconds > 0)
                .map_or(PROGRESS_TIMEOUT, |s| Duration::from_secs(u64::from(s))),
            emergency: flag(doc, "emergency").unwrap_or(false),
            invite_parameters: strings(parameters),
            srtp: flag(doc, "srtp"),
            register: flag(doc, "register").unwrap_or(false),
            register_expires: number(doc, "register_expires").unwrap_or(REGISTER_EXPIRES),
            options_seconds: number(doc, "options_seconds").map_or(OPTIONS_SECONDS, |s| {
                if s == 0 { 0 } else { s.max(OPTIONS_LEAST) }
            }),
            inbound,
        }
    }
}

// A trunk's document holds passwords.
impl std::fmt::Debug for Trunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trunk")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `custom_sip_headers`: headers by name, or one such object for each direction (`in`, `out`). A plain object is `out`.
pub fn headers(document: Option<&Value>, direction: &str) -> Vec<(String, String)> {
    let Some(Value::Object(all)) = document else {
        return Vec::new();
    };
    let nested = ["in", "out"]
        .iter()
        .any(|way| all.get(*way).is_some_and(Value::is_object));
    let chosen = match (nested, all.get(direction)) {
        (true, Some(Value::Object(own))) => own,
        (false, _) if direction == "out" => all,
        _ => return Vec::new(),
    };
    let token = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    let plain = |value: &str| !value.chars().any(char::is_control);
    chosen
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .filter(|(name, value)| token(name) && plain(value))
        .map(|(name, value)| (name.clone(), value.to_owned()))
        .collect()
}

/// Trunks of other kinds (analogue cards, Skype, text messages) are not ours.
fn is_sip(gateway: &Value) -> bool {
    gateway.is_object() && text(gateway, "endpoint_type").is_none_or(|kind| kind == "sip")
}

fn text(doc: &Value, key: &str) -> Option<String> {
    let text = doc.get(key)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn flag(doc: &Value, key: &str) -> Option<bool> {
    match doc.get(key)? {
        Value::Bool(on) => Some(*on),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A whole number, also written as text.
fn number(doc: &Value, key: &str) -> Option<u32> {
    match doc.get(key)? {
        Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn weight(doc: &Value) -> u8 {
    let weight = number(doc, "weight_cost").unwrap_or(WEIGHT).clamp(1, 100);
    u8::try_from(weight).unwrap_or(100)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn patterns(value: Option<&Value>) -> Vec<Regex> {
    strings(value)
        .iter()
        .filter_map(|p| compile(p).ok())
        .collect()
}

/// Wait for a gateway's first 180 or 183 (KAZOO's default).
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(8);
/// `weight_cost` of a document without one.
const WEIGHT: u32 = 3;
/// Gateways are asked so often, in seconds.
const OPTIONS_SECONDS: u32 = 60;
/// No gateway is asked more often.
const OPTIONS_LEAST: u32 = 5;
/// Registrations are asked for so long, in seconds.
const REGISTER_EXPIRES: u32 = 300;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_written_as_text_are_numbers() {
        let doc = json!({"gateways": [{"server": "h", "port": "5080", "progress_timeout": "30", "suffix": ""}]});
        let trunk = Trunk::read("t".into(), Arc::new(doc));
        let gateway = &trunk.gateways[0];
        assert_eq!(gateway.port, Some(5080));
        assert_eq!(gateway.progress_timeout.as_secs(), 30);
        assert_eq!((&*gateway.suffix, &*gateway.invite_format), ("", "route"));
        assert_eq!((trunk.weight, trunk.enabled), (3, true));
    }

    #[test]
    fn only_sip_gateways_are_kept_and_rules_that_do_not_compile_are_not() {
        let doc = json!({"rules": ["(", "^1"], "gateways": [{"server": "a", "endpoint_type": "freetdm"}, {"server": "b"}]});
        let trunk = Trunk::read("t".into(), Arc::new(doc));
        assert_eq!(trunk.gateways.len(), 1);
        assert_eq!(trunk.rules.len(), 1);
        assert!(trunk.cid_rules.is_none());
    }

    #[test]
    fn calls_come_from_the_listed_networks_only() {
        let gateways = json!([
            {"server": "192.0.2.1"},
            {"server": "192.0.2.2", "peer": true},
            {"server": "h", "inbound_ips": ["198.51.100.0/24", "2001:db8::1", "0.0.0.0/0", "name"], "inbound_ip": "203.0.113.9"},
            {"server": "h", "inbound_ips": ["192.0.2.99"], "enabled": false}
        ]);
        let trunk = Trunk::read("t".into(), Arc::new(json!({"gateways": gateways})));
        let nets: Vec<String> = trunk.inbound().map(|net| net.to_string()).collect();
        let expected = [
            "192.0.2.2/32",
            "198.51.100.0/24",
            "203.0.113.9/32",
            "2001:db8::1/128",
        ];
        assert_eq!(nets, expected);
    }

    #[test]
    fn headers_have_one_form_or_two_directions() {
        let plain = json!({"X-One": "1", "bad name": "2", "X-Two": "a\r\nb", "X-Three": 3});
        assert_eq!(headers(Some(&plain), "out"), [("X-One".into(), "1".into())]);
        assert!(headers(Some(&plain), "in").is_empty());
        let both = json!({"in": {"X-In": "i"}, "out": {"X-Out": "o"}});
        assert_eq!(headers(Some(&both), "in"), [("X-In".into(), "i".into())]);
        assert_eq!(headers(Some(&both), "out"), [("X-Out".into(), "o".into())]);
    }

    #[test]
    fn a_trunk_does_not_print_its_password() {
        let doc = json!({"gateways": [{"server": "h", "password": "sesame-12345"}]});
        let trunk = Trunk::read("t".into(), Arc::new(doc));
        assert!(!format!("{trunk:?} {:?}", trunk.gateways).contains("sesame"));
    }
}
