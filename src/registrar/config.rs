//! `[registrar]` and `[security]` of the configuration.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// How phones register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrarConfig {
    /// Shortest registration, in seconds; a shorter one is refused by 423. 1 to 3600.
    pub min_expires: u32,
    /// Longest registration, in seconds; a longer one is shortened. 60 to 86,400.
    pub max_expires: u32,
    /// Most Contacts of one address of record, 1 to 100.
    pub max_bindings: usize,
    /// What happens to one Contact too many: the oldest goes (`replace`), or it is refused by 403 (`refuse`).
    pub overflow: Overflow,
    /// Names, beside realms and addresses, that phones may register at.
    pub domains: Vec<String>,
    /// How often a phone behind a NAT is asked whether it is there (OPTIONS), in seconds, 0 to 3600. 0: never.
    pub options_seconds: u32,
    /// Questions without an answer after which a phone is not rung any more, 1 to 100.
    pub options_misses: u32,
    /// How often a CRLF is sent on the connections of phones, in seconds, 0 to 3600. 0: never.
    pub crlf_seconds: u32,
    /// Whether phones with messages are told so although they did not subscribe.
    pub unsolicited_mwi: bool,
}

/// What happens to one Contact too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// The oldest goes.
    Replace,
    /// The new one is refused.
    Refuse,
}

impl Default for RegistrarConfig {
    fn default() -> Self {
        Self {
            min_expires: 60,
            max_expires: 3600,
            max_bindings: 10,
            overflow: Overflow::Replace,
            domains: Vec::new(),
            options_seconds: 30,
            options_misses: 3,
            crlf_seconds: 120,
            unsolicited_mwi: true,
        }
    }
}

/// What is done about people who guess passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// Wrong passwords of one address within `ban_window_seconds` before it is banned, 0 to 1000. 0: nobody is banned.
    pub ban_failures: u32,
    /// How long a wrong password counts, in seconds, 1 to 3600.
    pub ban_window_seconds: u32,
    /// The first ban of an address, in seconds, 1 to 86,400; each further one is twice as long, up to a day.
    pub ban_seconds: u32,
    /// Networks that are never banned.
    pub ban_exempt: Vec<IpNet>,
    /// Wrong passwords for one user name an hour before answers to further ones take a second, 1 to 100,000.
    pub failures_per_hour: u32,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            ban_failures: 5,
            ban_window_seconds: 60,
            ban_seconds: 300,
            ban_exempt: Vec::new(),
            failures_per_hour: 20,
        }
    }
}
