//! Ranges of the values, and what must fit together.

use super::{Config, Finding};
use crate::sip::flow::Transport;

/// Every value that breaks a rule.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut rules = Rules::default();
    rules.require(
        !config.data_dir.as_os_str().is_empty(),
        "data_dir",
        "\"\"",
        "must name a directory",
    );
    rules.range("drain_seconds", config.drain_seconds, 0, 86_400);
    sip(config, &mut rules);
    registrar(config, &mut rules);
    tls(config, &mut rules);
    rules.range("dns.timeout_ms", config.dns.timeout_ms, 100, 30_000);
    rules.range("dns.hold_out_seconds", config.dns.hold_out_seconds, 0, 600);
    rtp(config, &mut rules);
    http(config, &mut rules);
    for name in &config.pivot.deny_hosts {
        let plain = !name.is_empty() && !name.contains(['/', ':', ' ']);
        rules.require(
            plain,
            "pivot.deny_hosts",
            name,
            "must be host names without scheme, port or path",
        );
    }
    for problem in config.tts.problems() {
        rules.refuse(
            &format!("tts.{}", problem.field),
            problem.value,
            problem.rule,
        );
    }
    for problem in config.stt.problems() {
        rules.refuse(
            &format!("stt.{}", problem.field),
            problem.value,
            problem.rule,
        );
    }
    for (field, days) in [
        ("retention.cdr_days", config.retention.cdr_days),
        ("retention.recording_days", config.retention.recording_days),
        ("retention.debug_days", config.retention.debug_days),
        ("retention.trace_days", config.retention.trace_days),
    ] {
        rules.range(field, days, 0, 36_500);
    }
    if let Err(error) = config.log.filter() {
        let rule =
            format!("must be error, warn, info, debug, trace or a list of room=level ({error})");
        rules.refuse("log.level", &config.log.level, rule);
    }
    rules.0
}

fn sip(config: &Config, rules: &mut Rules) {
    let sip = &config.sip;
    rules.require(
        !sip.listen.is_empty(),
        "sip.listen",
        "[]",
        "must have at least one listener",
    );
    for (at, url) in sip.listen.iter().enumerate() {
        let streams = url.transport.is_reliable();
        let twice = url.address.port() != 0
            && sip.listen.iter().take(at).any(|other| {
                other.address == url.address && other.transport.is_reliable() == streams
            });
        rules.require(
            !twice,
            "sip.listen",
            url,
            "must not have two listeners on one port",
        );
    }
    let twice = |at: usize| {
        sip.digest
            .iter()
            .skip(at + 1)
            .any(|later| Some(later) == sip.digest.get(at))
    };
    let digest = !sip.digest.is_empty() && !(0..sip.digest.len()).any(twice);
    rules.require(
        digest,
        "sip.digest",
        sip.digest.len(),
        "must name SHA-256, MD5 or both, each once",
    );
    let single_line = !sip.user_agent.contains(char::is_control) && sip.user_agent.len() <= 128;
    rules.require(
        single_line,
        "sip.user_agent",
        &sip.user_agent,
        "must be at most 128 characters on one line",
    );
    rules.range("sip.min_se", sip.min_se, 90, 86_400);
    rules.range(
        "sip.session_expires",
        sip.session_expires,
        sip.min_se.max(90),
        86_400,
    );
    rules.range("sip.max_call_seconds", sip.max_call_seconds, 1, 86_400);
    rules.range("sip.max_calls", sip.max_calls, 1, 1_000_000);
    rules.range("sip.unknown_number_code", sip.unknown_number_code, 400, 699);
    rules.range("sip.max_transactions", sip.max_transactions, 1, 10_000_000);
    rules.range(
        "sip.max_transactions_per_source",
        sip.max_transactions_per_source,
        1,
        10_000_000,
    );
    rules.range("sip.max_connections", sip.max_connections, 1, 1_000_000);
    rules.range(
        "sip.max_connections_per_source",
        sip.max_connections_per_source,
        1,
        1_000_000,
    );
    rules.range("sip.message_seconds", sip.message_seconds, 1, 600);
    rules.range("sip.dscp", sip.dscp, 0, 63);
}

