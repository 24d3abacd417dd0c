//! What the server is told about the call (`pivot.md` §2.1), in KAZOO's names or TwiML's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::settings::RequestFormat;
use crate::base::profile::Profile;
use crate::directory::Account;
use crate::routing::normalise;

/// The call as the parameters need it.
#[derive(Debug, Default)]
pub(super) struct Subject<'a> {
    pub(super) account_id: &'a str,
    pub(super) call_id: &'a str,
    pub(super) call_status: Option<&'a str>,
    pub(super) caller_id_name: &'a str,
    pub(super) caller_id_number: &'a str,
    pub(super) direction: &'a str,
    pub(super) from: &'a str,
    pub(super) from_realm: &'a str,
    pub(super) to: &'a str,
    pub(super) to_realm: &'a str,
    pub(super) request: &'a str,
    pub(super) request_realm: &'a str,
    pub(super) language: &'a str,
    pub(super) owner_id: Option<&'a str>,
    pub(super) custom_application_vars: Map<String, Value>,
    pub(super) custom_sip_headers: Map<String, Value>,
    pub(super) collections: BTreeMap<String, String>,
    /// `CallStatus` as the call itself has it.
    pub(super) phase: &'static str,
    pub(super) account: Option<&'a Account>,
    pub(super) diversions: &'a [String],
    pub(super) source: Option<IpAddr>,
}

/// The parameters in the order of the specification's table.
pub(super) fn params(
    subject: &Subject<'_>,
    format: RequestFormat,
    profile: Profile,
) -> Map<String, Value> {
    if (format, profile) == (RequestFormat::Twiml, Profile::Twilio) {
        return twilio(subject);
    }
    let mut out = Params {
        format,
        map: Map::new(),
    };
    let name = if subject.caller_id_name.is_empty() {
        UNKNOWN
    } else {
        subject.caller_id_name
    };
    let digits: Map<String, Value> = subject
        .collections
        .iter()
        .map(|(name, digits)| (name.clone(), digits.as_str().into()))
        .collect();
    out.both("Account-ID", "AccountSid", subject.account_id);
    out.kazoo("Api-Version", KAZOO_VERSION);
    out.twiml("ApiVersion", TWIML_VERSION);
    out.both("Call-ID", "CallSid", subject.call_id);
    if let Some(status) = subject.call_status {
        out.kazoo("Call-Status", status);
        out.both("CallStatus", "CallStatus", status);
    }
    out.both("Caller-ID-Name", "CallerName", name);
    out.both("Caller-ID-Number", "CallerNumber", subject.caller_id_number);
    out.kazoo(
        "Custom-Application-Vars",
        subject.custom_application_vars.clone(),
    );
    out.kazoo("Custom-SIP-Headers", subject.custom_sip_headers.clone());
    if !digits.is_empty() {
        out.both("Digits", "Digits", digits);
    }
    out.both("Direction", "Direction", subject.direction);
    out.both("From", "From", subject.from);
    out.both("From-Realm", "FromRealm", subject.from_realm);
    out.kazoo("Language", subject.language);
    out.kazoo("Request", subject.request);
    out.kazoo("Request-Realm", subject.request_realm);
    out.both("To", "To", subject.to);
    out.both("To-Realm", "ToRealm", subject.to_realm);
    if let Some(owner) = subject.owner_id {
        out.kazoo("User-ID", owner);
    }
    out.map
}

/// What Twilio tells a voice request (`pivot.md` §8.6).
fn twilio(subject: &Subject<'_>) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            map.insert(name.to_owned(), value.into());
        }
    };
    let party = |user: &str, realm: &str| {
        let number = subject.account.map(|account| normalise(account, user));
        match number.filter(|number| number.starts_with('+')) {
            Some(number) => number,
            None if realm.is_empty() => user.to_owned(),
            None => format!("sip:{user}@{realm}"),
        }
    };
    let from = party(subject.caller_id_number, subject.from_realm);
    let to = party(subject.to, subject.to_realm);
    put("CallSid", subject.call_id);
    put("AccountSid", subject.account_id);
    put("From", &from);
    put("To", &to);
    put("Caller", &from);
    put("Called", &to);
    put("CallStatus", subject.phase);
    put("ApiVersion", TWIML_VERSION);
    put("Direction", subject.direction);
    put("CallerName", subject.caller_id_name);
    if let Some(diversion) = subject.diversions.first() {
        put("ForwardedFrom", user_of(diversion));
    }
    if from.starts_with("sip:") || to.starts_with("sip:") {
        put("SipDomain", subject.request_realm);
        put("SipUsername", subject.from);
        put("SipCallId", subject.call_id);
        if let Some(source) = subject.source {
            put("SipSourceIp", &source.to_string());
        }
    }
    for (name, value) in &subject.custom_sip_headers {
        if let Some(value) = value.as_str() {
            put(&format!("SipHeader_{name}"), value);
        }
    }
    if !subject.collections.is_empty() {
        // A flow that handed the call over has collected these; an application for Twilio expects one text.
        let digits = subject.collections.values().next_back();
        put("Digits", digits.map_or("", String::as_str));
    }
    map
}