fn registrar(config: &Config, rules: &mut Rules) {
    let registrar = &config.registrar;
    let security = &config.security;
    rules.range("registrar.min_expires", registrar.min_expires, 1, 3600);
    rules.range(
        "registrar.max_expires",
        registrar.max_expires,
        registrar.min_expires.max(60),
        86_400,
    );
    rules.range("registrar.max_bindings", registrar.max_bindings, 1, 100);
    for name in &registrar.domains {
        let plain = !name.is_empty() && !name.contains(['/', ':', ' ', '@']);
        rules.require(
            plain,
            "registrar.domains",
            name,
            "must be host names without scheme, user or port",
        );
    }
    rules.range(
        "registrar.options_seconds",
        registrar.options_seconds,
        0,
        3600,
    );
    rules.range("registrar.options_misses", registrar.options_misses, 1, 100);
    rules.range("registrar.crlf_seconds", registrar.crlf_seconds, 0, 3600);
    rules.range("security.ban_failures", security.ban_failures, 0, 1000);
    rules.range(
        "security.ban_window_seconds",
        security.ban_window_seconds,
        1,
        3600,
    );
    rules.range("security.ban_seconds", security.ban_seconds, 1, 86_400);
    rules.range(
        "security.failures_per_hour",
        security.failures_per_hour,
        1,
        100_000,
    );
}

fn tls(config: &Config, rules: &mut Rules) {
    let tls = &config.tls;
    let half = match (tls.certificate.is_empty(), tls.key.is_empty()) {
        (false, true) => Some("tls.key"),
        (true, false) => Some("tls.certificate"),
        (true, true) | (false, false) => None,
    };
    if let Some(field) = half {
        rules.refuse(
            field,
            "\"\"",
            "must be given together with the other half of the pair",
        );
    }
    rules.require(
        !(tls.client_required && tls.client_ca.is_empty()),
        "tls.client_required",
        true,
        "must come with tls.client_ca: nobody could connect otherwise",
    );
    for origin in &config.sip.origins {
        let (scheme, authority) = origin.split_once("://").unwrap_or_default();
        let shape = matches!(scheme, "http" | "https")
            && !authority.is_empty()
            && !authority.contains(['/', ' ', '*']);
        rules.require(
            origin == "*" || shape,
            "sip.origins",
            origin,
            "must be * or an origin such as https://phone.example.com, without a path",
        );
    }
}

fn rtp(config: &Config, rules: &mut Rules) {
    let rtp = &config.rtp;
    let address = rtp.address == "auto" || rtp.address.parse::<std::net::IpAddr>().is_ok();
    rules.require(
        address,
        "rtp.address",
        &rtp.address,
        "must be `auto` or an IP address of this machine",
    );
    let advertise = rtp.advertise.is_empty() || rtp.advertise.parse::<std::net::IpAddr>().is_ok();
    rules.require(
        advertise,
        "rtp.advertise",
        &rtp.advertise,
        "must be empty or an IP address",
    );
    rules.range("rtp.workers", rtp.workers, 0, 64);
    rules.range("rtp.dscp", rtp.dscp, 0, 63);
    rules.range("rtp.quarantine_ms", rtp.quarantine_ms, 1000, 600_000);
    rules.range("rtp.timeout_seconds", rtp.timeout_seconds, 0, 86_400);
    rules.range(
        "rtp.held_timeout_seconds",
        rtp.held_timeout_seconds,
        0,
        86_400,
    );
    rules.range("rtp.keepalive_seconds", rtp.keepalive_seconds, 0, 3600);
    for url in &config.sip.listen {
        let (port, ports) = (url.address.port(), &config.rtp.ports);
        let inside = (0..ports.pairs())
            .filter_map(|n| ports.pair(n))
            .any(|even| even == port || even + 1 == port);
        rules.require(
            !inside,
            "rtp.ports",
            ports,
            &format!("must not hold the port of {url} in sip.listen"),
        );
    }
}

fn http(config: &Config, rules: &mut Rules) {
    let http = &config.http;
    rules.range("http.max_json", http.max_json, 1024, 64 << 20);
    rules.range("http.max_upload", http.max_upload, 1024, 1 << 30);
    rules.range("http.token_seconds", http.token_seconds, 60, 31_536_000);
    rules.range("http.min_secret", http.min_secret, 0, 64);
    let public = &http.public_url;
    let reachable = public.is_empty()
        || url::Url::parse(public).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    rules.require(
        reachable,
        "http.public_url",
        public,
        "must be an http or https URL",
    );
    let suffix = !http.realm_suffix.is_empty()
        && http
            .realm_suffix
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c));
    rules.require(
        suffix,
        "http.realm_suffix",
        &http.realm_suffix,
        "must be a host name in lower case",
    );
    rules.range("http.rate.burst", http.rate.burst, 1, 1_000_000_000);
    rules.range(
        "http.rate.per_second",
        http.rate.per_second,
        1,
        1_000_000_000,
    );
    rules.range(
        "http.rate.anonymous_burst",
        http.rate.anonymous_burst,
        1,
        1_000_000_000,
    );
    rules.range(
        "http.rate.anonymous_per_second",
        http.rate.anonymous_per_second,
        1,
        1_000_000_000,
    );
    rules.range(
        "http.rate.login_cost",
        http.rate.login_cost,
        1,
        http.rate.anonymous_burst.max(1),
    );
    for port in config
        .sip
        .listen
        .iter()
        .filter(|url| url.transport != Transport::Udp)
        .map(|url| url.address)
    {
        let same = port.port() != 0 && port.port() == http.listen.port();
        let meet = port.ip() == http.listen.ip()
            || port.ip().is_unspecified()
            || http.listen.ip().is_unspecified();
        rules.require(
            !(same && meet),
            "http.listen",
            http.listen,
            "must not be a listener of sip.listen",
        );
    }
}

#[derive(Default)]
struct Rules(Vec<Finding>);

impl Rules {
    fn refuse(&mut self, field: &str, value: impl ToString, rule: impl ToString) {
        self.0.push(Finding {
            field: field.to_owned(),
            value: value.to_string(),
            rule: rule.to_string(),
            place: None,
        });
    }

    fn require(&mut self, holds: bool, field: &str, value: impl ToString, rule: &str) {
        if !holds {
            self.refuse(field, value, rule);
        }
    }

    fn range<T: PartialOrd + std::fmt::Display>(&mut self, field: &str, value: T, low: T, high: T) {
        if value < low || value > high {
            let rule = format!("must be between {low} and {high}");
            self.refuse(field, value, rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_break_no_rule() {
        assert_eq!(check(&Config::default()), []);
    }

    #[test]
    fn each_broken_rule_names_field_value_and_rule() {
        let said = |text: &str| -> Vec<String> {
            let config: Config = toml::from_str(text).unwrap();
            check(&config).iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            said("drain_seconds = 100000"),
            ["drain_seconds = 100000: must be between 0 and 86400"]
        );
        assert_eq!(
            said("[sip]\nlisten = []"),
            ["sip.listen = []: must have at least one listener"]
        );
        assert_eq!(
            said("[sip]\nmin_se = 10"),
            ["sip.min_se = 10: must be between 90 and 86400"]
        );
        assert_eq!(
            said("[sip]\nlisten = [\"udp://127.0.0.1:20000\"]"),
            [
                "rtp.ports = 16384-32767: must not hold the port of udp://127.0.0.1:20000 in sip.listen"
            ]
        );
        assert_eq!(
            said("[sip]\nlisten = [\"tls://127.0.0.1:5061\", \"ws://127.0.0.1:5061\"]"),
            ["sip.listen = ws://127.0.0.1:5061: must not have two listeners on one port"]
        );
        assert_eq!(
            said("[sip]\norigins = [\"phone.example.com\"]"),
            [
                "sip.origins = phone.example.com: must be * or an origin such as https://phone.example.com, without a path"
            ]
        );
        assert_eq!(
            said("[tls]\ncertificate = \"c.pem\""),
            ["tls.key = \"\": must be given together with the other half of the pair"]
        );
        assert_eq!(said("[tls]\nclient_required = true").len(), 1);
        assert_eq!(said("[rtp]\naddress = \"eth0\"").len(), 1);
        assert_eq!(
            said("[tts]\nprovider = \"pigeon\""),
            ["tts.provider = pigeon: must be one of command, http"]
        );
        assert_eq!(
            said("[retention]\ndebug_days = 99999"),
            ["retention.debug_days = 99999: must be between 0 and 36500"]
        );
    }
}