/// The user part of the URI in a header.
fn user_of(header: &str) -> &str {
    let after = header.split_once("sip:").map_or(header, |(_, after)| after);
    after.split(['@', ';', '>']).next().unwrap_or(after)
}

struct Params {
    format: RequestFormat,
    map: Map<String, Value>,
}

impl Params {
    fn both(&mut self, kazoo: &str, twiml: &str, value: impl Into<Value>) {
        let name = match self.format {
            RequestFormat::Kazoo => kazoo,
            RequestFormat::Twiml => twiml,
        };
        self.map.insert(name.to_owned(), value.into());
    }

    fn kazoo(&mut self, name: &str, value: impl Into<Value>) {
        if self.format == RequestFormat::Kazoo {
            self.map.insert(name.to_owned(), value.into());
        }
    }

    fn twiml(&mut self, name: &str, value: impl Into<Value>) {
        if self.format == RequestFormat::Twiml {
            self.map.insert(name.to_owned(), value.into());
        }
    }
}

/// The last version known from public source (decision 17).
const KAZOO_VERSION: &str = "4.x";
const TWIML_VERSION: &str = "2010-04-01";
/// Shown for callers without a name.
const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn subject() -> Subject<'static> {
        Subject {
            account_id: "acc",
            call_id: "c@1",
            caller_id_name: "Bob Smith",
            caller_id_number: "1001",
            direction: "inbound",
            from: "1001",
            from_realm: "demo.test",
            to: "2030",
            to_realm: "demo.test",
            request: "2030",
            request_realm: "10.0.0.1",
            language: "en-us",
            owner_id: Some("owner"),
            ..Subject::default()
        }
    }

    #[test]
    fn kazoo_names_of_a_first_request() {
        assert_eq!(
            Value::Object(params(&subject(), RequestFormat::Kazoo, Profile::Kazoo)),
            json!({
                "Account-ID": "acc", "Api-Version": "4.x", "Call-ID": "c@1", "Caller-ID-Name": "Bob Smith",
                "Caller-ID-Number": "1001", "Custom-Application-Vars": {}, "Custom-SIP-Headers": {},
                "Direction": "inbound", "From": "1001", "From-Realm": "demo.test", "Language": "en-us",
                "Request": "2030", "Request-Realm": "10.0.0.1", "To": "2030", "To-Realm": "demo.test",
                "User-ID": "owner",
            })
        );
    }

    #[test]
    fn twiml_names_of_a_first_request() {
        assert_eq!(
            Value::Object(params(&subject(), RequestFormat::Twiml, Profile::Kazoo)),
            json!({
                "AccountSid": "acc", "ApiVersion": "2010-04-01", "CallSid": "c@1", "CallerName": "Bob Smith",
                "CallerNumber": "1001", "Direction": "inbound", "From": "1001", "FromRealm": "demo.test",
                "To": "2030", "ToRealm": "demo.test",
            })
        );
    }

    #[test]
    fn collected_digits_are_an_object_of_collections() {
        let mut subject = subject();
        subject.collections = [("default", "1234"), ("pin", "")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        for format in [RequestFormat::Kazoo, RequestFormat::Twiml] {
            assert_eq!(
                params(&subject, format, Profile::Kazoo)["Digits"],
                json!({"default": "1234", "pin": ""})
            );
        }
    }

    #[test]
    fn the_status_has_both_names_in_kazoos_set() {
        let mut subject = subject();
        subject.call_status = Some("ringing");
        let kazoo = params(&subject, RequestFormat::Kazoo, Profile::Kazoo);
        assert_eq!(
            (&kazoo["Call-Status"], &kazoo["CallStatus"]),
            (&json!("ringing"), &json!("ringing"))
        );
        let twiml = params(&subject, RequestFormat::Twiml, Profile::Kazoo);
        assert_eq!(
            (twiml.get("Call-Status"), &twiml["CallStatus"]),
            (None, &json!("ringing"))
        );
    }

    #[test]
    fn a_nameless_caller_is_unknown_and_no_owner_is_left_out() {
        let params = params(&Subject::default(), RequestFormat::Kazoo, Profile::Kazoo);
        assert_eq!(params["Caller-ID-Name"], "unknown");
        assert_eq!(params.get("User-ID"), None);
        assert_eq!(params.get("Digits"), None);
    }
}
